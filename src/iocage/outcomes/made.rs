//! Jobs that make a jail.

use super::{members, nobody_knows};
use crate::error::Result;
use crate::iocage::cloning::{Cloned, Place};
use crate::iocage::datasets::{self, value, Dataset, Family};
use crate::iocage::destruction;
use crate::iocage::jails::State;
use crate::iocage::progress::Progress;
use crate::names::PoolName;
use crate::records::Verdict;
use crate::system::System;

/// A jail that a job makes.
pub struct Made<'a> {
    pub pool: &'a PoolName,
    pub name: &'a str,
    /// The dataset that it is made from, with those below it.
    pub origin: Option<&'a str>,
    /// How many packages are to be in it.
    pub packages: usize,
}

/// What is there of a new jail.
enum Found {
    /// All: it can be read and has a root. Whether it runs.
    Whole(bool),
    /// A part of it; what, in words.
    Part(String),
    Nothing,
}

impl Made<'_> {
    pub fn judge(&self, system: &System, end: &Progress) -> Verdict {
        let name = self.name;
        let words = end.words();
        let (found, snapshots) = match self.look(system) {
            Ok(found) => found,
            Err(error) => return nobody_knows(&error, words),
        };
        let why = words.clone();
        let why = why.unwrap_or_else(|| format!("iocage is done, but there is no jail {name}"));
        let and_snapshots = match snapshots.is_empty() {
            true => String::new(),
            false => format!(" and {}", of(&snapshots)),
        };
        match found {
            Found::Whole(is_up) => {
                let state = if is_up { " (running)" } else { "" };
                match (&words, self.missing_packages(end)) {
                    (None, None) => Verdict::worked(),
                    // What comes after that is to start it.
                    (Some(_), None) if self.has_said_so(end) => Verdict {
                        worked: true,
                        error: words,
                    },
                    (_, Some(missing)) if self.has_said_so(end) => {
                        let words = words.map_or(String::new(), |words| format!(" ({words})"));
                        Verdict::failed(format!("{missing}{words}; the jail {name}{state} is left"))
                    }
                    // Nobody knows what is missing where it was ended before its time.
                    _ => Verdict::failed(format!(
                        "{why}; a jail {name}{state} is left, perhaps not complete, which destroyjail destroys"
                    )),
                }
            }
            Found::Part(what) => Verdict::failed(format!(
                "{why}; {what}{and_snapshots} is left, which destroyjail destroys"
            )),
            Found::Nothing if snapshots.is_empty() => Verdict::failed(why),
            Found::Nothing => Verdict::failed(format!(
                "{why}; {} is left, and no jail {name} can be made until it is destroyed",
                of(&snapshots)
            )),
        }
    }

    /// Whether iocage has said that the jail is there: what it does after that is to start it, or to
    /// install packages.
    fn has_said_so(&self, end: &Progress) -> bool {
        let name = self.name;
        let said = [
            format!("{name} successfully created!"),
            format!("{name} successfully cloned!"),
            format!("Imported: {name}"),
        ];
        let mut lines = end.output.lines();
        lines.any(|line| said.iter().any(|said| line == said))
    }

    /// What of the jail is there, and the snapshots that were made for it and that nothing was cloned
    /// from.
    fn look(&self, system: &System) -> Result<(Found, Vec<Dataset>)> {
        let found = self.look_at_jail(system)?;
        let snapshots = match found {
            Found::Whole(_) => Vec::new(),
            _ => self.lone_snapshots(system)?,
        };
        Ok((found, snapshots))
    }

    fn look_at_jail(&self, system: &System) -> Result<Found> {
        let name = self.name;
        let members = members(system, self.pool)?;
        let Some(member) = members.all().find(|one| one.jail.name == name) else {
            return Ok(Found::Nothing);
        };
        let jail = member.jail;
        if matches!(jail.state, State::Corrupt | State::Unmounted) {
            let state = jail.state.as_str();
            return Ok(Found::Part(format!("a jail {name} that is {state}")));
        }
        let root = member.dataset().map(|dataset| format!("{dataset}/root"));
        let root = root.and_then(|root| Dataset::printed(&root));
        let rows = match root {
            Some(root) => datasets::list(system, &root, "filesystem", Some(0), "name")?,
            None => Vec::new(),
        };
        Ok(match rows.is_empty() {
            true => Found::Part(format!("a jail {name} without a root")),
            false => Found::Whole(jail.jid.is_some()),
        })
    }

    /// The snapshots with the jail's name on what it is made from; none of them if the jail was cloned
    /// from one: then they belong to it.
    fn lone_snapshots(&self, system: &System) -> Result<Vec<Dataset>> {
        let Some(origin) = self.origin.and_then(Dataset::printed) else {
            return Ok(Vec::new());
        };
        let rows = datasets::list(system, &origin, "snapshot", None, "name")?;
        let all = rows.iter().filter_map(|row| Dataset::printed(&row[0]));
        let all: Vec<Dataset> = all
            .filter(|snapshot| snapshot.snapshot() == Some(self.name))
            .collect();
        let jail = Family::Jails.member_dataset(self.pool, self.name);
        let Some(jail) = jail.filter(|_| !all.is_empty()) else {
            return Ok(all);
        };
        let rows = datasets::list(system, &jail, "filesystem", None, "name,origin")?;
        let has_clone = rows.iter().filter_map(|row| value(row, 1)).any(|origin| {
            let origin = Dataset::printed(origin);
            origin.is_some_and(|origin| all.contains(&origin))
        });
        Ok(if has_clone { Vec::new() } else { all })
    }

    /// Destroys those snapshots: the job has made them, and nothing else hangs on them. It returns
    /// what could not be done.
    pub fn tidy(&self, system: &System) -> Option<String> {
        let snapshots = self.lone_snapshots(system).unwrap_or_default();
        let mut destroyed = snapshots
            .iter()
            .map(|snapshot| destruction::destroy(system, snapshot));
        let error = destroyed.find_map(Result::err)?;
        Some(format!("{} cannot be destroyed: {error}", of(&snapshots)))
    }

    /// iocage goes past packages that it cannot install, after three tries each, and ends with 0
    /// (`ioc_create.py`, create_install_packages).
    fn missing_packages(&self, end: &Progress) -> Option<String> {
        const LAST_TRY: &str = " failed to install, retry #3";
        let lines = end.output.lines().map(str::trim);
        let failed = lines.clone().filter_map(|line| {
            let line = line.strip_prefix("- ")?;
            line.strip_suffix(LAST_TRY)
        });
        let mut missing: Vec<&str> = failed.collect();
        missing.dedup();
        let begun = lines.filter(|line| is_package(line)).count();
        match missing.is_empty() {
            _ if self.packages == 0 => None,
            false => Some(format!(
                "packages were not installed: {}",
                missing.join(", ")
            )),
            true if begun < self.packages => Some("not all packages were installed".into()),
            // It was ended while it installed the last one.
            true if matches!(end.outcome, Some(Err(_))) => {
                Some("nobody knows whether all packages were installed".into())
            }
            true => None,
        }
    }
}

