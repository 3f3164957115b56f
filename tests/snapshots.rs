//! `snapshotjail`, `removesnapshot`, `rollbackjail`: all or nothing, and no clone is lost.

mod common;

use std::fs;
use std::io::Write;

use common::killed::{ask_aside, be_the_host, kill_at};
use common::{error_of, eventually, Instance};
use serde_json::{json, Value};
use sysadm_iocage::ffi::SYSADM_IOCAGE_ACCESS_READ;
use sysadm_iocage_lab::Lab;

const RELEASE: &str = "13.2-RELEASE";

/// A pool with the jails foo, of three datasets, and foo-bar, of two, and the template base.
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
        lab.add_release(pool, RELEASE);
        let release = format!("releases/{RELEASE}");
        let config = json!({"release": RELEASE});
        lab.add_jail(pool, "foo", Some(&release), &config);
        lab.add_jail(pool, "foo-bar", None, &config);
        lab.add_template(pool, "base", None, &config);
        lab.zfs(&["create", &format!("{pool}/iocage/jails/foo/root/data")]);
        let plugin = Instance::of(&lab);
        Some(Host { lab, plugin })
    }

    /// The name of a dataset or snapshot below iocage's.
    fn name(&self, rest: &str) -> String {
        format!("{}/iocage/{rest}", self.lab.pool(0))
    }

    fn ask(&self, action: &str, arguments: Value) -> Value {
        let mut args = arguments;
        args["action"] = json!(action);
        self.plugin.ask(&args)
    }

    /// All datasets and snapshots.
    fn state(&self) -> Vec<String> {
        self.lab.datasets(&[self.lab.pool(0)]).into_iter().collect()
    }

    fn snapshots(&self) -> Vec<String> {
        let mut names = self.state();
        names.retain(|name| name.contains('@') && !name.contains("/releases/"));
        let root = self.name("");
        names.iter().map(|name| name.replace(&root, "")).collect()
    }

    /// A request that is refused changes nothing.
    fn is_refused(&self, action: &str, arguments: Value, code: &str, parts: &[&str]) {
        let before = self.state();
        self.lab.forget_commands();
        let answer = self.ask(action, arguments.clone());
        let (is, message) = error_of(&answer);
        assert_eq!(is, code, "{action} {arguments}: {message}");
        for part in parts {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert_eq!(self.state(), before, "{action} {arguments}");
        let looks = ["list", "get"];
        let mut commands = self.lab.commands().into_iter();
        let changes = commands.find(|words| words[0] == "zfs" && !looks.contains(&&*words[1]));
        assert_eq!(changes, None, "{action} {arguments}");
    }

    /// Destroys a dataset or snapshot by hand, which may be busy for a moment.
    fn remove(&self, name: &str) {
        eventually("it is not busy", || {
            let output = self.lab.try_zfs(&["destroy", "-r", name]);
            output.status.success()
        });
    }

    fn write_all(&self, text: &str) {
        let root = self.lab.iocage_root(self.lab.pool(0));
        for file in FILES {
            let mut file = fs::File::create(root.join("jails/foo").join(file)).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            // zfs-fuse may hang if it rolls back what the kernel is about to write.
            file.sync_all().unwrap();
        }
    }

    fn read(&self, file: &str) -> String {
        let root = self.lab.iocage_root(self.lab.pool(0));
        let text = fs::read_to_string(root.join("jails/foo").join(file));
        text.unwrap_or_default()
    }
}

/// A file in each of the datasets of foo.
const FILES: [&str; 3] = ["notes", "root/file", "root/data/file"];

/// The datasets of foo.
const FOO: [&str; 3] = ["jails/foo", "jails/foo/root", "jails/foo/root/data"];

fn at(snapshot: &str) -> Vec<String> {
    let mut names = FOO.map(|part| format!("{part}@{snapshot}")).to_vec();
    names.sort();
    names
}

