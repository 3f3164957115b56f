//! The demo: sends each request of the class document through the C host to a furnished lab, and
//! prints request and reply.
//!
//!     demo HOST LIBRARY

use std::process::{exit, Command, Stdio};

use serde_json::{json, Value};
use sysadm_iocage_lab::{Lab, DOCUMENTED_RELEASES};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, host, library] = arguments.as_slice() else {
        eprintln!("usage: demo HOST LIBRARY");
        exit(2);
    };
    let lab = Lab::open(2).unwrap_or_else(|why| {
        eprintln!("demo: {why}");
        exit(1);
    });
    lab.furnish();
    lab.set_iocage_version("0.9.9"); // which marks what is at its end of life
    lab.set_remote_releases(&DOCUMENTED_RELEASES);
    lab.set_pace("0.05");
    println!(
        "A real ZFS pool, {}, with iocage's datasets and seven jails.",
        lab.pool(0)
    );
    println!("jls and iocage have stand-ins, since they need a FreeBSD kernel.");

    let examples: Value =
        serde_json::from_str(include_str!("../../../data/class-document.json")).expect("JSON");
    let mut failed = 0;
    for example in examples.as_array().expect("a list") {
        let args = example["websocket"]["args"].to_string();
        let args = args.replace("\"tank1\"", &json!(lab.pool(0)).to_string());
        println!("\n== {}\n{args}", example["section"].as_str().unwrap_or(""));
        let output = Command::new(host)
            .args(["-l", library, "-c", &lab.config().to_string(), &args])
            .stderr(Stdio::inherit())
            .output();
        let reply = match &output {
            Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
            Err(error) => error.to_string(),
        };
        match serde_json::from_str::<Value>(&reply) {
            Ok(reply) if reply.get("error").is_none() => println!("{reply:#}"),
            _ => {
                println!("{reply}");
                failed += 1;
            }
        }
        if args.contains("deactivatepool") {
            println!("(and activated again, for what follows)");
            lab.mark(lab.pool(0), true);
        }
    }
    drop(lab);
    exit(i32::from(failed > 0));
}
