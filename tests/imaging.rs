//! `exportjail` and `importjail`: jobs, and what is on the pool after them.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use common::acting::patiently;
use common::dispatcher::Dispatcher;
use common::killed::{ask_aside, be_the_host_until_killed};
use common::{error_of, eventually, Instance};
use serde_json::{json, Value};
use sysadm_iocage::system::utc_time;
use sysadm_iocage_lab::Lab;

const RELEASE: &str = "13.2-RELEASE";
const EXPORT: &str = "sysadm_iocage_export_jail_my_web";
const IMPORT: &str = "sysadm_iocage_import_jail_my_web";

#[test]
fn as_a_host_of_its_own() {
    be_the_host_until_killed();
}

/// A lab with the jail my_web, which has a dataset of its own below its root, and the template base.
struct Host {
    lab: Lab,
    plugin: Instance,
}

/// What is there: datasets, snapshots, files of the folder `images`.
type Pool = (BTreeSet<String>, BTreeSet<String>);

impl Host {
    fn new() -> Option<Host> {
        let lab = Lab::or_skip(1)?;
        let pool = lab.pool(0);
        lab.lay_out(pool);
        lab.mark(pool, true);
        lab.add_release(pool, RELEASE);
        let release = Some("releases/13.2-RELEASE");
        let config = json!({"notes": "mine", "ip4_addr": "re0|10.0.0.5/24"});
        lab.add_jail(pool, "my_web", release, &config);
        lab.add_template(pool, "base", release, &json!({"type": "template"}));
        lab.zfs(&["create", &format!("{pool}/iocage/jails/my_web/root/data")]);
        let root = lab.iocage_root(pool).join("jails/my_web/root");
        fs::write(root.join("motd"), "hello").unwrap();
        fs::write(root.join("data/table"), "rows".repeat(100_000)).unwrap();
        let plugin = Instance::of(&lab);
        Some(Host { lab, plugin })
    }

    fn pool(&self) -> &str {
        self.lab.pool(0)
    }

    fn images(&self) -> PathBuf {
        self.lab.iocage_root(self.pool()).join("images")
    }

    fn image(&self, file: &str) -> PathBuf {
        self.images().join(file)
    }

    fn files(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.images()).unwrap();
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
        entries
            .map(|entry| name(entry).into_string().unwrap())
            .collect()
    }

    fn now(&self) -> Pool {
        (self.lab.datasets(&[self.pool()]), self.files())
    }

    fn ask(&self, args: Value) -> Value {
        self.plugin.ask(&args)
    }

    fn export(&self, more: Value) -> Value {
        let mut args = json!({"action": "exportjail", "jail": "my_web"});
        for (key, value) in more.as_object().unwrap() {
            args[key] = value.clone();
        }
        self.ask(args)
    }

    fn import(&self, image: &str) -> Value {
        self.ask(json!({"action": "importjail", "image": image}))
    }

    /// Asks, and gives the last event of the job that was started.
    fn ended(&self, answer: &Value, job: &str) -> Value {
        assert_eq!(*answer, json!({ "started_dispatcher_id": job }));
        self.plugin.wait_for_job(job)
    }

    /// The event of a job that is known to have failed: what is wrong.
    fn failed(&self, answer: &Value, job: &str) -> String {
        let event = self.ended(answer, job);
        assert_eq!(event["success"], "false", "{event}");
        event["error"].as_str().unwrap().to_string()
    }

    fn worked(&self, answer: &Value, job: &str) {
        let event = self.ended(answer, job);
        assert_eq!(event["success"], "true", "{event}");
        assert_eq!(event["percent_done"], "100", "{event}");
        assert!(event["error"].is_null(), "{event}");
    }

    /// A refusal with this code, which has to say this and to change nothing.
    fn refused(&self, args: Value, code: &str, says: &str) {
        let before = self.now();
        self.lab.forget_commands();
        let answer = self.ask(args.clone());
        assert_eq!(error_of(&answer).0, code, "{args}: {answer}");
        assert!(error_of(&answer).1.contains(says), "{args}: {answer}");
        let started = |words: &Vec<String>| words[0] == "iocage" && words[1] != "--version";
        assert!(!self.lab.commands().iter().any(started), "{args}");
        assert_eq!(self.now(), before, "{args}");
    }

    fn destroy(&self, jail: &str) {
        let answer = patiently(|| self.ask(json!({"action": "destroyjail", "jail": jail})));
        assert!(answer["success"].is_string(), "{answer}");
    }

    /// That the jail is as it was when the lab was new.
    fn is_whole(&self) {
        let config = self.lab.config_of(self.pool(), "my_web");
        assert_eq!(config["notes"], "mine");
        let root = self.lab.iocage_root(self.pool()).join("jails/my_web/root");
        assert_eq!(fs::read_to_string(root.join("motd")).unwrap(), "hello");
        let table = fs::read_to_string(root.join("data/table")).unwrap();
        assert_eq!(table.len(), 400_000);
        let own = format!("{}/iocage/jails/my_web", self.pool());
        let all = ["", "/root", "/root/data"].map(|below| format!("{own}{below}"));
        assert_eq!(self.lab.datasets(&[&own]), BTreeSet::from(all));
    }
}

