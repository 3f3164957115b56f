//! Jails and templates in an answer.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use super::{Answer, Common, Effective, Object};
use crate::iocage::addresses;
use crate::iocage::jails::{Jail, Listing};
use crate::iocage::settings::{self, Key, Settings};

/// What nobody knows.
const NOT_KNOWN: &str = "N/A";
/// What there is none of.
const NONE: &str = "-";

/// Jails under the keys that `key` gives them.
///
/// If a key is taken already (by the running jail 5, where another jail is called `5`), the jail
/// gets one that no other jail has: its dataset below iocage's, which has a slash in it.
pub fn keyed<'a>(
    jails: impl IntoIterator<Item = &'a Jail>,
    family: &str,
    key: impl Fn(&'a Jail) -> Cow<'a, str>,
    describe: impl Fn(&Jail) -> Answer,
) -> Object {
    // A jid is unique; a jail that only has it for a name makes way. So does a copy that still has
    // the uuid of its source.
    let (up, down): (Vec<&Jail>, Vec<&Jail>) =
        jails.into_iter().partition(|jail| jail.jid.is_some());
    let (own, others): (Vec<&Jail>, Vec<&Jail>) =
        down.into_iter().partition(|jail| jail.name == jail.uuid);
    let mut taken = HashSet::with_capacity(up.len() + own.len() + others.len());
    let named = up.into_iter().chain(own).chain(others).map(|one| {
        let mut key = key(one);
        if !taken.insert(key.clone()) {
            key = format!("{family}/{}", one.name).into();
            // Once is enough, unless a configuration has such a key for its jail's name.
            while !taken.insert(key.clone()) {
                key = format!("{family}/{key}").into();
            }
        }
        (key.into_owned(), describe(one))
    });
    // Many at once are put in order many times as fast as one after the other.
    named.collect()
}

/// The key of a jail: its jid while it runs, its uuid while it does not.
pub fn key(jail: &Jail) -> Cow<'_, str> {
    jail.jid.as_ref().unwrap_or(&jail.uuid).into()
}

/// The names of a jail's ten strings.
const NAMES: [&str; 10] = [
    "boot", "ip4", "ip6", "jid", "release", "state", "tag", "template", "type", "uuid",
];

/// A jail's ten strings.
pub fn jail(jail: &Jail) -> Answer {
    Answer::Texts(&NAMES, Box::new(texts(jail)))
}

/// In the order of their names.
fn texts(jail: &Jail) -> [Cow<'static, str>; NAMES.len()] {
    let or_none = |value: &Option<String>| -> Cow<'static, str> {
        value.clone().map_or(NONE.into(), Cow::Owned)
    };
    let details = jail.details.as_ref();
    let detail = |value: Option<&Option<String>>| value.map_or(NOT_KNOWN.into(), or_none);
    [
        if jail.boot { "on" } else { "off" }.into(),
        detail(details.map(|details| &details.ip4)),
        detail(details.map(|details| &details.ip6)),
        or_none(&jail.jid),
        detail(details.map(|details| &details.release)),
        jail.state.as_str().into(),
        jail.tag.clone().into(),
        or_none(&jail.template),
        details.map_or(NOT_KNOWN.into(), |details| details.kind.clone().into()),
        jail.uuid.clone().into(),
    ]
}

/// The same, and what else a jail has in detail.
const DETAILED: [&str; 17] = [
    "addresses",
    "basejail",
    "boot",
    "hostname",
    "ip4",
    "ip6",
    "jid",
    "mountpoint",
    "name",
    "origin",
    "release",
    "settings",
    "state",
    "tag",
    "template",
    "type",
    "uuid",
];

