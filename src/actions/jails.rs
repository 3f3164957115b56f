//! What jails and templates there are: `listjails`, `listtemplates`.

use crate::context::Context;
use crate::error::Result;
use crate::iocage::datasets::Family;
use crate::reply::{self, Object};
use crate::request::Arguments;

pub fn list(context: &Context, _: &Arguments) -> Result<Object> {
    let jails = context.jails(Family::Jails)?.jails;
    Ok(Object::new().with("jails", reply::jails(&jails, "jails", reply::jail_key)))
}

pub fn list_templates(context: &Context, _: &Arguments) -> Result<Object> {
    let templates = context.jails(Family::Templates)?.jails;
    let by_name = reply::jails(&templates, "templates", |template| template.uuid.clone());
    Ok(Object::new().with("templates", by_name))
}
