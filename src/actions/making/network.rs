//! The network that a request asks for a new jail.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::iocage::changes::Settled;
use crate::iocage::command::{Network, Setting};
use crate::iocage::properties::PropertyName;
use crate::request::{wrong, Arguments, DHCP, IP4, IP6, NET_DEVICE};

/// The network of a new jail: `net_device` with `ip4`, `ip6` or both, or with `dhcp`.
pub fn required(arguments: &Arguments) -> Result<Network> {
    let interface = arguments.require(&NET_DEVICE)?;
    let (ip4, ip6) = (arguments.optional(&IP4)?, arguments.optional(&IP6)?);
    match (arguments.flag(&DHCP)?, ip4.is_some() || ip6.is_some()) {
        (false, true) => Ok(Network::Shared {
            interface,
            ip4,
            ip6,
        }),
        (true, false) => Ok(Network::Dhcp { interface }),
        (true, true) => Err(wrong("dhcp", "cannot be combined with \"ip4\" or \"ip6\"")),
        (false, false) => {
            let message = "arguments \"ip4\" and \"ip6\": one of them is required, or \"dhcp\"";
            Err(Error::invalid(message))
        }
    }
}

/// The same, where none of it has to be given.
pub fn optional(arguments: &Arguments) -> Result<Option<Network>> {
    let is_given = arguments.has(&NET_DEVICE)
        || arguments.has(&IP4)
        || arguments.has(&IP6)
        || arguments.flag(&DHCP)?;
    is_given.then(|| required(arguments)).transpose()
}

/// The settings that make this network. What all jails have by default and what would be in its way
/// is switched off.
pub fn settings(network: &Network, defaults: &Settled) -> Result<Vec<Setting>> {
    let mut settings = Vec::new();
    let mut set = |name: &str, value: &str| -> Result<()> {
        let name = PropertyName::of_new_jail(name).map_err(Error::invalid)?;
        let value = name.value(&Value::from(value)).map_err(Error::invalid)?;
        settings.push((name, value));
        Ok(())
    };
    match network {
        Network::Shared {
            interface,
            ip4,
            ip6,
        } => {
            set("vnet", "0")?;
            for name in ["bpf", "dhcp", "nat"] {
                if defaults.is_on(name) {
                    set(name, "0")?;
                }
            }
            if let Some(ip4) = ip4 {
                set("ip4_addr", &format!("{interface}|{ip4}"))?;
            }
            if let Some(ip6) = ip6 {
                set("ip6_addr", &format!("{interface}|{ip6}"))?;
            }
        }
        Network::Dhcp { interface } => {
            if defaults.is_on("nat") {
                set("nat", "0")?;
            }
            for name in ["vnet", "bpf", "dhcp"] {
                set(name, "1")?;
            }
            set("vnet_default_interface", interface)?;
        }
    }
    Ok(settings)
}

/// Refuses properties that the network decides.
pub fn check(network: &[Setting], properties: &[Setting]) -> Result<()> {
    const OF_NETWORK: [&str; 4] = ["dhcp", "ip4_addr", "ip6_addr", "vnet"];
    let is_decided = |(name, _): &&Setting| {
        let is_set = network.iter().any(|(other, _)| other == name);
        is_set || OF_NETWORK.contains(&name.property().name)
    };
    match properties.iter().find(is_decided) {
        Some((name, _)) if !network.is_empty() => {
            let name = name.property().name;
            let why = format!("{name:?} cannot be combined with \"net_device\", which decides it");
            Err(wrong("properties", &why))
        }
        _ => Ok(()),
    }
}
