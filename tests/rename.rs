//! Jails get another name, as a whole or not at all, whatever iocage leaves half done.

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use common::{error_of, parse, Instance};
use serde_json::{json, Value};
use sysadm_iocage::ffi::SYSADM_IOCAGE_ACCESS_READ;
use sysadm_iocage_lab::Lab;

const RELEASE: &str = "13.2-RELEASE";

struct Scene {
    lab: Lab,
    plugin: Instance,
}

impl Scene {
    /// A pool with the template base, the jails web and web-2 (of the release), db (of base) and kid
    /// (of web).
    fn new() -> Option<Self> {
        let lab = Lab::or_skip(1)?;
        let pool = lab.pool(0);
        lab.lay_out(pool);
        lab.mark(pool, true);
        lab.add_release(pool, RELEASE);
        let release = format!("releases/{RELEASE}");
        let config = |more: Value| {
            let mut all = json!({"release": RELEASE, "cloned_release": RELEASE});
            all.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            all
        };
        let template = config(json!({"type": "template", "template": 1}));
        lab.add_template(pool, "base", Some(&release), &template);
        let web = config(json!({"jail_zfs_dataset": "iocage/jails/web/data", "notes": "web"}));
        lab.add_jail(pool, "web", Some(&release), &web);
        lab.add_jail(
            pool,
            "web-2",
            Some(&release),
            &config(json!({"depends": "web"})),
        );
        // As iocage makes it: a snapshot of the template and of its root.
        lab.zfs(&["snapshot", &format!("{pool}/iocage/templates/base@db")]);
        let db = config(json!({"source_template": "base"}));
        lab.add_jail(pool, "db", Some("templates/base"), &db);
        lab.add_jail(pool, "kid", Some("jails/web"), &config(json!({})));
        let plugin = Instance::of(&lab);
        let scene = Scene { lab, plugin };
        let text = format!(
            "# web\n/data\t{}/mnt\tnullfs\tro\t0\t0\n",
            scene.folder("web/root").display()
        );
        fs::write(scene.folder("web/fstab"), text).unwrap();
        Some(scene)
    }

    fn folder(&self, path: &str) -> PathBuf {
        self.lab
            .iocage_root(self.lab.pool(0))
            .join("jails")
            .join(path)
    }

    fn name(&self, dataset: &str) -> String {
        format!("{}/iocage/{dataset}", self.lab.pool(0))
    }

    fn config(&self, jail: &str) -> Value {
        let path = self.folder(jail).join("config.json");
        parse(&fs::read_to_string(path).unwrap())
    }

    fn rename(&self, jail: &str, name: &str) -> Value {
        self.plugin
            .ask(&json!({"action": "renamejail", "jail": jail, "name": name}))
    }

    /// The same, asked again while zfs-fuse has not let go of what it has just unmounted.
    fn rename_patiently(&self, jail: &str, name: &str) -> Value {
        common::acting::patiently(|| self.rename(jail, name))
    }

    /// All datasets and snapshots, without the pool in front of them.
    fn all(&self) -> Vec<String> {
        let root = self.name("");
        let all = self.lab.datasets(&[self.lab.pool(0)]);
        all.iter()
            .filter_map(|name| name.strip_prefix(&root).map(String::from))
            .collect()
    }

    fn origin(&self, jail: &str) -> String {
        let root = self.name(&format!("jails/{jail}/root"));
        let origin = self.lab.zfs(&["list", "-H", "-o", "origin", &root]);
        origin
            .trim()
            .strip_prefix(&self.name(""))
            .unwrap_or(origin.trim())
            .into()
    }

    /// zfs-fuse says "busy" for a moment after an unmount.
    fn zfs_rename(&self, from: &str, to: &str) {
        let (from, to) = (self.name(from), self.name(to));
        let done = || self.lab.try_zfs(&["rename", &from, &to]).status.success();
        common::eventually(&format!("{from} becomes {to}"), done);
    }

    /// How often iocage was run to rename, since the last time.
    fn tries(&self) -> usize {
        let commands = self.lab.commands();
        self.lab.forget_commands();
        commands
            .iter()
            .filter(|line| line[0] == "iocage" && line[1] == "rename")
            .count()
    }
}

