//! The drop-in pair for the sysadm server, in a Qt host that has what it needs of the server.

mod common;

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{channel, Receiver};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use common::{error_of, library, run, sanitizer_flags, source, Instance};
use serde_json::{json, Value};
use sysadm_iocage_lab::Lab;

/// The compiler's flags for a Qt, where that Qt is installed.
fn qt_flags(version: &str, what: &str) -> Option<Vec<String>> {
    let modules = [format!("Qt{version}Core"), format!("Qt{version}Concurrent")];
    let output = Command::new("pkg-config")
        .arg(what)
        .args(modules)
        .output()
        .ok()?;
    let flags = String::from_utf8(output.stdout).ok()?;
    output
        .status
        .success()
        .then(|| flags.split_whitespace().map(String::from).collect())
}

/// Says that a test is skipped without Qt; with `REQUIRE_ZFS` nothing may be.
fn skip(version: &str) {
    assert_ne!(
        std::env::var("REQUIRE_ZFS").as_deref(),
        Ok("1"),
        "there is no Qt {version}"
    );
    let _ = writeln!(std::io::stderr(), "SKIPPED, there is no Qt {version}");
}

fn compiler(standard: &str, flags: &[String]) -> Command {
    let mut command = Command::new("c++");
    command
        .args([standard, "-fPIC", "-g", "-Wall", "-Wextra", "-Werror"])
        .args(flags)
        .args(sanitizer_flags());
    for folder in ["include", "include/sysadm", "tests/server"] {
        command.arg("-I").arg(source(folder));
    }
    command
}

const PATCH: &str = "include/sysadm/optional.patch";

/// What it changes.
const PATCHED: [&str; 4] = [
    "server/AuthorizationManager.h",
    "server/DispatcherParsing.cpp",
    "server/WebBackend.cpp",
    "server/WebSocket.cpp",
];

/// A copy of the skeleton of the server, with the pair in it.
fn skeleton(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    run(Command::new("cp")
        .arg("-R")
        .arg(source("tests/server/skeleton"))
        .arg(&folder));
    for file in ["sysadm-iocage.h", "sysadm-iocage.cpp"] {
        let pair = source("include/sysadm").join(file);
        fs::copy(pair, folder.join("server/library").join(file)).unwrap();
    }
    folder
}

/// Applies a patch, whose every line has to fit.
fn patch(folder: &Path, patch: &Path) -> Command {
    let mut command = Command::new("patch");
    command.args(["-p0", "-F0", "-d"]).arg(folder);
    command.stdin(fs::File::open(patch).unwrap());
    command
}

#[test]
fn the_optional_patch_applies_whole_and_not_where_a_line_differs() {
    let text = fs::read_to_string(source(PATCH)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let is_of_server = |line: &&str| {
        let header = line.starts_with("--- ") || line.starts_with("+++ ");
        line.starts_with([' ', '-']) && !header
    };
    // It takes little of the server's own text, so it fits many revisions.
    let of_server: Vec<&str> = lines.iter().copied().filter(is_of_server).collect();
    assert!(of_server.len() <= 15, "{of_server:#?}");
    let hunks = lines.iter().filter(|line| line.starts_with("@@ ")).count();
    assert_eq!(hunks, 6);

    let good = skeleton("good");
    let output = patch(&good, &source(PATCH)).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let read = |folder: &Path| {
        PATCHED
            .map(|file| fs::read_to_string(folder.join(file)).unwrap())
            .concat()
    };
    let patched = read(&good);
    for line in lines.iter().filter(|line| line.starts_with('+')) {
        assert!(line.starts_with("+++ ") || patched.contains(&line[1..]));
    }
    // Backwards it leaves the server's own files.
    let mut backwards = patch(&good, &source(PATCH));
    let output = backwards.arg("-R").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(read(&good), read(&source("tests/server/skeleton")));

    let broken = Path::new(env!("CARGO_TARGET_TMPDIR")).join("broken.patch");
    for line in of_server {
        let changed = text.replace(&format!("\n{line}\n"), &format!("\n{line} other\n"));
        assert_ne!(changed, text, "{line}");
        fs::write(&broken, changed).unwrap();
        let output = patch(&skeleton("broken"), &broken).output().unwrap();
        assert!(!output.status.success(), "{line}: {output:?}");
    }
}

/// The test host, compiled once.
fn host() -> Option<&'static Path> {
    static HOST: OnceLock<Option<PathBuf>> = OnceLock::new();
    let host = HOST.get_or_init(|| {
        let host = Path::new(env!("CARGO_TARGET_TMPDIR")).join("qt-host");
        let flags = qt_flags("5", "--cflags")?;
        let patched = skeleton("patched");
        let output = patch(&patched, &source(PATCH)).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let files = [
            "include/sysadm/sysadm-iocage.cpp",
            "tests/server/dispatcher.cpp",
            "tests/server/host.cpp",
        ];
        let mut command = compiler("-std=c++11", &flags);
        command
            .args(files.map(source))
            .args(PATCHED[1..].iter().map(|file| patched.join(file)))
            .arg("-I")
            .arg(patched.join("server"))
            .arg("-o")
            .arg(&host)
            .args(qt_flags("5", "--libs")?);
        run(&mut command);
        Some(host)
    });
    if host.is_none() {
        skip("5");
    }
    host.as_deref()
}

