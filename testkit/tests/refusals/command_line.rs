//! Wrong use of the command line.

use testkit::host::Outcome;
use testkit::script::Script;

use crate::aftermath::{hosts, nothing_runs, refused, says, tree};

#[test]
fn an_unaccepted_driver_says_what_one_gets_and_loses_and_how_to_accept() {
    for host in hosts() {
        let words = [
            "You get",
            "You lose",
            "kernel",
            "nucleus run --allow-local-driver --profile fix-issue -- sh -c 'touch made'",
            "echo 'allow_local_driver = true'",
            "config.toml",
        ];
        let outcome = refused(
            &host,
            &["run", "--profile", "fix-issue", "--", "sh", "-c", "touch made"],
            69,
            &words,
        );
        // What is printed works when it is pasted.
        let lines: Vec<&str> = outcome.stderr.lines().map(str::trim).collect();
        let once = lines.iter().find(|line| line.starts_with("nucleus run --allow")).unwrap();
        let for_good = lines.iter().find(|line| line.starts_with("mkdir ")).unwrap();
        let shell = |text: &str| {
            let mut command = host.command("nucleus");
            let mut sh = std::process::Command::new("sh");
            sh.env_clear()
                .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
            let bins = host.program("nucleus").parent().unwrap().to_owned();
            sh.env("PATH", format!("{}:{}", bins.display(), std::env::var("PATH").unwrap()));
            sh.current_dir(host.workspace()).args(["-c", text]);
            let as_user = host.account().other_ids();
            if let Some((uid, gid)) = as_user {
                command = std::process::Command::new("setpriv");
                command
                    .env_clear()
                    .envs(sh.get_envs().filter_map(|(name, value)| Some((name, value?))));
                command
                    .arg(format!("--reuid={uid}"))
                    .arg(format!("--regid={gid}"))
                    .arg("--clear-groups");
                command.current_dir(host.workspace()).args(["sh", "-c", text]);
                return Outcome::of(&mut command);
            }
            Outcome::of(&mut sh)
        };
        shell(once).expect_code(0);
        assert_eq!(host.read("made").as_deref(), Some(""));
        shell(for_good).expect_code(0);
        host.nucleus(&["run", "--profile", "fix-issue", "--", "touch", "again"]).expect_code(0);
        assert_eq!(host.read("again").as_deref(), Some(""));
    }
}

#[test]
fn names_that_do_not_exist_get_the_nearest_one() {
    for host in hosts() {
        let run = |args: &[&str], words: &[&str]| refused(&host, args, 64, words);
        run(
            &["run", "--allow-local-driver", "--profile", "fix-isue", "--", "true"],
            &["\"fix-isue\"", "did you mean \"fix-issue\"?", "nucleus profiles"],
        );
        run(
            &["run", "--allow-local-driver", "--profile", "zzz", "--", "true"],
            &["\"zzz\"", "nucleus profiles"],
        );
        run(&["run", "--allow-local-driver", "  "], &["the task is empty"]);
        for args in [
            &["run"][..],
            &["rnu"],
            &["run", "--timeout", "0", "--", "true"],
            &["run", "--profile", "a", "--config", "b", "--", "true"],
            &["run", "--agent", "codec", "t"],
        ] {
            let outcome = host.nucleus(args);
            assert_eq!(outcome.code, Some(64), "{outcome}");
            assert!(outcome.stderr.contains("--help"), "{outcome}");
        }
    }
}

#[test]
fn bad_scripts_and_upstreams_are_told() {
    for host in hosts() {
        let base = [
            "run",
            "--allow-local-driver",
            "--profile",
            "fix-issue",
            "--agent",
            "scripted",
            "the task",
        ];
        let with = |more: &[&str], code: i32, words: &[&str]| {
            refused(&host, &[&base, more].concat(), code, words)
        };
        with(&["--script", "missing.json"], 64, &["missing.json", "No such file"]);
        with(&["--script", "."], 64, &["not a regular file"]);
        host.file("bytes.json", b"a\xff");
        with(&["--script", "bytes.json"], 65, &["bytes.json", "UTF-8"]);
        let outcome = host.nucleus(&base);
        assert_eq!(outcome.code, Some(64), "{outcome}");
        assert!(outcome.stderr.contains("--script"), "{outcome}");

        host.put(
            host.place(),
            "ok.json",
            &serde_json::to_vec(&Script { steps: Vec::new() }).unwrap(),
        );
        let ok = host.place().join("ok.json");
        let ok = ["--script", ok.to_str().unwrap()];
        with(
            &[&ok[..], &["--model-key-file", "missing"]].concat(),
            64,
            &["missing", "No such file"],
        );
        // From here on the session exists when the fault is found, and is thrown away again.
        host.put(host.place(), "key", b"sk-test");
        let key = host.place().join("key");
        for url in [
            "ftp://example.com",
            "nonsense",
            "http://example.com",
            "https://me:pw@example.com",
            "https://x:99999",
            "https://x/?q",
        ] {
            let before = tree(&host.workspace());
            let args = [
                &base[..],
                &ok,
                &["--model-key-file", key.to_str().unwrap(), "--model-upstream", url],
            ]
            .concat();
            let outcome = host.nucleus(&args);
            says(&outcome, 64, &["model upstream"]);
            assert!(
                !outcome.says("pw@") && !outcome.says("sk-test"),
                "a secret is told: {outcome}"
            );
            assert_eq!(tree(&host.workspace()), before);
            nothing_runs(&host, &outcome);
            nothing_waits(&host);
        }
    }
}

#[test]
fn failures_are_told_in_json_where_json_is_asked_for() {
    for host in hosts() {
        for (args, class, code) in [
            (&["run", "--json", "--profile", "fix-issue", "--", "true"][..], "isolation", 69),
            (
                &[
                    "run",
                    "--json",
                    "--allow-local-driver",
                    "--profile",
                    "fix-issue",
                    "--workspace",
                    "/missing",
                    "--",
                    "true",
                ],
                "usage",
                64,
            ),
            (&["run", "--json", "--allow-local-driver", "--", "true"], "denied", 77),
            (&["apply", "--json", "no-such-session"], "usage", 64),
        ] {
            let outcome = host.nucleus(args).expect_code(code);
            let failed: Vec<serde_json::Value> = outcome
                .stdout
                .lines()
                .map(|line| {
                    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {outcome}"))
                })
                .filter(|line: &serde_json::Value| line["type"] == "failed")
                .collect();
            assert_eq!(failed.len(), 1, "{outcome}");
            assert_eq!(failed[0]["class"], class, "{outcome}");
        }
    }
}

/// Nothing is offered to be applied or reviewed.
pub(crate) fn nothing_waits(host: &testkit::host::Host) {
    let waiting = host.nucleus(&["review", "--list"]).expect_code(0);
    assert_eq!(waiting.stdout, "nothing waits\n");
}
