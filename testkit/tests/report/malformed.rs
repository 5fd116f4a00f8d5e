//! What was no call at all: recorded with what it named, and counted alike wherever a session is summed up.

use serde_json::{Value, json};
use testkit::host::Outcome;
use testkit::script::{Action, Script, Step};

use crate::session::{call, hosts, replay, run};

/// A name and an address that no reader should be able to obey.
const HOSTILE: &str = "tool\u{202e}loot\u{1b}[2J";

#[test]
fn a_malformed_call_names_its_tool_and_what_it_wanted() {
    for host in hosts() {
        host.file(".env", "TOKEN=canary\n");
        let name =
            |name: &str| Step { action: Some(Action::Dns(name.to_owned())), ..Step::default() };
        let mut steps = vec![
            call("bogus", json!({})),
            call("web_fetch", json!({"url": "https://attacker.invalid/x"})),
            call("read", json!({"path": "../../etc/passwd"})),
            call(HOSTILE, json!({ "path": HOSTILE })),
            call("read", json!({"path": ".env"})),
            run("ln -s / out"),
            name("attacker.invalid"),
        ];
        // A flood of refusals before the decision is coalesced, and counted as refusals all the same.
        steps.extend((0..40).map(|_| call("read", json!({"path": "out/etc/passwd"}))));
        steps.extend((0..10).map(|_| call("bogus", json!({"query": "again"}))));
        let mut command =
            host.script_command(&Script { steps }, &["--profile", "fix-issue", "--json"]);
        let outcome = Outcome::of(&mut command).expect_code(0);
        let lines: Vec<Value> =
            outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let shown = |tool: &str, target: &str| {
            let of = |line: &&Value| line["type"] == "feed" && line["tool"] == tool;
            lines.iter().filter(of).any(|line| line["target"] == target && line["layer"] == "wire")
        };
        assert!(
            shown("bogus", "") && shown("web_fetch", "https://attacker.invalid/x"),
            "{outcome}"
        );
        assert!(shown("read", "../../etc/passwd"), "{outcome}");
        let escaped = "tool\\u{202e}loot\\u{1b}[2J";
        assert!(shown(escaped, escaped), "{outcome}");
        let replayed = host.nucleus(&["replay", "--only", "malformed"]).expect_code(0);
        for line in [
            "web_fetch  https://attacker.invalid/x  refused by wire: args.tool.unknown",
            "read      ../../etc/passwd  refused by wire: args.path.parent",
        ] {
            assert!(replayed.says(line), "{line}: {replayed}");
        }
        let page = host.nucleus(&["report", "--html", "--output", "-"]).expect_code(0).stdout;
        assert!(page.contains("../../etc/passwd") && page.contains("attacker.invalid/x"));
        // The same sums, name queries and what was only counted included.
        let summary = &lines[lines.len() - 1]["calls"];
        let record = replay(&host);
        assert!(record["totals"]["suppressed"].as_u64().unwrap() > 0, "{record:#}");
        for verdict in ["allowed", "denied", "malformed", "failed", "waiting", "stopped"] {
            let sum = |of: &Value| of[verdict].as_u64().unwrap_or(0);
            assert_eq!(
                sum(summary),
                sum(&record["totals"]["verdicts"]),
                "{verdict}: {summary} {:#}",
                record["totals"]
            );
        }
        assert_eq!(summary["malformed"], 14, "{summary}");
    }
}
