//! The host program is killed at every step of a rename and of a change of settings: the next answer
//! is right, and whoever asks for the same again gets it. What it was running goes on, and nobody
//! gets in its way.

mod common;

use std::fs;

use common::killed::{ask_aside, be_the_host};
use common::{error_of, Instance};
use serde_json::{json, Value};
use sysadm_iocage_lab::Lab;

const RELEASE: &str = "13.2-RELEASE";

/// A lab with the jails web (of the release) and db (of the template base).
fn lab() -> Option<Lab> {
    let lab = Lab::or_skip(1)?;
    let pool = lab.pool(0);
    lab.lay_out(pool);
    lab.mark(pool, true);
    lab.add_release(pool, RELEASE);
    let release = format!("releases/{RELEASE}");
    let config = json!({"notes": "mine", "comment": "none"});
    lab.add_template(pool, "base", Some(&release), &json!({"type": "template"}));
    lab.add_jail(pool, "web", Some(&release), &config);
    lab.zfs(&["snapshot", &format!("{pool}/iocage/templates/base@db")]);
    lab.add_jail(pool, "db", Some("templates/base"), &config);
    Some(lab)
}

/// Runs this very test program as a host of its own, which asks for `args` and is killed by the
/// script that stands in front of a command.
fn killed(lab: &Lab, args: &Value, command: &str, script: &str) {
    let script = format!("pool=$(head -n 1 \"$lab/pools\"); zfs=$lab/real/zfs\n{script}");
    lab.set_fault(command, Some(&script));
    let said = ask_aside(lab, args);
    lab.set_fault(command, None);
    assert_eq!(said, None, "it is not killed by {script}");
}

#[test]
fn as_a_host_of_its_own() {
    be_the_host();
}

/// How a jail is called in ZFS and in its files: its name, the snapshot it was made from, its uuid.
fn names(lab: &Lab, jail: &str) -> [String; 3] {
    let pool = lab.pool(0);
    let root = format!("{pool}/iocage/jails/{jail}/root");
    let origin = lab.zfs(&["list", "-H", "-o", "origin", &root]);
    let snapshot = origin.trim().rsplit('@').next().unwrap().to_string();
    let uuid = lab.config_of(pool, jail)["host_hostuuid"].clone();
    [jail.into(), snapshot, uuid.as_str().unwrap().into()]
}

#[test]
fn the_host_is_killed_while_it_renames() {
    let Some(lab) = lab() else { return };
    let release = "$pool/iocage/releases/13.2-RELEASE/root";
    // zfs-fuse says "busy" for a moment after an unmount, and a rename that fails mounts again.
    let dataset = "tries=0; jails=$pool/iocage/jails
        until \"$zfs\" rename $jails/$2 $jails/$4; do
            tries=$((tries + 1)); [ $tries -lt 50 ] || exit 9
            \"$zfs\" unmount $jails/$2/root; \"$zfs\" unmount $jails/$2; sleep 0.5
        done
        \"$zfs\" mount $jails/$4; \"$zfs\" mount $jails/$4/root; true";
    let snapshot = format!("\"$zfs\" rename -r {release}@$2 {release}@$4");
    // Behind the host, which is gone, iocage may end its work or be gone too.
    for (jail, command, work) in [
        ("web", "iocage", String::new()),
        ("web", "iocage", snapshot.clone()),
        ("web", "iocage", format!("{snapshot}; {dataset}")),
        ("db", "zfs", String::new()),
        ("db", "zfs", "\"$zfs\" \"$@\"".into()),
        ("db", "iocage", String::new()),
        ("db", "iocage", dataset.into()),
    ] {
        let new = format!("{jail}2");
        let args = json!({"action": "renamejail", "jail": jail, "name": new});
        // The parent of the command is the host; its words are `rename JAIL -- NAME`.
        let script = format!(
            "case $1 in rename) {work}
            kill -9 $PPID; exit 1 ;; esac"
        );
        killed(&lab, &args, command, &script);
        let plugin = Instance::of(&lab);
        let listed = plugin.ask_for("listjails");
        assert_eq!(listed["jails"].as_object().unwrap().len(), 2, "{listed}");
        let answer = plugin.ask(&args);
        assert_eq!(
            answer["success"],
            format!("jail {jail} renamed to {new}."),
            "{work}: {answer}"
        );
        assert_eq!(
            names(&lab, &new),
            [&new, &new, &new].map(String::from),
            "{work}"
        );
        // And back, for the next one.
        let back = json!({"action": "renamejail", "jail": new, "name": jail});
        assert!(plugin.ask(&back)["success"].is_string());
        assert_eq!(names(&lab, jail), [jail; 3].map(String::from));
    }
    // iocage does all of it, and nobody is told.
    let args = json!({"action": "renamejail", "jail": "web", "name": "www"});
    let script = "case $1 in rename) \"$lab/real/iocage\" \"$@\"; kill -9 $PPID; exit ;; esac";
    killed(&lab, &args, "iocage", script);
    assert_eq!(names(&lab, "www"), ["www"; 3].map(String::from));
    assert_eq!(error_of(&Instance::of(&lab).ask(&args)).0, "not_found");
}

