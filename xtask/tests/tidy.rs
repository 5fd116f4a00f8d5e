//! House rules as ordinary tests. Each rule is a function over what it reads, and each has a test that breaks it.
#![expect(clippy::unwrap_used, reason = "a rule that cannot read its input must fail")]

#[path = "tidy/graph.rs"]
mod graph;
#[path = "tidy/source.rs"]
mod source;

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Tracked files, so that a build directory or an editor's backup is nobody's problem.
fn tracked(suffix: &str) -> Vec<(String, String)> {
    let output = Command::new("git").arg("ls-files").current_dir(root()).output();
    let names: Vec<String> = match output {
        Ok(output) if output.status.success() => {
            String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
        }
        // An unpacked source archive has no git: every file counts.
        _ => walk(&root(), &root()),
    };
    names
        .into_iter()
        .filter(|name| name.ends_with(suffix))
        .filter_map(|name| {
            std::fs::read_to_string(root().join(&name)).ok().map(|text| (name, text))
        })
        .collect()
}

fn walk(dir: &Path, top: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        if name == "target" || name == ".git" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            found.extend(walk(&entry.path(), top));
        } else {
            found.push(entry.path().strip_prefix(top).unwrap().to_string_lossy().into_owned());
        }
    }
    found
}

fn none(problems: Vec<String>) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn files_are_short() {
    none(tracked(".rs").iter().flat_map(|(name, text)| source::too_long(name, text)).collect());
}

#[test]
fn unsafe_code_is_in_nucleus_sys_only() {
    none(
        tracked(".rs")
            .iter()
            .flat_map(|(name, text)| source::unsafe_outside_sys(name, text))
            .collect(),
    );
}

#[test]
fn tiers_zero_and_one_do_no_io() {
    none(
        tracked(".rs")
            .iter()
            .flat_map(|(name, text)| source::io_below_tier_two(name, text))
            .collect(),
    );
}

#[test]
fn no_stub_and_no_ignored_test() {
    none(tracked(".rs").iter().flat_map(|(name, text)| source::stubs(name, text)).collect());
}

#[test]
fn every_crate_inherits_the_lints() {
    none(
        tracked("Cargo.toml")
            .iter()
            .flat_map(|(name, text)| source::lints_not_inherited(name, text))
            .collect(),
    );
}

#[test]
fn switches_that_weaken_stay_in_test_builds() {
    none(
        tracked("Cargo.toml")
            .iter()
            .flat_map(|(name, text)| source::weaken_by_default(name, text))
            .collect(),
    );
}

#[test]
fn dependencies_point_down() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    none(graph::upward_edges(&serde_json::from_slice(&output.stdout).unwrap()));
}
