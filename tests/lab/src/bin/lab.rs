//! Opens a furnished lab and runs a command in it: for a look around, or to try a host.
//!
//!     cargo run -p sysadm-iocage-lab --bin lab -- sh
//!
//! The command finds in its environment `LAB_DIR` (the lab's folder), `LAB_CONFIG` (a
//! configuration for the plugin), and `LAB_POOL` and `LAB_OTHER_POOL` (its pools). sysadm-iocage(8)
//! finds the same configuration by `SYSADM_IOCAGE_CONFIG`.

use std::process::{exit, Command};

use sysadm_iocage_lab::Lab;

fn main() {
    let mut words = std::env::args().skip(1);
    let Some(program) = words.next() else {
        eprintln!("usage: lab COMMAND [ARGUMENT ...]");
        exit(2);
    };
    let lab = Lab::open(2).unwrap_or_else(|why| {
        eprintln!("lab: {why}");
        exit(1);
    });
    lab.furnish();
    let status = Command::new(&program)
        .args(words)
        .env("LAB_DIR", lab.dir())
        .env("LAB_CONFIG", lab.config().to_string())
        .env("SYSADM_IOCAGE_CONFIG", lab.configuration())
        .env("LAB_POOL", lab.pool(0))
        .env("LAB_OTHER_POOL", lab.pool(1))
        .status();
    let code = match status {
        Ok(status) => status.code().unwrap_or(1),
        Err(error) => {
            eprintln!("lab: {program}: {error}");
            1
        }
    };
    drop(lab); // exit() would not
    exit(code);
}
