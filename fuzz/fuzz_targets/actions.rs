//! Requests for every action, made by structure, one after the other, on hosts of several tempers:
//! what comes through all checks, and what is refused by one of them.
#![no_main]

use std::sync::atomic::Ordering;
use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use serde_json::{json, Value};
use sysadm_iocage::actions::{self, Access, Action};
use sysadm_iocage::ffi::{SYSADM_IOCAGE_ACCESS_FULL, SYSADM_IOCAGE_ACCESS_READ};
use sysadm_iocage_fuzz::{
    asked, check_answer, end_jobs, on_host, ran, running, Instance, Says, DESTROYED,
};

/// An instance for each version of iocage, as each remembers which one it is.
static INSTANCES: LazyLock<Vec<(Instance, &'static str)>> = LazyLock::new(|| {
    asked::check_values();
    asked::HAS_SECRETS.store(true, Ordering::Relaxed);
    let versions = ["1.13", "1.2", "1.0", "0.9.9.2"];
    versions
        .map(|version| (Instance::open(json!({})), version))
        .into()
});

fuzz_target!(|data: &[u8]| {
    let _ = play(&mut Unstructured::new(data));
});

fn play(u: &mut Unstructured) -> Result<()> {
    let (instance, version) = &INSTANCES[usize::from(u.int_in_range(0..=7u8)?.saturating_sub(4))];
    let says = temper(u, version)?;
    for _ in 0..u.int_in_range(1..=3u8)? {
        let action = asked::action(u)?;
        let args = asked::request(u, action)?;
        let args = Value::Object(args);
        // What the jobs that it starts will have printed, and how they end.
        let output = printed(u)?;
        let code: u8 = *u.choose(&[0, 0, 1, 137])?;
        on_host(says.clone(), || {
            one(instance, action, &args);
            end_jobs(instance, &output, code);
        });
    }
    Ok(())
}

/// How the host is.
fn temper(u: &mut Unstructured, version: &str) -> Result<Says> {
    let mut says = Says {
        version: Some(format!("Version\t{version}\n").into_bytes()),
        ..Says::default()
    };
    let words = || Some(b"cannot do it: pool or dataset is busy now".to_vec());
    match u.int_in_range(0..=11u8)? {
        0..=3 => says.jls = Some(br#"{"jail-information": {}}"#.to_vec()),
        4 => says.destroy_fails = Some(b"permission denied".to_vec()),
        5 => says.zfs_fails = Some(b"internal error: out of memory".to_vec()),
        6 => says.rctl_fails = words(),
        7 => says.jexec_fails = words(),
        8 => says.rctl = Some(b"jail:ioc-jenkins:memoryuse:deny=1073741824\n".to_vec()),
        9 => says.health = Some(b"tank1\tDEGRADED\ntank2\tFAULTED\n".to_vec()),
        _ => {}
    }
    Ok(says)
}

/// Lines that iocage prints, and others.
fn printed(u: &mut Unstructured) -> Result<String> {
    const LINES: &[&str] = &[
        "sql successfully created!",
        "sql successfully cloned!",
        "Imported: sql",
        "Importing dataset: sql/root",
        "Exporting dataset: tank1/iocage/jails/db",
        "\nPreparing compressed file: x.zip.",
        "- nginx...",
        "  - nginx failed to install, retry #3",
        "Snapshot: tank1/iocage/jails/web@ioc_update_13.2-RELEASE-p4_2026-11-25_18-58-47 created.",
        "Inspecting system... done.",
        "No updates are available to install.",
        "web updates have been applied successfully.",
        "Updated jail successfully.",
        "Traceback (most recent call last):",
        "TypeError: sequence item 0: expected str instance, int found",
        "cannot receive: out of space",
        "* Updating 14.1-RELEASE to the latest patch level... ",
        "\u{1b}[2K \rDownloading: base.txz [####] 100% \r\n 9.0MB/s\r",
    ];
    let mut output = String::new();
    for _ in 0..u.int_in_range(0..=3u8)? {
        output += u.choose(LINES)?;
        output.push('\n');
    }
    Ok(output)
}

/// Asks once, and checks what holds for every request.
fn one(instance: &Instance, action: &Action, args: &Value) {
    let given = args.as_object().unwrap();
    DESTROYED.lock().unwrap().clear();
    let is_change = action.access_for(given) == Access::Full;
    if is_change {
        let text = args.to_string();
        let (status, reply) = instance.evaluate(text.as_bytes(), SYSADM_IOCAGE_ACCESS_READ);
        assert_eq!(status, 403, "{reply}");
    }
    let fields = action.fields.iter();
    let bad = fields.filter(|field| {
        given
            .get(field.name())
            .is_some_and(|value| field.check(value).is_err())
    });
    let bad: Vec<&str> = bad.map(|field| field.name()).collect();
    let is_known =
        |key: &String| key == "action" || action.fields.iter().any(|field| field.name() == key);
    let has_unknown = is_change && !given.contains_key("refresh") && !given.keys().all(is_known);
    let is = |field: &str| {
        given
            .get(field)
            .is_some_and(|value| *value == json!(true) || *value == json!("true"))
    };
    let is_dry = is("dryrun") && !action.fields.iter().all(|field| field.name() != "dryrun");

    let before = ran();
    let text = args.to_string();
    let (status, reply) = instance.evaluate_in(
        text.as_bytes(),
        SYSADM_IOCAGE_ACCESS_FULL,
        is_change && !is_dry,
    );
    // A NUL in a key or a value is written as an escape, so the library sees all of it.
    assert_eq!(status, 200, "{reply}");
    assert!(actions::find(action.name).is_some());
    let answer = &reply[action.name];
    check_answer(answer);
    if has_unknown || !bad.is_empty() {
        assert_eq!(answer["code"], "invalid_argument", "{answer}");
        let why = answer["error"].as_str().unwrap();
        let named = bad
            .iter()
            .any(|name| why.contains(&format!("argument {name:?}")));
        assert!(named || has_unknown, "{answer} {bad:?}");
        assert_eq!(ran(), before, "a command has run: {args}");
    }
    check_destroyed(action.name, is("force"), is_dry, args);
}

/// Nothing goes that was not asked for, and no jail while it runs.
fn check_destroyed(action: &str, force: bool, is_dry: bool, args: &Value) {
    let destroyed = DESTROYED.lock().unwrap();
    if destroyed.is_empty() {
        return;
    }
    assert!(!is_dry, "{args}: {destroyed:?}");
    match action {
        "destroyjail" | "removesnapshot" => {}
        "cleanjails" | "cleanall" | "cleanreleases" | "cleantemplates" => {
            assert!(force, "{args}: {destroyed:?}");
        }
        _ => panic!("{args}: {destroyed:?}"),
    }
    for jail in running() {
        let own = format!("tank1/iocage/jails/{jail}");
        for name in destroyed.iter().filter(|name| !name.contains('@')) {
            let rest = name.strip_prefix(&own);
            assert!(
                rest.is_none_or(|rest| !rest.is_empty() && !rest.starts_with('/')),
                "{args}: {name} runs"
            );
        }
    }
}
