//! What a jail has outside its datasets: what is mounted in it, and its logs.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::datasets::Dataset;
use super::destruction::{PAUSE, TRIES};
use super::selection::{Member, Members};
use crate::error::{Code, Error, Result};
use crate::names::PoolName;
use crate::system::{Mount, Mounts, RunningJail, System};

/// The roots of jails.
#[derive(Debug, Default)]
pub struct Roots {
    jails: BTreeSet<String>,
}

impl Roots {
    /// Of these datasets of jails.
    pub fn of<'a>(jails: impl Iterator<Item = &'a Dataset>) -> Self {
        Roots {
            jails: jails.map(ToString::to_string).collect(),
        }
    }

    /// Where they are mounted, and which mount that is.
    fn places(&self, mounts: &Mounts) -> BTreeMap<PathBuf, usize> {
        let mut places = BTreeMap::new();
        for (index, mount) in datasets(mounts).into_values() {
            let jail = mount.source.strip_suffix("/root");
            if jail.is_some_and(|jail| self.jails.contains(jail)) {
                places.insert(mount.mountpoint.clone(), index);
            } else if self.jails.contains(&mount.source) {
                // Where the root is no dataset of its own, or is not mounted.
                places.entry(mount.mountpoint.join("root")).or_insert(index);
            }
        }
        // Nobody's root is that of the host.
        places.remove(Path::new("/"));
        places
    }

    /// The jails that run in one of them, whatever they are called: all but those with these jids
    /// and the jails inside of those, which end with them.
    ///
    /// # Errors
    /// If jls, or the mount table, does not say.
    pub fn intruders(&self, system: &System, jids: &[&str]) -> Result<Vec<String>> {
        let places = self.places(&*system.mounts()?);
        let running = system.running_jails()?;
        let owners = running.iter().filter(|jail| jids.contains(&&*jail.jid));
        let owners: BTreeSet<&str> = owners.map(|jail| &*jail.name).collect();
        // The kernel puts the name of the outer jail and a dot in front.
        let is_owned = |jail: &RunningJail| {
            let dots = jail.name.match_indices('.').map(|(at, _)| at);
            let mut outer = dots.chain([jail.name.len()]);
            outer.any(|end| owners.contains(&jail.name[..end]))
        };
        let runs_here = |jail: &RunningJail| {
            let mut above = Path::new(&jail.path).ancestors();
            above.any(|place| places.contains_key(place))
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
        Ok(self.mounted_of(&*system.mounts()?))
    }

    fn mounted_of(&self, mounts: &Mounts) -> Vec<PathBuf> {
        let places = self.places(mounts);
        let datasets = datasets(mounts);
        let is_own = |index: usize, mount: &Mount| {
            let first = datasets.get(&*mount.source);
            let is_first = first.is_some_and(|(first, _)| *first == index);
            let dataset = Dataset::printed(&mount.source).filter(|_| is_first);
            dataset.is_some_and(|dataset| {
                let name = dataset.without_snapshot();
                let parts = name.match_indices('/').map(|(at, _)| at);
                let mut above = parts.chain([name.len()]);
                above.any(|end| self.jails.contains(&name[..end]))
            })
        };
        // What was mounted before a root is not in it, but under it.
        let is_in_one = |index: usize, mount: &Mount| {
            let mut above = mount.mountpoint.ancestors();
            above.any(|place| places.get(place).is_some_and(|root| *root < index))
        };
        let table = mounts.all().iter().enumerate().rev();
        let here =
            table.filter(|(index, mount)| is_in_one(*index, mount) && !is_own(*index, mount));
        here.map(|(_, mount)| mount.mountpoint.clone()).collect()
    }

    /// Unmounts all that, and says in `done` what is unmounted.
    ///
    /// # Errors
    /// `InUse` at the first that is busy.
    pub fn unmount(&self, system: &System, pool: &PoolName, done: &mut Vec<PathBuf>) -> Result<()> {
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
            done.push(place);
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

/// The datasets by name, each with its mount and which one that is. What has been mounted once more is
/// bound there (Linux).
fn datasets(mounts: &Mounts) -> BTreeMap<&str, (usize, &Mount)> {
    let all = mounts.all().iter().enumerate().rev();
    let datasets = all.filter(|(_, mount)| mount.is_dataset());
    // Of those with one name the last is kept, so the first mounted.
    let datasets = datasets.map(|(index, mount)| (&*mount.source, (index, mount)));
    datasets.collect()
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

    #[test]
    fn what_is_mounted_in_a_root_is_what_came_after_it() {
        let mount = |(kind, source, mountpoint): (&str, &str, &str)| Mount {
            source: source.into(),
            mountpoint: mountpoint.into(),
            kind: kind.into(),
        };
        let table = [
            ("nullfs", "/a", "/j/web/root/early"),
            ("zfs", "t/j/web", "/j/web"),
            ("zfs", "t/j/web/root", "/j/web/root"),
            ("zfs", "t/j/web/root/data", "/j/web/root/data"),
            ("zfs", "t/j/web/root@s", "/j/web/root/.zfs/snapshot/s"),
            ("zfs", "t/j/web2/root", "/j/web2/root"),
            ("devfs", "devfs", "/j/web2/root/dev"),
            ("devfs", "devfs", "/j/web/root/dev"),
            ("fdescfs", "fdescfs", "/j/web/root/dev/fd"),
            ("zfs", "t/mine", "/j/web/root/mine"),
            ("zfs", "t/j/web/root", "/j/web/root/again"),
            ("bind", "t/j/web/root", "/j/web/root/part"),
            ("zfs", "t/j/web/root", "/elsewhere"),
            ("tmpfs", "tmpfs", "/elsewhere/tmp"),
            ("nullfs", "/b", "/j/web/root/dev"),
            ("zfs", "t/j/none", "/j/none"),
            ("tmpfs", "tmpfs", "/j/none/root/tmp"),
            ("tmpfs", "tmpfs", "/j/none/other"),
        ];
        let mounts = Mounts::of(table.map(mount).to_vec());
        let jails = ["t/j/web", "t/j/none"].map(|name| Dataset::printed(name).unwrap());
        let mounted = Roots::of(jails.iter()).mounted_of(&mounts);
        let expected = [
            "/j/none/root/tmp",
            "/j/web/root/dev",
            "/j/web/root/part",
            "/j/web/root/again",
            "/j/web/root/mine",
            "/j/web/root/dev/fd",
            "/j/web/root/dev",
        ];
        assert_eq!(mounted, expected.map(PathBuf::from));
    }
}
