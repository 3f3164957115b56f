//! Running a command: arguments as an array, a clean environment, a process group of its own, a
//! time limit, and no process left behind.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::order::{beginning, text, Bounded, Order, Output};
use super::platform;
use super::process::Leader;
use crate::error::{Code, Error, Result};
use crate::limits;

/// Runs a command and waits for its end, at most until `limit` is over or `stop` is set. (What it
/// leaves running when it exits, such as what iocage has started in a new jail, is meant to run.)
///
/// # Errors
/// `Unavailable` if it cannot be started, `Timeout` if it does not end in time, `Failed` if it
/// prints too much. A command that ends, with whatever exit code, is no error.
pub fn run(order: &Order, limit: Duration, stop: &AtomicBool) -> Result<Output> {
    let (exit_code, printed) = run_to_its_end(order, limit, stop, None)?;
    let [stdout, stderr] = printed.map(|printed| text(printed.bytes));
    Ok(Output {
        command: order.shown.clone(),
        exit_code,
        stdout,
        stderr,
    })
}

/// Runs a command in the same way, and keeps the first `most` bytes of each of its outputs. The rest
/// is read, so that it can go on, and dropped.
///
/// # Errors
/// As [`run`], but it may print as much as it likes.
pub fn run_bounded(
    order: &Order,
    limit: Duration,
    stop: &AtomicBool,
    most: usize,
) -> Result<Bounded> {
    let (exit_code, printed) = run_to_its_end(order, limit, stop, Some(most))?;
    let truncated = printed.iter().any(|printed| printed.is_cut);
    let [stdout, stderr] = printed.map(|printed| match printed.is_cut {
        true => beginning(printed.bytes),
        false => text(printed.bytes),
    });
    Ok(Bounded {
        exit_code,
        stdout,
        stderr,
        truncated,
    })
}

/// The exit code of a command, and what it has printed.
fn run_to_its_end(
    order: &Order,
    limit: Duration,
    stop: &AtomicBool,
    most: Option<usize>,
) -> Result<(i32, [Printed; 2])> {
    let fault =
        |code, what: &dyn std::fmt::Display| Error::new(code, format!("{}: {what}", order.shown));
    let cannot = |error: io::Error| fault(Code::Unavailable, &error);
    let (stdout, stdout_writer) = platform::pipe().map_err(cannot)?;
    let (stderr, stderr_writer) = platform::pipe().map_err(cannot)?;
    let mut pipes = Pipes::new([stdout, stderr], most).map_err(cannot)?;

    let mut descriptors = vec![stdout_writer.as_fd(), stderr_writer.as_fd()];
    descriptors.extend(order.inherited.iter().map(|file| file.as_fd()));
    let mut leader = Leader::start(order, &descriptors)?;
    // Or they would never be at their end.
    drop((stdout_writer, stderr_writer));
    let end = wait(&leader, &mut pipes, limit, stop);

    let ended_by_us = |mut error: Error, leader: &mut Leader| {
        error.lingers = !leader.end();
        if error.lingers {
            error.message += "; it hangs in the kernel and may still be done later";
        }
        Err(error)
    };
    match end {
        End::Exited => match leader.reap() {
            Ok(code) => Ok((code.unwrap_or(0), pipes.printed)),
            Err(error) => Err(fault(Code::Failed, &error)),
        },
        End::TimedOut => {
            let what = format!("timeout, ended after {} s", limit.as_secs_f32());
            ended_by_us(fault(Code::Timeout, &what), &mut leader)
        }
        End::TooMuch => {
            let what = "ended because it printed too much";
            ended_by_us(fault(Code::Failed, &what), &mut leader)
        }
        End::Stopped => {
            let what = "ended because the instance is being closed";
            ended_by_us(fault(Code::Failed, &what), &mut leader)
        }
        End::Lost(error) => Err(fault(Code::Failed, &error)),
    }
}

/// Why a command is no longer waited for.
enum End {
    Exited,
    TimedOut,
    TooMuch,
    Stopped,
    /// It cannot be waited for: the host reaps every child, or ignores SIGCHLD.
    Lost(io::Error),
}

