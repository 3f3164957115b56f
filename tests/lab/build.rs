//! Builds what zfs-fuse needs loaded into it, `host/preload.c`: where there is zfs-fuse, on Linux.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=host/preload.c");
    println!("cargo:rerun-if-env-changed=CC");
    let library = Path::new(&env::var_os("OUT_DIR").unwrap()).join("preload.so");
    if env::var("CARGO_CFG_TARGET_OS").unwrap() != "linux" || env::var("HOST") != env::var("TARGET")
    {
        std::fs::write(library, "").unwrap();
        return;
    }
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let status = Command::new(&compiler)
        .args(["-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg("host/preload.c")
        .status()
        .unwrap_or_else(|error| panic!("{}: {error}", compiler.to_string_lossy()));
    assert!(status.success(), "host/preload.c does not compile");
}
