//! A jail's `config.json` over the pool's `defaults.json` over what iocage has built in.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::properties::{self, Kind, Property};

/// A property of the table, as a small number: memory holds the settings of many jails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(u16);

impl Key {
    pub const BASEJAIL: Key = Key::of("basejail");
    pub const BOOT: Key = Key::of("boot");
    pub const CLONED_RELEASE: Key = Key::of("cloned_release");
    pub const DHCP: Key = Key::of("dhcp");
    pub const HOST_HOSTNAME: Key = Key::of("host_hostname");
    pub const HOST_HOSTUUID: Key = Key::of("host_hostuuid");
    pub const IP4_ADDR: Key = Key::of("ip4_addr");
    pub const IP6_ADDR: Key = Key::of("ip6_addr");
    pub const PLUGIN_NAME: Key = Key::of("plugin_name");
    pub const RELEASE: Key = Key::of("release");
    pub const TYPE: Key = Key::of("type");

    /// The property called `name`, of those in the table. It is for constants: another name does
    /// not compile.
    const fn of(name: &str) -> Key {
        let all = properties::all();
        let mut index = 0;
        loop {
            if same(all[index].name, name) {
                return Key(index as u16);
            }
            index += 1;
        }
    }

    fn find(name: &str) -> Option<Key> {
        static KEYS: LazyLock<HashMap<&str, Key>> = LazyLock::new(|| {
            let numbered = properties::all().iter().zip(0..);
            numbered
                .map(|(property, index)| (property.name, Key(index)))
                .collect()
        });
        KEYS.get(name).copied()
    }

    fn property(self) -> &'static Property {
        &properties::all()[usize::from(self.0)]
    }
}

const fn same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut index = 0;
    while index < one.len() && index < other.len() && one[index] == other[index] {
        index += 1;
    }
    index == one.len() && index == other.len()
}

/// Where an effective value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Jail,
    Defaults,
    BuiltIn,
}

impl Source {
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Jail => "jail",
            Source::Defaults => "defaults",
            Source::BuiltIn => "iocage",
        }
    }
}

/// A value as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stored {
    /// What iocage has built in, which most settings of a file that lists all of them are.
    BuiltIn,
    Text(Box<str>),
    /// Not a text, a number or a truth value, so iocage makes nothing of it; its JSON.
    Other(Box<str>),
}

impl Stored {
    fn of(value: &Value, built_in: Option<&str>) -> Self {
        let text: Cow<str> = match value {
            Value::String(text) => text.into(),
            Value::Number(number) => number.to_string().into(),
            Value::Bool(truth) => truth.to_string().into(),
            other => return Stored::Other(other.to_string().into()),
        };
        match built_in == Some(&*text) {
            true => Stored::BuiltIn,
            false => Stored::Text(text.into()),
        }
    }

    fn size(&self) -> usize {
        match self {
            Stored::BuiltIn => 0,
            Stored::Text(text) | Stored::Other(text) => text.len(),
        }
    }
}

/// The settings in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Properties of the table, in its order.
    known: Box<[(Key, Stored)]>,
    /// What older or newer versions of iocage have.
    others: Box<[(Box<str>, Stored)]>,
}

impl Settings {
    /// Reads the text of a settings file; `None` where it is not a JSON object.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let Ok(Value::Object(all)) = serde_json::from_slice(text) else {
            return None;
        };
        Some(Self::of(&all))
    }

    fn of(all: &Map<String, Value>) -> Self {
        let (mut known, mut others) = (Vec::new(), Vec::new());
        for (name, value) in all {
            match Key::find(name) {
                Some(key) => known.push((key, Stored::of(value, key.property().default))),
                None => others.push((name.as_str().into(), Stored::of(value, None))),
            }
        }
        known.sort_unstable_by_key(|(key, _)| *key);
        Settings {
            known: known.into(),
            others: others.into(),
        }
    }

    /// A value as it is stored; a value that is not a text, a number or a truth value as JSON.
    fn stored(&self, key: Key) -> Option<&str> {
        let index = self.known.binary_search_by_key(&key, |(key, _)| *key);
        match &self.known[index.ok()?].1 {
            Stored::BuiltIn => key.property().default,
            Stored::Text(text) | Stored::Other(text) => Some(text),
        }
    }

    /// What the property says; an empty text for no value.
    fn get(&self, key: Key) -> Option<&str> {
        let index = self.known.binary_search_by_key(&key, |(key, _)| *key);
        let text = match &self.known[index.ok()?].1 {
            Stored::BuiltIn => key.property().default?,
            Stored::Text(text) => text,
            Stored::Other(_) => "",
        };
        // iocage writes `none` for "no value" where it has no better word.
        Some(if text == "none" { "" } else { text })
    }

    /// Whether there is a setting called `name`.
    pub fn has(&self, name: &str) -> bool {
        match Key::find(name) {
            Some(key) => self.stored(key).is_some(),
            None => self.others.iter().any(|(other, _)| **other == *name),
        }
    }

    /// What a setting says that is not in the table of properties.
    pub fn other(&self, name: &str) -> Option<&str> {
        let found = self.others.iter().find(|(other, _)| **other == *name);
        match &found?.1 {
            Stored::Text(text) if !text.is_empty() && **text != *"none" => Some(text),
            _ => None,
        }
    }

    /// The bytes that this takes in memory.
    pub fn size(&self) -> usize {
        let known = self.known.iter().map(|(_, stored)| stored.size());
        let others = self.others.iter();
        let others = others.map(|(name, stored)| name.len() + stored.size());
        known.chain(others).sum::<usize>()
            + std::mem::size_of_val(&*self.known)
            + std::mem::size_of_val(&*self.others)
    }
}

