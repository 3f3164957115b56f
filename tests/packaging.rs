//! A release and FreeBSD's packages, as `make dist package` has just made them: CI runs it then, and `make test` does
//! not.

mod common;

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{empty, files, install, installed_as, parse, plist, run, source};
use serde_json::json;
use sha2::{Digest, Sha256};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const RELEASE: &str = concat!("sysadm-iocage-", env!("CARGO_PKG_VERSION"));
const LIBRARY: &str = "/usr/local/lib/libsysadm_iocage.so";

/// What a release leaves out: what a release cannot do, for want of the repository or of more crates.
const LEFT_OUT: &[&str] = &[
    ".ci/",
    ".git",
    "benches/",
    "fuzz/",
    "port/cross/",
    "port/dist",
    "port/package",
];

/// The files of a package.
fn in_package() -> impl Iterator<Item = String> {
    let files = plist().into_iter();
    files.map(|(_, path)| format!("/usr/local/{path}"))
}

fn made(file: &str) -> PathBuf {
    let file = source("target").join(file);
    assert!(file.exists(), "no {}: make dist package", file.display());
    file
}

fn text(command: &mut Command) -> String {
    String::from_utf8(run(command).stdout).unwrap()
}

fn sum(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file in an archive, as tar lists it.
struct Entry {
    mode: String,
    owner: String,
    time: String,
    name: String,
}

/// What an archive has, in its order.
fn entries(archive: &Path) -> Vec<Entry> {
    let mut tar = Command::new("tar");
    let tar = tar.args(["--absolute-names", "--full-time", "-tvf"]);
    let entry = |line: &str| {
        let mut fields = line.split_whitespace().map(String::from);
        let mut field = || fields.next().unwrap();
        let (mode, owner, _, day, hour) = (field(), field(), field(), field(), field());
        Entry {
            mode,
            owner,
            time: format!("{day} {hour}"),
            name: field(),
        }
    };
    text(tar.arg(archive).env("TZ", "UTC"))
        .lines()
        .map(entry)
        .collect()
}

/// When the last commit was made.
fn last_commit() -> String {
    let mut git = Command::new("git");
    let git = git.args(["log", "-1", "--date=format-local:%F %T", "--format=%cd"]);
    text(git.current_dir(source("")).env("TZ", "UTC"))
        .trim()
        .to_string()
}

fn unpack(archive: &Path, name: &str) -> PathBuf {
    let folder = empty(name);
    let mut tar = Command::new("tar");
    run(tar.arg("-xpf").arg(archive).arg("-C").arg(&folder));
    folder
}

fn release() -> PathBuf {
    made(&format!("dist/{RELEASE}.tar.xz"))
}

#[test]
fn a_release_has_the_last_commit_and_every_crate() {
    let entries = entries(&release());
    let time = last_commit();
    for entry in &entries {
        let mode = &entry.mode;
        let plain = ["drwxr-xr-x", "-rwxr-xr-x", "-rw-r--r--"].contains(&mode.as_str());
        assert!(plain, "{mode} {}", entry.name);
        assert_eq!(entry.owner, "root/root", "{}", entry.name);
        assert_eq!(entry.time, time, "{}", entry.name);
    }
    let inside = format!("{RELEASE}/");
    let names = entries.iter().map(|entry| {
        let name = entry.name.strip_prefix(&inside);
        name.unwrap_or_else(|| panic!("{}", entry.name))
    });
    let mut names: BTreeSet<&str> = names.filter(|name| !name.ends_with('/')).collect();
    names.remove("");
    assert!(names.remove(".cargo/config.toml"));
    let (crates, names): (BTreeSet<&str>, BTreeSet<&str>) =
        names.iter().partition(|name| name.starts_with("vendor/"));
    let mut git = Command::new("git");
    let git = git.args(["ls-tree", "-r", "--name-only", "HEAD"]);
    let committed = text(git.current_dir(source("")));
    let left_out = |name: &&str| LEFT_OUT.iter().any(|left| name.starts_with(left));
    let committed = committed.lines().filter(|name| !left_out(name)).collect();
    assert_eq!(names, committed);

    // Every crate with the checksum that Cargo.lock has, and no other.
    let folder = unpack(&release(), "release-crates").join(RELEASE);
    let sums = crates.iter().filter_map(|name| {
        let file = name.ends_with("/.cargo-checksum.json");
        let text = fs::read_to_string(folder.join(name));
        file.then(|| parse(&text.unwrap())["package"].as_str().map(String::from))?
    });
    let sums: BTreeSet<String> = sums.collect();
    let lock = fs::read_to_string(folder.join("Cargo.lock")).unwrap();
    let locked = lock
        .lines()
        .filter_map(|line| line.strip_prefix("checksum = "));
    let locked: BTreeSet<String> = locked.map(|sum| sum.trim_matches('"').into()).collect();
    assert_eq!(sums, locked);
    assert!(!sums.is_empty());
    fs::remove_dir_all(&folder).unwrap();

    // What the port needs beside it.
    let distinfo = fs::read_to_string(made("dist/distinfo")).unwrap();
    let bytes = fs::read(release()).unwrap();
    let (sum, size) = (sum(&bytes), bytes.len());
    let lines = format!("SHA256 ({RELEASE}.tar.xz) = {sum}\nSIZE ({RELEASE}.tar.xz) = {size}\n");
    assert!(distinfo.ends_with(&lines), "{distinfo}");
}

/// What a library says that its version is.
fn version_of(library: &Path) -> String {
    let path = CString::new(library.as_os_str().as_bytes()).unwrap();
    // SAFETY: the strings end in NUL; the function is as the header has it.
    unsafe {
        let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        assert!(!handle.is_null(), "{}", library.display());
        let function = libc::dlsym(handle, c"sysadm_iocage_version".as_ptr());
        assert!(!function.is_null());
        let version: extern "C" fn() -> *const libc::c_char = std::mem::transmute(function);
        CStr::from_ptr(version()).to_str().unwrap().to_string()
    }
}

#[test]
fn a_release_is_built_and_installed_without_a_network() {
    let folder = unpack(&release(), "release-build");
    let (tree, stage) = (folder.join(RELEASE), folder.join("stage"));
    let mut make = Command::new("unshare");
    if unsafe { libc::geteuid() } != 0 {
        make.arg("--map-root-user");
    }
    // Nothing was ever fetched for this user.
    make.args(["--net", "sh", "-ec"])
        .arg("make && make install DESTDIR=\"$0\"")
        .arg(&stage)
        .current_dir(&tree)
        .env_clear()
        .env("CARGO_HOME", folder.join("cargo"))
        // As quickly as it goes: what comes out is only looked at.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    for kept in ["PATH", "HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
        if let Some(value) = std::env::var_os(kept) {
            make.env(kept, value);
        }
    }
    run(&mut make);

    let mut installed = BTreeSet::new();
    files(&stage, &stage.join("usr/local"), &mut installed);
    let listed = plist().into_iter().map(|(_, path)| installed_as(&path));
    assert_eq!(installed, listed.collect());
    let library = stage.join(&LIBRARY[1..]);
    assert_eq!(version_of(&library), VERSION);
    let build = fs::read_to_string(tree.join("include/sysadm_iocage.h")).unwrap();
    let committed = fs::read_to_string(source("include/sysadm_iocage.h")).unwrap();
    assert_eq!(build, committed);
    fs::remove_dir_all(&folder).unwrap();
}

