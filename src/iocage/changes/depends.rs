//! Jails that depend on each other.

use std::collections::HashSet;

use super::{refuse, Change};
use crate::error::Result;
use crate::iocage::selection::Members;
use crate::iocage::settings::{stored, Key};
use crate::names::Checked;

/// Makes sure that the jail called `name` does not come to depend on itself. iocage follows what a
/// jail depends on without an end (`ioc_start.py`), so it could not be started.
///
/// # Errors
/// `InvalidArgument`, saying by way of whom.
pub fn require_no_circle(
    changes: &[Change],
    members: &Members,
    name: &str,
    argument: &str,
) -> Result<()> {
    let Some(change) = changes
        .iter()
        .find(|change| change.name.as_str() == "depends")
    else {
        return Ok(());
    };
    let wants = |jail: &str| {
        let text = match jail == name {
            true => Some(change.value.as_str()),
            false => depends(members, jail),
        };
        let names = text.unwrap_or_default().split_whitespace();
        names
            .filter(|one| *one != "none")
            .map(String::from)
            .collect::<Vec<_>>()
    };
    let mut seen: HashSet<String> = HashSet::new();
    let mut ways = vec![vec![name.to_string()]];
    while let Some(way) = ways.pop() {
        for next in wants(way.last().map_or(name, String::as_str)) {
            let mut way = way.clone();
            way.push(next.clone());
            if next == name {
                let why = format!("\"depends\" would be a circle: {}", way.join(" -> "));
                return refuse(argument, why);
            }
            if seen.insert(next) {
                ways.push(way);
            }
        }
    }
    Ok(())
}

fn depends<'a>(members: &'a Members, name: &str) -> Option<&'a str> {
    let jails = &members.jails;
    let jail = jails.jails.iter().find(|jail| jail.name == name)?;
    stored(jails.settings(jail)?, jails.defaults(), Key::DEPENDS)
}
