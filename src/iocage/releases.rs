//! Releases: those fetched to the pool and those that the network offers.

use std::cmp::Ordering;
use std::sync::atomic::AtomicBool;

use super::command;
use super::datasets::{self, Family};
use super::pools;
use crate::configuration::Program;
use crate::error::{Code, Error, Result};
use crate::names::{PoolName, Release, Url};
use crate::system::{CommandLine, System};

/// The mark behind a release that FreeBSD no longer supports.
pub const END_OF_LIFE: &str = " (EOL)";

/// The releases fetched to `pool`, oldest first.
pub fn local(system: &System, pool: &PoolName) -> Result<Vec<String>> {
    let mut releases = datasets::members(system, pool, Family::Releases)?;
    oldest_first(&mut releases);
    Ok(releases)
}

/// The releases that the network offers, oldest first, as `iocage list -R` knows them.
///
/// # Errors
/// If iocage cannot say, or if asking it would change something: it creates missing datasets, and
/// reading does not write.
pub fn remote(system: &System, pool: &PoolName, stop: &AtomicBool) -> Result<Vec<String>> {
    let mounts = system.mounts()?;
    if datasets::folder(&mounts, pool).is_none() {
        pools::require_ready(system, pool)?;
        let root = datasets::Dataset::root(pool);
        let why = format!("{root} is not there yet; iocage sets it up when it first fetches");
        return Err(Error::new(Code::Unavailable, why));
    }
    let output = system.run_within(&command::list_remote(), system.online_timeout(), stop)?;
    let mut releases = parse_remote(&output.stdout);
    if output.exit_code != 0 {
        return Err(output.failure());
    }
    if releases.is_empty() {
        return Err(Error::new(
            Code::Failed,
            format!("{}: no releases in it", output.command),
        ));
    }
    oldest_first(&mut releases);
    releases.dedup();
    Ok(releases)
}

/// The releases that FreeBSD no longer supports, from its page about them.
pub fn end_of_life(system: &System, url: &Url, stop: &AtomicBool) -> Result<Vec<String>> {
    let timeout = system.online_timeout();
    let line = CommandLine::new(Program::Fetch).words(&["-q", "-T"]);
    let line = line
        .number(timeout.as_secs().max(1))
        .words(&["-o", "-"])
        .value(url);
    let page = system.run_within(&line, timeout, stop)?.success()?;
    let releases = parse_end_of_life(&page);
    if releases.is_empty() {
        return Err(Error::new(
            Code::Failed,
            format!("{}: no releases in it", url.without_credentials()),
        ));
    }
    Ok(releases)
}

/// Finds `12.4-RELEASE` and `releng/12.4`, in whatever markup.
fn parse_end_of_life(page: &str) -> Vec<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || "./-".contains(c);
    let words = page
        .split(|c: char| !word(c))
        .filter(|word| word.len() <= 32);
    let mut releases: Vec<String> = words
        .filter_map(
            |word| match word.trim_start_matches('/').strip_prefix("releng/") {
                Some(version) => release(&format!("{version}-RELEASE")),
                None => release(word).filter(|name| name.ends_with("-RELEASE")),
            },
        )
        .collect();
    oldest_first(&mut releases);
    releases.dedup();
    releases
}

/// Those of `releases` that this host can use, with the mark at their end of life. iocage itself
/// fetches none with a newer major version than the host's.
pub fn offered(releases: &[String], end_of_life: &[String], host: Option<&str>) -> Vec<String> {
    let major = |name: &str| {
        name.split('.')
            .next()
            .and_then(|major| major.parse::<u32>().ok())
    };
    let newest = host.and_then(major);
    releases
        .iter()
        .filter(|name| newest.is_none_or(|newest| major(name).is_none_or(|own| own <= newest)))
        .map(|name| match end_of_life.contains(name) {
            true => format!("{name}{END_OF_LIFE}"),
            false => name.clone(),
        })
        .collect()
}

/// Whether a jail that says it has `of` (`13.2-RELEASE-p9`) has `release`, at any patch level.
pub fn is_patched(of: &str, release: &str) -> bool {
    let patch = of.strip_prefix(release);
    patch.is_some_and(|patch| patch.is_empty() || patch.starts_with("-p"))
}

/// Whether this is a name as it stands in a list: a release, perhaps with the mark.
pub fn is_listed(name: &str) -> bool {
    let bare = name.strip_suffix(END_OF_LIFE).unwrap_or(name);
    release(bare).is_some_and(|release| release == bare)
}

