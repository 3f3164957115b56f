//! Changing settings: `setjailsettings`.

use super::Chosen;
use crate::context::Context;
use crate::error::Result;
use crate::reply::Object;
use crate::request::Arguments;
use crate::resources::Claim;

/// Whether the settings are those that all jails begin with.
pub fn means_defaults(arguments: &Arguments) -> bool {
    let _ = arguments;
    todo!()
}

pub fn defaults_need(context: &Context, arguments: &Arguments) -> Result<Vec<Claim>> {
    let _ = (context, arguments);
    todo!()
}

pub fn set_defaults(context: &Context, arguments: &Arguments) -> Result<Object> {
    let _ = (context, arguments);
    todo!()
}

pub fn set(context: &Context, arguments: &Arguments, chosen: &Chosen) -> Result<Object> {
    let _ = (context, arguments, chosen);
    todo!()
}
