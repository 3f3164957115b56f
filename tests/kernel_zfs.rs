//! What only a ZFS in the kernel has: keys, pools that are suspended, disks that fail or hang, zoned
//! datasets, volumes and bookmarks. `make openzfs` runs it, and `make test` does not.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr;
use std::sync::{mpsc, Arc};
use std::time::{Duration, Instant};

use common::{error_of, eventually, looking, run, Instance};
use serde_json::{json, Value};
use sysadm_iocage_lab::Lab;

const RELEASE: &str = "13.2-RELEASE";

/// What a command may take, and what an answer may that has to wait for such a one, or two.
const TIMEOUT: u64 = 10;
const IN_TIME: Duration = Duration::from_secs(35);

/// A host with this many pools in a kernel's ZFS. The first pool is active and has the jails web
/// and mail.
struct Host {
    lab: Lab,
    plugin: Arc<Instance>,
    disk: Option<Disk>,
}

impl Host {
    fn or_skip(pools: usize) -> Option<Host> {
        if !Path::new("/sys/module/zfs").exists() {
            common::skip("ZFS in a Linux kernel");
            return None;
        }
        let lab = Lab::or_skip(pools)?;
        let mut config = lab.config();
        config["command_timeout_seconds"] = json!(TIMEOUT);
        let plugin = Arc::new(Instance::open(&config, ptr::null()));
        let host = Host {
            lab,
            plugin,
            disk: None,
        };
        host.furnish();
        Some(host)
    }

    /// A host with two pools, one of them on a disk that can fail and hang.
    fn with_disk(pool: usize) -> Option<Host> {
        let mut host = Host::or_skip(2)?;
        let disk = Disk::new(&host.lab);
        host.remake(pool, &["-O", "atime=off"], &disk.path());
        host.disk = Some(disk);
        if pool == 0 {
            host.furnish();
        }
        Some(host)
    }

    fn furnish(&self) {
        let pool = self.lab.pool(0);
        self.lab.lay_out(pool);
        self.lab.mark(pool, true);
        self.lab.add_release(pool, RELEASE);
        for (name, ip4) in [("web", "re0|10.0.0.1"), ("mail", "re0|10.0.0.2")] {
            let config = json!({ "release": RELEASE, "ip4_addr": ip4 });
            let origin = format!("releases/{RELEASE}");
            self.lab.add_jail(pool, name, Some(&origin), &config);
        }
    }

    /// Makes a pool anew, otherwise.
    fn remake(&self, pool: usize, options: &[&str], device: &str) {
        let pool = self.lab.pool(pool);
        self.lab.zpool(&["destroy", "-f", pool]);
        let mountpoint = format!("mountpoint={}", self.lab.mountpoint(pool).display());
        let mut words = vec!["create", "-f", "-o", "cachefile=none", "-O", &mountpoint];
        words.extend(options);
        words.extend([pool, device]);
        self.lab.zpool(&words);
    }

    fn image(&self, pool: usize) -> String {
        self.lab
            .dir()
            .join(self.lab.pool(pool))
            .display()
            .to_string()
    }

    /// A dataset below iocage's in the first pool.
    fn dataset(&self, rest: &str) -> String {
        format!("{}/iocage/{rest}", self.lab.pool(0))
    }

    fn activate(&self, pool: usize) -> Value {
        self.ask(&json!({"action": "activatepool", "pool": self.lab.pool(pool)}))
    }

    /// What is answered, in time.
    fn ask(&self, args: &Value) -> Value {
        let (sender, receiver) = mpsc::channel();
        let (plugin, request) = (Arc::clone(&self.plugin), args.clone());
        std::thread::spawn(move || sender.send(plugin.ask(&request)));
        let answer = receiver.recv_timeout(IN_TIME);
        answer.unwrap_or_else(|_| panic!("no answer in {IN_TIME:?}: {args}"))
    }

