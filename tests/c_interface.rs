//! The committed header and the built library, as C and C++ programs use them.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{install, library, run, sanitizer_flags, skip, source, PKG_CONFIG_FOLDER};
use serde_json::json;
use sysadm_iocage_lab::Lab;

/// Compiles a C program against the header, with every warning an error, and gives its path.
fn compile(name: &str, file: &str, link: bool) -> PathBuf {
    compile_with(name, file, link, &[])
}

/// The same, with more flags for the compiler.
fn compile_with(name: &str, file: &str, link: bool, more: &[&str]) -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let folder = library().parent().unwrap().display().to_string();
    let mut command = Command::new("cc");
    command.args([
        "-std=c99",
        "-pedantic",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-g",
        "-I",
    ]);
    command
        .arg(source("include"))
        .args(sanitizer_flags())
        .arg("-o")
        .arg(&program)
        .arg(source(file));
    if link {
        command.args([
            &format!("-L{folder}"),
            "-lsysadm_iocage",
            &format!("-Wl,-rpath,{folder}"),
        ]);
    }
    command.args(more).args(["-ldl", "-lpthread"]);
    run(&mut command);
    program
}

#[test]
fn the_header_is_valid_c99_and_cpp11() {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for (compiler, standard, file) in [
        ("cc", "-std=c99", "header.c"),
        ("c++", "-std=c++11", "header.cpp"),
    ] {
        let file = tmp.join(file);
        let program = "#include \"sysadm_iocage.h\"\n#include \"sysadm_iocage.h\"\n\
            #if SYSADM_IOCAGE_ABI_VERSION != 1\n#error \"another version\"\n#endif\n\
            int main(void) { struct sysadm_iocage_host *host = NULL; return host != NULL; }\n";
        std::fs::write(&file, program).unwrap();
        run(Command::new(compiler)
            .args([
                standard,
                "-pedantic",
                "-Wall",
                "-Wextra",
                "-Werror",
                "-fsyntax-only",
                "-I",
            ])
            .arg(source("include"))
            .arg(&file));
    }
}

#[test]
fn nothing_but_the_interface_is_exported() {
    let output = run(Command::new("nm")
        .args(["-D", "--defined-only"])
        .arg(library()));
    let symbols = String::from_utf8(output.stdout).unwrap();
    let mut names: Vec<&str> = symbols
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    names.sort_unstable();
    let functions = [
        "abi_version",
        "close",
        "evaluate",
        "free",
        "message",
        "open",
        "progress",
        "reply_error",
        "request",
        "version",
    ];
    assert_eq!(names, functions.map(|name| format!("sysadm_iocage_{name}")));
    // And the header declares them all.
    let header = std::fs::read_to_string(source("include/sysadm_iocage.h")).unwrap();
    assert!(names
        .iter()
        .all(|name| header.contains(&format!("{name}("))));
}

#[test]
fn loading_changes_nothing_in_the_process() {
    let program = compile("loading", "tests/c/loading.c", false);
    assert_eq!(run(Command::new(program).arg(library())).stdout, b"ok\n");
}

#[test]
fn a_c_program_runs_under_valgrind_without_leak_or_error() {
    let Some(lab) = Lab::or_skip(1) else { return };
    lab.lay_out(lab.pool(0));
    lab.set_index(lab.pool(0), include_str!("data/plugin-index.json"));
    lab.add_jail(lab.pool(0), "web", None, &json!({"boot": 1}));
    lab.set_running(&[(1, "web")]);
    let program = compile("interface", "tests/c/interface.c", true);
    let mut command = if sanitizer_flags().is_empty() {
        let mut valgrind = Command::new("valgrind");
        valgrind
            .args([
                "--quiet",
                "--error-exitcode=9",
                "--leak-check=full",
                // Not "possible": Rust's maps and threads are kept by pointers into their middle.
                "--errors-for-leak-kinds=definite,indirect",
                "--trace-children=no",
            ])
            .arg(program);
        valgrind
    } else {
        // A sanitizer looks for the same, and valgrind cannot run it.
        Command::new(program)
    };
    command.arg(lab.config().to_string()).arg(lab.pool(0));
    assert_eq!(run(&mut command).stdout, b"ok\n");
}

