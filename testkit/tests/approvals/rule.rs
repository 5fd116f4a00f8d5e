//! Rules for similar calls and the broken glass, as a user makes them.

use crate::desk::{approvals, call, events, hosts, id, intents, park, park_under, question, run};
use serde_json::json;

#[test]
fn a_rule_answers_similar_commands_and_no_others() {
    for host in hosts() {
        let steps =
            [["touch", "a"], ["touch", "b"], ["touch", "c"], ["rm", "a"]].map(|argv| run(&argv));
        let mut task = park(&host, steps.to_vec());
        let first = id(&question(&host, &mut task, &[]));
        let made = approvals(
            &host,
            &[
                "approve",
                &first,
                "--similar",
                "--argv",
                "touch *",
                "--count",
                "2",
                "--for",
                "60",
                "--json",
            ],
        );
        let made: serde_json::Value = serde_json::from_str(&made.expect_code(0).stdout).unwrap();
        assert_eq!(made["outcome"], "granted");
        // Two more by the rule; then another program asks again.
        let other = question(&host, &mut task, &[first]);
        assert!(other["target"].as_str().unwrap().contains("rm a"), "{other}");
        approvals(&host, &["deny", &id(&other)]).expect_code(0);
        let (outcome, _) = task.outcome();
        let outcome = outcome.expect_code(0);
        for file in ["a", "b", "c"] {
            assert!(host.read(file).is_some(), "{file}: {outcome}");
        }
        assert_eq!(intents(&host), (3, 0), "each had a grant of its own");
        let by_rule =
            events(&host).iter().filter(|e| e["detail"]["by_rule"] == made["rule"]).count();
        assert_eq!(by_rule, 2);
    }
}

#[test]
fn a_rule_is_listed_revoked_and_then_gone() {
    for host in hosts() {
        let steps = [["touch", "a"], ["touch", "b"]].map(|argv| run(&argv));
        let mut task = park(&host, [steps.to_vec(), vec![]].concat());
        let first = id(&question(&host, &mut task, &[]));
        for bad in [&["--argv", "sh *"][..], &["--argv", "rm *"], &["--path-prefix", "src"]] {
            let mut args = vec!["approve", &first, "--similar"];
            args.extend(bad);
            approvals(&host, &args).expect_code(64);
        }
        // Exactly these words: the next command is another one, so it asks.
        approvals(&host, &["approve", &first, "--similar"]).expect_code(0);
        let second = id(&question(&host, &mut task, &[first]));
        let listed = approvals(&host, &["rules", "--json"]).expect_code(0);
        let rules: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
        let rule = rules["rules"][0]["id"].as_str().unwrap().to_owned();
        assert!(approvals(&host, &["revoke", &rule]).expect_code(0).says("revoked"));
        approvals(&host, &["revoke", &rule]).expect_code(64);
        assert!(approvals(&host, &["rules"]).expect_code(0).says("no rule is in force"));
        approvals(&host, &["deny", &second]).expect_code(0);
        let (outcome, _) = task.outcome();
        outcome.expect_code(0);
        let results: Vec<_> = events(&host)
            .iter()
            .filter(|e| e["type"] == "approval_rule")
            .map(|e| e["result"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(results, ["made", "revoked"]);
    }
}

#[test]
fn what_the_policy_forbids_no_rule_and_no_broken_glass_lets_through() {
    const POLICY: &str = "\
[capabilities]
read_files = \"always\"
edit_files = \"low_risk\"
run_bash = \"always\"

[obligations]
approvals = [\"run_bash\"]
";
    for host in hosts() {
        approvals(&host, &["break-glass", "--init"]).expect_code(0);
        let write = call("write", json!({"path": "forbidden.txt", "content": "x"}));
        let steps = vec![run(&["true"]), write.clone(), run(&["touch", "ran.txt"])];
        let mut task = park_under(&host, POLICY, steps, "socket");
        let first = id(&question(&host, &mut task, &[]));
        let open = ["break-glass", "--reason", "the deploy is stuck", "--for", "60", "--json"];
        let opened = approvals(&host, &open).expect_code(0);
        approvals(&host, &["approve", &first]).expect_code(0);
        let (outcome, _) = task.outcome();
        let outcome = outcome.expect_code(0);
        assert_eq!(host.read("forbidden.txt"), None, "{outcome}\n{opened}");
        // Control: what only asks went through without a question, and is marked.
        assert!(host.read("ran.txt").is_some(), "{outcome}");
        let glass: Vec<_> = events(&host)
            .iter()
            .filter(|e| e["type"] == "break_glass")
            .map(|e| (e["result"].as_str().unwrap().to_owned(), e["target"].clone()))
            .collect();
        let results: Vec<&str> = glass.iter().map(|(result, _)| result.as_str()).collect();
        assert_eq!(results, ["opened", "used"], "{glass:?}");
        assert!(glass.iter().all(|(_, reason)| reason == "the deploy is stuck"));
    }
}

#[test]
fn the_glass_stays_whole_without_its_key_or_a_reason() {
    for host in hosts() {
        let mut task = park(&host, vec![run(&["true"]), run(&["touch", "ran.txt"])]);
        let first = id(&question(&host, &mut task, &[]));
        let reason = ["break-glass", "--reason", "the deploy is stuck"];
        let none = approvals(&host, &reason).expect_code(77);
        assert!(none.says("--init"), "{none}");
        // A key that is made now is nothing to a task that began before.
        approvals(&host, &["break-glass", "--init"]).expect_code(0);
        let late = approvals(&host, &reason).expect_code(77);
        assert!(late.says("no break-glass key was known"), "{late}");
        approvals(&host, &["deny", &first]).expect_code(0);
        let second = id(&question(&host, &mut task, &[first]));
        approvals(&host, &["deny", &second]).expect_code(0);
        task.outcome().0.expect_code(0);

        let mut task = park(&host, vec![run(&["touch", "ran.txt"])]);
        let third = id(&question(&host, &mut task, &[]));
        approvals(&host, &["break-glass"]).expect_code(64);
        approvals(&host, &["break-glass", "--reason", "  "]).expect_code(77);
        let key = host.home().join(".config/nucleus/break-glass.key");
        let whole = std::fs::read_to_string(&key).unwrap();
        host.put(host.place(), "other.key", "00".repeat(32).as_bytes());
        let other = host.place().join("other.key");
        let open = |path: &std::path::Path| {
            let path = path.to_str().unwrap();
            approvals(&host, &["break-glass", "--key", path, "--reason", "the deploy is stuck"])
        };
        assert!(open(&other).expect_code(77).says("read by others"));
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(open(&other).expect_code(77).says("not signed with the break-glass key"));
        // Control: with the key it breaks.
        assert_eq!(whole.trim().len(), 64);
        open(&key).expect_code(0);
        approvals(&host, &["deny", &third]).expect_code(0);
        task.outcome().0.expect_code(0);
        assert_eq!(host.read("ran.txt"), None);
    }
}