/// In the place of iocage: what the script does of a rename.
fn rename_fault(script: &str) -> String {
    format!("pool=$(head -n 1 \"$lab/pools\")\ncase $1 in rename) {script} ;; esac")
}

#[test]
fn a_jail_gets_its_new_name_everywhere() {
    let Some(scene) = Scene::new() else { return };
    let answer = scene.rename_patiently("web", "www");
    let warning = "\"depends\" of jail web-2 still says web";
    assert_eq!(
        answer,
        json!({"success": "jail web renamed to www.", "warning": warning})
    );
    let commands = scene.lab.commands();
    let renames: Vec<_> = commands
        .iter()
        .filter(|line| line[0] == "iocage" && line[1] != "--version")
        .collect();
    assert_eq!(
        renames,
        [&["iocage", "rename", "web", "--", "www"]
            .map(String::from)
            .to_vec()]
    );
    let config = scene.config("www");
    for (key, value) in [
        ("host_hostuuid", "www"),
        ("host_hostname", "www"),
        ("jail_zfs_dataset", "iocage/jails/www/data"),
        ("notes", "web"),
    ] {
        assert_eq!(config[key], value, "{key}");
    }
    let fstab = fs::read_to_string(scene.folder("www/fstab")).unwrap();
    assert!(
        fstab.contains(&format!("{}/mnt", scene.folder("www/root").display())),
        "{fstab}"
    );
    let all = scene.all();
    let has = |name: &str| all.iter().any(|one| one == name);
    assert!(has("jails/www/root") && !has("jails/web"), "{all:?}");
    assert_eq!(scene.origin("www"), format!("releases/{RELEASE}/root@www"));
    assert_eq!(scene.origin("kid"), "jails/www/root@kid");
    assert_eq!(
        scene.origin("web-2"),
        format!("releases/{RELEASE}/root@web-2")
    );
    let listed = scene.plugin.ask_for("listjails");
    assert!(
        listed["jails"]["www"].is_object() && listed["jails"]["web"].is_null(),
        "{listed}"
    );
    assert_eq!(error_of(&scene.rename("web", "wwww")).0, "not_found");
}

#[test]
fn the_snapshot_of_a_template_or_jail_gets_the_new_name_too() {
    let Some(scene) = Scene::new() else { return };
    for (old, new, source) in [
        ("db", "sql", "templates/base"),
        ("kid", "child", "jails/web"),
    ] {
        let answer = scene.rename_patiently(old, new);
        assert_eq!(
            answer,
            json!({"success": format!("jail {old} renamed to {new}.")})
        );
        assert_eq!(scene.origin(new), format!("{source}/root@{new}"));
        let all = scene.all();
        assert!(
            !all.iter().any(|name| name.ends_with(&format!("@{old}"))),
            "{all:?}"
        );
    }
    assert!(scene.all().contains(&"templates/base@sql".into()));
    assert_eq!(scene.config("sql")["source_template"], "base");
}

#[test]
fn what_it_was_cloned_from_is_asked_again() {
    let Some(scene) = Scene::new() else { return };
    scene.plugin.ask_for("listjails");
    scene.lab.zfs(&["promote", &scene.name("jails/db/root")]);
    let reply = scene.rename_patiently("db", "data");
    assert_eq!(reply, json!({"success": "jail db renamed to data."}));
    let all = scene.all();
    // Its own snapshot now; the one of the template is no longer its.
    for snapshot in ["jails/data/root@db", "templates/base@db"] {
        assert!(all.iter().any(|name| name == snapshot), "{all:#?}");
    }
}

#[test]
fn a_template_gets_another_name_and_its_jails_know_it() {
    let Some(scene) = Scene::new() else { return };
    let answer = scene.rename_patiently("base", "ground");
    assert_eq!(
        answer,
        json!({"success": "template base renamed to ground."})
    );
    assert_eq!(scene.origin("db"), "templates/ground/root@db");
    assert_eq!(scene.config("db")["source_template"], "ground");
    let listed = scene.plugin.ask_for("listtemplates");
    assert_eq!(
        listed["templates"]
            .as_object()
            .unwrap()
            .keys()
            .collect::<Vec<_>>(),
        ["ground"]
    );
}

