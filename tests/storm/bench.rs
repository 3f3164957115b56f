//! Where a storm blows: clients with their instances, jobs that go on, and what must hold after each step.

mod jobs;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{json, Value};
use sysadm_iocage::actions::{Access, ACTIONS};
use sysadm_iocage::instance::Instance;
use sysadm_iocage::system::{take_lock, Lock, Runner, Share};

use super::desk::{At, Desk};
use super::eyes::{Eyes, HostKilled};
use super::footprints::{rules_of_job, what_is_missing};
use super::job::Job;
use super::judge::Judged;
use super::leaks::{threads, wait_for_threads, Counts};
use super::model::{find, Found, Model, LOOKS};
use super::operations::{Operation, Trouble, Wrong};
use super::picture::{Change, Picture, Rule};
use super::second::Second;
use super::world::{Came, World};

/// How often each action was answered how.
pub static TALLY: Mutex<BTreeMap<(String, String), u64>> = Mutex::new(BTreeMap::new());

pub fn count(what: &str, how: &str) {
    let mut tally = TALLY.lock().unwrap();
    *tally.entry((what.into(), how.into())).or_default() += 1;
}

/// What went wrong, or how it went.
pub type Outcome<T = ()> = Result<T, String>;

/// A reply, if it did not end in another way; what came of the trouble; and what a second program says.
type Asked = (std::thread::Result<String>, Came, Value);

/// The client that is a process of its own where there is one.
const SECOND: usize = 1;
const SOON: Duration = Duration::from_secs(120);
/// What is done in the background takes so long at most.
const MOMENT: Duration = Duration::from_millis(30);

struct Client {
    instance: Option<Instance>,
    desk: Arc<Desk>,
}

/// A job that was started.
pub struct Started {
    pub id: String,
    pub client: usize,
    pub job: Arc<Job>,
    /// The host when it was started.
    pub before: Picture,
    pub rules: Vec<Rule>,
    /// The names of the jails that it has alone.
    pub names: BTreeSet<String>,
    /// Whether the library has seen to its end.
    pub is_settled: bool,
    /// Whether it lives on in a dispatcher whose host program has let go of it: nobody holds what it
    /// uses, until that program makes its next change.
    pub is_lost: bool,
}

impl Started {
    pub fn lives(&self) -> bool {
        !self.job.is_done()
    }
}

pub struct Bench {
    pub world: Arc<World>,
    clients: Vec<Client>,
    jobs: Vec<Started>,
    now: Picture,
    /// Whether something may have changed that leaves no trace for half a minute.
    stale: [bool; 3],
    pub trace: Vec<String>,
    pub is_told: bool,
    /// Whether one of the clients is a process of its own.
    pub has_second: bool,
    second: Option<Second>,
    /// How the last request was answered.
    pub last: Option<String>,
}

fn scratch() -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::SeqCst);
    let shm = PathBuf::from("/dev/shm");
    let top = if shm.is_dir() {
        shm
    } else {
        std::env::temp_dir()
    };
    let top = top.canonicalize().unwrap();
    top.join(format!("sysadm-storm-{}-{number}", std::process::id()))
}

impl Bench {
    pub fn new() -> Self {
        Self::on(World::new(&scratch()))
    }

    pub fn on(world: Arc<World>) -> Self {
        let client = |index| Client {
            instance: None,
            desk: Arc::new(Desk {
                world: Arc::clone(&world),
                // A dispatcher's jobs go step by step, which real ones do not.
                has_dispatcher: index == 2 && !world.is_real(),
                queued: Mutex::default(),
                ended: Mutex::default(),
                came: Condvar::new(),
            }),
        };
        Bench {
            clients: (0..3).map(client).collect(),
            jobs: Vec::new(),
            now: world.picture(),
            stale: [false; 3],
            trace: Vec::new(),
            is_told: false,
            has_second: false,
            second: None,
            last: None,
            world,
        }
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.is_told {
            let line = line();
            self.trace.push(line);
        }
    }

    fn instance(&mut self, client: usize) -> &Instance {
        let (world, client) = (&self.world, &mut self.clients[client]);
        client.instance.get_or_insert_with(|| {
            let runner: Arc<dyn Runner> = Arc::new(Eyes(Arc::clone(world)));
            let host = Box::new(At(Arc::clone(&client.desk)));
            Instance::with_runner(world.configuration(), host, runner)
        })
    }

