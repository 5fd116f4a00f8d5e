//! From a warrant to the tool that does it.

use lattice_guard::RelPath;
use nucleus_wire::tool::{Edit, Glob, Grep, GrepMode, Read, ToolCall, Write};

use super::bounds::{Bounds, Paths};
use super::edit::{EditArgs, edit};
use super::error::{PathFault, ToolError};
use super::glob::{GlobArgs, glob};
use super::grep::{GrepArgs, Show, grep};
use super::read::{ReadArgs, read};
use super::resolver::Resolver;
use super::run;
use super::text::{plural, size};
use super::write::{WriteArgs, write};
use crate::effect::{EffectContext, EffectReport, PathGuard, Warrant};

/// Does the call that the warrant is for, once.
///
/// # Errors
/// [`ToolError`]: nothing was done, or, for a search, nothing can be said.
pub(crate) fn perform(warrant: Warrant, cx: &EffectContext<'_>) -> Result<EffectReport, ToolError> {
    let at = FileCall {
        resolver: Resolver::new(cx.workspace),
        paths: Guarded(cx.paths),
        bounds: Bounds::new(cx.cancel, cx.deadline),
    };
    match warrant.call() {
        ToolCall::Read(call) => at.read(call),
        ToolCall::Write(call) => at.write(call),
        ToolCall::Edit(call) => at.edit(call),
        ToolCall::Glob(call) => at.glob(call),
        ToolCall::Grep(call) => at.grep(call),
        ToolCall::Run(call) => run::run(&warrant, call, cx),
        ToolCall::JobOutput(call) => run::job_output(call, cx),
        ToolCall::JobStop(call) => run::job_stop(call, cx),
        ToolCall::ApprovalsStatus(_) | ToolCall::PermissionPrompt(_) => Err(ToolError::NoEffect),
    }
}

/// The call's own policy, in the words the tools use.
struct Guarded<'a>(&'a dyn PathGuard);

impl Paths for Guarded<'_> {
    fn admit(&self, real: &str) -> Result<(), ToolError> {
        let path = RelPath::parse(real).map_err(|_| ToolError::Path(PathFault::TooLong))?;
        self.0.admit(&path).map_err(ToolError::Refused)
    }

    fn visible(&self, real: &str) -> bool {
        RelPath::parse(real).is_ok_and(|path| self.0.visible(&path))
    }
}

struct FileCall<'a> {
    resolver: Resolver<'a>,
    paths: Guarded<'a>,
    bounds: Bounds<'a>,
}

impl FileCall<'_> {
    fn read(&self, call: &Read) -> Result<EffectReport, ToolError> {
        let args = ReadArgs { path: call.path.as_str(), offset: call.offset, limit: call.limit };
        let done = read(&self.resolver, &self.paths, &args, &self.bounds)?;
        Ok(EffectReport {
            text: done.text,
            detail: match &done.image {
                Some(_) => format!("picture, {}", size(done.bytes)),
                None => plural(done.lines, "line", "lines"),
            },
            image: done.image,
            bytes: done.bytes,
            truncated: done.truncated,
            ..EffectReport::default()
        })
    }

    fn write(&self, call: &Write) -> Result<EffectReport, ToolError> {
        let args = WriteArgs { path: call.path.as_str(), content: &call.content };
        let done = write(&self.resolver, &self.paths, &args, &self.bounds)?;
        let verb = if done.created { "created" } else { "replaced" };
        Ok(EffectReport {
            text: done.text,
            detail: format!("{verb}, {}", size(done.bytes)),
            bytes: done.bytes,
            written: Some(done.written),
            ..EffectReport::default()
        })
    }

    fn edit(&self, call: &Edit) -> Result<EffectReport, ToolError> {
        let args = EditArgs {
            path: call.path.as_str(),
            old: &call.old_string,
            new: &call.new_string,
            all: call.replace_all,
        };
        let done = edit(&self.resolver, &self.paths, &args, &self.bounds)?;
        Ok(EffectReport {
            text: done.text,
            detail: format!("{} replaced", done.replaced),
            bytes: done.bytes,
            written: Some(done.written),
            ..EffectReport::default()
        })
    }

    fn glob(&self, call: &Glob) -> Result<EffectReport, ToolError> {
        let args = GlobArgs { pattern: &call.pattern, path: call.path.as_str() };
        let done = glob(&self.resolver, &self.paths, &args, &self.bounds)?;
        let results = u64::try_from(done.paths.len()).unwrap_or(u64::MAX);
        Ok(EffectReport {
            text: done.text,
            detail: plural(results, "path", "paths"),
            results,
            truncated: done.truncated,
            ..EffectReport::default()
        })
    }

    fn grep(&self, call: &Grep) -> Result<EffectReport, ToolError> {
        let args = GrepArgs {
            pattern: &call.pattern,
            path: call.path.as_str(),
            glob: call.glob.as_deref(),
            ignore_case: call.ignore_case,
            context: usize::try_from(call.context).unwrap_or(usize::MAX),
            max_matches: call.max_matches,
            show: match call.mode {
                GrepMode::Content => Show::Lines,
                GrepMode::Files => Show::Files,
                GrepMode::Count => Show::Counts,
            },
        };
        let done = grep(&self.resolver, &self.paths, &args, &self.bounds)?;
        let (matches, files) =
            (plural(done.matches, "match", "matches"), plural(done.files, "file", "files"));
        Ok(EffectReport {
            text: done.text,
            detail: format!("{matches} in {files}"),
            bytes: done.bytes,
            results: done.matches,
            truncated: done.truncated,
            ..EffectReport::default()
        })
    }
}
