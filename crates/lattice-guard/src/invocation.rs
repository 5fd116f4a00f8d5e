//! A command as every rule sees it: its words, what it launches, what it openly does.

use crate::git::{Effect, GitCall, effects, git_call, unknown};
use crate::launcher::{Peeled, peel};
use crate::limits::{LAUNCHER_DEPTH_MAX, SHELL_DEPTH_MAX};
use crate::program::{ResolvedProgram, basename};
use crate::shell::{mentions, scan};

/// A command and everything that can be read off it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invocation {
    pub(crate) steps: Vec<Step>,
    pub(crate) effects: Vec<Effect>,
}

/// One command among those a command consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) argv: Vec<String>,
    pub(crate) program: ResolvedProgram,
    pub(crate) git: Option<GitCall>,
    /// More arguments follow that nobody knows yet.
    pub(crate) open_ended: bool,
    pub(crate) reach: Reach,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The command itself, or behind launchers that change nothing: a rule that allows it allows the command.
    Whole,
    /// Behind something that may change what it does: only blocks look here.
    Within,
}

impl Invocation {
    pub(crate) fn new(argv: &[String], program: &ResolvedProgram) -> Self {
        let mut reader = Reader { steps: Vec::new(), effects: Vec::new() };
        let outer = Step {
            argv: argv.to_vec(),
            program: program.clone(),
            git: git_call(argv, false),
            open_ended: false,
            reach: Reach::Whole,
        };
        reader.command(outer, 0);
        if basename(program.real()) != argv.first().map_or("", |argv0| basename(argv0)) {
            // Behind a symlink it may be git, or a shell, under another name.
            let argv =
                std::iter::once(program.real().to_owned()).chain(argv.iter().skip(1).cloned());
            reader.command(Step::found(argv.collect(), false, Reach::Within), 0);
        }
        reader.doubt_branches();
        Self { steps: reader.steps, effects: reader.effects }
    }
}

struct Reader {
    steps: Vec<Step>,
    effects: Vec<Effect>,
}

impl Reader {
    /// Takes a command and everything behind it.
    fn command(&mut self, outer: Step, shell_depth: usize) {
        let mut step = outer;
        for _ in 0..LAUNCHER_DEPTH_MAX {
            let (argv, open_ended, reach) = (step.argv.clone(), step.open_ended, step.reach);
            let own_file = step.program.agent_writable();
            // INVARIANT: a command stands before what is found in it; the first step is the command itself.
            self.steps.push(step);
            self.add_effects(effects(&argv, open_ended));
            self.shell(&argv, open_ended, shell_depth);
            match peel(&argv, open_ended) {
                Peeled::Whole => return,
                Peeled::Opaque => return self.opaque(&argv.join(" ")),
                Peeled::Inner(inner) => {
                    // A file of the agent's that is called `timeout` launches what it likes.
                    let reach = if inner.transparent && !own_file { reach } else { Reach::Within };
                    step = Step::found(inner.argv, inner.open_ended, reach);
                }
            }
        }
        // Launchers behind launchers behind launchers: no honest command looks like this.
        self.opaque(&step.argv.join(" "));
        self.steps.push(step);
    }

    /// If the command is a shell, takes the commands in its text.
    fn shell(&mut self, argv: &[String], open_ended: bool, depth: usize) {
        match shell_text(argv, open_ended) {
            ShellText::None => {}
            ShellText::Unknown => self.opaque(&argv.join(" ")),
            ShellText::Text(text) if depth >= SHELL_DEPTH_MAX => self.opaque(&text),
            ShellText::Text(text) => {
                let script = scan(&text);
                if script.opaque {
                    self.opaque(&text);
                }
                let reads_input = |argv: &[String]| {
                    argv.first().is_some_and(|program| SHELLS.contains(&basename(program)))
                };
                let feeds_a_shell =
                    script.commands.iter().any(|command| reads_input(&command.argv));
                for command in script.commands {
                    let inner = Step::found(command.argv, command.open_ended, Reach::Within);
                    self.command(inner, depth.saturating_add(1));
                }
                for input in script.inputs.into_iter().filter(|_| feeds_a_shell) {
                    let argv = vec!["sh".to_owned(), "-c".to_owned(), input];
                    let inner = Step::found(argv, false, Reach::Within);
                    self.command(inner, depth.saturating_add(1));
                }
            }
        }
    }

    /// A text that cannot be read: if it speaks of git or a forge, it may do anything with them.
    fn opaque(&mut self, text: &str) {
        if mentions(text, "git") || mentions(text, "hub") {
            self.add_effects(unknown());
        }
        if mentions(text, "gh") || mentions(text, "glab") {
            self.add_effects(vec![
                Effect::PullRequest { plain_draft: false },
                Effect::Push { branches: None },
            ]);
        }
    }

    /// A command that goes to another branch before it commits does not commit on the branch that is known.
    fn doubt_branches(&mut self) {
        if self.steps.iter().any(|step| step.git.as_ref().is_some_and(GitCall::changes_branch)) {
            for effect in &mut self.effects {
                if let Effect::Commit { overrides } = effect {
                    *overrides = true;
                }
            }
        }
    }

    fn add_effects(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            if !self.effects.contains(&effect) {
                self.effects.push(effect);
            }
        }
    }
}

impl Step {
    fn found(argv: Vec<String>, open_ended: bool, reach: Reach) -> Self {
        let program = ResolvedProgram::unresolved(argv.first().map_or("", String::as_str));
        let git = git_call(&argv, open_ended);
        Self { argv, program, git, open_ended, reach }
    }
}

const SHELLS: [&str; 11] =
    ["ash", "bash", "dash", "fish", "ksh", "mksh", "rbash", "sh", "yash", "zsh", "csh"];

enum ShellText {
    None,
    Unknown,
    Text(String),
}

/// The text a shell is given on its command line.
fn shell_text(argv: &[String], open_ended: bool) -> ShellText {
    let Some((program, args)) = argv.split_first() else { return ShellText::None };
    let name = basename(program);
    if name == "eval" {
        return if open_ended { ShellText::Unknown } else { ShellText::Text(args.join(" ")) };
    }
    if !SHELLS.contains(&name) {
        return ShellText::None;
    }
    let mut takes_text = false;
    let mut rest = args.iter();
    let unread = if open_ended { ShellText::Unknown } else { ShellText::None };
    while let Some(arg) = rest.next() {
        match arg.strip_prefix(['-', '+']) {
            Some("" | "-") => {
                return match rest.next() {
                    Some(text) if takes_text => ShellText::Text(text.clone()),
                    Some(_) => ShellText::None,
                    None => unread,
                };
            }
            Some("-rcfile" | "-init-file") => {
                rest.next();
            }
            // fish spells `-c` out.
            Some("-command") => takes_text = true,
            Some(long) if long.starts_with('-') => {
                if let Some(text) = long.strip_prefix("-command=") {
                    return ShellText::Text(text.to_owned());
                }
            }
            Some(letters) => {
                takes_text |= letters.contains('c');
                if letters.ends_with(['o', 'O']) {
                    rest.next();
                }
            }
            None if takes_text => return ShellText::Text(arg.clone()),
            None => return ShellText::None,
        }
    }
    unread
}

#[cfg(test)]
mod tests;
