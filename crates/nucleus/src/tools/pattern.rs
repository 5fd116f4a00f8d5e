//! Search patterns: compiled with limits, or refused with the reason.
//!
//! The engine is linear in the text, so no pattern can hang it. The classes that blow up other engines are refused
//! all the same, because a pattern of such a class is a mistake or an attack: a repetition of
//! something that is itself a repetition (`(a+)+`), a repetition of alternatives that match the same (`(a|a)+`),
//! and counts of a thousand or more (`a{1000,}`).

use globset::{GlobBuilder, GlobMatcher};
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use regex_syntax::ast::{Ast, RepetitionKind, RepetitionRange, parse::ParserBuilder};
use regex_syntax::hir::{Class, HirKind};

use super::limits::{
    REGEX_CACHE_MAX_BYTES, REGEX_NEST_MAX, REGEX_PROGRAM_MAX_BYTES, REGEX_REPEAT_REFUSED,
};

/// Why a pattern is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatternFault {
    /// Nothing to look for.
    #[error("it is empty")]
    Empty,
    /// Longer than a pattern may be.
    #[error("it is longer than 1,024 bytes")]
    TooLong,
    /// It spans lines, and search is by line.
    #[error(
        "it holds a line break, and grep looks at one line at a time; search for one of the lines"
    )]
    LineBreak,
    /// Not a regular expression.
    #[error(
        "it is not a regular expression: {problem} at byte {offset}; escape special characters with a backslash"
    )]
    Syntax {
        /// The parser's words.
        problem: String,
        /// Where.
        offset: usize,
    },
    /// `(a+)+`.
    #[error(
        "it repeats without bound something that repeats itself, as in (a+)+, at byte {offset}; one repetition is enough"
    )]
    NestedRepeat {
        /// Where.
        offset: usize,
    },
    /// `(a|a)+`.
    #[error(
        "it repeats alternatives that match the same text, as in (a|a)+, at byte {offset}; make them disjoint"
    )]
    OverlappingAlternatives {
        /// Where.
        offset: usize,
    },
    /// `a{1000,}`.
    #[error(
        "it repeats {count} times, as in a{{1000,}}, at byte {offset}; use a count below 1,000"
    )]
    ExcessiveRepeat {
        /// The count.
        count: u32,
        /// Where.
        offset: usize,
    },
    /// Compiled, it is too large.
    #[error("it needs too much memory when compiled; make it simpler")]
    TooComplex,
    /// Not a glob.
    #[error("it is not a glob: {problem}")]
    Glob {
        /// The parser's words.
        problem: String,
    },
}

impl PatternFault {
    /// Stable code.
    #[must_use]
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Empty => "pattern.empty",
            Self::TooLong => "pattern.too_long",
            Self::LineBreak => "pattern.line_break",
            Self::Syntax { .. } => "pattern.syntax",
            Self::NestedRepeat { .. } => "pattern.nested_repeat",
            Self::OverlappingAlternatives { .. } => "pattern.overlapping_alternatives",
            Self::ExcessiveRepeat { .. } => "pattern.excessive_repeat",
            Self::TooComplex => "pattern.too_complex",
            Self::Glob { .. } => "pattern.glob",
        }
    }
}

/// Compiles a regular expression for a search by line.
pub(crate) fn regex(pattern: &str, ignore_case: bool) -> Result<RegexMatcher, PatternFault> {
    bounded(pattern)?;
    if pattern.contains('\n') {
        return Err(PatternFault::LineBreak);
    }
    let ast = ParserBuilder::new()
        .nest_limit(REGEX_NEST_MAX)
        .build()
        .parse(pattern)
        .map_err(|e| syntax(&e.kind().to_string(), e.span().start.offset))?;
    refuse_classes(&ast)?;
    RegexMatcherBuilder::new()
        .case_insensitive(ignore_case)
        .line_terminator(Some(b'\n'))
        .nest_limit(REGEX_NEST_MAX)
        .size_limit(REGEX_PROGRAM_MAX_BYTES)
        .dfa_size_limit(REGEX_CACHE_MAX_BYTES)
        .build(pattern)
        .map_err(|e| match e.kind() {
            grep_regex::ErrorKind::NotAllowed(_) => PatternFault::LineBreak,
            _ => refine(pattern),
        })
}

/// Compiles a glob over workspace-relative paths; `*` stays within one name.
pub(crate) fn glob(pattern: &str) -> Result<GlobMatcher, PatternFault> {
    bounded(pattern)?;
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|e| PatternFault::Glob { problem: e.kind().to_string() })
}

fn bounded(pattern: &str) -> Result<(), PatternFault> {
    if pattern.is_empty() {
        return Err(PatternFault::Empty);
    }
    if pattern.len() > nucleus_wire::limits::PATTERN_MAX_BYTES {
        return Err(PatternFault::TooLong);
    }
    Ok(())
}

fn syntax(problem: &str, offset: usize) -> PatternFault {
    PatternFault::Syntax { problem: problem.to_owned(), offset }
}

/// Whether a pattern the builder refused is wrong or only too large.
fn refine(pattern: &str) -> PatternFault {
    match regex_syntax::ParserBuilder::new().nest_limit(REGEX_NEST_MAX).build().parse(pattern) {
        Err(regex_syntax::Error::Parse(e)) => syntax(&e.kind().to_string(), e.span().start.offset),
        Err(regex_syntax::Error::Translate(e)) => {
            syntax(&e.kind().to_string(), e.span().start.offset)
        }
        _ => PatternFault::TooComplex,
    }
}

