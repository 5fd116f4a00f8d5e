//! Who belongs to a task, so that a test can tell what is left of it after its parent was killed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Leftover;

/// Every process seen beneath a root process, by pid and start time, so that a later process of the same pid is
/// another one.
#[derive(Debug, Clone)]
pub struct Witness {
    root: u32,
    seen: BTreeMap<u32, Seen>,
}

#[derive(Debug, Clone)]
struct Seen {
    started: u64,
    name: String,
}

impl Witness {
    /// Watches the process `root` and what descends from it.
    #[must_use]
    pub fn of(root: u32) -> Self {
        let mut witness = Self { root, seen: BTreeMap::new() };
        witness.look();
        witness
    }

    /// Notes who is there now. Everything seen before is looked at too: its children stay known when it is gone.
    pub fn look(&mut self) {
        let mut queue: Vec<u32> =
            std::iter::once(self.root).chain(self.seen.keys().copied()).collect();
        let mut done = std::collections::BTreeSet::new();
        while let Some(pid) = queue.pop() {
            if !done.insert(pid) {
                continue;
            }
            if let Some((name, _state, started)) = stat(pid) {
                let known =
                    self.seen.entry(pid).or_insert_with(|| Seen { started, name: name.clone() });
                if known.started != started {
                    continue; // another process by now
                }
                known.name = name;
                queue.extend(children(pid));
            }
        }
    }

    /// The first process of that name, by the kernel's 15 characters.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<u32> {
        self.seen.iter().find(|(_, seen)| seen.name == name).map(|(pid, _)| *pid)
    }

    /// The first child of `parent`.
    #[must_use]
    pub fn child_of(&self, parent: u32) -> Option<u32> {
        children(parent).into_iter().find(|pid| self.seen.contains_key(pid))
    }

    /// How many processes were seen.
    #[must_use]
    pub fn count(&self) -> usize {
        self.seen.len()
    }

    /// What is left of them, and of the control groups of their launchers; waits up to `patience` for it to go.
    #[must_use]
    pub fn left(&self, patience: Duration) -> Vec<Leftover> {
        let deadline = Instant::now() + patience;
        loop {
            let mut found = self.processes();
            found.extend(
                self.control_groups()
                    .into_iter()
                    .map(|dir| Leftover::ControlGroup(dir.display().to_string())),
            );
            if found.is_empty() || Instant::now() >= deadline {
                return found;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Processes of the task that still run.
    #[must_use]
    pub fn processes(&self) -> Vec<Leftover> {
        let alive = |(pid, seen): (&u32, &Seen)| {
            let (name, state, started) = stat(*pid)?;
            (started == seen.started && state != 'Z').then_some(Leftover::Process(*pid, name))
        };
        self.seen.iter().filter_map(alive).collect()
    }

    /// Control groups of the task's launchers that still exist.
    #[must_use]
    pub fn control_groups(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        control_groups(Path::new("/sys/fs/cgroup"), &mut found);
        found.retain(|dir| launcher(dir).is_some_and(|(pid, _)| self.seen.contains_key(&pid)));
        found
    }
}

/// Control groups of any launcher beneath `root`.
fn control_groups(root: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(root).into_iter().flatten().filter_map(Result::ok) {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name().to_string_lossy().starts_with("nucleus-") {
            found.push(entry.path());
        } else {
            control_groups(&entry.path(), found);
        }
    }
}

/// Control groups whose launcher is dead: a living launcher removes its own, and may be another test's.
pub(super) fn ownerless_groups() -> Vec<PathBuf> {
    let mut found = Vec::new();
    control_groups(Path::new("/sys/fs/cgroup"), &mut found);
    let alive = |(pid, started)| {
        stat(pid).is_some_and(|(_, state, since)| since == started && state != 'Z')
    };
    found.retain(|dir| launcher(dir).is_some_and(|launcher| !alive(launcher)));
    found
}

/// Pid and start time of the launcher that made a group: the end of its name.
fn launcher(group: &Path) -> Option<(u32, u64)> {
    let (rest, started) = group.file_name()?.to_str()?.rsplit_once('-')?;
    let (_, pid) = rest.rsplit_once('-')?;
    Some((pid.parse().ok()?, started.parse().ok()?))
}

/// Name, state and start time of a process.
fn stat(pid: u32) -> Option<(String, char, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, fields) = text.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let mut fields = fields.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((name, state, fields.nth(18)?.parse().ok()?))
}

fn children(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for task in
        std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().filter_map(Result::ok)
    {
        let text = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        found.extend(text.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
    }
    found
}
