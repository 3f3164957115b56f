use serde_json::json;

use super::*;
use crate::iocage::version::{V0_9_10, V1_0, V1_1, V1_13, V1_2};

fn value(name: &str, value: Value) -> Result<String, Wrong> {
    let name = PropertyName::parse(name).unwrap();
    name.value(&value).map(|value| value.as_str().to_string())
}

fn accepted(name: &str, text: &str) {
    assert_eq!(value(name, json!(text)).as_deref(), Ok(text), "{name}");
}

fn refused(name: &str, text: &str) {
    let Err(why) = value(name, json!(text)) else {
        panic!("{name}={text:?} is accepted");
    };
    assert!(why.contains(name), "{why}");
}

#[test]
fn only_what_a_client_may_set_on_a_new_jail_has_a_property_name() {
    for name in ["notes", "allow_raw_sockets", "vnet0_mac", "vnet3_mtu"] {
        assert!(PropertyName::parse(name).is_ok(), "{name}");
    }
    for (name, part) in [
        ("boot", "an argument of its own"),
        ("ip4_addr", "an argument of its own"),
        ("exec_prestart", "would be run on the host"),
        ("exec_created", "would be run on the host"),
        ("host_hostuuid", "iocage's own"),
        ("mountpoint", "iocage's own"),
        ("release", "iocage's own"),
        ("nat_backend", "for all jails"),
        ("used", "cannot be set"),
        ("compression", "cannot be set"),
        ("note", "iocage has no property"),
        ("", "iocage has no property"),
        ("vnet_mac=1", "iocage has no property"),
        ("vnet0_mac ", "iocage has no property"),
        ("vnet4_mac", "iocage has no property"),
        ("-n", "iocage has no property"),
    ] {
        let why = PropertyName::parse(name).unwrap_err();
        assert!(
            why.contains(part) && why.contains(&format!("{name:?}")),
            "{why}"
        );
    }
    let long = PropertyName::parse(&"x".repeat(1000)).unwrap_err();
    assert!(long.len() < 100, "{long}");
}

#[test]
fn of_a_jail_that_is_there_more_can_be_set() {
    for name in [
        "notes",
        "boot",
        "ip4_addr",
        "vnet",
        "dhcp",
        "nat_backend",
        "template",
    ] {
        assert!(PropertyName::of_setting(name).is_ok(), "{name}");
    }
    for (name, part) in [
        ("plugin_repository", "the plugin's to decide"),
        ("plugin_name", "the plugin's to decide"),
        ("exec_prestart", "would be run on the host"),
        ("exec_created", "would be run on the host"),
        ("host_hostuuid", "iocage's own"),
        ("mountpoint", "iocage's own"),
        ("used", "cannot be set"),
        ("nosuch", "iocage has no property"),
    ] {
        let why = PropertyName::of_setting(name).unwrap_err();
        assert!(why.contains(part) && why.contains(name), "{why}");
    }
}

#[test]
fn the_table_is_whole_and_its_defaults_are_values() {
    let mut names: Vec<&str> = all().iter().map(|property| property.name).collect();
    assert_eq!(names.len(), 146);
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 146, "each once");
    let settable = |settable| {
        all()
            .iter()
            .filter(|property| property.settable == settable)
            .count()
    };
    assert_eq!(
        (settable(Settable::Jail), settable(Settable::Defaults)),
        (126, 3)
    );
    for property in all() {
        let Some(default) = property.default else {
            continue;
        };
        // An empty host_domainname and a mountpoint called "readonly" are iocage's alone.
        if !default.is_empty() && property.settable != Settable::Never && default != "readonly" {
            let read = property.kind.read(default);
            let read = read.unwrap_or_else(|| panic!("{}", property.name));
            assert_eq!(read.as_str(), default, "{}", property.name);
        }
        assert!((property.effect == Effect::Never) == (property.settable == Settable::Never));
    }
    assert_eq!(find("notes").unwrap().effect.as_str(), "at once");
    assert!(find("exec_prestop").unwrap().on_host());
}