/// A running test host.
struct Server {
    child: Child,
    input: Mutex<Option<ChildStdin>>,
    lines: Receiver<Value>,
    next_id: std::cell::Cell<u64>,
    events: std::cell::RefCell<Vec<Value>>,
}

impl Server {
    fn start(lab: &Lab, library: &str, threads: u32) -> Option<Server> {
        let mut config = lab.config();
        config["library"] = json!(library);
        let file = lab.dir().join("iocage.json");
        fs::write(&file, config.to_string()).unwrap();
        let mut command = Command::new(host()?);
        command.arg(file).arg(threads.to_string());
        Some(Self::run(&mut command))
    }

    fn run(command: &mut Command) -> Server {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .env("QT_LOGGING_RULES", "*.debug=false;*.warning=false")
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines() {
                let _ = sender.send(common::parse(&line.unwrap()));
            }
        });
        let input = Mutex::new(child.stdin.take());
        Server {
            child,
            input,
            lines,
            next_id: Default::default(),
            events: Default::default(),
        }
    }

    fn send(&self, mut request: Value) -> u64 {
        let id = self.next_id.get() + 1;
        self.next_id.set(id);
        request["id"] = json!(id);
        let mut input = self.input.lock().unwrap();
        writeln!(input.as_mut().unwrap(), "{request}").unwrap();
        id
    }

    fn receive(&self) -> Option<Value> {
        self.lines.recv_timeout(Duration::from_secs(120)).ok()
    }

    /// Sends a request and waits for its answer; events that come first are kept.
    fn ask(&self, request: Value) -> Value {
        let id = self.send(request);
        loop {
            let line = self.receive().expect("the host answers");
            if line["id"] == json!(id) {
                return line;
            }
            self.events.borrow_mut().push(line["event"].clone());
        }
    }

    fn call(&self, function: &str, args: Value) -> Value {
        self.ask(json!({"function": function, "args": args}))["reply"].clone()
    }

    /// Ends the input and gives the lines that were left, up to the host's last.
    fn finish(&mut self) -> Vec<Value> {
        drop(self.input.lock().unwrap().take());
        let mut lines: Vec<Value> = self
            .events
            .take()
            .into_iter()
            .map(|event| json!({ "event": event }))
            .collect();
        lines.extend(std::iter::from_fn(|| self.receive()));
        assert!(self.child.wait().unwrap().success());
        lines
    }
}

fn furnished() -> Option<Lab> {
    let lab = Lab::or_skip(2)?;
    lab.furnish();
    Some(lab)
}

#[test]
fn the_pair_is_clean_and_agrees_with_the_header() {
    for (version, standard) in [("5", "-std=c++11"), ("6", "-std=c++17")] {
        let Some(flags) = qt_flags(version, "--cflags") else {
            skip(version);
            continue;
        };
        let files = [
            "include/sysadm/sysadm-iocage.cpp",
            "tests/server/declarations.cpp",
            "tests/server/host.cpp",
        ];
        for file in files {
            run(compiler(standard, &flags)
                .arg("-fsyntax-only")
                .arg("-I")
                .arg(source("tests/server/skeleton/server"))
                .arg(source(file)));
        }
    }
}

