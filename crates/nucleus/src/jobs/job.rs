//! One command that runs.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use super::capture::{Capture, Part};
use super::drain::{Stream, drain};
use super::spool::{Spooler, Transcript};
use super::{JobEnd, JobId};
use crate::ending::CommandEnding;
use crate::port::{Exit, Running};
use crate::tools::error::ToolError;
use crate::tools::limits::{DRAIN_GRACE, KILL_GRACE};
use crate::tools::text::torn;

const WAIT_MAX: Duration = Duration::from_secs(3600);
const STACK_BYTES: usize = 128 * 1024;

/// A command, its output so far and its end.
pub(crate) struct Job {
    id: JobId,
    /// What runs, for lists.
    label: String,
    started: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    running: Option<Arc<dyn Running>>,
    out: Capture,
    error: Capture,
    /// Both streams as they came.
    both: Transcript,
    /// Where `job_output` goes on when it is not told.
    cursor: u64,
    /// Its call was answered while it ran.
    background: bool,
    drained: bool,
    abandoned: bool,
    /// Why it is being killed, when it is.
    killing: Option<CommandEnding>,
    end: Option<JobEnd>,
    /// The thread that tells whoever waited for the end.
    telling: Option<ThreadId>,
    /// It has done so.
    told: bool,
    waiting: Vec<Box<dyn FnOnce(JobEnd) + Send>>,
}

/// A look at a job.
#[derive(Debug)]
pub(crate) struct Glance {
    /// How it ended; `None` while it runs.
    pub(crate) ending: Option<CommandEnding>,
    /// Its status, once it has one.
    pub(crate) exit: Option<Exit>,
    /// Time since its start, until its end.
    pub(crate) duration: Duration,
    /// Bytes it put out, both streams together.
    pub(crate) bytes: u64,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("id", &self.id)
            .field("ended", &self.ended())
            .finish_non_exhaustive()
    }
}

