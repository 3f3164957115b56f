//! Jails are made and cloned by jobs: each with what was asked, or not at all.

mod common;

use std::collections::{BTreeSet, HashMap};
use std::ffi::{c_char, c_void};
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use common::acting::patiently;
use common::dispatcher::{text, words};
use common::killed::{ask_aside, be_the_host};
use common::{error_of, eventually, parse, Instance};
use serde_json::{json, Value};
use sysadm_iocage::ffi::SysadmIocageHost;
use sysadm_iocage_lab::Lab;

const RELEASE: &str = "13.2-RELEASE";

struct Scene {
    lab: Lab,
    plugin: Instance,
}

impl Scene {
    /// A pool with a release, the template base, and the jails web (with addresses) and a (with texts
    /// that have its name in them).
    fn new() -> Option<Self> {
        let lab = Lab::or_skip(1)?;
        let pool = lab.pool(0);
        lab.lay_out(pool);
        lab.mark(pool, true);
        lab.add_release(pool, RELEASE);
        let release = format!("releases/{RELEASE}");
        let of = |more: Value| {
            let mut all = json!({"release": "13.2-RELEASE-p9", "cloned_release": RELEASE});
            let more = more.as_object().unwrap().clone();
            all.as_object_mut().unwrap().extend(more);
            all
        };
        let template = of(json!({"type": "template", "template": 1}));
        lab.add_template(pool, "base", Some(&release), &template);
        let web = of(json!({
            "ip4_addr": "re0|10.20.0.10/24", "vnet0_mac": "02ff60000000 02ff60000001", "boot": 1,
        }));
        lab.add_jail(pool, "web", Some(&release), &web);
        let a = of(json!({
            "host_hostname": "a.example", "notes": "banana", "jail_zfs_dataset": "iocage/jails/a/data",
        }));
        lab.add_jail(pool, "a", Some(&release), &a);
        let plugin = Instance::of(&lab);
        let scene = Scene { lab, plugin };
        // Something that can be mounted, whatever jail it is.
        let data = scene.lab.dir().join("data");
        for folder in [&data, &scene.folder("a/root/mnt")] {
            fs::create_dir(folder).unwrap();
        }
        let at = scene.folder("a/root/mnt");
        let fstab = format!("{}\t{}\tnullfs\tro\t0\t0\n", data.display(), at.display());
        fs::write(scene.folder("a/fstab"), fstab).unwrap();
        Some(scene)
    }

    fn folder(&self, path: &str) -> PathBuf {
        let root = self.lab.iocage_root(self.lab.pool(0));
        root.join("jails").join(path)
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.folder(path)).unwrap()
    }

    fn config(&self, jail: &str) -> Value {
        self.lab.config_of(self.lab.pool(0), jail)
    }

    /// All datasets and snapshots, without what is above iocage's.
    fn all(&self) -> BTreeSet<String> {
        let root = format!("{}/iocage/", self.lab.pool(0));
        let all = self.lab.datasets(&[self.lab.pool(0)]);
        let names = all.iter().filter_map(|name| name.strip_prefix(&root));
        names.map(String::from).collect()
    }

    fn origin(&self, jail: &str) -> String {
        let pool = self.lab.pool(0);
        let root = format!("{pool}/iocage/jails/{jail}/root");
        let origin = self.lab.zfs(&["list", "-H", "-o", "origin", &root]);
        origin.trim().replace(&format!("{pool}/iocage/"), "")
    }

    /// Starts a job, and gives its last event.
    fn run(&self, args: &Value) -> Value {
        let id = started(&self.plugin.ask(args), args);
        self.plugin.wait_for_job(&id)
    }

    fn destroy(&self, jail: &str, force: bool) {
        let args = json!({"action": "destroyjail", "jail": jail, "force": force});
        let answer = patiently(|| self.plugin.ask(&args));
        assert_eq!(
            answer["success"],
            format!("jail {jail} destroyed."),
            "{answer}"
        );
    }

    /// The command lines of iocage that make something, since the last time.
    fn makes(&self) -> Vec<String> {
        let commands = self.lab.commands();
        self.lab.forget_commands();
        let makes = commands.iter().filter(|line| {
            line[0] == "iocage" && ["create", "clone", "fetch"].contains(&line[1].as_str())
        });
        makes.map(|line| line[1..].join(" ")).collect()
    }

    /// That this is refused, and nothing has changed.
    fn refused(&self, args: &Value, code: &str, part: &str) {
        let before = self.all();
        let answer = self.plugin.ask(args);
        let (got, message) = error_of(&answer);
        assert_eq!(got, code, "{args}: {message}");
        assert!(message.contains(part), "{args}: {message}");
        assert_eq!(self.makes(), [""; 0], "{args}");
        assert_eq!(self.all(), before, "{args}");
        let jobs = self.plugin.ask_for("listjobs");
        assert_eq!(jobs["jobs"], json!({}), "{args}");
    }
}

