//! What belongs to a jail, a template or a release, and goes with it: its datasets, its snapshots,
//! and the snapshots of others that it was made from.

use std::collections::{BTreeMap, BTreeSet};

use super::datasets::{self, member, value, Dataset, Family};
use super::destruction::{destroy, destroy_snapshot, held, in_order};
use super::destruction::{Before, Plan, Unit};
use crate::configuration::Program;
use crate::error::Result;
use crate::names::PoolName;
use crate::system::{CommandLine, System};

/// The property in which a jail's own dataset has the origin of its root while it is destroyed. Once
/// the root is gone, nothing else says that they belong together.
const ORIGIN: &str = "sysadm-iocage:origin";

/// The datasets of a pool with their origins, and all snapshots of iocage's, as they are now.
#[derive(Debug, Default)]
pub struct Stock {
    pub rows: Vec<Vec<String>>,
    origins: BTreeMap<Dataset, Option<Dataset>>,
    /// What [`ORIGIN`] says.
    noted: BTreeMap<Dataset, Dataset>,
    /// By their origin.
    clones: BTreeMap<Dataset, Vec<Dataset>>,
    snapshots: BTreeSet<Dataset>,
    /// Those of them that somebody holds.
    held: BTreeSet<Dataset>,
}

/// What goes with a unit of a plan.
#[derive(Debug, PartialEq, Eq)]
pub struct Belongings {
    pub unit: Unit,
    /// Its datasets, those below first.
    pub datasets: Vec<Dataset>,
    /// Its own snapshots.
    pub snapshots: Vec<Dataset>,
    /// The snapshots of a release or a template that were made for it; its origin comes last.
    pub sources: Vec<Dataset>,
    /// The snapshots that were made for it and stay: they are those of a jail that stays.
    pub left: Vec<Dataset>,
    /// Those of its snapshots and sources that somebody holds.
    pub held: Vec<Dataset>,
    /// The datasets directly below its own, clones of each other in their order.
    children: Vec<Dataset>,
}

impl Stock {
    /// # Errors
    /// If ZFS does not say.
    pub fn take(system: &System, pool: &PoolName) -> Result<Self> {
        let (everything, iocages) = (Dataset::of_pool(pool), Dataset::root(pool));
        let ask = |dataset, kinds, columns| datasets::list(system, dataset, kinds, None, columns);
        let (rows, snapshots) = system.side_by_side(
            || {
                let columns = "name,origin,sysadm-iocage:origin";
                ask(&everything, "filesystem,volume", columns)
            },
            || ask(&iocages, "snapshot", "name,userrefs"),
        );
        Ok(Stock::of(rows?, &snapshots?))
    }

