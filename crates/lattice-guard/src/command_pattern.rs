//! One command rule.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::invocation::Step;
use crate::program::basename;
use crate::split::{Stars, read_words};

/// What one argument may be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArgPattern {
    /// This text, whole.
    Exact(String),
    /// Any one argument.
    Any,
    /// Any number of arguments, none included.
    AnyRemaining,
}

/// A program and the arguments it may have.
///
/// The program is a bare name (the program found under it on the pod's search path) or an absolute path. Arguments are
/// compared one by one, never joined: `["log", "a b"]` is not `["log", "a", "b"]`, and `["test"]` alone is `cargo test`
/// without further arguments. For `git` the options in front of the subcommand are looked through: a rule
/// for `git push` means `git -C sub push` too.
///
/// ```
/// use lattice_guard::{ArgPattern, CommandPattern};
/// let rule = CommandPattern::parse("git log * HEAD").unwrap();
/// assert_eq!(rule.args.len(), 3);
/// assert_eq!(CommandPattern::parse("cargo test *").unwrap().args.last(), Some(&ArgPattern::AnyRemaining));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandPattern {
    /// The program, by bare name or absolute path.
    pub program: String,
    /// Its arguments.
    pub args: Vec<ArgPattern>,
}

impl CommandPattern {
    /// The program with exactly these arguments.
    #[must_use]
    pub fn exact(program: &str, args: &[&str]) -> Self {
        Self {
            program: program.to_owned(),
            args: args.iter().map(|arg| ArgPattern::Exact((*arg).to_owned())).collect(),
        }
    }

    /// The program with any arguments.
    #[must_use]
    pub fn program(program: &str) -> Self {
        Self { program: program.to_owned(), args: vec![ArgPattern::AnyRemaining] }
    }

    /// Reads the notation of policy files: words as a shell splits them, where an unquoted `*` is any number of
    /// arguments at the end and any one argument elsewhere.
    ///
    /// # Errors
    /// Refuses what is not a list of plain words, a `*` that is part of a word (arguments match whole or not at all),
    /// and a wildcard or relative path as the program.
    pub fn parse(text: &str) -> Result<Self, CommandPatternError> {
        let words = read_words(text, Stars::Letters).ok_or(CommandPatternError::NotPlain)?;
        let Some((program, args)) = words.split_first() else {
            return Err(CommandPatternError::Empty);
        };
        if program.text.is_empty() {
            return Err(CommandPatternError::Empty);
        }
        let relative = program.text.contains('/') && !program.text.starts_with('/');
        if relative || program.text.contains('*') && !program.quoted {
            return Err(CommandPatternError::Program);
        }
        let last = args.len().saturating_sub(1);
        let args = args
            .iter()
            .enumerate()
            .map(|(index, word)| match word.text.as_str() {
                "*" if !word.quoted && index == last => Ok(ArgPattern::AnyRemaining),
                "*" if !word.quoted => Ok(ArgPattern::Any),
                partial if partial.contains('*') && !word.quoted => {
                    Err(CommandPatternError::PartialWildcard)
                }
                exact => Ok(ArgPattern::Exact(exact.to_owned())),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { program: program.text.clone(), args })
    }

    /// How surely the rule matches one step of a command.
    pub(crate) fn likeness(&self, step: &Step) -> Likeness {
        if !step.program.is_possibly(&self.program) {
            return Likeness::No;
        }
        let args = step.argv.get(1..).unwrap_or_default();
        let literal = self.args_likeness(args, step.open_ended);
        let beyond_options = match &step.git {
            Some(_) if basename(&self.program) != "git" => Likeness::No,
            Some(call) if call.opaque => Likeness::Possibly,
            Some(call) => {
                let likeness = self.args_likeness(&call.args, step.open_ended);
                if call.plain { likeness } else { likeness.min(Likeness::Possibly) }
            }
            None => Likeness::No,
        };
        let args = literal.max(beyond_options);
        if step.program.is_surely(&self.program) { args } else { args.min(Likeness::Possibly) }
    }

    fn args_likeness(&self, args: &[String], open_ended: bool) -> Likeness {
        let star = self.args.iter().position(|arg| *arg == ArgPattern::AnyRemaining);
        let fixed = self.args.get(..star.unwrap_or(self.args.len())).unwrap_or_default();
        if !fixed.iter().zip(args).all(|(pattern, arg)| pattern.matches(arg)) {
            return Likeness::No;
        }
        let later = star.and_then(|star| self.args.get(star..)).unwrap_or_default();
        let complete = args.get(fixed.len()..).is_some_and(|rest| rest_matches(later, rest));
        let stays_complete = later.last() == Some(&ArgPattern::AnyRemaining);
        match (complete, open_ended) {
            (true, false) => Likeness::Surely,
            (true, true) if stays_complete => Likeness::Surely,
            // Arguments still to come can complete it, unless there are too many already.
            (_, true) if star.is_some() || args.len() <= fixed.len() => Likeness::Possibly,
            _ => Likeness::No,
        }
    }
}

impl ArgPattern {
    fn matches(&self, arg: &str) -> bool {
        match self {
            Self::Exact(text) => text == arg,
            Self::Any | Self::AnyRemaining => true,
        }
    }
}

/// Matches what begins with an `AnyRemaining`, taking as little as possible for each and going back to the latest.
fn rest_matches(patterns: &[ArgPattern], args: &[String]) -> bool {
    let (mut at_pattern, mut at_arg) = (0_usize, 0_usize);
    let mut retry: Option<(usize, usize)> = None;
    while let Some(arg) = args.get(at_arg) {
        match patterns.get(at_pattern) {
            Some(ArgPattern::AnyRemaining) => {
                at_pattern = at_pattern.saturating_add(1);
                retry = Some((at_pattern, at_arg));
                continue;
            }
            Some(pattern) if pattern.matches(arg) => {
                at_pattern = at_pattern.saturating_add(1);
                at_arg = at_arg.saturating_add(1);
                continue;
            }
            _ => {}
        }
        let Some((pattern, taken)) = retry else { return false };
        at_pattern = pattern;
        at_arg = taken.saturating_add(1);
        retry = Some((pattern, at_arg));
    }
    patterns
        .get(at_pattern..)
        .unwrap_or_default()
        .iter()
        .all(|pattern| *pattern == ArgPattern::AnyRemaining)
}

/// How surely a rule means a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Likeness {
    /// It does not.
    No,
    /// It may: reason enough to block, not to allow.
    Possibly,
    /// It does.
    Surely,
}

