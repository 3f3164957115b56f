//! What the tests share: an instance behind its C interface, and what a pool looks like.
#![allow(dead_code)] // each test program uses its part

pub mod acting;
pub mod dispatcher;
pub mod killed;
pub mod made_up;
pub mod terminal;

use std::collections::BTreeSet;
use std::ffi::{c_char, CStr, CString};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::ptr;
use std::time::{Duration, Instant};

use serde_json::Value;
use sysadm_iocage::actions::{Access, Action, ACTIONS};
use sysadm_iocage::ffi::*;
use sysadm_iocage_lab::Lab;

/// An instance, called as a C program calls it.
pub struct Instance(*mut SysadmIocage);

// SAFETY: the header promises that any thread may use an instance.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

impl Instance {
    /// An instance for a lab, without a host.
    pub fn of(lab: &Lab) -> Self {
        Self::open(&lab.config(), ptr::null())
    }

    pub fn open(config: &Value, host: *const SysadmIocageHost) -> Self {
        Self::try_open(&config.to_string(), host).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn try_open(config: &str, host: *const SysadmIocageHost) -> Result<Self, String> {
        let config = CString::new(config).unwrap();
        let mut error = ptr::null_mut();
        let plugin = unsafe { sysadm_iocage_open(config.as_ptr(), host, &mut error) };
        if plugin.is_null() {
            Err(take(error).unwrap())
        } else {
            Ok(Instance(plugin))
        }
    }

    /// The status and the reply to a request.
    pub fn evaluate(&self, args: &str, access: i32) -> (i32, Value) {
        let args = CString::new(args).unwrap();
        let mut status = 0;
        let reply =
            take(unsafe { sysadm_iocage_evaluate(self.0, args.as_ptr(), access, &mut status) });
        (status, parse(&reply.unwrap()))
    }

    /// What an action answers, with full access.
    pub fn ask(&self, args: &Value) -> Value {
        let (status, reply) = self.evaluate(&args.to_string(), SYSADM_IOCAGE_ACCESS_FULL);
        assert_eq!(status, 200, "{args}: {reply}");
        let action = args["action"].as_str().unwrap();
        assert_eq!(reply.as_object().unwrap().len(), 1, "{reply}");
        reply[action].clone()
    }

    /// What an action without arguments answers.
    pub fn ask_for(&self, action: &str) -> Value {
        self.ask(&serde_json::json!({ "action": action }))
    }

    pub fn message(&self, message: &Value) -> Value {
        self.message_as(message, SYSADM_IOCAGE_ACCESS_FULL)
    }

    /// The text of the answer to the text of a message.
    pub fn message_text(&self, message: &str) -> String {
        let message = CString::new(message).unwrap();
        let access = SYSADM_IOCAGE_ACCESS_FULL;
        take(unsafe { sysadm_iocage_message(self.0, message.as_ptr(), access) }).unwrap()
    }

    /// What a user with this access gets for a message.
    pub fn message_as(&self, message: &Value, access: i32) -> Value {
        let message = CString::new(message.to_string()).unwrap();
        let reply = unsafe { sysadm_iocage_message(self.0, message.as_ptr(), access) };
        parse(&take(reply).unwrap())
    }

    /// What a job's log means; without a log, that of the instance's own job.
    pub fn progress(&self, job: &str, log: Option<&Value>) -> Option<Value> {
        let job = CString::new(job).unwrap();
        let log = log.map(|log| CString::new(log.to_string()).unwrap());
        let log = log.as_ref().map_or(ptr::null(), |log| log.as_ptr());
        take(unsafe { sysadm_iocage_progress(self.0, job.as_ptr(), log) }).map(|text| parse(&text))
    }

    /// Waits for the end of one of the instance's own jobs and gives its last event.
    pub fn wait_for_job(&self, job: &str) -> Value {
        let mut event = Value::Null;
        eventually(&format!("{job} ends"), || {
            event = self.progress(job, None).unwrap();
            assert!(
                event["error"].is_null() || event["state"] == "finished",
                "{event}"
            );
            event["state"] == "finished"
        });
        event
    }

    pub fn as_ptr(&self) -> *mut SysadmIocage {
        self.0
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        unsafe { sysadm_iocage_close(self.0) };
    }
}

/// Waits until something has come true, for a minute.
pub fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_true() {
        assert!(Instant::now() < deadline, "within a minute: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A string that the library returned, freed.
pub fn take(string: *mut c_char) -> Option<String> {
    if string.is_null() {
        return None;
    }
    let text = unsafe { CStr::from_ptr(string) }
        .to_str()
        .unwrap()
        .to_string();
    unsafe { sysadm_iocage_free(string) };
    Some(text)
}

pub fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Whether every scalar in a reply is a string.
pub fn all_strings(value: &Value) -> bool {
    match value {
        Value::String(_) => true,
        Value::Array(list) => list.iter().all(all_strings),
        Value::Object(object) => object.values().all(all_strings),
        _ => false,
    }
}

/// The last line of the error that an action answers, with its code.
pub fn error_of(answer: &Value) -> (&str, &str) {
    let text = |key: &str| {
        answer[key]
            .as_str()
            .unwrap_or_else(|| panic!("no {key}: {answer}"))
    };
    (text("code"), text("error"))
}

/// A file of the project.
pub fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The library that cargo has built for this test.
pub fn library() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let library = program.parent().unwrap().join("libsysadm_iocage.so");
    assert!(library.exists(), "{}", library.display());
    library
}

/// sysadm-iocage(8), with every warning an error and with the library that cargo has built for this
/// test. Compiled once in a process, under the name of its test.
pub fn command(name: &str) -> PathBuf {
    command_with(name, &library())
}

/// The same with another library.
pub fn command_with(name: &str, library: &Path) -> PathBuf {
    let folder = library.parent().unwrap().display().to_string();
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let files = std::fs::read_dir(source("examples/command")).unwrap();
    let files = files.map(|file| file.unwrap().path());
    run(Command::new("cc")
        .args(["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"])
        .args(["-g", "-I"])
        .arg(source("include"))
        .args(sanitizer_flags())
        .arg("-o")
        .arg(&program)
        .args(files.filter(|file| file.extension().is_some_and(|end| end == "c")))
        .arg(library)
        // Before LD_LIBRARY_PATH, in which cargo has folders with libraries of other builds.
        .arg(format!("-Wl,--disable-new-dtags,-rpath,{folder}")));
    program
}

/// Runs make for these targets, with the library that cargo has built for this test and what it
/// installs below `stage`.
pub fn install(targets: &[&str], stage: &Path) {
    run(make(&mut Command::new("make"), stage)
        .current_dir(source(""))
        .args(targets));
}

/// A folder for a test, without what the last run has left there.
pub fn empty(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// All files below a folder, as paths relative to it.
pub fn files(folder: &Path, below: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, below, found);
        } else {
            let relative = path.strip_prefix(below).unwrap();
            found.insert(relative.display().to_string());
        }
    }
}

