//! A pool whose files hang: the lab's zfs-fuse is stopped, as a disk that does not answer would stop
//! ZFS, while the commands answer as ever.

mod common;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{error_of, eventually, Instance};
use serde_json::json;
use sysadm_iocage_lab::Lab;

/// A `zfs` that says what it has said before.
const REPEATS: &str = r#"
key=$lab/said/$(echo "$*" | tr -c 'a-zA-Z0-9\n' _)
mkdir -p "$lab/said"
[ -e "$key" ] || "$lab/real/zfs" "$@" >"$key"
cat "$key"
exit
"#;

/// A zfs-fuse that is stopped, until this goes.
struct Stopped(String);

impl Stopped {
    fn new(process: String) -> Self {
        signal(&process, "STOP");
        Stopped(process)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(&self.0, "CONT");
    }
}

fn signal(process: &str, name: &str) {
    let status = Command::new("kill").args(["-s", name, process]).status();
    assert!(status.unwrap().success(), "{name}");
}

#[test]
fn a_pool_whose_files_hang_is_given_up_and_answers_when_it_is_back() {
    let Some(lab) = Lab::or_skip(1) else { return };
    let Ok(daemon) = fs::read_to_string(lab.dir().join("zfs-fuse/pid")) else {
        common::skip("zfs-fuse, which can be stopped");
        return;
    };
    lab.furnish();
    lab.set_fault("zfs", Some(REPEATS));
    let mut config = lab.config();
    config["command_timeout_seconds"] = json!(1);
    let open = || Instance::open(&config, std::ptr::null());
    let actions = ["listjails", "listplugins", "listtemplates"];
    for action in actions {
        assert!(open().ask_for(action)["error"].is_null(), "{action}");
    }

    let (one, other) = (open(), open());
    let stopped = Stopped::new(daemon.trim().into());
    let began = Instant::now();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let plugin = [&one, &other][number % 2];
            let action = actions[number % actions.len()];
            scope.spawn(move || {
                let answer = plugin.ask_for(action);
                let (code, message) = error_of(&answer);
                assert!(["timeout", "unavailable"].contains(&code), "{message}");
                assert!(message.contains("file system"), "{message}");
            });
        }
    });
    assert!(
        began.elapsed() < Duration::from_secs(6),
        "they waited one after the other"
    );
    // Whoever comes later is told at once, in another instance too.
    let began = Instant::now();
    for action in actions {
        let answer = open().ask_for(action);
        assert_eq!(error_of(&answer).0, "unavailable", "{answer}");
    }
    drop(one);
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "somebody has waited"
    );
    drop(stopped);
    for action in actions {
        eventually("the pool is back", || {
            other.ask_for(action)["error"].is_null()
        });
    }
}
