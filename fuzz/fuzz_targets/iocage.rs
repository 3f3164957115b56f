//! Any bytes as the output of each `iocage` that the plugin runs.
#![no_main]

use std::sync::atomic::AtomicBool;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use sysadm_iocage::iocage::command::Version;
use sysadm_iocage::iocage::releases;
use sysadm_iocage::system::System;
use sysadm_iocage_fuzz::{check_line, on_host, system, Instance, Says};

static PLUGIN: LazyLock<Instance> = LazyLock::new(|| Instance::open(json!({})));
static SYSTEM: LazyLock<System> = LazyLock::new(system);
static GO_ON: AtomicBool = AtomicBool::new(false);

fuzz_target!(|data: &[u8]| {
    let said = || Some(data.to_vec());
    // Directly: an instance asks in a thread, and remembers.
    on_host(
        Says {
            version: said(),
            ..Says::default()
        },
        || {
            if let Err(error) = Version::of_host(&SYSTEM) {
                check_line(&error.message);
            }
        },
    );
    on_host(
        Says {
            remote: said(),
            ..Says::default()
        },
        || {
            match releases::remote(&SYSTEM, "tank1", &GO_ON) {
                Ok(names) => {
                    assert!(
                        !names.is_empty() && names.iter().all(|name| releases::is_listed(name)),
                        "{names:?}"
                    );
                    assert!(names.windows(2).all(|two| two[0] != two[1]), "{names:?}");
                    // A list that is printed as it is listed is the same list.
                    let again = Some(names.join("\n").into_bytes());
                    let again = on_host(
                        Says {
                            remote: again,
                            ..Says::default()
                        },
                        || releases::remote(&SYSTEM, "tank1", &GO_ON),
                    );
                    assert_eq!(again, Ok(names));
                }
                Err(error) => check_line(&error.message),
            }
        },
    );
    on_host(
        Says {
            clean: said(),
            ..Says::default()
        },
        || {
            let answer = PLUGIN.ask(json!({"action": "cleantemplates", "force": true}));
            assert_eq!(answer["code"], "failed", "{answer}");
        },
    );
});
