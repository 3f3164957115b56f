//! Changing settings: `setjailsettings`.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::{Chosen, Member};
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::changes::{
    require_free, require_no_circle, require_none_for_all, require_own_datasets, Change, Settled,
};
use crate::iocage::command;
use crate::iocage::datasets::Family;
use crate::iocage::properties::{truth, Effect, PropertyName, PropertyValue, Settable};
use crate::iocage::selection::Selection;
use crate::iocage::version::Version;
use crate::names::{Checked, JailName};
use crate::reply::Object;
use crate::request::{wrong, Arguments, FORCE, SETTINGS};
use crate::resources::{Claim, Resource};
use crate::system::{last_words, Output};

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
    let before = settled(&member)?;
    let version = version_for(context, &asked)?;
    let changes = before.changes(&asked);
    check(&member, &asked, &changes)?;
    before.check_together(&changes)?;
    require_no_circle(&changes, chosen.members, &member.jail.name)?;
    require_own_datasets(&changes, &member.jail.name)?;
    if !arguments.flag(&FORCE)? {
        require_free(&changes, chosen.members, &member.place())?;
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

fn settled(member: &Member) -> Result<Settled> {
    let own = member.listing.settings(member.jail);
    Ok(Settled {
        own: Some(own.ok_or_else(|| member.unreadable())?.clone()),
        defaults: member.listing.defaults().clone(),
    })
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

/// Whose settings are changed.
struct Target {
    /// None for those of all jails.
    place: Option<String>,
    name: Option<JailName>,
    words: String,
    is_up: bool,
}

impl Target {
    /// The settings as they are now.
    fn settled(&self, context: &Context) -> Result<Settled> {
        let Some(place) = &self.place else {
            let listing = context.jails(Family::Jails)?;
            return Ok(Settled {
                own: None,
                defaults: listing.defaults().clone(),
            });
        };
        let members = context.members()?;
        let member = members.all().find(|one| one.place() == *place);
        settled(&member.ok_or_else(|| Error::new(Code::NotFound, format!("{place} is gone")))?)
    }

    fn run(
        &self,
        context: &Context,
        version: Version,
        settings: &[(PropertyName, PropertyValue)],
    ) -> Result<Output> {
        // iocage looks at all jails anew for each property.
        const EACH: Duration = Duration::from_secs(5);
        let limit = context.system.timeout() + EACH * settings.len() as u32;
        let settings = settings.iter().map(|(name, value)| (*name, value));
        let line = command::set(version, settings, self.name.as_ref());
        context
            .system
            .run_within(&line, limit, &AtomicBool::new(false))
    }

    /// Makes all of the changes or none: what the file says afterwards decides. It returns how the
    /// settings are then, and what iocage complained of nevertheless.
    fn make(
        &self,
        context: &Context,
        version: Version,
        changes: &[Change],
    ) -> Result<(Settled, Option<String>)> {
        if changes.is_empty() {
            return Ok((self.settled(context)?, None));
        }
        let settings = changes
            .iter()
            .map(|change| (change.name, change.value.clone()));
        let ended = self.run(context, version, &settings.collect::<Vec<_>>());
        let complaint = match &ended {
            Err(error) => Some(error.clone()),
            Ok(output) if output.exit_code != 0 => Some(output.failure()),
            Ok(_) => None,
        };
        let complaint = complaint.map(|error| Error {
            message: without_values(&error.message, changes),
            ..error
        });
        let after = self.settled(context).map_err(|error| {
            error.context(&format!(
                "nobody knows how the settings of {} are now",
                self.words
            ))
        })?;
        let is_done = |change: &Change| {
            let now = after.value(change.name);
            now.is_some_and(|now| change.is_done_by(&now))
        };
        // iocage writes the file before it tells the kernel.
        let by_kernel =
            complaint.is_some() && self.is_up && changes.iter().any(Change::reaches_kernel);
        if changes.iter().all(is_done) && !by_kernel {
            return Ok((after, complaint.map(|error| error.message)));
        }
        let why = complaint.unwrap_or_else(|| {
            let said = ended.map_or(String::new(), |output| last_words(&output.stderr));
            let missed = changes.iter().filter(|change| !is_done(change));
            let message = format!("iocage did not set {}: {said}", names(missed));
            Error::new(Code::Failed, without_values(&message, changes))
        });
        let state = match why.lingers {
            true => "iocage has not ended, so they may change still".into(),
            false => self.put_back(context, version, changes, &after),
        };
        let message = format!(
            "the settings of {} are not changed: {why}; {state}",
            self.words
        );
        Err(Error {
            lingers: why.lingers,
            ..Error::new(why.code, message)
        })
    }

    /// Sets back what has changed, and says what came of it.
    fn put_back(
        &self,
        context: &Context,
        version: Version,
        changes: &[Change],
        after: &Settled,
    ) -> String {
        let changed: Vec<&Change> = changes
            .iter()
            .filter(|one| !is_as_before(one, after))
            .collect();
        if changed.is_empty() {
            return "all is as it was".into();
        }
        let back = changed
            .iter()
            .filter_map(|change| Some((change.name, change.back()?)));
        let mut back: Vec<(PropertyName, PropertyValue)> = back.collect();
        // As when they were set: what is switched off comes first.
        back.sort_by_key(|(_, value)| truth(value.as_str()) != Some(false));
        // What came of it is what the file says.
        let said = match back.is_empty() {
            true => None,
            false => self.run(context, version, &back).err(),
        };
        let (now, lost) = match self.settled(context) {
            Ok(now) => (now, None),
            Err(error) => (after.clone(), Some(error)),
        };
        let (done, left): (Vec<&Change>, Vec<&Change>) = changed
            .into_iter()
            .partition(|change| is_as_before(change, &now));
        if !left.is_empty() {
            let why = said
                .or(lost)
                .map(|error| format!(" ({error})"))
                .unwrap_or_default();
            let why = without_values(&why, changes);
            return format!("{} could not be set back{why}", names(left));
        }
        // iocage cannot take a setting away again.
        let new: Vec<&Change> = done.into_iter().filter(|change| !change.is_own).collect();
        match new.is_empty() || self.place.is_none() {
            true => "all was set back".into(),
            false => format!(
                "all was set back; {} has {} of its own now, as all jails have it",
                self.words,
                names(new)
            ),
        }
    }
}

fn is_as_before(change: &Change, now: &Settled) -> bool {
    let kept = |value: &String| change.name.property().as_kept(value);
    now.value(change.name).as_ref().map(kept) == change.before.as_ref().map(kept)
}

fn names<'a>(changes: impl IntoIterator<Item = &'a Change>) -> String {
    let names = changes.into_iter().map(|change| change.name.as_str());
    names.collect::<Vec<_>>().join(", ")
}

/// What iocage says, without the values in it, which may be secrets.
fn without_values(text: &str, changes: &[Change]) -> String {
    const SHORTEST_SECRET: usize = 4;
    let values = changes.iter().flat_map(|change| {
        let before = change.before.as_deref();
        [Some(change.value.as_str()), before].into_iter().flatten()
    });
    let mut values: Vec<&str> = values
        .filter(|value| value.len() >= SHORTEST_SECRET)
        .collect();
    // One may be a part of another.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    values
        .into_iter()
        .fold(text.into(), |text, value| text.replace(value, "..."))
}
