use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use nucleus_log::{CheckpointKey, Keys, MacMaster, Origin, Writer};
use nucleus_wire::control::{ApprovalMode, ApprovalView};
use nucleus_wire::tool::ToolName;

mod answers;
mod replay;
mod rules;

use super::{Answer, ApprovalBook, ApprovalSetup, DecideError, SettledAs, Submitted};
use crate::approval::canonical::ApprovalRequest;
use crate::approval::glass::BreakGlassKey;
use crate::approval::grant::{ApprovalKey, GrantError};
use crate::approval::operand::{Operands, PinnedProgram};
use crate::approval::past::Past;
use crate::approval::render::Rendering;
use crate::approval::similar::{CommandShape, Shape};
use crate::approval::webhook::WebhookKey;
use crate::caller::Principal;
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::limits::{APPROVAL_QUESTION_WINDOW, MAX_APPROVAL_QUESTIONS};
use crate::port::{Approver, Clock};
use crate::recorder::Recorder;

/// In the year 2100: no log written by this test is later.
const START_MS: u64 = 4_102_444_800_000;

/// Time that passes, and how far the wall clock has been set back.
#[derive(Default)]
struct ManualClock(AtomicU64, AtomicU64);

impl Clock for ManualClock {
    fn wall_ms(&self) -> u64 {
        START_MS + self.0.load(Ordering::SeqCst) - self.1.load(Ordering::SeqCst)
    }
    fn monotonic_ns(&self) -> u64 {
        self.0.load(Ordering::SeqCst) * 1_000_000
    }
    fn boot_id(&self) -> &str {
        "boot"
    }
}

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Approver for Told {
    fn requested(&self, view: ApprovalView) {
        self.0.lock().unwrap().push(format!("{} requested", view.id));
    }
    fn settled(&self, id: &str, outcome: &'static str) {
        self.0.lock().unwrap().push(format!("{id} {outcome}"));
    }
}

struct World {
    book: ApprovalBook,
    clock: Arc<ManualClock>,
    told: Arc<Told>,
    directory: tempfile::TempDir,
    writer: Arc<Writer>,
}

/// Key of the webhook.
const WEBHOOK: &[u8] = b"thirty-two bytes or more of a key";

fn break_glass_pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap()
}

fn public_key() -> String {
    nucleus_wire::hex::encode(break_glass_pair().public_key().as_ref())
}

fn keys() -> Keys {
    Keys::new(MacMaster::new([1; 32]), CheckpointKey::from_seed([2; 32]))
}

fn world_of(task: &str, past: Past) -> World {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.jsonl");
    let origin = Origin::parse("nucleus/test").unwrap();
    let writer = Arc::new(Writer::create(&path, &keys(), origin).unwrap());
    let recorder = Recorder::new(Arc::clone(&writer), &principal());
    let (clock, told) = (Arc::new(ManualClock::default()), Arc::new(Told::default()));
    let approver: Arc<dyn Approver> = told.clone();
    let setup = ApprovalSetup {
        mode: ApprovalMode::Terminal,
        key: ApprovalKey::from_bytes(&[7; 32]),
        approver: Some(approver),
        past,
        break_glass: Some(BreakGlassKey::parse(&public_key()).unwrap()),
        webhook: Some(Arc::new(WebhookKey::from_bytes(WEBHOOK).unwrap())),
        ttl: Duration::from_secs(300),
        wait: Duration::from_millis(40),
    };
    let book = ApprovalBook::new(setup, task, recorder, clock.clone());
    World { book, clock, told, directory, writer }
}

fn world() -> World {
    world_of("task", Past::default())
}

fn principal() -> Principal {
    Principal::agent("claude", "s-1").unwrap()
}

fn policy() -> Digest {
    Digest::of(b"policy")
}

/// The program `cp`, with this digest.
fn program(sha256: &str) -> PinnedProgram {
    PinnedProgram {
        path: "/usr/bin/cp".to_owned(),
        real: "/usr/bin/cp".to_owned(),
        sha256: Some(sha256.to_owned()),
        agent_writable: false,
    }
}

fn request(name: &str) -> ApprovalRequest {
    ApprovalRequest {
        digest: Digest::of(name.as_bytes()),
        policy: policy(),
        principal: principal(),
        operation: "git_push",
        rule: "ask.gate",
        target: name.to_owned(),
        rendering: Rendering { text: name.into(), complete: true },
        shape: Shape {
            tool: ToolName::Run,
            command: Some(CommandShape {
                argv: ["cp", "seed", name].map(str::to_owned).to_vec(),
                cwd: ".".to_owned(),
                stdin: None,
                background: false,
            }),
            operands: Operands { program: Some(program("p")), ..Operands::default() },
        },
    }
}

