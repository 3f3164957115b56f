//! Any bytes as FreeBSD's page about the releases that it no longer supports.
#![no_main]

use std::sync::atomic::AtomicBool;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sysadm_iocage::iocage::releases;
use sysadm_iocage::names::Url;
use sysadm_iocage::system::System;
use sysadm_iocage_fuzz::{check_line, on_host, system, Says};

static SYSTEM: LazyLock<System> = LazyLock::new(system);
static PAGE: LazyLock<Url> = LazyLock::new(|| Url::parse("https://example.org/").unwrap());
static GO_ON: AtomicBool = AtomicBool::new(false);

fuzz_target!(|data: &[u8]| {
    let page = Some(data.to_vec());
    let found = on_host(
        Says {
            page,
            ..Says::default()
        },
        || releases::end_of_life(&SYSTEM, &PAGE, &GO_ON),
    );
    match found {
        Ok(names) => {
            let right = |name: &String| name.ends_with("-RELEASE") && releases::is_listed(name);
            assert!(!names.is_empty() && names.iter().all(right), "{names:?}");
            assert!(names.windows(2).all(|two| two[0] != two[1]), "{names:?}");
        }
        Err(error) => check_line(&error.message),
    }
});
