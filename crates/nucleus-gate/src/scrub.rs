//! Keeps the host's key out of what passes to the client, however the upstream cuts its answer.

use std::sync::Arc;

use bytes::Bytes;

use crate::secret::Secret;

/// What stands in the place of a key.
const MARK: &[u8] = b"[removed]";

/// A filter over a stream of chunks.
pub(crate) struct Scrub {
    key: Option<Arc<Secret>>,
    held: Vec<u8>,
}

impl Scrub {
    pub(crate) fn new(key: Option<Arc<Secret>>) -> Self {
        Self { key, held: Vec::new() }
    }

    /// The next bytes to pass on. An end that could begin the key is held back until the next chunk.
    pub(crate) fn feed(&mut self, chunk: Bytes) -> Bytes {
        let Some(key) = &self.key else { return chunk };
        let key = key.expose();
        if self.held.is_empty() && held_back(&chunk, key) == 0 && find(&chunk, key).is_none() {
            return chunk;
        }
        let mut rest = std::mem::take(&mut self.held);
        rest.extend_from_slice(&chunk);
        let mut out = Vec::with_capacity(rest.len());
        let mut view = rest.as_slice();
        while let Some(at) = find(view, key) {
            out.extend_from_slice(view.get(..at).unwrap_or_default());
            out.extend_from_slice(MARK);
            view = view.get(at + key.len()..).unwrap_or_default();
        }
        let (pass, hold) = view.split_at(view.len() - held_back(view, key));
        out.extend_from_slice(pass);
        self.held = hold.to_vec();
        out.into()
    }

    /// What is still held when the stream ends: not the key, only a beginning of it.
    pub(crate) fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.held).into()
    }
}

/// Whether the key stands somewhere in `bytes`.
pub(crate) fn holds(bytes: &[u8], key: &Secret) -> bool {
    find(bytes, key.expose()).is_some()
}

fn find(bytes: &[u8], key: &[u8]) -> Option<usize> {
    bytes.windows(key.len()).position(|window| window == key)
}

/// Length of the longest end of `bytes` that is a beginning of `key`, shorter than the key.
fn held_back(bytes: &[u8], key: &[u8]) -> usize {
    let longest = bytes.len().min(key.len().saturating_sub(1));
    (1..=longest)
        .rev()
        .find(|length| bytes.ends_with(key.get(..*length).unwrap_or(key)))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrubbed(text: &str, size: usize) -> String {
        let key = Secret::from_bytes(b"sk-sk-key".to_vec()).unwrap();
        let mut scrub = Scrub::new(Some(Arc::new(key)));
        let mut out = Vec::new();
        for chunk in text.as_bytes().chunks(size) {
            out.extend_from_slice(&scrub.feed(Bytes::copy_from_slice(chunk)));
        }
        out.extend_from_slice(&scrub.finish());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_key_is_removed_wherever_chunks_end() {
        let text = "a sk-sk-key b sk-sk-sk-key sk-sk-keysk-sk-key sk-sk-ke";
        for size in 1..=text.len() {
            let out = scrubbed(text, size);
            assert_eq!(out, "a [removed] b sk-[removed] [removed][removed] sk-sk-ke", "{size}");
        }
    }

    #[test]
    fn ordinary_events_are_not_delayed() {
        let key = Arc::new(Secret::from_bytes(b"sk-ant".to_vec()).unwrap());
        let mut scrub = Scrub::new(Some(key));
        let event = Bytes::from_static(b"data: {\"x\":1}\n\n");
        assert_eq!(scrub.feed(event.clone()), event);
    }
}
