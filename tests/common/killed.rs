//! A host of its own that is killed in the middle of a request: this very test program, which needs
//! a test called `as_a_host_of_its_own` that calls [`be_the_host`].

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use sysadm_iocage_lab::Lab;

use super::{parse, Instance};

/// Kills the host at a command of `zfs`: the `number`th whose first word is one of `words`
/// (`destroy|snapshot`), before it is carried out or after that.
pub fn kill_at(lab: &Lab, words: &str, number: usize, after: bool) {
    let work = if after {
        "\"$lab/real/zfs\" \"$@\""
    } else {
        ":"
    };
    let fault = format!(
        "case \"$1\" in {words})
            echo >>\"$lab/steps\"
            if [ \"$(wc -l <\"$lab/steps\")\" -eq {number} ]; then
                {work}; kill -9 $PPID; exit 1
            fi ;;
         esac"
    );
    let _ = std::fs::remove_file(lab.dir().join("steps"));
    lab.set_fault("zfs", Some(&fault));
}

/// What a host of its own answers; nothing if it is killed.
pub fn ask_aside(lab: &Lab, request: &Value) -> Option<Value> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "as_a_host_of_its_own",
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ])
        .env("LAB_CONFIG", lab.config().to_string())
        .env("REQUEST", request.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let lines: Vec<String> = output.lines().map_while(Result::ok).collect();
    let said = lines.iter().find_map(|line| {
        let (_, json) = line.split_once("SAYS ")?;
        Some(parse(json))
    });
    child.wait().unwrap();
    said
}

/// Answers the request, if this is that host.
pub fn be_the_host() {
    be_the_host_for(Duration::ZERO);
}

/// The same, and waits to be killed: a host that ends by itself ends its jobs.
pub fn be_the_host_until_killed() {
    be_the_host_for(Duration::from_secs(60));
}

fn be_the_host_for(time: Duration) {
    let Ok(request) = std::env::var("REQUEST") else {
        return;
    };
    let config = parse(&std::env::var("LAB_CONFIG").unwrap());
    let plugin = Instance::open(&config, std::ptr::null());
    println!("SAYS {}", plugin.ask(&parse(&request)));
    std::thread::sleep(time);
}
