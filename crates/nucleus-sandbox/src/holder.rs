//! A holder: process 1 of a namespace of its own, owner of the user, mount and network namespaces of one
//! task's tool pods (or of one agent pod), parent of their inits. Single-threaded, unprivileged outside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use nucleus_sys::landlock::{Domain, Use};
use nucleus_sys::process::{self, Fork, Namespaces, SingleThreaded};
use nucleus_sys::rlimit;
use nucleus_sys::seccomp::{self, Filters};
use nucleus_sys::weaken::{Weak, off};
use nucleus_sys::{caps, fd, landlock, net, userns};
use rustix::event::{PollFd, PollFlags};

use crate::error::{Built, Step, at};
use crate::ids::INSIDE;
use crate::init::{self, Init};
use crate::plan::{
    Access, Entry, HolderPlan, HolderReply, HolderRequest, LateCovers, Listeners, MESSAGE_BYTES,
    MemoryFiles, Part, Program, What,
};
use crate::root::{self, Root, Sources, cover};
use crate::spec::DOOR;

/// How long a listener of the pods' own may take to be there; on a loopback it is, or it is not.
const DIAL_PATIENCE: Duration = Duration::from_millis(200);

/// Namespaces that a holder gets of its own.
pub(crate) fn namespaces() -> Namespaces {
    let mut all = Namespaces::USER.and(Namespaces::MOUNT).and(Namespaces::UTS);
    if !off(Weak::Pidns) {
        all = all.and(Namespaces::PID);
    }
    if !off(Weak::Netns) {
        all = all.and(Namespaces::NET);
    }
    if !off(Weak::Ipcns) {
        all = all.and(Namespaces::IPC);
    }
    all
}

/// What a holder starts from: a copy of the launcher's memory.
#[derive(Debug)]
pub(crate) struct Holder<'a> {
    pub(crate) proof: &'a SingleThreaded,
    pub(crate) socket: UnixStream,
    pub(crate) plan: HolderPlan,
    /// Trees taken by a privileged launcher; an unprivileged one leaves that to the holder.
    pub(crate) sources: Option<Sources>,
}

/// A holder that stands.
struct Standing<'a> {
    proof: &'a SingleThreaded,
    socket: UnixStream,
    domain: Option<Domain>,
    filters: Filters,
    limits: rlimit::Limits,
    runs: Vec<OwnedFd>,
    ready: Option<Ready>,
}

/// A pod that waits for its program.
struct Ready {
    pidfd: OwnedFd,
    socket: UnixStream,
    status: OwnedFd,
}

impl<'a> Holder<'a> {
    /// Builds the root and serves runs until the launcher closes the socket; never returns.
    pub(crate) fn run(self) -> ! {
        let socket = self.socket.try_clone();
        match (self.stand(), socket) {
            (Ok(mut standing), _) => standing.serve(),
            (Err(failure), Ok(socket)) => {
                // Best effort: without the launcher there is nobody to tell.
                let _unheard = reply(&socket, &HolderReply::Failed(failure), &[]);
                process::exit_now(1)
            }
            (Err(_), Err(_)) => process::exit_now(1),
        }
    }

