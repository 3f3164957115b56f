//! A request's arguments: what each is called, how it is read and checked, and what it means.
//!
//! A field is one constant, used in the row of an action and in its function, so that the two
//! cannot differ. Every value that a client sends is checked before anything is run. An error names
//! the argument and says what is wrong with it.

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::iocage::jails::State;
use crate::iocage::properties::{PropertyName, PropertyValue};
use crate::iocage::selection::{Label, Selection};
use crate::limits;
use crate::names::{Interface, Ip4, Ip6, JailName, PluginId, PoolName, Release, Wrong};

/// An argument of an action.
pub struct Field<T: 'static> {
    name: &'static str,
    read: fn(&Value) -> std::result::Result<T, Wrong>,
    /// Whether a value of it asks for a change.
    changes: fn(&T) -> bool,
    private: bool,
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
}

impl<T> Field<T> {
    const fn new(name: &'static str, read: fn(&Value) -> std::result::Result<T, Wrong>) -> Self {
        Field {
            name,
            read,
            changes: |_| false,
            private: false,
        }
    }

    const fn private(self) -> Self {
        Field {
            private: true,
            ..self
        }
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
}

pub static ACCEPT_LICENSE: Field<bool> = Field::flag("accept_license");
pub static BOOT: Field<bool> = Field::flag("boot");
pub static DETAIL: Field<bool> = Field::flag("detail");
pub static DHCP: Field<bool> = Field::flag("dhcp");
pub static DRYRUN: Field<bool> = Field::flag("dryrun");
pub static FORCE: Field<bool> = Field::flag("force");
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
pub static NAME: Field<JailName> = Field::new("name", |value| text(value, JailName::parse));
pub static NET_DEVICE: Field<Interface> =
    Field::new("net_device", |value| text(value, Interface::parse));
pub static PLUGIN: Field<PluginId> = Field::new("plugin", |value| text(value, PluginId::parse));
pub static POOL: Field<PoolName> = Field::new("pool", |value| text(value, PoolName::parse));
/// An object of iocage's properties and their values.
pub static PROPERTIES: Field<Vec<(PropertyName, PropertyValue)>> =
    Field::new("properties", properties).private();
/// Names of properties; none of them for `all`.
pub static PROP: Field<Vec<String>> = Field::new("prop", |value| match value {
    Value::String(all) if all == "all" => Ok(Vec::new()),
    _ => list(value, limits::PROPERTIES_PER_REQUEST, name),
});
pub static REFRESH: Field<bool> = Field::flag("refresh").changing();
pub static RELEASE: Field<String> = Field::new("release", |value| text(value, name));
/// One or more releases, each once.
pub static RELEASES: Field<Vec<Release>> = Field::new("releases", |value| {
    list(value, limits::RELEASES_PER_REQUEST, Release::parse)
});
pub static STATE: Field<State> = Field::new("state", |value| text(value, state));
pub static TYPE: Field<String> = Field::new("type", |value| text(value, name));
pub static VERIFY: Field<bool> = Field::flag("verify");

/// The arguments of one request, `action` among them, and the fields that its action has.
#[derive(Clone, Copy)]
pub struct Arguments<'a> {
    values: &'a Map<String, Value>,
    fields: &'static [&'static dyn AnyField],
}

impl<'a> Arguments<'a> {
    pub fn new(values: &'a Map<String, Value>, fields: &'static [&'static dyn AnyField]) -> Self {
        Arguments { values, fields }
    }

    /// The fields that are given, with their values.
    pub fn given(&self) -> impl Iterator<Item = (&'static dyn AnyField, &'a Value)> + '_ {
        let given = |field: &&'static dyn AnyField| Some((*field, self.values.get(field.name())?));
        self.fields.iter().filter_map(given)
    }

    /// Checks every field that is given.
    pub fn check(&self) -> Result<()> {
        self.given().try_for_each(|(field, value)| {
            field.check(value).map_err(|why| wrong(field.name(), &why))
        })
    }

    /// Refuses arguments that the action does not have: a mistyped `dryrun` must not destroy.
    pub fn only_known(&self) -> Result<()> {
        let is_known = |key: &str| self.fields.iter().any(|field| field.name() == key);
        let unknown = |key: &&String| *key != "action" && !is_known(key);
        match self.values.keys().find(unknown) {
            Some(key) => Err(wrong(&shorten(key), "this action has no such argument")),
            None => Ok(()),
        }
    }

