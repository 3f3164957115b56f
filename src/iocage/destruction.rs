//! Destroying releases or templates together with what was cloned from them.
//!
//! By `zfs destroy -r` without `-R`, the clones first, so that ZFS itself refuses if a clone was
//! made in the meantime.

use std::collections::HashSet;
use std::time::Duration;

use super::datasets::{value, Dataset, Family};
use crate::configuration::Program;
use crate::error::{Code, Error, Result};
use crate::names::PoolName;
use crate::system::{CommandLine, System};

/// What would be destroyed, each thing after its clones.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Whole jails and templates, datasets that iocage did not make, and the members of the
    /// families themselves; and whether it is one of the latter.
    order: Vec<(Dataset, bool)>,
    /// Clones of each other, for which there is no such order.
    tangled: Vec<Dataset>,
}

impl Plan {
    /// What has to go with the members of `families`, of all the datasets of a pool with their
    /// origins.
    pub fn of(pool: &PoolName, families: &[Family], rows: &[Vec<String>]) -> Self {
        let datasets: Vec<(Dataset, Option<&str>)> = rows
            .iter()
            .filter_map(|row| Some((Dataset::printed(&row[0])?, value(row, 1))))
            .collect();
        let unit_of = |dataset: &str| unit(pool, families, dataset);
        let mut doomed: HashSet<String> = HashSet::new();
        let mut edges: HashSet<(String, String)> = HashSet::new(); // a clone, and what it is of
        for (dataset, _) in &datasets {
            let is_member = |family: &Family| family.member(pool, dataset).is_some();
            if families.iter().any(is_member) {
                doomed.insert(unit_of(dataset));
            }
        }
        // Clones of clones, until there are no more.
        loop {
            let before = (doomed.len(), edges.len());
            for (dataset, origin) in &datasets {
                let own = unit_of(dataset);
                let parent = dataset.rsplit_once('/').map(|(parent, _)| unit_of(parent));
                let source = origin.map(|origin| unit_of(origin.split('@').next().unwrap_or("")));
                for on in [parent, source].into_iter().flatten() {
                    if doomed.contains(&on) && on != own {
                        doomed.insert(own.clone());
                        edges.insert((own.clone(), on));
                    }
                }
            }
            if (doomed.len(), edges.len()) == before {
                break;
            }
        }
        let mut waiting: Vec<String> = doomed.into_iter().collect();
        waiting.sort_unstable();
        let mut ordered = Vec::new();
        while !waiting.is_empty() {
            let has_clone = |unit: &String| {
                let of_it = |(clone, of): &(String, String)| of == unit && waiting.contains(clone);
                edges.iter().any(of_it)
            };
            let (next, later): (Vec<_>, Vec<_>) =
                waiting.iter().cloned().partition(|unit| !has_clone(unit));
            if next.is_empty() {
                break;
            }
            ordered.extend(next);
            waiting = later;
        }
        let dataset = |name: &String| Dataset::printed(name);
        let is_member = |name: &Dataset| {
            families
                .iter()
                .any(|family| family.member(pool, name).is_some())
        };
        let ordered = ordered.iter().filter_map(dataset);
        Plan {
            order: ordered
                .map(|name| (name.clone(), is_member(&name)))
                .collect(),
            tangled: waiting.iter().filter_map(dataset).collect(),
        }
    }

    /// What goes besides the members themselves.
    pub fn units(&self) -> impl Iterator<Item = &Dataset> {
        let units = self.order.iter().filter(|(_, is_member)| !is_member);
        units.map(|(unit, _)| unit).chain(&self.tangled)
    }

    /// Destroys all of it, and gives the datasets in the order in which they went.
    ///
    /// # Errors
    /// At the first dataset that ZFS does not destroy, saying what is gone already.
    pub fn carry_out(&self, system: &System) -> Result<Vec<&str>> {
        if !self.tangled.is_empty() {
            let names: Vec<&str> = self.tangled.iter().map(|name| &**name).collect();
            let message = format!(
                "nothing was destroyed, these are clones of each other: {}",
                names.join(", ")
            );
            return Err(Error::new(Code::Failed, message));
        }
        let mut gone: Vec<&str> = Vec::new();
        for (dataset, _) in &self.order {
            destroy(system, dataset).map_err(|error| match gone.is_empty() {
                true => error.context("nothing was destroyed"),
                false => error.context(&format!("destroyed {}, then", gone.join(", "))),
            })?;
            gone.push(dataset);
        }
        Ok(gone)
    }
}

