//! What a task works on: the repository around the user, a worktree of one, and whose files they are.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use testkit::host::{Account, Host, Outcome, skip};

use crate::meeting::{as_user, hosts, repository};

const RUN: [&str; 7] = ["run", "--allow-local-driver", "--profile", "fix-issue", "--", "sh", "-c"];

/// One shell command in a pod, started in `dir`.
fn run_in(host: &Host, dir: &Path, text: &str) -> Outcome {
    let mut command = host.command("nucleus");
    command.args(RUN).arg(text).current_dir(dir);
    Outcome::of(&mut command)
}

#[test]
fn a_task_started_further_down_works_on_the_repository() {
    for host in hosts() {
        host.file("services/a/own.txt", "a\n");
        host.file("services/b/other.txt", "b\n");
        let deep = host.workspace().join("services/a");
        // Control: without a repository around it, the directory is all there is.
        let alone = run_in(&host, &deep, "pwd; cat ../b/other.txt");
        assert!(
            alone.code != Some(0) && alone.stdout.trim_end().ends_with("services/a"),
            "{alone}"
        );
        repository(&host);
        let within =
            run_in(&host, &deep, "pwd; cat ../b/other.txt && touch here ../b/there").expect_code(0);
        assert_eq!(within.stdout, format!("{}\nb\n", deep.display()), "{within}");
        assert!(within.says("you stand in services/a"), "{within}");
        assert!(host.read("services/a/here").is_some() && host.read("services/b/there").is_some());
        let mut undo = host.command("nucleus");
        let undo = Outcome::of(undo.arg("undo").current_dir(&deep)).expect_code(0);
        assert!(
            host.read("services/a/here").is_none() && host.read("services/b/there").is_none(),
            "{undo}"
        );
        // [paths] narrows what of the repository the task may change.
        host.put(
            host.place(),
            "narrow.toml",
            b"[capabilities]\nread_files = \"always\"\nwrite_files = \"always\"\nrun_bash = \"always\"\n[paths]\nallowed = [\"services/a/**\"]\n",
        );
        let mut narrow = host.command("nucleus");
        let policy = host.place().join("narrow.toml");
        narrow.args(["run", "--allow-local-driver", "--config"]).arg(policy);
        narrow.args(["--", "sh", "-c", "touch in ../b/out"]).current_dir(&deep);
        let narrow = Outcome::of(&mut narrow).expect_code(0);
        assert!(host.read("services/a/in").is_some(), "{narrow}");
        assert!(host.read("services/b/out").is_none() && narrow.says("held"), "{narrow}");
    }
}

#[test]
fn a_worktree_shows_its_repository_and_a_false_one_shows_nothing() {
    for host in hosts() {
        repository(&host);
        let main = host.workspace().join(".git");
        as_user(&host, &["git", "config", "remote.origin.url", "https://u:canary@example.com/x"]);
        let tree = host.home().join("tree");
        let place = tree.to_str().unwrap().to_owned();
        as_user(&host, &["git", "worktree", "add", "--quiet", "-b", "side", &place]);
        host.put(&tree, "README.md", b"first\nmore\n");
        let shown = run_in(
            &host,
            &tree,
            "git status --porcelain && git diff && git log --format=%s && git branch --show-current",
        )
        .expect_code(0);
        for words in
            [" M README.md", "+more", "first", "side", "can be read by commands and not written"]
        {
            assert!(shown.says(words), "{words}: {shown}");
        }
        let told = run_in(&host, &tree, "git commit --all --message=no");
        assert!(told.code != Some(0) && told.says("ead-only file system"), "{told}");
        let secret = run_in(&host, &tree, "git config --get remote.origin.url");
        assert!(secret.says("example.com") && !secret.says("canary"), "{secret}");
        // What a task could write: a link to a repository that does not point back.
        let forged = host.home().join("forged");
        host.put(
            &forged,
            ".git",
            format!("gitdir: {}/worktrees/tree\n", main.display()).as_bytes(),
        );
        let probe = format!("ls {}/objects; git log", main.display());
        let refused = run_in(&host, &forged, &probe);
        assert!(refused.code != Some(0) && refused.says("names a place outside"), "{refused}");
        assert!(!refused.stdout.contains("pack"), "{refused}");
        let control = run_in(&host, &tree, &format!("ls {}/objects", main.display()));
        assert!(control.expect_code(0).stdout.contains("pack"), "positive control");
    }
}

#[test]
fn under_sudo_files_keep_their_owner_and_root_does_not_live_in_anothers_home() {
    let bins = testkit::host::programs();
    if !Account::all().contains(&Account::Root) {
        skip("sudo_ownership", "root is what sudo gives");
        return;
    }
    let host = Host::new(&bins, Account::Root);
    let (uid, gid) = Account::Rootless.other_ids().unwrap();
    host.file("old.txt", "old\n");
    for path in [host.workspace(), host.workspace().join("old.txt")] {
        chown(path, Some(uid), Some(gid)).unwrap();
    }
    let sudo = |text: &str| {
        let mut command = host.command("nucleus");
        command.args(RUN).arg(text).env("SUDO_UID", uid.to_string());
        Outcome::of(&mut command)
    };
    sudo("echo new > old.txt; mkdir -p made && echo x > made/new.txt").expect_code(0);
    for path in ["old.txt", "made", "made/new.txt"] {
        let meta = std::fs::metadata(host.workspace().join(path)).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (uid, gid), "{path}");
    }
    chown(host.home(), Some(uid), Some(gid)).unwrap();
    let refused = sudo("touch never").expect_code(64);
    assert!(refused.says("sudo -H") && host.read("never").is_none(), "{refused}");
}

