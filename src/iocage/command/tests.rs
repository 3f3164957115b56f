use serde_json::{json, Value};

use super::*;
use crate::configuration::Commands;
use crate::error::Code;
use crate::iocage::version::{V0_9_10, V1_0, V1_1, V1_13, V1_2};

fn new_plugin(network: Network) -> NewPlugin {
    NewPlugin {
        plugin: PluginId::parse("gitlab").unwrap(),
        manifest_stem: None,
        name: None,
        network,
        boot: None,
        properties: Vec::new(),
        accept_license: false,
        repository: None,
    }
}

fn shared(ip4: Option<&str>, ip6: Option<&str>) -> Network {
    Network::Shared {
        interface: Interface::parse("re0").unwrap(),
        ip4: ip4.map(|ip4| Ip4::parse(ip4).unwrap()),
        ip6: ip6.map(|ip6| Ip6::parse(ip6).unwrap()),
    }
}

fn dhcp() -> Network {
    let interface = Interface::parse("re0").unwrap();
    Network::Dhcp { interface }
}

fn properties(all: Value) -> Vec<(PropertyName, PropertyValue)> {
    let one = |(name, value): (&String, &Value)| {
        let name = PropertyName::parse(name).unwrap();
        (name, name.value(value).unwrap())
    };
    all.as_object().unwrap().iter().map(one).collect()
}

fn line(version: Version, new: &NewPlugin) -> String {
    fetch_plugin(version, new).unwrap().arguments().join(" ")
}

fn refusal(version: Version, new: &NewPlugin) -> (Code, String) {
    let error = fetch_plugin(version, new).unwrap_err();
    (error.code, error.message)
}

#[test]
fn a_plugin_is_fetched_as_each_version_wants_it() {
    let new = new_plugin(shared(Some("10.20.0.130/24"), Some("2001:db8::7")));
    let ips = "ip4_addr=re0|10.20.0.130/24 ip6_addr=re0|2001:db8::7";
    let old = format!("fetch -P --name gitlab {ips}");
    let modern = format!("fetch -P gitlab -n gitlab vnet=0 {ips}");
    for version in [V0_9_10, V1_0, V1_1] {
        assert_eq!(line(version, &new), old);
    }
    for version in [V1_2, V1_13] {
        assert_eq!(line(version, &new), modern);
    }
    assert_eq!(refusal(Version(0, 9, 8), &new).0, Code::Unavailable);
}

#[test]
fn with_an_ip6_address_alone_the_manifests_network_is_switched_off_by_name() {
    let mut new = new_plugin(shared(None, Some("2001:db8::7")));
    let expected = "fetch -P gitlab -n gitlab vnet=0 nat=0 dhcp=0 ip6_addr=re0|2001:db8::7";
    assert_eq!(line(V1_13, &new), expected);
    let old = "fetch -P --name gitlab ip6_addr=re0|2001:db8::7";
    assert_eq!(line(V1_1, &new), old);
    new.properties = properties(json!({"nat": true}));
    let expected = "fetch -P gitlab -n gitlab vnet=0 dhcp=0 ip6_addr=re0|2001:db8::7 nat=1";
    assert_eq!(line(V1_13, &new), expected);
}

#[test]
fn everything_that_a_request_can_say_reaches_the_command_line() {
    let mut new = new_plugin(dhcp());
    new.name = Some(JailName::parse("lab").unwrap());
    new.boot = Some(false);
    new.properties = properties(json!({"notes": "my lab"}));
    new.accept_license = true;
    new.repository = Some(Url::parse("https://example.org/p.git").unwrap());
    let expected = "fetch -P gitlab -n lab -g https://example.org/p.git --accept vnet=1 bpf=1 \
                    dhcp=1 vnet_default_interface=re0 boot=0 notes=my lab";
    assert_eq!(line(V1_13, &new), expected);
    assert_eq!(refusal(V1_1, &new).0, Code::Unavailable);
}

