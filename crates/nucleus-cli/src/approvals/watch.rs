//! `nucleus approvals watch`: the board on a terminal, kept up to date, with a notification for what is new.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nucleus_wire::approvals::Ask;
use nucleus_wire::display::escape;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::args::WatchArgs;
use super::board::{Action, Board, Item};
use super::client;
use super::keys;
use crate::environment::Environment;
use crate::failure::CliFailure;
use crate::screen::style::Style;
use crate::state::State;

/// How often running tasks are asked.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a key is waited for.
const GLANCE_NS: i64 = 100_000_000;
/// Size of a terminal that does not tell its own.
const SIZE: (usize, usize) = (24, 80);

/// Renderings of long requests, by session and id.
type Whole = BTreeMap<(String, String), String>;

pub(super) fn run(state: &State, args: &WatchArgs, env: &Environment) -> Result<u8, CliFailure> {
    let mut terminal = Terminal::open()?;
    let over = signals()?;
    let mut board = Board::new(Style::new(env.colours(true), None));
    let mut whole = BTreeMap::new();
    let mut looked: Option<Instant> = None;
    let mut shown = Vec::new();
    while !over.load(Ordering::SeqCst) {
        if looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            looked = Some(Instant::now());
            let new = board.update(waiting(state, args, &mut whole)?);
            if !args.silent {
                new.iter().for_each(|item| notify(&mut terminal, item, env));
            }
        }
        let (rows, columns) = terminal.size();
        let lines = board.paint(rows, columns);
        if lines != shown {
            terminal.draw(&lines)?;
            shown = lines;
        }
        for key in keys::parse(&terminal.keys()?) {
            match board.press(key) {
                Action::Nothing => {}
                Action::Quit => return Ok(0),
                Action::Decide { session, id, approve, reason } => {
                    board.say(&decide(state, &session, id, approve, reason));
                    looked = None;
                }
            }
        }
    }
    Ok(0)
}

/// What waits, oldest first in each task. With a named session that does not run (yet, or any more): nothing. Requests
/// that are too long for a list are asked for one by one, once each, and kept in `whole`.
fn waiting(state: &State, args: &WatchArgs, whole: &mut Whole) -> Result<Vec<Item>, CliFailure> {
    let mut items = Vec::new();
    let known = std::mem::take(whole);
    for mut task in client::tasks(state, None)? {
        let wanted = args.session.as_deref().is_none_or(|named| task.session.starts_with(named));
        // A task that ended a moment ago has nothing that waits.
        let Ok(requests) = task.requests() else { continue };
        let pending = requests.into_iter().filter(|request| wanted && request.state == "pending");
        for mut request in pending {
            if !request.view.complete {
                let name = (task.session.clone(), request.view.id.clone());
                let rendering = known.get(&name).cloned();
                // One that was settled just now is gone from the next list.
                let rendering = rendering.or_else(|| all_of(&mut task, &request.view.id));
                if let Some(rendering) = rendering {
                    request.view.complete = true;
                    request.view.rendering.clone_from(&rendering);
                    whole.insert(name, rendering);
                }
            }
            items.push(Item { session: task.session.clone(), request });
        }
    }
    Ok(items)
}

fn all_of(task: &mut client::Task, id: &str) -> Option<String> {
    let view = task.request(id).ok()?.view;
    view.complete.then_some(view.rendering)
}

fn decide(
    state: &State,
    session: &str,
    id: String,
    approve: bool,
    reason: Option<String>,
) -> String {
    let ask = Ask::Decide { id: id.clone(), approve, reason, similar: None };
    let told = client::tasks(state, Some(session)).and_then(|mut tasks| match tasks.first_mut() {
        Some(task) => task.ask(&ask),
        None => Err(CliFailure::usage("the task is over")),
    });
    match told {
        Ok(_) if approve => format!("{id} granted, once"),
        Ok(_) => format!("{id} refused"),
        Err(failure) => failure.render().trim_end().to_owned(),
    }
}

