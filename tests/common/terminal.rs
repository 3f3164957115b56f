//! A program on a terminal of its own.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::eventually;

pub struct Terminal {
    child: Child,
    master: File,
    seen: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Starts a program on a terminal that is so many columns wide.
    pub fn start(command: &mut Command, columns: u16) -> Self {
        let (mut master, mut slave) = (0, 0);
        let size = libc::winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        // SAFETY: the pointers are those of the two descriptors and of the size.
        let (master, slave) = unsafe {
            let opened = libc::openpty(
                &raw mut master,
                &raw mut slave,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                (&raw const size).cast_mut(),
            );
            assert_eq!(opened, 0);
            // Or the program holds its own terminal open.
            libc::fcntl(master, libc::F_SETFD, libc::FD_CLOEXEC);
            (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave))
        };
        command
            .env("TERM", "xterm")
            .env_remove("COLUMNS")
            .env_remove("LINES")
            .env_remove("NO_COLOR")
            .stdin(slave.try_clone().unwrap())
            .stdout(slave.try_clone().unwrap())
            .stderr(slave);
        // SAFETY: both calls may be made between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY as _, 0);
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        // The slave's descriptors in the command keep the terminal open.
        command
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let master = File::from(master);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (mut from, to) = (master.try_clone().unwrap(), Arc::clone(&seen));
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // At the end Linux says that there is an error.
            while let Ok(read @ 1..) = from.read(&mut bytes) {
                to.lock().unwrap().extend_from_slice(&bytes[..read]);
            }
        });
        Terminal {
            child,
            master,
            seen,
            reader: Some(reader),
        }
    }

    /// What the terminal got so far.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }

    pub fn wait_for(&self, text: &str) {
        eventually(text, || self.shown().contains(text));
    }

    /// What a key sends.
    pub fn press(&mut self, key: &[u8]) {
        self.master.write_all(key).unwrap();
    }

    pub fn signal(&self, number: i32) {
        // SAFETY: the process is a child that nobody has waited for.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, number) }, 0);
    }

    /// Stops the program, and gives how much the terminal got until then.
    pub fn stop(&self) -> usize {
        self.signal(libc::SIGSTOP);
        let (process, mut status) = (self.child.id() as i32, 0);
        // SAFETY: the pointer is that of the status.
        let stopped = unsafe { libc::waitpid(process, &raw mut status, libc::WUNTRACED) };
        assert!(stopped == process && libc::WIFSTOPPED(status));
        let mut before = 0;
        eventually("all is read that it has written", || {
            let had = std::mem::replace(&mut before, self.shown().len());
            std::thread::sleep(Duration::from_millis(500));
            had == self.shown().len()
        });
        before
    }

    /// How the program ended, and all that the terminal got.
    pub fn end(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        (status, self.shown())
    }
}

/// What a program exits with, or 128 and the signal that ended it, as in a shell.
pub fn code(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap())
}

/// A text without what a terminal obeys.
pub fn without_escapes(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' => {
                // `ESC [`, numbers, and a letter.
                assert_eq!(rest.next(), Some('['), "{text:?}");
                let end = rest.find(|c| !c.is_ascii_digit() && *c != ';');
                assert!(end.is_some_and(|c| "mAJK".contains(c)), "{text:?}");
            }
            '\r' => {}
            _ => plain.push(c),
        }
    }
    plain
}

/// How many columns a line takes that has Latin and Chinese letters.
pub fn width(line: &str) -> usize {
    let of = |c: char| match c {
        '\u{300}'..='\u{36f}' => 0,
        '\u{4e00}'..='\u{9fff}' => 2,
        _ => 1,
    };
    line.chars().map(of).sum()
}