    /// Takes the snapshots of those of `units` too that are not iocage's.
    ///
    /// # Errors
    /// If ZFS does not say.
    pub fn take_others<'a>(
        &mut self,
        system: &System,
        pool: &PoolName,
        units: impl Iterator<Item = &'a Unit>,
    ) -> Result<()> {
        let iocages = Dataset::root(pool);
        for unit in units.filter(|unit| !unit.dataset.is_in(&iocages)) {
            let columns = "name,userrefs";
            let rows = datasets::list(system, &unit.dataset, "snapshot", None, columns)?;
            self.add_snapshots(&rows);
        }
        Ok(())
    }

    fn add_snapshots(&mut self, rows: &[Vec<String>]) {
        let names = rows.iter().filter_map(|row| Dataset::printed(&row[0]));
        self.snapshots.extend(names);
        self.held.extend(held(rows));
    }

    fn of(rows: Vec<Vec<String>>, snapshots: &[Vec<String>]) -> Self {
        let mut stock = Stock::default();
        stock.add_snapshots(snapshots);
        for row in &rows {
            let Some(dataset) = Dataset::printed(&row[0]) else {
                continue;
            };
            let origin = value(row, 1).and_then(Dataset::printed);
            if let Some(origin) = origin.clone() {
                stock
                    .clones
                    .entry(origin)
                    .or_default()
                    .push(dataset.clone());
            }
            if let Some(noted) = value(row, 2).and_then(Dataset::printed) {
                stock.noted.insert(dataset.clone(), noted);
            }
            stock.origins.insert(dataset, origin);
        }
        Stock { rows, ..stock }
    }

    /// What belongs to each unit that `goes`.
    pub fn belongings(
        &self,
        pool: &PoolName,
        plan: &Plan,
        goes: impl Fn(&Unit) -> bool,
    ) -> Vec<Belongings> {
        let going: Vec<&Unit> = plan.units.iter().filter(|unit| goes(unit)).collect();
        let parts = going.iter().map(|unit| self.parts(unit));
        let all_parts: Vec<Vec<Dataset>> = parts.collect();
        let gone: BTreeSet<&str> = all_parts.iter().flatten().map(|part| &**part).collect();
        let units = going.iter().zip(&all_parts);
        units
            .map(|(unit, parts)| {
                let (sources, left) = self.sources(pool, unit, &gone);
                let children = self.children(unit, parts);
                let snapshots: Vec<Dataset> = self.snapshots_in(&unit.dataset).cloned().collect();
                let goes = snapshots.iter().chain(&sources);
                Belongings {
                    datasets: in_turn(parts, &children),
                    held: goes
                        .filter(|one| self.held.contains(one))
                        .cloned()
                        .collect(),
                    snapshots,
                    sources,
                    left,
                    children,
                    unit: (*unit).clone(),
                }
            })
            .collect()
    }

    /// Whether a dataset, or a snapshot of iocage's, is there.
    pub fn has(&self, name: &Dataset) -> bool {
        self.origins.contains_key(name) || self.snapshots.contains(name)
    }

    /// The snapshot that the root of a jail was made from, or was if it is gone.
    fn origin_of_root(&self, jail: &Dataset) -> Option<&Dataset> {
        let root = Dataset::printed(&format!("{jail}/root"))?;
        let noted = || self.noted.get(jail).filter(|origin| self.has(origin));
        // A copy of a jail that was cut short has no root yet.
        let own = || self.origins.get(jail).and_then(Option::as_ref);
        let without_root = || noted().or_else(own);
        self.origins
            .get(&root)
            .map_or_else(without_root, Option::as_ref)
    }

    /// The datasets of iocage's that no version of it has made, and that belong to no member.
    pub fn strangers<'a>(&'a self, pool: &'a PoolName) -> impl Iterator<Item = &'a Dataset> {
        const OWN: [&str; 6] = [
            "download",
            "images",
            "jails",
            "log",
            "releases",
            "templates",
        ];
        let root = Dataset::root(pool);
        let is_own = move |name: &Dataset| {
            let below = name.strip_prefix(&*root).unwrap_or_default();
            below.is_empty() || OWN.iter().any(|own| below.strip_prefix('/') == Some(own))
        };
        let all = self.origins.keys();
        let iocages = all.filter(|name| name.is_in(&Dataset::root(pool)));
        iocages.filter(move |name| !is_own(name) && member(pool, name).is_none())
    }

    fn clones_of(&self, snapshot: &Dataset) -> impl Iterator<Item = &Dataset> {
        self.clones.get(snapshot).into_iter().flatten()
    }

    /// The datasets of a unit.
    fn parts(&self, unit: &Unit) -> Vec<Dataset> {
        let from = self.origins.range(unit.dataset.clone()..);
        let near = from.take_while(|(name, _)| name.starts_with(&*unit.dataset));
        let parts = near.filter(|(name, _)| name.is_in(&unit.dataset));
        parts.map(|(name, _)| name.clone()).collect()
    }

    fn snapshots_in<'a>(&'a self, dataset: &'a Dataset) -> impl Iterator<Item = &'a Dataset> {
        let from = self.snapshots.range(dataset.clone()..);
        let near = from.take_while(|snapshot| snapshot.starts_with(&**dataset));
        near.filter(|snapshot| snapshot.is_in(dataset))
    }

    /// The snapshots elsewhere that iocage has made for a jail or template: those that go with it,
    /// and those that stay.
    ///
    /// iocage calls them as the new jail. Of a release there is one on its root, of a template or a
    /// jail one on each of its datasets (`ioc_create.py`, `ioc_clone.py`: `zfs snapshot -r`).
    fn sources(
        &self,
        pool: &PoolName,
        unit: &Unit,
        gone: &BTreeSet<&str>,
    ) -> (Vec<Dataset>, Vec<Dataset>) {
        let nothing = (Vec::new(), Vec::new());
        let is_jail = matches!(unit.family, Some(Family::Jails | Family::Templates));
        let origin = self.origin_of_root(&unit.dataset).filter(|_| is_jail);
        let Some(origin) = origin.cloned() else {
            return nothing;
        };
        let source = origin.without_snapshot();
        let Some((family, of)) = member(pool, source).filter(|_| !gone.contains(source)) else {
            return nothing;
        };
        let is_needed = |snapshot: &Dataset| {
            let mut clones = self.clones_of(snapshot);
            clones.any(|clone| !gone.contains(&**clone))
        };
        if origin.snapshot() != Some(unit.name()) {
            // A renamed jail's, or somebody's own. The former is told of.
            let is_iocages = matches!(family, Family::Releases | Family::Templates);
            let left = (is_iocages && !is_needed(&origin)).then(|| origin.clone());
            return (Vec::new(), left.into_iter().collect());
        }
        let whole = family.member_dataset(pool, of);
        let of_all = whole.iter().flat_map(|whole| self.snapshots_in(whole));
        let of_all = of_all.filter(|other| other.snapshot() == origin.snapshot());
        let mut all: Vec<Dataset> = match family {
            Family::Releases | Family::Download => Vec::new(),
            Family::Jails | Family::Templates => of_all.cloned().collect(),
        };
        // If this is interrupted, the origin still says where the others are.
        all.retain(|snapshot| *snapshot != origin);
        all.push(origin);
        all.retain(|snapshot| !is_needed(snapshot));
        match family {
            Family::Jails => (Vec::new(), all),
            _ => (all, Vec::new()),
        }
    }

    /// The datasets directly below a unit's own, each after its clones among them; without those
    /// for which there is no such order.
    fn children(&self, unit: &Unit, parts: &[Dataset]) -> Vec<Dataset> {
        let child = |dataset: &str| {
            let below = dataset.strip_prefix(&*unit.dataset)?.strip_prefix('/')?;
            let name = below.split(['/', '@']).next()?;
            Dataset::printed(&format!("{}/{name}", unit.dataset))
        };
        let children: BTreeSet<Dataset> = parts.iter().filter_map(|part| child(part)).collect();
        let mut before: Before = BTreeMap::new();
        for part in parts {
            let origin = self.origins.get(part).and_then(Option::as_deref);
            if let (Some(clone), Some(of)) = (child(part), origin.and_then(child)) {
                if clone != of {
                    before.entry(of).or_default().insert(clone);
                }
            }
        }
        in_order(children, &before).0
    }
}

