//! Names of the control groups of launchers, and removal of those whose launcher is dead.

use std::io;
use std::time::Duration;

use nucleus_sys::cgroup::Hierarchy;

/// Beginning of every name.
const PREFIX: &str = "nucleus-";

/// The name for this process: the namespace in which its id counts, its id, and its start time, so that a later
/// process with the same id is told apart.
pub(crate) fn own_name() -> io::Result<String> {
    let pid = std::process::id();
    let start = start_time(pid).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    Ok(format!("{PREFIX}{}-{pid}-{start}", namespace()?))
}

/// Number of the process namespace.
fn namespace() -> io::Result<u64> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let link = std::fs::read_link("/proc/self/ns/pid")?;
    let text = link.to_str().ok_or_else(invalid)?;
    let number = text.strip_prefix("pid:[").and_then(|rest| rest.strip_suffix(']'));
    number.and_then(|number| number.parse().ok()).ok_or_else(invalid)
}

/// Removes groups whose launcher no longer runs, with whatever is still in them. Those of other process namespaces
/// are left alone: whether their launcher runs cannot be known here.
pub(crate) fn collect(hierarchy: &Hierarchy) {
    let Ok(own) = namespace() else { return };
    for name in hierarchy.list(PREFIX) {
        let Some((namespace, pid, start)) = parse(&name) else { continue };
        if namespace == own && start_time(pid) != Some(start) {
            // Another launcher may be removing it at the same time.
            let _kept = hierarchy.existing(&name).remove(Duration::from_millis(200));
        }
    }
}

fn parse(name: &str) -> Option<(u64, u32, u64)> {
    let mut parts = name.strip_prefix(PREFIX)?.splitn(3, '-');
    let (namespace, pid, start) = (parts.next()?, parts.next()?, parts.next()?);
    Some((namespace.parse().ok()?, pid.parse().ok()?, start.parse().ok()?))
}

/// When a process started, in ticks since boot; none when there is no such process or it is a zombie.
fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_name_is_alive_and_others_are_not_ours_to_parse() {
        let name = own_name().expect("this process has a start time");
        let (_, pid, start) = parse(&name).expect("our own format");
        assert_eq!(start_time(pid), Some(start));
        assert_eq!(parse("nucleus-x-1-1"), None);
        assert_eq!(parse("nucleus-1-1"), None);
        assert_eq!(parse("other-1-1-1"), None);
    }
}
