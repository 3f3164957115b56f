//! The resource limits of a running jail, by rctl(8).
//!
//! iocage sets them when it starts the jail, and one by one when a setting is changed, then by a
//! name that the kernel does not have if there is a dot in it (`ioc_json.py`, IOCRCTL of 1.13).

use serde_json::Value;

use super::properties::{self, Effect, PropertyName};
use super::settings::{self, Settings};
use crate::configuration::Program;
use crate::error::{Code, Error, Result};
use crate::names::Checked;
use crate::system::{CommandLine, System};

/// All rules of one jail: `jail:ioc-web:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules(String);

/// A rule: `jail:ioc-web:memoryuse:deny=4G`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule(String);

impl Checked for Rules {
    fn as_str(&self) -> &str {
        &self.0
    }
}

impl Checked for Rule {
    fn as_str(&self) -> &str {
        &self.0
    }
}

impl Rule {
    /// What it is about and what it does, without how much: the kernel writes that in another way.
    fn kind(&self) -> &str {
        self.0.split('=').next().unwrap_or(&self.0)
    }
}

impl Rules {
    /// Those of the jail that the kernel knows by this name; none for a name that a rule cannot
    /// have.
    pub fn of(kernel_name: &str) -> Option<Self> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let is_name = !kernel_name.is_empty() && kernel_name.chars().all(fits);
        is_name.then(|| Rules(format!("jail:{kernel_name}:")))
    }

    /// Those that the settings ask for.
    ///
    /// # Errors
    /// `Conflict` for a setting that is no limit. iocage lets some pass.
    pub fn wanted(&self, config: &Settings, defaults: &Settings) -> Result<Vec<Rule>> {
        let all = settings::effective(config, defaults);
        let limits = properties::all()
            .iter()
            .filter(|property| property.effect == Effect::Limit);
        let mut wanted = Vec::new();
        for limit in limits {
            let value = all.get(limit.name).map_or("off", |(value, _)| value);
            if ["off", "none", ""].contains(&value) {
                continue;
            }
            let checked = PropertyName::parse(limit.name)
                .and_then(|name| name.value(&Value::String(value.into())));
            let checked = checked.map_err(|why| {
                let message = format!("its settings have no such limit: {why}");
                Error::new(Code::Conflict, message)
            })?;
            wanted.push(Rule(format!(
                "{}{}:{}",
                self.0,
                limit.name,
                checked.as_str()
            )));
        }
        Ok(wanted)
    }

    /// Those that the kernel has.
    ///
    /// # Errors
    /// `Unavailable` where the kernel does not limit resources (`kern.racct.enable` is 0).
    pub fn in_kernel(&self, system: &System) -> Result<Vec<Rule>> {
        let output = system.run(&rctl().value(self))?;
        if output.exit_code != 0 {
            return Err(Error::new(Code::Unavailable, output.failure().message));
        }
        let lines = output.stdout.lines().map(str::trim);
        // What is no rule becomes no argument of another rctl.
        let is_rule = |line: &&str| line.bytes().all(|byte| byte.is_ascii_graphic());
        let own = lines.filter(|line| line.starts_with(&self.0) && is_rule(line));
        Ok(own.map(|line| Rule(line.into())).collect())
    }

    /// Sets `wanted` in the place of those that the kernel has, all or none.
    ///
    /// # Errors
    /// As [`Rules::in_kernel`]; `Failed` if the kernel does not have them then. The former ones are
    /// set again, and the error says which there are.
    pub fn replace(&self, system: &System, wanted: &[Rule]) -> Result<()> {
        let former = self.in_kernel(system)?;
        let set = |former: &[Rule], rules: &[Rule]| {
            self.remove(system, former)?;
            let mut rules = rules.iter();
            rules.try_for_each(|rule| run(system, &rctl().word("-a").value(rule)))
        };
        let done = set(&former, wanted).and_then(|()| {
            let now = self.in_kernel(system)?;
            match difference(&now, wanted) {
                None => Ok(()),
                Some(difference) => Err(Error::new(Code::Failed, difference)),
            }
        });
        let Err(error) = done else { return Ok(()) };
        let back = self.in_kernel(system).and_then(|now| set(&now, &former));
        let why = back
            .err()
            .map(|why| format!("its former limits could not be set again: {why}; "));
        let how_it_is = match self.in_kernel(system) {
            Ok(mut now) => {
                let mut former = former;
                now.sort();
                former.sort();
                match now.iter().map(Checked::as_str).collect::<Vec<_>>() {
                    _ if now == former => "its limits are as they were".into(),
                    none if none.is_empty() => "it has no limits now".into(),
                    rules => format!("its limits are now {}", rules.join(", ")),
                }
            }
            Err(why) => format!("nobody knows which limits it has now: {why}"),
        };
        let message = format!("{error}; {}{how_it_is}", why.unwrap_or_default());
        Err(Error::new(error.code, message))
    }

    /// Removes all, if there are `some`; without any rctl(8) would complain.
    fn remove(&self, system: &System, some: &[Rule]) -> Result<()> {
        match some {
            [] => Ok(()),
            _ => run(system, &rctl().word("-r").value(self)),
        }
    }
}

