//! Sessions, changes, apply, conflicts and review, on real directories, with upper layers as the kernel leaves them.

#![expect(clippy::unwrap_used, reason = "a helper of a test that fails, fails the test")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use nucleus_sandbox::workspace::{
    self, ApplyOptions, ApplyReport, ChangeKind, ConflictReason, HoldReason, Lock, Mode, Session,
    SessionSettings, Status, WorkspaceError, admit, apply, review,
};
use rustix::fs::{CWD, FileType, XattrFlags};

struct Task {
    _dir: tempfile::TempDir,
    workspace: PathBuf,
    state: PathBuf,
    session: Session,
    lock: Lock,
}

/// A workspace filled by `fill`, and a session begun on it.
fn task(fill: impl FnOnce(&Path)) -> Task {
    let dir = tempfile::tempdir().unwrap();
    let workspace = dir.path().join("ws");
    let state = dir.path().join("state");
    fs::create_dir(&workspace).unwrap();
    fill(&workspace);
    let admitted =
        admit(&workspace, std::slice::from_ref(&state), Path::new("/nonexistent/home")).unwrap();
    let settings =
        SessionSettings { policy_file: Some(workspace.join("permissions.toml")), task: None };
    let (session, lock) = Session::create(&state, "session-0001", &admitted, settings).unwrap();
    workspace::mask::plan(&workspace, &workspace::MaskPolicy::none(), session.dir()).unwrap();
    Task { _dir: dir, workspace: admitted.path().to_owned(), state, session, lock }
}

impl Task {
    fn upper(&self) -> PathBuf {
        self.session.upper()
    }

    fn put(&self, path: &str, text: &str) {
        write(&self.upper().join(path), text);
    }

    /// The kernel's mark of a deletion.
    fn whiteout(&self, path: &str) {
        let at = self.upper().join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        rustix::fs::mknodat(CWD, &at, FileType::CharacterDevice, rustix::fs::Mode::empty(), 0)
            .unwrap();
    }

    fn apply(&mut self) -> ApplyReport {
        self.apply_with(false, &|_| None)
    }

