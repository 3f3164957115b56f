//! The lab itself: nothing is left of it and no other one suffers, whatever becomes of its owner, of
//! its janitor or of zfs-fuse.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{eventually, processes, run, skip};
use sysadm_iocage_lab::Lab;

/// This test program again, as the owner of a lab, and what it says of that.
struct Owner {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
    dir: PathBuf,
    pool: String,
    /// The id of zfs-fuse; none if another ZFS is used.
    zfs_fuse: Option<String>,
}

impl Owner {
    fn new(what: &str) -> Owner {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["as_an_owner", "--exact", "--nocapture"])
            .env("OWNER", what)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("OWNS ") {
            line.clear();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "it owns no lab");
        }
        let (_, said) = line.trim().split_once("OWNS ").unwrap();
        let (pool, dir) = said.split_once(' ').unwrap();
        let zfs_fuse = fs::read_to_string(Path::new(dir).join("zfs-fuse/pid")).ok();
        Owner {
            process,
            output,
            dir: dir.into(),
            pool: pool.into(),
            zfs_fuse: zfs_fuse.map(|id| id.trim().into()),
        }
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Waits until nothing is left of the lab.
    fn assert_gone(&self) {
        let dir = self.dir.to_str().unwrap();
        eventually("the lab's folder is gone", || !self.dir.exists());
        eventually("its processes are gone", || {
            let zfs_fuse = self.zfs_fuse.as_deref().is_some_and(runs);
            !zfs_fuse && processes(dir).is_empty()
        });
        let mounts = run(&mut Command::new("mount")).stdout;
        assert!(!String::from_utf8_lossy(&mounts).contains(dir));
        let lab = Lab::open(0).unwrap();
        let pools = lab.zpool(&["list", "-H", "-o", "name"]);
        assert!(!pools.contains(&self.pool), "{pools}");
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether a process runs; one that is dead and not waited for does not.
fn runs(id: &str) -> bool {
    let status = Command::new("ps")
        .args(["-p", id, "-o", "stat="])
        .output()
        .unwrap();
    let status = String::from_utf8(status.stdout).unwrap();
    !status.trim().is_empty() && !status.starts_with('Z')
}

#[test]
fn as_an_owner() {
    let Ok(what) = std::env::var("OWNER") else {
        return;
    };
    let lab = Lab::open(1).unwrap();
    lab.lay_out(lab.pool(0));
    println!("OWNS {} {}", lab.pool(0), lab.dir().display());
    match what.as_str() {
        "waits" => std::thread::sleep(Duration::from_secs(60)),
        "waits for zfs" => {
            // By commands, and in a file system.
            let command = lab.dir().join("real/zfs");
            let list = move || {
                let output = Command::new(&command).arg("list").output();
                output.unwrap().status.success()
            };
            let commands = std::thread::spawn(move || eventually("a command fails", || !list()));
            let file = lab.iocage_root(lab.pool(0)).join("file");
            eventually("a file system fails", || fs::write(&file, "").is_err());
            commands.join().unwrap();
            println!("SAYS both fail");
        }
        _ => panic!("{what}"),
    }
}

#[test]
fn a_killed_owner_leaves_no_lab_behind() {
    if Lab::or_skip(0).is_none() {
        return;
    }
    let mut owner = Owner::new("waits");
    owner.kill();
    owner.assert_gone();
}

#[test]
fn a_lab_whose_janitor_is_killed_too_is_cleared_away_by_the_next() {
    let Some(lab) = Lab::or_skip(0) else { return };
    if !lab.dir().join("zfs-fuse").exists() {
        return skip("zfs-fuse");
    }
    let mut owner = Owner::new("waits");
    let janitor = processes(&format!("{}/janitor", owner.dir.display()));
    run(Command::new("kill").arg("-KILL").args(janitor));
    let zfs_fuse = owner.zfs_fuse.clone().unwrap();
    eventually("zfs-fuse ends with its janitor", || !runs(&zfs_fuse));
    owner.kill();
    assert!(owner.dir.exists());
    drop(Lab::open(0).unwrap());
    owner.assert_gone();
}

/// The promise: it is found within this time.
const FOUND: Duration = Duration::from_secs(30);

#[test]
fn a_zfs_that_hangs_is_found_and_fails_its_test_alone() {
    let Some(lab) = Lab::or_skip(1) else { return };
    if !lab.dir().join("zfs-fuse").exists() {
        return skip("zfs-fuse");
    }
    // What others have to write is written, so that the next one can be quick.
    run(&mut Command::new("sync"));
    let mut owner = Owner::new("waits for zfs");
    let zfs_fuse = owner.zfs_fuse.clone().unwrap();
    run(Command::new("kill").args(["-STOP", &zfs_fuse]));
    let stopped = Instant::now();

    run(&mut Command::new("sync"));
    assert!(runs(&zfs_fuse), "sync returns, while zfs-fuse hangs");
    lab.zfs(&["create", &format!("{}/beside", lab.pool(0))]);

    let mut output = String::new();
    owner.output.read_to_string(&mut output).unwrap();
    let status = owner.process.wait().unwrap();
    assert!(stopped.elapsed() < FOUND, "{:?}", stopped.elapsed());
    assert!(!status.success(), "{output}");
    assert!(output.contains("SAYS both fail"), "{output}");
    let mut errors = String::new();
    let mut stderr = owner.process.stderr.take().unwrap();
    stderr.read_to_string(&mut errors).unwrap();
    let said = format!("lab: zfs-fuse, process {zfs_fuse}, does not answer");
    assert!(errors.contains(&said), "{errors}");
    assert!(errors.contains("zfs-fuse did not answer"), "{errors}");
    owner.assert_gone();
    // The other one has not noticed.
    assert!(lab.mountpoint(lab.pool(0)).join("beside").exists());
    lab.furnish();
}
