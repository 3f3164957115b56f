//! Settings are changed: all of them or none, whatever iocage says or does. iocage is made up here:
//! it sets one after the other and writes each at once, as the real one does.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Arc, Mutex};

use common::made_up::{ask, ask_as, printed, Desk, MadeUp};
use common::{error_of, parse};
use serde_json::{json, Value};
use sysadm_iocage::actions::Access;
use sysadm_iocage::error::{Code, Error};
use sysadm_iocage::instance::Instance;
use sysadm_iocage_lab::Lab;

/// What the made-up iocage does otherwise than it should.
#[derive(Default)]
struct Habits {
    /// It fails at these, each with its words.
    refuses: BTreeSet<(String, String)>,
    /// It passes over these without a word.
    ignores: BTreeSet<String>,
    /// It says this in the end, and exits with 1.
    complains: Option<String>,
    /// It does not end in time, after this many settings.
    hangs_after: Option<usize>,
}

struct Scene {
    host: Arc<MadeUp>,
    desk: Arc<Desk>,
    plugin: Arc<Instance>,
    habits: Arc<Mutex<Habits>>,
    /// The jails that run.
    running: Arc<Mutex<Vec<String>>>,
}

fn sets(host: &MadeUp, words: &str, habits: &Habits) -> Result<Result<String, String>, Error> {
    let mut words: Vec<&str> = words.split(' ').collect();
    let name = words.pop().unwrap();
    let folder = host.dataset("tank/iocage");
    let file = match name {
        "default" => folder.join("defaults.json"),
        name if folder.join("jails").join(name).is_dir() => {
            folder.join("jails").join(name).join("config.json")
        }
        name => folder.join("templates").join(name).join("config.json"),
    };
    let mut told = String::new();
    for (index, word) in words.iter().enumerate() {
        if habits.hangs_after == Some(index) {
            return Err(Error::new(Code::Timeout, "iocage: timeout"));
        }
        let (key, value) = word.split_once('=').unwrap();
        if let Some((_, why)) = habits.refuses.iter().find(|(refused, _)| refused == key) {
            return Ok(Err(why.replace("VALUE", value)));
        }
        if habits.ignores.contains(key) {
            continue;
        }
        let mut all = parse(&fs::read_to_string(&file).unwrap());
        told += &format!("{key}: {} -> {value}\n", all[key]);
        all[key] = json!(value);
        fs::write(&file, all.to_string()).unwrap();
    }
    Ok(match &habits.complains {
        Some(why) => Err(why.clone()),
        None => Ok(told),
    })
}

impl Scene {
    /// A pool with the jails web, db and mail, and the template base.
    fn new() -> Self {
        let host = MadeUp::new(&["tank"]);
        let (habits, running): (Arc<Mutex<Habits>>, Arc<Mutex<Vec<String>>>) = Default::default();
        let desk = Desk::new();
        let plugin = host.open_at(&desk, &json!({}));
        let scene = Scene {
            host,
            desk,
            plugin,
            habits,
            running,
        };
        scene.jail(
            "web",
            &json!({"notes": "secret-one", "ip4_addr": "re0|10.0.0.5/24", "boot": 1}),
        );
        scene.jail(
            "db",
            &json!({
                "ip4_addr": "re0|10.0.0.6/24", "ip6_addr": "re0|2001:db8::6",
                "vnet1_mac": "02ff60aaaa01 02ff60aaaa02",
            }),
        );
        scene.jail(
            "mail",
            &json!({"vnet": 1, "bpf": 1, "interfaces": "vnet0:bridge0", "depends": "db"}),
        );
        scene.add(
            "templates",
            "base",
            &json!({"template": 1, "type": "template"}),
        );
        let defaults = json!({"boot": 0, "priority": "50"});
        fs::write(
            scene.host.dataset("tank/iocage/defaults.json"),
            defaults.to_string(),
        )
        .unwrap();
        let (habits, running) = (Arc::clone(&scene.habits), Arc::clone(&scene.running));
        scene.host.step_in(move |host, line| {
            let words = match line.split_once(' ') {
                Some(("jls", _)) => {
                    let jails = running.lock().unwrap();
                    let jail = |name: &String| {
                        let path = host.dataset(&format!("tank/iocage/jails/{name}/root"));
                        json!({"jid": 7, "name": format!("ioc-{name}"), "path": path.to_str(),
                               "hostname": name, "state": "ACTIVE"})
                    };
                    let jails: Vec<Value> = jails.iter().map(jail).collect();
                    let all = json!({"jail-information": {"jail": jails}});
                    return Some(Ok(printed("jls", Ok(all.to_string()))));
                }
                Some(("iocage", words)) => words.strip_prefix("set ")?,
                _ => return None,
            };
            let ended = sets(host, words, &habits.lock().unwrap());
            Some(ended.map(|ended| printed("iocage set ...", ended)))
        });
        scene.host.commands();
        scene
    }

