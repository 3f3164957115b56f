//! A host that fails, in every way that there is: each gets a right or honest answer in time, no
//! process is left, and the next request is right.

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{error_of, eventually, processes, run, Instance};
use serde_json::{json, Value};
use sysadm_iocage_lab::Lab;

/// What a request may take in all, where a command may take three seconds.
const IN_TIME: Duration = Duration::from_secs(15);

/// A furnished lab with an instance.
fn lab() -> Option<(Lab, Instance)> {
    let lab = Lab::or_skip(2)?;
    lab.furnish();
    let plugin = Instance::of(&lab);
    Some((lab, plugin))
}

/// An instance that gives a command three seconds: more than one takes on a loaded machine.
fn impatient(lab: &Lab) -> Instance {
    let mut config = lab.config();
    config["command_timeout_seconds"] = json!(3);
    Instance::open(&config, std::ptr::null())
}

/// The commands of the lab's host that run now; the janitor of the lab is none.
fn commands_left(lab: &Lab) -> Vec<String> {
    processes(&format!("{}/(bin|real)/", lab.dir().display()))
}

fn assert_right(plugin: &Instance) {
    assert_eq!(plugin.ask_for("activatestatus")["activated"], "true");
    let jails = plugin.ask_for("listjails");
    let states: Vec<&Value> = jails["jails"]
        .as_object()
        .unwrap_or_else(|| panic!("{jails}"))
        .values()
        .map(|jail| &jail["state"])
        .collect();
    assert_eq!(states.len(), 6, "{jails}");
    assert!(
        states
            .iter()
            .all(|state| *state == "up" || *state == "down"),
        "{jails}"
    );
}

/// Asks while a command fails, and once more when it no longer does.
fn with_fault(command: &str, script: &str, action: &str, expected: &[&str]) {
    let Some((lab, plugin)) = lab() else { return };
    lab.set_fault(command, Some(script));
    let impatient = impatient(&lab);
    let started = Instant::now();
    let answer = impatient.ask_for(action);
    assert!(started.elapsed() < IN_TIME, "{:?}", started.elapsed());
    let (code, error) = error_of(&answer);
    assert!(expected.contains(&code), "{code}: {error}");
    assert!(error.contains(command), "which command? {error}");
    assert_eq!(commands_left(&lab), [""; 0]);
    lab.set_fault(command, None);
    assert_right(&impatient);
    assert_right(&plugin);
}

#[test]
fn zfs_hangs() {
    with_fault(
        "zfs",
        "trap '' TERM; while :; do sleep 1; done",
        "listjails",
        &["timeout"],
    );
}

#[test]
fn zfs_prints_half_a_line_and_dies() {
    with_fault("zfs", "printf 'tank/ioc'; exit 1", "listjails", &["failed"]);
}

#[test]
fn zfs_is_ended_by_a_signal() {
    with_fault("zfs", "kill -SEGV $$", "listjails", &["failed"]);
}

#[test]
fn zfs_prints_a_gigabyte() {
    with_fault(
        "zfs",
        "exec head -c 1073741824 /dev/zero",
        "listjails",
        &["failed", "timeout"],
    );
}

#[test]
fn jls_prints_no_json() {
    with_fault(
        "jls",
        "echo '{\"jail-information\": {'; exit 0",
        "listjails",
        &["failed"],
    );
}

#[test]
fn jls_hangs() {
    with_fault("jls", "sleep 1000", "listjails", &["timeout"]);
}

#[test]
fn iocage_asks_a_question() {
    // Its input is empty, so it reads the end of it instead of waiting for an answer.
    let question = "printf 'Are you sure? [y/N]: '; read answer || { echo Aborted! >&2; exit 1; }";
    let Some((lab, plugin)) = lab() else { return };
    lab.set_fault("iocage", Some(question));
    let answer = plugin.ask(&json!({"action": "fetchreleases", "releases": "14.1-RELEASE"}));
    let job = answer["started_dispatcher_id"][0].as_str().unwrap();
    let event = plugin.wait_for_job(job);
    assert_eq!(event["success"], "false", "{event}");
    assert!(
        event["error"].as_str().unwrap().contains("Aborted!"),
        "{event}"
    );
    assert_eq!(commands_left(&lab), [""; 0]);
    lab.set_fault("iocage", None);
    assert_right(&plugin);
}

