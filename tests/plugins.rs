//! Clones of plugin indexes, whatever became of their repository or of the last try.

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use common::{error_of, run, Instance};
use serde_json::{json, Value};
use sysadm_iocage_lab::Lab;

const REFRESH: &str = "sysadm_iocage_refresh_plugins_github_com_freenas_iocage-ix-plugins_git";

fn lab() -> Option<(Lab, Instance)> {
    let lab = Lab::or_skip(1)?;
    lab.lay_out(lab.pool(0));
    lab.mark(lab.pool(0), true);
    let plugin = Instance::of(&lab);
    Some((lab, plugin))
}

fn index(ids: &[&str]) -> Value {
    ids.iter()
        .map(|id| (id.to_string(), json!({ "name": id })))
        .collect()
}

/// Refreshes the index, and gives the last event of that.
fn refresh(plugin: &Instance) -> Value {
    let answer = plugin.ask(&json!({"action": "listplugins", "refresh": true}));
    assert_eq!(
        answer["started_dispatcher_id"],
        json!([REFRESH]),
        "{answer}"
    );
    plugin.wait_for_job(REFRESH)
}

/// The ids that are listed, and why there may be others.
fn listed(plugin: &Instance) -> (Vec<String>, Value) {
    let answer = plugin.ask_for("listplugins");
    let ids = answer["remote"].as_object().unwrap();
    (
        ids.keys().cloned().collect(),
        answer["remote_error"].clone(),
    )
}

/// The folder of our own clones.
fn clones(lab: &Lab) -> PathBuf {
    lab.dir()
        .join("state/plugins/github_com_freenas_iocage-ix-plugins_git")
}

#[test]
fn a_repository_that_rewrote_its_history_is_followed() {
    let Some((lab, plugin)) = lab() else { return };
    lab.publish(&index(&["old"]), &[]);
    assert_eq!(refresh(&plugin)["success"], "true");
    assert_eq!(listed(&plugin), (vec!["old".into()], Value::Null));
    // Nothing of what was cloned before is in it.
    fs::remove_dir_all(lab.repository().join(".git")).unwrap();
    for ids in [["new", "newer"], ["new", "newest"]] {
        lab.publish(&index(&ids), &[]);
        assert_eq!(refresh(&plugin)["success"], "true");
        assert_eq!(
            listed(&plugin),
            (ids.map(String::from).to_vec(), Value::Null)
        );
        lab.git(&["commit", "--quiet", "--amend", "-m", "another"]);
    }
    // Of all the clones one more than the one that counts is left at most.
    assert!(fs::read_dir(clones(&lab)).unwrap().count() <= 2);
}

#[test]
fn a_clone_that_was_interrupted_hides_none_and_is_done_anew() {
    let Some((lab, plugin)) = lab() else { return };
    lab.publish(&index(&["whole"]), &[]);
    refresh(&plugin);
    for content in [None, Some(""), Some("{\"wh")] {
        let half = clones(&lab).join("77");
        fs::create_dir_all(half.join(".git")).unwrap();
        fs::write(half.join(".git/index.lock"), "").unwrap();
        if let Some(content) = content {
            fs::write(half.join("INDEX"), content).unwrap();
        }
        assert_eq!(listed(&plugin), (vec!["whole".into()], Value::Null));
        assert_eq!(refresh(&plugin)["success"], "true", "{content:?}");
        assert!(!half.exists(), "{content:?}");
        assert_eq!(listed(&plugin), (vec!["whole".into()], Value::Null));
    }
}

#[test]
fn a_refresh_that_fails_is_told_and_the_last_list_stays() {
    let Some((lab, plugin)) = lab() else { return };
    lab.publish(&index(&["known"]), &[]);
    refresh(&plugin);
    fs::rename(lab.repository(), lab.dir().join("gone")).unwrap();
    assert_eq!(refresh(&plugin)["success"], "false");
    for plugin in [&plugin, &Instance::of(&lab)] {
        let (ids, error) = listed(plugin);
        assert_eq!(ids, ["known"]);
        assert!(
            error.as_str().unwrap().contains("iocage-ix-plugins"),
            "{error}"
        );
    }
    fs::rename(lab.dir().join("gone"), lab.repository()).unwrap();
    assert_eq!(refresh(&plugin)["success"], "true");
    assert_eq!(listed(&plugin), (vec!["known".into()], Value::Null));
}

