//! The only way from the pipeline to the log.

use std::fmt;
use std::sync::Arc;

use nucleus_log::{Durability, Event, Phase, Writer};

use crate::caller::Principal;
use crate::digest::Digest;
use crate::refusal::Unexpected;

/// Writes the entries of one task. Clones write to the same log.
#[derive(Clone)]
pub struct Recorder {
    writer: Arc<Writer>,
    agent_id: Arc<str>,
}

impl Recorder {
    /// Records into `writer` on behalf of `agent`.
    #[must_use]
    pub fn new(writer: Arc<Writer>, agent: &Principal) -> Self {
        Self { writer, agent_id: agent.as_str().into() }
    }

    /// An entry of this task with nothing but its kind.
    #[must_use]
    pub fn event(&self, kind: &'static str) -> Event {
        Event::new(kind, self.agent_id.as_ref())
    }

    /// Appends and waits as `durability` says.
    ///
    /// # Errors
    /// [`Unexpected::Log`]: whoever wanted to act must not.
    pub fn append(&self, event: &Event, durability: Durability) -> Result<u64, Unexpected> {
        let appended = self.writer.append(event, durability).map_err(Unexpected::Log)?;
        Ok(appended.sequence)
    }

    /// Appends a note about the task (session start, layers, pods, gate refusals), written before this returns.
    ///
    /// # Errors
    /// As [`Recorder::append`].
    pub fn note(&self, event: &Event) -> Result<u64, Unexpected> {
        self.append(event, Durability::Written)
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("agent_id", &self.agent_id).finish_non_exhaustive()
    }
}

/// What all entries of one call share.
#[derive(Debug, Clone)]
pub(crate) struct CallRecord {
    pub(crate) request_id: String,
    pub(crate) principal: Principal,
    pub(crate) channel: &'static str,
    pub(crate) tool: &'static str,
    pub(crate) target: String,
    pub(crate) args_digest: Digest,
    pub(crate) policy_digest: Digest,
    /// On the screen only when it fails.
    pub(crate) quiet: bool,
}

impl CallRecord {
    /// An entry of this call in `phase`.
    pub(crate) fn event(&self, recorder: &Recorder, phase: Phase) -> Event {
        let mut event = recorder.event(match self.tool {
            "model" => "model_call",
            "packages" => "package_fetch",
            _ => "tool_execution",
        });
        event.phase = phase;
        event.request_id = Some(self.request_id.clone());
        event.principal = Some(self.principal.as_str().to_owned());
        event.tool = Some(self.tool.to_owned());
        event.target = Some(self.target.clone());
        event.args_digest = Some(self.args_digest.hex());
        event.policy_digest = Some(self.policy_digest.hex());
        if phase == Phase::Intent {
            event.detail.insert("channel".to_owned(), self.channel.into());
        }
        event
    }
}
