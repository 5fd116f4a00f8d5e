use proptest::prelude::*;

use super::*;

fn does(line: &str) -> Vec<Effect> {
    let argv: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    effects(&argv, false)
}

fn pushes(line: &str) -> bool {
    does(line).iter().any(|effect| matches!(effect, Effect::Push { .. }))
}

fn commits(line: &str) -> bool {
    does(line).iter().any(|effect| matches!(effect, Effect::Commit { .. }))
}

#[test]
fn a_push_is_found_behind_global_options() {
    for line in [
        "git push",
        "git -C . push",
        "git -C . -C sub push origin main",
        "git -c user.name=x push",
        "git --git-dir=.git push",
        "git --git-dir .git --work-tree . push",
        "git --no-pager -P push",
        "git --exec-path=/tmp push",
        "git --config-env=a.b=C push",
        "/usr/bin/git push",
        "/usr/lib/git-core/git-push origin",
        "git send-pack x",
        "git -c alias.x=push x",
        "git lfs push",
        "git submodule foreach x",
        "git some-alias",
        "git --surprise push",
    ] {
        assert!(pushes(line), "{line}");
    }
}

#[test]
fn reading_history_is_no_push() {
    for line in [
        "git",
        "git status",
        "git -C sub log",
        "git diff --stat",
        "git show push",
        "git branch push",
        "git help push",
        "git --version",
        "git add push",
        "git log --grep push",
        "git tag",
        "git tag -l v1",
        "git stash",
        "git checkout -b push",
        "gitk push",
        "digit push",
        "git fetch origin",
        "git lfs status",
    ] {
        assert_eq!(does(line), [], "{line}");
    }
}

#[test]
fn commits_are_told_from_commits_that_override_checks() {
    for line in [
        "git commit -m no-verify",
        "git commit -am x",
        "git commit -mn",
        "git merge x",
        "git -C a commit",
    ] {
        assert_eq!(does(line), [Effect::Commit { overrides: false }], "{line}");
    }
    for line in [
        "git commit --no-verify",
        "git commit --no-ver",
        "git commit -n -m x",
        "git commit -anm x",
        "git commit -S",
        "git commit --no-gpg-sign",
        "git commit --gpg-sign=K",
        "git -c core.hooksPath=/x commit",
        "git --git-dir=x commit",
    ] {
        assert_eq!(does(line), [Effect::Commit { overrides: true }], "{line}");
    }
    assert!(pushes("git rebase --exec x main") && pushes("git rebase -x x"));
    assert!(commits("git pull") && commits("git tag v1") && commits("git update-ref a b"));
}

#[test]
fn the_branches_of_a_plain_push_are_known() {
    let branches = |line: &str| match does(line).as_slice() {
        [Effect::Push { branches }] => branches.clone(),
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(branches("git push origin agent/x"), Some(vec!["agent/x".to_owned()]));
    assert_eq!(
        branches("git push -u origin HEAD:refs/heads/agent/x"),
        Some(vec!["agent/x".to_owned()])
    );
    for line in [
        "git push",
        "git push origin",
        "git push --force origin agent/x",
        "git push -f origin agent/x",
        "git push origin +agent/x",
        "git push origin :agent/x",
        "git push --tags origin agent/x",
        "git push --delete origin agent/x",
        "git push origin HEAD",
        "git push origin refs/tags/v1",
        "git push origin agent/*:agent/*",
        "git push --mirror origin",
        "git push --no-verify origin agent/x",
        "git -c a=b push origin agent/x",
        "git push origin a:agent/../main",
        "git push origin tag v1",
    ] {
        assert_eq!(branches(line), None, "{line}");
    }
}

#[test]
fn pull_requests_are_found() {
    assert_eq!(does("gh pr create --draft -t x"), [Effect::PullRequest { plain_draft: true }]);
    for line in [
        "gh pr create",
        "gh pr create -d -R other/repo",
        "gh pr create --draft --repo=o/r",
        "glab mr create",
        "hub pull-request",
    ] {
        assert_eq!(does(line), [Effect::PullRequest { plain_draft: false }], "{line}");
    }
    for line in [
        "gh api repos/x",
        "gh -R a/b pr merge 1",
        "gh release create",
        "gh ssh-key add",
        "gh alias set a b",
        "gh something",
    ] {
        assert!(pushes(line), "{line}");
    }
    for line in [
        "gh",
        "gh pr view 1",
        "gh -R a/b pr list",
        "gh --version",
        "gh issue list",
        "gh search prs create",
    ] {
        assert_eq!(does(line), [], "{line}");
    }
}

#[test]
fn words_nobody_knows_yet_may_be_anything() {
    let argv = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(effects(&argv("git"), true), unknown());
    assert_eq!(effects(&argv("git -C a"), true), unknown());
    assert_eq!(effects(&argv("git push origin agent/x"), true), [Effect::Push { branches: None }]);
    assert_eq!(effects(&argv("gh pr"), true).len(), 2);
    assert_eq!(effects(&argv("git status"), true), []);
}

proptest! {
    #[test]
    fn any_words_are_read(
        args in prop::collection::vec("-{0,2}[a-zA-Z=:+/.]{0,8}|push|commit|pr|create|-C|-c|.{0,6}", 0..6),
        program in "git|gh|glab|hub|git-.{0,4}",
        open in any::<bool>(),
    ) {
        let argv: Vec<String> = std::iter::once(program).chain(args).collect();
        let _ = effects(&argv, open);
    }
}
