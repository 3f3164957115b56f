//! A command that is ready to be run, and what it printed.

use std::fs::File;
use std::sync::Arc;

use crate::configuration::Program;
use crate::error::{Code, Error, Result};

/// A command that is ready to be run.
#[derive(Clone, Debug)]
pub struct Order {
    pub program: Program,
    /// The program's absolute path and its arguments, secrets among them.
    pub argv: Vec<String>,
    /// The line for messages, without what is secret.
    pub shown: String,
    /// Variables besides those that every command gets, or in their place.
    pub environment: Vec<(String, String)>,
    /// What it gets as descriptors 3, 4 and so on, and keeps open as long as it lives.
    pub inherited: Vec<Arc<File>>,
}

impl Order {
    /// All variables of the command. They mean the same on every host.
    pub fn whole_environment(&self) -> Vec<(String, String)> {
        // As iocage gives them to what it runs in a jail (`ioc_exec.py`), where there is no
        // terminal. jexec(8) hands all that it has on to the jail.
        const IN_A_JAIL: [(&str, &str); 4] = [
            (
                "PATH",
                "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/root/bin",
            ),
            ("HOME", "/"),
            ("TERM", "dumb"),
            ("LANG", "C.UTF-8"),
        ];
        const USUAL: [(&str, &str); 4] = [
            (
                "PATH",
                "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin",
            ),
            // iocage and git are not usable in the C locale: names there are UTF-8.
            ("LC_ALL", "C.UTF-8"),
            ("HOME", "/root"),
            // Or the progress of iocage before 1.2 comes 8 KiB at a time, and after its last error.
            ("PYTHONUNBUFFERED", "1"),
        ];
        let set_here = |name: &str| self.environment.iter().any(|(other, _)| other == name);
        let usual = match self.program {
            Program::Jexec => IN_A_JAIL,
            _ => USUAL,
        };
        let usual = usual.iter().filter(|(name, _)| !set_here(name));
        let usual = usual.map(|(name, value)| (name.to_string(), value.to_string()));
        usual.chain(self.environment.iter().cloned()).collect()
    }
}

/// What a command printed and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The command line, for messages.
    pub command: String,
    /// The exit code, or 128 + the signal that ended it, as in a shell.
    pub exit_code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// What was printed, if the command succeeded.
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
        let why = match self.words() {
            words if words.is_empty() => format!("it ended with exit code {}", self.exit_code),
            words => words,
        };
        Error::new(Code::Failed, format!("{}: {why}", self.command))
    }

    /// The command's own last words, complaints first; empty if it has printed nothing.
    pub fn words(&self) -> String {
        match last_words(&self.stderr) {
            words if words.is_empty() => last_words(&self.stdout),
            words => words,
        }
    }
}

/// How a command ended of whose output only the beginning is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounded {
    /// As in [`Output`].
    pub exit_code: i32,
    pub stdout: String,
    pub stderr: String,
    /// Whether there was more of one of them.
    pub truncated: bool,
}

impl Bounded {
    /// Of each output at most `most` bytes.
    pub fn of(output: Output, most: usize) -> Self {
        let truncated = output.stdout.len() > most || output.stderr.len() > most;
        let beginning = |text: String| match text.len() > most {
            true => beginning(text.as_bytes()[..most].to_vec()),
            false => text,
        };
        Bounded {
            exit_code: output.exit_code,
            stdout: beginning(output.stdout),
            stderr: beginning(output.stderr),
            truncated,
        }
    }
}

/// The text of bytes after which there were more: without the character that was cut in two, if one
/// was.
pub fn beginning(mut bytes: Vec<u8>) -> String {
    const LONGEST: usize = 4;
    let is_start = |byte: &u8| *byte & 0b1100_0000 != 0b1000_0000;
    let last = bytes.iter().rev().take(LONGEST).position(is_start);
    if let Some(start) = last.map(|back| bytes.len() - back - 1) {
        // Only a cut character is without an end; a broken one is replaced as elsewhere.
        let cut = std::str::from_utf8(&bytes[start..]).is_err_and(|why| why.error_len().is_none());
        bytes.truncate(if cut { start } else { bytes.len() });
    }
    text(bytes)
}

/// The text of bytes, with what is not UTF-8 replaced.
pub fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The last lines that a command printed, as one line of readable length. If a Python program ended
/// with a traceback, what the exception says.
pub fn last_words(text: &str) -> String {
    const READABLE: usize = 400;
    const LINES: usize = 4;
    let exception = exception(text);
    let lines: Vec<&str> = exception
        .unwrap_or(text)
        .split(['\n', '\r'])
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let last = match exception {
        // What was printed before may come after it: Python writes that when it ends.
        Some(_) => &lines[..lines.len().min(LINES)],
        None => &lines[lines.len().saturating_sub(LINES)..],
    };
    let words = last.join("; ");
    match words.char_indices().rev().nth(READABLE) {
        Some((start, _)) => format!("...{}", &words[start..]),
        None => words,
    }
}

