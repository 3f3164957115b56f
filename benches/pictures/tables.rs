//! The tables of docs/speed.md.

use std::fmt::Write;

use serde_json::Value;

use crate::list;

/// What is between these lines of the page is written here.
const BEGIN: &str =
    "<!-- From here to the next such line, make bench writes it: tests/data/speed.json -->\n";
const END: &str = "<!-- To here. -->\n";

/// The page with its tables of a report.
pub fn renewed(page: &str, report: &Value) -> String {
    let (before, rest) = page.split_once(BEGIN).expect("docs/speed.md has the line");
    let (_, after) = rest
        .split_once(END)
        .expect("docs/speed.md has the last line");
    format!("{before}{BEGIN}\n{}\n{END}{after}", tables(report))
}

fn tables(report: &Value) -> String {
    let how = report["how"].as_str().expect("how it was measured");
    let mut text = format!("{how}\n\n");
    listing(&mut text, list(report, "listing"));
    clients(&mut text, &report["clients"]);
    acting(&mut text, &report["acting"]);
    many(&mut text, list(report, "many"));
    footprint(&mut text, &report["footprint"]);
    text
}

fn listing(text: &mut String, rows: &[Value]) {
    let snapshots = rows.iter().any(|row| row["snapshots"] != 0);
    let column = |text: &str| {
        if snapshots {
            format!(" {text} |")
        } else {
            String::new()
        }
    };
    *text += &format!(
        "| action | jails |{} cold ms | floor | ratio | warm ms | floor | ratio | peak KiB | commands |\n\
         | --- | --- |{} --- | --- | --- | --- | --- | --- | --- | --- |\n",
        column("snapshots"),
        column("---"),
    );
    for row in rows {
        let action = row["action"].as_str().expect("an action");
        let action = match action.split_once(' ') {
            Some((action, flag)) => format!("`{action}` with `{flag}`"),
            None => format!("`{action}`"),
        };
        let ms = |key: &str| row[key].as_f64().expect(key);
        *text += &format!(
            "| {action} | {} |{}",
            row["jails"],
            column(&row["snapshots"].to_string())
        );
        for (took, floor) in [("cold_ms", "cold_floor_ms"), ("warm_ms", "warm_floor_ms")] {
            let (took, floor) = (ms(took), ms(floor));
            let ratio = took / floor;
            *text += &format!(" {} | {} | {ratio:.2} |", short(took), short(floor));
        }
        *text += &format!(
            " {} | {}, {} |\n",
            row["peak_bytes"].as_u64().expect("peak_bytes") / 1024,
            row["commands_cold"],
            row["commands_warm"]
        );
    }
}

fn clients(text: &mut String, load: &Value) {
    let ours = &load["one_instance"];
    let _ = write!(
        text,
        "\n{} clients on {} threads that poll `listjails` with {} jails get {} answers a second (half of them within\n\
         {} ms, 99 % within {} ms), {} times as many as with a set of commands for each request.\n",
        load["clients"],
        load["threads"],
        load["jails"],
        rounded(&ours["requests_per_second"]),
        rounded(&ours["p50_ms"]),
        rounded(&ours["p99_ms"]),
        rounded(&load["ratio"]),
    );
}

fn acting(text: &mut String, busy: &Value) {
    let _ = write!(
        text,
        "\nWhile {} clients start and stop jails, which makes ZFS and the stand-in for iocage busy, a listing of {} jails\n\
         takes {} ms, beside a floor of {} ms at the same time.\n",
        busy["acting"],
        busy["jails"],
        rounded(&busy["listing_ms"]),
        rounded(&busy["floor_ms"]),
    );
}

fn many(text: &mut String, rows: &[Value]) {
    *text += "\nA made-up host, whose commands take no time, has more jails than a ZFS on such a machine could have:\n\n\
              | request | jails | their `config.json` | warm ms | peak MiB |\n| --- | --- | --- | --- | --- |\n";
    for row in rows {
        let peak = row["peak_bytes"].as_f64();
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} |",
            row["request"]
                .as_str()
                .expect("a request")
                .replace(' ', "` with `"),
            row["jails"],
            row["config_json"].as_str().expect("config_json"),
            rounded(&row["warm_ms"]),
            peak.map_or("".into(), |bytes| format!(
                "{:.0}",
                bytes / f64::from(1 << 20)
            )),
        );
    }
}

fn footprint(text: &mut String, inside: &Value) {
    let left = match inside["million_requests_bytes"].as_i64().expect("bytes") {
        ..=0 => "nothing".into(),
        bytes => format!("{bytes} bytes"),
    };
    let _ = write!(
        text,
        "\nAn instance remembers {} bytes per jail ({} jails), and the mount table. A request that runs no command takes\n\
         {:.1} µs, and a million of them leave {left} in memory. The library has {} KiB, stripped, and is loaded in {:.2} ms.\n",
        inside["remembered_bytes_per_jail"],
        inside["jails"],
        inside["request_microseconds"].as_f64().expect("µs"),
        inside["library_stripped_bytes"].as_u64().expect("bytes") / 1024,
        inside["library_load_ms"].as_f64().expect("ms"),
    );
}

fn rounded(value: &Value) -> String {
    format!(
        "{:.0}",
        value
            .as_f64()
            .unwrap_or_else(|| panic!("{value} is no number"))
    )
}

/// Milliseconds with as many digits as mean something.
fn short(ms: f64) -> String {
    match ms < 100.0 {
        true => format!("{ms:.1}"),
        false => format!("{ms:.0}"),
    }
}
