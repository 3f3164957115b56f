//! How something is destroyed with all that belongs to it: first all that is in the way is found,
//! then what runs is stopped, then it goes, and then ZFS is asked what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::actions::{power, Chosen};
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::belongings::{Belongings, Stock};
use crate::iocage::datasets::{Dataset, Family};
use crate::iocage::dependents::Dependents;
use crate::iocage::destruction::{Plan, Unit};
use crate::iocage::remains::{self, Roots};
use crate::iocage::selection::{Member, Members};
use crate::names::PoolName;
use crate::reply::Object;

/// Which members are meant.
pub enum Meant {
    /// That of this name in each of these families.
    One(&'static [Family], String),
    /// All of these families.
    All(&'static [Family]),
    /// All of all families, the images and the logs.
    Everything,
}

impl Meant {
    fn has(&self, family: Family, name: &str) -> bool {
        match self {
            Meant::One(families, one) => families.contains(&family) && one == name,
            Meant::All(families) => families.contains(&family),
            Meant::Everything => true,
        }
    }
}

/// What is to be destroyed.
pub struct Doom<'a> {
    pub context: &'a Context,
    pub pool: PoolName,
    pub meant: Meant,
    /// It in words.
    pub words: String,
    /// Whether what runs is stopped, what mounts its files is left without them, and all members go
    /// where all are meant.
    pub force: bool,
    /// Whether the jails and templates that were cloned from it go too.
    pub recursive: bool,
    /// Whether other datasets that were cloned from it do.
    pub datasets: bool,
}

/// What there is of it.
pub struct Found {
    pub plan: Plan,
    pub dependents: Dependents,
    /// Of what goes, in the order in which it does.
    pub belongings: Vec<Belongings>,
    /// The places of the jails that go and run: `jails/web`.
    pub running: Vec<String>,
    /// Other jails that run in their roots.
    pub intruders: Vec<String>,
    /// What is mounted in them.
    pub mounted: Vec<PathBuf>,
    pub files: Vec<PathBuf>,
    pub strangers: Vec<String>,
}

/// What has been done so far.
#[derive(Default)]
struct Done {
    stopped: Vec<String>,
    unmounted: Vec<PathBuf>,
    /// None if nobody knows.
    destroyed: Option<Vec<String>>,
}

impl Done {
    /// An error, with what was done before it.
    fn before(&self, error: Error) -> Error {
        let unmounted = self.unmounted.iter();
        let unmounted: Vec<String> = unmounted.map(|at| at.display().to_string()).collect();
        let destroyed = match &self.destroyed {
            None => "nobody knows what was destroyed".into(),
            Some(gone) if gone.is_empty() => "nothing was destroyed".into(),
            Some(gone) => format!("destroyed {}", gone.join(", ")),
        };
        let mut doings = Vec::new();
        for (verb, names) in [("stopped", &self.stopped), ("unmounted", &unmounted)] {
            if !names.is_empty() {
                doings.push(format!("{verb} {}", names.join(", ")));
            }
        }
        doings.push(destroyed);
        error.context(&doings.join("; "))
    }
}

impl Doom<'_> {
    /// Destroys it, or says what would be destroyed.
    pub fn carry_out(&self, dry_run: bool, done: String) -> Result<Object> {
        let members = self.members()?;
        let found = self.find(&members)?;
        let refused = self.refused(&found);
        if dry_run {
            return Ok(self.would(&found, refused));
        }
        if !refused.is_empty() {
            let message = format!(
                "{} not destroyed, nothing was: {}",
                self.words,
                refused.join("; ")
            );
            return Err(Error::new(Code::InUse, message));
        }
        let left = self.act(&members, &found)?;
        let mut answer = Object::new().with("success", done);
        if self.recursive {
            answer.insert("destroyed", names(&found, |_| true));
        }
        if !left.is_empty() {
            answer.insert("left", left);
        }
        Ok(answer)
    }

