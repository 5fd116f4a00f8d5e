//! Worktrees and submodules of a workspace go with its repository, whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use nucleus_sandbox::workspace::{ApplyOptions, HoldReason, apply, review};

use super::ground::{Task, commit, git, reasons, task_in};

/// A submodule `sub` with one commit, and a linked worktree `wt` on the branch `side`.
fn nested(ws: &Path) {
    let library = ws.parent().unwrap().join("library");
    fs::create_dir(&library).unwrap();
    git(&library, &["init", "-q"]);
    fs::write(library.join("l"), "one\n").unwrap();
    git(&library, &["add", "."]);
    git(&library, &["commit", "-q", "-m", "lib"]);
    let add = ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add"];
    let from = library.to_str().unwrap();
    git(ws, &[&add[..], &["--name", "libs/sub", from, "sub"]].concat());
    git(ws, &["commit", "-q", "-m", "with sub"]);
    git(ws, &["worktree", "add", "-q", "-b", "side", "wt"]);
    fs::write(ws.join(".git/info/exclude"), "/wt\n").unwrap();
}

/// A commit in a nested working tree.
fn commit_in(dir: &Path, file: &str) {
    fs::write(dir.join(file), "two\n").unwrap();
    git(dir, &["commit", "-q", "-a", "-m", "inside"]);
}

fn subject(dir: PathBuf) -> String {
    git(&dir, &["log", "-1", "--format=%s"]).trim().to_owned()
}

fn is_clean(dir: PathBuf) -> bool {
    git(&dir, &["status", "--porcelain"]).is_empty()
        && !git(&dir, &["fsck", "--strict"]).contains("error")
}

/// A task whose repository must wait as a whole: nothing of it moved.
fn must_wait(mut task: Task, reason: HoldReason) {
    let report = task.apply();
    assert_eq!(reasons(&report), [reason], "{report:?}");
    assert!(report.applied.iter().all(|c| !c.path.to_string().starts_with(".git")), "{report:?}");
    assert_eq!(task.subject(), "with sub");
    assert_eq!(subject(task.workspace.join("sub")), "lib");
    assert_eq!(subject(task.workspace.join("wt")), "with sub");
}

#[test]
fn a_status_holds_nothing() {
    let mut task = task_in(nested, |ws| {
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
        for file in ["f", "sub/l", "wt/f"] {
            let file = fs::File::options().write(true).open(ws.join(file)).unwrap();
            file.set_modified(later).unwrap();
        }
        for dir in ["", "sub", "wt"] {
            git(&ws.join(dir), &["status"]);
        }
    });
    let report = task.apply();
    assert_eq!((report.held.len(), report.conflicts.len()), (0, 0), "{report:?}");
}

#[test]
fn a_commit_in_a_worktree_goes_with_its_index_and_its_log() {
    let mut task = task_in(nested, |ws| commit_in(&ws.join("wt"), "f"));
    let report = task.apply();
    assert_eq!((report.held.len(), report.conflicts.len()), (0, 0), "{report:?}");
    let worktree = task.workspace.join("wt");
    assert_eq!(subject(worktree.clone()), "inside");
    assert!(is_clean(worktree.clone()), "{}", git(&worktree, &["status"]));
    assert!(git(&worktree, &["reflog"]).contains("inside"));
    assert_eq!(task.subject(), "with sub");
    // What the user does next builds on it.
    fs::write(worktree.join("g"), "x").unwrap();
    git(&worktree, &["add", "g"]);
    git(&worktree, &["commit", "-q", "-m", "next"]);
    assert_eq!(git(&worktree, &["show", "HEAD:f"]), "two\n");
}

#[test]
fn a_commit_in_a_submodule_and_of_it_goes() {
    let mut task = task_in(nested, |ws| {
        commit_in(&ws.join("sub"), "l");
        git(ws, &["commit", "-q", "-a", "-m", "sub moved"]);
    });
    let report = task.apply();
    assert_eq!((report.held.len(), report.conflicts.len()), (0, 0), "{report:?}");
    assert_eq!(
        (task.subject(), subject(task.workspace.join("sub"))),
        ("sub moved".to_owned(), "inside".to_owned())
    );
    assert!(is_clean(task.workspace.clone()) && is_clean(task.workspace.join("sub")));
}

#[test]
fn the_host_moving_any_of_them_holds_all() {
    type Move = fn(&Path);
    let moves: [Move; 4] = [
        |ws| {
            git(ws, &["commit", "-q", "--allow-empty", "-m", "with sub"]);
        },
        |ws| {
            git(&ws.join("sub"), &["branch", "host"]);
        },
        |ws| {
            fs::write(ws.join("wt/staged"), "x").unwrap();
            git(&ws.join("wt"), &["add", "staged"]);
        },
        |ws| {
            git(&ws.join("wt"), &["checkout", "-q", "--detach"]);
        },
    ];
    for moved in moves {
        let task = task_in(nested, |ws| {
            commit(ws);
            commit_in(&ws.join("sub"), "l");
            commit_in(&ws.join("wt"), "f");
        });
        moved(&task.workspace);
        must_wait(task, HoldReason::GitMoved);
    }
}

#[test]
fn locks_in_any_of_them_hold_all() {
    for dir in ["modules/libs/sub", "worktrees/wt"] {
        let lock = format!(".git/{dir}/index.lock");
        let task = task_in(nested, |ws| {
            commit(ws);
            fs::write(ws.join(&lock), "").unwrap();
        });
        must_wait(task, HoldReason::GitUnfinished);
        let task = task_in(nested, commit);
        fs::write(task.workspace.join(&lock), "").unwrap();
        let workspace = task.workspace.clone();
        let mut task = task;
        assert_eq!(reasons(&task.apply()), [HoldReason::GitBusy]);
        fs::remove_file(workspace.join(&lock)).unwrap();
        task.apply();
        assert_eq!(task.subject(), "two");
    }
}

