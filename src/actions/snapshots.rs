//! Snapshots of jails: `snapshotjail`, `removesnapshot`, `rollbackjail`.

use super::Chosen;
use crate::context::Context;
use crate::error::Result;
use crate::reply::Object;
use crate::request::Arguments;

pub fn take(context: &Context, arguments: &Arguments, chosen: &Chosen) -> Result<Object> {
    let _ = (context, arguments, chosen);
    todo!()
}

pub fn remove(context: &Context, arguments: &Arguments, chosen: &Chosen) -> Result<Object> {
    let _ = (context, arguments, chosen);
    todo!()
}

pub fn roll_back(context: &Context, arguments: &Arguments, chosen: &Chosen) -> Result<Object> {
    let _ = (context, arguments, chosen);
    todo!()
}