    fn apply_with(
        &mut self,
        review: bool,
        hold: &dyn Fn(&str) -> Option<HoldReason>,
    ) -> ApplyReport {
        apply(&mut self.session, &self.lock, &ApplyOptions { review, hold }).unwrap()
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.workspace.join(path)).unwrap()
    }

    fn has(&self, path: &str) -> bool {
        fs::symlink_metadata(self.workspace.join(path)).is_ok()
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn opaque(path: &Path) {
    fs::create_dir_all(path).unwrap();
    rustix::fs::setxattr(path, "user.overlay.opaque", b"y", XattrFlags::empty()).unwrap();
}

fn applied(report: &ApplyReport) -> Vec<(String, ChangeKind)> {
    report.applied.iter().map(|c| (c.path.to_string(), c.kind)).collect()
}

fn held(report: &ApplyReport) -> Vec<(String, HoldReason)> {
    report.held.iter().map(|h| (h.path.to_string(), h.reason)).collect()
}

fn conflicts(report: &ApplyReport) -> Vec<(String, ConflictReason)> {
    report.conflicts.iter().map(|c| (c.path.to_string(), c.reason)).collect()
}

#[test]
fn ordinary_changes_are_carried_over() {
    let mut task = task(|ws| {
        write(&ws.join("a.txt"), "old\n");
        write(&ws.join("gone.txt"), "x");
        write(&ws.join("d/inner/deep.txt"), "x");
        write(&ws.join("whole/one"), "1");
        write(&ws.join("whole/two"), "2");
        write(&ws.join("same.txt"), "same");
        write(&ws.join("bits.sh"), "#!/bin/sh\n");
        fs::set_permissions(ws.join("bits.sh"), fs::Permissions::from_mode(0o644)).unwrap();
    });
    task.put("a.txt", "new\n");
    task.put("new/dir/file.txt", "made\n");
    task.whiteout("gone.txt");
    task.whiteout("d");
    opaque(&task.upper().join("whole"));
    task.put("whole/two", "changed");
    task.put("same.txt", "same");
    task.put("bits.sh", "#!/bin/sh\n");
    fs::set_permissions(task.upper().join("bits.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("a.txt", task.upper().join("link")).unwrap();

    let report = task.apply();
    assert_eq!(held(&report), []);
    assert_eq!(conflicts(&report), []);
    assert_eq!(task.read("a.txt"), "new\n");
    assert_eq!(task.read("new/dir/file.txt"), "made\n");
    assert!(!task.has("gone.txt") && !task.has("d") && !task.has("whole/one"));
    assert_eq!(task.read("whole/two"), "changed");
    assert_eq!(fs::read_link(task.workspace.join("link")).unwrap(), Path::new("a.txt"));
    assert_eq!(fs::metadata(task.workspace.join("bits.sh")).unwrap().mode() & 0o7777, 0o755);
    assert!(
        !applied(&report).iter().any(|(path, _)| path == "same.txt"),
        "an unchanged copy-up is no change"
    );
    assert_eq!(task.session.status(), Status::Applied);
    assert!(!task.upper().exists() && !task.has(".nucleus-apply-session-0001"));
    let again =
        apply(&mut task.session, &task.lock, &ApplyOptions { review: false, hold: &|_| None });
    assert!(matches!(again, Err(WorkspaceError::Over { .. })));
}

#[test]
fn kinds_may_change() {
    let mut task = task(|ws| {
        write(&ws.join("file-to-dir"), "x");
        write(&ws.join("dir-to-file/inner"), "x");
        write(&ws.join("file-to-link"), "x");
    });
    task.put("file-to-dir/now", "dir");
    task.put("dir-to-file", "now a file");
    symlink("dir-to-file", task.upper().join("file-to-link")).unwrap();
    let report = task.apply();
    assert_eq!((held(&report), conflicts(&report)), (vec![], vec![]));
    assert_eq!(task.read("file-to-dir/now"), "dir");
    assert_eq!(task.read("dir-to-file"), "now a file");
    assert!(fs::symlink_metadata(task.workspace.join("file-to-link")).unwrap().is_symlink());
}

#[test]
fn host_edits_are_never_overwritten() {
    let mut task = task(|ws| {
        for name in ["edited", "removed", "untouched", "deleted-by-task", "d/replaced", "dir/kept"]
        {
            write(&ws.join(name), "start");
        }
    });
    // The user, during the task.
    write(&task.workspace.join("edited"), "user's");
    fs::remove_file(task.workspace.join("removed")).unwrap();
    write(&task.workspace.join("deleted-by-task"), "user's");
    write(&task.workspace.join("both-created"), "user's");
    write(&task.workspace.join("d/tmp"), "user's");
    fs::rename(task.workspace.join("d/tmp"), task.workspace.join("d/replaced")).unwrap();
    write(&task.workspace.join("dir/users-new"), "user's");
    // The task.
    for name in ["edited", "removed", "untouched", "both-created", "d/replaced"] {
        task.put(name, "task's");
    }
    task.whiteout("deleted-by-task");
    task.whiteout("dir");
    task.put("fresh", "task's");

    let report = task.apply();
    let mut found = conflicts(&report);
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let expect = |path: &str, reason| (path.to_owned(), reason);
    assert_eq!(
        found,
        [
            expect("both-created", ConflictReason::CreatedOnHost),
            expect("d/replaced", ConflictReason::EditedOnHost),
            expect("deleted-by-task", ConflictReason::EditedOnHost),
            expect("dir/users-new", ConflictReason::CreatedOnHost),
            expect("edited", ConflictReason::EditedOnHost),
            expect("removed", ConflictReason::RemovedOnHost),
        ]
    );
    for name in ["edited", "both-created", "deleted-by-task", "d/replaced", "dir/users-new"] {
        assert_eq!(task.read(name), "user's", "{name}");
    }
    assert!(!task.has("removed"), "what the user removed does not come back");
    // Positive control: what the user left alone was carried over, in the same directories.
    assert_eq!(task.read("untouched"), "task's");
    assert_eq!(task.read("fresh"), "task's");
    assert!(!task.has("dir/kept"));
    // Both versions are there for review.
    assert_eq!(fs::read_to_string(task.upper().join("edited")).unwrap(), "task's");
    assert_eq!(task.session.status(), Status::Held);
}

#[test]
fn an_edit_that_keeps_size_and_mtime_is_found() {
    let mut task = task(|ws| write(&ws.join("f"), "aaaa"));
    let path = task.workspace.join("f");
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "bbbb").unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    task.put("f", "cccc");
    let report = task.apply();
    assert_eq!(conflicts(&report), [("f".to_owned(), ConflictReason::EditedOnHost)]);
    assert_eq!(task.read("f"), "bbbb");
}

#[test]
fn without_the_record_of_names_a_changed_directory_holds_new_files() {
    let mut task = task(|ws| write(&ws.join("was-here"), "x"));
    fs::remove_file(task.session.dir().join("names")).unwrap();
    fs::remove_file(task.workspace.join("was-here")).unwrap();
    task.put("was-here", "task's");
    assert_eq!(conflicts(&task.apply()), [("was-here".to_owned(), ConflictReason::RemovedOnHost)]);
    assert!(!task.has("was-here"));
}

#[test]
fn trusted_sensitive_and_policy_files_are_held() {
    let mut task = task(|ws| {
        write(&ws.join(".envrc"), "old");
        write(&ws.join("permissions.toml"), "[capabilities]\n");
    });
    task.put(".envrc", "evil");
    task.put(".github/workflows/ci.yml", "evil");
    task.put(".env", "SECRET=1");
    task.put("permissions.toml", "run_bash = \"always\"\n");
    task.put("src/ok.rs", "fn main() {}\n");
    task.put(".nucleus-write-123", "half");
    let report = task.apply_with(false, &|path| match path {
        ".envrc" | ".github/workflows/ci.yml" => Some(HoldReason::ExecutedOrTrusted),
        ".env" => Some(HoldReason::Sensitive),
        _ => None,
    });
    let mut found = held(&report);
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        found,
        [
            (".env".to_owned(), HoldReason::Sensitive),
            (".envrc".to_owned(), HoldReason::ExecutedOrTrusted),
            (".github/workflows/ci.yml".to_owned(), HoldReason::ExecutedOrTrusted),
            ("permissions.toml".to_owned(), HoldReason::PolicyFile),
        ]
    );
    assert_eq!(task.read(".envrc"), "old");
    assert_eq!(task.read("permissions.toml"), "[capabilities]\n");
    assert!(!task.has(".env") && !task.has(".github") && !task.has(".nucleus-write-123"));
    assert_eq!(task.read("src/ok.rs"), "fn main() {}\n", "positive control");
}

#[test]
fn deleting_a_directory_keeps_what_is_held_in_it() {
    let mut task = task(|ws| {
        write(&ws.join("d/.envrc"), "user's");
        write(&ws.join("d/x"), "x");
    });
    task.whiteout("d");
    let report =
        task.apply_with(false, &|p| p.ends_with(".envrc").then_some(HoldReason::ExecutedOrTrusted));
    assert_eq!(task.read("d/.envrc"), "user's");
    assert!(!task.has("d/x"));
    assert!(held(&report).contains(&("d".to_owned(), HoldReason::ParentHeld)));
}

#[test]
fn links_that_lead_elsewhere_are_held() {
    let mut task = task(|_| {});
    symlink("/etc", task.upper().join("out")).unwrap();
    symlink("../up", task.upper().join("up")).unwrap();
    symlink("ci", task.upper().join(".github")).unwrap();
    symlink("real", task.upper().join("fine")).unwrap();
    task.put("real", "x");
    let report = task.apply();
    let mut found = held(&report);
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        found,
        [
            (".github".to_owned(), HoldReason::LinkAlias),
            ("out".to_owned(), HoldReason::LinkOutside),
            ("up".to_owned(), HoldReason::LinkOutside),
        ]
    );
    assert!(task.has("fine"));
}

