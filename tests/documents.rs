//! Every command and snippet that README, CONTRIBUTING, `docs`, the man pages and the header show, run; and
//! whether they have everything that there is.
//!
//! In a document's examples the first pool of the lab is `tank` and the second is `tank2`. Where an
//! object in a reply has `"...": "..."`, the answer has more than is shown.

mod common;

use std::collections::BTreeSet;
use std::ffi::{c_char, c_void, CStr};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use common::{library, make, run, skip, source, Instance};
use serde_json::{json, Value};
use sysadm_iocage::actions::{Action, ACTIONS};
use sysadm_iocage::configuration::Configuration;
use sysadm_iocage::error::Code;
use sysadm_iocage::ffi::*;
use sysadm_iocage_lab::Lab;

/// The commands that cannot be run here, and why. Whatever else a document shows is run.
const NOT_HERE: &[(&str, &str)] = &[
    ("make demo", "CI runs it by itself (.ci/run)"),
    ("make test", "this is it"),
    ("make lint", "CI runs it by itself (.ci/run)"),
    ("make sanitize", "CI runs it by itself (.ci/run)"),
    ("make fuzz", "CI runs it by itself (.ci/run)"),
    ("make openzfs", "CI runs it by itself (.ci/run)"),
    ("make storm", "the test storm runs a short one"),
    (
        "make freebsd",
        "it downloads a compiler; CI runs it by itself (.ci/run)",
    ),
    ("make bench", "it takes a machine of its own for minutes"),
    ("make dist", "CI runs it by itself (.ci/run)"),
    ("make package", "CI runs it by itself (.ci/run)"),
    (
        "make -C /usr/ports/sysutils/sysadm clean patch",
        "it takes FreeBSD and its ports tree",
    ),
    (
        "cp /usr/local/share/sysadm-iocage/server/sysadm-iocage.* \
         $(make -C /usr/ports/sysutils/sysadm -V WRKSRC)/server/library/",
        "it takes FreeBSD and its ports tree",
    ),
    (
        "make -C /usr/ports/sysutils/sysadm build deinstall install",
        "it takes FreeBSD and its ports tree",
    ),
    ("pkg lock sysadm", "it takes FreeBSD"),
    (
        "pkg add ./sysadm-iocage-0.2.0-amd64.pkg",
        "it takes FreeBSD",
    ),
    (
        "make pictures",
        "it writes to the source; tests/pictures.rs compares",
    ),
];

/// What a document shows apart from its text.
struct Snippet {
    place: String,
    /// `sh`, `c`, `python`, `go`, `json`, `text`, or `none` for a REST request.
    language: String,
    /// What a fence has behind the language: the name of a file.
    name: String,
    /// The bold line before it, such as `**Response**`.
    label: String,
    text: String,
    /// How things are before its requests are sent, where it says so.
    before: Vec<String>,
}

/// All documents, as paths in the source tree.
fn documents() -> Vec<String> {
    let docs = fs::read_dir(source("docs")).unwrap();
    let docs = docs.map(|entry| format!("docs/{}", entry.unwrap().file_name().to_str().unwrap()));
    let docs = docs.filter(|name| !name.ends_with(".svg"));
    let others = ["README.md", "CONTRIBUTING.md", "include/sysadm_iocage.h"].map(String::from);
    let mut documents: Vec<String> = others.into_iter().chain(docs).collect();
    documents.sort();
    documents
}

fn read(document: &str) -> String {
    fs::read_to_string(source(document)).unwrap()
}

fn snippets(document: &str) -> Vec<Snippet> {
    let text = read(document);
    match document.rsplit_once('.').unwrap().1 {
        "md" => of_markdown(document, &text),
        "rst" => of_rst(document, &text),
        "3" | "7" => of_man_page(document, &text),
        "h" => of_header(document, &text),
        // Those of the command: tests/command.rs runs them.
        "8" => Vec::new(),
        _ => panic!("{document}: nothing reads its snippets"),
    }
}

fn of_markdown(document: &str, text: &str) -> Vec<Snippet> {
    let mut found: Vec<Snippet> = Vec::new();
    let mut inside = false;
    let mut last = "";
    for (number, line) in text.lines().enumerate() {
        let place = format!("{document}:{}", number + 1);
        if let Some(info) = line.strip_prefix("```") {
            inside = !inside;
            if inside {
                let (language, name) = info.split_once(' ').unwrap_or((info, ""));
                assert!(!language.is_empty(), "{place}: a fence without a language");
                found.push(Snippet::new(place, language, name));
            }
        } else if inside {
            found.last_mut().unwrap().add(line);
        } else {
            let indented = line.starts_with("    ") && last.is_empty();
            assert!(
                !indented,
                "{place}: put it between fences, with its language"
            );
        }
        last = line;
    }
    found
}

fn of_rst(document: &str, text: &str) -> Vec<Snippet> {
    let mut found: Vec<Snippet> = Vec::new();
    let (mut label, mut before, mut inside) = (String::new(), Vec::new(), false);
    for (number, line) in text.lines().enumerate() {
        let place = format!("{document}:{}", number + 1);
        inside &= line.is_empty() || line.starts_with(' ');
        if inside {
            found
                .last_mut()
                .unwrap()
                .add(line.strip_prefix(' ').unwrap_or(line));
        } else if let Some(language) = line.strip_prefix(".. code-block:: ") {
            let mut snippet = Snippet::new(place, language, "");
            snippet.label = std::mem::take(&mut label);
            snippet.before = std::mem::take(&mut before);
            found.push(snippet);
            inside = true;
        } else if let Some(statement) = line.strip_prefix(".. before: ") {
            before.push(statement.into());
        } else if let Some(bold) = line
            .strip_prefix("**")
            .and_then(|rest| rest.strip_suffix("**"))
        {
            label = bold.into();
        } else {
            assert!(!line.ends_with("::"), "{place}: use a code-block");
        }
    }
    found
}