/// The day that it is in UTC. A test that runs into midnight would see two.
fn today() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = utc_time(now.as_secs().try_into().unwrap()).unwrap();
    now[..10].into()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| name.to_string()).collect()
}

#[test]
fn an_image_of_either_form_makes_the_whole_jail_again() {
    let Some(host) = Host::new() else { return };
    for (form, ending) in [("zip", "zip"), ("lzma", "tar.xz")] {
        let (before, _) = host.now();
        host.lab.set_pace("0.3");
        let answer = host.export(json!({"compression": form}));
        // The percentage grows by datasets, and is not whole before all is.
        let mut seen = BTreeSet::new();
        eventually("the export ends", || {
            let event = host.plugin.progress(EXPORT, None).unwrap();
            let percent = event["percent_done"].as_str();
            let percent = percent.map(|text| text.parse::<u32>().unwrap());
            let has_ended = event["state"] == "finished";
            assert!(has_ended || percent.is_none_or(|percent| percent < 100));
            seen.extend(percent);
            has_ended
        });
        assert!(seen.is_superset(&BTreeSet::from([25, 50, 75])), "{seen:?}");
        host.lab.set_pace("0");
        host.worked(&answer, EXPORT);
        let (image, sum) = (
            format!("my_web_{}.{ending}", today()),
            format!("my_web_{}.sha256", today()),
        );
        assert_eq!(host.files(), names(&[&image, &sum]));
        assert_eq!(host.now().0, before, "snapshots are left");
        let verified = host.ask(json!({"action": "listimages", "verify": true}));
        assert_eq!(verified["images"][&image]["checksum"], "right");

        // Today's is there, in whichever form.
        for compression in ["zip", "lzma"] {
            let args =
                json!({"action": "exportjail", "jail": "my_web", "compression": compression});
            host.refused(args, "conflict", &image);
        }
        let again = json!({"action": "importjail", "image": image});
        host.refused(again.clone(), "conflict", "my_web");

        host.destroy("my_web");
        host.worked(&host.import(&image), IMPORT);
        host.is_whole();
        host.refused(again, "conflict", "my_web");
        // A clone no longer, but as good as one.
        host.destroy("my_web");
        host.worked(&host.import(&image), IMPORT);
        for file in host.files() {
            fs::remove_file(host.image(&file)).unwrap();
        }
    }
}

