//! Wrong input for every argument of every action: the error names the argument, and no command
//! is run.

mod common;

use common::made_up::{ask_as, Desk, MadeUp};
use common::{error_of, Instance};
use serde_json::{json, Value};
use sysadm_iocage::actions::{Access, ACTIONS};
use sysadm_iocage::ffi::{SYSADM_IOCAGE_ACCESS_FULL, SYSADM_IOCAGE_ACCESS_READ};
use sysadm_iocage_lab::Lab;

/// A right request for each action that takes arguments.
fn right(action: &str) -> Value {
    match action {
        "activatepool" | "deactivatepool" => json!({"pool": "tank"}),
        "addmount" => json!({"jail": "web", "source": "/usr/share", "destination": "/mnt"}),
        "capjail" | "destroyjail" | "restartjail" | "snapshotjail" | "startjail" | "stopjail" => {
            json!({"jail": "web"})
        }
        "cleanreleases" | "cleantemplates" | "cleanall" | "cleanjails" => {
            json!({"force": false, "dryrun": true})
        }
        "execjail" => json!({"jail": "web", "command": ["true"]}),
        "exportjail" => json!({"jail": "web"}),
        "importjail" => json!({"image": "web_2026-11-26.zip"}),
        "removemount" => json!({"jail": "web", "destination": "/mnt"}),
        "removesnapshot" | "rollbackjail" => json!({"jail": "web", "snapshot": "s"}),
        "renamejail" => json!({"jail": "web", "name": "www"}),
        "setjailsettings" => json!({"jail": "web", "settings": {"notes": "x"}}),
        "createjail" => {
            json!({"name": "www", "release": "13.2-RELEASE", "net_device": "re0", "ip4": "10.0.0.5"})
        }
        "clonejail" => json!({"jail": "web", "name": "www"}),
        "createplugin" => {
            json!({"plugin": "gitlab", "net_device": "re0", "ip4": "10.0.0.5", "ip6": "::5"})
        }
        "fetchreleases" => json!({"releases": ["10.3-RELEASE"]}),
        "updatejail" => json!({"jail": "web", "packages": true}),
        "upgradejail" => json!({"jail": "web", "release": "13.2-RELEASE"}),
        "jobstatus" | "stopjob" => json!({"job": "sysadm_iocage_nosuch"}),
        _ => json!({}),
    }
}

/// What no string argument may be.
fn hostile() -> Vec<Value> {
    let mut values: Vec<Value> = [
        "",
        " ",
        "-",
        "--",
        "-f",
        "--force",
        "-rf /",
        " tank",
        "a b c",
        "a\tb",
        "a\nb",
        "a\rb",
        "a\u{0}b",
        "\u{1b}[2J",
        "a;b",
        "a;reboot",
        "a&b",
        "a|b",
        "a`b`",
        "$(reboot)",
        "${PATH}",
        "$IFS",
        "a>b",
        "a<b",
        "'",
        "\"",
        "\"\"\"",
        "a'b",
        "a\"b",
        "\\",
        "a\\b",
        "*",
        "?",
        "[a]",
        "~",
        "~root",
        "!",
        "#",
        "a#b",
        "%",
        "%s%n",
        "@",
        "tank@snap",
        "tank/iocage",
        "/",
        "/etc/passwd",
        "..",
        "../..",
        "./x",
        "a/../b",
        "=",
        "a=b",
        "vnet=1",
        "10.0.0.5 vnet=1",
        ",",
        "re0|10.0.0.5",
        "\u{e4}",
        "t\u{430}nk",
        "\u{ff54}ank",
        "\u{202e}knat",
        "\u{200b}",
        "\u{1f4a9}",
        "\u{661}0.3-RELEASE",
        "10.3-RELEASE;reboot",
        "10.3-RELEASE/../..",
        "::1%re0",
        "1e1",
        "null",
        "-1",
    ]
    .into_iter()
    .map(Value::from)
    .collect();
    values.push(json!("x".repeat(300)));
    values.push(json!("10.3-RELEASE ".repeat(100)));
    values.extend([
        json!(0),
        json!(-1),
        json!(1.5),
        json!(true),
        json!({}),
        json!([[]]),
        json!(null),
    ]);
    values
}

