//! The demo: sends each request of the class document by the command to the lab, and compares each
//! reply with the documented one.
//!
//!     demo COMMAND
//!
//! It fails where anything is not as documented.

use std::io::IsTerminal;
use std::process::{exit, Command, Output};

use serde_json::{json, Map, Value};
use sysadm_iocage_lab::class_document::{self, Example};
use sysadm_iocage_lab::Lab;

/// What the document calls the pool of its examples.
const POOL: &str = "tank1";

const NAME: &str = "sysadm-iocage";

/// The actions that only look.
const LOOKING: [&str; 5] = [
    "listjails",
    "listtemplates",
    "listplugins",
    "listreleases",
    "activatestatus",
];

/// How many columns a line may have, and what most of them begin with.
const WIDTH: usize = 80;
const INDENT: &str = "    ";

/// The examples in the order of the demo: the document's heading, what is to be seen, and what
/// ZFS must say afterwards.
const STEPS: [(&str, &str, Option<Zfs>); 12] = [
    (
        "List Jails",
        "Two jails run. This is what people see, and then what programs get with -j.",
        None,
    ),
    (
        "List Templates",
        "A template is told like a jail, but it never runs.",
        None,
    ),
    (
        "List Plugins",
        "The plugin that is a jail here, and the seven that the index offers.",
        None,
    ),
    (
        "List Releases",
        "None is fetched. FreeBSD offers five, three past their end of life (EOL).",
        None,
    ),
    ("Activate Status", "iocage uses the pool tank1.", None),
    (
        "Deactivate a Pool",
        "It no longer does: a property of the pool says so.",
        Some(Zfs::Active("no")),
    ),
    (
        "Activate a Pool",
        "And now it does again.",
        Some(Zfs::Active("yes")),
    ),
    (
        "Activate a Pool",
        "The same action without a pool tells which one is active.",
        None,
    ),
    (
        "Fetch Releases",
        "Two jobs fetch them; the command waits and prints how far they are.",
        Some(Zfs::Children("releases", &["10.2-RELEASE", "10.3-RELEASE"])),
    ),
    (
        "Clean Releases",
        "All of them go. (Had a jail been made from one, none would.)",
        Some(Zfs::Children("releases", &[])),
    ),
    (
        "Clean Templates",
        "The same for templates.",
        Some(Zfs::Children("templates", &[])),
    ),
    (
        "Create Plugin",
        "A job fetches the newest release and makes a jail of it.",
        Some(Zfs::Children("jails", &["db", "gitlab", "gitlab_1", "web"])),
    ),
];

