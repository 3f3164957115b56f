//! A command line: a program and its arguments, each of which is a word of the library or a checked
//! value.

use crate::configuration::{Commands, Program};
use crate::names::Checked;

/// A command line. There is no way to put an unchecked string on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    program: Program,
    words: Vec<Word>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    /// The part that everybody may see.
    shown: String,
    /// The part after that, which may be a secret.
    private: String,
}

impl CommandLine {
    pub fn new(program: Program) -> Self {
        CommandLine {
            program,
            words: Vec::new(),
        }
    }

    pub fn program(&self) -> Program {
        self.program
    }

    /// With one more word of the library.
    #[must_use]
    pub fn word(self, word: &'static str) -> Self {
        self.with(word.into(), String::new())
    }

    /// With more words of the library.
    #[must_use]
    pub fn words(self, words: &[&'static str]) -> Self {
        words.iter().fold(self, |line, word| line.word(word))
    }

    /// With words of the library as one, with commas between them.
    #[must_use]
    pub fn list(self, words: &[&'static str]) -> Self {
        self.with(words.join(","), String::new())
    }

    /// With a checked value as a word.
    #[must_use]
    pub fn value(self, value: &impl Checked) -> Self {
        self.with(value.as_str().into(), String::new())
    }

    /// With a number as a word.
    #[must_use]
    pub fn number(self, number: u64) -> Self {
        self.with(number.to_string(), String::new())
    }

    /// With a checked value that only the command may see.
    #[must_use]
    pub fn secret(self, value: &impl Checked) -> Self {
        self.with(String::new(), value.as_str().into())
    }

    /// With `key=value` as a word.
    #[must_use]
    pub fn setting(self, key: &impl Checked, value: &impl Checked) -> Self {
        self.with(
            format!("{}={}", key.as_str(), value.as_str()),
            String::new(),
        )
    }

    /// With `key=value` as a word, of which only the command may see the value.
    #[must_use]
    pub fn secret_setting(self, key: &impl Checked, value: &impl Checked) -> Self {
        self.with(format!("{}=", key.as_str()), value.as_str().into())
    }

    fn with(mut self, shown: String, private: String) -> Self {
        self.words.push(Word { shown, private });
        self
    }

    /// The arguments as the command gets them.
    pub fn arguments(&self) -> Vec<String> {
        let whole = |word: &Word| format!("{}{}", word.shown, word.private);
        self.words.iter().map(whole).collect()
    }

    /// The path of the program and the arguments as the command gets them, secrets among them.
    pub fn argv(&self, commands: &Commands) -> Vec<String> {
        let mut argv = vec![commands.path(self.program).display().to_string()];
        argv.extend(self.arguments());
        argv
    }

    /// The line for messages and logs, without what is private: as one string for Qt's QProcess,
    /// where double quotes group and three of them make one.
    pub fn shown(&self, commands: &Commands) -> String {
        let program = commands.path(self.program).display().to_string();
        let words = self.words.iter().map(|word| match word.private.is_empty() {
            true => word.shown.clone(),
            false => format!("{}...", word.shown),
        });
        let quoted = std::iter::once(program).chain(words).map(quote);
        quoted.collect::<Vec<_>>().join(" ")
    }
}

fn quote(word: String) -> String {
    let word = word.replace('"', "\"\"\"");
    if word.is_empty() || word.contains(char::is_whitespace) {
        format!("\"{word}\"")
    } else {
        word
    }
}

impl Checked for &'static str {
    fn as_str(&self) -> &str {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{JailName, Url};

    #[test]
    fn a_line_is_what_qprocess_splits_and_tells_no_secret() {
        let url = Url::parse("https://user:secret@example.org/p.git").unwrap();
        let line = CommandLine::new(Program::Iocage)
            .words(&["plain", "two words", "a\"b", ""])
            .value(&JailName::parse("web").unwrap())
            .secret_setting(&"notes", &"secret")
            .secret(&url)
            .setting(&"boot", &"1");
        let commands = Commands::default();
        assert_eq!(
            line.shown(&commands),
            "/usr/local/bin/iocage plain \"two words\" a\"\"\"b \"\" web notes=... ... boot=1"
        );
        assert_eq!(line.arguments()[5..7], ["notes=secret", &url]);
        assert_eq!(line.argv(&commands)[0], "/usr/local/bin/iocage");
    }
}
