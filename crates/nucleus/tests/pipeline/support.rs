use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use lattice_guard::{
    Classifier, Envelope, GateMode, Hosts, Label, Level, Levels, Operation, Permissions, PodContext,
};
use nucleus::{
    Amount, Answer, ApprovalKey, ApprovalSetup, Approver, AtomicBudget, Caller, Cancel, Channel,
    Clock, Executor, Exit, Feed, NoProgress, Principal, Program, Recorder, RunSpec, Runner,
    RunnerError, Running, Sandbox, SandboxParts, ToolResult, Workspace,
};
use nucleus_log::{
    AppendFile, CheckpointKey, Disk, HostDisk, Keys, MacMaster, Options, Origin, Ports, Writer,
};
use nucleus_wire::control::{ApprovalMode, ApprovalView, FeedEvent};
use serde_json::Value;

/// Everything a test needs, over a directory that lives as long as it.
pub(crate) struct World {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) runner: Arc<FakeRunner>,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) feed: Arc<Events>,
    pub(crate) asked: Arc<Asked>,
    pub(crate) disk: Arc<FaultyDisk>,
    pub(crate) writer: Arc<Writer>,
    pub(crate) sandbox: Sandbox,
    pub(crate) budget: AtomicBudget,
    pub(crate) executor: Executor,
}

/// How a world differs from the usual one.
pub(crate) struct Setting {
    pub(crate) policy: Permissions,
    pub(crate) budget: Amount,
    pub(crate) approvals: ApprovalMode,
    pub(crate) wait: Duration,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            policy: free(),
            budget: Amount { cost_micro_usd: 10_000_000, input_tokens: 1_000, output_tokens: 500 },
            approvals: ApprovalMode::Terminal,
            wait: Duration::ZERO,
        }
    }
}

/// Everything on the file side and commands, nothing that closes the gate.
pub(crate) fn free() -> Permissions {
    let mut levels = Levels::bottom();
    for operation in [
        Operation::ReadFiles,
        Operation::WriteFiles,
        Operation::EditFiles,
        Operation::RunBash,
        Operation::GlobSearch,
        Operation::GrepSearch,
        Operation::GitCommit,
    ] {
        levels = levels.with(operation, Level::LowRisk);
    }
    Permissions { levels, network: Hosts::bottom(), ..Permissions::top() }
}

/// As [`free`], but each command needs a human.
pub(crate) fn asking() -> Permissions {
    let policy = free();
    let levels = policy.levels.clone();
    let levels = levels.with(Operation::RunBash, Level::Ask).with(Operation::GitPush, Level::Ask);
    Permissions { levels, ..policy }
}

pub(crate) fn keys() -> Keys {
    Keys::new(MacMaster::new([1; 32]), CheckpointKey::from_seed([2; 32]))
}

impl World {
    pub(crate) fn new() -> Self {
        Self::of(Setting::default())
    }

    pub(crate) fn asking() -> Self {
        Self::of(Setting { policy: asking(), ..Setting::default() })
    }

