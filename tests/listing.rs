//! `listjails`, `listtemplates`, `listplugins` and `listreleases` on 300 jails of all kinds: none
//! is left out, none merged, and nothing changes by looking.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use common::{all_strings, error_of, looking, processes, Instance};
use serde_json::{json, Value};
use sysadm_iocage_lab::{Lab, INDEX_CLONE};

const RELEASE: &str = "13.2-RELEASE";

/// A lab with 300 jails, and what should be listed of each, by dataset.
struct Populated {
    lab: Lab,
    jails: BTreeMap<String, Value>,
    templates: BTreeMap<String, Value>,
    next_jid: u32,
}

impl Populated {
    /// Makes a jail and notes what is to be listed; `listed` has what differs from the usual.
    fn jail(&mut self, name: &str, origin: Option<&str>, config: Value, listed: Value) {
        let pool = self.lab.pool(0).to_string();
        let mut full = json!({ "release": RELEASE });
        merge(&mut full, &config);
        self.lab.add_jail(&pool, name, origin, &full);
        let mut expected = usual(name);
        merge(&mut expected, &listed);
        self.jails.insert(name.into(), expected);
    }

    fn template(&mut self, name: &str) {
        let pool = self.lab.pool(0).to_string();
        let config = json!({ "release": RELEASE, "type": "template", "template": 1 });
        self.lab
            .add_template(&pool, name, Some(&format!("releases/{RELEASE}")), &config);
        let mut expected = usual(name);
        merge(&mut expected, &json!({ "type": "template" }));
        self.templates.insert(name.into(), expected);
    }

    /// Starts a jail, and notes it.
    fn start(&mut self, name: &str) -> u32 {
        self.next_jid += 1;
        let jid = self.next_jid;
        let root = self
            .lab
            .iocage_root(self.lab.pool(0))
            .join("jails")
            .join(name)
            .join("root");
        self.lab.start(jid, name, &root);
        let expected = self.jails.get_mut(name).unwrap();
        merge(expected, &json!({ "jid": jid.to_string(), "state": "up" }));
        jid
    }
}

fn merge(into: &mut Value, from: &Value) {
    for (key, value) in from.as_object().unwrap() {
        into[key] = value.clone();
    }
}

fn usual(name: &str) -> Value {
    json!({
        "jid": "-", "uuid": name, "boot": "off", "state": "down", "tag": name, "type": "jail",
        "release": RELEASE, "ip4": "-", "ip6": "-", "template": "-",
    })
}

/// How many jails and templates there are; fewer where every command takes long (tests/openzfs).
fn how_many() -> usize {
    std::env::var("JAILS").map_or(300, |number| number.parse().unwrap())
}

