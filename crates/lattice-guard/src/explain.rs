//! Which layer really holds each rule.

use std::collections::BTreeSet;
use std::fmt;

use crate::clause::{Atom, Clause, sole_block};
use crate::decide::Envelope;
use crate::gate::GateMode;
use crate::isolation::IsolationLevel;
use crate::level::Level;
use crate::name::Names;
use crate::operation::Operation;
use crate::packages::Registry;
use crate::reason::Dimension;

/// What holds a rule when the agent does not want to keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// The decision, for every call through the door.
    Decision,
    /// The file tools, on the name a path resolves to.
    FileTools,
    /// The pods' file systems: what is masked or not mounted is not there.
    PodFiles,
    /// The pods' networks: what is not connected cannot be reached.
    PodNetwork,
    /// The gate that every connection out of a pod passes.
    NetworkGate,
    /// The model gate, which alone has the key.
    ModelGate,
    /// The reservation that every effect makes first.
    Budget,
    /// The start of the run, which is refused.
    Start,
    /// The application of changes to the workspace, which waits for review.
    Apply,
    /// Whoever releases credentials.
    Broker,
    /// Nothing: an honest agent keeps it.
    Nothing,
}

impl Holder {
    /// The name shown to people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::FileTools => "file tools",
            Self::PodFiles => "pod file system",
            Self::PodNetwork => "pod network",
            Self::NetworkGate => "network gate",
            Self::ModelGate => "model gate",
            Self::Budget => "budget",
            Self::Start => "start of the run",
            Self::Apply => "apply",
            Self::Broker => "credential broker",
            Self::Nothing => "nothing",
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One rule of an envelope, and who keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The part of the policy.
    pub dimension: Dimension,
    /// The rule, as people write it.
    pub rule: String,
    /// Who keeps it.
    pub holders: Vec<Holder>,
    /// What that does not cover, or why it is enough.
    pub note: &'static str,
}

/// Says of every rule which layer holds it against a program that ignores it.
///
/// The decision sees calls, not what a program does once it runs; so as long as `run_bash` is open, a rule is held only by
/// walls around the program, or it is not held and this says so.
#[must_use]
pub fn explain(envelope: &Envelope) -> Vec<Explanation> {
    let mut explanations = Vec::new();
    levels(envelope, &mut explanations);
    paths(envelope, &mut explanations);
    commands(envelope, &mut explanations);
    network(envelope, &mut explanations);
    models(envelope, &mut explanations);
    limits(envelope, &mut explanations);
    gate(envelope, &mut explanations);
    explanations
}

fn runs(envelope: &Envelope) -> bool {
    envelope.permissions().levels.get(Operation::RunBash) > Level::Never
}

fn levels(envelope: &Envelope, into: &mut Vec<Explanation>) {
    let connected = !envelope.permissions().network.is_bottom();
    for (operation, level) in envelope.permissions().levels.iter() {
        let (holders, note) = match operation {
            Operation::ReadFiles | Operation::GlobSearch | Operation::GrepSearch
                if level < Level::Always && runs(envelope) =>
            {
                (
                    vec![Holder::Decision],
                    "holds for the tools; a command can read whatever its pod shows",
                )
            }
            Operation::WriteFiles | Operation::EditFiles
                if level < Level::Always && runs(envelope) =>
            {
                (
                    vec![Holder::Decision, Holder::Apply],
                    "a command can write the overlay; what is executed unasked waits for review",
                )
            }
            Operation::GitCommit if level < Level::Always && runs(envelope) => (
                vec![Holder::Decision, Holder::Apply],
                "read off the command line; a hidden commit lands in the overlay and is applied with `.git` as one unit",
            ),
            Operation::GitPush
            | Operation::CreatePr
            | Operation::WebFetch
            | Operation::WebSearch
                if level < Level::Always && runs(envelope) && connected =>
            {
                (
                    vec![Holder::Decision, Holder::NetworkGate],
                    "a command reaches the named hosts, but with no credential of yours",
                )
            }
            Operation::GitPush
            | Operation::CreatePr
            | Operation::WebFetch
            | Operation::WebSearch
                if !connected =>
            {
                (
                    vec![Holder::Decision, Holder::PodNetwork],
                    "pods have no network and no credential",
                )
            }
            _ => (vec![Holder::Decision], "every such call passes the decision"),
        };
        into.push(Explanation {
            dimension: Dimension::Levels,
            rule: format!("{operation} = \"{level}\""),
            holders,
            note,
        });
    }
}

fn paths(envelope: &Envelope, into: &mut Vec<Explanation>) {
    let paths = &envelope.permissions().paths;
    for clause in paths.rules.clauses().iter() {
        let (holders, note) = match sole_block(clause) {
            Some(_) => (
                vec![Holder::FileTools, Holder::PodFiles],
                "masked in every pod; files that appear there later are held",
            ),
            None if runs(envelope) => (
                vec![Holder::FileTools],
                "holds for the tools; a command can read whatever its pod shows",
            ),
            None => (vec![Holder::FileTools], "only the tools touch files"),
        };
        into.push(Explanation { dimension: Dimension::Paths, rule: list(clause), holders, note });
    }
    let named: BTreeSet<String> = paths.named_globs().into_iter().collect();
    let rule = if paths.sensitive.clauses().is_top() {
        "sensitive paths: all allowed".to_owned()
    } else if named.is_empty() {
        "sensitive paths: none allowed".to_owned()
    } else {
        format!("sensitive paths: only {}", named.into_iter().collect::<Vec<_>>().join(" "))
    };
    into.push(Explanation {
        dimension: Dimension::Paths,
        rule,
        holders: vec![Holder::FileTools, Holder::PodFiles],
        note: "what is not allowed by name is masked in every pod",
    });
}

