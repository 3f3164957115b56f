//! A storm: clients ask for whatever the library can do, others change the same host by hand, commands
//! fail, hang, die or lie, programs are killed. Nothing may be lost that nobody asked to lose, and no
//! answer may be a lie.
//!
//! STORM_OPERATIONS says how many operations there are, or STORM_SECONDS how long it goes on, STORM_SEED
//! with which number they begin, STORM_SEQUENCE with which sequence, and STORM_WORLD where: `simulated`,
//! `real` (a ZFS), or `both`, which are compared then. Why a crate for state machines has no part in it: its reference state has to go on
//! without the host, and this one takes over what iocage has made. proptest makes the sequences, and
//! shortens those that fail.

mod bench;
mod desk;
mod eyes;
mod footprints;
mod host;
mod iocage;
mod job;
mod judge;
mod leaks;
mod model;
mod operations;
mod picture;
mod second;
mod world;
mod zfs;

use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bench::Bench;
use leaks::Counts;
use operations::Operation;
use proptest::collection::vec;
use proptest::strategy::{BoxedStrategy, Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use sysadm_iocage_lab::Lab;
use world::World;

fn number(variable: &str, default: u64) -> u64 {
    let value = std::env::var(variable)
        .ok()
        .filter(|value| !value.is_empty());
    value.map_or(default, |value| value.parse().unwrap())
}

/// The runner of one sequence, which has its own numbers: it can be had again without those before it.
fn runner(seed: u64, sequence: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&sequence.to_le_bytes());
    let config = Config {
        cases: 1,
        failure_persistence: None,
        max_shrink_iters: number("STORM_SHRINK", 3000) as u32,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

fn world() -> String {
    let world = std::env::var("STORM_WORLD").unwrap_or_default();
    let world = if world.is_empty() {
        "simulated".into()
    } else {
        world
    };
    assert!(
        ["simulated", "real", "both"].contains(&&*world),
        "there is no world {world:?}"
    );
    world
}

/// A number that was never there before, to be printed.
fn fresh() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH);
    time.map_or(0, |time| time.as_secs())
}

/// A storm's numbers, and what it has come to.
struct Storm {
    wanted: u64,
    /// When it ends before that.
    end: Option<Instant>,
    seed: u64,
    first: u64,
    sequence: u64,
    done: u64,
    failures: u64,
    began: Instant,
}

impl Storm {
    fn begin(usual: u64) -> Self {
        let first = number("STORM_SEQUENCE", 0);
        // `make test` repeats one storm: a change is not refused for what others left to be found.
        let usual_seed = match std::env::var_os("STORM_OPERATIONS") {
            Some(_) => fresh(),
            None => 1,
        };
        let seconds = number("STORM_SECONDS", 0);
        let wanted = number("STORM_OPERATIONS", usual);
        let (wanted, end) = match seconds {
            0 => (wanted, None),
            _ => (
                u64::MAX,
                Some(Instant::now() + Duration::from_secs(seconds)),
            ),
        };
        let storm = Storm {
            wanted,
            end,
            seed: number("STORM_SEED", usual_seed),
            first,
            sequence: first,
            done: 0,
            failures: 0,
            began: Instant::now(),
        };
        let how_long = match end {
            None => format!("{wanted} operations"),
            Some(_) => format!("{seconds} seconds"),
        };
        say(&format!("{how_long}, STORM_SEED={}", storm.seed));
        storm
    }

    fn goes_on(&self) -> bool {
        self.done < self.wanted && self.end.is_none_or(|end| Instant::now() < end)
    }

    fn place(&self) -> String {
        format!("STORM_SEED={} STORM_SEQUENCE={}", self.seed, self.sequence)
    }

    /// The next sequence, as it is without a failure.
    fn next(&mut self, strategy: &BoxedStrategy<Vec<Operation>>) -> Vec<Operation> {
        let mut runner = runner(self.seed, self.sequence);
        let mut operations = strategy.new_tree(&mut runner).unwrap().current();
        operations.truncate(usize::try_from(self.wanted - self.done).unwrap_or(usize::MAX));
        operations
    }

    fn fail(&mut self, why: &str) {
        self.failures += 1;
        say(&format!("{}: {why}", self.place()));
        let most = number("STORM_FAILURES", 1);
        assert!(
            self.failures < most,
            "{}: found after {} operations",
            self.place(),
            self.done
        );
    }

    /// Goes on to the next sequence; after so many it says how far it is.
    fn ended_one(&mut self, often: u64) {
        self.sequence += 1;
        if (self.sequence - self.first) % often == 0 {
            let (done, took) = (self.done, self.began.elapsed().as_secs());
            say(&format!("{done} operations so far, {took} seconds"));
        }
    }

    fn end(&self) {
        if std::env::var_os("STORM_TALLY").is_some() {
            let tally = bench::TALLY.lock().unwrap();
            tally
                .iter()
                .for_each(|((what, how), count)| say(&format!("{count:8} {what}: {how}")));
        }
        let sequences = self.sequence - self.first;
        say(&format!(
            "{} operations in {sequences} sequences, {:?}",
            self.done,
            self.began.elapsed()
        ));
        assert_eq!(self.failures, 0, "STORM_SEED={}", self.seed);
    }
}