fn started(answer: &Value, args: &Value) -> String {
    let id = answer["started_dispatcher_id"].as_str();
    id.unwrap_or_else(|| panic!("{args}: {answer}")).into()
}

fn create(name: &str, more: Value) -> Value {
    with(
        json!({"action": "createjail", "name": name, "release": RELEASE}),
        more,
    )
}

fn clone(jail: &str, name: &str, more: Value) -> Value {
    with(
        json!({"action": "clonejail", "jail": jail, "name": name}),
        more,
    )
}

/// Null takes an argument away.
fn with(mut args: Value, more: Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        match value {
            Value::Null => drop(args.as_object_mut().unwrap().remove(key)),
            value => args[key] = value.clone(),
        }
    }
    args
}

fn shared(ip4: &str) -> Value {
    json!({"net_device": "re0", "ip4": ip4})
}

#[test]
fn a_jail_is_made_of_a_release_a_template_or_nothing() {
    let Some(scene) = Scene::new() else { return };
    let before = scene.all();
    let of_release = format!("releases/{RELEASE}/root@new");
    let template = json!({"release": null, "template": "base"});
    let empty = json!({"release": null, "empty": true});
    for (more, words, origin) in [
        (json!({}), "-r 13.2-RELEASE", &*of_release),
        (json!({"thick": true}), "-r 13.2-RELEASE -T", "-"),
        (json!({"basejail": true}), "-r 13.2-RELEASE -b", "-"),
        (
            json!({"basejail": true, "thick": false}),
            "-r 13.2-RELEASE -b -B",
            &of_release,
        ),
        (template.clone(), "-t base", "templates/base/root@new"),
        (with(template, json!({"thick": true})), "-t base -T", "-"),
        (empty, "-e", "-"),
    ] {
        let args = create("new", more.clone());
        let event = scene.run(&args);
        assert_eq!(event["success"], "true", "{args}: {event}");
        assert_eq!(event["job_id"], "sysadm_iocage_create_jail_new");
        assert_eq!(scene.makes(), [format!("create -n new {words}")]);
        assert_eq!(scene.origin("new"), origin, "{args}");
        let listed = &scene.plugin.ask_for("listjails")["jails"]["new"];
        assert_eq!(listed["state"], "down", "{args}: {listed}");
        assert_eq!(
            listed["template"],
            if words == "-t base" { "base" } else { "-" }
        );
        let mounts = scene.text("new/fstab").lines().count();
        assert_eq!(mounts > 0, more["basejail"] == true, "{args}");
        scene.destroy("new", false);
        assert_eq!(scene.all(), before, "{args}");
    }
}

#[test]
fn a_new_jail_has_the_network_and_the_properties_that_are_asked_for() {
    let Some(scene) = Scene::new() else { return };
    let more = json!({
        "net_device": "re0", "ip4": "10.20.0.77/24", "ip6": "2001:db8::77/64", "boot": true,
        "properties": {"notes": "hunter2", "allow_raw_sockets": true},
    });
    let event = scene.run(&create("new", more));
    assert_eq!(event["success"], "true", "{event}");
    assert!(!event.to_string().contains("hunter2"), "{event}");
    let words = "create -n new -r 13.2-RELEASE boot=1 vnet=0 ip4_addr=re0|10.20.0.77/24 \
                 ip6_addr=re0|2001:db8::77/64 allow_raw_sockets=1 notes=hunter2";
    assert_eq!(scene.makes(), [words]);
    let config = scene.config("new");
    for (key, value) in [
        ("ip4_addr", json!("re0|10.20.0.77/24")),
        ("notes", json!("hunter2")),
        ("boot", json!(1)),
        ("vnet", json!(0)),
    ] {
        assert_eq!(config[key], value, "{key}: {config}");
    }
    assert!(scene.lab.jid_of("new").is_some(), "boot starts it");

    let more = json!({"net_device": "re0", "dhcp": true});
    assert_eq!(scene.run(&create("roaming", more))["success"], "true");
    let words = "create -n roaming -r 13.2-RELEASE vnet=1 bpf=1 dhcp=1 vnet_default_interface=re0";
    assert_eq!(scene.makes(), [words]);
    // Without an argument for it, a network stack of its own.
    let properties = json!({"vnet": true, "ip4_addr": "vnet0|10.20.0.78/24"});
    let event = scene.run(&create("own", json!({"properties": properties})));
    assert_eq!(event["success"], "true", "{event}");
    assert_eq!(scene.config("own")["ip4_addr"], "vnet0|10.20.0.78/24");
    // What all jails have is no reason to make one without an address.
    let root = scene.lab.iocage_root(scene.lab.pool(0));
    let defaults = json!({"vnet": 1, "bpf": 1, "dhcp": 1}).to_string();
    fs::write(root.join("defaults.json"), defaults).unwrap();
    scene.makes();
    assert_eq!(
        scene.run(&create("fixed", shared("10.20.0.79")))["success"],
        "true"
    );
    let words = "create -n fixed -r 13.2-RELEASE vnet=0 bpf=0 dhcp=0 ip4_addr=re0|10.20.0.79";
    assert_eq!(scene.makes(), [words]);
}

