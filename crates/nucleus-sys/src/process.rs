//! Processes: creation in new namespaces, ends, signals, sessions, execution.
#![expect(unsafe_code, reason = "clone, _exit and unshare have no safe binding")]

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use crate::weaken::{Weak, off};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions};

/// Proof that the process had one thread when the token was made.
///
/// Not `Send`, so that it cannot travel to a thread started later.
#[derive(Debug)]
pub struct SingleThreaded(PhantomData<*const ()>);

impl SingleThreaded {
    /// Counts the threads of this process.
    ///
    /// # Errors
    /// `InvalidInput` when there is more than one thread; any error of reading `/proc/self/status`.
    pub fn verify() -> io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let threads = status.lines().find_map(|line| line.strip_prefix("Threads:"));
        match threads.map(str::trim) {
            Some("1") => Ok(Self(PhantomData)),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the process has more than one thread",
            )),
        }
    }
}

/// A set of namespaces that a new process gets of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Namespaces(libc::c_int);

impl Namespaces {
    /// None: a plain fork.
    pub const NONE: Self = Self(0);
    /// Users and capabilities.
    pub const USER: Self = Self(libc::CLONE_NEWUSER);
    /// Mounts.
    pub const MOUNT: Self = Self(libc::CLONE_NEWNS);
    /// Processes.
    pub const PID: Self = Self(libc::CLONE_NEWPID);
    /// Network devices, addresses, abstract sockets.
    pub const NET: Self = Self(libc::CLONE_NEWNET);
    /// System V IPC and POSIX message queues.
    pub const IPC: Self = Self(libc::CLONE_NEWIPC);
    /// Host name.
    pub const UTS: Self = Self(libc::CLONE_NEWUTS);
    /// Root of the control group tree.
    pub const CGROUP: Self = Self(libc::CLONE_NEWCGROUP);

    /// Both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without the members of the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// True when every member of `other` is in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Which side of [`fork`] this is.
#[derive(Debug)]
pub enum Fork {
    /// The new process.
    Child,
    /// The old process, with the new one.
    Parent(Child),
}

/// A process made by [`fork`].
#[derive(Debug)]
pub struct Child {
    /// Its id in our process namespace.
    pub pid: Pid,
    /// A descriptor that stays bound to it.
    pub pidfd: OwnedFd,
}

/// Forks into new namespaces. The child starts with a copy of everything, as after `fork(2)`.
///
/// # Errors
/// What the kernel says; `EPERM`, `ENOSPC` or `EUSERS` where user namespaces are forbidden or used up.
pub fn fork(_proof: &SingleThreaded, namespaces: Namespaces) -> io::Result<Fork> {
    let mut pidfd: libc::c_int = -1;
    let flags = i64::from(namespaces.0 | libc::CLONE_PIDFD | libc::SIGCHLD);
    let null = std::ptr::null_mut::<libc::c_void>();
    let slot: *mut libc::c_int = &raw mut pidfd;
    // SAFETY: no CLONE_VM, so the child runs on its own copy of this stack; the caller proved that
    // there is one thread, so no lock of the runtime is held by a thread that the child lacks.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, null, slot, null, null) };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Ok(Fork::Child);
    };
    // SAFETY: the kernel stored a fresh descriptor there because CLONE_PIDFD was set.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Fork::Parent(Child { pid, pidfd }))
}

/// Leaves the process at once, running no destructor and no exit handler.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process; nothing of ours runs afterwards.
    unsafe { libc::_exit(code) }
}

/// Moves this process into fresh namespaces (mount, IPC, UTS, network, control group).
///
/// # Errors
/// What `unshare(2)` says.
pub fn unshare(_proof: &SingleThreaded, namespaces: Namespaces) -> io::Result<()> {
    // SAFETY: no memory is shared or unshared; CLONE_FILES cannot be in a `Namespaces`.
    if unsafe { libc::unshare(namespaces.0) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Asks for SIGKILL when the parent dies, and fails when it already has.
///
/// The kernel clears the request when the process changes its user ids, so call it after that.
///
/// # Errors
/// `BrokenPipe` when the parent is no longer `parent`; what `prctl(2)` says.
pub fn die_with_parent(parent: Option<Pid>) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if rustix::process::getppid() == parent {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::BrokenPipe, "the parent died"))
    }
}

/// Hides memory, environment and descriptors of this process from others of the same user.
///
/// # Errors
/// What `prctl(2)` says.
pub fn set_dumpable(dumpable: bool) -> io::Result<()> {
    let behavior =
        if dumpable { DumpableBehavior::Dumpable } else { DumpableBehavior::NotDumpable };
    Ok(rustix::process::set_dumpable_behavior(behavior)?)
}

/// Starts a session of its own, so that no terminal controls this process.
///
/// # Errors
/// `PermissionDenied` when the process already leads its group.
pub fn new_session() -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(())
}

