//! `updatejail` and `upgradejail`: what their end means is what is there afterwards, and a jail that
//! was down is down again.

mod common;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::dispatcher::Dispatcher;
use common::killed::ask_aside;
use common::{error_of, eventually, made_up, parse, processes, Instance};
use serde_json::{json, Value};
use sysadm_iocage::configuration::Configuration;
use sysadm_iocage::error::Result;
use sysadm_iocage::host::NoHost;
use sysadm_iocage::system::{Child, Mount, Order, Output, RealHost, Runner};
use sysadm_iocage_lab::Lab;

const OLD: &str = "13.1-RELEASE";
const RELEASE: &str = "13.2-RELEASE";

/// A lab with the releases 13.1 and 13.2, and on the first the jails web (a clone), base and base2
/// (base jails); all are down.
struct House {
    lab: Lab,
    plugin: Instance,
}

impl House {
    fn new() -> Option<Self> {
        let lab = Lab::or_skip(1)?;
        let pool = lab.pool(0);
        lab.lay_out(pool);
        lab.mark(pool, true);
        lab.set_patches(&["13.1-RELEASE-p9", "13.2-RELEASE-p11"]);
        for (release, version) in [(OLD, "13.1-RELEASE-p4"), (RELEASE, "13.2-RELEASE-p9")] {
            lab.add_release(pool, release);
            let root = lab
                .iocage_root(pool)
                .join("releases")
                .join(release)
                .join("root");
            write(&root.join("usr/src/Makefile"), "");
            let version = format!("USERLAND_VERSION=\"{version}\"\n");
            write(&root.join("bin/freebsd-version"), &version);
        }
        let house = House {
            plugin: Instance::of(&lab),
            lab,
        };
        house.add("web", &json!({}));
        house.add_base("base");
        house.add_base("base2");
        Some(house)
    }

    fn pool(&self) -> &str {
        self.lab.pool(0)
    }

    fn add(&self, name: &str, more: &Value) {
        let mut config = json!({"release": "13.1-RELEASE-p4", "cloned_release": OLD});
        for (key, value) in more.as_object().unwrap() {
            config[key] = value.clone();
        }
        let origin = format!("releases/{OLD}");
        self.lab.add_jail(self.pool(), name, Some(&origin), &config);
    }

    fn add_base(&self, name: &str) {
        let config = json!({
            "release": "13.1-RELEASE-p4", "cloned_release": OLD, "basejail": 1,
        });
        self.lab.add_jail(self.pool(), name, None, &config);
        let root = self.lab.iocage_root(self.pool());
        let folder = root.join("jails").join(name);
        let line = |of: &str| {
            let (source, there) = (
                root.join("releases").join(OLD),
                folder.join("root").join(of),
            );
            fs::create_dir_all(&there).unwrap();
            let source = source.join("root").join(of);
            fs::create_dir_all(&source).unwrap();
            format!(
                "{}\t{}\tnullfs\tro\t0\t0\n",
                source.display(),
                there.display()
            )
        };
        let mine = "tmpfs\t/mnt\ttmpfs\trw\t0\t0\n";
        fs::write(folder.join("fstab"), line("bin") + &line("usr/lib") + mine).unwrap();
    }

    fn update(&self, jail: &str) -> Value {
        let answer = self
            .plugin
            .ask(&json!({"action": "updatejail", "jail": jail}));
        self.end(&answer)
    }

    fn upgrade(&self, jail: &str, release: &str) -> Value {
        let args = json!({"action": "upgradejail", "jail": jail, "release": release});
        let answer = self.plugin.ask(&args);
        self.end(&answer)
    }

    /// The last event of a job.
    fn end(&self, answer: &Value) -> Value {
        let id = answer["started_dispatcher_id"].as_str();
        let id = id.unwrap_or_else(|| panic!("{answer}"));
        let event = self.plugin.wait_for_job(id);
        until_the_next_second();
        event
    }

    /// Starts a jail by hand; its jid.
    fn start(&self, jail: &str) -> u32 {
        let answer = self
            .plugin
            .ask(&json!({"action": "startjail", "jail": jail}));
        assert_eq!(answer["changed"], "true", "{answer}");
        self.lab.jid_of(jail).unwrap()
    }

    fn release_of(&self, jail: &str) -> String {
        let config = self.lab.config_of(self.pool(), jail);
        config["release"].as_str().unwrap().into()
    }

