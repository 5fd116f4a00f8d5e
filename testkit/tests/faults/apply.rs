//! `kill -9` of `nucleus apply`, `nucleus review --accept` and `nucleus undo`: the next one finishes it or starts again.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use testkit::host::{Account, Host, Outcome, programs, signal};

use crate::chance::Chance;
use crate::work::{self, Tree};

/// Sessions per account.
const SESSIONS: usize = 3;
/// Files of a session: an apply takes a while.
const FILES: usize = 150;

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// `nucleus apply`.
    Apply,
    /// `nucleus apply`, and the user goes on working before the next one.
    Edited,
    /// `nucleus review --accept` of everything.
    Accept,
    /// `nucleus undo` of what was applied.
    Undo,
}

/// How often the workspace was found in which state after a kill.
type States = BTreeMap<&'static str, usize>;

#[test]
fn a_killed_apply_is_finished_by_the_next() {
    killed("kill_apply", Way::Apply);
}

#[test]
fn a_killed_apply_does_not_undo_what_the_user_did_since() {
    killed("kill_apply_edited", Way::Edited);
}

#[test]
fn a_killed_acceptance_is_finished_by_the_next() {
    killed("kill_accept", Way::Accept);
}

#[test]
fn a_killed_undo_is_finished_by_the_next() {
    killed("kill_undo", Way::Undo);
}

fn killed(test: &str, way: Way) {
    let bins = programs();
    let mut chance = Chance::new(test);
    let mut states = States::new();
    for account in Account::all() {
        let host = Host::new(&bins, account);
        for _ in 0..SESSIONS {
            host.reset();
            one_session(&host, way, &mut chance, &mut states);
        }
    }
    eprintln!("{test}: {states:?}");
    assert!(states.contains_key("in between"), "no kill fell into an apply: {states:?}");
}

/// Changes to every file, new files and removed ones, in a session that was not applied.
fn prepare(host: &Host) -> (Tree, Tree) {
    let mut old = Tree::new();
    for n in 0..FILES {
        old.insert(format!("d{}/{n}.txt", n % 7), format!("old {n}\n").into_bytes());
    }
    work::fill(host, &old);
    let text = format!(
        "for f in d*/*.txt; do echo new > $f; done; rm d3/*.txt; for n in $(seq {FILES}); do head -c 20000 /dev/zero > made$n; done; \
         touch done; sleep 60"
    );
    let mut command = host.command("nucleus");
    command.args([
        "run",
        "--profile",
        "fix-issue",
        "--allow-local-driver",
        "--",
        "sh",
        "-c",
        &text,
    ]);
    let mut task = host.start(&mut command);
    let done = |host: &Host| {
        host.sessions().first().is_some_and(|dir| dir.join("overlay/upper/done").exists())
    };
    assert!(task.until(|_| done(host)), "{}", task.printed());
    signal(task.pid(), Signal::INT);
    let (outcome, _) = task.outcome();
    outcome.expect_code(130);
    let mut new = old.clone();
    for (path, content) in work::files(&host.sessions()[0].join("overlay/upper")) {
        match content {
            Some(content) => new.insert(path, content),
            None => new.remove(&path),
        };
    }
    assert!(new.len() > FILES && work::tree(&host.workspace()) == old);
    (old, new)
}

fn one_session(host: &Host, way: Way, chance: &mut Chance, states: &mut States) {
    let (mut old, mut new) = prepare(host);
    if way == Way::Undo {
        host.nucleus(&["apply"]).expect_code(0);
        assert_whole(host, &new, "applied before it is taken back");
        std::mem::swap(&mut old, &mut new);
    }
    let mut delay = Duration::from_millis(60);
    // Shorter and shorter, until one is let through.
    for attempt in 0..4 {
        let Some(mut command) = command(host, way) else { break };
        let mut apply = host.start(&mut command);
        let session = &host.sessions()[0];
        if attempt % 2 == 0 {
            apply.until(|_| session.join("apply.journal").exists());
        }
        apply.watch(chance.time(delay));
        signal(apply.pid(), Signal::KILL);
        let (outcome, _) = apply.outcome();
        let now = work::tree(&host.workspace());
        let state = match (now == old, now == new) {
            (true, _) => "nothing",
            (_, true) => "all",
            _ => "in between",
        };
        *states.entry(state).or_default() += 1;
        for (path, content) in now.iter().filter(|(path, _)| !path.starts_with(".nucleus-apply-")) {
            assert!(
                [old.get(path), new.get(path)].contains(&Some(content)),
                "{path} is neither old nor new: {:?}\n{outcome}",
                String::from_utf8_lossy(content)
            );
        }
        if way == Way::Edited && attempt == 0 {
            for path in ["d0/0.txt", "d0/147.txt", "made1"] {
                host.file(path, "by the user\n");
                old.insert(path.to_owned(), b"by the user\n".to_vec());
                new.insert(path.to_owned(), b"by the user\n".to_vec());
            }
        }
        delay /= 2;
    }
    let last = match command(host, way) {
        Some(mut command) => Outcome::of(&mut command),
        None => return assert_whole(host, &new, "everything was accepted before"),
    };
    let settled = last.code == Some(64) && last.says("no session");
    assert!(last.code == Some(0) || settled, "{last}");
    assert_whole(host, &new, &last.to_string());
}

/// The command that is killed; none when there is nothing left to accept.
fn command(host: &Host, way: Way) -> Option<Command> {
    let mut command = host.command("nucleus");
    if way != Way::Accept {
        command.arg(if way == Way::Undo { "undo" } else { "apply" });
        return Some(command);
    }
    let list = host.nucleus(&["review", "--json"]);
    if list.code == Some(64) && list.says("no session") {
        return None;
    }
    let list: serde_json::Value =
        serde_json::from_str(&list.clone().expect_code(0).stdout).unwrap();
    let paths: Vec<&str> =
        list["items"].as_array().unwrap().iter().filter_map(|item| item["path"].as_str()).collect();
    if paths.is_empty() {
        return None;
    }
    command.arg("review");
    for path in paths {
        command.args(["--accept", path]);
    }
    Some(command)
}

fn assert_whole(host: &Host, new: &Tree, context: &str) {
    let now = work::tree(&host.workspace());
    assert_eq!(work::difference(&now, new), Vec::<String>::new(), "{context}");
    let names =
        std::fs::read_dir(host.workspace()).unwrap().map(|entry| entry.unwrap().file_name());
    let own: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with(".nucleus")).collect();
    assert!(own.is_empty(), "{own:?}\n{context}");
}
