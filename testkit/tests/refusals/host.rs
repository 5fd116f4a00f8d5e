//! Hosts that cannot hold what is asked: no user namespaces, no space.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use testkit::host::{Account, Host, Outcome, skip};

use crate::aftermath::{hosts, nothing_runs, says};

const TOUCH: [&str; 7] =
    ["run", "--allow-local-driver", "--profile", "fix-issue", "--", "touch", "made"];

/// Runs `nucleus` in a user namespace that permits so many further ones. All ids are themselves in it.
fn with_namespaces(host: &Host, max: u32, args: &[&str]) -> Outcome {
    let started = Instant::now();
    let mut command = host.command("nucleus");
    command.args(args);
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
        let outcome = with_namespaces(&host, 0, &TOUCH);
        says(&outcome, 69, &["max_user_namespaces", "sysctl -w"]);
        assert_eq!(host.read("made"), None, "{outcome}");
        nothing_runs(&host, &outcome);
        crate::command_line::nothing_waits(&host);
        if host.account() == Account::Rootless {
            // The control: the same place with namespaces.
            with_namespaces(&host, 1_000, &TOUCH).expect_code(0);
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

#[test]
fn the_doctor_finds_what_a_run_would_meet() {
    for host in hosts() {
        let host = host.env("ANTHROPIC_API_KEY", "sk-canary-key");
        let found = host.nucleus(&["doctor", "--json"]).expect_code(0);
        let report: serde_json::Value = serde_json::from_str(&found.stdout).unwrap();
        let all = report["checks"].as_array().unwrap();
        let check = |name: &str| all.iter().find(|check| check["name"] == name).unwrap();
        assert_eq!(report["works"], true, "{found}");
        for name in ["mount", "network", "seccomp", "capabilities", "openat2"] {
            assert_eq!(check(name)["state"], "good", "{name}: {found}");
        }
        for weak in all.iter().filter(|check| check["state"] == "weaker") {
            assert!(weak["without"].is_string() && weak["fix"].is_string(), "{weak}");
        }
        assert!(check("model key")["found"].as_str().unwrap().contains("ANTHROPIC_API_KEY"));
        assert!(!found.says("sk-canary-key"), "a key is never shown: {found}");
        // What a run says of the layers is what the doctor says of them.
        let run = host.nucleus(&TOUCH).expect_code(0);
        for layer in all.iter().filter(|check| check["state"] == "weaker").take(2) {
            let name = layer["name"].as_str().unwrap();
            assert!(run.says(name) || name == "agents", "{name}: {run}");
        }
        let left = std::fs::read_dir(host.state()).unwrap().flatten();
        let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
        assert!(
            !left.iter().any(|name| name.to_string_lossy().starts_with("rehearsal")),
            "{left:?}"
        );
        if !Account::all().contains(&Account::Root) {
            skip("no_user_namespaces", "the limit is lowered by root");
            continue;
        }
        let broken = with_namespaces(&host, 0, &["doctor"]).expect_code(69);
        assert!(broken.says("max_user_namespaces") && broken.says("cannot work here"), "{broken}");
    }
}

#[test]
fn root_of_a_namespace_with_few_ids_is_told_so() {
    for host in hosts() {
        let command = host.command("nucleus");
        let mut wrapped = host.account().command(std::path::Path::new("/usr/bin/unshare"));
        wrapped.env_clear().envs(command.get_envs().filter_map(|(n, v)| Some((n, v?))));
        wrapped.args(["--user", "--map-root-user"]).arg(host.program("nucleus")).args(TOUCH);
        let outcome = Outcome::of(wrapped.current_dir(host.workspace()));
        says(&outcome, 69, &["no ids to give to pods", "ordinary user"]);
        assert_eq!(host.read("made"), None, "{outcome}");
        nothing_runs(&host, &outcome);
    }
}

#[test]
fn limits_of_the_host_come_with_advice() {
    for host in hosts() {
        let limited = |limit: &str| {
            let command = host.command("nucleus");
            let mut wrapped = host.account().command(std::path::Path::new("/usr/bin/prlimit"));
            wrapped.env_clear().envs(command.get_envs().filter_map(|(n, v)| Some((n, v?))));
            wrapped.arg(limit).arg(host.program("nucleus")).args(TOUCH);
            Outcome::of(wrapped.current_dir(host.workspace()))
        };
        // The soft limit of many shells is this command's own affair.
        limited("--nofile=32:4096").expect_code(0);
        assert_eq!(host.read("made").as_deref(), Some(""), "positive control");
        let outcome = limited("--nofile=24:24");
        says(&outcome, 74, &["Too many open files", "ulimit -n"]);
        nothing_runs(&host, &outcome);
        if host.account() == Account::Rootless {
            says(&limited("--nproc=1:1"), 74, &["as many processes as it may"]);
        }
    }
}

#[test]
fn file_systems_that_do_not_do_are_told() {
    for host in hosts() {
        if !Account::all().contains(&Account::Root) {
            skip("state_mounts", "a file system is mounted by root");
            continue;
        }
        let mounted = |options: &str, argv: &[&str]| {
            host.put(&host.state(), "keep", b"");
            let ids = host.account().other_ids();
            let owner = ids.map_or(String::new(), |(uid, gid)| format!(",uid={uid},gid={gid}"));
            let command = host.command("nucleus");
            let mut wrapped = Command::new("unshare");
            wrapped.env_clear().envs(command.get_envs().filter_map(|(n, v)| Some((n, v?))));
            let script =
                format!("mount -t tmpfs -o mode=700{owner}{options} tmpfs \"$0\" && exec \"$@\"");
            wrapped
                .args(["--mount", "sh", "-c", &script])
                .arg(host.state())
                .arg(command.get_program())
                .args(command.get_args())
                .args(argv);
            Outcome::of(wrapped.current_dir(host.workspace()))
        };
        let noexec = mounted(",noexec", &TOUCH).expect_code(0);
        assert!(noexec.says("noexec") && noexec.says("XDG_STATE_HOME"), "{noexec}");
        let doctor = mounted(",noexec", &["doctor"]).expect_code(0);
        assert!(doctor.says("mounted noexec"), "{doctor}");
        says(&mounted(",ro", &TOUCH), 74, &["ead-only file system", "XDG_STATE_HOME"]);
    }
}
