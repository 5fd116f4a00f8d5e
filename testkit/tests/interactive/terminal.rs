//! Whose terminal is whose, and how the user's comes back.

use std::time::Duration;

use rustix::process::Signal;
use testkit::host::{Witness, leftovers, signal};

use testkit::stage::within_shell;

use crate::{UP, hosts, interactive, shell};

const ENDLESS: &str = "stty raw -echo </dev/tty; printf '\\033[?1049h\\033[?2004h\\033[?1003h\\033[?25lworks' >/dev/tty; sleep 600";

#[test]
fn the_agent_has_a_terminal_of_its_own_and_its_size() {
    for host in hosts() {
        let look = "stty size </dev/tty >/dev/tty; ls /dev/pts /dev/ptmx >/dev/tty 2>&1; echo TERM=$TERM >/dev/tty; \
            while :; do stty size </dev/tty; sleep 0.1; done >/dev/tty";
        let command = interactive(&host, vec![shell(look)], &[]);
        let mut terminal = host.at_full_terminal(&command);
        let before = terminal.settings();
        terminal.wait_for(UP);
        terminal.wait_for("30 100");
        terminal.wait_for("TERM=xterm-256color");
        terminal.resize(40, 120);
        terminal.wait_for("40 120");
        assert_ne!(terminal.settings(), before, "raw while the agent has it");
        // The agent's terminal is an ordinary one: Ctrl-C ends what runs there.
        terminal.enter("\x03");
        terminal.wait_for("calls");
        let after = terminal.settings();
        let outcome = terminal.outcome().expect_code(130);
        assert_eq!(after, before, "{outcome}");
        assert!(leftovers(host.place(), Duration::from_secs(5)).is_empty());
        host.verify(&host.logs()[0]).expect_code(0);
    }
}

#[test]
fn nothing_can_be_typed_into_it_from_within() {
    const PUSH: &str = "perl -e 'open(T, \"+<\", \"/dev/tty\") or die; my $c = \"x\"; \
        for my $request (0x5412, 0x541c) { print ioctl(T, $request, $c) ? \"worked \" : \"held $! \" }'";
    for host in hosts() {
        let command = interactive(&host, vec![shell(PUSH)], &[]);
        let mut terminal = host.at_full_terminal(&command);
        terminal.wait_for("held Operation not permitted held Operation not permitted");
        terminal.outcome().expect_code(0);
    }
}

#[test]
fn the_terminal_comes_back_when_nucleus_is_killed() {
    for host in hosts() {
        let command = within_shell(&interactive(&host, vec![shell(ENDLESS)], &[]));
        let mut terminal = host.at_full_terminal(&command);
        let before = terminal.settings();
        terminal.wait_for(UP);
        terminal.wait_for("works");
        let mut witness = Witness::of(terminal.pid());
        witness.look();
        signal(witness.named("nucleus").unwrap(), Signal::KILL);
        terminal.wait_for("back-137");
        terminal.comes_back_to(&before);
        terminal.enter("\n");
        terminal.wait_for("over");
        let screen = terminal.outcome().stdout;
        for mode in ["\x1b[?1049l", "\x1b[?2004l", "\x1b[?1003l", "\x1b[?25h"] {
            assert!(screen.contains(mode), "{mode:?} is not in {screen:?}");
        }
        assert!(leftovers(host.place(), Duration::from_secs(10)).is_empty());
        host.verify(&host.logs()[0]);
    }
}

#[test]
fn the_terminal_comes_back_when_the_enforcement_process_is_killed() {
    for host in hosts() {
        let command = within_shell(&interactive(&host, vec![shell(ENDLESS)], &[]));
        let mut terminal = host.at_full_terminal(&command);
        let before = terminal.settings();
        terminal.wait_for(UP);
        terminal.wait_for("works");
        let mut witness = Witness::of(terminal.pid());
        witness.look();
        signal(witness.named("nucleus-tool-pr").unwrap(), Signal::KILL);
        terminal.wait_for("the enforcement process is gone");
        terminal.wait_for("back-74");
        terminal.comes_back_to(&before);
        terminal.enter("\n");
        let outcome = terminal.outcome();
        assert!(outcome.says("\x1b[?1049l") && outcome.shows_the_way_on(), "{outcome}");
        assert!(leftovers(host.place(), Duration::from_secs(10)).is_empty());
    }
}

