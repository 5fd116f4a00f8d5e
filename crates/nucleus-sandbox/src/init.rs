//! Pod init: process 1 of one run. It puts the layers on, gets its program, starts it, forwards its end and takes
//! everything down with it.
//!
//! The program comes last so that a pod can be made ready ahead of time: entering a control group alone may take the
//! kernel 10 ms.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nucleus_sys::landlock::Domain;
use nucleus_sys::mount::{self, Restrictions};
use nucleus_sys::process::{self, Ended, Fork, Namespaces, SingleThreaded};
use nucleus_sys::rlimit;
use nucleus_sys::seccomp::Filters;
use nucleus_sys::weaken::{Weak, off};
use nucleus_sys::{caps, cgroup, fd};

use crate::error::{Built, Step, at};
use crate::plan::{MESSAGE_BYTES, Program, Report, RunPlan};
use crate::self_test;

/// What a pod needs of its holder.
#[derive(Debug)]
pub(crate) struct Init<'a> {
    pub(crate) proof: &'a SingleThreaded,
    /// Where the program comes from.
    pub(crate) socket: UnixStream,
    /// Entrances of the pod's control groups.
    pub(crate) entrances: Vec<OwnedFd>,
    /// Where the end is reported.
    pub(crate) status: OwnedFd,
    pub(crate) limits: rlimit::Limits,
    pub(crate) domain: Option<&'a Domain>,
    pub(crate) filters: &'a Filters,
}

/// Exit code of an init that could not put its layers on.
const BROKEN: i32 = 71;

impl Init<'_> {
    /// Runs as process 1 of the new process namespace: puts the layers on, waits for the program, runs it. Never returns.
    pub(crate) fn run(mut self) -> ! {
        let walls = self.wall();
        let Self { proof, socket, status, .. } = self;
        let mut status = File::from(status);
        let begun = walls.and_then(|()| {
            let (program, standard) = receive(&socket)?;
            drop(socket);
            let fork = process::fork(proof, Namespaces::NONE).map_err(at(Step::Fork, ""))?;
            Ok((program, standard, fork))
        });
        match begun {
            Ok((program, standard, Fork::Child)) => payload(&program, &standard, &mut status),
            Ok((_, standard, Fork::Parent(child))) => {
                drop(standard);
                let end = wait_for(child.pid);
                report(&mut status, &end);
                process::exit_now(0)
            }
            Err(failure) => {
                report(&mut status, &Report::Failed(failure));
                process::exit_now(BROKEN)
            }
        }
    }

    /// Puts every layer on, in the order in which each still can be.
    fn wall(&mut self) -> Built<()> {
        // The holder is process 1 of the namespace above, so its end is ours in any case; this is the second string.
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
            .map_err(|error| at(Step::Fork, "")(error.into()))?;
        for entrance in std::mem::take(&mut self.entrances) {
            cgroup::enter(entrance).map_err(at(Step::Cgroup, ""))?;
        }
        process::unshare(self.proof, Namespaces::CGROUP).map_err(at(Step::Cgroup, "namespace"))?;
        if !off(Weak::Pidns) && !off(Weak::Mounts) {
            mount_proc().map_err(at(Step::Proc, ""))?;
        }
        if !off(Weak::Session) {
            process::new_session().map_err(at(Step::Session, ""))?;
        }
        if !off(Weak::Rlimits) {
            rlimit::apply(&self.limits).map_err(at(Step::Rlimits, ""))?;
        }
        if off(Weak::Dumpable) {
            process::set_dumpable(true).map_err(at(Step::Session, "dumpable"))?;
        }
        if !off(Weak::Caps) {
            caps::drop_all().map_err(at(Step::Capabilities, ""))?;
        }
        process::set_no_new_privs().map_err(at(Step::Capabilities, "no new privileges"))?;
        if let Some(domain) = self.domain {
            domain.enter().map_err(at(Step::Landlock, ""))?;
        }
        if !off(Weak::Seccomp) {
            self.filters.enter().map_err(at(Step::Seccomp, ""))?;
        }
        Ok(())
    }
}

