//! Destroying jails, templates and releases together with what was cloned from them.
//!
//! By `zfs destroy -r` without `-R`, the clones first, so that ZFS itself refuses if a clone was
//! made in the meantime.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::datasets::{member, value, Dataset, Family};
use crate::configuration::Program;
use crate::error::{Code, Error, Result};
use crate::names::PoolName;
use crate::system::{CommandLine, Output, System};

/// How often something that is busy is tried.
pub const TRIES: usize = 8;
/// How long between.
pub const PAUSE: Duration = Duration::from_millis(500);

/// What would be destroyed, each thing after its clones.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub units: Vec<Unit>,
    /// Clones of each other, for which there is no such order.
    tangled: Vec<Dataset>,
    /// Clones in jails and templates that are none themselves: these would go with what is only a
    /// part of them.
    pub parts: Vec<Dataset>,
}

/// What is destroyed as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    pub dataset: Dataset,
    /// The family that it is a member of; none for a dataset that iocage has not made.
    pub family: Option<Family>,
    /// Whether it is meant; otherwise it was cloned from what is.
    pub is_meant: bool,
}

impl Unit {
    /// The name of a member; that of its dataset for what is none.
    pub fn name(&self) -> &str {
        match self.family {
            Some(_) => self.dataset.rsplit('/').next().unwrap_or(&self.dataset),
            None => &self.dataset,
        }
    }
}

impl Plan {
    /// What has to go with the members that are meant, of all the datasets of a pool with their
    /// origins.
    pub fn of(
        pool: &PoolName,
        rows: &[Vec<String>],
        is_meant: impl Fn(Family, &str) -> bool,
    ) -> Self {
        let datasets = rows.iter();
        let datasets = datasets.filter_map(|row| Some((Dataset::printed(&row[0])?, row)));
        let datasets: Vec<(Dataset, Option<&str>)> =
            datasets.map(|(name, row)| (name, value(row, 1))).collect();
        let mut meant: BTreeSet<Dataset> = BTreeSet::new();
        // What has to go before a unit: its clones, and what is below it.
        let mut before: Before = BTreeMap::new();
        for (dataset, origin) in &datasets {
            let own = unit_of(pool, dataset);
            if member(pool, dataset).is_some_and(|(family, name)| is_meant(family, name)) {
                meant.insert(own.clone());
            }
            let parent = dataset.rsplit_once('/').map(|(parent, _)| parent);
            for on in [parent, *origin].into_iter().flatten() {
                let Some(on) = Dataset::printed(on) else {
                    continue;
                };
                let on = unit_of(pool, &on);
                if on != own {
                    before.entry(on).or_default().insert(own.clone());
                }
            }
        }
        let mut doomed: BTreeSet<Dataset> = BTreeSet::new();
        let mut next: Vec<Dataset> = meant.iter().cloned().collect();
        while let Some(unit) = next.pop() {
            if doomed.insert(unit.clone()) {
                next.extend(before.get(&unit).into_iter().flatten().cloned());
            }
        }
        let parts = parts(pool, &datasets, &doomed, &meant);
        let (ordered, tangled) = in_order(doomed, &before);
        let unit = |dataset: Dataset| Unit {
            family: member(pool, &dataset).map(|(family, _)| family),
            is_meant: meant.contains(&dataset),
            dataset,
        };
        Plan {
            units: ordered.into_iter().map(unit).collect(),
            tangled,
            parts,
        }
    }

    /// What goes besides what is meant.
    pub fn others(&self) -> impl Iterator<Item = &Dataset> {
        let units = self.units.iter().filter(|unit| !unit.is_meant);
        units.map(|unit| &unit.dataset).chain(&self.tangled)
    }

    /// Whether a member goes.
    pub fn has(&self, family: Family, name: &str) -> bool {
        let mut units = self.units.iter();
        units.any(|unit| unit.family == Some(family) && unit.name() == name)
    }

    /// # Errors
    /// `Failed` if there is no order in which all of it could be destroyed.
    pub fn require_order(&self) -> Result<()> {
        if self.tangled.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = self.tangled.iter().map(|name| &**name).collect();
        let message = format!(
            "nothing was destroyed, these are clones of each other: {}",
            names.join(", ")
        );
        Err(Error::new(Code::Failed, message))
    }
}

/// What has to go before each.
pub type Before = BTreeMap<Dataset, BTreeSet<Dataset>>;

