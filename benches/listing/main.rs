//! How long the reading actions take, beside the floor: the commands and file reads that any right
//! answer needs, done bare and as much at once as they can be, in the same run; what they keep in
//! memory; how many clients they serve; and how fast a listing is while jails start and stop.
//!
//!     make bench                                     10, 100, 400 and 950 jails; about ten minutes
//!     BENCH_JAILS=10,100 make bench                  other numbers of jails
//!     BENCH_SNAPSHOTS=0 make bench                   without the second pool, which has 10,000 snapshots
//!     BENCH_MANY=0 make bench                        without the 10,000 jails of a made-up host
//!     BENCH_JAILS=0 make bench                       with nothing but these
//!     BENCH_RUNS=1 make bench                        one measured run of each instead of five
//!     BENCH_LEAST=1 make bench                       the least of each instead of the median: on a
//!                                                    machine that is loaded
//!     BENCH_IOCAGE=/usr/local/bin/iocage make bench  beside `iocage list -lh` and `iocage get all`,
//!                                                    on the lab's pool
//!
//! A run that has all that docs/speed.md shows writes its tables and its picture anew, from
//! tests/data/speed.json, which it writes first. A shorter one writes target/bench.json only.
//!
//! "cold" is the first request of a new instance, "warm" a later one of the same. The lab is on
//! whatever ZFS there is; on zfs-fuse a dataset costs about 1 ms to list, on a kernel's ZFS some
//! tens of microseconds. zfs-fuse mounts a thousand file systems and no more, so the jails' roots
//! are not mounted, 950 stands for a thousand, and there the pool with the snapshots is gone.

mod acting;
mod clients;
mod floor;
mod footprint;
mod many;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use serde_json::{json, Value};
use sysadm_iocage::actions::Access;
use sysadm_iocage::configuration::Configuration;
use sysadm_iocage::host::NoHost;
use sysadm_iocage::instance::Instance;
use sysadm_iocage_lab::Lab;

/// Counts what is allocated, for the columns about memory.
#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const RELEASE: &str = "13.2-RELEASE";
/// How many jails may be mounted in all, of zfs-fuse's thousand file systems.
const MOUNTS: usize = 950;
/// Each with the argument that follows it, if any: a flag that is set.
const ACTIONS: [&str; 11] = [
    "activatestatus",
    "listjails",
    "listjails detail",
    "getjailsettings",
    "listtemplates",
    "listplugins",
    "listreleases",
    "listmounts",
    "listimages",
    "df",
    "listsnapshots",
];
/// How many jails the real iocage is asked about, one after the other.
const ASKED_OF_IOCAGE: usize = 5;

fn main() {
    // cargo passes --bench, and test runners ask what there is.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let sizes = numbers("BENCH_JAILS", "10,100,400,950");
    let snapshots = numbers("BENCH_SNAPSHOTS", "10000")[0];
    let many = many::measure(numbers("BENCH_MANY", "10000")[0]);
    if sizes == [0] {
        return;
    }
    let lab = Lab::open(2).unwrap_or_else(|why| panic!("no bench without a ZFS: {why}"));
    let mut pools = vec![Bench::new(&lab, 0, 0)];
    if snapshots > 0 {
        pools.push(Bench::new(&lab, 1, snapshots));
    }

    println!(
        "{:>16} {:>6} {:>9} {:>8} {:>8} {:>6} {:>8} {:>8} {:>6} {:>9} {:>8}",
        "action",
        "jails",
        "snapshots",
        "cold ms",
        "floor",
        "ratio",
        "warm ms",
        "floor",
        "ratio",
        "peak KiB",
        "commands"
    );
    let mut rows = Vec::new();
    let (mut load, mut busy) = (Value::Null, Value::Null);
    for size in sizes {
        if pools.len() > 1 && size * pools.len() > MOUNTS {
            pools.truncate(1);
            lab.export(lab.pool(1));
        }
        for pool in &mut pools {
            pool.grow(size);
        }
        // Until the files have settled, they are read again each time.
        std::thread::sleep(Duration::from_millis(2500));
        for action in ACTIONS {
            rows.extend(measure(&pools, action, size));
        }
        if size == 400 {
            pools[0].activate();
            load = clients::measure(&pools[0]);
            busy = acting::measure(&pools[0]);
        }
    }
    pools[0].activate();
    let inside = footprint::measure(&pools[0]);
    let of_iocage: Vec<Value> = rows.iter().filter_map(beside_iocage).collect();
    let report = json!({
        "how": how(&lab), "listing": rows, "iocage": of_iocage, "clients": load, "acting": busy,
        "footprint": inside, "many": many,
    });
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench.json");
    fs::write(file, format!("{report:#}\n")).unwrap();
    println!("\nas JSON: {file}");
    sysadm_iocage_pictures::publish(&report);
}

