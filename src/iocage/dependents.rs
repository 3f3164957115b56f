//! What depends on releases, templates or jails of a pool: what was cloned from them, and what
//! mounts their files.
//!
//! A jail that cannot be read counts as depending: it may.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::datasets::{Dataset, Family};
use super::destruction::Plan;
use super::jails::{self, Jail};
use super::mounting::{self, Reach, Targets};
use super::releases;
use super::survey::Memory;
use crate::error::{Code, Error, Result};
use crate::names::PoolName;
use crate::system::System;

/// What depends on some members.
#[derive(Debug, Default)]
pub struct Dependents {
    /// What was cloned from them: it has to go before they can.
    pub cloned: Names,
    /// What only mounts their files, or a folder that they are in: it stays when they go, but will not
    /// start without its own.
    pub mounting: Names,
    /// What cannot be read, so that nobody knows whether it depends.
    pub unknown: Names,
    /// Which of those run that would be destroyed.
    pub running: BTreeSet<String>,
    /// Which of those run that would stay, and mount their files or may do so.
    pub running_users: BTreeSet<String>,
    /// The clones in jails and templates that are none themselves.
    pub parts: Vec<Dataset>,
}

/// Names, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub jails: BTreeSet<String>,
    pub templates: BTreeSet<String>,
    /// Other datasets of the pool, which iocage has not made.
    pub datasets: BTreeSet<String>,
}

impl Names {
    pub fn is_empty(&self) -> bool {
        self.jails.is_empty() && self.templates.is_empty() && self.datasets.is_empty()
    }

    fn insert(&mut self, family: Family, name: &str) {
        match family {
            Family::Templates => self.templates.insert(name.into()),
            _ => self.jails.insert(name.into()),
        };
    }

    fn has(&self, family: Family, name: &str) -> bool {
        match family {
            Family::Templates => self.templates.contains(name),
            _ => self.jails.contains(name),
        }
    }

    /// All of them in words: `jails a, b; template t`.
    pub fn in_words(&self) -> String {
        let kinds = [
            ("jail", &self.jails),
            ("template", &self.templates),
            ("dataset", &self.datasets),
        ];
        let some = kinds.iter().filter(|(_, names)| !names.is_empty());
        let words = some.map(|(kind, names)| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let plural = if names.len() == 1 { "" } else { "s" };
            format!("{kind}{plural} {}", names.join(", "))
        });
        words.collect::<Vec<_>>().join("; ")
    }
}

impl Dependents {
    /// What depends now on what a plan would destroy: nothing that was remembered decides what is
    /// destroyed.
    pub fn of(system: &System, pool: &PoolName, plan: &Plan) -> Result<Self> {
        let mounts = system.mounts()?;
        let units = plan.units.iter();
        // Nothing is ever mounted from a download.
        let units = units.filter(|unit| unit.family != Some(Family::Download));
        let targets = units.filter_map(|unit| Some((unit.family?, unit.name().to_string())));
        let targets = Targets::of(pool, &mounts, targets.collect());
        let mut dependents = Dependents {
            parts: plan.parts.clone(),
            ..Dependents::default()
        };
        for unit in plan.others() {
            if let Some(jail) = Family::Jails.member(pool, unit) {
                dependents.cloned.jails.insert(jail.into());
            } else if let Some(template) = Family::Templates.member(pool, unit) {
                dependents.cloned.templates.insert(template.into());
            } else {
                dependents.cloned.datasets.insert(unit.to_string());
            }
        }
        let families = [Family::Jails, Family::Templates];
        let listings = jails::list(system, &Memory::default(), pool, &families)?;
        for (of, listing) in families.into_iter().zip(listings) {
            let jails = listing.map(|listing| listing.jails).unwrap_or_default();
            let folder = |jail: &Jail| {
                let dataset = of.member_dataset(pool, &jail.name)?;
                mounts.mountpoint(&dataset).map(PathBuf::from)
            };
            let folders = jails.iter().map(folder).collect();
            let tables = mounting::sources(system, &mounts, pool, folders)?;
            for (jail, table) in jails.iter().zip(tables) {
                let runs = jail.jid.is_some();
                if plan.has(of, &jail.name) || dependents.cloned.has(of, &jail.name) {
                    if runs {
                        dependents.running.insert(jail.name.clone());
                    }
                    continue;
                }
                let depends = depends(jail, &table, &targets);
                match depends {
                    Some(Reach::Into | Reach::Around) => {
                        dependents.mounting.insert(of, &jail.name);
                    }
                    None => dependents.unknown.insert(of, &jail.name),
                    Some(Reach::Not) => {}
                }
                if runs && matches!(depends, Some(Reach::Into) | None) {
                    dependents.running_users.insert(jail.name.clone());
                }
            }
        }
        Ok(dependents)
    }

    /// All that run.
    pub fn all_running(&self) -> BTreeSet<&str> {
        let all = self.running.union(&self.running_users);
        all.map(String::as_str).collect()
    }

    /// Refuses if something depends: without `force` whatever it is, and with `force` if it runs.
    ///
    /// # Errors
    /// `InUse`, naming them.
    pub fn require_none(&self, what: &str, force: bool) -> Result<()> {
        let in_use = |message: String| Err(Error::new(Code::InUse, message));
        let running = self.all_running();
        if !running.is_empty() {
            let names: Vec<&str> = running.into_iter().collect();
            let plural = if names.len() == 1 { "" } else { "s" };
            return in_use(format!(
                "{what} still in use by running jail{plural} {}; nothing was destroyed, stop what \
                 runs first{}",
                names.join(", "),
                self.others_in_words(),
            ));
        }
        if force || self.is_empty() {
            return Ok(());
        }
        let all_go = self.mounting.is_empty() && self.unknown.is_empty();
        let with_force = match all_go {
            true => "\"force\" would destroy them all",
            false => "\"force\" would destroy what was cloned from them too",
        };
        in_use(format!(
            "{what} still in use by {}; nothing was destroyed, {with_force}",
            self.in_words()
        ))
    }

