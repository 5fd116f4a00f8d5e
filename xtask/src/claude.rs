//! The pinned Claude Code, fetched by npm's client and kept in the target directory.

use std::path::PathBuf;
use std::process::Command;

use crate::cargo::target_dir;
use crate::need::run;

/// Version the end-to-end suite is written for. With an older Node, npm would silently pick an older one, so
/// the version is always named; the native package needs no Node to run.
pub(crate) const VERSION: &str = "2.1.329";
const PACKAGE: &str = "@anthropic-ai/claude-code-linux-x64";

/// The program, fetched when it is not there yet.
pub(crate) fn ensure() -> Result<PathBuf, String> {
    let dir = target_dir().join("agents").join(format!("claude-{VERSION}"));
    let program = dir.join("package/claude");
    if program.is_file() {
        return Ok(program);
    }
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let spec = format!("{PACKAGE}@{VERSION}");
    run(Command::new("npm").args(["pack", "--silent", &spec]).current_dir(&dir))?;
    let archive = std::fs::read_dir(&dir)
        .map_err(|error| error.to_string())?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|ext| ext == "tgz"))
        .ok_or("npm pack left no archive")?;
    run(Command::new("tar").arg("xzf").arg(&archive).current_dir(&dir))?;
    match std::fs::remove_file(&archive) {
        // Gone already is as good. It was seen once, on a fresh clone; why is not known.
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(format!("{}: {error}", archive.display()));
        }
        _ => {}
    }
    if program.is_file() { Ok(program) } else { Err(format!("{spec} holds no program")) }
}
