//! Callbacks that call the library: each gets an answer, and nothing hangs. And what the program
//! hears when a job ends.

mod common;

use std::sync::{mpsc, Arc, Mutex};
use std::time::Duration;

use common::error_of;
use common::made_up::{ask, wait_for, Call, Desk, MadeUp};
use serde_json::{json, Value};
use sysadm_iocage::instance::Instance;

const FETCH: &str = "sysadm_iocage_fetch_release_13.2-RELEASE";

fn fetch(release: &str) -> Value {
    json!({"action": "fetchreleases", "releases": release})
}

fn activate(pool: &str) -> Value {
    json!({"action": "activatepool", "pool": pool})
}

/// Does something that must not take for ever.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    let done = is_done.recv_timeout(Duration::from_secs(60));
    done.expect("it hangs")
}

/// What `request` answers at a desk which asks `inner` at the calls that are `at`, and what that
/// answers.
fn called_back(
    host: &Arc<MadeUp>,
    has_dispatcher: bool,
    at: fn(&Call) -> bool,
    inner: Value,
    request: Value,
) -> (Value, Vec<Value>) {
    let answers: Arc<Mutex<Vec<Value>>> = Arc::default();
    let noted = Arc::clone(&answers);
    let desk = Desk::that_calls_back(has_dispatcher, move |instance, call| {
        if at(call) {
            let answer = ask(instance, &inner);
            noted.lock().unwrap().push(answer);
        }
    });
    let instance = host.open_at(&desk, &json!({"command_timeout_seconds": 5}));
    let answer = in_time(move || {
        let answer = ask(&instance, &request);
        instance.close();
        // What it holds for the dispatcher's job goes with it, and the next one is for the same job.
        drop(instance);
        answer
    });
    let answers = answers.lock().unwrap().clone();
    assert!(!answers.is_empty(), "it was not called: {answer}");
    (answer, answers)
}

fn is_queue(call: &Call) -> bool {
    matches!(call, Call::Queue(..))
}

fn is_log(call: &Call) -> bool {
    matches!(call, Call::Log(_))
}

#[test]
fn the_dispatchers_callback_may_ask_for_the_same_job_and_for_another() {
    let host = MadeUp::new(&["a", "b"]);
    for (inner, expected) in [
        (
            fetch("13.2-RELEASE"),
            json!({"started_dispatcher_id": [], "already_running": [FETCH]}),
        ),
        (
            fetch("14.1-RELEASE"),
            json!({"started_dispatcher_id": ["sysadm_iocage_fetch_release_14.1-RELEASE"]}),
        ),
    ] {
        let (answer, inner) = called_back(&host, true, is_queue, inner, fetch("13.2-RELEASE"));
        assert_eq!(answer, json!({"started_dispatcher_id": [FETCH]}));
        assert_eq!(inner, [expected]);
    }
    for request in [
        activate("b"),
        json!({"action": "cleanreleases"}),
        json!({"action": "deactivatepool", "pool": "a"}),
    ] {
        let (_, inner) = called_back(&host, true, is_queue, request, fetch("13.2-RELEASE"));
        let code = error_of(&inner[0]).0;
        assert!(["conflict", "in_use"].contains(&code), "{inner:?}");
    }
}

#[test]
fn the_log_callback_may_ask_for_a_change_while_one_is_under_way() {
    let host = MadeUp::new(&["a", "b"]);
    for request in [
        json!({"action": "cleanreleases"}),
        json!({"action": "cleantemplates", "force": true}),
        activate("a"),
        fetch("13.2-RELEASE"),
        json!({"action": "deactivatepool", "pool": "nosuchpool"}),
    ] {
        let (answer, inner) = called_back(&host, false, is_log, activate("a"), request);
        assert!(answer.is_object(), "{answer}");
        for inner in inner {
            let fine = inner["success"].is_string() || error_of(&inner).0 == "conflict";
            assert!(fine, "{inner}");
        }
    }
}

