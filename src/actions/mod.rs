//! What a client can ask for: one table, one function each.
//!
//! A row says all that decides how an action is carried out; `dispatch` does what is common to
//! all of them. To add an action, write its function in the file of its family and its row here.

mod clean;
mod destroy;
mod each;
mod exec;
mod images;
mod jails;
mod jobs;
mod making;
mod mounts;
mod patching;
mod plugins;
mod pools;
mod power;
mod releases;
mod rename;
mod set;
mod settings;
mod snapshots;
mod space;

use crate::context::Context;
use crate::error::Result;
use crate::iocage::selection::{Member, Members};
use crate::jobs::Task;
use crate::reply::Object;
use crate::request::{
    AnyField, Arguments, ACCEPT_LICENSE, BASEJAIL, BOOT, COMMAND, COMPRESSION, DESTINATION, DETAIL,
    DHCP, DRYRUN, EMPTY, FILE_SYSTEM, FORCE, IMAGE, IP4, IP6, JAIL, JAILS, JAIL_UUID, JOB,
    KEEP_MAC, NAME, NET_DEVICE, NEW_PROPERTIES, OF_RELEASE, OPTIONS, PACKAGE_NAMES, PLUGIN, POOL,
    PROP, PROPERTIES, RECURSIVE, REFRESH, RELEASE, RELEASES, SETTINGS, SNAPSHOT, SOFT, SOURCE,
    STATE, TEMPLATE, THICK, TIMEOUT_SECONDS, TYPE, UPDATE_PACKAGES, USER, VERIFY,
};
use crate::resources::{Claim, Resource};

/// What a user may do. The numbers are those of the C interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// See everything, change nothing.
    Read = 0,
    /// Do everything.
    Full = 1,
}

/// An action.
pub struct Action {
    pub name: &'static str,
    /// Its arguments besides `action`.
    pub fields: &'static [&'static dyn AnyField],
    pub(crate) how: How,
}

/// What is to be started, and what has to hold for it when it has what it needs.
pub(crate) type Plan = for<'a> fn(&'a Context, &'a Arguments) -> Result<Vec<Task<'a>>>;

pub(crate) type Look = fn(&Context, &Arguments) -> Result<Object>;

/// How an action is carried out.
pub(crate) enum How {
    /// It only looks. Requests that are the same and come at once share one run.
    Looks(Look),
    /// It changes something at once, and holds what it needs while it does.
    Changes(Change),
    /// It changes something where this argument is given, and only looks where it is not.
    ChangesWith(&'static dyn AnyField, Change, Look),
    /// It changes the jails or templates that are meant, one after the other, and holds each of them
    /// while it does.
    ChangesJails(JailChange),
    /// It does that, or makes this change instead where that is meant.
    ChangesJailsOr(JailChange, fn(&Arguments) -> bool, Change),
    /// It starts tasks, each of which holds what it needs until it ends.
    Starts(Plan, Many),
}

/// A change that is made at once.
pub(crate) struct Change {
    pub needs: fn(&Context, &Arguments) -> Result<Vec<Claim>>,
    pub run: Look,
}

/// A change of a jail or template.
pub(crate) struct JailChange {
    /// Whether nobody else may change it meanwhile.
    pub alone: bool,
    /// Whether datasets may come, go or move, so that what is known of them no longer holds.
    pub moves: bool,
    /// What else it needs.
    pub needs: fn(&Context, &Arguments, &Chosen) -> Result<Vec<Claim>>,
    pub run: fn(&Context, &Arguments, &Chosen) -> Result<Object>,
}

/// A jail or template that is to be changed, among all the others.
pub(crate) struct Chosen<'a> {
    pub members: &'a Members,
    pub member: Member<'a>,
}

/// How an action answers with the ids of its tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Many {
    /// One id. That it runs already is an error.
    One,
    /// A list of ids, and another one of those that run already.
    List,
    /// A list where the request names `jails`, else one.
    AsAsked,
}

impl Many {
    /// How the answer to this request is.
    pub fn asked_by(self, arguments: &Arguments) -> Self {
        match self {
            Many::AsAsked if arguments.has(&JAILS) => Many::List,
            Many::AsAsked => Many::One,
            known => known,
        }
    }
}

fn nothing_else(_: &Context, _: &Arguments, _: &Chosen) -> Result<Vec<Claim>> {
    Ok(Vec::new())
}

/// A change that others wait for, and that needs nothing but the jail.
const fn change(run: fn(&Context, &Arguments, &Chosen) -> Result<Object>) -> JailChange {
    JailChange {
        alone: true,
        moves: false,
        needs: nothing_else,
        run,
    }
}

