//! The form of a provider's data file.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::ledger::CallKind;
use crate::shape::{ObjectText, UnionText};

/// A served method and path as a data file writes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteText {
    pub(super) method: String,
    /// Below the file's `base`; may hold `{model}` once.
    pub(super) path: String,
    pub(super) query: Vec<String>,
    /// The object a body is rebuilt as; absent for a list of models.
    pub(super) body: Option<String>,
    pub(super) kind: KindText,
    /// The route itself says that the answer is a stream.
    #[serde(default)]
    pub(super) stream: bool,
}

/// What a route does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum KindText {
    Generate,
    CountTokens,
    /// The gate's own answer: the models it has prices for.
    Models,
}

/// Lists of header fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeaderText {
    pub(super) pass: Vec<String>,
    pub(super) credential: Vec<String>,
    pub(super) answer: Vec<String>,
    /// Sent with every call; a client may send the same value and no other.
    #[serde(default)]
    pub(super) fixed: BTreeMap<String, String>,
}

/// Switches in a header field, of which only listed ones pass.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BetaText {
    pub(super) header: String,
    pub(super) pass: BTreeSet<String>,
    pub(super) oauth: String,
}

/// Limits of a provider.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsText {
    pub(super) call_output_tokens: u64,
    pub(super) least_output_tokens: u64,
    pub(super) least_thinking_tokens: u64,
    pub(super) context_tokens: u64,
    pub(super) image_tokens: u64,
}

/// A data file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DataText {
    pub(super) version: String,
    /// What stands before every path here, and at an upstream that is named without a path of its own.
    #[serde(default)]
    pub(super) base: String,
    /// Members of a body that are part of the prompt.
    pub(super) prompt: BTreeSet<String>,
    /// The member without which there is no prompt.
    pub(super) needs: String,
    pub(super) limits: LimitsText,
    pub(super) route: Vec<RouteText>,
    pub(super) header: HeaderText,
    pub(super) beta: Option<BetaText>,
    pub(super) object: BTreeMap<String, ObjectText>,
    pub(super) union: BTreeMap<String, UnionText>,
}

impl KindText {
    pub(super) fn call(self) -> Option<CallKind> {
        match self {
            Self::Generate => Some(CallKind::Generate),
            Self::CountTokens => Some(CallKind::CountTokens),
            Self::Models => None,
        }
    }
}
