//! A host program as the library sees it.

use std::sync::{Arc, Condvar, Mutex};

use serde_json::Value;
use sysadm_iocage::host::{Host, Level};

use super::job::Job;
use super::world::World;

/// A host program: its log, and its dispatcher where it has one.
pub struct Desk {
    pub world: Arc<World>,
    pub has_dispatcher: bool,
    pub queued: Mutex<Vec<(String, Arc<Job>)>>,
    pub ended: Mutex<Vec<(String, Value)>>,
    pub came: Condvar,
}

pub struct At(pub Arc<Desk>);

impl Host for At {
    fn queue_process(&self, id: &str, argv: &[String]) -> Option<bool> {
        if !self.0.has_dispatcher {
            return None;
        }
        let job = self.0.world.start_job(&argv[1..], None, &[]);
        self.0.queued.lock().unwrap().push((id.into(), job));
        Some(true)
    }

    fn has_dispatcher(&self) -> bool {
        self.0.has_dispatcher
    }

    fn is_job_active(&self, id: &str) -> Option<bool> {
        if !self.0.has_dispatcher {
            return None;
        }
        let queued = self.0.queued.lock().unwrap();
        Some(
            queued
                .iter()
                .any(|(other, job)| other == id && !job.is_done()),
        )
    }

    fn log(&self, _: Level, _: &str) -> bool {
        true
    }

    fn job_ended(&self, id: &str, event: &str) {
        let event = serde_json::from_str(event).unwrap_or_default();
        self.0.ended.lock().unwrap().push((id.into(), event));
        self.0.came.notify_all();
    }
}
