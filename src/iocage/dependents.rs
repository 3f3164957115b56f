//! What depends on the releases or templates of a pool: what was cloned from them, and what mounts
//! their files.
//!
//! A jail that cannot be read counts as depending: it may.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::datasets::{self, Dataset, Family};
use super::destruction::Plan;
use super::fstab::{self, Entry};
use super::jails::{self, Jail};
use super::releases;
use super::survey::Memory;
use crate::error::{Code, Error, Result};
use crate::names::PoolName;
use crate::system::{Mounts, System};

/// What depends on the members of a family.
#[derive(Debug, Default)]
pub struct Dependents {
    /// What was cloned from them: it has to go before they can.
    pub cloned: Names,
    /// What only mounts their files: it stays when they go, but will not start without them.
    pub mounting: Names,
    /// What cannot be read, so that nobody knows whether it depends.
    pub unknown: Names,
    /// Which of all these run.
    pub running: BTreeSet<String>,
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
    fn in_words(&self) -> String {
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
    /// What depends on the members of `family` now: nothing that was remembered decides what is
    /// destroyed.
    pub fn of(system: &System, pool: &PoolName, family: Family, plan: &Plan) -> Result<Self> {
        let mut dependents = Dependents::default();
        for unit in plan.units() {
            if let Some(jail) = Family::Jails.member(pool, unit) {
                dependents.cloned.jails.insert(jail.into());
            } else if let Some(template) = Family::Templates.member(pool, unit) {
                dependents.cloned.templates.insert(template.into());
            } else {
                dependents.cloned.datasets.insert(unit.to_string());
            }
        }
        let members = datasets::members(system, pool, family)?;
        let mounts = system.mounts()?;
        for of in [Family::Jails, Family::Templates] {
            let listing = jails::list(system, &Memory::default(), pool, &[of])?
                .pop()
                .flatten();
            let jails = listing.map(|listing| listing.jails).unwrap_or_default();
            let tables = read_fstabs(system, &mounts, pool, of, &jails)?;
            for (jail, table) in jails.iter().zip(tables) {
                // A template goes itself if all templates go.
                let goes = of == family || dependents.cloned.has(of, &jail.name);
                let depends = depends(jail, &table, family, &members);
                match depends {
                    Some(true) if !goes => dependents.mounting.insert(of, &jail.name),
                    None if !goes => dependents.unknown.insert(of, &jail.name),
                    _ => {}
                }
                if jail.jid.is_some() && (goes || depends != Some(false)) {
                    dependents.running.insert(jail.name.clone());
                }
            }
        }
        Ok(dependents)
    }

    /// Refuses if something depends: without `force` whatever it is, and with `force` if it runs.
    ///
    /// # Errors
    /// `InUse`, naming them.
    pub fn require_none(&self, what: &str, force: bool) -> Result<()> {
        let in_use = |message: String| Err(Error::new(Code::InUse, message));
        if !self.running.is_empty() {
            let names: Vec<&str> = self.running.iter().map(String::as_str).collect();
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

/// Whether a jail uses files of a member of `family`; `None` if nobody knows.
fn depends(
    jail: &Jail,
    fstab: &Option<Vec<PathBuf>>,
    family: Family,
    members: &[String],
) -> Option<bool> {
    let details = jail.details.as_ref();
    // A base jail may say 11.1-RELEASE-p9 of the release 11.1-RELEASE.
    let base = details.and_then(|details| details.base_release.as_deref());
    let is_base = |member: &String| base.is_some_and(|base| releases::is_patched(base, member));
    let mounts = |member: &String| {
        let part = Path::new(family.as_str()).join(member);
        let sources = fstab.iter().flatten();
        sources.into_iter().any(|source| has_part(source, &part))
    };
    if members
        .iter()
        .any(|member| is_base(member) || mounts(member))
    {
        return Some(true);
    }
    (details.is_some() && fstab.is_some()).then_some(false)
}

/// Whether `part` is anywhere in `path`: there may be more than one path to iocage's root.
fn has_part(path: &Path, part: &Path) -> bool {
    let path: Vec<_> = path.components().collect();
    let part: Vec<_> = part.components().collect();
    path.windows(part.len()).any(|window| window == part)
}

/// What the fstab of each jail mounts; none if it cannot be read.
fn read_fstabs(
    system: &System,
    mounts: &Mounts,
    pool: &PoolName,
    family: Family,
    jails: &[Jail],
) -> Result<Vec<Option<Vec<PathBuf>>>> {
    let folder = |jail: &Jail| {
        let dataset = family.member_dataset(pool, &jail.name)?;
        mounts.mountpoint(&dataset).map(PathBuf::from)
    };
    let folders: Vec<Option<PathBuf>> = jails.iter().map(folder).collect();
    let sources = |entries: Vec<Entry>| entries.into_iter().map(|entry| entry.source).collect();
    let read = move |folder: Option<PathBuf>| fstab::read(&folder?).ok().map(sources);
    system.on_files(pool, move || folders.into_iter().map(read).collect())
}

/// What would be destroyed with the members of `families`.
pub fn plan(system: &System, pool: &PoolName, families: &[Family]) -> Result<Plan> {
    let all = Dataset::of_pool(pool);
    let rows = datasets::list(system, &all, "filesystem,volume", None, "name,origin")?;
    Ok(Plan::of(pool, families, &rows))
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

    #[test]
    fn a_jail_depends_by_its_configuration_or_its_fstab_and_unknown_is_not_no() {
        let members = ["11.1-RELEASE".to_string()];
        let table = |paths: &[&str]| Some(paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        let depends = |jail: &Jail, table| depends(jail, &table, Family::Releases, &members);
        assert_eq!(depends(&jail(None), table(&[])), Some(false));
        assert_eq!(
            depends(&jail(Some("11.1-RELEASE-p9")), table(&[])),
            Some(true)
        );
        assert_eq!(
            depends(&jail(Some("11.10-RELEASE")), table(&[])),
            Some(false)
        );
        let bin = "/mnt/tank/iocage/releases/11.1-RELEASE/root/bin";
        assert_eq!(depends(&jail(None), table(&["/data", bin])), Some(true));
        let other = "/mnt/tank/iocage/releases/11.1-RELEASE-old/root/bin";
        assert_eq!(depends(&jail(None), table(&[other])), Some(false));
        assert_eq!(depends(&jail(None), None), None);
        let mut corrupt = jail(None);
        corrupt.details = None;
        assert_eq!(depends(&corrupt, table(&[])), None);
        assert_eq!(depends(&corrupt, table(&[bin])), Some(true));
    }
}
