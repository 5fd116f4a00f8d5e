//! Twelve clients and ten thousand calls at one door: nothing is lost, nothing is answered twice, every micro-dollar is
//! accounted for.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};
use testkit::host::{Host, Outcome};
use testkit::script::{Action, Crowd, CrowdReport, Ending, FILES, Script, Step, content};

use crate::stage::{events, hosts, until};

const CROWD: Crowd = Crowd { clients: 12, calls: 834 };

fn let_loose(host: &Host, options: &[&str]) -> (CrowdReport, Value, Outcome) {
    for file in 0..FILES {
        host.file(&format!("f/{file}.txt"), content(file));
    }
    let step =
        Step { action: Some(Action::Crowd(CROWD)), expect: Some(Ending::Ok), ..Step::default() };
    let script = Script { steps: vec![step] };
    let mut all = vec!["--json", "--timeout", "900"];
    all.extend(options);
    let outcome = host.script_with(&script, &all);
    let lines: Vec<Value> =
        outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: String = lines
        .iter()
        .filter(|line| line["type"] == "output")
        .filter_map(|line| line["text"].as_str())
        .collect();
    let report =
        said.lines().find(|line| line.starts_with("    {")).unwrap_or_else(|| panic!("{said}"));
    let finished = lines.iter().find(|line| line["type"] == "finished").unwrap().clone();
    (serde_json::from_str(report.trim()).unwrap(), finished, outcome)
}

/// Calls that were let through, with what they cost; each has one intent before one outcome.
fn settled(host: &Host) -> (usize, u64) {
    let (mut open, mut closed, mut cost) = (BTreeSet::new(), BTreeSet::new(), 0);
    for event in events(host).iter().filter(|event| event["type"] == "tool_execution") {
        let id = event["request_id"].as_str().unwrap().to_owned();
        match event["phase"].as_str() {
            Some("intent") => assert!(open.insert(id), "two intents: {event}"),
            Some("outcome") => {
                assert!(
                    open.contains(&id) && closed.insert(id),
                    "no intent, or two outcomes: {event}"
                );
                cost += event["cost_micro_usd"].as_u64().unwrap();
            }
            _ => {}
        }
    }
    assert_eq!(open, closed, "an intent without its outcome");
    (closed.len(), cost)
}

#[test]
fn no_call_is_lost_and_the_log_adds_up() {
    for host in hosts() {
        let (report, finished, outcome) = let_loose(&host, &["--profile", "fix-issue"]);
        assert_eq!(report.wrong, Vec::<String>::new());
        let all = CROWD.clients * CROWD.calls;
        assert!(all >= 10_000);
        assert_eq!((report.calls, report.right, report.refused), (all, all, 0), "{report:?}");
        assert!(report.malformed > 200 && report.malformed == report.malformed_answered);
        assert_eq!(outcome.code, Some(0));
        let (calls, cost) = settled(&host);
        assert_eq!(calls, usize::try_from(all).unwrap());
        assert_eq!(finished["calls"]["allowed"], all);
        assert_eq!(finished["cost_micro_usd"], cost, "to the micro-dollar");
        assert!(cost > u64::from(all) / 2, "a crowd costs something: {cost}");
        host.verify(&host.logs()[0]).expect_code(0);
        // Every write is there, and is what its own client wrote.
        let made = std::fs::read_dir(host.workspace().join("made")).unwrap().count();
        let writes = (0..CROWD.calls).filter(|n| n % 10 == 1).count();
        assert_eq!(made, writes * usize::try_from(CROWD.clients).unwrap());
        assert_eq!(host.read("made/token-7-11-end.txt").as_deref(), Some("token-7-11-end"));
    }
}

#[test]
fn a_small_budget_is_never_oversold_by_a_crowd() {
    const LIMIT: u64 = 2_000;
    let policy = "[capabilities]\nread_files = \"always\"\n[budget]\nmax_cost_usd = 0.002\n";
    for host in hosts() {
        host.put(host.place(), "permissions.toml", policy.as_bytes());
        let config = host.place().join("permissions.toml");
        let (report, finished, _) = let_loose(&host, &["--config", config.to_str().unwrap()]);
        assert_eq!(report.wrong, Vec::<String>::new());
        assert_eq!(report.calls, report.right + report.refused);
        let (calls, cost) = settled(&host);
        assert_eq!(calls, usize::try_from(report.right).unwrap());
        assert_eq!(finished["cost_micro_usd"], cost, "to the micro-dollar");
        assert!(cost <= LIMIT, "oversold: {cost}");
        assert!(cost > LIMIT / 2, "the limit was met: {cost}");
        host.verify(&host.logs()[0]).expect_code(0);
    }
}

/// What a proxy started by hand on `session` says first.
fn second_proxy(host: &Host, session: &str) -> Value {
    let spec = json!({
        "type": "start", "session": session, "state_dir": host.state(), "protected": [],
        "workspace": host.workspace(), "payload": {"kind": "command", "argv": ["touch", "second"]},
        "policy": {"from": "profile", "name": "fix-issue"}, "ceilings": [], "allow_local_driver": true,
        "review": false, "approvals": "none", "model": null, "timeout_s": null,
        "bin_dir": host.program("nucleus").parent().unwrap(), "host_env": {"HOME": host.home(), "PATH": "/usr/bin:/bin"},
    });
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    rustix::io::fcntl_setfd(&theirs, rustix::io::FdFlags::empty()).unwrap();
    let mut command = host.command("nucleus-tool-proxy");
    command.arg("--control-fd").arg(theirs.as_raw_fd().to_string());
    let mut child = command.spawn().unwrap();
    drop(theirs);
    ours.write_all(format!("{spec}\n").as_bytes()).unwrap();
    let last = BufReader::new(&ours).lines().map_while(Result::ok).last().unwrap();
    child.wait().unwrap();
    serde_json::from_str(&last).unwrap()
}

#[test]
fn a_second_proxy_on_the_same_task_is_refused() {
    for host in hosts() {
        let call = Action::Tool {
            name: "run".to_owned(),
            args: json!({"command": "while ! test -e go; do sleep 0.05; done; echo went on"}),
        };
        let go =
            Action::Tool { name: "write".to_owned(), args: json!({"path": "go", "content": ""}) };
        let step = |action| Step { action: Some(action), ..Step::default() };
        let waits = Step { contains: Some("job".to_owned()), ..step(call) };
        let script = Script { steps: vec![waits, step(go)] };
        let mut task = host.start(&mut host.script_command(&script, &["--profile", "fix-issue"]));
        assert!(task.until(|_| !host.sessions().is_empty() && !host.logs().is_empty()));
        let session = host.sessions()[0].file_name().unwrap().to_string_lossy().into_owned();
        until("the task's call runs", || {
            events(&host).iter().any(|event| event["phase"] == "intent")
        });
        let refused = second_proxy(&host, &session);
        assert_eq!(refused["type"], "failed", "{refused}");
        let (outcome, _) = task.outcome();
        outcome.expect_code(0);
        assert_eq!(host.read("second"), None);
        host.verify(&host.logs()[0]).expect_code(0);
        // The control: the same proxy on a session of its own does what it is told.
        let control = second_proxy(&host, "control-session-1");
        assert_eq!(control["type"], "finished", "{control}");
        assert!(host.read("second").is_some());
    }
}
