//! What may happen: requests of all actions, and what nobody asked for.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde::{Deserialize, Serialize};
use serde_json::{json, Map, Value};
use sysadm_iocage::actions::ACTIONS;

/// What happens in a step of a storm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Operation {
    /// A client asks for something; perhaps something goes wrong with a command of it.
    Ask(
        usize,
        Value,
        #[serde(default, skip_serializing_if = "Option::is_none")] Option<Trouble>,
    ),
    /// A command that somebody types; `{0}` and `{1}` are the pools.
    Zfs(String),
    Iocage(String),
    /// A file of a jail is changed.
    File(String, Harm),
    /// A pool has another health.
    Pool(usize, usize),
    /// A job goes so many steps further.
    Job(usize, usize),
    /// A job's process is killed.
    KillJob(usize),
    /// A client ends, in order or by kill -9, and comes again.
    Close(usize),
    Kill(usize),
    /// A jail that does not stop in order, or does again.
    Stubborn(String),
}

/// What goes wrong at one of a request's commands, the first being 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    pub at: usize,
    pub what: Wrong,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Wrong {
    /// It fails and has done nothing; or has done it.
    Fails,
    FailsAfter,
    /// It says that it has done it.
    Lies,
    /// It is ended at its time limit, and has done nothing; or has done it; or does it later.
    Hangs,
    HangsAfter,
    Lingers,
    /// It is killed after so many steps.
    Dies(usize),
    /// The host program is killed before it.
    Killed,
    /// Somebody does something before it.
    Meanwhile(Box<Operation>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Harm {
    Truncate,
    Garbage,
    Link,
    Remove,
    /// It says another thing: a key and a text.
    Set(String, String),
}

/// The names that there are, few enough that most requests find something.
pub const JAILS: [&str; 7] = ["a", "b", "ab", "c.d", "c_d", "base", "t"];
const NEW: [&str; 6] = ["n", "n2", "a", "c_d", "x", "t2"];
const SNAPSHOTS: [&str; 5] = ["s1", "s2", "s3", "n", "a"];
/// Names that there are: [`super::picture::Picture::with_names`].
const THEIRS: [&str; 4] = [
    "{snapshot:0}",
    "{snapshot:1}",
    "{snapshot:2}",
    "{snapshot:3}",
];
const TAKEN: [&str; 6] = [
    "{taken:0}",
    "{taken:1}",
    "{taken:2}",
    "{taken:3}",
    "{taken:4}",
    "{taken:5}",
];
const RELEASES: [&str; 4] = [
    "12.4-RELEASE",
    "13.2-RELEASE",
    "13.1-RELEASE",
    "14.1-RELEASE",
];

fn one_of(all: &'static [&'static str]) -> BoxedStrategy<Value> {
    select(all).prop_map(Value::from).boxed()
}

fn truth() -> BoxedStrategy<Value> {
    prop_oneof![4 => Just(json!(true)), 1 => Just(json!(false))].boxed()
}

fn jail() -> BoxedStrategy<Value> {
    prop_oneof![
        20 => select(&JAILS[..]).prop_map(Value::from),
        4 => select(&NEW[..]).prop_map(Value::from),
        1 => Just(json!("jails/a")),
        1 => Just(json!("templates/t")),
        1 => Just(json!("zz")),
        1 => Just(json!("default")),
    ]
    .boxed()
}

fn settings() -> BoxedStrategy<Value> {
    let one = prop_oneof![
        ("[a-c]{1,3}").prop_map(|text| ("notes", json!(text))),
        any::<bool>().prop_map(|on| ("boot", json!(on))),
        select(&["deny=10", "deny=20", "off"][..]).prop_map(|limit| ("maxproc", json!(limit))),
        select(&["none", "1G", "2G", "30"][..]).prop_map(|quota| ("quota", json!(quota))),
        (1..100u32).prop_map(|number| ("priority", json!(number))),
        select(&["none", "re0|10.0.0.1/24", "re0|10.0.0.2/24"][..])
            .prop_map(|ip| ("ip4_addr", json!(ip))),
        select(&["none", "a", "b", "c.d", "zz"][..]).prop_map(|jail| ("depends", json!(jail))),
        select(&["4", "77"][..]).prop_map(|number| ("devfs_ruleset", json!(number))),
        Just(("template", json!(true))),
        Just(("nosuch", json!("1"))),
    ];
    let object = |all: Vec<(&str, Value)>| {
        let all = all.into_iter().map(|(key, value)| (key.to_string(), value));
        Value::Object(all.collect::<Map<_, _>>())
    };
    vec(one, 1..3).prop_map(object).boxed()
}

/// Values of an argument, by its name.
fn values(action: &str, field: &str) -> BoxedStrategy<Value> {
    match field {
        "pool" => prop_oneof![
            6 => Just(json!("{0}")), 4 => Just(json!("{1}")), 1 => Just(json!("nosuch")),
        ]
        .boxed(),
        "jail" | "jail_uuid" => jail(),
        "jails" => vec(jail(), 1..3).prop_map(Value::from).boxed(),
        "name" => match action {
            "renamejail" | "clonejail" | "createjail" => prop_oneof![
                8 => select(&NEW[..]), 2 => select(&JAILS[..]), 3 => select(&TAKEN[..]),
            ]
            .prop_map(Value::from)
            .boxed(),
            _ => one_of(&NEW),
        },
        "release" | "releases" => prop_oneof![
            8 => select(&RELEASES[..]), 1 => select(&["9.9-RELEASE", "x y"][..]),
        ]
        .prop_map(Value::from)
        .boxed(),
        "template" => one_of(&["t", "t2", "a", "zz"]),
        "snapshot" if action == "snapshotjail" => prop_oneof![
            8 => one_of(&SNAPSHOTS), 1 => one_of(&THEIRS), 1 => one_of(&TAKEN),
        ]
        .boxed(),
        "snapshot" => prop_oneof![1 => one_of(&SNAPSHOTS), 2 => one_of(&THEIRS)].boxed(),
        "force" | "recursive" => truth(),
        "dryrun" => prop_oneof![2 => Just(json!(true)), 1 => Just(json!(false))].boxed(),
        "empty" | "basejail" | "thick" | "boot" | "dhcp" | "detail" | "keep_mac" | "soft"
        | "verify" | "packages"
            if !(action == "createjail" && field == "packages") =>
        {
            truth()
        }
        "packages" => Just(json!(["bash"])).boxed(),
        "refresh" | "accept_license" => truth(),
        "properties" | "settings" => settings(),
        "net_device" => one_of(&["re0", "vnet0"]),
        "ip4" => one_of(&["10.0.0.1", "10.0.0.3/24", "x"]),
        "ip6" => one_of(&["2001:db8::1/64"]),
        "plugin" => one_of(&["gitlab", "n"]),
        "source" => one_of(&[
            "/",
            "/nonexistent",
            "{root}/jails/a/root",
            "{root}/jails/ab/root/etc",
            "{root}/jails/b/root",
            "{root}/jails/c.d/root",
            "{root}/jails/n/root",
            "{root}/templates/t/root",
            "{root}/releases/13.2-RELEASE/root",
        ]),
        "destination" => one_of(&["/mnt", "mnt/x", "/etc", "{root}/jails/a/root/mnt", "../x"]),
        "type" if action == "addmount" => one_of(&["nullfs", "tmpfs"]),
        "type" => one_of(&["jail", "template"]),
        "options" => one_of(&["ro", "rw,noatime"]),
        "command" => one_of(&["true", "echo a b"]),
        "user" => one_of(&["root", "nobody"]),
        "timeout_seconds" => Just(json!(5)).boxed(),
        "compression" => one_of(&["zip", "lzma"]),
        "image" => one_of(&[
            "a_{day}.zip",
            "b_{day}.tar.xz",
            "n_{day}.zip",
            "c.d_{day}.zip",
            "x_2020-01-01.zip",
        ]),
        "job" => one_of(&["{job}", "sysadm_iocage_create_jail_n", "nosuch"]),
        "prop" => one_of(&["notes", "all", "nosuch"]),
        "state" => one_of(&["up", "down", "CORRUPT"]),
        other => panic!("the storm does not know the argument {other:?} of {action}"),
    }
}

/// How often an argument is given, of 100.
fn weight(action: &str, field: &str) -> u32 {
    match (action, field) {
        ("activatepool" | "deactivatepool", "pool") => 95,
        ("listjails" | "df" | "listsnapshots" | "listmounts" | "getjailsettings", _) => 15,
        ("createjail", "release") => 60,
        ("createjail", "template" | "empty") => 20,
        ("createjail", "name") | ("createplugin", "net_device" | "ip4" | "plugin") => 98,
        ("createplugin", _) => 15,
        (_, "jail") => 90,
        ("destroyjail", "release") => 6,
        ("destroyjail", "template") => 3,
        ("destroyjail", "jails") => 5,
        (_, "jail_uuid") => 4,
        (_, "jails") => 6,
        (_, "snapshot") => 93,
        (
            _,
            "name" | "releases" | "settings" | "source" | "destination" | "command" | "user"
            | "image" | "job",
        ) => 97,
        ("upgradejail", "release") => 97,
        (_, "dryrun") => 12,
        (_, "force" | "recursive") => 40,
        (_, "properties") => 15,
        _ => 12,
    }
}

pub fn request() -> BoxedStrategy<Value> {
    let one = |index: usize| {
        let action = &ACTIONS[index];
        let fields = action.fields.iter().map(|field| {
            let (name, often) = (field.name(), weight(action.name, field.name()));
            let given = prop::option::weighted(f64::from(often) / 100.0, values(action.name, name));
            given.prop_map(move |value| (name, value)).boxed()
        });
        let name = action.name;
        fields
            .collect::<Vec<_>>()
            .prop_map(move |fields| {
                let mut args = json!({ "action": name });
                for (field, value) in fields {
                    // Of three ways to say which, one at a time, or nearly nothing would be asked for.
                    let is_second =
                        ["jail_uuid", "jails"].contains(&field) && args["jail"].is_string();
                    let is_other =
                        name == "destroyjail" && field == "release" && args["jail"].is_string();
                    if let Some(value) = value.filter(|_| !is_second && !is_other) {
                        args[field] = value;
                    }
                }
                args
            })
            .boxed()
    };
    let often = |name: &str| match name {
        "createjail" => 12,
        "destroyjail" | "renamejail" | "clonejail" | "rollbackjail" | "snapshotjail" => 8,
        "startjail" | "stopjail" | "removesnapshot" | "setjailsettings" | "activatepool" => 5,
        "cleanall" | "cleanreleases" | "cleanjails" => 2,
        "deactivatepool" => 1,
        _ => 3,
    };
    let all = (0..ACTIONS.len()).map(|index| (often(ACTIONS[index].name), one(index)));
    prop::strategy::Union::new_weighted(all.collect()).boxed()
}

fn words(lines: &'static [&'static str]) -> BoxedStrategy<String> {
    (
        select(lines),
        select(&JAILS[..]),
        prop_oneof![2 => select(&SNAPSHOTS[..]), 3 => select(&THEIRS[..])],
        prop_oneof![3 => select(&NEW[..]), 1 => select(&TAKEN[..])],
    )
        .prop_map(|(line, jail, snapshot, new)| {
            let line = line.replace("JAIL", jail).replace("SNAPSHOT", snapshot);
            line.replace("NEW", new)
        })
        .boxed()
}