fn the_marks(_: &Context, _: &Arguments) -> Result<Vec<Claim>> {
    Ok(vec![Resource::Marks.alone()])
}

const ACTIVATE: Change = Change {
    needs: the_marks,
    run: pools::activate,
};
const DEACTIVATE: Change = Change {
    needs: the_marks,
    run: pools::deactivate,
};
const CLEAN_RELEASES: Change = Change {
    needs: clean::releases_need,
    run: clean::releases,
};
const CLEAN_TEMPLATES: Change = Change {
    needs: clean::templates_need,
    run: clean::templates,
};

const START: JailChange = JailChange {
    needs: power::start_needs,
    ..change(power::start)
};
const RESTART: JailChange = JailChange {
    needs: power::start_needs,
    ..change(power::restart)
};
const EXEC: JailChange = JailChange {
    alone: false,
    ..change(exec::run)
};
const SET: JailChange = JailChange {
    needs: set::needs,
    ..change(set::set)
};
const SET_DEFAULTS: Change = Change {
    needs: set::defaults_need,
    run: set::set_defaults,
};
const RENAME: JailChange = JailChange {
    moves: true,
    needs: rename::needs,
    ..change(rename::rename)
};
const DESTROY: JailChange = JailChange {
    moves: true,
    needs: destroy::needs,
    ..change(destroy::destroy)
};
const DESTROY_RELEASE: Change = Change {
    needs: clean::releases_need,
    run: destroy::release,
};
const CLEAN_JAILS: Change = Change {
    needs: clean::releases_need,
    run: destroy::clean_jails,
};
const CLEAN_ALL: Change = Change {
    needs: clean::releases_need,
    run: destroy::clean_all,
};
const STOP_JOB: Change = Change {
    needs: |_, _| Ok(Vec::new()),
    run: jobs::stop,
};

