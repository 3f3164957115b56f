//! Any bytes as the output of each `zfs` that the plugin runs.
#![no_main]

use std::collections::HashSet;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use sysadm_iocage::iocage::datasets::Family;
use sysadm_iocage::iocage::jails;
use sysadm_iocage::iocage::survey::Memory;
use sysadm_iocage::reply;
use sysadm_iocage::system::System;
use sysadm_iocage_fuzz::{check_jail, on_host, system, Instance, Says};

static PLUGIN: LazyLock<Instance> = LazyLock::new(|| Instance::open(json!({})));
static SYSTEM: LazyLock<System> = LazyLock::new(system);

fuzz_target!(|data: &[u8]| {
    let ask = |action: &str| PLUGIN.ask(json!({ "action": action }));
    let dry_run = |action: &str| PLUGIN.ask(json!({"action": action, "dryrun": true}));
    let activate = |pool: &str| PLUGIN.ask(json!({"action": "activatepool", "pool": pool}));
    let said = || Some(data.to_vec());

    on_host(
        Says {
            pools: said(),
            ..Says::default()
        },
        || {
            ask("activatestatus");
            activate("tank1");
            PLUGIN.ask(json!({"action": "deactivatepool", "pool": "tank1"}));
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
            let jails = jails::list(&SYSTEM, &memory, "tank1", Family::Jails).unwrap();
            let jails = jails.unwrap_or_default().jails;
            let names: HashSet<&String> = jails.iter().map(|jail| &jail.name).collect();
            let listed = reply::jails(&jails, "jails", reply::jail_key);
            let listed = listed.as_object().unwrap();
            listed.values().for_each(check_jail);
            assert!(
                names.len() != jails.len() || listed.len() == jails.len(),
                "{jails:?}"
            );
            for action in ["listtemplates", "listreleases", "cleantemplates"] {
                ask(action);
            }
            dry_run("cleanreleases");
            dry_run("cleantemplates");
        },
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
});
