//! A request's arguments, checked.
//!
//! Every value that a client sends is checked before anything is run. An error names the argument
//! and says what is wrong with it.

mod fields;

use serde_json::{Map, Value};

pub use fields::*;

use crate::error::{Error, Result};
use crate::iocage::selection::Selection;
use crate::names::JailName;

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

    /// Which jails and templates are meant, by whichever of the fields for that the action has.
    pub fn selection(&self) -> Result<Selection> {
        let mut selection: Option<(&str, Selection)> = None;
        for field in [&JAIL, &JAIL_UUID, &TEMPLATE] {
            let Some(label) = self.where_it_has(field)? else {
                continue;
            };
            if let Some((other, _)) = selection {
                return Err(wrong(
                    field.name,
                    &format!("cannot be combined with {other:?}"),
                ));
            }
            selection = Some((field.name, Selection::One(label)));
        }
        match (selection, self.where_it_has(&JAILS)?) {
            (None, None) => Ok(Selection::All),
            (Some((_, one)), None) => Ok(one),
            (None, Some(several)) => Ok(Selection::Several(several)),
            (Some((other, _)), Some(_)) => Err(wrong(
                "jails",
                &format!("cannot be combined with {other:?}"),
            )),
        }
    }

    /// The name of what is to be made, if one is given.
    pub fn new_name(&self) -> Result<Option<JailName>> {
        self.where_it_has(&NAME)
    }

    /// Whether only what would be done is to be told.
    pub fn is_dry_run(&self) -> Result<bool> {
        Ok(self.where_it_has(&DRYRUN)?.unwrap_or_default())
    }

    /// The value of a field, if the action has the field and it is given.
    fn where_it_has<T>(&self, field: &Field<T>) -> Result<Option<T>> {
        match self.fields.iter().any(|known| known.name() == field.name) {
            true => self.optional(field),
            false => Ok(None),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;
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
