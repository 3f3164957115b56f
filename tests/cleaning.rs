//! `cleanreleases` and `cleantemplates`: nothing that a user did not ask to lose is lost.

mod common;

use common::{error_of, eventually, Instance};
use serde_json::{json, Value};
use sysadm_iocage_lab::Lab;

fn datasets(lab: &Lab) -> Vec<String> {
    let list = lab.zfs(&[
        "list",
        "-H",
        "-r",
        "-t",
        "filesystem",
        "-o",
        "name",
        lab.pool(0),
    ]);
    list.lines().map(String::from).collect()
}

fn clean(plugin: &Instance, action: &str, options: Value) -> Value {
    let mut args = options;
    args["action"] = json!(action);
    plugin.ask(&args)
}

/// A lab with two releases, a template, and jails made from each.
fn lab_with_clones() -> Option<Lab> {
    let lab = Lab::or_skip(1)?;
    let pool = lab.pool(0);
    lab.lay_out(pool);
    lab.mark(pool, true);
    for release in ["10.3-RELEASE", "13.2-RELEASE"] {
        lab.add_release(pool, release);
    }
    let none = json!({});
    lab.add_template(
        pool,
        "base",
        Some("releases/13.2-RELEASE"),
        &json!({"type": "template"}),
    );
    lab.add_jail(pool, "web", Some("releases/13.2-RELEASE"), &none);
    lab.add_jail(pool, "from-base", Some("templates/base"), &none);
    lab.add_jail(pool, "copy", Some("jails/from-base"), &none);
    let base = json!({"basejail": 1, "release": "10.3-RELEASE-p9"});
    lab.add_jail(pool, "mounts-release", None, &base);
    lab.add_jail(pool, "thick", None, &json!({"release": "10.3-RELEASE"}));
    Some(lab)
}

