//! Rules a human makes along with a yes: the same kind of call may go through some more times, for a while.
//!
//! A rule answers a question that would otherwise be asked; it cannot let through what is not asked about, so it lies
//! inside the envelope by construction. Each use is a grant of its own: minted, recorded, consumed once.

use lattice_guard::{ArgPattern, CommandPattern, RelPath};
use nucleus_wire::approvals::{
    RULE_COUNT_DEFAULT, RULE_COUNT_MAX, RULE_SECONDS_DEFAULT, RULE_SECONDS_MAX, Similar,
};
use nucleus_wire::display::escape_short;
use nucleus_wire::tool::{Run, ToolCall, ToolName};

use super::canonical::ApprovalRequest;
use super::operand::Operands;
use crate::digest::Digest;
use crate::limits::MAX_TARGET_CHARS;

/// Programs no argument of which makes them run another program or load code: a
/// wildcard behind one covers what that one program does. Behind any other it may cover anything, and which programs
/// those are nobody can list: launchers, shells, interpreters, build tools, `git`, `ssh`, `tar`, `find`, `sed`, `sort`
/// (`--compress-program`), and whatever an agent wrote.
const INERT: [&str; 43] = [
    "basename",
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "cksum",
    "cmp",
    "comm",
    "cp",
    "cut",
    "date",
    "df",
    "dirname",
    "du",
    "echo",
    "expand",
    "false",
    "fold",
    "head",
    "link",
    "ln",
    "ls",
    "md5sum",
    "mkdir",
    "mv",
    "nl",
    "paste",
    "printf",
    "pwd",
    "readlink",
    "realpath",
    "rm",
    "rmdir",
    "sha256sum",
    "stat",
    "tac",
    "tail",
    "touch",
    "tr",
    "true",
    "uniq",
    "unlink",
    "wc",
];
/// Files that are many programs and choose one by the name they are called by.
const MULTI_CALL: [&str; 3] = ["busybox", "coreutils", "toybox"];

/// What of a call a rule looks at.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) tool: ToolName,
    pub(crate) command: Option<CommandShape>,
    pub(crate) operands: Operands,
}

/// The same of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommandShape {
    pub(crate) argv: Vec<String>,
    pub(crate) cwd: String,
    pub(crate) stdin: Option<Digest>,
    pub(crate) background: bool,
}

impl Shape {
    pub(crate) fn of(call: &ToolCall, argv: Option<&[String]>, operands: &Operands) -> Self {
        let command = match call {
            ToolCall::Run(run) => Some(CommandShape::of(run, argv.unwrap_or_default())),
            _ => None,
        };
        Self { tool: call.name(), command, operands: operands.clone() }
    }
}

impl CommandShape {
    fn of(run: &Run, argv: &[String]) -> Self {
        Self {
            argv: argv.to_vec(),
            cwd: run.cwd.as_str().to_owned(),
            stdin: run.stdin.as_ref().map(|text| Digest::of(text.as_bytes())),
            background: run.background,
        }
    }
}

/// A rule in force.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: String,
    /// What it covers, in words, escaped.
    pub(crate) covers: String,
    pub(crate) left: u32,
    pub(crate) expires_ns: u64,
    /// The request it was made from: who, under which policy, by which rule, which operation, which tool.
    origin: ApprovalRequest,
    matcher: Matcher,
}

#[derive(Debug)]
enum Matcher {
    /// Program and arguments one by one; directory, input and pinned files as they were.
    Command(Vec<ArgPattern>),
    /// Files beneath a directory, or one file.
    Beneath(RelPath),
}

/// Why a rule cannot be made. The text is for the person who asked for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RuleError(String);

impl RuleError {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }
}

impl Rule {
    /// A rule that covers `origin` and what is like it.
    pub(crate) fn new(
        id: String,
        origin: &ApprovalRequest,
        similar: &Similar,
        now_ns: u64,
    ) -> Result<Self, RuleError> {
        let count = similar.count.unwrap_or(RULE_COUNT_DEFAULT);
        let seconds = similar.seconds.unwrap_or(RULE_SECONDS_DEFAULT);
        if !(1..=RULE_COUNT_MAX).contains(&count) {
            return Err(RuleError(format!("a rule covers 1 to {RULE_COUNT_MAX} calls")));
        }
        if !(1..=RULE_SECONDS_MAX).contains(&seconds) {
            return Err(RuleError(format!("a rule lives 1 to {RULE_SECONDS_MAX} seconds")));
        }
        let (matcher, what) = match &origin.shape.command {
            Some(command) => command_matcher(command, &origin.shape.operands, similar)?,
            None => path_matcher(&origin.shape, similar)?,
        };
        let tool = origin.shape.tool.as_str();
        let covers =
            escape_short(&format!("{} by {tool}: {what}", origin.operation), MAX_TARGET_CHARS);
        let mut remembered = origin.clone();
        remembered.rendering.let_go();
        let rule = Self {
            id,
            covers,
            left: count,
            expires_ns: now_ns.saturating_add(seconds.saturating_mul(1_000_000_000)),
            origin: remembered,
            matcher,
        };
        if rule.covers(origin, now_ns) {
            Ok(rule)
        } else {
            Err(RuleError("the rule would not cover the request it is made from".to_owned()))
        }
    }

