use nucleus_log::{
    Durability, Event, Keys, Origin, Phase, Report, VerifyOptions, Writer, entries, verify,
};

use crate::{Record, Verdict};

/// Writes the events to a real log, lets `spoil` at the file, and reads the record back.
fn record(events: &[Event], spoil: impl FnOnce(&mut Vec<u8>)) -> Record {
    let place = tempfile::tempdir().unwrap();
    let keys = Keys::load_or_create(&place.path().join("keys")).unwrap();
    let log = place.path().join("log.jsonl");
    let writer = Writer::create(&log, &keys, Origin::parse("nucleus/session/t").unwrap()).unwrap();
    for event in events {
        writer.append(event, Durability::Written).unwrap();
    }
    writer.close().unwrap();
    let mut bytes = std::fs::read(&log).unwrap();
    spoil(&mut bytes);
    std::fs::write(&log, bytes).unwrap();
    let report: Report =
        verify(&log, &keys.verify_keys().unwrap(), &VerifyOptions::default()).unwrap();
    let mut why = None;
    let read: Vec<_> = entries(&log)
        .unwrap()
        .map_while(|entry| entry.map_err(|error| why = Some(error.to_string())).ok())
        .collect();
    Record::of(report, read, why)
}

fn call(id: &str, tool: &str, phase: Phase) -> Event {
    Event {
        phase,
        request_id: Some(id.to_owned()),
        tool: Some(tool.to_owned()),
        target: Some(format!("{tool} target")),
        ..Event::new("tool_execution", "agent")
    }
}

fn ended(id: &str, tool: &str, result: &str, cost: u64) -> Event {
    Event {
        result: Some(result.to_owned()),
        duration_ms: Some(3),
        cost_micro_usd: Some(cost),
        ..call(id, tool, Phase::Outcome)
    }
}

fn with(mut event: Event, name: &str, value: impl Into<serde_json::Value>) -> Event {
    event.detail.insert(name.to_owned(), value.into());
    event
}

/// A session with every kind of ending.
fn eventful() -> Vec<Event> {
    let start = Event {
        target: Some("s-1".to_owned()),
        rule: Some("fix-issue".to_owned()),
        ..Event::new("session_start", "agent")
    };
    let start = with(with(start, "limit_micro_usd", 5_000_000), "layer_seccomp", "full");
    let approved = Event { approval_id: Some("A1".to_owned()), ..call("2", "run", Phase::Intent) };
    let denied = Event {
        decision: Some("deny".to_owned()),
        result: Some("denied".to_owned()),
        rule: Some("deny.path.sensitive".to_owned()),
        ..call("3", "read", Phase::Decision)
    };
    let asked = Event {
        decision: Some("needs_approval".to_owned()),
        result: Some("pending".to_owned()),
        ..call("4", "run", Phase::Decision)
    };
    let refused = Event {
        rule: Some("deny.path.escape".to_owned()),
        ..with(ended("5", "read", "denied", 0), "layer", "resolver")
    };
    let model =
        with(with(ended("6", "model", "success", 40), "input_tokens", 7), "output_tokens", 2);
    let model = Event { kind: "model_call".into(), ..model };
    vec![
        start,
        call("1", "read", Phase::Intent),
        // Another call begins before the first one ends.
        approved,
        ended("1", "read", "success", 1),
        with(ended("2", "run", "success", 10), "exit_code", 101),
        with(denied, "layer", "policy"),
        asked,
        call("5", "read", Phase::Intent),
        refused,
        Event { kind: "model_call".into(), ..call("6", "model", Phase::Intent) },
        model,
        call("7", "run", Phase::Intent),
        ended("8-never-began", "run", "error", 5),
        with(
            Event { result: Some("finished".to_owned()), ..Event::new("session_end", "agent") },
            "applied",
            2,
        ),
    ]
}

#[test]
fn entries_of_a_call_are_one_step_and_sums_add_up() {
    let record = record(&eventful(), |_| {});
    let told: Vec<(&str, Verdict, u64)> =
        record.steps.iter().map(|s| (s.operation.as_str(), s.verdict, s.sequence)).collect();
    let expected = [
        ("session_start", Verdict::Noted, 1),
        ("read", Verdict::Allowed, 2),
        ("run", Verdict::Approved, 3),
        ("read", Verdict::Denied, 6),
        ("run", Verdict::Waiting, 7),
        ("read", Verdict::Denied, 8),
        ("model", Verdict::Allowed, 10),
        ("run", Verdict::Unfinished, 12),
        ("run", Verdict::Failed, 13),
        ("session_end", Verdict::Noted, 14),
    ];
    assert_eq!(told, expected);
    assert_eq!((record.steps[1].last_sequence, record.steps[1].cost_micro_usd), (4, Some(1)));
    assert_eq!(record.steps[2].result, ["exit 101"]);
    assert_eq!(record.steps[3].layer.as_deref(), Some("policy"));
    assert_eq!(record.steps[5].layer.as_deref(), Some("resolver"));
    assert_eq!(record.steps[6].tokens.map(|t| (t.input, t.output)), Some((7, 2)));
    assert_eq!(record.totals.cost_micro_usd, 56);
    assert_eq!(record.totals.verdicts[&Verdict::Denied], 2);
    assert_eq!(record.totals.verdicts.get(&Verdict::Noted), None);
    assert_eq!(
        (record.session.as_deref(), record.policy.as_deref()),
        (Some("s-1"), Some("fix-issue"))
    );
    assert_eq!(record.limits.cost_micro_usd, Some(5_000_000));
    assert_eq!(record.changes.applied, Some(2));
    assert_eq!(record.ending.as_deref(), Some("finished"));
}

