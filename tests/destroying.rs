//! `destroyjail`: exactly what was asked for goes, whole, and nothing else.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use common::killed::{ask_aside, be_the_host, kill_at};
use common::{error_of, eventually, run, Instance};
use serde_json::{json, Value};
use sysadm_iocage::ffi::SYSADM_IOCAGE_ACCESS_READ;
use sysadm_iocage_lab::Lab;

const RELEASE: &str = "13.2-RELEASE";

/// A pool with two releases, the template base, and these jails: foo, foo-bar and SMALL of a
/// release, foo.baz that is thick, db of base, kid of foo, copy of kid.
struct Host {
    lab: Lab,
    plugin: Instance,
}

impl Host {
    fn or_skip() -> Option<Host> {
        let lab = Lab::or_skip(1)?;
        let pool = lab.pool(0);
        lab.lay_out(pool);
        lab.mark(pool, true);
        for release in ["12.4-RELEASE", RELEASE] {
            lab.add_release(pool, release);
            lab.zfs(&["create", &format!("{pool}/iocage/download/{release}")]);
        }
        let release = format!("releases/{RELEASE}");
        let config = json!({"release": "13.2-RELEASE-p9", "cloned_release": RELEASE});
        lab.add_template(pool, "base", Some(&release), &config);
        for name in ["foo", "foo-bar", "SMALL"] {
            lab.add_jail(pool, name, Some(&release), &config);
        }
        lab.add_jail(pool, "foo.baz", None, &config);
        // iocage takes the snapshot of a template or jail with that of its root.
        for (name, of) in [
            ("db", "templates/base"),
            ("kid", "jails/foo"),
            ("copy", "jails/kid"),
        ] {
            lab.zfs(&["snapshot", &format!("{pool}/iocage/{of}@{name}")]);
            lab.add_jail(pool, name, Some(of), &config);
        }
        lab.zfs(&["create", &format!("{pool}/iocage/jails/foo/root/data")]);
        lab.zfs(&["snapshot", "-r", &format!("{pool}/iocage/jails@daily")]);
        let log = lab.iocage_root(pool).join("log");
        for name in ["foo", "ioc-foo", "foo-bar", "foo_baz", "ioc-foo_baz"] {
            fs::write(log.join(format!("{name}-console.log")), name).unwrap();
        }
        let plugin = Instance::of(&lab);
        Some(Host { lab, plugin })
    }

    /// The name of a dataset or snapshot below iocage's.
    fn name(&self, rest: &str) -> String {
        format!("{}/iocage/{rest}", self.lab.pool(0))
    }

    fn ask(&self, action: &str, arguments: &Value) -> Value {
        let mut args = arguments.clone();
        args["action"] = json!(action);
        self.plugin.ask(&args)
    }

    fn destroy(&self, arguments: Value) -> Value {
        self.ask("destroyjail", &arguments)
    }

    /// All datasets and snapshots.
    fn state(&self) -> BTreeSet<String> {
        self.lab.datasets(&[self.lab.pool(0)])
    }

    fn logs(&self) -> BTreeSet<String> {
        let log = self.lab.iocage_root(self.lab.pool(0)).join("log");
        let entries = fs::read_dir(log).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.map(|name| name.replace("-console.log", "")).collect()
    }

