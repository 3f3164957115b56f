//! Any text as each name, value and line that the library checks or changes by itself: what comes through
//! a check keeps what commands and files rely on, and what is not to be changed stays.
#![no_main]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use sysadm_iocage::iocage::cloning::{Cloned, Place};
use sysadm_iocage::iocage::fstab::{self, Kind, NewEntry, Source};
use sysadm_iocage::iocage::images::ImageName;
use sysadm_iocage::iocage::properties::{self, PropertyName};
use sysadm_iocage::iocage::selection::Label;
use sysadm_iocage::iocage::version::{Version, V1_0, V1_13};
use sysadm_iocage::names::*;
use sysadm_iocage_fuzz::{home, write};

fuzz_target!(|data: &[u8]| {
    let [kind, rest @ ..] = data else {
        return;
    };
    match kind {
        b'f' => lines(rest),
        b'c' => clone(rest),
        b'v' => {
            if let [which, text @ ..] = rest {
                value(usize::from(*which), &String::from_utf8_lossy(text));
            }
        }
        _ => names(&String::from_utf8_lossy(rest)),
    }
});

/// Checks what is to hold for a text that may become an argument of a command.
fn argument(text: &str, most: usize) {
    assert!(!text.is_empty() && text.len() <= most, "{text:?}");
    assert!(!text.starts_with('-'), "{text:?}");
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// The same of a checked name, which is also what its own parser makes of it.
fn checked<T: Checked + PartialEq>(parse: fn(&str) -> Result<T, Wrong>, text: &str, more: &str) {
    let Ok(name) = parse(text) else { return };
    argument(name.as_str(), 256);
    let fits = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
    assert!(name.as_str().chars().all(fits), "{:?}", name.as_str());
    assert!(
        parse(name.as_str()).is_ok_and(|again| again == name),
        "{text:?}"
    );
}

fn names(text: &str) {
    checked(PoolName::parse, text, "-_.: ");
    checked(PoolName::existing, text, "-_.: ");
    checked(JailName::parse, text, "._-");
    checked(JailName::of_new, text, "._-");
    checked(PluginId::parse, text, "._-");
    checked(Release::parse, text, ".-");
    checked(PackageName::parse, text, "._+-/@,");
    checked(Interface::parse, text, "._-");
    checked(Ip4::parse, text, "./");
    checked(Ip6::parse, text, ".:/");
    checked(UserName::parse, text, "._-");
    if let Ok(url) = Url::parse(text) {
        let shown = url.without_credentials();
        assert!(Url::parse(&shown).is_ok(), "{text:?}");
        let host = shown
            .split("://")
            .nth(1)
            .unwrap()
            .split('/')
            .next()
            .unwrap();
        assert!(!host.contains('@'), "{shown:?}");
    }
    // It stands behind the name of a dataset and an `@`.
    if let Ok(name) = SnapshotName::parse(text) {
        argument(&format!("x@{}", name.as_str()), 130);
    }
    if let Ok(label) = Label::parse(text) {
        assert!(!text.contains(['@', '#', '\0', '\n']), "{text:?}");
        assert_eq!(label.as_str(), text);
        // Only a jail's place and a name without room for the template's are none.
        let template = Label::template(text);
        let is_long = text.len() > 255 - "templates/".len();
        match template {
            Ok(template) => assert!(template.as_str().starts_with("templates/"), "{text:?}"),
            Err(why) => assert!(is_long || text.starts_with("jails/"), "{text:?}: {why}"),
        }
    }
    if let Ok(image) = ImageName::parse(text) {
        argument(text, usize::MAX);
        assert!(!text.contains('/'), "{text:?}");
        assert_eq!(format!("{}{}", image.stem(), image.format.ending()), text);
        let twin = ImageName::parse(&image.twin()).unwrap();
        assert_eq!(twin.twin(), text);
    }
    if let Some(version) = Version::parse(text) {
        let again = Version::parse(&version.to_string());
        assert_eq!(again, Some(version), "{text:?}");
    }
    mount(text);
}

/// What may stand in a line of an fstab.
fn mount(text: &str) {
    let line = |new: &NewEntry| {
        let written = fstab::with_entry(b"", new);
        let read = fstab::entries(&written);
        assert_eq!(read.len(), 1, "{written:?}");
        assert_eq!(read[0].source, Path::new(new.source), "{written:?}");
        assert_eq!(
            read[0].destination.as_deref(),
            Some(new.destination),
            "{written:?}"
        );
        assert_eq!(read[0].kind.as_deref(), Some(new.kind), "{written:?}");
        assert_eq!(read[0].options.as_deref(), Some(new.options), "{written:?}");
        assert_eq!((&*read[0].dump, &*read[0].pass), ("0", "0"));
    };
    let usual = NewEntry {
        source: "/a",
        destination: Path::new("/b"),
        kind: "nullfs",
        options: "ro",
    };
    if let Ok(source) = Source::parse(text) {
        let source = source.as_str();
        line(&NewEntry {
            source,
            ..usual.clone()
        });
        let shown = fstab::shown(source);
        let is_share = source.starts_with("//");
        assert!(!is_share || !shown.contains("hunter2@"), "{shown}");
    }
    if let Ok(path) = fstab::path(text) {
        assert!(!path.split('/').any(|part| part == ".."), "{path:?}");
        let destination = Path::new(&path);
        line(&NewEntry {
            destination,
            ..usual.clone()
        });
    }
    if let Ok(kind) = Kind::parse(text) {
        line(&NewEntry {
            kind: kind.as_str(),
            ..usual.clone()
        });
    }
    if let Ok(options) = fstab::options(text) {
        line(&NewEntry {
            options: &options,
            ..usual
        });
    }
}

/// A value of a property.
fn value(which: usize, text: &str) {
    let all = properties::all();
    let property = &all[which % all.len()];
    let given = Value::from(text);
    for parse in [
        PropertyName::parse,
        PropertyName::of_setting,
        PropertyName::of_new_jail,
    ] {
        let Ok(name) = parse(property.name) else {
            continue;
        };
        let Ok(value) = name.value(&given) else {
            continue;
        };
        let value = value.as_str();
        assert!(
            value.len() <= 256 && !value.contains(char::is_control),
            "{} {value:?}",
            property.name
        );
        assert!(!property.on_host(), "{} is run on the host", property.name);
        // It is the same when it is given again, and in the words of an older version.
        let again = name.value(&Value::from(value)).unwrap();
        assert_eq!(again.as_str(), value, "{}", property.name);
        for version in [Version(0, 9, 9), V1_0, V1_13] {
            let older = again.in_words_of(version);
            argument(&format!("x={}", older.as_str()), 258);
        }
    }
}

/// A whole fstab, an entry in front of it: what is changed comes back, and all else stays.
fn lines(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let (place, text) = (parts.next().unwrap(), parts.next().unwrap_or_default());
    let before = fstab::entries(text);
    assert_eq!(fstab::without(text, |_| false), (text.to_vec(), 0));
    let (rest, gone) = fstab::without(text, |entry| entry.destination.is_some());
    let kept = before
        .iter()
        .filter(|entry| entry.destination.is_none())
        .count();
    assert_eq!(
        (fstab::entries(&rest).len(), gone),
        (kept, before.len() - kept)
    );

    // A path of the host has no control characters.
    let place = String::from_utf8_lossy(place);
    let Ok(place) = fstab::path(&place) else {
        return;
    };
    let new = NewEntry {
        source: "/data/a b",
        destination: Path::new(OsStr::from_bytes(place.as_bytes())),
        kind: "nullfs",
        options: "ro",
    };
    let longer = fstab::with_entry(text, &new);
    assert!(longer.starts_with(text));
    let after = fstab::entries(&longer);
    assert_eq!(after[..after.len() - 1], before);
    assert!(after[after.len() - 1].is_at(new.destination));
    let (back, gone) = fstab::without(&longer, |entry| entry.is_at(new.destination));
    let others = before.iter().filter(|entry| !entry.is_at(new.destination));
    assert_eq!(fstab::entries(&back), others.cloned().collect::<Vec<_>>());
    assert!(gone >= 1);

    // To another name and back.
    let (from, to) = (new.destination, Path::new("/jails/new name"));
    let moved = fstab::moved(text, from, to);
    assert_eq!(fstab::entries(&moved).len(), before.len());
    let is_free = fstab::moved(text, to, Path::new("/")) == text;
    // A slash more or less at the end is another text.
    if is_free && !place.ends_with('/') {
        assert_eq!(fstab::moved(&moved, to, from), text);
    }
}

/// A jail and the clone that iocage makes of it, which has the new name wherever the old one was a part of
/// a text: two names, settings, an fstab in which `/J` is the jail's folder, and an /etc/hosts.
fn clone(data: &[u8]) {
    let mut parts = data.splitn(5, |byte| *byte == 0);
    let mut text = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let (from, to, config, fstab, hosts) = (text(), text(), text(), text(), text());
    let is_name = |name: &str| JailName::of_new(name).is_ok();
    let settings: Option<Map<String, Value>> = serde_json::from_str(&config).ok();
    let (Some(settings), true) = (settings, is_name(&from) && is_name(&to) && from != to) else {
        return;
    };
    let place = |name: &str| {
        let folder = home().join("clones").join(name);
        Place {
            name: name.into(),
            root: folder.join("root"),
            folder,
        }
    };
    let (source, copy) = (place(&from), place(&to));
    let fstab = fstab.replace("/J", &source.folder.display().to_string());
    let by_iocage = |text: &str| text.replace(&from, &to);
    let value_by_iocage = |value: &Value| match value {
        Value::String(text) => by_iocage(text).into(),
        other => other.clone(),
    };
    let copied = settings.iter();
    let copied = copied.map(|(key, value)| (key.clone(), value_by_iocage(value)));
    let copied = Value::Object(copied.collect());
    for (place, config, fstab, hosts) in [
        (&source, &config, &fstab, &hosts),
        (
            &copy,
            &copied.to_string(),
            &by_iocage(&fstab),
            &by_iocage(&hosts),
        ),
    ] {
        write(&place.folder.join("config.json"), config.as_bytes());
        write(&place.folder.join("fstab"), fstab.as_bytes());
        write(&place.root.join("etc/hosts"), hosts.as_bytes());
    }
    let cloned = Cloned {
        source: source.clone(),
        copy: copy.clone(),
        given: vec!["notes".into()],
    };
    let has_changed = cloned.is_to_be_put_right();
    let done = cloned.put_right();
    assert_eq!(has_changed.is_ok(), done.is_ok());
    let read = |place: &Place, file: &str| fs::read(place.folder.join(file)).unwrap();
    if done.is_ok() {
        let right = fstab::moved(fstab.as_bytes(), &source.folder, &copy.folder);
        assert_eq!(read(&copy, "fstab"), right);
        let after: Map<String, Value> =
            serde_json::from_slice(&read(&copy, "config.json")).unwrap();
        let moved = [
            "host_hostuuid",
            "host_hostname",
            "jail_zfs_dataset",
            "notes",
        ];
        let others = settings
            .iter()
            .filter(|(key, value)| value.is_string() && !moved.contains(&key.as_str()));
        for (key, value) in others {
            assert_eq!(after[key], *value, "{key}");
        }
        // Line by line and word by word it is the same host file, with one name for the other.
        let after = String::from_utf8(read(&copy, "root/etc/hosts")).unwrap();
        assert_eq!(after.lines().count(), hosts.lines().count());
        for (line, before) in after.lines().zip(hosts.lines()) {
            let [words, before] = [line, before].map(|line| {
                let names = line.split('#').next().unwrap();
                names.split(|c: char| c.is_ascii_whitespace())
            });
            for (word, before) in words.zip(before) {
                assert!(word == before || (word == to && before == from), "{line:?}");
            }
        }
        assert_eq!(read(&source, "config.json"), config.as_bytes());
    }
    let _ = fs::remove_dir_all(home().join("clones"));
}
