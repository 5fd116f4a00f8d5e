//! The local driver: walls made of this host's kernel.

use std::fs::File;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nucleus_sys::fd;
use nucleus_sys::weaken::{Weak, off};

use crate::driver::{Driver, SessionHandles, WorkspaceMode};
use crate::enforcement::Enforcement;
use crate::error::{Failure, SandboxError, Step};
use crate::ids::PodIds;
use crate::launcher::LAUNCHER;
use crate::layout::{self, WorkspaceSource};
use crate::plan::{Facts, HolderPlan, Listeners, MESSAGE_BYTES, Part, Reply, Request, RunPlan};
use crate::pod::Pod;
use crate::self_test::SelfTest;
use crate::spec::{AgentPodSpec, Limits, PodSpec, SessionSpec};
use crate::toolchain;
use crate::workspace::{self, Mask};

mod late;
mod report;
mod space;

use late::{Late, Watch};
use space::SpaceWatch;

/// How long the launcher may take to answer: longer than any step of its own.
const PATIENCE: Duration = Duration::from_secs(90);

/// How to start the launcher.
#[derive(Debug, Clone)]
pub struct LauncherConfig {
    /// The binary that calls [`crate::launcher_main`] when its first argument is [`LAUNCHER`].
    pub program: PathBuf,
}

impl Default for LauncherConfig {
    /// The running binary itself.
    fn default() -> Self {
        Self { program: PathBuf::from("/proc/self/exe") }
    }
}

/// The driver. Dropping it kills every pod, removes their control groups and waits for that.
#[derive(Debug)]
pub struct LocalDriver {
    host: Arc<Host>,
    session: Mutex<Option<Session>>,
}

#[derive(Debug)]
struct Session {
    holder: u32,
    ids: PodIds,
    session_dir: PathBuf,
    workspace: PathBuf,
    limits: Limits,
    space: SpaceWatch,
    /// Masks for what appears in the workspace meanwhile; a copy of it stays as it is.
    late: Option<Late>,
    /// Keeps other tasks from mounting the same caches; two overlays over one upper directory are undefined.
    _cache_lock: Option<File>,
}

/// Our end of the launcher.
#[derive(Debug)]
pub(crate) struct Host {
    socket: Mutex<UnixStream>,
    launcher: Mutex<Child>,
}

impl LocalDriver {
    /// Starts the launcher. It lives as long as this driver, and dies with this process.
    ///
    /// # Errors
    /// [`SandboxError::Host`] when the program cannot be started.
    pub fn start(config: &LauncherConfig) -> Result<Self, SandboxError> {
        let (ours, theirs) = UnixStream::pair().map_err(SandboxError::host("making a socket"))?;
        ours.set_read_timeout(Some(PATIENCE)).map_err(SandboxError::host("making a socket"))?;
        let mut command = Command::new(&config.program);
        if !off(Weak::Env) {
            command.env_clear();
        }
        command
            .arg0("nucleus-launcher")
            .arg(LAUNCHER)
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        #[cfg(feature = "weaken")]
        if let Ok(layers) = std::env::var(nucleus_sys::weaken::VARIABLE) {
            command.env(nucleus_sys::weaken::VARIABLE, layers);
        }
        let launcher = command.spawn().map_err(SandboxError::host("starting the launcher"))?;
        let host = Host { socket: Mutex::new(ours), launcher: Mutex::new(launcher) };
        Ok(Self { host: Arc::new(host), session: Mutex::new(None) })
    }

