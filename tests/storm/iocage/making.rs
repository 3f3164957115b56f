//! Releases, plugins, and how a jail is made.

use std::fs;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::*;

impl Iocage<'_> {
    pub(super) fn list_remote(&mut self) -> Step {
        let all = self.look(|host| host.remote.clone());
        for release in all {
            self.say(&release);
        }
        Ok(())
    }

    pub(super) fn fetch_release(&mut self, release: &str) -> Step {
        if !self.look(|host| host.remote.iter().any(|one| one == release)) {
            return self.fail(&format!("{release} was not found!"));
        }
        let pool = self.the_pool();
        self.say(&format!("Fetching: {release}\n"));
        let root = format!("{pool}/iocage/releases/{release}/root");
        if !self.look(|host| host.zfs.has(&root)) {
            self.must_zfs(&["create", "-p", &format!("{pool}/iocage/download/{release}")])?;
            self.say("Downloading: base.txz");
            self.say("Extracting: base.txz... ");
            self.must_zfs(&["create", "-p", &root])?;
            let folder = self.root().join("releases").join(release).join("root");
            self.write(
                &folder.join("etc/hosts"),
                b"::1\t\tlocalhost\n127.0.0.1\t\tlocalhost\n",
            )?;
        }
        self.say(&format!(
            "\n* Updating {release} to the latest patch level... "
        ));
        Ok(())
    }

    pub(super) fn fetch_plugin(&mut self, plugin: &str, name: &str, properties: &[&str]) -> Step {
        let release = self
            .look(|host| host.remote.last().cloned())
            .unwrap_or_default();
        self.fetch_release(&release)?;
        let pool = self.the_pool();
        let (folder, dataset) = self.place(name, "jails");
        let origin = format!("{pool}/iocage/releases/{release}/root@{name}");
        self.must_zfs(&["create", &dataset])?;
        self.must_zfs(&["snapshot", &origin])?;
        self.must_zfs(&["clone", &origin, &format!("{dataset}/root")])?;
        let mut config = Map::new();
        for (key, value) in [
            ("host_hostuuid", name),
            ("type", "pluginv2"),
            ("plugin_name", plugin),
            ("boot", "1"),
            ("release", &release),
            ("cloned_release", &release),
        ] {
            config.insert(key.into(), value.into());
        }
        for property in properties {
            if let Some((key, value)) = property.split_once('=') {
                config.insert(key.into(), value.into());
            }
        }
        self.write(&folder.join("config.json"), &as_iocage_writes(&config))?;
        self.write(&folder.join("fstab"), b"")?;
        self.say(&format!("Plugin: {plugin}\n  Using RELEASE: {release}"));
        Ok(())
    }

    // Making jails.

    pub(super) fn create(&mut self, words: &[&str]) -> Step {
        let (mut name, mut release, mut template) = ("", "", "");
        let (mut empty, mut base, mut thick, mut list) = (false, false, None, "");
        let mut properties = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().copied().unwrap_or_default();
            match *word {
                "-n" => name = value(),
                "-r" => release = value(),
                "-t" => template = value(),
                "-p" => list = value(),
                "-e" => empty = true,
                "-b" => base = true,
                "-B" => thick = Some(false),
                "-T" => thick = Some(true),
                property => properties.push(property),
            }
        }
        let thick = thick.unwrap_or(base);
        if self.is_taken(name, "") {
            return self.fail(&format!("Jail: {name} already exists!"));
        }
        let pool = self.the_pool();
        let (folder, dataset) = self.place(name, "jails");
        let mut config = Map::new();
        let mut describe = |key: &str, value: &str| {
            config.insert(key.into(), value.into());
        };
        describe("host_hostname", &name.replace('_', "-"));
        describe("host_hostuuid", name);
        describe("jail_zfs_dataset", &format!("iocage/jails/{name}/data"));
        let (source, source_folder) = match (release, template) {
            _ if empty => {
                describe("release", "EMPTY");
                describe("cloned_release", "EMPTY");
                (String::new(), PathBuf::new())
            }
            ("", template) => (
                format!("{pool}/iocage/templates/{template}"),
                self.root().join("templates").join(template),
            ),
            (release, _) => (
                format!("{pool}/iocage/releases/{release}"),
                self.root().join("releases").join(release),
            ),
        };
        let origin = format!("{source}/root@{name}");
        if empty {
            self.must_zfs(&["create", "-p", &format!("{dataset}/root")])?;
        } else {
            if template.is_empty() {
                if !source_folder.is_dir() {
                    self.fetch_release(release)?;
                }
                if self.zfs(&["snapshot", &origin])?.is_err() {
                    return self.fail(&format!("Snapshot: {origin} exists!\nPlease manually run zfs destroy {origin} if you wish to destroy it."));
                }
                let patched = userland_of(&source_folder.join("root"));
                describe("release", patched.as_deref().unwrap_or(release));
                if !thick {
                    describe("cloned_release", release);
                }
            } else {
                let of_template = fs::read(source_folder.join("config.json")).ok();
                let of_template = of_template
                    .and_then(|bytes| serde_json::from_slice::<Map<String, Value>>(&bytes).ok());
                let Some(of_template) = of_template else {
                    return self.fail(&format!("Template: {template} not found!"));
                };
                let taken = match thick {
                    true => self.zfs(&["snapshot", &origin])?,
                    false => self.zfs(&["snapshot", "-r", &format!("{source}@{name}")])?,
                };
                if taken.is_err() {
                    return self.fail(&format!("Template: {name} not found!"));
                }
                for key in ["release", "cloned_release"] {
                    if let Some(value) = text(&of_template, key) {
                        describe(key, &value);
                    }
                }
                describe("source_template", template);
            }
            match thick {
                true => self.copy_thick(&format!("{source}/root"), name, &dataset)?,
                false => self.must_zfs(&["clone", "-p", &origin, &format!("{dataset}/root")])?,
            }
        }
        let mut boot = false;
        for property in properties {
            let (key, value) = property.split_once('=').unwrap_or((property, ""));
            boot |= key == "boot" && is_true(value);
            config.insert(key.into(), value_of(key, value));
        }
        self.write(&folder.join("config.json"), &as_iocage_writes(&config))?;
        self.write(&folder.join("fstab"), b"")?;
        if !empty {
            let Ok(hosts) = fs::read_to_string(source_folder.join("root/etc/hosts")) else {
                return self
                    .traceback("FileNotFoundError: [Errno 2] No such file or directory: 'hosts'");
            };
            let hosts = hosts.replace(
                "127.0.0.1\t\tlocalhost",
                &format!("127.0.0.1\t\tlocalhost {name}"),
            );
            self.write(&folder.join("root/etc/hosts"), hosts.as_bytes())?;
        }
        if base {
            let mut fstab = String::new();
            let here = folder.display();
            for part in BASE_FOLDERS {
                let of = source_folder.join("root").join(part);
                fstab.push_str(&format!(
                    "{}\t{here}/root/{part}\tnullfs\tro\t0\t0\n",
                    of.display()
                ));
            }
            self.write(&folder.join("fstab"), fstab.as_bytes())?;
            config.insert("basejail".into(), 1.into());
            self.write(&folder.join("config.json"), &as_iocage_writes(&config))?;
        }
        self.say(&format!("{name} successfully created!"));
        if !list.is_empty() {
            return self.install_packages(name, list);
        }
        match boot && !empty {
            true => self.start(name, 0),
            false => Ok(()),
        }
    }

    fn install_packages(&mut self, name: &str, list: &str) -> Step {
        let said = self.out.len();
        self.start(name, 0)?;
        self.out.truncate(said);
        let list = fs::read(list)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let list = list.unwrap_or_default();
        self.say("\nInstalling supplied packages:");
        for package in list["pkgs"].as_array().into_iter().flatten() {
            let package = package.as_str().unwrap_or_default();
            self.say(&format!("  - {package}... "));
        }
        self.stop(name, false)
    }

    /// Whether a name is taken; to the kernel a dot is an underscore.
    pub(super) fn is_taken(&self, name: &str, except: &str) -> bool {
        let wanted = name.replace('.', "_");
        let root = self.root();
        ["jails", "templates"].iter().any(|family| {
            let entries = fs::read_dir(root.join(family))
                .into_iter()
                .flatten()
                .flatten();
            entries
                .map(|entry| entry.file_name().to_string_lossy().to_string())
                .any(|other| other != except && other.replace('.', "_") == wanted)
        })
    }

    /// Send and receive; both snapshots go.
    fn copy_thick(&mut self, source: &str, name: &str, dataset: &str) -> Step {
        self.must_zfs(&["create", "-p", dataset])?;
        let origin = format!("{source}@{name}");
        let root = format!("{dataset}/root");
        let received = self.change(|host| {
            let snapshots = &host.zfs.datasets[source].snapshots;
            let tree = snapshots
                .iter()
                .find(|one| one.name == name)
                .map(|one| one.tree.clone());
            host.zfs.receive(&root, tree.unwrap_or_default(), name)
        })?;
        if received.is_err() {
            return self.fail(&format!("Can't create thick jail from {source}!"));
        }
        self.must_zfs(&["destroy", &origin])?;
        self.must_zfs(&["destroy", &format!("{root}@{name}")])
    }

    pub(super) fn clone(&mut self, source: &str, name: &str, rest: &[&str]) -> Step {
        let jail = self.load(source)?;
        if self.runs(&jail.in_kernel()) {
            return self.fail(&format!(
                "Jail: {} must not be running to be cloned!",
                jail.name
            ));
        }
        let cloned = self.clone_one(&jail, name, rest);
        if matches!(cloned, Err(End::Exit(_))) {
            // Whoever has made it.
            let _ = self.zfs(&["destroy", "-r", &format!("{}@{name}", jail.dataset)])?;
        }
        cloned
    }

    fn clone_one(&mut self, jail: &Jail, name: &str, rest: &[&str]) -> Step {
        if self.is_taken(name, "") {
            return self.fail(&format!("Jail: {name} already exists!"));
        }
        if jail.family == "templates" {
            return self.fail("You cannot clone a template, use create -t instead.");
        }
        let (folder, dataset) = self.place(name, "jails");
        let thick = rest.contains(&"-T");
        let (from, origin) = (&jail.dataset, format!("{}/root@{name}", jail.dataset));
        let taken = match thick {
            true => self.zfs(&["snapshot", &origin])?,
            false => self.zfs(&["snapshot", "-r", &format!("{from}@{name}")])?,
        };
        if taken.is_err() {
            return self.traceback(&format!("RuntimeError: Jail: {name} not found!"));
        }
        if thick {
            self.copy_thick(&format!("{from}/root"), name, &dataset)?;
            for file in ["config.json", "fstab"] {
                let bytes = fs::read(jail.folder.join(file)).unwrap_or_default();
                self.write(&folder.join(file), &bytes)?;
            }
        } else {
            self.must_zfs(&["clone", &format!("{from}@{name}"), &dataset])?;
            self.must_zfs(&["clone", &origin, &format!("{dataset}/root")])?;
        }
        // In every text, wherever the old name is part of it.
        let mut config = Map::new();
        for (key, value) in &jail.config {
            let value = match value {
                Value::String(text) => text.replace(&jail.name, name).into(),
                other => other.clone(),
            };
            config.insert(key.clone(), value);
        }
        for property in rest.iter().filter(|word| **word != "-T") {
            let (key, value) = property.split_once('=').unwrap_or((property, ""));
            config.insert(key.into(), value_of(key, value));
        }
        self.write(&folder.join("config.json"), &as_iocage_writes(&config))?;
        for file in ["fstab", "root/etc/hosts"] {
            let Ok(before) = fs::read_to_string(folder.join(file)) else {
                return self.traceback("FileNotFoundError: [Errno 2] No such file or directory");
            };
            self.write(
                &folder.join(file),
                before.replace(&jail.name, name).as_bytes(),
            )?;
        }
        self.say(&format!("{name} successfully cloned!"));
        Ok(())
    }
}
