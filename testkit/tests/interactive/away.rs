//! Tasks that go on without a terminal.

use std::time::Duration;

use rustix::process::Signal;
use testkit::host::{Host, Outcome, Witness, leftovers, signal};
use testkit::script::{Action, Script, Step};

use crate::{UP, hosts, interactive, shell};

const COUNT: &str =
    "n=0; while [ ! -e /tmp/go ]; do n=$((n+1)); printf '<%s>\\r\\n' $n >/dev/tty; sleep 0.2; done";

fn nucleus(host: &Host, args: &[&str]) -> std::process::Command {
    let mut command = host.command("nucleus");
    command.args(args);
    command
}

/// The id of the only session.
fn session(host: &Host) -> String {
    let sessions = host.sessions();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    sessions[0].file_name().unwrap().to_str().unwrap().to_owned()
}

/// Gone when `nucleus` has gone.
fn detach(host: &Host, steps: Vec<Step>, options: &[&str]) -> Outcome {
    let mut options = options.to_vec();
    options.extend(["--profile", "fix-issue", "--detach"]);
    Outcome::of(&mut host.script_command(&Script { steps }, &options)).expect_code(0)
}

#[test]
fn a_detached_task_goes_on_and_is_told_of_later() {
    for host in hosts() {
        let write = Step {
            action: Some(Action::Tool {
                name: "write".to_owned(),
                args: serde_json::json!({"path": "made.txt", "content": "made\n"}),
            }),
            ..Step::default()
        };
        let outcome = detach(&host, vec![shell("sleep 1"), write], &[]);
        assert!(outcome.says("nucleus attach"), "{outcome}");
        let attached = host.nucleus(&["attach"]).expect_code(0);
        assert!(attached.says("made.txt") && attached.says("finished"), "{attached}");
        assert_eq!(host.read("made.txt").as_deref(), Some("made\n"));
        assert!(leftovers(host.place(), Duration::from_secs(10)).is_empty());
        // Over, and still known when somebody was there; nothing more to see.
        let again = host.nucleus(&["attach"]).expect_code(64);
        assert!(again.says("is not running"), "{again}");
    }
}

#[test]
fn one_that_ended_alone_left_its_summary() {
    for host in hosts() {
        detach(&host, vec![shell("true")], &[]);
        let ending = host.sessions()[0].join("ending.json");
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while !ending.exists() || !leftovers(host.place(), Duration::ZERO).is_empty() {
            assert!(std::time::Instant::now() < deadline, "it never ended");
            std::thread::sleep(Duration::from_millis(10));
        }
        let outcome = host.nucleus(&["attach"]).expect_code(0);
        assert!(outcome.says("finished") && outcome.says("log verified"), "{outcome}");
    }
}

#[test]
fn an_interactive_task_survives_a_lost_connection() {
    for host in hosts() {
        detach(&host, vec![shell(COUNT)], &["--interactive"]);
        let id = session(&host);
        let mut terminal =
            host.at_full_terminal(&nucleus(&host, &["attach", id.get(..id.len() - 1).unwrap()]));
        terminal.wait_for(UP);
        terminal.wait_for("<3>");
        // The connection is lost: the terminal is gone, and who sat at it.
        signal(terminal.pid(), Signal::HUP);
        drop(terminal);
        let mut terminal = host.at_full_terminal(&nucleus(&host, &["attach"]));
        terminal.wait_for("<1>");
        terminal.wait_for("<4>");
        // And let go in order.
        terminal.enter("\x1d");
        terminal.wait_for("leave the task running");
        terminal.enter("detach\r");
        terminal.wait_for("the task goes on");
        terminal.outcome().expect_code(0);
        let outcome = host.nucleus(&["stop", &id]).expect_code(0);
        assert!(outcome.says("stopped") && outcome.shows_the_way_on(), "{outcome}");
        assert!(leftovers(host.place(), Duration::from_secs(10)).is_empty());
        host.verify(&host.logs()[0]).expect_code(0);
        host.nucleus(&["stop", &id]).expect_code(64);
    }
}

