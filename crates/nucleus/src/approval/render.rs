//! What a human reads before saying yes. Written by this side of the wall; whatever came from the agent is escaped,
//! marked as the agent's, and cut only where the cut is visible with the length and digest of the whole.

use std::fmt::Write as _;

use nucleus_wire::display::escape;
use nucleus_wire::tool::{Asked, CommandInput, PermissionPrompt, ToolCall};

use super::canonical::Subject;
use super::operand::{Operands, Pinned};
use crate::digest::Digest;
use crate::limits::MAX_RENDERED_CHARS;

/// Starts each line that holds text of the agent.
const AGENT: &str = "agent text │ ";
/// Lines of content shown.
const MAX_LINES: usize = 40;
/// Files listed.
const MAX_FILES: usize = 20;

/// The whole text. Never empty, every line under the control of this module.
pub(crate) fn rendering(subject: &Subject<'_>, operands: &Operands) -> String {
    let mut out = String::new();
    line(&mut out, &format!("{} wants: {}", subject.principal, subject.operation));
    line(&mut out, &format!("because: {}", escape(subject.because)));
    match subject.call {
        ToolCall::Run(run) => {
            let argv: Vec<&str> =
                subject.argv.unwrap_or_default().iter().map(String::as_str).collect();
            line(&mut out, "argument vector:");
            agent(&mut out, &serde_json::Value::from(argv).to_string());
            if let CommandInput::Text(text) = &run.command {
                line(&mut out, "as written:");
                agent(&mut out, text);
            }
            line(&mut out, &format!("directory: {}", escape(run.cwd.as_str())));
            if let Some(stdin) = &run.stdin {
                line(&mut out, "standard input:");
                agent(&mut out, stdin);
            }
            if run.background {
                line(&mut out, "goes on in the background");
            }
        }
        ToolCall::Write(write) => {
            file(&mut out, "replace the whole of", write.path.as_str(), "new content:");
            agent(&mut out, &write.content);
        }
        ToolCall::Edit(edit) => {
            let what =
                if edit.replace_all { "replace every occurrence in" } else { "replace once in" };
            file(&mut out, what, edit.path.as_str(), "this text:");
            agent(&mut out, &edit.old_string);
            line(&mut out, "by this text:");
            agent(&mut out, &edit.new_string);
        }
        ToolCall::Read(read) => file(&mut out, "read", read.path.as_str(), ""),
        ToolCall::Glob(glob) => {
            file(&mut out, "list files beneath", glob.path.as_str(), "pattern:");
            agent(&mut out, &glob.pattern);
        }
        ToolCall::Grep(grep) => {
            file(&mut out, "search files beneath", grep.path.as_str(), "pattern:");
            agent(&mut out, &grep.pattern);
        }
        ToolCall::PermissionPrompt(prompt) => own_tool(&mut out, prompt),
        ToolCall::JobOutput(_) | ToolCall::JobStop(_) | ToolCall::ApprovalsStatus(_) => {
            line(&mut out, subject.call.name().as_str());
        }
    }
    pinned(&mut out, operands);
    out
}

/// A question of Claude Code's about a tool that is no tool of Nucleus.
fn own_tool(out: &mut String, prompt: &PermissionPrompt) {
    let (verb, command) = match &prompt.asked {
        Asked::Run(text) => ("run this command line:", Some(text)),
        Asked::Read(_) => ("read with these arguments:", None),
        Asked::Write(_) | Asked::Edit(_) => ("write with these arguments:", None),
        Asked::Glob { .. } | Asked::Grep(_) => ("search with these arguments:", None),
        Asked::WebFetch(_) | Asked::WebSearch(_) => ("reach the web with these arguments:", None),
        Asked::Ours | Asked::Unknown => ("be used with these arguments:", None),
    };
    let tool = escape(&prompt.tool_name);
    line(out, &format!("Claude Code asks whether its own tool {tool} may {verb}"));
    if let Some(text) = command {
        agent(out, text);
        line(out, "all of its arguments:");
    }
    agent(out, &format!("{:#}", prompt.input));
    line(out, "it acts where Claude Code itself runs, not through Nucleus");
}

fn pinned(out: &mut String, operands: &Operands) {
    if let Some(program) = &operands.program {
        let digest =
            program.sha256.as_deref().unwrap_or("not readable here, not writable by the agent");
        line(out, &format!("program: {} (sha256 {digest})", escape(&program.real)));
    }
    for (name, state) in operands.files.iter().take(MAX_FILES) {
        let state = match state {
            Pinned::Absent => "does not exist yet".to_owned(),
            Pinned::File { sha256, bytes } => format!("{bytes} bytes, sha256 {sha256}"),
        };
        line(out, &format!("file now: {} ({state})", escape(name)));
    }
    if operands.files.len() > MAX_FILES {
        line(
            out,
            &format!(
                "… and {} files more, all part of the digest",
                operands.files.len() - MAX_FILES
            ),
        );
    }
}

fn file(out: &mut String, what: &str, path: &str, then: &str) {
    line(out, &format!("{what}: {}", escape(path)));
    if !then.is_empty() {
        line(out, then);
    }
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// Text of the agent: each of its lines escaped and marked.
fn agent(out: &mut String, text: &str) {
    let mut chars = 0_usize;
    let mut cut = false;
    for (shown, part) in text.split('\n').enumerate() {
        if shown == MAX_LINES || chars >= MAX_RENDERED_CHARS {
            cut = true;
            break;
        }
        let escaped = escape(part);
        let room = MAX_RENDERED_CHARS - chars;
        let head: String = escaped.chars().take(room).collect();
        chars += head.chars().count();
        cut = head.len() < escaped.len();
        let _ = writeln!(out, "{AGENT}{head}");
        if cut {
            break;
        }
    }
    if cut {
        let digest = Digest::of(text.as_bytes());
        line(out, &format!("… cut here; {} bytes in all, sha256 {digest}", text.len()));
    }
}

#[cfg(test)]
mod tests;
