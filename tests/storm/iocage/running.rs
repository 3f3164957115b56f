//! Starting and stopping, and patches, for which a jail runs.

use super::*;

impl Iocage<'_> {
    pub(super) fn start(&mut self, name: &str, depth: usize) -> Step {
        let mut jail = self.load(name)?;
        let name = jail.name.replace('.', "_");
        if jail.get("type").as_deref() == Some("template") {
            return self.fail(&format!(
                "Please convert back to a jail before trying to start {name}"
            ));
        }
        for depend in jail
            .get("depends")
            .unwrap_or("none".into())
            .split_whitespace()
        {
            if depend == "none" {
                continue;
            }
            if depth > 20 {
                return self.traceback("RecursionError: maximum recursion depth exceeded");
            }
            let (depend, _) = self.find(depend)?;
            if !self.runs(&format!("ioc-{}", depend.replace('.', "_"))) {
                self.start(&depend, depth + 1)?;
            }
        }
        if self.runs(&jail.in_kernel()) {
            return self.fail(&format!("{name} is already running!"));
        }
        let Ok(fstab) = fs::read_to_string(jail.folder.join("fstab")) else {
            return self
                .traceback("FileNotFoundError: [Errno 2] No such file or directory: 'fstab'");
        };
        let (vnet, dhcp, bpf) = (jail.is_on("vnet"), jail.is_on("dhcp"), jail.is_on("bpf"));
        if dhcp && !bpf {
            return self.fail(&format!("{name}: dhcp requires bpf!"));
        }
        if bpf && !vnet {
            return self.fail(&format!("{name}: bpf requires vnet!"));
        }
        self.say(&format!("* Starting {name}"));
        match jail.get("devfs_ruleset").as_deref() {
            None | Some("0" | "1" | "2" | "3" | "4" | "5") => {}
            Some(other) => {
                self.warn(&format!(
                    "{name} devfs_ruleset {other} does not exist! - Not starting jail"
                ));
                return Ok(());
            }
        }
        let mut mounts = Vec::new();
        for line in fstab.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [source, at, kind, ..] = words[..] else {
                continue;
            };
            // A base jail's own need not be there: nobody makes the folders of a release here.
            let is_own =
                source.contains("/iocage/releases/") || source.contains("/iocage/templates/");
            if kind == "nullfs" && !is_own && !Path::new(source).is_dir() {
                self.warn("  + Start FAILED");
                return self.fail(&format!(
                    "mount_nullfs: {source}: No such file or directory"
                ));
            }
            // A clone has its source's place there still.
            let root = jail.folder.join("root");
            if !Path::new(at).starts_with(&root) && !Path::new(at).is_dir() {
                self.warn("  + Start FAILED");
                return self.fail(&format!("mount_{kind}: {at}: No such file or directory"));
            }
            mounts.push((source.to_string(), PathBuf::from(at), kind.to_string()));
        }
        let root = jail.folder.join("root");
        if !root.is_dir() {
            self.warn("  + Start FAILED");
            return self.fail(&format!(
                "jail: {}: No such file or directory",
                root.display()
            ));
        }
        let (in_kernel, hostname) = (jail.in_kernel(), jail.get("host_hostname"));
        let jid = self.change(|host| {
            let jid = host.next_jid();
            for (source, at, kind) in mounts {
                host.mount(&source, &at, &kind);
            }
            host.running.push(Running {
                jid,
                name: in_kernel,
                path: root,
                hostname: hostname.unwrap_or_default(),
            });
            jid
        })?;
        self.say("  + Started OK");
        self.say(&format!(
            "  + Using devfs_ruleset: {} (iocage generated default)",
            1000 + jid
        ));
        if jail.get("release").as_deref() == Some("EMPTY") && !jail.folder.join("root/dev").is_dir()
        {
            return self.traceback(
                "FileNotFoundError: [Errno 2] No such file or directory: '../var/run/log'",
            );
        }
        self.say("  + Starting services OK");
        let log = self
            .root()
            .join("log")
            .join(format!("{}-console.log", jail.name));
        self.change(|_| append(&log, b"Starting.\n"))?;
        self.say("  + Executing poststart OK");
        let at = self.look(|host| host.clock());
        self.put(&mut jail, "last_started", at)?;
        let limit = jail.get("maxproc").filter(|value| value != "off");
        if let Some(limit) = limit {
            let rule = format!("jail:{}:maxproc:{limit}", jail.in_kernel());
            self.change(|host| host.rctl.insert(rule))?;
            self.say("  + Setting RCTL props");
        }
        Ok(())
    }

    pub(super) fn stop(&mut self, name: &str, force: bool) -> Step {
        let jail = self.load(name)?;
        let name = jail.name.replace('.', "_");
        if !self.runs(&jail.in_kernel()) {
            self.warn(&format!("{name} is not running!"));
            return Ok(());
        }
        self.say(&format!("* Stopping {name}"));
        if !force {
            self.say("  + Executing prestop OK");
            if self.look(|host| host.stubborn.contains(&jail.name)) {
                return self.fail("  + Stopping services FAILED\nERROR:\nexec_stop: not today\n\nPlease use --force flag to force stop jail");
            }
            self.say("  + Stopping services OK");
        }
        let (in_kernel, root) = (jail.in_kernel(), jail.folder.join("root"));
        self.change(|host| {
            host.end(&in_kernel);
            if !force {
                host.unmount_below(&root);
            }
            let own = format!("jail:{in_kernel}:");
            host.rctl.retain(|rule| !rule.starts_with(&own));
        })?;
        self.say("  + Removing jail process OK");
        self.say("  + Executing poststop OK");
        Ok(())
    }

    pub(super) fn soft_restart(&mut self, name: &str) -> Step {
        let mut jail = self.load(name)?;
        if !self.runs(&jail.in_kernel()) {
            self.warn(&format!("{name} is not running!"));
            return Ok(());
        }
        self.say(&format!("Soft restarting {} ({name})", jail.name));
        let at = self.look(|host| host.clock());
        self.put(&mut jail, "last_started", at)
    }

    // Patches.

    pub(super) fn update(&mut self, name: &str, packages: bool) -> Step {
        let mut jail = self.load(name)?;
        let from = jail.get("release").unwrap_or("EMPTY".into());
        let clock = self.look(|host| host.clock());
        let snapshot = format!("{}@ioc_update_{from}_{clock}", jail.dataset);
        self.must_zfs(&["snapshot", "-r", &snapshot])?;
        self.say(&format!("Snapshot: {snapshot} created."));
        let mut started = false;
        if !self.runs(&jail.in_kernel()) {
            let said = self.out.len();
            self.start(&jail.name.clone(), 0)?;
            self.out.truncate(said);
            started = true;
            jail = self.load(name)?;
        }
        if packages {
            self.say("Updating pkgs...\nUpdated pkg repositories successfully.\nUpgraded pkgs successfully.");
        }
        self.say("Updating jail...");
        let plain = from.split("-p").next().unwrap_or(&from).to_string();
        let place = match jail.is_on("basejail") {
            true => self.root().join("releases").join(&plain).join("root"),
            false => jail.folder.join("root"),
        };
        self.say(&format!(
            "\n* Updating {name} to the latest patch level... "
        ));
        let has = userland_of(&place).unwrap_or(from.clone());
        let newest = format!("{plain}-p9");
        if has == newest || !place.is_dir() {
            self.say(&format!("\nNo updates needed to update system to {has}."));
            self.say("No updates are available to install.");
            self.warn("");
            return Err(End::Exit(1));
        }
        self.say("Inspecting system... done.");
        self.write(
            &place.join("bin/freebsd-version"),
            format!("USERLAND_VERSION=\"{newest}\"\n").as_bytes(),
        )?;
        self.say("Installing updates... done.");
        if jail.is_on("basejail") {
            for (_, other) in self.all_jails() {
                let Ok(mut other) = self.load(&other) else {
                    continue;
                };
                let of = other.get("release").unwrap_or_default();
                if other.is_on("basejail") && of.contains(plain.split('-').next().unwrap_or("")) {
                    self.put(&mut other, "release", &*newest)?;
                }
            }
            self.err.clear();
        } else {
            self.put(&mut jail, "release", &*newest)?;
        }
        self.say(&format!("release: {from} -> {newest}"));
        self.say("Updated jail successfully.");
        if started {
            let said = self.out.len();
            self.stop(&jail.name, false)?;
            self.out.truncate(said);
        }
        self.say(&format!(
            "\n{} updates have been applied successfully.",
            jail.name
        ));
        Ok(())
    }

    /// Of a base jail; the library asks for no other.
    pub(super) fn upgrade(&mut self, release: &str, name: &str) -> Step {
        let mut jail = self.load(name)?;
        let from = jail.get("release").unwrap_or_default();
        let home = self.root().join("releases").join(release);
        if !home.is_dir() {
            return self.fail(&format!("{release} is missing, please fetch it!"));
        }
        let mut started = false;
        if !self.runs(&jail.in_kernel()) {
            self.start(&jail.name.clone(), 0)?;
            started = true;
            jail = self.load(name)?;
        }
        let day = self.look(Host::day);
        self.must_zfs(&[
            "snapshot",
            "-r",
            &format!("{}@ioc_upgrade_{day}", jail.dataset),
        ])?;
        let fstab = fs::read_to_string(jail.folder.join("fstab")).unwrap_or_default();
        let plain = from.split("-p").next().unwrap_or(&from);
        self.write(
            &jail.folder.join("fstab"),
            fstab.replace(plain, release).as_bytes(),
        )?;
        let upgraded = userland_of(&home.join("root")).unwrap_or(release.into());
        self.put(&mut jail, "release", &*upgraded)?;
        if started {
            self.stop(&jail.name, false)?;
        }
        self.say(&format!(
            "\n{} successfully upgraded from {from} to {release}!",
            jail.name
        ));
        Ok(())
    }
}
