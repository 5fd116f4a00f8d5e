//! `kill -9` of `nucleus apply`: the next one finishes it or starts again.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::Signal;
use testkit::host::{Account, Host, programs, signal};

use crate::chance::Chance;
use crate::work::{self, Tree};

/// Sessions per account.
const SESSIONS: usize = 5;
/// Files of a session: an apply takes a while.
const FILES: usize = 150;

#[test]
fn a_killed_apply_is_finished_by_the_next() {
    let Some(bins) = programs("kill_apply") else { return };
    let mut chance = Chance::new("kill_apply");
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for account in Account::all() {
        let host = Host::new(&bins, account);
        for _ in 0..SESSIONS {
            host.reset();
            one_session(&host, &mut chance, &mut states);
        }
    }
    eprintln!("kill_apply: {states:?}");
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

fn one_session(host: &Host, chance: &mut Chance, states: &mut BTreeMap<&'static str, usize>) {
    let (old, new) = prepare(host);
    let mut delay = Duration::from_millis(60);
    // Shorter and shorter, until one is let through.
    for attempt in 0..4 {
        let mut command = host.command("nucleus");
        let mut apply = host.start(command.arg("apply"));
        let session = &host.sessions()[0];
        if apply.until(|_| attempt == 0 || session.join("apply.journal").exists()) {
            apply.watch(chance.time(delay));
        }
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
                "{path} is neither old nor new\n{outcome}"
            );
        }
        delay /= 2;
    }
    let last = host.nucleus(&["apply"]);
    assert!(last.code == Some(0) || (last.code == Some(64) && last.says("no session")), "{last}");
    let now = work::tree(&host.workspace());
    assert_eq!(work::difference(&now, &new), Vec::<String>::new(), "{last}");
    assert!(
        !std::fs::read_dir(host.workspace())
            .unwrap()
            .any(|entry| { entry.unwrap().file_name().to_string_lossy().starts_with(".nucleus") })
    );
}