/// What stands behind the last traceback: `KeyError: 'release'`, or the message alone of an error
/// that has no kind of its own.
fn exception(text: &str) -> Option<&str> {
    let (_, traceback) = text.rsplit_once("Traceback (most recent call last):\n")?;
    let mut rest = traceback;
    // The frames are indented.
    while rest.starts_with(' ') {
        rest = rest.split_once('\n')?.1;
    }
    let rest = rest.strip_prefix("RuntimeError: ").unwrap_or(rest);
    (!rest.trim().is_empty()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_the_end_on_one_line() {
        assert_eq!(last_words("a\nb\n\n c \rd\ne\n"), "b; c; d; e");
        assert!(last_words(&"x".repeat(9000)).len() < 500);
    }

    #[test]
    fn of_a_traceback_only_the_exception_is_told() {
        let traceback =
            "Traceback (most recent call last):\n  File \"a.py\", line 1, in b\n    c()\n";
        for (text, words) in [
            (
                format!("before\n{traceback}KeyError: 'x'\n"),
                "KeyError: 'x'",
            ),
            (format!("{traceback}RuntimeError: a\nb\n"), "a; b"),
            (
                format!("{traceback}E: 1\n\nDuring handling\n\n{traceback}E: 2\n1\n2\n3\n4\n"),
                "E: 2; 1; 2; 3",
            ),
            // Cut off: all that there is.
            (
                "Traceback (most recent call last):\n  File x\n".into(),
                "Traceback (most recent call last):; File x",
            ),
        ] {
            assert_eq!(last_words(&text), words);
        }
    }

    #[test]
    fn python_does_not_keep_back_what_a_job_prints() {
        let order = Order {
            program: Program::Iocage,
            argv: Vec::new(),
            shown: String::new(),
            environment: Vec::new(),
            inherited: Vec::new(),
        };
        let unbuffered = ("PYTHONUNBUFFERED".to_string(), "1".to_string());
        assert!(order.whole_environment().contains(&unbuffered));
    }

    #[test]
    fn nothing_of_the_host_reaches_a_jail() {
        let mut order = Order {
            program: Program::Jexec,
            argv: Vec::new(),
            shown: String::new(),
            environment: Vec::new(),
            inherited: Vec::new(),
        };
        let names = |order: &Order| {
            let all = order.whole_environment().into_iter();
            all.map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names(&order), ["PATH", "HOME", "TERM", "LANG"]);
        order.environment = vec![("HOME".into(), "/root".into())];
        assert_eq!(names(&order), ["PATH", "TERM", "LANG", "HOME"]);
    }

    #[test]
    fn a_beginning_has_whole_characters_only() {
        let euro = "a\u{20ac}".as_bytes();
        for (bytes, text) in [
            (&euro[..4], "a\u{20ac}"),
            (&euro[..3], "a"),
            (&euro[..2], "a"),
            (&euro[..1], "a"),
            (b"", ""),
            (b"a\xff", "a\u{fffd}"),
            (b"\xffa", "\u{fffd}a"),
            (
                b"\x80\x80\x80\x80\x80",
                "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}",
            ),
        ] {
            assert_eq!(beginning(bytes.to_vec()), text, "{bytes:?}");
        }
        let output = Output {
            command: String::new(),
            exit_code: 3,
            stdout: "a\u{20ac}b".into(),
            stderr: "abc".into(),
        };
        let bounded = Bounded::of(output.clone(), 3);
        assert_eq!((&*bounded.stdout, &*bounded.stderr), ("a", "abc"));
        assert!(bounded.truncated && bounded.exit_code == 3);
        assert!(!Bounded::of(output, 5).truncated);
    }

    #[test]
    fn a_variable_of_its_own_takes_the_place_of_the_usual_one() {
        let order = Order {
            program: Program::Git,
            argv: vec!["/usr/local/bin/git".into()],
            shown: String::new(),
            environment: vec![("HOME".into(), "/nonexistent".into())],
            inherited: Vec::new(),
        };
        let environment = order.whole_environment();
        let of = |name: &str| {
            let of = environment.iter().filter(|(other, _)| other == name);
            of.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(of("HOME"), ["/nonexistent"]);
        assert_eq!(of("LC_ALL"), ["C.UTF-8"]);
    }
}
