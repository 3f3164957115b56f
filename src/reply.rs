//! Answers and replies. An answer has only texts, lists and objects.

pub mod jails;
mod settings;
mod write;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::{RawValue, Value};

use crate::error::{Error, Result};
pub use settings::{Common, Effective};

/// A value of an answer. Every scalar value is a text, as in the class document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Text(Cow<'static, str>),
    List(Vec<Answer>),
    Object(Object),
    /// An object of texts under fixed names, in the order of these: a listing has one for each jail.
    Texts(&'static [&'static str], Box<[Cow<'static, str>]>),
    /// An object of anything, in the same way.
    Fixed(&'static [&'static str], Box<[Answer]>),
    /// An object of all settings of a jail.
    Settings(Effective),
}

/// Members by name; what an action answers. A clone costs nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object(Arc<BTreeMap<Cow<'static, str>, Answer>>);

impl Object {
    pub fn new() -> Self {
        Object::default()
    }

    /// With one more member.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Answer>) -> Self {
        self.insert(name, value);
        self
    }

    /// With one more member, where there is a value for it.
    #[must_use]
    pub fn with_some(self, name: &'static str, value: Option<impl Into<Answer>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    pub fn insert(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Answer>) {
        Arc::make_mut(&mut self.0).insert(name.into(), value.into());
    }

    pub fn get(&self, name: &str) -> Option<&Answer> {
        self.0.get(name)
    }

    /// Only how it went, for each jail if there are several, without the values that came with the
    /// request or out of a jail.
    pub fn outcome(&self) -> Object {
        let mut outcome = Object::new();
        for (name, value) in self.0.iter() {
            match (&**name, value) {
                ("success" | "error" | "code" | "exit_code", Answer::Text(_)) => {
                    outcome.insert(name.clone(), value.clone());
                }
                ("jails", Answer::Object(jails)) => {
                    let mut each = Object::new();
                    for (jail, answer) in jails.0.iter() {
                        if let Answer::Object(answer) = answer {
                            each.insert(jail.clone(), answer.outcome());
                        }
                    }
                    outcome.insert(name.clone(), each);
                }
                _ => {}
            }
        }
        outcome
    }

    /// As JSON. Nothing in an answer can fail to be written.
    pub fn to_json(&self) -> String {
        let mut text = String::new();
        write::object(self, &mut text);
        text
    }
}

impl<N: Into<Cow<'static, str>>> FromIterator<(N, Answer)> for Object {
    fn from_iter<I: IntoIterator<Item = (N, Answer)>>(members: I) -> Self {
        let members = members.into_iter();
        Object(Arc::new(
            members.map(|(name, value)| (name.into(), value)).collect(),
        ))
    }
}

impl Answer {
    /// The same as JSON, with every scalar value as a text.
    pub fn of_json(value: Value) -> Self {
        match value {
            Value::String(text) => text.into(),
            Value::Array(list) => Answer::List(list.into_iter().map(Answer::of_json).collect()),
            Value::Object(members) => {
                let members = members.into_iter();
                let members = members.map(|(name, value)| (name, Answer::of_json(value)));
                Answer::Object(members.collect())
            }
            other => other.to_string().into(),
        }
    }
}

impl From<&'static str> for Answer {
    fn from(text: &'static str) -> Self {
        Answer::Text(text.into())
    }
}

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Answer::Text(text.into())
    }
}

impl From<Object> for Answer {
    fn from(object: Object) -> Self {
        Answer::Object(object)
    }
}

impl<T: Into<Answer>> From<Vec<T>> for Answer {
    fn from(list: Vec<T>) -> Self {
        Answer::List(list.into_iter().map(Into::into).collect())
    }
}

/// The state of a request as a whole, in HTTP's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The reply has an answer, which may be an action's error.
    Ok = 200,
    /// Not a request, or the action does not exist.
    BadRequest = 400,
    /// The action changes something, and this user may only read.
    Forbidden = 403,
    /// The message is not addressed to sysadm/iocage.
    NotFound = 404,
    /// The library itself has failed.
    Internal = 500,
}

/// A reply's `args`, and its status.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: Status,
    args: Args,
}

#[derive(Clone, Debug)]
enum Args {
    Answer(Object),
    /// Why the request reaches no action.
    Refusal(Object),
}

impl Reply {
    /// An action's answer: `{"<action>": {...}}`.
    pub fn of_action(action: &'static str, outcome: Result<Object>) -> Self {
        let answer = outcome.unwrap_or_else(|error| failure(&error));
        Reply {
            status: Status::Ok,
            args: Args::Answer(Object::new().with(action, answer)),
        }
    }

