//! Any bytes as a dispatcher's log of a job, and any text as the output in one.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::{json, Value};
use sysadm_iocage_fuzz::{check_event, check_refusal, Instance};

static INSTANCE: LazyLock<Instance> = LazyLock::new(|| Instance::open(json!({})));

const JOB: &str = "sysadm_iocage_fetch_release_14.1-RELEASE";

/// Asks what a log means and checks what holds for every event.
fn check(log: &[u8]) {
    let event = INSTANCE
        .progress(JOB, log)
        .expect("it is a job of the library");
    if let Some(error) = event.get("error").filter(|error| error.is_object()) {
        assert_eq!(error["code"], "400");
        return check_refusal(error);
    }
    let mut event = event;
    let details = event["process_details"].take();
    // A log with a NUL in it is shorter for a C program.
    if !log.contains(&0) {
        assert_eq!(details, serde_json::from_slice::<Value>(log).unwrap());
    }
    check_event(&event, JOB);
    if event.get("error").is_some() {
        assert_eq!(event["success"], "false");
    }
    assert_eq!(
        event["state"] == "finished",
        event.get("success").is_some(),
        "{event}"
    );
}

fuzz_target!(|data: &[u8]| {
    check(data);
    let output = String::from_utf8_lossy(data);
    let command = "/usr/local/bin/iocage fetch -r 14.1-RELEASE";
    let running = json!({"state": "running", "current_cmd": command, command: output});
    check(running.to_string().as_bytes());
    for code in ["0", "1"] {
        let log = json!({
            "state": "finished", "cmd_list": [command], command: output,
            (format!("return_codes/{command}")): code,
        });
        check(log.to_string().as_bytes());
    }
    assert_eq!(INSTANCE.progress("sysadm_pkg_install", b"{}"), None);
});
