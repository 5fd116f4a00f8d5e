//! `[commands]`: rules over argv, written as a short text or as a list.
//!
//! The text form is read by [`CommandPattern::parse`]. In both forms every word stands for itself, except `*`: as the
//! last word it stands for any further arguments (none too), before that for exactly one argument. In the list form
//! nothing can be quoted, so an argument that *is* `*` needs the text form.

use lattice_guard::{ArgPattern, CommandLattice, CommandPattern};

use crate::file::{Expected, FileErrorKind, Item, Source, Table};
use crate::limits::{ARGV_MAX_ITEMS, POLICY_MAX_EXAMPLES};
use crate::text::quoted;

const RULE_KEYS: [&str; 4] = ["rule", "argv", "match", "not_match"];
const RULE_FORMS: &str = "a rule such as \"cargo test *\", or a table with `rule` or `argv`";

const ARGV_WORDS: &str = "a program by bare name or absolute path, then at most 255 arguments, \
     `*` alone for any";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Allow,
    Block,
}

pub(super) fn commands(root: &Table<'_, '_>, source: &mut Source<'_>) -> Option<CommandLattice> {
    let table = root.table("commands", source)?;
    table.only(&["allow", "block"], source);
    let allow = rules(&table, "allow", Side::Allow, source);
    let block = rules(&table, "block", Side::Block, source).unwrap_or_default();
    Some(CommandLattice::from_rules(allow, block))
}

fn rules(
    table: &Table<'_, '_>,
    key: &str,
    side: Side,
    source: &mut Source<'_>,
) -> Option<Vec<CommandPattern>> {
    let items = table.list(key, source)?;
    Some(items.iter().filter_map(|item| rule(item, side, source)).collect())
}

fn rule(item: &Item<'_, '_>, side: Side, source: &mut Source<'_>) -> Option<CommandPattern> {
    if !item.is_table() {
        return from_text(item, source, RULE_FORMS);
    }
    let table = item.table(source)?;
    table.only(&RULE_KEYS, source);
    let pattern = match (table.get("rule"), table.get("argv")) {
        (Some(text), None) => from_text(&text, source, "text"),
        (None, Some(argv)) => from_argv(&argv, source),
        (Some(_), Some(argv)) => {
            let kind = FileErrorKind::Conflict { with: "rule" };
            source.report(argv.span(), argv.key().to_owned(), kind);
            None
        }
        (None, None) => {
            table.missing("rule", RULE_FORMS, source);
            None
        }
    };
    let matching = examples(&table, "match", source);
    let not_matching = examples(&table, "not_match", source);
    let pattern = pattern?;
    for (expected, items) in [(Expected::Match, matching), (Expected::NoMatch, not_matching)] {
        for example in items {
            prove(&pattern, side, expected, &example, source);
        }
    }
    Some(pattern)
}

fn from_text(
    item: &Item<'_, '_>,
    source: &mut Source<'_>,
    expected: &'static str,
) -> Option<CommandPattern> {
    match CommandPattern::parse(item.text(expected, source)?) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            source.report_refused(item, &error);
            None
        }
    }
}

fn from_argv(item: &Item<'_, '_>, source: &mut Source<'_>) -> Option<CommandPattern> {
    let items = item.list(source)?;
    let mut words = Vec::with_capacity(items.len());
    for word in &items {
        words.push(word.text("text", source)?);
    }
    let within = words.len() <= ARGV_MAX_ITEMS && !words.iter().any(|word| word.contains('\0'));
    let pattern = if within { pattern(&words) } else { None };
    if pattern.is_none() {
        source.report_value(item, ARGV_WORDS);
    }
    pattern
}

/// The rule of some words, or nothing if the first names no program.
fn pattern(words: &[&str]) -> Option<CommandPattern> {
    let (program, arguments) = words.split_first()?;
    let relative = program.contains('/') && !program.starts_with('/');
    if program.is_empty() || relative || program.contains('*') {
        return None;
    }
    let last = arguments.len().saturating_sub(1);
    let args = arguments
        .iter()
        .enumerate()
        .map(|(index, word)| match *word {
            "*" if index == last => ArgPattern::AnyRemaining,
            "*" => ArgPattern::Any,
            word => ArgPattern::Exact(word.to_owned()),
        })
        .collect();
    Some(CommandPattern { program: (*program).to_owned(), args })
}

/// The examples of a rule: command lines.
fn examples<'t, 'i>(
    table: &Table<'t, 'i>,
    key: &str,
    source: &mut Source<'_>,
) -> Vec<Item<'t, 'i>> {
    let items = table.list(key, source).unwrap_or_default();
    if items.len() > POLICY_MAX_EXAMPLES {
        let kind = FileErrorKind::TooMany { items: items.len(), max_items: POLICY_MAX_EXAMPLES };
        if let Some(list) = table.get(key) {
            source.report(list.span(), list.key().to_owned(), kind);
        }
        return Vec::new();
    }
    items
}

/// Judges an example by the rule alone, exactly as a command is judged.
fn prove(
    pattern: &CommandPattern,
    side: Side,
    expected: Expected,
    example: &Item<'_, '_>,
    source: &mut Source<'_>,
) {
    let Some(line) = example.text("a command line", source) else { return };
    let rule = vec![pattern.clone()];
    let matches = match side {
        Side::Allow => CommandLattice::from_rules(Some(rule), Vec::new()).can_execute(line),
        Side::Block => !CommandLattice::from_rules(None, rule).can_execute(line),
    };
    if matches != (expected == Expected::Match) {
        let kind = FileErrorKind::Example { example: quoted(line), expected };
        source.report(example.span(), example.key().to_owned(), kind);
    }
}
