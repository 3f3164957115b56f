//! A copy of a jail: `clonejail`.

use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::changes::{self, Change, Settled};
use crate::iocage::cloning::{self, Cloned, Place};
use crate::iocage::command::{self, NewClone, Setting};
use crate::iocage::datasets::Family;
use crate::iocage::properties::PropertyName;
use crate::iocage::selection::{Label, Member, Members, Selection};
use crate::jobs::{JobId, Task};
use crate::names::{Checked, JailName};
use crate::records::{Aim, Work};
use crate::request::{missing, wrong, Arguments, FORCE, KEEP_MAC, NAME, NEW_PROPERTIES, THICK};
use crate::resources::{work_in_pool, Claim, Resource};

use super::{guards, PROPERTIES};

const MACS: [&str; 4] = ["vnet0_mac", "vnet1_mac", "vnet2_mac", "vnet3_mac"];

pub fn clone<'a>(context: &'a Context, arguments: &Arguments) -> Result<Vec<Task<'a>>> {
    let Selection::One(label) = arguments.selection()? else {
        return Err(missing("jail"));
    };
    let wish = Wish {
        label,
        name: arguments.require(&NAME)?,
        thick: arguments.flag(&THICK)?,
        keep_mac: arguments.flag(&KEEP_MAC)?,
        properties: arguments.optional(&NEW_PROPERTIES)?.unwrap_or_default(),
        force: arguments.flag(&FORCE)?,
    };
    // iocage would start it at once, before its texts are put right.
    let starts = |(name, value): &Setting| name.property().name == "boot" && value.is_true();
    if wish.properties.iter().any(starts) {
        let why = "\"boot\" can only be false for a clone; setjailsettings sets it afterwards";
        return Err(wrong(PROPERTIES, why));
    }
    // Without an active pool, iocage would activate the first one that it finds.
    let pool = context.require_ready_pool()?;
    let version = context.known.installed.version(&context.system)?;
    let id = JobId::new("clone_jail", &wish.name);
    let found = wish.check(context, &context.members()?, &id)?;
    let new = NewClone {
        name: wish.name.clone(),
        source: found.source.clone(),
        thick: wish.thick,
        dropped: found.dropped,
        properties: wish.properties.clone(),
    };
    let line = command::clone(version, &new)?;
    let given = new
        .dropped
        .iter()
        .chain(wish.properties.iter().map(|(name, _)| name));
    let aim = Aim {
        pool: pool.to_string(),
        work: Work::Clone {
            name: wish.name.to_string(),
            source: found.source.to_string(),
            given: given.map(|name| name.as_str().into()).collect(),
        },
    };
    let mut claims = work_in_pool();
    claims.push(Resource::jail(&wish.name).alone());
    claims.push(Resource::jail(&found.source).alone());
    claims.extend(found.addresses);
    Ok(vec![Task {
        id: id.clone(),
        line,
        claims,
        check: Box::new(move || {
            context.require_active(&pool)?;
            wish.check(context, &context.members()?, &id).map(drop)
        }),
        aim: Some(aim),
        list: None,
    }])
}

/// A copy that is asked for.
struct Wish {
    label: Label,
    name: JailName,
    thick: bool,
    keep_mac: bool,
    properties: Vec<Setting>,
    force: bool,
}

/// What is there of it.
struct Found {
    source: JailName,
    /// The MAC addresses of the source that the copy does not keep.
    dropped: Vec<PropertyName>,
    /// The addresses that the copy has.
    addresses: Vec<Claim>,
}

impl Wish {
    /// All that has to hold before iocage is run.
    fn check(&self, context: &Context, members: &Members, id: &JobId) -> Result<Found> {
        let member = members.find(&self.label)?;
        let source = require_source(&member)?;
        let settled = Settled::of(&member, PROPERTIES)?;
        let dropped = self.dropped(&settled);
        let changes = settled.changes(&self.properties);
        settled.check_together(&changes)?;
        changes::require_no_circle(&changes, members, &self.name, PROPERTIES)?;
        changes::require_own_datasets(&changes, &self.name, PROPERTIES)?;
        guards::require_free_name(context, members, &self.name)?;
        let given = self.addresses(&settled, &changes, &dropped);
        if !self.force {
            let place = format!("jails/{}", self.name);
            changes::require_free(given.iter().copied(), members, &place, PROPERTIES)?;
        }
        let addresses = changes::claims(given, !self.force);
        if let Some(dataset) = member.dataset() {
            guards::require_no_snapshot(context, &dataset, &self.name)?;
            let root = self.thick.then(|| format!("{dataset}/root"));
            guards::require_room(context, &member.listing.pool, root.as_deref())?;
        }
        self.check_files(context, &member, id)?;
        Ok(Found {
            source,
            dropped,
            addresses,
        })
    }

