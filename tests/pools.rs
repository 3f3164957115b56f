//! `activatestatus`, `activatepool` and `deactivatepool` on two real pools.

mod common;

use common::{error_of, Instance};
use serde_json::{json, Value};
use sysadm_iocage_lab::Lab;

/// How often each pool was written to, by the recorded command lines.
fn sets(lab: &Lab) -> Vec<String> {
    let commands = lab.commands();
    let sets = commands.iter().filter(|words| words[..2] == ["zfs", "set"]);
    sets.map(|words| format!("{} {}", words[2], words[3]))
        .collect()
}

#[test]
fn one_pool_is_active_and_activating_another_switches() {
    let Some(lab) = Lab::or_skip(3) else { return };
    let (one, two) = (lab.pool(0), lab.pool(1));
    let plugin = Instance::of(&lab);
    assert_eq!(
        plugin.ask_for("activatestatus"),
        json!({"activated": "false"})
    );
    assert_eq!(error_of(&plugin.ask_for("activatepool")).0, "not_active");

    let activate = |pool: &str| plugin.ask(&json!({"action": "activatepool", "pool": pool}));
    let deactivate = |pool: &str| plugin.ask(&json!({"action": "deactivatepool", "pool": pool}));
    assert_eq!(
        activate(one),
        json!({"success": format!("pool {one} activated.")})
    );
    assert_eq!(
        plugin.ask_for("activatestatus"),
        json!({"activated": "true", "pool": one})
    );
    assert_eq!(
        plugin.ask_for("activatepool"),
        json!({"currently active": {"pool": one}})
    );

    lab.forget_commands();
    assert_eq!(
        activate(two),
        json!({"success": format!("pool {two} activated.")})
    );
    assert_eq!(lab.active_pools(), [two]);
    // The third pool, whose state does not change, is not written to.
    let active = "org.freebsd.ioc:active";
    assert_eq!(
        sets(&lab),
        [format!("{active}=yes {two}"), format!("{active}=no {one}")]
    );

    lab.forget_commands();
    assert_eq!(
        activate(two),
        json!({"success": format!("pool {two} activated.")})
    );
    assert_eq!(sets(&lab), [""; 0], "it was active already");

    let (code, message) = (
        deactivate(one)["code"].clone(),
        deactivate(one)["error"].clone(),
    );
    assert_eq!(code, "not_active");
    assert!(message.as_str().unwrap().contains(two), "{message}");
    assert_eq!(
        deactivate(two),
        json!({"success": format!("pool {two} deactivated.")})
    );
    assert_eq!(lab.active_pools(), [""; 0]);
    assert_eq!(
        plugin.ask_for("activatestatus"),
        json!({"activated": "false"})
    );
}

