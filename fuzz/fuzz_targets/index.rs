//! Any bytes as a plugin index.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use sysadm_iocage_fuzz::{home, index_file, write, Instance};

fuzz_target!(|data: &[u8]| {
    write(&index_file(home()), data);
    // A new one each time, for what an instance remembers of a file.
    let instance = Instance::open(json!({}));
    let answer = instance.ask(json!({"action": "listplugins", "detail": true}));
    let remote = answer["remote"].as_object().unwrap();
    for (id, entry) in remote {
        assert_eq!(entry["id"], *id);
        assert!(
            entry["name"].is_string() && entry["description"].is_string(),
            "{entry}"
        );
    }
    assert!(
        answer.get("remote_error").is_none() || remote.is_empty(),
        "{answer}"
    );
    // An id that is there, or else a similar one.
    for id in ["gitlab", "emby-server"] {
        let create = json!({
            "action": "createplugin", "plugin": id, "net_device": "re0", "ip4": "10.0.0.5",
        });
        let answer = instance.ask(create);
        if remote.is_empty() || remote.contains_key(id) {
            assert_ne!(answer["code"], "not_found", "{answer}");
        } else {
            assert_eq!(answer["code"], "not_found", "{answer}");
        }
    }
});