/// The whole that a dataset is a part of: a member of a family, or the dataset itself.
fn unit_of(pool: &PoolName, dataset: &Dataset) -> Dataset {
    let unit = member(pool, dataset).and_then(|(family, name)| family.member_dataset(pool, name));
    let itself = || Dataset::printed(dataset.without_snapshot());
    unit.or_else(itself).unwrap_or_else(|| dataset.clone())
}

/// The clones that would take a jail or template with them which is no clone itself.
fn parts(
    pool: &PoolName,
    datasets: &[(Dataset, Option<&str>)],
    doomed: &BTreeSet<Dataset>,
    meant: &BTreeSet<Dataset>,
) -> Vec<Dataset> {
    let mut clones: BTreeMap<Dataset, Vec<&Dataset>> = BTreeMap::new();
    for (dataset, origin) in datasets {
        let own = unit_of(pool, dataset);
        let source = origin.and_then(Dataset::printed);
        let source = source.map(|source| unit_of(pool, &source));
        if source.is_some_and(|source| source != own && doomed.contains(&source)) {
            clones.entry(own).or_default().push(dataset);
        }
    }
    let is_whole = |unit: &Dataset, clones: &[&Dataset]| {
        let root = format!("{unit}/root");
        let mut clones = clones.iter();
        member(pool, unit).is_none() || clones.any(|clone| *clone == unit || ***clone == *root)
    };
    let part = clones
        .into_iter()
        .filter(|(unit, clones)| !meant.contains(unit) && !is_whole(unit, clones));
    part.flat_map(|(_, clones)| clones).cloned().collect()
}

/// Puts each after all that has to go before it; and gives those for which there is no such order.
pub fn in_order(names: BTreeSet<Dataset>, before: &Before) -> (Vec<Dataset>, Vec<Dataset>) {
    let mut waiting = names;
    let mut ordered = Vec::new();
    loop {
        let waits = |name: &Dataset| {
            let mut others = before.get(name).into_iter().flatten();
            others.any(|other| waiting.contains(other))
        };
        let (later, next): (BTreeSet<_>, BTreeSet<_>) = waiting.iter().cloned().partition(waits);
        if next.is_empty() {
            return (ordered, later.into_iter().collect());
        }
        ordered.extend(next);
        waiting = later;
    }
}

/// Destroys a dataset, what is below it, and its snapshots, or a snapshot on all these; no clone of
/// it.
///
/// # Errors
/// If it is still there afterwards, in ZFS's words.
pub fn destroy(system: &System, dataset: &Dataset) -> Result<()> {
    let line = CommandLine::new(Program::Zfs).words(&["destroy", "-r"]);
    destroy_by(system, &line, dataset)
}

/// Destroys a snapshot on its dataset alone.
///
/// # Errors
/// As [`destroy`].
pub fn destroy_snapshot(system: &System, snapshot: &Dataset) -> Result<()> {
    let line = CommandLine::new(Program::Zfs).word("destroy");
    destroy_by(system, &line, snapshot)
}

fn destroy_by(system: &System, line: &CommandLine, dataset: &Dataset) -> Result<()> {
    let output = patiently(system, &line.clone().value(dataset))?;
    if output.exit_code == 0 || !is_there(system, dataset)? {
        return Ok(());
    }
    let error = output.failure();
    match error.message.contains("dependent clones") {
        true => Err(Error::new(Code::InUse, error.message)),
        false => Err(error),
    }
}

/// Runs a command that needs something to be unmounted: what just was, may be busy for a moment.
///
/// # Errors
/// As [`System::run`].
pub fn patiently(system: &System, line: &CommandLine) -> Result<Output> {
    let mut output = system.run(line)?;
    for _ in 1..TRIES {
        if output.exit_code == 0 || !output.stderr.contains("busy") {
            break;
        }
        std::thread::sleep(PAUSE);
        output = system.run(line)?;
    }
    Ok(output)
}

/// The snapshots among rows of `name,userrefs` that somebody holds: ZFS does not destroy those.
pub fn held(rows: &[Vec<String>]) -> BTreeSet<Dataset> {
    let held = rows.iter();
    let held = held.filter(|row| value(row, 1).is_some_and(|holds| holds != "0"));
    held.filter_map(|row| Dataset::printed(&row[0])).collect()
}

