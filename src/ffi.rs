//! The C interface. Each function turns pointers into strings, calls the instance, and turns the
//! answer back; a panic ends here as an error reply.
//!
//! cbindgen makes `include/sysadm_iocage.h` from this file: its comments are the header's.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_void, CStr, CString};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;

use std::sync::Arc;

use once_cell::sync::OnceCell;

use crate::actions::Access;
use crate::configuration::Configuration;
use crate::error::{Code, Error, Result};
use crate::host::{Host, Level, NoHost};
use crate::instance::Instance;
use crate::limits;
use crate::reply::{self, Reply, Status};
use crate::system::Runner;

/// The version of this interface. It grows when a program built against an older one would break.
pub const SYSADM_IOCAGE_ABI_VERSION: u32 = 1;

/// The user may see everything and change nothing.
pub const SYSADM_IOCAGE_ACCESS_READ: i32 = 0;

/// The user may do everything.
pub const SYSADM_IOCAGE_ACCESS_FULL: i32 = 1;

/// A message about something that could not be done. The levels are those of syslog(3).
pub const SYSADM_IOCAGE_LOG_ERROR: i32 = 3;

/// A message about something that was changed.
pub const SYSADM_IOCAGE_LOG_INFO: i32 = 6;

/// An instance of the library; opaque.
pub struct SysadmIocage {
    instance: Instance,
}

impl SysadmIocage {
    /// An instance on a host that `runner` makes up, for tests and fuzzers in Rust, to be ended
    /// with sysadm_iocage_close().
    ///
    /// # Safety
    /// `host` is NULL or points to what sysadm_iocage_open() takes.
    ///
    /// # Errors
    /// If `host` is wrong.
    pub unsafe fn open_with(
        configuration: Configuration,
        runner: Arc<dyn Runner>,
        host: *const SysadmIocageHost,
    ) -> Result<*mut SysadmIocage> {
        // SAFETY: as this function's own contract.
        let host = unsafe { host_of(host) }?;
        let instance = Instance::with_runner(configuration, host, runner);
        Ok(Box::into_raw(Box::new(SysadmIocage { instance })))
    }
}

/// The host program's side. Every member except `struct_size` may be 0 or NULL.
///
/// The callbacks are called from whatever thread is inside a call of the library, and job_ended()
/// from a thread of the library's own; several at once. A callback may call any function of the
/// library except sysadm_iocage_close(), on the same instance too: it gets an answer, which is a
/// conflict if it could only wait for the call that it came from. No C++ exception and no
/// longjmp() may leave a callback. The strings that they get are valid until they return. The
/// struct is copied; what `user_data` points to must live until sysadm_iocage_close() has
/// returned.
///
/// The host program must not ignore SIGCHLD, and must not wait for children that it did not start:
/// the library waits for the commands that it runs. On FreeBSD a program that loads the library by
/// dlopen() must be linked with -pthread: if libthr is loaded that late, two threads that fork at
/// once can hang.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SysadmIocageHost {
    /// sizeof(sysadm_iocage_host), so that members can be added at the end.
    pub struct_size: usize,

    /// Handed to every callback as it is.
    pub user_data: *mut c_void,

    /// Queues a long job, a command for the host to run: `argv` is its absolute path and its
    /// arguments, ended by NULL. Returns whether the job was taken. Without this callback the
    /// library runs its jobs itself.
    pub queue_process: Option<
        unsafe extern "C" fn(
            user_data: *mut c_void,
            job_id: *const c_char,
            argv: *const *const c_char,
        ) -> bool,
    >,

    /// Returns whether a job that was queued waits or runs. A job holds what it needs until this
    /// says that it has ended, or until its log says so (sysadm_iocage_progress()). Without this
    /// callback the library cannot tell, so a job in the host's dispatcher holds nothing: its pool
    /// may be switched off and its release destroyed while it runs.
    pub is_job_active:
        Option<unsafe extern "C" fn(user_data: *mut c_void, job_id: *const c_char) -> bool>,

    /// Takes a message for the host's log; `level` is one of SYSADM_IOCAGE_LOG_*. Every change,
    /// every try at one, and the end of every job is a message that begins with "audit: "; without
    /// this callback these go to syslog(3).
    pub log:
        Option<unsafe extern "C" fn(user_data: *mut c_void, level: i32, message: *const c_char)>,

    /// Called when a job that the library ran itself has ended. `event_json` is what
    /// sysadm_iocage_progress() returns for it.
    pub job_ended: Option<
        unsafe extern "C" fn(
            user_data: *mut c_void,
            job_id: *const c_char,
            event_json: *const c_char,
        ),
    >,
}