#[test]
fn what_is_in_the_way_is_told_and_nothing_is_changed() {
    let Some(scene) = Scene::new() else { return };
    let pool = scene.lab.pool(0);
    let lab = &scene.lab;
    lab.add_jail(pool, "a.b", None, &json!({}));
    lab.add_jail(pool, "odd", None, &json!({"host_hostuuid": "claimed"}));
    lab.add_jail(pool, "SMALL", None, &json!({}));
    lab.add_jail(pool, "broken", None, &json!({}));
    fs::write(scene.folder("broken/config.json"), "{").unwrap();
    lab.add_jail(pool, "away", None, &json!({}));
    for part in ["away/root", "away"] {
        lab.zfs(&["unmount", &scene.name(&format!("jails/{part}"))]);
    }
    lab.add_jail(pool, "guest", None, &json!({}));
    let line = format!(
        "{}/data {}/x nullfs ro 0 0\n",
        scene.folder("kid/root").display(),
        scene.folder("guest/root").display()
    );
    fs::write(scene.folder("guest/fstab"), line).unwrap();
    lab.zfs(&[
        "snapshot",
        &scene.name(&format!("releases/{RELEASE}/root@mine")),
    ]);
    lab.zfs(&["snapshot", &scene.name("templates/base@theirs")]);
    lab.start(7, "web-2", &scene.folder("web-2/root"));
    let (before, web) = (scene.all(), scene.config("web"));
    scene.tries();
    for (jail, name, code, part) in [
        ("web-2", "new", "in_use", "is running"),
        ("web", "kid", "conflict", "the jail kid exists already"),
        (
            "web",
            "base",
            "conflict",
            "the template base exists already",
        ),
        ("web", "a_b", "conflict", "the jail a.b exists already"),
        ("web", "claimed", "conflict", "the jail odd exists already"),
        ("web", "web", "conflict", "is called so already"),
        ("web", "mine", "conflict", "root@mine exists already"),
        ("db", "theirs", "conflict", "base@theirs exists already"),
        ("kid", "new", "in_use", "the fstab of jail guest mounts"),
        (
            "web",
            "new",
            "in_use",
            "the fstab of jail away cannot be read",
        ),
        ("away", "new", "unavailable", "unmounted"),
        ("broken", "new", "unavailable", "CORRUPT"),
        ("SMALL", "new", "unavailable", "means something else"),
        ("nosuch", "new", "not_found", "no jail"),
        ("we", "new", "not_found", "no jail"),
        ("web", "-x", "invalid_argument", "\"name\""),
        ("web", "a b", "invalid_argument", "\"name\""),
        ("web", "a/b", "invalid_argument", "\"name\""),
        ("web", "ALLES", "invalid_argument", "\"name\""),
        ("web", "default", "invalid_argument", "\"name\""),
        ("web", "", "invalid_argument", "\"name\""),
    ] {
        let answer = scene.rename(jail, name);
        let (is, message) = error_of(&answer);
        assert_eq!(is, code, "{jail} {name}: {message}");
        assert!(
            message.contains(part) && !message.contains('\n'),
            "{jail} {name}: {message}"
        );
    }
    for args in [
        json!({"action": "renamejail", "jail": "web"}),
        json!({"action": "renamejail", "name": "new"}),
        json!({"action": "renamejail", "jails": ["web"], "name": "new"}),
        json!({"action": "renamejail", "jail": "web", "name": 7}),
        json!({"action": "renamejail", "jail": "web", "name": "new", "force": true}),
    ] {
        assert_eq!(
            error_of(&scene.plugin.ask(&args)).0,
            "invalid_argument",
            "{args}"
        );
    }
    let args = json!({"action": "renamejail", "jail": "web", "name": "new"});
    assert_eq!(
        scene
            .plugin
            .evaluate(&args.to_string(), SYSADM_IOCAGE_ACCESS_READ)
            .0,
        403
    );
    assert_eq!(scene.tries(), 0);
    assert_eq!((scene.all(), scene.config("web")), (before, web));
}

