//! What goes, or breaks, when releases or templates are destroyed.
//!
//! `iocage clean` ends in `zfs destroy -r -Rf`, which takes every clone along, and the clones of
//! those, wherever in the pool they are.

use std::collections::{BTreeSet, HashSet};

use super::datasets::{self, value, Family};
use super::jails::{self, Jail};
use super::survey::Memory;
use crate::error::Result;
use crate::system::System;

/// What depends on the members of a family.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Dependents {
    pub jails: BTreeSet<String>,
    pub templates: BTreeSet<String>,
    /// Other datasets of the pool, made by somebody other than iocage.
    pub datasets: BTreeSet<String>,
}

impl Dependents {
    pub fn is_empty(&self) -> bool {
        self.jails.is_empty() && self.templates.is_empty() && self.datasets.is_empty()
    }

    /// Them all in words: `jails a, b; template t`.
    pub fn in_words(&self) -> String {
        let kinds = [
            ("jail", &self.jails),
            ("template", &self.templates),
            ("dataset", &self.datasets),
        ];
        let some = kinds.iter().filter(|(_, names)| !names.is_empty());
        let words = some.map(|(kind, names)| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            format!(
                "{kind}{} {}",
                if names.len() == 1 { "" } else { "s" },
                names.join(", ")
            )
        });
        words.collect::<Vec<_>>().join("; ")
    }
}

/// What depends on `releases`, which are those of `pool`: clones of them, and jails that mount their files.
pub fn of_releases(system: &System, pool: &str, releases: &[String]) -> Result<Dependents> {
    let mut dependents = clones(system, pool, &[Family::Releases, Family::Download])?;
    for jail in jails(system, pool)? {
        let base = jail.details.and_then(|details| details.base_release);
        // A base jail may say 11.1-RELEASE-p9 of the release 11.1-RELEASE.
        let lives_on = |release: &String| {
            base.as_ref().is_some_and(|base| {
                base.strip_prefix(release.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with("-p"))
            })
        };
        if releases.iter().any(lives_on) {
            dependents.jails.insert(jail.name);
        }
    }
    Ok(dependents)
}

/// What depends on `templates`, which are those of `pool`: clones of them, and jails that say so.
pub fn of_templates(system: &System, pool: &str, templates: &[String]) -> Result<Dependents> {
    let mut dependents = clones(system, pool, &[Family::Templates])?;
    for jail in jails(system, pool)? {
        let source = jail.details.and_then(|details| details.source_template);
        if source.is_some_and(|source| templates.contains(&source)) {
            dependents.jails.insert(jail.name);
        }
    }
    Ok(dependents)
}

/// The jails as they are now: what is destroyed is not decided by what was learned before.
fn jails(system: &System, pool: &str) -> Result<Vec<Jail>> {
    let listing = jails::list(system, &Memory::default(), pool, Family::Jails)?;
    Ok(listing.unwrap_or_default().jails)
}

fn clones(system: &System, pool: &str, families: &[Family]) -> Result<Dependents> {
    let rows = datasets::list(system, pool, "filesystem,volume", None, &["name", "origin"])?;
    let datasets: Vec<(&str, Option<&str>)> = rows
        .iter()
        .map(|row| (row[0].as_str(), value(row, 1)))
        .collect();
    Ok(clones_among(&datasets, pool, families))
}

fn clones_among(datasets: &[(&str, Option<&str>)], pool: &str, families: &[Family]) -> Dependents {
    let is_target = |dataset: &str| {
        families
            .iter()
            .any(|family| family.dataset(pool) == dataset || family.member(pool, dataset).is_some())
    };
    let mut doomed: HashSet<&str> = datasets
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| is_target(name))
        .collect();
    // Clones of clones, until there are no more.
    loop {
        let before = doomed.len();
        for (name, origin) in datasets {
            let source = origin.map(datasets::of_snapshot);
            let parent = name.rsplit_once('/').map(|(parent, _)| parent);
            if [source, parent]
                .into_iter()
                .flatten()
                .any(|on| doomed.contains(on))
            {
                doomed.insert(name);
            }
        }
        if doomed.len() == before {
            break;
        }
    }
    let mut dependents = Dependents::default();
    for name in doomed.into_iter().filter(|name| !is_target(name)) {
        if let Some(jail) = Family::Jails.member(pool, name) {
            dependents.jails.insert(jail.into());
        } else if let Some(template) = Family::Templates.member(pool, name) {
            dependents.templates.insert(template.into());
        } else {
            dependents.datasets.insert(name.into());
        }
    }
    dependents
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_clones_and_what_lies_below_them_depend_too() {
        let datasets = [
            ("tank", None),
            ("tank/iocage/releases", None),
            ("tank/iocage/releases/r/root", None),
            (
                "tank/iocage/jails/copy/root",
                Some("tank/iocage/templates/t/root@copy"),
            ),
            ("tank/iocage/jails/copy/root/data", None),
            ("tank/iocage/jails/own/root", None),
            (
                "tank/iocage/templates/t/root",
                Some("tank/iocage/releases/r/root@t"),
            ),
            ("tank/mine", Some("tank/iocage/jails/copy/root/data@x")),
        ];
        let dependents = clones_among(&datasets, "tank", &[Family::Releases]);
        assert_eq!(
            dependents.in_words(),
            "jail copy; template t; dataset tank/mine"
        );
        let dependents = clones_among(&datasets, "tank", &[Family::Templates]);
        assert_eq!(dependents.in_words(), "jail copy; dataset tank/mine");
        assert!(clones_among(&datasets, "tank", &[Family::Download]).is_empty());
    }
}
