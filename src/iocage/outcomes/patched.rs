//! Jobs that bring a jail to another patch level or release.

mod now;

use std::fmt::Display;

use self::now::Now;
use super::nobody_knows;
use crate::iocage::command;
use crate::iocage::datasets;
use crate::iocage::jails::Jail;
use crate::iocage::progress::Progress;
use crate::iocage::{power, releases};
use crate::names::{PoolName, SnapshotName};
use crate::records::Verdict;
use crate::system::{last_words, System};

/// The jail, as it was before.
pub struct Patched<'a> {
    pub name: &'a str,
    pub was_up: bool,
    pub from: &'a str,
}

/// What iocage says when freebsd-update has installed all, and only the jail has to be stopped
/// (`iocage.py`, update, since 1.2).
const UPDATED: &str = "Updated jail successfully.";

/// What freebsd-update says where a jail has the latest patch level. It ends with another code than
/// 0 then, and iocage takes that for a failure.
const NOTHING_TO_DO: &str = "No updates are available to install.";

/// iocage's own exception where freebsd-update has failed to fetch: it stumbles over the words, which it
/// has printed before.
const LOST_WORDS: &str = "sequence item 0: expected str instance, int found";

/// iocage's last words after an update and after an upgrade; before 1.2 other ones.
fn is_last_word(name: &str, line: &str) -> bool {
    let Some(rest) = line.strip_prefix(name) else {
        return false;
    };
    let words = [
        " updates have been applied successfully.",
        " has been updated successfully.",
    ];
    words.contains(&rest) || rest.starts_with(" successfully upgraded from ")
}

pub fn judge_update(system: &System, pool: &PoolName, before: &Patched, end: &Progress) -> Verdict {
    let words = words(end);
    let now = match Now::look(system, pool) {
        Ok(now) => now,
        Err(error) => return nobody_knows(&error, words),
    };
    let Some(jail) = now.jail(before.name) else {
        return gone(before.name, words);
    };
    let said = |text: &str| end.output.lines().any(|line| line.trim() == text);
    // What ends well and has said nothing has done nothing.
    let mut lines = end.output.lines().map(str::trim);
    let has_worked = lines.any(|line| !line.is_empty() && !line.starts_with("Snapshot: "));
    let is_whole = words.is_none() && has_worked
        || said(NOTHING_TO_DO)
        || end
            .output
            .lines()
            .any(|line| is_last_word(before.name, line));
    if is_whole || said(UPDATED) {
        let words = words.filter(|_| !is_whole);
        return Verdict::worked_but(words.into_iter().chain(went_down(before, jail)));
    }
    let nothing = || format!("iocage is done, but has not updated jail {}", before.name);
    let mut why = vec![words.unwrap_or_else(nothing)];
    let files = now.userland(system, jail).filter(|is| is != before.from);
    why.extend(files.map(|is| {
        format!("its files say {is} now, so a part may be updated, and updatejail does the rest")
    }));
    why.extend(snapshot_left(system, &now, jail, said_snapshot(end)));
    why.extend(went_down(before, jail));
    Verdict::failed(why.join("; "))
}