    /// Does one step, and sees whether all is well.
    pub fn step(&mut self, operation: &Operation) -> Outcome {
        self.tell(|| format!("{operation:?}"));
        let operation = &self.named(operation);
        match operation {
            Operation::Ask(client, args, trouble) => self.ask(*client, args, trouble.clone()),
            Operation::Job(index, steps) => self.advance(*index, Some(*steps)),
            Operation::KillJob(index) => self.advance(*index, None),
            Operation::Close(client) => self.close(*client),
            Operation::Kill(client) => {
                self.kill(*client);
                self.expect_no_change("a client was killed")
            }
            by_hand => {
                self.world.by_hand(by_hand);
                self.now = self.world.picture();
                let is_traced =
                    !matches!(by_hand, Operation::Zfs(line) if line.starts_with("promote"));
                self.note_traces(is_traced, None);
                Ok(())
            }
        }
    }

    /// What leaves no trace on disk or in the mount table is seen half a minute later by all but who has
    /// done it.
    fn note_traces(&mut self, is_traced: bool, by: Option<usize>) {
        let is_mounted = self
            .now
            .datasets
            .values()
            .all(|one| one.mountpoint.is_some());
        for client in (0..self.stale.len()).filter(|client| Some(*client) != by) {
            self.stale[client] |= !is_traced || !is_mounted;
        }
    }

    fn expect_no_change(&mut self, why: &str) -> Outcome {
        let after = self.world.picture();
        let changes = self.now.changes(&after);
        self.now = after;
        match changes.first() {
            None => Ok(()),
            Some(change) => Err(format!("{why}, and {change:?}")),
        }
    }

    // Clients.

    fn close(&mut self, client: usize) -> Outcome {
        if let Some(second) = self.second.take_if(|_| client == SECOND) {
            second.end(true);
            return self.expect_no_change("the second program was ended");
        }
        let Some(instance) = self.clients[client].instance.take() else {
            return Ok(());
        };
        self.world.hurry.store(true, Ordering::SeqCst);
        instance.close();
        drop(instance);
        self.world.hurry.store(false, Ordering::SeqCst);
        self.lose(client);
        // Its jobs have ended with it, and were seen to as far as that does not take time.
        let rules: Vec<Rule> = self
            .of_client(client)
            .flat_map(|one| one.rules.clone())
            .collect();
        let has_dispatcher = self.clients[client].desk.has_dispatcher;
        if let Some(lives) = self
            .of_client(client)
            .find(|one| one.lives())
            .filter(|_| !has_dispatcher)
        {
            return Err(format!("job {} outlives its instance", lives.id));
        }
        let after = self.world.picture();
        let changes = self.now.changes(&after);
        self.now = after;
        for change in changes {
            if !rules.iter().any(|rule| rule.allows(&change)) {
                return Err(format!("an instance was closed, and {change:?}"));
            }
        }
        Ok(())
    }

    fn of_client(&self, client: usize) -> impl Iterator<Item = &Started> {
        let all = self.jobs.iter();
        all.filter(move |one| one.client == client && !one.job.is_abandoned.load(Ordering::SeqCst))
    }

    fn kill(&mut self, client: usize) {
        if let Some(second) = self.second.take_if(|_| client == SECOND) {
            return second.end(false);
        }
        if self.world.is_real() {
            // What only a process of its own can die of.
            let _ = self.close(client);
            return;
        }
        if !self.clients[client].desk.has_dispatcher {
            for one in self.of_client(client).filter(|one| !one.is_settled) {
                one.job.abandon();
            }
        }
        // Nobody watches the jobs any more, so none is ended.
        self.clients[client].instance = None;
        self.lose(client);
    }

    /// What a dispatcher's jobs use is held by the host program alone.
    fn lose(&mut self, client: usize) {
        if self.clients[client].desk.has_dispatcher {
            let own = self.jobs.iter_mut().filter(|one| one.client == client);
            own.for_each(|one| one.is_lost = one.lives());
        }
    }

    /// A change of the host program has taken again what its jobs use, if that was to be had.
    fn hold_again(&mut self, client: usize) {
        let jobs = self.world.configuration().run_directory().join("jobs");
        let own = self.jobs.iter_mut().filter(|one| one.client == client);
        for one in own.filter(|one| one.is_lost) {
            one.is_lost = is_free(&jobs.join(format!("{}.lock", one.id)));
        }
    }

    // Requests.