#[test]
fn all_eleven_actions_answer_as_through_the_c_interface() {
    let Some(lab) = furnished() else { return };
    let (one, two) = (lab.pool(0), lab.pool(1));
    let Some(mut server) = Server::start(&lab, library().to_str().unwrap(), 4) else {
        return;
    };
    let plugin = Instance::of(&lab);
    let same = |function: &str, action: &str, args: Value| {
        let mut request = args.clone();
        request["action"] = json!(action);
        // How old a list is may differ by a second.
        let ageless = |mut answer: Value| {
            if let Some(age) = answer.get_mut("remote_age_seconds") {
                assert!(age.as_str().unwrap().parse::<u64>().is_ok(), "{age}");
                *age = json!("some");
            }
            answer
        };
        let expected = ageless(plugin.ask(&request));
        assert_eq!(ageless(server.call(function, args)), expected, "{function}");
        let backend = server.ask(json!({"backend": request, "full": true}));
        assert_eq!(backend["code"], "OK");
        assert_eq!(ageless(backend["reply"][action].clone()), expected);
    };
    for (function, action) in [
        ("activateStatus", "activatestatus"),
        ("listJails", "listjails"),
        ("listTemplates", "listtemplates"),
        ("listPlugins", "listplugins"),
        ("listReleases", "listreleases"),
        ("cleanReleases", "cleanreleases"),
        ("cleanTemplates", "cleantemplates"),
        ("activatePool", "activatepool"),
        ("deactivatePool", "deactivatepool"),
        ("fetchReleases", "fetchreleases"),
        ("fetchPlugin", "createplugin"),
    ] {
        same(function, action, json!({}));
    }
    for pool in [two, one, "-x"] {
        same("activatePool", "activatepool", json!({ "pool": pool }));
    }
    for releases in [json!("x"), json!([])] {
        same(
            "fetchReleases",
            "fetchreleases",
            json!({ "releases": releases }),
        );
    }
    // What starts a job is compared with what the document says: it cannot be started twice.
    let answer = server.call(
        "fetchReleases",
        json!({"releases": ["13.2-RELEASE", "14.1-RELEASE"]}),
    );
    let ids = ["13.2-RELEASE", "14.1-RELEASE"].map(|r| format!("sysadm_iocage_fetch_release_{r}"));
    assert_eq!(answer, json!({ "started_dispatcher_id": ids }));
    let gitlab = json!({"plugin": "gitlab", "net_device": "re0", "ip4": "10.20.0.130"});
    let answer = server.call("fetchPlugin", gitlab);
    assert_eq!(
        answer,
        json!({"started_dispatcher_id": "sysadm_iocage_fetch_plugin_gitlab"})
    );

    // What no server calls goes the same way, and says so if the library does not have it.
    let df = server.call("df", json!({}))["jails"].clone();
    assert!(df["web"]["used"].is_string(), "{df}");
    let boot = json!({"jail": "web", "prop": "boot"});
    let settings = server.call("getJailSettings", boot);
    assert_eq!(settings["jails"]["web"], json!({"boot": "1"}));
    let created = server.call("createJail", json!({"name": "new"}));
    if sysadm_iocage::actions::find("createjail").is_none() {
        assert_eq!(
            error_of(&created),
            ("unavailable", "unknown action \"createjail\"")
        );
    }
    assert_eq!(server.finish().last().unwrap()["jobs"], 3);
}

/// The class's methods for actions that change jails at once.
const METHODS: [(&str, &str); 7] = [
    ("capjail", "capJail"),
    ("cleanall", "cleanAll"),
    ("cleanjails", "cleanJails"),
    ("destroyjail", "destroyJail"),
    ("execjail", "execJail"),
    ("startjail", "startJail"),
    ("stopjail", "stopJail"),
];

/// The example host in C.
fn example_host() -> PathBuf {
    let host = Path::new(env!("CARGO_TARGET_TMPDIR")).join("example-host");
    run(Command::new("cc")
        .args(["-std=c99", "-I"])
        .arg(source("include"))
        .arg("-o")
        .arg(&host)
        .arg(source("examples/host.c"))
        .args(["-ldl", "-lpthread"])
        .args(sanitizer_flags()));
    host
}

