//! The properties of a jail: one table of all that iocage has, and the values that each may have.
//!
//! `get` and `set`, making a jail and making a plugin's jail all go by it. iocage itself lets
//! nearly everything pass: it asks only whether one of the right words is *somewhere* in the value
//! (`vnet=10`, `ip4=renewed`), takes any text that contains `string`, and writes values unquoted
//! into jail.conf and into shell scripts that root runs. So each value is checked here by its kind.

mod forms;
mod kept;
mod kind;
mod table;

use std::fmt;

use serde_json::Value;

use super::version::{older_than, Version};
use crate::error::Error;
use crate::limits;
use crate::names::{Checked, Wrong};

pub use kind::{truth, Kind, Words};

/// A property of iocage.
#[derive(Debug)]
pub struct Property {
    pub name: &'static str,
    pub kind: Kind,
    /// The value in 1.13 if neither the jail nor defaults.json has one; `None` if iocage makes it
    /// from the host, the release or the jail's name.
    pub default: Option<&'static str>,
    /// The first version in which it can be set, or, where it never can, is known.
    pub since: Version,
    pub effect: Effect,
    pub settable: Settable,
    pub guard: Guard,
    /// What else it takes to have an effect.
    pub needs: &'static [&'static str],
}

/// When a change of a running jail's property takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// At once: it is only kept, or is the dataset's.
    AtOnce,
    /// At once, by `jail -m`, where the kernel has the parameter; else at the next start.
    InKernel,
    /// At once, by `rctl -a`.
    Limit,
    NextStart,
    NextStop,
    /// When the host next starts its jails.
    NextBoot,
    NextConsole,
    /// At the next update or upgrade.
    NextUpdate,
    /// At the next start; iocage refuses the change while the jail runs.
    WhileStopped,
    Never,
}

/// What iocage lets it be set for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settable {
    /// For a jail, and for the defaults of all jails.
    Jail,
    /// For the defaults of all jails only.
    Defaults,
    Never,
}

/// Why a property is special.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    None,
    /// An action has an argument for it, or a plugin decides it.
    OwnArgument,
    /// iocage runs its value on the host, as root.
    OnHost,
    /// It says which jail this is, what it was made from, or where it is.
    Identity,
}

/// All properties that iocage 1.13 has.
pub const fn all() -> &'static [Property] {
    table::PROPERTIES
}

/// The property called `name`.
pub fn find(name: &str) -> Option<&'static Property> {
    all().iter().find(|property| property.name == name)
}

impl Property {
    /// Whether iocage runs its value on the host.
    pub fn on_host(&self) -> bool {
        self.guard == Guard::OnHost
    }

    /// The word for a truth value in `version`; what every version takes for other kinds.
    pub fn truth(&self, truth: bool, version: Version) -> &'static str {
        match self.kind {
            Kind::Truth(words) => words.of(truth, version),
            _ => Words::Digits.of(truth, version),
        }
    }

    /// Makes sure that `version` has this property.
    ///
    /// # Errors
    /// `Unavailable`, saying since which version.
    pub fn require(&self, version: Version) -> Result<(), Error> {
        match version.may_be(self.since) {
            true => Ok(()),
            false => Err(older_than(
                self.since,
                &format!("cannot set {:?}", self.name),
            )),
        }
    }
}

impl Effect {
    /// In the words of a reply.
    pub fn as_str(self) -> &'static str {
        match self {
            Effect::AtOnce | Effect::InKernel | Effect::Limit => "at once",
            Effect::NextStart | Effect::WhileStopped => "next start",
            Effect::NextStop => "next stop",
            Effect::NextBoot => "next boot",
            Effect::NextConsole => "next console",
            Effect::NextUpdate => "next update",
            Effect::Never => "never",
        }
    }
}

