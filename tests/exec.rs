//! `execjail`: a command in a jail, its outputs, its exit code, its end; and `stopjob`.

mod common;

use std::process::Command;
use std::time::{Duration, Instant};

use common::made_up::{ask, Desk, MadeUp};
use common::{error_of, eventually, processes, Instance};
use serde_json::{json, Value};
use sysadm_iocage::ffi::SYSADM_IOCAGE_ACCESS_READ;
use sysadm_iocage_lab::Lab;

/// A lab with a household in its first pool, in which web runs as 5, and db does not run.
fn household() -> Option<Lab> {
    let lab = Lab::or_skip(1)?;
    lab.furnish();
    Some(lab)
}

fn exec(plugin: &Instance, more: &Value) -> Value {
    let mut args = json!({"action": "execjail", "jail": "web"});
    for (key, value) in more.as_object().unwrap() {
        args[key] = value.clone();
    }
    plugin.ask(&args)
}

fn run(plugin: &Instance, command: Value) -> Value {
    exec(plugin, &json!({ "command": command }))
}

fn ran(exit_code: &str, stdout: &str, stderr: &str) -> Value {
    json!({"exit_code": exit_code, "stdout": stdout, "stderr": stderr})
}

#[test]
fn outputs_come_apart_and_with_the_exit_code() {
    let Some(lab) = household() else { return };
    let plugin = Instance::of(&lab);
    lab.forget_commands();
    let line = "echo out; echo err >&2; exit 3";
    assert_eq!(run(&plugin, json!(line)), ran("3", "out\n", "err\n"));
    let words = json!(["sh", "-c", line]);
    assert_eq!(run(&plugin, words), ran("3", "out\n", "err\n"));
    assert_eq!(run(&plugin, json!("kill -9 $$")), ran("137", "", ""));
    // No input, and no terminal.
    assert_eq!(run(&plugin, json!(["cat"])), ran("0", "", ""));
    assert_eq!(run(&plugin, json!("test -t 1")), ran("1", "", ""));
    // No file of the host, and so no lock of this request.
    let open = "for fd in 3 4 5 6 7 8 9; do (true <&$fd) 2>/dev/null && echo $fd; done; true";
    assert_eq!(run(&plugin, json!(open)), ran("0", "", ""));
    let commands = lab.commands();
    let jexec: Vec<&Vec<String>> = commands
        .iter()
        .filter(|words| words[0] == "jexec")
        .collect();
    assert_eq!(
        jexec[0][1..],
        ["-U", "root", "--", "5", "/bin/sh", "-c", line]
    );
    assert_eq!(jexec[3][1..], ["-U", "root", "--", "5", "cat"]);
    assert!(!commands.iter().any(|words| words[0] == "iocage"));
}

#[test]
fn words_stay_words_whatever_they_are() {
    let Some(lab) = household() else { return };
    let plugin = Instance::of(&lab);
    let words =
        json!(["printf", "[%s]", "-U", "--", "-l", "a b", "", "$HOME", "`id`", "';x", "é"]);
    let expected = "[-U][--][-l][a b][][$HOME][`id`][';x][é]";
    assert_eq!(run(&plugin, words), ran("0", expected, ""));
    let answer = run(&plugin, json!("-x; echo done"));
    assert_eq!(
        (&answer["exit_code"], &answer["stdout"]),
        (&json!("0"), &json!("done\n"))
    );
    let lines = "echo a\necho b";
    assert_eq!(run(&plugin, json!(lines)), ran("0", "a\nb\n", ""));
}

#[test]
fn a_jails_own_routing_table_is_used() {
    let Some(lab) = household() else { return };
    let file = lab.config_file(lab.pool(0), "web");
    let mut config = lab.config_of(lab.pool(0), "web");
    config["exec_fib"] = json!("2");
    std::fs::write(file, config.to_string()).unwrap();
    let plugin = Instance::of(&lab);
    lab.forget_commands();
    run(&plugin, json!(["true"]));
    let commands = lab.commands();
    let jexec = commands.iter().find(|words| words[0] == "jexec").unwrap();
    let expected = ["-U", "root", "--", "5", "/usr/sbin/setfib", "2", "true"];
    assert_eq!(jexec[1..], expected);
}

#[test]
fn a_jail_gets_an_environment_of_its_own() {
    let Some(lab) = household() else { return };
    let mut config = lab.config();
    config["environment"] = json!({"https_proxy": "http://user:hunter2@proxy.example.org:3128"});
    let plugin = Instance::open(&config, std::ptr::null());
    let answer = run(&plugin, json!(["env"]));
    let printed = answer["stdout"].as_str().unwrap();
    for (name, value) in [("HOME", "/"), ("TERM", "dumb"), ("LANG", "C.UTF-8")] {
        assert!(printed.contains(&format!("{name}={value}\n")), "{printed}");
    }
    for name in ["proxy", "PYTHON", "CARGO", "LC_ALL"] {
        assert!(!printed.contains(name), "{name}: {printed}");
    }
}

