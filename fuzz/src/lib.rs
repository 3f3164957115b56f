//! What the fuzzers share: a made-up host, an instance behind its C interface, and what must hold
//! for every answer.
//!
//! The host answers with what a real one has said (`corpus`, made by `seeds`), except for the one
//! thing that a fuzzer says instead. No command is ever run: every instance is opened with a
//! [`Runner`] that only pretends to, and the commands of its configuration do not exist anyway.

use std::ffi::{c_char, c_void, CStr, CString};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, RwLock};
use std::time::Duration;

use serde_json::{json, Map, Value};

pub mod asked;

use sysadm_iocage::actions::{self, Access, ACTIONS};
use sysadm_iocage::configuration::{Configuration, Program};
use sysadm_iocage::error::{Code, Error};
use sysadm_iocage::ffi::*;
use sysadm_iocage::names::PoolName;
use sysadm_iocage::system::{parse_mountinfo, Child, Mount, Order, Output, Runner, System};

/// What a fuzzer says in the place of what a real host has said.
#[derive(Clone, Debug, Default)]
pub struct Says {
    /// `zfs list` of the pools.
    pub pools: Option<Vec<u8>>,
    /// `zfs list` of anything below.
    pub datasets: Option<Vec<u8>>,
    /// `zfs list` of a whole pool with its origins.
    pub origins: Option<Vec<u8>>,
    /// `zfs get` of a pool.
    pub properties: Option<Vec<u8>>,
    /// `zfs get -p` of the space of jails.
    pub space: Option<Vec<u8>>,
    /// `zfs get -p` of snapshots.
    pub snapshots: Option<Vec<u8>>,
    /// `zfs list` of snapshots by their names.
    pub listed: Option<Vec<u8>>,
    /// `zfs get` of the transactions in which snapshots and bookmarks were made.
    pub transactions: Option<Vec<u8>>,
    /// On standard error by a `zfs` that fails.
    pub zfs_fails: Option<Vec<u8>>,
    /// On standard error by a `zfs destroy` that fails.
    pub destroy_fails: Option<Vec<u8>>,
    /// `zpool list`.
    pub health: Option<Vec<u8>>,
    pub jls: Option<Vec<u8>>,
    /// `iocage --version`.
    pub version: Option<Vec<u8>>,
    /// `iocage list -R`.
    pub remote: Option<Vec<u8>>,
    /// `fetch`.
    pub page: Option<Vec<u8>>,
    pub mountinfo: Option<Vec<u8>>,
    /// `rctl` of a jail.
    pub rctl: Option<Vec<u8>>,
    /// On standard error by an `rctl -a` that fails.
    pub rctl_fails: Option<Vec<u8>>,
    /// What a command in a jail says on standard error, and ends with 1.
    pub jexec_fails: Option<Vec<u8>>,
}

static SAYS: LazyLock<RwLock<Arc<Says>>> = LazyLock::new(RwLock::default);

/// Whether what is under way may change anything.
static MAY_CHANGE: AtomicBool = AtomicBool::new(true);

/// How many commands have run, and how many jobs were started.
static RAN: AtomicUsize = AtomicUsize::new(0);

/// The jobs that the dispatcher was given, with their command lines, until [`end_jobs`].
static QUEUED: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// How many commands and jobs there were so far.
pub fn ran() -> usize {
    RAN.load(Ordering::Relaxed)
}

/// What was destroyed since the host last said something else.
pub static DESTROYED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Does `work` on a host that says this.
pub fn on_host<T>(says: Says, work: impl FnOnce() -> T) -> T {
    DESTROYED.lock().unwrap().clear();
    *SAYS.write().unwrap() = Arc::new(says);
    let done = work();
    *SAYS.write().unwrap() = Arc::default();
    done
}

macro_rules! seed {
    ($file:literal) => {
        include_bytes!(concat!("../corpus/", $file)).as_slice()
    };
}

struct MadeUp;

/// What is mounted where a fuzzer does not say it: of the seed only what a request looks for, as
/// every request reads it all.
static MOUNTINFO: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let table = String::from_utf8(at_home(seed!("mountinfo/lab.txt"))).unwrap();
    let needed = |line: &&str| {
        let source = line.split(' ').nth(8).unwrap();
        let parent = source.rsplit('/').nth(1);
        let of_family = parent == Some("jails") || parent == Some("templates");
        let roots = ["jails/web/root", "jails/db/root", "templates/base/root"];
        let below = source.strip_prefix("tank1/iocage");
        let is_root = below.is_some_and(|below| roots.contains(&below.trim_start_matches('/')));
        ["tank1/iocage", "tank1/iocage/images"].contains(&source) || is_root || of_family
    };
    let lines: Vec<&str> = table.lines().filter(needed).collect();
    lines.join("\n").into_bytes()
});

