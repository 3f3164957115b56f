//! Answers as JSON. A reply may have megabytes, most of them settings, so they are written here
//! directly, and settings without being taken apart.

use super::{Answer, Object};

pub fn object(object: &Object, out: &mut String) {
    let all = object.0.iter().map(|(name, value)| (&**name, value));
    members(all, answer, out);
}

fn members<'a, T>(
    all: impl Iterator<Item = (&'a str, T)>,
    write: impl Fn(T, &mut String),
    out: &mut String,
) {
    out.push('{');
    for (index, (name, value)) in all.enumerate() {
        if index > 0 {
            out.push(',');
        }
        text(name, out);
        out.push(':');
        write(value, out);
    }
    out.push('}');
}

fn answer(value: &Answer, out: &mut String) {
    match value {
        Answer::Text(value) => text(value, out),
        Answer::List(list) => {
            out.push('[');
            for (index, value) in list.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                answer(value, out);
            }
            out.push(']');
        }
        Answer::Object(members) => object(members, out),
        Answer::Texts(names, texts) => {
            members(
                names.iter().copied().zip(texts),
                |value, out| text(value, out),
                out,
            );
        }
        Answer::Fixed(names, values) => members(names.iter().copied().zip(values), answer, out),
        Answer::Settings(settings) => settings.write(out),
    }
}

pub fn text(text: &str, out: &mut String) {
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    match text.bytes().all(is_plain) {
        true => {
            out.push('"');
            out.push_str(text);
            out.push('"');
        }
        // Writing a text cannot fail.
        false => out.push_str(&serde_json::to_string(text).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_is_written_as_serde_json_writes_it() {
        let all: String = ('\0'..='\u{ff}').collect();
        let value = json!({
            "": [], "a\"b": {}, "all": all, "list": ["", ["\u{2028}", {"x": "\u{1f600}"}], "y"],
        });
        let Answer::Object(answer) = Answer::of_json(value.clone()) else {
            panic!("an object is an object");
        };
        assert_eq!(answer.to_json(), value.to_string());
    }
}
