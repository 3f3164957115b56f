//! A jail's `config.json` over the pool's `defaults.json` over what iocage has built in.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value};

use super::properties::{self, Kind, Property};

/// A property of the table, as a small number: memory holds the settings of many jails. They are in
/// the order of the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(u16);

impl Key {
    pub const BASEJAIL: Key = Key::of("basejail");
    pub const BOOT: Key = Key::of("boot");
    pub const CLONED_RELEASE: Key = Key::of("cloned_release");
    pub const DEPENDS: Key = Key::of("depends");
    pub const DHCP: Key = Key::of("dhcp");
    pub const HOST_HOSTNAME: Key = Key::of("host_hostname");
    pub const HOST_HOSTUUID: Key = Key::of("host_hostuuid");
    pub const IP4_ADDR: Key = Key::of("ip4_addr");
    pub const IP6_ADDR: Key = Key::of("ip6_addr");
    pub const PLUGIN_NAME: Key = Key::of("plugin_name");
    pub const RELEASE: Key = Key::of("release");
    pub const SOURCE_TEMPLATE: Key = Key::of("source_template");
    pub const TYPE: Key = Key::of("type");
    pub const VNET_MACS: [Key; 4] = [
        Key::of("vnet0_mac"),
        Key::of("vnet1_mac"),
        Key::of("vnet2_mac"),
        Key::of("vnet3_mac"),
    ];

    /// The property called `name`, of those in the table. It is for constants: another name does
    /// not compile.
    const fn of(name: &str) -> Key {
        let all = properties::all();
        let (mut before, mut same, mut index) = (0, 0, 0);
        while index < all.len() {
            match order(all[index].name, name) {
                -1 => before += 1,
                0 => same += 1,
                _ => {}
            }
            index += 1;
        }
        assert!(same == 1);
        Key(before)
    }

    fn find(name: &str) -> Option<Key> {
        static KEYS: LazyLock<HashMap<&str, Key>> = LazyLock::new(|| {
            let numbered = BY_NAME.iter().zip(0..);
            numbered
                .map(|(property, index)| (property.name, Key(index)))
                .collect()
        });
        KEYS.get(name).copied()
    }

    fn property(self) -> &'static Property {
        BY_NAME[usize::from(self.0)]
    }
}

static BY_NAME: LazyLock<Vec<&Property>> = LazyLock::new(|| {
    let mut all: Vec<&Property> = properties::all().iter().collect();
    all.sort_unstable_by_key(|property| property.name);
    all
});

/// -1, 0 or 1, as `one` comes before `other`, is the same or comes after it.
const fn order(one: &str, other: &str) -> i8 {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut index = 0;
    while index < one.len() && index < other.len() && one[index] == other[index] {
        index += 1;
    }
    match (index < one.len(), index < other.len()) {
        (false, false) => 0,
        (false, true) => -1,
        (true, false) => 1,
        (true, true) if one[index] < other[index] => -1,
        (true, true) => 1,
    }
}

/// Properties of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(Box<[bool]>);

impl Keys {
    /// Those of which `values` has what iocage has built in.
    pub fn built_in(values: &BTreeMap<&str, (&str, Source)>) -> Self {
        let is_so = |property: &&Property| {
            let built_in = property.default.map(|text| in_one_spelling(property, text));
            built_in.is_some() && values.get(property.name).map(|(value, _)| *value) == built_in
        };
        Keys(BY_NAME.iter().map(is_so).collect())
    }

    fn has(&self, key: Key) -> bool {
        self.0.get(usize::from(key.0)) == Some(&true)
    }
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
    Text(Box<str>),
    /// Not a text, a number or a truth value, so iocage makes nothing of it; its JSON.
    Other(Box<str>),
}

impl Stored {
    fn of(value: &Value) -> Self {
        match value {
            Value::String(text) => Stored::Text(text.as_str().into()),
            Value::Number(number) => Stored::Text(number.to_string().into()),
            Value::Bool(truth) => Stored::Text(truth.to_string().into()),
            other => Stored::Other(other.to_string().into()),
        }
    }

