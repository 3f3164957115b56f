//! `fetchreleases` and `createplugin`: jobs of the host's dispatcher, and the plugin's own.

mod common;

use std::time::{Duration, Instant};

use common::dispatcher::Dispatcher;
use common::{error_of, eventually, processes, Instance};
use serde_json::{json, Value};
use sysadm_iocage_lab::Lab;

/// A host that refuses one release.
fn dispatcher() -> Dispatcher {
    Dispatcher {
        refuses: Some("9.9-RELEASE"),
        ..Dispatcher::default()
    }
}

fn lab() -> Option<Lab> {
    let lab = Lab::or_skip(1)?;
    let pool = lab.pool(0);
    lab.lay_out(pool);
    lab.mark(pool, true);
    lab.set_index(pool, include_str!("data/plugin-index.json"));
    Some(lab)
}

fn fetch(plugin: &Instance, releases: Value) -> Value {
    plugin.ask(&json!({"action": "fetchreleases", "releases": releases}))
}

fn create(plugin: &Instance, ip: Value) -> Value {
    let mut args = json!({"action": "createplugin", "plugin": "gitlab", "net_device": "re0"});
    for (key, value) in ip.as_object().unwrap() {
        args[key] = value.clone();
    }
    plugin.ask(&args)
}

#[test]
fn the_hosts_dispatcher_gets_the_jobs_each_once() {
    let Some(lab) = lab() else { return };
    let host = dispatcher();
    let plugin = Instance::open(&lab.config(), &host.callbacks());
    let iocage = lab.dir().join("bin/iocage").display().to_string();
    let id = |release: &str| format!("sysadm_iocage_fetch_release_{release}");

    let answer = fetch(&plugin, json!(["13.2-RELEASE", "9.3-RELEASE (EOL)"]));
    assert_eq!(
        answer,
        json!({"started_dispatcher_id": [id("13.2-RELEASE"), id("9.3-RELEASE")]})
    );
    let queued = host.queued.lock().unwrap()[&id("9.3-RELEASE")].clone();
    assert_eq!(queued, [&iocage, "fetch", "-r", "9.3-RELEASE"]);
    let answer = fetch(&plugin, json!(["13.2-RELEASE", "14.1-RELEASE"]));
    assert_eq!(
        answer,
        json!({
            "started_dispatcher_id": [id("14.1-RELEASE")],
            "already_running": [id("13.2-RELEASE")],
        })
    );

    let plugin_id = "sysadm_iocage_fetch_plugin_gitlab";
    for (version, words) in [
        (
            "1.13",
            "fetch -P gitlab -n gitlab vnet=0 ip4_addr=re0|10.0.0.5 ip6_addr=re0|::5/64",
        ),
        (
            "1.1",
            "fetch -P --name gitlab ip4_addr=re0|10.0.0.5 ip6_addr=re0|::5/64",
        ),
    ] {
        lab.set_iocage_version(version);
        lab.set_index(lab.pool(0), include_str!("data/plugin-index.json"));
        let answer = create(&plugin, json!({"ip4": "10.0.0.5", "ip6": "::5/64"}));
        assert_eq!(answer, json!({"started_dispatcher_id": plugin_id}));
        let queued = host.queued.lock().unwrap()[plugin_id].clone();
        assert_eq!(queued.join(" "), format!("{iocage} {words}"));
        let again = create(&plugin, json!({"ip4": "10.0.0.5"}));
        assert_eq!(error_of(&again).0, "conflict");
        host.queued.lock().unwrap().remove(plugin_id);
    }

    let answer = fetch(&plugin, json!("9.9-RELEASE"));
    assert_eq!(error_of(&answer).0, "failed");
    assert!(error_of(&answer).1.contains("refused"), "{answer}");
    let log = host.log.lock().unwrap();
    assert!(log.contains(&(6, format!("job {} started", id("13.2-RELEASE")))));
    assert!(log
        .iter()
        .any(|(level, text)| *level == 3 && text.contains("refused")));
    let run = lab.commands();
    assert!(
        !run.iter()
            .any(|words| words[0] == "iocage" && words[1] == "fetch"),
        "{run:?}"
    );
}

#[test]
fn without_an_active_pool_no_job_is_started() {
    let Some(lab) = lab() else { return };
    lab.mark(lab.pool(0), false);
    let host = dispatcher();
    let plugin = Instance::open(&lab.config(), &host.callbacks());
    assert_eq!(
        error_of(&fetch(&plugin, json!("13.2-RELEASE"))).0,
        "not_active"
    );
    assert_eq!(
        error_of(&create(&plugin, json!({"ip4": "10.0.0.5"}))).0,
        "not_active"
    );
    assert!(host.queued.lock().unwrap().is_empty());
}

