//! Any bytes as a whole WebSocket message.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::{json, Value};
use sysadm_iocage::ffi::{SYSADM_IOCAGE_ACCESS_FULL, SYSADM_IOCAGE_ACCESS_READ};
use sysadm_iocage_fuzz::{check_refusal, check_reply, Instance};

static INSTANCE: LazyLock<Instance> = LazyLock::new(|| Instance::open(json!({})));

fuzz_target!(|data: &[u8]| {
    let message: Value = serde_json::from_slice(data).unwrap_or_default();
    for access in [SYSADM_IOCAGE_ACCESS_READ, SYSADM_IOCAGE_ACCESS_FULL] {
        let answer = INSTANCE.message(data, access);
        let object = answer.as_object().expect("an object");
        // A message with a NUL in it is shorter for a C program.
        if !data.contains(&0) {
            assert_eq!(answer.get("id"), message.get("id"));
        }
        assert_eq!(
            object.len(),
            3 + usize::from(object.contains_key("id")),
            "{answer}"
        );
        let args = &answer["args"];
        match (answer["namespace"].as_str(), answer["name"].as_str()) {
            (Some("sysadm"), Some("response")) => check_reply(200, args),
            (Some("error"), Some("error")) => {
                check_refusal(args);
                let code = args["code"].as_str().unwrap();
                assert!(["400", "403", "404"].contains(&code), "{answer}");
            }
            _ => panic!("{answer}"),
        }
    }
});