/// What a reader of the figures has to know.
fn how(lab: &Lab) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let zfs = match lab.dir().join("zfs-fuse").exists() {
        true => "zfs-fuse",
        false => "the ZFS of the kernel",
    };
    let runs = numbers("BENCH_RUNS", "5")[0];
    let which = match std::env::var_os("BENCH_LEAST") {
        None => "median",
        Some(_) => "least",
    };
    format!("On {cores} cores with {zfs}. Each figure is the {which} of {runs} runs.")
}

/// How long `iocage list` took beside a warm listing, where it was asked.
fn beside_iocage(row: &Value) -> Option<Value> {
    if row["action"] != "listjails" || row["iocage_ms"].is_null() {
        return None;
    }
    Some(json!({
        "jails": row["jails"], "list_ms": row["iocage_ms"], "warm_ms": row["warm_ms"], "how": "in the same run",
    }))
}

fn numbers(variable: &str, default: &str) -> Vec<usize> {
    let text = std::env::var(variable).unwrap_or_else(|_| default.into());
    let mut numbers: Vec<usize> = text
        .split(',')
        .map(|number| number.parse().expect("a number"))
        .collect();
    numbers.sort_unstable();
    numbers
}

/// One pool with its jails.
pub struct Bench<'a> {
    pub lab: &'a Lab,
    pub pool: &'a str,
    pub jails: usize,
    snapshots: usize,
}

impl<'a> Bench<'a> {
    fn new(lab: &'a Lab, index: usize, snapshots: usize) -> Self {
        let pool = lab.pool(index);
        lab.lay_out(pool);
        lab.add_release(pool, RELEASE);
        lab.set_index(pool, include_str!("../../tests/data/plugin-index.json"));
        Bench {
            lab,
            pool,
            jails: 0,
            snapshots,
        }
    }

    /// Makes jails until there are `size`, and with the first of them the snapshots.
    fn grow(&mut self, size: usize) {
        let had_none = self.jails == 0;
        let dataset = |rest: &str| format!("{}/iocage/{rest}", self.pool);
        for number in self.jails..size {
            let name = format!("jail{number}");
            let origin = dataset(&format!("releases/{RELEASE}/root@{name}"));
            self.lab
                .zfs(&["create", &dataset(&format!("jails/{name}"))]);
            self.lab.zfs(&["snapshot", &origin]);
            // Not mounted: zfs-fuse mounts a thousand file systems and no more.
            let root = dataset(&format!("jails/{name}/root"));
            self.lab
                .zfs(&["clone", "-o", "mountpoint=none", &origin, &root]);
            let address = format!("re0|10.0.{}.{}", number / 250, number % 250);
            let config = json!({ "host_hostuuid": name, "release": RELEASE, "ip4_addr": address });
            let file = self.lab.config_file(self.pool, &name);
            fs::write(&file, config.to_string()).unwrap();
            fs::write(file.with_file_name("fstab"), self.fstab(&name)).unwrap();
            if number % 10 == 0 {
                let image = self.images().join(format!("{name}_2026-11-25"));
                fs::write(image.with_extension("zip"), "").unwrap();
                fs::write(image.with_extension("sha256"), "").unwrap();
            }
        }
        self.jails = size;
        if had_none {
            // A recursive one is one of each dataset: `jails`, each jail, and its root.
            for round in 0..self.snapshots.div_ceil(2 * size + 1) {
                let name = format!("{}/iocage/jails@hourly{round}", self.pool);
                self.lab.zfs(&["snapshot", "-r", &name]);
            }
        }
    }