/// Answers a request on a default instance, with full access.
///
/// The instance is made at the first call, configured by /usr/local/etc/sysadm/iocage.json if that
/// file exists, and lives as long as the process. It has no host: it runs its jobs itself.
///
/// `args_json`: the request's `args`, a JSON object with `action`.
///
/// Returns the reply's `args`, a JSON object, to be freed with sysadm_iocage_free(). Never NULL.
///
/// # Safety
/// `args_json` is NULL or points to a string that ends in NUL.
#[no_mangle]
pub unsafe extern "C" fn sysadm_iocage_request(args_json: *const c_char) -> *mut c_char {
    static DEFAULT: OnceCell<Instance> = OnceCell::new();

    reply_text(None, || {
        // SAFETY: as this function's own contract.
        let args = unsafe { text(args_json, "args_json", limits::REQUEST_BYTES) }?;
        // A configuration that is wrong now may be right at the next call.
        let instance = DEFAULT.get_or_try_init(|| {
            let configuration = Configuration::of_host();
            // That is the fault of the host, not of the request.
            let configuration =
                configuration.map_err(|error| Error::new(Code::Failed, error.message));
            configuration.map(|configuration| Instance::new(configuration, Box::new(NoHost)))
        })?;
        Ok(instance.evaluate(args, Access::Full))
    })
}

/// Makes an instance.
///
/// `config_json`: the configuration, a JSON object; NULL for the defaults.
///
/// `host`: the host's side; NULL for none.
///
/// `error`: if not NULL, gets NULL on success, and on failure one line of text (not JSON), to be
/// freed with sysadm_iocage_free().
///
/// Returns the instance, to be ended with sysadm_iocage_close(), or NULL if `config_json` or `host`
/// is wrong.
///
/// # Safety
/// Each argument is NULL or points to what it is said to point to.
#[no_mangle]
pub unsafe extern "C" fn sysadm_iocage_open(
    config_json: *const c_char,
    host: *const SysadmIocageHost,
    error: *mut *mut c_char,
) -> *mut SysadmIocage {
    let opened = guarded(|| {
        let config = match config_json.is_null() {
            true => Configuration::default(),
            // SAFETY: as this function's own contract.
            false => Configuration::parse(unsafe {
                text(config_json, "config_json", limits::CONFIGURATION_BYTES)
            }?)?,
        };
        // SAFETY: as this function's own contract.
        let host = unsafe { host_of(host) }?;
        let instance = Instance::new(config, host);
        Ok(Box::into_raw(Box::new(SysadmIocage { instance })))
    });
    let (instance, message) = match opened {
        Ok(instance) => (instance, ptr::null_mut()),
        Err(why) => (ptr::null_mut(), c_string(why.message)),
    };
    if error.is_null() {
        // SAFETY: it was made here, and nobody else has it.
        unsafe { sysadm_iocage_free(message) };
    } else {
        // SAFETY: as this function's own contract.
        unsafe { error.write(message) };
    }
    instance
}

/// Answers a request on an instance.
///
/// `plugin`: the instance.
///
/// `args_json`: the request's `args`, a JSON object with `action`.
///
/// `access`: SYSADM_IOCAGE_ACCESS_READ or SYSADM_IOCAGE_ACCESS_FULL. Under READ an action that
/// changes anything does nothing and answers with status 403.
///
/// `status`: if not NULL, gets 200 for an answer (an action's error is one), 400 for a text that is
/// not a request, 403 if the request needs full access, 500 if the library itself has failed.
///
/// Returns the reply's `args`, a JSON object, to be freed with sysadm_iocage_free(). Never NULL.
///
/// # Safety
/// `plugin` is NULL or an instance that is not closed; the other pointers are NULL or valid.
#[no_mangle]
pub unsafe extern "C" fn sysadm_iocage_evaluate(
    plugin: *const SysadmIocage,
    args_json: *const c_char,
    access: i32,
    status: *mut i32,
) -> *mut c_char {
    let mut number = Status::Internal as i32;
    let reply = reply_text(Some(&mut number), || {
        // SAFETY: as this function's own contract.
        let (instance, args) = unsafe {
            (
                instance(plugin)?,
                text(args_json, "args_json", limits::REQUEST_BYTES)?,
            )
        };
        Ok(instance.evaluate(args, access_level(access)?))
    });
    if !status.is_null() {
        // SAFETY: as this function's own contract.
        unsafe { status.write(number) };
    }
    reply
}

