//! The protocol's official Python client, installed by pip into a place of its own in the target directory.

use std::path::PathBuf;
use std::process::Command;

use crate::cargo::target_dir;
use crate::need::run;

/// Its exact version, and those of everything it needs.
const REQUIREMENTS: &str = include_str!("../../testkit/tests/sdk/requirements.txt");

/// A Python that has it.
pub(crate) fn ensure() -> Result<PathBuf, String> {
    let dir = target_dir().join("agents").join("python-mcp");
    let (python, installed) = (dir.join("bin/python"), dir.join("requirements.txt"));
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == REQUIREMENTS) {
        return Ok(python);
    }
    let at = |error: std::io::Error| format!("{}: {error}", dir.display());
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir))?;
    let wanted = dir.join("wanted.txt");
    std::fs::write(&wanted, REQUIREMENTS).map_err(at)?;
    let install = ["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"];
    run(Command::new(&python).args(install).arg("--requirement").arg(&wanted))?;
    std::fs::rename(&wanted, &installed).map_err(at)?;
    Ok(python)
}