/// What a command prints, and how it ends.
#[derive(Default)]
struct Printed {
    exit_code: i32,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Printed {
    fn said(stdout: impl Into<Vec<u8>>) -> Self {
        Printed {
            stdout: stdout.into(),
            ..Printed::default()
        }
    }

    fn failed(stderr: impl Into<Vec<u8>>) -> Self {
        Printed {
            exit_code: 1,
            stderr: stderr.into(),
            ..Printed::default()
        }
    }
}

impl Runner for MadeUp {
    fn run(
        &self,
        order: &Order,
        _: Duration,
        _: &AtomicBool,
    ) -> sysadm_iocage::error::Result<Output> {
        let arguments: Vec<&str> = order.argv[1..].iter().map(String::as_str).collect();
        // A command in a jail may be anything.
        let of_host = match order.program {
            Program::Jexec => arguments.len().min(4),
            _ => arguments.len(),
        };
        check_command(&arguments[..of_host]);
        RAN.fetch_add(1, Ordering::Relaxed);
        let printed = answer(order.program, &arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Output {
            command: order.shown.clone(),
            exit_code: printed.exit_code,
            stdout: text(&printed.stdout),
            stderr: text(&printed.stderr),
        })
    }

    /// The dispatcher takes every job.
    fn spawn(
        &self,
        order: &Order,
        _: &File,
        _: &[BorrowedFd<'_>],
    ) -> sysadm_iocage::error::Result<Child> {
        let message = format!("{}: not here", order.shown);
        Err(Error::new(Code::Unavailable, message))
    }

    fn mount_table(&self) -> io::Result<Vec<Mount>> {
        let says = Arc::clone(&SAYS.read().unwrap());
        Ok(match &says.mountinfo {
            Some(table) => parse_mountinfo(&at_home(table)),
            None => parse_mountinfo(&MOUNTINFO),
        })
    }

    fn log(&self, _: i32, line: &str) {
        check_logged(line);
    }

    /// A thread for each request would be the most of a fuzzer's time.
    fn has_threads(&self) -> bool {
        false
    }
}

/// What a made-up command prints.
fn answer(program: Program, arguments: &[&str]) -> Printed {
    let says = Arc::clone(&SAYS.read().unwrap());
    let or = |said: &Option<Vec<u8>>, real: &[u8]| {
        let said = said.as_deref().unwrap_or(real);
        Printed::said(said)
    };
    match (program, arguments) {
        (Program::Zfs, _) if says.zfs_fails.is_some() => {
            Printed::failed(says.zfs_fails.clone().unwrap())
        }
        (Program::Zfs, ["list", "-H", "-d", "0", ..]) => or(&says.pools, seed!("zfs/pools.txt")),
        // Whether it is there still: what could not be destroyed is.
        (Program::Zfs, ["list", "-H", "-o", "name", .., dataset]) => match &says.destroy_fails {
            Some(_) => Printed::said(format!("{dataset}\n")),
            None => Printed::failed(seed!("zfs/none.txt")),
        },
        (
            Program::Zfs,
            ["list", "-H", "-r", "-t", "snapshot", "-o", "name" | "name,userrefs", dataset],
        ) => {
            let said = says.listed.as_ref().or(says.datasets.as_ref());
            let names = || snapshots_in(dataset).join("\n").into_bytes();
            Printed::said(said.cloned().unwrap_or_else(names))
        }
        // The datasets of a jail, for its export.
        (Program::Zfs, ["list", "-H", "-r", "-t", "filesystem,volume", "-o", "name", dataset])
            if says.datasets.is_none() =>
        {
            Printed::said(format!("{dataset}\n{dataset}/root\n"))
        }
        (Program::Zfs, ["get", "-H", "-p", .., "referenced" | "available", dataset]) => {
            let real = format!("{dataset}\t1048576\n");
            or(&says.space, real.as_bytes())
        }
        (Program::Zfs, ["list", "-H", "-r", .., dataset]) => {
            let origins = arguments.iter().any(|word| word.starts_with("name,origin"));
            match (dataset.rsplit('/').next(), origins) {
                _ if says.datasets.is_some() => or(&says.datasets, b""),
                (Some("jails"), true) => Printed::said(seed!("zfs/jails.txt")),
                (Some("templates"), true) => Printed::said(seed!("zfs/templates.txt")),
                (Some("download"), false) => Printed::said(seed!("zfs/members-download.txt")),
                (Some("jails"), false) => Printed::said(seed!("zfs/members-jails.txt")),
                (Some("releases"), false) => Printed::said(seed!("zfs/members-releases.txt")),
                (Some("templates"), false) => Printed::said(seed!("zfs/members-templates.txt")),
                (Some("tank1"), true) => or(&says.origins, seed!("zfs/datasets.txt")),
                _ => listed(arguments, dataset),
            }
        }
        (Program::Zfs, ["get", "-H", "-p", "-r", "-t", "snapshot,bookmark", .., dataset]) => {
            let names = snapshots_in(dataset).into_iter().enumerate();
            let rows: Vec<String> = names.map(|(at, name)| format!("{name}\t{at}")).collect();
            or(&says.transactions, rows.join("\n").as_bytes())
        }
        (Program::Zfs, ["get", "-H", "-p", "-r", "-d", "1", ..]) => {
            or(&says.space, seed!("zfs/space.txt"))
        }
        (Program::Zfs, ["get", "-H", "-p", "-r", ..]) => {
            or(&says.snapshots, seed!("zfs/snapshots.txt"))
        }
        (Program::Zfs, ["get", ..]) => or(&says.properties, seed!("zfs/properties.txt")),
        (Program::Zfs, ["set", setting, dataset]) => {
            check_change();
            match setting.starts_with("sysadm-iocage:origin=") {
                true => assert!(dataset.contains("/iocage/"), "{dataset}"),
                false => assert!(PoolName::existing(dataset).is_ok(), "{dataset}"),
            }
            Printed::default()
        }
        (Program::Zfs, ["destroy", snapshot] | ["rollback" | "snapshot", .., snapshot])
        | (Program::Zfs, ["rename", "-r", snapshot, _]) => {
            check_change();
            assert!(snapshot.contains('@'), "{snapshot}");
            if arguments[0] == "destroy" {
                DESTROYED.lock().unwrap().push(snapshot.to_string());
            }
            Printed::default()
        }
        (Program::Zfs, ["destroy", "-r", dataset]) => {
            check_change();
            assert!(dataset.contains('/'), "{dataset}: a whole pool");
            DESTROYED.lock().unwrap().push(dataset.to_string());
            match &says.destroy_fails {
                Some(words) => Printed::failed(words.clone()),
                None => Printed::default(),
            }
        }
        (Program::Zpool, ["list", ..]) => or(&says.health, seed!("zpool/health.txt")),
        (Program::Jls, ["--libxo", "json", "-v"]) => {
            let jails = or(&says.jls, seed!("jls/verbose.json"));
            Printed::said(at_home(&jails.stdout))
        }
        (Program::Iocage, ["--version"]) => or(&says.version, seed!("iocage/version-1.13.txt")),
        (Program::Iocage, ["list", "-R"]) => or(&says.remote, seed!("iocage/remote-1.13.txt")),
        // It says that all is well, and has done nothing.
        (Program::Iocage, ["start" | "stop" | "restart" | "set" | "rename", ..]) => {
            check_change();
            Printed::default()
        }
        (Program::Rctl, ["-a", _]) if says.rctl_fails.is_some() => {
            Printed::failed(says.rctl_fails.clone().unwrap())
        }
        (Program::Rctl, ["-a" | "-r", rule]) => {
            check_change();
            assert!(rule.starts_with("jail:ioc-"), "{rule}");
            Printed::default()
        }
        (Program::Rctl, [rule]) => {
            assert!(rule.starts_with("jail:ioc-"), "{rule}");
            or(&says.rctl, b"")
        }
        (Program::Jexec, ["-U", _, "--", jid, _, ..]) => {
            check_change();
            assert!(jid.parse::<u32>().is_ok(), "{jid}");
            match &says.jexec_fails {
                Some(words) => Printed::failed(words.clone()),
                None => Printed::said(b"hello\n".to_vec()),
            }
        }
        (Program::FreebsdVersion, []) => Printed::said(b"13.2-RELEASE-p9\n".to_vec()),
        (Program::Fetch, ["-q", "-T", _, "-o", "-", _]) => {
            or(&says.page, seed!("fetch/unsupported.html"))
        }
        _ => panic!("nobody should run this: {program:?} {arguments:?}"),
    }
}

/// What any other `zfs list` prints of the seeds' datasets and snapshots: those that are not destroyed.
fn listed(arguments: &[&str], dataset: &str) -> Printed {
    let after = |option: &str| {
        let mut words = arguments.iter().skip_while(|word| **word != option);
        words.nth(1).copied()
    };
    let kinds = after("-t").unwrap_or("filesystem");
    let depth: usize = after("-d").map_or(usize::MAX, |depth| depth.parse().unwrap());
    let destroyed = DESTROYED.lock().unwrap();
    let is_there = |name: &str| {
        let is_in = |gone: &String| {
            let rest = name.strip_prefix(gone.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '@']))
        };
        let below = name.strip_prefix(dataset);
        let is_below = below.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '@']));
        is_below
            && below.unwrap().matches(['/', '@']).count() <= depth
            && !destroyed.iter().any(is_in)
    };
    let all = std::str::from_utf8(seed!("zfs/datasets.txt"))
        .unwrap()
        .lines();
    let mut rows: Vec<(&str, &str)> = Vec::new();
    for row in all {
        let (name, origin) = row.split_once('\t').unwrap();
        if kinds.contains("filesystem") {
            rows.push((name, origin));
        }
        if kinds.contains("snapshot") {
            let own = snapshots_in(name).into_iter();
            let own = own.filter(|one| one.split('@').next() == Some(name));
            rows.extend(own.map(|one| (one, "-")));
        }
    }
    let mut printed = String::new();
    for (name, origin) in rows.into_iter().filter(|(name, _)| is_there(name)) {
        let value = |column: &str| match column {
            "name" => name.to_string(),
            "origin" => origin.to_string(),
            "userrefs" => "0".into(),
            "org.freebsd.ioc:active" => if name == "tank1" { "yes" } else { "-" }.into(),
            _ => "-".into(),
        };
        let columns = after("-o").unwrap_or("name").split(',').map(value);
        printed += &columns.collect::<Vec<_>>().join("\t");
        printed.push('\n');
    }
    match printed.is_empty() && !is_there(dataset) {
        true => Printed::failed(seed!("zfs/none.txt")),
        false => Printed::said(printed),
    }
}