/// Every action, by name.
#[rustfmt::skip]
pub static ACTIONS: &[Action] = &[
    Action { name: "activatepool", fields: &[&POOL], how: How::ChangesWith(&POOL, ACTIVATE, pools::current) },
    Action { name: "activatestatus", fields: &[], how: How::Looks(pools::status) },
    Action { name: "addmount", fields: &[&JAIL, &JAIL_UUID, &SOURCE, &DESTINATION, &FILE_SYSTEM, &OPTIONS], how: How::ChangesJails(change(mounts::add)) },
    Action { name: "capjail", fields: &[&JAIL, &JAIL_UUID, &JAILS], how: How::ChangesJails(change(power::cap)) },
    Action { name: "cleanall", fields: &[&FORCE, &DRYRUN], how: How::Changes(CLEAN_ALL) },
    Action { name: "cleanjails", fields: &[&FORCE, &DRYRUN], how: How::Changes(CLEAN_JAILS) },
    Action { name: "cleanreleases", fields: &[&FORCE, &DRYRUN, &DETAIL], how: How::Changes(CLEAN_RELEASES) },
    Action { name: "cleantemplates", fields: &[&FORCE, &DRYRUN, &DETAIL], how: How::Changes(CLEAN_TEMPLATES) },
    Action { name: "clonejail", fields: &[&JAIL, &JAIL_UUID, &NAME, &THICK, &KEEP_MAC, &NEW_PROPERTIES, &FORCE], how: How::Starts(making::clone, Many::One) },
    Action { name: "createjail", fields: &[&NAME, &OF_RELEASE, &TEMPLATE, &EMPTY, &BASEJAIL, &THICK, &BOOT, &PACKAGE_NAMES, &NEW_PROPERTIES, &NET_DEVICE, &IP4, &IP6, &DHCP, &FORCE], how: How::Starts(making::create, Many::One) },
    Action { name: "createplugin", fields: &[&PLUGIN, &NET_DEVICE, &IP4, &IP6, &DHCP, &NAME, &BOOT, &PROPERTIES, &ACCEPT_LICENSE, &FORCE], how: How::Starts(plugins::create, Many::One) },
    Action { name: "deactivatepool", fields: &[&POOL], how: How::Changes(DEACTIVATE) },
    Action { name: "destroyjail", fields: &[&JAIL, &JAIL_UUID, &JAILS, &RELEASE, &TEMPLATE, &FORCE, &RECURSIVE, &DRYRUN], how: How::ChangesJailsOr(DESTROY, |arguments| arguments.has(&RELEASE), DESTROY_RELEASE) },
    Action { name: "df", fields: &[&JAIL, &JAIL_UUID, &JAILS], how: How::Looks(space::df) },
    Action { name: "execjail", fields: &[&JAIL, &JAIL_UUID, &COMMAND, &USER, &TIMEOUT_SECONDS], how: How::ChangesJails(EXEC) },
    Action { name: "exportjail", fields: &[&JAIL, &JAIL_UUID, &COMPRESSION], how: How::Starts(images::export, Many::One) },
    Action { name: "fetchreleases", fields: &[&RELEASES], how: How::Starts(releases::fetch, Many::List) },
    Action { name: "getdefaultsettings", fields: &[], how: How::Looks(settings::get_defaults) },
    Action { name: "getjailsettings", fields: &[&JAIL, &JAIL_UUID, &JAILS, &PROP, &DETAIL], how: How::Looks(settings::get) },
    Action { name: "importjail", fields: &[&IMAGE, &FORCE], how: How::Starts(images::import, Many::One) },
    Action { name: "jobstatus", fields: &[&JOB], how: How::Looks(jobs::status) },
    Action { name: "listimages", fields: &[&VERIFY], how: How::Looks(images::list) },
    Action { name: "listjails", fields: &[&DETAIL, &STATE, &TYPE, &RELEASE, &JAILS], how: How::Looks(jails::list) },
    Action { name: "listjobs", fields: &[], how: How::Looks(jobs::list) },
    Action { name: "listmounts", fields: &[&JAIL, &JAIL_UUID, &JAILS], how: How::Looks(mounts::list) },
    Action { name: "listplugins", fields: &[&REFRESH, &DETAIL], how: How::Looks(plugins::list) },
    Action { name: "listreleases", fields: &[&REFRESH], how: How::Looks(releases::list) },
    Action { name: "listsnapshots", fields: &[&JAIL, &JAIL_UUID, &JAILS], how: How::Looks(space::list_snapshots) },
    Action { name: "listtemplates", fields: &[], how: How::Looks(jails::list_templates) },
    Action { name: "removemount", fields: &[&JAIL, &JAIL_UUID, &DESTINATION], how: How::ChangesJails(change(mounts::remove)) },
    Action { name: "removesnapshot", fields: &[&JAIL, &JAIL_UUID, &SNAPSHOT], how: How::ChangesJails(change(snapshots::remove)) },
    Action { name: "renamejail", fields: &[&JAIL, &JAIL_UUID, &NAME], how: How::ChangesJails(RENAME) },
    Action { name: "restartjail", fields: &[&JAIL, &JAIL_UUID, &JAILS, &SOFT], how: How::ChangesJails(RESTART) },
    Action { name: "rollbackjail", fields: &[&JAIL, &JAIL_UUID, &SNAPSHOT, &FORCE, &DRYRUN], how: How::ChangesJails(change(snapshots::roll_back)) },
    Action { name: "setjailsettings", fields: &[&JAIL, &JAIL_UUID, &JAILS, &SETTINGS, &FORCE], how: How::ChangesJailsOr(SET, set::means_defaults, SET_DEFAULTS) },
    Action { name: "snapshotjail", fields: &[&JAIL, &JAIL_UUID, &JAILS, &SNAPSHOT], how: How::ChangesJails(change(snapshots::take)) },
    Action { name: "startjail", fields: &[&JAIL, &JAIL_UUID, &JAILS], how: How::ChangesJails(START) },
    Action { name: "stopjail", fields: &[&JAIL, &JAIL_UUID, &JAILS, &FORCE], how: How::ChangesJails(change(power::stop)) },
    Action { name: "stopjob", fields: &[&JOB], how: How::Changes(STOP_JOB) },
    Action { name: "updatejail", fields: &[&JAIL, &JAIL_UUID, &JAILS, &UPDATE_PACKAGES], how: How::Starts(patching::update, Many::AsAsked) },
    Action { name: "upgradejail", fields: &[&JAIL, &JAIL_UUID, &RELEASE], how: How::Starts(patching::upgrade, Many::One) },
];

/// The action of this name.
pub fn find(name: &str) -> Option<&'static Action> {
    ACTIONS.iter().find(|action| action.name == name)
}

impl Action {
    /// The access that the action takes with these arguments, which are a request's `args`.
    pub fn access_for(&self, args: &serde_json::Map<String, serde_json::Value>) -> Access {
        self.access(&Arguments::new(args, self.fields))
    }

    /// The access that the action takes with these arguments.
    pub(crate) fn access(&self, arguments: &Arguments) -> Access {
        let changes = match &self.how {
            How::Looks(_) => false,
            How::ChangesWith(field, ..) => arguments.has(*field),
            How::Changes(_) | How::ChangesJails(_) | How::ChangesJailsOr(..) | How::Starts(..) => {
                true
            }
        };
        let asks_for_change = arguments.given().any(|(field, value)| field.changes(value));
        match changes || asks_for_change {
            true => Access::Full,
            false => Access::Read,
        }
    }
}