    fn ask_for(&self, action: &str) -> Value {
        self.ask(&json!({ "action": action }))
    }

    /// Whether an answer is this error, and names all these.
    fn is_error(answer: &Value, expected: &str, parts: &[&str]) {
        let (code, message) = error_of(answer);
        assert_eq!(code, expected, "{message}");
        for part in parts {
            assert!(message.contains(part), "{part}: {message}");
        }
    }

    /// The jails that are listed, with their state and address.
    fn jails(&self) -> Vec<String> {
        let answer = self.ask_for("listjails");
        let jails = answer["jails"].as_object();
        let jails = jails.unwrap_or_else(|| panic!("{answer}")).values();
        let text = |jail: &Value, key: &str| jail[key].as_str().unwrap().to_string();
        let mut lines: Vec<String> = jails
            .map(|jail| {
                ["uuid", "state", "ip4"]
                    .map(|key| text(jail, key))
                    .join(" ")
            })
            .collect();
        lines.sort();
        lines
    }

    fn usual_jails() -> Vec<String> {
        vec![
            "mail down re0|10.0.0.2".into(),
            "web down re0|10.0.0.1".into(),
        ]
    }

    fn is_active(&self, pool: usize) {
        let expected = json!({"activated": "true", "pool": self.lab.pool(pool)});
        assert_eq!(self.ask_for("activatestatus"), expected);
    }

    fn is_marked(&self, pool: usize) -> bool {
        self.lab
            .active_pools()
            .contains(&self.lab.pool(pool).to_string())
    }

    fn health(&self, pool: usize) -> String {
        let health = self
            .lab
            .zpool(&["list", "-H", "-o", "health", self.lab.pool(pool)]);
        health.trim().into()
    }

    /// Suspends the pool on the disk.
    /// All that looking could change in a pool.
    fn everything(&self, pool: usize) -> String {
        let pool = self.lab.pool(pool);
        let columns = "name,type,guid,createtxg,mounted,mountpoint,canmount,origin";
        let datasets = self
            .lab
            .zfs(&["list", "-H", "-r", "-t", "all", "-o", columns, pool]);
        let set = self
            .lab
            .zfs(&["get", "-H", "-r", "-s", "local", "all", pool]);
        let mut files = vec![self.lab.iocage_root(pool).join("defaults.json")];
        files.extend(["web", "mail"].map(|jail| self.lab.config_file(pool, jail)));
        let text = |path: &PathBuf| fs::read_to_string(path).unwrap();
        let files: Vec<String> = files.iter().map(text).collect();
        format!("{datasets}{set}{}", files.join("\n"))
    }

    fn suspend(&self, pool: usize) {
        self.disk().becomes("error");
        // Whatever is written suspends it. Who writes waits until it is cleared.
        let mut sync = Command::new("zpool");
        let mut sync = sync.args(["sync", self.lab.pool(pool)]).spawn().unwrap();
        self.write(pool);
        eventually("the pool is suspended", || self.health(pool) == "SUSPENDED");
        std::thread::spawn(move || sync.wait());
    }

    /// Lets a pool work again.
    fn mend(&self, pool: usize) {
        run(Command::new("zinject").args(["-c", "all"]));
        if let Some(disk) = &self.disk {
            disk.becomes("linear");
        }
        self.lab.zpool(&["clear", self.lab.pool(pool)]);
        eventually("the pool works", || self.health(pool) == "ONLINE");
    }

    /// Leaves something to be written to a pool.
    fn write(&self, pool: usize) {
        let place = self.lab.mountpoint(self.lab.pool(pool)).join("written");
        std::thread::spawn(move || fs::write(place, [7; 100_000]));
    }