/// The jails that run where a fuzzer does not say it.
pub fn running() -> Vec<&'static str> {
    let says = Arc::clone(&SAYS.read().unwrap());
    match says.jls {
        Some(_) => Vec::new(),
        None => vec!["web", "mail.example.org", "jenkins"],
    }
}

/// The seeds' snapshots of a dataset and of those below it.
fn snapshots_in(dataset: &str) -> Vec<&'static str> {
    let seed = std::str::from_utf8(seed!("zfs/snapshots.txt")).unwrap();
    let names = seed.lines().filter_map(|line| line.split('\t').next());
    let is_in = |name: &&str| {
        let rest = name.strip_prefix(dataset);
        name.contains('@') && rest.is_some_and(|rest| rest.starts_with(['@', '/']))
    };
    let mut names: Vec<&str> = names.filter(is_in).collect();
    names.dedup();
    names
}

/// The seeds have `/lab` where their lab was; here that is a folder of this process.
fn at_home(text: &[u8]) -> Vec<u8> {
    let mut moved = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        match rest.strip_prefix(b"/lab/") {
            Some(below) => {
                moved.extend_from_slice(home().as_os_str().as_encoded_bytes());
                moved.push(b'/');
                rest = below;
            }
            None => {
                moved.push(*first);
                rest = after;
            }
        }
    }
    moved
}

