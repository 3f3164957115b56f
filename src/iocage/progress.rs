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
    /// For a finished job: whether it has worked, and if not, the command's last words.
    pub outcome: Option<Result<(), String>>,
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
            _ => Err(match (last_words(&plain(output)), code) {
                (words, _) if !words.is_empty() => words,
                (_, Some(code)) => format!("it ended with exit code {code}"),
                (_, None) => "it was not started".into(),
            }),
        }
    });
    Progress {
        state,
        download: last_download(output),
        is_extracted: output.contains("* Updating ")
            && output.contains("to the latest patch level"),
        outcome,
    }
}

/// The last progress line in what iocage has printed. It prints each over the one before:
/// `ESC [2K \r Downloading: base.txz [####------] 40%  12.5MB/s \r`. The one at 100% has a line
/// break before its rate.
fn last_download(output: &str) -> Option<Download> {
    let output = plain(output).replace("% \r\n ", "%  ");
    output.split(['\r', '\n']).rev().find_map(download)
}

fn download(line: &str) -> Option<Download> {
    let (_, rest) = line.split_once("Downloading: ")?;
    let (filename, rest) = rest.split_once(" [")?;
    let (_, rest) = rest.split_once("] ")?;
    let (percent, rest) = rest.split_once('%')?;
    let percent: f64 = percent.trim().parse().ok()?;
    if !(0.0..=100.0).contains(&percent) {
        return None;
    }
    let rate = rest.split_whitespace().next().map(String::from);
    Some(Download {
        filename: filename.trim().into(),
        percent: percent as u8,
        rate,
    })
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
    fn a_line_cut_in_the_middle_does_not_count() {
        for cut in [
            "Downloading: base.txz [####",
            "Downloading: base.txz [##--] 4",
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
        assert!(words.ends_with("; was not found"), "{words}");
        assert!(!words.contains(char::is_control), "{words}");
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