    fn jail(&self, name: &str, config: &Value) {
        self.add("jails", name, config);
    }

    fn add(&self, family: &str, name: &str, config: &Value) {
        self.host.add(&format!("tank/iocage/{family}/{name}/root"));
        let mut full = json!({"host_hostuuid": name, "host_hostname": name});
        full.as_object_mut()
            .unwrap()
            .extend(config.as_object().unwrap().clone());
        let folder = self.host.dataset(&format!("tank/iocage/{family}/{name}"));
        fs::write(folder.join("config.json"), full.to_string()).unwrap();
    }

    fn config(&self, jail: &str) -> Value {
        let path = format!("tank/iocage/jails/{jail}/config.json");
        parse(&fs::read_to_string(self.host.dataset(&path)).unwrap())
    }

    fn habits(&self, habits: Habits) {
        *self.habits.lock().unwrap() = habits;
    }

    fn set(&self, args: Value) -> Value {
        let mut all = json!({"action": "setjailsettings"});
        all.as_object_mut()
            .unwrap()
            .extend(args.as_object().unwrap().clone());
        ask(&self.plugin, &all)
    }

    fn set_of(&self, jail: &str, settings: Value) -> Value {
        self.set(json!({"jail": jail, "settings": settings}))
    }

    /// What iocage was told to set since the last time.
    fn told(&self) -> Vec<String> {
        let commands = self.host.commands().into_iter();
        let set = commands.filter_map(|line| line.strip_prefix("iocage set ").map(String::from));
        set.collect()
    }
}

fn refusals(list: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    let owned = |(name, why): &(&str, &str)| (name.to_string(), why.to_string());
    list.iter().map(owned).collect()
}

#[test]
fn settings_are_set_by_one_command_and_the_answer_says_what_changed() {
    let scene = Scene::new();
    let answer = scene.set_of("web", json!({
        "notes": "secret-two", "boot": "no", "priority": 50, "comment": "new", "ip4_addr": "re0|10.0.0.5/24",
    }));
    assert_eq!(
        answer,
        json!({
            "success": "settings of jail web set.",
            "changed": {
                "notes": {"from": "secret-one", "to": "secret-two"},
                "boot": {"from": "1", "to": "0"},
                "comment": {"from": "none", "to": "new"},
            },
            "needs_restart": [],
        })
    );
    assert_eq!(scene.told(), ["boot=0 comment=new notes=secret-two web"]);
    let lines = scene.desk.lines();
    let audit = lines
        .iter()
        .find(|line| line.starts_with("audit: "))
        .unwrap();
    assert!(
        audit.contains("\"notes\"") && !lines.concat().contains("secret"),
        "{audit}"
    );

    // Once more: it is so already, and iocage is not asked.
    let again = scene.set_of("web", json!({"boot": false, "comment": "new"}));
    assert_eq!(again["changed"], json!({}));
    assert!(scene.told().is_empty());
    let base = scene.set_of("base", json!({"notes": "x"}));
    assert_eq!(base["success"], "settings of template base set.");
    assert_eq!(scene.told(), ["notes=x base"]);
}

#[test]
fn a_running_jail_is_told_what_waits_for_its_next_start() {
    let scene = Scene::new();
    let wanted = json!({
        "notes": "x", "enforce_statfs": "1", "allow_raw_sockets": true, "ip4_addr": "re0|10.0.0.7/24",
    });
    assert_eq!(scene.set_of("web", wanted)["needs_restart"], json!([]));
    scene
        .running
        .lock()
        .unwrap()
        .extend(["web".into(), "mail".into()]);
    let wanted = json!({
        "notes": "y", "enforce_statfs": "2", "allow_raw_sockets": false, "ip4_addr": "re0|10.0.0.8/24",
    });
    assert_eq!(
        scene.set_of("web", wanted)["needs_restart"],
        json!(["enforce_statfs"])
    );
    let answer = scene.set_of("mail", json!({"ip4_addr": "vnet0|10.0.0.9/24"}));
    assert_eq!(answer["needs_restart"], json!(["ip4_addr"]), "{answer}");
    scene.told();
    for (jail, settings) in [
        ("mail", json!({"dhcp": true})),
        ("web", json!({"jail_zfs": true, "notes": "z"})),
        ("web", json!({"jail_zfs_mountpoint": "/x"})),
    ] {
        let answer = scene.set_of(jail, settings);
        let (code, message) = error_of(&answer);
        assert_eq!(code, "in_use", "{message}");
        assert!(message.contains("while jail"), "{message}");
    }
    assert!(scene.told().is_empty());
}

