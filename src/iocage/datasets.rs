//! Where iocage keeps things in a pool, and how to ask ZFS about them.
//!
//! Only options of `zfs` are used that FreeBSD, OpenZFS and zfs-fuse all understand.

use std::fmt;
use std::ops::Deref;

use crate::configuration::Program;
use crate::error::Result;
use crate::limits;
use crate::names::{Checked, JailName, PoolName, SnapshotName, Wrong};
use crate::system::{CommandLine, Mounts, System};

/// The name of a dataset or of a snapshot of one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dataset(String);

impl Dataset {
    /// The root dataset of a pool.
    pub fn of_pool(pool: &PoolName) -> Self {
        Dataset(pool.to_string())
    }

    /// The dataset that holds everything of iocage in a pool; its mountpoint is iocage's root on
    /// disk.
    pub fn root(pool: &PoolName) -> Self {
        Dataset(format!("{pool}/iocage"))
    }

    /// A name as ZFS prints it; none for a text that cannot be one.
    pub fn printed(name: &str) -> Option<Self> {
        let first = name.split(['/', '@', '#']).next().unwrap_or(name);
        let whole = !name.chars().any(char::is_control);
        (whole && PoolName::existing(first).is_ok()).then(|| Dataset(name.into()))
    }

    /// The dataset of a snapshot; a dataset itself if it is not a snapshot.
    pub fn without_snapshot(&self) -> &str {
        self.0.split('@').next().unwrap_or(&self.0)
    }

    /// The name of a snapshot, without that of its dataset.
    pub fn snapshot(&self) -> Option<&str> {
        self.0.split_once('@').map(|(_, snapshot)| snapshot)
    }

    /// The snapshot of this name of a dataset.
    pub fn at(&self, snapshot: &SnapshotName) -> Self {
        Dataset(format!("{self}@{}", &**snapshot))
    }