#[test]
fn what_cannot_be_exported_is_refused_and_nothing_changes() {
    let Some(host) = Host::new() else { return };
    let (lab, pool) = (&host.lab, host.pool());
    let own = format!("{pool}/iocage/jails/my_web");
    let export = |jail: &str| json!({"action": "exportjail", "jail": jail});
    host.refused(export("nosuch"), "not_found", "nosuch");
    host.refused(export("my"), "not_found", "my");
    host.refused(export("base"), "unavailable", "template base");
    lab.set_running(&[(7, "my_web")]);
    host.refused(export("my_web"), "in_use", "jid 7");
    lab.set_running(&[]);

    // What an export of today, or of the next minutes, would make.
    let day = today();
    for file in [
        format!("my_web_{day}"),
        format!("my_web_{day}_root_data"),
        format!("my_web_{day}.sha256"),
        format!("my_web_{day}.tar.xz"),
    ] {
        fs::write(host.image(&file), "mine").unwrap();
        host.refused(export("my_web"), "conflict", &format!("images/{file}"));
        fs::remove_file(host.image(&file)).unwrap();
    }
    // A link would be written through.
    let link = host.image(&format!("my_web_{day}.zip"));
    std::os::unix::fs::symlink(lab.dir().join("elsewhere"), &link).unwrap();
    host.refused(export("my_web"), "conflict", ".zip");
    fs::remove_file(&link).unwrap();
    for dataset in [&own, &format!("{own}/root/data")] {
        let snapshot = format!("{dataset}@ioc-export-{day}");
        lab.zfs(&["snapshot", &snapshot]);
        host.refused(export("my_web"), "conflict", &snapshot);
        lab.zfs(&["destroy", &snapshot]);
    }

    // What iocage could not import.
    for below in ["/my_data", "/root/my_web"] {
        let dataset = format!("{own}{below}");
        lab.zfs(&["create", &dataset]);
        host.refused(export("my_web"), "unavailable", &dataset);
        eventually("it is gone", || {
            lab.try_zfs(&["destroy", &dataset]).status.success()
        });
    }
    let images = format!("{pool}/iocage/images");
    lab.zfs(&["set", "quota=256K", &images]);
    host.refused(export("my_web"), "unavailable", "no room");
    lab.zfs(&["set", "quota=none", &images]);
    eventually("it is unmounted", || {
        lab.try_zfs(&["unmount", &images]).status.success()
    });
    host.refused(export("my_web"), "unavailable", "not mounted");
    lab.zfs(&["mount", &images]);

    lab.set_iocage_version("1.1");
    let lzma = json!({"action": "exportjail", "jail": "my_web", "compression": "lzma"});
    host.refused(lzma, "unavailable", "older than 1.2");
    lab.set_iocage_version("1.13");
    fs::write(lab.config_file(pool, "my_web"), "{").unwrap();
    host.refused(export("my_web"), "unavailable", "CORRUPT");
}

#[test]
fn what_cannot_be_imported_is_refused_and_nothing_changes() {
    let Some(host) = Host::new() else { return };
    let (lab, pool) = (&host.lab, host.pool());
    let (zip, lzma) = ("my_web_2026-11-20.zip", "my_web_2026-11-20.tar.xz");
    let import = |image: &str| json!({"action": "importjail", "image": image});
    host.refused(import("kid_2026-11-20.zip"), "not_found", "kid_2026");
    for wrong in [
        "my_web.zip",
        "SMALL_2026-11-20.zip",
        "my_web_2026-11-20",
        "../x_2026-11-20.zip",
    ] {
        host.refused(import(wrong), "invalid_argument", "\"image\"");
    }
    host.export(json!({}));
    host.plugin.wait_for_job(EXPORT);
    let made = |ending: &str| host.image(&format!("my_web_{}.{ending}", today()));
    fs::rename(made("zip"), host.image(zip)).unwrap();
    fs::rename(made("sha256"), host.image("my_web_2026-11-20.sha256")).unwrap();
    host.refused(import(zip), "conflict", "jail my_web exists already");
    // A dot is an underscore to the kernel.
    lab.add_jail(pool, "a_b", None, &json!({}));
    fs::copy(host.image(zip), host.image("a.b_2026-11-20.zip")).unwrap();
    host.refused(import("a.b_2026-11-20.zip"), "conflict", "jail a_b");
    fs::remove_file(host.image("a.b_2026-11-20.zip")).unwrap();

    host.destroy("my_web");
    let own = format!("{pool}/iocage/jails/my_web");
    lab.zfs(&["create", &own]);
    host.refused(import(zip), "conflict", "jail my_web exists already");
    eventually("it is gone", || {
        lab.try_zfs(&["destroy", &own]).status.success()
    });

    // The checksum is one for both forms.
    fs::write(host.image(lzma), "another").unwrap();
    host.refused(import(lzma), "conflict", &format!("may be that of {zip}"));
    fs::remove_file(host.image(lzma)).unwrap();
    let whole = fs::read(host.image(zip)).unwrap();
    fs::write(host.image(zip), &whole[1..]).unwrap();
    let mut forced = import(zip);
    forced["force"] = json!(true);
    host.refused(import(zip), "conflict", "checksum");
    host.refused(forced.clone(), "conflict", "checksum");
    fs::write(host.image(zip), &whole).unwrap();
    let sum = host.image("my_web_2026-11-20.sha256");
    fs::remove_file(&sum).unwrap();
    host.refused(import(zip), "unavailable", "no checksum");

    // An iocage that cannot be told which file takes what looks like it.
    lab.set_iocage_version("1.1");
    fs::write(host.image("my_web2_2026-11-20.zip"), "").unwrap();
    host.refused(forced.clone(), "unavailable", "my_web2_2026-11-20.zip");
    fs::remove_file(host.image("my_web2_2026-11-20.zip")).unwrap();
    fs::rename(host.image(zip), host.image(lzma)).unwrap();
    let mut other = import(lzma);
    other["force"] = json!(true);
    host.refused(other, "unavailable", "older than 1.2");
    fs::rename(host.image(lzma), host.image(zip)).unwrap();
    lab.set_iocage_version("0.9.10");
    host.refused(forced.clone(), "unavailable", "older than 1.0");
}