/// The folder of this process, in which the files of a furnished lab lie.
pub fn home() -> &'static Path {
    static HOME: LazyLock<PathBuf> = LazyLock::new(|| {
        // Not removed at the end, which libFuzzer has its own way to come to; `fuzz/run` does it.
        let home = std::env::temp_dir().join(format!("sysadm-iocage-fuzz-{}", std::process::id()));
        let root = home.join("mnt/tank1/iocage");
        for (path, content) in [
            ("defaults.json", seed!("defaults_json/defaults.json")),
            ("jails/5/config.json", seed!("config_json/5.json")),
            ("jails/db/config.json", seed!("config_json/db.json")),
            ("jails/jenkins/config.json", LIMITED),
            (
                "jails/mail.example.org/config.json",
                seed!("config_json/mail.example.org.json"),
            ),
            (
                "jails/roaming/config.json",
                seed!("config_json/roaming.json"),
            ),
            ("jails/web/config.json", seed!("config_json/web.json")),
            ("jails/db/root/etc/hosts", b"127.0.0.1 localhost db\n"),
            ("templates/base/root/etc/hosts", b"127.0.0.1 localhost\n"),
            (
                "templates/base/config.json",
                b"{\"type\":\"template\",\"template\":1}",
            ),
        ] {
            write(&root.join(path), content);
        }
        put_back(&home);
        write(&index_file(&home), seed!("index/real.json"));
        write(&home.join("state/catalogue.json"), b"{}");
        // Whatever the mask: one into which others may write is refused.
        fs::set_permissions(home.join("state"), Permissions::from_mode(0o700)).unwrap();
        home
    });
    &HOME
}

/// What jenkins is, with a limit.
const LIMITED: &[u8] = br#"{"host_hostuuid":"jenkins","type":"pluginv2","plugin_name":"jenkins","memoryuse":"deny=1G"}"#;

