//! The mount table: where each dataset is mounted.
//!
//! It is asked instead of ZFS's `mountpoint` property because it is right for legacy mounts, for
//! alternate roots and for a dataset mounted elsewhere by hand, and one system call reads it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::platform;
use crate::error::{Code, Error, Result};

/// One file system of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted; for ZFS the name of the dataset.
    pub source: String,
    pub mountpoint: PathBuf,
}

/// The mount table at one moment.
#[derive(Debug, Default)]
pub struct Mounts {
    by_source: HashMap<String, PathBuf>,
    by_mountpoint: HashMap<PathBuf, String>,
}

impl Mounts {
    pub fn read() -> Result<Self> {
        platform::mount_table()
            .map(Self::of)
            .map_err(|error| Error::new(Code::Unavailable, format!("the mount table: {error}")))
    }

    /// `mounts` in the order in which they were mounted: a later one hides an earlier one at the
    /// same place.
    fn of(mounts: Vec<Mount>) -> Self {
        let mut table = Mounts::default();
        for mount in mounts {
            table.by_mountpoint.insert(mount.mountpoint, mount.source);
        }
        for (mountpoint, source) in &table.by_mountpoint {
            let place = table
                .by_source
                .entry(source.clone())
                .or_insert_with(|| mountpoint.clone());
            if mountpoint < place {
                place.clone_from(mountpoint);
            }
        }
        table
    }

    /// Where `dataset` is mounted, if it is.
    pub fn mountpoint(&self, dataset: &str) -> Option<&Path> {
        self.by_source.get(dataset).map(PathBuf::as_path)
    }

    /// The datasets directly below `parent` that are mounted, by the last part of their names.
    pub fn below<'a>(&'a self, parent: &'a str) -> impl Iterator<Item = (&'a str, &'a Path)> {
        self.by_source
            .iter()
            .filter_map(move |(source, mountpoint)| {
                let name = source.strip_prefix(parent)?.strip_prefix('/')?;
                (!name.contains('/')).then_some((name, mountpoint.as_path()))
            })
    }

    /// What is mounted at the nearest mountpoint above `path`, or at `path` itself.
    pub fn source_of(&self, path: &Path) -> Option<&str> {
        path.ancestors()
            .find_map(|place| self.by_mountpoint.get(place))
            .map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(source: &str, mountpoint: &str) -> Mount {
        Mount {
            source: source.into(),
            mountpoint: mountpoint.into(),
        }
    }

    #[test]
    fn a_later_mount_hides_an_earlier_one_at_the_same_place() {
        let mounts = Mounts::of(vec![
            mount("/dev/ada0p2", "/"),
            mount("tank/iocage", "/iocage"),
            mount("tank/other", "/iocage"),
            mount("tank/iocage/jails", "/iocage/jails"),
        ]);
        assert_eq!(mounts.mountpoint("tank/iocage"), None);
        assert_eq!(mounts.mountpoint("tank/other"), Some(Path::new("/iocage")));
        assert_eq!(
            mounts.source_of(Path::new("/iocage/jails/web")),
            Some("tank/iocage/jails")
        );
        assert_eq!(
            mounts.source_of(Path::new("/iocage/log")),
            Some("tank/other")
        );
        assert_eq!(mounts.source_of(Path::new("/etc")), Some("/dev/ada0p2"));
        let below: Vec<_> = mounts.below("tank/iocage").collect();
        assert_eq!(below, [("jails", Path::new("/iocage/jails"))]);
    }

    #[test]
    fn this_host_has_a_root() {
        assert!(Mounts::read().unwrap().source_of(Path::new("/")).is_some());
    }
}
