//! Runs one command in a tool pod over a workspace: `pod WORKSPACE -- CMD…`.
//!
//! The changes stay in a temporary session and are listed at the end.
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use nucleus_sandbox::workspace::MaskPolicy;
use nucleus_sandbox::{
    Driver, LAUNCHER, LauncherConfig, Limits, LocalDriver, PodSpec, SessionSpec, WorkspaceMode,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|first| first == LAUNCHER) {
        std::process::exit(nucleus_sandbox::launcher_main());
    }
    let [workspace, separator, argv @ ..] = args.as_slice() else {
        return Err("usage: pod WORKSPACE -- CMD…".into());
    };
    if separator != "--" {
        return Err("usage: pod WORKSPACE -- CMD…".into());
    }
    let workspace = PathBuf::from(workspace).canonicalize()?;
    let session = tempfile::tempdir()?;
    let driver = LocalDriver::start(&LauncherConfig::default())?;
    let handles = driver.prepare(&SessionSpec {
        beside: Vec::new(),
        session_dir: session.path().to_path_buf(),
        workspace: workspace.clone(),
        masks: MaskPolicy::none(),
        toolchains: Vec::new(),
        cache_dir: None,
        gate: None,
        limits: Limits::default(),
        required: Default::default(),
    })?;
    for (layer, finding) in handles.enforcement.iter() {
        eprintln!("{layer:14} {:8} {}", finding.strength, finding.evidence);
    }
    let own =
        |fd: std::os::fd::BorrowedFd<'_>| -> std::io::Result<OwnedFd> { fd.try_clone_to_owned() };
    let pod = driver.spawn(PodSpec {
        argv: argv.to_vec(),
        env: vec![("PATH".into(), "/usr/bin:/bin".into()), ("HOME".into(), "/home/agent".into())],
        cwd: workspace.to_string_lossy().into_owned(),
        stdin: std::fs::File::open("/dev/null")?.into(),
        stdout: own(std::io::stdout().as_fd())?,
        stderr: own(std::io::stderr().as_fd())?,
        agent: None,
    })?;
    eprintln!("{:?}", pod.wait(None)?);
    if handles.workspace_mode == WorkspaceMode::Overlay {
        for entry in std::fs::read_dir(session.path().join("overlay/upper"))? {
            eprintln!("changed: {}", entry?.path().display());
        }
    }
    Ok(())
}
