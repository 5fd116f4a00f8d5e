//! A gate between a raw client and a scripted provider, with a ledger that remembers everything.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nucleus_gate::{
    Admission, Denial, GateConfig, Ledger, ModelCall, ModelGate, Note, Origin, Patience,
    PriceTable, Provider, Refusal, Remaining, Reservation, Roots, Secret, Ticket, Usage,
};
use testkit::mock::{Api, Mock, Options, Script};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

pub const KEY: &str = "sk-ant-api03-host-key-canary";
pub const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Admitted(Reservation),
    Denied,
    Settled(Usage),
    /// A ticket was dropped: the whole reservation is booked.
    Whole,
    Refused {
        code: String,
        request: String,
        text: String,
    },
    Noted(String),
}

#[derive(Clone)]
pub struct Book {
    pub entries: Arc<Mutex<Vec<Entry>>>,
    pub remaining: Remaining,
    /// How long the ledger takes to admit.
    pub slow: Duration,
}

impl Book {
    pub fn with_cost(cost_micro_usd: u64) -> Self {
        let remaining =
            Remaining { cost_micro_usd, input_tokens: u64::MAX, output_tokens: u64::MAX };
        Self { entries: Arc::default(), remaining, slow: Duration::ZERO }
    }

    fn add(&self, entry: Entry) {
        self.entries.lock().unwrap().push(entry);
    }

    pub fn all(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }

    /// Everything that was told to the ledger, as one text.
    pub fn text(&self) -> String {
        format!("{:?}", self.all())
    }

