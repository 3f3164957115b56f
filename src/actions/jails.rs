//! What jails and templates there are: `listjails`, `listtemplates`.

use serde_json::{json, Value};

use crate::context::Context;
use crate::error::Result;
use crate::iocage::datasets::Family;
use crate::iocage::jails;
use crate::reply;
use crate::request::Arguments;

pub fn list(context: &Context, _: Arguments) -> Result<Value> {
    let pool = context.require_active_pool()?;
    let jails = jails::list(&context.system, &pool, Family::Jails)?;
    Ok(json!({ "jails": reply::jails(&jails, "jails", reply::jail_key) }))
}

pub fn list_templates(context: &Context, _: Arguments) -> Result<Value> {
    let pool = context.require_active_pool()?;
    let templates = jails::list(&context.system, &pool, Family::Templates)?;
    let by_name = reply::jails(&templates, "templates", |template| template.uuid.clone());
    Ok(json!({ "templates": by_name }))
}
