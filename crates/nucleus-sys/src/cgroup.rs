//! Control groups, version 1 and 2: limits, membership by inherited descriptors, removal.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Limits of one group. `None` sets none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Memory in bytes, swap excluded.
    pub memory_bytes: Option<u64>,
}

/// Where groups can be made on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Directory per controller; one directory for all in version 2.
    parents: Vec<Parent>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parent {
    controller: Controller,
    directory: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Controller {
    Pids,
    Memory,
    Unified { pids: bool, memory: bool },
}

/// One group, or the same group in several hierarchies of version 1. Not removed on drop: see [`Group::remove`].
#[derive(Debug)]
pub struct Group {
    directories: Vec<(Controller, PathBuf)>,
}

/// What the limits of a group rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Support {
    /// The number of processes can be limited.
    pub pids: bool,
    /// Memory can be limited.
    pub memory: bool,
    /// 1 or 2.
    pub version: u8,
}

impl Hierarchy {
    /// Finds where this process may make groups with limits; `None` when nowhere.
    #[must_use]
    pub fn find() -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        let membership = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let first = version_1(&mounts, &membership);
        if !first.is_empty() {
            return Some(Self { parents: first });
        }
        version_2(&mounts, &membership).map(|parent| Self { parents: vec![parent] })
    }

    /// What can be limited here.
    #[must_use]
    pub fn support(&self) -> Support {
        let mut support = Support { pids: false, memory: false, version: 1 };
        for parent in &self.parents {
            match parent.controller {
                Controller::Pids => support.pids = true,
                Controller::Memory => support.memory = true,
                Controller::Unified { pids, memory } => {
                    support = Support { pids, memory, version: 2 };
                }
            }
        }
        support
    }

    /// Makes a group directly beneath the parent.
    ///
    /// # Errors
    /// What making the directory or writing a limit says; nothing is left behind then.
    pub fn create(&self, name: &str, limits: &Limits) -> io::Result<Group> {
        let places =
            self.parents.iter().map(|parent| (parent.controller, parent.directory.join(name)));
        Group::make(places.collect(), limits)
    }

    /// Names of groups beneath the parent that begin with `prefix`.
    #[must_use]
    pub fn list(&self, prefix: &str) -> Vec<String> {
        let mut names = Vec::new();
        for parent in &self.parents {
            let Ok(entries) = std::fs::read_dir(&parent.directory) else { continue };
            for entry in entries.flatten() {
                if let Ok(name) = entry.file_name().into_string()
                    && name.starts_with(prefix)
                    && !names.contains(&name)
                {
                    names.push(name);
                }
            }
        }
        names
    }

    /// The group of that name, which somebody else may have made.
    #[must_use]
    pub fn existing(&self, name: &str) -> Group {
        let places =
            self.parents.iter().map(|parent| (parent.controller, parent.directory.join(name)));
        Group { directories: places.filter(|(_, path)| path.is_dir()).collect() }
    }
}

impl Group {
    fn make(places: Vec<(Controller, PathBuf)>, limits: &Limits) -> io::Result<Self> {
        let mut group = Self { directories: Vec::new() };
        for (controller, path) in places {
            let made = std::fs::create_dir(&path)
                .map(|()| group.directories.push((controller, path.clone())))
                .and_then(|()| write_limits(controller, &path, limits));
            if let Err(error) = made {
                let _emptied = group.remove_empty();
                return Err(error);
            }
        }
        Ok(group)
    }

    /// Makes a group inside this one.
    ///
    /// # Errors
    /// As [`Hierarchy::create`].
    pub fn child(&self, name: &str, limits: &Limits) -> io::Result<Self> {
        let places = self.directories.iter().map(|(kind, path)| (*kind, path.join(name)));
        Self::make(places.collect(), limits)
    }

    /// Makes the limits available to groups inside this one (version 2; version 1 needs nothing).
    ///
    /// # Errors
    /// What writing `cgroup.subtree_control` says.
    pub fn delegate(&self) -> io::Result<()> {
        for (controller, path) in &self.directories {
            if let Controller::Unified { pids, memory } = controller {
                enable(path, *pids, *memory)?;
            }
        }
        Ok(())
    }

    /// Descriptors that put whoever writes `0` to them into this group.
    ///
    /// # Errors
    /// What opening them says.
    pub fn entrances(&self) -> io::Result<Vec<OwnedFd>> {
        let mut entrances = Vec::new();
        for (_, path) in &self.directories {
            let file = OpenOptions::new().write(true).open(path.join("cgroup.procs"))?;
            entrances.push(OwnedFd::from(file));
        }
        Ok(entrances)
    }

    /// Kills every process in the group, those of groups inside it included, and removes them all.
    ///
    /// # Errors
    /// `TimedOut` when processes are still there after `patience`; what removal says.
    pub fn remove(&self, patience: Duration) -> io::Result<()> {
        let started = Instant::now();
        loop {
            let mut left = None;
            for (_, path) in &self.directories {
                kill_members(path);
                if let Err(error) = remove_tree(path) {
                    left = Some(error);
                }
            }
            match left {
                None => return Ok(()),
                Some(_) if started.elapsed() < patience => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Some(error) => return Err(error),
            }
        }
    }

