use std::collections::BTreeMap;

use nucleus_wire::tool::{ToolCall, WorkspaceRoot};
use serde_json::json;

use super::{Rendering, rendering};
use crate::approval::before::Before;
use crate::approval::canonical::Subject;
use crate::approval::operand::{Operands, Pinned, PinnedProgram};
use crate::caller::Principal;
use crate::digest::Digest;

fn rendered(tool: &str, arguments: serde_json::Value, argv: &[&str]) -> String {
    let rendering = against(tool, arguments, argv, &Before::Absent);
    assert!(rendering.complete);
    rendering.text.as_ref().to_owned()
}

/// What changes in a file with this content.
fn change(tool: &str, arguments: serde_json::Value, before: &str) -> String {
    against(tool, arguments, &[], &Before::Text(before.to_owned())).text.as_ref().to_owned()
}

fn against(tool: &str, arguments: serde_json::Value, argv: &[&str], before: &Before) -> Rendering {
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
            agent_writable: false,
        }),
        files: BTreeMap::from([
            ("x.sh".to_owned(), Pinned::File { sha256: "bb".to_owned(), bytes: 3 }),
            ("new".to_owned(), Pinned::Absent),
        ]),
    };
    rendering(&subject, &operands, before)
}

/// What our side wrote: the lines without the agent's mark.
fn trusted(text: &str) -> Vec<&str> {
    let agents = ["agent text │ ", "agent diff │ "];
    text.lines().filter(|line| !agents.iter().any(|mark| line.starts_with(mark))).collect()
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
fn all_of_it_is_there_however_long() {
    let argv: Vec<String> = (0..1_500).map(|n| format!("word-{n}")).collect();
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    let text = rendered("run", json!({"command": "x"}), &words);
    assert!(text.contains(&format!("agent text │ {}\n", serde_json::Value::from(words))), "{text}");
    let stdin: String = (0..5_000).map(|n| format!("line {n}\n")).collect();
    let text = rendered("run", json!({"argv": ["sh"], "stdin": stdin}), &["sh"]);
    assert_eq!(text.lines().filter(|line| line.starts_with("agent text │ line ")).count(), 5_000);
    let text = rendered("write", json!({"path": "a", "content": stdin}), &[]);
    assert_eq!(text.lines().filter(|line| line.starts_with("agent diff │ +line ")).count(), 5_000);
    assert!(text.ends_with("file now: x.sh (3 bytes, sha256 bb)\n"), "{text}");
}

#[test]
fn what_is_longer_than_anybody_is_shown_says_so_and_is_not_complete() {
    for content in ["é".repeat(600_000), "\n".repeat(200_000), "\u{1b}".repeat(300_000)] {
        let shown =
            against("write", json!({"path": "a", "content": content}), &[], &Before::Absent);
        assert!(!shown.complete);
        assert!(shown.text.len() < 1_100_000, "{}", shown.text.len());
        assert!(shown.text.ends_with("… longer than anybody is shown: the rest is left out\n"));
    }
}

#[test]
fn a_write_is_a_diff_against_what_is_there() {
    let old: String = (0..40).map(|n| format!("line {n}\n")).collect();
    let new = old.replace("line 20\n", "line twenty\u{202e}\n");
    let text = change("write", json!({"path": "a", "content": new}), &old);
    let wanted = "replace the whole of: a\nwhat changes (- is there now, + comes):\n\
                  agent diff │ @@ -18,7 +18,7 @@\nagent diff │  line 17\nagent diff │  line 18\n\
                  agent diff │  line 19\nagent diff │ -line 20\n\
                  agent diff │ +line twenty\\u{202e}\nagent diff │  line 21\nagent diff │  line 22\n\
                  agent diff │  line 23\nprogram: ";
    assert!(text.contains(wanted), "{text}");
    let text = change("write", json!({"path": "a", "content": old}), &old);
    assert!(
        text.contains("replace the whole of: a\nby what is in it already, unchanged\n"),
        "{text}"
    );
    let text = change("write", json!({"path": "a", "content": "one"}), "one\n");
    assert!(
        text.contains("agent diff │ -one\nagent diff │ +one\nagent diff │ \\ no line break"),
        "{text}"
    );
}

#[test]
fn an_edit_is_a_diff_of_the_file_it_makes() {
    let edit = |all: bool| {
        let edit =
            json!({"path": "a", "old_string": "x", "new_string": "y\nz", "replace_all": all});
        change("edit", edit, "x\nb\nx\n")
    };
    let text = edit(true);
    let diff: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("agent diff │ ")).collect();
    assert_eq!(diff, ["@@ -1,3 +1,5 @@", "-x", "+y", "+z", " b", "-x", "+y", "+z"]);
    // Where the edit does not apply, its two texts are all there is to show.
    let text = edit(false);
    assert!(text.contains("replace once in: a\ndoes not apply to it as it is now: "), "{text}");
    assert!(text.contains("this text:\nagent text │ x\nby this text:\nagent text │ y\n"), "{text}");
}

#[test]
fn what_has_no_diff_is_said_and_shown_whole() {
    let other = Before::Other("what is there now is binary: 9 bytes".to_owned());
    let write = json!({"path": "a", "content": "one\ntwo"});
    let shown = against("write", write, &[], &other);
    let wanted = "replace the whole of: a\nwhat is there now is binary: 9 bytes\nnew content:\n\
                  agent text │ one\nagent text │ two\n";
    assert!(shown.complete && shown.text.contains(wanted), "{}", shown.text);
}
