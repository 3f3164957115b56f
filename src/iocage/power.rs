//! What starts with a jail, and how long starting and stopping may take.

use std::collections::BTreeMap;
use std::time::Duration;

use super::selection::Member;
use super::settings::{self, Settings, Source};

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
    let (all, none) = (with_dependencies(member), Settings::none());
    let settings = all.iter().map(|one| {
        let own = one.listing.settings(one.jail).unwrap_or(none);
        settings::effective(own, one.listing.defaults())
    });
    settings.map(|settings| time(&settings)).sum()
}

/// A jail and all that it depends on, which start with it.
pub fn with_dependencies(member: Member) -> Vec<Member> {
    let listing = member.listing;
    let mut found: Vec<Member> = Vec::new();
    let mut next = vec![member.jail];
    while let Some(jail) = next.pop() {
        if found.iter().any(|known| known.jail.name == jail.name) {
            continue;
        }
        found.push(Member { listing, jail });
        let none = Settings::none();
        let own = listing.settings(jail).unwrap_or(none);
        let settings = settings::effective(own, listing.defaults());
        for name in words(&settings, "depends").filter(|name| *name != "none") {
            let exact = listing.jails.iter().filter(|jail| jail.name == name);
            next.extend(exact);
            if !listing.jails.iter().any(|jail| jail.name == name) {
                // Where none has the name, iocage takes one whose name begins with it.
                let others = listing.jails.iter();
                next.extend(others.filter(|jail| jail.name.starts_with(name)));
            }
        }
    }
    found
}

type Effective<'a> = BTreeMap<&'a str, (&'a str, Source)>;

fn words<'a>(settings: &Effective<'a>, name: &str) -> impl Iterator<Item = &'a str> {
    let text = settings.get(name).map_or("", |(value, _)| value);
    text.split_whitespace()
}

/// The time for one jail.
fn time(settings: &Effective) -> Duration {
    let seconds = |name: &str, usual: u64| match words(settings, name).next().map(str::parse) {
        Some(Ok(0)) => FOR_EVER,
        Some(Ok(seconds)) => Duration::from_secs(u32::into(seconds)),
        // jail(8) refuses that, so it does not come to waiting.
        _ => Duration::from_secs(usual),
    };
    seconds("exec_timeout", 60) + seconds("stop_timeout", 30) + HOOKS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iocage::datasets::Family;
    use crate::iocage::jails::{Jail, Listing, State};
    use crate::names::PoolName;

    fn settings(text: &str) -> Settings {
        Settings::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn iocages_own_limits_pass_before_ours() {
        let seconds = |config: &str, defaults: &str| {
            let (config, defaults) = (settings(config), settings(defaults));
            let all = settings::effective(&config, &defaults);
            (time(&all) - HOOKS).as_secs()
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
    fn a_jail_whose_settings_nobody_knows_gets_the_usual_time() {
        let pool = PoolName::parse("tank").unwrap();
        let mut listing = Listing::empty(pool, Family::Jails, None);
        listing.jails = vec![Jail {
            name: "web".into(),
            uuid: "web".into(),
            jid: None,
            state: State::Down,
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
        assert_eq!(with_dependencies(member).len(), 1);
    }
}
