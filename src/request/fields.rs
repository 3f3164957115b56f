//! The arguments that actions have: what each is called, how it is read and checked.
//!
//! A field is one constant, used in the row of an action and in its function, so that the two
//! cannot differ.

use std::time::Duration;

use serde_json::Value;

use crate::iocage::fstab::{self, Kind, Source};
use crate::iocage::images::{Format, ImageName};
use crate::iocage::jails::State;
use crate::iocage::properties::{PropertyName, PropertyValue};
use crate::iocage::selection::Label;
use crate::limits;
use crate::names::{
    Interface, Ip4, Ip6, JailName, PackageName, PluginId, PoolName, Release, SnapshotName,
    UserName, Wrong,
};

/// An argument of an action.
pub struct Field<T: 'static> {
    pub(super) name: &'static str,
    pub(super) read: fn(&Value) -> std::result::Result<T, Wrong>,
    /// Whether a value of it asks for a change.
    changes: fn(&T) -> bool,
    private: bool,
    /// A value in a log.
    shown: fn(&Value) -> String,
}

/// A field, whatever it reads.
pub trait AnyField: Sync {
    fn name(&self) -> &'static str;
    /// What is wrong with `value`.
    fn check(&self, value: &Value) -> std::result::Result<(), Wrong>;
    /// Whether `value` asks for a change, which needs full access.
    fn changes(&self, value: &Value) -> bool;
    /// Whether nobody may see the value.
    fn is_private(&self) -> bool;
    /// `value` for a log, right or not, without what nobody may see.
    fn shown(&self, value: &Value) -> String;
}

impl<T> Field<T> {
    const fn new(name: &'static str, read: fn(&Value) -> std::result::Result<T, Wrong>) -> Self {
        Field {
            name,
            read,
            changes: |_| false,
            private: false,
            shown: Value::to_string,
        }
    }

    const fn private(self) -> Self {
        Field {
            private: true,
            shown: hidden,
            ..self
        }
    }

    /// One of which a part is private.
    const fn shown(self, shown: fn(&Value) -> String) -> Self {
        Field { shown, ..self }
    }
}

impl Field<bool> {
    /// A truth value; `"true"` and `"false"` are fine too.
    const fn flag(name: &'static str) -> Self {
        Field::new(name, truth)
    }

    /// One that asks for a change if it is true.
    const fn changing(self) -> Self {
        Field {
            changes: |truth| *truth,
            ..self
        }
    }
}

impl<T> AnyField for Field<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn check(&self, value: &Value) -> std::result::Result<(), Wrong> {
        (self.read)(value).map(|_| ())
    }

    fn changes(&self, value: &Value) -> bool {
        (self.read)(value).is_ok_and(|value| (self.changes)(&value))
    }

    fn is_private(&self) -> bool {
        self.private
    }

    fn shown(&self, value: &Value) -> String {
        (self.shown)(value)
    }
}

pub static ACCEPT_LICENSE: Field<bool> = Field::flag("accept_license");
/// That a new jail mounts the files of its release.
pub static BASEJAIL: Field<bool> = Field::flag("basejail");
pub static BOOT: Field<bool> = Field::flag("boot");
/// What is run in a jail.
pub static COMMAND: Field<Words> = Field::new("command", words).private();
/// The form of an image.
pub static COMPRESSION: Field<Format> = Field::new("compression", |value| text(value, compression));
/// Where something is mounted: a path in a jail.
pub static DESTINATION: Field<String> = Field::new("destination", |value| text(value, fstab::path));
pub static DETAIL: Field<bool> = Field::flag("detail");
pub static DHCP: Field<bool> = Field::flag("dhcp");
pub static DRYRUN: Field<bool> = Field::flag("dryrun");
/// That a new jail has nothing in it.
pub static EMPTY: Field<bool> = Field::flag("empty");
/// The type of a file system.
pub static FILE_SYSTEM: Field<Kind> = Field::new("type", |value| text(value, Kind::parse));
pub static FORCE: Field<bool> = Field::flag("force");
/// The file's name of an image.
pub static IMAGE: Field<ImageName> = Field::new("image", |value| text(value, ImageName::parse));
pub static IP4: Field<Ip4> = Field::new("ip4", |value| text(value, Ip4::parse));
pub static IP6: Field<Ip6> = Field::new("ip6", |value| text(value, Ip6::parse));
/// One jail or template.
pub static JAIL: Field<Label> = Field::new("jail", |value| text(value, Label::parse));
/// The same, as clients of 2017 call it.
pub static JAIL_UUID: Field<Label> = Field::new("jail_uuid", |value| text(value, Label::parse));
/// More than one jail or template, each once.
pub static JAILS: Field<Vec<Label>> = Field::new("jails", |value| {
    list(value, limits::JAILS_PER_REQUEST, Label::parse)
});
pub static JOB: Field<String> = Field::new("job", |value| text(value, name));
/// That a clone has the MAC addresses of its source.
pub static KEEP_MAC: Field<bool> = Field::flag("keep_mac");
pub static NAME: Field<JailName> = Field::new("name", |value| text(value, JailName::of_new));
pub static NET_DEVICE: Field<Interface> =
    Field::new("net_device", |value| text(value, Interface::parse));
