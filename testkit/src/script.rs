//! Scripts of the scripted agent: what a step does and what it should come to.

mod client;
mod crowd;
mod repeat;
mod step;

use serde::{Deserialize, Serialize};

pub use client::{DoorClient, metadata};
pub use crowd::{Crowd, CrowdReport, FILES, content};
pub use step::Ending;

/// A list of steps.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Played in order.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Printed before the step.
    #[serde(default)]
    pub say: Option<String>,
    /// What to do; a step may only speak.
    #[serde(default, rename = "do")]
    pub action: Option<Action>,
    /// How it must end; anything when absent.
    #[serde(default)]
    pub expect: Option<Ending>,
    /// Text the result must contain.
    #[serde(default)]
    pub contains: Option<String>,
    /// Text the result must not contain.
    #[serde(default)]
    pub lacks: Option<String>,
    /// Print the size of the result, in bytes, instead of the result.
    #[serde(default)]
    pub measure: bool,
    /// Seconds after which this client gives the step up, as agents do with their tools.
    #[serde(default)]
    pub within_s: Option<u64>,
    /// The layer that holds this step, printed when the step ended as expected.
    #[serde(default)]
    pub held_by: Option<String>,
}

/// The means an agent has inside its pod.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// A tool call through the MCP relay.
    Tool {
        /// Tool name.
        name: String,
        /// Its arguments.
        #[serde(default)]
        args: serde_json::Value,
    },
    /// One request to the door, made many times; the result is JSON with percentiles in microseconds.
    Repeat {
        /// MCP method.
        method: String,
        /// Its parameters.
        #[serde(default)]
        params: serde_json::Value,
        /// How many times.
        times: u32,
    },
    /// Many clients at once; the result is a [`CrowdReport`] as JSON.
    Crowd(Crowd),
    /// Bytes of the agent's own making to the door, as one line; the result is the line that answers.
    Frame(RawFrame),
    /// A command of the agent's own built-in shell, in its pod.
    Shell(String),
    /// A request body posted to the model gate.
    Model(serde_json::Value),
    /// A raw HTTP request to the model gate: method and path.
    Gate {
        /// Method.
        method: String,
        /// Path.
        path: String,
    },
    /// A name given to the resolver.
    Dns(String),
    /// A TCP connection to `host:port`.
    Connect(String),
    /// A pause in milliseconds.
    Sleep(u64),
}

/// A line that need not be a message: `before`, then `fill` so many `times`, then `after`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawFrame {
    /// The beginning.
    pub before: String,
    /// What is repeated.
    #[serde(default)]
    pub fill: String,
    /// How often.
    #[serde(default)]
    pub times: usize,
    /// The end.
    #[serde(default)]
    pub after: String,
    /// Two bytes that no UTF-8 text holds come before the end.
    #[serde(default)]
    pub not_utf8: bool,
}

impl RawFrame {
    /// A line that is all `text`.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { before: text.into(), ..Self::default() }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.before.clone().into_bytes();
        bytes.extend(self.fill.as_bytes().repeat(self.times));
        if self.not_utf8 {
            bytes.extend([0xff, 0xfe]);
        }
        bytes.extend(self.after.as_bytes());
        bytes
    }
}

impl Script {
    /// Parses a script; unknown keys are refused.
    ///
    /// # Errors
    /// The text of serde's error, with line and column.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }
}

/// Plays a script and returns how many steps did not end as expected.
///
/// # Errors
/// The relay could not be started or died.
pub fn play(script: &Script) -> std::io::Result<u32> {
    let mut client = None;
    let mut unexpected = 0_u32;
    for step in &script.steps {
        if let Some(text) = &step.say {
            println!("# {text}");
        }
        let Some(action) = &step.action else { continue };
        let began = std::time::Instant::now();
        let (ending, text) = step::perform(action, &mut client)?;
        let took_s = began.elapsed().as_secs();
        let as_expected = step.within_s.is_none_or(|limit| took_s < limit)
            && step.expect.is_none_or(|expected| expected == ending)
            && step.contains.as_ref().is_none_or(|needle| text.contains(needle))
            && step.lacks.as_ref().is_none_or(|needle| !text.contains(needle));
        println!(
            "{}{}\n{}",
            step::describe(action),
            verdict(step, ending, as_expected),
            shown(step, &text)
        );
        if !as_expected {
            unexpected = unexpected.saturating_add(1);
        }
    }
    if let Some(client) = client {
        DoorClient::close(client)?;
    }
    Ok(unexpected)
}

fn verdict(step: &Step, ending: Ending, as_expected: bool) -> String {
    match (&step.held_by, as_expected) {
        (_, false) => format!(" -> {ending:?}, which the script does not expect"),
        (Some(layer), true) => format!(" -> held by {layer}"),
        (None, true) => format!(" -> {ending:?}"),
    }
}

fn shown(step: &Step, text: &str) -> String {
    if step.measure { format!("    {} bytes", text.len()) } else { indent(text) }
}

fn indent(text: &str) -> String {
    const LINES_MAX: usize = 12;
    let mut out: Vec<String> =
        text.lines().take(LINES_MAX).map(|line| format!("    {line}")).collect();
    if text.lines().count() > LINES_MAX {
        out.push("    …".to_owned());
    }
    out.join("\n")
}