/// Reads what the command prints and waits for its end.
fn wait(leader: &Leader, pipes: &mut Pipes, limit: Duration, stop: &AtomicBool) -> End {
    const LOOK: Duration = Duration::from_millis(100);
    let deadline = Instant::now() + limit;
    // When it was seen to have exited. From then on there is nothing to end, so neither the
    // deadline nor `stop` counts: only its pipes may still be held.
    let mut exited: Option<Instant> = None;
    let mut pause = Duration::from_micros(20);
    loop {
        if !pipes.read() {
            return End::TooMuch;
        }
        let now = Instant::now();
        if exited.is_none() {
            match leader.has_exited() {
                Ok(has) => exited = has.then_some(now),
                Err(error) => return End::Lost(error),
            }
        }
        let left = match exited {
            Some(_) if pipes.are_at_their_end() => return End::Exited,
            Some(since) if now >= since + limits::OUTPUT_LINGER => return End::Exited,
            Some(since) => since + limits::OUTPUT_LINGER - now,
            None if stop.load(Ordering::Relaxed) => return End::Stopped,
            None if now >= deadline => return End::TimedOut,
            None => deadline - now,
        };
        if pipes.are_at_their_end() {
            // It has closed its output and is most likely about to exit.
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(LOOK / 10);
        } else {
            platform::wait_readable(&pipes.open(), left.min(LOOK));
        }
    }
}

/// The pipes of a command, and what came out of them.
struct Pipes {
    /// None once it is at its end.
    pipes: [Option<File>; 2],
    printed: [Printed; 2],
    /// The bytes of each that are kept; if none is said, all, and too many end the command.
    most: Option<usize>,
}

/// What came out of a pipe.
#[derive(Default)]
struct Printed {
    bytes: Vec<u8>,
    /// Whether there was more.
    is_cut: bool,
}

