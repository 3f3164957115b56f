//! The lab itself: nothing is left of it and no other one suffers, whatever becomes of its owner, of
//! its janitor or of zfs-fuse. And its stand-ins, which fail and lie as iocage, jexec and rctl do.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{eventually, processes, run, skip};
use serde_json::json;
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

/// What a command of the lab's host did.
#[derive(Debug)]
struct Done {
    code: i32,
    stdout: String,
    stderr: String,
}

fn host(lab: &Lab, line: &str) -> Done {
    host_with(lab, &line.split(' ').collect::<Vec<_>>(), "")
}

fn host_with(lab: &Lab, line: &[&str], input: &str) -> Done {
    let mut process = Command::new(lab.dir().join("bin").join(line[0]))
        .args(&line[1..])
        .env("GIVEN", "by the caller")
        .current_dir("/tmp")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = process.stdin.take().unwrap();
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = process.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Done {
        // Ended by a signal: as a shell has it.
        code: output
            .status
            .code()
            .unwrap_or_else(|| 128 + output.status.signal().unwrap()),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Asserts how a command ended and what is in what it printed.
fn assert_done(done: &Done, code: i32, stdout: &str, stderr: &str) {
    assert_eq!(done.code, code, "{done:?}");
    for (printed, expected) in [(&done.stdout, stdout), (&done.stderr, stderr)] {
        assert!(printed.contains(expected), "{expected:?}: {done:?}");
        assert!(!expected.is_empty() || printed.is_empty(), "{done:?}");
    }
}

/// A lab with a household: web, mail.example.org and jenkins run.
fn furnished() -> Option<Lab> {
    let lab = Lab::or_skip(1)?;
    lab.furnish();
    Some(lab)
}

#[test]
fn iocage_starts_and_stops_a_jail() {
    let Some(lab) = furnished() else { return };
    let pool = lab.pool(0);
    let started = host(&lab, "iocage start -- db");
    let lines = "* Starting db\n  + Started OK\n  + Using devfs_ruleset: 1008 (iocage generated default)\n  \
        + Using IP options: ip4.addr=re0|10.20.0.11/24 ip4.saddrsel=1 ip4=new ip6.saddrsel=1 ip6=new\n  \
        + Starting services OK\n  + Executing poststart OK\n";
    assert_done(&started, 0, lines, "");
    assert_eq!(lab.jid_of("db"), Some(8));
    let jls = host(&lab, "jls --libxo json -v").stdout;
    assert!(jls.contains(r#""ipv4_addrs":["10.20.0.11"]"#), "{jls}");
    assert!(lab.config_of(pool, "db")["last_started"].is_string());
    assert!(lab.iocage_root(pool).join("log/db-console.log").exists());

    let lines = "* Stopping db\n  + Executing prestop OK\n  + Stopping services OK\n  \
        + Removing devfs_ruleset: 1008 OK\n  + Removing jail process OK\n  + Executing poststop OK\n";
    assert_done(&host(&lab, "iocage stop db"), 0, lines, "");
    assert_eq!(lab.jid_of("db"), None);
    // A jid is never used twice, and options may stand anywhere.
    host(&lab, "iocage start db --ignore");
    host(&lab, "iocage restart db");
    assert_eq!(lab.jid_of("db"), Some(10));
    let soft = host(&lab, "iocage restart db -s");
    assert_done(&soft, 0, "Soft restarting db (db)\n", "");
    assert_eq!(lab.jid_of("db"), Some(10));
    let wrong = host(&lab, "iocage start -x db");
    assert_done(&wrong, 2, "", "Error: No such option '-x'.\n");
}

#[test]
fn the_exit_code_of_a_start_or_stop_lies() {
    let Some(lab) = furnished() else { return };
    let pool = lab.pool(0);
    let config = |more: serde_json::Value| {
        let mut config = json!({ "release": "13.2-RELEASE" });
        config
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        config
    };
    lab.add_jail(
        pool,
        "ruled",
        None,
        &config(json!({ "devfs_ruleset": "77" })),
    );
    lab.add_jail(pool, "void", None, &config(json!({ "release": "EMPTY" })));
    lab.add_jail(
        pool,
        "nobpf",
        None,
        &config(json!({ "dhcp": 1, "vnet": 1 })),
    );
    lab.add_jail(
        pool,
        "new",
        None,
        &config(json!({ "release": "15.0-RELEASE" })),
    );
    lab.add_jail(pool, "loop", None, &config(json!({ "depends": "loop" })));

    // Nothing is done, and all is well.
    assert_done(&host(&lab, "iocage stop db"), 0, "", "db is not running!\n");
    let refused = host(&lab, "iocage start ruled");
    assert_done(
        &refused,
        0,
        "* Starting ruled\n",
        "ruled devfs_ruleset 77 does not exist! - Not starting jail\n",
    );
    assert_eq!(lab.jid_of("ruled"), None);
    // It is as wanted, and that is a failure.
    assert_done(
        &host(&lab, "iocage start web"),
        1,
        "",
        "web is already running!\n",
    );
    // It runs, in spite of the failure.
    let failed = host(&lab, "iocage start void");
    assert_done(
        &failed,
        1,
        "  + Started OK\n",
        "Traceback (most recent call last):\n",
    );
    assert!(lab.jid_of("void").is_some());
    // Failures that are ones.
    assert_done(
        &host(&lab, "iocage start nobpf"),
        1,
        "",
        "nobpf: dhcp requires bpf!\n",
    );
    assert_done(
        &host(&lab, "iocage start new"),
        1,
        "",
        "Host: 13.2-RELEASE is not greater than target: 15.0\n",
    );
    assert_done(&host(&lab, "iocage start loop"), 1, "", "RecursionError");
    let template = host(&lab, "iocage start base");
    assert_done(
        &template,
        1,
        "",
        "Please convert back to a jail before trying to start base\n",
    );
    assert_eq!(lab.running().len(), 4);
}

#[test]
fn a_jail_fails_as_its_habit_is() {
    let Some(lab) = furnished() else { return };
    for (habit, stdout, stderr, runs) in [
        (
            "fails",
            "* Starting db\n",
            "  + Start FAILED\njail: ioc-db: ",
            false,
        ),
        (
            "prestart-fails",
            "* Starting db\n",
            "Refusing to start db: exec_prestart failed\n",
            false,
        ),
        (
            "services-fail",
            "  + Started OK\n",
            "  + Starting services FAILED\n",
            false,
        ),
        ("traceback", "  + Started OK\n", "Traceback", true),
    ] {
        lab.set_habit("start db", Some(habit));
        assert_done(&host(&lab, "iocage start db"), 1, stdout, stderr);
        assert_eq!(lab.jid_of("db").is_some(), runs, "{habit}");
    }
    lab.set_habit("start db", None);
    let force = "Please use --force flag to force stop jail\n";
    for (habit, stdout, stderr, runs) in [
        ("services-fail", "  + Executing prestop OK\n", force, true),
        (
            "stays",
            "  + Stopping services OK\n",
            "  + Removing jail process FAILED:\n",
            true,
        ),
        (
            "warns",
            "  + Stopping services OK\n",
            "  + Removing jail process FAILED:\n",
            false,
        ),
    ] {
        lab.set_habit("stop", Some(habit));
        assert_done(&host(&lab, "iocage stop db"), 1, stdout, stderr);
        assert_eq!(lab.jid_of("db").is_some(), runs, "{habit}");
    }
    lab.set_habit("stop", Some("services-fail"));
    assert_done(
        &host(&lab, "iocage stop web -f"),
        0,
        "* Stopping web\n  + Removing",
        "",
    );
    assert_eq!(lab.jid_of("web"), None);
}

#[test]
fn the_start_of_a_name_is_one_and_all_is_in_any() {
    let Some(lab) = furnished() else { return };
    lab.add_jail(
        lab.pool(0),
        "SMALL",
        None,
        &json!({ "release": "13.2-RELEASE" }),
    );
    assert_done(&host(&lab, "iocage stop we"), 0, "* Stopping web\n", "");
    assert_done(
        &host(&lab, "iocage start x"),
        1,
        "",
        "jail 'x' not found!\n",
    );
    lab.add_jail(lab.pool(0), "well", None, &json!({}));
    let two = host(&lab, "iocage start we");
    assert_done(&two, 1, "", "Multiple jails found for we:\n  web (");
    // Those that fail are told; the exit code is 0.
    let all = host(&lab, "iocage start SMALL");
    assert_done(
        &all,
        0,
        "* Starting db\n",
        "jenkins (jenkins) is already running!\n",
    );
    assert!(all.stderr.contains("base"), "{all:?}");
    assert_eq!(lab.running().len(), 8, "{all:?}");
    host(&lab, "iocage stop SMALL");
    assert_eq!(lab.running().len(), 0);
    // The first that fails ends it.
    host(&lab, "iocage start db nosuch web");
    assert!(lab.jid_of("db").is_some() && lab.jid_of("web").is_none());
}

#[test]
fn iocage_sets_until_the_first_that_fails() {
    let Some(lab) = furnished() else { return };
    let pool = lab.pool(0);
    let odd = "a \"b\" \\n \u{e9} 'c'\nd\u{1}";
    let line = [
        "iocage",
        "set",
        &format!("notes={odd}"),
        "boot=on",
        "nosuch=1",
        "comment=x",
        "db",
    ];
    let done = host_with(&lab, &line, "");
    assert_done(
        &done,
        1,
        "boot: 0 -> 1\n",
        "nosuch is not a valid property!\n",
    );
    let config = lab.config_of(pool, "db");
    assert_eq!(config["notes"], odd);
    assert_eq!(config["boot"], 1);
    assert_eq!(config["ip4_addr"], "re0|10.20.0.11/24");
    assert!(config["comment"].is_null());

    // Part of a value is enough.
    assert_done(
        &host(&lab, "iocage set boot=nobody db"),
        0,
        "boot: 1 -> 0\n",
        "",
    );
    assert_done(
        &host(&lab, "iocage set ip4=renewed -- db"),
        0,
        "ip4: new -> renewed\n",
        "",
    );
    assert_done(
        &host(&lab, "iocage set ip4=x db"),
        1,
        "",
        "x is not a valid value for ip4.\nValue must be new or inherit or disable\n",
    );
    assert_done(
        &host(&lab, "iocage set ip4_addr=re0|10.0.0.300 db"),
        1,
        "",
        "Please provide a valid ip",
    );
    assert_done(
        &host(&lab, "iocage set ip4_addr=string db"),
        0,
        " -> string\n",
        "",
    );
    assert_done(
        &host(&lab, "iocage set release=x db"),
        1,
        "",
        "release cannot be changed by the user.\n",
    );
    assert_done(
        &host(&lab, "iocage set dhcp=1 web"),
        1,
        "",
        "web is running.\nPlease stop it first!\n",
    );
    assert_done(
        &host(&lab, "iocage set nat_backend=pf db"),
        1,
        "",
        "nat_backend can only be changed for defaults!\n",
    );

    let net = "ip6_addr=re0|fe80::1/64";
    assert_done(
        &host(&lab, &format!("iocage set {net} db")),
        0,
        "ip6_addr: ",
        "",
    );
    host(&lab, "iocage set devfs_ruleset=04 db");
    assert_eq!(lab.config_of(pool, "db")["devfs_ruleset"], "4");

    let dataset = format!("{pool}/iocage/jails/db");
    assert_done(
        &host(&lab, "iocage set quota=30 db"),
        1,
        "",
        "30 should have a suffix ending in M, G, or T.\n",
    );
    assert_done(&host(&lab, "iocage set quota=abcM db"), 1, "", "Traceback");
    assert_done(
        &host(&lab, "iocage set quota=30M db"),
        0,
        "quota: none -> 30M\n",
        "",
    );
    let quota = lab.zfs(&["get", "-Hp", "-o", "value", "quota", &dataset]);
    assert_eq!(quota.trim(), (30 << 20).to_string());

    let default = host(&lab, "iocage set boot=1 default");
    assert_done(
        &default,
        0,
        "Default Property: boot has been updated to 1\n",
        "",
    );

    let converted = host(&lab, "iocage set template=yes db");
    assert_done(&converted, 0, "db converted to a template.\n", "");
    // zfs-fuse does not say that it is read-only.
    let template = lab.iocage_root(pool).join("templates/db");
    assert!(template.join("config.json").exists());
    assert!(fs::write(template.join("new"), "").is_err());
    let back = host(&lab, "iocage set template=no db");
    assert_done(&back, 0, "db converted to a jail.\n", "");
    assert_eq!(lab.config_of(pool, "db")["type"], "jail");
}

#[test]
fn iocage_renames_a_running_jail_without_a_word() {
    let Some(lab) = furnished() else { return };
    let pool = lab.pool(0);
    let root = lab.iocage_root(pool);
    let mount = |jail: &str| {
        format!(
            "/data\t{}/jails/{jail}/root/data\tnullfs\tro\t0\t0\n",
            root.display()
        )
    };
    fs::write(root.join("jails/web/fstab"), mount("web")).unwrap();
    let done = host(&lab, "iocage rename web -- www");
    assert_done(&done, 0, "Jail: web renamed to www\n", "");
    assert_eq!((lab.jid_of("web"), lab.jid_of("www")), (None, None));
    let config = lab.config_of(pool, "www");
    assert_eq!(
        (&config["host_hostuuid"], &config["host_hostname"]),
        (&json!("www"), &json!("www"))
    );
    assert_eq!(
        fs::read_to_string(root.join("jails/www/fstab")).unwrap(),
        mount("www")
    );
    let www = format!("{pool}/iocage/jails/www/root");
    let origin = lab.zfs(&["get", "-H", "-o", "value", "origin", &www]);
    assert_eq!(
        origin.trim(),
        format!("{pool}/iocage/releases/13.2-RELEASE/root@www")
    );

    // A dot and an underscore are one. A failure comes after the stop.
    host(&lab, "iocage rename www we.b");
    assert_done(
        &host(&lab, "iocage rename db we_b"),
        1,
        "",
        "Jail: we_b already exists!\n",
    );
    let snapshot = format!("{pool}/iocage/releases/13.2-RELEASE/root@new");
    lab.zfs(&["snapshot", &snapshot]);
    let failed = host(&lab, "iocage rename jenkins new");
    assert_done(&failed, 1, "", "CalledProcessError");
    assert_eq!(lab.jid_of("jenkins"), None);
    assert!(lab.config_file(pool, "jenkins").exists());

    // Those made from a template know its new name.
    let file = lab.config_file(pool, "db");
    let mut config = lab.config_of(pool, "db");
    config["source_template"] = json!("base");
    fs::write(file, config.to_string()).unwrap();
    host(&lab, "iocage rename base ground");
    assert_eq!(lab.config_of(pool, "db")["source_template"], "ground");
}

#[test]
fn jexec_runs_a_command_of_this_machine() {
    let Some(lab) = furnished() else { return };
    let script = [
        "jexec",
        "-U",
        "root",
        "ioc-web",
        "/bin/sh",
        "-c",
        "cat; pwd; echo $GIVEN >&2; exit 7",
    ];
    let done = host_with(&lab, &script, "told\n");
    assert_done(&done, 7, "told\n/\n", "by the caller\n");
    let by_jid = host(&lab, "jexec -U nobody 5 id -un");
    assert_done(&by_jid, 0, "nobody\n", "");
    assert_done(&host(&lab, "jexec -l 5 env"), 0, "USER=root\n", "");
    for (line, words) in [
        ("jexec ioc-db true", "jexec: jail \"ioc-db\" not found\n"),
        (
            "jexec 99 true",
            "jexec: jail_attach(99): Invalid argument\n",
        ),
        (
            "jexec -U nobody2 ioc-web true",
            "jexec: nobody2: no such user\n",
        ),
        (
            "jexec ioc-web nosuch",
            "jexec: execvp: nosuch: No such file or directory\n",
        ),
    ] {
        assert_done(&host(&lab, line), 1, "", words);
    }
}

#[test]
fn rctl_keeps_rules_where_the_kernel_counts() {
    let Some(lab) = furnished() else { return };
    assert_done(
        &host(&lab, "rctl -a jail:ioc-web:memoryuse:deny=1g"),
        0,
        "",
        "",
    );
    host(
        &lab,
        "rctl -a jail:ioc-web:memoryuse:deny=2g jail:ioc-web2:maxproc:log=5",
    );
    let rules = [
        "jail:ioc-web:memoryuse:deny=2147483648",
        "jail:ioc-web2:maxproc:log=5",
    ];
    assert_eq!(lab.rctl_rules(), rules);
    assert_done(
        &host(&lab, "rctl jail:ioc-web2"),
        0,
        "jail:ioc-web2:maxproc:log=5\n",
        "",
    );
    assert_done(&host(&lab, "rctl -r jail:ioc-web"), 0, "", "");
    assert_eq!(lab.rctl_rules(), rules[1..]);
    for (rule, words) in [
        (
            "jail:ioc-web:memoryuse:deny=many",
            "malformed rule 'jail:ioc-web:memoryuse:deny=many': invalid numeric value 'many'",
        ),
        (
            "jail:ioc-web:nosuch:deny=1",
            "failed to add rule 'jail:ioc-web:nosuch:deny=1': Invalid argument",
        ),
        (
            "jail:ioc-web:cputime:deny=1",
            "failed to add rule 'jail:ioc-web:cputime:deny=1': Operation not supported",
        ),
    ] {
        let done = host(&lab, &format!("rctl -a {rule}"));
        assert_done(&done, 1, "", &format!("rctl: {words}\n"));
    }

    // A start sets the limits, a stop takes them away.
    host(&lab, "iocage set maxproc=deny=9 db");
    assert_done(
        &host(&lab, "iocage start db"),
        0,
        "  + Setting RCTL props\n",
        "",
    );
    assert!(lab
        .rctl_rules()
        .contains(&"jail:ioc-db:maxproc:deny=9".into()));
    assert_done(
        &host(&lab, "iocage stop db"),
        0,
        "Successfully removed RCTL rules for db\n",
        "",
    );
    assert_eq!(lab.rctl_rules(), rules[1..]);
    // Without, the jail runs and has none.
    lab.set_racct(false);
    let disabled =
        "rctl: RACCT/RCTL present, but disabled; enable using kern.racct.enable=1 tunable\n";
    assert_done(
        &host(&lab, "rctl -a jail:ioc-web:maxproc:deny=1"),
        1,
        "",
        disabled,
    );
    let started = host(&lab, "iocage start db");
    assert_done(
        &started,
        1,
        "  + Started OK\n",
        "Please set kern.racct.enable -> 1 to set rctl rules\n",
    );
    assert!(lab.jid_of("db").is_some());
}

#[test]
fn iocages_at_once_lose_no_jail() {
    let Some(lab) = furnished() else { return };
    let start = |jail: &'static str| {
        let program = lab.dir().join("bin/iocage");
        Command::new(program)
            .args(["start", jail])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let all: Vec<Child> = ["db", "roaming", "5", "db"]
        .into_iter()
        .map(start)
        .collect();
    lab.start(40, "other", Path::new("/other"));
    let codes: Vec<bool> = all
        .into_iter()
        .map(|mut process| process.wait().unwrap().success())
        .collect();
    assert_eq!(codes.iter().filter(|code| **code).count(), 3, "{codes:?}");
    let mut jids: Vec<u32> = lab.running().into_iter().map(|(jid, _, _)| jid).collect();
    jids.sort_unstable();
    jids.dedup();
    assert_eq!(jids.len(), 7, "{:?}", lab.running());
}

/// A dataset's snapshots and children, without the pool's part of the names.
fn below(lab: &Lab, dataset: &str) -> String {
    let start = format!("{}/iocage/", lab.pool(0));
    let all = lab.datasets(&[&format!("{start}{dataset}")]);
    let mut names: Vec<String> = all.iter().map(|name| name.replace(&start, "")).collect();
    names.sort();
    names.join(" ")
}

#[test]
fn iocage_makes_jails_of_releases_and_templates() {
    let Some(lab) = furnished() else { return };
    let pool = lab.pool(0);
    let origin = |jail: &str| {
        let root = format!("{pool}/iocage/jails/{jail}/root");
        let origin = lab.zfs(&["get", "-H", "-o", "value", "origin", &root]);
        origin.trim().replace(&format!("{pool}/iocage/"), "")
    };
    let done = host(
        &lab,
        "iocage create -r 13.2-RELEASE -n a_b notes=x ip4_addr=re0|10.0.0.5",
    );
    assert_done(&done, 0, "a_b successfully created!\n", "");
    let config = lab.config_of(pool, "a_b");
    assert_eq!(
        (&config["host_hostname"], &config["notes"]),
        (&json!("a-b"), &json!("x"))
    );
    assert_eq!(origin("a_b"), "releases/13.2-RELEASE/root@a_b");

    host(&lab, "iocage create -T -r 13.2-RELEASE -n thick");
    assert_eq!(origin("thick"), "-");
    assert!(lab.config_of(pool, "thick")["cloned_release"].is_null());
    assert_eq!(below(&lab, "jails/thick"), "jails/thick jails/thick/root");

    host(&lab, "iocage create -t base -n child boot=1");
    assert_eq!(origin("child"), "templates/base/root@child");
    assert!(below(&lab, "templates/base").contains("templates/base@child"));
    assert_eq!(lab.config_of(pool, "child")["source_template"], "base");
    assert!(lab.jid_of("child").is_some());

    host(&lab, "iocage create -b -r 13.2-RELEASE -n basejail");
    let fstab = fs::read_to_string(lab.iocage_root(pool).join("jails/basejail/fstab")).unwrap();
    assert_eq!(fstab.lines().count(), 14);
    host(&lab, "iocage create -e -n void");
    assert_eq!(lab.config_of(pool, "void")["release"], "EMPTY");
    host(&lab, "iocage create -r 13.2-RELEASE -n tpl template=yes");
    assert!(lab
        .iocage_root(pool)
        .join("templates/tpl/config.json")
        .exists());
    let needing = host(&lab, "iocage create -r 13.2-RELEASE -n net dhcp=1");
    assert_done(
        &needing,
        0,
        "net successfully created!",
        "dhcp requires vnet, enabling!\ndhcp requires bpf",
    );
    assert_eq!(lab.config_of(pool, "net")["bpf"], 1);

    // What cannot be leaves nothing, or a snapshot.
    let before = (below(&lab, "jails"), below(&lab, "releases"));
    for (line, words) in [
        ("-r 13.2-RELEASE -n a.b", "Jail: a.b already exists!\n"),
        (
            "-r 13.2-RELEASE -n a,b",
            "Invalid character in a,b, please remove it.\n",
        ),
        (
            "-r 13.2-RELEASE -n odd nosuch=1",
            "nosuch is not a valid property!\n",
        ),
        (
            "-r 15.0-RELEASE -n odd",
            "is not greater than target: 15.0-RELEASE\n",
        ),
        (
            "-t nosuch -n odd",
            "Template: nosuch not found!\nCreated Templates:\n  base",
        ),
        (
            "-n odd",
            "Must supply either --template (-t) or --release (-r)!\n",
        ),
    ] {
        let done = host(&lab, &format!("iocage create {line}"));
        assert_done(&done, 1, "", words);
    }
    assert_eq!((below(&lab, "jails"), below(&lab, "releases")), before);
    host(&lab, "iocage create -r 13.2-RELEASE -n default");
    let again = host(&lab, "iocage create -r 13.2-RELEASE -n default");
    assert_done(&again, 1, "", "exists!\nPlease manually run zfs destroy");
}

#[test]
fn a_clone_that_fails_takes_the_snapshot_of_its_name() {
    let Some(lab) = furnished() else { return };
    let pool = lab.pool(0);
    host(
        &lab,
        "iocage create -r 13.2-RELEASE -n a notes=banana vnet0_mac=none",
    );
    let done = host(&lab, "iocage clone a -n kid boot=0");
    assert_done(&done, 0, "kid successfully cloned!\n", "");
    let config = lab.config_of(pool, "kid");
    // The name goes out of every text.
    assert_eq!(config["notes"], "bkidnkidnkid");
    assert_eq!(
        below(&lab, "jails/a"),
        "jails/a jails/a/root jails/a/root@kid jails/a@kid"
    );
    let running = host(&lab, "iocage clone web -n odd");
    assert_done(
        &running,
        1,
        "",
        "Jail: web must not be running to be cloned!\n",
    );

    lab.zfs(&["snapshot", &format!("{pool}/iocage/jails/a@precious")]);
    let failed = host(&lab, "iocage clone a -n precious");
    assert_done(&failed, 1, "", "RuntimeError: Jail: precious not found!\n");
    assert!(!below(&lab, "jails/a").contains("precious"));
}

#[test]
fn an_image_is_imported_over_what_is_there() {
    let Some(lab) = furnished() else { return };
    let pool = lab.pool(0);
    let images = lab.iocage_root(pool).join("images");
    host(
        &lab,
        "iocage create -T -r 13.2-RELEASE -n my_own notes=first",
    );
    let running = host(&lab, "iocage export web");
    assert_done(
        &running,
        1,
        "",
        "web is running, stop the jail before exporting!\n",
    );
    let done = host(&lab, "iocage export my_own");
    assert_done(
        &done,
        0,
        &format!("Exporting dataset: {pool}/iocage/jails/my_own/root\n"),
        "",
    );
    let mut files: Vec<String> = fs::read_dir(&images)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert!(
        files.len() == 2 && files[0].ends_with(".sha256") && files[1].ends_with(".zip"),
        "{files:?}"
    );
    assert_eq!(
        below(&lab, "jails/my_own"),
        "jails/my_own jails/my_own/root"
    );

    host(&lab, "iocage set notes=second my_own");
    let over = host(&lab, "iocage import my");
    assert_eq!(lab.config_of(pool, "my_own")["notes"], "first", "{over:?}");
    // zfs-fuse says "busy" for a moment after an unmount.
    let destroy = ["destroy", "-r", &format!("{pool}/iocage/jails/my_own")];
    eventually("it is gone", || lab.try_zfs(&destroy).status.success());
    let done = host(&lab, "iocage import my_own");
    assert_done(
        &done,
        0,
        "Importing dataset: my_own/root\n\nImported: my_own\n",
        "",
    );
    assert_eq!(
        below(&lab, "jails/my_own"),
        "jails/my_own jails/my_own/root"
    );
    assert_done(
        &host(&lab, "iocage import nosuch"),
        1,
        "",
        "nosuch not found!\n",
    );

    // Those of a template fail late.
    let template = host(&lab, "iocage export base");
    assert_done(
        &template,
        1,
        "\nPreparing compressed file:",
        "dataset does not exist\n",
    );
    assert!(below(&lab, "templates/base").contains("base@ioc-export-"));
}

#[test]
fn nothing_to_update_is_a_failure() {
    let Some(lab) = furnished() else { return };
    let pool = lab.pool(0);
    let nothing = host(&lab, "iocage update db");
    assert_done(
        &nothing,
        1,
        "No updates needed to update system to 13.2-RELEASE-p9.\n",
        "\n",
    );
    assert!(lab.jid_of("db").is_some(), "it was started for it and left");
    assert!(below(&lab, "jails/db").contains("jails/db/root@ioc_update_13.2-RELEASE-p9_"));

    lab.set_patches(&["12.4-RELEASE-p3", "13.2-RELEASE-p11"]);
    let done = host(&lab, "iocage update 5");
    assert_done(
        &done,
        0,
        "release: 13.2-RELEASE-p9 -> 13.2-RELEASE-p11\nUpdated jail successfully.\n\n5 updates",
        "",
    );
    assert_eq!(lab.config_of(pool, "5")["release"], "13.2-RELEASE-p11");
    assert_eq!(lab.jid_of("5"), None);

    lab.set_userland("14.1-RELEASE");
    let asking = host(&lab, "iocage upgrade -r 14.1-RELEASE 5");
    assert_done(
        &asking,
        1,
        "Does this look reasonable (y/n)?",
        "upgrade failed!\n",
    );
    assert!(lab.jid_of("5").is_some());
    let line = ["iocage", "upgrade", "-r", "14.1-RELEASE", "5"];
    let done = host_with(&lab, &line, "y\ny\n");
    assert_done(
        &done,
        0,
        "5 successfully upgraded from 13.2-RELEASE-p11 to 14.1-RELEASE!\n",
        "",
    );
    let same = host(&lab, "iocage upgrade -r 14.1-RELEASE 5");
    assert_done(
        &same,
        1,
        "",
        "Jail: 5 is already at version 14.1-RELEASE!\n",
    );
}

#[test]
fn a_package_that_cannot_be_had_is_no_failure() {
    let Some(lab) = furnished() else { return };
    let list = lab.dir().join("list.json");
    fs::write(&list, json!({ "pkgs": ["nginx", "nosuch"] }).to_string()).unwrap();
    lab.set_missing_packages(&["nosuch"]);
    let create = |name: &str| {
        let line = format!(
            "iocage create -r 13.2-RELEASE -n {name} -p {} ip4_addr=re0|10.0.0.7",
            list.display()
        );
        host(&lab, &line)
    };
    let done = create("a");
    assert_done(
        &done,
        0,
        "  - nginx... \n  - nosuch... \n    - nosuch failed to install, retry #1\n",
        "'nosuch'",
    );
    assert_eq!(lab.jid_of("a"), None);
    lab.set_network("down");
    assert_done(
        &create("b"),
        1,
        "b successfully created!\n",
        "DNS Exception",
    );
    assert!(lab.jid_of("b").is_some());
}
