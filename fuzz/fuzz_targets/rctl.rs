//! Any bytes as the limits that rctl says a jail has; as what it says when it sets none; and as what a
//! command in a jail prints.
#![no_main]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::{json, Value};
use sysadm_iocage_fuzz::{check_failure, keys, on_host, Instance, Says};

static INSTANCE: LazyLock<Instance> = LazyLock::new(|| Instance::open(json!({})));

fuzz_target!(|data: &[u8]| {
    let said = || Some(data.to_vec());
    let cap = |says: Says| {
        on_host(says, || {
            INSTANCE.ask(json!({"action": "capjail", "jail": "jenkins"}))
        })
    };
    let limits = Says {
        rctl: said(),
        ..Says::default()
    };
    let answer = cap(limits.clone());
    // It is set if the kernel says so afterwards, and has no other limit of the jail.
    let text = String::from_utf8_lossy(data);
    let lines = text.lines().map(str::trim);
    // No rule has anything else in it.
    let rules = lines.filter(|line| line.bytes().all(|byte| byte.is_ascii_graphic()));
    let own = rules.filter(|rule| rule.starts_with("jail:ioc-jenkins:"));
    let kinds: BTreeSet<&str> = own.filter_map(|rule| rule.split('=').next()).collect();
    match kinds == BTreeSet::from(["jail:ioc-jenkins:memoryuse:deny"]) {
        true => assert_eq!(answer["success"], "jail jenkins capped."),
        false => check_failure(&answer, "failed"),
    }
    let fails = Says {
        rctl_fails: said(),
        ..limits
    };
    check_failure(&cap(fails), "failed");

    let says = Says {
        jexec_fails: said(),
        ..Says::default()
    };
    let answer = on_host(says, || {
        let args = json!({"action": "execjail", "jail": "web", "command": ["hunter2"]});
        INSTANCE.ask(args)
    });
    match answer["error"].as_str() {
        Some(error) => assert!(!error.contains("hunter2"), "{answer}"),
        None => {
            assert_eq!(keys(&answer), ["exit_code", "stderr", "stdout"]);
            assert_eq!(answer["stderr"], Value::from(&*text));
        }
    }
});