    /// The snapshots of a jail's own dataset.
    fn snapshots(&self, jail: &str) -> Vec<String> {
        let dataset = format!("{}/iocage/jails/{jail}", self.pool());
        let all = self.lab.datasets(&[&dataset]);
        let own = all
            .iter()
            .filter_map(|name| name.strip_prefix(&format!("{dataset}@")));
        own.map(String::from).collect()
    }

    /// Everything that a refusal must not change.
    fn all(&self) -> (BTreeSet<String>, Vec<String>, usize) {
        let jails = self.lab.iocage_root(self.pool()).join("jails");
        let read = |jail: &str| {
            let files = ["config.json", "fstab"].map(|file| jails.join(jail).join(file));
            files
                .map(|file| fs::read_to_string(file).unwrap_or_default())
                .concat()
        };
        let files = ["web", "base", "base2"].map(read).to_vec();
        (
            self.lab.datasets(&[self.pool()]),
            files,
            self.lab.running().len(),
        )
    }

    /// Asks for what is refused, and makes sure that nothing has changed. The code and the words.
    fn refused(&self, args: &Value) -> (String, String) {
        let before = self.all();
        self.lab.forget_commands();
        let answer = self.plugin.ask(args);
        let (code, words) = error_of(&answer);
        assert_eq!(self.all(), before, "{args}");
        assert_eq!(self.iocage(), [""; 0], "{args}");
        (code.into(), words.into())
    }

    /// The commands of iocage since the last time, without those that only ask.
    fn iocage(&self) -> Vec<String> {
        let commands = self.lab.commands();
        let own = commands.iter().filter(|words| words[0] == "iocage");
        let lines = own.map(|words| words[1..].join(" "));
        lines.filter(|line| line != "--version").collect()
    }
}

/// iocage calls its snapshots by the second: a second update within it could take none.
fn until_the_next_second() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let rest = Duration::from_secs(1) - Duration::from_nanos(now.subsec_nanos().into());
    std::thread::sleep(rest);
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Whether a job has worked, and its words.
fn ended(event: &Value) -> (bool, &str) {
    let success = event["success"].as_str().unwrap();
    (success == "true", event["error"].as_str().unwrap_or(""))
}

fn updated(jail: &str) -> String {
    format!("sysadm_iocage_update_jail_{jail}")
}

/// The host that is killed by its job: this very test program.
#[test]
fn as_a_host_of_its_own() {
    let Ok(request) = std::env::var("REQUEST") else {
        return;
    };
    let config = parse(&std::env::var("LAB_CONFIG").unwrap());
    let plugin = Instance::open(&config, std::ptr::null());
    let answer = plugin.ask(&parse(&request));
    std::thread::sleep(Duration::from_secs(60));
    println!("SAYS {answer}");
}

#[test]
fn a_jail_gets_its_patches_and_is_as_it_was_up_or_down() {
    let Some(house) = House::new() else { return };
    house.lab.forget_commands();
    let args = json!({"action": "updatejail", "jail_uuid": "web", "packages": true});
    let answer = house.plugin.ask(&args);
    assert_eq!(answer, json!({"started_dispatcher_id": updated("web")}));
    let event = house.end(&answer);
    assert_eq!(
        (ended(&event), &event["percent_done"]),
        ((true, ""), &json!("100"))
    );
    assert_eq!(house.iocage(), ["update -P -V web"]);
    assert_eq!(house.release_of("web"), "13.1-RELEASE-p9");
    assert_eq!(house.lab.jid_of("web"), None);
    // The snapshot stays.
    let snapshots = house.snapshots("web");
    assert!(
        snapshots[0].starts_with("ioc_update_13.1-RELEASE-p4_"),
        "{snapshots:?}"
    );

    house.lab.set_patches(&["13.1-RELEASE-p10"]);
    let jid = house.start("web");
    assert_eq!(ended(&house.update("web")), (true, ""));
    assert_eq!(house.release_of("web"), "13.1-RELEASE-p10");
    assert_eq!(house.lab.jid_of("web"), Some(jid));
}

#[test]
fn nothing_to_update_is_success_and_the_jail_is_stopped_again() {
    let Some(house) = House::new() else { return };
    house.lab.set_patches(&[]);
    house.lab.forget_commands();
    assert_eq!(ended(&house.update("web")), (true, ""));
    assert_eq!(house.iocage(), ["update -V web", "stop web"]);
    assert_eq!(house.lab.jid_of("web"), None);
    assert_eq!(house.release_of("web"), "13.1-RELEASE-p4");
    let jid = house.start("web");
    assert_eq!(ended(&house.update("web")), (true, ""));
    assert_eq!(house.lab.jid_of("web"), Some(jid));
}