    /// The source's MAC addresses that the copy would have beside it.
    fn dropped(&self, settled: &Settled) -> Vec<PropertyName> {
        let names = MACS
            .iter()
            .filter_map(|name| PropertyName::of_new_jail(name).ok());
        let is_given = |name: &PropertyName| self.properties.iter().any(|(given, _)| given == name);
        let is_kept = |name: &PropertyName| {
            let value = settled.value(*name);
            self.keep_mac || is_given(name) || value.is_none_or(|value| value == "none")
        };
        names.filter(|name| !is_kept(name)).collect()
    }

    /// The addresses that the copy has and its source should not have too: not those MAC addresses
    /// that it is asked to keep.
    fn addresses<'a>(
        &self,
        settled: &'a Settled,
        changes: &'a [Change],
        dropped: &[PropertyName],
    ) -> Vec<changes::Saying<'a>> {
        let is_given = |name: &str| {
            self.properties
                .iter()
                .any(|(given, _)| given.as_str() == name)
        };
        let mut all = settled.addresses(changes);
        all.retain(|(name, _)| {
            let is_dropped = dropped.iter().any(|dropped| dropped.as_str() == *name);
            !is_dropped && (!MACS.contains(name) || !self.keep_mac || is_given(name))
        });
        all
    }

    /// Looks at the files that iocage changes.
    fn check_files(&self, context: &Context, member: &Member, id: &JobId) -> Result<()> {
        let cannot = |why: &str| {
            let message = format!("iocage cannot clone the {}: {why}", member.in_words());
            Error::new(Code::Unavailable, message)
        };
        let listing = member.listing;
        let places = (listing.folder(member.jail), listing.root_of(member.jail));
        let (Some(folder), Some(root)) = places else {
            return Err(cannot("its root is not mounted"));
        };
        // `iocage.py`, create: `if 'templates' in path`.
        if folder.to_string_lossy().contains("templates") {
            return Err(cannot(
                "it takes for a template what has \"templates\" in its path",
            ));
        }
        let copy = folder.with_file_name(&*self.name);
        let source = Place {
            name: member.jail.name.clone(),
            folder: folder.into(),
            root: root.into(),
        };
        let cloned = Cloned {
            copy: Place {
                name: self.name.to_string(),
                root: copy.join("root"),
                folder: copy,
            },
            given: self
                .properties
                .iter()
                .map(|(name, _)| name.as_str().into())
                .collect(),
            source,
        };
        let look = move || {
            cloning::hosts_file(&cloned.source.root)?;
            cloned.is_to_be_put_right()
        };
        let looked = context.system.on_files(&listing.pool, look)?;
        match looked.map_err(|why| cannot(&why))? {
            true if !context.callbacks.tells_of_end(id.as_str()) => Err(cannot(&format!(
                "it would put {} in the place of {} in texts that do not mean it, and the host's \
                 dispatcher does not say when a job has ended, so nobody could put that right",
                self.name, member.jail.name
            ))),
            _ => Ok(()),
        }
    }
}

/// The jail to be copied, by the name that iocage knows.
fn require_source(member: &Member) -> Result<JailName> {
    if member.family() == Family::Templates {
        let why = format!(
            "{} is a template; createjail makes jails from it",
            member.jail.name
        );
        return Err(wrong("jail", &why));
    }
    let name = member.iocage_name()?;
    if member.jail.jid.is_some() {
        let message = format!("the {} is running; stop it first", member.in_words());
        return Err(Error::new(Code::InUse, message));
    }
    if member.jail.uuid != member.jail.name {
        let message = format!(
            "{} says that it is {:?}, and iocage would copy that; rename it to {:?} first",
            member.place(),
            member.jail.uuid,
            member.jail.name
        );
        return Err(Error::new(Code::Conflict, message));
    }
    Ok(name)
}
