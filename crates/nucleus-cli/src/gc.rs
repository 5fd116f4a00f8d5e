//! `nucleus gc`: removes what nobody needs any more, and the same at the start of a run that is over its quota.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread::JoinHandle;

use nucleus_sandbox::storage::{self, Item, Kind, Need};
use nucleus_wire::config::Config;
use nucleus_wire::display::escape;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::amount::{self, now_ms};
use crate::args::GcArgs;
use crate::environment::Environment;
use crate::failure::CliFailure;
use crate::page::{Page, json_block, print};
use crate::screen::style::Tone;
use crate::sessions::failed;
use crate::settings;
use crate::state::State;

/// Most bytes kept when nothing else is said.
pub(crate) const MAX_BYTES: u64 = 20 * 1024 * 1024 * 1024;
/// Days after which unused things go when nothing else is said.
pub(crate) const KEEP_DAYS: u64 = 30;
/// A run does not measure again for so long when there was room, and a quota spares a home that was used since.
const MEASURED_FOR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 86_400_000;

/// What may go.
#[derive(Debug, Clone, Copy)]
struct Rule {
    now_ms: u64,
    /// By age: nothing when absent.
    keep_days: Option<u64>,
    max_bytes: u64,
    force: bool,
}

/// `gc.json`: what the last measurement found.
#[derive(Debug, Serialize, Deserialize)]
struct Measured {
    at_ms: u64,
    bytes: u64,
}

/// Removes by age and quota.
pub(crate) fn run(args: &GcArgs, env: &Environment) -> Result<u8, CliFailure> {
    let state = State::open(env)?;
    let rule = rule(args, &state)?;
    let items = storage::survey(&state.dir).map_err(|error| failed(&error))?;
    let total: u64 = items.iter().map(|item| item.bytes).sum();
    let mut freed = 0_u64;
    let mut gone = Vec::new();
    let mut kept = Vec::new();
    for item in chosen(&items, rule) {
        if args.dry_run {
            freed = freed.saturating_add(item.bytes);
            gone.push(item);
            continue;
        }
        match storage::remove(&state.dir, item, rule.force) {
            Ok(Some(bytes)) => {
                freed = freed.saturating_add(bytes);
                gone.push(item);
            }
            Ok(None) => kept.push((item, "a task began to use it".to_owned())),
            Err(error) => kept.push((item, error.to_string())),
        }
    }
    let left = total.saturating_sub(freed);
    if !args.dry_run {
        note(&state.dir, left);
    }
    let unapplied = items.iter().filter(|item| item.need == Need::Unapplied && !rule.force).count();
    if args.json {
        let object =
            |item: &Item| json!({"kind": item.kind.word(), "name": item.name, "bytes": item.bytes});
        let removed: Vec<_> = gone.iter().map(|item| object(item)).collect();
        let failed: Vec<_> = kept
            .iter()
            .map(|(item, why)| json!({"kind": item.kind.word(), "name": item.name, "reason": why}))
            .collect();
        let value = json!({"dry_run": args.dry_run, "removed": removed, "not_removed": failed, "freed_bytes": freed,
                           "left_bytes": left, "max_bytes": rule.max_bytes, "unapplied_sessions": unapplied});
        print(&json_block(&value));
        return Ok(0);
    }
    let page = Page::new(env);
    let verb = if args.dry_run { "would remove" } else { "removed" };
    for item in &gone {
        let (kind, size) = (item.kind.word(), amount::bytes(item.bytes));
        let age = amount::age(item.used_ms, rule.now_ms);
        print(&format!("{verb} {kind:<8} {} ({size}, unused for {age})\n", escape(&item.name)));
    }
    for (item, why) in &kept {
        let mark = page.paint(Tone::Ask, "kept");
        print(&format!("{mark} {:<8} {}: {}\n", item.kind.word(), escape(&item.name), escape(why)));
    }
    print(&format!(
        "{} {}, {} left of at most {}\n",
        if args.dry_run { "would free" } else { "freed" },
        amount::bytes(freed),
        amount::bytes(left),
        amount::bytes(rule.max_bytes)
    ));
    if unapplied > 0 {
        print(&format!(
            "{unapplied} sessions hold changes that were never applied: see `nucleus review --list`; --force removes old ones too\n"
        ));
    }
    Ok(0)
}

fn rule(args: &GcArgs, state: &State) -> Result<Rule, CliFailure> {
    let (admin, _) = settings::admin(state)?;
    let config = settings::user(state)?.or(&admin.settings);
    Ok(Rule {
        now_ms: now_ms(),
        keep_days: args.older_than.or(config.storage_keep_days).or(Some(KEEP_DAYS)),
        max_bytes: args.max_bytes.or(config.storage_max_bytes).unwrap_or(MAX_BYTES),
        force: args.force,
    })
}

