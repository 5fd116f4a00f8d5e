//! Nobody says yes to what they were not shown: all of a request can be read everywhere, and a yes before that counts
//! nowhere it is shown.

use serde_json::{Value, json};
use testkit::host::{Host, Task, Terminal};

use crate::desk::{approvals, call, hosts, id, park_under, question, run};

/// Files ask too.
const FILES_ASK: &str = "\
[capabilities]
read_files = \"always\"
write_files = \"always\"
edit_files = \"always\"
run_bash = \"always\"

[obligations]
approvals = [\"run_bash\", \"write_files\", \"edit_files\"]
";
const LINES: usize = 400;

/// Long, and the point of it stands at the end.
fn long() -> String {
    let padding: String = (0..LINES).map(|n| format!("padding {n}\n")).collect();
    format!("{padding}the point \u{1b}[2J\u{202e}\n")
}

fn ask(host: &Host, steps: Vec<testkit::script::Step>) -> Task {
    park_under(host, FILES_ASK, steps, "socket")
}

fn shown(host: &Host, id: &str) -> Value {
    let outcome = approvals(host, &["show", id, "--json"]).expect_code(0);
    serde_json::from_str(&outcome.stdout).unwrap()
}

#[test]
fn show_prints_every_line_and_every_word_of_an_argv() {
    for host in hosts() {
        let words: Vec<String> =
            (0..250).map(|n| format!("word-{n:04}-{}", "x".repeat(50))).collect();
        let argv: Vec<&str> =
            ["echo"].into_iter().chain(words.iter().map(String::as_str)).collect();
        let write = call("write", json!({"path": "a.txt", "content": long()}));
        let mut task = ask(&host, vec![write, run(&argv)]);
        let first = question(&host, &mut task, &[]);
        assert_eq!(first["complete"], false, "a list carries the beginning");
        let beginning = first["rendering"].as_str().unwrap();
        assert!(beginning.contains(&format!("nucleus approvals show {} prints", id(&first))));
        let text = approvals(&host, &["show", &id(&first)]).expect_code(0).stdout;
        assert_eq!(text.matches("agent diff │ +padding ").count(), LINES);
        assert!(text.contains("  │ agent diff │ +the point \\u{1b}[2J\\u{202e}\n"), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}']));
        let whole = shown(&host, &id(&first));
        assert_eq!(whole["complete"], true);
        assert!(whole["rendering"].as_str().unwrap().contains("+the point"));
        approvals(&host, &["deny", &id(&first)]).expect_code(0);
        let second = question(&host, &mut task, &[id(&first)]);
        let text = approvals(&host, &["show", &id(&second)]).expect_code(0).stdout;
        let line = text.lines().find(|line| line.contains("agent text │ [\"echo\",")).unwrap();
        assert!(words.iter().all(|word| line.contains(word.as_str())), "{line}");
        approvals(&host, &["deny", &id(&second)]).expect_code(0);
        task.outcome().0.expect_code(0);
    }
}

#[test]
fn what_changes_in_a_file_is_shown_as_a_diff_in_colours_where_they_are_wanted() {
    for host in hosts() {
        host.file("a.txt", "one\ntwo\nthree\n");
        host.file("b.bin", b"\0\x01\x02");
        let edit = json!({"path": "a.txt", "old_string": "two", "new_string": "2\u{202e}"});
        let write = json!({"path": "b.bin", "content": "text\n"});
        let mut task = ask(&host, vec![call("edit", edit), call("write", write)]);
        let first = id(&question(&host, &mut task, &[]));
        let text = approvals(&host, &["show", &first]).expect_code(0).stdout;
        let diff: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("  │ agent diff │ ")).collect();
        assert_eq!(diff, ["@@ -1,3 +1,3 @@", " one", "-two", "+2\\u{202e}", " three"], "{text}");
        let paint = |args: &[&str]| {
            host.nucleus(&[args, &["approvals", "show", first.as_str()]].concat()).stdout
        };
        assert!(!paint(&[]).contains('\u{1b}'), "no colour off a terminal");
        let colours = paint(&["--color", "always"]);
        assert!(colours.contains("\u{1b}[31m  │ agent diff │ -two\u{1b}[0m\n"), "{colours:?}");
        assert!(colours.contains("\u{1b}[32m  │ agent diff │ +2\\u{202e}\u{1b}[0m\n"));
        assert!(!paint(&["--color", "never"]).contains('\u{1b}'));
        approvals(&host, &["approve", &first]).expect_code(0);
        let second = id(&question(&host, &mut task, std::slice::from_ref(&first)));
        let text = approvals(&host, &["show", &second]).expect_code(0).stdout;
        assert!(text.contains("what is there now is binary: 3 bytes\n"), "{text}");
        assert!(text.contains("new content:\n  │ agent text │ text\n"), "{text}");
        approvals(&host, &["deny", &second]).expect_code(0);
        task.outcome().0.expect_code(0);
        assert_eq!(host.read("a.txt").as_deref(), Some("one\n2\u{202e}\nthree\n"));
    }
}