fn populate() -> Option<Populated> {
    let lab = Lab::or_skip(2)?;
    let mut all = Populated {
        lab,
        jails: BTreeMap::new(),
        templates: BTreeMap::new(),
        next_jid: 4,
    };
    let pool = all.lab.pool(0).to_string();
    all.lab.lay_out(&pool);
    all.lab.add_release(&pool, RELEASE);
    all.lab.mark(&pool, true);
    for template in ["base", "my-release-base", "dotted.base"] {
        all.template(template);
    }
    let from_release = format!("releases/{RELEASE}");
    let clone = Some(from_release.as_str());

    // The jail called 5 beside a running jail with jid 5.
    all.jail("five-runs", clone, json!({}), json!({}));
    assert_eq!(all.start("five-runs"), 5);
    all.jail("5", clone, json!({}), json!({}));
    // Names that are one name to the kernel; the first runs.
    all.jail("a.b", clone, json!({}), json!({}));
    all.jail("a_b", clone, json!({}), json!({}));
    all.start("a.b");
    all.jail("www.example.org", clone, json!({}), json!({}));
    all.start("www.example.org");
    all.jail("root", clone, json!({}), json!({}));
    // A jail that claims another's name (a dataset cloned by hand).
    all.jail(
        "copied-by-hand",
        clone,
        json!({"host_hostuuid": "5"}),
        json!({"uuid": "5", "tag": "5"}),
    );
    // Where a jail came from.
    all.jail(
        "from-base",
        Some("templates/base"),
        json!({}),
        json!({"template": "base"}),
    );
    let odd = json!({"template": "my-release-base"});
    all.jail(
        "from-odd-template",
        Some("templates/my-release-base"),
        json!({}),
        odd,
    );
    all.jail(
        "clone",
        Some("jails/from-base"),
        json!({}),
        json!({"template": "from-base"}),
    );
    all.jail("thick", None, json!({}), json!({}));
    all.jail("promoted", clone, json!({}), json!({}));
    // Plugins.
    let plugin = |kind: &str, name: &str| json!({"type": kind, "plugin_name": name});
    let tagged = |kind: &str, tag: &str| json!({"type": kind, "tag": tag});
    all.jail(
        "gitlab",
        clone,
        plugin("pluginv2", "gitlab"),
        tagged("pluginv2", "gitlab"),
    );
    all.jail(
        "gitlab_1",
        clone,
        plugin("plugin", "gitlab"),
        tagged("plugin", "gitlab"),
    );
    all.start("gitlab_1");
    all.jail(
        "plex_2",
        clone,
        plugin("plugin", "none"),
        tagged("plugin", "plex"),
    );
    // Addresses.
    let dhcp = json!({"dhcp": 1, "vnet": 1, "ip4_addr": "none"});
    all.jail(
        "dhcp-down",
        clone,
        dhcp.clone(),
        json!({"ip4": "DHCP (not running)"}),
    );
    all.jail("dhcp-up", clone, dhcp, json!({"ip4": "DHCP"}));
    all.start("dhcp-up");
    all.jail(
        "dhcp-word",
        clone,
        json!({"ip4_addr": "DHCP"}),
        json!({"ip4": "DHCP"}),
    );
    let several = "re0|10.0.0.1/24,re0|10.0.0.2/32";
    let addresses = json!({"ip4_addr": several, "ip6_addr": "re0|2001:db8::7/64"});
    all.jail(
        "several",
        clone,
        addresses,
        json!({"ip4": several, "ip6": "re0|2001:db8::7/64"}),
    );
    // Old tags.
    all.jail(
        "tagged",
        clone,
        json!({"tag": "my tag"}),
        json!({"tag": "my tag"}),
    );
    // Each spelling of a boolean.
    let on = [
        json!(1),
        json!("1"),
        json!("on"),
        json!("yes"),
        json!("true"),
        json!(true),
    ];
    let off = [
        json!(0),
        json!("0"),
        json!("off"),
        json!("no"),
        json!("false"),
        json!(false),
    ];
    for (index, (on, off)) in on.into_iter().zip(off).enumerate() {
        all.jail(
            &format!("on{index}"),
            clone,
            json!({"boot": on}),
            json!({"boot": "on"}),
        );
        all.jail(
            &format!("off{index}"),
            clone,
            json!({"boot": off}),
            json!({"boot": "off"}),
        );
    }
    // Configurations that cannot be read.
    let not_known = json!({
        "state": "CORRUPT", "type": "N/A", "release": "N/A", "ip4": "N/A", "ip6": "N/A",
    });
    for (name, content) in [
        ("corrupt", Some("{\"boot\": 1,")),
        ("empty", Some("")),
        ("list", Some("[]")),
        ("binary", Some("\0\u{1}")),
        ("no-config", None),
    ] {
        all.jail(name, clone, json!({}), not_known.clone());
        let file = all.lab.config_file(&pool, name);
        match content {
            Some(content) => fs::write(file, content).unwrap(),
            None => fs::remove_file(file).unwrap(),
        }
    }
    let dataset = |name: &str| format!("{pool}/iocage/jails/{name}");
    // A dataset that is not mounted, and a promoted one.
    let mut unmounted = not_known;
    unmounted["state"] = json!("unmounted");
    all.jail("unmounted", clone, json!({}), unmounted);
    for part in ["/root", ""] {
        all.lab
            .zfs(&["unmount", &format!("{}{part}", dataset("unmounted"))]);
    }
    all.lab
        .zfs(&["promote", &format!("{}/root", dataset("promoted"))]);
    all.lab
        .zfs(&["promote", &format!("{pool}/iocage/releases/{RELEASE}/root")]);
    // A jail with a dataset of its own inside.
    all.jail("with-data", clone, json!({"jail_zfs": 1}), json!({}));
    all.lab
        .zfs(&["create", &format!("{}/data", dataset("with-data"))]);

    let mut number = 0;
    while all.jails.len() + all.templates.len() < how_many() {
        number += 1;
        let name = format!("jail{number}");
        let ip4 = format!("re0|10.1.{}.{}", number / 200, number % 200);
        all.jail(
            &name,
            clone,
            json!({"ip4_addr": ip4, "boot": 1}),
            json!({"ip4": ip4, "boot": "on"}),
        );
        if number % 3 == 0 {
            all.start(&name);
        }
    }

    // The second pool: jails of the same names, one of them still running, and a plugin.
    let other = all.lab.pool(1).to_string();
    all.lab.lay_out(&other);
    for name in ["thick", "elsewhere"] {
        all.lab
            .add_jail(&other, name, None, &json!({"release": RELEASE}));
    }
    let root = all.lab.iocage_root(&other).join("jails/thick/root");
    all.lab.start(4000, "thick", &root);
    all.lab.start(4001, "not-iocages", Path::new("/srv/jail"));

    all.lab
        .set_index(&pool, include_str!("data/plugin-index.json"));
    Some(all)
}

