//! `run`, `job_output` and `job_stop`.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use lattice_guard::split_command;
use nucleus_wire::display::escape_short;
use nucleus_wire::limits::RUN_TIMEOUT_DEFAULT_S;
use nucleus_wire::tool::{CommandInput, JobOutput, JobStop, Run};

use super::error::{Kind, ToolError};
use super::limits::{DRAIN_GRACE, JOB_LABEL_MAX_CHARS, JOB_OUTPUT_MAX_BYTES, KILL_GRACE};
use super::resolver::Resolver;
use crate::effect::{EffectContext, EffectReport, Warrant};
use crate::ending::CommandEnding;
use crate::jobs::{Glance, Job, report};
use crate::port::Exit;

/// Within this after its time a command has ended: it is killed, it is gone or given up, its output is in.
const END_GRACE: Duration = KILL_GRACE.saturating_add(DRAIN_GRACE).saturating_add(DRAIN_GRACE);

/// Runs a command. It becomes a background job at once when asked to, else when it takes too long.
pub(crate) fn run(
    warrant: &Warrant,
    call: &Run,
    cx: &EffectContext<'_>,
) -> Result<EffectReport, ToolError> {
    let argv = match &call.command {
        CommandInput::Argv(argv) => argv.clone(),
        CommandInput::Text(text) => split_command(text).into_argv(),
    };
    let cwd = directory(&Resolver::new(cx.workspace), call.cwd.as_str())?;
    let stdin = call.stdin.as_deref().map(stdin).transpose()?;
    let timeout =
        call.timeout_ms.map_or(Duration::from_secs(RUN_TIMEOUT_DEFAULT_S), Duration::from_millis);

    let label = escape_short(&argv.join(" "), JOB_LABEL_MAX_CHARS);

    let slot = cx.jobs.reserve()?;
    let running = cx.runner.start(warrant.run_spec(argv, Vec::new(), cwd, stdin))?;
    let job = slot.adopt(label, running, timeout)?;

    let foreground = cx.jobs.limits().foreground;
    // A command whose own time is over first is told so: what it became in the background would be gone at once.
    let patience =
        if timeout <= foreground { timeout.saturating_add(END_GRACE) } else { foreground };
    if !call.background && cx.jobs.follow(&job, patience, cx.cancel, cx.progress) {
        return Ok(finished(&job, cx));
    }
    Ok(background(&job))
}

/// The real name of the working directory.
fn directory(resolver: &Resolver<'_>, cwd: &str) -> Result<String, ToolError> {
    let located = resolver.locate(cwd)?;
    match located.kind {
        Kind::Directory => Ok(located.real),
        Kind::Missing => Err(ToolError::NotFound { path: located.real }),
        _ => Err(ToolError::NotDirectory { path: located.real }),
    }
}

fn stdin(text: &str) -> Result<OwnedFd, ToolError> {
    nucleus_sys::memfd::sealed(text.as_bytes())
        .map_err(|source: io::Error| ToolError::io("hand over stdin for", "", source))
}

/// New output of a job, after waiting for some if asked to.
pub(crate) fn job_output(
    call: &JobOutput,
    cx: &EffectContext<'_>,
) -> Result<EffectReport, ToolError> {
    let Some(id) = &call.job else { return Ok(list(cx)) };
    let job = cx.jobs.find(id)?;
    let patience = Duration::from_millis(call.wait_ms);
    let news = (call.offset, call.until_end);
    cx.jobs.await_news(&job, news, patience, (cx.cancel, cx.progress))?;
    // The end first: what came before it is then in the output for sure.
    let glance = job.glance();
    let part = job.part(call.offset, JOB_OUTPUT_MAX_BYTES);
    Ok(EffectReport {
        text: report::part(&job, &part, &glance),
        detail: format!("{}: {}", job.id(), report::short(&glance)),
        bytes: u64::try_from(part.bytes.len()).unwrap_or(u64::MAX),
        ending: glance.ending,
        exit: glance.exit,
        truncated: part.lost > 0,
        ..EffectReport::default()
    })
}

/// The jobs of the task.
fn list(cx: &EffectContext<'_>) -> EffectReport {
    let jobs = cx.jobs.background();
    let running = jobs.iter().filter(|job| !job.ended()).count();
    EffectReport {
        text: report::list(&jobs),
        detail: format!("{} jobs, {running} running", jobs.len()),
        ..EffectReport::default()
    }
}

/// Kills a job and everything it started; gives what it put out last.
pub(crate) fn job_stop(call: &JobStop, cx: &EffectContext<'_>) -> Result<EffectReport, ToolError> {
    let job = cx.jobs.find(&call.job)?;
    job.stop(CommandEnding::Stopped);
    job.wait_end();
    let glance = job.glance();
    let part = job.part(None, JOB_OUTPUT_MAX_BYTES);
    Ok(EffectReport {
        text: report::part(&job, &part, &glance),
        detail: format!("{}: {}", job.id(), report::short(&glance)),
        bytes: u64::try_from(part.bytes.len()).unwrap_or(u64::MAX),
        ending: glance.ending,
        exit: glance.exit,
        truncated: part.lost > 0,
        ..EffectReport::default()
    })
}

fn finished(job: &Job, cx: &EffectContext<'_>) -> EffectReport {
    let glance = job.glance();
    let (mut text, truncated) = report::ended(job, &glance);
    if let Some(hint) = cx.runner.hint(&text) {
        text.push_str(&format!("\n[hint: {hint}]"));
    }
    EffectReport {
        text,
        structured: Some(structured(&glance)),
        is_error: !matches!(glance.ending, Some(CommandEnding::Exited(_))),
        detail: report::short(&glance),
        bytes: glance.bytes,
        ending: glance.ending,
        exit: glance.exit,
        truncated,
        ..EffectReport::default()
    }
}

fn background(job: &Arc<Job>) -> EffectReport {
    job.detach();
    let part = job.part(None, JOB_OUTPUT_MAX_BYTES);
    let glance = job.glance();
    let mut text = report::part(job, &part, &glance);
    text.push_str(&format!(
        "[it goes on in the background: job_output with job {id} shows more, job_stop ends it]\n",
        id = job.id()
    ));
    EffectReport {
        text,
        detail: format!("{} runs", job.id()),
        bytes: glance.bytes,
        ending: glance.ending,
        exit: glance.exit,
        truncated: part.lost > 0,
        job: Some(job.id().clone()),
        ..EffectReport::default()
    }
}

/// The end as data.
fn structured(glance: &Glance) -> serde_json::Value {
    let (code, signal) = match glance.exit {
        Some(Exit::Code(code)) => (Some(code), None),
        Some(Exit::Signal(signal)) => (None, Some(signal)),
        None => (None, None),
    };
    serde_json::json!({
        "exit_code": code,
        "signal": signal,
        "timed_out": glance.ending == Some(CommandEnding::TimedOut),
        "duration_ms": u64::try_from(glance.duration.as_millis()).unwrap_or(u64::MAX),
        "output_bytes": glance.bytes,
    })
}

#[cfg(test)]
mod tests;
