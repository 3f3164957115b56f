//! `startjail`, `stopjail`, `restartjail`, `capjail`: what is answered is how the jail is, whatever
//! iocage's exit code says.

mod common;

use std::fs::{self, File};
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::made_up::{ask, Desk, MadeUp};
use common::{error_of, Instance};
use serde_json::{json, Value};
use sysadm_iocage::error::{Code, Error, Result};
use sysadm_iocage::ffi::SYSADM_IOCAGE_ACCESS_READ;
use sysadm_iocage::host::NoHost;
use sysadm_iocage::system::{Child, Mount, Order, Output, Runner};
use sysadm_iocage_lab::Lab;

/// A lab with a household in its first pool, in which web, mail.example.org and jenkins run.
fn household() -> Option<Lab> {
    let lab = Lab::or_skip(1)?;
    lab.furnish();
    Some(lab)
}

fn act(plugin: &Instance, action: &str, jail: &str) -> Value {
    plugin.ask(&json!({"action": action, "jail": jail}))
}

/// The commands of iocage that were run since the last time.
fn iocage(lab: &Lab) -> Vec<String> {
    let commands = lab.commands();
    lab.forget_commands();
    let own = commands.iter().filter(|words| words[0] == "iocage");
    own.map(|words| words[1..].join(" ")).collect()
}

fn jid(lab: &Lab, jail: &str) -> String {
    let jid = lab.jid_of(jail);
    jid.unwrap_or_else(|| panic!("{jail} is down")).to_string()
}

/// Changes what the config.json of a jail says.
fn configure(lab: &Lab, jail: &str, more: &Value) {
    let mut config = lab.config_of(lab.pool(0), jail);
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    fs::write(lab.config_file(lab.pool(0), jail), config.to_string()).unwrap();
}

#[test]
fn a_jail_starts_and_stops_and_is_left_alone_where_it_is_so_already() {
    let Some(lab) = household() else { return };
    let plugin = Instance::of(&lab);
    let started = act(&plugin, "startjail", "db");
    let expected = json!({
        "success": "jail db started.", "changed": "true", "jid": jid(&lab, "db"),
    });
    assert_eq!(started, expected);
    let again = plugin.ask(&json!({"action": "startjail", "jail_uuid": "db"}));
    let expected = json!({
        "success": "jail db started.", "changed": "false", "jid": jid(&lab, "db"),
    });
    assert_eq!(again, expected);
    assert_eq!(iocage(&lab), ["start db"]);
    let state = &plugin.ask_for("listjails")["jails"][jid(&lab, "db")]["state"];
    assert_eq!(state, "up");

    for changed in ["true", "false"] {
        let stopped = act(&plugin, "stopjail", "db");
        let expected = json!({"success": "jail db stopped.", "changed": changed});
        assert_eq!(stopped, expected);
        assert_eq!(lab.jid_of("db"), None);
    }
    let args = json!({"action": "stopjail", "jail": "mail.example.org", "force": true});
    assert_eq!(plugin.ask(&args)["changed"], "true");
    assert_eq!(lab.jid_of("mail.example.org"), None);
    assert_eq!(
        act(&plugin, "startjail", "mail.example.org")["changed"],
        "true"
    );
    assert_eq!(
        iocage(&lab),
        [
            "stop db",
            "stop -f mail.example.org",
            "start mail.example.org"
        ]
    );
    assert_eq!(jid(&lab, "web"), "5", "nothing else has changed");
}

