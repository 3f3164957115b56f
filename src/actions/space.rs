//! The space that jails take, and their snapshots: `df`, `listsnapshots`.

use std::collections::HashMap;

use super::each;
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::datasets::Family;
use crate::iocage::selection::{Member, Members};
use crate::iocage::space::{self, Snapshot};
use crate::names::PoolName;
use crate::reply::Object;
use crate::request::Arguments;
use crate::system::{utc_time, System};

pub fn df(context: &Context, arguments: &Arguments) -> Result<Object> {
    let selection = arguments.selection()?;
    let (members, space) = beside_members(context, space::of_members)?;
    each::look(&members, &selection, |member| {
        let mut answer = Object::new();
        let of = of(&space, member).ok_or_else(|| {
            let message = format!("ZFS says nothing of {}", member.place());
            Error::new(Code::Unavailable, message)
        })?;
        for (name, value) in of {
            answer.insert(*name, value.clone());
        }
        Ok(answer)
    })
}

pub fn list_snapshots(context: &Context, arguments: &Arguments) -> Result<Object> {
    let selection = arguments.selection()?;
    let (members, snapshots) = beside_members(context, space::snapshots)?;
    each::look(&members, &selection, |member| {
        let mut answer = Object::new();
        for (name, snapshot) in of(&snapshots, member).into_iter().flatten() {
            answer.insert(name.clone(), describe(&members, snapshot));
        }
        Ok(answer)
    })
}

/// The jails and templates of the active pool, and what ZFS says of them.
fn beside_members<T: Send>(
    context: &Context,
    ask: impl Fn(&System, &PoolName) -> Result<T> + Sync,
) -> Result<(Members, T)> {
    let pool = context.require_active_pool()?;
    let (told, members) = context
        .system
        .side_by_side(|| ask(&context.system, &pool), || context.members());
    let members = members?;
    match members.jails.pool == pool {
        true => Ok((members, told?)),
        // Another pool was activated at this moment.
        false => {
            let told = ask(&context.system, &members.jails.pool)?;
            Ok((members, told))
        }
    }
}

fn of<'a, T>(told: &'a HashMap<(Family, String), T>, member: Member) -> Option<&'a T> {
    told.get(&(member.family(), member.jail.name.clone()))
}

fn describe(members: &Members, snapshot: &Snapshot) -> Object {
    let clone = |dataset: &String| clone_name(&members.jails.pool, dataset);
    let created = utc_time(snapshot.created).map(|time| time + "Z");
    Object::new()
        .with("created", created.unwrap_or_default())
        .with("used", snapshot.used.to_string())
        .with("referenced", snapshot.referenced.to_string())
        .with(
            "clones",
            snapshot.clones.iter().map(clone).collect::<Vec<_>>(),
        )
        .with("complete", if snapshot.complete { "true" } else { "false" })
}

/// A clone by the name of its jail or template, if its root or its dataset is the clone; by that of
/// its dataset otherwise.
fn clone_name(pool: &PoolName, dataset: &str) -> String {
    for family in [Family::Jails, Family::Templates] {
        if let Some(name) = family.member(pool, dataset) {
            let own = format!("{}/{name}", family.dataset(pool));
            if dataset == own || *dataset == format!("{own}/root") {
                return name.into();
            }
        }
    }
    dataset.into()
}
