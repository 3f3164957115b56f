//! A second listing asks only what can have changed, and sees every change there is.

mod common;

use std::fs;
use std::time::Duration;

use common::{error_of, eventually, Instance};
use serde_json::{json, Value};
use sysadm_iocage_lab::Lab;

const RELEASE: &str = "13.2-RELEASE";

fn jail(ip4: &str) -> Value {
    json!({ "release": RELEASE, "ip4_addr": ip4 })
}

/// A lab with an active pool of three jails and a template, listed before, and long enough ago
/// that its files have settled.
fn listed_lab() -> Option<(Lab, Instance)> {
    let lab = Lab::or_skip(2)?;
    let pool = lab.pool(0);
    lab.lay_out(pool);
    lab.mark(pool, true);
    lab.add_release(pool, RELEASE);
    lab.set_index(pool, "{}");
    let release = Some("releases/13.2-RELEASE");
    let template = json!({ "release": RELEASE, "type": "template", "template": 1 });
    lab.add_template(pool, "base", release, &template);
    lab.add_jail(pool, "a", release, &jail("re0|10.0.0.1"));
    lab.add_jail(pool, "b", Some("templates/base"), &jail("re0|10.0.0.2"));
    lab.add_jail(pool, "c", None, &jail("re0|10.0.0.3"));
    std::thread::sleep(Duration::from_millis(2100));
    let plugin = Instance::of(&lab);
    for action in ["listjails", "listtemplates", "listplugins"] {
        plugin.ask_for(action);
    }
    Some((lab, plugin))
}

/// The jails that are listed, each by its uuid.
fn jails(plugin: &Instance) -> Vec<(String, Value)> {
    let answer = plugin.ask_for("listjails");
    let listed = answer["jails"]
        .as_object()
        .unwrap_or_else(|| panic!("{answer}"));
    let mut jails: Vec<(String, Value)> = listed
        .values()
        .map(|jail| (jail["uuid"].as_str().unwrap().into(), jail.clone()))
        .collect();
    jails.sort_by(|a, b| a.0.cmp(&b.0));
    jails
}

fn names(plugin: &Instance) -> Vec<String> {
    jails(plugin).into_iter().map(|(name, _)| name).collect()
}

fn get(plugin: &Instance, name: &str, key: &str) -> String {
    let jails = jails(plugin);
    let (_, jail) = jails.iter().find(|(of, _)| of == name).unwrap();
    jail[key].as_str().unwrap().into()
}

fn dataset(lab: &Lab, rest: &str) -> String {
    format!("{}/iocage/{rest}", lab.pool(0))
}

/// Unmounting is not instant: right after a look inside, ZFS may find a dataset busy; and zfs-fuse
/// may leave what it has renamed in the mount table for a moment, under its old name.
fn patiently(lab: &Lab, arguments: &[&str]) {
    eventually(&format!("zfs {}", arguments.join(" ")), || {
        lab.try_zfs(arguments).status.success()
    });
    if let ["rename", old, _] = arguments {
        eventually(&format!("{old} is mounted no longer"), || {
            let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
            !mounts.lines().any(|line| {
                let source = line.split(' ').next().unwrap_or("");
                source == *old || source.starts_with(&format!("{old}/"))
            })
        });
    }
}

#[test]
fn a_second_listing_asks_only_for_the_active_pool_and_the_running_jails() {
    let Some((lab, plugin)) = listed_lab() else {
        return;
    };
    for action in ["listjails", "listtemplates", "listplugins"] {
        lab.forget_commands();
        plugin.ask_for(action);
        let mut commands: Vec<String> =
            lab.commands().iter().map(|words| words.join(" ")).collect();
        commands.sort();
        assert_eq!(
            commands,
            [
                "jls --libxo json -v",
                "zfs list -H -d 0 -o name,org.freebsd.ioc:active"
            ],
            "{action}"
        );
    }
}