#[test]
fn a_user_is_one_of_the_jails() {
    let Some(lab) = household() else { return };
    let plugin = Instance::of(&lab);
    let as_user = |user: &str| exec(&plugin, &json!({"command": ["id", "-un"], "user": user}));
    assert_eq!(as_user("root"), ran("0", "root\n", ""));
    let etc = lab.iocage_root(lab.pool(0)).join("jails/web/root/etc");
    std::fs::create_dir_all(&etc).unwrap();
    std::fs::write(etc.join("passwd"), "root:*:0:0::/root:/bin/sh\n").unwrap();
    let answer = as_user("nobody");
    assert_eq!(
        error_of(&answer),
        ("failed", "jail web: it has no user nobody")
    );
}

#[test]
fn a_program_that_is_not_there_is_told_without_its_name() {
    let Some(lab) = household() else { return };
    let plugin = Instance::of(&lab);
    let answer = run(&plugin, json!(["hunter2", "hunter2"]));
    let expected = "jail web: the command cannot be run: No such file or directory";
    assert_eq!(error_of(&answer), ("failed", expected));
    // The jail's shell says that itself.
    let answer = run(&plugin, json!("nosuchprogram"));
    assert_eq!(answer["exit_code"], "127");
}

#[test]
fn a_jail_that_is_down_is_not_started() {
    let Some(lab) = household() else { return };
    let plugin = Instance::of(&lab);
    lab.forget_commands();
    for jail in ["db", "base"] {
        let answer = exec(&plugin, &json!({"jail": jail, "command": "true"}));
        let expected = format!("jail {jail} is down");
        assert_eq!(error_of(&answer), ("not_active", &*expected));
    }
    let answer = exec(&plugin, &json!({"jail": "nosuch", "command": "true"}));
    assert_eq!(error_of(&answer).0, "not_found");
    let unwanted = |words: &&Vec<String>| words[0] == "jexec" || words[0] == "iocage";
    assert_eq!(lab.commands().iter().find(unwanted), None);
    assert_eq!(lab.jid_of("db"), None);

    // It goes down between the look and the command.
    lab.set_fault("jexec", Some("\"$lab/host/running\" end ioc-web"));
    let answer = run(&plugin, json!("true"));
    assert_eq!(error_of(&answer), ("not_active", "jail web is down"));
}

#[test]
fn more_than_a_megabyte_is_cut_off_and_told() {
    let Some(lab) = household() else { return };
    let plugin = Instance::of(&lab);
    let line = "head -c 3000000 /dev/zero | tr '\\0' x; echo end >&2; exit 4";
    let answer = run(&plugin, json!(line));
    assert_eq!(answer["stdout"].as_str().unwrap().len(), 1 << 20);
    assert_eq!(
        (
            &answer["stderr"],
            &answer["exit_code"],
            &answer["truncated"]
        ),
        (&json!("end\n"), &json!("4"), &json!("true"))
    );
    let answer = run(&plugin, json!("head -c 1048576 /dev/zero | tr '\\0' x >&2"));
    assert_eq!(answer["stderr"].as_str().unwrap().len(), 1 << 20);
    assert_eq!(answer["truncated"], Value::Null);
    let answer = run(&plugin, json!("printf 'a\\377b\\0c\\033[1m'"));
    assert_eq!(answer, ran("0", "a\u{fffd}b\0c\u{1b}[1m", ""));
}

#[test]
fn one_that_takes_too_long_ends_with_all_its_processes() {
    let Some(lab) = household() else { return };
    let plugin = Instance::of(&lab);
    let mark = format!("sleep 77{}", std::process::id());
    let started = Instant::now();
    for line in [
        format!("{mark} & {mark}; true"),
        format!("trap '' TERM; {mark} & {mark}; wait"),
        "yes".into(),
    ] {
        let answer = exec(&plugin, &json!({"command": line, "timeout_seconds": 1}));
        let (code, error) = error_of(&answer);
        assert!(
            code == "timeout" && error.starts_with("jail web: "),
            "{error}"
        );
        assert!(!error.contains("sleep"), "{error}");
        assert_eq!(processes(&format!("^{mark}$")), [""; 0]);
    }
    assert!(started.elapsed() < Duration::from_secs(30));
    // What a command leaves behind on purpose goes on.
    let answer = run(&plugin, json!(format!("{mark} >/dev/null 2>&1 &")));
    assert_eq!(answer, ran("0", "", ""));
    let left = processes(&format!("^{mark}$"));
    assert_eq!(left.len(), 1);
    common::run(Command::new("kill").args(left));
}