/// Whether a value is right for an argument, by the naming rules that the contract gives.
fn is_right(argument: &str, value: &Value) -> bool {
    let text = value.as_str().unwrap_or("");
    match argument {
        "pool" => ["a b c", "null"].contains(&text),
        "plugin" | "name" | "net_device" => {
            ["1e1", "null"].contains(&text) && (argument != "net_device" || text == "null")
        }
        "force" | "dryrun" | "refresh" | "detail" | "boot" | "accept_license" | "verify"
        | "recursive" | "soft" | "basejail" | "empty" | "keep_mac" | "thick" => value.is_boolean(),
        // Only looked for, by ZFS's rule for names.
        "jail" | "jail_uuid" | "jails" | "template" => {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_.: ".contains(c);
            (1..256).contains(&text.len()) && text.chars().all(fits)
        }
        "job" | "prop" | "release" | "type" => ["1e1", "null"].contains(&text),
        "packages" => {
            let fits = |c: char| c.is_ascii_alphanumeric() || "._+-/@,".contains(c);
            let is_path = text.contains("..") || text.contains("//");
            text.starts_with(is_first) && text.len() <= 128 && text.chars().all(fits) && !is_path
        }
        "properties" | "settings" => *value == json!({}),
        "command" => !text.trim().is_empty() && !text.contains('\0'),
        "destination" => is_path(text),
        "source" => {
            let starts = text.starts_with(is_first) && !text.contains("..");
            is_path(text) || starts && is_fstab_word(text)
        }
        "snapshot" => {
            let fits = |c: char| c.is_ascii_alphanumeric() || "._-: ".contains(c);
            (1..=128).contains(&text.len()) && text.chars().all(fits)
        }
        "user" => {
            let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            text.starts_with(is_first) && text.len() <= 32 && text.chars().all(fits)
        }
        _ => false,
    }
}

fn is_first(c: char) -> bool {
    c.is_ascii_alphanumeric()
}

/// A whole path without steps up.
fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.split('/').any(|part| [".", ".."].contains(&part))
}

fn is_fstab_word(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "=,._/:-".contains(c);
    (1..=256).contains(&text.len()) && text.chars().all(fits)
}

#[test]
fn wrong_arguments_are_named_and_no_command_is_run() {
    let Some(lab) = Lab::or_skip(0) else { return };
    let plugin = Instance::of(&lab);
    let mut checked = 0;
    for action in ACTIONS {
        for argument in action.fields.iter().map(|field| field.name()) {
            let hostile = hostile();
            assert!(hostile.len() >= 60);
            for value in hostile
                .into_iter()
                .filter(|value| match (action.name, argument) {
                    // That of a new jail is a list.
                    ("updatejail", "packages") => !value.is_boolean(),
                    _ => !is_right(argument, value),
                })
            {
                let mut args = right(action.name);
                args["action"] = json!(action.name);
                args[argument] = value.clone();
                let answer = plugin.ask(&args);
                let (code, message) = error_of(&answer);
                assert_eq!(code, "invalid_argument", "{args}: {message}");
                assert!(
                    message.contains(&format!("{argument:?}")),
                    "{args}: {message}"
                );
                assert!(
                    !message.contains(char::is_control) && message.len() < 700,
                    "{message}"
                );
                // In a list it is as wrong as alone.
                if argument == "releases" && !value.is_array() {
                    args["releases"] = json!(["10.3-RELEASE", value]);
                    assert_eq!(error_of(&plugin.ask(&args)).0, "invalid_argument", "{args}");
                }
                checked += 1;
            }
        }
        let mut args = right(action.name);
        args["action"] = json!(action.name);
        if action.access_for(args.as_object().unwrap()) == Access::Full {
            args["surplus"] = json!(true);
            assert!(
                error_of(&plugin.ask(&args)).1.contains("\"surplus\""),
                "{args}"
            );
        }
    }
    assert!(checked > 600, "{checked}");

    // Who changes a jail says which, and in one way.
    for action in ACTIONS {
        let mut args = right(action.name);
        args["action"] = json!(action.name);
        let has_jail = action.fields.iter().any(|field| field.name() == "jail");
        if !has_jail || action.access_for(args.as_object().unwrap()) != Access::Full {
            continue;
        }
        args["jail_uuid"] = json!("web");
        let answer = plugin.ask(&args);
        assert_eq!(error_of(&answer).0, "invalid_argument", "{args}: {answer}");
        for argument in ["jail", "jail_uuid"] {
            args.as_object_mut().unwrap().remove(argument);
        }
        let answer = plugin.ask(&args);
        let (code, message) = error_of(&answer);
        assert_eq!(code, "invalid_argument", "{args}: {message}");
        assert!(message.contains("\"jail\""), "{args}: {message}");
    }

    let missing = [
        ("deactivatepool", "pool", json!({})),
        ("jobstatus", "job", json!({})),
        ("importjail", "image", json!({})),
        ("fetchreleases", "releases", json!({})),
        ("upgradejail", "release", json!({"jail": "web"})),
        ("upgradejail", "jail", json!({"release": "13.2-RELEASE"})),
        (
            "createplugin",
            "plugin",
            json!({"net_device": "re0", "ip4": "10.0.0.5"}),
        ),
        (
            "createplugin",
            "net_device",
            json!({"plugin": "gitlab", "ip4": "10.0.0.5"}),
        ),
        (
            "createplugin",
            "ip4",
            json!({"plugin": "gitlab", "net_device": "re0"}),
        ),
        (
            "createplugin",
            "ip6",
            json!({"plugin": "gitlab", "net_device": "re0"}),
        ),
    ];
    for (action, argument, mut args) in missing {
        args["action"] = json!(action);
        let answer = plugin.ask(&args);
        let (code, message) = error_of(&answer);
        assert_eq!(code, "invalid_argument");
        assert!(message.contains(&format!("{argument:?}")), "{message}");
    }
    assert_eq!(lab.commands(), [[""; 0]; 0]);
}

