//! The line that every change and every job's end leave in a log: what was asked, with which
//! arguments, how it ended and how long it took. Only the host knows who asked; it may add that.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::error::Result;
use crate::host::Level;
use crate::limits;
use crate::reply::Object;
use crate::request::Arguments;

/// The line for an action that was done, or could not be done.
pub fn line(
    action: &str,
    arguments: &Arguments,
    outcome: &Result<Object>,
    took: Duration,
) -> String {
    // What was given in private may stand in the answer too.
    let is_private = arguments.given().any(|(field, _)| field.is_private());
    let outcome = match outcome {
        Ok(answer) if is_private => format!("done, {}", answer.outcome().to_json()),
        Ok(answer) => format!("done, {}", answer.to_json()),
        Err(error) => format!("{}, {error}", error.code.as_str()),
    };
    compose(action, arguments, &outcome, took)
}

/// The line for an action that the user may not ask for.
pub fn refusal(action: &str, arguments: &Arguments) -> String {
    compose(action, arguments, "forbidden", Duration::ZERO)
}

/// The line for a job that has ended, from its last event.
pub fn job(id: &str, event: &Map<String, Value>, took: Option<Duration>) -> (Level, String) {
    let text = |key: &str| event.get(key).and_then(Value::as_str);
    let (level, outcome) = match (text("success"), text("error")) {
        (Some("true"), None) => (Level::Info, "done".into()),
        (Some("true"), Some(error)) => (Level::Info, format!("done, but {error}")),
        (Some(_), error) => {
            let why = error.unwrap_or("for an unknown reason");
            (Level::Error, format!("failed, {why}"))
        }
        (None, _) => (Level::Info, "ended".into()),
    };
    let took = took.map(|took| format!(" ({} ms)", took.as_millis()));
    let line = format!(
        "audit: job {id}: {}{}",
        plain(&outcome),
        took.unwrap_or_default()
    );
    (level, line)
}

fn compose(action: &str, arguments: &Arguments, outcome: &str, took: Duration) -> String {
    let given = arguments
        .given()
        .map(|(field, value)| format!(" {}={}", field.name(), plain(&field.shown(value))));
    let given: String = given.collect();
    let milliseconds = took.as_millis();
    let outcome = plain(outcome);
    format!("audit: {action}{given}: {outcome} ({milliseconds} ms)")
}

/// A text that is one short line in any log and looks the same to everybody who reads it.
fn plain(text: &str) -> String {
    let plain: String = text
        .chars()
        .take(limits::AUDITED_CHARACTERS + 1)
        .flat_map(|c| match c {
            ' '..='~' => vec![c],
            _ => c.escape_unicode().collect(),
        })
        .collect();
    // All of it is ASCII now, so any place is the start of a character.
    match plain.len() > limits::AUDITED_CHARACTERS {
        true => format!("{}...", &plain[..limits::AUDITED_CHARACTERS]),
        false => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Code, Error};
    use crate::request::{AnyField, FORCE, IP4, PLUGIN, POOL, PROPERTIES};
    use serde_json::json;

    fn audited(action: &str, args: &Value, outcome: &Result<Object>) -> String {
        let arguments = Arguments::new(args.as_object().unwrap(), FIELDS);
        line(action, &arguments, outcome, Duration::from_millis(12))
    }

    const FIELDS: &[&dyn AnyField] = &[&POOL, &FORCE, &PLUGIN, &IP4, &PROPERTIES];

    #[test]
    fn a_line_tells_what_was_asked_and_how_it_ended() {
        let done = Ok(Object::new().with("success", "pool tank activated."));
        assert_eq!(
            audited("activatepool", &json!({"pool": "tank"}), &done),
            "audit: activatepool pool=\"tank\": done, {\"success\":\"pool tank activated.\"} (12 ms)"
        );
        let failed = Err(Error::new(Code::InUse, "releases still in use by jail web"));
        assert_eq!(
            audited("cleanreleases", &json!({"force": false}), &failed),
            "audit: cleanreleases force=false: in_use, releases still in use by jail web (12 ms)"
        );
    }

    #[test]
    fn a_line_is_one_line_short_and_tells_no_secret() {
        let args = json!({
            "plugin": "x\n\u{202e}\u{1b}[2J", "password": "hunter2", "ip4": "y".repeat(9000),
            "properties": {"notes": "hunter2", "boot\n": 1},
        });
        let line = audited("createplugin", &args, &Ok(Object::new()));
        assert!(
            !line.contains("hunter2") && !line.contains("password"),
            "{line}"
        );
        assert!(
            line.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{line}"
        );
        assert!(line.len() < 1500, "{}", line.len());
        assert!(line.contains("\"notes\""), "{line}");
        let odd = audited(
            "createplugin",
            &json!({"properties": "hunter2"}),
            &Ok(Object::new()),
        );
        assert!(!odd.contains("hunter2"), "{odd}");
    }

    #[test]
    fn an_answer_to_private_values_tells_only_how_it_went() {
        let one = |text: &'static str| {
            let changed = Object::new().with("notes", "hunter2");
            Object::new()
                .with("success", text)
                .with("changed", changed)
                .with("stdout", "hunter2")
        };
        let several = Object::new()
            .with("web", one("set."))
            .with("db", one("too."));
        for (answer, shown) in [
            (one("set."), "{\"success\":\"set.\"}"),
            (
                Object::new().with("jails", several),
                "{\"jails\":{\"db\":{\"success\":\"too.\"},\"web\":{\"success\":\"set.\"}}}",
            ),
        ] {
            let args = json!({"properties": {"notes": "hunter2"}});
            let line = audited("setjailsettings", &args, &Ok(answer));
            assert!(line.contains(shown) && !line.contains("hunter2"), "{line}");
        }
    }

    #[test]
    fn the_end_of_a_job_is_one_line_with_its_outcome() {
        let told = |event: Value| job("j", event.as_object().unwrap(), Some(Duration::ZERO)).1;
        assert_eq!(
            told(json!({"success": "true"})),
            "audit: job j: done (0 ms)"
        );
        assert_eq!(
            told(json!({"success": "false", "error": "not\nfound"})),
            "audit: job j: failed, not\\u{a}found (0 ms)"
        );
    }
}
