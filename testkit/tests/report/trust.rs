//! What the log proves and what it does not.

use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::json;
use testkit::browser::Browser;
use testkit::host::{Host, signal};
use testkit::script::Script;

use crate::session::{MARKUP, call, hostile, hosts, replay, run};

const LOUD: &str = "NOT VERIFIED";

fn newest(host: &Host) -> PathBuf {
    host.sessions().pop().unwrap()
}

fn page(host: &Host, code: i32) -> String {
    host.nucleus(&["report", "--html", "--output", "-"]).expect_code(code).stdout
}

#[test]
fn a_terminal_gets_text_and_nothing_that_acts_on_it() {
    for host in hosts() {
        hostile(&host);
        let shown = host.nucleus(&["replay"]).expect_code(0);
        assert!(shown.stdout.starts_with("session 20"), "good news comes last: {shown}");
        assert!(
            shown.says("✓ verified: all") && shown.says("refused by policy: deny.path.sensitive"),
            "{shown}"
        );
        assert!(shown.says(MARKUP) && shown.says("\\u{202e}right-to-left\\u{1b}[31m"), "{shown}");
        let acts =
            |c: char| c != '\n' && (c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c));
        assert_eq!(shown.stdout.chars().find(|c| acts(*c)), None, "{shown}");
        let denied = host.nucleus(&["replay", "--only", "denied"]).expect_code(0);
        assert!(denied.says("deny.path.sensitive") && !denied.says("exit 3"), "{denied}");
        assert!(denied.says("not all of them shown"), "{denied}");
        let record = replay(&host);
        assert_eq!(record["verification"]["verdict"], "ok");
        assert_eq!(record["trusted_entries"], record["read_entries"]);
        assert_eq!(record["ending"], "finished");
        assert!(record["limits"]["cost_micro_usd"].as_u64().unwrap() > 0, "{record:#}");
    }
}

#[test]
fn a_changed_log_is_shown_up_to_the_change_and_loudly() {
    for host in hosts() {
        hostile(&host);
        let log = newest(&host).join("log.jsonl");
        let text = std::fs::read_to_string(&log).unwrap();
        // The agent's refusal becomes a success, on a line in the middle.
        let line = text.lines().position(|line| line.contains("deny.path.sensitive")).unwrap();
        std::fs::write(&log, text.replacen("\"decision\":\"deny\"", "\"decision\":\"rosy\"", 1))
            .unwrap();
        let shown = host.nucleus(&["replay"]).expect_code(74);
        let first = shown.stdout.lines().next().unwrap_or_default();
        assert!(first.contains(LOUD) && first.contains(&format!("entry {}", line + 1)), "{shown}");
        assert!(shown.says(&format!("only entries 1 to {line} can be relied on")), "{shown}");
        assert!(shown.says("from here on nothing is proved"), "{shown}");
        let before: Vec<&str> = shown.stdout.split("from here on nothing is proved").collect();
        assert!(before[0].contains("src/main.rs") && before[1].contains("exit 3"), "{shown}");
        let file = host.place().join("report.html");
        let outcome = host.nucleus(&[
            "report",
            "--html",
            "--output",
            host.home().join("r.html").to_str().unwrap(),
        ]);
        assert!(outcome.code == Some(74) && outcome.says(LOUD), "{outcome}");
        std::fs::copy(host.home().join("r.html"), &file).unwrap();
        let mut browser = Browser::start();
        browser.open(&file, 390);
        let banner = browser.evaluate("document.querySelector('.banner.bad').innerText");
        assert!(banner.as_str().unwrap().contains(LOUD), "{banner}");
        let marked =
            browser.evaluate("document.querySelectorAll('tr.unproved').length").as_u64().unwrap();
        let all = browser.evaluate("document.querySelectorAll('tr.step').length").as_u64().unwrap();
        assert!(marked > 0 && marked < all, "{marked} of {all}");
        assert_eq!(browser.evaluate("document.querySelectorAll('tr.edge').length"), 1);
        assert!(browser.evaluate("document.documentElement.scrollWidth").as_u64().unwrap() <= 390);
        // The digest of the changes stands behind the fault.
        assert!(
            browser
                .evaluate("document.body.innerText")
                .as_str()
                .unwrap()
                .contains("does not vouch")
        );
        std::fs::remove_dir_all(log.with_extension("jsonl.d")).unwrap();
        let nothing = host.nucleus(&["replay"]).expect_code(74);
        assert!(nothing.says("nothing in this log can be relied on"), "{nothing}");
    }
}