/// Reads `[0] 9.3-RELEASE (EOL)` of iocage up to 0.9.9 and the bare names since 1.0. 0.9.10 prints
/// the bare names with a tab between any two letters.
fn parse_remote(output: &str) -> Vec<String> {
    let spelled = |line: &str| line.contains('\t') && line.split('\t').all(|part| part.len() == 1);
    let output: Vec<String> = output
        .lines()
        .map(|line| {
            if spelled(line) {
                line.replace('\t', "")
            } else {
                line.into()
            }
        })
        .collect();
    let lines = output
        .iter()
        .map(|line| line.trim())
        .map(|line| match line.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map_or(line, |(_, name)| name.trim()),
            None => line,
        });
    lines
        .filter_map(|line| {
            let rest = line.split_once(' ').map_or("", |(_, rest)| rest.trim());
            let name = release(line)?;
            match rest {
                "" => Some(name),
                "(EOL)" => Some(name + END_OF_LIFE),
                // A sentence that begins like a release.
                _ => None,
            }
        })
        .collect()
}

fn release(text: &str) -> Option<String> {
    Release::parse(text).ok().map(|name| name.to_string())
}

/// Whether a release is of a later major version than another; false where that is not known.
pub fn is_later_major(release: &str, other: &str) -> bool {
    let major = |name: &str| name.split('.').next()?.parse::<u32>().ok();
    match (major(release), major(other)) {
        (Some(release), Some(other)) => release > other,
        _ => false,
    }
}

/// Whether a pool has a release.
pub fn is_in(system: &System, pool: &PoolName, release: &Release) -> Result<bool> {
    let local = local(system, pool)?;
    Ok(local.iter().any(|name| **name == **release))
}

fn oldest_first(releases: &mut [String]) {
    releases.sort_unstable_by(|a, b| by_version(a, b));
}

/// Oldest first: by number, so that 9.3 comes before 10.1, then by the rest.
pub fn by_version(a: &str, b: &str) -> Ordering {
    let key = |name: &str| {
        let version = name.split('-').next().unwrap_or("");
        let numbers: Vec<u64> = version
            .split('.')
            .map_while(|part| part.parse().ok())
            .collect();
        numbers
    };
    key(a).cmp(&key(b)).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_the_remote_list_are_read() {
        let old = "[0] 9.3-RELEASE (EOL)\n[1] 10.3-RELEASE\n";
        assert_eq!(parse_remote(old), ["9.3-RELEASE (EOL)", "10.3-RELEASE"]);
        let new = "13.2-RELEASE\n\n14.1-RELEASE\nchecking 12.0-RELEASE\n12.0-RELEASE is gone\n";
        assert_eq!(parse_remote(new), ["13.2-RELEASE", "14.1-RELEASE"]);
        let spelled = "1\t3\t.\t2\t-\tR\tE\tL\tE\tA\tS\tE\n";
        assert_eq!(parse_remote(spelled), ["13.2-RELEASE"]);
        assert!(parse_remote("Traceback (most recent call last):\n  File x\n").is_empty());
    }

    #[test]
    fn the_page_of_unsupported_releases_is_read_in_any_markup() {
        let page = "<td>stable/11</td><td>n/a</td> <td>releng/11.4</td><td><a href=\"/releases/\
            11.4R/\">11.4-RELEASE</a></td><td>September 30, 2021</td></tr><tr>releng/9.3</tr>";
        assert_eq!(parse_end_of_life(page), ["9.3-RELEASE", "11.4-RELEASE"]);
        assert!(parse_end_of_life("<html>Bad gateway 5.0</html>").is_empty());
    }

    #[test]
    fn only_what_fits_the_host_is_offered_and_the_old_marked() {
        let names = ["9.3-RELEASE", "13.2-RELEASE", "14.1-RELEASE"].map(String::from);
        let old = ["9.3-RELEASE".to_string()];
        assert_eq!(
            offered(&names, &old, Some("13.1-RELEASE-p9")),
            ["9.3-RELEASE (EOL)", "13.2-RELEASE"]
        );
        assert_eq!(offered(&names, &[], None).len(), 3);
    }

    #[test]
    fn releases_are_ordered_by_number_not_by_text() {
        let mut releases = [
            "13.2-RELEASE",
            "10.10-RELEASE",
            "9.3-RELEASE",
            "10.3-RELEASE",
            "x",
        ]
        .map(String::from);
        oldest_first(&mut releases);
        assert_eq!(
            releases,
            [
                "x",
                "9.3-RELEASE",
                "10.3-RELEASE",
                "10.10-RELEASE",
                "13.2-RELEASE"
            ]
        );
    }

    #[test]
    fn only_a_later_major_version_is_newer_than_the_host() {
        for (release, host, expected) in [
            ("14.0-RELEASE", "13.2-RELEASE-p9", true),
            ("13.3-RELEASE", "13.2-RELEASE", false),
            ("9.3-RELEASE", "13.2-STABLE", false),
            ("14.0-RELEASE", "unknown", false),
        ] {
            assert_eq!(is_later_major(release, host), expected, "{release} {host}");
        }
    }
}
