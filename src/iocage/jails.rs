//! The jails and templates of a pool.

use std::collections::HashMap;
use std::path::Path;

use super::datasets::{self, value, Family};
use super::settings::{self, Settings};
use crate::error::Result;
use crate::system::{side_by_side, Mounts, RunningJail, System};

/// How a jail is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Up,
    Down,
    /// Its `config.json` is missing or cannot be read.
    Corrupt,
    /// Its dataset is not mounted, so nobody knows. (iocage would mount it to look.)
    Unmounted,
}

/// A jail or a template.
#[derive(Clone, Debug)]
pub struct Jail {
    /// The last part of its dataset's name. No two jails of a family share it.
    pub name: String,
    /// What it calls itself (`host_hostuuid`), nearly always its name.
    pub uuid: String,
    /// The id of the running jail.
    pub jid: Option<String>,
    pub state: State,
    pub boot: bool,
    pub tag: String,
    /// The template whose clone it is.
    pub template: Option<String>,
    /// What its configuration says; none for a jail without one that can be read.
    pub details: Option<Details>,
}

/// What only a jail's configuration knows.
#[derive(Clone, Debug)]
pub struct Details {
    pub kind: String,
    pub release: Option<String>,
    pub ip4: Option<String>,
    pub ip6: Option<String>,
    /// Its IPv4 address comes by DHCP.
    pub dhcp: bool,
    /// The plugin it was made from, for a jail that is one.
    pub plugin: Option<String>,
    /// The release whose files it mounts instead of having its own.
    pub base_release: Option<String>,
    pub source_template: Option<String>,
}

/// Lists the jails or the templates of `pool`, by name.
pub fn list(system: &System, pool: &str, family: Family) -> Result<Vec<Jail>> {
    let parent = family.dataset(pool);
    // ZFS takes the longest by far, so everything else is done meanwhile. Depth 2 has the jails
    // and the root of each, whose origin tells the template.
    let ask_zfs = || datasets::list(system, &parent, "filesystem", Some(2), &["name", "origin"]);
    let read_files = || {
        system
            .mounts()
            .map(|mounts| Files::read(mounts, pool, &parent))
    };
    let (rows, (running, files)) = side_by_side(ask_zfs, || {
        side_by_side(|| system.running_jails(), read_files)
    });
    let rows = rows?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let (running, mut files) = (running?, files?);

    let mut origins = HashMap::new();
    let mut names = Vec::new();
    for row in &rows {
        let below = row[0]
            .strip_prefix(&parent)
            .and_then(|rest| rest.strip_prefix('/'));
        match below.map(|below| (below, below.split_once('/'))) {
            Some((name, None)) => names.push(name),
            Some((_, Some((name, "root")))) => {
                origins.insert(name, value(row, 1));
            }
            _ => {}
        }
    }
    let mut jails: Vec<Jail> = names
        .into_iter()
        .map(|name| {
            let origin = origins.get(name).copied().flatten();
            let template = origin.and_then(|origin| template(pool, origin));
            describe(name, files.config(name), template, &files.defaults)
        })
        .collect();
    find_running(&mut jails, pool, family, &running, &files.mounts);
    jails.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(jails)
}

/// What iocage keeps in files, and where the datasets with the files are mounted.
struct Files {
    mounts: Mounts,
    defaults: Settings,
    /// By the jail's name; of all jails that are mounted.
    configs: HashMap<String, Option<Settings>>,
}

/// What is known of a jail's `config.json`.
enum Config {
    NotMounted,
    Unreadable,
    Read(Settings),
}

impl Files {
    fn read(mounts: Mounts, pool: &str, parent: &str) -> Self {
        let defaults = mounts
            .mountpoint(&datasets::root(pool))
            .and_then(|root| settings::read(&root.join("defaults.json")))
            .unwrap_or_default();
        let config = |(name, mountpoint): (&str, &Path)| {
            (name.into(), settings::read(&mountpoint.join("config.json")))
        };
        let configs = mounts.below(parent).map(config).collect();
        Files {
            mounts,
            defaults,
            configs,
        }
    }

    fn config(&mut self, name: &str) -> Config {
        match self.configs.remove(name) {
            Some(Some(settings)) => Config::Read(settings),
            Some(None) => Config::Unreadable,
            None => Config::NotMounted,
        }
    }
}

