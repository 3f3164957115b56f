//! Any bytes as the config.json of two jails, a NUL between them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use sysadm_iocage_fuzz::{check_jail, check_settings, home, write, Instance};

fuzz_target!(|data: &[u8]| {
    let jails = home().join("mnt/tank1/iocage/jails");
    let mut parts = data.splitn(2, |byte| *byte == 0);
    for jail in ["db", "web"] {
        let config = parts.next().unwrap_or(b"{}");
        write(&jails.join(jail).join("config.json"), config);
    }
    // A new one each time, for what an instance remembers of a file.
    let instance = Instance::open(json!({}));
    let answer = instance.ask(json!({"action": "listjails"}));
    let listed = answer["jails"].as_object().unwrap();
    assert_eq!(listed.len(), 6, "a jail is left out: {answer}");
    listed.values().for_each(check_jail);
    let answer = instance.ask(json!({"action": "listplugins"}));
    answer["local"]
        .as_object()
        .unwrap()
        .values()
        .for_each(check_jail);
    check_settings(&instance, &["db", "web"]);
});
