//! What goes back to the client. Every scalar value in a reply is a string.

use std::time::Duration;

use serde_json::{json, Map, Value};

use crate::error::Error;
use crate::iocage::jails::{Jail, State};

/// The state of a request as a whole, in HTTP's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The reply has an answer, which may be an action's error.
    Ok = 200,
    /// Not a request, or for no action that there is.
    BadRequest = 400,
    /// The action changes something, and this user may only read.
    Forbidden = 403,
    /// The message is for somebody else.
    NotFound = 404,
    /// A fault of the plugin itself.
    Internal = 500,
}

/// A reply's `args`, and its status.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: Status,
    pub args: Value,
}

impl Reply {
    /// An action's answer: `{"<action>": {...}}`.
    pub fn of_action(action: &str, outcome: Result<Value, Error>) -> Self {
        let answer = outcome.unwrap_or_else(|error| failure(&error));
        Reply {
            status: Status::Ok,
            args: object([(action, answer)]),
        }
    }

    /// A request that reaches no action: `{"error": {"code": ..., "message": ...}}`.
    pub fn refusal(status: Status, message: &str) -> Self {
        Reply {
            status,
            args: json!({ "error": code_and_message(status, message) }),
        }
    }

    /// The whole response message to a WebSocket message, with its `id` as it came.
    pub fn into_message(self, id: Option<Value>) -> Value {
        let mut message = Map::new();
        if let Some(id) = id {
            message.insert("id".into(), id);
        }
        let (namespace, name, args) = match self.status {
            Status::Ok => ("sysadm", "response", self.args),
            _ => ("error", "error", self.args["error"].clone()),
        };
        message.insert("namespace".into(), json!(namespace));
        message.insert("name".into(), json!(name));
        message.insert("args".into(), args);
        Value::Object(message)
    }
}

/// An object with these members. (`json!` would copy them, and a list is long.)
pub fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let members = members.map(|(key, value)| (key.to_string(), value));
    Value::Object(members.into_iter().collect())
}

fn code_and_message(status: Status, message: &str) -> Value {
    json!({ "code": (status as u16).to_string(), "message": message })
}

/// An action that could not be done.
fn failure(error: &Error) -> Value {
    json!({ "error": error.message, "code": error.code.as_str() })
}

/// What is here beside what the network offers, how old that is known, and why not newer.
pub fn catalogue(
    local: Value,
    remote: Value,
    age: Option<Duration>,
    error: Option<String>,
) -> Value {
    let mut answer = object([("local", local), ("remote", remote)]);
    if let Some(age) = age {
        answer["remote_age_seconds"] = json!(age.as_secs().to_string());
    }
    if let Some(error) = error {
        answer["remote_error"] = json!(error);
    }
    answer
}

/// Jails under the keys that `key` gives them.
///
/// A key that is taken already (the jail called `5` beside the running jail 5) is replaced by one
/// that no other jail has: the jail's dataset below iocage's, which has a slash in it.
pub fn jails(jails: &[Jail], family: &str, key: impl Fn(&Jail) -> String) -> Value {
    let mut keyed = Map::new();
    // The jid is the kernel's and unique; whoever is only called the same makes way.
    let (up, down): (Vec<&Jail>, Vec<&Jail>) = jails.iter().partition(|jail| jail.jid.is_some());
    for jail_ in up.into_iter().chain(down) {
        let mut key = key(jail_);
        let mut instead = format!("{family}/{}", jail_.name);
        // Once will do, but where a configuration claims such a key for its jail's name.
        while keyed.contains_key(&key) {
            key.clone_from(&instead);
            instead = format!("{family}/{instead}");
        }
        keyed.insert(key, jail(jail_));
    }
    Value::Object(keyed)
}

/// The key of a jail: its jid while it runs, its uuid while it does not.
pub fn jail_key(jail: &Jail) -> String {
    jail.jid.clone().unwrap_or_else(|| jail.uuid.clone())
}

/// A jail's ten strings.
fn jail(jail: &Jail) -> Value {
    const NOT_KNOWN: &str = "N/A";
    const NONE: &str = "-";
    fn or_none(value: &Option<String>) -> &str {
        value.as_deref().unwrap_or(NONE)
    }
    let detail = |value| Option::map_or(value, NOT_KNOWN, or_none);
    let details = jail.details.as_ref();
    let state = match jail.state {
        State::Up => "up",
        State::Down => "down",
        State::Corrupt => "CORRUPT",
        State::Unmounted => "unmounted",
    };
    json!({
        "jid": or_none(&jail.jid),
        "uuid": jail.uuid,
        "boot": if jail.boot { "on" } else { "off" },
        "state": state,
        "tag": jail.tag,
        "type": details.map_or(NOT_KNOWN, |details| &details.kind),
        "release": detail(details.map(|details| &details.release)),
        "ip4": detail(details.map(|details| &details.ip4)),
        "ip6": detail(details.map(|details| &details.ip6)),
        "template": or_none(&jail.template),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(name: &str, uuid: &str, jid: Option<&str>) -> Jail {
        Jail {
            name: name.into(),
            uuid: uuid.into(),
            jid: jid.map(String::from),
            state: if jid.is_some() {
                State::Up
            } else {
                State::Down
            },
            boot: false,
            tag: name.into(),
            template: None,
            details: None,
        }
    }

    #[test]
    fn no_two_jails_share_a_key() {
        let list = [
            called("5", "5", None),
            called("same1", "same", None),
            called("same2", "same", None),
            called("web", "web", Some("5")),
        ];
        let keyed = jails(&list, "jails", jail_key);
        let keys: Vec<&String> = keyed.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["5", "jails/5", "jails/same2", "same"]);
        assert_eq!(keyed["5"]["uuid"], "web");
    }

    #[test]
    fn not_even_where_one_claims_the_key_that_another_would_get_instead() {
        let list = [
            called("a", "jails/web", None),
            called("b", "same", None),
            called("web", "same", None),
        ];
        let keyed = jails(&list, "jails", jail_key);
        let keys: Vec<&String> = keyed.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["jails/jails/web", "jails/web", "same"]);
    }

    #[test]
    fn a_message_has_the_servers_form() {
        let answer = Reply::of_action("listjails", Ok(json!({"jails": {}})));
        assert_eq!(
            answer.into_message(Some(json!("fooid"))),
            json!({"id": "fooid", "namespace": "sysadm", "name": "response",
                   "args": {"listjails": {"jails": {}}}})
        );
        let refusal = Reply::refusal(Status::BadRequest, "no action");
        assert_eq!(
            refusal.into_message(None),
            json!({"namespace": "error", "name": "error",
                   "args": {"code": "400", "message": "no action"}})
        );
    }
}
