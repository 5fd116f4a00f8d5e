//! Crashes and errors at every point of an apply.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::*;
use crate::workspace::{Recovery, SessionSettings, admit, mask};

pub(crate) struct Task {
    _dir: tempfile::TempDir,
    pub(crate) workspace: PathBuf,
    state: PathBuf,
    pub(crate) session: Session,
    pub(crate) lock: Option<Lock>,
}

/// What a tree holds: path to content or kind, with permission bits.
pub(crate) type Picture = BTreeMap<String, String>;

pub(crate) fn picture(root: &Path) -> Picture {
    fn walk(root: &Path, dir: &Path, out: &mut Picture) {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let mode = metadata.permissions().mode() & 0o7777;
            if metadata.is_dir() {
                out.insert(name, format!("dir {mode:o}"));
                walk(root, &path, out);
            } else if metadata.is_symlink() {
                out.insert(name, format!("link {}", fs::read_link(&path).unwrap().display()));
            } else {
                out.insert(name, format!("{mode:o} {}", fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut out = Picture::new();
    walk(root, root, &mut out);
    out
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A task with a change of every kind.
pub(crate) fn task() -> Task {
    let dir = tempfile::tempdir().unwrap();
    let workspace = dir.path().canonicalize().unwrap().join("ws");
    for (name, text) in [
        ("mod", "old"),
        ("del", "old"),
        ("tree/x", "x"),
        ("tree/y/z", "z"),
        ("bits", "b"),
        ("to-dir", "f"),
        ("to-file/in", "f"),
    ] {
        write(&workspace.join(name), text);
    }
    let state = dir.path().join("state");
    let admitted = admit(&workspace, &[], Path::new("/nonexistent/h")).unwrap();
    let (session, lock) =
        Session::create(&state, "session-crash", &admitted, SessionSettings::default()).unwrap();
    mask::plan(&workspace, &mask::MaskPolicy::none(), session.dir()).unwrap();
    let upper = session.upper();
    write(&upper.join("mod"), "new");
    write(&upper.join("new/deep/file"), "made");
    write(&upper.join("to-dir/in"), "made");
    write(&upper.join("to-file"), "made");
    write(&upper.join("held"), "waits");
    write(&upper.join("bits"), "b");
    fs::set_permissions(upper.join("bits"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("mod", upper.join("link")).unwrap();
    for name in ["del", "tree"] {
        let whiteout = rustix::fs::FileType::CharacterDevice;
        rustix::fs::mknodat(
            rustix::fs::CWD,
            upper.join(name),
            whiteout,
            rustix::fs::Mode::empty(),
            0,
        )
        .unwrap();
    }
    Task { _dir: dir, workspace, state, session, lock: Some(lock) }
}

fn hold(path: &str) -> Option<HoldReason> {
    (path == "held").then_some(HoldReason::ExecutedOrTrusted)
}

impl Task {
    pub(crate) fn apply_probed(&mut self, probe: Probe<'_>) -> Result<ApplyReport, WorkspaceError> {
        let options = ApplyOptions { review: false, hold: &hold };
        apply_probed(&mut self.session, self.lock.as_ref().unwrap(), &options, probe)
    }

    /// As the next command finds it: a new process, the lock free.
    pub(crate) fn reopen(&mut self) {
        self.lock = None;
        self.session = Session::open(&self.state, "session-crash").unwrap();
        self.lock = Some(self.session.lock().unwrap());
    }

    pub(crate) fn recover(&mut self) -> Recovery {
        recover(&mut self.session, self.lock.as_ref().unwrap()).unwrap()
    }
}

/// Every point an undisturbed apply passes.
fn points() -> Vec<String> {
    let seen = RefCell::new(Vec::new());
    let mut task = task();
    task.apply_probed(&|point| {
        seen.borrow_mut().push(point.to_owned());
        false
    })
    .unwrap();
    seen.into_inner()
}

#[test]
fn a_crash_at_any_point_is_finished_or_undone() {
    let all = points();
    let crashes = all.iter().filter(|p| *p != "exchanged").count();
    assert!(crashes > 20, "every staging and step is a point: {all:?}");
    let old = picture(&task().workspace);
    let new = {
        let mut task = task();
        task.apply_probed(&|_| false).unwrap();
        picture(&task.workspace)
    };
    assert_ne!(old, new);
    for (at, point) in all.iter().enumerate().filter(|(_, point)| *point != "exchanged") {
        let mut task = task();
        let count = Cell::new(0);
        let crashed = task.apply_probed(&|_| {
            count.set(count.get() + 1);
            count.get() == at + 1
        });
        assert!(crashed.is_err(), "point {at} ({})", point);
        task.reopen();
        let recovery = task.recover();
        let now = picture(&task.workspace);
        match recovery {
            Recovery::Finished => assert_eq!(now, new, "after a crash at {at} ({})", point),
            Recovery::RolledBack => assert_eq!(now, old, "after a crash at {at} ({})", point),
            Recovery::Nothing => panic!("no journal after a crash at {at} ({})", point),
        }
        if recovery == Recovery::RolledBack {
            task.apply_probed(&|_| false).unwrap();
            assert_eq!(picture(&task.workspace), new, "applied again after a crash at {at}");
        }
        let items = review::items(&task.session).unwrap();
        assert_eq!(items.iter().map(|i| i.path.to_string()).collect::<Vec<_>>(), ["held"]);
        assert_eq!(task.recover(), Recovery::Nothing);
    }
}

#[test]
fn a_crash_before_the_first_change_leaves_the_old_tree() {
    for point in ["planned", "staging", "staged"] {
        let mut task = task();
        let old = picture(&task.workspace);
        assert!(task.apply_probed(&|p| p == point).is_err());
        task.reopen();
        let recovery = task.recover();
        assert_eq!(recovery, Recovery::RolledBack, "{point}");
        assert_eq!(picture(&task.workspace), old);
    }
}

#[test]
fn a_torn_record_counts_as_not_written() {
    let mut task = task();
    let old = picture(&task.workspace);
    // The process died while it wrote `staged`.
    assert!(task.apply_probed(&|p| p == "staged").is_err());
    let journal = crate::workspace::journal::path_in(task.session.dir());
    let mut text = fs::read(&journal).unwrap();
    text.extend_from_slice(b"{\"staged\":{\"1\":12");
    fs::write(&journal, text).unwrap();
    task.reopen();
    assert_eq!(task.recover(), Recovery::RolledBack);
    assert_eq!(picture(&task.workspace), old);
}

#[test]
fn host_edits_after_a_crash_are_kept() {
    let mut task = task();
    let steps = Cell::new(0);
    // Dies with every removal done, before the new files are put.
    let crashed = task.apply_probed(&|p| {
        steps.set(steps.get() + usize::from(p == "step"));
        p == "step" && steps.get() == 1
    });
    assert!(crashed.is_err());
    fs::write(task.workspace.join("mod"), "user's").unwrap();
    task.reopen();
    assert_eq!(task.recover(), Recovery::Finished);
    assert_eq!(fs::read_to_string(task.workspace.join("mod")).unwrap(), "user's");
    assert_eq!(
        fs::read_to_string(task.workspace.join("new/deep/file")).unwrap(),
        "made",
        "positive control"
    );
    let items = review::items(&task.session).unwrap();
    assert!(items.iter().any(|i| i.path.to_string() == "mod" && i.conflict));
}

#[test]
fn an_edit_in_the_last_moment_is_put_back() {
    let mut task = task();
    let workspace = task.workspace.clone();
    // After the comparison, in the file that is being replaced: an editor that held it open.
    let held =
        RefCell::new(Some(fs::File::options().append(true).open(workspace.join("mod")).unwrap()));
    let report = task
        .apply_probed(&|point| {
            if point == "exchanged"
                && let Some(mut file) = held.borrow_mut().take()
            {
                std::io::Write::write_all(&mut file, b" and the user's").unwrap();
            }
            false
        })
        .unwrap();
    assert_eq!(fs::read_to_string(workspace.join("mod")).unwrap(), "old and the user's");
    assert!(report.conflicts.iter().any(|c| c.path.to_string() == "mod"), "{report:?}");
}

/// Makes a directory that refuses new names, for root too; false where the file system has no such thing.
fn freeze(dir: &Path, frozen: bool) -> bool {
    if rustix::process::geteuid().is_root() {
        let held = fs::File::open(dir).unwrap();
        let Ok(flags) = rustix::fs::ioctl_getflags(&held) else { return false };
        let mut wanted = flags;
        wanted.set(rustix::fs::IFlags::IMMUTABLE, frozen);
        return rustix::fs::ioctl_setflags(&held, wanted).is_ok();
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(if frozen { 0o555 } else { 0o755 })).is_ok()
}

#[test]
fn a_failing_step_puts_everything_back() {
    let mut task = task();
    let frozen = task.workspace.join("zz-frozen");
    fs::create_dir(&frozen).unwrap();
    assert!(
        freeze(&frozen, true),
        "as root this test needs a file system with immutable directories"
    );
    write(&task.session.upper().join("zz-frozen/new"), "x");
    let old = picture(&task.workspace);
    let result = task.apply_probed(&|_| false);
    let after = picture(&task.workspace);
    freeze(&frozen, false);
    assert!(
        matches!(result, Err(WorkspaceError::RolledBack { ref path, .. }) if path == "zz-frozen/new"),
        "{result:?}"
    );
    assert_eq!(after, old);
    assert_eq!(task.recover(), Recovery::Nothing, "no journal is left");
    // Once the cause is gone, the same session applies.
    task.apply_probed(&|_| false).unwrap();
    assert_eq!(fs::read_to_string(frozen.join("new")).unwrap(), "x");
}

#[test]
fn a_crash_in_a_roll_back_is_rolled_back() {
    let mut task = task();
    let old = picture(&task.workspace);
    let steps = Cell::new(0);
    let crashed = task.apply_probed(&|p| {
        steps.set(steps.get() + usize::from(p == "step"));
        p == "step" && steps.get() == 8
    });
    assert!(crashed.is_err());
    assert_ne!(picture(&task.workspace), old);
    let mut journal = Journal::reopen(task.session.dir()).unwrap();
    journal.append(&Record::Rollback).unwrap();
    task.reopen();
    assert_eq!(task.recover(), Recovery::RolledBack);
    assert_eq!(picture(&task.workspace), old);
}

#[test]
fn holes_stay_holes() {
    use std::os::unix::fs::MetadataExt as _;
    let mut task = task();
    let file = fs::File::create(task.session.upper().join("huge")).unwrap();
    file.set_len(1 << 40).unwrap();
    task.apply_probed(&|_| false).unwrap();
    let applied = fs::metadata(task.workspace.join("huge")).unwrap();
    assert_eq!(applied.len(), 1 << 40);
    assert!(applied.blocks() < 64, "{} blocks", applied.blocks());
}
