//! What an agent reads about a command.

use std::time::Duration;

use nucleus_wire::display::escape_short;

use super::capture::Part;
use super::job::{Glance, Job};
use crate::ending::CommandEnding;
use crate::port::Exit;
use crate::tools::text::{lossy, plural, size};

/// How far back the last line of a command's output is looked for.
const LAST_LINE_BYTES: usize = 4 * 1024;

/// One line on a command that still runs.
pub(crate) fn progress(job: &Job, max_chars: usize) -> String {
    let newest = job.newest(LAST_LINE_BYTES);
    let (text, _) = lossy(&newest);
    let last = text.split(['\n', '\r']).rev().map(str::trim).find(|line| !line.is_empty());
    let elapsed = seconds(job.glance().duration);
    match last {
        Some(line) => format!("running for {elapsed}: {}", escape_short(line, max_chars)),
        None => format!("running for {elapsed}, no output yet"),
    }
}

/// Output and end of a command that is over, and whether any output was dropped.
pub(crate) fn ended(job: &Job, glance: &Glance) -> (String, bool) {
    let (out, error, dropped) = job.output();
    let mut text = out;
    if !error.is_empty() {
        end_line(&mut text);
        text.push_str("[stderr]\n");
        text.push_str(&error);
    }
    end_line(&mut text);
    text.push_str(&format!("[{}]\n", sentence(glance)));
    if dropped && job.is_whole() {
        let id = job.id();
        text.push_str(&format!(
            "[job_output with job {id} and offset 0 begins the whole output]\n"
        ));
    }
    (text, dropped)
}

/// A part of a job's output, with how to go on.
pub(crate) fn part(job: &Job, part: &Part, glance: &Glance) -> String {
    let mut text = String::new();
    if part.lost > 0 {
        let lost = plural(part.lost, "byte", "bytes");
        text.push_str(&match part.kept_at {
            Some(offset) => format!("[{lost} passed over here; offset {offset} reads them]\n"),
            None => format!("[{lost} dropped here]\n"),
        });
    }
    text.push_str(&lossy(&part.bytes).0);
    end_line(&mut text);
    text.push_str(&format!("[{}: {}; next offset {}]\n", job.id(), sentence(glance), part.next));
    text
}

/// A line for each job.
pub(crate) fn list(jobs: &[std::sync::Arc<Job>]) -> String {
    if jobs.is_empty() {
        return "No command of this task was left to run in the background.\n".to_owned();
    }
    let line = |job: &std::sync::Arc<Job>| {
        let glance = job.glance();
        let bytes = size(glance.bytes);
        format!("{}: {}, {bytes} of output: {}\n", job.id(), sentence(&glance), job.label())
    };
    jobs.iter().map(line).collect()
}

/// A few words for the feed.
pub(crate) fn short(glance: &Glance) -> String {
    glance.ending.map_or_else(|| "running".to_owned(), |ending| ending.to_string())
}

fn sentence(glance: &Glance) -> String {
    let time = seconds(glance.duration);
    match glance.ending {
        None => format!("running for {time}"),
        Some(CommandEnding::Exited(Exit::Code(code))) => format!("exit {code} after {time}"),
        Some(CommandEnding::Exited(Exit::Signal(signal))) => {
            format!("killed by signal {signal}{} after {time}", name(signal))
        }
        Some(CommandEnding::NoProgram) => {
            "there is no such program in the sandbox: nothing was run".to_owned()
        }
        Some(CommandEnding::NotExecutable) => {
            "the program is there and cannot be executed: nothing was run".to_owned()
        }
        Some(CommandEnding::TimedOut) => {
            format!("timed out after {time}; it and everything it started was killed")
        }
        Some(CommandEnding::Stopped) => {
            format!("stopped after {time}; everything it started was killed")
        }
        Some(CommandEnding::Cancelled) => {
            format!("cancelled after {time}; everything it started was killed")
        }
        Some(CommandEnding::TaskEnded) => format!("the task ended after {time}; it was killed"),
        Some(CommandEnding::Lost) => {
            format!("lost after {time}: the sandbox does not know how it ended")
        }
    }
}

fn name(signal: i32) -> &'static str {
    match signal {
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL: perhaps out of memory)",
        11 => " (SIGSEGV)",
        13 => " (SIGPIPE)",
        15 => " (SIGTERM)",
        24 => " (SIGXCPU)",
        25 => " (SIGXFSZ: a file grew too large)",
        31 => " (SIGSYS: a system call the sandbox does not allow)",
        _ => "",
    }
}

fn seconds(duration: Duration) -> String {
    format!("{}.{:02} s", duration.as_secs(), duration.subsec_millis() / 10)
}

fn end_line(text: &mut String) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
}
