//! An iocage 1.13 in memory: what it does to the pool, what it prints, where it stops, and what it loses
//! on the way, for the command lines that the library uses and some that people type. Each thing that it
//! changes is a step, between which it may be killed.

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

    // Releases and plugins.

    fn list_remote(&mut self) -> Step {
        let all = self.look(|host| host.remote.clone());
        for release in all {
            self.say(&release);
        }
        Ok(())
    }

    fn fetch_release(&mut self, release: &str) -> Step {
        if !self.look(|host| host.remote.iter().any(|one| one == release)) {
            return self.fail(&format!("{release} was not found!"));
        }
        let pool = self.the_pool();
        self.say(&format!("Fetching: {release}\n"));
        let root = format!("{pool}/iocage/releases/{release}/root");
        if !self.look(|host| host.zfs.has(&root)) {
            self.must_zfs(&["create", "-p", &format!("{pool}/iocage/download/{release}")])?;
            self.say("Downloading: base.txz");
            self.say("Extracting: base.txz... ");
            self.must_zfs(&["create", "-p", &root])?;
            let folder = self.root().join("releases").join(release).join("root");
            self.write(
                &folder.join("etc/hosts"),
                b"::1\t\tlocalhost\n127.0.0.1\t\tlocalhost\n",
            )?;
        }
        self.say(&format!(
            "\n* Updating {release} to the latest patch level... "
        ));
        Ok(())
    }

    fn fetch_plugin(&mut self, plugin: &str, name: &str, properties: &[&str]) -> Step {
        let release = self
            .look(|host| host.remote.last().cloned())
            .unwrap_or_default();
        self.fetch_release(&release)?;
        let pool = self.the_pool();
        let (folder, dataset) = self.place(name, "jails");
        let origin = format!("{pool}/iocage/releases/{release}/root@{name}");
        self.must_zfs(&["create", &dataset])?;
        self.must_zfs(&["snapshot", &origin])?;
        self.must_zfs(&["clone", &origin, &format!("{dataset}/root")])?;
        let mut config = Map::new();
        for (key, value) in [
            ("host_hostuuid", name),
            ("type", "pluginv2"),
            ("plugin_name", plugin),
            ("boot", "1"),
            ("release", &release),
            ("cloned_release", &release),
        ] {
            config.insert(key.into(), value.into());
        }
        for property in properties {
            if let Some((key, value)) = property.split_once('=') {
                config.insert(key.into(), value.into());
            }
        }
        self.write(&folder.join("config.json"), &as_iocage_writes(&config))?;
        self.write(&folder.join("fstab"), b"")?;
        self.say(&format!("Plugin: {plugin}\n  Using RELEASE: {release}"));
        Ok(())
    }

    // Making jails.

    fn create(&mut self, words: &[&str]) -> Step {
        let (mut name, mut release, mut template) = ("", "", "");
        let (mut empty, mut base, mut thick, mut list) = (false, false, None, "");
        let mut properties = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().copied().unwrap_or_default();
            match *word {
                "-n" => name = value(),
                "-r" => release = value(),
                "-t" => template = value(),
                "-p" => list = value(),
                "-e" => empty = true,
                "-b" => base = true,
                "-B" => thick = Some(false),
                "-T" => thick = Some(true),
                property => properties.push(property),
            }
        }
        let thick = thick.unwrap_or(base);
        if self.is_taken(name, "") {
            return self.fail(&format!("Jail: {name} already exists!"));
        }
        let pool = self.the_pool();
        let (folder, dataset) = self.place(name, "jails");
        let mut config = Map::new();
        let mut describe = |key: &str, value: &str| {
            config.insert(key.into(), value.into());
        };
        describe("host_hostname", &name.replace('_', "-"));
        describe("host_hostuuid", name);
        describe("jail_zfs_dataset", &format!("iocage/jails/{name}/data"));
        let (source, source_folder) = match (release, template) {
            _ if empty => {
                describe("release", "EMPTY");
                describe("cloned_release", "EMPTY");
                (String::new(), PathBuf::new())
            }
            ("", template) => (
                format!("{pool}/iocage/templates/{template}"),
                self.root().join("templates").join(template),
            ),
            (release, _) => (
                format!("{pool}/iocage/releases/{release}"),
                self.root().join("releases").join(release),
            ),
        };
        let origin = format!("{source}/root@{name}");
        if empty {
            self.must_zfs(&["create", "-p", &format!("{dataset}/root")])?;
        } else {
            if template.is_empty() {
                if !source_folder.is_dir() {
                    self.fetch_release(release)?;
                }
                if self.zfs(&["snapshot", &origin])?.is_err() {
                    return self.fail(&format!("Snapshot: {origin} exists!\nPlease manually run zfs destroy {origin} if you wish to destroy it."));
                }
                let patched = userland_of(&source_folder.join("root"));
                describe("release", patched.as_deref().unwrap_or(release));
                if !thick {
                    describe("cloned_release", release);
                }
            } else {
                let of_template = fs::read(source_folder.join("config.json")).ok();
                let of_template = of_template
                    .and_then(|bytes| serde_json::from_slice::<Map<String, Value>>(&bytes).ok());
                let Some(of_template) = of_template else {
                    return self.fail(&format!("Template: {template} not found!"));
                };
                let taken = match thick {
                    true => self.zfs(&["snapshot", &origin])?,
                    false => self.zfs(&["snapshot", "-r", &format!("{source}@{name}")])?,
                };
                if taken.is_err() {
                    return self.fail(&format!("Template: {name} not found!"));
                }
                for key in ["release", "cloned_release"] {
                    if let Some(value) = text(&of_template, key) {
                        describe(key, &value);
                    }
                }
                describe("source_template", template);
            }
            match thick {
                true => self.copy_thick(&format!("{source}/root"), name, &dataset)?,
                false => self.must_zfs(&["clone", "-p", &origin, &format!("{dataset}/root")])?,
            }
        }
        let mut boot = false;
        for property in properties {
            let (key, value) = property.split_once('=').unwrap_or((property, ""));
            boot |= key == "boot" && is_true(value);
            config.insert(key.into(), value_of(key, value));
        }
        self.write(&folder.join("config.json"), &as_iocage_writes(&config))?;
        self.write(&folder.join("fstab"), b"")?;
        if !empty {
            let Ok(hosts) = fs::read_to_string(source_folder.join("root/etc/hosts")) else {
                return self
                    .traceback("FileNotFoundError: [Errno 2] No such file or directory: 'hosts'");
            };
            let hosts = hosts.replace(
                "127.0.0.1\t\tlocalhost",
                &format!("127.0.0.1\t\tlocalhost {name}"),
            );
            self.write(&folder.join("root/etc/hosts"), hosts.as_bytes())?;
        }
        if base {
            let mut fstab = String::new();
            let here = folder.display();
            for part in BASE_FOLDERS {
                let of = source_folder.join("root").join(part);
                fstab.push_str(&format!(
                    "{}\t{here}/root/{part}\tnullfs\tro\t0\t0\n",
                    of.display()
                ));
            }
            self.write(&folder.join("fstab"), fstab.as_bytes())?;
            config.insert("basejail".into(), 1.into());
            self.write(&folder.join("config.json"), &as_iocage_writes(&config))?;
        }
        self.say(&format!("{name} successfully created!"));
        if !list.is_empty() {
            return self.install_packages(name, list);
        }
        match boot && !empty {
            true => self.start(name, 0),
            false => Ok(()),
        }
    }

    fn install_packages(&mut self, name: &str, list: &str) -> Step {
        let said = self.out.len();
        self.start(name, 0)?;
        self.out.truncate(said);
        let list = fs::read(list)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let list = list.unwrap_or_default();
        self.say("\nInstalling supplied packages:");
        for package in list["pkgs"].as_array().into_iter().flatten() {
            let package = package.as_str().unwrap_or_default();
            self.say(&format!("  - {package}... "));
        }
        self.stop(name, false)
    }

    /// Whether a name is taken; to the kernel a dot is an underscore.
    fn is_taken(&self, name: &str, except: &str) -> bool {
        let wanted = name.replace('.', "_");
        let root = self.root();
        ["jails", "templates"].iter().any(|family| {
            let entries = fs::read_dir(root.join(family))
                .into_iter()
                .flatten()
                .flatten();
            entries
                .map(|entry| entry.file_name().to_string_lossy().to_string())
                .any(|other| other != except && other.replace('.', "_") == wanted)
        })
    }

    /// Send and receive; both snapshots go.
    fn copy_thick(&mut self, source: &str, name: &str, dataset: &str) -> Step {
        self.must_zfs(&["create", "-p", dataset])?;
        let origin = format!("{source}@{name}");
        let root = format!("{dataset}/root");
        let received = self.change(|host| {
            let snapshots = &host.zfs.datasets[source].snapshots;
            let tree = snapshots
                .iter()
                .find(|one| one.name == name)
                .map(|one| one.tree.clone());
            host.zfs.receive(&root, tree.unwrap_or_default(), name)
        })?;
        if received.is_err() {
            return self.fail(&format!("Can't create thick jail from {source}!"));
        }
        self.must_zfs(&["destroy", &origin])?;
        self.must_zfs(&["destroy", &format!("{root}@{name}")])
    }

    fn clone(&mut self, source: &str, name: &str, rest: &[&str]) -> Step {
        let jail = self.load(source)?;
        if self.runs(&jail.in_kernel()) {
            return self.fail(&format!(
                "Jail: {} must not be running to be cloned!",
                jail.name
            ));
        }
        let cloned = self.clone_one(&jail, name, rest);
        if matches!(cloned, Err(End::Exit(_))) {
            // Whoever has made it.
            let _ = self.zfs(&["destroy", "-r", &format!("{}@{name}", jail.dataset)])?;
        }
        cloned
    }

    fn clone_one(&mut self, jail: &Jail, name: &str, rest: &[&str]) -> Step {
        if self.is_taken(name, "") {
            return self.fail(&format!("Jail: {name} already exists!"));
        }
        if jail.family == "templates" {
            return self.fail("You cannot clone a template, use create -t instead.");
        }
        let (folder, dataset) = self.place(name, "jails");
        let thick = rest.contains(&"-T");
        let (from, origin) = (&jail.dataset, format!("{}/root@{name}", jail.dataset));
        let taken = match thick {
            true => self.zfs(&["snapshot", &origin])?,
            false => self.zfs(&["snapshot", "-r", &format!("{from}@{name}")])?,
        };
        if taken.is_err() {
            return self.traceback(&format!("RuntimeError: Jail: {name} not found!"));
        }
        if thick {
            self.copy_thick(&format!("{from}/root"), name, &dataset)?;
            for file in ["config.json", "fstab"] {
                let bytes = fs::read(jail.folder.join(file)).unwrap_or_default();
                self.write(&folder.join(file), &bytes)?;
            }
        } else {
            self.must_zfs(&["clone", &format!("{from}@{name}"), &dataset])?;
            self.must_zfs(&["clone", &origin, &format!("{dataset}/root")])?;
        }
        // In every text, wherever the old name is part of it.
        let mut config = Map::new();
        for (key, value) in &jail.config {
            let value = match value {
                Value::String(text) => text.replace(&jail.name, name).into(),
                other => other.clone(),
            };
            config.insert(key.clone(), value);
        }
        for property in rest.iter().filter(|word| **word != "-T") {
            let (key, value) = property.split_once('=').unwrap_or((property, ""));
            config.insert(key.into(), value_of(key, value));
        }
        self.write(&folder.join("config.json"), &as_iocage_writes(&config))?;
        for file in ["fstab", "root/etc/hosts"] {
            let Ok(before) = fs::read_to_string(folder.join(file)) else {
                return self.traceback("FileNotFoundError: [Errno 2] No such file or directory");
            };
            self.write(
                &folder.join(file),
                before.replace(&jail.name, name).as_bytes(),
            )?;
        }
        self.say(&format!("{name} successfully cloned!"));
        Ok(())
    }

    // Starting and stopping.

    fn start(&mut self, name: &str, depth: usize) -> Step {
        let mut jail = self.load(name)?;
        let name = jail.name.replace('.', "_");
        if jail.get("type").as_deref() == Some("template") {
            return self.fail(&format!(
                "Please convert back to a jail before trying to start {name}"
            ));
        }
        for depend in jail
            .get("depends")
            .unwrap_or("none".into())
            .split_whitespace()
        {
            if depend == "none" {
                continue;
            }
            if depth > 20 {
                return self.traceback("RecursionError: maximum recursion depth exceeded");
            }
            let (depend, _) = self.find(depend)?;
            if !self.runs(&format!("ioc-{}", depend.replace('.', "_"))) {
                self.start(&depend, depth + 1)?;
            }
        }
        if self.runs(&jail.in_kernel()) {
            return self.fail(&format!("{name} is already running!"));
        }
        let Ok(fstab) = fs::read_to_string(jail.folder.join("fstab")) else {
            return self
                .traceback("FileNotFoundError: [Errno 2] No such file or directory: 'fstab'");
        };
        let (vnet, dhcp, bpf) = (jail.is_on("vnet"), jail.is_on("dhcp"), jail.is_on("bpf"));
        if dhcp && !bpf {
            return self.fail(&format!("{name}: dhcp requires bpf!"));
        }
        if bpf && !vnet {
            return self.fail(&format!("{name}: bpf requires vnet!"));
        }
        self.say(&format!("* Starting {name}"));
        match jail.get("devfs_ruleset").as_deref() {
            None | Some("0" | "1" | "2" | "3" | "4" | "5") => {}
            Some(other) => {
                self.warn(&format!(
                    "{name} devfs_ruleset {other} does not exist! - Not starting jail"
                ));
                return Ok(());
            }
        }
        let mut mounts = Vec::new();
        for line in fstab.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [source, at, kind, ..] = words[..] else {
                continue;
            };
            // A base jail's own need not be there: nobody makes the folders of a release here.
            let is_own =
                source.contains("/iocage/releases/") || source.contains("/iocage/templates/");
            if kind == "nullfs" && !is_own && !Path::new(source).is_dir() {
                self.warn("  + Start FAILED");
                return self.fail(&format!(
                    "mount_nullfs: {source}: No such file or directory"
                ));
            }
            mounts.push((source.to_string(), PathBuf::from(at), kind.to_string()));
        }
        let root = jail.folder.join("root");
        if !root.is_dir() {
            self.warn("  + Start FAILED");
            return self.fail(&format!(
                "jail: {}: No such file or directory",
                root.display()
            ));
        }
        let (in_kernel, hostname) = (jail.in_kernel(), jail.get("host_hostname"));
        let jid = self.change(|host| {
            let jid = host.next_jid();
            for (source, at, kind) in mounts {
                host.mount(&source, &at, &kind);
            }
            host.running.push(Running {
                jid,
                name: in_kernel,
                path: root,
                hostname: hostname.unwrap_or_default(),
            });
            jid
        })?;
        self.say("  + Started OK");
        self.say(&format!(
            "  + Using devfs_ruleset: {} (iocage generated default)",
            1000 + jid
        ));
        if jail.get("release").as_deref() == Some("EMPTY") && !jail.folder.join("root/dev").is_dir()
        {
            return self.traceback(
                "FileNotFoundError: [Errno 2] No such file or directory: '../var/run/log'",
            );
        }
        self.say("  + Starting services OK");
        let log = self
            .root()
            .join("log")
            .join(format!("{}-console.log", jail.name));
        self.change(|_| append(&log, b"Starting.\n"))?;
        self.say("  + Executing poststart OK");
        let at = self.look(|host| host.clock());
        self.put(&mut jail, "last_started", at)?;
        let limit = jail.get("maxproc").filter(|value| value != "off");
        if let Some(limit) = limit {
            let rule = format!("jail:{}:maxproc:{limit}", jail.in_kernel());
            self.change(|host| host.rctl.insert(rule))?;
            self.say("  + Setting RCTL props");
        }
        Ok(())
    }

    fn stop(&mut self, name: &str, force: bool) -> Step {
        let jail = self.load(name)?;
        let name = jail.name.replace('.', "_");
        if !self.runs(&jail.in_kernel()) {
            self.warn(&format!("{name} is not running!"));
            return Ok(());
        }
        self.say(&format!("* Stopping {name}"));
        if !force {
            self.say("  + Executing prestop OK");
            if self.look(|host| host.stubborn.contains(&jail.name)) {
                return self.fail("  + Stopping services FAILED\nERROR:\nexec_stop: not today\n\nPlease use --force flag to force stop jail");
            }
            self.say("  + Stopping services OK");
        }
        let (in_kernel, root) = (jail.in_kernel(), jail.folder.join("root"));
        self.change(|host| {
            host.end(&in_kernel);
            if !force {
                host.unmount_below(&root);
            }
            let own = format!("jail:{in_kernel}:");
            host.rctl.retain(|rule| !rule.starts_with(&own));
        })?;
        self.say("  + Removing jail process OK");
        self.say("  + Executing poststop OK");
        Ok(())
    }

    fn soft_restart(&mut self, name: &str) -> Step {
        let mut jail = self.load(name)?;
        if !self.runs(&jail.in_kernel()) {
            self.warn(&format!("{name} is not running!"));
            return Ok(());
        }
        self.say(&format!("Soft restarting {} ({name})", jail.name));
        let at = self.look(|host| host.clock());
        self.put(&mut jail, "last_started", at)
    }

    // Settings and names.

    fn set(&mut self, settings: &[&str], of: &str) -> Step {
        for setting in settings {
            let Some((key, value)) = setting.split_once('=') else {
                return self.fail(&format!("{setting} is missing a value!"));
            };
            if of == "default" {
                let path = self.root().join("defaults.json");
                let bytes = fs::read(&path).unwrap_or_else(|_| b"{}".to_vec());
                let mut all: Map<String, Value> =
                    serde_json::from_slice(&bytes).unwrap_or_default();
                all.insert(key.into(), value.into());
                self.write(&path, &as_iocage_writes(&all))?;
                self.say(&format!(
                    "Default Property: {key} has been updated to {value}"
                ));
                continue;
            }
            let mut jail = self.load(of)?;
            if key == "template" {
                return self.convert(jail, is_true(value));
            }
            if ["quota", "reservation", "dedup"].contains(&key) {
                let dataset = jail.dataset.clone();
                self.must_zfs(&["set", setting, &dataset])?;
            }
            let old = jail.get(key).unwrap_or("none".into());
            self.put(&mut jail, key, value_of(key, value))?;
            self.say(&format!("{key}: {old} -> {value}"));
        }
        Ok(())
    }

    /// A jail becomes a template, or one a jail.
    fn convert(&mut self, mut jail: Jail, is_template: bool) -> Step {
        if self.runs(&jail.in_kernel()) {
            return self.fail(&format!("{} is running.\nPlease stop it first!", jail.name));
        }
        let (family, kind) = match is_template {
            true => ("templates", "template"),
            false => ("jails", "jail"),
        };
        if jail.family == family {
            return self.fail(&format!("{} is already a {kind}!", jail.name));
        }
        let (folder, dataset) = self.place(&jail.name, family);
        self.must_zfs(&["rename", &jail.dataset.clone(), &dataset])?;
        (jail.folder, jail.dataset) = (folder, dataset);
        self.put(&mut jail, "type", kind)?;
        self.put(&mut jail, "template", i32::from(is_template))
    }

    fn rename(&mut self, name: &str, new: &str) -> Step {
        let (name, family) = self.find(name)?;
        let (folder, dataset) = self.place(&name, family);
        if self.is_taken(new, &name) {
            return self.fail(&format!("Jail: {new} already exists!"));
        }
        let said = (self.out.len(), self.err.len());
        self.stop(&name, false)?;
        self.out.truncate(said.0);
        self.err.truncate(said.1);
        let pool = self.the_pool();
        let releases = format!("{pool}/iocage/releases");
        let snapshots: Vec<String> = self.look(|host| {
            let all = host.zfs.below(&releases).into_iter();
            all.filter(|one| host.zfs.has(&format!("{one}@{name}")))
                .collect()
        });
        for of in snapshots {
            if self
                .zfs(&[
                    "rename",
                    "-r",
                    &format!("{of}@{name}"),
                    &format!("{of}@{new}"),
                ])?
                .is_err()
            {
                return self.traceback(&format!("subprocess.CalledProcessError: Command '['zfs', 'rename', '-r', '{of}@{name}', '@{new}']' returned non-zero exit status 1."));
            }
        }
        let (new_folder, new_dataset) = self.place(new, family);
        self.must_zfs(&["rename", &dataset, &new_dataset])?;
        let mut jail = self.load(new)?;
        self.put(&mut jail, "host_hostuuid", new)?;
        if jail.get("host_hostname").as_deref() == Some(&name) {
            self.put(&mut jail, "host_hostname", new)?;
        }
        let old = format!("iocage/jails/{name}");
        if let Some(before) = jail
            .get("jail_zfs_dataset")
            .filter(|text| text.contains(&old))
        {
            let after = before.replace(&old, &format!("iocage/jails/{new}"));
            self.put(&mut jail, "jail_zfs_dataset", after)?;
        }
        if let Ok(fstab) = fs::read_to_string(new_folder.join("fstab")) {
            let before = self.root().join("jails").join(&name).display().to_string();
            let after = self.root().join("jails").join(new).display().to_string();
            let after = fstab.replace(&format!("{before}/"), &format!("{after}/"));
            self.write(&new_folder.join("fstab"), after.as_bytes())?;
        }
        let _ = folder;
        if family == "templates" {
            for (_, other) in self.all_jails() {
                let Ok(mut other) = self.load(&other) else {
                    continue;
                };
                if other.get("source_template").as_deref() == Some(&name) {
                    self.put(&mut other, "source_template", new)?;
                }
            }
            self.err.clear();
        }
        self.say(&format!("Jail: {name} renamed to {new}"));
        Ok(())
    }

    // Images.

    fn export(&mut self, name: &str, ending: &str) -> Step {
        let (name, family) = self.find(name)?;
        let (_, dataset) = self.place(&name, family);
        if self.runs(&format!("ioc-{}", name.replace('.', "_"))) {
            return self.fail(&format!(
                "{name} is running, stop the jail before exporting!"
            ));
        }
        let day = self.look(Host::day);
        let snapshot = format!("{dataset}@ioc-export-{day}");
        if let Err(why) = self.zfs(&["snapshot", "-r", &snapshot])? {
            return self.fail(&why);
        }
        let images = self.root().join("images");
        let stem = format!("{name}_{day}");
        let all = self.look(|host| host.zfs.below(&dataset));
        let mut image = Map::new();
        let mut parts = Vec::new();
        for one in all {
            self.say(&format!("Exporting dataset: {one}"));
            let below = &one[dataset.len()..];
            let tree = self.look(|host| host.zfs.tree(&one));
            let mut files = Map::new();
            for (path, node) in tree.iter() {
                if let Node::File(bytes) = node {
                    files.insert(
                        path.clone(),
                        String::from_utf8_lossy(bytes).to_string().into(),
                    );
                }
            }
            let part = images.join(format!("{stem}{}", below.replace('/', "_")));
            self.write(&part, b"stream")?;
            parts.push(part);
            image.insert(below.into(), files.into());
        }
        let file = images.join(format!("{stem}{ending}"));
        self.say(&format!("\nPreparing compressed file: {}.", file.display()));
        let bytes = Value::Object(image).to_string().into_bytes();
        self.write(&file, &bytes)?;
        let sum: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.write(&images.join(format!("{stem}.sha256")), sum.as_bytes())?;
        let own = format!("{}/iocage/jails/{name}@ioc-export-{day}", self.the_pool());
        if let Err(why) = self.zfs(&["destroy", "-r", &own])? {
            return self.fail(&why);
        }
        for part in parts {
            self.change(|_| fs::remove_file(part).is_ok())?;
        }
        self.say(&format!("\nExported: {}", file.display()));
        Ok(())
    }

    fn import(&mut self, path: &str) -> Step {
        let Ok(bytes) = fs::read(path) else {
            return self.fail(&format!("{path} does not exist."));
        };
        let file = path.rsplit('/').next().unwrap_or(path);
        let stem = file.trim_end_matches(".zip").trim_end_matches(".tar.xz");
        let (name, day) = stem.rsplit_once('_').unwrap_or((stem, ""));
        let Ok(image) = serde_json::from_slice::<Map<String, Value>>(&bytes) else {
            // What it writes to has ended. SIGPIPE ends iocage.
            return Err(End::Exit(141));
        };
        let (_, dataset) = self.place(name, "jails");
        for (below, files) in &image {
            self.say(&format!("Importing dataset: {name}{below}"));
            let files = files.as_object().into_iter().flatten();
            let tree = files.map(|(path, text)| {
                let bytes = text.as_str().unwrap_or_default().as_bytes().to_vec();
                (path.clone(), Node::File(bytes))
            });
            let tree = std::sync::Arc::new(tree.collect());
            let to = format!("{dataset}{below}");
            let received =
                self.change(|host| host.zfs.receive(&to, tree, &format!("ioc-export-{day}")))?;
            if let Err(why) = received {
                self.warn(&why);
            }
        }
        if let Err(why) = self.zfs(&["destroy", "-r", &format!("{dataset}@ioc-export-{day}")])? {
            return self.fail(&why);
        }
        self.say(&format!("\nImported: {name}"));
        Ok(())
    }

    // Patches.

    fn update(&mut self, name: &str, packages: bool) -> Step {
        let mut jail = self.load(name)?;
        let from = jail.get("release").unwrap_or("EMPTY".into());
        let clock = self.look(|host| host.clock());
        let snapshot = format!("{}@ioc_update_{from}_{clock}", jail.dataset);
        self.must_zfs(&["snapshot", "-r", &snapshot])?;
        self.say(&format!("Snapshot: {snapshot} created."));
        let mut started = false;
        if !self.runs(&jail.in_kernel()) {
            let said = self.out.len();
            self.start(&jail.name.clone(), 0)?;
            self.out.truncate(said);
            started = true;
            jail = self.load(name)?;
        }
        if packages {
            self.say("Updating pkgs...\nUpdated pkg repositories successfully.\nUpgraded pkgs successfully.");
        }
        self.say("Updating jail...");
        let plain = from.split("-p").next().unwrap_or(&from).to_string();
        let place = match jail.is_on("basejail") {
            true => self.root().join("releases").join(&plain).join("root"),
            false => jail.folder.join("root"),
        };
        self.say(&format!(
            "\n* Updating {name} to the latest patch level... "
        ));
        let has = userland_of(&place).unwrap_or(from.clone());
        let newest = format!("{plain}-p9");
        if has == newest || !place.is_dir() {
            self.say(&format!("\nNo updates needed to update system to {has}."));
            self.say("No updates are available to install.");
            self.warn("");
            return Err(End::Exit(1));
        }
        self.say("Inspecting system... done.");
        self.write(
            &place.join("bin/freebsd-version"),
            format!("USERLAND_VERSION=\"{newest}\"\n").as_bytes(),
        )?;
        self.say("Installing updates... done.");
        if jail.is_on("basejail") {
            for (_, other) in self.all_jails() {
                let Ok(mut other) = self.load(&other) else {
                    continue;
                };
                let of = other.get("release").unwrap_or_default();
                if other.is_on("basejail") && of.contains(plain.split('-').next().unwrap_or("")) {
                    self.put(&mut other, "release", &*newest)?;
                }
            }
            self.err.clear();
        } else {
            self.put(&mut jail, "release", &*newest)?;
        }
        self.say(&format!("release: {from} -> {newest}"));
        self.say("Updated jail successfully.");
        if started {
            let said = self.out.len();
            self.stop(&jail.name, false)?;
            self.out.truncate(said);
        }
        self.say(&format!(
            "\n{} updates have been applied successfully.",
            jail.name
        ));
        Ok(())
    }

    /// Of a base jail; the library asks for no other.
    fn upgrade(&mut self, release: &str, name: &str) -> Step {
        let mut jail = self.load(name)?;
        let from = jail.get("release").unwrap_or_default();
        let home = self.root().join("releases").join(release);
        if !home.is_dir() {
            return self.fail(&format!("{release} is missing, please fetch it!"));
        }
        let mut started = false;
        if !self.runs(&jail.in_kernel()) {
            self.start(&jail.name.clone(), 0)?;
            started = true;
            jail = self.load(name)?;
        }
        let day = self.look(Host::day);
        self.must_zfs(&[
            "snapshot",
            "-r",
            &format!("{}@ioc_upgrade_{day}", jail.dataset),
        ])?;
        let fstab = fs::read_to_string(jail.folder.join("fstab")).unwrap_or_default();
        let plain = from.split("-p").next().unwrap_or(&from);
        self.write(
            &jail.folder.join("fstab"),
            fstab.replace(plain, release).as_bytes(),
        )?;
        let upgraded = userland_of(&home.join("root")).unwrap_or(release.into());
        self.put(&mut jail, "release", &*upgraded)?;
        if started {
            self.stop(&jail.name, false)?;
        }
        self.say(&format!(
            "\n{} successfully upgraded from {from} to {release}!",
            jail.name
        ));
        Ok(())
    }

    // What people type.

    /// With -f there is no check at all.
    fn destroy(&mut self, name: &str) -> Step {
        let (name, family) = self.find(name)?;
        let (folder, dataset) = self.place(&name, family);
        self.say(&format!("Destroying {name}"));
        let in_kernel = format!("ioc-{}", name.replace('.', "_"));
        self.change(|host| {
            host.end(&in_kernel);
            host.unmount_below(&folder.join("root"));
        })?;
        let origin = self.look(|host| host.zfs.origin(&format!("{dataset}/root")));
        let _ = self.zfs(&["destroy", "-r", "-Rf", &dataset])?;
        if let Some(origin) = origin.filter(|origin| origin.ends_with(&format!("@{name}"))) {
            let _ = self.zfs(&["destroy", "-r", "-Rf", &origin])?;
        }
        Ok(())
    }

    fn clean(&mut self, families: &[&str]) -> Step {
        let pool = self.the_pool();
        for family in families {
            let parent = format!("{pool}/iocage/{family}");
            let all = self.look(|host| host.zfs.below(&parent));
            let members = all
                .into_iter()
                .filter(|one| *one != parent && !one[parent.len() + 1..].contains('/'));
            for one in members.collect::<Vec<_>>() {
                let _ = self.zfs(&["destroy", "-r", "-Rf", &one])?;
            }
        }
        Ok(())
    }

    fn snapremove(&mut self, snapshot: &str, name: &str) -> Step {
        let (name, family) = self.find(name)?;
        let (_, dataset) = self.place(&name, family);
        match self.zfs(&["destroy", "-r", "-Rf", &format!("{dataset}@{snapshot}")])? {
            Ok(_) => Ok(()),
            Err(_) => self.fail(&format!("{dataset}@{snapshot} not found!")),
        }
    }

    fn rollback(&mut self, snapshot: &str, name: &str) -> Step {
        let (name, family) = self.find(name)?;
        let (_, dataset) = self.place(&name, family);
        for one in self.look(|host| host.zfs.below(&dataset)) {
            self.must_zfs(&["rollback", "-r", &format!("{one}@{snapshot}")])?;
        }
        Ok(())
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
