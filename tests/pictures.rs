//! The pictures and the figures in the documents, against what was measured and printed.
//!
//! `make pictures` draws them again: benches/pictures.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{command, parse, run, skip, source};
use serde_json::Value;
use sysadm_iocage_lab::Lab;

fn read(file: &str) -> String {
    fs::read_to_string(source(file)).unwrap()
}

/// What the last whole `make bench` has measured.
fn measured() -> Value {
    parse(&read("tests/data/speed.json"))
}

/// How many milliseconds `listjails` took, with so many jails and no snapshots.
fn listing(measured: &Value, jails: u64, key: &str) -> f64 {
    let rows = measured["listing"].as_array().unwrap();
    let is_it = |row: &&Value| {
        row["action"] == "listjails" && row["jails"] == jails && row["snapshots"] == 0
    };
    let row = rows.iter().find(is_it);
    row.unwrap_or_else(|| panic!("{jails} jails"))[key]
        .as_f64()
        .unwrap()
}

#[test]
fn the_picture_of_speed_has_what_was_measured() {
    let (measured, picture) = (measured(), read("docs/speed.svg"));
    let told = picture.split("<desc>").nth(1).unwrap();
    let told = told.split("</desc>").next().unwrap();
    let mut points = 0;
    for (name, key) in [("first request", "cold_ms"), ("later request", "warm_ms")] {
        let line = told.split(&format!("{name}: ")).nth(1).unwrap();
        let line = line.split(". ").next().unwrap();
        for point in line.split(", ") {
            let (jails, ms) = point.split_once(" jails ").unwrap();
            let ms: f64 = ms.parse().unwrap();
            assert_eq!(
                listing(&measured, jails.parse().unwrap(), key),
                ms,
                "{point}"
            );
            points += 1;
        }
    }
    let all = measured["listing"].as_array().unwrap().iter();
    let all = all.filter(|row| row["action"] == "listjails" && row["snapshots"] == 0);
    assert_eq!(points, 2 * all.count());
    assert!(points >= 6, "{points}");
}

#[test]
fn the_table_of_speed_has_what_was_measured() {
    let (measured, page) = (measured(), read("docs/speed.md"));
    for row in measured["listing"].as_array().unwrap() {
        let (action, flag) = match row["action"].as_str().unwrap().split_once(' ') {
            Some((action, flag)) => (action, format!(" with `{flag}`")),
            None => (row["action"].as_str().unwrap(), String::new()),
        };
        let start = format!("| `{action}`{flag} | {} | ", row["jails"]);
        let peak = row["peak_bytes"].as_u64().unwrap() / 1024;
        let end = format!(
            " | {peak} | {}, {} |",
            row["commands_cold"], row["commands_warm"]
        );
        let mut lines = page.lines();
        assert!(
            lines.any(|line| line.starts_with(&start) && line.ends_with(&end)),
            "{start}...{end}"
        );
    }
}

#[test]
fn the_figures_on_the_first_page_are_those_that_were_measured() {
    let (measured, page, speed) = (measured(), read("README.md"), read("docs/speed.md"));
    let row = |name: &str| {
        let line = page.lines().find(|line| line.contains(name)).expect(name);
        let cells: Vec<&str> = line
            .split('|')
            .map(|cell| cell.trim_matches([' ', '*']))
            .collect();
        cells[2].to_string()
    };
    let cold = listing(&measured, 400, "cold_ms");
    assert_eq!(row("the first request"), format!("{:.1} s", cold / 1000.0));
    let warm = listing(&measured, 400, "warm_ms");
    assert_eq!(row("every later request"), format!("{warm:.0} ms"));
    let iocage = measured["iocage"].as_array().unwrap().iter();
    let mut iocage = iocage.filter(|row| row["jails"] == 400);
    let took = iocage.next_back().unwrap()["list_ms"].as_f64().unwrap();
    assert_eq!(row("`iocage list`"), format!("{:.0} s", took / 1000.0));
    // Measured by hand, once.
    assert_eq!(row("the old handler"), "5.0 s");
    assert!(speed.contains("402 jails") && speed.contains("4975 ms"));
}

#[test]
fn every_picture_is_readable_on_a_light_page_and_on_a_dark_one() {
    let mut pictures = 0;
    for entry in fs::read_dir(source("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "svg") {
            let picture = fs::read_to_string(&path).unwrap();
            // Its own background, so that no page's is behind its text.
            assert!(picture.contains("<rect"), "{path:?}");
            let is_dark = picture.contains("prefers-color-scheme: dark");
            assert!(is_dark, "{path:?}");
            pictures += 1;
        }
    }
    assert_eq!(pictures, 3);
}

#[test]
fn the_commands_print_what_is_kept_of_them() {
    let Some(lab) = Lab::or_skip(2) else { return };
    let has_script = Command::new("script").arg("--version").output();
    if !has_script.is_ok_and(|output| output.status.success()) {
        return skip("script(1) of util-linux");
    }
    lab.furnish();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("session");
    fs::create_dir_all(&folder).unwrap();
    command("session/sysadm-iocage");
    let printed = run(Command::new("sh")
        .arg(source("tests/session"))
        .env("LAB_DIR", lab.dir())
        .env("LAB_CONFIG", lab.config().to_string())
        .env("LAB_POOL", lab.pool(0))
        .env("COMMANDS", folder));
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert_eq!(printed, read("tests/data/session.txt"), "tests/session");
}

/// The lines of a terminal in a picture.
fn lines_of(picture: &str) -> Vec<String> {
    let lines = picture.split("<tspan x=\"").skip(1);
    let text = |line: &str| {
        let parts = line.split('<').filter_map(|part| part.split_once('>'));
        let text: String = parts.map(|(_, text)| text.trim_matches('\n')).collect();
        let characters = [
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&quot;", "\""),
            ("&amp;", "&"),
        ];
        let plain = |text: String, (name, character): (&str, &str)| text.replace(name, character);
        characters.into_iter().fold(text, plain)
    };
    lines
        .map(|line| text(&format!("<{line}")))
        .map(|line| line.trim_end().into())
        .collect()
}

#[test]
fn the_picture_of_a_terminal_has_what_the_commands_printed() {
    let (picture, text) = (read("docs/session.svg"), read("tests/data/session.txt"));
    let printed: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
    assert_eq!(lines_of(&picture), printed);
    assert!(printed.iter().all(|line| line.chars().count() <= 80));
    let entered = read("tests/session").matches("\nenter '").count();
    let shown = printed.iter().filter(|line| line.starts_with("# "));
    assert_eq!(shown.count(), entered);
    assert!(entered >= 3);
}
