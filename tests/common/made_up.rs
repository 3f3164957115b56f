//! A made-up host: a folder in which a pool is a folder, and a dataset too. It needs no ZFS and no
//! root, its commands take no time, a test can step in before each of them, and processes can share
//! it. Its jobs are real processes, of the shell.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use serde_json::{json, Value};
use sysadm_iocage::actions::Access;
use sysadm_iocage::configuration::{Configuration, Program};
use sysadm_iocage::error::Result;
use sysadm_iocage::host::{Host, Level};
use sysadm_iocage::instance::Instance;
use sysadm_iocage::system::{Child, Mount, Order, Output, RealHost, Runner};

/// What happens before a command: it may change the host, wait, or answer in the command's place.
type Step = dyn Fn(&MadeUp, &str) -> Option<Result<Output>> + Send + Sync;

/// The host.
pub struct MadeUp {
    folder: PathBuf,
    is_guest: bool,
    step: Mutex<Option<Arc<Step>>>,
    commands: Mutex<Vec<String>>,
    /// The shell script that a job is, with the job's arguments.
    job: Mutex<String>,
}

/// What a job does if a test says nothing else: its work, at once.
const JOB: &str = r#"
pool=$(dirname "$(ls -d "$pools"/*/.active | head -n 1)")
case "$1 $2" in
    "fetch -r") mkdir -p "$pool/iocage/releases/$3/root" ;;
    "fetch -P") mkdir -p "$pool/iocage/jails/$5/root" ;;
esac
"#;