    fn disk(&self) -> &Disk {
        self.disk.as_ref().expect("the pool is on a disk")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Whatever has failed: a pool that is suspended or hangs could not be destroyed.
        let _ = Command::new("zinject").args(["-c", "all"]).output();
        if let Some(disk) = &self.disk {
            disk.becomes("linear");
        }
        for pool in 0..2 {
            if self.lab.config()["pools"].get(pool).is_some() {
                let mut clear = Command::new("timeout");
                let _ = clear
                    .args(["10", "zpool", "clear", self.lab.pool(pool)])
                    .output();
            }
        }
        // The lab goes before the disk, which its pool is on.
    }
}

/// A disk that can fail and hang.
struct Disk {
    name: String,
    device: String,
    sectors: u64,
}

impl Disk {
    fn new(lab: &Lab) -> Disk {
        let image = lab.dir().join("disk");
        let bytes = 512 << 20;
        fs::File::create(&image).unwrap().set_len(bytes).unwrap();
        let device = run(Command::new("losetup")
            .args(["--find", "--show"])
            .arg(&image));
        let disk = Disk {
            name: format!("{}disk", lab.pool(0)),
            device: String::from_utf8(device.stdout).unwrap().trim().into(),
            sectors: bytes / 512,
        };
        disk.dm(&["create", &disk.name, "--table", &disk.table("linear")]);
        disk
    }

    fn path(&self) -> String {
        format!("/dev/mapper/{}", self.name)
    }

    fn table(&self, kind: &str) -> String {
        match kind {
            "linear" => format!("0 {} linear {} 0", self.sectors, self.device),
            kind => format!("0 {} {kind}", self.sectors),
        }
    }

    /// Answers nothing from now on, not even an error.
    fn hangs(&self) {
        self.dm(&["suspend", "--noflush", "--nolockfs", &self.name]);
    }

    /// Works (`linear`), or fails at everything (`error`), from now on.
    fn becomes(&self, kind: &str) {
        self.hangs();
        self.dm(&["load", &self.name, "--table", &self.table(kind)]);
        self.dm(&["resume", &self.name]);
    }

    fn dm(&self, arguments: &[&str]) {
        run(Command::new("dmsetup").args(arguments));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("dmsetup")
            .args(["remove", "--force", &self.name])
            .output();
        let _ = Command::new("losetup")
            .args(["--detach", &self.device])
            .output();
    }
}

/// Options for a dataset that is encrypted with a key of the lab's.
fn encrypted(lab: &Lab) -> [String; 3] {
    let key = lab.dir().join("key");
    fs::write(&key, "a passphrase").unwrap();
    [
        "encryption=on".into(),
        "keyformat=passphrase".into(),
        format!("keylocation=file://{}", key.display()),
    ]
}

/// Makes a dataset that is encrypted.
fn create_encrypted(lab: &Lab, dataset: &str) {
    let options = encrypted(lab);
    let [a, b, c] = options.each_ref().map(String::as_str);
    lab.zfs(&["create", "-o", a, "-o", b, "-o", c, dataset]);
}

fn lock(lab: &Lab, dataset: &str) {
    lab.zfs(&["unmount", "-f", dataset]);
    lab.zfs(&["unload-key", "-r", dataset]);
}

/// Loads the key and mounts what is below, by name: `zfs mount -a` would mount what other tests
/// have unmounted, and fails where they change something meanwhile.
fn unlock(lab: &Lab, dataset: &str) {
    lab.zfs(&["load-key", dataset]);
    let below = lab.zfs(&["list", "-H", "-r", "-o", "name,mounted,canmount", dataset]);
    for line in below.lines() {
        if let [name, "no", "on"] = line.split('\t').collect::<Vec<_>>()[..] {
            lab.zfs(&["mount", name]);
        }
    }
}

// Keys.

