//! What the fuzzers share: a made-up host, an instance behind its C interface, and what must hold
//! for every answer.
//!
//! The host answers with what a real one has said (`corpus`, made by `seeds`), but for the one
//! thing that a fuzzer says instead. No command is ever run: the door in `src/fuzzing.rs` is shut
//! before the first instance is opened, and the commands of its configuration do not exist anyway.

use std::ffi::{c_char, c_void, CStr, CString};
use std::fs;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, RwLock};

use serde_json::{json, Value};
use sysadm_iocage::actions::{self, Access, ACTIONS};
use sysadm_iocage::configuration::Configuration;
use sysadm_iocage::ffi::*;
use sysadm_iocage::fuzzing::{self, Printed};
use sysadm_iocage::names;
use sysadm_iocage::system::System;

/// What a fuzzer says in the place of what a real host has said.
#[derive(Clone, Debug, Default)]
pub struct Says {
    /// `zfs list` of the pools.
    pub pools: Option<Vec<u8>>,
    /// `zfs list` of anything below.
    pub datasets: Option<Vec<u8>>,
    /// `zfs get`.
    pub properties: Option<Vec<u8>>,
    /// On standard error by a `zfs` that fails.
    pub zfs_fails: Option<Vec<u8>>,
    /// `zpool list`.
    pub health: Option<Vec<u8>>,
    pub jls: Option<Vec<u8>>,
    /// `iocage --version`.
    pub version: Option<Vec<u8>>,
    /// `iocage list -R`.
    pub remote: Option<Vec<u8>>,
    /// `iocage clean`, which fails.
    pub clean: Option<Vec<u8>>,
    /// `fetch`.
    pub page: Option<Vec<u8>>,
    pub mountinfo: Option<Vec<u8>>,
}

static SAYS: LazyLock<RwLock<Arc<Says>>> = LazyLock::new(RwLock::default);

/// Whether what is under way may change anything.
static MAY_CHANGE: AtomicBool = AtomicBool::new(true);

/// Does `work` on a host that says this.
pub fn on_host<T>(says: Says, work: impl FnOnce() -> T) -> T {
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
        source == "tank1/iocage" || parent == Some("jails") || parent == Some("templates")
    };
    let lines: Vec<&str> = table.lines().filter(needed).collect();
    lines.join("\n").into_bytes()
});

impl fuzzing::Host for MadeUp {
    fn run(&self, program: &Path, arguments: &[&str]) -> Printed {
        let says = Arc::clone(&SAYS.read().unwrap());
        let name = program.file_name().unwrap().to_str().unwrap();
        let words = arguments.iter().copied();
        check_command(words);
        let or = |said: &Option<Vec<u8>>, real: &[u8]| said.clone().unwrap_or_else(|| real.into());
        let prints = |stdout: Vec<u8>| Printed {
            stdout,
            ..Printed::default()
        };
        if let ("zfs", Some(stderr)) = (name, says.zfs_fails.clone()) {
            return Printed {
                exit_code: 1,
                stderr,
                ..Printed::default()
            };
        }
        match (name, arguments) {
            ("zfs", ["list", "-H", "-d", "0", ..]) => {
                prints(or(&says.pools, seed!("zfs/pools.txt")))
            }
            ("zfs", ["list", .., dataset]) => {
                let origins = arguments.contains(&"name,origin");
                match (dataset.rsplit('/').next(), origins) {
                    _ if says.datasets.is_some() => prints(or(&says.datasets, b"")),
                    (Some("jails"), true) => prints(seed!("zfs/jails.txt").into()),
                    (Some("templates"), true) => prints(seed!("zfs/templates.txt").into()),
                    (Some("download"), false) => prints(seed!("zfs/members-download.txt").into()),
                    (Some("jails"), false) => prints(seed!("zfs/members-jails.txt").into()),
                    (Some("releases"), false) => prints(seed!("zfs/members-releases.txt").into()),
                    (Some("templates"), false) => prints(seed!("zfs/members-templates.txt").into()),
                    (Some("tank1"), true) => prints(seed!("zfs/datasets.txt").into()),
                    _ => Printed {
                        exit_code: 1,
                        stderr: seed!("zfs/none.txt").into(),
                        ..Printed::default()
                    },
                }
            }
            ("zfs", ["get", ..]) => prints(or(&says.properties, seed!("zfs/properties.txt"))),
            ("zfs", ["set", _, pool]) => {
                check_change();
                assert_eq!(names::existing_pool(pool), Ok(()));
                prints(Vec::new())
            }
            ("zpool", ["list", ..]) => prints(or(&says.health, seed!("zpool/health.txt"))),
            ("jls", ["--libxo", "json", "-v"]) => {
                prints(at_home(&or(&says.jls, seed!("jls/verbose.json"))))
            }
            ("null", ["--version"]) => prints(or(&says.version, seed!("iocage/version-1.13.txt"))),
            (_, ["list", "-R"]) => prints(or(&says.remote, seed!("iocage/remote-1.13.txt"))),
            (_, ["clean", "-fr" | "-ft"]) => {
                check_change();
                Printed {
                    exit_code: i32::from(says.clean.is_some()),
                    stdout: or(&says.clean, b""),
                    ..Printed::default()
                }
            }
            ("fetch", ["-q", "-T", _, "-o", "-", _]) => {
                prints(or(&says.page, seed!("fetch/unsupported.html")))
            }
            _ => panic!(
                "nobody should run this: {} {arguments:?}",
                program.display()
            ),
        }
    }

