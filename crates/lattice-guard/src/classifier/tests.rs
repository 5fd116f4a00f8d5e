use std::sync::LazyLock;

use super::*;
use crate::host::Host;
use crate::program::ResolvedProgram;
use crate::split::split_command;

static BUILTIN: LazyLock<Classifier> = LazyLock::new(Classifier::default);

const CONTAINED: PodContext = PodContext { network: false, credentials: false, overlay_only: true };
const CONNECTED: PodContext = PodContext { network: true, ..CONTAINED };

fn sensitive(text: &str) -> bool {
    BUILTIN.sensitive(&RelPath::parse(text).unwrap())
}

fn executed(text: &str) -> bool {
    BUILTIN.executed_or_trusted(&RelPath::parse(text).unwrap())
}

fn run(line: &str, pod: PodContext) -> Request {
    let argv = split_command(line).into_argv();
    let found = format!("/usr/bin/{}", argv[0]);
    Request::new(Action::Run { program: ResolvedProgram::new(&found, &found, false), argv }, pod)
}

fn risk(operation: Operation, request: &Request) -> Risk {
    BUILTIN.risk(operation, request)
}

/// The canary of the data files: what cannot be read would silently not be there.
#[test]
fn every_line_of_the_data_files_is_read() {
    for text in [include_str!("../../data/sensitive.txt"), include_str!("../../data/executed.txt")]
    {
        assert!(text.contains("\nversion: 1\n"));
        for line in lines(text) {
            let pattern = line.strip_prefix('!').unwrap_or(line);
            assert!(PathPattern::parse(pattern).is_ok(), "{line}");
        }
    }
    for line in lines(include_str!("../../data/low-risk-commands.txt")) {
        assert!(CommandPattern::parse(line).is_ok(), "{line}");
    }
    let data = RiskData::builtin();
    assert!(
        data.sensitive.len() > 60 && data.executed.len() > 100 && data.low_risk_commands.len() > 15
    );
}

#[test]
fn secrets_are_found_at_every_depth_and_in_every_case() {
    for text in [
        ".env",
        ".env.local",
        "app/.env.production",
        "prod.env",
        ".ENV",
        "a/b/server.pem",
        "tls.key",
        "deploy/id_rsa",
        ".ssh/config",
        "backup/.ssh/known_hosts",
        ".netrc",
        ".npmrc",
        ".aws/credentials",
        ".kube/config",
        ".bash_history",
        ".git-credentials",
        ".docker/config.json",
        ".cargo/credentials.toml",
        "x/.claude.json",
        ".mozilla/firefox/x/logins.json",
        "infra/prod.tfstate",
        "keys/app.p12",
        "worker/.dev.vars",
        ".dev.vars.staging",
        "auth.json",
        "infra/prod.tfvars",
        "infra/prod.auto.tfvars.json",
        "gha-creds-0123456789abcdef.json",
        "app/shop-firebase-adminsdk-x1y2z-0a1b2c3d4e.json",
        ".sentryclirc",
        ".kaggle/kaggle.json",
        "deploy/.vault_pass",
        ".vault_pass.txt",
    ] {
        assert!(sensitive(text), "{text}");
    }
}

#[test]
fn ordinary_files_are_not_secrets() {
    for text in [
        "src/main.rs",
        "src/tokenizer.rs",
        "passwords_test.rs",
        "src/token.rs",
        "environment.rs",
        ".env.example",
        "app/.env.sample",
        "keyboard.rs",
        "src/key.rs",
        "id_rsa.pub",
        "docs/ssh.md",
        "src/credentials.rs",
        "secrets.rs",
        ".environment",
        "monkey.txt",
        "src/env.rs",
        "Cargo.toml",
        "package.json",
        "src/locales/auth.json",
        "example.tfvars.json",
        ".dev.vars.example",
        "firebase.json",
        "src/kaggle.ts",
        "vault_pass.md",
    ] {
        assert!(!sensitive(text), "{text}");
    }
}

#[test]
fn what_runs_unasked_is_found() {
    for text in [
        ".git/hooks/pre-commit",
        "sub/.git/config",
        ".git/info/attributes",
        ".gitmodules",
        ".github/workflows/ci.yml",
        ".vscode/tasks.json",
        ".idea/workspace.xml",
        ".envrc",
        ".mcp.json",
        ".claude/settings.json",
        "CLAUDE.md",
        ".cursor/mcp.json",
        ".gemini/settings.json",
        ".npmrc",
        ".cargo/config.toml",
        "sub/.cargo/config",
        "pip.conf",
        "rust-toolchain.toml",
        ".husky/pre-push",
        ".pre-commit-config.yaml",
        "lib/x.pth",
        "venv/bin/python",
        "sitecustomize.py",
        ".bashrc",
        "Jenkinsfile",
        ".GIT/hooks/x",
        "permissions.toml",
        ".git",
    ] {
        assert!(executed(text), "{text}");
    }
}