#[test]
fn special_files_and_special_bits_stay_behind() {
    let mut task = task(|ws| write(&ws.join("tool"), "old"));
    task.put("tool", "new");
    task.put("suid", "x");
    for name in ["tool", "suid"] {
        fs::set_permissions(task.upper().join(name), fs::Permissions::from_mode(0o6755)).unwrap();
    }
    fs::create_dir(task.upper().join("sgid")).unwrap();
    fs::set_permissions(task.upper().join("sgid"), fs::Permissions::from_mode(0o3777)).unwrap();
    rustix::fs::mkfifoat(CWD, task.upper().join("pipe"), rustix::fs::Mode::RUSR).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(task.upper().join("sock")).unwrap();
    fs::hard_link(task.upper().join("suid"), task.upper().join("twin")).unwrap();
    let report = task.apply();
    let mode = |name: &str| fs::metadata(task.workspace.join(name)).unwrap().mode() & 0o7777;
    assert_eq!((mode("tool"), mode("suid"), mode("sgid")), (0o755, 0o755, 0o777));
    assert_eq!(report.skipped.len(), 2);
    assert!(!task.has("pipe") && !task.has("sock"));
    assert_eq!(fs::metadata(task.workspace.join("twin")).unwrap().nlink(), 1, "links are copied");
}