    fn mountinfo(&self) -> Vec<u8> {
        let says = Arc::clone(&SAYS.read().unwrap());
        match &says.mountinfo {
            Some(table) => at_home(table),
            None => MOUNTINFO.clone(),
        }
    }
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
        fuzzing::set_host(MadeUp);
        // Not removed at the end, which libFuzzer has its own way to come to; `fuzz/run` does it.
        let home = std::env::temp_dir().join(format!("sysadm-iocage-fuzz-{}", std::process::id()));
        let root = home.join("mnt/tank1/iocage");
        for (path, content) in [
            ("defaults.json", seed!("defaults_json/defaults.json")),
            ("jails/5/config.json", seed!("config_json/5.json")),
            ("jails/db/config.json", seed!("config_json/db.json")),
            (
                "jails/jenkins/config.json",
                seed!("config_json/jenkins.json"),
            ),
            (
                "jails/mail.example.org/config.json",
                seed!("config_json/mail.example.org.json"),
            ),
            (
                "jails/roaming/config.json",
                seed!("config_json/roaming.json"),
            ),
            ("jails/web/config.json", seed!("config_json/web.json")),
            (
                "templates/base/config.json",
                b"{\"type\":\"template\",\"template\":1}",
            ),
        ] {
            write(&root.join(path), content);
        }
        write(&index_file(&home), seed!("index/real.json"));
        write(&home.join("state/catalogue.json"), b"{}");
        home
    });
    &HOME
}

/// Where the plugin's own clone of the plugin index lies.
pub fn index_file(home: &Path) -> PathBuf {
    home.join("state/plugins/github_com_freenas_iocage-ix-plugins_git/INDEX")
}

/// Writes a file that the plugin is to read.
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
    System::new(&Configuration::parse(&config(json!({})).to_string()).unwrap())
}

/// No option that the plugin does not itself put there, and nothing that no argument can have.
fn check_command<'a>(words: impl Iterator<Item = &'a str>) {
    const OPTIONS: &[&str] = &[
        "-",
        "-C",
        "-H",
        "-P",
        "-R",
        "-T",
        "-d",
        "-fr",
        "-ft",
        "-g",
        "-n",
        "-o",
        "-q",
        "-r",
        "-t",
        "-v",
        "--accept",
        "--depth",
        "--ff-only",
        "--libxo",
        "--name",
        "--quiet",
        "--version",
    ];
    for word in words {
        assert!(
            !word.starts_with('-') || OPTIONS.contains(&word),
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
    check_change_or_refresh(unsafe { text(id) });
    let words = (0..)
        .map(|at| unsafe { *argv.add(at) })
        .take_while(|word| !word.is_null());
    let words: Vec<&str> = words.map(|word| unsafe { text(word) }).collect();
    assert!(words.len() >= 3 && words[0].starts_with('/'), "{words:?}");
    check_command(words.into_iter());
    true
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
    check_line(unsafe { text(message) });
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
        Self::try_open(config(more).to_string().as_bytes()).expect("the configuration is right")
    }

    /// An instance of whatever configuration, or what is said to be wrong with it.
    pub fn try_open(config: &[u8]) -> Result<Self, String> {
        home();
        let config = c_text(config);
        let host = SysadmIocageHost {
            struct_size: size_of::<SysadmIocageHost>(),
            user_data: ptr::null_mut(),
            queue_process: Some(queue),
            is_job_active: None,
            log: Some(log),
        };
        let mut error = ptr::null_mut();
        let plugin = unsafe { sysadm_iocage_open(config.as_ptr(), &host, &mut error) };
        match (plugin.is_null(), take(error)) {
            (false, None) => Ok(Instance(plugin)),
            (true, Some(error)) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    /// Asks, and checks what holds for every reply. Gives the status and the reply.
    pub fn evaluate(&self, args: &[u8], access: i32) -> (i32, Value) {
        let args = c_text(args);
        let mut status = 0;
        MAY_CHANGE.store(access == SYSADM_IOCAGE_ACCESS_FULL, Ordering::Relaxed);
        let reply =
            take(unsafe { sysadm_iocage_evaluate(self.0, args.as_ptr(), access, &mut status) });
        MAY_CHANGE.store(true, Ordering::Relaxed);
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

/// As much of a fuzzer's bytes as a C program could hand over.
fn c_text(bytes: &[u8]) -> CString {
    CString::new(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).unwrap()
}

/// Reads what the library returned, which is to be JSON in the one form in which it is written.
fn parse(text: &str) -> Value {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(value.to_string(), text);
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
    if let Some(error) = object.get("error") {
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

/// A listed jail: ten strings, and a state that there is.
pub fn check_jail(jail: &Value) {
    let keys: Vec<&String> = jail.as_object().expect("an object").keys().collect();
    let expected = [
        "boot", "ip4", "ip6", "jid", "release", "state", "tag", "template", "type", "uuid",
    ];
    assert_eq!(keys, expected);
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

/// The action that a request is for, where it is for one and only reads.
pub fn reading_action(args: &Value) -> Option<&str> {
    let name = args.get("action")?.as_str()?;
    let action = actions::find(name)?;
    (action.access_for(args.as_object()?) == Access::Read).then_some(name)
}
