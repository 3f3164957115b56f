//! Requests made by structure: an action of the table, and for each of its fields a value that makes
//! sense on the seeds' host, or one that nobody should send.

use std::sync::atomic::AtomicBool;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use serde_json::{json, Map, Value};
use sysadm_iocage::actions::{Action, ACTIONS};
use sysadm_iocage::iocage::properties;
use sysadm_iocage::request::AnyField;

/// What stands in private values alone: no log may have it.
pub const SECRET: &str = "hunter2";

/// Whether that is so: other fuzzers may find the word anywhere.
pub static HAS_SECRETS: AtomicBool = AtomicBool::new(false);

/// A request for `action`. Most have what a client would give, so that they come through the checks.
pub fn request(u: &mut Unstructured, action: &Action) -> Result<Map<String, Value>> {
    let mut args = Map::new();
    args.insert("action".into(), action.name.into());
    for field in action.fields {
        let name = field.name();
        if u.ratio(probability(action, name), 16)? {
            args.insert(name.into(), value(u, action, *field)?);
        }
    }
    // One way to name a jail is enough.
    if args.contains_key("jail") && !u.ratio(1, 16)? {
        args.remove("jail_uuid");
        args.remove("jails");
        if action.name == "destroyjail" {
            args.remove("release");
            args.remove("template");
        }
    }
    if u.ratio(1, 64)? {
        args.insert(u.arbitrary()?, hostile(u)?);
    }
    Ok(args)
}

/// Any of the actions.
pub fn action(u: &mut Unstructured) -> Result<&'static Action> {
    u.choose(ACTIONS)
}

/// How often of 16 times a field is given.
fn probability(action: &Action, field: &str) -> u8 {
    match (action.name, field) {
        ("listjails" | "df" | "listsnapshots" | "listmounts" | "getjailsettings", _) => 5,
        ("clonejail" | "createjail" | "createplugin", "properties") => 6,
        ("createjail", "release") => 8,
        (_, "jail" | "name" | "pool" | "snapshot" | "destination" | "source" | "image" | "job") => {
            14
        }
        (_, "command" | "settings" | "plugin" | "releases" | "net_device" | "release") => 14,
        (_, "jail_uuid" | "template" | "empty" | "dhcp" | "options" | "type") => 3,
        _ => 6,
    }
}

fn value(u: &mut Unstructured, action: &Action, field: &dyn AnyField) -> Result<Value> {
    if u.ratio(1, 24)? {
        return hostile(u);
    }
    let name = field.name();
    match (action.name, name) {
        (_, "settings" | "properties") => settings(u),
        (_, "jails" | "releases" | "prop") | ("createjail", "packages") => several(u, action, name),
        (_, "command") if u.ratio(1, 2)? => Ok(json!(format!("echo {SECRET}; {}", text(u)?))),
        _ => Ok(parsed(u.choose(sensible(action.name, name))?)),
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|why| panic!("{text}: {why}"))
}

/// One of what makes sense, or a list of it.
fn several(u: &mut Unstructured, action: &Action, field: &str) -> Result<Value> {
    let all = sensible(action.name, field);
    if u.ratio(1, 4)? {
        return Ok(parsed(u.choose(all)?));
    }
    let mut list = Vec::new();
    for _ in 0..u.int_in_range(1..=4)? {
        list.push(parsed(u.choose(all)?));
    }
    Ok(list.into())
}

