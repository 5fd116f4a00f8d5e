//! `.git` as one unit, with real git on both sides.

#![expect(clippy::unwrap_used, reason = "a helper of a test that fails, fails the test")]

#[path = "workspace_git/ground.rs"]
mod ground;
#[path = "workspace_git/index.rs"]
mod index;
#[path = "workspace_git/nested.rs"]
mod nested;

use std::fs;
use std::path::{Path, PathBuf};

use nucleus_sandbox::workspace::{
    ApplyOptions, HoldReason, Session, SessionSettings, WorkspaceError, admit, apply, review,
};

use ground::{commit, git, reasons, task};

#[test]
fn a_commit_is_carried_over() {
    let mut task = task(commit);
    let report = task.apply();
    assert_eq!((report.held.len(), report.conflicts.len()), (0, 0), "{report:?}");
    assert_eq!(task.subject(), "two");
    assert_eq!(git(&task.workspace, &["status", "--porcelain"]), "");
    git(&task.workspace, &["fsck", "--strict"]);
}

#[test]
fn a_status_of_the_host_is_no_move() {
    let mut task = task(commit);
    // Makes git rewrite the index with fresh stat data.
    let now = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    fs::File::options().write(true).open(task.workspace.join(".git/HEAD")).unwrap();
    let before = fs::read(task.workspace.join(".git/index")).unwrap();
    fs::File::options()
        .write(true)
        .open(task.workspace.join("f"))
        .unwrap()
        .set_modified(now)
        .unwrap();
    git(&task.workspace, &["update-index", "-q", "--refresh"]);
    assert_ne!(
        before,
        fs::read(task.workspace.join(".git/index")).unwrap(),
        "the index was rewritten"
    );
    let report = task.apply();
    assert_eq!(reasons(&report), [], "{report:?}");
    assert_eq!(task.subject(), "two");
}

#[test]
fn a_commit_of_the_host_holds_the_whole_unit() {
    let mut task = task(commit);
    fs::write(task.workspace.join("g"), "host\n").unwrap();
    git(&task.workspace, &["add", "g"]);
    git(&task.workspace, &["commit", "-q", "-m", "host"]);
    let report = task.apply();
    assert_eq!(reasons(&report), [HoldReason::GitMoved]);
    assert!(report.applied.iter().all(|c| !c.path.to_string().starts_with(".git")));
    assert_eq!(task.subject(), "host");
    git(&task.workspace, &["fsck", "--strict"]);
    // Not even the user's word undoes the host's commit.
    let items = review::items(&task.session).unwrap();
    let unit = items.iter().find(|i| i.path.to_string() == ".git").unwrap().clone();
    assert!(unit.files() > 3);
    let refused = review::accept(&mut task.session, &task.lock, &[unit]);
    assert!(matches!(
        refused,
        Err(WorkspaceError::NotAcceptable { why: HoldReason::GitMoved, .. })
    ));
}

#[test]
fn staged_work_and_branches_of_the_host_hold_too() {
    type Move = fn(&Path);
    let moves: [Move; 3] = [
        |ws| {
            fs::write(ws.join("staged"), "x").unwrap();
            git(ws, &["add", "staged"]);
        },
        |ws| {
            git(ws, &["branch", "topic"]);
        },
        |ws| {
            git(ws, &["checkout", "-q", "-b", "other"]);
        },
    ];
    for moved in moves {
        let mut task = task(commit);
        moved(&task.workspace);
        assert_eq!(reasons(&task.apply()), [HoldReason::GitMoved]);
        assert_eq!(task.subject(), "one");
    }
}

#[test]
fn hooks_and_configuration_are_held_and_the_rest_goes() {
    let mut task = task(|dir| {
        commit(dir);
        fs::write(dir.join(".git/hooks/post-checkout"), "#!/bin/sh\nevil\n").unwrap();
        git(dir, &["config", "core.fsmonitor", "evil"]);
        fs::create_dir_all(dir.join(".git/objects/info")).unwrap();
        fs::write(dir.join(".git/objects/info/alternates"), "/elsewhere\n").unwrap();
    });
    let report = task.apply();
    assert_eq!(reasons(&report), [HoldReason::GitTrusted]);
    assert_eq!(report.held.len(), 3, "{:?}", report.held);
    assert_eq!(task.subject(), "two", "positive control");
    assert!(!task.workspace.join(".git/hooks/post-checkout").exists());
    assert!(!task.workspace.join(".git/objects/info/alternates").exists());
    assert!(!fs::read_to_string(task.workspace.join(".git/config")).unwrap().contains("fsmonitor"));
}