#[test]
fn of_jails_whose_settings_changed_zfs_is_asked_only_if_they_may_be_others() {
    let Some((lab, plugin)) = listed_lab() else {
        return;
    };
    let pool = lab.pool(0);
    let write = |boot: &str| {
        for name in ["a", "c"] {
            let config = json!({ "host_hostuuid": name, "boot": boot });
            fs::write(lab.config_file(pool, name), config.to_string()).unwrap();
        }
    };
    let asked_for = |boot: &str| {
        lab.forget_commands();
        assert_eq!(get(&plugin, "a", "boot"), boot);
        let commands = lab.commands();
        let commands: Vec<String> = commands.iter().map(|words| words.join(" ")).collect();
        commands
    };
    for boot in ["on", "off"] {
        write(boot);
        let commands = asked_for(boot);
        assert_eq!(commands.len(), 2, "{commands:?}");
    }
    // Somebody has made a folder beside theirs: perhaps a jail in the place of another.
    let folder = lab.iocage_root(pool).join("jails/x");
    fs::create_dir(&folder).unwrap();
    write("on");
    let commands = asked_for("on");
    let [a, c] = ["a", "c"].map(|name| dataset(&lab, &format!("jails/{name}")));
    let asked = format!("zfs list -H -r -d 1 -t filesystem -o name,origin {a} {c}");
    assert!(commands.contains(&asked), "{commands:?}");
    assert_eq!(commands.len(), 3, "{commands:?}");
    fs::remove_dir(&folder).unwrap();
    assert_eq!(names(&plugin), ["a", "b", "c"]);
    assert_eq!(get(&plugin, "b", "template"), "base");
    assert_eq!(get(&plugin, "c", "boot"), "on");
}

#[test]
fn many_who_act_at_once_look_together() {
    const MANY: usize = 16;
    let Some((lab, plugin)) = listed_lab() else {
        return;
    };
    lab.forget_commands();
    let barrier = std::sync::Barrier::new(MANY);
    std::thread::scope(|scope| {
        for _ in 0..MANY {
            scope.spawn(|| {
                barrier.wait();
                let args = json!({"action": "execjail", "jail": "a", "command": "true"});
                assert_eq!(error_of(&plugin.ask(&args)).0, "not_active");
            });
        }
    });
    // Each looks twice: before it has the jail, and then.
    let commands = lab.commands();
    let looks = commands.iter().filter(|words| words[0] == "jls").count();
    assert!((2..=MANY).contains(&looks), "{looks} looks for {MANY}");
}

#[test]
fn jails_made_destroyed_renamed_and_made_anew_are_seen_at_once() {
    let Some((lab, plugin)) = listed_lab() else {
        return;
    };
    let pool = lab.pool(0);
    assert_eq!(names(&plugin), ["a", "b", "c"]);

    lab.add_jail(pool, "d", Some("templates/base"), &jail("re0|10.0.0.4"));
    assert_eq!(names(&plugin), ["a", "b", "c", "d"]);
    assert_eq!(get(&plugin, "d", "template"), "base");

    patiently(
        &lab,
        &[
            "rename",
            &dataset(&lab, "jails/d"),
            &dataset(&lab, "jails/e"),
        ],
    );
    let config = lab.config_file(pool, "e");
    let renamed = fs::read_to_string(&config)
        .unwrap()
        .replace("\"d\"", "\"e\"");
    fs::write(&config, renamed).unwrap();
    assert_eq!(names(&plugin), ["a", "b", "c", "e"]);

    patiently(&lab, &["destroy", "-r", &dataset(&lab, "jails/e")]);
    assert_eq!(names(&plugin), ["a", "b", "c"]);

    // A template that is renamed is the same template for what was made from it.
    patiently(
        &lab,
        &[
            "rename",
            &dataset(&lab, "templates/base"),
            &dataset(&lab, "templates/thing"),
        ],
    );
    assert_eq!(get(&plugin, "b", "template"), "thing");
    patiently(
        &lab,
        &[
            "rename",
            &dataset(&lab, "templates/thing"),
            &dataset(&lab, "templates/base"),
        ],
    );
    assert_eq!(get(&plugin, "b", "template"), "base");

    // Destroyed and made again under the same name, of something else.
    patiently(&lab, &["destroy", "-r", &dataset(&lab, "jails/c")]);
    lab.add_jail(pool, "c", Some("templates/base"), &jail("re0|10.0.0.5"));
    assert_eq!(get(&plugin, "c", "template"), "base");
    assert_eq!(get(&plugin, "c", "ip4"), "re0|10.0.0.5");

    // And once more when nothing else has changed for long.
    std::thread::sleep(Duration::from_millis(2100));
    assert_eq!(get(&plugin, "c", "template"), "base");
    patiently(&lab, &["destroy", "-r", &dataset(&lab, "jails/c")]);
    lab.add_jail(pool, "c", None, &jail("re0|10.0.0.5"));
    assert_eq!(get(&plugin, "c", "template"), "-");
}