#[test]
fn a_parent_swapped_for_a_link_is_a_conflict() {
    let mut task = task(|ws| write(&ws.join("sub/f"), "old"));
    let outside = task.state.join("outside");
    fs::create_dir(&outside).unwrap();
    write(&outside.join("f"), "canary");
    fs::rename(task.workspace.join("sub"), task.workspace.join("was-sub")).unwrap();
    symlink(&outside, task.workspace.join("sub")).unwrap();
    task.put("sub/f", "task's");
    task.put("sub/new", "task's");
    let report = task.apply();
    assert!(applied(&report).is_empty(), "{report:?}");
    assert_eq!(fs::read_to_string(outside.join("f")).unwrap(), "canary");
    assert!(!outside.join("new").exists());
    assert_eq!(task.read("was-sub/f"), "old");
}

#[test]
fn review_holds_everything_and_carries_over_what_is_accepted() {
    let mut task = task(|ws| {
        write(&ws.join("a"), "one\ntwo\nthree\n");
        write(&ws.join("b"), "b");
    });
    task.put("a", "one\n2\u{202e}\x1b[31m\nthree\n");
    task.put("b", "agent");
    task.put("dir/new", "made");
    let report = task.apply_with(true, &|_| None);
    assert!(report.applied.is_empty());
    assert_eq!(task.read("a"), "one\ntwo\nthree\n");
    let items = review::items(&task.session).unwrap();
    let names: Vec<String> = items.iter().map(|i| i.path.to_string()).collect();
    assert!(["a", "b", "dir/new"].iter().all(|n| names.contains(&(*n).to_owned())), "{names:?}");
    let of = |name: &str| items.iter().find(|i| i.path.to_string() == name).unwrap().clone();
    let review::Diff::Text(text) = review::diff(&task.session, &of("a")).unwrap() else {
        panic!("no diff")
    };
    assert!(text.contains("-two\n+2\\u{202e}\\u{1b}[31m\n"), "{text}");
    assert!(!text.contains('\u{1b}'));

    // The user edits `b` after looking: accepting it does not overwrite that.
    write(&task.workspace.join("b"), "user's");
    let report =
        review::accept(&mut task.session, &task.lock, &[of("a"), of("b"), of("dir/new")]).unwrap();
    assert_eq!(conflicts(&report), [("b".to_owned(), ConflictReason::EditedOnHost)]);
    assert_eq!(task.read("b"), "user's");
    assert_eq!(task.read("dir/new"), "made");
    let left = review::items(&task.session).unwrap();
    assert_eq!(left.len(), 1);
    assert!(left[0].conflict);
    // Looked at again, the user's word holds.
    review::accept(&mut task.session, &task.lock, &left).unwrap();
    assert_eq!(task.read("b"), "agent");
    assert_eq!(task.session.status(), Status::Applied);
}