#[test]
fn what_cannot_be_made_is_refused_before_anything_is_started() {
    let Some(scene) = Scene::new() else { return };
    let (lab, pool) = (&scene.lab, scene.lab.pool(0));
    let snapshot = |of: &str| lab.zfs(&["snapshot", &format!("{pool}/iocage/{of}")]);
    snapshot("releases/13.2-RELEASE/root@kept");
    snapshot("templates/base@kept");
    snapshot("jails/a/root@kept");
    lab.add_release(pool, "15.0-RELEASE");
    lab.add_template(
        pool,
        "13.1-RELEASE-base",
        None,
        &json!({"type": "template", "template": 1}),
    );
    lab.add_jail(pool, "other", None, &json!({}));
    lab.add_jail(
        pool,
        "claims",
        Some("jails/a"),
        &json!({"host_hostuuid": "else"}),
    );
    lab.start(77, "foreign", &lab.dir().join("elsewhere"));
    lab.start(78, "web", &scene.folder("web/root"));
    fs::create_dir(scene.folder("in.way")).unwrap();
    let template = |name: &str| json!({"release": null, "template": name});
    let properties = |all: Value| json!({"properties": all});
    let no_release = json!({"release": null});
    for (args, code, part) in [
        // The name.
        (create("web", json!({})), "conflict", "the jail web exists"),
        (
            create("base", json!({})),
            "conflict",
            "the template base exists",
        ),
        (create("SMALL", json!({})), "invalid_argument", "\"name\""),
        (create("foreign", json!({})), "conflict", "jid 77"),
        (
            create("in_way", json!({})),
            "conflict",
            "in.way is in the way",
        ),
        (
            clone("a", "in_way", json!({})),
            "conflict",
            "in.way is in the way",
        ),
        (clone("a", "a", json!({})), "conflict", "the jail a exists"),
        // What it is made from.
        (create("new", no_release), "invalid_argument", "exactly one"),
        (
            create("new", json!({"empty": true})),
            "invalid_argument",
            "exactly one",
        ),
        (
            create("new", json!({"release": "12.4-RELEASE"})),
            "not_found",
            "not fetched",
        ),
        (
            create("new", json!({"release": "15.0-RELEASE"})),
            "unavailable",
            "newer than the host",
        ),
        (create("new", template("nosuch")), "not_found", "nosuch"),
        (create("new", template("web")), "not_found", "web"),
        (
            create("new", template("13.1-RELEASE-base")),
            "unavailable",
            "no /etc/hosts",
        ),
        (
            create(
                "new",
                with(template("13.1-RELEASE-base"), json!({"basejail": true})),
            ),
            "invalid_argument",
            "for a release",
        ),
        (
            clone("base", "new", json!({})),
            "invalid_argument",
            "createjail makes",
        ),
        (clone("nosuch", "new", json!({})), "not_found", "nosuch"),
        (clone("web", "new", json!({})), "in_use", "is running"),
        (
            clone("other", "new", json!({})),
            "unavailable",
            "no /etc/hosts",
        ),
        (
            clone("claims", "new", json!({})),
            "conflict",
            "says that it is",
        ),
        // A snapshot that iocage would destroy.
        (
            create("kept", json!({})),
            "conflict",
            "root@kept exists already",
        ),
        (
            create("kept", template("base")),
            "conflict",
            "base@kept exists already",
        ),
        (
            clone("a", "kept", json!({})),
            "conflict",
            "root@kept exists already",
        ),
        // Addresses.
        (
            create("new", shared("10.20.0.10")),
            "conflict",
            "jails/web has an address",
        ),
        (
            create(
                "new",
                properties(json!({"vnet1_mac": "02:ff:60:00:00:01,02ff60000003"})),
            ),
            "conflict",
            "jails/web has an address",
        ),
        (
            clone("a", "new", properties(json!({"ip4_addr": "10.20.0.10"}))),
            "conflict",
            "jails/web has an address",
        ),
        (
            create("new", json!({"ip4": "10.0.0.1"})),
            "invalid_argument",
            "net_device",
        ),
        // Properties.
        (
            create("new", properties(json!({"boot": true}))),
            "invalid_argument",
            "\"boot\"",
        ),
        (
            clone("a", "new", properties(json!({"boot": true}))),
            "invalid_argument",
            "\"boot\"",
        ),
        (
            create("new", properties(json!({"template": true}))),
            "invalid_argument",
            "template",
        ),
        (
            create("new", properties(json!({"host_hostuuid": "x"}))),
            "invalid_argument",
            "iocage's own",
        ),
        (
            clone("a", "new", properties(json!({"mountpoint": "/x"}))),
            "invalid_argument",
            "iocage's own",
        ),
        (
            create("new", properties(json!({"exec_poststart": "x"}))),
            "invalid_argument",
            "on the host",
        ),
        (
            create("new", properties(json!({"bpf": true}))),
            "invalid_argument",
            "needs \"vnet\"",
        ),
        (
            create("new", properties(json!({"depends": "new"}))),
            "invalid_argument",
            "a circle",
        ),
        (
            create(
                "new",
                properties(json!({"jail_zfs_dataset": "iocage/jails/web/data"})),
            ),
            "invalid_argument",
            "not the jail's own",
        ),
        (
            create(
                "new",
                with(shared("10.0.0.1"), properties(json!({"vnet": true}))),
            ),
            "invalid_argument",
            "cannot be combined with \"net_device\"",
        ),
        // What goes with nothing.
        (
            create(
                "new",
                json!({"release": null, "empty": true, "thick": true}),
            ),
            "invalid_argument",
            "\"empty\"",
        ),
        (
            create("new", json!({"packages": ["bash"]})),
            "invalid_argument",
            "needs an address",
        ),
        (
            create("new", json!({"packages": ["-f"]})),
            "invalid_argument",
            "package's name",
        ),
        (
            create("new", json!({"packages": ["a/../b"]})),
            "invalid_argument",
            "package's name",
        ),
    ] {
        scene.refused(&args, code, part);
    }
    // No room: for none at all, or for none that is a copy.
    let big = scene.folder("a/root/big");
    fs::write(&big, vec![7; 40 << 20]).unwrap();
    let quota =
        |quota: &str| lab.zfs(&["set", &format!("quota={quota}"), &format!("{pool}/iocage")]);
    lab.zfs(&["set", "compression=off", pool]);
    quota("100M");
    eventually("the file is counted", || {
        let room = lab.zfs(&[
            "get",
            "-H",
            "-p",
            "-o",
            "value",
            "available",
            &format!("{pool}/iocage"),
        ]);
        (16 << 20..56 << 20).contains(&room.trim().parse::<u64>().unwrap_or(0)) || {
            quota("80M");
            false
        }
    });
    scene.refused(
        &clone("a", "new", json!({"thick": true})),
        "unavailable",
        "bytes left",
    );
    quota("50M");
    scene.refused(&clone("a", "new", json!({})), "unavailable", "bytes left");
    scene.refused(&create("new", json!({})), "unavailable", "bytes left");
    quota("none");
    // A jail's own root may say that anything is anywhere.
    fs::remove_file(scene.folder("a/root/etc/hosts")).unwrap();
    symlink("/etc/hosts", scene.folder("a/root/etc/hosts")).unwrap();
    scene.refused(
        &clone("a", "new", json!({})),
        "unavailable",
        "not a regular file",
    );
    lab.set_iocage_version("0.9.8");
    scene.refused(&create("new", json!({})), "unavailable", "older than 0.9.9");
}