/// What goes, in order: what a removal that died left, then by age, then what can be made again before what cannot.
fn chosen(items: &[Item], rule: Rule) -> Vec<&Item> {
    let may = |item: &Item| match item.need {
        Need::InUse => false,
        Need::Unapplied => rule.force,
        Need::None => true,
    };
    let age_ms = |item: &Item| rule.now_ms.saturating_sub(item.used_ms);
    let old = |item: &Item| {
        rule.keep_days.is_some_and(|days| age_ms(item) >= days.saturating_mul(DAY_MS))
    };
    let (mut go, mut rest): (Vec<&Item>, Vec<&Item>) = items
        .iter()
        .filter(|item| may(item))
        .partition(|item| matches!(item.kind, Kind::Trash | Kind::Rehearsal) || old(item));
    let total: u64 = items.iter().map(|item| item.bytes).sum();
    let mut left = total.saturating_sub(go.iter().map(|item| item.bytes).sum());
    let rank = |item: &Item| match item.kind {
        Kind::Trash | Kind::Rehearsal => 0_u8,
        Kind::Cache => 1,
        Kind::Session => 2,
        Kind::Home => 3,
    };
    // A home has no lock: one that was used just now may be about to be used again.
    rest.retain(|item| item.kind != Kind::Home || age_ms(item) >= MEASURED_FOR_MS);
    rest.sort_by_key(|item| (rank(item), item.used_ms));
    for item in rest {
        if left <= rule.max_bytes {
            break;
        }
        left = left.saturating_sub(item.bytes);
        go.push(item);
    }
    go
}

/// Begins to make room beside a run when the last measurement is old or found too much. What it removed is for the
/// user to hear at the end.
pub(crate) fn beside(state: &State, config: &Config) -> Option<JoinHandle<Option<Room>>> {
    let max_bytes = config.storage_max_bytes.unwrap_or(MAX_BYTES);
    let measured: Option<Measured> = std::fs::read(state.dir.join("gc.json"))
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let now_ms = now_ms();
    let fresh = measured.is_some_and(|last| {
        last.bytes <= max_bytes && now_ms.saturating_sub(last.at_ms) < MEASURED_FOR_MS
    });
    if fresh {
        return None;
    }
    let dir = state.dir.clone();
    let rule = Rule { now_ms, keep_days: None, max_bytes, force: false };
    // A run does without when no thread can be had.
    std::thread::Builder::new().name("gc".to_owned()).spawn(move || make_room(&dir, rule)).ok()
}

/// What was made beside a run.
#[derive(Debug)]
pub(crate) struct Room {
    left: u64,
    words: Option<String>,
}

/// Waits for it, and says what the user should hear. A run that was refused leaves nothing behind, no measurement
/// either.
pub(crate) fn end(
    room: Option<JoinHandle<Option<Room>>>,
    state: &State,
    ran: bool,
) -> Option<String> {
    let room = room?.join().ok()??;
    if ran {
        note(&state.dir, room.left);
    }
    room.words
}

fn make_room(state_dir: &Path, rule: Rule) -> Option<Room> {
    let items = storage::survey(state_dir).ok()?;
    let mut left: u64 = items.iter().map(|item| item.bytes).sum();
    let mut freed = 0_u64;
    let mut kinds = BTreeSet::new();
    for item in chosen(&items, rule) {
        // What cannot be removed now is tried again by the next run.
        if let Ok(Some(bytes)) = storage::remove(state_dir, item, false) {
            (freed, left) = (freed.saturating_add(bytes), left.saturating_sub(bytes));
            kinds.insert(item.kind.word());
        }
    }
    let kinds: Vec<&str> = kinds.into_iter().collect();
    let words = if freed > 0 {
        let freed = amount::bytes(freed);
        Some(format!("disk quota: freed {freed} of old state ({})", kinds.join(", ")))
    } else {
        (left > rule.max_bytes).then(|| {
            format!(
                "disk quota: {} are kept, more than {}, and nothing of it may be removed unasked; see `nucleus gc --help`",
                amount::bytes(left),
                amount::bytes(rule.max_bytes)
            )
        })
    };
    Some(Room { left, words })
}

/// Remembers the measurement. It only saves the next run one.
fn note(state_dir: &Path, bytes: u64) {
    let measured = Measured { at_ms: now_ms(), bytes };
    if let Ok(text) = serde_json::to_vec(&measured) {
        let _forgotten = std::fs::write(state_dir.join("gc.json"), text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(kind: Kind, name: &str, bytes: u64, days: u64, need: Need) -> Item {
        Item { kind, name: name.to_owned(), bytes, used_ms: (100 - days) * DAY_MS, need }
    }

    fn names(items: &[Item], keep_days: Option<u64>, max_bytes: u64, force: bool) -> Vec<String> {
        let rule = Rule { now_ms: 100 * DAY_MS, keep_days, max_bytes, force };
        chosen(items, rule).into_iter().map(|item| item.name.clone()).collect()
    }

    #[test]
    fn age_then_quota_and_never_what_is_needed() {
        let items = [
            item(Kind::Session, "running", 50, 90, Need::InUse),
            item(Kind::Session, "unapplied", 50, 90, Need::Unapplied),
            item(Kind::Session, "old", 10, 40, Need::None),
            item(Kind::Session, "new", 10, 1, Need::None),
            item(Kind::Cache, "cache", 10, 2, Need::None),
            item(Kind::Home, "home", 10, 3, Need::None),
            item(Kind::Trash, "trash", 10, 0, Need::None),
        ];
        assert_eq!(names(&items, Some(30), 1000, false), ["old", "trash"]);
        assert_eq!(names(&items, Some(30), 120, false), ["old", "trash", "cache"]);
        assert_eq!(names(&items, None, 0, false), ["trash", "cache", "old", "new", "home"]);
        let forced = names(&items, Some(30), 1000, true);
        assert!(
            forced.contains(&"unapplied".to_owned()) && !forced.contains(&"running".to_owned())
        );
    }
}
