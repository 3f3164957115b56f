//! A host with more jails than a ZFS on this machine could have: its commands and its mount table
//! are made up (they take no time), its `config.json` files are real.

use std::fs::{self, File};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{json, Value};
use sysadm_iocage::configuration::{Configuration, Program};
use sysadm_iocage::error::{Code, Error, Result};
use sysadm_iocage::host::NoHost;
use sysadm_iocage::instance::Instance;
use sysadm_iocage::system::{Child, Mount, Order, Output, Runner};

use crate::{ask, median, ALLOCATOR};

const POOL: &str = "tank/iocage";
/// What a warm listing may take, and what the process may grow by.
const MOST_MS: f64 = 100.0;
const MOST_BYTES: usize = 64 << 20;

/// Measures so many jails, and half as many to see how that grows.
pub fn measure(jails: usize) -> Value {
    if jails == 0 {
        return Value::Null;
    }
    println!(
        "{:>16} {:>6} {:>11} {:>8} {:>8} {:>8} {:>8} {:>9}",
        "made-up host",
        "jails",
        "config.json",
        "cold ms",
        "warm ms",
        "CPU ms",
        "peak MiB",
        "reply KiB"
    );
    let mut rows = Vec::new();
    for (words, properties) in [("short", 0), ("full", 120)] {
        let half = Many::new(jails / 2, properties).measure();
        let whole = Many::new(jails, properties).measure();
        for (jails, row) in [(jails / 2, &half), (jails, &whole)] {
            for one in row {
                println!("{}", one.line(jails, words));
                rows.push(one.to_json(jails, words));
            }
        }
        for (half, whole) in half.iter().zip(&whole) {
            let met = |met: bool| if met { "met" } else { "NOT met" };
            println!(
                "{:>16} twice as many: {:.2} times the time, {:.2} times the memory; {MOST_MS} ms {}, \
                 {} MiB {}",
                whole.request,
                whole.warm / half.warm,
                whole.peak as f64 / half.peak as f64,
                met(whole.warm <= MOST_MS),
                MOST_BYTES >> 20,
                met(whole.peak <= MOST_BYTES),
            );
        }
    }
    println!();
    json!(rows)
}

/// What was measured of one request.
struct Row {
    request: &'static str,
    cold: f64,
    warm: f64,
    /// The processor time of a warm one: all that a loaded machine lets be compared.
    cpu: f64,
    /// By how much the process has grown at most since before the instance was opened.
    peak: usize,
    reply: usize,
}

impl Row {
    fn line(&self, jails: usize, words: &str) -> String {
        format!(
            "{:>16} {jails:>6} {words:>11} {:>8.1} {:>8.1} {:>8.1} {:>8.1} {:>9}",
            self.request,
            self.cold,
            self.warm,
            self.cpu,
            self.peak as f64 / f64::from(1 << 20),
            self.reply >> 10,
        )
    }

    fn to_json(&self, jails: usize, words: &str) -> Value {
        json!({
            "request": self.request, "jails": jails, "config_json": words, "cold_ms": self.cold,
            "warm_ms": self.warm, "warm_cpu_ms": self.cpu, "peak_bytes": self.peak, "reply_bytes": self.reply,
        })
    }
}

struct Many {
    folder: PathBuf,
    jails: String,
    running: String,
    mounts: Vec<(String, PathBuf)>,
}

