//! The host itself: kernel, switches of the administrator, limits, disk, clock.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, StatVfsMountFlags};
use rustix::process::Resource;

use super::check::{Check, Verdict};
use crate::amount;
use crate::state::State;

/// A task opens a descriptor for each connection, pod and file it works on.
const FILES_MIN: u64 = 1_024;
/// A build starts this many processes easily.
const PROCESSES_MIN: u64 = 512;
/// Less space than this ends a task soon after it began.
const BYTES_MIN: u64 = 2 << 30;
/// No build of this program is older: 2026-01-01.
const CLOCK_MIN_S: i64 = 1_767_225_600;

/// The checks.
pub(super) fn checks(state: &State) -> Vec<Check> {
    let mut checks = vec![kernel(), namespaces()];
    checks.extend(app_armor());
    checks.extend([openat2(), proc(), files(), processes(), space(&state.dir), clock()]);
    checks.extend([machine(), nftables()]);
    checks
}

fn kernel() -> Check {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    Check::note("kernel", format!("Linux {release} (docs/HOSTS.md says what each version lacks)"))
}

/// The switches that say whether user namespaces may be made; that they can be is shown by the walls.
fn namespaces() -> Check {
    let name = "user namespaces";
    match (setting("kernel/unprivileged_userns_clone"), setting("user/max_user_namespaces")) {
        (Some(0), _) => Check::new(name, Verdict::Broken, "kernel.unprivileged_userns_clone is 0")
            .mend("sysctl -w kernel.unprivileged_userns_clone=1"),
        (_, Some(0)) => Check::new(name, Verdict::Broken, "user.max_user_namespaces is 0")
            .mend("sysctl -w user.max_user_namespaces=65536"),
        (_, Some(most)) => Check::good(name, format!("allowed, at most {most}")),
        (_, None) => Check::note(name, "this kernel has no limit for them"),
    }
}

fn app_armor() -> Option<Check> {
    let restricted = setting("kernel/apparmor_restrict_unprivileged_userns")?;
    let name = "apparmor";
    let root = rustix::process::geteuid().is_root();
    let profile = Path::new(super::fix::PROFILE).exists();
    Some(match (restricted, root, profile) {
        (0, ..) => Check::good(name, "user namespaces are not restricted"),
        (_, true, _) => {
            Check::good(name, "restricts user namespaces of ordinary users, not root's")
        }
        (_, _, true) => Check::good(
            name,
            format!("restricts user namespaces; {} allows Nucleus's", super::fix::PROFILE),
        ),
        _ => Check::new(name, Verdict::Weaker, "restricts user namespaces of ordinary users")
            .without("the launcher may make a namespace and then do nothing in it: no run begins")
            .mend("sudo nucleus doctor --fix installs a profile for the launcher alone"),
    })
}

fn openat2() -> Check {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    match rustix::fs::openat2(CWD, ".", flags, Mode::empty(), how) {
        Ok(_) => Check::good("openat2", "paths are resolved by the kernel's own rules"),
        Err(error) => Check::new("openat2", Verdict::Broken, error.to_string())
            .without("no file tool can be held inside the workspace")
            .mend("a kernel from 5.6 on; in a container, a seccomp profile that knows openat2"),
    }
}

fn proc() -> Check {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let options = |line: &str| line.split(" - ").nth(1).map(str::to_owned).unwrap_or_default();
    let of_proc = |line: &&str| line.split(' ').nth(4) == Some("/proc");
    let hides = mounts.lines().filter(of_proc).any(|line| {
        let options = options(line);
        ["hidepid=1", "hidepid=2", "hidepid=noaccess", "hidepid=invisible"]
            .iter()
            .any(|option| options.contains(option))
    });
    let covered = mounts
        .lines()
        .filter(|line| line.split(' ').nth(4).is_some_and(|place| place.starts_with("/proc/")));
    let covered = covered.count();
    match (hides, covered) {
        (true, _) => Check::note("proc", "hides other users' processes; a run does not mind"),
        (_, 0) => Check::good("proc", "whole"),
        (_, n) => Check::note(
            "proc",
            format!("{n} places are covered, as in a container; the walls show whether it matters"),
        ),
    }
}