/// The displays of a man page's examples.
fn of_man_page(document: &str, text: &str) -> Vec<Snippet> {
    let mut found: Vec<Snippet> = Vec::new();
    let mut inside = false;
    let (before, examples) = text
        .split_once("\n.Sh EXAMPLES\n")
        .expect("it has examples");
    let examples = examples.split("\n.Sh ").next().unwrap();
    for (number, line) in examples.lines().enumerate() {
        let place = format!("{document}:{}", before.lines().count() + number + 2);
        if line.starts_with(".Bd -literal") {
            found.push(Snippet::new(place, "", "example.c"));
            inside = true;
        } else if line == ".Ed" {
            inside = false;
        } else if inside {
            let snippet = found.last_mut().unwrap();
            snippet.add(&line.replace("\\&", "").replace("\\e", "\\"));
            snippet.guess_language();
        }
    }
    found
}

/// What is indented in the comment at the top of the header.
fn of_header(document: &str, text: &str) -> Vec<Snippet> {
    let mut found: Vec<Snippet> = Vec::new();
    let mut inside = false;
    let comment = text.split("*/").next().unwrap();
    for (number, line) in comment.lines().enumerate() {
        let line = line.strip_prefix(" *").unwrap_or(line);
        match line.strip_prefix("     ") {
            Some(code) => {
                if !inside {
                    let place = format!("{document}:{}", number + 1);
                    found.push(Snippet::new(place, "", "first.c"));
                }
                inside = true;
                let snippet = found.last_mut().unwrap();
                snippet.add(code);
                snippet.guess_language();
            }
            None if inside && line.is_empty() => found.last_mut().unwrap().add(""),
            None => inside = false,
        }
    }
    let shows = |language: &str| found.iter().any(|snippet| snippet.language == language);
    assert!(shows("c") && shows("json") && shows("sh"), "{document}");
    found
}

impl Snippet {
    fn new(place: String, language: &str, name: &str) -> Self {
        Snippet {
            place,
            language: language.into(),
            name: name.into(),
            label: String::new(),
            text: String::new(),
            before: Vec::new(),
        }
    }

    fn add(&mut self, line: &str) {
        self.text += line;
        self.text.push('\n');
    }

    /// For documents that do not say it.
    fn guess_language(&mut self) {
        let language = match self.text.get(..1) {
            Some("#") => "c",
            Some("{") => "json",
            _ => "sh",
        };
        self.language = language.into();
    }

    /// The JSON values that it consists of.
    fn json(&self) -> Vec<Value> {
        let values = serde_json::Deserializer::from_str(&self.text).into_iter();
        values
            .collect::<Result<_, _>>()
            .unwrap_or_else(|error| panic!("{}: {error}", self.place))
    }
}

/// The host of the examples: the lab's household in `tank`, nothing but iocage's datasets in
/// `tank2`, and a dispatcher that takes every job and runs none.
struct Household {
    lab: Lab,
    plugin: Instance,
    dispatcher: Box<Dispatcher>,
    /// A program that runs its jobs itself, where an example is about one.
    alone: Option<Instance>,
    access: i32,
    /// The datasets and snapshots that there are before the first request.
    datasets: BTreeSet<String>,
    /// What is in the jails' `config.json` then, and in `defaults.json`.
    settings: Vec<(PathBuf, String)>,
}

/// Which jails of the household run.
const RUNNING: [(u32, &str); 3] = [(5, "web"), (6, "mail.example.org"), (7, "jenkins")];

/// The jobs that run, and those that were taken since the last request.
#[derive(Default)]
struct Dispatcher {
    running: Mutex<Vec<String>>,
    taken: Mutex<Vec<String>>,
}

unsafe extern "C" fn take_job(
    dispatcher: *mut c_void,
    job: *const c_char,
    _: *const *const c_char,
) -> bool {
    let dispatcher = unsafe { &*dispatcher.cast::<Dispatcher>() };
    let job = unsafe { CStr::from_ptr(job) }.to_str().unwrap();
    dispatcher.taken.lock().unwrap().push(job.into());
    true
}

unsafe extern "C" fn is_job_active(dispatcher: *mut c_void, job: *const c_char) -> bool {
    let dispatcher = unsafe { &*dispatcher.cast::<Dispatcher>() };
    let job = unsafe { CStr::from_ptr(job) }.to_str().unwrap();
    let running = dispatcher.running.lock().unwrap();
    running.iter().any(|running| running == job)
}

impl Household {
    fn open() -> Option<Self> {
        let lab = Lab::or_skip(2)?;
        lab.furnish();
        lab.lay_out(lab.pool(1));
        lab.set_unsupported("<td>releng/12.4</td>");
        let dispatcher = Box::new(Dispatcher::default());
        let host = SysadmIocageHost {
            struct_size: size_of::<SysadmIocageHost>(),
            user_data: (&raw const *dispatcher).cast_mut().cast(),
            queue_process: Some(take_job),
            is_job_active: Some(is_job_active),
            log: None,
            job_ended: None,
        };
        let plugin = Instance::open(&lab.config(), &host);
        let access = SYSADM_IOCAGE_ACCESS_FULL;
        let root = lab.iocage_root(lab.pool(0));
        let jails = fs::read_dir(root.join("jails")).unwrap();
        let files = jails.map(|jail| jail.unwrap().path().join("config.json"));
        let files = files.chain([root.join("defaults.json")]);
        let settings = files.map(|file| (file.clone(), fs::read_to_string(file).unwrap()));
        let mut household = Household {
            settings: settings.collect(),
            lab,
            plugin,
            dispatcher,
            alone: None,
            access,
            datasets: BTreeSet::new(),
        };
        household.datasets = household.all_datasets();
        Some(household)
    }