#[test]
fn a_limit_that_iocage_sets_for_another_name_is_told() {
    let scene = Scene::new();
    scene.jail("a.b", &json!({}));
    let limit = |size: &str| scene.set_of("a.b", json!({"memoryuse": format!("deny={size}")}));
    assert_eq!(limit("1G")["warning"], Value::Null);
    scene.running.lock().unwrap().push("a.b".into());
    let warning = limit("2G")["warning"].clone();
    assert!(warning.as_str().unwrap().contains("capjail"), "{warning}");
}

#[test]
fn if_one_cannot_be_set_all_are_as_they_were() {
    let scene = Scene::new();
    let before = scene.config("web");
    scene.habits(Habits {
        refuses: refusals(&[("notes", "notes=VALUE is bad, secret-one was better")]),
        ..Habits::default()
    });
    let wanted = json!({"boot": 0, "comment": "new", "notes": "secret-two", "owner": "me"});
    let answer = scene.set_of("web", wanted);
    let (code, message) = error_of(&answer);
    assert_eq!(code, "failed");
    assert_eq!(
        message,
        "the settings of jail web are not changed: iocage set ...: notes=... is bad, ... was better; \
         all was set back; jail web has comment of its own now, as all jails have it"
    );
    assert!(!scene.desk.lines().concat().contains("secret"));
    assert_eq!(
        scene.told(),
        [
            "boot=0 comment=new notes=secret-two owner=me web",
            "boot=1 comment=none web",
        ]
    );
    let mut expected = before.clone();
    expected["comment"] = json!("none");
    expected["boot"] = json!("1");
    assert_eq!(scene.config("web"), expected);

    // The first one: nothing has to be set back.
    let answer = scene.set_of("web", json!({"notes": "new", "owner": "me"}));
    assert!(
        error_of(&answer).1.ends_with("; all is as it was"),
        "{answer}"
    );
    assert_eq!(scene.told(), ["notes=new owner=me web"]);
    assert_eq!(scene.config("web"), expected);

    // Of several jails each for itself.
    let answer =
        scene.set(json!({"jails": ["web", "nosuch", "db"], "settings": {"notes": "secret-one"}}));
    let jails = &answer["jails"];
    assert_eq!(
        jails["web"]["changed"],
        json!({}),
        "it is so already: {answer}"
    );
    assert_eq!(
        (&jails["nosuch"]["code"], &jails["db"]["code"]),
        (&json!("not_found"), &json!("failed"))
    );
}

#[test]
fn what_cannot_be_set_back_is_named() {
    let scene = Scene::new();
    // iocage makes the prefix of the host, and has no word for that.
    scene.habits(Habits {
        refuses: refusals(&[("notes", "no")]),
        ..Habits::default()
    });
    let answer = scene.set_of("web", json!({"mac_prefix": "02ff60", "notes": "x"}));
    let message = error_of(&answer).1;
    assert!(
        message.ends_with("mac_prefix could not be set back"),
        "{message}"
    );
    assert_eq!(scene.config("web")["mac_prefix"], "02ff60");
    // Nor one for null, which the text "null" is not.
    let file = scene.host.dataset("tank/iocage/jails/web/config.json");
    let null = json!({"host_hostuuid": "web", "hostid": null});
    fs::write(file, null.to_string()).unwrap();
    let answer = scene.set_of("web", json!({"hostid": "ab", "notes": "x"}));
    let message = error_of(&answer).1;
    assert!(
        message.ends_with("hostid could not be set back"),
        "{message}"
    );
    assert_eq!(scene.config("web")["hostid"], "ab");
}

