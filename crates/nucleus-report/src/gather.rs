//! Joins entries into steps.

use std::collections::{BTreeMap, HashMap};

use nucleus_log::{Entry, Report};

use crate::member::Members;
use crate::record::{Changes, Limits, Record, Totals};
use crate::step::{Step, Tokens, Verdict};

/// Prefix of the members of a session's first entry that name its layers.
const LAYER: &str = "layer_";
/// Members of `detail` that a step shows in words of its own.
const TOLD: [&str; 20] = [
    "channel",
    "layer",
    "ending",
    "exit",
    "exit_code",
    "exit_signal",
    "truncated",
    "job",
    "suppressed",
    "suppressed_denied",
    "suppressed_failed",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "reserved_micro_usd",
    "reserved_input_tokens",
    "reserved_output_tokens",
    "limit_micro_usd",
    "limit_input_tokens",
    "limit_output_tokens",
];

/// The record in the making.
pub(crate) struct Gather {
    trusted: u64,
    read: u64,
    first: Option<(u64, String)>,
    started: Option<String>,
    ended: Option<String>,
    duration_us: Option<u64>,
    head: Head,
    totals: Totals,
    open: HashMap<String, usize>,
    steps: Vec<Step>,
}

/// What the session's own entries say of it.
#[derive(Default)]
struct Head {
    session: Option<String>,
    policy: Option<String>,
    policy_digest: Option<String>,
    driver: Option<String>,
    scope: Option<String>,
    layers: BTreeMap<String, String>,
    ending: Option<String>,
    limits: Limits,
    changes: Changes,
}

impl Gather {
    pub(crate) fn new(trusted: u64) -> Self {
        Self {
            trusted,
            read: 0,
            first: None,
            started: None,
            ended: None,
            duration_us: None,
            head: Head::default(),
            totals: Totals::default(),
            open: HashMap::new(),
            steps: Vec::new(),
        }
    }

    /// Takes the next entry.
    pub(crate) fn entry(&mut self, entry: &Entry) {
        self.read = self.read.saturating_add(1);
        let members = Members::new(entry.members());
        let offset = self.offset(&members);
        // The reader counts for itself: a number on a line that does not verify is only a claim.
        let proved = self.read <= self.trusted;
        if proved {
            self.started.get_or_insert_with(|| entry.timestamp.clone());
            self.ended = Some(entry.timestamp.clone());
            self.duration_us = offset.or(self.duration_us);
            self.head.see(&members);
        }
        let phase = members.text("phase").unwrap_or_default();
        let request = members.text("request_id");
        let known = request.as_ref().and_then(|id| self.open.get(id)).copied();
        if let (Some(index), "outcome" | "note") = (known, phase.as_str())
            && let Some(step) = self.steps.get_mut(index)
        {
            step.last_sequence = entry.sequence;
            step.end_offset_us = offset;
            step.proved &= proved;
            if phase == "outcome" {
                end(step, &members);
                if let Some(id) = &request {
                    self.open.remove(id);
                }
            }
            step.result.extend(words(&members));
            if proved {
                self.sum(&members);
            }
            return;
        }
        if proved {
            self.sum(&members);
        }
        let step = begin(entry, &members, &phase, offset, proved);
        if let (Some(id), "intent") = (request, phase.as_str()) {
            self.open.insert(id, self.steps.len());
        }
        self.steps.push(step);
    }

    fn sum(&mut self, members: &Members) {
        let add = |sum: &mut u64, more: Option<u64>| *sum = sum.saturating_add(more.unwrap_or(0));
        let totals = &mut self.totals;
        add(&mut totals.cost_micro_usd, members.number("cost_micro_usd"));
        add(&mut totals.input_tokens, members.detail_number("input_tokens"));
        add(&mut totals.output_tokens, members.detail_number("output_tokens"));
        add(&mut totals.cached_input_tokens, members.detail_number("cached_input_tokens"));
        let suppressed = members.detail_number("suppressed").unwrap_or(0);
        add(&mut totals.suppressed, Some(suppressed));
        // Counted like those that were written, so that every reader of the session comes to the same sums.
        let denied = members.detail_number("suppressed_denied").unwrap_or(0);
        let failed = members.detail_number("suppressed_failed").unwrap_or(0);
        let malformed = suppressed.saturating_sub(denied).saturating_sub(failed);
        for (verdict, more) in
            [(Verdict::Denied, denied), (Verdict::Failed, failed), (Verdict::Malformed, malformed)]
        {
            if more > 0 {
                add(totals.verdicts.entry(verdict).or_insert(0), Some(more));
            }
        }
    }

    /// Microseconds since the first entry, if the machine was not started anew since.
    fn offset(&mut self, members: &Members) -> Option<u64> {
        let now = members.number("monotonic_us")?;
        let boot = members.text("boot_id")?;
        let (first, first_boot) = self.first.get_or_insert_with(|| (now, boot.clone()));
        (*first_boot == boot).then(|| now.saturating_sub(*first))
    }

    /// The record.
    pub(crate) fn finish(mut self, verification: Report, unreadable: Option<String>) -> Record {
        for step in &self.steps {
            if step.counts() {
                let count = self.totals.verdicts.entry(step.verdict).or_insert(0);
                *count = count.saturating_add(1);
            }
        }
        let head = self.head;
        Record {
            session: head.session,
            policy: head.policy,
            policy_digest: head.policy_digest,
            driver: head.driver,
            scope: head.scope,
            layers: head.layers,
            started: self.started,
            ended: self.ended,
            duration_us: self.duration_us,
            ending: head.ending,
            limits: head.limits,
            totals: self.totals,
            changes: head.changes,
            verification,
            trusted_entries: self.trusted,
            read_entries: self.read,
            unreadable,
            steps: self.steps,
        }
    }
}

