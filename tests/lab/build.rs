//! Builds what zfs-fuse needs, of host/*.c: on Linux, where there may be zfs-fuse.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=host");
    println!("cargo:rerun-if-env-changed=CC");
    build("preload", &["-shared", "-fPIC"]);
    build("zfs", &[]);
}

fn build(name: &str, options: &[&str]) {
    let built = Path::new(&env::var_os("OUT_DIR").unwrap()).join(name);
    let foreign = env::var("HOST") != env::var("TARGET");
    if env::var("CARGO_CFG_TARGET_OS").unwrap() != "linux" || foreign {
        std::fs::write(built, "").unwrap();
        return;
    }
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let status = Command::new(&compiler)
        .args(["-O2", "-Wall", "-Wextra"])
        .args(options)
        .arg("-o")
        .arg(&built)
        .arg(format!("host/{name}.c"))
        .status()
        .unwrap_or_else(|error| panic!("{}: {error}", compiler.to_string_lossy()));
    assert!(status.success(), "host/{name}.c does not compile");
}
