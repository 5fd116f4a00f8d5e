//! Ways in that were found by attacking the whole: each was open once.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use testkit::host::{Account, Host, Outcome, programs};

use crate::attempt::{call, own_shell, script};

/// Runs shell text as the user of the host in a directory.
fn at(host: &Host, dir: &Path, text: &str) -> Outcome {
    let mut command = host.account().command(Path::new("/bin/sh"));
    command.args(["-c", text]).current_dir(dir).stdin(Stdio::null()).env("HOME", host.home());
    Outcome::of(&mut command)
}

#[test]
fn row_18_a_repository_without_the_name_of_one_is_held() {
    let bins = programs();
    for account in Account::all() {
        let host = Host::new(&bins, account);
        let canary = host.workspace().join("executed");
        let make = |dir: &str| {
            format!(
                "mkdir -p {dir}/objects {dir}/refs && echo 'ref: refs/heads/main' > {dir}/HEAD && echo plain > {dir}/notes.txt && \
                 printf '[core]\\n\\trepositoryformatversion = 0\\n\\tbare = false\\n\\tworktree = .\\n\\tfsmonitor = \"touch {}; false\"\\n' > {dir}/config",
                canary.display()
            )
        };
        at(&host, &host.workspace(), &make("control")).expect_code(0);
        at(&host, &host.workspace().join("control"), "git status");
        assert!(
            canary.exists(),
            "git of this host obeys no such repository: the test shows nothing"
        );
        std::fs::remove_file(&canary).unwrap();
        std::fs::remove_dir_all(host.workspace().join("control")).unwrap();

        let outcome = host.run(&["sh", "-c", &make("data")]).expect_code(0);
        at(&host, &host.workspace().join("data"), "git status");
        assert!(!canary.exists(), "as {account:?}: {outcome}");
        assert_eq!(
            host.read("data/notes.txt").as_deref(),
            Some("plain\n"),
            "as {account:?}: {outcome}"
        );
        for name in ["HEAD", "config"] {
            assert_eq!(host.read(&format!("data/{name}")), None, "as {account:?}: {outcome}");
            assert!(
                outcome.says(&format!("data/{name} (a repository that the task made or changed)")),
                "as {account:?}: {outcome}"
            );
        }
    }
}

#[test]
fn row_18_what_git_obeys_in_a_repository_without_the_name_is_held() {
    let bins = programs();
    for account in Account::all() {
        let host = Host::new(&bins, account);
        for file in ["HEAD", "config", "refs/heads/main", "description"] {
            host.file(&format!("fixture.git/{file}"), "as it was\n");
        }
        let text = "cd fixture.git && mkdir hooks && for f in config hooks/post-receive commondir description; do echo changed > $f; done";
        let outcome = host.run(&["sh", "-c", text]).expect_code(0);
        assert_eq!(
            host.read("fixture.git/config").as_deref(),
            Some("as it was\n"),
            "as {account:?}: {outcome}"
        );
        for name in ["hooks/post-receive", "commondir"] {
            assert_eq!(
                host.read(&format!("fixture.git/{name}")),
                None,
                "as {account:?}: {outcome}"
            );
        }
        assert_eq!(
            host.read("fixture.git/description").as_deref(),
            Some("changed\n"),
            "as {account:?}: {outcome}"
        );
    }
}

#[test]
fn row_01_a_link_that_leaves_through_a_link_is_held() {
    let bins = programs();
    for account in Account::all() {
        let host = Host::new(&bins, account);
        host.put(host.place(), "outside.txt", b"outside\n");
        let text = "mkdir -p deep/er/still near && ln -s ../../../near deep/er/still/up && ln -s deep/er/still/up/../../outside.txt out";
        // The control: these links do lead out.
        at(&host, &host.workspace(), text).expect_code(0);
        assert_eq!(host.read("out").as_deref(), Some("outside\n"), "the test shows nothing");
        host.reset();

        let outcome = host.run(&["sh", "-c", text]).expect_code(0);
        assert!(
            std::fs::symlink_metadata(host.workspace().join("out")).is_err(),
            "as {account:?}: {outcome}"
        );
        assert!(
            std::fs::symlink_metadata(host.workspace().join("deep/er/still/up")).is_ok(),
            "as {account:?}: {outcome}"
        );
        assert!(
            outcome.says("out (a link that leaves the workspace)"),
            "as {account:?}: {outcome}"
        );
    }
}

