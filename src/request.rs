//! A request's arguments, checked and typed.
//!
//! Every value that a client sends passes through here before anything is run. An error names
//! the argument and says what is wrong with it.

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::iocage::command::{Network, NewPlugin};
use crate::iocage::properties;
use crate::{limits, names};

/// The arguments of one request, `action` among them.
#[derive(Clone, Copy, Debug)]
pub struct Arguments<'a>(pub &'a Map<String, Value>);

impl Arguments<'_> {
    /// Refuses arguments that an action does not have: a mistyped `dryrun` must not destroy.
    pub fn only(&self, known: &[&str]) -> Result<()> {
        let unknown = |key: &&String| *key != "action" && !known.contains(&key.as_str());
        match self.0.keys().find(unknown) {
            Some(key) => Err(wrong(&shorten(key), "this action has no such argument")),
            None => Ok(()),
        }
    }

    /// The request for `action` as a text: two requests with the same text ask the same.
    pub fn known(&self, arguments: &[&str], action: &str) -> String {
        let given = arguments
            .iter()
            .filter_map(|key| Some(format!(" {key}={}", self.0.get(*key)?)));
        given.fold(action.to_string(), |text, argument| text + &argument)
    }

    /// A pool's name, where one is given.
    pub fn optional_pool(&self) -> Result<Option<String>> {
        self.optional("pool", |name| names::pool(name).map(|()| name.into()))
    }

    /// A pool's name.
    pub fn pool(&self) -> Result<String> {
        self.optional_pool()?.ok_or_else(|| missing("pool"))
    }

    /// The names of one or more releases, each once.
    pub fn releases(&self) -> Result<Vec<String>> {
        let key = "releases";
        let one = |text: &str| names::release(text).map_err(|why| wrong(key, &why));
        let list = match self.0.get(key) {
            None => return Err(missing(key)),
            Some(Value::String(text)) => return Ok(vec![one(text)?]),
            Some(Value::Array(list)) => list,
            Some(_) => return Err(wrong(key, "neither a string nor an array of strings")),
        };
        if list.is_empty() {
            return Err(wrong(key, "an empty list"));
        }
        if list.len() > limits::RELEASES_PER_REQUEST {
            let why = format!("more than {} of them", limits::RELEASES_PER_REQUEST);
            return Err(wrong(key, &why));
        }
        let mut releases = Vec::new();
        for item in list {
            let text = item
                .as_str()
                .ok_or_else(|| wrong(key, "not an array of strings"))?;
            let release = one(text)?;
            if !releases.contains(&release) {
                releases.push(release);
            }
        }
        Ok(releases)
    }

    /// The id of a plugin.
    pub fn plugin(&self) -> Result<String> {
        self.optional("plugin", |id| names::jail(id).map(|()| id.into()))?
            .ok_or_else(|| missing("plugin"))
    }

    /// Where a new jail is to be reached: `net_device` with `ip4`, `ip6` or both, or with `dhcp`.
    pub fn network(&self) -> Result<Network> {
        let own = |text: &str| Ok(text.to_string());
        let interface = self.optional("net_device", |name| {
            names::interface(name).and_then(|()| own(name))
        })?;
        let ip4 = self.optional("ip4", |text| names::ip4(text).and_then(|()| own(text)))?;
        let ip6 = self.optional("ip6", |text| names::ip6(text).and_then(|()| own(text)))?;
        let dhcp = self.flag("dhcp")?;
        let interface = interface.ok_or_else(|| missing("net_device"))?;
        match (dhcp, ip4.is_some() || ip6.is_some()) {
            (true, false) => Ok(Network::Dhcp { interface }),
            (false, true) => Ok(Network::Shared {
                interface,
                ip4,
                ip6,
            }),
            (true, true) => Err(wrong("dhcp", "not together with \"ip4\" or \"ip6\"")),
            (false, false) => {
                let message = "arguments \"ip4\" and \"ip6\": one of them is required, or \"dhcp\"";
                Err(Error::invalid(message))
            }
        }
    }

    /// A plugin jail to be made.
    pub fn new_plugin(&self) -> Result<NewPlugin> {
        Ok(NewPlugin {
            plugin: self.plugin()?,
            name: self.optional("name", |name| names::jail(name).map(|()| name.into()))?,
            network: self.network()?,
            boot: self.optional_flag("boot")?,
            properties: self.properties()?,
            accept_license: self.flag("accept_license")?,
            repository: None,
        })
    }

    /// `properties`: an object of iocage's properties and what they are to be.
    fn properties(&self) -> Result<Vec<(String, String)>> {
        let key = "properties";
        let object = match self.0.get(key) {
            None => return Ok(Vec::new()),
            Some(Value::Object(object)) => object,
            Some(_) => return Err(wrong(key, "not an object")),
        };
        if object.len() > limits::PROPERTIES_PER_REQUEST {
            let why = format!("more than {} of them", limits::PROPERTIES_PER_REQUEST);
            return Err(wrong(key, &why));
        }
        let property = |(name, value): (&String, &Value)| {
            properties::settable(&shorten(name)).map_err(|why| wrong(key, &why))?;
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Bool(truth) => u8::from(*truth).to_string(),
                _ => {
                    return Err(wrong(
                        key,
                        &format!("{name:?} is no string, number or boolean"),
                    ))
                }
            };
            if value.is_empty() || value.len() > limits::ARGUMENT_BYTES {
                let most = limits::ARGUMENT_BYTES;
                return Err(wrong(key, &format!("{name:?} has not 1 to {most} bytes")));
            }
            if value.contains('=') {
                // iocage would cut it off there (1.13, `__fetch_plugin_props__`).
                return Err(wrong(key, &format!("{name:?} has a \"=\" in its value")));
            }
            if value.chars().any(char::is_control) {
                return Err(wrong(key, &format!("{name:?} has a control character")));
            }
            Ok((name.clone(), value))
        };
        object.iter().map(property).collect()
    }

    /// A truth value where it is given.
    pub fn optional_flag(&self, key: &str) -> Result<Option<bool>> {
        let flag = self.flag(key)?;
        Ok(self.0.contains_key(key).then_some(flag))
    }

    /// A truth value, false where it is not given; `"true"` and `"false"` will do too.
    pub fn flag(&self, key: &str) -> Result<bool> {
        match self.0.get(key) {
            None => Ok(false),
            Some(Value::Bool(truth)) => Ok(*truth),
            Some(Value::String(text)) if text == "true" => Ok(true),
            Some(Value::String(text)) if text == "false" => Ok(false),
            Some(_) => Err(wrong(key, "neither true nor false")),
        }
    }

    /// A string where it is given, checked by its rule.
    fn optional<T>(
        &self,
        key: &str,
        rule: impl Fn(&str) -> std::result::Result<T, names::Wrong>,
    ) -> Result<Option<T>> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => rule(text).map(Some).map_err(|why| wrong(key, &why)),
            Some(_) => Err(wrong(key, "not a string")),
        }
    }
}

