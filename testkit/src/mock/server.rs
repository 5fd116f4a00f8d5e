//! The listener of the stand-in: one thread per connection.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;

use super::script::Script;
use super::wire::{self, Received};
use super::{Api, play};

/// How a stand-in is set up.
#[derive(Debug, Default)]
pub struct Options {
    /// The API it speaks.
    pub api: Api,
    /// What it says.
    pub script: Script,
    /// Requests are appended here, one JSON object per line.
    pub record: Option<File>,
    /// The only credential it accepts; without one it accepts any, and none.
    pub key: Option<String>,
}

/// A running stand-in. Dropped, it takes no more connections.
#[derive(Debug)]
pub struct Mock {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    api: Api,
    script: Script,
    key: Option<String>,
    state: Mutex<State>,
    stopped: AtomicBool,
}

#[derive(Debug)]
struct State {
    record: Option<File>,
    requests: Vec<Received>,
    generated: usize,
}

impl Mock {
    /// Listens on a free port of this machine and serves in threads of its own.
    ///
    /// # Errors
    /// Unavailable: no port or no thread.
    pub fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let state = State { record: options.record, requests: Vec::new(), generated: 0 };
        let shared = Arc::new(Shared {
            api: options.api,
            script: options.script,
            key: options.key,
            state: Mutex::new(state),
            stopped: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        std::thread::Builder::new().spawn(move || {
            for (number, stream) in (1..).zip(listener.incoming().map_while(Result::ok)) {
                if serving.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&serving);
                // A connection that breaks concerns only its peer.
                std::thread::spawn(move || shared.connection(stream, number).ok());
            }
        })?;
        Ok(Self { address, shared })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The origin to name as a model's base URL.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything received so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Received> {
        self.shared.state().requests.clone()
    }

    /// Writes the port to a file, complete from the moment it exists.
    ///
    /// # Errors
    /// Unavailable: the file cannot be written.
    pub fn write_port(&self, path: &Path) -> io::Result<()> {
        let partial = path.with_extension("partial");
        std::fs::write(&partial, format!("{}\n", self.address.port()))?;
        std::fs::rename(partial, path)
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the listener; when that fails there is nothing left to wake.
        TcpStream::connect(self.address).ok();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection(&self, stream: TcpStream, number: u64) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut writer = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        while let Some(request) = wire::read(&mut reader, number)? {
            self.record(&request)?;
            if !self.answer(&mut writer, &request)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn record(&self, request: &Received) -> io::Result<()> {
        let mut state = self.state();
        state.requests.push(request.clone());
        if let Some(file) = &mut state.record {
            let mut line = serde_json::to_vec(request)?;
            line.push(b'\n');
            file.write_all(&line)?;
        }
        Ok(())
    }

    fn answer(&self, writer: &mut TcpStream, request: &Received) -> io::Result<bool> {
        let refuse = |writer: &mut TcpStream, status, kind: &str, message: &str| {
            let error = play::error(self.api, status, kind, message);
            wire::write_json(writer, status, &[], &error).map(|()| true)
        };
        if self.key.is_some() && request.key() != self.key.as_deref() {
            return refuse(writer, 401, "authentication_error", "invalid key");
        }
        let path = request.path();
        let (generates, counted) = match self.api {
            Api::Anthropic => (path == "/v1/messages", path == "/v1/messages/count_tokens"),
            Api::OpenAi => {
                (matches!(path, "/v1/responses" | "/responses" | "/v1/chat/completions"), false)
            }
            Api::Gemini => {
                let model = path.strip_prefix("/v1beta/models/").unwrap_or_default();
                let sse = request.target.ends_with(":streamGenerateContent?alt=sse");
                (model.ends_with(":generateContent") || sse, model.ends_with(":countTokens"))
            }
        };
        if request.method != "POST" || !(generates || counted) {
            return refuse(writer, 404, "not_found_error", "not served by the stand-in");
        }
        if counted {
            let count = json!({"input_tokens": 100, "totalTokens": 100});
            return wire::write_json(writer, 200, &[], &count).map(|()| true);
        }
        let number = {
            let mut state = self.state();
            state.generated += 1;
            state.generated
        };
        let turn = self.script.turn(self.api, number - 1, &request.body);
        play::play(writer, self.api, &turn, request, number)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn ask(mock: &Mock, key: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(mock.address()).unwrap();
        let head = format!(
            "POST /v1/messages?beta=true HTTP/1.1\r\nX-Api-Key: {key}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn it_plays_records_and_asks_for_its_key() {
        let script = br#"{"turns":[{"text":"hello","tools":[{"name":"t","input":{"a":1}}]}]}"#;
        let file = tempfile::NamedTempFile::new().unwrap();
        let mock = Mock::start(Options {
            script: Script::parse(script).unwrap(),
            record: Some(file.reopen().unwrap()),
            key: Some("k".to_owned()),
            ..Options::default()
        })
        .unwrap();
        assert!(ask(&mock, "other", "{}").starts_with("HTTP/1.1 401"));
        let streamed = ask(&mock, "k", r#"{"model":"m","stream":true,"messages":[]}"#);
        for part in [
            "message_start",
            "text_delta",
            "partial_json",
            "\"tool_use\"",
            "message_stop",
            "0\r\n\r\n",
        ] {
            assert!(streamed.contains(part), "{part} in {streamed}");
        }
        let whole = ask(&mock, "k", r#"{"model":"m","messages":[{"role":"assistant"}]}"#);
        assert!(whole.contains("\"text\":\"done\"") && whole.contains("\"usage\""), "{whole}");
        let recorded = std::fs::read_to_string(file.path()).unwrap();
        assert_eq!(recorded.lines().count(), 3);
        assert!(recorded.contains(r#""x-api-key":"other""#));
        assert_eq!(mock.requests().len(), 3);
    }

    #[test]
    fn it_breaks_off_in_the_middle_when_told_to() {
        let script = Script::parse(br#"{"turns":[{"text":"hello","misbehave":"abort"}]}"#).unwrap();
        let mock = Mock::start(Options { script, ..Options::default() }).unwrap();
        let broken = ask(&mock, "k", r#"{"stream":true,"messages":[]}"#);
        assert!(broken.contains("message_start") && !broken.contains("message_stop"), "{broken}");
    }
}
