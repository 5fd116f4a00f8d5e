//! A repository, a task on it, and what an overlay would hold afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nucleus_sandbox::workspace::{
    ApplyOptions, ApplyReport, HoldReason, Lock, Session, SessionSettings, admit, apply, mask,
};

pub(crate) fn git(dir: &Path, args: &[&str]) -> String {
    let out = Command::new("git")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .args([
            "-C",
            dir.to_str().unwrap(),
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@t",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(args)
        .output()
        .unwrap();
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

pub(crate) struct Task {
    _dir: tempfile::TempDir,
    pub(crate) workspace: PathBuf,
    pub(crate) session: Session,
    pub(crate) lock: Lock,
}

/// A repository with one commit, and a session of a task that did `work` in it.
pub(crate) fn task(work: impl FnOnce(&Path)) -> Task {
    task_in(|_| {}, work)
}

/// As [`task`], in a repository that `setup` made more of. The work is done at the workspace's own path, which git
/// writes into worktrees and submodules; then the tree is put back as it was, and what differs is copied up as an
/// overlay would.
pub(crate) fn task_in(setup: impl FnOnce(&Path), work: impl FnOnce(&Path)) -> Task {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().canonicalize().unwrap();
    let workspace = top.join("ws");
    fs::create_dir(&workspace).unwrap();
    git(&workspace, &["init", "-q"]);
    fs::write(workspace.join("f"), "one\n").unwrap();
    git(&workspace, &["add", "."]);
    git(&workspace, &["commit", "-q", "-m", "one"]);
    setup(&workspace);
    let before = top.join("before");
    let copied = Command::new("cp").arg("-a").arg(&workspace).arg(&before).status().unwrap();
    assert!(copied.success());
    work(&workspace);
    let after = top.join("after");
    fs::rename(&workspace, &after).unwrap();
    fs::rename(&before, &workspace).unwrap();
    let admitted = admit(&workspace, &[], Path::new("/nonexistent/h")).unwrap();
    let (session, lock) =
        Session::create(&top.join("state"), "session-git", &admitted, SessionSettings::default())
            .unwrap();
    mask::plan(&workspace, &mask::MaskPolicy::none(), session.dir()).unwrap();
    copy_up(&after, &workspace, &session.upper());
    Task { _dir: dir, workspace, session, lock }
}

fn copy_up(from: &Path, lower: &Path, upper: &Path) {
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let (low, up) = (lower.join(&name), upper.join(&name));
        if path.is_dir() {
            fs::create_dir_all(&up).unwrap();
            copy_up(&path, &low, &up);
        } else if fs::read(&low).ok() != fs::read(&path).ok() {
            fs::copy(&path, &up).unwrap();
        }
    }
    let Ok(entries) = fs::read_dir(lower) else { return };
    for entry in entries.flatten().filter(|e| !from.join(e.file_name()).exists()) {
        let up = upper.join(entry.file_name());
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &up,
            rustix::fs::FileType::CharacterDevice,
            rustix::fs::Mode::empty(),
            0,
        )
        .unwrap();
    }
}

/// A commit of a changed file.
pub(crate) fn commit(dir: &Path) {
    fs::write(dir.join("f"), "two\n").unwrap();
    git(dir, &["commit", "-q", "-a", "-m", "two"]);
}

impl Task {
    pub(crate) fn apply(&mut self) -> ApplyReport {
        apply(&mut self.session, &self.lock, &ApplyOptions { review: false, hold: &|_| None })
            .unwrap()
    }

    pub(crate) fn subject(&self) -> String {
        git(&self.workspace, &["log", "-1", "--format=%s"]).trim().to_owned()
    }
}

/// Why something of a repository waits.
pub(crate) fn reasons(report: &ApplyReport) -> Vec<HoldReason> {
    let mut out = Vec::new();
    for held in report.held.iter().filter(|h| h.path.to_string().contains(".git")) {
        if !out.contains(&held.reason) {
            out.push(held.reason);
        }
    }
    out
}
