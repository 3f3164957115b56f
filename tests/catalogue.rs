//! What the network offers: answered from what is known, refreshed aside, whatever the network
//! does.

mod common;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{error_of, eventually, processes, Instance};
use serde_json::{json, Value};
use sysadm_iocage_lab::Lab;

const LOCAL: &str = "13.2-RELEASE";

fn lab() -> Option<Lab> {
    let lab = Lab::or_skip(1)?;
    let pool = lab.pool(0);
    lab.lay_out(pool);
    lab.mark(pool, true);
    lab.add_release(pool, LOCAL);
    Some(lab)
}

/// An instance with more to its configuration.
fn open(lab: &Lab, more: Value) -> Instance {
    let mut config = lab.config();
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    Instance::open(&config, std::ptr::null())
}

fn file(lab: &Lab) -> PathBuf {
    lab.dir().join("state/catalogue.json")
}

/// How often iocage was asked for the remote list.
fn asked(lab: &Lab) -> usize {
    lab.commands()
        .iter()
        .filter(|words| words.join(" ") == "iocage list -R")
        .count()
}

fn refresh(plugin: &Instance) -> Value {
    plugin.ask(&json!({"action": "listreleases", "refresh": true}))
}

#[test]
fn what_is_known_is_answered_without_the_network_by_the_next_process_too() {
    let Some(lab) = lab() else { return };
    lab.set_remote_releases(&["14.1-RELEASE", "9.3-RELEASE"]);
    let remote = json!(["9.3-RELEASE", "14.1-RELEASE"]);
    let first = open(&lab, json!({})).ask_for("listreleases");
    assert_eq!(
        (&first["local"], &first["remote"]),
        (&json!([LOCAL]), &remote)
    );
    assert!(first.get("remote_error").is_none(), "{first}");
    assert_eq!(asked(&lab), 1);

    lab.set_network("hanging");
    let plugin = open(&lab, json!({}));
    for _ in 0..3 {
        let answer = plugin.ask_for("listreleases");
        assert_eq!(answer["remote"], remote);
        assert!(answer.get("remote_error").is_none(), "{answer}");
        let age: u64 = answer["remote_age_seconds"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(age < 600);
    }
    assert_eq!(asked(&lab), 1, "nobody asked again");

    // Another iocage is asked itself.
    lab.set_network("up");
    std::thread::sleep(Duration::from_millis(1100)); // times are in seconds
    lab.set_iocage_version("1.12");
    open(&lab, json!({})).ask_for("listreleases");
    assert_eq!(asked(&lab), 2);

    // What the file says of an older time is older.
    let mut known = common::parse(&fs::read_to_string(file(&lab)).unwrap());
    let iocage = lab.config()["commands"]["iocage"]
        .as_str()
        .unwrap()
        .to_string();
    let time = known["releases"][&iocage]["time"].as_u64().unwrap();
    known["releases"][&iocage]["time"] = json!(time - 1000);
    fs::write(file(&lab), known.to_string()).unwrap();
    lab.set_network("down");
    let answer = open(&lab, json!({})).ask_for("listreleases");
    let age: u64 = answer["remote_age_seconds"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1000..1600).contains(&age), "{age}");
}

#[test]
fn an_old_list_is_answered_at_once_and_refreshed_aside() {
    let Some(lab) = lab() else { return };
    let plugin = open(&lab, json!({"catalogue_max_age_seconds": 0}));
    plugin.ask_for("listreleases");
    lab.set_remote_releases(&["14.2-RELEASE"]);
    let answer = plugin.ask_for("listreleases");
    assert_eq!(
        answer["remote"],
        json!(["13.2-RELEASE", "14.1-RELEASE"]),
        "what was known"
    );
    eventually("the new list arrives", || {
        plugin.ask_for("listreleases")["remote"] == json!(["14.2-RELEASE"])
    });
    // And where it is asked for, it is waited for.
    lab.set_remote_releases(&["14.3-RELEASE"]);
    eventually("the next one too", || {
        refresh(&plugin)["remote"] == json!(["14.3-RELEASE"])
    });
}

