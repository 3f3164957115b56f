//! Builds the programs of the host, of host/*.c, and what zfs-fuse needs on Linux, where it may be the ZFS.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=host");
    println!("cargo:rerun-if-env-changed=CC");
    // Nothing of another system can be run here.
    let own = env::var("HOST") == env::var("TARGET");
    let linux = own && env::var("CARGO_CFG_TARGET_OS").unwrap() == "linux";
    program("record", own);
    program("zfs", linux);
    library("preload", &[], linux);
    library("unused", &["-Wl,--version-script,host/unused.map"], linux);
}

fn program(name: &str, wanted: bool) {
    // Without a dynamic linker it starts sooner; not every system has what that takes.
    if !build(name, &["-static"], wanted) {
        assert!(build(name, &[], wanted), "host/{name}.c does not compile");
    }
}

fn library(name: &str, options: &[&str], wanted: bool) {
    let options = [&["-shared", "-fPIC"], options].concat();
    assert!(
        build(name, &options, wanted),
        "host/{name}.c does not compile"
    );
}

fn build(name: &str, options: &[&str], wanted: bool) -> bool {
    let built: PathBuf = Path::new(&env::var_os("OUT_DIR").unwrap()).join(name);
    if !wanted {
        std::fs::write(built, "").unwrap();
        return true;
    }
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    Command::new(&compiler)
        .args(["-O2", "-s", "-Wall", "-Wextra"])
        .args(options)
        .arg("-o")
        .arg(&built)
        .arg(format!("host/{name}.c"))
        .status()
        .unwrap_or_else(|error| panic!("{}: {error}", compiler.to_string_lossy()))
        .success()
}