#[test]
fn an_update_that_fails_says_why_and_what_is_left_and_stops_the_jail() {
    let Some(house) = House::new() else { return };
    let packages = json!({"action": "updatejail", "jail": "web", "packages": true});
    for (habit, network, words) in [
        (
            Some("pkg-fails"),
            "up",
            "Failed to update pkg repositories.",
        ),
        (
            Some("fetch-fails"),
            "up",
            "freebsd-update has failed, after it said: No mirrors",
        ),
        (None, "down", "Failed to update pkg repositories."),
        (Some("install-fails"), "up", "No space left on device"),
    ] {
        house.lab.set_habit("update", habit);
        house.lab.set_network(network);
        let answer = house.plugin.ask(&packages);
        let event = house.end(&answer);
        let (worked, error) = ended(&event);
        assert!(!worked && error.contains(words), "{event}");
        assert!(
            error.contains("snapshot ioc_update_13.1-RELEASE-p"),
            "{error}"
        );
        assert!(error.contains("removesnapshot"), "{error}");
        assert_eq!(house.lab.jid_of("web"), None, "{words}");
        let in_part = error.contains("its files say 13.1-RELEASE-p9 now");
        assert_eq!(in_part, words.contains("No space"), "{error}");
    }
    house.lab.set_habit("update", None);
    house.lab.set_network("down");
    let jid = house.start("web");
    let event = house.update("web");
    let (worked, error) = ended(&event);
    assert!(!worked && error.contains("ConnectionError"), "{error}");
    assert_eq!(house.lab.jid_of("web"), Some(jid), "it was up");
}

#[test]
fn an_update_that_ends_well_and_has_done_nothing_has_failed() {
    let Some(house) = House::new() else { return };
    house.start("web");
    house.plugin.ask_for("listjails");
    house
        .lab
        .set_fault("iocage", Some("[ $1 != update ] || exit 0"));
    let event = house.update("web");
    let (worked, error) = ended(&event);
    assert!(
        !worked && error.contains("has not updated jail web"),
        "{error}"
    );
}

#[test]
fn a_jail_that_does_not_stop_in_order_is_stopped_by_force_or_named() {
    let Some(house) = House::new() else { return };
    house.lab.set_patches(&[]);
    house.lab.set_habit("stop", Some("services-fail"));
    house.lab.forget_commands();
    assert_eq!(ended(&house.update("web")), (true, ""));
    assert_eq!(house.iocage(), ["update -V web", "stop web", "stop -f web"]);
    assert_eq!(house.lab.jid_of("web"), None);

    house.lab.set_habit("stop", Some("stays"));
    let event = house.update("web");
    let (worked, error) = ended(&event);
    let jid = house.lab.jid_of("web").unwrap();
    let still = format!("jail web, which was down, is still up (jid {jid}): ");
    assert!(worked && error.starts_with(&still), "{error}");
    house.lab.set_habit("stop", None);
    house
        .plugin
        .ask(&json!({"action": "stopjail", "jail": "web"}));

    // What iocage itself could not stop after good work.
    house.lab.set_patches(&["13.1-RELEASE-p9"]);
    house.lab.set_habit("stop", Some("services-fail"));
    let event = house.update("web");
    let (worked, error) = ended(&event);
    assert!(
        worked && error.contains("Please use --force flag"),
        "{event}"
    );
    assert_eq!(house.release_of("web"), "13.1-RELEASE-p9");
    assert_eq!(house.lab.jid_of("web"), None);
}