    /// Whether it answers this request.
    pub(crate) fn covers(&self, request: &ApprovalRequest, now_ns: u64) -> bool {
        let origin = &self.origin;
        let same_question = origin.operation == request.operation
            && origin.rule == request.rule
            && origin.policy == request.policy
            && origin.principal == request.principal
            && origin.shape.tool == request.shape.tool;
        self.left > 0 && now_ns < self.expires_ns && same_question && self.fits(&request.shape)
    }

    fn fits(&self, shape: &Shape) -> bool {
        match &self.matcher {
            Matcher::Command(patterns) => {
                let (Some(command), Some(seen)) = (&shape.command, &self.origin.shape.command)
                else {
                    return false;
                };
                let around = (&command.cwd, &command.stdin, command.background)
                    == (&seen.cwd, &seen.stdin, seen.background);
                // What the human saw must be what it was: the program, and every file that was pinned then.
                let operands = &self.origin.shape.operands;
                let pinned = operands.program == shape.operands.program
                    && operands.files.iter().all(|(name, pinned)| {
                        shape.operands.files.get(name).is_none_or(|now| now == pinned)
                    });
                around && pinned && fits_args(patterns, &command.argv)
            }
            Matcher::Beneath(prefix) => {
                let files = &shape.operands.files;
                !files.is_empty()
                    && files.keys().all(|name| {
                        RelPath::parse(name).is_ok_and(|path| is_beneath(prefix, &path))
                    })
            }
        }
    }
}

fn command_matcher(
    command: &CommandShape,
    operands: &Operands,
    similar: &Similar,
) -> Result<(Matcher, String), RuleError> {
    if similar.path_prefix.is_some() {
        return Err(RuleError("a path prefix is for files; this request is a command".to_owned()));
    }
    let Some(written) = &similar.argv else {
        let patterns = command.argv.iter().cloned().map(ArgPattern::Exact).collect();
        let words = serde_json::Value::from(command.argv.clone()).to_string();
        return Ok((Matcher::Command(patterns), words));
    };
    let pattern = CommandPattern::parse(written)
        .map_err(|error| RuleError(format!("the argument pattern {written:?}: {error}")))?;
    let open = pattern.args.iter().any(|arg| !matches!(arg, ArgPattern::Exact(_)));
    if open && !is_inert(&pattern.program, operands) {
        return Err(RuleError(format!(
            "`{}` is not known as a program that runs nothing its arguments say, so a wildcard behind it might cover \
             anything; write the words out",
            pattern.program
        )));
    }
    let mut patterns = vec![ArgPattern::Exact(pattern.program)];
    patterns.extend(pattern.args);
    Ok((Matcher::Command(patterns), written.clone()))
}

fn path_matcher(shape: &Shape, similar: &Similar) -> Result<(Matcher, String), RuleError> {
    if similar.argv.is_some() {
        return Err(RuleError(
            "an argument pattern is for commands; this request is none".to_owned(),
        ));
    }
    if !matches!(shape.tool, ToolName::Read | ToolName::Write | ToolName::Edit) {
        return Err(RuleError(format!("`{}` cannot have a rule; approve it once", shape.tool)));
    }
    let written = match &similar.path_prefix {
        Some(prefix) => prefix.trim_end_matches('/').to_owned(),
        None => shape.operands.files.keys().next().cloned().unwrap_or_default(),
    };
    let prefix = RelPath::parse(&written)
        .map_err(|error| RuleError(format!("the path prefix {written:?}: {error}")))?;
    if prefix == RelPath::root() {
        return Err(RuleError("a path prefix must name a directory of the workspace".to_owned()));
    }
    Ok((Matcher::Beneath(prefix), format!("{written} and what lies beneath it")))
}

fn fits_args(patterns: &[ArgPattern], argv: &[String]) -> bool {
    let open = patterns.last() == Some(&ArgPattern::AnyRemaining);
    let fixed = if open { patterns.len().saturating_sub(1) } else { patterns.len() };
    let long_enough = if open { argv.len() >= fixed } else { argv.len() == fixed };
    long_enough
        && patterns.iter().take(fixed).zip(argv).all(|(pattern, arg)| match pattern {
            ArgPattern::Exact(text) => text == arg,
            ArgPattern::Any => true,
            ArgPattern::AnyRemaining => false,
        })
}

/// Whether a wildcard behind this program covers only what the program itself does. It is the file that would run that
/// counts, beside the name it is called by; a command behind a launcher is the launcher's.
fn is_inert(written: &str, operands: &Operands) -> bool {
    let Some(program) = operands.program.as_ref().filter(|program| !program.agent_writable) else {
        return false;
    };
    let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let (called, real) = (name(written), name(&program.real));
    INERT.contains(&called.as_str())
        && called == name(&program.path)
        && (INERT.contains(&real.as_str()) || MULTI_CALL.contains(&real.as_str()))
}

fn is_beneath(prefix: &RelPath, path: &RelPath) -> bool {
    let (prefix, path) = (prefix.as_str(), path.as_str());
    path == prefix || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests;