pub fn by_hand() -> BoxedStrategy<Operation> {
    let zfs = words(&[
        "snapshot {0}/iocage/jails/JAIL/root@SNAPSHOT",
        "snapshot -r {0}/iocage/jails/JAIL@SNAPSHOT",
        "snapshot {0}/iocage/releases/13.2-RELEASE/root@NEW",
        "snapshot -r {0}/iocage/releases@NEW",
        "snapshot {0}/iocage/templates/t/root@NEW",
        "destroy {0}/iocage/jails/JAIL@SNAPSHOT",
        "destroy {0}/iocage/jails/JAIL/root@SNAPSHOT",
        "destroy -r {0}/iocage/jails/JAIL",
        "clone {0}/iocage/jails/JAIL/root@SNAPSHOT {0}/data",
        "clone {0}/iocage/jails/JAIL/root@SNAPSHOT {0}/iocage/mine",
        "destroy -r {0}/data",
        "destroy -r {0}/iocage/mine",
        "promote {0}/iocage/jails/JAIL/root",
        "promote {0}/data",
        "rename {0}/iocage/jails/JAIL {0}/iocage/jails/NEW",
        "rename {0}/iocage/jails/JAIL/root@SNAPSHOT {0}/iocage/jails/JAIL/root@NEW",
        "unmount {0}/iocage/jails/JAIL",
        "unmount {0}/iocage/jails/JAIL/root",
        "mount {0}/iocage/jails/JAIL",
        "mount {0}/iocage/jails/JAIL/root",
        "unmount {0}/iocage",
        "mount {0}/iocage",
        "mount {0}/iocage/jails",
        "hold keep {0}/iocage/jails/JAIL/root@SNAPSHOT",
        // That one is there from the beginning.
        "hold keep {0}/iocage/jails/a/root@s1",
        "release keep {0}/iocage/jails/JAIL/root@SNAPSHOT",
        "create {0}/iocage/jails/JAIL/root/data",
        "destroy -r {0}/iocage/jails/JAIL/root/data",
        "create {0}/iocage/jails/JAIL/data",
        "set org.freebsd.ioc:active=yes {1}",
        "set org.freebsd.ioc:active=no {1}",
        "set org.freebsd.ioc:active=yes {0}",
        "set mountpoint={home}/elsewhere/JAIL {0}/iocage/jails/JAIL",
        "inherit mountpoint {0}/iocage/jails/JAIL",
    ]);
    let iocage = words(&[
        "destroy -f JAIL",
        "start JAIL",
        "stop JAIL",
        "rename JAIL -- NEW",
        "set notes=hand JAIL",
        "set template=yes JAIL",
        "set template=no JAIL",
        "create -n NEW -r 13.2-RELEASE",
        "create -n NEW -t t",
        "clone JAIL -n NEW",
        "snapremove -n SNAPSHOT JAIL",
        "rollback -f -n SNAPSHOT JAIL",
        "fetch -r 13.2-RELEASE",
        "clean -ft",
    ]);
    let harm = prop_oneof![
        Just(Harm::Truncate),
        Just(Harm::Garbage),
        Just(Harm::Link),
        Just(Harm::Remove),
        Just(Harm::Set("notes".into(), "hand".into())),
        Just(Harm::Set("host_hostuuid".into(), "b".into())),
        Just(Harm::Set("depends".into(), "b".into())),
    ];
    let file = (
        select(&JAILS[..]),
        // The last two are what programs in a jail write.
        select(
            &[
                "config.json",
                "config.json",
                "fstab",
                "root/etc/motd",
                "root/data/file",
            ][..],
        ),
        harm,
    );
    prop_oneof![
        12 => zfs.prop_map(Operation::Zfs),
        5 => iocage.prop_map(Operation::Iocage),
        2 => file.prop_map(|(jail, file, harm)| Operation::File(format!("{jail}/{file}"), harm)),
    ]
    .boxed()
}