/// Everything that reading could change: each property of each dataset, each file's metadata and
/// content.
fn fingerprint(lab: &Lab) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for index in 0..2 {
        let pool = lab.pool(index);
        let properties = lab.zfs(&[
            "get",
            "-H",
            "-r",
            "-o",
            "name,property,value,source",
            "all",
            pool,
        ]);
        for line in properties.lines() {
            let (key, value) = line.split_at(line.match_indices('\t').nth(1).unwrap().0);
            // What ZFS itself goes on counting while it writes out what was written before.
            let counted = [
                "used",
                "referenced",
                "available",
                "compressratio",
                "refcompressratio",
                "written",
                "logicalused",
                "logicalreferenced",
            ];
            let property = key.split('\t').nth(1).unwrap();
            if !counted.iter().any(|counted| property.starts_with(counted)) {
                all.insert(key.into(), value.into());
            }
        }
        walk(&lab.mountpoint(pool), &mut all);
    }
    all
}

fn walk(folder: &Path, all: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let data = fs::symlink_metadata(&path).unwrap();
        let mut seen = format!(
            "{} {} {}",
            data.mode(),
            data.mtime_nsec(),
            data.ctime_nsec()
        );
        if data.is_dir() {
            walk(&path, all);
        } else {
            seen += &String::from_utf8_lossy(&fs::read(&path).unwrap());
        }
        all.insert(path.display().to_string(), seen);
    }
}

#[test]
fn three_hundred_jails_are_listed_and_nothing_changes_by_looking() {
    let Some(mut all) = populate() else { return };
    let plugin = Instance::of(&all.lab);
    let pool = all.lab.pool(0).to_string();
    let before = fingerprint(&all.lab);
    assert!(before.len() > how_many() * 33, "{}", before.len());

    check_jails(&plugin, &all);
    check_plugins(&plugin, &all);
    let templates = &plugin.ask_for("listtemplates")["templates"];
    assert_eq!(templates, &json!(all.templates));
    let releases = plugin.ask_for("listreleases");
    assert_eq!(releases["local"], json!([RELEASE]));
    assert_eq!(releases["remote"], json!(["13.2-RELEASE", "14.1-RELEASE"]));
    assert_eq!(
        plugin.ask_for("activatestatus"),
        json!({"activated": "true", "pool": pool})
    );
    for action in looking() {
        let answer = plugin.ask(&json!({"action": action, "detail": true, "verify": true}));
        assert!(
            answer.get("error").is_none() && all_strings(&answer),
            "{answer}"
        );
    }
    assert_unchanged(&before, &all.lab);

    // Without defaults.json: nothing in it was needed.
    let defaults = all.lab.iocage_root(&pool).join("defaults.json");
    fs::remove_file(&defaults).unwrap();
    check_jails(&plugin, &all);
    // With another default.
    fs::write(&defaults, json!({"boot": "yes"}).to_string()).unwrap();
    let mut with_default: Vec<&mut Value> = all.jails.values_mut().collect();
    let listed = &plugin.ask_for("listjails")["jails"];
    with_default.retain(|jail| jail["state"] == "down" || jail["state"] == "up");
    for jail in with_default {
        let key = if jail["jid"] == "-" {
            &jail["uuid"]
        } else {
            &jail["jid"]
        };
        let explicit = jail["uuid"].as_str().unwrap().starts_with("off");
        let boot = &listed[key.as_str().unwrap()]["boot"];
        assert_eq!(boot, if explicit { "off" } else { "on" }, "{jail}");
    }

    // With no pool active nothing is listed, nothing activated, and iocage not even run.
    all.lab.mark(&pool, false);
    let before = fingerprint(&all.lab);
    all.lab.forget_commands();
    for action in looking().chain(["activatepool"]) {
        if ["activatestatus", "listjobs"].contains(&action) {
            continue;
        }
        assert_eq!(
            error_of(&plugin.ask_for(action)).0,
            "not_active",
            "{action}"
        );
    }
    assert_eq!(
        plugin.ask_for("activatestatus"),
        json!({"activated": "false"})
    );
    assert_unchanged(&before, &all.lab);
    assert!(all
        .lab
        .commands()
        .iter()
        .all(|words| words[0] == "jls" || words[1] == "list"));
}

