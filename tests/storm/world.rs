//! The two worlds: a host in memory, and a lab; what is done there by hand, and how they look.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::Duration;

use serde_json::{json, Map, Value};
use sysadm_iocage::configuration::{Configuration, Program};
use sysadm_iocage::system::{utc_time_in, Mount, Mounts, Order, RealHost, Runner};
use sysadm_iocage_lab::Lab;

use super::host::Host;
use super::iocage::{as_iocage_writes, Iocage};
use super::job::{Budget, Job};
use super::operations::{Harm, Operation, Trouble, Wrong};
use super::picture::{Dataset, Picture, Snapshot};
use super::zfs::{read_tree, Health, Places, Zfs};

pub struct World {
    /// The lab, where this is the real world.
    lab: Option<Lab>,
    pub home: PathBuf,
    pub host: Arc<Mutex<Host>>,
    pub pools: Vec<String>,
    /// The thread that asks; the commands of all others meet no trouble.
    asks: ThreadId,
    pub plan: Mutex<Plan>,
    pub jobs: Mutex<Vec<Arc<Job>>>,
    /// Whether those who wait for a job look often.
    pub hurry: AtomicBool,
    /// How often fewer pools than at its beginning were marked in a request.
    pub unmarked: AtomicUsize,
}

/// The trouble that a request meets.
#[derive(Default)]
pub struct Plan {
    pub trouble: Option<Trouble>,
    /// The commands that were run.
    pub count: usize,
    /// Whether it has come.
    pub has_come: bool,
    /// How the host was before and after what somebody else did.
    pub meanwhile: Vec<Picture>,
    /// What is done later.
    pub later: Vec<Order>,
    pub had_mark: bool,
    pub commands: Vec<String>,
    /// Those that were to change something.
    pub attempts: Vec<String>,
    pub lied: Option<String>,
}

/// What came of the trouble of a request.
pub struct Came {
    pub has_come: bool,
    pub meanwhile: Vec<Picture>,
    pub later: Vec<Order>,
    pub commands: Vec<String>,
    pub attempts: Vec<String>,
    /// The command that has lied.
    pub lied: Option<String>,
}

impl World {
    pub fn new(home: &Path) -> Arc<Self> {
        fs::create_dir_all(home).unwrap();
        let pools = ["tank", "dozer"];
        let host = Host::new(home, &pools);
        let world = Arc::new(World {
            lab: None,
            home: home.into(),
            host: Arc::new(Mutex::new(host)),
            pools: pools.map(String::from).to_vec(),
            asks: std::thread::current().id(),
            plan: Mutex::default(),
            jobs: Mutex::default(),
            hurry: AtomicBool::new(false),
            unmarked: AtomicUsize::new(0),
        });
        world.furnish();
        world
    }

    /// The real world: a ZFS of its own, and an iocage on it.
    pub fn real(lab: Lab) -> Arc<Self> {
        let pools = [0, 1].map(|pool| lab.pool(pool).to_string());
        lab.set_remote_releases(&["12.4-RELEASE", "13.1-RELEASE", "13.2-RELEASE"]);
        lab.set_patches(&["12.4-RELEASE-p9", "13.1-RELEASE-p9", "13.2-RELEASE-p9"]);
        let world = Arc::new(World {
            home: lab.dir().into(),
            host: Arc::new(Mutex::new(Host::new(&lab.dir().join("none"), &[]))),
            pools: pools.to_vec(),
            asks: std::thread::current().id(),
            plan: Mutex::default(),
            jobs: Mutex::default(),
            hurry: AtomicBool::new(false),
            unmarked: AtomicUsize::new(0),
            lab: Some(lab),
        });
        world.furnish();
        world
    }

    pub fn is_real(&self) -> bool {
        self.lab.is_some()
    }

