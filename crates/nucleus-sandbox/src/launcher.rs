//! The launcher: a small single-threaded process with an empty environment, parent of every pod of one task.
//!
//! It obeys the host over one socket and dies with it: when the socket closes it kills every pod, removes
//! the control groups and exits. It decides nothing; what it gets are plans.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nucleus_sys::cgroup::{self, Group, Hierarchy};
use nucleus_sys::process::{self, Child, Fork, Namespaces, SingleThreaded};
use nucleus_sys::userns;
use nucleus_sys::weaken::{Weak, off};
use nucleus_sys::{fd, landlock, mount};
use rustix::event::{PollFd, PollFlags};

use crate::error::{Built, Failure, Step, at};
use crate::groups;
use crate::holder::{self, Holder};
use crate::ids::PodIds;
use crate::plan::{
    Facts, HolderPlan, HolderReply, HolderRequest, LateCovers, MESSAGE_BYTES, Part, Program, Reply,
    Report, Request, RunPlan,
};
use crate::root::{self, Sources};
use crate::self_test::{Breach, SelfTest};

/// How long a holder may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program of the launcher; the host executes its own binary with [`LAUNCHER`] as first argument.
///
/// The socket to the host is standard input. Returns the exit code when the host has gone or on a protocol error.
#[must_use]
pub fn launcher_main() -> i32 {
    match Launcher::open() {
        Ok(mut launcher) => {
            let served = launcher.serve();
            launcher.kill_all();
            i32::from(served.is_err())
        }
        Err(_) => 1,
    }
}

/// First argument of the host's binary when it is to be the launcher.
pub const LAUNCHER: &str = "launcher";

struct Launcher {
    proof: SingleThreaded,
    host: UnixStream,
    hierarchy: Option<Hierarchy>,
    group: Option<Group>,
    holders: BTreeMap<u32, Standing>,
    runs: Vec<Run>,
    count: u64,
}

struct Standing {
    child: Child,
    socket: UnixStream,
    repeat: bool,
    /// The pod that waits for its program.
    ready: Option<Ready>,
}

struct Ready {
    group: Option<Group>,
}

struct Run {
    pidfd: OwnedFd,
    group: Option<Group>,
}

impl Launcher {
    fn open() -> io::Result<Self> {
        if !off(Weak::Dumpable) {
            process::set_dumpable(false)?;
        }
        let host = UnixStream::from(fd::duplicate(io::stdin())?);
        if !off(Weak::Fds) {
            fd::keep_only(&[host.as_fd()])?;
        }
        let null: OwnedFd = File::open("/dev/null")?.into();
        rustix::stdio::dup2_stdin(&null)?;
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        // Signals of the user's terminal are for the host, which closes the socket when it wants an end.
        if !off(Weak::Session) {
            process::new_session()?;
        }
        let proof = SingleThreaded::verify()?;
        let hierarchy = if off(Weak::Cgroup) { None } else { Hierarchy::find() };
        if let Some(hierarchy) = &hierarchy {
            groups::collect(hierarchy);
        }
        Ok(Self {
            proof,
            host,
            hierarchy,
            group: None,
            holders: BTreeMap::new(),
            runs: Vec::new(),
            count: 0,
        })
    }

    /// Serves requests until the host closes the socket (`Ok`) or speaks nonsense (`Err`).
    fn serve(&mut self) -> io::Result<()> {
        loop {
            self.wait()?;
            let Some((body, fds)) = fd::receive(&self.host, MESSAGE_BYTES)? else { return Ok(()) };
            let request = serde_json::from_slice(&body)?;
            match self.obey(request, fds) {
                Ok((reply, fds)) => {
                    let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
                    self.answer(&reply, &borrowed)?;
                    self.refill();
                }
                Err(failure) => self.answer(&Reply::Failed(failure), &[])?,
            }
        }
    }

    fn answer(&self, reply: &Reply, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        fd::send(&self.host, &serde_json::to_vec(reply)?, fds, MESSAGE_BYTES)
    }

