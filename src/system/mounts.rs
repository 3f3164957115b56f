//! The mount table: where each dataset is mounted.
//!
//! Unlike ZFS's `mountpoint` property it is right for legacy mounts, for alternate roots and for a
//! dataset that was mounted elsewhere by hand, and one system call reads it.

use std::ffi::OsStr;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;

use super::platform::Mount;

/// The mount table at one moment.
#[derive(Debug, Default)]
pub struct Mounts {
    /// In the order of mounting.
    all: Vec<Mount>,
    /// Which of them are not hidden, by mountpoint.
    by_mountpoint: Vec<u32>,
    /// The datasets of those, by name and each once.
    datasets: Vec<u32>,
}

impl Mounts {
    /// `mounts` in the order in which they were mounted: a later one hides an earlier one at the
    /// same place.
    pub fn of(mounts: Vec<Mount>) -> Self {
        let mount = |index: &u32| &mounts[*index as usize];
        let place = |index: &u32| bytes(&mount(index).mountpoint);
        let name = |index: &u32| &*mount(index).source;
        let mut by_mountpoint: Vec<u32> = (0..).zip(&mounts).map(|(index, _)| index).collect();
        by_mountpoint.sort_by(|one, other| place(one).cmp(place(other)).then(other.cmp(one)));
        by_mountpoint.dedup_by(|hidden, shown| place(hidden) == place(shown));
        // A file system of another type may have the name of a dataset.
        let datasets = by_mountpoint.iter().copied();
        let mut datasets: Vec<u32> = datasets.filter(|index| mount(index).is_dataset()).collect();
        // Of a dataset that is mounted more than once, the first place counts: the sort is stable.
        datasets.sort_by(|one, other| name(one).cmp(name(other)));
        datasets.dedup_by(|other, first| name(other) == name(first));
        Mounts {
            by_mountpoint,
            datasets,
            all: mounts,
        }
    }

    /// All of them in the order of mounting; what is hidden by a later one too.
    pub fn all(&self) -> &[Mount] {
        &self.all
    }

    /// Whether the mount table is this one still.
    pub fn is_of(&self, mounts: &[Mount]) -> bool {
        self.all == mounts
    }

    /// Where `dataset` is mounted, if it is.
    pub fn mountpoint(&self, dataset: &str) -> Option<&Path> {
        let name = |index: &u32| &*self.all[*index as usize].source;
        let found = self
            .datasets
            .binary_search_by(|index| name(index).cmp(dataset));
        let index = self.datasets[found.ok()?];
        Some(&self.all[index as usize].mountpoint)
    }

    /// Whether something is mounted at `path` itself, whatever its type.
    pub fn is_mountpoint(&self, path: &Path) -> bool {
        self.at(path.components().as_path()).is_some()
    }

    /// The datasets directly below `parent` that are mounted, by the last part of their names.
    pub fn below<'a>(&'a self, parent: &'a str) -> impl Iterator<Item = (&'a str, &'a Path)> {
        self.subtree(parent).filter(|(name, _)| !name.contains('/'))
    }

    /// What is mounted below the dataset `parent`, and where, as one number: another number is
    /// another state (collision probability 2^-64). It means nothing to another process.
    pub fn fingerprint(&self, parent: &str) -> u64 {
        static STATE: OnceLock<RandomState> = OnceLock::new();
        let subtree = self.subtree(parent);
        let subtree: Vec<(&str, &OsStr)> = subtree
            .map(|(name, mountpoint)| (name, mountpoint.as_os_str()))
            .collect();
        STATE.get_or_init(RandomState::new).hash_one(subtree)
    }

    /// The datasets below `parent` that are mounted, by the rest of their names, in order.
    pub fn subtree<'a>(&'a self, parent: &'a str) -> impl Iterator<Item = (&'a str, &'a Path)> {
        let first = format!("{parent}/");
        let mount = |index: &u32| &self.all[*index as usize];
        let begin = self
            .datasets
            .partition_point(|index| *mount(index).source < *first);
        self.datasets[begin..]
            .iter()
            .map_while(move |index| {
                let mount = &self.all[*index as usize];
                let name = mount.source.strip_prefix(parent)?.strip_prefix('/')?;
                Some((name, mount.mountpoint.as_path()))
            })
            // A snapshot that is being looked into (`.zfs/snapshot`) is mounted too.
            .filter(|(name, _)| !name.contains('@'))
    }

    /// What is mounted at the nearest mountpoint above `path`, or at `path` itself, whatever its
    /// type.
    pub fn source_of(&self, path: &Path) -> Option<&str> {
        self.nearest(path).map(|mount| &*mount.source)
    }

    /// The dataset that `path` is in; none if that is a file system of another type.
    pub fn dataset_of(&self, path: &Path) -> Option<&str> {
        let mount = self.nearest(path).filter(|mount| is_zfs(&mount.kind));
        mount.map(|mount| &*mount.source)
    }

    fn nearest(&self, path: &Path) -> Option<&Mount> {
        // Without a slash at its end.
        let mut places = path.components().as_path().ancestors();
        places.find_map(|place| self.at(place))
    }

    /// What is mounted at a path without a slash at its end.
    fn at(&self, path: &Path) -> Option<&Mount> {
        let mount = |index: &u32| &self.all[*index as usize];
        let place = bytes(path);
        let found = self
            .by_mountpoint
            .binary_search_by(|index| bytes(&mount(index).mountpoint).cmp(place));
        Some(mount(&self.by_mountpoint[found.ok()?]))
    }
}