#[test]
fn without_a_dispatcher_the_plugin_runs_them_itself_several_at_once() {
    let Some(lab) = lab() else { return };
    lab.set_pace("0.1");
    let plugin = Instance::of(&lab);
    let ids = ["13.2-RELEASE", "14.1-RELEASE"].map(|r| format!("sysadm_iocage_fetch_release_{r}"));
    let answer = fetch(&plugin, json!(["13.2-RELEASE", "14.1-RELEASE"]));
    assert_eq!(answer, json!({"started_dispatcher_id": ids}));
    let again = fetch(&plugin, json!(["14.1-RELEASE"]));
    assert_eq!(
        again,
        json!({"started_dispatcher_id": [], "already_running": [ids[1]]})
    );

    // The log is there while it grows, and the percentage grows file by file.
    let mut seen: Vec<(String, u32)> = Vec::new();
    let mut both_ran = false;
    eventually("the first fetch ends", || {
        let event = plugin.progress(&ids[0], None).unwrap();
        assert_eq!(event["process_details"]["process_id"], ids[0]);
        assert_eq!(event["event_system"], "sysadm/iocage");
        if let (Some(file), Some(percent)) =
            (event["filename"].as_str(), event["percent_done"].as_str())
        {
            let step = (file.to_string(), percent.parse().unwrap());
            if seen.last() != Some(&step) {
                seen.push(step);
            }
            assert_eq!(event["download_rate"], "12.5MB/s", "{event}");
        }
        if event["state"] == "finished" {
            assert_eq!(
                (&event["success"], &event["percent_done"]),
                (&json!("true"), &json!("100"))
            );
            return true;
        }
        both_ran |= plugin.progress(&ids[1], None).unwrap()["state"] == "running";
        false
    });
    assert!(both_ran && seen.len() > 5, "{seen:?}");
    for file in ["MANIFEST", "base.txz"] {
        let percents: Vec<u32> = seen
            .iter()
            .filter(|(name, _)| name == file)
            .map(|(_, percent)| *percent)
            .collect();
        assert!(percents.is_sorted(), "{file}: {percents:?}");
    }
    plugin.wait_for_job(&ids[1]);
    let releases = plugin.ask_for("listreleases");
    assert_eq!(releases["local"], json!(["13.2-RELEASE", "14.1-RELEASE"]));

    let failed = "sysadm_iocage_fetch_release_8.0-RELEASE";
    fetch(&plugin, json!("8.0-RELEASE"));
    let event = plugin.wait_for_job(failed);
    assert_eq!(event["success"], "false");
    assert!(
        event["error"]
            .as_str()
            .unwrap()
            .contains("8.0-RELEASE was not found!"),
        "{event}"
    );

    let answer = create(&plugin, json!({"ip4": "10.20.0.130"}));
    let id = answer["started_dispatcher_id"].as_str().unwrap();
    assert_eq!(plugin.wait_for_job(id)["success"], "true");
    let listed = &plugin.ask_for("listplugins")["local"]["gitlab_gitlab"];
    assert_eq!(listed["ip4"], "re0|10.20.0.130");
}

#[test]
fn what_is_there_decides_whether_a_fetch_has_worked() {
    let Some(lab) = lab() else { return };
    let words = "jail of another pool is corrupt";
    // The real one does so where it cannot read a jail of another pool.
    let fault = format!("\"$lab/real/iocage\" \"$@\"; echo {words} >&2; exit 1");
    let plugin = Instance::of(&lab);
    plugin.ask_for("listreleases");
    lab.set_fault("iocage", Some(&fault));
    for (release, worked) in [("13.2-RELEASE", "true"), ("8.0-RELEASE", "false")] {
        fetch(&plugin, json!(release));
        let event = plugin.wait_for_job(&format!("sysadm_iocage_fetch_release_{release}"));
        assert_eq!(event["success"], worked, "{event}");
        assert!(event["error"].as_str().unwrap().contains(words), "{event}");
    }
    // It was there before, but this time it did not come as far as that.
    lab.set_fault("iocage", Some("echo no network >&2; exit 1"));
    fetch(&plugin, json!("13.2-RELEASE"));
    let event = plugin.wait_for_job("sysadm_iocage_fetch_release_13.2-RELEASE");
    assert_eq!(event["success"], "false", "{event}");
}