#[test]
fn a_pool_is_activated_only_once_its_key_is_loaded() {
    let Some(host) = Host::or_skip(2) else { return };
    let two = host.lab.pool(1);
    let options = encrypted(&host.lab);
    let options: Vec<&str> = options
        .iter()
        .flat_map(|option| ["-O", option.as_str()])
        .collect();
    host.remake(1, &options, &host.image(1));

    lock(&host.lab, two);
    Host::is_error(&host.activate(1), "unavailable", &["locked", "key", two]);
    assert_eq!(host.lab.active_pools(), [host.lab.pool(0)]);
    unlock(&host.lab, two);
    assert!(host.activate(1)["success"].is_string());
    assert_eq!(host.lab.active_pools(), [two]);
}

#[test]
fn a_pool_whose_iocage_is_locked_is_not_activated() {
    let Some(host) = Host::or_skip(2) else { return };
    let root = format!("{}/iocage", host.lab.pool(1));
    create_encrypted(&host.lab, &root);
    lock(&host.lab, &root);
    Host::is_error(&host.activate(1), "unavailable", &["locked", &root]);
    assert_eq!(host.lab.active_pools(), [host.lab.pool(0)]);
    unlock(&host.lab, &root);
    assert!(host.activate(1)["success"].is_string());
}

#[test]
fn a_locked_jail_is_unmounted_and_the_others_are_as_ever() {
    let Some(host) = Host::or_skip(1) else { return };
    let secret = host.dataset("jails/secret");
    create_encrypted(&host.lab, &secret);
    host.lab.zfs(&["create", &format!("{secret}/root")]);
    let config = json!({"host_hostuuid": "secret", "ip4_addr": "re0|10.0.0.3"});
    let file = host.lab.config_file(host.lab.pool(0), "secret");
    fs::write(file, config.to_string()).unwrap();
    let with = |secret: &str| {
        let mut jails = Host::usual_jails();
        jails.insert(1, secret.into());
        jails
    };
    assert_eq!(host.jails(), with("secret down re0|10.0.0.3"));
    lock(&host.lab, &secret);
    assert_eq!(host.jails(), with("secret unmounted N/A"));
    unlock(&host.lab, &secret);
    assert_eq!(host.jails(), with("secret down re0|10.0.0.3"));
}

/// An active pool whose iocage dataset is encrypted, and locked.
fn locked_active_pool() -> Option<Host> {
    let host = Host::or_skip(2)?;
    let (lab, pool) = (&host.lab, host.lab.pool(0));
    host.remake(0, &[], &host.image(0));
    create_encrypted(lab, &format!("{pool}/iocage"));
    lab.zfs(&["create", &host.dataset("jails")]);
    lab.zfs(&["create", &host.dataset("releases")]);
    lab.mark(pool, true);
    lab.add_release(pool, RELEASE);
    lab.add_jail(pool, "web", Some("releases/13.2-RELEASE"), &json!({}));
    lock(lab, &format!("{pool}/iocage"));
    Some(host)
}

#[test]
fn the_jails_of_a_locked_active_pool_are_listed_as_unmounted() {
    let Some(host) = locked_active_pool() else {
        return;
    };
    host.is_active(0);
    assert_eq!(host.jails(), ["web unmounted N/A"]);
}

#[test]
fn an_active_pool_that_is_locked_starts_nothing_and_names_its_key() {
    let Some(host) = locked_active_pool() else {
        return;
    };
    let fetch = json!({"action": "fetchreleases", "releases": "14.1-RELEASE"});
    Host::is_error(&host.ask(&fetch), "unavailable", &["locked", "key"]);
    for action in ["listreleases", "listplugins"] {
        let answer = host.ask_for(action).to_string();
        assert!(
            answer.contains("key") && !answer.contains("sets it up"),
            "{answer}"
        );
    }
}

#[test]
fn a_pool_whose_iocage_is_not_mounted_is_not_activated() {
    let Some(host) = Host::or_skip(2) else { return };
    let root = format!("{}/iocage", host.lab.pool(1));
    host.lab.zfs(&["create", "-o", "canmount=noauto", &root]);
    Host::is_error(&host.activate(1), "unavailable", &["not mounted", &root]);
    assert_eq!(host.lab.active_pools(), [host.lab.pool(0)]);
    host.lab.zfs(&["mount", &root]);
    assert!(host.activate(1)["success"].is_string());
}