fn missing(key: &str) -> Error {
    wrong(key, "missing")
}

fn wrong(key: &str, why: &str) -> Error {
    Error::invalid(format!("argument {key:?}: {why}"))
}

/// What a client sent, short enough to quote.
pub fn shorten(text: &str) -> String {
    const READABLE: usize = 60;
    match text.char_indices().nth(READABLE) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with<T>(args: Value, read: impl Fn(Arguments) -> Result<T>) -> Result<T> {
        read(Arguments(args.as_object().unwrap()))
    }

    #[test]
    fn releases_come_as_a_string_or_a_list_and_each_once() {
        let releases = |args| with(args, |args| args.releases());
        assert_eq!(
            releases(json!({"releases": "10.3-RELEASE"})).unwrap(),
            ["10.3-RELEASE"]
        );
        let twice = json!({"releases": ["10.3-RELEASE", "9.3-RELEASE (EOL)", "10.3-release"]});
        assert_eq!(releases(twice).unwrap(), ["10.3-RELEASE", "9.3-RELEASE"]);
        let many = vec!["10.3-RELEASE"; limits::RELEASES_PER_REQUEST + 1];
        for wrong in [
            json!(null),
            json!([]),
            json!([1]),
            json!({}),
            json!(["x"]),
            json!(many),
        ] {
            let error = releases(json!({"releases": wrong})).unwrap_err();
            assert!(error.message.contains("\"releases\""), "{error}");
        }
    }

    #[test]
    fn an_address_is_required_but_either_will_do() {
        let network = |args| with(args, |args| args.network());
        assert!(network(json!({"net_device": "re0", "ip6": "::1"})).is_ok());
        let error = network(json!({"net_device": "re0"})).unwrap_err();
        assert!(error.message.contains("\"ip4\"") && error.message.contains("\"ip6\""));
        let error = network(json!({"ip4": "10.0.0.1"})).unwrap_err();
        assert!(error.message.contains("\"net_device\""), "{error}");
    }

    #[test]
    fn flags_are_true_or_false_and_nothing_else() {
        let force = |value| with(json!({"force": value}), |args| args.flag("force"));
        assert_eq!(force(json!(true)), Ok(true));
        assert_eq!(force(json!("true")), Ok(true));
        assert_eq!(force(json!("false")), Ok(false));
        for value in [json!(1), json!("yes"), json!("True"), json!([])] {
            assert!(force(value).is_err());
        }
    }

    #[test]
    fn unknown_arguments_are_named() {
        let error = with(json!({"action": "x", "dryrum": true}), |args| {
            args.only(&["dryrun"])
        });
        assert!(error.unwrap_err().message.contains("\"dryrum\""));
    }
}