/// The whole that `dataset` is a part of: a jail, a template, a member of `families`, or the
/// dataset itself.
fn unit(pool: &PoolName, families: &[Family], dataset: &str) -> String {
    let families = families.iter().chain(&[Family::Jails, Family::Templates]);
    for family in families {
        if let Some(member) = family.member(pool, dataset) {
            return format!("{}/{member}", family.dataset(pool));
        }
    }
    dataset.into()
}

/// Destroys a dataset, what is below it, and its snapshots; no clone of it.
///
/// # Errors
/// If it is still there afterwards, in ZFS's words.
pub fn destroy(system: &System, dataset: &Dataset) -> Result<()> {
    // What was just unmounted may be busy for a moment.
    const TRIES: usize = 8;
    const PAUSE: Duration = Duration::from_millis(500);
    let line = CommandLine::new(Program::Zfs).words(&["destroy", "-r"]);
    let line = line.value(dataset);
    let mut output = system.run(&line)?;
    for _ in 1..TRIES {
        if output.exit_code == 0 || !output.stderr.contains("busy") {
            break;
        }
        std::thread::sleep(PAUSE);
        output = system.run(&line)?;
    }
    if output.exit_code == 0 || !is_there(system, dataset)? {
        return Ok(());
    }
    let error = output.failure();
    match error.message.contains("dependent clones") {
        true => Err(Error::new(Code::InUse, error.message)),
        false => Err(error),
    }
}

fn is_there(system: &System, dataset: &Dataset) -> Result<bool> {
    let line = CommandLine::new(Program::Zfs).words(&["list", "-H", "-o", "name"]);
    let output = system.run(&line.value(dataset))?;
    Ok(output.exit_code == 0 || !output.stderr.contains("does not exist"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(rows: &[(&str, &str)], families: &[Family]) -> Plan {
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|(name, origin)| vec![name.to_string(), origin.to_string()])
            .collect();
        Plan::of(&PoolName::parse("tank").unwrap(), families, &rows)
    }

    fn order(plan: &Plan) -> Vec<&str> {
        plan.order.iter().map(|(name, _)| &**name).collect()
    }

    #[test]
    fn clones_go_first_and_whole_and_nothing_else_goes() {
        let rows = [
            ("tank", "-"),
            ("tank/iocage/releases", "-"),
            ("tank/iocage/releases/r", "-"),
            ("tank/iocage/releases/r/root", "-"),
            ("tank/iocage/jails/copy", "-"),
            (
                "tank/iocage/jails/copy/root",
                "tank/iocage/templates/t/root@copy",
            ),
            ("tank/iocage/jails/copy/root/data", "-"),
            ("tank/iocage/jails/own/root", "-"),
            ("tank/iocage/templates/t", "-"),
            (
                "tank/iocage/templates/t/root",
                "tank/iocage/releases/r/root@t",
            ),
            ("tank/mine", "tank/iocage/jails/copy/root/data@x"),
            ("tank/mine/below", "-"),
        ];
        let all = plan(&rows, &[Family::Releases]);
        let (copy, t) = ("tank/iocage/jails/copy", "tank/iocage/templates/t");
        let release = "tank/iocage/releases/r";
        assert_eq!(
            order(&all),
            ["tank/mine/below", "tank/mine", copy, t, release]
        );
        assert_eq!(all.units().count(), 4);
        let templates = plan(&rows, &[Family::Templates]);
        assert_eq!(order(&templates), ["tank/mine/below", "tank/mine", copy, t]);
        assert_eq!(templates.units().count(), 3);
        assert_eq!(plan(&rows, &[Family::Download]), Plan::default());
    }

    #[test]
    fn what_was_cloned_crosswise_is_not_begun_with() {
        let rows = [
            ("tank/iocage/releases/r/root", "-"),
            ("tank/iocage/jails/a/root", "tank/iocage/jails/b/x@1"),
            ("tank/iocage/jails/a/y", "tank/iocage/releases/r/root@1"),
            ("tank/iocage/jails/b/x", "tank/iocage/jails/a/y@1"),
        ];
        let plan = plan(&rows, &[Family::Releases]);
        assert!(plan.order.is_empty() && plan.tangled.len() == 3, "{plan:?}");
    }
}
