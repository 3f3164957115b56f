//! The host: its commands, its mount table, its running jails.
//!
//! Nothing here knows what iocage is. A command gets its arguments as an array; there is no shell
//! anywhere.

pub mod command;
mod jails;
mod mounts;
pub(crate) mod platform;

use std::path::Path;
use std::time::Duration;

pub use command::Output;
pub use jails::RunningJail;
pub use mounts::Mounts;

use crate::config::{Commands, Config};
use crate::error::Result;

/// The host that an instance works on.
#[derive(Debug)]
pub struct System {
    commands: Commands,
    timeout: Duration,
}

impl System {
    pub fn new(config: &Config) -> Self {
        System {
            commands: config.commands.clone(),
            timeout: config.command_timeout,
        }
    }

    /// The path of the `iocage` command, for jobs that somebody else runs.
    pub fn iocage_path(&self) -> &Path {
        &self.commands.iocage
    }

    /// Runs `zfs`, whatever its exit code.
    pub fn zfs(&self, arguments: &[&str]) -> Result<Output> {
        command::run(&self.commands.zfs, arguments, self.timeout)
    }

    /// Runs `zpool`, whatever its exit code.
    pub fn zpool(&self, arguments: &[&str]) -> Result<Output> {
        command::run(&self.commands.zpool, arguments, self.timeout)
    }

    /// Runs `iocage`, whatever its exit code, for up to `patience` times the usual limit.
    pub fn iocage(&self, arguments: &[&str], patience: u32) -> Result<Output> {
        command::run(&self.commands.iocage, arguments, self.timeout * patience)
    }

    /// The jails that run now.
    pub fn running_jails(&self) -> Result<Vec<RunningJail>> {
        // What iocage asks too. `-v` prints the name, which the form without it does not.
        let arguments = ["--libxo", "json", "-v"];
        jails::parse(&command::run(&self.commands.jls, &arguments, self.timeout)?.success()?)
    }

    /// What is mounted where.
    pub fn mounts(&self) -> Result<Mounts> {
        Mounts::read()
    }
}