#[test]
fn a_snapshot_is_on_all_datasets_or_on_none() {
    let Some(host) = Host::or_skip() else { return };
    let answer = host.ask(
        "snapshotjail",
        json!({"jail": "foo", "snapshot": "first one"}),
    );
    assert_eq!(
        answer,
        json!({"success": "snapshot first one of jail foo taken.", "snapshot": "first one"})
    );
    assert_eq!(host.snapshots(), at("first one"));
    let taken = [json!({"jail": "foo", "snapshot": "first one"})];
    for again in taken {
        host.is_refused("snapshotjail", again, "conflict", &["foo@first one"]);
    }
    // One dataset that has it is enough.
    host.lab
        .zfs(&["snapshot", &host.name("jails/foo/root/data@half")]);
    let half = json!({"jail": "foo", "snapshot": "half"});
    host.is_refused("snapshotjail", half, "conflict", &["foo/root/data@half"]);

    // A running jail and a template too; without a name it is the time.
    host.lab.set_running(&[(5, "foo")]);
    let answer = host.ask("snapshotjail", json!({"jail": "foo"}));
    let name = answer["snapshot"].as_str().unwrap();
    let form: String = name
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(form, "0000-00-00_00-00-00");
    let listed = host.plugin.ask_for("listsnapshots");
    let listed = &listed["jails"]["foo"][name];
    assert_eq!(listed["complete"], "true");
    let created = listed["created"].as_str().unwrap();
    assert_eq!(created[..10], name[..10], "both are in UTC");
    let answer = host.ask("snapshotjail", json!({"jail": "base", "snapshot": "s"}));
    assert_eq!(answer["success"], "snapshot s of template base taken.");

    // One's failure hides no other's.
    let jails = json!({"jails": ["foo", "fo", "foo-bar"], "snapshot": "half"});
    let answer = host.ask("snapshotjail", jails);
    assert_eq!(answer["jails"]["foo"]["code"], "conflict");
    assert_eq!(answer["jails"]["fo"]["code"], "not_found", "no prefix");
    assert_eq!(answer["jails"]["foo-bar"]["snapshot"], "half");
}

#[test]
fn what_zfs_has_not_done_is_not_said() {
    let Some(host) = Host::or_skip() else { return };
    let taking = || host.ask("snapshotjail", json!({"jail": "foo", "snapshot": "s"}));
    let lie = "case $1 in snapshot|destroy|rollback) exit 0;; esac";
    let late = "case $1 in snapshot) \"$lab/real/zfs\" \"$@\"; echo no >&2; exit 1;; esac";
    host.lab.set_fault("zfs", Some(lie));
    assert_eq!(error_of(&taking()).0, "failed");
    // Done, and yet it says that it was not.
    host.lab.set_fault("zfs", Some(late));
    assert!(taking()["success"].is_string());
    host.lab.set_fault("zfs", None);
    host.ask("snapshotjail", json!({"jail": "foo", "snapshot": "later"}));
    host.lab.set_fault("zfs", Some(lie));
    for (action, more) in [
        ("removesnapshot", json!({"jail": "foo", "snapshot": "s"})),
        (
            "rollbackjail",
            json!({"jail": "foo", "snapshot": "s", "force": true}),
        ),
    ] {
        let answer = host.ask(action, more);
        let (code, message) = error_of(&answer);
        assert!(
            code == "failed" && message.contains("still there"),
            "{message}"
        );
    }
    let fails = "case $1 in snapshot|destroy|rollback) echo not today >&2; exit 1;; esac";
    host.lab.set_fault("zfs", Some(fails));
    for (action, snapshot) in [
        ("snapshotjail", "other"),
        ("removesnapshot", "s"),
        ("rollbackjail", "later"),
    ] {
        let answer = host.ask(action, json!({"jail": "foo", "snapshot": snapshot}));
        let (code, message) = error_of(&answer);
        assert!(
            code == "failed" && message.contains("not today"),
            "{message}"
        );
    }
}

