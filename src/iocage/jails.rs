//! The jails and templates of a pool.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::datasets::{self, Family};
use super::settings::{self, Key, Settings};
use super::survey::{survey, ConfigFile, Member, Memory, Survey};
use crate::error::Result;
use crate::names::PoolName;
use crate::system::{Mounts, RunningJail, System};

/// How a jail is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Up,
    Down,
    /// Its `config.json` is missing or cannot be read.
    Corrupt,
    /// Its dataset is not mounted, so nobody knows. (iocage would mount it.)
    Unmounted,
}

impl State {
    pub const ALL: [State; 4] = [State::Up, State::Down, State::Corrupt, State::Unmounted];

    /// In the word of a reply.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Up => "up",
            State::Down => "down",
            State::Corrupt => "CORRUPT",
            State::Unmounted => "unmounted",
        }
    }
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
    /// What its settings say; none if they cannot be read.
    pub details: Option<Details>,
}

impl Jail {
    /// Whether a client means it by `label`: by its dataset's name or its uuid.
    pub fn is_called(&self, label: &str) -> bool {
        self.name == label || self.uuid == label
    }
}

/// What only a jail's settings say.
#[derive(Clone, Debug)]
pub struct Details {
    pub kind: String,
    pub release: Option<String>,
    pub ip4: Option<String>,
    pub ip6: Option<String>,
    /// Its IPv4 address comes by DHCP.
    pub dhcp: bool,
    /// Its plugin, if it is a plugin jail.
    pub plugin: Option<String>,
    /// Whether it mounts the files of a release instead of having its own.
    pub basejail: bool,
    /// The release whose files it mounts.
    pub base_release: Option<String>,
}

/// The jails or the templates of a pool.
pub struct Listing {
    pub pool: PoolName,
    pub family: Family,
    /// By name.
    pub jails: Vec<Jail>,
    /// iocage's root on disk, if it is mounted.
    pub root: Option<PathBuf>,
    survey: Option<Survey>,
}

impl Listing {
    /// A pool without datasets for `family`.
    pub fn empty(pool: PoolName, family: Family, root: Option<PathBuf>) -> Self {
        Listing {
            pool,
            family,
            jails: Vec::new(),
            root,
            survey: None,
        }
    }

    /// The settings of a jail; none if its `config.json` cannot be read.
    pub fn settings(&self, jail: &Jail) -> Option<&Settings> {
        match self.survey.as_ref()?.files.config(&jail.name) {
            ConfigFile::Read(settings) => Some(settings),
            ConfigFile::NotMounted | ConfigFile::Unreadable => None,
        }
    }

    /// The settings of all jails, in the pool's `defaults.json`; none if it cannot be read.
    pub fn defaults(&self) -> &Settings {
        let survey = self.survey.as_ref();
        survey.map_or(Settings::none(), |survey| survey.files.defaults())
    }

    /// Why the settings of all jails are not known, if they are not.
    pub fn defaults_error(&self) -> Option<String> {
        let broken = self.survey.as_ref()?.files.has_broken_defaults();
        let root = self.root.as_deref().filter(|_| broken)?;
        let file = root.join("defaults.json");
        Some(format!("{} cannot be read", file.display()))
    }

    /// The snapshot that the root of a jail is a clone of.
    pub fn origin(&self, jail: &Jail) -> Option<&str> {
        let members = self.survey.as_ref()?.datasets.members();
        let index = members.binary_search_by(|member| (*member.name).cmp(&jail.name));
        members[index.ok()?].origin.as_deref()
    }

    /// Where the dataset of a jail is mounted, if it is.
    pub fn folder(&self, jail: &Jail) -> Option<&Path> {
        let parent = self.family.dataset(&self.pool);
        self.mountpoint(&format!("{parent}/{}", jail.name))
    }