    /// The request for `action` as a text: requests with the same text ask the same.
    pub fn as_text(&self, action: &str) -> String {
        let given = self
            .given()
            .map(|(field, value)| format!(" {}={value}", field.name()));
        given.fold(action.to_string(), |text, argument| text + &argument)
    }

    /// Whether a field is given.
    pub fn has(&self, field: &dyn AnyField) -> bool {
        self.values.contains_key(field.name())
    }

    /// The value of a field, where it is given.
    pub fn optional<T>(&self, field: &Field<T>) -> Result<Option<T>> {
        debug_assert!(
            self.fields.iter().any(|known| known.name() == field.name),
            "{} is not in the action's row",
            field.name
        );
        let value = self.values.get(field.name);
        let value = value.map(|value| (field.read)(value).map_err(|why| wrong(field.name, &why)));
        value.transpose()
    }

    /// The value of a field, which has to be given.
    pub fn require<T>(&self, field: &Field<T>) -> Result<T> {
        self.optional(field)?.ok_or_else(|| missing(field.name))
    }

    /// Which jails and templates are meant.
    pub fn selection(&self) -> Result<Selection> {
        let (one, too) = (self.optional(&JAIL)?, self.optional(&JAIL_UUID)?);
        match (one, too, self.optional(&JAILS)?) {
            (None, None, None) => Ok(Selection::All),
            (Some(one), None, None) | (None, Some(one), None) => Ok(Selection::One(one)),
            (None, None, Some(several)) => Ok(Selection::Several(several)),
            (Some(_), Some(_), _) => Err(wrong("jail_uuid", "cannot be combined with \"jail\"")),
            (_, _, Some(_)) => Err(wrong("jails", "cannot be combined with \"jail\"")),
        }
    }

    /// The value of a flag, false where it is not given.
    pub fn flag(&self, field: &Field<bool>) -> Result<bool> {
        Ok(self.optional(field)?.unwrap_or_default())
    }
}

/// That an argument is missing.
pub fn missing(name: &str) -> Error {
    wrong(name, "missing")
}

/// What is wrong with an argument.
pub fn wrong(name: &str, why: &str) -> Error {
    Error::invalid(format!("argument {name:?}: {why}"))
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

fn properties(value: &Value) -> std::result::Result<Vec<(PropertyName, PropertyValue)>, Wrong> {
    let object = value.as_object().ok_or("must be an object")?;
    if object.len() > limits::PROPERTIES_PER_REQUEST {
        return Err(format!(
            "must have at most {} entries",
            limits::PROPERTIES_PER_REQUEST
        ));
    }
    let property = |(name, value): (&String, &Value)| {
        let name = PropertyName::parse(&shorten(name))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FIELDS: &[&dyn AnyField] = &[&RELEASES, &FORCE, &DRYRUN, &REFRESH, &POOL];

    fn with<T>(args: Value, read: impl Fn(Arguments) -> Result<T>) -> Result<T> {
        read(Arguments::new(args.as_object().unwrap(), FIELDS))
    }

    #[test]
    fn releases_come_as_a_string_or_a_list_and_each_once() {
        let releases = |args| {
            with(args, |args| args.require(&RELEASES))
                .map(|list| list.iter().map(|name| name.to_string()).collect::<Vec<_>>())
        };
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
        assert!(releases(json!({})).unwrap_err().message.contains("missing"));
    }

    #[test]
    fn flags_are_true_or_false_and_nothing_else() {
        let force = |value| with(json!({ "force": value }), |args| args.flag(&FORCE));
        assert_eq!(force(json!(true)), Ok(true));
        assert_eq!(force(json!("true")), Ok(true));
        assert_eq!(force(json!("false")), Ok(false));
        for value in [
            json!(1),
            json!("yes"),
            json!("True"),
            json!([]),
            json!(null),
        ] {
            assert!(force(value).is_err());
        }
    }

    #[test]
    fn unknown_and_wrong_arguments_are_named() {
        let args = json!({"action": "x", "dryrum": true});
        let error = with(args, |args| args.only_known()).unwrap_err();
        assert!(error.message.contains("\"dryrum\""));
        let error = with(json!({"pool": "-f"}), |args| args.check()).unwrap_err();
        assert!(error.message.contains("\"pool\""));
    }

    #[test]
    fn to_refresh_is_a_change_and_not_to_refresh_is_none() {
        assert!(REFRESH.changes(&json!(true)) && REFRESH.changes(&json!("true")));
        assert!(!REFRESH.changes(&json!(false)) && !FORCE.changes(&json!(true)));
    }
}
