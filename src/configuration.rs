//! The library's configuration: which commands, which pools, how patient.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::limits;
use crate::names::{PoolName, Url};

/// Where the default instance looks for its configuration.
pub const DEFAULT_PATH: &str = "/usr/local/etc/sysadm/iocage.json";

/// The repository that iocage clones unless it is told otherwise.
pub const PLUGIN_REPOSITORY: &str = "https://github.com/freenas/iocage-ix-plugins.git";

/// A program that the library runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Program {
    Zfs,
    Zpool,
    Jls,
    Jexec,
    Rctl,
    Iocage,
    FreebsdVersion,
    Fetch,
    Git,
}

/// Every program: its name in the configuration, and where FreeBSD has it.
const PROGRAMS: [(Program, &str, &str); 9] = [
    (Program::Zfs, "zfs", "/sbin/zfs"),
    (Program::Zpool, "zpool", "/sbin/zpool"),
    (Program::Jls, "jls", "/usr/sbin/jls"),
    (Program::Jexec, "jexec", "/usr/sbin/jexec"),
    (Program::Rctl, "rctl", "/usr/bin/rctl"),
    (Program::Iocage, "iocage", "/usr/local/bin/iocage"),
    (
        Program::FreebsdVersion,
        "freebsd-version",
        "/bin/freebsd-version",
    ),
    (Program::Fetch, "fetch", "/usr/bin/fetch"),
    (Program::Git, "git", "/usr/local/bin/git"),
];

/// Where the programs are, by absolute path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commands([PathBuf; PROGRAMS.len()]);

/// A checked configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    pub commands: Commands,
    /// Variables that the commands get which use the network, such as `https_proxy`.
    pub environment: Vec<(String, String)>,
    /// How long a command that answers a request may take.
    pub command_timeout: Duration,
    /// How old a list from the network may be before the network is asked again.
    pub catalogue_max_age: Duration,
    /// The only pools that exist for the library; `None` for all of the host's.
    pub pools: Option<Vec<PoolName>>,
    /// The page on which FreeBSD lists the releases that it no longer supports.
    pub end_of_life_url: Url,
    /// The git repositories of plugins; if two have the same id, the first counts.
    pub plugin_repositories: Vec<Url>,
    /// Where the library keeps what it knows of the network, records of jobs, and locks.
    pub state_directory: PathBuf,
    /// Where the drop-in pair for the sysadm server finds the library. Checked, not used here.
    pub library: PathBuf,
}

impl Default for Configuration {
    fn default() -> Self {
        Configuration {
            commands: Commands::default(),
            environment: Vec::new(),
            command_timeout: Duration::from_secs(30),
            catalogue_max_age: Duration::from_secs(3600),
            pools: None,
            end_of_life_url: built_in("https://www.freebsd.org/security/unsupported/"),
            plugin_repositories: vec![built_in(PLUGIN_REPOSITORY)],
            state_directory: "/var/db/sysadm-iocage".into(),
            library: "/usr/local/lib/libsysadm_iocage.so".into(),
        }
    }
}

impl Configuration {
    /// The folder by which the instances of all processes that work with one iocage know of each
    /// other: which jobs run, and who changes something. Another iocage (of a test, or in another
    /// root) has another folder.
    pub fn run_directory(&self) -> PathBuf {
        let iocage = self.commands.path(Program::Iocage).display().to_string();
        let world = iocage.trim_start_matches('/').replace('/', "_");
        self.state_directory.join("run").join(world)
    }