#[test]
fn an_old_iocage_imports_the_only_image_of_the_name() {
    let Some(host) = Host::new() else { return };
    host.lab.set_iocage_version("1.1");
    host.worked(&host.export(json!({})), EXPORT);
    host.destroy("my_web");
    let image = format!("my_web_{}.zip", today());
    host.worked(&host.import(&image), IMPORT);
    host.is_whole();
}

#[test]
fn exactly_the_image_that_is_meant_is_imported_and_twins_are_named() {
    let Some(host) = Host::new() else { return };
    host.worked(&host.export(json!({})), EXPORT);
    host.destroy("my_web");
    let image = format!("my_web_{}.zip", today());
    // Others of that name, newer, older, and one for which the name is a pattern or a start.
    for other in [
        "my_web_2026-11-20.zip",
        "my_web2_2026-11-20.zip",
        "my_webs_2026-11-20.tar.xz",
    ] {
        fs::write(host.image(other), "no image").unwrap();
    }
    // Somebody else has got its address meanwhile.
    let config = json!({"ip4_addr": "em0|10.0.0.5"});
    host.lab.add_jail(host.pool(), "other", None, &config);
    let event = host.ended(&host.import(&image), IMPORT);
    assert_eq!(event["success"], "true", "{event}");
    assert_eq!(event["error"], "jail other has the address 10.0.0.5 too");
    host.is_whole();
}

#[test]
fn an_image_that_is_cut_makes_no_jail_and_what_is_left_can_be_destroyed() {
    let Some(host) = Host::new() else { return };
    let (lab, pool) = (&host.lab, host.pool());
    host.worked(&host.export(json!({})), EXPORT);
    host.destroy("my_web");
    let before = lab.datasets(&[pool]);
    let image = format!("my_web_{}.zip", today());
    let whole = fs::read(host.image(&image)).unwrap();
    fs::remove_file(host.image(&format!("my_web_{}.sha256", today()))).unwrap();
    let import = json!({"action": "importjail", "image": image, "force": true});

    // In the middle of the first dataset, and of the last one.
    for (length, is_left) in [(whole.len() / 100, false), (whole.len() - 100_000, true)] {
        fs::write(host.image(&image), &whole[..length]).unwrap();
        let error = host.failed(&host.ask(import.clone()), IMPORT);
        assert_eq!(error.contains("destroyjail"), is_left, "{error}");
        let now = lab.datasets(&[pool]);
        assert_eq!(now != before, is_left, "{now:?}");
        if is_left {
            host.destroy("my_web");
            assert_eq!(lab.datasets(&[pool]), before);
        }
    }
    fs::write(host.image(&image), &whole).unwrap();
    host.worked(&host.ask(import), IMPORT);
    host.is_whole();
}

