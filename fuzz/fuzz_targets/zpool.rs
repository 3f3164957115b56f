//! Any bytes as the output of `zpool list`.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use sysadm_iocage_fuzz::{on_host, Instance, Says};

static INSTANCE: LazyLock<Instance> = LazyLock::new(|| Instance::open(json!({})));

fuzz_target!(|data: &[u8]| {
    let health = Some(data.to_vec());
    on_host(
        Says {
            health,
            ..Says::default()
        },
        || {
            for (action, pool) in [
                ("activatepool", "tank2"),
                ("activatepool", "a b"),
                ("deactivatepool", "tank3"),
            ] {
                let answer = INSTANCE.ask(json!({ "action": action, "pool": pool }));
                if answer.get("success").is_some() {
                    // The line is there, as ZFS writes it.
                    let line = format!("{pool}\tONLINE");
                    assert!(
                        String::from_utf8_lossy(data)
                            .lines()
                            .any(|said| said.starts_with(&line)),
                        "{answer}"
                    );
                }
            }
        },
    );
});