    /// An operation with names that there are: `{snapshot:3}` is that of a snapshot of the jail, or of the
    /// dataset before the `@`, and `{taken:3}` that of any.
    fn named(&self, operation: &Operation) -> Operation {
        let of_line = |line: &String| {
            let mut words: Vec<String> = Vec::new();
            for word in line.split(' ') {
                let of = || match word.split_once('@') {
                    Some((dataset, _)) => self.world.placed(dataset),
                    None => self.dataset_of(line.rsplit(' ').next().unwrap_or_default()),
                };
                words.push(self.now.with_names(word, of));
            }
            words.join(" ")
        };
        match operation {
            Operation::Zfs(line) => Operation::Zfs(of_line(line)),
            Operation::Iocage(line) => Operation::Iocage(of_line(line)),
            Operation::Ask(client, args, trouble) => {
                let jail = args["jail"].as_str().or(args["jail_uuid"].as_str());
                let of = || self.dataset_of(jail.unwrap_or_default());
                let mut named = args.clone();
                for (_, value) in named.as_object_mut().into_iter().flatten() {
                    if let Value::String(text) = value {
                        *text = self.now.with_names(text, of);
                    }
                }
                let mut trouble = trouble.clone();
                if let Some(Wrong::Meanwhile(hand)) = trouble.as_mut().map(|one| &mut one.what) {
                    **hand = self.named(hand);
                }
                Operation::Ask(*client, named, trouble)
            }
            other => other.clone(),
        }
    }

    /// That of a jail; of all if there is none.
    fn dataset_of(&self, label: &str) -> String {
        match find(&self.now, label) {
            Found::One(jail) => jail.dataset,
            _ => String::new(),
        }
    }

