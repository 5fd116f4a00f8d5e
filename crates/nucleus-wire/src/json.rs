//! Strict JSON: bytes to [`serde_json::Value`], or an error with the byte offset and its kind.
//!
//! Stricter than a general parser where two readers of the same bytes could disagree: a duplicate key at any
//! depth, a byte order mark, an unpaired surrogate, an integer that does not fit 64 bits and anything after the
//! value are all refused. Size, depth and number of values are capped before memory is spent, and the parser
//! keeps its own stack, so no input can exhaust the thread's.

use serde_json::{Map, Number, Value};

use crate::limits::{FRAME_MAX_BYTES, JSON_MAX_DEPTH, JSON_MAX_VALUES};

#[cfg(test)]
mod tests;

/// What a parse may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Length of the input, in bytes.
    pub max_bytes: usize,
    /// Arrays and objects open at once.
    pub max_depth: usize,
    /// Values in the document, keys not counted.
    pub max_values: usize,
}

impl Limits {
    /// Limits of one frame of an agent-facing connection.
    pub const FRAME: Self =
        Self { max_bytes: FRAME_MAX_BYTES, max_depth: JSON_MAX_DEPTH, max_values: JSON_MAX_VALUES };
}

/// Why bytes are not acceptable JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub struct JsonError {
    offset: usize,
    kind: JsonErrorKind,
}

impl JsonError {
    /// Offset of the first byte that is wrong, from 0.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// What is wrong there.
    #[must_use]
    pub fn kind(&self) -> JsonErrorKind {
        self.kind
    }
}

/// The ways JSON can be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum JsonErrorKind {
    /// Longer than [`Limits::max_bytes`].
    #[error("input too large")]
    TooLarge,
    /// More open arrays and objects than [`Limits::max_depth`].
    #[error("nested too deeply")]
    TooDeep,
    /// More values than [`Limits::max_values`].
    #[error("too many values")]
    TooManyValues,
    /// Not UTF-8.
    #[error("invalid UTF-8")]
    Utf8,
    /// The input ends inside the value.
    #[error("unexpected end of input")]
    UnexpectedEnd,
    /// A byte that cannot stand there.
    #[error("unexpected character")]
    UnexpectedCharacter,
    /// A key that this object already holds (compared after unescaping).
    #[error("duplicate key")]
    DuplicateKey,
    /// A control character, unescaped, inside a string.
    #[error("unescaped control character in a string")]
    ControlCharacter,
    /// An escape JSON does not know, or an unpaired surrogate.
    #[error("invalid escape in a string")]
    InvalidEscape,
    /// A number JSON's grammar does not allow.
    #[error("invalid number")]
    InvalidNumber,
    /// An integer beyond 64 bits or a float beyond the finite doubles.
    #[error("number out of range")]
    NumberRange,
    /// Something after the value.
    #[error("trailing characters")]
    Trailing,
}

/// Reads exactly one JSON value.
///
/// # Errors
/// [`JsonError`] with the offset of the first offending byte.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Value, JsonError> {
    if bytes.len() > limits.max_bytes {
        return Err(JsonError { offset: limits.max_bytes, kind: JsonErrorKind::TooLarge });
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| JsonError { offset: error.valid_up_to(), kind: JsonErrorKind::Utf8 })?;
    Parser { text, position: 0, values: 0, limits, open: Vec::new() }.document()
}

/// An array or object whose end has not been read.
enum Open {
    Array(Vec<Value>),
    Object { map: Map<String, Value>, key: String },
}

struct Parser<'a> {
    text: &'a str,
    position: usize,
    values: usize,
    limits: &'a Limits,
    open: Vec<Open>,
}

