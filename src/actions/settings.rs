//! What is set for jails: `getjailsettings`, `getdefaultsettings`.

use super::each;
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::iocage::datasets::Family;
use crate::iocage::jails::Listing;
use crate::iocage::settings::Settings;
use crate::iocage::{pools, properties};
use crate::reply::jails::{all_values, values};
use crate::reply::{Common, Object};
use crate::request::{wrong, Arguments, DETAIL, PROP};

pub fn get(context: &Context, arguments: &Arguments) -> Result<Object> {
    let selection = arguments.selection()?;
    let wanted = arguments.optional(&PROP)?.unwrap_or_default();
    let detail = arguments.flag(&DETAIL)?;
    let members = context.members()?;
    // A name that neither iocage nor any file has is mistyped.
    let is_known = |name: &String| {
        let in_files = |member: each::Member| {
            let own = member.listing.settings(member.jail);
            own.is_some_and(|own| own.has(name))
        };
        let defaults = members.jails.defaults();
        properties::find(name).is_some() || defaults.has(name) || members.all().any(in_files)
    };
    if let Some(unknown) = wanted.iter().find(|name| !is_known(name)) {
        let why = format!("iocage has no property {unknown:?}");
        return Err(wrong("prop", &why));
    }
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    let common = |listing: &Listing| Common::of(listing.defaults());
    let common = [&members.jails, &members.templates].map(common);
    let answer = each::look(&members, &selection, |member| {
        let own = member.listing.settings(member.jail);
        let own = own.ok_or_else(|| member.unreadable())?;
        if wanted.is_empty() && !detail {
            let common = &common[usize::from(member.family() != Family::Jails)];
            return Ok(all_values(own, common));
        }
        let defaults = member.listing.defaults();
        Ok(values(own, defaults, is_wanted, detail).into())
    })?;
    Ok(answer.with_some("defaults_error", members.jails.defaults_error()))
}

pub fn get_defaults(context: &Context, _: &Arguments) -> Result<Object> {
    let listing = context.jails(Family::Jails)?;
    if listing.root.is_none() {
        pools::require_ready(&context.system, &listing.pool)?;
    }
    if let Some(why) = listing.defaults_error() {
        return Err(Error::new(Code::Failed, why));
    }
    let all = values(Settings::none(), listing.defaults(), |_| true, false);
    Ok(Object::new().with("defaults", all))
}
