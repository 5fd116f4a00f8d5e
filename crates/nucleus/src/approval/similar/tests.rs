use nucleus_wire::approvals::Similar;
use nucleus_wire::tool::{ToolCall, WorkspaceRoot};
use serde_json::json;

use super::Rule;
use crate::approval::canonical::{ApprovalRequest, Subject};
use crate::approval::operand::{Operands, Pinned};
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
    ApprovalRequest::new(&subject, &operands).unwrap()
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
