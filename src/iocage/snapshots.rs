//! The snapshots of one jail or template: taken, removed, gone back to.

use std::collections::BTreeSet;

use super::datasets::{self, value, Dataset};
use super::destruction::{held, patiently};
use crate::configuration::Program;
use crate::error::{Error, Result};
use crate::limits;
use crate::names::{PoolName, SnapshotName, Wrong};
use crate::system::{CommandLine, System};

/// The datasets of a jail or template with their snapshots, as they are now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// That of the jail first.
    holders: Vec<Holder>,
    /// The clones in the pool, and what each is of.
    clones: Vec<(Dataset, Dataset)>,
    /// The snapshots that somebody holds.
    held: BTreeSet<Dataset>,
}

#[derive(Debug, PartialEq, Eq)]
struct Holder {
    dataset: Dataset,
    /// The oldest first.
    snapshots: Vec<Dataset>,
}

impl Holders {
    /// # Errors
    /// If ZFS does not say.
    pub fn look(system: &System, pool: &PoolName, dataset: &Dataset) -> Result<Self> {
        // A clone may be anywhere in the pool.
        let everything = Dataset::of_pool(pool);
        let ask = |dataset, kinds, columns| datasets::list(system, dataset, kinds, None, columns);
        let (rows, snapshots) = system.side_by_side(
            || ask(&everything, "filesystem,volume", "name,origin"),
            // ZFS lists those of a dataset in the order in which they were made.
            || ask(dataset, "snapshot", "name,userrefs"),
        );
        Ok(Holders::of(dataset, &rows?, &snapshots?))
    }

    fn of(dataset: &Dataset, rows: &[Vec<String>], snapshots: &[Vec<String>]) -> Self {
        let printed = |row: &Vec<String>| Dataset::printed(&row[0]);
        let own = rows.iter().filter_map(printed);
        let own = own.filter(|name| name.is_in(dataset));
        let all: Vec<Dataset> = snapshots.iter().filter_map(printed).collect();
        let holder = |dataset: Dataset| {
            let of_it = all.iter();
            let of_it = of_it.filter(|snapshot| snapshot.without_snapshot() == &*dataset);
            Holder {
                snapshots: of_it.cloned().collect(),
                dataset,
            }
        };
        let clone = |row: &Vec<String>| {
            let origin = value(row, 1).and_then(Dataset::printed)?;
            Some((printed(row)?, origin))
        };
        Holders {
            holders: own.map(holder).collect(),
            clones: rows.iter().filter_map(clone).collect(),
            held: held(snapshots),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.holders.is_empty()
    }

    /// The snapshots of this name.
    pub fn called(&self, name: &SnapshotName) -> Vec<Dataset> {
        let all = self.holders.iter().flat_map(|holder| &holder.snapshots);
        all.filter(|snapshot| snapshot.snapshot() == Some(name))
            .cloned()
            .collect()
    }

    /// As [`Holders::called`], without those that go with another: a snapshot is destroyed on all
    /// datasets below at one moment.
    pub fn topmost(&self, name: &SnapshotName) -> Vec<Dataset> {
        let mut topmost: Vec<Dataset> = Vec::new();
        for snapshot in self.called(name) {
            let mut above = topmost.iter();
            if !above.any(|top| snapshot.is_in(top.without_snapshot())) {
                topmost.push(snapshot);
            }
        }
        topmost
    }

    /// Whether each dataset has room for a snapshot of this name.
    ///
    /// # Errors
    /// That it is too long.
    pub fn have_room(&self, name: &SnapshotName) -> std::result::Result<(), Wrong> {
        let most =
            |holder: &Holder| limits::DATASET_NAME_BYTES.saturating_sub(holder.dataset.len() + 1);
        match self.holders.iter().find(|holder| name.len() > most(holder)) {
            Some(holder) => {
                let (most, dataset) = (most(holder), &holder.dataset);
                Err(format!(
                    "longer than {most} bytes, for which {dataset} has room"
                ))
            }
            None => Ok(()),
        }
    }

    /// The datasets that have none of this name.
    pub fn lacking(&self, name: &SnapshotName) -> Vec<&Dataset> {
        let has = |holder: &&Holder| {
            let mut all = holder.snapshots.iter();
            all.any(|snapshot| snapshot.snapshot() == Some(name))
        };
        let lacking = self.holders.iter().filter(|holder| !has(holder));
        lacking.map(|holder| &holder.dataset).collect()
    }

    /// The snapshots that were made after that of this name, on the same dataset.
    pub fn later(&self, name: &SnapshotName) -> Vec<Dataset> {
        let later = |holder: &Holder| {
            let mut all = holder.snapshots.clone().into_iter();
            all.find(|snapshot| snapshot.snapshot() == Some(name));
            all
        };
        self.holders.iter().flat_map(later).collect()
    }

    /// The datasets that were cloned from one of `snapshots`.
    pub fn clones_of(&self, snapshots: &[Dataset]) -> Vec<&Dataset> {
        let clones = self.clones.iter();
        let clones = clones.filter(|(_, origin)| snapshots.contains(origin));
        clones.map(|(clone, _)| clone).collect()
    }

    /// Those of `snapshots` that somebody holds.
    pub fn held_of<'a>(&self, snapshots: &'a [Dataset]) -> Vec<&'a Dataset> {
        let all = snapshots.iter();
        all.filter(|one| self.held.contains(one)).collect()
    }

    /// Those of `snapshots` that are not there.
    pub fn missing<'a>(&self, snapshots: &'a [Dataset]) -> Vec<&'a Dataset> {
        let is_there = |one: &Dataset| {
            let mut all = self.holders.iter();
            all.any(|holder| holder.snapshots.contains(one))
        };
        let all = snapshots.iter();
        all.filter(|one| !is_there(one)).collect()
    }

    /// The datasets, that of the jail last.
    pub fn upwards(&self) -> impl Iterator<Item = &Dataset> {
        self.holders.iter().rev().map(|holder| &holder.dataset)
    }
}

