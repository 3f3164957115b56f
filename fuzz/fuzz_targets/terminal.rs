//! Any bytes as a reply that the command sysadm-iocage prints, on terminals of any width and elsewhere:
//! nothing of it gives a terminal orders, and no line of a table is wider than the terminal.
//!
//! The first byte says what the output is, the second how wide.
#![no_main]

use std::ffi::{c_char, c_int, CStr, CString};
use std::ptr;
use std::sync::Once;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
// It has the command's C files in it, and the library that these are linked with.
use sysadm_iocage_fuzz::keys;

unsafe extern "C" {
    fn start_text();
    fn width_of(string: *const c_char) -> usize;
    fn has_view(action: *const c_char) -> bool;
    fn fuzz_show(
        reply: *const c_char,
        terminal: c_int,
        columns: c_int,
        as_table: c_int,
        chosen: *const c_char,
        output: *mut *mut c_char,
        length: *mut usize,
        errors: *mut *mut c_char,
        errors_length: *mut usize,
    ) -> c_int;
    fn free(memory: *mut c_char);
}

static START: Once = Once::new();

fuzz_target!(|data: &[u8]| {
    // The kind of terminal decides about colours.
    START.call_once(|| unsafe {
        std::env::set_var("TERM", "xterm");
        start_text();
    });
    let [output, columns, reply @ ..] = data else {
        return;
    };
    let reply = reply.split(|byte| *byte == 0).next().unwrap();
    let is_terminal = output & 1 != 0;
    let as_table = output & 2 != 0;
    let chosen = (output & 12 == 12).then_some(c"jail,state");
    let (code, shown, errors) = show(reply, is_terminal, *columns, as_table, chosen);

    // Of a reply with more than one key, nothing is known here of what is printed.
    let read: Option<Value> = serde_json::from_slice(reply).ok();
    let read = read.filter(|read| read.as_object().is_some_and(|read| read.len() == 1));
    let action = read.as_ref().map(|read| keys(read)[0].to_string());
    if code < 0 {
        // Only what is no answer, or is nested deeper than any reply.
        let depth = reply.iter().filter(|byte| b"[{".contains(byte)).count();
        let is_answer = action
            .as_ref()
            .is_some_and(|action| read.as_ref().unwrap()[action].is_object());
        assert!(!is_answer || depth >= 64, "it cannot be read");
    }
    // What a command in a jail prints goes to another program as it is, and so does JSON.
    let is_raw = read.is_none() || code < 0 || action.as_deref() == Some("execjail");
    if is_terminal || !is_raw {
        check(&errors, false);
        check(&shown, is_terminal);
    }
    if let Some(action) = action.filter(|_| is_terminal && code >= 0 && *columns >= 30) {
        check_widths(&shown, &action, &read.unwrap(), usize::from(*columns));
    }
});

fn show(
    reply: &[u8],
    is_terminal: bool,
    columns: u8,
    as_table: bool,
    chosen: Option<&CStr>,
) -> (c_int, Vec<u8>, Vec<u8>) {
    let reply = CString::new(reply).unwrap();
    let mut texts = [(ptr::null_mut(), 0), (ptr::null_mut(), 0)];
    let [(output, length), (errors, errors_length)] = &mut texts;
    // SAFETY: all are texts that end in NUL, or places for such.
    let code = unsafe {
        fuzz_show(
            reply.as_ptr(),
            is_terminal.into(),
            columns.into(),
            as_table.into(),
            chosen.map_or(ptr::null(), CStr::as_ptr),
            output,
            length,
            errors,
            errors_length,
        )
    };
    let [output, errors] = texts.map(|(text, length)| {
        // SAFETY: open_memstream has made it, with this length.
        let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), length) }.to_vec();
        unsafe { free(text) };
        bytes
    });
    (code, output, errors)
}

/// Nothing but text, ends of lines, tabs, and the library's own colours.
fn check(bytes: &[u8], has_colours: bool) {
    let text = std::str::from_utf8(bytes).unwrap_or_else(|why| panic!("{why}: {bytes:?}"));
    let plain = if has_colours {
        without_colours(text)
    } else {
        text.into()
    };
    let obeyed = |c: char| c.is_control() && !['\n', '\t'].contains(&c);
    let deceives = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
    assert!(
        !plain.contains(obeyed) && !plain.contains(deceives),
        "{text:?}"
    );
}

fn without_colours(text: &str) -> String {
    let colours = ["\u{1b}[1m", "\u{1b}[32m", "\u{1b}[31m", "\u{1b}[m"];
    colours
        .iter()
        .fold(text.into(), |text: String, colour| text.replace(colour, ""))
}

/// No line of a table is wider than the terminal.
fn check_widths(shown: &[u8], action: &str, reply: &Value, columns: usize) {
    let name = CString::new(action);
    // SAFETY: it ends in NUL.
    if !name.is_ok_and(|name| unsafe { has_view(name.as_ptr()) }) {
        return;
    }
    // With all their settings, jails are no table.
    let jails = reply[action]["jails"].as_object();
    if jails.is_some_and(|jails| jails.values().any(|jail| jail.get("settings").is_some())) {
        return;
    }
    let text = String::from_utf8_lossy(shown);
    for line in without_colours(&text).lines() {
        let bytes = CString::new(line).unwrap();
        // SAFETY: it ends in NUL.
        let width = unsafe { width_of(bytes.as_ptr()) };
        assert!(width <= columns, "{width} of {columns}: {line:?}");
    }
}
