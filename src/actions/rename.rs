//! Giving a jail another name: `renamejail`.
//!
//! iocage renames the snapshot of the release, the dataset, and then what the jail's files say, and
//! stops anywhere if something fails. Whatever was cut short, here or there, is finished if the same
//! is asked for again: the jail is found by its new dataset or by the uuid that its settings still
//! have.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use super::{power, Chosen, Member};
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::command;
use crate::iocage::datasets::Family;
use crate::iocage::mounting::{self, Reach, Targets};
use crate::iocage::remains::Roots;
use crate::iocage::renaming::{self, Moved, Origin, Snapshots};
use crate::iocage::selection::Members;
use crate::iocage::settings::{self, Key, Settings};
use crate::names::JailName;
use crate::reply::Object;
use crate::request::{Arguments, NAME};
use crate::resources::{Claim, Resource};
use crate::system::last_words;

/// The new name alone. A snapshot of what the jail was cloned from gets another name too, so nobody
/// may roll that back meanwhile. And iocage writes the new name of a template into the settings of all
/// that was made from it (`iocage.py`, rename).
pub fn needs(_: &Context, arguments: &Arguments, chosen: &Chosen) -> Result<Vec<Claim>> {
    let mut claims = vec![Resource::jail(&arguments.require(&NAME)?).alone()];
    let origin = origin(&chosen.member);
    if let Some((family, source)) = origin.as_ref().and_then(|one| one.source(pool(chosen))) {
        if family != Family::Releases {
            claims.push(Resource::Jail(source.replace('.', "_")).shared());
        }
    }
    if chosen.member.family() == Family::Templates {
        let made_from_it = chosen.members.all().filter(|one| is_made_from(one, chosen));
        claims.extend(made_from_it.map(|one| Resource::Jail(one.in_kernel()).alone()));
    }
    Ok(claims)
}

/// Whether the settings of a jail say that it was made from this template.
fn is_made_from(one: &Member, chosen: &Chosen) -> bool {
    let own = one.listing.settings(one.jail);
    let source = own.and_then(|own| settings::text(own, Settings::none(), Key::SOURCE_TEMPLATE));
    source.is_some_and(|source| source == chosen.member.jail.name)
}

pub fn rename(context: &Context, arguments: &Arguments, chosen: &Chosen) -> Result<Object> {
    let new = arguments.require(&NAME)?;
    let member = chosen.member;
    let name = member.iocage_name()?;
    if member.listing.settings(member.jail).is_none() {
        return Err(member.unreadable());
    }
    if member.jail.jid.is_some() {
        let message = format!("{} is running; stop it first", member.in_words());
        return Err(Error::new(Code::InUse, message));
    }
    if *new == *name {
        return finish_only(context, chosen, &new);
    }
    chosen.members.require_free(&new, Some(member))?;
    let before = origin(&member);
    let snapshots = Snapshots::look(&context.system, pool(chosen), before.as_ref(), &name, &new)?;
    require_unused(context, chosen)?;
    // iocage stops what runs under the old name, whosever it is; and who looks takes what runs under
    // the new one for this jail.
    let names = [member.in_kernel(), new.in_kernel()];
    let cannot = format!("{} cannot be renamed", member.in_words());
    power::are_nobody_elses(context, &names, &cannot)?;
    let version = context.known.installed.version(&context.system)?;
    let line = command::rename(version, &name, &new)?;

    // iocage leaves the snapshot of a template or jail under the old name: then no jail of that name
    // could be made from it again, and who destroys this one would not find it.
    let given = before.as_ref().filter(|origin| origin.snapshot == *name);
    let not_of_release = |origin: &&Origin| {
        let source = origin.source(pool(chosen));
        source.is_some_and(|(family, _)| family != Family::Releases)
    };
    if let Some(origin) = given.filter(not_of_release) {
        origin.rename(&context.system, &name, &new)?;
    }
    // It looks at all jails several times, and ZFS unmounts and mounts.
    let limit = context.system.timeout() * 4;
    let ended = context
        .system
        .run_within(&line, limit, &AtomicBool::new(false));
    let complaint = match ended {
        Err(error) => Some(error),
        Ok(output) if output.exit_code != 0 => Some(output.failure()),
        Ok(output) => {
            let said = last_words(&output.stderr);
            (!said.is_empty()).then(|| Error::new(Code::Failed, said))
        }
    };
    if let Some(error) = complaint.as_ref().filter(|error| error.lingers) {
        let doing = format!(
            "iocage has not ended, so {} may get its new name still",
            member.in_words()
        );
        return Err(error.clone().context(&doing));
    }
    context.known.memory.note_change();
    let members = context.members().map_err(|error| {
        error.context(&format!(
            "nobody knows how {} is called now",
            member.in_words()
        ))
    })?;
    let find = |name: &JailName| {
        let mut all = members.all();
        all.find(|one| one.family() == member.family() && *one.jail.name == **name)
    };
    let why = |but: &str| {
        let error = complaint.clone();
        let error = error.unwrap_or_else(|| Error::new(Code::Failed, "iocage said nothing"));
        let message = format!("{} is not renamed: {error}; {but}", member.in_words());
        Error::new(error.code, message)
    };
    match (find(&name), find(&new)) {
        (None, Some(now)) => {
            finish(context, now, &name)?;
            let warnings = [
                complaint.map(|error| error.message),
                still_named(&members, &name),
            ];
            Ok(success(
                &member,
                &name,
                &new,
                warnings.into_iter().flatten().collect(),
            ))
        }
        (Some(_), None) => {
            let undone = snapshots.give_back(&context.system, &name, &new);
            Err(why(&match undone {
                Ok(()) => "all is as it was".into(),
                Err(error) => format!("but {error}; ask again to go on"),
            }))
        }
        (Some(_), Some(_)) => Err(why(&format!("there are {name} and {new} now"))),
        (None, None) => Err(why(&format!("there is neither {name} nor {new} now"))),
    }
}