    /// A small household, made by iocage itself.
    fn furnish(&self) {
        self.hand_zfs("set org.freebsd.ioc:active=yes {0}");
        for line in [
            "fetch -r 12.4-RELEASE",
            "fetch -r 13.2-RELEASE",
            "create -n t -r 13.2-RELEASE",
            "set template=yes t",
            "create -n a -r 13.2-RELEASE notes=alpha",
            "create -n b -r 13.2-RELEASE -T",
            "create -n ab -t t",
            "create -n c.d -r 12.4-RELEASE",
            "create -n base -r 12.4-RELEASE -b -B",
            "start b",
        ] {
            assert_eq!(self.hand_iocage(line), 0, "{line}");
        }
        self.hand_zfs("snapshot -r {0}/iocage/jails/a@s1");
        self.make_index();
        for part in [
            "",
            "/jails",
            "/releases",
            "/templates",
            "/download",
            "/images",
            "/log",
        ] {
            self.hand_zfs(&format!("create {{1}}/iocage{part}"));
        }
    }

    /// What iocage has cloned of its plugins, with those that are asked for.
    fn make_index(&self) {
        let entry = |name: &str| json!({"MANIFEST": format!("{name}.json"), "name": name});
        let index = json!({"gitlab": entry("gitlab"), "n": entry("n")}).to_string();
        if let Some(lab) = &self.lab {
            return lab.set_index(&self.pools[0], &index);
        }
        let clone = "{root}/.plugins/github_com_freenas_iocage-ix-plugins_git";
        let clone = PathBuf::from(self.placed(clone));
        fs::create_dir_all(&clone).unwrap();
        fs::write(clone.join("INDEX"), index).unwrap();
    }

    pub fn placed(&self, text: &str) -> String {
        let text = text
            .replace("{0}", &self.pools[0])
            .replace("{1}", &self.pools[1]);
        let text = text.replace("{home}", &self.home.display().to_string());
        let root = match &self.lab {
            Some(lab) => lab.iocage_root(&self.pools[0]),
            None => self.home.join("mnt").join(&self.pools[0]).join("iocage"),
        };
        let text = text.replace("{root}", &root.display().to_string());
        let day = utc_time_in(0).unwrap_or_default();
        text.replace("{day}", day.get(..10).unwrap_or_default())
    }

    fn hand_zfs(&self, line: &str) {
        let line = self.placed(line);
        let words: Vec<&str> = line.split(' ').collect();
        match &self.lab {
            // zfs-fuse says "busy" for a moment after an unmount.
            Some(lab) => {
                for _ in 0..20 {
                    let output = lab.try_zfs(&words);
                    if !String::from_utf8_lossy(&output.stderr).contains("busy") {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(250));
                }
            }
            None => drop(self.host.lock().unwrap().run_zfs(&words)),
        }
    }

    fn hand_iocage(&self, line: &str) -> i32 {
        let words: Vec<&str> = line.split(' ').collect();
        if let Some(lab) = &self.lab {
            let iocage = Command::new(lab.dir().join("real/iocage"))
                .args(words)
                .current_dir("/")
                .output();
            return iocage.map_or(1, |output| output.status.code().unwrap_or(1));
        }
        let budget = Budget(AtomicUsize::new(usize::MAX));
        Iocage {
            host: &self.host,
            gate: &budget,
            out: String::new(),
            err: String::new(),
            sink: None,
        }
        .run(&words)
    }

    /// Does what nobody asked for.
    pub fn by_hand(&self, what: &Operation) {
        match what {
            Operation::Zfs(line) => self.hand_zfs(line),
            Operation::Iocage(line) => drop(self.hand_iocage(line)),
            Operation::File(of, harm) => self.harm(of, harm),
            Operation::Pool(..) | Operation::Stubborn(_) if self.is_real() => {}
            Operation::Pool(pool, health) => {
                let health = [Health::Online, Health::Degraded, Health::Suspended][*health].clone();
                self.host
                    .lock()
                    .unwrap()
                    .zfs
                    .pools
                    .insert(self.pools[*pool].clone(), health);
            }
            Operation::Stubborn(jail) => {
                let stubborn = &mut self.host.lock().unwrap().stubborn;
                if !stubborn.remove(jail) {
                    stubborn.insert(jail.clone());
                }
            }
            _ => {}
        }
    }