/// Snapshots in words.
fn of(snapshots: &[Dataset]) -> String {
    let names: Vec<&str> = snapshots.iter().map(|snapshot| &**snapshot).collect();
    format!("the snapshot {}", names.join(", "))
}

/// Puts right what iocage's clone has done to texts. It returns what could not be.
pub fn put_clone_right(
    system: &System,
    pool: &PoolName,
    (source, name): (&str, &str),
    given: &[String],
) -> Option<String> {
    let mounts = system.mounts().ok()?;
    let place = |name: &str| {
        let dataset = Family::Jails.member_dataset(pool, name)?;
        Some(Place {
            name: name.into(),
            folder: mounts.mountpoint(&dataset)?.into(),
            root: mounts.mountpoint(&format!("{dataset}/root"))?.into(),
        })
    };
    let cloned = Cloned {
        source: place(source)?,
        // Without one there is nothing to be put right.
        copy: place(name)?,
        given: given.to_vec(),
    };
    let done = system.on_files(pool, move || match cloned.copy.is_begun() {
        true => cloned.put_right(),
        false => Ok(()),
    });
    let why = match done {
        Ok(Ok(())) => return None,
        Ok(Err(why)) => why,
        Err(error) => error.to_string(),
    };
    Some(format!(
        "texts of the clone have {name} where {source} was a part of them: {why}"
    ))
}

/// Whether iocage begins with a package: `- bash...`.
fn is_package(line: &str) -> bool {
    let name = line
        .strip_prefix("- ")
        .and_then(|rest| rest.strip_suffix("..."));
    name.is_some_and(|name| !name.contains(' '))
}

/// Packages done, of all of them.
pub fn percent(wanted: usize, progress: &Progress) -> Option<u8> {
    let lines = progress.output.lines().map(str::trim);
    let begun = lines.filter(|line| is_package(line)).count();
    let done = begun.checked_sub(1)?.min(wanted);
    u8::try_from(done * 100 / wanted.max(1)).ok()
}