fn commands(envelope: &Envelope, into: &mut Vec<Explanation>) {
    for clause in envelope.permissions().commands.clauses().iter() {
        let (holders, note) = if sole_block(clause).is_some() {
            (
                vec![Holder::Nothing],
                "a courtesy: the same can be had in other words; the pod's walls hold either way",
            )
        } else {
            (
                vec![Holder::Decision],
                "says which programs start; what they start is inside the pod's walls",
            )
        };
        into.push(Explanation {
            dimension: Dimension::Commands,
            rule: list(clause),
            holders,
            note,
        });
    }
}

fn network(envelope: &Envelope, into: &mut Vec<Explanation>) {
    let hosts = &envelope.permissions().network;
    if hosts.is_bottom() {
        into.push(Explanation {
            dimension: Dimension::Network,
            rule: "no host".to_owned(),
            holders: vec![Holder::PodNetwork],
            note: "pods have a network of their own with nothing in it",
        });
    }
    let packages = &envelope.permissions().packages;
    if !packages.is_bottom() {
        let names: Vec<&str> = packages.iter().map(Registry::name).collect();
        into.push(Explanation {
            dimension: Dimension::Network,
            rule: format!("packages = {}", names.join(", ")),
            holders: vec![Holder::Decision, Holder::NetworkGate],
            note: "commands can fetch what these registries list, and send them nothing but names",
        });
    }
    for clause in hosts.clauses().iter().filter(|clause| !clause.is_empty()) {
        into.push(Explanation {
            dimension: Dimension::Network,
            rule: list(clause),
            holders: vec![Holder::Decision, Holder::NetworkGate],
            note: "a named host sees whatever is sent to it",
        });
    }
}

fn models(envelope: &Envelope, into: &mut Vec<Explanation>) {
    let models = &envelope.permissions().model;
    into.push(Explanation {
        dimension: Dimension::Model,
        rule: names("providers", &models.providers),
        holders: vec![Holder::ModelGate],
        note: "the key is outside the pod, and the gate knows one origin",
    });
    for clause in models.visible.clauses().iter() {
        let holders = match sole_block(clause) {
            Some(_) => vec![Holder::FileTools, Holder::PodFiles],
            None => vec![Holder::FileTools],
        };
        into.push(Explanation {
            dimension: Dimension::Model,
            rule: format!("visible: {}", list(clause)),
            holders,
            note: "by path: content that was copied elsewhere is not followed",
        });
    }
}

fn limits(envelope: &Envelope, into: &mut Vec<Explanation>) {
    let permissions = envelope.permissions();
    let mut push =
        |dimension, rule, holders, note| into.push(Explanation { dimension, rule, holders, note });
    let budget = permissions.budget;
    push(
        Dimension::Budget,
        format!(
            "{}, {} input and {} output tokens",
            budget.max_cost, budget.max_input_tokens, budget.max_output_tokens
        ),
        vec![Holder::Budget, Holder::ModelGate],
        "reserved before each effect; output is clamped to what is left",
    );
    push(
        Dimension::Time,
        format!(
            "from {} ms to {} ms",
            permissions.time.not_before_ms(),
            permissions.time.not_after_ms()
        ),
        vec![Holder::Decision],
        "checked for each call; a command that runs is killed by its own timeout",
    );
    let isolation = &permissions.isolation;
    if isolation.minimum > IsolationLevel::None || !isolation.full_layers.is_empty() {
        let layers: Vec<&str> = isolation.full_layers.iter().map(|layer| layer.name()).collect();
        push(
            Dimension::Isolation,
            format!("minimum = \"{}\", in full: [{}]", isolation.minimum, layers.join(", ")),
            vec![Holder::Start],
            "probed from inside a pod before anything runs",
        );
    }
    push(
        Dimension::Credentials,
        names("credentials", &permissions.credentials),
        vec![Holder::Broker],
        "used outside the pod; no secret enters it",
    );
    push(
        Dimension::Delegation,
        format!("{} generations", permissions.delegation.generations()),
        vec![Holder::Decision],
        "a child's envelope is below its parent's and inherits gate and label",
    );
}

fn gate(envelope: &Envelope, into: &mut Vec<Explanation>) {
    let gate = envelope.gate();
    let (rule, note) = match (gate.mode(), gate.armed()) {
        (_, false) => {
            ("open", "private data, untrusted content and a way out do not come together here")
        }
        (GateMode::Static, true) => (
            "approval for each push, pull request and command",
            "all three legs are in the envelope",
        ),
        (GateMode::Exposure, true) => (
            "approval for each way out once the task has seen private data and untrusted content",
            "an approval is for one call; what the task has seen stays seen",
        ),
    };
    into.push(Explanation {
        dimension: Dimension::Gate,
        rule: rule.to_owned(),
        holders: vec![Holder::Decision],
        note,
    });
}

fn names(what: &str, names: &Names) -> String {
    match names {
        Names::All => format!("{what}: all"),
        Names::Only(names) if names.is_empty() => format!("{what}: none"),
        Names::Only(names) => {
            let names: Vec<&str> = names.iter().map(crate::name::Name::as_str).collect();
            format!("{what}: {}", names.join(", "))
        }
    }
}

fn list<T: fmt::Display + Ord>(clause: &Clause<T>) -> String {
    if clause.is_empty() {
        return "nothing allowed".to_owned();
    }
    let atoms: Vec<String> = clause
        .iter()
        .map(|atom| match atom {
            Atom::Is(rule) => format!("allow \"{rule}\""),
            Atom::Not(rule) => format!("block \"{rule}\""),
        })
        .collect();
    atoms.join(" or ")
}

#[cfg(test)]
mod tests;