// Disks.

#[test]
fn a_suspended_pool_is_refused_and_the_active_one_works() {
    let Some(host) = Host::with_disk(1) else {
        return;
    };
    host.suspend(1);
    host.is_active(0);
    assert_eq!(host.jails(), Host::usual_jails());
    let two = host.lab.pool(1);
    Host::is_error(&host.activate(1), "unavailable", &[two, "SUSPENDED"]);
    assert_eq!(host.lab.active_pools(), [host.lab.pool(0)]);
    host.mend(1);
    assert!(host.activate(1)["success"].is_string());
    assert_eq!(host.lab.active_pools(), [two]);
}

#[test]
fn an_active_pool_that_is_suspended_is_unavailable_and_stays_active() {
    let Some(host) = Host::with_disk(0) else {
        return;
    };
    let one = host.lab.pool(0);
    assert_eq!(host.jails(), Host::usual_jails());
    let before = host.everything(0);
    host.suspend(0);
    // Jobs have nothing to do with a pool.
    let looking = looking().filter(|action| *action != "listjobs");
    for action in looking.chain(["activatepool"]) {
        Host::is_error(&host.ask_for(action), "unavailable", &[one, "SUSPENDED"]);
    }
    Host::is_error(&host.activate(1), "unavailable", &[one, "SUSPENDED"]);
    host.mend(0);
    assert_eq!(host.lab.active_pools(), [one]);
    assert_eq!(host.jails(), Host::usual_jails());
    assert_eq!(host.everything(0), before, "looking has changed something");
}

#[test]
fn a_pool_whose_disk_hangs_is_not_activated_and_the_active_one_works() {
    let Some(host) = Host::with_disk(1) else {
        return;
    };
    host.disk().hangs();
    host.write(1);
    host.is_active(0);
    assert_eq!(host.jails(), Host::usual_jails());
    Host::is_error(&host.activate(1), "timeout", &[host.lab.pool(1)]);
    host.mend(1);
    // What was given up may be done now. Two marks are safer than none.
    std::thread::sleep(Duration::from_secs(2));
    assert!(host.is_marked(0));
    assert!(host.activate(1)["success"].is_string());
    assert_eq!(host.lab.active_pools(), [host.lab.pool(1)]);
}

#[test]
fn a_switch_from_a_pool_whose_disk_hangs_leaves_a_pool_active() {
    let Some(host) = Host::with_disk(0) else {
        return;
    };
    host.is_active(0);
    host.disk().hangs();
    host.write(0);
    let two = host.lab.pool(1);
    Host::is_error(&host.activate(1), "timeout", &[two]);
    host.mend(0);
    std::thread::sleep(Duration::from_secs(2));
    // Two marks are safer than none.
    assert!(host.is_marked(1));
}

#[test]
fn a_listing_whose_disk_hangs_is_answered_in_time() {
    let Some(host) = Host::with_disk(0) else {
        return;
    };
    let pool = host.lab.pool(0);
    // Nothing of the files is in memory then, but what ZFS says about the datasets is.
    host.lab.export(pool);
    host.lab
        .zpool(&["import", "-o", "cachefile=none", "-d", "/dev/mapper", pool]);
    host.lab.zfs(&["list", "-r", "-o", "name,origin", pool]);
    host.disk().hangs();
    for request in 0..3 {
        let asked = Instant::now();
        let answer = host.ask_for("listjails");
        let (code, message) = error_of(&answer);
        assert!(
            matches!(code, "timeout" | "unavailable"),
            "{code}: {message}"
        );
        assert!(message.contains(pool), "{message}");
        // Who asks again is told at once.
        let limit = if request == 0 {
            IN_TIME
        } else {
            Duration::from_secs(3)
        };
        assert!(asked.elapsed() < limit, "{:?}", asked.elapsed());
    }
    host.mend(0);
    assert_eq!(host.jails(), Host::usual_jails());
}

