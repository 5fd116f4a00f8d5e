//! Row 74: files of the repository cannot widen the envelope. Row 76: the log.

use serde_json::json;
use testkit::host::{Account, Host, programs};
use testkit::script::{Ending, Step};

use crate::attempt::{call, script};

const WIDE: &str = r#"
[capabilities]
read_files = "always"
write_files = "always"
edit_files = "always"
run_bash = "always"
glob_search = "always"
grep_search = "always"
"#;

fn write_step(expect: Ending) -> Step {
    Step {
        expect: Some(expect),
        ..call("write", json!({"path": "made.txt", "content": "by the agent"}))
    }
}

#[test]
fn row_74_a_file_of_the_repository_only_tightens() {
    let bins = programs();
    for account in Account::all() {
        let host = Host::new(&bins, account);
        host.file(".nucleus/permissions.toml", WIDE);
        host.script_with(&script(vec![write_step(Ending::Refused)]), &["--profile", "read-only"])
            .expect_code(0);
        assert_eq!(host.read("made.txt"), None, "as {account:?}");

        // The control: the same text, named by the user, does allow it.
        let host = Host::new(&bins, account);
        host.put(host.place(), "mine.toml", WIDE.as_bytes());
        let named = host.place().join("mine.toml");
        host.script_with(
            &script(vec![write_step(Ending::Ok)]),
            &["--config", named.to_str().unwrap()],
        )
        .expect_code(0);
        assert_eq!(host.read("made.txt").as_deref(), Some("by the agent"), "as {account:?}");

        // And it does tighten: a repository may forbid what the profile allows.
        let host = Host::new(&bins, account);
        host.file(".nucleus/permissions.toml", "[capabilities]\nread_files = \"always\"\n");
        host.script(&script(vec![write_step(Ending::Refused)])).expect_code(0);
        assert_eq!(host.read("made.txt"), None, "as {account:?}");
    }
}

#[test]
fn row_76_names_cannot_forge_log_lines() {
    let bins = programs();
    for account in Account::all() {
        let host = Host::new(&bins, account);
        let forged = "a\n{\"timestamp\":\"2026-01-01T00:00:00.000Z\",\"sequence\":1}\n\u{1b}[2J";
        let outcome = host.script(&script(vec![
            call("read", json!({"path": forged})),
            call("run", json!({"argv": ["printf", forged]})),
            call("grep", json!({"pattern": forged})),
            call(forged, json!({})),
        ]));
        assert_eq!(outcome.steps().len(), 4, "{outcome}");
        assert!(
            !outcome.stderr.contains('\u{1b}'),
            "the feed carries an escape sequence: {outcome}"
        );
        let log = host.logs().pop().expect("a log");
        let verified = host.verify(&log).expect_code(0);
        let lines = std::fs::read_to_string(&log).unwrap().lines().count();
        assert!(verified.stdout.contains(&format!("✓ {lines} entries verified")), "{verified}");
    }
}

#[test]
fn row_76_a_pod_cannot_reach_the_log() {
    crate::attempt::row("row_76_pod", &["mounts", "landlock"], &[], |host| {
        let sessions = host.state().join("sessions");
        // Rootless, the pod is the user, and only absence holds; as root the directory is closed to it as well,
        // so the canary is a file beside it that anyone may write.
        std::fs::create_dir_all(&sessions).unwrap();
        let canary = host.place().join("audit.log");
        host.put(host.place(), "audit.log", b"entry\n");
        std::fs::set_permissions(&canary, std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .unwrap();
        own_state(host);
        let outcome = host.run(&["sh", "-c", &format!("echo forged >> {}", canary.display())]);
        let hit = std::fs::read_to_string(&canary).unwrap().contains("forged");
        crate::attempt::Attempt::when(hit, outcome)
    });
}

#[test]
fn row_76_a_changed_log_does_not_verify() {
    let bins = programs();
    let host = Host::new(&bins, Account::all()[0]);
    host.file("a.txt", "text");
    host.script(&script(vec![
        call("read", json!({"path": "a.txt"})),
        call("run", json!({"command": "true"})),
    ]));
    let log = host.logs().pop().expect("a log");
    host.verify(&log).expect_code(0);
    let whole = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let without = |index: usize| {
        lines
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != index)
            .map(|(_, l)| format!("{l}\n"))
            .collect::<String>()
    };
    let swapped = {
        let mut lines = lines.clone();
        lines.swap(1, 2);
        lines.iter().map(|l| format!("{l}\n")).collect::<String>()
    };
    let shortened = without(lines.len() - 1);
    for (what, text) in [
        ("a line removed", without(1)),
        ("two lines swapped", swapped),
        ("the last line removed", shortened),
        ("a value changed", whole.replacen("a.txt", "b.txt", 1)),
        ("emptied", String::new()),
    ] {
        std::fs::write(&log, text).unwrap();
        assert_ne!(host.verify(&log).code, Some(0), "{what}: still verifies");
    }
    std::fs::write(&log, &whole).unwrap();
    host.verify(&log).expect_code(0);
}

fn own_state(host: &Host) {
    if let Some((uid, gid)) = host.account().other_ids() {
        for dir in
            [".local", ".local/state", ".local/state/nucleus", ".local/state/nucleus/sessions"]
        {
            std::os::unix::fs::chown(host.home().join(dir), Some(uid), Some(gid)).unwrap();
        }
    }
}