#[test]
fn a_listing_that_starts_a_job_may_be_asked_for_by_its_callback() {
    let host = MadeUp::new(&["a"]);
    let plugins = json!({"action": "listplugins", "refresh": true});
    for inner in [
        plugins.clone(),
        json!({"action": "listplugins"}),
        json!({"action": "listjails"}),
    ] {
        let (answer, inner) = called_back(&host, true, is_queue, inner, plugins.clone());
        assert!(answer["remote"].is_object(), "{answer}");
        assert!(inner[0]["error"].is_null(), "{inner:?}");
    }
}

#[test]
fn asking_whether_a_job_is_active_may_ask_for_anything() {
    let host = MadeUp::new(&["a", "b"]);
    let at = |call: &Call| matches!(call, Call::IsActive(_));
    for request in [
        fetch("14.1-RELEASE"),
        activate("b"),
        json!({"action": "listreleases"}),
    ] {
        let (answer, inner) = called_back(&host, true, at, request, fetch("13.2-RELEASE"));
        assert!(
            answer.is_object() && inner.iter().all(Value::is_object),
            "{answer}"
        );
    }
}

#[test]
fn the_end_of_a_job_is_told_and_the_callback_may_start_the_next() {
    let host = MadeUp::new(&["a"]);
    let next = "sysadm_iocage_fetch_release_14.1-RELEASE";
    let (told, tells) = mpsc::channel();
    let told = Mutex::new(told);
    let desk = Desk::that_calls_back(false, move |instance: &Instance, call| {
        if let Call::Ended(id, event) = call {
            let next = (id == FETCH).then(|| ask(instance, &fetch("14.1-RELEASE")));
            let told = told.lock().unwrap();
            told.send((id.clone(), common::parse(event), next)).unwrap();
        }
    });
    let instance = host.open_at(&desk, &json!({}));
    ask(&instance, &fetch("13.2-RELEASE"));
    let tell = || {
        tells
            .recv_timeout(Duration::from_secs(60))
            .expect("nobody tells")
    };
    let (id, event, answer) = tell();
    assert_eq!(id, FETCH);
    assert_eq!(
        (&event["state"], &event["success"]),
        (&json!("finished"), &json!("true"))
    );
    assert_eq!(answer, Some(json!({"started_dispatcher_id": [next]})));
    assert_eq!(tell().0, next);
    instance.close();
    let lines = desk.lines();
    for job in [FETCH, next] {
        let done = format!("audit: job {job}: done (");
        assert!(
            lines.iter().any(|line| line.starts_with(&done)),
            "{lines:?}"
        );
    }
}

#[test]
fn a_job_that_fails_or_is_ended_leaves_a_line_with_the_reason() {
    let host = MadeUp::new(&["a"]);
    let desk = Desk::new();
    let instance = host.open_at(&desk, &json!({}));
    host.set_job("echo the mirror is gone >&2; exit 3");
    ask(&instance, &fetch("13.2-RELEASE"));
    assert_eq!(wait_for(&instance, FETCH)["success"], "false");
    let line = format!("audit: job {FETCH}: failed, the mirror is gone (");
    let mut calls = Vec::new();
    common::eventually("the job's end is noted and told", || {
        calls.extend(desk.calls());
        let noted = |call: &Call| matches!(call, Call::Log(said) if said.starts_with(&line));
        let told = |call: &Call| matches!(call, Call::Ended(id, _) if id == FETCH);
        calls.iter().any(noted) && calls.iter().any(told)
    });
    host.set_job("sleep 30");
    ask(&instance, &fetch("13.2-RELEASE"));
    instance.close();
    let lines = desk.lines();
    let line = format!("audit: job {FETCH}: failed, ended: the host has closed the instance");
    assert!(
        lines.iter().any(|said| said.starts_with(&line)),
        "{lines:?}"
    );
}