fn receive(socket: &UnixStream) -> Built<(Program, [OwnedFd; 3])> {
    let torn = || at(Step::Protocol, "")(rustix::io::Errno::PIPE.into());
    let message = fd::receive(socket, MESSAGE_BYTES).map_err(at(Step::Protocol, ""))?;
    let (body, fds) = message.ok_or_else(torn)?;
    let program =
        serde_json::from_slice(&body).map_err(|error| at(Step::Protocol, "")(error.into()))?;
    let standard = <[OwnedFd; 3]>::try_from(fds).map_err(|_| torn())?;
    Ok((program, standard))
}

fn payload(program: &Program, standard: &[OwnedFd; 3], status: &mut File) -> ! {
    let [stdin, stdout, stderr] = standard;
    let ready = fd::set_standard(stdin.as_fd(), stdout.as_fd(), stderr.as_fd())
        .and_then(|()| if off(Weak::Fds) { Ok(()) } else { fd::close_on_exec_from(3) });
    if let Err(error) = ready {
        report(status, &Report::Failed(at(Step::Session, "descriptors")(error)));
        process::exit_now(BROKEN);
    }
    match program {
        Program::SelfTest(test) => {
            report(status, &Report::Breaches(self_test::run(test)));
            process::exit_now(0)
        }
        Program::Run(plan) => {
            if plan.terminal
                && let Err(error) = process::take_terminal(stdin.as_fd())
            {
                report(status, &Report::Failed(at(Step::Session, "terminal")(error)));
                process::exit_now(BROKEN);
            }
            let error = execute(plan);
            let unknown = rustix::io::Errno::IO.raw_os_error();
            report(status, &Report::Exec(error.raw_os_error().unwrap_or(unknown)));
            process::exit_now(127)
        }
    }
}

fn execute(plan: &RunPlan) -> io::Error {
    let Some((program, arguments)) = plan.argv.split_first() else {
        return io::Error::from(rustix::io::Errno::NOENT);
    };
    if let Err(error) = rustix::process::chdir(plan.cwd.as_str()) {
        return error.into();
    }
    process::execute(program, arguments, &plan.env)
}

/// A process file system of this namespace that shows only its processes, in place of the holder's.
fn mount_proc() -> io::Result<()> {
    let options = [("subset", "pid"), ("hidepid", "invisible")];
    let proc = mount::filesystem("proc", &options, Restrictions::NO_EXEC)?;
    mount::detach("/proc")?;
    mount::attach(proc.as_fd(), rustix::fs::CWD, "/proc")
}

fn wait_for(program: rustix::process::Pid) -> Report {
    loop {
        match process::wait_any() {
            Ok(Some((pid, Ended::Code(code)))) if pid == program => return Report::Code(code),
            Ok(Some((pid, Ended::Signal(signal)))) if pid == program => {
                return Report::Signal(signal);
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => {
                return Report::Failed(at(Step::Fork, "wait")(io::Error::from(
                    rustix::io::Errno::CHILD,
                )));
            }
        }
    }
}

/// Best effort: when nobody listens any more, nobody needs to know.
fn report(status: &mut File, report: &Report) {
    if let Ok(mut line) = serde_json::to_vec(report) {
        line.push(b'\n');
        let _unheard = status.write_all(&line);
    }
}

/// Descriptors that a pod keeps of those its holder has.
pub(crate) fn kept<'a>(init: &'a Init<'_>) -> Vec<BorrowedFd<'a>> {
    let mut keep = vec![init.socket.as_fd(), init.status.as_fd()];
    keep.extend(init.entrances.iter().map(AsFd::as_fd));
    keep.extend(init.domain.map(AsFd::as_fd));
    keep
}
