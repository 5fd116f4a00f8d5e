//! One request in one form: what a human is asked about, and what the grant is bound to.

use serde::Serialize;

use super::before::Before;
use super::operand::Operands;
use super::render::{self, Rendering};
use super::similar::Shape;
use crate::caller::Principal;
use crate::digest::Digest;
use crate::refusal::Unexpected;
use nucleus_wire::tool::ToolCall;

/// Version of the canonical form; part of the digest.
const VERSION: u32 = 1;

/// Everything a request for approval is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) task: &'a str,
    pub(crate) principal: &'a Principal,
    pub(crate) policy: Digest,
    pub(crate) call: &'a ToolCall,
    /// The command as judged, for a call that runs one.
    pub(crate) argv: Option<&'a [String]>,
    pub(crate) target: &'a str,
    /// Operation that needs approval.
    pub(crate) operation: &'static str,
    /// Rule that asks first.
    pub(crate) rule: &'static str,
    /// Every rule that asks, in words.
    pub(crate) because: &'a str,
}

/// A request for approval. Its digest covers everything that is shown and everything that will be used.
#[derive(Debug, Clone)]
pub(crate) struct ApprovalRequest {
    pub(crate) digest: Digest,
    pub(crate) policy: Digest,
    pub(crate) principal: Principal,
    pub(crate) operation: &'static str,
    pub(crate) rule: &'static str,
    pub(crate) target: String,
    pub(crate) rendering: Rendering,
    /// What a rule for similar calls looks at.
    pub(crate) shape: Shape,
}

/// The canonical form: one JSON object, members in this order, no whitespace.
#[derive(Serialize)]
struct Canonical<'a> {
    version: u32,
    task: &'a str,
    principal: &'a str,
    policy: String,
    operation: &'a str,
    rule: &'a str,
    because: &'a str,
    call: &'a ToolCall,
    argv: Option<&'a [String]>,
    operands: &'a Operands,
}

impl ApprovalRequest {
    pub(crate) fn new(
        subject: &Subject<'_>,
        operands: &Operands,
        before: &Before,
    ) -> Result<Self, Unexpected> {
        let canonical = Canonical {
            version: VERSION,
            task: subject.task,
            principal: subject.principal.as_str(),
            policy: subject.policy.hex(),
            operation: subject.operation,
            rule: subject.rule,
            because: subject.because,
            call: subject.call,
            argv: subject.argv,
            operands,
        };
        let bytes = serde_json::to_vec(&canonical)
            .map_err(|error| Unexpected::Canonical { what: "arguments", source: error.into() })?;
        Ok(Self {
            digest: Digest::of(&bytes),
            policy: subject.policy,
            principal: subject.principal.clone(),
            operation: subject.operation,
            rule: subject.rule,
            target: subject.target.to_owned(),
            rendering: render::rendering(subject, operands, before),
            shape: Shape::of(subject.call, subject.argv, operands),
        })
    }
}