impl Parser<'_> {
    fn document(mut self) -> Result<Value, JsonError> {
        loop {
            self.skip_whitespace();
            let Some(value) = self.begin_value()? else { continue };
            if let Some(root) = self.attach(value)? {
                self.skip_whitespace();
                return match self.peek() {
                    None => Ok(root),
                    Some(_) => Err(self.error(JsonErrorKind::Trailing)),
                };
            }
        }
    }

    /// A scalar or an empty container, or `None` after opening one whose first member comes next.
    fn begin_value(&mut self) -> Result<Option<Value>, JsonError> {
        self.values = self.values.saturating_add(1);
        if self.values > self.limits.max_values {
            return Err(self.error(JsonErrorKind::TooManyValues));
        }
        match self.peek() {
            None => Err(self.error(JsonErrorKind::UnexpectedEnd)),
            Some(b'{') => self.open_object(),
            Some(b'[') => self.open_array(),
            Some(b'"') => self.string().map(|text| Some(Value::String(text))),
            Some(b't') => self.literal("true", Value::Bool(true)).map(Some),
            Some(b'f') => self.literal("false", Value::Bool(false)).map(Some),
            Some(b'n') => self.literal("null", Value::Null).map(Some),
            Some(b'-' | b'0'..=b'9') => self.number().map(Some),
            Some(_) => Err(self.error(JsonErrorKind::UnexpectedCharacter)),
        }
    }

    fn open_array(&mut self) -> Result<Option<Value>, JsonError> {
        self.descend()?;
        if self.peek() == Some(b']') {
            self.advance();
            return Ok(Some(Value::Array(Vec::new())));
        }
        self.open.push(Open::Array(Vec::new()));
        Ok(None)
    }

    fn open_object(&mut self) -> Result<Option<Value>, JsonError> {
        self.descend()?;
        if self.peek() == Some(b'}') {
            self.advance();
            return Ok(Some(Value::Object(Map::new())));
        }
        let key = self.key()?;
        self.open.push(Open::Object { map: Map::new(), key });
        Ok(None)
    }

    /// Steps over the opening bracket, if another level is allowed.
    fn descend(&mut self) -> Result<(), JsonError> {
        if self.open.len() >= self.limits.max_depth {
            return Err(self.error(JsonErrorKind::TooDeep));
        }
        self.advance();
        self.skip_whitespace();
        Ok(())
    }

    /// Puts a finished value where it belongs and closes every container that ends here. Gives the root once
    /// nothing is open.
    fn attach(&mut self, mut value: Value) -> Result<Option<Value>, JsonError> {
        loop {
            let Some(open) = self.open.pop() else { return Ok(Some(value)) };
            self.skip_whitespace();
            let next = self.peek();
            match open {
                Open::Array(mut items) => {
                    items.push(value);
                    match next {
                        Some(b',') => {
                            self.advance();
                            self.open.push(Open::Array(items));
                            return Ok(None);
                        }
                        Some(b']') => value = Value::Array(items),
                        _ => return Err(self.unexpected()),
                    }
                }
                Open::Object { mut map, key } => {
                    map.insert(key, value);
                    match next {
                        Some(b',') => {
                            self.advance();
                            self.skip_whitespace();
                            let start = self.position;
                            let key = self.key()?;
                            if map.contains_key(&key) {
                                let kind = JsonErrorKind::DuplicateKey;
                                return Err(JsonError { offset: start, kind });
                            }
                            self.open.push(Open::Object { map, key });
                            return Ok(None);
                        }
                        Some(b'}') => value = Value::Object(map),
                        _ => return Err(self.unexpected()),
                    }
                }
            }
            self.advance();
        }
    }

    /// A key and the colon after it.
    fn key(&mut self) -> Result<String, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected());
        }
        let key = self.string()?;
        self.skip_whitespace();
        if self.peek() != Some(b':') {
            return Err(self.unexpected());
        }
        self.advance();
        Ok(key)
    }

    fn literal(&mut self, word: &str, value: Value) -> Result<Value, JsonError> {
        for expected in word.bytes() {
            if self.peek() != Some(expected) {
                return Err(self.unexpected());
            }
            self.advance();
        }
        Ok(value)
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.advance();
        let mut out = String::new();
        loop {
            let start = self.position;
            while matches!(self.peek(), Some(byte) if byte >= 0x20 && byte != b'"' && byte != b'\\')
            {
                self.advance();
            }
            out.push_str(self.slice(start)?);
            match self.peek() {
                None => return Err(self.error(JsonErrorKind::UnexpectedEnd)),
                Some(b'"') => {
                    self.advance();
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return Err(self.error(JsonErrorKind::ControlCharacter)),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let start = self.position;
        self.advance();
        let escaped = self.peek().ok_or_else(|| self.error(JsonErrorKind::UnexpectedEnd))?;
        self.advance();
        Ok(match escaped {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let invalid = JsonError { offset: start, kind: JsonErrorKind::InvalidEscape };
                let first = self.hex4(invalid)?;
                let pair = if (0xd800..0xdc00).contains(&first) {
                    if self.peek() != Some(b'\\') {
                        return Err(invalid);
                    }
                    self.advance();
                    if self.peek() != Some(b'u') {
                        return Err(invalid);
                    }
                    self.advance();
                    [first, self.hex4(invalid)?]
                } else {
                    [first, 0]
                };
                let units = if (0xd800..0xdc00).contains(&first) { 2 } else { 1 };
                char::decode_utf16(pair.into_iter().take(units))
                    .next()
                    .and_then(Result::ok)
                    .ok_or(invalid)?
            }
            _ => return Err(JsonError { offset: start, kind: JsonErrorKind::InvalidEscape }),
        })
    }

    fn hex4(&mut self, invalid: JsonError) -> Result<u16, JsonError> {
        let start = self.position;
        for _ in 0..4 {
            match self.peek() {
                None => return Err(self.error(JsonErrorKind::UnexpectedEnd)),
                Some(byte) if byte.is_ascii_hexdigit() => self.advance(),
                Some(_) => return Err(invalid),
            }
        }
        u16::from_str_radix(self.slice(start)?, 16).map_err(|_| invalid)
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.position;
        if self.peek() == Some(b'-') {
            self.advance();
        }
        if self.peek() == Some(b'0') {
            self.advance();
        } else {
            self.digits(start)?;
        }
        let mut integer = true;
        if self.peek() == Some(b'.') {
            integer = false;
            self.advance();
            self.digits(start)?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            integer = false;
            self.advance();
            if let Some(b'+' | b'-') = self.peek() {
                self.advance();
            }
            self.digits(start)?;
        }
        if matches!(self.peek(), Some(b'0'..=b'9' | b'.')) {
            return Err(JsonError { offset: start, kind: JsonErrorKind::InvalidNumber });
        }
        let out_of_range = JsonError { offset: start, kind: JsonErrorKind::NumberRange };
        let text = self.slice(start)?;
        // An integer zero has no sign to keep exact, so "-0" is the float it can only be.
        if integer && text != "-0" {
            let exact = match text.parse::<u64>() {
                Ok(unsigned) => Number::from(unsigned),
                Err(_) => Number::from(text.parse::<i64>().map_err(|_| out_of_range)?),
            };
            return Ok(Value::Number(exact));
        }
        let float = text.parse::<f64>().map_err(|_| out_of_range)?;
        Number::from_f64(float).map(Value::Number).ok_or(out_of_range)
    }

    fn digits(&mut self, number: usize) -> Result<(), JsonError> {
        match self.peek() {
            None => return Err(self.error(JsonErrorKind::UnexpectedEnd)),
            Some(b'0'..=b'9') => {}
            Some(_) => {
                return Err(JsonError { offset: number, kind: JsonErrorKind::InvalidNumber });
            }
        }
        while let Some(b'0'..=b'9') = self.peek() {
            self.advance();
        }
        Ok(())
    }

    /// The text from `start` up to here. Both ends are beside ASCII bytes, hence on character boundaries.
    fn slice(&self, start: usize) -> Result<&str, JsonError> {
        self.text
            .get(start..self.position)
            .ok_or_else(|| self.error(JsonErrorKind::UnexpectedCharacter))
    }

    fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.advance();
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn advance(&mut self) {
        self.position = self.position.saturating_add(1);
    }

    fn unexpected(&self) -> JsonError {
        self.error(match self.peek() {
            None => JsonErrorKind::UnexpectedEnd,
            Some(_) => JsonErrorKind::UnexpectedCharacter,
        })
    }

    fn error(&self, kind: JsonErrorKind) -> JsonError {
        JsonError { offset: self.position, kind }
    }
}
