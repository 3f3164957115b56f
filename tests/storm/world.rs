//! The simulated world: a host in memory behind the library's `Runner`, with troubles, and jobs that go as
//! far as the storm lets them.

use std::any::Any;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::symlink;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use serde_json::{json, Map, Value};
use sysadm_iocage::configuration::{Configuration, Program};
use sysadm_iocage::error::{Code, Error, Result};
use sysadm_iocage::system::{utc_time_in, Child, Mount, Mounts, Order, Output, Process, Runner};

use sysadm_iocage::system::RealHost;
use sysadm_iocage_lab::Lab;

use super::host::Host;
use super::iocage::{as_iocage_writes, Gate, Iocage};
use super::operations::{Harm, Operation, Trouble, Wrong};
use super::picture::{Dataset, Picture, Snapshot};
use super::zfs::{read_tree, Health, Places, Zfs};

/// What a thread of the host program ends with where that is killed.
pub struct HostKilled;

pub struct World {
    /// The lab, where this is the real world.
    lab: Option<Lab>,
    pub home: PathBuf,
    pub host: Arc<Mutex<Host>>,
    pub pools: Vec<String>,
    /// The thread that asks; the commands of all others meet no trouble.
    asks: ThreadId,
    plan: Mutex<Plan>,
    pub jobs: Mutex<Vec<Arc<Job>>>,
    /// Whether those who wait for a job look often.
    pub hurry: AtomicBool,
    /// How often fewer pools than at its beginning were marked in a request.
    pub unmarked: AtomicUsize,
}

/// The trouble that a request meets.
#[derive(Default)]
struct Plan {
    trouble: Option<Trouble>,
    /// The commands that were run.
    count: usize,
    /// Whether it has come.
    has_come: bool,
    /// How the host was before and after what somebody else did.
    meanwhile: Vec<Picture>,
    /// What is done later.
    later: Vec<Order>,
    had_mark: bool,
    commands: Vec<String>,
}

/// What came of the trouble of a request.
pub struct Came {
    pub has_come: bool,
    pub meanwhile: Vec<Picture>,
    pub later: Vec<Order>,
    pub commands: Vec<String>,
}

/// A job's process.
pub struct Job {
    pub number: u32,
    pub words: Vec<String>,
    state: Mutex<JobState>,
    changed: Condvar,
    /// The locks that it has inherited, and the numbers that they have in the host program.
    locks: Mutex<Vec<OwnedFd>>,
    theirs: Vec<RawFd>,
    pub is_abandoned: AtomicBool,
    /// What it has printed, for a dispatcher.
    pub output: Mutex<String>,
    /// What a real process waits for.
    gate: Option<PathBuf>,
}

#[derive(Default)]
struct JobState {
    granted: usize,
    waits: bool,
    killed: bool,
    code: Option<i32>,
}

/// For commands that are killed after some steps.
struct Budget(AtomicUsize);

impl Gate for Budget {
    fn pass(&self) -> bool {
        let left = self.0.load(Ordering::SeqCst);
        self.0.store(left.saturating_sub(1), Ordering::SeqCst);
        left > 0
    }
}

impl Gate for Job {
    fn pass(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        while state.granted == 0 && !state.killed {
            state.waits = true;
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap();
        }
        state.waits = false;
        state.granted = state.granted.saturating_sub(1);
        !state.killed
    }
}

impl Job {
    pub fn is_done(&self) -> bool {
        self.state.lock().unwrap().code.is_some()
    }

    pub fn code(&self) -> Option<i32> {
        self.state.lock().unwrap().code
    }

    /// Lets it take some steps, and waits until it has.
    pub fn go(&self, steps: usize) {
        if self.is_done() {
            return;
        }
        if let Some(gate) = &self.gate {
            // To its end, which whoever watches it sees.
            let opened = fs::write(gate, "go\n");
            let mut state = self.state.lock().unwrap();
            while opened.is_ok() && state.code.is_none() {
                state = self.changed.wait(state).unwrap();
            }
            return;
        }
        let mut state = self.state.lock().unwrap();
        state.granted = steps;
        state.waits = false;
        self.changed.notify_all();
        while state.code.is_none() && !(state.waits && state.granted == 0) {
            state = self.changed.wait(state).unwrap();
        }
    }

    pub fn kill(&self) {
        if self.gate.is_some() {
            return self.go(1);
        }
        let mut state = self.state.lock().unwrap();
        state.killed = true;
        self.changed.notify_all();
        while state.code.is_none() {
            state = self.changed.wait(state).unwrap();
        }
    }

    /// Its host program is killed: who watches it is no more.
    pub fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::SeqCst);
        let _state = self.state.lock().unwrap();
        self.changed.notify_all();
    }
}

/// A job's process as the library sees it.
struct Watched(Arc<Job>, Arc<World>);

impl Process for Watched {
    fn id(&self) -> u32 {
        1_000_000 + self.0.number
    }