fn submitted(book: &ApprovalBook, name: &str) -> String {
    match book.submit(request(name)).unwrap() {
        Submitted::Pending { id } => id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_yes_lets_one_call_through() {
    let World { book, told, directory: _kept, .. } = world();
    let id = submitted(&book, "a");
    assert!(book.present(Digest::of(b"a"), policy()).is_none(), "nobody said yes yet");
    book.decide(&id, Answer::approve("terminal")).unwrap();
    let presented = book.present(Digest::of(b"a"), policy()).unwrap();
    let again = book.present(Digest::of(b"a"), policy()).unwrap();
    let consumed = book.consume(presented, Digest::of(b"a"), policy()).unwrap();
    assert_eq!(consumed.id, id);
    assert_eq!(book.consume(again, Digest::of(b"a"), policy()).unwrap_err(), GrantError::Used);
    assert!(book.present(Digest::of(b"a"), policy()).is_none());
    assert_eq!(book.states(Some(&id))[0].state, SettledAs::Used);
    assert_eq!(*told.0.lock().unwrap(), [format!("{id} requested"), format!("{id} granted")]);
}

#[test]
fn a_grant_fits_its_own_request_and_policy_only() {
    let World { book, directory: _kept, .. } = world();
    let id = submitted(&book, "a");
    book.decide(&id, Answer::approve("terminal")).unwrap();
    assert!(book.present(Digest::of(b"b"), policy()).is_none());
    assert!(book.present(Digest::of(b"a"), Digest::of(b"other policy")).is_none());
    let presented = book.present(Digest::of(b"a"), policy()).unwrap();
    let refused = book.consume(presented, Digest::of(b"b"), policy()).unwrap_err();
    assert_eq!(refused, GrantError::OtherRequest);
}

#[test]
fn a_grant_of_one_task_is_nothing_in_another() {
    let (here, there) = (world(), world_of("other", Past::default()));
    let id = submitted(&here.book, "a");
    here.book.decide(&id, Answer::approve("terminal")).unwrap();
    let presented = here.book.present(Digest::of(b"a"), policy()).unwrap();
    // The same key on purpose: what differs is the task alone.
    let refused = there.book.consume(presented, Digest::of(b"a"), policy()).unwrap_err();
    assert_eq!(refused, GrantError::OtherTask);
}

#[test]
fn time_ends_requests_and_grants() {
    let World { book, clock, told, directory: _kept, .. } = world();
    let waiting = submitted(&book, "a");
    let granted = submitted(&book, "b");
    book.decide(&granted, Answer::approve("terminal")).unwrap();
    let presented = book.present(Digest::of(b"b"), policy()).unwrap();
    clock.0.store(300_000, Ordering::SeqCst);
    let refused = book.consume(presented, Digest::of(b"b"), policy()).unwrap_err();
    assert_eq!(refused, GrantError::Expired);
    assert!(book.present(Digest::of(b"b"), policy()).is_none());
    let late = book.decide(&waiting, Answer::approve("terminal")).unwrap_err();
    assert!(matches!(late, DecideError::Settled(SettledAs::Expired)), "{late:?}");
    assert!(book.present(Digest::of(b"a"), policy()).is_none());
    let told = told.0.lock().unwrap();
    assert!(told.contains(&format!("{waiting} expired")), "{told:?}");
}

#[test]
fn the_first_decision_stands() {
    let World { book, directory: _kept, .. } = world();
    let id = submitted(&book, "a");
    book.decide(&id, Answer::refuse("terminal", Some("not \u{1b}[1mtoday".to_owned()))).unwrap();
    let late = book.decide(&id, Answer::approve("terminal")).unwrap_err();
    assert!(matches!(late, DecideError::Settled(SettledAs::Refused { .. })), "{late:?}");
    assert!(matches!(book.decide("none", Answer::approve("terminal")), Err(DecideError::Unknown)));
    let reason = Some("not \\u{1b}[1mtoday".to_owned());
    assert_eq!(
        book.submit(request("a")).unwrap(),
        Submitted::Refused { id, reason },
        "asking again does not ask the human again"
    );
}

#[test]
fn duplicates_are_one_request_and_five_may_wait() {
    let World { book, told, directory: _kept, .. } = world();
    let first = submitted(&book, "a");
    assert_eq!(submitted(&book, "a"), first);
    for name in ["b", "c", "d", "e"] {
        submitted(&book, name);
    }
    assert_eq!(book.submit(request("f")).unwrap(), Submitted::Full);
    assert_eq!(submitted(&book, "a"), first, "a duplicate is no further request");
    assert_eq!(book.pending().len(), 5);
    assert_eq!(told.0.lock().unwrap().len(), 5);
    book.decide(&first, Answer::approve("terminal")).unwrap();
    submitted(&book, "f");
}

#[test]
fn nobody_is_asked_what_is_too_long_to_be_read_and_all_of_the_rest_can_be() {
    let World { book, told, directory: _kept, .. } = world();
    let of = |name: &str, lines: usize, complete: bool| {
        let text: String = (0..lines).map(|n| format!("line {n}\n")).collect();
        ApprovalRequest { rendering: Rendering { text: text.into(), complete }, ..request(name) }
    };
    assert_eq!(book.submit(of("a", 1, false)).unwrap(), Submitted::TooLong);
    assert!(told.0.lock().unwrap().is_empty());
    // Control: the same length, but all of it.
    let Submitted::Pending { id } = book.submit(of("a", 100_000, true)).unwrap() else { panic!() };
    let listed = book.requests().remove(0).view;
    assert!(!listed.complete && listed.rendering.len() < 3_000, "{}", listed.rendering.len());
    let hint = format!("nucleus approvals show {id} prints all of it\n");
    assert!(listed.rendering.ends_with(&hint), "{}", listed.rendering);
    let whole = book.request(&id).unwrap().view;
    assert!(whole.complete && whole.rendering.ends_with("line 99999\n"));
    // Settled it is remembered by its beginning, and says so.
    book.decide(&id, Answer::refuse("terminal", None)).unwrap();
    let settled = book.request(&id).unwrap().view;
    assert!(!settled.complete && settled.rendering.contains("was let go"), "{}", settled.rendering);
    assert_eq!(book.requests().remove(0).view.rendering, settled.rendering);
    assert!(book.request("none").is_none());
}

#[test]
fn a_human_is_asked_so_many_questions_in_a_while_and_no_more() {
    let World { book, clock, told, directory: _kept, .. } = world();
    for number in 0..MAX_APPROVAL_QUESTIONS {
        let id = submitted(&book, &number.to_string());
        book.decide(&id, Answer::refuse("terminal", None)).unwrap();
    }
    assert_eq!(book.submit(request("one more")).unwrap(), Submitted::Full);
    assert!(book.pending().is_empty());
    let asked = told.0.lock().unwrap().iter().filter(|line| line.ends_with("requested")).count();
    assert_eq!(asked, MAX_APPROVAL_QUESTIONS);
    // Control: it is the rate, not the number, that held.
    let window = u64::try_from(APPROVAL_QUESTION_WINDOW.as_millis()).unwrap();
    clock.0.store(window, Ordering::SeqCst);
    submitted(&book, "one more");
}

#[test]
fn a_waiting_call_sees_the_answer_or_the_limit() {
    let World { book, directory: _kept, .. } = world();
    let id = submitted(&book, "a");
    assert_eq!(book.wait(&id, &Cancel::new()), SettledAs::Pending, "the limit");
    let decider = book.clone();
    let wanted = id.clone();
    let human =
        thread::spawn(move || decider.decide(&wanted, Answer::approve("terminal")).unwrap());
    let mut seen = book.wait(&id, &Cancel::new());
    for _ in 0..100 {
        if seen == SettledAs::Granted {
            break;
        }
        seen = book.wait(&id, &Cancel::new());
    }
    human.join().unwrap();
    assert_eq!(seen, SettledAs::Granted);
}

#[test]
fn a_cancelled_call_takes_its_request_back() {
    let World { book, told, directory: _kept, .. } = world();
    let id = submitted(&book, "a");
    let cancel = Cancel::new();
    cancel.cancel();
    assert_eq!(book.wait(&id, &cancel), SettledAs::Withdrawn);
    assert!(matches!(
        book.decide(&id, Answer::approve("terminal")),
        Err(DecideError::Settled(SettledAs::Withdrawn))
    ));
    assert!(told.0.lock().unwrap().contains(&format!("{id} withdrawn")));
}

#[test]
fn a_decision_that_cannot_be_recorded_does_not_hold() {
    let World { book, writer, directory: _kept, .. } = world();
    let id = submitted(&book, "a");
    writer.close().unwrap();
    assert!(matches!(
        book.decide(&id, Answer::approve("terminal")),
        Err(DecideError::Unexpected(_))
    ));
    assert!(book.present(Digest::of(b"a"), policy()).is_none());
    assert!(book.submit(request("b")).is_err(), "and nobody is asked what cannot be recorded");
}