#[test]
fn row_19_files_that_tools_read_on_their_own_are_held() {
    let bins = programs();
    const NAMES: [&str; 14] = [
        ".hg/hgrc",
        ".helix/languages.toml",
        ".gdbinit",
        ".Rprofile",
        ".ghci",
        ".iex.exs",
        ".pnp.cjs",
        ".mise.local.toml",
        ".agents/skills/x/SKILL.md",
        "AGENTS.override.md",
        "opencode.jsonc",
        "sub/.claude-plugin/plugin.json",
        ".github/hooks/pre.json",
        ".cirrus.yml",
    ];
    for account in Account::all() {
        let host = Host::new(&bins, account);
        let text = format!(
            "for f in {} plain.txt; do mkdir -p $(dirname $f); echo x > $f; done",
            NAMES.join(" ")
        );
        let outcome = host.run(&["sh", "-c", &text]).expect_code(0);
        for name in NAMES {
            assert_eq!(host.read(name), None, "{name} as {account:?}: {outcome}");
        }
        assert_eq!(host.read("plain.txt").as_deref(), Some("x\n"), "as {account:?}: {outcome}");
    }
}

#[test]
fn an_agent_cannot_spoil_the_next_session_by_its_home() {
    let bins = programs();
    for account in Account::all() {
        let host = Host::new(&bins, account);
        host.put(&host.home(), ".claude/CLAUDE.md", b"be kind\n");
        let spoil = "cat ~/.claude/CLAUDE.md && mv ~/.claude ~/.old && mkdir -p ~/.claude/CLAUDE.md/x && chmod 0 ~/.claude/CLAUDE.md/x && echo spoiled";
        let first = host.script(&script(vec![own_shell(spoil)]));
        assert!(first.says("spoiled"), "{first}");
        let second =
            host.script(&script(vec![own_shell("cat ~/.claude/CLAUDE.md")])).expect_code(0);
        assert!(second.says("be kind"), "as {account:?}: {second}");
    }
}

#[test]
fn row_34_files_without_number_leave_room_for_the_log() {
    // Only root may mount a small file system there.
    let bins = programs();
    if !Account::all().contains(&Account::Root) {
        return testkit::host::skip("row_34_files", "a small file system is mounted by root");
    }
    let host = Host::new(&bins, Account::Root);
    host.put(&host.state(), "keep", b"");
    let nucleus = host.command("nucleus");
    let state = host.state().display().to_string();
    // The number of files before the command is killed tells it from one that ran into the wall.
    let many = "i=0; while :; do mkdir d$i && (cd d$i && seq 1 500 | xargs touch) || { echo the wall; sleep 60; }; i=$((i+1)); done";
    let text = format!(
        "mount -t tmpfs -o size=600m,nr_inodes=20000 tmpfs {state} && {} run --profile fix-issue --allow-local-driver -- sh -c '{many}'; \
         echo ended; {} verify {state}/sessions/*/log.jsonl",
        host.program("nucleus").display(),
        host.program("nucleus-audit").display(),
    );
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "timeout", "40", "sh", "-c", &text])
        .env_clear()
        .current_dir(host.workspace());
    command
        .envs(nucleus.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::null());
    let outcome = Outcome::of(&mut command);
    assert!(outcome.says("ended"), "the command was not killed: {outcome}");
    assert!(outcome.says("entries verified"), "{outcome}");
}

#[test]
fn row_71_nothing_is_printed_below_a_question() {
    const POLICY: &str = "[capabilities]\nread_files = \"always\"\nrun_bash = \"ask\"\n";
    let bins = programs();
    for account in Account::all() {
        let host = Host::new(&bins, account);
        host.put(host.place(), "permissions.toml", POLICY.as_bytes());
        let config = host.place().join("permissions.toml");
        // The agent talks on while its request waits.
        let talk =
            "(while :; do echo IMITATED; sleep 0.02; done) > /proc/$PPID/fd/1 2>&1 & sleep 0.5";
        let steps = script(vec![own_shell(talk), call("run", json!({"command": "true"}))]);
        let mut terminal =
            host.at_terminal(&host.script_command(&steps, &["--config", config.to_str().unwrap()]));
        let question = terminal.read_until(" to approve once");
        assert!(
            question.contains("IMITATED"),
            "the agent prints nothing: the test shows nothing\n{question}"
        );
        let id = question
            .rsplit_once("  type ")
            .unwrap()
            .1
            .split_whitespace()
            .next()
            .unwrap()
            .to_owned();
        std::thread::sleep(std::time::Duration::from_millis(500));
        let screen = terminal.screen();
        let below = screen.rsplit_once(" to approve once").unwrap().1;
        assert!(!below.contains("IMITATED"), "as {account:?}: {screen}");
        terminal.enter(&format!("{id}\n"));
        let outcome = terminal.outcome().expect_code(0);
        let below = outcome.stdout.rsplit_once(" to approve once").unwrap().1;
        assert!(below.contains("IMITATED"), "what was kept back is lost: {outcome}");
    }
}