fn pool<'a>(chosen: &'a Chosen) -> &'a crate::names::PoolName {
    &chosen.members.jails.pool
}

/// The snapshot that a jail was made from.
fn origin(member: &Member) -> Option<Origin> {
    Origin::of(&member.listing.pool, member.origin()?)
}

fn success(member: &Member, old: &str, new: &str, warnings: Vec<String>) -> Object {
    let family = match member.family() {
        Family::Templates => "template",
        _ => "jail",
    };
    let warning = (!warnings.is_empty()).then(|| warnings.join("; "));
    Object::new()
        .with("success", format!("{family} {old} renamed to {new}."))
        .with_some("warning", warning)
}

/// Makes sure that no other jail mounts something of this one, which would be gone, and that none
/// runs in its root. What is not known counts as so.
fn require_unused(context: &Context, chosen: &Chosen) -> Result<()> {
    let (system, member) = (&context.system, chosen.member);
    let (Some(dataset), Some(_)) = (member.dataset(), member.listing.folder(member.jail)) else {
        return Err(member.unreadable());
    };
    let mounts = system.mounts()?;
    let own = BTreeSet::from([(member.family(), member.jail.name.clone())]);
    let targets = Targets::of(pool(chosen), &mounts, own);
    let others = chosen.members.all();
    let others: Vec<Member> = others.filter(|one| one.place() != member.place()).collect();
    let folder = |one: &Member| mounts.mountpoint(&one.dataset()?).map(PathBuf::from);
    let folders = others.iter().map(folder).collect();
    let tables = mounting::sources(system, &mounts, pool(chosen), folders)?;
    let (mut mounting, mut unknown) = (Vec::new(), Vec::new());
    for (other, sources) in others.iter().zip(tables) {
        match sources.map(|sources| targets.reach(&sources)) {
            None => unknown.push(other.in_words()),
            // A mount of a folder above does not have what is mounted below that.
            Some(Reach::Not | Reach::Around) => {}
            Some(Reach::Into) => mounting.push(other.in_words()),
        }
    }
    let intruders = Roots::of([&dataset].into_iter()).intruders(system, &[])?;
    let in_words = member.in_words();
    let why = [
        (
            mounting,
            format!("mounts something of {in_words}; take that out first"),
        ),
        (
            unknown,
            format!("cannot be read, so it may mount something of {in_words}"),
        ),
    ];
    let fstabs = why.into_iter().filter(|(names, _)| !names.is_empty());
    let fstabs = fstabs.map(|(names, why)| format!("the fstab of {} {why}", names.join(", ")));
    let inside = (!intruders.is_empty())
        .then(|| format!("running inside of {in_words}: {}", intruders.join(", ")));
    let all: Vec<String> = fstabs.chain(inside).collect();
    match all.is_empty() {
        true => Ok(()),
        false => Err(Error::new(Code::InUse, all.join("; "))),
    }
}

/// Does what is left to do once the dataset has its new name.
fn finish(context: &Context, now: Member, old: &str) -> Result<()> {
    let new = now.jail.name.clone();
    let fail = |why: String| {
        let message = format!(
            "{old} is called {new} now, but {why}; ask to rename {new} to {new} to finish that"
        );
        Error::new(Code::Failed, message)
    };
    // iocage 1.0 does not rename it.
    if let Some(origin) = origin(&now).filter(|origin| origin.snapshot == old) {
        let renamed = origin.rename(&context.system, old, &new);
        renamed.map_err(|error| fail(error.message))?;
    }
    let folder = now.listing.folder(now.jail);
    let folder = folder.ok_or_else(|| fail("its dataset is not mounted".into()))?;
    let moved = Moved {
        folder: folder.into(),
        name: new.clone(),
        before: Some(old.into()),
    };
    let work = move || moved.finish();
    context
        .system
        .on_files(&now.listing.pool, work)?
        .map_err(fail)
}

/// Finishes a rename that was cut short after the dataset had its new name.
fn finish_only(context: &Context, chosen: &Chosen, new: &JailName) -> Result<Object> {
    let member = chosen.member;
    let folder = member.listing.folder(member.jail).map(PathBuf::from);
    let folder = folder.ok_or_else(|| member.unreadable())?;
    let in_fstab = move || renaming::name_in_fstab(&folder);
    let in_fstab = context.system.on_files(pool(chosen), in_fstab)?;
    // The mounts of a jail that exists are that jail's.
    let is_gone = |name: &String| chosen.members.all().all(|one| one.jail.name != *name);
    let old = match *member.jail.uuid != **new {
        true => Some(member.jail.uuid.clone()),
        false => in_fstab.filter(is_gone),
    };
    let Some(old) = old else {
        let message = format!(
            "argument \"name\": {} is called so already",
            member.in_words()
        );
        return Err(Error::new(Code::Conflict, message));
    };
    finish(context, member, &old)?;
    let warnings = still_named(chosen.members, &old).into_iter().collect();
    Ok(success(&member, &old, new, warnings))
}

/// Those that want the jail by its old name.
fn still_named(members: &Members, old: &str) -> Option<String> {
    let depends = |one: &Member| {
        let (listing, jail) = (one.listing, one.jail);
        let own = listing.settings(jail);
        let text = own.and_then(|own| settings::stored(own, listing.defaults(), Key::DEPENDS));
        text.is_some_and(|text| text.split(' ').any(|name| name == old))
    };
    let names = members.all().filter(depends).map(|one| one.in_words());
    let names: Vec<String> = names.collect();
    (!names.is_empty()).then(|| format!("\"depends\" of {} still says {old}", names.join(", ")))
}