#[test]
fn thirty_two_requests_on_an_old_list_start_one_refresh() {
    let Some(lab) = lab() else { return };
    let plugin = open(&lab, json!({"catalogue_max_age_seconds": 0}));
    plugin.ask_for("listreleases");
    lab.forget_commands();
    lab.set_network("hanging");
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                let answer = plugin.ask_for("listreleases");
                assert_eq!(answer["remote"], json!(["13.2-RELEASE", "14.1-RELEASE"]));
                answered.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(answered.into_inner(), 32);
    eventually("the refresh is under way", || asked(&lab) > 0);
    assert_eq!(asked(&lab), 1);
    // Closing ends it, and leaves no process.
    let started = Instant::now();
    drop(plugin);
    assert!(started.elapsed() < Duration::from_secs(10));
    let mark = format!("{}/real/iocage list", lab.dir().display());
    assert_eq!(processes(&mark), [""; 0]);
}

#[test]
fn with_nothing_known_a_hanging_network_is_waited_for_once_and_within_bounds() {
    let Some(lab) = lab() else { return };
    lab.set_network("hanging");
    // Long enough that what it does beside the network does not count on a busy machine.
    let bound = 5;
    let plugin = open(&lab, json!({ "command_timeout_seconds": bound }));
    let started = Instant::now();
    let answer = plugin.ask_for("listreleases");
    assert_eq!(
        (&answer["local"], &answer["remote"]),
        (&json!([LOCAL]), &json!([]))
    );
    let error = answer["remote_error"].as_str().unwrap();
    assert!(error.contains("timeout"), "{error}");
    let mark = format!("{}/real/iocage list", lab.dir().display());
    assert_eq!(processes(&mark), [""; 0]);
    assert!(
        started.elapsed() < Duration::from_secs(bound),
        "{:?}",
        started.elapsed()
    );
    lab.set_network("up");
    eventually("it is there when the network is", || {
        plugin.ask_for("listreleases")["remote"] == json!(["13.2-RELEASE", "14.1-RELEASE"])
    });
}

#[test]
fn a_failing_or_garbled_network_harms_nothing_that_is_known() {
    let Some(lab) = lab() else { return };
    let plugin = open(&lab, json!({}));
    for state in ["down", "garbled", "endless"] {
        lab.set_network(state);
        let answer = plugin.ask_for("listreleases");
        assert_eq!(
            (&answer["local"], &answer["remote"]),
            (&json!([LOCAL]), &json!([]))
        );
        assert!(answer["remote_error"].is_string(), "{state}: {answer}");
        assert!(!file(&lab).exists(), "{state}");
    }
    lab.set_network("up");
    let known = refresh(&plugin)["remote"].clone();
    assert_eq!(known, json!(["13.2-RELEASE", "14.1-RELEASE"]));
    let before = fs::read_to_string(file(&lab)).unwrap();
    for state in ["down", "garbled", "endless"] {
        lab.set_network(state);
        let answer = refresh(&plugin);
        assert_eq!(
            (&answer["local"], &answer["remote"]),
            (&json!([LOCAL]), &known),
            "{state}"
        );
        let error = answer["remote_error"].as_str().unwrap();
        assert!(!error.is_empty() && error.len() < 1000, "{error}");
        assert_eq!(fs::read_to_string(file(&lab)).unwrap(), before, "{state}");
    }
}

#[test]
fn a_broken_file_is_replaced_and_one_that_cannot_be_written_is_done_without() {
    let Some(lab) = lab() else { return };
    let known = json!(["13.2-RELEASE", "14.1-RELEASE"]);
    fs::create_dir(lab.dir().join("state")).unwrap();
    for broken in [
        "",
        "{",
        "[]",
        "{\"releases\": 1, \"end_of_life\": []}",
        "\u{0}\u{1}",
    ] {
        fs::write(file(&lab), broken).unwrap();
        let answer = open(&lab, json!({})).ask_for("listreleases");
        assert_eq!(answer["remote"], known, "{broken}");
        let written = common::parse(&fs::read_to_string(file(&lab)).unwrap());
        assert!(written["releases"].is_object(), "{written}");
    }
    let nowhere = json!({"state_directory": format!("{}/pools/x", lab.dir().display())});
    let plugin = open(&lab, nowhere);
    assert_eq!(plugin.ask_for("listreleases")["remote"], known);
    lab.set_network("down");
    assert_eq!(
        plugin.ask_for("listreleases")["remote"],
        known,
        "it is remembered"
    );
}

