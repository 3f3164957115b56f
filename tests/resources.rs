//! What cannot be locked is not used, what several write is whole, and what is secret is told to
//! nobody: on a made-up host.

mod common;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use common::made_up::{ask, ask_as, wait_for, Desk, MadeUp};
use common::{error_of, eventually};
use serde_json::{json, Value};
use sysadm_iocage::actions::Access;
use sysadm_iocage::host::NoHost;
use sysadm_iocage::instance::Instance;

/// Every change there is.
fn changes() -> [Value; 5] {
    [
        json!({"action": "activatepool", "pool": "b"}),
        json!({"action": "deactivatepool", "pool": "a"}),
        json!({"action": "cleanreleases"}),
        json!({"action": "fetchreleases", "releases": "13.2-RELEASE"}),
        json!({
            "action": "createplugin", "plugin": "gitlab", "name": "web", "net_device": "re0",
            "ip4": "10.0.0.5",
        }),
    ]
}

/// Sees that each change is refused with this reason, and that looking is possible.
fn assert_refused(host: &MadeUp, instance: &Instance, why: &str) {
    host.commands();
    for request in changes() {
        let answer = ask(instance, &request);
        let (code, message) = error_of(&answer);
        assert_eq!(code, "unavailable", "{request}: {message}");
        assert!(message.contains(why), "{why}: {message}");
    }
    let harm = |line: &String| line.starts_with("zfs set") || line.starts_with("zfs destroy");
    assert!(!host.commands().iter().any(harm), "{why}");
    assert_eq!(host.active(), ["a"], "{why}");
    let status = ask(instance, &json!({"action": "activatestatus"}));
    assert_eq!(status["pool"], "a", "{why}");
}

fn host() -> std::sync::Arc<MadeUp> {
    let host = MadeUp::new(&["a", "b"]);
    host.add("a/iocage/releases/12.4-RELEASE/root");
    host
}

#[test]
fn a_state_directory_that_cannot_be_made_or_is_not_ours_alone_refuses_changes() {
    use std::os::unix::fs::PermissionsExt;
    let host = host();
    let open = |state: &Path| {
        let more = json!({"state_directory": state.to_str().unwrap()});
        host.open_at(&Desk::new(), &more)
    };
    let file = host.folder().join("file");
    File::create(&file).unwrap();
    assert_refused(&host, &open(&file.join("state")), "Not a directory");
    for part in ["", "run/nonexistent_iocage"] {
        let state = host.folder().join(format!("open{}", part.len()));
        let folder = state.join(part);
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        let answer = ask(&open(&state), &changes()[0]);
        assert!(error_of(&answer).1.contains("others may write"), "{answer}");
        assert_eq!(host.active(), ["a"]);
    }
}

/// A file system that goes with this.
#[cfg(target_os = "linux")]
struct Mounted(PathBuf);

#[cfg(target_os = "linux")]
impl Mounted {
    /// None where nobody may mount one here.
    fn with(folder: PathBuf, options: &str) -> Option<Self> {
        fs::create_dir_all(&folder).unwrap();
        let mut mount = Command::new("mount");
        let mount = mount
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&folder);
        match mount.status() {
            Ok(status) if status.success() => Some(Mounted(folder)),
            _ => {
                common::skip("right to mount");
                None
            }
        }
    }
}

#[cfg(target_os = "linux")]
impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_state_directory_that_is_full_or_read_only_refuses_changes() {
    for (options, why) in [
        ("ro,mode=700", "Read-only file system"),
        // Its root takes one of them.
        ("nr_inodes=1,mode=700", "No space left"),
    ] {
        let host = host();
        let Some(_mounted) = Mounted::with(host.state(), options) else {
            return;
        };
        assert_refused(&host, &host.open(), why);
    }
}

#[test]
fn without_descriptors_changes_are_refused() {
    if std::env::var_os("WITHOUT_DESCRIPTORS").is_none() {
        // In a process of its own, or other tests would be without them too.
        let mut alone = Command::new(std::env::current_exe().unwrap());
        let alone = alone.args(["without_descriptors_changes_are_refused", "--exact"]);
        common::run(alone.env("WITHOUT_DESCRIPTORS", "1"));
        return;
    }
    let host = host();
    let instance = host.open();
    for request in changes() {
        // What the made-up host itself opens is not tried here, so they go at the first look.
        let mut taken: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        let answer = ask(&instance, &request);
        taken.clear();
        let (code, message) = error_of(&answer);
        assert!(
            ["unavailable", "not_active"].contains(&code),
            "{request}: {message}"
        );
        assert_eq!(host.active(), ["a"], "{request}");
        assert!(
            host.dataset("a/iocage/releases/12.4-RELEASE").exists(),
            "{request}"
        );
    }
    let mut taken: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let answer = ask(&instance, &changes()[0]);
    taken.clear();
    let (code, message) = error_of(&answer);
    assert_eq!(code, "unavailable");
    assert!(message.contains("Too many open files"), "{message}");
}

