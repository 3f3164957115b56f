//! Any bytes as the mount table.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use sysadm_iocage_fuzz::{check_jail, on_host, Instance, Says};

static INSTANCE: LazyLock<Instance> = LazyLock::new(|| Instance::open(json!({})));

fuzz_target!(|data: &[u8]| {
    let mountinfo = Some(data.to_vec());
    let answer = on_host(
        Says {
            mountinfo,
            ..Says::default()
        },
        || INSTANCE.ask(json!({"action": "listjails"})),
    );
    let jails = answer["jails"].as_object().unwrap();
    assert_eq!(jails.len(), 6, "a jail is left out: {answer}");
    jails.values().for_each(check_jail);
});