#[test]
fn row_17_files_that_the_repository_has_git_run_are_held() {
    let bins = programs();
    for account in Account::all() {
        let host = Host::new(&bins, account);
        host.file("tools/hooks/pre-commit", "#!/bin/sh\nexit 0\n");
        host.file("tools/clean.sh", "#!/bin/sh\ncat\n");
        let configure = "git init -q . && git config core.hooksPath tools/hooks && git config filter.x.clean './tools/clean.sh %f'";
        at(&host, &host.workspace(), configure).expect_code(0);
        let text = "for f in tools/hooks/pre-commit tools/hooks/post-commit tools/clean.sh tools/other.sh; do echo evil > $f; done";
        let outcome = host.run(&["sh", "-c", text]).expect_code(0);
        for name in ["tools/hooks/pre-commit", "tools/hooks/post-commit", "tools/clean.sh"] {
            assert_ne!(
                host.read(name).as_deref(),
                Some("evil\n"),
                "{name} as {account:?}: {outcome}"
            );
            assert!(
                outcome.says(&format!("{name} (git obeys this file)")),
                "{name} as {account:?}: {outcome}"
            );
        }
        assert_eq!(
            host.read("tools/other.sh").as_deref(),
            Some("evil\n"),
            "as {account:?}: {outcome}"
        );
    }
}

#[test]
fn row_78_a_credential_in_the_repositorys_configuration_is_shown_by_no_tool() {
    let bins = programs();
    for account in Account::all() {
        let host = Host::new(&bins, account);
        let configure = "git init -q . && git config remote.origin.url https://user:canary-51c7@example.com/a.git";
        at(&host, &host.workspace(), configure).expect_code(0);
        assert!(
            host.read(".git/config").unwrap().contains("canary-51c7"),
            "the test shows nothing"
        );
        host.file("plain.txt", "marker\n");
        let outcome = host.script(&script(vec![
            call("read", json!({"path": ".git/config"})),
            call("read", json!({"path": ".GIT/config"})),
            call("grep", json!({"pattern": "example", "path": ".git"})),
            call("grep", json!({"pattern": "canary-51c.", "path": "."})),
            call("edit", json!({"path": ".git/config", "old_string": "canary", "new_string": "x"})),
            call("run", json!({"command": "cat .git/config; mv .git moved; cat moved/config; git config --list"})),
            call("read", json!({"path": "moved/config"})),
            call("grep", json!({"pattern": "marker", "path": "."})),
        ]));
        assert!(!outcome.stdout.contains("canary-51c7"), "as {account:?}: {outcome}");
        assert!(
            outcome.says("https://example.com/a.git"),
            "git still knows its remote, as {account:?}: {outcome}"
        );
        assert!(
            outcome.says("plain.txt:1:marker"),
            "other files are shown, as {account:?}: {outcome}"
        );
    }
}

#[test]
fn a_withheld_path_keeps_its_name_where_the_workspace_is_copied() {
    const POLICY: &str = "[capabilities]\nread_files = \"always\"\nrun_bash = \"low_risk\"\n[paths]\nblocked = [\"sec/**\"]\n";
    let bins = programs();
    // An ordinary user cannot overlay a workspace of another group; only root can make one here.
    for account in Account::all().into_iter().filter(|account| account.other_ids().is_some()) {
        let host = Host::new(&bins, account);
        host.put(host.place(), "permissions.toml", POLICY.as_bytes());
        let config = host.place().join("permissions.toml");
        let configure = "git init -q . && git config remote.origin.url https://user:canary-51c7@example.com/a.git";
        at(&host, &host.workspace(), configure).expect_code(0);
        host.file("sec/deep/plain.txt", "canary-51c7\n");
        host.file("open/plain.txt", "seen\n");
        std::os::unix::fs::chown(host.workspace(), None, Some(12_345)).unwrap();
        let steps = vec![
            call(
                "run",
                json!({"command": "mv .git g; mv sec s; mv sec/deep d; mv open o; cat o/plain.txt"}),
            ),
            call("read", json!({"path": "g/config"})),
            call("read", json!({"path": "s/deep/plain.txt"})),
            call("read", json!({"path": "d/plain.txt"})),
        ];
        let outcome = host.script_with(&script(steps), &["--config", config.to_str().unwrap()]);
        assert!(outcome.says("workspace copy"), "not copied: the test shows nothing, {outcome}");
        assert!(outcome.says("seen"), "other directories can be renamed: {outcome}");
        assert!(!outcome.stdout.contains("canary-51c7"), "as {account:?}: {outcome}");
    }
}