    /// Destroys it; gives the snapshots that were made for it and are left.
    pub fn act(&self, members: &Members, found: &Found) -> Result<Vec<String>> {
        let mut so_far = Done {
            destroyed: Some(Vec::new()),
            ..Done::default()
        };
        let stopped = self.stop(members, found, &mut so_far);
        let destroyed = stopped.and_then(|()| self.destroy(members, found, &mut so_far));
        destroyed.map_err(|error| so_far.before(error))?;
        self.require_gone(found)
    }

    /// All jails and templates, as they are now: nothing that was remembered decides what is
    /// destroyed.
    pub fn members(&self) -> Result<Members> {
        self.context.known.memory.note_change();
        let members = self.context.members()?;
        match members.jails.pool == self.pool {
            true => Ok(members),
            false => {
                let message = "another pool was activated meanwhile";
                Err(Error::new(Code::Conflict, message))
            }
        }
    }

    pub fn find(&self, members: &Members) -> Result<Found> {
        let system = &self.context.system;
        let mut stock = Stock::take(system, &self.pool)?;
        let meant = |family, name: &str| self.meant.has(family, name);
        let plan = Plan::of(&self.pool, &stock.rows, meant);
        let is_nothing = plan.units.is_empty() && plan.require_order().is_ok();
        if is_nothing && matches!(self.meant, Meant::One(..)) {
            let message = format!("there is no {}", self.words);
            return Err(Error::new(Code::NotFound, message));
        }
        let dependents = Dependents::of(system, &self.pool, &plan)?;
        let goes = |unit: &Unit| {
            unit.is_meant || self.recursive && is_jail(unit) || self.datasets && !is_jail(unit)
        };
        stock.take_others(
            system,
            &self.pool,
            plan.units.iter().filter(|unit| goes(unit)),
        )?;
        let belongings = stock.belongings(&self.pool, &plan, goes);
        let by_dataset = by_dataset(members);
        let running = belongings.iter().filter_map(|one| {
            let member = by_dataset.get(&one.unit.dataset)?;
            Some((member.place(), member.jail.jid.as_deref()?))
        });
        let (running, jids): (Vec<String>, Vec<&str>) = running.unzip();
        let roots = roots(&belongings);
        let mut found = Found {
            intruders: roots.intruders(system, &jids)?,
            mounted: roots.mounted(system)?,
            running,
            dependents,
            plan,
            belongings,
            files: Vec::new(),
            strangers: Vec::new(),
        };
        if let (Meant::Everything, Some(root)) = (&self.meant, &members.jails.root) {
            found.files = remains::files(system, &self.pool, root)?;
            let strangers = stock.strangers(&self.pool);
            found.strangers = strangers.map(|name| name.to_string()).collect();
        }
        Ok(found)
    }

    /// Stops what runs, and makes sure that it does not.
    fn stop(&self, members: &Members, found: &Found, done: &mut Done) -> Result<()> {
        let by_dataset = by_dataset(members);
        let going = found.belongings.iter();
        let going = going.filter_map(|one| by_dataset.get(&one.unit.dataset).copied());
        let going: Vec<Member> = going.filter(|member| member.jail.jid.is_some()).collect();
        // None is stopped for nothing.
        for member in &going {
            power::stoppable(self.context, *member)?;
        }
        for member in going {
            power::stop_now(self.context, &Chosen { members, member })?;
            done.stopped.push(member.place());
        }
        let now = self.members()?;
        let is_going = |member: &Member| {
            let dataset = member.dataset();
            let mut going = found.belongings.iter();
            going.any(|one| Some(&one.unit.dataset) == dataset.as_ref())
        };
        let mut running = now.all().filter(|member| member.jail.jid.is_some());
        if let Some(member) = running.find(is_going) {
            let jid = member.jail.jid.as_deref().unwrap_or_default();
            let message = format!("{} is running (jid {jid})", member.place());
            return Err(Error::new(Code::InUse, message));
        }
        let roots = roots(&found.belongings);
        let system = &self.context.system;
        let intruders = roots.intruders(system, &[])?;
        if !intruders.is_empty() {
            let message = format!("still running: {}", intruders.join(", "));
            return Err(Error::new(Code::InUse, message));
        }
        roots.unmount(system, &self.pool, &mut done.unmounted)
    }

