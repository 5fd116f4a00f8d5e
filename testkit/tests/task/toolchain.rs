//! The user's toolchains work in a pod, offline and without any setting.

use testkit::host::{Host, Outcome, skip};

use crate::meeting::{as_user, hosts, repository, run, script, subjects};

#[test]
fn a_commit_in_the_pod_is_a_commit_on_the_host() {
    for host in hosts() {
        repository(&host);
        let steps = vec![run(
            "echo change >> README.md && git add README.md && git commit --quiet --message='by the agent' && git status --short",
        )];
        let outcome = host.script(&script(steps)).expect_code(0);
        assert_eq!(subjects(&host), "by the agent\nfirst\n", "{outcome}");
        assert_eq!(host.read("README.md").as_deref(), Some("first\nchange\n"));
        assert!(as_user(&host, &["git", "status", "--porcelain"]).is_empty(), "{outcome}");
        as_user(&host, &["git", "fsck", "--strict"]);
        let other = host.account().other_ids().map(|ids| ids.0);
        let owner = std::fs::metadata(host.workspace().join(".git/index"))
            .map(|meta| std::os::unix::fs::MetadataExt::uid(&meta));
        assert!(other.is_none_or(|uid| owner.unwrap() == uid), "the files belong to the user");
    }
}

/// Runs a command in a pod with the home that holds the toolchains of whoever runs the tests.
fn with_toolchains(host: &Host, text: &str) -> Outcome {
    let mut command = host.command("nucleus");
    for name in ["CARGO_HOME", "RUSTUP_HOME"] {
        let home = std::env::var_os("HOME").unwrap_or_default();
        let place = if name == "CARGO_HOME" { ".cargo" } else { ".rustup" };
        let given = std::env::var_os(name)
            .unwrap_or_else(|| std::path::Path::new(&home).join(place).into());
        command.env(name, given);
    }
    command.args(["run", "--profile", "fix-issue", "--allow-local-driver", "--", "sh", "-c", text]);
    Outcome::of(&mut command)
}

#[test]
fn cargo_test_works_offline() {
    let hosts = hosts();
    if !hosts.is_empty() && !hosts.iter().any(readable) {
        skip("cargo_test", "no account can read a Rust toolchain of rustup");
    }
    for host in hosts {
        host.file(
            "Cargo.toml",
            "[package]\nname = \"sample\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
        );
        let source =
            "pub fn two() -> u32 { 1 }\n#[test]\nfn two_is_two() { assert_eq!(two(), 2); }\n";
        host.file("sub/.keep", "");
        host.file("src/lib.rs", source);
        if !readable(&host) {
            eprintln!("cargo_test: not as {:?}, who cannot read the toolchain", host.account());
            continue;
        }
        let failing = with_toolchains(&host, "cargo test 2>&1").expect_code(101);
        assert!(failing.says("two_is_two ... FAILED"), "{failing}");
        host.file("src/lib.rs", source.replace("{ 1 }", "{ 2 }"));
        let passing = with_toolchains(&host, "cd sub && cargo test 2>&1 | tail -5").expect_code(0);
        assert!(passing.says("test result: ok"), "{passing}");
    }
}

#[test]
fn go_test_works_offline() {
    let mut tested = 0;
    for host in hosts() {
        // Debian's Go lies in two places that links join; another may lie where the account cannot read it.
        if host.run(&["go", "version"]).code != Some(0) {
            continue;
        }
        tested += 1;
        host.file("go.mod", "module example.org/sample\n\ngo 1.19\n");
        let source = "package main\n\nimport \"fmt\"\n\nfunc two() int { return 1 }\n\nfunc main() { fmt.Println(two() * 21) }\n";
        host.file("main.go", source);
        host.file(
            "main_test.go",
            "package main\n\nimport \"testing\"\n\nfunc TestTwo(t *testing.T) {\n\tif two() != 2 {\n\t\tt.Fatal(\"no\")\n\t}\n}\n",
        );
        let failing = with_toolchains(&host, "go test ./... 2>&1").expect_code(1);
        assert!(failing.says("FAIL: TestTwo"), "{failing}");
        host.file("main.go", source.replace("return 1", "return 2"));
        // With cgo and without, and from inside of a repository, whose version the build asks git for.
        repository(&host);
        let line = "go test ./... && go vet ./... && go build -o /tmp/sample . && /tmp/sample && CGO_ENABLED=1 go run . && CGO_ENABLED=0 go run .";
        let passing = with_toolchains(&host, &format!("{{ {line}; }} 2>&1")).expect_code(0);
        assert!(passing.says("ok  \texample.org/sample") && passing.says("42"), "{passing}");
        // Control: without packages in the policy nothing is fetched.
        host.file("more.go", "package main\n\nimport _ \"example.org/more\"\n");
        let missing = with_toolchains(&host, "go mod tidy 2>&1");
        assert!(missing.code != Some(0) && missing.says("GOPROXY=off"), "{missing}");
    }
    assert!(tested > 0, "no account can run go in a pod");
}

/// The host's user can read the toolchain of whoever runs the tests.
fn readable(host: &Host) -> bool {
    let home = std::env::var("RUSTUP_HOME")
        .unwrap_or_else(|_| format!("{}/.rustup", std::env::var("HOME").unwrap_or_default()));
    let mut command = host.account().command(std::path::Path::new("test"));
    Outcome::of(command.args(["-r", &home])).code == Some(0)
}

#[test]
fn interpreters_of_the_host_work() {
    for host in hosts() {
        host.file("package.json", "{\"name\": \"sample\", \"version\": \"1.0.0\", \"scripts\": {\"test\": \"node -e 'console.log(6*7)'\"}}\n");
        let present = |program: &str| {
            let mut command = host.account().command(std::path::Path::new("sh"));
            Outcome::of(command.args(["-c", &format!("PATH=/usr/bin:/bin command -v {program}")]))
                .code
                == Some(0)
        };
        for (program, text, expected) in [
            (
                "python3",
                "python3 -c 'import json, ssl, sqlite3, venv; print(json.dumps(6*7))'",
                "42",
            ),
            ("node", "node -e 'console.log(6*7)'", "42"),
            ("npm", "npm test --silent 2>&1", "42"),
            ("perl", "perl -e 'print 6*7'", "42"),
        ] {
            if !present(program) {
                eprintln!("{program} is not on this host");
                continue;
            }
            let mut command = host.command("nucleus");
            // The base system's own, whatever version manager the runner of the tests has.
            command.env("PATH", "/usr/bin:/bin");
            command.args([
                "run",
                "--profile",
                "fix-issue",
                "--allow-local-driver",
                "--",
                "sh",
                "-c",
                text,
            ]);
            let outcome = Outcome::of(&mut command).expect_code(0);
            assert!(outcome.stdout.contains(expected), "{program}: {outcome}");
        }
    }
}