pub fn judge_upgrade(
    system: &System,
    pool: &PoolName,
    before: &Patched,
    release: &str,
    snapshot: &str,
    end: &Progress,
) -> Verdict {
    let words = words(end);
    let now = match Now::look(system, pool) {
        Ok(now) => now,
        Err(error) => return nobody_knows(&error, words),
    };
    let Some(jail) = now.jail(before.name) else {
        return gone(before.name, words);
    };
    let mounts_it = match now.mounts_release(system, jail, release) {
        Ok(mounts_it) => mounts_it,
        Err(error) => return nobody_knows(&error, words),
    };
    let says = jail.details.as_ref().and_then(|of| of.release.as_deref());
    let says_it = says.is_some_and(|says| releases::is_patched(says, release));
    if says_it && mounts_it {
        let is_whole = end
            .output
            .lines()
            .any(|line| is_last_word(before.name, line));
        let words = words.filter(|_| !is_whole);
        return Verdict::worked_but(words.into_iter().chain(went_down(before, jail)));
    }
    let why = words.unwrap_or_else(|| {
        format!(
            "iocage is done, but jail {} has not become {release}",
            before.name
        )
    });
    let mut why = vec![why];
    if says_it != mounts_it {
        let says = says.unwrap_or("nothing");
        let mounts = if mounts_it {
            "mounts"
        } else {
            "does not mount"
        };
        why.push(format!(
            "half of it is done: its config.json says {says}, and its fstab {mounts} {release}"
        ));
    }
    why.extend(snapshot_left(
        system,
        &now,
        jail,
        SnapshotName::parse(snapshot).ok(),
    ));
    why.extend(went_down(before, jail));
    Verdict::failed(why.join("; "))
}

/// Stops a jail that was down before, since iocage leaves it running where the job has failed, and
/// where there was nothing to do.
pub fn tidy(system: &System, pool: &PoolName, name: &str, was_up: bool) -> Option<String> {
    let may_run = |why: &dyn Display| {
        Some(format!(
            "jail {name}, which was down, may be up still: {why}"
        ))
    };
    if was_up {
        return None;
    }
    let now = match Now::look(system, pool) {
        Ok(now) => now,
        Err(error) => return may_run(&error),
    };
    let member = now.member(name)?;
    member.jail.jid.as_ref()?;
    let name = match now.require_meant(system, member) {
        Ok(()) => member.iocage_name(),
        Err(error) => Err(error),
    };
    let name = match name {
        Ok(name) => name,
        Err(error) => return may_run(&error),
    };
    let limit = system.timeout() + power::patience(member);
    let mut why = String::new();
    // In order if that can be, since what it has mounted may stay otherwise.
    for force in [false, true] {
        let ended = system.run_for(&command::stop(&name, force), limit);
        match Now::look(system, pool).map(|now| now.jid(&name)) {
            Err(error) => return may_run(&error),
            Ok(None) => return None,
            Ok(Some(jid)) => {
                let words = match ended {
                    Ok(output) => last_words(&output.stderr),
                    Err(error) => error.message,
                };
                why = format!("jail {name}, which was down, is still up (jid {jid}): {words}");
            }
        }
    }
    Some(why)
}

/// Unmounts the sources that iocage mounts in a jail for its upgrade, where it did not come to that
/// (`ioc_upgrade.py`, upgrade_basejail).
pub fn unmount_sources(system: &System, pool: &PoolName, name: &str) -> Option<String> {
    let now = Now::look(system, pool).ok()?;
    let place = now.root_of(name)?.join("iocage_upgrade");
    let mounts = system.mounts().ok()?;
    match mounts.is_mountpoint(&place) {
        true => Some(system.unmount(pool, &place).err()?.message),
        false => None,
    }
}

/// freebsd-update's stages, as TrueNAS counts them. A line may come more than once.
pub fn percent(progress: &Progress) -> Option<u8> {
    const STAGES: [(&str, u8); 4] = [
        ("Inspecting system... done", 20),
        ("Preparing to download files... done", 50),
        ("Applying patches... done", 75),
        ("Installing updates... done", 90),
    ];
    let reached = |line: &str| {
        let mut stages = STAGES.iter();
        stages.find_map(|(stage, percent)| line.starts_with(stage).then_some(*percent))
    };
    progress.output.lines().filter_map(reached).max()
}

/// Why the command has failed.
fn words(end: &Progress) -> Option<String> {
    let words = end.words()?;
    if !words.contains(LOST_WORDS) {
        return Some(words);
    }
    let before = end
        .output
        .lines()
        .take_while(|line| !line.starts_with("Traceback"));
    // iocage says which release the jail had and has, whatever came of it.
    let is_said = |line: &&str| !line.is_empty() && !line.starts_with("release: ");
    let last = before.map(str::trim).filter(is_said).last();
    let last = last.unwrap_or("nothing");
    Some(format!("freebsd-update has failed, after it said: {last}"))
}