/// Writes the files that actions may change.
fn put_back(home: &Path) {
    let root = home.join("mnt/tank1/iocage");
    for (path, content) in [
        ("jails/web/fstab", seed!("fstab/fstab.txt")),
        ("images/web_2026-11-25.zip", b"abc"),
        ("images/web_2026-11-25.sha256", b"ba78"),
    ] {
        write(&root.join(path), content);
    }
    let _ = fs::remove_dir_all(root.join("jails/web/root"));
    fs::create_dir_all(root.join("jails/web/root")).unwrap();
}

/// Puts back what a request may have changed of the files.
fn after_request(text: &[u8]) {
    const CHANGING: [&[u8]; 4] = [b"mount", b"clean", b"rename", b"destroy"];
    let has = |word: &&[u8]| text.windows(word.len()).any(|part| part == *word);
    if CHANGING.iter().any(has) {
        put_back(home());
    }
}

/// Where the library's own clone of the plugin index lies.
pub fn index_file(home: &Path) -> PathBuf {
    home.join("state/plugins/github_com_freenas_iocage-ix-plugins_git/INDEX")
}

/// Writes a file that the library is to read.
pub fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// The configuration of every instance here. An iocage has to exist for its version to be asked;
/// /dev/null does, and can be run by nobody.
pub fn config(more: Value) -> Value {
    let mut config = json!({
        "commands": {
            "zfs": "/nonexistent/zfs", "zpool": "/nonexistent/zpool", "jls": "/nonexistent/jls",
            "iocage": "/dev/null", "fetch": "/nonexistent/fetch", "git": "/nonexistent/git",
            "freebsd-version": "/nonexistent/freebsd-version",
            "jexec": "/nonexistent/jexec", "rctl": "/nonexistent/rctl",
        },
        "catalogue_max_age_seconds": 31_536_000,
        "state_directory": home().join("state").to_str().unwrap(),
    });
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

/// The made-up host below the C interface.
pub fn system() -> System {
    System::with(&configuration(json!({})), Arc::new(MadeUp))
}

fn configuration(more: Value) -> Configuration {
    Configuration::parse(&config(more).to_string()).expect("the configuration is right")
}

/// The pool that the seeds' host has its jails in.
pub fn pool() -> PoolName {
    PoolName::parse("tank1").unwrap()
}

/// No option that the library does not itself put there, and nothing that no argument can have.
fn check_command(words: &[&str]) {
    #[rustfmt::skip]
    const OPTIONS: &[&str] = &[
        "-", "--", "-B", "-H", "-P", "-R", "-T", "-U", "-V", "-a", "-b", "-c", "-d", "-e", "-f", "-g", "-n", "-o", "-p", "-q",
        "-r", "-s", "-t", "-v", "--accept", "--depth", "--libxo", "--name", "--no-single-branch", "--quiet", "--version",
    ];
    for word in words {
        assert!(
            !word.starts_with('-') || OPTIONS.contains(word),
            "option {word:?}"
        );
        assert!(
            !word.chars().any(char::is_control) && !word.is_empty(),
            "argument {word:?}"
        );
    }
}

fn check_change() {
    assert!(
        MAY_CHANGE.load(Ordering::Relaxed),
        "reading has changed something"
    );
}

unsafe extern "C" fn queue(_: *mut c_void, id: *const c_char, argv: *const *const c_char) -> bool {
    let id = unsafe { text(id) };
    check_change_or_refresh(id);
    RAN.fetch_add(1, Ordering::Relaxed);
    let words = (0..)
        .map(|at| unsafe { *argv.add(at) })
        .take_while(|word| !word.is_null());
    let words: Vec<&str> = words.map(|word| unsafe { text(word) }).collect();
    assert!(words.len() >= 3 && words[0].starts_with('/'), "{words:?}");
    check_command(&words[1..]);
    let job = (id.to_string(), words.join(" "));
    QUEUED.lock().unwrap().push(job);
    true
}

/// Ends the jobs that were started since the last time, each with this output.
pub fn end_jobs(instance: &Instance, output: &str, code: u8) {
    let jobs = std::mem::take(&mut *QUEUED.lock().unwrap());
    for (id, command) in jobs {
        let log = json!({
            "state": "finished", "cmd_list": [command], command.clone(): output,
            (format!("return_codes/{command}")): code.to_string(),
        });
        let event = instance.progress(&id, log.to_string().as_bytes());
        let event = event.expect("it is a job of the library");
        check_event(&event, &id);
    }
}

/// What holds for what is said of every job's log.
pub fn check_event(event: &Value, job: &str) {
    assert_eq!(event["event_system"], "sysadm/iocage");
    assert_eq!(event["job_id"], job);
    let state = event["state"].as_str().unwrap();
    for (key, value) in event.as_object().unwrap() {
        let text = || value.as_str().unwrap();
        match key.as_str() {
            "event_system" | "job_id" | "state" | "process_details" => {}
            "filename" => assert!(!text().contains(char::is_control), "{event}"),
            "download_rate" => check_line(text()),
            "percent_done" => assert!(text().parse::<u8>().unwrap() <= 100, "{event}"),
            "success" => assert!(state == "finished" && ["true", "false"].contains(&text())),
            "error" => check_line(text()),
            _ => panic!("{event}"),
        }
    }
    let success = event.get("success");
    assert!(success.is_none() || state == "finished", "{event}");
    assert!(
        success != Some(&json!("false")) || event.get("error").is_some(),
        "{event}"
    );
}

/// A job has ended when it is asked for: what it needed is free again.
unsafe extern "C" fn is_active(_: *mut c_void, _: *const c_char) -> bool {
    false
}

/// Refreshing a plugin index is the one job that reading may start.
fn check_change_or_refresh(id: &str) {
    assert!(id.starts_with("sysadm_iocage_"), "{id}");
    if !id.starts_with("sysadm_iocage_refresh_plugins_") {
        check_change();
    }
}

unsafe extern "C" fn log(_: *mut c_void, level: i32, message: *const c_char) {
    assert!([SYSADM_IOCAGE_LOG_ERROR, SYSADM_IOCAGE_LOG_INFO].contains(&level));
    let message = unsafe { text(message) };
    check_logged(message);
}

/// A line of a log, without the secret, where that stands in private values alone.
fn check_logged(line: &str) {
    check_line(line);
    let is_told = asked::HAS_SECRETS.load(Ordering::Relaxed) && line.contains(asked::SECRET);
    assert!(!is_told, "{line}");
}

unsafe fn text<'a>(string: *const c_char) -> &'a str {
    unsafe { CStr::from_ptr(string) }.to_str().expect("UTF-8")
}

/// A string that the library returned, freed.
fn take(string: *mut c_char) -> Option<String> {
    if string.is_null() {
        return None;
    }
    let owned = unsafe { text(string) }.to_string();
    unsafe { sysadm_iocage_free(string) };
    Some(owned)
}

/// An instance, called as a C program calls it, with a host that takes every job.
pub struct Instance(*mut SysadmIocage);

// SAFETY: the header promises that any thread may use an instance.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

impl Instance {
    pub fn open(more: Value) -> Self {
        let host = SysadmIocageHost {
            struct_size: size_of::<SysadmIocageHost>(),
            user_data: ptr::null_mut(),
            queue_process: Some(queue),
            is_job_active: Some(is_active),
            log: Some(log),
            job_ended: None,
        };
        let runner = Arc::new(MadeUp);
        // SAFETY: the host is a whole one.
        let opened = unsafe { SysadmIocage::open_with(configuration(more), runner, &host) };
        Instance(opened.expect("the host is right"))
    }

    /// Asks, and checks what holds for every reply. Gives the status and the reply.
    pub fn evaluate(&self, args: &[u8], access: i32) -> (i32, Value) {
        self.evaluate_in(args, access, access == SYSADM_IOCAGE_ACCESS_FULL)
    }

    /// The same, of what may change something or not.
    pub fn evaluate_in(&self, args: &[u8], access: i32, may_change: bool) -> (i32, Value) {
        let args = c_text(args);
        let mut status = 0;
        MAY_CHANGE.store(may_change, Ordering::Relaxed);
        let reply =
            take(unsafe { sysadm_iocage_evaluate(self.0, args.as_ptr(), access, &mut status) });
        MAY_CHANGE.store(true, Ordering::Relaxed);
        after_request(args.as_bytes());
        let reply = parse(&reply.expect("a reply"));
        check_reply(status, &reply);
        (status, reply)
    }

    /// What an action that there is answers.
    pub fn ask(&self, args: Value) -> Value {
        let (status, mut reply) =
            self.evaluate(args.to_string().as_bytes(), SYSADM_IOCAGE_ACCESS_FULL);
        assert_eq!(status, 200, "{reply}");
        reply[args["action"].as_str().unwrap()].take()
    }

    pub fn message(&self, message: &[u8], access: i32) -> Value {
        let message = c_text(message);
        MAY_CHANGE.store(access == SYSADM_IOCAGE_ACCESS_FULL, Ordering::Relaxed);
        let reply = take(unsafe { sysadm_iocage_message(self.0, message.as_ptr(), access) });
        MAY_CHANGE.store(true, Ordering::Relaxed);
        after_request(message.as_bytes());
        parse(&reply.expect("a reply"))
    }

    pub fn progress(&self, job: &str, log: &[u8]) -> Option<Value> {
        let (job, log) = (c_text(job.as_bytes()), c_text(log));
        take(unsafe { sysadm_iocage_progress(self.0, job.as_ptr(), log.as_ptr()) })
            .map(|text| parse(&text))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        unsafe { sysadm_iocage_close(self.0) };
    }
}

/// Opens an instance on the real host as a C program does, and closes it again, unasked: nothing is
/// run by that. Says what is wrong with the configuration otherwise.
pub fn open_and_close(config: &[u8]) -> Result<(), String> {
    let config = c_text(config);
    let mut error = ptr::null_mut();
    // SAFETY: the text ends in NUL, and there may be no host.
    let opened = unsafe { sysadm_iocage_open(config.as_ptr(), ptr::null(), &mut error) };
    match (opened.is_null(), take(error)) {
        (false, None) => {
            drop(Instance(opened));
            Ok(())
        }
        (true, Some(error)) => Err(error),
        other => panic!("{other:?}"),
    }
}

/// As much of a fuzzer's bytes as the library sees: a C string ends with its first NUL.
pub fn seen(bytes: &[u8]) -> &[u8] {
    bytes
        .split(|byte| *byte == 0)
        .next()
        .expect("one part at least")
}

fn c_text(bytes: &[u8]) -> CString {
    CString::new(seen(bytes)).expect("no NUL")
}

/// Reads what the library returned, which is to be JSON in the one form in which it is written.
fn parse(text: &str) -> Value {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    // A message's id comes back as it was written.
    if value.get("id").is_none() {
        assert_eq!(value.to_string(), text);
    }
    value
}

/// What holds for every reply: the contract's third chapter.
pub fn check_reply(status: i32, reply: &Value) {
    let object = reply.as_object().expect("an object");
    assert_eq!(object.len(), 1, "{reply}");
    let (key, answer) = object.iter().next().unwrap();
    check_strings(answer);
    match status {
        200 => {
            assert!(actions::find(key).is_some(), "{key}");
            check_answer(answer);
        }
        400 | 403 => {
            assert_eq!(key, "error");
            check_refusal(answer);
            assert_eq!(answer["code"], status.to_string());
        }
        _ => panic!("status {status}: {reply}"),
    }
}

/// What holds for every action's answer.
pub fn check_answer(answer: &Value) {
    const CODES: &[&str] = &[
        "invalid_argument",
        "not_found",
        "not_active",
        "conflict",
        "in_use",
        "timeout",
        "unavailable",
        "failed",
    ];
    let object = answer.as_object().expect("an object");
    // What a job is at is no error, whatever it has come to.
    let is_event = object.contains_key("event_system");
    if let Some(error) = object.get("error").filter(|_| !is_event) {
        let keys: Vec<&String> = object.keys().collect();
        assert_eq!(keys, ["code", "error"], "{answer}");
        check_line(error.as_str().unwrap());
        assert!(
            CODES.contains(&answer["code"].as_str().unwrap()),
            "{answer}"
        );
    }
    if let Some(error) = object.get("remote_error") {
        check_line(error.as_str().unwrap());
    }
}

/// `{"code": ..., "message": ...}`
pub fn check_refusal(refusal: &Value) {
    let keys: Vec<&String> = refusal.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["code", "message"], "{refusal}");
    check_line(refusal["message"].as_str().unwrap());
}