#[test]
fn zfs_is_missing_or_not_executable() {
    let Some((lab, plugin)) = lab() else { return };
    let file = lab.dir().join("not-executable");
    fs::write(&file, "#!/bin/sh\n").unwrap();
    for path in [Path::new("/nonexistent/zfs"), &file, lab.dir()] {
        let mut config = lab.config();
        config["commands"]["zfs"] = json!(path.display().to_string());
        let broken = Instance::open(&config, std::ptr::null());
        for action in ["activatestatus", "listjails", "listreleases"] {
            let answer = broken.ask_for(action);
            let (code, error) = error_of(&answer);
            assert_eq!(code, "unavailable", "{answer}");
            assert!(error.contains(path.to_str().unwrap()), "{error}");
        }
    }
    assert_right(&plugin);
}

/// What listing says of the jail `web` where its `config.json` is something odd; all the others
/// are listed as ever.
fn with_config(make: impl FnOnce(&Lab, &Path), state: &str) {
    let Some((lab, plugin)) = lab() else { return };
    assert_right(&plugin);
    let config = lab.config_file(lab.pool(0), "web");
    let before = fs::read(&config).unwrap();
    fs::remove_file(&config).unwrap();
    lab.set_running(&[]);
    make(&lab, &config);
    let started = Instant::now();
    for plugin in [&plugin, &Instance::of(&lab)] {
        let listed = plugin.ask_for("listjails")["jails"].clone();
        assert_eq!(listed["web"]["state"], state, "{listed}");
        assert_eq!(listed.as_object().unwrap().len(), 6);
        let up_or_down = |jail: &&Value| jail["state"] == "up" || jail["state"] == "down";
        assert!(
            listed
                .as_object()
                .unwrap()
                .values()
                .filter(up_or_down)
                .count()
                >= 5
        );
    }
    assert!(started.elapsed() < IN_TIME);
    if config.is_dir() {
        fs::remove_dir(&config).unwrap();
    } else {
        fs::remove_file(&config).unwrap();
    }
    fs::write(&config, before).unwrap();
    assert_right(&plugin);
}

#[test]
fn a_config_is_a_directory() {
    with_config(|_, config| fs::create_dir(config).unwrap(), "CORRUPT");
}

#[test]
fn a_config_is_a_fifo() {
    let make = |_: &Lab, config: &Path| drop(run(Command::new("mkfifo").arg(config)));
    with_config(make, "CORRUPT");
}

#[test]
fn a_config_is_a_device() {
    let make = |_: &Lab, config: &Path| {
        // /dev/zero, which never ends.
        run(Command::new("mknod").arg(config).args(["c", "1", "5"]));
    };
    with_config(make, "CORRUPT");
}

#[test]
fn a_config_has_a_hundred_megabytes() {
    let make = |_: &Lab, config: &Path| {
        fs::File::create(config)
            .unwrap()
            .set_len(100 << 20)
            .unwrap();
    };
    with_config(make, "CORRUPT");
}

#[test]
fn a_config_is_a_link_out_of_the_pool() {
    let make = |lab: &Lab, config: &Path| {
        let outside = lab.dir().join("outside.json");
        fs::write(&outside, r#"{"release": "secret"}"#).unwrap();
        symlink(outside, config).unwrap();
    };
    with_config(make, "CORRUPT");
}

#[test]
fn a_config_is_nested_deeply() {
    let make = |_: &Lab, config: &Path| {
        fs::write(config, format!("{{\"a\": {}", "[".repeat(500_000))).unwrap();
    };
    with_config(make, "CORRUPT");
}

#[test]
fn a_config_that_only_root_may_read_is_read() {
    let make = |_: &Lab, config: &Path| {
        fs::write(config, "{}").unwrap();
        fs::set_permissions(config, fs::Permissions::from_mode(0o0)).unwrap();
    };
    with_config(make, "down");
}

/// After a panic too, or who waits for it would wait for ever.
struct SetInTheEnd<'a>(&'a AtomicBool);

