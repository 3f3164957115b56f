//! sysadm-iocage(8), the command beside the library: on terminals, without one, and ended early.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use common::terminal::{code, width, without_escapes, Terminal};
use common::{eventually, parse, processes, run, sanitizer_flags, skip, source};
use serde_json::{json, Value};
use sysadm_iocage::actions::ACTIONS;
use sysadm_iocage_lab::Lab;

static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| common::command("sysadm-iocage"));

/// The command, on a lab.
fn command(lab: &Lab, words: &[&str]) -> Command {
    let mut command = Command::new(&*PROGRAM);
    command
        .args(words)
        .env("SYSADM_IOCAGE_CONFIG", lab.configuration())
        .env_remove("COLUMNS")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null());
    // A shell that runs the tests in the background has these ignored, and so would the command.
    // SAFETY: signal(2) may be called between fork and exec.
    unsafe {
        command.pre_exec(|| {
            for number in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGTERM] {
                libc::signal(number, libc::SIG_DFL);
            }
            Ok(())
        });
    }
    command
}

/// Its exit code, and what it has printed to both outputs, where there is no terminal.
fn ask(lab: &Lab, words: &[&str]) -> (i32, String, String) {
    told(command(lab, words).output().unwrap())
}

fn told(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        code(output.status),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Its exit code and what it shows on a terminal that is so many columns wide.
fn on_terminal(lab: &Lab, columns: u16, words: &[&str]) -> (i32, String) {
    let (status, shown) = Terminal::start(&mut command(lab, words), columns).end();
    (code(status), shown)
}

fn furnished() -> Option<Lab> {
    let lab = Lab::or_skip(1)?;
    lab.furnish();
    Some(lab)
}

/// All actions with their arguments, as the command itself has them.
fn actions() -> BTreeMap<String, BTreeSet<String>> {
    let output = run(Command::new(&*PROGRAM).arg("--actions"));
    let output = String::from_utf8(output.stdout).unwrap();
    let action = |line: &str| {
        let [name, arguments, does] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        assert!(!does.is_empty(), "{line}");
        let arguments = arguments.split_whitespace().map(String::from);
        (name.to_string(), arguments.collect())
    };
    output.lines().map(action).collect()
}

#[test]
fn the_command_the_man_page_and_the_completions_have_the_actions_of_the_library() {
    let expected: BTreeMap<String, BTreeSet<String>> = ACTIONS
        .iter()
        .map(|action| {
            let fields = action.fields.iter().map(|field| field.name().into());
            (action.name.into(), fields.collect())
        })
        .collect();
    assert_eq!(actions(), expected);

    let page = fs::read_to_string(source("docs/sysadm-iocage.8")).unwrap();
    let page = page.split_once(".Ss Actions\n").unwrap().1;
    let page = page.split("\n.El\n").next().unwrap();
    let words = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(".Va "));
        let words = lines.flat_map(|line| line.split([' ', ',', '.']));
        words
            .filter(|word| !word.is_empty())
            .map(String::from)
            .collect()
    };
    let documented: BTreeMap<String, BTreeSet<String>> = page
        .split(".It Ic ")
        .skip(1)
        .map(|section| (section.lines().next().unwrap().into(), words(section)))
        .collect();
    assert_eq!(documented, expected);

    // The completions ask the command. `settings` and `properties` have parts.
    let complete = |words: &[&str]| -> BTreeSet<String> {
        let output = run(Command::new(&*PROGRAM).arg("--complete").args(words));
        let output = String::from_utf8(output.stdout).unwrap();
        let words = output.lines().map(|line| line.split('\t').next().unwrap());
        words
            .map(|word| word.trim_end_matches(['=', '.']).into())
            .collect()
    };
    assert_eq!(complete(&[""]), expected.keys().cloned().collect());
    let help = run(Command::new(&*PROGRAM).arg("--help")).stdout;
    let help = String::from_utf8(help).unwrap();
    for (action, arguments) in &expected {
        assert_eq!(complete(&[action, ""]), *arguments, "{action}");
        assert!(help.contains(&format!("\n  {action} ")), "{action}");
        let own = run(Command::new(&*PROGRAM).args([action, "-h"])).stdout;
        let own = String::from_utf8(own).unwrap();
        let named = own.lines().skip(1).map(|line| {
            let line = line.trim_start();
            let end = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            line[..end.unwrap_or(line.len())].to_string()
        });
        assert_eq!(named.collect::<BTreeSet<_>>(), *arguments, "{own}");
    }
}

