//! How every action is carried out: who may ask for it, with which arguments, what it holds
//! meanwhile, and what is logged. An action's row says what applies; no action can forget any of
//! it.

use std::time::Instant;

use serde_json::{Map, Value};

use crate::actions::{self, Access, Action, Change, Chosen, How, JailChange, Many};
use crate::audit;
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::host::Level;
use crate::iocage::selection::{Label, Member, Selection};
use crate::jobs::{Start, Task};
use crate::reply::{failure, Object, Reply, Status};
use crate::request::{missing, shorten, wrong, AnyField, Arguments, NAME};
use crate::resources::{work_in_pool, Claim, Resource};
use crate::sharing::Sharing;

/// Answers a request's `args`.
pub fn dispatch(
    context: &Context,
    sharing: &Sharing<Object>,
    args: &Value,
    access: Access,
) -> Reply {
    let bad = |why: &str| Reply::refusal(Status::BadRequest, why);
    let Some(args) = args.as_object() else {
        return bad("the request's args are not a JSON object");
    };
    let name = match args.get("action") {
        Some(Value::String(name)) => name,
        Some(_) => return bad("\"action\" is not a string"),
        None => return bad("\"action\" is missing"),
    };
    let Some(action) = actions::find(name) else {
        return bad(&format!("unknown action {:?}", shorten(name)));
    };
    carry_out(context, sharing, action, args, access)
}

fn carry_out(
    context: &Context,
    sharing: &Sharing<Object>,
    action: &'static Action,
    args: &Map<String, Value>,
    access: Access,
) -> Reply {
    let name = action.name;
    let arguments = Arguments::new(args, action.fields);
    if access < action.access(&arguments) {
        context
            .callbacks
            .note(Level::Error, &audit::refusal(name, &arguments));
        let why = format!("{name} changes something and needs full access");
        return Reply::refusal(Status::Forbidden, why);
    }
    let outcome = match &action.how {
        How::Looks(look) => shared_look(context, sharing, name, &arguments, *look),
        How::ChangesWith(field, change, look) => match arguments.has(*field) {
            true => audited(context, name, &arguments, || {
                make_change(context, &arguments, change)
            }),
            false => shared_look(context, sharing, name, &arguments, *look),
        },
        How::Changes(change) => audited(context, name, &arguments, || {
            make_change(context, &arguments, change)
        }),
        How::ChangesJails(change) => audited(context, name, &arguments, || {
            change_jails(context, &arguments, change)
        }),
        How::ChangesJailsOr(change, means_other, other) => {
            audited(context, name, &arguments, || {
                match means_other(&arguments) {
                    true => make_change(context, &arguments, other),
                    false => change_jails(context, &arguments, change),
                }
            })
        }
        How::Starts(tasks, many) => audited(context, name, &arguments, || {
            let tasks = tasks(context, &arguments)?;
            start(context, tasks, many.asked_by(&arguments))
        }),
    };
    Reply::of_action(name, outcome)
}

/// Does what only looks. It ignores arguments that it does not know.
fn shared_look(
    context: &Context,
    sharing: &Sharing<Object>,
    name: &str,
    arguments: &Arguments,
    look: actions::Look,
) -> Result<Object> {
    let outcome = arguments
        .check()
        .and_then(|()| sharing.answer(&arguments.as_text(name), || look(context, arguments)));
    if let Err(error) = &outcome {
        log_failure(context, name, error);
    }
    outcome
}

/// Does what changes something, and leaves a line in the log. Unknown arguments are refused.
fn audited(
    context: &Context,
    name: &str,
    arguments: &Arguments,
    work: impl FnOnce() -> Result<Object>,
) -> Result<Object> {
    let started = Instant::now();
    let checked = arguments.only_known().and_then(|()| arguments.check());
    let outcome = checked.and_then(|()| work());
    match &outcome {
        // Nothing has changed, and a client can send many of these.
        Err(error) if error.code == Code::InvalidArgument => log_failure(context, name, error),
        _ => {
            let line = audit::line(name, arguments, &outcome, started.elapsed());
            let level = outcome.as_ref().map_or(Level::Error, |_| Level::Info);
            context.callbacks.note(level, &line);
        }
    }
    outcome
}

/// Makes a change while it holds what it needs.
fn make_change(context: &Context, arguments: &Arguments, change: &Change) -> Result<Object> {
    context.jobs.settle();
    // What only says what it would do holds nobody up.
    let needs = match arguments.is_dry_run()? {
        true => Vec::new(),
        false => (change.needs)(context, arguments)?,
    };
    let held = context.resources.take(&needs, context.system.timeout())?;
    let outcome = (change.run)(&context.holding(&held), arguments);
    context.known.memory.note_change();
    drop(held);
    outcome
}

