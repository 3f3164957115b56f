//! What happens between two steps of a request, on a made-up host that steps in there.

mod common;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::error_of;
use common::made_up::{ask, printed, wait_for, Desk, MadeUp};
use serde_json::{json, Value};
use sysadm_iocage::error::{Code, Error};

const ACTIVE: &str = "zfs set org.freebsd.ioc:active";

fn activate(pool: &str) -> Value {
    json!({"action": "activatepool", "pool": pool})
}

#[test]
fn a_pool_that_goes_away_at_any_step_is_not_found_and_the_old_one_stays() {
    for (before, done) in [
        ("zfs list -H -d 0", false),
        ("zpool list", false),
        ("zfs get", false),
        ("zfs set org.freebsd.ioc:active=yes", false),
        ("zfs set org.freebsd.ioc:active=no", false),
        // When all the marks are set, and nothing but the last look is left.
        ("zfs set org.freebsd.ioc:active=no", true),
    ] {
        let host = MadeUp::new(&["a", "b"]);
        let gone = AtomicBool::new(false);
        host.step_in(move |host, line| {
            if line.starts_with(before) && !gone.swap(true, Ordering::SeqCst) {
                if done {
                    host.mark("a", false);
                }
                host.export("b");
                return done.then(|| Ok(printed(line, Ok(String::new()))));
            }
            None
        });
        let answer = ask(&host.open(), &activate("b"));
        assert_eq!(error_of(&answer).0, "not_found", "{before}: {answer}");
        assert_eq!(host.active(), ["a"], "{before}: {answer}");
    }
}

#[test]
fn a_mark_that_may_still_be_taken_away_leaves_the_new_one() {
    let host = MadeUp::new(&["a", "b"]);
    host.step_in(|_, line| {
        let hangs = line == format!("{ACTIVE}=no a");
        hangs.then(|| {
            let mut error = Error::new(Code::Timeout, "zfs set: timeout");
            error.lingers = true;
            Err(error)
        })
    });
    let answer = ask(&host.open(), &activate("b"));
    let (code, message) = error_of(&answer);
    assert_eq!(code, "timeout");
    assert!(message.contains("may still change the marks"), "{message}");
    assert_eq!(host.active(), ["a", "b"], "the new mark was taken back");
    // One that has ended for certain is undone.
    host.mark("b", false);
    host.step_in(|_, line| {
        let fails = line == format!("{ACTIVE}=no a");
        fails.then(|| Err(Error::new(Code::Timeout, "zfs set: timeout")))
    });
    let answer = ask(&host.open(), &activate("b"));
    assert!(
        error_of(&answer).1.contains("nothing has changed"),
        "{answer}"
    );
    assert_eq!(host.active(), ["a"]);
}

#[test]
fn a_pool_whose_disks_do_not_answer_is_unavailable_and_nothing_changes() {
    let host = MadeUp::new(&["a", "b"]);
    host.note("a", "silent", Some(""));
    let instance = host.open();
    for request in [
        json!({"action": "activatestatus"}),
        json!({"action": "activatepool"}),
        json!({"action": "listjails"}),
        json!({"action": "listtemplates"}),
        json!({"action": "listreleases"}),
        json!({"action": "listplugins"}),
        json!({"action": "fetchreleases", "releases": "13.2-RELEASE"}),
        json!({"action": "cleanreleases"}),
        activate("b"),
        activate("a"),
        json!({"action": "deactivatepool", "pool": "a"}),
    ] {
        let answer = ask(&instance, &request);
        let (code, message) = error_of(&answer);
        assert_eq!(code, "unavailable", "{request}: {message}");
        assert!(message.contains("pool a"), "{request}: {message}");
        assert_eq!(host.active(), ["a"], "{request}");
    }
    let sets = |line: &String| line.starts_with("zfs set");
    assert!(!host.commands().iter().any(sets));
    // Where another one is known to be the active one, it may be as silent as it likes.
    host.mark("a", false);
    host.mark("b", true);
    let answer = ask(&instance, &json!({"action": "activatestatus"}));
    assert_eq!(answer["pool"], "b");
}