    /// As iocage writes it for a base jail.
    fn fstab(&self, name: &str) -> String {
        let root = self.lab.iocage_root(self.pool).display().to_string();
        let folders = [
            "bin", "boot", "lib", "libexec", "rescue", "sbin", "usr/bin", "usr/lib",
        ];
        let mount = |folder: &str| {
            format!(
                "{root}/releases/{RELEASE}/root/{folder}\t{root}/jails/{name}/root/{folder}\tnullfs\t\
                 ro\t0\t0 # Added by iocage on 2026-11-25\n"
            )
        };
        folders.map(mount).concat()
    }

    pub fn images(&self) -> PathBuf {
        self.lab.iocage_root(self.pool).join("images")
    }

    /// Makes this the active pool, of which half of the jails run.
    fn activate(&self) {
        for pool in [self.lab.pool(0), self.lab.pool(1)] {
            // Or it is exported.
            let mark = format!(
                "org.freebsd.ioc:active={}",
                if pool == self.pool { "yes" } else { "no" }
            );
            let _ = self.lab.try_zfs(&["set", &mark, pool]);
        }
        let jails = self.lab.iocage_root(self.pool).join("jails");
        self.lab.set_running(&[]);
        let running = (0..self.jails / 2).map(|number| {
            let name = format!("jail{number}");
            let root = jails.join(&name).join("root");
            (number as u32 + 1, name, root)
        });
        self.lab.start_all(running);
    }

    /// A configuration without the lab's recording, which takes a millisecond a command.
    pub fn config(&self) -> Value {
        let mut config = self.lab.config();
        // 10,000 snapshots take a zfs-fuse half a minute.
        config["command_timeout_seconds"] = json!(600);
        for name in ["zfs", "zpool", "jls"] {
            config["commands"][name] = json!(self.lab.dir().join("real").join(name));
        }
        config
    }

    pub fn open(&self) -> Instance {
        open(&self.config())
    }

    /// The commands that one request runs.
    fn commands(&self, plugin: &Instance, action: &str) -> usize {
        self.lab.forget_commands();
        ask(plugin, action);
        self.lab.commands().len()
    }
}

fn open(config: &Value) -> Instance {
    Instance::new(
        Configuration::parse(&config.to_string()).unwrap(),
        Box::new(NoHost),
    )
}

/// Asks, and gives how long it took and how long the reply is.
pub fn ask(plugin: &Instance, request: &str) -> (Duration, usize) {
    let mut words = request.split(' ');
    let action = words.next().unwrap();
    let mut args = json!({ "action": action });
    for flag in words {
        args[flag] = json!(true);
    }
    let args = args.to_string();
    let started = Instant::now();
    let reply = plugin.evaluate(&args, Access::Read);
    let text = reply.to_json();
    let took = started.elapsed();
    // The members are in order, and an answer that is no error has no code.
    let error = format!("{{\"{action}\":{{\"code\":");
    assert!(!text.starts_with(&error), "{text}");
    (took, text.len())
}

#[derive(Default)]
struct Times {
    cold: Vec<Duration>,
    cold_floor: Vec<Duration>,
    warm: Vec<Duration>,
    warm_floor: Vec<Duration>,
    without_pool: Vec<Duration>,
    peak: usize,
}