#[test]
fn a_snapshot_is_removed_where_it_is_and_no_clone_goes_with_it() {
    let Some(host) = Host::or_skip() else { return };
    let pool = host.lab.pool(0);
    let on_all = |snapshot: &str| {
        for jail in ["foo", "foo-bar"] {
            let name = host.name(&format!("jails/{jail}@{snapshot}"));
            host.lab.zfs(&["snapshot", "-r", &name]);
        }
    };
    on_all("daily");
    on_all("kid");
    // The jail kid is a clone of foo, and somebody has one of foo-bar.
    host.lab.zfs(&["create", &host.name("jails/kid")]);
    let (kid, of) = (host.name("jails/kid/root"), host.name("jails/foo/root@kid"));
    host.lab.zfs(&["clone", &of, &kid]);
    let remove = |jail: &str, snapshot: &str| json!({"jail": jail, "snapshot": snapshot});
    host.is_refused("removesnapshot", remove("foo", "kid"), "in_use", &[&kid]);
    host.is_refused(
        "removesnapshot",
        remove("foo", "dail"),
        "not_found",
        &["dail"],
    );
    host.is_refused(
        "removesnapshot",
        remove("fo", "daily"),
        "not_found",
        &["fo"],
    );
    let mine = format!("{pool}/mine");
    host.lab
        .zfs(&["clone", &host.name("jails/foo-bar@daily"), &mine]);
    host.is_refused(
        "removesnapshot",
        remove("foo-bar", "daily"),
        "in_use",
        &[&mine],
    );

    let before = host.snapshots();
    let answer = host.ask("removesnapshot", remove("foo", "daily"));
    assert_eq!(
        answer,
        json!({"success": "snapshot daily of jail foo removed."})
    );
    let mut expected = before;
    expected.retain(|name| !at("daily").contains(name));
    assert_eq!(host.snapshots(), expected, "foo-bar's stay");
    // Only a part has it: there it goes.
    host.lab
        .zfs(&["snapshot", &host.name("jails/foo/root@part")]);
    let answer = host.ask("removesnapshot", remove("foo", "part"));
    assert!(answer["success"].is_string(), "{answer}");
    assert_eq!(host.snapshots(), expected);
    let commands = host.lab.commands();
    assert!(!commands.iter().any(|words| words[0] == "iocage"));
    assert!(!commands.iter().flatten().any(|word| word.contains("-R")));
}

#[test]
fn a_jail_goes_back_with_all_of_its_datasets() {
    let Some(host) = Host::or_skip() else { return };
    // Not in the order of their names.
    for snapshot in ["z", "m", "a"] {
        host.write_all(snapshot);
        let taken = host.ask("snapshotjail", json!({"jail": "foo", "snapshot": snapshot}));
        assert!(taken["success"].is_string(), "{taken}");
    }
    host.ask(
        "snapshotjail",
        json!({"jail": "foo-bar", "snapshot": "later"}),
    );
    host.write_all("now");
    let back = |snapshot: &str, more: Value| {
        let mut args = json!({"jail": "foo", "snapshot": snapshot});
        let more = more.as_object().unwrap().clone();
        args.as_object_mut().unwrap().extend(more);
        args
    };
    let later = host.name("jails/foo@a");
    host.is_refused(
        "rollbackjail",
        back("m", json!({})),
        "in_use",
        &[&later, "force"],
    );
    host.is_refused(
        "rollbackjail",
        back("nosuch", json!({})),
        "not_found",
        &["nosuch"],
    );
    let before = host.state();
    let dry = host.ask(
        "rollbackjail",
        back("m", json!({"dryrun": true, "force": true})),
    );
    assert_eq!(host.state(), before);
    let full = |names: Vec<String>| names.iter().map(|name| host.name(name)).collect::<Vec<_>>();
    let mut upwards = FOO.map(|part| host.name(part)).to_vec();
    upwards.reverse();
    assert_eq!(
        dry,
        json!({
            "dryrun": "true",
            "would_roll_back": upwards,
            "would_destroy": {"snapshots": FOO.map(|part| host.name(&format!("{part}@a")))},
            "would_refuse": [],
        })
    );
    let dry = host.ask("rollbackjail", back("m", json!({"dryrun": true})));
    assert_eq!(dry["would_refuse"].as_array().unwrap().len(), 1, "{dry}");

    // The newest takes no force.
    let answer = host.ask("rollbackjail", back("a", json!({})));
    assert_eq!(answer, json!({"success": "jail foo rolled back to a."}));
    FILES
        .iter()
        .for_each(|file| assert_eq!(host.read(file), "a", "{file}"));
    assert_eq!(host.state(), before);
    let answer = host.ask("rollbackjail", back("m", json!({"force": true})));
    assert!(answer["success"].is_string(), "{answer}");
    FILES
        .iter()
        .for_each(|file| assert_eq!(host.read(file), "m", "{file}"));
    let mut expected = before;
    expected.retain(|name| !full(at("a")).contains(name));
    assert_eq!(host.state(), expected, "exactly what the dry run said");
    assert_eq!(
        host.plugin.ask_for("listjails")["jails"]["foo"]["state"],
        "down"
    );
    let commands = host.lab.commands();
    assert!(!commands.iter().any(|words| words[0] == "iocage"));
    assert!(!commands.iter().flatten().any(|word| word == "-R"));
}

