//! A request for each action that changes jails at once, in an order in which all of them work, and
//! after which a furnished lab is as it was.

use serde_json::{json, Value};
use sysadm_iocage_lab::Lab;

/// Makes the jail that is renamed and destroyed.
pub fn prepare(lab: &Lab) {
    let release = Some("releases/13.2-RELEASE");
    lab.add_jail(lab.pool(0), "test", release, &json!({}));
}

/// The requests with their answers: all of it, but a number for a jid; or the code alone.
pub fn requests() -> Vec<(Value, Value)> {
    let db = |action: &str, more: Value| {
        let mut args = json!({"action": action, "jail": "db"});
        for (key, value) in more.as_object().unwrap() {
            args[key] = value.clone();
        }
        args
    };
    let settings = |value: &str| db("setjailsettings", json!({"settings": {"notes": value}}));
    let set = |from: &str, to: &str| {
        json!({
            "success": "settings of jail db set.",
            "changed": {"notes": {"from": from, "to": to}}, "needs_restart": [],
        })
    };
    let rename = |old: &str, new: &str| {
        let args = json!({"action": "renamejail", "jail": old, "name": new});
        (
            args,
            json!({"success": format!("jail {old} renamed to {new}.")}),
        )
    };
    let mount = json!({"source": "/usr/share", "destination": "/mnt/a"});
    vec![
        (
            db("snapshotjail", json!({"snapshot": "s"})),
            json!({"success": "snapshot s of jail db taken.", "snapshot": "s"}),
        ),
        (
            db("rollbackjail", json!({"snapshot": "s"})),
            json!({"success": "jail db rolled back to s."}),
        ),
        (
            db("removesnapshot", json!({"snapshot": "s"})),
            json!({"success": "snapshot s of jail db removed."}),
        ),
        (
            db("addmount", mount),
            json!({"success": "mount of /usr/share at /mnt/a added to jail db."}),
        ),
        (
            db("removemount", json!({"destination": "/mnt/a"})),
            json!({"success": "mount at /mnt/a removed from jail db."}),
        ),
        (settings("hunter2"), set("none", "hunter2")),
        (settings("none"), set("hunter2", "none")),
        (
            db("startjail", json!({})),
            json!({"success": "jail db started.", "changed": "true", "jid": "8"}),
        ),
        (
            db("execjail", json!({"command": ["echo", "hunter2"]})),
            json!({"exit_code": "0", "stdout": "hunter2\n", "stderr": ""}),
        ),
        (
            db("capjail", json!({})),
            json!({"success": "jail db capped."}),
        ),
        (
            db("restartjail", json!({})),
            json!({"success": "jail db restarted.", "jid": "9"}),
        ),
        (
            db("stopjail", json!({})),
            json!({"success": "jail db stopped.", "changed": "true"}),
        ),
        rename("test", "www"),
        rename("www", "test"),
        (
            json!({"action": "destroyjail", "jail": "test"}),
            json!({"success": "jail test destroyed."}),
        ),
        (
            json!({"action": "exportjail", "jail": "base"}),
            json!({"code": "unavailable"}),
        ),
        (
            json!({"action": "importjail", "image": "nosuch_2026-11-26.zip"}),
            json!({"code": "not_found"}),
        ),
        (
            json!({"action": "createjail", "name": "web", "release": "13.2-RELEASE"}),
            json!({"code": "conflict"}),
        ),
        // Both would have one address.
        (
            db("clonejail", json!({"name": "db2"})),
            json!({"code": "conflict"}),
        ),
        (json!({"action": "cleanjails"}), json!({"code": "in_use"})),
        (json!({"action": "cleanall"}), json!({"code": "in_use"})),
        (
            json!({"action": "updatejail", "jail": "base"}),
            json!({"code": "conflict"}),
        ),
        (
            db("upgradejail", json!({"release": "13.2-RELEASE"})),
            json!({"code": "unavailable"}),
        ),
        (
            json!({"action": "stopjob", "job": "sysadm_iocage_nosuch"}),
            json!({"code": "not_found"}),
        ),
    ]
}

/// Asks again while zfs-fuse says "busy", as it does for a moment after an unmount.
pub fn patiently(mut ask: impl FnMut() -> Value) -> Value {
    let mut answer = Value::Null;
    let is_busy = |answer: &Value| {
        let error = answer.get("error").and_then(Value::as_str);
        error.is_some_and(|error| error.contains("dataset is busy"))
    };
    super::eventually("nothing is busy", || {
        answer = ask();
        !is_busy(&answer)
    });
    answer
}

/// Compares an answer with that of [`requests`].
pub fn check(what: &str, answer: &Value, expected: &Value) {
    if !expected["code"].is_null() {
        assert_eq!(answer["code"], expected["code"], "{what}: {answer}");
        return;
    }
    let numbered = |answer: &Value| {
        let mut answer = answer.clone();
        let jid = answer.get("jid").and_then(Value::as_str);
        if jid.is_some_and(|jid| jid.parse::<u32>().is_ok()) {
            answer["jid"] = json!("a number");
        }
        answer
    };
    assert_eq!(numbered(answer), numbered(expected), "{what}");
}
