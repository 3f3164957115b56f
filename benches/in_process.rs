//! What stays inside the process: a request that runs no command, reading what ZFS, jls and iocage
//! print, and writing a long reply.

use criterion::{criterion_group, criterion_main, Criterion};
use std::hint::black_box;
use sysadm_iocage::actions::Access;
use sysadm_iocage::configuration::Configuration;
use sysadm_iocage::host::{Host, Level};
use sysadm_iocage::instance::Instance;
use sysadm_iocage::iocage::datasets;
use sysadm_iocage::iocage::jails::{Details, Jail, State};
use sysadm_iocage::reply::{jails, Object, Reply};

/// A host that has a log. (Without one, a line about a refusal would go to syslog(3), which is not
/// in the process.)
struct Logging;

impl Host for Logging {
    fn queue_process(&self, _: &str, _: &[String]) -> Option<bool> {
        None
    }

    fn is_job_active(&self, _: &str) -> Option<bool> {
        None
    }

    fn log(&self, _: Level, message: &str) -> bool {
        black_box(message);
        true
    }

    fn job_ended(&self, _: &str, _: &str) {}
}

fn requests(criterion: &mut Criterion) {
    let plugin = Instance::new(Configuration::parse("{}").unwrap(), Box::new(Logging));
    let mut refused = |name: &str, args: &str, access: Access| {
        criterion.bench_function(&format!("refused: {name}"), |bencher| {
            bencher.iter(|| {
                let reply = plugin.evaluate(black_box(args), access);
                reply.to_json()
            })
        });
    };
    refused("unknown action", r#"{"action": "listjailz"}"#, Access::Full);
    refused(
        "bad argument",
        r#"{"action": "activatepool", "pool": "tank;reboot"}"#,
        Access::Full,
    );
    refused(
        "no access",
        r#"{"action": "cleanreleases", "force": true}"#,
        Access::Read,
    );
    refused("not JSON", r#"{"action": "#, Access::Full);
}

fn jail(number: usize) -> Jail {
    let name = format!("jail{number}");
    Jail {
        uuid: name.clone(),
        tag: name.clone(),
        name,
        jid: (number % 2 == 0).then(|| number.to_string()),
        state: if number % 2 == 0 {
            State::Up
        } else {
            State::Down
        },
        boot: true,
        template: None,
        details: Some(Details {
            kind: "jail".into(),
            release: Some("13.2-RELEASE-p9".into()),
            ip4: Some(format!("re0|10.0.{}.{}/24", number / 250, number % 250)),
            ip6: None,
            dhcp: false,
            plugin: None,
            basejail: false,
            base_release: None,
        }),
    }
}

fn replies(criterion: &mut Criterion) {
    let list: Vec<Jail> = (0..1000).map(jail).collect();
    let reply = || {
        let jails = jails::keyed(&list, "jails", jails::key, jails::jail);
        Reply::of_action("listjails", Ok(Object::new().with("jails", jails)))
    };
    let built = reply();
    criterion.bench_function("1,000 jails: serialize the reply", |bencher| {
        bencher.iter(|| built.to_json())
    });
    criterion.bench_function("1,000 jails: build and serialize the reply", |bencher| {
        bencher.iter(|| reply().to_json())
    });
}

fn parsing(criterion: &mut Criterion) {
    let line = |number: usize| {
        let jail = format!("tank/iocage/jails/jail{number}");
        format!("{jail}\t-\n{jail}/root\ttank/iocage/releases/13.2-RELEASE/root@jail{number}\n")
    };
    let output: String = (0..1000).map(line).collect();
    criterion.bench_function("1,000 jails: read what zfs prints", |bencher| {
        bencher.iter(|| datasets::rows(black_box(&output)).len())
    });
}

criterion_group!(benches, requests, replies, parsing);
criterion_main!(benches);
