//! The port against what `make install` installs, and that all say the same version.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

#[cfg(target_os = "linux")]
use common::make;
use common::{empty, files, install, installed_as, plist, run, source};

const PORT: &str = "port/sysutils/sysadm-iocage";

fn read(file: &str) -> String {
    fs::read_to_string(source(PORT).join(file)).unwrap()
}

#[test]
fn without_the_header_no_build_dependency_is_left() {
    assert!(read("Makefile").contains("\nCARGO_FEATURES=\t--no-default-features\n"));
    let tree = |features: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        let cargo = cargo.args([
            "tree",
            "--offline",
            "--locked",
            "--package",
            "sysadm-iocage",
        ]);
        let cargo = cargo.args(["--edges", "build", "--prefix", "none"]);
        let output = run(cargo.args(features).current_dir(source(""))).stdout;
        String::from_utf8(output).unwrap()
    };
    assert!(tree(&[]).contains("\ncbindgen "));
    assert_eq!(tree(&["--no-default-features"]).lines().count(), 1);
}

/// Where the version is written, and what is before and after it there.
const VERSIONS: &[(&str, &str, &str)] = &[
    ("CHANGELOG.md", "\n## [", "] - 20"),
    (
        "Cargo.lock",
        "\nname = \"sysadm-iocage\"\nversion = \"",
        "\"",
    ),
    (
        "benches/Cargo.lock",
        "\nname = \"sysadm-iocage\"\nversion = \"",
        "\"",
    ),
    (
        "fuzz/Cargo.lock",
        "\nname = \"sysadm-iocage\"\nversion = \"",
        "\"",
    ),
    (
        "docs/sysadm_iocage.3",
        "of the library, such as\n.Dq ",
        " ,",
    ),
    (
        "include/sysadm_iocage.h",
        "of the library, such as \"",
        "\"",
    ),
    (
        "bindings/python/src/sysadm_iocage/__init__.py",
        "\n__version__ = \"",
        "\"",
    ),
    ("README.md", "sysadm-iocage-", "-amd64.pkg"),
    ("docs/install.md", "sysadm-iocage-", "-amd64.pkg"),
    (
        "include/sysadm_iocage.h",
        "#define SYSADM_IOCAGE_VERSION \"",
        "\"",
    ),
    (
        "port/sysutils/sysadm-iocage/Makefile",
        "\nDISTVERSION=\t",
        "\n",
    ),
];

#[test]
fn every_place_says_the_same_version() {
    for (file, before, after) in VERSIONS {
        // A release leaves out the two with crates of their own.
        let Ok(text) = fs::read_to_string(source(file)) else {
            assert!(!source(".git").exists(), "{file}");
            continue;
        };
        // The first in the file that begins with a digit: there may be [Unreleased] before it.
        let found = text
            .split(before)
            .skip(1)
            .find(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            .and_then(|rest| rest.split_once(after));
        let version = found.map(|(version, _)| version);
        assert_eq!(version, Some(env!("CARGO_PKG_VERSION")), "{file}, {before}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn installing_gives_no_advice_about_a_pkg_config_that_is_missing() {
    let folder = empty("without-it");
    let programs = folder.join("bin");
    fs::create_dir(&programs).unwrap();
    for entry in fs::read_dir("/usr/bin").unwrap() {
        let file = entry.unwrap();
        let name = file.file_name();
        if !name.to_string_lossy().contains("pkg") {
            std::os::unix::fs::symlink(file.path(), programs.join(name)).unwrap();
        }
    }
    let advice = |path: &str| {
        let mut command = Command::new("make");
        let command = make(&mut command, std::path::Path::new(""))
            .current_dir(source(""))
            .args(["install-library", "LDCONFIG=true"])
            .arg(format!("PREFIX={}", folder.join("prefix").display()))
            .env("PATH", path);
        String::from_utf8(run(command).stderr).unwrap()
    };
    let without = advice(programs.to_str().unwrap());
    assert!(
        without.contains("LD_LIBRARY_PATH=") && !without.contains("pkg-config"),
        "{without}"
    );
    if Command::new("pkg-config").arg("--version").output().is_ok() {
        let with = advice(&std::env::var("PATH").unwrap());
        assert!(with.contains("PKG_CONFIG_PATH="), "{with}");
    }
}

#[test]
fn the_list_of_files_is_what_make_installs_and_uninstalling_leaves_nothing() {
    // Which part of the list the targets install, and the option that it belongs to.
    let parts = [
        (["install-header"].as_slice(), ""),
        (&["install-library", "install-command"], "%%NO_HEADERONLY%%"),
        (&["install-docs"], "%%PORTDOCS%%"),
        (&["install-examples"], "%%PORTEXAMPLES%%"),
    ];
    let plist = plist();
    for (targets, option) in parts {
        let stage = empty("port-stage");
        install(targets, &stage);
        let mut installed = BTreeSet::new();
        files(&stage, &stage.join("usr/local"), &mut installed);
        let of_option = plist.iter().filter(|(own, _)| own == option);
        let expected: BTreeSet<String> = of_option.map(|(_, path)| installed_as(path)).collect();
        assert_eq!(installed, expected, "{targets:?}, pkg-plist");
    }

    let stage = empty("port-stage");
    let mut left = BTreeSet::new();
    install(&["install"], &stage);
    files(&stage, &stage, &mut left);
    assert_eq!(left.len(), plist.len());
    install(&["uninstall"], &stage);
    left.clear();
    files(&stage, &stage, &mut left);
    assert_eq!(left, BTreeSet::new());
}