    fn harm(&self, of: &str, harm: &Harm) {
        let (jail, file) = of.split_once('/').unwrap_or((of, "config.json"));
        for family in ["jails", "templates"] {
            let dataset = format!("{}/iocage/{family}/{jail}", self.pools[0]);
            let mounts = Mounts::of(self.mount_table());
            let Some(folder) = mounts.mountpoint(&dataset) else {
                continue;
            };
            let path = folder.join(file);
            let before = fs::read(&path).unwrap_or_default();
            let _ = fs::remove_file(&path);
            let _ = match harm {
                Harm::Truncate => fs::write(&path, &before[..before.len() / 2]),
                Harm::Garbage => fs::write(&path, b"\xff{{"),
                // To a file of the storm's own: as root, one that follows the link writes it.
                Harm::Link => {
                    let elsewhere = self.home.join("another-file");
                    fs::write(&elsewhere, "root:*:0:0::/root:/bin/sh\n")
                        .and_then(|()| symlink(&elsewhere, &path))
                }
                Harm::Remove => Ok(()),
                Harm::Set(key, text) => {
                    let config: std::result::Result<Map<String, Value>, _> =
                        serde_json::from_slice(&before);
                    match config {
                        Ok(mut config) => {
                            config.insert(key.clone(), text.as_str().into());
                            fs::write(&path, as_iocage_writes(&config))
                        }
                        Err(_) => fs::write(&path, before),
                    }
                }
            };
        }
    }

    pub fn mount_table(&self) -> Vec<Mount> {
        match self.is_real() {
            true => RealHost.mount_table().unwrap_or_default(),
            false => self.host.lock().unwrap().mount_table(),
        }
    }

    fn active(&self) -> Vec<String> {
        match &self.lab {
            Some(lab) => lab.active_pools(),
            None => self.host.lock().unwrap().active(),
        }
    }