#[test]
fn a_jail_in_which_something_runs_is_not_stopped() {
    let Some(lab) = household() else { return };
    let mut config = lab.config();
    config["command_timeout_seconds"] = json!(3);
    let plugin = Instance::open(&config, std::ptr::null());
    let stop = || plugin.ask(&json!({"action": "stopjail", "jail": "web"}));
    let args = json!({"command": "sleep 9; echo done", "timeout_seconds": 20});
    std::thread::scope(|scope| {
        let runs = scope.spawn(|| exec(&plugin, &args));
        let is_running = || lab.commands().iter().any(|words| words[0] == "jexec");
        eventually("the command runs", is_running);
        // Others may run beside it.
        assert_eq!(run(&plugin, json!("echo too")), ran("0", "too\n", ""));
        assert_eq!(error_of(&stop()).0, "conflict");
        assert_eq!(runs.join().unwrap(), ran("0", "done\n", ""));
    });
    assert_eq!(stop()["changed"], "true");
}

#[test]
fn who_may_only_read_and_who_asks_wrongly_runs_nothing() {
    let Some(lab) = household() else { return };
    let plugin = Instance::of(&lab);
    lab.forget_commands();
    let args = json!({"action": "execjail", "jail": "web", "command": "true"}).to_string();
    assert_eq!(plugin.evaluate(&args, SYSADM_IOCAGE_ACCESS_READ).0, 403);
    let long = "x".repeat(70_000);
    for (more, named) in [
        (json!({}), "command"),
        (json!({"command": ""}), "command"),
        (json!({"command": " "}), "command"),
        (json!({"command": []}), "command"),
        (json!({"command": [""]}), "command"),
        (json!({"command": ["-l", "ls"]}), "command"),
        (json!({"command": ["ls", 1]}), "command"),
        (json!({"command": {"ls": ""}}), "command"),
        (json!({"command": "a\0b"}), "command"),
        (json!({"command": ["ls", "a\0b"]}), "command"),
        (json!({"command": long}), "command"),
        (json!({"command": "true", "user": ""}), "user"),
        (json!({"command": "true", "user": "-l"}), "user"),
        (json!({"command": "true", "user": "a b"}), "user"),
        (json!({"command": "true", "user": 0}), "user"),
        (
            json!({"command": "true", "timeout_seconds": 0}),
            "timeout_seconds",
        ),
        (
            json!({"command": "true", "timeout_seconds": -1}),
            "timeout_seconds",
        ),
        (
            json!({"command": "true", "timeout_seconds": 3601}),
            "timeout_seconds",
        ),
        (
            json!({"command": "true", "timeout_seconds": 1.5}),
            "timeout_seconds",
        ),
        (
            json!({"command": "true", "timeout_seconds": "soon"}),
            "timeout_seconds",
        ),
        (json!({"command": "true", "jails": ["web"]}), "jails"),
        (json!({"command": "true", "force": true}), "force"),
        (json!({"command": "true", "jail": null}), "jail"),
    ] {
        let answer = exec(&plugin, &more);
        let (code, error) = error_of(&answer);
        assert_eq!(code, "invalid_argument", "{more}: {error}");
        assert!(error.contains(&format!("\"{named}\"")), "{more}: {error}");
    }
    let jexec = |words: &&Vec<String>| words[0] == "jexec";
    assert_eq!(lab.commands().iter().find(jexec), None);
}

#[test]
fn nobody_reads_the_command_in_a_log() {
    let host = MadeUp::new(&["tank"]);
    host.add("tank/iocage/jails/web/root");
    let config = host.dataset("tank/iocage/jails/web").join("config.json");
    std::fs::write(config, "{}").unwrap();
    let root = host.dataset("tank/iocage/jails/web/root");
    host.step_in(move |_, line| {
        let printed = |what| Some(Ok(common::made_up::printed("jexec", what)));
        match line {
            _ if line.starts_with("jls") => {
                let jail = json!({"jid": 7, "name": "ioc-web", "path": root});
                printed(Ok(json!({"jail-information": {"jail": [jail]}}).to_string()))
            }
            _ if line.starts_with("jexec") && line.contains("missing") => {
                let words = "jexec: execvp: missing-hunter2: No such file or directory\n";
                printed(Err(words.into()))
            }
            _ if line.starts_with("jexec") => printed(Ok("fine\n".into())),
            _ => None,
        }
    });
    let desk = Desk::new();
    let plugin = host.open_at(&desk, &json!({}));
    for command in [
        json!("echo hunter2"),
        json!(["mysql", "-phunter2"]),
        json!(["missing-hunter2"]),
        json!(["-hunter2"]),
        json!("hunter2\0"),
    ] {
        ask(
            &plugin,
            &json!({"action": "execjail", "jail": "web", "command": command}),
        );
    }
    let lines = desk.lines();
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert!(!lines.concat().contains("hunter2"), "{lines:?}");
    assert!(
        lines[0].starts_with("audit: execjail jail=\"web\" command=...: done, "),
        "{lines:?}"
    );
}