    /// All datasets and snapshots of both pools.
    fn all_datasets(&self) -> BTreeSet<String> {
        self.lab.datasets(&[self.lab.pool(0), self.lab.pool(1)])
    }

    /// Brings about how things are to be before a request.
    fn prepare(&mut self, before: &[String]) {
        // The jobs of the request before have ended.
        for job in std::mem::take(&mut *self.dispatcher.taken.lock().unwrap()) {
            let log = json!({"state": "finished"});
            assert!(self.plugin.progress(&job, Some(&log)).is_some());
        }
        self.dispatcher.running.lock().unwrap().clear();
        self.alone = None;
        self.forget_what_was_made();
        self.access = SYSADM_IOCAGE_ACCESS_FULL;
        let (tank, tank2) = (self.lab.pool(0), self.lab.pool(1));
        let root = self.lab.iocage_root(tank);
        let mut active = (true, false);
        let (mut starts, mut fails) = (None, None);
        for statement in before {
            let words: Vec<&str> = statement.split(' ').collect();
            match words.as_slice() {
                ["tank", "is", "active"] => active = (true, false),
                ["tank2", "is", "active"] => active = (false, true),
                ["tank", "and", "tank2", "are", "active"] => active = (true, true),
                ["no", "pool", "is", "active"] => active = (false, false),
                ["tank2", "has", "the", "release", name] => self.lab.add_release(tank2, name),
                ["tank2", "has", "the", "template", name] => {
                    self.lab.add_template(tank2, name, None, &json!({}));
                }
                ["tank2", "has", "the", "jail", name] => {
                    self.lab.add_jail(tank2, name, None, &json!({}));
                }
                ["the", "jail", name, "is", "there"] => {
                    let release = Some("releases/13.2-RELEASE");
                    self.lab.add_jail(tank, name, release, &json!({}));
                }
                ["the", "job", id, "runs"] => {
                    self.dispatcher.running.lock().unwrap().push((*id).into());
                }
                ["a", "job", "fetches", release] => starts = Some(*release),
                ["the", "program", "has", "no", "dispatcher", "and", "fetches", release] => {
                    self.lab.set_pace("60");
                    let alone = Instance::of(&self.lab);
                    fetch(&alone, release);
                    self.alone = Some(alone);
                }
                ["a", "program", "without", "a", "dispatcher", "has", "tried", "to", "fetch", release] =>
                {
                    fails = Some(*release);
                }
                ["the", "jail", name, "has", "the", "snapshot", snapshot] => {
                    let snapshot = format!("{tank}/iocage/jails/{name}@{snapshot}");
                    self.lab.zfs(&["snapshot", "-r", &snapshot]);
                }
                ["the", "jail", name, "mounts", source, "on", destination] => {
                    let jail = root.join("jails").join(name);
                    let destination = jail.join("root").join(destination);
                    let line = format!("{source} {} nullfs rw 0 0\n", destination.display());
                    fs::write(jail.join("fstab"), line).unwrap();
                }
                ["the", "jail", name, "was", "exported", "on", day] => {
                    let image = format!("{name}_{day}");
                    let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
                    for (end, text) in [("zip", "abc"), ("sha256", sum)] {
                        fs::write(root.join("images").join(format!("{image}.{end}")), text)
                            .unwrap();
                    }
                }
                ["the", "base", "jail", name, "of", release, "runs"] => {
                    self.add_base_jail(name, release);
                }
                ["the", "user", "may", "only", "read"] => self.access = SYSADM_IOCAGE_ACCESS_READ,
                _ => panic!("nothing brings about that {statement}"),
            }
        }
        self.lab.mark(tank, active.0);
        self.lab.mark(tank2, active.1);
        if let Some(release) = starts {
            let started = fetch(&self.plugin, release);
            self.dispatcher.running.lock().unwrap().push(started);
        }
        if let Some(release) = fails {
            let other = Instance::of(&self.lab);
            let ended = other.wait_for_job(&fetch(&other, release));
            assert_eq!(ended["success"], "false", "{ended}");
        }
    }

    /// A base jail that runs, and sources for its upgrade.
    fn add_base_jail(&self, name: &str, release: &str) {
        let pool = self.lab.pool(0);
        let config = json!({"basejail": 1, "release": format!("{release}-p3")});
        self.lab.add_jail(pool, name, None, &config);
        let root = self.lab.iocage_root(pool);
        let (jail, releases) = (root.join("jails").join(name), root.join("releases"));
        let source = releases.join(release).join("root/bin");
        let fstab = format!(
            "{} {}/root/bin nullfs ro 0 0\n",
            source.display(),
            jail.display()
        );
        fs::write(jail.join("fstab"), fstab).unwrap();
        fs::create_dir_all(releases.join("13.2-RELEASE/root/usr/src/sys")).unwrap();
        self.lab.start(9, name, &jail.join("root"));
    }

