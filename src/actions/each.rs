//! Doing one thing for each of the jails and templates that a request means.

use crate::error::Result;
pub use crate::iocage::selection::Member;
use crate::iocage::selection::{Members, Selection};
use crate::reply::{failure, Answer, Object};

/// The answers about those that are meant, by name: `{"jails": {NAME: answer, ...}}`. What fails for
/// one of several is that one's answer, and hides no other's.
///
/// # Errors
/// If only one is meant, and it does not exist or `answer` fails.
pub fn look<T: Into<Answer>>(
    members: &Members,
    selection: &Selection,
    answer: impl Fn(Member) -> Result<T>,
) -> Result<Object> {
    let mut jails = Object::new();
    let or_failure = |answer: Result<T>| match answer {
        Ok(answer) => answer.into(),
        Err(error) => failure(&error).into(),
    };
    match selection {
        Selection::All => {
            for member in members.all() {
                // A template and a jail may have one name.
                let name = match jails.get(&member.jail.name) {
                    None => member.jail.name.clone(),
                    Some(_) => member.place(),
                };
                jails.insert(name, or_failure(answer(member)));
            }
        }
        Selection::One(label) => {
            let member = members.find(label)?;
            jails.insert(member.jail.name.clone(), answer(member)?);
        }
        Selection::Several(labels) => {
            for label in labels {
                match members.find(label) {
                    Ok(member) => {
                        jails.insert(member.jail.name.clone(), or_failure(answer(member)));
                    }
                    Err(error) => jails.insert(label.as_str().to_string(), failure(&error)),
                }
            }
        }
    }
    Ok(Object::new().with("jails", jails))
}
