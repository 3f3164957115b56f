//! Any bytes as a request, under both access levels, on a host that does what it should.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::{json, Value};
use sysadm_iocage::actions::Access;
use sysadm_iocage::ffi::{SYSADM_IOCAGE_ACCESS_FULL, SYSADM_IOCAGE_ACCESS_READ};
use sysadm_iocage_fuzz::{asked_for, seen, Instance};

static INSTANCE: LazyLock<Instance> = LazyLock::new(|| Instance::open(json!({})));

fuzz_target!(|data: &[u8]| {
    let (read_status, mut as_reader) = INSTANCE.evaluate(data, SYSADM_IOCAGE_ACCESS_READ);
    let (status, mut reply) = INSTANCE.evaluate(data, SYSADM_IOCAGE_ACCESS_FULL);
    let args: Value = serde_json::from_slice(seen(data)).unwrap_or_default();
    let asked = asked_for(&args);
    match (status, asked) {
        (200, Some((_, Access::Full))) => assert_eq!(read_status, 403, "{as_reader}"),
        _ => assert_eq!(read_status, status, "{as_reader}"),
    }
    // Who only reads gets the same answer, and so does who asks twice, but for jobs, which may have
    // ended meanwhile.
    const OF_JOBS: [&str; 2] = ["listjobs", "jobstatus"];
    if let (200, Some((action, Access::Read))) = (status, asked) {
        if OF_JOBS.contains(&action) {
            return;
        }
        for answer in [&mut reply, &mut as_reader] {
            let answer = answer[action].as_object_mut().unwrap();
            answer.remove("remote_age_seconds");
        }
        assert_eq!(reply, as_reader);
    }
});
