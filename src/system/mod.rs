//! The host: its commands, its mount table, its running jails, its files.
//!
//! Nothing here knows what iocage is. A command gets its arguments as an array; there is no shell
//! anywhere. What is asked of the host itself goes through a [`Runner`], so that tests and fuzzers
//! can bring a host of their own.

mod command;
mod files;
mod folders;
mod hangs;
mod inside;
mod jails;
mod line;
mod locks;
mod mounts;
mod order;
mod platform;
mod process;
mod runner;
#[cfg(test)]
mod scratch;

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

pub use files::{open_regular, read_identified, read_regular, replace, rewrite, Identity};
pub use folders::private_folder;
pub use inside::{folder_inside, Inside};
pub use jails::RunningJail;
pub use line::CommandLine;
pub use locks::{remove_lock, take_lock, try_lock, unlock, Lock, Share};
pub use mounts::Mounts;
pub use order::{last_words, Bounded, Order, Output};
pub use platform::{local_time, parse_mountinfo, utc_time, utc_time_in, Mount};
pub use process::{Child, Process};
pub use runner::{RealHost, Runner};

use crate::configuration::{Commands, Configuration, Program};
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use hangs::FileSystems;

/// The host that an instance works on.
#[derive(Clone)]
pub struct System {
    commands: Commands,
    /// What commands that use the network get beside.
    environment: Vec<(String, String)>,
    timeout: Duration,
    /// The FreeBSD release of the host, where it is one.
    release: Option<String>,
    runner: Arc<dyn Runner>,
    file_systems: Arc<FileSystems>,
    /// The mount table as it was the last time.
    last_mounts: Arc<Mutex<Arc<Mounts>>>,
    /// The locks that commands inherit.
    held: Vec<Arc<File>>,
}

/// For commands that are run to their end.
static TO_THE_END: AtomicBool = AtomicBool::new(false);

impl System {
    /// The real host.
    pub fn new(configuration: &Configuration) -> Self {
        // One for the process, as the host has each file system once.
        static OF_THE_HOST: LazyLock<Arc<FileSystems>> = LazyLock::new(Arc::default);
        System {
            file_systems: Arc::clone(&OF_THE_HOST),
            ..System::with(configuration, Arc::new(RealHost))
        }
    }

    /// A host on which `runner` carries out what is asked.
    pub fn with(configuration: &Configuration, runner: Arc<dyn Runner>) -> Self {
        System {
            commands: configuration.commands.clone(),
            environment: configuration.environment.clone(),
            timeout: configuration.command_timeout,
            release: platform::freebsd_release(),
            runner,
            file_systems: Arc::default(),
            last_mounts: Arc::default(),
            held: Vec::new(),
        }
    }

    /// The same host for one who holds these locks. Every command inherits them, so they are held as
    /// long as it lives, even if this process is killed.
    pub fn holding(&self, locks: Vec<Arc<File>>) -> Self {
        System {
            held: locks,
            ..self.clone()
        }
    }

    /// The FreeBSD release of the host (`13.2-RELEASE-p9`), if it runs FreeBSD.
    pub fn release(&self) -> Option<&str> {
        self.release.as_deref()
    }

    /// How long a command that answers a request may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How long to wait for the network. A request that does so must still answer within the usual
    /// limit, with all else that it has to do, so the network gets most of that time and not all.
    pub fn online_timeout(&self) -> Duration {
        self.timeout * 7 / 10
    }

    /// Where a program is.
    pub fn path(&self, program: Program) -> &Path {
        self.commands.path(program)
    }

    /// A command line for messages and logs, without what is secret.
    pub fn shown(&self, line: &CommandLine) -> String {
        line.shown(&self.commands)
    }

    /// The path of the program and the arguments as the command gets them, secrets among them.
    pub fn argv(&self, line: &CommandLine) -> Vec<String> {
        line.argv(&self.commands)
    }

    /// Runs a command, whatever its exit code, within the usual limit.
    ///
    /// # Errors
    /// As [`Runner::run`].
    pub fn run(&self, line: &CommandLine) -> Result<Output> {
        self.run_within(line, self.timeout, &TO_THE_END)
    }