fn assert_unchanged(before: &BTreeMap<String, String>, lab: &Lab) {
    let after = fingerprint(lab);
    let changed: Vec<_> = after
        .iter()
        .filter(|(key, value)| before.get(*key) != Some(value))
        .collect();
    assert!(
        changed.is_empty() && before.len() == after.len(),
        "{changed:?}"
    );
}

fn check_jails(plugin: &Instance, all: &Populated) {
    let answer = plugin.ask_for("listjails");
    assert!(all_strings(&answer));
    let listed = answer["jails"].as_object().unwrap();
    assert_eq!(listed.len(), all.jails.len());
    let mut left = all.jails.clone();
    // Two that are called 5 lose their key to the jail with that jid, and get their own.
    for name in ["5", "copied-by-hand"] {
        assert_eq!(
            Some(&listed[&format!("jails/{name}")]),
            left.remove(name).as_ref()
        );
    }
    for (name, expected) in left {
        let key = if expected["jid"] == "-" {
            &expected["uuid"]
        } else {
            &expected["jid"]
        };
        assert_eq!(listed.get(key.as_str().unwrap()), Some(&expected), "{name}");
    }
}

fn check_plugins(plugin: &Instance, all: &Populated) {
    let answer = plugin.ask_for("listplugins");
    assert!(all_strings(&answer) && answer.get("remote_error").is_none());
    assert_eq!(answer["remote"].as_object().unwrap().len(), 3);
    assert_eq!(
        answer["remote"]["jenkins"],
        json!({"id": "jenkins", "name": "Jenkins", "description": "Jenkins CI"})
    );
    let running = &all.jails["gitlab_1"];
    let running_key = format!("gitlab_{}", running["jid"].as_str().unwrap());
    let expected = json!({
        "gitlab_gitlab": all.jails["gitlab"],
        running_key: running,
        "plex_plex_2": all.jails["plex_2"],
    });
    assert_eq!(answer["local"], expected);
}