    /// Why nothing is destroyed for the sake of a part of it.
    pub fn parts_in_words(&self) -> Option<String> {
        let parts: Vec<&str> = self.parts.iter().map(|part| &**part).collect();
        (!parts.is_empty()).then(|| {
            format!(
                "{} cloned from there, but not the whole jail or template",
                match parts[..] {
                    [part] => format!("dataset {part} was"),
                    _ => format!("datasets {} were", parts.join(", ")),
                }
            )
        })
    }

    fn is_empty(&self) -> bool {
        self.cloned.is_empty() && self.mounting.is_empty() && self.unknown.is_empty()
    }

    fn others_in_words(&self) -> String {
        match self.is_empty() {
            true => String::new(),
            false => format!(" (in use by {})", self.in_words()),
        }
    }

    fn in_words(&self) -> String {
        let kinds = [
            (&self.cloned, ""),
            (&self.mounting, " (mounting their files)"),
            (&self.unknown, " (cannot be read, so may use them)"),
        ];
        let some = kinds.iter().filter(|(names, _)| !names.is_empty());
        let words = some.map(|(names, how)| format!("{}{how}", names.in_words()));
        words.collect::<Vec<_>>().join("; ")
    }
}

/// How a jail uses files of one of `targets`; `None` if nobody knows.
fn depends(jail: &Jail, fstab: &Option<Vec<PathBuf>>, targets: &Targets) -> Option<Reach> {
    let details = jail.details.as_ref();
    // No jail is the base of another.
    let mut bases = targets
        .members
        .iter()
        .filter(|(family, _)| *family != Family::Jails);
    let may_be_base = bases.clone().next().is_some();
    // A base jail may say 11.1-RELEASE-p9 of the release 11.1-RELEASE.
    let base = details.and_then(|details| details.base_release.as_deref());
    let is_base = base.is_some_and(|base| bases.any(|(_, name)| releases::is_patched(base, name)));
    let reach = fstab.as_ref().map(|sources| targets.reach(sources));
    if is_base || reach == Some(Reach::Into) {
        return Some(Reach::Into);
    }
    reach.filter(|_| details.is_some() || !may_be_base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iocage::jails::{Details, State};

    fn jail(base_release: Option<&str>) -> Jail {
        Jail {
            name: "web".into(),
            uuid: "web".into(),
            jid: None,
            state: State::Down,
            boot: false,
            tag: "web".into(),
            template: None,
            details: Some(Details {
                kind: "jail".into(),
                release: None,
                ip4: None,
                ip6: None,
                dhcp: false,
                plugin: None,
                basejail: base_release.is_some(),
                base_release: base_release.map(String::from),
            }),
        }
    }

    fn targets(family: Family, name: &str) -> Targets {
        let pool = PoolName::parse("tank").unwrap();
        let members = BTreeSet::from([(family, name.to_string())]);
        Targets::of(&pool, &crate::system::Mounts::default(), members)
    }

    #[test]
    fn a_jail_depends_by_its_configuration_or_its_fstab_and_unknown_is_not_no() {
        let release = targets(Family::Releases, "11.1-RELEASE");
        let table = |paths: &[&str]| Some(paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        let depends = |jail: &Jail, table| depends(jail, &table, &release);
        assert_eq!(depends(&jail(None), table(&[])), Some(Reach::Not));
        assert_eq!(
            depends(&jail(Some("11.1-RELEASE-p9")), table(&[])),
            Some(Reach::Into)
        );
        assert_eq!(
            depends(&jail(Some("11.10-RELEASE")), table(&[])),
            Some(Reach::Not)
        );
        let bin = "/mnt/tank/iocage/releases/11.1-RELEASE/root/bin";
        assert_eq!(
            depends(&jail(None), table(&["/data", bin])),
            Some(Reach::Into)
        );
        let other = "/mnt/tank/iocage/releases/11.1-RELEASE-old/root/bin";
        assert_eq!(depends(&jail(None), table(&[other])), Some(Reach::Not));
        assert_eq!(depends(&jail(None), None), None);
        let mut corrupt = jail(None);
        corrupt.details = None;
        assert_eq!(depends(&corrupt, table(&[])), None);
        assert_eq!(depends(&corrupt, table(&[bin])), Some(Reach::Into));
    }

    #[test]
    fn a_jail_depends_on_another_by_its_fstab_alone() {
        let web = targets(Family::Jails, "web");
        let depends = |jail: &Jail, source: &str| {
            let table = Some(vec![PathBuf::from(source)]);
            depends(jail, &table, &web)
        };
        let (plain, base) = (jail(None), jail(Some("web")));
        let data = "/iocage/jails/web/root/data";
        assert_eq!(depends(&plain, data), Some(Reach::Into));
        assert_eq!(depends(&plain, "/iocage/jails/web2/root"), Some(Reach::Not));
        assert_eq!(depends(&base, "/data"), Some(Reach::Not));
        let mut corrupt = jail(None);
        corrupt.details = None;
        assert_eq!(depends(&corrupt, "/data"), Some(Reach::Not));
        // What cannot be read may say anything.
        assert_eq!(super::depends(&corrupt, &None, &web), None);
    }
}
