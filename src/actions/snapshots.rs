//! Snapshots of jails: `snapshotjail`, `removesnapshot`, `rollbackjail`.
//!
//! By `zfs` itself: iocage's `snapremove` destroys what was cloned from a snapshot, and its
//! `rollback` stops in the middle where a dataset lacks one (1.13, both run).

use super::Chosen;
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::datasets::Dataset;
use crate::iocage::destruction::{destroy, held_in_words};
use crate::iocage::snapshots::{self, Holders};
use crate::names::{PoolName, SnapshotName};
use crate::reply::Object;
use crate::request::{wrong, Arguments, DRYRUN, FORCE, SNAPSHOT};
use crate::system::utc_time_in;

pub fn take(context: &Context, arguments: &Arguments, chosen: &Chosen) -> Result<Object> {
    let of = Of::chosen(context, chosen)?;
    let name = match arguments.optional(&SNAPSHOT)? {
        Some(name) => name,
        None => named_by_time()?,
    };
    let holders = of.look()?;
    if holders.is_empty() {
        let message = format!("{} is gone", of.words);
        return Err(Error::new(Code::NotFound, message));
    }
    holders
        .have_room(&name)
        .map_err(|why| wrong("snapshot", &why))?;
    let there = holders.called(&name);
    if !there.is_empty() {
        let message = format!("{} is there already", in_words(&there));
        return Err(Error::new(Code::Conflict, message));
    }
    let taken = snapshots::take(&context.system, &of.dataset, &name);
    let now = of.look()?;
    let lacking = now.lacking(&name);
    if now.is_empty() || !lacking.is_empty() {
        taken?;
        let message = format!("zfs has made no snapshot of {}", in_words(&lacking));
        return Err(Error::new(Code::Failed, message));
    }
    let success = format!("snapshot {} of {} taken.", &*name, of.words);
    Ok(Object::new()
        .with("success", success)
        .with("snapshot", name.to_string()))
}

pub fn remove(context: &Context, arguments: &Arguments, chosen: &Chosen) -> Result<Object> {
    let of = Of::chosen(context, chosen)?;
    let name = arguments.require(&SNAPSHOT)?;
    let holders = of.look()?;
    let there = holders.called(&name);
    if there.is_empty() {
        return Err(of.not_found(&name));
    }
    let clones = holders.clones_of(&there);
    if !clones.is_empty() {
        let message = format!(
            "snapshot {} of {} is in use by what was cloned from it: {}; nothing was destroyed",
            &*name,
            of.words,
            in_words(&clones)
        );
        return Err(Error::new(Code::InUse, message));
    }
    if let Some(why) = held_in_words(&holders.held_of(&there)) {
        let message = format!(
            "snapshot {} of {} is {why}; nothing was destroyed",
            &*name, of.words
        );
        return Err(Error::new(Code::InUse, message));
    }
    for snapshot in holders.topmost(&name) {
        let destroyed = destroy(&context.system, &snapshot);
        destroyed.map_err(|error| of.after(&there, error))?;
    }
    of.require_gone(&of.look()?.called(&name))?;
    let success = format!("snapshot {} of {} removed.", &*name, of.words);
    Ok(Object::new().with("success", success))
}

pub fn roll_back(context: &Context, arguments: &Arguments, chosen: &Chosen) -> Result<Object> {
    let of = Of::chosen(context, chosen)?;
    let name = arguments.require(&SNAPSHOT)?;
    let (force, dry_run) = (arguments.flag(&FORCE)?, arguments.flag(&DRYRUN)?);
    let holders = of.look()?;
    let later = holders.later(&name);
    let bookmarks = snapshots::later_bookmarks(&context.system, &of.dataset, &name)?;
    let lost = [later.clone(), bookmarks.clone()].concat();
    let refused = why_not(&of, &holders, &name, &lost, force, chosen);
    if dry_run {
        let goes = Object::new().with("snapshots", texts(&later));
        let goes = match bookmarks.is_empty() {
            true => goes,
            false => goes.with("bookmarks", texts(&bookmarks)),
        };
        return Ok(Object::new()
            .with("dryrun", "true")
            .with("would_roll_back", texts(holders.upwards()))
            .with("would_destroy", goes)
            .with("would_refuse", texts(&refused)));
    }
    if let Some(first) = refused.first() {
        let all: Vec<&str> = refused.iter().map(|why| &*why.message).collect();
        let message = format!("{}; nothing was rolled back", all.join("; "));
        return Err(Error::new(first.code, message));
    }
    let back = snapshots::roll_back(&context.system, &holders, &name, force);
    back.map_err(|error| of.after(&later, error))?;
    let now = of.look()?;
    of.require_gone(&now.later(&name))?;
    let success = format!("{} rolled back to {}.", of.words, &*name);
    Ok(Object::new().with("success", success))
}