#[test]
fn what_two_instances_write_into_the_catalogue_is_whole_and_stays() {
    let host = MadeUp::new(&["a"]);
    let file = host.state().join("catalogue.json");
    let iocages = ["/nonexistent/iocage", "/nonexistent/other/iocage"];
    let instance = |iocage: &str| {
        let commands = json!({"zfs": "/nonexistent/zfs", "iocage": iocage});
        host.open_at(&Desk::new(), &json!({ "commands": commands }))
    };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|number| {
                let instance = instance(iocages[number % 2]);
                scope.spawn(move || {
                    for _ in 0..25 {
                        let refresh = json!({"action": "listreleases", "refresh": true});
                        let answer = ask(&instance, &refresh);
                        assert!(answer["remote_error"].is_null(), "{answer}");
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                if let Ok(text) = fs::read_to_string(&file) {
                    let known = common::parse(&text);
                    assert!(known["releases"].is_object(), "{text}");
                }
            }
        });
        eventually("all is written", || {
            writers.iter().all(|writer| writer.is_finished())
        });
        done.store(true, Ordering::SeqCst);
    });
    // The last refresh of each may have come before the other's first.
    for iocage in iocages.iter().chain(&iocages) {
        ask(
            &instance(iocage),
            &json!({"action": "listreleases", "refresh": true}),
        );
        let known = common::parse(&fs::read_to_string(&file).unwrap());
        assert!(known["releases"][iocage].is_object(), "{iocage}: {known}");
    }
    let left = fs::read_dir(host.state()).unwrap().flatten();
    let drafts = left.filter(|entry| entry.path().extension().is_some_and(|end| end == "new"));
    assert_eq!(drafts.count(), 0);
}

#[test]
fn nothing_that_one_instance_finds_is_lost_to_another_that_writes_meanwhile() {
    let host = MadeUp::new(&["a"]);
    let iocages = ["/nonexistent/iocage", "/nonexistent/other/iocage"];
    let file = host.state().join("catalogue.json");
    for _ in 0..40 {
        let _ = fs::remove_file(&file);
        std::thread::scope(|scope| {
            for iocage in iocages {
                let commands = json!({ "iocage": iocage });
                let instance = host.open_at(&Desk::new(), &json!({ "commands": commands }));
                scope.spawn(move || ask(&instance, &json!({"action": "listreleases"})));
            }
        });
        let known = common::parse(&fs::read_to_string(&file).unwrap());
        for iocage in iocages {
            assert!(known["releases"][iocage].is_object(), "{iocage}: {known}");
        }
    }
}

/// Every text of the files below a folder.
fn texts(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => all.extend(texts(&path)),
            false => {
                let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                all.push((path, text));
            }
        }
    }
    all
}

#[test]
fn a_secret_is_told_to_nobody_whether_its_job_starts_or_not() {
    let host = MadeUp::new(&["a"]);
    let index = host.state().join("plugins/example_org_p_git/1/INDEX");
    let url = "https://user:hunter2@example.org/p.git";
    let more = json!({"plugin_repositories": [url]});
    let desk = Desk::new();
    let noted = host.open_at(&desk, &more);
    let runner = std::sync::Arc::clone(&host);
    let silent = Instance::with_runner(host.configuration(&more), Box::new(NoHost), runner);
    let create = json!({
        "action": "createplugin", "plugin": "gitlab", "name": "web", "net_device": "re0",
        "ip4": "10.0.0.5", "properties": {"notes": "hunter2"},
    });
    let refresh = json!({"action": "listplugins", "refresh": true});
    let jobs = [
        "sysadm_iocage_fetch_plugin_gitlab",
        "sysadm_iocage_refresh_plugins_example_org_p_git",
    ];
    let mut told: Vec<String> = Vec::new();
    // Programs that are not there; then jobs that are done; then such that fail.
    for job in ["", "exit 0", "exit 3"] {
        host.set_job(job);
        for instance in [&*noted, &silent] {
            for request in [&create, &refresh, &json!({"action": "listplugins"})] {
                for access in [Access::Full, Access::Read] {
                    told.push(ask_as(instance, request, access).1.to_string());
                }
            }
            for id in jobs {
                if !job.is_empty() {
                    told.push(wait_for(instance, id).to_string());
                }
            }
        }
        fs::create_dir_all(index.parent().unwrap()).unwrap();
        fs::write(&index, r#"{"gitlab": {"name": "GitLab"}}"#).unwrap();
    }
    noted.close();
    silent.close();
    told.extend(desk.calls().iter().map(|call| format!("{call:?}")));
    let syslog = host
        .commands()
        .into_iter()
        .filter(|line| line.starts_with("log "));
    told.extend(syslog);
    for text in &told {
        assert!(!text.contains("hunter2"), "{text}");
    }
    for part in ["No such file", "notes=...", "log sysadm_iocage: audit: job"] {
        let tells = told.iter().any(|text| text.contains(part));
        assert!(tells, "nobody tells {part}: {told:#?}");
    }
    let files = texts(&host.state());
    assert!(files
        .iter()
        .any(|(path, _)| path.ends_with(format!("{}.json", jobs[0]))));
    for (path, text) in files {
        assert!(!text.contains("hunter2"), "{}: {text}", path.display());
    }
}