#[test]
fn a_branch_moved_under_a_worktree_waits() {
    type Move = fn(&Path);
    let moves: [Move; 2] = [
        |ws| {
            git(ws, &["update-ref", "refs/heads/side", "main"]);
        },
        |ws| {
            git(ws, &["update-ref", "refs/heads/side", "main"]);
            git(ws, &["pack-refs", "--all"]);
        },
    ];
    for moved in moves {
        must_wait(
            task_in(nested, |ws| {
                commit(ws);
                moved(ws);
            }),
            HoldReason::WorktreeBehind,
        );
    }
    // Control: other branches move, and references are packed, as before.
    let mut task = task_in(nested, |ws| {
        commit(ws);
        git(ws, &["branch", "other"]);
        git(ws, &["pack-refs", "--all"]);
    });
    let report = task.apply();
    assert_eq!(report.held.len(), 0, "{report:?}");
    assert_eq!(task.subject(), "two");
}

#[test]
fn a_worktree_that_the_task_took_away_holds_the_unit() {
    let task = task_in(nested, |ws| {
        commit(ws);
        fs::remove_dir_all(ws.join(".git/worktrees")).unwrap();
    });
    let mut task = task;
    let found = reasons(&task.apply());
    assert!(found.contains(&HoldReason::GitReplaced), "{found:?}");
    assert_eq!(task.subject(), "with sub");
    assert_eq!(subject(task.workspace.join("wt")), "with sub");
}

#[test]
fn a_policy_that_lets_nobody_commit_holds_commits_in_them_too() {
    let rule = |path: &str| path.starts_with(".git/refs/").then_some(HoldReason::NotPermitted);
    for (dir, file) in [("sub", "l"), ("wt", "f")] {
        let mut task = task_in(nested, |ws| commit_in(&ws.join(dir), file));
        let options = ApplyOptions { review: false, hold: &rule };
        let report = apply(&mut task.session, &task.lock, &options).unwrap();
        assert_eq!(reasons(&report), [HoldReason::NotPermitted], "{dir}: {report:?}");
        assert_ne!(subject(task.workspace.join(dir)), "inside");
    }
}

#[test]
fn what_git_obeys_is_held_in_each_of_them() {
    let places = [
        "modules/libs/sub/hooks/post-checkout",
        "modules/libs/sub/config",
        "modules/libs/sub/info/attributes",
        "modules/libs/sub/objects/info/alternates",
        "modules/libs/sub/commondir",
        "modules/libs/HEAD",
        "modules/libs/config",
        "modules/libs/index",
        "modules/new/HEAD",
        "modules/new/config",
        "worktrees/wt/gitdir",
        "worktrees/wt/commondir",
        "worktrees/wt/config.worktree",
        "worktrees/wt/hooks/post-checkout",
        "worktrees/new/HEAD",
        "worktrees/new/gitdir",
    ];
    let mut task = task_in(nested, |ws| {
        commit_in(&ws.join("sub"), "l");
        for place in places {
            let file = ws.join(".git").join(place);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "evil").unwrap();
        }
    });
    let before: Vec<_> =
        places.iter().map(|p| fs::read(task.workspace.join(".git").join(p)).ok()).collect();
    let report = task.apply();
    assert_eq!(reasons(&report), [HoldReason::GitTrusted], "{report:?}");
    assert_eq!(report.held.len(), places.len(), "{:?}", report.held);
    for (place, before) in places.iter().zip(before) {
        assert_eq!(fs::read(task.workspace.join(".git").join(place)).ok(), before, "{place}");
    }
    assert_eq!(subject(task.workspace.join("sub")), "inside", "positive control");
    // Each is shown by itself.
    assert_eq!(review::items(&task.session).unwrap().len(), places.len());
}

#[test]
fn what_the_configuration_of_a_submodule_runs_is_held() {
    let mut task = task_in(
        |ws| {
            nested(ws);
            git(&ws.join("sub"), &["config", "core.hooksPath", "tools/hooks"]);
        },
        |ws| {
            for file in ["sub/tools/hooks/post-checkout", "sub/tools/plain"] {
                fs::create_dir_all(ws.join(file).parent().unwrap()).unwrap();
                fs::write(ws.join(file), "x").unwrap();
            }
        },
    );
    let report = task.apply();
    let held: Vec<_> = report.held.iter().map(|h| (h.path.to_string(), h.reason)).collect();
    assert_eq!(held, [("sub/tools/hooks/post-checkout".to_owned(), HoldReason::GitTrusted)]);
    assert!(task.workspace.join("sub/tools/plain").exists(), "positive control");
}

#[test]
fn pointers_and_links_are_held() {
    let mut task = task_in(nested, |ws| {
        fs::write(ws.join("sub/.git"), "gitdir: ../evil\n").unwrap();
        fs::write(ws.join("wt/.git"), "gitdir: ../evil\n").unwrap();
    });
    let report = task.apply();
    assert_eq!(reasons(&report), [HoldReason::NestedRepository], "{report:?}");
    assert_eq!(report.held.len(), 2, "{report:?}");
    for link in ["modules/libs/sub/index", "worktrees/wt/HEAD"] {
        let mut task = task_in(nested, |_| {});
        let up = task.session.upper().join(".git").join(link);
        fs::create_dir_all(up.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &up).unwrap();
        let report = task.apply();
        assert_eq!(reasons(&report), [HoldReason::GitTrusted], "{report:?}");
        assert!(!task.workspace.join(".git").join(link).is_symlink());
    }
}