#[test]
fn every_action_answers_in_both_forms() {
    let Some(lab) = furnished() else { return };
    let pool = lab.pool(0).to_string();
    let (active, other) = (format!("pool={pool}"), "pool=no_such_pool");
    // What works comes first, and what only answers with an error is marked.
    let requests: &[(bool, &[&str])] = &[
        (true, &["activatestatus"]),
        (true, &["activatepool"]),
        (true, &["activatepool", &active]),
        (false, &["deactivatepool", other]),
        (true, &["listjails"]),
        (true, &["listjails", "detail=true", "jails=web"]),
        (true, &["listtemplates"]),
        (true, &["listreleases"]),
        (true, &["listplugins"]),
        (true, &["getjailsettings", "jail=web"]),
        (true, &["getdefaultsettings"]),
        (true, &["df"]),
        (true, &["snapshotjail", "jails=web", "jails=db"]),
        (true, &["listsnapshots"]),
        (false, &["removesnapshot", "jail=web", "snapshot=none"]),
        (
            true,
            &["rollbackjail", "jail=db", "snapshot=x", "dryrun=true"],
        ),
        (
            false,
            &["addmount", "jail=db", "source=/no/such", "destination=/mnt"],
        ),
        (true, &["listmounts"]),
        (false, &["removemount", "jail=db", "destination=/mnt"]),
        (true, &["exportjail", "jail=db"]),
        (true, &["listimages", "verify=true"]),
        (false, &["importjail", "image=none_2026-01-01.zip"]),
        (true, &["fetchreleases", "releases=14.1-RELEASE"]),
        (true, &["listjobs"]),
        (
            true,
            &["jobstatus", "job=sysadm_iocage_fetch_release_14.1-RELEASE"],
        ),
        (
            false,
            &["stopjob", "job=sysadm_iocage_fetch_release_14.1-RELEASE"],
        ),
        (true, &["startjail", "jail=db"]),
        (true, &["restartjail", "jail=db", "soft=true"]),
        (true, &["execjail", "jail=db", "--", "echo", "hello"]),
        (true, &["capjail", "jail=db"]),
        (true, &["stopjail", "jail=db"]),
        (true, &["setjailsettings", "jail=web", "settings.notes=a"]),
        (false, &["renamejail", "jail=web", "name=www"]),
        (true, &["createjail", "name=new", "release=13.2-RELEASE"]),
        (true, &["clonejail", "jail=roaming", "name=copy"]),
        (true, &["updatejail", "jails=web"]),
        (false, &["upgradejail", "jail=web", "release=14.1-RELEASE"]),
        (
            false,
            &["createplugin", "plugin=none", "net_device=re0", "dhcp=true"],
        ),
        (true, &["destroyjail", "jail=5", "dryrun=true"]),
        (true, &["cleanjails", "dryrun=true"]),
        (true, &["cleanall", "dryrun=true"]),
        (true, &["cleanreleases", "dryrun=true"]),
        (false, &["cleantemplates"]),
    ];
    let mut left: BTreeSet<&str> = ACTIONS.iter().map(|action| action.name).collect();
    for (works, words) in requests {
        let action = words[0];
        left.remove(action);
        let (code, reply, errors) = ask(&lab, &[&["-j"], *words].concat());
        let (wanted, error) = (i32::from(!works), reply.contains("\"error\":"));
        assert_eq!(code, wanted, "{words:?} {reply} {errors}");
        let reply = parse(&reply);
        assert!(reply[action].is_object(), "{words:?} {reply}");
        assert!(error || *works, "{words:?} {reply}");

        // A second time: what was made is there already.
        let (code, lines, errors) = ask(&lab, words);
        let shown = format!("{lines}{errors}");
        assert!(!shown.contains("{\""), "{words:?} {shown}");
        let may_be_empty = action == "listmounts";
        assert!(may_be_empty || !shown.is_empty(), "{words:?}");
        let again = [
            "createjail",
            "clonejail",
            "exportjail",
            "snapshotjail",
            "updatejail",
        ]
        .contains(&action);
        assert!(code == wanted || again, "{words:?} {shown}");
        if code == 1 {
            let start = format!("sysadm-iocage: {action}: ");
            assert!(
                errors.contains(&start) && errors.ends_with(")\n"),
                "{errors}"
            );
        }
        let (_, shown) = on_terminal(&lab, 40, words);
        let errors = |line: &&str| line.starts_with("sysadm-iocage: ");
        for line in without_escapes(&shown).lines().filter(|line| !errors(line)) {
            // A job's output is printed as it came.
            assert!(
                action == "jobstatus" || width(line) <= 40,
                "{words:?} {line}"
            );
        }
    }
    assert!(left.is_empty(), "{left:?}");
}

const LONG: &str = "quite-a-long-name.example.org";

/// Jails whose names and values are anything: of other alphabets, and set by who is root in a jail.
fn odd_jails(lab: &Lab) {
    let pool = lab.pool(0);
    lab.lay_out(pool);
    lab.mark(pool, true);
    lab.add_release(pool, "13.2-RELEASE");
    for (name, config) in [
        (
            "plain",
            json!({"release": "13.2-RELEASE", "ip4_addr": "re0|10.20.0.10/24,re0|10.20.0.11/24,re1|192.168.100.200/24", "ip6_addr": "re0|2001:db8:1234:5678:9abc:def0:1234:5678/64"}),
        ),
        (
            "chinese",
            json!({"host_hostuuid": "漢字漢字漢字", "release": "13.2-RELEASE"}),
        ),
        (
            "accents",
            json!({"host_hostuuid": "e\u{301}te\u{301}", "release": "13.2-RELEASE"}),
        ),
        (
            "hostile",
            json!({"host_hostuuid": "x\u{1b}]0;pwned\u{7}\u{9b}2J\u{202e}y\tz\nw", "release": "\u{1b}[31m"}),
        ),
        (LONG, json!({"release": "13.2-RELEASE"})),
    ] {
        lab.add_jail(pool, name, None, &config);
    }
    lab.set_running(&[(7, "plain")]);
}

#[test]
fn tables_fit_the_terminal_and_cut_no_name_state_or_address() {
    let Some(lab) = Lab::or_skip(1) else { return };
    odd_jails(&lab);
    for columns in [200, 120, 80, 60, 40, 20] {
        let all = ["listjails"];
        let (code, shown) = on_terminal(&lab, columns, &all);
        assert_eq!(code, 0, "{shown}");
        // A terminal obeys nothing of a value.
        let obeyed = ["\x1b]", "\u{9b}", "\u{202e}"];
        assert!(!obeyed.iter().any(|it| shown.contains(it)), "{shown:?}");
        let plain = without_escapes(&shown);
        for line in plain.lines() {
            assert!(width(line) <= columns.into(), "{columns}: {line}\n{plain}");
        }
        let friendly = [
            "listjails",
            "jails=plain",
            "jails=chinese",
            "jails=accents",
            &format!("jails={LONG}"),
        ];
        let (_, shown) = on_terminal(&lab, columns, &friendly);
        let plain = without_escapes(&shown);
        for line in plain.lines() {
            assert!(width(line) <= columns.into(), "{columns}: {line}\n{plain}");
        }
        assert!(!plain.contains('…'), "{plain}");
        // What is broken into lines of a cell is whole when they are put together.
        let cells =
            |line: &str| -> Vec<String> { line.split_whitespace().map(String::from).collect() };
        if columns >= 80 {
            for word in [
                LONG,
                "漢字漢字漢字",
                "e\u{301}te\u{301}",
                "up",
                "10.20.0.10/24,",
                "10.20.0.11/24,",
                "192.168.100.200/24,",
                "2001:db8:1234:5678:9abc:def0:1234:5678/64",
            ] {
                let whole = plain
                    .lines()
                    .any(|line| cells(line).iter().any(|cell| cell == word));
                assert!(whole, "{columns}: {word}\n{plain}");
            }
        }
        let all: String = plain.split_whitespace().collect();
        for part in ["up", "down", "10.20.0"] {
            assert!(
                columns < 40 || all.contains(part),
                "{columns}: {part}\n{plain}"
            );
        }
    }
    // Each column begins where its heading does.
    let (_, shown) = on_terminal(&lab, 200, &["listjails"]);
    let plain = without_escapes(&shown);
    let lines: Vec<&str> = plain.lines().collect();
    let state = lines[0].find("STATE").unwrap();
    for line in &lines[1..] {
        let at = line.find(" up").or(line.find(" down"));
        let own = at.map(|at| width(&line[..=at]));
        assert!(own.is_none_or(|own| own == state), "{plain}");
    }
    // The columns that say least are the ones that go.
    let heading =
        |columns| without_escapes(&on_terminal(&lab, columns, &["listjails", "jails=plain"]).1);
    let (wide, narrow) = (heading(200), heading(40));
    assert!(
        wide.starts_with("JID  NAME   STATE  BOOT  RELEASE"),
        "{wide}"
    );
    assert!(wide.lines().next().unwrap().ends_with("TAG"), "{wide}");
    assert!(
        narrow.contains("NAME") && narrow.contains("STATE") && !narrow.contains("TAG"),
        "{narrow}"
    );
}