#[test]
fn an_import_is_judged_by_what_is_there() {
    let Some(host) = Host::new() else { return };
    let (lab, pool) = (&host.lab, host.pool());
    host.worked(&host.export(json!({})), EXPORT);
    host.destroy("my_web");
    let image = format!("my_web_{}.zip", today());
    let jails = "$(head -n 1 \"$lab/pools\")/iocage/jails";
    for (work, says) in [
        // It says that all is well, and nothing is there.
        ("echo 'Imported: my_web'; exit 0".to_string(), "no jail my_web"),
        // A dataset that zfs recv did not take, which iocage does not notice.
        (
            format!(
                "\"$lab/real/zfs\" create -p {jails}/my_web/root
                 echo '{{}}' >\"$(\"$lab/real/zfs\" get -H -o value mountpoint {jails}/my_web)/config.json\"
                 echo 'Importing dataset: my_web'; echo 'Importing dataset: my_web/root/data'
                 echo; echo 'Imported: my_web'; exit 0"
            ),
            "jails/my_web/root/data is missing",
        ),
        // It was ended before it had come to the end.
        (
            format!(
                "\"$lab/real/zfs\" create -p {jails}/my_web/root
                 \"$lab/real/zfs\" snapshot -r {jails}/my_web@ioc-export-{}
                 kill -9 $$",
                today()
            ),
            "ioc-export",
        ),
    ] {
        let fault = format!("case $1 in import) {work} ;; esac");
        lab.set_fault("iocage", Some(&fault));
        let error = host.failed(&host.import(&image), IMPORT);
        lab.set_fault("iocage", None);
        assert!(error.contains(says), "{error}");
        if lab.datasets(&[pool]).contains(&format!("{pool}/iocage/jails/my_web")) {
            assert!(error.contains("destroyjail"), "{error}");
            host.destroy("my_web");
        }
    }
}

#[test]
fn an_export_that_fails_leaves_nothing_of_its_own() {
    let Some(host) = Host::new() else { return };
    let lab = &host.lab;
    fs::write(host.image("my_web_2026-11-20.zip"), "old").unwrap();
    fs::write(host.image(&format!("my_web_{}_notes", today())), "mine").unwrap();
    let before = host.now();
    let (day, pool) = (today(), host.pool());
    let own = format!("{pool}/iocage/jails/my_web");
    let begin = format!(
        "\"$lab/real/zfs\" snapshot -r {own}@ioc-export-{day}
         cd {}; echo part >my_web_{day}; echo part >my_web_{day}_root_data",
        host.images().display()
    );
    for end in [
        "echo 'no space left' >&2; exit 1".to_string(),
        format!("echo half >my_web_{day}.zip; kill -9 $$"),
        format!("echo half >my_web_{day}.zip; : >my_web_{day}.sha256; exit 1"),
        // Between the exports of two days.
        "rm my_web_*; kill -9 $$".replace("my_web_*", &format!("my_web_{day}")),
    ] {
        let fault = format!("case $1 in export) {begin}\n{end} ;; esac");
        lab.set_fault("iocage", Some(&fault));
        let error = host.failed(&host.export(json!({})), EXPORT);
        lab.set_fault("iocage", None);
        assert!(!error.contains("left:"), "{error}");
        assert_eq!(host.now(), before, "{end}: {error}");
    }
    // One that says that all is well.
    lab.set_fault(
        "iocage",
        Some("case $1 in export) echo Exported: x; exit 0 ;; esac"),
    );
    let error = host.failed(&host.export(json!({})), EXPORT);
    assert!(error.contains("no image"), "{error}");
    // And one with a wrong checksum, which is left for somebody to look at.
    let sum = "0".repeat(64);
    let wrong =
        format!("{begin}; echo whole >my_web_{day}.zip; printf {sum} >my_web_{day}.sha256; exit 0");
    lab.set_fault(
        "iocage",
        Some(&format!("case $1 in export) {wrong} ;; esac")),
    );
    let error = host.failed(&host.export(json!({})), EXPORT);
    lab.set_fault("iocage", None);
    assert!(
        error.contains("checksum") && error.contains("wrong"),
        "{error}"
    );
    let mut left = before.1.clone();
    left.extend(names(&[
        &format!("my_web_{day}.zip"),
        &format!("my_web_{day}.sha256"),
    ]));
    assert_eq!(host.now(), (before.0.clone(), left));
    for file in [".zip", ".sha256"] {
        fs::remove_file(host.image(&format!("my_web_{day}{file}"))).unwrap();
    }

    // Ended in the middle.
    lab.set_pace("30");
    let answer = host.export(json!({}));
    eventually("it is in the middle", || {
        host.now().0.iter().any(|name| name.contains("ioc-export"))
    });
    let stopped = host.ask(json!({"action": "stopjob", "job": EXPORT}));
    assert!(stopped["success"].is_string(), "{stopped}");
    let error = host.failed(&answer, EXPORT);
    assert!(error.contains("stopjob"), "{error}");
    assert_eq!(host.now(), before);
    lab.set_pace("0");
    host.worked(&host.export(json!({})), EXPORT);
}

