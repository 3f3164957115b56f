//! What belongs to a jail, a template or a release, and goes with it: its datasets, its snapshots,
//! and the snapshots of others that it was made from.

use std::collections::{BTreeMap, BTreeSet};

use super::datasets::{self, member, value, Dataset, Family};
use super::destruction::{destroy, destroy_with_last_clone, in_order};
use super::destruction::{Before, Plan, Unit};
use crate::error::Result;
use crate::names::PoolName;
use crate::system::System;

/// The datasets of a pool with their origins, and all snapshots of iocage's, as they are now.
#[derive(Debug, Default)]
pub struct Stock {
    pub rows: Vec<Vec<String>>,
    origins: BTreeMap<Dataset, Option<Dataset>>,
    /// By their origin.
    clones: BTreeMap<Dataset, Vec<Dataset>>,
    snapshots: BTreeSet<Dataset>,
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
            || ask(&everything, "filesystem,volume", "name,origin"),
            || ask(&iocages, "snapshot", "name"),
        );
        Ok(Stock::of(rows?, &snapshots?))
    }

    fn of(rows: Vec<Vec<String>>, snapshots: &[Vec<String>]) -> Self {
        let printed = |row: &Vec<String>| Dataset::printed(&row[0]);
        let mut stock = Stock {
            snapshots: snapshots.iter().filter_map(printed).collect(),
            ..Stock::default()
        };
        for row in &rows {
            let Some(dataset) = printed(row) else {
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
                Belongings {
                    datasets: in_turn(parts, &children),
                    snapshots: self.snapshots_in(&unit.dataset).cloned().collect(),
                    sources,
                    left,
                    children,
                    unit: (*unit).clone(),
                }
            })
            .collect()
    }

    /// Whether a dataset is there.
    pub fn has(&self, dataset: &str) -> bool {
        Dataset::printed(dataset).is_some_and(|dataset| self.origins.contains_key(&dataset))
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
        let root = Dataset::printed(&format!("{}/root", unit.dataset));
        let origin = root.and_then(|root| self.origins.get(&root).cloned().flatten());
        let Some(origin) = origin.filter(|_| is_jail) else {
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
    /// Destroys all of it, and nothing else, and says in `gone` what is. `at_last` is done when only
    /// its own dataset is left.
    ///
    /// If this is interrupted, what is left is listed as a jail, and destroying that does the rest.
    ///
    /// # Errors
    /// At the first that ZFS does not destroy.
    pub fn destroy(
        &self,
        system: &System,
        gone: &mut Vec<String>,
        at_last: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        // Before the clone goes, for afterwards nothing says that they belong together.
        let mut later = Vec::new();
        for (index, source) in self.sources.iter().enumerate() {
            let is_origin = index + 1 == self.sources.len();
            match destroy_with_last_clone(system, source)? {
                true if is_origin => {}
                true => gone.push(source.to_string()),
                false => later.push(source),
            }
        }
        for child in &self.children {
            destroy(system, child)?;
            gone.push(child.to_string());
        }
        at_last()?;
        destroy(system, &self.unit.dataset)?;
        gone.push(self.unit.dataset.to_string());
        for source in later {
            // Where something was cloned from it meanwhile it stays, and that is told.
            let _ = destroy(system, source);
        }
        Ok(())
    }

    /// The snapshots that were made for it and are there `now`.
    pub fn left<'a>(&'a self, now: &'a Stock) -> impl Iterator<Item = &'a Dataset> {
        let made_for_it = self.sources.iter().chain(&self.left);
        made_for_it.filter(|snapshot| now.snapshots.contains(*snapshot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stock(datasets: &[(&str, &str)], snapshots: &[&str]) -> Stock {
        let whole = |text: &&str| text.replace('+', "tank/iocage");
        let rows = datasets.iter();
        let rows = rows.map(|(name, origin)| vec![whole(name), whole(origin)]);
        let snapshots: Vec<_> = snapshots.iter().map(|name| vec![whole(name)]).collect();
        Stock::of(rows.collect(), &snapshots)
    }

    /// What goes with the member at `place`, as texts without the pool.
    fn of(stock: &Stock, place: (Family, &str)) -> [Vec<String>; 4] {
        let pool = PoolName::parse("tank").unwrap();
        let plan = Plan::of(&pool, &stock.rows, |family, name| (family, name) == place);
        let all = stock.belongings(&pool, &plan, |unit| unit.is_meant);
        assert_eq!(all.len(), 1);
        let texts = |names: &[Dataset]| {
            let names = names.iter().map(|name| name.replace("tank/iocage", "+"));
            names.collect::<Vec<_>>()
        };
        let one = &all[0];
        [&one.datasets, &one.snapshots, &one.sources, &one.left].map(|names| texts(names))
    }

    #[test]
    fn what_was_made_for_a_jail_goes_with_it_and_nothing_else_does() {
        let stock = stock(
            &[
                ("+/releases/r/root", "-"),
                ("+/templates/t/root", "+/releases/r/root@t"),
                ("+/jails/foo", "-"),
                ("+/jails/foo/data", "+/jails/foo/root@x"),
                ("+/jails/foo/root", "+/releases/r/root@foo"),
                ("+/jails/foo/root/a", "-"),
                ("+/jails/foo-bar", "-"),
                ("+/jails/foo-bar/root", "+/templates/t/root@foo-bar"),
                ("+/jails/kid/root", "+/jails/foo/root@kid"),
                ("+/jails/renamed/root", "+/templates/t/root@old"),
            ],
            &[
                "+/releases/r/root@t",
                "+/releases/r/root@foo",
                "+/releases/r/root@foo-bar",
                "+/templates/t@foo-bar",
                "+/templates/t/root@foo-bar",
                "+/templates/t/root@old",
                "+/jails/foo@kid",
                "+/jails/foo/root@kid",
                "+/jails/foo/root@x",
                "+/jails/foo-bar@x",
            ],
        );
        let [datasets, snapshots, sources, left] = of(&stock, (Family::Jails, "foo"));
        let ordered = [
            "+/jails/foo/data",
            "+/jails/foo/root/a",
            "+/jails/foo/root",
            "+/jails/foo",
        ];
        assert_eq!(datasets, ordered);
        let own = [
            "+/jails/foo/root@kid",
            "+/jails/foo/root@x",
            "+/jails/foo@kid",
        ];
        assert_eq!(snapshots, own);
        assert_eq!(
            (sources, left),
            (vec!["+/releases/r/root@foo".into()], vec![])
        );
        let [.., sources, left] = of(&stock, (Family::Jails, "foo-bar"));
        let both = ["+/templates/t@foo-bar", "+/templates/t/root@foo-bar"];
        assert_eq!((sources, left.len()), (both.map(String::from).to_vec(), 0));
        let [.., sources, left] = of(&stock, (Family::Jails, "kid"));
        let both = ["+/jails/foo@kid", "+/jails/foo/root@kid"];
        assert_eq!((sources.len(), left), (0, both.map(String::from).to_vec()));
        let [.., sources, left] = of(&stock, (Family::Jails, "renamed"));
        assert_eq!(
            (sources.len(), left),
            (0, vec!["+/templates/t/root@old".into()])
        );
    }

    #[test]
    fn a_snapshot_that_another_was_cloned_from_too_stays() {
        let stock = stock(
            &[
                ("+/releases/r/root", "-"),
                ("+/jails/a/root", "+/releases/r/root@a"),
                ("tank/mine", "+/releases/r/root@a"),
            ],
            &["+/releases/r/root@a"],
        );
        let [.., sources, left] = of(&stock, (Family::Jails, "a"));
        assert_eq!((sources.len(), left.len()), (0, 0));
    }
}