    /// Takes away what statements have brought about and later examples would show.
    fn forget_what_was_made(&self) {
        let root = self.lab.iocage_root(self.lab.pool(0));
        let state = PathBuf::from(self.lab.config()["state_directory"].as_str().unwrap());
        let runs = fs::read_dir(state.join("run")).into_iter().flatten();
        let jobs = runs.map(|entry| entry.unwrap().path().join("jobs"));
        for folder in jobs.chain([root.join("images")]) {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.extension().is_none_or(|end| end != "lock") {
                    fs::remove_file(path).unwrap();
                }
            }
        }
        self.lab.set_pace("0");
        fs::write(self.lab.dir().join("last-jid"), "0").unwrap();
        self.lab.set_running(&RUNNING);
        let now = self.all_datasets();
        let lost: Vec<&String> = self.datasets.difference(&now).collect();
        assert!(lost.is_empty(), "an example has destroyed {lost:?}");
        let new = now.difference(&self.datasets);
        // What is cloned from a snapshot goes before it, and what is below comes after what is above.
        let (snapshots, datasets): (Vec<&String>, Vec<&String>) =
            new.partition(|name| name.contains('@'));
        for new in datasets.into_iter().chain(snapshots) {
            common::eventually(&format!("{new} is gone"), || {
                let is_there = || self.lab.try_zfs(&["list", new]).status.success();
                self.lab.try_zfs(&["destroy", "-r", new]).status.success() || !is_there()
            });
        }
        for (file, text) in &self.settings {
            if fs::read_to_string(file).is_ok_and(|now| now != *text) {
                fs::write(file, text).unwrap();
            }
            let fstab = file.with_file_name("fstab");
            if fstab.exists() {
                fs::write(fstab, "").unwrap();
            }
        }
    }

    /// What is answered to a request's args, as the documents name things.
    fn evaluate(&mut self, before: &[String], args: &Value) -> Value {
        self.prepare(before);
        let args = self.to_lab(args);
        let plugin = self.alone.as_ref().unwrap_or(&self.plugin);
        let (_, reply) = plugin.evaluate(&args.to_string(), self.access);
        self.of_lab(&reply)
    }

    fn message(&mut self, before: &[String], message: &Value) -> Value {
        self.prepare(before);
        let message = self.to_lab(message);
        let plugin = self.alone.as_ref().unwrap_or(&self.plugin);
        let reply = plugin.message_as(&message, self.access);
        self.of_lab(&reply)
    }

    /// The pools of a request by the names that the lab has for them.
    fn to_lab(&self, value: &Value) -> Value {
        match value {
            Value::String(text) if text == "tank" => json!(self.lab.pool(0)),
            Value::String(text) if text == "tank2" => json!(self.lab.pool(1)),
            Value::Object(object) => {
                let entry = |(key, value): (&String, &Value)| (key.clone(), self.to_lab(value));
                Value::Object(object.iter().map(entry).collect())
            }
            other => other.clone(),
        }
    }

    fn of_lab(&self, reply: &Value) -> Value {
        let config = self.lab.config();
        let iocage = config["commands"]["iocage"].as_str().unwrap();
        let root = self.lab.iocage_root(self.lab.pool(0));
        let names = [
            (iocage, "/usr/local/bin/iocage"),
            (root.to_str().unwrap(), "/iocage"),
            (self.lab.pool(0), "tank"),
            (self.lab.pool(1), "tank2"),
        ];
        let text = names
            .iter()
            .fold(reply.to_string(), |text, (of_lab, of_document)| {
                text.replace(of_lab, of_document)
            });
        common::parse(&text)
    }
}

/// Starts a job that fetches a release, and gives its id.
fn fetch(plugin: &Instance, release: &str) -> String {
    let answer = plugin.ask(&json!({"action": "fetchreleases", "releases": release}));
    let id = answer["started_dispatcher_id"][0].as_str();
    id.unwrap_or_else(|| panic!("{answer}")).into()
}

/// A reply as it can be compared: numbers and times that are not the same every time, each by its
/// form.
fn comparable(mut reply: Value) -> Value {
    if let Some(object) = reply.as_object_mut() {
        for (key, value) in object {
            let form = value.as_str().and_then(|text| form(key, text));
            *value = match form {
                Some(form) => json!(form),
                None => comparable(value.take()),
            };
        }
    }
    reply
}

/// The form of a value that is not the same every time.
fn form(key: &str, text: &str) -> Option<&'static str> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let like = |form: &str| {
        let mut pairs = text.bytes().zip(form.bytes());
        text.len() == form.len()
            && pairs.all(|(byte, form)| match form {
                b'0' => byte.is_ascii_digit(),
                form => byte == form,
            })
    };
    match key {
        "remote_age_seconds" | "size" | "available" | "referenced" | "used" | "usedbychildren"
        | "usedbydataset" | "usedbysnapshots" => digits(text).then_some("a number"),
        "compressratio" => like("0.00x").then_some("a ratio"),
        "created" => like("0000-00-00T00:00:00Z").then_some("a time"),
        "time_started" | "time_finished" => like("0000-00-00T00:00:00").then_some("a time"),
        _ => None,
    }
}

/// What a reply has of what is documented, where a document does not show all.
fn shown(mut answered: Value, documented: &Value) -> Value {
    if let (Some(object), Some(documented)) = (answered.as_object_mut(), documented.as_object()) {
        let all = object.len();
        if documented.contains_key("...") {
            object.retain(|key, _| documented.contains_key(key));
            if object.len() < all {
                object.insert("...".into(), json!("..."));
            }
        }
        for (key, value) in object {
            *value = shown(
                value.take(),
                &documented.get(key).cloned().unwrap_or_default(),
            );
        }
    }
    answered
}

