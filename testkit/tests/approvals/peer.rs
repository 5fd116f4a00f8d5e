//! Who may open the socket: processes of the user's own, in the user's own namespaces.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use testkit::host::{Account, Host, Outcome, weakened_programs};
use testkit::script::{Action, Step};

use crate::desk::{approvals, events, hosts, id, park, question, requests, run};

/// Each with a user namespace of its own, one with a process namespace too.
pub(crate) const NAMESPACES: [&[&str]; 3] = [
    &["--user", "--map-root-user"],
    &["--user", "--map-current-user"],
    &["--user", "--map-current-user", "--pid", "--fork"],
];

/// `nucleus …` from inside namespaces of its own, as the user of `host`.
pub(crate) fn inside(host: &Host, namespaces: &[&str], args: &[&str]) -> Command {
    let inner = host.command("nucleus");
    let mut command = Command::new(inner.get_program());
    let words: Vec<_> = inner.get_args().collect();
    // As another account the program is started by `setpriv … nucleus`: the namespaces come last, so that the user
    // makes them.
    let (before, program) = match words.split_last() {
        Some((program, before)) => (before.to_vec(), program.to_os_string()),
        None => (Vec::new(), inner.get_program().to_os_string()),
    };
    if before.is_empty() {
        command = Command::new("unshare");
    } else {
        command.args(before).arg("unshare");
    }
    command.args(namespaces).arg("--").arg(program).args(args);
    command.env_clear().current_dir(host.workspace());
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

/// `nucleus approvals list` from there.
fn from_inside(host: &Host, namespaces: &[&str]) -> Outcome {
    Outcome::of(&mut inside(host, namespaces, &["approvals", "list", "--json"]))
}

#[test]
fn a_peer_in_other_namespaces_is_refused_and_recorded() {
    for host in hosts() {
        let mut task = park(&host, vec![run(&["true"])]);
        let asked = question(&host, &mut task, &[]);
        for namespaces in NAMESPACES {
            let outcome = from_inside(&host, namespaces);
            assert_eq!(outcome.code, Some(77), "{namespaces:?}: {outcome}");
            assert!(outcome.says("the peer is in another"), "{outcome}");
            assert!(!outcome.says(&id(&asked)), "nothing of the request is told: {outcome}");
        }
        // Control: the same user, the same command, outside of them.
        assert_eq!(requests(&host, false).len(), 1);
        approvals(&host, &["deny", &id(&asked)]).expect_code(0);
        task.outcome().0.expect_code(0);
        let refused = events(&host).iter().filter(|e| e["type"] == "approvals_peer").count();
        assert_eq!(refused, 3);
    }
}

/// Control of the test above: without the look at namespaces the same peer is served.
#[test]
fn without_the_look_at_namespaces_such_a_peer_would_be_served() {
    for account in Account::all() {
        let host = Host::weakened(&weakened_programs(), account, "approval-peer");
        let mut task = park(&host, vec![run(&["true"])]);
        let asked = question(&host, &mut task, &[]);
        let outcome = from_inside(&host, &["--user", "--map-current-user"]);
        assert!(outcome.says(&id(&asked)), "{outcome}");
        approvals(&host, &["deny", &id(&asked)]).expect_code(0);
        task.outcome().0.expect_code(0);
    }
}

#[test]
fn another_user_cannot_even_reach_the_socket() {
    for host in hosts() {
        closed(&host);
    }
}

fn closed(host: &Host) {
    let mut task = park(host, vec![run(&["true"])]);
    let asked = question(host, &mut task, &[]);
    let session = host.sessions().pop().unwrap();
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&session.join("approvals")), 0o700);
    assert_eq!(mode(&session.join("approvals/socket")), 0o600);
    // Only root can act as somebody else; the control is that the owner's side sees the socket by the same look.
    if Account::all().len() > 1 {
        let socket = session.join("approvals/socket").display().to_string();
        let seen = |ids: &[&str]| {
            let mut command = std::process::Command::new("setpriv");
            command.args(ids).args(["--", "test", "-S", &socket]).status().unwrap().success()
        };
        assert!(seen(&["--clear-groups"]), "the control: it is there");
        assert!(
            !seen(&["--reuid=31000", "--regid=31000", "--clear-groups"]),
            "another user sees it"
        );
    }
    approvals(host, &["deny", &id(&asked)]).expect_code(0);
    task.outcome().0.expect_code(0);
    assert!(!session.join("approvals/socket").exists(), "gone with the task");
}

/// The pod's own processes: the agent in its pod, and a command in a tool pod, each with the host's own names of what
/// they look for.
#[test]
fn a_pods_process_reaches_neither_socket_nor_terminal_nor_proxy() {
    for host in hosts() {
        let sessions = host.state().join("sessions");
        // No look here may print `reached`; the last one shows that the means to print it is there.
        let hunt = format!(
            "ls {0}/*/approvals/socket 2>/dev/null && echo reached; \
             ls /proc/*/fd 2>/dev/null | grep -q tty && echo reached; \
             (: < /dev/tty) 2>/dev/null && echo reached; \
             for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -q 'control[-]fd' && echo reached $p; done; \
             for p in /proc/[0-9]*; do ls $p/root{0} 2>/dev/null && echo reached $p; done; \
             grep -a approvals /proc/net/unix && echo reached; \
             nucleus approvals list 2>/dev/null && echo reached; \
             echo looked",
            sessions.display()
        );
        let shell = Step { action: Some(Action::Shell(hunt.clone())), ..Step::default() };
        let mut task = park(&host, vec![shell, run(&["sh", "-c", &hunt])]);
        let asked = question(&host, &mut task, &[]);
        // Control: on the host the same socket is there, and the same command finds the proxy.
        assert!(host.sessions().last().unwrap().join("approvals/socket").exists());
        let proxy = task.proxy().unwrap();
        let cmdline = std::fs::read(format!("/proc/{proxy}/cmdline")).unwrap();
        assert!(String::from_utf8_lossy(&cmdline).contains("control-fd"));
        approvals(&host, &["approve", &id(&asked)]).expect_code(0);
        let outcome = task.outcome().0.expect_code(0);
        // The text of the question itself holds the words of the hunt; results are lines of their own.
        let results: Vec<&str> = outcome
            .stdout
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("reached") || *line == "looked")
            .collect();
        assert_eq!(results, ["looked", "looked"], "{outcome}");
    }
}