    fn stand(mut self) -> Built<Standing<'a>> {
        if !matches!(receive(&self.socket), Some((HolderRequest::Build, _))) {
            process::exit_now(0);
        }
        let memory_files = forbid_memory_files()?;
        let groups_dropped = self.assume_user()?;
        let sources = match self.sources.take() {
            Some(sources) => sources,
            None => root::take_sources(&self.plan.entries, |_, _| Ok(()))?,
        };
        let root = if off(Weak::Mounts) {
            Root::of_host(&self.plan.entries)?
        } else {
            root::build(&self.plan.entries, sources)?
        };
        if !off(Weak::Netns) {
            net::loopback_up().map_err(at(Step::Network, "lo"))?;
        }
        rustix::system::sethostname(b"pod")
            .map_err(|error| at(Step::Network, "name")(error.into()))?;
        let listeners = listen(self.plan.listeners)?;
        if !off(Weak::Mounts) {
            root::finish(&root)?;
        }
        let domain = self.domain()?;
        let require_sealed_memory_files = memory_files == MemoryFiles::Filter && !off(Weak::Memfd);
        let filters = seccomp::compile(seccomp::Options { require_sealed_memory_files })
            .map_err(at(Step::Seccomp, ""))?;
        let mut parts = vec![Part::Root];
        let mut fds = vec![root.directory.as_fd()];
        if let Some(merged) = &root.merged {
            parts.push(Part::Merged);
            fds.push(merged.as_fd());
        }
        for (part, listener) in &listeners {
            parts.push(*part);
            fds.push(listener.as_fd());
        }
        let built = HolderReply::Built { parts, memory_files, groups_dropped };
        reply(&self.socket, &built, &fds)?;
        let limits = self.limits();
        Ok(Standing {
            proof: self.proof,
            socket: self.socket,
            domain,
            filters,
            limits,
            runs: Vec::new(),
            ready: None,
        })
    }

    /// Becomes the pod's user, who has every capability in the new namespaces and none outside.
    fn assume_user(&self) -> Built<bool> {
        if self.plan.ids.base.is_none() {
            // Unprivileged, a process writes the maps of its own new namespace; for that its files must be its own.
            process::set_dumpable(true).map_err(at(Step::IdMaps, ""))?;
            let (uids, gids) = self.plan.ids.namespace_maps();
            userns::write_maps("self", &uids, &gids, true).map_err(at(Step::IdMaps, ""))?;
        }
        let groups_dropped = caps::clear_groups().is_ok();
        caps::become_user(INSIDE, INSIDE).map_err(at(Step::User, ""))?;
        process::set_dumpable(false).map_err(at(Step::User, ""))?;
        // If the parent is gone already, the socket says so.
        process::die_with_parent(rustix::process::getppid()).map_err(at(Step::User, "parent"))?;
        Ok(groups_dropped)
    }

    fn domain(&self) -> Built<Option<Domain>> {
        if landlock::version() < landlock::OLDEST || off(Weak::Landlock) {
            return Ok(None);
        }
        let mut paths: Vec<(&str, Use)> = vec![("/", Use::Read), ("/dev", Use::Device)];
        paths.extend(self.plan.entries.iter().filter_map(writable).map(|path| (path, Use::Write)));
        landlock::prepare(&paths).map(Some).map_err(at(Step::Landlock, ""))
    }

    fn limits(&self) -> rlimit::Limits {
        let limits = &self.plan.limits;
        rlimit::Limits {
            file_bytes: Some(limits.file_bytes),
            descriptors: Some(limits.descriptors),
            processes: Some(limits.pids),
        }
    }
}

fn writable(entry: &Entry) -> Option<&str> {
    match &entry.what {
        What::Overlay { .. }
        | What::Memory { .. }
        | What::Bind { access: Access::Write | Access::Workspace(_), .. } => Some(&entry.inside),
        _ => None,
    }
}

impl Standing<'_> {
    fn serve(&mut self) -> ! {
        loop {
            self.wait();
            let Some((request, fds)) = receive(&self.socket) else { process::exit_now(0) };
            let answered = match request {
                HolderRequest::Build => process::exit_now(1),
                HolderRequest::Ready => self.make_ready(fds),
                HolderRequest::Start(program) => self.start(&program, &fds),
                HolderRequest::Dial { port } => self.dial(port),
                HolderRequest::Cover(covers) => self.cover(&covers),
            };
            if answered.or_else(|failure| self.reply(&HolderReply::Failed(failure), &[])).is_err() {
                process::exit_now(0);
            }
        }
    }

    fn reply(&self, answer: &HolderReply, fds: &[BorrowedFd<'_>]) -> Built<()> {
        reply(&self.socket, answer, fds)
    }

    /// Waits for the next request, collecting inits that ended meanwhile.
    fn wait(&mut self) {
        loop {
            let mut fds = vec![PollFd::new(&self.socket, PollFlags::IN)];
            fds.extend(self.runs.iter().map(|run| PollFd::new(run, PollFlags::IN)));
            match rustix::event::poll(&mut fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => process::exit_now(1),
            }
            let ended: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            drop(fds);
            let (asked, ended) = ended.split_first().unwrap_or((&true, &[]));
            if ended.contains(&true) {
                let mut flags = ended.iter();
                self.runs.retain(|_| !flags.next().copied().unwrap_or(false));
                if process::reap().is_err() {
                    process::exit_now(1);
                }
            }
            if *asked {
                return;
            }
        }
    }

    /// Hands a program to the pod that is ready. If its layers could not be put on, it is gone and has said so in its
    /// status pipe, which the host reads.
    fn start(&mut self, program: &Program, fds: &[OwnedFd]) -> Built<()> {
        let none = || at(Step::Protocol, "")(rustix::io::Errno::SRCH.into());
        let ready = self.ready.take().ok_or_else(none)?;
        let body =
            serde_json::to_vec(program).map_err(|error| at(Step::Protocol, "")(error.into()))?;
        let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        match fd::send(&ready.socket, &body, &fds, MESSAGE_BYTES) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                return Err(at(Step::Protocol, "")(error));
            }
            _ => {}
        }
        self.reply(&HolderReply::Running, &[ready.pidfd.as_fd(), ready.status.as_fd()])?;
        self.runs.push(ready.pidfd);
        Ok(())
    }

    /// Connects to whatever a pod serves there. The connection is the host's; nothing of it is looked at here.
    fn dial(&self, port: u16) -> Built<()> {
        let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let connected = loopback
            .into_iter()
            .find_map(|ip| TcpStream::connect_timeout(&(ip, port).into(), DIAL_PATIENCE).ok());
        let fds: Vec<BorrowedFd<'_>> = connected.iter().map(AsFd::as_fd).collect();
        self.reply(&HolderReply::Dialled, &fds)
    }

    /// Covers more of the workspace, for pods that are yet to be forked.
    fn cover(&mut self, late: &LateCovers) -> Built<()> {
        let absent = cover::late(late)?;
        if absent.len() < late.covers.len()
            && let Some(ready) = self.ready.take()
        {
            // It was forked with the mounts of before. An error means that it is gone already.
            let _gone = process::kill(ready.pidfd.as_fd());
            self.runs.push(ready.pidfd);
        }
        self.reply(&HolderReply::Covered { absent }, &[])
    }

    /// Forks a pod that puts its layers on and then waits for a program.
    fn make_ready(&mut self, entrances: Vec<OwnedFd>) -> Built<()> {
        let (ours, theirs) = UnixStream::pair().map_err(at(Step::Fork, "socket"))?;
        let (heard, status) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|error| at(Step::Fork, "pipe")(error.into()))?;
        let init = Init {
            proof: self.proof,
            socket: theirs,
            entrances,
            status,
            limits: self.limits,
            domain: self.domain.as_ref(),
            filters: &self.filters,
        };
        match process::fork(self.proof, run_namespaces()).map_err(at(Step::Fork, ""))? {
            Fork::Child => {
                if !off(Weak::Fds) && fd::keep_only(&init::kept(&init)).is_err() {
                    process::exit_now(1);
                }
                init.run()
            }
            Fork::Parent(child) => {
                self.ready = Some(Ready { pidfd: child.pidfd, socket: ours, status: heard });
                self.reply(&HolderReply::Done, &[])
            }
        }
    }
}