#[test]
fn what_changes_jails_answers_the_same_by_every_way_in() {
    let Some(lab) = furnished() else { return };
    let Some(mut server) = Server::start(&lab, library().to_str().unwrap(), 4) else {
        return;
    };
    let plugin = Instance::of(&lab);
    let example = example_host();
    let action = |args: &Value| args["action"].as_str().unwrap().to_string();
    let in_c = |args: &Value| {
        let mut host = Command::new(&example);
        host.arg("-l").arg(library()).arg("-c");
        let output = host.arg(lab.config().to_string()).arg(args.to_string());
        let output = output.output().unwrap();
        let reply = common::parse(&String::from_utf8(output.stdout).unwrap());
        let answer = reply[action(args)].clone();
        let failed = i32::from(!answer["error"].is_null());
        assert_eq!(output.status.code(), Some(failed), "{reply}");
        answer
    };
    let message = |args: &Value| {
        let message = json!({"id": 1, "namespace": "sysadm", "name": "iocage", "args": args});
        plugin.message(&message)["args"][action(args)].clone()
    };
    let backend = |args: &Value, rest: bool| {
        let answer = server.ask(json!({"backend": args, "full": true, "rest": rest}));
        assert_eq!(answer["code"], "OK", "{answer}");
        answer["reply"][action(args)].clone()
    };
    let method = |args: &Value| {
        let action = action(args);
        let Some((_, method)) = METHODS.iter().find(|(name, _)| *name == action) else {
            return backend(args, false);
        };
        let mut rest = args.clone();
        rest.as_object_mut().unwrap().remove("action");
        server.call(method, rest)
    };
    let rest = |args: &Value| backend(args, true);
    type Way<'a> = &'a dyn Fn(&Value) -> Value;
    let ways: [(&str, Way); 4] = [
        ("C host", &in_c),
        ("message", &message),
        ("Qt pair", &method),
        ("REST", &rest),
    ];
    let mut by_method = 0;
    for (way, ask) in ways {
        common::acting::prepare(&lab);
        for (args, expected) in common::acting::requests() {
            // Who may only read changes nothing.
            let answer = server.ask(json!({"backend": args, "full": false, "rest": true}));
            assert_eq!(answer["code"], "FORBIDDEN", "{args}: {answer}");
            let answer = common::acting::patiently(|| ask(&args));
            common::acting::check(&format!("{way}: {args}"), &answer, &expected);
            by_method += usize::from(METHODS.iter().any(|(name, _)| *name == action(&args)));
        }
    }
    assert_eq!(by_method, METHODS.len() * ways.len());
    assert_eq!(server.finish().last().unwrap()["jobs"], 0);
}

#[test]
fn with_the_optional_lines_readers_are_refused_and_arguments_arrive() {
    let Some(lab) = furnished() else { return };
    let Some(mut server) = Server::start(&lab, library().to_str().unwrap(), 4) else {
        return;
    };
    let active = lab.active_pools();
    let changes = [
        json!({"action": "activatepool", "pool": lab.pool(1)}),
        json!({"action": "deactivatepool", "pool": lab.pool(0)}),
        json!({"action": "cleanreleases", "dryrun": true}),
        json!({"action": "cleantemplates", "force": true}),
        json!({"action": "fetchreleases", "releases": "13.2-RELEASE"}),
        json!({"action": "createplugin", "plugin": "gitlab"}),
        json!({"action": "listreleases", "refresh": true}),
    ];
    for args in &changes {
        let action = args["action"].as_str().unwrap();
        let why = format!("{action} changes something and needs full access");
        let refusal = json!({"error": {"code": "403", "message": why}});
        // A WebSocket gets the error as an answer: FORBIDDEN would end the server.
        for (rest, code) in [(false, "OK"), (true, "FORBIDDEN")] {
            let answer = server.ask(json!({"backend": args, "full": false, "rest": rest}));
            assert_eq!(
                (&answer["code"], &answer["reply"]),
                (&json!(code), &refusal)
            );
        }
    }
    assert_eq!(lab.active_pools(), active);

    let looks = json!({"backend": {"action": "listjails"}, "full": false});
    assert!(server.ask(looks)["reply"]["listjails"]["jails"].is_object());
    let dry_run = server.ask(json!({"backend": changes[2], "full": true}));
    assert_eq!(dry_run["reply"]["cleanreleases"]["dryrun"], "true");

    for (args, why) in [
        (json!([]), "the request's args are not a JSON object"),
        (json!("x"), "the request's args are not a JSON object"),
        (json!({}), "\"action\" is missing"),
        (json!({"action": "nonesuch"}), "unknown action \"nonesuch\""),
    ] {
        let answer = server.ask(json!({"backend": args, "full": true}));
        let error = json!({"error": {"code": "400", "message": why}});
        assert_eq!(
            (&answer["code"], &answer["reply"]),
            (&json!("BADREQUEST"), &error)
        );
    }
    // Who is it? Whoever has the whole token, or logs in with the request itself; nobody else.
    for (token, auth, who) in [
        ("adminToken", "", "adminToken::::operator::::admin"),
        ("adminToken", "reader:", "readerToken::::user::::reader"),
        ("", "reader:", "readerToken::::user::::reader"),
        ("", "", ""),
        ("n", "", ""),
        (".*", "", ""),
    ] {
        let answer = server.ask(json!({"token": token, "auth": auth}));
        assert_eq!(answer["who"], who, "{token:?} {auth:?}");
    }
    assert_eq!(server.finish().last().unwrap()["jobs"], 0);
}