#[test]
fn rejected_changes_do_not_come_back() {
    let mut task = task(|_| {});
    task.put("x", "x");
    task.apply_with(true, &|_| None);
    let items = review::items(&task.session).unwrap();
    review::reject(&mut task.session, &task.lock, &items).unwrap();
    assert!(!task.has("x"));
    assert_eq!(task.session.status(), Status::Applied);
}

#[test]
fn discard_leaves_the_workspace_alone() {
    let mut task = task(|ws| write(&ws.join("a"), "old"));
    task.put("a", "new");
    workspace::discard(&mut task.session, &task.lock).unwrap();
    assert_eq!(task.read("a"), "old");
    assert!(!task.upper().exists());
    assert!(workspace::newest(&task.state, &task.workspace, waits).unwrap().is_none());
}

#[test]
fn a_session_belongs_to_one_process_at_a_time() {
    let task = task(|_| {});
    let again = workspace::find(&task.state, "session-").unwrap();
    assert!(matches!(again.lock(), Err(WorkspaceError::Running { .. })));
    drop(task.lock);
    assert!(again.lock().is_ok(), "positive control");
    assert!(matches!(
        workspace::find(&task.state, "nothing-here"),
        Err(WorkspaceError::UnknownSession { .. })
    ));
    assert!(matches!(
        Session::open(&task.state, "../escape"),
        Err(WorkspaceError::BadSessionId { .. })
    ));
    assert_eq!(workspace::list(&task.state).unwrap().len(), 1);
    let latest = workspace::newest(&task.state, &task.workspace, waits).unwrap().unwrap();
    assert_eq!(latest.id(), "session-0001");
}

#[test]
fn damaged_metadata_says_so() {
    let task = task(|_| {});
    let file = task.session.dir().join("session.json");
    fs::write(&file, "{\"version\":1,").unwrap();
    assert!(matches!(
        Session::open(&task.state, "session-0001"),
        Err(WorkspaceError::Damaged { .. })
    ));
    fs::write(&file, "{\"version\":99}").unwrap();
    assert!(matches!(
        Session::open(&task.state, "session-0001"),
        Err(WorkspaceError::Version { found: 99, .. })
    ));
}

#[test]
fn a_replaced_workspace_is_refused() {
    let mut task = task(|ws| write(&ws.join("a"), "old"));
    task.put("a", "new");
    fs::rename(&task.workspace, task.workspace.with_file_name("moved")).unwrap();
    fs::create_dir(&task.workspace).unwrap();
    let result =
        apply(&mut task.session, &task.lock, &ApplyOptions { review: false, hold: &|_| None });
    assert!(matches!(result, Err(WorkspaceError::WorkspaceGone { .. })));
}

#[test]
fn ten_thousand_files() {
    let mut task = task(|ws| {
        for i in 0..5000 {
            write(&ws.join(format!("d{}/f{i}", i % 50)), "old");
        }
    });
    for i in 0..10_000 {
        task.put(&format!("d{}/f{i}", i % 50), "new");
    }
    let started = std::time::Instant::now();
    let report = task.apply();
    let took = started.elapsed();
    assert_eq!(report.applied.len(), 10_000);
    assert_eq!(task.read("d0/f0"), "new");
    assert_eq!(task.read("d49/f9999"), "new");
    println!("10,000 files applied in {took:?}");
    assert!(took.as_secs() < 300, "{took:?}");
}

