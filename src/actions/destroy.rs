//! Getting rid of jails, templates and releases: `destroyjail`, `cleanjails`, `cleanall`.
//!
//! By `zfs destroy` without `-R`, name by name: iocage's `destroy -f` takes what was cloned from a
//! jail with it, 1.2.1 to 1.10 those whose names begin alike too, and its `clean` leaves husks.

pub mod doom;
mod verdict;

use super::Chosen;
use crate::context::Context;
use crate::error::Result;
use crate::iocage::datasets::Family;
use crate::iocage::selection::Selection;
use crate::reply::Object;
use crate::request::{wrong, Arguments, DRYRUN, FORCE, RECURSIVE, RELEASE};
use crate::resources::{Claim, Resource};
use doom::{Doom, Meant};

/// A single jail needs only its own name: ZFS refuses if something is cloned from it meanwhile. What
/// goes with it is held by nobody's name, so that nobody may work on any.
pub fn needs(_: &Context, arguments: &Arguments, _: &Chosen) -> Result<Vec<Claim>> {
    match arguments.flag(&RECURSIVE)? {
        true => Ok(vec![Resource::Templates.alone(), Resource::Jails.alone()]),
        false => Ok(Vec::new()),
    }
}

pub fn destroy(context: &Context, arguments: &Arguments, chosen: &Chosen) -> Result<Object> {
    let member = chosen.member;
    let name = member.jail.name.clone();
    let families: &[Family] = match member.family() {
        Family::Templates => &[Family::Templates],
        _ => &[Family::Jails],
    };
    let doom = Doom {
        context,
        pool: chosen.members.jails.pool.clone(),
        words: format!("{} {name}", member.family().one()),
        meant: Meant::One(families, name),
        force: arguments.flag(&FORCE)?,
        recursive: arguments.flag(&RECURSIVE)?,
        datasets: false,
    };
    doom.carry_out(
        arguments.flag(&DRYRUN)?,
        format!("{} destroyed.", doom.words),
    )
}

pub fn release(context: &Context, arguments: &Arguments) -> Result<Object> {
    if arguments.selection()? != Selection::All {
        return Err(wrong(
            "release",
            "cannot be combined with a jail or template",
        ));
    }
    let name = arguments.require(&RELEASE)?;
    let doom = Doom {
        context,
        pool: context.require_active_pool()?,
        words: format!("release {name}"),
        meant: Meant::One(&[Family::Releases, Family::Download], name),
        force: arguments.flag(&FORCE)?,
        recursive: arguments.flag(&RECURSIVE)?,
        datasets: false,
    };
    doom.carry_out(
        arguments.flag(&DRYRUN)?,
        format!("{} destroyed.", doom.words),
    )
}

pub fn clean_jails(context: &Context, arguments: &Arguments) -> Result<Object> {
    let jails: &[Family] = &[Family::Jails];
    let done = "All jails have been cleaned.";
    clean(context, arguments, Meant::All(jails), "the jails", done)
}

/// The datasets that iocage has for all these stay, and so does its `defaults.json`: iocage and this
/// library go on working.
pub fn clean_all(context: &Context, arguments: &Arguments) -> Result<Object> {
    let done = "All iocage datasets have been cleaned.";
    clean(
        context,
        arguments,
        Meant::Everything,
        "iocage's datasets",
        done,
    )
}

fn clean(
    context: &Context,
    arguments: &Arguments,
    meant: Meant,
    words: &str,
    done: &str,
) -> Result<Object> {
    let doom = Doom {
        context,
        pool: context.require_active_pool()?,
        words: words.into(),
        meant,
        force: arguments.flag(&FORCE)?,
        recursive: false,
        datasets: false,
    };
    doom.carry_out(arguments.flag(&DRYRUN)?, done.into())
}