#[test]
fn what_is_no_request_is_refused_as_a_whole() {
    let plugin = Instance::try_open("{}", std::ptr::null()).unwrap();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!("{{\"action\": \"{}\"}}", "x".repeat(2 << 20));
    for args in [
        "",
        "{",
        "null",
        "[]",
        "\"listjails\"",
        "{}",
        "{\"action\": 1}",
        "{\"action\": null}",
        "{\"action\": \"\"}",
        "{\"action\": \"ListJails\"}",
        "{\"action\": \"listjails \"}",
        "{\"action\": \"\\ud800\"}",
        "{\"action\": \"listjails\"} x",
        &deep,
        &long,
    ] {
        let (status, reply) = plugin.evaluate(args, SYSADM_IOCAGE_ACCESS_FULL);
        assert_eq!(
            (status, &reply["error"]["code"]),
            (400, &json!("400")),
            "{reply}"
        );
        assert!(!reply["error"]["message"].as_str().unwrap().is_empty());
    }
    let (status, reply) = plugin.evaluate("{\"action\": \"listjails\"}", 7);
    assert_eq!(
        (status, &reply["error"]["code"]),
        (400, &json!("400")),
        "{reply}"
    );
}

#[test]
fn reading_access_reads_and_does_nothing_else() {
    let Some(lab) = Lab::or_skip(1) else { return };
    lab.mark(lab.pool(0), true);
    let plugin = Instance::of(&lab);
    for action in ACTIONS {
        let mut args = right(action.name);
        args["action"] = json!(action.name);
        lab.forget_commands();
        let (status, reply) = plugin.evaluate(&args.to_string(), SYSADM_IOCAGE_ACCESS_READ);
        let looks = [
            "activatestatus",
            "df",
            "getdefaultsettings",
            "getjailsettings",
            "jobstatus",
        ];
        if action.name.starts_with("list") || looks.contains(&action.name) {
            let access = action.access_for(args.as_object().unwrap());
            assert_eq!((status, access), (200, Access::Read), "{reply}");
        } else {
            assert_eq!(
                (status, &reply["error"]["code"]),
                (403, &json!("403")),
                "{reply}"
            );
            assert_eq!(lab.commands(), [[""; 0]; 0]);
        }
    }
}

