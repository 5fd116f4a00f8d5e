//! One task from start to end: the linear story that wires everything together.

use std::io::BufReader;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lattice_guard::{Envelope, RelPath};
use nucleus::{
    Amount, Answer, AtomicBudget, Caller, Cancel, Channel, Clock, CommandEnding,
    Ending as CallEnding, Executor, Feed, Principal, Recorder, SystemClock,
};
use nucleus_sandbox::{Driver, Pod, PodEnd, Withhold};
use nucleus_wire::control::{Failure, FailureClass, Payload, Summary, TaskSpec};

use crate::control::{self, Control, FromUser};
use crate::egress::Egress;
use crate::envelope::{self, TaskEnvelope};
use crate::finish::{self, Ending};
use crate::model::ModelLedger;
use crate::runner::PodRunner;
use crate::session::{self, TaskSession};
use crate::terminal::{Early, Terminal};
use crate::{
    agent_pod, approvals, attach, door, opening, packages, payload, publish, withheld, world,
};

/// How often expired approvals and deadlines are looked at.
const TICK: Duration = Duration::from_millis(500);
/// How long a killed pod may take to be gone.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// What the main loop waits for.
pub(crate) enum TaskEvent {
    /// The user stopped the task, or is gone.
    Stop,
    /// The payload ended.
    Ended(Option<PodEnd>),
}

/// Everything of a running task.
pub(crate) struct Task {
    /// Where answers come from outside of the terminal; gone with the task.
    pub socket: approvals::Socket,
    /// What was asked for.
    pub spec: TaskSpec,
    /// To the user's side.
    pub control: Arc<Control>,
    /// Rooms.
    pub executor: Executor,
    /// The task's own limits.
    pub budget: AtomicBudget,
    /// For entries of the task itself.
    pub recorder: Recorder,
    /// Tool pods.
    pub runner: Arc<PodRunner>,
    /// The session and its walls.
    pub session: TaskSession,
    /// Model calls and name queries.
    pub egress: Egress,
    /// Judgement on paths.
    pub withhold: Withhold,
    /// The moment the task began.
    pub began: Instant,
    /// The agent's own terminal, once there is one.
    pub terminal: Arc<OnceLock<Arc<Terminal>>>,
}

/// Runs the task.
///
/// # Errors
/// The task could not start. After it has started, every end is a summary.
pub(crate) fn run(
    mut spec: TaskSpec,
    (model_key, client, webhook_key): (Option<OwnedFd>, crate::client::Ends, Option<OwnedFd>),
    control: &Arc<Control>,
    reader: BufReader<UnixStream>,
) -> Result<Summary, Failure> {
    let began = Instant::now();
    let clock = clock()?;
    let admitted = session::admit(&spec)?;
    spec.workspace = admitted.path().to_owned();
    let TaskEnvelope { envelope, authority, name, tightened_by, mut notes } =
        envelope::assemble(&spec, clock.wall_ms())?;
    let rules = session::Rules { policy: name, tightened_by };
    let published = publish::listen(&spec.publish)?;
    notes.extend(published.iter().map(publish::Published::note));
    let withhold = Withhold::new(envelope.permissions().clone(), envelope.classifier().clone());
    let driver = session::driver(&spec, envelope.permissions())?;
    let digest = cache_digest(&envelope)?;
    let packages = &envelope.permissions().packages;
    // Before there is a session: one that cannot ask leaves nothing behind.
    let mut approvals = approvals::setup(&spec, webhook_key, control)?;
    let mut session = session::open(&spec, &admitted, driver, &withhold, packages, &digest)?;
    approvals.past = std::mem::take(&mut session.past);
    let envelope = session::hide_scrubbed(&envelope, &session.handles.masks)?;

    let principal = principal(&spec)?;
    let recorder = Recorder::new(Arc::clone(&session.writer), &principal);
    let runner = Arc::new(world::tool_runner(&spec, &session)?);
    let budget = AtomicBudget::new(limits(&envelope));
    let sandbox = world::sandbox(&spec, control, &clock, &session, &recorder, &runner, approvals)?;
    let socket = approvals::Socket::open(session.session.dir(), &spec.session, &sandbox)
        .map_err(|error| session::io_failure("the approvals socket", &error))?;
    let executor = Executor::with_envelope(envelope, authority, &sandbox, &budget);
    let executor = match world::own_tools(&spec) {
        Some(own_tools) => executor.answering_prompts(own_tools),
        None => executor,
    };
    let mut egress =
        Egress::new().map_err(|error| session::io_failure("threads for the gate", &error))?;
    if let Some(sockets) = session.handles.dns.take() {
        egress.serve_names(sockets, sandbox.clone(), Arc::clone(control) as Arc<dyn Feed>);
    }
    let driver = Arc::clone(&session.driver) as Arc<dyn Driver>;
    let relay = publish::Relay::new(driver, recorder.clone(), control.clone());
    opening::record(&spec, &recorder, &session, &executor, &rules.policy)?;
    egress.serve_published(published, relay);
    let mut task = Task {
        socket,
        spec,
        control: Arc::clone(control),
        executor,
        budget,
        recorder,
        runner,
        session,
        egress,
        withhold,
        began,
        terminal: Arc::default(),
    };
    let (sender, events) = channel();
    let stop = Cancel::new();
    listen(reader, &task, sender.clone(), stop.clone())?;
    let caller = Caller::new(channel_of(&task.spec.payload), principal);
    let words = (&rules, notes);
    let started = start(&mut task, (model_key, client), &caller, &stop, words, &sender);
    let ending = match started {
        Ok(running) => wait(&task, running, &sender, &events),
        Err(failure) => {
            finish::abandon(task);
            return Err(failure);
        }
    };
    finish::finish(task, ending)
}