#[test]
fn a_restarted_jail_has_a_new_jid_and_a_softly_restarted_one_the_old() {
    let Some(lab) = household() else { return };
    let plugin = Instance::of(&lab);
    let soft =
        |jail: &str| plugin.ask(&json!({"action": "restartjail", "jail": jail, "soft": true}));
    let answer = soft("web");
    let rest = "iocage does not say whether its services have ended and started";
    let expected = json!({"success": "jail web restarted.", "jid": "5", "warning": rest});
    assert_eq!(answer, expected);
    assert_eq!(jid(&lab, "web"), "5");
    lab.set_fault("iocage", Some("echo why >&2; exit 0"));
    let answer = soft("web");
    lab.set_fault("iocage", None);
    let message = "jail web is up (jid 5), and iocage restart ended with exit code 0: why";
    assert_eq!(error_of(&answer), ("failed", message));
    iocage(&lab);
    assert_eq!(soft("web"), expected);
    let answer = act(&plugin, "restartjail", "web");
    assert_ne!(jid(&lab, "web"), "5");
    let expected = json!({"success": "jail web restarted.", "jid": jid(&lab, "web")});
    assert_eq!(answer, expected);

    assert_eq!(error_of(&soft("db")), ("not_active", "jail db is down"));
    assert_eq!(lab.jid_of("db"), None);
    let answer = act(&plugin, "restartjail", "db");
    let expected = json!({"success": "jail db restarted.", "jid": jid(&lab, "db")});
    assert_eq!(answer, expected);
    assert_eq!(iocage(&lab), ["restart -s web", "restart web", "start db"]);
}

#[test]
fn a_start_that_fails_is_told_as_it_is() {
    let Some(lab) = household() else { return };
    let plugin = Instance::of(&lab);
    let is_down = "jail db is down, and iocage start ended with exit code 1: ";
    for (habit, words) in [
        ("fails", "Operation not permitted"),
        ("prestart-fails", "exec_prestart failed"),
        ("services-fail", "exec_start failed"),
        ("poststart-fails", "exec_poststart failed"),
    ] {
        lab.set_habit("start db", Some(habit));
        let answer = act(&plugin, "startjail", "db");
        let (code, error) = error_of(&answer);
        assert_eq!(code, "failed");
        assert!(
            error.starts_with(is_down) && error.contains(words),
            "{error}"
        );
        assert_eq!(lab.jid_of("db"), None, "{habit}");
    }
    lab.set_habit("start db", Some("traceback"));
    let answer = act(&plugin, "startjail", "db");
    let expected = format!(
        "jail db is up (jid {}), and iocage start ended with exit code 1: not today",
        jid(&lab, "db")
    );
    assert_eq!(error_of(&answer), ("failed", &*expected));
    lab.set_habit("start db", None);
    assert_eq!(act(&plugin, "startjail", "db")["changed"], "false");
    assert_eq!(act(&plugin, "stopjail", "db")["changed"], "true");

    // Exit code 0, and nothing was started.
    configure(&lab, "db", &json!({"devfs_ruleset": "77"}));
    let answer = act(&plugin, "startjail", "db");
    let (code, error) = error_of(&answer);
    let start = "jail db is down, and iocage start ended with exit code 0: ";
    assert!(code == "failed" && error.starts_with(start), "{error}");
    assert!(
        error.contains("devfs_ruleset 77 does not exist!"),
        "{error}"
    );
    assert_eq!(lab.jid_of("db"), None);

    // It runs, without the limits that it should have.
    configure(
        &lab,
        "db",
        &json!({"devfs_ruleset": "4", "memoryuse": "deny=1G"}),
    );
    lab.set_racct(false);
    let answer = act(&plugin, "startjail", "db");
    let (code, error) = error_of(&answer);
    assert!(code == "failed" && error.contains("is up"), "{error}");
    assert!(error.contains("kern.racct.enable"), "{error}");
}

