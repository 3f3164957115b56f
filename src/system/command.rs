//! Running a command: arguments as an array, a clean environment, a process group of its own, a
//! time limit, and no process left behind.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::platform::{self, Signal};
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::sync::lock;

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Output {
    /// The command line, for messages.
    pub command: String,
    /// The exit code, or 128 + the signal that ended it, as a shell says it.
    pub exit_code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// What was printed, where the command succeeded.
    ///
    /// # Errors
    /// `Failed` with the command's own last words otherwise.
    pub fn success(self) -> Result<String> {
        if self.exit_code == 0 {
            Ok(self.stdout)
        } else {
            Err(self.failure())
        }
    }

    /// That the command failed, in its own words.
    pub fn failure(&self) -> Error {
        let words = [&self.stderr, &self.stdout].map(|text| last_words(text));
        let words = words.iter().find(|words| !words.is_empty());
        let why = match words {
            Some(words) => words.clone(),
            None => format!("it ended with exit code {}", self.exit_code),
        };
        Error::new(Code::Failed, format!("{}: {why}", self.command))
    }
}

/// The last lines that a command printed, as one line of readable length.
pub fn last_words(text: &str) -> String {
    const READABLE: usize = 400;
    let lines: Vec<&str> = text
        .split(['\n', '\r'])
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let last = &lines[lines.len().saturating_sub(4)..];
    let words = last.join("; ");
    match words.char_indices().rev().nth(READABLE) {
        Some((start, _)) => format!("...{}", &words[start..]),
        None => words,
    }
}