    /// Waits until an entry is there.
    pub async fn wait(&self, what: impl Fn(&Entry) -> bool) -> Entry {
        let found = async {
            loop {
                if let Some(entry) = self.all().into_iter().find(&what) {
                    return entry;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("not in {}", self.text()))
    }
}

impl Ledger for Book {
    fn admit(&self, call: &ModelCall) -> Result<Admission, Denial> {
        let reservation = call.clamp(&self.remaining).inspect_err(|_| self.add(Entry::Denied))?;
        std::thread::sleep(self.slow);
        self.add(Entry::Admitted(reservation));
        Ok(Admission {
            max_output_tokens: reservation.max_output_tokens,
            ticket: Box::new(Reserved { book: self.clone(), settled: false }),
        })
    }

    fn refused(&self, refusal: &Refusal, request: &str) {
        let (code, text) = (refusal.code().to_owned(), refusal.to_string());
        self.add(Entry::Refused { code, request: request.to_owned(), text });
    }

    fn noted(&self, note: &Note) {
        self.add(Entry::Noted(format!("{note:?}")));
    }
}

struct Reserved {
    book: Book,
    settled: bool,
}

impl Ticket for Reserved {
    fn settle(mut self: Box<Self>, usage: Usage) {
        self.settled = true;
        self.book.add(Entry::Settled(usage));
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.settled {
            self.book.add(Entry::Whole);
        }
    }
}

/// A served gate. Dropped, it shuts down.
pub struct Served {
    pub address: SocketAddr,
    pub book: Book,
    stop: Option<oneshot::Sender<()>>,
    server: Option<tokio::task::JoinHandle<std::io::Result<()>>>,
}

impl Served {
    pub fn new(config: GateConfig, book: Book) -> Self {
        let gate = ModelGate::new(config, Arc::new(book.clone())).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(gate.serve(listener, async move {
            stopped.await.ok();
        }));
        Self { address, book, stop: Some(stop), server: Some(server) }
    }

    /// Stops the gate and waits for it.
    pub async fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        timeout(PATIENCE, self.server.take().unwrap()).await.unwrap().unwrap().unwrap();
    }

    /// Sends raw bytes and returns everything that comes back until the connection closes.
    pub async fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let (mut reader, mut writer) = stream.split();
        let mut answer = Vec::new();
        let exchange = async {
            // A refused body is not read to its end: the write may fail while the answer is already there.
            let (_, read) =
                tokio::join!(writer.write_all(request), reader.read_to_end(&mut answer));
            read.ok();
        };
        timeout(PATIENCE, exchange).await.unwrap_or_else(|_| panic!("no end of the answer"));
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Posts a body as a client would, with fields of its own, on a connection of its own.
    pub async fn post_with(&self, fields: &str, body: &str) -> String {
        self.raw(&request("/v1/messages?beta=true", fields, body)).await
    }

    pub async fn post(&self, body: &str) -> String {
        self.post_with("", body).await
    }
}

pub fn request(target: &str, fields: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {target} HTTP/1.1\r\nhost: gate\r\nconnection: close\r\ncontent-type: application/json\r\n\
         {fields}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The same on a connection that stays open, as agents do it: only there does the gate see that its peer left.
pub fn kept_request(target: &str, body: &str) -> Vec<u8> {
    let text = String::from_utf8(request(target, "", body)).unwrap();
    text.replace("connection: close\r\n", "").into_bytes()
}

pub fn key() -> Option<Secret> {
    Some(Secret::from_bytes(KEY.as_bytes().to_vec()).unwrap())
}

pub fn mock(script: &str) -> Mock {
    let script = Script::parse(script.as_bytes()).unwrap();
    Mock::start(Options { script, key: Some(KEY.to_owned()), ..Options::default() }).unwrap()
}

/// A gate in front of a scripted provider, with ten dollars.
pub fn gate(script: &str) -> (Served, Mock) {
    gate_with(script, 10_000_000)
}

pub fn gate_with(script: &str, cost_micro_usd: u64) -> (Served, Mock) {
    let mock = mock(script);
    let origin = Origin::parse(&mock.origin()).unwrap();
    let config = GateConfig::new(origin, key(), PriceTable::builtin().unwrap(), Roots::none());
    (Served::new(config, Book::with_cost(cost_micro_usd)), mock)
}

/// A gate for any provider in front of its stand-in, with ten dollars and little patience for silence or endless talk.
pub fn gate_for(provider: Provider, script: &str) -> (Served, Mock) {
    let api = match provider {
        Provider::Anthropic => Api::Anthropic,
        Provider::Gemini => Api::Gemini,
        _ => Api::OpenAi,
    };
    let script = Script::parse(script.as_bytes()).unwrap();
    let options = Options { api, script, key: Some(KEY.to_owned()), ..Options::default() };
    let mock = Mock::start(options).unwrap();
    let origin = Origin::parse(&mock.origin()).unwrap();
    let patience = Patience {
        head: Duration::from_secs(15),
        idle: Duration::from_secs(3),
        total: Duration::from_secs(6),
    };
    let config = GateConfig::new(origin, key(), PriceTable::builtin().unwrap(), Roots::none());
    let config = config.for_provider(provider).with_patience(patience);
    (Served::new(config, Book::with_cost(10_000_000)), mock)
}

/// A call of a provider's API: target and body.
pub fn call(provider: Provider, stream: bool) -> (&'static str, String) {
    let flag = if stream { r#","stream":true"# } else { "" };
    match (provider, stream) {
        (Provider::Anthropic, _) => ("/v1/messages", body(flag)),
        (Provider::OpenAi, _) => (
            "/v1/responses",
            format!(r#"{{"model":"gpt-5.5","max_output_tokens":1000,"input":"hi"{flag}}}"#),
        ),
        (Provider::Gemini, _) => (
            match stream {
                true => "/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse",
                false => "/v1beta/models/gemini-3.8-flash:generateContent",
            },
            r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#.to_owned(),
        ),
        _ => (
            "/v1/chat/completions",
            format!(
                r#"{{"model":"gpt-5.5","max_tokens":1000,"messages":[{{"role":"user","content":"hi"}}]{flag}}}"#
            ),
        ),
    }
}

/// A body that passes, with more members.
pub fn body(extra: &str) -> String {
    format!(
        r#"{{"model":"claude-opus-5-5","max_tokens":1000,"messages":[{{"role":"user","content":"hi"}}]{extra}}}"#
    )
}

pub fn status(answer: &str) -> u16 {
    answer
        .get(9..12)
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("no status in {answer:?}"))
}
