use serde_json::{json, Value};

use super::*;
use crate::error::Code;

fn settings(value: Value) -> Settings {
    Settings::parse(value.to_string().as_bytes()).unwrap()
}

fn settled(own: Value) -> Settled {
    Settled {
        argument: "settings",
        own: Some(settings(own)),
        defaults: settings(json!({"boot": 1, "owner": "root"})),
    }
}

fn asked(value: &Value) -> Vec<(PropertyName, PropertyValue)> {
    let each = value.as_object().unwrap().iter();
    let read = each.map(|(name, value)| {
        let name = PropertyName::of_setting(name).unwrap();
        (name, name.value(value).unwrap())
    });
    read.collect()
}

fn names(changes: &[Change]) -> Vec<&str> {
    changes.iter().map(|change| change.name.as_str()).collect()
}

#[test]
fn only_what_differs_is_changed_and_what_is_switched_off_comes_first() {
    let now =
        settled(json!({"bpf": "yes", "vnet": 1, "notes": "mine", "ip4_addr": "vnet0|10.0.0.5/24"}));
    let changes = now.changes(&asked(&json!({
        "boot": true, "notes": "other", "nat": true, "bpf": "no", "owner": "root",
        "ip4_addr": "vnet0|10.0.0.5/24", "priority": 99, "comment": "new",
    })));
    assert_eq!(names(&changes), ["bpf", "comment", "nat", "notes"]);
    let [bpf, comment, nat, notes] = &changes[..] else {
        panic!("{changes:?}");
    };
    assert_eq!(bpf.before.as_deref(), Some("1"));
    assert!(bpf.is_own && notes.is_own && !nat.is_own && !comment.is_own);
    assert_eq!(comment.back().unwrap().as_str(), "none");
    let made = now.changes(&asked(&json!({"mac_prefix": "02ff60"})));
    assert_eq!((&made[0].before, made[0].back()), (&None, None));
}

#[test]
fn the_settings_of_all_jails_are_changed_in_their_own_file() {
    let now = Settled {
        argument: "settings",
        own: None,
        defaults: settings(json!({"boot": 0})),
    };
    let changes = now.changes(&asked(&json!({"boot": "on", "nat_prefix": "10.1"})));
    assert_eq!(names(&changes), ["boot", "nat_prefix"]);
    assert!(changes[0].is_own && !changes[1].is_own);
    assert_eq!(changes[1].before.as_deref(), Some("172.16"));
}

#[test]
fn settings_must_go_together_as_they_will_be() {
    let check = |own: Value, wanted: Value| {
        let now = settled(own);
        let changes = now.changes(&asked(&wanted));
        now.check_together(&changes).map_err(|error| {
            assert_eq!(error.code, Code::InvalidArgument);
            error.message
        })
    };
    for (own, wanted) in [
        (json!({}), json!({"vnet": 1, "bpf": 1, "dhcp": 1})),
        (json!({"vnet": 1}), json!({"bpf": true})),
        (json!({"vnet": 1, "bpf": 1}), json!({"dhcp": true})),
        (
            json!({"vnet": 1, "bpf": 1}),
            json!({"bpf": false, "nat": true}),
        ),
        (
            json!({"vnet": 1}),
            json!({"ip6_addr": "vnet0|accept_rtadv"}),
        ),
        (json!({"vnet": 1}), json!({"ip4_addr": "10.0.0.5"})),
        (
            json!({"vnet": 1, "interfaces": "a0:b0,a1:b1"}),
            json!({"ip4_addr": "a1|10.0.0.5/24"}),
        ),
        (
            json!({}),
            json!({"ip4_addr": "re0|10.0.0.5/24,DEFAULT|10.0.0.6"}),
        ),
        (
            json!({"vnet": 1, "ip4_addr": "vnet0|10.0.0.5"}),
            json!({"vnet": 0, "ip4_addr": "re0|10.0.0.5"}),
        ),
        (
            json!({"interfaces": "re0:bridge0"}),
            json!({"ip4_addr": "re0|10.0.0.5"}),
        ),
        // What is wrong already, and not touched.
        (
            json!({"vnet": 1, "ip4_addr": "re0|10.0.0.5"}),
            json!({"bpf": 1}),
        ),
        (
            json!({"dhcp": 1, "ip4_addr": "vnet0|DHCP"}),
            json!({"notes": "x"}),
        ),
    ] {
        assert_eq!(check(own.clone(), wanted.clone()), Ok(()), "{own} {wanted}");
    }
    for (own, wanted, part) in [
        (json!({}), json!({"dhcp": 1}), "\"dhcp\" needs \"vnet\""),
        (
            json!({"vnet": 1}),
            json!({"dhcp": 1}),
            "\"dhcp\" needs \"bpf\"",
        ),
        (json!({}), json!({"bpf": 1}), "\"bpf\" needs \"vnet\""),
        (
            json!({"vnet": 1, "bpf": 1}),
            json!({"vnet": 0}),
            "\"bpf\" needs \"vnet\"",
        ),
        (
            json!({"vnet": 1, "bpf": 1}),
            json!({"nat": 1}),
            "exclude each other",
        ),
        (
            json!({"vnet": 1, "nat": 1}),
            json!({"bpf": 1}),
            "exclude each other",
        ),
        (
            json!({}),
            json!({"ip4_addr": "re0|DHCP"}),
            "DHCP in \"ip4_addr\" needs \"vnet\"",
        ),
        (
            json!({"vnet": 1}),
            json!({"ip4_addr": "vnet0|DHCP"}),
            "needs \"bpf\"",
        ),
        (
            json!({}),
            json!({"ip6_addr": "re0|accept_rtadv"}),
            "needs \"vnet\"",
        ),
        (
            json!({"vnet": 1}),
            json!({"ip4_addr": "re0|10.0.0.5"}),
            "(vnet0), not at \"re0\"",
        ),
        (
            json!({"ip4_addr": "re0|10.0.0.5"}),
            json!({"vnet": 1}),
            "not at \"re0\"",
        ),
        (
            json!({}),
            json!({"ip4_addr": "vnet0|10.0.0.5"}),
            "an interface of the host",
        ),
        (
            json!({"vnet": 1, "ip4_addr": "vnet0|10.0.0.5"}),
            json!({"interfaces": "a:b"}),
            "(a), not",
        ),
    ] {
        let why = check(own.clone(), wanted.clone()).unwrap_err();
        assert!(why.contains(part), "{own} {wanted}: {why}");
    }
}

#[test]
fn what_a_running_jail_has_at_its_next_start_needs_a_restart() {
    let now = settled(json!({"vnet": 1, "ip4_addr": "10.0.0.1"}));
    let needs = |wanted: Value, has_vnet| now.changes(&asked(&wanted))[0].needs_restart(has_vnet);
    for (wanted, has_vnet, expected) in [
        (json!({"notes": "x"}), false, false),
        (json!({"boot": 0}), false, false),
        (json!({"memoryuse": "deny=4G"}), false, false),
        (json!({"allow_raw_sockets": 1}), false, false),
        (json!({"vnet": 0}), false, true),
        (json!({"enforce_statfs": "1"}), false, true),
        (json!({"ip4_addr": "10.0.0.2"}), false, false),
        (json!({"ip4_addr": "10.0.0.2"}), true, true),
        (json!({"ip4_addr": "none"}), false, true),
    ] {
        assert_eq!(needs(wanted.clone(), has_vnet), expected, "{wanted}");
    }
}
