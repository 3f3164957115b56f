//! Which iocage is installed, and on which FreeBSD.

use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use super::branches::{Branch, Habits};
use super::command;
use super::version::{Ability, Version};
use crate::configuration::Program;
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::sync::lock;
use crate::system::{CommandLine, Identity, System};

/// The version of the installed iocage, and what FreeBSD says of its own. Each is asked again only
/// when another one is installed.
#[derive(Default)]
pub struct Installed {
    iocage: Mutex<Option<(Identity, Version)>>,
    userland: Mutex<Option<(Identity, String)>>,
    /// When the version could not be had.
    failed: Mutex<Option<(Option<Identity>, Instant)>>,
}

/// The file of a program; if it is a link, its target: that is what a package replaces.
fn identity(program: &Path) -> Option<Identity> {
    let path = program.canonicalize().ok()?;
    Identity::of(&path)
}

impl Installed {
    /// # Errors
    /// `Unavailable` if there is no iocage, and `Failed` if it does not print its version.
    pub fn version(&self, system: &System) -> Result<Version> {
        asked_once(system, Program::Iocage, &self.iocage, || {
            let output = system.run(&command::version())?;
            let command = output.command.clone();
            let text = output.success()?;
            Version::parse(&text).ok_or_else(|| {
                let message = format!("{command}: no version in {:?}", text.trim());
                Error::new(Code::Failed, message)
            })
        })
    }

    /// How it comes to its plugins; nothing is said of what cannot be told now. A list is right
    /// without it in most cases, so that it does not wait again and again for an iocage that hangs.
    pub fn habits(&self, system: &System) -> Habits {
        let file = identity(system.path(Program::Iocage));
        let recently = |(of, at): (Option<Identity>, Instant)| {
            of == file && at.elapsed() < limits::INSTALLED_RETRY
        };
        if lock(&self.failed).is_some_and(recently) {
            return Habits::default();
        }
        let Ok(version) = self.version(system) else {
            *lock(&self.failed) = Some((file, Instant::now()));
            return Habits::default();
        };
        // What iocage itself asks: the version of the installed files, not of the running kernel.
        let userland = self.userland(system);
        Habits {
            refreshes: Some(version.can(Ability::RefreshIndex)),
            branch: Branch::of(version, &userland.unwrap_or_default()),
        }
    }

    /// The version of the host's files, as freebsd-version(1) prints it.
    ///
    /// # Errors
    /// If that cannot be run.
    pub fn userland(&self, system: &System) -> Result<String> {
        asked_once(system, Program::FreebsdVersion, &self.userland, || {
            let line = CommandLine::new(Program::FreebsdVersion);
            system.run(&line)?.success()
        })
    }
}

/// What a program answers, as long as it is the same file.
fn asked_once<T: Clone>(
    system: &System,
    program: Program,
    known: &Mutex<Option<(Identity, T)>>,
    ask: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let file = identity(system.path(program));
    if let (Some(file), Some((of, answer))) = (file, &*lock(known)) {
        if file == *of {
            return Ok(answer.clone());
        }
    }
    let answer = ask()?;
    if let Some(file) = file {
        *lock(known) = Some((file, answer.clone()));
    }
    Ok(answer)
}