fn compare(place: &str, answered: Value, documented: &Value) {
    let answered = comparable(shown(answered, documented));
    let documented = comparable(documented.clone());
    assert_eq!(
        answered, documented,
        "{place}: answered is\n{answered:#}\ndocumented is\n{documented:#}\n"
    );
}

#[test]
fn what_a_document_leaves_out_hides_no_difference() {
    let answered =
        json!({"size": "3", "of": {"a": "1", "b": "2", "created": "2026-11-25T18:49:23Z"}});
    let same = |documented: Value| {
        comparable(shown(answered.clone(), &documented)) == comparable(documented)
    };
    assert!(same(answered.clone()));
    assert!(same(json!({"size": "77", "of": {"b": "2", "...": "..."}})));
    for different in [
        json!({"size": "3", "of": {"b": "2"}}),
        json!({"size": "3", "of": {"b": "3", "...": "..."}}),
        json!({"size": "3", "of": {"c": "2", "...": "..."}}),
        json!({"size": "3 KiB", "of": {"a": "1", "...": "..."}}),
        json!({"size": "3", "of": {"created": "yesterday", "...": "..."}}),
        json!({"size": "3", "of": {"a": "1", "b": "2", "created": "2026-11-25T18:49:23Z", "...": "..."}}),
    ] {
        assert!(!same(different.clone()), "{different}");
    }
}

#[test]
fn every_snippet_is_run() {
    let Some(mut household) = Household::open() else {
        return;
    };
    let mut run_elsewhere = Vec::new();
    for document in documents() {
        let snippets = snippets(&document);
        let workshop = Workshop::open(&document, &snippets);
        if document.ends_with(".rst") {
            run_class_document(&mut household, &snippets);
            continue;
        }
        for snippet in &snippets {
            match snippet.language.as_str() {
                "json" => run_json(&mut household, snippet),
                "c" => workshop.run_c(&household.lab, snippet),
                "python" | "go" => workshop.run_program(&household.lab, snippet),
                "sh" => run_elsewhere.extend(workshop.run_shell(&household.lab, snippet)),
                // Lines of a log, which tests/audit.rs compares.
                "text" => assert_eq!(document, "docs/api.md", "{}", snippet.place),
                other => panic!("{}: nothing runs {other:?}", snippet.place),
            }
        }
    }
    for (command, _) in NOT_HERE {
        let shown = run_elsewhere.iter().any(|line| line == command);
        assert!(shown, "no document shows {command} any more");
    }
}

/// A request and its reply, a job's log and its event, or a configuration with the defaults.
fn run_json(household: &mut Household, snippet: &Snippet) {
    let values = snippet.json();
    let place = &snippet.place;
    match values.as_slice() {
        [request, reply] if request.get("action").is_some() => {
            compare(place, household.evaluate(&[], request), reply);
        }
        [message, response] if message.get("args").is_some() => {
            compare(place, household.message(&[], message), response);
        }
        [log, event] => run_progress(household, place, log, event),
        [config] => {
            let mut config = Configuration::parse(&config.to_string())
                .unwrap_or_else(|error| panic!("{place}: {error}"));
            config.pools = None; // all of the host's, which no text says
            assert_eq!(config, Configuration::default(), "{place}: the defaults");
        }
        _ => panic!("{place}: {} values, nothing runs them", values.len()),
    }
}

fn run_progress(household: &Household, place: &str, log: &Value, event: &Value) {
    let job = log["process_id"].as_str().expect(place);
    let told = household.plugin.progress(job, Some(log)).unwrap();
    compare(place, told, event);
}

/// The requests of the class document in their two forms, each with the response that follows.
fn run_class_document(household: &mut Household, snippets: &[Snippet]) {
    let (mut requests, mut log): (Vec<&Snippet>, _) = (Vec::new(), None);
    let mut before = Vec::new();
    for snippet in snippets {
        if !snippet.before.is_empty() {
            before.clone_from(&snippet.before);
        }
        let one = || match snippet.json().as_slice() {
            [one] => one.clone(),
            _ => panic!("{}: not one value", snippet.place),
        };
        match snippet.label.as_str() {
            "REST Request" | "WebSocket Request" => requests.push(snippet),
            "Response" | "REST Response" | "WebSocket Response" => {
                assert!(!requests.is_empty(), "{}: no request", snippet.place);
                let response = one();
                for request in std::mem::take(&mut requests) {
                    run_request(household, &before, request, &response);
                    let form = request.label.split(' ').next().unwrap();
                    assert!(snippet.label == "Response" || snippet.label.starts_with(form));
                }
            }
            "Job Log" => log = Some(one()),
            "Event" => run_progress(household, &snippet.place, &log.take().unwrap(), &one()),
            label => panic!("{}: nothing runs a {label:?}", snippet.place),
        }
    }
    assert!(requests.is_empty() && log.is_none(), "without a response");
}

fn run_request(household: &mut Household, before: &[String], request: &Snippet, response: &Value) {
    let place = &request.place;
    if request.label == "WebSocket Request" {
        let [message] = request.json().try_into().expect("one value");
        return compare(place, household.message(before, &message), response);
    }
    let (line, body) = request.text.trim_start().split_once('\n').unwrap();
    assert_eq!(line, "PUT /sysadm/iocage", "{place}");
    let args = household.evaluate(before, &common::parse(body));
    // REST has the args and nothing else.
    compare(
        place,
        json!({ "args": args }),
        &json!({ "args": response["args"] }),
    );
}

/// A folder with what the commands of a document find where they are typed: the source, and an
/// installation of it that takes the place of /usr/local.
struct Workshop {
    folder: PathBuf,
    stage: PathBuf,
}

