//! How long the reading actions take, beside the floor: the commands and file reads that any right
//! answer needs, done bare and as much at once as they can be, in the same run; what they keep in
//! memory; and how many clients they serve.
//!
//!     make bench                                     10, 100, 400 and 950 jails; about ten minutes
//!     BENCH_JAILS=10,100 make bench                  other numbers of jails
//!     BENCH_SNAPSHOTS=0 make bench                   without the second pool, which has 10,000 snapshots
//!     BENCH_IOCAGE=/usr/local/bin/iocage make bench  beside `iocage list -lh`, on the lab's pool
//!
//! "cold" is the first request of a new instance, "warm" a later one of the same. The lab is on
//! whatever ZFS there is; on zfs-fuse a dataset costs about 1 ms to list, on a kernel's ZFS some
//! tens of microseconds. zfs-fuse mounts a thousand file systems and no more, so the jails' roots
//! are not mounted, 950 stands for a thousand, and there the pool with the snapshots is gone.

mod clients;
mod floor;
mod footprint;

use std::fs;
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
const RUNS: usize = 5;
/// How many jails may be mounted in all, of zfs-fuse's thousand file systems.
const MOUNTS: usize = 950;
const ACTIONS: [&str; 5] = [
    "activatestatus",
    "listjails",
    "listtemplates",
    "listplugins",
    "listreleases",
];

fn main() {
    // cargo passes --bench, and test runners ask what there is.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let sizes = numbers("BENCH_JAILS", "10,100,400,950");
    let snapshots = numbers("BENCH_SNAPSHOTS", "10000")[0];
    let lab = Lab::open(2).unwrap_or_else(|why| panic!("no bench without a ZFS: {why}"));
    let mut pools = vec![Bench::new(&lab, 0, 0)];
    if snapshots > 0 {
        pools.push(Bench::new(&lab, 1, snapshots));
    }

    println!(
        "{:>14} {:>6} {:>9} {:>8} {:>8} {:>6} {:>8} {:>8} {:>6} {:>9} {:>8}",
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
    let mut load = Value::Null;
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
        }
    }
    pools[0].activate();
    let inside = footprint::measure(&pools[0]);
    let report = json!({ "listing": rows, "clients": load, "footprint": inside });
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench.json");
    fs::write(file, format!("{report:#}\n")).unwrap();
    println!("\nas JSON: {file}");
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
            fs::write(file, config.to_string()).unwrap();
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
pub fn ask(plugin: &Instance, action: &str) -> (Duration, usize) {
    let args = json!({ "action": action }).to_string();
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
    for run in 0..=RUNS {
        for (pool, times) in pools.iter().zip(&mut times) {
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
            "{action:>14} {jails:>6} {snapshots:>9} {cold:>8.2} {cold_floor:>8.2} {:>6.2} {warm:>8.2} \
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
        if let Some(iocage) = iocage(action) {
            println!(
                "{:>14} {jails:>6} {snapshots:>9} {iocage:>8.0}  ({:.0} times warm)",
                "iocage list",
                iocage / warm
            );
            row["iocage_ms"] = json!(iocage);
        }
        rows.push(row);
    }
    rows
}

/// How long a real iocage takes for the same list, where one is named. It has to see the lab's pool
/// as the active one.
fn iocage(action: &str) -> Option<f64> {
    let iocage = std::env::var_os("BENCH_IOCAGE").filter(|_| action == "listjails")?;
    let started = Instant::now();
    let output = Command::new(iocage).args(["list", "-lh"]).output().unwrap();
    let took = started.elapsed();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(took.as_secs_f64() * 1000.0)
}

pub fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1000.0
}
