//! What may be a workspace, and that refusals say what to do.

#![expect(clippy::expect_used, reason = "a helper of a test that fails, fails the test")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nucleus_sandbox::workspace::{WorkspaceRefusal as Refusal, admit};

fn refused(path: &Path, protected: &[PathBuf], home: &Path) -> Refusal {
    admit(path, protected, home).expect_err("admitted")
}

#[test]
fn a_plain_directory_is_admitted_by_its_real_path() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().canonicalize().unwrap();
    fs::create_dir_all(real.join("a/ws")).unwrap();
    symlink(real.join("a"), real.join("way")).unwrap();
    let home = real.join("home");
    assert_eq!(admit(&real.join("way/ws/."), &[], &home).unwrap().path(), real.join("a/ws"));
}

#[test]
fn what_is_no_project_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().canonicalize().unwrap();
    let (ws, home) = (real.join("ws"), real.join("home"));
    fs::create_dir_all(&ws).unwrap();
    fs::create_dir_all(home.join("project")).unwrap();
    symlink(&ws, real.join("link")).unwrap();
    fs::write(real.join("file"), "").unwrap();
    fs::create_dir(real.join("a:b")).unwrap();

    assert!(matches!(refused(&real.join("link"), &[], &home), Refusal::Link { .. }));
    assert!(
        matches!(refused(&real.join("link/"), &[], &home), Refusal::Link { .. }),
        "a trailing slash hides nothing"
    );
    assert!(matches!(refused(&real.join("link/."), &[], &home), Refusal::Link { .. }));
    assert!(matches!(refused(&real.join("file"), &[], &home), Refusal::NotDirectory { .. }));
    assert!(matches!(refused(&real.join("none"), &[], &home), Refusal::Missing { .. }));
    assert!(matches!(refused(Path::new("/"), &[], &home), Refusal::Root));
    assert!(matches!(refused(&home, &[], &home), Refusal::Home { .. }));
    assert!(matches!(refused(&real, &[], &home), Refusal::Home { .. }), "it contains the home");
    assert!(matches!(refused(Path::new("/usr/share"), &[], &home), Refusal::System { .. }));
    assert!(matches!(refused(Path::new("/tmp"), &[], &home), Refusal::Shared { .. }));
    assert!(matches!(refused(&real.join("a:b"), &[], &home), Refusal::Name));
    assert!(admit(&home.join("project"), &[], &home).is_ok(), "positive control");
}

#[test]
fn own_directories_are_out_of_reach() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().canonicalize().unwrap();
    let home = Path::new("/nonexistent/home");
    fs::create_dir_all(real.join("ws/inner")).unwrap();
    fs::create_dir_all(real.join("state/sub")).unwrap();
    fs::create_dir_all(real.join("state-evil")).unwrap();
    // The state directory need not exist yet, and may be named through a link.
    let inside = real.join("ws/inner/not-yet/nucleus");
    symlink(real.join("state"), real.join("alias")).unwrap();
    let alias = real.join("alias");
    assert!(matches!(refused(&real.join("ws"), &[inside], home), Refusal::Covers { .. }));
    assert!(matches!(
        refused(&real.join("state/sub"), std::slice::from_ref(&alias), home),
        Refusal::Inside { .. }
    ));
    assert!(matches!(
        refused(&real.join("state"), std::slice::from_ref(&alias), home),
        Refusal::Covers { .. }
    ));
    assert!(admit(&real.join("state-evil"), &[alias], home).is_ok(), "names are compared whole");
}

#[test]
fn each_refusal_says_what_to_do() {
    let text = refused(Path::new("/"), &[], Path::new("/root")).to_string();
    assert!(text.contains("name the project's directory"), "{text}");
}