impl Printed {
    fn keep(&mut self, bytes: &[u8], most: Option<usize>) {
        let room = most.map_or(usize::MAX, |most| most - self.bytes.len());
        self.is_cut |= bytes.len() > room;
        self.bytes
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

impl Pipes {
    fn new(pipes: [File; 2], most: Option<usize>) -> io::Result<Self> {
        for pipe in &pipes {
            platform::set_nonblocking(pipe.as_fd())?;
        }
        Ok(Pipes {
            pipes: pipes.map(Some),
            printed: Default::default(),
            most,
        })
    }

    /// Reads what is there now; false if it is too much.
    fn read(&mut self) -> bool {
        /// Or who prints without an end would never come to its time limit.
        const AT_ONCE: usize = 64;
        let mut buffer = [0; 16384];
        for number in 0..self.pipes.len() {
            for _ in 0..AT_ONCE {
                let Some(pipe) = &mut self.pipes[number] else {
                    break;
                };
                match pipe.read(&mut buffer) {
                    Ok(0) => self.pipes[number] = None,
                    Ok(count) => self.printed[number].keep(&buffer[..count], self.most),
                    Err(error) => match error.kind() {
                        io::ErrorKind::WouldBlock => break,
                        io::ErrorKind::Interrupted => {}
                        _ => self.pipes[number] = None,
                    },
                }
            }
        }
        let kept = self.printed.iter().map(|printed| printed.bytes.len());
        self.most.is_some() || kept.sum::<usize>() <= limits::COMMAND_OUTPUT_BYTES
    }

    fn are_at_their_end(&self) -> bool {
        self.pipes.iter().all(Option::is_none)
    }

    fn open(&self) -> Vec<BorrowedFd<'_>> {
        self.pipes.iter().flatten().map(AsFd::as_fd).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::scratch::sh;
    use std::process::Command;

    static GO_ON: AtomicBool = AtomicBool::new(false);
    const SOON: Duration = Duration::from_secs(20);

    fn run_sh(script: &str, limit: Duration) -> Result<Output> {
        run(&sh(script), limit, &GO_ON)
    }

    #[test]
    fn gives_output_and_exit_code() {
        let output = run_sh("echo out; echo err >&2; exit 3", SOON).unwrap();
        assert_eq!(
            (output.stdout.as_str(), output.stderr.as_str()),
            ("out\n", "err\n")
        );
        assert_eq!(output.exit_code, 3);
        let error = output.success().unwrap_err();
        assert_eq!(error.code, Code::Failed);
        assert!(error.message.ends_with(": err"), "{error}");
        assert_eq!(run_sh("kill -9 $$", SOON).unwrap().exit_code, 137);
    }

    #[test]
    fn megabytes_on_both_pipes_do_not_block() {
        let both = "head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero";
        let output = run_sh(both, SOON).unwrap();
        assert_eq!(
            (output.stdout.len(), output.stderr.len()),
            (3_000_000, 3_000_000)
        );
    }

    #[test]
    fn the_beginning_is_kept_of_one_that_prints_without_an_end() {
        let bounded = |script: &str, limit| run_bounded(&sh(script), limit, &GO_ON, 1000);
        let script = "head -c 3000000 /dev/zero; printf %1000s >&2; printf '\\377'; exit 7";
        let printed = bounded(script, SOON).unwrap();
        assert_eq!((printed.exit_code, printed.truncated), (7, true));
        assert_eq!((printed.stdout.len(), printed.stderr.len()), (1000, 1000));
        let printed = bounded("printf '\\377' >&2; echo a", SOON).unwrap();
        assert!(!printed.truncated);
        assert_eq!((&*printed.stdout, &*printed.stderr), ("a\n", "\u{fffd}"));
        let error = bounded("yes & yes >&2", Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.code, Code::Timeout);
    }

    #[test]
    fn a_hanging_command_ends_with_all_its_children() {
        let started = Instant::now();
        let mark = format!("sleep 10{}", std::process::id());
        let limit = Duration::from_secs(1);
        for script in [
            format!("trap '' TERM; {mark} & echo $! >&2; wait"),
            format!("{mark} & {mark}; true"),
            format!("(trap '' TERM; {mark}; {mark}) & exec {mark}"),
        ] {
            let error = run_sh(&script, limit).unwrap_err();
            assert_eq!(error.code, Code::Timeout, "{script}");
            assert!(!error.lingers, "{script}");
            let mut left = Command::new("pgrep");
            left.args(["-f", &format!("^{mark}$")]);
            assert_eq!(left.output().unwrap().stdout, b"", "{script}");
        }
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_daemon_that_keeps_the_pipe_open_does_not_hold_the_answer_up() {
        let started = Instant::now();
        let output = run_sh("sleep 30 & echo done", SOON).unwrap();
        assert_eq!(output.stdout, "done\n");
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_command_that_has_exited_is_no_longer_within_its_limit() {
        // Its pipe is open for longer than the limit is.
        let limit = limits::OUTPUT_LINGER * 3 / 4;
        let in_time = || run_sh("sleep 5 & echo $!", limit).ok();
        // A busy machine may need longer than that to start it at all.
        let output = (0..10).find_map(|_| in_time()).expect("it is a timeout");
        let left = output.stdout.trim_end();
        let alive = Command::new("kill").args(["-0", left]).status().unwrap();
        assert!(alive.success(), "what it left was killed");
    }

    #[test]
    fn a_command_is_ended_when_somebody_says_stop() {
        let stop = AtomicBool::new(true);
        let error = run(&sh("sleep 30"), SOON, &stop).unwrap_err();
        assert_eq!(error.code, Code::Failed);
        assert!(error.message.contains("being closed"), "{error}");
    }

    #[test]
    fn the_environment_is_our_own_and_input_is_empty() {
        let script = "read line; echo \"[$line] $LC_ALL $(pwd) ${CARGO:-none} $MORE\"";
        let mut order = sh(script);
        order.environment = vec![("MORE".into(), "more".into())];
        let output = run(&order, SOON, &GO_ON).unwrap();
        assert_eq!(output.stdout, "[] C.UTF-8 / none more\n");
    }

    #[test]
    fn a_command_that_cannot_be_started_is_unavailable_and_its_secrets_untold() {
        for program in ["/nonexistent/zfs", "/dev/null", "/etc/passwd", "/"] {
            let mut order = sh("a secret");
            order.argv[0] = program.into();
            order.shown = format!("{program} -c ...");
            let error = run(&order, SOON, &GO_ON).unwrap_err();
            assert_eq!(error.code, Code::Unavailable);
            let start = format!("{program} -c ...: ");
            assert!(error.message.starts_with(&start), "{error}");
            assert!(!error.message.contains("secret"), "{error}");
        }
        let nul = run(&sh("a\0b"), SOON, &GO_ON).unwrap_err();
        assert_eq!(nul.code, Code::Unavailable);
    }
}
