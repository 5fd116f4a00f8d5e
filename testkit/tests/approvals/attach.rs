//! The other way to a running task, its session's own socket: the same look at who comes there.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::host::{Account, Host, Outcome, leftovers, weakened_programs};
use testkit::script::Script;

use crate::desk::{ASKING, approvals, events, hosts, id, requests, run};
use crate::peer::{NAMESPACES, inside};

const PATIENCE: Duration = Duration::from_secs(60);

/// A detached task that asks before a command; gives the request.
fn detached(host: &Host) -> Value {
    host.put(host.place(), "permissions.toml", ASKING.as_bytes());
    let config = host.place().join("permissions.toml");
    let script = Script { steps: vec![run(&["touch", "ran.txt"])] };
    let options = ["--config", config.to_str().unwrap(), "--detach"];
    Outcome::of(&mut host.script_command(&script, &options)).expect_code(0);
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(request) = requests(host, false).pop() {
            return request;
        }
        assert!(Instant::now() < deadline, "nobody was asked");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The task ends by itself, with the command run or not.
fn ends(host: &Host, ran: bool) {
    assert!(leftovers(host.place(), PATIENCE).is_empty());
    assert_eq!(host.read("ran.txt").is_some(), ran);
}

#[test]
fn a_peer_in_other_namespaces_can_neither_attach_nor_answer_nor_stop() {
    for host in hosts() {
        let asked = detached(&host);
        for namespaces in NAMESPACES {
            for word in ["attach", "stop"] {
                let command = inside(&host, namespaces, &[word]);
                for outcome in [
                    Outcome::of(&mut inside(&host, namespaces, &[word])),
                    host.at_terminal(&command).outcome(),
                ] {
                    assert_eq!(outcome.code, Some(77), "{word} {namespaces:?}: {outcome}");
                    assert!(outcome.says("the peer is in another"), "{outcome}");
                    assert!(!outcome.says(&id(&asked)), "nothing is told: {outcome}");
                }
            }
        }
        assert_eq!(requests(&host, false).len(), 1, "it waits as before");
        // Control: the same user, the same command, outside of them.
        let mut command = host.command("nucleus");
        command.arg("attach");
        let mut terminal = host.at_terminal(&command);
        terminal.read_until("to approve once");
        terminal.enter(&format!("{}\n", id(&asked)));
        terminal.outcome().expect_code(0);
        ends(&host, true);
        let refused = events(&host).iter().filter(|e| e["type"] == "attach_peer").count();
        assert_eq!(refused, NAMESPACES.len() * 4);
    }
}

/// Control of the test above: without the look at namespaces the same peer answers.
#[test]
fn without_the_look_at_namespaces_such_a_peer_would_answer() {
    for account in Account::all() {
        let host = Host::weakened(&weakened_programs(), account, "approval-peer");
        let asked = detached(&host);
        let command = inside(&host, &["--user", "--map-current-user"], &["attach"]);
        let mut terminal = host.at_terminal(&command);
        terminal.read_until("to approve once");
        terminal.enter(&format!("{}\n", id(&asked)));
        terminal.outcome().expect_code(0);
        ends(&host, true);
    }
}

#[test]
fn the_socket_is_the_users_alone_and_a_crowd_at_it_does_not_last() {
    for host in hosts() {
        let asked = detached(&host);
        let socket = host.sessions().pop().unwrap().join("attach.sock");
        assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
        // Only the account itself can be a crowd: another one is refused, and its places are free again.
        if host.account().other_ids().is_none() {
            let crowd: Vec<UnixStream> =
                (0..16).map(|_| UnixStream::connect(&socket).unwrap()).collect();
            for word in ["attach", "stop"] {
                let outcome = host.nucleus(&[word]).expect_code(74);
                assert!(outcome.says("connected to this task already"), "{outcome}");
            }
            drop(crowd);
        }
        approvals(&host, &["deny", &id(&asked)]).expect_code(0);
        ends(&host, false);
    }
}

#[test]
fn an_open_question_does_not_keep_anybody_from_leaving() {
    for host in hosts() {
        let asked = detached(&host);
        let mut command = host.command("nucleus");
        command.arg("attach");
        let mut terminal = host.at_terminal(&command);
        terminal.read_until("to approve once");
        terminal.read_until("`detach` leaves the task running");
        terminal.enter("nonsense\n");
        terminal.read_until("to refuse, `detach`");
        terminal.enter("detach\n");
        terminal.read_until("the task goes on");
        terminal.outcome().expect_code(0);
        // It waits for whoever comes next.
        let mut terminal = host.at_terminal(&command);
        terminal.read_until("to approve once");
        terminal.enter(&format!("{}\n", id(&asked)));
        terminal.outcome().expect_code(0);
        ends(&host, true);
    }
}
