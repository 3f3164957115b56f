//! `make demo`: it passes where all is as documented, and fails on a host that answers anything else;
//! and what `make` says where there is no cargo that can build.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{command, run, source};
use sysadm_iocage_lab::Lab;

/// A folder of the test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("demo")
        .join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs the demo with a command; whether it passed, and what it printed.
fn demo(command: &Path) -> (Option<i32>, String) {
    let Output { status, stdout, .. } = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "sysadm-iocage-lab"])
        .args(["--bin", "demo", "--"])
        .arg(command)
        .current_dir(source(""))
        .output()
        .unwrap();
    (status.code(), String::from_utf8(stdout).unwrap())
}

/// Runs the demo with a shell script for the command.
fn demo_with_script(name: &str, script: &str) -> (Option<i32>, String) {
    let file = folder(name).join("script");
    install(&file, script);
    demo(&file)
}

/// Makes a shell script. Another process copies it into place, so that none that another test starts
/// meanwhile has it open for writing; such a file cannot be run.
fn install(file: &Path, script: &str) {
    let draft = file.with_extension("draft");
    fs::write(&draft, format!("#!/bin/sh\n{script}\n")).unwrap();
    run(Command::new("install")
        .args(["-m", "755"])
        .arg(&draft)
        .arg(file));
}

#[test]
fn the_demo_ends_with_all_as_documented_and_fits_a_terminal() {
    let Some(_lab) = Lab::or_skip(0) else { return };
    let command = command("demo-right");
    let (code, shown) = demo(&command);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("\n12 of 12 as documented\n"), "{shown}");
    assert!(shown.contains("\n1. List Jails\n"), "{shown}");
    for line in [
        "    $ sysadm-iocage listjails",
        "    $ sysadm-iocage -j listjails",
        "    $ sysadm-iocage -j deactivatepool pool=tank1",
    ] {
        assert!(shown.contains(&format!("\n{line}\n")), "{shown}");
    }
    // Where the command and the lab are is not for the demo to say.
    let command = command.display().to_string();
    let elsewhere = |line: &&str| line.starts_with("The pool is") || line.contains(&command);
    let lines = shown.lines().filter(|line| !elsewhere(line));
    let too_long: Vec<&str> = lines.filter(|line| line.chars().count() > 80).collect();
    assert!(too_long.is_empty(), "{too_long:#?}");
}

#[test]
fn the_demo_fails_on_a_command_that_answers_nonsense() {
    let Some(_lab) = Lab::or_skip(0) else { return };
    let error = r#"echo '{"listjails": {"error": "no jails", "code": "failed"}}'"#;
    for (script, why) in [
        (format!("{error}; exit 3"), "ended with exit status: 3"),
        ("echo nonsense".into(), "the reply is no JSON"),
        (error.into(), "reply.listjails.jails: is missing"),
    ] {
        let (code, shown) = demo_with_script("nonsense", &script);
        assert_eq!(code, Some(1), "{script}: {shown}");
        assert!(shown.contains("\n0 of 12 as documented\n"), "{shown}");
        assert!(shown.contains(why), "{shown}");
    }
}

#[test]
fn the_demo_fails_where_one_reply_is_right_and_not_true() {
    let Some(_lab) = Lab::or_skip(0) else { return };
    let command = command("demo-lying");
    // A wrong exit status, and a success that is none.
    let script = format!(
        r#"case "$*" in
            *listtemplates*) '{0}' "$@"; exit 1 ;;
            *cleantemplates*) echo '{{"cleantemplates": {{"success": "All templates have been cleaned."}}}}' ;;
            *) exec '{0}' "$@" ;;
        esac"#,
        command.display()
    );
    let (code, shown) = demo_with_script("lying", &script);
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("\n10 of 12 as documented\n"), "{shown}");
    assert!(
        shown.contains("ZFS says templates base, template_1, not no templates"),
        "{shown}"
    );
}

#[test]
fn a_cargo_that_is_missing_or_too_old_is_told_in_one_line() {
    let setup = |cargo: &Path, target: &str| {
        let mut setup = Command::new("sh");
        setup.arg(source("tests/setup")).arg(target);
        let Output { status, stderr, .. } = setup.env("CARGO", cargo).output().unwrap();
        (status.success(), String::from_utf8(stderr).unwrap())
    };
    let cargo = folder("cargo").join("cargo");
    let install = |version: &str| {
        install(
            &cargo,
            &format!("echo 'cargo {version} (0123456 2020-01-01)'"),
        );
    };
    for target in ["build", "demo", "dist", "fuzz", "package", "test"] {
        let _ = fs::remove_file(&cargo);
        let (passed, missing) = setup(&cargo, target);
        assert!(
            !passed && missing.contains("there is no cargo"),
            "{missing}"
        );
        install("1.84.1");
        let (passed, old) = setup(&cargo, target);
        assert!(!passed && old.contains("cargo is 1.84.1"), "{old}");
        for told in [missing, old] {
            assert_eq!(told.lines().count(), 1, "{told}");
            for way in [
                target,
                env!("CARGO_PKG_RUST_VERSION"),
                "cargo-web",
                "rustup",
            ] {
                assert!(told.contains(way), "{told}");
            }
        }
    }
    for enough in [
        env!("CARGO_PKG_RUST_VERSION"),
        "1.85.1",
        "1.100.0-nightly",
        "2.0.0",
    ] {
        install(enough);
        assert_eq!(setup(&cargo, "build"), (true, String::new()), "{enough}");
    }
}