    /// The real world as `zfs` and the files show it.
    fn real_picture(&self, lab: &Lab) -> Picture {
        const COLUMNS: &str =
            "creation,origin,mounted,mountpoint,userrefs,quota,sysadm-iocage:origin";
        let mut picture = Picture {
            active: lab.active_pools().into_iter().collect(),
            rctl: lab.rctl_rules().into_iter().collect(),
            ..Picture::default()
        };
        let mut rows: Vec<(String, Map<String, Value>)> = Vec::new();
        for pool in &self.pools {
            picture.pools.insert(pool.clone(), "ONLINE".into());
            let output = lab.try_zfs(&[
                "get",
                "-H",
                "-p",
                "-r",
                "-o",
                "name,property,value",
                COLUMNS,
                pool,
            ]);
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                let mut words = line.split('\t');
                let [Some(name), Some(property), Some(value)] =
                    [words.next(), words.next(), words.next()]
                else {
                    continue;
                };
                if rows.last().is_none_or(|(other, _)| other != name) {
                    rows.push((name.into(), Map::new()));
                }
                if let Some((_, of)) = rows.last_mut() {
                    of.insert(property.into(), value.into());
                }
            }
        }
        let mounts = Mounts::of(self.mount_table());
        let places = rows.iter().filter_map(|(name, _)| mounts.mountpoint(name));
        let places: Places = places
            .map(|path| path.as_os_str().as_encoded_bytes().to_vec())
            .collect();
        for (at, (name, of)) in rows.iter().enumerate() {
            let get = |key: &str| {
                of.get(key)
                    .and_then(Value::as_str)
                    .filter(|value| *value != "-")
            };
            let guid = get("creation")
                .and_then(|time| time.parse().ok())
                .unwrap_or_default();
            if name.contains('@') {
                let holds = get("userrefs")
                    .and_then(|holds| holds.parse().ok())
                    .unwrap_or_default();
                let made = at as u64;
                picture.snapshots.insert(
                    name.clone(),
                    Snapshot {
                        guid,
                        made,
                        holds,
                        tree: None,
                    },
                );
                continue;
            }
            let mountpoint = mounts.mountpoint(name);
            let properties = ["quota", "sysadm-iocage:origin"].iter().filter_map(|key| {
                let value = get(key).filter(|value| *value != "0")?;
                Some((key.to_string(), value.to_string()))
            });
            let described = Dataset {
                guid,
                origin: get("origin").map(String::from),
                properties: properties.collect(),
                tree: mountpoint
                    .map(|path| read_tree(path, &places))
                    .unwrap_or_default(),
                mountpoint: mountpoint.map(|path| path.display().to_string()),
            };
            picture.datasets.insert(name.clone(), described);
        }
        for (jid, name, path) in lab.running() {
            picture
                .running
                .insert(name, (jid.to_string(), path.display().to_string()));
        }
        picture
    }

    pub fn picture(&self) -> Picture {
        if let Some(lab) = &self.lab {
            return self.real_picture(lab);
        }
        let host = self.host.lock().unwrap();
        let zfs = &host.zfs;
        let mut picture = Picture {
            active: host.active().into_iter().collect(),
            rctl: host.rctl.clone(),
            ..Picture::default()
        };
        for (pool, health) in &zfs.pools {
            picture.pools.insert(pool.clone(), health.as_str().into());
        }
        for (name, dataset) in &zfs.datasets {
            let mut properties = dataset.properties.clone();
            // The marks are told apart.
            properties.remove("org.freebsd.ioc:active");
            let described = Dataset {
                guid: dataset.guid,
                origin: zfs.origin(name),
                mountpoint: zfs.mountpoint(name).map(|path| path.display().to_string()),
                properties,
                tree: zfs.tree(name),
            };
            picture.datasets.insert(name.clone(), described);
            for snapshot in &dataset.snapshots {
                let described = Snapshot {
                    guid: snapshot.guid,
                    made: snapshot.guid,
                    holds: snapshot.holds.len(),
                    tree: Some(Arc::clone(&snapshot.tree)),
                };
                picture
                    .snapshots
                    .insert(format!("{name}@{}", snapshot.name), described);
            }
        }
        for one in &host.running {
            let run = (one.jid.to_string(), one.path.display().to_string());
            picture.running.insert(one.name.clone(), run);
        }
        let mounts = host
            .mounts
            .iter()
            .map(|(_, mount)| mount.mountpoint.display().to_string());
        picture.mounts = mounts.collect::<BTreeSet<_>>();
        picture
    }

    fn of_lab(lab: &Lab) -> Value {
        let mut config = lab.config();
        config["command_timeout_seconds"] = 60.into();
        config
    }

    /// That of a program of its own, which the real world can have.
    pub fn of_second(&self) -> Option<Value> {
        self.lab.as_ref().map(Self::of_lab)
    }

    pub fn configuration(&self) -> Configuration {
        if let Some(lab) = &self.lab {
            return Configuration::parse(&Self::of_lab(lab).to_string()).unwrap();
        }
        let config = json!({
            "commands": {
                "zfs": "/nonexistent/zfs", "zpool": "/nonexistent/zpool", "jls": "/nonexistent/jls",
                "jexec": "/nonexistent/jexec", "rctl": "/nonexistent/rctl", "iocage": "/nonexistent/iocage",
                "fetch": "/nonexistent/fetch", "git": "/nonexistent/git",
                "freebsd-version": "/nonexistent/freebsd-version",
            },
            "state_directory": self.home.join("state").display().to_string(),
        });
        let mut config = Configuration::parse(&config.to_string()).unwrap();
        // Nobody who waits for a lock here ever gets it: all is done by one thread.
        config.command_timeout = Duration::from_millis(3);
        config
    }

    /// Says what goes wrong with the commands from now on.
    pub fn expect(&self, trouble: Option<Trouble>) {
        let had_mark = !self.active().is_empty();
        *self.plan.lock().unwrap() = Plan {
            trouble,
            had_mark,
            ..Plan::default()
        };
        self.unmarked.store(0, Ordering::SeqCst);
    }

    /// What came of it.
    pub fn came(&self) -> Came {
        let plan = std::mem::take(&mut *self.plan.lock().unwrap());
        Came {
            lied: plan.lied,
            has_come: plan.has_come,
            meanwhile: plan.meanwhile,
            later: plan.later,
            commands: plan.commands,
            attempts: plan.attempts,
        }
    }

    /// Does what a command does that has not ended in time.
    pub fn do_later(&self, later: &[Order]) {
        for order in later {
            self.execute(order, usize::MAX);
        }
    }

    pub fn execute(&self, order: &Order, budget: usize) -> (i32, String, String) {
        let (program, words) = (order.program, &order.argv[1..]);
        if self.is_real() {
            let run = RealHost.run(order, Duration::from_secs(120), &AtomicBool::new(false));
            return match run {
                // What is killed before its first step has done nothing.
                _ if budget == 0 => (137, String::new(), String::new()),
                Ok(output) => (output.exit_code, output.stdout, output.stderr),
                Err(why) => (1, String::new(), why.message),
            };
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let said = |text: &str| (0, text.to_string(), String::new());
        let mut host = self.host.lock().unwrap();
        match program {
            Program::Zfs => host.run_zfs(&words),
            Program::Zpool => (0, host.zfs.health(), String::new()),
            Program::Jls => (0, host.jls(), String::new()),
            Program::FreebsdVersion => said("13.2-RELEASE-p9\n"),
            Program::Fetch => said("12.4-RELEASE\n"),
            Program::Git => (128, String::new(), "fatal: unable to access\n".into()),
            Program::Jexec => said("hello\n"),
            Program::Rctl => match words[..] {
                ["-a", rule] => {
                    let kind = rule.split('=').next().unwrap_or(rule).to_string();
                    host.rctl
                        .retain(|other| !other.starts_with(&format!("{kind}=")));
                    host.rctl.insert(rule.into());
                    said("")
                }
                ["-r", filter] => {
                    host.rctl.retain(|rule| !rule.starts_with(filter));
                    said("")
                }
                [filter] => {
                    let rules = host.rctl.iter().filter(|rule| rule.starts_with(filter));
                    said(&rules.map(|rule| format!("{rule}\n")).collect::<String>())
                }
                _ => panic!("the simulated rctl does not know: rctl {}", words.join(" ")),
            },
            Program::Iocage => {
                drop(host);
                let budget = Budget(AtomicUsize::new(budget));
                let mut iocage = Iocage {
                    host: &self.host,
                    gate: &budget,
                    out: String::new(),
                    err: String::new(),
                    sink: None,
                };
                let code = iocage.run(&words);
                (code, iocage.out, iocage.err)
            }
        }
    }

    pub fn changes(program: Program, words: &[String]) -> bool {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match program {
            Program::Zfs => Zfs::changes(&words),
            Program::Iocage => !matches!(words[..], ["--version"] | ["list", ..]),
            Program::Rctl => words.len() > 1,
            _ => false,
        }
    }

    /// The trouble that the next command of who asks meets.
    pub fn next_trouble(&self, order: &Order) -> Option<Wrong> {
        if std::thread::current().id() != self.asks {
            return None;
        }
        let mut plan = self.plan.lock().unwrap();
        plan.commands.push(order.shown.clone());
        if Self::changes(order.program, &order.argv[1..]) {
            plan.attempts.push(order.shown.clone());
        }
        let at = plan.count;
        plan.count += 1;
        let trouble = plan.trouble.clone().filter(|trouble| trouble.at == at)?;
        plan.has_come = true;
        Some(trouble.what)
    }

    pub fn note_marks(&self) {
        let plan = self.plan.lock().unwrap();
        if plan.had_mark && std::thread::current().id() == self.asks && self.active().is_empty() {
            self.unmarked.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.is_real() {
            return;
        }
        let _ = fs::remove_dir_all(&self.home);
    }
}