#[test]
fn what_the_policy_lets_nobody_write_stays_in_the_session_however_it_was_written() {
    let bins = programs();
    for account in Account::all() {
        let host = Host::new(&bins, account);
        let write = "echo made > made.txt; ln -s plain gradle; mkdir -p plain/wrapper; echo jar > plain/wrapper/gradle-wrapper.jar";
        let run = |policy: &str, text: &str| {
            host.put(host.place(), "permissions.toml", policy.as_bytes());
            let config = host.place().join("permissions.toml");
            let args = [
                "run",
                "--allow-local-driver",
                "--config",
                config.to_str().unwrap(),
                "--",
                "sh",
                "-c",
                text,
            ];
            host.nucleus(&args).expect_code(0)
        };
        let reads = "[capabilities]\nread_files = \"always\"\nrun_bash = \"always\"\n";
        for more in [
            "",
            "write_files = \"ask\"\n",
            "write_files = \"always\"\nedit_files = \"always\"\n[obligations]\napprovals = [\"write_files\", \"edit_files\"]\n",
        ] {
            let outcome = run(&format!("{reads}{more}"), write);
            assert_eq!(host.read("made.txt"), None, "as {account:?} with {more:?}: {outcome}");
            assert!(outcome.says("the policy does not let the task write"), "{outcome}");
            host.nucleus(&["discard"]).expect_code(0);
        }
        // The control: the same command where writing is permitted. The link that makes a wrapper of a plain file waits.
        let outcome = run(&format!("{reads}write_files = \"always\"\n"), write);
        assert_eq!(host.read("made.txt").as_deref(), Some("made\n"), "as {account:?}: {outcome}");
        assert_eq!(host.read("plain/wrapper/gradle-wrapper.jar").as_deref(), Some("jar\n"));
        assert_eq!(host.read("gradle/wrapper/gradle-wrapper.jar"), None, "{outcome}");
        host.nucleus(&["discard"]).expect_code(0);

        // Hidden from the judge of command lines, who sees a script.
        host.file("c.sh", "git commit -q --allow-empty -m x\n");
        let git = |text: &str| at(&host, &host.workspace(), text).expect_code(0);
        git(
            "git init -q -b main . && git config user.name n && git config user.email n@e && git add -A && git commit -qm first",
        );
        let head = || git("git rev-parse HEAD").stdout;
        let (before, commits) = (head(), "git commit -q --allow-empty -m x");
        let writes = format!("{reads}write_files = \"always\"\n");
        for level in ["never", "ask", "low_risk"] {
            let outcome = run(&format!("{writes}git_commit = \"{level}\"\n"), "sh c.sh || true");
            assert_eq!(head(), before, "as {account:?} with {level}: {outcome}");
            host.nucleus(&["discard"]).expect_code(0);
        }
        run(&format!("{writes}git_commit = \"always\"\n"), commits);
        assert_ne!(head(), before, "as {account:?}: the control");
    }
}

#[test]
fn row_17_a_task_does_not_take_the_users_branches_away() {
    let bins = programs();
    for account in Account::all() {
        for (text, kept) in [
            ("rm -rf .git/HEAD .git/index .git/logs", true),
            ("rm -rf .git/refs/heads/feature", true),
            // The control: the same reference, packed, is not lost, and goes with the unit.
            ("git pack-refs --all", false),
        ] {
            let host = Host::new(&bins, account);
            let make = "git init -q -b main . && git -c user.name=u -c user.email=u@e commit -q --allow-empty -m first && git branch feature";
            at(&host, &host.workspace(), make).expect_code(0);
            let outcome = host.run(&["sh", "-c", text]).expect_code(0);
            let branches = at(&host, &host.workspace(), "git for-each-ref --format='%(refname)'")
                .expect_code(0);
            assert!(
                branches.says("refs/heads/feature"),
                "{text} as {account:?}: {branches} {outcome}"
            );
            assert_eq!(
                host.read(".git/refs/heads/feature").is_some(),
                kept,
                "{text} as {account:?}: {outcome}"
            );
        }
    }
}