#[test]
fn what_the_file_says_afterwards_counts_and_not_the_exit_code() {
    let scene = Scene::new();
    // Exit code 0, and not set.
    scene.habits(Habits {
        ignores: BTreeSet::from(["notes".into()]),
        ..Habits::default()
    });
    let answer = scene.set_of("web", json!({"comment": "new", "notes": "x"}));
    let (code, message) = error_of(&answer);
    assert_eq!(code, "failed");
    assert!(message.contains("iocage did not set notes: "), "{message}");
    assert_eq!(scene.config("web")["comment"], "none");

    // Exit code 1, and set: another pool has a broken jail.
    scene.habits(Habits {
        complains: Some("other has a corrupt configuration".into()),
        ..Habits::default()
    });
    let answer = scene.set_of("web", json!({"comment": "new", "allow_chflags": 1}));
    assert_eq!(answer["success"], "settings of jail web set.");
    assert!(
        answer["warning"]
            .as_str()
            .unwrap()
            .contains("corrupt configuration"),
        "{answer}"
    );

    // The same where the kernel of a running jail may have refused it.
    scene.running.lock().unwrap().push("web".into());
    let answer = scene.set_of("web", json!({"allow_chflags": 0, "comment": "newer"}));
    assert_eq!(error_of(&answer).0, "failed", "{answer}");
    assert_eq!(scene.config("web")["comment"], "new");
    let answer = scene.set_of("web", json!({"comment": "newest"}));
    assert_eq!(answer["changed"]["comment"]["to"], "newest");

    // It does not end: it was ended, and what it has done is taken back.
    scene.habits(Habits {
        hangs_after: Some(1),
        ..Habits::default()
    });
    let answer = scene.set_of("web", json!({"comment": "last", "notes": "last"}));
    assert_eq!(error_of(&answer).0, "timeout");
    assert_eq!(scene.config("web")["comment"], "newest");
}

#[test]
fn wrong_values_are_refused_before_iocage_is_run() {
    let scene = Scene::new();
    let before = ["web", "db", "mail"].map(|jail| scene.config(jail));
    for (jail, settings, code, part) in [
        // What iocage lets pass.
        (
            "web",
            json!({"vnet": "10"}),
            "invalid_argument",
            "\"vnet\" must be",
        ),
        (
            "web",
            json!({"notes": "x", "ip4_addr": "string"}),
            "invalid_argument",
            "\"ip4_addr\" must be",
        ),
        (
            "web",
            json!({"priority": "1abc"}),
            "invalid_argument",
            "\"priority\" must be",
        ),
        (
            "web",
            json!({"ip4": "renewed"}),
            "invalid_argument",
            "\"ip4\" must be",
        ),
        (
            "web",
            json!({"quota": "abcM"}),
            "invalid_argument",
            "\"quota\" must be",
        ),
        (
            "web",
            json!({"notes": "a\nb"}),
            "invalid_argument",
            "control character",
        ),
        (
            "web",
            json!({"notes": ["a"]}),
            "invalid_argument",
            "must be a text",
        ),
        // What is nobody's to set.
        (
            "web",
            json!({"nosuch": 1}),
            "invalid_argument",
            "no property",
        ),
        (
            "web",
            json!({"exec_prestart": "rm"}),
            "invalid_argument",
            "run on the host",
        ),
        (
            "web",
            json!({"mountpoint": "/x"}),
            "invalid_argument",
            "iocage's own",
        ),
        (
            "web",
            json!({"host_hostuuid": "x"}),
            "invalid_argument",
            "iocage's own",
        ),
        (
            "web",
            json!({"used": "1"}),
            "invalid_argument",
            "cannot be set",
        ),
        (
            "web",
            json!({"nat_backend": "pf"}),
            "invalid_argument",
            "for all jails",
        ),
        (
            "web",
            json!({"plugin_repository": "https://x/"}),
            "invalid_argument",
            "plugin's",
        ),
        (
            "web",
            json!({"template": true}),
            "unavailable",
            "iocage set",
        ),
        // What does not go together.
        (
            "web",
            json!({"dhcp": true}),
            "invalid_argument",
            "\"dhcp\" needs \"vnet\"",
        ),
        (
            "mail",
            json!({"nat": true}),
            "invalid_argument",
            "exclude each other",
        ),
        (
            "mail",
            json!({"ip4_addr": "re0|10.0.0.9"}),
            "invalid_argument",
            "not at \"re0\"",
        ),
        (
            "web",
            json!({"depends": "db web"}),
            "invalid_argument",
            "web -> web",
        ),
        (
            "db",
            json!({"depends": "mail"}),
            "invalid_argument",
            "db -> mail -> db",
        ),
        // What others have.
        (
            "web",
            json!({"ip4_addr": "10.0.0.6"}),
            "conflict",
            "jails/db has an address",
        ),
        (
            "web",
            json!({"ip6_addr": "re0|2001:DB8:0::6/64"}),
            "conflict",
            "jails/db",
        ),
        (
            "web",
            json!({"vnet0_mac": "02:FF:60:AA:AA:02 02:ff:60:00:00:01"}),
            "conflict",
            "jails/db",
        ),
        ("nosuch", json!({"notes": "x"}), "not_found", "no jail"),
        ("we", json!({"notes": "x"}), "not_found", "no jail"),
    ] {
        let answer = scene.set_of(jail, settings.clone());
        let (is, message) = error_of(&answer);
        assert_eq!(is, code, "{settings}: {message}");
        assert!(
            message.contains(part) && !message.contains('\n'),
            "{settings}: {message}"
        );
    }
    for args in [
        json!({"jail": "web"}),
        json!({"settings": {"notes": "x"}}),
        json!({"jail": "web", "settings": []}),
        json!({"jail": "web", "settings": {"notes": "x"}, "force": "yes"}),
        json!({"jail": "web", "jails": ["db"], "settings": {"notes": "x"}}),
        json!({"jail": "web", "settings": {"notes": "x"}, "dryrun": true}),
    ] {
        let answer = scene.set(args.clone());
        assert_eq!(error_of(&answer).0, "invalid_argument", "{args}");
    }
    let args = json!({"action": "setjailsettings", "jail": "web", "settings": {"notes": "x"}});
    assert_eq!(ask_as(&scene.plugin, &args, Access::Read).0, 403);
    assert_eq!(["web", "db", "mail"].map(|jail| scene.config(jail)), before);
    assert!(scene.told().is_empty());
}