#[test]
fn what_stands_behind_the_fault_is_shown_and_not_believed() {
    let events: Vec<Event> = (0..6)
        .flat_map(|n: u64| {
            let id = n.to_string();
            [call(&id, "run", Phase::Intent), ended(&id, "run", "success", 1_000)]
        })
        .collect();
    let whole = record(&events, |_| {});
    assert!(whole.is_verified() && whole.steps.iter().all(|step| step.proved));
    let spoilt = record(&events, |log| {
        let line = log.split(|b| *b == b'\n').take(7).map(|l| l.len() + 1).sum::<usize>();
        let at = log[line..].windows(4).position(|w| w == b"1000").unwrap() + line;
        log[at] = b'9';
    });
    assert!(!spoilt.is_verified());
    assert_eq!(spoilt.trusted_entries, 7);
    assert_eq!(spoilt.steps.len(), 6);
    let proved: Vec<bool> = spoilt.steps.iter().map(|step| step.proved).collect();
    assert_eq!(proved, [true, true, true, false, false, false]);
    assert_eq!(spoilt.totals.cost_micro_usd, 3_000, "what is not proved is not counted");
    let cut = record(&events, |log| log.truncate(log.len() / 2));
    assert!(!cut.is_verified() && cut.unreadable.is_some());
}

#[test]
fn what_ended_a_command_and_what_was_no_call_are_told_apart_and_counted() {
    let outcome = |id, result, word: &str| {
        let rule = Some(format!("run.{word}"));
        Event { rule, ..with(with(ended(id, "run", result, 1), "ending", word), "exit_signal", 9) }
    };
    let refused = |kind: &'static str, tool: &str, target: &str| Event {
        phase: Phase::Decision,
        tool: Some(tool.to_owned()),
        target: Some(target.to_owned()),
        decision: Some("deny".to_owned()),
        result: Some("denied".to_owned()),
        ..with(Event::new(kind, "agent"), "layer", "wire")
    };
    let flood = with(refused("malformed_call", "bogus", ""), "suppressed", 10);
    let flood = with(with(flood, "suppressed_denied", 3), "suppressed_failed", 2);
    let record = record(
        &[
            call("1", "run", Phase::Intent),
            outcome("1", "error", "timed_out"),
            call("2", "run", Phase::Intent),
            outcome("2", "stopped", "stopped"),
            call("3", "run", Phase::Intent),
            outcome("3", "stopped", "task_ended"),
            refused("malformed_call", "read", "../../etc/passwd"),
            refused("name_query", "dns", "attacker.invalid A"),
            // What is no call is in the record and in no sum.
            refused("approvals_peer", "approvals", ""),
            flood,
        ],
        |_| {},
    );
    let told: Vec<(Verdict, String)> =
        record.steps.iter().map(|step| (step.verdict, step.result.join(", "))).collect();
    let words = |verdict, text: &str| (verdict, text.to_owned());
    assert_eq!(
        told[..4],
        [
            words(Verdict::Failed, "timed out, killed by signal 9"),
            words(Verdict::Stopped, "stopped, killed by signal 9"),
            words(Verdict::Stopped, "task ended, killed by signal 9"),
            words(Verdict::Malformed, ""),
        ]
    );
    let malformed = &record.steps[3];
    assert_eq!(
        (malformed.operation.as_str(), malformed.target.as_deref(), malformed.layer.as_deref()),
        ("read", Some("../../etc/passwd"), Some("wire"))
    );
    let sums: Vec<(Verdict, u64)> =
        record.totals.verdicts.iter().map(|(verdict, sum)| (*verdict, *sum)).collect();
    let expected = [
        (Verdict::Denied, 1 + 3),
        (Verdict::Malformed, 2 + 5),
        (Verdict::Failed, 1 + 2),
        (Verdict::Stopped, 2),
    ];
    assert_eq!(sums, expected);
    assert_eq!(record.totals.suppressed, 10);
}

#[test]
fn nothing_behind_a_fault_is_told_as_a_fact() {
    let unpaired = |event: &Event| event.request_id.as_deref() == Some("8-never-began");
    let events: Vec<Event> = eventful().into_iter().filter(|event| !unpaired(event)).collect();
    let whole = record(&events, |_| {});
    assert!(whole.is_verified() && whole.reaches_end());
    let text = |record: &Record| {
        let lines = crate::proof_lines(&record.verification, record.trusted_entries);
        lines.into_iter().map(|line| line.text).collect::<Vec<_>>().join("\n")
    };
    assert!(text(&whole).contains("the log was closed in order"), "{}", text(&whole));
    assert!(whole.ending_words() == "finished" && whole.duration_words().starts_with("after "));
    // A change in the second line: only the first is left, which no checkpoint covers.
    let spoilt = record(&events, |log| {
        let second = log.iter().position(|b| *b == b'\n').unwrap() + 1;
        let at = log[second..].windows(6).position(|w| w == b"target").unwrap() + second;
        log[at] = b'T';
    });
    assert_eq!(spoilt.trusted_entries, 1);
    let lines = text(&spoilt);
    assert!(!lines.contains("1 to 0") && !lines.contains("closed in order"), "{lines}");
    assert!(lines.contains("how the log ended is not proved"), "{lines}");
    assert_eq!(spoilt.ending_words(), "the end is not proved");
    assert_eq!(spoilt.duration_words(), "");
    assert!(spoilt.totals.verdicts.is_empty() && !spoilt.reaches_end());
    // Control: a fault that cuts nothing off leaves the end standing.
    let unpaired = record(&eventful(), |_| {});
    assert!(!unpaired.is_verified() && unpaired.reaches_end());
    assert_eq!(unpaired.ending_words(), "finished");
}
