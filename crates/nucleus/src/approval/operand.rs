//! The files a call would use, pinned by digest: approve one script, swap it, and the grant no longer fits.

use std::collections::BTreeMap;
use std::io;

use nucleus_wire::tool::{CommandInput, ToolCall};
use rustix::fs::OFlags;
use serde::Serialize;

use super::before::Before;
use crate::digest::Digest;
use crate::limits::{MAX_OPERAND_BYTES, MAX_OPERANDS};
use crate::port::{Program, Runner, RunnerError, Workspace};
use crate::refusal::Unexpected;
use crate::tools::{Kind, Resolver};

/// For a file that may have become a pipe or a device meanwhile: neither may block.
const REGULAR: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Digests of what a call would use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Operands {
    /// The program, for a command.
    pub(crate) program: Option<PinnedProgram>,
    /// Files by name: workspace-relative, or absolute inside the pod.
    pub(crate) files: BTreeMap<String, Pinned>,
}

/// The program a command starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PinnedProgram {
    pub(crate) path: String,
    pub(crate) real: String,
    /// Absent when only the pod can read it.
    pub(crate) sha256: Option<String>,
    /// A command of the agent could have written it.
    pub(crate) agent_writable: bool,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pinned {
    /// Nothing is there.
    Absent,
    /// Its content.
    File { sha256: String, bytes: u64 },
}

/// Pins files under a limit on the bytes of one request.
struct Pinner<'a> {
    resolver: Resolver<'a>,
    runner: &'a dyn Runner,
    left_bytes: u64,
    operands: Operands,
    before: Before,
}

impl Operands {
    /// Pins everything `call` names. `argv` is the command as judged.
    ///
    /// # Errors
    /// [`Unexpected::Canonical`] when a file cannot be read, is too large, or could be changed without anybody on this
    /// side of the wall being able to tell.
    pub(crate) fn of(
        call: &ToolCall,
        argv: Option<&[String]>,
        workspace: &Workspace,
        runner: &dyn Runner,
    ) -> Result<Self, Unexpected> {
        Self::with_before(call, argv, workspace, runner).map(|(operands, _)| operands)
    }

    /// As [`Operands::of`], with the content of the file that `call` would change.
    pub(crate) fn with_before(
        call: &ToolCall,
        argv: Option<&[String]>,
        workspace: &Workspace,
        runner: &dyn Runner,
    ) -> Result<(Self, Before), Unexpected> {
        let mut pinner = Pinner {
            resolver: Resolver::new(workspace),
            runner,
            left_bytes: MAX_OPERAND_BYTES,
            operands: Self::default(),
            before: Before::default(),
        };
        match call {
            ToolCall::Write(write) => pinner.pin_file(write.path.as_str(), true)?,
            ToolCall::Edit(edit) => pinner.pin_file(edit.path.as_str(), true)?,
            ToolCall::Read(read) => pinner.pin_file(read.path.as_str(), true)?,
            ToolCall::Run(run) => {
                let argv = argv.unwrap_or_default();
                pinner.pin_program(argv, run.cwd.as_str())?;
                for word in words(argv, &run.command) {
                    pinner.pin_word(&word, run.cwd.as_str())?;
                }
            }
            ToolCall::Glob(_)
            | ToolCall::Grep(_)
            | ToolCall::JobOutput(_)
            | ToolCall::JobStop(_)
            | ToolCall::ApprovalsStatus(_) => {}
            // The client's own tool acts on files where the client runs, which are none of these.
            ToolCall::PermissionPrompt(_) => {}
        }
        Ok((pinner.operands, pinner.before))
    }
}