#[test]
fn a_pool_that_is_missing_faulted_locked_or_not_ours_is_refused() {
    let Some(lab) = Lab::or_skip(3) else { return };
    let (one, two, three) = (lab.pool(0), lab.pool(1), lab.pool(2));
    lab.mark(one, true);
    let plugin = Instance::of(&lab);
    let activate = |pool: &str| plugin.ask(&json!({"action": "activatepool", "pool": pool}));
    let refused = |pool: &str, expected: &str, part: &str| {
        let answer = activate(pool);
        let (code, message) = error_of(&answer);
        assert_eq!(code, expected, "{message}");
        assert!(
            message.contains(part) && message.contains(pool),
            "{message}"
        );
        assert_eq!(lab.active_pools(), [one]);
    };
    refused("nonesuch", "not_found", "no pool");
    let answer = plugin.ask(&json!({"action": "deactivatepool", "pool": "nonesuch"}));
    assert_eq!(error_of(&answer).0, "not_found");

    // A real fault: a second disk that is taken away from a mirror.
    let mirror = format!("{two}m");
    for disk in ["a", "b"] {
        let image = lab.dir().join(format!("{disk}.img"));
        std::fs::File::create(&image)
            .unwrap()
            .set_len(128 << 20)
            .unwrap();
    }
    let pools = std::fs::read_to_string(lab.dir().join("pools")).unwrap();
    std::fs::write(lab.dir().join("pools"), format!("{pools}{mirror}\n")).unwrap();
    let disks = ["a", "b"].map(|disk| lab.dir().join(format!("{disk}.img")).display().to_string());
    let mountpoint = format!("mountpoint={}", lab.mountpoint(&mirror).display());
    lab.zpool(&[
        "create",
        "-f",
        "-O",
        &mountpoint,
        &mirror,
        "mirror",
        &disks[0],
        &disks[1],
    ]);
    lab.zpool(&["offline", &mirror, &disks[1]]);
    refused(&mirror, "not_found", "no pool"); // not one of the configured pools
    let mut config = lab.config();
    config["pools"].as_array_mut().unwrap().push(json!(mirror));
    let with_mirror = Instance::open(&config, std::ptr::null());
    let answer = with_mirror.ask(&json!({"action": "activatepool", "pool": mirror}));
    assert_eq!(error_of(&answer).0, "unavailable");
    assert!(error_of(&answer).1.contains("DEGRADED"), "{answer}");
    assert_eq!(lab.active_pools(), [one]);

    lab.export(two);
    refused(two, "not_found", "no pool");
    lab.import(two);

    lab.zfs(&["unmount", three]);
    refused(three, "unavailable", "not mounted");
    lab.zfs(&["set", "mountpoint=none", three]);
    assert!(
        activate(three)["success"].is_string(),
        "a root without a mountpoint is a layout"
    );
    activate(one);

    // zfs-fuse has no encryption, so its answer is completed.
    let locked = format!(
        "if [ \"$1\" = get ]; then \"$lab/real/zfs\" \"$@\" 2>/dev/null; \
         printf '%s\\tkeystatus\\tunavailable\\n' {two}/iocage; exit; fi"
    );
    lab.set_fault("zfs", Some(&locked));
    refused(two, "unavailable", "locked");
}

#[test]
fn a_pool_whose_iocage_is_not_mounted_is_refused_everywhere() {
    let Some(lab) = Lab::or_skip(2) else { return };
    let (one, two) = (lab.pool(0), lab.pool(1));
    lab.mark(one, true);
    let plugin = Instance::of(&lab);
    let root = format!("{two}/iocage");
    let why = format!("{root} is not mounted");
    lab.zfs(&["create", "-o", "canmount=noauto", &root]);
    let refused = |args: Value| {
        let answer = plugin.ask(&args);
        let (code, message) = error_of(&answer);
        assert!(code == "unavailable" && message.contains(&why), "{message}");
    };
    refused(json!({"action": "activatepool", "pool": two}));
    assert_eq!(lab.active_pools(), [one]);

    // Marked by hand, or unmounted since.
    lab.mark(one, false);
    lab.mark(two, true);
    let parts = ["", "/jails", "/jails/web"].map(|part| format!("{root}{part}"));
    for part in &parts[1..] {
        lab.zfs(&["create", "-o", "canmount=noauto", part]);
    }
    lab.forget_commands();
    refused(json!({"action": "fetchreleases", "releases": "13.2-RELEASE"}));
    let network = json!({"net_device": "re0", "ip4": "10.0.0.5"});
    let mut create = json!({"action": "createplugin", "plugin": "plex"});
    create
        .as_object_mut()
        .unwrap()
        .extend(network.as_object().unwrap().clone());
    refused(create);
    let ran: Vec<Vec<String>> = lab.commands();
    assert!(ran.iter().all(|words| words[0] != "iocage"), "{ran:?}");
    let releases = plugin.ask_for("listreleases");
    let error = releases["remote_error"].as_str().unwrap();
    assert!(error.contains(&why), "{releases}");
    let plugins = plugin.ask_for("listplugins");
    let error = plugins["local_error"].as_str().unwrap();
    assert!(error.contains(&why) && error.contains("web"), "{plugins}");

    for part in &parts {
        lab.zfs(&["mount", part]);
    }
    std::fs::write(lab.config_file(two, "web"), "{}").unwrap();
    let answer = plugin.ask(&json!({"action": "activatepool", "pool": two}));
    assert!(answer["success"].is_string(), "{answer}");
    assert_eq!(plugin.ask_for("listplugins")["local_error"], Value::Null);
}