#[test]
fn the_last_terminal_attached_has_it() {
    for host in hosts() {
        detach(&host, vec![shell(COUNT)], &["--interactive"]);
        let mut first = host.at_full_terminal(&nucleus(&host, &["attach"]));
        first.wait_for("<2>");
        let mut second = host.at_full_terminal(&nucleus(&host, &["attach"]));
        second.wait_for("<3>");
        first.wait_for("another terminal was attached");
        first.outcome().expect_code(0);
        second.enter("\x03");
        second.wait_for("calls");
        second.outcome().expect_code(130);
        assert!(leftovers(host.place(), Duration::from_secs(10)).is_empty());
    }
}

#[test]
fn a_task_at_a_terminal_is_not_taken_from_it_but_can_be_detached_and_stopped() {
    for host in hosts() {
        let mut terminal = host.at_full_terminal(&interactive(&host, vec![shell(COUNT)], &[]));
        terminal.wait_for("<1>");
        let refused = host.nucleus(&["attach"]).expect_code(64);
        assert!(refused.says("another terminal") && refused.says("detach"), "{refused}");
        terminal.enter("\x1d");
        terminal.wait_for("leave the task running");
        terminal.enter("detach\r");
        terminal.outcome().expect_code(0);
        let mut terminal = host.at_full_terminal(&nucleus(&host, &["attach"]));
        terminal.wait_for("<2>");
        host.nucleus(&["stop"]).expect_code(0);
        terminal.outcome().expect_code(130);
        assert!(leftovers(host.place(), Duration::from_secs(10)).is_empty());
    }
}

#[test]
fn a_detached_task_ends_with_its_enforcement_process() {
    for host in hosts() {
        detach(&host, vec![shell(COUNT)], &["--interactive"]);
        let mut terminal = host.at_full_terminal(&nucleus(&host, &["attach"]));
        terminal.wait_for("<1>");
        let proxy = pid_of_proxy(&host);
        signal(proxy, Signal::KILL);
        terminal.wait_for("the enforcement process is gone");
        terminal.outcome().expect_code(74);
        assert!(leftovers(host.place(), Duration::from_secs(10)).is_empty());
        host.nucleus(&["attach", "nonsense"]).expect_code(64);
    }
}

/// The enforcement process that holds the session's directory.
fn pid_of_proxy(host: &Host) -> u32 {
    let socket = host.sessions()[0].join("log.jsonl");
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .find(|pid| {
            std::fs::read_dir(format!("/proc/{pid}/fd"))
                .into_iter()
                .flatten()
                .flatten()
                .any(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to == socket))
        })
        .unwrap()
}

#[test]
fn a_killed_attach_leaves_the_task_running() {
    for host in hosts() {
        detach(&host, vec![shell(COUNT)], &["--interactive"]);
        let mut terminal = host.at_full_terminal(&nucleus(&host, &["attach"]));
        terminal.wait_for("<2>");
        let mut witness = Witness::of(terminal.pid());
        witness.look();
        signal(terminal.pid(), Signal::KILL);
        drop(terminal);
        let mut terminal = host.at_full_terminal(&nucleus(&host, &["attach"]));
        terminal.wait_for("<4>");
        terminal.enter("\x03");
        terminal.outcome().expect_code(130);
        assert!(leftovers(host.place(), Duration::from_secs(10)).is_empty());
    }
}

#[test]
fn a_time_without_descriptors_does_not_end_the_way_back() {
    for host in hosts() {
        detach(&host, vec![shell(COUNT)], &["--interactive"]);
        // Started is not yet running: not before the agent draws does the task need no more descriptors.
        let mut terminal = host.at_full_terminal(&nucleus(&host, &["attach"]));
        terminal.wait_for("<1>");
        drop(terminal);
        let proxy = pid_of_proxy(&host);
        let may_open = |count: u32| {
            let mut command = host.account().command(std::path::Path::new("prlimit"));
            command.args([format!("--pid={proxy}"), format!("--nofile={count}:")]);
            assert!(command.status().unwrap().success());
        };
        may_open(3);
        // One who comes now cannot be looked at, and after it nobody can be accepted.
        let refused = host.nucleus(&["attach"]).expect_code(74);
        assert!(refused.says("Too many open files"), "{refused}");
        std::thread::sleep(Duration::from_secs(1));
        may_open(1_024);
        let mut terminal = host.at_full_terminal(&nucleus(&host, &["attach"]));
        terminal.wait_for(UP);
        terminal.wait_for("<2>");
        terminal.enter("\x03");
        terminal.outcome().expect_code(130);
        assert!(leftovers(host.place(), Duration::from_secs(10)).is_empty());
    }
}