/// Answers a whole WebSocket message.
///
/// `plugin`: the instance.
///
/// `message_json`: the message, a JSON object with `id`, `namespace` ("sysadm"), `name`
/// ("iocage") and `args`.
///
/// `access`: as for sysadm_iocage_evaluate().
///
/// Returns the whole response message, a JSON object with the same `id`, to be freed with
/// sysadm_iocage_free(). Never NULL.
///
/// # Safety
/// `plugin` is NULL or an instance that is not closed; `message_json` is NULL or a string.
#[no_mangle]
pub unsafe extern "C" fn sysadm_iocage_message(
    plugin: *const SysadmIocage,
    message_json: *const c_char,
    access: i32,
) -> *mut c_char {
    let answered = guarded(|| {
        // SAFETY: as this function's own contract.
        let (instance, message) = unsafe {
            (
                instance(plugin)?,
                text(message_json, "message_json", limits::REQUEST_BYTES)?,
            )
        };
        Ok(instance.message(message, access_level(access)?))
    });
    c_string(answered.unwrap_or_else(|error| refusal(&error).to_message(None)))
}

/// Says what the log of a job means.
///
/// `plugin`: the instance.
///
/// `job_id`: the job's id.
///
/// `job_log_json`: the job's log, a JSON object as the sysadm server's dispatcher keeps it:
/// `state`, `cmd_list`, `current_cmd`, each command as a key for its output, and
/// `return_codes/<command>`. NULL for a job that the library runs itself: it has the log. A log
/// with the state `finished` also tells the instance that the job has ended.
///
/// Returns the arguments of an event for clients, a JSON object with `event_system`, `job_id`,
/// `state`, `process_details` (the log), while a file is downloaded `filename`, `percent_done` (0
/// to 100) and `download_rate` (such as "12.5MB/s"), and at the end `success` ("true" or "false")
/// and, if the command failed, `error` with its last words; to be freed with sysadm_iocage_free().
/// NULL for a job that is not of this library; `{"error": {"code", "message"}}` for a log that
/// cannot be read.
///
/// # Safety
/// `plugin` is NULL or an instance that is not closed; the other pointers are NULL or strings.
#[no_mangle]
pub unsafe extern "C" fn sysadm_iocage_progress(
    plugin: *const SysadmIocage,
    job_id: *const c_char,
    job_log_json: *const c_char,
) -> *mut c_char {
    let told = guarded(|| {
        // SAFETY: as this function's own contract.
        let (instance, job_id) = unsafe {
            (
                instance(plugin)?,
                text(job_id, "job_id", limits::REQUEST_BYTES)?,
            )
        };
        let log = match job_log_json.is_null() {
            true => None,
            // SAFETY: as this function's own contract.
            false => {
                Some(unsafe { text(job_log_json, "job_log_json", limits::JOB_LOG_TEXT_BYTES) }?)
            }
        };
        instance.progress(job_id, log)
    });
    match told {
        Ok(Some(event)) => c_string(event),
        Ok(None) => ptr::null_mut(),
        Err(error) => c_string(refusal(&error).to_json()),
    }
}

/// Says whether a reply is an error, and which, so that a program needs no JSON parser to learn
/// whether a request has worked.
///
/// `reply_json`: a reply of sysadm_iocage_request(), sysadm_iocage_evaluate() or
/// sysadm_iocage_message(). The top of this header has the forms that an error has.
///
/// `code`, `message`: if not NULL, each gets a string to be freed with sysadm_iocage_free(), or
/// NULL if the reply is not an error. A code is a word such as `in_use`, or a number such as `403`.
///
/// Returns 1 if the reply is an error, 0 if not. NULL and a text that is not a JSON object are
/// errors.
///
/// # Safety
/// `reply_json` is NULL or a string; the other pointers are NULL or valid.
#[no_mangle]
pub unsafe extern "C" fn sysadm_iocage_reply_error(
    reply_json: *const c_char,
    code: *mut *mut c_char,
    message: *mut *mut c_char,
) -> i32 {
    let told = guarded(|| {
        // SAFETY: as this function's own contract.
        let text = unsafe { text(reply_json, "reply_json", limits::REPLY_BYTES) }?;
        Ok(reply::error_in(text))
    });
    let error = told.unwrap_or_else(|error| Some(("invalid_argument".into(), error.message)));
    let is_error = i32::from(error.is_some());
    let (the_code, the_message) = error.unzip();
    for (place, text) in [(code, the_code), (message, the_message)] {
        if !place.is_null() {
            // SAFETY: as this function's own contract.
            unsafe { place.write(text.map_or(ptr::null_mut(), c_string)) };
        }
    }
    is_error
}