#[test]
fn nobody_is_asked_about_what_is_too_long_to_be_read() {
    for host in hosts() {
        let content = "x\n".repeat(500_000);
        let steps = vec![call("write", json!({"path": "a.txt", "content": content}))];
        let (outcome, _) = ask(&host, steps).outcome();
        assert!(outcome.says("too long for one to read"), "{outcome}");
        assert_eq!(host.read("a.txt"), None);
    }
}

/// Types the id wherever it is asked for, and gives how often it was not taken because more was to be read.
fn read_through(terminal: &mut Terminal, id: &str, next: &str, more: &str) -> usize {
    let mut granted = (0..200).skip_while(|_| {
        terminal.enter(&format!("{id}{next}"));
        let taken = terminal.read_until(more).contains("granted");
        if !taken {
            terminal.enter(next);
        }
        !taken
    });
    let part = granted.next();
    drop(granted);
    assert!(part.is_some(), "it could never be approved:\n{}", terminal.screen());
    part.unwrap_or_default()
}

#[test]
fn the_prompt_of_a_run_takes_a_yes_only_after_the_last_part() {
    for host in hosts() {
        host.put(host.place(), "permissions.toml", FILES_ASK.as_bytes());
        let config = host.place().join("permissions.toml");
        let script = testkit::script::Script {
            steps: vec![call("write", json!({"path": "a.txt", "content": long()}))],
        };
        let options = ["--config", config.to_str().unwrap()];
        let mut terminal = host.at_terminal(&host.script_command(&script, &options));
        let start = terminal.read_until("lines more: return shows the next");
        let (_, hint) = start.rsplit_once("nucleus approvals show ").unwrap();
        let id: String = hint.chars().take_while(char::is_ascii_alphanumeric).collect();
        let parts = read_through(&mut terminal, &id, "\n", ":");
        assert!(parts > 5, "{parts}\n{}", terminal.screen());
        let outcome = terminal.outcome().expect_code(0);
        assert_eq!(outcome.stdout.matches("agent diff │ +padding ").count(), LINES);
        assert_eq!(host.read("a.txt"), Some(long()), "{outcome}");
    }
}

#[test]
fn the_board_takes_a_yes_only_after_every_line_was_on_it() {
    for host in hosts() {
        let mut task = ask(&host, vec![call("write", json!({"path": "a.txt", "content": long()}))]);
        let asked = id(&question(&host, &mut task, &[]));
        let mut command = host.command("nucleus");
        command.args(["approvals", "watch"]);
        let mut board = host.at_terminal(&command);
        board.read_until("lines more: space");
        board.enter(&format!("a{asked}\r"));
        board.wait_for("read it to its end first");
        // As fast as a key repeats.
        for _ in 0..LINES {
            board.enter(" ");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !board.screen().contains("the point") {
            assert!(std::time::Instant::now() < deadline, "{}", board.screen());
            board.enter(" ");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        board.enter(" ");
        for line in 0..LINES {
            let line = format!("+padding {line}\u{1b}");
            assert!(board.screen().contains(&line), "{line} was never on the board");
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
        board.enter(&format!("a{asked}\r"));
        board.wait_for("granted, once");
        board.enter("q");
        board.outcome().expect_code(0);
        task.outcome().0.expect_code(0);
        assert_eq!(host.read("a.txt"), Some(long()));
    }
}