#[test]
fn what_iocage_writes_into_jail_conf_or_a_script_has_no_character_that_means_something() {
    let hostile = [
        "a\"b",
        "a;b",
        "a{b",
        "a}b",
        "a\\b",
        "a$b",
        "a`b`",
        "$(reboot)",
        "a\nb",
        "a\rb",
        "a\0b",
        "a'b",
        "a|b",
        "a&b",
        "a>b",
        "a#b",
        "\"",
        "1\"; exec.prestart = \"x",
        "string",
        "0,string\"",
        "none;",
        "tcp(1)$(x)",
    ];
    let free = ["notes", "comment", "owner"];
    for property in all() {
        let Ok(name) = PropertyName::parse(property.name) else {
            continue;
        };
        for text in hostile {
            let Ok(value) = name.value(&json!(text)) else {
                continue;
            };
            let harmless = !value
                .as_str()
                .contains(|c: char| "\"';{}\\$`|&>#\n\r\0".contains(c));
            let stays_in_config_json = free.contains(&property.name);
            assert!(
                harmless || stays_in_config_json,
                "{}={text:?}",
                property.name
            );
        }
    }
    accepted("notes", "vmm=1 \"my lab\"; ${x}");
    refused("notes", "a\nb");
    for name in [
        "host_hostname",
        "host_domainname",
        "nat_forwards",
        "interfaces",
        "exec_start",
    ] {
        refused(name, "a\"b");
    }
}

#[test]
fn truth_is_said_in_every_spelling_and_becomes_what_the_version_takes() {
    let name = PropertyName::parse("bpf").unwrap();
    for yes in [
        json!(true),
        json!(1),
        json!("1"),
        json!("on"),
        json!("YES"),
        json!("True"),
    ] {
        assert_eq!(name.value(&yes).unwrap().as_str(), "1", "{yes}");
    }
    for no in [
        json!(false),
        json!(0),
        json!("0"),
        json!("off"),
        json!("no"),
        json!("FALSE"),
    ] {
        assert_eq!(name.value(&no).unwrap().as_str(), "0", "{no}");
    }
    for wrong in [
        json!(10),
        json!(-1),
        json!(1.0),
        json!("10"),
        json!("nobody"),
        json!("nope"),
        json!("one"),
    ] {
        assert!(name.value(&wrong).is_err(), "{wrong}");
    }
    let words = |name: &str, version| {
        let value = PropertyName::parse(name)
            .unwrap()
            .value(&json!(true))
            .unwrap();
        value.in_words_of(version).as_str().to_string()
    };
    assert_eq!(words("bpf", V1_1), "yes");
    // The words of 0.9.9 depend on a fourth number.
    assert!(name.property().require(Version(0, 9, 9)).is_err());
    assert!(name.property().require(V0_9_10).is_ok());
    assert_eq!(words("rtsold", V1_1), "on");
    assert_eq!(words("allow_raw_sockets", V1_1), "1");
    assert_eq!(words("bpf", V1_2), "1");
    let disable = PropertyName::parse("ip6")
        .unwrap()
        .value(&json!("disable"))
        .unwrap();
    assert_eq!(disable.in_words_of(V1_0).as_str(), "none");
    assert_eq!(disable.in_words_of(V1_1).as_str(), "disable");
}

#[test]
fn what_iocage_lets_pass_by_mistake_is_refused() {
    for (name, text) in [
        ("allow_raw_sockets", "nope"),
        ("ip4", "renewed"),
        ("ip4", "string"),
        ("priority", "1abc"),
        ("priority", "100"),
        ("priority", "0"),
        ("priority", ""),
        ("priority", "5.5"),
        ("securelevel", "4"),
        ("exec_timeout", "soon"),
        ("exec_fib", "-1"),
        ("children_max", "1 persist"),
        ("enforce_statfs", "3"),
        ("interfaces", "vnet0"),
        ("interfaces", "vnet0:bridge0, vnet1:bridge1"),
        ("cpuset", "3-1"),
        ("cpuset", "on"),
        ("nat_forwards", "tcp(80"),
        ("nat_forwards", "tcp(0)"),
        ("nat_forwards", "7"),
        ("nat_forwards", "tcp(80:65536)"),
        ("memoryuse", "4G"),
        ("memoryuse", "throttle=4G"),
        ("maxproc", "deny=100k"),
        ("cputime", "deny=100"),
        ("mac_prefix", "023456x"),
        ("mac_prefix", "013456"),
        ("vnet0_mac", "02ff60000001"),
        ("vnet0_mac", "02ff60000001 02:ff:60:00:00:01"),
        ("quota", "30"),
        ("quota", "abcM"),
        ("jail_zfs_dataset", "iocage/releases"),
        ("jail_zfs_dataset", "iocage/jails/web/root"),
        ("jail_zfs_dataset", "data iocage"),
        ("jail_zfs_dataset", "a/../iocage"),
        ("resolver", "nameserver 10.0.0.1; search x"),
        ("resolver", "/etc/passwd"),
        ("depends", "web,db"),
        ("defaultrouter", "2001:db8::1"),
        ("vnet_default_interface", "re0 up"),
    ] {
        refused(name, text);
    }
    let four = find("ip4_addr").unwrap();
    assert!(four.kind.read("string").is_none());
    assert!(four.kind.read("re0|10.0.0.5/24,10.0.0.6").is_some());
    assert!(four.kind.read("vnet0|DHCP").is_some() && four.kind.read("DHCPx").is_none());
}

