//! What an index may say when it goes to the user: entries, and nothing that hides a file or a lie.

use std::fs;
use std::path::Path;

use nucleus_sandbox::workspace::HoldReason;

use super::ground::{commit, git, reasons, task, task_in};

/// Files that a task may want to hide a change of.
fn files(ws: &Path) {
    for name in ["g", "h"] {
        fs::write(ws.join(name), "one\n").unwrap();
    }
    git(ws, &["add", "."]);
    git(ws, &["commit", "-q", "-m", "files"]);
}

/// Changes `g` and `h` unseen, and commits something else.
fn hide(ws: &Path) {
    git(ws, &["update-index", "--skip-worktree", "g"]);
    git(ws, &["update-index", "--assume-unchanged", "h"]);
    for name in ["g", "h"] {
        fs::write(ws.join(name), "evil\n").unwrap();
    }
    commit(ws);
    assert_eq!(
        git(ws, &["status", "--porcelain"]),
        "",
        "positive control: hidden where it was done"
    );
}

#[test]
fn a_flag_of_the_task_hides_nothing_in_any_version_of_the_format() {
    for version in ["2", "3", "4"] {
        let mut task = task_in(
            |ws| {
                files(ws);
                git(ws, &["update-index", "--index-version", version]);
            },
            hide,
        );
        let report = task.apply();
        assert_eq!(reasons(&report), [], "{report:?}");
        assert_eq!(task.subject(), "two");
        assert_eq!(git(&task.workspace, &["status", "--porcelain"]), " M g\n M h\n", "{version}");
        git(&task.workspace, &["fsck", "--strict"]);
    }
}

#[test]
fn a_flag_of_the_user_stays() {
    let mut task = task_in(
        |ws| {
            files(ws);
            git(ws, &["update-index", "--skip-worktree", "g"]);
            git(ws, &["update-index", "--assume-unchanged", "h"]);
        },
        |ws| {
            git(ws, &["update-index", "--no-skip-worktree", "g"]);
            commit(ws);
            fs::write(ws.join("new"), "n\n").unwrap();
            git(ws, &["add", "--intent-to-add", "new"]);
        },
    );
    let report = task.apply();
    assert_eq!(report.held.len(), 0, "{report:?}");
    assert_eq!(git(&task.workspace, &["ls-files", "-v"]), "H f\nS g\nh h\nH new\n");
    assert_eq!(git(&task.workspace, &["status", "--porcelain"]), " A new\n");
}

#[test]
fn other_forms_are_carried_over_or_held() {
    let carried: [(&[&str], &str); 2] =
        [(&["index.version", "4"], "version 4"), (&["index.skipHash", "true"], "no checksum")];
    for (setting, what) in carried {
        let mut task = task_in(|ws| drop(git(ws, &[&["config"], setting].concat())), commit);
        let report = task.apply();
        assert_eq!(report.held.len(), 0, "{what}: {report:?}");
        assert_eq!(task.subject(), "two", "{what}");
        assert_eq!(git(&task.workspace, &["status", "--porcelain"]), "", "{what}");
    }
    // A split index keeps its entries elsewhere, where they could say anything.
    let mut task = task(|ws| {
        commit(ws);
        git(ws, &["update-index", "--split-index"]);
    });
    assert_eq!(reasons(&task.apply()), [HoldReason::IndexUnread]);
    assert_eq!(task.subject(), "one");
    // Who has one already gets one.
    let mut task = task_in(|ws| drop(git(ws, &["update-index", "--split-index"])), commit);
    assert_eq!(reasons(&task.apply()), []);
    assert_eq!(task.subject(), "two");
}

#[test]
fn caches_of_the_task_do_not_cross_and_a_refresh_is_no_change() {
    let mut task = task_in(files, |ws| {
        git(ws, &["update-index", "--untracked-cache"]);
        git(ws, &["status"]);
    });
    let before = fs::read(task.workspace.join(".git/index")).unwrap();
    let report = task.apply();
    assert!(report.applied.is_empty() && report.held.is_empty(), "{report:?}");
    assert_eq!(fs::read(task.workspace.join(".git/index")).unwrap(), before);
    let mut task = task_in(files, |ws| {
        commit(ws);
        git(ws, &["update-index", "--untracked-cache"]);
        git(ws, &["status"]);
        let index = fs::read(ws.join(".git/index")).unwrap();
        let has = |name: &[u8]| index.windows(4).any(|part| part == name);
        assert!(has(b"UNTR") && has(b"TREE"), "positive control");
    });
    task.apply();
    let index = fs::read(task.workspace.join(".git/index")).unwrap();
    assert!(index.windows(4).all(|part| part != b"UNTR" && part != b"TREE"));
    assert_eq!(git(&task.workspace, &["status", "--porcelain"]), "");
}

#[test]
fn garbage_for_an_index_is_held() {
    for garbage in [&b""[..], b"DIRC", b"DIRC\0\0\0\x02\xff\xff\xff\xff\0\0\0\0", &[0x7f; 4096]] {
        let mut task = task(|ws| {
            commit(ws);
            fs::write(ws.join(".git/index"), garbage).unwrap();
        });
        assert_eq!(reasons(&task.apply()), [HoldReason::IndexUnread]);
        assert_eq!(task.subject(), "one");
    }
}

#[test]
fn a_repository_of_longer_names_works_too() {
    let mut task = task_in(
        |ws| {
            fs::remove_dir_all(ws.join(".git")).unwrap();
            git(ws, &["init", "-q", "--object-format=sha256"]);
            git(ws, &["add", "."]);
            git(ws, &["commit", "-q", "-m", "one"]);
            files(ws);
        },
        hide,
    );
    let report = task.apply();
    assert_eq!(reasons(&report), [], "{report:?}");
    assert_eq!(task.subject(), "two");
    assert_eq!(git(&task.workspace, &["status", "--porcelain"]), " M g\n M h\n");
}