/// Ends an instance: ends the jobs that it runs itself, and waits for their processes and for its
/// own threads, except a thread that reads a file on a disk that does not answer: that is left
/// behind. It must be the last call on the instance, and must not come from a callback.
///
/// `plugin`: the instance; NULL is fine.
///
/// # Safety
/// `plugin` is NULL or an instance that is not closed and that no other thread is using.
#[no_mangle]
pub unsafe extern "C" fn sysadm_iocage_close(plugin: *mut SysadmIocage) {
    if !plugin.is_null() {
        // SAFETY: it came from Box::into_raw, and this is its last use.
        let plugin = unsafe { Box::from_raw(plugin) };
        let _ = catch_unwind(AssertUnwindSafe(|| {
            // While it is still whole: the callback for a job's end may ask it.
            plugin.instance.close();
            drop(plugin);
        }));
    }
}

/// Frees a string that the library returned.
///
/// `string`: the string; NULL is fine.
///
/// # Safety
/// `string` is NULL or came from this library and is not freed yet.
#[no_mangle]
pub unsafe extern "C" fn sysadm_iocage_free(string: *mut c_char) {
    if !string.is_null() {
        // SAFETY: it came from CString::into_raw.
        drop(unsafe { CString::from_raw(string) });
    }
}

/// Returns the version of the interface that the library has: compare it with
/// SYSADM_IOCAGE_ABI_VERSION before anything else is called.
#[no_mangle]
pub extern "C" fn sysadm_iocage_abi_version() -> u32 {
    SYSADM_IOCAGE_ABI_VERSION
}

/// Returns the version of the library, such as "0.2.0". It must not be freed.
#[no_mangle]
pub extern "C" fn sysadm_iocage_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The callbacks that return a truth, as they are called. A C `bool` is returned in a byte; read as
/// a byte, any value is defined, and all but 0 are true. (A host may have cast its functions.)
type QueueProcess<T> = unsafe extern "C" fn(*mut c_void, *const c_char, *const *const c_char) -> T;
type IsJobActive<T> = unsafe extern "C" fn(*mut c_void, *const c_char) -> T;

/// A host behind C callbacks.
struct CHost(SysadmIocageHost);

// SAFETY: the header demands that the callbacks may be called from any thread, and `user_data` is
// only handed on to them.
unsafe impl Send for CHost {}
// SAFETY: as above.
unsafe impl Sync for CHost {}

impl Host for CHost {
    fn queue_process(&self, job_id: &str, command: &[String]) -> Option<bool> {
        let queue = self.0.queue_process?;
        let job_id = CString::new(job_id).ok()?;
        let words: Vec<CString> = command
            .iter()
            .map(|word| CString::new(word.as_str()))
            .collect::<std::result::Result<_, _>>()
            .ok()?;
        let mut argv: Vec<*const c_char> = words.iter().map(|word| word.as_ptr()).collect();
        argv.push(ptr::null());
        // SAFETY: only the type of what is returned is another, and that comes in the same place.
        let queue = unsafe { std::mem::transmute::<QueueProcess<bool>, QueueProcess<u8>>(queue) };
        // SAFETY: the strings live until the call returns, and argv ends in NULL.
        Some(unsafe { queue(self.0.user_data, job_id.as_ptr(), argv.as_ptr()) } != 0)
    }

    fn has_dispatcher(&self) -> bool {
        self.0.queue_process.is_some()
    }

    fn is_job_active(&self, job_id: &str) -> Option<bool> {
        let is_active = self.0.is_job_active?;
        let id = CString::new(job_id).ok()?;
        // SAFETY: as in queue_process().
        let is_active =
            unsafe { std::mem::transmute::<IsJobActive<bool>, IsJobActive<u8>>(is_active) };
        // SAFETY: the string lives until the call returns.
        Some(unsafe { is_active(self.0.user_data, id.as_ptr()) } != 0)
    }

    fn job_ended(&self, job_id: &str, event: &str) {
        let (Some(ended), Ok(id), Ok(event)) =
            (self.0.job_ended, CString::new(job_id), CString::new(event))
        else {
            return;
        };
        // SAFETY: the strings live until the call returns.
        unsafe { ended(self.0.user_data, id.as_ptr(), event.as_ptr()) };
    }

