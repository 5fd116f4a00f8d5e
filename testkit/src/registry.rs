//! A stand-in for package registries: files at paths, and a record of everything that was asked.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Method and target.
    pub line: String,
    /// Header fields, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// What followed.
    pub body: Vec<u8>,
}

/// What is answered at a path.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Content type.
    pub kind: String,
    /// `location`, for redirects.
    pub location: Option<String>,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A body of some type.
    #[must_use]
    pub fn new(kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, kind: kind.to_owned(), location: None, body: body.into() }
    }

    /// A redirect.
    #[must_use]
    pub fn redirect(to: &str) -> Self {
        Self { status: 302, location: Some(to.to_owned()), ..Self::new("text/plain", "") }
    }
}

/// A running stand-in. Dropped, it takes no more connections.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    answers: Mutex<BTreeMap<String, Answer>>,
    asked: Mutex<Vec<Asked>>,
    delay: Mutex<Duration>,
    stopped: AtomicBool,
}

impl Registry {
    /// Listens on a free port of this machine and serves in threads of its own.
    ///
    /// # Errors
    /// Unavailable: no port or no thread.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        std::thread::Builder::new().spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if serving.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&serving);
                // A connection that breaks concerns only its peer.
                std::thread::spawn(move || shared.connection(stream).ok());
            }
        })?;
        Ok(Self { address, shared })
    }

    /// The beginning of every address here.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers a path from now on.
    pub fn serve(&self, path: &str, answer: Answer) {
        lock(&self.shared.answers).insert(path.to_owned(), answer);
    }

    /// Lets every answer wait from now on.
    pub fn delay(&self, delay: Duration) {
        *lock(&self.shared.delay) = delay;
    }

    /// Everything that was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.shared.asked).clone()
    }

    /// Methods and targets of it.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the listener; when that fails there is nothing left to wake.
        TcpStream::connect(self.address).ok();
    }
}

impl Shared {
    fn connection(&self, stream: TcpStream) -> io::Result<()> {
        let mut writer = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        while let Some(asked) = read(&mut reader)? {
            let (method, target) = asked.line.split_once(' ').unwrap_or_default();
            let answer = lock(&self.answers).get(target).cloned();
            let head_only = method == "HEAD";
            lock(&self.asked).push(asked.clone());
            let delay = *lock(&self.delay);
            std::thread::sleep(delay);
            let missing = || Answer { status: 404, ..Answer::new("text/plain", "not here") };
            let answer = answer.unwrap_or_else(missing);
            let location =
                answer.location.map(|to| format!("location: {to}\r\n")).unwrap_or_default();
            write!(
                writer,
                "HTTP/1.1 {} x\r\ncontent-type: {}\r\ncontent-length: {}\r\n{location}\r\n",
                answer.status,
                answer.kind,
                answer.body.len()
            )?;
            if !head_only {
                writer.write_all(&answer.body)?;
            }
        }
        Ok(())
    }
}

/// The next request; `None` at the end.
fn read(reader: &mut impl BufRead) -> io::Result<Option<Asked>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let line = first.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut field = String::new();
        reader.read_line(&mut field)?;
        let Some((name, value)) = field.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Asked { line, headers, body }))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