/// Takes a snapshot of a dataset and of all below it, at one moment.
///
/// # Errors
/// If ZFS says that it has not.
pub fn take(system: &System, dataset: &Dataset, name: &SnapshotName) -> Result<()> {
    let line = CommandLine::new(Program::Zfs).words(&["snapshot", "-r"]);
    let output = system.run(&line.value(&dataset.at(name)))?;
    output.success().map(|_| ())
}

/// Takes each dataset back to its snapshot. What is later goes with `force` only: without it ZFS
/// itself refuses.
///
/// The jail's own dataset comes last. So a jail that was left in the middle still has its later
/// snapshots there, and they are listed as not on all datasets; to ask again does the rest.
///
/// Nothing can be asked afterwards but whether the later ones are gone. What a dataset refers to, or has
/// written since, ZFS counts some seconds late, and it is not that of its snapshot after going back
/// either: ZFS then frees files that were open and had no name (`zfs_unlinked_drain`).
///
/// # Errors
/// At the first dataset that ZFS does not take back, saying which it has.
pub fn roll_back(
    system: &System,
    holders: &Holders,
    name: &SnapshotName,
    force: bool,
) -> Result<()> {
    let mut done: Vec<&str> = Vec::new();
    let after = |done: &[&str], error: Error| match done.is_empty() {
        true => error.context("nothing was rolled back"),
        false => error.context(&format!("rolled back {}, then", done.join(", "))),
    };
    for dataset in holders.upwards() {
        let line = CommandLine::new(Program::Zfs).word("rollback");
        let line = if force { line.word("-r") } else { line };
        let output = patiently(system, &line.value(&dataset.at(name)));
        let output = output.and_then(|output| output.success());
        output.map_err(|error| after(&done, error))?;
        done.push(dataset);
    }
    Ok(())
}

/// The bookmarks that are later than the snapshot of this name on their dataset: going back destroys
/// them too. An older ZFS has no bookmarks.
///
/// # Errors
/// If `zfs` cannot be run.
pub fn later_bookmarks(
    system: &System,
    dataset: &Dataset,
    name: &SnapshotName,
) -> Result<Vec<Dataset>> {
    let line = CommandLine::new(Program::Zfs).words(&["get", "-H", "-p", "-r"]);
    let line = line.words(&["-t", "snapshot,bookmark", "-o", "name,value", "createtxg"]);
    let output = system.run(&line.value(dataset))?;
    Ok(match output.exit_code {
        0 => bookmarks_after(&datasets::rows(&output.stdout), name),
        _ => Vec::new(),
    })
}

/// Of snapshots and bookmarks with the transactions in which they were made.
fn bookmarks_after(rows: &[Vec<String>], name: &SnapshotName) -> Vec<Dataset> {
    let made = |row: &Vec<String>| row.get(1)?.parse::<u64>().ok();
    let is_later = |row: &&Vec<String>| {
        let Some((dataset, _)) = row[0].split_once('#') else {
            return false;
        };
        let snapshot = format!("{dataset}@{}", &**name);
        let snapshot = rows.iter().find(|row| row[0] == snapshot);
        // Where the dataset has no such snapshot there is no going back.
        snapshot.is_some_and(|snapshot| made(row) > made(snapshot))
    };
    let later = rows.iter().filter(is_later);
    later.filter_map(|row| Dataset::printed(&row[0])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_later_is_so_on_its_own_dataset() {
        let table = |text: &str| {
            let whole = text.replace(' ', "\t").replace('+', "tank/jails");
            datasets::rows(&whole)
        };
        let web = Dataset::printed("tank/jails/web").unwrap();
        let holders = Holders::of(
            &web,
            &table("+/web -\n+/web/root -\n+/web-2 -\n+/web-2/root +/web/root@z\ntank/x +/web@a"),
            &table("+/web@z\n+/web@m\n+/web@a\n+/web/root@m\n+/web/root@z"),
        );
        let names = |all: Vec<Dataset>| {
            let names = all.iter().map(|name| name.replace("tank/jails/", ""));
            names.collect::<Vec<_>>()
        };
        let name = |text: &str| SnapshotName::parse(text).unwrap();
        assert_eq!(names(holders.called(&name("z"))), ["web@z", "web/root@z"]);
        assert_eq!(
            names(holders.later(&name("z"))),
            ["web@m", "web@a"],
            "not by their names"
        );
        assert_eq!(names(holders.later(&name("m"))), ["web@a", "web/root@z"]);
        assert!(holders.later(&name("a")).is_empty());
        let root = "tank/jails/web/root";
        let lacking = holders.lacking(&name("a"));
        assert_eq!(lacking, [&Dataset::printed(root).unwrap()]);
        let clones = holders.clones_of(&holders.later(&name("m")));
        assert_eq!(clones.len(), 2);
        let order: Vec<&str> = holders.upwards().map(|dataset| &**dataset).collect();
        assert_eq!(order, [root, "tank/jails/web"]);
        assert_eq!(names(holders.topmost(&name("m"))), ["web@m"]);
    }

    #[test]
    fn a_bookmark_is_later_by_the_transaction_of_its_snapshot() {
        let rows = datasets::rows("t/a@s\t5\nt/a#same\t5\nt/a#old\t4\nt/a#new\t12\nt/b#new\t9");
        let later = bookmarks_after(&rows, &SnapshotName::parse("s").unwrap());
        assert_eq!(later, [Dataset::printed("t/a#new").unwrap()]);
    }
}