#[test]
fn an_old_version_gets_the_words_that_it_takes() {
    let mut new = new_plugin(dhcp());
    new.boot = Some(true);
    new.properties = properties(json!({
        "allow_raw_sockets": true, "host_time": false, "ip6": "disable", "rtsold": true,
    }));
    let own = "fetch -P --name gitlab vnet=on bpf=yes dhcp=on vnet_default_interface=re0 boot=on";
    let others = "allow_raw_sockets=1 host_time=no";
    let expected = format!("{own} {others} ip6=disable rtsold=on");
    assert_eq!(line(V1_1, &new), expected);
    let expected = format!("{own} {others} ip6=none rtsold=on");
    assert_eq!(line(V1_0, &new), expected);
}

#[test]
fn what_a_version_lacks_is_refused_with_the_version_that_has_it() {
    let unavailable = |version, new: &NewPlugin, since: &str, what: &str| {
        let (code, message) = refusal(version, new);
        assert_eq!(code, Code::Unavailable);
        assert!(
            message.contains(&format!("older than {since} ")),
            "{message}"
        );
        assert!(message.contains(what), "{message}");
    };
    unavailable(
        V0_9_10,
        &new_plugin(dhcp()),
        "1.0",
        "vnet_default_interface",
    );
    let new = new_plugin(shared(Some("10.0.0.5"), None));
    let named = NewPlugin {
        name: Some(JailName::parse("lab").unwrap()),
        ..new.clone()
    };
    unavailable(V1_1, &named, "1.2", "name a plugin's jail");
    let elsewhere = NewPlugin {
        repository: Some(Url::parse("https://example.org/p.git").unwrap()),
        ..new.clone()
    };
    unavailable(V1_1, &elsewhere, "1.2", "repository");
    // Whatever is asked, 1.1 makes it start with the host.
    let still = NewPlugin {
        boot: Some(false),
        ..new.clone()
    };
    unavailable(V1_1, &still, "1.2", "start with the host");
    let nat = NewPlugin {
        properties: properties(json!({"nat": true})),
        ..new
    };
    unavailable(V1_1, &nat, "1.2", "\"nat\"");
}

#[test]
fn a_plugins_manifest_is_fetched_by_its_own_name() {
    let mut new = new_plugin(shared(Some("10.0.0.5"), None));
    new.plugin = PluginId::parse("FlareSolverr").unwrap();
    new.manifest_stem = Some(PluginId::parse("flaresolverr").unwrap());
    let expected = "fetch -P flaresolverr -n FlareSolverr vnet=0 ip4_addr=re0|10.0.0.5";
    assert_eq!(line(V1_13, &new), expected);
    let expected = "fetch -P --name flaresolverr ip4_addr=re0|10.0.0.5";
    assert_eq!(line(V1_1, &new), expected);
}

#[test]
fn properties_that_cannot_be_done_as_asked_are_refused_by_name() {
    let with = |network, all| NewPlugin {
        properties: properties(all),
        ..new_plugin(network)
    };
    let address = shared(Some("10.0.0.5"), None);
    for new in [
        with(address.clone(), json!({"notes": "a=b"})),
        with(address.clone(), json!({"memoryuse": "deny=4G"})),
        with(address.clone(), json!({"bpf": true})),
        with(dhcp(), json!({"bpf": false})),
        with(dhcp(), json!({"nat": true})),
    ] {
        let (code, message) = refusal(V1_13, &new);
        assert_eq!(code, Code::InvalidArgument);
        let name = new.properties[0].0.as_str();
        assert!(
            message.starts_with(&format!("argument \"properties\": {name:?} ")),
            "{message}"
        );
    }
    // Said twice, but the same.
    let new = with(
        dhcp(),
        json!({"bpf": true, "vnet_default_interface": "auto"}),
    );
    let expected = "fetch -P gitlab -n gitlab vnet=1 dhcp=1 bpf=1 vnet_default_interface=auto";
    assert_eq!(line(V1_13, &new), expected);
}

#[test]
fn nobody_sees_values_of_properties_and_passwords_in_urls() {
    let mut new = new_plugin(shared(Some("10.0.0.5"), None));
    new.properties = properties(json!({"notes": "hunter2"}));
    let shown = |new: &NewPlugin| {
        fetch_plugin(V1_13, new)
            .unwrap()
            .shown(&Commands::default())
    };
    new.repository = Some(Url::parse("https://example.org/p.git").unwrap());
    assert_eq!(
        shown(&new),
        "/usr/local/bin/iocage fetch -P gitlab -n gitlab -g https://example.org/p.git vnet=0 \
         ip4_addr=re0|10.0.0.5 notes=..."
    );
    new.repository = Some(Url::parse("https://token@example.org/p.git").unwrap());
    assert!(shown(&new).contains(" -g ... "));
    assert!(line(V1_13, &new).contains("https://token@example.org/p.git"));
    assert!(!format!("{new:?}").contains("hunter2"));
}