#[test]
fn several_jails_are_updated_at_once_and_those_that_run_are_named() {
    let Some(house) = House::new() else { return };
    house.add("mail", &json!({}));
    house.lab.set_pace("2");
    let ask = |jails: &[&str]| {
        let args = json!({"action": "updatejail", "jails": jails});
        house.plugin.ask(&args)
    };
    let answer = ask(&["web"]);
    assert_eq!(answer, json!({"started_dispatcher_id": [updated("web")]}));
    let answer = ask(&["mail", "web", "jails/mail"]);
    let expected = json!({
        "started_dispatcher_id": [updated("mail")], "already_running": [updated("web")],
    });
    assert_eq!(answer, expected);
    let answer = house
        .plugin
        .ask(&json!({"action": "updatejail", "jail": "web"}));
    let words = format!("job {} is already running", updated("web"));
    assert_eq!(error_of(&answer), ("conflict", &*words));
    // Nobody else does anything with it meanwhile, in another process neither.
    let other = Instance::of(&house.lab);
    for args in [
        json!({"action": "startjail", "jail": "web"}),
        json!({"action": "destroyjail", "jail": "web"}),
    ] {
        let answer = other.ask(&args);
        let (code, words) = error_of(&answer);
        assert!(
            code == "conflict" && words.contains(&updated("web")),
            "{answer}"
        );
    }
    assert_eq!(
        other.ask(&json!({"action": "updatejail", "jail": "web"}))["code"],
        "conflict"
    );
    for jail in ["web", "mail"] {
        assert_eq!(
            ended(&house.plugin.wait_for_job(&updated(jail))),
            (true, "")
        );
        assert_eq!(house.release_of(jail), "13.1-RELEASE-p9");
    }
}

#[test]
fn the_stages_of_freebsd_update_are_the_percentage() {
    let Some(house) = House::new() else { return };
    house.start("web");
    house.lab.set_pace("0.5");
    house
        .plugin
        .ask(&json!({"action": "updatejail", "jail": "web"}));
    let mut seen: Vec<String> = Vec::new();
    eventually("the update ends", || {
        let event = house.plugin.progress(&updated("web"), None).unwrap();
        if let Some(percent) = event["percent_done"].as_str() {
            if seen.last().map(String::as_str) != Some(percent) {
                seen.push(percent.into());
            }
        }
        event["state"] == "finished"
    });
    assert_eq!(seen.last().map(String::as_str), Some("100"));
    for stage in ["20", "50", "75"] {
        assert!(seen.iter().any(|percent| percent == stage), "{seen:?}");
    }
}

#[test]
fn a_base_jail_updates_its_release_for_all_that_are_on_it() {
    let Some(house) = House::new() else { return };
    house.lab.set_pace("1");
    let answer = house
        .plugin
        .ask(&json!({"action": "updatejail", "jail": "base"}));
    // Nobody else works with the release meanwhile.
    for args in [
        json!({"action": "updatejail", "jail": "base2"}),
        json!({"action": "fetchreleases", "releases": OLD}),
    ] {
        let answer = house.plugin.ask(&args);
        let (code, words) = error_of(&answer);
        assert!(
            code == "conflict" && words.contains(&updated("base")),
            "{answer}"
        );
    }
    assert_eq!(ended(&house.end(&answer)), (true, ""));
    let releases = ["base", "base2", "web"].map(|jail| house.release_of(jail));
    assert_eq!(
        releases,
        ["13.1-RELEASE-p9", "13.1-RELEASE-p9", "13.1-RELEASE-p4"]
    );
    house.lab.set_pace("0");
    // iocage reads the settings of all jails after that, and ends where it cannot.
    let settings = house
        .lab
        .iocage_root(house.pool())
        .join("jails/web/config.json");
    let whole = fs::read(&settings).unwrap();
    fs::write(&settings, "{").unwrap();
    let (code, words) = house.refused(&json!({"action": "updatejail", "jail": "base2"}));
    assert!(
        code == "conflict" && words.ends_with("read: jail web"),
        "{words}"
    );
    fs::write(&settings, whole).unwrap();
    // What was done already is no failure.
    assert_eq!(ended(&house.update("base2")), (true, ""));
    assert_eq!(house.lab.jid_of("base2"), None);
    let two = json!({"action": "updatejail", "jails": ["web", "base", "base2"]});
    let (code, words) = house.refused(&two);
    assert_eq!(code, "conflict");
    assert!(words.contains("jail base and jail base2"), "{words}");
}

#[test]
fn a_plugin_that_fails_is_rolled_back_and_said_to_be_down() {
    let Some(house) = House::new() else { return };
    let config = json!({"type": "pluginv2", "plugin_name": "gitlab", "plugin_repository": "x"});
    house.add("gitlab", &config);
    house.start("gitlab");
    house.lab.set_habit("update", Some("plugin-fails"));
    let event = house.update("gitlab");
    let (worked, error) = ended(&event);
    assert!(
        !worked && error.contains("PKG error, update failed!"),
        "{error}"
    );
    assert!(
        error.contains("jail gitlab, which was up, is down now"),
        "{error}"
    );
    assert_eq!(house.lab.jid_of("gitlab"), None);
    // To that snapshot it would be rolled back once more, and lose what came after it.
    house.lab.set_habit("update", None);
    let (code, words) = house.refused(&json!({"action": "updatejail", "jail": "gitlab"}));
    assert_eq!(code, "conflict");
    assert!(words.contains("@ioc_plugin_update_"), "{words}");
    for snapshot in house.snapshots("gitlab") {
        let args = json!({"action": "removesnapshot", "jail": "gitlab", "snapshot": snapshot});
        assert_eq!(house.plugin.ask(&args)["error"], json!(null));
    }
    assert_eq!(ended(&house.update("gitlab")), (true, ""));
    assert_eq!(house.release_of("gitlab"), "13.1-RELEASE-p9");
    assert_eq!(house.lab.jid_of("gitlab"), None);
}

