//! The proxy's end of the control socket: events out, decisions in. The user's side may go and another one come.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nucleus_wire::control::{
    ATTACH_SOCKET, ApprovalView, ENDING_FILE, FeedEvent, FromProxy, TaskSpec, ToProxy,
};
use nucleus_wire::hex;
use nucleus_wire::terminal::Facts;

/// Longest line accepted from the user's side, in bytes: a task with policy texts and a script.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// A user's side that does not read for this long is as good as gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How late an event of the feed may be: for the eye it is at once, and calls that follow one another closely share one
/// write and wake the user's side once.
const FEED_DELAY: Duration = Duration::from_millis(10);
/// How much of what was said is kept for a user's side that comes later, in bytes.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// What the user's side said.
#[derive(Debug)]
pub(crate) enum FromUser {
    /// An answer to an approval request.
    Decide {
        /// Which request.
        id: String,
        /// Granted or refused.
        approve: bool,
        /// Words for the agent.
        reason: Option<String>,
    },
    /// Stop, keep the session.
    Interrupt,
    /// For the agent's terminal.
    Terminal(AtTerminal),
    /// The socket closed or carried something that is no message: nobody is there any more, and the task does not go on
    /// without.
    Gone,
}

/// What the user's side does at the agent's terminal.
#[derive(Debug)]
pub(crate) enum AtTerminal {
    /// Types.
    Keys(Vec<u8>),
    /// Has another size: rows and columns.
    Size(u16, u16),
    /// Shows it or not.
    Watch(bool),
    /// Has come, with a terminal of its own.
    Attach(Facts),
}

/// The writing half, shared by everything that reports.
#[derive(Debug)]
pub(crate) struct Control {
    peer: Mutex<Peer>,
    /// Events wait where none waited.
    gathering: Condvar,
    /// The task goes on without a user's side.
    stays: AtomicBool,
}

#[derive(Debug)]
struct Peer {
    stream: Option<UnixStream>,
    /// Events of the feed that were not sent yet, in order.
    gathered: Vec<FeedEvent>,
    /// Which user's side this is, counted.
    count: u64,
    started: Option<Vec<u8>>,
    kept: VecDeque<Vec<u8>>,
    kept_bytes: usize,
    /// Requests that nobody has answered.
    asked: BTreeMap<String, Vec<u8>>,
}