#[test]
fn a_clone_has_the_new_name_only_where_it_is_meant() {
    let Some(scene) = Scene::new() else { return };
    let before = scene.all();
    let was = scene.config("a");
    for (more, words) in [
        (json!({}), "clone a -n b"),
        (json!({"thick": true}), "clone a -n b -T"),
        (
            json!({"properties": {"notes": "bbnbnb"}}),
            "clone a -n b notes=bbnbnb",
        ),
    ] {
        let event = scene.run(&clone("a", "b", more.clone()));
        assert_eq!(event["success"], "true", "{event}");
        assert!(event.get("error").is_none(), "{event}");
        assert_eq!(scene.makes(), [words]);
        let mut expected = was.clone();
        expected["host_hostuuid"] = json!("b");
        expected["jail_zfs_dataset"] = json!("iocage/jails/b/data");
        if more.get("properties").is_some() {
            expected["notes"] = json!("bbnbnb");
        }
        assert_eq!(scene.config("b"), expected);
        let fstab = scene.text("a/fstab");
        let [old, new] = ["a", "b"].map(|name| scene.folder(name).display().to_string());
        assert_eq!(scene.text("b/fstab"), fstab.replace(&old, &new));
        assert_eq!(
            scene.text("b/root/etc/hosts"),
            scene.text("a/root/etc/hosts")
        );
        assert_eq!(scene.config("a"), was);
        let origin = scene.origin("b");
        assert_eq!(
            origin,
            if more["thick"] == true {
                "-"
            } else {
                "jails/a/root@b"
            }
        );
        scene.destroy("b", false);
        // iocage's own snapshots of the source stay: freebsd/iocage#42.
        for left in ["jails/a@b", "jails/a/root@b"] {
            let name = format!("{}/iocage/{left}", scene.lab.pool(0));
            scene.lab.try_zfs(&["destroy", &name]);
        }
        assert_eq!(scene.all(), before);
    }
}

