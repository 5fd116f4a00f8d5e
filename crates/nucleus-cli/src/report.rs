//! `nucleus report`: a session's record as one page.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nucleus_report::html::{Context, page};

use crate::args::ReportArgs;
use crate::environment::Environment;
use crate::failure::CliFailure;
use crate::record::Recorded;

/// Name of the page in the session's directory.
const FILE: &str = "report.html";

/// `nucleus report`.
pub(crate) fn run(args: &ReportArgs, env: &Environment) -> Result<u8, CliFailure> {
    let recorded = Recorded::load(args.session.as_deref(), env)?;
    let meta = recorded.session.meta();
    let context = Context {
        task: meta.task.clone(),
        workspace: meta.workspace.display().to_string(),
        status: recorded.session.status().to_string(),
        log: crate::shell::quote(&recorded.session.log_path().display().to_string()),
        made: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let page = page(&recorded.record, &context, &recorded.changes()?);
    let code = recorded.exit_code();
    if args.output.as_deref() == Some(Path::new("-")) {
        // A reader that closed the pipe has seen enough.
        let _gone = std::io::stdout().lock().write_all(page.as_bytes());
        return Ok(code);
    }
    let file = args.output.clone().unwrap_or_else(|| recorded.session.dir().join(FILE));
    write(&file, page.as_bytes())?;
    let mut err = std::io::stderr().lock();
    // Nobody reads: the page is there and the code tells.
    if code != 0 {
        let _gone = writeln!(err, "✗ NOT VERIFIED: {}", recorded.record.verification.verdict);
    }
    let _gone = writeln!(std::io::stdout(), "{}", file.display());
    Ok(code)
}

/// Writes the file whole or not at all, readable by its owner only: it holds what the task changed. What stands in its
/// place is replaced if it is a file, and never written through: a link there may be of an agent's making.
fn write(file: &Path, bytes: &[u8]) -> Result<(), CliFailure> {
    if std::fs::symlink_metadata(file).is_ok_and(|meta| !meta.is_file()) {
        return Err(CliFailure::usage(format!("{} is not a file", file.display()))
            .hint("name a file that is one or is not there yet, or `-` for standard output"));
    }
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = PathBuf::from(name);
    let written = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)
        .and_then(|mut open| open.write_all(bytes))
        .and_then(|()| std::fs::rename(&part, file));
    written.map_err(|error| {
        // Best effort: the error that matters is the one told.
        let _removed = std::fs::remove_file(&part);
        CliFailure::unavailable(format!("cannot write {}: {error}", file.display()))
    })
}
