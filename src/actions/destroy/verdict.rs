//! What is in the way of destroying something, and what a dry run answers.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::doom::{names, Doom, Found, Meant};
use crate::iocage::datasets::{Dataset, Family};
use crate::iocage::dependents::Names;
use crate::iocage::destruction::held_in_words;
use crate::reply::Object;

impl Doom<'_> {
    /// Why it is not destroyed, whatever is asked for.
    pub fn forbidden(&self, found: &Found) -> Vec<String> {
        let order = found.plan.require_order();
        let tangled = order.err().map(|error| error.message);
        let held = found.belongings.iter().flat_map(|one| &one.held);
        let held = held_in_words(&held.collect::<Vec<_>>());
        let inside = (!found.intruders.is_empty())
            .then(|| format!("running inside of it: {}", found.intruders.join(", ")));
        let parts = found.dependents.parts_in_words();
        [tangled, parts, held, inside]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Why it is not destroyed.
    pub fn refused(&self, found: &Found) -> Vec<String> {
        let (dependents, cloned) = (&found.dependents, &found.dependents.cloned);
        let mut refused = self.forbidden(found);
        let mut refuse = |is_so: bool, why: String| {
            if is_so {
                refused.push(why);
            }
        };
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
    pub fn would(&self, found: &Found, refused: Vec<String>) -> Object {
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
}