impl Workshop {
    fn open(document: &str, snippets: &[Snippet]) -> Self {
        let tmp = Path::new(env!("CARGO_TARGET_TMPDIR")).join("documents");
        let folder = tmp.join(document.replace(['/', '.'], "-"));
        let _ = fs::remove_dir_all(&folder);
        let stage = folder.join("stage");
        fs::create_dir_all(&stage).unwrap();
        fs::create_dir_all(folder.join("src")).unwrap();
        run(Command::new("cp")
            .arg("-R")
            .arg(source("tests/server/skeleton/server"))
            .arg(folder.join("src")));
        for file in [
            "Makefile",
            "Cargo.toml",
            "LICENSE",
            "README.md",
            "CHANGELOG.md",
            "SECURITY.md",
            "bindings",
            "docs",
            "examples",
            "include",
            "port",
            "tests",
        ] {
            symlink(source(file), folder.join(file)).unwrap();
        }
        let programs = ["c", "python", "go"];
        for snippet in snippets {
            if programs.contains(&snippet.language.as_str()) {
                assert!(!snippet.name.is_empty(), "{}: no name", snippet.place);
                fs::write(folder.join(&snippet.name), &snippet.text).unwrap();
            }
        }
        Workshop { folder, stage }
    }

    /// A program, with every warning an error, as C and as C++.
    fn run_c(&self, lab: &Lab, snippet: &Snippet) {
        let libraries = library().parent().unwrap().display().to_string();
        for compiler in [&["cc", "-std=c99"][..], &["c++", "-std=c++11", "-xc++"]] {
            let program = self.folder.join("program");
            run(Command::new(compiler[0])
                .args(&compiler[1..])
                .args(["-pedantic", "-Wall", "-Wextra", "-Werror", "-I"])
                .arg(source("include"))
                .arg("-o")
                .arg(&program)
                .arg(self.folder.join(&snippet.name))
                .args([&format!("-L{libraries}"), "-lsysadm_iocage"])
                .arg(format!("-Wl,-rpath,{libraries}")));
            let mut without_pools = lab.config();
            without_pools["pools"] = json!([]);
            for (config, works) in [(lab.config(), true), (without_pools, false)] {
                let mut command = Command::new(&program);
                let output = command.arg(config.to_string()).output().unwrap();
                let text = String::from_utf8(output.stdout).unwrap();
                let failed = if text.is_empty() {
                    assert!(!output.stderr.is_empty(), "{}", snippet.place);
                    true
                } else {
                    let reply = common::parse(&text);
                    let answer = &reply["listjails"];
                    assert!(answer.is_object(), "{}: {reply}", snippet.place);
                    answer["error"].is_string()
                };
                let expected = i32::from(failed);
                assert_eq!(output.status.code(), Some(expected), "{}", snippet.place);
                // One that takes no configuration may find nothing here, and has said so.
                if snippet.text.contains("argv") {
                    assert_eq!(failed, !works, "{}: {config}", snippet.place);
                }
            }
        }
    }

    /// A command in the folder, which finds what is installed, and the lab in the place of the host.
    fn installed(&self, lab: &Lab, program: &str) -> Command {
        common::install(&["install"], &self.stage);
        let bin = self.stage.join("usr/local/bin");
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(program);
        make(&mut command, &self.stage)
            .current_dir(&self.folder)
            .env("LD_LIBRARY_PATH", self.stage.join("usr/local/lib"))
            .env("PKG_CONFIG_PATH", pkg_config_path(&self.stage))
            .env("PKG_CONFIG_SYSROOT_DIR", &self.stage)
            .env("SYSADM_IOCAGE_CONFIG", lab.configuration())
            .env("PATH", path)
            .env("GOCACHE", common::go_cache())
            .env("GOPROXY", "off")
            .stdin(Stdio::null());
        command
    }

    /// A program in another language, which has to work and to print something.
    fn run_program(&self, lab: &Lab, snippet: &Snippet) {
        let share = self.stage.join("usr/local/share/sysadm-iocage");
        let printed = match snippet.language.as_str() {
            "python" => run(self
                .installed(lab, "python3")
                .arg(&snippet.name)
                .env("PYTHONPATH", share.join("python/src"))),
            _ => {
                // The document's own commands make one too.
                let module_file = self.folder.join("go.mod");
                let package = share.join("go");
                let module = format!(
                    "module example\nrequire sysadm/iocage v0.0.0\nreplace sysadm/iocage => {}\n",
                    package.display()
                );
                fs::write(&module_file, module).unwrap();
                let printed = run(self.installed(lab, "go").args(["run", &snippet.name]));
                fs::remove_file(module_file).unwrap();
                printed
            }
        };
        assert!(!printed.stdout.is_empty(), "{}", snippet.place);
    }

    /// Runs the lines of a snippet that can be run here, and gives those that cannot.
    fn run_shell(&self, lab: &Lab, snippet: &Snippet) -> Vec<String> {
        let command = |line: &str| line.split(" #").next().unwrap().trim().to_string();
        let lines: Vec<String> = snippet.text.lines().map(command).collect();
        let (elsewhere, here): (Vec<_>, Vec<_>) = lines
            .into_iter()
            .partition(|line| NOT_HERE.iter().any(|(command, _)| command == line));
        let (cargo, here): (Vec<_>, Vec<_>) = here
            .into_iter()
            .partition(|line| line.starts_with("cargo "));

        let stage = self.stage.display().to_string();
        // Where there is no pool called tank, or no iocage, a program says so and ends with 1.
        let line = |line: String| match line.starts_with("./") {
            true => format!("{line} || test $? = 1"),
            false => line,
        };
        let script = here.into_iter().map(line).collect::<Vec<_>>().join("\n");
        let script = ["/usr/local", "/usr/ports", "/var/db"]
            .into_iter()
            .fold(script, |script, path| {
                script.replace(path, &format!("{stage}{path}"))
            });
        run(self.installed(lab, "sh").args(["-eu", "-c", &script]));
        for line in cargo {
            // With the real cargo, in the real source; a shell is at its end at once.
            run(Command::new("sh")
                .args(["-eu", "-c", &line])
                .current_dir(source(""))
                .stdin(Stdio::null()));
        }
        elsewhere
    }
}

