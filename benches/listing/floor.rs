//! What any right answer needs, done bare: no parsing, no checking, no reply.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Bench;

/// What has to be asked where nothing is known.
pub fn cold(bench: &Bench, action: &str) -> Duration {
    let started = Instant::now();
    active_pool(bench);
    match action {
        "activatestatus" => {}
        "listreleases" => list(bench, "releases", "1", "name"),
        _ => {
            let family = family(action);
            side_by_side(
                || list(bench, family, "2", "name,origin"),
                || {
                    mount_table();
                    jls(bench);
                    configs(bench, family, |path| assert!(fs::read(path).is_ok()));
                },
            );
        }
    }
    started.elapsed()
}

/// What has to be asked where everything is known that cannot have changed: which pool is active,
/// which jails run, what is mounted, and which file each `config.json` is.
pub fn warm(bench: &Bench, action: &str) -> Duration {
    if !lists_jails(action) {
        return cold(bench, action); // there is nothing to know
    }
    let started = Instant::now();
    side_by_side(
        || active_pool(bench),
        || {
            without_pool(bench, action);
        },
    );
    started.elapsed()
}

fn lists_jails(action: &str) -> bool {
    matches!(action, "listjails" | "listtemplates" | "listplugins")
}

/// The same without the question which pool is active.
pub fn without_pool(bench: &Bench, action: &str) -> Duration {
    if !lists_jails(action) {
        return cold(bench, action);
    }
    let started = Instant::now();
    side_by_side(
        || jls(bench),
        || {
            mount_table();
            configs(bench, family(action), |path| {
                assert!(fs::symlink_metadata(path).is_ok())
            });
        },
    );
    started.elapsed()
}

fn family(action: &str) -> &'static str {
    if action == "listtemplates" {
        "templates"
    } else {
        "jails"
    }
}

fn side_by_side(one: impl FnOnce() + Send, other: impl FnOnce()) {
    std::thread::scope(|scope| {
        scope.spawn(one);
        other();
    });
}

/// Runs a command of the lab's host, without the lab's recording.
fn run(bench: &Bench, name: &str, arguments: &[&str]) {
    let program = bench.lab.dir().join("real").join(name);
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success());
}

fn active_pool(bench: &Bench) {
    run(
        bench,
        "zfs",
        &["list", "-H", "-d", "0", "-o", "name,org.freebsd.ioc:active"],
    );
}

fn list(bench: &Bench, family: &str, depth: &str, columns: &str) {
    let dataset = format!("{}/iocage/{family}", bench.pool);
    let options = [
        "list",
        "-H",
        "-r",
        "-t",
        "filesystem",
        "-d",
        depth,
        "-o",
        columns,
    ];
    run(bench, "zfs", &[&options[..], &[&dataset]].concat());
}

fn jls(bench: &Bench) {
    run(bench, "jls", &["--libxo", "json", "-v"]);
}

fn mount_table() {
    fs::read("/proc/self/mountinfo").unwrap();
}

fn configs(bench: &Bench, family: &str, look: impl Fn(&std::path::Path)) {
    let folder = bench.lab.iocage_root(bench.pool).join(family);
    // By name, as the table of mounts gives them; reading the folder would be one more thing.
    for number in 0..if family == "jails" { bench.jails } else { 0 } {
        look(&folder.join(format!("jail{number}/config.json")));
    }
}
