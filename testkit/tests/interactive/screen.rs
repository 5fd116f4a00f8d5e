//! Hostile output on the agent's terminal (row 71).

use serde_json::json;
use testkit::host::Host;
use testkit::script::{Action, Script, Step};

use crate::{hosts, interactive, shell};

/// What must not reach the user's terminal, as `printf` writes it, and what would be seen of it there.
const HOSTILE: [(&str, &str); 9] = [
    ("\\033]52;c;cm0gLXJmIH4=\\007", "\x1b]52;"),
    ("\\033]4;1;rgb:00/00/00\\007", "\x1b]4;"),
    ("\\033[21t", "\x1b[21t"),
    ("\\033P$qm\\033\\\\", "\x1bP$qm"),
    ("\\033_Gf=32;AAAA\\033\\\\", "\x1b_Gf=32"),
    ("\\033]1337;File=inline=1:AAAA\\007", "\x1b]1337"),
    ("\\033[5i", "\x1b[5i"),
    ("\\033[3J", "\x1b[3J"),
    ("\\033]8;;file:///etc/passwd\\033\\\\", "\x1b]8;;file:"),
];

/// Writes everything to a terminal and says when it is done.
fn writing(to: &str) -> String {
    let all: String = HOSTILE.iter().map(|(text, _)| *text).collect();
    format!("printf '{all}' >{to}; printf 'a\\033[31mred\\033[0m done' >{to}")
}

fn seen(host: &Host, command: &std::process::Command) -> String {
    let mut terminal = host.at_full_terminal(command);
    terminal.wait_for("ared done");
    terminal.outcome().expect_code(0).stdout
}

#[test]
fn row_71_what_harms_a_terminal_does_not_reach_it() {
    for host in hosts() {
        let screen = seen(&host, &interactive(&host, vec![shell(&writing("/dev/tty"))], &[]));
        for (text, mark) in HOSTILE {
            assert!(!screen.contains(mark), "{text} reached the terminal: {screen:?}");
        }
        assert!(screen.contains("\x1b[31mred"), "colours stay: {screen:?}");
        // The same bytes from a program that is not in a pod: they do harm there.
        let mut bare = std::process::Command::new("sh");
        bare.args(["-c", &writing("/dev/stdout")]).env_clear().current_dir(host.workspace());
        bare.env("PATH", std::env::var_os("PATH").unwrap());
        let screen = seen(&host, &bare);
        for (text, mark) in HOSTILE {
            assert!(screen.contains(mark), "{text} is no attack: {screen:?}");
        }
    }
}

#[test]
fn row_71_no_answer_of_the_users_terminal_is_typed_for_it() {
    // The agent asks everything a terminal answers, and gets only what the relay says.
    const ASK: &str = "stty raw -echo min 0 time 10 </dev/tty; \
        printf '\\033[c\\033]10;?\\007\\033[21t\\033P$qm\\033\\\\\\033[?2004$p' >/dev/tty; \
        dd bs=1 count=64 </dev/tty 2>/dev/null | od -An -c | tr -d ' \\n'; stty sane </dev/tty";
    for host in hosts() {
        let command = interactive(&host, vec![shell(ASK)], &[]);
        let mut terminal = host.at_full_terminal(&command);
        terminal.wait_for("033[?62;22c033[?2004;2$y");
        let screen = terminal.outcome().expect_code(0).stdout;
        assert_eq!(screen.matches("\x1b[c").count(), 1, "one question, of the relay: {screen:?}");
    }
}

#[test]
fn a_flood_neither_stalls_nor_fills_anything() {
    for host in hosts() {
        let flood = "head -c 20000000 /dev/zero | tr '\\0' 'x' >/dev/tty; printf '\\033]2;' >/dev/tty; \
            head -c 5000000 /dev/zero | tr '\\0' 'y' >/dev/tty; printf '\\007 over\\r\\n' >/dev/tty";
        let command = interactive(&host, vec![shell(flood)], &[]);
        let mut terminal = host.at_full_terminal(&command);
        terminal.wait_for("over");
        let screen = terminal.outcome().expect_code(0).stdout;
        assert!(!screen.contains("yyyy"), "a title of five megabytes");
    }
}

