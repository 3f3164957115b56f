//! The world as the library has it: its commands, and the trouble that they meet.

use std::any::Any;
use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::Arc;
use std::time::Duration;

use sysadm_iocage::configuration::Program;
use sysadm_iocage::error::{Code, Error, Result};
use sysadm_iocage::system::{Child, Mount, Order, Output, RealHost, Runner};

use super::job::{RealWatched, Watched};
use super::operations::Wrong;
use super::world::World;

/// What a thread of the host program ends with where that is killed.
pub struct HostKilled;

/// The world as an instance has it.
pub struct Eyes(pub Arc<World>);

impl Runner for Eyes {
    fn run(&self, order: &Order, limit: Duration, _: &AtomicBool) -> Result<Output> {
        let world = &self.0;
        let words = &order.argv[1..];
        let timeout = |lingers| {
            let message = format!("{}: timeout after {} s", order.shown, limit.as_secs_f32());
            Error {
                lingers,
                ..Error::new(Code::Timeout, message)
            }
        };
        let output = |(exit_code, stdout, stderr)| Output {
            command: order.shown.clone(),
            exit_code,
            stdout,
            stderr,
        };
        let execute = |budget| output(world.execute(order, budget));
        let trouble = world.next_trouble(order);
        let may_change = World::changes(order.program, words);
        let failed = || output((1, String::new(), "internal error: out of memory\n".into()));
        let done = match trouble {
            None => Ok(execute(usize::MAX)),
            Some(Wrong::Meanwhile(what)) => {
                let before = world.picture();
                world.by_hand(&what);
                let after = world.picture();
                world.plan.lock().unwrap().meanwhile.extend([before, after]);
                Ok(execute(usize::MAX))
            }
            Some(Wrong::Fails) => Ok(failed()),
            Some(Wrong::FailsAfter) => Ok(Output {
                exit_code: 1,
                stderr: "internal error: out of memory\n".into(),
                ..execute(usize::MAX)
            }),
            // Nobody can do without what tells how the host is.
            Some(Wrong::Lies) if !may_change => Ok(execute(usize::MAX)),
            Some(Wrong::Lies) => {
                world.plan.lock().unwrap().lied = Some(order.shown.clone());
                Ok(output((0, String::new(), String::new())))
            }
            Some(Wrong::Hangs) => Err(timeout(false)),
            Some(Wrong::HangsAfter) => {
                execute(usize::MAX);
                Err(timeout(false))
            }
            Some(Wrong::Lingers) => {
                if may_change {
                    world.plan.lock().unwrap().later.push(order.clone());
                }
                Err(timeout(true))
            }
            Some(Wrong::Dies(steps)) => match order.program {
                Program::Iocage if !world.is_real() => Ok(Output {
                    exit_code: 137,
                    ..execute(steps)
                }),
                _ => Ok(output((137, String::new(), String::new()))),
            },
            Some(Wrong::Killed) => {
                let killed: Box<dyn Any + Send> = Box::new(HostKilled);
                resume_unwind(killed)
            }
        };
        if may_change {
            world.note_marks();
        }
        done
    }

    fn spawn(&self, order: &Order, output: &File, inherited: &[BorrowedFd<'_>]) -> Result<Child> {
        if self.0.is_real() {
            let (job, order) = self.0.held_job(order);
            let child = RealHost.spawn(&order, output, inherited)?;
            return Ok(Child::new(RealWatched(job, child)));
        }
        let output = output.try_clone().ok();
        let job = self.0.start_job(&order.argv[1..], output, inherited);
        Ok(Child::new(Watched::new(job, Arc::clone(&self.0))))
    }

    fn mount_table(&self) -> io::Result<Vec<Mount>> {
        Ok(self.0.mount_table())
    }

    fn unmount(&self, place: &Path) -> io::Result<()> {
        if self.0.is_real() {
            return RealHost.unmount(place);
        }
        match self.0.host.lock().unwrap().unmount(place) {
            true => Ok(()),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn log(&self, _: i32, _: &str) {}

    /// A thread for each look would be the most of a storm's time.
    fn has_threads(&self) -> bool {
        false
    }
}
