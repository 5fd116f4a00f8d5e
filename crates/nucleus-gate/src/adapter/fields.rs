//! Header fields: checked, written anew with the host's key, and filtered on the way back.

use std::collections::BTreeSet;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::data::HeaderText;
use super::{Adapter, BetaText};
use crate::escape::shown;
use crate::provider::Provider;
use crate::refusal::Refusal;
use crate::scrub::holds;
use crate::secret::Secret;

/// How Anthropic's subscription (OAuth) tokens begin; API keys begin otherwise.
const OAUTH_PREFIX: &[u8] = b"sk-ant-oat";
/// Most distinct switches named in one note.
const UNLISTED_COUNT: usize = 32;

/// Header fields to send, and what was left out of the client's.
pub(crate) struct Fields {
    pub(crate) headers: HeaderMap,
    pub(crate) unlisted_betas: BTreeSet<String>,
    pub(crate) credentials: BTreeSet<String>,
}

/// Whether the fixed fields of a data file can be sent.
pub(super) fn check(header: &HeaderText) -> Result<(), String> {
    let sound = |(name, value): (&String, &String)| {
        HeaderName::try_from(name).is_ok() && HeaderValue::from_str(value).is_ok()
    };
    if header.fixed.iter().all(sound) { Ok(()) } else { Err("a fixed header field".to_owned()) }
}

impl Adapter {
    /// Checks the client's header fields and makes the ones to send, without a key.
    pub(crate) fn fields(&self, client: &HeaderMap, body: bool) -> Result<Fields, Refusal> {
        self.check_fields(client, body)?;
        let mut headers = HeaderMap::new();
        for name in &self.header.pass {
            if let (Ok(name), Some(value)) = (HeaderName::try_from(name), client.get(name)) {
                headers.insert(name, value.clone());
            }
        }
        headers.insert("accept", HeaderValue::from_static("application/json, text/event-stream"));
        headers.insert("accept-encoding", HeaderValue::from_static("identity"));
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        for (name, value) in &self.header.fixed {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::from_str(value))
            {
                headers.insert(name, value);
            }
        }
        let unlisted_betas = match &self.beta {
            Some(beta) => betas(beta, client, &mut headers),
            None => BTreeSet::new(),
        };
        let credentials = self.header.credential.iter().filter(|name| client.contains_key(*name));
        Ok(Fields { headers, unlisted_betas, credentials: credentials.cloned().collect() })
    }

    /// Puts the host's key in, whatever the client sent.
    pub(crate) fn authorize(&self, headers: &mut HeaderMap, key: &Secret, login: bool) {
        let token = self.provider == Provider::Anthropic && key.expose().starts_with(OAUTH_PREFIX);
        let bearer = login || token;
        if let (true, Some(beta)) = (bearer, &self.beta) {
            let listed = headers.get(&beta.header).and_then(|value| value.to_str().ok());
            let all = [Some(beta.oauth.as_str()), listed];
            let all: Vec<&str> = all.into_iter().flatten().collect();
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(&beta.header), HeaderValue::from_str(&all.join(",")))
            {
                headers.insert(name, value);
            }
        }
        let (name, prefix) = self.provider.credential(bearer);
        let value = zeroize::Zeroizing::new([prefix.as_bytes(), key.expose()].concat());
        // A `Secret` is printable ASCII, so this cannot fail; without the field the provider refuses.
        if let Ok(mut value) = HeaderValue::from_bytes(&value) {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }

    /// The response header fields a client may see. One that holds the key is left out, whatever its name.
    pub(crate) fn answer_fields(&self, upstream: &HeaderMap, key: Option<&Secret>) -> HeaderMap {
        let listed = |name: &HeaderName| {
            self.header.answer.iter().any(|known| match known.strip_suffix('*') {
                Some(prefix) => name.as_str().starts_with(prefix),
                None => name.as_str() == known,
            })
        };
        let shows = |value: &HeaderValue| key.is_some_and(|key| holds(value.as_bytes(), key));
        let fields = upstream.iter().filter(|(name, value)| listed(name) && !shows(value));
        fields.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn check_fields(&self, client: &HeaderMap, body: bool) -> Result<(), Refusal> {
        let mut types = client.get_all("content-type").iter();
        let json = types.next().is_some_and(|value| {
            let essence = value.as_bytes().split(|b| *b == b';').next().unwrap_or_default();
            essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
        });
        if body && (!json || types.next().is_some()) {
            return Err(Refusal::ContentType);
        }
        if client.contains_key("content-encoding") {
            return Err(Refusal::Encoding);
        }
        for (name, known) in &self.header.fixed {
            if client.get_all(name).iter().any(|value| value != known.as_str()) {
                return Err(Refusal::ApiVersion);
            }
        }
        Ok(())
    }
}

/// Writes the listed switches; returns the others, escaped.
fn betas(beta: &BetaText, client: &HeaderMap, out: &mut HeaderMap) -> BTreeSet<String> {
    let mut listed: Vec<&str> = Vec::new();
    let mut unlisted = BTreeSet::new();
    for value in client.get_all(&beta.header) {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match beta.pass.get(name) {
                Some(known) if !listed.contains(&known.as_str()) => listed.push(known),
                Some(_) => {}
                None if unlisted.len() < UNLISTED_COUNT => {
                    unlisted.insert(shown(name));
                }
                None => {}
            }
        }
    }
    if let (false, Ok(name), Ok(value)) = (
        listed.is_empty(),
        HeaderName::try_from(&beta.header),
        HeaderValue::from_str(&listed.join(",")),
    ) {
        out.insert(name, value);
    }
    unlisted
}