#[test]
fn objects_are_never_deleted_even_by_a_gc_that_was_accepted() {
    let mut task = task(|dir| {
        commit(dir);
        git(dir, &["gc", "-q", "--prune=now"]);
    });
    let loose: Vec<PathBuf> = fs::read_dir(task.workspace.join(".git/objects"))
        .unwrap()
        .flatten()
        .filter(|e| e.file_name().len() == 2)
        .map(|e| e.path())
        .collect();
    assert!(!loose.is_empty());
    assert_eq!(reasons(&task.apply()), [HoldReason::GitTrusted, HoldReason::GitPacked]);
    let items = review::items(&task.session).unwrap();
    let report = review::accept(&mut task.session, &task.lock, &items).unwrap();
    assert_eq!(report.conflicts.len(), 0);
    assert!(loose.iter().all(|dir| fs::read_dir(dir).unwrap().count() > 0), "{report:?}");
    assert_eq!(task.subject(), "two");
    git(&task.workspace, &["fsck", "--strict"]);
}

#[test]
fn an_unfinished_git_command_holds_the_unit() {
    let mut task = task(|dir| {
        commit(dir);
        fs::write(dir.join(".git/index.lock"), "").unwrap();
    });
    assert_eq!(reasons(&task.apply()), [HoldReason::GitUnfinished]);
    assert_eq!(task.subject(), "one");
    assert!(!task.workspace.join(".git/index.lock").exists());
}

#[test]
fn a_git_command_of_the_host_holds_the_unit() {
    let mut task = task(commit);
    fs::write(task.workspace.join(".git/index.lock"), "").unwrap();
    assert_eq!(reasons(&task.apply()), [HoldReason::GitBusy]);
    fs::remove_file(task.workspace.join(".git/index.lock")).unwrap();
    // Once it ends, the same session applies.
    task.apply();
    assert_eq!(task.subject(), "two");
}

#[test]
fn removing_the_repository_is_held() {
    let mut task = task(|dir| fs::remove_dir_all(dir.join(".git")).unwrap());
    assert_eq!(reasons(&task.apply()), [HoldReason::GitReplaced]);
    assert_eq!(task.subject(), "one");
}

#[test]
fn repositories_inside_are_held() {
    let mut task = task(|dir| {
        fs::create_dir(dir.join("vendor")).unwrap();
        git(&dir.join("vendor"), &["init", "-q"]);
        fs::create_dir_all(dir.join("x/.GIT/hooks")).unwrap();
        fs::write(dir.join("x/.GIT/hooks/pre-commit"), "evil").unwrap();
        fs::write(dir.join("x/ok"), "ok").unwrap();
    });
    let report = task.apply();
    assert!(
        report.held.iter().all(|h| h.reason == HoldReason::NestedRepository),
        "{:?}",
        report.held
    );
    assert!(!task.workspace.join("vendor").exists() && !task.workspace.join("x/.GIT").exists());
    assert!(task.workspace.join("x/ok").exists());
}

#[test]
fn a_new_repository_is_carried_over_when_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let workspace = dir.path().canonicalize().unwrap().join("ws");
    fs::create_dir(&workspace).unwrap();
    let admitted = admit(&workspace, &[], Path::new("/nonexistent/h")).unwrap();
    let (mut session, lock) = Session::create(
        &dir.path().join("state"),
        "session-init",
        &admitted,
        SessionSettings::default(),
    )
    .unwrap();
    git(&session.upper(), &["init", "-q"]);
    let options = ApplyOptions { review: false, hold: &|_| None };
    let report = apply(&mut session, &lock, &options).unwrap();
    assert_eq!(reasons(&report), [HoldReason::NestedRepository]);
    assert!(!workspace.join(".git").exists());
    let items = review::items(&session).unwrap();
    assert_eq!(items.len(), 1, "one unit: {items:?}");
    review::accept(&mut session, &lock, &items).unwrap();
    git(&workspace, &["status"]);
}

#[test]
fn a_reviewed_commit_goes_whole_and_never_over_one_of_the_host() {
    for host_commits in [false, true] {
        let mut task = task(commit);
        let options = ApplyOptions { review: true, hold: &|_| None };
        apply(&mut task.session, &task.lock, &options).unwrap();
        assert_eq!(task.subject(), "one");
        if host_commits {
            // After the apply, before the user looks: the listing shows the host's new state.
            fs::write(task.workspace.join("g"), "host\n").unwrap();
            git(&task.workspace, &["add", "g"]);
            git(&task.workspace, &["commit", "-q", "-m", "host"]);
        }
        let items = review::items(&task.session).unwrap();
        let report = review::accept(&mut task.session, &task.lock, &items).unwrap();
        if host_commits {
            assert_eq!(reasons(&report), [HoldReason::GitMoved]);
            assert_eq!(task.subject(), "host");
        } else {
            assert_eq!(task.subject(), "two");
            assert_eq!(git(&task.workspace, &["status", "--porcelain"]), "");
        }
        git(&task.workspace, &["fsck", "--strict"]);
    }
}
