//! Hosts that cannot hold what is asked: no user namespaces, no space.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use testkit::host::{Account, Host, Outcome, skip};

use crate::aftermath::{hosts, nothing_runs, says};

/// Runs `nucleus run` in a user namespace that permits so many further ones. All ids are themselves in it.
fn with_namespaces(host: &Host, max: u32) -> Outcome {
    let started = Instant::now();
    let mut command = host.command("nucleus");
    command.args(["run", "--allow-local-driver", "--profile", "fix-issue", "--", "touch", "made"]);
    let mut wrapped = Command::new("unshare");
    // The second shell is the first program of the namespace that starts with mapped ids, and so with its privileges.
    let limit = format!("echo {max} > /proc/sys/user/max_user_namespaces && exec \"$@\"");
    let script = format!("read go && exec sh -c '{limit}' sh \"$@\"");
    wrapped
        .args(["--user", "--mount", "sh", "-c", &script, "sh"])
        .arg(command.get_program())
        .args(command.get_args());
    wrapped.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    wrapped
        .current_dir(host.workspace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = wrapped.spawn().unwrap();
    let proc = PathBuf::from(format!("/proc/{}", child.id()));
    let own = std::fs::read_link("/proc/self/ns/user").unwrap();
    while std::fs::read_link(proc.join("ns/user")).unwrap() == own {
        std::thread::sleep(Duration::from_millis(1));
    }
    for map in ["uid_map", "gid_map"] {
        std::fs::write(proc.join(map), format!("0 0 {}", u32::MAX)).unwrap();
    }
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Outcome {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        took: started.elapsed(),
    }
}

#[test]
fn a_host_without_user_namespaces_is_told_how_to_allow_them() {
    for host in hosts() {
        if !Account::all().contains(&Account::Root) {
            skip("no_user_namespaces", "the limit is lowered by root");
            continue;
        }
        let outcome = with_namespaces(&host, 0);
        says(&outcome, 69, &["max_user_namespaces", "sysctl -w"]);
        assert_eq!(host.read("made"), None, "{outcome}");
        nothing_runs(&host, &outcome);
        crate::command_line::nothing_waits(&host);
        if host.account() == Account::Rootless {
            // The control: the same place with namespaces.
            with_namespaces(&host, 1_000).expect_code(0);
            assert_eq!(host.read("made").as_deref(), Some(""));
        }
    }
}

#[test]
fn a_full_state_directory_is_told() {
    for host in hosts() {
        if !Account::all().contains(&Account::Root) {
            skip("no_space", "a small file system is mounted by root");
            continue;
        }
        let state = host.state();
        host.put(&state, "keep", b"");
        let owner = host
            .account()
            .other_ids()
            .map_or(String::new(), |(uid, gid)| format!(",uid={uid},gid={gid}"));
        let command = host.command("nucleus");
        let mut wrapped = Command::new("unshare");
        wrapped
            .env_clear()
            .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let script =
            format!("mount -t tmpfs -o size=8k,mode=700{owner} tmpfs \"$0\" && exec \"$@\"");
        wrapped
            .args(["--mount", "sh", "-c", &script])
            .arg(&state)
            .arg(command.get_program())
            .args(command.get_args());
        wrapped.args([
            "run",
            "--allow-local-driver",
            "--profile",
            "fix-issue",
            "--",
            "touch",
            "made",
        ]);
        let outcome = Outcome::of(wrapped.current_dir(host.workspace()));
        says(&outcome, 74, &["No space left"]);
        assert_eq!(host.read("made"), None, "{outcome}");
        nothing_runs(&host, &outcome);
    }
}
