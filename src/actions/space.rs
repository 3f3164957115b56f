//! The space that jails take, and their snapshots: `df`, `listsnapshots`.

use std::collections::{BTreeSet, HashMap};

use super::each;
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::datasets::{jail_or_template, Family};
use crate::iocage::selection::Selection;
use crate::iocage::space::{self, Snapshot};
use crate::names::PoolName;
use crate::reply::Object;
use crate::request::Arguments;
use crate::system::{utc_time, System};

pub fn df(context: &Context, arguments: &Arguments) -> Result<Object> {
    look(context, arguments, space::of_members, |_, space| {
        let mut answer = Object::new();
        for (name, value) in space {
            answer.insert(*name, value.clone());
        }
        answer
    })
}

pub fn list_snapshots(context: &Context, arguments: &Arguments) -> Result<Object> {
    look(context, arguments, space::snapshots, |pool, snapshots| {
        let mut answer = Object::new();
        for (name, snapshot) in snapshots {
            answer.insert(name.clone(), describe(pool, snapshot));
        }
        answer
    })
}

/// What ZFS says of each jail and template, by the dataset's name.
type Told<T> = HashMap<(Family, String), T>;

fn look<T: Send>(
    context: &Context,
    arguments: &Arguments,
    ask: impl Fn(&System, &PoolName) -> Result<Told<T>> + Sync,
    answer: impl Fn(&PoolName, &T) -> Object,
) -> Result<Object> {
    let selection = arguments.selection()?;
    let pool = context.require_active_pool()?;
    // What ZFS says of all of them says which there are.
    if selection == Selection::All {
        let told = match ask(&context.system, &pool) {
            Ok(told) if !told.is_empty() => told,
            // If the pool went away meanwhile, that is why.
            told => {
                context.require_active_pool()?;
                told?
            }
        };
        return Ok(each::all(told.iter().map(|((family, name), told)| {
            (*family, name.as_str(), answer(&pool, told))
        })));
    }
    let (told, members) = context
        .system
        .side_by_side(|| ask(&context.system, &pool), || context.members());
    let members = members?;
    let told = match members.jails.pool == pool {
        true => told?,
        // Another pool was activated at this moment.
        false => ask(&context.system, &members.jails.pool)?,
    };
    each::look(&members, &selection, |member| {
        let of = told.get(&(member.family(), member.jail.name.clone()));
        let of = of.ok_or_else(|| {
            let message = format!("ZFS says nothing of {}", member.place());
            Error::new(Code::Unavailable, message)
        })?;
        Ok(answer(&members.jails.pool, of))
    })
}

fn describe(pool: &PoolName, snapshot: &Snapshot) -> Object {
    // Of a jail that was cloned from a jail, its dataset and its root are clones.
    let clones = snapshot
        .clones
        .iter()
        .map(|dataset| clone_name(pool, dataset));
    let clones: BTreeSet<String> = clones.collect();
    let created = utc_time(snapshot.created).map(|time| time + "Z");
    Object::new()
        .with("created", created.unwrap_or_default())
        .with("used", snapshot.used.to_string())
        .with("referenced", snapshot.referenced.to_string())
        .with("clones", clones.into_iter().collect::<Vec<_>>())
        .with("complete", if snapshot.complete { "true" } else { "false" })
}

/// A clone by the name of its jail or template, if its root or its dataset is the clone; by that of
/// its dataset otherwise.
fn clone_name(pool: &PoolName, dataset: &str) -> String {
    let Some((family, name)) = jail_or_template(pool, dataset) else {
        return dataset.into();
    };
    let own = format!("{}/{name}", family.dataset(pool));
    match dataset == own || *dataset == format!("{own}/root") {
        true => name.into(),
        false => dataset.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jail_that_was_cloned_whole_is_one_clone() {
        let pool = PoolName::parse("tank").unwrap();
        let mut snapshot = Snapshot::default();
        let datasets = [
            "else",
            "iocage/jails/kid",
            "iocage/jails/kid-2/root",
            "iocage/jails/kid/root",
        ];
        snapshot.clones = datasets.map(|name| format!("tank/{name}")).into();
        let answer: serde_json::Value =
            serde_json::from_str(&describe(&pool, &snapshot).to_json()).unwrap();
        assert_eq!(
            answer["clones"],
            serde_json::json!(["kid", "kid-2", "tank/else"])
        );
    }
}
