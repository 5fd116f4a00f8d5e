//! Answers from a second place, and answers that are none.

use serde_json::json;
use testkit::host::Outcome;
use testkit::script::{Action, RawFrame, Step};

use crate::desk::{approvals, events, hosts, id, intents, park, question, requests, run};

#[test]
fn a_parked_call_goes_through_once_it_is_approved_elsewhere() {
    for host in hosts() {
        let steps =
            ["one", "two"].map(|word| run(&["sh", "-c", &format!("echo {word} >> ran.txt")]));
        let mut task = park(&host, steps.to_vec());
        let first = question(&host, &mut task, &[]);
        assert_eq!(host.read("ran.txt"), None);
        let shown = approvals(&host, &["show", &id(&first)]).expect_code(0);
        for line in ["argument vector:", "echo one >> ran.txt", "program: /", "sha256"] {
            assert!(shown.says(line), "{line}: {shown}");
        }
        approvals(&host, &["approve", &id(&first)]).expect_code(0);
        let second = question(&host, &mut task, &[id(&first)]);
        let denied = approvals(&host, &["deny", &id(&second), "--reason", "use a\u{1b}[1m branch"]);
        denied.expect_code(0);
        let (outcome, _) = task.outcome();
        let outcome = outcome.expect_code(0);
        assert_eq!(host.read("ran.txt").as_deref(), Some("one\n"), "{outcome}");
        assert!(
            outcome.says("Their words: \"use a\\\\u{1b}[1m branch\"")
                || outcome.says("Their words: \"use a\\u{1b}[1m branch\""),
            "{outcome}"
        );
        assert_eq!(intents(&host), (1, 0));
        let via: Vec<_> = events(&host)
            .iter()
            .filter_map(|e| e["detail"]["via"].as_str().map(str::to_owned))
            .collect();
        assert_eq!(via, ["socket", "socket"]);
        assert_eq!(host.verify(&host.logs()[0]).code, Some(0));
    }
}

/// Nothing of these may approve anything; each says why, with a code a script can tell.
#[test]
fn unknown_foreign_used_and_late_ids_are_refused_with_clear_words() {
    let refused = |outcome: Outcome, code: i32, words: &str| {
        let outcome = outcome.expect_code(code);
        assert!(outcome.says(words), "{words}: {outcome}");
    };
    for host in hosts() {
        refused(approvals(&host, &["approve", "zzzz"]), 64, "no task of yours has a request zzzz");
        assert!(approvals(&host, &["list"]).expect_code(0).says("nothing waits"));
        let mut task = park(&host, vec![run(&["true"]), run(&["true"])]);
        let first = id(&question(&host, &mut task, &[]));
        for bad in ["zzzz", "", "ALL", "*", "--", "\u{1b}[2J"] {
            let outcome = approvals(&host, &["approve", "--", bad]);
            assert_eq!(outcome.code, Some(64), "{bad:?}: {outcome}");
            assert!(!outcome.stderr.contains('\u{1b}'), "{outcome}");
        }
        refused(approvals(&host, &["approve", &first, "--session", "1999"]), 64, "");
        // The id of a request that really waits, in another task: nothing here, and nothing there by way of here.
        let mut other = park(&host, vec![run(&["touch", "other.txt"])]);
        let foreign = question(&host, &mut other, std::slice::from_ref(&first));
        let session = |id: &str| {
            let found = requests(&host, false).into_iter().find(|r| r["id"] == id).unwrap();
            found["session"].as_str().unwrap().to_owned()
        };
        let (here, there) = (session(&first), session(&id(&foreign)));
        assert_ne!(here, there);
        for (asked, place) in [(&id(&foreign), &here), (&first, &there)] {
            let elsewhere = approvals(&host, &["approve", asked, "--session", place]);
            refused(elsewhere, 64, &format!("no task of yours has a request {asked}"));
        }
        assert_eq!(requests(&host, false).len(), 2, "still two questions");
        approvals(&host, &["approve", &id(&foreign), "--session", &there]).expect_code(0);
        other.outcome().0.expect_code(0);
        assert!(host.read("other.txt").is_some(), "control: in its own task it is good");
        assert_eq!(requests(&host, false).len(), 1, "still one question");
        approvals(&host, &["approve", &first]).expect_code(0);
        let second = id(&question(&host, &mut task, std::slice::from_ref(&first)));
        // Used: the first decision stands.
        refused(approvals(&host, &["approve", &first]), 77, "already used");
        refused(approvals(&host, &["deny", &first]), 77, "already used");
        approvals(&host, &["deny", &second]).expect_code(0);
        // The task may be over by now, and then its log says the same.
        refused(approvals(&host, &["approve", &second]), 77, "refused");
        let (outcome, _) = task.outcome();
        outcome.expect_code(0);
        // The task is over: its log still says what became of them.
        refused(approvals(&host, &["approve", &first]), 77, "was used");
        refused(approvals(&host, &["approve", &second]), 77, "was refused");
        assert_eq!(intents(&host), (1, 0));
    }
}

