//! Commands that run, in the foreground of a call or on their own.
//!
//! Every command is a job from its start: its output is drained by a thread of its own into bounded memory, and
//! another thread waits for its end, holds its timeout and says so exactly once. A call only follows
//! its job for a while; what is still running then goes on in the background under its id.
//!
//! INVARIANT: no job outlives [`Jobs::kill_all`] or the table itself.

mod capture;
mod drain;
mod job;
pub(crate) mod report;
mod spool;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::cancel::Cancel;
use crate::ending::CommandEnding;
use crate::port::{Exit, Progress, Running};
use crate::tools::error::ToolError;
use crate::tools::limits::{
    JOBS_ENDED_MAX, JOBS_RUNNING_MAX, PROGRESS_INTERVAL, PROGRESS_LINE_MAX_CHARS, WAIT_SLICE,
};
pub(crate) use job::{Glance, Job};
pub(crate) use spool::Spooler;

/// Name of a job within its task: `job-1`, `job-2`, …
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct JobId(String);

impl JobId {
    fn numbered(number: u64) -> Self {
        Self(format!("job-{number}"))
    }

    /// The id as text.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a job ended, for whoever settles its cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JobEnd {
    /// Why it is over.
    pub(crate) ending: CommandEnding,
    /// Status or signal; `None` when the driver lost it.
    pub(crate) exit: Option<Exit>,
    /// From its start to its end.
    pub(crate) duration: Duration,
    /// Bytes it put out, both streams together.
    pub(crate) bytes: u64,
}

/// Limits of a table of jobs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobLimits {
    /// How long a call follows its command before it becomes a background job.
    pub(crate) foreground: Duration,
    /// Time between progress messages.
    pub(crate) progress: Duration,
    /// Jobs that may run at once.
    pub(crate) running_max: usize,
    /// Ended jobs whose output is kept.
    pub(crate) ended_max: usize,
}

impl Default for JobLimits {
    fn default() -> Self {
        Self {
            foreground: Duration::from_secs(nucleus_wire::limits::CALL_WAIT_MAX_S),
            progress: PROGRESS_INTERVAL,
            running_max: JOBS_RUNNING_MAX,
            ended_max: JOBS_ENDED_MAX,
        }
    }
}

/// The jobs of one task.
#[derive(Debug)]
pub(crate) struct Jobs {
    limits: JobLimits,
    spooler: Option<Arc<Spooler>>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    reserved: usize,
    closed: bool,
    jobs: BTreeMap<u64, Arc<Job>>,
}

impl Jobs {
    /// An empty table. Without a spooler only the newest output of each job is kept.
    #[must_use]
    pub(crate) fn new(limits: JobLimits, spooler: Option<Spooler>) -> Self {
        Self { limits, spooler: spooler.map(Arc::new), table: Mutex::new(Table::default()) }
    }

    /// Calls `then` once the job has ended: at once if it has, and also when it is killed. A job that is no
    /// longer in the table has ended and been reported.
    pub(crate) fn on_end(&self, id: &JobId, then: Box<dyn FnOnce(JobEnd) + Send>) {
        match self.find(id.as_str()) {
            Ok(job) => job.on_end(then),
            Err(_) => then(JobEnd {
                ending: CommandEnding::Lost,
                exit: None,
                duration: Duration::ZERO,
                bytes: 0,
            }),
        }
    }

    /// Kills every job and waits until all are gone. No job can start afterwards.
    pub(crate) fn kill_all(&self) {
        let jobs: Vec<Arc<Job>> = {
            let mut table = self.lock();
            table.closed = true;
            table.jobs.values().cloned().collect()
        };
        for job in &jobs {
            job.stop(CommandEnding::TaskEnded);
        }
        for job in &jobs {
            job.wait_end();
        }
    }

    pub(crate) fn limits(&self) -> JobLimits {
        self.limits
    }

