//! What a call used, read from the provider's answer while it passes.

use serde::Deserialize;
use thiserror::Error;

use crate::limits::{RESPONSE_BODY_BYTES, STREAM_LINE_BYTES};

/// Tokens and cost of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Usage {
    /// Input tokens that were neither read from nor written to a cache.
    pub input_tokens: u64,
    /// Input tokens written to a cache of five minutes.
    pub cache_write_5m_tokens: u64,
    /// Input tokens written to a cache of one hour.
    pub cache_write_1h_tokens: u64,
    /// Input tokens read from a cache.
    pub cache_read_tokens: u64,
    /// Output tokens, thinking included.
    pub output_tokens: u64,
    /// Cost in micro-dollars, by the price table.
    pub cost_micro_usd: u64,
}

impl Usage {
    /// The whole prompt, cached or not.
    #[must_use]
    pub fn prompt_tokens(&self) -> u64 {
        self.input_tokens
            .saturating_add(self.cache_write_5m_tokens)
            .saturating_add(self.cache_write_1h_tokens)
            .saturating_add(self.cache_read_tokens)
    }

    /// Input a budget counts: everything the provider had to read anew.
    #[must_use]
    pub fn uncached_input_tokens(&self) -> u64 {
        self.prompt_tokens().saturating_sub(self.cache_read_tokens)
    }
}

/// Why an answer's usage is not believed, so that the whole reservation is booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unbelieved {
    /// The answer broke off, or the client left.
    #[error("the answer broke off before its end")]
    Aborted,
    /// The provider reported an error within the stream.
    #[error("the provider ended the stream with an error")]
    StreamError,
    /// No usage, or one that cannot be read.
    #[error("the answer reports no readable usage")]
    Missing,
    /// A usage that the answer itself contradicts.
    #[error("the reported usage is smaller than the answer shows")]
    TooSmall,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Option<u64>,
    ephemeral_1h_input_tokens: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Reported {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation: Option<CacheCreation>,
    inference_geo: Option<String>,
}

#[derive(Deserialize)]
struct Whole {
    usage: Option<Reported>,
    #[serde(default)]
    content: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    message: Option<Whole>,
    usage: Option<Reported>,
    delta: Option<Delta>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta {
    text: Option<String>,
    thinking: Option<String>,
    partial_json: Option<String>,
}

impl Delta {
    fn bytes(&self) -> u64 {
        let bytes = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let sum = bytes(&self.text) + bytes(&self.thinking) + bytes(&self.partial_json);
        u64::try_from(sum).unwrap_or(u64::MAX)
    }
}

/// Bytes of visible output one token can plausibly stand for. Long runs of blanks are the densest tokens known.
const BYTES_PER_TOKEN: u64 = 128;

/// Reads usage from an answer that passes in chunks.
#[derive(Debug)]
pub(crate) struct Meter {
    form: Form,
    reported: Option<Reported>,
    output_bytes: u64,
    ended: bool,
    error: Option<Unbelieved>,
}

#[derive(Debug)]
enum Form {
    /// An event stream; the line being received.
    Stream(Vec<u8>),
    /// One JSON object, kept whole.
    Object(Vec<u8>),
}

impl Meter {
    /// A meter for an event stream.
    pub(crate) fn stream() -> Self {
        Self::new(Form::Stream(Vec::new()))
    }

    /// A meter for a JSON object.
    pub(crate) fn object() -> Self {
        Self::new(Form::Object(Vec::new()))
    }

    fn new(form: Form) -> Self {
        Self { form, reported: None, output_bytes: 0, ended: false, error: None }
    }

