//! What a job's log means: how far a fetch is, and how it ended.

use serde_json::{Map, Value};

use crate::system::last_words;

/// Where a job is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// `pending`, `running` or `finished`.
    pub state: String,
    /// The last download in the log.
    pub download: Option<Download>,
    /// Whether the log says that a release was extracted as a whole: after that iocage brings it to
    /// its latest patch level.
    pub is_extracted: bool,
    /// For a finished job: whether the command has ended with 0, and if not, its last words.
    pub outcome: Option<Result<(), String>>,
    /// What it has printed, as it can be shown.
    pub output: String,
}

impl Progress {
    /// For a job that has failed, the command's last words.
    pub fn words(&self) -> Option<String> {
        self.outcome.clone()?.err()
    }
}

/// How far the download of one file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    pub filename: String,
    /// 0 to 100.
    pub percent: u8,
    /// As iocage prints it: `12.5MB/s`.
    pub rate: Option<String>,
}

/// Reads a dispatcher's log of a job: `state`, `cmd_list`, `current_cmd`, each command as a key
/// for its output, and `return_codes/<command>`.
pub fn of_log(log: &Map<String, Value>) -> Progress {
    let text = |key: &str| log.get(key).and_then(Value::as_str);
    let last_of_list = || log.get("cmd_list")?.as_array()?.last()?.as_str();
    let command = text("current_cmd")
        .filter(|command| !command.is_empty())
        .or_else(last_of_list);
    let output = command.and_then(text).unwrap_or("");
    let state = text("state").unwrap_or("").to_string();
    let outcome = (state == "finished").then(|| {
        let code = command.and_then(|command| log.get(&format!("return_codes/{command}")));
        // Only a number: it is quoted.
        let code: Option<i64> = match code {
            Some(Value::String(code)) => code.parse().ok(),
            Some(other) => other.as_i64(),
            None => None,
        };
        match code {
            Some(0) => Ok(()),
            _ => {
                let words = why_it_failed(output);
                Err(match (code.and_then(signal), words.is_empty(), code) {
                    (Some(signal), true, _) => format!("it was ended by signal {signal}"),
                    (Some(signal), false, _) => {
                        format!("it was ended by signal {signal}, and said last: {words}")
                    }
                    (None, false, _) => words,
                    (None, true, Some(code)) => format!("it ended with exit code {code}"),
                    (None, true, None) => "it was not started".into(),
                })
            }
        }
    });
    Progress {
        state,
        output: plain(output),
        download: last_download(output),
        is_extracted: output.contains("* Updating ")
            && output.contains("to the latest patch level"),
        outcome,
    }
}

/// The signal that has ended a command, by its exit code as a shell has it.
fn signal(code: i64) -> Option<i64> {
    const MOST: i64 = 64;
    (129..=128 + MOST).contains(&code).then(|| code - 128)
}

/// The last progress line in what iocage has printed. Each is printed over the one before:
///
/// - 1.0 to 1.13: `ESC [2K \r Downloading: base.txz [####------] 40%  12.5MB/s \r`
/// - 0.9.10: `\r Downloading : base.txz [####------] 40%  12.5Mbit/s`
/// - up to 0.9.9.2, by tqdm: `\r Downloading: base.txz:  40% 3.02Mbit/s Elapsed: 00:05 Remaining:
///   00:08`; while there is no rate yet, `?bit/s`
///
/// The one at 100% has a line break before its rate, except tqdm's.
///
/// Source: ioc_fetch.py at the tags, fetch_download and update_progress.
fn last_download(output: &str) -> Option<Download> {
    let output = plain(output).replace("% \r\n ", "%  ");
    output.split(['\r', '\n']).rev().find_map(download)
}

