//! A hundred clients that poll one list, beside one set of commands for each request.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{json, Value};

use crate::{ask, Bench};

const CLIENTS: usize = 100;
const THREADS: usize = 16;
/// Where each request asks ZFS for everything, a zfs-fuse that has more of them at once answers none
/// for so long that the lab gives it up.
const THREADS_WITHOUT_MEMORY: usize = 4;

/// Polls `listjails` for some seconds, once as it is and once with a new instance for each
/// request, which shares and remembers nothing.
pub fn measure(bench: &Bench) -> Value {
    let plugin = bench.open();
    let ours = poll(THREADS, Duration::from_secs(10), || {
        ask(&plugin, "listjails");
    });
    let each = poll(THREADS_WITHOUT_MEMORY, Duration::from_secs(20), || {
        ask(&bench.open(), "listjails");
    });
    println!(
        "\n{CLIENTS} clients on {THREADS} threads poll listjails ({THREADS_WITHOUT_MEMORY} without memory), {} jails",
        bench.jails
    );
    println!(
        "{:>28} {:>10} {:>8} {:>8}",
        "", "requests/s", "p50 ms", "p99 ms"
    );
    for (name, load) in [
        ("one instance", &ours),
        ("commands for each request", &each),
    ] {
        println!(
            "{name:>28} {:>10.1} {:>8.1} {:>8.1}",
            load.rate, load.p50, load.p99
        );
    }
    println!("{:>28} {:>10.1}", "times as many", ours.rate / each.rate);
    println!();
    json!({
        "clients": CLIENTS, "threads": THREADS, "jails": bench.jails,
        "one_instance": ours.to_json(), "commands_for_each_request": each.to_json(),
        "ratio": ours.rate / each.rate,
    })
}

struct Load {
    rate: f64,
    p50: f64,
    p99: f64,
}

impl Load {
    fn to_json(&self) -> Value {
        json!({ "requests_per_second": self.rate, "p50_ms": self.p50, "p99_ms": self.p99 })
    }
}

/// Every client asks, waits for its answer, and asks again; a latency is what a client sees, its
/// time in the queue for a thread included.
fn poll(threads: usize, time: Duration, request: impl Fn() + Sync) -> Load {
    let started = Instant::now();
    let queue: Mutex<VecDeque<Instant>> = Mutex::new((0..CLIENTS).map(|_| started).collect());
    let latencies = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while started.elapsed() < time {
                    let Some(asked) = queue.lock().unwrap().pop_front() else {
                        continue;
                    };
                    request();
                    latencies.lock().unwrap().push(asked.elapsed());
                    queue.lock().unwrap().push_back(Instant::now());
                }
            });
        }
    });
    let elapsed = started.elapsed().as_secs_f64();
    let mut latencies = latencies.into_inner().unwrap();
    latencies.sort();
    let at = |part: f64| {
        let index = ((latencies.len() - 1) as f64 * part) as usize;
        latencies[index].as_secs_f64() * 1000.0
    };
    Load {
        rate: latencies.len() as f64 / elapsed,
        p50: at(0.5),
        p99: at(0.99),
    }
}