#[test]
fn an_address_that_another_has_is_given_by_force_only() {
    let scene = Scene::new();
    let wanted = json!({"jail": "web", "settings": {"ip4_addr": "re0|10.0.0.6/24"}});
    assert_eq!(error_of(&scene.set(wanted.clone())).0, "conflict");
    let mut forced = wanted;
    forced["force"] = json!(true);
    assert_eq!(
        scene.set(forced)["changed"]["ip4_addr"]["to"],
        "re0|10.0.0.6/24"
    );
    // Its own address is no other's.
    let own = scene.set_of("web", json!({"ip4_addr": "re0|10.0.0.6/16"}));
    assert_eq!(error_of(&own).0, "conflict", "db has it still");
    let own = scene.set_of("db", json!({"ip6_addr": "re1|2001:db8::6"}));
    assert_eq!(own["changed"]["ip6_addr"]["to"], "re1|2001:db8::6", "{own}");
}

#[test]
fn a_jail_that_claims_to_be_another_gets_no_quota_of_that_one() {
    let scene = Scene::new();
    scene.jail("odd", &json!({"host_hostuuid": "db"}));
    let answer = scene.set_of("odd", json!({"quota": "10G"}));
    assert_eq!(error_of(&answer).0, "conflict", "{answer}");
    assert!(scene.told().is_empty());
    assert!(scene.set_of("odd", json!({"notes": "x"}))["success"].is_string());
}

#[test]
fn an_older_iocage_gets_its_own_words_and_no_newer_property() {
    let scene = Scene::new();
    let habits = Arc::clone(&scene.habits);
    scene
        .host
        .step_in(move |host, line| match line.strip_prefix("iocage ") {
            Some("--version") => Some(Ok(printed("iocage", Ok("Version\t1.1\n".into())))),
            Some(words) => {
                let ended = sets(host, words.strip_prefix("set ")?, &habits.lock().unwrap());
                Some(ended.map(|ended| printed("iocage set ...", ended)))
            }
            None => None,
        });
    let answer = scene.set_of("web", json!({"boot": 0, "allow_raw_sockets": 1}));
    assert_eq!(answer["changed"]["boot"], json!({"from": "1", "to": "0"}));
    assert_eq!(scene.told(), ["boot=off allow_raw_sockets=1 web"]);
    let answer = scene.set_of("web", json!({"notes": "x", "nat": 1}));
    let (code, message) = error_of(&answer);
    assert_eq!(code, "unavailable");
    assert!(message.contains("older than 1.2"), "{message}");
    assert!(scene.told().is_empty());
}