#[test]
fn a_pool_whose_writes_fail_is_not_activated_instead_of_the_active_one() {
    let Some(host) = Host::or_skip(2) else { return };
    let (two, image) = (host.lab.pool(1), host.image(1));
    run(Command::new("zinject").args(["-d", &image, "-e", "io", "-T", "write", two]));
    let answer = host.activate(1);
    let (code, message) = error_of(&answer);
    assert!(
        matches!(code, "timeout" | "unavailable" | "failed"),
        "{message}"
    );
    assert!(message.contains(two), "{message}");
    // What was given up may be done already. Two marks are safer than none.
    assert!(host.is_marked(0));

    host.mend(1);
    assert!(host.is_marked(0));
    assert!(host.activate(1)["success"].is_string());
    assert_eq!(host.lab.active_pools(), [two]);
}

#[test]
fn jails_are_listed_while_no_write_to_their_pool_succeeds() {
    let Some(host) = Host::or_skip(2) else { return };
    let (one, image) = (host.lab.pool(0), host.image(0));
    host.lab.zpool(&["sync", one]);
    run(Command::new("zinject").args(["-d", &image, "-e", "io", "-T", "write", one]));
    // Nothing was written since, so it is not suspended.
    host.is_active(0);
    assert_eq!(host.jails(), Host::usual_jails());
}

// Datasets.

#[test]
fn a_jail_with_a_legacy_mountpoint_is_read_where_it_is_mounted() {
    let Some(host) = Host::or_skip(1) else { return };
    let web = host.dataset("jails/web");
    host.lab.zfs(&["set", "mountpoint=legacy", &web]);
    let unmounted = vec![Host::usual_jails()[0].clone(), "web unmounted N/A".into()];
    assert_eq!(host.jails(), unmounted);
    let place = host.lab.dir().join("elsewhere");
    fs::create_dir(&place).unwrap();
    run(Command::new("mount").args(["-t", "zfs", &web]).arg(&place));
    assert_eq!(host.jails(), Host::usual_jails());
    run(Command::new("umount").arg(&place));
    assert_eq!(host.jails(), unmounted);
}

#[test]
fn a_pool_with_a_legacy_root_is_activated() {
    let Some(host) = Host::or_skip(2) else { return };
    let two = host.lab.pool(1);
    host.lab.zfs(&["set", "mountpoint=legacy", two]);
    assert!(host.activate(1)["success"].is_string());
    assert_eq!(host.lab.active_pools(), [two]);
}

#[test]
fn a_jail_that_is_not_mounted_by_itself_is_listed_either_way() {
    let Some(host) = Host::or_skip(1) else { return };
    let (pool, web) = (host.lab.pool(0), host.dataset("jails/web"));
    host.lab.zfs(&["set", "canmount=noauto", &web]);
    assert_eq!(host.jails(), Host::usual_jails());
    host.lab.export(pool);
    host.lab.import(pool);
    assert_eq!(host.jails()[1], "web unmounted N/A");
    host.lab.zfs(&["mount", &web]);
    assert_eq!(host.jails(), Host::usual_jails());
}

#[test]
fn a_dataset_that_only_a_jail_may_mount_hides_no_jail() {
    let Some(host) = Host::or_skip(1) else { return };
    let data = host.dataset("jails/web/data");
    host.lab.zfs(&["create", "-o", "zoned=on", &data]);
    host.lab.zfs(&["create", &format!("{data}/deeper")]);
    // A jail whose own dataset is zoned: nobody here can mount it.
    let zoned = host.dataset("jails/zoned");
    host.lab.zfs(&["create", "-o", "zoned=on", &zoned]);
    let mut jails = Host::usual_jails();
    jails.push("zoned unmounted N/A".into());
    assert_eq!(host.jails(), jails);
}