impl fmt::Display for CommandPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.program))?;
        let last = self.args.len().saturating_sub(1);
        for (index, arg) in self.args.iter().enumerate() {
            match arg {
                ArgPattern::Exact(text) => write!(f, " {}", shown(text))?,
                ArgPattern::AnyRemaining if index == last => f.write_str(" *")?,
                // Not writable in the notation of policy files, which has no use for them.
                ArgPattern::AnyRemaining => f.write_str(" **")?,
                ArgPattern::Any if index == last => f.write_str(" ?")?,
                ArgPattern::Any => f.write_str(" *")?,
            }
        }
        Ok(())
    }
}

fn shown(word: &str) -> String {
    let plain = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(c, '-' | '_' | '.' | '/' | ':' | '=' | '+' | '@' | ',')
    };
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

impl FromStr for CommandPattern {
    type Err = CommandPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// Why a text is not a command rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandPatternError {
    /// No program.
    Empty,
    /// Needs a shell to read.
    NotPlain,
    /// A `*` as part of a word.
    PartialWildcard,
    /// The program is a wildcard or a relative path.
    Program,
}

impl fmt::Display for CommandPatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the rule names no program",
            Self::NotPlain => "a rule is a program and its arguments; it cannot hold pipes, variables or other shell syntax",
            Self::PartialWildcard => "`*` stands for whole arguments; quote it to mean the character",
            Self::Program => "the program is a bare name or an absolute path",
        })
    }
}

impl std::error::Error for CommandPatternError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn args(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn pattern(text: &str) -> CommandPattern {
        CommandPattern::parse(text).unwrap()
    }

    #[test]
    fn arguments_are_compared_one_by_one() {
        let rule = pattern("git log 'a b'");
        assert_eq!(rule.args_likeness(&args(&["log", "a b"]), false), Likeness::Surely);
        assert_eq!(rule.args_likeness(&args(&["log", "a", "b"]), false), Likeness::No);
        assert_eq!(
            pattern("cargo test").args_likeness(&args(&["test", "--release"]), false),
            Likeness::No
        );
        assert_eq!(
            pattern("cargo test *").args_likeness(&args(&["test"]), false),
            Likeness::Surely
        );
        assert_eq!(
            pattern("git * HEAD").args_likeness(&args(&["log", "HEAD"]), false),
            Likeness::Surely
        );
        assert_eq!(
            pattern("git * HEAD").args_likeness(&args(&["log", "-1", "HEAD"]), false),
            Likeness::No
        );
    }

    #[test]
    fn arguments_to_come_make_a_rule_possible_and_not_sure() {
        assert_eq!(pattern("git push").args_likeness(&args(&[]), true), Likeness::Possibly);
        assert_eq!(pattern("git push").args_likeness(&args(&["push"]), true), Likeness::Possibly);
        assert_eq!(pattern("git push").args_likeness(&args(&["log"]), true), Likeness::No);
        assert_eq!(pattern("git push").args_likeness(&args(&["push", "x"]), true), Likeness::No);
        assert_eq!(pattern("grep *").args_likeness(&args(&["x"]), true), Likeness::Surely);
    }

    #[test]
    fn a_remainder_in_the_middle_goes_back_to_find_its_end() {
        let rule = CommandPattern {
            program: "x".to_owned(),
            args: vec![
                ArgPattern::AnyRemaining,
                ArgPattern::Exact("a".to_owned()),
                ArgPattern::Any,
            ],
        };
        assert_eq!(rule.args_likeness(&args(&["a", "a", "b", "a", "c"]), false), Likeness::Surely);
        assert_eq!(rule.args_likeness(&args(&["a", "a", "b", "c"]), false), Likeness::No);
        assert_eq!(rule.args_likeness(&args(&["b"]), true), Likeness::Possibly);
    }

    #[test]
    fn rules_are_plain_words() {
        assert_eq!(CommandPattern::parse(""), Err(CommandPatternError::Empty));
        assert_eq!(CommandPattern::parse("''"), Err(CommandPatternError::Empty));
        assert_eq!(CommandPattern::parse("a | b"), Err(CommandPatternError::NotPlain));
        assert_eq!(CommandPattern::parse("cargo --x=*"), Err(CommandPatternError::PartialWildcard));
        assert_eq!(CommandPattern::parse("./a"), Err(CommandPatternError::Program));
        assert_eq!(CommandPattern::parse("*"), Err(CommandPatternError::Program));
        assert_eq!(
            pattern("find . -name '*.rs'"),
            CommandPattern::exact("find", &[".", "-name", "*.rs"])
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_shown_rules_read_back(text in "[a-c*'/ ]{0,16}|.{0,16}") {
            if let Ok(rule) = CommandPattern::parse(&text) {
                prop_assert_eq!(CommandPattern::parse(&rule.to_string()), Ok(rule));
            }
        }
    }
}
