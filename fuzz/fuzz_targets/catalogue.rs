//! Any bytes as the file in which the library keeps what the network offers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use sysadm_iocage::iocage::releases;
use sysadm_iocage_fuzz::{home, on_host, write, Instance, Says};

fuzz_target!(|data: &[u8]| {
    let file = home().join("state/catalogue.json");
    write(&file, data);
    // A new one each time, for what an instance remembers of a file; and its iocage is the seed's.
    let mut commands = sysadm_iocage_fuzz::config(json!({}))["commands"].take();
    commands["iocage"] = json!("/nonexistent/iocage");
    let instance = Instance::open(json!({ "commands": commands }));
    // What the file does not know is asked for, without an answer, so that nothing is written.
    let remote = Some(Vec::new());
    let answer = on_host(
        Says {
            remote,
            ..Says::default()
        },
        || {
            let answer = instance.ask(json!({"action": "listreleases"}));
            drop(instance);
            answer
        },
    );
    for name in answer["remote"].as_array().unwrap() {
        assert!(releases::is_listed(name.as_str().unwrap()), "{answer}");
    }
    assert_eq!(std::fs::read(file).unwrap(), data, "reading has written");
});
