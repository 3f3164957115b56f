//! Looking at everything: settings, space, snapshots, mounts, images, jobs.

mod common;

use std::fs;
use std::process::Command;

use common::{error_of, eventually, Instance};
use serde_json::{json, Value};
use sysadm_iocage_lab::Lab;

const RELEASE: &str = "13.2-RELEASE";

/// A pool with the template base, the jails web (of the release), kid (of web), one called up (of
/// base, running), and one that is not mounted.
fn populate() -> Option<(Lab, Instance)> {
    let lab = Lab::or_skip(1)?;
    let pool = lab.pool(0);
    lab.lay_out(pool);
    lab.mark(pool, true);
    lab.add_release(pool, RELEASE);
    let release = format!("releases/{RELEASE}");
    let web = json!({
        "host_hostuuid": "web", "host_hostname": "web.example", "release": "13.2-RELEASE-p4",
        "cloned_release": RELEASE, "ip4_addr": "re0|10.0.0.5/24,10.0.0.6", "boot": "on",
        "ip6_addr": "none", "notes": "mine", "old_key": "kept", "depends": ["a"],
    });
    lab.add_jail(pool, "web", Some(&release), &web);
    lab.add_template(
        pool,
        "base",
        Some(&release),
        &json!({"template": "yes", "release": RELEASE}),
    );
    let up = json!({"host_hostuuid": "uuid-of-up", "basejail": 1, "release": "14.1-RELEASE"});
    lab.add_jail(pool, "up", Some("templates/base"), &up);
    lab.add_jail(
        pool,
        "kid",
        Some("jails/web"),
        &json!({"type": "pluginv2", "dhcp": 1}),
    );
    lab.add_jail(pool, "away", None, &json!({}));
    for part in ["away/root", "away"] {
        lab.zfs(&["unmount", &format!("{pool}/iocage/jails/{part}")]);
    }
    let root = lab.iocage_root(pool).join("jails/up/root");
    lab.start(7, "ioc-uuid-of-up", &root);
    let plugin = Instance::of(&lab);
    Some((lab, plugin))
}

