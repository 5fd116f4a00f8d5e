//! Bad `permissions.toml`: file, line, key, what was found, what is allowed.

use testkit::host::Host;

use crate::aftermath::{hosts, refused};

/// Name, text, and what the message must hold.
const BAD: [(&str, &str, &[&str]); 25] = [
    (
        "section",
        "[capabilites]\n",
        &[
            "p.toml:1:2",
            "capabilites",
            "allowed: capabilities, obligations",
            "did you mean capabilities?",
        ],
    ),
    (
        "key",
        "[capabilities]\nread_file = \"always\"\n",
        &["p.toml:2:1", "capabilities.read_file", "unknown key", "did you mean read_files?"],
    ),
    (
        "level",
        "[capabilities]\nread_files = \"allways\"\n",
        &[
            "p.toml:2:14",
            "capabilities.read_files",
            "found \"allways\"",
            "\"never\", \"ask\", \"low_risk\", \"always\"",
        ],
    ),
    (
        "boolean",
        "[capabilities]\nread_files = true\n",
        &["p.toml:2:14", "found true", "\"low_risk\""],
    ),
    (
        "list for level",
        "[capabilities]\nread_files = [\"always\"]\n",
        &["p.toml:2:14", "capabilities.read_files", "\"low_risk\""],
    ),
    (
        "twice",
        "[capabilities]\nread_files = \"always\"\nread_files = \"never\"\n",
        &["p.toml:3:1", "read_files", "given twice"],
    ),
    ("section twice", "[paths]\n[paths]\n", &["p.toml:2:", "paths", "twice"]),
    (
        "negative",
        "[budget]\nmax_cost_usd = -1.0\n",
        &["p.toml:2:16", "budget.max_cost_usd", "found -1.0", "from 0 to 1000000"],
    ),
    ("not a number", "[budget]\nmax_cost_usd = nan\n", &["p.toml:2:16", "found nan", "dollars"]),
    ("infinite", "[budget]\nmax_cost_usd = inf\n", &["p.toml:2:16", "found inf", "dollars"]),
    ("huge", "[budget]\nmax_cost_usd = 1e300\n", &["p.toml:2:16", "found 1e300", "dollars"]),
    (
        "text for money",
        "[budget]\nmax_cost_usd = \"two\"\n",
        &["p.toml:2:16", "found \"two\"", "dollars"],
    ),
    (
        "more than 64 bits",
        "[budget]\nmax_input_tokens = 99999999999999999999\n",
        &["p.toml:2:20", "budget.max_input_tokens", "a whole number"],
    ),
    (
        "fraction",
        "[budget]\nmax_output_tokens = 1.5\n",
        &["p.toml:2:21", "found 1.5", "a whole number"],
    ),
    ("no time", "[time]\nvalid_hours = 0\n", &["p.toml:2:15", "time.valid_hours", "found 0"]),
    (
        "isolation",
        "[isolation]\nminimum = \"vm\"\n",
        &["p.toml:2:11", "isolation.minimum", "\"process\", \"microvm\""],
    ),
    (
        "layer",
        "[isolation]\nfull_layers = [\"seccomp\", \"magic\"]\n",
        &["p.toml:2:27", "isolation.full_layers[1]", "found \"magic\"", "\"landlock\""],
    ),
    ("glob", "[paths]\nallowed = [\"[z-a\"]\n", &["p.toml:2:12", "paths.allowed[0]", "not a glob"]),
    ("text for list", "[paths]\nblocked = \"*\"\n", &["p.toml:2:11", "paths.blocked"]),
    (
        "obligation",
        "[obligations]\napprovals = [\"run_bsh\"]\n",
        &["p.toml:2:14", "obligations.approvals[0]", "did you mean \"run_bash\"?"],
    ),
    (
        "url for host",
        "[network]\nallow = [\"http://x\"]\n",
        &["p.toml:2:10", "network.allow[0]", "a host"],
    ),
    ("no TOML", "hello world\n", &["p.toml:1:7", "not valid TOML"]),
    ("unclosed", "[capabilities\n", &["p.toml:1:", "not valid TOML"]),
    (
        "limit nothing measures",
        "[capabilities]\nrun_bash = \"always\"\n[budget]\nmax_input_tokens = 5\n",
        &["p.toml:4:", "budget.max_input_tokens"],
    ),
    (
        "more isolation than there is",
        "[capabilities]\nrun_bash = \"always\"\n[isolation]\nminimum = \"microvm\"\n",
        &["microvm", "process", "[isolation]"],
    ),
];

fn with(host: &Host, content: &[u8], code: i32, words: &[&str]) {
    host.put(host.place(), "p.toml", content);
    let file = host.place().join("p.toml");
    refused(
        host,
        &["run", "--allow-local-driver", "--config", file.to_str().unwrap(), "--", "touch", "made"],
        code,
        words,
    );
}

