//! The pools of the host, and which of them is active.
//!
//! iocage marks its pool with the user property `org.freebsd.ioc:active` = `yes` on the root
//! dataset. Every dataset below inherits it, so it is read on pool roots only.

use super::datasets::{rows, value, Dataset};
use crate::configuration::{Configuration, Program};
use crate::error::{Code, Error, Result};
use crate::names::PoolName;
use crate::system::{CommandLine, System};

const ACTIVE: &str = "org.freebsd.ioc:active";

/// A pool whose datasets can be asked, and whether it is marked active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    pub name: PoolName,
    pub active: bool,
}

/// All pools of the host at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pools {
    /// Those whose datasets can be asked.
    pub readable: Vec<Pool>,
    /// The health of every pool.
    health: Vec<(PoolName, String)>,
}

impl Pools {
    /// Looks at all pools: their health and their marks.
    pub fn look(system: &System, configuration: &Configuration) -> Result<Self> {
        Ok(Pools {
            readable: readable(system, configuration)?,
            health: health(system, configuration)?,
        })
    }

    /// Whether `pool` is there and can be asked.
    pub fn find(&self, pool: &PoolName) -> Option<&Pool> {
        self.readable.iter().find(|known| known.name == *pool)
    }

    /// The pools that are marked active.
    pub fn active(&self) -> impl Iterator<Item = &Pool> {
        self.readable.iter().filter(|pool| pool.active)
    }

    /// Makes sure that `pool` is there and ONLINE, and that its datasets can be asked.
    ///
    /// # Errors
    /// `NotFound` or `Unavailable`, saying why not.
    pub fn require_online(&self, pool: &PoolName) -> Result<()> {
        let health = self.health.iter().find(|(name, _)| name == pool);
        let Some((_, health)) = health else {
            return Err(not_found(pool));
        };
        if health != "ONLINE" {
            return unusable(pool, &format!("{health}, not ONLINE"));
        }
        match self.find(pool) {
            Some(_) => Ok(()),
            None => unusable(pool, "there, but its datasets cannot be read"),
        }
    }

    /// Makes sure that it is known which pool is active: if none is marked, every pool must answer,
    /// since a silent one may be the active one.
    ///
    /// # Errors
    /// `Unavailable`, naming the pool that does not answer.
    pub fn require_known(&self) -> Result<()> {
        let silent = |(name, _): &&(PoolName, String)| self.find(name).is_none();
        match self.health.iter().find(silent) {
            Some((name, health)) if self.active().next().is_none() => {
                let message = format!(
                    "pool {name} is {health} and does not answer, so nobody knows whether it is \
                     the active one"
                );
                Err(Error::new(Code::Unavailable, message))
            }
            _ => Ok(()),
        }
    }
}

fn not_found(pool: &PoolName) -> Error {
    Error::new(Code::NotFound, format!("there is no pool {pool}"))
}

fn unusable(pool: &PoolName, why: &str) -> Result<()> {
    Err(Error::new(
        Code::Unavailable,
        format!("pool {pool} is {why}"),
    ))
}

/// The pools whose datasets can be asked now.
fn readable(system: &System, configuration: &Configuration) -> Result<Vec<Pool>> {
    // If a pool goes away while ZFS lists them, the command fails. The next one does not see that
    // pool.
    const TRIES: usize = 3;
    let line = CommandLine::new(Program::Zfs);
    let line = line.words(&["list", "-H", "-d", "0", "-o", "name,org.freebsd.ioc:active"]);
    let mut output = system.run(&line)?;
    for _ in 1..TRIES {
        if output.exit_code == 0 || !output.stderr.contains("no such pool") {
            break;
        }
        output = system.run(&line)?;
    }
    let rows = rows(&output.success()?);
    // A line that names no pool must not become an argument of a command.
    Ok(rows
        .iter()
        .filter_map(|row| {
            let name = PoolName::existing(&row[0]).ok()?;
            configuration.allows_pool(&name).then(|| Pool {
                name,
                active: value(row, 1) == Some("yes"),
            })
        })
        .collect())
}