#[test]
fn a_stop_that_fails_is_told_as_it_is() {
    let Some(lab) = household() else { return };
    let plugin = Instance::of(&lab);
    for (habit, words) in [
        ("prestop-fails", "--force"),
        ("services-fail", "--force"),
        ("stays", "Operation not permitted"),
    ] {
        lab.set_habit("stop", Some(habit));
        let answer = act(&plugin, "stopjail", "web");
        let (code, error) = error_of(&answer);
        let start = "jail web is still up (jid 5), and iocage stop ended with exit code 1: ";
        assert_eq!(code, "failed");
        assert!(error.starts_with(start) && error.contains(words), "{error}");
    }
    lab.set_habit("stop", Some("services-fail"));
    let args = json!({"action": "stopjail", "jail": "web", "force": true});
    let expected = json!({"success": "jail web stopped.", "changed": "true"});
    assert_eq!(plugin.ask(&args), expected);

    // Exit code 1, and it has gone.
    lab.set_habit("stop", Some("warns"));
    let answer = act(&plugin, "stopjail", "jenkins");
    assert_eq!(answer["success"], "jail jenkins stopped.");
    assert_eq!(answer["changed"], "true");
    let warning = answer["warning"].as_str().unwrap();
    let start = "iocage stop ended with exit code 1: ";
    assert!(warning.starts_with(start), "{warning}");
    assert!(warning.contains("getpwnam: no such user"), "{warning}");
    assert_eq!(lab.jid_of("jenkins"), None);

    lab.set_habit("stop", None);
    lab.set_fault("iocage", Some("exit 0"));
    let mail = "mail.example.org";
    let answer = act(&plugin, "stopjail", mail);
    let expected =
        format!("jail {mail} is still up (jid 6), and iocage stop ended with exit code 0");
    assert_eq!(error_of(&answer), ("failed", &*expected));
    let answer = act(&plugin, "restartjail", mail);
    let expected = format!(
        "jail {mail} still runs as before (jid 6), and iocage restart ended with exit code 0"
    );
    assert_eq!(error_of(&answer), ("failed", &*expected));
    lab.set_fault("iocage", None);
    lab.set_habit("start", Some("fails"));
    let answer = act(&plugin, "restartjail", mail);
    let (code, error) = error_of(&answer);
    let start = format!("jail {mail} is down now, and iocage restart ended with exit code 1: ");
    assert!(code == "failed" && error.starts_with(&start), "{error}");
}

#[test]
fn what_iocage_would_misread_never_reaches_it() {
    let Some(lab) = household() else { return };
    let pool = lab.pool(0);
    let release = Some("releases/13.2-RELEASE");
    let config = json!({"release": "13.2-RELEASE"});
    for jail in ["SMALL", "a.b", "a_b", "broken", "away"] {
        lab.add_jail(pool, jail, release, &config);
    }
    fs::write(lab.config_file(pool, "broken"), "{").unwrap();
    lab.zfs(&["unmount", &format!("{pool}/iocage/jails/away/root")]);
    lab.zfs(&["unmount", &format!("{pool}/iocage/jails/away")]);
    let plugin = Instance::of(&lab);
    let refused = |action: &str, jail: &str| {
        let answer = act(&plugin, action, jail);
        let (code, error) = error_of(&answer);
        assert!(error.contains(jail), "{error}");
        (code.to_string(), error.to_string())
    };
    lab.forget_commands();
    for action in ["startjail", "stopjail", "restartjail"] {
        let (code, error) = refused(action, "base");
        assert!(code == "conflict" && error.contains("template"), "{error}");
        let (code, error) = refused(action, "broken");
        assert!(
            code == "unavailable" && error.contains("CORRUPT"),
            "{error}"
        );
        let (code, error) = refused(action, "away");
        assert!(
            code == "unavailable" && error.contains("unmounted"),
            "{error}"
        );
        for none in ["d", "we", "nosuch"] {
            assert_eq!(refused(action, none).0, "not_found");
        }
    }
    for action in ["startjail", "restartjail"] {
        let (code, error) = refused(action, "SMALL");
        assert!(
            code == "unavailable" && error.contains("something else"),
            "{error}"
        );
    }
    assert_eq!(iocage(&lab), [""; 0]);

    // One name for two.
    assert_eq!(act(&plugin, "startjail", "a.b")["changed"], "true");
    for action in ["startjail", "restartjail"] {
        let (code, error) = refused(action, "a_b");
        assert!(
            code == "conflict" && error.contains("another one runs as ioc-a_b"),
            "{error}"
        );
    }
    let stopped = act(&plugin, "stopjail", "a_b");
    assert_eq!(stopped["changed"], "false");
    assert_eq!(iocage(&lab), ["start a.b"]);

    // db runs, but under a name by which iocage would find web.
    let root = lab.iocage_root(pool).join("jails/db/root");
    lab.set_running(&[]);
    lab.start(40, "web", &root);
    for action in ["stopjail", "restartjail"] {
        let (code, error) = refused(action, "db");
        assert!(
            code == "conflict" && error.contains("\"ioc-web\""),
            "{error}"
        );
    }
    let (code, error) = refused("startjail", "web");
    assert!(code == "conflict" && error.contains("jid 40"), "{error}");
    assert_eq!(iocage(&lab), [""; 0]);
    assert_eq!(lab.running().len(), 1);

    lab.mark(pool, false);
    assert_eq!(error_of(&act(&plugin, "startjail", "db")).0, "not_active");
    assert_eq!(iocage(&lab), [""; 0]);
}

