//! Tool arguments: what is taken, what is refused and in which words.
#![expect(clippy::panic, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeSet;
use std::fmt::Write as _;

use nucleus_wire::limits::{
    ARGV_MAX_BYTES, ARGV_MAX_ITEMS, CONTENT_MAX_BYTES, EDIT_MAX_BYTES, PATTERN_MAX_BYTES,
    STDIN_MAX_BYTES,
};
use nucleus_wire::tool::{
    CommandInput, GrepMode, ToolArgError, ToolCall, ToolName, WorkspaceRoot, schemas,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const WS: WorkspaceRoot<'static> = WorkspaceRoot("/home/user/ws");

fn parse(name: &str, arguments: &Value) -> Result<ToolCall, ToolArgError> {
    ToolCall::parse(name, arguments, WS)
}

fn accepted(name: &str, arguments: Value) -> ToolCall {
    parse(name, &arguments).unwrap_or_else(|error| panic!("{name} {arguments}: {error}"))
}

#[test]
fn every_tool_takes_what_its_schema_says() {
    let ToolCall::Read(read) = accepted("read", json!({"path": "/home/user/ws/src/a.rs"})) else {
        panic!()
    };
    assert_eq!((read.path.as_str(), read.offset, read.limit), ("src/a.rs", 1, 2_000));
    let ToolCall::Read(read) = accepted("read", json!({"path": "a", "offset": 7, "limit": 1}))
    else {
        panic!()
    };
    assert_eq!((read.offset, read.limit), (7, 1));

    let ToolCall::Write(write) = accepted("write", json!({"path": "a", "content": ""})) else {
        panic!()
    };
    assert_eq!(write.content, "");

    let ToolCall::Edit(edit) = accepted(
        "edit",
        json!({"path": "a", "old_string": "x", "new_string": "", "replace_all": true}),
    ) else {
        panic!()
    };
    assert!(edit.replace_all);

    let ToolCall::Run(run) = accepted(
        "run",
        json!({"command": "cd sub && cargo test 2>&1 | tail -5", "description": "test", "cwd": "/home/user/ws/"}),
    ) else {
        panic!()
    };
    assert_eq!(run.command, CommandInput::Text("cd sub && cargo test 2>&1 | tail -5".into()));
    assert!(run.cwd.is_root() && !run.background);
    assert_eq!((run.stdin, run.timeout_ms), (None, None));
    let ToolCall::Run(run) = accepted(
        "run",
        json!({"argv": ["printf", "", "a b"], "stdin": "in\u{0}", "timeout_s": 2, "background": true, "cwd": "sub"}),
    ) else {
        panic!()
    };
    let argv = ["printf", "", "a b"].map(str::to_owned).to_vec();
    assert_eq!(run.command, CommandInput::Argv(argv));
    assert_eq!((run.cwd.as_str(), run.timeout_ms, run.background), ("sub", Some(2_000), true));

    let ToolCall::JobOutput(job) = accepted("job_output", json!({"job": "job-3", "wait_s": 30}))
    else {
        panic!()
    };
    assert_eq!(
        (job.job.as_deref().unwrap_or_default(), job.offset, job.wait_ms),
        ("job-3", None, 30_000)
    );
    assert!(matches!(accepted("job_stop", json!({"job": "job-3"})), ToolCall::JobStop(_)));

    let ToolCall::Glob(glob) = accepted("glob", json!({"pattern": "/home/user/ws/src/**/*.rs"}))
    else {
        panic!()
    };
    assert_eq!((glob.pattern.as_str(), glob.path.as_str()), ("src/**/*.rs", "."));

    let ToolCall::Grep(grep) = accepted(
        "grep",
        json!({"pattern": "fn\\s+\\w+", "path": "src", "glob": "*.rs", "ignore_case": true,
               "context": 2, "max_matches": 5, "mode": "files"}),
    ) else {
        panic!()
    };
    assert_eq!((grep.context, grep.max_matches, grep.mode), (2, 5, GrepMode::Files));
    let ToolCall::Grep(grep) = accepted("grep", json!({"pattern": "x"})) else { panic!() };
    assert_eq!((grep.context, grep.max_matches, grep.mode), (0, 200, GrepMode::Content));

    let ToolCall::ApprovalsStatus(status) = accepted("approvals_status", json!({})) else {
        panic!()
    };
    assert_eq!(status.id, None);
}

#[test]
fn null_means_not_given_where_an_argument_is_optional() {
    let with = accepted("read", json!({"path": "a", "offset": null, "limit": null}));
    assert_eq!(with, accepted("read", json!({"path": "a"})));
    let with = accepted("run", json!({"command": "true", "argv": null, "stdin": null}));
    assert_eq!(with, accepted("run", json!({"command": "true"})));
    assert_eq!(parse("read", &json!({"path": null})).unwrap_err().code(), "args.missing");
}

#[test]
fn refusals_say_what_was_found_and_what_is_allowed() {
    let cases = [
        ("Read", json!({"path": "a"})),
        ("read ", json!({"path": "a"})),
        ("re\u{430}d", json!({"path": "a"})),
        ("bash\u{1b}[2J", json!({})),
        ("web_fetch", json!({"url": "https://example.com"})),
        ("read", json!([])),
        ("read", json!("a")),
        ("read", json!({})),
        ("read", json!({"path": "a", "file_path": "b"})),
        ("read", json!({"path": "a", "offst": 3})),
        ("read", json!({"path": 3})),
        ("read", json!({"path": ["a"]})),
        ("read", json!({"path": ""})),
        ("read", json!({"path": "."})),
        ("read", json!({"path": "/home/user/ws"})),
        ("read", json!({"path": "/home/user/ws-evil/x"})),
        ("read", json!({"path": "../x"})),
        ("read", json!({"path": "a\u{0}b"})),
        ("read", json!({"path": "a".repeat(300)})),
        ("read", json!({"path": "a/".repeat(3000)})),
        ("read", json!({"path": "a", "offset": 0})),
        ("read", json!({"path": "a", "offset": -1})),
        ("read", json!({"path": "a", "offset": 1.5})),
        ("read", json!({"path": "a", "offset": 1e3})),
        ("read", json!({"path": "a", "offset": u64::MAX})),
        ("read", json!({"path": "a", "limit": "10"})),
        ("read", json!({"path": "a", "limit": 100_001})),
        ("write", json!({"path": "a"})),
        ("write", json!({"path": "a", "content": {"x": 1}})),
        ("write", json!({"path": "a", "content": "x".repeat(CONTENT_MAX_BYTES + 1)})),
        ("edit", json!({"path": "a", "old_string": "", "new_string": "x"})),
        ("edit", json!({"path": "a", "old_string": "x", "new_string": "x"})),
        ("edit", json!({"path": "a", "old_string": "x"})),
        ("edit", json!({"path": "a", "old_string": "x", "new_string": "y", "replace_all": "yes"})),
        (
            "edit",
            json!({"path": "a", "old_string": "x".repeat(EDIT_MAX_BYTES + 1), "new_string": ""}),
        ),
        ("run", json!({})),
        ("run", json!({"command": "true", "argv": ["true"]})),
        ("run", json!({"command": " \n"})),
        ("run", json!({"command": "a\u{0}b"})),
        ("run", json!({"command": ["ls", "-l"]})),
        ("run", json!({"command": "x".repeat(ARGV_MAX_BYTES + 1)})),
        ("run", json!({"argv": "ls -l"})),
        ("run", json!({"argv": []})),
        ("run", json!({"argv": [""]})),
        ("run", json!({"argv": ["ls", 3]})),
        ("run", json!({"argv": ["ls", "a\u{0}"]})),
        ("run", json!({"argv": vec!["x"; ARGV_MAX_ITEMS + 1]})),
        ("run", json!({"argv": ["x", "y".repeat(ARGV_MAX_BYTES)]})),
        ("run", json!({"command": "true", "stdin": "x".repeat(STDIN_MAX_BYTES + 1)})),
        ("run", json!({"command": "true", "timeout_s": 0})),
        ("run", json!({"command": "true", "timeout_s": 86_401})),
        ("run", json!({"command": "true", "timeout": 10})),
        ("run", json!({"command": "true", "background": 1})),
        ("run", json!({"command": "true", "cwd": "/"})),
        ("run", json!({"command": "true", "description": 1})),
        ("run", json!({"command": "true", "dangerouslyDisableSandbox": true})),
        ("job_output", json!({"wait_s": 5})),
        ("job_output", json!({"job": "../1"})),
        ("job_output", json!({"job": ""})),
        ("job_output", json!({"job": 1})),
        ("job_output", json!({"job": "j1", "offset": -1})),
        ("job_output", json!({"job": "j1", "wait_s": 31})),
        ("job_stop", json!({"job": "J1"})),
        ("glob", json!({})),
        ("glob", json!({"pattern": ""})),
        ("glob", json!({"pattern": "/etc/*"})),
        ("glob", json!({"pattern": "../*"})),
        ("glob", json!({"pattern": "/home/user/ws"})),
        ("glob", json!({"pattern": "x".repeat(PATTERN_MAX_BYTES + 1)})),
        ("grep", json!({"pattern": ""})),
        ("grep", json!({"pattern": "x", "mode": "lines"})),
        ("grep", json!({"pattern": "x", "mode": 1})),
        ("grep", json!({"pattern": "x", "context": 21})),
        ("grep", json!({"pattern": "x", "max_matches": 0})),
        ("grep", json!({"pattern": "x", "glob": ""})),
        ("grep", json!({"pattern": "x".repeat(PATTERN_MAX_BYTES + 1)})),
        ("approvals_status", json!({"id": "a b"})),
        ("approvals_status", json!({"approve": true})),
    ];
    let mut shown = String::new();
    for (name, arguments) in cases {
        let error = parse(name, &arguments).expect_err(&format!("{name} {arguments}"));
        let given = arguments.to_string();
        let given: String = if given.len() > 90 {
            format!("{}… ({} bytes)", given.chars().take(60).collect::<String>(), given.len())
        } else {
            given
        };
        writeln!(shown, "{name:?} {given}\n  {}\n  {}", error.code(), error.agent_text()).unwrap();
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn limits_are_exact() {
    for (name, arguments) in [
        ("write", json!({"path": "a", "content": "x".repeat(CONTENT_MAX_BYTES)})),
        (
            "edit",
            json!({"path": "a", "old_string": "x".repeat(EDIT_MAX_BYTES), "new_string": "y".repeat(EDIT_MAX_BYTES)}),
        ),
        ("run", json!({"command": "x".repeat(ARGV_MAX_BYTES)})),
        ("run", json!({"argv": vec!["x"; ARGV_MAX_ITEMS]})),
        ("run", json!({"argv": ["x", "y".repeat(ARGV_MAX_BYTES - 1)]})),
        (
            "run",
            json!({"command": "true", "stdin": "x".repeat(STDIN_MAX_BYTES), "timeout_s": 86_400}),
        ),
        ("glob", json!({"pattern": "x".repeat(PATTERN_MAX_BYTES)})),
        (
            "grep",
            json!({"pattern": "x".repeat(PATTERN_MAX_BYTES), "context": 20, "max_matches": 10_000}),
        ),
        ("read", json!({"path": "a", "offset": 1_000_000_000, "limit": 100_000})),
    ] {
        accepted(name, arguments);
    }
}

#[test]
fn a_refusal_never_shows_a_path_or_a_control_character() {
    for (name, arguments) in [
        ("read", json!({"path": "/etc/passwd"})),
        ("read", json!({"path": "/home/user/ws/../../root"})),
        ("run", json!({"command": "true", "cwd": "/root/.ssh"})),
        ("read", json!({"\u{1b}[2J\u{202e}": 1, "path": "a"})),
    ] {
        let text = parse(name, &arguments).unwrap_err().agent_text();
        assert!(
            !text.contains("/etc") && !text.contains("/root") && !text.contains("/home"),
            "{text}"
        );
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert!(!text.contains('\u{202e}'));
    }
}

#[test]
fn the_canonical_form_does_not_depend_on_how_the_call_was_written() {
    let a = accepted(
        "run",
        json!({"command": "make", "cwd": "/home/user/ws/sub", "background": false}),
    );
    let b = accepted(
        "run",
        json!({"background": null, "description": "build", "cwd": "./sub/", "command": "make"}),
    );
    let canonical = serde_json::to_string(&a).unwrap();
    assert_eq!(canonical, serde_json::to_string(&b).unwrap());
    assert_eq!(
        canonical,
        r#"{"tool":"run","command":{"text":"make"},"cwd":"sub","stdin":null,"timeout_ms":null,"background":false}"#
    );
    let shell = accepted("run", json!({"argv": ["make"], "cwd": "sub"}));
    assert_ne!(canonical, serde_json::to_string(&shell).unwrap());
}

#[test]
fn schemas_list_exactly_the_tools_asked_for_in_order() {
    let names = |tools: &BTreeSet<ToolName>| {
        schemas(tools)
            .iter()
            .map(|tool| tool["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&BTreeSet::new()), Vec::<String>::new());
    assert_eq!(names(&BTreeSet::from([ToolName::Grep, ToolName::Read])), ["read", "grep"]);
    let all = names(&ToolName::ALL.into_iter().collect());
    assert_eq!(all, ToolName::ALL.map(|name| name.as_str().to_owned()));
}

#[test]
fn a_schema_names_every_argument_and_no_other() {
    for tool in schemas(&ToolName::ALL.into_iter().collect()) {
        let name = tool["name"].as_str().unwrap();
        let schema = &tool["inputSchema"];
        assert_eq!(schema["type"], "object");
        assert_eq!(schema["additionalProperties"], false);
        let properties = schema["properties"].as_object().unwrap();
        // Whatever the schema names is known; whatever it does not name is not.
        for property in properties.keys() {
            let error = parse(name, &json!({ property: {} })).expect_err(name);
            assert_ne!(error.code(), "args.unknown", "{name}.{property}");
            assert!(properties[property]["description"].as_str().is_some_and(|d| d.len() > 10));
        }
        let error = parse(name, &json!({ "nonsense": {} })).unwrap_err().agent_text();
        let listed: BTreeSet<&str> = error.split('`').skip(3).step_by(2).collect();
        assert_eq!(listed, properties.keys().map(String::as_str).collect(), "{name}");
        for required in schema["required"].as_array().unwrap() {
            assert!(properties.contains_key(required.as_str().unwrap()));
        }
        assert!(tool["description"].as_str().unwrap().len() < 1_200, "{name}");
    }
    let all = schemas(&ToolName::ALL.into_iter().collect());
    insta::assert_snapshot!(serde_json::to_string_pretty(&all).unwrap());
}

fn loose_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        any::<i64>().prop_map(|i| json!(i)),
        any::<f64>().prop_map(|f| json!(f)),
        "[a-z/.\u{0}é~*-]{0,12}".prop_map(|s| json!(s)),
        Just(json!([])),
        Just(json!(["a", 1])),
        Just(json!({"x": 1})),
    ]
}

proptest! {
    #[test]
    fn no_arguments_panic(
        tool in 0usize..ToolName::ALL.len(),
        arguments in prop::collection::btree_map(
            prop_oneof![
                Just("path"), Just("offset"), Just("limit"), Just("content"), Just("old_string"),
                Just("new_string"), Just("replace_all"), Just("command"), Just("argv"), Just("cwd"),
                Just("stdin"), Just("timeout_s"), Just("background"), Just("job"), Just("pattern"),
                Just("glob"), Just("mode"), Just("id"), Just("wait_s"), Just("x")
            ],
            loose_value(),
            0..5,
        ),
    ) {
        if let Err(error) = parse(ToolName::ALL[tool].as_str(), &json!(arguments)) {
            prop_assert!(!error.agent_text().is_empty());
        }
    }

    #[test]
    fn no_name_panics(name in ".{0,80}") {
        let known = ToolName::ALL.iter().any(|tool| tool.as_str() == name);
        prop_assert_eq!(name.parse::<ToolName>().is_ok(), known);
    }
}
