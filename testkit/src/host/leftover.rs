//! What a task must not leave behind on the host.

use std::path::Path;
use std::time::{Duration, Instant};

use super::witness;

/// Something that is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leftover {
    /// A process: pid and command line.
    Process(u32, String),
    /// A mount point of the host's namespace.
    Mount(String),
    /// A control group.
    ControlGroup(String),
}

/// Everything of Nucleus's, or beneath `place`, that is left; waits up to `patience` for it to go.
#[must_use]
pub fn leftovers(place: &Path, patience: Duration) -> Vec<Leftover> {
    let deadline = Instant::now() + patience;
    loop {
        let found = look(place);
        if found.is_empty() || Instant::now() >= deadline {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn look(place: &Path) -> Vec<Leftover> {
    let mut found = processes(place);
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let needle = place.to_string_lossy();
    found.extend(
        mounts
            .lines()
            .filter(|line| line.contains(needle.as_ref()))
            .map(|line| Leftover::Mount(line.to_owned())),
    );
    found.extend(
        witness::ownerless_groups()
            .into_iter()
            .map(|dir| Leftover::ControlGroup(dir.display().to_string())),
    );
    found
}

/// Processes whose working directory, root or any open file is beneath `place`, or whose state directory is.
fn processes(place: &Path) -> Vec<Leftover> {
    let own = std::process::id();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok) {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if pid == own {
            continue;
        }
        let dir = entry.path();
        let touches = ["cwd", "root", "exe"]
            .iter()
            .any(|link| std::fs::read_link(dir.join(link)).is_ok_and(|to| to.starts_with(place)))
            || std::fs::read_dir(dir.join("fd"))
                .into_iter()
                .flatten()
                .filter_map(Result::ok)
                .any(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to.starts_with(place)))
            || std::fs::read_to_string(dir.join("mountinfo"))
                .is_ok_and(|mounts| mounts.contains(&*place.to_string_lossy()));
        if touches {
            let line = std::fs::read(dir.join("cmdline")).unwrap_or_default();
            found.push(Leftover::Process(pid, String::from_utf8_lossy(&line).replace('\0', " ")));
        }
    }
    found
}