/// A step that waits before a command, from the moment that it is said to have come to it.
fn waits_before(host: &MadeUp, command: &'static str) -> (mpsc::Receiver<()>, mpsc::Sender<()>) {
    let ((come, comes), (go, goes)) = (mpsc::channel(), mpsc::channel::<()>());
    let (come, goes) = (Mutex::new(come), Mutex::new(goes));
    host.step_in(move |_, line| {
        if line.starts_with(command) {
            let _ = come.lock().unwrap().send(());
            let _ = goes.lock().unwrap().recv_timeout(Duration::from_secs(30));
        }
        None
    });
    (comes, go)
}

#[test]
fn a_change_waits_for_another_no_longer_than_its_limit() {
    let host = MadeUp::new(&["a", "b"]);
    host.add("a/iocage/releases/13.2-RELEASE/root");
    let (comes, go) = waits_before(&host, "zfs destroy");
    let instance = host.open_at(&Desk::new(), &json!({"command_timeout_seconds": 1}));
    std::thread::scope(|scope| {
        let clean = scope.spawn(|| ask(&instance, &json!({"action": "cleanreleases"})));
        comes.recv().unwrap();
        for other in [
            &instance,
            &host.open_at(&Desk::new(), &json!({"command_timeout_seconds": 1})),
        ] {
            let started = Instant::now();
            let answer = ask(other, &activate("b"));
            assert_eq!(error_of(&answer).0, "conflict", "{answer}");
            let took = started.elapsed().as_secs_f32();
            assert!((1.0..6.0).contains(&took), "{took} s");
        }
        // It waits at none of its commands any more.
        drop(go);
        assert!(clean.join().unwrap()["success"].is_string());
    });
    assert_eq!(host.active(), ["a"]);
}

fn create(plugin: &str, name: &str) -> Value {
    // Each has its own.
    let ip4 = if plugin == "gitlab" {
        "10.0.0.5"
    } else {
        "10.0.0.6"
    };
    json!({
        "action": "createplugin", "plugin": plugin, "name": name, "net_device": "re0", "ip4": ip4,
    })
}

#[test]
fn a_name_is_given_once_also_where_only_dots_differ() {
    let host = MadeUp::new(&["a"]);
    host.set_job("sleep 30");
    let (one, other) = (host.open(), host.open());
    let job = "sysadm_iocage_fetch_plugin_gitlab";
    let answer = ask(&one, &create("gitlab", "foo.bar"));
    assert_eq!(answer["started_dispatcher_id"], job, "{answer}");
    for (instance, name) in [(&one, "foo.bar"), (&one, "foo_bar"), (&other, "foo_bar")] {
        let answer = ask(instance, &create("jenkins", name));
        let (code, message) = error_of(&answer);
        assert_eq!(code, "conflict", "{name}: {message}");
        assert!(message.contains(job), "{name}: {message}");
    }
    let answer = ask(&other, &create("jenkins", "foobar"));
    assert!(answer["started_dispatcher_id"].is_string(), "{answer}");
}

#[test]
fn a_name_that_another_job_gives_between_the_look_and_the_start_is_refused() {
    let host = MadeUp::new(&["a"]);
    // The last command of the request before its job is started.
    host.step_in(|host, line| {
        if line == "iocage --version" {
            host.add("a/iocage/jails/foo_bar/root");
        }
        None
    });
    let answer = ask(&host.open(), &create("gitlab", "foo.bar"));
    assert_eq!(error_of(&answer).0, "conflict", "{answer}");
    assert!(error_of(&answer).1.contains("foo_bar"), "{answer}");
}

#[test]
fn a_pool_that_is_switched_between_the_look_and_the_start_starts_no_job() {
    let host = MadeUp::new(&["a", "b"]);
    let looks = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&looks);
    host.step_in(move |host, line| {
        // After the first look at the marks.
        if line.starts_with("zfs list -H -d 0") && counted.fetch_add(1, Ordering::SeqCst) == 0 {
            let first = Ok(printed(line, Ok("a\tyes\nb\t-\n".into())));
            host.mark("a", false);
            return Some(first);
        }
        None
    });
    let fetch = json!({"action": "fetchreleases", "releases": "13.2-RELEASE"});
    let answer = ask(&host.open(), &fetch);
    assert_eq!(error_of(&answer).0, "not_active", "{answer}");
    assert!(looks.load(Ordering::SeqCst) >= 2);
}