#[test]
fn what_is_in_the_way_of_going_back_is_found_before_anything() {
    let Some(host) = Host::or_skip() else { return };
    let pool = host.lab.pool(0);
    host.lab.zfs(&["snapshot", "-r", &host.name("jails/foo@s")]);
    host.lab.zfs(&["snapshot", "-r", &host.name("jails/foo@t")]);
    let back = |snapshot: &str| json!({"jail": "foo", "snapshot": snapshot, "force": true});
    host.lab.set_running(&[(5, "foo")]);
    host.is_refused("rollbackjail", back("s"), "in_use", &["running", "5"]);
    host.lab.set_running(&[(5, "foo-bar")]);

    // A clone of a later snapshot, even on a dataset far below.
    let mine = format!("{pool}/mine");
    host.lab
        .zfs(&["clone", &host.name("jails/foo/root/data@t"), &mine]);
    host.is_refused("rollbackjail", back("s"), "in_use", &[&mine]);
    let mut dry = back("s");
    dry["dryrun"] = json!(true);
    let told = host.ask("rollbackjail", dry)["would_refuse"].clone();
    assert!(told[0].as_str().unwrap().contains(&mine), "{told}");
    // Not a clone of the snapshot itself.
    let answer = host.ask("rollbackjail", back("t"));
    assert!(answer["success"].is_string(), "{answer}");
    host.remove(&mine);

    // A dataset without it would keep what it has, while the others go back.
    let newer = host.name("jails/foo/root/newer");
    host.lab.zfs(&["create", &newer]);
    host.is_refused("rollbackjail", back("s"), "conflict", &[&newer]);
    host.remove(&newer);
    host.lab.zfs(&["destroy", &host.name("jails/foo/root@s")]);
    let lacks = host.name("jails/foo/root");
    host.is_refused("rollbackjail", back("s"), "conflict", &[&lacks]);
}

#[test]
fn what_somebody_holds_is_not_begun_with() {
    let Some(host) = Host::or_skip() else { return };
    for snapshot in ["s", "t", "u"] {
        let name = host.name(&format!("jails/foo@{snapshot}"));
        host.lab.zfs(&["snapshot", "-r", &name]);
    }
    let held = host.name("jails/foo/root@t");
    host.lab.zfs(&["hold", "backup", &held]);
    let of = |snapshot: &str| json!({"jail": "foo", "snapshot": snapshot});
    let hint = format!("held: {held} (\"zfs holds {held}\"");
    host.is_refused("removesnapshot", of("t"), "in_use", &[&hint]);
    let mut back = of("s");
    back["force"] = json!(true);
    host.is_refused("rollbackjail", back.clone(), "in_use", &[&hint]);
    back["dryrun"] = json!(true);
    let told = host.ask("rollbackjail", back.clone())["would_refuse"].clone();
    assert!(told[0].as_str().unwrap().contains(&hint), "{told}");
    // It may be gone back to.
    let mut back = of("t");
    back["force"] = json!(true);
    let answer = host.ask("rollbackjail", back);
    assert!(answer["success"].is_string(), "{answer}");
    host.lab.zfs(&["release", "backup", &held]);
    let answer = host.ask("removesnapshot", of("t"));
    assert!(answer["success"].is_string(), "{answer}");
    assert_eq!(host.snapshots(), at("s"));
}

#[test]
fn what_went_before_a_failure_is_told() {
    let Some(host) = Host::or_skip() else { return };
    for snapshot in ["s", "t"] {
        let name = host.name(&format!("jails/foo@{snapshot}"));
        host.lab.zfs(&["snapshot", "-r", &name]);
    }
    // Held between the question and the deed: zfs-fuse destroys one dataset's after the other.
    let late = |before: &str, held: &str| {
        let held = host.name(held);
        format!("[ $1 != {before} ] || $lab/real/zfs hold late {held} 2>/dev/null || true")
    };
    let back = json!({"jail": "foo", "snapshot": "s", "force": true});
    let fault = late("rollback", "jails/foo/root@t");
    host.lab.set_fault("zfs", Some(&fault));
    let answer = host.ask("rollbackjail", back.clone());
    let (code, message) = error_of(&answer);
    let gone = host.name("jails/foo/root/data@t");
    assert_eq!(code, "failed");
    let done = format!(
        "destroyed {gone}: rolled back {}",
        host.name("jails/foo/root/data")
    );
    assert!(message.starts_with(&done), "{message}");
    host.lab.set_fault("zfs", None);
    host.lab
        .zfs(&["release", "late", &host.name("jails/foo/root@t")]);
    assert!(host.ask("rollbackjail", back)["success"].is_string());

    let first = host.name("jails/foo/root/data@s");
    let fault =
        format!("[ $1 != destroy ] || {{ $lab/real/zfs $1 {first}; echo no >&2; exit 1; }}");
    host.lab.set_fault("zfs", Some(&fault));
    let answer = host.ask("removesnapshot", json!({"jail": "foo", "snapshot": "s"}));
    let message = error_of(&answer).1;
    let done = format!("destroyed {first}: ");
    assert!(message.starts_with(&done), "{message}");
    host.lab.set_fault("zfs", None);
}