#[test]
fn of_two_processes_one_works_on_a_jail_or_an_image() {
    let Some(host) = Host::new() else { return };
    let lab = &host.lab;
    let old = "my_web_2026-11-20.zip";
    fs::write(host.image(old), "of another day").unwrap();
    let other = Instance::of(lab);
    let export = json!({"action": "exportjail", "jail": "my_web"});
    lab.set_pace("1");
    let answer = host.export(json!({}));
    let refused = |args: &Value, code: &str, job: &str| {
        let answer = other.ask(args);
        assert_eq!(error_of(&answer).0, code, "{args}: {answer}");
        assert!(error_of(&answer).1.contains(job), "{args}: {answer}");
    };
    refused(&export, "conflict", EXPORT);
    for action in ["startjail", "destroyjail", "snapshotjail"] {
        refused(
            &json!({"action": action, "jail": "my_web"}),
            "conflict",
            EXPORT,
        );
    }
    let today = format!("my_web_{}.zip", today());
    for image in [today.as_str(), old] {
        refused(
            &json!({"action": "importjail", "image": image}),
            "conflict",
            EXPORT,
        );
    }
    refused(
        &json!({"action": "deactivatepool", "pool": host.pool()}),
        "conflict",
        EXPORT,
    );
    host.worked(&answer, EXPORT);

    lab.set_pace("0");
    host.destroy("my_web");
    lab.set_pace("1");
    let answer = host.import(&today);
    for image in [today.as_str(), old] {
        refused(
            &json!({"action": "importjail", "image": image}),
            "conflict",
            IMPORT,
        );
    }
    refused(
        &json!({"action": "cleanjails", "force": true}),
        "in_use",
        IMPORT,
    );
    host.worked(&answer, IMPORT);
    host.is_whole();
}

/// Lets a host of its own start a job that kills it, and looks after that job.
fn after_the_host_has_died(host: &Host, args: &Value, job: &str) -> Value {
    let lab = &host.lab;
    let action = args["action"].as_str().unwrap();
    let word = action.strip_suffix("jail").unwrap();
    lab.set_pace("0.7");
    lab.set_fault(
        "iocage",
        Some(&format!("case $1 in {word}) kill -9 $PPID ;; esac")),
    );
    ask_aside(lab, args);
    lab.set_fault("iocage", None);
    let next = Instance::of(lab);
    let status = json!({"action": "jobstatus", "job": job});
    assert_eq!(next.ask(&status)["state"], "running");
    let same = next.ask(args);
    assert_eq!(error_of(&same).0, "conflict", "{same}");
    let mut last = Value::Null;
    eventually("it has ended, and that is known", || {
        last = next.ask(&status);
        last["state"] == "finished"
    });
    lab.set_pace("0");
    // And what it was told stays.
    eventually("it is written down", || {
        let listed = next.ask_for("listjobs");
        listed["jobs"][job]["success"] == last["success"]
    });
    last
}

#[test]
fn the_host_is_killed_and_its_jobs_end_well() {
    let Some(host) = Host::new() else { return };
    let before = host.now();
    let export = json!({"action": "exportjail", "jail": "my_web"});
    let event = after_the_host_has_died(&host, &export, EXPORT);
    assert_eq!(event["success"], "true", "{event}");
    assert_eq!(host.now().0, before.0);
    // It is looked after for a moment more.
    let free = || host.ask(json!({"action": "snapshotjail", "jail": "my_web", "snapshot": "s"}));
    eventually("it is let go of", || free()["success"].is_string());
    host.destroy("my_web");
    let image = format!("my_web_{}.zip", today());
    let import = json!({"action": "importjail", "image": image});
    let event = after_the_host_has_died(&host, &import, IMPORT);
    assert_eq!(event["success"], "true", "{event}");
    host.is_whole();
}