/// Tells the desktop: by the terminal's own notifications, and by the desktop's where there is one. Nothing of the
/// agent's is in the text.
fn notify(terminal: &mut Terminal, item: &Item, env: &Environment) {
    let view = &item.request.view;
    let text = format!("{} wants a yes or a no ({})", escape(&view.operation), escape(&view.id));
    terminal.notify(&text);
    if env.get("DBUS_SESSION_BUS_ADDRESS").is_none() {
        return;
    }
    let mut command = Command::new("notify-send");
    command.args(["--app-name=nucleus", "nucleus approvals", &text]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Where it is not installed the terminal has said it.
    if let Ok(mut child) = command.spawn() {
        std::thread::spawn(move || child.wait());
    }
}

fn signals() -> Result<Arc<AtomicBool>, CliFailure> {
    let over = Arc::new(AtomicBool::new(false));
    let failed = |error: std::io::Error| CliFailure::unavailable(format!("signals: {error}"));
    let mut signals =
        signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(failed)?;
    let told = Arc::clone(&over);
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for _signal in signals.forever() {
                told.store(true, Ordering::SeqCst);
            }
        })
        .map_err(failed)?;
    Ok(over)
}

/// The controlling terminal in raw mode on its alternate screen; as it was when dropped.
struct Terminal {
    tty: File,
    before: Termios,
}

impl Terminal {
    fn open() -> Result<Self, CliFailure> {
        let failed = |_| {
            CliFailure::usage("watch needs a terminal").hint(
                "without one: nucleus approvals list, then nucleus approvals approve ID or deny ID",
            )
        };
        let tty = File::options().read(true).write(true).open("/dev/tty").map_err(failed)?;
        let before = tcgetattr(&tty).map_err(std::io::Error::from).map_err(failed)?;
        let mut raw = before.clone();
        raw.make_raw();
        // What was typed before the first picture answers nothing.
        tcsetattr(&tty, OptionalActions::Flush, &raw)
            .map_err(std::io::Error::from)
            .map_err(failed)?;
        let mut terminal = Self { tty, before };
        terminal.write("\x1b[?1049h\x1b[?25l")?;
        Ok(terminal)
    }

    fn size(&self) -> (usize, usize) {
        let size = tcgetwinsize(&self.tty).ok().filter(|size| size.ws_row > 0 && size.ws_col > 0);
        size.map_or(SIZE, |size| (usize::from(size.ws_row), usize::from(size.ws_col)))
    }

    fn draw(&mut self, lines: &[String]) -> Result<(), CliFailure> {
        let mut text = String::from("\x1b[H");
        for (index, line) in lines.iter().enumerate() {
            if index > 0 {
                text.push_str("\r\n");
            }
            text.push_str(line);
            text.push_str("\x1b[K");
        }
        text.push_str("\x1b[J");
        self.write(&text)
    }

    fn notify(&mut self, text: &str) {
        // OSC 9 and OSC 777, each understood by other terminals, and the bell for the rest.
        let sequence = format!("\x1b]9;{text}\x07\x1b]777;notify;nucleus;{text}\x07\x07");
        // A terminal that is gone is noticed by the next picture.
        let _gone = self.write(&sequence);
    }

    /// What was typed; nothing after a moment without a key.
    fn keys(&mut self) -> Result<Vec<u8>, CliFailure> {
        let moment = Timespec { tv_sec: 0, tv_nsec: GLANCE_NS };
        let mut waiting = [PollFd::new(&self.tty, PollFlags::IN)];
        match poll(&mut waiting, Some(&moment)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            Ok(_) => {}
            Err(error) => return Err(gone(error.into())),
        }
        let mut bytes = [0_u8; 256];
        match self.tty.read(&mut bytes) {
            Ok(0) => Err(gone(std::io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => Ok(bytes.get(..count).unwrap_or_default().to_vec()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(Vec::new()),
            Err(error) => Err(gone(error)),
        }
    }

    fn write(&mut self, text: &str) -> Result<(), CliFailure> {
        self.tty.write_all(text.as_bytes()).and_then(|()| self.tty.flush()).map_err(gone)
    }
}

fn gone(error: std::io::Error) -> CliFailure {
    CliFailure::unavailable(format!("the terminal is gone: {error}"))
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _gone = self.write("\x1b[?25h\x1b[?1049l");
        let _gone = tcsetattr(&self.tty, OptionalActions::Flush, &self.before);
    }
}
