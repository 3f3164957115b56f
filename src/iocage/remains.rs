//! What a jail has outside its datasets: what is mounted in it, and its logs.

use std::io;
use std::path::{Path, PathBuf};

use super::datasets::Dataset;
use super::destruction::{PAUSE, TRIES};
use super::selection::{Member, Members};
use crate::error::{Code, Error, Result};
use crate::names::PoolName;
use crate::system::{Mount, RunningJail, System};

/// Where the roots of jails are, and which datasets are theirs.
#[derive(Debug, Default)]
pub struct Roots {
    roots: Vec<PathBuf>,
    jails: Vec<Dataset>,
}

impl Roots {
    /// The roots of these jails, as far as they are mounted.
    ///
    /// # Errors
    /// If the system does not say what is mounted.
    pub fn of(system: &System, jails: Vec<Dataset>) -> Result<Self> {
        let mounts = system.mounts()?;
        let root = |jail: &Dataset| match mounts.mountpoint(&format!("{jail}/root")) {
            Some(root) => Some(root.to_path_buf()),
            // It may be hidden by something else that is mounted there.
            None => Some(mounts.mountpoint(jail)?.join("root")),
        };
        let roots = jails.iter().filter_map(root);
        // Nobody's root is that of the host.
        let roots = roots.filter(|root| root.parent().is_some()).collect();
        Ok(Roots { roots, jails })
    }

    /// The jails that run in one of them, whatever they are called: all but those with these jids
    /// and the jails inside of those, which end with them.
    ///
    /// # Errors
    /// If jls does not say.
    pub fn intruders(&self, system: &System, jids: &[&str]) -> Result<Vec<String>> {
        let running = system.running_jails()?;
        let owners = running.iter().filter(|jail| jids.contains(&&*jail.jid));
        let owners: Vec<&str> = owners.map(|jail| &*jail.name).collect();
        // The kernel puts the name of the outer jail in front.
        let is_owned = |jail: &RunningJail| {
            owners.iter().any(|owner| {
                let inner = jail.name.strip_prefix(owner);
                inner.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        let runs_here = |jail: &RunningJail| {
            let mut roots = self.roots.iter();
            roots.any(|root| Path::new(&jail.path).starts_with(root))
        };
        let here = running
            .iter()
            .filter(|jail| runs_here(jail) && !is_owned(jail));
        Ok(here
            .map(|jail| format!("{} (jid {})", jail.name, jail.jid))
            .collect())
    }

    /// What is mounted in them and is none of their own datasets, what was mounted last first: an
    /// earlier mount may be hidden by a later one.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn mounted(&self, system: &System) -> Result<Vec<PathBuf>> {
        let is_own = |mount: &Mount| {
            let dataset = mount.is_dataset().then(|| Dataset::printed(&mount.source));
            let dataset = dataset.flatten();
            dataset.is_some_and(|dataset| self.jails.iter().any(|jail| dataset.is_in(jail)))
        };
        let is_here = |mount: &Mount| {
            let mut roots = self.roots.iter();
            roots.any(|root| mount.mountpoint.starts_with(root))
        };
        let mounts = system.mounts()?;
        let table = mounts.all().iter().rev();
        let here = table.filter(|mount| is_here(mount) && !is_own(mount));
        Ok(here.map(|mount| mount.mountpoint.clone()).collect())
    }

    /// Unmounts all that.
    ///
    /// # Errors
    /// `InUse` at the first that is busy.
    pub fn unmount(&self, system: &System, pool: &PoolName) -> Result<()> {
        for place in self.mounted(system)? {
            let mut outcome = system.unmount(pool, &place);
            for _ in 1..TRIES {
                if !matches!(&outcome, Err(error) if error.code == Code::InUse) {
                    break;
                }
                std::thread::sleep(PAUSE);
                outcome = system.unmount(pool, &place);
            }
            outcome?;
        }
        match self.mounted(system)?.first() {
            None => Ok(()),
            Some(place) => {
                let message = format!("something is still mounted at {}", place.display());
                Err(Error::new(Code::InUse, message))
            }
        }
    }
}

/// Removes the logs of a jail or template, unless another one has the same; gives those that cannot
/// be removed.
///
/// # Errors
/// If the pool does not answer.
pub fn remove_logs(system: &System, members: &Members, name: &str) -> Result<Vec<PathBuf>> {
    let Some(root) = &members.jails.root else {
        return Ok(Vec::new());
    };
    let is_other = |member: &Member| member.jail.name != name;
    let others = members.all().filter(is_other);
    let kept: Vec<String> = others.flat_map(|other| logs(&other.jail.name)).collect();
    let own = logs(name).into_iter().filter(|log| !kept.contains(log));
    let own: Vec<PathBuf> = own.map(|log| root.join("log").join(log)).collect();
    system.on_files(&members.jails.pool, move || {
        let mut left = own;
        left.retain(|log| remove_regular(log).is_err());
        left
    })
}

/// The logs of a jail. iocage names them by the name in the kernel, and destroys one by the jail's
/// own (`ioc_start.py`, `ioc_destroy.py`).
fn logs(name: &str) -> [String; 3] {
    let in_kernel = name.replace('.', "_");
    [
        format!("ioc-{in_kernel}-console.log"),
        format!("{in_kernel}-console.log"),
        format!("{name}-console.log"),
    ]
}

/// The regular files and links in the folders `images` and `log` of iocage's root.
///
/// # Errors
/// If the pool does not answer, or a folder cannot be read.
pub fn files(system: &System, pool: &PoolName, root: &Path) -> Result<Vec<PathBuf>> {
    let folders = ["images", "log"].map(|folder| root.join(folder));
    let read = move || {
        let mut files = Vec::new();
        for folder in folders {
            match list_files(&folder) {
                Ok(found) => files.extend(found),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(format!("{}: {error}", folder.display())),
            }
        }
        files.sort_unstable();
        Ok(files)
    };
    let files = system.on_files(pool, read)?;
    files.map_err(|why| Error::new(Code::Failed, why))
}

fn list_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            files.push(entry.path());
        }
    }
    Ok(files)
}

/// Removes files, and gives those that cannot be removed.
///
/// # Errors
/// If the pool does not answer.
pub fn remove_files(system: &System, pool: &PoolName, files: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    system.on_files(pool, move || {
        let mut left = files;
        left.retain(|file| match std::fs::remove_file(file) {
            // A jail's log has gone with it.
            Err(error) => error.kind() != io::ErrorKind::NotFound,
            Ok(()) => false,
        });
        left
    })
}

/// Removes a regular file, if there is one.
fn remove_regular(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(data) if data.is_file() => std::fs::remove_file(path),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_the_name_of_the_kernel_or_of_the_jail() {
        let dotted = ["ioc-a_b-console.log", "a_b-console.log", "a.b-console.log"];
        assert_eq!(logs("a.b"), dotted);
        // Another jail's log may be called so too.
        assert!(logs("web").contains(&logs("ioc-web")[1]));
    }
}
