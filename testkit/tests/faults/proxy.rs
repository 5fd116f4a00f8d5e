//! `kill -9` of the enforcement process, two hundred times.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use testkit::host::{Account, Host, Outcome, Task, Witness, leftovers, programs, signal, skip};

use crate::chance::Chance;
use crate::ledger::Ledger;
use crate::work::{self, Tree};

/// Kills over all accounts.
const KILLS: usize = 200;
/// How long the kernel may take to take everything down.
const PATIENCE: Duration = Duration::from_secs(5);

/// When the process is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// So long after the start.
    After(Duration),
    /// So long after the log has this many lines.
    Entry(usize, Duration),
    /// So long after the first trace of an apply.
    Apply(Duration),
}

/// What the two hundred came to.
#[derive(Debug, Default)]
struct Tally {
    kills: usize,
    too_late: usize,
    before_log: usize,
    in_calls: usize,
    in_apply: usize,
    after_apply: usize,
    torn: usize,
    entries: usize,
    intents: usize,
    unanswered: usize,
    processes: usize,
    resolved: BTreeMap<&'static str, usize>,
}

#[test]
fn killed_as_root() {
    killed("kill_proxy_root", Account::Root);
}

#[test]
fn killed_rootless() {
    killed("kill_proxy_rootless", Account::Rootless);
}

fn killed(test: &str, account: Account) {
    let bins = programs();
    let accounts = Account::all();
    if !accounts.contains(&account) {
        return skip(test, "only root has a second account; the other does all of them");
    }
    let kills = KILLS.div_ceil(accounts.len());
    let host = Host::new(&bins, account);
    let mut chance = Chance::new(test);
    let (length, entries) = undisturbed(&host);
    let mut tally = Tally::default();
    while tally.kills < kills {
        assert!(tally.too_late < kills, "most tasks end before they are killed: {tally:?}");
        let moment = match chance.below(10) {
            0..3 => Moment::After(chance.time(length)),
            3..8 => Moment::Entry(
                usize::try_from(chance.below(entries)).unwrap() + 1,
                chance.time(Duration::from_millis(3)),
            ),
            _ => Moment::Apply(chance.time(Duration::from_millis(25))),
        };
        once(&host, moment, &mut chance, &mut tally);
    }
    eprintln!("{test}: {tally:?}");
    assert!(
        tally.in_calls > kills / 4 && tally.in_apply > kills / 40,
        "the moments are not spread: {tally:?}"
    );
    assert!(tally.unanswered > 0, "no kill fell between an intent and its outcome: {tally:?}");
}

/// One task to its end: how long it takes, how many entries it has, and that the checks here see what they look for.
fn undisturbed(host: &Host) -> (Duration, u64) {
    work::fill(host, &work::before());
    let mut task = host.start(&mut command(host));
    assert!(task.until(|_| host.logs().first().is_some_and(|log| lines(log) > 8)));
    assert!(task.witness().left(Duration::ZERO).len() > 3, "a running task is seen");
    assert!(
        !leftovers(host.place(), Duration::ZERO).is_empty(),
        "a running task is seen by its files"
    );
    let (outcome, witness) = task.outcome();
    let length = outcome.took;
    let outcome = outcome.expect_code(0);
    assert_eq!(witness.left(PATIENCE), [], "{outcome}");
    let ledger = Ledger::read(&host.logs()[0]);
    assert_eq!(ledger.intents.len(), work::ROUNDS * 5, "{outcome}");
    assert_eq!(ledger.contradictions(&changed(host)), Vec::<String>::new());
    assert!(ledger.apply_begun, "{outcome}");
    assert_ne!(work::tree(&host.workspace()), work::before());
    the_verifier_sees_damage(host);
    (length, u64::try_from(ledger.entries).unwrap())
}

/// An unfinished last line is called one, and a missing line is no unfinished one.
fn the_verifier_sees_damage(host: &Host) {
    let log = &host.logs()[0];
    let whole = std::fs::read(log).unwrap();
    let torn = [&whole[..], &whole[..200]].concat();
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
    for (text, code) in [(&torn[..], 11), (&whole[..=last], 15), (&whole[..], 0)] {
        std::fs::write(log, text).unwrap();
        host.verify(log).expect_code(code);
    }
}