    /// A request that is refused changes nothing.
    fn is_refused(&self, action: &str, arguments: Value, code: &str, parts: &[&str]) {
        let before = (self.state(), self.logs());
        let answer = self.ask(action, &arguments);
        let (is, message) = error_of(&answer);
        assert_eq!(is, code, "{action} {arguments}: {message}");
        for part in parts {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert_eq!((self.state(), self.logs()), before, "{action} {arguments}");
    }

    /// Destroys, after a dry run that must have named exactly what goes; gives the answer and what
    /// went, without the pool.
    fn destroy_as_told(&self, action: &str, arguments: Value) -> (Value, BTreeSet<String>) {
        let before = self.state();
        let mut dry = arguments.clone();
        dry["dryrun"] = json!(true);
        let told = self.ask(action, &dry);
        assert_eq!(told["would_refuse"], json!([]), "{arguments}: {told}");
        assert_eq!(self.state(), before, "{arguments}");
        self.lab.forget_commands();
        let answer = self.ask(action, &arguments);
        assert!(answer["success"].is_string(), "{arguments}: {answer}");
        let after = self.state();
        let gone: BTreeSet<String> = before.difference(&after).cloned().collect();
        let goes = &told["would_destroy"];
        let parts = ["datasets", "snapshots"].map(|part| goes[part].as_array().unwrap());
        let named: Vec<String> = parts
            .iter()
            .flat_map(|names| names.iter().map(|name| name.as_str().unwrap().to_string()))
            .collect();
        let names: BTreeSet<String> = named.iter().cloned().collect();
        assert_eq!(names.len(), named.len(), "each once");
        assert_eq!(gone, names, "{arguments}");
        assert!(after.is_subset(&before), "{arguments}");
        let commands = self.lab.commands();
        let mut zfs = commands.iter().filter(|words| words[0] == "zfs");
        let takes_clones = |word: &String| word.starts_with('-') && word.contains('R');
        assert!(!zfs.any(|words| words.iter().any(takes_clones)));
        let root = self.name("");
        let gone = gone.iter().map(|name| name.replace(&root, ""));
        (answer, gone.collect())
    }

    /// Destroys a dataset by hand, which may be busy for a moment.
    fn remove(&self, dataset: &str) {
        eventually("it is not busy", || {
            let output = self.lab.try_zfs(&["destroy", "-r", dataset]);
            output.status.success()
        });
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| name.to_string()).collect()
}

/// What is a jail's in the pool of [`Host`].
fn of_jail(name: &str, more: &[&str]) -> BTreeSet<String> {
    let own = ["", "/root", "@daily", "/root@daily"];
    let own = own.map(|part| format!("jails/{name}{part}"));
    own.into_iter().chain(set(more)).collect()
}

#[test]
fn a_jail_goes_alone_whatever_others_are_called() {
    let Some(host) = Host::or_skip() else { return };
    // A thick one without clones, whose name is another's with a dot.
    let (answer, gone) = host.destroy_as_told("destroyjail", json!({"jail": "foo.baz"}));
    assert_eq!(answer, json!({"success": "jail foo.baz destroyed."}));
    assert_eq!(gone, of_jail("foo.baz", &[]));
    assert_eq!(host.logs(), set(&["foo", "ioc-foo", "foo-bar"]));
    // ALL is in its name.
    let (_, gone) = host.destroy_as_told("destroyjail", json!({"jail": "SMALL"}));
    let origin = format!("releases/{RELEASE}/root@SMALL");
    assert_eq!(gone, of_jail("SMALL", &[&origin]));

    // copy and kid, and then foo is free; the snapshots of a jail stay with it.
    let (answer, gone) = host.destroy_as_told("destroyjail", json!({"jail": "copy"}));
    let left = ["jails/kid@copy", "jails/kid/root@copy"].map(|name| host.name(name));
    assert_eq!(answer["left"], json!(left));
    assert_eq!(gone, of_jail("copy", &[]));
    let (answer, gone) = host.destroy_as_told("destroyjail", json!({"jail_uuid": "kid"}));
    assert_eq!(
        gone,
        of_jail("kid", &["jails/kid@copy", "jails/kid/root@copy"])
    );
    let left = ["jails/foo@kid", "jails/foo/root@kid"].map(|name| host.name(name));
    assert_eq!(
        answer,
        json!({"success": "jail kid destroyed.", "left": left})
    );

    let (_, gone) = host.destroy_as_told("destroyjail", json!({"jail": "foo"}));
    let origin = format!("releases/{RELEASE}/root@foo");
    let more = [
        "jails/foo/root/data",
        "jails/foo/root/data@daily",
        "jails/foo@kid",
        "jails/foo/root@kid",
        &origin,
    ];
    assert_eq!(gone, of_jail("foo", &more));
    assert_eq!(host.logs(), set(&["foo-bar"]));
    // The other still is what it was.
    let listed = host.plugin.ask_for("listjails")["jails"].clone();
    assert_eq!(listed["foo-bar"]["state"], "down", "{listed}");
    let commands = host.lab.commands();
    assert!(!commands.iter().any(|words| words[0] == "iocage"));

    let several = json!({"jails": ["foo", "db", "foo-ba"]});
    let answer = host.destroy(several);
    assert_eq!(answer["jails"]["foo"]["code"], "not_found");
    assert_eq!(answer["jails"]["db"]["success"], "jail db destroyed.");
    assert_eq!(answer["jails"]["foo-ba"]["code"], "not_found", "no prefix");
}

#[test]
fn the_snapshots_that_were_made_of_a_template_go_with_its_jail() {
    let Some(host) = Host::or_skip() else { return };
    // The template has a dataset of its own; it was there when db was made.
    host.lab
        .zfs(&["create", &host.name("templates/base/root/more")]);
    host.lab
        .zfs(&["snapshot", &host.name("templates/base/root/more@db")]);
    host.lab
        .zfs(&["snapshot", &host.name("templates/base@mine")]);
    let (answer, gone) = host.destroy_as_told("destroyjail", json!({"jail": "db"}));
    assert_eq!(answer, json!({"success": "jail db destroyed."}));
    let more = [
        "templates/base@db",
        "templates/base/root@db",
        "templates/base/root/more@db",
    ];
    assert_eq!(gone, of_jail("db", &more));
    assert!(host.state().contains(&host.name("templates/base@mine")));

    // One that was made for it, and from which somebody has cloned too, stays.
    let pool = host.lab.pool(0);
    let origin = host.name(&format!("releases/{RELEASE}/root@foo-bar"));
    let mine = format!("{pool}/mine");
    host.lab.zfs(&["clone", &origin, &mine]);
    let (_, gone) = host.destroy_as_told("destroyjail", json!({"jail": "foo-bar"}));
    assert_eq!(gone, of_jail("foo-bar", &[]));
    assert!(host.state().contains(&mine) && host.state().contains(&origin));
}

#[test]
fn what_was_cloned_from_it_is_named_and_goes_only_when_asked() {
    let Some(host) = Host::or_skip() else { return };
    let pool = host.lab.pool(0);
    for options in [
        json!({"jail": "foo"}),
        json!({"jail": "foo", "force": true}),
    ] {
        let parts = ["kid", "copy", "recursive"];
        host.is_refused("destroyjail", options, "in_use", &parts);
    }
    // A clone of any snapshot of any of its datasets, and of a clone.
    let mine = format!("{pool}/mine");
    host.lab
        .zfs(&["clone", &host.name("jails/foo/root/data@daily"), &mine]);
    let recursive = json!({"jail": "foo", "recursive": true});
    host.is_refused("destroyjail", recursive.clone(), "in_use", &[&mine]);
    let mut dry = recursive.clone();
    dry["dryrun"] = json!(true);
    let told = host.destroy(dry)["would_refuse"][0].clone();
    assert!(told.as_str().unwrap().contains(&mine), "{told}");
    host.remove(&mine);
    // A running clone is not destroyed from under itself.
    host.lab.set_running(&[(7, "copy")]);
    host.is_refused(
        "destroyjail",
        recursive.clone(),
        "in_use",
        &["running", "copy"],
    );
    host.lab.set_running(&[]);

    let (answer, gone) = host.destroy_as_told("destroyjail", recursive);
    let done = json!({"success": "jail foo destroyed.", "destroyed": ["copy", "kid", "foo"]});
    assert_eq!(answer, done);
    let jails = ["foo", "kid", "copy"];
    let is_part = |name: &String| {
        let parts = jails.map(|jail| format!("jails/{jail}"));
        let ends = |rest: &str| rest.is_empty() || rest.starts_with(['/', '@']);
        parts
            .iter()
            .any(|part| name.strip_prefix(part).is_some_and(ends))
            || *name == format!("releases/{RELEASE}/root@foo")
    };
    assert!(gone.iter().all(is_part), "{gone:?}");
    let left = host.plugin.ask_for("listjails")["jails"].clone();
    let left: Vec<&String> = left.as_object().unwrap().keys().collect();
    assert_eq!(left, ["SMALL", "db", "foo-bar", "foo.baz"]);
}

#[test]
fn a_template_goes_as_a_jail_does() {
    let Some(host) = Host::or_skip() else { return };
    let base = json!({"template": "base"});
    host.is_refused("destroyjail", base.clone(), "in_use", &["db", "recursive"]);
    host.is_refused(
        "destroyjail",
        json!({"template": "foo"}),
        "not_found",
        &["foo"],
    );
    let recursive = json!({"template": "base", "recursive": true});
    let (answer, gone) = host.destroy_as_told("destroyjail", recursive);
    assert_eq!(answer["destroyed"], json!(["db", "base"]));
    assert_eq!(answer["success"], "template base destroyed.");
    let origin = format!("releases/{RELEASE}/root@base");
    let template = [
        "templates/base",
        "templates/base/root",
        "templates/base@db",
        "templates/base/root@db",
        &origin,
    ];
    assert_eq!(gone, of_jail("db", &template));
    host.is_refused("destroyjail", base, "not_found", &["base"]);
}

#[test]
fn a_release_goes_with_its_download_when_nothing_uses_it() {
    let Some(host) = Host::or_skip() else { return };
    let pool = host.lab.pool(0);
    let release = |name: &str| json!({ "release": name });
    let parts = ["foo-bar", "base", "db", "recursive"];
    host.is_refused("destroyjail", release(RELEASE), "in_use", &parts);
    for none in ["13.2", "14.1-RELEASE", "13.2-RELEASE-p9"] {
        host.is_refused("destroyjail", release(none), "not_found", &[none]);
    }
    // A jail that mounts its files stays, and is asked for; while it runs, with force too.
    let config = json!({"basejail": 1, "release": "12.4-RELEASE-p2"});
    host.lab.add_jail(pool, "mounts", None, &config);
    host.is_refused(
        "destroyjail",
        release("12.4-RELEASE"),
        "in_use",
        &["mounts", "force"],
    );
    host.lab.set_running(&[(5, "mounts")]);
    let forced = json!({"release": "12.4-RELEASE", "force": true});
    host.is_refused("destroyjail", forced.clone(), "in_use", &["mounts"]);
    host.lab.set_running(&[]);
    let (answer, gone) = host.destroy_as_told("destroyjail", forced);
    assert_eq!(answer["success"], "release 12.4-RELEASE destroyed.");
    let own = [
        "releases/12.4-RELEASE",
        "releases/12.4-RELEASE/root",
        "download/12.4-RELEASE",
    ];
    assert_eq!(gone, set(&own));
    let recursive = json!({"release": RELEASE, "recursive": true});
    let (answer, _) = host.destroy_as_told("destroyjail", recursive);
    let destroyed = answer["destroyed"].as_array().unwrap();
    assert_eq!(destroyed.last().unwrap(), RELEASE);
    assert_eq!(destroyed.len(), 8, "{answer}");
    let left = host.plugin.ask_for("listjails")["jails"].clone();
    let left: Vec<&String> = left.as_object().unwrap().keys().collect();
    assert_eq!(left, ["foo.baz", "mounts"]);
}

#[test]
fn a_jail_that_mounts_its_files_is_asked_for() {
    let Some(host) = Host::or_skip() else { return };
    let root = host.lab.iocage_root(host.lab.pool(0));
    let entry = |of: &str| {
        let at = root.display();
        format!("{at}/jails/{of}/root/data {at}/jails/db/root/mnt nullfs ro 0 0\n")
    };
    let fstab = root.join("jails/db/fstab");
    fs::write(&fstab, entry("foo.baz")).unwrap();
    let jail = json!({"jail": "foo.baz"});
    host.is_refused("destroyjail", jail.clone(), "in_use", &["db", "force"]);
    let forced = json!({"jail": "foo.baz", "force": true});
    host.lab.set_running(&[(5, "db")]);
    host.is_refused("destroyjail", forced.clone(), "in_use", &["db"]);
    host.lab.set_running(&[]);
    let mut dry = forced.clone();
    dry["dryrun"] = json!(true);
    assert_eq!(host.destroy(dry)["would_break"]["jails"], json!(["db"]));
    fs::write(&fstab, entry("foo.baz2")).unwrap();
    host.destroy_as_told("destroyjail", jail);
}

#[test]
fn a_mount_counts_wherever_it_leads_and_what_it_is_above() {
    let Some(host) = Host::or_skip() else { return };
    let root = host.lab.iocage_root(host.lab.pool(0));
    let link = |name: &str, to: &Path| {
        let link = host.lab.dir().join(name);
        symlink(to, &link).unwrap();
        link
    };
    let into = link("into", &root.join("jails/foo.baz"));
    let beside = link("beside", &root.join("jails/SMALL"));
    let nowhere = link("nowhere", &host.lab.dir().join("gone"));
    let write = |source: &Path| {
        let (source, at) = (source.display(), root.display());
        let line = format!("{source} {at}/jails/db/root/mnt nullfs rw 0 0\n");
        fs::write(root.join("jails/db/fstab"), line).unwrap();
    };
    let (jail, forced) = (
        json!({"jail": "foo.baz"}),
        json!({"jail": "foo.baz", "force": true}),
    );
    for source in [into.join("root"), into.join("root/not there"), into] {
        write(&source);
        host.is_refused("destroyjail", jail.clone(), "in_use", &["db", "force"]);
        host.lab.set_running(&[(5, "db")]);
        host.is_refused("destroyjail", forced.clone(), "in_use", &["running", "db"]);
        host.lab.set_running(&[]);
    }
    let above = link("above", &root);
    let pool = host.lab.mountpoint(host.lab.pool(0));
    for source in [above, root.join("jails"), pool, "/".into()] {
        write(&source);
        let parts = ["mounting its files: jail db", "force"];
        host.is_refused("destroyjail", jail.clone(), "in_use", &parts);
    }
    for other in [beside, nowhere, host.lab.dir().to_path_buf().join("jails")] {
        write(&other);
        let mut dry = jail.clone();
        dry["dryrun"] = json!(true);
        assert_eq!(host.destroy(dry)["would_refuse"], json!([]), "{other:?}");
    }
    // It goes on without what is mounted below.
    write(&root);
    host.lab.set_running(&[(5, "db")]);
    host.destroy_as_told("destroyjail", forced);
    assert_eq!(host.lab.jid_of("db"), Some(5));
}

#[test]
fn what_runs_is_stopped_with_force_and_looked_at_again() {
    let Some(host) = Host::or_skip() else { return };
    let (jail, forced) = (json!({"jail": "db"}), json!({"jail": "db", "force": true}));
    host.lab.set_running(&[(7, "db")]);
    host.is_refused("destroyjail", jail, "in_use", &["running", "force"]);
    // It fails to stop, or says that it has stopped and has not.
    host.lab.set_habit("stop", Some("stays"));
    let answer = host.destroy(forced.clone());
    assert!(
        answer["error"]
            .as_str()
            .unwrap()
            .contains("nothing was destroyed"),
        "{answer}"
    );
    host.lab.set_habit("stop", None);
    host.lab.set_fault("iocage", Some("exit 0"));
    let before = host.state();
    let answer = host.destroy(forced.clone());
    assert!(
        answer["error"]
            .as_str()
            .unwrap()
            .contains("nothing was destroyed"),
        "{answer}"
    );
    assert_eq!(host.state(), before);
    // One of another name that runs in its root.
    let root = host.lab.iocage_root(host.lab.pool(0)).join("jails/db/root");
    host.lab.set_running(&[]);
    host.lab.start(8, "stranger", &root.join("inner"));
    host.is_refused(
        "destroyjail",
        json!({"jail": "db"}),
        "in_use",
        &["stranger", "8"],
    );
    // iocage would stop all jails.
    host.lab.set_running(&[(6, "SMALL"), (7, "db")]);
    let small = json!({"jail": "SMALL", "force": true});
    host.is_refused(
        "destroyjail",
        small,
        "unavailable",
        &["SMALL", "nothing was"],
    );
    host.lab.set_fault("iocage", None);
    let (answer, gone) = host.destroy_as_told("destroyjail", forced);
    assert_eq!(answer["success"], "jail db destroyed.");
    assert!(gone.contains("jails/db"));
    let commands = host.lab.commands();
    let stops: Vec<&Vec<String>> = commands
        .iter()
        .filter(|words| words[0] == "iocage")
        .collect();
    assert!(
        stops.len() == 1 && stops[0].contains(&"db".to_string()),
        "{stops:?}"
    );
}

#[test]
fn what_somebody_holds_is_seen_before_anything_is_done() {
    let Some(host) = Host::or_skip() else { return };
    host.lab.set_running(&[(7, "db")]);
    let forced = json!({"jail": "db", "force": true});
    let mut dry = forced.clone();
    dry["dryrun"] = json!(true);
    for (held, action) in [
        ("jails/db/root@daily", "destroyjail"),
        ("templates/base@db", "destroyjail"),
        ("templates/base/root@db", "destroyjail"),
        ("jails/db@daily", "cleanjails"),
        ("jails/db@daily", "cleanall"),
    ] {
        let (held, arguments) = match action {
            "destroyjail" => (host.name(held), forced.clone()),
            _ => (host.name(held), json!({"force": true})),
        };
        host.lab.zfs(&["hold", "backup", &held]);
        host.lab.forget_commands();
        let hint = format!("held: {held} (\"zfs holds {held}\"");
        host.is_refused(action, arguments.clone(), "in_use", &[&hint]);
        let mut dry = arguments;
        dry["dryrun"] = json!(true);
        let told = host.ask(action, &dry)["would_refuse"].clone();
        assert!(told[0].as_str().unwrap().contains(&hint), "{told}");
        let looks = |words: &Vec<String>| words[0] == "jls" || words[1] == "list";
        let commands = host.lab.commands();
        assert!(commands.iter().all(looks), "{commands:?}");
        host.lab.zfs(&["release", "backup", &held]);
    }
    assert_eq!(host.lab.jid_of("db"), Some(7));
    // A snapshot that stays may be held.
    host.lab.set_running(&[]);
    let origin = host.name("jails/foo/root@kid");
    host.lab.zfs(&["hold", "backup", &origin]);
    let recursive = json!({"jail": "kid", "recursive": true});
    host.destroy_as_told("destroyjail", recursive);
    host.destroy_as_told("destroyjail", json!({"jail": "db"}));
    host.lab.zfs(&["release", "backup", &origin]);
}

#[test]
fn what_was_done_before_a_failure_is_told() {
    let Some(host) = Host::or_skip() else { return };
    let root = host.lab.iocage_root(host.lab.pool(0)).join("jails/db/root");
    let place = root.join("tmp");
    fs::create_dir_all(&place).unwrap();
    run(Command::new("mount")
        .args(["-t", "tmpfs", "tmpfs"])
        .arg(&place));
    host.lab.set_running(&[(7, "db")]);
    let forced = json!({"jail": "db", "force": true});
    let fails = |of: &str| {
        let name = host.name(of);
        format!("[ \"$1 $3\" != \"destroy {name}\" ] || {{ echo not today >&2; exit 1; }}")
    };
    let before = host.state();
    host.lab.set_fault("zfs", Some(&fails("jails/db/root")));
    let answer = host.destroy(forced.clone());
    let (_, message) = error_of(&answer);
    let done = format!(
        "stopped jails/db; unmounted {}; nothing was",
        place.display()
    );
    assert!(message.starts_with(&done), "{message}");
    assert!(message.contains("not today"), "{message}");
    assert_eq!(host.state(), before);
    // No snapshot goes by itself later.
    let list = ["list", "-H", "-t", "snapshot", "-o", "defer_destroy"];
    let pending = host.lab.zfs(&list);
    assert!(!pending.contains("on"), "{pending}");

    host.lab.set_fault("zfs", Some(&fails("jails/db")));
    let answer = host.destroy(forced.clone());
    let (_, message) = error_of(&answer);
    let gone = [
        "jails/db/root",
        "templates/base@db",
        "templates/base/root@db",
    ];
    let gone = gone.map(|name| host.name(name));
    let done = format!("destroyed {}: ", gone.join(", "));
    assert!(message.starts_with(&done), "{message}");
    // Where ZFS does not say either, nothing is claimed.
    let silent = format!(
        "[ $1 != destroy ] || touch $lab/tried; [ ! -e $lab/tried ] || [ $1 != list ] || exit 1
         {}",
        fails("jails/db")
    );
    host.lab.set_fault("zfs", Some(&silent));
    let answer = host.destroy(forced.clone());
    let (_, message) = error_of(&answer);
    assert!(
        message.starts_with("nobody knows what was destroyed"),
        "{message}"
    );
    host.lab.set_fault("zfs", None);
    let (answer, _) = host.destroy_as_told("destroyjail", forced);
    assert_eq!(answer, json!({"success": "jail db destroyed."}));
}

#[test]
fn what_is_mounted_in_it_is_unmounted_before() {
    let Some(host) = Host::or_skip() else { return };
    let root = host.lab.iocage_root(host.lab.pool(0)).join("jails/db/root");
    let mount = |place: &str| {
        let place = root.join(place);
        fs::create_dir_all(&place).unwrap();
        run(Command::new("mount")
            .args(["-t", "tmpfs", "tmpfs"])
            .arg(&place));
        place
    };
    mount("dev");
    mount("dev/fd");
    // One over another.
    mount("mnt/my data");
    let busy = mount("mnt/my data");
    let mut dry = json!({"jail": "db", "dryrun": true});
    let told = host.destroy(dry.clone())["would_unmount"].clone();
    assert_eq!(told.as_array().unwrap().len(), 4, "{told}");
    dry["dryrun"] = json!(false);
    // Somebody is in there.
    let mut sits = Command::new("sleep")
        .arg("1000")
        .current_dir(&busy)
        .spawn()
        .unwrap();
    host.is_refused(
        "destroyjail",
        dry.clone(),
        "in_use",
        &["my data", "nothing was destroyed"],
    );
    sits.kill().unwrap();
    sits.wait().unwrap();
    let (_, gone) = host.destroy_as_told("destroyjail", dry);
    assert!(gone.contains("jails/db/root"));
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let place = root.display().to_string();
    let left = table.lines().filter(|line| line.contains(&place));
    assert_eq!(left.count(), 0, "{table}");
}

#[test]
fn what_is_bound_in_it_is_told_and_unmounted_and_keeps_its_files() {
    let Some(host) = Host::or_skip() else { return };
    let jails = host.lab.iocage_root(host.lab.pool(0)).join("jails");
    let root = jails.join("db/root");
    let outside = host.lab.dir().join("outside");
    let mut places = Vec::new();
    // None of these is in an fstab.
    for (name, source) in [
        ("host", outside.clone()),
        ("other", jails.join("foo/root/data/deep")),
        ("part", root.join("own")),
        ("whole", root.clone()),
    ] {
        let at = root.join(name);
        fs::create_dir_all(&source).unwrap();
        fs::create_dir_all(&at).unwrap();
        fs::write(source.join("file"), name).unwrap();
        run(Command::new("mount").arg("--bind").arg(&source).arg(&at));
        places.insert(0, at.display().to_string());
    }
    let told = host.destroy(json!({"jail": "db", "dryrun": true}));
    assert_eq!(told["would_unmount"], json!(places), "{told}");
    host.destroy_as_told("destroyjail", json!({"jail": "db"}));
    let kept = |folder: &Path| fs::read_to_string(folder.join("file")).unwrap();
    assert_eq!(kept(&outside), "host");
    assert_eq!(kept(&jails.join("foo/root/data/deep")), "other");
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    assert!(!table.contains(&*root.to_string_lossy()), "{table}");
}

#[test]
fn a_husk_and_what_cannot_be_read_are_destroyed_too() {
    let Some(host) = Host::or_skip() else { return };
    let jails = host.lab.iocage_root(host.lab.pool(0)).join("jails");
    // Without its root, without its config.json, not mounted, without its origin.
    host.remove(&host.name("jails/SMALL/root"));
    fs::remove_file(jails.join("foo-bar/config.json")).unwrap();
    for part in ["jails/foo.baz/root", "jails/foo.baz"] {
        host.lab.zfs(&["unmount", &host.name(part)]);
    }
    let listed = host.plugin.ask_for("listjails")["jails"].clone();
    let state = |name: &str| listed[name]["state"].as_str().unwrap().to_string();
    assert_eq!(state("SMALL"), "down");
    assert_eq!(state("foo-bar"), "CORRUPT");
    assert_eq!(state("foo.baz"), "unmounted");
    let husk = set(&["jails/SMALL", "jails/SMALL@daily"]);
    // The fstab of one that is not mounted may say anything.
    let small = json!({"jail": "SMALL"});
    host.is_refused(
        "destroyjail",
        small,
        "in_use",
        &["cannot be read", "foo.baz"],
    );
    let small = json!({"jail": "SMALL", "force": true});
    let (_, gone) = host.destroy_as_told("destroyjail", small);
    assert_eq!(gone, husk);
    let origin = format!("releases/{RELEASE}/root@foo-bar");
    let foo_bar = json!({"jail": "foo-bar", "force": true});
    let (_, gone) = host.destroy_as_told("destroyjail", foo_bar);
    assert_eq!(gone, of_jail("foo-bar", &[&origin]), "its origin too");
    let (_, gone) = host.destroy_as_told("destroyjail", json!({"jail": "foo.baz"}));
    assert_eq!(gone, of_jail("foo.baz", &[]));
}

#[test]
fn a_host_killed_at_any_step_leaves_what_is_listed_and_finished() {
    let request = json!({"action": "destroyjail", "jail": "db"});
    let Some(host) = Host::or_skip() else { return };
    let kept = host.state();
    let others = |state: BTreeSet<String>| {
        let is_other = |name: &String| {
            let of_db = name.contains("jails/db/") || name.contains("jails/db@");
            !of_db && !name.ends_with("jails/db") && !name.ends_with("@db")
        };
        state.into_iter().filter(is_other).collect::<BTreeSet<_>>()
    };
    let mut is_there = true;
    for (number, after) in (1..=6).flat_map(|number| [(number, false), (number, true)]) {
        let when = format!("{number}, after: {after}");
        if !is_there {
            host.lab.zfs(&["snapshot", &host.name("templates/base@db")]);
            let config = json!({"release": RELEASE});
            host.lab
                .add_jail(host.lab.pool(0), "db", Some("templates/base"), &config);
        }
        kill_at(&host.lab, "set|destroy", number, after);
        let answer = ask_aside(&host.lab, &request);
        host.lab.set_fault("zfs", None);
        if let Some(answer) = answer {
            assert_eq!(number, 6, "{when}: it was never killed: {answer}");
            break;
        }
        assert_eq!(others(host.state()), others(kept.clone()), "{when}");
        let listed = host.plugin.ask_for("listjails")["jails"]["db"].clone();
        is_there = host.state().contains(&host.name("jails/db"));
        assert_eq!(listed.is_object(), is_there, "{when}: {listed}");
        // What was not begun with is whole, and what was begun with can be finished.
        let answer = host.plugin.ask(&request);
        match is_there {
            true => assert_eq!(answer["success"], "jail db destroyed.", "{when}: {answer}"),
            false => assert_eq!(answer["code"], "not_found", "{when}: {answer}"),
        }
        is_there = false;
        let left = host.state();
        assert_eq!(left, others(left.clone()), "{when}: nothing of it is left");
        assert_eq!(left, others(kept.clone()), "{when}");
    }
    assert!(!host.state().contains(&host.name("jails/db")));
}

#[test]
fn what_zfs_does_not_destroy_is_not_called_destroyed() {
    let Some(host) = Host::or_skip() else { return };
    for (fault, part) in [
        ("[ $1 != destroy ] || exit 0", "still there"),
        (
            "[ $1 != destroy ] || { echo not today >&2; exit 1; }",
            "not today",
        ),
    ] {
        host.lab.set_fault("zfs", Some(fault));
        host.is_refused("destroyjail", json!({"jail": "db"}), "failed", &[part]);
    }
    // A clone that was made meanwhile stops it, and stays.
    let late = host.name("jails/late");
    let of = host.name("jails/db/root@daily");
    let fault = format!(
        "if [ $1 = destroy ] && [ $2 = -r ] && [ ! -e $lab/late ]; then touch $lab/late
           $lab/real/zfs clone {of} {late}; fi"
    );
    host.lab.set_fault("zfs", Some(&fault));
    let answer = host.destroy(json!({"jail": "db"}));
    host.lab.set_fault("zfs", None);
    assert_eq!(error_of(&answer).0, "in_use", "{answer}");
    assert!(host.state().contains(&late) && host.state().contains(&of));
    let listed = host.plugin.ask_for("listjails")["jails"].clone();
    assert_eq!(listed["db"]["state"], "down");
    // A ZFS that does not keep a snapshot until its last clone goes.
    host.remove(&late);
    host.lab
        .set_fault("zfs", Some("[ \"$1 $2\" != \"destroy -d\" ] || exit 2"));
    let (answer, gone) = host.destroy_as_told("destroyjail", json!({"jail": "foo-bar"}));
    assert!(answer["left"].is_null(), "{answer}");
    assert!(gone.contains(&format!("releases/{RELEASE}/root@foo-bar")));
}

#[test]
fn every_argument_is_checked_and_who_may_read_destroys_nothing() {
    let Some(host) = Host::or_skip() else { return };
    for wrong in [
        json!({}),
        json!({"jail": ""}),
        json!({"jail": "a/b"}),
        json!({"jail": "-r"}),
        json!({"jail": 1}),
        json!({"jail": ["db"]}),
        json!({"jails": []}),
        json!({"jails": vec!["x"; 257]}),
        json!({"jail": "db", "jails": ["db"]}),
        json!({"jail": "db", "release": RELEASE}),
        json!({"jail": "db", "template": "base"}),
        json!({"template": "base", "release": RELEASE}),
        json!({"release": "a/b"}),
        json!({"release": "-r"}),
        json!({"release": 13.2}),
        json!({"template": "a@b"}),
        json!({"jail": "db", "force": "yes"}),
        json!({"jail": "db", "recursive": 1}),
        json!({"jail": "db", "dryrun": "maybe"}),
        json!({"jail": "db", "dryrum": true}),
    ] {
        let code = match wrong["jail"] == "-r" {
            true => "not_found",
            false => "invalid_argument",
        };
        host.is_refused("destroyjail", wrong, code, &[]);
    }
    for (action, more) in [
        ("destroyjail", json!({"jail": "db"})),
        ("destroyjail", json!({"jail": "db", "dryrun": true})),
        ("destroyjail", json!({"release": RELEASE})),
        ("cleanjails", json!({"force": true})),
        ("cleanall", json!({"force": true})),
    ] {
        let before = host.state();
        let mut args = more;
        args["action"] = json!(action);
        let (status, _) = host
            .plugin
            .evaluate(&args.to_string(), SYSADM_IOCAGE_ACCESS_READ);
        assert_eq!(status, 403, "{args}");
        assert_eq!(host.state(), before, "{args}");
    }
    for action in ["cleanjails", "cleanall"] {
        for wrong in [
            json!({"force": "yes"}),
            json!({"dryrun": 1}),
            json!({"jail": "db"}),
            json!({"recursive": true}),
        ] {
            host.is_refused(action, wrong, "invalid_argument", &[]);
        }
    }
    host.lab.mark(host.lab.pool(0), false);
    host.is_refused("destroyjail", json!({"jail": "db"}), "not_active", &[]);
    host.is_refused("cleanall", json!({"force": true}), "not_active", &[]);
}

#[test]
fn all_jails_go_and_templates_and_releases_stay() {
    let Some(host) = Host::or_skip() else { return };
    let pool = host.lab.pool(0);
    let all = ["foo", "foo-bar", "SMALL", "foo.baz", "db", "kid", "copy"];
    host.is_refused("cleanjails", json!({}), "in_use", &all);
    let told = host.ask("cleanjails", &json!({"dryrun": true}));
    assert_eq!(told["would_destroy"]["jails"].as_array().unwrap().len(), 7);
    assert_eq!(told["would_refuse"].as_array().unwrap().len(), 1, "{told}");
    // A template of a jail, and somebody's clone, are not asked for.
    let mine = format!("{pool}/mine");
    host.lab
        .zfs(&["clone", &host.name("jails/db@daily"), &mine]);
    host.lab
        .add_template(pool, "made", Some("jails/db"), &json!({}));
    let forced = json!({"force": true});
    host.is_refused("cleanjails", forced.clone(), "in_use", &[&mine, "made"]);
    host.remove(&mine);
    host.remove(&host.name("templates/made"));

    host.lab.set_running(&[(3, "db")]);
    let (answer, gone) = host.destroy_as_told("cleanjails", forced);
    assert_eq!(answer, json!({"success": "All jails have been cleaned."}));
    let left = host.state();
    let jails = host.name("jails/");
    assert!(
        !left.iter().any(|name| name.starts_with(&jails)),
        "{left:?}"
    );
    assert!(gone.contains("templates/base@db") && !gone.contains("templates/base"));
    let releases = host.name("releases/");
    let snapshots = left
        .iter()
        .filter(|name| name.starts_with(&releases) && name.contains('@'));
    let snapshots: Vec<&String> = snapshots.collect();
    assert_eq!(
        snapshots,
        [&host.name(&format!("releases/{RELEASE}/root@base"))]
    );
    assert!(host.logs().is_empty());
    // Where there is none, it takes no force.
    let answer = host.ask("cleanjails", &json!({}));
    assert_eq!(answer, json!({"success": "All jails have been cleaned."}));
}

#[test]
fn everything_goes_and_iocage_goes_on_working() {
    let Some(host) = Host::or_skip() else { return };
    let pool = host.lab.pool(0);
    let images = host.lab.iocage_root(pool).join("images");
    fs::write(images.join("web_2026-11-25.zip"), "image").unwrap();
    fs::create_dir(images.join("kept")).unwrap();
    let parts = ["foo", "base", RELEASE, "web_2026-11-25.zip"];
    host.is_refused("cleanall", json!({}), "in_use", &parts);
    let mine = host.name("mine");
    host.lab.zfs(&["create", &mine]);
    host.is_refused("cleanall", json!({"force": true}), "in_use", &[&mine]);
    host.remove(&mine);
    let outside = format!("{pool}/mine");
    host.lab
        .zfs(&["clone", &host.name("templates/base@db"), &outside]);
    host.is_refused("cleanall", json!({"force": true}), "in_use", &[&outside]);
    host.remove(&outside);
    let told = host.ask("cleanall", &json!({"force": true, "dryrun": true}));
    let goes = &told["would_destroy"];
    assert_eq!(goes["files"].as_array().unwrap().len(), 6, "{told}");
    assert_eq!(goes["releases"], json!(["12.4-RELEASE", RELEASE]));
    assert_eq!(goes["templates"], json!(["base"]));
    let (answer, _) = host.destroy_as_told("cleanall", json!({"force": true}));
    assert_eq!(
        answer,
        json!({"success": "All iocage datasets have been cleaned."})
    );
    let left: Vec<String> = host.state().into_iter().collect();
    let own = [
        "download",
        "images",
        "jails",
        "jails@daily",
        "log",
        "releases",
        "templates",
    ];
    let mut expected = vec![pool.to_string(), format!("{pool}/iocage")];
    expected.extend(own.map(|part| host.name(part)));
    assert_eq!(left, expected);
    assert!(host.logs().is_empty());
    assert!(!images.join("web_2026-11-25.zip").exists() && images.join("kept").exists());
    assert!(host.lab.iocage_root(pool).join("defaults.json").exists());
    assert_eq!(host.plugin.ask_for("listjails")["jails"], json!({}));
    assert_eq!(host.plugin.ask_for("activatestatus")["pool"], pool);
}

#[test]
fn as_a_host_of_its_own() {
    be_the_host();
}