#[test]
fn what_iocage_cannot_update_is_refused_before() {
    let Some(house) = House::new() else { return };
    let pool = house.pool();
    let template = json!({"type": "template", "template": 1, "release": "13.1-RELEASE"});
    house
        .lab
        .add_template(pool, "tpl", Some("releases/13.1-RELEASE"), &template);
    house.add("old", &json!({"type": "basejail"}));
    house.add("odd", &json!({"type": "vm"}));
    house.add(
        "empty",
        &json!({"release": "EMPTY", "cloned_release": "EMPTY"}),
    );
    house.add("other", &json!({"host_hostuuid": "web2"}));
    house.add("far", &json!({"release": "12.4-RELEASE-p1", "basejail": 1}));
    house.add("corrupt", &json!({}));
    fs::write(house.lab.config_file(pool, "corrupt"), "{").unwrap();
    house.add("ALLIN", &json!({}));
    for (jail, code, words) in [
        ("tpl", "conflict", "template"),
        ("old", "unavailable", "iocage migrate"),
        ("odd", "unavailable", "type \"vm\""),
        ("empty", "conflict", "empty"),
        ("other", "unavailable", "calls itself \"web2\""),
        ("far", "not_found", "12.4-RELEASE"),
        ("corrupt", "unavailable", "CORRUPT"),
        ("ALLIN", "unavailable", "ALL"),
        ("nosuch", "not_found", "nosuch"),
    ] {
        for args in [
            json!({"action": "updatejail", "jail": jail}),
            // One that is refused refuses all, before anything is started.
            json!({"action": "updatejail", "jails": ["web", jail]}),
            json!({"action": "upgradejail", "jail": jail, "release": RELEASE}),
        ] {
            let (is, why) = house.refused(&args);
            assert!(is == code && why.contains(words), "{args}: {is}: {why}");
        }
    }
    // iocage would take the one that runs for this one.
    house.add("a.b", &json!({}));
    house.add("a_b", &json!({}));
    house.start("a_b");
    let (code, words) = house.refused(&json!({"action": "updatejail", "jail": "a.b"}));
    assert!(code == "conflict" && words.contains("ioc-a_b"), "{words}");

    let packages = json!({"action": "updatejail", "jail": "web", "packages": true});
    for (version, args, what) in [
        ("1.1", packages, "packages"),
        (
            "1.1",
            json!({"action": "updatejail", "jail": "base"}),
            "base jail",
        ),
    ] {
        house.lab.set_iocage_version(version);
        let (code, words) = house.refused(&args);
        assert!(
            code == "unavailable" && words.contains("older than 1.2"),
            "{words}"
        );
        assert!(words.contains(what), "{words}");
    }
    // One that has no choice makes the right one.
    house.lab.forget_commands();
    assert_eq!(ended(&house.update("web")), (true, ""));
    assert_eq!(house.iocage(), ["update web"]);
}

#[test]
fn a_base_jail_gets_another_release_and_is_as_it_was() {
    let Some(house) = House::new() else { return };
    house.lab.forget_commands();
    assert_eq!(ended(&house.upgrade("base", "13.2-release")), (true, ""));
    assert_eq!(house.iocage(), ["upgrade -r 13.2-RELEASE base"]);
    assert_eq!(house.release_of("base"), "13.2-RELEASE-p9");
    let fstab = house.lab.iocage_root(house.pool()).join("jails/base/fstab");
    let fstab = fs::read_to_string(fstab).unwrap();
    assert_eq!(
        fstab.matches("/releases/13.2-RELEASE/root/").count(),
        2,
        "{fstab}"
    );
    assert!(!fstab.contains(OLD) && fstab.contains("tmpfs"), "{fstab}");
    assert_eq!(house.lab.jid_of("base"), None);
    assert!(house.snapshots("base")[0].starts_with("ioc_upgrade_20"));
    assert_eq!(house.release_of("base2"), "13.1-RELEASE-p4");

    let jid = house.start("base2");
    assert_eq!(ended(&house.upgrade("base2", RELEASE)), (true, ""));
    assert_eq!(house.lab.jid_of("base2"), Some(jid));
    // Its mounts are the release's at the next start; until then it is what it was.
    let args = json!({"action": "upgradejail", "jail": "base2", "release": RELEASE});
    let (code, words) = house.refused(&args);
    assert_eq!(
        (&*code, &*words),
        ("conflict", "jail base2 has 13.2-RELEASE-p9 already")
    );
}