/// The name of a property that a client may set.
#[derive(Clone, Copy)]
pub struct PropertyName(&'static Property);

impl PropertyName {
    /// One that can be set on a new jail.
    ///
    /// # Errors
    /// Why it may not be set.
    pub fn parse(name: &str) -> Result<Self, Wrong> {
        let property = changeable(name)?;
        match (property.guard, property.settable) {
            (Guard::OwnArgument, _) => Err(format!(
                "{name:?} has an argument of its own, or is the plugin's to decide"
            )),
            (_, Settable::Defaults) => Err(format!(
                "{name:?} is for all jails, and cannot be set for a single one"
            )),
            _ => Ok(PropertyName(property)),
        }
    }

    /// One that can be set on a jail that is there, or for all jails.
    ///
    /// # Errors
    /// Why it may not be set.
    pub fn of_setting(name: &str) -> Result<Self, Wrong> {
        // From that repository iocage takes what it runs at the next update.
        match name {
            "plugin_name" | "plugin_repository" => {
                Err(format!("{name:?} is the plugin's to decide"))
            }
            _ => changeable(name).map(PropertyName),
        }
    }

    /// One that can be set on a jail that is made, with its network.
    ///
    /// # Errors
    /// Why it may not be set.
    pub fn of_new_jail(name: &str) -> Result<Self, Wrong> {
        let property = PropertyName::of_setting(name)?;
        match property.0.settable {
            Settable::Defaults => Err(format!(
                "{name:?} is for all jails, and cannot be set for a single one"
            )),
            _ if name == "template" => Err(format!(
                "{name:?} would make a template of the jail; `iocage set` does that"
            )),
            _ => Ok(property),
        }
    }

    /// Its row in the table.
    pub fn property(&self) -> &'static Property {
        self.0
    }

    /// Reads its value, which is a text, a number or a truth value.
    ///
    /// A message says what the value must be, and never quotes it: it may be a secret.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn value(&self, value: &Value) -> Result<PropertyValue, Wrong> {
        let name = self.0.name;
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            _ => return Err(format!("{name:?} must be a text, a number or a boolean")),
        };
        // The empty text is a value where it is that of iocage.
        if text.is_empty() && self.0.default == Some("") {
            return Ok(PropertyValue::new(text));
        }
        let most = limits::ARGUMENT_BYTES;
        if text.is_empty() || text.len() > most {
            return Err(format!("{name:?} must be 1 to {most} bytes long"));
        }
        if text.chars().any(char::is_control) {
            return Err(format!("{name:?} must not contain a control character"));
        }
        let read = self.0.kind.read(&text);
        read.ok_or_else(|| format!("{name:?} must be {}", self.0.kind.rule()))
    }
}

/// The property called `name`, if it is a client's to change.
fn changeable(name: &str) -> Result<&'static Property, Wrong> {
    let Some(property) = find(name) else {
        return Err(format!("iocage has no property {:?}", shorten(name)));
    };
    match (property.guard, property.settable) {
        (Guard::OnHost, _) => Err(format!(
            "{name:?} would be run on the host, outside the jail"
        )),
        (Guard::Identity, _) => Err(format!(
            "{name:?} says which jail it is, what it was made from or where it is, and is \
             iocage's own"
        )),
        (_, Settable::Never) => Err(format!("{name:?} is only information, and cannot be set")),
        _ => Ok(property),
    }
}

impl Checked for PropertyName {
    fn as_str(&self) -> &str {
        self.0.name
    }
}

impl fmt::Debug for PropertyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PropertyName({:?})", self.0.name)
    }
}

impl PartialEq for PropertyName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for PropertyName {}

/// The value of a property, checked by its kind, in the words of iocage 1.2 and later.
#[derive(Clone, PartialEq, Eq)]
pub struct PropertyValue {
    text: Box<str>,
    /// Before this version it is another word.
    before: Option<(Version, &'static str)>,
}

impl PropertyValue {
    fn new(text: impl Into<Box<str>>) -> Self {
        PropertyValue {
            text: text.into(),
            before: None,
        }
    }

    /// What a settings file has for `property`, whatever it is, to be set again; none for what no
    /// command can be given.
    pub fn kept(property: &Property, text: &str) -> Option<Self> {
        let read = || property.kind.read(text);
        (!text.contains('\0')).then(|| read().unwrap_or_else(|| PropertyValue::new(text)))
    }

    /// The same in the words of `version`.
    #[must_use]
    pub fn in_words_of(&self, version: Version) -> Self {
        match self.before {
            Some((since, older)) if version < since => PropertyValue::new(older),
            _ => self.clone(),
        }
    }

    /// Whether it says yes, for what has a truth value.
    pub fn is_true(&self) -> bool {
        &*self.text == "1"
    }
}

impl Checked for PropertyValue {
    fn as_str(&self) -> &str {
        &self.text
    }
}

/// Without the value, which may be a secret.
impl fmt::Debug for PropertyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PropertyValue(...)")
    }
}

/// What a client sent, short enough to quote.
fn shorten(name: &str) -> String {
    const READABLE: usize = 60;
    match name.char_indices().nth(READABLE) {
        Some((end, _)) => format!("{}...", &name[..end]),
        None => name.into(),
    }
}

#[cfg(test)]
mod tests;
