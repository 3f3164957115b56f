//! Starting and stopping: `startjail`, `stopjail`, `restartjail`, `capjail`.
//!
//! iocage's exit code is not the truth: a start may end with 0 and have started nothing, or with 1
//! and the jail runs. So the kernel is asked before and after, and that is what is answered.

use super::each::Member;
use super::Chosen;
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::datasets::Family;
use crate::iocage::jails::{Jail, State};
use crate::iocage::rctl::Rules;
use crate::iocage::{command, power};
use crate::names::JailName;
use crate::reply::Object;
use crate::request::{Arguments, FORCE, SOFT};
use crate::resources::{Claim, Resource};
use crate::system::{last_words, CommandLine, Output, RunningJail};

/// What starts with a jail is held too.
pub fn start_needs(_: &Context, _: &Arguments, chosen: &Chosen) -> Result<Vec<Claim>> {
    let all = power::with_dependencies(chosen.member).into_iter();
    let others = all.filter(|other| other.jail.name != chosen.member.jail.name);
    let claim = |other: Member| {
        let jail = Resource::Jail(other.in_kernel());
        match other.jail.jid {
            Some(_) => jail.shared(),
            None => jail.alone(),
        }
    };
    Ok(others.map(claim).collect())
}

pub fn start(context: &Context, _: &Arguments, chosen: &Chosen) -> Result<Object> {
    let jail = chosen.member.jail;
    startable(chosen.member)?;
    match &jail.jid {
        Some(jid) => Ok(done(jail, "started", false).with("jid", jid.clone())),
        None => {
            let (jid, warning) = start_it(context, chosen.member)?;
            let answer = done(jail, "started", true).with("jid", jid);
            Ok(answer.with_some("warning", warning))
        }
    }
}

pub fn stop(context: &Context, arguments: &Arguments, chosen: &Chosen) -> Result<Object> {
    let force = arguments.flag(&FORCE)?;
    let member = chosen.member;
    let jail = member.jail;
    startable(member)?;
    if jail.jid.is_none() {
        return Ok(done(jail, "stopped", false));
    }
    let name = stoppable(context, member)?;
    let after = run(context, member, "stop", &command::stop(&name, force))?;
    match &after.jid {
        None => {
            // It may have complained of what is left to be done after the jail's end.
            let answer = done(jail, "stopped", true);
            Ok(answer.with_some("warning", after.warning()))
        }
        Some(jid) => Err(after.failure(&format!("is still up (jid {jid})"))),
    }
}

pub fn restart(context: &Context, arguments: &Arguments, chosen: &Chosen) -> Result<Object> {
    let soft = arguments.flag(&SOFT)?;
    let member = chosen.member;
    let jail = member.jail;
    startable(member)?;
    let success = |jid: String, warning| {
        let answer = Object::new().with("success", format!("jail {} restarted.", jail.name));
        answer.with("jid", jid).with_some("warning", warning)
    };
    let former = match &jail.jid {
        Some(jid) => jid,
        None if soft => return Err(down(jail)),
        None => {
            let (jid, warning) = start_it(context, member)?;
            return Ok(success(jid, warning));
        }
    };
    let name = stoppable(context, member)?;
    let after = run(context, member, "restart", &command::restart(&name, soft))?;
    match &after.jid {
        None => Err(after.failure("is down now")),
        Some(jid) if soft && jid != former => {
            Err(after.failure(&format!("has become another (jid {jid})")))
        }
        Some(jid) if !soft && jid == former => {
            Err(after.failure(&format!("still runs as before (jid {jid})")))
        }
        Some(jid) if after.output.exit_code != 0 => {
            Err(after.failure(&format!("is up (jid {jid})")))
        }
        Some(jid) if soft => {
            // It goes past what it is asked to do with exit code 0, too.
            if !after.output.stdout.contains("Soft restarting") {
                return Err(after.failure(&format!("is up (jid {jid})")));
            }
            // The kernel only says that it is the same jail, and up. iocage looks at no exit code of
            // exec_stop, of pkill and of exec_start (`iocage.py`, __soft_restart__ of 1.13).
            let rest = "iocage does not say whether its services have ended and started";
            let words = after.warning().map(|words| format!("{words}; {rest}"));
            Ok(success(jid.clone(), words.or(Some(rest.into()))))
        }
        Some(jid) => Ok(success(jid.clone(), after.warning())),
    }
}

