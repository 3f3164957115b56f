//! The library from other languages: their own tests, run on a lab, and the inventory for Ansible.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{install, library, parse, run, skip, source, PKG_CONFIG_FOLDER};
use serde_json::{json, Value};
use sysadm_iocage_lab::Lab;

/// A furnished lab, and the file of its configuration.
fn lab() -> Option<(Lab, PathBuf)> {
    let lab = Lab::or_skip(2)?;
    lab.furnish();
    let file = lab.configuration();
    Some((lab, file))
}

/// Whether a command is there; if not, the test is skipped.
fn has(program: &str, argument: &str) -> bool {
    let found = Command::new(program).arg(argument).output().is_ok();
    if !found {
        skip(program);
    }
    found
}

fn python(config: &Path) -> Command {
    let mut command = Command::new("python3");
    command
        // A warning is an error, and nothing is written into the source.
        .args(["-B", "-W", "error"])
        .env("PYTHONPATH", source("bindings/python/src"))
        .env("SYSADM_IOCAGE_LIBRARY", library())
        .env("SYSADM_IOCAGE_CONFIG", config);
    command
}

#[test]
fn the_python_module_passes_its_tests_on_a_lab() {
    let Some((_lab, config)) = lab() else { return };
    if has("python3", "--version") {
        run(python(&config)
            .args(["-m", "unittest", "discover", "-s"])
            .arg(source("bindings/python/tests")));
    }
}

#[test]
fn the_go_package_is_clean_and_passes_its_tests_on_a_lab() {
    let Some((_lab, config)) = lab() else { return };
    if !has("go", "version") {
        return;
    }
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let stage = tmp.join("go-stage");
    install(&["install-header", "install-library"], &stage);
    let package = source("bindings/go");
    let prefix = stage.join("usr/local");
    let go = |arguments: &[&str]| {
        run(Command::new("go")
            .args(arguments)
            .current_dir(&package)
            .env("GOCACHE", common::go_cache())
            .env("GOFLAGS", "-mod=readonly")
            .env("GOPROXY", "off")
            .env("GOTOOLCHAIN", "local")
            .env("PKG_CONFIG_PATH", prefix.join(PKG_CONFIG_FOLDER))
            .env("PKG_CONFIG_SYSROOT_DIR", &stage)
            .env("LD_LIBRARY_PATH", prefix.join("lib"))
            .env("SYSADM_IOCAGE_VERSION", env!("CARGO_PKG_VERSION"))
            .env("SYSADM_IOCAGE_CONFIG", &config))
    };
    let unformatted = run(Command::new("gofmt").arg("-l").arg(&package)).stdout;
    assert_eq!(String::from_utf8(unformatted).unwrap(), "");
    go(&["vet", "./..."]);
    // Not a result that is remembered: this is another lab. A pointer that C must not keep is found.
    go(&["test", "-count=1", "./..."]);
}

/// What the inventory prints for these words.
fn inventory(config: &Path, words: &[&str]) -> Value {
    let output = run(python(config)
        .arg(source("examples/inventory.py"))
        .args(words));
    parse(&String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_inventory_has_each_jail_with_its_variables_and_groups() {
    let Some((lab, config)) = lab() else { return };
    if !has("python3", "--version") {
        return;
    }
    let more = json!({"ip4_addr": "re0.7|10.0.0.1/24,vnet0|DHCP,10.0.0.2", "ip6_addr": "re0|::7"});
    lab.add_jail(lab.pool(0), "many", Some("releases/13.2-RELEASE"), &more);
    lab.forget_commands();
    let all = inventory(&config, &["--list"]);

    // One request: jails are not asked for one after the other, and iocage not at all.
    let commands = lab.commands();
    let asks = |word: &str| commands.iter().filter(|words| words[0] == word).count();
    assert_eq!((asks("iocage"), asks("jls")), (0, 1), "{commands:?}");

    let hosts = &all["_meta"]["hostvars"];
    let names = [
        "5",
        "db",
        "jenkins",
        "mail.example.org",
        "many",
        "roaming",
        "web",
    ];
    assert_eq!(hosts.as_object().unwrap().len(), names.len());
    assert!(names.iter().all(|name| hosts[name].is_object()), "{hosts}");
    let mut web = hosts["web"].clone();
    assert_eq!(web["iocage_properties"]["ip4_addr"], "re0|10.20.0.10/24");
    web.as_object_mut().unwrap().remove("iocage_properties");
    let expected = json!({
        "ansible_host": "10.20.0.10", "iocage_basejail": "no", "iocage_boot": "on",
        "iocage_ip4": "10.20.0.10", "iocage_ip6": "-", "iocage_jid": "5",
        "iocage_ip4_dict": {
            "ip4": [{"ifc": "re0", "ip": "10.20.0.10", "mask": "24"}], "msg": "",
        },
        "iocage_release": "13.2-RELEASE-p9", "iocage_state": "up", "iocage_template": "-",
        "iocage_type": "jail",
    });
    assert_eq!(web, expected);
    assert_eq!(hosts["mail.example.org"]["ansible_host"], "2001:db8::25");
    let roaming = &hosts["roaming"];
    assert_eq!(roaming["iocage_ip4"], "-");
    assert_eq!(roaming["iocage_ip4_dict"]["msg"], "DHCP (not running)");
    assert_eq!(roaming.get("ansible_host"), None);
    let many = &hosts["many"];
    assert_eq!(many["iocage_ip4"], "10.0.0.1,10.0.0.2", "{many}");
    assert_eq!(many["iocage_ip4_dict"]["ip4"][0]["ifc"], "re0.7");

    assert_eq!(
        all["state_up"]["hosts"],
        json!(["web", "mail.example.org", "jenkins"])
    );
    assert_eq!(all["type_pluginv2"]["hosts"], json!(["jenkins"]));
    assert_eq!(all["template_base"]["hosts"], json!(["db"]));
    assert!(all["release_13_2_RELEASE_p9"]["hosts"].is_array());
    assert_eq!(all["all"]["hosts"].as_array().unwrap().len(), names.len());

    assert_eq!(inventory(&config, &["--host", "web"]), hosts["web"]);
    for (words, code) in [(&["--host", "nobody"][..], 1), (&[], 2)] {
        let mut command = python(&config);
        let output = command.arg(source("examples/inventory.py")).args(words);
        let output = output.output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{words:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
    lab.mark(lab.pool(0), false);
    let output = python(&config)
        .arg(source("examples/inventory.py"))
        .arg("--list")
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("inventory.py: not_active: "), "{stderr}");
}
