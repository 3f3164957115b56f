//! The latest patch level, and another release: `updatejail`, `upgradejail`.
//!
//! iocage starts a jail that is down for it, and where something goes wrong it leaves it running: it
//! is stopped again when the job has ended ([`crate::iocage::outcomes::tidy`]).

mod patient;

use patient::{require_readable, Patient};

use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::command;
use crate::iocage::selection::{Label, Selection};
use crate::jobs::{JobId, Task};
use crate::names::{Release, SnapshotName};
use crate::records::{Aim, Work};
use crate::request::{missing, wrong, Arguments, RELEASE, UPDATE_PACKAGES};
use crate::resources::Resource;
use crate::system::utc_time_in;

pub fn update<'a>(context: &'a Context, arguments: &'a Arguments) -> Result<Vec<Task<'a>>> {
    let packages = arguments.flag(&UPDATE_PACKAGES)?;
    let labels = match arguments.selection()? {
        Selection::All => return Err(missing("jail")),
        Selection::One(label) => vec![label],
        Selection::Several(labels) => labels,
    };
    let version = context.known.installed.version(&context.system)?;
    let members = context.members()?;
    let mut patients: Vec<(Label, Patient)> = Vec::new();
    for label in labels {
        let patient = Patient::of(context, members.find(&label)?, version)?;
        if patient.base.is_some() {
            require_readable(&members, &patient.words)?;
        }
        let mut others = patients.iter().map(|(_, other)| other);
        if others.clone().any(|other| other.dataset == patient.dataset) {
            continue;
        }
        let is_on_its_release = |other: &&Patient| other.base == patient.base;
        if let Some(other) = others
            .find(is_on_its_release)
            .filter(|_| patient.base.is_some())
        {
            let message = format!(
                "{} and {} are base jails of one release, which is updated for both with either \
                 of them: name one",
                other.words, patient.words
            );
            return Err(Error::new(Code::Conflict, message));
        }
        patients.push((label, patient));
    }
    let task = |(label, patient): (Label, Patient)| {
        let mut claims = patient.claims.clone();
        // It changes for all base jails that are on it.
        claims.extend(
            patient
                .base
                .clone()
                .map(|base| Resource::Release(base).alone()),
        );
        Ok(Task {
            id: JobId::new("update_jail", &patient.name),
            line: command::update(version, &patient.name, packages)?,
            claims,
            aim: Some(Aim {
                pool: patient.pool.to_string(),
                work: Work::Update {
                    name: patient.name.to_string(),
                    was_up: patient.is_up,
                    from: patient.from.clone(),
                },
            }),
            check: Box::new(move || {
                patient.require_same(context, &label, version)?;
                match patient.is_plugin {
                    // It goes back to this one where a package fails, however old it is
                    // (`ioc_plugin.py`, update).
                    true => patient.require_no_snapshot(context, &today("ioc_plugin_update")?),
                    false => Ok(()),
                }
            }),
            list: None,
        })
    };
    patients.into_iter().map(task).collect()
}

pub fn upgrade<'a>(context: &'a Context, arguments: &'a Arguments) -> Result<Vec<Task<'a>>> {
    let release = Release::parse(&arguments.require(&RELEASE)?);
    let release = release.map_err(|why| wrong("release", &why))?;
    let Selection::One(label) = arguments.selection()? else {
        return Err(missing("jail"));
    };
    let version = context.known.installed.version(&context.system)?;
    let members = context.members()?;
    let member = members.find(&label)?;
    let patient = Patient::of(context, member, version)?;
    patient.require_upgradable(context, member, &release)?;
    let snapshot = today("ioc_upgrade")?;
    let mut claims = patient.claims.clone();
    claims.push(Resource::Release(release.clone()).shared());
    Ok(vec![Task {
        id: JobId::new("upgrade_jail", &patient.name),
        line: command::upgrade(&patient.name, &release),
        claims,
        aim: Some(Aim {
            pool: patient.pool.to_string(),
            work: Work::Upgrade {
                name: patient.name.to_string(),
                release: release.to_string(),
                was_up: patient.is_up,
                from: patient.from.clone(),
                snapshot: snapshot.to_string(),
            },
        }),
        check: Box::new(move || {
            patient.require_same(context, &label, version)?;
            let members = context.members()?;
            let member = members.find(&label)?;
            patient.require_upgradable(context, member, &release)?;
            patient.require_mounts(context, member)?;
            // Or iocage stops in the middle, with the jail started (freebsd/iocage#41).
            patient.require_no_snapshot(context, &snapshot)
        }),
        list: None,
    }])
}

/// What iocage calls a snapshot of this day: `ioc_upgrade_2026-11-25`.
fn today(what: &str) -> Result<SnapshotName> {
    let time = utc_time_in(0).unwrap_or_default();
    let day = time.split('T').next().unwrap_or_default();
    SnapshotName::parse(&format!("{what}_{day}")).map_err(|why| Error::new(Code::Unavailable, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_of_today_has_the_day_alone() {
        let name = today("ioc_upgrade").unwrap();
        let day = name.strip_prefix("ioc_upgrade_20").unwrap();
        assert!(day.len() == "26-11-25".len(), "{day}");
        assert!(day.chars().all(|c| c.is_ascii_digit() || c == '-'), "{day}");
    }
}
