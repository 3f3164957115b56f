//! The old class document's examples: what the lab has to be like for each, and whether a reply is
//! the documented one.
//!
//! `tests/data/class-document.json` has them as the document has them (three of its responses lack
//! a comma, which is put in). A reply differs from the document's only where the document has a
//! placeholder or the name of a pool, and in what `docs/api.md` lists as differences: here, no
//! space in front of a pool's name, no empty entry in an empty list, and the age of what is remote.

use serde_json::{json, Value};

use crate::Lab;

/// The names that the document has for the one pool.
const POOLS: [&str; 3] = ["\" tank\"", "\"tank1\"", "\"my_zpool\""];

/// What the network offers in the document.
const RELEASES: [&str; 5] = [
    "9.3-RELEASE (EOL)",
    "10.1-RELEASE (EOL)",
    "10.2-RELEASE (EOL)",
    "10.3-RELEASE",
    "11.0-RELEASE",
];

/// One of its examples, about the lab's pool.
pub struct Example {
    text: Value,
    furnished: bool,
}

/// Makes a lab the host of the document, and gives its examples in its order.
///
/// # Panics
/// Where the lab's ZFS fails.
pub fn open(lab: &Lab) -> Vec<Example> {
    lab.lay_out(lab.pool(0));
    // The document's list of releases has the marks of an older iocage.
    lab.set_iocage_version("0.9.9");
    lab.set_remote_releases(&RELEASES);
    let pool = json!(lab.pool(0)).to_string();
    let text = POOLS.iter().fold(
        include_str!("../../data/class-document.json").to_string(),
        |text, name| text.replace(name, &pool),
    );
    let text = text.replace("pool tank1 ", &format!("pool {} ", lab.pool(0)));
    let examples: Vec<Value> = serde_json::from_str(&text).expect("it is a list");
    let example = |text| Example {
        text,
        furnished: false,
    };
    examples.into_iter().map(example).collect()
}

impl Example {
    /// The heading that it is under.
    pub fn section(&self) -> &str {
        self.text["section"].as_str().expect("each has one")
    }

    /// The request.
    pub fn args(&self) -> &Value {
        &self.text["websocket"]["args"]
    }

    pub fn action(&self) -> &str {
        self.args()["action"].as_str().expect("each has one")
    }

    /// A part of it: `rest_path`, `rest_body`, `rest_response`, `websocket` or `response`.
    pub fn part(&self, name: &str) -> Option<&Value> {
        self.text.get(name)
    }

    /// Brings about what the example is about, before it is sent; each time.
    ///
    /// # Panics
    /// Where the lab's ZFS fails.
    pub fn prepare(&mut self, lab: &Lab) {
        let (pool, action) = (lab.pool(0), self.action().to_string());
        lab.mark(
            pool,
            self.args() != &json!({ "action": "activatepool", "pool": pool }),
        );
        match action.as_str() {
            "cleanreleases" => lab.add_release(pool, "10.3-RELEASE"),
            "cleantemplates" => lab.add_template(pool, "template_1", None, &json!({})),
            _ => {}
        }
        if !self.furnished {
            furnish(lab, &action, &mut self.text["response"]["args"][&action]);
            self.furnished = true;
        }
    }

    /// Compares a whole reply with what the document has as `args` of its response.
    ///
    /// # Errors
    /// What differs.
    pub fn compare(&self, reply: &Value) -> Result<(), String> {
        let mut reply = reply.clone();
        // The one thing that we add: how old the remote part is.
        if ["listreleases", "listplugins"].contains(&self.action()) {
            let answer = reply.get_mut(self.action()).and_then(Value::as_object_mut);
            let age = answer.and_then(|answer| answer.remove("remote_age_seconds"));
            let age = age.as_ref().and_then(Value::as_str).unwrap_or("missing");
            if age.parse::<u64>().is_err() {
                return Err(format!("reply.{}.remote_age_seconds: {age}", self.action()));
            }
        }
        difference("reply", &reply, &self.text["response"]["args"]).map_or(Ok(()), Err)
    }
}

/// The first difference between a value and the documented one.
pub fn difference(place: &str, found: &Value, documented: &Value) -> Option<String> {
    if let (Value::Object(found), Value::Object(documented)) = (found, documented) {
        let keys = documented.keys().chain(found.keys());
        let value = |object: &serde_json::Map<_, _>, key| object.get(key).cloned();
        return keys.into_iter().find_map(|key| {
            let place = format!("{place}.{key}");
            match (value(found, key), value(documented, key)) {
                (Some(found), Some(documented)) => difference(&place, &found, &documented),
                (Some(found), None) => Some(format!("{place}: {found} is not documented")),
                (None, _) => Some(format!("{place}: is missing")),
            }
        });
    }
    (found != documented).then(|| format!("{place}: {found} instead of {documented}"))
}

/// Makes what the document has a placeholder for, and puts it in the placeholder's place.
fn furnish(lab: &Lab, action: &str, answer: &mut Value) {
    let pool = lab.pool(0);
    let jail = |jid: &str, name: &str, kind: &str, tag: &str, state: &str| {
        json!({
            "jid": jid, "uuid": name, "boot": "off", "state": state, "tag": tag, "type": kind,
            "release": "10.3-RELEASE", "ip4": "re0|10.20.0.120", "ip6": "-", "template": "-",
        })
    };
    let config = |kind: &str| json!({ "type": kind, "release": "10.3-RELEASE", "ip4_addr": "re0|10.20.0.120" });
    let replace = |map: &mut Value, placeholder: &str, key: &str, jail: Value| {
        let map = map.as_object_mut().expect("it is a map of jails");
        let example = map.remove(placeholder).expect("the document has it");
        let keys = |jail: &Value| {
            let jail = jail.as_object().expect("a jail is an object");
            jail.keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(keys(&example), keys(&jail), "the same ten strings");
        map.insert(key.into(), jail);
    };
    match action {
        "listjails" => {
            for name in ["web", "db"] {
                lab.add_jail(pool, name, None, &config("jail"));
            }
            lab.set_running(&[(1, "web"), (2, "db")]);
            let jails = &mut answer["jails"];
            replace(jails, "jid_1", "1", jail("1", "web", "jail", "web", "up"));
            replace(jails, "jid_2", "2", jail("2", "db", "jail", "db", "up"));
        }
        "listtemplates" => {
            lab.add_template(pool, "base", None, &config("template"));
            let template = jail("-", "base", "template", "base", "down");
            replace(&mut answer["templates"], "template_1", "base", template);
        }
        "listplugins" => {
            let mut plugin = config("plugin");
            plugin["plugin_name"] = json!("gitlab");
            lab.add_jail(pool, "gitlab_1", None, &plugin);
            let root = lab.iocage_root(pool).join("jails/gitlab_1/root");
            lab.start(7, "gitlab_1", &root);
            let plugin = jail("7", "gitlab_1", "plugin", "gitlab", "up");
            replace(&mut answer["local"], "pluginname_jid", "gitlab_7", plugin);
            let mut index = json!({});
            for (id, entry) in answer["remote"].as_object().expect("a map of plugins") {
                index[id] = json!({
                    "name": entry["name"], "description": entry["description"],
                    "MANIFEST": format!("{id}.json"), "official": true, "primary_pkg": id,
                });
            }
            lab.set_index(pool, &index.to_string());
        }
        "listreleases" => answer["local"] = json!([]),
        _ => {}
    }
}