#[test]
fn the_host_is_killed_while_it_sets() {
    let Some(lab) = lab() else { return };
    let pool = lab.pool(0);
    let wanted = json!({"comment": "new", "notes": "new"});
    let args = json!({"action": "setjailsettings", "jail": "web", "settings": wanted});
    for (work, left) in [
        ("", json!(["comment", "notes"])),
        ("\"$lab/real/iocage\" set \"$2\" web", json!(["notes"])),
        ("\"$lab/real/iocage\" \"$@\"", json!([])),
    ] {
        let script = format!("case $1 in set) {work}\nkill -9 $PPID; exit 1 ;; esac");
        let before = fs::read(lab.config_file(pool, "web")).unwrap();
        killed(&lab, &args, "iocage", &script);
        let plugin = Instance::of(&lab);
        let settings = plugin.ask(&json!({"action": "getjailsettings", "jail": "web"}));
        let says = |key: &str| settings["jails"]["web"][key] == "new";
        let missing = ["comment", "notes"].into_iter().filter(|key| !says(key));
        assert_eq!(json!(missing.collect::<Vec<_>>()), left, "{settings}");
        let answer = plugin.ask(&args);
        let changed = answer["changed"]
            .as_object()
            .unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(json!(changed.keys().collect::<Vec<_>>()), left);
        fs::write(lab.config_file(pool, "web"), before).unwrap();
    }
}

#[test]
fn a_start_that_goes_on_without_its_host_holds_the_jail() {
    let Some(lab) = lab() else { return };
    // Nobody reads what it prints any more.
    let script = "case $1 in start)
        kill -9 $PPID
        tries=0; until [ -e \"$lab/go-on\" ] || [ $tries = 400 ]; do tries=$((tries + 1)); sleep 0.05; done
        exec \"$lab/real/iocage\" \"$@\" >/dev/null 2>&1 ;;
    esac";
    let of_web = |action| json!({"action": action, "jail": "web"});
    killed(&lab, &of_web("startjail"), "iocage", script);
    let mut config = lab.config();
    config["command_timeout_seconds"] = json!(1);
    let hasty = Instance::open(&config, std::ptr::null());
    for action in ["stopjail", "startjail", "snapshotjail"] {
        let answer = hasty.ask(&of_web(action));
        let (code, message) = error_of(&answer);
        assert_eq!(code, "conflict", "{action}: {message}");
        assert!(message.contains("the jail name web"), "{message}");
    }
    // Another jail is free.
    let db = Instance::of(&lab).ask(&json!({"action": "startjail", "jail": "db"}));
    assert_eq!(db["changed"], "true", "{db}");
    let patient = Instance::of(&lab);
    let stopped = std::thread::scope(|scope| {
        let waits = scope.spawn(|| patient.ask(&of_web("stopjail")));
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(!waits.is_finished(), "it does not wait");
        fs::write(lab.dir().join("go-on"), "").unwrap();
        waits.join().unwrap()
    });
    assert_eq!(stopped["changed"], "true", "{stopped}");
}