#[test]
fn jails_started_and_stopped_are_seen_at_once() {
    let Some((lab, plugin)) = listed_lab() else {
        return;
    };
    assert_eq!(get(&plugin, "a", "state"), "down");
    lab.set_running(&[(9, "a")]);
    assert_eq!(get(&plugin, "a", "state"), "up");
    assert_eq!(get(&plugin, "a", "jid"), "9");
    lab.set_running(&[(10, "a")]);
    assert_eq!(get(&plugin, "a", "jid"), "10");
    lab.set_running(&[]);
    assert_eq!(get(&plugin, "a", "state"), "down");
}

#[test]
fn a_config_edited_in_place_replaced_removed_and_restored_is_seen_at_once() {
    let Some((lab, plugin)) = listed_lab() else {
        return;
    };
    let file = lab.config_file(lab.pool(0), "a");
    let before = fs::read_to_string(&file).unwrap();
    // Of the same length each, several within one second, so that only the content differs.
    for round in 0..30 {
        let address = format!("re0|10.0.9.{}", 10 + round);
        let text = before.replace("re0|10.0.0.1\"", &format!("{address}\""));
        if round % 3 == 0 {
            let new = file.with_extension("new");
            fs::write(&new, text).unwrap();
            fs::rename(&new, &file).unwrap(); // as iocage writes
        } else {
            fs::write(&file, text).unwrap();
        }
        assert_eq!(get(&plugin, "a", "ip4"), address);
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(get(&plugin, "a", "state"), "CORRUPT");
    fs::write(&file, "{").unwrap();
    assert_eq!(get(&plugin, "a", "state"), "CORRUPT");
    fs::write(&file, &before).unwrap();
    assert_eq!(get(&plugin, "a", "ip4"), "re0|10.0.0.1");
}

#[test]
fn a_settled_config_edited_to_the_same_length_with_the_time_put_back_is_seen() {
    let Some((lab, plugin)) = listed_lab() else {
        return;
    };
    let file = lab.config_file(lab.pool(0), "a");
    let before = fs::read_to_string(&file).unwrap();
    let times = fs::metadata(&file).unwrap();
    fs::write(&file, before.replace("10.0.0.1", "10.0.0.7")).unwrap();
    let times = fs::FileTimes::new()
        .set_accessed(times.accessed().unwrap())
        .set_modified(times.modified().unwrap());
    let open = fs::OpenOptions::new().write(true).open(&file).unwrap();
    open.set_times(times).unwrap();
    assert_eq!(get(&plugin, "a", "ip4"), "re0|10.0.0.7");
}

#[test]
fn the_defaults_are_seen_at_once() {
    let Some((lab, plugin)) = listed_lab() else {
        return;
    };
    assert_eq!(get(&plugin, "a", "boot"), "off");
    let file = lab.iocage_root(lab.pool(0)).join("defaults.json");
    fs::write(&file, json!({ "boot": 1 }).to_string()).unwrap();
    assert_eq!(get(&plugin, "a", "boot"), "on");
    fs::remove_file(&file).unwrap();
    assert_eq!(get(&plugin, "a", "boot"), "off");
}

#[test]
fn mounts_that_come_go_and_move_are_seen_at_once() {
    let Some((lab, plugin)) = listed_lab() else {
        return;
    };
    let (jail, elsewhere) = (dataset(&lab, "jails/a"), lab.dir().join("mnt/elsewhere"));
    let root = format!("{jail}/root");

    patiently(&lab, &["unmount", &root]);
    patiently(&lab, &["unmount", &jail]);
    assert_eq!(get(&plugin, "a", "state"), "unmounted");
    assert_eq!(get(&plugin, "a", "ip4"), "N/A");

    // What was never mounted leaves no trace in the mount table, so it may be seen late; whoever
    // changes something sees it at once.
    let change = json!({ "action": "activatepool", "pool": lab.pool(0) });
    lab.zfs(&["create", "-o", "mountpoint=none", &dataset(&lab, "jails/f")]);
    plugin.ask(&change);
    assert_eq!(names(&plugin), ["a", "b", "c", "f"]);
    lab.zfs(&["destroy", &dataset(&lab, "jails/f")]);
    plugin.ask(&change);
    assert_eq!(names(&plugin), ["a", "b", "c"]);

    lab.zfs(&["mount", &jail]);
    assert_eq!(get(&plugin, "a", "ip4"), "re0|10.0.0.1");

    let mountpoint = format!("mountpoint={}", elsewhere.display());
    patiently(&lab, &["set", &mountpoint, &jail]);
    assert_eq!(get(&plugin, "a", "ip4"), "re0|10.0.0.1");
    let moved = elsewhere.join("config.json");
    let text = fs::read_to_string(&moved).unwrap();
    fs::write(&moved, text.replace("10.0.0.1", "10.0.0.8")).unwrap();
    assert_eq!(get(&plugin, "a", "ip4"), "re0|10.0.0.8");
}

#[test]
fn a_jail_that_is_not_mounted_keeps_the_listing_warm() {
    let Some((lab, plugin)) = listed_lab() else {
        return;
    };
    for part in ["/root", ""] {
        patiently(
            &lab,
            &["unmount", &dataset(&lab, &format!("jails/a{part}"))],
        );
    }
    assert_eq!(get(&plugin, "a", "state"), "unmounted");
    for action in ["listjails", "listplugins"] {
        lab.forget_commands();
        plugin.ask_for(action);
        let commands = lab.commands();
        let walks = |words: &&Vec<String>| words.iter().any(|word| word == "-r");
        assert_eq!(commands.iter().filter(walks).count(), 0, "{commands:?}");
        assert_eq!(commands.len(), 2, "{commands:?}");
    }
}

#[test]
fn another_active_pool_and_one_that_goes_and_comes_back_are_seen_at_once() {
    let Some((lab, plugin)) = listed_lab() else {
        return;
    };
    let (pool, other) = (lab.pool(0), lab.pool(1));
    lab.lay_out(other);
    lab.add_jail(other, "z", None, &jail("re0|10.0.0.26"));

    // By somebody else.
    lab.mark(pool, false);
    lab.mark(other, true);
    assert_eq!(names(&plugin), ["z"]);
    lab.mark(other, false);
    assert_eq!(error_of(&plugin.ask_for("listjails")).0, "not_active");
    lab.mark(pool, true);
    assert_eq!(names(&plugin), ["a", "b", "c"]);

    lab.export(pool);
    assert_eq!(error_of(&plugin.ask_for("listjails")).0, "not_active");
    lab.import(pool);
    assert_eq!(names(&plugin), ["a", "b", "c"]);
    let file = lab.config_file(pool, "a");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("10.0.0.1", "10.0.0.9")).unwrap();
    assert_eq!(get(&plugin, "a", "ip4"), "re0|10.0.0.9");
}

#[test]
fn a_promotion_is_seen_after_half_a_minute_or_a_change_of_our_own() {
    let Some((lab, plugin)) = listed_lab() else {
        return;
    };
    assert_eq!(get(&plugin, "b", "template"), "base");
    lab.zfs(&["promote", &dataset(&lab, "jails/b/root")]);
    // It leaves no trace, so it may be seen late; whoever changes something sees it at once.
    plugin.ask(&json!({ "action": "activatepool", "pool": lab.pool(0) }));
    assert_eq!(get(&plugin, "b", "template"), "-");

    // A jail made from the template before is now one made from that jail. Half a minute is the
    // promise, and the only time in the tests that has to be waited for.
    lab.zfs(&["promote", &dataset(&lab, "templates/base/root")]);
    std::thread::sleep(Duration::from_secs(31));
    assert_eq!(get(&plugin, "b", "template"), "base");
}