/// Past the test runner, which hides what a test that passes prints.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// What is left of a sequence is counted, so that two tests would find each other's.
static ALONE: Mutex<()> = Mutex::new(());

fn sequences(of: BoxedStrategy<Operation>) -> BoxedStrategy<Vec<Operation>> {
    vec(of, 1..=number("STORM_LENGTH", 100) as usize).boxed()
}

#[test]
fn a_storm_loses_nothing_and_no_answer_is_a_lie() {
    let _alone = ALONE.lock();
    match &*world() {
        "simulated" => simulated(),
        "real" => real(),
        _ => both(),
    }
}

fn simulated() {
    let mut storm = Storm::begin(2000);
    let strategy = sequences(operations::operation());
    while storm.goes_on() {
        let count = std::cell::Cell::new(0);
        let run = |operations: Vec<Operation>| {
            if count.get() == 0 {
                count.set(operations.len() as u64);
            }
            bench::run(&operations, false).map_err(|(why, _)| TestCaseError::fail(why))
        };
        let outcome = runner(storm.seed, storm.sequence).run(&strategy, run);
        storm.done += count.get();
        if let Err(TestError::Fail(why, operations)) = outcome {
            let text = serde_json::to_string(&operations).unwrap();
            let trace = bench::run(&operations, true).err();
            let trace = trace.map_or(String::new(), |(_, trace)| trace.join("\n"));
            storm.fail(&format!(
                "{why}\n{trace}\nFor tests/storm/regressions.txt:\nname: {text}\n"
            ));
        }
        storm.ended_one(1000);
    }
    storm.end();
}

/// On real labs a sequence is not made shorter: that would take hours. `run` says what is wrong.
fn on_labs(of: BoxedStrategy<Operation>, run: impl Fn(Lab, &[Operation]) -> Option<String>) {
    let mut storm = Storm::begin(100);
    let strategy = sequences(of);
    while storm.goes_on() {
        let Some(lab) = Lab::or_skip(2) else {
            return;
        };
        let operations = storm.next(&strategy);
        storm.done += operations.len() as u64;
        if let Some(why) = run(lab, &operations) {
            storm.fail(&why);
        }
        storm.ended_one(10);
    }
    storm.end();
}

fn real() {
    on_labs(operations::operation(), |lab, operations| {
        let home = lab.dir().to_path_buf();
        let world = World::real(lab);
        let before = Counts::now(Some(&home));
        let mut bench = Bench::on(world);
        bench.has_second = true;
        if let Err((why, trace)) = bench::run_on(&mut bench, operations, true) {
            return Some(format!("{why}\n{}", trace.join("\n")));
        }
        before.require_no_more(Some(&home)).err()
    });
}

/// Both worlds answer alike, and are alike afterwards.
fn both() {
    on_labs(operations::tame(), |lab, operations| {
        let (mut real, mut made_up) = (Bench::on(World::real(lab)), Bench::new());
        let mut so_far = Vec::new();
        let mut steps = operations.iter();
        let found = steps.find_map(|one| {
            so_far.push(serde_json::to_string(one).unwrap_or_default());
            let found = difference(&mut real, &mut made_up, one)?;
            Some(format!("[{}]\n{found}", so_far.join(",")))
        });
        let _ = (real.end(), made_up.end());
        found
    });
}

/// What is not the same after a step in both worlds.
fn difference(real: &mut Bench, made_up: &mut Bench, step: &Operation) -> Option<String> {
    let (one, other) = (real.step(step), made_up.step(step));
    let one = one.and_then(|()| real.keep_up_with(made_up));
    let [one, other] = [(one, real), (other, made_up)]
        .map(|(outcome, bench)| (outcome, bench.last.take(), bench.outline()));
    let code = |last: &Option<String>| Some(last.as_ref()?.split(':').next()?.to_string());
    let is_same = code(&one.1) == code(&other.1) && one.2 == other.2;
    if is_same && one.0.is_ok() && other.0.is_ok() {
        return None;
    }
    let only = |those: &std::collections::BTreeSet<String>, others| {
        those
            .difference(others)
            .cloned()
            .collect::<Vec<_>>()
            .join(", ")
    };
    Some(format!(
        "{step:?}\n    real: {:?} {:?}; {}\n    simulated: {:?} {:?}; {}",
        one.0,
        one.1,
        only(&one.2, &other.2),
        other.0,
        other.1,
        only(&other.2, &one.2)
    ))
}

#[test]
fn be_the_second_host() {
    second::be_it();
}

#[test]
fn what_a_storm_has_found_stays_mended() {
    let _alone = ALONE.lock();
    for line in include_str!("regressions.txt").lines() {
        let Some((name, text)) = line.split_once(": ").filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let operations: Vec<Operation> =
            serde_json::from_str(text).unwrap_or_else(|why| panic!("{name}: {why}"));
        if let Err((why, trace)) = bench::run(&operations, true) {
            panic!("{name}: {why}\n{}", trace.join("\n"));
        }
    }
}
