//! Which commands.

use serde::{Deserialize, Serialize};

use crate::clause::{Atom, Clauses};
use crate::command_pattern::{CommandPattern, Likeness};
use crate::invocation::{Invocation, Reach};
use crate::program::ResolvedProgram;
use crate::reason::Reason;
use crate::split::split_command;

/// The command dimension: rules over argument vectors.
///
/// A rule *allows* only what it surely means: the command itself, or the command behind launchers that change nothing.
/// A rule *blocks* whatever it may mean: behind any launcher, inside a shell's text, under another path.
///
/// LIMIT: what a program does once it runs is not on its command line. An allow list says which programs start;
/// a block list is a courtesy to honest agents, and nothing rests on it. [`explain`](crate::explain()) says for
/// each rule which layer really holds it.
///
/// ```
/// use lattice_guard::{ArgPattern, CommandLattice, CommandPattern};
///
/// let mut commands = CommandLattice::permissive();
/// commands.block_rule(CommandPattern { program: "bash".into(), args: vec![ArgPattern::AnyRemaining] });
/// assert!(commands.can_execute("cargo test --release"));
/// assert!(!commands.can_execute("env bash -c 'echo hi'"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandLattice(Clauses<CommandPattern>);

impl CommandLattice {
    /// Every command.
    #[must_use]
    pub const fn permissive() -> Self {
        Self::top()
    }

    /// No command.
    #[must_use]
    pub fn nothing() -> Self {
        Self::bottom()
    }

    /// Every command.
    #[must_use]
    pub const fn top() -> Self {
        Self(Clauses::top())
    }

    /// No command.
    #[must_use]
    pub fn bottom() -> Self {
        Self(Clauses::bottom())
    }

    /// The lists of a policy file. `allow: None` is every command, an empty list is none; blocks hold against both.
    #[must_use]
    pub fn from_rules(allow: Option<Vec<CommandPattern>>, block: Vec<CommandPattern>) -> Self {
        let allowed = allow.map_or_else(Clauses::top, Clauses::only);
        Self(allowed.meet(&Clauses::except(block)))
    }

    /// Adds an alternative to what is allowed. Where everything is allowed already it changes nothing, and blocks still
    /// hold. Since nothing is below every block, [`CommandLattice::nothing`] remembers none: block after allowing, or
    /// use [`CommandLattice::from_rules`].
    #[expect(clippy::needless_pass_by_value, reason = "callers hand the rule over")]
    pub fn allow_rule(&mut self, rule: CommandPattern) {
        self.0.add_alternative(&rule);
    }

    /// Blocks what the rule may mean.
    pub fn block_rule(&mut self, rule: CommandPattern) {
        self.0 = self.0.meet(&Clauses::except([rule]));
    }

    /// The rules behind the list.
    #[must_use]
    pub const fn clauses(&self) -> &Clauses<CommandPattern> {
        &self.0
    }

    /// True if the line may run, read by shell rules (see [`split_command`]).
    #[must_use]
    pub fn can_execute(&self, line: &str) -> bool {
        self.can_execute_argv(&split_command(line).into_argv())
    }

    /// True if the argument vector may run. An empty one, or one with a NUL byte, runs nowhere.
    #[must_use]
    pub fn can_execute_argv(&self, argv: &[String]) -> bool {
        let Some(program) = argv.first() else { return false };
        let invocation = Invocation::new(argv, &ResolvedProgram::unresolved(program));
        self.admit(&invocation).is_ok()
    }

