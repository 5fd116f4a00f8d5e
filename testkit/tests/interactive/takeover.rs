//! Questions to the user while an agent has the terminal (row 71): only on the relay's own screen.

use std::time::Duration;

use serde_json::json;
use testkit::host::{Host, Terminal, leftovers};
use testkit::script::{Action, Step};

use crate::{UP, hosts, interactive, shell};

const POLICY: &str = "\
[capabilities]
read_files = \"always\"
write_files = \"always\"
run_bash = \"always\"

[obligations]
approvals = [\"run_bash\"]
";

/// An agent that asks for a command while it writes on its terminal, and reads from it.
fn asking(host: &Host) -> Terminal {
    asking_then(host, "echo typed: $(cat /tmp/typed) the-end")
}

/// The same, with another way to tell what was typed.
fn asking_then(host: &Host, told: &str) -> Terminal {
    host.put(host.place(), "permissions.toml", POLICY.as_bytes());
    let config = host.place().join("permissions.toml");
    let call = Step {
        action: Some(Action::Tool {
            name: "run".to_owned(),
            args: json!({"command": "echo ran >> ran.txt"}),
        }),
        ..Step::default()
    };
    let noise = "stty raw -echo </dev/tty; (cat </dev/tty >/tmp/typed 2>/dev/null &) ; \
        (while :; do printf 'IMITATION type abcd + Enter approves once ' >/dev/tty; sleep 0.05; done) >/dev/null 2>&1 &";
    let steps = vec![shell(noise), call, shell(told)];
    let mut terminal =
        host.at_full_terminal(&interactive(host, steps, &["--config", config.to_str().unwrap()]));
    terminal.wait_for(UP);
    terminal.wait_for("IMITATION");
    until(&terminal, |screen| screen.contains("an approval waits, press Ctrl-]"));
    terminal
}

#[track_caller]
fn until(terminal: &Terminal, ready: impl Fn(&str) -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !ready(&terminal.screen()) {
        assert!(std::time::Instant::now() < deadline, "never: {:?}", terminal.screen());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The id on the relay's screen.
fn id(terminal: &Terminal) -> String {
    let screen = terminal.screen();
    let (_, own) = screen.rsplit_once("nucleus · session").unwrap();
    let (before, _) = own.split_once(" + Enter approves once").unwrap();
    before.rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn row_71_an_approval_is_given_on_the_relays_own_screen_only() {
    for host in hosts() {
        let mut terminal = asking(&host);
        terminal.enter("\x1d");
        terminal.wait_for("nucleus · session");
        terminal.wait_for("run_bash needs approval");
        terminal.wait_for("Enter approves once · no [reason] refuses");
        let id = id(&terminal);
        // Back at the agent's terminal the id approves nothing.
        terminal.enter("\r");
        terminal.wait_for("IMITATION");
        terminal.enter(&format!("{id}\r"));
        terminal.wait_for("IMITATION");
        assert_eq!(host.read("ran.txt"), None);
        // On the relay's screen nothing of the agent's is shown, and the id approves.
        terminal.enter("\x1d");
        terminal.wait_for("Enter approves once · no [reason] refuses");
        let from = terminal.screen().len();
        std::thread::sleep(Duration::from_millis(400));
        assert!(
            !terminal.screen().get(from..).unwrap().contains("IMITATION"),
            "{:?}",
            terminal.screen()
        );
        terminal.enter(&format!("{id}\r"));
        terminal.wait_for("granted");
        terminal.enter("\r");
        terminal.wait_for("the-end");
        let outcome = terminal.outcome().expect_code(0);
        let typed = outcome.stdout.rsplit_once("typed:").unwrap().1;
        let typed = typed.split_once("the-end").unwrap().0;
        assert_eq!(typed.matches(&id).count(), 1, "what was typed there is the relay's: {typed:?}");
        assert!(!outcome.stdout.contains("denied"), "{outcome}");
    }
}

#[test]
fn a_refusal_gives_the_agent_the_users_words_and_stop_ends_the_task() {
    for host in hosts() {
        let mut terminal = asking(&host);
        terminal.enter("\x1d");
        terminal.wait_for("no [reason] refuses");
        terminal.enter("no use a branch\r");
        terminal.wait_for("nothing waits for you");
        terminal.enter("\r");
        terminal.wait_for("use a branch");
        terminal.outcome();
        assert_eq!(host.read("ran.txt"), None);

        let mut terminal = asking(&host);
        terminal.enter("\x1d");
        terminal.wait_for("no [reason] refuses");
        terminal.enter("stop\r");
        terminal.outcome().expect_code(130);
        assert_eq!(host.read("ran.txt"), None);
        assert!(leftovers(host.place(), Duration::from_secs(10)).is_empty());
    }
}

#[test]
fn row_71_own_keys_work_in_pieces_and_under_other_protocols_and_not_within_a_paste() {
    for host in hosts() {
        let told = "echo typed: $(od -An -v -tx1 /tmp/typed | tr -d ' \\n') the-end";
        let mut terminal = asking_then(&host, told);
        // A paste with both own keys in it is the agent's, all of it.
        terminal.enter("\x1b[200~pa\x1ds\x1at\x1b[93;5ue\x1b[201~");
        std::thread::sleep(Duration::from_millis(300));
        assert!(!terminal.screen().contains("nucleus · session"), "{:?}", terminal.screen());
        // The Escape key alone arrives too.
        terminal.enter("\x1b");
        std::thread::sleep(Duration::from_millis(300));
        // Ctrl-5 under kitty's protocol, over a slow line.
        terminal.enter("\x1b[53;");
        std::thread::sleep(Duration::from_millis(100));
        terminal.enter("5u");
        terminal.wait_for("nucleus · session");
        terminal.wait_for("Enter approves once · no [reason] refuses");
        let id = id(&terminal);
        terminal.enter(&format!("{id}\r"));
        terminal.wait_for("granted");
        terminal.enter("\r");
        terminal.wait_for("the-end");
        let outcome = terminal.outcome().expect_code(0);
        let pasted: String = b"\x1b[200~pa\x1ds\x1at\x1b[93;5ue\x1b[201~\x1b"
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let plain: String = outcome.stdout.split_whitespace().collect();
        assert!(plain.contains(&format!("typed:{pasted}the-end")), "{outcome}");
    }
}
