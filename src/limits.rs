//! Every bound of the library, each with its reason.

use std::time::Duration;

/// A request's text. The largest honest one, a `fetchreleases` with every release that exists, has
/// a few hundred bytes. (How deep it may be nested is serde_json's bound: 128 levels.)
pub const REQUEST_BYTES: usize = 1 << 20;

/// A reply that a host asks about. A listing of 10,000 jails has 3 MiB.
pub const REPLY_BYTES: usize = 256 << 20;

/// Releases in one `fetchreleases`. FreeBSD has published fewer in thirty years.
pub const RELEASES_PER_REQUEST: usize = 64;

/// Jails in one request; who wants more leaves them all out, or asks twice.
pub const JAILS_PER_REQUEST: usize = 256;

/// What a new jail takes at least: its datasets, its settings, and what it writes when it starts.
pub const NEW_JAIL_BYTES: u64 = 16 << 20;

/// Packages for one new jail; who wants more installs them when it is there.
pub const PACKAGES_PER_REQUEST: usize = 64;

/// Properties in one request. iocage has about 150.
pub const PROPERTIES_PER_REQUEST: usize = 256;

/// One string argument, whatever its own rule says: error messages quote arguments, and should stay
/// readable.
pub const ARGUMENT_BYTES: usize = 256;

/// The name of something that is to be made. It is a part of the names of files, such as that of a
/// job's record, and those have at most 255 bytes.
pub const NEW_NAME_BYTES: usize = 200;

/// The name of a dataset, or of a snapshot of one: ZFS_MAX_DATASET_NAME_LEN without the NUL.
pub const DATASET_NAME_BYTES: usize = 255;

/// A file's name, on ZFS as elsewhere (NAME_MAX).
pub const FILE_NAME_BYTES: usize = 255;

/// What one command may print. `zfs list` prints about 150 bytes a dataset, so this is room for
/// 400,000 of them; beyond it something is wrong, and memory is not endless.
pub const COMMAND_OUTPUT_BYTES: usize = 64 << 20;

/// A jail's `config.json`, `defaults.json`, and a plugin's manifest. iocage writes about 4 KiB.
pub const CONFIG_FILE_BYTES: u64 = 1 << 20;

/// A plugin index. The one with 74 plugins has 25 KiB.
pub const INDEX_FILE_BYTES: u64 = 16 << 20;

/// A file of a git clone that names its branches. A thousand branches take about 80 KiB.
pub const GIT_FILE_BYTES: u64 = 1 << 20;

/// The library's configuration.
pub const CONFIGURATION_BYTES: usize = 1 << 20;

/// Jobs that an instance itself runs at once. Each is a download or an installation, and more of
/// them only make each slower.
pub const JOBS_AT_ONCE: usize = 16;

/// Logs of finished jobs that are kept for a host to ask about.
pub const FINISHED_JOBS_KEPT: usize = 64;

/// The end of a job's output that its log keeps. A fetch prints about 100 KiB.
pub const JOB_LOG_BYTES: usize = 1 << 20;

/// What a job may print until its file is shortened to the end that is kept.
pub const JOB_LOG_FILE_BYTES: u64 = 16 << 20;

/// The record of a job.
pub const JOB_RECORD_BYTES: u64 = 64 << 10;

/// A job's log as a dispatcher passes it on. The sysadm server's keeps everything that was
/// printed, twice at times, each control character as six.
pub const JOB_LOG_TEXT_BYTES: usize = 64 << 20;

/// What a line of the audit log quotes of one argument, and of the outcome.
pub const AUDITED_CHARACTERS: usize = 400;

/// The highest descriptor that is looked for where a kernel has no call to close them all. A
/// process has rarely more than some hundred open.
pub const DESCRIPTORS: i32 = 1 << 16;

/// Between asking a process group to end (TERM) and ending it (KILL).
pub const TERMINATION_GRACE: Duration = Duration::from_millis(500);

