//! The kinds of values.

use super::forms::Form;
use super::PropertyValue;
use crate::iocage::version::{Version, V1_1, V1_2};

/// What a property's value may be.
#[derive(Debug)]
pub enum Kind {
    /// A truth value.
    Truth(Words),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Whether the jail has a network protocol.
    Protocol,
    /// A whole number from the first to the last.
    Number(i64, i64),
    /// This word, or a whole number from the first to the last.
    NumberOr(&'static str, i64, i64),
    /// A text with a form.
    Form(&'static Form),
    /// Only iocage writes it.
    Told,
}

/// The two words for a truth value before 1.2; the `no` comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    Digits,
    OffOn,
    NoYes,
}

const PROTOCOL: &[&str] = &["new", "inherit", "disable"];

impl Words {
    /// The word for `truth` in `version`.
    pub fn of(self, truth: bool, version: Version) -> &'static str {
        // iocage_lib/ioc_json.py, json_check_prop: truth_variations since 1.2.
        let [no, yes] = match self {
            _ if version >= V1_2 => ["0", "1"],
            Words::Digits => ["0", "1"],
            Words::OffOn => ["off", "on"],
            Words::NoYes => ["no", "yes"],
        };
        if truth {
            yes
        } else {
            no
        }
    }
}

impl Kind {
    /// What kind it is, in one word for a reply.
    pub fn as_str(&self) -> &'static str {
        match self {
            Kind::Truth(_) => "boolean",
            Kind::OneOf(_) | Kind::Protocol => "choice",
            Kind::Number(..) | Kind::NumberOr(..) => "number",
            Kind::Form(_) | Kind::Told => "text",
        }
    }

    /// What a value must be, to stand after "must be".
    pub fn rule(&self) -> String {
        match self {
            Kind::Truth(_) => "true or false (or 1, 0, on, off, yes, no)".into(),
            Kind::OneOf(words) => one_of(words),
            Kind::Protocol => one_of(PROTOCOL),
            Kind::Number(least, most) => format!("a whole number from {least} to {most}"),
            Kind::NumberOr(word, least, most) => {
                format!("{word:?} or a whole number from {least} to {most}")
            }
            Kind::Form(form) => form.rule.into(),
            Kind::Told => "left to iocage".into(),
        }
    }

    /// The value that `text` says, where it says one.
    pub(super) fn read(&self, text: &str) -> Option<PropertyValue> {
        match self {
            Kind::Truth(words) => truth(text).map(|truth| PropertyValue {
                text: words.of(truth, V1_2).into(),
                before: Some((V1_2, words.of(truth, Version(0, 0, 0)))),
            }),
            Kind::OneOf(words) => words.contains(&text).then(|| PropertyValue::new(text)),
            Kind::Protocol => PROTOCOL.contains(&text).then(|| PropertyValue {
                text: text.into(),
                // iocage_lib/ioc_json.py, json_check_prop: "none" in 1.0, "disable" in 1.1.
                before: (text == "disable").then_some((V1_1, "none")),
            }),
            Kind::Number(least, most) => number(text, *least, *most),
            Kind::NumberOr(word, ..) if text == *word => Some(PropertyValue::new(text)),
            Kind::NumberOr(_, least, most) => number(text, *least, *most),
            Kind::Form(form) => form.fits(text).then(|| PropertyValue::new(text)),
            Kind::Told => None,
        }
    }
}

fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    format!("one of {}", quoted.join(", "))
}

/// The truth value that `text` says, in any spelling that iocage has.
pub fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "on" | "yes" | "true" => Some(true),
        "0" | "off" | "no" | "false" => Some(false),
        _ => None,
    }
}

fn number(text: &str, least: i64, most: i64) -> Option<PropertyValue> {
    let number: i64 = text.parse().ok()?;
    (least..=most)
        .contains(&number)
        .then(|| PropertyValue::new(number.to_string()))
}
