//! Which iocage is installed.

use std::sync::Mutex;

use super::command;
use super::version::Version;
use crate::configuration::Program;
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use crate::system::{Identity, System};

/// The version of the installed iocage. It is asked again only when another one is installed.
#[derive(Default)]
pub struct Installed(Mutex<Option<(Identity, Version)>>);

impl Installed {
    /// # Errors
    /// `Unavailable` if there is no iocage, and `Failed` if it does not print its version.
    pub fn version(&self, system: &System) -> Result<Version> {
        let path = system.path(Program::Iocage);
        // If it is a link, its target: that is what a package replaces.
        let file = path
            .canonicalize()
            .ok()
            .and_then(|path| Identity::of(&path));
        let known = *lock(&self.0);
        if let (Some(file), Some((of, version))) = (file, known) {
            if file == of {
                return Ok(version);
            }
        }
        let output = system.run(&command::version())?;
        let command = output.command.clone();
        let text = output.success()?;
        let version = Version::parse(&text).ok_or_else(|| {
            let message = format!("{command}: no version in {:?}", text.trim());
            Error::new(Code::Failed, message)
        })?;
        if let Some(file) = file {
            *lock(&self.0) = Some((file, version));
        }
        Ok(version)
    }
}
