//! Running a command in a jail: `execjail`.

use super::{power, Chosen};
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::exec;
use crate::iocage::settings::Settings;
use crate::limits;
use crate::names::UserName;
use crate::reply::Object;
use crate::request::{Arguments, Words, COMMAND, TIMEOUT_SECONDS, USER};
use crate::system::Bounded;

pub fn run(context: &Context, arguments: &Arguments, chosen: &Chosen) -> Result<Object> {
    let command = arguments.require(&COMMAND)?;
    let user = match arguments.optional(&USER)? {
        Some(user) => user,
        None => UserName::parse("root").map_err(Error::invalid)?,
    };
    let limit = arguments.optional(&TIMEOUT_SECONDS)?;
    let limit = limit.unwrap_or_else(|| context.system.timeout());
    let listing = chosen.member.listing;
    let jail = chosen.member.jail;
    let Some(jid) = &jail.jid else {
        return Err(power::down(jail));
    };
    let number = jid.parse().map_err(|_| {
        let message = format!("jail {}: {jid:?} is not the number of a jail", jail.name);
        Error::new(Code::Failed, message)
    })?;
    let config = listing.settings(jail).unwrap_or(Settings::none());
    let fib = exec::fib(config, listing.defaults());
    let line = match &command {
        Words::Words(words) => exec::words(number, &user, fib, words),
        Words::Line(line) => exec::line(number, &user, fib, line),
    };
    let most = limits::EXEC_OUTPUT_BYTES;
    let of_jail = |error: Error| error.context(&format!("jail {}", jail.name));
    let ended = context.system.run_bounded(&line, limit, most);
    let ended = ended.map_err(of_jail)?;
    if is_jexecs_own(&ended) {
        let running = context.system.running_jails().map_err(of_jail)?;
        if !running.iter().any(|running| running.jid == *jid) {
            return Err(power::down(jail));
        }
        if let Some(why) = why_not_run(&ended.stderr, &user) {
            return Err(of_jail(Error::new(Code::Failed, why)));
        }
    }
    let truncated = ended.truncated.then_some("true");
    Ok(Object::new()
        .with("exit_code", ended.exit_code.to_string())
        .with("stdout", ended.stdout)
        .with("stderr", ended.stderr)
        .with_some("truncated", truncated))
}

/// Whether it looks as if jexec itself has failed, and not the command.
fn is_jexecs_own(ended: &Bounded) -> bool {
    ended.exit_code == 1 && ended.stdout.is_empty() && ended.stderr.starts_with("jexec: ")
}

/// Why jexec has not run the command, by what it prints then; without the command, which is private.
///
/// Source: usr.sbin/jexec/jexec.c of FreeBSD, which says `execvp():` in older ones.
fn why_not_run(stderr: &str, user: &UserName) -> Option<String> {
    let words = stderr.trim_end().strip_prefix("jexec: ")?;
    if words == format!("{user}: no such user") {
        return Some(format!("it has no user {user}"));
    }
    let (_, reason) = words.strip_prefix("execvp")?.rsplit_once(": ")?;
    // Anything else may be a part of the command.
    Some(match REASONS.contains(&reason) {
        true => format!("the command cannot be run: {reason}"),
        false => "the command cannot be run".into(),
    })
}

/// Why execve(2) fails, in the words of strerror(3).
const REASONS: [&str; 9] = [
    "Argument list too long",
    "Cannot allocate memory",
    "Exec format error",
    "File name too long",
    "No such file or directory",
    "Not a directory",
    "Permission denied",
    "Text file busy",
    "Too many levels of symbolic links",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_jexec_says_of_itself_is_told_without_the_command() {
        let www = UserName::parse("www").unwrap();
        let why = |stderr| why_not_run(stderr, &www);
        assert_eq!(
            why("jexec: www: no such user\n").as_deref(),
            Some("it has no user www")
        );
        for stderr in [
            "jexec: execvp: hunter2: No such file or directory\n",
            "jexec: execvp(): hunter2: x: No such file or directory\n",
        ] {
            let expected = "the command cannot be run: No such file or directory";
            assert_eq!(why(stderr).as_deref(), Some(expected));
        }
        let odd = "jexec: execvp: hunter2: No hunter2 here\n";
        assert_eq!(why(odd).as_deref(), Some("the command cannot be run"));
        for stderr in [
            "jexec: jail_attach(7): Invalid argument\n",
            "jexec: hunter2: no such user\n",
            "sh: nosuch: not found\n",
            "",
        ] {
            assert_eq!(why(stderr), None, "{stderr}");
        }
    }
}
