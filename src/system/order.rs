//! A command that is ready to be run, and what it printed.

use crate::configuration::Program;
use crate::error::{Code, Error, Result};

/// A command that is ready to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub program: Program,
    /// The program's absolute path and its arguments, secrets among them.
    pub argv: Vec<String>,
    /// The line for messages, without what is secret.
    pub shown: String,
    /// Variables besides those that every command gets, or in their place.
    pub environment: Vec<(String, String)>,
}

impl Order {
    /// All variables of the command. They mean the same on every host.
    pub fn whole_environment(&self) -> Vec<(String, String)> {
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
        let usual = USUAL.iter().filter(|(name, _)| !set_here(name));
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
        let words = [&self.stderr, &self.stdout].map(|text| last_words(text));
        let words = words.iter().find(|words| !words.is_empty());
        let why = match words {
            Some(words) => words.clone(),
            None => format!("it ended with exit code {}", self.exit_code),
        };
        Error::new(Code::Failed, format!("{}: {why}", self.command))
    }
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
        };
        let unbuffered = ("PYTHONUNBUFFERED".to_string(), "1".to_string());
        assert!(order.whole_environment().contains(&unbuffered));
    }

    #[test]
    fn a_variable_of_its_own_takes_the_place_of_the_usual_one() {
        let order = Order {
            program: Program::Git,
            argv: vec!["/usr/local/bin/git".into()],
            shown: String::new(),
            environment: vec![("HOME".into(), "/nonexistent".into())],
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
