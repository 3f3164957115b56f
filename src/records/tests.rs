use super::*;
use crate::system::{take_lock, Lock};

fn record(id: &str) -> Record {
    Record {
        id: id.into(),
        command: "iocage fetch".into(),
        started: "2026-11-25T12:00:00".into(),
        claims: vec![("marks".into(), false), ("jail-web".into(), true)],
        queued: false,
        ended: None,
        run: 0,
        aim: None,
        verdict: None,
    }
}

#[test]
fn a_job_runs_as_long_as_its_lock_is_held_and_is_lost_where_it_is_not() {
    let folder = std::env::temp_dir().join(format!("records{}", std::process::id()));
    let records = Records::new(&folder);
    assert_eq!(records.log("job_1"), None);
    private_folder(&records.directory).unwrap();
    let Lock::Taken(held) = take_lock(&records.lock_path("job_1"), Share::Alone).unwrap() else {
        panic!("it is new");
    };
    let mut output = records.begin(&record("job_1"), None).unwrap();
    output.write_all(b"half a character: \xc3").unwrap();
    assert_eq!(records.find("job_1").unwrap().1, State::Runs);
    let log = records.log("job_1").unwrap();
    assert_eq!(log["state"], "running");
    assert_eq!(log["iocage fetch"], "half a character: ");
    assert_eq!(records.users("jail-web", false), ["job_1"]);
    assert_eq!(records.users("marks", true), ["job_1"]);
    assert!(records.users("marks", false).is_empty());
    assert!(records.users("jail-other", true).is_empty());

    drop(held);
    assert_eq!(records.find("job_1").unwrap().1, State::Lost);
    assert!(records.users("marks", true).is_empty());
    let log = records.log("job_1").unwrap();
    assert_eq!(log["state"], "finished");
    assert!(log["iocage fetch"].as_str().unwrap().contains("has died"));

    let mut ended = record("job_1");
    ended.ended = Some(End {
        time: "2026-11-25T12:00:01".into(),
        code: Some(0),
    });
    records.write(&ended).unwrap();
    assert_eq!(
        records.log("job_1").unwrap()["return_codes/iocage fetch"],
        "0"
    );
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_latest_of_those_that_ended_are_kept() {
    let folder = std::env::temp_dir().join(format!("many{}", std::process::id()));
    let records = Records::new(&folder);
    for number in 0..limits::FINISHED_JOBS_KEPT + 5 {
        let job = record(&format!("job_{number}"));
        records.begin(&job, Some("{}")).unwrap();
        assert!(records.list_path(&job.id).exists());
        records.end(&job);
        assert!(!records.list_path(&job.id).exists());
    }
    assert_eq!(records.all().unwrap().len(), limits::FINISHED_JOBS_KEPT);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn characters_that_are_cut_at_the_ends_are_left_out() {
    let text = "äöü".as_bytes();
    assert_eq!(whole_characters(&text[1..5]), "ö");
    assert_eq!(whole_characters(text), "äöü");
    assert_eq!(whole_characters(b"a\xffb"), "a\u{fffd}b");
}