impl Drop for SetInTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_config_changes_while_it_is_read() {
    let Some((lab, plugin)) = lab() else { return };
    let config = lab.config_file(lab.pool(0), "web");
    let texts: Vec<String> = ["10.0.0.1", "10.0.0.22"]
        .iter()
        .map(|ip4| {
            json!({"host_hostuuid": "web", "ip4_addr": ip4, "notes": "x".repeat(9000)}).to_string()
        })
        .collect();
    let done = AtomicBool::new(false);
    lab.set_running(&[]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for text in texts.iter().cycle() {
                fs::write(&config, text).unwrap(); // in two steps: empty, then written
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let _done = SetInTheEnd(&done);
        for _ in 0..60 {
            let listed = plugin.ask_for("listjails")["jails"]["web"].clone();
            let address = listed["ip4"].as_str().unwrap();
            let whole = ["10.0.0.1", "10.0.0.22"].contains(&address) && listed["state"] == "down";
            assert!(whole || listed["state"] == "CORRUPT", "{listed}");
        }
    });
    fs::write(&config, &texts[0]).unwrap();
    assert_eq!(
        plugin.ask_for("listjails")["jails"]["web"]["ip4"],
        "10.0.0.1"
    );
}

#[test]
fn the_pool_vanishes_in_the_middle() {
    let Some(lab) = Lab::or_skip(2) else { return };
    lab.furnish();
    let plugin = Instance::of(&lab);
    let pool = lab.pool(0);
    // Between the question for the active pool and that for its jails.
    let vanish = format!(
        "case \"$*\" in *iocage/jails*)
            for try in 1 2 3 4 5 6 7 8; do
                \"$lab/real/zpool\" export -f {pool} >/dev/null 2>&1 && break
                sleep 0.5
            done ;;
         esac"
    );
    lab.set_fault("zfs", Some(&vanish));
    let answer = plugin.ask_for("listjails");
    lab.set_fault("zfs", None);
    // A pool that is gone is not a pool without jails.
    assert_eq!(error_of(&answer).0, "not_active", "{answer}");
    assert_eq!(commands_left(&lab), [""; 0]);
    lab.import(pool);
    assert_right(&plugin);
}

#[test]
fn the_disk_is_full() {
    let Some((lab, _)) = lab() else { return };
    let state = lab.dir().join("state");
    fs::create_dir_all(&state).unwrap();
    run(Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=16k,mode=0700", "tmpfs"])
        .arg(&state));
    let _ = fs::write(state.join("filler"), vec![0; 1 << 20]);
    let plugin = Instance::of(&lab);
    assert_right(&plugin);
    let listed = plugin.ask_for("listreleases");
    assert_eq!(listed["remote"][0], "12.4-RELEASE", "{listed}");
    // A job whose record cannot be written is not started, and the reason is told.
    let fetch = json!({"action": "fetchreleases", "releases": "14.1-RELEASE"});
    let answer = plugin.ask(&fetch);
    let (code, message) = error_of(&answer);
    assert!(
        code == "unavailable" && message.contains("No space left"),
        "{message}"
    );
    assert_eq!(commands_left(&lab), [""; 0]);
    fs::remove_file(state.join("filler")).unwrap();
    let answer = plugin.ask(&fetch);
    let job = answer["started_dispatcher_id"][0]
        .as_str()
        .expect("there is room");
    assert_eq!(plugin.wait_for_job(job)["success"], "true");
    let other = json!({"action": "activatepool", "pool": lab.pool(0)});
    assert!(plugin.ask(&other)["success"].is_string());
    drop(plugin);
    // A child that another test starts this moment may have a descriptor of it until it is executed.
    eventually("nobody uses it any more", || {
        let umount = Command::new("umount").arg(&state).output();
        umount.unwrap().status.success()
    });
}

