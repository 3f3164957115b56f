//! Getting rid of what was fetched: `cleanreleases`, `cleantemplates`.
//!
//! iocage destroys what was made from a release or a template together with it, without a word.
//! Here that takes `force`.

use serde_json::{json, Value};

use crate::context::{Context, Level};
use crate::error::{Code, Error, Result};
use crate::iocage::datasets::{self, Family};
use crate::iocage::dependents::{self, Dependents};
use crate::limits;
use crate::request::Arguments;
use crate::system::System;

/// What is cleaned, and how.
struct Target {
    family: Family,
    /// The key of a dry run's list.
    key: &'static str,
    /// Its option of `iocage clean`; the same in every version.
    option: &'static str,
    done: &'static str,
    dependents: fn(&System, &str, &[String]) -> Result<Dependents>,
}

pub fn releases(context: &Context, arguments: Arguments) -> Result<Value> {
    let target = Target {
        family: Family::Releases,
        key: "releases",
        option: "-fr",
        done: "All RELEASEs have been cleaned.",
        dependents: dependents::of_releases,
    };
    clean(context, arguments, &target)
}

pub fn templates(context: &Context, arguments: Arguments) -> Result<Value> {
    let target = Target {
        family: Family::Templates,
        key: "templates",
        option: "-ft",
        done: "All templates have been cleaned.",
        dependents: dependents::of_templates,
    };
    clean(context, arguments, &target)
}

fn clean(context: &Context, arguments: Arguments, target: &Target) -> Result<Value> {
    let system = &context.system;
    let force = arguments.flag("force")?;
    let dry_run = arguments.flag("dryrun")?;

    let _changing = context.lock_changes()?;
    let pool = context.require_active_pool()?;
    let members = datasets::members(system, &pool, target.family)?;
    let dependents = (target.dependents)(system, &pool, &members)?;
    if dry_run {
        return Ok(would_destroy(&members, &dependents, target));
    }
    if !dependents.is_empty() && !force {
        let message = format!(
            "{} still in use by {}; nothing was destroyed, \"force\" would destroy them all",
            target.key,
            dependents.in_words()
        );
        return Err(Error::new(Code::InUse, message));
    }

    let arguments = ["clean", target.option];
    let output = system.iocage(&arguments, limits::CLEANING_TIMEOUT_FACTOR)?;
    // iocage goes on after a dataset that is busy, so its exit code alone tells little.
    let left = datasets::members(system, &pool, target.family)?;
    if !left.is_empty() {
        let doing = format!("still there: {}", left.join(", "));
        return Err(output.failure().context(&doing));
    }
    if output.exit_code != 0 {
        return Err(output.failure());
    }
    let with = match dependents.is_empty() {
        true => String::new(),
        false => format!(", with {}", dependents.in_words()),
    };
    let what = if members.is_empty() {
        "nothing".into()
    } else {
        members.join(", ")
    };
    context.note(
        Level::Info,
        &format!("{} cleaned: {what}{with}", target.key),
    );
    Ok(json!({ "success": target.done }))
}

fn would_destroy(members: &[String], dependents: &Dependents, target: &Target) -> Value {
    let mut list = json!({
        "jails": dependents.jails,
        "templates": dependents.templates,
        "datasets": dependents.datasets,
    });
    list[target.key] = json!(members);
    json!({ "dryrun": "true", "would_destroy": list })
}