#[test]
fn row_71_what_an_agent_wrote_is_escaped_wherever_it_is_shown() {
    // A name, a content, a command and a path that nobody may meet as they are; and a line that is very long.
    const EVIL: &str = "x\u{1b}]52;c;eA==\u{7}\u{1b}[2J\u{202e}\u{200b}";
    let call = |name: &str, args: serde_json::Value| Step {
        action: Some(Action::Tool { name: name.to_owned(), args }),
        ..Step::default()
    };
    for host in hosts() {
        let long = "y".repeat(300_000);
        let steps = vec![
            call(
                "write",
                json!({"path": "evil.txt", "content": format!("{EVIL}\n{long}{EVIL}\n")}),
            ),
            call("read", json!({"path": format!("{EVIL}.txt")})),
            call(
                "run",
                json!({"command": format!("touch \"$(printf 'n\\033[2Jame')\"; echo '{EVIL}'")}),
            ),
            shell(&format!("printf '%s\\n' '{EVIL}'; printf '%s\\n' '{EVIL}' >&2")),
        ];
        let command = host.script_command(
            &Script { steps },
            &["--profile", "fix-issue", "--review", "--color", "never"],
        );
        let mut shown = vec![host.at_terminal(&command).outcome().expect_code(0).stdout];
        for view in
            [&["review"][..], &["changes"], &["logs"], &["ps"], &["review", "--list"], &["replay"]]
        {
            let outcome = host.nucleus(view);
            assert_eq!(outcome.code, Some(0), "{view:?}: {outcome}");
            shown.push(outcome.stdout + &outcome.stderr);
        }
        for text in &shown {
            let bare = text.chars().find(|c| {
                c.is_control() && !matches!(c, '\n' | '\r' | '\t')
                    || matches!(c, '\u{202e}' | '\u{200b}')
            });
            let near = bare
                .and_then(|c| text.find(c))
                .and_then(|at| text.get(at.saturating_sub(60)..at + 60));
            assert_eq!(bare, None, "shown as it is: {near:?}");
        }
        assert!(
            shown.iter().any(|text| text.contains("\\u{1b}")),
            "nothing hostile was shown: no test"
        );
    }
}

#[test]
fn row_71_json_for_programs_shows_nothing_hostile_at_a_terminal_and_says_the_same() {
    const EVIL: &str = "x\u{9b}2J\u{7f}\u{202e}\u{200b}é";
    for host in hosts() {
        let write = Step {
            action: Some(Action::Tool {
                name: "write".to_owned(),
                args: json!({"path": "evil.txt", "content": format!("{EVIL}\n")}),
            }),
            ..Step::default()
        };
        let steps = vec![write, shell(&format!("printf '%s\\n' '{EVIL}'"))];
        let options = ["--profile", "fix-issue", "--review", "--json"];
        let run = host.script_with(&Script { steps }, &options).expect_code(0);
        let said = run.stdout.lines().any(|line| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            value["type"] == "output" && value["text"].as_str().unwrap().contains(EVIL)
        });
        assert!(said, "the value is not what the agent wrote: {run}");
        let mut printed = vec![run.stdout];
        for view in ["review", "changes", "logs", "ps", "replay"] {
            printed.push(host.nucleus(&[view, "--json"]).expect_code(0).stdout);
        }
        for text in &printed {
            let bare = text
                .chars()
                .find(|c| c.is_control() && *c != '\n' || matches!(c, '\u{202e}' | '\u{200b}'));
            assert_eq!(bare, None, "shown as it is: {text}");
        }
        assert!(printed[0].contains("\\u009b") && printed[0].contains("\\u202e"));
    }
}
