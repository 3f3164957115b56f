//! One run for requests that are the same and come at the same time.
//!
//! A hundred clients that poll one list would each start the same commands. Here all requests that
//! come while one is being answered share the run after it. That run begins when they are all
//! there, so no answer is older than its request.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::error::{Code, Error, Result};
use crate::host;
use crate::sync::lock;

/// The requests of one instance that are being answered, each with a `T`.
pub struct Sharing<T> {
    requests: Mutex<HashMap<String, Request<T>>>,
    changed: Condvar,
}

impl<T> Default for Sharing<T> {
    fn default() -> Self {
        Sharing {
            requests: Mutex::default(),
            changed: Condvar::default(),
        }
    }
}

/// A request that somebody is answering or waits to answer.
struct Request<T> {
    running: bool,
    /// The run after the one that is under way.
    next: Option<Arc<Run<T>>>,
}

impl<T> Default for Request<T> {
    fn default() -> Self {
        Request {
            running: false,
            next: None,
        }
    }
}

impl<T> Request<T> {
    fn is_next(&self, run: &Arc<Run<T>>) -> bool {
        self.next
            .as_ref()
            .is_some_and(|next| Arc::ptr_eq(next, run))
    }
}

type Run<T> = OnceLock<Result<T>>;

impl<T: Clone> Sharing<T> {
    /// Answers `request` by `work`, or by the work of another who asks the same.
    pub fn answer(&self, request: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        // A request from within a callback may be what the others wait for.
        if host::in_callback() {
            return work();
        }
        let mut requests = self.lock();
        let known = requests.entry(request.into()).or_default();
        let run: Arc<Run<T>> = Arc::clone(known.next.get_or_insert_default());
        // The first of the waiting requests to wake begins the run for them all.
        loop {
            if let Some(answer) = run.get() {
                return answer.clone();
            }
            match requests.get_mut(request) {
                Some(known) if !known.running && known.is_next(&run) => {
                    known.running = true;
                    known.next = None;
                    break;
                }
                _ => requests = self.wait(requests),
            }
        }
        drop(requests);
        let running = Running {
            sharing: self,
            request,
            run,
        };
        let answer = work();
        let _ = running.run.set(answer.clone());
        answer
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Request<T>>> {
        lock(&self.requests)
    }

    fn wait<'a>(
        &self,
        requests: MutexGuard<'a, HashMap<String, Request<T>>>,
    ) -> MutexGuard<'a, HashMap<String, Request<T>>> {
        self.changed
            .wait(requests)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run that is under way. However it ends, those who wait for it get an answer.
struct Running<'a, T: Clone> {
    sharing: &'a Sharing<T>,
    request: &'a str,
    run: Arc<Run<T>>,
}

impl<T: Clone> Drop for Running<'_, T> {
    fn drop(&mut self) {
        self.run
            .get_or_init(|| Err(Error::new(Code::Failed, "a fault of the library")));
        let mut requests = self.sharing.lock();
        if let Some(known) = requests.get_mut(self.request) {
            known.running = false;
            // If a command hung until its limit, those who waited have waited long enough: it hung
            // after they had asked, and may hang again.
            if let Some(Err(error)) = self.run.get().filter(|answer| timed_out(answer)) {
                if let Some(next) = known.next.take() {
                    let _ = next.set(Err(error.clone()));
                }
            }
            if known.next.is_none() {
                requests.remove(self.request);
            }
        }
        self.sharing.changed.notify_all();
    }
}

fn timed_out<T>(answer: &Result<T>) -> bool {
    matches!(answer, Err(error) if error.code == Code::Timeout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::{Answer, Object};
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    #[test]
    fn those_who_come_meanwhile_share_the_next_run_and_nobody_gets_an_older_answer() {
        let sharing = Sharing::default();
        let (runs, clock) = (AtomicU32::new(0), AtomicU32::new(0));
        let ask = || {
            let asked = clock.fetch_add(1, Ordering::SeqCst);
            let answer = sharing.answer("list", || {
                runs.fetch_add(1, Ordering::SeqCst);
                let began = clock.load(Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(20));
                Ok(Object::new().with("began", began.to_string()))
            });
            let answer = answer.unwrap();
            let Some(Answer::Text(began)) = answer.get("began") else {
                panic!("no answer")
            };
            assert!(began.parse::<u32>().unwrap() > asked, "an older answer");
        };
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| (0..20).for_each(|_| ask()));
            }
        });
        let runs = runs.into_inner();
        assert!((20..=160).contains(&runs), "{runs} runs for 320 requests");
        assert!(sharing.lock().is_empty());
    }

    #[test]
    fn those_who_waited_for_a_command_that_hung_do_not_wait_for_it_again() {
        let sharing = Sharing::<Object>::default();
        let runs = AtomicU32::new(0);
        let hangs = || {
            sharing.answer("list", || {
                runs.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(300));
                Err(Error::new(Code::Timeout, "zfs list: timeout"))
            })
        };
        std::thread::scope(|scope| {
            let first = scope.spawn(hangs);
            std::thread::sleep(Duration::from_millis(100));
            let others: Vec<_> = (0..8).map(|_| scope.spawn(hangs)).collect();
            for thread in others.into_iter().chain([first]) {
                assert_eq!(thread.join().unwrap().unwrap_err().code, Code::Timeout);
            }
        });
        assert_eq!(runs.into_inner(), 1);
        assert_eq!(
            sharing.answer("list", || Ok(Object::new())),
            Ok(Object::new())
        );
    }

    #[test]
    fn a_panic_is_an_error_for_those_who_wait_and_nobody_hangs() {
        let sharing = Sharing::default();
        let panics = || {
            sharing.answer("list", || {
                std::thread::sleep(Duration::from_millis(50));
                panic!("on purpose")
            })
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(panics)).collect();
            for thread in threads {
                assert!(thread.join().map_or(true, |answer| answer.is_err()));
            }
        });
        assert_eq!(
            sharing.answer("list", || Ok(Object::new())),
            Ok(Object::new())
        );
    }
}
