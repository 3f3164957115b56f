//! What jails and templates there are: `listjails`, `listtemplates`.

use serde_json::Value;

use crate::context::Context;
use crate::error::Result;
use crate::iocage::datasets::Family;
use crate::reply;
use crate::request::Arguments;

pub fn list(context: &Context, _: Arguments) -> Result<Value> {
    let jails = context.jails(Family::Jails)?.jails;
    Ok(reply::object([(
        "jails",
        reply::jails(&jails, "jails", reply::jail_key),
    )]))
}

pub fn list_templates(context: &Context, _: Arguments) -> Result<Value> {
    let templates = context.jails(Family::Templates)?.jails;
    let by_name = reply::jails(&templates, "templates", |template| template.uuid.clone());
    Ok(reply::object([("templates", by_name)]))
}