/// How long a request waits for a killed process. One that hangs in the kernel, for example on a
/// suspended pool, does not die; it is reaped later, so that the request does not hang too.
pub const REAP_PATIENCE: Duration = Duration::from_secs(1);

/// How long a request from within a callback waits for what is in use. Whoever looks whether a job
/// runs is in the way for less than that.
pub const CALLBACK_PATIENCE: Duration = Duration::from_millis(100);

/// How long output is still read after the command itself has ended, where a child of its own
/// keeps the pipe open.
pub const OUTPUT_LINGER: Duration = Duration::from_millis(200);

/// How long `stopjob` waits beside until what the job has left undone is done: that may be stopping a
/// jail, with all that runs in it.
pub const TIDYING_PATIENCE: Duration = Duration::from_secs(420);

/// What `command_timeout_seconds` may say.
pub const COMMAND_TIMEOUT_SECONDS: std::ops::RangeInclusive<u64> = 1..=3600;

/// What `catalogue_max_age_seconds` may say: up to a year.
pub const CATALOGUE_MAX_AGE_SECONDS: std::ops::RangeInclusive<u64> = 0..=31_536_000;

/// The catalogue's file. A hundred releases take about 4 KiB.
pub const CATALOGUE_BYTES: u64 = 1 << 20;

/// How long after a failed refresh of the catalogue the next one starts by itself.
pub const CATALOGUE_RETRY: Duration = Duration::from_secs(10);

/// How often an outdated plugin index is refreshed without anybody asking for it.
pub const PLUGINS_RETRY: Duration = Duration::from_secs(60);

/// How long after it could not be told which iocage is installed the lists of plugins go without
/// that.
pub const INSTALLED_RETRY: Duration = Duration::from_secs(60);

/// How long a refresh of the catalogue waits for another process that writes the file, or that switches
/// pools.
pub const CATALOGUE_WRITING: Duration = Duration::from_secs(5);

/// How long a dispatcher may take until it knows of a job that it has taken.
pub const DISPATCHER_PATIENCE: Duration = Duration::from_secs(5);

/// Files that one thread looks at; for fewer of them a second thread is not worth its start.
pub const FILES_PER_THREAD: usize = 4096;

/// Jails that are asked for one by one where only their settings have changed; for more of them one
/// question about all is as fast.
pub const ASKED_BY_NAME: usize = 32;

/// How long the datasets of jails count as the same while nothing says otherwise. Only what leaves
/// no trace on disk or in the mount table is seen this late: `zfs promote`, a dataset made and
/// never mounted, a jail's root replaced by another clone at the same place.
pub const DATASETS_AGE: Duration = Duration::from_secs(30);

/// The settings that an instance remembers, of all jails of a family together. A jail's take 1 to
/// 5 KiB, so this is room for 6,000 of them at least; a pool with more is read again each time.
pub const REMEMBERED_BYTES: usize = 32 << 20;

/// The output of a job that `listjobs` shows, its end; `jobstatus` shows all of it.
pub const LISTED_OUTPUT_BYTES: usize = 4096;

/// The words of a command for a jail, together. FreeBSD takes 512 KiB at least; who needs more has a
/// file.
pub const COMMAND_BYTES: usize = 64 << 10;

/// What `execjail` gives back of each of its outputs.
pub const EXEC_OUTPUT_BYTES: usize = 1 << 20;

/// For how long `execjail` may run. A client waits for the answer, so what takes longer belongs into
/// the jail's own cron(8).
pub const EXEC_SECONDS: u64 = 3600;

/// A path, as PATH_MAX of FreeBSD and Linux is.
pub const PATH_BYTES: usize = 1024;

/// How long an image may be read to compare it with its checksum. A slow disk reads 100 GB in that
/// time; more is for somebody who sits beside it.
pub const IMAGE_READING: Duration = Duration::from_secs(20 * 60);