#[test]
fn the_settings_of_all_jails_are_set_under_the_name_default() {
    let scene = Scene::new();
    let set = |settings: Value| scene.set(json!({"jail": "default", "settings": settings}));
    let answer = set(json!({"boot": true, "nat_prefix": "10.1", "priority": "50"}));
    assert_eq!(
        answer,
        json!({
            "success": "default settings set.",
            "changed": {
                "boot": {"from": "0", "to": "1"},
                "nat_prefix": {"from": "172.16", "to": "10.1"},
            },
        })
    );
    assert_eq!(scene.told(), ["boot=1 nat_prefix=10.1 default"]);
    for (settings, part) in [
        (json!({"quota": "10G"}), "a jail's own"),
        (json!({"host_hostname": "x"}), "a jail's own"),
        (json!({"template": 1}), "a jail's own"),
        (json!({"dhcp": 1}), "\"dhcp\" needs"),
        (json!({"ip4_addr": "10.0.0.9"}), "to all jails"),
        (json!({"exec_prestart": "x"}), "on the host"),
    ] {
        let answer = set(settings);
        let (code, message) = error_of(&answer);
        assert_eq!(code, "invalid_argument");
        assert!(message.contains(part), "{message}");
    }
    // Where one fails, the others are set back.
    scene.habits(Habits {
        refuses: refusals(&[("owner", "no")]),
        ..Habits::default()
    });
    let answer = set(json!({"boot": 0, "owner": "me"}));
    let message = error_of(&answer).1;
    assert!(
        message.starts_with("the settings of all jails are not changed: "),
        "{message}"
    );
    assert!(message.ends_with("; all was set back"), "{message}");
    let file = scene.host.dataset("tank/iocage/defaults.json");
    assert_eq!(parse(&fs::read_to_string(&file).unwrap())["boot"], "1");
    // A file that cannot be read is not written over.
    fs::write(&file, "{").unwrap();
    scene.told();
    assert_eq!(error_of(&set(json!({"boot": 0}))).0, "failed");
    assert!(scene.told().is_empty());
    // A jail that is called so is none that iocage can be asked about.
    scene.jail("default", &json!({}));
    let several = scene.set(json!({"jails": ["default"], "settings": {"notes": "x"}}));
    assert_eq!(several["jails"]["default"]["code"], "unavailable");
}

#[test]
fn two_who_set_something_at_once_do_not_lose_each_others() {
    for (jail, file) in [
        ("default", "tank/iocage/defaults.json"),
        ("web", "tank/iocage/jails/web/config.json"),
    ] {
        let scene = Scene::new();
        // It reads, takes its time and writes.
        scene.host.step_in(move |host, line| {
            let words = line.strip_prefix("iocage set ")?;
            let (key, value) = words.split(' ').next()?.split_once('=')?;
            let file = host.dataset(file);
            let mut all = parse(&fs::read_to_string(&file).unwrap());
            std::thread::sleep(std::time::Duration::from_millis(200));
            all[key] = json!(value);
            fs::write(&file, all.to_string()).unwrap();
            Some(Ok(printed("iocage set ...", Ok(String::new()))))
        });
        std::thread::scope(|scope| {
            for key in ["comment", "owner", "login_flags"] {
                let scene = &scene;
                scope.spawn(move || {
                    let answer = scene.set_of(jail, json!({key: "mine"}));
                    assert!(answer["success"].is_string(), "{answer}");
                });
            }
        });
        let all = parse(&fs::read_to_string(scene.host.dataset(file)).unwrap());
        for key in ["comment", "owner", "login_flags"] {
            assert_eq!(all[key], "mine", "{jail} {key}");
        }
    }
}

#[test]
fn no_active_pool_and_no_settings_are_told() {
    let scene = Scene::new();
    assert_eq!(scene.set_of("web", json!({}))["changed"], json!({}));
    fs::write(scene.host.dataset("tank/iocage/jails/web/config.json"), "{").unwrap();
    let answer = scene.set_of("web", json!({"notes": "x"}));
    assert_eq!(error_of(&answer).0, "unavailable");
    scene.host.mark("tank", false);
    for jail in ["db", "default"] {
        assert_eq!(
            error_of(&scene.set_of(jail, json!({"notes": "x"}))).0,
            "not_active"
        );
    }
    assert!(scene.told().is_empty());
}