#[test]
fn a_clone_gets_no_address_twice() {
    let Some(scene) = Scene::new() else { return };
    scene.refused(
        &clone("web", "new", json!({})),
        "conflict",
        "jails/web has an address",
    );
    for (name, more, words) in [
        (
            "none",
            json!({"properties": {"ip4_addr": "none"}}),
            "vnet0_mac=none ip4_addr=none",
        ),
        ("forced", json!({"force": true}), "vnet0_mac=none"),
        (
            "macs",
            json!({"properties": {"ip4_addr": "re0|10.20.0.11/24"}, "keep_mac": true}),
            "ip4_addr=re0|10.20.0.11/24",
        ),
        (
            "given",
            json!({"properties": {
                "boot": false, "ip4_addr": "none", "vnet0_mac": "02ff60000008 02ff60000009",
            }}),
            "boot=0 ip4_addr=none vnet0_mac=02ff60000008 02ff60000009",
        ),
    ] {
        let event = scene.run(&clone("web", name, more));
        assert_eq!(event["success"], "true", "{event}");
        assert_eq!(scene.makes(), [format!("clone web -n {name} {words}")]);
    }
    let of = |name: &str| {
        let config = scene.config(name);
        let [ip4, mac, boot] = ["ip4_addr", "vnet0_mac", "boot"].map(|key| config[key].clone());
        (ip4, mac, boot)
    };
    let (web, forced) = (of("web"), of("forced"));
    assert_eq!(
        (&forced.0, &forced.1, &forced.2),
        (&web.0, &json!("none"), &json!(1))
    );
    assert_eq!(of("macs").1, web.1);
    assert_eq!(of("given").2, json!(0));
    assert!(scene.lab.running().is_empty(), "no clone is started");
}

#[test]
fn packages_are_installed_and_one_that_fails_is_a_failed_job() {
    let Some(scene) = Scene::new() else { return };
    let list = scene.lab.dir().join("state/run");
    let lists = || {
        let found = Command::new("find")
            .arg(&list)
            .args(["-name", "*.list"])
            .output()
            .unwrap();
        String::from_utf8(found.stdout).unwrap()
    };
    scene.lab.set_pace("0.3");
    let more = with(
        shared("10.20.0.77"),
        json!({"packages": ["bash", "www/nginx", "bash"]}),
    );
    let args = create("new", more.clone());
    let id = started(&scene.plugin.ask(&args), &args);
    let kept = lists();
    assert!(
        kept.trim().ends_with("sysadm_iocage_create_jail_new.list"),
        "{kept}"
    );
    let text = fs::read_to_string(kept.trim()).unwrap();
    assert_eq!(parse(&text), json!({"pkgs": ["bash", "www/nginx"]}));
    let mut seen = BTreeSet::new();
    eventually("the job ends", || {
        let event = scene.plugin.progress(&id, None).unwrap();
        seen.extend(event["percent_done"].as_str().map(String::from));
        event["state"] == "finished"
    });
    assert_eq!(seen, ["0", "50", "100"].map(String::from).into());
    assert_eq!(scene.plugin.wait_for_job(&id)["success"], "true");
    assert_eq!(lists(), "");
    assert_eq!(scene.text("new/root/packages"), "bash\nwww/nginx\n");
    assert!(scene.lab.jid_of("new").is_none());
    scene.destroy("new", false);

    scene.lab.set_pace("0");
    scene.lab.set_missing_packages(&["www/nginx"]);
    let event = scene.run(&args);
    assert_eq!(event["success"], "false", "{event}");
    let why = event["error"].as_str().unwrap();
    assert!(
        why.starts_with("packages were not installed: www/nginx; the jail new is left"),
        "{why}"
    );
    assert_eq!(lists(), "");
    scene.destroy("new", false);

    scene.lab.set_network("down");
    let event = scene.run(&args);
    assert_eq!(event["success"], "false", "{event}");
    let why = event["error"].as_str().unwrap();
    assert!(why.contains("could not be reached via DNS"), "{why}");
    assert!(why.contains("the jail new (running) is left"), "{why}");
    assert_eq!(lists(), "");
    scene.destroy("new", true);
}