/// What ZFS must say of the pool: whether it is marked active, or what is in a folder of iocage's.
enum Zfs {
    Active(&'static str),
    Children(&'static str, &'static [&'static str]),
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, command] = arguments.as_slice() else {
        eprintln!("usage: demo COMMAND");
        exit(2);
    };
    let lab = Lab::open(1).unwrap_or_else(|why| {
        eprintln!("demo: {why}");
        exit(1);
    });
    let mut examples = class_document::open(&lab);
    lab.set_pace("0.05");
    println!(
        "
Every request of the class document, sent by {NAME} to a real ZFS pool.
Every reply, as {NAME} -j prints it, is compared with the documented one.

The pool is on a file, in {}. Here it is called {POOL}.
iocage and jls are stand-ins: the real ones need a FreeBSD kernel.",
        lab.dir().display()
    );

    let mut differing = Vec::new();
    for (step, (section, sentence, zfs)) in STEPS.iter().enumerate() {
        let index = examples.iter().position(|it| it.section() == *section);
        let mut example = examples.remove(index.expect("the document has it"));
        let title = format!("{}. {section}", step + 1);
        println!("\n{}\n{INDENT}{sentence}\n", bold(&title));
        example.prepare(&lab);
        let outcome = send(&lab, command, step == 0, &example)
            .and_then(|()| zfs.as_ref().map_or(Ok(()), |zfs| zfs.check(&lab)));
        match outcome {
            Ok(()) => println!("{INDENT}as documented"),
            Err(why) => {
                let why = why.replace(lab.pool(0), POOL);
                println!("{INDENT}{}: {why}", bold("NOT AS DOCUMENTED"));
                differing.push(format!("{title}: {why}"));
            }
        }
    }
    assert!(examples.is_empty(), "the document has more");
    drop(lab);

    let right = STEPS.len() - differing.len();
    let result = format!("{right} of {} as documented", STEPS.len());
    println!("\n{}", bold(&result));
    if !differing.is_empty() {
        eprintln!("demo: not as documented:\n{}", differing.join("\n"));
        exit(1);
    }
    println!(
        "
What to try next:
{INDENT}target/release/lab sh   a shell on such a pool, with more jails; in it:
{INDENT}{INDENT}{command} listjails
{INDENT}{INDENT}{command} execjail jail=web -- hostname
{INDENT}{command} --help
{INDENT}docs/iocage.rst         every action, its arguments and its errors
{INDENT}make test               all the tests"
    );
}

/// A text that stands out, on a terminal.
fn bold(text: &str) -> String {
    if std::io::stdout().is_terminal() {
        format!("\x1b[1m{text}\x1b[m")
    } else {
        text.into()
    }
}

/// Sends an example as a person would, prints what comes back, and compares. What only looks is sent
/// twice: for people, and as JSON, which is shown too where `both` says so.
fn send(lab: &Lab, command: &str, both: bool, example: &Example) -> Result<(), String> {
    let name = |text: &str| text.replace(lab.pool(0), POOL);
    let words = words(example.args());
    let run = |option: &str| -> Result<Output, String> {
        let output = Command::new(command)
            .arg(option)
            .args(&words)
            .env("SYSADM_IOCAGE_CONFIG", lab.configuration())
            .env("COLUMNS", (WIDTH - INDENT.len()).to_string())
            .output()
            .map_err(|error| format!("{command}: {error}"))?;
        Ok(output)
    };
    let shown: Vec<String> = words.iter().map(|word| name(word)).collect();
    let ended = |output: &Output| match output.status.success() {
        true => Ok(()),
        false => Err(format!("the command ended with {}", output.status)),
    };
    let for_people = LOOKING.contains(&example.action());
    if for_people {
        print_command(&[&[NAME.into()], shown.as_slice()].concat());
        let output = run("-t")?;
        print_lines(&name(&String::from_utf8_lossy(&output.stdout)));
        print_lines(&name(&String::from_utf8_lossy(&output.stderr)));
        ended(&output)?;
    }
    let output = run("-j")?;
    let reply = String::from_utf8_lossy(&output.stdout);
    if both || !for_people {
        if for_people {
            println!();
        }
        print_command(&[&[NAME.into(), "-j".into()], shown.as_slice()].concat());
        match serde_json::from_str(&name(&reply)) {
            Ok(reply) => print_reply(&reply),
            Err(_) => print_lines(reply.trim()),
        }
        // How far the jobs are, or what went wrong.
        print_lines(&name(&String::from_utf8_lossy(&output.stderr)));
    }
    ended(&output)?;
    let reply: Value =
        serde_json::from_str(&reply).map_err(|error| format!("the reply is no JSON: {error}"))?;
    example.compare(&reply)
}

/// A request as words of a command line.
fn words(args: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or(value.to_string(), String::from);
    let mut words = Vec::new();
    for (key, value) in members(args.as_object().expect("a request is an object")) {
        match value {
            _ if key == "action" => words.push(text(value)),
            Value::Array(list) => {
                words.extend(list.iter().map(|item| format!("{key}={}", text(item))));
            }
            _ => words.push(format!("{key}={}", text(value))),
        }
    }
    words
}

/// Prints a command line; one that is long goes on in the next line, as in a shell.
fn print_command(words: &[String]) {
    let mut line = format!("{INDENT}$");
    for word in words {
        if line.len() + word.len() + " \\".len() + 1 > WIDTH {
            println!("{line} \\");
            line = format!("{INDENT}   ");
        }
        line += &format!(" {word}");
    }
    println!("{line}");
}

/// Prints what a program has printed.
fn print_lines(text: &str) {
    for line in text.lines() {
        println!("{INDENT}{}", cut(line, WIDTH - INDENT.len()));
    }
}

impl Zfs {
    /// Asks ZFS, and says what it said.
    fn check(&self, lab: &Lab) -> Result<(), String> {
        let pool = lab.pool(0);
        let (found, expected) = match self {
            Zfs::Active(expected) => {
                let property = "org.freebsd.ioc:active";
                let found = lab.zfs(&["get", "-H", "-o", "value", property, pool]);
                let told = |value: &str| format!("{property} is {value}");
                (told(found.trim()), told(expected))
            }
            Zfs::Children(folder, expected) => {
                let parent = format!("{pool}/iocage/{folder}");
                let list = lab.zfs(&["list", "-H", "-r", "-d", "1", "-o", "name", &parent]);
                let mut found: Vec<&str> = list
                    .lines()
                    .filter_map(|line| line.strip_prefix(&parent)?.strip_prefix('/'))
                    .collect();
                found.sort_unstable();
                let told = |names: &[&str]| match names {
                    [] => format!("no {folder}"),
                    names => format!("{folder} {}", names.join(", ")),
                };
                (told(&found), told(expected))
            }
        };
        println!("{INDENT}ZFS says: {found}");
        if found == expected {
            Ok(())
        } else {
            Err(format!("ZFS says {found}, not {expected}"))
        }
    }
}

/// Prints a reply, shortened to what is seen at a glance.
fn print_reply(reply: &Value) {
    let (mut inner, mut open, mut close) = (reply, String::from(INDENT), String::new());
    if INDENT.len() + text(reply).len() > WIDTH {
        // What holds nothing but one object is in one line with it.
        while let Some((key, value)) = only_member(inner) {
            open += &format!("{{{}: ", text(&json!(key)));
            close.push('}');
            inner = value;
        }
    }
    match inner {
        Value::Object(object) if !close.is_empty() => {
            println!("{open}{{");
            for (index, (key, value)) in members(object).into_iter().enumerate() {
                let start = format!("{INDENT}  {}: ", text(&json!(key)));
                let comma = if index + 1 < object.len() { "," } else { "" };
                let room = WIDTH.saturating_sub(start.len() + comma.len());
                println!("{start}{}{comma}", short(value, room));
            }
            println!("{INDENT}}}{close}");
        }
        _ => {
            let room = WIDTH.saturating_sub(open.len() + close.len());
            println!("{open}{}{close}", short(inner, room));
        }
    }
}

/// The one member of an object, where it is an object that one wants to see the inside of: not
/// the properties of one jail.
fn only_member(value: &Value) -> Option<(&String, &Value)> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    let (key, value) = object.iter().next()?;
    let inside = value.as_object()?;
    let nested = inside
        .values()
        .any(|value| value.is_object() || value.is_array());
    (nested || inside.len() == 1).then_some((key, value))
}

/// The members of an object, first those that a reader looks for first.
fn members(object: &Map<String, Value>) -> Vec<(&String, &Value)> {
    const FIRST: [&str; 8] = [
        "action", "plugin", "jid", "uuid", "state", "release", "id", "name",
    ];
    let mut members: Vec<_> = object.iter().collect();
    let rank = |key: &String| FIRST.iter().position(|first| first == key);
    members.sort_by_key(|(key, _)| rank(key).unwrap_or(FIRST.len()));
    members
}

/// JSON as people write it, in one line.
fn text(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let member = |(key, value)| format!("{}: {}", json!(key), text(value));
            let members: Vec<String> = members(object).into_iter().map(member).collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(text).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}

/// The same, shortened to fit: what comes first of an object or a list, and dots for the rest.
fn short(value: &Value, room: usize) -> String {
    let whole = text(value);
    if whole.len() <= room {
        return whole;
    }
    let (open, close, items): (_, _, Vec<(String, &Value)>) = match value {
        Value::Object(object) => {
            let member = |(key, value)| (format!("{}: ", json!(key)), value);
            let members = members(object).into_iter().map(member);
            ("{", "}", members.collect())
        }
        Value::Array(list) => {
            let items = list.iter().map(|item| (String::new(), item));
            ("[", "]", items.collect())
        }
        _ => return cut(&whole, room),
    };
    let mut shown = String::from(open);
    for (index, (start, value)) in items.into_iter().enumerate() {
        let start = if index > 0 {
            format!(", {start}")
        } else {
            start
        };
        let room = room.saturating_sub(shown.len() + start.len() + ", ...}".len());
        if index > 0 && text(value).len() > room {
            return format!("{shown}, ...{close}");
        }
        shown += &(start + &short(value, room));
    }
    shown + close
}

/// The first characters of a text that is too long.
fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.into();
    }
    let start: String = text.chars().take(room.saturating_sub(3)).collect();
    start + "..."
}