/// Starts a session of its own that this terminal controls: its signals and sizes reach this process.
///
/// # Errors
/// `PermissionDenied` when the process already leads its group or the terminal controls another session.
pub fn take_terminal(terminal: BorrowedFd<'_>) -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(rustix::process::ioctl_tiocsctty(terminal)?)
}

/// Lets this process set a terminal that another group of processes is using, instead of being stopped for it.
pub fn ignore_terminal_stops() {
    // SAFETY: ignoring a signal installs no handler.
    let _before = unsafe { libc::signal(libc::SIGTTOU, libc::SIG_IGN) };
}

/// Stops as a program does that does not handle SIGTSTP: this process, or all of its group; nothing happens where no shell
/// could continue it. A handler there was is there again afterwards. From the main thread only: elsewhere the handler may
/// be back before the signal comes.
///
/// # Errors
/// What `kill(2)` says.
pub fn stop(whole_group: bool) -> io::Result<()> {
    // SAFETY: every member of it is a number or may be null, and all zero is the default action.
    let default: libc::sigaction = unsafe { std::mem::zeroed() };
    let mut before = default;
    // SAFETY: both point to live values, and the default action installs no handler.
    if unsafe { libc::sigaction(libc::SIGTSTP, &raw const default, &raw mut before) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let sent = if whole_group {
        rustix::process::kill_current_process_group(Signal::TSTP)
    } else {
        rustix::process::kill_process(rustix::process::getpid(), Signal::TSTP)
    };
    // SAFETY: what was there before, with the same flags.
    let _restored =
        unsafe { libc::sigaction(libc::SIGTSTP, &raw const before, std::ptr::null_mut()) };
    Ok(sent?)
}

/// Forbids privileges through `execve(2)` for this process and its children.
///
/// # Errors
/// What `prctl(2)` says.
pub fn set_no_new_privs() -> io::Result<()> {
    Ok(rustix::thread::set_no_new_privs(true)?)
}

/// Sends SIGKILL.
///
/// # Errors
/// `ESRCH` when the process is gone.
pub fn kill(pidfd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::process::pidfd_send_signal(pidfd, Signal::KILL)?)
}

/// Waits until the process ends: `true`; `false` when `timeout` passed first.
///
/// # Errors
/// What `poll(2)` says, interruptions excepted.
pub fn wait_end(pidfd: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<bool> {
    readable(pidfd, timeout)
}

/// Waits until a descriptor is readable or hung up.
///
/// # Errors
/// What `poll(2)` says, interruptions excepted.
pub fn readable(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<bool> {
    let started = Instant::now();
    loop {
        let left = timeout.map(|limit| limit.saturating_sub(started.elapsed()));
        let spec = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        });
        let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
        match rustix::event::poll(&mut fds, spec.as_ref()) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this code.
    Code(i32),
    /// A signal killed it.
    Signal(i32),
}

/// Waits for any child, or `None` when there is none left.
///
/// # Errors
/// What `waitpid(2)` says, interruptions and `ECHILD` excepted.
pub fn wait_any() -> io::Result<Option<(Pid, Ended)>> {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) => {
                if let Some(code) = status.exit_status() {
                    return Ok(Some((pid, Ended::Code(code))));
                }
                if let Some(signal) = status.terminating_signal() {
                    return Ok(Some((pid, Ended::Signal(signal))));
                }
            }
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::CHILD) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Collects children that ended, without waiting.
///
/// # Errors
/// What `waitpid(2)` says, `ECHILD` excepted.
pub fn reap() -> io::Result<()> {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Replaces this process by a program with exactly this environment and every signal at its default; returns only on
/// failure.
///
/// A name without `/` is looked up in the `PATH` of `env`.
#[must_use]
pub fn execute(program: &str, args: &[String], env: &[(String, String)]) -> io::Error {
    default_signals();
    let mut command = std::process::Command::new(program);
    command.args(args);
    if !off(Weak::Env) {
        command.env_clear();
    }
    for (name, value) in env {
        command.env(name, value);
    }
    command.exec()
}

/// Undoes what whoever started us ignored (a shell does so for its background jobs): it would outlive the `execve(2)`.
/// The mask is emptied by the standard library.
fn default_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: the default action installs no handler; numbers that cannot be set are refused without harm.
        let _before = unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// The id of a process behind a descriptor, as this process's `/proc` sees it.
///
/// # Errors
/// `InvalidData` when `fd` is not a process descriptor or the process is gone.
pub fn pid_of(pidfd: impl AsFd) -> io::Result<i32> {
    use std::os::fd::AsRawFd;
    let raw = pidfd.as_fd().as_raw_fd();
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{raw}"))?;
    info.lines()
        .find_map(|line| line.strip_prefix("Pid:"))
        .and_then(|pid| pid.trim().parse::<i32>().ok())
        .filter(|pid| *pid > 0)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}