#[test]
fn the_host_and_its_job_are_killed_and_nothing_is_left() {
    let Some(host) = Host::new() else { return };
    let before = host.now();
    let own = format!("{}/iocage/jails/my_web", host.pool());
    let fault = format!(
        "case $1 in export)
            \"$lab/real/zfs\" snapshot -r {own}@ioc-export-{day}
            echo half >{images}/my_web_{day}.zip; echo part >{images}/my_web_{day}_root
            kill -9 $PPID; kill -9 $$ ;;
         esac",
        day = today(),
        images = host.images().display()
    );
    host.lab.set_fault("iocage", Some(&fault));
    let export = json!({"action": "exportjail", "jail": "my_web"});
    ask_aside(&host.lab, &export);
    host.lab.set_fault("iocage", None);
    assert_ne!(host.now(), before);
    let next = Instance::of(&host.lab);
    let listed = next.ask_for("listjobs");
    assert_eq!(listed["jobs"][EXPORT]["success"], "false", "{listed}");
    // Looking writes nothing; what changes something looks after such jobs first.
    assert_ne!(host.now(), before);
    next.ask(&json!({"action": "startjail", "jail": "nosuch"}));
    eventually("it is tidied", || host.now() == before);
    let status = || next.ask(&json!({"action": "jobstatus", "job": EXPORT}));
    eventually("it is written down", || status()["state"] == "finished");
    assert_eq!(status()["success"], "false");
}

#[test]
fn the_hosts_dispatcher_runs_them_as_well() {
    let Some(host) = Host::new() else { return };
    let before = host.now();
    let dispatcher = Dispatcher::default();
    let plugin = Instance::open(&host.lab.config(), &dispatcher.callbacks());
    let image = format!("my_web_{}.tar.xz", today());
    let export = json!({"action": "exportjail", "jail": "my_web", "compression": "lzma"});
    let import = json!({"action": "importjail", "image": image});
    let iocage = host.lab.dir().join("bin/iocage").display().to_string();
    let path = host.image(&image).display().to_string();

    assert_eq!(plugin.ask(&export)["started_dispatcher_id"], EXPORT);
    let words = dispatcher.words(EXPORT);
    assert_eq!(words, [&*iocage, "export", "-c", "lzma", "my_web"]);
    // It holds what it needs as long as the dispatcher has it.
    let start = json!({"action": "startjail", "jail": "my_web"});
    assert_eq!(error_of(&host.ask(start)).0, "conflict");
    let event = plugin
        .progress(EXPORT, Some(&dispatcher.run(EXPORT)))
        .unwrap();
    assert_eq!(
        (&event["success"], &event["percent_done"]),
        (&json!("true"), &json!("100"))
    );
    let free = || host.ask(json!({"action": "snapshotjail", "jail": "my_web", "snapshot": "s"}));
    eventually("it is let go of", || free()["success"].is_string());
    let removed = host.ask(json!({"action": "removesnapshot", "jail": "my_web", "snapshot": "s"}));
    assert!(removed["success"].is_string(), "{removed}");
    assert_eq!(host.now().0, before.0);

    host.destroy("my_web");
    assert_eq!(plugin.ask(&import)["started_dispatcher_id"], IMPORT);
    let words = dispatcher.words(IMPORT);
    assert_eq!(words, [&*iocage, "import", "-p", &path, "my_web"]);
    let event = plugin
        .progress(IMPORT, Some(&dispatcher.run(IMPORT)))
        .unwrap();
    assert_eq!(event["success"], "true", "{event}");
    host.is_whole();

    // One that fails there leaves nothing here.
    for file in host.files() {
        fs::remove_file(host.image(&file)).unwrap();
    }
    let before = host.now();
    let own = format!("{}/iocage/jails/my_web", host.pool());
    let fault = format!(
        "case $1 in export)
            \"$lab/real/zfs\" snapshot -r {own}@ioc-export-{day}
            echo part >{images}/my_web_{day}; echo 'no space left' >&2; exit 1 ;;
         esac",
        day = today(),
        images = host.images().display()
    );
    host.lab.set_fault("iocage", Some(&fault));
    assert_eq!(plugin.ask(&export)["started_dispatcher_id"], EXPORT);
    let event = plugin
        .progress(EXPORT, Some(&dispatcher.run(EXPORT)))
        .unwrap();
    assert_eq!(
        (&event["success"], &event["error"]),
        (&json!("false"), &json!("no space left"))
    );
    eventually("it is tidied", || host.now() == before);
}
