//! What carries out the requests to the system.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::command;
use super::order::{Bounded, Order, Output};
use super::platform::{self, Mount};
use super::process::{Child, Leader};
use crate::error::Result;

/// The real host, or one made up by a test or a fuzzer.
pub trait Runner: Send + Sync {
    /// Runs a command to its end, at most until `limit` is over or `stop` is set.
    ///
    /// # Errors
    /// `Unavailable` if it cannot be started, `Timeout` if it does not end in time, `Failed` if it
    /// prints too much. A command that ends, with whatever exit code, is no error.
    fn run(&self, command: &Order, limit: Duration, stop: &AtomicBool) -> Result<Output>;

    /// Runs a command in the same way, and keeps the first `most` bytes of each of its outputs.
    ///
    /// # Errors
    /// As [`Runner::run`], but it may print as much as it likes.
    fn run_bounded(
        &self,
        command: &Order,
        limit: Duration,
        stop: &AtomicBool,
        most: usize,
    ) -> Result<Bounded> {
        let output = self.run(command, limit, stop)?;
        Ok(Bounded::of(output, most))
    }

    /// Starts a long job. What it prints is appended to `output`; it also gets the descriptors
    /// `inherited`, as 3, 4 and so on, and keeps them open as long as it lives.
    ///
    /// # Errors
    /// `Unavailable` if it cannot be started.
    fn spawn(&self, command: &Order, output: &File, inherited: &[BorrowedFd<'_>]) -> Result<Child>;

    /// What is mounted where, in the order of mounting.
    ///
    /// # Errors
    /// If the system does not say.
    fn mount_table(&self) -> io::Result<Vec<Mount>>;

    /// Unmounts what was mounted last at a place.
    ///
    /// # Errors
    /// If it is busy, or is not there.
    fn unmount(&self, place: &Path) -> io::Result<()> {
        let message = format!("{}: nothing is unmounted here", place.display());
        Err(io::Error::new(io::ErrorKind::Unsupported, message))
    }

    /// Sends a line to syslog; the priority is one of syslog's numbers.
    fn log(&self, priority: i32, line: &str);

    /// Whether work may be done in threads.
    fn has_threads(&self) -> bool {
        true
    }
}

/// The host itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealHost;

impl Runner for RealHost {
    fn run(&self, command: &Order, limit: Duration, stop: &AtomicBool) -> Result<Output> {
        command::run(command, limit, stop)
    }

    fn run_bounded(
        &self,
        command: &Order,
        limit: Duration,
        stop: &AtomicBool,
        most: usize,
    ) -> Result<Bounded> {
        command::run_bounded(command, limit, stop, most)
    }

    fn spawn(&self, command: &Order, output: &File, inherited: &[BorrowedFd<'_>]) -> Result<Child> {
        let output = output.as_fd();
        let descriptors = [&[output, output], inherited].concat();
        Leader::start(command, &descriptors).map(Child::new)
    }

    fn mount_table(&self) -> io::Result<Vec<Mount>> {
        platform::mount_table()
    }

    fn unmount(&self, place: &Path) -> io::Result<()> {
        platform::unmount(place)
    }

    fn log(&self, priority: i32, line: &str) {
        platform::log_to_system(priority, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::locks::{take_lock, Lock, Share};
    use crate::system::scratch::{sh, Folder};

    const SOON: Duration = Duration::from_secs(20);

    fn log(folder: &Folder) -> File {
        let mut options = File::options();
        let options = options.create(true).append(true);
        options.open(folder.0.join("log")).unwrap()
    }

    #[test]
    fn a_job_appends_what_it_prints_in_its_order() {
        let folder = Folder::new("output");
        let log = log(&folder);
        for _ in 0..2 {
            let script = sh("echo out; echo err >&2; echo out");
            let mut job = RealHost.spawn(&script, &log, &[]).unwrap();
            assert_eq!(job.wait(SOON).unwrap(), Some(0));
        }
        let text = std::fs::read_to_string(folder.0.join("log")).unwrap();
        assert_eq!(text, "out\nerr\nout\n".repeat(2));
    }

    #[test]
    fn a_job_gets_its_descriptors_by_number_whatever_they_are_here() {
        let folder = Folder::new("numbers");
        let log = log(&folder);
        let file = |text: &str| {
            let path = folder.0.join(text);
            std::fs::write(&path, format!("{text}\n")).unwrap();
            File::open(path).unwrap()
        };
        let (a, b) = (file("a"), file("b"));
        let script = sh("read a <&3; read b <&4; echo $a $b; : 2>/dev/null <&5 && echo more");
        let mut job = RealHost
            .spawn(&script, &log, &[a.as_fd(), b.as_fd()])
            .unwrap();
        job.wait(SOON).unwrap();
        let text = std::fs::read_to_string(folder.0.join("log")).unwrap();
        assert!(
            text.starts_with("a b\n") && !text.contains("more"),
            "{text}"
        );
    }

    #[test]
    fn a_lock_that_a_job_inherits_lives_as_long_as_the_job() {
        let folder = Folder::new("inherited");
        let take = || take_lock(&folder.0.join("a.lock"), Share::Alone).unwrap();
        let Lock::Taken(lock) = take() else {
            panic!("it is new")
        };
        // By what it has started too.
        let job = RealHost
            .spawn(&sh("sleep 30; true"), &log(&folder), &[lock.as_fd()])
            .unwrap();
        drop(lock);
        assert!(matches!(take(), Lock::HeldElsewhere));
        assert!(job.end());
        assert!(matches!(take(), Lock::Taken(_)));
    }

    #[test]
    fn this_host_has_a_mount_table_and_each_has_a_type() {
        let table = RealHost.mount_table().unwrap();
        assert!(!table.is_empty());
        assert!(table.iter().all(|mount| !mount.kind.is_empty()));
    }
}