/// Describes one jail; whether it runs is found later.
fn describe(name: &str, config: Config, template: Option<String>, defaults: &Settings) -> Jail {
    let jail = Jail {
        name: name.into(),
        uuid: name.into(),
        jid: None,
        state: State::Unmounted,
        boot: false,
        tag: name.into(),
        template,
        details: None,
    };
    let config = match config {
        Config::NotMounted => return jail,
        Config::Unreadable => {
            return Jail {
                state: State::Corrupt,
                ..jail
            }
        }
        Config::Read(config) => config,
    };
    let text = |key: &str| settings::text(&config, defaults, key);
    let is_on = |key: &str| settings::is_on(&config, defaults, key);

    // Never from the defaults: a name there would be everybody's.
    let own = Settings::new();
    let uuid = settings::text(&config, &own, "host_hostuuid").unwrap_or_else(|| name.into());
    let kind = text("type").unwrap_or_else(|| "jail".into());
    let tag = text("tag");
    let is_plugin = kind == "plugin" || kind == "pluginv2";
    let plugin = is_plugin.then(|| plugin(text("plugin_name"), tag.as_deref(), &uuid));
    let release = text("release");
    Jail {
        state: State::Down,
        boot: is_on("boot"),
        // Tags went away in June 2017, when each became its jail's name.
        tag: tag
            .or_else(|| plugin.clone())
            .unwrap_or_else(|| uuid.clone()),
        template: jail.template.filter(|_| kind != "template"),
        details: Some(Details {
            ip4: text("ip4_addr"),
            ip6: text("ip6_addr"),
            dhcp: is_on("dhcp"),
            plugin,
            base_release: is_on("basejail")
                .then(|| text("cloned_release").or_else(|| release.clone()))
                .flatten(),
            source_template: text("source_template"),
            kind,
            release,
        }),
        uuid,
        ..jail
    }
}

/// The plugin of a plugin jail. Old ones do not say it: there iocage takes the jail's name
/// without the number that a second jail of the plugin has behind it, and so do we.
fn plugin(plugin_name: Option<String>, tag: Option<&str>, uuid: &str) -> String {
    let name = plugin_name.or_else(|| tag.map(String::from));
    name.unwrap_or_else(|| uuid.rsplit_once('_').map_or(uuid, |(name, _)| name).into())
}

/// The template that a root with this origin was made from: the dataset that the origin belongs
/// to, unless that is a release.
fn template(pool: &str, origin: &str) -> Option<String> {
    let source = datasets::of_snapshot(origin);
    if Family::Releases.member(pool, source).is_some() {
        return None;
    }
    let jail = source.strip_suffix("/root").unwrap_or(source);
    jail.rsplit('/').next().map(String::from)
}

/// Finds which of `jails` run, and completes what only a running jail knows.
fn find_running(
    jails: &mut [Jail],
    pool: &str,
    family: Family,
    running: &[RunningJail],
    mounts: &Mounts,
) {
    let mut by_kernel_name: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, jail) in jails.iter().enumerate() {
        by_kernel_name
            .entry(kernel_name(&jail.uuid))
            .or_default()
            .push(index);
    }
    for run in running {
        let Some(candidates) = by_kernel_name.get(&run.name) else {
            continue;
        };
        let source = mounts.source_of(Path::new(&run.path)).unwrap_or("");
        let parent = family.dataset(pool);
        let own = |index: &&usize| source == format!("{parent}/{}/root", jails[**index].name);
        // Names that differ in dots only ("a.b", "a_b") are one name to the kernel, and so are
        // those of two jails that claim one uuid: there the path decides. A path in another pool
        // is a jail of that pool, still running from before a switch.
        let elsewhere = is_jail_of_another_pool(source, pool);
        let chosen = candidates
            .iter()
            .find(own)
            .or_else(|| candidates.iter().find(|_| !elsewhere));
        let Some(&index) = chosen else { continue };
        let jail = &mut jails[index];
        jail.jid = Some(run.jid.clone());
        if jail.state == State::Down {
            jail.state = State::Up;
        }
    }
    for jail in jails {
        let jid = jail.jid.as_deref();
        let Some(details) = jail.details.as_mut().filter(|details| details.dhcp) else {
            continue;
        };
        // The kernel does not know the addresses of a jail with a network stack of its own.
        let run = running.iter().find(|run| Some(run.jid.as_str()) == jid);
        details.ip4 = Some(match run {
            None => "DHCP (not running)".into(),
            Some(run) if run.ip4.is_empty() => "DHCP".into(),
            Some(run) => run.ip4.join(","),
        });
    }
}

/// The name that iocage gives a running jail.
fn kernel_name(uuid: &str) -> String {
    format!("ioc-{}", uuid.replace('.', "_"))
}

fn is_jail_of_another_pool(source: &str, pool: &str) -> bool {
    match source.split_once('/') {
        Some((other, _)) => other != pool && Family::Jails.member(other, source).is_some(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_where_the_origin_lies_unless_that_is_a_release() {
        let template = |origin| template("tank", origin);
        assert_eq!(template("tank/iocage/releases/11.1-RELEASE/root@web"), None);
        assert_eq!(
            template("tank/iocage/templates/base/root@web").as_deref(),
            Some("base")
        );
        assert_eq!(
            template("tank/iocage/jails/web/root@copy").as_deref(),
            Some("web")
        );
        assert_eq!(
            template("tank/elsewhere@copy").as_deref(),
            Some("elsewhere")
        );
    }

    #[test]
    fn a_plugin_is_named_by_what_is_there() {
        assert_eq!(plugin(Some("plex".into()), Some("tag"), "plex_1"), "plex");
        assert_eq!(plugin(None, Some("tag"), "plex_1"), "tag");
        assert_eq!(plugin(None, None, "plex_1"), "plex");
        assert_eq!(plugin(None, None, "plex"), "plex");
    }
}
