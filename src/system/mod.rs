//! The host: its commands, its mount table, its running jails.
//!
//! Nothing here knows what iocage is. A command gets its arguments as an array; there is no shell
//! anywhere.

pub mod command;
mod files;
mod line;
mod jails;
mod mounts;
pub(crate) mod platform;

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::Mutex;
use std::time::Duration;

pub use command::Output;
pub use files::{read_identified, read_regular, take_lock, Identity, Lock};
pub use jails::RunningJail;
pub use line::CommandLine;
pub use mounts::Mounts;

use crate::configuration::{Commands, Configuration};
use crate::error::Result;
use crate::sync::lock;

/// The host that an instance works on.
#[derive(Debug)]
pub struct System {
    commands: Commands,
    timeout: Duration,
    /// The FreeBSD release of the host, where it is one.
    release: Option<String>,
}

/// Does two things at once, or one after the other where no thread can be had.
pub fn side_by_side<A: Send, B>(
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B,
) -> (A, B) {
    // A thread for each would be the most of a fuzzer's time.
    #[cfg(feature = "fuzzing")]
    if crate::fuzzing::is_on() {
        return (one(), other());
    }
    // Shared, so that it is still there where there is no thread to take it.
    let one = Mutex::new(Some(one));
    let take = || lock(&one).take();
    std::thread::scope(|scope| {
        let aside = std::thread::Builder::new().spawn_scoped(scope, || take().map(|one| one()));
        let other = other();
        let one = match aside.map(|thread| thread.join()) {
            Ok(Ok(one)) => one,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(_) => None,
        };
        let one = one.or_else(|| take().map(|one| one()));
        (one.expect("it is done here or aside"), other)
    })
}

/// For commands that are run to their end.
static TO_THE_END: AtomicBool = AtomicBool::new(false);

impl System {
    pub fn new(config: &Configuration) -> Self {
        System {
            commands: config.commands.clone(),
            timeout: config.command_timeout,
            release: platform::freebsd_release(),
        }
    }

    /// The path of the `iocage` command, for jobs that somebody else runs.
    pub fn iocage_path(&self) -> &Path {
        &self.commands.iocage
    }

    /// The path of the `git` command, likewise.
    pub fn git_path(&self) -> &Path {
        &self.commands.git
    }

    /// The FreeBSD release of the host (`13.2-RELEASE-p9`), where it runs FreeBSD.
    pub fn release(&self) -> Option<&str> {
        self.release.as_deref()
    }

    /// Runs `zfs`, whatever its exit code.
    pub fn zfs(&self, arguments: &[&str]) -> Result<Output> {
        command::run(&self.commands.zfs, arguments, self.timeout, &TO_THE_END)
    }

    /// Runs `zpool`, whatever its exit code.
    pub fn zpool(&self, arguments: &[&str]) -> Result<Output> {
        command::run(&self.commands.zpool, arguments, self.timeout, &TO_THE_END)
    }

    /// Runs `iocage`, whatever its exit code, for up to `patience` times the usual limit.
    pub fn iocage(&self, arguments: &[&str], patience: u32) -> Result<Output> {
        let timeout = self.timeout * patience;
        command::run(&self.commands.iocage, arguments, timeout, &TO_THE_END)
    }

    /// Runs `iocage` for what it knows of the network, until somebody says `stop`.
    pub fn iocage_online(&self, arguments: &[&str], stop: &AtomicBool) -> Result<Output> {
        command::run(
            &self.commands.iocage,
            arguments,
            self.online_timeout(),
            stop,
        )
    }

    /// Gets what is at `url`, by FreeBSD's fetch(1), until somebody says `stop`.
    pub fn fetch(&self, url: &str, stop: &AtomicBool) -> Result<String> {
        let timeout = self.online_timeout();
        let seconds = timeout.as_secs().max(1).to_string();
        let arguments = ["-q", "-T", &seconds, "-o", "-", url];
        command::run(&self.commands.fetch, &arguments, timeout, stop)?.success()
    }

    /// A request that waits for the network is to answer within the usual limit with all that it
    /// has to do beside, so the network gets the most of it and not all.
    fn online_timeout(&self) -> Duration {
        self.timeout * 7 / 10
    }

    /// The jails that run now.
    pub fn running_jails(&self) -> Result<Vec<RunningJail>> {
        // What iocage asks too. `-v` prints the name, which the form without it does not.
        let arguments = ["--libxo", "json", "-v"];
        jails::parse(
            &command::run(&self.commands.jls, &arguments, self.timeout, &TO_THE_END)?.success()?,
        )
    }

    /// What is mounted where.
    pub fn mounts(&self) -> Result<Mounts> {
        Mounts::read()
    }
}