#[test]
fn releases_in_use_are_kept_unless_forced() {
    let Some(lab) = lab_with_clones() else { return };
    let pool = lab.pool(0);
    let plugin = Instance::of(&lab);
    // A clone that somebody made outside iocage goes too, so it counts.
    let outside = format!("{pool}/mine");
    lab.zfs(&[
        "clone",
        &format!("{pool}/iocage/releases/13.2-RELEASE/root@web"),
        &outside,
    ]);
    let before = datasets(&lab);

    lab.forget_commands();
    for options in [
        json!({}),
        json!({"force": false}),
        json!({"force": "false"}),
    ] {
        let answer = clean(&plugin, "cleanreleases", options);
        let (code, message) = error_of(&answer);
        assert_eq!(code, "in_use");
        for name in [
            "web",
            "from-base",
            "copy",
            "mounts-release",
            "base",
            &outside,
        ] {
            assert!(message.contains(name), "{name} is not in: {message}");
        }
        assert!(!message.contains("thick"), "{message}");
    }
    let listed = clean(
        &plugin,
        "cleanreleases",
        json!({"dryrun": true, "force": true}),
    );
    assert_eq!(
        listed,
        json!({"dryrun": "true", "would_destroy": {
            "releases": ["10.3-RELEASE", "13.2-RELEASE"],
            "jails": ["copy", "from-base", "web"],
            "templates": ["base"],
            "datasets": [outside],
        }, "would_break": {"jails": ["mounts-release"], "templates": []}})
    );
    assert_eq!(datasets(&lab), before);
    assert!(lab
        .commands()
        .iter()
        .all(|words| words[..2] == ["zfs", "list"] || words[0] == "jls"));

    let answer = clean(&plugin, "cleanreleases", json!({"force": true}));
    assert_eq!(
        answer,
        json!({"success": "All RELEASEs have been cleaned."})
    );
    let commands = lab.commands();
    assert!(!commands.iter().any(|words| words[0] == "iocage"));
    let destroys = |words: &&Vec<String>| words[1] == "destroy";
    assert!(commands
        .iter()
        .filter(destroys)
        .all(|words| words[2] == "-r" && words.len() == 4));
    // What was announced is gone wholly, and nothing else is.
    let gone = |name: &String| {
        let announced = [
            "jails/copy",
            "jails/from-base",
            "jails/web",
            "templates/base",
        ];
        let is_part = |part: &&str| {
            let dataset = format!("{pool}/iocage/{part}");
            name.strip_prefix(&dataset)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        name.contains("RELEASE") || *name == outside || announced.iter().any(is_part)
    };
    let expected: Vec<String> = before.into_iter().filter(|name| !gone(name)).collect();
    assert_eq!(datasets(&lab), expected);
    let jails = plugin.ask_for("listjails")["jails"].clone();
    let jails: Vec<&String> = jails.as_object().unwrap().keys().collect();
    assert_eq!(jails, ["mounts-release", "thick"]);
}

#[test]
fn templates_in_use_are_kept_unless_forced() {
    let Some(lab) = lab_with_clones() else { return };
    let pool = lab.pool(0);
    let plugin = Instance::of(&lab);
    lab.add_jail(pool, "copied", None, &json!({"source_template": "base"}));
    let before = datasets(&lab);
    let answer = clean(&plugin, "cleantemplates", json!({}));
    let (code, message) = error_of(&answer);
    assert_eq!(code, "in_use");
    assert!(
        ["from-base", "copy"]
            .iter()
            .all(|name| message.contains(name)),
        "{message}"
    );
    // A thick jail does not depend on the template that it was once made from.
    assert!(
        !message.contains("web") && !message.contains("copied"),
        "{message}"
    );
    assert_eq!(datasets(&lab), before);

    let answer = clean(&plugin, "cleantemplates", json!({"force": true}));
    assert_eq!(
        answer,
        json!({"success": "All templates have been cleaned."})
    );
    let left = datasets(&lab);
    for jail in ["web", "copied"] {
        assert!(left.contains(&format!("{pool}/iocage/jails/{jail}/root")));
    }
    assert!(
        !left.iter().any(|name| name.contains("templates/")),
        "{left:?}"
    );
    // Nobody was made from a template that is left, so now it takes no force.
    let answer = clean(&plugin, "cleantemplates", json!({}));
    assert_eq!(
        answer,
        json!({"success": "All templates have been cleaned."})
    );
}

#[test]
fn unused_releases_go_without_force_and_a_failure_is_told() {
    let Some(lab) = Lab::or_skip(1) else { return };
    let pool = lab.pool(0);
    lab.lay_out(pool);
    let plugin = Instance::of(&lab);
    assert_eq!(
        error_of(&clean(&plugin, "cleanreleases", json!({}))).0,
        "not_active"
    );
    lab.mark(pool, true);
    lab.add_release(pool, "13.2-RELEASE");

    // A zfs that does nothing and says that all is well; then one that fails.
    for (fault, part) in [
        ("[ $1 != destroy ] || exit 0", "still there: 13.2-RELEASE"),
        ("[ $1 != destroy ] || { echo no >&2; exit 1; }", "no"),
    ] {
        lab.set_fault("zfs", Some(fault));
        let answer = clean(&plugin, "cleanreleases", json!({}));
        let (code, message) = error_of(&answer);
        assert!(code == "failed" && message.contains(part), "{message}");
    }
    lab.set_fault("zfs", None);
    let answer = clean(&plugin, "cleanreleases", json!({}));
    assert_eq!(
        answer,
        json!({"success": "All RELEASEs have been cleaned."})
    );
    assert_eq!(plugin.ask_for("listreleases")["local"], json!([]));
}

/// A lab with a release and one member that uses it in a way of its own.
fn lab_with(family: &str, config: &Value, fstab: &str) -> Option<Lab> {
    let lab = Lab::or_skip(1)?;
    let pool = lab.pool(0);
    lab.lay_out(pool);
    lab.mark(pool, true);
    lab.add_release(pool, "13.2-RELEASE");
    match family {
        "templates" => lab.add_template(pool, "user", None, config),
        _ => lab.add_jail(pool, "user", None, config),
    }
    let root = lab.iocage_root(pool);
    let fstab = fstab.replace("ROOT", root.to_str().unwrap());
    std::fs::write(root.join(family).join("user/fstab"), fstab).unwrap();
    Some(lab)
}

#[test]
fn whoever_may_use_a_release_in_any_way_is_asked_first() {
    let mounts =
        "ROOT/releases/13.2-RELEASE/root/bin\tROOT/jails/user/root/bin\tnullfs\tro\t0\t0\n";
    let (none, base) = (
        json!({}),
        json!({"basejail": 1, "cloned_release": "13.2-RELEASE"}),
    );
    let old = json!({"type": "basejail", "release": "13.2-RELEASE-p9"});
    for (family, config, fstab, broken, why) in [
        ("jails", &none, mounts, "", "fstab alone"),
        ("templates", &none, mounts, "", "the fstab of a template"),
        ("templates", &base, "", "", "a template that is a base jail"),
        ("jails", &old, "", "", "a base jail of old configurations"),
        (
            "jails",
            &none,
            "",
            "config.json",
            "a configuration that cannot be read",
        ),
        ("jails", &none, "", "fstab", "an fstab that cannot be read"),
        (
            "jails",
            &none,
            "",
            "unmounted",
            "a jail that is not mounted",
        ),
    ] {
        let Some(lab) = lab_with(family, config, fstab) else {
            return;
        };
        let pool = lab.pool(0);
        let folder = lab.iocage_root(pool).join(family).join("user");
        match broken {
            "" => {}
            "unmounted" => {
                for part in ["/root", ""] {
                    lab.zfs(&["unmount", &format!("{pool}/iocage/jails/user{part}")]);
                }
            }
            file => {
                std::fs::remove_file(folder.join(file)).unwrap();
                std::fs::create_dir(folder.join(file)).unwrap();
            }
        }
        let plugin = Instance::of(&lab);
        let before = datasets(&lab);
        let answer = clean(&plugin, "cleanreleases", json!({}));
        let (code, message) = error_of(&answer);
        assert_eq!(code, "in_use", "{why}: {message}");
        assert!(message.contains("user"), "{why}: {message}");
        assert_eq!(datasets(&lab), before, "{why}");
        // It stays with force too: only the release goes.
        let answer = clean(&plugin, "cleanreleases", json!({"force": true}));
        assert!(answer["success"].is_string(), "{why}: {answer}");
        let left = datasets(&lab);
        assert!(
            left.contains(&format!("{pool}/iocage/{family}/user/root")),
            "{why}"
        );
        assert!(!left.iter().any(|name| name.contains("RELEASE")), "{why}");
    }
}

#[test]
fn a_running_jail_is_never_destroyed_from_under_itself() {
    let Some(lab) = lab_with_clones() else { return };
    let plugin = Instance::of(&lab);
    let before = datasets(&lab);
    for (runs, actions) in [
        ("copy", &["cleanreleases", "cleantemplates"][..]),
        ("mounts-release", &["cleanreleases"]),
    ] {
        lab.set_running(&[(5, runs)]);
        for action in actions {
            let answer = clean(&plugin, action, json!({"force": true}));
            let (code, message) = error_of(&answer);
            assert_eq!(code, "in_use", "{message}");
            assert!(
                message.contains(&format!("running jail {runs}")),
                "{message}"
            );
            assert_eq!(datasets(&lab), before, "{action}");
        }
    }
    let listed = clean(&plugin, "cleanreleases", json!({"dryrun": true}));
    assert_eq!(listed["running"], json!(["mounts-release"]));
    lab.set_running(&[(5, "thick")]);
    let answer = clean(&plugin, "cleanreleases", json!({"force": true}));
    assert!(answer["success"].is_string(), "{answer}");
}

#[test]
fn a_clone_that_was_made_meanwhile_is_not_destroyed() {
    let Some(lab) = Lab::or_skip(1) else { return };
    let pool = lab.pool(0);
    lab.lay_out(pool);
    lab.mark(pool, true);
    lab.add_release(pool, "13.2-RELEASE");
    let plugin = Instance::of(&lab);
    let release = format!("{pool}/iocage/releases/13.2-RELEASE/root@late");
    let late = format!("{pool}/iocage/jails/late");
    let fault = format!(
        "if [ $1 = destroy ] && [ ! -e $lab/late ]; then touch $lab/late
           $lab/real/zfs snapshot {release}; $lab/real/zfs clone {release} {late}; fi"
    );
    lab.set_fault("zfs", Some(&fault));
    let answer = clean(&plugin, "cleanreleases", json!({"force": true}));
    let (code, message) = error_of(&answer);
    assert_eq!(code, "in_use", "{message}");
    assert!(datasets(&lab).contains(&late), "{message}");
}

#[test]
fn what_was_destroyed_is_told_in_order_with_detail() {
    let Some(lab) = lab_with_clones() else { return };
    let pool = lab.pool(0);
    // The download of a release goes with it; one without its release has only its own name.
    for release in ["13.2-RELEASE", "9.3-RELEASE"] {
        lab.zfs(&["create", &format!("{pool}/iocage/download/{release}")]);
    }
    let outside = format!("{pool}/mine");
    let snapshot = format!("{pool}/iocage/releases/13.2-RELEASE/root@web");
    lab.zfs(&["clone", &snapshot, &outside]);
    let plugin = Instance::of(&lab);
    let before = datasets(&lab);

    // It changes nothing about what is refused, and nothing about a dry run.
    let answer = clean(&plugin, "cleanreleases", json!({"detail": true}));
    assert_eq!(error_of(&answer).0, "in_use");
    let answer = clean(&plugin, "cleanreleases", json!({"detail": "yes"}));
    assert_eq!(error_of(&answer).0, "invalid_argument");
    let dry_run = |detail: bool| {
        let options = json!({"dryrun": true, "force": true, "detail": detail});
        clean(&plugin, "cleanreleases", options)
    };
    assert_eq!(dry_run(true), dry_run(false));
    assert_eq!(datasets(&lab), before);

    let templates = json!("All templates have been cleaned.");
    let releases = json!("All RELEASEs have been cleaned.");
    let with_force = json!({"detail": true, "force": true});
    assert_eq!(
        clean(&plugin, "cleantemplates", with_force.clone()),
        json!({"success": templates, "destroyed": ["copy", "from-base", "base"]})
    );
    // Everything goes after what was cloned from it, and what can go at once goes by its name.
    assert_eq!(
        clean(&plugin, "cleanreleases", with_force),
        json!({
            "success": releases,
            "destroyed": ["9.3-RELEASE", "web", "10.3-RELEASE", &outside, "13.2-RELEASE"],
        })
    );

    // Where there is nothing to do, nothing was destroyed; without it, nothing is said of that.
    for detail in [json!(true), json!("true")] {
        for (action, done) in [("cleanreleases", &releases), ("cleantemplates", &templates)] {
            assert_eq!(
                clean(&plugin, action, json!({ "detail": detail })),
                json!({"success": done, "destroyed": []})
            );
            assert_eq!(
                clean(&plugin, action, json!({"detail": false})),
                json!({ "success": done })
            );
            assert_eq!(
                clean(&plugin, action, json!({})),
                json!({ "success": done })
            );
        }
    }
}

#[test]
fn a_jail_does_not_go_for_the_sake_of_a_part_of_it() {
    let Some(lab) = lab_with_clones() else { return };
    let pool = lab.pool(0);
    let plugin = Instance::of(&lab);
    // The jail thick is none of its own making; somebody has put a clone into it.
    let part = format!("{pool}/iocage/jails/thick/root/src");
    let release = format!("{pool}/iocage/releases/10.3-RELEASE/root@src");
    lab.zfs(&["snapshot", &release]);
    lab.zfs(&["clone", &release, &part]);
    let before = datasets(&lab);
    for force in [false, true] {
        let answer = clean(&plugin, "cleanreleases", json!({ "force": force }));
        let (code, message) = error_of(&answer);
        assert!(code == "in_use" && message.contains(&part), "{message}");
        let told = clean(
            &plugin,
            "cleanreleases",
            json!({"force": force, "dryrun": true}),
        );
        let why = told["would_refuse"][0].as_str().unwrap();
        assert!(why.contains(&part), "{told}");
        assert_eq!(datasets(&lab), before);
    }
    // When that is gone, the jail stays and the release goes.
    eventually("it is not busy", || {
        lab.try_zfs(&["destroy", &part]).status.success()
    });
    let answer = clean(&plugin, "cleanreleases", json!({"force": true}));
    assert!(answer["success"].is_string(), "{answer}");
    assert!(datasets(&lab).contains(&format!("{pool}/iocage/jails/thick/root")));
}

#[test]
fn what_somebody_holds_is_seen_before_anything_is_destroyed() {
    let Some(lab) = lab_with_clones() else { return };
    let pool = lab.pool(0);
    let plugin = Instance::of(&lab);
    // A clone of somebody's goes with its own snapshots.
    let mine = format!("{pool}/mine");
    let web = format!("{pool}/iocage/releases/13.2-RELEASE/root@web");
    lab.zfs(&["clone", &web, &mine]);
    lab.zfs(&["snapshot", &format!("{mine}@kept")]);
    let before = lab.datasets(&[pool]);
    for (action, held) in [
        ("cleanreleases", format!("{mine}@kept")),
        ("cleanreleases", web),
        (
            "cleantemplates",
            format!("{pool}/iocage/releases/13.2-RELEASE/root@base"),
        ),
        (
            "cleantemplates",
            format!("{pool}/iocage/templates/base/root@from-base"),
        ),
    ] {
        lab.zfs(&["hold", "backup", &held]);
        let hint = format!("held: {held} (\"zfs holds {held}\"");
        let answer = clean(&plugin, action, json!({"force": true}));
        let (code, message) = error_of(&answer);
        assert_eq!(code, "in_use", "{message}");
        assert!(message.contains(&hint), "{message}");
        let told = clean(&plugin, action, json!({"force": true, "dryrun": true}));
        let why = told["would_refuse"][0].as_str().unwrap();
        assert!(why.contains(&hint), "{told}");
        assert_eq!(lab.datasets(&[pool]), before, "{held}");
        lab.zfs(&["release", "backup", &held]);
    }
    // What was made for the template goes with it.
    let answer = clean(&plugin, "cleantemplates", json!({"force": true}));
    assert!(answer["success"].is_string(), "{answer}");
    let left = lab.datasets(&[pool]);
    let of_releases = left.iter().filter(|name| name.contains("/releases/"));
    let snapshots: Vec<_> = of_releases
        .filter_map(|name| name.split_once('@'))
        .collect();
    assert!(snapshots.iter().all(|(_, name)| *name == "web"), "{left:?}");
    let answer = clean(&plugin, "cleanreleases", json!({"force": true}));
    assert!(answer["success"].is_string(), "{answer}");
    assert!(!lab.datasets(&[pool]).contains(&mine));
}