/// That these are held; none if there are none.
pub fn held_in_words(held: &[&Dataset]) -> Option<String> {
    let names: Vec<&str> = held.iter().map(|snapshot| &***snapshot).collect();
    let first = names.first()?;
    Some(format!(
        "held: {} (\"zfs holds {first}\" tells by whom, \"zfs release\" frees it)",
        names.join(", ")
    ))
}

/// Whether a dataset or a snapshot is there.
///
/// # Errors
/// If ZFS does not say.
fn is_there(system: &System, dataset: &Dataset) -> Result<bool> {
    let line = CommandLine::new(Program::Zfs).words(&["list", "-H", "-o", "name"]);
    let line = match dataset.snapshot() {
        Some(_) => line.words(&["-t", "snapshot"]),
        None => line,
    };
    let output = system.run(&line.value(dataset))?;
    Ok(output.exit_code == 0 || !output.stderr.contains("does not exist"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(rows: &[(&str, &str)], families: &[Family]) -> Plan {
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|(name, origin)| {
                let whole = |text: &str| text.replace('+', "tank/iocage");
                vec![whole(name), whole(origin)]
            })
            .collect();
        let pool = PoolName::parse("tank").unwrap();
        Plan::of(&pool, &rows, |family, _| families.contains(&family))
    }

    fn order(plan: &Plan) -> Vec<&str> {
        plan.units.iter().map(|unit| &*unit.dataset).collect()
    }

    #[test]
    fn clones_go_first_and_whole_and_nothing_else_goes() {
        let rows = [
            ("tank", "-"),
            ("+/releases", "-"),
            ("+/releases/r", "-"),
            ("+/releases/r/root", "-"),
            ("+/jails/copy", "-"),
            ("+/jails/copy/root", "+/templates/t/root@copy"),
            ("+/jails/copy/root/data", "-"),
            ("+/jails/own/root", "-"),
            ("+/templates/t", "-"),
            ("+/templates/t/root", "+/releases/r/root@t"),
            ("tank/mine", "+/jails/copy/root/data@x"),
            ("tank/mine/below", "-"),
        ];
        let all = plan(&rows, &[Family::Releases]);
        let (copy, t) = ("tank/iocage/jails/copy", "tank/iocage/templates/t");
        let release = "tank/iocage/releases/r";
        assert_eq!(
            order(&all),
            ["tank/mine/below", "tank/mine", copy, t, release]
        );
        assert_eq!((all.others().count(), all.parts.len()), (4, 0));
        let names: Vec<&str> = all.units.iter().map(Unit::name).collect();
        assert_eq!(names, ["tank/mine/below", "tank/mine", "copy", "t", "r"]);
        let templates = plan(&rows, &[Family::Templates]);
        assert_eq!(order(&templates), ["tank/mine/below", "tank/mine", copy, t]);
        assert_eq!(templates.others().count(), 3);
        assert!(templates.has(Family::Jails, "copy") && !templates.has(Family::Jails, "own"));
        assert_eq!(plan(&rows, &[Family::Download]), Plan::default());
    }

    #[test]
    fn a_jail_of_which_only_a_part_is_a_clone_is_told_of() {
        let rows = [
            ("+/releases/r/root", "-"),
            ("+/jails/own", "-"),
            ("+/jails/own/root", "-"),
            ("+/jails/own/root/data", "+/releases/r/root@x"),
            ("+/jails/whole/root", "+/releases/r/root@whole"),
            ("+/jails/whole/data", "+/releases/r/root@x"),
        ];
        let all = plan(&rows, &[Family::Releases]);
        let part = Dataset::printed("tank/iocage/jails/own/root/data").unwrap();
        assert_eq!(all.parts, [part]);
        assert_eq!(plan(&rows, &[Family::Releases, Family::Jails]).parts, []);
    }

    #[test]
    fn what_was_cloned_crosswise_is_not_begun_with() {
        let rows = [
            ("+/releases/r/root", "-"),
            ("+/jails/a/root", "+/jails/b/x@1"),
            ("+/jails/a/y", "+/releases/r/root@1"),
            ("+/jails/b/x", "+/jails/a/y@1"),
        ];
        let plan = plan(&rows, &[Family::Releases]);
        assert!(plan.units.is_empty() && plan.tangled.len() == 3, "{plan:?}");
        assert!(plan.require_order().is_err());
    }
}