    /// What both let run.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        Self(self.0.meet(&other.0))
    }

    /// True if this lets no more run than `other` (sound, not complete).
    #[must_use]
    pub fn leq(&self, other: &Self) -> bool {
        self.0.leq(&other.0)
    }

    pub(crate) fn admit(&self, invocation: &Invocation) -> Result<(), Reason> {
        let Some(outer) = invocation.steps.first() else { return Err(Reason::CommandEmpty) };
        let program = outer.argv.first().filter(|program| !program.is_empty());
        if program.is_none() || outer.argv.iter().any(|arg| arg.contains('\0')) {
            return Err(Reason::CommandEmpty);
        }
        let holds = |atom: &Atom<CommandPattern>| match atom {
            Atom::Is(rule) => invocation
                .steps
                .iter()
                .any(|step| step.reach == Reach::Whole && rule.likeness(step) == Likeness::Surely),
            Atom::Not(rule) => {
                invocation.steps.iter().all(|step| rule.likeness(step) == Likeness::No)
            }
        };
        let name = || outer.program.name().to_owned();
        // A block is the better explanation where both an allow list and a block refuse.
        let blocking = || self.0.blocks().find(|rule| !holds(&Atom::Not((*rule).clone())));
        match self.0.first_broken(holds) {
            None => Ok(()),
            Some(_) => Err(match blocking() {
                Some(rule) => Reason::CommandBlocked { program: name(), rule: rule.clone() },
                None => Reason::CommandNotAllowed { program: name() },
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::command_pattern::ArgPattern;

    fn rule(text: &str) -> CommandPattern {
        CommandPattern::parse(text).unwrap()
    }

    fn only(rules: &[&str]) -> CommandLattice {
        CommandLattice::from_rules(Some(rules.iter().map(|text| rule(text)).collect()), Vec::new())
    }

    fn without(rules: &[&str]) -> CommandLattice {
        CommandLattice::from_rules(None, rules.iter().map(|text| rule(text)).collect())
    }

    #[test]
    fn the_documented_example_holds() {
        let mut cmds = CommandLattice::permissive();
        cmds.allow_rule(CommandPattern::exact("cargo", &["test"]));
        cmds.block_rule(CommandPattern {
            program: "bash".to_string(),
            args: vec![ArgPattern::AnyRemaining],
        });
        assert!(cmds.can_execute("cargo test --release"));
        assert!(!cmds.can_execute("bash -c 'echo hi'"));
    }

    #[test]
    fn disjoint_lists_leave_no_command() {
        let both = only(&["cargo *"]).meet(&only(&["curl *"]));
        assert!(
            !both.can_execute("cargo test")
                && !both.can_execute("curl x")
                && !both.can_execute("ls")
        );
        assert!(only(&["cargo *"]).can_execute("cargo test"), "positive control");
    }

    #[test]
    fn an_empty_list_allows_nothing() {
        assert!(!only(&[]).can_execute("true"));
        assert!(!CommandLattice::nothing().can_execute("true"));
        assert!(CommandLattice::permissive().can_execute("true"), "positive control");
    }

    #[test]
    fn blocked_programs_are_found_behind_launchers_paths_and_shells() {
        let commands = without(&["bash *"]);
        for line in [
            "bash -c x",
            "bash -ec x",
            "bash -lc x",
            "bash",
            "/bin/bash -c x",
            "./bash",
            "env bash -c x",
            "env -i A=1 bash -c x",
            "env -S 'bash -c x'",
            "nohup bash -c x",
            "timeout 5 bash -c x",
            "nice -n 3 bash",
            "setsid bash",
            "xargs bash -c x",
            "busybox bash",
            "echo a | bash",
            "sh -c 'bash -c x'",
            "$(bash)",
            "true; bash x",
        ] {
            assert!(!commands.can_execute(line), "{line}");
        }
        for line in
            ["echo bash", "ls bash", "cat bash.txt", "rebash x", "cargo test", "sh -c 'echo bash'"]
        {
            assert!(commands.can_execute(line), "{line}");
        }
    }

    #[test]
    fn words_that_contain_words_are_no_matches() {
        let commands = without(&["eval *", "exec *"]);
        for line in ["echo medieval", "cargo test executor", "grep evaluation src"] {
            assert!(commands.can_execute(line), "{line}");
        }
        assert!(!commands.can_execute("eval x"));
    }

    #[test]
    fn a_block_on_a_git_operation_survives_git_options() {
        let commands = without(&["git push *"]);
        for line in [
            "git push",
            "git push origin main",
            "git -C . push",
            "git -c a.b=c push",
            "git --git-dir=x push -f",
            "/usr/bin/git push",
            "env git -C x push",
            "git --no-pager push",
            "xargs git",
            "git -c alias.p=push --zzz p",
        ] {
            assert!(!commands.can_execute(line), "{line}");
        }
        for line in ["git status", "git -C . log", "git log push", "git add push"] {
            assert!(commands.can_execute(line), "{line}");
        }
    }

    #[test]
    fn an_allowed_command_is_not_a_different_one() {
        let commands = only(&["git log *", "git status", "cargo test *"]);
        for line in [
            "git log",
            "git -C sub log -1",
            "git --no-pager status",
            "cargo test --release",
            "timeout 60 cargo test",
        ] {
            assert!(commands.can_execute(line), "{line}");
        }
        for line in [
            "git push",
            "git status -s",
            "git -c core.fsmonitor=/tmp/x status",
            "git --exec-path=/tmp log",
            "./cargo test",
            "/tmp/cargo test",
            "env LD_PRELOAD=/tmp/x cargo test",
            "env -S 'cargo test'",
            "./timeout 5 cargo test",
            "/tmp/env cargo test",
            "cargo test; curl x",
            "cargo test && true",
            "sh -c 'cargo test'",
            "xargs git status",
            "cargo",
            "X=1 cargo test",
        ] {
            assert!(!commands.can_execute(line), "{line}");
        }
    }

    #[test]
    fn arguments_are_not_joined() {
        let commands = only(&["git log a b"]);
        assert!(commands.can_execute_argv(&["git".into(), "log".into(), "a".into(), "b".into()]));
        assert!(!commands.can_execute_argv(&["git".into(), "log".into(), "a b".into()]));
    }

    #[test]
    fn what_cannot_start_is_refused() {
        let all = CommandLattice::permissive();
        assert!(!all.can_execute("") && !all.can_execute("   ") && !all.can_execute_argv(&[]));
        assert!(!all.can_execute_argv(&[String::new()]));
        assert!(!all.can_execute("echo 'a\0b'"));
        assert!(!all.can_execute_argv(&["echo".into(), "a\0b".into()]));
    }

    #[test]
    fn allowing_more_never_lifts_a_block() {
        let mut commands = without(&["curl *"]);
        commands.allow_rule(rule("curl *"));
        assert!(!commands.can_execute("curl x"));
        let mut listed = CommandLattice::from_rules(Some(Vec::new()), vec![rule("git push *")]);
        listed.allow_rule(rule("git *"));
        listed.block_rule(rule("git push *"));
        assert!(!listed.can_execute("git push") && listed.can_execute("git log"));
    }

    proptest! {
        #[test]
        fn any_line_is_judged(line in "[a-c \"'$|;-]{0,24}|(?s).{0,32}") {
            let _ = CommandLattice::permissive().can_execute(&line);
            prop_assert!(!CommandLattice::nothing().can_execute(&line));
        }
    }
}
