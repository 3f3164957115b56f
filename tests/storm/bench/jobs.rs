//! Jobs: how they go on, who sees to their ends, and whether they change what is their own.

use super::super::picture::Jail;
use super::*;

impl Bench {
    fn living(&self, index: usize) -> Option<usize> {
        let living: Vec<usize> = (0..self.jobs.len())
            .filter(|at| self.jobs[*at].lives())
            .collect();
        (!living.is_empty()).then(|| living[index % living.len()])
    }

    /// Lets a job go on, or kills it.
    pub(super) fn advance(&mut self, index: usize, steps: Option<usize>) -> Outcome {
        match self.living(index) {
            Some(at) => self.advance_this(at, steps),
            None => Ok(()),
        }
    }

    /// A job that has nothing to do has ended at once where it is simulated, and waits in the real world.
    pub fn keep_up_with(&mut self, other: &Bench) -> Outcome {
        for (at, one) in other.jobs.iter().enumerate() {
            if !one.lives() && self.jobs.get(at).is_some_and(Started::lives) {
                self.advance_this(at, Some(usize::MAX))?;
            }
        }
        Ok(())
    }

    fn advance_this(&mut self, at: usize, steps: Option<usize>) -> Outcome {
        let job = Arc::clone(&self.jobs[at].job);
        let ended = self.ended_of(at);
        match steps {
            Some(steps) => job.go(steps),
            None => job.kill(),
        }
        let event = match job.is_done() {
            true => self.settle(at, ended)?,
            false => None,
        };
        self.judge_job(at, event.as_ref())
    }

    /// How many ends of jobs its host program has heard of.
    fn ended_of(&self, at: usize) -> usize {
        let desk = &self.clients[self.jobs[at].client].desk;
        desk.ended.lock().unwrap().len()
    }

    /// Waits until the library has seen to the end of a job, where somebody watches it.
    fn settle(&mut self, at: usize, ended: usize) -> Outcome<Option<Value>> {
        let (client, id) = (self.jobs[at].client, self.jobs[at].id.clone());
        let job = Arc::clone(&self.jobs[at].job);
        if job.is_abandoned.load(Ordering::SeqCst) {
            return Ok(None);
        }
        if self.clients[client].desk.has_dispatcher {
            return Ok(self.settle_queued(at));
        }
        let desk = Arc::clone(&self.clients[client].desk);
        let all = desk.ended.lock().unwrap();
        let (all, waited) = desk
            .came
            .wait_timeout_while(all, SOON, |all| all.len() <= ended)
            .unwrap();
        if waited.timed_out() {
            return Err(format!("nobody says that job {id} has ended"));
        }
        self.jobs[at].is_settled = true;
        let event = all.iter().skip(ended).find(|(other, _)| *other == id);
        Ok(event.map(|(_, event)| event.clone()))
    }

    /// A dispatcher tells the library of the end of a job.
    fn settle_queued(&mut self, at: usize) -> Option<Value> {
        let (client, id) = (self.jobs[at].client, self.jobs[at].id.clone());
        let job = Arc::clone(&self.jobs[at].job);
        let command = format!("iocage {}", job.words.join(" "));
        let log = json!({
            "state": "finished", "cmd_list": [command.clone()], "current_cmd": command.clone(),
            command.clone(): job.output.lock().unwrap().clone(),
            format!("return_codes/{command}"): job.code().unwrap_or(1).to_string(),
        });
        let instance = self.clients[client].instance.as_ref()?;
        let event = instance
            .progress(&id, Some(&log.to_string()))
            .ok()
            .flatten()?;
        // One whose host program was killed since is seen to by whoever makes the next change.
        match self.has_verdict(&id) {
            true => self.jobs[at].is_settled = true,
            false => job.abandon(),
        }
        serde_json::from_str(&event).ok()
    }

