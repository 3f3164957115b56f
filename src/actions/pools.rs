//! Which pool iocage works on: `activatestatus`, `activatepool`, `deactivatepool`.

use serde_json::{json, Value};

use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::pools::{self, Pool};
use crate::request::Arguments;

pub fn status(context: &Context, _: Arguments) -> Result<Value> {
    Ok(match context.active_pool()? {
        Some(pool) => json!({ "activated": "true", "pool": pool }),
        None => json!({ "activated": "false" }),
    })
}

pub fn activate(context: &Context, arguments: Arguments) -> Result<Value> {
    let (system, config) = (&context.system, &context.config);
    let Some(pool) = arguments.optional_pool()? else {
        let pool = context.require_active_pool()?;
        return Ok(json!({ "currently active": { "pool": pool } }));
    };

    let _changing = context.lock_changes()?;
    pools::require_usable(system, config, &pool)?;
    let _switching = context.lock_active();
    let before = pools::list(system, config)?;

    // The new pool first. Whatever fails then, there is always an active pool: while there is
    // none, any iocage command activates the first pool that it finds, and while there are two,
    // none does anything.
    let is_wanted = |candidate: &&Pool| candidate.name == pool;
    let to_mark = before
        .iter()
        .filter(is_wanted)
        .filter(|wanted| !wanted.active);
    let to_unmark = before
        .iter()
        .filter(|other| other.active && other.name != pool);
    for changing in to_mark.chain(to_unmark) {
        if let Err(error) = pools::mark(system, &changing.name, !changing.active) {
            let undone = undo(context, &before);
            return Err(error.context(&format!("pool {pool} is not activated, {undone}")));
        }
    }
    Ok(json!({ "success": format!("pool {pool} activated.") }))
}

/// Puts the marks back as they were before, and says whether that went well. What is marked now
/// is asked, not assumed: a command that failed may have done its work before.
fn undo(context: &Context, before: &[Pool]) -> &'static str {
    // What failed once may have failed for a moment only, and this matters.
    const TRIES: usize = 3;
    for _ in 0..TRIES {
        let Ok(now) = pools::list(&context.system, &context.config) else {
            continue;
        };
        let changed: Vec<&Pool> = before.iter().filter(|pool| !now.contains(pool)).collect();
        if changed.is_empty() {
            return "nothing has changed";
        }
        for pool in changed {
            // Whether this helps is seen in the next round.
            let _ = pools::mark(&context.system, &pool.name, pool.active);
        }
    }
    match pools::list(&context.system, &context.config) {
        Ok(now) if before.iter().all(|pool| now.contains(pool)) => "nothing has changed",
        _ => "and which pools are active is to be checked by hand: undoing failed too",
    }
}

pub fn deactivate(context: &Context, arguments: Arguments) -> Result<Value> {
    let (system, config) = (&context.system, &context.config);
    let pool = arguments.pool()?;

    let _changing = context.lock_changes()?;
    let known = pools::list(system, config)?;
    match known.iter().find(|candidate| candidate.name == pool) {
        Some(found) if found.active => {}
        Some(_) => {
            let active = known.iter().find(|candidate| candidate.active);
            let instead = match active {
                Some(other) => format!("pool {} is", other.name),
                None => "no pool is".into(),
            };
            let message = format!("pool {pool} is not active, {instead}");
            return Err(Error::new(Code::NotActive, message));
        }
        None => {
            pools::require_exists(system, config, &pool)?;
            let message = format!("pool {pool} is there, but its datasets cannot be read");
            return Err(Error::new(Code::Unavailable, message));
        }
    }
    pools::mark(system, &pool, false)?;
    Ok(json!({ "success": format!("pool {pool} deactivated.") }))
}
