//! Any bytes as a jail's fstab.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use sysadm_iocage_fuzz::{home, keys, members, write, Instance};

static INSTANCE: LazyLock<Instance> = LazyLock::new(|| Instance::open(json!({})));

fuzz_target!(|data: &[u8]| {
    write(&home().join("mnt/tank1/iocage/jails/web/fstab"), data);
    let answer = INSTANCE.ask(json!({"action": "listmounts"}));
    let is_entry = |line: &&[u8]| {
        let mut rest = line.iter().skip_while(|byte| byte.is_ascii_whitespace());
        rest.next().is_some_and(|first| *first != b'#')
    };
    let entries = data.split(|byte| *byte == b'\n').filter(is_entry).count();
    for (name, mounts) in members(&answer) {
        let mounts = mounts.as_array().expect("it can be read");
        assert_eq!(mounts.len(), if name == "web" { entries } else { 0 });
        for mount in mounts {
            let expected = [
                "destination",
                "dump",
                "options",
                "owner",
                "pass",
                "source",
                "type",
            ];
            assert_eq!(keys(mount), expected);
            let text = |key: &str| mount[key].as_str().unwrap();
            assert!(["iocage", "user"].contains(&text("owner")), "{mount}");
            assert!(
                text("owner") == "user" || text("type") == "nullfs",
                "{mount}"
            );
            // A field has an end, so those behind it are there only if it is.
            let order = ["destination", "type", "options"].map(text);
            let first_missing = order.iter().position(|field| *field == "-");
            let is_last = |at| order[at..].iter().all(|field| *field == "-");
            let has_dash = data.contains(&b'-') || data.windows(4).any(|four| four == b"\\055");
            assert!(has_dash || first_missing.is_none_or(is_last), "{mount}");
        }
    }
});
