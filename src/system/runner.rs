//! What carries out what the system is asked for.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::command;
use super::order::{Order, Output};
use super::platform::{self, Mount};
use super::process::{Child, Leader};
use crate::error::Result;

/// What carries out: the real host, or one made up by a test or a fuzzer.
pub trait Runner: Send + Sync {
    /// Runs a command to its end, at most until `limit` is over or somebody says `stop`.
    ///
    /// # Errors
    /// `Unavailable` where it cannot be started, `Timeout` where it does not end in time, `Failed`
    /// where it prints more than anybody can want. A command that ends, however badly, is no
    /// error.
    fn run(&self, command: &Order, limit: Duration, stop: &AtomicBool) -> Result<Output>;

    /// Starts a long job. What it prints is appended to `output`; it also gets the descriptors
    /// `inherited`, as 3, 4 and so on, and keeps them open as long as it lives.
    ///
    /// # Errors
    /// `Unavailable` where it cannot be started.
    fn spawn(&self, command: &Order, output: &File, inherited: &[BorrowedFd<'_>]) -> Result<Child>;

    /// What is mounted where, in the order of mounting.
    ///
    /// # Errors
    /// Where the system does not tell.
    fn mount_table(&self) -> io::Result<Vec<Mount>>;

    /// Sends a line to syslog; the priority is one of syslog's numbers.
    fn log(&self, priority: i32, line: &str);

    /// Whether things may be done in threads side by side.
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

    fn spawn(&self, command: &Order, output: &File, inherited: &[BorrowedFd<'_>]) -> Result<Child> {
        let output = output.as_fd();
        let descriptors = [&[output, output], inherited].concat();
        Leader::start(command, &descriptors).map(Child::new)
    }

    fn mount_table(&self) -> io::Result<Vec<Mount>> {
        platform::mount_table()
    }

    fn log(&self, priority: i32, line: &str) {
        platform::log_to_system(priority, line);
    }
}