    /// Removes the group if it is empty by now; true when it is gone.
    #[must_use]
    pub fn remove_empty(&self) -> bool {
        self.directories.iter().all(|(_, path)| {
            !matches!(std::fs::remove_dir(path), Err(error) if error.kind() != io::ErrorKind::NotFound)
        })
    }
}

/// Puts this process into the group of an entrance.
///
/// # Errors
/// What the kernel says; `ENOSPC` or `EAGAIN` when the group is full.
pub fn enter(entrance: OwnedFd) -> io::Result<()> {
    File::from(entrance).write_all(b"0")
}

fn write_limits(controller: Controller, path: &Path, limits: &Limits) -> io::Result<()> {
    let (pids, memory) = match controller {
        Controller::Pids => (true, None),
        Controller::Memory => (false, Some("memory.limit_in_bytes")),
        Controller::Unified { pids, memory } => (pids, memory.then_some("memory.max")),
    };
    if let (true, Some(value)) = (pids, limits.pids) {
        std::fs::write(path.join("pids.max"), value.to_string())?;
    }
    if let (Some(file), Some(value)) = (memory, limits.memory_bytes) {
        std::fs::write(path.join(file), value.to_string())?;
        if let Controller::Unified { .. } = controller {
            // Absent without swap accounting; the memory limit itself holds either way.
            let _absent = std::fs::write(path.join("memory.swap.max"), "0");
        }
    }
    Ok(())
}

fn kill_members(path: &Path) {
    let kill = OpenOptions::new().write(true).open(path.join("cgroup.kill"));
    if kill.and_then(|mut file| file.write_all(b"1")).is_ok() {
        return;
    }
    for directory in tree(path) {
        let Ok(members) = std::fs::read_to_string(directory.join("cgroup.procs")) else { continue };
        for pid in members.lines().filter_map(|line| line.parse().ok()) {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                // Already gone is as good.
                let _gone = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

/// The directory and those beneath it, innermost first.
fn tree(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Ok(entries) = std::fs::read_dir(path) {
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.extend(tree(&entry.path()));
            }
        }
    }
    found.push(path.to_path_buf());
    found
}

fn remove_tree(path: &Path) -> io::Result<()> {
    for directory in tree(path) {
        match std::fs::remove_dir(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn version_1(mounts: &str, membership: &str) -> Vec<Parent> {
    let mut parents = Vec::new();
    for (name, controller) in [("pids", Controller::Pids), ("memory", Controller::Memory)] {
        let Some(own) =
            own_group(membership, |controllers| controllers.split(',').any(|c| c == name))
        else {
            continue;
        };
        let Some(directory) = mount_of(mounts, "cgroup", name, own) else { continue };
        if writable(&directory) {
            parents.push(Parent { controller, directory });
        }
    }
    parents
}

/// The nearest group, going up from our own, where groups with limits can be made and entered.
fn version_2(mounts: &str, membership: &str) -> Option<Parent> {
    let own = own_group(membership, str::is_empty)?;
    let mut directory = mount_of(mounts, "cgroup2", "", own)?;
    let mut fallback = None;
    loop {
        if !directory.join("cgroup.procs").exists() {
            return fallback;
        }
        if writable(&directory) && writable(&directory.join("cgroup.procs")) {
            let has = |name: &str| {
                std::fs::read_to_string(directory.join("cgroup.controllers"))
                    .is_ok_and(|all| all.split_whitespace().any(|word| word == name))
            };
            let (pids, memory) = (has("pids"), has("memory"));
            if (pids || memory) && enable(&directory, pids, memory).is_ok() {
                let controller = Controller::Unified { pids, memory };
                return Some(Parent { controller, directory });
            }
            let nothing = Controller::Unified { pids: false, memory: false };
            fallback.get_or_insert(Parent { controller: nothing, directory: directory.clone() });
        }
        directory = directory.parent()?.to_path_buf();
    }
}

fn enable(directory: &Path, pids: bool, memory: bool) -> io::Result<()> {
    let file = directory.join("cgroup.subtree_control");
    let enabled = std::fs::read_to_string(&file)?;
    for (name, wanted) in [("pids", pids), ("memory", memory)] {
        if wanted && !enabled.split_whitespace().any(|word| word == name) {
            std::fs::write(&file, format!("+{name}"))?;
        }
    }
    Ok(())
}

fn own_group(membership: &str, matches: impl Fn(&str) -> bool) -> Option<&str> {
    membership.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        matches(controllers).then_some(path)
    })
}

/// The directory of group `own` in the hierarchy of that type and option, through its mount's root.
fn mount_of(mounts: &str, kind: &str, option: &str, own: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ');
        let (root, point) = (before.nth(3)?, before.next()?);
        let mut after = after.split(' ');
        let (found, options) = (after.next()?, after.nth(1)?);
        if found != kind || !(option.is_empty() || options.split(',').any(|word| word == option)) {
            return None;
        }
        let beneath = if root == "/" { own } else { own.strip_prefix(root)? };
        Some(Path::new(point).join(beneath.trim_start_matches('/')))
    })
}

