//! Which pool iocage works on: `activatestatus`, `activatepool`, `deactivatepool`.

use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::pools::{self, Pool, Pools};
use crate::names::PoolName;
use crate::reply::Object;
use crate::request::{Arguments, POOL};

pub fn status(context: &Context, _: &Arguments) -> Result<Object> {
    Ok(match context.active_pool()? {
        Some(pool) => Object::new()
            .with("activated", "true")
            .with("pool", pool.to_string()),
        None => Object::new().with("activated", "false"),
    })
}

/// Which pool is active, as `activatepool` answers without a pool.
pub fn current(context: &Context, _: &Arguments) -> Result<Object> {
    let pool = context.require_active_pool()?;
    let pool = Object::new().with("pool", pool.to_string());
    Ok(Object::new().with("currently active", pool))
}

pub fn activate(context: &Context, arguments: &Arguments) -> Result<Object> {
    let wanted = arguments.require(&POOL)?;
    // This one reading decides. The last one finds what has changed since.
    let before = context.pools()?;
    before.require_online(&wanted)?;
    before.require_known()?;
    pools::require_ready(&context.system, &wanted)?;

    match switch(context, &wanted, &before) {
        Ok(()) => Ok(Object::new().with("success", format!("pool {wanted} activated."))),
        Err(error) => Err(give_up(context, &wanted, &before, error)),
    }
}

/// Marks `wanted` and no other pool, and checks that.
///
/// The new pool comes first, so that there is an active pool whatever fails. Without one, any
/// iocage command activates the first pool that it finds; with two, no command does anything.
fn switch(context: &Context, wanted: &PoolName, before: &Pools) -> Result<()> {
    let is_wanted = |pool: &&Pool| pool.name == *wanted;
    let to_mark = before
        .readable
        .iter()
        .filter(is_wanted)
        .filter(|pool| !pool.active);
    let to_unmark = before.active().filter(|pool| pool.name != *wanted);
    for pool in to_mark {
        pools::mark(&context.system, &pool.name, true)?;
        // A command may say that it has done what it has not.
        if !context
            .pools()?
            .find(wanted)
            .is_some_and(|pool| pool.active)
        {
            let message = format!("pool {wanted} is still not marked active");
            return Err(Error::new(Code::Failed, message));
        }
    }
    for pool in to_unmark {
        pools::mark(&context.system, &pool.name, false)?;
    }
    let after = context.pools()?;
    after.require_online(wanted)?;
    match after.active().map(|pool| &pool.name).collect::<Vec<_>>()[..] {
        [only] if only == wanted => Ok(()),
        _ => {
            let message = "the marks are not as they were set: somebody else is changing them";
            Err(Error::new(Code::Conflict, message))
        }
    }
}

/// Puts the marks back after `error`, and says how things are.
fn give_up(context: &Context, wanted: &PoolName, before: &Pools, error: Error) -> Error {
    let error = match context.pools().map(|now| now.require_online(wanted)) {
        // That is the reason; the command's own words help less.
        Ok(Err(gone)) if gone.code == Code::NotFound => gone,
        _ => error,
    };
    if error.lingers {
        // A command that waits for a disk cannot be killed. Whatever is undone now, it may do its
        // work later, and take the only mark away. Two marks are safer than none.
        let message = format!(
            "it is not certain that pool {wanted} is active: a command that waits for a disk may \
             still change the marks, so nothing was undone; check them when the disk is back"
        );
        return error.context(&message);
    }
    let undone = undo(context, before);
    error.context(&format!("pool {wanted} is not activated, {undone}"))
}

/// Puts the marks back as they were before, and says whether that has worked. It asks what is
/// marked now: a command that failed may still have done its work.
fn undo(context: &Context, before: &Pools) -> &'static str {
    // What has failed once may work the next time, and this matters.
    const TRIES: usize = 6;
    let differs = |now: &Pools| {
        let differs = |pool: &&Pool| now.find(&pool.name).is_some_and(|now| now != *pool);
        before
            .readable
            .iter()
            .filter(differs)
            .cloned()
            .collect::<Vec<_>>()
    };
    for _ in 0..TRIES {
        let Ok(now) = context.pools() else {
            continue;
        };
        let changed = differs(&now);
        if changed.is_empty() {
            return "nothing has changed";
        }
        // What was active first, and the others when it is again: or there would be none for a while.
        let (to_mark, to_unmark): (Vec<Pool>, Vec<Pool>) =
            changed.into_iter().partition(|pool| pool.active);
        let next = if to_mark.is_empty() {
            to_unmark
        } else {
            to_mark
        };
        for pool in next {
            // Whether this helps is seen in the next round.
            let _ = pools::mark(&context.system, &pool.name, pool.active);
        }
    }
    match context.pools() {
        Ok(now) if differs(&now).is_empty() => "nothing has changed",
        _ => "and undoing it failed too: check by hand which pools are marked active",
    }
}

pub fn deactivate(context: &Context, arguments: &Arguments) -> Result<Object> {
    let wanted = arguments.require(&POOL)?;
    let known = context.pools()?;
    match known.find(&wanted) {
        Some(found) if found.active => {}
        Some(_) => {
            let instead = match known.active().next() {
                Some(other) => format!("pool {} is", other.name),
                None => "no pool is".into(),
            };
            let message = format!("pool {wanted} is not active, {instead}");
            return Err(Error::new(Code::NotActive, message));
        }
        None => {
            known.require_online(&wanted)?;
            let message = format!("pool {wanted} is there, but its datasets cannot be read");
            return Err(Error::new(Code::Unavailable, message));
        }
    }
    pools::mark(&context.system, &wanted, false)?;
    if context
        .pools()?
        .find(&wanted)
        .is_some_and(|pool| pool.active)
    {
        let message = format!("pool {wanted} is still marked active");
        return Err(Error::new(Code::Failed, message));
    }
    Ok(Object::new().with("success", format!("pool {wanted} deactivated.")))
}
