//! The way back from a change of every kind, cut short at every point, and past what the host did since.

use std::cell::{Cell, RefCell};
use std::fs;

use super::*;
use crate::workspace::apply::tests::{Task, picture, task};
use crate::workspace::{Recovery, review};

fn applied() -> Task {
    let mut task = task();
    task.apply_probed(&|_| false).unwrap();
    task
}

impl Task {
    fn undo(&mut self) -> Result<UndoReport, WorkspaceError> {
        self.undo_probed(&|_| false)
    }

    fn undo_probed(&mut self, probe: Probe<'_>) -> Result<UndoReport, WorkspaceError> {
        undo_probed(&mut self.session, self.lock.as_ref().unwrap(), probe)
    }
}

fn names(left: &[Left]) -> Vec<String> {
    left.iter().map(|left| left.path.to_string()).collect()
}

#[test]
fn an_applied_session_is_taken_back_whole() {
    let old = picture(&task().workspace);
    let mut task = applied();
    assert_ne!(picture(&task.workspace), old, "positive control");
    let report = task.undo().unwrap();
    assert_eq!(picture(&task.workspace), old);
    assert!(report.left.is_empty() && report.undone.len() > 5, "{report:?}");
    // One change waits, and goes on waiting.
    assert_eq!(task.session.status(), Status::Held);
    assert!(matches!(task.undo(), Err(WorkspaceError::NothingApplied { .. })));
}

#[test]
fn every_accepted_layer_is_taken_back_and_the_session_ends() {
    let old = picture(&task().workspace);
    let mut task = applied();
    let items = review::items(&task.session).unwrap();
    review::accept(&mut task.session, task.lock.as_ref().unwrap(), &items).unwrap();
    assert_eq!(task.session.status(), Status::Applied);
    assert!(task.workspace.join("held").exists());
    let kept: Vec<String> = fs::read_dir(task.session.dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert!(
        !kept.iter().any(|name| ["overlay", "tmp", "home"].contains(&name.as_str())),
        "{kept:?}"
    );
    task.undo().unwrap();
    assert_eq!(picture(&task.workspace), old);
    assert_eq!(task.session.status(), Status::Undone);
    assert!(!task.session.dir().join("undo").exists());
}

#[test]
fn what_the_host_changed_since_stays() {
    let mut task = applied();
    fs::write(task.workspace.join("mod"), "the user's").unwrap();
    fs::write(task.workspace.join("new/deep/more"), "the user's").unwrap();
    fs::write(task.workspace.join("del"), "made again").unwrap();
    let report = task.undo().unwrap();
    let read = |name: &str| fs::read_to_string(task.workspace.join(name)).unwrap();
    assert_eq!(
        (read("mod"), read("new/deep/more"), read("del")),
        ("the user's".to_owned(), "the user's".to_owned(), "made again".to_owned())
    );
    assert!(!task.workspace.join("new/deep/file").exists(), "positive control: {report:?}");
    let left = names(&report.left);
    for path in ["mod", "new/deep", "del"] {
        assert!(left.iter().any(|l| l == path), "{path}: {left:?}");
    }
}

#[test]
fn an_undo_cut_short_is_finished_or_starts_again() {
    let old = picture(&task().workspace);
    let seen = RefCell::new(Vec::new());
    applied()
        .undo_probed(&|point| {
            seen.borrow_mut().push(point.to_owned());
            false
        })
        .unwrap();
    let all = seen.into_inner();
    assert!(all.len() > 15, "{all:?}");
    let new = picture(&applied().workspace);
    for (at, point) in all.iter().enumerate().filter(|(_, point)| *point != "exchanged") {
        let mut task = applied();
        let count = Cell::new(0);
        let crashed = task.undo_probed(&|_| {
            count.set(count.get() + 1);
            count.get() == at + 1
        });
        assert!(crashed.is_err(), "point {at} ({point})");
        task.reopen();
        match task.recover() {
            Recovery::Finished => assert_eq!(picture(&task.workspace), old, "{at} ({point})"),
            Recovery::RolledBack => {
                assert_eq!(picture(&task.workspace), new, "{at} ({point})");
                task.undo().unwrap();
            }
            Recovery::Nothing => panic!("no journal after a crash at {at} ({point})"),
        }
        assert_eq!(picture(&task.workspace), old, "{at} ({point})");
        assert!(matches!(task.undo(), Err(WorkspaceError::NothingApplied { .. })));
    }
}

#[test]
fn an_apply_cut_short_can_be_taken_back_too() {
    let old = picture(&task().workspace);
    for cut in ["step", "stepped", "kept", "committed"] {
        let mut task = task();
        assert!(task.apply_probed(&|point| point == cut).is_err());
        task.reopen();
        assert_eq!(task.recover(), Recovery::Finished, "{cut}");
        assert_ne!(picture(&task.workspace), old, "{cut}");
        task.undo().unwrap();
        assert_eq!(picture(&task.workspace), old, "{cut}");
    }
}

#[test]
fn an_image_that_was_changed_is_not_put_back() {
    let mut task = applied();
    let dir = images_dir(&task.session, 1);
    let image = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path: &std::path::PathBuf| fs::read_to_string(path).is_ok_and(|t| t == "old"))
        .unwrap();
    fs::write(&image, "forged").unwrap();
    let report = task.undo().unwrap();
    assert!(report.left.iter().any(|l| l.reason == LeftReason::ImageChanged), "{report:?}");
    assert!(!picture(&task.workspace).values().any(|content| content.contains("forged")));
}