/// Namespaces that each run gets of its own, inside its holder's.
fn run_namespaces() -> Namespaces {
    let mut namespaces = Namespaces::MOUNT;
    if !off(Weak::Pidns) {
        namespaces = namespaces.and(Namespaces::PID);
    }
    if !off(Weak::Ipcns) {
        namespaces = namespaces.and(Namespaces::IPC);
    }
    namespaces
}

/// Tells the kernel to refuse execution of memory files in this process namespace, where it lets us.
fn forbid_memory_files() -> Built<MemoryFiles> {
    if off(Weak::Memfd) {
        return Ok(MemoryFiles::Unknown);
    }
    if std::fs::write("/proc/sys/vm/memfd_noexec", "2").is_ok() {
        return Ok(MemoryFiles::Sysctl);
    }
    let sealed = rustix::fs::MemfdFlags::CLOEXEC | rustix::fs::MemfdFlags::NOEXEC_SEAL;
    match rustix::fs::memfd_create("probe", sealed) {
        Ok(_) => Ok(MemoryFiles::Filter),
        // Before Linux 6.3 there is no such thing.
        Err(_) => Ok(MemoryFiles::Unknown),
    }
}

fn listen(wanted: Listeners) -> Built<Vec<(Part, OwnedFd)>> {
    let mut made: Vec<(Part, OwnedFd)> = Vec::new();
    // In the host's own network namespace the port is not ours.
    if wanted.dns && !off(Weak::Netns) {
        let name = "127.0.0.1:53";
        let udp = UdpSocket::bind(name).map_err(at(Step::Listener, name))?;
        made.push((Part::DnsUdp, udp.into()));
        let tcp = TcpListener::bind(name).map_err(at(Step::Listener, name))?;
        made.push((Part::DnsTcp, tcp.into()));
    }
    if let Some(port) = wanted.gate_port {
        let gate =
            TcpListener::bind(("127.0.0.1", port)).map_err(at(Step::Listener, port.to_string()))?;
        made.push((Part::Gate, gate.into()));
    }
    if wanted.door {
        // The current directory is the new root.
        let door =
            UnixListener::bind(DOOR.trim_start_matches('/')).map_err(at(Step::Listener, DOOR))?;
        made.push((Part::Door, door.into()));
    }
    Ok(made)
}

fn receive(socket: &UnixStream) -> Option<(HolderRequest, Vec<OwnedFd>)> {
    let (body, fds) = fd::receive(socket, MESSAGE_BYTES).ok()??;
    Some((serde_json::from_slice(&body).ok()?, fds))
}

fn reply(socket: &UnixStream, reply: &HolderReply, fds: &[BorrowedFd<'_>]) -> Built<()> {
    let body = serde_json::to_vec(reply).map_err(|error| at(Step::Protocol, "")(error.into()))?;
    fd::send(socket, &body, fds, MESSAGE_BYTES).map_err(at(Step::Protocol, ""))
}
