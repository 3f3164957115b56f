//! Getting rid of jails, templates and releases: `destroyjail`, `cleanjails`, `cleanall`.

use super::Chosen;
use crate::context::Context;
use crate::error::Result;
use crate::reply::Object;
use crate::request::Arguments;
use crate::resources::Claim;

pub fn needs(context: &Context, arguments: &Arguments, chosen: &Chosen) -> Result<Vec<Claim>> {
    let _ = (context, arguments, chosen);
    todo!()
}

pub fn destroy(context: &Context, arguments: &Arguments, chosen: &Chosen) -> Result<Object> {
    let _ = (context, arguments, chosen);
    todo!()
}
pub fn release_needs(context: &Context, arguments: &Arguments) -> Result<Vec<Claim>> {
    let _ = (context, arguments);
    todo!()
}

pub fn release(context: &Context, arguments: &Arguments) -> Result<Object> {
    let _ = (context, arguments);
    todo!()
}

pub fn all_need(context: &Context, arguments: &Arguments) -> Result<Vec<Claim>> {
    let _ = (context, arguments);
    todo!()
}

pub fn clean_jails(context: &Context, arguments: &Arguments) -> Result<Object> {
    let _ = (context, arguments);
    todo!()
}

pub fn clean_all(context: &Context, arguments: &Arguments) -> Result<Object> {
    let _ = (context, arguments);
    todo!()
}
