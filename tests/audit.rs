//! Every change, and every try at one, leaves a line in the host's log, or in the system's.

mod common;

use std::ffi::{c_char, c_void, CStr};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::ptr;
use std::sync::Mutex;
use std::time::Duration;

use common::Instance;
use serde_json::{json, Value};
use sysadm_iocage::actions::{Access, Action, ACTIONS};
use sysadm_iocage::ffi::*;
use sysadm_iocage_lab::Lab;

type Lines = Mutex<Vec<(i32, String)>>;

unsafe extern "C" fn log(lines: *mut c_void, level: i32, message: *const c_char) {
    let lines = unsafe { &*lines.cast::<Lines>() };
    let message = unsafe { CStr::from_ptr(message) }.to_str().unwrap();
    lines.lock().unwrap().push((level, message.into()));
}

/// A host that has a log and nothing else.
fn host(lines: &Lines) -> SysadmIocageHost {
    SysadmIocageHost {
        struct_size: size_of::<SysadmIocageHost>(),
        user_data: ptr::from_ref(lines).cast_mut().cast(),
        queue_process: None,
        is_job_active: None,
        log: Some(log),
        job_ended: None,
    }
}

/// The audit lines since the last time, with their levels.
fn audited(lines: &Lines) -> Vec<(i32, String)> {
    let mut all = std::mem::take(&mut *lines.lock().unwrap());
    all.retain(|(_, line)| line.starts_with("audit: "));
    for (_, line) in &mut all {
        // How long it took.
        let end = line.rfind(" (").unwrap();
        assert!(line.ends_with(" ms)"), "{line}");
        line.truncate(end);
    }
    all
}

#[test]
fn a_host_hears_of_every_change_and_of_no_look() {
    let Some(lab) = Lab::or_skip(2) else { return };
    lab.furnish();
    let lines = Lines::default();
    let plugin = Instance::open(&lab.config(), &host(&lines));
    let (one, two) = (lab.pool(0), lab.pool(1));

    let access = |action: &Action, args: &Value| action.access_for(args.as_object().unwrap());
    let looks = |action: &&Action| access(action, &json!({})) == Access::Read;
    for action in ACTIONS.iter().filter(looks) {
        plugin.ask_for(action.name);
    }
    assert_eq!(audited(&lines), []);

    plugin.ask(&json!({"action": "activatepool", "pool": two}));
    plugin.ask(&json!({"action": "activatepool", "pool": one}));
    plugin.ask(&json!({"action": "deactivatepool", "pool": "nosuchpool"}));
    plugin.ask(&json!({"action": "cleantemplates"}));
    let info = |text: String| (SYSADM_IOCAGE_LOG_INFO, text);
    let error = |text: &str| (SYSADM_IOCAGE_LOG_ERROR, text.to_string());
    let done = |pool: &str| {
        let answer = format!("{{\"success\":\"pool {pool} activated.\"}}");
        info(format!(
            "audit: activatepool pool=\"{pool}\": done, {answer}"
        ))
    };
    assert_eq!(
        audited(&lines),
        [
            done(two),
            done(one),
            error(
                "audit: deactivatepool pool=\"nosuchpool\": not_found, there is no pool nosuchpool"
            ),
            error(
                "audit: cleantemplates: in_use, templates still in use by jail db; nothing was \
                 destroyed, \"force\" would destroy them all"
            ),
        ]
    );

    // A user who may only read and tries to change something leaves a line too.
    for action in ACTIONS {
        let args = json!({"action": action.name, "pool": one, "refresh": true});
        if access(action, &args) == Access::Read {
            continue;
        }
        let args = args.to_string();
        let (status, _) = plugin.evaluate(&args, SYSADM_IOCAGE_ACCESS_READ);
        assert_eq!(status, 403);
        let lines = audited(&lines);
        let (level, line) = &lines[0];
        assert_eq!((lines.len(), *level), (1, SYSADM_IOCAGE_LOG_ERROR));
        assert!(
            line.starts_with(&format!("audit: {}", action.name)),
            "{line}"
        );
        assert!(line.ends_with(": forbidden"), "{line}");
    }

    // A line cannot be forged, and tells no secret.
    let args = json!({
        "action": "createplugin", "plugin": "x\naudit: activatepool", "net_device": "re0",
        "properties": {"notes": "hunter2"}, "password": "hunter2",
    });
    for access in [SYSADM_IOCAGE_ACCESS_READ, SYSADM_IOCAGE_ACCESS_FULL] {
        plugin.evaluate(&args.to_string(), access);
    }
    let lines = std::mem::take(&mut *lines.lock().unwrap());
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (_, line) in &lines {
        assert!(!line.contains('\n') && !line.contains("hunter2"), "{line}");
    }
    // What is wrong in itself is no try at a change.
    assert!(lines[0].1.starts_with("audit: createplugin") && lines[0].1.contains("forbidden"));
    assert!(
        lines[1].1.starts_with("createplugin: invalid_argument: "),
        "{lines:?}"
    );
}

