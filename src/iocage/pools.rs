//! The pools of the host, and which of them is active.
//!
//! iocage marks its pool with the user property `org.freebsd.ioc:active` = `yes` on the root
//! dataset. Every dataset below inherits it, so it is read on pool roots only.

use super::datasets::{self, rows, value};
use crate::configuration::Configuration;
use crate::error::{Code, Error, Result};
use crate::names;
use crate::system::System;

const ACTIVE: &str = "org.freebsd.ioc:active";

/// A pool whose datasets can be asked, and whether it is marked active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    pub name: String,
    pub active: bool,
}

/// The pools whose datasets can be asked now.
pub fn list(system: &System, config: &Configuration) -> Result<Vec<Pool>> {
    // A pool that goes away while ZFS walks through them is an error to it, and no reason to
    // know nothing of the others: the next walk does not meet it.
    const TRIES: usize = 3;
    let columns = format!("name,{ACTIVE}");
    let ask = || system.zfs(&["list", "-H", "-d", "0", "-o", &columns]);
    let mut output = ask()?;
    for _ in 1..TRIES {
        if output.exit_code == 0 || !output.stderr.contains("no such pool") {
            break;
        }
        output = ask()?;
    }
    let output = output.success()?;
    let pools = rows(&output)
        .into_iter()
        // A line that names no pool, whatever it is, is no reason to run anything on it.
        .filter(|row| names::existing_pool(&row[0]).is_ok() && config.allows_pool(&row[0]));
    Ok(pools
        .map(|row| Pool {
            active: value(&row, 1) == Some("yes"),
            name: row[0].clone(),
        })
        .collect())
}

/// The active pool, if there is one.
///
/// # Errors
/// `Conflict` where more than one is marked; iocage itself does nothing then.
pub fn active(system: &System, config: &Configuration) -> Result<Option<String>> {
    let mut active = list(system, config)?.into_iter().filter(|pool| pool.active);
    let first = active.next();
    match (&first, active.next()) {
        (Some(one), Some(other)) => Err(Error::new(
            Code::Conflict,
            format!(
                "pools {} and {} are both marked active; activate the one to keep",
                one.name, other.name
            ),
        )),
        _ => Ok(first.map(|pool| pool.name)),
    }
}

/// Makes sure that `pool` exists.
///
/// # Errors
/// `NotFound` where it does not.
pub fn require_exists(system: &System, config: &Configuration, pool: &str) -> Result<()> {
    health(system, config, pool).map(|_| ())
}

/// Makes sure that `pool` can be activated: there, ONLINE, not locked, mounted.
///
/// # Errors
/// `NotFound` or `Unavailable`, saying why not.
pub fn require_usable(system: &System, config: &Configuration, pool: &str) -> Result<()> {
    let unusable = |why: String| {
        Err(Error::new(
            Code::Unavailable,
            format!("pool {pool} is {why}"),
        ))
    };
    let health = health(system, config, pool)?;
    if health != "ONLINE" {
        return unusable(format!("{health}, not ONLINE"));
    }
    // All properties, because asking for one that an older ZFS lacks is an error there. The
    // second dataset need not exist yet.
    let root = datasets::root(pool);
    let output = system.zfs(&["get", "-H", "-o", "name,property,value", "all", pool, &root])?;
    let properties = rows(&output.stdout);
    if properties.is_empty() {
        return Err(output.failure());
    }
    let has = |dataset: &str, property: &str, value: &str| {
        properties
            .iter()
            .any(|row| *row == [dataset, property, value])
    };
    for dataset in [pool, &root] {
        if has(dataset, "keystatus", "unavailable") {
            return unusable(format!(
                "locked: the key of dataset {dataset} is not loaded"
            ));
        }
    }
    // A root that is never mounted (mountpoint=none, canmount=off) is a layout; one that should
    // be mounted and is not is a fault.
    let meant_to_be = has(pool, "canmount", "on")
        && properties.iter().any(|row| {
            row[0] == pool && row[1] == "mountpoint" && value(row, 2).is_some_and(is_path)
        });
    if meant_to_be && has(pool, "mounted", "no") && !has(&root, "mounted", "yes") {
        return unusable("not mounted".into());
    }
    Ok(())
}

fn is_path(mountpoint: &str) -> bool {
    mountpoint.starts_with('/')
}

fn health(system: &System, config: &Configuration, pool: &str) -> Result<String> {
    let output = system
        .zpool(&["list", "-H", "-o", "name,health"])?
        .success()?;
    rows(&output)
        .into_iter()
        .find(|row| row[0] == pool && config.allows_pool(pool))
        .and_then(|row| row.get(1).cloned())
        .ok_or_else(|| Error::new(Code::NotFound, format!("there is no pool {pool}")))
}

/// Marks `pool` active or not.
pub fn mark(system: &System, pool: &str, active: bool) -> Result<()> {
    let setting = format!("{ACTIVE}={}", if active { "yes" } else { "no" });
    system.zfs(&["set", &setting, pool])?.success().map(|_| ())
}