/// A lab with the jails web (running) and foo, foo-bar, SMALL (down).
fn lab() -> Option<(Lab, common::Instance)> {
    let lab = Lab::or_skip(1)?;
    let pool = lab.pool(0);
    lab.lay_out(pool);
    lab.mark(pool, true);
    for name in ["web", "foo", "foo-bar", "SMALL"] {
        lab.add_jail(
            pool,
            name,
            None,
            &json!({"notes": "mine", "ip4_addr": "none"}),
        );
    }
    lab.set_running(&[(7, "web")]);
    let plugin = common::Instance::of(&lab);
    Some((lab, plugin))
}

#[test]
fn what_zfs_or_the_kernel_refuses_leaves_all_as_it_was() {
    let Some((lab, plugin)) = lab() else { return };
    let pool = lab.pool(0);
    let set = |jail: &str, settings: Value| {
        plugin.ask(&json!({"action": "setjailsettings", "jail": jail, "settings": settings}))
    };
    let of_zfs = |property: &str| {
        let dataset = format!("{pool}/iocage/jails/foo");
        let value = lab.zfs(&["get", "-H", "-o", "value", property, &dataset]);
        value.trim().to_string()
    };
    let before = lab.config_of(pool, "foo-bar");
    let answer = set(
        "foo",
        json!({"notes": "new", "quota": "3G", "reservation": "100T"}),
    );
    let (code, message) = error_of(&answer);
    assert_eq!(code, "failed", "{message}");
    assert!(message.contains("all was set back"), "{message}");
    assert_eq!(
        (of_zfs("quota"), of_zfs("reservation")),
        ("none".into(), "none".into())
    );
    assert_eq!(lab.config_of(pool, "foo")["notes"], "mine");

    let answer = set("foo", json!({"notes": "new", "quota": "3G"}));
    assert_eq!(
        answer["changed"],
        json!({
            "notes": {"from": "mine", "to": "new"}, "quota": {"from": "none", "to": "3G"},
        })
    );
    assert_eq!(of_zfs("quota"), "3G");
    assert_eq!(lab.config_of(pool, "foo-bar"), before, "it is another one");

    lab.set_habit("set web", Some("kernel-refuses"));
    let answer = set("web", json!({"notes": "new", "allow_raw_sockets": true}));
    let (code, message) = error_of(&answer);
    assert_eq!(code, "failed");
    assert!(message.contains("Operation not permitted"), "{message}");
    let config = lab.config_of(pool, "web");
    assert_eq!(config["notes"], "mine");
    assert_ne!(config["allow_raw_sockets"], 1);
    lab.set_habit("set web", None);
    let answer = set(
        "web",
        json!({"enforce_statfs": "1", "allow_raw_sockets": true}),
    );
    assert_eq!(
        answer["needs_restart"],
        json!(["enforce_statfs"]),
        "{answer}"
    );

    lab.forget_commands();
    let answer = set("SMALL", json!({"notes": "x"}));
    assert_eq!(
        error_of(&answer).0,
        "unavailable",
        "iocage takes it for all: {answer}"
    );
    assert!(lab.commands().iter().all(|line| line[0] != "iocage"));
}

#[test]
fn what_a_crash_left_undone_is_all_that_is_set_the_next_time() {
    let Some((lab, plugin)) = lab() else { return };
    let pool = lab.pool(0);
    // iocage and the program die after the first of two: this is what they leave.
    let file = lab.config_file(pool, "foo");
    let mut config = lab.config_of(pool, "foo");
    config["comment"] = json!("new");
    fs::write(&file, config.to_string()).unwrap();
    lab.forget_commands();
    let answer = plugin.ask(&json!({
        "action": "setjailsettings", "jail": "foo", "settings": {"comment": "new", "notes": "new"},
    }));
    assert_eq!(
        answer["changed"],
        json!({"notes": {"from": "mine", "to": "new"}}),
        "{answer}"
    );
    let config = lab.config_of(pool, "foo");
    assert_eq!(
        (&config["notes"], &config["comment"]),
        (&json!("new"), &json!("new"))
    );
    let commands = lab.commands();
    let sets: Vec<_> = commands
        .iter()
        .filter(|line| line[..2] == ["iocage", "set"])
        .collect();
    assert_eq!(
        sets,
        [&["iocage", "set", "notes=new", "foo"]
            .map(String::from)
            .to_vec()]
    );
}