#[test]
fn without_arguments_cleaning_forces_nothing_and_says_what_went() {
    let Some(lab) = furnished() else { return };
    let Some(mut server) = Server::start(&lab, library().to_str().unwrap(), 4) else {
        return;
    };
    // Whatever a client sends, the server's handler calls these without it.
    let jails = server.call("listJails", json!({}));
    let templates = server.call("listTemplates", json!({}));
    let releases = server.call("listReleases", json!({}))["local"].clone();
    for function in ["cleanReleases", "cleanTemplates"] {
        let answer = server.call(function, json!({"force": true}));
        assert_eq!(error_of(&answer).0, "in_use", "{answer}");
    }
    assert_eq!(server.call("listJails", json!({})), jails);
    assert_eq!(server.call("listTemplates", json!({})), templates);
    let left = server.call("listReleases", json!({}))["local"].clone();
    assert_eq!(left, releases);

    let pool = lab.pool(1);
    lab.lay_out(pool);
    lab.add_release(pool, "13.2-RELEASE");
    lab.add_release(pool, "14.1-RELEASE");
    lab.add_template(pool, "base", None, &json!({"type": "template"}));
    let answer = server.call("activatePool", json!({ "pool": pool }));
    assert!(answer["success"].is_string(), "{answer}");
    for (function, what, destroyed) in [
        (
            "cleanReleases",
            "RELEASEs",
            json!(["13.2-RELEASE", "14.1-RELEASE"]),
        ),
        ("cleanTemplates", "templates", json!(["base"])),
        ("cleanReleases", "RELEASEs", json!([])),
        ("cleanTemplates", "templates", json!([])),
    ] {
        let done = format!("All {what} have been cleaned.");
        assert_eq!(
            server.call(function, json!({})),
            json!({"success": done, "destroyed": destroyed})
        );
    }
    server.finish();
}

#[test]
fn without_a_usable_library_every_action_says_so_and_the_server_goes_on() {
    let Some(lab) = Lab::or_skip(0) else { return };
    let other_abi = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libother-abi.so");
    let code = other_abi.with_extension("c");
    fs::write(
        &code,
        "unsigned sysadm_iocage_abi_version(void) { return 2; }\n",
    )
    .unwrap();
    run(Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&other_abi, &code]));
    for (library, part) in [
        ("/nonexistent/libsysadm_iocage.so", "not installed"),
        (other_abi.to_str().unwrap(), "version 2 of its interface"),
        (
            "/lib/x86_64-linux-gnu/libm.so.6",
            "is not the iocage library",
        ),
    ] {
        if library.contains("libm") && !Path::new(library).exists() {
            continue;
        }
        let Some(mut server) = Server::start(&lab, library, 4) else {
            return;
        };
        for function in [
            "activateStatus",
            "listJails",
            "cleanReleases",
            "fetchReleases",
            "fetchPlugin",
        ] {
            let answer = server.call(function, json!({}));
            let (code, message) = error_of(&answer);
            assert!(code == "unavailable" && message.contains(part), "{message}");
        }
        let status = json!({"backend": {"action": "activatestatus"}, "full": true});
        assert_eq!(
            error_of(&server.ask(status)["reply"]["activatestatus"]).0,
            "unavailable"
        );
        server.finish();
    }
    // What is mended meanwhile is seen by the next request.
    let Some(mut server) = Server::start(&lab, "relative.so", 4) else {
        return;
    };
    let answer = server.call("activateStatus", json!({}));
    let (code, message) = error_of(&answer);
    assert_eq!(code, "unavailable");
    let part = "iocage.json: configuration key \"library\": must be an absolute path";
    assert!(message.contains(part), "{message}");
    let mut config = lab.config();
    config["library"] = json!(library());
    fs::write(lab.dir().join("iocage.json"), config.to_string()).unwrap();
    let answer = server.call("activateStatus", json!({}));
    assert_eq!(answer, json!({"activated": "false"}));
    server.finish();
}

