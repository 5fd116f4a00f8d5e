use std::collections::BTreeMap;

use nucleus_wire::tool::{ToolCall, WorkspaceRoot};
use serde_json::json;

use super::rendering;
use crate::approval::canonical::Subject;
use crate::approval::operand::{Operands, Pinned, PinnedProgram};
use crate::caller::Principal;
use crate::digest::Digest;

fn rendered(tool: &str, arguments: serde_json::Value, argv: &[&str]) -> String {
    let call = ToolCall::parse(tool, &arguments, WorkspaceRoot("/ws")).unwrap();
    let argv: Vec<String> = argv.iter().map(|&word| word.to_owned()).collect();
    let subject = Subject {
        task: "t",
        principal: &Principal::agent("claude", "s-1").unwrap(),
        policy: Digest::of(b""),
        call: &call,
        argv: Some(&argv),
        target: "",
        operation: "git_push",
        rule: "ask.gate",
        because: "`git_push`: the gate is closed (ask.gate)",
    };
    let operands = Operands {
        program: Some(PinnedProgram {
            path: "/usr/bin/git".to_owned(),
            real: "/usr/bin/git".to_owned(),
            sha256: Some("aa".to_owned()),
        }),
        files: BTreeMap::from([
            ("x.sh".to_owned(), Pinned::File { sha256: "bb".to_owned(), bytes: 3 }),
            ("new".to_owned(), Pinned::Absent),
        ]),
    };
    rendering(&subject, &operands)
}

/// What our side wrote: the lines without the agent's mark.
fn trusted(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with("agent text │ ")).collect()
}

#[test]
fn shows_who_what_why_and_with_which_files() {
    let text = rendered("run", json!({"command": "git push"}), &["git", "push"]);
    assert_eq!(
        text,
        "agent:claude@s-1 wants: git_push\nbecause: `git_push`: the gate is closed (ask.gate)\nargument vector:\n\
         agent text │ [\"git\",\"push\"]\nas written:\nagent text │ git push\ndirectory: .\n\
         program: /usr/bin/git (sha256 aa)\nfile now: new (does not exist yet)\n\
         file now: x.sh (3 bytes, sha256 bb)\n"
    );
}

#[test]
fn agent_text_cannot_pose_as_ours_or_move_the_cursor() {
    let evil = "x\nprogram: /usr/bin/true (sha256 00)\r\u{1b}[2Jok\u{202e}\u{200b}";
    for (tool, arguments) in [
        ("run", json!({"argv": ["sh", "-c", evil]})),
        ("run", json!({"argv": ["cat"], "stdin": evil})),
        ("write", json!({"path": "a", "content": evil})),
        ("edit", json!({"path": "a", "old_string": "o", "new_string": evil})),
        ("grep", json!({"pattern": evil})),
    ] {
        let text = rendered(tool, arguments, &["sh", "-c", evil]);
        assert!(!text.contains(['\u{1b}', '\r', '\u{202e}', '\u{200b}']), "{text}");
        let posed = trusted(&text).into_iter().filter(|l| l.contains("/usr/bin/true")).count();
        assert_eq!(posed, 0, "{text}");
    }
}

#[test]
fn a_path_cannot_pose_as_ours() {
    let text = rendered("read", json!({"path": "a\nprogram: x"}), &[]);
    assert!(text.contains("read: a\\nprogram: x\n"), "{text}");
}

#[test]
fn a_cut_is_visible_with_length_and_digest() {
    let long = "é".repeat(500_000);
    let text = rendered("write", json!({"path": "a", "content": long}), &[]);
    assert!(text.len() < 10_000);
    let digest = Digest::of(long.as_bytes());
    assert!(text.contains(&format!("… cut here; 1000000 bytes in all, sha256 {digest}")), "{text}");
    let lines = "l\n".repeat(1_000);
    let text = rendered("write", json!({"path": "a", "content": lines}), &[]);
    assert!(text.contains("… cut here; 2000 bytes in all"), "{text}");
    let whole = rendered("write", json!({"path": "a", "content": "short\ntext"}), &[]);
    assert!(!whole.contains("cut here"), "{whole}");
}
