//! An iocage 1.13 in memory: what it does to the pool, what it prints, where it stops, and what it loses
//! on the way, for the command lines that the library uses and some that people type. Each thing that it
//! changes is a step, between which it may be killed.

mod changing;
mod making;
mod running;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::host::{Host, Running};
use super::zfs::Node;

/// Lets a command take its next step, or ends it there.
pub trait Gate {
    /// False if it is killed now.
    fn pass(&self) -> bool;
}

/// How a command ended before its end.
pub enum End {
    Exit(i32),
    Killed,
}

type Step<T = ()> = Result<T, End>;

pub struct Iocage<'a> {
    pub host: &'a Mutex<Host>,
    pub gate: &'a dyn Gate,
    pub out: String,
    pub err: String,
    /// Where a job prints.
    pub sink: Option<&'a File>,
}

const BASE_FOLDERS: [&str; 3] = ["bin", "usr/bin", "usr/lib"];

/// The words that mean yes (`ioc_common.py`, check_truthy).
pub fn is_true(value: &str) -> bool {
    matches!(&*value.to_lowercase(), "1" | "on" | "yes" | "true")
}

pub fn text(config: &Map<String, Value>, key: &str) -> Option<String> {
    Some(match config.get(key)? {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

pub fn as_iocage_writes(config: &Map<String, Value>) -> Vec<u8> {
    use serde::Serialize;
    let mut text = Vec::new();
    let form = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut to = serde_json::Serializer::with_formatter(&mut text, form);
    config.serialize(&mut to).unwrap();
    text
}

/// A jail as iocage finds it.
#[derive(Clone)]
struct Jail {
    name: String,
    family: &'static str,
    folder: PathBuf,
    dataset: String,
    config: Map<String, Value>,
}

impl Jail {
    fn get(&self, key: &str) -> Option<String> {
        text(&self.config, key)
    }

    fn is_on(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| is_true(&value))
    }

    fn in_kernel(&self) -> String {
        format!("ioc-{}", self.name.replace('.', "_"))
    }
}

impl Iocage<'_> {
    /// Runs it to its end; the exit code.
    pub fn run(&mut self, words: &[&str]) -> i32 {
        match self.carry_out(words) {
            Ok(()) => 0,
            Err(End::Exit(code)) => code,
            Err(End::Killed) => 137,
        }
    }

    fn carry_out(&mut self, words: &[&str]) -> Step {
        if words == ["--version"] {
            self.say("Version\t1.13");
            return Ok(());
        }
        self.pool()?;
        match words {
            ["list", "-R"] => self.list_remote(),
            ["fetch", "-r", release] => self.fetch_release(release),
            ["fetch", "-P", plugin, "-n", name, properties @ ..] => {
                self.fetch_plugin(plugin, name, properties)
            }
            ["create", rest @ ..] => self.create(rest),
            ["clone", source, "-n", name, rest @ ..] => self.clone(source, name, rest),
            ["start", name] => self.start(name, 0),
            ["stop", "-f", name] => self.stop(name, true),
            ["stop", name] => self.stop(name, false),
            ["restart", "-s", name] => self.soft_restart(name),
            ["restart", name] => {
                self.stop(name, false)?;
                self.start(name, 0)
            }
            ["set", rest @ .., of] => self.set(rest, of),
            ["rename", name, "--", new] => self.rename(name, new),
            ["export", name] => self.export(name, ".zip"),
            ["export", "-c", "lzma", name] => self.export(name, ".tar.xz"),
            ["import", "-p", path, _] => self.import(path),
            ["update", rest @ .., name] => self.update(name, rest.contains(&"-P")),
            ["upgrade", "-r", release, name] => self.upgrade(release, name),
            ["destroy", "-f", name] => self.destroy(name),
            ["clean", "-ft"] => self.clean(&["templates"]),
            ["clean", "-fr"] => self.clean(&["download", "releases"]),
            ["snapremove", "-n", snapshot, name] => self.snapremove(snapshot, name),
            ["rollback", "-f", "-n", snapshot, name] => self.rollback(snapshot, name),
            _ => panic!(
                "the simulated iocage does not know: iocage {}",
                words.join(" ")
            ),
        }
    }

    // What it says, and how it takes a step.

    fn say(&mut self, line: &str) {
        self.print(&format!("{line}\n"));
    }

    fn print(&mut self, text: &str) {
        self.out.push_str(text);
        if let Some(mut sink) = self.sink {
            let _ = sink.write_all(text.as_bytes());
        }
    }

    fn warn(&mut self, line: &str) {
        self.err.push_str(line);
        self.err.push('\n');
        if let Some(mut sink) = self.sink {
            let _ = sink.write_all(format!("{line}\n").as_bytes());
        }
    }

    fn fail<T>(&mut self, why: &str) -> Step<T> {
        self.warn(why);
        Err(End::Exit(1))
    }

    fn traceback<T>(&mut self, why: &str) -> Step<T> {
        self.fail(&format!("Traceback (most recent call last):\n  File \"/usr/local/bin/iocage\", line 8, in <module>\n    sys.exit(cli())\n{why}"))
    }

    /// Changes something, if it still lives.
    fn change<T>(&mut self, what: impl FnOnce(&mut Host) -> T) -> Step<T> {
        match self.gate.pass() {
            true => Ok(what(&mut self.host.lock().unwrap())),
            false => Err(End::Killed),
        }
    }

    fn look<T>(&self, what: impl FnOnce(&Host) -> T) -> T {
        what(&self.host.lock().unwrap())
    }

    /// A command of zfs, whatever comes of it.
    fn zfs(&mut self, words: &[&str]) -> Step<Result<String, String>> {
        let (code, out, err) = self.change(|host| host.run_zfs(words))?;
        Ok(if code == 0 { Ok(out) } else { Err(err) })
    }

    /// One whose failure nobody catches (`zfs.py`).
    fn must_zfs(&mut self, words: &[&str]) -> Step {
        match self.zfs(words)? {
            Ok(_) => Ok(()),
            Err(why) => self.traceback(&format!("iocage_lib.zfs.ZFSException: {why}")),
        }
    }

    fn write(&mut self, path: &Path, bytes: &[u8]) -> Step {
        let written = self.change(|_| write_whole(path, bytes))?;
        match written {
            true => Ok(()),
            false => self.traceback(&format!("FileNotFoundError: {}", path.display())),
        }
    }

    // Where it works.

    fn pool(&mut self) -> Step<String> {
        let active = self.look(Host::active);
        let pool = match &active[..] {
            [] => {
                let first = self.look(|host| host.zfs.pools.keys().next().cloned());
                let first = first.unwrap_or_default();
                self.say(&format!("Setting up zpool [{first}] for iocage usage"));
                self.must_zfs(&["set", "org.freebsd.ioc:active=yes", &first])?;
                first
            }
            [one] => one.clone(),
            more => {
                let count = more.len();
                return self.fail(&format!(
                    "You have {count} poolsmarked active for iocage usage."
                ));
            }
        };
        for part in [
            "",
            "/download",
            "/images",
            "/jails",
            "/log",
            "/releases",
            "/templates",
        ] {
            let name = format!("{pool}/iocage{part}");
            if !self.look(|host| host.zfs.has(&name)) {
                self.must_zfs(&["create", &name])?;
            }
        }
        Ok(pool)
    }

    fn the_pool(&self) -> String {
        self.look(|host| host.active().first().cloned().unwrap_or_default())
    }

    fn root(&self) -> PathBuf {
        let name = format!("{}/iocage", self.the_pool());
        self.look(|host| host.zfs.folder(&name).unwrap_or_default())
    }

    fn all_jails(&self) -> Vec<(&'static str, String)> {
        let pool = self.the_pool();
        self.look(|host| {
            let mut all = Vec::new();
            for family in ["jails", "templates"] {
                let parent = format!("{pool}/iocage/{family}");
                for name in host.zfs.below(&parent) {
                    let rest = name
                        .strip_prefix(&parent)
                        .and_then(|rest| rest.strip_prefix('/'));
                    if let Some(rest) = rest.filter(|rest| !rest.contains('/')) {
                        all.push((family, rest.to_string()));
                    }
                }
            }
            all
        })
    }

    /// The jail that a name means: where there is no folder of it, the one whose name begins with it.
    fn find(&mut self, name: &str) -> Step<(String, &'static str)> {
        let root = self.root();
        for family in ["jails", "templates"] {
            if root.join(family).join(name).is_dir() {
                return Ok((name.into(), family));
            }
        }
        let mut found = self.all_jails();
        found.retain(|(_, one)| one.starts_with(name));
        match &found[..] {
            [] => self.fail(&format!("jail '{name}' not found!")),
            [(family, one)] => Ok((one.clone(), family)),
            _ => self.fail(&format!("Multiple jails found for {name}:")),
        }
    }

    fn place(&self, name: &str, family: &'static str) -> (PathBuf, String) {
        let dataset = format!("{}/iocage/{family}/{name}", self.the_pool());
        (self.root().join(family).join(name), dataset)
    }

    fn load(&mut self, name: &str) -> Step<Jail> {
        let (name, family) = self.find(name)?;
        let (folder, dataset) = self.place(&name, family);
        let Ok(bytes) = fs::read(folder.join("config.json")) else {
            return self.fail(&format!(
                "{name} is missing its configuration, please destroy this jail and recreate it."
            ));
        };
        let Ok(config) = serde_json::from_slice::<Map<String, Value>>(&bytes) else {
            return self.fail(&format!("{name} has a corrupt configuration, please fix this jail or destroy and recreate it."));
        };
        if !config.contains_key("host_hostuuid") {
            return self.traceback("KeyError: 'host_hostuuid'");
        }
        Ok(Jail {
            name,
            family,
            folder,
            dataset,
            config,
        })
    }

    fn write_config(&mut self, jail: &Jail) -> Step {
        self.write(
            &jail.folder.join("config.json"),
            &as_iocage_writes(&jail.config),
        )
    }

    fn put(&mut self, jail: &mut Jail, key: &str, value: impl Into<Value>) -> Step {
        jail.config.insert(key.into(), value.into());
        self.write_config(jail)
    }

    fn runs(&self, in_kernel: &str) -> bool {
        self.look(|host| host.running.iter().any(|one| one.name == in_kernel))
    }
}

fn userland_of(root: &Path) -> Option<String> {
    let text = fs::read_to_string(root.join("bin/freebsd-version")).ok()?;
    let (_, rest) = text.split_once('"')?;
    Some(rest.split('"').next()?.into())
}

/// A property as iocage keeps it.
fn value_of(key: &str, value: &str) -> Value {
    const TRUTHS: [&str; 8] = [
        "boot",
        "vnet",
        "dhcp",
        "bpf",
        "template",
        "allow_raw_sockets",
        "allow_mount",
        "rtsold",
    ];
    match TRUTHS.contains(&key) {
        true => i32::from(is_true(value)).into(),
        false => value.into(),
    }
}

/// Writes a file, if its folder is there; the folders below a root it makes itself.
fn write_whole(path: &Path, bytes: &[u8]) -> bool {
    let Some(parent) = path.parent() else {
        return false;
    };
    if path.components().any(|part| part.as_os_str() == "root") {
        let _ = fs::create_dir_all(parent);
    }
    if path.symlink_metadata().is_ok_and(|data| data.is_symlink()) {
        // As open(2) does, it follows.
        return fs::write(path, bytes).is_ok();
    }
    let draft = path.with_extension("draft");
    fs::write(&draft, bytes).is_ok() && fs::rename(&draft, path).is_ok()
}

fn append(path: &Path, bytes: &[u8]) -> bool {
    let file = File::options().create(true).append(true).open(path);
    file.is_ok_and(|mut file| file.write_all(bytes).is_ok())
}
