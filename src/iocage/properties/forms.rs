//! The forms of text values: what each may look like, and where iocage takes it.
//!
//! A value that reaches jail.conf (iocage writes `key = "value";` there and escapes nothing,
//! `ioc_json.py`, JailRuntimeConfiguration of 1.1 and later), jail(8)'s arguments (1.0 and before),
//! a shell script, pf's rules or rc.conf has a form without quotes, `;`, braces, `\`, `$` and
//! anything else that means something there. Free text stays in config.json.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::names::{Interface, Ip4, Ip6, JailName, PluginId, Url};

/// The form of a text.
pub struct Form {
    /// What it must be, to stand after "must be".
    pub rule: &'static str,
    fits: fn(&str) -> bool,
}

impl Form {
    pub fn fits(&self, text: &str) -> bool {
        (self.fits)(text)
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Form({:?})", self.rule)
    }
}

const fn form(rule: &'static str, fits: fn(&str) -> bool) -> Form {
    Form { rule, fits }
}

/// For people: it stays in config.json.
pub static TEXT: Form = form("a text", |_| true);
/// Run on the host, by a shell or directly. No client may set it.
pub static HOST_COMMAND: Form = form("a command", |_| true);
/// Run in the jail, split at spaces, without a shell. Only exec_created goes to jail.conf, and in
/// 1.0 exec_stop to jail(8).
pub static COMMAND: Form = form(
    "a command of letters, digits, spaces and ./_:=,@%+-",
    |text| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
            && made_of(text, " ./_:=,@%+-")
    },
);
/// jail.conf.
pub static HOST_NAME: Form = form("a host name of letters, digits, '.', '_' and '-'", |text| {
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && made_of(text, "._-")
});
/// jail.conf; to ifconfig(8) and rc.conf with a network stack of its own.
pub static ADDRESSES_4: Form = form(
    "\"none\", or IPv4 addresses separated by commas, such as re0|10.0.0.5/24",
    |text| text == "none" || each(text, ',', |item| at_interface(item, is_ip4, "DHCP")),
);
pub static ADDRESSES_6: Form = form(
    "\"none\", or IPv6 addresses separated by commas, such as re0|2001:db8::7/64",
    |text| text == "none" || each(text, ',', |item| at_interface(item, is_ip6, "accept_rtadv")),
);
pub static ROUTER_4: Form = form("\"auto\", \"none\" or an IPv4 address", |text| {
    ["auto", "none"].contains(&text) || text.parse::<Ipv4Addr>().is_ok()
});
pub static ROUTER_6: Form = form(
    "\"auto\", \"none\" or an IPv6 address, which may have an interface (fe80::1%re0)",
    |text| {
        let (address, scope) = text.split_once('%').unwrap_or((text, "x"));
        ["auto", "none"].contains(&text)
            || (address.parse::<Ipv6Addr>().is_ok() && is_interface(scope))
    },
);
pub static LOCALHOST: Form = form("\"none\" or an IPv4 address", |text| {
    text == "none" || text.parse::<Ipv4Addr>().is_ok()
});
/// The jail's resolv.conf; each `;` becomes the end of a line.
pub static RESOLVER: Form = form(
    "\"/etc/resolv.conf\", \"none\", \"/dev/null\", or lines of resolv.conf separated by ;",
    |text| {
        ["/etc/resolv.conf", "none", "/dev/null"].contains(&text) || each(text, ';', resolver_line)
    },
);
pub static MAC_PREFIX: Form = form(
    "6 hexadecimal digits, of which the second is 2, 6, A or E",
    |text| text.len() == 6 && is_hex(text) && "26AEae".contains(&text[1..2]),
);
pub static MAC_PAIR: Form = form(
    "\"none\", or two different MAC addresses separated by a space",
    |text| text == "none" || mac_pair(text),
);
/// To ifconfig(8) and, as part of a name, to rc.conf.
pub static INTERFACES: Form = form(
    "pairs of an interface and a bridge separated by commas, such as vnet0:bridge0",
    |text| {
        each(text, ',', |item| {
            item.split_once(':')
                .is_some_and(|(nic, bridge)| is_interface(nic) && is_interface(bridge))
        })
    },
);
/// `none` and `auto` have the form of a name.
pub static HOST_INTERFACE: Form = form(
    "\"none\", \"auto\" or an interface of the host",
    is_interface,
);
/// jail.conf.
pub static HOST_INTERFACES: Form = form(
    "\"none\", or interfaces of the host separated by spaces",
    |text| each(text, ' ', is_interface),
);
/// The host's shell (ipfw) or pf's rules.
pub static NAT_INTERFACE: Form = form("\"none\" or an interface of the host", is_interface);
pub static NAT_PREFIX: Form = form(
    "\"none\", or the first two numbers of a private IPv4 network, such as 172.16",
    |text| {
        let network = format!("{text}.0.0").parse::<Ipv4Addr>();
        text == "none" || network.is_ok_and(|network| network.is_private())
    },
);
/// The host's shell (ipfw) or pf's rules.
pub static NAT_FORWARDS: Form = form(
    "\"none\", or ports separated by commas, such as 8080 or tcp(80:8080)",
    |text| text == "none" || each(text, ',', forward),
);
pub static CPUS: Form = form(
    "\"off\", \"all\", numbers of CPUs separated by commas, or a range such as 0-3",
    |text| {
        let range = text
            .split_once('-')
            .and_then(|(from, to)| Some(cpu(from)? < cpu(to)?));
        ["off", "all"].contains(&text)
            || each(text, ',', |item| cpu(item).is_some())
            || range == Some(true)
    },
);
// rctl(8), by iocage's rules (`ioc_json.py`, IOCRCTL): which have a unit, deny, throttle.
pub static LIMIT_OF_SIZE: Form = form(
    "\"off\" or an action and an amount, such as deny=4G",
    |text| limit(text, true, true, false),
);
pub static LIMIT_OF_COUNT: Form = form(
    "\"off\" or an action and a number, such as deny=100",
    |text| limit(text, false, true, false),
);
pub static LIMIT_OF_TIME: Form = form(
    "\"off\" or an action other than deny and a number, such as log=3600",
    |text| limit(text, false, false, false),
);
pub static LIMIT_OF_RATE: Form = form(
    "\"off\" or an action other than deny and an amount, such as throttle=10M",
    |text| limit(text, true, false, true),
);
pub static QUOTA: Form = form("\"none\", or a size that ends in M, G or T", |text| {
    text == "none" || (text.ends_with(['M', 'G', 'T', 'm', 'g', 't']) && size(text))
});
pub static RESERVATION: Form = form("\"none\" or a size such as 10G", |text| {
    text == "none" || size(text)
});
pub static JAILS: Form = form("\"none\", or names of jails separated by spaces", |text| {
    each(text, ' ', |name| JailName::parse(name).is_ok())
});
/// To zfs(8), below the pool's name. Of iocage's own datasets a jail may have only those of a jail.
pub static DATASETS: Form = form(
    "datasets below the pool separated by spaces, and none of iocage's own",
    |text| each(text, ' ', dataset),
);
pub static PATH: Form = form("\"none\" or an absolute path", |text| {
    text == "none"
        || (text.starts_with('/')
            && made_of(text, "/._-")
            && text.split('/').all(|part| part != ".."))
});
pub static USER: Form = form("the name or number of a user", |text| {
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') && made_of(text, "._-")
});
pub static LOGIN_FLAGS: Form = form("options of login(1)", |text| made_of(text, " ._-"));
pub static HOST_ID: Form = form("the host's id", |text| made_of(text, "-"));
pub static PLUGIN: Form = form("the id of a plugin", |text| PluginId::parse(text).is_ok());
pub static REPOSITORY: Form = form("the URL of a repository", |text| {
    text == "none" || Url::parse(text).is_ok()
});