/// One line, and something in it.
pub fn check_line(text: &str) {
    assert!(
        !text.is_empty() && !text.chars().any(char::is_control),
        "{text:?}"
    );
}

/// All scalars are strings.
pub fn check_strings(value: &Value) {
    match value {
        Value::String(_) => {}
        Value::Array(list) => list.iter().for_each(check_strings),
        Value::Object(object) => object.values().for_each(check_strings),
        _ => panic!("{value} is no string"),
    }
}

/// The jails and templates of the seeds' host.
pub const MEMBERS: [&str; 7] = [
    "5",
    "base",
    "db",
    "jenkins",
    "mail.example.org",
    "roaming",
    "web",
];

/// What an answer says of each jail and template, none of which is left out.
pub fn members(answer: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let jails = answer["jails"].as_object().expect("an object");
    let names: Vec<&String> = jails.keys().collect();
    assert_eq!(names, MEMBERS, "{answer}");
    jails.iter()
}

/// The keys of an object, in order.
pub fn keys(object: &Value) -> Vec<&str> {
    let object = object.as_object().expect("an object");
    object.keys().map(String::as_str).collect()
}

/// That it is one member's error with this code, and nothing else.
pub fn check_failure(answer: &Value, code: &str) {
    check_answer(answer);
    assert_eq!(answer["code"], code, "{answer}");
}

