//! What the plugin takes besides time: memory for each jail, memory over a million requests, and
//! the size and loading of the library.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{json, Value};
use sysadm_iocage::actions::Access;

use crate::{ask, median, Bench, ALLOCATOR};

const MILLION: usize = 1_000_000;

pub fn measure(bench: &Bench) -> Value {
    println!();
    let remembered = remembered(bench);
    println!(
        "remembered of a jail: {remembered} bytes ({} jails)",
        bench.jails
    );

    let (kept, took) = million(bench);
    println!(
        "a million requests that run no command: {kept} bytes more than before, {:.2} µs each",
        took
    );

    let library = library();
    let size = stripped_size(&library);
    let load = median((0..25).map(|_| load(&library)).collect());
    println!(
        "library: {} KiB stripped, loaded in {load:.2} ms",
        size / 1024
    );
    json!({
        "jails": bench.jails, "remembered_bytes_per_jail": remembered,
        "million_requests_bytes": kept, "request_microseconds": took,
        "library_stripped_bytes": size, "library_load_ms": load,
    })
}

/// What an instance has in memory between two listings, for each jail.
fn remembered(bench: &Bench) -> usize {
    let plugin = bench.open();
    ask(&plugin, "activatestatus");
    let before = ALLOCATOR.current_usage();
    for _ in 0..3 {
        ask(&plugin, "listjails");
    }
    (ALLOCATOR.current_usage() - before) / bench.jails
}

/// What a million requests leave in memory, and how many microseconds one takes. Warm listings are
/// among them, as many as there is time for.
fn million(bench: &Bench) -> (isize, f64) {
    let requests = [
        r#"{"action": "destroyeverything"}"#,
        r#"{"action": "activatepool", "pool": "-rf /"}"#,
        r#"{"action": "fetchreleases", "releases": ["../../etc"]}"#,
        r#"{"action": "createplugin", "plugin": "plex", "net_device": "em0"}"#,
        r#"{"action": 1}"#,
    ];
    let plugin = bench.open();
    let ask_all = |times: usize| {
        for turn in 0..times {
            let reply = plugin.evaluate(requests[turn % requests.len()], Access::Full);
            std::hint::black_box(reply);
        }
    };
    let list = || {
        for _ in 0..100 {
            ask(&plugin, "listjails");
        }
    };
    list();
    ask_all(requests.len());
    let before = ALLOCATOR.current_usage();
    let started = Instant::now();
    ask_all(MILLION);
    let took = started.elapsed().as_secs_f64() * 1e6 / MILLION as f64;
    list();
    (ALLOCATOR.current_usage() as isize - before as isize, took)
}

/// The library as it is installed.
fn library() -> PathBuf {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let built = Command::new(env!("CARGO"))
        .args([
            "rustc",
            "--release",
            "--quiet",
            "--lib",
            "--crate-type",
            "cdylib",
        ])
        .current_dir(root)
        .env_remove("CARGO_TARGET_DIR")
        .status();
    assert!(built.unwrap().success());
    root.join("target/release/libsysadm_iocage.so")
}

fn stripped_size(library: &Path) -> u64 {
    let stripped = library.with_extension("stripped");
    let done = Command::new("strip")
        .arg("-o")
        .arg(&stripped)
        .arg(library)
        .status();
    assert!(done.unwrap().success());
    std::fs::metadata(&stripped).unwrap().len()
}

fn load(library: &Path) -> Duration {
    let path = CString::new(library.to_str().unwrap()).unwrap();
    let started = Instant::now();
    // SAFETY: the path is a string, and the library runs nothing when it is loaded.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
    let took = started.elapsed();
    assert!(!handle.is_null(), "{}", library.display());
    // SAFETY: it is the handle from above.
    unsafe { libc::dlclose(handle) };
    took
}
