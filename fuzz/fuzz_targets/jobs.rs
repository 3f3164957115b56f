//! Any bytes as what a job has printed, as what ZFS then says is there, and as the record of a job:
//! the first byte says what the job is for, NULs stand between the three.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::{json, Value};
use sysadm_iocage_fuzz::{
    check_answer, check_event, home, on_host, write, Instance, Says, DESTROYED,
};

static INSTANCE: LazyLock<Instance> = LazyLock::new(|| Instance::open(json!({})));

const JOB: &str = "sysadm_iocage_work_x";

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else {
        return;
    };
    let mut parts = rest.splitn(3, |byte| *byte == 0);
    let output = parts.next().unwrap();
    let datasets = parts.next().filter(|rows| !rows.is_empty());
    let record = parts.next();
    let code = [None, Some(0), Some(1), Some(137)][usize::from(choice >> 6)];
    // One that has ended, and one that nobody has seen end.
    let ended = code.map(|code| json!({"time": "x", "code": code}));
    let aim = aim(choice & 15);
    let mut record = match record {
        Some(text) => text.to_vec(),
        None => json!({
            "id": JOB, "command": "iocage x", "started": "x", "claims": [], "ended": ended, "aim": aim,
        })
        .to_string()
        .into_bytes(),
    };
    write(&file("json"), &record);
    write(&file("log"), output);
    let script = home().join("mnt/tank1/iocage/jails/web/root/bin/freebsd-version");
    write(&script, output);

    let says = Says {
        datasets: datasets.map(Into::into),
        jls: (choice & 32 != 0).then(|| br#"{"jail-information": {}}"#.to_vec()),
        ..Says::default()
    };
    let is_written = code.is_none() && fs::metadata(file("json")).is_ok();
    on_host(says, || {
        let looked = status();
        assert_eq!(
            fs::read(file("json")).unwrap(),
            record,
            "looking has written"
        );
        let listed = INSTANCE.ask(json!({"action": "listjobs"}));
        assert_eq!(
            listed["jobs"].get(JOB).is_some(),
            looked.is_some(),
            "{listed}"
        );
        // A change looks after a job whose end nobody has seen.
        INSTANCE.ask(json!({"action": "startjail", "jail": "nosuch"}));
        if looked.is_some() && is_written {
            record = fs::read(file("json")).unwrap();
            let settled = status().expect("it stays known");
            assert_eq!(settled["state"], "finished", "{settled}");
            let again = status().expect("it stays known");
            assert_eq!(again, settled);
        }
        check_destroyed(&aim);
    });
    for kind in ["json", "log", "lock"] {
        let _ = fs::remove_file(file(kind));
    }
});

fn file(kind: &str) -> PathBuf {
    home().join(format!("state/jobs/{JOB}.{kind}"))
}

/// What is said of the job, if its record can be read.
fn status() -> Option<Value> {
    let answer = INSTANCE.ask(json!({"action": "jobstatus", "job": JOB}));
    if answer.get("code").is_some() {
        check_answer(&answer);
        assert_eq!(answer["code"], "not_found", "{answer}");
        return None;
    }
    check_event(&answer, JOB);
    Some(answer)
}

/// Only what the job itself may have made goes: snapshots that have its name.
fn check_destroyed(aim: &Value) {
    let (kind, work) = aim["work"].as_object().unwrap().iter().next().unwrap();
    for gone in DESTROYED.lock().unwrap().iter() {
        let (_, snapshot) = gone
            .split_once('@')
            .unwrap_or_else(|| panic!("{gone} is no snapshot"));
        match kind.as_str() {
            "Create" | "Clone" => assert_eq!(work["name"], snapshot, "{gone}"),
            "Export" => assert!(snapshot.starts_with("ioc-export-"), "{gone}"),
            _ => panic!("{kind}: {gone}"),
        }
    }
}

fn aim(choice: u8) -> Value {
    let work = match choice {
        0 => json!({"Fetch": {"release": "13.2-RELEASE"}}),
        1 => json!({"Fetch": {"release": "14.1-RELEASE"}}),
        2 => json!({"Plugin": {"name": "jenkins"}}),
        3 => json!({"Plugin": {"name": null}}),
        4 => {
            json!({"Create": {"name": "db", "origin": "tank1/iocage/templates/base", "packages": 2}})
        }
        5 => {
            json!({"Create": {"name": "sql", "origin": "tank1/iocage/releases/13.2-RELEASE/root", "packages": 0}})
        }
        6 => {
            json!({"Create": {"name": "daily", "origin": "tank1/iocage/jails/web", "packages": 1}})
        }
        7 => json!({"Clone": {"name": "roaming", "source": "db", "given": ["notes"]}}),
        8 => json!({"Clone": {"name": "half", "source": "db"}}),
        9 => json!({"Update": {"name": "web", "was_up": true, "from": "13.2-RELEASE-p4"}}),
        10 => json!({"Update": {"name": "db", "was_up": false, "from": "13.2-RELEASE-p4"}}),
        11 => json!({"Upgrade": {
            "name": "web", "release": "14.1-RELEASE", "was_up": true, "from": "13.2-RELEASE", "snapshot": "daily",
        }}),
        12 => {
            json!({"Export": {"name": "web", "ending": ".zip", "days": ["2026-11-25"], "datasets": 2}})
        }
        13 => json!({"Import": {"name": "web", "day": "2026-11-25", "datasets": 2}}),
        14 => json!({"Import": {"name": "new", "day": "2026-11-25", "datasets": null}}),
        _ => {
            json!({"Export": {"name": "db", "ending": ".tar.xz", "days": ["2026-11-25", "2026-11-26"], "datasets": 0}})
        }
    };
    json!({"pool": "tank1", "work": work})
}
