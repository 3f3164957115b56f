//! The shape of the house: nothing in `src` imports upward or in a circle, the picture of it is true,
//! and no file is long.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use common::source;

/// The modules from the top of the walk to its bottom. Each may use those below it.
const WALK: [&str; 23] = [
    "lib",
    "ffi",
    "instance",
    "dispatch",
    "actions",
    "context",
    "catalogue",
    "sharing",
    "jobs",
    "audit",
    "event",
    "request",
    "reply",
    "iocage",
    "resources",
    "records",
    "host",
    "system",
    "configuration",
    "names",
    "limits",
    "error",
    "sync",
];

/// Every file of `src`: its module (`iocage/pools`) and its text.
fn files(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
            continue;
        }
        let name = path.strip_prefix(source("src")).unwrap().with_extension("");
        let name = name.to_str().unwrap();
        let module = name.strip_suffix("/mod").unwrap_or(name);
        let text = std::fs::read_to_string(&path).unwrap();
        found.insert(module.into(), text);
    }
}

fn house() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    files(&source("src"), &mut found);
    assert!(found.len() > 40, "{}", found.len());
    found
}

/// The paths that a file names after `crate::` or `super::`, outside its tests and comments.
fn named(module: &str, text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]").next().unwrap();
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code: String = lines.collect::<Vec<_>>().join(" ");
    let parent = module.rsplit_once('/').map_or("", |(parent, _)| parent);
    let mut paths = BTreeSet::new();
    for (word, base) in [("crate::", ""), ("super::", parent)] {
        for rest in code.split(word).skip(1) {
            let is_path = |c: char| c.is_alphanumeric() || "_:".contains(c);
            let end = rest.find(|c| !is_path(c)).unwrap_or(rest.len());
            let (path, after) = rest.split_at(end);
            // A group: each of its members.
            let members = after
                .strip_prefix('{')
                .map(|group| group.split('}').next().unwrap());
            for member in members.unwrap_or("").split(',') {
                let path = format!("{base}/{path}::{}", member.trim()).replace("::", "/");
                paths.insert(path.trim_matches('/').replace("//", "/"));
            }
        }
    }
    paths
}

/// The module that a path is in.
fn module_of(path: &str, house: &BTreeMap<String, String>) -> Option<String> {
    let mut path = path;
    loop {
        if house.contains_key(path) {
            return Some(path.into());
        }
        path = path.rsplit_once('/')?.0;
    }
}

#[test]
fn no_module_uses_one_above_it() {
    let house = house();
    let floor = |module: &str| {
        let top = module.split('/').next().unwrap();
        let at = WALK.iter().position(|name| *name == top);
        at.unwrap_or_else(|| panic!("{top} has no place in the walk"))
    };
    for (module, text) in &house {
        let used = named(module, text)
            .into_iter()
            .filter_map(|path| module_of(&path, &house));
        for used in used {
            assert!(floor(module) <= floor(&used), "{module} uses {used}");
        }
    }
}

#[test]
fn no_modules_use_each_other() {
    let house = house();
    let uses = |module: &str| -> BTreeSet<String> {
        let paths = named(module, &house[module]);
        let used = paths.iter().filter_map(|path| module_of(path, &house));
        used.filter(|used| used != module).collect()
    };
    let graph: BTreeMap<&str, BTreeSet<String>> = house
        .keys()
        .map(|module| (module.as_str(), uses(module)))
        .collect();
    for module in house.keys() {
        let mut reached: BTreeSet<&str> = BTreeSet::new();
        let mut next: Vec<&str> = graph[module.as_str()].iter().map(String::as_str).collect();
        while let Some(used) = next.pop() {
            assert_ne!(used, module, "a circle through {module}");
            if reached.insert(used) {
                next.extend(graph[used].iter().map(String::as_str));
            }
        }
    }
}

/// The boxes of the picture: each module's name, and how far down it is.
fn boxes(picture: &str) -> Vec<(String, f64)> {
    let boxes = picture
        .split("<g class=\"module\" transform=\"translate(")
        .skip(1);
    let read = |text: &str| {
        let (at, rest) = text.split_once(')').unwrap();
        let name = rest.split("class=\"name\"").nth(1).unwrap();
        let name = name.split(['>', '<']).nth(1).unwrap();
        let down = at.split(' ').nth(1).unwrap().parse().unwrap();
        (name.to_string(), down)
    };
    boxes.map(read).collect()
}

#[test]
fn the_picture_of_the_walk_is_true() {
    let house = house();
    let picture = std::fs::read_to_string(source("docs/walk.svg")).unwrap();
    let boxes = boxes(&picture);
    let down: BTreeMap<&str, f64> = boxes
        .iter()
        .map(|(name, at)| (name.as_str(), *at))
        .collect();
    assert_eq!(down.len(), boxes.len(), "one is there twice");
    for name in down.keys() {
        assert!(house.contains_key(*name), "{name} is no module");
    }
    // `lib` is the house itself.
    let heights = WALK[1..].iter().map(|name| {
        let at = down.get(name);
        *at.unwrap_or_else(|| panic!("{name} is not in the picture"))
    });
    assert!(heights.is_sorted(), "one is above another that it may use");

    let arrows = picture.split("data-arrow=\"").skip(1);
    let arrows = arrows.map(|text| text.split('"').next().unwrap());
    let mut uses = 0;
    for (from, to) in arrows.filter_map(|arrow| arrow.split_once(' ')) {
        // The others lead to the program and to the host.
        if !(down.contains_key(from) && down.contains_key(to)) || (from, to) == ("reply", "ffi") {
            continue;
        }
        let is_in = |module: &str, top: &str| module.split('/').next() == Some(top);
        let mut parts = house.iter().filter(|(module, _)| is_in(module, from));
        let used = |(module, text): (&String, &String)| {
            let paths = named(module, text);
            paths.iter().any(|path| is_in(path, to))
        };
        assert!(parts.any(used), "{from} does not use {to}");
        uses += 1;
    }
    assert!(uses >= 10, "{uses}");
}

#[test]
fn no_file_is_long() {
    for (module, text) in house() {
        // The comments of that one are the header.
        let most = if module == "ffi" { 600 } else { 400 };
        let lines = text.lines().count();
        assert!(lines <= most, "{module} has {lines} lines");
    }
}
