//! What a scene has: a workspace, a session, a driver, and canaries outside.

use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nucleus_sandbox::workspace::{MaskPolicy, MaskReason};
use nucleus_sandbox::{
    Driver, Enforcement, LauncherConfig, Limits, LocalDriver, Pod, PodEnd, PodIds, PodSpec,
    SandboxError, SessionHandles, SessionSpec,
};

/// The word in every canary.
pub(crate) const CANARY: &str = "canary-5e0c";

pub(crate) struct Stage {
    pub(crate) directory: PathBuf,
    pub(crate) workspace: PathBuf,
    pub(crate) session_dir: PathBuf,
    /// Outside of everything a pod gets, writable for the pod's user.
    pub(crate) outside: PathBuf,
    pub(crate) ids: PodIds,
}

/// What came of a scene.
pub(crate) enum Outcome {
    Held,
    Broken(String),
    Skipped(String),
}

impl Outcome {
    pub(crate) fn of(broken: bool, text: impl Into<String>) -> Self {
        if broken { Self::Broken(text.into()) } else { Self::Held }
    }
}

pub(crate) struct Output {
    pub(crate) end: PodEnd,
    pub(crate) text: String,
}

impl Output {
    /// Held unless the attack said that it worked.
    pub(crate) fn outcome(self) -> Outcome {
        Outcome::of(self.text.contains("BROKEN"), self.text)
    }
}

impl Stage {
    pub(crate) fn new(directory: &Path) -> Self {
        let workspace = directory.join("workspace");
        fs::create_dir(&workspace).expect("workspace");
        fs::copy(directory.join("attack"), workspace.join("attack")).expect("attack");
        fs::write(workspace.join("plain.txt"), "plain\n").expect("file");
        fs::write(workspace.join(".env"), CANARY).expect("file");
        let session_dir = directory.join("session");
        fs::create_dir(&session_dir).expect("session");
        fs::set_permissions(&session_dir, fs::Permissions::from_mode(0o700)).expect("mode");
        let ids = PodIds::for_workspace(&workspace).expect("ids");
        let outside = directory.join("outside");
        fs::create_dir(&outside).expect("outside");
        fs::write(outside.join("canary"), CANARY).expect("canary");
        fs::set_permissions(outside.join("canary"), fs::Permissions::from_mode(0o640))
            .expect("mode");
        if ids.base.is_some() {
            for path in [outside.clone(), outside.join("canary")] {
                chown(path, Some(ids.uid), Some(ids.gid)).expect("owner");
            }
        }
        Self { directory: directory.to_path_buf(), workspace, session_dir, outside, ids }
    }

    /// Removes everything, so that another process can set the stage again at the same place.
    pub(crate) fn clear(&self) {
        for path in [&self.workspace, &self.session_dir, &self.outside] {
            // The overlay's work directory has a directory that nobody may read.
            let _ = std::process::Command::new("chmod").args(["-R", "u+rwx"]).arg(path).status();
            fs::remove_dir_all(path).expect("clear the stage");
        }
    }

    pub(crate) fn canary(&self) -> PathBuf {
        self.outside.join("canary")
    }

    pub(crate) fn spec(&self) -> SessionSpec {
        SessionSpec {
            beside: Vec::new(),
            session_dir: self.session_dir.clone(),
            workspace: self.workspace.clone(),
            masks: MaskPolicy::new(|path| {
                (path == ".env" || path == "withheld").then_some(MaskReason::Sensitive)
            }),
            toolchains: Vec::new(),
            cache_dir: None,
            gate: None,
            limits: Limits {
                pids: 96,
                memory_bytes: 256 << 20,
                file_bytes: 64 << 20,
                descriptors: 256,
                ..Limits::default()
            },
            required: Default::default(),
        }
    }

    pub(crate) fn open(&self) -> Session {
        self.open_with(&self.spec())
    }

    pub(crate) fn open_with(&self, spec: &SessionSpec) -> Session {
        match self.prepare(spec) {
            Ok(session) => session,
            Err(SandboxError::UserNamespaces { obstacle }) => {
                println!("no user namespaces here: {obstacle}");
                std::process::exit(i32::from(super::harness::SKIPPED));
            }
            Err(error) => panic!("prepare: {error}"),
        }
    }

    pub(crate) fn prepare(&self, spec: &SessionSpec) -> Result<Session, SandboxError> {
        let driver = LocalDriver::start(&LauncherConfig::default())?;
        let handles = driver.prepare(spec)?;
        Ok(Session { driver, handles, cwd: self.workspace.to_string_lossy().into_owned() })
    }

    pub(crate) fn probe(&self) -> Enforcement {
        let driver = LocalDriver::start(&LauncherConfig::default()).expect("driver");
        driver.probe().expect("probe")
    }
}

pub(crate) struct Session {
    pub(crate) driver: LocalDriver,
    pub(crate) handles: SessionHandles,
    pub(crate) cwd: String,
}

/// How long one command of a scene may take.
const PATIENCE: Duration = Duration::from_secs(20);

impl Session {
    pub(crate) fn attack(&self, args: &[&str]) -> Output {
        let argv: Vec<&str> = ["./attack"].iter().chain(args).copied().collect();
        self.run(&argv)
    }

    pub(crate) fn shell(&self, script: &str) -> Output {
        self.run(&["sh", "-c", script])
    }

    pub(crate) fn run(&self, argv: &[&str]) -> Output {
        self.run_with(argv, vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())], PATIENCE)
    }

    pub(crate) fn run_with(
        &self,
        argv: &[&str],
        env: Vec<(String, String)>,
        patience: Duration,
    ) -> Output {
        let null = fs::File::open("/dev/null").expect("null").into();
        let (pod, mut out) = self.spawn(argv, null, env);
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            out.read_to_end(&mut bytes).map(|_| bytes)
        });
        let end = pod.wait(Some(patience)).expect("wait");
        let end = end.unwrap_or_else(|| panic!("{argv:?} hangs"));
        drop(pod);
        let bytes = reader.join().expect("reader").expect("output");
        Output { end, text: String::from_utf8_lossy(&bytes).into_owned() }
    }

    pub(crate) fn start(&self, argv: &[&str], stdin: OwnedFd) -> (Pod, fs::File) {
        self.start_with(argv, stdin, &[])
    }

    pub(crate) fn start_with(
        &self,
        argv: &[&str],
        stdin: OwnedFd,
        env: &[(&str, &str)],
    ) -> (Pod, fs::File) {
        let mut all = vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
        all.extend(env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.spawn(argv, stdin, all)
    }

    pub(crate) fn try_start(&self, argv: &[&str]) -> Result<Pod, SandboxError> {
        let null =
            || fs::File::options().read(true).write(true).open("/dev/null").expect("null").into();
        self.driver.spawn(PodSpec {
            argv: argv.iter().map(|arg| (*arg).to_owned()).collect(),
            env: Vec::new(),
            cwd: self.cwd.clone(),
            stdin: null(),
            stdout: null(),
            stderr: null(),
            agent: None,
        })
    }

    fn spawn(&self, argv: &[&str], stdin: OwnedFd, env: Vec<(String, String)>) -> (Pod, fs::File) {
        let (read, write) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("pipe");
        let pod = self
            .driver
            .spawn(PodSpec {
                argv: argv.iter().map(|arg| (*arg).to_owned()).collect(),
                env,
                cwd: self.cwd.clone(),
                stdin,
                stdout: write.try_clone().expect("clone"),
                stderr: write,
                agent: None,
            })
            .expect("spawn");
        (pod, read.into())
    }
}