pub fn cap(context: &Context, _: &Arguments, chosen: &Chosen) -> Result<Object> {
    let member = chosen.member;
    let jail = member.jail;
    let Some(jid) = &jail.jid else {
        return Err(down(jail));
    };
    let Some(settings) = member.listing.settings(jail) else {
        return Err(member.unreadable());
    };
    let of_jail = |error: Error| error.context(&format!("jail {}", jail.name));
    let running = running(context, jid)?.ok_or_else(|| down(jail))?;
    let Some(rules) = Rules::of(&running.name) else {
        let message = format!("rctl has no rules for the name {:?}", running.name);
        return Err(of_jail(Error::new(Code::Unavailable, message)));
    };
    let wanted = rules.wanted(settings, member.listing.defaults());
    let wanted = wanted.map_err(of_jail)?;
    rules.replace(&context.system, &wanted).map_err(of_jail)?;
    Ok(Object::new().with("success", format!("jail {} capped.", jail.name)))
}

fn done(jail: &Jail, what: &str, changed: bool) -> Object {
    let changed = if changed { "true" } else { "false" };
    Object::new()
        .with("success", format!("jail {} {what}.", jail.name))
        .with("changed", changed)
}

/// Stops a jail that is to be destroyed: in order if that can be, since what it has mounted may stay;
/// else by force.
///
/// # Errors
/// If it is up all the same, or if nobody knows.
pub fn stop_now(context: &Context, chosen: &Chosen) -> Result<()> {
    let member = chosen.member;
    let name = stoppable(context, member)?;
    let in_order = run(context, member, "stop", &command::stop(&name, false));
    if in_order.is_ok_and(|after| after.jid.is_none()) {
        return Ok(());
    }
    let after = run(context, member, "stop", &command::stop(&name, true))?;
    match &after.jid {
        None => Ok(()),
        Some(jid) => Err(after.failure(&format!("is still up (jid {jid})"))),
    }
}

/// Makes sure that iocage can stop a jail that runs, and no other.
pub fn stoppable(context: &Context, member: Member) -> Result<JailName> {
    let name = nameable(context, member)?;
    runs_under_its_name(context, member)?;
    Ok(name)
}

/// That a jail is down, where it has to be up.
pub fn down(jail: &Jail) -> Error {
    Error::new(Code::NotActive, format!("jail {} is down", jail.name))
}

/// Makes sure that it is a jail which iocage can start and stop.
pub fn startable(member: Member) -> Result<()> {
    let kind = member.jail.details.as_ref().map(|details| &*details.kind);
    if member.family() == Family::Templates || kind == Some("template") {
        let message = format!("{} is a template, which cannot run", member.place());
        return Err(Error::new(Code::Conflict, message));
    }
    match member.jail.state {
        State::Corrupt | State::Unmounted => Err(member.unreadable()),
        State::Up | State::Down => Ok(()),
    }
}

/// Its name, if iocage means this very jail by it.
pub fn nameable(context: &Context, member: Member) -> Result<JailName> {
    let name = member.iocage_name()?;
    let pool = context.require_ready_pool()?;
    // Where no folder has the name, iocage takes the one jail whose name begins with it
    // (`iocage.py`, __check_jail_existence__).
    let listing = member.listing;
    let expected = listing.root.as_ref();
    let expected = expected.map(|root| root.join(member.family().as_str()).join(&*name));
    if pool == listing.pool && expected.as_deref() == listing.folder(member.jail) {
        return Ok(name);
    }
    let message = format!(
        "{} is not mounted where iocage looks for it",
        member.place()
    );
    Err(Error::new(Code::Unavailable, message))
}

/// The running jail with this jid.
fn running(context: &Context, jid: &str) -> Result<Option<RunningJail>> {
    let all = context.system.running_jails()?;
    Ok(all.into_iter().find(|jail| jail.jid == jid))
}

/// Makes sure that iocage stops this jail and no other: it goes by the name in the kernel, which
/// may be that of a jail of another pool, or of one whose name differs in a dot.
pub fn runs_under_its_name(context: &Context, member: Member) -> Result<()> {
    let jid = member.jail.jid.as_deref().unwrap_or_default();
    let name = format!("ioc-{}", member.in_kernel());
    match running(context, jid)? {
        Some(running) if running.name != name => {
            let jail = &member.jail.name;
            let message = format!(
                "jail {jail} runs as {:?} (jid {jid}), and iocage would look for {name}",
                running.name
            );
            Err(Error::new(Code::Conflict, message))
        }
        _ => Ok(()),
    }
}

