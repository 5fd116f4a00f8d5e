//! What a call used, read from the provider's answer while it passes.

mod report;

use thiserror::Error;

use crate::limits::{RESPONSE_BODY_BYTES, STREAM_LINE_BYTES};
use crate::provider::Provider;
use report::Seen;

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
    /// A usage beyond what the request allowed or any model takes.
    #[error("the reported usage is larger than the request can have caused")]
    TooLarge,
}

/// The most a call can have used; a report far beyond it is not believed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Largest prompt a model takes.
    pub(crate) prompt_tokens: u64,
    /// The output limit that was sent.
    pub(crate) output_tokens: u64,
}

/// Tokens a provider may count beyond the limit it was sent.
const OUTPUT_SLACK_TOKENS: u64 = 1024;

/// Bytes of visible output one token can plausibly stand for. Long runs of blanks are the densest tokens known.
const BYTES_PER_TOKEN: u64 = 128;

/// Reads usage from an answer that passes in chunks.
#[derive(Debug)]
pub(crate) struct Meter {
    provider: Provider,
    form: Form,
    seen: Seen,
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
    pub(crate) fn stream(provider: Provider) -> Self {
        Self::new(provider, Form::Stream(Vec::new()))
    }

    /// A meter for a JSON object.
    pub(crate) fn object(provider: Provider) -> Self {
        Self::new(provider, Form::Object(Vec::new()))
    }

    fn new(provider: Provider, form: Form) -> Self {
        Self { provider, form, seen: Seen::default(), error: None }
    }

    /// Takes the next chunk.
    pub(crate) fn feed(&mut self, chunk: &[u8]) {
        if self.error.is_some() {
            // Nothing that follows makes the answer believable; nothing is kept of it.
            return;
        }
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
                        break;
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
        if self.error.is_some() {
            self.form = Form::Stream(Vec::new());
        }
    }

    fn line(&mut self, line: &[u8]) {
        let Some(data) = line.strip_prefix(b"data:") else { return };
        if let Err(error) = report::event(self.provider, data.trim_ascii(), &mut self.seen) {
            self.error.get_or_insert(error);
        }
    }

    /// The usage, once the answer has ended; with it, whether the provider computed it in the US only.
    pub(crate) fn finish(mut self, bounds: &Bounds) -> Result<(Usage, bool), Unbelieved> {
        if let (Form::Object(body), None) = (&self.form, self.error) {
            report::whole(self.provider, body, &mut self.seen)?;
        }
        if let Some(error) = self.error {
            return Err(error);
        }
        let seen = self.seen;
        if !seen.ended {
            return Err(Unbelieved::Aborted);
        }
        let (Some(input), Some(output)) = (seen.input, seen.output) else {
            return Err(Unbelieved::Missing);
        };
        let usage = counted(self.provider, &seen, input, output)?;
        let least = seen.output_bytes.div_ceil(BYTES_PER_TOKEN);
        if usage.prompt_tokens() == 0 || usage.output_tokens < least {
            return Err(Unbelieved::TooSmall);
        }
        let most_output = bounds.output_tokens.saturating_mul(2) + OUTPUT_SLACK_TOKENS;
        if usage.prompt_tokens() > bounds.prompt_tokens.saturating_mul(2)
            || usage.output_tokens > most_output
        {
            return Err(Unbelieved::TooLarge);
        }
        Ok((usage, seen.us_only))
    }
}

/// The counts in the form they are priced in.
fn counted(provider: Provider, seen: &Seen, input: u64, output: u64) -> Result<Usage, Unbelieved> {
    let mut usage = Usage {
        input_tokens: input,
        cache_write_5m_tokens: seen.cache_written.saturating_sub(seen.cache_written_1h),
        cache_write_1h_tokens: seen.cache_written_1h,
        cache_read_tokens: seen.cache_read,
        output_tokens: output.saturating_add(seen.thought),
        cost_micro_usd: 0,
    };
    if report::counts_cache_within(provider) {
        let within = seen.cache_read.saturating_add(seen.cache_written);
        // More from and to the cache than there was to read.
        usage.input_tokens = input.checked_sub(within).ok_or(Unbelieved::TooSmall)?;
    }
    Ok(usage)
}

#[cfg(test)]
mod tests;
