//! Git in a task beside files that the policy withholds, with real git on both sides.

use testkit::host::{Host, Outcome};

use crate::meeting::{as_user, hosts, repository, subjects};

/// What nobody may find in a pod's output.
const CANARY: &str = "canary-of-a-secret";

/// A repository with a tracked `.npmrc` and certificate key, and an untracked `.env` that nothing ignores.
fn beside_secrets(host: &Host) {
    host.file(".npmrc", format!("//registry/:_authToken={CANARY}\n"));
    host.file("tests/certs/server.key", format!("{CANARY}\n"));
    host.file("tests/certs/README", "certificates\n");
    repository(host);
    host.file(".env", format!("KEY={CANARY}\n"));
}

/// Everything of the repository that a user could miss afterwards.
fn flags(host: &Host) -> String {
    as_user(host, &["git", "ls-files", "-v", "--stage"])
        .lines()
        .filter(|line| !line.ends_with("\tREADME.md"))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn git_works_beside_withheld_files_and_leaves_them_alone() {
    for host in hosts() {
        beside_secrets(&host);
        let exclude = host.read(".git/info/exclude");
        let before = flags(&host);
        assert!(before.contains("H 100644") && before.contains(".npmrc"), "{before}");
        let done = host.run(&[
            "sh",
            "-ec",
            "git status --porcelain; git diff --exit-code; echo more >> README.md; git add -A; git commit -qm second; \
             echo third >> README.md; git stash -q; git stash pop -q; git diff --stat; git commit -qam third; \
             git status --porcelain; git stash list; ! cat .npmrc; ! cat .env; ! cat tests/certs/server.key",
        ]);
        let done = done.expect_code(0);
        assert!(
            !done.says(CANARY) && !done.says("fatal") && !done.says("held for review"),
            "{done}"
        );
        for name in [" M ", "?? ", " D "] {
            assert!(!done.stdout.contains(name), "{done}");
        }
        assert_eq!(subjects(&host), "third\nsecond\nfirst\n");
        assert_eq!(as_user(&host, &["git", "status", "--porcelain"]), "?? .env\n");
        assert_eq!(flags(&host), before, "no flag is left, and no entry is another");
        assert_eq!(host.read(".git/info/exclude"), exclude);
        for file in [".npmrc", "tests/certs/server.key"] {
            let now = as_user(&host, &["git", "show", &format!("HEAD:{file}")]);
            assert!(now.contains(CANARY), "{file}: {now}");
        }
        as_user(&host, &["git", "fsck", "--strict"]);
    }
}

#[test]
fn a_task_that_only_looks_changes_nothing_of_the_repository() {
    for host in hosts() {
        beside_secrets(&host);
        // The user's own change of a withheld file is theirs, before and after.
        host.file(".npmrc", format!("{CANARY} of another kind\n"));
        std::fs::remove_dir_all(host.workspace().join(".git/info")).unwrap();
        let index = std::fs::read(host.workspace().join(".git/index")).unwrap();
        let done = host.run(&["sh", "-ec", "git status --porcelain; git diff; git add -A"]);
        let done = done.expect_code(0);
        assert_eq!(done.stdout, "", "{done}");
        assert!(!done.says("held for review") && !done.says(".git/"), "{done}");
        assert_eq!(std::fs::read(host.workspace().join(".git/index")).unwrap(), index);
        assert!(!host.workspace().join(".git/info").exists());
        assert_eq!(as_user(&host, &["git", "status", "--porcelain"]), " M .npmrc\n?? .env\n");
    }
}

#[test]
fn what_is_withheld_is_named_at_the_start() {
    for host in hosts() {
        beside_secrets(&host);
        let one = "3 paths are withheld from the agent, and its git passes them over: ";
        let done = host.run(&["true"]).expect_code(0);
        assert!(
            done.says(one) && done.says(".npmrc") && done.says("tests/certs/server.key"),
            "{done}"
        );
        assert!(
            done.says("name it in the policy (permissions.toml): [paths] allowed = [\"**\", "),
            "{done}"
        );
        // Control: done as it says, that file is seen and the others are not.
        host.put(
            host.place(),
            "named.toml",
            b"[capabilities]\nread_files = \"always\"\nrun_bash = \"always\"\n[paths]\nallowed = [\"**\", \".npmrc\"]\n",
        );
        let mut command = host.command("nucleus");
        command
            .args(["run", "--allow-local-driver", "--config"])
            .arg(host.place().join("named.toml"));
        let named = Outcome::of(command.args(["--", "sh", "-c", "cat .npmrc; cat .env"]));
        assert!(named.stdout.contains(CANARY), "{named}");
        assert!(named.code != Some(0) && named.says("2 paths are withheld"), "{named}");
    }
}

#[test]
fn an_agent_that_hides_its_work_from_git_does_not() {
    for host in hosts() {
        beside_secrets(&host);
        let hide = "git update-index --skip-worktree README.md && echo evil >> README.md && \
                    git update-index --assume-unchanged tests/certs/README && echo evil >> tests/certs/README && \
                    git commit -q --allow-empty -m quiet && test -z \"$(git status --porcelain)\"";
        let done = host.run(&["sh", "-ec", hide]).expect_code(0);
        let seen = as_user(&host, &["git", "status", "--porcelain"]);
        assert_eq!(seen, " M README.md\n M tests/certs/README\n?? .env\n", "{done}");
    }
}
