//! Apply against the kernel's own overlay: what a pod saw at the end is what the workspace holds afterwards.

#![expect(clippy::unwrap_used, reason = "a helper of a test that fails, fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nucleus_sandbox::workspace::{
    ApplyOptions, ConflictReason, Session, SessionSettings, WorkspaceError, admit, apply, changes,
    mask,
};

/// Runs a script with the overlay mounted at `$M`, in namespaces of its own.
fn in_overlay(session: &Session, workspace: &Path, merged: &Path, script: &str) {
    let text = format!(
        "set -eu; mount -t overlay -o userxattr,lowerdir={},upperdir={},workdir={} overlay {}; M={}; cd \"$M\"; {script}",
        workspace.display(),
        session.upper().display(),
        session.work().display(),
        merged.display(),
        merged.display(),
    );
    let out = Command::new("unshare").args(["-U", "-r", "-m", "sh", "-c", &text]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

fn picture(root: &Path) -> BTreeMap<String, String> {
    fn walk(root: &Path, dir: &Path, out: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let mode = metadata.permissions().mode() & 0o777;
            let what = if metadata.is_symlink() {
                format!("link {}", fs::read_link(&path).unwrap().display())
            } else if metadata.is_dir() {
                format!("dir {mode:o}")
            } else {
                format!("{mode:o} {}", String::from_utf8_lossy(&fs::read(&path).unwrap()))
            };
            if metadata.is_dir() {
                walk(root, &path, out);
            }
            out.insert(name, what);
        }
    }
    let mut out = BTreeMap::new();
    walk(root, root, &mut out);
    out
}

struct Ground {
    _dir: tempfile::TempDir,
    base: PathBuf,
    workspace: PathBuf,
}

fn ground() -> Ground {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().canonicalize().unwrap();
    let workspace = base.join("ws");
    for name in
        ["a", "b", "keep/x", "keep/y", "tree/p/q", "tree/r", "swap/in", "file", "ed/one", "re/born"]
    {
        let path = workspace.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{name}\n")).unwrap();
    }
    fs::create_dir(base.join("merged")).unwrap();
    fs::create_dir(base.join("seen")).unwrap();
    Ground { _dir: dir, base, workspace }
}

/// What a build, an editor and a package manager do to a tree.
const WORK: &str = "
echo more >> a; sed -i s/x/X/ keep/x; rm b; rm -r tree; mkdir tree; echo new > tree/r
rm -r swap; echo now-a-file > swap; rm file; mkdir file; echo now-a-dir > file/in
mkdir -p deep/er; echo hi > deep/er/f; ln -s ../a deep/link; chmod 755 keep/y; mv ed/one ed/two
rm -r re; mkdir re; chmod 700 deep; ln deep/er/f deep/hard; touch -d '2001-01-01' deep/er/f
i=0; while [ $i -lt 200 ]; do echo $i > deep/n$i; i=$((i+1)); done; rm deep/n1*
";

#[test]
#[ignore = "needs user namespaces"]
fn needs_userns_the_workspace_becomes_what_the_pod_saw() {
    let ground = ground();
    let admitted = admit(&ground.workspace, &[], Path::new("/nonexistent/h")).unwrap();
    let (mut session, lock) = Session::create(
        &ground.base.join("state"),
        "session-real",
        &admitted,
        SessionSettings::default(),
    )
    .unwrap();
    mask::plan(&ground.workspace, &mask::MaskPolicy::none(), session.dir()).unwrap();
    let script = format!("{WORK}\ncp -a \"$M\"/. {}/", ground.base.join("seen").display());
    in_overlay(&session, &ground.workspace, &ground.base.join("merged"), &script);
    let before = picture(&ground.workspace);
    assert!(!changes(&session).unwrap().is_empty());
    let report =
        apply(&mut session, &lock, &ApplyOptions { review: false, hold: &|_| None }).unwrap();
    assert_eq!((report.held.len(), report.conflicts.len()), (0, 0), "{report:?}");
    let after = picture(&ground.workspace);
    assert_eq!(after, picture(&ground.base.join("seen")));
    assert_ne!(before, after, "positive control");
    let old = fs::metadata(ground.workspace.join("deep/er/f")).unwrap().modified().unwrap();
    assert!(
        old < std::time::SystemTime::now() - std::time::Duration::from_secs(86_400 * 365),
        "mtime is kept"
    );
}

#[test]
#[ignore = "needs user namespaces"]
fn needs_userns_a_file_the_pod_had_copied_up_and_the_user_removed_stays_removed() {
    let ground = ground();
    let admitted = admit(&ground.workspace, &[], Path::new("/nonexistent/h")).unwrap();
    let (mut session, lock) = Session::create(
        &ground.base.join("state"),
        "session-gone",
        &admitted,
        SessionSettings::default(),
    )
    .unwrap();
    // No record of names: the kernel's own mark must do.
    in_overlay(
        &session,
        &ground.workspace,
        &ground.base.join("merged"),
        "echo more >> keep/x; echo new > brand-new",
    );
    fs::remove_file(ground.workspace.join("keep/x")).unwrap();
    let report =
        apply(&mut session, &lock, &ApplyOptions { review: false, hold: &|_| None }).unwrap();
    assert_eq!(report.conflicts.len(), 1, "{report:?}");
    assert_eq!(report.conflicts[0].reason, ConflictReason::RemovedOnHost);
    assert!(!ground.workspace.join("keep/x").exists());
    assert!(ground.workspace.join("brand-new").exists(), "positive control");
}

/// Runs this test's program again with a small file system at `$NUCLEUS_TEST_SMALL`.
#[test]
#[ignore = "needs user namespaces"]
fn needs_userns_without_room_nothing_changes() {
    if let Some(small) = std::env::var_os("NUCLEUS_TEST_SMALL") {
        return in_small(Path::new(&small));
    }
    let dir = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let script = format!(
        "mount -t tmpfs -o size=256k tmpfs {0} && exec {1} --exact --ignored needs_userns_without_room_nothing_changes",
        dir.path().display(),
        program.display()
    );
    let out = Command::new("unshare")
        .args(["-U", "-r", "-m", "sh", "-c", &script])
        .env("NUCLEUS_TEST_SMALL", dir.path())
        .output()
        .unwrap();
    let printed = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(out.status.success(), "{}{}", printed(&out.stdout), printed(&out.stderr));
}

fn in_small(small: &Path) {
    let state = tempfile::tempdir().unwrap();
    let workspace = small.join("ws");
    fs::create_dir(&workspace).unwrap();
    fs::write(workspace.join("a"), "old").unwrap();
    let admitted = admit(&workspace, &[], Path::new("/nonexistent/h")).unwrap();
    let (mut session, lock) =
        Session::create(state.path(), "session-full", &admitted, SessionSettings::default())
            .unwrap();
    fs::write(session.upper().join("a"), "new").unwrap();
    fs::write(session.upper().join("big"), vec![7_u8; 1 << 20]).unwrap();
    let options = ApplyOptions { review: false, hold: &|_| None };
    let result = apply(&mut session, &lock, &options);
    assert!(matches!(result, Err(WorkspaceError::NoSpace { .. })), "{result:?}");
    assert_eq!(fs::read_to_string(workspace.join("a")).unwrap(), "old");
    assert_eq!(fs::read_dir(&workspace).unwrap().count(), 1, "nothing is left beside it");
    // With room, the same session applies.
    fs::remove_file(session.upper().join("big")).unwrap();
    apply(&mut session, &lock, &options).unwrap();
    assert_eq!(fs::read_to_string(workspace.join("a")).unwrap(), "new");
}
