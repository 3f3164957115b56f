//! A jail's `config.json` over the pool's `defaults.json`.

use serde_json::{Map, Value};

/// The settings that are needed here. A file has a hundred and fifty; only these are kept in
/// memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Basejail,
    Boot,
    ClonedRelease,
    Dhcp,
    HostHostuuid,
    Ip4Addr,
    Ip6Addr,
    PluginName,
    Release,
    Tag,
    Type,
}

const KEYS: [(Key, &str); 11] = [
    (Key::Basejail, "basejail"),
    (Key::Boot, "boot"),
    (Key::ClonedRelease, "cloned_release"),
    (Key::Dhcp, "dhcp"),
    (Key::HostHostuuid, "host_hostuuid"),
    (Key::Ip4Addr, "ip4_addr"),
    (Key::Ip6Addr, "ip6_addr"),
    (Key::PluginName, "plugin_name"),
    (Key::Release, "release"),
    (Key::Tag, "tag"),
    (Key::Type, "type"),
];

/// Those settings of a file that are needed here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(Box<[(Key, Box<str>)]>);

impl Settings {
    /// Reads the text of a settings file; `None` where it is not a JSON object.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let Ok(Value::Object(all)) = serde_json::from_slice(text) else {
            return None;
        };
        Some(Self::of(&all))
    }

    fn of(all: &Map<String, Value>) -> Self {
        let known = KEYS.iter().filter_map(|(key, name)| {
            let text = match all.get(*name)? {
                // iocage writes `none` for "no value" where it has no better word.
                Value::String(text) if text == "none" => String::new(),
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Bool(truth) => truth.to_string(),
                _ => String::new(),
            };
            Some((*key, text.into()))
        });
        Settings(known.collect())
    }

    fn get(&self, key: Key) -> Option<&str> {
        let mut entries = self.0.iter();
        entries.find(|(of, _)| *of == key).map(|(_, text)| &**text)
    }

    /// The bytes that this takes in memory.
    pub fn size(&self) -> usize {
        let texts: usize = self.0.iter().map(|(_, text)| text.len()).sum();
        texts + std::mem::size_of_val(&*self.0)
    }
}

/// What `config` has under `key`, or else what `defaults` have. A setting without a value in the
/// config hides the default.
pub fn text(config: &Settings, defaults: &Settings, key: Key) -> Option<String> {
    let text = config.get(key).or_else(|| defaults.get(key))?;
    (!text.is_empty()).then(|| text.into())
}

/// Whether a setting is on. Real files have it as 1, "1", "on", "yes", "true" and true.
pub fn is_on(config: &Settings, defaults: &Settings, key: Key) -> bool {
    text(config, defaults, key).is_some_and(|text| {
        ["1", "on", "yes", "true"]
            .iter()
            .any(|word| text.eq_ignore_ascii_case(word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn settings(value: Value) -> Settings {
        Settings::of(value.as_object().unwrap())
    }

    #[test]
    fn the_config_comes_before_the_defaults() {
        let config = settings(json!({
            "release": "11.1-RELEASE", "ip4_addr": "none", "ip6_addr": [], "tag": 1, "depends": "x",
        }));
        let defaults = settings(json!({
            "release": "9", "ip4_addr": "10.0.0.1", "ip6_addr": "::1", "type": "jail",
        }));
        let text = |key| text(&config, &defaults, key);
        assert_eq!(text(Key::Release).as_deref(), Some("11.1-RELEASE"));
        assert_eq!(text(Key::Type).as_deref(), Some("jail"));
        assert_eq!(text(Key::Tag).as_deref(), Some("1"));
        assert_eq!(text(Key::Ip4Addr), None, "none hides the default");
        assert_eq!(text(Key::Ip6Addr), None, "and so does what is no text");
        assert_eq!(text(Key::PluginName), None);
    }

    #[test]
    fn every_spelling_of_a_boolean_is_understood() {
        let none = Settings::default();
        for on in [
            json!(1),
            json!("1"),
            json!("on"),
            json!("YES"),
            json!("true"),
            json!(true),
        ] {
            let config = settings(json!({"boot": on}));
            assert!(is_on(&config, &none, Key::Boot), "{on}");
        }
        for off in [
            json!(0),
            json!("0"),
            json!("off"),
            json!("no"),
            json!(false),
            json!(null),
        ] {
            let config = settings(json!({"boot": off}));
            assert!(!is_on(&config, &none, Key::Boot), "{off}");
        }
    }
}