    /// Waits for the next request, cleaning up after runs that ended meanwhile.
    fn wait(&mut self) -> io::Result<()> {
        loop {
            let mut fds = vec![PollFd::new(&self.host, PollFlags::IN)];
            fds.extend(self.runs.iter().map(|run| PollFd::new(&run.pidfd, PollFlags::IN)));
            match rustix::event::poll(&mut fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            drop(fds);
            let (asked, ended) = ready.split_first().unwrap_or((&true, &[]));
            let mut flags = ended.iter();
            let gone: Vec<Run> =
                self.runs.extract_if(.., |_| flags.next().copied().unwrap_or(false)).collect();
            for run in gone {
                remove(run.group);
            }
            if *asked {
                return Ok(());
            }
        }
    }

    fn obey(&mut self, request: Request, fds: Vec<OwnedFd>) -> Built<(Reply, Vec<OwnedFd>)> {
        match request {
            Request::Hold(plan) => self.hold(*plan),
            Request::Run { holder, plan } => self.run(holder, plan, fds),
            Request::Dial { holder, port } => self.dial(holder, port),
            Request::Cover { holder, covers } => self.cover(holder, covers),
            Request::Release { holder } => {
                if let Some(standing) = self.holders.remove(&holder) {
                    end(standing);
                }
                Ok((Reply::Done, Vec::new()))
            }
            Request::KillAll => {
                self.kill_all();
                Ok((Reply::Done, Vec::new()))
            }
        }
    }

    fn hold(&mut self, plan: HolderPlan) -> Built<(Reply, Vec<OwnedFd>)> {
        self.ensure_group(&plan)?;
        let ids = plan.ids;
        let test = plan.self_test.clone();
        let repeat = plan.repeat;
        let sources = match ids.base {
            Some(_) => Some(self.take_sources(&plan)?),
            None => None,
        };
        let (ours, theirs) = UnixStream::pair().map_err(at(Step::Protocol, ""))?;
        let forked =
            process::fork(&self.proof, holder::namespaces()).map_err(at(Step::Namespaces, ""))?;
        let child = match forked {
            Fork::Child => {
                let keep = [theirs.as_fd()].into_iter();
                let trees = sources.iter().flat_map(root::descriptors);
                let keep: Vec<BorrowedFd<'_>> = keep.chain(trees).collect();
                if !off(Weak::Fds) && fd::keep_only(&keep).is_err() {
                    process::exit_now(1);
                }
                drop(keep);
                Holder { proof: &self.proof, socket: theirs, plan, sources }.run()
            }
            Fork::Parent(child) => child,
        };
        drop((theirs, sources));
        let mut standing = Standing { child, socket: ours, repeat, ready: None };
        match self.raise(&mut standing, &ids, test) {
            Ok((parts, fds, facts)) => {
                self.count = self.count.saturating_add(1);
                let holder = u32::try_from(self.count).unwrap_or(u32::MAX);
                self.holders.insert(holder, standing);
                Ok((Reply::Held { holder, parts, facts }, fds))
            }
            Err(failure) => {
                end(standing);
                Err(failure)
            }
        }
    }

    /// Lets a forked holder build and tests what it built.
    fn raise(
        &mut self,
        standing: &mut Standing,
        ids: &PodIds,
        test: Option<SelfTest>,
    ) -> Built<(Vec<Part>, Vec<OwnedFd>, Facts)> {
        if ids.base.is_some() {
            let (uids, gids) = ids.namespace_maps();
            let process = standing.child.pid.as_raw_nonzero().to_string();
            userns::write_maps(&process, &uids, &gids, false).map_err(at(Step::IdMaps, ""))?;
        }
        let (reply, fds) = self.ask(standing, &HolderRequest::Build, &[])?;
        let (parts, memory_files, groups_dropped) = match reply {
            HolderReply::Built { parts, memory_files, groups_dropped } => {
                (parts, memory_files, groups_dropped)
            }
            HolderReply::Failed(failure) => return Err(failure),
            HolderReply::Running
            | HolderReply::Done
            | HolderReply::Dialled
            | HolderReply::Covered { .. } => {
                return Err(nonsense());
            }
        };
        let support = self.hierarchy.as_ref().map(Hierarchy::support);
        let mut facts = Facts {
            landlock_version: landlock::version(),
            memory_files,
            groups_dropped,
            cgroup_version: support.map(|support| support.version),
            cgroup_pids: support.is_some_and(|support| support.pids),
            cgroup_memory: support.is_some_and(|support| support.memory),
            breaches: Vec::new(),
            self_tested: false,
        };
        if let Some(mut test) = test.filter(|_| !off(Weak::SelfTest)) {
            test.landlock = facts.landlock_version >= landlock::OLDEST;
            test.memory_files = memory_files != crate::plan::MemoryFiles::Unknown;
            facts.breaches = self.test(standing, test)?;
            facts.self_tested = true;
        }
        Ok((parts, fds, facts))
    }

    /// Runs the self-test, in a pod that needs no control group for it.
    fn test(&mut self, standing: &mut Standing, test: SelfTest) -> Built<Vec<Breach>> {
        let null = File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .map_err(at(Step::Source, "/dev/null"))?;
        self.make_ready(standing, None)?;
        let (pidfd, status) = self.begin(standing, Program::SelfTest(test), &[null.as_fd(); 3])?;
        self.await_end(pidfd.as_fd())?;
        let mut text = String::new();
        File::from(status).read_to_string(&mut text).map_err(at(Step::Protocol, ""))?;
        for line in text.lines() {
            match serde_json::from_str(line) {
                Ok(Report::Breaches(breaches)) => return Ok(breaches),
                Ok(Report::Failed(failure)) => return Err(failure),
                _ => {}
            }
        }
        Err(nonsense())
    }

    fn run(
        &mut self,
        holder: u32,
        plan: RunPlan,
        fds: Vec<OwnedFd>,
    ) -> Built<(Reply, Vec<OwnedFd>)> {
        let Some(mut standing) = self.holders.remove(&holder) else { return Err(nonsense()) };
        let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        let begun = self.begin(&mut standing, Program::Run(plan), &borrowed);
        self.holders.insert(holder, standing);
        let (pidfd, status) = begun?;
        Ok((Reply::Running, vec![pidfd, status]))
    }

    fn dial(&self, holder: u32, port: u16) -> Built<(Reply, Vec<OwnedFd>)> {
        let standing = self.holders.get(&holder).ok_or_else(nonsense)?;
        match self.ask(standing, &HolderRequest::Dial { port }, &[])? {
            (HolderReply::Dialled, fds) => Ok((Reply::Dialled, fds)),
            (HolderReply::Failed(failure), _) => Err(failure),
            _ => Err(nonsense()),
        }
    }

    fn cover(&mut self, holder: u32, covers: LateCovers) -> Built<(Reply, Vec<OwnedFd>)> {
        let Some(mut standing) = self.holders.remove(&holder) else { return Err(nonsense()) };
        let count = covers.covers.len();
        let asked = self.ask(&standing, &HolderRequest::Cover(covers), &[]);
        let outcome = match asked {
            Ok((HolderReply::Covered { absent }, _)) => Ok(absent),
            Ok((HolderReply::Failed(failure), _)) | Err(failure) => Err(failure),
            Ok(_) => Err(nonsense()),
        };
        if outcome.as_ref().is_ok_and(|absent| absent.len() < count) {
            // The holder let the pod go that was ready: it has the mounts of before.
            remove(standing.ready.take().and_then(|ready| ready.group));
        }
        self.holders.insert(holder, standing);
        Ok((Reply::Covered { absent: outcome? }, Vec::new()))
    }

    /// Starts a program in the pod that is ready, or in one made now. The process is also remembered, to clean up
    /// after it.
    fn begin(
        &mut self,
        standing: &mut Standing,
        program: Program,
        standard: &[BorrowedFd<'_>],
    ) -> Built<(OwnedFd, OwnedFd)> {
        if standing.ready.is_none() {
            let group = self.run_group()?;
            self.make_ready(standing, group)?;
        }
        let group = standing.ready.take().and_then(|ready| ready.group);
        match self.start(standing, program, standard) {
            Ok((pidfd, status)) => {
                let remembered = fd::duplicate(&pidfd).map_err(at(Step::Protocol, ""))?;
                self.runs.push(Run { pidfd: remembered, group });
                Ok((pidfd, status))
            }
            Err(failure) => {
                remove(group);
                Err(failure)
            }
        }
    }

    fn start(
        &self,
        standing: &Standing,
        program: Program,
        standard: &[BorrowedFd<'_>],
    ) -> Built<(OwnedFd, OwnedFd)> {
        let (reply, fds) = self.ask(standing, &HolderRequest::Start(program), standard)?;
        let mut fds = fds.into_iter();
        match (reply, fds.next(), fds.next()) {
            (HolderReply::Running, Some(pidfd), Some(status)) => Ok((pidfd, status)),
            (HolderReply::Failed(failure), ..) => Err(failure),
            _ => Err(nonsense()),
        }
    }

    /// Makes the next pod ready, where more than one program is expected. A failure shows when the pod is needed.
    fn refill(&mut self) {
        for (holder, mut standing) in std::mem::take(&mut self.holders) {
            if standing.repeat && standing.ready.is_none() {
                let group = self.run_group();
                let _later = group.and_then(|group| self.make_ready(&mut standing, group));
            }
            self.holders.insert(holder, standing);
        }
    }

    fn make_ready(&self, standing: &mut Standing, group: Option<Group>) -> Built<()> {
        let entrances = match group.as_ref().map(Group::entrances).transpose() {
            Ok(entrances) => entrances.unwrap_or_default(),
            Err(error) => {
                remove(group);
                return Err(at(Step::Cgroup, "")(error));
            }
        };
        let fds: Vec<BorrowedFd<'_>> = entrances.iter().map(AsFd::as_fd).collect();
        let failure = match self.ask(standing, &HolderRequest::Ready, &fds) {
            Ok((HolderReply::Done, _)) => {
                standing.ready = Some(Ready { group });
                return Ok(());
            }
            Ok((HolderReply::Failed(failure), _)) | Err(failure) => failure,
            Ok(_) => nonsense(),
        };
        remove(group);
        Err(failure)
    }

    /// A control group for one run, inside the task's.
    fn run_group(&mut self) -> Built<Option<Group>> {
        let Some(group) = &self.group else { return Ok(None) };
        self.count = self.count.saturating_add(1);
        let name = format!("run-{}", self.count);
        let child = group.child(&name, &cgroup::Limits::default());
        child.map(Some).map_err(at(Step::Cgroup, name))
    }

    fn ask(
        &self,
        standing: &Standing,
        request: &HolderRequest,
        fds: &[BorrowedFd<'_>],
    ) -> Built<(HolderReply, Vec<OwnedFd>)> {
        let body =
            serde_json::to_vec(request).map_err(|error| at(Step::Protocol, "")(error.into()))?;
        fd::send(&standing.socket, &body, fds, MESSAGE_BYTES).map_err(at(Step::Protocol, ""))?;
        self.await_end(standing.socket.as_fd())?;
        let (body, fds) = fd::receive(&standing.socket, MESSAGE_BYTES)
            .map_err(at(Step::Protocol, ""))?
            .ok_or_else(nonsense)?;
        let reply =
            serde_json::from_slice(&body).map_err(|error| at(Step::Protocol, "")(error.into()))?;
        Ok((reply, fds))
    }

    /// Waits for a descriptor, but no longer than the host lives.
    fn await_end(&self, fd: BorrowedFd<'_>) -> Built<()> {
        let failed = |error: io::Error| at(Step::Protocol, "")(error);
        let spec = rustix::event::Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
        loop {
            let mut fds = [
                PollFd::from_borrowed_fd(fd, PollFlags::IN),
                PollFd::new(&self.host, PollFlags::HUP),
            ];
            match rustix::event::poll(&mut fds, Some(&spec)) {
                Ok(0) => return Err(failed(rustix::io::Errno::TIMEDOUT.into())),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(failed(error.into())),
            }
            let [fd, host] = &fds;
            if !host.revents().is_empty() {
                return Err(failed(rustix::io::Errno::PIPE.into()));
            }
            if !fd.revents().is_empty() {
                return Ok(());
            }
        }
    }

    fn take_sources(&self, plan: &HolderPlan) -> Built<Sources> {
        let mut namespaces: BTreeMap<(u32, u32), OwnedFd> = BTreeMap::new();
        root::take_sources(&plan.entries, |tree, path| {
            use std::os::unix::fs::MetadataExt;
            let shown = || path.to_string_lossy().into_owned();
            let metadata = std::fs::metadata(path).map_err(at(Step::MapIds, shown()))?;
            let owner = (metadata.uid(), metadata.gid());
            let namespace = match namespaces.entry(owner) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(self.mapping(&plan.ids, owner)?)
                }
            };
            mount::map_ids(tree, namespace.as_fd()).map_err(at(Step::MapIds, shown()))
        })
    }

    /// A user namespace that describes how the ids of a mount are shifted. Nothing runs in it.
    fn mapping(&self, ids: &PodIds, owner: (u32, u32)) -> Built<OwnedFd> {
        let (uids, gids) = ids.mount_maps(owner.0, owner.1).ok_or_else(nonsense)?;
        let (ours, theirs) = UnixStream::pair().map_err(at(Step::Namespaces, "mapping"))?;
        let forked = process::fork(&self.proof, Namespaces::USER)
            .map_err(at(Step::Namespaces, "mapping"))?;
        let Fork::Parent(child) = forked else {
            drop(ours);
            // Waits to be killed, or for the end of the other side if we die first.
            let _ended = (&theirs).read(&mut [0]);
            process::exit_now(0)
        };
        drop(theirs);
        let pid = child.pid.as_raw_nonzero().to_string();
        let namespace = userns::write_maps(&pid, &uids, &gids, false)
            .and_then(|()| File::open(Path::new("/proc").join(&pid).join("ns/user")))
            .map_err(at(Step::IdMaps, "mapping"));
        kill(&child);
        namespace.map(OwnedFd::from)
    }

    /// Makes the task's control group. Where that fails there is none, and the facts say so.
    fn ensure_group(&mut self, plan: &HolderPlan) -> Built<()> {
        let Some(hierarchy) = self.hierarchy.take_if(|_| self.group.is_none()) else {
            return Ok(());
        };
        let limits = cgroup::Limits {
            pids: Some(plan.limits.pids),
            memory_bytes: Some(plan.limits.memory_bytes),
        };
        let name = groups::own_name().map_err(at(Step::Cgroup, "name"))?;
        if let Ok(group) = hierarchy.create(&name, &limits) {
            self.group = Some(group);
            self.hierarchy = Some(hierarchy);
        }
        Ok(())
    }

    fn kill_all(&mut self) {
        for (_, standing) in std::mem::take(&mut self.holders) {
            end(standing);
        }
        for run in std::mem::take(&mut self.runs) {
            remove(run.group);
        }
        remove(self.group.take());
    }
}

/// Kills a holder with everything in it.
fn end(standing: Standing) {
    kill(&standing.child);
    remove(standing.ready.and_then(|ready| ready.group));
}

/// Kills a child and waits: with it, everything in its process namespace is dead.
fn kill(child: &Child) {
    // Failing means that it is gone already.
    let _gone = process::kill(child.pidfd.as_fd());
    let _ended = process::wait_end(child.pidfd.as_fd(), Some(PATIENCE));
    let _reaped = process::reap();
}

fn remove(group: Option<Group>) {
    // An ended run left it empty, as a rule.
    if let Some(group) = group.filter(|group| !group.remove_empty()) {
        // What stays behind is found and removed by the next launcher.
        let _kept = group.remove(Duration::from_secs(2));
    }
}

fn nonsense() -> Failure {
    at(Step::Protocol, "")(rustix::io::Errno::PROTO.into())
}
