//! A storm: clients ask for whatever the library can do, others change the same host by hand, commands
//! fail, hang, die or lie, programs are killed. Nothing may be lost that nobody asked to lose, and no
//! answer may be a lie.
//!
//! STORM_OPERATIONS says how many operations there are, STORM_SEED with which number they begin.

mod bench;
mod host;
mod iocage;
mod model;
mod operations;
mod picture;
mod world;
mod zfs;

use std::io::Write;
use std::time::Instant;

use operations::Operation;
use proptest::collection::vec;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

fn number(variable: &str, default: u64) -> u64 {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
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

#[test]
fn a_storm_loses_nothing_and_no_answer_is_a_lie() {
    let wanted = number("STORM_OPERATIONS", 2000);
    let seed = number("STORM_SEED", u64::from(std::process::id()));
    let first = number("STORM_SEQUENCE", 0);
    let mut err = std::io::stderr();
    let _ = writeln!(err, "{wanted} operations, STORM_SEED={seed}");
    let began = Instant::now();
    let (mut done, mut sequence, mut failures) = (0, first, 0);
    let strategy = vec(operations::operation(), 1..=number("STORM_LENGTH", 100) as usize);
    while done < wanted {
        let count = std::cell::Cell::new(0);
        let run = |operations: Vec<Operation>| {
            if count.get() == 0 {
                count.set(operations.len() as u64);
            }
            bench::run(&operations, false).map_err(|(why, _)| TestCaseError::fail(why))
        };
        match runner(seed, sequence).run(&strategy, run) {
            Ok(()) => {}
            Err(TestError::Fail(why, operations)) => {
                let text = serde_json::to_string(&operations).unwrap();
                let trace = bench::run(&operations, true).err().map(|(_, trace)| trace.join("\n"));
                let told = format!(
                    "STORM_SEED={seed} STORM_SEQUENCE={sequence}: {why}\n{}\nFor tests/storm/regressions.txt:\nname: {text}\n",
                    trace.unwrap_or_default()
                );
                failures += 1;
                assert!(failures < number("STORM_FAILURES", 1), "{told}");
                let _ = writeln!(err, "{told}");
            }
            Err(why) => panic!("STORM_SEED={seed} STORM_SEQUENCE={sequence}: {why}"),
        }
        done += count.get();
        sequence += 1;
    }
    assert_eq!(failures, 0, "STORM_SEED={seed}");
    if std::env::var_os("STORM_TALLY").is_some() {
        let tally = bench::TALLY.lock().unwrap();
        for ((what, how), count) in &*tally {
            let _ = writeln!(err, "{count:8} {what}: {how}");
        }
    }
    let _ = writeln!(err, "{done} operations in {sequence} sequences, {:?}", began.elapsed());
}

#[test]
fn what_a_storm_has_found_stays_mended() {
    for line in include_str!("regressions.txt").lines() {
        let Some((name, text)) = line.split_once(": ").filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let operations: Vec<Operation> = serde_json::from_str(text).unwrap_or_else(|why| panic!("{name}: {why}"));
        if let Err((why, trace)) = bench::run(&operations, true) {
            panic!("{name}: {why}\n{}", trace.join("\n"));
        }
    }
}