    /// Where the root of a jail is mounted, if it is.
    pub fn root_of(&self, jail: &Jail) -> Option<&Path> {
        let parent = self.family.dataset(&self.pool);
        self.mountpoint(&format!("{parent}/{}/root", jail.name))
    }

    fn mountpoint(&self, dataset: &str) -> Option<&Path> {
        self.survey.as_ref()?.mounts.mountpoint(dataset)
    }
}

/// Lists the members of each of `families` in `pool` at one moment; `None` where the pool has no
/// dataset for them.
pub fn list(
    system: &System,
    memory: &Memory,
    pool: &PoolName,
    families: &[Family],
) -> Result<Vec<Option<Listing>>> {
    let surveys = survey(system, memory, pool, families)?;
    let each = families.iter().zip(surveys);
    Ok(each
        .map(|(family, survey)| Some(listing(pool, *family, survey?)))
        .collect())
}

fn listing(pool: &PoolName, family: Family, survey: Survey) -> Listing {
    let defaults = survey.files.defaults();
    let members = survey.datasets.members();
    let configs = survey
        .files
        .configs(members.iter().map(|member| &*member.name));
    let jail = |(member, config): (&Member, ConfigFile)| {
        let origin = member.origin.as_deref();
        let template = origin.and_then(|origin| template(pool, origin));
        describe(&member.name, config, template, defaults)
    };
    let mut jails: Vec<Jail> = members.iter().zip(configs).map(jail).collect();
    find_running(&mut jails, pool, family, &survey.running, &survey.mounts);
    let root = datasets::folder(&survey.mounts, pool).map(PathBuf::from);
    Listing {
        pool: pool.clone(),
        family,
        jails,
        root,
        survey: Some(survey),
    }
}

/// Describes one jail; whether it runs is found later.
fn describe(name: &str, config: ConfigFile, template: Option<String>, defaults: &Settings) -> Jail {
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
        ConfigFile::NotMounted => return jail,
        ConfigFile::Unreadable => {
            return Jail {
                state: State::Corrupt,
                ..jail
            }
        }
        ConfigFile::Read(config) => config,
    };
    let text = |key| settings::text(config, defaults, key);
    let is_on = |key| settings::is_on(config, defaults, key);

    // Never from the defaults: a name there would be the name of all jails.
    let uuid =
        settings::text(config, Settings::none(), Key::HOST_HOSTUUID).unwrap_or_else(|| name.into());
    let kind = text(Key::TYPE).unwrap_or_else(|| "jail".into());
    let tag = config.other("tag").or_else(|| defaults.other("tag"));
    let tag = tag.map(String::from);
    let is_plugin = kind == "plugin" || kind == "pluginv2";
    let plugin = is_plugin.then(|| plugin(text(Key::PLUGIN_NAME), tag.as_deref(), &uuid));
    let release = text(Key::RELEASE);
    // Old settings have it as a type of its own.
    let basejail = is_on(Key::BASEJAIL) || kind == "basejail";
    Jail {
        state: State::Down,
        boot: is_on(Key::BOOT),
        // There are no tags since June 2017, when each became its jail's name.
        tag: tag
            .or_else(|| plugin.clone())
            .unwrap_or_else(|| uuid.clone()),
        template: jail.template.filter(|_| kind != "template"),
        details: Some(Details {
            ip4: text(Key::IP4_ADDR),
            ip6: text(Key::IP6_ADDR),
            dhcp: is_on(Key::DHCP),
            plugin,
            basejail,
            base_release: basejail
                .then(|| text(Key::CLONED_RELEASE).or_else(|| release.clone()))
                .flatten(),
            kind,
            release,
        }),
        uuid,
        ..jail
    }
}

/// The plugin of a plugin jail. Old settings do not say it. Then it is the jail's name, without the
/// number at the end that a second jail of the plugin has; iocage does the same.
fn plugin(plugin_name: Option<String>, tag: Option<&str>, uuid: &str) -> String {
    let name = plugin_name.or_else(|| tag.map(String::from));
    name.unwrap_or_else(|| uuid.rsplit_once('_').map_or(uuid, |(name, _)| name).into())
}