#[test]
fn the_other_lines_are_the_same_in_every_version() {
    let release = Release::parse("10.3-RELEASE").unwrap();
    assert_eq!(
        fetch_release(&release).arguments(),
        ["fetch", "-r", "10.3-RELEASE"]
    );
    assert_eq!(version().arguments(), ["--version"]);
    let jail = JailName::parse("www.a").unwrap();
    assert_eq!(start(&jail).arguments(), ["start", "www.a"]);
    assert_eq!(stop(&jail, false).arguments(), ["stop", "www.a"]);
    assert_eq!(stop(&jail, true).arguments(), ["stop", "-f", "www.a"]);
    assert_eq!(restart(&jail, false).arguments(), ["restart", "www.a"]);
    assert_eq!(restart(&jail, true).arguments(), ["restart", "-s", "www.a"]);
    assert_eq!(list_remote().arguments(), ["list", "-R"]);
}

#[test]
fn settings_are_set_in_the_words_of_each_version_and_stay_private() {
    let settings = |of: Value| {
        let one = |(name, value): (&String, &Value)| {
            let name = PropertyName::of_setting(name).unwrap();
            (name, name.value(value).unwrap())
        };
        of.as_object().unwrap().iter().map(one).collect::<Vec<_>>()
    };
    let all = settings(json!({"boot": true, "notes": "a b=c", "ip4_addr": "re0|10.0.0.5/24"}));
    let web = JailName::parse("web").unwrap();
    let line = |version, of| set(version, all.iter().map(|(name, value)| (*name, value)), of);
    for (version, boot) in [(V0_9_10, "boot=on"), (V1_1, "boot=on"), (V1_13, "boot=1")] {
        let words = [
            "set",
            boot,
            "ip4_addr=re0|10.0.0.5/24",
            "notes=a b=c",
            "web",
        ];
        assert_eq!(line(version, Some(&web)).arguments(), words);
    }
    assert_eq!(line(V1_13, None).arguments().last().unwrap(), "default");
    let shown = line(V1_13, None).shown(&Commands::default());
    assert!(
        shown.ends_with("set boot=... ip4_addr=... notes=... default"),
        "{shown}"
    );
}

#[test]
fn a_jail_is_renamed_by_a_version_that_renames_no_other() {
    let name = |text| JailName::parse(text).unwrap();
    for version in [V1_0, V1_13] {
        let line = rename(version, &name("web"), &name("www")).unwrap();
        assert_eq!(line.arguments(), ["rename", "web", "--", "www"]);
    }
    let error = rename(V0_9_10, &name("web"), &name("www")).unwrap_err();
    assert_eq!(error.code, Code::Unavailable);
}

#[test]
fn an_update_never_runs_the_jails_own_program() {
    let jail = JailName::parse("web").unwrap();
    let line =
        |version, packages| update(version, &jail, packages).map(|line| line.arguments().join(" "));
    for (version, packages, expected) in [
        (V1_0, false, "update web"),
        (V1_2, false, "update web"),
        (V1_2, true, "update -P web"),
        (Version(1, 8, 0), true, "update -P web"),
        (Version(1, 9, 0), false, "update -V web"),
        (V1_13, true, "update -P -V web"),
    ] {
        assert_eq!(line(version, packages).unwrap(), expected, "{version}");
    }
    let error = line(V1_1, true).unwrap_err();
    assert_eq!(error.code, Code::Unavailable);
    assert!(
        error.message.ends_with("cannot update a jail's packages"),
        "{error}"
    );
    let release = Release::parse("13.2-RELEASE").unwrap();
    let words = upgrade(&jail, &release).arguments().join(" ");
    assert_eq!(words, "upgrade -r 13.2-RELEASE web");
}
