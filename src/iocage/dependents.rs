//! What depends on releases, templates or jails of a pool: what was cloned from them, and what
//! mounts their files.
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

/// What depends on some members.
#[derive(Debug, Default)]
pub struct Dependents {
    /// What was cloned from them: it has to go before they can.
    pub cloned: Names,
    /// What only mounts their files: it stays when they go, but will not start without them.
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

/// Members, by their names.
type Targets = BTreeSet<(Family, String)>;

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
        let mut targets = Targets::new();
        for unit in &plan.units {
            // Nothing is ever mounted from a download.
            let family = unit.family.filter(|family| *family != Family::Download);
            targets.extend(family.map(|family| (family, unit.name().to_string())));
        }
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
        let mounts = system.mounts()?;
        let families = [Family::Jails, Family::Templates];
        let listings = jails::list(system, &Memory::default(), pool, &families)?;
        for (of, listing) in families.into_iter().zip(listings) {
            let jails = listing.map(|listing| listing.jails).unwrap_or_default();
            let tables = read_fstabs(system, &mounts, pool, of, &jails)?;
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
                    Some(true) => dependents.mounting.insert(of, &jail.name),
                    None => dependents.unknown.insert(of, &jail.name),
                    Some(false) => {}
                }
                if runs && depends != Some(false) {
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

    /// Refuses if something depends: without `force` whatever it is, and with `force` if it runs, or
    /// if a jail would go for the sake of a part of it.
    ///
    /// # Errors
    /// `InUse`, naming them.
    pub fn require_none(&self, what: &str, force: bool) -> Result<()> {
        let in_use = |message: String| Err(Error::new(Code::InUse, message));
        if let Some(why) = self.parts_in_words() {
            return in_use(format!("{what} still in use: {why}; nothing was destroyed"));
        }
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

/// Whether a jail uses files of one of `targets`; `None` if nobody knows.
fn depends(jail: &Jail, fstab: &Option<Vec<PathBuf>>, targets: &Targets) -> Option<bool> {
    let details = jail.details.as_ref();
    // No jail is the base of another.
    let mut bases = targets
        .iter()
        .filter(|(family, _)| *family != Family::Jails);
    let may_be_base = bases.clone().next().is_some();
    // A base jail may say 11.1-RELEASE-p9 of the release 11.1-RELEASE.
    let base = details.and_then(|details| details.base_release.as_deref());
    let is_base = base.is_some_and(|base| bases.any(|(_, name)| releases::is_patched(base, name)));
    let mut sources = fstab.iter().flatten();
    if is_base || sources.any(|source| is_part(source, targets)) {
        return Some(true);
    }
    let is_known = fstab.is_some() && (details.is_some() || !may_be_base);
    is_known.then_some(false)
}

/// Whether a path leads into one of `targets`: there may be more than one path to iocage's root.
fn is_part(path: &Path, targets: &Targets) -> bool {
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    parts.windows(2).any(|pair| {
        let family = Family::ALL.iter().find(|family| family.as_str() == pair[0]);
        family.is_some_and(|family| targets.contains(&(*family, pair[1].to_string())))
    })
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
    Ok(Plan::of(pool, &rows, |family, _| {
        families.contains(&family)
    }))
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
        let release = Targets::from([(Family::Releases, "11.1-RELEASE".to_string())]);
        let table = |paths: &[&str]| Some(paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        let depends = |jail: &Jail, table| depends(jail, &table, &release);
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

    #[test]
    fn a_jail_depends_on_another_by_its_fstab_alone() {
        let web = Targets::from([(Family::Jails, "web".to_string())]);
        let depends = |jail: &Jail, source: &str| {
            let table = Some(vec![PathBuf::from(source)]);
            depends(jail, &table, &web)
        };
        let (plain, base) = (jail(None), jail(Some("web")));
        let data = "/iocage/jails/web/root/data";
        assert_eq!(depends(&plain, data), Some(true));
        assert_eq!(depends(&plain, "/iocage/jails/web2/root"), Some(false));
        assert_eq!(depends(&base, "/data"), Some(false));
        let mut corrupt = jail(None);
        corrupt.details = None;
        assert_eq!(depends(&corrupt, "/data"), Some(false));
        // What cannot be read may say anything.
        assert_eq!(super::depends(&corrupt, &None, &web), None);
    }
}
