//! Any bytes as what `zfs get -p` says of the space of jails and of their snapshots, and as the
//! origins in a pool; a NUL between the two.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::{json, Value};
use sysadm_iocage::iocage::space::COLUMNS;
use sysadm_iocage_fuzz::{check_failure, keys, members, on_host, Instance, Says, MEMBERS};

static INSTANCE: LazyLock<Instance> = LazyLock::new(|| Instance::open(json!({})));

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let told = parts.next().unwrap();
    let origins = parts.next();
    space(told);
    let answer = snapshots(told, origins);
    // The order of the rows means nothing.
    if let Ok(text) = std::str::from_utf8(told) {
        if !text.contains('\r') {
            let turned: Vec<&str> = text.lines().rev().collect();
            let turned = snapshots(turned.join("\n").as_bytes(), origins);
            assert_eq!(turned, answer);
        }
    }
});

/// What is answered when all are meant, and when those are meant that there are.
fn ask(action: &str, says: Says) -> [Value; 2] {
    on_host(says, || {
        let all = INSTANCE.ask(json!({ "action": action }));
        let some = INSTANCE.ask(json!({ "action": action, "jails": MEMBERS }));
        for (name, of) in members(&some) {
            match of["error"].is_string() {
                true => check_failure(of, "unavailable"),
                false => assert_eq!(all["jails"][name], *of, "{all}"),
            }
        }
        [all, some]
    })
}

fn space(told: &[u8]) {
    let says = Says {
        space: Some(told.into()),
        ..Says::default()
    };
    let [all, _] = ask("df", says);
    for space in all["jails"].as_object().unwrap().values() {
        let known = keys(space);
        assert!(!known.is_empty(), "{all}");
        assert!(known.iter().all(|key| COLUMNS.contains(key)), "{all}");
        let ratio = space.get("compressratio").and_then(Value::as_str);
        assert!(ratio.is_none_or(|ratio| ratio.ends_with('x')), "{all}");
    }
}

fn snapshots(told: &[u8], origins: Option<&[u8]>) -> [Value; 2] {
    let says = Says {
        snapshots: Some(told.into()),
        origins: origins.map(Into::into),
        ..Says::default()
    };
    let [all, some] = ask("listsnapshots", says);
    let clones_of = origins.map_or(usize::MAX, |origins| {
        String::from_utf8_lossy(origins).lines().count()
    });
    let mut clones = 0;
    for snapshots in all["jails"].as_object().unwrap().values() {
        for snapshot in snapshots.as_object().expect("an object").values() {
            let expected = ["clones", "complete", "created", "referenced", "used"];
            assert_eq!(keys(snapshot), expected);
            let text = |key: &str| snapshot[key].as_str().unwrap();
            for bytes in ["used", "referenced"] {
                assert!(text(bytes).parse::<u64>().is_ok(), "{snapshot}");
            }
            assert!(["true", "false"].contains(&text("complete")), "{snapshot}");
            let created = text("created");
            let is_time = created.len() >= 20 && created.ends_with('Z');
            assert!(created.is_empty() || is_time, "{snapshot}");
            clones += snapshot["clones"].as_array().unwrap().len();
        }
    }
    // A dataset has one origin, so it is the clone of one snapshot.
    assert!(clones <= clones_of, "{all}");
    [all, some]
}
