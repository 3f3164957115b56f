//! How long starting and stopping a jail may take.

use std::collections::BTreeSet;
use std::time::Duration;

use super::selection::Member;
use super::settings::{self, Settings};

/// The time for what iocage itself does not limit: it runs prestart, exec_start (`/etc/rc`) and
/// poststart, or prestop, exec_stop and poststop, and waits for each as long as it takes
/// (`ioc_start.py`, `ioc_stop.py`, `ioc_exec.py` of 1.13). FreeBSD's `rc.shutdown` alone gives up
/// after 90 s (rcshutdown_timeout, rc.conf(5)).
const HOOKS: Duration = Duration::from_secs(300);

/// Where the setting is 0, jail(8) waits for ever.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// How long iocage may take to start, stop or restart a jail, besides the time that it needs as any
/// command does.
///
/// A client had better hear late than that a jail was left half started. So all that iocage itself
/// waits for has passed before: jail(8) ends exec.created after exec_timeout, and what still runs
/// in the jail after stop_timeout (`ioc_start.py` writes both into jail.conf; a start that fails
/// stops the jail again). A start first starts all that the jail depends on (`iocage.py`, start).
pub fn patience(member: Member) -> Duration {
    let mut seen = BTreeSet::new();
    let mut next = vec![member.jail.name.clone()];
    let mut patience = Duration::ZERO;
    while let Some(name) = next.pop() {
        let jail = member.listing.jails.iter().find(|jail| jail.name == name);
        let Some(jail) = jail.filter(|jail| seen.insert(jail.name.clone())) else {
            continue;
        };
        let none = Settings::none();
        let own = member.listing.settings(jail).unwrap_or(none);
        let (time, depends) = of(own, member.listing.defaults());
        patience += time;
        next.extend(depends);
    }
    patience
}

/// The time for one jail, and the names of those that it depends on.
fn of(config: &Settings, defaults: &Settings) -> (Duration, Vec<String>) {
    let all = settings::effective(config, defaults);
    let text = |name: &str| all.get(name).map_or("", |(value, _)| value);
    let seconds = |name: &str, usual: u64| match text(name).parse() {
        Ok(0) => FOR_EVER,
        Ok(seconds) => Duration::from_secs(u32::into(seconds)),
        // jail(8) refuses that, so it does not come to waiting.
        Err(_) => Duration::from_secs(usual),
    };
    let time = seconds("exec_timeout", 60) + seconds("stop_timeout", 30) + HOOKS;
    let depends = text("depends").split_whitespace().map(String::from);
    (time, depends.filter(|name| name != "none").collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iocage::datasets::Family;
    use crate::iocage::jails::Listing;
    use crate::names::PoolName;

    fn settings(text: &str) -> Settings {
        Settings::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn iocages_own_limits_pass_before_ours() {
        let seconds = |config: &str, defaults: &str| {
            let (time, _) = of(&settings(config), &settings(defaults));
            (time - HOOKS).as_secs()
        };
        assert_eq!(seconds("{}", "{}"), 60 + 30);
        assert_eq!(seconds(r#"{"exec_timeout": "5"}"#, "{}"), 5 + 30);
        let defaults = r#"{"exec_timeout": "5", "stop_timeout": 7}"#;
        assert_eq!(seconds("{}", defaults), 5 + 7);
        assert_eq!(seconds(r#"{"stop_timeout": 600}"#, defaults), 5 + 600);
        assert_eq!(seconds(r#"{"exec_timeout": "0"}"#, "{}"), 3600 + 30);
        for wrong in ["-1", "1abc", "", "99999999999999999999"] {
            let config = format!(r#"{{"exec_timeout": "{wrong}"}}"#);
            assert_eq!(seconds(&config, "{}"), 60 + 30, "{wrong}");
        }
        let most = seconds(r#"{"exec_timeout": "2147483647"}"#, "{}");
        assert_eq!(most, 2_147_483_647 + 30);
    }

    #[test]
    fn what_it_depends_on_is_read_word_by_word() {
        let depends = |value: &str| {
            let config = settings(&format!(r#"{{"depends": "{value}"}}"#));
            of(&config, Settings::none()).1
        };
        assert_eq!(depends("db  cache"), ["db", "cache"]);
        assert!(depends("none").is_empty() && depends("").is_empty());
    }

    #[test]
    fn a_jail_whose_settings_nobody_knows_gets_the_usual_time() {
        let pool = PoolName::parse("tank").unwrap();
        let mut listing = Listing::empty(pool, Family::Jails, None);
        listing.jails = vec![crate::iocage::jails::Jail {
            name: "web".into(),
            uuid: "web".into(),
            jid: None,
            state: crate::iocage::jails::State::Down,
            boot: false,
            tag: "web".into(),
            template: None,
            details: None,
        }];
        let member = Member {
            listing: &listing,
            jail: &listing.jails[0],
        };
        assert_eq!(patience(member), HOOKS + Duration::from_secs(90));
    }
}