/// Properties that iocage has, with values that some of them take.
fn settings(u: &mut Unstructured) -> Result<Value> {
    const VALUES: &[&str] = &[
        r#""1""#,
        r#""0""#,
        "true",
        "false",
        "7",
        r#""on""#,
        r#""off""#,
        r#""none""#,
        r#""new""#,
        r#""inherit""#,
        r#""re0|10.20.0.99/24""#,
        r#""vnet0|10.20.0.98/24""#,
        r#""vnet0|2001:db8::9/64""#,
        r#""DHCP""#,
        r#""vnet0:bridge0""#,
        r#""10.20.0.1""#,
        r#""deny=4G""#,
        r#""4G""#,
        r#""web db""#,
        r#""www.example.org""#,
        r#""ioc-hunter2""#,
        r#""/bin/sh hunter2""#,
        r#""hunter2""#,
        r#""02ff60aabbcc 02ff60aabbcd""#,
    ];
    let mut all = Map::new();
    for _ in 0..u.int_in_range(0..=3)? {
        let property = u.choose(properties::all())?;
        let value = match property.default {
            Some(default) if u.ratio(1, 4)? => default.into(),
            _ if u.ratio(1, 24)? => hostile(u)?,
            _ => parsed(u.choose(VALUES)?),
        };
        all.insert(property.name.into(), value);
    }
    if u.ratio(1, 2)? {
        all.insert("notes".into(), SECRET.into());
    }
    if u.ratio(1, 32)? {
        all.insert(text(u)?, hostile(u)?);
    }
    Ok(all.into())
}

