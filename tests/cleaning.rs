//! `cleanreleases` and `cleantemplates`: nothing that a user did not ask to lose is lost.

mod common;

use common::{error_of, Instance};
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
            "jails": ["copy", "from-base", "mounts-release", "web"],
            "templates": ["base"],
            "datasets": [outside],
        }})
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
    assert_eq!(
        lab.commands().last().unwrap()[0],
        "zfs",
        "it looked whether they are gone"
    );
    let left = datasets(&lab);
    let jail = |name: &str| format!("{pool}/iocage/jails/{name}/root");
    assert!(left.contains(&jail("thick")) && left.contains(&jail("mounts-release")));
    let gone = |name: &String| name.contains("RELEASE") || *name == jail("web") || *name == outside;
    assert!(!left.iter().any(gone), "{left:?}");
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
        ["from-base", "copy", "copied"]
            .iter()
            .all(|name| message.contains(name)),
        "{message}"
    );
    assert!(!message.contains("web"), "{message}");
    assert_eq!(datasets(&lab), before);

    let answer = clean(&plugin, "cleantemplates", json!({"force": true}));
    assert_eq!(
        answer,
        json!({"success": "All templates have been cleaned."})
    );
    let left = datasets(&lab);
    assert!(left.contains(&format!("{pool}/iocage/jails/web/root")));
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

    // An iocage that does nothing and says that all is well; then one that fails.
    for (fault, part) in [
        ("exit 0", "still there: 13.2-RELEASE"),
        ("echo no >&2; exit 1", "no"),
    ] {
        lab.set_fault("iocage", Some(fault));
        let answer = clean(&plugin, "cleanreleases", json!({}));
        let (code, message) = error_of(&answer);
        assert!(code == "failed" && message.contains(part), "{message}");
    }
    lab.set_fault("iocage", None);
    let answer = clean(&plugin, "cleanreleases", json!({}));
    assert_eq!(
        answer,
        json!({"success": "All RELEASEs have been cleaned."})
    );
    assert_eq!(plugin.ask_for("listreleases")["local"], json!([]));
}