    fn destroy(&self, members: &Members, found: &Found, done: &mut Done) -> Result<()> {
        let destroyed = self.destroy_all(members, found);
        if let Err(error) = &destroyed {
            // What does not answer is not asked again.
            let may_ask = error.code != Code::Timeout;
            let now = may_ask.then(|| Stock::take(&self.context.system, &self.pool));
            done.destroyed = now.and_then(Result::ok).map(|now| {
                let gone = found.belongings.iter().flat_map(|one| one.gone(&now));
                gone.map(ToString::to_string).collect()
            });
        }
        destroyed
    }

    fn destroy_all(&self, members: &Members, found: &Found) -> Result<()> {
        let system = &self.context.system;
        for one in &found.belongings {
            let unit = &one.unit;
            let logs = || match is_jail(unit) {
                // One that cannot be removed is in nobody's way.
                true => remains::remove_logs(system, members, unit.name()).map(drop),
                false => Ok(()),
            };
            one.destroy(system, logs)?;
        }
        let files = found.files.clone();
        let left = remains::remove_files(system, &self.pool, files)?;
        match left.first() {
            None => Ok(()),
            Some(file) => {
                let message = format!("{} cannot be removed", file.display());
                Err(Error::new(Code::Failed, message))
            }
        }
    }

    /// Asks ZFS whether it is gone; gives the snapshots that were made for it and are left.
    fn require_gone(&self, found: &Found) -> Result<Vec<String>> {
        let now = Stock::take(&self.context.system, &self.pool)?;
        let all = found.belongings.iter();
        let there = all.clone().map(|one| &one.unit.dataset);
        let there: Vec<&Dataset> = there.filter(|dataset| now.has(dataset)).collect();
        let is_there = |unit: &Unit| there.contains(&&unit.dataset);
        let there = names(found, is_there);
        if !there.is_empty() {
            let message = format!("still there: {}", there.join(", "));
            return Err(Error::new(Code::Failed, message));
        }
        let left = all.flat_map(|one| one.left(&now));
        Ok(left.map(ToString::to_string).collect())
    }
}

/// The names of those that are wanted, in the order in which they go. A release that is has its name
/// once, though its download is too.
pub fn names(found: &Found, is_wanted: impl Fn(&Unit) -> bool) -> Vec<String> {
    let units = found.belongings.iter().map(|one| &one.unit);
    let wanted: Vec<&Unit> = units.filter(|unit| is_wanted(unit)).collect();
    let is_release = |unit: &&Unit| unit.family == Some(Family::Releases);
    let releases: BTreeSet<&str> = wanted
        .iter()
        .filter(|unit| is_release(unit))
        .map(|unit| unit.name())
        .collect();
    let is_double =
        |unit: &&Unit| unit.family == Some(Family::Download) && releases.contains(unit.name());
    let names = wanted.iter().filter(|unit| !is_double(unit));
    names.map(|unit| unit.name().to_string()).collect()
}

fn is_jail(unit: &Unit) -> bool {
    matches!(unit.family, Some(Family::Jails | Family::Templates))
}

fn by_dataset(members: &Members) -> BTreeMap<Dataset, Member<'_>> {
    let all = members.all();
    all.filter_map(|member| Some((member.dataset()?, member)))
        .collect()
}

fn roots(belongings: &[Belongings]) -> Roots {
    let jails = belongings.iter().filter(|one| is_jail(&one.unit));
    Roots::of(jails.map(|one| &one.unit.dataset))
}