/// Why a jail is not taken back to a snapshot.
fn why_not(
    of: &Of,
    holders: &Holders,
    name: &SnapshotName,
    lost: &[Dataset],
    force: bool,
    chosen: &Chosen,
) -> Vec<Error> {
    let mut refused = Vec::new();
    if let Some(jid) = &chosen.member.jail.jid {
        let message = format!("{} is running (jid {jid})", of.words);
        refused.push(Error::new(Code::InUse, message));
    }
    let lacking = holders.lacking(name);
    if holders.called(name).is_empty() {
        refused.push(of.not_found(name));
    } else if !lacking.is_empty() {
        let message = format!(
            "snapshot {} of {} is not on all of its datasets, not on {}",
            &**name,
            of.words,
            in_words(&lacking)
        );
        refused.push(Error::new(Code::Conflict, message));
    }
    let clones = holders.clones_of(lost);
    if !clones.is_empty() {
        let message = format!("{} cloned from a later snapshot", were(&clones));
        refused.push(Error::new(Code::InUse, message));
    }
    if let Some(why) = held_in_words(&holders.held_of(lost)) {
        let message = format!("what is later is {why}");
        refused.push(Error::new(Code::InUse, message));
    }
    if !lost.is_empty() && !force {
        let message = format!("\"force\" would destroy what is later: {}", in_words(lost));
        refused.push(Error::new(Code::InUse, message));
    }
    refused
}

/// The jail or template whose snapshots are meant.
struct Of<'a> {
    context: &'a Context,
    pool: &'a PoolName,
    dataset: Dataset,
    /// `jail web`.
    words: String,
}

impl<'a> Of<'a> {
    fn chosen(context: &'a Context, chosen: &Chosen<'a>) -> Result<Self> {
        let member = chosen.member;
        let words = format!("{} {}", member.family().one(), member.jail.name);
        let no_name = || Error::new(Code::Unavailable, format!("{words} has no dataset's name"));
        Ok(Of {
            dataset: member.dataset().ok_or_else(no_name)?,
            pool: &member.listing.pool,
            context,
            words,
        })
    }

    fn look(&self) -> Result<Holders> {
        Holders::look(&self.context.system, self.pool, &self.dataset)
    }

    fn not_found(&self, name: &SnapshotName) -> Error {
        let message = format!("{} has no snapshot {:?}", self.words, &**name);
        Error::new(Code::NotFound, message)
    }

    /// An error, with those of `snapshots` that are gone.
    fn after(&self, snapshots: &[Dataset], error: Error) -> Error {
        // What does not answer is not asked again.
        let may_ask = error.code != Code::Timeout;
        match may_ask.then(|| self.look()) {
            Some(Ok(now)) => match in_words(&now.missing(snapshots)) {
                none if none.is_empty() => error.context("no snapshot was destroyed"),
                gone => error.context(&format!("destroyed {gone}")),
            },
            _ => error.context("nobody knows which snapshots were destroyed"),
        }
    }

    fn require_gone(&self, left: &[Dataset]) -> Result<()> {
        match left.is_empty() {
            true => Ok(()),
            false => {
                let message = format!("still there: {}", in_words(left));
                Err(Error::new(Code::Failed, message))
            }
        }
    }
}

fn texts<T: ToString>(all: impl IntoIterator<Item = T>) -> Vec<String> {
    all.into_iter().map(|one| one.to_string()).collect()
}

fn in_words(names: &[impl ToString]) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// `a was`; `a, b were`.
fn were(names: &[&Dataset]) -> String {
    let verb = if names.len() == 1 { "was" } else { "were" };
    format!("{} {verb}", in_words(names))
}

/// The time in UTC as a name: `2026-11-25_18-49-23`.
fn named_by_time() -> Result<SnapshotName> {
    let time = utc_time_in(0).unwrap_or_default();
    let name = time.replace('T', "_").replace(':', "-");
    SnapshotName::parse(&name)
        .map_err(|why| Error::new(Code::Unavailable, format!("the time is no name: {why}")))
}
