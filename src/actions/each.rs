//! Doing one thing for each of the jails and templates that a request means.

use crate::error::Result;
use crate::iocage::datasets::Family;
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
            return Ok(all(members.all().map(|one| {
                let answer = or_failure(answer(one));
                (one.family(), one.jail.name.as_str(), answer)
            })));
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

/// The answers about all jails and templates, by name. A template that is called as a jail is, is
/// there by its dataset's place: `templates/web`.
pub fn all<'a, T: Into<Answer>>(answers: impl Iterator<Item = (Family, &'a str, T)>) -> Object {
    let mut jails = Object::new();
    let mut templates = Vec::new();
    for (family, name, answer) in answers {
        match family {
            Family::Jails => jails.insert(name.to_string(), answer),
            _ => templates.push((family, name, answer)),
        }
    }
    for (family, name, answer) in templates {
        let name = match jails.get(name) {
            None => name.to_string(),
            Some(_) => format!("{}/{name}", family.as_str()),
        };
        jails.insert(name, answer);
    }
    Object::new().with("jails", jails)
}
