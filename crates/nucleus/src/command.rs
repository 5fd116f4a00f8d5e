//! The command a user named on the command line, judged and recorded as a `run`.
//!
//! Its output goes to the user and its standard streams are the caller's business, so the act room is the
//! caller's too: a [`CommandTicket`] holds the only [`RunSpec`] and owes the log an outcome.

use serde_json::Value;

use crate::budget::Amount;
use crate::caller::Caller;
use crate::cancel::Cancel;
use crate::ending::CommandEnding;
use crate::executor::Executor;
use crate::open::{Open, Outcome};
use crate::port::RunSpec;
use crate::result::ToolResult;
use crate::room::Parsed;
use lattice_guard::{CostModel, MicroUsd, RelPath};
use nucleus_wire::tool::{CommandInput, Run, ToolCall};

/// A command whose intent is recorded. Dropped without [`CommandTicket::settle`], it books the whole reservation.
#[derive(Debug)]
#[must_use = "a recorded command must be started and settled"]
pub struct CommandTicket {
    open: Open,
    costs: CostModel,
    spec: Option<RunSpec>,
}

impl CommandTicket {
    /// What to start. `None` after the first call: one intent, one effect.
    #[must_use]
    pub fn take_spec(&mut self) -> Option<RunSpec> {
        self.spec.take()
    }

    /// Books the time it took and appends the outcome.
    pub fn settle(self, ending: CommandEnding, output_bytes: u64) {
        let duration_ms = self.open.elapsed_ms();
        let cost = self.costs.command(duration_ms).map_or(u64::MAX, MicroUsd::micros);
        let mut extra = serde_json::Map::new();
        let detail = ending.to_string();
        // Either says it: how it ended by itself, or who ended it.
        let (member, word) = match ending.word() {
            None => ("exit", detail.as_str()),
            Some(word) => ("ending", word),
        };
        extra.insert(member.to_owned(), Value::from(word));
        self.open.close(Outcome {
            cost: Amount::micro_usd(cost),
            code: ending.code(),
            stopped: ending.is_stopped(),
            detail,
            bytes: output_bytes,
            extra,
            ..Outcome::default()
        });
    }
}

impl Executor {
    /// Admits one command of the user's own, in a directory of the workspace, for at most `timeout_ms`. It is judged as a
    /// `run` like any other.
    ///
    /// # Errors
    /// The answer that says why not, recorded already.
    pub fn command(
        &self,
        argv: Vec<String>,
        cwd: &RelPath,
        timeout_ms: Option<u64>,
        caller: &Caller,
        cancel: &Cancel,
    ) -> Result<CommandTicket, ToolResult> {
        let call = ToolCall::Run(Run {
            command: CommandInput::Argv(argv.clone()),
            cwd: cwd.clone(),
            stdin: None,
            timeout_ms,
            background: false,
        });
        match self.admit(Parsed::from_call(call), caller, cancel) {
            Ok(recorded) => {
                if let Err(refusal) = recorded.unchanged(self) {
                    return Err(recorded.refuse(refusal).settle(self));
                }
                let cwd = if cwd.is_root() { String::new() } else { cwd.as_str().to_owned() };
                let spec = RunSpec { argv, env: Vec::new(), cwd, stdin: None };
                let open = recorded.into_open();
                Ok(CommandTicket { open, costs: *self.costs(), spec: Some(spec) })
            }
            Err(denied) => Err(denied.settle(self)),
        }
    }
}