    /// Runs a command, whatever its exit code, until `limit` is over or `stop` is set.
    ///
    /// # Errors
    /// As [`Runner::run`].
    pub fn run_within(
        &self,
        line: &CommandLine,
        limit: Duration,
        stop: &AtomicBool,
    ) -> Result<Output> {
        self.runner.run(&self.order(line), limit, stop)
    }

    /// Runs a command, whatever its exit code, within a limit of its own.
    ///
    /// # Errors
    /// As [`Runner::run`].
    pub fn run_for(&self, line: &CommandLine, limit: Duration) -> Result<Output> {
        self.run_within(line, limit, &TO_THE_END)
    }

    /// Runs a command in the same way, and keeps the first `most` bytes of each of its outputs.
    ///
    /// # Errors
    /// As [`Runner::run_bounded`].
    pub fn run_bounded(&self, line: &CommandLine, limit: Duration, most: usize) -> Result<Bounded> {
        let order = self.order(line);
        self.runner.run_bounded(&order, limit, &TO_THE_END, most)
    }

    /// Starts a long job; see [`Runner::spawn`].
    ///
    /// # Errors
    /// As [`Runner::spawn`].
    pub fn spawn(
        &self,
        line: &CommandLine,
        output: &File,
        inherited: &[BorrowedFd<'_>],
    ) -> Result<Child> {
        self.runner.spawn(&self.order(line), output, inherited)
    }

    fn order(&self, line: &CommandLine) -> Order {
        Order {
            program: line.program(),
            argv: self.argv(line),
            shown: self.shown(line),
            environment: match line.program() {
                Program::Iocage | Program::Fetch | Program::Git => self.environment.clone(),
                _ => Vec::new(),
            },
            inherited: match line.program() {
                // jexec(8) hands on all that is open. So a command in a jail would have files of the
                // host, and what it leaves running would hold the locks.
                Program::Jexec => Vec::new(),
                _ => self.held.clone(),
            },
        }
    }

    /// The jails that run now.
    ///
    /// # Errors
    /// As [`Runner::run`], and where `jls` fails or prints something else.
    pub fn running_jails(&self) -> Result<Vec<RunningJail>> {
        // What iocage asks too. `-v` prints the name, which the form without it does not.
        let line = CommandLine::new(Program::Jls).words(&["--libxo", "json", "-v"]);
        jails::parse(&self.run(&line)?.success()?)
    }

    /// What is mounted where.
    ///
    /// # Errors
    /// `Unavailable` if the system does not say.
    pub fn mounts(&self) -> Result<Arc<Mounts>> {
        let table = self.runner.mount_table().map_err(|error| {
            let message = format!("the mount table: {error}");
            Error::new(Code::Unavailable, message)
        })?;
        let last = Arc::clone(&lock(&self.last_mounts));
        // Most often nothing was mounted since.
        if last.is_of(&table) {
            return Ok(last);
        }
        let mounts = Arc::new(Mounts::of(table));
        *lock(&self.last_mounts) = Arc::clone(&mounts);
        Ok(mounts)
    }

    /// Unmounts what was mounted last at `place`, which touches the file system `of` (a pool). A
    /// path that has become another place, by a link on the way, is left alone.
    ///
    /// # Errors
    /// `InUse` if it cannot be unmounted; `Timeout` and `Unavailable` as [`System::on_files`].
    pub fn unmount(&self, of: &str, place: &Path) -> Result<()> {
        let cannot = |why: &dyn std::fmt::Display| {
            let message = format!("{} cannot be unmounted: {why}", place.display());
            Error::new(Code::InUse, message)
        };
        let (runner, path) = (Arc::clone(&self.runner), place.to_path_buf());
        let unmount = move || match path.canonicalize()? == path {
            true => runner.unmount(&path),
            false => Err(io::Error::other("a link leads to another place")),
        };
        self.on_files(of, unmount)?.map_err(|error| cannot(&error))
    }

    /// Does two things at once, or one after the other if no thread can be started.
    pub fn side_by_side<A: Send, B>(
        &self,
        one: impl FnOnce() -> A + Send,
        other: impl FnOnce() -> B,
    ) -> (A, B) {
        if !self.has_threads() {
            return (one(), other());
        }
        // Shared, so that it is still there if no thread takes it.
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

    /// Does `work`, which touches files of the file system `of` (a pool), so that it can be given
    /// up: in a thread of its own, which is left behind at the time limit of a command. At most one
    /// thread works on a file system at a time. `work` must not call this again for the same one.
    ///
    /// # Errors
    /// `Timeout` if it is given up; `Unavailable`, at once, while another one hangs there, and if
    /// no thread can be started. When that one comes back, all is well again.
    pub fn on_files<T: Send + 'static>(
        &self,
        of: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        match self.has_threads() {
            true => self.file_systems.work(of, self.timeout, work),
            false => Ok(work()),
        }
    }

    /// Whether work may be done in threads.
    pub fn has_threads(&self) -> bool {
        self.runner.has_threads()
    }

    /// Sends a line to syslog; the priority is one of syslog's numbers.
    pub fn log(&self, priority: i32, line: &str) {
        self.runner.log(priority, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::{current, ThreadId};

    /// A host that runs nothing.
    struct MadeUp {
        prints: &'static str,
        has_threads: bool,
    }

    impl Runner for MadeUp {
        fn run(&self, order: &Order, _: Duration, _: &AtomicBool) -> Result<Output> {
            Ok(Output {
                command: order.shown.clone(),
                exit_code: 0,
                stdout: self.prints.into(),
                stderr: String::new(),
            })
        }

        fn spawn(&self, order: &Order, _: &File, _: &[BorrowedFd<'_>]) -> Result<Child> {
            Err(Error::new(Code::Unavailable, order.shown.clone()))
        }

        fn mount_table(&self) -> io::Result<Vec<Mount>> {
            Err(io::ErrorKind::PermissionDenied.into())
        }

        fn log(&self, _: i32, _: &str) {}

        fn has_threads(&self) -> bool {
            self.has_threads
        }
    }

    fn system(prints: &'static str, has_threads: bool) -> System {
        let runner = MadeUp {
            prints,
            has_threads,
        };
        System::with(&Configuration::default(), Arc::new(runner))
    }

    #[test]
    fn a_made_up_host_answers_in_the_place_of_the_real_one() {
        let system = system(r#"{"jail-information": {"jail": [{"jid": 5}]}}"#, true);
        assert_eq!(system.running_jails().unwrap()[0].jid, "5");
        let error = system.mounts().unwrap_err();
        assert_eq!(error.code, Code::Unavailable);
        assert!(error.message.starts_with("the mount table: "), "{error}");
        let line = CommandLine::new(Program::Zfs)
            .word("list")
            .secret(&"secret");
        assert_eq!(system.run(&line).unwrap().command, "/sbin/zfs list ...");
        assert_eq!(system.argv(&line), ["/sbin/zfs", "list", "secret"]);
    }

    #[test]
    fn commands_inherit_the_locks_but_not_those_in_a_jail() {
        let file = Arc::new(File::open("/dev/null").unwrap());
        let holding = system("", true).holding(vec![file]);
        for (program, count) in [(Program::Iocage, 1), (Program::Zfs, 1), (Program::Jexec, 0)] {
            let order = holding.order(&CommandLine::new(program));
            assert_eq!(order.inherited.len(), count, "{}", order.shown);
        }
    }

    #[test]
    fn threads_are_used_where_there_are_any() {
        for has_threads in [true, false] {
            let system = system("", has_threads);
            let here = |thread: ThreadId| thread == current().id();
            let (one, other) = system.side_by_side(|| current().id(), || current().id());
            assert_eq!((here(one), here(other)), (!has_threads, true));
            let on_files = system.on_files("tank", || current().id()).unwrap();
            assert_eq!(here(on_files), !has_threads);
        }
    }

    #[test]
    fn what_hangs_for_one_instance_of_the_host_hangs_for_all() {
        let configuration = Configuration {
            command_timeout: Duration::from_millis(100),
            ..Configuration::default()
        };
        let of = "what_hangs_for_one_instance";
        let (one, other) = (System::new(&configuration), System::new(&configuration));
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let error = one.on_files(of, move || ended.recv()).unwrap_err();
        assert_eq!(error.code, Code::Timeout);
        let error = other.on_files(of, || ()).unwrap_err();
        assert_eq!(error.code, Code::Unavailable);
        drop(end);
        scratch::wait_until(|| other.on_files(of, || ()).is_ok());
    }
}