fn once(host: &Host, moment: Moment, chance: &mut Chance, tally: &mut Tally) {
    host.reset();
    work::fill(host, &work::before());
    let mut task = host.start(&mut command(host));
    if !wait_for(host, &mut task, moment) {
        tally.too_late += 1;
        return;
    }
    let proxy = task.proxy().expect("an enforcement process");
    signal(proxy, Signal::KILL);
    let (outcome, witness) = task.outcome();
    tally.kills += 1;
    tally.processes += witness.count();
    let context = format!("killed at {moment:?}\n{outcome}");
    assert!(!outcome.says("panicked"), "{context}");
    nothing_left(host, &witness, &context);
    let journal = host.sessions().iter().any(|dir| dir.join("apply.journal").exists());
    match outcome.code {
        Some(74) => assert!(outcome.says("the enforcement process is gone"), "{context}"),
        Some(0) => assert!(!journal, "{context}"), // it had said that it was done
        _ => panic!("{context}"),
    }
    let upper = changed(host);
    let ledger = logged(host, &upper, tally, &context);
    let whole = work::merged(&upper);
    let now = work::tree(&host.workspace());
    assert_mixed(&now, &whole, &context);
    let announced = ledger.as_ref().is_some_and(|ledger| ledger.apply_begun);
    assert!(
        announced || (now == work::before() && !journal),
        "the workspace was written before the log said so\n{context}"
    );
    match (journal, now == work::before(), ledger) {
        (true, ..) => tally.in_apply += 1,
        (false, false, _) => tally.after_apply += 1,
        (false, true, None) => tally.before_log += 1,
        (false, true, Some(_)) => tally.in_calls += 1,
    }
    let resolution = resolve(host, chance.below(4) == 0, journal, &whole, &context);
    *tally.resolved.entry(resolution).or_default() += 1;
    assert_eq!(witness.left(Duration::ZERO), [], "{context}");
}

fn command(host: &Host) -> std::process::Command {
    host.script_command(&work::script(), &["--profile", "fix-issue"])
}

fn wait_for(host: &Host, task: &mut Task, moment: Moment) -> bool {
    if !task.until(|task| task.proxy().is_some()) {
        return false;
    }
    let log = |host: &Host| host.logs().first().map_or(0, |log| lines(log));
    let (reached, delay) = match moment {
        Moment::After(time) => (task.until(|task| task.age() >= time), Duration::ZERO),
        Moment::Entry(count, delay) => (task.until(|_| log(host) >= count), delay),
        Moment::Apply(delay) => (
            task.until(|_| host.sessions().iter().any(|dir| dir.join("apply.journal").exists())),
            delay,
        ),
    };
    if reached {
        task.watch(delay);
    }
    reached && !task.ended()
}

fn lines(log: &Path) -> usize {
    std::fs::read(log).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count()
}

pub(crate) fn nothing_left(host: &Host, witness: &Witness, context: &str) {
    assert_eq!(witness.left(PATIENCE), [], "{context}");
    let left = leftovers(host.place(), PATIENCE);
    let left: Vec<_> = left
        .iter()
        .filter(|left| !matches!(left, testkit::host::Leftover::ControlGroup(_)))
        .collect();
    assert!(left.is_empty(), "{left:?}\n{context}");
}

/// What a task changed: the upper layer of its session, or after an apply the workspace itself. The kill may have come
/// while the layer of an applied session was being removed, so what is left of it then says nothing.
fn changed(host: &Host) -> BTreeMap<String, Option<Vec<u8>>> {
    let session = host.sessions().into_iter().next().filter(|dir| !is_applied(dir));
    let upper = session.map(|dir| dir.join("overlay/upper")).filter(|upper| upper.is_dir());
    if let Some(upper) = upper {
        return work::files(&upper);
    }
    let (old, now) = (work::before(), work::tree(&host.workspace()));
    work::difference(&old, &now)
        .into_iter()
        .map(|path| (path.clone(), now.get(&path).cloned()))
        .collect()
}