#[test]
fn what_a_job_leaves_behind_is_told_and_can_be_destroyed() {
    let Some(scene) = Scene::new() else { return };
    let before = scene.all();
    let template = json!({"release": null, "template": "base"});
    for (args, habits) in [
        (
            create("new", json!({})),
            &["after-snapshot", "after-clone"][..],
        ),
        (
            create("new", json!({"thick": true})),
            &["after-snapshot", "after-copy"],
        ),
        (
            create("new", template.clone()),
            &["after-snapshot", "after-clone"],
        ),
        (
            create("new", with(template, json!({"thick": true}))),
            &["after-snapshot", "after-copy"],
        ),
        (
            clone("a", "new", json!({})),
            &["after-snapshot", "after-clone"],
        ),
        (
            clone("a", "new", json!({"thick": true})),
            &["after-snapshot", "after-copy"],
        ),
    ] {
        for habit in habits {
            let command = args["action"]
                .as_str()
                .unwrap()
                .strip_suffix("jail")
                .unwrap();
            scene.lab.set_habit(command, Some(&format!("dies-{habit}")));
            let event = scene.run(&args);
            assert_eq!(event["success"], "false", "{args} {habit}: {event}");
            let why = event["error"].as_str().unwrap();
            assert!(!why.contains("snapshot"), "{args} {habit}: {why}");
            let is_left = scene.all().contains("jails/new");
            assert_eq!(is_left, *habit != "after-snapshot", "{args} {habit}: {why}");
            assert_eq!(
                why.contains("destroyjail destroys"),
                is_left,
                "{args} {habit}: {why}"
            );
            if is_left {
                scene.destroy("new", false);
            }
            if args["action"] == "clonejail" {
                for left in ["jails/a@new", "jails/a/root@new"] {
                    let name = format!("{}/iocage/{left}", scene.lab.pool(0));
                    scene.lab.try_zfs(&["destroy", &name]);
                }
            }
            assert_eq!(scene.all(), before, "{args} {habit}");
        }
        scene.lab.set_habit("create", None);
        scene.lab.set_habit("clone", None);
        // Nothing of it is in the way of the next one.
        let event = scene.run(&args);
        assert_eq!(event["success"], "true", "{args}: {event}");
        scene.destroy("new", false);
        for left in ["jails/a@new", "jails/a/root@new"] {
            let name = format!("{}/iocage/{left}", scene.lab.pool(0));
            scene.lab.try_zfs(&["destroy", &name]);
        }
        assert_eq!(scene.all(), before, "{args}");
    }
}

#[test]
fn of_two_that_want_one_thing_one_is_made() {
    let Some(scene) = Scene::new() else { return };
    let other = Instance::of(&scene.lab);
    let slow = "case $1 in create|clone) sleep 2 ;; esac";
    let job = "sysadm_iocage_create_jail_new";
    let ip = || shared("10.20.0.50");
    let plugin = json!({
        "action": "createplugin", "plugin": "gitlab", "net_device": "re0", "ip4": "10.20.0.50",
    });
    let setting = json!({
        "action": "setjailsettings", "jail": "a", "settings": {"ip4_addr": "re0|10.20.0.50/24"},
    });
    scene
        .lab
        .set_index(scene.lab.pool(0), include_str!("data/plugin-index.json"));
    scene.lab.set_fault("iocage", Some(slow));
    let first = create("new", ip());
    started(&scene.plugin.ask(&first), &first);
    for (args, part) in [
        (create("new", json!({})), "already running"),
        (clone("a", "new", json!({})), "the jail name new"),
        (create("other", ip()), "the address 10.20.0.50"),
        (
            create("other", with(ip(), json!({"force": true}))),
            "the address 10.20.0.50",
        ),
        (plugin, "the address 10.20.0.50"),
        (setting, "the address 10.20.0.50"),
        (
            json!({"action": "renamejail", "jail": "a", "name": "new"}),
            "the jail name new",
        ),
    ] {
        let answer = other.ask(&args);
        let (code, message) = error_of(&answer);
        assert_eq!(code, "conflict", "{args}: {message}");
        assert!(
            message.contains(part) && message.contains(job),
            "{args}: {message}"
        );
    }
    let answer = other.ask(&json!({"action": "cleanreleases", "force": true}));
    assert_eq!(error_of(&answer).0, "in_use", "{answer}");
    assert_eq!(scene.plugin.wait_for_job(job)["success"], "true");

    let first = clone("a", "copy", json!({}));
    started(&scene.plugin.ask(&first), &first);
    for args in [
        clone("a", "copy2", json!({})),
        json!({"action": "startjail", "jail": "a"}),
        json!({"action": "snapshotjail", "jail": "a", "snapshot": "copy"}),
    ] {
        let answer = other.ask(&args);
        let (code, message) = error_of(&answer);
        assert_eq!(code, "conflict", "{args}: {message}");
        assert!(
            message.contains("sysadm_iocage_clone_jail_copy"),
            "{args}: {message}"
        );
    }
    let event = scene.plugin.wait_for_job("sysadm_iocage_clone_jail_copy");
    assert_eq!(event["success"], "true", "{event}");
    // Afterwards all of it is free again.
    let answer = other.ask(&json!({"action": "startjail", "jail": "a"}));
    assert_eq!(answer["changed"], "true", "{answer}");
}