#[test]
fn ctrl_z_gives_the_terminal_back_to_the_shell_for_a_while() {
    for host in hosts() {
        let count = "printf '\\033[?1003h' >/dev/tty; n=0; while :; do n=$((n+1)); printf '<%s>\\r\\n' $n >/dev/tty; sleep 0.2; done";
        let nucleus = interactive(&host, vec![shell(count)], &[]);
        let mut command = std::process::Command::new("bash");
        command.args(["--norc", "--noprofile", "-i"]).env_clear();
        command.envs(nucleus.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("PS1", "prompt> ").current_dir(host.workspace());
        let line: Vec<String> = std::iter::once(nucleus.get_program())
            .chain(nucleus.get_args())
            .map(|word| format!("'{}'", word.to_str().unwrap()))
            .collect();
        let mut terminal = host.at_full_terminal(&command);
        terminal.wait_for("prompt>");
        terminal.enter(&format!("{}\n", line.join(" ")));
        terminal.wait_for(UP);
        terminal.wait_for("<2>");
        terminal.enter("\x1a");
        terminal.wait_for("Stopped");
        terminal.enter("echo still-$((40 + 2))\n");
        terminal.wait_for("still-42");
        terminal.enter("fg\n");
        terminal.wait_for("<2>");
        // The same when somebody else says so: the shell finds its terminal in order.
        let mut witness = Witness::of(terminal.pid());
        witness.look();
        signal(witness.named("nucleus").unwrap(), Signal::TSTP);
        terminal.wait_for("Stopped");
        terminal.wait_for("prompt>");
        let screen = terminal.screen();
        let last = |mode: &str| screen.rfind(mode).unwrap();
        assert!(last("\x1b[?1003l") > last("\x1b[?1003h"), "a mode stays: {screen:?}");
        terminal.enter("echo still-$((50 + 2))\n");
        terminal.wait_for("still-52");
        terminal.enter("fg\n");
        terminal.wait_for("<3>");
        terminal.enter("\x03");
        terminal.wait_for("calls");
        terminal.enter("exit\n");
        terminal.outcome();
        assert!(leftovers(host.place(), Duration::from_secs(10)).is_empty());
    }
}

#[test]
fn without_a_terminal_it_says_so() {
    for host in hosts() {
        let command = interactive(&host, vec![shell("true")], &[]);
        let mut alone = std::process::Command::new("setsid");
        alone.arg("--wait").arg(command.get_program()).args(command.get_args()).env_clear();
        alone.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        alone.current_dir(host.workspace()).stdin(std::process::Stdio::null());
        let outcome = testkit::host::Outcome::of(&mut alone).expect_code(64);
        assert!(outcome.says("there is no terminal") && outcome.says("--detach"), "{outcome}");
        assert!(host.sessions().is_empty(), "{outcome}");
    }
}

#[test]
fn a_signal_from_elsewhere_ends_the_task() {
    for host in hosts() {
        for by in [Signal::TERM, Signal::INT, Signal::HUP] {
            let command = interactive(&host, vec![shell(ENDLESS)], &[]);
            let mut terminal = host.at_full_terminal(&command);
            let before = terminal.settings();
            terminal.wait_for(UP);
            terminal.wait_for("works");
            let mut witness = Witness::of(terminal.pid());
            witness.look();
            signal(witness.named("nucleus").unwrap(), by);
            // The terminal lives on: it is as it was.
            terminal.wait_for("calls");
            terminal.comes_back_to(&before);
            terminal.outcome().expect_code(130);
            assert!(leftovers(host.place(), Duration::from_secs(10)).is_empty());
        }
    }
}

#[test]
fn a_window_that_changes_while_the_envelope_is_made_is_not_forgotten() {
    const SIZES: &str = "while :; do stty size </dev/tty; sleep 0.1; done >/dev/tty";
    for host in hosts() {
        let mut terminal = host.at_full_terminal(&interactive(&host, vec![shell(SIZES)], &[]));
        // Its size is known to the relay when it is asked for the rest.
        while !terminal.screen().contains("\x1b[c") {
            std::thread::sleep(Duration::from_millis(1));
        }
        terminal.resize(40, 120);
        terminal.wait_for("40 120");
        terminal.enter("\x03");
        terminal.outcome().expect_code(130);
        assert!(leftovers(host.place(), Duration::from_secs(10)).is_empty());
    }
}