/// Changes the jails that are meant, one after the other. What fails for one of several is that
/// one's answer, and hides no other's.
fn change_jails(context: &Context, arguments: &Arguments, change: &JailChange) -> Result<Object> {
    context.jobs.settle();
    let labels = match arguments.selection()? {
        Selection::All => return Err(missing("jail")),
        Selection::One(label) => return change_jail(context, arguments, change, &label).1,
        Selection::Several(labels) => labels,
    };
    let mut jails = Object::new();
    for label in &labels {
        let (name, outcome) = change_jail(context, arguments, change, label);
        jails.insert(name, outcome.unwrap_or_else(|error| failure(&error)));
    }
    Ok(Object::new().with("jails", jails))
}

/// Changes one, while it and all that it needs is held; and gives its name.
fn change_jail(
    context: &Context,
    arguments: &Arguments,
    change: &JailChange,
    label: &Label,
) -> (String, Result<Object>) {
    let mut name = label.as_str().to_string();
    if change.moves {
        // What a jail was cloned from can have become something else without a trace (`zfs promote`).
        context.known.memory.note_change();
    }
    let outcome = context.members_shared().and_then(|members| {
        let member = members.find(label)?;
        name.clone_from(&member.jail.name);
        let chosen = Chosen {
            members: &members,
            member,
        };
        if let Some(name) = arguments.new_name()? {
            let room = member.family().has_room(&members.jails.pool, &name);
            room.map_err(|why| wrong(NAME.name(), &why))?;
        }
        // As for other changes.
        let claims = match arguments.is_dry_run()? {
            true => Vec::new(),
            false => claims_of(change, (change.needs)(context, arguments, &chosen)?, member),
        };
        let held = context.resources.take(&claims, context.system.timeout())?;
        let context = context.holding(&held);
        // It may have gone, or become another, while this was waiting.
        let now = context.members_shared()?;
        let again = now.find(label)?;
        let is_same = again.dataset() == member.dataset();
        if !is_same || change.moves && again.origin() != member.origin() {
            let message = format!("{} has become another meanwhile", member.place());
            return Err(Error::new(Code::Conflict, message));
        }
        let outcome = (change.run)(
            &context,
            arguments,
            &Chosen {
                members: &now,
                member: again,
            },
        );
        if change.moves {
            context.known.memory.note_change();
        }
        drop(held);
        outcome
    });
    (name, outcome)
}

/// What a change of a jail holds.
fn claims_of(change: &JailChange, mut claims: Vec<Claim>, member: Member) -> Vec<Claim> {
    let jail = Resource::Jail(member.in_kernel());
    claims.push(match change.alone {
        true => jail.alone(),
        false => jail.shared(),
    });
    claims.extend(work_in_pool());
    claims
}

/// Starts tasks, and answers which. If one cannot be started, those before it run anyway, and the
/// error says so.
fn start(context: &Context, tasks: Vec<Task>, many: Many) -> Result<Object> {
    let mut started: Vec<String> = Vec::new();
    let mut running: Vec<String> = Vec::new();
    for task in tasks {
        let id = task.id.to_string();
        match context.jobs.start(&task) {
            Ok(Start::Started) => started.push(id),
            Ok(Start::AlreadyRunning) => running.push(id),
            Err(error) if started.is_empty() => return Err(error),
            Err(error) => {
                let doing = format!("started {}, but not {id}", started.join(", "));
                return Err(error.context(&doing));
            }
        }
    }
    context.known.memory.note_change();
    let answer = Object::new();
    match (many, started.pop(), running.pop()) {
        (Many::One | Many::AsAsked, Some(id), _) => Ok(answer.with("started_dispatcher_id", id)),
        (Many::One | Many::AsAsked, None, id) => {
            let message = format!("job {} is already running", id.unwrap_or_default());
            Err(Error::new(Code::Conflict, message))
        }
        (Many::List, last_started, last_running) => {
            started.extend(last_started);
            running.extend(last_running);
            let running = (!running.is_empty()).then_some(running);
            Ok(answer
                .with("started_dispatcher_id", started)
                .with_some("already_running", running))
        }
    }
}

fn log_failure(context: &Context, name: &str, error: &Error) {
    let message = format!("{name}: {}: {error}", error.code.as_str());
    context.callbacks.log(Level::Error, &message);
}
