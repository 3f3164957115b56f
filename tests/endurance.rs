//! Long use: many requests, and instances that come and go while they are used. Nothing piles up.

mod common;

use std::ffi::CString;
use std::fs;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{eventually, parse, processes, take, Instance};
use serde_json::{json, Value};
use sysadm_iocage::ffi::*;
use sysadm_iocage::limits;
use sysadm_iocage_lab::Lab;

/// The threads and the open descriptors of this process.
fn threads_and_descriptors() -> (usize, usize) {
    let count = |folder: &str| fs::read_dir(folder).unwrap().count();
    (count("/proc/self/task"), count("/proc/self/fd"))
}

/// An active pool with one jail.
fn lab_with_a_jail() -> Option<Lab> {
    let lab = Lab::or_skip(1)?;
    let pool = lab.pool(0);
    lab.lay_out(pool);
    lab.mark(pool, true);
    lab.set_index(pool, "{}");
    lab.add_jail(pool, "web", None, &json!({}));
    Some(lab)
}

/// A million requests that run no command, and some thousands that do, so that this is over today.
/// What they leave in memory is measured by `make bench`.
///
/// This test stands alone in its program, or other tests' threads and descriptors would count.
#[test]
fn a_million_requests_leave_no_thread_and_no_descriptor_and_no_process() {
    if !std::env::args().any(|argument| argument == "--exact") {
        let alone = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "a_million_requests_leave_no_thread_and_no_descriptor_and_no_process",
                "--exact",
                "--test-threads=1",
            ])
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&alone.stdout);
        assert!(alone.status.success(), "{output}");
        return;
    }
    let Some(lab) = lab_with_a_jail() else {
        return;
    };
    let plugin = Instance::of(&lab);
    let refused: Vec<CString> = [
        r#"{"action": "destroyeverything"}"#,
        r#"{"action": "activatepool", "pool": "-rf /"}"#,
        r#"{"action": "createplugin", "plugin": "plex"}"#,
        r#"{"action": "cleanreleases", "force": true}"#,
        r#"{"action": 1}"#,
        "{",
    ]
    .map(|args| CString::new(args).unwrap())
    .into();
    let ask = |args: &CString, access: i32| {
        let mut status = 0;
        let reply =
            unsafe { sysadm_iocage_evaluate(plugin.as_ptr(), args.as_ptr(), access, &mut status) };
        (status, take(reply).unwrap())
    };
    let some = || {
        for action in ["listjails", "listplugins", "listreleases", "activatestatus"] {
            let answer = plugin.ask_for(action);
            assert!(answer["error"].is_null(), "{answer}");
        }
    };
    some();
    let before = threads_and_descriptors();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for turn in 0..250_000 {
                    let args = &refused[turn % refused.len()];
                    let (status, reply) = ask(args, SYSADM_IOCAGE_ACCESS_READ);
                    assert!(status == 400 || status == 403, "{status}: {reply}");
                }
            });
        }
        scope.spawn(|| (0..200).for_each(|_| some()));
    });
    // A thread that is done is still one of the kernel's for a moment.
    eventually("as many threads and descriptors as before", || {
        threads_and_descriptors() == before
    });
    let left = processes(&format!("{}/(bin|real)/", lab.dir().display()));
    assert_eq!(left, [""; 0]);
}

/// A small generator of numbers (xorshift), so that a run that failed can be had again.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

#[test]
fn a_thousand_lives_of_instances_from_eight_threads() {
    const THREADS: u64 = 8;
    const LIVES: usize = 125;
    let Some(lab) = lab_with_a_jail() else {
        return;
    };
    lab.set_pace("0.05");
    let config = lab.config();
    // Used by all threads, while each has some of its own that come and go.
    let shared = Instance::open(&config, ptr::null());
    let (started, conflicts) = (AtomicU64::new(0), AtomicU64::new(0));

    let use_once = |plugin: &Instance, random: &mut Random| {
        let release = format!("1{}.{}-RELEASE", random.below(4), random.below(4));
        let job = format!("sysadm_iocage_fetch_release_{release}");
        match random.below(8) {
            0 => drop(plugin.ask_for("listjails")),
            1 => drop(plugin.ask_for("activatestatus")),
            2 | 3 => {
                let args = json!({"action": "fetchreleases", "releases": release});
                let answer = plugin.ask(&args);
                let count = |key: &str| answer[key].as_array().map_or(0, Vec::len) as u64;
                let full = answer["code"] == "unavailable"; // as many jobs as may run at once
                assert!(
                    full || count("started_dispatcher_id") + count("already_running") == 1,
                    "{answer}"
                );
                started.fetch_add(count("started_dispatcher_id"), Ordering::Relaxed);
                conflicts.fetch_add(count("already_running"), Ordering::Relaxed);
            }
            4 => drop(plugin.progress(&job, None)),
            5 => drop(plugin.evaluate("{\"action\": \"nothing\"}", SYSADM_IOCAGE_ACCESS_READ)),
            6 => {
                drop(plugin.message(&json!({"namespace": "sysadm", "name": "iocage", "args": {}})))
            }
            _ => {
                let request = CString::new("{\"action\": \"listtemplates\"}").unwrap();
                let reply = take(unsafe {
                    sysadm_iocage_evaluate(plugin.as_ptr(), request.as_ptr(), 0, ptr::null_mut())
                });
                let reply: Value = parse(&reply.unwrap());
                assert!(reply["listtemplates"]["templates"].is_object(), "{reply}");
            }
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (config, shared, use_once) = (&config, &shared, &use_once);
            scope.spawn(move || {
                let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (thread + 1));
                let mut own: Vec<Instance> = Vec::new();
                for _ in 0..LIVES {
                    own.push(Instance::open(config, ptr::null()));
                    for _ in 0..random.below(3) {
                        let index = random.below(own.len() + 1);
                        use_once(own.get(index).unwrap_or(shared), &mut random);
                    }
                    // Closed in any order, with jobs that run.
                    if own.len() > random.below(4) {
                        let index = random.below(own.len());
                        drop(own.swap_remove(index));
                    }
                }
            });
        }
    });
    drop(shared);
    let (started, conflicts) = (started.into_inner(), conflicts.into_inner());
    assert!(started > 50, "{started} jobs");
    assert!(conflicts > 0, "no job ran already, ever");
    let left = processes(&format!("{}/(bin|real)/", lab.dir().display()));
    assert_eq!(left, [""; 0]);
    let worlds = fs::read_dir(lab.dir().join("state/run")).unwrap();
    let worlds: Vec<_> = worlds.map(|world| world.unwrap().path()).collect();
    assert_eq!(worlds.len(), 1, "{worlds:?}");
    // Of what has ended the records are kept, a bounded number of them, and no lock.
    let files = fs::read_dir(worlds[0].join("jobs")).unwrap();
    let names: Vec<_> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    let locks = names.iter().filter(|name| name.ends_with(".lock"));
    // (One that somebody was looking at when it was let go stays until next time.)
    assert!(locks.count() <= 4, "{names:?}");
    assert!(
        names.len() <= 2 * (limits::FINISHED_JOBS_KEPT + limits::JOBS_AT_ONCE),
        "{names:?}"
    );
}
