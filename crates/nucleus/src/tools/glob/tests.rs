use std::fs;

use super::*;
use crate::tools::testing::{Bench, Open, Withheld, code};

fn list(bench: &Bench, pattern: &str, path: &str, paths: &dyn Paths) -> Vec<String> {
    glob(&bench.resolver(), paths, &GlobArgs { pattern, path }, &bench.bounds()).unwrap().paths
}

fn tree() -> Bench {
    let bench = Bench::new();
    for name in [
        "a.rs",
        "src/main.rs",
        "src/deep/x.rs",
        "src/deep/x.toml",
        ".hidden/y.rs",
        "target/z.rs",
        ".git/config.rs",
    ] {
        bench.put(name, "");
    }
    bench.put(".gitignore", "target/\n*.log\n!keep.log\n").put("src/.gitignore", "/local.rs\n");
    for name in
        ["src/local.rs", "src/deep/local.rs", "run.log", "src/keep.log", ".env", "src/server.pem"]
    {
        bench.put(name, "");
    }
    bench
}

#[test]
fn patterns_match_paths_and_ignore_files_hold() {
    let bench = tree();
    let all = [".hidden/y.rs", "a.rs", "src/deep/local.rs", "src/deep/x.rs", "src/main.rs"];
    assert_eq!(list(&bench, "**/*.rs", "", &Open), all);
    assert_eq!(list(&bench, "./**/*.rs", ".", &Open), all);
    assert_eq!(list(&bench, bench.ws("**/*.rs").to_str().unwrap(), "", &Open), all);
    assert_eq!(list(&bench, "*.rs", "", &Open), ["a.rs"]);
    assert_eq!(list(&bench, "*.rs", "src", &Open), ["src/main.rs"]);
    assert_eq!(
        list(&bench, "deep/*.{rs,toml}", "src/", &Open),
        ["src/deep/local.rs", "src/deep/x.rs", "src/deep/x.toml"]
    );
    assert_eq!(list(&bench, "**/*.log", "", &Open), ["src/keep.log"]);
    assert_eq!(list(&bench, "*.rs", "target", &Open), ["target/z.rs"], "asked for by name");
    assert_eq!(list(&bench, "**/config.rs", "", &Open), [""; 0], "version control is not entered");
}

#[test]
fn withheld_names_are_never_listed_whatever_leads_to_them() {
    let bench = tree();
    bench
        .link("notes.txt", ".env")
        .link("pem", "src/server.pem")
        .link("ok", "a.rs")
        .link("out", "../outside/secret");
    bench.link("dir", "../outside");
    let policy = Withheld(&[".env", ".pem"]);
    assert_eq!(
        list(&bench, "*", "", &Open),
        [".env", ".gitignore", "a.rs", "notes.txt", "ok", "pem"],
        "control"
    );
    assert_eq!(list(&bench, "*", "", &policy), [".gitignore", "a.rs", "ok"]);
    let args = GlobArgs { pattern: "**/{.env,*.pem,secret}", path: "" };
    let done = glob(&bench.resolver(), &policy, &args, &bench.bounds()).unwrap();
    assert_eq!(done.paths, [""; 0]);
    assert!(
        done.text.starts_with("No file matches.\n[2 files are withheld by policy]\n"),
        "{}",
        done.text
    );
    assert_eq!(
        code(glob(
            &bench.resolver(),
            &Open,
            &GlobArgs { pattern: "*", path: "dir" },
            &bench.bounds()
        )),
        "deny.path.escape"
    );
}

#[test]
fn results_are_bounded_and_sorted() {
    let bench = Bench::new();
    for n in 0..GLOB_PATHS_MAX + 5 {
        bench.put(&format!("d{}/f{n}", n % 7), "");
    }
    let args = GlobArgs { pattern: "**", path: "" };
    let done = glob(&bench.resolver(), &Open, &args, &bench.bounds()).unwrap();
    assert!(done.truncated && done.paths.len() == GLOB_PATHS_MAX && done.paths.is_sorted());
    assert!(done.text.contains("narrow the pattern"));
}

#[test]
fn a_deep_tree_ends() {
    let bench = Bench::new();
    let mut at = bench.ws("");
    for _ in 0..300 {
        at.push("d");
        fs::create_dir(&at).unwrap();
    }
    let args = GlobArgs { pattern: "**/f", path: "" };
    let done = glob(&bench.resolver(), &Open, &args, &bench.bounds()).unwrap();
    assert!(done.text.contains("[1 name could not be looked at]"), "{}", done.text);
}

#[test]
fn a_hostile_ignore_file_does_not_hold_the_walk() {
    let bench = Bench::new();
    let rules: String =
        (0..2_000).map(|n| format!("**/*[a-z]*{{a{n},b}}*x?*.y/**/z{n}*\n")).collect();
    bench
        .put("a/.gitignore", &rules)
        .put("a/f", "")
        .put("b/f", "")
        .put("b/.gitignore", "f\n".repeat(200_000));
    let begun = std::time::Instant::now();
    assert_eq!(
        list(&bench, "**/f", "", &Open),
        ["a/f", "b/f"],
        "an oversize ignore file is passed over"
    );
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn bad_places_and_patterns_are_named() {
    let bench = tree();
    let at = |pattern, path| {
        code(glob(&bench.resolver(), &Open, &GlobArgs { pattern, path }, &bench.bounds()))
    };
    assert_eq!(at("*", "none"), "path.not_found");
    assert_eq!(at("*", "a.rs"), "path.not_directory");
    assert_eq!(at("[", ""), "pattern.glob");
    assert_eq!(at("", ""), "pattern.empty");
    assert_eq!(at("*", "../x"), "path.malformed");
}