#[test]
fn volumes_and_bookmarks_among_the_jails_are_no_jails() {
    let Some(host) = Host::or_skip(1) else { return };
    let lab = &host.lab;
    for volume in [
        "jails/volume",
        "jails/web/volume",
        "templates/volume",
        "releases/volume",
    ] {
        lab.zfs(&["create", "-s", "-V", "8M", &host.dataset(volume)]);
    }
    for dataset in [
        "jails",
        "jails/web",
        "jails/web/root",
        "jails/volume",
        "releases/volume",
    ] {
        let dataset = host.dataset(dataset);
        lab.zfs(&["snapshot", &format!("{dataset}@mark")]);
        lab.zfs(&[
            "bookmark",
            &format!("{dataset}@mark"),
            &format!("{dataset}#mark"),
        ]);
    }
    assert_eq!(host.jails(), Host::usual_jails());
    assert_eq!(host.ask_for("listtemplates"), json!({"templates": {}}));
    assert_eq!(host.ask_for("listreleases")["local"], json!([RELEASE]));

    // What was cloned from a release's volume would go with it.
    let clone = format!("{}/mine", lab.pool(0));
    lab.zfs(&["clone", &host.dataset("releases/volume@mark"), &clone]);
    let dry = host.ask(&json!({"action": "cleanreleases", "dryrun": true}));
    assert_eq!(dry["would_destroy"]["datasets"], json!([clone]), "{dry}");
    assert_eq!(
        dry["would_destroy"]["jails"],
        json!(["mail", "web"]),
        "{dry}"
    );
}

#[test]
fn jails_are_read_below_another_root() {
    let Some(host) = Host::or_skip(2) else { return };
    let (pool, folder) = (host.lab.pool(0), host.lab.dir().display().to_string());
    assert_eq!(host.jails(), Host::usual_jails());
    let root = host.lab.dir().join("altroot");
    host.lab.export(pool);
    let root = root.display().to_string();
    let import = [
        "import",
        "-o",
        "cachefile=none",
        "-R",
        &root,
        "-d",
        &folder,
        pool,
    ];
    host.lab.zpool(&import);
    host.is_active(0);
    assert_eq!(host.jails(), Host::usual_jails());
    let file = host.lab.config_file(pool, "web");
    let file = format!("{root}{}", file.display());
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("10.0.0.1", "10.0.0.9")).unwrap();
    assert_eq!(host.jails()[1], "web down re0|10.0.0.9");
    assert!(host.activate(0)["success"].is_string());
}

#[test]
fn two_thousand_snapshots_change_no_answer() {
    let Some(host) = Host::or_skip(1) else { return };
    // A processor that is emulated takes its time for so many.
    let mut config = host.lab.config();
    config["command_timeout_seconds"] = json!(120);
    let plugin = Instance::open(&config, ptr::null());
    let clean = json!({"action": "cleanreleases", "dryrun": true});
    let ask = || (plugin.ask_for("listjails"), plugin.ask(&clean));
    let before = ask();
    let (pool, root) = (host.lab.pool(0), host.lab.iocage_root(host.lab.pool(0)));
    // Thirteen datasets each time.
    for day in 0..155 {
        let snapshot = format!("{pool}/iocage@daily-{day}");
        host.lab.zfs(&["snapshot", "-r", &snapshot]);
    }
    let all = ["list", "-H", "-r", "-t", "snapshot", "-o", "name", pool];
    let number = host.lab.zfs(&all).lines().count();
    assert!(number > 2000, "{number}");
    // One that somebody looks into is mounted, and is no jail.
    let place = root.join("jails/web/root/.zfs/snapshot/daily-37");
    fs::read_dir(place).unwrap().for_each(drop);
    assert_eq!(before.0["jails"]["web"]["state"], "down");
    assert_eq!(ask(), before);
}