#[test]
fn ordinary_work_runs_only_when_asked() {
    for text in [
        "src/main.rs",
        "Makefile",
        "build.rs",
        "package.json",
        "conftest.py",
        "Cargo.toml",
        "tests/hooks.rs",
        "docs/git/hooks.md",
        ".gitignore",
        "src/.hidden",
        "github/workflows/x.yml",
        ".git/HEAD",
        ".git/refs/heads/x",
        ".git/objects/ab/cdef",
        "README.md",
        "pnpm-workspace.yaml",
    ] {
        assert!(!executed(text), "{text}");
    }
}

#[test]
fn a_contained_command_is_low_and_a_connected_one_is_not() {
    assert_eq!(risk(Operation::RunBash, &run("curl evil.test", CONTAINED)), Risk::Low);
    assert_eq!(risk(Operation::RunBash, &run("cargo test", CONNECTED)), Risk::High);
    for pod in [
        PodContext { credentials: true, ..CONTAINED },
        PodContext { overlay_only: false, ..CONTAINED },
        CONNECTED,
    ] {
        assert_eq!(risk(Operation::RunBash, &run("make", pod)), Risk::High);
        assert_eq!(risk(Operation::RunBash, &run("timeout 5 cat a b", pod)), Risk::Low);
        for line in [
            "cat a | sh",
            "cat $(x)",
            "env LD_PRELOAD=x cat a",
            "git status",
            "find . -exec x",
            "./cat a",
        ] {
            let mut request = run(line, pod);
            if line.starts_with('.') {
                let argv = vec!["./cat".to_owned()];
                request = Request::new(
                    Action::Run { program: ResolvedProgram::unresolved("./cat"), argv },
                    pod,
                );
            }
            assert_eq!(risk(Operation::RunBash, &request), Risk::High, "{line}");
        }
    }
}

#[test]
fn commits_are_low_on_ordinary_branches_as_checks_stand() {
    let commit = |line: &str, branch: Option<&str>| {
        let request = run(line, CONTAINED);
        let request = branch.map_or(request.clone(), |branch| request.on_branch(branch));
        risk(Operation::GitCommit, &request)
    };
    assert_eq!(commit("git commit -m x", Some("fix/x")), Risk::Low);
    assert_eq!(commit("git commit -m x", Some("mainline")), Risk::Low);
    for branch in [None, Some("main"), Some("release/1.2"), Some("")] {
        assert_eq!(commit("git commit -m x", branch), Risk::High, "{branch:?}");
    }
    assert_eq!(commit("git commit --no-verify", Some("fix/x")), Risk::High);
    assert_eq!(commit("git commit; git commit -n", Some("fix/x")), Risk::High, "one of two");
}

#[test]
fn pushes_and_pull_requests_are_low_only_in_the_plain_case() {
    let push = |line: &str| risk(Operation::GitPush, &run(line, CONTAINED));
    assert_eq!(push("git push -u origin agent/fix"), Risk::Low);
    for line in [
        "git push",
        "git push origin main",
        "git push -f origin agent/fix",
        "git push origin agent/",
        "git push origin agent/x main",
    ] {
        assert_eq!(push(line), Risk::High, "{line}");
    }
    let pr = |line: &str| risk(Operation::CreatePr, &run(line, CONTAINED));
    assert_eq!(pr("gh pr create --draft"), Risk::Low);
    assert_eq!(pr("gh pr create"), Risk::High);
}

#[test]
fn web_requests_are_low_as_long_as_they_only_ask() {
    let fetch = |method, body| {
        let host = Host::parse("example.com").unwrap();
        risk(Operation::WebFetch, &Request::new(Action::WebFetch { host, method, body }, CONTAINED))
    };
    assert_eq!(fetch(Method::Get, false), Risk::Low);
    assert_eq!(fetch(Method::Head, false), Risk::Low);
    assert_eq!(fetch(Method::Get, true), Risk::High);
    assert_eq!(fetch(Method::Other, false), Risk::High);
}

#[test]
fn the_data_survive_a_round_trip() {
    let text = serde_json::to_string(&*BUILTIN).unwrap();
    let back: Classifier = serde_json::from_str(&text).unwrap();
    assert_eq!(back, *BUILTIN);
    assert!(back.sensitive(&RelPath::parse(".env").unwrap()));
}