/// What `config` has under `key`, or else what `defaults` have. A setting without a value in the
/// config hides the default.
pub fn text(config: &Settings, defaults: &Settings, key: Key) -> Option<String> {
    let text = config.get(key).or_else(|| defaults.get(key))?;
    (!text.is_empty()).then(|| text.into())
}

/// The effective value of a property, as it is stored.
pub fn stored<'a>(config: &'a Settings, defaults: &'a Settings, key: Key) -> Option<&'a str> {
    let text = config.stored(key).or_else(|| defaults.stored(key));
    text.or(key.property().default)
}

/// Whether a setting is on. Real files have it as 1, "1", "on", "yes", "true" and true.
pub fn is_on(config: &Settings, defaults: &Settings, key: Key) -> bool {
    let text = config.get(key).or_else(|| defaults.get(key));
    text.is_some_and(|text| properties::truth(text) == Some(true))
}

/// All settings that a jail with this `config` has, with where each comes from: those of its
/// config, those of the defaults, and what iocage 1.13 has built in. Those that iocage makes from
/// the host or the release are missing unless a file has them.
///
/// A truth value is `0` or `1`, however it is spelled in the file; all else is as it is stored.
pub fn effective<'a>(
    config: &'a Settings,
    defaults: &'a Settings,
) -> BTreeMap<&'a str, (&'a str, Source)> {
    let mut all = BTreeMap::new();
    for property in properties::all() {
        if let Some(value) = property.default {
            all.insert(property.name, (value, Source::BuiltIn));
        }
    }
    for (settings, source) in [(defaults, Source::Defaults), (config, Source::Jail)] {
        for (key, _) in &settings.known {
            let property = key.property();
            let value = settings.stored(*key).unwrap_or_default();
            all.insert(property.name, (in_one_spelling(property, value), source));
        }
        for (name, stored) in &settings.others {
            if let Stored::Text(text) | Stored::Other(text) = stored {
                all.insert(name, (text, source));
            }
        }
    }
    all
}

fn in_one_spelling<'a>(property: &Property, value: &'a str) -> &'a str {
    match (&property.kind, properties::truth(value)) {
        (Kind::Truth(_), Some(true)) => "1",
        (Kind::Truth(_), Some(false)) => "0",
        _ => value,
    }
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
        assert_eq!(text(Key::RELEASE).as_deref(), Some("11.1-RELEASE"));
        assert_eq!(text(Key::TYPE).as_deref(), Some("jail"));
        assert_eq!(config.other("tag"), Some("1"));
        assert_eq!(text(Key::IP4_ADDR), None, "none hides the default");
        assert_eq!(text(Key::IP6_ADDR), None, "and so does what is no text");
        assert_eq!(text(Key::PLUGIN_NAME), None);
    }

    #[test]
    fn every_spelling_of_a_boolean_is_understood() {
        let none = Settings::default();
        let on = ["1", "on", "YES", "true"].map(Value::from);
        for on in on.into_iter().chain([json!(1), json!(true)]) {
            let config = settings(json!({ "boot": on }));
            assert!(is_on(&config, &none, Key::BOOT), "{on}");
            assert_eq!(effective(&config, &none)["boot"], ("1", Source::Jail));
        }
        let off = ["0", "off", "no"].map(Value::from);
        for off in off.into_iter().chain([json!(0), json!(false)]) {
            let config = settings(json!({ "boot": off }));
            assert!(!is_on(&config, &none, Key::BOOT), "{off}");
            assert_eq!(effective(&config, &none)["boot"], ("0", Source::Jail));
        }
        let config = settings(json!({"boot": null}));
        assert!(!is_on(&config, &none, Key::BOOT));
    }

    #[test]
    fn effective_values_say_where_they_come_from() {
        let config = settings(json!({
            "notes": "mine", "ip4_addr": "none", "depends": ["a"], "hack88": "0", "ip4": "new",
        }));
        let defaults = settings(json!({"notes": "all", "boot": "on", "vnet": "nobody"}));
        let all = effective(&config, &defaults);
        for (name, value, source) in [
            ("notes", "mine", Source::Jail),
            ("ip4_addr", "none", Source::Jail),
            ("ip4", "new", Source::Jail),
            ("depends", "[\"a\"]", Source::Jail),
            ("hack88", "0", Source::Jail),
            ("boot", "1", Source::Defaults),
            ("vnet", "nobody", Source::Defaults),
            ("priority", "99", Source::BuiltIn),
        ] {
            assert_eq!(all[name], (value, source), "{name}");
        }
        assert_eq!(all.get("host_hostname"), None, "iocage makes it");
        let built_in = properties::all().iter();
        let built_in = built_in.filter(|property| property.default.is_some());
        assert_eq!(all.len(), built_in.count() + 1);
    }

    #[test]
    fn what_is_built_in_takes_no_memory_of_its_own() {
        let same = settings(json!({"exec_start": "/bin/sh /etc/rc"}));
        let other = settings(json!({"exec_start": "/bin/sh /etc/rd"}));
        assert_eq!(same.size() + "/bin/sh /etc/rd".len(), other.size());
    }
}