/// Runs this very test program as a host of its own: it does what `CHILD` says with the instance
/// of `LAB_CONFIG`.
fn host(lab: &Lab, what: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "as_a_host_of_its_own",
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ])
        .env("CHILD", what)
        .env("LAB_CONFIG", lab.config().to_string())
        .env("LAB_POOLS", format!("{} {}", lab.pool(0), lab.pool(1)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

#[cfg(target_os = "linux")]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_os = "linux"))]
type Resource = libc::c_int;

/// Sets the soft limit of a resource, and gives what it was.
fn set_limit(resource: Resource, limit: libc::rlim_t) -> libc::rlim_t {
    let mut now = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    unsafe {
        assert_eq!(libc::getrlimit(resource, &mut now), 0);
        let before = now.rlim_cur;
        now.rlim_cur = limit.min(now.rlim_max);
        assert_eq!(libc::setrlimit(resource, &now), 0);
        before
    }
}

#[test]
fn as_a_host_of_its_own() {
    let Ok(what) = std::env::var("CHILD") else {
        return;
    };
    let config = common::parse(&std::env::var("LAB_CONFIG").unwrap());
    let pools = std::env::var("LAB_POOLS").unwrap();
    let (_, other) = pools.split_once(' ').unwrap();
    let plugin = Instance::open(&config, std::ptr::null());
    let say = |answer: &Value| println!("SAYS {answer}");
    match what.as_str() {
        "switch pools" => say(&plugin.ask(&json!({"action": "activatepool", "pool": other}))),
        "fetch" => {
            say(&plugin.ask(&json!({"action": "fetchreleases", "releases": "14.1-RELEASE"})));
            std::thread::sleep(Duration::from_secs(60));
        }
        "look around" => loop {
            plugin.ask(&json!({"action": "listreleases", "refresh": true}));
            plugin.ask_for("listjails");
        },
        "run out of descriptors" => {
            // Taken, rather than limited: a command would inherit the limit, and is not what is
            // tried here.
            set_limit(libc::RLIMIT_NOFILE, 64);
            for left in 0..16 {
                let mut taken: Vec<fs::File> =
                    std::iter::from_fn(|| fs::File::open("/dev/null").ok()).collect();
                taken.truncate(taken.len() - left);
                let answers = ["listjails", "listreleases"].map(|action| plugin.ask_for(action));
                drop(taken);
                for answer in answers {
                    let honest = answer["error"].is_null()
                        || ["unavailable", "failed"].contains(&error_of(&answer).0);
                    assert!(honest, "{left} left: {answer}");
                }
                assert_right(&plugin);
            }
            say(&json!("right"));
        }
        "run out of processes" => {
            // root may always have one more, so this is somebody else for a while.
            unsafe { assert_eq!(libc::setresuid(65534, 65534, 0), 0) };
            let before = set_limit(libc::RLIMIT_NPROC, 0);
            let answers = ["listjails", "activatestatus"].map(|action| plugin.ask_for(action));
            unsafe { assert_eq!(libc::setresuid(0, 0, 0), 0) };
            set_limit(libc::RLIMIT_NPROC, before);
            for answer in &answers {
                assert_eq!(error_of(answer).0, "unavailable", "{answer}");
            }
            assert_right(&plugin);
            say(&json!("right"));
        }
        _ => panic!("{what}"),
    }
}

/// What a host of its own says in the end; nothing where it is killed.
fn says(mut child: Child) -> Option<Value> {
    let output = BufReader::new(child.stdout.take().unwrap());
    let said = output.lines().map_while(Result::ok).find_map(|line| {
        line.split_once("SAYS ")
            .map(|(_, json)| common::parse(json))
    });
    let _ = child.kill();
    child.wait().unwrap();
    said
}

fn run_out(what: &str) {
    let Some((lab, _)) = lab() else { return };
    let child = host(&lab, &format!("run out of {what}"));
    assert_eq!(says(child), Some(json!("right")));
    assert_eq!(commands_left(&lab), [""; 0]);
}

#[test]
fn descriptors_run_out() {
    run_out("descriptors");
}

#[test]
fn processes_run_out() {
    run_out("processes");
}

#[test]
fn the_host_is_killed_while_it_switches_pools() {
    let Some((lab, _)) = lab() else { return };
    let (one, other) = (lab.pool(0), lab.pool(1));
    lab.lay_out(other);
    // Before a mark is set, or after it; at the first mark, or at the second.
    for (mark, after, active) in [
        ("yes", false, vec![one]),
        ("yes", true, vec![one, other]),
        ("no", false, vec![one, other]),
        ("no", true, vec![other]),
    ] {
        lab.mark(one, true);
        lab.mark(other, false);
        let work = if after {
            "\"$lab/real/zfs\" \"$@\";"
        } else {
            ""
        };
        let kill = format!("case \"$*\" in *active={mark}*) {work} kill -9 $PPID; exit 1;; esac");
        lab.set_fault("zfs", Some(&kill));
        assert_eq!(
            says(host(&lab, "switch pools")),
            None,
            "it is killed at {mark}"
        );
        lab.set_fault("zfs", None);
        assert_eq!(lab.active_pools(), active);
        let plugin = Instance::of(&lab);
        let status = plugin.ask_for("activatestatus");
        match active[..] {
            [pool] => assert_eq!(status["pool"], pool),
            _ => {
                let (code, error) = error_of(&status);
                assert!(
                    code == "conflict" && error.contains(one) && error.contains(other),
                    "{error}"
                );
            }
        }
        // Whatever it was, asking again makes it right.
        plugin.ask(&json!({"action": "activatepool", "pool": other}));
        assert_eq!(lab.active_pools(), [other]);
        assert_eq!(plugin.ask_for("activatestatus")["pool"], other);
    }
}

#[test]
fn the_host_is_killed_while_it_fetches() {
    let Some((lab, _)) = lab() else { return };
    let job = "sysadm_iocage_fetch_release_14.1-RELEASE";
    lab.set_pace("1");
    let mut child = host(&lab, "fetch");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said = lines.find(|line| line.as_ref().unwrap().contains("SAYS "));
    assert!(said.unwrap().unwrap().contains(job));
    // Another process neither starts it again nor takes it for its own.
    let plugin = Instance::of(&lab);
    assert_eq!(plugin.progress(job, None).unwrap()["state"], "running");
    let again = plugin.ask(&json!({"action": "fetchreleases", "releases": "14.1-RELEASE"}));
    assert_eq!(again["already_running"], json!([job]), "{again}");

    child.kill().unwrap();
    child.wait().unwrap();
    // The job goes on without it, and holds what it needs.
    for plugin in [&plugin, &Instance::of(&lab)] {
        assert_eq!(plugin.progress(job, None).unwrap()["state"], "running");
        let again = plugin.ask(&json!({"action": "fetchreleases", "releases": "14.1-RELEASE"}));
        assert_eq!(again["already_running"], json!([job]), "{again}");
        let answer = plugin.ask(&json!({"action": "activatepool", "pool": lab.pool(1)}));
        let (code, error) = error_of(&answer);
        assert!(code == "conflict" && error.contains(job), "{error}");
    }
    let fetches = lab.commands();
    let fetches = fetches.iter().filter(|words| words[1] == "fetch").count();
    assert_eq!(fetches, 1, "it was started twice");
    // When it has ended, what is there says how, and that nobody saw it is told beside.
    lab.set_pace("0");
    let event = plugin.wait_for_job(job);
    assert_eq!(event["success"], "true", "{event}");
    assert!(event["error"].as_str().unwrap().contains("died"), "{event}");
    eventually("the job's commands end", || commands_left(&lab).is_empty());
    let again = plugin.ask(&json!({"action": "fetchreleases", "releases": "14.1-RELEASE"}));
    assert_eq!(again["started_dispatcher_id"], json!([job]), "{again}");
    assert_eq!(plugin.wait_for_job(job)["success"], "true");
}

#[test]
fn the_host_is_killed_at_any_moment_while_it_reads_and_writes_its_catalogue() {
    let Some((lab, plugin)) = lab() else { return };
    let catalogue = lab.dir().join("state/catalogue.json");
    let datasets = || {
        lab.zfs(&[
            "list",
            "-H",
            "-r",
            "-t",
            "all",
            "-o",
            "name,org.freebsd.ioc:active",
            lab.pool(0),
        ])
    };
    let before = datasets();
    // On a busy machine it takes longer until one is killed after a write.
    for round in (0..200).take_while(|round| *round < 25 || !catalogue.exists()) {
        let mut child = host(&lab, "look around");
        std::thread::sleep(Duration::from_millis(60 + 17 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        if catalogue.exists() {
            common::parse(&fs::read_to_string(&catalogue).unwrap());
        }
    }
    assert!(catalogue.exists(), "it was never killed after a write");
    assert_eq!(datasets(), before);
    let listed = plugin.ask_for("listreleases");
    assert!(
        listed["remote_error"].is_null() && listed["remote"].as_array().unwrap().len() == 3,
        "{listed}"
    );
    assert_right(&plugin);
}