/// Looks at every node for the three classes. Depth is bounded by the parser's nesting limit.
fn refuse_classes(ast: &Ast) -> Result<(), PatternFault> {
    match ast {
        Ast::Repetition(repetition) => {
            let offset = repetition.span.start.offset;
            let kind = &repetition.op.kind;
            if let Some(count) = highest_count(kind).filter(|n| *n >= REGEX_REPEAT_REFUSED) {
                return Err(PatternFault::ExcessiveRepeat { count, offset });
            }
            if unbounded(kind) {
                if may_be_one_repeat(&repetition.ast) {
                    return Err(PatternFault::NestedRepeat { offset });
                }
                if overlapping(&repetition.ast) {
                    return Err(PatternFault::OverlappingAlternatives { offset });
                }
            }
            refuse_classes(&repetition.ast)
        }
        Ast::Group(group) => refuse_classes(&group.ast),
        Ast::Alternation(alternation) => alternation.asts.iter().try_for_each(refuse_classes),
        Ast::Concat(concat) => concat.asts.iter().try_for_each(refuse_classes),
        Ast::Empty(_)
        | Ast::Flags(_)
        | Ast::Literal(_)
        | Ast::Dot(_)
        | Ast::Assertion(_)
        | Ast::ClassUnicode(_)
        | Ast::ClassPerl(_)
        | Ast::ClassBracketed(_) => Ok(()),
    }
}

fn unbounded(kind: &RepetitionKind) -> bool {
    matches!(
        kind,
        RepetitionKind::ZeroOrMore
            | RepetitionKind::OneOrMore
            | RepetitionKind::Range(RepetitionRange::AtLeast(_))
    )
}

fn highest_count(kind: &RepetitionKind) -> Option<u32> {
    match kind {
        RepetitionKind::Range(
            RepetitionRange::Exactly(n)
            | RepetitionRange::AtLeast(n)
            | RepetitionRange::Bounded(_, n),
        ) => Some(*n),
        _ => None,
    }
}

/// Whether what is repeated can be nothing but one unbounded repetition: then the same text splits into rounds in
/// many ways. `(a+)+` and `(a*b?)+` are of this kind; `(\w+\.)+` is not, its dot marks each round.
fn may_be_one_repeat(ast: &Ast) -> bool {
    match ast {
        Ast::Repetition(inner) => unbounded(&inner.op.kind) || may_be_one_repeat(&inner.ast),
        Ast::Group(group) => may_be_one_repeat(&group.ast),
        Ast::Alternation(alternation) => alternation.asts.iter().any(may_be_one_repeat),
        Ast::Concat(concat) => concat.asts.iter().enumerate().any(|(at, one)| {
            let others = concat.asts.iter().enumerate().filter(|(other, _)| *other != at);
            may_be_one_repeat(one) && others.map(|(_, other)| other).all(may_be_empty)
        }),
        _ => false,
    }
}

fn may_be_empty(ast: &Ast) -> bool {
    match ast {
        Ast::Empty(_) | Ast::Flags(_) | Ast::Assertion(_) => true,
        Ast::Repetition(repetition) => {
            let zero = match &repetition.op.kind {
                RepetitionKind::ZeroOrOne | RepetitionKind::ZeroOrMore => true,
                RepetitionKind::OneOrMore => false,
                RepetitionKind::Range(
                    RepetitionRange::Exactly(n)
                    | RepetitionRange::AtLeast(n)
                    | RepetitionRange::Bounded(n, _),
                ) => *n == 0,
            };
            zero || may_be_empty(&repetition.ast)
        }
        Ast::Group(group) => may_be_empty(&group.ast),
        Ast::Alternation(alternation) => alternation.asts.iter().any(may_be_empty),
        Ast::Concat(concat) => concat.asts.iter().all(may_be_empty),
        _ => false,
    }
}

/// Whether what is repeated is a choice with two branches that match the same text: equal branches, or single
/// characters with one in common.
fn overlapping(ast: &Ast) -> bool {
    match ast {
        Ast::Group(group) => overlapping(&group.ast),
        Ast::Alternation(alternation) => {
            let branches: Vec<Branch> = alternation.asts.iter().map(Branch::of).collect();
            let pairs = branches.iter().enumerate().flat_map(|(at, left)| {
                branches.iter().skip(at.saturating_add(1)).map(move |right| (left, right))
            });
            let mut pairs = pairs;
            pairs.any(|(left, right)| left.overlaps(right))
        }
        _ => false,
    }
}

/// One branch of a choice.
struct Branch {
    text: String,
    characters: Option<regex_syntax::hir::ClassUnicode>,
}

impl Branch {
    fn of(ast: &Ast) -> Self {
        let text = ast.to_string();
        let characters = regex_syntax::parse(&text).ok().and_then(|hir| one_character(hir.kind()));
        Self { text, characters }
    }

    fn overlaps(&self, other: &Self) -> bool {
        if self.text == other.text {
            return true;
        }
        let (Some(mine), Some(theirs)) = (&self.characters, &other.characters) else {
            return false;
        };
        let mut common = mine.clone();
        common.intersect(theirs);
        !common.ranges().is_empty()
    }
}

/// The characters matched by something that matches exactly one.
fn one_character(kind: &HirKind) -> Option<regex_syntax::hir::ClassUnicode> {
    match kind {
        HirKind::Class(Class::Unicode(class)) => Some(class.clone()),
        HirKind::Class(Class::Bytes(class)) => class.to_unicode_class(),
        HirKind::Literal(literal) => {
            let mut characters = std::str::from_utf8(&literal.0).ok()?.chars();
            let one = characters.next().filter(|_| characters.next().is_none())?;
            let range = regex_syntax::hir::ClassUnicodeRange::new(one, one);
            Some(regex_syntax::hir::ClassUnicode::new([range]))
        }
        HirKind::Capture(capture) => one_character(capture.sub.kind()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
