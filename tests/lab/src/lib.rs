//! A host to work on: a real ZFS pool on a file, laid out as iocage lays it out.
//!
//! The pool, its datasets, clones, properties and mounts are real (FreeBSD's ZFS or OpenZFS where
//! there is one, else zfs-fuse). Only what needs a FreeBSD kernel has a stand-in: `jls`, `jexec`,
//! `rctl` and `iocage`, in `tests/lab/host`. Every command that runs on the lab's host is recorded,
//! and can be made to fail.
//!
//! A lab is a folder of its own with pools of its own, and with a zfs-fuse of its own where that is
//! the ZFS. A janitor process, which outlives whatever happens to this one, removes them, and ends a
//! zfs-fuse that does not answer any more.

pub mod class_document;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{json, Value};

const JANITOR: &str = include_str!("../host/janitor");
const JLS: &str = include_str!("../host/jls");
const GIT: &str = include_str!("../host/git");
const FETCH: &str = include_str!("../host/fetch");
const JEXEC: &str = include_str!("../host/jexec");
const RCTL: &str = include_str!("../host/rctl");
const IOCAGE: &str = include_str!("../host/iocage");
/// What the stand-ins share, and the parts of iocage's.
const RUNNING: &str = include_str!("../host/running");
const HOST: [(&str, &str); 8] = [
    ("json.awk", include_str!("../host/json.awk")),
    ("names", include_str!("../host/names")),
    ("life", include_str!("../host/life")),
    ("settings", include_str!("../host/settings")),
    ("making", include_str!("../host/making")),
    ("images", include_str!("../host/images")),
    ("patching", include_str!("../host/patching")),
    ("commands", include_str!("../host/commands")),
];
const FREEBSD_VERSION: &str = include_str!("../host/freebsd-version");
/// What build.rs builds: what stands before each command, and three for zfs-fuse.
const RECORD: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/record"));
const ZFS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/zfs"));
const PRELOAD: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/preload"));
const UNUSED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/unused"));

/// iocage's own plugin repository, as a folder name.
pub const INDEX_CLONE: &str = ".plugins/github_com_freenas_iocage-ix-plugins_git";

/// A host to work on.
pub struct Lab {
    dir: PathBuf,
    pools: Vec<String>,
    janitor: Child,
}

