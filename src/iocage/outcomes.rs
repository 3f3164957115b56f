//! How a job has ended: what is there says it, where that can be asked, and the command's words say
//! why not.
//!
//! iocage ends with 1 after good work and with 0 after bad, and nobody may have seen how it ended.

mod imaged;
mod made;
mod patched;

pub use imaged::Look;
use made::Made;

use super::datasets::Family;
use super::jails::{self, Listing};
use super::progress::Progress;
use super::releases;
use super::selection::Members;
use super::survey::Memory;
use crate::error::{Error, Result};
use crate::names::{PoolName, Release};
use crate::records::{Aim, Verdict, Work};
use crate::system::System;

/// Judges a job that has ended. Whoever does not wait glances: an image is not read as a whole then.
pub fn judge(system: &System, aim: &Aim, look: Look, end: &Progress) -> Verdict {
    let Ok(pool) = PoolName::parse(&aim.pool) else {
        return by_words(end);
    };
    match &aim.work {
        Work::Fetch { release } => fetched(system, &pool, release, end),
        Work::Plugin { name: None } => by_words(end),
        Work::Plugin { name: Some(name) } => making(&pool, name, None).judge(system, end),
        Work::Create {
            name,
            origin,
            packages,
        } => {
            let made = Made {
                packages: *packages,
                ..making(&pool, name, origin.as_deref())
            };
            made.judge(system, end)
        }
        Work::Clone { name, source, .. } => {
            let origin = format!("{pool}/iocage/jails/{source}");
            making(&pool, name, Some(&origin)).judge(system, end)
        }
        Work::Update { name, was_up, from } => {
            let jail = patched::Patched {
                name,
                was_up: *was_up,
                from,
            };
            patched::judge_update(system, &pool, &jail, end)
        }
        Work::Upgrade {
            name,
            release,
            was_up,
            from,
            snapshot,
        } => {
            let jail = patched::Patched {
                name,
                was_up: *was_up,
                from,
            };
            patched::judge_upgrade(system, &pool, &jail, release, snapshot, end)
        }
        Work::Export {
            name, ending, days, ..
        } => {
            let made = imaged::Export { name, ending, days };
            imaged::judge_export(system, &pool, &made, look, end)
        }
        Work::Import { name, day, .. } => imaged::judge_import(system, &pool, name, day, end),
    }
}

/// A jail without packages.
fn making<'a>(pool: &'a PoolName, name: &'a str, origin: Option<&'a str>) -> Made<'a> {
    Made {
        pool,
        name,
        origin,
        packages: 0,
    }
}

/// Judges a job of which nothing but its words is known.
pub fn by_words(end: &Progress) -> Verdict {
    match &end.outcome {
        Some(Err(words)) => Verdict::failed(words.clone()),
        _ => Verdict::worked(),
    }
}

/// Does what the command may have left undone: it holds what the job holds. It returns what could
/// not be done.
pub fn tidy(system: &System, aim: &Aim) -> Option<String> {
    let pool = PoolName::parse(&aim.pool).ok()?;
    match &aim.work {
        Work::Create { name, origin, .. } => making(&pool, name, origin.as_deref()).tidy(system),
        Work::Clone {
            name,
            source,
            given,
        } => {
            let origin = format!("{pool}/iocage/jails/{source}");
            let left = making(&pool, name, Some(&origin)).tidy(system);
            left.or_else(|| made::put_clone_right(system, &pool, (source, name), given))
        }
        Work::Update { name, was_up, .. } => patched::tidy(system, &pool, name, *was_up),
        Work::Upgrade { name, was_up, .. } => {
            let mounted = patched::unmount_sources(system, &pool, name);
            let runs = patched::tidy(system, &pool, name, *was_up);
            let undone: Vec<String> = mounted.into_iter().chain(runs).collect();
            (!undone.is_empty()).then(|| undone.join("; "))
        }
        Work::Export {
            name, ending, days, ..
        } => imaged::tidy_export(system, &pool, &imaged::Export { name, ending, days }),
        _ => None,
    }
}

/// Whether [`tidy`] may have something to do, which takes its time.
pub fn needs_tidying(aim: &Aim) -> bool {
    match &aim.work {
        Work::Update { was_up, .. } | Work::Upgrade { was_up, .. } => !was_up,
        Work::Export { .. } => true,
        _ => false,
    }
}

/// How far a job is, of 100, where its words say it. A download has its own numbers.
pub fn percent(aim: &Aim, progress: &Progress) -> Option<u8> {
    match &aim.work {
        Work::Create { packages, .. } => made::percent(*packages, progress),
        Work::Update { .. } => patched::percent(progress),
        Work::Export { datasets, .. } => imaged::export_percent(*datasets, progress),
        Work::Import { datasets, .. } => imaged::import_percent(*datasets, progress),
        _ => None,
    }
}

/// iocage 1.13 exits with 1 after a good fetch if a jail of another pool cannot be read.
fn fetched(system: &System, pool: &PoolName, release: &str, end: &Progress) -> Verdict {
    let there = match Release::parse(release) {
        Ok(release) => releases::is_in(system, pool, &release),
        Err(_) => Ok(false),
    };
    let words = end.words();
    match (there, words) {
        (Ok(true), None) => Verdict::worked(),
        // The dataset is there before anything is extracted into it.
        (Ok(true), Some(words)) if end.is_extracted => Verdict {
            worked: true,
            error: Some(words),
        },
        (Ok(_), Some(words)) => Verdict::failed(words),
        (Ok(false), None) => Verdict::failed(format!("iocage is done, but {release} is not there")),
        (Err(error), words) => nobody_knows(&error, words),
    }
}

/// All jails and templates, as they are now.
fn members(system: &System, pool: &PoolName) -> Result<Members> {
    let families = [Family::Jails, Family::Templates];
    let listed = jails::list(system, &Memory::default(), pool, &families)?;
    let mut listed = listed.into_iter();
    let [jails, templates] = families.map(|family| {
        let listing = listed.next().flatten();
        listing.unwrap_or_else(|| Listing::empty(pool.clone(), family, None))
    });
    Ok(Members { jails, templates })
}

/// That it cannot be asked what is there.
fn nobody_knows(error: &Error, words: Option<String>) -> Verdict {
    let words = words.map_or(String::new(), |words| format!("{words}; "));
    Verdict::failed(format!(
        "{words}nobody knows whether it has worked: {error}"
    ))
}
