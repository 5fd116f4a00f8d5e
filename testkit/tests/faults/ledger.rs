//! Effects against intents: what the files of a session say happened, and what its log says was meant to.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::work::{ROUNDS, written};

/// The calls of a log.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Tool and target of every intent.
    pub(crate) intents: Vec<(String, String)>,
    /// Those whose outcome says that they succeeded.
    pub(crate) succeeded: Vec<(String, String)>,
    /// Calls whose outcome is missing.
    pub(crate) open: usize,
    /// Complete lines.
    pub(crate) entries: usize,
    /// The task recorded that its changes are about to be carried over.
    pub(crate) apply_begun: bool,
}

impl Ledger {
    /// Reads the complete lines of a log.
    pub(crate) fn read(log: &Path) -> Self {
        let text = std::fs::read(log).unwrap_or_default();
        let lines =
            text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
        Self::of(lines.map(|line| serde_json::from_slice(line).expect("a complete line is JSON")))
    }

    fn of(entries: impl Iterator<Item = Value>) -> Self {
        let mut ledger = Self::default();
        for entry in entries {
            ledger.entries += 1;
            let event = &entry["event"];
            let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            let call = (text("tool"), text("target"));
            match (text("phase").as_str(), text("result").as_str()) {
                _ if text("type") == "workspace_apply" => ledger.apply_begun = true,
                ("intent", _) => {
                    ledger.intents.push(call);
                    ledger.open += 1;
                }
                ("outcome", result) => {
                    ledger.open = ledger.open.saturating_sub(1);
                    // A job that was stopped may have been stopped before it did anything.
                    if result == "success" && event["detail"]["exit_signal"].is_null() {
                        ledger.succeeded.push(call);
                    }
                }
                _ => {}
            }
        }
        ledger
    }

    /// Every effect in `upper` that no intent announces, and every success that left no effect.
    pub(crate) fn contradictions(&self, upper: &BTreeMap<String, Option<Vec<u8>>>) -> Vec<String> {
        let mut found = Vec::new();
        let intended = |tool: &str, target: &str| {
            self.intents.iter().filter(|(t, at)| t == tool && at.contains(target)).count()
        };
        for (path, content) in upper {
            let announced = match path.as_str() {
                "counter.txt" => version(content.as_deref()) <= intended("edit", "counter.txt"),
                "sub/large.txt" => {
                    let round =
                        (0..ROUNDS).find(|round| content.as_deref() == Some(&written(*round)));
                    round.is_some_and(|round| intended("write", "sub/large.txt") > round)
                }
                path if path.starts_with("new/w") => {
                    let round = path
                        .trim_start_matches("new/w")
                        .trim_end_matches(".txt")
                        .parse()
                        .unwrap_or(usize::MAX);
                    intended("write", path) == 1 && content.as_deref() == Some(&written(round))
                }
                path if path.contains(".nucleus-write-") => {
                    !self.intents.is_empty() && content.is_some()
                }
                path => intended("run", path) == 1,
            };
            if !announced {
                found.push(format!(
                    "{path} ({:?} bytes) has no intent",
                    content.as_ref().map(Vec::len)
                ));
            }
        }
        for (tool, target) in &self.succeeded {
            let there = match tool.as_str() {
                "write" | "edit" => upper.contains_key(target),
                "run" => target
                    .split_whitespace()
                    .map(|word| word.trim_end_matches(';'))
                    .filter(|word| word.ends_with(".txt"))
                    .all(|path| upper.contains_key(path)),
                _ => true,
            };
            if !there {
                found.push(format!("{tool} {target} succeeded without effect"));
            }
        }
        found
    }
}

fn version(content: Option<&[u8]>) -> usize {
    let text = String::from_utf8_lossy(content.unwrap_or_default()).into_owned();
    text.trim().strip_prefix("version ").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX)
}

#[test]
fn an_effect_without_intent_is_found() {
    let entry = |phase: &str, tool: &str, target: &str| serde_json::json!({"event": {"phase": phase, "tool": tool, "target": target, "result": "success"}});
    let upper = BTreeMap::from([
        ("new/w0.txt".to_owned(), Some(written(0))),
        ("counter.txt".to_owned(), Some(b"version 2\n".to_vec())),
    ]);
    let all = [
        entry("intent", "write", "new/w0.txt"),
        entry("outcome", "write", "new/w0.txt"),
        entry("intent", "edit", "counter.txt"),
        entry("intent", "edit", "counter.txt"),
    ];
    assert_eq!(Ledger::of(all.clone().into_iter()).contradictions(&upper), Vec::<String>::new());
    for missing in [0, 2] {
        let some =
            all.iter().enumerate().filter(|(n, _)| *n != missing).map(|(_, entry)| entry.clone());
        assert_eq!(Ledger::of(some).contradictions(&upper).len(), 1, "without entry {missing}");
    }
    let half = BTreeMap::from([("new/w0.txt".to_owned(), Some(written(0)[..100].to_vec()))]);
    assert!(!Ledger::of(all.into_iter()).contradictions(&half).is_empty(), "a half-written file");
}
