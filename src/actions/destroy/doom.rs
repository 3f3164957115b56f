//! How something is destroyed with all that belongs to it: first all that is in the way is found,
//! then what runs is stopped, then it goes, and then ZFS is asked what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::actions::{power, Chosen};
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::belongings::{Belongings, Stock};
use crate::iocage::datasets::{Dataset, Family};
use crate::iocage::dependents::{Dependents, Names};
use crate::iocage::destruction::{after, Plan, Unit};
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
}

/// What there is of it.
struct Found {
    plan: Plan,
    dependents: Dependents,
    /// Of what goes, in the order in which it does.
    belongings: Vec<Belongings>,
    /// The places of the jails that go and run: `jails/web`.
    running: Vec<String>,
    /// Other jails that run in their roots.
    intruders: Vec<String>,
    /// What is mounted in them.
    mounted: Vec<PathBuf>,
    files: Vec<PathBuf>,
    strangers: Vec<String>,
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
        self.stop(&members, &found)?;
        self.destroy(&members, &found)?;
        let left = self.require_gone(&found)?;
        let mut answer = Object::new().with("success", done);
        if self.recursive {
            answer.insert("destroyed", names(&found, |_| true));
        }
        if !left.is_empty() {
            answer.insert("left", left);
        }
        Ok(answer)
    }

    /// All jails and templates, as they are now: nothing that was remembered decides what is
    /// destroyed.
    fn members(&self) -> Result<Members> {
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

    fn find(&self, members: &Members) -> Result<Found> {
        let system = &self.context.system;
        let stock = Stock::take(system, &self.pool)?;
        let meant = |family, name: &str| self.meant.has(family, name);
        let plan = Plan::of(&self.pool, &stock.rows, meant);
        let is_nothing = plan.units.is_empty() && plan.require_order().is_ok();
        if is_nothing && matches!(self.meant, Meant::One(..)) {
            let message = format!("there is no {}", self.words);
            return Err(Error::new(Code::NotFound, message));
        }
        let dependents = Dependents::of(system, &self.pool, &plan)?;
        let goes = |unit: &Unit| unit.is_meant || self.recursive && is_jail(unit);
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

    /// Why it is not destroyed.
    fn refused(&self, found: &Found) -> Vec<String> {
        let (dependents, cloned) = (&found.dependents, &found.dependents.cloned);
        let mut refused = Vec::new();
        let mut refuse = |is_so: bool, why: String| {
            if is_so {
                refused.push(why);
            }
        };
        let order = found.plan.require_order();
        let tangled = order.err().map(|error| error.message);
        for why in tangled.into_iter().chain(dependents.parts_in_words()) {
            refuse(true, why);
        }
        let strangers = Names {
            datasets: found.strangers.iter().cloned().collect(),
            ..Names::default()
        };
        let why = format!("not iocage's, and below its own: {}", strangers.in_words());
        refuse(!strangers.is_empty(), why);
        let datasets = Names {
            datasets: cloned.datasets.clone(),
            ..Names::default()
        };
        let why = format!("cloned from there, and no jail: {}", datasets.in_words());
        refuse(!datasets.is_empty(), why);
        let jails = Names {
            datasets: BTreeSet::new(),
            ..cloned.clone()
        };
        let hint = match self.meant {
            Meant::One(..) => " (\"recursive\" would destroy them too)",
            _ => "",
        };
        let why = format!("cloned from there: {}{hint}", jails.in_words());
        refuse(!jails.is_empty() && !self.recursive, why);
        let running = found.running.join(", ");
        let why = format!("running: {running} (\"force\" would stop them)");
        refuse(!running.is_empty() && !self.force, why);
        let why = format!("running inside of it: {}", found.intruders.join(", "));
        refuse(!found.intruders.is_empty(), why);
        let users: Vec<&str> = dependents
            .running_users
            .iter()
            .map(String::as_str)
            .collect();
        let why = format!("running with its files mounted: {}", users.join(", "));
        refuse(!users.is_empty(), why);
        for (names, how) in [
            (&dependents.mounting, "mounting its files"),
            (
                &dependents.unknown,
                "cannot be read, so may mount its files",
            ),
        ] {
            let hint = "\"force\" would leave them without";
            let why = format!("{how}: {} ({hint})", names.in_words());
            refuse(!names.is_empty() && !self.force, why);
        }
        let sweeps = !matches!(self.meant, Meant::One(..));
        let mut all = names(found, |_| true);
        all.extend(found.files.iter().map(|file| file.display().to_string()));
        let why = format!("\"force\" would destroy {}", all.join(", "));
        refuse(sweeps && !self.force && !all.is_empty(), why);
        refused
    }

    /// What would be destroyed, and what is in the way.
    fn would(&self, found: &Found, refused: Vec<String>) -> Object {
        let texts = |all: &[Dataset]| {
            let texts = all.iter().map(ToString::to_string);
            texts.collect::<Vec<String>>()
        };
        let (mut datasets, mut snapshots, mut stay) = (Vec::new(), Vec::new(), Vec::new());
        for one in &found.belongings {
            datasets.extend(texts(&one.datasets));
            snapshots.extend(texts(&one.snapshots));
            snapshots.extend(texts(&one.sources));
            stay.extend(texts(&one.left));
        }
        let mut goes = Object::new()
            .with("datasets", datasets)
            .with("snapshots", snapshots);
        for (family, key) in [
            (Family::Jails, "jails"),
            (Family::Templates, "templates"),
            (Family::Releases, "releases"),
        ] {
            let names = names(found, |unit| unit.family == Some(family));
            if !names.is_empty() {
                goes.insert(key, names);
            }
        }
        let paths = |paths: &[PathBuf]| {
            let texts = paths.iter().map(|path| path.display().to_string());
            texts.collect::<Vec<String>>()
        };
        if !found.files.is_empty() {
            goes.insert("files", paths(&found.files));
        }
        let mut answer = Object::new()
            .with("dryrun", "true")
            .with("would_destroy", goes)
            .with("would_refuse", refused);
        for (key, texts) in [
            ("running", found.running.clone()),
            ("would_unmount", paths(&found.mounted)),
            ("would_leave", stay),
        ] {
            if !texts.is_empty() {
                answer.insert(key, texts);
            }
        }
        let broken = &found.dependents.mounting;
        if !broken.is_empty() {
            let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>();
            let names = Object::new().with("jails", list(&broken.jails));
            answer.insert(
                "would_break",
                names.with("templates", list(&broken.templates)),
            );
        }
        answer
    }

    /// Stops what runs, and makes sure that it does not.
    fn stop(&self, members: &Members, found: &Found) -> Result<()> {
        let undone = |error: Error| error.context("nothing was destroyed");
        let by_dataset = by_dataset(members);
        let going = found.belongings.iter();
        let going = going.filter_map(|one| by_dataset.get(&one.unit.dataset).copied());
        for member in going.filter(|member| member.jail.jid.is_some()) {
            power::stop_now(self.context, &Chosen { members, member }).map_err(undone)?;
        }
        let now = self.members().map_err(undone)?;
        let is_going = |member: &Member| {
            let dataset = member.dataset();
            let mut going = found.belongings.iter();
            going.any(|one| Some(&one.unit.dataset) == dataset.as_ref())
        };
        let mut running = now.all().filter(|member| member.jail.jid.is_some());
        if let Some(member) = running.find(is_going) {
            let jid = member.jail.jid.as_deref().unwrap_or_default();
            let message = format!("{} is running (jid {jid})", member.place());
            return Err(undone(Error::new(Code::InUse, message)));
        }
        let roots = roots(&found.belongings);
        let system = &self.context.system;
        let intruders = roots.intruders(system, &[]).map_err(undone)?;
        if !intruders.is_empty() {
            let message = format!("still running: {}", intruders.join(", "));
            return Err(undone(Error::new(Code::InUse, message)));
        }
        roots.unmount(system, &self.pool).map_err(undone)
    }

    fn destroy(&self, members: &Members, found: &Found) -> Result<()> {
        let system = &self.context.system;
        let mut gone: Vec<String> = Vec::new();
        for one in &found.belongings {
            let unit = &one.unit;
            let logs = || match is_jail(unit) {
                // One that cannot be removed is in nobody's way.
                true => remains::remove_logs(system, members, unit.name()).map(drop),
                false => Ok(()),
            };
            let destroyed = one.destroy(system, &mut gone, logs);
            destroyed.map_err(|error| after(&gone, error))?;
        }
        let files = found.files.clone();
        let left = remains::remove_files(system, &self.pool, files);
        match left.map_err(|error| after(&gone, error))?.first() {
            None => Ok(()),
            Some(file) => {
                let message = format!("{} cannot be removed", file.display());
                Err(after(&gone, Error::new(Code::Failed, message)))
            }
        }
    }

    /// Asks ZFS whether it is gone; gives the snapshots that were made for it and are left.
    fn require_gone(&self, found: &Found) -> Result<Vec<String>> {
        let now = Stock::take(&self.context.system, &self.pool)?;
        let all = found.belongings.iter();
        let there = all.clone().map(|one| &*one.unit.dataset);
        let there: Vec<&str> = there.filter(|dataset| now.has(dataset)).collect();
        if !there.is_empty() {
            let message = format!("still there: {}", there.join(", "));
            return Err(Error::new(Code::Failed, message));
        }
        let left = all.flat_map(|one| one.left(&now));
        Ok(left.map(ToString::to_string).collect())
    }
}

/// The names of what goes, in its order. A release has its name once, though its download goes too.
fn names(found: &Found, is_wanted: impl Fn(&Unit) -> bool) -> Vec<String> {
    let mut names = Vec::new();
    for one in found.belongings.iter().filter(|one| is_wanted(&one.unit)) {
        let name = one.unit.name().to_string();
        let is_download = one.unit.family == Some(Family::Download);
        if !is_download || !found.plan.has(Family::Releases, &name) {
            names.push(name);
        }
    }
    names
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
