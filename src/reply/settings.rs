//! All settings of a jail as one value of an answer. Most of them are the same for all jails, so
//! those are written once, and what a jail has itself goes between.

use std::sync::Arc;

use super::write;
use crate::iocage::settings::{effective, Keys, Settings};

/// The settings that a jail has that sets none itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Common {
    /// By name.
    members: Vec<Member>,
    /// Each as JSON, with a comma behind it.
    text: String,
    /// Those that are as iocage has them built in.
    built_in: Keys,
}

#[derive(Debug, PartialEq, Eq)]
struct Member {
    name: Box<str>,
    value: Box<str>,
    /// Where its text begins, and where that of the next one does.
    start: usize,
    end: usize,
}

/// The settings that a jail has: its own over the common ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    pub own: Settings,
    pub common: Arc<Common>,
}

impl Common {
    pub fn of(defaults: &Settings) -> Arc<Self> {
        let mut text = String::new();
        let all = effective(Settings::none(), defaults);
        let built_in = Keys::built_in(&all);
        let members = all.into_iter().map(|(name, (value, _))| {
            let start = text.len();
            member(name, value, &mut text);
            Member {
                name: name.into(),
                value: value.into(),
                start,
                end: text.len(),
            }
        });
        let members = members.collect();
        Arc::new(Common {
            members,
            text,
            built_in,
        })
    }
}

impl Effective {
    pub(super) fn write(&self, out: &mut String) {
        let Common {
            members,
            text,
            built_in,
        } = &*self.common;
        out.push('{');
        let begin = out.len();
        // What of the common ones comes next, and how much of their text is written.
        let (mut next, mut written) = (0, 0);
        for (name, value) in self.own.all_but(built_in) {
            let found = members[next..].binary_search_by(|member| (*member.name).cmp(name));
            let (index, same) = match found {
                Ok(index) => (next + index, Some(&members[next + index])),
                Err(index) => (next + index, None),
            };
            next = index + usize::from(same.is_some());
            if same.is_some_and(|member| *member.value == *value) {
                continue;
            }
            let end = members.get(index).map_or(text.len(), |member| member.start);
            out.push_str(&text[written..end]);
            written = same.map_or(end, |member| member.end);
            member(name, value, out);
        }
        out.push_str(&text[written..]);
        // The last comma.
        if out.len() > begin {
            out.pop();
        }
        out.push('}');
    }
}

fn member(name: &str, value: &str, out: &mut String) {
    write::text(name, out);
    out.push(':');
    write::text(value, out);
    out.push(',');
}

#[cfg(test)]
mod tests {
    use super::super::{Answer, Object};
    use super::*;
    use serde_json::Value;

    #[test]
    fn settings_are_written_as_they_are_one_by_one() {
        let settings = |text: &str| Settings::parse(text.as_bytes()).unwrap();
        let defaults = [
            "{}",
            r#"{"boot": "on", "notes": "all", "zz": 1, "aa": "\"", "vnet": []}"#,
        ];
        for defaults in defaults.map(settings) {
            let common = Common::of(&defaults);
            for own in [
                "{}",
                r#"{"boot": true, "notes": "all", "priority": "99", "vnet": 0, "depends": ["a"]}"#,
                r#"{"\u0000": "\n", "a": 1, "zz": 2, "zzz": "\"", "allow_chflags": 1, "aa": "a"}"#,
            ] {
                let own = settings(own);
                let mut one_by_one = Object::new();
                for (name, (value, _)) in effective(&own, &defaults) {
                    one_by_one.insert(name.to_string(), value.to_string());
                }
                let common = Arc::clone(&common);
                let answer = Answer::Settings(Effective { own, common });
                let written = Object::new().with("x", answer).to_json();
                assert!(serde_json::from_str::<Value>(&written).is_ok(), "{written}");
                assert_eq!(written, Object::new().with("x", one_by_one).to_json());
            }
        }
    }
}