#[test]
fn a_description_loses_its_end_and_a_name_does_not() {
    let Some(lab) = furnished() else { return };
    let (_, shown) = on_terminal(&lab, 50, &["listplugins"]);
    let plain = without_escapes(&shown);
    assert!(plain.contains("jenkins") && plain.contains('…'), "{plain}");
    assert!(plain.lines().all(|line| width(line) <= 50), "{plain}");
}

#[test]
fn colours_are_few_and_only_where_they_are_wanted() {
    let Some(lab) = furnished() else { return };
    let (_, shown) = on_terminal(&lab, 80, &["listjails"]);
    assert!(
        shown.contains("\x1b[1mNAME\x1b[m") && shown.contains("\x1b[32mup\x1b[m"),
        "{shown:?}"
    );
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let shell = format!("{name}={value} exec '{}' listjails", PROGRAM.display());
        let mut plain = Command::new("sh");
        plain
            .args(["-c", &shell])
            .env("SYSADM_IOCAGE_CONFIG", lab.configuration());
        let (_, shown) = Terminal::start(&mut plain, 80).end();
        assert!(
            shown.contains("NAME") && !shown.contains('\x1b'),
            "{shown:?}"
        );
    }
    let (_, lines, _) = ask(&lab, &["-t", "listjails"]);
    assert!(
        lines.starts_with("JID  NAME") && !lines.contains('\x1b'),
        "{lines}"
    );
}

