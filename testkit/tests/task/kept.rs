//! What Nucleus keeps: little of what is over, all of what waits, and not more than its quota.

use serde_json::Value;
use testkit::host::Host;

use crate::meeting::{hosts, run, script};

const HOLD: &str = "echo ordinary > ordinary.txt; echo 'echo canary' > .envrc";

fn gc(host: &Host, args: &[&str]) -> Value {
    let mut all = vec!["gc", "--json"];
    all.extend(args);
    let outcome = host.nucleus(&all).expect_code(0);
    serde_json::from_str(&outcome.stdout).unwrap()
}

fn removed(value: &Value, kind: &str) -> usize {
    value["removed"].as_array().unwrap().iter().filter(|item| item["kind"] == kind).count()
}

#[test]
fn an_applied_session_keeps_its_log_and_the_way_back_only() {
    for host in hosts() {
        host.script(&script(vec![run("echo x > x; echo t > /tmp/t")])).expect_code(0);
        let mut kept: Vec<String> = std::fs::read_dir(&host.sessions()[0])
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        kept.sort();
        assert_eq!(
            kept,
            [
                "changes.json",
                "envelope.json",
                "lock",
                "log.jsonl",
                "log.jsonl.d",
                "session.json",
                "undo"
            ]
        );
        host.verify(&host.logs()[0]).expect_code(0);
    }
}

#[test]
fn only_what_nobody_waits_for_is_removed() {
    for host in hosts() {
        host.run(&["touch", "one"]).expect_code(0);
        host.script(&script(vec![run(HOLD)])).expect_code(0);
        assert_eq!(host.sessions().len(), 2);
        let young = gc(&host, &[]);
        assert_eq!(young["removed"].as_array().unwrap().len(), 0, "{young}");
        let planned = gc(&host, &["--older-than", "0", "--dry-run"]);
        assert_eq!((removed(&planned, "session"), host.sessions().len()), (1, 2), "{planned}");
        let done = gc(&host, &["--older-than", "0"]);
        assert_eq!((removed(&done, "session"), host.sessions().len()), (1, 1), "{done}");
        assert_eq!(done["unapplied_sessions"], 1, "{done}");
        assert!(done["freed_bytes"].as_u64() > Some(0), "{done}");
        assert!(std::fs::read_dir(host.state().join("trash")).unwrap().next().is_none());
        // What waits can still be accepted.
        host.nucleus(&["review", "--accept", ".envrc"]).expect_code(0);
        assert_eq!(host.read(".envrc").as_deref(), Some("echo canary\n"));
        host.script(&script(vec![run(HOLD)])).expect_code(0);
        let forced = gc(&host, &["--older-than", "0", "--force"]);
        assert!(removed(&forced, "session") >= 1 && host.sessions().is_empty(), "{forced}");
    }
}

#[test]
fn a_run_over_its_quota_makes_room_first() {
    for host in hosts() {
        host.run(&["touch", "one"]).expect_code(0);
        host.script(&script(vec![run(HOLD)])).expect_code(0);
        let ballast = vec![1_u8; 3 << 20];
        for session in host.sessions() {
            host.put(&session, "ballast", &ballast);
        }
        let within = host.run(&["true"]).expect_code(0);
        assert!(!within.says("disk quota") && host.sessions().len() == 3, "{within}");
        let text = b"[storage]\nmax_bytes = 4_000_000\n";
        host.put(&host.home(), ".config/nucleus/config.toml", text);
        // As an hour later: the last measurement counts no more.
        std::fs::remove_file(host.state().join("gc.json")).unwrap();
        let over = host.run(&["true"]).expect_code(0);
        assert!(over.says("disk quota: freed"), "{over}");
        let waiting = host.nucleus(&["ps", "--json"]).expect_code(0);
        let waiting: Value = serde_json::from_str(&waiting.stdout).unwrap();
        assert_eq!(waiting["sessions"][0]["status"], "held", "never what waits: {waiting}");
        let left = host.sessions().iter().filter(|dir| dir.join("ballast").exists()).count();
        assert_eq!(left, 1, "{over}");
        host.put(&host.home(), ".config/nucleus/config.toml", b"[storage]\nmax_bytes = 1\n");
        let bad = host.run(&["true"]).expect_code(65);
        assert!(bad.says("max_bytes") && bad.says("whole number"), "{bad}");
    }
}

#[test]
fn settings_are_shown_with_their_origin() {
    for host in hosts() {
        let shown = host.nucleus(&["config", "show", "--json"]).expect_code(0);
        let value = |text: &str, key: &str| -> Value {
            let all: Value = serde_json::from_str(text).unwrap();
            all["settings"].as_array().unwrap().iter().find(|s| s["key"] == key).unwrap().clone()
        };
        assert_eq!(value(&shown.stdout, "default_profile")["origin"], "default");
        host.put(&host.home(), ".config/nucleus/config.toml", b"default_profile = \"fix-issue\"\n");
        let shown = host.nucleus(&["config", "show", "--json"]).expect_code(0);
        let profile = value(&shown.stdout, "default_profile");
        assert_eq!(profile["value"], "fix-issue");
        assert!(profile["origin"].as_str().unwrap().ends_with(".config/nucleus/config.toml"));
        host.nucleus(&["config", "check"]).expect_code(0);
        host.put(&host.home(), ".config/nucleus/config.toml", b"[storage]\nmax_byte = 1\n");
        let wrong = host.nucleus(&["config", "check"]).expect_code(65);
        assert!(wrong.says("config.toml:2:1") && wrong.says("did you mean max_bytes"), "{wrong}");
        let path = host.nucleus(&["config", "path"]).expect_code(0);
        assert!(path.says("/etc/nucleus/config.toml"), "{path}");
    }
}