#[test]
fn honest_values_pass() {
    for (name, text) in [
        ("host_hostname", "my_lab.example.org"),
        ("host_domainname", "example.org"),
        ("priority", "5"),
        ("securelevel", "-1"),
        ("interfaces", "vnet0:bridge0,vnet1:none"),
        ("cpuset", "0,1,2"),
        ("cpuset", "0-3"),
        (
            "nat_forwards",
            "8080,tcp(7:8080),tcp/udp(53),udp(1000-2000)",
        ),
        ("memoryuse", "deny=4G"),
        ("maxproc", "sigterm=100"),
        ("readbps", "throttle=10m"),
        ("cputime", "log=3600"),
        ("mac_prefix", "02ff60"),
        ("vnet0_mac", "02ff60000001 02ff60000002"),
        ("vnet1_mac", "02:ff:60:00:00:01,02-ff-60-00-00-02"),
        ("vnet0_mtu", "auto"),
        ("vnet0_mtu", "1500"),
        ("quota", "1.5T"),
        ("reservation", "10G"),
        ("dedup", "sha256,verify"),
        ("jail_zfs_dataset", "iocage/jails/web/data data/web"),
        (
            "resolver",
            "search example.org;nameserver 10.0.0.1;nameserver fe80::1%re0",
        ),
        ("depends", "web db.1"),
        ("defaultrouter6", "fe80::1%re0"),
        ("vnet_default_interface", "auto"),
        ("vnet_interfaces", "re0 re1.100"),
        ("exec_start", "/bin/sh /etc/rc"),
        ("login_flags", "-f root"),
        ("exec_jail_user", "www"),
        ("hostid", "b6cd2ea0-5f3b-11e9"),
    ] {
        accepted(name, text);
    }
    assert_eq!(value("vnet0_mtu", json!(9000)).as_deref(), Ok("9000"));
    assert_eq!(value("priority", json!("007")).as_deref(), Ok("7"));
    assert_eq!(value("notes", json!(5)).as_deref(), Ok("5"));
}

#[test]
fn a_value_is_short_and_plain_and_is_never_quoted_back() {
    let notes = |text: Value| value("notes", text);
    assert!(notes(json!("x".repeat(256))).is_ok());
    for wrong in [
        json!("x".repeat(257)),
        json!(""),
        json!({}),
        json!([]),
        json!(null),
        json!("a\u{7f}b"),
    ] {
        let why = notes(wrong).unwrap_err();
        assert!(why.starts_with("\"notes\" must"), "{why}");
    }
    let why = value("priority", json!("hunter2")).unwrap_err();
    assert_eq!(why, "\"priority\" must be a whole number from 1 to 99");
    let secret = PropertyName::parse("notes")
        .unwrap()
        .value(&json!("hunter2"))
        .unwrap();
    assert!(!format!("{secret:?}").contains("hunter2"));
}

#[test]
fn a_property_that_the_version_lacks_is_unavailable() {
    let require = |name, version| find(name).unwrap().require(version);
    let error = require("vnet_default_interface", Version(0, 9, 10)).unwrap_err();
    assert_eq!(error.code, crate::error::Code::Unavailable);
    assert!(error.message.contains("older than 1.0"), "{error}");
    assert!(require("nat", V1_1).is_err() && require("nat", V1_2).is_ok());
    // 1.2.1 and 1.3 say that they are 1.2.
    assert!(require("vnet0_mtu", V1_2).is_ok() && require("allow_nfsd", V1_2).is_err());
    assert!(all().iter().all(|property| property.require(V1_13).is_ok()));
}
