//! Rules for similar calls, and the break-glass window.

use std::sync::atomic::Ordering;
use std::time::Duration;

use nucleus_wire::approvals::{BreakGlass, Similar};
use nucleus_wire::control::ApprovalMode;

use super::{
    Answer, ApprovalBook, ApprovalSetup, DecideError, Digest, SettledAs, Submitted, World,
    break_glass_pair, policy, program, public_key, request, submitted, world,
};
use crate::approval::glass::{BreakGlassError, BreakGlassKey};
use crate::caller::Principal;
use crate::recorder::Recorder;

fn pattern(argv: &str) -> Similar {
    Similar { argv: Some(argv.to_owned()), count: Some(2), ..Similar::default() }
}

/// Makes a rule with the yes to `cp seed a`; gives the rule's id.
fn rule(book: &ApprovalBook, similar: Similar) -> String {
    let id = submitted(book, "a");
    book.decide(&id, Answer::approve_similar("socket", similar)).unwrap().unwrap()
}

/// Uses the grant for `cp seed NAME` up.
fn use_up(book: &ApprovalBook, name: &str) {
    let presented = book.present(Digest::of(name.as_bytes()), policy()).unwrap();
    let _consumed = book.consume(presented, Digest::of(name.as_bytes()), policy()).unwrap();
}

#[test]
fn a_rule_answers_similar_calls_as_often_as_it_says() {
    let World { book, told, writer, directory, .. } = world();
    let id = rule(&book, pattern("cp seed *"));
    for name in ["b", "c"] {
        assert_eq!(book.submit(request(name)).unwrap(), Submitted::Granted, "{name}");
        use_up(&book, name);
        assert!(book.present(Digest::of(name.as_bytes()), policy()).is_none(), "used once");
    }
    assert!(matches!(book.submit(request("d")).unwrap(), Submitted::Pending { .. }));
    assert!(book.rules().is_empty(), "used up");
    let requested =
        told.0.lock().unwrap().iter().filter(|line| line.ends_with("requested")).count();
    assert_eq!(requested, 2, "only the first and the last were asked");
    writer.close().unwrap();
    let log = std::fs::read_to_string(directory.path().join("log.jsonl")).unwrap();
    let count = |text: &str| log.matches(text).count();
    assert_eq!(count(&format!("\"by_rule\":\"{id}\"")), 2, "{log}");
    assert_eq!(count("\"type\":\"approval_rule\""), 2, "made and used up: {log}");
}

#[test]
fn a_rule_covers_nothing_else() {
    let World { book, directory: _kept, .. } = world();
    rule(&book, pattern("cp seed *"));
    let other = |change: &dyn Fn(&mut super::ApprovalRequest)| {
        let mut request = request("b");
        change(&mut request);
        matches!(book.submit(request).unwrap(), Submitted::Pending { .. })
    };
    let command = |request: &mut super::ApprovalRequest, argv: &[&str]| {
        if let Some(command) = &mut request.shape.command {
            command.argv = argv.iter().map(|&word| word.to_owned()).collect();
        }
    };
    assert!(other(&|r| command(r, &["cp", "seed b"])), "words are not joined");
    assert!(other(&|r| r.principal = Principal::agent("claude", "s-2").unwrap()));
    assert!(other(&|r| {
        r.digest = Digest::of(b"policy 2");
        r.policy = Digest::of(b"other");
    }));
    assert!(other(&|r| {
        r.digest = Digest::of(b"op");
        r.operation = "create_pr";
    }));
    // Control: the same request unchanged is covered.
    assert_eq!(book.submit(request("c")).unwrap(), Submitted::Granted);
}

#[test]
fn a_rule_is_bound_to_the_program_and_the_files_that_were_shown() {
    use crate::approval::operand::Pinned;
    let World { book, directory: _kept, .. } = world();
    let script = |name: &str, sha256: &str, digest: &str| {
        let mut request = request(name);
        request.shape.operands.program = Some(program(digest));
        let file = Pinned::File { sha256: sha256.to_owned(), bytes: 1 };
        request.shape.operands.files.insert("hook.sh".to_owned(), file);
        request
    };
    let Submitted::Pending { id } = book.submit(script("a", "aa", "p")).unwrap() else { panic!() };
    book.decide(&id, Answer::approve_similar("socket", pattern("cp seed *"))).unwrap();
    assert_eq!(book.submit(script("b", "aa", "p")).unwrap(), Submitted::Granted, "control");
    for swapped in [script("c", "bb", "p"), script("d", "aa", "q")] {
        assert!(matches!(book.submit(swapped).unwrap(), Submitted::Pending { .. }));
    }
}

#[test]
fn a_rule_ends_by_time_and_by_being_revoked() {
    let World { book, clock, directory: _kept, .. } = world();
    let id = rule(&book, Similar { seconds: Some(60), ..pattern("cp seed *") });
    assert_eq!(book.rules().len(), 1);
    assert!(book.revoke(&id).unwrap());
    assert!(!book.revoke(&id).unwrap(), "it is gone");
    assert!(matches!(book.submit(request("b")).unwrap(), Submitted::Pending { .. }));
    let Submitted::Pending { id } = book.submit(request("c")).unwrap() else { panic!() };
    let timed = Similar { seconds: Some(60), ..pattern("cp seed *") };
    book.decide(&id, Answer::approve_similar("socket", timed)).unwrap();
    assert_eq!(book.submit(request("d")).unwrap(), Submitted::Granted, "control");
    clock.0.store(60_000, Ordering::SeqCst);
    assert!(matches!(book.submit(request("e")).unwrap(), Submitted::Pending { .. }));
    assert!(book.rules().is_empty());
}