/// Runs `program` and waits for it, at most until `timeout` is over or somebody says `stop`.
///
/// # Errors
/// `Unavailable` where it cannot be started, `Timeout` where it does not end in time, `Failed`
/// where it prints more than anybody can want. A command that ends, however badly, is no error.
pub fn run(
    program: &Path,
    arguments: &[&str],
    timeout: Duration,
    stop: &AtomicBool,
) -> Result<Output> {
    let line = line(program, arguments);
    #[cfg(feature = "fuzzing")]
    if let Some(output) = crate::fuzzing::run(&line, program, arguments) {
        return Ok(output);
    }
    let mut command = prepare(program, arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn(&mut command, &line)?;
    let stdout = child.stdout.take().map(OwnedFd::from);
    let stderr = child.stderr.take().map(OwnedFd::from);
    let pipes = stdout.into_iter().chain(stderr).collect();

    let mut printed = [Vec::new(), Vec::new()];
    let mut room = limits::COMMAND_OUTPUT_BYTES;
    let deadline = Instant::now() + timeout;
    let end = supervise(child, pipes, Some(deadline), |pipe, bytes| {
        room = room.saturating_sub(bytes.len());
        printed[pipe].extend_from_slice(bytes);
        room > 0 && !stop.load(Ordering::Relaxed)
    });
    let [stdout, stderr] = printed.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let fault = |code, what: &str| Err(Error::new(code, format!("{line}: {what}")));
    match end {
        End::Exited(status) => Ok(Output {
            command: line,
            exit_code: exit_code(status),
            stdout,
            stderr,
        }),
        End::TimedOut => {
            let seconds = timeout.as_secs_f32();
            fault(
                Code::Timeout,
                &format!("timeout, not done after {seconds} s and ended"),
            )
        }
        End::Stopped if room == 0 => fault(Code::Failed, "it printed more than the limit, ended"),
        End::Stopped => fault(Code::Failed, "ended, the plugin is being closed"),
        End::Lost(error) => fault(Code::Failed, &error.to_string()),
    }
}

/// A command with nothing inherited from the host but its user: no input, a process group of its
/// own, and an environment that means the same on every host.
pub fn prepare(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env(
            "PATH",
            "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin",
        )
        // iocage and git are not usable in the C locale: names there are UTF-8.
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", "/root")
        .current_dir("/")
        .stdin(Stdio::null())
        .process_group(0);
    platform::inherit_nothing(&mut command);
    command
}

/// Starts a prepared command.
pub fn spawn(command: &mut Command, line: &str) -> Result<Child> {
    #[cfg(feature = "fuzzing")]
    crate::fuzzing::refuse(line)?;
    reap_lingering();
    command
        .spawn()
        .map_err(|error| Error::new(Code::Unavailable, format!("{line}: {error}")))
}

/// The command line for messages and job logs: the one string that Qt's QProcess would take,
/// where double quotes group and three of them make one.
pub fn line(program: &Path, arguments: &[&str]) -> String {
    let program = program.display().to_string();
    let words = std::iter::once(program.as_str()).chain(arguments.iter().copied());
    let quoted = words.map(|word| {
        let word = word.replace('"', "\"\"\"");
        if word.is_empty() || word.contains(char::is_whitespace) {
            format!("\"{word}\"")
        } else {
            word
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// How a supervised command ended.
pub enum End {
    Exited(ExitStatus),
    TimedOut,
    /// Whoever took the output said stop.
    Stopped,
    /// It cannot be waited for: the host reaps every child, or ignores SIGCHLD.
    Lost(io::Error),
}

/// The exit code as a shell says it.
pub fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Reads what `child` prints into `pipes` and waits for its end. `take` gets the number of the
/// pipe and the bytes, or no bytes when a while has passed without any, and answers whether to go
/// on. Unless it has exited by itself, its process group has ended when this returns. (What a command
/// leaves running when it exits, such as what iocage has started in a new jail, is meant to run.)
pub fn supervise(
    mut child: Child,
    pipes: Vec<OwnedFd>,
    deadline: Option<Instant>,
    mut take: impl FnMut(usize, &[u8]) -> bool,
) -> End {
    const LOOK: Duration = Duration::from_millis(100);
    let mut open: Vec<(usize, File)> = Vec::new();
    for (number, pipe) in pipes.into_iter().enumerate() {
        if let Err(error) = platform::set_nonblocking(pipe.as_fd()) {
            end_group(child);
            return End::Lost(error);
        }
        open.push((number, File::from(pipe)));
    }
    let mut buffer = [0; 16384];
    let mut exited: Option<(ExitStatus, Instant)> = None;
    let mut pause = Duration::from_micros(20);
    loop {
        let mut go_on = take(0, &[]);
        open.retain_mut(|(number, pipe)| loop {
            match pipe.read(&mut buffer) {
                Ok(0) => return false,
                Ok(count) => go_on = go_on && take(*number, &buffer[..count]),
                Err(error) => {
                    match error.kind() {
                        io::ErrorKind::WouldBlock => return true,
                        io::ErrorKind::Interrupted => {}
                        _ => return false,
                    };
                }
            }
            if !go_on {
                return true;
            }
        });
        let now = Instant::now();
        if !go_on {
            end_group(child);
            return End::Stopped;
        }
        if exited.is_none() {
            match child.try_wait() {
                Ok(status) => exited = status.map(|status| (status, now)),
                Err(error) => {
                    end_group(child);
                    return End::Lost(error);
                }
            }
        }
        if let Some((status, since)) = exited {
            if open.is_empty() || now >= since + limits::OUTPUT_LINGER {
                return End::Exited(status);
            }
        }
        if deadline.is_some_and(|deadline| now >= deadline) {
            end_group(child);
            return End::TimedOut;
        }
        let left = deadline.map_or(LOOK, |deadline| deadline.saturating_duration_since(now));
        if open.is_empty() {
            // It has closed its output and is about to exit, most likely this instant.
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(LOOK / 10);
        } else {
            let files: Vec<_> = open.iter().map(|(_, pipe)| pipe.as_fd()).collect();
            platform::wait_readable(&files, left.min(LOOK));
        }
    }
}

/// Ends the process group that `child` leads: TERM, and KILL where that does not help.
pub fn end_group(mut child: Child) {
    let group = child.id();
    platform::signal_group(group, Signal::Terminate);
    let ended = ended_within(&mut child, limits::TERMINATION_GRACE);
    // Also where the leader has ended: a child of its own may not have.
    platform::signal_group(group, Signal::Kill);
    if !ended && !ended_within(&mut child, limits::REAP_PATIENCE) {
        lock(&LINGERING).push(child);
    }
}

fn ended_within(child: &mut Child, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(status) => return status.is_some(),
            // Somebody else has reaped it.
            Err(_) => return true,
        }
    }
}

/// Killed processes that had not died when they were last looked at.
static LINGERING: Mutex<Vec<Child>> = Mutex::new(Vec::new());

/// Reaps those of them that have died meanwhile.
pub fn reap_lingering() {
    lock(&LINGERING).retain_mut(|child| matches!(child.try_wait(), Ok(None)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, timeout: Duration) -> Result<Output> {
        run(Path::new("/bin/sh"), &["-c", script], timeout, &GO_ON)
    }

    static GO_ON: AtomicBool = AtomicBool::new(false);
    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn gives_output_and_exit_code() {
        let output = sh("echo out; echo err >&2; exit 3", SOON).unwrap();
        assert_eq!(
            (output.stdout.as_str(), output.stderr.as_str()),
            ("out\n", "err\n")
        );
        assert_eq!(output.exit_code, 3);
        let error = output.success().unwrap_err();
        assert_eq!(error.code, Code::Failed);
        assert!(error.message.ends_with(": err"), "{error}");
        assert_eq!(sh("kill -9 $$", SOON).unwrap().exit_code, 137);
    }

    #[test]
    fn megabytes_on_both_pipes_do_not_block() {
        let both = "head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero";
        let output = sh(both, SOON).unwrap();
        assert_eq!(
            (output.stdout.len(), output.stderr.len()),
            (3_000_000, 3_000_000)
        );
    }

    #[test]
    fn a_hanging_command_ends_with_all_its_children() {
        let started = Instant::now();
        let error = sh(
            "trap '' TERM; sleep 1000 & echo $! >&2; wait",
            Duration::from_secs(1),
        );
        assert_eq!(error.unwrap_err().code, Code::Timeout);
        assert!(started.elapsed() < Duration::from_secs(10));

        let mark = format!("sleep 10{}", std::process::id());
        let script = format!("{mark} & {mark}; true");
        assert_eq!(
            sh(&script, Duration::from_secs(1)).unwrap_err().code,
            Code::Timeout
        );
        let left = Command::new("pgrep")
            .args(["-f", &format!("^{mark}$")])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&left.stdout), "");
    }

    #[test]
    fn a_daemon_that_keeps_the_pipe_open_does_not_hold_the_answer_up() {
        let started = Instant::now();
        let output = sh("sleep 30 & echo done", SOON).unwrap();
        assert_eq!(output.stdout, "done\n");
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn the_environment_is_our_own_and_input_is_empty() {
        let output = sh(
            "read line; echo \"[$line] $LC_ALL $(pwd) ${CARGO:-none}\"",
            SOON,
        );
        assert_eq!(output.unwrap().stdout, "[] C.UTF-8 / none\n");
    }

    #[test]
    fn a_command_that_cannot_be_started_is_unavailable_and_named() {
        let error = run(Path::new("/nonexistent/zfs"), &["list"], SOON, &GO_ON).unwrap_err();
        assert_eq!(error.code, Code::Unavailable);
        assert!(
            error.message.starts_with("/nonexistent/zfs list: "),
            "{error}"
        );
    }

    #[test]
    fn a_line_is_what_qprocess_splits() {
        let line = line(
            Path::new("/bin/echo"),
            &["plain", "two words", "a\"b", "", "re0|10.0.0.1"],
        );
        assert_eq!(
            line,
            "/bin/echo plain \"two words\" a\"\"\"b \"\" re0|10.0.0.1"
        );
    }

    #[test]
    fn last_words_are_the_end_on_one_line() {
        assert_eq!(last_words("a\nb\n\n c \rd\ne\n"), "b; c; d; e");
        assert!(last_words(&"x".repeat(9000)).len() < 500);
    }
}