    /// Takes the next chunk.
    pub(crate) fn feed(&mut self, chunk: &[u8]) {
        let mut lines = Vec::new();
        match &mut self.form {
            Form::Object(body) => {
                let cap = usize::try_from(RESPONSE_BODY_BYTES).unwrap_or(usize::MAX);
                if body.len().saturating_add(chunk.len()) <= cap {
                    body.extend_from_slice(chunk);
                } else {
                    self.error = Some(Unbelieved::Missing);
                }
            }
            Form::Stream(line) => {
                for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
                    if line.len().saturating_add(piece.len()) > STREAM_LINE_BYTES {
                        self.error = Some(Unbelieved::Missing);
                        line.clear();
                        continue;
                    }
                    line.extend_from_slice(piece);
                    if piece.ends_with(b"\n") {
                        lines.push(std::mem::take(line));
                    }
                }
            }
        }
        for line in lines {
            self.line(&line);
        }
    }

    fn line(&mut self, line: &[u8]) {
        let Some(data) = line.strip_prefix(b"data:") else { return };
        let Ok(event) = serde_json::from_slice::<Event<'_>>(data.trim_ascii()) else {
            // An event this version cannot read may be the one with the usage.
            self.error.get_or_insert(Unbelieved::Missing);
            return;
        };
        match event.kind {
            "message_start" => self.report(event.message.and_then(|message| message.usage)),
            "message_delta" => self.report(event.usage),
            "message_stop" => self.ended = true,
            "error" => self.error = Some(Unbelieved::StreamError),
            _ => {
                let bytes = event.delta.map_or(0, |delta| delta.bytes());
                self.output_bytes = self.output_bytes.saturating_add(bytes);
            }
        }
    }

    /// Joins a report with earlier ones: counts only grow.
    fn report(&mut self, new: Option<Reported>) {
        let Some(new) = new else { return };
        let old = self.reported.get_or_insert_default();
        let join = |old: &mut Option<u64>, new: Option<u64>| *old = (*old).max(new);
        join(&mut old.input_tokens, new.input_tokens);
        join(&mut old.output_tokens, new.output_tokens);
        join(&mut old.cache_creation_input_tokens, new.cache_creation_input_tokens);
        join(&mut old.cache_read_input_tokens, new.cache_read_input_tokens);
        if let Some(new) = new.cache_creation {
            let cache = old.cache_creation.get_or_insert_default();
            join(&mut cache.ephemeral_5m_input_tokens, new.ephemeral_5m_input_tokens);
            join(&mut cache.ephemeral_1h_input_tokens, new.ephemeral_1h_input_tokens);
        }
        if new.inference_geo.is_some() {
            old.inference_geo = new.inference_geo;
        }
    }

    /// The usage, once the answer has ended; with it, whether the provider computed it in the US only.
    pub(crate) fn finish(mut self) -> Result<(Usage, bool), Unbelieved> {
        if let Form::Object(body) = &self.form
            && self.error.is_none()
        {
            let whole: Whole = serde_json::from_slice(body).map_err(|_| Unbelieved::Missing)?;
            self.ended = true;
            self.output_bytes = u64::from(!whole.content.is_empty());
            self.report(whole.usage);
        }
        if let Some(error) = self.error {
            return Err(error);
        }
        if !self.ended {
            return Err(Unbelieved::Aborted);
        }
        let reported = self.reported.unwrap_or_default();
        let (Some(input), Some(output)) = (reported.input_tokens, reported.output_tokens) else {
            return Err(Unbelieved::Missing);
        };
        let written = reported.cache_creation_input_tokens.unwrap_or(0);
        let split = reported.cache_creation.unwrap_or_default();
        let hour = split.ephemeral_1h_input_tokens.unwrap_or(0);
        let short = split.ephemeral_5m_input_tokens.unwrap_or(0).max(written.saturating_sub(hour));
        let usage = Usage {
            input_tokens: input,
            cache_write_5m_tokens: short,
            cache_write_1h_tokens: hour,
            cache_read_tokens: reported.cache_read_input_tokens.unwrap_or(0),
            output_tokens: output,
            cost_micro_usd: 0,
        };
        if usage.prompt_tokens() == 0 || output < self.output_bytes.div_ceil(BYTES_PER_TOKEN) {
            return Err(Unbelieved::TooSmall);
        }
        Ok((usage, reported.inference_geo.as_deref() == Some("us")))
    }
}

#[cfg(test)]
mod tests;