    fn session(&self) -> MutexGuard<'_, Option<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self, plan: HolderPlan, session_dir: &Path) -> Result<Held, SandboxError> {
        let request = Request::Hold(Box::new(plan));
        let (reply, fds) = self.host.ask(&request, &[])?;
        match reply {
            Reply::Held { holder, parts, facts } => {
                Ok(Held { holder, parts: parts.into_iter().zip(fds).collect(), facts })
            }
            Reply::Failed(failure) => Err(report::explain(failure, session_dir)),
            _ => Err(SandboxError::Launcher(rustix::io::Errno::PROTO.into())),
        }
    }

    /// Builds the root over an overlay, or where that is impossible over a copy.
    fn hold_workspace(
        &self,
        spec: &SessionSpec,
        ids: &PodIds,
        masks: &[Mask],
        cache_dir: &Path,
    ) -> Result<(Held, WorkspaceMode), SandboxError> {
        let plan = |source| -> Result<HolderPlan, SandboxError> {
            Ok(HolderPlan {
                ids: *ids,
                entries: layout::tool_root(spec, ids, masks, source, cache_dir)?,
                listeners: Listeners {
                    dns: true,
                    gate_port: spec.gate.as_ref().map(|gate| gate.port),
                    ..Listeners::default()
                },
                limits: spec.limits,
                self_test: Some(self_test(spec, masks)),
                repeat: true,
            })
        };
        if off(Weak::Overlay) {
            let direct = plan(WorkspaceSource::Direct)?;
            return Ok((self.hold(direct, &spec.session_dir)?, WorkspaceMode::Copy));
        }
        if ids.can_overlay() {
            match self.hold(plan(WorkspaceSource::Overlay)?, &spec.session_dir) {
                Err(SandboxError::Build(Failure { step: Step::Overlay, .. })) => {}
                other => return Ok((other?, WorkspaceMode::Overlay)),
            }
        }
        let owner = ids.base.map(|_| (ids.uid, ids.gid));
        let copy = workspace::prepare_copy(&spec.session_dir, &spec.workspace, owner)?;
        let held = self.hold(plan(WorkspaceSource::Copy(copy))?, &spec.session_dir)?;
        Ok((held, WorkspaceMode::Copy))
    }

    /// Refuses what was built when the self-test broke through or a demanded layer is missing.
    fn accept(
        &self,
        held: &Held,
        ids: &PodIds,
        required: &std::collections::BTreeSet<crate::Layer>,
    ) -> Result<Enforcement, SandboxError> {
        if !held.facts.breaches.is_empty() {
            self.host.release(held.holder);
            return Err(SandboxError::SelfTest { breaches: held.facts.breaches.clone() });
        }
        let enforcement = report::enforcement(&held.facts, ids);
        let missing = enforcement.missing(required);
        if missing.is_empty() {
            return Ok(enforcement);
        }
        self.host.release(held.holder);
        Err(SandboxError::Requirement { missing })
    }

    fn spawn_in(
        &self,
        holder: u32,
        spec: PodSpec,
        terminal: bool,
        own_holder: Option<(Arc<Host>, u32)>,
    ) -> Result<Pod, SandboxError> {
        let plan = RunPlan { argv: spec.argv, env: spec.env, cwd: spec.cwd, terminal };
        let request = Request::Run { holder, plan };
        let fds = [spec.stdin.as_fd(), spec.stdout.as_fd(), spec.stderr.as_fd()];
        let (reply, fds) = self.host.ask(&request, &fds)?;
        let mut fds = fds.into_iter();
        match (reply, fds.next(), fds.next()) {
            (Reply::Running, Some(pidfd), Some(status)) => Pod::new(pidfd, status, own_holder),
            (Reply::Failed(failure), ..) => Err(SandboxError::Build(failure)),
            _ => Err(SandboxError::Launcher(rustix::io::Errno::PROTO.into())),
        }
    }

    fn spawn_agent(
        &self,
        session: &Session,
        agent: AgentPodSpec,
        spec: PodSpec,
    ) -> Result<Pod, SandboxError> {
        let entries = layout::agent_root(
            &agent,
            &session.session_dir,
            &session.workspace,
            &session.limits,
            &session.ids,
        )?;
        let listeners = Listeners { dns: agent.dns, gate_port: agent.gate_port, door: agent.door };
        let plan = HolderPlan {
            ids: session.ids,
            entries,
            listeners,
            limits: session.limits,
            self_test: Some(SelfTest::default()),
            repeat: false,
        };
        let held = self.hold(plan, &session.session_dir)?;
        self.accept(&held, &session.ids, &std::collections::BTreeSet::new())?;
        let own = Some((Arc::clone(&self.host), held.holder));
        let mut pod = match self.spawn_in(held.holder, spec, agent.terminal, own) {
            Ok(pod) => pod,
            Err(error) => {
                self.host.release(held.holder);
                return Err(error);
            }
        };
        let mut parts = Parts::from(held.parts);
        pod.door = parts.door.take().map(Into::into);
        pod.gate = parts.gate.take().map(Into::into);
        pod.dns = parts.dns();
        Ok(pod)
    }
}