    fn text(&self) -> &str {
        match self {
            Stored::Text(text) | Stored::Other(text) => text,
        }
    }
}

/// The settings in a file. Each part is in the order of the names; a clone costs nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Properties of the table.
    known: Arc<[(Key, Stored)]>,
    /// Properties of the table with the value that iocage has built in, which most are in a file
    /// that lists all of them.
    built_in: Arc<[Key]>,
    /// What older or newer versions of iocage have.
    others: Arc<[(Box<str>, Stored)]>,
}

impl Settings {
    /// Those of a file that is not there.
    pub fn none() -> &'static Self {
        static NONE: LazyLock<Settings> = LazyLock::new(Settings::default);
        &NONE
    }

    /// Reads the text of a settings file; `None` where it is not a JSON object.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let Ok(Value::Object(all)) = serde_json::from_slice(text) else {
            return None;
        };
        Some(Self::of(&all))
    }

    fn of(all: &Map<String, Value>) -> Self {
        let (mut known, mut built_in, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for (name, value) in all {
            let value = Stored::of(value);
            match Key::find(name) {
                Some(key) => match (&value, key.property().default) {
                    (Stored::Text(text), Some(default)) if **text == *default => built_in.push(key),
                    _ => known.push((key, value)),
                },
                None => others.push((name.as_str().into(), value)),
            }
        }
        known.sort_unstable_by_key(|(key, _)| *key);
        built_in.sort_unstable();
        others.sort_unstable_by(|(one, _): &(Box<str>, _), (other, _)| one.cmp(other));
        Settings {
            known: known.into(),
            built_in: built_in.into(),
            others: others.into(),
        }
    }

    /// A value with one of its own, as it is stored.
    fn own(&self, key: Key) -> Option<&Stored> {
        let index = self.known.binary_search_by_key(&key, |(key, _)| *key);
        Some(&self.known[index.ok()?].1)
    }

    fn built_in(&self, key: Key) -> Option<&'static str> {
        self.built_in.binary_search(&key).ok()?;
        key.property().default
    }

    /// A value as it is stored; a value that is not a text, a number or a truth value as JSON.
    fn stored(&self, key: Key) -> Option<&str> {
        let own = self.own(key).map(Stored::text);
        own.or_else(|| self.built_in(key))
    }

    /// What the property says; an empty text for no value.
    fn get(&self, key: Key) -> Option<&str> {
        let text = match self.own(key) {
            Some(Stored::Text(text)) => text,
            Some(Stored::Other(_)) => "",
            None => self.built_in(key)?,
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

    /// All of them by name, truth values in one spelling.
    pub fn all(&self) -> Vec<(&str, &str)> {
        self.all_but(&Keys::default())
    }

    /// The same, without those of `others` that have the value that iocage has built in.
    pub fn all_but(&self, others: &Keys) -> Vec<(&str, &str)> {
        let own = self.known.iter().map(|(key, value)| (*key, value.text()));
        let built_in = self.built_in.iter().filter(|key| !others.has(**key));
        let built_in = built_in.map(|key| (*key, key.property().default.unwrap_or_default()));
        let mut known: Vec<(Key, &str)> = own.chain(built_in).collect();
        // Of parts that are in order already.
        known.sort_by_key(|(key, _)| *key);
        let known = known.into_iter().map(|(key, value)| {
            let property = key.property();
            (property.name, in_one_spelling(property, value))
        });
        let others = self.others.iter();
        let others = others.map(|(name, value)| (&**name, value.text()));
        let mut all: Vec<(&str, &str)> = known.chain(others).collect();
        all.sort_by_key(|(name, _)| *name);
        all
    }

    /// The bytes that this takes in memory.
    pub fn size(&self) -> usize {
        let known = self.known.iter().map(|(_, value)| value.text().len());
        let others = self.others.iter();
        let others = others.map(|(name, value)| name.len() + value.text().len());
        known.chain(others).sum::<usize>()
            + std::mem::size_of_val(&*self.known)
            + std::mem::size_of_val(&*self.built_in)
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
        for (name, value) in settings.all() {
            all.insert(name, (value, source));
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
mod tests;