/// The port's list of what is installed: of each file the option that it belongs to, such as
/// `%%PORTDOCS%%` or none, and its path below a PREFIX.
pub fn plist() -> Vec<(String, String)> {
    let list = fs::read_to_string(source("port/sysutils/sysadm-iocage/pkg-plist")).unwrap();
    let list = list
        .replace("%%DATADIR%%", "share/sysadm-iocage")
        .replace("%%DOCSDIR%%", "share/doc/sysadm-iocage")
        .replace("%%EXAMPLESDIR%%", "share/examples/sysadm-iocage");
    let parts = |line: &str| {
        let start = line.rfind("%%").map_or(0, |at| at + 2);
        (line[..start].to_string(), line[start..].to_string())
    };
    list.lines().map(parts).collect()
}

/// A path of that list as it is installed here: the ports tree compresses man pages.
pub fn installed_as(path: &str) -> String {
    let path = path.replace("libdata/pkgconfig", PKG_CONFIG_FOLDER);
    path.strip_suffix(".gz").unwrap_or(&path).to_string()
}

/// Tells a make, or a shell that calls one, where to install to, and that all is built.
pub fn make<'a>(command: &'a mut Command, stage: &Path) -> &'a mut Command {
    // What a make around the tests was told is not for this one.
    for variable in [
        "MAKEFLAGS",
        "MFLAGS",
        "MAKELEVEL",
        "MAKEOVERRIDES",
        "PREFIX",
    ] {
        command.env_remove(variable);
    }
    command
        .env("CARGO", "true")
        .env("LIBRARY", library())
        .env("DESTDIR", stage)
}

/// Where Go keeps what it has compiled, its own library too.
pub fn go_cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-cache")
}

/// The folder of pkg-config's files below a PREFIX.
pub const PKG_CONFIG_FOLDER: &str = if cfg!(target_os = "freebsd") {
    "libdata/pkgconfig"
} else {
    "lib/pkgconfig"
};

/// Whether a test can do without a tool that is missing: not where nothing may be skipped.
pub fn skip(tool: &str) {
    assert_ne!(
        std::env::var("REQUIRE_ZFS").as_deref(),
        Ok("1"),
        "there is no {tool}"
    );
    // Past the test runner, which hides what a test that passes prints.
    let _ = writeln!(std::io::stderr(), "SKIPPED, there is no {tool}");
}

/// More flags for the C and C++ compilers, where `tests/sanitize` runs the tests.
pub fn sanitizer_flags() -> Vec<String> {
    let flags = std::env::var("SANITIZER_FLAGS").unwrap_or_default();
    flags.split_whitespace().map(String::from).collect()
}

/// Runs a command, which must succeed.
pub fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    output
}

/// The ids of the processes whose command line has this in it.
pub fn processes(mark: &str) -> Vec<String> {
    let found = Command::new("pgrep").args(["-f", mark]).output().unwrap();
    String::from_utf8(found.stdout)
        .unwrap()
        .lines()
        .map(String::from)
        .collect()
}

/// The actions that look at everything.
pub fn looking() -> impl Iterator<Item = &'static str> {
    let one_job = |action: &&Action| action.name != "jobstatus";
    let looks = |action: &&Action| action.access_for(&Default::default()) == Access::Read;
    let whole = ACTIONS.iter().filter(looks).filter(one_job);
    whole
        .map(|action| action.name)
        .filter(|name| *name != "activatepool")
}
