//! A state directory without space.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use testkit::host::{Account, Host, Outcome, leftovers, programs, skip};
use testkit::script::{Action, Script, Step};

/// Runs `nucleus` with a state directory of so many bytes, in a mount namespace of its own, beside the command
/// `meanwhile`, and then `after`; both are shell text.
fn with_space(host: &Host, bytes: u64, nucleus: &Command, meanwhile: &str, after: &str) -> Outcome {
    let state = host.state();
    host.put(&state, "keep", b"");
    let quoted: Vec<String> = std::iter::once(nucleus.get_program())
        .chain(nucleus.get_args())
        .map(|word| quote(word.to_str().unwrap()))
        .collect();
    let owner = host
        .account()
        .other_ids()
        .map_or(String::new(), |(uid, gid)| format!(",uid={uid},gid={gid},mode=700"));
    let text = format!(
        "mount -t tmpfs -o size={bytes}{owner} tmpfs {state} && {{ {meanwhile} {command}; code=$?; {after} exit $code; }}",
        state = quote(state.to_str().unwrap()),
        command = quoted.join(" "),
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &text]).env_clear();
    command.envs(nucleus.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(host.workspace());
    Outcome::of(&mut command)
}

/// Only root may mount a small file system there.
fn accounts(test: &str) -> Vec<Account> {
    let accounts = Account::all();
    if !accounts.contains(&Account::Root) {
        skip(test, "a small file system is mounted by root");
        return Vec::new();
    }
    accounts
}

/// Bytes in a MiB.
const MIB: u64 = 1 << 20;

#[test]
fn a_full_state_directory_starts_nothing() {
    let bins = programs();
    for account in accounts("full_disk_start") {
        for size in [4 << 10, 12 << 10, 24 << 10, 40 << 10, 128 * MIB] {
            let host = Host::new(&bins, account);
            host.file("README.md", "old\n");
            let outcome = with_space(&host, size, &touching(&host), "", "");
            assert!(!outcome.says("panicked"), "{outcome}");
            assert_eq!(outcome.code, Some(74), "{size} bytes as {account:?}: {outcome}");
            assert!(outcome.says("o space left"), "{size} bytes as {account:?}: {outcome}");
            assert_eq!(host.read("ran.txt"), None, "{outcome}");
            nothing_runs(host.place(), &outcome);
        }
        let host = Host::new(&bins, account);
        with_space(&host, 600 * MIB, &touching(&host), "", "").expect_code(0);
        assert_eq!(host.read("ran.txt").as_deref(), Some("ran\n"), "with space it runs");
    }
}

fn touching(host: &Host) -> Command {
    let mut command = host.command("nucleus");
    command.args([
        "run",
        "--profile",
        "fix-issue",
        "--allow-local-driver",
        "--",
        "sh",
        "-c",
        "echo ran > ran.txt",
    ]);
    command
}

fn call(name: &str, args: serde_json::Value) -> Step {
    Step { action: Some(Action::Tool { name: name.to_owned(), args }), ..Step::default() }
}

/// Whatever ends first when the disk is full: the workspace is as it was, the log verifies, nothing runs on, and
/// with space again the session can be applied.
#[test]
fn a_disk_that_fills_up_loses_nothing() {
    let bins = programs();
    for account in accounts("full_disk_during") {
        for by_agent in [true, false] {
            let host = Host::new(&bins, account);
            host.file("README.md", "old\n");
            let mut steps =
                vec![call("write", json!({"path": "before.txt", "content": "before\n"}))];
            if by_agent {
                steps.push(call(
                    "run",
                    json!({"command": "head -c 200M /dev/zero > filler; sleep 20"}),
                ));
            }
            steps.extend(
                (0..4000).map(|n| {
                    call("write", json!({"path": "after.txt", "content": format!("{n}\n")}))
                }),
            );
            let command = host.script_command(&Script { steps }, &["--profile", "fix-issue"]);
            let state = host.state();
            let state = quote(state.to_str().unwrap());
            let written = format!(
                "until [ -s {state}/sessions/*/overlay/upper/before.txt ]; do sleep 0.01; done"
            );
            let meanwhile = if by_agent {
                String::new()
            } else {
                format!("({written}; head -c 1G /dev/zero > {state}/filler) 2>/dev/null & ")
            };
            let nucleus = quote(host.program("nucleus").to_str().unwrap());
            let audit = quote(host.program("nucleus-audit").to_str().unwrap());
            let session = "$(basename $(echo sessions/*))";
            let after = format!(
                "wait; ls -A; echo \"after the task: $(ls -A | tr '\\n' ' ')\"; cd {state}; {audit} verify sessions/*/log.jsonl; \
                 echo \"verdict: $?\"; rm -f filler; {user} {nucleus} apply {session}; echo \"applied: $?\";",
                user = as_user(&host),
            );
            let outcome = with_space(&host, 400 * MIB, &command, &meanwhile, &after);
            assert!(!outcome.says("panicked"), "{outcome}");
            assert!(!matches!(outcome.code, None | Some(0)), "{outcome}");
            assert!(
                outcome.says("after the task: README.md \n"),
                "the workspace was written: {outcome}"
            );
            assert!(outcome.says("verdict: 0") || outcome.says("verdict: 11"), "{outcome}");
            assert!(outcome.says("applied: 0"), "{outcome}");
            assert_eq!(host.read("before.txt").as_deref(), Some("before\n"), "{outcome}");
            nothing_runs(host.place(), &outcome);
        }
    }
}

/// What becomes the account of a host in a shell of root.
fn as_user(host: &Host) -> String {
    let ids = host.account().other_ids();
    ids.map_or(String::new(), |(uid, gid)| {
        format!("setpriv --reuid={uid} --regid={gid} --clear-groups")
    })
}

fn nothing_runs(place: &Path, outcome: &Outcome) {
    let left = leftovers(place, std::time::Duration::from_secs(3));
    let left: Vec<_> = left
        .iter()
        .filter(|left| !matches!(left, testkit::host::Leftover::ControlGroup(_)))
        .collect();
    assert!(left.is_empty(), "{left:?}\n{outcome}");
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
