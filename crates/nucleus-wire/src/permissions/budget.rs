use std::collections::BTreeSet;
use std::fmt;

use lattice_guard::{BudgetLimits, MicroUsd, Name, Tokens};

use crate::file::{FileErrorKind, FileErrors, Position, Source, Table, later_errors};
use crate::limits::{POLICY_MAX_COST_USD, POLICY_MAX_TOKENS};
use crate::profile::{self, DEFAULT_PROFILE};

const KEYS: [&str; 3] = ["max_cost_usd", "max_input_tokens", "max_output_tokens"];
const DECIMALS: usize = 6;

/// What an operator's file does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// The provider of the agent that runs, if it has one.
    pub provider: Option<Name>,
    /// Limits of the default profile.
    pub budget: BudgetLimits,
    /// How long the default profile is valid.
    pub valid_minutes: u64,
}

impl Defaults {
    /// The limits of the default profile, and the provider of the agent that runs.
    #[must_use]
    pub fn new(provider: Option<Name>) -> Self {
        match profile::by_name(DEFAULT_PROFILE) {
            Some(default) => Self {
                provider,
                budget: default.policy().budget.limits(&BudgetLimits::bottom()),
                valid_minutes: default.policy().valid_minutes.unwrap_or_default(),
            },
            None => Self { provider, budget: BudgetLimits::bottom(), valid_minutes: 0 },
        }
    }
}

/// A limit of `[budget]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BudgetLimit {
    /// `max_cost_usd`.
    Cost,
    /// `max_input_tokens`.
    InputTokens,
    /// `max_output_tokens`.
    OutputTokens,
}

impl BudgetLimit {
    /// The key in the file.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Cost => "max_cost_usd",
            Self::InputTokens => "max_input_tokens",
            Self::OutputTokens => "max_output_tokens",
        }
    }
}

impl fmt::Display for BudgetLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// The limits a file names, with their places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct BudgetSection {
    cost: Option<(MicroUsd, Position)>,
    input: Option<(Tokens, Position)>,
    output: Option<(Tokens, Position)>,
}

impl BudgetSection {
    pub(super) fn limits(&self, absent: &BudgetLimits) -> BudgetLimits {
        BudgetLimits {
            max_cost: self.cost.map_or(absent.max_cost, |(cost, _)| cost),
            max_input_tokens: self.input.map_or(absent.max_input_tokens, |(tokens, _)| tokens),
            max_output_tokens: self.output.map_or(absent.max_output_tokens, |(tokens, _)| tokens),
        }
    }

    pub(super) fn named(&self) -> BTreeSet<BudgetLimit> {
        self.places().map(|(limit, _)| limit).collect()
    }

    pub(super) fn refuse_unmeasured(
        &self,
        file: &str,
        measured: &BTreeSet<BudgetLimit>,
    ) -> Result<(), FileErrors> {
        let found: Vec<_> = self
            .places()
            .filter(|(limit, _)| !measured.contains(limit))
            .map(|(limit, position)| {
                (position, format!("budget.{limit}"), FileErrorKind::Unmeasured)
            })
            .collect();
        if found.is_empty() { Ok(()) } else { Err(later_errors(file, found)) }
    }

    fn places(&self) -> impl Iterator<Item = (BudgetLimit, Position)> {
        [
            self.cost.map(|(_, position)| (BudgetLimit::Cost, position)),
            self.input.map(|(_, position)| (BudgetLimit::InputTokens, position)),
            self.output.map(|(_, position)| (BudgetLimit::OutputTokens, position)),
        ]
        .into_iter()
        .flatten()
    }
}

pub(super) fn budget(root: &Table<'_, '_>, source: &mut Source<'_>) -> BudgetSection {
    let Some(table) = root.table("budget", source) else { return BudgetSection::default() };
    table.only(&KEYS, source);
    let tokens = |key: &str, source: &mut Source<'_>| {
        let item = table.get(key)?;
        let count = table.integer(key, 0..=POLICY_MAX_TOKENS, source)?;
        Some((Tokens::new(count), source.position(item.span().start)))
    };
    BudgetSection {
        cost: cost(&table, source),
        input: tokens("max_input_tokens", source),
        output: tokens("max_output_tokens", source),
    }
}

/// Dollars as decimal text, never through a binary fraction.
fn cost(table: &Table<'_, '_>, source: &mut Source<'_>) -> Option<(MicroUsd, Position)> {
    let item = table.get("max_cost_usd")?;
    let most = MicroUsd::new(POLICY_MAX_COST_USD.saturating_mul(1_000_000));
    let amount = item
        .decimal()
        .and_then(|written| MicroUsd::parse(&written).ok())
        .filter(|amount| *amount <= most);
    if amount.is_none() {
        source.report_value(
            &item,
            format!("dollars from 0 to {POLICY_MAX_COST_USD} with at most {DECIMALS} decimals, such as 2.0"),
        );
    }
    Some((amount?, source.position(item.span().start)))
}
