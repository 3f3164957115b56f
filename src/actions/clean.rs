//! Getting rid of what was fetched: `cleanreleases`, `cleantemplates`.
//!
//! iocage destroys what was made from a release or a template together with it, without a word.
//! Here that takes `force`, and what runs is never destroyed.

use super::destroy::doom::{names, Doom, Found, Meant};
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::datasets::Family;
use crate::iocage::dependents::Names;
use crate::reply::{Answer, Object};
use crate::request::{Arguments, DETAIL, DRYRUN, FORCE};
use crate::resources::{Claim, Resource};

/// What is cleaned, and how.
struct Target {
    family: Family,
    /// What goes with it.
    families: &'static [Family],
    done: &'static str,
}

const RELEASES: Target = Target {
    family: Family::Releases,
    families: &[Family::Releases, Family::Download],
    done: "All RELEASEs have been cleaned.",
};

const TEMPLATES: Target = Target {
    family: Family::Templates,
    families: &[Family::Templates],
    done: "All templates have been cleaned.",
};

/// While they are cleaned, nobody fetches a release or makes anything of one.
pub fn releases_need(_: &Context, _: &Arguments) -> Result<Vec<Claim>> {
    Ok(vec![
        Resource::Marks.shared(),
        Resource::Releases.alone(),
        Resource::Templates.alone(),
        Resource::Jails.alone(),
    ])
}

/// While they are cleaned, nobody makes anything of a template.
pub fn templates_need(_: &Context, _: &Arguments) -> Result<Vec<Claim>> {
    Ok(vec![
        Resource::Marks.shared(),
        Resource::Templates.alone(),
        Resource::Jails.alone(),
    ])
}

pub fn releases(context: &Context, arguments: &Arguments) -> Result<Object> {
    clean(context, arguments, &RELEASES)
}

pub fn templates(context: &Context, arguments: &Arguments) -> Result<Object> {
    clean(context, arguments, &TEMPLATES)
}

fn clean(context: &Context, arguments: &Arguments, target: &Target) -> Result<Object> {
    let (force, dry_run) = (arguments.flag(&FORCE)?, arguments.flag(&DRYRUN)?);
    let detail = arguments.flag(&DETAIL)?;
    let what = target.family.as_str();
    let doom = Doom {
        context,
        pool: context.require_active_pool()?,
        meant: Meant::All(target.families),
        words: what.into(),
        force,
        recursive: true,
        datasets: true,
    };
    let members = doom.members()?;
    let found = doom.find(&members)?;
    let forbidden = doom.forbidden(&found);
    if dry_run {
        return Ok(would_destroy(found, forbidden, target.family));
    }
    if !forbidden.is_empty() {
        let why = forbidden.join("; ");
        let message = format!("{what} still in use: {why}; nothing was destroyed");
        return Err(Error::new(Code::InUse, message));
    }
    found.dependents.require_none(what, force)?;
    let left = doom.act(&members, &found)?;
    let mut answer = Object::new().with("success", target.done);
    if detail {
        answer.insert("destroyed", names(&found, |_| true));
    }
    if !left.is_empty() {
        answer.insert("left", left);
    }
    Ok(answer)
}

/// What goes; what only mounts its files, and so breaks; and what would be in the way.
fn would_destroy(found: Found, refused: Vec<String>, family: Family) -> Object {
    let mut members = names(&found, |unit| unit.family == Some(family));
    members.sort_unstable();
    let dependents = found.dependents;
    let running: Vec<String> = list_of(dependents.all_running());
    let cloned = dependents.cloned;
    let mut goes = Object::new()
        .with("jails", list(cloned.jails))
        .with("templates", list(cloned.templates))
        .with("datasets", list(cloned.datasets));
    goes.insert(family.as_str(), members);
    let mut answer = Object::new()
        .with("dryrun", "true")
        .with("would_destroy", goes);
    for (key, names) in [
        ("would_break", dependents.mounting),
        ("cannot_be_read", dependents.unknown),
    ] {
        if !names.is_empty() {
            answer.insert(key, by_kind(names));
        }
    }
    for (key, lines) in [("running", running), ("would_refuse", refused)] {
        if !lines.is_empty() {
            answer.insert(key, lines);
        }
    }
    answer
}

fn by_kind(names: Names) -> Object {
    Object::new()
        .with("jails", list(names.jails))
        .with("templates", list(names.templates))
}

fn list(names: impl IntoIterator<Item = impl Into<String>>) -> Answer {
    list_of(names).into()
}

fn list_of(names: impl IntoIterator<Item = impl Into<String>>) -> Vec<String> {
    names.into_iter().map(Into::into).collect()
}