    /// A request that reaches no action: `{"error": {"code": ..., "message": ...}}`.
    pub fn refusal(status: Status, message: impl Into<String>) -> Self {
        Reply {
            status,
            args: Args::Refusal(
                Object::new()
                    .with("code", (status as u16).to_string())
                    .with("message", message.into()),
            ),
        }
    }

    /// The reply's `args` as JSON.
    pub fn to_json(&self) -> String {
        match &self.args {
            Args::Answer(answer) => answer.to_json(),
            Args::Refusal(refusal) => Object::new().with("error", refusal.clone()).to_json(),
        }
    }

    /// The whole response message to a WebSocket message, with its `id` as it came: as the server
    /// writes it, with its members in order.
    pub fn to_message(&self, id: Option<&RawValue>) -> String {
        let (args, name, namespace) = match &self.args {
            Args::Answer(args) => (args, "response", "sysadm"),
            Args::Refusal(args) => (args, "error", "error"),
        };
        let mut text = String::from("{\"args\":");
        write::object(args, &mut text);
        if let Some(id) = id {
            text.push_str(",\"id\":");
            text.push_str(id.get());
        }
        text + &format!(",\"name\":\"{name}\",\"namespace\":\"{namespace}\"}}")
    }
}

/// What could not be done.
pub fn failure(error: &Error) -> Object {
    Object::new()
        .with("error", error.message.clone())
        .with("code", error.code.as_str())
}

/// The code and the message of a reply that is an error, in any of its forms; none if it is an
/// answer.
pub fn error_in(reply: &str) -> Option<(String, String)> {
    fn text(value: &Value, key: &str) -> Option<String> {
        value.get(key)?.as_str().map(String::from)
    }
    let no_reply = || {
        Some((
            "invalid_argument".into(),
            "the reply is not a JSON object".into(),
        ))
    };
    let Ok(Value::Object(reply)) = serde_json::from_str(reply) else {
        return no_reply();
    };
    // A whole message has the rest in its args.
    let args = match reply.get("args") {
        Some(args) if reply.get("namespace").is_some_and(|name| name == "error") => {
            return Some((text(args, "code")?, text(args, "message")?));
        }
        Some(Value::Object(args)) if reply.contains_key("namespace") => args,
        _ => &reply,
    };
    args.iter().find_map(|(key, answer)| match key.as_str() {
        "error" => Some((text(answer, "code")?, text(answer, "message")?)),
        _ => Some((text(answer, "code")?, text(answer, "error")?)),
    })
}

/// What is here and what the network offers, how old that list is, and why it is not newer.
pub fn beside_remote(
    local: impl Into<Answer>,
    remote: impl Into<Answer>,
    age: Option<Duration>,
    error: Option<String>,
) -> Object {
    Object::new()
        .with("local", local)
        .with("remote", remote)
        .with_some(
            "remote_age_seconds",
            age.map(|age| age.as_secs().to_string()),
        )
        .with_some("remote_error", error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn a_message_has_the_servers_form_and_its_id_as_it_came() {
        let answer = Reply::of_action("listjails", Ok(Object::new().with("jails", Object::new())));
        for id in ["\"fooid\"", "123456789012345678901234567890", "-0", "1.50"] {
            let raw = RawValue::from_string(id.into()).unwrap();
            let expected = format!(
                "{{\"args\":{{\"listjails\":{{\"jails\":{{}}}}}},\"id\":{id},\
                 \"name\":\"response\",\"namespace\":\"sysadm\"}}"
            );
            assert_eq!(answer.to_message(Some(&raw)), expected);
        }
        let refusal = Reply::refusal(Status::BadRequest, "no action");
        assert_eq!(
            refusal.to_message(None),
            "{\"args\":{\"code\":\"400\",\"message\":\"no action\"},\"name\":\"error\",\
             \"namespace\":\"error\"}"
        );
        assert_eq!(error_in(&answer.to_message(None)), None);
        assert_eq!(error_in(&answer.to_json()), None);
        let told = Some(("400".to_string(), "no action".to_string()));
        assert_eq!(error_in(&refusal.to_message(None)), told);
        assert_eq!(error_in(&refusal.to_json()), told);
        let error = Error::new(Code::NotFound, "there is no pool tank");
        let failed = Reply::of_action("activatepool", Err(error));
        assert_eq!(
            failed.to_json(),
            "{\"activatepool\":{\"code\":\"not_found\",\"error\":\"there is no pool tank\"}}"
        );
        assert_eq!(error_in(&failed.to_json()).unwrap().0, "not_found");
        assert_eq!(
            error_in(&failed.to_message(None)).unwrap().1,
            "there is no pool tank"
        );
        assert!(error_in("nonsense").is_some() && error_in("[]").is_some());
    }
}