#[test]
fn a_jail_that_is_mounted_elsewhere_is_not_taken_for_another() {
    let Some(lab) = household() else { return };
    let pool = lab.pool(0);
    let config = json!({"release": "13.2-RELEASE"});
    lab.add_jail(pool, "www", Some("releases/13.2-RELEASE"), &config);
    lab.add_jail(pool, "www2", Some("releases/13.2-RELEASE"), &config);
    let elsewhere = lab.mountpoint(pool).join("elsewhere");
    let mountpoint = format!("mountpoint={}", elsewhere.display());
    lab.zfs(&["set", &mountpoint, &format!("{pool}/iocage/jails/www")]);
    let _ = fs::remove_dir(lab.iocage_root(pool).join("jails/www"));
    let plugin = Instance::of(&lab);
    let answer = act(&plugin, "startjail", "www");
    let (code, error) = error_of(&answer);
    assert!(
        code == "unavailable" && error.contains("where iocage looks"),
        "{error}"
    );
    assert_eq!(lab.jid_of("www2"), None);
}

#[test]
fn of_several_one_that_fails_hides_no_other() {
    let Some(lab) = household() else { return };
    let plugin = Instance::of(&lab);
    lab.set_habit("start 5", Some("fails"));
    let jails = json!(["5", "nosuch", "base", "db", "web"]);
    let answer = plugin.ask(&json!({"action": "startjail", "jails": jails}));
    let jails = &answer["jails"];
    assert_eq!(error_of(&jails["5"]).0, "failed");
    assert_eq!(error_of(&jails["nosuch"]).0, "not_found");
    assert_eq!(error_of(&jails["base"]).0, "conflict");
    assert_eq!(jails["db"]["changed"], "true");
    assert_eq!(jails["web"]["changed"], "false");
    assert_eq!(jails.as_object().unwrap().len(), 5);
    assert_eq!(iocage(&lab), ["start 5", "start db"]);
    let all = json!(["db", "web", "jenkins"]);
    for action in ["capjail", "restartjail", "stopjail"] {
        let answer = plugin.ask(&json!({"action": action, "jails": all}));
        for jail in ["db", "web", "jenkins"] {
            assert!(answer["jails"][jail]["success"].is_string(), "{answer}");
        }
    }
    assert_eq!(lab.running().len(), 1);
}

#[test]
fn of_two_that_start_one_jail_the_second_waits_and_changes_nothing() {
    let Some(lab) = household() else { return };
    let plugin = Instance::of(&lab);
    lab.set_pace("1");
    let start = || act(&plugin, "startjail", "db");
    let (one, other) = std::thread::scope(|scope| {
        let one = scope.spawn(start);
        (start(), one.join().unwrap())
    });
    let mut changed = [&one["changed"], &other["changed"]].map(|text| text.as_str().unwrap());
    changed.sort_unstable();
    assert_eq!(changed, ["false", "true"]);
    assert_eq!(one["jid"], other["jid"]);
    assert_eq!(iocage(&lab), ["start db"]);
}

