//! A host whose dispatcher notes what it is to do, and does it when a test says so.

use std::collections::HashMap;
use std::ffi::{c_char, c_void, CStr};
use std::process::Command;
use std::sync::Mutex;

use serde_json::{json, Value};
use sysadm_iocage::ffi::SysadmIocageHost;

/// The command lines of the jobs that wait.
#[derive(Default)]
pub struct Dispatcher(Mutex<HashMap<String, Vec<String>>>);

unsafe fn text(string: *const c_char) -> String {
    unsafe { CStr::from_ptr(string) }.to_str().unwrap().into()
}

unsafe extern "C" fn queue(
    host: *mut c_void,
    id: *const c_char,
    argv: *const *const c_char,
) -> bool {
    let host = unsafe { &*host.cast::<Dispatcher>() };
    let words = (0..)
        .map(|at| unsafe { *argv.add(at) })
        .take_while(|word| !word.is_null());
    let words = words.map(|word| unsafe { text(word) }).collect();
    host.0.lock().unwrap().insert(unsafe { text(id) }, words);
    true
}

unsafe extern "C" fn is_active(host: *mut c_void, id: *const c_char) -> bool {
    let host = unsafe { &*host.cast::<Dispatcher>() };
    host.0.lock().unwrap().contains_key(&unsafe { text(id) })
}

impl Dispatcher {
    pub fn callbacks(&self) -> SysadmIocageHost {
        SysadmIocageHost {
            struct_size: size_of::<SysadmIocageHost>(),
            user_data: std::ptr::from_ref(self).cast_mut().cast(),
            queue_process: Some(queue),
            is_job_active: Some(is_active),
            log: None,
            job_ended: None,
        }
    }

    /// The command line of a job that waits.
    pub fn words(&self, job: &str) -> Vec<String> {
        self.0.lock().unwrap()[job].clone()
    }

    /// Runs a job, and gives its log as the sysadm server's dispatcher has it.
    pub fn run(&self, job: &str) -> Value {
        let words = self.words(job);
        let done = Command::new(&words[0]).args(&words[1..]).output().unwrap();
        self.0.lock().unwrap().remove(job);
        let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        let line = words.join(" ");
        let code = done.status.code().unwrap_or(-1).to_string();
        json!({
            "state": "finished", "process_id": job, "cmd_list": [line], line.clone(): said,
            format!("return_codes/{line}"): code,
        })
    }
}
