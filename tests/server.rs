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

/// The test host, compiled once.
fn host() -> Option<&'static Path> {
    static HOST: OnceLock<Option<PathBuf>> = OnceLock::new();
    let host = HOST.get_or_init(|| {
        let host = Path::new(env!("CARGO_TARGET_TMPDIR")).join("qt-host");
        let files = [
            "include/sysadm/sysadm-iocage.cpp",
            "tests/server/dispatcher.cpp",
            "tests/server/host.cpp",
        ];
        let mut command = compiler("-std=c++11", &qt_flags("5", "--cflags")?);
        command
            .args(files.map(source))
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
        let mut child = Command::new(host()?)
            .arg(file)
            .arg(threads.to_string())
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
        Some(Server {
            child,
            input,
            lines,
            next_id: Default::default(),
            events: Default::default(),
        })
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
        let expected = plugin.ask(&request);
        assert_eq!(server.call(function, args), expected, "{function}");
        let evaluated = server.ask(json!({"evaluate": request, "full": true}));
        assert_eq!(
            (&evaluated["status"], &evaluated["reply"][action]),
            (&json!(200), &expected)
        );
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

    // With the optional lines: the access level counts, and new arguments reach the plugin.
    let dry_run = json!({"action": "cleanreleases", "dryrun": true});
    assert_eq!(
        server.ask(json!({"evaluate": dry_run, "full": false}))["status"],
        403
    );
    let evaluated = server.ask(json!({"evaluate": dry_run, "full": true}));
    assert_eq!(evaluated["reply"]["cleanreleases"]["dryrun"], "true");
    for args in [
        json!([]),
        json!("x"),
        json!({}),
        json!({"action": "nonesuch"}),
    ] {
        let evaluated = server.ask(json!({"evaluate": args, "full": true}));
        assert_eq!(
            (&evaluated["status"], &evaluated["reply"]),
            (&json!(400), &json!({}))
        );
    }
    assert_eq!(error_of(&server.call("df", json!({}))).0, "unavailable");
    assert_eq!(server.finish().last().unwrap()["jobs"], 3);
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
        let status = json!({"evaluate": {"action": "activatestatus"}, "full": true});
        assert_eq!(
            error_of(&server.ask(status)["reply"]["activatestatus"]).0,
            "unavailable"
        );
        server.finish();
    }
    // A configuration that is not right is said too.
    let Some(mut server) = Server::start(&lab, "relative.so", 4) else {
        return;
    };
    let answer = server.call("activateStatus", json!({}));
    assert_eq!(error_of(&answer).0, "unavailable");
    server.finish();
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
fn sixteen_threads_for_a_minute() {
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
        ended = started.elapsed() > Duration::from_secs(60);
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