    fn wait(&mut self, patience: Duration) -> io::Result<Option<i32>> {
        const OFTEN: Duration = Duration::from_micros(200);
        let deadline = Instant::now() + patience;
        let mut state = self.0.state.lock().unwrap();
        loop {
            if self.0.is_abandoned.load(Ordering::SeqCst) {
                drop(state);
                // The job has its locks still, and this process loses its own.
                let nothing = File::open("/dev/null").unwrap();
                for lock in &self.0.theirs {
                    // SAFETY: both are open; what is behind the second is closed in one go.
                    unsafe { libc::dup2(nothing.as_raw_fd(), *lock) };
                }
                resume_unwind(Box::new(HostKilled));
            }
            if let Some(code) = state.code {
                return Ok(Some(code));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            if self.1.hurry.load(Ordering::SeqCst) {
                state = self.0.changed.wait_timeout(state, OFTEN).unwrap().0;
                if state.code.is_none() && !self.0.is_abandoned.load(Ordering::SeqCst) {
                    return Ok(None);
                }
                continue;
            }
            state = self.0.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    fn end(&mut self) -> bool {
        self.0.kill();
        true
    }
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
                    let elsewhere = std::env::temp_dir()
                        .join(format!("sysadm-iocage-elsewhere-{}", std::process::id()));
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

    fn mount_table(&self) -> Vec<Mount> {
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

    pub fn configuration(&self) -> Configuration {
        if let Some(lab) = &self.lab {
            let mut config = lab.config();
            config["command_timeout_seconds"] = 60.into();
            return Configuration::parse(&config.to_string()).unwrap();
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
            has_come: plan.has_come,
            meanwhile: plan.meanwhile,
            later: plan.later,
            commands: plan.commands,
        }
    }

    /// Does what a command does that has not ended in time.
    pub fn do_later(&self, later: &[Order]) {
        for order in later {
            self.execute(order, usize::MAX);
        }
    }

    fn execute(&self, order: &Order, budget: usize) -> (i32, String, String) {
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

    fn changes(program: Program, words: &[String]) -> bool {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match program {
            Program::Zfs => Zfs::changes(&words),
            Program::Iocage => !matches!(words[..], ["--version"] | ["list", ..]),
            Program::Rctl => words.len() > 1,
            _ => false,
        }
    }

    /// The trouble that the next command of who asks meets.
    fn next_trouble(&self, order: &Order) -> Option<Wrong> {
        if std::thread::current().id() != self.asks {
            return None;
        }
        let mut plan = self.plan.lock().unwrap();
        plan.commands.push(order.shown.clone());
        let at = plan.count;
        plan.count += 1;
        let trouble = plan.trouble.clone().filter(|trouble| trouble.at == at)?;
        plan.has_come = true;
        Some(trouble.what)
    }

    fn note_marks(&self) {
        let plan = self.plan.lock().unwrap();
        if plan.had_mark && std::thread::current().id() == self.asks && self.active().is_empty() {
            self.unmarked.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Starts a job that goes no step yet.
    pub fn start_job(
        self: &Arc<Self>,
        words: &[String],
        output: Option<File>,
        inherited: &[BorrowedFd<'_>],
    ) -> Arc<Job> {
        let mut jobs = self.jobs.lock().unwrap();
        let job = Arc::new(Job {
            number: jobs.len() as u32,
            words: words.to_vec(),
            state: Mutex::default(),
            changed: Condvar::new(),
            locks: Mutex::new(
                inherited
                    .iter()
                    .map(|lock| lock.try_clone_to_owned().unwrap())
                    .collect(),
            ),
            theirs: inherited.iter().map(AsRawFd::as_raw_fd).collect(),
            is_abandoned: AtomicBool::new(false),
            output: Mutex::default(),
            gate: None,
        });
        jobs.push(Arc::clone(&job));
        let (own, host) = (Arc::clone(&job), Arc::clone(&self.host));
        std::thread::spawn(move || {
            let words: Vec<&str> = own.words.iter().map(String::as_str).collect();
            let own: &Job = &own;
            let code = match words.first() {
                Some(&"clone") if words.contains(&"--quiet") => {
                    if let Some(mut output) = output.as_ref() {
                        let _ = output.write_all(b"fatal: unable to access\n");
                    }
                    if own.pass() {
                        128
                    } else {
                        137
                    }
                }
                _ => {
                    let mut iocage = Iocage {
                        host: &host,
                        gate: own,
                        out: String::new(),
                        err: String::new(),
                        sink: output.as_ref(),
                    };
                    let code = iocage.run(&words);
                    *own.output.lock().unwrap() = format!("{}{}", iocage.out, iocage.err);
                    code
                }
            };
            drop(output);
            own.locks.lock().unwrap().clear();
            let mut state = own.state.lock().unwrap();
            state.code = Some(code);
            own.changed.notify_all();
        });
        drop(jobs);
        // Up to its first step.
        job.go(0);
        job
    }
}

/// A real process that is a job.
struct RealWatched(Arc<Job>, Child);

impl Process for RealWatched {
    fn id(&self) -> u32 {
        self.1.id()
    }

    fn wait(&mut self, patience: Duration) -> io::Result<Option<i32>> {
        let code = self.1.wait(patience)?;
        if code.is_some() {
            self.0.state.lock().unwrap().code = code;
            self.0.changed.notify_all();
        }
        Ok(code)
    }

    fn end(&mut self) -> bool {
        const SOON: Duration = Duration::from_secs(20);
        let id = self.1.id() as i32;
        // SAFETY: the group is that of this very process, which nobody has reaped.
        unsafe { libc::kill(-id, libc::SIGKILL) };
        let code = self.1.wait(SOON);
        self.0.state.lock().unwrap().code = code.ok().flatten().or(Some(137));
        self.0.changed.notify_all();
        true
    }
}

impl World {
    /// A job of the real world, whose process waits until it may go on.
    fn held_job(&self, order: &Order) -> (Arc<Job>, Order) {
        let mut jobs = self.jobs.lock().unwrap();
        let gate = self.home.join(format!("gate-{}", jobs.len()));
        let path = std::ffi::CString::new(gate.display().to_string()).unwrap();
        // SAFETY: the path is a string that lives on.
        unsafe { libc::mkfifo(path.as_ptr(), 0o600) };
        let job = Arc::new(Job {
            number: jobs.len() as u32,
            words: order.argv[1..].to_vec(),
            state: Mutex::default(),
            changed: Condvar::new(),
            locks: Mutex::default(),
            theirs: Vec::new(),
            is_abandoned: AtomicBool::new(false),
            output: Mutex::default(),
            gate: Some(gate.clone()),
        });
        jobs.push(Arc::clone(&job));
        let mut order = order.clone();
        let script = format!("read _ <'{}'; exec \"$@\"", gate.display());
        order
            .argv
            .splice(0..0, ["/bin/sh", "-c", &script, "job"].map(String::from));
        (job, order)
    }
}

/// The world as an instance has it.
pub struct Eyes(pub Arc<World>);

impl Runner for Eyes {
    fn run(&self, order: &Order, limit: Duration, _: &AtomicBool) -> Result<Output> {
        let world = &self.0;
        let words = &order.argv[1..];
        let timeout = |lingers| {
            let message = format!("{}: timeout after {} s", order.shown, limit.as_secs_f32());
            Error {
                lingers,
                ..Error::new(Code::Timeout, message)
            }
        };
        let output = |(exit_code, stdout, stderr)| Output {
            command: order.shown.clone(),
            exit_code,
            stdout,
            stderr,
        };
        let execute = |budget| output(world.execute(order, budget));
        let trouble = world.next_trouble(order);
        let may_change = World::changes(order.program, words);
        let failed = || output((1, String::new(), "internal error: out of memory\n".into()));
        let done = match trouble {
            None => Ok(execute(usize::MAX)),
            Some(Wrong::Meanwhile(what)) => {
                let before = world.picture();
                world.by_hand(&what);
                let after = world.picture();
                world.plan.lock().unwrap().meanwhile.extend([before, after]);
                Ok(execute(usize::MAX))
            }
            Some(Wrong::Fails) => Ok(failed()),
            Some(Wrong::FailsAfter) => Ok(Output {
                exit_code: 1,
                stderr: "internal error: out of memory\n".into(),
                ..execute(usize::MAX)
            }),
            // Nobody can do without what tells how the host is.
            Some(Wrong::Lies) if !may_change => Ok(execute(usize::MAX)),
            Some(Wrong::Lies) => Ok(output((0, String::new(), String::new()))),
            Some(Wrong::Hangs) => Err(timeout(false)),
            Some(Wrong::HangsAfter) => {
                execute(usize::MAX);
                Err(timeout(false))
            }
            Some(Wrong::Lingers) => {
                if may_change {
                    world.plan.lock().unwrap().later.push(order.clone());
                }
                Err(timeout(true))
            }
            Some(Wrong::Dies(steps)) => match order.program {
                Program::Iocage if !world.is_real() => Ok(Output {
                    exit_code: 137,
                    ..execute(steps)
                }),
                _ => Ok(output((137, String::new(), String::new()))),
            },
            Some(Wrong::Killed) => {
                let killed: Box<dyn Any + Send> = Box::new(HostKilled);
                resume_unwind(killed)
            }
        };
        if may_change {
            world.note_marks();
        }
        done
    }

    fn spawn(&self, order: &Order, output: &File, inherited: &[BorrowedFd<'_>]) -> Result<Child> {
        if self.0.is_real() {
            let (job, order) = self.0.held_job(order);
            let child = RealHost.spawn(&order, output, inherited)?;
            return Ok(Child::new(RealWatched(job, child)));
        }
        let output = output.try_clone().ok();
        let job = self.0.start_job(&order.argv[1..], output, inherited);
        Ok(Child::new(Watched(job, Arc::clone(&self.0))))
    }

    fn mount_table(&self) -> io::Result<Vec<Mount>> {
        Ok(self.0.mount_table())
    }

    fn unmount(&self, place: &Path) -> io::Result<()> {
        if self.0.is_real() {
            return RealHost.unmount(place);
        }
        match self.0.host.lock().unwrap().unmount(place) {
            true => Ok(()),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn log(&self, _: i32, _: &str) {}

    /// A thread for each look would be the most of a storm's time.
    fn has_threads(&self) -> bool {
        false
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