#[test]
fn what_a_job_needs_is_neither_destroyed_nor_switched_off_by_any_instance() {
    let host = MadeUp::new(&["a", "b"]);
    host.add("a/iocage/releases/12.4-RELEASE/root");
    host.set_job("sleep 30");
    let (one, other) = (host.open(), host.open());
    let fetch = json!({"action": "fetchreleases", "releases": "13.2-RELEASE"});
    ask(&one, &fetch);
    ask(&one, &create("gitlab", "web"));
    let jobs = ["fetch_release_13.2-RELEASE", "fetch_plugin_gitlab"];
    for instance in [&one, &other] {
        for (request, expected, named) in [
            (json!({"action": "cleanreleases"}), "in_use", &jobs[..]),
            (
                json!({"action": "cleanreleases", "force": true}),
                "in_use",
                &jobs,
            ),
            (
                json!({"action": "cleantemplates", "force": true}),
                "in_use",
                &jobs[1..],
            ),
            (activate("b"), "conflict", &jobs),
            (activate("a"), "conflict", &jobs),
            (
                json!({"action": "deactivatepool", "pool": "a"}),
                "conflict",
                &jobs,
            ),
        ] {
            let started = Instant::now();
            let answer = ask(instance, &request);
            let (code, message) = error_of(&answer);
            assert_eq!(code, expected, "{request}: {message}");
            assert!(
                named.iter().all(|job| message.contains(job)),
                "{request}: {message}"
            );
            assert!(
                started.elapsed() < Duration::from_secs(10),
                "it waited for the job"
            );
        }
        let again = ask(instance, &fetch);
        assert_eq!(
            again["already_running"].as_array().unwrap().len(),
            1,
            "{again}"
        );
    }
    assert!(host.dataset("a/iocage/releases/12.4-RELEASE/root").exists());
    assert_eq!(host.active(), ["a"]);
    // When they have ended, nothing is in the way.
    one.close();
    let answer = ask(&other, &activate("b"));
    assert!(answer["success"].is_string(), "{answer}");
}

#[test]
fn what_the_dispatchers_job_needs_is_held_until_it_is_seen_to_have_ended() {
    let host = MadeUp::new(&["a", "b"]);
    let desk = Desk::with_dispatcher();
    let (one, other) = (host.open_at(&desk, &json!({})), host.open());
    let fetch = json!({"action": "fetchreleases", "releases": "13.2-RELEASE"});
    let job = "sysadm_iocage_fetch_release_13.2-RELEASE";
    assert_eq!(ask(&one, &fetch)["started_dispatcher_id"], json!([job]));
    for instance in [&one, &other] {
        let answer = ask(instance, &activate("b"));
        let (code, message) = error_of(&answer);
        assert!(code == "conflict" && message.contains(job), "{message}");
    }
    desk.calls();
    desk.jobs.lock().unwrap().clear();
    let answer = ask(&one, &activate("b"));
    assert!(answer["success"].is_string(), "{answer}");
    let ended = format!("audit: job {job}: ended");
    let lines = desk.lines();
    assert!(lines.contains(&ended), "{lines:?}");
}

#[test]
fn asking_for_a_job_while_another_starts_it_is_no_obstacle_to_it() {
    let host = MadeUp::new(&["a"]);
    host.set_job("exit 0");
    let (one, other) = (host.open(), host.open());
    let job = "sysadm_iocage_fetch_release_13.2-RELEASE";
    let fetch = json!({"action": "fetchreleases", "releases": "13.2-RELEASE"});
    let end = Instant::now() + Duration::from_secs(120);
    let done = Arc::new(AtomicBool::new(false));
    let ask_for_it = || {
        let (other, done) = (Arc::clone(&other), Arc::clone(&done));
        std::thread::spawn(move || {
            while !done.load(Ordering::SeqCst) && Instant::now() < end {
                let event = other.progress(job, None).ok().flatten();
                let is_lost = |event: &String| event.contains("nobody saw");
                assert!(!event.as_ref().is_some_and(is_lost), "{event:?}");
            }
        })
    };
    let askers = [ask_for_it(), ask_for_it()];
    for round in 0..150 {
        let answer = ask(&one, &fetch);
        assert_eq!(
            answer,
            json!({"started_dispatcher_id": [job]}),
            "round {round}"
        );
        // It ends well, and has made nothing.
        assert_eq!(wait_for(&one, job)["success"], "false", "round {round}");
    }
    done.store(true, Ordering::SeqCst);
    for asker in askers {
        asker.join().unwrap();
    }
}
