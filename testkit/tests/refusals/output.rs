//! What goes to whom: bytes to pipes as they are, nothing that acts on a terminal, colour and progress only there.

use testkit::host::Outcome;

use crate::aftermath::{hosts, nothing_runs};

const RUN: [&str; 4] = ["run", "--profile", "fix-issue", "--allow-local-driver"];

#[test]
fn output_is_exact_to_the_byte_in_a_pipe() {
    for host in hosts() {
        // All bytes, a character cut in two, and more than one read can take.
        let text = r"i=0; while [ $i -lt 256 ]; do printf $(printf '\\%03o' $i); i=$((i+1)); done; printf 'n\303'; sleep 0.2; printf '\251'; head -c 300000 /dev/zero; printf '\377' >&2";
        let mut command = host.command("nucleus");
        let output = command.args(RUN).args(["-q", "--", "sh", "-c", text]).output().unwrap();
        let mut expected: Vec<u8> = (0..=255).collect();
        expected.extend(b"n\xc3\xa9");
        expected.extend(vec![0; 300_000]);
        assert!(
            output.stdout == expected,
            "{} bytes, {:?}",
            output.stdout.len(),
            &output.stdout[..output.stdout.len().min(300)]
        );
        assert!(output.stderr.contains(&0xff), "standard error is exact too");

        let mut command = host.command("nucleus");
        let json = Outcome::of(command.args(RUN).args(["--json", "--", "printf", r"a\377"]));
        assert!(json.stdout.contains(r#""hex":"61ff""#), "{json}");
    }
}

#[test]
fn a_terminal_gets_colour_and_progress_and_nothing_else_of_the_payload_s() {
    for host in hosts() {
        let text = r"printf 'a\033[2Jb\n'; sleep 4; echo end";
        let at_terminal = |term: &str, no_color: bool| {
            // The harness says TERM=dumb; the command says what it is.
            let mut command = std::process::Command::new("env");
            let nucleus = host.command("nucleus");
            command.current_dir(host.workspace()).env_clear();
            command.envs(nucleus.get_envs().filter_map(|(name, value)| Some((name, value?))));
            command.arg(format!("TERM={term}"));
            if no_color {
                command.arg("NO_COLOR=1");
            }
            command
                .arg(nucleus.get_program())
                .args(nucleus.get_args())
                .args(RUN)
                .args(["--", "sh", "-c", text]);
            host.at_terminal(&command).outcome().expect_code(0).stdout
        };
        let coloured = at_terminal("xterm", false);
        assert!(coloured.contains("\u{1b}[32m✓\u{1b}[0m run"), "{coloured:?}");
        assert!(coloured.contains("\r\u{1b}[K"), "progress in one transient line: {coloured:?}");
        assert!(
            coloured.contains("running 3.0 s") || coloured.contains("running 2.0 s"),
            "{coloured:?}"
        );
        assert!(
            !coloured.contains("\u{1b}[2J") && coloured.contains("a\\u{1b}[2Jb"),
            "the payload acts on the terminal: {coloured:?}"
        );

        let plain = at_terminal("xterm", true);
        assert!(!plain.contains("\u{1b}[3") && plain.contains("✓ run"), "{plain:?}");
        let dumb = at_terminal("dumb", false);
        assert!(!dumb.contains('\u{1b}') && !dumb.contains("running"), "{dumb:?}");

        // Off a terminal: no colour, no progress, however long it takes.
        let piped = host.nucleus(&[&RUN[..], &["--", "sleep", "3"]].concat()).expect_code(0);
        assert!(!piped.stderr.contains('\u{1b}') && !piped.stderr.contains("running"), "{piped}");
        nothing_runs(&host, &piped);
    }
}

#[test]
fn one_ctrl_c_ends_a_task_that_waits_for_an_answer() {
    for host in hosts() {
        host.put(host.place(), "p.toml", b"[capabilities]\nrun_bash = \"ask\"\n");
        let mut command = host.command("nucleus");
        let file = host.place().join("p.toml");
        command
            .args(["run", "--allow-local-driver", "--config"])
            .arg(file)
            .args(["--", "touch", "made"]);
        let mut terminal = host.at_terminal(&command);
        terminal.read_until("to approve once");
        terminal.enter("\u{3}");
        let outcome = terminal.outcome();
        assert_eq!(outcome.code, Some(130), "{outcome}");
        assert_eq!(host.read("made"), None, "{outcome}");
        nothing_runs(&host, &outcome);
    }
}