#[test]
fn a_jail_that_others_use_keeps_its_name() {
    let Some(scene) = Scene::new() else { return };
    let before = (scene.all(), scene.config("web"));
    let refused = |part: &str| {
        let answer = scene.rename("web", "new");
        let (code, message) = error_of(&answer);
        assert_eq!(code, "in_use", "{part}: {message}");
        assert!(message.contains(part), "{part}: {message}");
        assert_eq!(scene.tries(), 0, "{part}");
        assert_eq!((scene.all(), scene.config("web")), before, "{part}");
    };
    // By a link of the host.
    let link = scene.lab.dir().join("link");
    symlink(scene.folder("web/root"), &link).unwrap();
    let fstab = scene.folder("kid/fstab");
    let mount = |source: &Path| {
        let at = scene.folder("kid/root/mnt");
        let line = format!("{} {} nullfs ro 0 0\n", source.display(), at.display());
        fs::write(&fstab, line).unwrap();
    };
    mount(&link.join("data"));
    refused("the fstab of jail kid mounts");
    // What cannot be read may say so too.
    fs::remove_file(&fstab).unwrap();
    fs::create_dir(&fstab).unwrap();
    refused("the fstab of jail kid cannot be read");
    fs::remove_dir(&fstab).unwrap();
    // Whoever mounts a folder above does not have what is mounted below that.
    mount(&scene.folder(""));
    // Another jail runs in its root.
    let stranger = |root: &str| scene.lab.start(9, "stranger", &scene.folder(root));
    stranger("web/root/inner");
    refused("running inside of jail web: ioc-stranger (jid 9)");
    scene.lab.set_running(&[]);
    stranger("kid/root");
    let answer = scene.rename_patiently("web", "new");
    assert!(answer["success"].is_string(), "{answer}");
}

#[test]
fn a_snapshot_of_its_name_above_another_is_in_the_way() {
    let Some(scene) = Scene::new() else { return };
    let above = scene.name("releases@web");
    scene.lab.zfs(&["snapshot", &above]);
    let before = scene.all();
    scene.lab.forget_commands();
    let answer = scene.rename("web", "www");
    let (code, message) = error_of(&answer);
    assert_eq!(code, "conflict", "{message}");
    assert!(message.contains(&above), "{message}");
    assert_eq!((scene.tries(), scene.all()), (0, before));
    scene.lab.zfs(&["destroy", &above]);
    assert!(scene.rename_patiently("web", "www")["success"].is_string());
}

#[test]
fn if_iocage_fails_all_is_as_it_was() {
    let Some(scene) = Scene::new() else { return };
    // A jail of that name was made from it once.
    scene.lab.add_release(scene.lab.pool(0), "12.4-RELEASE");
    let other = scene.name("releases/12.4-RELEASE/root@web");
    scene.lab.zfs(&["snapshot", &other]);
    let before = scene.all();
    for (jail, script, part) in [
        // It renames the release's snapshot, and cannot rename the dataset.
        (
            "web",
            "\"$lab/real/zfs\" rename -r $pool/iocage/releases/13.2-RELEASE/root@web @www || exit 9
             echo 'dataset is busy' >&2; exit 1",
            "dataset is busy",
        ),
        // It renames one release's, and then another's whose name is in its way meanwhile.
        (
            "web",
            "\"$lab/real/zfs\" rename -r $pool/iocage/releases/12.4-RELEASE/root@web @www || exit 9
             echo 'no, not the second' >&2; exit 1",
            "no, not the second",
        ),
        ("web", "echo nothing; exit 0", "iocage said nothing"),
        ("db", "echo 'no, not that' >&2; exit 1", "no, not that"),
        ("kid", "exit 3", "exit code 3"),
    ] {
        scene.lab.set_fault("iocage", Some(&rename_fault(script)));
        let answer = scene.rename(jail, "www");
        let (code, message) = error_of(&answer);
        assert_eq!(code, "failed", "{message}");
        assert!(
            message.contains(part) && message.ends_with("; all is as it was"),
            "{message}"
        );
        assert_eq!(scene.all(), before, "{jail}");
    }
    scene.lab.set_fault("iocage", None);
    assert!(scene.rename_patiently("web", "www")["success"].is_string());
}

