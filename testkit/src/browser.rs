//! A real browser, driven over the DevTools pipe: what a page asks for, shows and measures.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// Hands the pipes of the child's standard streams over as descriptors 3 and 4, where the browser expects its commands.
const PIPES: &str = r#"exec "$@" 3<&0 4>&1 0</dev/null 1>&2"#;

/// A running browser; it ends when dropped.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    last: u64,
    session: String,
    events: Vec<Value>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts Chromium without a window and opens an empty page.
    ///
    /// # Panics
    /// When there is none: `cargo xtask test` installs it.
    #[must_use]
    pub fn start() -> Self {
        let profile = tempfile::tempdir().expect("a directory");
        let mut child = Command::new("sh")
            .args(["-c", PIPES, "sh", "chromium", "--headless", "--no-sandbox", "--disable-gpu"])
            .args(["--disable-quic", "--no-first-run", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromium");
        let commands = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut browser = Self {
            child,
            commands,
            answers,
            last: 0,
            session: String::new(),
            events: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach);
        browser.session = attached["sessionId"].as_str().expect("a session").to_owned();
        for domain in ["Page", "Network", "Log", "Runtime"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Opens a file in a window of this width and forgets what happened before.
    pub fn open(&mut self, file: &Path, width: u32) {
        let metrics =
            json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        self.events.clear();
        self.call("Page.navigate", json!({"url": format!("file://{}", file.display())}));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let message = self.read();
            self.events.push(message);
        }
    }

    /// What an expression comes to in the page.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", asked);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Everything the page asked for and the browser went for since it was opened, itself first. What the page's own policy
    /// stopped is among the complaints.
    pub fn requests(&mut self) -> Vec<String> {
        self.settle();
        let of = |method: &'static str| self.events.iter().filter(move |e| e["method"] == method);
        let stopped: Vec<&Value> = of("Network.loadingFailed")
            .filter(|event| event["params"]["blockedReason"] == "csp")
            .map(|event| &event["params"]["requestId"])
            .collect();
        of("Network.requestWillBeSent")
            .filter(|event| !stopped.contains(&&event["params"]["requestId"]))
            .map(|e| e["params"]["request"]["url"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// What the browser complained of since the page was opened.
    pub fn complaints(&mut self) -> Vec<String> {
        self.settle();
        let logged = self.events.iter().filter(|e| e["method"] == "Log.entryAdded");
        logged
            .map(|e| e["params"]["entry"]["text"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Shows the page as on another medium: `dark`, `light` or `print`.
    pub fn medium(&mut self, medium: &str) {
        let features = match medium {
            "dark" | "light" => json!([{"name": "prefers-color-scheme", "value": medium}]),
            _ => json!([]),
        };
        let media = if medium == "print" { "print" } else { "" };
        self.call("Emulation.setEmulatedMedia", json!({"media": media, "features": features}));
    }

    /// The page as a PDF, in base64.
    pub fn pdf(&mut self) -> String {
        let pdf = self.call("Page.printToPDF", json!({"printBackground": true}));
        pdf["data"].as_str().expect("a document").to_owned()
    }

    /// Two frames later whatever the page does at its start has been asked for.
    fn settle(&mut self) {
        let frames = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))";
        self.call("Runtime.evaluate", json!({"expression": frames, "awaitPromise": true}));
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = self.session.clone().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        let pipe = self.commands.as_mut().expect("an open pipe");
        pipe.write_all(&bytes).and_then(|()| pipe.flush()).expect("a listening browser");
        loop {
            let message = self.read();
            if message["id"] == self.last {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn read(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.answers.read_until(0, &mut bytes).expect("a talking browser");
        assert_eq!(bytes.pop(), Some(0), "the browser ended");
        serde_json::from_slice(&bytes).expect("JSON")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its end of the pipe closed, the browser ends itself and its helpers; killing it would leave those.
        drop(self.commands.take());
        let _status = self.child.wait();
    }
}