    /// A place for one more job, taken before anything is started.
    pub(crate) fn reserve(&self) -> Result<Slot<'_>, ToolError> {
        let mut table = self.lock();
        if table.closed {
            return Err(ToolError::Cancelled);
        }
        if table.running().saturating_add(table.reserved) >= self.limits.running_max {
            return Err(ToolError::JobLimit { limit: self.limits.running_max });
        }
        table.reserved = table.reserved.saturating_add(1);
        Ok(Slot { jobs: self })
    }

    pub(crate) fn find(&self, id: &str) -> Result<Arc<Job>, ToolError> {
        let number = id.strip_prefix("job-").and_then(|digits| digits.parse::<u64>().ok());
        let table = self.lock();
        number
            .and_then(|number| table.jobs.get(&number))
            .filter(|job| job.id().as_str() == id)
            .cloned()
            .ok_or_else(|| ToolError::NoSuchJob { job: id.to_owned() })
    }

    /// The jobs that were left to run on, oldest first.
    pub(crate) fn background(&self) -> Vec<Arc<Job>> {
        let jobs: Vec<Arc<Job>> = self.lock().jobs.values().cloned().collect();
        jobs.into_iter().filter(|job| job.is_background()).collect()
    }

    /// Follows a job until it ends, `patience` is over or the call is cancelled, which kills it. True when it
    /// has ended.
    pub(crate) fn follow(
        &self,
        job: &Job,
        patience: Duration,
        cancel: &Cancel,
        progress: &dyn Progress,
    ) -> bool {
        let begun = Instant::now();
        let mut told = Instant::now();
        loop {
            let left = patience.saturating_sub(begun.elapsed());
            if job.wait_end_for(WAIT_SLICE.min(left)) {
                return true;
            }
            if cancel.is_cancelled() {
                job.stop(CommandEnding::Cancelled);
                job.wait_end();
                return true;
            }
            if left.is_zero() {
                return false;
            }
            self.tell(job, &mut told, progress);
        }
    }

    /// Waits for news of a job (or, with `until_end`, for its end), at most `patience`. A call that is taken back stops
    /// waiting; the job goes on.
    ///
    /// # Errors
    /// [`ToolError::Cancelled`].
    pub(crate) fn await_news(
        &self,
        job: &Job,
        (offset, until_end): (Option<u64>, bool),
        patience: Duration,
        (cancel, progress): (&Cancel, &dyn Progress),
    ) -> Result<(), ToolError> {
        let begun = Instant::now();
        let mut told = begun;
        loop {
            let left = patience.saturating_sub(begun.elapsed());
            let slice = WAIT_SLICE.min(left);
            let come = if until_end {
                job.wait_end_for(slice)
            } else {
                job.wait_output_for(offset, slice)
            };
            if come || left.is_zero() {
                return Ok(());
            }
            if cancel.is_cancelled() {
                return Err(ToolError::Cancelled);
            }
            self.tell(job, &mut told, progress);
        }
    }

    /// Tells whoever waits how far the job is, now and then.
    fn tell(&self, job: &Job, told: &mut Instant, progress: &dyn Progress) {
        if told.elapsed() >= self.limits.progress {
            *told = Instant::now();
            progress.report(&report::progress(job, PROGRESS_LINE_MAX_CHARS));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.kill_all();
    }
}

impl Table {
    fn running(&self) -> usize {
        self.jobs.values().filter(|job| !job.ended()).count()
    }

    /// Forgets the oldest ended jobs beyond `keep`.
    fn forget(&mut self, keep: usize) {
        let ended: Vec<u64> =
            self.jobs.iter().filter(|(_, job)| job.ended()).map(|(number, _)| *number).collect();
        for number in ended.iter().take(ended.len().saturating_sub(keep)) {
            self.jobs.remove(number);
        }
    }
}

/// A place in the table, given back when nothing was started.
pub(crate) struct Slot<'a> {
    jobs: &'a Jobs,
}

impl Slot<'_> {
    /// Makes a job of what was started. Kills it when its threads cannot be made or the task is over.
    pub(crate) fn adopt(
        self,
        label: String,
        running: Box<dyn Running>,
        timeout: Duration,
    ) -> Result<Arc<Job>, ToolError> {
        let number = {
            let mut table = self.jobs.lock();
            table.last = table.last.saturating_add(1);
            table.last
        };
        let job = {
            let spooler = self.jobs.spooler.clone();
            Job::start(JobId::numbered(number), label, running, timeout, spooler)?
        };
        let closed = {
            let mut table = self.jobs.lock();
            table.jobs.insert(number, Arc::clone(&job));
            table.forget(self.jobs.limits.ended_max);
            table.closed
        };
        if closed {
            job.stop(CommandEnding::TaskEnded);
        }
        Ok(job)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut table = self.jobs.lock();
        table.reserved = table.reserved.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests;
