//! The runner port over a sandbox driver: tool pods.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use nucleus::{Exit, Program, RunSpec, Runner, RunnerError, Running};
use nucleus_sandbox::{Driver, Pod, PodEnd, PodSpec};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

/// Starts tool pods of one prepared session.
pub(crate) struct PodRunner {
    driver: Arc<dyn Driver>,
    /// The root tool pods see, for finding programs in it.
    root: OwnedFd,
    /// Path of the workspace, the same inside and outside.
    workspace: String,
    /// The exact environment of every tool pod.
    env: Vec<(String, String)>,
    /// Directories of `PATH` inside.
    path: Vec<String>,
    /// Owner of the pipes, so that a pod may open `/dev/stdout`.
    owner: Option<(u32, u32)>,
}

impl PodRunner {
    /// A runner over a prepared session.
    pub(crate) fn new(
        driver: Arc<dyn Driver>,
        root: OwnedFd,
        workspace: String,
        env: Vec<(String, String)>,
        owner: Option<(u32, u32)>,
    ) -> Self {
        let path = env
            .iter()
            .find(|(name, _)| name == "PATH")
            .map(|(_, value)| value.as_str())
            .unwrap_or_default();
        let path = path.split(':').filter(|dir| dir.starts_with('/')).map(str::to_owned).collect();
        Self { driver, root, workspace, env, path, owner }
    }

    /// Where programs are looked for inside.
    pub(crate) fn search_path(&self) -> String {
        self.path.join(":")
    }

    /// Starts argv with the given standard streams, as `nucleus run -- CMD` does.
    ///
    /// # Errors
    /// Those of the driver; nothing runs then.
    pub(crate) fn spawn(
        &self,
        mut spec: RunSpec,
        stdout: OwnedFd,
        stderr: OwnedFd,
    ) -> Result<Pod, RunnerError> {
        let stdin = match spec.take_stdin() {
            Some(stdin) => stdin,
            None => File::open("/dev/null")?.into(),
        };
        let mut env = self.env.clone();
        for (name, value) in spec.env() {
            env.retain(|(known, _)| known != name);
            env.push((name.clone(), value.clone()));
        }
        let pod = PodSpec {
            argv: spec.argv().to_vec(),
            env,
            cwd: self.directory(spec.cwd()),
            stdin,
            stdout,
            stderr,
            agent: None,
        };
        self.driver.spawn(pod).map_err(|error| RunnerError::Driver(Box::new(error)))
    }

    /// A pipe whose ends a pod's own ids may open again by `/dev/stdout`.
    ///
    /// # Errors
    /// No descriptors are left.
    pub(crate) fn pipe(&self) -> std::io::Result<(OwnedFd, OwnedFd)> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        if let Some((uid, gid)) = self.owner {
            let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
            rustix::fs::fchown(&writer, Some(uid), Some(gid))?;
        }
        Ok((reader, writer))
    }

    fn directory(&self, cwd: &str) -> String {
        if cwd.is_empty() { self.workspace.clone() } else { format!("{}/{cwd}", self.workspace) }
    }

    /// A regular file of the pod's root, by absolute inside path.
    fn look(&self, path: &str) -> Option<Program> {
        let relative = path.trim_start_matches('/');
        let found = openat2(
            self.root.as_fd(),
            relative,
            OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        );
        let file = match found {
            Ok(fd) => Some(fd),
            // A program that may be run and not read still exists.
            Err(Errno::ACCESS) => None,
            Err(_) => return None,
        };
        if let Some(fd) = &file
            && !fstat(fd)
                .is_ok_and(|meta| FileType::from_raw_mode(meta.st_mode) == FileType::RegularFile)
        {
            return None;
        }
        let real =
            file.as_ref().and_then(|fd| self.real_name(fd)).unwrap_or_else(|| path.to_owned());
        let agent_writable = self.writable(&real);
        Some(Program { path: path.to_owned(), real, agent_writable, file: file.map(File::from) })
    }

    /// The name of an open file as the pod knows it: the kernel's own answer, which may carry a prefix of the
    /// handle's place and is then not used.
    fn real_name(&self, fd: &OwnedFd) -> Option<String> {
        use std::os::fd::AsRawFd;
        let name = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()?;
        let name = name.to_str()?.to_owned();
        let again = openat2(
            self.root.as_fd(),
            name.trim_start_matches('/'),
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        )
        .ok()?;
        let (a, b) = (fstat(fd).ok()?, fstat(&again).ok()?);
        (a.st_dev == b.st_dev && a.st_ino == b.st_ino).then_some(name)
    }

    /// True when a command of the agent can change the file: anything that is not one of the read-only binds.
    fn writable(&self, real: &str) -> bool {
        let beneath = |dir: &str| real.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
        [self.workspace.as_str(), "/tmp", "/home", "/dev/shm", "/opt/nucleus/cache"]
            .iter()
            .any(|dir| beneath(dir))
    }
}