#[test]
fn end_of_life_comes_from_iocage_or_from_freebsds_page() {
    let Some(lab) = lab() else { return };
    lab.set_remote_releases(&["14.1-RELEASE", "10.3-RELEASE (EOL)", "9.3-RELEASE (EOL)"]);
    let marked = json!(["9.3-RELEASE (EOL)", "10.3-RELEASE (EOL)", "14.1-RELEASE"]);
    lab.set_unsupported("<td>releng/9.3</td><td>9.3-RELEASE</td><td>releng/10.3</td>");
    for version in ["0.9.9", "0.9.10", "1.0", "1.2", "1.13"] {
        lab.set_iocage_version(version);
        lab.forget_commands();
        let plugin = open(&lab, json!({"end_of_life_url": "https://example.org/eol"}));
        assert_eq!(refresh(&plugin)["remote"], marked, "{version}");
        let fetched: Vec<_> = lab
            .commands()
            .into_iter()
            .filter(|words| words[0] == "fetch")
            .collect();
        match version {
            "0.9.9" => assert_eq!(fetched, [[""; 0]; 0], "its own marks are enough"),
            _ => assert_eq!(fetched[0].last().unwrap(), "https://example.org/eol"),
        }
    }
    // Without the page what it said last stays.
    lab.set_unsupported("<html>504 Gateway Timeout</html>");
    let plugin = open(&lab, json!({"end_of_life_url": "https://example.org/eol"}));
    assert_eq!(refresh(&plugin)["remote"], marked);
}

#[test]
fn the_plugin_indexes_are_refreshed_by_jobs_and_merged() {
    let Some(lab) = lab() else { return };
    let pool = lab.pool(0);
    let id = "sysadm_iocage_refresh_plugins_github_com_freenas_iocage-ix-plugins_git";
    let entry = |name: &str| json!({"name": name, "description": "", "MANIFEST": "gitlab.json"});
    lab.publish(
        &json!({"gitlab": entry("GitLab"), "new": entry("New")}),
        &[(
            "gitlab.json",
            json!({"release": "13.2-RELEASE", "homepage": "https://about"}),
        )],
    );
    lab.set_index(pool, &json!({"gitlab": entry("Old GitLab")}).to_string());
    let plugin = open(&lab, json!({}));
    let answer = plugin.ask_for("listplugins");
    assert_eq!(answer["remote"]["gitlab"]["name"], "Old GitLab");
    assert!(answer.get("remote_error").is_none() && answer["remote_age_seconds"].is_string());
    assert!(
        !lab.commands().iter().any(|words| words[0] == "git"),
        "the index is not old"
    );

    // Once to clone, once to pull.
    for version in ["GitLab", "GitLab 2"] {
        lab.publish(&json!({"gitlab": entry(version), "new": entry("New")}), &[]);
        let answer = plugin.ask(&json!({"action": "listplugins", "refresh": true}));
        assert_eq!(answer["started_dispatcher_id"], json!([id]));
        assert_eq!(plugin.wait_for_job(id)["success"], "true");
        let remote = &plugin.ask_for("listplugins")["remote"];
        assert_eq!(remote["gitlab"]["name"], version);
        assert_eq!(
            remote["new"],
            json!({"id": "new", "name": "New", "description": ""})
        );
    }
    let detailed = plugin.ask(&json!({"action": "listplugins", "detail": true}));
    assert_eq!(
        detailed["remote"]["gitlab"],
        json!({"id": "gitlab", "name": "GitLab 2", "description": "",
               "release": "13.2-RELEASE", "homepage": "https://about"})
    );

    // An old index is refreshed by itself, but not with every request.
    lab.forget_commands();
    let plugin = open(&lab, json!({"catalogue_max_age_seconds": 0}));
    for _ in 0..3 {
        plugin.ask_for("listplugins");
    }
    plugin.wait_for_job(id);
    let gits = lab
        .commands()
        .iter()
        .filter(|words| words[0] == "git")
        .count();
    assert_eq!(gits, 1);

    // A second repository, with a plugin of its own and one that both have.
    let other = format!("file://{}/other", lab.dir().display());
    let clone = lab.iocage_root(pool).join(".plugins");
    let clone = clone.join(other[7..].replace(['/', '.'], "_"));
    fs::create_dir_all(&clone).unwrap();
    let index = json!({"own": entry("Own"), "gitlab": entry("Another")});
    fs::write(clone.join("INDEX"), index.to_string()).unwrap();
    let first = "https://github.com/freenas/iocage-ix-plugins.git";
    let plugin = open(&lab, json!({"plugin_repositories": [first, other]}));
    let remote = plugin.ask_for("listplugins")["remote"].clone();
    assert_eq!(remote["own"]["name"], "Own");
    assert_eq!(
        remote["gitlab"]["name"], "GitLab 2",
        "the first that has it"
    );
}