#[test]
fn what_is_held_stays_and_that_is_told() {
    let Some(host) = Host::or_skip(1) else { return };
    // One command after the other, where each may take long (tests/openzfs): there is no time for all.
    let destroy = |jail: &str| {
        let request = json!({"action": "destroyjail", "jail": jail});
        host.plugin.ask(&request)
    };
    let web = host.dataset("jails/web");
    host.lab.zfs(&["snapshot", "-r", &format!("{web}@kept")]);
    let held = format!("{web}/root@kept");
    host.lab.zfs(&["hold", "mine", &held]);
    let remove = json!({"action": "removesnapshot", "jail": "web", "snapshot": "kept"});
    Host::is_error(&host.ask(&remove), "in_use", &["held", &held]);
    let listed = host.ask_for("listsnapshots")["jails"]["web"].clone();
    assert_eq!(listed["kept"]["complete"], "true", "all or nothing");
    Host::is_error(&destroy("web"), "in_use", &["held", &held]);
    assert_eq!(host.jails(), Host::usual_jails());
    host.lab.zfs(&["release", "mine", &held]);
    let gone = json!({"success": "jail web destroyed."});
    assert_eq!(
        destroy("web"),
        gone,
        "and so is the snapshot of the release"
    );

    let origin = host.dataset(&format!("releases/{RELEASE}/root@mail"));
    host.lab.zfs(&["hold", "mine", &origin]);
    Host::is_error(&destroy("mail"), "in_use", &["held", &origin]);
    assert_eq!(host.jails(), ["mail down re0|10.0.0.2"]);
    host.lab.zfs(&["release", "mine", &origin]);
    let gone = json!({"success": "jail mail destroyed."});
    assert_eq!(destroy("mail"), gone);
    assert_eq!(host.jails(), [""; 0]);
    let left = host.lab.try_zfs(&["list", "-t", "snapshot", &origin]);
    assert!(!left.status.success(), "nothing holds it now");
}

#[test]
fn volumes_and_bookmarks_go_with_their_jail() {
    let Some(host) = Host::or_skip(1) else { return };
    let web = host.dataset("jails/web");
    host.lab
        .zfs(&["create", "-s", "-V", "8M", &format!("{web}/disk")]);
    for snapshot in ["old", "new"] {
        host.lab
            .zfs(&["snapshot", "-r", &format!("{web}@{snapshot}")]);
        let bookmark = format!("{web}#{snapshot}");
        host.lab
            .zfs(&["bookmark", &format!("{web}@{snapshot}"), &bookmark]);
    }
    host.lab.zfs(&["destroy", "-r", &format!("{web}@new")]);
    let mut back = json!({"action": "rollbackjail", "jail": "web", "snapshot": "old"});
    Host::is_error(
        &host.ask(&back),
        "in_use",
        &["web#new", "nothing was rolled back"],
    );
    back["dryrun"] = json!(true);
    let told = host.ask(&back)["would_destroy"].clone();
    let new = format!("{web}#new");
    assert_eq!(told, json!({"snapshots": [], "bookmarks": [new]}));
    back["dryrun"] = json!(false);
    back["force"] = json!(true);
    assert_eq!(host.ask(&back)["success"], "jail web rolled back to old.");
    let bookmarks = ["list", "-H", "-r", "-t", "bookmark", "-o", "name", &web];
    assert_eq!(host.lab.zfs(&bookmarks), format!("{web}#old\n"));
    let dry = json!({"action": "destroyjail", "jail": "web", "dryrun": true});
    let disk = json!(format!("{web}/disk"));
    let told = host.ask(&dry)["would_destroy"]["datasets"].clone();
    assert!(told.as_array().unwrap().contains(&disk), "{told}");
    let answer = host
        .plugin
        .ask(&json!({"action": "destroyjail", "jail": "web"}));
    assert_eq!(answer, json!({"success": "jail web destroyed."}));
}