/// The properties of a jail that is made, with its network.
pub static NEW_PROPERTIES: Field<Vec<(PropertyName, PropertyValue)>> =
    Field::new("properties", |value| {
        properties(value, PropertyName::of_new_jail)
    })
    .private();
/// The release that a jail is made from.
pub static OF_RELEASE: Field<Release> = Field::new("release", |value| text(value, Release::parse));
/// Packages to be installed, each once.
pub static PACKAGE_NAMES: Field<Vec<PackageName>> = Field::new("packages", |value| {
    list(value, limits::PACKAGES_PER_REQUEST, PackageName::parse)
});
/// The options of a mount, as in fstab(5).
pub static OPTIONS: Field<String> =
    Field::new("options", |value| text(value, fstab::options)).private();
pub static PLUGIN: Field<PluginId> = Field::new("plugin", |value| text(value, PluginId::parse));
pub static POOL: Field<PoolName> = Field::new("pool", |value| text(value, PoolName::parse));
/// An object of iocage's properties and their values.
pub static PROPERTIES: Field<Vec<(PropertyName, PropertyValue)>> =
    Field::new("properties", |value| properties(value, PropertyName::parse)).private();
/// Names of properties; none of them for `all`.
pub static PROP: Field<Vec<String>> = Field::new("prop", |value| {
    let names = list(value, limits::PROPERTIES_PER_REQUEST, name)?;
    let all = names.iter().any(|name| name == "all");
    Ok(if all { Vec::new() } else { names })
});
/// That what was cloned from something goes with it.
pub static RECURSIVE: Field<bool> = Field::flag("recursive");
pub static REFRESH: Field<bool> = Field::flag("refresh").changing();
pub static RELEASE: Field<String> = Field::new("release", |value| text(value, name));
/// One or more releases, each once.
pub static RELEASES: Field<Vec<Release>> = Field::new("releases", |value| {
    list(value, limits::RELEASES_PER_REQUEST, Release::parse)
});
/// As [`PROPERTIES`], of a jail that is there or of all jails.
pub static SETTINGS: Field<Vec<(PropertyName, PropertyValue)>> = Field::new("settings", |value| {
    properties(value, PropertyName::of_setting)
})
.private();
pub static SNAPSHOT: Field<SnapshotName> =
    Field::new("snapshot", |value| text(value, SnapshotName::parse));
/// That a jail's processes are started again, and not the jail.
pub static SOFT: Field<bool> = Field::flag("soft");
/// What is mounted.
pub static SOURCE: Field<Source> =
    Field::new("source", |value| text(value, Source::parse)).shown(without_user);
pub static STATE: Field<State> = Field::new("state", |value| text(value, state));
/// That a new jail is a copy, and not a clone.
pub static THICK: Field<bool> = Field::flag("thick");
/// One template.
pub static TEMPLATE: Field<Label> = Field::new("template", |value| text(value, Label::template));
pub static TIMEOUT_SECONDS: Field<Duration> = Field::new("timeout_seconds", seconds);
/// The type of jails.
pub static TYPE: Field<String> = Field::new("type", |value| text(value, name));
/// That the packages of a jail are updated with it.
pub static UPDATE_PACKAGES: Field<bool> = Field::flag("packages");
/// A user of a jail.
pub static USER: Field<UserName> = Field::new("user", |value| text(value, UserName::parse));
pub static VERIFY: Field<bool> = Field::flag("verify");

/// Of an object its keys, for the values may be anything, passwords too; nothing of anything else.
fn hidden(value: &Value) -> String {
    match value {
        Value::Object(members) => format!("{:?}", members.keys().collect::<Vec<_>>()),
        _ => "...".into(),
    }
}

/// The source of a mount without a user's name and password.
fn without_user(value: &Value) -> String {
    match value {
        Value::String(text) => Value::from(fstab::shown(text)).to_string(),
        _ => "...".into(),
    }
}

/// A string, by its rule.
fn text<T>(
    value: &Value,
    rule: impl Fn(&str) -> std::result::Result<T, Wrong>,
) -> std::result::Result<T, Wrong> {
    rule(value.as_str().ok_or("must be a string")?)
}