    fn record(&self, id: &str) -> Option<Value> {
        let run = self.world.configuration().run_directory();
        let path = run.join("jobs").join(format!("{id}.json"));
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Whether a job is judged, or is within a moment.
    fn has_verdict(&self, id: &str) -> bool {
        let deadline = Instant::now() + MOMENT;
        loop {
            let record = self.record(id);
            if record.is_none_or(|record| !record["verdict"].is_null()) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Whether what a job has changed is its own, and what is said of it is so.
    fn judge_job(&mut self, at: usize, event: Option<&Value>) -> Outcome {
        let after = self.world.picture();
        let changes = self.now.changes(&after);
        let id = self.jobs[at].id.clone();
        self.tell(|| format!("  job {id}: {changes:?} {event:?}"));
        let started = &self.jobs[at];
        // Somebody has made a template of its jail, or a jail of its template, or another pool active.
        let now = self.now.jails();
        let is_elsewhere = |before: &Jail| {
            let mut named = now.iter().filter(|one| one.name == before.name);
            started.names.contains(&before.name) && named.any(|one| one.family != before.family)
        };
        let is_moved = started.before.active != self.now.active
            || started.before.jails().iter().any(is_elsewhere);
        if !is_moved {
            for change in &changes {
                if !started.rules.iter().any(|rule| rule.allows(change)) {
                    return Err(format!(
                        "job {} ({}) has done {change:?}",
                        started.id,
                        started.job.words.join(" ")
                    ));
                }
                let was_there = started
                    .before
                    .snapshots
                    .get(&change.what)
                    .map(|one| one.guid);
                let is_now = self.now.snapshots.get(&change.what).map(|one| one.guid);
                if change.kind == "snapshot-" && was_there.is_some() && was_there == is_now {
                    return Err(format!(
                        "job {} has destroyed {}, which was there before",
                        started.id, change.what
                    ));
                }
            }
        }
        if let Some(event) = event {
            let word = started.job.words.first().cloned().unwrap_or_default();
            count(
                &format!("job {word}"),
                &format!("success {}", event["success"]),
            );
        }
        let lie = event
            .filter(|event| event["success"] == "true" && !is_moved)
            .and_then(|event| {
                let lie = what_is_missing(&started.job.words, &after)?;
                Some(format!("job {} says {event}, but {lie}", started.id))
            });
        if let Some(lie) = lie {
            return Err(lie);
        }
        self.now = after;
        Ok(())
    }

    /// Notes the jobs that were started by a request.
    pub(super) fn note_jobs(
        &mut self,
        client: usize,
        first: usize,
        before: &Picture,
        answer: Option<&Value>,
    ) {
        let ids = answer.map(|answer| &answer["started_dispatcher_id"]);
        let ids: Vec<String> = match ids {
            Some(Value::String(id)) => vec![id.clone()],
            Some(Value::Array(ids)) => ids
                .iter()
                .filter_map(|id| id.as_str().map(String::from))
                .collect(),
            _ => Vec::new(),
        };
        let jobs: Vec<Arc<Job>> = self.world.jobs.lock().unwrap()[first..].to_vec();
        for (at, job) in jobs.into_iter().enumerate() {
            let (rules, names) = rules_of_job(&job.words, before);
            self.jobs.push(Started {
                id: ids
                    .get(at)
                    .cloned()
                    .unwrap_or_else(|| format!("unnamed-{}", job.number)),
                client,
                before: before.clone(),
                rules,
                names,
                is_settled: false,
                is_lost: false,
                job,
            });
        }
        // So that the library has seen that its dispatcher knows of it.
        if self.clients[client].desk.has_dispatcher && !ids.is_empty() {
            if let Some(instance) = &self.clients[client].instance {
                instance.evaluate(
                    r#"{"action": "stopjob", "job": "sysadm_iocage_none"}"#,
                    Access::Full,
                );
            }
        }
    }

    /// Waits until the library has seen to the end of jobs that had nothing to do.
    pub(super) fn wait_for_short_ones(
        &mut self,
        client: usize,
        first: usize,
        ended: usize,
    ) -> Outcome {
        let is_short = |one: &Started| one.job.number as usize >= first && !one.lives();
        let short: Vec<usize> = (0..self.jobs.len())
            .filter(|at| is_short(&self.jobs[*at]))
            .collect();
        if self.clients[client].desk.has_dispatcher {
            for at in short {
                self.settle_queued(at);
            }
            return Ok(());
        }
        let desk = Arc::clone(&self.clients[client].desk);
        let all = desk.ended.lock().unwrap();
        let few = |all: &mut Vec<(String, Value)>| all.len() < ended + short.len();
        let (all, waited) = desk.came.wait_timeout_while(all, SOON, few).unwrap();
        drop(all);
        if waited.timed_out() {
            return Err("nobody says that a short job has ended".into());
        }
        for at in short {
            self.jobs[at].is_settled = true;
        }
        Ok(())
    }

    /// Waits for what is done in the background for a job whose host program was killed.
    pub(super) fn settle_orphans(&mut self, action: &str) {
        if LOOKS.contains(&action) && action != "stopjob" {
            return;
        }
        for at in 0..self.jobs.len() {
            let one = &self.jobs[at];
            if one.is_settled || one.lives() || !one.job.is_abandoned.load(Ordering::SeqCst) {
                continue;
            }
            let id = self.jobs[at].id.clone();
            self.jobs[at].is_settled = self.has_verdict(&id);
        }
    }
}