#[test]
fn what_a_jail_depends_on_starts_with_it() {
    let Some(lab) = household() else { return };
    configure(&lab, "db", &json!({"depends": "roaming5 5"}));
    let plugin = Instance::of(&lab);
    let answer = act(&plugin, "startjail", "db");
    let (code, error) = error_of(&answer);
    assert!(
        code == "failed" && error.contains("'roaming5' not found"),
        "{error}"
    );
    configure(&lab, "db", &json!({"depends": "5"}));
    configure(&lab, "5", &json!({"depends": "none"}));
    let answer = act(&plugin, "startjail", "db");
    assert_eq!(answer["changed"], "true", "{answer}");
    assert!(lab.jid_of("5").is_some());

    // Who changes what starts with it waits.
    act(&plugin, "stopjail", "db");
    act(&plugin, "stopjail", "5");
    lab.set_pace("1");
    lab.forget_commands();
    let changed = std::thread::scope(|scope| {
        let start = scope.spawn(|| act(&plugin, "startjail", "db"));
        common::eventually("db starts", || {
            let is_start = |words: &Vec<String>| words.join(" ") == "iocage start db";
            lab.commands().iter().any(is_start)
        });
        let stopped = act(&plugin, "stopjail", "5");
        assert_eq!(start.join().unwrap()["changed"], "true");
        stopped["changed"].clone()
    });
    assert_eq!(changed, "true", "it was looked at before it had started");
}

#[test]
fn the_limits_of_a_jail_are_set_again_and_no_others() {
    let Some(lab) = household() else { return };
    let mail = "mail.example.org";
    configure(
        &lab,
        mail,
        &json!({"memoryuse": "deny=4G", "pcpu": "deny=50", "nthr": "off"}),
    );
    let rctl = |arguments: &[&str]| {
        common::run(std::process::Command::new(lab.dir().join("real/rctl")).args(arguments));
    };
    let others = [
        "jail:ioc-mail:maxproc:deny=9",
        "jail:ioc-web:maxproc:deny=9",
    ];
    for rule in others {
        rctl(&["-a", rule]);
    }
    rctl(&["-a", "jail:ioc-mail_example_org:nthr:deny=7"]);
    let plugin = Instance::of(&lab);
    let capped = json!({"success": "jail mail.example.org capped."});
    let wanted = [
        "jail:ioc-mail:maxproc:deny=9",
        "jail:ioc-mail_example_org:memoryuse:deny=4294967296",
        "jail:ioc-mail_example_org:pcpu:deny=50",
        "jail:ioc-web:maxproc:deny=9",
    ];
    let rules = || {
        let mut rules = lab.rctl_rules();
        rules.sort();
        rules
    };
    for _ in 0..2 {
        assert_eq!(act(&plugin, "capjail", mail), capped);
        assert_eq!(rules(), wanted);
    }

    // Nothing changes where it cannot be done.
    lab.set_fault(
        "rctl",
        Some("case \"$*\" in *:pcpu:*) echo no >&2; exit 1 ;; esac"),
    );
    let answer = act(&plugin, "capjail", mail);
    let (code, error) = error_of(&answer);
    assert!(code == "failed" && error.contains("pcpu"), "{error}");
    // That fault is in the way of the former limits too.
    assert!(error.contains("could not be set again"), "{error}");
    assert!(
        error.ends_with("its limits are now jail:ioc-mail_example_org:memoryuse:deny=4294967296"),
        "{error}"
    );
    lab.set_fault("rctl", None);
    assert_eq!(act(&plugin, "capjail", mail), capped);
    configure(&lab, mail, &json!({"pcpu": "deny=many"}));
    let answer = act(&plugin, "capjail", mail);
    let (code, error) = error_of(&answer);
    assert!(code == "conflict" && error.contains("\"pcpu\""), "{error}");
    assert_eq!(rules(), wanted);
    configure(&lab, mail, &json!({"pcpu": "deny=60"}));
    lab.set_racct(false);
    let answer = act(&plugin, "capjail", mail);
    let (code, error) = error_of(&answer);
    assert!(
        code == "unavailable" && error.contains("kern.racct.enable"),
        "{error}"
    );
    assert_eq!(rules(), wanted);
    lab.set_racct(true);
    configure(&lab, mail, &json!({"memoryuse": "off", "pcpu": "off"}));
    assert_eq!(act(&plugin, "capjail", mail), capped);
    let mut left = others;
    left.sort_unstable();
    assert_eq!(rules(), left);

    assert_eq!(
        error_of(&act(&plugin, "capjail", "db")),
        ("not_active", "jail db is down")
    );
    assert_eq!(error_of(&act(&plugin, "capjail", "base")).0, "not_active");
    fs::write(lab.config_file(lab.pool(0), "web"), "{").unwrap();
    assert_eq!(error_of(&act(&plugin, "capjail", "web")).0, "unavailable");
    assert_eq!(iocage(&lab), [""; 0], "all of it without iocage");
}