impl Runner for PodRunner {
    fn hint(&self, output: &str) -> Option<String> {
        let hint = nucleus_sandbox::toolchain::offline_hint(output)?;
        let said =
            format!("{}; the user can run `{}` outside the sandbox", hint.text, hint.command);
        Some(match hint.printed {
            Some(name) => format!(
                "{said}. The name `{name}` is what the command printed: look whether it is the package that is meant"
            ),
            None => said,
        })
    }

    fn resolve(&self, program: &str, cwd: &str) -> Result<Program, RunnerError> {
        let missing = || RunnerError::NotFound { program: program.to_owned() };
        if program.is_empty() || program.contains('\0') {
            return Err(missing());
        }
        if program.starts_with('/') {
            return self.look(program).ok_or_else(missing);
        }
        if program.contains('/') {
            return self.look(&format!("{}/{program}", self.directory(cwd))).ok_or_else(missing);
        }
        self.path.iter().find_map(|dir| self.look(&format!("{dir}/{program}"))).ok_or_else(missing)
    }

    fn start(&self, spec: RunSpec) -> Result<Box<dyn Running>, RunnerError> {
        let (stdout, stdout_writer) = self.pipe()?;
        let (stderr, stderr_writer) = self.pipe()?;
        let program = spec.argv().first().cloned().unwrap_or_default();
        let pod = self.spawn(spec, stdout_writer, stderr_writer)?;
        Ok(Box::new(RunningPod { pod, stdout: Some(stdout), stderr: Some(stderr), program }))
    }
}

/// A command in its pod.
struct RunningPod {
    pod: Pod,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    program: String,
}

impl Running for RunningPod {
    fn take_stdout(&mut self) -> Option<OwnedFd> {
        self.stdout.take()
    }

    fn take_stderr(&mut self) -> Option<OwnedFd> {
        self.stderr.take()
    }

    fn wait(&self, timeout: Duration) -> Result<Option<Exit>, RunnerError> {
        match self.pod.wait(Some(timeout)) {
            Ok(None) => Ok(None),
            Ok(Some(end)) => exit_of(end, &self.program).map(Some),
            Err(error) => Err(RunnerError::Driver(Box::new(error))),
        }
    }

    fn kill(&self) {
        self.pod.kill();
    }
}

/// How a pod's end reads to the enforcement point.
///
/// # Errors
/// The program could not be executed.
pub(crate) fn exit_of(end: PodEnd, program: &str) -> Result<Exit, RunnerError> {
    match end {
        PodEnd::Code(code) => Ok(Exit::Code(code)),
        PodEnd::Signal(signal) => Ok(Exit::Signal(signal)),
        PodEnd::NotExecuted(number) if number == Errno::NOENT.raw_os_error() => {
            Err(RunnerError::NotFound { program: program.to_owned() })
        }
        PodEnd::NotExecuted(number) => Err(RunnerError::NotExecutable {
            program: program.to_owned(),
            source: std::io::Error::from_raw_os_error(number),
        }),
        _ => Ok(Exit::Signal(9)),
    }
}
