//! A repository and a task that worked in it, with real git on both sides.

#![expect(clippy::unwrap_used, reason = "a helper of a test that fails, fails the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nucleus_sandbox::workspace::{
    ApplyOptions, ApplyReport, HoldReason, Lock, Session, SessionSettings, admit, apply, mask,
};

/// Runs git with nobody's configuration and gives what it prints.
pub(crate) fn git(dir: &Path, args: &[&str]) -> String {
    let out = command(dir, args).output().unwrap();
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim_end().to_owned()
}

/// The same, not yet run.
pub(crate) fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_EDITOR", "true")
        .args(["-C", dir.to_str().unwrap(), "-c", "user.name=t", "-c", "user.email=t@t"])
        .args([
            "-c",
            "init.defaultBranch=main",
            "-c",
            "gc.auto=0",
            "-c",
            "protocol.file.allow=always",
        ])
        .args(args);
    command
}

/// Writes a file, with the directories it lies in.
pub(crate) fn write(dir: &Path, path: &str, content: &str) {
    let file = dir.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, content).unwrap();
}

/// Commits everything.
pub(crate) fn commit_all(dir: &Path, subject: &str) -> String {
    git(dir, &["add", "-A", "-f"]);
    git(dir, &["commit", "-q", "-m", subject]);
    git(dir, &["rev-parse", "HEAD"])
}

/// A session of a workspace that a task worked in.
pub(crate) struct Task {
    _dir: tempfile::TempDir,
    pub(crate) workspace: PathBuf,
    pub(crate) session: Session,
    pub(crate) lock: Lock,
}

/// A workspace that `prepare` fills, and a session whose upper layer is then filled as an overlay's would be: `work`
/// happens in a copy of the tree, and every file that differs afterwards is copied up.
pub(crate) fn task(prepare: impl FnOnce(&Path), work: impl FnOnce(&Path)) -> Task {
    let dir = tempfile::tempdir().unwrap();
    let workspace = dir.path().canonicalize().unwrap().join("ws");
    fs::create_dir(&workspace).unwrap();
    git(&workspace, &["init", "-q"]);
    prepare(&workspace);
    let state = dir.path().join("state");
    let admitted = admit(&workspace, &[], Path::new("/nonexistent/h")).unwrap();
    let (session, lock) =
        Session::create(&state, "session-git", &admitted, SessionSettings::default()).unwrap();
    mask::plan(&workspace, &mask::MaskPolicy::none(), session.dir()).unwrap();
    let clone = dir.path().join("clone");
    let copied = Command::new("cp").arg("-a").arg(&workspace).arg(&clone).status().unwrap();
    assert!(copied.success());
    work(&clone);
    copy_up(&clone, &workspace, &session.upper());
    Task { _dir: dir, workspace, session, lock }
}

fn copy_up(from: &Path, lower: &Path, upper: &Path) {
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let (low, up) = (lower.join(&name), upper.join(&name));
        if path.is_symlink() {
            if fs::read_link(&low).ok() != fs::read_link(&path).ok() {
                std::os::unix::fs::symlink(fs::read_link(&path).unwrap(), &up).unwrap();
            }
        } else if path.is_dir() {
            fs::create_dir_all(&up).unwrap();
            copy_up(&path, &low, &up);
        } else if fs::read(&low).ok() != fs::read(&path).ok() {
            fs::copy(&path, &up).unwrap();
        }
    }
    let Ok(entries) = fs::read_dir(lower) else { return };
    for entry in entries.flatten().filter(|e| from.join(e.file_name()).symlink_metadata().is_err())
    {
        rustix::fs::mknodat(
            rustix::fs::CWD,
            upper.join(entry.file_name()),
            rustix::fs::FileType::CharacterDevice,
            rustix::fs::Mode::empty(),
            0,
        )
        .unwrap();
    }
}

impl Task {
    /// Applies with the judgement of tests: workflows are executed, `.env` is sensitive.
    pub(crate) fn apply(&mut self) -> ApplyReport {
        let hold = |path: &str| match path {
            ".env" => Some(HoldReason::Sensitive),
            "AGENTS.md" => Some(HoldReason::ExecutedOrTrusted),
            _ if path.starts_with(".github/workflows/") => Some(HoldReason::ExecutedOrTrusted),
            _ => None,
        };
        apply(&mut self.session, &self.lock, &ApplyOptions { review: false, hold: &hold }).unwrap()
    }

    pub(crate) fn subject(&self) -> String {
        git(&self.workspace, &["log", "-1", "--format=%s"])
    }
}

/// Why the repository waits: each reason once.
pub(crate) fn reasons(report: &ApplyReport) -> Vec<HoldReason> {
    let mut out = Vec::new();
    for held in report.held.iter().filter(|h| h.path.to_string().starts_with(".git/")) {
        if !out.contains(&held.reason) {
            out.push(held.reason);
        }
    }
    out
}