impl Control {
    /// Takes the socket and reads the first line, which must start a task.
    ///
    /// # Errors
    /// The socket failed, or its first line is not a `start`.
    pub(crate) fn accept(
        socket: UnixStream,
    ) -> std::io::Result<(Self, BufReader<UnixStream>, TaskSpec)> {
        socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let mut reader = BufReader::new(socket.try_clone()?);
        match read_message(&mut reader)? {
            Some(ToProxy::Start(spec)) => Ok((Self::new(socket, spec.detached), reader, *spec)),
            _ => Err(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                "the first control line must be `start`",
            )),
        }
    }

    fn new(stream: UnixStream, stays: bool) -> Self {
        let peer = Peer {
            stream: Some(stream),
            gathered: Vec::new(),
            count: 0,
            started: None,
            kept: VecDeque::new(),
            kept_bytes: 0,
            asked: BTreeMap::new(),
        };
        Self { peer: Mutex::new(peer), gathering: Condvar::new(), stays: AtomicBool::new(stays) }
    }

    /// Sends one line at once, behind all that was said before. A user's side that is gone is found by the reader, so nothing is lost by not failing here.
    pub(crate) fn send(&self, message: &FromProxy) {
        let mut peer = self.peer();
        peer.flush();
        if let Some(line) = line(message) {
            peer.remember(message, &line);
            peer.put(&line);
        }
    }

    /// Sends what the feed gathers, until the process ends.
    ///
    /// # Errors
    /// The thread could not be started.
    fn send_feed(self: &Arc<Self>) -> std::io::Result<()> {
        let control = Arc::clone(self);
        std::thread::Builder::new().name("feed".to_owned()).spawn(move || {
            loop {
                let peer = control.peer();
                let waited = control.gathering.wait_while(peer, |peer| peer.gathered.is_empty());
                drop(waited.unwrap_or_else(PoisonError::into_inner));
                std::thread::sleep(FEED_DELAY);
                control.peer().flush();
            }
        })?;
        Ok(())
    }

    /// Sends the last line, and ends the place where others could come; left in the session's directory for who comes later when nobody is there.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn part(&self, last: &FromProxy, session_dir: &Path) -> std::io::Result<()> {
        let present = self.has_peer();
        if !present {
            std::fs::write(session_dir.join(ENDING_FILE), serde_json::to_vec(last)?)?;
        }
        // Not there when the task never began; what cannot be removed stays until the session goes.
        let _stays = std::fs::remove_file(session_dir.join(ATTACH_SOCKET));
        if present {
            self.send(last);
        }
        Ok(())
    }

    /// Whether somebody is there.
    pub(crate) fn has_peer(&self) -> bool {
        self.peer().stream.is_some()
    }

    /// Whether the task goes on without a user's side.
    pub(crate) fn stays(&self) -> bool {
        self.stays.load(Ordering::SeqCst)
    }

    /// Puts another user's side in the place of the one there was, which is told; the newcomer gets what was said.
    ///
    /// # Errors
    /// The socket cannot be set up.
    pub(crate) fn replace(&self, stream: UnixStream) -> std::io::Result<u64> {
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let mut peer = self.peer();
        peer.let_go("another terminal was attached");
        peer.count += 1;
        peer.stream = Some(stream);
        let mut lines: Vec<Vec<u8>> = peer.started.iter().cloned().collect();
        lines.extend(peer.kept.iter().cloned());
        lines.extend(peer.asked.values().cloned());
        for line in lines {
            peer.put(&line);
        }
        Ok(peer.count)
    }

    fn detach(&self) {
        self.stays.store(true, Ordering::SeqCst);
        self.peer().let_go("as you asked");
    }

    /// This user's side is gone; `true` when nobody took its place and the task ends with it.
    fn gone(&self, count: u64) -> bool {
        let mut peer = self.peer();
        let was_there = peer.count == count && peer.stream.is_some();
        if was_there {
            peer.stream = None;
        }
        was_there && !self.stays()
    }

    fn peer(&self) -> MutexGuard<'_, Peer> {
        self.peer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Peer {
    /// Sends what the feed gathered.
    fn flush(&mut self) {
        let mut lines = Vec::new();
        for event in std::mem::take(&mut self.gathered) {
            let message = FromProxy::Feed(event);
            let Some(line) = line(&message) else { continue };
            self.remember(&message, &line);
            lines.extend(line);
        }
        if !lines.is_empty() {
            self.put(&lines);
        }
    }

    fn put(&mut self, line: &[u8]) {
        if let Some(stream) = &mut self.stream
            && stream.write_all(line).is_err()
        {
            // Half a line may have gone out: nothing can follow it. The reader sees the end.
            let _closed = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    fn let_go(&mut self, reason: &str) {
        self.flush();
        if let Some(line) = line(&FromProxy::Detached { reason: reason.to_owned() }) {
            self.put(&line);
        }
        if let Some(stream) = self.stream.take() {
            let _closed = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    fn remember(&mut self, message: &FromProxy, line: &[u8]) {
        match message {
            FromProxy::Started(_) => self.started = Some(line.to_vec()),
            FromProxy::ApprovalRequested(view) => {
                self.asked.insert(view.id.clone(), line.to_vec());
            }
            FromProxy::ApprovalSettled { id, .. } => {
                self.asked.remove(id);
            }
            FromProxy::Feed(_) | FromProxy::Output { .. } => {
                self.kept_bytes = self.kept_bytes.saturating_add(line.len());
                self.kept.push_back(line.to_vec());
                while self.kept_bytes > KEPT_BYTES_MAX
                    && let Some(oldest) = self.kept.pop_front()
                {
                    self.kept_bytes = self.kept_bytes.saturating_sub(oldest.len());
                }
            }
            // The terminal keeps its own.
            _ => {}
        }
    }
}

impl nucleus::Feed for Control {
    fn event(&self, event: FeedEvent) {
        let mut peer = self.peer();
        let first = peer.gathered.is_empty();
        peer.gathered.push(event);
        drop(peer);
        if first {
            self.gathering.notify_one();
        }
    }
}

impl nucleus::Approver for Control {
    fn requested(&self, view: ApprovalView) {
        self.send(&FromProxy::ApprovalRequested(view));
    }

    fn settled(&self, id: &str, outcome: &'static str) {
        self.send(&FromProxy::ApprovalSettled { id: id.to_owned(), outcome: outcome.to_owned() });
    }
}

/// A message as it is sent; all of ours have a form.
fn line(message: &FromProxy) -> Option<Vec<u8>> {
    let mut line = serde_json::to_vec(message).ok()?;
    line.push(b'\n');
    Some(line)
}

/// Reads the first user's side to its end on a thread of its own, and sends it the feed on another.
///
/// # Errors
/// A thread could not be started.
pub(crate) fn listen<T: Send + 'static>(
    mut reader: BufReader<UnixStream>,
    control: Arc<Control>,
    events: Sender<T>,
    wrap: impl Fn(FromUser) -> T + Send + 'static,
) -> std::io::Result<()> {
    control.send_feed()?;
    std::thread::Builder::new().name("control".to_owned()).spawn(move || {
        read_all(&mut reader, &control, 0, |message| events.send(wrap(message)).is_ok())
    })?;
    Ok(())
}

/// Reads a user's side, the one of this count, to its end or until `send` says `false`.
pub(crate) fn read_all(
    reader: &mut BufReader<UnixStream>,
    control: &Control,
    count: u64,
    send: impl Fn(FromUser) -> bool,
) {
    loop {
        let message = match read_message(reader) {
            Ok(Some(ToProxy::Decide { id, approve, reason })) => {
                FromUser::Decide { id, approve, reason }
            }
            Ok(Some(ToProxy::Interrupt)) => FromUser::Interrupt,
            Ok(Some(ToProxy::Keys { hex: digits })) => match hex::decode(&digits) {
                Some(bytes) => FromUser::Terminal(AtTerminal::Keys(bytes)),
                None => FromUser::Gone,
            },
            Ok(Some(ToProxy::Resize { rows, columns })) => {
                FromUser::Terminal(AtTerminal::Size(rows, columns))
            }
            Ok(Some(ToProxy::Watch { on })) => FromUser::Terminal(AtTerminal::Watch(on)),
            Ok(Some(ToProxy::Detach)) => {
                control.detach();
                return;
            }
            Ok(Some(ToProxy::Start(_) | ToProxy::Attach { .. }) | None) | Err(_) => FromUser::Gone,
        };
        let last = matches!(message, FromUser::Gone);
        if last && !control.gone(count) {
            return;
        }
        if !send(message) || last {
            return;
        }
    }
}

/// Reads one line; `None` at the end.
///
/// # Errors
/// The socket failed, or the line is no message.
pub(crate) fn read_message(reader: &mut BufReader<UnixStream>) -> std::io::Result<Option<ToProxy>> {
    let mut line = Vec::new();
    if reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(stream: UnixStream, stays: bool) -> Arc<Control> {
        Arc::new(Control::new(stream, stays))
    }

    #[test]
    fn anything_but_a_start_is_refused_first() {
        let (mut user, proxy) = UnixStream::pair().unwrap();
        user.write_all(b"{\"type\":\"interrupt\"}\n").unwrap();
        assert!(Control::accept(proxy).is_err());
    }

    #[test]
    fn a_closed_socket_is_reported_as_gone() {
        let (user, proxy) = UnixStream::pair().unwrap();
        let (sender, events) = std::sync::mpsc::channel();
        let control = control(proxy.try_clone().unwrap(), false);
        listen(BufReader::new(proxy), control, sender, |m| m).unwrap();
        drop(user);
        assert!(matches!(events.recv().unwrap(), FromUser::Gone));
    }

    #[test]
    fn a_task_that_stays_loses_nothing_when_its_user_goes() {
        let (user, proxy) = UnixStream::pair().unwrap();
        let control = control(proxy.try_clone().unwrap(), true);
        control.send(&FromProxy::Output {
            stream: "stdout".to_owned(),
            text: "before\n".to_owned(),
            hex: None,
        });
        drop(user);
        let mut reader = BufReader::new(proxy);
        read_all(&mut reader, &control, 0, |message| panic!("{message:?} ends the task"));
        assert!(!control.has_peer());
        let (next, proxy) = UnixStream::pair().unwrap();
        assert_eq!(control.replace(proxy).unwrap(), 1);
        let mut line = String::new();
        BufReader::new(next).read_line(&mut line).unwrap();
        assert!(line.contains("before"), "{line}");
    }

    #[test]
    fn the_feed_comes_in_order_and_before_whatever_is_said_after_it() {
        use nucleus::Feed as _;
        let (user, proxy) = UnixStream::pair().unwrap();
        user.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let control = control(proxy, false);
        let event = |call| FeedEvent {
            call,
            status: nucleus_wire::control::FeedStatus::Allowed,
            tool: "read".to_owned(),
            target: "a".to_owned(),
            rule: None,
            layer: None,
            detail: None,
            duration_ms: None,
        };
        control.event(event(1));
        control.event(event(2));
        let output = |text: &str| FromProxy::Output {
            stream: "stdout".to_owned(),
            text: text.to_owned(),
            hex: None,
        };
        control.send(&output("said"));
        let mut lines = BufReader::new(user).lines().map(Result::unwrap);
        let call = |line: String| {
            serde_json::from_str::<serde_json::Value>(&line).unwrap()["call"].clone()
        };
        assert_eq!(
            (call(lines.next().unwrap()), call(lines.next().unwrap())),
            (1.into(), 2.into())
        );
        assert!(lines.next().unwrap().contains("said"));
        // What nothing follows is sent all the same.
        control.send_feed().unwrap();
        control.event(event(3));
        assert_eq!(call(lines.next().unwrap()), 3);
        control.event(event(4));
        assert_eq!(call(lines.next().unwrap()), 4);
    }
}