#[test]
fn the_example_host_takes_a_request_as_argument_or_input_and_waits_for_jobs() {
    let Some(lab) = Lab::or_skip(1) else { return };
    lab.lay_out(lab.pool(0));
    lab.mark(lab.pool(0), true);
    let program = compile("host", "examples/host.c", false);
    let host = |arguments: &[&str], input: &str| {
        let file = lab.dir().join("input");
        std::fs::write(&file, input).unwrap();
        let mut command = Command::new(&program);
        command
            .arg("-l")
            .arg(library())
            .args(["-c", &lab.config().to_string()])
            .args(arguments);
        command
            .stdin(std::fs::File::open(file).unwrap())
            .output()
            .unwrap()
    };
    let status = r#"{"action": "activatestatus"}"#;
    let reply = json!({"activatestatus": {"activated": "true", "pool": lab.pool(0)}});
    for output in [host(&[status], ""), host(&["-r"], status)] {
        assert!(output.status.success(), "{output:?}");
        assert_eq!(
            common::parse(&String::from_utf8(output.stdout).unwrap()),
            reply
        );
    }
    let message =
        json!({"namespace": "sysadm", "name": "iocage", "id": "a", "args": {"action": "x"}});
    let output = host(&["-m", &message.to_string()], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout)
        .unwrap()
        .contains(r#""id":"a""#));
    // No request, an action's error, and no configuration.
    let missing = r#"{"action": "activatepool", "pool": "no_such_pool"}"#;
    for (arguments, code) in [(["{}"].as_slice(), 1), (&[missing], 1), (&["-c", "x"], 2)] {
        let output = host(arguments, "");
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {output:?}");
    }

    let fetch = r#"{"action": "fetchreleases", "releases": "13.2-RELEASE"}"#;
    let output = host(&[fetch], "");
    assert!(output.status.success(), "{output:?}");
    let progress = String::from_utf8(output.stderr).unwrap();
    assert!(
        progress.contains("finished") && progress.contains("100%"),
        "{progress}"
    );
    lab.zfs(&[
        "list",
        &format!("{}/iocage/releases/13.2-RELEASE/root", lab.pool(0)),
    ]);
    // The request has worked, but its job has not.
    let fetch = r#"{"action": "fetchreleases", "releases": "15.9-RELEASE"}"#;
    let output = host(&[fetch], "");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let progress = String::from_utf8(output.stderr).unwrap();
    assert!(
        progress.contains("15.9-RELEASE was not found!"),
        "{progress}"
    );
}

#[test]
fn the_example_table_prints_the_jails_or_why_it_cannot() {
    let mut flags = Command::new("pkg-config");
    flags.args(["--cflags", "--libs", "jansson"]);
    let Some(flags) = flags.output().ok().filter(|flags| flags.status.success()) else {
        return skip("Jansson");
    };
    let flags = String::from_utf8(flags.stdout).unwrap();
    let flags: Vec<&str> = flags.split_whitespace().collect();
    let Some(lab) = Lab::or_skip(1) else { return };
    lab.lay_out(lab.pool(0));
    lab.mark(lab.pool(0), true);
    let release = json!({"release": "13.2-RELEASE", "ip4_addr": "re0|10.20.0.130/24"});
    lab.add_jail(lab.pool(0), "web", None, &release);
    lab.add_jail(lab.pool(0), "db", None, &json!({"boot": 1}));
    lab.set_running(&[(17, "web")]);

    let program = compile_with("table", "examples/table.c", true, &flags);
    let table = |config: &str| {
        let output = Command::new(&program).arg(config).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let config = lab.config().to_string();
    let (code, shown, errors) = table(&config);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{shown}");
    let rows: Vec<Vec<&str>> = shown
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let expected = [
        ["jid", "uuid", "state", "boot", "release", "ip4", "template"],
        [
            "17",
            "web",
            "up",
            "off",
            "13.2-RELEASE",
            "re0|10.20.0.130/24",
            "-",
        ],
        ["-", "db", "down", "on", "-", "-", "-"],
    ];
    assert_eq!(rows, expected, "{shown}");
    // Each column begins where its heading does.
    let place = |line: &str, text: &str| line.find(text).unwrap();
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(place(lines[0], "state"), place(lines[1], "up"), "{shown}");
    assert_eq!(place(lines[0], "state"), place(lines[2], "down"), "{shown}");

    lab.mark(lab.pool(0), false);
    let error = "table: no pool is active (not_active)\n";
    assert_eq!(table(&config), (Some(1), String::new(), error.into()));
    let (code, shown, errors) = table("x");
    assert_eq!((code, shown.as_str()), (Some(2), ""));
    assert!(errors.contains("the configuration is not JSON"), "{errors}");
}

#[test]
fn a_source_tree_that_cannot_be_written_still_builds() {
    // A copy, since it takes nothing but its permissions. Root may write all the same, unless it
    // gives that up. (A read-only mount is not to be had in a chroot.)
    let folder = std::env::temp_dir().join(format!("sysadm-iocage-build-{}", std::process::id()));
    // `check` runs the build script, which alone writes into the source. Where this test was built there
    // are the crates that it needs.
    let target = source("target");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("source")).unwrap();
    for part in [
        "Cargo.toml",
        "Cargo.lock",
        "build.rs",
        "src",
        "include",
        "tests",
    ] {
        let parent = folder.join("source").join(part);
        run(Command::new("cp")
            .arg("-R")
            .arg(source(part))
            .arg(parent.parent().unwrap()));
    }
    let script = format!(
        "chmod -R a-w '{0}/source' && cd '{0}/source' && \
         exec setpriv --bounding-set -dac_override sh -c '! touch src/x 2>/dev/null && \
         exec {1} check --offline --locked --target-dir {2}'",
        folder.display(),
        env!("CARGO"),
        target.display(),
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let _ = std::fs::remove_dir_all(&folder);
    let said = String::from_utf8_lossy(&output.stderr);
    // It has not found one that is checked already: the copy's place is new each time.
    let is_checked = said.contains("sysadm-iocage v");
    assert!(output.status.success() && is_checked, "{said}");
}

#[test]
fn what_is_installed_is_all_that_a_program_needs() {
    let stage = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stage");
    let _ = std::fs::remove_dir_all(&stage);
    let prefix = stage.join("opt");
    run(Command::new("make")
        .current_dir(source(""))
        .arg("install")
        .arg(format!("CARGO={}", env!("CARGO")))
        .arg(format!("PREFIX={}", prefix.display()))
        .arg(format!("LDCONFIG=touch {}/ldconfig", stage.display())));
    // Or Linux would not find the library where nobody says where it is.
    assert_eq!(stage.join("ldconfig").exists(), cfg!(target_os = "linux"));
    let library = prefix.join("lib/libsysadm_iocage.so.1");
    let dynamic = run(Command::new("readelf").arg("-d").arg(&library)).stdout;
    let dynamic = String::from_utf8(dynamic).unwrap();
    assert!(
        dynamic.contains("soname: [libsysadm_iocage.so.1]"),
        "{dynamic}"
    );
    assert!(!dynamic.contains("TEXTREL"), "{dynamic}");
    // A program with nothing but what is installed; tests/port.rs has the list of the files.
    let program = "#include <sysadm_iocage.h>\n#include <stdio.h>\n\
        int main(void) { return puts(sysadm_iocage_version()) < 0; }\n";
    std::fs::write(stage.join("first.c"), program).unwrap();
    let flags = run(Command::new("pkg-config")
        .args(["--cflags", "--libs", "sysadm_iocage"])
        .env("PKG_CONFIG_PATH", prefix.join(PKG_CONFIG_FOLDER)));
    let flags = String::from_utf8(flags.stdout).unwrap();
    run(Command::new("cc")
        .args(["-o", "first", "first.c"])
        .args(flags.split_whitespace())
        .current_dir(&stage));
    let output = run(Command::new(stage.join("first")).env("LD_LIBRARY_PATH", prefix.join("lib")));
    let version = String::from_utf8(output.stdout).unwrap();
    assert_eq!(version.trim(), env!("CARGO_PKG_VERSION"));
}

#[test]
fn what_is_installed_stands_where_the_system_looks() {
    let stage = Path::new(env!("CARGO_TARGET_TMPDIR")).join("staged");
    let _ = std::fs::remove_dir_all(&stage);
    std::fs::create_dir_all(&stage).unwrap();
    install(&["install"], &stage);
    let prefix = stage.join("usr/local");
    for file in [
        "include/sysadm_iocage.h",
        "lib/libsysadm_iocage.so",
        "lib/libsysadm_iocage.so.1",
        &format!("{PKG_CONFIG_FOLDER}/sysadm_iocage.pc"),
        "share/man/man3/sysadm_iocage.3",
        "share/man/man7/sysadm-iocage.7",
        "share/man/man8/sysadm-iocage.8",
        "bin/sysadm-iocage",
        "share/doc/sysadm-iocage/api.md",
        "share/examples/sysadm-iocage/host.c",
        "share/examples/sysadm-iocage/table.c",
        "share/sysadm-iocage/server/sysadm-iocage.cpp",
    ] {
        let found = std::fs::metadata(prefix.join(file));
        assert!(found.is_ok_and(|found| found.is_file()), "{file}");
    }
    // What the header names is there.
    let header = std::fs::read_to_string(prefix.join("include/sysadm_iocage.h")).unwrap();
    let named: Vec<&str> = header
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("PREFIX/"))
        .collect();
    assert!(!named.is_empty());
    for file in named {
        assert!(prefix.join(file).is_file(), "{file}");
    }
    // The stage is gone when a program is compiled.
    let folder = prefix.join(PKG_CONFIG_FOLDER);
    let pc = std::fs::read_to_string(folder.join("sysadm_iocage.pc")).unwrap();
    assert!(pc.starts_with("prefix=/usr/local\n"), "{pc}");
    assert!(!pc.contains(stage.to_str().unwrap()), "{pc}");

    let program = "#include <sysadm_iocage.h>\n\
        int main(void) { return sysadm_iocage_abi_version() != SYSADM_IOCAGE_ABI_VERSION; }\n";
    std::fs::write(stage.join("first.c"), program).unwrap();
    let flags = run(Command::new("pkg-config")
        .args(["--cflags", "--libs", "sysadm_iocage"])
        .env("PKG_CONFIG_PATH", &folder)
        .env("PKG_CONFIG_SYSROOT_DIR", &stage));
    let flags = String::from_utf8(flags.stdout).unwrap();
    run(Command::new("cc")
        .args(["-o", "first", "first.c"])
        .args(flags.split_whitespace())
        .current_dir(&stage));
    run(Command::new(stage.join("first")).env("LD_LIBRARY_PATH", prefix.join("lib")));

    // On Debian, whoever compiles and runs a program has to say neither.
    if Path::new("/etc/debian_version").exists() {
        let path = run(Command::new("pkg-config").args(["--variable", "pc_path", "pkg-config"]));
        let path = String::from_utf8(path.stdout).unwrap();
        let installed = format!("/usr/local/{PKG_CONFIG_FOLDER}");
        assert!(path.trim().split(':').any(|at| at == installed), "{path}");
        let folders = run(Command::new("/sbin/ldconfig").args(["-N", "-X", "-v"])).stdout;
        let folders = String::from_utf8(folders).unwrap();
        let looked = |line: &str| line.starts_with("/usr/local/lib:");
        assert!(folders.lines().any(looked), "{folders}");
    }
}