#[test]
fn the_next_start_knows_how_a_job_ended_whose_host_was_killed() {
    let Some(scene) = Scene::new() else { return };
    let Scene { lab, plugin } = scene;
    drop(plugin);
    lab.set_fault(
        "iocage",
        Some("case $1 in create|clone) kill -9 $PPID; sleep 2 ;; esac"),
    );
    let packages = with(shared("10.20.0.77"), json!({"packages": ["bash"]}));
    for (args, job, worked) in [
        (
            create("new", json!({})),
            "sysadm_iocage_create_jail_new",
            true,
        ),
        (
            create("more", packages),
            "sysadm_iocage_create_jail_more",
            false,
        ),
        (
            clone("a", "b", json!({})),
            "sysadm_iocage_clone_jail_b",
            true,
        ),
    ] {
        ask_aside(&lab, &args);
        let plugin = Instance::of(&lab);
        let status = || plugin.ask(&json!({"action": "jobstatus", "job": job}));
        assert_eq!(status()["state"], "running", "{job}");
        let again = plugin.ask(&args);
        assert_eq!(error_of(&again).0, "conflict", "{again}");
        let mut event = Value::Null;
        eventually("it is known how it ended", || {
            plugin.ask_for("listjobs");
            event = status();
            event["success"].is_string()
        });
        assert_eq!(event["success"], worked.to_string(), "{event}");
        let why = event["error"].as_str().unwrap();
        assert!(why.contains("nobody saw how the job ended"), "{why}");
        // The last package may have failed, and only iocage's exit would have said so.
        assert_eq!(
            why.contains("nobody knows whether all packages"),
            !worked,
            "{why}"
        );
        // An orphan is looked after by the next change.
        eventually("it is looked after", || {
            plugin.ask(&json!({"action": "stopjob", "job": "sysadm_iocage_nosuch"}));
            let found = Command::new("find")
                .arg(lab.dir().join("state/run"))
                .output()
                .unwrap();
            let is_put_right =
                job.contains("create") || lab.config_of(lab.pool(0), "b")["notes"] == "banana";
            is_put_right && !String::from_utf8(found.stdout).unwrap().contains(".list")
        });
        assert_eq!(status()["success"], worked.to_string());
    }
}

#[test]
fn as_a_host_of_its_own() {
    be_the_host();
}

/// A dispatcher that runs what it is given.
#[derive(Default)]
struct Dispatcher {
    jobs: Mutex<HashMap<String, (Child, PathBuf)>>,
    folder: PathBuf,
}

unsafe extern "C" fn queue(
    host: *mut c_void,
    id: *const c_char,
    argv: *const *const c_char,
) -> bool {
    let dispatcher = unsafe { &*host.cast::<Dispatcher>() };
    let words = unsafe { words(argv) };
    let id = unsafe { text(id) };
    let path = dispatcher.folder.join(format!("{id}.output"));
    let output = fs::File::create(&path).unwrap();
    let child = Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .process_group(0)
        .spawn()
        .unwrap();
    dispatcher.jobs.lock().unwrap().insert(id, (child, path));
    true
}

unsafe extern "C" fn is_active(host: *mut c_void, id: *const c_char) -> bool {
    let dispatcher = unsafe { &*host.cast::<Dispatcher>() };
    let mut jobs = dispatcher.jobs.lock().unwrap();
    let job = jobs.get_mut(&unsafe { text(id) });
    job.is_some_and(|(child, _)| child.try_wait().unwrap().is_none())
}

impl Dispatcher {
    fn host(&self, tells: bool) -> SysadmIocageHost {
        SysadmIocageHost {
            struct_size: size_of::<SysadmIocageHost>(),
            user_data: std::ptr::from_ref(self).cast_mut().cast(),
            queue_process: Some(queue),
            is_job_active: if tells { Some(is_active) } else { None },
            log: None,
            job_ended: None,
        }
    }

    /// Waits for the end of a job, and gives its log.
    fn log(&self, id: &str) -> Value {
        let mut jobs = self.jobs.lock().unwrap();
        let (child, path) = jobs.get_mut(id).unwrap();
        let code = child.wait().unwrap().code().unwrap_or(137);
        json!({
            "state": "finished", "cmd_list": ["c"], "c": fs::read_to_string(path).unwrap(),
            "return_codes/c": code.to_string(),
        })
    }
}