#[test]
fn a_failure_in_the_middle_changes_nothing() {
    let Some(lab) = Lab::or_skip(2) else { return };
    let (one, two) = (lab.pool(0), lab.pool(1));
    lab.mark(one, true);
    let plugin = Instance::of(&lab);
    lab.forget_commands();
    plugin.ask(&json!({"action": "activatepool", "pool": two}));
    let calls = lab
        .commands()
        .iter()
        .filter(|words| words[0] == "zfs")
        .count();
    assert!(calls >= 4, "state, marks, and both settings");

    // Each of its zfs fails in turn, first before it has done its work and then after.
    for kind in [
        "echo broken >&2; exit 1",
        "\"$lab/real/zfs\" \"$@\"; echo broken >&2; exit 1",
    ] {
        for call in 1..=calls {
            lab.mark(two, false);
            lab.mark(one, true);
            std::fs::write(lab.dir().join("count"), "").unwrap();
            let fault = format!(
                "echo >>\"$lab/count\"; if [ $(wc -l <\"$lab/count\") = {call} ]; then {kind}; fi"
            );
            lab.set_fault("zfs", Some(&fault));
            let answer = plugin.ask(&json!({"action": "activatepool", "pool": two}));
            lab.set_fault("zfs", None);
            if answer["success"].is_string() {
                // The question after the state of a dataset that need not exist may fail.
                assert_eq!(
                    (call, lab.active_pools().as_slice()),
                    (2, &[two.to_string()][..])
                );
                continue;
            }
            let (code, message) = error_of(&answer);
            assert!(code == "failed" && message.contains("broken"), "{message}");
            assert_eq!(lab.active_pools(), [one], "call {call}: {message}");
        }
    }

    // The old pool cannot be written at all: then the mark on the new one is taken back.
    let fault = "[ \"$1\" != set ] || [ \"$3\" = \"$(tail -n 1 \"$lab/pools\")\" ] || exit 1";
    lab.set_fault("zfs", Some(fault));
    let answer = plugin.ask(&json!({"action": "activatepool", "pool": two}));
    assert!(
        error_of(&answer).1.contains("nothing has changed"),
        "{answer}"
    );
    assert_eq!(lab.active_pools(), [one]);
}

#[test]
fn two_active_pools_are_reported_and_mended_by_activating_one() {
    let Some(lab) = Lab::or_skip(2) else { return };
    let (one, two) = (lab.pool(0), lab.pool(1));
    lab.mark(one, true);
    lab.mark(two, true);
    let plugin = Instance::of(&lab);
    for action in [
        "activatestatus",
        "activatepool",
        "listjails",
        "listreleases",
    ] {
        let answer = plugin.ask_for(action);
        let (code, message) = error_of(&answer);
        assert_eq!(code, "conflict", "{message}");
        assert!(message.contains(one) && message.contains(two), "{message}");
    }
    plugin.ask(&json!({"action": "activatepool", "pool": two}));
    assert_eq!(lab.active_pools(), [two]);
}

#[test]
fn a_pool_that_goes_away_meanwhile_does_not_hide_the_others() {
    let Some(lab) = Lab::or_skip(1) else { return };
    lab.mark(lab.pool(0), true);
    let plugin = Instance::of(&lab);
    let gone = "if [ ! -e \"$lab/again\" ]; then echo >\"$lab/again\"; \
                echo \"cannot open 'other': no such pool\" >&2; exit 1; fi";
    lab.set_fault("zfs", Some(gone));
    let status = json!({"activated": "true", "pool": lab.pool(0)});
    assert_eq!(plugin.ask_for("activatestatus"), status);
}
