//! What a job may change, and what has to be there when it has worked.

use std::collections::BTreeSet;

use super::model::in_kernel;
use super::picture::{may, Picture, Rule};

/// What a job may change, and which jails it has alone.
pub fn rules_of_job(words: &[String], before: &Picture) -> (Vec<Rule>, BTreeSet<String>) {
    let pool = before.pool().unwrap_or_default();
    let iocage = format!("{pool}/iocage");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut rules = Vec::new();
    let mut names = BTreeSet::new();
    let whole = "dataset+ dataset- snapshot+ snapshot- file property";
    // iocage makes what it misses.
    for family in [
        "",
        "/jails",
        "/templates",
        "/releases",
        "/download",
        "/images",
        "/log",
    ] {
        if !before.datasets.contains_key(&format!("{iocage}{family}")) {
            rules.push(may("dataset+", format!("{iocage}{family}")));
        }
    }
    let starts = |name: &str, rules: &mut Vec<Rule>| {
        let mut all = vec![name.to_string()];
        let given = words.iter().find_map(|word| word.strip_prefix("depends="));
        all.extend(given.unwrap_or("none").split(' ').map(String::from));
        let mut at = 0;
        while at < all.len() {
            for jail in before.jails() {
                let depends = jail.get("depends").unwrap_or_default();
                let is_of = jail.name == all[at] || (at > 0 && jail.name.starts_with(&*all[at]));
                if is_of {
                    all.push(jail.name.clone());
                    all.extend(depends.split_whitespace().map(String::from));
                }
            }
            all.dedup();
            let mut seen = BTreeSet::new();
            all.retain(|one| seen.insert(one.clone()));
            at += 1;
        }
        for one in &all {
            rules.push(may("up down", format!("ioc-{}", in_kernel(one))));
            rules.push(may("rctl", format!("jail:ioc-{}", in_kernel(one))));
            rules.push(may("file", format!("{iocage}/jails/{one}:config.json")));
        }
        rules.push(may("file", format!("{iocage}/log")));
        rules.push(may("mount", "*"));
    };
    match words[..] {
        ["create", "-n", name, ..] => {
            rules.push(may(whole, format!("{iocage}/jails/{name}")));
            for family in ["releases", "templates"] {
                let snapshot = format!("{iocage}/{family}/*@{name}");
                rules.push(may("snapshot+ snapshot-", snapshot));
            }
            starts(name, &mut rules);
            names.insert(name.to_string());
        }
        ["clone", source, "-n", name, ..] => {
            rules.push(may(whole, format!("{iocage}/jails/{name}")));
            for part in [&*format!("{source}@"), &*format!("{source}/*@")] {
                let snapshot = format!("{iocage}/jails/{part}{name}");
                rules.push(may("snapshot+ snapshot-", snapshot));
            }
            names.extend([source.to_string(), name.to_string()]);
        }
        ["fetch", "-r", release] => {
            for family in ["releases", "download"] {
                rules.push(may(whole, format!("{iocage}/{family}/{release}")));
            }
        }
        ["fetch", "-P", _, "-n", name, ..] => {
            rules.push(may(whole, format!("{iocage}/jails/{name}")));
            rules.push(may("dataset+ snapshot+ file", format!("{iocage}/releases")));
            rules.push(may("dataset+ file", format!("{iocage}/download")));
            names.insert(name.to_string());
        }
        ["export", .., name] => {
            for part in ["@", "/*@"] {
                let snapshot = format!("{iocage}/jails/{name}{part}ioc-export-*");
                rules.push(may("snapshot+ snapshot-", snapshot));
            }
            rules.push(may("file", format!("{iocage}/images:{name}_*")));
            names.insert(name.to_string());
        }
        ["import", "-p", _, name] => {
            rules.push(may(whole, format!("{iocage}/jails/{name}")));
            names.insert(name.to_string());
        }
        ["update", .., name] | ["upgrade", "-r", _, name] => {
            let dataset = format!("{iocage}/jails/{name}");
            rules.push(may("file", &dataset));
            rules.push(may("snapshot+", &dataset));
            let jail = before.jail("jails", name);
            if jail
                .as_ref()
                .is_some_and(|jail| jail.get("basejail").as_deref() == Some("1"))
            {
                rules.push(may("file", format!("{iocage}/releases")));
                for family in ["jails", "templates"] {
                    rules.push(may("file", format!("{iocage}/{family}/*:config.json")));
                }
            }
            starts(name, &mut rules);
            names.insert(name.to_string());
        }
        _ => {}
    }
    (rules, names)
}

/// What a job is for and is not there.
pub fn what_is_missing(words: &[String], after: &Picture) -> Option<String> {
    let pool = after.pool()?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["create", "-n", name, ..]
        | ["clone", _, "-n", name, ..]
        | ["import", "-p", _, name]
        | ["fetch", "-P", _, "-n", name, ..] => {
            let Some(jail) = after.jail("jails", name) else {
                return Some(format!("there is no jail {name}"));
            };
            if jail.config.is_none() {
                return Some(format!("jail {name} cannot be read"));
            }
            jail.root
                .is_none()
                .then(|| format!("jail {name} has no root"))
        }
        ["fetch", "-r", release] => {
            let name = format!("{pool}/iocage/releases/{release}/root");
            (!after.datasets.contains_key(&name)).then(|| format!("there is no {name}"))
        }
        ["export", .., name] => {
            let images = after.datasets.get(&format!("{pool}/iocage/images"))?;
            // Into the folder where they would be, if they are not mounted.
            let (of, start) = match images.mountpoint {
                Some(_) => (images, format!("{name}_")),
                None => {
                    let above = after.datasets.get(&format!("{pool}/iocage"))?;
                    (above, format!("images/{name}_"))
                }
            };
            let is_image = |file: &String| file.starts_with(&start) && !file.ends_with(".sha256");
            let there = of.tree.keys().any(is_image);
            (!there).then(|| "there is no image".to_string())
        }
        _ => None,
    }
}