#[test]
fn seventy_four_plugins_are_listed_all() {
    let Some(lab) = lab() else { return };
    let mut index = json!({});
    for number in 0..74 {
        index[format!("plugin{number}")] = json!({
            "name": format!("Plugin {number}"), "description": "d", "official": number % 2 == 0,
            "icon": "https://icons/x.png", "primary_pkg": "p", "category": "c",
            "MANIFEST": "x.json", "license": "https://license",
        });
    }
    lab.set_index(lab.pool(0), &index.to_string());
    let plugin = Instance::of(&lab);
    let remote = plugin.ask(&json!({"action": "listplugins", "detail": true}))["remote"].clone();
    assert_eq!(remote.as_object().unwrap().len(), 74);
    assert_eq!(
        remote["plugin7"],
        json!({"id": "plugin7", "name": "Plugin 7", "description": "d", "official": "false",
               "icon": "https://icons/x.png", "primary_pkg": "p", "category": "c",
               "license": "https://license"})
    );
}

#[test]
fn a_plugin_jail_is_made_as_the_request_says() {
    let Some(lab) = lab() else { return };
    let pool = lab.pool(0);
    let index = json!({
        "gitlab": {"MANIFEST": "gitlab.json", "name": "GitLab"},
        "plexmediaserver": {"license": "https://www.plex.tv/terms"},
    });
    lab.set_index(pool, &index.to_string());
    lab.add_jail(pool, "taken", None, &json!({}));
    let plugin = open(
        &lab,
        json!({"commands": {
            "zfs": lab.dir().join("bin/zfs"), "zpool": lab.dir().join("bin/zpool"),
            "jls": lab.dir().join("bin/jls"), "iocage": lab.dir().join("bin/iocage"),
        }}),
    );
    let create = |more: Value| {
        let mut args = json!({"action": "createplugin", "plugin": "gitlab", "net_device": "re0"});
        for (key, value) in more.as_object().unwrap() {
            args[key] = value.clone();
        }
        lab.forget_commands();
        plugin.ask(&args)
    };
    let refused = |more: Value, expected: &str, parts: &[&str]| {
        let answer = create(more);
        let (code, message) = error_of(&answer);
        assert_eq!(code, expected, "{message}");
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        let ran = lab
            .commands()
            .iter()
            .any(|words| words[0] == "iocage" && words[1] == "fetch");
        assert!(!ran, "nothing is started");
    };
    let ip4 = "10.20.0.130/24";
    refused(
        json!({"plugin": "gitlap", "ip4": ip4}),
        "not_found",
        &["gitlap", "similar: gitlab"],
    );
    refused(
        json!({"name": "taken", "ip4": ip4}),
        "conflict",
        &["\"name\"", "taken"],
    );
    refused(
        json!({"dhcp": true, "ip4": ip4}),
        "invalid_argument",
        &["\"dhcp\""],
    );
    refused(
        json!({}),
        "invalid_argument",
        &["\"ip4\"", "\"ip6\"", "\"dhcp\""],
    );
    for (properties, part) in [
        (json!({"nonesuch": "1"}), "nonesuch"),
        (json!({"exec_prestart": "/bin/sh"}), "exec_prestart"),
        (json!({"notes": "a\nb"}), "notes"),
        (json!({"notes": {}}), "notes"),
        (json!({"notes": "a=b"}), "notes"),
        (json!({"boot": 1}), "boot"),
    ] {
        let more = json!({"ip4": ip4, "properties": properties});
        refused(more, "invalid_argument", &["\"properties\"", part]);
    }
    let plex = json!({"plugin": "plexmediaserver", "ip4": ip4});
    refused(
        plex,
        "invalid_argument",
        &["\"accept_license\"", "https://www.plex.tv/terms"],
    );

    let line_of = |job: &str| {
        plugin.wait_for_job(job);
        let lines = lab
            .commands()
            .into_iter()
            .filter(|words| words[0] == "iocage");
        lines
            .map(|words| words[1..].join(" "))
            .find(|line| line.starts_with("fetch"))
            .unwrap()
    };
    let job = "sysadm_iocage_fetch_plugin_gitlab";
    let started = json!({ "started_dispatcher_id": job });
    let all = json!({
        "name": "lab", "ip4": ip4, "ip6": "2001:db8::7", "boot": false,
        "properties": {"notes": "my lab", "allow_raw_sockets": true, "priority": 5},
    });
    assert_eq!(create(all), started);
    let ips = "ip4_addr=re0|10.20.0.130/24 ip6_addr=re0|2001:db8::7";
    assert_eq!(
        line_of(job),
        format!(
            "fetch -P gitlab -n lab vnet=0 {ips} boot=0 allow_raw_sockets=1 notes=my lab priority=5"
        )
    );
    assert_eq!(create(json!({"dhcp": true, "boot": true})), started);
    assert_eq!(
        line_of(job),
        "fetch -P gitlab -n gitlab vnet=1 bpf=1 dhcp=1 vnet_default_interface=re0 boot=1"
    );
    create(json!({"plugin": "plexmediaserver", "ip4": ip4, "accept_license": true}));
    let line = line_of("sysadm_iocage_fetch_plugin_plexmediaserver");
    assert!(
        line.starts_with("fetch -P plexmediaserver -n plexmediaserver --accept "),
        "{line}"
    );

    // An old iocage cannot do all that, and says so before anything is started.
    lab.set_iocage_version("1.1");
    refused(
        json!({"name": "other", "ip4": ip4}),
        "unavailable",
        &["older than 1.2"],
    );
}

