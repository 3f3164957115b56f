//! The fuzzers' door (`fuzz/`): a made-up host below [`crate::system`], so that a request goes its
//! whole way without a command being run.
//!
//! Only with the feature `fuzzing`, which no product has. Once a host is set, nothing is spawned
//! any more in this process.

use std::path::Path;
use std::sync::{PoisonError, RwLock};

use crate::error::{Code, Error, Result};
use crate::system::Output;

/// What a made-up command prints, and how it ends.
#[derive(Clone, Debug, Default)]
pub struct Printed {
    pub exit_code: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// A made-up host.
pub trait Host: Send + Sync {
    /// Answers a command: its path and its arguments.
    fn run(&self, program: &Path, arguments: &[&str]) -> Printed;
    /// What is mounted, as /proc/self/mountinfo has it.
    fn mountinfo(&self) -> Vec<u8>;
}

static HOST: RwLock<Option<Box<dyn Host>>> = RwLock::new(None);

/// Puts `host` in the real one's place.
pub fn set_host(host: impl Host + 'static) {
    *HOST.write().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(host));
}

fn with<T>(ask: impl FnOnce(&dyn Host) -> T) -> Option<T> {
    let host = HOST.read().unwrap_or_else(PoisonError::into_inner);
    host.as_deref().map(ask)
}

/// Whether the host is a made-up one.
pub(crate) fn is_on() -> bool {
    with(|_| ()).is_some()
}

/// What [`crate::system::command::run`] gives.
pub(crate) fn run(line: &str, program: &Path, arguments: &[&str]) -> Option<Output> {
    let printed = with(|host| host.run(program, arguments))?;
    Some(Output {
        command: line.into(),
        exit_code: printed.exit_code,
        stdout: String::from_utf8_lossy(&printed.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&printed.stderr).into_owned(),
    })
}

/// What [`crate::system::command::spawn`] gives.
pub(crate) fn refuse(line: &str) -> Result<()> {
    match is_on() {
        true => Err(Error::new(Code::Unavailable, format!("{line}: not here"))),
        false => Ok(()),
    }
}

/// The mount table's text.
pub(crate) fn mountinfo() -> Option<Vec<u8>> {
    with(|host| host.mountinfo())
}
