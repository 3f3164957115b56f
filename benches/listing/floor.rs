//! What any right answer needs, done bare: no parsing, no checking, no reply.

use std::fs;
use std::path::Path;
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
        "listimages" => images(bench),
        "df" => space(bench),
        "listsnapshots" => snapshots(bench),
        _ => {
            let read = |path: &Path| assert!(fs::read(path).is_ok());
            side_by_side(
                || {
                    for family in families(action) {
                        list(bench, family, "2", "name,origin");
                    }
                },
                || {
                    mount_table();
                    jls(bench);
                    files(bench, action, "config.json", read);
                    if action == "listmounts" {
                        files(bench, action, "fstab", read);
                    }
                },
            );
        }
    }
    started.elapsed()
}

/// What has to be asked where everything is known that cannot have changed: which pool is active,
/// which jails run, what is mounted, and which file each `config.json` is. No fstab and nothing of
/// space is remembered.
pub fn warm(bench: &Bench, action: &str) -> Duration {
    if families(action).is_empty() {
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

/// The same without the question which pool is active.
pub fn without_pool(bench: &Bench, action: &str) -> Duration {
    if families(action).is_empty() {
        return cold(bench, action);
    }
    let started = Instant::now();
    side_by_side(
        || jls(bench),
        || {
            mount_table();
            let look = |path: &Path| assert!(fs::symlink_metadata(path).is_ok());
            files(bench, action, "config.json", look);
            if action == "listmounts" {
                files(bench, action, "fstab", |path| {
                    assert!(fs::read(path).is_ok())
                });
            }
        },
    );
    started.elapsed()
}

/// The families of which the answer is made, if it takes what is remembered of them.
fn families(action: &str) -> &'static [&'static str] {
    match action {
        "listjails" | "listjails detail" | "listplugins" => &["jails"],
        "listtemplates" => &["templates"],
        "getjailsettings" | "listmounts" => &["jails", "templates"],
        _ => &[],
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

/// Looks at this file of each jail; the bench has no templates.
fn files(bench: &Bench, action: &str, name: &str, look: impl Fn(&Path)) {
    if !families(action).contains(&"jails") {
        return;
    }
    let folder = bench.lab.iocage_root(bench.pool).join("jails");
    // By name, as the table of mounts gives them; reading the folder would be one more thing.
    for number in 0..bench.jails {
        look(&folder.join(format!("jail{number}/{name}")));
    }
}

fn images(bench: &Bench) {
    mount_table();
    for entry in fs::read_dir(bench.images()).unwrap() {
        assert!(entry.unwrap().metadata().is_ok());
    }
}

/// Asks for properties of the jails and templates.
fn get(bench: &Bench, depth: &[&str], properties: &str) {
    let family = |name: &str| format!("{}/iocage/{name}", bench.pool);
    let (jails, templates) = (family("jails"), family("templates"));
    let asked = ["-o", "name,property,value", properties, &jails, &templates];
    run(
        bench,
        "zfs",
        &[&["get", "-Hp", "-r"], depth, &asked].concat(),
    );
}

fn space(bench: &Bench) {
    let columns = "available,compressratio,quota,referenced,reservation,used,usedbychildren,\
                   usedbydataset,usedbysnapshots";
    get(bench, &["-d", "1"], columns);
}

/// Those of the jails and templates, beside all origins of the pool: a clone may be anywhere.
fn snapshots(bench: &Bench) {
    let everything = [
        "list",
        "-H",
        "-r",
        "-t",
        "filesystem,volume",
        "-o",
        "name,origin",
    ];
    side_by_side(
        || run(bench, "zfs", &[&everything[..], &[bench.pool]].concat()),
        || get(bench, &[], "creation,used,referenced"),
    );
}
