//! The strict JSON of an event: no whitespace, no duplicate member, one spelling for every text and number.

use memchr::memchr2;

use crate::limits::{INTEGER_LIMIT, MAX_EVENT_DEPTH};

/// Members of an event that verification looks at, as they stand on the line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct EventFacts<'a> {
    pub(crate) phase: Option<&'a [u8]>,
    pub(crate) request_id: Option<&'a [u8]>,
}

/// Reads events. It keeps its scratch space between lines; it never allocates per line once warm.
#[derive(Debug, Default)]
pub(crate) struct Scanner<'a> {
    keys: Vec<&'a [u8]>,
}

impl<'a> Scanner<'a> {
    /// Reads one event object and returns what follows it; `None` if the text breaks a rule.
    ///
    /// The caller has made sure that the text is UTF-8 and free of control characters.
    pub(crate) fn event(&mut self, text: &'a [u8]) -> Option<(EventFacts<'a>, &'a [u8])> {
        self.keys.clear();
        let mut facts = EventFacts::default();
        let (name, rest) = key(text.strip_prefix(b"{")?)?;
        let (_, rest) = string(rest.strip_prefix(b"\"")?)?;
        let (agent, rest) = key(rest.strip_prefix(b",")?)?;
        let (_, mut rest) = string(rest.strip_prefix(b"\"")?)?;
        if name != b"type" || agent != b"agent_id" {
            return None;
        }
        self.keys.extend([name, agent]);
        let mut last = 0;
        while let Some(next) = rest.strip_prefix(b",") {
            let (name, value) = key(next)?;
            let rank = rank(name);
            if rank < last || !self.fresh(0, name) {
                return None;
            }
            last = rank;
            rest = self.value(value, 2)?;
            match name {
                b"phase" => facts.phase = Some(text_of(value, rest)?),
                b"request_id" => facts.request_id = Some(text_of(value, rest)?),
                _ => {}
            }
        }
        Some((facts, rest.strip_prefix(b"}")?))
    }

    /// Notes a name; false if the object, whose names begin at `first`, has it already.
    fn fresh(&mut self, first: usize, name: &'a [u8]) -> bool {
        let known = self.keys.get(first..).unwrap_or_default();
        let doubled = known.iter().any(|k| k.len() == name.len() && *k == name);
        self.keys.push(name);
        !doubled
    }

    fn value(&mut self, text: &'a [u8], depth: usize) -> Option<&'a [u8]> {
        match text.split_first()? {
            (b'"', rest) => Some(string(rest)?.1),
            (b'{', rest) => self.object(rest, depth),
            (b'[', rest) => self.array(rest, depth),
            (b't', _) => text.strip_prefix(b"true"),
            (b'f', _) => text.strip_prefix(b"false"),
            (b'n', _) => text.strip_prefix(b"null"),
            (b'-', rest) if !rest.starts_with(b"0") => integer(rest).map(|(_, rest)| rest),
            (b'0'..=b'9', _) => integer(text).map(|(_, rest)| rest),
            _ => None,
        }
    }

    fn object(&mut self, text: &'a [u8], depth: usize) -> Option<&'a [u8]> {
        if depth > MAX_EVENT_DEPTH {
            return None;
        }
        if let Some(rest) = text.strip_prefix(b"}") {
            return Some(rest);
        }
        let first = self.keys.len();
        let mut rest = text;
        loop {
            let (name, value) = key(rest)?;
            if !self.fresh(first, name) {
                return None;
            }
            rest = self.value(value, depth.saturating_add(1))?;
            match rest.split_first()? {
                (b',', next) => rest = next,
                (b'}', next) => {
                    self.keys.truncate(first);
                    return Some(next);
                }
                _ => return None,
            }
        }
    }

    fn array(&mut self, text: &'a [u8], depth: usize) -> Option<&'a [u8]> {
        if depth > MAX_EVENT_DEPTH {
            return None;
        }
        if let Some(rest) = text.strip_prefix(b"]") {
            return Some(rest);
        }
        let mut rest = text;
        loop {
            rest = self.value(rest, depth.saturating_add(1))?;
            match rest.split_first()? {
                (b',', next) => rest = next,
                (b']', next) => return Some(next),
                _ => return None,
            }
        }
    }
}

/// `tool`, `target` and `result` stand, in this order, before any other member but the first two.
fn rank(name: &[u8]) -> u8 {
    match name {
        b"tool" => 1,
        b"target" => 2,
        b"result" => 3,
        _ => 4,
    }
}

/// The content of a value that must be a text.
fn text_of<'a>(value: &'a [u8], rest: &[u8]) -> Option<&'a [u8]> {
    let len = value.len().checked_sub(rest.len())?;
    value.get(..len)?.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// A member's name and what follows the colon.
fn key(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, rest) = string(text.strip_prefix(b"\"")?)?;
    Some((name, rest.strip_prefix(b":")?))
}

/// The content of a text after its opening quote, and what follows the closing one.
fn string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = text;
    loop {
        let (_, found) = rest.split_at_checked(memchr2(b'"', b'\\', rest)?)?;
        match found.split_first()? {
            (b'"', next) => {
                let len = text.len().checked_sub(found.len())?;
                return Some((text.get(..len)?, next));
            }
            (_, next) => rest = escape(next)?,
        }
    }
}

/// One escape after its backslash, in the one spelling that is allowed for the character.
fn escape(text: &[u8]) -> Option<&[u8]> {
    let (first, rest) = text.split_first()?;
    match first {
        b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't' => Some(rest),
        b'u' => {
            let (code, rest) = rest.strip_prefix(b"00")?.split_at_checked(2)?;
            let [high, low] =
                crate::encoding::parse_hex::<1>(code).map(|[byte]| [byte >> 4, byte & 15])?;
            let short = high == 0 && matches!(low, 0x8 | 0x9 | 0xa | 0xc | 0xd);
            (high < 2 && !short).then_some(rest)
        }
        _ => None,
    }
}

/// An integer below 2^53 without leading zeros.
pub(crate) fn integer(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(digits)?;
    if number.is_empty() || number.len() > 16 || (number.len() > 1 && number.starts_with(b"0")) {
        return None;
    }
    let value = number.iter().fold(0_u64, |value, digit| {
        value.wrapping_mul(10).wrapping_add(u64::from(digit.wrapping_sub(b'0')))
    });
    (value < INTEGER_LIMIT).then_some((value, rest))
}

#[cfg(test)]
mod tests;