    fn placed(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => {
                let job = self.jobs.last().map_or("sysadm_iocage_none", |one| &one.id);
                Value::String(self.world.placed(text).replace("{job}", job))
            }
            Value::Array(all) => all.iter().map(|one| self.placed(one)).collect(),
            Value::Object(all) => {
                let all = all
                    .iter()
                    .map(|(key, value)| (key.clone(), self.placed(value)));
                Value::Object(all.collect())
            }
            other => other.clone(),
        }
    }

    fn ask(&mut self, client: usize, args: &Value, trouble: Option<Trouble>) -> Outcome {
        let args = self.placed(args);
        let action = args["action"].as_str().unwrap_or_default().to_string();
        let first_job = self.world.jobs.lock().unwrap().len();
        let before = std::mem::take(&mut self.now);
        let stops = action == "stopjob";
        let world = Arc::clone(&self.world);
        let ended = self.clients[client].desk.ended.lock().unwrap().len();
        let access = match trouble.is_none()
            && ACTIONS
                .iter()
                .any(|one| one.name == action && LOOKS.contains(&one.name) && one.name != "stopjob")
        {
            true => Access::Read,
            false => Access::Full,
        };
        let access = if args["refresh"].is_null() {
            access
        } else {
            Access::Full
        };
        let began = Instant::now();
        let (reply, came, aside) = match self.has_second && client == SECOND {
            true => self.ask_second(&args, access, trouble),
            false => self.ask_here(client, &args, access, trouble),
        };
        let took = began.elapsed();
        let reply: Option<Value> = match reply {
            Ok(text) => Some(serde_json::from_str(&text).map_err(|why| format!("{why}: {text}"))?),
            Err(payload) if payload.is::<HostKilled>() => None,
            Err(payload) => {
                let why = payload.downcast_ref::<String>().cloned();
                let why = why.or_else(|| payload.downcast_ref::<&str>().map(|why| why.to_string()));
                return Err(format!("it panicked: {why:?}"));
            }
        };
        let answer = reply.as_ref().map(|reply| &reply[&*action]);
        self.last = answer.map(|answer| {
            let code = answer["code"].as_str().unwrap_or("done");
            format!("{code}: {}", answer["error"].as_str().unwrap_or_default())
        });
        self.note_jobs(client, first_job, &before, answer);
        self.wait_for_short_ones(client, first_job, ended)?;
        if reply.is_none() {
            self.kill(client);
        }
        // Whoever comes next does what an orphan has left, and stopjob ends a job.
        let others = self
            .jobs
            .iter()
            .filter(|one| !one.is_settled && (!one.lives() || stops));
        let of_others: Vec<Rule> = others.flat_map(|one| one.rules.clone()).collect();
        let are_orphans = self.jobs.iter().any(|one| !one.is_settled && !one.lives());
        self.settle_orphans(&action);
        let after = world.picture();
        let points: Vec<&Picture> = [&before]
            .into_iter()
            .chain(&came.meanwhile)
            .chain([&after])
            .collect();
        let own: Vec<Change> = points
            .chunks(2)
            .flat_map(|pair| pair[0].changes(pair[1]))
            .collect();
        self.tell(|| {
            format!(
                "  {} commands: {}\n  answer: {:?}\n  changes: {own:?}",
                came.commands.len(),
                came.commands.join("; "),
                reply
            )
        });
        let busy: BTreeSet<String> = self
            .jobs
            .iter()
            .filter(|one| one.lives() && !one.is_lost)
            .flat_map(|one| one.names.clone())
            .collect();
        let unsettled = self.jobs.iter().any(|one| !one.is_settled);
        let rollback_lied = came.lied.is_some_and(|line| line.contains("zfs rollback"));
        let model = |before, meant| Model {
            before,
            action: &action,
            args: &args,
            busy: &busy,
            jobs_run: unsettled || are_orphans,
            meant,
            rollback_lied,
        };
        let mut models = vec![model(&before, Vec::new())];
        let meant: Vec<String> = models[0]
            .jails()
            .into_iter()
            .map(|jail| jail.name)
            .collect();
        models.extend(
            points
                .iter()
                .skip(2)
                .step_by(2)
                .map(|later| model(later, meant.clone())),
        );
        let mut rules: Vec<Rule> = models.iter().flat_map(Model::footprint).collect();
        rules.extend(of_others);
        rules.extend(judge_aside(&aside, &before, &after)?);
        let judged = Judged {
            model: &models[0],
            own: &own,
            attempts: &came.attempts,
            rules: &rules,
            after: &after,
            reply: reply.as_ref(),
            is_troubled: came.has_come,
            is_shared: !came.meanwhile.is_empty(),
            are_orphans,
            stale: self.stale[client],
            jobs: &self.jobs,
        };
        let verdict = judged.judge();
        if took > SOON && !world.is_real() {
            return Err(format!("it took {took:?}"));
        }
        if world.unmarked.load(Ordering::SeqCst) > 0
            && action == "activatepool"
            && came.meanwhile.is_empty()
        {
            return Err("for a moment no pool was marked active".into());
        }
        drop(models);
        verdict?;
        let judged_well = reply
            .as_ref()
            .is_some_and(|reply| reply[&*action]["error"].is_null());
        self.now = after;
        if !came.later.is_empty() {
            world.do_later(&came.later);
            self.stale = [true; 3];
            self.now = world.picture();
        }
        // What a client has changed itself it looks at anew.
        let looks_anew = ["cleanall", "cleanjails", "cleanreleases", "cleantemplates"];
        if looks_anew.contains(&&*action) && judged_well && !came.has_come {
            self.stale[client] = false;
        }
        self.hold_again(client);
        let is_shared = !came.meanwhile.is_empty();
        self.note_traces(!is_shared, (!is_shared).then_some(client));
        if stops {
            for one in self
                .jobs
                .iter_mut()
                .filter(|one| !one.lives() && one.client != 2)
            {
                one.is_settled |= !one.job.is_abandoned.load(Ordering::SeqCst);
            }
        }
        Ok(())
    }

    fn ask_here(
        &mut self,
        client: usize,
        args: &Value,
        access: Access,
        trouble: Option<Trouble>,
    ) -> Asked {
        let world = Arc::clone(&self.world);
        let instance = self.instance(client);
        world
            .hurry
            .store(args["action"] == "stopjob", Ordering::SeqCst);
        world.expect(trouble);
        let text = args.to_string();
        let threads = (args["action"] == "listreleases").then(threads);
        let reply = catch_unwind(AssertUnwindSafe(|| {
            instance.evaluate(&text, access).to_json()
        }));
        let came = world.came();
        world.hurry.store(false, Ordering::SeqCst);
        if let Some(before) = threads {
            // A list that was not had in time is still being asked for, and holds the pools.
            wait_for_threads(before);
        }
        (reply, came, Value::Null)
    }

    /// Of the troubles it only knows to be killed.
    fn ask_second(&mut self, args: &Value, access: Access, trouble: Option<Trouble>) -> Asked {
        let killed = trouble.filter(|trouble| trouble.what == Wrong::Killed);
        let configuration = self.world.of_second().unwrap_or_default();
        let start = || Second::start(&configuration);
        let second = self.second.get_or_insert_with(start);
        self.world.expect(None);
        let answer = second.ask(args, access, killed.map(|trouble| trouble.at));
        let mut came = self.world.came();
        came.has_come = answer.is_none();
        match answer {
            Some(answer) => (Ok(answer["reply"].to_string()), came, answer),
            None => (Err(Box::new(HostKilled)), came, Value::Null),
        }
    }

    /// What there is, as it can be compared with another world.
    pub fn outline(&self) -> BTreeSet<String> {
        let pools: Vec<(&String, String)> = self
            .world
            .pools
            .iter()
            .enumerate()
            .map(|(at, pool)| (pool, format!("{{{at}}}")))
            .collect();
        let plain = |text: &str| {
            let mut text = text.to_string();
            for (pool, placeholder) in &pools {
                text = text.replace(*pool, placeholder);
            }
            text
        };
        let mut all = BTreeSet::new();
        for (name, dataset) in &self.now.datasets {
            let origin = dataset.origin.as_deref().unwrap_or("-");
            let mounted = if dataset.mountpoint.is_some() {
                "mounted"
            } else {
                "not mounted"
            };
            all.insert(plain(&format!("{name} {origin} {mounted}")));
        }
        // Those with a time in their names differ.
        let snapshots = self
            .now
            .snapshots
            .keys()
            .filter(|name| !name.contains("@ioc_") && !name.contains("@20"));
        all.extend(snapshots.map(|name| plain(name)));
        all.extend(self.now.running.keys().map(|name| format!("{name} runs")));
        all.extend(
            self.now
                .active
                .iter()
                .map(|pool| plain(&format!("{pool} is active"))),
        );
        all
    }

    /// Ends all, and sees that nothing is left.
    pub fn end(&mut self) -> Outcome {
        for client in 0..self.clients.len() {
            self.close(client)?;
        }
        for one in &self.jobs {
            one.job.kill();
        }
        let run = self.world.configuration().run_directory();
        for folder in [run.clone(), run.join("jobs")] {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.extension().is_none_or(|end| end != "lock") {
                    continue;
                }
                if !is_free(&path) {
                    return Err(format!("{} is still held", path.display()));
                }
            }
        }
        Ok(())
    }
}