#[test]
fn every_change_of_a_jail_leaves_one_line_without_what_is_private() {
    let Some(lab) = Lab::or_skip(1) else { return };
    lab.furnish();
    let lines = Lines::default();
    let plugin = Instance::open(&lab.config(), &host(&lines));
    common::acting::prepare(&lab);
    let mut actions = Vec::new();
    for (args, expected) in common::acting::requests() {
        let action = args["action"].as_str().unwrap();
        let answer = common::acting::patiently(|| {
            audited(&lines);
            plugin.ask(&args)
        });
        common::acting::check(action, &answer, &expected);
        let lines = audited(&lines);
        let [(level, line)] = &lines[..] else {
            panic!("{args}: {lines:?}");
        };
        let (expected_level, outcome) = match expected["code"].as_str() {
            None => (SYSADM_IOCAGE_LOG_INFO, "done, "),
            Some(code) => (SYSADM_IOCAGE_LOG_ERROR, code),
        };
        assert_eq!(*level, expected_level, "{line}");
        let asked = args["jail"]
            .as_str()
            .map_or(String::new(), |jail| format!(" jail=\"{jail}\""));
        assert!(
            line.starts_with(&format!("audit: {action}{asked}")),
            "{line}"
        );
        assert!(line.contains(&format!(": {outcome}")), "{line}");
        assert!(!line.contains("hunter2"), "{line}");
        actions.push(action.to_string());
    }
    // All that change jails are among them.
    let is_jails = |action: &&Action| {
        let access = action.access_for(json!({}).as_object().unwrap());
        let mut fields = action.fields.iter();
        access == Access::Full && fields.any(|field| field.name() == "jail")
    };
    for action in ACTIONS.iter().filter(is_jails) {
        assert!(
            actions.iter().any(|one| one == action.name),
            "{}",
            action.name
        );
    }
}

#[test]
fn no_line_has_the_password_of_a_share() {
    let Some(lab) = Lab::or_skip(1) else { return };
    lab.furnish();
    let lines = Lines::default();
    let plugin = Instance::open(&lab.config(), &host(&lines));
    let share = "//user:hunter2@host/share";
    for (kind, source, jail, outcome) in [
        ("smbfs", json!(share), "db", "done, "),
        ("smbfs", json!(share), "nosuch", "not_found, "),
        ("nullfs", json!(share), "db", "not_found, "),
        ("ufs", json!(share), "db", ""),
        ("smbfs", json!("//user:hunter2@host"), "db", ""),
        ("nfs", json!("user:hunter2@host:/x"), "db", ""),
        ("smbfs", json!([share]), "db", ""),
    ] {
        let args = json!({
            "action": "addmount", "jail": jail, "source": source, "destination": "/mnt/a", "type": kind,
        });
        for access in [SYSADM_IOCAGE_ACCESS_READ, SYSADM_IOCAGE_ACCESS_FULL] {
            let (_, reply) = plugin.evaluate(&args.to_string(), access);
            assert!(!reply.to_string().contains("hunter2"), "{reply}");
        }
        let said = std::mem::take(&mut *lines.lock().unwrap());
        let whole = said.iter().map(|(_, line)| &**line).collect::<Vec<_>>();
        assert_eq!(whole.len(), 2, "{whole:?}");
        assert!(whole[0].ends_with(": forbidden (0 ms)"), "{whole:?}");
        assert!(!whole.concat().contains("hunter2"), "{whole:?}");
        match outcome {
            "" => assert!(whole[1].contains("invalid_argument: "), "{whole:?}"),
            _ => {
                let shown = " source=\"//...@host/share\"";
                let told = whole.iter().all(|line| line.contains(shown));
                assert!(told && whole[1].contains(outcome), "{whole:?}");
            }
        }
    }
}

#[test]
fn the_lines_are_those_that_the_document_shows() {
    let Some(lab) = Lab::or_skip(2) else { return };
    lab.furnish();
    let lines = Lines::default();
    let plugin = Instance::open(&lab.config(), &host(&lines));
    let (one, two) = (lab.pool(0), lab.pool(1));
    plugin.ask(&json!({"action": "fetchreleases", "releases": "14.1-RELEASE"}));
    let has_ended = |(_, line): &(i32, String)| line.starts_with("audit: job ");
    common::eventually("the fetch ends", || {
        lines.lock().unwrap().iter().any(has_ended)
    });
    plugin.ask(&json!({"action": "cleantemplates", "force": false}));
    plugin.ask(&json!({"action": "activatepool", "pool": two}));
    let args = json!({"action": "deactivatepool", "pool": one}).to_string();
    plugin.evaluate(&args, SYSADM_IOCAGE_ACCESS_READ);

    let document = std::fs::read_to_string(common::source("docs/api.md")).unwrap();
    let (_, shown) = document.split_once("```text\n").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    let mut shown: Vec<String> = shown
        .lines()
        .map(|line| {
            line[..line.rfind(" (").unwrap()]
                .replace("tank2", two)
                .replace("\"tank\"", &format!("\"{one}\""))
        })
        .collect();
    let mut said: Vec<String> = audited(&lines).into_iter().map(|(_, line)| line).collect();
    shown.sort();
    said.sort();
    assert_eq!(said, shown);
}

#[test]
fn without_a_host_the_system_hears_of_it() {
    let socket = Path::new("/dev/log");
    if socket.exists() {
        eprintln!("SKIPPED, this system has a log of its own");
        return;
    }
    let Some(lab) = Lab::or_skip(1) else { return };
    let heard = UnixDatagram::bind(socket).unwrap();
    heard
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let plugin = Instance::open(&lab.config(), ptr::null());
    let answer: Value = plugin.ask(&json!({"action": "activatepool", "pool": lab.pool(0)}));
    assert!(answer["success"].is_string(), "{answer}");
    let lines = std::iter::from_fn(|| {
        let mut buffer = [0; 4096];
        let length = heard.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    });
    // The lab's ZFS says something now and then, too, and so does an instance of another program.
    let is_ours = |line: &String| line.contains("sysadm_iocage") && line.contains(lab.pool(0));
    let line = { lines }.find(is_ours);
    std::fs::remove_file(socket).unwrap();
    let line = line.expect("nothing in twenty seconds");
    // <facility * 8 + priority>: daemon (3) and info (6).
    assert!(line.starts_with("<30>"), "{line}");
    let said = format!(
        "sysadm_iocage: audit: activatepool pool=\"{}\": done",
        lab.pool(0)
    );
    assert!(line.contains(&said), "{line}");
}