#[test]
fn who_may_only_read_and_who_asks_wrongly_changes_nothing() {
    let Some(lab) = household() else { return };
    let plugin = Instance::of(&lab);
    let running = lab.running();
    for action in ["startjail", "stopjail", "restartjail", "capjail"] {
        let args = json!({"action": action, "jail": "web"}).to_string();
        assert_eq!(plugin.evaluate(&args, SYSADM_IOCAGE_ACCESS_READ).0, 403);
        for (more, named) in [
            (json!({}), "jail"),
            (json!({"jail": ""}), "jail"),
            (json!({"jail": "-f"}), ""),
            (json!({"jail": 5}), "jail"),
            (json!({"jail": ["web"]}), "jail"),
            (json!({"jail_uuid": null}), "jail_uuid"),
            (json!({"jails": []}), "jails"),
            (json!({"jails": ["web", 1]}), "jails"),
            (json!({"jails": "web", "jail": "web"}), "jails"),
            (json!({"jail": "web", "sotf": true}), "sotf"),
            (json!({"jail": "web", "force": "yes"}), "force"),
            (json!({"jail": "web", "soft": 1}), "soft"),
        ] {
            let mut args = more.clone();
            args["action"] = json!(action);
            let answer = plugin.ask(&args);
            let (code, error) = error_of(&answer);
            match named {
                "" => assert_eq!(code, "not_found", "{args}: {error}"),
                _ => {
                    assert_eq!(code, "invalid_argument", "{args}: {error}");
                    assert!(error.contains(&format!("\"{named}\"")), "{args}: {error}");
                }
            }
        }
    }
    assert_eq!(iocage(&lab), [""; 0]);
    assert_eq!(lab.running(), running);
}

/// A made-up host on which iocage hangs and its time limits are noted.
struct Hanging {
    host: Arc<MadeUp>,
    is_up: AtomicBool,
    limits: Mutex<Vec<(String, Duration)>>,
}

impl Runner for Hanging {
    fn run(&self, order: &Order, limit: Duration, stop: &AtomicBool) -> Result<Output> {
        use std::sync::atomic::Ordering::SeqCst;
        let words = order.argv[1..].join(" ");
        if order.argv[0].ends_with("iocage") && words != "--version" {
            self.limits.lock().unwrap().push((words.clone(), limit));
            // Whatever it did until it was ended.
            self.is_up.store(words.contains("up"), SeqCst);
            return Err(Error::new(
                Code::Timeout,
                format!("iocage {words}: timeout"),
            ));
        }
        if order.argv[0].ends_with("jls") && self.is_up.load(SeqCst) {
            let root = self.host.dataset("tank/iocage/jails/up/root");
            let jail = json!({"jid": 7, "name": "ioc-up", "path": root});
            let stdout = json!({"jail-information": {"jail": [jail]}}).to_string();
            return Ok(common::made_up::printed("jls", Ok(stdout)));
        }
        self.host.run(order, limit, stop)
    }