/// The template that a root with this origin was made from: the dataset that the origin belongs
/// to, unless that is a release.
fn template(pool: &str, origin: &str) -> Option<String> {
    let source = origin.split('@').next().unwrap_or(origin);
    if Family::Releases.member(pool, source).is_some() {
        return None;
    }
    let jail = source.strip_suffix("/root").unwrap_or(source);
    jail.rsplit('/').next().map(String::from)
}

/// Finds which of `jails` run, and fills in what only the kernel knows.
fn find_running(
    jails: &mut [Jail],
    pool: &PoolName,
    family: Family,
    running: &[RunningJail],
    mounts: &Mounts,
) {
    let parent = family.dataset(pool);
    let mut roots: HashMap<&OsStr, usize> = HashMap::with_capacity(jails.len());
    let mut next = 0;
    for (dataset, mountpoint) in mounts.subtree(&parent) {
        let Some((name, "root")) = dataset.split_once('/') else {
            continue;
        };
        // Both are in nearly the same order.
        let found = match jails.get(next) {
            Some(jail) if jail.name == name => Ok(next),
            _ => jails.binary_search_by(|jail| (*jail.name).cmp(name)),
        };
        if let Ok(index) = found {
            roots.insert(mountpoint.as_os_str(), index);
            next = index + 1;
        }
    }
    // The path of the root decides: a jail may be renamed while it runs; names that differ only in
    // dots ("a.b", "a_b") are one name to the kernel; and two jails may claim one uuid. The name
    // only counts for a jail whose root is not mounted where it was.
    let mut found: Vec<Option<&RunningJail>> = vec![None; jails.len()];
    let mut others = Vec::new();
    for run in running {
        // A child jail lies in the same dataset, deeper.
        let path = Path::new(&run.path).components().as_path();
        match roots.get(path.as_os_str()) {
            Some(&index) => {
                found[index].get_or_insert(run);
            }
            // A jail of another pool, still running from before a switch; or one of the other family,
            // whatever its uuid is.
            None if is_listed_elsewhere(mounts.dataset_of(path).unwrap_or(""), pool, family) => {}
            None => others.push(run),
        }
    }
    if !others.is_empty() {
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, jail) in jails.iter().enumerate() {
            let name = kernel_name(&jail.uuid);
            by_name.entry(name).or_default().push(index);
        }
        for run in others {
            let mut candidates = by_name.get(&run.name).into_iter().flatten();
            if let Some(&index) = candidates.find(|index| found[**index].is_none()) {
                found[index] = Some(run);
            }
        }
    }
    for (jail, run) in jails.iter_mut().zip(found) {
        if let Some(run) = run {
            jail.jid = Some(run.jid.clone());
            if jail.state == State::Down {
                jail.state = State::Up;
            }
        }
        // The kernel does not know the addresses of a jail with a network stack of its own.
        if let Some(details) = jail.details.as_mut().filter(|details| details.dhcp) {
            details.ip4 = Some(match run {
                None => "DHCP (not running)".into(),
                Some(run) if run.ip4.is_empty() => "DHCP".into(),
                Some(run) => run.ip4.join(","),
            });
        }
    }
}

/// The name that iocage gives a running jail.
fn kernel_name(uuid: &str) -> String {
    format!("ioc-{}", uuid.replace('.', "_"))
}

/// Whether a dataset is that of a jail or template which is in another listing than that of `family`
/// in `pool`.
fn is_listed_elsewhere(dataset: &str, pool: &str, family: Family) -> bool {
    let Some((of, _)) = dataset.split_once('/') else {
        return false;
    };
    datasets::jail_or_template(of, dataset).is_some_and(|(other, _)| (of, other) != (pool, family))
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
