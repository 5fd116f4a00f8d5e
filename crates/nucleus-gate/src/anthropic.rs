//! The adapter for the Anthropic Messages API: which requests there are, how they are rebuilt, what they can cost.

mod estimate;

use std::collections::{BTreeMap, BTreeSet};

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Uri};
use serde::Deserialize;

use crate::error::ConfigError;
use crate::escape::shown;
use crate::json::Json;
use crate::ledger::{CallKind, ModelCall};
use crate::price::{Price, PriceTable};
use crate::refusal::Refusal;
use crate::secret::Secret;
use crate::shape::{ObjectText, Shapes, UnionText};

const DATA: &str = include_str!("../data/anthropic.toml");
/// How subscription (OAuth) tokens begin; API keys begin otherwise.
const OAUTH_PREFIX: &[u8] = b"sk-ant-oat";

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteText {
    method: String,
    path: String,
    query: Vec<String>,
    body: String,
    kind: KindText,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KindText {
    Generate,
    CountTokens,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderText {
    pass: Vec<String>,
    credential: Vec<String>,
    answer: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BetaText {
    pass: BTreeSet<String>,
    oauth: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DataText {
    version: String,
    anthropic_version: String,
    call_output_tokens: u64,
    least_output_tokens: u64,
    least_thinking_tokens: u64,
    context_tokens: u64,
    image_tokens: u64,
    route: Vec<RouteText>,
    header: HeaderText,
    beta: BetaText,
    object: BTreeMap<String, ObjectText>,
    union: BTreeMap<String, UnionText>,
}

/// The adapter, made from its data file.
#[derive(Debug)]
pub(crate) struct Anthropic {
    version: String,
    anthropic_version: HeaderValue,
    limits: Limits,
    routes: Vec<Route>,
    header: HeaderText,
    beta: BetaText,
    shapes: Shapes,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    call_output_tokens: u64,
    least_output_tokens: u64,
    least_thinking_tokens: u64,
    context_tokens: u64,
    image_tokens: u64,
}

/// One served method and path.
#[derive(Debug)]
pub(crate) struct Route {
    method: Method,
    path: String,
    query: Vec<String>,
    body: String,
    kind: CallKind,
}

/// A request rebuilt and priced, not yet admitted.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) call: ModelCall,
    pub(crate) price: Price,
    pub(crate) stream: bool,
    pub(crate) unknown: BTreeSet<String>,
    body: Json,
}

/// Header fields to send, and what was left out of the client's.
pub(crate) struct Fields {
    pub(crate) headers: HeaderMap,
    pub(crate) unlisted_betas: BTreeSet<String>,
    pub(crate) credentials: BTreeSet<String>,
}

impl Anthropic {
    /// Reads the data file that comes with this version.
    pub(crate) fn new() -> Result<Self, ConfigError> {
        let bad = |what: &dyn std::fmt::Display| ConfigError::Data(what.to_string());
        let data: DataText = toml::from_str(DATA).map_err(|e| bad(&e))?;
        let shapes = Shapes::new(data.object, data.union).map_err(|e| bad(&e))?;
        let mut routes = Vec::new();
        for route in data.route {
            if !shapes.has_object(&route.body) {
                return Err(bad(&route.body));
            }
            routes.push(Route {
                method: Method::from_bytes(route.method.as_bytes()).map_err(|e| bad(&e))?,
                path: route.path,
                query: route.query,
                body: route.body,
                kind: match route.kind {
                    KindText::Generate => CallKind::Generate,
                    KindText::CountTokens => CallKind::CountTokens,
                },
            });
        }
        Ok(Self {
            version: data.version,
            anthropic_version: HeaderValue::from_str(&data.anthropic_version)
                .map_err(|e| bad(&e))?,
            limits: Limits {
                call_output_tokens: data.call_output_tokens,
                least_output_tokens: data.least_output_tokens,
                least_thinking_tokens: data.least_thinking_tokens,
                context_tokens: data.context_tokens,
                image_tokens: data.image_tokens,
            },
            routes,
            header: data.header,
            beta: data.beta,
            shapes,
        })
    }

    /// Version of the data file.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// The route of a request; the path is compared byte by byte, nothing is decoded or normalised.
    pub(crate) fn route(&self, method: &Method, uri: &Uri) -> Result<&Route, Refusal> {
        let query = uri.query().unwrap_or_default();
        self.routes
            .iter()
            .find(|route| {
                route.method == method
                    && route.path == uri.path()
                    && route.query.iter().any(|known| known == query)
            })
            .ok_or(Refusal::Route)
    }

    /// Parses, rebuilds and prices a body.
    pub(crate) fn prepare(
        &self,
        route: &Route,
        bytes: &[u8],
        prices: &PriceTable,
    ) -> Result<Prepared, Refusal> {
        let rebuilt = self.shapes.rebuild(&route.body, Json::parse(bytes)?)?;
        let mut body = rebuilt.body;
        let model = body.get("model").and_then(Json::as_str);
        let model = model.ok_or(Refusal::Missing { field: "model" })?.to_owned();
        if body.get("messages").is_none() {
            return Err(Refusal::Missing { field: "messages" });
        }
        let Some(price) = prices.price(&model) else {
            return Err(Refusal::NoPrice { model: shown(&model) });
        };
        let mut asked = 0;
        if route.kind == CallKind::Generate {
            let tokens = body.get("max_tokens").and_then(Json::as_u64);
            asked = tokens.ok_or(Refusal::Missing { field: "max_tokens" })?;
        }
        let estimate =
            estimate::prompt(&body, self.limits.image_tokens, self.limits.context_tokens);
        let (writes_5m, writes_1h) = estimate::cache_writes(&body);
        let max_output_tokens = asked.min(self.limits.call_output_tokens);
        self.limit_output(&mut body, route.kind, max_output_tokens);
        let (body_digest, body_bytes) = digest(&body.to_bytes());
        let call = ModelCall {
            kind: route.kind,
            provider: "anthropic",
            model,
            max_output_tokens,
            estimated_input_tokens: estimate,
            body_digest,
            body_bytes,
            worst: price.rate(estimate).with_cache(writes_5m, writes_1h),
            least_output_tokens: self.limits.least_output_tokens,
            surcharge_percent: prices.us_inference_percent(),
        };
        let stream = body.get("stream") == Some(&Json::Bool(true));
        Ok(Prepared { call, price: price.clone(), stream, unknown: rebuilt.unknown, body })
    }

    /// The body to send, with the output (and thinking within it) lowered to what was admitted.
    pub(crate) fn body(&self, prepared: Prepared, max_output_tokens: u64) -> Vec<u8> {
        let mut body = prepared.body;
        let tokens = max_output_tokens.min(prepared.call.max_output_tokens);
        self.limit_output(&mut body, prepared.call.kind, tokens);
        body.to_bytes()
    }

    fn limit_output(&self, body: &mut Json, kind: CallKind, tokens: u64) {
        let budget =
            body.get("thinking").and_then(|t| t.get("budget_tokens")).and_then(Json::as_u64);
        if kind == CallKind::Generate {
            body.set("max_tokens", Json::integer(tokens));
            // The provider wants the thinking budget below max_tokens and at least its own minimum.
            if budget.is_some_and(|budget| budget >= tokens) {
                let lowered = tokens.saturating_sub(1);
                let thinking = if lowered >= self.limits.least_thinking_tokens {
                    let mut thinking = body.get("thinking").cloned().unwrap_or(Json::Null);
                    thinking.set("budget_tokens", Json::integer(lowered));
                    thinking
                } else {
                    Json::Object(vec![("type".to_owned(), Json::String("disabled".to_owned()))])
                };
                body.set("thinking", thinking);
            }
        }
    }

    /// Checks the client's header fields and makes the ones to send; the key is the host's, whatever the client sent.
    pub(crate) fn fields(
        &self,
        client: &HeaderMap,
        key: Option<&Secret>,
    ) -> Result<Fields, Refusal> {
        check_fields(client, &self.anthropic_version)?;
        let mut headers = HeaderMap::new();
        for name in &self.header.pass {
            if let (Ok(name), Some(value)) = (HeaderName::try_from(name), client.get(name)) {
                headers.insert(name, value.clone());
            }
        }
        headers.insert("accept", HeaderValue::from_static("application/json"));
        headers.insert("accept-encoding", HeaderValue::from_static("identity"));
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("anthropic-version", self.anthropic_version.clone());
        let oauth = key.is_some_and(|key| key.expose().starts_with(OAUTH_PREFIX));
        let unlisted_betas = self.betas(client, oauth, &mut headers);
        if let Some(key) = key {
            let (name, prefix) =
                if oauth { ("authorization", "Bearer ") } else { ("x-api-key", "") };
            let value = zeroize::Zeroizing::new([prefix.as_bytes(), key.expose()].concat());
            // A `Secret` is printable ASCII, so this cannot fail; without the field the provider refuses.
            if let Ok(mut value) = HeaderValue::from_bytes(&value) {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
        let credentials = self.header.credential.iter().filter(|name| client.contains_key(*name));
        Ok(Fields { headers, unlisted_betas, credentials: credentials.cloned().collect() })
    }

    /// Writes the listed beta values; returns the others, escaped.
    fn betas(&self, client: &HeaderMap, oauth: bool, out: &mut HeaderMap) -> BTreeSet<String> {
        let mut listed: Vec<&str> = Vec::new();
        let mut unlisted = BTreeSet::new();
        if oauth {
            listed.push(&self.beta.oauth);
        }
        for value in client.get_all("anthropic-beta") {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            for beta in text.split(',').map(str::trim).filter(|beta| !beta.is_empty()) {
                match self.beta.pass.get(beta) {
                    Some(known) if !listed.contains(&known.as_str()) => listed.push(known),
                    Some(_) => {}
                    None if unlisted.len() < 32 => {
                        unlisted.insert(shown(beta));
                    }
                    None => {}
                }
            }
        }
        if let (false, Ok(value)) = (listed.is_empty(), HeaderValue::from_str(&listed.join(","))) {
            out.insert("anthropic-beta", value);
        }
        unlisted
    }

    /// The response header fields a client may see.
    pub(crate) fn answer_fields(&self, upstream: &HeaderMap) -> HeaderMap {
        let listed = |name: &HeaderName| {
            self.header.answer.iter().any(|known| match known.strip_suffix('*') {
                Some(prefix) => name.as_str().starts_with(prefix),
                None => name.as_str() == known,
            })
        };
        let fields = upstream.iter().filter(|(name, _)| listed(name));
        fields.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

impl Route {
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The query to send.
    pub(crate) fn query(&self, uri: &Uri) -> Option<&str> {
        let query = uri.query().filter(|query| !query.is_empty())?;
        self.query.iter().find(|known| *known == query).map(String::as_str)
    }
}

fn digest(bytes: &[u8]) -> ([u8; 32], u64) {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut out = [0; 32];
    out.copy_from_slice(digest.as_ref());
    (out, u64::try_from(bytes.len()).unwrap_or(u64::MAX))
}

fn check_fields(client: &HeaderMap, version: &HeaderValue) -> Result<(), Refusal> {
    let mut types = client.get_all("content-type").iter();
    let json = types.next().is_some_and(|value| {
        let essence = value.as_bytes().split(|b| *b == b';').next().unwrap_or_default();
        essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
    });
    if !json || types.next().is_some() {
        return Err(Refusal::ContentType);
    }
    if client.contains_key("content-encoding") {
        return Err(Refusal::Encoding);
    }
    if client.get_all("anthropic-version").iter().any(|value| value != version) {
        return Err(Refusal::ApiVersion);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