impl Driver for LocalDriver {
    fn name(&self) -> &'static str {
        "local"
    }

    fn probe(&self) -> Result<Enforcement, SandboxError> {
        let ids = PodIds::for_workspace(Path::new("/usr"))
            .map_err(SandboxError::host("reading the attributes of /usr"))?;
        require_ids(&ids)?;
        let plan = HolderPlan {
            ids,
            entries: layout::probe_root(),
            listeners: Listeners::default(),
            limits: Limits::default(),
            self_test: Some(SelfTest::default()),
            repeat: false,
        };
        let held = self.hold(plan, Path::new("/"))?;
        let enforcement = self.accept(&held, &ids, &std::collections::BTreeSet::new());
        self.host.release(held.holder);
        enforcement
    }

    fn prepare(&self, spec: &SessionSpec) -> Result<SessionHandles, SandboxError> {
        let mut session = self.session();
        if session.is_some() {
            return Err(SandboxError::Misuse("a driver holds one session; it is prepared already"));
        }
        layout::admit(&spec.workspace, &spec.session_dir)?;
        let ids = PodIds::for_workspace(&spec.workspace)
            .map_err(SandboxError::host("reading the workspace's owner"))?;
        require_ids(&ids)?;
        let spec = &SessionSpec { limits: within_host(spec.limits), ..spec.clone() };
        let mut watch = Watch::new();
        let entered = &mut |dir: &Path| watch.add(dir);
        let masks = workspace::mask::plan_watched(
            &spec.workspace,
            &spec.masks,
            &spec.session_dir,
            entered,
        )?;
        let (cache_dir, cache_lock) = lock_caches(spec)?;
        let (held, workspace_mode) = self.hold_workspace(spec, &ids, &masks, &cache_dir)?;
        let enforcement = self.accept(&held, &ids, &spec.required)?;
        let holder = held.holder;
        let mut parts = Parts::from(held.parts);
        let (Some(root), Some(merged)) = (parts.root.take(), parts.merged.take()) else {
            self.host.release(holder);
            return Err(SandboxError::Launcher(rustix::io::Errno::PROTO.into()));
        };
        if !off(Weak::Overlay) {
            let owner = ids.base.map(|_| (ids.uid, ids.gid));
            workspace::git::shade(&spec.workspace, &merged, &masks, owner)
                .map_err(SandboxError::host("keeping git off what is withheld"))?;
        }
        let space = SpaceWatch::start(&spec.session_dir, spec.limits.free_bytes)
            .map_err(SandboxError::host("starting the watch over free space"))?;
        let late = (workspace_mode == WorkspaceMode::Overlay)
            .then(|| Late::new(spec, watch, &masks))
            .transpose()?;
        *session = Some(Session {
            space,
            late,
            holder,
            ids,
            session_dir: spec.session_dir.clone(),
            workspace: spec.workspace.clone(),
            limits: spec.limits,
            _cache_lock: cache_lock,
        });
        Ok(SessionHandles {
            merged,
            root,
            ids,
            enforcement,
            workspace_mode,
            masks,
            gate: parts.gate.take().map(Into::into),
            dns: parts.dns(),
        })
    }

    fn spawn(&self, mut spec: PodSpec) -> Result<Pod, SandboxError> {
        check(&spec)?;
        let mut session = self.session();
        let Some(session) = session.as_mut() else {
            return Err(SandboxError::Misuse("no session is prepared"));
        };
        if session.space.is_low() {
            return Err(SandboxError::NoSpace { path: session.session_dir.clone() });
        }
        give_pipes(&spec, &session.ids)?;
        let pod = match spec.agent.take() {
            Some(agent) => self.spawn_agent(session, agent, spec)?,
            None => {
                if let Some(late) = &mut session.late {
                    late.cover(&self.host, session.holder)?;
                }
                self.spawn_in(session.holder, spec, false, None)?
            }
        };
        session.space.add(&pod.pidfd).map_err(SandboxError::host("watching a pod"))?;
        Ok(pod)
    }

    fn dial(&self, port: u16) -> Result<Option<TcpStream>, SandboxError> {
        let Some(holder) = self.session().as_ref().map(|session| session.holder) else {
            return Err(SandboxError::Misuse("no session is prepared"));
        };
        match self.host.ask(&Request::Dial { holder, port }, &[])? {
            (Reply::Dialled, fds) => Ok(fds.into_iter().next().map(TcpStream::from)),
            (Reply::Failed(failure), _) => Err(SandboxError::Build(failure)),
            _ => Err(SandboxError::Launcher(rustix::io::Errno::PROTO.into())),
        }
    }

    fn kill_all(&self) -> Result<(), SandboxError> {
        self.host.ask(&Request::KillAll, &[])?;
        Ok(())
    }
}