impl Job {
    /// Takes over what was just started, and kills it at `timeout`.
    pub(crate) fn start(
        id: JobId,
        label: String,
        mut running: Box<dyn Running>,
        timeout: Duration,
        spooler: Option<Arc<Spooler>>,
    ) -> Result<Arc<Self>, ToolError> {
        let (out, error) = (running.take_stdout(), running.take_stderr());
        let running: Arc<dyn Running> = Arc::from(running);
        let state = State {
            running: Some(Arc::clone(&running)),
            out: Capture::default(),
            error: Capture::default(),
            both: Transcript::new(spooler),
            cursor: 0,
            background: false,
            drained: false,
            abandoned: false,
            killing: None,
            end: None,
            telling: None,
            told: false,
            waiting: Vec::new(),
        };
        let job = Arc::new(Self {
            id,
            label,
            started: Instant::now(),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let begin = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let thread = thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
            thread.spawn(work).map(drop).map_err(|source| {
                running.kill();
                ToolError::io("start a thread for", "", source)
            })
        };
        let (drainer, supervisor) = (Arc::clone(&job), Arc::clone(&job));
        begin("job-drain", Box::new(move || drain(&drainer, out, error)))?;
        let watched = Arc::clone(&running);
        begin("job-wait", Box::new(move || supervisor.supervise(watched, timeout)))?;
        Ok(job)
    }

    pub(crate) fn id(&self) -> &JobId {
        &self.id
    }

    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// From here on it is followed by its id.
    pub(crate) fn detach(&self) {
        self.lock().background = true;
    }

    pub(crate) fn is_background(&self) -> bool {
        self.lock().background
    }

    /// Kills the process tree, unless it has ended or is being killed already.
    pub(crate) fn stop(&self, why: CommandEnding) {
        let running = {
            let mut state = self.lock();
            if state.end.is_some() {
                return;
            }
            state.killing.get_or_insert(why);
            state.running.clone()
        };
        if let Some(running) = running {
            running.kill();
        }
    }

    /// Calls `then` at the end, at once if that has come.
    pub(crate) fn on_end(&self, then: Box<dyn FnOnce(JobEnd) + Send>) {
        let mut state = self.lock();
        let Some(end) = state.end else {
            state.waiting.push(then);
            return;
        };
        drop(state);
        then(end);
    }

    pub(crate) fn ended(&self) -> bool {
        self.lock().end.is_some()
    }

    /// Waits for the end, and until every [`Self::on_end`] has returned. Within one of those it returns at once:
    /// whoever is told of the end may hold the last handle of the table.
    pub(crate) fn wait_end(&self) {
        while !self.wait_end_for(WAIT_MAX) {}
    }

    /// As [`Self::wait_end`], at most `timeout`; true when it has come.
    pub(crate) fn wait_end_for(&self, timeout: Duration) -> bool {
        let here = thread::current().id();
        self.wait_until(timeout, |state| state.told || state.telling == Some(here))
    }

    /// Waits for output behind `offset` (behind the cursor without one) or the end.
    pub(crate) fn wait_output_for(&self, offset: Option<u64>, timeout: Duration) -> bool {
        self.wait_until(timeout, |state| {
            state.end.is_some() || state.both.total() > offset.unwrap_or(state.cursor)
        })
    }

    /// Output from `offset` on; the cursor goes behind it. Without one it goes on at the cursor, with what memory holds:
    /// whoever follows a job wants its news. A character that has not wholly come yet is left for the next part.
    pub(crate) fn part(&self, offset: Option<u64>, max: usize) -> Part {
        let mut state = self.lock();
        let mut part = match offset {
            Some(offset) => state.both.part(offset, max),
            None => state.both.recent(state.cursor, max),
        };
        if state.end.is_none() || part.next < state.both.total() {
            let torn = torn(&part.bytes);
            part.bytes.truncate(part.bytes.len().saturating_sub(torn));
            part.next = part.next.saturating_sub(u64::try_from(torn).unwrap_or_default());
        }
        state.cursor = part.next;
        part
    }

    /// Every byte of its output can still be read by its place.
    pub(crate) fn is_whole(&self) -> bool {
        self.lock().both.is_whole()
    }

    /// Text of both streams, with whether any of it was dropped.
    pub(crate) fn output(&self) -> (String, String, bool) {
        let state = self.lock();
        let dropped = state.out.dropped() > 0 || state.error.dropped() > 0;
        (state.out.text(), state.error.text(), dropped)
    }

    /// The newest bytes of output.
    pub(crate) fn newest(&self, max: usize) -> Vec<u8> {
        self.lock().both.newest(max)
    }

    pub(crate) fn glance(&self) -> Glance {
        let state = self.lock();
        match state.end {
            Some(JobEnd { ending, exit, duration, bytes }) => {
                Glance { ending: Some(ending), exit, duration, bytes }
            }
            None => Glance {
                ending: None,
                exit: None,
                duration: self.started.elapsed(),
                bytes: state.bytes(),
            },
        }
    }

    pub(super) fn put(&self, stream: Stream, chunk: &[u8]) {
        let mut state = self.lock();
        match stream {
            Stream::Out => state.out.push(chunk),
            Stream::Error => state.error.push(chunk),
        }
        state.both.push(chunk);
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn drained(&self) {
        self.lock().drained = true;
        self.changed.notify_all();
    }

    pub(super) fn abandoned(&self) -> bool {
        self.lock().abandoned
    }

    /// Waits for the command, kills it when its time is over, and tells everybody.
    fn supervise(&self, running: Arc<dyn Running>, timeout: Duration) {
        let deadline = self.started.checked_add(timeout);
        let mut killed_at = None;
        let exit = loop {
            let left = deadline.map_or(WAIT_MAX, |at| at.saturating_duration_since(Instant::now()));
            if left.is_zero() && killed_at.is_none() {
                self.lock().killing.get_or_insert(CommandEnding::TimedOut);
            }
            if killed_at.is_none() && self.lock().killing.is_some() {
                running.kill();
                killed_at = Some(Instant::now());
            }
            let patience = match killed_at {
                Some(at) => KILL_GRACE.saturating_sub(at.elapsed()),
                None => left.min(WAIT_MAX),
            };
            match running.wait(patience) {
                Ok(Some(exit)) => break Ok(exit),
                Ok(None) if killed_at.is_some_and(|at: Instant| at.elapsed() >= KILL_GRACE) => {
                    break Err(CommandEnding::Lost);
                }
                Ok(None) => {}
                Err(error) => {
                    running.kill();
                    break Err(CommandEnding::of_error(&error));
                }
            }
        };
        let duration = self.started.elapsed();
        self.wait_until(DRAIN_GRACE, |state| state.drained);
        self.end(exit, duration);
    }

    fn end(&self, exit: Result<Exit, CommandEnding>, duration: Duration) {
        let (waiting, end, running) = {
            let mut state = self.lock();
            state.abandoned = true;
            let ending = match (state.killing, exit) {
                (_, Err(fault)) => fault,
                (Some(why), Ok(_)) => why,
                (None, Ok(exit)) => CommandEnding::Exited(exit),
            };
            let end = JobEnd { ending, exit: exit.ok(), duration, bytes: state.bytes() };
            state.end = Some(end);
            state.telling = Some(thread::current().id());
            (std::mem::take(&mut state.waiting), end, state.running.take())
        };
        // The driver's own clean-up happens before anybody is told that the process tree is gone.
        drop(running);
        for then in waiting {
            then(end);
        }
        self.lock().told = true;
        self.changed.notify_all();
    }

    fn wait_until(&self, timeout: Duration, done: impl Fn(&State) -> bool) -> bool {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, timeout, |state| !done(state));
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        done(&state)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn bytes(&self) -> u64 {
        self.out.total().saturating_add(self.error.total())
    }
}