fn files() -> Check {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    match limit.current {
        Some(now) if now < FILES_MIN => {
            let found = format!("a process may open {now} files");
            let check = Check::new("open files", Verdict::Weaker, found)
                .without("a task with many files or connections ends with \"too many open files\"");
            check.mend(format!("ulimit -n {FILES_MIN}, or LimitNOFILE= of the service"))
        }
        Some(now) => Check::good("open files", format!("a process may open {now}")),
        None => Check::good("open files", "not limited"),
    }
}

fn processes() -> Check {
    let limit = rustix::process::getrlimit(Resource::Nproc);
    match limit.current {
        Some(now) if now < PROCESSES_MIN && !rustix::process::geteuid().is_root() => {
            Check::new("processes", Verdict::Weaker, format!("this user may have {now}"))
                .without("builds fail with \"resource temporarily unavailable\"")
                .mend(format!("ulimit -u {PROCESSES_MIN} or more"))
        }
        Some(now) => Check::good("processes", format!("this user may have {now}")),
        None => Check::good("processes", "not limited"),
    }
}

fn space(dir: &Path) -> Check {
    let name = "disk";
    let stat = match rustix::fs::statvfs(dir) {
        Ok(stat) => stat,
        Err(error) => return Check::new(name, Verdict::Broken, error.to_string()),
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let kept = amount::bytes(nucleus_sandbox::storage::size(dir));
    let found =
        format!("{} free at {}, {kept} used by Nucleus", amount::bytes(free), dir.display());
    if stat.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        return Check::new(name, Verdict::Weaker, format!("{found}, mounted noexec"))
            .without("commands cannot run what they build in /tmp or keep in their caches")
            .mend("set XDG_STATE_HOME to a directory on a file system without noexec");
    }
    if stat.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Check::new(name, Verdict::Broken, format!("{} is read-only", dir.display()))
            .mend("set XDG_STATE_HOME to a directory that can be written");
    }
    if free < BYTES_MIN {
        return Check::new(name, Verdict::Weaker, found)
            .without("a command that writes much is killed before the log has no room")
            .mend("nucleus gc, or set XDG_STATE_HOME to a larger file system");
    }
    Check::good(name, found)
}

fn clock() -> Check {
    let now = jiff::Timestamp::now();
    if now.as_second() < CLOCK_MIN_S {
        return Check::new("clock", Verdict::Weaker, format!("says {now}"))
            .without(
                "deadlines, approvals and log entries carry a wrong time; TLS to the model fails",
            )
            .mend("set it, and let something keep it: timedatectl set-ntp true");
    }
    Check::good("clock", now.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// Programs and devices for microVMs, which come later.
fn machine() -> Check {
    let kvm = match fs::File::options().read(true).write(true).open("/dev/kvm") {
        Ok(_) => "/dev/kvm can be opened".to_owned(),
        Err(error) => format!("/dev/kvm: {error}"),
    };
    let mut found = vec![kvm];
    for name in ["qemu-system-x86_64", "qemu-system-aarch64", "firecracker"] {
        if program(name).is_some() {
            found.push(name.to_owned());
        }
    }
    Check::note("microvm", format!("{}; no driver of this version uses them", found.join(", ")))
}

fn nftables() -> Check {
    let found = match program("nft") {
        Some(path) => format!("{}; no driver of this version needs it", path.display()),
        None => "not installed; no driver of this version needs it".to_owned(),
    };
    Check::note("nftables", found)
}

/// A program of the system, where administrators' programs are too.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| fs::metadata(path).is_ok_and(|m| m.is_file() && m.mode() & 0o111 != 0))
}

fn setting(name: &str) -> Option<u64> {
    fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?.trim().parse().ok()
}