fn text(u: &mut Unstructured) -> Result<String> {
    let length = u.int_in_range(0..=40)?;
    let bytes = u.bytes(length.min(u.len()))?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// What nobody should send.
fn hostile(u: &mut Unstructured) -> Result<Value> {
    const HOSTILE: &[&str] = &[
        r#""""#,
        r#""-rf""#,
        r#""--""#,
        r#""..""#,
        r#""../../etc""#,
        r#""/../x""#,
        r#""a b""#,
        r#""a\nb""#,
        r#""a\u0000b""#,
        r#""\u001b[2J""#,
        r#""\u202ex""#,
        r#""$(reboot)""#,
        r#""a;b""#,
        r#""a@b""#,
        r#""a#b""#,
        r#""tank1/iocage/jails/web""#,
        r#""ALL""#,
        r#""default""#,
        r#""help""#,
        r#""é""#,
        r#""\ud83d\ude00""#,
        r#""templates/""#,
        r#""jails/jails/web""#,
        r#""5@x""#,
        "null",
        "0",
        "-1",
        "1.5",
        "1e300",
        "18446744073709551615",
        "true",
        "[]",
        "{}",
        "[[]]",
        "[null]",
        r#"[""]"#,
        r#"["-x","web"]"#,
        r#"{"a":{}}"#,
        r#""True""#,
        r#""10.0.0.1/33""#,
        r#""re0|""#,
    ];
    match u.int_in_range(0..=7u8)? {
        0 => Ok(text(u)?.into()),
        1 => Ok("a".repeat(u.int_in_range(100..=1100usize)?).into()),
        2 => Ok(format!("/{}", "b/".repeat(u.int_in_range(100..=600usize)?)).into()),
        3 => {
            let jail = |_| u.choose(&["web", "db", "-", "x y"]).map(|name| json!(name));
            let names: Result<Vec<Value>> = (0..3).map(jail).collect();
            Ok(names?.into())
        }
        _ => Ok(parsed(u.choose(HOSTILE)?)),
    }
}

/// What a client would give, as JSON. A field that is not here stops the fuzzer: it has to come here.
#[rustfmt::skip]
fn sensible(action: &str, field: &str) -> &'static [&'static str] {
    const FLAG: &[&str] = &["true", "false", r#""true""#, r#""false""#];
    const MEMBER: &[&str] = &[
        r#""web""#, r#""db""#, r#""5""#, r#""jenkins""#, r#""roaming""#, r#""mail.example.org""#, r#""base""#,
        r#""jails/web""#, r#""templates/base""#, r#""mail_example_org""#, r#""nosuch""#,
    ];
    match (action, field) {
        ("createjail", "packages") => &[r#""nginx""#, r#""www/node""#, r#""py39-pip""#, r#""bash-5.2,1""#],
        (_, "force" | "dryrun" | "detail" | "refresh" | "recursive" | "soft" | "verify" | "boot" | "dhcp" | "thick"
            | "empty" | "basejail" | "keep_mac" | "accept_license" | "packages") => FLAG,
        (_, "jail" | "jail_uuid" | "jails") => MEMBER,
        (_, "template") => &[r#""base""#, r#""templates/base""#, r#""nosuch""#],
        ("destroyjail" | "listjails" | "createjail" | "upgradejail", "release") => &[
            r#""13.2-RELEASE""#, r#""12.4-RELEASE""#, r#""14.1-RELEASE""#, r#""9.3-RELEASE""#,
        ],
        (_, "releases") => &[r#""14.1-RELEASE""#, r#""9.3-RELEASE (EOL)""#, r#""13.2-RELEASE""#],
        (_, "pool") => &[r#""tank1""#, r#""tank2""#, r#""tank3""#],
        ("listjails", "type") => &[r#""jail""#, r#""pluginv2""#, r#""template""#],
        ("addmount", "type") => &[r#""nullfs""#, r#""tmpfs""#, r#""nfs""#, r#""smbfs""#, r#""unionfs""#, r#""fdescfs""#],
        (_, "state") => &[r#""up""#, r#""down""#, r#""CORRUPT""#, r#""unmounted""#],
        (_, "prop") => &[r#""boot""#, r#""ip4_addr""#, r#""release""#, r#""all""#, r#""notes""#, r#""vnet""#],
        (_, "name") => &[r#""sql""#, r#""web2""#, r#""a.b""#, r#""a_b""#, r#""db""#, r#""6""#, r#""x-y""#],
        (_, "snapshot") => &[r#""daily""#, r#""half""#, r#""now""#, r#""web""#, r#""a b:c""#],
        (_, "source") => &[r#""/""#, r#""/tmp""#, r#""tmpfs""#, r#""//user:hunter2@nas/share""#, r#""nas:/export""#,
            r#""[2001:db8::1]:/x""#, r#""/nonexistent""#],
        (_, "destination") => &[r#""/data""#, r#""/data/x""#, r#""/mnt""#, r#""/my data""#, r#""/bin""#, r#""/""#],
        (_, "options") => &[r#""ro""#, r#""rw,noatime""#, r#""ro,password=hunter2""#],
        (_, "command") => &[r#"["service","nginx","status"]"#, r#"["hunter2"]"#, r#"["sh","-c","exit 1"]"#],
        (_, "user") => &[r#""root""#, r#""www""#, r#""_pflogd""#],
        (_, "timeout_seconds") => &["1", "60", r#""5""#, "3600"],
        (_, "compression") => &[r#""zip""#, r#""lzma""#],
        (_, "image") => &[r#""web_2026-11-25.zip""#, r#""new_2026-11-25.zip""#, r#""new_2026-11-25.tar.xz""#],
        (_, "plugin") => &[r#""gitlab""#, r#""emby""#, r#""jenkins""#, r#""gitlib""#],
        (_, "net_device") => &[r#""re0""#, r#""em0.100""#, r#""bridge0""#],
        (_, "ip4") => &[r#""10.20.0.130/24""#, r#""10.20.0.131""#, r#""10.20.0.10/24""#],
        (_, "ip6") => &[r#""2001:db8::7/64""#, r#""::1""#],
        (_, "job") => &[
            r#""sysadm_iocage_fetch_release_14.1-RELEASE""#, r#""sysadm_iocage_create_jail_sql""#,
            r#""sysadm_iocage_clone_jail_sql""#, r#""sysadm_iocage_update_jail_web""#, r#""nosuch""#,
        ],
        _ => panic!("nobody has said what {action} takes as {field:?}"),
    }
}

/// Makes sure that every value above is one that its field takes.
pub fn check_values() {
    for action in ACTIONS {
        for field in action.fields {
            let name = field.name();
            if ["settings", "properties"].contains(&name) {
                continue;
            }
            for text in sensible(action.name, name) {
                let checked = field.check(&parsed(text));
                assert_eq!(checked, Ok(()), "{} {name} {text}", action.name);
            }
        }
    }
}