    pub(crate) fn of(setting: Setting) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ws = directory.path().join("ws");
        std::fs::create_dir(&ws).unwrap();
        let disk = Arc::new(FaultyDisk::default());
        let ports = Ports { disk: disk.clone(), ..Ports::default() };
        let origin = Origin::parse("nucleus/test").unwrap();
        let log = directory.path().join("log.jsonl");
        let writer = Writer::create_with(&log, &keys(), origin, Options::default(), ports).unwrap();
        let writer = Arc::new(writer);
        let clock = Arc::new(FakeClock::default());
        let feed = Arc::new(Events::default());
        let asked = Arc::new(Asked::default());
        let runner = Arc::new(FakeRunner::new(&ws, &log));
        let approver: Arc<dyn Approver> = asked.clone();
        let sandbox = Sandbox::new(SandboxParts {
            spool: None,
            task: "task-1".to_owned(),
            workspace: Workspace {
                root: File::open(&ws).unwrap().into(),
                ids: None,
                path: ws.clone(),
            },
            home: Some(PathBuf::from("/home/user")),
            runner: runner.clone(),
            pod: PodContext { network: false, credentials: false, overlay_only: true },
            recorder: Recorder::new(Arc::clone(&writer), &agent()),
            clock: clock.clone(),
            feed: feed.clone(),
            approvals: ApprovalSetup {
                mode: setting.approvals,
                key: ApprovalKey::generate().unwrap(),
                approver: Some(approver),
                past: nucleus::Past::default(),
                break_glass: None,
                webhook: None,
                ttl: Duration::from_secs(300),
                wait: setting.wait,
            },
            label: Label::default(),
        });
        let budget = AtomicBudget::new(setting.budget);
        let executor = Executor::new(&setting.policy, &sandbox, &budget);
        Self { directory, runner, clock, feed, asked, disk, writer, sandbox, budget, executor }
    }

    /// An executor over a task that has been exposed to `label` already, with the same log.
    pub(crate) fn with_label(
        &self,
        label: Label,
        mode: GateMode,
        policy: &Permissions,
    ) -> Executor {
        let ws = self.ws();
        let sandbox = Sandbox::new(SandboxParts {
            spool: None,
            task: "task-2".to_owned(),
            workspace: Workspace { root: File::open(&ws).unwrap().into(), ids: None, path: ws },
            home: None,
            runner: self.runner.clone(),
            pod: PodContext { network: false, credentials: false, overlay_only: true },
            recorder: Recorder::new(Arc::clone(&self.writer), &agent()),
            clock: self.clock.clone(),
            feed: self.feed.clone(),
            approvals: ApprovalSetup::none().unwrap(),
            label,
        });
        let (envelope, authority) = Envelope::new(policy.clone(), Classifier::default(), mode);
        Executor::with_envelope(envelope, authority, &sandbox, &self.budget)
    }

    pub(crate) fn ws(&self) -> PathBuf {
        self.directory.path().join("ws")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.directory.path().join("log.jsonl")
    }

    pub(crate) fn put(&self, path: &str, text: &str) {
        let path = self.ws().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn call(&self, tool: &str, arguments: Value) -> ToolResult {
        self.executor.serve(tool, &arguments, &door(), &Cancel::new(), &NoProgress)
    }

    /// Answers the one request that waits.
    pub(crate) fn answer(&self, approve: bool) -> String {
        let id = self.asked.last();
        let answer =
            if approve { Answer::approve("terminal") } else { Answer::refuse("terminal", None) };
        self.sandbox.approvals().decide(&id, answer).unwrap();
        id
    }

    /// Ends the task, verifies the log, and gives its events in order.
    pub(crate) fn closed(&self) -> Vec<Event> {
        self.sandbox.finish();
        self.writer.close().unwrap();
        let keys = keys().verify_keys().unwrap();
        let report =
            nucleus_log::verify(&self.log(), &keys, &nucleus_log::VerifyOptions::default());
        let report = report.unwrap();
        assert!(report.verdict.is_ok(), "{:?}", report.verdict);
        self.events()
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        events(&self.log())
    }
}

/// The event of one entry.
pub(crate) struct Event(pub(crate) serde_json::Map<String, Value>);

impl Event {
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        self.0.get(name).and_then(Value::as_u64).unwrap_or_default()
    }
}

pub(crate) fn events(log: &Path) -> Vec<Event> {
    let text = std::fs::read_to_string(log).unwrap();
    // A line that is being written while a test looks is not an entry yet.
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| {
            let entry: Value = serde_json::from_str(line).unwrap();
            Event(entry.get("event").unwrap().as_object().unwrap().clone())
        })
        .collect()
}

pub(crate) fn phases(events: &[Event], phase: &str) -> usize {
    events.iter().filter(|event| event.text("phase") == phase).count()
}

