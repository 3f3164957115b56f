//! Changing settings: `setjailsettings`.

mod target;

use super::{Chosen, Member};
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::changes::{
    claims, require_free, require_no_circle, require_none_for_all, require_own_datasets, saying,
    Change, Settled,
};
use crate::iocage::datasets::Family;
use crate::iocage::properties::{Effect, PropertyName, PropertyValue, Settable};
use crate::iocage::selection::Selection;
use crate::iocage::version::Version;
use crate::names::Checked;
use crate::reply::Object;
use crate::request::{wrong, Arguments, FORCE, SETTINGS};
use crate::resources::{Claim, Resource};
use target::{Target, SETTING};

/// What iocage calls the settings of all jails; a jail that is called so cannot be told from them.
const ALL_JAILS: &str = "default";

/// What they do not have: `ioc_json.py`, retrieve_default_props, has no such key, or json_check_prop
/// wants the dataset of a jail for it.
const NOT_FOR_ALL: [&str; 6] = [
    "dedup",
    "host_hostname",
    "jail_zfs_dataset",
    "quota",
    "reservation",
    "template",
];

/// Those that iocage sets on the dataset with the name that `host_hostuuid` says.
const OF_THE_DATASET: [&str; 3] = ["dedup", "quota", "reservation"];

/// Whether the settings are those that all jails begin with.
pub fn means_defaults(arguments: &Arguments) -> bool {
    matches!(arguments.selection(), Ok(Selection::One(label)) if label.as_str() == ALL_JAILS)
}

/// iocage reads the file, changes it and writes it, without a lock: two at once would lose one.
pub fn defaults_need(_: &Context, _: &Arguments) -> Result<Vec<Claim>> {
    Ok(vec![
        Resource::Marks.shared(),
        Resource::Jails.shared(),
        Resource::Jail(ALL_JAILS.into()).alone(),
    ])
}

/// The addresses that are set. A job may have promised them to a jail that is not there yet.
pub fn needs(_: &Context, arguments: &Arguments, _: &Chosen) -> Result<Vec<Claim>> {
    let asked = arguments.require(&SETTINGS)?;
    Ok(claims(saying(&asked), !arguments.flag(&FORCE)?))
}

pub fn set_defaults(context: &Context, arguments: &Arguments) -> Result<Object> {
    let asked = arguments.require(&SETTINGS)?;
    // Without an active pool, iocage would activate the first one that it finds.
    context.require_ready_pool()?;
    let listing = context.jails(Family::Jails)?;
    // iocage would write a new file over one that it cannot read.
    if let Some(why) = listing.defaults_error() {
        return Err(Error::new(Code::Failed, why));
    }
    let version = version_for(context, &asked)?;
    let has_none = |(name, _): &&(PropertyName, _)| NOT_FOR_ALL.contains(&name.as_str());
    if let Some((name, _)) = asked.iter().find(has_none) {
        let why = format!(
            "{:?} is a jail's own, and cannot be set for all",
            name.as_str()
        );
        return Err(wrong("settings", &why));
    }
    let before = Settled {
        argument: SETTING,
        own: None,
        defaults: listing.defaults().clone(),
    };
    let changes = before.changes(&asked);
    before.check_together(&changes)?;
    if !arguments.flag(&FORCE)? {
        require_none_for_all(&changes)?;
    }
    let target = Target {
        place: None,
        name: None,
        words: "all jails".into(),
        is_up: false,
    };
    let (after, warning) = target.make(context, version, &changes)?;
    Ok(Object::new()
        .with("success", "default settings set.")
        .with("changed", describe(&changes, &after))
        .with_some("warning", warning))
}