fn clock() -> Result<Arc<dyn Clock>, Failure> {
    let clock = SystemClock::new().map_err(|error| session::io_failure("the clock", &error))?;
    Ok(Arc::new(clock))
}

fn start(
    task: &mut Task,
    (model_key, client): (Option<OwnedFd>, crate::client::Ends),
    caller: &Caller,
    stop: &Cancel,
    (rules, mut notes): (&session::Rules, Vec<String>),
    sender: &Sender<TaskEvent>,
) -> Result<Running, Failure> {
    packages::serve(task, caller.principal())?;
    match task.spec.payload.clone() {
        Payload::Command { argv } => start_command(task, argv, caller, stop, rules, notes),
        Payload::Client { .. } => {
            notes.push(crate::client::LABEL.to_owned());
            opening::announce(task, &rules.policy, notes);
            crate::client::start(task, client, caller, sender)
        }
        Payload::Agent { .. } => {
            let launch = agent_pod::prepare(task, model_key, &mut notes)?;
            opening::announce(task, &rules.policy, notes);
            start_agent(task, launch, caller)
        }
    }
}

/// A payload that runs.
#[derive(Default)]
pub(crate) struct Running {
    /// Absent when the payload is outside of any.
    pod: Option<Arc<Pod>>,
    output: Vec<JoinHandle<()>>,
    /// Of the user's own command, with its program.
    ticket: Option<(nucleus::CommandTicket, String)>,
}

fn start_command(
    task: &Task,
    argv: Vec<String>,
    caller: &Caller,
    stop: &Cancel,
    rules: &session::Rules,
    notes: Vec<String>,
) -> Result<Running, Failure> {
    opening::announce(task, &rules.policy, notes);
    let timeout_ms = task.spec.timeout_s.map(|seconds| seconds.saturating_mul(1_000));
    let cwd = RelPath::parse(if task.spec.within.is_empty() { "." } else { &task.spec.within })
        .map_err(|error| Failure {
            class: FailureClass::Usage,
            message: format!("the directory you stand in: {error}"),
            hint: None,
        })?;
    let mut ticket = loop {
        match task.executor.command(argv.clone(), &cwd, timeout_ms, caller, stop) {
            Ok(ticket) => break ticket,
            Err(_) if stop.is_cancelled() => {
                return Err(Failure {
                    class: FailureClass::Interrupted,
                    message: "interrupted before the command began; nothing was run".to_owned(),
                    hint: None,
                });
            }
            // The human has not answered yet: ask again until the request is decided or expires.
            Err(result)
                if matches!(result.ending, CallEnding::ApprovalRequired { id: Some(_), .. }) => {}
            Err(result) => return Err(session::command_refused(&result, rules)),
        }
    };
    let unavailable = |error: &dyn std::error::Error| Failure {
        class: FailureClass::Unavailable,
        message: session::with_causes(error),
        hint: None,
    };
    let spec = ticket.take_spec().ok_or_else(|| Failure {
        class: FailureClass::Internal,
        message: "the command was admitted twice".to_owned(),
        hint: None,
    })?;
    let (stdout, stdout_writer) = task.runner.pipe().map_err(|error| unavailable(&error))?;
    let (stderr, stderr_writer) = task.runner.pipe().map_err(|error| unavailable(&error))?;
    let pod = task
        .runner
        .spawn(spec, stdout_writer, stderr_writer)
        .map_err(|error| unavailable(&error))?;
    let output = payload::output(task, stdout, stderr).map_err(|error| unavailable(&error))?;
    Ok(Running {
        pod: Some(Arc::new(pod)),
        output,
        ticket: Some((ticket, argv.first().cloned().unwrap_or_default())),
    })
}