#[test]
fn an_upgrade_that_fails_leaves_the_old_release_and_says_what_is_left() {
    let Some(house) = House::new() else { return };
    house.lab.set_habit("upgrade", Some("etcupdate-fails"));
    let fstab = house.lab.iocage_root(house.pool()).join("jails/base/fstab");
    let mounted = fs::read_to_string(&fstab).unwrap();
    let event = house.upgrade("base", RELEASE);
    let (worked, error) = ended(&event);
    assert!(!worked && error.starts_with("etcupdate failed!"), "{error}");
    let snapshot = house.snapshots("base").remove(0);
    assert!(
        error.contains(&format!("snapshot {snapshot} from before is left")),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&fstab).unwrap(), mounted);
    assert_eq!(house.release_of("base"), "13.1-RELEASE-p4");
    assert_eq!(house.lab.jid_of("base"), None);
    // iocage would stop in the middle at that snapshot.
    house.lab.set_habit("upgrade", None);
    let args = json!({"action": "upgradejail", "jail": "base", "release": RELEASE});
    let (code, words) = house.refused(&args);
    assert!(
        code == "conflict" && words.contains(&format!("@{snapshot} is there")),
        "{words}"
    );
    let remove = json!({"action": "removesnapshot", "jail": "base", "snapshot": snapshot});
    house.plugin.ask(&remove);
    assert_eq!(ended(&house.upgrade("base", RELEASE)), (true, ""));

    house.start("base2");
    house.lab.set_habit("upgrade", Some("etcupdate-fails"));
    let event = house.upgrade("base2", RELEASE);
    let (worked, error) = ended(&event);
    let down = "jail base2, which was up, is down now";
    assert!(!worked && error.ends_with(down), "{error}");
    assert_eq!(house.lab.jid_of("base2"), None);
}

#[test]
fn an_upgrade_that_is_there_has_worked_whatever_came_after() {
    let Some(house) = House::new() else { return };
    house.lab.set_habit("upgrade", Some("aliases-fail"));
    let event = house.upgrade("base", RELEASE);
    let (worked, error) = ended(&event);
    assert!(worked && error.contains("newaliases"), "{event}");
    assert_eq!(house.release_of("base"), "13.2-RELEASE-p9");
    assert_eq!(house.lab.jid_of("base"), None, "iocage has left it running");
    // And one that says that it has worked and is not there has not.
    house.lab.set_fault("iocage", Some("exit 0"));
    let event = house.upgrade("base2", RELEASE);
    let (worked, error) = ended(&event);
    assert!(
        !worked && error.contains("has not become 13.2-RELEASE"),
        "{error}"
    );
}

#[test]
fn what_would_ask_on_a_terminal_or_do_half_is_refused_before() {
    let Some(house) = House::new() else { return };
    let pool = house.pool();
    house.add(
        "gitlab",
        &json!({"type": "pluginv2", "plugin_name": "gitlab"}),
    );
    house.lab.add_release(pool, "13.3-RELEASE");
    let upgrade = |jail: &str, release: &str| {
        let args = json!({"action": "upgradejail", "jail": jail, "release": release});
        house.refused(&args)
    };
    for (jail, release, code, words) in [
        (
            "web",
            RELEASE,
            "unavailable",
            "\"iocage upgrade -r 13.2-RELEASE web\"",
        ),
        ("gitlab", RELEASE, "unavailable", "manifest"),
        ("base", OLD, "conflict", "13.1-RELEASE-p4 already"),
        ("base", "9.3-RELEASE", "conflict", "no way back"),
        ("base", "13.5-RELEASE", "not_found", "fetchreleases"),
        ("base", "13.3-RELEASE", "unavailable", "usr/src"),
        ("base", "x", "invalid_argument", "\"release\""),
    ] {
        let (is, why) = upgrade(jail, release);
        assert!(
            is == code && why.contains(words),
            "{jail} {release}: {is}: {why}"
        );
    }
    let root = house.lab.iocage_root(pool);
    let fstab = root.join("jails/base/fstab");
    let right = fs::read_to_string(&fstab).unwrap();
    for (text, words) in [
        (
            format!("{right}/data/13.1-RELEASE /mnt nullfs ro 0 0\n"),
            "in other places too",
        ),
        (
            right.replace(OLD, RELEASE),
            "does not mount 13.1-RELEASE alone",
        ),
        (String::new(), "does not mount 13.1-RELEASE alone"),
    ] {
        fs::write(&fstab, text).unwrap();
        let (code, why) = upgrade("base", RELEASE);
        assert!(code == "conflict" && why.contains(words), "{why}");
    }
}

