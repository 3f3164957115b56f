//! Any bytes as the output of each `zfs` that the library runs.
#![no_main]

use std::collections::HashSet;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::{json, Value};
use sysadm_iocage::iocage::datasets::Family;
use sysadm_iocage::iocage::jails as iocage;
use sysadm_iocage::iocage::survey::Memory;
use sysadm_iocage::reply::jails;
use sysadm_iocage::system::System;
use sysadm_iocage_fuzz::{check_jail, on_host, pool, system, Instance, Says, DESTROYED};

static INSTANCE: LazyLock<Instance> = LazyLock::new(|| Instance::open(json!({})));
static SYSTEM: LazyLock<System> = LazyLock::new(system);

fuzz_target!(|data: &[u8]| {
    let ask = |action: &str| INSTANCE.ask(json!({ "action": action }));
    let dry_run = |action: &str| INSTANCE.ask(json!({"action": action, "dryrun": true}));
    let activate = |pool: &str| INSTANCE.ask(json!({"action": "activatepool", "pool": pool}));
    let said = || Some(data.to_vec());

    on_host(
        Says {
            pools: said(),
            ..Says::default()
        },
        || {
            ask("activatestatus");
            activate("tank1");
            INSTANCE.ask(json!({"action": "deactivatepool", "pool": "tank1"}));
        },
    );
    on_host(
        Says {
            datasets: said(),
            // Nothing is mounted: reading the jails' files is not what this is about.
            mountinfo: Some(Vec::new()),
            ..Says::default()
        },
        || {
            // The same through Rust, to see that no jail is left out.
            let memory = Memory::default();
            let listed = iocage::list(&SYSTEM, &memory, &pool(), &[Family::Jails]).unwrap();
            let list = listed.into_iter().flatten().next();
            let list = list.map(|listing| listing.jails).unwrap_or_default();
            let names: HashSet<&String> = list.iter().map(|jail| &jail.name).collect();
            let listed = jails::keyed(&list, "jails", jails::key, jails::jail).to_json();
            let listed: Value = serde_json::from_str(&listed).unwrap();
            let listed = listed.as_object().unwrap();
            listed.values().for_each(check_jail);
            assert!(
                names.len() != list.len() || listed.len() == list.len(),
                "{list:?}"
            );
            for action in [
                "listtemplates",
                "listreleases",
                "cleantemplates",
                "getjailsettings",
                "listmounts",
                "df",
                "listsnapshots",
            ] {
                ask(action);
            }
            for action in ["cleanreleases", "cleantemplates", "cleanjails", "cleanall"] {
                dry_run(action);
            }
            go(true);
        },
    );
    let nothing_runs = || Says {
        jls: Some(br#"{"jail-information": {}}"#.to_vec()),
        ..Says::default()
    };
    on_host(
        Says {
            datasets: said(),
            ..nothing_runs()
        },
        || go(false),
    );
    on_host(
        Says {
            listed: said(),
            ..nothing_runs()
        },
        || {
            go(true);
            go(false);
        },
    );
    on_host(
        Says {
            transactions: said(),
            ..nothing_runs()
        },
        || go(true),
    );
    on_host(
        Says {
            properties: said(),
            ..Says::default()
        },
        || activate("tank2"),
    );
    on_host(
        Says {
            zfs_fails: said(),
            ..Says::default()
        },
        || ask("activatestatus"),
    );
    // Nothing runs, so that it is tried; and nothing is "busy", which is tried again in a while.
    let destroy_fails = String::from_utf8_lossy(data).replace("busy", "");
    on_host(
        Says {
            destroy_fails: Some(destroy_fails.into()),
            jls: Some(br#"{"jail-information": {}}"#.to_vec()),
            ..Says::default()
        },
        || {
            let answer = INSTANCE.ask(json!({"action": "cleantemplates", "force": true}));
            let code = answer["code"].as_str().unwrap();
            assert!(["failed", "in_use"].contains(&code), "{answer}");
        },
    );
});

/// Destroys a jail and goes back to a snapshot, or says what that would do: whatever ZFS says is there,
/// nothing goes but the jail, and snapshots that have its name.
fn go(dry_run: bool) {
    let ask = |more: Value| {
        let mut args = json!({"jail": "web", "force": true, "dryrun": dry_run});
        for (key, value) in more.as_object().unwrap() {
            args[key] = value.clone();
        }
        INSTANCE.ask(args)
    };
    DESTROYED.lock().unwrap().clear();
    ask(json!({"action": "rollbackjail", "snapshot": "daily"}));
    assert!(DESTROYED.lock().unwrap().is_empty());
    ask(json!({"action": "destroyjail"}));
    let destroyed = DESTROYED.lock().unwrap();
    assert!(!dry_run || destroyed.is_empty(), "{destroyed:?}");
    for name in destroyed.iter() {
        let rest = name.strip_prefix("tank1/iocage/jails/web");
        let own = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '@']));
        assert!(own || name.ends_with("@web"), "{name}");
    }
}
