use proptest::prelude::*;

use super::*;
use crate::split::split_command;

fn read(line: &str) -> Invocation {
    let argv = split_command(line).into_argv();
    let program = ResolvedProgram::unresolved(&argv[0]);
    Invocation::new(&argv, &program)
}

fn pushes(line: &str) -> bool {
    read(line).effects.iter().any(|effect| matches!(effect, Effect::Push { .. }))
}

fn pull_requests(line: &str) -> bool {
    read(line).effects.iter().any(|effect| matches!(effect, Effect::PullRequest { .. }))
}

#[test]
fn a_push_is_found_wherever_a_command_openly_has_it() {
    for line in [
        "git push",
        "env GIT_DIR=x git push",
        "timeout 5 nice nohup git -C . push",
        "cd sub && git push",
        "bash -c 'git push'",
        "bash -ec 'git push'",
        "bash -lc 'cd x; git push'",
        "/bin/bash --norc -c 'git push'",
        "bash -o pipefail -c 'git push'",
        "sh -c -- 'git push'",
        "env bash -c 'git push'",
        "busybox sh -c 'git push'",
        "sh -c \"sh -c 'git push'\"",
        "echo $(git push)",
        "eval 'git push'",
        "sh <<E\ngit push\nE",
        "xargs git",
        "git $x",
        "x=push; git $x",
        "$g push; git status",
        "xargs -I{} git {} origin",
        "echo 'git push",
    ] {
        assert!(pushes(line), "{line}");
    }
    assert!(pull_requests("cd x && gh pr create") && pull_requests("env -u A gh pr create"));
}

#[test]
fn commands_that_only_look_alike_are_left_alone() {
    for line in [
        "cd sub && cargo test 2>&1 | tail -5",
        "git status && git diff | head",
        "echo 'git push'",
        "echo medieval executor",
        "grep -rn 'git push' docs",
        "cat > notes.md <<'E'\nthen run git push\nE",
        "cat .git/config | head",
        "for f in *.rs; do rustfmt $f; done",
        "ls $(pwd)",
        "digit push",
    ] {
        assert_eq!(read(line).effects, [], "{line}");
    }
}

#[test]
fn launchers_that_change_nothing_keep_the_reach() {
    let reach = |line: &str| {
        let steps = read(line).steps;
        steps.last().map(|step| (step.argv.join(" "), step.reach)).unwrap()
    };
    assert_eq!(reach("timeout 5 nohup cargo test"), ("cargo test".to_owned(), Reach::Whole));
    assert_eq!(reach("env LD_PRELOAD=x cargo test").1, Reach::Within);
    assert_eq!(reach("env A=1 nohup cargo test"), ("cargo test".to_owned(), Reach::Within));
}

#[test]
fn a_launcher_of_the_agents_own_is_not_looked_through() {
    let argv = ["timeout", "5", "cargo", "test"].map(str::to_owned);
    let reach =
        |program| Invocation::new(&argv, &program).steps.last().map(|step| step.reach).unwrap();
    assert_eq!(
        reach(ResolvedProgram::new("/usr/bin/timeout", "/usr/bin/timeout", false)),
        Reach::Whole
    );
    assert_eq!(reach(ResolvedProgram::new("/ws/timeout", "/ws/timeout", true)), Reach::Within);
}

#[test]
fn a_program_is_known_by_what_it_is_behind_a_symlink() {
    let argv = ["./tidy", "push"].map(str::to_owned);
    let linked = ResolvedProgram::new("/ws/tidy", "/usr/bin/git", true);
    assert_eq!(Invocation::new(&argv, &linked).effects, [Effect::Push { branches: None }]);
    let plain = ResolvedProgram::new("/ws/tidy", "/ws/tidy", true);
    assert_eq!(Invocation::new(&argv, &plain).effects, []);
}

#[test]
fn a_commit_after_a_change_of_branch_is_not_on_the_known_branch() {
    assert_eq!(read("git add . && git commit -m x").effects, [Effect::Commit { overrides: false }]);
    for line in [
        "git checkout main && git commit -m x",
        "git commit -m x; git switch main; git commit -m y",
    ] {
        assert_eq!(read(line).effects, [Effect::Commit { overrides: true }], "{line}");
    }
}

#[test]
fn endless_launchers_are_opaque() {
    let line = format!("{}git status", "nohup ".repeat(20));
    assert!(pushes(&line));
    let short = format!("{}git status", "nohup ".repeat(3));
    assert!(!pushes(&short));
}

proptest! {
    #[test]
    fn any_words_are_read(argv in prop::collection::vec("sh|bash|-c|-ec|env|git|push|eval|--|(?s).{0,16}", 0..8)) {
        let program = ResolvedProgram::unresolved(argv.first().map_or("", String::as_str));
        let read = Invocation::new(&argv, &program);
        prop_assert_eq!(&read.steps[0].argv, &argv);
    }

    #[test]
    fn whatever_a_command_does_it_does_behind_a_launcher_too(
        words in prop::collection::vec("git|push|commit|-C|x|-c|gh|pr|create|status", 1..5),
        launcher in prop::sample::select(vec!["env", "nohup", "timeout 5", "nice -n 3", "setsid", "busybox", "env A=1"]),
    ) {
        let plain: Vec<String> = words;
        let launched: Vec<String> = launcher.split(' ').map(str::to_owned).chain(plain.clone()).collect();
        let effects = |argv: &[String]| Invocation::new(argv, &ResolvedProgram::unresolved(&argv[0])).effects;
        for effect in effects(&plain) {
            prop_assert!(effects(&launched).contains(&effect));
        }
    }
}