fn download(line: &str) -> Option<Download> {
    let (_, rest) = line.split_once("Downloading")?;
    let rest = rest.trim_start().strip_prefix(':')?;
    let (before, after) = rest.split_once('%')?;
    let (filename, percent) = match before.split_once(" [") {
        Some((filename, bar)) => (filename, bar.split_once("] ")?.1),
        None => before.rsplit_once(": ")?,
    };
    let filename = filename.trim();
    let percent: f64 = percent.trim().parse().ok()?;
    if filename.is_empty() || !(0.0..=100.0).contains(&percent) {
        return None;
    }
    let rate = after.split_whitespace().next();
    let rate = rate.filter(|rate| rate.starts_with(|c: char| c.is_ascii_digit()));
    Some(Download {
        filename: filename.into(),
        percent: percent as u8,
        rate: rate.map(String::from),
    })
}

/// Why iocage has failed, in its own words, as one line.
///
/// 1.2 to 1.13 print the reason as it is, and the older ones as a traceback where nobody sits at a
/// terminal ([`last_words`] knows those). After a plugin that failed, 1.2 to 1.13 print three
/// lines that hide it: `NAME had a failure`, `Exception: SystemExit Message: 1`, `Partial plugin
/// destroyed` (ioc_plugin.py, fetch_plugin). The third says something. After a copy that failed, zfs
/// says that there is no snapshot to destroy. And of a package that cannot be upgraded iocage 1.13 loses
/// the reason in a fault of its own (ioc_create.py, create_install_packages); pkg has said it before.
fn why_it_failed(output: &str) -> String {
    const LOST: &str = "AttributeError: 'list' object has no attribute 'decode'";
    let says_nothing = |line: &&str| {
        line.ends_with(" had a failure")
            || line.ends_with("SystemExit Message: 1")
            || *line == "no snapshots destroyed"
            || line.starts_with("cannot destroy '") && line.contains('@')
    };
    let output = plain(output);
    let output = match output.split_once("Traceback (most recent call last):") {
        Some((before, traceback)) if traceback.contains(LOST) => before.into(),
        _ => output,
    };
    let is_progress = |line: &&str| download(line).is_some();
    let lines = output.split(['\n', '\r']).map(str::trim_end);
    let lines: Vec<&str> = lines
        .filter(|line| !says_nothing(line) && !is_progress(line))
        .collect();
    last_words(&lines.join("\n"))
}

