//! Any bytes as a pool's defaults.json, under the configurations of a furnished lab.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use sysadm_iocage_fuzz::{check_jail, check_settings, home, write, Instance};

fuzz_target!(|data: &[u8]| {
    write(&home().join("mnt/tank1/iocage/defaults.json"), data);
    // A new one each time, for what an instance remembers of a file.
    let instance = Instance::open(json!({}));
    let answer = instance.ask(json!({"action": "listjails"}));
    let listed = answer["jails"].as_object().unwrap();
    assert_eq!(listed.len(), 6, "a jail is left out: {answer}");
    for jail in listed.values() {
        check_jail(jail);
        // Defaults can break no jail, and name none.
        assert!(
            ["up", "down"].contains(&jail["state"].as_str().unwrap()),
            "{jail}"
        );
    }
    assert!(
        listed.values().any(|jail| jail["uuid"] == "web"),
        "{answer}"
    );
    check_settings(&instance, &["db", "web"]);
});
