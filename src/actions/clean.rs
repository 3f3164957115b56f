//! Getting rid of what was fetched: `cleanreleases`, `cleantemplates`.
//!
//! iocage destroys what was made from a release or a template together with it, without a word.
//! Here that takes `force`, and what runs is never destroyed.

use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::datasets::{self, Family};
use crate::iocage::dependents::{self, Dependents, Names};
use crate::names::PoolName;
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
    let system = &context.system;
    let (force, dry_run) = (arguments.flag(&FORCE)?, arguments.flag(&DRYRUN)?);
    let pool = context.require_active_pool()?;
    let members = datasets::members(system, &pool, target.family)?;
    let plan = dependents::plan(system, &pool, target.families)?;
    let dependents = Dependents::of(system, &pool, &plan)?;
    let what = target.family.as_str();
    if dry_run {
        return Ok(would_destroy(members, dependents, what));
    }
    dependents.require_none(what, force)?;
    let gone = plan.carry_out(system)?;
    let left = datasets::members(system, &pool, target.family)?;
    if !left.is_empty() {
        let message = format!("still there: {}", left.join(", "));
        return Err(Error::new(Code::Failed, message));
    }
    let mut answer = Object::new().with("success", target.done);
    if arguments.flag(&DETAIL)? {
        answer.insert("destroyed", list(names(&pool, &gone)));
    }
    Ok(answer)
}

/// What was destroyed, by name: a jail's, a template's, a release's, or that of a dataset which
/// iocage has not made. A release has its name once, though its download was destroyed too.
fn names<'a>(pool: &PoolName, gone: &[&'a str]) -> Vec<&'a str> {
    let is_gone = |release: &str| {
        let dataset = Family::Releases.member_dataset(pool, release);
        dataset.is_some_and(|dataset| gone.contains(&&*dataset))
    };
    let is_named = |dataset: &&&'a str| {
        let download = Family::Download.member(pool, dataset);
        !download.is_some_and(is_gone)
    };
    let name = |dataset: &&'a str| match datasets::member(pool, dataset) {
        Some((_, member)) => member,
        None => *dataset,
    };
    gone.iter().filter(is_named).map(name).collect()
}

/// What goes; what only mounts its files, and so breaks; and what would be in the way.
fn would_destroy(members: Vec<String>, dependents: Dependents, what: &'static str) -> Object {
    let refused: Vec<String> = dependents.parts_in_words().into_iter().collect();
    let running: Vec<String> = list_of(dependents.all_running());
    let cloned = dependents.cloned;
    let mut goes = Object::new()
        .with("jails", list(cloned.jails))
        .with("templates", list(cloned.templates))
        .with("datasets", list(cloned.datasets));
    goes.insert(what, members);
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
