//! A dev server started in the background.

use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use testkit::script::{Action, Ending, Step};

use crate::{call, go_on, hosts, meet, run};

/// A port nothing else on this machine has a reason to use.
const PORT: u16 = 18_473;

/// A command that asks the server until it answers.
const ASK: &str = "python3 -c 'import time,urllib.request
for i in range(600):
  try: print(urllib.request.urlopen(\"http://127.0.0.1:18473/hello.txt\").read().decode()); break
  except OSError as error:
    if i == 599: raise
    time.sleep(0.1)'";

/// One look whether anything answers.
const LOOK: &str =
    "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 18473), 5)'";

#[test]
fn a_dev_server_answers_later_runs_and_is_gone_with_the_task() {
    let serve = json!({
        "command": format!("python3 -u -m http.server {PORT} --bind 127.0.0.1"),
        "cwd": "public",
        "background": true,
    });
    for host in hosts() {
        host.file("public/hello.txt", "hello from the server");
        let steps = vec![
            run(LOOK, "Connection refused"),
            call("run", serve.clone(), "[it goes on in the background"),
            run(ASK, "hello from the server"),
            call("job_output", json!({"job": "job-2", "wait_s": 30}), "GET /hello.txt"),
            call("job_output", json!({}), "job-2: running for"),
            // The agent's own pod has a network of its own: what it starts there and what runs here do not meet.
            Step {
                action: Some(Action::Connect(format!("127.0.0.1:{PORT}"))),
                expect: Some(Ending::Refused),
                ..Step::default()
            },
            call("job_stop", json!({"job": "job-2"}), "everything it started was killed"),
            run(LOOK, "Connection refused"),
            call("run", serve.clone(), "[it goes on in the background"),
            run(ASK, "hello from the server"),
        ];
        let task = meet(&host, steps, &["--profile", "fix-issue"]);
        assert!(TcpStream::connect(("127.0.0.1", PORT)).is_err(), "nobody asked for it outside");
        let witness = task.witness().clone();
        let servers = |witness: &testkit::host::Witness| witness.named("python3").is_some();
        assert!(servers(&witness), "control: the server is seen while the task runs");
        go_on(&host);
        let (outcome, witness) = task.outcome();
        let outcome = outcome.expect_code(0);
        let left = witness.left(Duration::from_secs(10));
        assert!(left.is_empty(), "{left:?} {outcome}");
        let log = &host.logs()[0];
        assert!(host.verify(log).code == Some(0), "{outcome}");
        let entries = std::fs::read_to_string(log).unwrap();
        // Both servers are settled, for the time they ran.
        let settled =
            |line: &&str| line.contains("\"tool\":\"run\"") && line.contains("\"exit_signal\":9");
        assert_eq!(entries.lines().filter(settled).count(), 2, "{outcome}");
    }
}

#[test]
fn a_task_runs_so_many_jobs_and_no_more() {
    for host in hosts() {
        let sleeper = || json!({"command": "sleep 600", "background": true});
        let mut steps: Vec<Step> =
            (0..16).map(|_| call("run", sleeper(), "it goes on in the background")).collect();
        steps.push(Step {
            action: Some(Action::Tool { name: "run".to_owned(), args: sleeper() }),
            expect: Some(Ending::Refused),
            contains: Some("16".to_owned()),
            ..Step::default()
        });
        steps.push(call("job_stop", json!({"job": "job-3"}), "stopped after"));
        steps.push(call("run", sleeper(), "it goes on in the background"));
        let outcome = host
            .script_with(&testkit::script::Script { steps }, &["--profile", "fix-issue"])
            .expect_code(0);
        let left = testkit::host::leftovers(host.place(), Duration::from_secs(10));
        assert!(left.is_empty(), "{left:?} {outcome}");
    }
}
