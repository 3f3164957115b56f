//! What becomes of a jail that there is: its settings, its name, its images, its end.

use super::*;

impl Iocage<'_> {
    pub(super) fn set(&mut self, settings: &[&str], of: &str) -> Step {
        for setting in settings {
            let Some((key, value)) = setting.split_once('=') else {
                return self.fail(&format!("{setting} is missing a value!"));
            };
            if of == "default" {
                let path = self.root().join("defaults.json");
                let bytes = fs::read(&path).unwrap_or_else(|_| b"{}".to_vec());
                let mut all: Map<String, Value> =
                    serde_json::from_slice(&bytes).unwrap_or_default();
                all.insert(key.into(), value.into());
                self.write(&path, &as_iocage_writes(&all))?;
                self.say(&format!(
                    "Default Property: {key} has been updated to {value}"
                ));
                continue;
            }
            let mut jail = self.load(of)?;
            if key == "template" {
                return self.convert(jail, is_true(value));
            }
            if ["quota", "reservation", "dedup"].contains(&key) {
                let dataset = jail.dataset.clone();
                self.must_zfs(&["set", setting, &dataset])?;
            }
            let old = jail.get(key).unwrap_or("none".into());
            self.put(&mut jail, key, value_of(key, value))?;
            self.say(&format!("{key}: {old} -> {value}"));
        }
        Ok(())
    }

    /// A jail becomes a template, or one a jail.
    fn convert(&mut self, mut jail: Jail, is_template: bool) -> Step {
        if self.runs(&jail.in_kernel()) {
            return self.fail(&format!("{} is running.\nPlease stop it first!", jail.name));
        }
        let (family, kind) = match is_template {
            true => ("templates", "template"),
            false => ("jails", "jail"),
        };
        if jail.family == family {
            return self.fail(&format!("{} is already a {kind}!", jail.name));
        }
        let (folder, dataset) = self.place(&jail.name, family);
        self.must_zfs(&["rename", &jail.dataset.clone(), &dataset])?;
        (jail.folder, jail.dataset) = (folder, dataset);
        self.put(&mut jail, "type", kind)?;
        self.put(&mut jail, "template", i32::from(is_template))
    }

    pub(super) fn rename(&mut self, name: &str, new: &str) -> Step {
        let (name, family) = self.find(name)?;
        let (folder, dataset) = self.place(&name, family);
        if self.is_taken(new, &name) {
            return self.fail(&format!("Jail: {new} already exists!"));
        }
        let said = (self.out.len(), self.err.len());
        self.stop(&name, false)?;
        self.out.truncate(said.0);
        self.err.truncate(said.1);
        let pool = self.the_pool();
        let releases = format!("{pool}/iocage/releases");
        let snapshots: Vec<String> = self.look(|host| {
            let all = host.zfs.below(&releases).into_iter();
            all.filter(|one| host.zfs.has(&format!("{one}@{name}")))
                .collect()
        });
        for of in snapshots {
            if self
                .zfs(&[
                    "rename",
                    "-r",
                    &format!("{of}@{name}"),
                    &format!("{of}@{new}"),
                ])?
                .is_err()
            {
                return self.traceback(&format!("subprocess.CalledProcessError: Command '['zfs', 'rename', '-r', '{of}@{name}', '@{new}']' returned non-zero exit status 1."));
            }
        }
        let (new_folder, new_dataset) = self.place(new, family);
        self.must_zfs(&["rename", &dataset, &new_dataset])?;
        let mut jail = self.load(new)?;
        self.put(&mut jail, "host_hostuuid", new)?;
        if jail.get("host_hostname").as_deref() == Some(&name) {
            self.put(&mut jail, "host_hostname", new)?;
        }
        let old = format!("iocage/jails/{name}");
        if let Some(before) = jail
            .get("jail_zfs_dataset")
            .filter(|text| text.contains(&old))
        {
            let after = before.replace(&old, &format!("iocage/jails/{new}"));
            self.put(&mut jail, "jail_zfs_dataset", after)?;
        }
        if let Ok(fstab) = fs::read_to_string(new_folder.join("fstab")) {
            let before = self.root().join("jails").join(&name).display().to_string();
            let after = self.root().join("jails").join(new).display().to_string();
            let after = fstab.replace(&format!("{before}/"), &format!("{after}/"));
            self.write(&new_folder.join("fstab"), after.as_bytes())?;
        }
        let _ = folder;
        if family == "templates" {
            for (_, other) in self.all_jails() {
                let Ok(mut other) = self.load(&other) else {
                    continue;
                };
                if other.get("source_template").as_deref() == Some(&name) {
                    self.put(&mut other, "source_template", new)?;
                }
            }
            self.err.clear();
        }
        self.say(&format!("Jail: {name} renamed to {new}"));
        Ok(())
    }

    // Images.

    pub(super) fn export(&mut self, name: &str, ending: &str) -> Step {
        let (name, family) = self.find(name)?;
        let (_, dataset) = self.place(&name, family);
        if self.runs(&format!("ioc-{}", name.replace('.', "_"))) {
            return self.fail(&format!(
                "{name} is running, stop the jail before exporting!"
            ));
        }
        let day = self.look(Host::day);
        let snapshot = format!("{dataset}@ioc-export-{day}");
        if let Err(why) = self.zfs(&["snapshot", "-r", &snapshot])? {
            return self.fail(&why);
        }
        let images = self.root().join("images");
        let stem = format!("{name}_{day}");
        let all = self.look(|host| host.zfs.below(&dataset));
        let mut image = Map::new();
        let mut parts = Vec::new();
        for one in all {
            self.say(&format!("Exporting dataset: {one}"));
            let below = &one[dataset.len()..];
            let tree = self.look(|host| host.zfs.tree(&one));
            let mut files = Map::new();
            for (path, node) in tree.iter() {
                if let Node::File(bytes) = node {
                    files.insert(
                        path.clone(),
                        String::from_utf8_lossy(bytes).to_string().into(),
                    );
                }
            }
            let part = images.join(format!("{stem}{}", below.replace('/', "_")));
            self.write(&part, b"stream")?;
            parts.push(part);
            image.insert(below.into(), files.into());
        }
        let file = images.join(format!("{stem}{ending}"));
        self.say(&format!("\nPreparing compressed file: {}.", file.display()));
        let bytes = Value::Object(image).to_string().into_bytes();
        self.write(&file, &bytes)?;
        let sum: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.write(&images.join(format!("{stem}.sha256")), sum.as_bytes())?;
        let own = format!("{}/iocage/jails/{name}@ioc-export-{day}", self.the_pool());
        if let Err(why) = self.zfs(&["destroy", "-r", &own])? {
            return self.fail(&why);
        }
        for part in parts {
            self.change(|_| fs::remove_file(part).is_ok())?;
        }
        self.say(&format!("\nExported: {}", file.display()));
        Ok(())
    }

    pub(super) fn import(&mut self, path: &str) -> Step {
        let Ok(bytes) = fs::read(path) else {
            return self.fail(&format!("{path} does not exist."));
        };
        let file = path.rsplit('/').next().unwrap_or(path);
        let stem = file.trim_end_matches(".zip").trim_end_matches(".tar.xz");
        let (name, day) = stem.rsplit_once('_').unwrap_or((stem, ""));
        let Ok(image) = serde_json::from_slice::<Map<String, Value>>(&bytes) else {
            // What it writes to has ended. SIGPIPE ends iocage.
            return Err(End::Exit(141));
        };
        let (_, dataset) = self.place(name, "jails");
        for (below, files) in &image {
            self.say(&format!("Importing dataset: {name}{below}"));
            let files = files.as_object().into_iter().flatten();
            let tree = files.map(|(path, text)| {
                let bytes = text.as_str().unwrap_or_default().as_bytes().to_vec();
                (path.clone(), Node::File(bytes))
            });
            let tree = std::sync::Arc::new(tree.collect());
            let to = format!("{dataset}{below}");
            let received =
                self.change(|host| host.zfs.receive(&to, tree, &format!("ioc-export-{day}")))?;
            if let Err(why) = received {
                self.warn(&why);
            }
        }
        if let Err(why) = self.zfs(&["destroy", "-r", &format!("{dataset}@ioc-export-{day}")])? {
            return self.fail(&why);
        }
        self.say(&format!("\nImported: {name}"));
        Ok(())
    }

    // What people type.

    /// With -f there is no check at all.
    pub(super) fn destroy(&mut self, name: &str) -> Step {
        let (name, family) = self.find(name)?;
        let (folder, dataset) = self.place(&name, family);
        self.say(&format!("Destroying {name}"));
        let in_kernel = format!("ioc-{}", name.replace('.', "_"));
        self.change(|host| {
            host.end(&in_kernel);
            host.unmount_below(&folder.join("root"));
        })?;
        let origin = self.look(|host| host.zfs.origin(&format!("{dataset}/root")));
        let _ = self.zfs(&["destroy", "-r", "-Rf", &dataset])?;
        if let Some(origin) = origin.filter(|origin| origin.ends_with(&format!("@{name}"))) {
            let _ = self.zfs(&["destroy", "-r", "-Rf", &origin])?;
        }
        Ok(())
    }

    pub(super) fn clean(&mut self, families: &[&str]) -> Step {
        let pool = self.the_pool();
        for family in families {
            let parent = format!("{pool}/iocage/{family}");
            let all = self.look(|host| host.zfs.below(&parent));
            let members = all
                .into_iter()
                .filter(|one| *one != parent && !one[parent.len() + 1..].contains('/'));
            for one in members.collect::<Vec<_>>() {
                let _ = self.zfs(&["destroy", "-r", "-Rf", &one])?;
            }
        }
        Ok(())
    }

    pub(super) fn snapremove(&mut self, snapshot: &str, name: &str) -> Step {
        let (name, family) = self.find(name)?;
        let (_, dataset) = self.place(&name, family);
        match self.zfs(&["destroy", "-r", "-Rf", &format!("{dataset}@{snapshot}")])? {
            Ok(_) => Ok(()),
            Err(_) => self.fail(&format!("{dataset}@{snapshot} not found!")),
        }
    }

    pub(super) fn rollback(&mut self, snapshot: &str, name: &str) -> Step {
        let (name, family) = self.find(name)?;
        let (_, dataset) = self.place(&name, family);
        for one in self.look(|host| host.zfs.below(&dataset)) {
            self.must_zfs(&["rollback", "-r", &format!("{one}@{snapshot}")])?;
        }
        Ok(())
    }
}
