//! Whose settings are changed, and how: all of them or none.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::changes::{Change, Settled};
use crate::iocage::command;
use crate::iocage::datasets::Family;
use crate::iocage::properties::{truth, PropertyName, PropertyValue};
use crate::iocage::version::Version;
use crate::names::{Checked, JailName};
use crate::system::{last_words, Output};

/// What a request calls the settings.
pub const SETTING: &str = "settings";

/// Whose settings are changed.
pub struct Target {
    /// None for those of all jails.
    pub place: Option<String>,
    pub name: Option<JailName>,
    pub words: String,
    pub is_up: bool,
}

impl Target {
    /// The settings as they are now.
    fn settled(&self, context: &Context) -> Result<Settled> {
        let Some(place) = &self.place else {
            let listing = context.jails(Family::Jails)?;
            return Ok(Settled {
                argument: SETTING,
                own: None,
                defaults: listing.defaults().clone(),
            });
        };
        let members = context.members()?;
        let member = members.all().find(|one| one.place() == *place);
        let gone = || Error::new(Code::NotFound, format!("{place} is gone"));
        Settled::of(&member.ok_or_else(gone)?, SETTING)
    }

    fn run(
        &self,
        context: &Context,
        version: Version,
        settings: &[(PropertyName, PropertyValue)],
    ) -> Result<Output> {
        // iocage looks at all jails anew for each property.
        const EACH: Duration = Duration::from_secs(5);
        let limit = context.system.timeout() + EACH * settings.len() as u32;
        let settings = settings.iter().map(|(name, value)| (*name, value));
        let line = command::set(version, settings, self.name.as_ref());
        context
            .system
            .run_within(&line, limit, &AtomicBool::new(false))
    }

    /// Makes all of the changes or none: what the file says afterwards decides. It returns how the
    /// settings are then, and what iocage complained of nevertheless.
    pub fn make(
        &self,
        context: &Context,
        version: Version,
        changes: &[Change],
    ) -> Result<(Settled, Option<String>)> {
        if changes.is_empty() {
            return Ok((self.settled(context)?, None));
        }
        let settings = changes
            .iter()
            .map(|change| (change.name, change.value.clone()));
        let ended = self.run(context, version, &settings.collect::<Vec<_>>());
        let complaint = match &ended {
            Err(error) => Some(error.clone()),
            Ok(output) if output.exit_code != 0 => Some(output.failure()),
            Ok(_) => None,
        };
        let complaint = complaint.map(|error| Error {
            message: without_values(&error.message, changes),
            ..error
        });
        let after = self.settled(context).map_err(|error| {
            error.context(&format!(
                "nobody knows how the settings of {} are now",
                self.words
            ))
        })?;
        let is_done = |change: &Change| {
            let now = after.value(change.name);
            now.is_some_and(|now| change.is_done_by(&now))
        };
        // iocage writes the file before it tells the kernel.
        let by_kernel =
            complaint.is_some() && self.is_up && changes.iter().any(Change::reaches_kernel);
        if changes.iter().all(is_done) && !by_kernel {
            return Ok((after, complaint.map(|error| error.message)));
        }
        let why = complaint.unwrap_or_else(|| {
            let said = ended.map_or(String::new(), |output| last_words(&output.stderr));
            let missed = changes.iter().filter(|change| !is_done(change));
            let message = format!("iocage did not set {}: {said}", names(missed));
            Error::new(Code::Failed, without_values(&message, changes))
        });
        let state = match why.lingers {
            true => "iocage has not ended, so they may change still".into(),
            false => self.put_back(context, version, changes, &after),
        };
        let message = format!(
            "the settings of {} are not changed: {why}; {state}",
            self.words
        );
        Err(Error {
            lingers: why.lingers,
            ..Error::new(why.code, message)
        })
    }

    /// Sets back what has changed, and says what came of it.
    fn put_back(
        &self,
        context: &Context,
        version: Version,
        changes: &[Change],
        after: &Settled,
    ) -> String {
        let changed: Vec<&Change> = changes
            .iter()
            .filter(|one| !is_as_before(one, after))
            .collect();
        if changed.is_empty() {
            return "all is as it was".into();
        }
        let back = changed
            .iter()
            .filter_map(|change| Some((change.name, change.back()?)));
        let mut back: Vec<(PropertyName, PropertyValue)> = back.collect();
        // As when they were set: what is switched off comes first.
        back.sort_by_key(|(_, value)| truth(value.as_str()) != Some(false));
        // What came of it is what the file says.
        let said = match back.is_empty() {
            true => None,
            false => self.run(context, version, &back).err(),
        };
        let (now, lost) = match self.settled(context) {
            Ok(now) => (now, None),
            Err(error) => (after.clone(), Some(error)),
        };
        let (done, left): (Vec<&Change>, Vec<&Change>) = changed
            .into_iter()
            .partition(|change| is_as_before(change, &now));
        if !left.is_empty() {
            let why = said
                .or(lost)
                .map(|error| format!(" ({error})"))
                .unwrap_or_default();
            let why = without_values(&why, changes);
            return format!("{} could not be set back{why}", names(left));
        }
        // iocage cannot take a setting away again.
        let new: Vec<&Change> = done.into_iter().filter(|change| !change.is_own).collect();
        match new.is_empty() || self.place.is_none() {
            true => "all was set back".into(),
            false => format!(
                "all was set back; {} has {} of its own now, as all jails have it",
                self.words,
                names(new)
            ),
        }
    }
}

fn is_as_before(change: &Change, now: &Settled) -> bool {
    let kept = |value: &String| change.name.property().as_kept(value);
    now.value(change.name).as_ref().map(kept) == change.before.as_ref().map(kept)
}

fn names<'a>(changes: impl IntoIterator<Item = &'a Change>) -> String {
    let names = changes.into_iter().map(|change| change.name.as_str());
    names.collect::<Vec<_>>().join(", ")
}

/// What iocage says, without the values in it, which may be secrets.
fn without_values(text: &str, changes: &[Change]) -> String {
    const SHORTEST_SECRET: usize = 4;
    let values = changes.iter().flat_map(|change| {
        let before = change.before.as_deref();
        [Some(change.value.as_str()), before].into_iter().flatten()
    });
    let mut values: Vec<&str> = values
        .filter(|value| value.len() >= SHORTEST_SECRET)
        .collect();
    // One may be a part of another.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    values
        .into_iter()
        .fold(text.into(), |text, value| text.replace(value, "..."))
}