/// What the settings and addresses of some jails are, however it is asked: it takes most of the time
/// that an execution takes.
pub fn check_settings(instance: &Instance, jails: &[&str]) {
    let get = |detail: bool| {
        let args = json!({"action": "getjailsettings", "jails": jails, "detail": detail});
        instance.ask(args)
    };
    let (plain, detailed) = (get(false), get(true));
    let of = |answer: &Value| answer["jails"].as_object().expect("an object").clone();
    assert_eq!(keys(&plain["jails"]), jails, "{plain}");
    for ((name, plain), (_, detailed)) in of(&plain).iter().zip(&of(&detailed)) {
        if plain
            .get("code")
            .is_some_and(|_| plain.get("error").is_some())
        {
            // A config can have settings called so, but has others besides.
            if plain.as_object().unwrap().len() == 2 {
                check_failure(plain, "unavailable");
                continue;
            }
        }
        assert_eq!(keys(plain), keys(detailed), "{name}");
        for (property, value) in plain.as_object().unwrap() {
            let of = &detailed[property];
            assert_eq!(keys(of), ["source", "value"], "{name} {property}");
            assert_eq!(of["value"], *value, "{name} {property}");
            let source = of["source"].as_str().unwrap();
            assert!(["jail", "defaults", "iocage"].contains(&source), "{of}");
        }
    }
    let defaults = instance.ask(json!({"action": "getdefaultsettings"}));
    match plain.get("defaults_error") {
        Some(why) => {
            check_line(why.as_str().unwrap());
            check_failure(&defaults, "failed");
        }
        None => assert!(defaults["defaults"]["boot"].is_string(), "{defaults}"),
    }

    let list = instance.ask(json!({"action": "listjails", "jails": jails}));
    let detail = instance.ask(json!({"action": "listjails", "jails": jails, "detail": true}));
    let (list, detail) = (list["jails"].as_object().unwrap(), &detail["jails"]);
    assert_eq!(list.len(), detail.as_object().unwrap().len(), "{detail}");
    for (key, jail) in list {
        check_jail(jail);
        let known = plain["jails"].get(detail[key]["name"].as_str().unwrap());
        check_detailed(jail, &detail[key], known);
    }
}