fn trouble() -> BoxedStrategy<Trouble> {
    let what = prop_oneof![
        3 => Just(Wrong::Fails),
        3 => Just(Wrong::FailsAfter),
        3 => Just(Wrong::Lies),
        2 => Just(Wrong::Hangs),
        2 => Just(Wrong::HangsAfter),
        1 => Just(Wrong::Lingers),
        3 => (0..12usize).prop_map(Wrong::Dies),
        3 => Just(Wrong::Killed),
        8 => by_hand().prop_map(|hand| Wrong::Meanwhile(Box::new(hand))),
    ];
    (0..25usize, what)
        .prop_map(|(at, what)| Trouble { at, what })
        .boxed()
}

pub fn operation() -> BoxedStrategy<Operation> {
    let client = 0..3usize;
    prop_oneof![
        60 => (client.clone(), request(), prop::option::weighted(0.12, trouble()))
            .prop_map(|(client, args, trouble)| Operation::Ask(client, args, trouble)),
        9 => by_hand(),
        16 => (0..3usize, 1..30usize).prop_map(|(job, steps)| Operation::Job(job, steps)),
        1 => (0..3usize).prop_map(Operation::KillJob),
        1 => client.clone().prop_map(Operation::Close),
        1 => client.prop_map(Operation::Kill),
        1 => (0..2usize, 0..3usize).prop_map(|(pool, health)| Operation::Pool(pool, health)),
        1 => select(&JAILS[..]).prop_map(|jail| Operation::Stubborn(jail.into())),
    ]
    .boxed()
}