fn truth(value: &Value) -> std::result::Result<bool, Wrong> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        Value::String(text) if text == "true" => Ok(true),
        Value::String(text) if text == "false" => Ok(false),
        _ => Err("must be true or false".into()),
    }
}

/// A string, or an array of at most `most` strings, by their rule; each once.
fn list<T: PartialEq>(
    value: &Value,
    most: usize,
    rule: impl Fn(&str) -> std::result::Result<T, Wrong>,
) -> std::result::Result<Vec<T>, Wrong> {
    let list = match value {
        Value::String(text) => return Ok(vec![rule(text)?]),
        Value::Array(list) => list,
        _ => return Err("must be a string or an array of strings".into()),
    };
    if list.is_empty() {
        return Err("must not be empty".into());
    }
    if list.len() > most {
        return Err(format!("must have at most {most} entries"));
    }
    let mut read = Vec::new();
    for item in list {
        let item = rule(item.as_str().ok_or("must be an array of strings")?)?;
        if !read.contains(&item) {
            read.push(item);
        }
    }
    Ok(read)
}

/// A name that is only looked for.
fn name(text: &str) -> std::result::Result<String, Wrong> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    match starts && text.len() <= limits::ARGUMENT_BYTES && text.chars().all(fits) {
        true => Ok(text.into()),
        false => Err("must be letters, digits, \".\", \"_\" and \"-\"".into()),
    }
}

/// A command: words, or a line for the jail's shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Words {
    /// The program and its arguments.
    Words(Vec<String>),
    /// What the jail's own `/bin/sh -c` runs.
    Line(String),
}

fn words(value: &Value) -> std::result::Result<Words, Wrong> {
    let word = |text: &str| match text {
        _ if text.contains('\0') => Err("must not contain NUL".to_string()),
        _ => Ok(text.to_string()),
    };
    let words = match value {
        Value::String(line) if line.trim().is_empty() => return Err("must not be empty".into()),
        Value::String(line) if line.len() > limits::COMMAND_BYTES => return Err(too_long()),
        Value::String(line) => return word(line).map(Words::Line),
        Value::Array(words) => words,
        _ => return Err("must be a string or an array of strings".into()),
    };
    let each = words.iter().map(|item| {
        let text = item.as_str().ok_or("must be an array of strings")?;
        word(text)
    });
    let words = each.collect::<std::result::Result<Vec<_>, Wrong>>()?;
    match words.first() {
        None => Err("must not be empty".into()),
        Some(program) if program.is_empty() || program.starts_with('-') => {
            Err("must begin with the name of a program".into())
        }
        _ if words.iter().map(String::len).sum::<usize>() > limits::COMMAND_BYTES => {
            Err(too_long())
        }
        _ => Ok(Words::Words(words)),
    }
}

fn too_long() -> Wrong {
    format!("must be at most {} bytes long", limits::COMMAND_BYTES)
}

fn seconds(value: &Value) -> std::result::Result<Duration, Wrong> {
    const MOST: u64 = limits::EXEC_SECONDS;
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    match number {
        Some(number @ 1..=MOST) => Ok(Duration::from_secs(number)),
        _ => Err(format!("must be a whole number from 1 to {MOST}")),
    }
}

fn state(text: &str) -> std::result::Result<State, Wrong> {
    let known = State::ALL.into_iter();
    known
        .clone()
        .find(|state| state.as_str() == text)
        .ok_or_else(|| {
            let words: Vec<&str> = known.map(State::as_str).collect();
            format!("must be one of {}", words.join(", "))
        })
}

fn compression(text: &str) -> std::result::Result<Format, Wrong> {
    let mut known = Format::ALL.into_iter();
    let found = known.find(|format| format.as_str() == text);
    found.ok_or_else(|| "must be zip or lzma".into())
}

fn properties(
    value: &Value,
    rule: fn(&str) -> std::result::Result<PropertyName, Wrong>,
) -> std::result::Result<Vec<(PropertyName, PropertyValue)>, Wrong> {
    let object = value.as_object().ok_or("must be an object")?;
    if object.len() > limits::PROPERTIES_PER_REQUEST {
        return Err(format!(
            "must have at most {} entries",
            limits::PROPERTIES_PER_REQUEST
        ));
    }
    let property = |(name, value): (&String, &Value)| {
        let name = rule(&shorten(name))?;
        let value = name.value(value)?;
        Ok((name, value))
    };
    object.iter().map(property).collect()
}

/// What a client sent, short enough to quote.
pub fn shorten(text: &str) -> String {
    const READABLE: usize = 60;
    match text.char_indices().nth(READABLE) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into(),
    }
}
