//! The board on a terminal, while the task runs somewhere else.

use crate::desk::{approvals, hosts, id, intents, park, question, run};

#[test]
fn the_board_shows_escaped_words_and_answers_by_typed_id() {
    for host in hosts() {
        let evil = "echo \u{1b}[2J\u{202e}x >> ran.txt";
        let mut task = park(&host, vec![run(&["sh", "-c", evil]), run(&["touch", "b"])]);
        let first = id(&question(&host, &mut task, &[]));
        let mut command = host.command("nucleus");
        command.args(["approvals", "watch"]);
        let mut board = host.at_terminal(&command);
        let shown = board.read_until("a approve");
        assert!(shown.contains(&format!("> {first}")), "{shown}");
        assert!(shown.contains("argument vector:"), "{shown}");
        assert!(shown.contains("\\u{1b}[2J\\u{202e}x"), "{shown}");
        assert!(!shown.contains("\u{1b}[2J") && !shown.contains('\u{202e}'), "{shown:?}");
        assert!(board.screen().contains("\u{1b}]9;run_bash wants a yes or a no"), "{shown:?}");
        // A yes alone approves nothing; neither does Return, nor the id without `a`.
        board.enter("y\r");
        board.enter("\r");
        board.enter("ayes\r");
        board.read_until("nothing approved");
        assert_eq!(host.read("ran.txt"), None);
        board.enter(&format!("a{first}\r"));
        board.read_until("granted, once");
        let second = id(&question(&host, &mut task, &[first]));
        board.read_until(&format!("> {second}"));
        board.enter("dnot this\r");
        board.wait_for(&format!("{second} refused"));
        board.enter("q");
        let left = board.outcome().expect_code(0);
        assert!(left.stdout.ends_with("\u{1b}[?25h\u{1b}[?1049l"), "{:?}", left.stdout);
        let outcome = task.outcome().0.expect_code(0);
        assert!(outcome.says("not this"), "{outcome}");
        assert_eq!(intents(&host), (1, 0));
    }
}

/// What the desktop is told is ours alone: a stand-in on the search path writes down how it was called.
#[test]
fn the_desktop_is_told_in_words_of_our_own() {
    use std::os::unix::fs::PermissionsExt;
    for host in hosts() {
        let told = host.home().join("told.txt");
        let program = "#!/bin/sh\nfor word in \"$@\"; do printf '%s\\n' \"$word\"; done >>";
        let program = format!("{program} {}\n", told.display());
        host.put(&host.home(), "bin/notify-send", program.as_bytes());
        let bin = host.home().join("bin");
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(bin.join("notify-send"), executable).unwrap();
        let evil = "<b>markup</b> & \u{1b}]9;pay me\u{7} $(id) --urgency=critical";
        let mut task = park(&host, vec![run(&["echo", evil]), run(&["touch", "b"])]);
        let first = id(&question(&host, &mut task, &[]));
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let wanted = format!(
            "--app-name=nucleus\nnucleus approvals\nrun_bash wants a yes or a no ({first})\n"
        );
        let said = || std::fs::read_to_string(&told).unwrap_or_default();
        let mut watch = |desktop: bool, silent: bool| {
            let mut command = host.command("nucleus");
            command.args(["approvals", "watch"]).args(silent.then_some("--silent"));
            command.env("PATH", &path);
            if desktop {
                command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere");
            }
            let mut board = host.at_terminal(&command);
            board.read_until("a approve");
            // Before the terminal goes, and with it whoever still writes.
            let called = desktop && !silent;
            assert!(task.until(|_| !called || said() == wanted), "{:?}", said());
            board.enter("q");
            board.outcome().expect_code(0)
        };
        // Controls: without a desktop, or when it is not wanted, it is not called.
        watch(false, false);
        let quiet = watch(true, true);
        assert!(!quiet.stdout.contains("\u{1b}]9;"), "{:?}", quiet.stdout);
        assert!(!told.exists());
        watch(true, false);
        approvals(&host, &["deny", &first]).expect_code(0);
        let second = id(&question(&host, &mut task, &[first]));
        approvals(&host, &["deny", &second]).expect_code(0);
        task.outcome().0.expect_code(0);
    }
}

#[test]
fn without_a_terminal_the_board_says_what_to_do_instead() {
    for host in hosts() {
        let mut alone = std::process::Command::new("setsid");
        let command = host.command("nucleus");
        alone.arg("--wait").arg(command.get_program()).args(command.get_args());
        alone.args(["approvals", "watch"]).env_clear().current_dir(host.workspace());
        alone.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let outcome = testkit::host::Outcome::of(&mut alone).expect_code(64);
        assert!(outcome.says("nucleus approvals list"), "{outcome}");
    }
}