    fn spawn(&self, order: &Order, output: &File, held: &[BorrowedFd<'_>]) -> Result<Child> {
        self.host.spawn(order, output, held)
    }

    fn mount_table(&self) -> io::Result<Vec<Mount>> {
        self.host.mount_table()
    }

    fn log(&self, priority: i32, line: &str) {
        self.host.log(priority, line);
    }
}

#[test]
fn one_that_hangs_is_ended_after_iocages_own_limits_and_told_as_it_is() {
    let host = MadeUp::new(&["tank"]);
    for (jail, config) in [
        ("up", json!({"exec_timeout": "1000", "stop_timeout": "500"})),
        ("down", json!({"depends": "up"})),
        // iocage takes the beginning of a name for the name, and a circle is its to refuse.
        ("prefix", json!({"depends": "u prefix"})),
    ] {
        let dataset = format!("tank/iocage/jails/{jail}");
        host.add(&format!("{dataset}/root"));
        let file = host.dataset(&dataset).join("config.json");
        fs::write(file, config.to_string()).unwrap();
    }
    let runner = Arc::new(Hanging {
        host: Arc::clone(&host),
        is_up: AtomicBool::new(false),
        limits: Mutex::default(),
    });
    let configuration = host.configuration(&json!({"command_timeout_seconds": 20}));
    let plugin = sysadm_iocage::instance::Instance::with_runner(
        configuration,
        Box::new(NoHost),
        Arc::clone(&runner) as Arc<dyn Runner>,
    );
    let start = |jail: &str| ask(&plugin, &json!({"action": "startjail", "jail": jail}));
    let answer = start("down");
    let expected = "jail down: iocage start down: timeout; it is down";
    assert_eq!(error_of(&answer), ("timeout", expected));
    let answer = start("up");
    let expected = "jail up: iocage start up: timeout; it is up (jid 7)";
    assert_eq!(error_of(&answer), ("timeout", expected));
    start("prefix");
    let limits = runner.limits.lock().unwrap();
    assert_eq!(limits[2].1, limits[0].1);
    let own = Duration::from_secs(20 + 1000 + 500);
    assert!(limits[1].1 > own, "{limits:?}");
    assert!(
        limits[0].1 >= limits[1].1 + Duration::from_secs(60 + 30),
        "{limits:?}"
    );
}

#[test]
fn a_start_leaves_a_line_with_its_outcome() {
    let host = MadeUp::new(&["tank"]);
    host.add("tank/iocage/jails/web/root");
    fs::write(
        host.dataset("tank/iocage/jails/web").join("config.json"),
        "{}",
    )
    .unwrap();
    host.step_in(|_, line| {
        let is_start = line.starts_with("iocage start");
        is_start.then(|| {
            Ok(common::made_up::printed(
                "iocage",
                Err("not today\n".into()),
            ))
        })
    });
    let desk = Desk::new();
    let plugin = host.open_at(&desk, &json!({}));
    ask(&plugin, &json!({"action": "startjail", "jail": "web"}));
    ask(&plugin, &json!({"action": "stopjail", "jail": "web"}));
    let lines = desk.lines();
    let failed = "audit: startjail jail=\"web\": failed, jail web is down, and iocage start ended \
                  with exit code 1: not today (";
    assert!(lines[0].starts_with(failed), "{lines:?}");
    let done = "audit: stopjail jail=\"web\": done, {\"changed\":\"false\",\"success\":\"jail web stopped.\"} (";
    assert!(lines[1].starts_with(done), "{lines:?}");
    assert_eq!(lines.len(), 2);
}
