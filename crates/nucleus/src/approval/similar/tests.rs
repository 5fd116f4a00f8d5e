use nucleus_wire::approvals::Similar;
use nucleus_wire::tool::{ToolCall, WorkspaceRoot};
use serde_json::json;

use super::Rule;
use crate::approval::before::Before;
use crate::approval::canonical::{ApprovalRequest, Subject};
use crate::approval::operand::{Operands, Pinned, PinnedProgram};
use crate::caller::Principal;
use crate::digest::Digest;

fn request(tool: &str, path: &str, real: &str) -> ApprovalRequest {
    let arguments = match tool {
        "write" => json!({"path": path, "content": "x"}),
        "glob" => json!({"path": path, "pattern": "*"}),
        _ => json!({ "path": path }),
    };
    let call = ToolCall::parse(tool, &arguments, WorkspaceRoot("/ws")).unwrap();
    let subject = Subject {
        task: "t",
        principal: &Principal::agent("claude", "s-1").unwrap(),
        policy: Digest::of(b""),
        call: &call,
        argv: None,
        target: "",
        operation: "write_files",
        rule: "ask.level",
        because: "",
    };
    let mut operands = Operands::default();
    if !real.is_empty() {
        operands.files.insert(real.to_owned(), Pinned::Absent);
    }
    ApprovalRequest::new(&subject, &operands, &Before::default()).unwrap()
}

fn beneath(prefix: Option<&str>) -> Similar {
    Similar { path_prefix: prefix.map(str::to_owned), ..Similar::default() }
}

#[test]
fn a_prefix_ends_at_a_directory_and_follows_real_names() {
    let origin = request("write", "docs/a.md", "docs/a.md");
    let rule = Rule::new("r".to_owned(), &origin, &beneath(Some("docs/")), 0).unwrap();
    for (path, real, covered) in [
        ("docs/b.md", "docs/b.md", true),
        ("docs/deep/c.md", "docs/deep/c.md", true),
        ("docs-evil/a.md", "docs-evil/a.md", false),
        ("docs/link.md", ".github/workflows/ci.yml", false),
        ("docs/nowhere", "", false),
    ] {
        assert_eq!(rule.covers(&request("write", path, real), 0), covered, "{path}");
    }
    assert!(!rule.covers(&request("read", "docs/b.md", "docs/b.md"), 0), "another tool");
}

#[test]
fn without_a_prefix_it_is_the_one_file() {
    let origin = request("write", "docs/a.md", "docs/a.md");
    let rule = Rule::new("r".to_owned(), &origin, &beneath(None), 0).unwrap();
    assert!(rule.covers(&origin, 0));
    assert!(!rule.covers(&request("write", "docs/b.md", "docs/b.md"), 0));
}

#[test]
fn a_prefix_that_names_all_or_something_else_makes_no_rule() {
    let origin = request("write", "docs/a.md", "docs/a.md");
    for prefix in ["", "/", ".", "..", "docs/..", "src", "/etc"] {
        assert!(Rule::new("r".to_owned(), &origin, &beneath(Some(prefix)), 0).is_err(), "{prefix}");
    }
    let search = request("glob", "docs", "docs");
    assert!(Rule::new("r".to_owned(), &search, &beneath(Some("docs")), 0).is_err());
}

/// A rule for `argv` with its last word open, when the first is this file.
fn opened(argv: &[&str], real: &str, agent_writable: bool) -> bool {
    let call = ToolCall::parse("run", &json!({ "argv": argv }), WorkspaceRoot("/ws")).unwrap();
    let words: Vec<String> = argv.iter().map(|&word| word.to_owned()).collect();
    let subject = Subject {
        task: "t",
        principal: &Principal::agent("claude", "s-1").unwrap(),
        policy: Digest::of(b""),
        call: &call,
        argv: Some(&words),
        target: "",
        operation: "run_bash",
        rule: "ask.level",
        because: "",
    };
    let name = argv[0].rsplit('/').next().unwrap();
    let program = PinnedProgram {
        path: format!("/usr/bin/{name}"),
        real: real.to_owned(),
        sha256: None,
        agent_writable,
    };
    let operands = Operands { program: Some(program), ..Operands::default() };
    let origin = ApprovalRequest::new(&subject, &operands, &Before::default()).unwrap();
    let fixed = argv[..argv.len() - 1].join(" ");
    let similar = Similar { argv: Some(format!("{fixed} *")), ..Similar::default() };
    let exact = Rule::new("r".to_owned(), &origin, &Similar::default(), 0);
    assert!(exact.is_ok(), "the words as they are make a rule: {argv:?}");
    Rule::new("r".to_owned(), &origin, &similar, 0).is_ok()
}

#[test]
fn a_wildcard_stands_only_behind_a_program_that_runs_nothing_it_is_told() {
    for (argv, real) in [
        (&["touch", "a"][..], "/usr/bin/touch"),
        (&["/usr/bin/touch", "a"], "/usr/bin/touch"),
        (&["rm", "-r", "a"], "/bin/busybox"),
        (&["cat", "a"], "/usr/lib/cargo/bin/coreutils/cat"),
    ] {
        assert!(opened(argv, real, false), "{argv:?}");
        assert!(!opened(argv, real, true), "a file an agent may have written: {argv:?}");
    }
    for name in [
        "awk", "bash", "busybox", "cargo", "find", "git", "go", "ionice", "make", "nice", "npm",
        "npx", "nsenter", "perl", "pip", "python3", "rsync", "sed", "setsid", "sort", "ssh",
        "stdbuf", "tar", "time", "timeout", "unknown", "xargs",
    ] {
        assert!(!opened(&[name, "a"], &format!("/usr/bin/{name}"), false), "{name}");
        // By another name it is the same file.
        assert!(!opened(&["touch", "a"], &format!("/usr/bin/{name}"), false) || name == "busybox");
    }
    // Behind a launcher, however harmless the command.
    for argv in [&["timeout", "5", "touch", "a"][..], &["setsid", "touch", "a"]] {
        assert!(!opened(argv, &format!("/usr/bin/{}", argv[0]), false), "{argv:?}");
    }
}
