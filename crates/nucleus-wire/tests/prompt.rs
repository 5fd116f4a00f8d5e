//! `permission_prompt`: what Claude Code asks about tools of its own, read strictly and answered in its form.
#![expect(clippy::panic, reason = "helpers of tests fail by panicking")]

use nucleus_wire::limits::{ARGV_MAX_BYTES, PROMPT_INPUT_MAX_BYTES, TOOL_NAME_MAX_BYTES};
use nucleus_wire::tool::{
    Asked, PROMPT_TOOL, PermissionPrompt, ToolArgError, ToolCall, ToolName, WorkspaceRoot,
};
use serde_json::{Value, json};

fn parse(arguments: &Value) -> Result<PermissionPrompt, ToolArgError> {
    match ToolCall::parse("permission_prompt", arguments, WorkspaceRoot("/home/user/ws"))? {
        ToolCall::PermissionPrompt(prompt) => Ok(prompt),
        other => panic!("{other:?}"),
    }
}

fn asks(tool: &str, input: Value) -> Result<Asked, ToolArgError> {
    parse(&json!({"tool_name": tool, "input": input, "tool_use_id": "toolu_1"})).map(|p| p.asked)
}

#[test]
fn its_flag_names_this_server_and_this_tool() {
    assert_eq!(PROMPT_TOOL, format!("mcp__nucleus__{}", ToolName::PermissionPrompt));
}

#[test]
fn each_tool_of_its_own_is_what_it_stands_for() {
    let path = |text: &str| lattice_guard::RelPath::parse(text).unwrap();
    let host = |text: &str| lattice_guard::Host::parse(text).unwrap();
    let file = "/home/user/ws/src/a.rs";
    for (tool, input, expected) in [
        (
            "Bash",
            json!({"command": "cargo test | tail", "description": "d", "timeout": 5}),
            Asked::Run("cargo test | tail".to_owned()),
        ),
        ("Read", json!({"file_path": file, "limit": 3}), Asked::Read(path("src/a.rs"))),
        ("Write", json!({"file_path": file, "content": ""}), Asked::Write(path("src/a.rs"))),
        (
            "Edit",
            json!({"file_path": "src/a.rs", "old_string": "a", "new_string": "b"}),
            Asked::Edit(path("src/a.rs")),
        ),
        ("MultiEdit", json!({"file_path": file, "edits": []}), Asked::Edit(path("src/a.rs"))),
        (
            "NotebookEdit",
            json!({"notebook_path": "/home/user/ws/a.ipynb", "new_source": ""}),
            Asked::Edit(path("a.ipynb")),
        ),
        (
            "Glob",
            json!({"pattern": "**/*.rs"}),
            Asked::Glob { path: path("."), pattern: "**/*.rs".to_owned() },
        ),
        ("Grep", json!({"pattern": "x", "path": "src", "-n": true}), Asked::Grep(path("src"))),
        (
            "WebFetch",
            json!({"url": "https://Docs.example.com:8443/a?b", "prompt": "p"}),
            Asked::WebFetch(host("docs.example.com:8443")),
        ),
        ("WebSearch", json!({"query": "q"}), Asked::WebSearch(host("api.anthropic.com"))),
        ("mcp__nucleus__run", json!({"anything": 1}), Asked::Ours),
        ("mcp__nucleus__read_all", json!({}), Asked::Unknown),
        ("mcp__nucleus", json!({}), Asked::Unknown),
        ("mcp__other__run", json!({}), Asked::Unknown),
        ("bash", json!({"command": "true"}), Asked::Unknown),
        ("ExitPlanMode", json!({"plan": "p"}), Asked::Unknown),
    ] {
        assert_eq!(asks(tool, input).unwrap(), expected, "{tool}");
    }
}