/// A host on which something is mounted where iocage mounts the sources for an upgrade.
struct Mounted {
    at: Mutex<Option<PathBuf>>,
    is_busy: bool,
}

impl Runner for Mounted {
    fn run(&self, order: &Order, limit: Duration, stop: &AtomicBool) -> Result<Output> {
        RealHost.run(order, limit, stop)
    }

    fn spawn(&self, order: &Order, output: &File, held: &[BorrowedFd<'_>]) -> Result<Child> {
        RealHost.spawn(order, output, held)
    }

    fn mount_table(&self) -> io::Result<Vec<Mount>> {
        let mut all = RealHost.mount_table()?;
        all.extend(self.at.lock().unwrap().clone().map(|mountpoint| Mount {
            mountpoint,
            source: "/usr/src".into(),
            kind: "nullfs".into(),
        }));
        Ok(all)
    }

    fn unmount(&self, place: &Path) -> io::Result<()> {
        if self.is_busy {
            return Err(io::Error::other("busy"));
        }
        let mounted = self.at.lock().unwrap().take();
        assert_eq!(mounted.as_deref(), Some(place));
        Ok(())
    }

    fn log(&self, _: i32, _: &str) {}
}

#[test]
fn sources_that_an_upgrade_has_left_mounted_are_unmounted_or_named() {
    let Some(house) = House::new() else { return };
    house.lab.set_habit("upgrade", Some("aliases-fail"));
    for (jail, is_busy) in [("base", false), ("base2", true)] {
        let root = house.lab.iocage_root(house.pool());
        let place = root.join("jails").join(jail).join("root/iocage_upgrade");
        fs::create_dir_all(&place).unwrap();
        let host = Arc::new(Mounted {
            at: Mutex::new(Some(place.clone())),
            is_busy,
        });
        let configuration = Configuration::parse(&house.lab.config().to_string()).unwrap();
        let runner = Arc::clone(&host) as Arc<dyn Runner>;
        let plugin =
            sysadm_iocage::instance::Instance::with_runner(configuration, Box::new(NoHost), runner);
        let args = json!({"action": "upgradejail", "jail": jail, "release": RELEASE});
        let answer = made_up::ask(&plugin, &args);
        let id = answer["started_dispatcher_id"].clone();
        let mut event = Value::Null;
        eventually("the upgrade ends", || {
            event = made_up::ask(&plugin, &json!({"action": "jobstatus", "job": id}));
            event["state"] == "finished"
        });
        let (worked, error) = ended(&event);
        let named = format!("{} cannot be unmounted: busy", place.display());
        assert!(worked && error.contains(&named) == is_busy, "{event}");
        assert_eq!(host.at.lock().unwrap().is_some(), is_busy);
        assert_eq!(house.lab.jid_of(jail), None);
    }
}

#[test]
fn a_job_of_the_dispatcher_is_judged_and_tidied_up_after_too() {
    let Some(house) = House::new() else { return };
    let host = Dispatcher::default();
    let plugin = Instance::open(&house.lab.config(), &host.callbacks());
    let finish = |args: Value| {
        let answer = plugin.ask(&args);
        let id = answer["started_dispatcher_id"]
            .as_str()
            .unwrap()
            .to_string();
        let log = host.run(&id);
        let event = plugin.progress(&id, Some(&log)).unwrap();
        eventually("what it has left undone is done", || {
            let jobs = plugin.ask_for("listjobs");
            jobs["jobs"][&id]["state"] == "finished" && house.lab.running().is_empty()
        });
        until_the_next_second();
        event
    };
    let update = |jail: &str| json!({"action": "updatejail", "jail": jail});
    house.lab.set_patches(&[]);
    let event = finish(update("web"));
    assert_eq!(ended(&event), (true, ""));
    house.lab.set_network("down");
    let event = finish(update("web"));
    assert!(!ended(&event).0, "{event}");
    assert!(ended(&event).1.contains("snapshot ioc_update_"), "{event}");
    let upgrade = json!({"action": "upgradejail", "jail": "base", "release": RELEASE});
    let event = finish(upgrade);
    assert_eq!(ended(&event), (true, ""));
    assert_eq!(house.release_of("base"), "13.2-RELEASE-p9");
    // All is let go of.
    let answer = plugin.ask(&json!({"action": "startjail", "jail": "web"}));
    assert_eq!(answer["changed"], "true", "{answer}");
}

#[test]
fn the_host_is_killed_and_the_next_one_knows_how_the_job_ended() {
    let Some(house) = House::new() else { return };
    let House { lab, plugin } = &house;
    let update = json!({"action": "updatejail", "jail": "web"});
    let upgrade = json!({"action": "upgradejail", "jail": "base", "release": RELEASE});
    let iocage = format!("{}/real/iocage up", lab.dir().display());
    // iocage goes on without its host, or is killed a while after it.
    let goes_on = "case $1 in up*) kill -9 $PPID ;; esac";
    let dies_at = |sign: &str| {
        format!(
            "case $1 in up*) kill -9 $PPID
                sh -c \"until {sign}; do sleep 0.1; done; kill -9 -$$\" & ;;
             esac"
        )
    };
    let is_up = dies_at("grep -q ioc-web $lab/jls.json");
    let fstab = lab.iocage_root(house.pool()).join("jails/base/fstab");
    let is_half_done = dies_at(&format!("grep -q {RELEASE} {}", fstab.display()));
    let (is_up, is_half_done) = (&*is_up, &*is_half_done);
    for (args, jail, fault, patches, worked, words) in [
        (&update, "web", goes_on, "", true, ""),
        (
            &update,
            "web",
            is_up,
            "13.1-RELEASE-p8",
            false,
            "nobody saw how the job ended",
        ),
        (&update, "web", goes_on, "13.1-RELEASE-p9", true, ""),
        (
            &upgrade,
            "base",
            is_half_done,
            "",
            false,
            "half of it is done",
        ),
        (&upgrade, "base", goes_on, "", true, ""),
    ] {
        let id = args["action"].as_str().unwrap().replace("jail", "_jail_");
        let id = format!("sysadm_iocage_{id}{jail}");
        let is_upgrade = *args == upgrade;
        if is_upgrade && fault == goes_on {
            // After the one that died.
            for snapshot in house.snapshots(jail) {
                let args = json!({"action": "rollbackjail", "jail": jail, "snapshot": snapshot});
                assert_eq!(plugin.ask(&args)["error"], json!(null));
                let args = json!({"action": "removesnapshot", "jail": jail, "snapshot": snapshot});
                assert_eq!(plugin.ask(&args)["error"], json!(null));
            }
        }
        lab.set_patches(&[patches]);
        lab.set_pace("1");
        lab.set_fault("iocage", Some(fault));
        assert_eq!(ask_aside(lab, args), None, "the host was not killed");
        lab.set_fault("iocage", None);
        let event = plugin.ask(&json!({"action": "jobstatus", "job": id}));
        assert_eq!(event["state"], "running", "{args}: {event}");
        let answer = plugin.ask(&json!({"action": "startjail", "jail": jail}));
        assert!(error_of(&answer).1.contains(&id), "{answer}");
        eventually("iocage is done", || processes(&iocage).is_empty());
        lab.set_pace("0");
        eventually("somebody has looked after it", || {
            plugin.ask(&json!({"action": "stopjob", "job": "sysadm_iocage_nosuch"}));
            let event = plugin.ask(&json!({"action": "jobstatus", "job": id}));
            event["state"] == "finished" && lab.jid_of(jail).is_none()
        });
        let event = plugin.ask(&json!({"action": "jobstatus", "job": id}));
        let (is, error) = ended(&event);
        assert_eq!(is, worked, "{args} {fault}: {event}");
        assert!(
            error.contains(words) && worked == error.is_empty(),
            "{args}: {event}"
        );
    }
    assert_eq!(house.release_of("web"), "13.1-RELEASE-p9");
    assert_eq!(house.release_of("base"), "13.2-RELEASE-p9");
}