#[test]
fn an_index_that_is_missing_or_broken_is_said_and_the_local_part_stays() {
    let Some(lab) = Lab::or_skip(1) else { return };
    let pool = lab.pool(0);
    let plugin = Instance::of(&lab);
    lab.mark(pool, true);
    let empty = json!({"jails": {}});
    assert_eq!(
        plugin.ask_for("listjails"),
        empty,
        "iocage has never run here"
    );
    let answer = plugin.ask_for("listreleases");
    assert_eq!(
        (&answer["local"], &answer["remote"]),
        (&json!([]), &json!([]))
    );
    assert!(
        answer["remote_error"]
            .as_str()
            .unwrap()
            .contains("not there yet"),
        "{answer}"
    );

    lab.lay_out(pool);
    lab.add_jail(pool, "plex", None, &json!({"type": "plugin"}));
    let broken = |part: &str| {
        let answer = plugin.ask_for("listplugins");
        assert_eq!(answer["remote"], json!({}));
        assert_eq!(answer["local"]["plex_plex"]["uuid"], "plex");
        assert!(
            answer["remote_error"].as_str().unwrap().contains(part),
            "{answer}"
        );
    };
    broken("plugin index");
    let create = |plugin: &Instance| {
        plugin.ask(&json!({
            "action": "createplugin", "plugin": "plex", "net_device": "re0", "ip4": "10.0.0.5",
        }))
    };
    for index in ["{", "[]", ""] {
        lab.set_index(pool, index);
        broken("plugin index");
        // It may have the plugin, and a license for it.
        let (code, message) = (
            create(&plugin)["code"].clone(),
            create(&plugin)["error"].clone(),
        );
        assert_eq!(code, "unavailable", "{message}");
        assert!(
            message.as_str().unwrap().contains("plugin index"),
            "{message}"
        );
    }
    fs::remove_file(lab.iocage_root(pool).join(INDEX_CLONE).join("INDEX")).unwrap();
    fs::create_dir(lab.iocage_root(pool).join(INDEX_CLONE).join("INDEX")).unwrap();
    broken("plugin index");

    // Where iocage up to 1.1 has it.
    lab.set_iocage_version("1.1");
    lab.set_index(pool, include_str!("data/plugin-index.json"));
    assert_eq!(
        plugin.ask_for("listplugins")["remote"]
            .as_object()
            .unwrap()
            .len(),
        3
    );
}

#[test]
fn a_command_that_hangs_is_ended_and_told_and_the_next_request_is_right() {
    let Some(lab) = Lab::or_skip(1) else { return };
    let pool = lab.pool(0);
    lab.lay_out(pool);
    lab.mark(pool, true);
    lab.add_jail(pool, "web", None, &json!({}));
    let mut config = lab.config();
    config["command_timeout_seconds"] = json!(1);
    let plugin = Instance::open(&config, std::ptr::null());
    // Deaf to TERM, and with a child of its own.
    let hang = format!("trap '' TERM; sleep 10{} & wait", std::process::id());
    for (command, action) in [
        ("zfs", "activatestatus"),
        ("zfs", "listjails"),
        ("jls", "listjails"),
    ] {
        lab.set_fault(command, Some(&hang));
        let answer = plugin.ask_for(action);
        let (code, message) = error_of(&answer);
        assert!(code == "timeout" && message.contains(command), "{message}");
        lab.set_fault(command, None);
        let sleep = format!("sleep 10{}", std::process::id());
        assert_eq!(processes(&sleep), [""; 0], "{command}");
        assert_eq!(plugin.ask_for("listjails")["jails"]["web"]["state"], "down");
    }
    for (fault, part) in [("printf half; kill -9 $$", "half"), ("echo '{'", "JSON")] {
        lab.set_fault("jls", Some(&format!("{fault}; exit 0")));
        let answer = plugin.ask_for("listjails");
        assert_eq!(error_of(&answer).0, "failed", "{part}: {answer}");
    }
}

#[test]
fn requests_that_come_at_once_share_their_commands_and_none_gets_an_older_answer() {
    let Some(lab) = Lab::or_skip(1) else { return };
    let pool = lab.pool(0);
    lab.lay_out(pool);
    lab.mark(pool, true);
    lab.add_jail(pool, "web", None, &json!({}));
    let plugin = Instance::of(&lab);
    lab.forget_commands();
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                assert_eq!(plugin.ask_for("listjails")["jails"]["web"]["state"], "down");
            });
        }
    });
    let run = lab.commands().len();
    assert!(
        (3..64 * 3 / 4).contains(&run),
        "{run} commands for 64 requests"
    );

    // While one is being answered the jail starts; who asks after that is told so.
    lab.set_fault("zfs", Some("sleep 0.3"));
    std::thread::scope(|scope| {
        scope.spawn(|| plugin.ask_for("listjails"));
        std::thread::sleep(std::time::Duration::from_millis(450));
        lab.set_running(&[(9, "web")]);
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(plugin.ask_for("listjails")["jails"]["9"]["state"], "up"));
        }
    });
}