/// Whether `text` has nothing but ASCII letters, digits and `others`.
fn made_of(text: &str, others: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

fn each(text: &str, separator: char, fits: impl Fn(&str) -> bool) -> bool {
    text.split(separator).all(fits)
}

fn is_interface(text: &str) -> bool {
    Interface::parse(text).is_ok()
}

fn is_ip4(text: &str) -> bool {
    Ip4::parse(text).is_ok()
}

fn is_ip6(text: &str) -> bool {
    Ip6::parse(text).is_ok()
}

/// An address with or without an interface, or at an interface the word that asks for one.
fn at_interface(item: &str, is_address: fn(&str) -> bool, asking: &str) -> bool {
    match item.split_once('|') {
        Some((interface, address)) => {
            is_interface(interface) && (address == asking || is_address(address))
        }
        None => is_address(item),
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn mac_pair(text: &str) -> bool {
    let plain = |mac: &str| {
        let separator = ['-', ':'].into_iter().find(|c| mac.contains(*c));
        let bytes: Vec<&str> = match separator {
            Some(separator) => mac.split(separator).collect(),
            None if mac.len() == 12 && mac.is_ascii() => {
                (0..6).map(|n| &mac[2 * n..2 * n + 2]).collect()
            }
            None => return None,
        };
        let right = bytes.len() == 6 && bytes.iter().all(|byte| byte.len() == 2 && is_hex(byte));
        right.then(|| bytes.concat().to_ascii_lowercase())
    };
    let pair = text.split_once([' ', ',']);
    pair.is_some_and(|(one, other)| match (plain(one), plain(other)) {
        (Some(one), Some(other)) => one != other,
        _ => false,
    })
}

fn resolver_line(line: &str) -> bool {
    let keywords = ["nameserver", "domain", "search", "sortlist", "options"];
    let (keyword, rest) = line.split_once(' ').unwrap_or((line, ""));
    keywords.contains(&keyword) && !rest.is_empty() && made_of(rest, " .:/_%-")
}

/// `PORT`, or `tcp(PORT)`, `udp(...)`, `tcp/udp(...)`, where PORT may be `IN:OUT` or `FIRST-LAST`.
/// A port of one digit must be `IN:OUT`: iocage 1.13 takes no other (its pattern wants two digits).
fn forward(item: &str) -> bool {
    let port = |text: &str| is_number(text) && text.parse::<u16>().is_ok_and(|port| port > 0);
    let inside = |text: &str| match text.split_once([':', '-']) {
        Some((one, other)) => port(one) && port(other),
        None => port(text) && text.len() > 1,
    };
    let protocols = ["tcp(", "udp(", "tcp/udp("];
    let with_protocol = protocols
        .iter()
        .find_map(|start| item.strip_prefix(start)?.strip_suffix(')'));
    inside(item) && is_number(item) || with_protocol.is_some_and(inside)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn cpu(text: &str) -> Option<u16> {
    is_number(text).then(|| text.parse().ok())?
}

fn limit(text: &str, unit: bool, deny: bool, throttle: bool) -> bool {
    let Some((action, amount)) = text.split_once('=') else {
        return text == "off";
    };
    let signal = action.strip_prefix("sig");
    let known = match action {
        "log" | "devctl" => true,
        "deny" => deny,
        "throttle" => throttle,
        _ => signal.is_some_and(|rest| !rest.is_empty() && made_of(rest, "")),
    };
    let number = match unit {
        true => amount
            .strip_suffix(|c: char| "bkmgtpBKMGTP".contains(c))
            .unwrap_or(amount),
        false => amount,
    };
    known && is_number(number)
}

/// A size as zfs(8) takes it: `10G`, `1.5T`, `1024`.
fn size(text: &str) -> bool {
    let number = text
        .strip_suffix(|c: char| "KMGTPkmgtp".contains(c))
        .unwrap_or(text);
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    is_number(whole) && is_number(part)
}

fn dataset(name: &str) -> bool {
    let part =
        |part: &str| part.starts_with(|c: char| c.is_ascii_alphanumeric()) && made_of(part, "._:-");
    let of_a_jail = name
        .strip_prefix("iocage/jails/")
        .and_then(|rest| rest.split('/').nth(1))
        .is_some_and(|part| part != "root");
    name.split('/').all(part) && (of_a_jail || name.split('/').next() != Some("iocage"))
}