/// `output` without terminal escape sequences (ECMA-48: ESC `[` parameters, one final byte), and
/// without control characters except those that end a line: clients show it.
fn plain(output: &str) -> String {
    let mut plain = String::with_capacity(output.len());
    let mut rest = output.chars();
    while let Some(c) = rest.next() {
        if c != '\u{1b}' {
            let stays = !c.is_control() || c == '\n' || c == '\r';
            plain.push(if stays { c } else { ' ' });
        } else if rest.next() == Some('[') {
            let _ = rest.by_ref().find(|c| ('@'..='~').contains(c));
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const COMMAND: &str = "/usr/local/bin/iocage fetch -r 11.1-RELEASE";

    fn progress(log: Value) -> Progress {
        of_log(log.as_object().unwrap())
    }

    #[test]
    fn the_last_progress_line_counts() {
        let output = "Fetching: 11.1-RELEASE\n\n\
            \u{1b}[2K \rDownloading: MANIFEST [####################] 100% \r\n 0.1MB/s\r\
            \u{1b}[2K \rDownloading: base.txz [##------------------] 10%  9.5MB/s\r\
            \u{1b}[2K \rDownloading: base.txz [########------------] 40%  12.5MB/s\r";
        let log = json!({"state": "running", "current_cmd": COMMAND, COMMAND: output});
        let download = progress(log).download.unwrap();
        assert_eq!(
            (download.filename.as_str(), download.percent),
            ("base.txz", 40)
        );
        assert_eq!(download.rate.as_deref(), Some("12.5MB/s"));
        let done = "\u{1b}[2K \rDownloading: src.txz [####################] 100% \r\n 0.1MB/s\r";
        let log = json!({"state": "running", "current_cmd": COMMAND, COMMAND: done});
        let download = progress(log).download.unwrap();
        assert_eq!(
            (download.percent, download.rate.as_deref()),
            (100, Some("0.1MB/s"))
        );
    }

    #[test]
    fn every_version_in_the_field_has_its_progress_read() {
        let modern = |bar: &str, percent: u32, rate: &str| {
            format!("\u{1b}[2K \rDownloading: base.txz [{bar}] {percent}%  {rate}\r")
        };
        let bar = "########------------";
        let of_0_9_10 = format!("\rDownloading : base.txz [{bar}] 40%  12.34Mbit/s");
        let tqdm = "\rDownloading: base.txz:  40% 3.02Mbit/s Elapsed: 00:05 Remaining: 00:08";
        for (output, percent, rate) in [
            (modern(bar, 40, "12.5MB/s"), 40, Some("12.5MB/s")),
            (
                "\u{1b}[2K \rDownloading: base.txz [####################] 100% \r\n 9.0MB/s\r".into(),
                100,
                Some("9.0MB/s"),
            ),
            (of_0_9_10.clone(), 40, Some("12.34Mbit/s")),
            // It is the same print for the last one, and for a download that has just begun.
            (
                "\rDownloading : base.txz [####################] 100% \r\n 12.34Mbit/s".into(),
                100,
                Some("12.34Mbit/s"),
            ),
            (
                "\rDownloading : base.txz [--------------------] 0%  0Mbit/s".into(),
                0,
                Some("0Mbit/s"),
            ),
            (tqdm.into(), 40, Some("3.02Mbit/s")),
            (
                format!("{tqdm}\rDownloading: base.txz: 100% 2.98Mbit/s Elapsed: 00:13 Remaining: 00:00\n"),
                100,
                Some("2.98Mbit/s"),
            ),
            (
                "\rDownloading: base.txz:   0% ?bit/s Elapsed: 00:00 Remaining: ?".into(),
                0,
                None,
            ),
            // What is slower than a bit a second is a time.
            (
                "\rDownloading: base.txz:   1% 2.50s/bit Elapsed: 00:10 Remaining: 16:30".into(),
                1,
                Some("2.50s/bit"),
            ),
            // The next file, over the rest of a longer line.
            (
                format!("{of_0_9_10}\n{of_0_9_10}\rExtracting: MANIFEST... \n"),
                40,
                Some("12.34Mbit/s"),
            ),
        ] {
            let expected = Download {
                filename: "base.txz".into(),
                percent,
                rate: rate.map(String::from),
            };
            let log = json!({"state": "running", "current_cmd": COMMAND, COMMAND: output});
            assert_eq!(progress(log).download, Some(expected), "{output:?}");
        }
    }

    #[test]
    fn the_reason_of_a_failure_is_told_whatever_the_version() {
        let key = format!("return_codes/{COMMAND}");
        for (output, reason) in [
            // 1.2 to 1.13, of a plugin.
            (
                "  - gitlab-ce... \n    - gitlab-ce failed to install, retry #3\n\npkg error:\n  - \
                 gitlab-ce :No packages available\n\nRefusing to fetch artifact and run \
                 post_install.sh!\ngitlab had a failure\nException: SystemExit Message: 1\n\
                 Partial plugin destroyed\n",
                "pkg error:; - gitlab-ce :No packages available; Refusing to fetch artifact and run \
                 post_install.sh!; Partial plugin destroyed",
            ),
            // 0.9.9, 1.0 and 1.1 without a terminal.
            (
                "Fetching: 14.1-RELEASE\n\nTraceback (most recent call last):\n  File \
                 \"/usr/local/bin/iocage\", line 10, in <module>\n    sys.exit(cli())\n  File \
                 \"ioc_common.py\", line 71, in callback\n    raise callback_exception(message)\n\
                 RuntimeError: 14.1-RELEASE was not found!\n",
                "14.1-RELEASE was not found!",
            ),
            // The same, of a plugin: one error while another is handled.
            (
                "Traceback (most recent call last):\n  File \"a.py\", line 1, in b\n    c()\n\
                 RuntimeError: Module not found!\n\nDuring handling of the above exception, \
                 another exception occurred:\n\nTraceback (most recent call last):\n  File \
                 \"d.py\", line 2, in e\n    f()\nRuntimeError: gitlab's post_install.sh had a \
                 failure\nException: RuntimeError Message: Module not found!\nPartial plugin \
                 destroyed\n",
                "Exception: RuntimeError Message: Module not found!; Partial plugin destroyed",
            ),
            // A download that failed is not told by how far it was.
            (
                "Fetching: 14.1-RELEASE\n\rDownloading : base.txz [##--] 40%  1Mbit/s\n\
                 Too many failed verifications!\n",
                "Fetching: 14.1-RELEASE; Too many failed verifications!",
            ),
        ] {
            let log = json!({"state": "finished", "cmd_list": [COMMAND], COMMAND: output,
                             (key.clone()): "1"});
            assert_eq!(progress(log).outcome, Some(Err(reason.into())));
        }
    }

    #[test]
    fn a_line_cut_in_the_middle_does_not_count() {
        for cut in [
            "Downloading: base.txz [####",
            "Downloading: base.txz [##--] 4",
            "Downloading: base.txz:  40",
            "Downloading : ba",
            "Downloading: : 40% 1MB/s",
            "Downloading the rest: 40%",
            "",
            "\u{1b}[",
        ] {
            let log = json!({"state": "running", "current_cmd": COMMAND, COMMAND: cut});
            assert_eq!(progress(log).download, None, "{cut:?}");
        }
    }

    #[test]
    fn nothing_that_clients_are_told_has_a_control_character() {
        let output = "Downloading: ba\u{7}se.txz [##--] 4%  12\u{8}MB/s\r\nwas\tnot\u{9b}found";
        let log = json!({"state": "finished", "cmd_list": ["c"], "c": output});
        let progress = progress(log);
        let download = progress.download.unwrap();
        assert_eq!(
            (download.filename.as_str(), download.rate.as_deref()),
            ("ba se.txz", Some("12"))
        );
        let words = progress.outcome.unwrap().unwrap_err();
        assert_eq!(words, "was not found");
    }

    #[test]
    fn a_finished_job_says_whether_it_worked() {
        let key = format!("return_codes/{COMMAND}");
        let log = |code: &str, output: &str| json!({"state": "finished", "cmd_list": [COMMAND], COMMAND: output, (key.clone()): code});
        assert_eq!(progress(log("0", "")).outcome, Some(Ok(())));
        let failed = progress(log(
            "1",
            "Fetching\n\u{1b}[31m11.1-RELEASE was not found!\u{1b}[0m",
        ));
        assert_eq!(
            failed.outcome,
            Some(Err("Fetching; 11.1-RELEASE was not found!".into()))
        );
        let killed = progress(log("137", "Exporting dataset: tank/x"));
        assert_eq!(
            killed.outcome,
            Some(Err(
                "it was ended by signal 9, and said last: Exporting dataset: tank/x".into()
            ))
        );
        let copy = "Jail: x already exists!\ncannot destroy 'tank/a@x': dataset does not exist\n\
            no snapshots destroyed\n";
        let copy = progress(log("1", copy));
        assert_eq!(copy.outcome, Some(Err("Jail: x already exists!".into())));
        let lost = "pkg: no repository\nTraceback (most recent call last):\n  File \"a.py\"\n\
            AttributeError: 'list' object has no attribute 'decode'\n";
        let lost = progress(log("1", lost));
        assert_eq!(lost.outcome, Some(Err("pkg: no repository".into())));
        let silent = progress(log("9", ""));
        assert_eq!(
            silent.outcome,
            Some(Err("it ended with exit code 9".into()))
        );
        let odd = progress(log("1\n\u{7}", ""));
        assert_eq!(odd.outcome, Some(Err("it was not started".into())));
        assert_eq!(progress(json!({"state": "running"})).outcome, None);
    }
}
