//! The port against `Cargo.lock`, and against what `make install` installs.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{install, run, source, PKG_CONFIG_FOLDER};

const PORT: &str = "port/sysutils/sysadm-iocage";

fn read(file: &str) -> String {
    fs::read_to_string(source(PORT).join(file)).unwrap()
}

fn empty(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// All files below a folder, as paths relative to it.
fn files(folder: &Path, below: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, below, found);
        } else {
            let relative = path.strip_prefix(below).unwrap();
            found.insert(relative.display().to_string());
        }
    }
}

#[test]
fn the_crates_are_those_of_cargo_lock() {
    let made = empty("port");
    run(Command::new("sh").arg(source("port/crates")).arg(&made));
    let made = |file| fs::read_to_string(made.join(file)).unwrap();
    let hint = "Cargo.lock has changed: make port";
    assert_eq!(read("Makefile.crates"), made("Makefile.crates"), "{hint}");
    // The first line is the time of the last change.
    let sums = |text: &str| text.split_once('\n').unwrap().1.to_string();
    assert_eq!(sums(&read("distinfo")), sums(&made("distinfo")), "{hint}");

    // And once more without the script: every crate of a registry has its checksum there.
    let distinfo = read("distinfo");
    let lock = fs::read_to_string(source("Cargo.lock")).unwrap();
    let mut crates = 0;
    for package in lock.split("[[package]]").skip(1) {
        let field = |key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(key))?;
            Some(line.trim_matches([' ', '=', '"']).to_string())
        };
        if let (Some(name), Some(version), Some(sum)) =
            (field("name"), field("version"), field("checksum"))
        {
            let line = format!("SHA256 (rust/crates/{name}-{version}.crate) = {sum}\n");
            assert!(distinfo.contains(&line), "{line}");
            crates += 1;
        }
    }
    assert_eq!(distinfo.matches("SHA256").count(), crates);
    assert_eq!(distinfo.matches("SIZE").count(), crates);
    assert!(crates > 0);
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

#[test]
fn the_version_is_that_of_the_package() {
    let version = concat!("DISTVERSION=\t", env!("CARGO_PKG_VERSION"), "\n");
    assert!(read("Makefile").contains(version));
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
    let plist = read("pkg-plist");
    let listed = |line: &str| {
        let (option, path) = match line
            .strip_prefix("%%")
            .and_then(|rest| rest.split_once("%%"))
        {
            Some((option, path)) => (format!("%%{option}%%"), path),
            None => (String::new(), line),
        };
        let path = path
            .replace("%%DATADIR%%", "share/sysadm-iocage")
            .replace("%%DOCSDIR%%", "share/doc/sysadm-iocage")
            .replace("%%EXAMPLESDIR%%", "share/examples/sysadm-iocage")
            .replace("libdata/pkgconfig", PKG_CONFIG_FOLDER);
        // The ports tree compresses man pages.
        (
            option,
            path.strip_suffix(".gz").unwrap_or(&path).to_string(),
        )
    };
    for (targets, option) in parts {
        let stage = empty("port-stage");
        install(targets, &stage);
        let mut installed = BTreeSet::new();
        files(&stage, &stage.join("usr/local"), &mut installed);
        let of_option = plist.lines().map(listed).filter(|(own, _)| own == option);
        let expected: BTreeSet<String> = of_option.map(|(_, path)| path).collect();
        assert_eq!(installed, expected, "{targets:?}, pkg-plist");
    }

    let stage = empty("port-stage");
    let mut left = BTreeSet::new();
    install(&["install"], &stage);
    files(&stage, &stage, &mut left);
    assert_eq!(left.len(), plist.lines().count());
    install(&["uninstall"], &stage);
    left.clear();
    files(&stage, &stage, &mut left);
    assert_eq!(left, BTreeSet::new());
}