    /// Reads a configuration text; keys that it does not have keep their defaults.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the key that is not known or whose value is not right.
    pub fn parse(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| Error::invalid(format!("the configuration is not JSON: {error}")))?;
        let Value::Object(object) = value else {
            return Err(Error::invalid("the configuration is not a JSON object"));
        };
        let mut config = Configuration::default();
        for (key, value) in &object {
            match key.as_str() {
                "commands" => config.commands.set(value)?,
                "environment" => config.environment = environment(key, value)?,
                "command_timeout_seconds" => {
                    config.command_timeout = seconds(key, value, limits::COMMAND_TIMEOUT_SECONDS)?
                }
                "catalogue_max_age_seconds" => {
                    config.catalogue_max_age =
                        seconds(key, value, limits::CATALOGUE_MAX_AGE_SECONDS)?
                }
                "pools" => config.pools = Some(pools(value)?),
                "end_of_life_url" => config.end_of_life_url = url(key, value)?,
                "plugin_repositories" => {
                    let list = value
                        .as_array()
                        .ok_or_else(|| wrong(key, "must be an array"))?;
                    config.plugin_repositories = list
                        .iter()
                        .map(|item| url(key, item))
                        .collect::<Result<_>>()?;
                }
                "state_directory" => config.state_directory = absolute_path(key, value)?,
                "library" => config.library = absolute_path(key, value)?,
                _ => return Err(Error::invalid(format!("unknown configuration key {key:?}"))),
            }
        }
        Ok(config)
    }

    /// The configuration at [`DEFAULT_PATH`], or the defaults where there is no such file.
    ///
    /// # Errors
    /// As [`Configuration::parse`], and where the file is there but cannot be read.
    pub fn of_host() -> Result<Self> {
        Self::read(Path::new(DEFAULT_PATH))
    }

    fn read(path: &Path) -> Result<Self> {
        let mut text = String::new();
        let read = std::fs::File::open(path).and_then(|file| {
            file.take(limits::CONFIGURATION_BYTES as u64)
                .read_to_string(&mut text)
        });
        match read {
            Ok(_) => Self::parse(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::invalid(format!("the configuration: {error}"))),
        }
        .map_err(|error| error.context(&path.display().to_string()))
    }

    /// Whether `pool` exists for the library.
    pub fn allows_pool(&self, pool: &str) -> bool {
        self.pools
            .as_ref()
            .is_none_or(|pools| pools.iter().any(|name| **name == *pool))
    }
}

impl Default for Commands {
    fn default() -> Self {
        Commands(PROGRAMS.map(|(_, _, path)| path.into()))
    }
}

impl Commands {
    /// Where `program` is.
    pub fn path(&self, program: Program) -> &Path {
        &self.0[program as usize]
    }

    fn set(&mut self, value: &Value) -> Result<()> {
        let commands = value
            .as_object()
            .ok_or_else(|| Error::invalid("configuration key \"commands\": must be an object"))?;
        for (name, path) in commands {
            let known = PROGRAMS.iter().find(|(_, known, _)| known == name);
            let Some((program, ..)) = known else {
                let message = format!("unknown configuration key \"commands.{name}\"");
                return Err(Error::invalid(message));
            };
            self.0[*program as usize] = absolute_path(&format!("commands.{name}"), path)?;
        }
        Ok(())
    }
}

fn built_in(url: &'static str) -> Url {
    Url::parse(url).expect("it is a URL")
}

fn wrong(key: &str, what: &str) -> Error {
    Error::invalid(format!("configuration key {key:?}: {what}"))
}

fn absolute_path(key: &str, value: &Value) -> Result<PathBuf> {
    match value.as_str() {
        Some(path) if path.starts_with('/') && !path.contains('\0') => Ok(path.into()),
        _ => Err(wrong(key, "must be an absolute path")),
    }
}

fn url(key: &str, value: &Value) -> Result<Url> {
    let text = value.as_str().unwrap_or_default();
    Url::parse(text).map_err(|why| wrong(key, &why))
}

/// Variables with names that any program takes, and values that are one line.
fn environment(key: &str, value: &Value) -> Result<Vec<(String, String)>> {
    let object = value
        .as_object()
        .ok_or_else(|| wrong(key, "must be an object"))?;
    let variable = |(name, value): (&String, &Value)| {
        let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !first || !name.chars().all(is_name) {
            return Err(wrong(
                key,
                &format!("{name:?} is not the name of a variable"),
            ));
        }
        match value.as_str() {
            Some(text) if !text.chars().any(char::is_control) => Ok((name.clone(), text.into())),
            _ => Err(wrong(
                key,
                &format!("{name:?} must be a string of one line"),
            )),
        }
    };
    object.iter().map(variable).collect()
}

fn seconds(key: &str, value: &Value, range: std::ops::RangeInclusive<u64>) -> Result<Duration> {
    match value.as_u64() {
        Some(seconds) if range.contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => {
            let what = format!(
                "must be a whole number from {} to {}",
                range.start(),
                range.end()
            );
            Err(wrong(key, &what))
        }
    }
}

fn pools(value: &Value) -> Result<Vec<PoolName>> {
    let list = value
        .as_array()
        .ok_or_else(|| wrong("pools", "must be an array"))?;
    list.iter()
        .map(|item| {
            let name = item
                .as_str()
                .ok_or_else(|| wrong("pools", "must be an array of strings"))?;
            PoolName::parse(name).map_err(|why| wrong("pools", &why))
        })
        .collect()
}