impl MadeUp {
    /// A host with these pools, laid out for iocage, of which the first is active.
    pub fn new(pools: &[&str]) -> Arc<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sysadm-iocage-made-up-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        let host = Self::at(&folder, false);
        for pool in pools {
            for family in ["download", "jails", "releases", "templates"] {
                host.add(&format!("{pool}/iocage/{family}"));
            }
        }
        host.mark(pools[0], true);
        host
    }

    /// The host that another process has made.
    pub fn guest_of(folder: &Path) -> Arc<Self> {
        Self::at(folder, true)
    }

    fn at(folder: &Path, is_guest: bool) -> Arc<Self> {
        Arc::new(MadeUp {
            folder: folder.into(),
            is_guest,
            step: Mutex::default(),
            commands: Mutex::default(),
            job: Mutex::new(JOB.into()),
        })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// The folder of a pool or dataset.
    pub fn dataset(&self, name: &str) -> PathBuf {
        self.folder.join("pools").join(name)
    }

    pub fn add(&self, dataset: &str) {
        fs::create_dir_all(self.dataset(dataset)).unwrap();
    }

    /// Says something of a pool or dataset: `active` or `silent` (a pool whose disks do not
    /// answer), `unmounted`, or what its `origin` is.
    pub fn note(&self, dataset: &str, what: &str, value: Option<&str>) {
        let path = self.dataset(dataset).join(format!(".{what}"));
        match value {
            Some(value) => fs::write(path, value).unwrap(),
            None => drop(fs::remove_file(path)),
        }
    }

    fn noted(&self, dataset: &str, what: &str) -> Option<String> {
        fs::read_to_string(self.dataset(dataset).join(format!(".{what}"))).ok()
    }

    pub fn mark(&self, pool: &str, active: bool) {
        self.note(pool, "active", active.then_some(""));
    }

    /// The pools that are marked active.
    pub fn active(&self) -> Vec<String> {
        let mut pools = self.pools();
        pools.retain(|pool| self.noted(pool, "active").is_some());
        pools
    }

    /// Takes a pool away.
    pub fn export(&self, pool: &str) {
        let _ = fs::rename(self.dataset(pool), self.dataset(&format!(".{pool}")));
    }

    /// Says what happens before each command from now on.
    pub fn step_in(
        &self,
        step: impl Fn(&MadeUp, &str) -> Option<Result<Output>> + Send + Sync + 'static,
    ) {
        *self.step.lock().unwrap() = Some(Arc::new(step));
    }

    /// Says what a job is from now on: a script, or the real command where it is empty.
    pub fn set_job(&self, script: &str) {
        *self.job.lock().unwrap() = script.into();
    }

    /// The commands that were run since the last time.
    pub fn commands(&self) -> Vec<String> {
        std::mem::take(&mut self.commands.lock().unwrap())
    }

    /// The configuration of an instance, with more to it.
    pub fn configuration(&self, more: &Value) -> Configuration {
        let mut config = json!({
            "commands": {
                "zfs": "/nonexistent/zfs", "zpool": "/nonexistent/zpool",
                "jls": "/nonexistent/jls", "iocage": "/nonexistent/iocage",
                "fetch": "/nonexistent/fetch", "git": "/nonexistent/git",
                "freebsd-version": "/nonexistent/freebsd-version",
            },
            "command_timeout_seconds": 20,
            "state_directory": self.state().to_str().unwrap(),
        });
        for (key, value) in more.as_object().unwrap() {
            config[key] = value.clone();
        }
        Configuration::parse(&config.to_string()).unwrap()
    }

    /// An instance on this host, whose program is at `desk`.
    pub fn open_at(self: &Arc<Self>, desk: &Arc<Desk>, more: &Value) -> Arc<Instance> {
        let runner = Arc::clone(self) as Arc<dyn Runner>;
        let host = Box::new(At(Arc::clone(desk)));
        let instance = Instance::with_runner(self.configuration(more), host, runner);
        let instance = Arc::new(instance);
        let _ = desk.instance.set(Arc::downgrade(&instance));
        instance
    }

    /// An instance on this host that runs its jobs itself.
    pub fn open(self: &Arc<Self>) -> Arc<Instance> {
        self.open_at(&Desk::new(), &json!({}))
    }

    fn pools(&self) -> Vec<String> {
        below(&self.folder.join("pools"))
    }

    fn answer(&self, program: Program, words: &[&str]) -> std::result::Result<String, String> {
        let lines = |lines: Vec<String>| Ok(lines.concat());
        match (program, words) {
            (Program::Zfs, ["list", "-H", "-d", "0", ..]) => {
                let mut pools = self.pools();
                pools.retain(|pool| self.noted(pool, "silent").is_none());
                let mark = |pool: &String| match self.noted(pool, "active") {
                    Some(_) => "yes",
                    None => "-",
                };
                lines(
                    pools
                        .iter()
                        .map(|pool| format!("{pool}\t{}\n", mark(pool)))
                        .collect(),
                )
            }
            (Program::Zpool, _) => {
                let health = |pool: &String| match self.noted(pool, "silent") {
                    Some(_) => "SUSPENDED",
                    None => "ONLINE",
                };
                let pools = self.pools();
                lines(
                    pools
                        .iter()
                        .map(|pool| format!("{pool}\t{}\n", health(pool)))
                        .collect(),
                )
            }
            (Program::Zfs, ["get", .., pool, _]) => {
                self.require(pool)?;
                Ok(format!("{pool}\tmounted\tyes\n"))
            }
            (Program::Zfs, ["set", setting, pool]) => {
                self.require(pool)?;
                self.mark(pool, setting.ends_with("=yes"));
                Ok(String::new())
            }
            (Program::Zfs, ["list", "-H", "-r", .., dataset]) => {
                self.require(dataset)?;
                let at = |word: &str| words.iter().position(|other| *other == word);
                let depth = at("-d").map_or(usize::MAX, |at| words[at + 1].parse().unwrap());
                let mut all = Vec::new();
                self.walk(dataset, depth, &mut all);
                let origin = |name: &String| self.noted(name, "origin").unwrap_or("-".into());
                lines(
                    match words.iter().any(|word| word.starts_with("name,origin")) {
                        true => all
                            .iter()
                            .map(|name| format!("{name}\t{}\n", origin(name)))
                            .collect(),
                        false => all.iter().map(|name| format!("{name}\n")).collect(),
                    },
                )
            }
            (Program::Zfs, ["list", "-H", "-o", "name", dataset]) => {
                self.require(dataset).map(|()| format!("{dataset}\n"))
            }
            (Program::Zfs, ["destroy", "-r", dataset]) => {
                self.require(dataset)?;
                fs::remove_dir_all(self.dataset(dataset)).map_err(|error| error.to_string())?;
                Ok(String::new())
            }
            (Program::Jls, _) => Ok(r#"{"jail-information": {"jail": []}}"#.into()),
            (Program::Iocage, ["--version"]) => Ok("Version\t1.13\n".into()),
            (Program::FreebsdVersion, []) => Ok("13.2-RELEASE-p9\n".into()),
            (Program::Iocage, ["list", "-R"]) => Ok("13.2-RELEASE\n14.1-RELEASE\n".into()),
            (Program::Fetch, _) => Ok("12.4-RELEASE\n".into()),
            _ => Err(format!("nobody should run this: {program:?} {words:?}")),
        }
    }

    fn require(&self, dataset: &str) -> std::result::Result<(), String> {
        match self.dataset(dataset).is_dir() {
            true => Ok(()),
            false => Err(format!("cannot open '{dataset}': dataset does not exist")),
        }
    }

    fn walk(&self, dataset: &str, depth: usize, all: &mut Vec<String>) {
        all.push(dataset.into());
        for name in below(&self.dataset(dataset)).iter().filter(|_| depth > 0) {
            self.walk(&format!("{dataset}/{name}"), depth - 1, all);
        }
    }
}

/// The names of the folders in a folder, except hidden ones.
fn below(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.path().is_dir());
    let names = folders.map(|entry| entry.file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

/// What a command printed that went well, or what it complained of.
pub fn printed(command: &str, what: std::result::Result<String, String>) -> Output {
    let (exit_code, stdout, stderr) = match what {
        Ok(stdout) => (0, stdout, String::new()),
        Err(stderr) => (1, String::new(), stderr),
    };
    Output {
        command: command.into(),
        exit_code,
        stdout,
        stderr,
    }
}

impl Runner for MadeUp {
    fn run(&self, order: &Order, _: Duration, _: &AtomicBool) -> Result<Output> {
        let words: Vec<&str> = order.argv[1..].iter().map(String::as_str).collect();
        let program = order.argv[0].rsplit('/').next().unwrap();
        let line = format!("{program} {}", words.join(" "));
        self.commands.lock().unwrap().push(line.clone());
        let step = self.step.lock().unwrap().clone();
        if let Some(answer) = step.and_then(|step| step(self, &line)) {
            return answer;
        }
        Ok(printed(&order.shown, self.answer(order.program, &words)))
    }

    fn spawn(&self, order: &Order, output: &File, inherited: &[BorrowedFd<'_>]) -> Result<Child> {
        let pools = self.folder.join("pools");
        let script = self.job.lock().unwrap().clone();
        if script.is_empty() {
            return RealHost.spawn(order, output, inherited);
        }
        let script = format!("pools='{}'\n{script}", pools.display());
        let mut order = order.clone();
        let arguments = order.argv.split_off(1);
        order.argv = ["/bin/sh", "-c", &script, "job"].map(String::from).to_vec();
        order.argv.extend(arguments);
        RealHost.spawn(&order, output, inherited)
    }

    fn mount_table(&self) -> io::Result<Vec<Mount>> {
        let mut all = Vec::new();
        for pool in self.pools() {
            self.walk(&pool, usize::MAX, &mut all);
        }
        all.retain(|dataset| self.noted(dataset, "unmounted").is_none());
        let mount = |dataset: String| Mount {
            mountpoint: self.dataset(&dataset),
            source: dataset,
            kind: "zfs".into(),
        };
        Ok(all.into_iter().map(mount).collect())
    }

    fn log(&self, _: i32, line: &str) {
        self.commands.lock().unwrap().push(format!("log {line}"));
    }
}

impl Drop for MadeUp {
    fn drop(&mut self) {
        if !self.is_guest {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// What the library calls the program for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Queue(String, Vec<String>),
    IsActive(String),
    Log(String),
    Ended(String, String),
}

type CallsBack = dyn Fn(&Instance, &Call) + Send + Sync;

/// The program that has loaded the library: its log, and its dispatcher where it has one.
#[derive(Default)]
pub struct Desk {
    instance: OnceLock<Weak<Instance>>,
    has_dispatcher: bool,
    /// The jobs of the dispatcher that have not ended.
    pub jobs: Mutex<BTreeSet<String>>,
    calls: Mutex<Vec<Call>>,
    calls_back: Option<Box<CallsBack>>,
}

/// The desk as the library sees it.
struct At(Arc<Desk>);

impl Desk {
    /// One that has a log and no dispatcher.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// One with a dispatcher.
    pub fn with_dispatcher() -> Arc<Self> {
        Arc::new(Desk {
            has_dispatcher: true,
            ..Desk::default()
        })
    }

    /// One that does something at each call; not at those that come of what it does then.
    pub fn that_calls_back(
        has_dispatcher: bool,
        calls_back: impl Fn(&Instance, &Call) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Desk {
            has_dispatcher,
            calls_back: Some(Box::new(calls_back)),
            ..Desk::default()
        })
    }

    /// The calls since the last time.
    pub fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    /// The lines of the log since the last time.
    pub fn lines(&self) -> Vec<String> {
        let line = |call| match call {
            Call::Log(line) => Some(line),
            _ => None,
        };
        self.calls().into_iter().filter_map(line).collect()
    }

    fn called(&self, call: Call) {
        thread_local!(static INSIDE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) });
        self.calls.lock().unwrap().push(call.clone());
        let instance = self.instance.get().and_then(Weak::upgrade);
        if let (Some(calls_back), Some(instance)) = (&self.calls_back, instance) {
            if !INSIDE.replace(true) {
                calls_back(&instance, &call);
                INSIDE.set(false);
            }
        }
    }
}

impl Host for At {
    fn queue_process(&self, job_id: &str, argv: &[String]) -> Option<bool> {
        if !self.0.has_dispatcher {
            return None;
        }
        self.0.jobs.lock().unwrap().insert(job_id.into());
        self.0.called(Call::Queue(job_id.into(), argv.to_vec()));
        Some(true)
    }

    fn is_job_active(&self, job_id: &str) -> Option<bool> {
        if !self.0.has_dispatcher {
            return None;
        }
        self.0.called(Call::IsActive(job_id.into()));
        Some(self.0.jobs.lock().unwrap().contains(job_id))
    }

    fn log(&self, _: Level, message: &str) -> bool {
        self.0.called(Call::Log(message.into()));
        true
    }

    fn job_ended(&self, job_id: &str, event: &str) {
        self.0.called(Call::Ended(job_id.into(), event.into()));
    }
}

/// What an instance answers to a request with full access.
pub fn ask(instance: &Instance, args: &Value) -> Value {
    ask_as(instance, args, Access::Full).1
}

/// The status, and what an instance answers to a request; the whole reply where that is no answer
/// of an action.
pub fn ask_as(instance: &Instance, args: &Value, access: Access) -> (i32, Value) {
    let reply = instance.evaluate(&args.to_string(), access);
    let json = super::parse(&reply.to_json());
    let answer = json.get(args["action"].as_str().unwrap()).cloned();
    (reply.status as i32, answer.unwrap_or(json))
}

/// Waits for the end of a job and gives its last event.
pub fn wait_for(instance: &Instance, job: &str) -> Value {
    let mut event = Value::Null;
    super::eventually(&format!("{job} ends"), || {
        event = super::parse(&instance.progress(job, None).unwrap().unwrap());
        event["state"] == "finished"
    });
    event
}