fn writable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_own_group_through_the_root_of_the_mount() {
        let mounts = "40 30 0:30 /docker/x /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n";
        let found = mount_of(mounts, "cgroup", "pids", "/docker/x/y");
        assert_eq!(found, Some(PathBuf::from("/sys/fs/cgroup/pids/y")));
        assert_eq!(mount_of(mounts, "cgroup", "memory", "/docker/x/y"), None);
        assert_eq!(mount_of(mounts, "cgroup", "pids", "/elsewhere"), None);
    }

    fn lay(directory: &Path, files: &[(&str, &str)]) {
        std::fs::create_dir_all(directory).expect("directory");
        for (name, text) in files {
            std::fs::write(directory.join(name), text).expect("file");
        }
    }

    #[test]
    fn version_2_goes_up_to_the_first_group_that_can_pass_limits_on() {
        let top = std::env::temp_dir().join(format!("nucleus-cgroup-{}", std::process::id()));
        let own = top.join("user.slice/session.scope");
        let none =
            [("cgroup.procs", ""), ("cgroup.controllers", ""), ("cgroup.subtree_control", "")];
        lay(&own, &none);
        lay(
            &top.join("user.slice"),
            &[
                ("cgroup.procs", ""),
                ("cgroup.controllers", "cpu memory pids"),
                ("cgroup.subtree_control", "cpu memory pids"),
            ],
        );
        let mounts = format!("30 20 0:26 / {} rw - cgroup2 cgroup2 rw\n", top.display());
        let found = version_2(&mounts, "0::/user.slice/session.scope\n").expect("a place");
        assert_eq!(found.directory, top.join("user.slice"));
        assert_eq!(found.controller, Controller::Unified { pids: true, memory: true });
        // Without controllers anywhere a group is still good for killing.
        lay(&top.join("user.slice"), &none);
        let found = version_2(&mounts, "0::/user.slice/session.scope\n").expect("a place");
        assert_eq!(found.directory, own);
        assert_eq!(found.controller, Controller::Unified { pids: false, memory: false });
        std::fs::remove_dir_all(top).expect("clean up");
    }

    /// Runs itself again where version 2 is mounted for sure: its hierarchy may exist without controllers anywhere.
    #[test]
    #[ignore = "needs root"]
    fn needs_root_a_group_of_version_2_is_entered_killed_and_removed() {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mounts");
        let membership = std::fs::read_to_string("/proc/self/cgroup").expect("membership");
        let Some(parent) = version_2(&mounts, &membership) else {
            return with_version_2(
                "cgroup::tests::needs_root_a_group_of_version_2_is_entered_killed_and_removed",
            );
        };
        let hierarchy = Hierarchy { parents: vec![parent] };
        let name = format!("nucleus-test-{}", std::process::id());
        let group = hierarchy.create(&name, &Limits::default()).expect("group");
        let inner = group.child("run-1", &Limits::default()).expect("child");
        assert!(hierarchy.list("nucleus-test-").contains(&name));
        let mut sleeper =
            std::process::Command::new("sleep").arg("60").spawn().expect("a process to kill");
        let (_, path) = inner.directories.first().expect("one directory");
        std::fs::write(path.join("cgroup.procs"), sleeper.id().to_string()).expect("enter");
        assert!(!inner.remove_empty(), "it is not empty");
        group.remove(Duration::from_secs(5)).expect("remove");
        assert!(!sleeper.wait().expect("wait").success(), "it was killed");
        assert!(hierarchy.list(&name).is_empty());
    }

    fn with_version_2(test: &str) {
        let place = std::env::temp_dir().join(format!("nucleus-cgroup2-{}", std::process::id()));
        std::fs::create_dir(&place).expect("a mount point");
        let program = std::env::current_exe().expect("this program");
        let script = "mount -t cgroup2 cgroup2 \"$1\" && exec \"$2\" --exact --ignored \"$3\"";
        let again = std::process::Command::new("unshare")
            .args(["--mount", "sh", "-c", script, "sh"])
            .args([place.as_os_str(), program.as_os_str(), test.as_ref()])
            .output()
            .expect("unshare");
        std::fs::remove_dir(&place).expect("clean up");
        let printed = String::from_utf8_lossy(&again.stdout);
        assert!(again.status.success() && printed.contains("1 passed"), "{again:?}");
    }

    #[test]
    fn reads_membership_of_both_versions() {
        let text = "4:memory:/a\n3:cpu,cpuacct:/b\n0::/user.slice\n";
        assert_eq!(own_group(text, |names| names == "memory"), Some("/a"));
        assert_eq!(own_group(text, str::is_empty), Some("/user.slice"));
    }
}
