//! Every example of the class document, sent to the lab as a request, as a REST body and as a
//! WebSocket message.
//!
//! `tests/data/class-document.json` has the examples as the document has them (three of its
//! responses lack a comma, which is put in). A reply differs from the document's only where the
//! document has a placeholder or the name of a pool, and in what `docs/api.md` lists as
//! differences: here, no space in front of a pool's name, no empty entry in an empty list, and the
//! age of what is remote.

mod common;

use std::ffi::{c_char, c_void};

use common::Instance;
use serde_json::{json, Value};
use sysadm_iocage::ffi::{SysadmIocageHost, SYSADM_IOCAGE_ACCESS_FULL};
use sysadm_iocage_lab::{Lab, DOCUMENTED_RELEASES};

unsafe extern "C" fn take_job(_: *mut c_void, _: *const c_char, _: *const *const c_char) -> bool {
    true
}

#[test]
fn every_example_is_answered_as_the_document_says() {
    let Some(lab) = Lab::or_skip(1) else { return };
    let pool = lab.pool(0);
    lab.lay_out(pool);
    // The document's list of releases has the marks of an older iocage.
    lab.set_iocage_version("0.9.9");
    lab.set_remote_releases(&DOCUMENTED_RELEASES);
    let host = SysadmIocageHost {
        struct_size: size_of::<SysadmIocageHost>(),
        user_data: std::ptr::null_mut(),
        queue_process: Some(take_job),
        is_job_active: None,
        log: None,
        job_ended: None,
    };
    let plugin = Instance::open(&lab.config(), &host);

    let examples = common::parse(include_str!("data/class-document.json"));
    let examples = examples.as_array().unwrap();
    assert_eq!(examples.len(), 12);
    for example in examples {
        let args = &example["websocket"]["args"];
        assert_eq!(
            &example["rest_body"], args,
            "the document sends one request in two ways"
        );
        assert_eq!(example["rest_path"], "/sysadm/iocage");
        let action = args["action"].as_str().unwrap();
        let with_pool = |value: &Value| {
            let text = value.to_string();
            let names = ["\" tank\"", "\"tank1\"", "\"my_zpool\""];
            let text = names.iter().fold(text, |text, name| {
                text.replace(name, &json!(pool).to_string())
            });
            common::parse(&text.replace("pool tank1 ", &format!("pool {pool} ")))
        };

        let prepare = || {
            lab.mark(pool, true);
            match action {
                "cleanreleases" => lab.add_release(pool, "10.3-RELEASE"),
                "cleantemplates" => lab.add_template(pool, "template_1", None, &json!({})),
                _ => {}
            }
        };
        let mut response = with_pool(&example["response"]);
        fill_in_placeholders(&lab, action, &mut response["args"][action]);

        // The one thing that we add: how old the remote part is.
        let documented = |mut answer: Value| {
            if let Some(answer) = answer[action].as_object_mut() {
                if let Some(age) = answer.remove("remote_age_seconds") {
                    assert!(action == "listreleases" || action == "listplugins");
                    assert!(age.as_str().unwrap().parse::<u64>().is_ok());
                }
            }
            answer
        };
        let request = with_pool(args);
        prepare();
        assert_eq!(
            documented(json!({ action: plugin.ask(&request) })),
            response["args"],
            "{action}"
        );
        prepare();
        let body = with_pool(&example["rest_body"]).to_string();
        let (status, reply) = plugin.evaluate(&body, SYSADM_IOCAGE_ACCESS_FULL);
        assert_eq!(status, 200);
        let mut rest = json!({ "args": response["args"] });
        if let Some(own) = example.get("rest_response") {
            rest = with_pool(own);
        }
        assert_eq!(json!({ "args": documented(reply) }), rest, "{action}");
        prepare();
        let mut message = plugin.message(&with_pool(&example["websocket"]));
        message["args"] = documented(message["args"].take());
        assert_eq!(message, response, "{action}");
    }
}

/// Makes what the document has a placeholder for, and puts it in the placeholder's place.
fn fill_in_placeholders(lab: &Lab, action: &str, answer: &mut Value) {
    let pool = lab.pool(0);
    let jail = |jid: &str, name: &str, kind: &str, tag: &str, state: &str| {
        json!({
            "jid": jid, "uuid": name, "boot": "off", "state": state, "tag": tag, "type": kind,
            "release": "10.3-RELEASE", "ip4": "re0|10.20.0.130", "ip6": "-", "template": "-",
        })
    };
    let config = |kind: &str| json!({ "type": kind, "release": "10.3-RELEASE", "ip4_addr": "re0|10.20.0.130" });
    let replace = |map: &mut Value, placeholder: &str, key: &str, jail: Value| {
        let map = map.as_object_mut().unwrap();
        let example = map.remove(placeholder).expect("the document has it");
        let keys = |jail: &Value| {
            jail.as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(keys(&example), keys(&jail), "the same ten strings");
        map.insert(key.into(), jail);
    };
    match action {
        "listjails" => {
            lab.add_jail(pool, "web", None, &config("jail"));
            lab.add_jail(pool, "db", None, &config("jail"));
            lab.set_running(&[(1, "web"), (2, "db")]);
            replace(
                &mut answer["jails"],
                "jid_1",
                "1",
                jail("1", "web", "jail", "web", "up"),
            );
            replace(
                &mut answer["jails"],
                "jid_2",
                "2",
                jail("2", "db", "jail", "db", "up"),
            );
        }
        "listtemplates" => {
            lab.add_template(pool, "base", None, &config("template"));
            let template = jail("-", "base", "template", "base", "down");
            replace(&mut answer["templates"], "template_1", "base", template);
        }
        "listplugins" => {
            let mut plugin = config("plugin");
            plugin["plugin_name"] = json!("gitlab");
            lab.add_jail(pool, "gitlab_1", None, &plugin);
            lab.start(
                7,
                "gitlab_1",
                &lab.iocage_root(pool).join("jails/gitlab_1/root"),
            );
            let plugin = jail("7", "gitlab_1", "plugin", "gitlab", "up");
            replace(&mut answer["local"], "pluginname_jid", "gitlab_7", plugin);
            let mut index = json!({});
            for (id, entry) in answer["remote"].as_object().unwrap() {
                index[id] = json!({
                    "name": entry["name"], "description": entry["description"],
                    "MANIFEST": format!("{id}.json"), "official": true, "primary_pkg": id,
                });
            }
            lab.set_index(pool, &index.to_string());
        }
        "listreleases" => answer["local"] = json!([]),
        _ => {}
    }
}
