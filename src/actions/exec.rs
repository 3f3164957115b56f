//! Running a command in a jail: `execjail`.

use super::Chosen;
use crate::context::Context;
use crate::error::Result;
use crate::reply::Object;
use crate::request::Arguments;

pub fn run(context: &Context, arguments: &Arguments, chosen: &Chosen) -> Result<Object> {
    let _ = (context, arguments, chosen);
    todo!()
}