/// A jail that is listed with all that is known of it, beside what else is said of it.
fn check_detailed(jail: &Value, detailed: &Value, settings: Option<&Value>) {
    for (key, value) in jail.as_object().unwrap() {
        assert_eq!(detailed[key], *value, "{detailed}");
    }
    let more = [
        "addresses",
        "basejail",
        "hostname",
        "mountpoint",
        "name",
        "origin",
        "settings",
    ];
    assert_eq!(keys(detailed).len(), 10 + more.len(), "{detailed}");
    assert!(more.iter().all(|key| detailed.get(key).is_some()));
    let basejail = detailed["basejail"].as_str().unwrap();
    assert!(["yes", "no", "N/A"].contains(&basejail), "{detailed}");
    if let Some(own) =
        settings.filter(|_| ["up", "down"].contains(&jail["state"].as_str().unwrap()))
    {
        assert_eq!(detailed["settings"], *own);
    }
    for (family, property) in [("ip4", "ip4_addr"), ("ip6", "ip6_addr")] {
        let list = detailed["addresses"][family].as_array().unwrap();
        for one in list {
            assert_eq!(keys(one), ["address", "interface", "prefix"], "{detailed}");
        }
        let text = detailed["settings"][property].as_str().unwrap_or("");
        let parts = text.split(',').filter(|part| !part.trim().is_empty());
        assert_eq!(list.len(), parts.count(), "one is dropped: {detailed}");
    }
}

/// A listed jail: ten strings, and a state that there is.
pub fn check_jail(jail: &Value) {
    let expected = [
        "boot", "ip4", "ip6", "jid", "release", "state", "tag", "template", "type", "uuid",
    ];
    assert_eq!(keys(jail), expected);
    assert!(
        ["on", "off"].contains(&jail["boot"].as_str().unwrap()),
        "{jail}"
    );
    let state = jail["state"].as_str().unwrap();
    assert!(
        ["up", "down", "CORRUPT", "unmounted"].contains(&state),
        "{jail}"
    );
    assert!(state != "up" || jail["jid"] != "-", "{jail}");
}

/// The action that a request is for, and the access that it takes.
pub fn asked_for(args: &Value) -> Option<(&'static str, Access)> {
    let args: &Map<String, Value> = args.as_object()?;
    let name = args.get("action")?.as_str()?;
    let action = ACTIONS.iter().find(|action| action.name == name)?;
    Some((action.name, action.access_for(args)))
}