/// Where pkg-config looks unless it is told otherwise, in a stage.
fn pkg_config_path(stage: &Path) -> String {
    let path = run(Command::new("pkg-config").args(["--variable", "pc_path", "pkg-config"]));
    let path = String::from_utf8(path.stdout).unwrap();
    let staged = |folder: &str| format!("{}{folder}", stage.display());
    path.trim()
        .split(':')
        .map(staged)
        .collect::<Vec<_>>()
        .join(":")
}

/// The modules of the library, as `iocage/properties/kind`; not those that only tests have.
fn modules(folder: &Path, found: &mut BTreeSet<String>) {
    let own = |path: &Path| {
        let path = path.strip_prefix(source("src")).unwrap();
        path.to_str().unwrap().trim_end_matches(".rs").to_string()
    };
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.insert(own(&path));
            modules(&path, found);
        } else if !path.ends_with("mod.rs") && !path.ends_with("lib.rs") && !is_of_tests(&path) {
            found.insert(own(&path));
        }
    }
}

/// Whether a module is declared for tests only.
fn is_of_tests(path: &Path) -> bool {
    let folder = path.parent().unwrap();
    let name = path.file_stem().unwrap().to_str().unwrap();
    let parents = [folder.join("mod.rs"), folder.with_extension("rs")];
    parents.iter().any(|parent| {
        let text = fs::read_to_string(parent).unwrap_or_default();
        ["", "pub "]
            .iter()
            .any(|kind| text.contains(&format!("#[cfg(test)]\n{kind}mod {name};")))
    })
}

#[test]
fn the_table_of_modules_has_every_one() {
    let page = read("docs/architecture.md");
    let table = section(&page, "\n## ", "The modules");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| "));
    let names = rows.filter_map(|row| row.split('`').nth(1));
    let told: BTreeSet<String> = names.map(String::from).collect();
    let mut expected = BTreeSet::new();
    modules(&source("src"), &mut expected);
    let missing: Vec<_> = expected.difference(&told).collect();
    let invented: Vec<_> = told.difference(&expected).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
    assert!(invented.is_empty(), "no modules: {invented:?}");
    assert!(expected.len() > 50, "{expected:?}");
}

/// The anchors that a page has, as GitHub makes them of its headings.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter_map(|line| line.strip_prefix('#'));
    let anchor = |heading: &str| -> String {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = |c: &char| c.is_alphanumeric() || "-_ ".contains(*c);
        text.chars()
            .filter(kept)
            .collect::<String>()
            .replace(' ', "-")
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut links = 0;
    let mut pages: Vec<String> = documents()
        .into_iter()
        .chain(["SECURITY.md".into()])
        .collect();
    pages.retain(|page| page.ends_with(".md"));
    for page in pages {
        let text = read(&page);
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            if link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => source(&page),
                file => source(&page).parent().unwrap().join(file),
            };
            assert!(target.exists(), "{page}: {link}");
            if !anchor.is_empty() {
                let anchors = anchors(&fs::read_to_string(&target).unwrap());
                assert!(anchors.contains(anchor), "{page}: {link}");
            }
            links += 1;
        }
    }
    assert!(links > 40, "{links}");
}

#[test]
fn the_class_document_is_valid() {
    let has_docutils = |python: &&str| {
        let mut command = Command::new(python);
        command
            .args(["-c", "import docutils"])
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let Some(python) = ["python3", "/usr/bin/python3"]
        .into_iter()
        .find(has_docutils)
    else {
        return skip("docutils");
    };
    run(Command::new(python)
        .arg(source("tests/rst.py"))
        .arg(source("docs/iocage.rst")));
}

#[test]
fn the_man_pages_are_clean() {
    for page in [
        "docs/sysadm_iocage.3",
        "docs/sysadm-iocage.7",
        "docs/sysadm-iocage.8",
    ] {
        let mut command = Command::new("mandoc");
        let Ok(output) = command.args(["-T", "lint"]).arg(source(page)).output() else {
            return skip("mandoc");
        };
        let messages = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        // Which manuals there are is the host's matter.
        let of_host = |line: &&str| {
            line.contains("referenced manual not found") || line.contains("outdated mandoc.db")
        };
        let ours: Vec<&str> = messages.lines().filter(|line| !of_host(line)).collect();
        assert!(ours.is_empty(), "{ours:#?}");
    }
}

/// What a document says of one thing: from its heading to the next of the same kind.
fn section<'a>(document: &'a str, heading: &str, name: &str) -> &'a str {
    let start = format!("{heading}{name}\n");
    let (_, rest) = document
        .split_once(&start)
        .unwrap_or_else(|| panic!("no {}", start.trim()));
    rest.split(heading).next().unwrap()
}

