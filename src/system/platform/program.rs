//! A program that is ready to be started, by whatever means.

use std::ffi::{c_char, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// The file mode mask that every program gets.
pub const MASK: libc::mode_t = 0o022;

/// A program that is ready to be started.
pub struct Prepared {
    /// Ends in a null pointer, as the next one does.
    argv: Vec<*mut c_char>,
    environment: Vec<*mut c_char>,
    /// What the pointers point to.
    _strings: Vec<CString>,
    /// What become its descriptors 0, 1, 2 and so on. Each has a higher number here than there,
    /// so that none is overwritten before it is moved.
    descriptors: Vec<OwnedFd>,
}

impl Prepared {
    pub fn new(
        argv: &[String],
        environment: &[(String, String)],
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<Self> {
        if argv.is_empty() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let variables = environment
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let strings = argv.iter().cloned().chain(variables).map(CString::new);
        let strings = strings.collect::<Result<Vec<CString>, _>>()?;
        let (arguments, variables) = strings.split_at(argv.len());
        let pointers = |strings: &[CString]| {
            let pointers = strings.iter().map(|string| string.as_ptr().cast_mut());
            pointers.chain([std::ptr::null_mut()]).collect()
        };
        let higher = descriptors
            .iter()
            .map(|descriptor| duplicate(*descriptor, descriptors.len()));
        Ok(Prepared {
            argv: pointers(arguments),
            environment: pointers(variables),
            descriptors: higher.collect::<io::Result<_>>()?,
            _strings: strings,
        })
    }

    pub fn path(&self) -> *const c_char {
        self.argv[0]
    }

    pub fn argv(&self) -> *const *mut c_char {
        self.argv.as_ptr()
    }

    pub fn environment(&self) -> *const *mut c_char {
        self.environment.as_ptr()
    }

    /// How many descriptors it gets: the number of the first that it does not.
    pub fn count(&self) -> libc::c_int {
        self.descriptors.len() as libc::c_int
    }

    /// Each descriptor here, with the number that it gets there.
    pub fn descriptors(&self) -> impl Iterator<Item = (libc::c_int, libc::c_int)> + '_ {
        (self.descriptors.iter().map(AsRawFd::as_raw_fd)).zip(0..)
    }
}

/// The same descriptor with another number, not below `least`, that no program inherits.
pub fn duplicate(descriptor: BorrowedFd<'_>, least: usize) -> io::Result<OwnedFd> {
    let (from, least) = (descriptor.as_raw_fd(), least as libc::c_int);
    // SAFETY: fcntl with F_DUPFD_CLOEXEC takes no pointers.
    let number = unsafe { libc::fcntl(from, libc::F_DUPFD_CLOEXEC, least) };
    if number == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
