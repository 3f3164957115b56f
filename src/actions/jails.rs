//! What jails and templates there are: `listjails`, `listtemplates`.

use crate::context::Context;
use crate::error::Result;
use crate::iocage::datasets::Family;
use crate::iocage::jails::Jail;
use crate::iocage::releases;
use crate::iocage::selection::Label;
use crate::reply::jails::{detailed, jail, key, keyed};
use crate::reply::{Common, Object};
use crate::request::{Arguments, DETAIL, JAILS, RELEASE, STATE, TYPE};

pub fn list(context: &Context, arguments: &Arguments) -> Result<Object> {
    let wanted = filter(arguments)?;
    let detail = arguments.flag(&DETAIL)?;
    let listing = context.jails(Family::Jails)?;
    let jails = listing.jails.iter().filter(|jail| wanted(jail));
    let keyed = match detail {
        true => {
            let common = Common::of(listing.defaults());
            let detailed = |jail: &Jail| detailed(&listing, &common, jail);
            keyed(jails, "jails", key, detailed)
        }
        false => keyed(jails, "jails", key, jail),
    };
    Ok(Object::new().with("jails", keyed))
}

/// Whether a jail is one of those that are asked for.
fn filter(arguments: &Arguments) -> Result<impl Fn(&Jail) -> bool> {
    let state = arguments.optional(&STATE)?;
    let kind = arguments.optional(&TYPE)?;
    let release = arguments.optional(&RELEASE)?;
    let names = arguments.optional(&JAILS)?;
    Ok(move |jail: &Jail| {
        let details = jail.details.as_ref();
        let is_of = |release: &String| {
            let own = details.and_then(|details| details.release.as_deref());
            own.is_some_and(|own| releases::is_patched(own, release))
        };
        let is_named = |names: &Vec<Label>| {
            names.iter().any(|name| {
                let name = name.as_str();
                jail.is_called(name.strip_prefix("jails/").unwrap_or(name))
            })
        };
        state.is_none_or(|state| jail.state == state)
            && (kind.as_ref()).is_none_or(|kind| details.is_some_and(|own| own.kind == *kind))
            && release.as_ref().is_none_or(is_of)
            && names.as_ref().is_none_or(is_named)
    })
}

pub fn list_templates(context: &Context, _: &Arguments) -> Result<Object> {
    let listing = context.jails(Family::Templates)?;
    let by_name = keyed(
        &listing.jails,
        "templates",
        |template| template.uuid.as_str().into(),
        jail,
    );
    Ok(Object::new().with("templates", by_name))
}
