//! What pods must not read of a workspace.

#![expect(clippy::unwrap_used, reason = "a helper of a test that fails, fails the test")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Instant;

use nucleus_sandbox::workspace::{Cover, Mask, MaskPolicy, MaskReason, mask};

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn policy() -> MaskPolicy {
    MaskPolicy::new(|path| {
        let name = path.rsplit('/').next().unwrap_or(path);
        match name {
            ".env" | "id_rsa" => Some(MaskReason::Sensitive),
            "private" => Some(MaskReason::Blocked),
            _ => None,
        }
    })
}

fn find<'m>(masks: &'m [Mask], path: &str) -> Option<&'m Mask> {
    masks.iter().find(|m| m.path.to_string() == path)
}

#[test]
fn withheld_files_directories_and_targets_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let ws = root.join("ws");
    write(&ws.join(".env"), "SECRET");
    write(&ws.join("a/b/.env"), "SECRET");
    write(&ws.join("private/x/.env"), "SECRET");
    write(&ws.join("conf/real-env"), "SECRET");
    write(&ws.join("plain"), "fine");
    let odd = std::os::unix::ffi::OsStrExt::from_bytes(b"odd-\xff");
    write(&ws.join(std::path::Path::new::<std::ffi::OsStr>(odd)).join(".env"), "SECRET");
    fs::create_dir(ws.join("linked")).unwrap();
    symlink("../conf/real-env", ws.join("linked/.env")).unwrap();
    fs::create_dir_all(root.join("outside")).unwrap();
    write(&root.join("outside/.env"), "SECRET");
    symlink(root.join("outside"), ws.join("way-out")).unwrap();
    fs::hard_link(ws.join(".env"), ws.join("alias-of-env")).unwrap();
    let masks = mask::plan(&ws, &policy(), &root).unwrap();
    assert_eq!(find(&masks, ".env").unwrap().cover, Cover::File);
    assert!(find(&masks, ".env").unwrap().linked, "another name of the file may lie unmasked");
    assert!(!find(&masks, "a/b/.env").unwrap().linked);
    assert_eq!(find(&masks, "private").unwrap().cover, Cover::Directory);
    assert!(find(&masks, "private/x/.env").is_none(), "covered whole");
    assert_eq!(find(&masks, "conf/real-env").unwrap().reason, MaskReason::Sensitive);
    assert!(find(&masks, "linked/.env").is_none(), "a link cannot be covered, its target is");
    assert!(
        masks.iter().all(|m| !m.path.to_string().contains("way-out")),
        "links are not followed"
    );
    let odd = masks.iter().find(|m| m.path.as_str().is_none()).unwrap();
    assert!(ws.join(odd.path.as_path()).exists(), "the very bytes of a name that is not text");
    assert_eq!(masks.len(), 5);
}

#[test]
fn credentials_of_git_are_covered_by_a_copy_without_them() {
    let dir = tempfile::tempdir().unwrap();
    let ws = dir.path().join("ws");
    write(&ws.join(".git/config"), "[remote \"origin\"]\n\turl = https://u:hunter2@h/x.git\n");
    write(&ws.join(".git/modules/m/config"), "[remote \"origin\"]\n\turl = https://tok@h/x.git\n");
    write(&ws.join("sub/.git/config"), "[remote \"origin\"]\n\turl = https://h/x.git\n");
    write(&ws.join("other/config"), "url = https://u:p@h/\n");
    let masks = mask::plan(&ws, &policy(), dir.path()).unwrap();
    assert_eq!(masks.len(), 2, "{masks:?}");
    for found in &masks {
        let Cover::Copy(copy) = &found.cover else { panic!("{found:?}") };
        let text = fs::read_to_string(copy).unwrap();
        assert!(
            text.contains("https://h/x.git") && !text.contains("hunter2") && !text.contains("tok@"),
            "{text}"
        );
    }
    assert!(
        fs::read_to_string(ws.join(".git/config")).unwrap().contains("hunter2"),
        "the user's file is as it was"
    );
}