#[test]
fn a_rule_that_cannot_be_made_decides_nothing() {
    let World { book, directory: _kept, .. } = world();
    let id = submitted(&book, "a");
    for similar in [
        pattern("cp other *"),
        pattern("sh *"),
        pattern("cp seed*"),
        Similar { count: Some(0), ..pattern("cp seed *") },
        Similar { count: Some(51), ..pattern("cp seed *") },
        Similar { seconds: Some(3_601), ..pattern("cp seed *") },
        Similar { path_prefix: Some("src".to_owned()), ..Similar::default() },
    ] {
        let refused = book.decide(&id, Answer::approve_similar("socket", similar.clone()));
        assert!(matches!(refused, Err(DecideError::Rule(_))), "{similar:?}: {refused:?}");
    }
    assert_eq!(book.states(Some(&id))[0].state, SettledAs::Pending);
    assert!(book.rules().is_empty());
}

fn demand(book: &ApprovalBook, reason: &str) -> BreakGlass {
    let challenge = book.challenge().unwrap();
    let message = BreakGlass::message("task", &challenge, 60, reason);
    let signature = nucleus_wire::hex::encode(break_glass_pair().sign(&message).as_ref());
    BreakGlass { reason: reason.to_owned(), seconds: 60, challenge, signature }
}

#[test]
fn a_broken_glass_answers_what_asks_for_a_while_and_says_so() {
    let World { book, clock, told, writer, directory, .. } = world();
    let refused = submitted(&book, "never");
    book.decide(&refused, Answer::refuse("terminal", None)).unwrap();
    book.break_glass(&demand(&book, "production is down")).unwrap();
    assert_eq!(book.submit(request("a")).unwrap(), Submitted::Granted);
    use_up(&book, "a");
    assert!(matches!(book.submit(request("never")).unwrap(), Submitted::Refused { .. }));
    assert_eq!(book.break_glass(&demand(&book, "once more, please")), Err(BreakGlassError::Open));
    clock.0.store(60_000, Ordering::SeqCst);
    assert!(matches!(book.submit(request("b")).unwrap(), Submitted::Pending { .. }));
    assert_eq!(told.0.lock().unwrap().iter().filter(|l| l.ends_with("requested")).count(), 2);
    writer.close().unwrap();
    let log = std::fs::read_to_string(directory.path().join("log.jsonl")).unwrap();
    for result in ["opened", "used", "expired"] {
        let entry = log.lines().find(|line| {
            line.contains("\"type\":\"break_glass\"") && line.contains(&format!("\"{result}\""))
        });
        assert!(entry.is_some_and(|line| line.contains("production is down")), "{result}: {log}");
    }
}

#[test]
fn the_glass_stays_whole_without_the_key_a_reason_and_a_fresh_challenge() {
    let World { book, directory: _kept, .. } = world();
    let good = || demand(&book, "production is down");
    let mut forged = good();
    forged.signature = "00".repeat(64);
    assert_eq!(book.break_glass(&forged), Err(BreakGlassError::Signature));
    let mut longer = good();
    longer.seconds = 61;
    assert_eq!(book.break_glass(&longer), Err(BreakGlassError::Signature), "what is signed counts");
    let mut other = good();
    other.reason.push('!');
    assert_eq!(book.break_glass(&other), Err(BreakGlassError::Signature));
    assert_eq!(book.break_glass(&demand(&book, "  \n ")), Err(BreakGlassError::NoReason));
    let late = good();
    let _newer = book.challenge().unwrap();
    assert_eq!(book.break_glass(&late), Err(BreakGlassError::Challenge));
    let once = good();
    let id = book.break_glass(&once).unwrap();
    assert!(book.revoke(&id).unwrap());
    assert_eq!(book.break_glass(&once), Err(BreakGlassError::Challenge), "replayed");
    assert!(matches!(book.submit(request("a")).unwrap(), Submitted::Pending { .. }));
}

#[test]
fn nobody_can_break_the_glass_of_a_task_that_began_without_a_key() {
    let World { book: other, writer, clock, directory: _kept, .. } = world();
    let recorder = Recorder::new(writer, &super::principal());
    let setup = |key| ApprovalSetup {
        break_glass: key,
        ttl: Duration::from_secs(300),
        ..ApprovalSetup::none().unwrap()
    };
    let book = ApprovalBook::new(setup(None), "task", recorder.clone(), clock.clone());
    assert_eq!(book.break_glass(&demand(&book, "production is down")), Err(BreakGlassError::NoKey));
    assert_eq!(book.submit(request("a")).unwrap(), Submitted::Nobody);
    // Control: with the key, also where nobody can be asked; and only what is asked about goes through.
    let key = BreakGlassKey::parse(&public_key());
    let book = ApprovalBook::new(setup(key), "task", recorder, clock);
    assert_eq!(book.mode(), ApprovalMode::None);
    book.break_glass(&demand(&book, "production is down")).unwrap();
    assert_eq!(book.submit(request("a")).unwrap(), Submitted::Granted);
    drop(other);
}
