//! The command lines of `iocage`, which are not the same in every version.
//!
//! The only place where `key=value` of iocage is made. The value of a property that a client gave
//! is private: only the command sees it.

mod making;

use super::images::{Format, ImageName, ImagePath};
use super::properties::{self, PropertyName, PropertyValue};
use super::version::{older_than, Ability, Version, V1_0};
use crate::configuration::Program;
use crate::error::{Error, Result};
use crate::names::{Checked, Interface, Ip4, Ip6, JailName, PluginId, Release, Url};
use crate::system::CommandLine;

pub use making::{clone, create, Base, NewClone, NewJail, Setting};

/// The network of a new jail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// Addresses at an interface of the host.
    Shared {
        interface: Interface,
        ip4: Option<Ip4>,
        ip6: Option<Ip6>,
    },
    /// A network stack of its own, behind an interface of the host, with an address by DHCP.
    Dhcp { interface: Interface },
}

/// A plugin jail to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPlugin {
    pub plugin: PluginId,
    /// The name of the plugin's manifest without `.json`, if it is not the plugin's id: iocage
    /// opens the file with the name that it is given.
    pub manifest_stem: Option<PluginId>,
    /// The jail's name; if none is given, the plugin's.
    pub name: Option<JailName>,
    pub network: Network,
    pub boot: Option<bool>,
    pub properties: Vec<(PropertyName, PropertyValue)>,
    pub accept_license: bool,
    /// The repository of the plugin, if it is not iocage's own.
    pub repository: Option<Url>,
}

/// Asks for iocage's version; the same in every version.
pub fn version() -> CommandLine {
    iocage().word("--version")
}

/// Asks which releases can be fetched; the same in every version.
pub fn list_remote() -> CommandLine {
    iocage().words(&["list", "-R"])
}

/// Fetches a release; the same in every version.
pub fn fetch_release(release: &Release) -> CommandLine {
    iocage().words(&["fetch", "-r"]).value(release)
}

/// Sets properties of a jail or template, or of all jails where none is named, one after the other;
/// the same in every version but for the words of the values.
pub fn set<'a>(
    version: Version,
    settings: impl IntoIterator<Item = (PropertyName, &'a PropertyValue)>,
    of: Option<&JailName>,
) -> CommandLine {
    let line = settings
        .into_iter()
        .fold(iocage().word("set"), |line, (name, value)| {
            line.secret_setting(&name, &value.in_words_of(version))
        });
    match of {
        Some(name) => line.value(name),
        None => line.word("default"),
    }
}

/// Gives a jail or template another name.
///
/// # Errors
/// `Unavailable` for a version that replaces the name wherever it stands in the dataset's path
/// (`iocage/lib/iocage.py` of 0.9.9.2).
pub fn rename(version: Version, name: &JailName, new: &JailName) -> Result<CommandLine> {
    match version >= V1_0 {
        true => Ok(iocage().word("rename").value(name).word("--").value(new)),
        false => Err(older_than(V1_0, "cannot rename a jail safely")),
    }
}

/// Starts a jail; the same in every version. Several on one line would end at the first failure.
pub fn start(jail: &JailName) -> CommandLine {
    iocage().word("start").value(jail)
}

/// Stops a jail; with `force` without running what the jail has for that. iocage before 1.0 has no
/// `-f`, and says so.
pub fn stop(jail: &JailName, force: bool) -> CommandLine {
    let line = iocage().word("stop");
    match force {
        true => line.word("-f").value(jail),
        false => line.value(jail),
    }
}

/// Restarts a jail; `soft` only its processes. The same in every version.
pub fn restart(jail: &JailName, soft: bool) -> CommandLine {
    let line = iocage().word("restart");
    match soft {
        true => line.word("-s").value(jail),
        false => line.value(jail),
    }
}

/// Brings a jail, with `packages` also those in it, to the latest patch level.
///
/// # Errors
/// `Unavailable` for a version that cannot update packages.
pub fn update(version: Version, jail: &JailName, packages: bool) -> Result<CommandLine> {
    let mut line = iocage().word("update");
    if packages {
        version.require(Ability::UpdatePackages)?;
        line = line.word("-P");
    }
    // freebsd-update runs on the host as root. This one comes from FreeBSD's own server, as it does
    // where nothing is said and in all versions before. By -NV it is the jail's, which whoever is root
    // there may have changed (`ioc_fetch.py`, fetch_update).
    if version.can(Ability::ChooseFreebsdUpdate) {
        line = line.word("-V");
    }
    Ok(line.value(jail))
}

/// Brings a base jail to another release; of other jails it would ask on a terminal. The same in
/// every version.
pub fn upgrade(jail: &JailName, release: &Release) -> CommandLine {
    iocage()
        .words(&["upgrade", "-r"])
        .value(release)
        .value(jail)
}

/// Makes an image of a jail.
///
/// # Errors
/// `Unavailable` for a form that this version does not make.
pub fn export(version: Version, jail: &JailName, format: Format) -> Result<CommandLine> {
    let line = iocage().word("export");
    Ok(match format {
        Format::Zip => line.value(jail),
        Format::Lzma => {
            version.require(Ability::CompressImages)?;
            line.words(&["-c", "lzma"]).value(jail)
        }
    })
}