#[test]
fn the_page_for_the_administrator_has_every_file() {
    let page = read("docs/install.md");
    let table = section(&page, "\n### ", "What is where");
    let table = table.split("\n## ").next().unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.map(|row| row.split(" | ").next().unwrap());
    let places: Vec<&str> = cells
        .flat_map(|cell| cell.trim_matches('`').split("`, `"))
        .collect();
    let files: Vec<String> = common::plist().into_iter().map(|(_, path)| path).collect();
    let is_in = |file: &str, place: &str| {
        let rest = file.strip_prefix(place);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    for file in &files {
        let told = places.iter().any(|place| is_in(file, place));
        assert!(told, "docs/install.md: {file}");
    }
    for place in &places {
        let there = files.iter().any(|file| is_in(file, place));
        assert!(there, "nothing installs {place}");
    }
    assert!(places.len() > 10, "{places:?}");
}

#[test]
fn every_action_and_argument_is_documented() {
    let (rst, page) = (read("docs/iocage.rst"), read("docs/sysadm-iocage.7"));
    let (install, api) = (read("docs/install.md"), read("docs/api.md"));
    let header = read("include/sysadm_iocage.h");
    for Action { name, fields, .. } in ACTIONS {
        let in_rst = section(&rst, ".. index:: iocage ", name);
        let in_page = section(&page, ".It Ic ", name);
        let row = format!("| `{name}` | ");
        let mut lines = api.lines();
        let in_table = lines.find(|line| line.starts_with(&row)).expect(name);
        assert!(
            api.matches(&format!("`{name}`")).count() > 1,
            "docs/api.md: {name}"
        );
        for argument in fields.iter().map(|field| field.name()) {
            let told = in_rst
                .lines()
                .any(|line| line.starts_with(&format!("{argument}  ")));
            assert!(told, "docs/iocage.rst: {name} {argument}");
            let told = in_page
                .lines()
                .any(|line| line.starts_with(&format!(".Va {argument}")));
            assert!(told, "docs/sysadm-iocage.7: {name} {argument}");
            assert!(
                in_table.contains(&format!("`{argument}`")),
                "docs/api.md: {name} {argument}"
            );
        }
        // Both forms, with an answer and with an error.
        for part in ["PUT /sysadm/iocage", "\"id\": \"fooid\"", "\"code\": "] {
            assert!(
                in_rst.contains(part),
                "docs/iocage.rst: {name} without {part}"
            );
        }
    }
    let codes = [
        Code::InvalidArgument,
        Code::NotFound,
        Code::NotActive,
        Code::Conflict,
        Code::InUse,
        Code::Timeout,
        Code::Unavailable,
        Code::Failed,
    ];
    for code in codes.map(Code::as_str) {
        assert!(
            rst.contains(&format!("\n{code} ")),
            "docs/iocage.rst: {code}"
        );
        assert!(
            page.contains(&format!(".It Li {code}\n")),
            "docs/sysadm-iocage.7: {code}"
        );
        assert!(
            api.contains(&format!("| `{code}` |")),
            "docs/api.md: {code}"
        );
        assert!(header.contains(code), "include/sysadm_iocage.h: {code}");
    }
    let defaults = snippets("docs/install.md").into_iter().find_map(|snippet| {
        let config = serde_json::from_str::<Value>(&snippet.text).ok()?;
        config["commands"].is_object().then_some(config)
    });
    for key in defaults.unwrap().as_object().unwrap().keys() {
        assert!(
            install.contains(&format!("| `{key}` |")),
            "docs/install.md: {key}"
        );
        assert!(
            page.contains(&format!(".It Va {key}\n")),
            "docs/sysadm-iocage.7: {key}"
        );
    }
}

#[test]
fn the_man_page_has_the_interface_as_the_header_has_it() {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let header = read("include/sysadm_iocage.h");
    let page = read("docs/sysadm_iocage.3");
    let mut functions = 0;
    for declaration in header.split("*/").skip(1) {
        let declaration = words(declaration.split("/*").next().unwrap());
        let Some((head, arguments)) = declaration
            .strip_suffix(';')
            .or(declaration.split_once(';').map(|(first, _)| first))
            .and_then(|declaration| declaration.strip_suffix(')'))
            .and_then(|declaration| declaration.split_once('('))
            .filter(|(head, _)| head.contains("sysadm_iocage_"))
        else {
            continue;
        };
        let name = &head[head.find("sysadm_iocage_").unwrap()..];
        let kind = head.strip_suffix(name).unwrap().trim();
        let quoted = |text: &str| match text.contains(' ') {
            true => format!("\"{text}\""),
            false => text.into(),
        };
        let arguments: Vec<String> = arguments.split(", ").map(quoted).collect();
        let expected = format!(".Ft {}\n.Fn {name} {}\n", quoted(kind), arguments.join(" "));
        assert!(page.contains(&expected), "{expected}");
        assert!(page.contains(&format!("\n.Nm {name}")), "{name}");
        functions += 1;
    }
    assert_eq!(functions, page.matches("\n.Ft ").count());
    assert!(functions >= 9);

    let structure = |text: &str| {
        let start = text.find("typedef struct sysadm_iocage_host {").unwrap();
        let code = &text[start..text.find("} sysadm_iocage_host;").unwrap()];
        let mut lines = words(code);
        while let (Some(from), Some(to)) = (lines.find("/**"), lines.find("*/")) {
            lines.replace_range(from..to + 2, "");
        }
        words(&lines)
    };
    assert_eq!(structure(&page), structure(&header));
    for constant in header.split("#define ").skip(1) {
        let name = constant.split([' ', '\n']).next().unwrap();
        if name != "SYSADM_IOCAGE_H" {
            assert!(page.contains(&format!("Dv {name}")), "{name}");
        }
    }
}