    /// Whether it is `parent` or below it; a snapshot is where its dataset is.
    pub fn is_in(&self, parent: &str) -> bool {
        let below = self.without_snapshot().strip_prefix(parent);
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl Checked for Dataset {
    fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Dataset {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Dataset {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A family of datasets below `<pool>/iocage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    Download,
    Jails,
    Releases,
    Templates,
}

impl Family {
    pub const ALL: [Family; 4] = [
        Family::Download,
        Family::Jails,
        Family::Releases,
        Family::Templates,
    ];

    /// The last part of its dataset's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Family::Download => "download",
            Family::Jails => "jails",
            Family::Releases => "releases",
            Family::Templates => "templates",
        }
    }

    /// A member of it in a word.
    pub fn one(self) -> &'static str {
        match self {
            Family::Download => "download",
            Family::Jails => "jail",
            Family::Releases => "release",
            Family::Templates => "template",
        }
    }

    /// The dataset that holds the family: `tank/iocage/jails`.
    pub fn dataset(self, pool: &PoolName) -> Dataset {
        Dataset(format!("{pool}/iocage/{}", self.as_str()))
    }

    /// The dataset of a member of the family; none for a text that cannot be its name.
    pub fn member_dataset(self, pool: &PoolName, member: &str) -> Option<Dataset> {
        let name = format!("{}/{member}", self.dataset(pool));
        (!member.is_empty() && !member.contains(['/', '@', '#']))
            .then(|| Dataset::printed(&name))
            .flatten()
    }

    /// Whether the datasets of a new member have room for its name.
    ///
    /// # Errors
    /// That it is too long.
    pub fn has_room(self, pool: &PoolName, name: &JailName) -> std::result::Result<(), Wrong> {
        let parent = self.dataset(pool);
        let taken = parent.len() + "//root".len();
        let most = limits::DATASET_NAME_BYTES.saturating_sub(taken);
        match name.len() > most {
            true => Err(format!(
                "longer than {most} bytes, for which {parent} has room"
            )),
            false => Ok(()),
        }
    }

    /// The member of the family that `dataset` is or belongs to: `web` for
    /// `tank/iocage/jails/web/root`.
    pub fn member<'a>(self, pool: &str, dataset: &'a str) -> Option<&'a str> {
        let rest = dataset.strip_prefix(pool)?.strip_prefix("/iocage/")?;
        let rest = rest.strip_prefix(self.as_str())?.strip_prefix('/')?;
        rest.split(['/', '@']).next()
    }
}

/// The dataset of the exported jails.
pub fn images(pool: &PoolName) -> Dataset {
    Dataset(format!("{pool}/iocage/images"))
}

/// The jail or template that `dataset` is or belongs to.
pub fn jail_or_template<'a>(pool: &str, dataset: &'a str) -> Option<(Family, &'a str)> {
    let mut families = [Family::Jails, Family::Templates].into_iter();
    families.find_map(|family| Some((family, family.member(pool, dataset)?)))
}

/// The member of whichever family that `dataset` is or belongs to.
pub fn member<'a>(pool: &str, dataset: &'a str) -> Option<(Family, &'a str)> {
    let mut families = Family::ALL.into_iter();
    families.find_map(|family| Some((family, family.member(pool, dataset)?)))
}

/// Asks ZFS for `columns` of `dataset` and of those below it, down to `depth` if given. A dataset
/// that does not exist has no rows.
pub fn list(
    system: &System,
    dataset: &Dataset,
    kinds: &'static str,
    depth: Option<u32>,
    columns: &'static str,
) -> Result<Vec<Vec<String>>> {
    let line = CommandLine::new(Program::Zfs);
    let line = line.words(&["list", "-H", "-r", "-t", kinds, "-o", columns]);
    let line = match depth {
        Some(depth) => line.word("-d").number(depth.into()),
        None => line,
    };
    let output = system.run(&line.value(dataset))?;
    if output.exit_code != 0 && output.stderr.contains("dataset does not exist") {
        return Ok(Vec::new());
    }
    Ok(rows(&output.success()?))
}

/// The members of `family` in `pool`, by name.
pub fn members(system: &System, pool: &PoolName, family: Family) -> Result<Vec<String>> {
    let dataset = family.dataset(pool);
    let rows = list(system, &dataset, "filesystem", Some(1), "name")?;
    Ok(rows
        .iter()
        .filter_map(|row| family.member(pool, &row[0]))
        .map(String::from)
        .collect())
}

/// The rows of what `zfs` or `zpool` prints with `-H`.
pub fn rows(output: &str) -> Vec<Vec<String>> {
    output
        .lines()
        .map(|line| line.split('\t').map(String::from).collect())
        .collect()
}

/// The value in a column, if ZFS has one: it prints `-` for none.
pub fn value(row: &[String], column: usize) -> Option<&str> {
    row.get(column)
        .map(String::as_str)
        .filter(|value| *value != "-")
}

/// Where iocage's root dataset of `pool` is mounted, if it is.
pub fn folder<'a>(mounts: &'a Mounts, pool: &PoolName) -> Option<&'a std::path::Path> {
    mounts.mountpoint(&Dataset::root(pool))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_the_next_name_below_its_family() {
        let jail = |dataset| Family::Jails.member("tank", dataset);
        assert_eq!(jail("tank/iocage/jails/web/root/data"), Some("web"));
        assert_eq!(jail("tank/iocage/jails/web"), Some("web"));
        assert_eq!(jail("tank/iocage/jails/web@daily"), Some("web"));
        assert_eq!(jail("tank/iocage/jails"), None);
        assert_eq!(jail("tank/iocage/jailsx/web"), None);
        assert_eq!(jail("tank2/iocage/jails/web"), None);
    }

    #[test]
    fn a_new_name_has_the_room_that_the_pool_leaves() {
        let room = |pool: &str, length: usize| {
            let name = JailName::of_new(&"x".repeat(length)).unwrap();
            Family::Jails.has_room(&PoolName::parse(pool).unwrap(), &name)
        };
        assert_eq!(room("tank", 200), Ok(()));
        let pool = "p".repeat(100);
        let most = 255 - format!("{pool}/iocage/jails//root").len();
        assert_eq!(room(&pool, most), Ok(()));
        assert!(room(&pool, most + 1).unwrap_err().contains(&pool));
        assert!(room(&"p".repeat(250), 1).is_err());
    }

    #[test]
    fn only_what_can_be_a_dataset_is_taken_for_one() {
        for name in ["tank", "tank/iocage/jails/-x", "tank/a b@c:d"] {
            assert!(Dataset::printed(name).is_some(), "{name}");
        }
        for name in ["", "-r", "/tank", "tank/\u{7}", "-o tank"] {
            assert!(Dataset::printed(name).is_none(), "{name}");
        }
        let root = Dataset::printed("tank/foo/root@s").unwrap();
        assert_eq!(root.snapshot(), Some("s"));
        assert!(root.is_in("tank/foo") && root.is_in("tank/foo/root"));
        assert!(!root.is_in("tank/fo") && !root.is_in("tank/foo/root/s"));
        let pool = PoolName::parse("tank").unwrap();
        assert!(Family::Jails.member_dataset(&pool, "a/b").is_none());
        let web = Family::Jails.member_dataset(&pool, "web").unwrap();
        assert_eq!(&*web, "tank/iocage/jails/web");
    }
}