/// A lab whose repository has four branches, each with a plugin of its name, and `stable` as the
/// default one.
fn lab_with_branches() -> Option<(Lab, Instance)> {
    let (lab, plugin) = lab()?;
    lab.publish(&index(&["master"]), &[]);
    lab.publish_branch("13.2-RELEASE", &index(&["thirteen"]), false);
    lab.publish_branch("15.0-RELEASE", &index(&["fifteen"]), false);
    lab.publish_branch("stable", &index(&["stable"]), true);
    Some((lab, plugin))
}

/// iocage's own clone, made and brought to a branch as iocage does it.
fn clone_as_iocage(lab: &Lab, branch: &str) -> PathBuf {
    let clone = lab.index_clone(lab.pool(0));
    let _ = fs::remove_dir_all(&clone);
    // zfs-fuse counts whole seconds: what is newer than a file elsewhere has to have another one.
    std::thread::sleep(Duration::from_secs(1));
    run(Command::new("git")
        .args(["clone", "--quiet"])
        .arg(lab.repository())
        .arg(&clone));
    let git = |words: &[&str]| run(Command::new("git").arg("-C").arg(&clone).args(words));
    git(&["checkout", "--quiet", branch]);
    clone
}

fn create(plugin: &Instance, id: &str) -> Value {
    let ip4 = "10.20.0.130/24";
    plugin.ask(&json!({"action": "createplugin", "plugin": id, "net_device": "re0", "ip4": ip4}))
}

#[test]
fn the_branch_that_the_installed_iocage_takes_is_the_one_that_counts() {
    let Some((lab, plugin)) = lab_with_branches() else {
        return;
    };
    for (version, userland, branch) in [
        ("1.13", "13.2-RELEASE-p9", "thirteen"),
        ("1.2", "13.2-STABLE", "thirteen"),
        ("1.1", "13.2-RELEASE", "thirteen"),
        ("1.0", "15-CURRENT", "fifteen"),
        ("1.13", "15.0-RELEASE", "fifteen"),
        // There is no such branch.
        ("1.13", "14.1-RELEASE-p5", "master"),
        ("1.0", "14.1-RELEASE-p5", "master"),
        // HardenedBSD.
        ("1.13", "13.2-RELEASE-HBSD", "master"),
        ("0.9.10", "13.2-RELEASE-p9", "stable"),
        ("0.9.9", "15.0-RELEASE", "stable"),
    ] {
        lab.set_iocage_version(version);
        lab.set_userland(userland);
        assert_eq!(refresh(&plugin)["success"], "true");
        let expected = (vec![branch.to_string()], Value::Null);
        assert_eq!(listed(&plugin), expected, "{version} on {userland}");
    }
}

#[test]
fn another_host_release_needs_no_new_clone() {
    let Some((lab, plugin)) = lab_with_branches() else {
        return;
    };
    refresh(&plugin);
    assert_eq!(listed(&plugin).0, ["thirteen"]);
    let missing = create(&plugin, "master");
    assert_eq!(error_of(&missing).0, "not_found", "{missing}");
    assert!(error_of(&missing).1.contains("\"master\""), "{missing}");
    fs::rename(lab.repository(), lab.dir().join("gone")).unwrap();
    for (userland, branch) in [("14.1-RELEASE", "master"), ("15.0-RELEASE", "fifteen")] {
        lab.set_userland(userland);
        for plugin in [&plugin, &Instance::of(&lab)] {
            assert_eq!(listed(plugin), (vec![branch.into()], Value::Null));
        }
    }
    assert!(create(&plugin, "fifteen")["started_dispatcher_id"].is_string());
}