impl Drop for LocalDriver {
    fn drop(&mut self) {
        self.host.end();
    }
}

impl Host {
    fn ask(
        &self,
        request: &Request,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(Reply, Vec<OwnedFd>), SandboxError> {
        let body = serde_json::to_vec(request)
            .map_err(|error| SandboxError::host("writing a request")(error.into()))?;
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        fd::send(&socket, &body, fds, MESSAGE_BYTES).map_err(SandboxError::Launcher)?;
        let (body, fds) = fd::receive(&socket, MESSAGE_BYTES)
            .map_err(|error| {
                // An answer that comes later would be taken for that of the next request.
                let _closed = socket.shutdown(std::net::Shutdown::Both);
                SandboxError::Launcher(error)
            })?
            .ok_or_else(|| SandboxError::Launcher(io::ErrorKind::UnexpectedEof.into()))?;
        let reply =
            serde_json::from_slice(&body).map_err(|error| SandboxError::Launcher(error.into()))?;
        Ok((reply, fds))
    }

    /// Kills the pods of one holder. When the launcher is gone, so are they.
    pub(crate) fn release(&self, holder: u32) {
        let _gone = self.ask(&Request::Release { holder }, &[]);
    }

    fn end(&self) {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        // An error means that the launcher closed it first.
        let _closed = socket.shutdown(std::net::Shutdown::Both);
        drop(socket);
        let mut launcher = self.launcher.lock().unwrap_or_else(PoisonError::into_inner);
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            match launcher.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        // It hangs; every pod dies with it.
        let _gone = launcher.kill();
        let _status = launcher.wait();
    }
}

/// A holder as the launcher reported it.
struct Held {
    holder: u32,
    parts: Vec<(Part, OwnedFd)>,
    facts: Facts,
}

/// The descriptors of a holder, sorted.
#[derive(Default)]
struct Parts {
    root: Option<OwnedFd>,
    merged: Option<OwnedFd>,
    dns_udp: Option<OwnedFd>,
    dns_tcp: Option<OwnedFd>,
    gate: Option<OwnedFd>,
    door: Option<OwnedFd>,
}

impl From<Vec<(Part, OwnedFd)>> for Parts {
    fn from(parts: Vec<(Part, OwnedFd)>) -> Self {
        let mut sorted = Self::default();
        for (part, fd) in parts {
            let slot = match part {
                Part::Root => &mut sorted.root,
                Part::Merged => &mut sorted.merged,
                Part::DnsUdp => &mut sorted.dns_udp,
                Part::DnsTcp => &mut sorted.dns_tcp,
                Part::Gate => &mut sorted.gate,
                Part::Door => &mut sorted.door,
            };
            *slot = Some(fd);
        }
        sorted
    }
}

impl Parts {
    fn dns(&mut self) -> Option<(std::net::UdpSocket, TcpListener)> {
        Some((self.dns_udp.take()?.into(), self.dns_tcp.take()?.into()))
    }
}

fn require_ids(ids: &PodIds) -> Result<(), SandboxError> {
    if ids.exist() {
        return Ok(());
    }
    Err(SandboxError::UserNamespaces { obstacle: crate::error::Obstacle::FewIds })
}

fn self_test(spec: &SessionSpec, masks: &[Mask]) -> SelfTest {
    let base = toolchain::base().forbidden;
    let absent = spec.toolchains.iter().flat_map(|tools| tools.forbidden.iter().cloned());
    // The way to the workspace exists, whatever lies beside it on the host; what lies in it is for the masks.
    let workspace = &spec.workspace;
    let elsewhere =
        |path: &String| !workspace.starts_with(path) && !Path::new(path).starts_with(workspace);
    let absent = base.into_iter().chain(absent).filter(elsewhere);
    // A few masks stand for all: they are made by one loop.
    let unreadable = masks
        .iter()
        .filter(|mask| !matches!(mask.cover, workspace::Cover::Copy(_)))
        .take(64)
        .filter_map(|mask| spec.workspace.join(mask.path.as_str()?).to_str().map(str::to_owned));
    SelfTest { absent: absent.collect(), unreadable: unreadable.collect(), ..SelfTest::default() }
}

/// The directory of the writable cache layers, locked; the session's own when another task has the lock.
fn lock_caches(spec: &SessionSpec) -> Result<(PathBuf, Option<File>), SandboxError> {
    use std::os::unix::fs::DirBuilderExt;
    let failed = || SandboxError::host("locking the toolchain caches");
    let own = spec.session_dir.join("caches");
    let Some(shared) = &spec.cache_dir else { return Ok((own, None)) };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(shared).map_err(failed())?;
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(shared.join(".lock"))
        .map_err(failed())?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok((shared.clone(), Some(file))),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok((own, None)),
        Err(error) => Err(failed()(error.into())),
    }
}

