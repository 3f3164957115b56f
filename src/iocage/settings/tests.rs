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
    assert_eq!(same.size(), size_of::<Key>());
    assert!(other.size() > "/bin/sh /etc/rd".len());
}