fn gone(name: &str, words: Option<String>) -> Verdict {
    let words = words.map_or(String::new(), |words| format!("{words}; "));
    Verdict::failed(format!("{words}there is no jail {name} any more"))
}

/// iocage stops a jail that it rolls back.
fn went_down(before: &Patched, jail: &Jail) -> Option<String> {
    let went_down = before.was_up && jail.jid.is_none();
    went_down.then(|| format!("jail {}, which was up, is down now", before.name))
}

/// The snapshot that iocage says it has taken.
fn said_snapshot(end: &Progress) -> Option<SnapshotName> {
    let mut lines = end.output.lines();
    lines.find_map(|line| {
        let line = line.trim().strip_prefix("Snapshot: ")?;
        let (_, name) = line.strip_suffix(" created.")?.split_once('@')?;
        SnapshotName::parse(name).ok()
    })
}

/// What to do with the snapshot from before the job, if it is there.
fn snapshot_left(
    system: &System,
    now: &Now,
    jail: &Jail,
    name: Option<SnapshotName>,
) -> Option<String> {
    let name = name?;
    let dataset = now.member(&jail.name)?.dataset()?;
    let found = datasets::list(system, &dataset.at(&name), "snapshot", Some(0), "name");
    found.is_ok_and(|rows| !rows.is_empty()).then(|| {
        format!(
            "snapshot {} from before is left: rollbackjail goes back to it, and removesnapshot \
             removes it",
            &*name
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(output: &str, outcome: std::result::Result<(), &str>) -> Progress {
        Progress {
            output: output.into(),
            outcome: Some(outcome.map_err(String::from)),
            ..Progress::default()
        }
    }

    #[test]
    fn a_stage_counts_once_however_often_it_is_printed() {
        let percent = |output: &str| percent(&progress(output, Ok(())));
        assert_eq!(
            percent("Looking up update.FreeBSD.org mirrors... none found."),
            None
        );
        assert_eq!(percent("Inspecting system... done.\n"), Some(20));
        let all = "Inspecting system... done.\nPreparing to download files... done.\n\
            Fetching 4 patches.....done.\nApplying patches... done.\n";
        assert_eq!(percent(all), Some(75));
        let repeated = "Installing updates... done.\nInstalling updates... done.\n";
        assert_eq!(percent(&format!("{all}{repeated}")), Some(90));
        // An interrupted stage is not done.
        assert_eq!(percent("Inspecting system...\n"), None);
    }

    #[test]
    fn where_iocage_stumbles_the_last_words_before_count() {
        let output = "No mirrors remaining, giving up.\n\nTraceback (most recent call last):\n\
            TypeError: sequence item 0: expected str instance, int found\n";
        let outcome = Err("sequence item 0: expected str instance, int found");
        let said = words(&progress(output, outcome)).unwrap();
        assert!(said.ends_with("No mirrors remaining, giving up."), "{said}");
        assert_eq!(words(&progress("x", Err("no space"))).unwrap(), "no space");
        assert_eq!(words(&progress("x", Ok(()))), None);
    }

    #[test]
    fn a_snapshot_is_the_one_that_iocage_says_it_has_taken() {
        let said = |line: &str| {
            let output = format!("Setting up\n{line}\nUpdating jail...\n");
            said_snapshot(&progress(&output, Ok(()))).map(|name| name.to_string())
        };
        let line =
            "Snapshot: tank/iocage/jails/web@ioc_update_13.2-RELEASE-p4_2026-11-25_18-58-47 \
            created.";
        let name = "ioc_update_13.2-RELEASE-p4_2026-11-25_18-58-47";
        assert_eq!(said(line).as_deref(), Some(name));
        for none in ["Snapshot: created.", "Snapshot: tank@a/b created.", ""] {
            assert_eq!(said(none), None, "{none}");
        }
    }
}