#[test]
fn what_ends_well_and_has_made_nothing_has_failed() {
    let Some(lab) = lab() else { return };
    let plugin = Instance::of(&lab);
    plugin.ask_for("listreleases");
    let create = create(&plugin, json!({"ip4": "10.0.0.5"}));
    let id = create["started_dispatcher_id"].as_str().unwrap();
    plugin.wait_for_job(id);
    lab.set_fault("iocage", Some("exit 0"));
    fetch(&plugin, json!("13.2-RELEASE"));
    let event = plugin.wait_for_job("sysadm_iocage_fetch_release_13.2-RELEASE");
    assert_eq!(event["success"], "false", "{event}");
    assert!(event["error"].as_str().unwrap().contains("not there"));
    let log = json!({
        "state": "finished", "cmd_list": ["c"], "c": "", "return_codes/c": "0",
    });
    // Its own record says more than the log of a dispatcher.
    let event = plugin.progress(id, Some(&log)).unwrap();
    assert_eq!(event["success"], "true", "{event}");
}

#[test]
fn a_job_still_in_the_dispatcher_is_held_again_after_a_restart() {
    let Some(lab) = lab() else { return };
    let host = dispatcher();
    let plugin = Instance::open(&lab.config(), &host.callbacks());
    plugin.ask_for("listreleases");
    fetch(&plugin, json!("13.2-RELEASE"));
    drop(plugin);
    let clean = json!({"action": "cleanreleases"});
    let refused = |plugin: &Instance| {
        let answer = plugin.ask(&clean);
        let why = answer["error"].as_str().unwrap_or_default();
        answer["code"] == "in_use" && why.contains("sysadm_iocage_fetch_release_13.2-RELEASE")
    };
    let plugin = Instance::open(&lab.config(), &host.callbacks());
    assert!(refused(&plugin));
    let state = |plugin: &Instance| {
        let job = "sysadm_iocage_fetch_release_13.2-RELEASE";
        plugin.ask(&json!({"action": "jobstatus", "job": job}))["state"].clone()
    };
    assert_eq!(state(&plugin), "running");
    // Another host has no such job: what nobody has seen end has ended all the same.
    drop(plugin);
    let other = Instance::of(&lab);
    assert!(!refused(&other));
    assert_eq!(state(&other), "finished");
}

#[test]
fn closing_ends_and_reaps_what_still_runs() {
    let Some(lab) = lab() else { return };
    lab.set_pace("30");
    let plugin = Instance::of(&lab);
    fetch(&plugin, json!(["13.2-RELEASE", "14.1-RELEASE"]));
    let mark = format!("{}/real/iocage fetch", lab.dir().display());
    let left = || processes(&mark).len();
    eventually("both fetches run", || left() >= 2);
    let started = Instant::now();
    drop(plugin);
    assert_eq!(left(), 0);
    assert!(started.elapsed() < Duration::from_secs(10));
    // No child of this process is left, not even a dead one that nobody has waited for. (One of another
    // test that runs beside this may be just about to be.)
    let me = std::process::id().to_string();
    eventually(
        "no child of this process is dead and not waited for",
        || {
            let children = std::process::Command::new("ps")
                .args(["--ppid", &me, "-o", "stat=,args="])
                .output()
                .unwrap();
            let children = String::from_utf8(children.stdout).unwrap();
            !children.lines().any(|line| line.starts_with('Z'))
        },
    );
}

#[test]
fn a_dispatchers_log_is_understood_and_others_jobs_are_not_ours() {
    let plugin = Instance::try_open("{}", std::ptr::null()).unwrap();
    let command = "/usr/local/bin/iocage fetch -r 11.1-RELEASE";
    let id = "sysadm_iocage_fetch_release_11.1-RELEASE";
    let log = json!({
        "process_id": id, "state": "running", "cmd_list": [command], "current_cmd": command,
        "time_started": "2026-11-23T10:00:00",
        command: "\u{1b}[2K \rDownloading: base.txz [########------------] 40%  12.5MB/s\r",
    });
    assert_eq!(
        plugin.progress(id, Some(&log)).unwrap(),
        json!({
            "event_system": "sysadm/iocage", "job_id": id, "state": "running",
            "filename": "base.txz", "percent_done": "40", "download_rate": "12.5MB/s",
            "process_details": log,
        })
    );
    assert_eq!(plugin.progress("sysadm_iohyve_fetch", Some(&log)), None);
    assert_eq!(plugin.progress("sysadm_iocage", Some(&log)), None);
    for wrong in [Some(json!([])), None] {
        let answer = plugin.progress(id, wrong.as_ref()).unwrap();
        assert_eq!(answer["error"]["code"], "400", "{answer}");
    }
}