impl Head {
    fn see(&mut self, members: &Members) {
        match members.text("type").as_deref() {
            Some("session_start") => {
                self.session = members.text("target");
                self.policy = members.text("rule");
                self.policy_digest = members.text("policy_digest");
                self.driver = members.detail("driver");
                self.scope = members.detail("scope");
                self.limits = Limits {
                    cost_micro_usd: members.detail_number("limit_micro_usd"),
                    input_tokens: members.detail_number("limit_input_tokens"),
                    output_tokens: members.detail_number("limit_output_tokens"),
                };
                for (name, value) in members.details() {
                    if let Some(layer) = name.strip_prefix(LAYER) {
                        self.layers.insert(layer.to_owned(), crate::member::shown(value));
                    }
                }
            }
            Some("workspace_changes") => self.changes.sha256 = members.detail("sha256"),
            Some("session_end") => {
                self.ending = members.text("result");
                self.changes.applied = members.detail_number("applied");
                self.changes.held = members.detail_number("held");
                self.changes.conflicts = members.detail_number("conflicts");
            }
            _ => {}
        }
    }
}

/// The step that an entry begins.
fn begin(entry: &Entry, members: &Members, phase: &str, offset: Option<u64>, proved: bool) -> Step {
    let kind = members.text("type").unwrap_or_default();
    let mut step = Step {
        sequence: entry.sequence,
        last_sequence: entry.sequence,
        time: entry.timestamp.clone(),
        offset_us: offset,
        end_offset_us: offset,
        operation: members.text("tool").unwrap_or_else(|| kind.clone()),
        target: members.text("target"),
        principal: members.text("principal"),
        verdict: verdict(&kind, phase, members),
        rule: members.text("rule"),
        layer: members.detail("layer"),
        approval: members.text("approval_id"),
        result: Vec::new(),
        duration_ms: members.number("duration_ms"),
        cost_micro_usd: members.number("cost_micro_usd"),
        tokens: None,
        proved,
        kind,
    };
    if step.kind == "session_start" {
        // What it says is the head of the record.
        return step;
    }
    step.result = words(members);
    if matches!(step.verdict, Verdict::Noted) || step.kind == "approval" {
        step.result.splice(0..0, members.text("result"));
    }
    step
}

/// What the outcome adds.
fn end(step: &mut Step, members: &Members) {
    let result = members.text("result");
    step.verdict = match result.as_deref() {
        Some("success") if step.approval.is_some() => Verdict::Approved,
        Some("success") => Verdict::Allowed,
        Some("denied") => Verdict::Denied,
        Some("stopped") => Verdict::Stopped,
        _ => Verdict::Failed,
    };
    step.rule = members.text("rule").or_else(|| step.rule.take());
    step.layer = members.detail("layer").or_else(|| step.layer.take());
    step.duration_ms = members.number("duration_ms");
    step.cost_micro_usd = members.number("cost_micro_usd");
    if step.kind == "model_call" {
        step.tokens = members.detail_number("input_tokens").map(|input| Tokens {
            input,
            output: members.detail_number("output_tokens").unwrap_or(0),
            cached: members.detail_number("cached_input_tokens").unwrap_or(0),
        });
    }
}

fn verdict(kind: &str, phase: &str, members: &Members) -> Verdict {
    let result = members.text("result");
    if kind == "approval" {
        return match result.as_deref() {
            Some("granted") => Verdict::Approved,
            Some("refused" | "expired" | "withdrawn") => Verdict::Denied,
            _ => Verdict::Noted,
        };
    }
    match (members.text("decision").as_deref(), result.as_deref()) {
        _ if phase == "intent" => Verdict::Unfinished,
        (Some("deny"), _) if kind == "malformed_call" => Verdict::Malformed,
        (Some("deny"), _) | (_, Some("denied")) => Verdict::Denied,
        (Some("needs_approval"), _) => Verdict::Waiting,
        (_, Some("error")) => Verdict::Failed,
        _ => Verdict::Noted,
    }
}

/// What an entry says of the result, in a few words each.
fn words(members: &Members) -> Vec<String> {
    let mut words = Vec::new();
    let mut say = |text: Option<String>| words.extend(text);
    say(members.detail("ending").map(|word| word.replace('_', " ")));
    // Of a command of the user's, in words already.
    say(members.detail("exit"));
    say(members.detail("exit_code").map(|code| format!("exit {code}")));
    say(members.detail("exit_signal").map(|signal| format!("killed by signal {signal}")));
    say(members.detail("job").map(|job| format!("job {job} in the background")));
    say(members
        .number("bytes_returned")
        .filter(|bytes| *bytes > 0)
        .map(|bytes| format!("{bytes} bytes")));
    say(members.detail("truncated").map(|_| "truncated".to_owned()));
    say(members.detail_number("input_tokens").map(|input| {
        format!(
            "{input} tokens in, {} out, {} cached",
            members.detail_number("output_tokens").unwrap_or(0),
            members.detail_number("cached_input_tokens").unwrap_or(0)
        )
    }));
    say(members
        .detail_number("suppressed")
        .map(|n| format!("and {n} more that were only counted")));
    for (name, value) in members.details() {
        if !TOLD.contains(&name.as_str()) && !name.starts_with(LAYER) {
            words.push(format!("{} {}", name.replace('_', " "), crate::member::shown(value)));
        }
    }
    words
}

#[cfg(test)]
mod tests;