#[test]
fn who_may_only_read_may_ask_for_the_active_pool_and_starts_nothing() {
    let host = MadeUp::new(&["a"]);
    let desk = Desk::new();
    let instance = host.open_at(&desk, &json!({}));
    let read = |args: Value| ask_as(&instance, &args, Access::Read);
    let (status, answer) = read(json!({"action": "activatepool"}));
    assert_eq!(
        (status, answer),
        (200, json!({"currently active": {"pool": "a"}}))
    );
    assert_eq!(desk.lines(), [""; 0], "it was audited");
    for action in ["listplugins", "listreleases"] {
        assert_eq!(read(json!({"action": action, "refresh": true})).0, 403);
        assert_eq!(read(json!({"action": action, "refresh": "true"})).0, 403);
        assert_eq!(read(json!({"action": action, "refresh": false})).0, 200);
    }
    assert!(
        !host.state().join("run/nonexistent_iocage/jobs").exists(),
        "a job was started"
    );
}

#[test]
fn messages_are_ours_by_namespace_and_name_in_any_case_and_keep_their_id() {
    let Some(lab) = Lab::or_skip(0) else { return };
    let plugin = Instance::of(&lab);
    let ask = |namespace: &str, name: &str, id: Value, args: Value| {
        plugin.message(&json!({"namespace": namespace, "name": name, "id": id, "args": args}))
    };
    let status = json!({"action": "activatestatus"});
    for id in [
        json!("fooid"),
        json!(7),
        json!({"a": [1]}),
        json!(null),
        json!(0.1),
    ] {
        let reply = ask("SysAdm", "IOCAGE", id.clone(), status.clone());
        let expected = json!({
            "id": id, "namespace": "sysadm", "name": "response",
            "args": {"activatestatus": {"activated": "false"}},
        });
        assert_eq!(reply, expected);
    }
    // Numbers come back as they were written, whatever a number type makes of them.
    for id in ["123456789012345678901234567890", "-0", "1.50"] {
        let message = format!(
            "{{\"id\": {id}, \"namespace\": \"sysadm\", \"name\": \"iocage\", \"args\": {status}}}"
        );
        let reply = plugin.message_text(&message);
        assert!(reply.contains(&format!("\"id\":{id},")), "{id}: {reply}");
    }
    for (namespace, name, args, code) in [
        ("sysadm", "iohyve", status.clone(), "404"),
        ("rpc", "iocage", status, "404"),
        ("sysadm", "iocage", json!({"action": "x"}), "400"),
        ("sysadm", "iocage", json!("x"), "400"),
    ] {
        let reply = ask(namespace, name, json!("fooid"), args);
        assert_eq!(reply["args"]["code"], code);
        assert_eq!(
            (&reply["namespace"], &reply["name"], &reply["id"]),
            (&json!("error"), &json!("error"), &json!("fooid"))
        );
    }
    assert_eq!(plugin.message(&json!([]))["args"]["code"], "400");
}