/// The packages: how they are called, pkg's two names for their machine, and that of ELF.
const PACKAGES: [(&str, &str, &str, u16); 2] = [
    ("amd64", "FreeBSD:*:amd64", "freebsd:*:x86:64", 62),
    ("arm64", "FreeBSD:*:aarch64", "freebsd:*:aarch64:64", 183),
];

fn package(arch: &str) -> PathBuf {
    made(&format!("package/{RELEASE}-{arch}.pkg"))
}

/// A variable of the port.
fn port(name: &str) -> String {
    let makefile = source("port/sysutils/sysadm-iocage/Makefile");
    let makefile = fs::read_to_string(makefile).unwrap();
    let mut values = makefile
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix("=\t"));
    values.next().unwrap().trim().to_string()
}

#[test]
fn the_manifest_of_a_package_is_what_the_port_says() {
    for (arch, abi, elf, _) in PACKAGES {
        let folder = unpack(&package(arch), "package-manifest");
        let manifest = |name| parse(&fs::read_to_string(folder.join(name)).unwrap());
        let (mut whole, compact) = (manifest("+MANIFEST"), manifest("+COMPACT_MANIFEST"));
        let listed = whole.as_object_mut().unwrap().remove("files").unwrap();
        // A catalogue of packages has all but the files, and pkg writes the scripts there too.
        assert_eq!(whole, compact);

        let text = fs::read_to_string(source("port/sysutils/sysadm-iocage/pkg-descr")).unwrap();
        for (key, value) in [
            ("name", json!("sysadm-iocage")),
            ("origin", json!("sysutils/sysadm-iocage")),
            ("version", json!(VERSION)),
            ("comment", json!(port("COMMENT"))),
            ("maintainer", json!(port("MAINTAINER"))),
            ("abi", json!(abi)),
            ("arch", json!(elf)),
            ("prefix", json!("/usr/local")),
            ("licenses", json!(["BSD2CLAUSE"])),
            ("categories", json!(["sysutils"])),
            ("desc", json!(text.trim_end())),
            ("shlibs_provided", json!(["libsysadm_iocage.so.1"])),
            ("shlibs_required", json!(["libc.so.7", "libthr.so.3"])),
        ] {
            assert_eq!(whole[key], value, "{arch}, {key}");
        }
        let messages = whole["messages"].as_array().unwrap();
        let types: Vec<_> = messages.iter().map(|message| &message["type"]).collect();
        assert_eq!(types, ["install", "remove"]);
        let message = messages[0]["message"].as_str().unwrap();
        assert!(
            message.contains(" /usr/local/share/sysadm-iocage/server:\n"),
            "{message}"
        );
        assert!(!message.contains("EOM") && !message.contains("%%"));

        let mut size = 0;
        for (path, listed) in listed.as_object().unwrap() {
            let file = folder.join(&path[1..]);
            let content = match fs::read_link(&file) {
                Ok(target) => target.as_os_str().as_bytes().to_vec(),
                Err(_) => fs::read(&file).unwrap(),
            };
            size += content.len();
            assert_eq!(*listed, format!("1${}", sum(&content)), "{arch}, {path}");
        }
        assert_eq!(whole["flatsize"], size);
        let expected = in_package();
        let listed: BTreeSet<String> = listed.as_object().unwrap().keys().cloned().collect();
        assert_eq!(listed, expected.collect());
    }
}