/// Whether the jobs that the second program has started, and that have ended, have said what is so; and
/// what they may have changed.
fn judge_aside(aside: &Value, before: &Picture, after: &Picture) -> Outcome<Vec<Rule>> {
    let started = aside["started"].as_array().into_iter().flatten();
    let mut rules = Vec::new();
    for words in started {
        let words: Vec<String> = serde_json::from_value(words.clone()).unwrap_or_default();
        rules.extend(rules_of_job(&words, before).0);
        let ended = aside["ended"].as_array().into_iter().flatten();
        let all = ended.clone().all(|event| event["success"] == "true");
        let word = words.first().cloned().unwrap_or_default();
        count(
            &format!("job {word} of the second program"),
            &format!("success {all}"),
        );
        if let Some(lie) = what_is_missing(&words, after).filter(|_| all) {
            return Err(format!(
                "job {} says that it worked, but {lie}",
                words.join(" ")
            ));
        }
    }
    Ok(rules)
}

/// Whether nobody holds a lock.
fn is_free(path: &Path) -> bool {
    matches!(take_lock(path, Share::Alone), Ok(Lock::Taken(_)))
}

/// Runs a sequence on a new host, of which nothing is left.
pub fn run(operations: &[Operation], is_told: bool) -> Result<(), (String, Vec<String>)> {
    let before = Counts::now(None);
    let mut bench = Bench::new();
    let outcome = run_on(&mut bench, operations, is_told);
    drop(bench);
    outcome?;
    let is_left = before.require_no_more(None);
    is_left.map_err(|why| (format!("at the end: {why}"), Vec::new()))
}

pub fn run_on(
    bench: &mut Bench,
    operations: &[Operation],
    is_told: bool,
) -> Result<(), (String, Vec<String>)> {
    bench.is_told = is_told;
    for (at, operation) in operations.iter().enumerate() {
        if let Err(why) = bench.step(operation) {
            let why = format!("step {at}, {operation:?}: {why}");
            let trace = std::mem::take(&mut bench.trace);
            let _ = bench.end();
            return Err((why, trace));
        }
    }
    let ended = bench.end();
    ended.map_err(|why| {
        (
            format!("at the end: {why}"),
            std::mem::take(&mut bench.trace),
        )
    })
}