#[test]
fn what_is_not_exactly_a_question_is_none() {
    let bash = json!({"command": "true"});
    let long = "x".repeat(PROMPT_INPUT_MAX_BYTES);
    for (arguments, code) in [
        (json!({"input": bash}), "args.missing"),
        (json!({"tool_name": "Bash"}), "args.missing"),
        (json!({"tool_name": "Bash", "input": null}), "args.missing"),
        (json!({"tool_name": "", "input": bash}), "args.empty"),
        (json!({"tool_name": "Ba\0sh", "input": bash}), "args.nul"),
        (json!({"tool_name": ["Bash"], "input": bash}), "args.type"),
        (json!({"tool_name": "Bash", "input": "true"}), "args.type"),
        (json!({"tool_name": "Bash", "input": [bash]}), "args.type"),
        (json!({"tool_name": "Bash", "input": bash, "tool_use_id": 1}), "args.type"),
        (json!({"tool_name": "Bash", "input": bash, "approved": true}), "args.unknown"),
        (json!({"tool_name": "x".repeat(TOOL_NAME_MAX_BYTES + 1), "input": bash}), "args.too_long"),
        (
            json!({"tool_name": "Bash", "input": bash, "tool_use_id": "x".repeat(129)}),
            "args.too_long",
        ),
        (json!({"tool_name": "Other", "input": {"x": long}}), "args.too_long"),
    ] {
        assert_eq!(parse(&arguments).unwrap_err().code(), code, "{arguments:.120}");
    }
    // The controls: without a tool-use id, and as large as is taken.
    assert!(parse(&json!({"tool_name": "Bash", "input": bash})).is_ok());
    let fits = "x".repeat(PROMPT_INPUT_MAX_BYTES - r#"{"x":""}"#.len());
    assert!(asks("Other", json!({ "x": fits })).is_ok());
}

#[test]
fn arguments_of_a_known_tool_are_read_as_strictly_as_any() {
    for (tool, input, code) in [
        ("Bash", json!({}), "args.missing"),
        ("Bash", json!({"command": " "}), "args.empty"),
        ("Bash", json!({"command": "true", "sudo": true}), "args.unknown"),
        ("Bash", json!({"command": ["true"]}), "args.type"),
        ("Bash", json!({"command": "x".repeat(ARGV_MAX_BYTES + 1)}), "args.too_long"),
        ("Read", json!({"file_path": "/etc/passwd"}), "args.path.outside"),
        ("Read", json!({"file_path": "/home/user/ws-evil/x"}), "args.path.outside"),
        ("Read", json!({"file_path": "../x"}), "args.path.parent"),
        ("Write", json!({"file_path": "a"}), "args.missing"),
        ("Edit", json!({"path": "a"}), "args.unknown"),
        ("Glob", json!({"pattern": "../*"}), "args.path.parent"),
        ("Grep", json!({"path": "a"}), "args.missing"),
        ("WebFetch", json!({"url": "http://example.com", "prompt": ""}), "args.type"),
        ("WebFetch", json!({"url": "https://user@example.com/", "prompt": ""}), "args.type"),
        ("WebFetch", json!({"url": "https://a.example\\@b.example/", "prompt": ""}), "args.type"),
        ("WebFetch", json!({"url": "https://127.0.0.1/", "prompt": ""}), "args.type"),
        ("WebSearch", json!({}), "args.missing"),
    ] {
        let error = asks(tool, input.clone()).unwrap_err();
        assert_eq!(error.code(), code, "{tool} {input:.80}");
        assert!(!error.agent_text().is_empty());
    }
}

#[test]
fn an_answer_gives_the_arguments_back_as_they_were_read() {
    let input = json!({
        "command": "printf 'a\tb\u{e9}\u{202e}\\n'", "description": "\u{0}", "timeout": 1e3,
        "run_in_background": false,
    });
    let prompt = parse(&json!({"tool_name": "Bash", "input": input})).unwrap();
    let allowed: Value = serde_json::from_str(&prompt.allowed()).unwrap();
    assert_eq!(allowed, json!({"behavior": "allow", "updatedInput": input}));
    let other = json!({"big": u64::MAX, "small": i64::MIN, "float": 0.1, "deep": [[{"a": null}]]});
    let prompt = parse(&json!({"tool_name": "Other", "input": other})).unwrap();
    let given = other.to_string();
    assert_eq!(prompt.allowed(), format!("{{\"behavior\":\"allow\",\"updatedInput\":{given}}}"));
    let denied: Value = serde_json::from_str(&PermissionPrompt::denied("no \"x\"\n")).unwrap();
    assert_eq!(denied, json!({"behavior": "deny", "message": "no \"x\"\n"}));
}

/// The grant is bound to what is written here: name and arguments, and not the id, which is another at each try.
#[test]
fn the_canonical_form_covers_name_and_arguments_alone() {
    let form = |tool: &str, input: Value, id: &str| {
        let arguments = json!({"tool_name": tool, "input": input, "tool_use_id": id});
        serde_json::to_string(&ToolCall::PermissionPrompt(parse(&arguments).unwrap())).unwrap()
    };
    let one = form("Bash", json!({"command": "true"}), "toolu_1");
    assert_eq!(
        one,
        r#"{"tool":"permission_prompt","tool_name":"Bash","input":{"command":"true"}}"#
    );
    assert_eq!(one, form("Bash", json!({"command": "true"}), "toolu_2"));
    assert_ne!(one, form("Bash", json!({"command": "true", "timeout": 1}), "toolu_1"));
    assert_ne!(one, form("Other", json!({"command": "true"}), "toolu_1"));
}