#[test]
fn copy_mode_follows_the_same_rules() {
    let mut task = task(|ws| {
        for name in ["edit", "user-edits", "delete", "both", "d/x", "untouched"] {
            write(&ws.join(name), "start");
        }
        symlink("edit", ws.join("link")).unwrap();
    });
    let copy = workspace::prepare_copy(task.session.dir(), &task.workspace, None).unwrap();
    task.session.set_mode(&task.lock, Mode::Copy, None).unwrap();
    assert_eq!(fs::read_link(copy.join("link")).unwrap(), Path::new("edit"));
    write(&copy.join("edit"), "task's");
    write(&copy.join("both"), "task's");
    write(&copy.join("new/deep"), "task's");
    fs::remove_file(copy.join("delete")).unwrap();
    fs::remove_dir_all(copy.join("d")).unwrap();
    write(&task.workspace.join("user-edits"), "user's");
    write(&task.workspace.join("both"), "user's");
    let report = task.apply();
    assert_eq!(conflicts(&report), [("both".to_owned(), ConflictReason::EditedOnHost)]);
    assert_eq!(task.read("edit"), "task's");
    assert_eq!(task.read("new/deep"), "task's");
    assert_eq!(task.read("both"), "user's");
    assert_eq!(
        task.read("user-edits"),
        "user's",
        "what only the user changed is no change of the task"
    );
    assert!(!task.has("delete") && !task.has("d"));
    assert_eq!(task.read("untouched"), "start");
}

#[test]
#[ignore = "needs root"]
fn needs_root_owners_come_back_from_the_pods_ids() {
    use std::os::unix::fs::{chown, lchown};
    let mut task = task(|ws| {
        write(&ws.join("of-owner"), "old");
        for name in ["of-other", "of-other-in-place"] {
            write(&ws.join(name), "old");
            chown(ws.join(name), Some(77), Some(78)).unwrap();
        }
        chown(ws, Some(1234), Some(1235)).unwrap();
        chown(ws.join("of-owner"), Some(1234), Some(1235)).unwrap();
    });
    let ids = workspace::IdMap {
        pod_uid: 900_000,
        pod_gid: 900_000,
        private_base: 800_000,
        private_len: 65_536,
    };
    task.session.set_mode(&task.lock, Mode::Overlay, Some(ids)).unwrap();
    symlink("made", task.upper().join("link")).unwrap();
    for name in ["of-owner", "of-other", "made", "dir/made", "of-nobody"] {
        task.put(name, "new");
        chown(task.upper().join(name), Some(900_000), Some(900_000)).unwrap();
    }
    lchown(task.upper().join("link"), Some(900_000), Some(900_000)).unwrap();
    chown(task.upper().join("dir"), Some(900_000), Some(900_000)).unwrap();
    chown(task.upper().join("of-nobody"), Some(0), Some(0)).unwrap();
    // Written in place by a pod that was let: what is copied up keeps its owner.
    task.put("of-other-in-place", "new");
    chown(task.upper().join("of-other-in-place"), Some(800_077), Some(800_078)).unwrap();
    let report = task.apply();
    let lost = vec![("of-other".to_owned(), HoldReason::OwnerLost)];
    assert_eq!((held(&report), conflicts(&report)), (lost, vec![]));
    for name in ["of-owner", "made", "dir", "dir/made", "link", "of-nobody"] {
        let found = fs::symlink_metadata(task.workspace.join(name)).unwrap();
        assert_eq!((found.uid(), found.gid()), (1234, 1235), "{name}");
    }
    for (name, text) in [("of-other", "old"), ("of-other-in-place", "new")] {
        let other = fs::metadata(task.workspace.join(name)).unwrap();
        assert_eq!((other.uid(), other.gid()), (77, 78), "{name} keeps its owner");
        assert_eq!(task.read(name), text, "{name}: nobody's file gets what the pod's own holds");
    }
}

