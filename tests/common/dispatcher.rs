//! A host whose dispatcher notes what it is to do, and does it when a test says so.

use std::collections::HashMap;
use std::ffi::{c_char, c_void, CStr};
use std::process::Command;
use std::sync::Mutex;

use serde_json::{json, Value};
use sysadm_iocage::ffi::SysadmIocageHost;

#[derive(Default)]
pub struct Dispatcher {
    /// The command lines of the jobs that wait.
    pub queued: Mutex<HashMap<String, Vec<String>>>,
    /// Jobs with this in their id are refused, though noted.
    pub refuses: Option<&'static str>,
    pub log: Mutex<Vec<(i32, String)>>,
}

/// # Safety
/// It is a C string.
pub unsafe fn text(string: *const c_char) -> String {
    unsafe { CStr::from_ptr(string) }.to_str().unwrap().into()
}

unsafe extern "C" fn queue(
    host: *mut c_void,
    id: *const c_char,
    argv: *const *const c_char,
) -> bool {
    let host = unsafe { &*host.cast::<Dispatcher>() };
    let id = unsafe { text(id) };
    let taken = host.refuses.is_none_or(|part| !id.contains(part));
    let words = unsafe { words(argv) };
    host.queued.lock().unwrap().insert(id, words);
    taken
}

/// # Safety
/// They are C strings, and NULL comes after the last.
pub unsafe fn words(argv: *const *const c_char) -> Vec<String> {
    let words = (0..)
        .map(|at| unsafe { *argv.add(at) })
        .take_while(|word| !word.is_null());
    words.map(|word| unsafe { text(word) }).collect()
}

unsafe extern "C" fn is_active(host: *mut c_void, id: *const c_char) -> bool {
    let host = unsafe { &*host.cast::<Dispatcher>() };
    host.queued
        .lock()
        .unwrap()
        .contains_key(&unsafe { text(id) })
}

unsafe extern "C" fn log(host: *mut c_void, level: i32, message: *const c_char) {
    let host = unsafe { &*host.cast::<Dispatcher>() };
    host.log
        .lock()
        .unwrap()
        .push((level, unsafe { text(message) }));
}

impl Dispatcher {
    pub fn callbacks(&self) -> SysadmIocageHost {
        SysadmIocageHost {
            struct_size: size_of::<SysadmIocageHost>(),
            user_data: std::ptr::from_ref(self).cast_mut().cast(),
            queue_process: Some(queue),
            is_job_active: Some(is_active),
            log: Some(log),
            job_ended: None,
        }
    }

    /// The command line of a job that waits.
    pub fn words(&self, job: &str) -> Vec<String> {
        self.queued.lock().unwrap()[job].clone()
    }

    /// Runs a job, and gives its log as the sysadm server's dispatcher has it.
    pub fn run(&self, job: &str) -> Value {
        let words = self.words(job);
        let done = Command::new(&words[0]).args(&words[1..]).output().unwrap();
        self.queued.lock().unwrap().remove(job);
        let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        let line = words.join(" ");
        let code = done.status.code().unwrap_or(-1).to_string();
        json!({
            "state": "finished", "process_id": job, "cmd_list": [line], line.clone(): said,
            format!("return_codes/{line}"): code,
        })
    }
}