#[test]
fn a_host_killed_while_it_rolls_back_leaves_what_is_seen_and_finished() {
    let Some(host) = Host::or_skip() else { return };
    let back = json!({"action": "rollbackjail", "jail": "foo", "snapshot": "s", "force": true});
    for (number, after) in (1..=3).flat_map(|number| [(number, false), (number, true)]) {
        let when = format!("{number}, after: {after}");
        let _ = host
            .lab
            .try_zfs(&["destroy", "-r", &host.name("jails/foo@s")]);
        host.write_all("old");
        host.lab.zfs(&["snapshot", "-r", &host.name("jails/foo@s")]);
        host.write_all("new");
        host.lab
            .zfs(&["snapshot", "-r", &host.name("jails/foo@later")]);
        kill_at(&host.lab, "rollback", number, after);
        assert_eq!(ask_aside(&host.lab, &back), None, "{when}");
        host.lab.set_fault("zfs", None);
        // How far it came is seen by what is later.
        let listed = host.plugin.ask_for("listsnapshots")["jails"]["foo"].clone();
        let done = number - 1 + usize::from(after);
        match done {
            0 => assert_eq!(listed["later"]["complete"], "true", "{when}"),
            3 => assert!(listed["later"].is_null(), "{when}"),
            _ => assert_eq!(listed["later"]["complete"], "false", "{when}"),
        }
        assert_eq!(listed["s"]["complete"], "true", "{when}");
        let answer = host.plugin.ask(&back);
        assert!(answer["success"].is_string(), "{when}: {answer}");
        for file in FILES {
            assert_eq!(host.read(file), "old", "{when}: {file}");
        }
        assert_eq!(host.snapshots(), at("s"), "{when}");
    }
}

#[test]
fn every_argument_is_checked_and_who_may_read_changes_nothing() {
    let Some(host) = Host::or_skip() else { return };
    host.lab.zfs(&["snapshot", "-r", &host.name("jails/foo@s")]);
    let wrongs = [
        json!({}),
        json!({"snapshot": "s"}),
        json!({"jail": "foo", "snapshot": ""}),
        json!({"jail": "foo", "snapshot": "a@b"}),
        json!({"jail": "foo", "snapshot": "a/b"}),
        json!({"jail": "foo", "snapshot": "a,b"}),
        json!({"jail": "foo", "snapshot": "a%b"}),
        json!({"jail": "foo", "snapshot": "x".repeat(129)}),
        json!({"jail": "foo", "snapshot": 1}),
        json!({"jail": "foo", "snapshot": ["s"]}),
        json!({"jail": "f/oo", "snapshot": "s"}),
        json!({"jail": "foo", "jail_uuid": "foo", "snapshot": "s"}),
        json!({"jail": "foo", "snapshot": "s", "froce": true}),
        json!({"jail": "foo", "snapshot": "s", "force": "yes"}),
        json!({"jail": "foo", "snapshot": "s", "dryrun": 1}),
    ];
    for action in ["snapshotjail", "removesnapshot", "rollbackjail"] {
        for wrong in &wrongs {
            host.is_refused(action, wrong.clone(), "invalid_argument", &[]);
        }
        let args = json!({"action": action, "jail": "foo", "snapshot": "s"});
        let (status, _) = host
            .plugin
            .evaluate(&args.to_string(), SYSADM_IOCAGE_ACCESS_READ);
        assert_eq!(status, 403, "{action}");
    }
    for action in ["removesnapshot", "rollbackjail"] {
        host.is_refused(
            action,
            json!({"jail": "foo"}),
            "invalid_argument",
            &["snapshot"],
        );
        let jails = json!({"jails": ["foo"], "snapshot": "s"});
        host.is_refused(action, jails, "invalid_argument", &["jails"]);
    }
    assert_eq!(host.snapshots(), at("s"));
}

#[test]
fn as_a_host_of_its_own() {
    be_the_host();
}