impl Pinner<'_> {
    fn pin_program(&mut self, argv: &[String], cwd: &str) -> Result<(), Unexpected> {
        let Some(name) = argv.first() else { return Ok(()) };
        let program = self.runner.resolve(name, in_pod(cwd)).map_err(not_found("program"))?;
        let (path, real) = (program.path.clone(), program.real.clone());
        let agent_writable = program.agent_writable;
        let sha256 = self.pin_program_file(program)?;
        self.operands.program = Some(PinnedProgram { path, real, sha256, agent_writable });
        Ok(())
    }

    fn pin_program_file(&mut self, program: Program) -> Result<Option<String>, Unexpected> {
        match program.file {
            Some(file) => self.hash(file).map(|(sha256, _)| Some(sha256)),
            // What the agent cannot change needs no digest to stay the same.
            None if !program.agent_writable => Ok(None),
            None => Err(unpinned("program", io::ErrorKind::PermissionDenied.into())),
        }
    }

    /// Pins the file a word of a command names, if it names one.
    fn pin_word(&mut self, word: &str, cwd: &str) -> Result<(), Unexpected> {
        let value = word.split_once('=').map_or(word, |(_, value)| value);
        for name in [word, value] {
            if name.is_empty() || name.contains('\0') || name.len() > 4_096 {
                continue;
            }
            match self.resolver.relative(name) {
                Ok(relative) if name.starts_with('/') => self.pin_file(&relative, false)?,
                Ok(relative) => self.pin_file(&joined(cwd, &relative), false)?,
                Err(_) if name.starts_with('/') || name.contains("..") => {
                    self.pin_outside(name, cwd)?;
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// A path that is not beneath the workspace as written: the pod's own files, or a climb within the workspace.
    fn pin_outside(&mut self, name: &str, cwd: &str) -> Result<(), Unexpected> {
        let found = match self.runner.resolve(name, in_pod(cwd)) {
            Ok(found) => found,
            Err(RunnerError::NotFound { .. } | RunnerError::NoSuchDirectory { .. }) => {
                return Ok(());
            }
            Err(error) => return Err(unpinned("operand", io::Error::other(error))),
        };
        if !found.agent_writable {
            return Ok(());
        }
        let Some(file) = found.file else {
            return Err(unpinned("operand", io::ErrorKind::PermissionDenied.into()));
        };
        let (sha256, bytes) = self.hash(file)?;
        self.insert(found.real, Pinned::File { sha256, bytes })
    }

    /// `subject` is the file a call names as what it acts on: it counts when it is absent, and its content is kept.
    fn pin_file(&mut self, path: &str, subject: bool) -> Result<(), Unexpected> {
        let path = if path == "." { "" } else { path };
        let Ok(located) = self.resolver.locate(path) else {
            // Outside, or no path at all: the act room will refuse it if it is used as one.
            return Ok(());
        };
        match located.kind {
            Kind::Missing if subject => {
                self.before = Before::Absent;
                self.insert(located.real, Pinned::Absent)
            }
            Kind::File => {
                // Hashing asks no policy: nothing but a digest leaves, to the human and the log.
                let resolver = &self.resolver;
                let opened = resolver
                    .act(|| resolver.open_real(&located.real, REGULAR))
                    .map_err(|error| unpinned("operand", io::Error::other(error)))?;
                let file = opened.ok_or_else(|| unpinned("operand", changed()))?;
                let stat =
                    rustix::fs::fstat(&file).map_err(|error| unpinned("operand", error.into()))?;
                if !located.is(&stat) {
                    return Err(unpinned("operand", changed()));
                }
                let (sha256, bytes) =
                    if subject { self.keep(file.into())? } else { self.hash(file.into())? };
                self.insert(located.real, Pinned::File { sha256, bytes })
            }
            _ => Ok(()),
        }
    }

    fn insert(&mut self, name: String, pinned: Pinned) -> Result<(), Unexpected> {
        self.operands.files.insert(name, pinned);
        if self.operands.files.len() > MAX_OPERANDS {
            return Err(unpinned("operands", io::ErrorKind::ArgumentListTooLong.into()));
        }
        Ok(())
    }

    fn hash(&mut self, file: std::fs::File) -> Result<(String, u64), Unexpected> {
        let (digest, bytes) = Digest::of_reader(file, self.left_bytes)
            .map_err(|source| unpinned("operand", source))?;
        self.left_bytes = self.left_bytes.saturating_sub(bytes);
        Ok((digest.hex(), bytes))
    }

    fn keep(&mut self, file: std::fs::File) -> Result<(String, u64), Unexpected> {
        let (before, digest, bytes) =
            Before::read(file, self.left_bytes).map_err(|source| unpinned("operand", source))?;
        self.left_bytes = self.left_bytes.saturating_sub(bytes);
        self.before = before;
        Ok((digest.hex(), bytes))
    }
}

/// The words of a command that may name files; for a shell text every piece between blanks and shell signs.
fn words(argv: &[String], command: &CommandInput) -> Vec<String> {
    let mut words: Vec<String> = argv.iter().skip(1).cloned().collect();
    let shell = |c: char| c.is_whitespace() || "|&;<>()$`\"'{}".contains(c);
    let texts = argv.iter().skip(1).map(String::as_str);
    let given = match command {
        CommandInput::Text(text) => Some(text.as_str()),
        CommandInput::Argv(_) => None,
    };
    for text in texts.chain(given) {
        words.extend(text.split(shell).filter(|piece| !piece.is_empty()).map(str::to_owned));
    }
    words.sort();
    words.dedup();
    words
}

/// A workspace-relative directory as the runner takes it.
pub(crate) fn in_pod(cwd: &str) -> &str {
    if cwd == "." { "" } else { cwd }
}

fn joined(cwd: &str, name: &str) -> String {
    match (in_pod(cwd), name) {
        ("", name) => name.to_owned(),
        (cwd, name) => format!("{cwd}/{name}"),
    }
}

fn unpinned(what: &'static str, source: io::Error) -> Unexpected {
    Unexpected::Canonical { what, source }
}

fn not_found(what: &'static str) -> impl Fn(RunnerError) -> Unexpected {
    move |error| unpinned(what, io::Error::other(error))
}

/// The file is not the one that was found a moment ago.
fn changed() -> io::Error {
    io::ErrorKind::ResourceBusy.into()
}
