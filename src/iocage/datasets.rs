//! Where iocage keeps things in a pool, and how to ask ZFS about them.
//!
//! The options used with `zfs` are those that FreeBSD's, OpenZFS's and zfs-fuse's understand.

use std::path::PathBuf;

use crate::error::Result;
use crate::system::System;

/// A family of datasets below `<pool>/iocage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    Download,
    Jails,
    Releases,
    Templates,
}

impl Family {
    fn as_str(self) -> &'static str {
        match self {
            Family::Download => "download",
            Family::Jails => "jails",
            Family::Releases => "releases",
            Family::Templates => "templates",
        }
    }

    /// The dataset that holds the family: `tank/iocage/jails`.
    pub fn dataset(self, pool: &str) -> String {
        format!("{}/{}", root(pool), self.as_str())
    }

    /// The member of the family that `dataset` is or belongs to: `web` for
    /// `tank/iocage/jails/web/root`.
    pub fn member<'a>(self, pool: &str, dataset: &'a str) -> Option<&'a str> {
        let rest = dataset
            .strip_prefix(&self.dataset(pool))?
            .strip_prefix('/')?;
        rest.split('/').next()
    }
}

/// The dataset that holds everything; its mountpoint is iocage's root on disk.
pub fn root(pool: &str) -> String {
    format!("{pool}/iocage")
}

/// Where that dataset is mounted, if it is.
pub fn folder(system: &System, pool: &str) -> Result<Option<PathBuf>> {
    Ok(system.mounts()?.mountpoint(&root(pool)).map(PathBuf::from))
}

/// The dataset that `snapshot` is of.
pub fn of_snapshot(snapshot: &str) -> &str {
    snapshot.split('@').next().unwrap_or(snapshot)
}

/// Asks ZFS for `columns` of `dataset` and of those below it, down to `depth` where given. A
/// dataset that does not exist has none.
pub fn list(
    system: &System,
    dataset: &str,
    kinds: &str,
    depth: Option<u32>,
    columns: &[&str],
) -> Result<Vec<Vec<String>>> {
    let depth = depth.map(|depth| depth.to_string());
    let columns = columns.join(",");
    let mut arguments = vec!["list", "-H", "-r", "-t", kinds, "-o", &columns];
    if let Some(depth) = &depth {
        arguments.extend(["-d", depth]);
    }
    arguments.push(dataset);
    let output = system.zfs(&arguments)?;
    if output.exit_code != 0 && output.stderr.contains("dataset does not exist") {
        return Ok(Vec::new());
    }
    Ok(rows(&output.success()?))
}

/// The members of `family` in `pool`, by name.
pub fn members(system: &System, pool: &str, family: Family) -> Result<Vec<String>> {
    let rows = list(
        system,
        &family.dataset(pool),
        "filesystem",
        Some(1),
        &["name"],
    )?;
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

/// The value in a column, where ZFS has one: it prints `-` for none.
pub fn value(row: &[String], column: usize) -> Option<&str> {
    row.get(column)
        .map(String::as_str)
        .filter(|value| *value != "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_the_next_name_below_its_family() {
        let jail = |dataset| Family::Jails.member("tank", dataset);
        assert_eq!(jail("tank/iocage/jails/web/root/data"), Some("web"));
        assert_eq!(jail("tank/iocage/jails/web"), Some("web"));
        assert_eq!(jail("tank/iocage/jails"), None);
        assert_eq!(jail("tank/iocage/jailsx/web"), None);
        assert_eq!(jail("tank2/iocage/jails/web"), None);
    }
}