#[test]
fn every_kind_of_bad_policy_is_told_with_its_place() {
    for host in hosts() {
        for (name, text, words) in BAD {
            eprintln!("{name} as {:?}", host.account());
            let code = if name == "more isolation than there is" { 69 } else { 65 };
            with(&host, text.as_bytes(), code, words);
        }
        // The control: the same command under a sound file.
        host.put(
            host.place(),
            "p.toml",
            b"[capabilities]\nwrite_files = \"always\"\nrun_bash = \"always\"\n",
        );
        let file = host.place().join("p.toml");
        host.nucleus(&[
            "run",
            "--allow-local-driver",
            "--config",
            file.to_str().unwrap(),
            "--",
            "touch",
            "made",
        ])
        .expect_code(0);
        assert_eq!(host.read("made").as_deref(), Some(""));
    }
}

#[test]
fn files_that_are_no_text_or_too_much_of_it_are_refused() {
    for host in hosts() {
        with(&host, b"[capabilities]\nread_files = \"\xff\xfe\"\n", 65, &["p.toml:2:", "UTF-8"]);
        with(
            &host,
            &b"#".repeat(64 * 1024 + 1),
            65,
            &["p.toml:1:1", "65537 bytes", "allowed: 65536"],
        );
        with(&host, &b"#".repeat(20 << 20), 65, &["p.toml:1:1", "allowed: 65536"]);
        for (open, close, depth) in [("[", "]", 200), ("[", "]", 30_000), ("{a=", "}", 10_000)] {
            let deep = format!("x = {}{}\n", open.repeat(depth), close.repeat(depth));
            with(&host, deep.as_bytes(), 65, &["p.toml:1:", "not valid TOML"]);
        }
        with(&host, format!("{}b = 1\n", "a.".repeat(5_000)).as_bytes(), 65, &["p.toml:1:1"]);
        with(&host, b"a\0b = 1\n", 65, &["p.toml:1:"]);
        // Nothing of the file may act on the terminal that shows its error.
        with(&host, b"[capabilities]\nread_files = \"\\u001b[2J\\u202e\"\n", 65, &["p.toml:2:14"]);
    }
}

#[test]
fn several_errors_are_told_at_once() {
    for host in hosts() {
        let text = "[capabilities]\nread_file = \"always\"\nrun_bash = \"allways\"\n[budget]\nmax_cost_usd = \"two\"\n";
        with(&host, text.as_bytes(), 65, &["3 errors", "p.toml:2:1", "p.toml:3:12", "p.toml:5:16"]);
    }
}

#[test]
fn a_policy_that_is_not_a_file_is_refused() {
    for host in hosts() {
        let place = host.place().to_str().unwrap().to_owned();
        let run = |file: &str, words: &[&str]| {
            refused(
                &host,
                &["run", "--allow-local-driver", "--config", file, "--", "true"],
                64,
                words,
            );
        };
        run("missing.toml", &["missing.toml", "No such file", "--profile"]);
        run(&place, &[&place, "not a regular file", "--profile"]);
        run("/dev/zero", &["not a regular file"]);
        let fifo = host.place().join("fifo");
        let everyone = rustix::fs::Mode::from_raw_mode(0o666);
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, everyone, 0)
            .unwrap();
        run(fifo.to_str().unwrap(), &["not a regular file"]);
    }
}

#[test]
fn an_empty_allow_list_allows_nothing() {
    for host in hosts() {
        host.put(
            host.place(),
            "p.toml",
            b"[capabilities]\nrun_bash = \"always\"\n[commands]\nallow = []\n",
        );
        let file = host.place().join("p.toml");
        let outcome = host.nucleus(&[
            "run",
            "--allow-local-driver",
            "--config",
            file.to_str().unwrap(),
            "--",
            "touch",
            "made",
        ]);
        crate::aftermath::says(&outcome, 77, &["deny.command.not_allowed", "refused by policy"]);
        assert_eq!(host.read("made"), None, "{outcome}");
        // A file without a word in it permits nothing either.
        host.put(host.place(), "p.toml", b"");
        let outcome = host.nucleus(&[
            "run",
            "--allow-local-driver",
            "--config",
            file.to_str().unwrap(),
            "--",
            "touch",
            "made",
        ]);
        crate::aftermath::says(&outcome, 77, &["deny.capability.never"]);
        assert_eq!(host.read("made"), None, "{outcome}");
        crate::aftermath::nothing_runs(&host, &outcome);
    }
}

#[test]
fn a_bad_file_of_the_repository_stops_the_run() {
    for host in hosts() {
        host.file(".nucleus/permissions.toml", "[capabilities]\nrun_bash = \"allways\"\n");
        let run = |words: &[&str]| {
            refused(
                &host,
                &["run", "--allow-local-driver", "--profile", "fix-issue", "--", "true"],
                65,
                words,
            );
        };
        run(&[".nucleus/permissions.toml:2:12", "found \"allways\""]);
        std::fs::remove_file(host.workspace().join(".nucleus/permissions.toml")).unwrap();
        std::os::unix::fs::symlink(
            "/etc/hostname",
            host.workspace().join(".nucleus/permissions.toml"),
        )
        .unwrap();
        run(&[".nucleus/permissions.toml", "regular file"]);
    }
}