fn start_agent(
    task: &mut Task,
    launch: agent_pod::Prepared,
    caller: &Caller,
) -> Result<Running, Failure> {
    let unavailable = |error: &dyn std::fmt::Display| Failure {
        class: FailureClass::Unavailable,
        message: format!("the agent's pod: {error}"),
        hint: None,
    };
    let (streams, output) = payload::streams(task).map_err(|error| unavailable(&error))?;
    let [stdin, stdout, stderr] = streams;
    let (spec, gate) = launch.pod(stdin, stdout, stderr);
    let mut pod =
        task.session.driver.spawn(spec).map_err(|error| session::sandbox_failure(&error))?;
    let feed = Arc::clone(&task.control) as Arc<dyn Feed>;
    if let Some(listener) = pod.door.take() {
        let withheld = withheld::instruction(&task.session.handles.masks);
        let (executor, scope) = (task.executor.clone(), door::Scope::Pod);
        let door = door::Door::new(executor, caller.clone(), scope, withheld)
            .map_err(|error| unavailable(&error))?;
        door.serve(listener).map_err(|error| unavailable(&error))?;
    }
    if let (Some(listener), Some(gate)) = (pod.gate.take(), gate) {
        task.egress.serve_gate(gate, listener, Arc::clone(&feed));
    }
    if let Some(sockets) = pod.dns.take() {
        task.egress.serve_names(sockets, task.executor.sandbox().clone(), feed);
    }
    Ok(Running { pod: Some(Arc::new(pod)), output, ticket: None })
}

/// Waits for the payload's end, the user's word or a deadline, whichever comes first.
fn wait(
    task: &Task,
    running: Running,
    sender: &Sender<TaskEvent>,
    events: &Receiver<TaskEvent>,
) -> Ending {
    let mut ending = match running.pod.as_ref().map(|pod| watch(pod, sender.clone())).transpose() {
        Ok(_) => until_end(task, events),
        Err(_) => Ending::Killed,
    };
    if let Some(pod) = &running.pod {
        pod.kill();
        if let Ok(Some(end)) = pod.wait(Some(KILL_PATIENCE))
            && let Ending::Finished(finished @ None) = &mut ending
        {
            *finished = Some(end);
        }
    }
    for thread in running.output {
        // Every writer of the pipes was in the pod, which is gone.
        let _ended = thread.join();
    }
    if let Some((ticket, program)) = running.ticket {
        let ended = match &ending {
            Ending::Finished(Some(end)) => match crate::runner::exit_of(*end, &program) {
                Ok(exit) => CommandEnding::Exited(exit),
                Err(error) => {
                    task.control.send(&session::not_runnable(
                        &program,
                        &error,
                        &task.runner.search_path(),
                    ));
                    CommandEnding::of_error(&error)
                }
            },
            Ending::TimedOut => CommandEnding::TimedOut,
            Ending::Interrupted => CommandEnding::Stopped,
            Ending::Finished(None) | Ending::Killed => CommandEnding::Lost,
        };
        ticket.settle(ended, 0);
    }
    ending
}

/// Tells of the end of a pod when it comes.
fn watch(pod: &Arc<Pod>, ended: Sender<TaskEvent>) -> std::io::Result<JoinHandle<()>> {
    let watched = Arc::clone(pod);
    std::thread::Builder::new().name("payload".to_owned()).spawn(move || {
        let end = watched.wait(None).ok().flatten();
        let _stopped = ended.send(TaskEvent::Ended(end));
    })
}