#[test]
fn iocages_clone_counts_where_it_is_newer_and_has_the_right_branch() {
    let Some((lab, plugin)) = lab_with_branches() else {
        return;
    };
    clone_as_iocage(&lab, "master");
    let (ids, error) = listed(&plugin);
    assert_eq!(ids, [""; 0]);
    let why = "no clone of it has branch 13.2-RELEASE on disk yet";
    assert!(error.as_str().unwrap().contains(why), "{error}");
    plugin.wait_for_job(REFRESH);
    refresh(&plugin);
    assert_eq!(listed(&plugin).0, ["thirteen"]);
    lab.publish_branch("13.2-RELEASE", &index(&["newer"]), true);
    for (branch, expected) in [
        ("13.2-RELEASE", "newer"),
        // What is newest is on the wrong branch.
        ("15.0-RELEASE", "thirteen"),
        ("master", "thirteen"),
    ] {
        clone_as_iocage(&lab, branch);
        assert_eq!(listed(&plugin), (vec![expected.into()], Value::Null));
    }
    // One that does not know of the branch yet: iocage asks that before it fetches, and takes master.
    let clone = clone_as_iocage(&lab, "master");
    let git = |words: &[&str]| run(Command::new("git").arg("-C").arg(&clone).args(words));
    git(&["branch", "--quiet", "-r", "-d", "origin/13.2-RELEASE"]);
    assert_eq!(listed(&plugin), (vec!["master".into()], Value::Null));
}

#[test]
fn before_1_2_iocage_takes_its_own_clone_as_it_is() {
    let Some((lab, plugin)) = lab_with_branches() else {
        return;
    };
    for version in ["0.9.10", "1.1"] {
        lab.set_iocage_version(version);
        let _ = fs::remove_dir_all(lab.index_clone(lab.pool(0)));
        refresh(&plugin);
        let (ids, _) = listed(&plugin);
        clone_as_iocage(&lab, "15.0-RELEASE");
        assert_eq!(listed(&plugin), (vec!["fifteen".into()], Value::Null));
        assert_eq!(error_of(&create(&plugin, &ids[0])).0, "not_found");
        let job = create(&plugin, "fifteen")["started_dispatcher_id"].clone();
        plugin.wait_for_job(job.as_str().unwrap());
    }
}

#[test]
fn a_repository_without_iocages_branches_is_told_of() {
    let Some((lab, plugin)) = lab() else { return };
    lab.publish(&index(&["x"]), &[]);
    lab.git(&["branch", "--quiet", "-m", "main"]);
    assert_eq!(refresh(&plugin)["success"], "true");
    let (ids, error) = listed(&plugin);
    assert_eq!(ids, [""; 0]);
    let why = "no clone of it has branch 13.2-RELEASE or master, which this iocage takes";
    assert!(error.as_str().unwrap().contains(why), "{error}");
}

#[test]
fn where_iocage_cannot_be_asked_every_branch_counts() {
    let Some((lab, plugin)) = lab_with_branches() else {
        return;
    };
    lab.set_fault("freebsd-version", Some("exit 1"));
    refresh(&plugin);
    assert_eq!(listed(&plugin), (vec!["stable".into()], Value::Null));
    lab.set_fault("freebsd-version", None);
    assert_eq!(listed(&plugin), (vec!["thirteen".into()], Value::Null));
}

#[test]
fn a_clone_of_one_branch_of_an_earlier_library_is_made_anew() {
    let Some((lab, plugin)) = lab_with_branches() else {
        return;
    };
    let clone = clones(&lab).join("1");
    run(Command::new("git")
        .args(["clone", "--quiet", "--depth", "1"])
        .arg(format!("file://{}", lab.repository().display()))
        .arg(&clone));
    assert_eq!(listed(&plugin).0, [""; 0]);
    plugin.wait_for_job(REFRESH);
    assert_eq!(listed(&plugin), (vec!["thirteen".into()], Value::Null));
}
