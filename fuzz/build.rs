//! Builds the command's C files for the fuzzer `terminal`, so that libFuzzer sees where it has been, and
//! so that what C leaves undefined ends it.

fn main() {
    let folder = "../examples/command";
    println!("cargo:rerun-if-changed={folder}");
    println!("cargo:rerun-if-changed=terminal");
    let files = [
        "actions", "jobs", "json", "layout", "show", "signals", "table", "text", "views",
    ];
    let mut build = cc::Build::new();
    build
        .files(files.map(|file| format!("{folder}/{file}.c")))
        .include("../include")
        .std("c99")
        .define("isatty", "fuzz_isatty")
        .define("ioctl", "fuzz_ioctl")
        .flag("-fsanitize=undefined")
        .flag("-fsanitize-undefined-trap-on-error")
        .flag("-fsanitize-coverage=trace-pc")
        .warnings(false)
        .compile("command");
    cc::Build::new()
        .file("terminal/shim.c")
        .include("../include")
        .compile("shim");
    // libFuzzer has a function for gcc's kind of coverage too, which does nothing: the shim's comes first.
    println!("cargo:rustc-link-arg-bin=terminal=-Wl,-z,muldefs");
}