/// Makes sure that no other jail runs under one of these names in the kernel, which a jail that is
/// down has or gets: iocage would take it for this one.
pub fn are_nobody_elses(context: &Context, names: &[String], cannot: &str) -> Result<()> {
    let names: Vec<String> = names.iter().map(|name| format!("ioc-{name}")).collect();
    let others = context.system.running_jails()?;
    if let Some(other) = others.iter().find(|other| names.contains(&other.name)) {
        let message = format!(
            "{cannot}: another one runs as {} (jid {}, {})",
            other.name, other.jid, other.path
        );
        return Err(Error::new(Code::Conflict, message));
    }
    Ok(())
}

/// As [`are_nobody_elses`], before a jail is started.
pub fn is_nobody_elses_name(context: &Context, member: Member) -> Result<()> {
    let cannot = format!("jail {} cannot be started", member.jail.name);
    are_nobody_elses(context, &[member.in_kernel()], &cannot)
}

/// Starts a jail that is down; its jid, and what iocage complained of.
fn start_it(context: &Context, member: Member) -> Result<(String, Option<String>)> {
    let name = nameable(context, member)?;
    is_nobody_elses_name(context, member)?;
    let after = run(context, member, "start", &command::start(&name))?;
    match &after.jid {
        None => Err(after.failure("is down")),
        Some(jid) if after.output.exit_code != 0 => {
            Err(after.failure(&format!("is up (jid {jid})")))
        }
        Some(jid) => Ok((jid.clone(), after.warning())),
    }
}

/// How a jail is after a command of iocage.
struct After<'a> {
    jail: &'a Jail,
    /// iocage's word for what it did.
    what: &'static str,
    output: Output,
    /// None if the jail is down.
    jid: Option<String>,
}

impl After<'_> {
    /// What iocage complained of, though it came to what was asked.
    fn warning(&self) -> Option<String> {
        let words = match self.output.exit_code {
            0 => last_words(&self.output.stderr),
            _ => self.words(),
        };
        Some(words).filter(|words| !words.is_empty())
    }

    /// How it ended, in its own words.
    fn words(&self) -> String {
        let (what, code) = (self.what, self.output.exit_code);
        let ended = format!("iocage {what} ended with exit code {code}");
        match self.output.words() {
            words if words.is_empty() => ended,
            words => format!("{ended}: {words}"),
        }
    }

    fn failure(&self, how_it_is: &str) -> Error {
        let message = format!("jail {} {how_it_is}, and {}", self.jail.name, self.words());
        Error::new(Code::Failed, message)
    }
}

/// Runs a command of iocage for a jail, and looks how the jail is then.
fn run<'a>(
    context: &Context,
    member: Member<'a>,
    what: &'static str,
    line: &CommandLine,
) -> Result<After<'a>> {
    let jail = member.jail;
    let limit = context.system.timeout() + power::patience(member);
    let outcome = context.system.run_for(line, limit);
    let now = jid_now(context, member);
    match (outcome, now) {
        (Ok(output), Ok(jid)) => Ok(After {
            jail,
            what,
            output,
            jid,
        }),
        (Ok(output), Err(why)) => {
            let message = format!(
                "iocage {what} ended with exit code {}, but nobody knows how jail {} is now: {why}",
                output.exit_code, jail.name
            );
            Err(Error::new(why.code, message))
        }
        (Err(error), now) => {
            let how_it_is = match now {
                Ok(Some(jid)) => format!("it is up (jid {jid})"),
                Ok(None) => "it is down".into(),
                Err(why) => format!("nobody knows how it is: {why}"),
            };
            let lingers = error.lingers;
            let message = format!("jail {}: {error}; {how_it_is}", jail.name);
            Err(Error {
                lingers,
                ..Error::new(error.code, message)
            })
        }
    }
}

/// The jid of a jail at this moment; none if it is down.
fn jid_now(context: &Context, member: Member) -> Result<Option<String>> {
    let members = context.members_shared()?;
    let mut all = members.all();
    let again = all.find(|other| other.dataset() == member.dataset());
    Ok(again.and_then(|again| again.jail.jid.clone()))
}
