//! A session that is built, tested and torn down without a task: what the walls are worth on this host.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::driver::{Driver, WorkspaceMode};
use crate::enforcement::Enforcement;
use crate::error::SandboxError;
use crate::local::{LauncherConfig, LocalDriver};
use crate::spec::{Limits, SessionSpec};
use crate::workspace::{self, Session, SessionSettings, mask::MaskPolicy};

/// What a rehearsal found.
#[derive(Debug)]
pub struct Rehearsal {
    /// Every layer, as probed from inside.
    pub enforcement: Enforcement,
    /// Whether a workspace can be overlaid where Nucleus keeps its state.
    pub workspace_mode: WorkspaceMode,
}

/// Builds real walls around an empty workspace beneath `state_dir`. `program` is the binary that holds the launcher.
///
/// # Errors
/// Whatever a run would end with, too.
pub fn rehearse(state_dir: &Path, program: PathBuf) -> Result<Rehearsal, SandboxError> {
    let place = state_dir.join(format!("rehearsal-{}", std::process::id()));
    let result = in_place(&place, program);
    // What cannot be removed now lies in the state directory, where `nucleus gc` finds it.
    let _left = workspace::remove_tree(&place);
    result
}

fn in_place(place: &Path, program: PathBuf) -> Result<Rehearsal, SandboxError> {
    let made =
        |source: io::Error| SandboxError::host("making a directory for the rehearsal")(source);
    let dir = place.join("workspace");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(made)?;
    let admitted = workspace::admit(&dir, &[], Path::new("/nonexistent"))
        .map_err(|refusal| made(io::Error::other(refusal.to_string())))?;
    let (session, lock) =
        Session::create(place, "rehearsal", &admitted, SessionSettings::default())?;
    let driver = LocalDriver::start(&LauncherConfig { program })?;
    let handles = driver.prepare(&SessionSpec {
        beside: Vec::new(),
        session_dir: session.dir().to_owned(),
        workspace: dir,
        masks: MaskPolicy::none(),
        toolchains: Vec::new(),
        cache_dir: None,
        gate: None,
        limits: Limits::default(),
        required: BTreeSet::new(),
    })?;
    let found =
        Rehearsal { enforcement: handles.enforcement, workspace_mode: handles.workspace_mode };
    driver.kill_all()?;
    drop(driver);
    drop(lock);
    Ok(found)
}
