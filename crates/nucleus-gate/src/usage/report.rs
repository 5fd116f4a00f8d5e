//! How each provider reports usage, in a whole answer and in the events of a stream.

mod anthropic;
mod gemini;
mod openai;

use super::Unbelieved;
use crate::provider::Provider;

/// What an answer has shown so far. Counts only grow: a later smaller report changes nothing.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The whole prompt where the provider reports it so; else what was neither read from nor written to a cache.
    pub(super) input: Option<u64>,
    pub(super) output: Option<u64>,
    /// Output that is reported beside `output` and not within it.
    pub(super) thought: u64,
    pub(super) cache_read: u64,
    pub(super) cache_written: u64,
    pub(super) cache_written_1h: u64,
    pub(super) us_only: bool,
    /// Bytes of output that passed in events that can be read.
    pub(super) output_bytes: u64,
    /// The provider said that nothing more comes.
    pub(super) ended: bool,
}

impl Seen {
    fn output_bytes(&mut self, text: Option<&str>) {
        let length = u64::try_from(text.map_or(0, str::len)).unwrap_or(u64::MAX);
        self.output_bytes = self.output_bytes.saturating_add(length);
    }
}

fn grow(count: &mut Option<u64>, new: Option<u64>) {
    *count = (*count).max(new);
}

/// Reads one event of a stream.
pub(super) fn event(provider: Provider, data: &[u8], seen: &mut Seen) -> Result<(), Unbelieved> {
    match provider {
        Provider::Anthropic => anthropic::event(data, seen),
        Provider::OpenAi => openai::event(data, seen),
        Provider::OpenAiChat => openai::chunk(data, seen),
        Provider::Gemini => gemini::answer(data, seen),
    }
}

/// Reads a whole answer.
pub(super) fn whole(provider: Provider, data: &[u8], seen: &mut Seen) -> Result<(), Unbelieved> {
    match provider {
        Provider::Anthropic => anthropic::whole(data, seen),
        Provider::OpenAi => openai::whole(data, seen),
        Provider::OpenAiChat => openai::completion(data, seen),
        Provider::Gemini => {
            gemini::answer(data, seen)?;
            // An object has no further events that could hold what this one lacks.
            if seen.ended { Ok(()) } else { Err(Unbelieved::Missing) }
        }
    }
}

/// Whether the prompt is reported as a whole, with what was cached inside.
pub(super) fn counts_cache_within(provider: Provider) -> bool {
    provider != Provider::Anthropic
}
