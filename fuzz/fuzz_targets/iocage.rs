//! Any bytes as the output of each `iocage` that the library runs.
#![no_main]

use std::sync::atomic::AtomicBool;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sysadm_iocage::iocage::installed::Installed;
use sysadm_iocage::iocage::releases;
use sysadm_iocage::system::System;
use sysadm_iocage_fuzz::{check_line, on_host, pool, system, Says};

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
            if let Err(error) = Installed::default().version(&SYSTEM) {
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
            match releases::remote(&SYSTEM, &pool(), &GO_ON) {
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
                        || releases::remote(&SYSTEM, &pool(), &GO_ON),
                    );
                    assert_eq!(again, Ok(names));
                }
                Err(error) => check_line(&error.message),
            }
        },
    );
});