pub fn set(context: &Context, arguments: &Arguments, chosen: &Chosen) -> Result<Object> {
    let asked = arguments.require(&SETTINGS)?;
    let member = chosen.member;
    let target = Target {
        place: Some(member.place()),
        name: Some(member.iocage_name()?),
        words: member.in_words(),
        is_up: member.jail.jid.is_some(),
    };
    let before = Settled::of(&member, SETTING)?;
    let version = version_for(context, &asked)?;
    let changes = before.changes(&asked);
    check(&member, &asked, &changes)?;
    before.check_together(&changes)?;
    require_no_circle(&changes, chosen.members, &member.jail.name, SETTING)?;
    require_own_datasets(&changes, &member.jail.name, SETTING)?;
    if !arguments.flag(&FORCE)? {
        let given = changes
            .iter()
            .map(|change| (change.name.as_str(), change.value.as_str()));
        require_free(given, chosen.members, &member.place(), SETTING)?;
    }
    let (after, warning) = target.make(context, version, &changes)?;
    let has_vnet = before.is_on("vnet");
    let warnings = [warning, unlimited(&member, &changes)];
    let warnings: Vec<String> = warnings.into_iter().flatten().collect();
    let waits = |change: &&Change| target.is_up && change.needs_restart(has_vnet);
    let waiting = changes.iter().filter(waits);
    let waiting: Vec<String> = waiting.map(|change| change.name.as_str().into()).collect();
    Ok(Object::new()
        .with("success", format!("settings of {} set.", target.words))
        .with("changed", describe(&changes, &after))
        .with("needs_restart", waiting)
        .with_some(
            "warning",
            (!warnings.is_empty()).then(|| warnings.join("; ")),
        ))
}

/// What iocage does not do at once though it says so: it gives rctl(8) the name of the jail with its
/// dots, which the kernel does not have (`ioc_json.py`, IOCRCTL).
fn unlimited(member: &Member, changes: &[Change]) -> Option<String> {
    let is_limit = |change: &Change| change.name.property().effect == Effect::Limit;
    let is_lost =
        member.jail.jid.is_some() && member.jail.uuid.contains('.') && changes.iter().any(is_limit);
    is_lost.then(|| {
        let words = member.in_words();
        format!("iocage limits no running jail with a dot in its name; capjail limits {words}")
    })
}

/// The version of the installed iocage, which must have all that is asked for.
fn version_for(context: &Context, asked: &[(PropertyName, PropertyValue)]) -> Result<Version> {
    let version = context.known.installed.version(&context.system)?;
    let mut properties = asked.iter().map(|(name, _)| name.property());
    properties.try_for_each(|property| property.require(version))?;
    Ok(version)
}

/// Refuses what cannot be set for this jail, or not as it is now.
fn check(
    member: &Member,
    asked: &[(PropertyName, PropertyValue)],
    changes: &[Change],
) -> Result<()> {
    for (name, _) in asked {
        if name.property().settable == Settable::Defaults {
            let why = format!(
                "{:?} is for all jails (\"jail\": \"{ALL_JAILS}\"), and cannot be set for a single one",
                name.as_str()
            );
            return Err(wrong("settings", &why));
        }
    }
    for change in changes {
        let name = change.name.as_str();
        let refuse = |code, why: &str| {
            let message = format!("argument \"settings\": {name:?} {why}");
            Err(Error::new(code, message))
        };
        if name == "template" {
            // It renames the dataset, and what was cloned from the jail hangs on it.
            return refuse(
                Code::Unavailable,
                "would make the jail a template or the template a jail, which this action does not \
                 do; `iocage set` does",
            );
        }
        if change.name.property().effect == Effect::WhileStopped && member.jail.jid.is_some() {
            return refuse(
                Code::InUse,
                &format!("can only be set while {} is stopped", member.in_words()),
            );
        }
        if OF_THE_DATASET.contains(&name) && member.jail.uuid != member.jail.name {
            return refuse(
                Code::Conflict,
                &format!(
                    "would be set on another dataset, for {} says that it is {:?}; rename it to \
                     {:?} first",
                    member.place(),
                    member.jail.uuid,
                    member.jail.name
                ),
            );
        }
    }
    Ok(())
}

fn describe(changes: &[Change], after: &Settled) -> Object {
    let mut changed = Object::new();
    for change in changes {
        let or_none = |value: Option<String>| value.unwrap_or_else(|| "-".into());
        let both = Object::new()
            .with("from", or_none(change.before.clone()))
            .with("to", or_none(after.value(change.name)));
        changed.insert(change.name.as_str().to_string(), both);
    }
    changed
}