/// The contents of a file, and those of one that gzip has compressed.
fn content(file: &Path) -> Vec<u8> {
    if file.extension().is_some_and(|ending| ending == "gz") {
        return run(Command::new("gzip").arg("-dc").arg(file)).stdout;
    }
    fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn the_files_of_a_package_are_those_that_make_installs() {
    let stage = empty("package-stage");
    install(&["install"], &stage);
    let time = last_commit();
    for (arch, _, _, machine) in PACKAGES {
        let entries = entries(&package(arch));
        let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        // pkg reads the first two, and what it is to install after them.
        assert_eq!(names[..2], ["+COMPACT_MANIFEST", "+MANIFEST"]);
        let mut expected: Vec<String> = in_package().collect();
        expected.sort();
        assert_eq!(names[2..], expected);

        let folder = unpack(&package(arch), "package-files");
        for entry in &entries {
            let name = &entry.name;
            assert_eq!(entry.owner, "root/wheel", "{arch}, {name}");
            assert_eq!(entry.time, time, "{arch}, {name}");
            if name.starts_with('+') {
                continue;
            }
            let file = folder.join(&name[1..]);
            if name == LIBRARY {
                assert_eq!(entry.mode, "lrwxr-xr-x");
                let target = fs::read_link(&file).unwrap();
                assert_eq!(target, Path::new("libsysadm_iocage.so.1"));
                continue;
            }
            let found = content(&file);
            let is_program = found.starts_with(b"\x7fELF");
            if is_program {
                // 64 bits, low byte first. A library says FreeBSD there, a program in a note.
                assert_eq!(found[4..6], [2, 1], "{arch}, {name}");
                assert!(found[7] == 9 || !name.contains("/lib/"), "{arch}, {name}");
                let found = u16::from_le_bytes([found[18], found[19]]);
                assert_eq!(found, machine, "{arch}, {name}");
                let sections = text(Command::new("readelf").arg("-SW").arg(&file));
                assert!(
                    !sections.contains(".symtab"),
                    "{arch}, {name}: not stripped"
                );
            } else {
                let own = installed_as(&name[1..]);
                assert!(found == content(&stage.join(own)), "{arch}, {name}");
            }
            let runs = is_program || found.starts_with(b"#!");
            let mode = if runs { "-rwxr-xr-x" } else { "-rw-r--r--" };
            assert_eq!(entry.mode, mode, "{arch}, {name}");
        }
        let library = content(&folder.join(&LIBRARY[1..]));
        assert!(library.starts_with(b"\x7fELF"));
    }
}

#[test]
fn the_same_commit_gives_the_same_bytes() {
    let again = empty("packaging-again");
    for what in ["dist", "package"] {
        // Under other circumstances.
        let mut script = Command::new("sh");
        script
            .args(["-c", "umask 077 && exec sh \"$0\" \"$1\""])
            .arg(format!("port/{what}"))
            .arg(again.join(what))
            .current_dir(source(""))
            .env("TZ", "Pacific/Chatham")
            .env_remove("MAKEFLAGS");
        run(&mut script);
        let mut found = BTreeSet::new();
        files(&again.join(what), &again.join(what), &mut found);
        assert_eq!(found.len(), 2, "{found:?}");
        for file in found {
            let first = fs::read(made(&format!("{what}/{file}"))).unwrap();
            let second = fs::read(again.join(what).join(&file)).unwrap();
            assert!(first == second, "{file}");
        }
    }
    fs::remove_dir_all(&again).unwrap();
}