fn sorted(object: &Value) -> Vec<&str> {
    object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn settings_are_the_effective_ones_and_say_where_they_come_from() {
    let Some((lab, plugin)) = populate() else {
        return;
    };
    let pool = lab.pool(0);
    let defaults = lab.iocage_root(pool).join("defaults.json");
    let own = json!({"boot": "yes", "priority": "5", "type": "jail", "notes": "all"});
    fs::write(&defaults, own.to_string()).unwrap();
    let get = |more: Value| {
        let mut args = json!({"action": "getjailsettings"});
        args.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        plugin.ask(&args)
    };
    let detail = get(json!({"jail": "web", "detail": true}));
    assert_eq!(sorted(&detail["jails"]), ["web"]);
    let web = &detail["jails"]["web"];
    for (name, value, source) in [
        ("notes", "mine", "jail"),
        ("boot", "1", "jail"),
        ("priority", "5", "defaults"),
        ("vnet", "0", "iocage"),
        ("exec_start", "/bin/sh /etc/rc", "iocage"),
        ("old_key", "kept", "jail"),
        ("depends", "[\"a\"]", "jail"),
    ] {
        let expected = json!({"value": value, "source": source});
        assert_eq!(web[name], expected, "{name}");
    }
    assert!(web.as_object().unwrap().len() > 130);

    // By its uuid, by either argument; some properties; a template.
    let expected = json!({"jails": {"up": {"basejail": "1", "release": "14.1-RELEASE"}}});
    for key in ["jail", "jail_uuid"] {
        assert_eq!(
            get(json!({key: "uuid-of-up", "prop": ["release", "basejail"]})),
            expected
        );
    }
    let base = get(json!({"jail": "base", "prop": "template"}));
    assert_eq!(base, json!({"jails": {"base": {"template": "1"}}}));
    let all = get(json!({"jail": "base", "prop": "all"}));
    assert_eq!(get(json!({"jail": "base", "prop": ["boot", "all"]})), all);
    let all = get(json!({"prop": "old_key"}));
    assert_eq!(all["jails"]["web"], json!({"old_key": "kept"}));
    assert_eq!(all["jails"]["kid"], json!({}));
    assert_eq!(sorted(&all["jails"]), ["away", "base", "kid", "up", "web"]);
    assert_eq!(all["jails"]["away"]["code"], "unavailable");

    // One's failure hides no other's.
    let several = get(json!({"jails": ["web", "we", "away", "web"], "prop": "notes"}));
    assert_eq!(several["jails"]["web"], json!({"notes": "mine"}));
    assert_eq!(several["jails"]["we"]["code"], "not_found", "no prefix");
    assert_eq!(several["jails"]["away"]["code"], "unavailable");
    assert_eq!(error_of(&get(json!({"jail": "we"}))).0, "not_found");
    assert_eq!(error_of(&get(json!({"jail": "away"}))).0, "unavailable");
    let unknown = get(json!({"jail": "web", "prop": "nosuch"}));
    let (code, message) = error_of(&unknown);
    assert!(
        code == "invalid_argument" && message.contains("nosuch"),
        "{message}"
    );
    for wrong in [
        json!({"jail": "web", "jails": ["web"]}),
        json!({"jail": "web", "jail_uuid": "web"}),
        json!({"jail": ""}),
        json!({"jail": ["web"]}),
        json!({"jails": []}),
        json!({"jails": [1]}),
        json!({"jails": vec!["x"; 257]}),
        json!({"prop": [1]}),
        json!({"jail": "a\nb"}),
    ] {
        assert_eq!(
            error_of(&get(wrong.clone())).0,
            "invalid_argument",
            "{wrong}"
        );
    }

    let defaults = &plugin.ask_for("getdefaultsettings")["defaults"];
    assert_eq!(defaults["boot"], "1");
    assert_eq!(defaults["priority"], "5");
    assert_eq!(defaults["securelevel"], "2");

    // What is not known is said to be unknown.
    fs::write(lab.iocage_root(pool).join("defaults.json"), "{").unwrap();
    assert_eq!(error_of(&plugin.ask_for("getdefaultsettings")).0, "failed");
    let web = get(json!({"jail": "web"}));
    assert_eq!(web["jails"]["web"]["notes"], "mine");
    assert!(web["defaults_error"]
        .as_str()
        .unwrap()
        .contains("defaults.json"));
}

#[test]
fn a_listing_with_detail_has_all_of_a_jail_and_filters_choose() {
    let Some((lab, plugin)) = populate() else {
        return;
    };
    let pool = lab.pool(0);
    let list = |more: Value| {
        let mut args = json!({"action": "listjails"});
        args.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        plugin.ask(&args)["jails"].clone()
    };
    let plain = list(json!({}));
    let detailed = list(json!({"detail": true}));
    assert_eq!(sorted(&plain), ["7", "away", "kid", "web"]);
    assert_eq!(sorted(&detailed), sorted(&plain));
    for (key, jail) in plain.as_object().unwrap() {
        for (name, value) in jail.as_object().unwrap() {
            assert_eq!(&detailed[key][name], value, "{key} {name}");
        }
    }
    let web = &detailed["web"];
    let root = lab.iocage_root(pool).join("jails/web/root");
    for (name, value) in [
        ("name", "web"),
        ("hostname", "web.example"),
        ("basejail", "no"),
        ("mountpoint", root.to_str().unwrap()),
        (
            "origin",
            &format!("{pool}/iocage/releases/{RELEASE}/root@web"),
        ),
    ] {
        assert_eq!(web[name], value, "{name}");
    }
    assert_eq!(
        web["addresses"],
        json!({
            "ip4": [
                {"interface": "re0", "address": "10.0.0.5", "prefix": "24"},
                {"interface": "-", "address": "10.0.0.6", "prefix": "-"},
            ],
            "ip6": [{"interface": "-", "address": "none", "prefix": "-"}],
        })
    );
    let settings = plugin.ask(&json!({"action": "getjailsettings", "jail": "web"}));
    assert_eq!(web["settings"], settings["jails"]["web"]);
    assert_eq!(detailed["7"]["basejail"], "yes");
    assert_eq!(detailed["7"]["name"], "up");
    let away = &detailed["away"];
    assert_eq!(
        (
            &away["hostname"],
            &away["basejail"],
            &away["mountpoint"],
            &away["settings"]
        ),
        (&json!("N/A"), &json!("N/A"), &json!("-"), &json!({}))
    );

    for (filter, expected) in [
        (json!({"state": "up"}), &["7"] as &[&str]),
        (json!({"state": "down"}), &["kid", "web"]),
        (json!({"state": "unmounted"}), &["away"]),
        (json!({"state": "CORRUPT"}), &[]),
        (json!({"type": "pluginv2"}), &["kid"]),
        (json!({"release": RELEASE}), &["web"]),
        (json!({"release": "13.2-RELEASE-p4"}), &["web"]),
        (json!({"release": "13"}), &[]),
        (
            json!({"jails": ["web", "uuid-of-up", "nosuch"]}),
            &["7", "web"],
        ),
        (
            json!({"jails": ["web", "up"], "state": "up", "detail": true}),
            &["7"],
        ),
    ] {
        assert_eq!(sorted(&list(filter.clone())), expected, "{filter}");
    }
    let wrong = plugin.ask(&json!({"action": "listjails", "state": "UP"}));
    assert_eq!(error_of(&wrong).0, "invalid_argument");
}

#[test]
fn a_template_with_the_uuid_of_a_running_jail_is_down() {
    let Some((lab, plugin)) = populate() else {
        return;
    };
    let pool = lab.pool(0);
    lab.add_template(pool, "same", None, &json!({"host_hostuuid": "uuid-of-up"}));
    let templates = &plugin.ask_for("listtemplates")["templates"];
    assert_eq!(templates["uuid-of-up"]["state"], "down", "{templates}");
    assert_eq!(plugin.ask_for("listjails")["jails"]["7"]["state"], "up");
}

#[test]
fn space_is_that_of_the_dataset_in_whole_bytes() {
    let Some((lab, plugin)) = populate() else {
        return;
    };
    let pool = lab.pool(0);
    let web = format!("{pool}/iocage/jails/web");
    lab.zfs(&["set", "quota=64M", &web]);
    lab.zfs(&["set", "reservation=1M", &web]);
    lab.zfs(&["snapshot", "-r", &format!("{web}@s")]);
    let answer = plugin.ask_for("df");
    assert_eq!(
        sorted(&answer["jails"]),
        ["away", "base", "kid", "up", "web"]
    );
    for (name, family) in [("web", "jails"), ("kid", "jails"), ("base", "templates")] {
        let of = answer["jails"][name].as_object().unwrap();
        assert_eq!(of.len(), 9, "{of:?}");
        for (property, value) in of {
            let dataset = format!("{pool}/iocage/{family}/{name}");
            let told = lab.zfs(&["get", "-Hp", "-o", "value", property, &dataset]);
            let expected = match (property.as_str(), told.trim()) {
                ("quota" | "reservation", "0") => "none",
                (_, told) => told,
            };
            assert_eq!(value, expected, "{name} {property}");
        }
    }
    assert_eq!(answer["jails"]["web"]["quota"], "67108864");
    assert_eq!(answer["jails"]["web"]["reservation"], "1048576");
    assert_eq!(answer["jails"]["kid"]["quota"], "none");
    assert!(answer["jails"]["web"]["compressratio"]
        .as_str()
        .unwrap()
        .ends_with('x'));

    lab.forget_commands();
    let one = plugin.ask(&json!({"action": "df", "jails": ["web", "nosuch"]}));
    assert_eq!(sorted(&one["jails"]), ["nosuch", "web"]);
    assert_eq!(one["jails"]["nosuch"]["code"], "not_found");
    let asked = lab.commands().into_iter();
    let asked = asked.filter(|words| words[0] == "zfs" && words[1] == "get");
    assert_eq!(asked.count(), 1, "one question, for any number of jails");
}

#[test]
fn snapshots_know_their_clones_and_whether_they_are_whole() {
    let Some((lab, plugin)) = populate() else {
        return;
    };
    let pool = lab.pool(0);
    let jails = format!("{pool}/iocage/jails");
    lab.zfs(&["create", &format!("{jails}/web/root/data")]);
    lab.zfs(&["snapshot", "-r", &format!("{jails}/web@whole")]);
    lab.zfs(&["snapshot", &format!("{jails}/web@half")]);
    let elsewhere = format!("{pool}/elsewhere");
    lab.zfs(&["clone", &format!("{jails}/web/root@whole"), &elsewhere]);
    let answer = plugin.ask_for("listsnapshots");
    let web = &answer["jails"]["web"];
    // The clone kid was made from web's root.
    assert_eq!(sorted(web), ["half", "kid", "whole"]);
    assert_eq!(web["kid"]["clones"], json!(["kid"]));
    assert_eq!(web["kid"]["complete"], "false");
    assert_eq!(web["whole"]["clones"], json!([elsewhere]));
    assert_eq!(web["whole"]["complete"], "true");
    assert_eq!(web["half"]["complete"], "false");
    let told = |property: &str, of: &str| {
        let told = lab.zfs(&["get", "-Hp", "-o", "value", property, of]);
        told.trim().parse::<u64>().unwrap()
    };
    let on = ["web", "web/root", "web/root/data"].map(|part| format!("{jails}/{part}@whole"));
    for property in ["used", "referenced"] {
        let sum: u64 = on.iter().map(|of| told(property, of)).sum();
        assert_eq!(web["whole"][property], sum.to_string(), "{property}");
    }
    let created = on.iter().map(|of| told("creation", of)).min().unwrap();
    let date = Command::new("date")
        .args(["-u", "-d", &format!("@{created}"), "+%FT%TZ"])
        .output();
    let date = String::from_utf8(date.unwrap().stdout).unwrap();
    assert_eq!(web["whole"]["created"], date.trim());
    assert_eq!(answer["jails"]["base"]["up"]["clones"], json!(["up"]));
    assert_eq!(answer["jails"]["kid"], json!({}));
    let one = plugin.ask(&json!({"action": "listsnapshots", "jail": "web"}));
    assert_eq!(&one["jails"]["web"], web);
}

#[test]
fn mounts_are_those_of_the_fstab_and_say_whose_they_are() {
    let Some((lab, plugin)) = populate() else {
        return;
    };
    let pool = lab.pool(0);
    let root = lab.iocage_root(pool);
    let fstab = root.join("jails/web/fstab");
    let root = root.display();
    let text = format!(
        "{root}/releases/{RELEASE}/root/bin\t{root}/jails/web/root/bin\tnullfs\tro\t0\t0 # iocage\n\
         # a comment\n/my\\040data {root}/jails/web/root/data nullfs rw,noatime 1 2\nhalf\n"
    );
    fs::write(&fstab, text).unwrap();
    let answer = plugin.ask_for("listmounts");
    let mount = |source: &str, destination: &str, rest: [&str; 5]| {
        json!({
            "source": source, "destination": destination, "type": rest[0], "options": rest[1],
            "dump": rest[2], "pass": rest[3], "owner": rest[4],
        })
    };
    assert_eq!(
        answer["jails"]["web"],
        json!([
            mount(
                &format!("{root}/releases/{RELEASE}/root/bin"),
                &format!("{root}/jails/web/root/bin"),
                ["nullfs", "ro", "0", "0", "iocage"]
            ),
            mount(
                "/my data",
                &format!("{root}/jails/web/root/data"),
                ["nullfs", "rw,noatime", "1", "2", "user"]
            ),
            mount("half", "-", ["-", "-", "0", "0", "user"]),
        ])
    );
    assert_eq!(answer["jails"]["kid"], json!([]));
    assert_eq!(answer["jails"]["away"]["code"], "unavailable");
    // A link may lead anywhere.
    fs::remove_file(&fstab).unwrap();
    std::os::unix::fs::symlink("/etc/fstab", &fstab).unwrap();
    let one = plugin.ask(&json!({"action": "listmounts", "jail": "web"}));
    assert_eq!(error_of(&one).0, "failed");
    fs::remove_file(&fstab).unwrap();
    let one = plugin.ask(&json!({"action": "listmounts", "jail": "web"}));
    assert_eq!(one["jails"]["web"], json!([]));
}

#[test]
fn images_are_listed_and_their_checksums_compared_when_asked() {
    let Some((lab, plugin)) = populate() else {
        return;
    };
    let folder = lab.iocage_root(lab.pool(0)).join("images");
    let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // of abc
    for (file, text) in [
        ("web_2026-11-25.zip", "abc"),
        ("web_2026-11-25.sha256", sum),
        ("a_b_2026-11-24.tar.xz", "abd"),
        ("a_b_2026-11-24.sha256", sum),
        ("bare.zip", "abc"),
        ("notes.txt", "x"),
    ] {
        fs::write(folder.join(file), text).unwrap();
    }
    fs::create_dir(folder.join("folder.zip")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.join("link.zip")).unwrap();
    let image = |jail: &str, date: &str, format: &str, checksum: &str| json!({"jail": jail, "date": date, "format": format, "size": "3", "checksum": checksum});
    for (verify, one, other) in [(false, "there", "there"), (true, "right", "wrong")] {
        let answer = plugin.ask(&json!({"action": "listimages", "verify": verify}));
        assert_eq!(
            answer["images"],
            json!({
                "web_2026-11-25.zip": image("web", "2026-11-25", "zip", one),
                "a_b_2026-11-24.tar.xz": image("a_b", "2026-11-24", "lzma", other),
                "bare.zip": image("bare", "-", "zip", "missing"),
            })
        );
    }
    // What fails for one is told of that one.
    fs::write(folder.join("bare.sha256"), "x".repeat(5000)).unwrap();
    let answer = plugin.ask(&json!({"action": "listimages", "verify": true}));
    let bare = &answer["images"]["bare.zip"];
    assert_eq!(
        (&bare["checksum"], &bare["code"]),
        (&json!("there"), &json!("failed"))
    );
    assert_eq!(answer["images"]["web_2026-11-25.zip"]["checksum"], "right");
    // The empty folder below is not the dataset.
    let dataset = format!("{}/iocage/images", lab.pool(0));
    eventually("it is unmounted", || {
        lab.try_zfs(&["unmount", &dataset]).status.success()
    });
    let answer = plugin.ask_for("listimages");
    let (code, message) = error_of(&answer);
    assert_eq!(code, "unavailable");
    assert!(message.contains(&dataset), "{message}");
}

#[test]
fn jobs_are_listed_while_they_run_and_after_they_ended() {
    let Some((lab, plugin)) = populate() else {
        return;
    };
    assert_eq!(plugin.ask_for("listjobs"), json!({"jobs": {}}));
    lab.set_pace("0.2");
    let id = "sysadm_iocage_fetch_release_14.1-RELEASE";
    plugin.ask(&json!({"action": "fetchreleases", "releases": "14.1-RELEASE"}));
    let running = &plugin.ask_for("listjobs")["jobs"][id];
    assert_eq!(running["state"], "running", "{running}");
    let ended = plugin.wait_for_job(id);
    let listed = plugin.ask_for("listjobs")["jobs"][id].clone();
    for event in [
        &listed,
        &plugin.ask(&json!({"action": "jobstatus", "job": id})),
    ] {
        for key in ["job_id", "state", "success", "percent_done", "event_system"] {
            assert_eq!(event[key], ended[key], "{key}");
        }
    }
    // Another process knows it too.
    let other = Instance::of(&lab);
    assert_eq!(
        other.ask(&json!({"action": "jobstatus", "job": id}))["success"],
        "true"
    );
    for job in ["sysadm_iocage_nosuch", "etc..passwd", "x"] {
        let answer = plugin.ask(&json!({"action": "jobstatus", "job": job}));
        assert_eq!(error_of(&answer).0, "not_found", "{job}");
    }
    // A log that is none is not waited for, and a link not followed.
    let run = lab.dir().join("state/run");
    let world = fs::read_dir(run).unwrap().next().unwrap().unwrap().path();
    let log = world.join(format!("jobs/{id}.log"));
    for command in ["mkfifo", "ln -s /etc/passwd"] {
        fs::remove_file(&log).unwrap();
        let mut words = command.split(' ');
        let mut command = Command::new(words.next().unwrap());
        assert!(command.args(words).arg(&log).status().unwrap().success());
        let event = plugin.ask(&json!({"action": "jobstatus", "job": id}));
        assert_eq!(event["state"], "finished", "{event}");
        assert!(!event.to_string().contains("root:"), "{event}");
    }
    let missing = plugin.ask_for("jobstatus");
    assert_eq!(error_of(&missing).0, "invalid_argument");
}