#[test]
fn a_request_of_a_killed_task_can_not_be_answered() {
    for host in hosts() {
        let mut task = park(&host, vec![run(&["true"])]);
        let id = id(&question(&host, &mut task, &[]));
        testkit::host::signal(task.proxy().unwrap(), rustix::process::Signal::KILL);
        let (_killed, _) = task.outcome();
        let outcome = approvals(&host, &["approve", &id]).expect_code(77);
        assert!(outcome.says("was pending") && outcome.says("is over"), "{outcome}");
        assert!(approvals(&host, &["list"]).expect_code(0).says("nothing waits"));
    }
}

#[test]
fn a_refusal_answers_the_same_call_made_again() {
    for host in hosts() {
        let steps = vec![run(&["true"]), run(&["true"])];
        let mut task = park(&host, steps);
        let asked = question(&host, &mut task, &[]);
        approvals(&host, &["deny", &id(&asked)]).expect_code(0);
        let (outcome, _) = task.outcome();
        let outcome = outcome.expect_code(0);
        // The second, equal call was answered by the first refusal: nobody was asked again.
        let asked = events(&host).iter().filter(|e| e["result"] == "pending").count();
        assert_eq!(asked, 1, "{outcome}");
    }
}

/// Two equal calls at the same time are one question, and its yes is good for one of them.
#[test]
fn equal_calls_that_wait_are_one_question_and_one_yes_serves_one() {
    for host in hosts() {
        let argv = json!({"argv": ["sh", "-c", "echo ran >> ran.txt"]});
        let frame = |id: &str| {
            let params = json!({"name": "run", "arguments": argv});
            json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
                .to_string()
        };
        let both = RawFrame::text(format!("{}\n{}", frame("one"), frame("two")));
        let both = Step { action: Some(Action::Frame(both)), ..Step::default() };
        // Keeps the agent there until the person is done with the two.
        let mut task = park(&host, vec![both, run(&["touch", "later.txt"])]);
        let asked = id(&question(&host, &mut task, &[]));
        let waiting = "answer elsewhere within";
        let both_wait = |task: &testkit::host::Task| {
            task.printed().matches(&format!("request {asked}")).count() == 2
        };
        assert!(task.until(both_wait), "both wait for the same request:\n{}", task.printed());
        assert_eq!(task.printed().matches(waiting).count(), 1, "{}", task.printed());
        assert_eq!(requests(&host, true).len(), 1, "one question");
        approvals(&host, &["approve", &asked]).expect_code(0);
        let ran = |_: &testkit::host::Task| {
            events(&host).iter().any(|e| e["tool"] == "run" && e["phase"] == "outcome")
        };
        assert!(task.until(ran), "{}", task.printed());
        // The call that did not get the grant is told so, or asks anew; then the agent goes on.
        let mut known = vec![asked];
        loop {
            let next = question(&host, &mut task, &known);
            approvals(&host, &["deny", &id(&next)]).expect_code(0);
            known.push(id(&next));
            if next["target"].as_str().unwrap().contains("later.txt") {
                break;
            }
        }
        let outcome = task.outcome().0.expect_code(0);
        assert_eq!(host.read("ran.txt").as_deref(), Some("ran\n"), "{outcome}");
        assert_eq!(intents(&host), (1, 0), "{outcome}");
    }
}

#[test]
fn nobody_is_asked_where_the_user_said_none() {
    for host in hosts() {
        let task = crate::desk::park_under(
            &host,
            crate::desk::ASKING,
            vec![run(&["touch", "ran.txt"])],
            "none",
        );
        let (outcome, _) = task.outcome();
        assert!(outcome.says("Nobody can approve"), "{outcome}");
        assert_eq!(host.read("ran.txt"), None);
        let mut command = host.command("nucleus");
        command.args([
            "run",
            "--allow-local-driver",
            "--approvals",
            "terminal",
            "--json",
            "--",
            "true",
        ]);
        let outcome = Outcome::of(&mut command).expect_code(64);
        assert!(outcome.says("--approvals socket"), "{outcome}");
    }
}