#[test]
fn nothing_behind_a_fault_in_the_first_lines_is_told_as_a_fact() {
    for host in hosts() {
        hostile(&host);
        let log = newest(&host).join("log.jsonl");
        let text = std::fs::read_to_string(&log).unwrap();
        let whole = host.nucleus(&["replay"]).expect_code(0);
        assert!(whole.says("the log was closed in order") && whole.says("finished after"));
        let (first, rest) = text.split_once('\n').unwrap();
        let spoilt = rest.replacen("\"agent_id\":\"", "\"agent_id\":\"x", 1);
        std::fs::write(&log, format!("{first}\n{spoilt}")).unwrap();
        let shown = host.nucleus(&["replay"]).expect_code(74);
        assert!(shown.says("only entries 1 to 1 can be relied on"), "{shown}");
        assert!(shown.says("how the log ended is not proved"), "{shown}");
        assert!(shown.says("the end is not proved") && shown.says("none proved"), "{shown}");
        for fact in ["1 to 0", "closed in order", "no end recorded", "after 0 ms"] {
            assert!(!shown.says(fact), "{fact}: {shown}");
        }
        let behind = shown.stdout.split("from here on nothing is proved").nth(1).unwrap();
        assert!(behind.contains("session_end") && behind.contains("not proved"), "{shown}");
        assert!(!behind.contains('✓'), "{shown}");
        let page = page(&host, 74);
        assert!(page.contains("the end is not proved"), "{page}");
        let rows = page.split("tr class=\"edge\"").nth(1).unwrap();
        let rows = rows.split("</table>").next().unwrap();
        assert!(!rows.contains("v allowed") && rows.contains("not proved"), "{rows}");
    }
}

#[test]
fn changes_that_are_not_the_recorded_ones_are_not_vouched_for() {
    for host in hosts() {
        hostile(&host);
        assert!(page(&host, 0).contains("The verified log holds the digest"));
        let changes = newest(&host).join("changes.json");
        let text = std::fs::read_to_string(&changes).unwrap();
        std::fs::write(&changes, text.replacen("new", "old", 1)).unwrap();
        assert!(page(&host, 0).contains("does not vouch"));
        std::fs::write(&changes, "{").unwrap();
        assert!(page(&host, 0).contains("is damaged"));
        host.nucleus(&["replay", "no-such-session"]).expect_code(64);
    }
}

#[test]
fn a_running_and_a_killed_task_have_a_record() {
    for host in hosts() {
        let steps = vec![
            call("write", json!({"path": "made.txt", "content": "made by the agent\n"})),
            run("touch /tmp/arrived; sleep 120"),
        ];
        let mut command = host.script_command(&Script { steps }, &["--profile", "fix-issue"]);
        let mut task = host.start(&mut command);
        let arrived = || host.sessions().last().is_some_and(|dir| dir.join("tmp/arrived").exists());
        assert!(task.until(|_| arrived()), "{}", task.printed());
        let record = replay(&host);
        assert_eq!(
            (&record["verification"]["verdict"], &record["verification"]["live"]),
            (&json!("ok"), &json!(true))
        );
        assert!(
            record["steps"].as_array().unwrap().iter().any(|s| s["verdict"] == "unfinished"),
            "{record:#}"
        );
        assert!(page(&host, 0).contains("The task runs still"));
        let proxy = task.proxy().unwrap();
        signal(proxy, Signal::KILL);
        let (outcome, _) = task.outcome();
        assert_eq!(outcome.code, Some(74), "{outcome}");
        let killed = replay(&host);
        assert!(
            killed["steps"].as_array().unwrap().iter().any(|s| s["operation"] == "write"),
            "{killed:#}"
        );
        assert_eq!(killed["ending"], json!(null));
        let code = host.nucleus(&["replay"]).code;
        let page = page(&host, code.unwrap());
        assert!(
            page.contains("without writing its changes down")
                && page.contains("+made by the agent"),
            "{page}"
        );
        host.nucleus(&["discard"]).expect_code(0);
        assert!(
            host.nucleus(&["report", "--html", "--output", "-"])
                .says("The changes were thrown away")
        );
    }
}

#[test]
fn a_page_replaces_files_only_and_follows_no_link() {
    let host = hosts().remove(0);
    hostile(&host);
    let (victim, link) = (host.home().join("victim"), host.home().join("link.html"));
    std::fs::write(&victim, "mine").unwrap();
    std::os::unix::fs::symlink(&victim, &link).unwrap();
    let refused = host.nucleus(&["report", "--html", "-o", link.to_str().unwrap()]).expect_code(64);
    assert!(refused.says("is not a file"), "{refused}");
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "mine");
    host.nucleus(&["report", "--html", "-o", host.home().to_str().unwrap()]).expect_code(64);
    host.nucleus(&["report", "--html", "-o", victim.to_str().unwrap()]).expect_code(0);
    assert!(std::fs::read_to_string(&victim).unwrap().starts_with("<!DOCTYPE html>"));
    host.nucleus(&["report"]).expect_code(64);
}
