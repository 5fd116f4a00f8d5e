//! One task's world: where it works, what it runs in, what is recorded, who is asked.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use lattice_guard::{Label, PodContext};
use nucleus_log::Phase;
use nucleus_wire::control::FeedEvent;

use crate::approval::{ApprovalBook, ApprovalSetup};
use crate::approved::Approved;
use crate::flood::Flood;
use crate::jobs::{JobLimits, Jobs, Spooler};
use crate::port::{Clock, Feed, Runner, Workspace};
use crate::recorder::Recorder;
use crate::sanitize::Sanitizer;
use crate::session::Session;

/// What a [`Sandbox`] is made of. There is no default for any of it: an executor cannot lack a log.
pub struct SandboxParts {
    /// Identifier of the task; grants are bound to it.
    pub task: String,
    /// The merged tree.
    pub workspace: Workspace,
    /// Directory on disk for output of commands that is more than memory keeps, written by nobody else; without one only
    /// the newest is kept.
    pub spool: Option<std::os::fd::OwnedFd>,
    /// Home of the user on the host, for messages only.
    pub home: Option<PathBuf>,
    /// Pods.
    pub runner: Arc<dyn Runner>,
    /// What the pods can reach; part of every judgement.
    pub pod: PodContext,
    /// The log.
    pub recorder: Recorder,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What the user sees.
    pub feed: Arc<dyn Feed>,
    /// Who is asked.
    pub approvals: ApprovalSetup,
    /// What the task has been exposed to already (inherited by a child, kept by a resumed task).
    pub label: Label,
}

impl fmt::Debug for SandboxParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxParts").field("task", &self.task).finish_non_exhaustive()
    }
}

/// One task's world. Cheap to clone: clones are the same task, with one label, one book and one log.
#[derive(Clone)]
pub struct Sandbox {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) task: String,
    /// Begins every request id: two processes that write one log, one after the other, never make the same.
    run: String,
    /// Wall and monotonic time when the task began.
    began: (u64, u64),
    pub(crate) workspace: Workspace,
    pub(crate) runner: Arc<dyn Runner>,
    pub(crate) pod: PodContext,
    pub(crate) recorder: Recorder,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) feed: Arc<dyn Feed>,
    pub(crate) approvals: ApprovalBook,
    pub(crate) session: Session,
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) sanitizer: Sanitizer,
    pub(crate) flood: Flood,
}

impl Sandbox {
    /// The world of one task.
    #[must_use]
    pub fn new(parts: SandboxParts) -> Self {
        let SandboxParts {
            task,
            workspace,
            spool,
            home,
            runner,
            pod,
            recorder,
            clock,
            feed,
            approvals,
            label,
        } = parts;
        let approvals = ApprovalBook::new(approvals, &task, recorder.clone(), Arc::clone(&clock));
        let sanitizer = Sanitizer::new(&workspace.path, home.as_deref());
        let began = (clock.wall_ms(), clock.monotonic_ns());
        let run = format!("{:x}", began.0);
        let jobs = Arc::new(Jobs::new(JobLimits::default(), spool.map(Spooler::new)));
        Self {
            inner: Arc::new(Inner {
                task,
                run,
                began,
                workspace,
                runner,
                pod,
                recorder,
                clock,
                feed,
                approvals,
                session: Session::new(label),
                jobs,
                sanitizer,
                flood: Flood::default(),
            }),
        }
    }

    /// The approval requests of this task; a human's decision goes in through [`ApprovalBook::decide`].
    #[must_use]
    pub fn approvals(&self) -> &ApprovalBook {
        &self.inner.approvals
    }

    /// What a person let the task write.
    #[must_use]
    pub fn approved(&self) -> &Approved {
        self.inner.session.approved()
    }

    /// What the task has been exposed to.
    #[must_use]
    pub fn label(&self) -> Label {
        *self.inner.session.label()
    }

    /// The time deadlines are measured by, in milliseconds since the Unix epoch; setting the clock back gains nothing.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.inner.now_ms()
    }

    /// Ended calls by verdict: `allowed`, `approved`, `denied`, `waiting`, `malformed`, `failed`,
    /// `stopped`; absent = none.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.inner.session.verdicts()
    }

    /// The log of this task, for notes about the task itself.
    #[must_use]
    pub fn recorder(&self) -> &Recorder {
        &self.inner.recorder
    }

    /// Text for the agent, without host paths.
    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        self.inner.sanitizer.clean(text)
    }

    /// Ends the task's own activity: background commands die and are settled, open requests are withdrawn, refusals
    /// that were only counted are written. The log can be closed after this.
    pub fn finish(&self) {
        let inner = &*self.inner;
        inner.jobs.kill_all();
        inner.approvals.withdraw_all();
        let held_back = inner.flood.drain();
        if held_back.total() > 0 {
            let mut event = inner.recorder.event("malformed_call");
            event.phase = Phase::Note;
            held_back.tell(&mut event);
            // A log that takes nothing has denied everything already; the task is over.
            let _ = inner.recorder.note(&event);
        }
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("task", &self.inner.task).finish_non_exhaustive()
    }
}

impl Inner {
    /// The time for deadlines: the wall clock, but never less than the time since the task began, so that setting the
    /// clock back lengthens nothing.
    pub(crate) fn now_ms(&self) -> u64 {
        let (wall_ms, monotonic_ns) = self.began;
        let passed_ms = self.clock.monotonic_ns().saturating_sub(monotonic_ns) / 1_000_000;
        self.clock.wall_ms().max(wall_ms.saturating_add(passed_ms))
    }

    /// Number and request id of the next call.
    pub(crate) fn next_call(&self) -> (u64, String) {
        let number = self.session.next_call();
        (number, format!("{}-{number}", self.run))
    }

    pub(crate) fn show(&self, event: FeedEvent) {
        self.feed.event(event);
    }
}
