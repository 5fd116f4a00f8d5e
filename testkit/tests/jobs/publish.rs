//! Ports of the task that the user asked to have on their machine.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::json;
use testkit::host::{Host, Outcome};
use testkit::script::{Action, Ending, Step};

use crate::{call, go_on, hosts, meet, run};

/// Ports inside; what is outside is chosen by the test.
const V4: u16 = 3_000;
const V6: u16 = 3_006;

/// A port of this machine that nobody listens at.
fn free() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// What a GET answers; `None` when there is no connection or no answer.
fn get(address: &str, port: u16, path: &str) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect((address, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(answer.split_off(end + 4))
}

fn serve(port: u16, bind: &str) -> Step {
    let command = format!("exec python3 -u -m http.server {port} --bind {bind}");
    call("run", json!({"command": command, "cwd": "public", "background": true}), "background")
}

/// Waits inside until the port is served there.
fn served(port: u16, address: &str) -> Step {
    let command = format!(
        "python3 -c 'import socket,time
for i in range(600):
  try: socket.create_connection((\"{address}\", {port}), 5); print(\"served\"); break
  except OSError: time.sleep(0.1)'"
    );
    run(&command, "served")
}

#[test]
fn a_published_port_reaches_the_task_and_only_while_it_runs() {
    for host in hosts() {
        let large: Vec<u8> = (0..8_000_000_u32).map(|i| i.to_le_bytes()[1]).collect();
        host.file("public/hello.txt", "hello from the pod");
        host.file("public/large.bin", &large);
        let (v4, v6, quiet) = (free(), free(), free());
        let publish = [format!("{v4}:{V4}"), format!("{v6}:{V6}"), format!("{quiet}:9")];
        let mut options = vec!["--profile", "fix-issue"];
        for one in &publish {
            options.extend(["--publish", one]);
        }
        let steps = vec![
            serve(V4, "127.0.0.1"),
            serve(V6, "::1"),
            served(V4, "127.0.0.1"),
            served(V6, "::1"),
        ];
        let task = meet(&host, steps, &options);
        let shown = task.printed();
        assert!(shown.contains(&format!("127.0.0.1:{v4} on this machine")), "{shown}");
        let hello = b"hello from the pod".to_vec();
        assert_eq!(get("127.0.0.1", v4, "/hello.txt"), Some(hello.clone()), "{shown}");
        assert_eq!(get("127.0.0.1", v6, "/hello.txt"), Some(hello), "{shown}");
        assert!(get("127.0.0.1", v4, "/large.bin") == Some(large), "all of it, in order");
        assert_eq!(get("127.0.0.1", quiet, "/"), None, "nobody listens at that port inside");
        assert_eq!(get("127.0.0.2", v4, "/hello.txt"), None, "no other address");
        assert_eq!(get("::1", v4, "/hello.txt"), None, "no other address");
        // What was not asked for is not there: the port has the same number on neither side.
        assert_eq!(get("127.0.0.1", V4, "/hello.txt"), None);
        let open = TcpStream::connect(("127.0.0.1", v4)).unwrap();
        go_on(&host);
        let (outcome, _) = task.outcome();
        let outcome = outcome.expect_code(0);
        gone(&open, &outcome);
        assert!(TcpStream::connect(("127.0.0.1", v4)).is_err(), "{outcome}");
        recorded(&host, &outcome, v4);
    }
}

/// A connection that was open when the task ended is closed.
fn gone(mut open: &TcpStream, outcome: &Outcome) {
    open.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let read = open.read(&mut [0]);
    let timed_out = |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
    assert!(!read.as_ref().is_err_and(timed_out), "still open: {outcome}");
}

fn recorded(host: &Host, outcome: &Outcome, port: u16) {
    let log = host.logs().into_iter().next().unwrap();
    host.verify(&log).expect_code(0);
    let text = std::fs::read_to_string(log).unwrap();
    let about = |result: &str| {
        let target = format!("\"target\":\"127.0.0.1:{port} to port {V4}\"");
        let result = format!("\"result\":\"{result}\"");
        text.lines().filter(|line| line.contains(&target) && line.contains(&result)).count()
    };
    assert_eq!((about("open"), about("closed")), (1, 1), "{outcome}");
    assert!(about("connected") >= 2 && about("served") >= 2, "{outcome}");
}

#[test]
fn a_command_of_the_users_can_be_published_too() {
    for host in hosts() {
        host.file("hello.txt", "hello");
        let port = free();
        let mut command = host.command("nucleus");
        command.args(["run", "--profile", "fix-issue", "--allow-local-driver", "--publish"]);
        command.arg(format!("{port}:{V4}")).args(["--", "python3", "-m", "http.server"]);
        command.arg(V4.to_string());
        let mut task = host.start(&mut command);
        let answered = |_: &_| get("127.0.0.1", port, "/hello.txt").is_some();
        assert!(task.until(answered), "{}", task.printed());
        testkit::host::signal(task.pid(), rustix::process::Signal::INT);
        let (outcome, _) = task.outcome();
        outcome.expect_code(130);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    }
}

#[test]
fn a_taken_port_and_a_bad_one_are_refused_before_anything_runs() {
    for host in hosts() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = taken.local_addr().unwrap().port().to_string();
        let run = |publish: &str| {
            let options = ["run", "--profile", "fix-issue", "--allow-local-driver", "--publish"];
            let rest = [publish, "--", "touch", "ran"];
            host.nucleus(&[options.as_slice(), &rest].concat())
        };
        let outcome = run(&port).expect_code(64);
        assert!(outcome.says(&format!("127.0.0.1:{port}")), "{outcome}");
        assert!(outcome.says(&format!("HOSTPORT:{port}")), "{outcome}");
        assert!(host.sessions().is_empty(), "nothing was made: {outcome}");
        for bad in ["0", "70000", "0.0.0.0:80:80", "::1:80", "80:", "+80", "1:2:3", "localhost:80"]
        {
            let outcome = run(bad);
            assert!(outcome.code == Some(64) || outcome.code == Some(2), "{bad}: {outcome}");
        }
        assert_eq!(host.read("ran"), None);
    }
}

#[test]
fn an_agent_cannot_ask_for_it() {
    for host in hosts() {
        let asks = |args| Step {
            action: Some(Action::Tool { name: "run".to_owned(), args }),
            expect: Some(Ending::Refused),
            contains: Some("publish".to_owned()),
            ..Step::default()
        };
        let steps = vec![
            asks(json!({"command": "true", "publish": V4})),
            asks(json!({"command": "true", "publish": [format!("{V4}:{V4}")]})),
        ];
        host.script(&testkit::script::Script { steps }).expect_code(0);
    }
}
