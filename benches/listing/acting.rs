//! How fast a listing is while jails start and stop, beside its floor at the same time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{json, Value};
use sysadm_iocage::actions::Access;

use crate::{ask, floor, median, Bench};

/// How many jails start and stop all the time.
const ACTING: usize = 20;
const TIME: Duration = Duration::from_secs(20);

/// Lists all jails again and again while twenty others are started and stopped, each by a client of
/// its own. The stand-in for iocage writes their `config.json` each time, as the real one does.
pub fn measure(bench: &Bench) -> Value {
    const ACTION: &str = "listjails";
    let plugin = bench.open();
    ask(&plugin, ACTION);
    let quiet = median((0..9).map(|_| ask(&plugin, ACTION).0).collect());
    let (done, acts) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (mut listings, mut floors) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        // Those that are down. What a base jail mounts is not there.
        for number in bench.jails - ACTING..bench.jails {
            let config = bench.lab.config_file(bench.pool, &format!("jail{number}"));
            std::fs::write(config.with_file_name("fstab"), "").unwrap();
            let (plugin, done, acts) = (&plugin, &done, &acts);
            scope.spawn(move || {
                for action in ["startjail", "stopjail"].iter().cycle() {
                    if done.load(Ordering::Relaxed) && *action == "startjail" {
                        return;
                    }
                    let args = json!({ "action": action, "jail": format!("jail{number}") });
                    let reply = plugin.evaluate(&args.to_string(), Access::Full).to_json();
                    assert!(reply.contains("\"changed\":\"true\""), "{reply}");
                    acts.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let started = Instant::now();
        while started.elapsed() < TIME {
            floors.push(floor::warm(bench, ACTION));
            listings.push(ask(&plugin, ACTION).0);
        }
        done.store(true, Ordering::Relaxed);
    });
    let (listings, floors, acts) = (median(listings), median(floors), acts.into_inner());
    println!(
        "\n{ACTION}, {} jails, while {ACTING} clients start and stop jails ({acts} times): {listings:.1} ms, \
         floor {floors:.1} ms, ratio {:.2}; {quiet:.1} ms before",
        bench.jails,
        listings / floors
    );
    json!({
        "jails": bench.jails, "acting": ACTING, "acts": acts, "quiet_ms": quiet,
        "listing_ms": listings, "floor_ms": floors, "ratio": listings / floors,
    })
}