#[test]
fn a_large_tree_is_walked_whole_and_fast() {
    let dir = tempfile::tempdir().unwrap();
    let ws = dir.path().join("ws");
    for d in 0..100 {
        let below = ws.join(format!("d{}/e{d}", d % 20));
        fs::create_dir_all(&below).unwrap();
        for f in 0..100 {
            fs::File::create(below.join(format!("f{f}"))).unwrap();
        }
    }
    write(&ws.join("d19/e99/.env"), "SECRET");
    mask::plan(&ws, &policy(), dir.path()).unwrap();
    let started = Instant::now();
    let masks = mask::plan(&ws, &policy(), dir.path()).unwrap();
    let took = started.elapsed();
    println!("10,000 entries in {took:?}");
    assert_eq!(masks.len(), 1, "the last file of the last directory is found");
    assert!(took.as_secs() < 10, "{took:?}");
}

#[test]
fn every_configuration_of_a_repository_is_scrubbed_whatever_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let ws = dir.path().join("ws");
    let text = "[remote \"origin\"]\n\turl = https://u:hunter2@h/x.git\n";
    write(&ws.join(".git/config.worktree"), text);
    write(&ws.join("mirror.git/HEAD"), "ref: refs/heads/main\n");
    fs::create_dir_all(ws.join("mirror.git/refs")).unwrap();
    write(&ws.join("mirror.git/config"), text);
    write(&ws.join("ordinary/HEAD"), "control: no repository");
    write(&ws.join("ordinary/config"), text);
    let masks = mask::plan(&ws, &policy(), dir.path()).unwrap();
    for path in [".git/config.worktree", "mirror.git/config"] {
        let Cover::Copy(copy) = &find(&masks, path).unwrap().cover else { panic!("{path}") };
        assert!(!fs::read_to_string(copy).unwrap().contains("hunter2"), "{path}");
    }
    assert_eq!(masks.len(), 2, "{masks:?}");
}

#[test]
fn what_is_closed_to_its_owner_is_covered_whole() {
    let dir = tempfile::tempdir().unwrap();
    let ws = dir.path().join("ws");
    for (name, mode) in [("none", 0o000), ("search", 0o300), ("list", 0o600), ("open", 0o700)] {
        write(&ws.join(name).join("deep/server.key"), "canary");
        fs::set_permissions(ws.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    write(&ws.join(".git/config"), "[remote \"o\"]\n\turl = https://u:hunter2@h/x\n");
    fs::set_permissions(ws.join(".git/config"), fs::Permissions::from_mode(0o000)).unwrap();
    let masks = as_an_ordinary_owner(&ws, dir.path(), |ws, session| {
        mask::plan(ws, &policy(), session).unwrap()
    });
    for name in ["none", "search", "list"] {
        let found = find(&masks, name).unwrap();
        assert_eq!((found.reason, &found.cover), (MaskReason::Closed, &Cover::Directory), "{name}");
    }
    assert_eq!(find(&masks, ".git/config").unwrap().cover, Cover::File);
    assert_eq!(masks.len(), 4, "control: what is open is walked, not covered: {masks:?}");
}

/// Runs `work` on a thread without root's right to pass every mode.
fn as_an_ordinary_owner<T: Send>(
    ws: &Path,
    session: &Path,
    work: impl FnOnce(&Path, &Path) -> T + Send,
) -> T {
    use rustix::thread::{CapabilitySet, set_capabilities};
    std::thread::scope(|scope| {
        let limited = scope.spawn(|| {
            // Capabilities are those of a thread; without them root is an owner like any other.
            let mut sets = rustix::thread::capabilities(None).unwrap();
            sets.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
            set_capabilities(None, sets).unwrap();
            work(ws, session)
        });
        limited.join().unwrap()
    })
}
