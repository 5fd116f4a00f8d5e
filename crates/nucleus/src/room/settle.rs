use lattice_guard::{CostModel, MicroUsd};
use nucleus_wire::tool::ToolCall;
use serde_json::{Map, Value};

use super::act::Acted;
use super::reserve::read_bytes_max;
use crate::budget::Amount;
use crate::effect::EffectReport;
use crate::ending::CommandEnding;
use crate::executor::Executor;
use crate::jobs::{JobEnd, JobId};
use crate::open::{Open, Outcome};
use crate::port::Exit;
use crate::result::{Ending, ToolResult};
use crate::tools::ToolError;

impl Acted {
    /// Books the real cost, refunds the rest, appends the outcome, and makes the answer. A command that goes on in the
    /// background stays open and is settled when it ends.
    pub fn settle(self, executor: &Executor) -> ToolResult {
        let Self { call, open, outcome } = self;
        match outcome {
            Ok(report) => done(executor, &call, open, report),
            Err(error) => failed(executor, open, &error),
        }
    }
}

fn done(executor: &Executor, call: &ToolCall, open: Open, report: EffectReport) -> ToolResult {
    let duration_ms = open.elapsed_ms();
    let fault = report.ending.filter(|_| report.is_error);
    let ending = match fault.and_then(CommandEnding::code) {
        Some(code) => Ending::Failed { code },
        None => Ending::Done {
            exit: report.exit,
            truncated: report.truncated,
            job: report.job.as_ref().map(ToString::to_string),
            duration_ms,
        },
    };
    if let Some(job) = &report.job {
        open.detached(&job.to_string());
        let costs = *executor.costs();
        let jobs = &executor.sandbox().inner.jobs;
        // The closure owns what is open: dropped uncalled, it books the whole reservation.
        let id = job.clone();
        jobs.on_end(job, Box::new(move |end| job_ended(open, &costs, &id, &end)));
    } else {
        if open.is_approved()
            && let Some(written) = report.written.clone()
        {
            executor.sandbox().inner.session.approved().add_file(written);
        }
        let cost = real_cost(executor.costs(), call, &report, duration_ms);
        open.close(Outcome {
            cost: priced(cost),
            code: fault.and_then(CommandEnding::code),
            stopped: fault.is_some_and(CommandEnding::is_stopped),
            layer: None,
            detail: report.detail.clone(),
            bytes: report.bytes,
            extra: exit_detail(report.exit, report.ending, report.truncated),
        });
    }
    ToolResult {
        text: report.text,
        image: report.image.map(Box::new),
        structured: report.structured,
        ending,
    }
}

fn job_ended(open: Open, costs: &CostModel, job: &JobId, end: &JobEnd) {
    let duration_ms = u64::try_from(end.duration.as_millis()).unwrap_or(u64::MAX);
    open.close(Outcome {
        cost: priced(costs.command(duration_ms)),
        code: end.ending.code(),
        stopped: end.ending.is_stopped(),
        detail: format!("{job}: {}", end.ending),
        bytes: end.bytes,
        extra: exit_detail(end.exit, Some(end.ending), false),
        ..Outcome::default()
    });
}

fn failed(executor: &Executor, open: Open, error: &ToolError) -> ToolResult {
    let sandbox = executor.sandbox();
    let refusal = error.refusal().map(|refusal| refusal.shown(|text| sandbox.clean(text)));
    let duration_ms = open.elapsed_ms();
    // Time was used even when nothing came of it; a refusal costs nothing.
    let cost = match &refusal {
        Some(_) => Amount::ZERO,
        None => spent_on_failure(open.reserved(), priced(executor.costs().command(duration_ms))),
    };
    let mut extra = Map::new();
    let mut source = std::error::Error::source(error);
    if let Some(cause) = source.take() {
        extra.insert("cause".to_owned(), cause.to_string().into());
    }
    open.close(Outcome {
        cost,
        code: Some(error.code()),
        stopped: matches!(error, ToolError::Cancelled),
        layer: refusal.as_ref().map(crate::refusal::Refusal::layer),
        detail: error.code().to_owned(),
        bytes: 0,
        extra,
    });
    match refusal {
        Some(refusal) => ToolResult {
            text: refusal.to_string(),
            image: None,
            structured: None,
            ending: Ending::Denied(refusal),
        },
        None => ToolResult {
            text: sandbox.clean(&error.agent_text()),
            image: None,
            structured: None,
            ending: Ending::Failed { code: error.code() },
        },
    }
}

fn real_cost(
    costs: &CostModel,
    call: &ToolCall,
    report: &EffectReport,
    duration_ms: u64,
) -> Option<MicroUsd> {
    match call {
        // What lies before the lines asked for is passed over for nothing.
        ToolCall::Read(read) => costs.file(report.bytes.min(read_bytes_max(read))),
        ToolCall::Write(_) | ToolCall::Edit(_) => costs.file(report.bytes),
        ToolCall::Glob(_) | ToolCall::Grep(_) => costs.search(report.results),
        ToolCall::Run(_) => costs.command(duration_ms),
        ToolCall::JobOutput(_)
        | ToolCall::JobStop(_)
        | ToolCall::ApprovalsStatus(_)
        | ToolCall::PermissionPrompt(_) => Some(MicroUsd::new(0)),
    }
}

fn priced(cost: Option<MicroUsd>) -> Amount {
    Amount::micro_usd(cost.map_or(u64::MAX, MicroUsd::micros))
}

fn exit_detail(
    exit: Option<Exit>,
    ending: Option<CommandEnding>,
    truncated: bool,
) -> Map<String, Value> {
    let mut extra = Map::new();
    if let Some(word) = ending.and_then(CommandEnding::word) {
        extra.insert("ending".to_owned(), word.into());
    }
    match exit {
        Some(Exit::Code(code)) => {
            extra.insert("exit_code".to_owned(), code.into());
        }
        Some(Exit::Signal(signal)) => {
            extra.insert("exit_signal".to_owned(), signal.into());
        }
        None => {}
    }
    if truncated {
        extra.insert("truncated".to_owned(), true.into());
    }
    extra
}

/// Time that was used is paid, up to what was held for it.
fn spent_on_failure(held: Amount, time: Amount) -> Amount {
    Amount::micro_usd(time.cost_micro_usd.min(held.cost_micro_usd))
}