fn until_end(task: &Task, events: &Receiver<TaskEvent>) -> Ending {
    let own_limit = task.spec.timeout_s.map(Duration::from_secs);
    let window = task.executor.envelope().permissions().time;
    loop {
        match events.recv_timeout(TICK) {
            Ok(TaskEvent::Stop) => return Ending::Interrupted,
            Ok(TaskEvent::Ended(end)) => return Ending::Finished(end),
            Err(RecvTimeoutError::Disconnected) => return Ending::Killed,
            Err(RecvTimeoutError::Timeout) => {}
        }
        let overdue = own_limit.is_some_and(|limit| task.began.elapsed() >= limit);
        if overdue || !window.contains(task.executor.sandbox().now_ms()) {
            return Ending::TimedOut;
        }
    }
}

/// Decisions go straight to the book, so that a call that waits for one is not behind anything else.
fn listen(
    reader: BufReader<UnixStream>,
    task: &Task,
    sender: Sender<TaskEvent>,
    stop: Cancel,
) -> Result<(), Failure> {
    let sandbox = task.executor.sandbox().clone();
    let (messages, inbox) = channel();
    let failed = |error: std::io::Error| session::io_failure("listening", &error);
    let newcomers = attach::Newcomers::new(Arc::clone(&task.control), messages.clone());
    attach::serve(task.session.session.dir(), newcomers, task.recorder.clone()).map_err(failed)?;
    control::listen(reader, Arc::clone(&task.control), messages, |message| message)
        .map_err(failed)?;
    let mut terminal = Early::new(Arc::clone(&task.terminal), task.spec.terminal.is_some());
    std::thread::Builder::new()
        .name("decisions".to_owned())
        .spawn(move || {
            loop {
                let message = inbox.recv_timeout(TICK);
                terminal.catch_up();
                match message {
                    Ok(FromUser::Decide { id, approve, reason }) => {
                        // Too late or unknown: the user is told by the request's own settlement.
                        let answer = if approve {
                            Answer::approve("terminal")
                        } else {
                            Answer::refuse("terminal", reason)
                        };
                        let _late = sandbox.approvals().decide(&id, answer);
                    }
                    Ok(FromUser::Terminal(act)) => terminal.act(act),
                    Ok(FromUser::Interrupt | FromUser::Gone) => {
                        stop.cancel();
                        if sender.send(TaskEvent::Stop).is_err() {
                            return;
                        }
                    }
                    // A request expires whether or not anything else happens, also before the payload runs.
                    Err(RecvTimeoutError::Timeout) => sandbox.approvals().expire_due(),
                    // The user is gone, and has been reported so: every request is refused with the task.
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })
        .map(|_| ())
        .map_err(failed)
}

fn principal(spec: &TaskSpec) -> Result<Principal, Failure> {
    let made = match &spec.payload {
        Payload::Agent { agent, .. } => Principal::agent(agent, &spec.session),
        Payload::Command { .. } => Principal::user("operator", &spec.session),
        Payload::Client { .. } => Principal::agent("client", &spec.session),
    };
    made.map_err(|error| Failure {
        class: FailureClass::Usage,
        message: error.to_string(),
        hint: None,
    })
}

fn channel_of(payload: &Payload) -> Channel {
    match payload {
        Payload::Agent { .. } => Channel::Door,
        Payload::Command { .. } => Channel::Operator,
        Payload::Client { .. } => Channel::Client,
    }
}

pub(crate) fn limits(envelope: &Envelope) -> Amount {
    let budget = &envelope.permissions().budget;
    Amount {
        cost_micro_usd: budget.max_cost.micros(),
        input_tokens: budget.max_input_tokens.count(),
        output_tokens: budget.max_output_tokens.count(),
    }
}

/// What tells caches of different policies apart. Deadlines are another moment in every task and say nothing about
/// what may be in a cache.
fn cache_digest(envelope: &Envelope) -> Result<String, Failure> {
    let mut lasting = envelope.permissions().clone();
    lasting.time = lattice_guard::TimeWindow::top();
    serde_json::to_vec(&lasting).map(|bytes| nucleus::Digest::of(&bytes).hex()).map_err(|error| {
        Failure {
            class: FailureClass::Internal,
            message: format!("the envelope cannot be written down: {error}"),
            hint: None,
        }
    })
}

/// The ledger of the agent's model calls.
pub(crate) fn ledger(task: &Task) -> Result<Arc<ModelLedger>, Failure> {
    let caller = Caller::new(Channel::ModelGate, principal(&task.spec)?);
    Ok(Arc::new(ModelLedger::new(task.executor.clone(), caller, task.recorder.clone())))
}
