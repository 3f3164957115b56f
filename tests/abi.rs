//! The header against the interface that programs were built against (`tests/data/abi-*.txt`).
//!
//! The rule is in `docs/architecture.md`, under "The versions".

mod common;

use common::source;
use sysadm_iocage::ffi::{sysadm_iocage_abi_version, SYSADM_IOCAGE_ABI_VERSION};

const RULE: &str =
    "A program that was built against this version of the interface would break. Either put back \
     what is missing, or make a new version: SYSADM_IOCAGE_ABI_VERSION in src/ffi.rs one higher, \
     with it the soname in Makefile and build.rs and ABI_VERSION in include/sysadm, the new \
     interface as tests/data/abi-<version>.txt, and a line in CHANGELOG.md. docs/architecture.md \
     has the rule.";

/// What a program can depend on, a line each: constants with their values, members with their
/// places, functions. The names of arguments do not count.
fn interface(header: &str) -> Vec<String> {
    let mut code = String::new();
    let mut rest = header;
    while let Some((before, comment)) = rest.split_once("/*") {
        code += before;
        rest = comment.split_once("*/").expect("a comment ends").1;
    }
    code += rest;
    let code: Vec<&str> = code
        .lines()
        .map(|line| line.split("//").next().unwrap_or("").trim())
        .filter(|line| !line.is_empty())
        .collect();

    let mut lines = Vec::new();
    for define in code
        .iter()
        .filter_map(|line| line.strip_prefix("#define SYSADM_IOCAGE_"))
    {
        if let Some((name, value)) = define.split_once(' ') {
            lines.push(format!("SYSADM_IOCAGE_{name} = {value}"));
        }
    }
    let declarations: Vec<&str> = code
        .into_iter()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let declarations = declarations.join(" ").replace("extern \"C\" {", "");
    let mut structure: Option<(String, usize)> = None;
    for declaration in declarations.split(';') {
        let mut declaration = declaration.trim();
        if let Some((head, member)) = declaration.split_once('{') {
            let name = head.split_whitespace().last().expect("a struct has a name");
            structure = Some((name.into(), 0));
            declaration = member.trim();
        }
        if declaration.starts_with('}') {
            structure = None;
        } else if let Some((name, place)) = &mut structure {
            *place += 1;
            lines.push(format!("{name}, member {place}: {}", unnamed(declaration)));
        } else if !declaration.is_empty() {
            lines.push(unnamed(declaration));
        }
    }
    lines
}

/// A declaration without the names of its arguments: `void f(char *string)` is `void f(char *)`.
fn unnamed(declaration: &str) -> String {
    let words: Vec<&str> = declaration.split_whitespace().collect();
    let declaration = words.join(" ");
    let Some((head, arguments)) = declaration
        .strip_suffix(')')
        .and_then(|open| open.rsplit_once('('))
    else {
        return declaration;
    };
    let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let kinds = arguments.split(", ").map(|argument| {
        let kind = argument.trim_end_matches(name).trim_end();
        if kind.is_empty() {
            argument // void
        } else {
            kind
        }
    });
    format!("{head}({})", kinds.collect::<Vec<_>>().join(", "))
}

fn missing(known: &str, header: &str) -> Vec<String> {
    let now = interface(header);
    let known = known.lines().filter(|line| !line.starts_with('#'));
    known
        .filter(|line| !now.iter().any(|new| new == line))
        .map(String::from)
        .collect()
}

fn header() -> String {
    std::fs::read_to_string(source("include/sysadm_iocage.h")).unwrap()
}

#[test]
fn the_header_has_all_that_its_version_has_promised() {
    let version = SYSADM_IOCAGE_ABI_VERSION;
    let file = format!("tests/data/abi-{version}.txt");
    let known = std::fs::read_to_string(source(&file))
        .unwrap_or_else(|error| panic!("{file}: {error}. {RULE}"));
    let missing = missing(&known, &header());
    assert!(
        missing.is_empty(),
        "not in the header: {missing:#?}. {RULE}"
    );
    let first = format!("SYSADM_IOCAGE_ABI_VERSION = {version}");
    assert!(
        known.lines().any(|line| line == first),
        "{file}: no {first}"
    );
}

#[test]
fn the_version_is_the_same_wherever_it_stands() {
    assert_eq!(sysadm_iocage_abi_version(), SYSADM_IOCAGE_ABI_VERSION);
    let soname = format!("libsysadm_iocage.so.{SYSADM_IOCAGE_ABI_VERSION}");
    for file in [
        "Makefile",
        "build.rs",
        "docs/programmer.md",
        "CHANGELOG.md",
        "docs/architecture.md",
    ] {
        let text = std::fs::read_to_string(source(file)).unwrap();
        let numbers = text.split("libsysadm_iocage.so.").skip(1);
        assert!(numbers.clone().count() > 0, "{file}: no soname");
        for number in numbers {
            let number: String = number.chars().take_while(char::is_ascii_digit).collect();
            let there = format!("libsysadm_iocage.so.{number}");
            assert_eq!(there, soname, "{file}. {RULE}");
        }
    }
}

#[test]
fn a_change_that_breaks_programs_is_noticed_and_an_addition_is_none() {
    let header = header();
    let known = interface(&header).join("\n");
    let changed = |from: &str, to: &str| {
        assert!(header.contains(from), "{from}");
        missing(&known, &header.replacen(from, to, 1)).len()
    };
    // What is gone, of another type or value, or elsewhere.
    assert_eq!(changed("*sysadm_iocage_request(", "*sysadm_iocage_ask("), 1);
    assert_eq!(changed("int32_t access", "int64_t access"), 1);
    assert_eq!(changed("ACCESS_FULL 1", "ACCESS_FULL 2"), 1);
    assert_eq!(changed("void *user_data;", ""), 5);
    assert_eq!(
        changed("size_t struct_size;", "size_t struct_size; int x;"),
        5
    );
    assert_eq!(
        changed("const char *const *argv);", "char *const *argv);"),
        1
    );
    // What is new, or no more than a name for the reader.
    assert_eq!(
        changed("} sysadm_iocage_host;", "int more; } sysadm_iocage_host;"),
        0
    );
    assert_eq!(
        changed(
            "void sysadm_iocage_free(",
            "int sysadm_iocage_new(void);\nvoid sysadm_iocage_free("
        ),
        0
    );
    assert_eq!(
        changed("(const char *args_json)", "(const char *request)"),
        0
    );
    assert_eq!(
        changed("An instance of the library; opaque.", "An instance."),
        0
    );
}