/// Makes a jail of an image. Since 1.2 exactly this file is read, and the jail's name is not looked
/// at; before, the one file is read that has the name at its start.
///
/// # Errors
/// `Unavailable` for a form that this version does not read, and for one that takes the jail's name
/// up to its first `_` only (`iocage/lib/ioc_image.py` of 0.9.9.2).
pub fn import(version: Version, image: &ImageName, path: &ImagePath) -> Result<CommandLine> {
    if version < V1_0 {
        return Err(older_than(V1_0, "cannot import a jail safely"));
    }
    if image.format != Format::Zip {
        version.require(Ability::CompressImages)?;
    }
    let line = iocage().word("import");
    Ok(match version.can(Ability::ChooseImage) {
        true => line.word("-p").value(path).value(&image.jail),
        false => line.value(&image.jail),
    })
}

/// Fetches a plugin and makes a jail of it.
///
/// # Errors
/// `Unavailable` for what the installed iocage cannot do; `InvalidArgument` for properties that
/// contradict the rest, or that iocage would cut off.
pub fn fetch_plugin(version: Version, new: &NewPlugin) -> Result<CommandLine> {
    version.require(Ability::FetchPlugins)?;
    check_properties(version, new)?;
    let manifest = new.manifest_stem.as_ref().unwrap_or(&new.plugin);
    let mut line = iocage().words(&["fetch", "-P"]);
    if version.can(Ability::NamePluginJails) {
        line = line.value(manifest).word("-n");
        line = match &new.name {
            Some(name) => line.value(name),
            None => line.value(&new.plugin),
        };
    } else if new.name.is_some() {
        version.require(Ability::NamePluginJails)?;
    } else {
        line = line.word("--name").value(manifest);
    }
    if let Some(repository) = &new.repository {
        version.require(Ability::ChooseRepository)?;
        line = line.word("-g");
        line = match repository.without_credentials() == **repository {
            true => line.value(repository),
            false => line.secret(repository),
        };
    }
    if new.accept_license {
        line = line.word("--accept");
    }
    line = network(line, version, new)?;
    if let Some(boot) = new.boot {
        if !boot {
            version.require(Ability::LeaveBootOff)?;
        }
        line = flag(line, version, "boot", boot)?;
    }
    for (name, value) in &new.properties {
        line = line.secret_setting(name, &value.in_words_of(version));
    }
    Ok(line)
}

/// The network of the jail. What the client says by a property is left to that.
///
/// Since 1.2 a plugin's jail gets a network stack of its own (vnet) unless vnet=0 is given, and
/// then cannot share an address of the host (`ioc_plugin.py`, DEFAULT_PROPS).
fn network(mut line: CommandLine, version: Version, new: &NewPlugin) -> Result<CommandLine> {
    let said = |key: &str| new.properties.iter().any(|(name, _)| name.as_str() == key);
    match &new.network {
        Network::Shared {
            interface,
            ip4,
            ip6,
        } => {
            if version.can(Ability::NamePluginJails) {
                line = flag(line, version, "vnet", false)?;
                // With an IPv4 address iocage drops what the plugin's manifest says about these; an
                // IPv6 address does not count there (1.2 to 1.13, `ioc_plugin.py`,
                // __fetch_plugin_props__).
                for key in ["nat", "dhcp"] {
                    if ip4.is_none() && !said(key) {
                        line = flag(line, version, key, false)?;
                    }
                }
            }
            if let Some(ip4) = ip4 {
                line = line.setting(&"ip4_addr", &At::new(interface, ip4));
            }
            if let Some(ip6) = ip6 {
                line = line.setting(&"ip6_addr", &At::new(interface, ip6));
            }
        }
        Network::Dhcp { interface } => {
            for key in ["vnet", "bpf", "dhcp"] {
                if !said(key) {
                    line = flag(line, version, key, true)?;
                }
            }
            let key = "vnet_default_interface";
            if !said(key) {
                known(key).require(version)?;
                line = line.setting(&key, interface);
            }
        }
    }
    Ok(line)
}

/// Makes sure that the properties are known to `version`, survive its command line and go with the
/// network that is asked for.
fn check_properties(version: Version, new: &NewPlugin) -> Result<()> {
    let wrong = |name: &PropertyName, why: &str| {
        let message = format!("argument \"properties\": {:?} {why}", name.as_str());
        Err(Error::invalid(message))
    };
    for (name, value) in &new.properties {
        name.property().require(version)?;
        if value.as_str().contains('=') {
            // `__fetch_plugin_props__`: 1.2 to 1.13 cut it off there, older ones fail.
            return wrong(
                name,
                "must not contain \"=\": iocage would cut the value off there",
            );
        }
        match (name.as_str(), value.is_true(), &new.network) {
            // It would switch vnet on, and the jail would lose its address (`ioc_create.py`).
            ("bpf", true, Network::Shared { .. }) => {
                return wrong(name, "must be false without \"dhcp\"");
            }
            ("bpf", false, Network::Dhcp { .. }) => {
                return wrong(name, "must be true with \"dhcp\"");
            }
            // iocage refuses bpf and nat together (`ioc_json.py`, json_check_prop).
            ("nat", true, Network::Dhcp { .. }) => {
                return wrong(name, "must be false with \"dhcp\"");
            }
            _ => {}
        }
    }
    Ok(())
}

fn iocage() -> CommandLine {
    CommandLine::new(Program::Iocage)
}

/// A truth value in the words of `version`.
fn flag(
    line: CommandLine,
    version: Version,
    key: &'static str,
    truth: bool,
) -> Result<CommandLine> {
    let property = known(key);
    property.require(version)?;
    Ok(line.setting(&key, &property.truth(truth, version)))
}

fn known(key: &'static str) -> &'static properties::Property {
    properties::find(key).expect("the table has it")
}

/// An address at an interface.
struct At(String);

impl At {
    fn new(interface: &Interface, address: &impl Checked) -> Self {
        At(format!("{interface}|{}", address.as_str()))
    }
}

impl Checked for At {
    fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests;