/// A submodule `sub` with one commit, and a worktree `tree` within the workspace.
fn nested(host: &Host) {
    repository(host);
    host.file("library/lib.txt", "one\n");
    let library = host.workspace().join("library");
    let from = library.to_str().unwrap();
    let git = |args: &[&str]| {
        let identity = ["git", "-c", "user.name=u", "-c", "user.email=u@example.com"];
        as_user(host, &[&identity[..], &["-c", "protocol.file.allow=always"], args].concat());
    };
    git(&["init", "--quiet", from]);
    git(&["-C", from, "add", "."]);
    git(&["-C", from, "commit", "--quiet", "--message=library"]);
    git(&["submodule", "--quiet", "add", from, "sub"]);
    std::fs::rename(&library, host.home().join("library")).unwrap();
    git(&["commit", "--quiet", "--message=second"]);
    git(&["worktree", "add", "--quiet", "-b", "side", "tree"]);
    host.file(".git/info/exclude", "/tree\n");
}

#[test]
fn worktrees_and_submodules_inside_go_with_the_repository() {
    for host in hosts() {
        nested(&host);
        let looked =
            run_in(&host, &host.workspace(), "git status; git -C sub status; git -C tree status");
        assert!(!looked.expect_code(0).says("held"), "a look holds nothing");
        let text = "set -e; echo two >> sub/lib.txt; git -C sub commit -qam inside; echo two >> tree/README.md; git -C tree commit -qam inside";
        let mut done = host.command("nucleus");
        done.args(RUN)
            .arg(text)
            .env("GIT_AUTHOR_NAME", "u")
            .env("GIT_AUTHOR_EMAIL", "u@example.com");
        let done = Outcome::of(&mut done).expect_code(0);
        assert!(!done.says("held"), "{done}");
        for dir in ["sub", "tree"] {
            assert_eq!(as_user(&host, &["git", "-C", dir, "status", "--porcelain"]), "", "{done}");
            let subject = as_user(&host, &["git", "-C", dir, "log", "-1", "--format=%s"]);
            assert_eq!(subject, "inside\n", "{done}");
        }
        assert_eq!(
            as_user(&host, &["git", "-C", "tree", "show", "HEAD:README.md"]),
            "first\ntwo\n"
        );
        // What git obeys in them waits.
        let smuggled = run_in(
            &host,
            &host.workspace(),
            "git config --file .git/modules/sub/config core.fsmonitor evil; echo evil > .git/modules/sub/hooks/post-checkout; \
             echo gitdir: ../evil > tree/.git",
        );
        assert!(smuggled.expect_code(0).says("held"), "hostile changes wait");
        assert!(!host.read(".git/modules/sub/config").unwrap().contains("evil"));
        assert!(host.read(".git/modules/sub/hooks/post-checkout").is_none());
        assert!(!host.read("tree/.git").unwrap().contains("evil"));
        host.nucleus(&["discard"]).expect_code(0);
        // A commit of either brings no file past the judgement it would get by itself.
        for dir in ["sub", "tree"] {
            let tip = || as_user(&host, &["git", "-C", dir, "rev-parse", "HEAD"]);
            let before = tip();
            let text = format!(
                "cd {dir}; mkdir -p .github/workflows; echo evil > .github/workflows/ci.yml; git add -A; git commit -qm evil"
            );
            let mut command = host.command("nucleus");
            command
                .args(RUN)
                .arg(&text)
                .env("GIT_AUTHOR_NAME", "u")
                .env("GIT_AUTHOR_EMAIL", "u@example.com");
            let outcome = Outcome::of(&mut command).expect_code(0);
            assert_eq!(tip(), before, "{dir}: {outcome}");
            assert!(outcome.says("held"), "{dir}: {outcome}");
            host.nucleus(&["discard"]).expect_code(0);
        }
    }
}

#[test]
fn a_submodule_shows_its_repository_and_a_false_one_shows_nothing() {
    for host in hosts() {
        nested(&host);
        let sub = host.workspace().join("sub");
        host.put(&sub, "lib.txt", b"one\nmore\n");
        let shown =
            run_in(&host, &sub, "git status --porcelain && git diff && git log --format=%s")
                .expect_code(0);
        for words in [
            " M lib.txt",
            "+more",
            "library",
            "this is a git submodule",
            "can be read by commands and not written",
        ] {
            assert!(shown.says(words), "{words}: {shown}");
        }
        let told = run_in(&host, &sub, "git commit --all --message=no");
        assert!(told.code != Some(0) && told.says("ead-only file system"), "{told}");
        let around =
            run_in(&host, &sub, "ls ../.git/objects ../README.md ../.git/modules/sub/hooks");
        assert!(around.code != Some(0) && !around.stdout.contains("README"), "{around}");
        // What a task could write: a link to a repository that does not point back.
        let forged = host.home().join("forged");
        let real = host.workspace().join(".git/modules/sub");
        host.put(&forged, ".git", format!("gitdir: {}\n", real.display()).as_bytes());
        let refused = run_in(&host, &forged, &format!("ls {}/objects; git log", real.display()));
        assert!(refused.code != Some(0) && refused.says("names a place outside"), "{refused}");
        assert!(!refused.stdout.contains("pack"), "{refused}");
    }
}