const CONFIG_FILE: &str = "/usr/local/etc/sysadm/iocage.json";
const DEFAULT_LIBRARY: &str = "/usr/local/lib/libsysadm_iocage.so";

/// A program in a mount namespace of its own. There `/usr/local/lib` and `/usr/local/etc` have
/// nothing but the configuration of the server, and what `prepare` puts there from `$LIBRARY`.
fn in_own_usr_local(config: &str, prepare: &str, program: &Path) -> Command {
    let script = format!(
        "mount -t tmpfs none /usr/local/lib
         mount -t tmpfs none /usr/local/etc
         mkdir /usr/local/etc/sysadm
         printf %s \"$CONFIG\" >{CONFIG_FILE}
         {prepare}
         exec \"$@\""
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-euc", &script, "sh"]);
    command.env("CONFIG", config).env("LIBRARY", library());
    command.env_remove("LD_LIBRARY_PATH"); // cargo's, in which the library is found
    command.arg(program);
    command
}

/// Whether this system has such namespaces.
fn has_namespaces() -> bool {
    let status = Command::new("unshare").args(["--mount", "true"]).status();
    let has = status.is_ok_and(|status| status.success());
    if !has {
        common::skip("unshare");
    }
    has
}

#[test]
fn the_library_is_where_the_configuration_says_or_where_it_usually_is() {
    let Some(lab) = Lab::or_skip(0) else { return };
    let (true, Some(host)) = (has_namespaces(), host()) else {
        return;
    };
    let nothing = "";
    let installed = format!("cp \"$LIBRARY\" {DEFAULT_LIBRARY}");
    let elsewhere = "mkdir /usr/local/lib/elsewhere
        cp \"$LIBRARY\" /usr/local/lib/elsewhere/libsysadm_iocage.so";
    let searched = format!("{elsewhere}; export LD_LIBRARY_PATH=/usr/local/lib/elsewhere");
    let broken = format!("{searched}; echo no library >{DEFAULT_LIBRARY}");
    let with = |key: &str, value: Value| {
        let mut config = lab.config();
        config[key] = value;
        config.to_string()
    };
    let usual = lab.config().to_string();
    let named = with(
        "library",
        json!("/usr/local/lib/elsewhere/libsysadm_iocage.so"),
    );
    let mistyped = with(
        "libary",
        json!("/usr/local/lib/elsewhere/libsysadm_iocage.so"),
    );
    let relative = with("library", json!("libsysadm_iocage.so"));
    let number = with("library", json!(5));
    let unknown = format!("{CONFIG_FILE}: unknown configuration key \"libary\"");
    let not_absolute =
        format!("{CONFIG_FILE}: configuration key \"library\": must be an absolute path");
    let not_json = format!("{CONFIG_FILE}: the configuration is not JSON");
    let no_object = format!("{CONFIG_FILE}: the configuration is not a JSON object");
    let not_installed = format!("not installed: there is no {DEFAULT_LIBRARY}, and ");

    // What is answered: that no pool is active, or an error with this in it.
    for (config, prepare, error) in [
        (&*usual, &*installed, ""),
        (&usual, &searched, ""),
        (&named, elsewhere, ""),
        (&usual, nothing, &*not_installed),
        (&usual, elsewhere, &not_installed),
        (&usual, &broken, "cannot be loaded: "),
        (&named, &installed, "not installed: "),
        (&mistyped, elsewhere, &unknown),
        (&mistyped, &installed, &unknown),
        (&relative, nothing, &not_absolute),
        (&relative, &searched, &not_absolute),
        (&number, nothing, &not_absolute),
        (&number, &installed, &not_absolute),
        ("{\"pools\": [\"tank\"]", nothing, &not_json),
        ("{\"pools\": [\"tank\"]", &installed, &not_json),
        ("", nothing, &not_json),
        ("", &installed, &not_json),
        ("[]", nothing, &no_object),
        ("[]", &installed, &no_object),
    ] {
        let place = format!("{config}\n{prepare}");
        let mut command = in_own_usr_local(config, prepare, host);
        let mut server = Server::run(command.args(["-", "1"]));
        let answer = server.call("activateStatus", json!({}));
        if error.is_empty() {
            assert_eq!(answer, json!({"activated": "false"}), "{place}");
        } else {
            let (code, message) = error_of(&answer);
            assert_eq!(code, "unavailable", "{place}");
            assert!(message.contains(error), "{place}: {message}");
        }
        server.finish();
    }

    // Every key that there is, is known.
    let page = fs::read_to_string(source("docs/install.md")).unwrap();
    let all = page.split("```json\n").skip(1);
    let mut all = all.map(|text| text.split("```").next().unwrap());
    let all = all.find(|text| text.contains("\"state_directory\""));
    let mut command = in_own_usr_local(all.unwrap(), nothing, host);
    let mut server = Server::run(command.args(["-", "1"]));
    let answer = server.call("activateStatus", json!({}));
    let (_, message) = error_of(&answer);
    assert!(
        message.starts_with("the iocage library is not installed: "),
        "{message}"
    );
    server.finish();
}

#[test]
fn the_administrators_check_reads_the_servers_own_configuration() {
    let Some(lab) = furnished() else { return };
    if !has_namespaces() {
        return;
    }
    let document = fs::read_to_string(source("docs/server.md")).unwrap();
    let shown = document.split("```sh\nsysadm-iocage ").nth(1).unwrap();
    let action = shown.lines().next().unwrap();
    let check = common::command("check");
    let run_check = |config: &str| {
        let mut command = in_own_usr_local(config, "", &check);
        let output = command.args(["-j", action]).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let expected = Instance::of(&lab).ask_for("listjails");
    let (code, reply, _) = run_check(&lab.config().to_string());
    assert_eq!(code, Some(0), "{reply}");
    assert_eq!(common::parse(&reply)["listjails"], expected);
    for (config, why) in [
        ("{\"pool\": \"tank\"}", "unknown configuration key \"pool\""),
        (
            "{\"pools\": \"tank\"}",
            "configuration key \"pools\": must be an array",
        ),
        ("{", "the configuration is not JSON"),
    ] {
        let (code, _, error) = run_check(config);
        assert_ne!(code, Some(0), "{config}");
        assert!(error.contains(&format!("{CONFIG_FILE}: {why}")), "{error}");
    }
}

#[test]
fn a_fetch_tells_how_far_it_is_and_how_it_ended() {
    let Some(lab) = furnished() else { return };
    lab.set_pace("0.1");
    let Some(mut server) = Server::start(&lab, library().to_str().unwrap(), 4) else {
        return;
    };
    server.call(
        "fetchReleases",
        json!({"releases": ["14.1-RELEASE", "8.0-RELEASE"]}),
    );
    let lines = server.finish();
    let events = |release: &str| -> Vec<Value> {
        let id = format!("sysadm_iocage_fetch_release_{release}");
        let ours = |line: &&Value| line["event"]["job_id"] == json!(id);
        lines
            .iter()
            .filter(ours)
            .map(|line| line["event"].clone())
            .collect()
    };
    let events_of_success = events("14.1-RELEASE");
    let mut by_file: HashMap<String, Vec<u32>> = HashMap::new();
    for event in &events_of_success {
        assert_eq!(event["event_system"], "sysadm/iocage");
        if let (Some(file), Some(percent)) =
            (event["filename"].as_str(), event["percent_done"].as_str())
        {
            by_file
                .entry(file.into())
                .or_default()
                .push(percent.parse().unwrap());
            assert_eq!(event["download_rate"], "12.5MB/s");
        }
    }
    for file in ["MANIFEST", "base.txz"] {
        let percents = &by_file[file];
        assert!(
            percents.len() >= 5 && percents.is_sorted(),
            "{file}: {percents:?}"
        );
    }
    let last = events_of_success.last().unwrap();
    assert_eq!(
        (&last["state"], &last["success"], &last["percent_done"]),
        (&json!("finished"), &json!("true"), &json!("100"))
    );
    let last = events("8.0-RELEASE").pop().unwrap();
    assert_eq!(
        (&last["state"], &last["success"]),
        (&json!("finished"), &json!("false"))
    );
    assert!(
        last["error"]
            .as_str()
            .unwrap()
            .contains("8.0-RELEASE was not found!"),
        "{last}"
    );
}

#[test]
fn sixteen_threads_at_once() {
    let Some(lab) = furnished() else { return };
    let (one, two) = (lab.pool(0), lab.pool(1));
    lab.lay_out(two);
    lab.set_pace("0.01");
    let Some(mut server) = Server::start(&lab, library().to_str().unwrap(), 16) else {
        return;
    };
    let plugin = Instance::of(&lab);
    let jails = plugin.ask_for("listjails");
    let templates = plugin.ask_for("listtemplates");
    let empty = [json!({"jails": {}}), json!({"templates": {}})];
    drop(plugin);

    let releases: Vec<String> = (0..6).map(|minor| format!("14.{minor}-RELEASE")).collect();
    let known: Vec<&str> = releases.iter().map(String::as_str).collect();
    lab.set_remote_releases(&known);
    let started = Instant::now();
    let mut sent: HashMap<u64, (usize, Value)> = HashMap::new();
    let (mut answered, mut started_jobs, mut children) = (0, 0, 0);
    let mut finished_jobs = 0;
    let mut turn = 0;
    let mut ended = false;
    loop {
        // Sixteen are under way at any time.
        while sent.len() < 16 && !ended {
            turn += 1;
            let kind = turn % 8;
            let request = match kind {
                0 => json!({"function": "listJails"}),
                1 => json!({"function": "listTemplates"}),
                2 => json!({"function": "activateStatus"}),
                3 => json!({"child": turn % 200}),
                4 => {
                    json!({"function": "fetchReleases", "args": {"releases": (releases[turn / 8 % 6])}})
                }
                5 => {
                    json!({"function": "activatePool", "args": {"pool": ([one, two][turn / 40 % 2])}})
                }
                6 => json!({"function": "listReleases"}),
                _ => json!({"function": "fetchPlugin", "args": {"plugin": "-"}}),
            };
            let id = server.send(request.clone());
            sent.insert(id, (kind, request));
        }
        if sent.is_empty() {
            break;
        }
        let line = server.receive().expect("the host lives and answers");
        if let Some(event) = line.get("event") {
            if event["state"] == "finished" {
                finished_jobs += 1;
                // While two pools are marked in the middle of a switch, iocage refuses to fetch.
                assert!(event["success"].is_string(), "{event}");
            }
            continue;
        }
        let (kind, request) = sent.remove(&line["id"].as_u64().unwrap()).unwrap();
        answered += 1;
        let reply = &line["reply"];
        match kind {
            0 => assert!(*reply == jails || *reply == empty[0], "{reply}"),
            1 => assert!(*reply == templates || *reply == empty[1], "{reply}"),
            2 => {
                let pool = &reply["pool"];
                assert!(*pool == json!(one) || *pool == json!(two), "{reply}");
            }
            3 => {
                children += 1;
                assert_eq!(
                    line["exit"], request["child"],
                    "a child of the host's was stolen"
                );
            }
            // Its pool was switched off between the first look and the second.
            4 if reply["code"] == "not_active" => {
                let (_, message) = error_of(reply);
                assert!(message.contains("no longer active"), "{reply}");
            }
            4 => {
                let new = reply["started_dispatcher_id"]
                    .as_array()
                    .map_or(0, Vec::len);
                let running = reply["already_running"].as_array().map_or(0, Vec::len);
                assert!(new + running == 1, "{reply}");
                started_jobs += new;
            }
            // A job works in the active pool, or none does.
            5 => assert!(
                reply["success"].is_string() || error_of(reply).0 == "conflict",
                "{reply}"
            ),
            6 => assert!(reply["local"].is_array(), "{reply}"),
            _ => assert_eq!(error_of(reply).0, "invalid_argument"),
        }
        ended = started.elapsed() > Duration::from_secs(20);
    }
    let rest = server.finish();
    finished_jobs += rest
        .iter()
        .filter(|line| line["event"]["state"] == "finished")
        .count();
    assert_eq!(rest.last().unwrap()["jobs"], json!(started_jobs));
    assert_eq!(finished_jobs, started_jobs, "no job was lost");
    assert!(
        answered > 200 && children > 20 && started_jobs > 3,
        "{answered} {children} {started_jobs}"
    );
    assert_eq!(lab.active_pools().len(), 1);
}