/// The parts of a unit in the order in which they go: what is below first.
fn in_turn(parts: &[Dataset], children: &[Dataset]) -> Vec<Dataset> {
    let place = |part: &Dataset| {
        let child = children.iter().position(|child| part.is_in(child));
        (
            child.unwrap_or(children.len()),
            std::cmp::Reverse(part.clone()),
        )
    };
    let mut ordered = parts.to_vec();
    ordered.sort_by_cached_key(place);
    ordered
}

impl Belongings {
    /// Destroys all of it, and nothing else. `at_last` is done when only its own dataset is left.
    ///
    /// If this is interrupted, what is left is listed as a jail, and destroying that does the rest.
    ///
    /// # Errors
    /// At the first that ZFS does not destroy.
    pub fn destroy(&self, system: &System, at_last: impl FnOnce() -> Result<()>) -> Result<()> {
        // Not by `zfs destroy -d`: nothing takes that back if the jail stays.
        self.note_origin(system)?;
        for child in &self.children {
            destroy(system, child)?;
        }
        for source in &self.sources {
            // Where something was cloned from it meanwhile it stays, and that is told.
            let _ = destroy_snapshot(system, source);
        }
        at_last()?;
        destroy(system, &self.unit.dataset)
    }

    fn note_origin(&self, system: &System) -> Result<()> {
        let Some(origin) = self.sources.last().filter(|_| !self.children.is_empty()) else {
            return Ok(());
        };
        let line = CommandLine::new(Program::Zfs).word("set");
        let line = line.setting(&ORIGIN, origin).value(&self.unit.dataset);
        // If this fails, an interrupted destruction leaves that snapshot, and nothing worse.
        system.run(&line).map(drop)
    }

    /// What of it is gone `now`; of a dataset that is gone without its snapshots.
    pub fn gone<'a>(&'a self, now: &'a Stock) -> impl Iterator<Item = &'a Dataset> {
        let is_told = |name: &&Dataset| {
            let of = Dataset::printed(name.without_snapshot());
            name.snapshot().is_none() || of.is_some_and(|of| now.has(&of))
        };
        let all = self.datasets.iter().chain(&self.snapshots);
        let all = all.chain(&self.sources);
        all.filter(|name| !now.has(name)).filter(is_told)
    }

    /// The snapshots that were made for it and are there `now`.
    pub fn left<'a>(&'a self, now: &'a Stock) -> impl Iterator<Item = &'a Dataset> {
        let made_for_it = self.sources.iter().chain(&self.left);
        made_for_it.filter(|snapshot| now.snapshots.contains(*snapshot))
    }
}

#[cfg(test)]
mod tests;
