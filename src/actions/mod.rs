//! What a client can ask for: one table, one function each.
//!
//! The table is what the dispatch, the access check, the argument check, the documentation and
//! the tests go by. To add an action, write its function in the file of its family and its row
//! here.

mod clean;
mod jails;
mod plugins;
mod pools;
mod releases;

use serde_json::Value;

use crate::context::Context;
use crate::error::Result;
use crate::request::Arguments;

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
    /// The access that it takes; `Full` for every action that changes anything.
    pub access: Access,
    /// The arguments that it knows beside `action`.
    pub arguments: &'static [&'static str],
    pub(crate) run: fn(&Context, Arguments) -> Result<Value>,
}

/// Every action, by name.
#[rustfmt::skip]
pub static ACTIONS: &[Action] = &[
    Action { name: "activatepool", access: Access::Full, arguments: &["pool"], run: pools::activate },
    Action { name: "activatestatus", access: Access::Read, arguments: &[], run: pools::status },
    Action { name: "cleanreleases", access: Access::Full, arguments: &["force", "dryrun"], run: clean::releases },
    Action { name: "cleantemplates", access: Access::Full, arguments: &["force", "dryrun"], run: clean::templates },
    Action { name: "createplugin", access: Access::Full, arguments: &["plugin", "net_device", "ip4", "ip6", "dhcp", "name", "boot", "properties", "accept_license"], run: plugins::create },
    Action { name: "deactivatepool", access: Access::Full, arguments: &["pool"], run: pools::deactivate },
    Action { name: "fetchreleases", access: Access::Full, arguments: &["releases"], run: releases::fetch },
    Action { name: "listjails", access: Access::Read, arguments: &[], run: jails::list },
    Action { name: "listplugins", access: Access::Read, arguments: &["refresh", "detail"], run: plugins::list },
    Action { name: "listreleases", access: Access::Read, arguments: &["refresh"], run: releases::list },
    Action { name: "listtemplates", access: Access::Read, arguments: &[], run: jails::list_templates },
];

/// The action of this name.
pub fn find(name: &str) -> Option<&'static Action> {
    ACTIONS.iter().find(|action| action.name == name)
}
