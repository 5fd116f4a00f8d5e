//! What a human reads before saying yes. Written by this side of the wall; whatever came from the agent is escaped and
//! marked as the agent's. It is all there, or nobody is asked: nothing is cut out of it.

use std::sync::Arc;

use nucleus_wire::approvals::{DIFF_MARK, brief};
use nucleus_wire::display::escape;
use nucleus_wire::tool::{Asked, CommandInput, Edit, PermissionPrompt, ToolCall, Write};

use super::before::Before;
use super::canonical::Subject;
use super::operand::{Operands, Pinned};
use crate::limits::{DIFF_TIME, MAX_RENDERED_BYTES};
use crate::tools::{EditArgs, edited};

/// Starts each line that holds text of the agent.
const AGENT: &str = "agent text │ ";
/// Lines of a file shown around a change.
const DIFF_CONTEXT: usize = 3;

/// A request in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rendering {
    pub(crate) text: Arc<str>,
    /// Nothing is left out.
    pub(crate) complete: bool,
}

impl Rendering {
    /// The request is settled: its beginning is kept, so that what is remembered stays small.
    pub(crate) fn let_go(&mut self) {
        if let Some(brief) = brief(&self.text, "the rest was let go when it was settled") {
            *self = Self { text: brief.into(), complete: false };
        }
    }
}

/// The whole text. Never empty, every line under the control of this module.
pub(crate) fn rendering(subject: &Subject<'_>, operands: &Operands, before: &Before) -> Rendering {
    let mut out = Text::default();
    out.line(&format!("{} wants: {}", subject.principal, subject.operation));
    out.line(&format!("because: {}", escape(subject.because)));
    match subject.call {
        ToolCall::Run(run) => {
            let argv: Vec<&str> =
                subject.argv.unwrap_or_default().iter().map(String::as_str).collect();
            out.line("argument vector:");
            out.agent(&serde_json::Value::from(argv).to_string());
            if let CommandInput::Text(text) = &run.command {
                out.line("as written:");
                out.agent(text);
            }
            out.line(&format!("directory: {}", escape(run.cwd.as_str())));
            if let Some(stdin) = &run.stdin {
                out.line("standard input:");
                out.agent(stdin);
            }
            if run.background {
                out.line("goes on in the background");
            }
        }
        ToolCall::Write(write) => out.write(write, before),
        ToolCall::Edit(edit) => out.edit(edit, before),
        ToolCall::Read(read) => out.file("read", read.path.as_str(), ""),
        ToolCall::Glob(glob) => {
            out.file("list files beneath", glob.path.as_str(), "pattern:");
            out.agent(&glob.pattern);
        }
        ToolCall::Grep(grep) => {
            out.file("search files beneath", grep.path.as_str(), "pattern:");
            out.agent(&grep.pattern);
        }
        ToolCall::PermissionPrompt(prompt) => out.own_tool(prompt),
        ToolCall::JobOutput(_) | ToolCall::JobStop(_) | ToolCall::ApprovalsStatus(_) => {
            out.line(subject.call.name().as_str());
        }
    }
    out.pinned(operands);
    out.end()
}

/// The text as it grows, up to what a person is asked about.
#[derive(Default)]
struct Text {
    out: String,
    over: bool,
}

impl Text {
    fn line(&mut self, text: &str) {
        self.marked("", text);
    }

    fn marked(&mut self, mark: &str, text: &str) {
        let grown = self.out.len().saturating_add(mark.len()).saturating_add(text.len());
        self.over |= grown >= MAX_RENDERED_BYTES;
        if !self.over {
            self.out.push_str(mark);
            self.out.push_str(text);
            self.out.push('\n');
        }
    }

    /// Text of the agent: each of its lines escaped and marked.
    fn agent(&mut self, text: &str) {
        for part in text.split('\n') {
            if self.over {
                return;
            }
            self.marked(AGENT, &escape(part));
        }
    }