impl Many {
    /// So many jails, half of which run, each with so many settings besides the usual ones.
    fn new(jails: usize, properties: usize) -> Arc<Self> {
        let memory = Path::new("/dev/shm");
        let parent = match memory.is_dir() {
            true => memory.into(),
            false => std::env::temp_dir(),
        };
        let folder = parent.join(format!("sysadm-iocage-many-{}", std::process::id()));
        let root = folder.join("iocage");
        let mut host = Many {
            folder,
            jails: format!("{POOL}/jails\t-\n"),
            running: String::new(),
            mounts: vec![(POOL.into(), root.clone())],
        };
        let more = sysadm_iocage::iocage::properties::all().iter();
        let more = more.filter_map(|property| Some((property.name, property.default?)));
        let more: Vec<(&str, &str)> = more.take(properties).collect();
        let mut running = Vec::new();
        for number in 0..jails {
            let name = format!("jail{number}");
            let dataset = format!("{POOL}/jails/{name}");
            let folder = root.join("jails").join(&name);
            fs::create_dir_all(&folder).unwrap();
            let address = format!(
                "re0|10.{}.{}.{}",
                number >> 16,
                number >> 8 & 255,
                number & 255
            );
            let mut config =
                json!({ "host_hostuuid": name, "release": "13.2-RELEASE", "ip4_addr": address });
            for (name, value) in &more {
                let config = config.as_object_mut().unwrap();
                config.entry(*name).or_insert_with(|| json!(value));
            }
            fs::write(folder.join("config.json"), config.to_string()).unwrap();
            host.jails += &format!(
                "{dataset}\t-\n{dataset}/root\t{POOL}/releases/13.2-RELEASE/root@{name}\n"
            );
            host.mounts.push((dataset.clone(), folder.clone()));
            host.mounts.push((dataset + "/root", folder.join("root")));
            if number % 2 == 0 {
                running.push(json!({
                    "jid": number + 1, "hostname": name, "path": folder.join("root"),
                    "name": format!("ioc-{name}"), "state": "ACTIVE", "cpusetid": 3,
                    "ipv4_addrs": [], "ipv6_addrs": [],
                }));
            }
        }
        let running = json!({ "__version": "2", "jail-information": { "jail": running } });
        host.running = running.to_string();
        Arc::new(host)
    }

    fn measure(self: &Arc<Self>) -> Vec<Row> {
        // Until the files have settled, they are read again each time.
        std::thread::sleep(Duration::from_millis(2500));
        let requests = ["listjails", "listjails detail"];
        requests.map(|request| self.measure_one(request)).into()
    }

    fn measure_one(self: &Arc<Self>, request: &'static str) -> Row {
        let configuration = json!({ "state_directory": self.folder.join("state") });
        let configuration = Configuration::parse(&configuration.to_string()).unwrap();
        let runner = Arc::clone(self) as Arc<dyn Runner>;
        ALLOCATOR.reset_peak_usage();
        let before = ALLOCATOR.current_usage();
        let plugin = Instance::with_runner(configuration, Box::new(NoHost), runner);
        let (cold, reply) = ask(&plugin, request);
        let began = processor_time();
        const TIMES: u32 = 5;
        let warm = (0..TIMES).map(|_| ask(&plugin, request).0).collect();
        let cpu = (processor_time() - began) / TIMES;
        Row {
            request,
            cold: median(vec![cold]),
            warm: median(warm),
            cpu: median(vec![cpu]),
            peak: ALLOCATOR.peak_usage() - before,
            reply,
        }
    }
}

impl Runner for Many {
    fn run(&self, order: &Order, _: Duration, _: &AtomicBool) -> Result<Output> {
        let has = |word: &str| order.argv.iter().any(|other| other == word);
        let stdout = match order.program {
            Program::Zfs if has("0") => "tank\tyes\n",
            Program::Zfs if has("tank/iocage/jails") => &self.jails,
            Program::Zpool => "tank\tONLINE\n",
            Program::Jls => &self.running,
            _ => panic!("nobody should run {:?}", order.argv),
        };
        Ok(Output {
            command: order.shown.clone(),
            exit_code: 0,
            stdout: stdout.into(),
            stderr: String::new(),
        })
    }

    fn spawn(&self, order: &Order, _: &File, _: &[BorrowedFd<'_>]) -> Result<Child> {
        Err(Error::new(Code::Unavailable, order.shown.clone()))
    }

    fn mount_table(&self) -> io::Result<Vec<Mount>> {
        let mount = |(source, mountpoint): &(String, PathBuf)| Mount {
            source: source.clone(),
            mountpoint: mountpoint.clone(),
            kind: "zfs".into(),
        };
        Ok(self.mounts.iter().map(mount).collect())
    }

    fn log(&self, _: i32, _: &str) {}
}

/// What this process has used so far.
fn processor_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is that of a value that lives here.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

impl Drop for Many {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