/// A jail's ten strings, and what else is known of it. `common` are the settings of all jails.
pub fn detailed(listing: &Listing, common: &Arc<Common>, one: &Jail) -> Answer {
    let defaults = listing.defaults();
    let own = listing.settings(one);
    let root = listing.root_of(one);
    let hostname = own.map(|own| {
        let name = settings::text(own, defaults, Key::HOST_HOSTNAME);
        name.unwrap_or_else(|| one.uuid.clone())
    });
    let basejail = one.details.as_ref().map(|details| match details.basejail {
        true => "yes",
        false => "no",
    });
    let addresses = |key| {
        let text = own.and_then(|own| settings::stored(own, defaults, key));
        let parsed = text.map(addresses::parse).unwrap_or_default();
        Answer::List(parsed.into_iter().map(address).collect())
    };
    let both = Box::new([addresses(Key::IP4_ADDR), addresses(Key::IP6_ADDR)]);
    let all = own.map(|own| all_values(own, common));
    let [boot, ip4, ip6, jid, release, state, tag, template, kind, uuid] =
        texts(one).map(Answer::Text);
    Answer::Fixed(
        &DETAILED,
        Box::new([
            Answer::Fixed(&["ip4", "ip6"], both),
            basejail.unwrap_or(NOT_KNOWN).into(),
            boot,
            hostname.unwrap_or_else(|| NOT_KNOWN.into()).into(),
            ip4,
            ip6,
            jid,
            root.map_or(NONE.into(), |root| root.display().to_string())
                .into(),
            one.name.clone().into(),
            listing.origin(one).unwrap_or(NONE).to_string().into(),
            release,
            all.unwrap_or_else(|| Object::new().into()),
            state,
            tag,
            template,
            kind,
            uuid,
        ]),
    )
}

fn address(one: addresses::Address) -> Answer {
    let or_none = |text: Option<String>| text.map_or(NONE.into(), Cow::Owned);
    Answer::Texts(
        &["address", "interface", "prefix"],
        Box::new([
            one.address.into(),
            or_none(one.interface),
            or_none(one.prefix),
        ]),
    )
}

/// The effective values of all properties.
pub fn all_values(own: &Settings, common: &Arc<Common>) -> Answer {
    Answer::Settings(Effective {
        own: own.clone(),
        common: Arc::clone(common),
    })
}

/// The effective values of the properties that are `wanted`, and where each comes from if `detail`
/// is asked for.
pub fn values(
    own: &Settings,
    defaults: &Settings,
    wanted: impl Fn(&str) -> bool,
    detail: bool,
) -> Object {
    let mut answer = Object::new();
    for (name, (value, source)) in settings::effective(own, defaults) {
        if !wanted(name) {
            continue;
        }
        let value = value.to_string();
        let value: Answer = match detail {
            true => Object::new()
                .with("value", value)
                .with("source", source.as_str())
                .into(),
            false => value.into(),
        };
        answer.insert(name.to_string(), value);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iocage::jails::State;

    fn called(name: &str, uuid: &str, jid: Option<&str>) -> Jail {
        Jail {
            name: name.into(),
            uuid: uuid.into(),
            jid: jid.map(String::from),
            state: if jid.is_some() {
                State::Up
            } else {
                State::Down
            },
            boot: false,
            tag: name.into(),
            template: None,
            details: None,
        }
    }

    fn keys(list: &[Jail]) -> Vec<String> {
        let listed = keyed(list, "jails", key, jail);
        let listed: serde_json::Value = serde_json::from_str(&listed.to_json()).unwrap();
        listed.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn fixed_names_are_in_the_order_of_every_object() {
        assert!(NAMES.is_sorted() && DETAILED.is_sorted());
        assert!(NAMES.iter().all(|name| DETAILED.contains(name)));
    }

    #[test]
    fn no_two_jails_share_a_key() {
        let list = [
            called("5", "5", None),
            called("same1", "same", None),
            called("same2", "same", None),
            called("web", "web", Some("5")),
            called("copy", "www", None),
            called("www", "www", None),
        ];
        let expected = ["5", "jails/5", "jails/copy", "jails/same2", "same", "www"];
        assert_eq!(keys(&list), expected);
        let listed = keyed(&list, "jails", key, jail);
        let listed: serde_json::Value = serde_json::from_str(&listed.to_json()).unwrap();
        assert_eq!(listed["5"]["uuid"], "web");
        assert_eq!(listed["www"]["tag"], "www");
    }

    #[test]
    fn not_even_where_one_claims_the_key_that_another_would_get_instead() {
        let list = [
            called("a", "jails/web", None),
            called("b", "same", None),
            called("web", "same", None),
        ];
        assert_eq!(keys(&list), ["jails/jails/web", "jails/web", "same"]);
    }
}