#[test]
fn what_uses_the_network_gets_the_configured_environment() {
    let Some(lab) = Lab::or_skip(1) else { return };
    lab.furnish();
    let note = |command: &&str| {
        let script = format!("echo \"${{https_proxy:-none}}\" >>\"$lab/proxies-{command}\"");
        lab.set_fault(command, Some(&script));
    };
    ["zfs", "iocage", "fetch", "git"].iter().for_each(note);
    let mut config = lab.config();
    config["environment"] = json!({"https_proxy": "http://10.0.0.1:3128"});
    let plugin = Instance::open(&config, std::ptr::null());
    plugin.ask_for("listreleases");
    let answer = plugin.ask(&json!({"action": "listplugins", "refresh": true}));
    let job = answer["started_dispatcher_id"][0].as_str().unwrap();
    plugin.wait_for_job(job);
    for command in ["iocage", "fetch", "git"] {
        let path = lab.dir().join(format!("proxies-{command}"));
        let seen = std::fs::read_to_string(path).unwrap();
        assert!(
            seen.lines().all(|line| line == "http://10.0.0.1:3128"),
            "{command}: {seen}"
        );
    }
    let seen = std::fs::read_to_string(lab.dir().join("proxies-zfs")).unwrap();
    assert!(seen.lines().all(|line| line == "none"), "{seen}");
}
