//! What is mounted in jails is added and removed: in their fstab alone, which keeps all else.

mod common;

use std::fs;
use std::os::unix::fs::{symlink, MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

use common::{error_of, Instance};
use serde_json::{json, Value};
use sysadm_iocage::ffi::SYSADM_IOCAGE_ACCESS_READ;
use sysadm_iocage_lab::Lab;

const TEXT: &str = "# mine\n\n/odd\n  /a   /b   nullfs rw,noatime 0 0  # why\n";

struct Scene {
    lab: Lab,
    plugin: Instance,
    /// The root of the jail web.
    root: PathBuf,
    /// A folder of the host.
    data: String,
}

impl Scene {
    /// A pool with the jails web, web2 and away (not mounted), and the template base.
    fn new() -> Option<Self> {
        let lab = Lab::or_skip(1)?;
        let pool = lab.pool(0);
        lab.lay_out(pool);
        lab.mark(pool, true);
        for name in ["web", "web2", "away"] {
            lab.add_jail(pool, name, None, &json!({}));
        }
        lab.add_template(pool, "base", None, &json!({"type": "template"}));
        for part in ["away/root", "away"] {
            lab.zfs(&["unmount", &format!("{pool}/iocage/jails/{part}")]);
        }
        let root = lab.iocage_root(pool).join("jails/web/root");
        fs::create_dir_all(root.join("mnt/there")).unwrap();
        let data = lab.dir().join("my data");
        fs::create_dir_all(data.join("below")).unwrap();
        let plugin = Instance::of(&lab);
        let scene = Scene {
            root,
            data: data.to_str().unwrap().into(),
            plugin,
            lab,
        };
        scene.write(TEXT);
        Some(scene)
    }

    fn file(&self) -> PathBuf {
        self.root.with_file_name("fstab")
    }

    fn write(&self, text: &str) {
        fs::write(self.file(), text).unwrap();
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    fn ask(&self, action: &str, args: Value) -> Value {
        let mut all = json!({"action": action, "jail": "web"});
        all.as_object_mut()
            .unwrap()
            .extend(args.as_object().unwrap().clone());
        self.plugin.ask(&all)
    }

    fn add(&self, destination: &str) -> Value {
        self.ask(
            "addmount",
            json!({"source": self.data, "destination": destination}),
        )
    }

    fn line(&self, destination: &str, options: &str) -> String {
        let source = self.data.replace(' ', "\\040");
        format!(
            "{source}\t{}{destination}\tnullfs\t{options}\t0\t0\n",
            self.root.display()
        )
    }
}

#[test]
fn a_mount_is_added_and_removed_and_nothing_else_is_touched() {
    let Some(scene) = Scene::new() else { return };
    fs::set_permissions(scene.file(), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(scene.file(), Some(7), Some(8)).unwrap();
    let answer = scene.add("/mnt/there/");
    let success = format!("mount of {} at /mnt/there added to jail web.", scene.data);
    assert_eq!(answer, json!({ "success": success }));
    let with_one = format!("{TEXT}{}", scene.line("/mnt/there", "ro"));
    assert_eq!(scene.text(), with_one);
    let meta = fs::metadata(scene.file()).unwrap();
    assert_eq!(
        (meta.mode() & 0o7777, meta.uid(), meta.gid()),
        (0o640, 7, 8)
    );

    // A folder that is missing is made; as listmounts tells it; with options.
    let full = format!("{}/new/deep er", scene.root.display());
    let answer = scene.ask(
        "addmount",
        json!({
            "source": scene.data, "destination": full, "options": "rw,noatime",
        }),
    );
    assert!(
        answer["success"]
            .as_str()
            .unwrap()
            .contains(" at /new/deep er "),
        "{answer}"
    );
    let made = fs::metadata(scene.root.join("new/deep er")).unwrap();
    assert_eq!((made.mode() & 0o7777, made.uid()), (0o755, 0));
    let listed = scene
        .plugin
        .ask(&json!({"action": "listmounts", "jail": "web"}));
    let entry = listed["jails"]["web"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(
        entry,
        json!({
            "source": scene.data, "destination": full, "type": "nullfs", "options": "rw,noatime",
            "dump": "0", "pass": "0", "owner": "user",
        })
    );

    let gone = scene.ask("removemount", json!({"destination": "/new/deep er"}));
    assert_eq!(
        gone,
        json!({"success": "mount at /new/deep er removed from jail web."})
    );
    assert_eq!(scene.text(), with_one);
    scene.write(&format!(
        "{with_one}{}#end",
        scene.line("/mnt/there//", "rw")
    ));
    let gone = scene.ask("removemount", json!({"destination": "/mnt/there"}));
    assert_eq!(
        gone,
        json!({"success": "2 mounts at /mnt/there removed from jail web."})
    );
    assert_eq!(scene.text(), format!("{TEXT}#end"));
    // A line that points elsewhere, by what it says.
    let gone = scene.ask("removemount", json!({"destination": "/b"}));
    assert!(gone["success"].is_string(), "{gone}");
    assert_eq!(scene.text(), "# mine\n\n/odd\n#end");
    assert!(scene.lab.commands().iter().all(|line| line[0] != "iocage"));
    let names = fs::read_dir(scene.root.parent().unwrap()).unwrap();
    assert_eq!(names.count(), 3, "config.json, fstab, root, and no draft");
}

#[test]
fn no_link_leads_a_mount_out_of_the_jail() {
    let Some(scene) = Scene::new() else { return };
    let outside = scene.lab.dir().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, scene.root.join("out")).unwrap();
    symlink("../../../../../outside", scene.root.join("mnt/up")).unwrap();
    symlink("mnt", scene.root.join("in")).unwrap();
    fs::write(scene.root.join("file"), "").unwrap();
    for destination in [
        "/out",
        "/out/new",
        "/mnt/up/new",
        "/in/there",
        "/file",
        "/file/x",
    ] {
        let answer = scene.add(destination);
        let (code, message) = error_of(&answer);
        assert_eq!(code, "invalid_argument", "{destination}");
        assert!(
            message.contains("is a symbolic link, or no folder"),
            "{message}"
        );
    }
    assert!(fs::read_dir(&outside).unwrap().next().is_none());
    assert_eq!(scene.text(), TEXT);
}

#[test]
fn below_another_mount_what_is_mounted_there_counts() {
    let Some(scene) = Scene::new() else { return };
    assert!(scene.add("/mnt")["success"].is_string());
    // It is there in the source, or it is not: in the jail's own files is nothing made.
    assert!(scene.add("/mnt/below")["success"].is_string());
    let answer = scene.add("/mnt/there");
    let (code, message) = error_of(&answer);
    assert_eq!(code, "not_found");
    assert!(
        message.contains(&format!("{}/there", scene.data)),
        "{message}"
    );
    symlink("/", PathBuf::from(&scene.data).join("link")).unwrap();
    assert_eq!(error_of(&scene.add("/mnt/link/etc")).0, "invalid_argument");
    // Above another one.
    fs::create_dir_all(scene.root.join("a/b")).unwrap();
    assert!(scene.add("/a/b")["success"].is_string());
    assert!(scene.add("/a")["success"].is_string());
    // Of what is mounted by another type nobody knows.
    let tmpfs =
        json!({"source": "tmpfs", "destination": "/tmp", "type": "tmpfs", "options": "rw,size=1g"});
    assert!(scene.ask("addmount", tmpfs)["success"].is_string());
    assert!(scene.add("/tmp/anything")["success"].is_string());
    assert!(!scene.root.join("tmp/anything").exists());
}

#[test]
fn what_is_on_a_server_is_no_file_of_the_host() {
    let Some(scene) = Scene::new() else { return };
    for (kind, source, shown) in [
        ("smbfs", "//user:hunter2@host/share", "//...@host/share"),
        ("smbfs", "//host/share", "//host/share"),
        ("nfs", "host:/nonexistent", "host:/nonexistent"),
        ("nfs", "[2001:db8::1]:/a", "[2001:db8::1]:/a"),
        ("zfs", "tank/nonexistent", "tank/nonexistent"),
    ] {
        scene.write(TEXT);
        let args = json!({"source": source, "destination": "/mnt/there", "type": kind});
        let answer = scene.ask("addmount", args);
        let success = format!("mount of {shown} at /mnt/there added to jail web.");
        assert_eq!(answer, json!({ "success": success }));
        let at = format!("{}/mnt/there", scene.root.display());
        let line = format!("{source}\t{at}\t{kind}\tro\t0\t0\n");
        assert_eq!(scene.text(), format!("{TEXT}{line}"));
    }
}

#[test]
fn wrong_mounts_are_refused_and_nothing_is_written() {
    let Some(scene) = Scene::new() else { return };
    let there = format!("{TEXT}{}", scene.line("/mnt/there", "ro"));
    scene.write(&there);
    let file = scene.lab.dir().join("a file");
    fs::write(&file, "").unwrap();
    let (file, data) = (file.to_str().unwrap(), &*scene.data);
    let root = scene.root.to_str().unwrap();
    let long = format!("/{}", "x".repeat(199)).repeat(5);
    for (args, code, part) in [
        (
            json!({"destination": "/new"}),
            "invalid_argument",
            "\"source\": missing",
        ),
        (
            json!({"source": data}),
            "invalid_argument",
            "\"destination\": missing",
        ),
        (
            json!({"source": "data", "destination": "/new"}),
            "invalid_argument",
            "absolute path",
        ),
        (
            json!({"source": "/a/../b", "destination": "/new"}),
            "invalid_argument",
            "\"source\"",
        ),
        (
            json!({"source": "-o", "destination": "/new", "type": "x"}),
            "invalid_argument",
            "\"source\"",
        ),
        (
            json!({"source": "/a\nb", "destination": "/new"}),
            "invalid_argument",
            "\"source\"",
        ),
        (
            json!({"source": "/a\\b", "destination": "/new"}),
            "invalid_argument",
            "\"source\": must not contain a backslash",
        ),
        (
            json!({"source": data, "destination": "/ne\\w"}),
            "invalid_argument",
            "\"destination\": must not contain a backslash",
        ),
        (
            json!({"source": "/nonexistent", "destination": "/new"}),
            "not_found",
            "no folder",
        ),
        (
            json!({"source": file, "destination": "/new"}),
            "not_found",
            "no folder",
        ),
        (
            json!({"source": data, "destination": "new"}),
            "invalid_argument",
            "\"destination\"",
        ),
        (
            json!({"source": data, "destination": "/../new"}),
            "invalid_argument",
            "\"destination\"",
        ),
        (
            json!({"source": data, "destination": "/new/./x"}),
            "invalid_argument",
            "\"destination\"",
        ),
        (
            json!({"source": data, "destination": "/"}),
            "invalid_argument",
            "below the jail's root",
        ),
        (
            json!({"source": data, "destination": root}),
            "invalid_argument",
            "below the jail's root",
        ),
        (
            json!({"source": data, "destination": long}),
            "invalid_argument",
            "too long",
        ),
        (
            json!({"source": data, "destination": "/mnt//there"}),
            "conflict",
            "already",
        ),
        (
            json!({"source": data, "destination": "/new", "type": "null fs"}),
            "invalid_argument",
            "\"type\"",
        ),
        (
            json!({"source": data, "destination": "/new", "options": "noatime"}),
            "invalid_argument",
            "\"options\"",
        ),
        (
            json!({"source": data, "destination": "/new", "options": "ro,rw"}),
            "invalid_argument",
            "\"options\"",
        ),
        (
            json!({"source": data, "destination": "/new", "options": "ro rw"}),
            "invalid_argument",
            "\"options\"",
        ),
        (
            json!({"source": data, "destination": "/new", "options": "ro,mountprog=/x"}),
            "invalid_argument",
            "mountprog",
        ),
        (
            json!({"source": data, "destination": "/new", "options": "ro,-x"}),
            "invalid_argument",
            "\"options\"",
        ),
        (
            json!({"source": data, "destination": "/new", "options": "ro,fspath=/etc"}),
            "invalid_argument",
            "\"fspath\"",
        ),
        (
            json!({"source": data, "destination": "/new", "options": "ro,"}),
            "invalid_argument",
            "commas",
        ),
        (
            json!({"source": data, "destination": "/new", "type": "NULLFS"}),
            "invalid_argument",
            "\"type\"",
        ),
        (
            json!({"source": "/export", "destination": "/new", "type": "nfs"}),
            "invalid_argument",
            "must be host:/path for the type nfs",
        ),
        (
            json!({"source": "//host/share", "destination": "/new", "type": "ufs"}),
            "invalid_argument",
            "for the type ufs",
        ),
        (
            json!({"source": "/nonexistent", "destination": "/new", "type": "ufs"}),
            "not_found",
            "no file",
        ),
        (
            json!({"source": data, "destination": "/new", "jail": "we"}),
            "not_found",
            "no jail",
        ),
        (
            json!({"source": data, "destination": "/new", "jail": "away"}),
            "unavailable",
            "unmounted",
        ),
        (
            json!({"source": data, "destination": "/new", "jail": "base"}),
            "conflict",
            "template",
        ),
        (
            json!({"source": data, "destination": "/new", "force": true}),
            "invalid_argument",
            "\"force\"",
        ),
    ] {
        let answer = scene.ask("addmount", args.clone());
        let (is, message) = error_of(&answer);
        assert_eq!(is, code, "{args}: {message}");
        assert!(
            message.contains(part) && !message.contains('\n'),
            "{args}: {message}"
        );
    }
    for (args, code) in [
        (json!({}), "invalid_argument"),
        (json!({"destination": "/new"}), "not_found"),
        (json!({"destination": "/mnt"}), "not_found"),
        (json!({"destination": "there"}), "invalid_argument"),
        (
            json!({"destination": "/mnt/there", "jail": "nosuch"}),
            "not_found",
        ),
        (
            json!({"destination": "/mnt/there", "jail": "web2"}),
            "not_found",
        ),
        (
            json!({"destination": "/mnt/there", "jail": "away"}),
            "unavailable",
        ),
    ] {
        let answer = scene.ask("removemount", args.clone());
        assert_eq!(error_of(&answer).0, code, "{args}: {answer}");
    }
    for args in [
        json!({"action": "addmount", "jail": "web", "source": data, "destination": "/new"}),
        json!({"action": "removemount", "jail": "web", "destination": "/mnt/there"}),
    ] {
        let (status, _) = scene
            .plugin
            .evaluate(&args.to_string(), SYSADM_IOCAGE_ACCESS_READ);
        assert_eq!(status, 403);
    }
    assert_eq!(scene.text(), there);
    assert!(!scene.root.join("new").exists());
}

#[test]
fn an_fstab_that_cannot_be_read_is_left_alone() {
    let Some(scene) = Scene::new() else { return };
    let away = scene.lab.dir().join("elsewhere");
    fs::write(&away, TEXT).unwrap();
    let file = scene.file();
    let fifo = |path: &PathBuf| {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    type Make<'a> = &'a dyn Fn();
    let makes: [Make; 4] = [
        &|| symlink(&away, &file).unwrap(),
        &|| fifo(&file),
        &|| fs::create_dir(&file).unwrap(),
        &|| fs::File::create(&file).unwrap().set_len(2 << 20).unwrap(),
    ];
    for make in makes {
        let _ = fs::remove_file(&file).or_else(|_| fs::remove_dir(&file));
        make();
        let kind = fs::symlink_metadata(&file).unwrap().file_type();
        for answer in [
            scene.add("/new"),
            scene.ask("removemount", json!({"destination": "/b"})),
        ] {
            let (code, message) = error_of(&answer);
            assert_eq!(code, "failed");
            assert!(message.contains("fstab cannot be read"), "{message}");
        }
        assert_eq!(fs::symlink_metadata(&file).unwrap().file_type(), kind);
        assert!(!scene.root.join("new").exists());
    }
    assert_eq!(fs::read_to_string(&away).unwrap(), TEXT);
    // Where there is none, one is made.
    fs::remove_file(&file).unwrap();
    assert!(scene.add("/new")["success"].is_string());
    assert_eq!(scene.text(), scene.line("/new", "ro"));
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o644);
}

#[test]
fn what_is_mounted_now_or_iocages_own_is_not_removed() {
    let Some(scene) = Scene::new() else { return };
    let releases = scene
        .lab
        .iocage_root(scene.lab.pool(0))
        .join("releases/13.2-RELEASE/root/bin");
    let own = format!(
        "{}\t{}/bin\tnullfs\tro\t0\t0\n",
        releases.display(),
        scene.root.display()
    );
    scene.write(&own);
    let answer = scene.ask("removemount", json!({"destination": "/bin"}));
    let (code, message) = error_of(&answer);
    assert_eq!(code, "conflict");
    assert!(message.contains("iocage's own"), "{message}");
    assert_eq!(scene.text(), own);

    // A running jail has a new mount at its next start; one that it has must be stopped for it.
    scene.lab.start(7, "web", &scene.root);
    let answer = scene.add("/mnt/there");
    assert_eq!(answer["needs_restart"], "true");
    let there = scene.root.join("mnt/there");
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "none"])
        .arg(&there)
        .status();
    assert!(mount.unwrap().success());
    let before = scene.text();
    let answer = scene.ask("removemount", json!({"destination": "/mnt/there"}));
    assert!(Command::new("umount")
        .arg(&there)
        .status()
        .unwrap()
        .success());
    let (code, message) = error_of(&answer);
    assert_eq!(code, "in_use");
    assert!(message.contains("stop it first"), "{message}");
    assert_eq!(scene.text(), before);
    let answer = scene.ask("removemount", json!({"destination": "/mnt/there"}));
    assert!(answer["success"].is_string(), "{answer}");
    assert_eq!(scene.text(), own);
}
