//! Jobs that make a jail.

use super::nobody_knows;
use crate::error::Result;
use crate::iocage::datasets::{self, Dataset, Family};
use crate::iocage::jails::{self, State};
use crate::iocage::progress::Progress;
use crate::iocage::survey::Memory;
use crate::names::{PoolName, SnapshotName};
use crate::records::Verdict;
use crate::system::System;

/// What is there of a new jail.
enum Found {
    /// All: it can be read and has a root.
    Whole,
    /// A part of it; what, in words.
    Part(String),
    /// The snapshot that it was to be made from.
    Snapshot(String),
    Nothing,
}

pub fn judge(
    system: &System,
    pool: &PoolName,
    name: &str,
    origin: Option<&str>,
    end: &Progress,
) -> Verdict {
    let words = end.outcome.clone().and_then(std::result::Result::err);
    let found = match look(system, pool, name, origin) {
        Ok(found) => found,
        Err(error) => return nobody_knows(&error, words),
    };
    let why = words
        .clone()
        .unwrap_or_else(|| format!("iocage is done, but there is no jail {name}"));
    match found {
        Found::Whole => Verdict {
            // Nobody knows what is missing where it was ended before its time.
            worked: words.is_none() || has_said_so(name, end),
            error: words,
        },
        Found::Part(what) => Verdict::failed(format!(
            "{why}; {what} is left, which destroyjail destroys"
        )),
        Found::Snapshot(snapshot) => Verdict::failed(format!(
            "{why}; the snapshot {snapshot} is left, and no jail {name} can be made until it is gone"
        )),
        Found::Nothing => Verdict::failed(why),
    }
}

/// Whether iocage has said that the jail is there: what it does after that is to start it, or to
/// install packages.
fn has_said_so(name: &str, end: &Progress) -> bool {
    let said = [
        format!("{name} successfully created!"),
        format!("{name} successfully cloned!"),
        format!("Imported: {name}"),
    ];
    end.output
        .lines()
        .any(|line| said.iter().any(|said| line == said))
}

fn look(system: &System, pool: &PoolName, name: &str, origin: Option<&str>) -> Result<Found> {
    for family in [Family::Jails, Family::Templates] {
        let listed = jails::list(system, &Memory::default(), pool, &[family])?;
        let jails = listed
            .into_iter()
            .flatten()
            .flat_map(|listing| listing.jails);
        let Some(jail) = jails.into_iter().find(|jail| jail.name == name) else {
            continue;
        };
        if matches!(jail.state, State::Corrupt | State::Unmounted) {
            let state = jail.state.as_str();
            return Ok(Found::Part(format!("a jail {name} that is {state}")));
        }
        let dataset = family.member_dataset(pool, name);
        let root = dataset.map(|dataset| format!("{dataset}/root"));
        let root = root.and_then(|root| Dataset::printed(&root));
        let rows = match root {
            Some(root) => datasets::list(system, &root, "filesystem", Some(0), "name")?,
            None => Vec::new(),
        };
        return Ok(match rows.is_empty() {
            true => Found::Part(format!("a jail {name} without a root")),
            false => Found::Whole,
        });
    }
    let snapshot = SnapshotName::parse(name).ok();
    let origin = origin.and_then(Dataset::printed);
    if let (Some(origin), Some(snapshot)) = (origin, snapshot) {
        let at = origin.at(&snapshot);
        if !datasets::list(system, &at, "snapshot", Some(0), "name")?.is_empty() {
            return Ok(Found::Snapshot(at.to_string()));
        }
    }
    Ok(Found::Nothing)
}

/// iocage goes past packages that it cannot install, and ends with 0 (`ioc_create.py`,
/// create_install_packages).
pub fn with_packages(verdict: Verdict, wanted: usize, end: &Progress) -> Verdict {
    if wanted == 0 {
        return verdict;
    }
    const LAST_TRY: &str = " failed to install, retry #3";
    let lines = end.output.lines().map(str::trim);
    let missing = lines.clone().filter_map(|line| {
        let line = line.strip_prefix("- ")?;
        line.strip_suffix(LAST_TRY)
    });
    let mut missing: Vec<&str> = missing.collect();
    missing.dedup();
    let begun = lines.filter(|line| is_package(line)).count();
    let why = match missing.is_empty() {
        _ if !verdict.worked => return verdict,
        false => format!("packages were not installed: {}", missing.join(", ")),
        true if begun < wanted => "not all packages were installed".into(),
        true => match verdict.error {
            Some(_) => "nobody knows whether all packages were installed".into(),
            None => return verdict,
        },
    };
    let why = match verdict.error {
        Some(words) => format!("the jail is made, but {why}: {words}"),
        None => format!("the jail is made, but {why}"),
    };
    Verdict::failed(why)
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