/// The bytes of a path: comparing it part by part takes ten times as long.
fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

impl Mount {
    /// Whether it is a dataset, or a snapshot of one.
    pub fn is_dataset(&self) -> bool {
        is_zfs(&self.kind)
    }
}

/// Whether a file system of this type is a dataset: ZFS's, or that of zfs-fuse on Linux.
fn is_zfs(kind: &str) -> bool {
    ["zfs", "fuse.zfs"].contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(source: &str, mountpoint: &str) -> Mount {
        typed("zfs", source, mountpoint)
    }

    fn typed(kind: &str, source: &str, mountpoint: &str) -> Mount {
        Mount {
            source: source.into(),
            mountpoint: mountpoint.into(),
            kind: kind.into(),
        }
    }

    #[test]
    fn a_later_mount_hides_an_earlier_one_at_the_same_place() {
        let mounts = Mounts::of(vec![
            typed("ufs", "/dev/ada0p2", "/"),
            mount("tank/iocage", "/iocage"),
            mount("tank/other", "/iocage"),
            mount("tank/iocage/jails", "/iocage/jails"),
        ]);
        assert_eq!(mounts.mountpoint("tank/iocage"), None);
        assert_eq!(mounts.mountpoint("tank/other"), Some(Path::new("/iocage")));
        assert_eq!(
            mounts.source_of(Path::new("/iocage/jails/")),
            Some("tank/iocage/jails")
        );
        assert_eq!(
            mounts.source_of(Path::new("/iocage/jails/web")),
            Some("tank/iocage/jails")
        );
        assert_eq!(
            mounts.source_of(Path::new("/iocage/log")),
            Some("tank/other")
        );
        assert!(mounts.is_mountpoint(Path::new("/iocage/jails/")));
        assert!(!mounts.is_mountpoint(Path::new("/iocage/log")));
        assert_eq!(mounts.source_of(Path::new("/etc")), Some("/dev/ada0p2"));
        let below: Vec<_> = mounts.below("tank/iocage").collect();
        assert_eq!(below, [("jails", Path::new("/iocage/jails"))]);
    }

    #[test]
    fn a_fingerprint_is_that_of_what_is_below() {
        let of = |web: &str, other: &str| {
            let mounts = Mounts::of(vec![
                mount("tank/jails", "/jails"),
                mount("tank/jails/web", web),
                mount("tank/jails/web@daily", "/jails/web/.zfs/snapshot/daily"),
                mount("tank/jailsx", "/jails/x"),
                mount("tank/jails-old", other),
            ]);
            assert!(mounts.below("tank/jails").all(|(name, _)| name == "web"));
            mounts.fingerprint("tank/jails")
        };
        assert_eq!(of("/jails/web", "/old"), of("/jails/web", "/elsewhere"));
        assert_ne!(of("/jails/web", "/old"), of("/mnt", "/old"));
        let hidden = of("/jails/web", "/jails/web");
        assert_ne!(of("/jails/web", "/old"), hidden);
    }

    #[test]
    fn a_file_system_of_another_type_is_no_dataset_whatever_its_name() {
        for kind in ["tmpfs", "nullfs", "ext4", "fuse", "fuse.sshfs", "unionfs"] {
            let mounts = Mounts::of(vec![
                mount("tank/jails", "/jails"),
                mount("tank/jails/web", "/jails/web"),
                typed(kind, "tank/jails/db", "/jails/db"),
                typed(kind, "tank/jails/web", "/aside"),
                typed(kind, "other", "/jails/web"),
            ]);
            assert_eq!(mounts.below("tank/jails").count(), 0, "{kind}");
            assert_eq!(mounts.mountpoint("tank/jails/web"), None, "it is hidden");
            let at = Path::new("/jails/db/root");
            assert_eq!(mounts.source_of(at), Some("tank/jails/db"));
            assert_eq!(mounts.dataset_of(at), None, "{kind}");
        }
        let fuse = Mounts::of(vec![typed("fuse.zfs", "tank/jails", "/jails")]);
        assert_eq!(fuse.dataset_of(Path::new("/jails/x")), Some("tank/jails"));
    }

    #[test]
    fn the_mount_table_of_this_host_is_understood() {
        // Linux: not the root, which a chroot does not have there, and btrfs as a subvolume.
        let place = if cfg!(target_os = "linux") {
            "/proc"
        } else {
            "/"
        };
        assert!(Mounts::of(crate::system::platform::mount_table().unwrap())
            .source_of(Path::new(place))
            .is_some());
    }
}
