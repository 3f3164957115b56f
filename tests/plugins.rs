//! Clones of plugin indexes, whatever became of their repository or of the last try.

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use common::{run, Instance};
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
    fs::remove_dir_all(lab.dir().join("repository/.git")).unwrap();
    for ids in [["new", "newer"], ["new", "newest"]] {
        lab.publish(&index(&ids), &[]);
        assert_eq!(refresh(&plugin)["success"], "true");
        assert_eq!(
            listed(&plugin),
            (ids.map(String::from).to_vec(), Value::Null)
        );
        run(Command::new("git")
            .arg("-C")
            .arg(lab.dir().join("repository"))
            .args(["-c", "user.name=lab", "-c", "user.email=lab@localhost"])
            .args(["commit", "--quiet", "--amend", "-m", "another"]));
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
    fs::rename(lab.dir().join("repository"), lab.dir().join("gone")).unwrap();
    assert_eq!(refresh(&plugin)["success"], "false");
    for plugin in [&plugin, &Instance::of(&lab)] {
        let (ids, error) = listed(plugin);
        assert_eq!(ids, ["known"]);
        assert!(
            error.as_str().unwrap().contains("iocage-ix-plugins"),
            "{error}"
        );
    }
    fs::rename(lab.dir().join("gone"), lab.dir().join("repository")).unwrap();
    assert_eq!(refresh(&plugin)["success"], "true");
    assert_eq!(listed(&plugin), (vec!["known".into()], Value::Null));
}