#[test]
fn without_a_terminal_rows_are_lines_with_tabs() {
    let Some(lab) = furnished() else { return };
    let (code, lines, errors) = ask(&lab, &["listjails"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert_eq!(lines.lines().count(), 6, "{lines}");
    let web = "5\tweb\tup\ton\t13.2-RELEASE-p9\tre0|10.20.0.10/24\t-\t-\tjail\tweb";
    assert!(lines.lines().any(|line| line == web), "{lines}");
    let columns = ["listjails", "-o", "name,address,state", "jails=db"];
    assert_eq!(ask(&lab, &columns).1, "db\t10.20.0.11/24\tdown\n");
    let (_, lines, _) = ask(&lab, &["df", "jail=web", "-oname,used"]);
    let used = lines.trim_end().strip_prefix("web\t").unwrap();
    assert!(used.parse::<u64>().is_ok(), "{lines}");
    let (_, lines, _) = ask(&lab, &["destroyjail", "jail=5", "dryrun=true"]);
    assert!(lines.contains("would_destroy\tjails\t5\n"), "{lines}");
    // Values with tabs and lines stay in their field.
    let odd = json!({"release": "a\tb\nc\u{1b}"});
    lab.add_jail(lab.pool(0), "odd", None, &odd);
    let (_, lines, _) = ask(&lab, &["listjails", "jails=odd", "-o", "release,uuid"]);
    assert_eq!(lines, "a\\tb\\nc\\u001b\todd\n");

    // All columns that the man page names are there.
    let page = fs::read_to_string(source("docs/sysadm-iocage.8")).unwrap();
    let mut documented = 0;
    for item in page.split(".It Ic ").filter(|item| item.contains("\n.Li ")) {
        let (action, rest) = item.split_once('\n').unwrap();
        let Some(columns) = rest.strip_prefix(".Li ") else {
            continue;
        };
        let columns = columns
            .lines()
            .next()
            .unwrap()
            .trim_end_matches(" ;")
            .replace(' ', ",");
        let (code, lines, errors) = ask(&lab, &[action, "-o", &columns]);
        assert_eq!(code, 0, "{action} {columns} {errors}");
        let (_, all, _) = ask(&lab, &[action]);
        assert_eq!(lines, all, "{action}: -o {columns}");
        documented += 1;
    }
    assert_eq!(documented, 10);
}

#[test]
fn a_json_reply_is_the_same_on_a_terminal_and_harmless() {
    let Some(lab) = Lab::or_skip(1) else { return };
    odd_jails(&lab);
    let (_, reply, _) = ask(&lab, &["-j", "listjails"]);
    let (code, shown) = on_terminal(&lab, 40, &["-j", "listjails"]);
    assert_eq!(code, 0);
    assert_eq!(parse(&shown), parse(&reply));
    assert!(
        reply.contains('\u{9b}') && !shown.contains('\u{9b}'),
        "{shown:?}"
    );
    assert!(
        !shown.contains('\x1b') && !shown.contains('\u{202e}'),
        "{shown:?}"
    );
}

#[test]
fn arguments_become_what_the_library_takes() {
    let Some(lab) = furnished() else { return };
    let reply = |words: &[&str]| parse(&ask(&lab, &[&["-j"], words].concat()).1);
    let listed = |words: &[&str]| -> Vec<String> {
        let reply = reply(words);
        let jails = reply["getjailsettings"]["jails"].as_object();
        let jails = jails.unwrap_or_else(|| panic!("{reply}"));
        jails.keys().cloned().collect()
    };
    let prop = "prop=boot";
    assert_eq!(
        listed(&["getjailsettings", "jails=web", "jails=db", prop]),
        ["db", "web"]
    );
    assert_eq!(
        listed(&["getjailsettings", r#"jails:=["web","db"]"#, prop]),
        ["db", "web"]
    );
    assert_eq!(
        listed(&["getjailsettings", "jail=web", "detail=true", prop]),
        ["web"]
    );
    // Whole requests: a word, standard input, and without an action.
    let request = r#" {"action": "getjailsettings", "jail": "web", "prop": "boot"}"#;
    assert_eq!(listed(&[request]), ["web"]);
    for words in [["-j"].as_slice(), &["-j", "-"]] {
        let file = lab.dir().join("request");
        fs::write(&file, request).unwrap();
        let output = command(&lab, words)
            .stdin(fs::File::open(file).unwrap())
            .output()
            .unwrap();
        let (code, reply, _) = told(output);
        assert_eq!(
            (
                code,
                parse(&reply)["getjailsettings"]["jails"]["web"]["boot"].as_str()
            ),
            (0, Some("1"))
        );
    }
    let (code, shown, _) = ask(
        &lab,
        &[
            "setjailsettings",
            "jail=web",
            "settings.boot=off",
            "settings.notes=x=\"y\" \\ .z",
            "settings.priority:=5",
        ],
    );
    assert_eq!(code, 0, "{shown}");
    assert!(shown.starts_with("settings of jail web set.\n"), "{shown}");
    let config = lab.config_of(lab.pool(0), "web");
    assert_eq!(config["notes"], "x=\"y\" \\ .z");
    assert_eq!(config["priority"].to_string().trim_matches('"'), "5");
    // Words of a command, which is no shell's line.
    let (code, lines, errors) = ask(
        &lab,
        &[
            "execjail",
            "jail=web",
            "--",
            "sh",
            "-c",
            "echo \"$1\"; echo no >&2; exit 7",
            "-",
            "-j  $x",
        ],
    );
    assert_eq!(
        (code, lines.as_str(), errors.as_str()),
        (7, "-j  $x\n", "no\n")
    );
    assert_eq!(ask(&lab, &["execjail", "jail=web", "command=exit 9"]).0, 9);
    let (code, shown) = on_terminal(
        &lab,
        80,
        &["execjail", "jail=web", "--", "printf", "\\033]0;x\\007\\n"],
    );
    assert_eq!((code, shown.trim_end()), (0, "\\u001b]0;x\\u0007"));
}

#[test]
fn exit_codes_and_messages_are_those_of_the_man_page() {
    let Some(lab) = furnished() else { return };
    let fails = |words: &[&str], wanted: i32, why: &str| {
        let (code, lines, errors) = ask(&lab, words);
        assert_eq!((code, lines.as_str()), (wanted, ""), "{words:?} {errors}");
        assert!(
            errors.starts_with("sysadm-iocage: ") && errors.contains(why),
            "{words:?} {errors}"
        );
    };
    fails(
        &["startjail", "jail=no"],
        1,
        "startjail: there is no jail or template \"no\" (not_found)\n",
    );
    fails(
        &["-r", "startjail", "jail=db"],
        1,
        "needs full access (403)\n",
    );
    fails(&["startjail"], 1, "(invalid_argument)\n");
    for (words, why) in [
        (["frobnicate"].as_slice(), "unknown action"),
        (&["{}"], "(400)"),
        (&["{"], "(400)"),
        (&[], "which action?"),
        (&["listjails", "x"], "must be ARGUMENT=VALUE"),
        (&["listjails", "=x"], "is not the name of an argument"),
        (&["listjails", "detail:=tru"], "has no JSON"),
        (&["listjails", "-x"], "is not an option"),
        (&["listjails", "--json=x"], "is not an option"),
        (&["listjails", "-o", "nothing"], "has no such columns"),
        (&["startjail", "-o", "name"], "has no such columns"),
        (&["listjails", "-o"], "needs a value"),
        (&["listjails", "--", "x"], "only execjail"),
        (&["execjail", "command=x", "--", "x"], "is given"),
        (
            &["setjailsettings", "settings.a=1", "settings.a=2"],
            "is given twice",
        ),
        (
            &["setjailsettings", "settings.a=1", "settings=2"],
            "with parts and without",
        ),
        (&["listjails", "action=df"], "is the first word"),
        (
            &["destroyjail", "jail=db", "dryrum=true"],
            "dryrum: is no argument of this action",
        ),
        (&["{}", "x=y"], "the only word"),
        (
            &["-c", "/no/such/file", "listjails"],
            "/no/such/file: No such file",
        ),
        (&["-c", "/", "listjails"], "/: "),
    ] {
        fails(words, 2, why);
    }
    let broken = lab.dir().join("broken.json");
    fs::write(&broken, r#"{"pool": "tank"}"#).unwrap();
    fails(
        &["-c", broken.to_str().unwrap(), "listjails"],
        2,
        "unknown configuration key \"pool\"",
    );
    // One of several.
    let (code, lines, errors) = ask(&lab, &["startjail", "jails=web", "jails=no"]);
    assert_eq!((code, lines.lines().next()), (1, Some("jail web started.")));
    assert!(
        errors.contains("startjail: no: there is no jail"),
        "{errors}"
    );
    assert_eq!(ask(&lab, &["df", "jails=web", "jails=no"]).0, 1);
    // A disk that is full.
    let full = command(&lab, &["listjails"])
        .stdout(fs::File::create("/dev/full").unwrap())
        .output()
        .unwrap();
    assert_eq!(
        told(full),
        (
            1,
            String::new(),
            "sysadm-iocage: standard output cannot be written\n".into()
        )
    );
    let version = ask(&lab, &["--version"]);
    let expected = format!(
        "sysadm-iocage {0}, library {0}\n",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(version, (0, expected, String::new()));
}

#[test]
fn a_broken_pipe_ends_it_quietly_and_no_job() {
    let Some(lab) = furnished() else { return };
    for words in [
        ["getdefaultsettings"].as_slice(),
        &["fetchreleases", "releases=14.1-RELEASE"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(&lab, words)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let (code, _, errors) = told(output);
        assert_eq!(code, 128 + libc::SIGPIPE, "{words:?} {errors}");
        assert!(!errors.contains("sysadm-iocage:"), "{errors}");
    }
    // The job had its work done.
    lab.zfs(&[
        "list",
        &format!("{}/iocage/releases/14.1-RELEASE/root", lab.pool(0)),
    ]);
}

#[test]
fn jobs_have_bars_on_a_terminal_and_lines_elsewhere() {
    let Some(lab) = furnished() else { return };
    lab.set_pace("0.1");
    lab.set_remote_releases(&["14.1-RELEASE", "14.2-RELEASE", "14.3-RELEASE"]);
    let two = [
        "fetchreleases",
        "releases=14.1-RELEASE",
        "releases=15.9-RELEASE",
    ];
    let (code, lines, errors) = ask(&lab, &two);
    assert_eq!(code, 1, "{errors}");
    assert_eq!(
        lines,
        "job sysadm_iocage_fetch_release_14.1-RELEASE is done.\n"
    );
    assert!(
        errors.contains("fetch_release_14.1-RELEASE: ") && errors.contains("0%"),
        "{errors}"
    );
    let failed = "sysadm-iocage: fetchreleases: job sysadm_iocage_fetch_release_15.9-RELEASE: 15.9-RELEASE was not found! (failed)\n";
    assert!(
        errors.contains(failed) && !errors.contains('\x1b') && !errors.contains('\r'),
        "{errors}"
    );

    for (columns, release) in [(80, "14.2-RELEASE"), (40, "14.3-RELEASE")] {
        let releases = format!("releases={release}");
        let two = ["fetchreleases", &releases, "releases=15.9-RELEASE"];
        let (code, shown) = on_terminal(&lab, columns, &two);
        assert_eq!(code, 1, "{shown}");
        assert!(columns < 80 || shown.contains("[=="), "{shown}");
        assert!(shown.contains("0%"), "{shown}");
        let plain = without_escapes(&shown);
        let bars = plain
            .lines()
            .filter(|line| line.starts_with("fetch_release"));
        assert!(bars.clone().count() > 3, "{plain}");
        assert!(
            bars.clone().all(|line| width(line) < columns.into()),
            "{plain}"
        );
        let end = plain.split_whitespace().collect::<Vec<_>>().join(" ");
        let done = format!("job sysadm_iocage_fetch_release_{release} is done.");
        assert!(end.ends_with(&done), "{plain}");
    }
    // Standard output has the reply alone.
    let (code, reply, errors) = ask(&lab, &["-j", "exportjail", "jail=db"]);
    assert_eq!(code, 0, "{errors}");
    assert_eq!(
        parse(&reply)["exportjail"]["started_dispatcher_id"],
        "sysadm_iocage_export_jail_db"
    );
    assert!(
        errors.ends_with("job sysadm_iocage_export_jail_db is done.\n"),
        "{errors}"
    );
}

#[test]
fn a_signal_ends_the_job_and_then_the_command() {
    let Some(lab) = furnished() else { return };
    lab.set_pace("60");
    let fetch = ["fetchreleases", "releases=14.1-RELEASE"];
    let job = "sysadm_iocage_fetch_release_14.1-RELEASE";
    for (signal, name) in [
        (libc::SIGINT, "SIGINT"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGHUP, "SIGHUP"),
    ] {
        let mut terminal = Terminal::start(&mut command(&lab, &fetch), 80);
        terminal.wait_for(" 10%");
        match signal {
            libc::SIGINT => terminal.press(b"\x03"),
            _ => terminal.signal(signal),
        }
        let (status, shown) = terminal.end();
        assert_eq!(code(status), 128 + signal, "{shown}");
        let said = format!("fetchreleases: job {job} was ended by {name}");
        let plain = without_escapes(&shown);
        assert!(plain.contains(&said) && plain.ends_with('\n'), "{plain}");
        // Nothing is left of it.
        eventually("the job's processes are gone", || {
            processes(&format!("{}/bin/iocage fetch", lab.dir().display())).is_empty()
        });
        let (_, state, _) = ask(&lab, &["listjobs", "-o", "job,state"]);
        assert_eq!(state, format!("{job}\tfailed\n"));
    }
    // Without a terminal the same, and what is ignored stays ignored.
    let script = format!(
        "trap '' HUP; exec '{}' fetchreleases releases=14.1-RELEASE 2>'{}/errors'",
        PROGRAM.display(),
        lab.dir().display()
    );
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .env("SYSADM_IOCAGE_CONFIG", lab.configuration())
        .spawn()
        .unwrap();
    let errors = || fs::read_to_string(lab.dir().join("errors")).unwrap_or_default();
    eventually("it fetches", || errors().contains("10%"));
    for signal in [libc::SIGHUP, libc::SIGTERM] {
        assert!(child.try_wait().unwrap().is_none());
        // SAFETY: the process is a child that nobody has waited for.
        unsafe { libc::kill(child.id() as i32, signal) };
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    assert_eq!(code(child.wait().unwrap()), 128 + libc::SIGTERM);
    assert!(errors().contains("was ended by SIGTERM"), "{}", errors());
}

#[test]
fn a_signal_waits_for_a_change_and_for_no_command_in_a_jail() {
    let Some(lab) = furnished() else { return };
    lab.set_pace("2");
    // Of this test alone.
    let seconds = format!("100.{}", std::process::id());
    for (words, runs, printed, said) in [
        (
            ["startjail", "jail=db"].as_slice(),
            "iocage",
            "jail db started.\n",
            "startjail: is at work",
        ),
        (
            &["execjail", "jail=web", "--", "sleep", &seconds],
            "jexec",
            "",
            "execjail: ended by a signal; what was begun may still go on\n",
        ),
    ] {
        lab.forget_commands();
        let mut command = command(&lab, words);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let is_run = |line: &Vec<String>| {
            let named = line[0] == runs || line[0].ends_with(&format!("/{runs}"));
            named && (runs == "jexec" || line.iter().any(|word| word == "start"))
        };
        eventually(runs, || lab.commands().iter().any(is_run));
        // SAFETY: the process is a child that nobody has waited for.
        unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
        let (code, lines, errors) = told(child.wait_with_output().unwrap());
        assert_eq!(code, 128 + libc::SIGINT, "{words:?} {errors}");
        assert!(lines.starts_with(printed), "{words:?} {lines}");
        assert!(errors.contains(said), "{words:?} {errors}");
    }
    assert!(lab.jid_of("db").is_some());
    for process in processes(&format!("sleep {seconds}")) {
        let _ = Command::new("kill").arg(process).status();
    }
}

#[test]
fn the_examples_of_the_man_page_work_as_printed() {
    let Some(lab) = furnished() else { return };
    let page = fs::read_to_string(source("docs/sysadm-iocage.8")).unwrap();
    let examples = page.split_once(".Sh EXAMPLES\n").unwrap().1;
    let lines = examples.lines().skip_while(|line| !line.starts_with(".Bd"));
    let lines: Vec<&str> = lines.filter(|line| !line.starts_with('.')).collect();
    assert!(lines.len() > 8, "{lines:?}");
    let folder = lab.dir().join("path");
    fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(&*PROGRAM, folder.join("sysadm-iocage")).unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    for line in lines
        .into_iter()
        .filter(|line| line.contains("sysadm-iocage"))
    {
        run(Command::new("sh")
            .args(["-c", line])
            .env("PATH", &path)
            .env("SYSADM_IOCAGE_CONFIG", lab.configuration()));
    }
}

/// What the completion of a shell offers for a command line.
fn completed(lab: &Lab, shell: &str, script: &str) -> BTreeSet<String> {
    let output = run(Command::new(shell)
        .args(if shell == "bash" {
            ["--norc", "-c"]
        } else {
            ["-f", "-c"]
        })
        .arg(script)
        .env("SYSADM_IOCAGE_CONFIG", lab.configuration()));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors, "", "{script}");
    let output = String::from_utf8(output.stdout).unwrap();
    output
        .lines()
        .filter(|line| !line.is_empty())
        .map(String::from)
        .collect()
}

#[test]
fn the_completions_of_bash_and_zsh_offer_actions_arguments_and_names() {
    let Some(lab) = furnished() else { return };
    let program = PROGRAM.display().to_string();
    let set = |words: &[&str]| {
        words
            .iter()
            .map(|word| word.to_string())
            .collect::<BTreeSet<_>>()
    };
    // What is typed, what bash puts behind its last mark, and the whole words of zsh.
    let lines: [(&str, &[&str], &[&str]); 7] = [
        ("startj", &["startjail"], &["startjail"]),
        ("stopjail fo", &["force="], &["force="]),
        (
            "stopjail jail=",
            &["jenkins", "mail.example.org", "web"],
            &["jail=jenkins", "jail=mail.example.org", "jail=web"],
        ),
        ("startjail jails=web jails=d", &["db"], &["jails=db"]),
        (
            "createjail release=13",
            &["13.2-RELEASE"],
            &["release=13.2-RELEASE"],
        ),
        (
            "removesnapshot jail=base snapshot=",
            &["db"],
            &["snapshot=db"],
        ),
        (
            "setjailsettings jail=web settings.boot",
            &["settings.boot="],
            &["settings.boot="],
        ),
    ];
    for (typed, of_bash, of_zsh) in lines {
        let script = format!(
            "source '{}'; COMP_LINE='{program} {typed}' COMP_POINT=${{#COMP_LINE}}; _sysadm_iocage '{program}' x y; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            source("examples/command/completion.bash").display(),
        );
        assert_eq!(
            completed(&lab, "bash", &script),
            set(of_bash),
            "bash: {typed}"
        );
        if Command::new("zsh").arg("--version").output().is_err() {
            skip("zsh");
            continue;
        }
        let (before, last) = typed.rsplit_once(' ').unwrap_or(("", typed));
        let script = format!(
            "compadd() {{ while [[ $1 != -- ]]; do shift; done; shift; print -l -- \"$@\" }}; _files() {{ print files }}; \
             complete() {{ source '{}' }}; words=({program} {before} '{last}'); CURRENT=$#words; PREFIX='{last}'; complete",
            source("examples/command/_sysadm-iocage").display(),
        );
        assert_eq!(completed(&lab, "zsh", &script), set(of_zsh), "zsh: {typed}");
    }
    // Nothing is said where there is nothing to ask, and nothing has changed.
    let mut broken = command(&lab, &["--complete", "startjail", "jail="]);
    let silent = told(
        broken
            .env("SYSADM_IOCAGE_CONFIG", "/no/such/file")
            .output()
            .unwrap(),
    );
    assert_eq!(silent, (0, String::new(), String::new()));
    // A name that would mean something to a shell is not offered.
    lab.add_jail(
        lab.pool(0),
        "odd",
        None,
        &json!({"host_hostuuid": "$(reboot)"}),
    );
    let (_, offered, _) = ask(&lab, &["--complete", "startjail", "jail="]);
    assert!(
        offered.contains("jail=db\n") && !offered.contains('$'),
        "{offered}"
    );
}

static NONSENSE: LazyLock<PathBuf> = LazyLock::new(with_nonsense);

/// The command with a library that answers what it is told.
fn with_nonsense() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nonsense");
    fs::create_dir_all(&folder).unwrap();
    run(Command::new("cc")
        .args([
            "-std=c99",
            "-shared",
            "-fPIC",
            "-Wl,-soname,libsysadm_iocage.so.1",
            "-I",
        ])
        .arg(source("include"))
        .arg("-o")
        .arg(folder.join("libsysadm_iocage.so.1"))
        .arg(source("tests/c/nonsense.c")));
    common::command_with(
        "sysadm-iocage-nonsense",
        &folder.join("libsysadm_iocage.so.1"),
    )
}

#[test]
fn nonsense_from_another_library_is_no_crash() {
    let program = &*NONSENSE;
    let deep = "[".repeat(100_000);
    let nested = format!("{}1{}", "{\"a\":".repeat(60), "}".repeat(60));
    let replies = [
        "",
        "nonsense",
        "null",
        "5",
        "[]",
        "{}",
        "{\"",
        "{\"a",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1,}",
        "[1,2",
        "\"\\u12",
        "\"\\ud800\"",
        "{\"A\":\"\\u0000\\ud83d\\ude00\\udc00\"}",
        "{\"A\":null}",
        "{\"A\":[{}]}",
        "{\"A\":{\"jails\":null}}",
        "{\"A\":{\"jails\":[1,null,{}]}}",
        "{\"A\":{\"jails\":{\"a\":1,\"b\":[],\"c\":{\"d\":{\"e\":[[]]}},\"\":{}}}}",
        "{\"A\":{\"local\":[1,{},\"\"],\"remote\":[null,\"x (EOL)\"]}}",
        "{\"A\":{\"local\":{\"a\":{\"jid\":1}},\"remote\":{\"a\":[]}}}",
        "{\"A\":{\"jobs\":{\"a\":{\"process_details\":5}}}}",
        "{\"A\":{\"success\":5,\"changed\":{\"a\":{\"from\":\"b\"}}}}",
        "{\"A\":{\"exit_code\":\"x\",\"stdout\":[]}}",
        "{\"A\":{\"job_id\":\"x\",\"process_details\":{\"cmd_list\":\"\"}}}",
        "{\"A\":{\"started_dispatcher_id\":[\"\",[\"b\"],5]}}",
        "{\"A\":{\"defaults\":{\"a\":{}}}}",
        "{\"A\":{\"images\":[\"x\"]}}",
        "{\"A\":{\"error\":\"a\",\"code\":\"b\"}}",
        &deep,
        &nested,
    ];
    let events = [
        "",
        "{}",
        "{\"state\":5}",
        "{\"state\":\"finished\",\"percent_done\":\"99999999999\",\"error\":\"\\u001b\"}",
    ];
    // Those that are shown each in its way, and some of the others.
    let others = ["execjail", "startjail", "setjailsettings", "fetchreleases"];
    let names: Vec<&str> = common::looking().chain(others).collect();
    let valgrind =
        sanitizer_flags().is_empty() && Command::new("valgrind").arg("--version").output().is_ok();
    for (number, reply) in replies.iter().enumerate() {
        for (turn, action) in names.iter().copied().enumerate() {
            {
                let option = ["-t", "-j", "-r"][(number + turn) % 3];
                // valgrind is slow, so it gets some of the pairs.
                let slow = valgrind && turn == number && number % 3 == 0;
                let request = json!({"action": action, "x": "y"}).to_string();
                let mut command = Command::new(if slow { Path::new("valgrind") } else { program });
                if slow {
                    command
                        .args(["--quiet", "--error-exitcode=99", "--leak-check=full"])
                        .arg(program);
                }
                let output = command
                    .args([option, &request])
                    .env("REPLY", reply.replace("\"A\"", &json!(action).to_string()))
                    .env("EVENT", events[(number + turn) % events.len()])
                    .env("SYSADM_IOCAGE_CONFIG", source("tests/data/abi-1.txt"))
                    .env("COLUMNS", "30")
                    .output()
                    .unwrap();
                let ended = output.status.code();
                let wanted = action == "execjail" || ended.is_some_and(|code| code <= 2);
                assert!(
                    wanted && ended.is_some() && ended != Some(99),
                    "{action} {option} {reply} {output:?}"
                );
            }
        }
    }
    let mut other = Command::new(program);
    other.arg("listjails").env("ABI", "9").env("REPLY", "{}");
    let (code, _, errors) = told(other.output().unwrap());
    assert_eq!(code, 2);
    assert_eq!(
        errors,
        "sysadm-iocage: the library has another interface than this command\n"
    );
    // None at all.
    for option in ["-t", "-j"] {
        let mut none = Command::new(program);
        none.args([option, "listjails"]).env_remove("REPLY");
        assert!(none
            .output()
            .unwrap()
            .status
            .code()
            .is_some_and(|code| code < 2));
    }
}

/// What the command prints of this reply, and how it ends.
fn replied(words: &[&str], reply: &str) -> (i32, String, String) {
    let mut command = Command::new(&*NONSENSE);
    command.args(words).env("REPLY", reply);
    told(command.output().unwrap())
}

#[test]
fn help_fits_eighty_columns_and_what_cannot_be_printed_is_a_failure() {
    let program = &*NONSENSE;
    for words in [["--help"].as_slice(), &["execjail", "-h"], &[]] {
        let (_, shown) = Terminal::start(Command::new(program).args(words), 80).end();
        for line in without_escapes(&shown).lines() {
            assert!(width(line) <= 80 && !line.ends_with(' '), "{line:?}");
        }
    }
    for words in [
        ["--help"].as_slice(),
        &["execjail", "-h"],
        &["--actions"],
        &["--version"],
    ] {
        let mut command = Command::new(program);
        command
            .args(words)
            .stdout(fs::File::create("/dev/full").unwrap());
        let failed = "sysadm-iocage: standard output cannot be written\n";
        assert_eq!(
            told(command.output().unwrap()),
            (1, String::new(), failed.into())
        );
    }
}

#[test]
fn a_closed_output_is_an_error_and_becomes_no_other_file() {
    let shell = |script: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).arg(&*NONSENSE);
        shell.env("REPLY", r#"{"listjails": {"jails": {"1": {"uuid": "a"}}}}"#);
        shell
    };
    let closed = told(shell("exec \"$0\" listjails >&-").output().unwrap());
    let failed = "sysadm-iocage: standard output cannot be written\n";
    assert_eq!(closed, (1, String::new(), failed.into()));
    assert_eq!(told(shell("exec \"$0\" - <&-").output().unwrap()).0, 2);
    if cfg!(target_os = "linux") {
        let mut command = shell("exec \"$0\" fetchreleases <&- >&- 2>&-");
        command.env("REPLY", STARTED).env("EVENT", RUNNING);
        let mut child = command.spawn().unwrap();
        let open = |number| fs::read_link(format!("/proc/{}/fd/{number}", child.id()));
        eventually("its outputs are nothing", || {
            (0..3).all(|number| open(number).is_ok_and(|file| file == Path::new("/dev/null")))
        });
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn an_empty_name_of_the_configuration_is_none() {
    // With a library that takes anything: the usual file is missing, or is read.
    let mut command = Command::new(&*NONSENSE);
    command
        .arg("listjails")
        .env("SYSADM_IOCAGE_CONFIG", "")
        .env("REPLY", "{\"listjails\": {}}");
    assert_eq!(told(command.output().unwrap()).0, 0);
    let (code, _, errors) = replied(&["-c", "", "listjails"], "{}");
    assert_eq!(
        (code, errors.as_str()),
        (2, "sysadm-iocage: \"\": No such file or directory\n")
    );
}

#[test]
fn a_column_is_shown_as_often_as_it_is_wanted() {
    let reply = r#"{"listjails": {"jails": {"1": {"uuid": "a", "state": "up"}}}}"#;
    let columns = format!("{}state", "name,".repeat(40));
    let line = format!("{}up\n", "a\t".repeat(40));
    assert_eq!(replied(&["listjails", "-o", &columns], reply).1, line);
    let (_, shown, _) = replied(&["-t", "listjails", "-o", &columns], reply);
    assert!(
        shown
            .lines()
            .all(|line| line.split_whitespace().count() == 41),
        "{shown}"
    );
}

#[test]
fn what_is_seen_nowhere_is_shown_by_its_number() {
    for c in [
        "3164", "115f", "ffa0", "2800", "fe0f", "034f", "200d", "00ad", "fffa",
    ] {
        let reply = format!(r#"{{"listjails": {{"jails": {{"1": {{"uuid": "a\u{c}"}}}}}}}}"#);
        let (_, shown, _) = replied(&["-t", "listjails", "-o", "name"], &reply);
        assert_eq!(shown, format!("NAME\na\\u{c}\n"));
    }
    let reply = r#"{"listjails": {"jails": {"1": {"uuid": "a\udb40\udd01"}}}}"#;
    let (_, shown, _) = replied(&["listjails", "-o", "name"], reply);
    assert_eq!(shown, "a\\udb40\\udd01\n");
}

const STARTED: &str =
    r#"{"fetchreleases": {"started_dispatcher_id": ["sysadm_iocage_fetch_release_14.1-RELEASE"]}}"#;
const RUNNING: &str = r#"{"state": "running", "percent_done": "45"}"#;
const DONE: &str = r#"{"state": "finished", "percent_done": "100", "success": "true"}"#;

/// A job on a terminal: begun by these words of a shell, in which `$0` is the command. `meanwhile` gets
/// the terminal, and then the job ends. All that was shown.
fn with_job(columns: u16, script: &str, meanwhile: impl FnOnce(&mut Terminal)) -> String {
    let number = std::process::id();
    let event =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("event-{number}-{columns}.json"));
    fs::write(&event, RUNNING).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(&*NONSENSE);
    command
        .env("REPLY", STARTED)
        .env("EVENT", format!("@{}", event.display()));
    let mut terminal = Terminal::start(&mut command, columns);
    terminal.wait_for(" 45%");
    meanwhile(&mut terminal);
    let next = event.with_extension("next");
    fs::write(&next, DONE).unwrap();
    fs::rename(&next, &event).unwrap();
    let (status, shown) = terminal.end();
    assert_eq!(code(status), 0, "{shown}");
    fs::remove_file(&event).unwrap();
    shown
}

#[test]
fn bars_leave_the_terminal_of_a_shell_that_does_not_wait_alone() {
    let fetch = "exec \"$0\" fetchreleases";
    // After a stop, what is above is what the shell has shown meanwhile.
    let shown = with_job(81, fetch, |terminal| {
        let before = terminal.stop();
        terminal.signal(libc::SIGCONT);
        let after = || terminal.shown()[before..].to_string();
        eventually("it goes on", || after().contains("\x1b[1A"));
        assert!(after().starts_with("fetch_release"), "{}", after());
    });
    assert!(shown.contains("[=="), "{shown}");
    // In the background there are lines.
    let background = "set -m; \"$0\" fetchreleases & wait $!";
    let shown = with_job(82, background, |_| {
        std::thread::sleep(Duration::from_millis(700))
    });
    assert!(!shown.contains('\x1b'), "{shown:?}");
    assert_eq!(
        shown.matches("fetch_release_14.1-RELEASE: 45%").count(),
        1,
        "{shown:?}"
    );
}

#[test]
fn a_narrow_bar_says_how_far_a_job_is() {
    for columns in [30, 20, 10] {
        let shown = with_job(columns, "exec \"$0\" fetchreleases", |_| ());
        let line = without_escapes(&shown).lines().next().unwrap().to_string();
        assert!(
            line.ends_with("  45%") && width(&line) < columns.into(),
            "{line:?}"
        );
    }
}

#[test]
fn a_release_whose_support_has_ended_says_so() {
    let reply = r#"{"listreleases": {"local": ["12.4-RELEASE"], "remote": ["9.3-RELEASE (EOL)", "14.1-RELEASE"]}}"#;
    let (code, shown, _) = replied(&["listreleases"], reply);
    assert_eq!(code, 0);
    let rows: Vec<Vec<&str>> = shown
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    assert_eq!(rows[0], ["9.3-RELEASE", "-", "yes", "ended"]);
    assert_eq!(rows[1], ["12.4-RELEASE", "yes", "-", "-"]);
    assert_eq!(rows[2], ["14.1-RELEASE", "-", "yes", "-"]);
}

#[test]
fn large_replies_are_printed_in_seconds() {
    let settings: serde_json::Map<String, Value> = (0..130)
        .map(|number| (format!("p{number}"), json!("x")))
        .collect();
    let many: serde_json::Map<String, Value> = (0..300)
        .map(|number| (format!("jail{number}"), settings.clone().into()))
        .collect();
    let long = "word ".repeat(100_000);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for (name, jails, least) in [
        ("many", Value::Object(many), 300 * 130),
        ("long", json!({"web": {"notes": long}}), 1),
    ] {
        let file = folder.join(format!("{name}.json"));
        let reply = json!({"getjailsettings": {"jails": jails}});
        fs::write(&file, reply.to_string()).unwrap();
        let began = Instant::now();
        let (code, shown, _) = replied(&["-t", "getjailsettings"], &format!("@{}", file.display()));
        assert_eq!(code, 0);
        assert!(shown.lines().count() >= least, "{name}");
        // It took minutes once.
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{name}: {:?}",
            began.elapsed()
        );
    }
}

#[test]
fn valgrind_finds_no_leak_and_no_error() {
    let Some(lab) = furnished() else { return };
    for words in [
        ["listjails"].as_slice(),
        &["-t", "listsnapshots"],
        &[
            "setjailsettings",
            "jail=web",
            "settings.notes=a",
            "settings.comment=b",
        ],
        &[
            "fetchreleases",
            "releases=14.1-RELEASE",
            "releases=15.9-RELEASE",
        ],
        &["-j", "execjail", "jail=web", "--", "true"],
        &["--complete", "startjail", "jail="],
    ] {
        let mut command = command(&lab, words);
        if sanitizer_flags().is_empty() {
            command = Command::new("valgrind");
            command
                .args([
                    "--quiet",
                    "--error-exitcode=99",
                    "--leak-check=full",
                    "--trace-children=no",
                ])
                // Not "possible": Rust's maps and threads are kept by pointers into their middle.
                .args([
                    "--errors-for-leak-kinds=definite,indirect",
                    "--show-leak-kinds=definite,indirect",
                ])
                .arg(&*PROGRAM)
                .args(words)
                .env("SYSADM_IOCAGE_CONFIG", lab.configuration());
        }
        let (code, _, errors) = told(command.output().unwrap());
        let failing = words[0] == "fetchreleases";
        assert_eq!(code, i32::from(failing), "{words:?} {errors}");
        assert!(
            !errors.contains("Sanitizer") && !errors.contains("== "),
            "{words:?} {errors}"
        );
    }
}