/// Measures an action on all pools by turns, so that whatever else the machine does meets them
/// all.
fn measure(pools: &[Bench], action: &str, jails: usize) -> Vec<Value> {
    let mut times: Vec<Times> = pools.iter().map(|_| Times::default()).collect();
    let runs = numbers("BENCH_RUNS", "5")[0];
    for run in 0..=runs {
        for (pool, times) in pools.iter().zip(&mut times) {
            // Each takes a zfs-fuse half a minute.
            if action == "listsnapshots" && pool.snapshots > 0 && run > 1 {
                continue;
            }
            pool.activate();
            let cold_floor = floor::cold(pool, action);
            let plugin = pool.open();
            let (cold, _) = ask(&plugin, action);
            let warm_floor = floor::warm(pool, action);
            let without_pool = floor::without_pool(pool, action);
            ALLOCATOR.reset_peak_usage();
            let before = ALLOCATOR.current_usage();
            let (warm, _) = ask(&plugin, action);
            // The first run fills the catalogue and the kernel's caches.
            if run > 0 {
                times.cold.push(cold);
                times.cold_floor.push(cold_floor);
                times.warm.push(warm);
                times.warm_floor.push(warm_floor);
                times.without_pool.push(without_pool);
                times.peak = ALLOCATOR.peak_usage() - before;
            }
        }
    }
    let mut rows = Vec::new();
    for (pool, times) in pools.iter().zip(times) {
        pool.activate();
        let recorded = open(&pool.lab.config());
        let commands = [
            pool.commands(&recorded, action),
            pool.commands(&recorded, action),
        ];
        let [cold, cold_floor, warm, warm_floor] =
            [times.cold, times.cold_floor, times.warm, times.warm_floor].map(median);
        let snapshots = pool.snapshots;
        println!(
            "{action:>16} {jails:>6} {snapshots:>9} {cold:>8.2} {cold_floor:>8.2} {:>6.2} {warm:>8.2} \
             {warm_floor:>8.2} {:>6.2} {:>9} {:>8}",
            cold / cold_floor,
            warm / warm_floor,
            times.peak / 1024,
            format!("{}, {}", commands[0], commands[1]),
        );
        let mut row = json!({
            "action": action, "jails": jails, "snapshots": snapshots,
            "cold_ms": cold, "cold_floor_ms": cold_floor, "cold_ratio": cold / cold_floor,
            "warm_ms": warm, "warm_floor_ms": warm_floor, "warm_ratio": warm / warm_floor,
            "warm_floor_without_pool_ms": median(times.without_pool),
            "peak_bytes": times.peak, "commands_cold": commands[0], "commands_warm": commands[1],
        });
        if let Some((words, iocage)) = iocage(action, jails) {
            println!(
                "{:>16} {jails:>6} {snapshots:>9} {iocage:>8.0}  ({:.0} times warm)",
                words,
                iocage / warm
            );
            row["iocage_ms"] = json!(iocage);
        }
        rows.push(row);
    }
    rows
}

/// How many milliseconds a real iocage takes to tell the same, where one is named, and by which
/// command. It has to see the lab's pool as the active one. What it tells of one jail at a time is
/// asked of a few and multiplied.
fn iocage(action: &str, jails: usize) -> Option<(&'static str, f64)> {
    let iocage = std::env::var_os("BENCH_IOCAGE")?;
    let run = |arguments: &[&str]| {
        let started = Instant::now();
        let output = Command::new(&iocage).args(arguments).output().unwrap();
        let took = started.elapsed();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        took.as_secs_f64() * 1000.0
    };
    match action {
        "listjails" => Some(("iocage list", run(&["list", "-lh"]))),
        "getjailsettings" => {
            let asked = jails.min(ASKED_OF_IOCAGE);
            let each = (0..asked).map(|number| run(&["get", "all", &format!("jail{number}")]));
            let all = each.sum::<f64>() / asked as f64 * jails as f64;
            Some(("get all, by a few", all))
        }
        _ => None,
    }
}

/// The one in the middle, in milliseconds; the least on a machine that is loaded.
pub fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    let index = match std::env::var_os("BENCH_LEAST") {
        None => times.len() / 2,
        Some(_) => 0,
    };
    times[index].as_secs_f64() * 1000.0
}