    fn log(&self, level: Level, message: &str) -> bool {
        let (Some(log), Ok(message)) = (self.0.log, CString::new(message)) else {
            return false;
        };
        // SAFETY: the string lives until the call returns.
        unsafe { log(self.0.user_data, level as i32, message.as_ptr()) };
        true
    }
}

/// # Safety
/// `host` is NULL or points to `struct_size` bytes of a sysadm_iocage_host.
unsafe fn host_of(host: *const SysadmIocageHost) -> Result<Box<dyn Host>> {
    Ok(match host.is_null() {
        true => Box::new(NoHost),
        // SAFETY: as this function's own contract.
        false => Box::new(CHost(unsafe { copy_host(host) }?)),
    })
}

/// Copies as much of the host's struct as it has: one of an older host is shorter.
///
/// # Safety
/// `host` points to `struct_size` bytes of a sysadm_iocage_host.
unsafe fn copy_host(host: *const SysadmIocageHost) -> Result<SysadmIocageHost> {
    // SAFETY: struct_size is the first member of every version.
    let size = unsafe { host.cast::<usize>().read() };
    if size < size_of::<usize>() {
        return Err(Error::invalid("host: struct_size is not set"));
    }
    let mut copy = SysadmIocageHost {
        struct_size: size,
        user_data: ptr::null_mut(),
        queue_process: None,
        is_job_active: None,
        log: None,
        job_ended: None,
    };
    // Whole members only, each of which is as large as a pointer.
    let known = size.min(size_of::<SysadmIocageHost>()) / size_of::<usize>() * size_of::<usize>();
    // SAFETY: both have `known` bytes; members that are not copied stay NULL.
    unsafe { ptr::copy_nonoverlapping(host.cast::<u8>(), (&raw mut copy).cast::<u8>(), known) };
    Ok(copy)
}

/// # Safety
/// `plugin` is NULL or an instance that is not closed.
unsafe fn instance<'a>(plugin: *const SysadmIocage) -> Result<&'a Instance> {
    // SAFETY: as this function's own contract.
    let instance = unsafe { plugin.as_ref() };
    instance
        .map(|plugin| &plugin.instance)
        .ok_or_else(|| Error::invalid("plugin is NULL"))
}

/// # Safety
/// `string` is NULL or points to a string that ends in NUL and outlives the call.
unsafe fn text<'a>(string: *const c_char, what: &str, limit: usize) -> Result<&'a str> {
    if string.is_null() {
        return Err(Error::invalid(format!("{what} is NULL")));
    }
    // SAFETY: as this function's own contract.
    let string = unsafe { CStr::from_ptr(string) };
    if string.count_bytes() > limit {
        let why = format!("{what} is longer than {limit} bytes");
        return Err(Error::invalid(why));
    }
    string
        .to_str()
        .map_err(|_| Error::invalid(format!("{what} is not UTF-8")))
}

fn access_level(access: i32) -> Result<Access> {
    match access {
        SYSADM_IOCAGE_ACCESS_READ => Ok(Access::Read),
        SYSADM_IOCAGE_ACCESS_FULL => Ok(Access::Full),
        _ => Err(Error::invalid(format!(
            "access is {access}, neither READ (0) nor FULL (1)"
        ))),
    }
}

/// Answers, whatever happens, and tells the status.
fn reply_text(status: Option<&mut i32>, answer: impl FnOnce() -> Result<Reply>) -> *mut c_char {
    let reply = guarded(answer).unwrap_or_else(|error| refusal(&error));
    if let Some(status) = status {
        *status = reply.status as i32;
    }
    c_string(reply.to_json())
}

/// The reply to a call whose arguments were wrong, or that met a fault of the library.
fn refusal(error: &Error) -> Reply {
    let status = match error.code {
        Code::Failed => Status::Internal,
        _ => Status::BadRequest,
    };
    Reply::refusal(status, &error.message)
}

/// Calls `work`; a panic becomes an error.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    // Nothing is left half done by a panic: what is behind locks is whole at any time.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<&str>()
            .map(|text| text.to_string())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Err(Error::new(
            Code::Failed,
            format!("a fault of the library: {what}"),
        ))
    })
}

/// A string for the caller. A NUL, which no JSON text has, would end it early.
fn c_string(text: String) -> *mut c_char {
    CString::new(text.replace('\0', " "))
        .unwrap_or_default()
        .into_raw()
}