#[test]
fn a_configuration_is_checked_key_by_key() {
    for (config, part) in [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        (r#"{"timeout": 1}"#, "\"timeout\""),
        (r#"{"environment": []}"#, "\"environment\""),
        (r#"{"environment": {"A B": "x"}}"#, "\"A B\""),
        (r#"{"environment": {"A": 1}}"#, "\"A\""),
        (r#"{"environment": {"A": "x\ny"}}"#, "\"A\""),
        (r#"{"commands": []}"#, "\"commands\""),
        (r#"{"commands": {"zsf": "/sbin/zfs"}}"#, "\"commands.zsf\""),
        (r#"{"commands": {"zfs": "zfs"}}"#, "\"commands.zfs\""),
        (r#"{"commands": {"zfs": 1}}"#, "\"commands.zfs\""),
        (
            r#"{"command_timeout_seconds": 0}"#,
            "\"command_timeout_seconds\"",
        ),
        (
            r#"{"command_timeout_seconds": "30"}"#,
            "\"command_timeout_seconds\"",
        ),
        (
            r#"{"catalogue_max_age_seconds": -1}"#,
            "\"catalogue_max_age_seconds\"",
        ),
        (r#"{"pools": "tank"}"#, "\"pools\""),
        (r#"{"pools": ["-tank"]}"#, "\"pools\""),
        (r#"{"library": "lib.so"}"#, "\"library\""),
        (r#"{"end_of_life_url": "ftp:x"}"#, "\"end_of_life_url\""),
        (r#"{"state_directory": "var"}"#, "\"state_directory\""),
        (
            r#"{"plugin_repositories": ["--upload-pack=x"]}"#,
            "\"plugin_repositories\"",
        ),
    ] {
        let error = Instance::try_open(config, std::ptr::null()).err().unwrap();
        assert!(error.contains(part), "{config}: {error}");
    }
    for config in [
        "{}",
        r#"{"commands": {"zfs": "/x"}, "command_timeout_seconds": 1, "pools": [],
            "catalogue_max_age_seconds": 0, "library": "/usr/local/lib/libsysadm_iocage.so"}"#,
    ] {
        assert!(
            Instance::try_open(config, std::ptr::null()).is_ok(),
            "{config}"
        );
    }
}

#[test]
fn names_that_are_too_long_are_refused_as_arguments() {
    let Some(lab) = Lab::or_skip(1) else { return };
    lab.furnish();
    let (long, jail) = ("x".repeat(250), "j".repeat(100));
    lab.add_jail(lab.pool(0), &jail, None, &json!({}));
    let plugin = Instance::of(&lab);
    lab.forget_commands();
    let release = format!("10.3-{long}");
    for (action, args, argument) in [
        ("renamejail", json!({"jail": "db", "name": long}), "name"),
        (
            "snapshotjail",
            json!({"jail": "db", "snapshot": long}),
            "snapshot",
        ),
        // It is one for a jail of a shorter name.
        (
            "snapshotjail",
            json!({"jail": jail, "snapshot": "s".repeat(128)}),
            "snapshot",
        ),
        (
            "addmount",
            json!({"jail": "db", "destination": format!("/{long}123456")}),
            "destination",
        ),
        (
            "addmount",
            json!({"jail": "db", "source": format!("/{long}123456")}),
            "source",
        ),
        ("createplugin", json!({"name": long}), "name"),
        ("createplugin", json!({"plugin": long}), "plugin"),
        ("fetchreleases", json!({"releases": release}), "releases"),
    ] {
        let mut all = right(action);
        all["action"] = json!(action);
        all.as_object_mut()
            .unwrap()
            .extend(args.as_object().unwrap().clone());
        let answer = plugin.ask(&all);
        let (code, message) = error_of(&answer);
        assert_eq!(code, "invalid_argument", "{action}: {message}");
        assert!(message.contains(&format!("{argument:?}")), "{message}");
    }
    let changes = ["snapshot", "rename", "create"];
    let harm = |words: &&Vec<String>| changes.contains(&words.get(1).map_or("", |word| word));
    assert_eq!(lab.commands().iter().filter(harm).count(), 0);
    let last = json!({"action": "snapshotjail", "jail": jail, "snapshot": "s".repeat(100)});
    assert!(plugin.ask(&last)["success"].is_string());
}

#[test]
fn flags_and_lists_may_be_strings_as_documented() {
    let Some(lab) = Lab::or_skip(1) else { return };
    lab.furnish();
    let plugin = Instance::of(&lab);
    for (args, same) in [
        (
            json!({"action": "listjails", "detail": "true"}),
            json!({"action": "listjails", "detail": true}),
        ),
        (
            json!({"action": "listjails", "detail": "false"}),
            json!({"action": "listjails"}),
        ),
        (
            json!({"action": "df", "jails": "db"}),
            json!({"action": "df", "jails": ["db", "db"]}),
        ),
        (
            json!({"action": "getjailsettings", "jail": "db", "prop": "boot"}),
            json!({"action": "getjailsettings", "jail": "db", "prop": ["boot"]}),
        ),
        (
            json!({"action": "stopjail", "jails": "db", "force": "true"}),
            json!({"action": "stopjail", "jails": ["db"], "force": true}),
        ),
    ] {
        let answer = plugin.ask(&args);
        assert!(answer["code"].is_null(), "{args}: {answer}");
        assert_eq!(answer, plugin.ask(&same), "{args}");
    }
}