#[test]
fn a_job_in_a_dispatcher_ends_as_one_of_the_librarys_own() {
    let Some(scene) = Scene::new() else { return };
    let dispatcher = Dispatcher {
        folder: scene.lab.dir().into(),
        ..Dispatcher::default()
    };
    let plugin = Instance::open(&scene.lab.config(), &dispatcher.host(true));
    let run = |args: &Value| {
        let id = started(&plugin.ask(args), args);
        let log = dispatcher.log(&id);
        plugin.progress(&id, Some(&log)).unwrap()
    };
    scene.lab.set_missing_packages(&["nginx"]);
    let packages = |name: &str| with(shared("10.20.0.77"), json!({"packages": [name]}));
    let event = run(&create("new", packages("bash")));
    assert_eq!(event["success"], "true", "{event}");
    let event = run(&create(
        "more",
        with(packages("nginx"), json!({"ip4": "10.20.0.78"})),
    ));
    assert_eq!(event["success"], "false", "{event}");
    assert!(
        event["error"]
            .as_str()
            .unwrap()
            .contains("not installed: nginx"),
        "{event}"
    );
    let event = run(&clone("a", "b", json!({})));
    assert_eq!(event["success"], "true", "{event}");
    assert_eq!(scene.config("b")["notes"], "banana");
    let found = Command::new("find")
        .arg(scene.lab.dir().join("state/run"))
        .output()
        .unwrap();
    assert!(!String::from_utf8(found.stdout).unwrap().contains(".list"));
    // Killed, and nobody ever passes its log on.
    scene.lab.set_habit("create", Some("dies-after-snapshot"));
    let args = create("gone", json!({}));
    let id = started(&plugin.ask(&args), &args);
    dispatcher.log(&id);
    eventually("nothing of it is left", || {
        plugin.ask(&json!({"action": "stopjob", "job": "sysadm_iocage_nosuch"}));
        !scene.all().iter().any(|name| name.contains("gone"))
    });
}

#[test]
fn what_has_to_be_looked_after_is_refused_where_nobody_hears_of_the_end() {
    let Some(scene) = Scene::new() else { return };
    let dispatcher = Dispatcher {
        folder: scene.lab.dir().into(),
        ..Dispatcher::default()
    };
    let plugin = Instance::open(&scene.lab.config(), &dispatcher.host(false));
    let packages = with(shared("10.20.0.77"), json!({"packages": ["bash"]}));
    for args in [create("new", packages), clone("a", "b", json!({}))] {
        let answer = plugin.ask(&args);
        let (code, message) = error_of(&answer);
        assert_eq!(code, "unavailable", "{args}: {message}");
        assert!(
            message.contains("does not say when a job has ended"),
            "{message}"
        );
    }
    // Where no text would be damaged, nobody is needed.
    let more = json!({"properties": {"ip4_addr": "none"}});
    for args in [create("new", json!({})), clone("web", "www", more)] {
        let id = started(&plugin.ask(&args), &args);
        let log = dispatcher.log(&id);
        assert_eq!(log["return_codes/c"], "0", "{log}");
    }
    assert_eq!(scene.config("www")["host_hostname"], "www");
}

#[test]
fn a_plugin_jail_is_guarded_like_any_other() {
    let Some(scene) = Scene::new() else { return };
    let (lab, pool) = (&scene.lab, scene.lab.pool(0));
    lab.set_index(pool, include_str!("data/plugin-index.json"));
    lab.zfs(&[
        "snapshot",
        &format!("{pool}/iocage/releases/{RELEASE}/root@kept"),
    ]);
    lab.start(77, "foreign", &lab.dir().join("elsewhere"));
    let plugin = |more: Value| {
        let args = json!({
            "action": "createplugin", "plugin": "gitlab", "net_device": "re0", "ip4": "10.20.0.60",
        });
        with(args, more)
    };
    scene.plugin.ask_for("listplugins");
    eventually("nothing is refreshed", || {
        let jobs = scene.plugin.ask_for("listjobs");
        let mut all = jobs["jobs"].as_object().unwrap().values();
        all.all(|job| job["state"] == "finished")
    });
    for (more, part) in [
        (json!({"ip4": "10.20.0.10"}), "jails/web has an address"),
        (json!({"name": "kept"}), "root@kept exists already"),
        (json!({"name": "foreign"}), "jid 77"),
        (json!({"name": "web"}), "the jail web exists"),
    ] {
        let before = scene.all();
        let answer = scene.plugin.ask(&plugin(more));
        let (code, message) = error_of(&answer);
        assert_eq!(code, "conflict", "{message}");
        assert!(message.contains(part), "{message}");
        assert_eq!(scene.makes(), [""; 0]);
        assert_eq!(scene.all(), before);
    }
    let answer = scene
        .plugin
        .ask(&plugin(json!({"ip4": "10.20.0.10", "force": true})));
    assert!(answer["started_dispatcher_id"].is_string(), "{answer}");
}