fn health(system: &System, configuration: &Configuration) -> Result<Vec<(PoolName, String)>> {
    let line = CommandLine::new(Program::Zpool).words(&["list", "-H", "-o", "name,health"]);
    let rows = rows(&system.run(&line)?.success()?);
    Ok(rows
        .iter()
        .filter_map(|row| {
            let name = PoolName::existing(&row[0]).ok()?;
            let health = row.get(1)?.clone();
            configuration.allows_pool(&name).then_some((name, health))
        })
        .collect())
}

/// The active pool, if there is one.
///
/// # Errors
/// `Conflict` if more than one is marked; iocage itself does nothing then. `Unavailable` if none is
/// marked and a pool does not answer, which may be the active one: ZFS leaves a suspended pool out
/// of its list and exits with 0.
pub fn active(system: &System, configuration: &Configuration) -> Result<Option<PoolName>> {
    let readable = readable(system, configuration)?;
    let mut active = readable.iter().filter(|pool| pool.active);
    match (active.next(), active.next()) {
        (Some(one), Some(other)) => Err(Error::new(
            Code::Conflict,
            format!(
                "pools {} and {} are both marked active; activate the one to keep",
                one.name, other.name
            ),
        )),
        (Some(one), None) => Ok(Some(one.name.clone())),
        (None, _) => {
            let health = health(system, configuration)?;
            let pools = Pools { readable, health };
            pools.require_known().map(|()| None)
        }
    }
}

/// Makes sure that `pool` is the active one, and ready.
///
/// # Errors
/// `NotActive` if it is not, and as [`active`] and [`require_ready`].
pub fn require_active(
    system: &System,
    configuration: &Configuration,
    pool: &PoolName,
) -> Result<()> {
    match active(system, configuration)? {
        Some(active) if active == *pool => require_ready(system, pool),
        _ => {
            let message = format!("pool {pool} is no longer active");
            Err(Error::new(Code::NotActive, message))
        }
    }
}

/// Makes sure that iocage can work in `pool`: its datasets are not locked, and iocage's root is
/// mounted, or does not exist yet and can be mounted. With a root that is not mounted every iocage
/// command stops ("Please set a mountpoint on tank/iocage").
///
/// # Errors
/// `NotFound` or `Unavailable`, saying why not.
pub fn require_ready(system: &System, pool: &PoolName) -> Result<()> {
    // All properties, because asking for one that an older ZFS lacks is an error there. The
    // second dataset need not exist yet.
    let root = Dataset::root(pool);
    let line = CommandLine::new(Program::Zfs);
    let line = line.words(&["get", "-H", "-o", "name,property,value", "all"]);
    let output = system.run(&line.value(pool).value(&root))?;
    let properties = rows(&output.stdout);
    let exists = |dataset: &str| properties.iter().any(|row| row[0] == dataset);
    if !exists(pool) {
        return match output.stderr.contains("does not exist")
            || output.stderr.contains("no such pool")
        {
            true => Err(not_found(pool)),
            false => Err(output.failure()),
        };
    }
    let has = |dataset: &str, property: &str, value: &str| {
        properties
            .iter()
            .any(|row| *row == [dataset, property, value])
    };
    for dataset in [&**pool, &*root] {
        if has(dataset, "keystatus", "unavailable") {
            let why = format!("locked: the key of dataset {dataset} is not loaded");
            return unusable(pool, &why);
        }
    }
    if exists(&root) {
        return match has(&root, "mounted", "yes") {
            true => Ok(()),
            false => unusable(pool, &format!("not usable: dataset {root} is not mounted")),
        };
    }
    // iocage will make its root below the pool's. That may be meant never to be mounted
    // (mountpoint=none, canmount=off). If it should be mounted and is not, that is a fault.
    let is_path = |mountpoint: &str| mountpoint.starts_with('/');
    let meant_to_be = has(pool, "canmount", "on")
        && properties.iter().any(|row| {
            *row[0] == **pool && row[1] == "mountpoint" && value(row, 2).is_some_and(is_path)
        });
    if meant_to_be && has(pool, "mounted", "no") {
        return unusable(pool, "not mounted");
    }
    Ok(())
}

/// Marks `pool` active or not.
pub fn mark(system: &System, pool: &PoolName, active: bool) -> Result<()> {
    let line = CommandLine::new(Program::Zfs).word("set");
    let line = line.setting(&ACTIVE, &if active { "yes" } else { "no" });
    system.run(&line.value(pool))?.success().map(|_| ())
}