#[test]
fn what_iocage_leaves_half_done_is_finished() {
    let Some(scene) = Scene::new() else { return };
    let script =
        "\"$lab/real/zfs\" rename -r $pool/iocage/releases/13.2-RELEASE/root@web @www || exit 9
        tries=0
        until \"$lab/real/zfs\" rename $pool/iocage/jails/web $pool/iocage/jails/www; do
            tries=$((tries + 1)); [ $tries -lt 50 ] || exit 9; sleep 0.2
        done
        echo 'Traceback' >&2; exit 1";
    scene.lab.set_fault("iocage", Some(&rename_fault(script)));
    let answer = scene.rename_patiently("web", "www");
    assert_eq!(answer["success"], "jail web renamed to www.", "{answer}");
    assert!(
        answer["warning"].as_str().unwrap().contains("Traceback"),
        "{answer}"
    );
    let config = scene.config("www");
    assert_eq!(config["host_hostuuid"], "www");
    assert_eq!(config["host_hostname"], "www");
    assert_eq!(config["jail_zfs_dataset"], "iocage/jails/www/data");
    let fstab = fs::read_to_string(scene.folder("www/fstab")).unwrap();
    assert!(
        fstab.starts_with("# web\n") && fstab.contains("/jails/www/root/mnt\t"),
        "{fstab}"
    );
}

#[test]
fn what_a_crash_cut_short_is_finished_when_asked_for_again() {
    let Some(scene) = Scene::new() else { return };
    let root = scene.name(&format!("releases/{RELEASE}/root"));
    let snapshot = |from: &str, to: &str| {
        scene
            .lab
            .zfs(&["rename", &format!("{root}@{from}"), &format!("{root}@{to}")]);
    };
    // After the release's snapshot.
    snapshot("web-2", "two");
    assert!(scene.rename_patiently("web-2", "two")["success"].is_string());
    assert_eq!(scene.origin("two"), format!("releases/{RELEASE}/root@two"));
    // After the template's snapshot, which is renamed first.
    for part in ["base", "base/root"] {
        let of = scene.name(&format!("templates/{part}"));
        scene
            .lab
            .zfs(&["rename", &format!("{of}@db"), &format!("{of}@sql")]);
    }
    assert_eq!(
        scene.rename_patiently("db", "sql"),
        json!({"success": "jail db renamed to sql."})
    );
    assert_eq!(scene.origin("sql"), "templates/base/root@sql");

    // After the dataset: the listing shows it, and it is found by the uuid that it still has.
    snapshot("web", "www");
    scene.zfs_rename("jails/web", "jails/www");
    let listed = scene
        .plugin
        .ask(&json!({"action": "listjails", "detail": true}));
    assert_eq!(listed["jails"]["web"]["name"], "www", "{listed}");
    assert_eq!(
        scene.rename_patiently("web", "www")["success"],
        "jail web renamed to www."
    );
    assert_eq!(scene.config("www")["host_hostname"], "www");

    // After the settings: only the fstab is left.
    let text = format!(
        "/data\t{}/mnt\tnullfs\tro\t0\t0\n",
        scene.folder("web/root").display()
    );
    fs::write(scene.folder("www/fstab"), text).unwrap();
    assert_eq!(error_of(&scene.rename("web", "www")).0, "not_found");
    assert_eq!(
        scene.rename_patiently("www", "www")["success"],
        "jail web renamed to www."
    );
    let text = fs::read_to_string(scene.folder("www/fstab")).unwrap();
    assert!(text.contains("/jails/www/root/mnt\t"), "{text}");
    assert_eq!(
        error_of(&scene.rename("www", "www")).0,
        "conflict",
        "there is nothing left"
    );
}
