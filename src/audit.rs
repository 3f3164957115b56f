//! The line that every change leaves in a log: what was asked, with which arguments, how it ended
//! and how long it took. Who asked only the host knows, and may add.

use std::time::Duration;

use serde_json::Value;

use crate::actions::Action;
use crate::error::Result;
use crate::limits;
use crate::request::Arguments;

/// Arguments whose values may be anything, passwords too: only their keys are told.
const PRIVATE: &str = "properties";

/// The line for an action that was done, or could not be done.
pub fn line(
    action: &Action,
    arguments: Arguments,
    outcome: &Result<Value>,
    took: Duration,
) -> String {
    let outcome = match outcome {
        Ok(answer) => format!("done, {answer}"),
        Err(error) => format!("{}, {error}", error.code.as_str()),
    };
    compose(action, arguments, &outcome, took)
}

/// The line for an action that the user may not ask for.
pub fn refusal(action: &Action, arguments: Arguments) -> String {
    compose(action, arguments, "forbidden", Duration::ZERO)
}

fn compose(action: &Action, arguments: Arguments, outcome: &str, took: Duration) -> String {
    let given = action.arguments.iter().filter_map(|key| {
        let value = arguments.0.get(*key)?;
        Some(match value {
            Value::Object(members) if *key == PRIVATE => {
                let keys: Vec<&String> = members.keys().collect();
                format!(" {key}={}", plain(&format!("{keys:?}")))
            }
            _ if *key == PRIVATE => format!(" {key}=..."),
            _ => format!(" {key}={}", plain(&value.to_string())),
        })
    });
    let given: String = given.collect();
    let milliseconds = took.as_millis();
    let outcome = plain(outcome);
    format!(
        "audit: {}{given}: {outcome} ({milliseconds} ms)",
        action.name
    )
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
    use crate::actions;
    use crate::error::{Code, Error};
    use serde_json::json;

    fn audited(action: &str, args: &Value, outcome: &Result<Value>) -> String {
        let action = actions::find(action).unwrap();
        let arguments = Arguments(args.as_object().unwrap());
        line(action, arguments, outcome, Duration::from_millis(12))
    }

    #[test]
    fn a_line_tells_what_was_asked_and_how_it_ended() {
        let done = Ok(json!({"success": "pool tank activated."}));
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
        let line = audited("createplugin", &args, &Ok(json!({})));
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
            &Ok(json!({})),
        );
        assert!(!odd.contains("hunter2"), "{odd}");
    }
}