fn is_applied(session: &Path) -> bool {
    let meta = std::fs::read(session.join("session.json")).unwrap_or_default();
    let meta: serde_json::Value = serde_json::from_slice(&meta).unwrap_or_default();
    meta["status"] == "applied"
}

/// The log verifies, and says of every effect that it was intended.
fn logged(
    host: &Host,
    upper: &BTreeMap<String, Option<Vec<u8>>>,
    tally: &mut Tally,
    context: &str,
) -> Option<Ledger> {
    let logs = host.logs();
    let Some(log) = logs.first() else {
        assert!(upper.is_empty(), "effects without a log: {:?}\n{context}", upper.keys());
        return None;
    };
    let verdict = host.verify(log);
    match verdict.code {
        Some(0) => {}
        Some(11) => {
            tally.torn += 1;
            assert!(verdict.says("unfinished") || verdict.says("Unfinished"), "{verdict}");
        }
        // The log was made and nothing had happened yet.
        Some(19) => assert!(upper.is_empty(), "{verdict}\n{context}"),
        _ => panic!("{verdict}\n{context}"),
    }
    let ledger = Ledger::read(log);
    assert_eq!(ledger.contradictions(upper), Vec::<String>::new(), "{context}");
    tally.entries += ledger.entries;
    tally.intents += ledger.intents.len();
    tally.unanswered += usize::from(ledger.open > 0);
    Some(ledger)
}

/// Every file of the workspace is whole: as it was, or as the task left it.
pub(crate) fn assert_mixed(now: &Tree, whole: &Tree, context: &str) {
    let before = work::before();
    for (path, content) in now.iter().filter(|(path, _)| !path.starts_with(".nucleus-apply-")) {
        let known = [before.get(path), whole.get(path)].contains(&Some(content));
        assert!(known, "{path} is neither old nor new: {} bytes\n{context}", content.len());
    }
    for path in before.keys().filter(|path| !now.contains_key(*path)) {
        assert!(!whole.contains_key(path), "{path} is lost\n{context}");
    }
}

/// The user takes the changes or throws them away.
fn resolve(host: &Host, discard: bool, journal: bool, whole: &Tree, context: &str) -> &'static str {
    let before = work::tree(&host.workspace());
    let outcome = if discard { host.nucleus(&["discard"]) } else { host.nucleus(&["apply"]) };
    let after = work::tree(&host.workspace());
    let context = format!("{context}\n--- then\n{outcome}");
    let said = |text: &str| outcome.says(text);
    match outcome.code {
        // An apply that had begun is finished or undone first.
        Some(0) if discard && journal => {
            assert!(after == *whole || after == work::before(), "{context}");
            "discarded in an apply"
        }
        Some(0) if discard => {
            assert_eq!(work::difference(&after, &before), Vec::<String>::new(), "{context}");
            "discarded"
        }
        Some(0) => {
            assert_eq!(work::difference(&after, whole), Vec::<String>::new(), "{context}");
            "applied"
        }
        // There never was a session, or it had ended.
        Some(64) if said("no session") => {
            let ended = work::difference(&after, whole).is_empty();
            assert!(ended || after == work::before(), "{context}");
            "nothing to do"
        }
        // The process died before it had written down what the policy withholds: nothing had run.
        Some(74) if said("cannot be judged") => {
            assert!(after == work::before() && *whole == after, "{context}");
            assert_eq!(host.nucleus(&["discard"]).code, Some(0), "{context}");
            "never begun"
        }
        _ => panic!("{context}"),
    }
}

#[test]
fn a_half_written_file_is_found() {
    let mut half = work::before();
    half.insert("sub/large.txt".to_owned(), work::written(0)[..1000].to_vec());
    let found = std::panic::catch_unwind(|| assert_mixed(&half, &work::before(), "")).is_err();
    assert!(found);
    let mut lost = work::before();
    lost.remove("README.md");
    assert!(std::panic::catch_unwind(|| assert_mixed(&lost, &work::before(), "")).is_err());
}

/// Every log of the host verifies; a torn tail counts.
pub(crate) fn verified(host: &Host, context: &Outcome) {
    for log in host.logs() {
        let verdict = host.verify(&log);
        assert!(matches!(verdict.code, Some(0 | 11)), "{verdict}\n{context}");
    }
}