/// A memory limit above what the host has would protect nobody: a quarter stays for the host.
fn within_host(limits: Limits) -> Limits {
    let info = rustix::system::sysinfo();
    let total = info.totalram.saturating_mul(u64::from(info.mem_unit));
    let most = (total / 4).saturating_mul(3);
    Limits { memory_bytes: limits.memory_bytes.min(most), ..limits }
}

fn check(spec: &PodSpec) -> Result<(), SandboxError> {
    let texts = spec.argv.iter().chain([&spec.cwd]);
    let pairs = spec.env.iter().flat_map(|(name, value)| [name, value]);
    if texts.chain(pairs).any(|text| text.contains('\0')) {
        return Err(SandboxError::Misuse("an argument holds a NUL byte"));
    }
    if spec.env.iter().any(|(name, _)| name.is_empty() || name.contains('=')) {
        return Err(SandboxError::Misuse("a variable's name is empty or holds `=`"));
    }
    if spec.argv.first().is_none_or(String::is_empty) {
        return Err(SandboxError::Misuse("no program is named"));
    }
    if !spec.cwd.starts_with('/') {
        return Err(SandboxError::Misuse("the working directory is not absolute"));
    }
    Ok(())
}

/// Gives pipes to the pod's user, so that programs can open `/dev/stdout` and the like.
fn give_pipes(spec: &PodSpec, ids: &PodIds) -> Result<(), SandboxError> {
    if ids.base.is_none() {
        return Ok(());
    }
    for fd in [&spec.stdin, &spec.stdout, &spec.stderr] {
        let stat = rustix::fs::fstat(fd)
            .map_err(|error| SandboxError::host("looking at a stream")(error.into()))?;
        if rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Fifo {
            let uid = rustix::process::Uid::from_raw(ids.uid);
            let gid = rustix::process::Gid::from_raw(ids.gid);
            rustix::fs::fchown(fd, Some(uid), Some(gid))
                .map_err(|error| SandboxError::host("giving a pipe to the pod")(error.into()))?;
        }
    }
    Ok(())
}
