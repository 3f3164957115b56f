//! Draws the documents' pictures and writes their tables, of what was measured and printed:
//!
//!     tests/data/speed.json     what the last whole `make bench` measured
//!       docs/speed.svg, and the tables in docs/speed.md
//!     tests/data/session.txt    what the commands of tests/session printed on the lab
//!       docs/session.svg
//!
//! Both pictures bring a background and are readable on a light page and on a dark one.

pub mod session;
pub mod speed;
pub mod tables;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A file of the source.
pub fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(file)
}

/// What the documents show.
pub fn measured() -> Value {
    let file = source("tests/data/speed.json");
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    serde_json::from_str(&text).expect("tests/data/speed.json is JSON")
}

/// Draws all pictures and writes all tables again.
pub fn draw() {
    let measured = measured();
    write("docs/speed.svg", &speed::picture(&measured));
    let page = fs::read_to_string(source("docs/speed.md")).expect("docs/speed.md");
    write("docs/speed.md", &tables::renewed(&page, &measured));
    let text =
        fs::read_to_string(source("tests/data/session.txt")).expect("tests/data/session.txt");
    write("docs/session.svg", &session::picture(&text));
}

/// Takes what a bench has measured into the documents if it has all that they show, and says what
/// it did. A shorter run changes none of them.
pub fn publish(report: &Value) {
    let old = measured();
    if let Some(lacking) = lacking(report, &old) {
        println!("the documents stay as they are: this run lacks {lacking}");
        return;
    }
    let mut report = report.clone();
    // Beside the real iocage, few runs are made. The last one stays.
    if list(&report, "iocage").is_empty() {
        report["iocage"] = old["iocage"].clone();
    }
    write("tests/data/speed.json", &format!("{report:#}\n"));
    draw();
    println!(
        "written: tests/data/speed.json, docs/speed.svg, docs/speed.md; `git diff` shows them"
    );
}

/// What the documents have and a report has not.
fn lacking(report: &Value, old: &Value) -> Option<String> {
    for part in ["clients", "acting", "footprint"] {
        if !report[part].is_object() {
            return Some(part.into());
        }
    }
    for (part, keys) in [
        ("listing", &["action", "jails", "snapshots"][..]),
        ("many", &["request", "jails", "config_json"]),
    ] {
        let same = |one: &Value, other: &Value| keys.iter().all(|key| one[key] == other[key]);
        for row in list(old, part) {
            if !list(report, part).iter().any(|new| same(new, row)) {
                return Some(format!("{} with {} jails", row[keys[0]], row["jails"]));
            }
        }
    }
    None
}

fn list<'a>(report: &'a Value, part: &str) -> &'a [Value] {
    report[part].as_array().map_or(&[], Vec::as_slice)
}

fn write(file: &str, text: &str) {
    fs::write(source(file), text).unwrap_or_else(|error| panic!("{file}: {error}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_shorter_run_does_not_take_the_place_of_a_longer_one() {
        let old = measured();
        assert_eq!(lacking(&old, &old), None);
        for part in ["listing", "many"] {
            let mut shorter = old.clone();
            shorter[part].as_array_mut().unwrap().pop();
            assert!(lacking(&shorter, &old).unwrap().contains("jails"));
        }
        let mut shorter = old.clone();
        shorter["clients"] = json!(null);
        assert_eq!(lacking(&shorter, &old).unwrap(), "clients");
        let mut longer = old.clone();
        let rows = longer["listing"].as_array_mut().unwrap();
        rows.push(json!({ "action": "df", "jails": 10, "snapshots": 0 }));
        assert_eq!(lacking(&longer, &old), None);
    }
}