#[test]
fn a_parent_swapped_during_the_apply_never_leads_outside() {
    let mut task = task(|ws| {
        for i in 0..400 {
            write(&ws.join(format!("sub/f{i}")), "old");
        }
    });
    let outside = task.state.join("outside");
    for i in 0..400 {
        write(&outside.join(format!("f{i}")), "canary");
        task.put(&format!("sub/f{i}"), "task's");
        task.put(&format!("sub/n{i}"), "task's");
    }
    let link = task.workspace.join("other-name");
    symlink(&outside, &link).unwrap();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let swapper = std::thread::spawn({
        let (stop, sub, link) = (stop.clone(), task.workspace.join("sub"), link);
        move || {
            let mut swaps = 0_u64;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) || swaps % 2 == 1 {
                rustix::fs::renameat_with(CWD, &sub, CWD, &link, rustix::fs::RenameFlags::EXCHANGE)
                    .unwrap();
                swaps += 1;
                std::thread::yield_now();
            }
            swaps
        }
    });
    let result =
        apply(&mut task.session, &task.lock, &ApplyOptions { review: false, hold: &|_| None });
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(swapper.join().unwrap() > 1, "positive control: it was swapped");
    println!("{:?}", result.map(|r| (r.applied.len(), r.conflicts.len())));
    for i in 0..400 {
        assert_eq!(fs::read_to_string(outside.join(format!("f{i}"))).unwrap(), "canary");
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 400, "nothing new outside");
}

#[test]
fn what_the_task_closed_to_its_owner_is_carried_over_all_the_same() {
    let mut task = task(|_| {});
    task.put("closed/inner/f", "x");
    fs::set_permissions(task.upper().join("closed/inner/f"), fs::Permissions::from_mode(0o000))
        .unwrap();
    fs::set_permissions(task.upper().join("closed/inner"), fs::Permissions::from_mode(0o000))
        .unwrap();
    fs::set_permissions(task.upper().join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let report = task.apply();
    assert_eq!((held(&report), conflicts(&report)), (vec![], vec![]));
    fs::set_permissions(task.workspace.join("closed/inner/f"), fs::Permissions::from_mode(0o600))
        .unwrap();
    assert_eq!(task.read("closed/inner/f"), "x");
    assert!(!task.session.dir().join("overlay").exists(), "the session could be cleared");
}

fn waits(session: &Session) -> bool {
    !session.status().is_settled()
}

#[test]
#[ignore = "needs root"]
fn needs_root_a_file_of_somebody_else_is_not_given_what_a_task_put_there() {
    let mut task = task(|ws| {
        for name in ["own.sh", "other.sh", "bits.sh", "kept.sh"] {
            write(&ws.join(name), "as it was\n");
        }
        for name in ["other.sh", "bits.sh", "kept.sh"] {
            std::os::unix::fs::chown(ws.join(name), Some(1001), Some(1001)).unwrap();
        }
    });
    let ids = workspace::IdMap {
        pod_uid: 900_000,
        pod_gid: 900_000,
        private_base: 800_000,
        private_len: 65_536,
    };
    task.session.set_mode(&task.lock, Mode::Overlay, Some(ids)).unwrap();
    let upper = task.upper();
    let own =
        |name: &str, id| std::os::unix::fs::chown(upper.join(name), Some(id), Some(id)).unwrap();
    // Replaced by files of the task's own user, one of them with nothing but other bits.
    for (name, text) in
        [("own.sh", "changed\n"), ("other.sh", "changed\n"), ("bits.sh", "as it was\n")]
    {
        task.put(name, text);
        let bits = fs::Permissions::from_mode(0o777);
        fs::set_permissions(task.upper().join(name), bits).unwrap();
        own(name, 900_000);
    }
    // Written in place by somebody who was let: the copy keeps its owner.
    task.put("kept.sh", "changed\n");
    own("kept.sh", 801_001);
    let report = task.apply();
    let held: Vec<(String, HoldReason)> =
        report.held.iter().map(|h| (h.path.to_string(), h.reason)).collect();
    let lost = |name: &str| (name.to_owned(), HoldReason::OwnerLost);
    assert_eq!(held, [lost("bits.sh"), lost("other.sh")]);
    let meta = |name: &str| fs::metadata(task.workspace.join(name)).unwrap();
    for name in ["other.sh", "bits.sh"] {
        assert_eq!(task.read(name), "as it was\n");
        assert_eq!((meta(name).uid(), meta(name).mode() & 0o002), (1001, 0), "{name}");
    }
    assert_eq!(task.read("own.sh"), "changed\n");
    assert_eq!((task.read("kept.sh"), meta("kept.sh").uid()), ("changed\n".to_owned(), 1001));
}
