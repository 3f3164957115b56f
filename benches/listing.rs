//! How long the reading actions take, beside the floor: the commands and file reads that any right
//! answer needs, done bare and as much at once as they can be, in the same run.
//!
//!     make bench                      10, 100 and 400 jails
//!     BENCH_JAILS=10,1000 make bench
//!
//! "cold" is the first request of a new instance, "again" its second. The lab is on whatever ZFS
//! there is; on zfs-fuse a dataset costs about 1 ms to list, on a kernel's ZFS some tens of
//! microseconds.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{json, Value};
use sysadm_iocage::actions::Access;
use sysadm_iocage::config::Config;
use sysadm_iocage::context::NoHost;
use sysadm_iocage::plugin::Plugin;
use sysadm_iocage_lab::Lab;

const RELEASE: &str = "13.2-RELEASE";
const RUNS: usize = 7;

fn main() {
    // cargo passes --bench, and test runners ask what there is.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let sizes = std::env::var("BENCH_JAILS").unwrap_or_else(|_| "10,100,400".into());
    let mut sizes: Vec<usize> = sizes
        .split(',')
        .map(|size| size.parse().expect("a number"))
        .collect();
    sizes.sort_unstable();
    let lab = Lab::open(1).unwrap_or_else(|why| panic!("no bench without a ZFS: {why}"));
    let pool = lab.pool(0);
    lab.lay_out(pool);
    lab.add_release(pool, RELEASE);
    lab.mark(pool, true);
    lab.set_index(pool, include_str!("../tests/data/plugin-index.json"));

    println!(
        "{:>14} {:>6} {:>9} {:>9} {:>9} {:>6} {:>8}",
        "action", "jails", "cold ms", "again ms", "floor ms", "cold x", "commands"
    );
    let mut results = Vec::new();
    let mut made = 0;
    for size in sizes {
        for number in made..size {
            let origin = format!("releases/{RELEASE}");
            let config = json!({"release": RELEASE, "ip4_addr": format!("re0|10.0.{}.{}", number / 250, number % 250)});
            lab.add_jail(pool, &format!("jail{number}"), Some(&origin), &config);
        }
        made = size;
        let running: Vec<(u32, String)> = (0..size as u32 / 2)
            .map(|jid| (jid + 1, format!("jail{jid}")))
            .collect();
        let running: Vec<(u32, &str)> = running
            .iter()
            .map(|(jid, name)| (*jid, name.as_str()))
            .collect();
        lab.set_running(&running);

        for action in [
            "activatestatus",
            "listjails",
            "listtemplates",
            "listplugins",
            "listreleases",
        ] {
            results.push(measure(&lab, action, size));
        }
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench.json");
    fs::write(file, format!("{:#}\n", json!(results))).unwrap();
    println!("as JSON: {file}");
}

/// A configuration without the lab's recording, which takes a millisecond a command.
fn bare(lab: &Lab) -> Value {
    let mut config = lab.config();
    for name in ["zfs", "zpool"] {
        let real = format!("/sbin/{name}");
        config["commands"][name] = json!(real);
    }
    config["commands"]["jls"] = json!(lab.dir().join("real/jls"));
    config
}

fn open(config: &Value) -> Plugin {
    Plugin::new(
        Config::parse(&config.to_string()).unwrap(),
        Box::new(NoHost),
    )
}

fn ask(plugin: &Plugin, action: &str) -> Duration {
    let args = json!({ "action": action }).to_string();
    let started = Instant::now();
    let reply = plugin.evaluate(&args, Access::Read);
    let took = started.elapsed();
    assert!(reply.args[action].get("error").is_none(), "{}", reply.args);
    took
}

fn measure(lab: &Lab, action: &str, jails: usize) -> Value {
    let config = bare(lab);
    ask(&open(&config), action); // fills the catalogue and the kernel's caches
    let (mut cold, mut again, mut floor) = (Vec::new(), Vec::new(), Vec::new());
    // By turns, so that whatever else the machine does meets all three.
    for _ in 0..RUNS {
        floor.push(floor_of(lab, action));
        let plugin = open(&config);
        cold.push(ask(&plugin, action));
        again.push(ask(&plugin, action));
    }
    let [cold, again, floor] = [cold, again, floor].map(median);
    lab.forget_commands();
    ask(&open(&lab.config()), action);
    let commands = lab.commands().len();
    let ratio = cold / floor;
    println!(
        "{action:>14} {jails:>6} {cold:>9.2} {again:>9.2} {floor:>9.2} {ratio:>6.2} {commands:>8}"
    );
    json!({
        "action": action, "jails": jails, "cold_ms": cold, "again_ms": again, "floor_ms": floor,
        "cold_ratio": ratio, "commands": commands,
    })
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1000.0
}

fn floor_of(lab: &Lab, action: &str) -> Duration {
    let pool = lab.pool(0);
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().unwrap();
        assert!(output.status.success());
        output.stdout
    };
    let zfs = |arguments: &[&str]| run("/sbin/zfs", arguments);
    let started = Instant::now();
    zfs(&["list", "-H", "-d", "0", "-o", "name,org.freebsd.ioc:active"]);
    let list = |family: &str, depth: &str, columns: &str| {
        let dataset = format!("{pool}/iocage/{family}");
        zfs(&[
            "list",
            "-H",
            "-r",
            "-t",
            "filesystem",
            "-d",
            depth,
            "-o",
            columns,
            &dataset,
        ]);
    };
    let files = |family: &str| {
        fs::read("/proc/self/mountinfo").unwrap();
        run(
            lab.dir().join("real/jls").to_str().unwrap(),
            &["--libxo", "json", "-v"],
        );
        for entry in fs::read_dir(lab.iocage_root(pool).join(family)).unwrap() {
            fs::read(entry.unwrap().path().join("config.json")).unwrap();
        }
    };
    let both = |family: &str| {
        std::thread::scope(|scope| {
            let listed = scope.spawn(|| list(family, "2", "name,origin"));
            files(family);
            listed.join().unwrap();
        });
    };
    match action {
        "activatestatus" => {}
        "listreleases" => list("releases", "1", "name"),
        "listtemplates" => both("templates"),
        _ => both("jails"),
    }
    started.elapsed()
}