fn stop_job(plugin: &Instance, job: &str) -> Value {
    plugin.ask(&json!({"action": "stopjob", "job": job}))
}

#[test]
fn a_job_is_ended_with_all_its_processes_and_leaves_what_it_held() {
    let Some(lab) = Lab::or_skip(1) else { return };
    lab.lay_out(lab.pool(0));
    lab.mark(lab.pool(0), true);
    lab.set_pace("30");
    let plugin = Instance::of(&lab);
    let other = Instance::of(&lab);
    let job = "sysadm_iocage_fetch_release_13.2-RELEASE";
    let fetch = || plugin.ask(&json!({"action": "fetchreleases", "releases": "13.2-RELEASE"}));
    let mark = format!("{}/real/iocage fetch", lab.dir().display());
    for _ in 0..2 {
        assert_eq!(fetch()["started_dispatcher_id"], json!([job]));
        eventually("the fetch runs", || !processes(&mark).is_empty());
        let answer = stop_job(&other, job);
        let (code, error) = error_of(&answer);
        assert!(
            code == "unavailable" && error.contains("another"),
            "{error}"
        );
        let expected = json!({"success": format!("job {job} ended.")});
        assert_eq!(stop_job(&plugin, job), expected);
        assert_eq!(processes(&mark), [""; 0]);
        let status = plugin.ask(&json!({"action": "jobstatus", "job": job}));
        assert_eq!(
            (&status["state"], &status["success"]),
            (&json!("finished"), &json!("false"))
        );
        let error = status["error"].as_str().unwrap();
        assert!(error.ends_with("ended by stopjob"), "{error}");
        let answer = stop_job(&plugin, job);
        let expected = format!("job {job} has ended");
        assert_eq!(error_of(&answer), ("not_active", &*expected));
    }
    // What it held is free.
    lab.set_pace("0");
    let answer = plugin.ask(&json!({"action": "cleanreleases", "force": true}));
    assert!(answer["success"].is_string(), "{answer}");
}

#[test]
fn a_job_that_is_unknown_or_anothers_is_not_ended() {
    let host = MadeUp::new(&["tank"]);
    let desk = Desk::with_dispatcher();
    let plugin = host.open_at(&desk, &json!({}));
    let stop = |job: Value| ask(&plugin, &json!({"action": "stopjob", "job": job}));
    let job = "sysadm_iocage_fetch_release_13.2-RELEASE";
    for unknown in [job, "sysadm_iohyve_fetch", "sysadm_iocage_"] {
        assert_eq!(error_of(&stop(json!(unknown))).0, "not_found");
    }
    for wrong in [
        json!(null),
        json!(1),
        json!(""),
        json!("../x"),
        json!([job]),
    ] {
        let answer = stop(wrong);
        let (code, error) = error_of(&answer);
        assert!(
            code == "invalid_argument" && error.contains("\"job\""),
            "{error}"
        );
    }
    let missing = ask(&plugin, &json!({"action": "stopjob"}));
    assert_eq!(error_of(&missing).0, "invalid_argument");

    ask(
        &plugin,
        &json!({"action": "fetchreleases", "releases": "13.2-RELEASE"}),
    );
    assert!(desk.jobs.lock().unwrap().contains(job));
    let dispatchers = format!("job {job} is run by the host's dispatcher, which alone can end it");
    assert_eq!(error_of(&stop(json!(job))), ("unavailable", &*dispatchers));
    // Another instance does not run it either.
    let other = host.open();
    let answer = ask(&other, &json!({"action": "stopjob", "job": job}));
    assert_eq!(error_of(&answer), ("unavailable", &*dispatchers));
    desk.jobs.lock().unwrap().clear();
    desk.calls();
    let ended = format!("job {job} has ended");
    // A dispatcher has seen it before it ended.
    let answer = stop(json!(job));
    assert_eq!(error_of(&answer), ("not_active", &*ended));
    let lines = desk.lines();
    let line = format!("audit: stopjob job=\"{job}\": not_active, {ended} (");
    assert!(
        lines.iter().any(|text| text.starts_with(&line)),
        "{lines:?}"
    );
    // One of an earlier life of the host.
    let early = "sysadm_iocage_fetch_release_12.4-RELEASE";
    desk.jobs.lock().unwrap().insert(early.into());
    assert_eq!(error_of(&stop(json!(early))).0, "unavailable");
}
