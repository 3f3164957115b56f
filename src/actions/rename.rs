//! Giving a jail another name: `renamejail`.

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

pub fn rename(context: &Context, arguments: &Arguments, chosen: &Chosen) -> Result<Object> {
    let _ = (context, arguments, chosen);
    todo!()
}
