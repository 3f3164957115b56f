//! Two processes with one state directory, each with instances that come and go in two threads, and
//! either may be killed at any moment: whatever comes first, nobody hangs, no job runs twice, no
//! name is given twice, and nothing that a job uses is switched off or destroyed.
//!
//! INTERLEAVINGS says how many rounds there are, SEED with which the numbers begin.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{mpsc, Arc, Mutex};
use std::time::{Duration, Instant};

use common::made_up::{ask, Call, Desk, MadeUp};
use common::{eventually, processes};
use serde_json::{json, Value};
use sysadm_iocage::instance::Instance;

/// What a round may take, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// A job that says what is wrong: another of its kind beside it, a name that is there already, a
/// pool that is switched off or a release that is destroyed while it runs. It is the leader of its
/// process group, so its number is its own until the library has seen its end.
const JOB: &str = r##"
run=${pools%/pools}/run
wrong() { echo "$*" >>"${pools%/pools}/wrong"; exit 1; }
alone() {
    echo $$ >"$run/$1.$$"
    until ln "$run/$1.$$" "$run/$1" 2>/dev/null; do
        other=$(cat "$run/$1" 2>/dev/null) || continue
        if ps -o stat=,args= -p "${other:-0}" | grep -v '^Z' | grep -q "fetch"; then
            wrong "$1: $* beside process $other"
        fi
        rm -f "$run/$1"
    done
    rm -f "$run/$1.$$"
}
echo "$*" >>"${pools%/pools}/started"
active=$(ls -d "$pools"/*/.active) || wrong "no pool is active: $*"
pool=${active%/.active}
case "$1 $2" in
    "fetch -r")
        alone "release-$3" "$@"
        mkdir -p "$pool/iocage/releases/$3/root"
        sleep 0.0$(($$ % 5))
        [ -e "$pool/iocage/releases/$3/root" ] || wrong "destroyed under it: $*"
        used=release-$3 ;;
    "fetch -P")
        name=$(echo "$5" | tr . _)
        alone "plugin-$3" "$@"
        alone "jail-$name" "$@"
        ! ls "$pool/iocage/jails" | tr . _ | grep -qx "$name" || wrong "is there already: $*"
        sleep 0.0$(($$ % 5))
        mkdir -p "$pool/iocage/jails/$5/root"
        rm -f "$run/plugin-$3"
        used=jail-$name ;;
esac
[ -e "$active" ] || wrong "switched off under it: $*"
rm -f "$run/$used"
"##;

/// A small generator of numbers (xorshift), so that a run that failed can be had again.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        // Neighbours shall not be alike, and none may be nothing.
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

fn number(variable: &str, default: u64) -> u64 {
    let value = std::env::var(variable).ok();
    value.map_or(default, |value| value.parse().unwrap())
}

/// A process with the library in it.
struct Process {
    child: Child,
    said: mpsc::Receiver<String>,
}

impl Process {
    fn start(host: &MadeUp) -> Self {
        let arguments = [
            "as_a_process_of_its_own",
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ];
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(arguments)
            .env("MADE_UP", host.folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (say, said) = mpsc::channel();
        std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .for_each(|line| drop(say.send(line)))
        });
        Process { child, said }
    }

    fn begin(&mut self, seed: u64) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{seed}").unwrap();
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it is done with a round.
    fn wait(&self, round: &str) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.said.recv_timeout(left) {
                Ok(line) if line.contains("DONE") => return,
                Ok(_) => {}
                Err(why) => panic!(
                    "{round}: process {} does not end it: {why}",
                    self.child.id()
                ),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn two_processes_may_do_anything_at_any_time_and_be_killed() {
    let rounds = number("INTERLEAVINGS", 100);
    let seed = number("SEED", u64::from(std::process::id()));
    // Past the test runner, which hides what a test that passes prints.
    let _ = writeln!(std::io::stderr(), "{rounds} interleavings, SEED={seed}");
    let host = MadeUp::new(&["a", "b"]);
    fs::create_dir(host.folder().join("run")).unwrap();
    let mut random = Random::new(seed);
    let mut both = [Process::start(&host), Process::start(&host)];
    for number in 0..rounds {
        let round = format!("round {number} of SEED={seed}");
        for process in &mut both {
            process.begin(random.below(usize::MAX) as u64);
        }
        if random.below(3) == 0 {
            std::thread::sleep(Duration::from_millis(random.below(60) as u64));
            let killed = random.below(2);
            both[killed].kill();
            both[1 - killed].wait(&round);
            both[killed] = Process::start(&host);
        } else {
            both.iter().for_each(|process| process.wait(&round));
        }
        let wrong = fs::read_to_string(host.folder().join("wrong"));
        assert!(wrong.is_err(), "{round}: {wrong:?}");
        assert!(!host.active().is_empty(), "{round}: no pool is active");
        // So that there are names to give.
        for jail in fs::read_dir(host.dataset("a/iocage/jails"))
            .unwrap()
            .flatten()
        {
            let _ = fs::remove_dir_all(jail.path());
        }
    }
    for process in &mut both {
        drop(process.child.stdin.take());
        eventually("a process ends", || {
            process.child.try_wait().unwrap().is_some()
        });
        let status = process.child.try_wait().unwrap().unwrap();
        assert!(status.success(), "SEED={seed}: {status}");
    }
    let started = fs::read_to_string(host.folder().join("started")).unwrap_or_default();
    let count = |what: &str| {
        started
            .lines()
            .filter(|line| line.starts_with(what))
            .count()
    };
    let (fetches, plugins) = (count("fetch -r"), count("fetch -P"));
    let _ = writeln!(
        std::io::stderr(),
        "{fetches} releases and {plugins} plugins were fetched"
    );
    assert!(
        fetches.min(plugins) as u64 * 4 > rounds,
        "hardly any job was started"
    );
    // The jobs of those that were killed end by themselves.
    let mark = format!("pools='{}", host.folder().display());
    eventually("the last job ends", || processes(&mark).is_empty());
    let last = host.open();
    for request in [
        json!({"action": "activatepool", "pool": "a"}),
        json!({"action": "cleanreleases", "force": true}),
    ] {
        let answer = ask(&last, &request);
        assert!(
            answer["success"].is_string(),
            "SEED={seed}: still held: {answer}"
        );
    }
    assert_eq!(host.active(), ["a"]);
}

#[test]
fn as_a_process_of_its_own() {
    let Ok(folder) = std::env::var("MADE_UP") else {
        return;
    };
    let host = MadeUp::guest_of(folder.as_ref());
    host.set_job(JOB);
    let open: Mutex<Vec<Arc<Instance>>> = Mutex::default();
    for seed in std::io::stdin().lines().map_while(Result::ok) {
        let seed: u64 = seed.parse().unwrap();
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let (host, open) = (&host, &open);
                scope.spawn(move || {
                    let mut random = Random::new(seed ^ thread);
                    (0..4).for_each(|_| step(host, open, &mut random));
                });
            }
        });
        println!("DONE");
    }
    for instance in open.into_inner().unwrap() {
        instance.close();
    }
}

/// Opens, closes or uses an instance.
fn step(host: &Arc<MadeUp>, open: &Mutex<Vec<Arc<Instance>>>, random: &mut Random) {
    let some = open.lock().unwrap().clone();
    match random.below(8) {
        0 if some.len() > 1 => {
            let closed = open.lock().unwrap().pop();
            if let Some(instance) = closed {
                instance.close();
            }
        }
        _ if some.is_empty() || some.len() < 3 && random.below(4) == 0 => {
            let desk = Desk::that_calls_back(false, {
                let seed = Mutex::new(Random::new(random.below(usize::MAX) as u64));
                move |instance, call| {
                    let mut random = seed.lock().unwrap();
                    let request = request(&mut random);
                    let asks = matches!(call, Call::Ended(..)) || random.below(3) == 0;
                    drop(random);
                    if asks {
                        check(instance, &request);
                    }
                }
            });
            let more = json!({"command_timeout_seconds": 2});
            open.lock().unwrap().push(host.open_at(&desk, &more));
        }
        _ => check(&some[random.below(some.len())], &request(random)),
    }
}

fn request(random: &mut Random) -> Value {
    match random.below(10) {
        0..=2 => {
            let releases = ["12.4-RELEASE", "13.2-RELEASE", "14.1-RELEASE"];
            let two = [random.one_of(&releases), random.one_of(&releases)];
            json!({"action": "fetchreleases", "releases": two})
        }
        3..=5 => {
            let plugin = random.one_of(&["gitlab", "jenkins", "emby"]);
            // An address for each, so that only the name may be in the way.
            let ip4 = format!("10.0.0.{}", plugin.len());
            json!({
                "action": "createplugin", "plugin": plugin, "net_device": "re0", "ip4": ip4,
                "name": random.one_of(&["a.b", "a_b", "web", "mail"]),
            })
        }
        6 => json!({"action": "activatepool", "pool": random.one_of(&["a", "b"])}),
        7 => json!({"action": "cleanreleases", "force": true}),
        8 => json!({"action": "listjails"}),
        _ => json!({"action": "activatestatus"}),
    }
}

/// Asks, and sees that the answer is one that can be.
fn check(instance: &Instance, request: &Value) {
    let answer = ask(instance, request);
    let honest = ["conflict", "in_use", "not_active", "unavailable"];
    let code = answer["code"].as_str();
    assert!(
        code.is_none_or(|code| honest.contains(&code)),
        "{request}: {answer}"
    );
}