    /// A question of Claude Code's about a tool that is no tool of Nucleus.
    fn own_tool(&mut self, prompt: &PermissionPrompt) {
        let (verb, command) = match &prompt.asked {
            Asked::Run(text) => ("run this command line:", Some(text)),
            Asked::Read(_) => ("read with these arguments:", None),
            Asked::Write(_) | Asked::Edit(_) => ("write with these arguments:", None),
            Asked::Glob { .. } | Asked::Grep(_) => ("search with these arguments:", None),
            Asked::WebFetch(_) | Asked::WebSearch(_) => {
                ("reach the web with these arguments:", None)
            }
            Asked::Ours | Asked::Unknown => ("be used with these arguments:", None),
        };
        let tool = escape(&prompt.tool_name);
        self.line(&format!("Claude Code asks whether its own tool {tool} may {verb}"));
        if let Some(text) = command {
            self.agent(text);
            self.line("all of its arguments:");
        }
        self.agent(&format!("{:#}", prompt.input));
        self.line("it acts where Claude Code itself runs, not through Nucleus");
    }

    fn file(&mut self, what: &str, path: &str, then: &str) {
        self.line(&format!("{what}: {}", escape(path)));
        if !then.is_empty() {
            self.line(then);
        }
    }

    fn write(&mut self, write: &Write, before: &Before) {
        let path = write.path.as_str();
        match before {
            Before::Absent => {
                self.file("make the file", path, "its content, line by line:");
                self.diff("", &write.content);
            }
            Before::Text(old) if *old == write.content => {
                self.file("replace the whole of", path, "by what is in it already, unchanged");
            }
            Before::Text(old) => {
                self.file("replace the whole of", path, "what changes (- is there now, + comes):");
                self.diff(old, &write.content);
            }
            Before::Other(what) => {
                self.file("replace the whole of", path, what);
                self.line("new content:");
                self.agent(&write.content);
            }
        }
    }

    fn edit(&mut self, edit: &Edit, before: &Before) {
        let path = edit.path.as_str();
        let what = if edit.replace_all { "replace every occurrence in" } else { "replace once in" };
        let args =
            EditArgs { path, old: &edit.old_string, new: &edit.new_string, all: edit.replace_all };
        let why = match before {
            Before::Absent => "it does not exist now".to_owned(),
            Before::Other(what) => what.clone(),
            Before::Text(old) => match edited(old, &args) {
                Ok(new) => {
                    self.file(what, path, "what changes (- is there now, + comes):");
                    return self.diff(old, &new);
                }
                Err(fault) => format!("does not apply to it as it is now: {}", escape(&fault)),
            },
        };
        self.file(what, path, &why);
        self.line("this text:");
        self.agent(&edit.old_string);
        self.line("by this text:");
        self.agent(&edit.new_string);
    }

    /// A unified diff, every line escaped and marked: the text of either side may be the agent's.
    fn diff(&mut self, old: &str, new: &str) {
        let diff = similar::TextDiff::configure().timeout(DIFF_TIME).diff_lines(old, new);
        for hunk in diff.unified_diff().context_radius(DIFF_CONTEXT).iter_hunks() {
            self.marked(DIFF_MARK, &hunk.header().to_string());
            for change in hunk.iter_changes() {
                if self.over {
                    return;
                }
                let line = change.value();
                let body = line.strip_suffix('\n').unwrap_or(line);
                self.marked(DIFF_MARK, &format!("{}{}", change.tag(), escape(body)));
                if body.len() == line.len() {
                    self.marked(DIFF_MARK, "\\ no line break at the end of the file");
                }
            }
        }
    }

    fn pinned(&mut self, operands: &Operands) {
        if let Some(program) = &operands.program {
            let digest =
                program.sha256.as_deref().unwrap_or("not readable here, not writable by the agent");
            self.line(&format!("program: {} (sha256 {digest})", escape(&program.real)));
        }
        for (name, state) in &operands.files {
            let state = match state {
                Pinned::Absent => "does not exist yet".to_owned(),
                Pinned::File { sha256, bytes } => format!("{bytes} bytes, sha256 {sha256}"),
            };
            self.line(&format!("file now: {} ({state})", escape(name)));
        }
    }

    fn end(mut self) -> Rendering {
        if self.over {
            self.out.push_str("… longer than anybody is shown: the rest is left out\n");
        }
        Rendering { text: self.out.into(), complete: !self.over }
    }
}

#[cfg(test)]
mod tests;