impl Lab {
    /// Opens a lab with so many pools, each without anything in it.
    ///
    /// # Errors
    /// Where there can be no ZFS here, and why.
    pub fn open(pools: usize) -> Result<Lab, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sysadmlab{}x{number}", std::process::id());
        let dir = std::env::temp_dir().join(&name);
        let io = |error: std::io::Error| format!("{}: {error}", dir.display());
        fs::create_dir_all(&dir).map_err(io)?;
        let dir = dir.canonicalize().map_err(io)?;
        for part in ["bin", "real", "host", "faults", "habits", "mnt", "lib"] {
            fs::create_dir(dir.join(part)).map_err(io)?;
        }
        fs::write(dir.join("preload.so"), PRELOAD).map_err(io)?;
        for library in ["libcrypto.so.3", "libgssapi_krb5.so.2"] {
            fs::write(dir.join("lib").join(library), UNUSED).map_err(io)?;
        }
        executables(&dir, &[("janitor", JANITOR.as_bytes())]);
        let mut janitor = Command::new(dir.join("janitor"))
            .arg(&dir)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A Ctrl-C is for the program; the janitor has its work still before it.
            .process_group(0)
            .spawn()
            .map_err(io)?;
        let mut answer = String::new();
        let mut stdout = BufReader::new(janitor.stdout.take().expect("it is piped"));
        stdout.read_line(&mut answer).map_err(io)?;
        if answer.trim() != "ready" {
            let _ = janitor.wait();
            let _ = fs::remove_dir_all(&dir);
            return Err(answer.trim().into());
        }
        let pools = (0..pools).map(|index| format!("{name}p{index}")).collect();
        let lab = Lab {
            dir,
            pools,
            janitor,
        };
        lab.install_host();
        lab.make_pools();
        Ok(lab)
    }

    /// Opens a lab, or says out loud that a test is skipped without one. Where `REQUIRE_ZFS`
    /// is 1, that is a failure.
    pub fn or_skip(pools: usize) -> Option<Lab> {
        match Lab::open(pools) {
            Ok(lab) => Some(lab),
            Err(why) if std::env::var("REQUIRE_ZFS").as_deref() == Ok("1") => {
                panic!("REQUIRE_ZFS=1, but there is no ZFS: {why}")
            }
            Err(why) => {
                // Past the test runner, which hides what a test that passes prints.
                let _ = writeln!(std::io::stderr(), "SKIPPED, there is no ZFS: {why}");
                None
            }
        }
    }

    fn install_host(&self) {
        for (name, content) in HOST {
            self.file(&format!("host/{name}"), content);
        }
        executables(&self.dir.join("host"), &[("running", RUNNING.as_bytes())]);
        let real = self.dir.join("real");
        let scripts = [
            ("jls", JLS),
            ("jexec", JEXEC),
            ("rctl", RCTL),
            ("iocage", IOCAGE),
            ("freebsd-version", FREEBSD_VERSION),
            ("fetch", FETCH),
            ("git", GIT),
        ];
        let mut programs: Vec<(&str, &[u8])> =
            scripts.map(|(name, text)| (name, text.as_bytes())).into();
        if self.dir.join("zfs-fuse").exists() {
            programs.push(("zfs", ZFS));
            symlink("zfs", real.join("zpool")).unwrap();
        } else {
            for name in ["zfs", "zpool"] {
                let installed = ["/sbin", "/usr/sbin", "/usr/local/sbin"]
                    .map(|folder| Path::new(folder).join(name))
                    .into_iter()
                    .find(|path| path.exists())
                    .expect("the janitor has found it");
                symlink(installed, real.join(name)).unwrap();
            }
        }
        executables(&real, &programs);
        let bin = self.dir.join("bin");
        executables(&bin, &[("zfs", RECORD)]);
        for name in ["zpool", "jls", "jexec", "rctl", "fetch", "git"] {
            fs::hard_link(bin.join("zfs"), bin.join(name)).unwrap();
        }
        self.file("pools", &(self.pools.join("\n") + "\n"));
        self.set_network("up");
        self.file("unsupported.html", "");
        self.file("pace", "0");
        self.file("rctl", "");
        self.set_patches(&[]);
        self.set_missing_packages(&[]);
        self.set_racct(true);
        self.set_iocage_version("1.13");
        self.set_userland("13.2-RELEASE-p9");
        self.set_remote_releases(&["13.2-RELEASE", "14.1-RELEASE"]);
        self.set_running(&[]);
        self.forget_commands();
    }

    fn make_pools(&self) {
        for pool in &self.pools {
            let image = self.dir.join(pool);
            // Sparse: what is not written takes no space.
            fs::File::create(&image).unwrap().set_len(4 << 30).unwrap();
            let mountpoint = format!("mountpoint={}", self.mountpoint(pool).display());
            let arguments = [
                "create",
                "-f",
                // Or a daemon that starts later would look for a pool that is no more.
                "-o",
                "cachefile=none",
                "-O",
                &mountpoint,
                pool,
                image.to_str().unwrap(),
            ];
            self.command("zpool", &arguments);
        }
    }

    /// The lab's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The name of a pool.
    pub fn pool(&self, index: usize) -> &str {
        &self.pools[index]
    }

    /// Where a pool is mounted.
    pub fn mountpoint(&self, pool: &str) -> PathBuf {
        self.dir.join("mnt").join(pool)
    }

    /// iocage's root on disk.
    pub fn iocage_root(&self, pool: &str) -> PathBuf {
        self.mountpoint(pool).join("iocage")
    }

    /// A configuration for the plugin that can touch nothing but this lab.
    pub fn config(&self) -> Value {
        let path = |name: &str| self.dir.join("bin").join(name).display().to_string();
        json!({
            "commands": {
                "zfs": path("zfs"), "zpool": path("zpool"), "jls": path("jls"),
                "jexec": path("jexec"), "rctl": path("rctl"), "iocage": path("iocage"), "fetch": path("fetch"), "git": path("git"),
                "freebsd-version": path("freebsd-version"),
            },
            "pools": self.pools,
            "state_directory": self.dir.join("state").display().to_string(),
        })
    }

    /// The same as a file, for sysadm-iocage(8).
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn configuration(&self) -> PathBuf {
        let file = self.dir.join("iocage.json");
        fs::write(&file, self.config().to_string()).unwrap();
        file
    }

    /// Runs the real `zfs`, which must succeed, and gives what it prints.
    pub fn zfs(&self, arguments: &[&str]) -> String {
        self.command("zfs", arguments)
    }

    /// All datasets and snapshots in these pools, or in what is below these datasets.
    pub fn datasets(&self, of: &[&str]) -> BTreeSet<String> {
        let list = [
            "list",
            "-H",
            "-r",
            "-t",
            "filesystem,snapshot",
            "-o",
            "name",
        ];
        let listed = self.zfs(&[&list, of].concat());
        listed.lines().map(String::from).collect()
    }

    /// Runs the real `zfs`, whatever comes of it.
    pub fn try_zfs(&self, arguments: &[&str]) -> Output {
        self.run("zfs", arguments)
    }

    /// Runs the real `zpool`, which must succeed, and gives what it prints.
    pub fn zpool(&self, arguments: &[&str]) -> String {
        self.command("zpool", arguments)
    }

    /// Exports a pool.
    pub fn export(&self, pool: &str) {
        self.zpool(&["export", pool]);
    }

    /// Imports a pool that was exported.
    pub fn import(&self, pool: &str) {
        let folder = self.dir.display().to_string();
        // Without the option a daemon that starts later would look for the pool for ever.
        self.zpool(&["import", "-o", "cachefile=none", "-d", &folder, pool]);
    }

    fn run(&self, name: &str, arguments: &[&str]) -> Output {
        Command::new(self.dir.join("real").join(name))
            .args(arguments)
            .current_dir("/")
            .output()
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn command(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.run(name, arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{name} {}: {stderr}",
            arguments.join(" ")
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Marks a pool active, or not.
    pub fn mark(&self, pool: &str, active: bool) {
        let value = if active { "yes" } else { "no" };
        self.zfs(&["set", &format!("org.freebsd.ioc:active={value}"), pool]);
    }

    /// The pools that are marked active.
    pub fn active_pools(&self) -> Vec<String> {
        // Not by self.zfs(): another lab's pool may go away meanwhile, which is an error to it.
        let list = ["list", "-H", "-d", "0", "-o", "name,org.freebsd.ioc:active"];
        let output = Command::new(self.dir.join("real/zfs"))
            .args(list)
            .output()
            .unwrap();
        let roots = String::from_utf8(output.stdout).unwrap();
        let active = |pool: &&String| roots.lines().any(|line| line == format!("{pool}\tyes"));
        self.pools.iter().filter(active).cloned().collect()
    }

    /// Lays a pool out for iocage: its datasets and its `defaults.json`.
    pub fn lay_out(&self, pool: &str) {
        for part in [
            "",
            "/download",
            "/images",
            "/jails",
            "/log",
            "/releases",
            "/templates",
        ] {
            self.zfs(&["create", &format!("{pool}/iocage{part}")]);
        }
        let defaults = json!({
            "CONFIG_VERSION": "34", "type": "jail", "boot": 0, "template": 0, "basejail": 0,
            "dhcp": 0, "vnet": 0, "ip4_addr": "none", "ip6_addr": "none", "plugin_name": "none",
            "plugin_repository": "none", "host_domainname": "", "interfaces": "vnet0:bridge0",
        });
        fs::write(
            self.iocage_root(pool).join("defaults.json"),
            defaults.to_string(),
        )
        .unwrap();
    }

    /// Fetches a release, as far as datasets go.
    pub fn add_release(&self, pool: &str, name: &str) {
        self.zfs(&[
            "create",
            "-p",
            &format!("{pool}/iocage/releases/{name}/root"),
        ]);
        // What iocage reads when it makes a jail.
        let root = self.iocage_root(pool).join("releases").join(name);
        fs::create_dir_all(root.join("root/etc")).unwrap();
        let hosts = "::1\t\tlocalhost\n127.0.0.1\t\tlocalhost\n";
        fs::write(root.join("root/etc/hosts"), hosts).unwrap();
    }

    /// Makes a jail: `origin` is what its root is a clone of, below `<pool>/iocage`
    /// (`releases/13.2-RELEASE`, `templates/base`, `jails/web`); without one it is thick.
    pub fn add_jail(&self, pool: &str, name: &str, origin: Option<&str>, config: &Value) {
        self.add(pool, "jails", name, origin, config);
    }

    /// Makes a template, as [`Lab::add_jail`] makes a jail.
    pub fn add_template(&self, pool: &str, name: &str, origin: Option<&str>, config: &Value) {
        self.add(pool, "templates", name, origin, config);
    }

    fn add(&self, pool: &str, family: &str, name: &str, origin: Option<&str>, config: &Value) {
        let jail = format!("{pool}/iocage/{family}/{name}");
        let root = format!("{jail}/root");
        self.zfs(&["create", &jail]);
        match origin {
            Some(origin) => {
                let snapshot = format!("{pool}/iocage/{origin}/root@{name}");
                self.zfs(&["snapshot", &snapshot]);
                self.zfs(&["clone", &snapshot, &root]);
            }
            None => {
                self.zfs(&["create", &root]);
            }
        }
        let mut full = json!({ "host_hostuuid": name, "host_hostname": name });
        for (key, value) in config.as_object().expect("a config is an object") {
            full[key] = value.clone();
        }
        let folder = self.iocage_root(pool).join(family).join(name);
        fs::write(folder.join("config.json"), full.to_string()).unwrap();
        fs::write(folder.join("fstab"), "").unwrap();
    }

    /// Furnishes the first pool as a small household: releases, templates, jails and plugin jails,
    /// some running, a plugin index; and marks it active.
    pub fn furnish(&self) {
        let pool = self.pool(0);
        self.lay_out(pool);
        self.mark(pool, true);
        for release in ["12.4-RELEASE", "13.2-RELEASE"] {
            self.add_release(pool, release);
        }
        let config = |more: Value| {
            let mut config =
                json!({ "release": "13.2-RELEASE-p9", "cloned_release": "13.2-RELEASE" });
            for (key, value) in more.as_object().expect("an object") {
                config[key] = value.clone();
            }
            config
        };
        let release = Some("releases/13.2-RELEASE");
        let template = config(json!({ "type": "template", "template": 1 }));
        self.add_template(pool, "base", release, &template);
        for (name, origin, more) in [
            (
                "web",
                release,
                json!({ "ip4_addr": "re0|10.20.0.10/24", "boot": 1 }),
            ),
            (
                "mail.example.org",
                release,
                json!({ "ip6_addr": "re0|2001:db8::25/64" }),
            ),
            (
                "db",
                Some("templates/base"),
                json!({ "ip4_addr": "re0|10.20.0.11/24" }),
            ),
            (
                "roaming",
                release,
                json!({ "dhcp": 1, "vnet": 1, "bpf": 1 }),
            ),
            ("5", release, json!({})),
        ] {
            self.add_jail(pool, name, origin, &config(more));
        }
        let plugin = json!({
            "type": "pluginv2", "plugin_name": "jenkins", "ip4_addr": "re0|10.20.0.12",
            "plugin_repository": "https://github.com/freenas/iocage-ix-plugins.git",
        });
        self.add_jail(pool, "jenkins", release, &config(plugin));
        self.set_running(&[(5, "web"), (6, "mail.example.org"), (7, "jenkins")]);
        let entry = |name: &str, description: &str| {
            json!({
                "name": name, "description": description, "official": true, "MANIFEST": "",
                "icon": "", "primary_pkg": "", "category": "",
            })
        };
        let index = json!({
            "emby": entry("Emby", "Home media server"),
            "gitlab": entry("GitLab", "Powerful features for modern software development"),
            "jenkins": entry("Jenkins", "Jenkins CI"),
        });
        self.set_index(pool, &index.to_string());
        self.set_remote_releases(&["12.4-RELEASE (EOL)", "13.2-RELEASE", "14.1-RELEASE"]);
    }

    /// The `config.json` of a jail.
    pub fn config_file(&self, pool: &str, jail: &str) -> PathBuf {
        self.iocage_root(pool)
            .join("jails")
            .join(jail)
            .join("config.json")
    }

    /// What the `config.json` of a jail says.
    pub fn config_of(&self, pool: &str, jail: &str) -> Value {
        let text = fs::read_to_string(self.config_file(pool, jail)).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{jail}: {error}: {text}"))
    }

    /// Says which jails run, as jid and jail.
    pub fn set_running(&self, jails: &[(u32, &str)]) {
        let root = self.iocage_root(self.pools.first().map_or("", String::as_str));
        let root = |jail: &str| root.join("jails").join(jail).join("root");
        let jails = jails
            .iter()
            .map(|(jid, jail)| (*jid, jail.to_string(), root(jail)));
        self.tell_running("set", jails);
    }

    /// Says that one more jail runs, from this root directory.
    pub fn start(&self, jid: u32, jail: &str, root: &Path) {
        self.start_all([(jid, jail.to_string(), root.to_path_buf())].into_iter());
    }

    /// Says that these jails run too.
    pub fn start_all(&self, jails: impl Iterator<Item = (u32, String, PathBuf)>) {
        self.tell_running("add", jails);
    }

    /// The iocage of the lab may start and stop jails at the same time, so `host/running` does it.
    fn tell_running(&self, what: &str, jails: impl Iterator<Item = (u32, String, PathBuf)>) {
        let lines: String = jails
            .map(|(jid, jail, root)| {
                let name = json!(format!("ioc-{}", jail.replace('.', "_")));
                let (hostname, path) = (json!(jail), json!(root.display().to_string()));
                format!(
                    "{{\"jid\":{jid},\"name\":{name},\"hostname\":{hostname},\"path\":{path},\
                     \"state\":\"ACTIVE\",\"cpusetid\":3,\"ipv4_addrs\":[],\"ipv6_addrs\":[]}}\n"
                )
            })
            .collect();
        let mut process = Command::new(self.dir.join("host/running"))
            .arg(what)
            .current_dir("/")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = process.stdin.take().expect("it is piped");
        stdin.write_all(lines.as_bytes()).unwrap();
        drop(stdin);
        assert!(process.wait().unwrap().success(), "host/running {what}");
    }

    /// The jails that run: jid, name in the kernel (`ioc-web`) and root directory.
    pub fn running(&self) -> Vec<(u32, String, PathBuf)> {
        let text = fs::read_to_string(self.dir.join("jls.json")).unwrap();
        let printed: Value = serde_json::from_str(&text).unwrap();
        let jails = printed["jail-information"]["jail"].as_array().unwrap();
        let text = |jail: &Value, key: &str| jail[key].as_str().unwrap().to_string();
        jails
            .iter()
            .map(|jail| {
                let jid = u32::try_from(jail["jid"].as_u64().unwrap()).unwrap();
                (jid, text(jail, "name"), text(jail, "path").into())
            })
            .collect()
    }

    /// The jid of a jail; none if it does not run.
    pub fn jid_of(&self, jail: &str) -> Option<u32> {
        let wanted = format!("ioc-{}", jail.replace('.', "_"));
        let mut running = self.running().into_iter();
        running.find_map(|(jid, name, _)| (name == wanted).then_some(jid))
    }

    /// The rules of rctl, as the kernel prints them: `jail:ioc-web:memoryuse:deny=1073741824`.
    pub fn rctl_rules(&self) -> Vec<String> {
        let rules = fs::read_to_string(self.dir.join("rctl")).unwrap();
        rules.lines().map(String::from).collect()
    }

    /// Says whether the kernel counts what jails use, without which there are no rules of rctl.
    pub fn set_racct(&self, enabled: bool) {
        self.file("racct", if enabled { "1" } else { "0" });
    }

    /// Says what `iocage start` and the like do from now on, with all jails or with one
    /// (`start web`). `None` ends that.
    ///
    /// - `start`: `fails` (jail(8) refuses), `prestart-fails`, `vnet-fails`, `services-fail`,
    ///   `poststart-fails`, `dhcp-fails` (all leave it down), `traceback` (it runs, exit code 1)
    /// - `stop`: `prestop-fails`, `services-fail` (both not with `-f`), `stays` (all leave it
    ///   running), `warns` (it is down, exit code 1)
    /// - `set`: `kernel-refuses` (it is in the config of a running jail, exit code 1)
    /// - `create`, `clone`: `dies-after-snapshot`, `dies-after-clone`, `dies-after-copy` (of a thick
    ///   one): it is killed there
    /// - `update`: `pkg-fails`, `fetch-fails`, `install-fails` (in the middle; all leave a jail running
    ///   that was down), `plugin-fails` (which rolls it back, and leaves it down)
    /// - `upgrade` of a base jail: `etcupdate-fails` (which rolls it back, and leaves it down),
    ///   `aliases-fail` (after all else; it leaves it running)
    pub fn set_habit(&self, command: &str, habit: Option<&str>) {
        let path = format!("habits/{command}");
        match habit {
            Some(habit) => self.file(&path, habit),
            None => {
                let _ = fs::remove_file(self.dir.join(path));
            }
        }
    }

    /// Puts a plugin index where the installed iocage clones it to.
    pub fn set_index(&self, pool: &str, index: &str) {
        let clone = self.index_clone(pool);
        fs::create_dir_all(&clone).unwrap();
        fs::write(clone.join("INDEX"), index).unwrap();
    }

    /// Where the installed iocage has its clone of its own repository.
    pub fn index_clone(&self, pool: &str) -> PathBuf {
        let version = fs::read_to_string(self.dir.join("iocage-version")).unwrap();
        let old = version.starts_with("0.") || ["1.0", "1.1"].contains(&&*version);
        let clone = if old { ".plugin_index" } else { INDEX_CLONE };
        self.iocage_root(pool).join(clone)
    }

    /// Publishes a plugin index, with manifests, as the repository that iocage clones by default:
    /// a real git repository, which the lab's git finds in the place of the one on the network.
    /// It is on the branch `master`.
    pub fn publish(&self, index: &Value, manifests: &[(&str, Value)]) {
        let folder = self.repository();
        fs::create_dir_all(&folder).unwrap();
        self.git(&["init", "--quiet", "--initial-branch", "master"]);
        self.commit(index, manifests);
    }

    /// Publishes an index on another branch of the repository, and makes it the default one if that
    /// is asked for.
    pub fn publish_branch(&self, branch: &str, index: &Value, is_default: bool) {
        self.git(&["checkout", "--quiet", "-B", branch]);
        self.commit(index, &[]);
        if !is_default {
            self.git(&["checkout", "--quiet", "master"]);
        }
    }

    fn commit(&self, index: &Value, manifests: &[(&str, Value)]) {
        let folder = self.repository();
        fs::write(folder.join("INDEX"), index.to_string()).unwrap();
        for (name, manifest) in manifests {
            fs::write(folder.join(name), manifest.to_string()).unwrap();
        }
        self.git(&["add", "."]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", "index"]);
    }

    /// The folder of the repository.
    pub fn repository(&self) -> PathBuf {
        self.dir.join("repository")
    }

    /// Runs git in the repository.
    pub fn git(&self, arguments: &[&str]) {
        let mut git = Command::new("git");
        git.arg("-C").arg(self.repository());
        let who = ["-c", "user.name=lab", "-c", "user.email=lab@localhost"];
        let output = git.args(who).args(arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {stderr}", arguments.join(" "));
    }

    /// Says what the network offers: `9.3-RELEASE (EOL)` and the like.
    pub fn set_remote_releases(&self, releases: &[&str]) {
        self.file("remote-releases", &(releases.join("\n") + "\n"));
    }

    /// Says what `iocage update` finds: the newest patch level of a release, `13.2-RELEASE-p11`.
    pub fn set_patches(&self, releases: &[&str]) {
        self.file("patches", &(releases.join("\n") + "\n"));
    }

    /// Says which packages cannot be had.
    pub fn set_missing_packages(&self, packages: &[&str]) {
        self.file("missing-packages", &(packages.join("\n") + "\n"));
    }

    /// Says which iocage is installed.
    pub fn set_iocage_version(&self, version: &str) {
        self.file("iocage-version", version);
        self.record_anew("iocage", version);
    }

    /// Says which FreeBSD this is, as `freebsd-version` prints it.
    pub fn set_userland(&self, version: &str) {
        self.file("userland", &format!("{version}\n"));
        self.record_anew("freebsd-version", version);
    }

    /// Another version of a command is another file. (What comes after a program's end is nothing to it.)
    fn record_anew(&self, name: &str, version: &str) {
        let program = [RECORD, version.as_bytes()].concat();
        executables(&self.dir.join("bin"), &[(name, &program)]);
    }

    /// Says how the network is: `up`, `down`, `hanging`, `garbled` or `endless`.
    pub fn set_network(&self, state: &str) {
        self.file("network", state);
    }

    /// Says which page FreeBSD has about releases that it no longer supports.
    pub fn set_unsupported(&self, page: &str) {
        self.file("unsupported.html", page);
    }

    /// Says how many seconds lie between two progress lines of a fetch, and how long a jail takes to
    /// start or to stop.
    pub fn set_pace(&self, seconds: &str) {
        self.file("pace", seconds);
    }

    /// Every command line that was run since [`Lab::forget_commands`], as words.
    pub fn commands(&self) -> Vec<Vec<String>> {
        let lines = fs::read_to_string(self.dir.join("commands")).unwrap();
        let words = |line: &str| line.split('\u{1f}').map(String::from).collect();
        lines.split_terminator('\u{1e}').map(words).collect()
    }

    pub fn forget_commands(&self) {
        self.file("commands", "");
    }

    /// Lets a shell script run in front of each call of a command; it sees the arguments and may
    /// print, wait, or exit. `None` ends that.
    pub fn set_fault(&self, command: &str, script: Option<&str>) {
        let path = format!("faults/{command}");
        match script {
            Some(script) => self.file(&path, script),
            None => {
                let _ = fs::remove_file(self.dir.join(path));
            }
        }
    }

    fn file(&self, name: &str, content: &str) {
        fs::write(self.dir.join(name), content).unwrap();
    }
}

impl Drop for Lab {
    /// # Panics
    /// Where zfs-fuse did not answer any more: whatever the test saw is worth nothing.
    fn drop(&mut self) {
        let hung = self.dir.join("hung").exists();
        drop(self.janitor.stdin.take());
        let _ = self.janitor.wait();
        if hung && !std::thread::panicking() {
            panic!("zfs-fuse did not answer");
        }
    }
}

/// Makes executable files in a folder. Another process copies them into place: as long as this one had one
/// open for writing, a child that another thread forks would have it open too, and running it would
/// fail with "text file busy".
fn executables(folder: &Path, files: &[(&str, &[u8])]) {
    let drafts = folder.join("drafts");
    fs::create_dir(&drafts).unwrap_or_else(|error| panic!("{}: {error}", drafts.display()));
    let mut install = Command::new("install");
    install.args(["-m", "755"]);
    for (name, content) in files {
        fs::write(drafts.join(name), content).unwrap();
        install.arg(drafts.join(name));
    }
    let status = install.arg(folder).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "{}",
        folder.display()
    );
    fs::remove_dir_all(drafts).unwrap();
}
