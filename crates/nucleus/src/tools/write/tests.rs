use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;
use crate::tools::replace::WRITE_TEMP_PREFIX;
use crate::tools::testing::{Bench, CANARY, Open, code};

fn put(bench: &Bench, path: &str, content: &str) -> Result<WriteOutcome, ToolError> {
    write(&bench.resolver(), &Open, &WriteArgs { path, content }, &bench.bounds())
}

fn mode(bench: &Bench, path: &str) -> u32 {
    fs::metadata(bench.ws(path)).unwrap().permissions().mode() & 0o7777
}

fn chmod(bench: &Bench, path: &str, mode: u32) {
    fs::set_permissions(bench.ws(path), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn files_are_made_with_their_directories() {
    let bench = Bench::new();
    let done = put(&bench, "a/b/c.txt", "one\ntwo\n").unwrap();
    assert!(done.created);
    assert_eq!(done.text, "Created a/b/c.txt: 2 lines, 8 B.\n");
    assert_eq!(bench.text("a/b/c.txt"), "one\ntwo\n");
    assert_eq!((mode(&bench, "a/b"), mode(&bench, "a/b/c.txt")), (0o755, 0o644));
    let again = put(&bench, "a/b/c.txt", "").unwrap();
    assert!(!again.created);
    assert_eq!(again.text, "Replaced a/b/c.txt: 0 lines, 0 B.\n");
    assert_eq!(bench.text("a/b/c.txt"), "");
}

#[test]
fn a_file_keeps_its_mode_but_not_setuid() {
    let bench = Bench::new();
    bench.put("tool", "old");
    chmod(&bench, "tool", 0o4755);
    put(&bench, "tool", "new").unwrap();
    assert_eq!(mode(&bench, "tool"), 0o755);
}

#[test]
fn a_file_is_replaced_as_a_whole_and_nothing_is_left_behind() {
    let bench = Bench::new();
    bench.put("f", "old");
    let before = fs::metadata(bench.ws("f")).unwrap().ino();
    let open = fs::File::open(bench.ws("f")).unwrap();
    put(&bench, "f", "new").unwrap();
    assert_ne!(fs::metadata(bench.ws("f")).unwrap().ino(), before);
    assert_eq!(std::io::read_to_string(open).unwrap(), "old", "who reads the old file keeps it");
    put(&bench, "f/below", "x").unwrap_err();
    put(&bench, "d/x", "x").unwrap();
    put(&bench, "d", "x").unwrap_err();
    for directory in ["", "d"] {
        for entry in fs::read_dir(bench.ws(directory)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.starts_with(WRITE_TEMP_PREFIX), "{name}");
        }
    }
}

/// Row 5.
#[test]
fn a_file_with_other_names_is_not_written() {
    let bench = Bench::new();
    fs::hard_link(bench.host("outside/secret"), bench.ws("linked")).unwrap();
    let error = put(&bench, "linked", "hit").unwrap_err();
    assert_eq!(error.code(), "deny.path.hard_link");
    assert_eq!(error.refusal().unwrap().layer(), "resolver");
    bench.assert_outside_untouched();
    fs::write(bench.ws("linked"), "hit").unwrap();
    assert_eq!(fs::read_to_string(bench.host("outside/secret")).unwrap(), "hit", "control");
    fs::write(bench.ws("linked"), CANARY).unwrap();
    fs::remove_file(bench.host("outside/secret")).unwrap();
    put(&bench, "linked", "now its only name").unwrap();
}

#[test]
fn read_only_files_and_the_workspace_itself_are_not_written() {
    let bench = Bench::new();
    bench.put("f", "old");
    chmod(&bench, "f", 0o444);
    assert_eq!(code(put(&bench, "f", "new")), "path.read_only");
    assert_eq!(bench.text("f"), "old");
    for path in [".", "./", "d/"] {
        assert_eq!(code(put(&bench, path, "x")), "path.directory", "{path}");
    }
}

#[test]
fn errors_hold_no_host_path() {
    let bench = Bench::new();
    bench.put("f", "x").link("out", bench.host("outside/secret"));
    let host = bench.host("").to_str().unwrap().to_owned();
    for path in ["out", "f/x", "/etc/shadow", "."] {
        let error = put(&bench, path, "x").unwrap_err();
        assert!(!error.agent_text().contains(&host), "{}", error.agent_text());
        assert!(!error.to_string().contains(&host), "{error}");
    }
}