/// In which the rules that there are `now` are others than `wanted`, if they are.
fn difference(now: &[Rule], wanted: &[Rule]) -> Option<String> {
    let without = |some: &[Rule], others: &[Rule]| {
        let is_other = |rule: &&Rule| !others.iter().any(|other| other.kind() == rule.kind());
        some.iter().find(is_other).cloned()
    };
    let missing = without(wanted, now).map(|rule| format!("rctl has not set {}", rule.as_str()));
    missing.or_else(|| {
        Some(format!(
            "rctl has not removed {}",
            without(now, wanted)?.as_str()
        ))
    })
}

fn run(system: &System, line: &CommandLine) -> Result<()> {
    system.run(line)?.success().map(|_| ())
}

fn rctl() -> CommandLine {
    CommandLine::new(Program::Rctl)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Configuration;
    use crate::system::{Child, Mount, Order, Output, Runner};
    use std::fs::File;
    use std::io;
    use std::os::fd::BorrowedFd;
    use std::sync::atomic::AtomicBool;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    /// A kernel with rules. It refuses those with `refused` in them, forgets `forgotten` ones, and
    /// keeps `kept` ones.
    #[derive(Default)]
    struct Kernel {
        rules: Mutex<Vec<String>>,
        commands: Mutex<Vec<String>>,
        refused: &'static str,
        forgotten: &'static str,
        kept: &'static str,
        is_disabled: bool,
    }

    impl Runner for Kernel {
        fn run(&self, order: &Order, _: Duration, _: &AtomicBool) -> Result<Output> {
            let words: Vec<&str> = order.argv[1..].iter().map(String::as_str).collect();
            self.commands.lock().unwrap().push(words.join(" "));
            let mut rules = self.rules.lock().unwrap();
            let has = |word: &str, rule: &str| !word.is_empty() && rule.contains(word);
            let answer = match words[..] {
                _ if self.is_disabled => Err("rctl: RACCT/RCTL present, but disabled\n"),
                ["-a", rule] if has(self.refused, rule) => Err("rctl: Invalid argument\n"),
                ["-a", rule] => {
                    if !has(self.forgotten, rule) {
                        rules.push(rule.replace("4G", "4294967296"));
                    }
                    Ok(String::new())
                }
                ["-r", filter] => {
                    let before = rules.len();
                    rules.retain(|rule| !rule.starts_with(filter) || has(self.kept, rule));
                    match rules.len() < before {
                        true => Ok(String::new()),
                        false => Err("rctl: No such process\n"),
                    }
                }
                [filter] => {
                    let own = rules.iter().filter(|rule| rule.starts_with(filter));
                    Ok(own.map(|rule| format!("{rule}\n")).collect())
                }
                _ => panic!("{words:?}"),
            };
            Ok(Output {
                command: order.shown.clone(),
                exit_code: answer.is_err().into(),
                stdout: answer.clone().unwrap_or_default(),
                stderr: answer.err().unwrap_or_default().into(),
            })
        }

        fn spawn(&self, order: &Order, _: &File, _: &[BorrowedFd<'_>]) -> Result<Child> {
            Err(Error::new(Code::Unavailable, order.shown.clone()))
        }

        fn mount_table(&self) -> io::Result<Vec<Mount>> {
            Ok(Vec::new())
        }

        fn log(&self, _: i32, _: &str) {}
    }

    fn settings(text: &str) -> Settings {
        Settings::parse(text.as_bytes()).unwrap()
    }

    /// Sets two limits for ioc-web on this kernel.
    fn replace(kernel: Kernel, former: &[&str]) -> (Arc<Kernel>, Result<()>) {
        let kernel = Arc::new(kernel);
        let former = former.iter().map(|rule| rule.to_string());
        kernel.rules.lock().unwrap().extend(former);
        let runner = Arc::clone(&kernel) as Arc<dyn Runner>;
        let system = System::with(&Configuration::default(), runner);
        let rules = Rules::of("ioc-web").unwrap();
        let config = settings(r#"{"memoryuse": "deny=4G", "pcpu": "deny=50"}"#);
        let wanted = rules.wanted(&config, Settings::none()).unwrap();
        let outcome = rules.replace(&system, &wanted);
        (kernel, outcome)
    }

    const FORMER: [&str; 3] = [
        "jail:ioc-web:memoryuse:deny=1024",
        "jail:ioc-web:nthr:log=5",
        "jail:ioc-web2:nthr:log=5",
    ];

    #[test]
    fn the_settings_take_the_place_of_what_the_kernel_has() {
        let (kernel, outcome) = replace(Kernel::default(), &FORMER);
        assert_eq!(outcome, Ok(()));
        let expected = [
            "jail:ioc-web2:nthr:log=5",
            "jail:ioc-web:memoryuse:deny=4294967296",
            "jail:ioc-web:pcpu:deny=50",
        ];
        assert_eq!(*kernel.rules.lock().unwrap(), expected);
        // Without any, nothing is removed: rctl would fail.
        let (kernel, outcome) = replace(Kernel::default(), &FORMER[2..]);
        assert_eq!(outcome, Ok(()));
        let commands = kernel.commands.lock().unwrap();
        assert!(!commands.iter().any(|line| line.starts_with("-r")));
    }

    #[test]
    fn a_limit_that_is_refused_leaves_all_as_they_were() {
        for kernel in [
            Kernel {
                refused: "pcpu",
                ..Kernel::default()
            },
            Kernel {
                forgotten: "pcpu",
                ..Kernel::default()
            },
        ] {
            let (kernel, outcome) = replace(kernel, &FORMER);
            let error = outcome.unwrap_err();
            assert_eq!(error.code, Code::Failed);
            assert!(error.message.contains("pcpu"), "{error}");
            assert!(error.message.ends_with("as they were"), "{error}");
            let mut rules = kernel.rules.lock().unwrap().clone();
            rules.sort();
            let mut former = FORMER;
            former.sort_unstable();
            assert_eq!(rules, former);
        }
    }

    #[test]
    fn what_is_there_after_a_failure_is_asked_and_told() {
        let now = "its limits are now ";
        for (kernel, why, how_it_is) in [
            (
                // One of the former too.
                Kernel {
                    forgotten: "n",
                    ..Kernel::default()
                },
                "rctl has not set jail:ioc-web:memoryuse:deny=4G",
                "it has no limits now",
            ),
            (
                Kernel {
                    forgotten: "nthr",
                    refused: "pcpu",
                    ..Kernel::default()
                },
                "Invalid argument",
                "its limits are now jail:ioc-web:memoryuse:deny=1024",
            ),
            (
                Kernel {
                    kept: "nthr",
                    ..Kernel::default()
                },
                "rctl has not removed jail:ioc-web:nthr:log=5",
                now,
            ),
            (
                Kernel {
                    refused: ":",
                    ..Kernel::default()
                },
                "its former limits could not be set again",
                "it has no limits now",
            ),
        ] {
            let error = replace(kernel, &FORMER).1.unwrap_err();
            let ends = error.message.rsplit("; ").next().unwrap();
            assert!(error.message.contains(why), "{error}");
            assert!(ends.starts_with(how_it_is), "{error}");
        }
    }

    #[test]
    fn a_kernel_without_limits_is_not_touched() {
        let kernel = Kernel {
            is_disabled: true,
            ..Kernel::default()
        };
        let (kernel, outcome) = replace(kernel, &[]);
        let error = outcome.unwrap_err();
        assert_eq!(error.code, Code::Unavailable);
        assert!(error.message.ends_with("but disabled"), "{error}");
        assert_eq!(*kernel.commands.lock().unwrap(), ["jail:ioc-web:"]);
    }

    #[test]
    fn what_is_no_limit_is_refused_by_name() {
        let rules = Rules::of("ioc-a_b").unwrap();
        for (value, is_fine) in [
            ("off", true),
            ("none", true),
            ("deny=4G", true),
            ("deny=four", false),
            ("deny=4G:x", false),
            ("deny=4G jail:ioc-other:", false),
        ] {
            let config = format!(r#"{{"memoryuse": "{value}"}}"#);
            let wanted = rules.wanted(&settings(&config), Settings::none());
            assert_eq!(wanted.is_ok(), is_fine, "{value}");
            if let Err(error) = wanted {
                assert_eq!(error.code, Code::Conflict);
                assert!(error.message.contains("\"memoryuse\""), "{error}");
            }
        }
        let of_all = settings(r#"{"nthr": "deny=7"}"#);
        let wanted = rules.wanted(Settings::none(), &of_all).unwrap();
        assert_eq!(wanted, [Rule("jail:ioc-a_b:nthr:deny=7".into())]);
        for wrong in ["", "a:b", "a b", "a\nb"] {
            assert_eq!(Rules::of(wrong), None, "{wrong:?}");
        }
    }
}