/// Waits for something another thread does.
pub(crate) fn until(what: impl Fn() -> bool) {
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(std::time::Instant::now() < end, "it never happened");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn agent() -> Principal {
    Principal::agent("scripted", "s-1").unwrap()
}

pub(crate) fn door() -> Caller {
    Caller::new(Channel::Door, agent())
}

/// Pods that only pretend, and look into the log before they do.
pub(crate) struct FakeRunner {
    ws: PathBuf,
    log: PathBuf,
    pub(crate) started: Mutex<Vec<Vec<String>>>,
    /// Whether each start found its own intent in the log.
    pub(crate) intents_seen: AtomicU64,
    pub(crate) hang: AtomicBool,
    pub(crate) broken: AtomicBool,
    pub(crate) panics: AtomicBool,
}

impl FakeRunner {
    fn new(ws: &Path, log: &Path) -> Self {
        Self {
            ws: ws.to_owned(),
            log: log.to_owned(),
            started: Mutex::default(),
            intents_seen: AtomicU64::new(0),
            hang: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            panics: AtomicBool::new(false),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.started.lock().unwrap().len()
    }
}

impl Runner for FakeRunner {
    fn resolve(&self, program: &str, cwd: &str) -> Result<Program, RunnerError> {
        let not_found = || RunnerError::NotFound { program: program.to_owned() };
        if ["git", "true", "sh", "cat", "cargo"].contains(&program) {
            let path = format!("/usr/bin/{program}");
            return Ok(Program { real: path.clone(), path, agent_writable: false, file: None });
        }
        if !program.contains('/') {
            return Err(not_found());
        }
        let path = self.ws.join(cwd).join(program);
        let file = File::open(&path).map_err(|_| not_found())?;
        let path = path.to_str().unwrap().to_owned();
        Ok(Program { real: path.clone(), path, agent_writable: true, file: Some(file) })
    }

    fn start(&self, spec: RunSpec) -> Result<Box<dyn Running>, RunnerError> {
        assert!(!self.panics.load(Ordering::SeqCst), "expected in this test");
        if self.broken.load(Ordering::SeqCst) {
            return Err(RunnerError::Io(io::Error::other("/var/lib/secret place is broken")));
        }
        // The lock first: an intent that is counted then belongs to a start that is counted, or to a later one.
        let mut started = self.started.lock().unwrap();
        started.push(spec.argv().to_vec());
        if phases(&events(&self.log), "intent") >= started.len() {
            self.intents_seen.fetch_add(1, Ordering::SeqCst);
        }
        drop(started);
        let (out, mut write) = io::pipe().map_err(RunnerError::Io)?;
        let (error, _) = io::pipe().map_err(RunnerError::Io)?;
        writeln!(write, "ran {}", spec.argv().join(" ")).map_err(RunnerError::Io)?;
        let hang = self.hang.load(Ordering::SeqCst);
        let exit = (!hang).then_some(Exit::Code(0));
        Ok(Box::new(FakeRunning {
            out: Some(out.into()),
            error: Some(error.into()),
            exit: Mutex::new(exit),
            ended: Condvar::new(),
        }))
    }
}

struct FakeRunning {
    out: Option<OwnedFd>,
    error: Option<OwnedFd>,
    exit: Mutex<Option<Exit>>,
    ended: Condvar,
}

impl Running for FakeRunning {
    fn take_stdout(&mut self) -> Option<OwnedFd> {
        self.out.take()
    }
    fn take_stderr(&mut self) -> Option<OwnedFd> {
        self.error.take()
    }
    fn wait(&self, timeout: Duration) -> Result<Option<Exit>, RunnerError> {
        let exit = self.exit.lock().unwrap();
        let waited = self.ended.wait_timeout_while(exit, timeout, |exit| exit.is_none()).unwrap();
        Ok(*waited.0)
    }
    fn kill(&self) {
        let mut exit = self.exit.lock().unwrap();
        exit.get_or_insert(Exit::Signal(9));
        self.ended.notify_all();
    }
}

/// A clock that only moves when told to.
#[derive(Default)]
pub(crate) struct FakeClock {
    pub(crate) passed_ms: AtomicU64,
    pub(crate) wall_offset_ms: AtomicU64,
}

const START_MS: u64 = 1_800_000_000_000;

impl Clock for FakeClock {
    fn wall_ms(&self) -> u64 {
        let back = self.wall_offset_ms.load(Ordering::SeqCst);
        START_MS + self.passed_ms.load(Ordering::SeqCst) - back
    }
    fn monotonic_ns(&self) -> u64 {
        1_000_000_000 + self.passed_ms.load(Ordering::SeqCst) * 1_000_000
    }
    fn boot_id(&self) -> &str {
        "boot"
    }
}

pub(crate) fn start_ms() -> u64 {
    START_MS
}

#[derive(Default)]
pub(crate) struct Events(pub(crate) Mutex<Vec<FeedEvent>>);

impl Feed for Events {
    fn event(&self, event: FeedEvent) {
        self.0.lock().unwrap().push(event);
    }
}

#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) views: Mutex<Vec<ApprovalView>>,
    pub(crate) outcomes: Mutex<BTreeMap<String, &'static str>>,
}

impl Asked {
    pub(crate) fn last(&self) -> String {
        self.views.lock().unwrap().last().unwrap().id.clone()
    }
    pub(crate) fn count(&self) -> usize {
        self.views.lock().unwrap().len()
    }
}

impl Approver for Asked {
    fn requested(&self, view: ApprovalView) {
        self.views.lock().unwrap().push(view);
    }
    fn settled(&self, id: &str, outcome: &'static str) {
        self.outcomes.lock().unwrap().insert(id.to_owned(), outcome);
    }
}

/// A disk that can be made to fail.
#[derive(Debug, Default)]
pub(crate) struct FaultyDisk {
    fault: Arc<Fault>,
}

#[derive(Debug, Default)]
struct Fault {
    full: AtomicBool,
    sync: AtomicBool,
}

impl FaultyDisk {
    pub(crate) fn fill(&self) {
        self.fault.full.store(true, Ordering::SeqCst);
    }
    pub(crate) fn break_sync(&self) {
        self.fault.sync.store(true, Ordering::SeqCst);
    }
    fn wrap(&self, file: Box<dyn AppendFile>) -> Box<dyn AppendFile> {
        Box::new(FaultyFile { file, fault: Arc::clone(&self.fault) })
    }
}

#[derive(Debug)]
struct FaultyFile {
    file: Box<dyn AppendFile>,
    fault: Arc<Fault>,
}

impl AppendFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.fault.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.append(bytes)
    }
    fn sync(&mut self) -> io::Result<()> {
        if self.fault.sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("EIO"));
        }
        self.file.sync()
    }
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        HostDisk.create(path).map(|file| self.wrap(file))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        HostDisk.open(path).map(|file| self.wrap(file))
    }
    fn publish(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        HostDisk.publish(path, bytes, mode)
    }
}
