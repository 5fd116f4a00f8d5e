//! Rows 16, 25, 32, 33, 34: what a process inherits, reaches, leaves behind and uses up.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use testkit::host::{Account, Host, Leftover, Outcome, leftovers, programs};
use testkit::script::Step;

use serde_json::json;

use crate::attempt::{Attempt, call, row, row_for, run_attack, script};

const RUN: [&str; 5] = ["run", "--profile", "fix-issue", "--allow-local-driver", "--"];

#[test]
fn row_16_a_descriptor_left_open_does_not_reach_a_pod() {
    row("row_16", &["fds"], &[], |host| {
        // A careless parent: descriptor 9 is a writable directory handle without close-on-exec.
        let nucleus = host.command("nucleus");
        let mut careless = Command::new("sh");
        careless.arg("-c").arg("exec 9<\"$0\"; exec \"$@\"").arg(host.place());
        careless
            .arg(nucleus.get_program())
            .args(nucleus.get_args())
            .args(RUN)
            .args(["./attack", "descriptors"]);
        copy_surroundings(&nucleus, &mut careless);
        let outcome = Outcome::of(&mut careless);
        Attempt::when(outcome.code == Some(0) && outcome.stdout.contains("descriptor 9"), outcome)
    });
}

#[test]
fn row_16_signals_that_a_parent_ignores_are_not_ignored_in_a_pod() {
    let bins = programs();
    for account in Account::all() {
        let host = Host::new(&bins, account);
        let run = |parent: &str| {
            let nucleus = host.command("nucleus");
            let mut careless = Command::new("sh");
            careless
                .args(["-c", &format!("{parent} exec \"$@\""), "sh"])
                .arg(nucleus.get_program());
            careless.args(nucleus.get_args()).args(RUN).args([
                "sh",
                "-c",
                "kill -INT $$; echo alive",
            ]);
            copy_surroundings(&nucleus, &mut careless);
            Outcome::of(&mut careless)
        };
        run("").expect_code(130);
        let outcome = run("trap '' INT QUIT TERM HUP;").expect_code(130);
        assert!(!outcome.stdout.contains("alive"), "{outcome}");
        // The control: such a parent does make a child of its own ignore the signal.
        let child = "trap '' INT; sh -c 'kill -INT $$; echo alive'";
        let outcome = Outcome::of(Command::new("sh").args(["-c", child])).expect_code(0);
        assert!(outcome.stdout.contains("alive"), "{outcome}");
    }
}

#[test]
fn row_25_variables_of_the_host_do_not_reach_a_pod() {
    const HOSTILE: [&str; 8] = [
        "LD_PRELOAD",
        "GIT_SSH_COMMAND",
        "BASH_ENV",
        "NODE_OPTIONS",
        "PYTHONSTARTUP",
        "RUSTC_WRAPPER",
        "HTTPS_PROXY",
        "PERL5OPT",
    ];
    row("row_25", &["env"], &[], |host| {
        let mut command = host.command("nucleus");
        for name in HOSTILE {
            command.env(name, "/nonexistent/canary-variable");
        }
        let outcome = Outcome::of(command.args(RUN).args(["sh", "-c", "env 2>/dev/null"]));
        Attempt::when(outcome.stdout.contains("canary-variable"), outcome)
    });
}

#[test]
fn row_32_nothing_is_typed_into_the_users_terminal() {
    row("row_32", &["session", "seccomp"], &["mounts"], |host| {
        let nucleus = host.command("nucleus");
        let mut line = vec![quoted(nucleus.get_program().to_str().unwrap())];
        line.extend(nucleus.get_args().map(|arg| quoted(arg.to_str().unwrap())));
        line.extend(RUN.iter().map(|arg| quoted(arg)));
        line.extend(["./attack".to_owned(), "tiocsti".to_owned()]);
        // `script` gives the command a terminal of its own, as a user's shell would.
        let mut terminal = Command::new("script");
        terminal.args(["--quiet", "--return", "--command", &line.join(" "), "/dev/null"]);
        copy_surroundings(&nucleus, &mut terminal);
        let outcome = Outcome::of(&mut terminal);
        assert!(
            outcome.says("held:") || outcome.says("worked:"),
            "the attack did not run: {outcome}"
        );
        Attempt::when(outcome.says("worked: TIOCSTI"), outcome)
    });
}

#[test]
fn row_33_nothing_survives_its_call() {
    row_for("row_33", with_groups("pidns"), &[], |host| {
        let mark = mark();
        let outcome = host.run(&["sh", "-c", &format!("setsid sleep {mark} >/dev/null 2>&1 & (setsid sleep {mark} >/dev/null 2>&1 &) ; sleep 0.2; echo left")]);
        assert!(outcome.stdout.contains("left"), "{outcome}");
        let alive = survivors(&mark);
        let attempt = Attempt::when(!alive.is_empty(), &outcome);
        for pid in alive {
            let _gone = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
        attempt
    });
}

#[test]
fn row_33_a_task_leaves_no_process_mount_or_control_group() {
    row_for("row_33_host", with_groups("pidns"), &[], |host| {
        let mark = mark();
        let _outcome =
            host.run(&["sh", "-c", &format!("setsid sleep {mark} >/dev/null 2>&1 & sleep 0.2")]);
        let left: Vec<Leftover> = leftovers(host.place(), Duration::from_secs(3));
        let attempt = Attempt::when(
            left.iter().any(|l| matches!(l, Leftover::Process(..))),
            format!("{left:?}"),
        );
        for pid in survivors(&mark) {
            let _gone = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
        attempt
    });
}

#[test]
fn row_34_processes_are_limited() {
    row_for("row_34_forks", with_groups("rlimits"), &[], |host| {
        run_attack(host, &["forks", "3000"])
    });
}

#[test]
fn row_34_a_flood_of_output_is_cut() {
    row("row_34_flood", &["output-bound"], &[], |host| {
        let flood = call(
            "run",
            json!({"command": "head -c 3000000 /dev/zero | tr '\\0' 'x'; echo; echo the-end", "timeout_s": 20}),
        );
        let outcome = host.script(&script(vec![Step { measure: true, ..flood }]));
        let shown =
            outcome.steps().first().and_then(|step| step.measured()).expect("a measured step");
        assert!(shown > 1_000, "the command wrote nothing: {outcome}");
        Attempt::when(shown > 1_000_000, shown)
    });
}

/// A layer of every account, and control groups where the account has them.
fn with_groups(layer: &'static str) -> impl Fn(Account) -> Vec<&'static str> {
    move |account| if account == Account::Root { vec![layer, "cgroup"] } else { vec![layer] }
}

/// A number of seconds that no other attempt sleeps: a straggler of one is not taken for a survivor of the next.
fn mark() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let attempt = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{}{attempt:03}", 100_000 + std::process::id())
}

fn survivors(mark: &str) -> Vec<u32> {
    std::thread::sleep(Duration::from_millis(300));
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            std::fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line == format!("sleep\0{mark}\0").into_bytes())
        })
        .collect()
}

/// Directory and environment of a command, for a wrapper around it.
fn copy_surroundings(from: &Command, to: &mut Command) {
    to.env_clear();
    for (name, value) in from.get_envs() {
        if let Some(value) = value {
            to.env(name, value);
        }
    }
    to.current_dir(from.get_current_dir().expect("a directory"));
    to.stdin(std::process::Stdio::null()).process_group(0);
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