/// What both worlds can do: nothing goes wrong, and jobs go on to their end. Nothing is unmounted by hand:
/// zfs-fuse mounts what it renames, and ZFS has long not done so any more.
pub fn tame() -> BoxedStrategy<Operation> {
    let lines = words(&[
        "snapshot -r {0}/iocage/jails/JAIL@SNAPSHOT",
        "snapshot -r {0}/iocage/releases@NEW",
        "snapshot {0}/iocage/templates/t/root@NEW",
        "destroy {0}/iocage/jails/JAIL@SNAPSHOT",
        "destroy -r {0}/iocage/jails/JAIL",
        "destroy {0}/iocage/jails/JAIL/root@SNAPSHOT",
        "clone {0}/iocage/jails/JAIL/root@SNAPSHOT {0}/data",
        "promote {0}/data",
        "rename {0}/iocage/jails/JAIL {0}/iocage/jails/NEW",
        "hold keep {0}/iocage/jails/JAIL/root@SNAPSHOT",
        "create {0}/iocage/jails/JAIL/root/data",
    ]);
    // The lab's iocage gives plugins nothing but addresses.
    let is_had = |args: &Value| {
        let others = ["boot", "dhcp", "properties", "accept_license"];
        args["action"] != "createplugin" || others.iter().all(|key| args[*key].is_null())
    };
    let request = request().prop_filter("not in the lab", is_had);
    prop_oneof![
        12 => (0..2usize, request).prop_map(|(client, args)| Operation::Ask(client, args, None)),
        3 => lines.prop_map(Operation::Zfs),
        4 => (0..3usize).prop_map(|job| Operation::Job(job, usize::MAX)),
    ]
    .boxed()
}
