//! The command line of what is run in a jail.
//!
//! `jexec` itself, and not `iocage exec`: that loses the exit code, mixes the outputs, takes options
//! out of the command, and starts a jail that is down.

use super::settings::{self, Settings};
use crate::configuration::Program;
use crate::names::{Checked, UserName};
use crate::system::CommandLine;

/// A word for a command in a jail. It may begin with a dash: jexec(8) takes no options behind the
/// jail.
struct Word<'a>(&'a str);

impl Checked for Word<'_> {
    fn as_str(&self) -> &str {
        self.0
    }
}

/// Runs these words in the jail that runs as `jid`. Nobody else sees them.
pub fn words(jid: u64, user: &UserName, fib: u16, words: &[String]) -> CommandLine {
    let secret = |line: CommandLine, word: &String| line.secret(&Word(word));
    words.iter().fold(jexec(jid, user, fib), secret)
}

/// Runs a line in the jail's shell.
pub fn line(jid: u64, user: &UserName, fib: u16, line: &str) -> CommandLine {
    // Or some shells would take it for an option of their own.
    let line = match line.starts_with(['-', '+']) {
        true => format!(" {line}"),
        false => line.to_string(),
    };
    let shell = jexec(jid, user, fib).words(&["/bin/sh", "-c"]);
    shell.secret(&Word(&line))
}

/// By the jid: another pool's jail may have the name. (`-U`: a user of the jail.)
fn jexec(jid: u64, user: &UserName, fib: u16) -> CommandLine {
    let line = CommandLine::new(Program::Jexec).word("-U").value(user);
    let line = line.word("--").number(jid);
    match fib {
        0 => line,
        // The jail's own: setfib(2) asks for no privilege.
        fib => line.word("/usr/sbin/setfib").number(fib.into()),
    }
}

/// The routing table that the jail's processes have (`exec_fib`; `ioc_exec.py` runs setfib(1)).
pub fn fib(config: &Settings, defaults: &Settings) -> u16 {
    let all = settings::effective(config, defaults);
    let value = all.get("exec_fib").map_or("", |(value, _)| value);
    value.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Commands;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| word.to_string()).collect()
    }

    #[test]
    fn words_stay_words_and_no_option_of_jexec() {
        let user = UserName::parse("www").unwrap();
        let run = words(
            7,
            &user,
            0,
            &strings(&["ls", "-U", "root", "--", "a b", "", "$HOME"]),
        );
        let expected = [
            "-U", "www", "--", "7", "ls", "-U", "root", "--", "a b", "", "$HOME",
        ];
        assert_eq!(run.arguments(), expected);
        let run = words(7, &user, 2, &strings(&["ls"]));
        let expected = ["-U", "www", "--", "7", "/usr/sbin/setfib", "2", "ls"];
        assert_eq!(run.arguments(), expected);
    }

    #[test]
    fn a_line_is_the_jails_shells_whatever_it_begins_with() {
        let root = UserName::parse("root").unwrap();
        let shell = |text: &str| line(7, &root, 0, text).arguments()[4..].to_vec();
        assert_eq!(shell("echo a; b"), ["/bin/sh", "-c", "echo a; b"]);
        assert_eq!(shell("-x"), ["/bin/sh", "-c", " -x"]);
        assert_eq!(shell("+x"), ["/bin/sh", "-c", " +x"]);
    }

    #[test]
    fn nobody_sees_the_command() {
        let root = UserName::parse("root").unwrap();
        let shown =
            words(7, &root, 0, &strings(&["mysql", "-phunter2"])).shown(&Commands::default());
        assert_eq!(shown, "/usr/sbin/jexec -U root -- 7 ... ...");
        let shown = line(7, &root, 0, "hunter2").shown(&Commands::default());
        assert_eq!(shown, "/usr/sbin/jexec -U root -- 7 /bin/sh -c ...");
    }

    #[test]
    fn the_routing_table_is_what_the_settings_say() {
        let settings = |text: &str| Settings::parse(text.as_bytes()).unwrap();
        let none = Settings::none();
        assert_eq!(fib(none, none), 0);
        assert_eq!(fib(&settings(r#"{"exec_fib": "3"}"#), none), 3);
        assert_eq!(fib(none, &settings(r#"{"exec_fib": 4}"#)), 4);
        assert_eq!(fib(&settings(r#"{"exec_fib": "x"}"#), none), 0);
    }
}
