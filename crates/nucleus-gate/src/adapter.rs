//! The engine all providers share: which requests there are, how they are rebuilt, what they can cost.
//!
//! Everything a provider allows stands in its data file; what none is sent stands in `refused.toml`. Code differs by
//! provider only where the APIs do: where the output limit stands ([`output`]), and how usage is reported.

mod data;
mod estimate;
mod fields;
mod output;

use std::collections::BTreeSet;

use hyper::{Method, Uri};

use crate::error::ConfigError;
use crate::escape::shown;
use crate::json::Json;
use crate::ledger::{CallKind, ModelCall};
use crate::origin::Origin;
use crate::price::{Price, PriceTable};
use crate::provider::Provider;
use crate::refusal::Refusal;
use crate::shape::{RefusedText, Shapes};
use data::{BetaText, DataText, HeaderText, LimitsText};
pub(crate) use fields::Fields;

const REFUSED: &str = include_str!("../data/refused.toml");
/// Longest answer of any model, where no limit can be sent.
const MODEL_OUTPUT_TOKENS: u64 = 128_000;
/// Longest model name taken from a path, in bytes.
const MODEL_BYTES: usize = 128;

/// An adapter, made from its provider's data file.
#[derive(Debug)]
pub(crate) struct Adapter {
    provider: Provider,
    version: String,
    base: String,
    prompt: BTreeSet<String>,
    needs: String,
    limits: LimitsText,
    routes: Vec<Route>,
    header: HeaderText,
    beta: Option<BetaText>,
    shapes: Shapes,
    /// The backend of a subscription takes no limit of the output.
    unlimited: bool,
}

/// One served method and path.
#[derive(Debug)]
struct Route {
    method: Method,
    /// What stands before and, when the path names the model, after the model.
    path: (String, Option<String>),
    query: Vec<String>,
    body: Option<String>,
    kind: Option<CallKind>,
    stream: bool,
}

/// A request's route.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    route: &'a Route,
    /// The model named in the path.
    model: Option<&'a str>,
    /// Path below the base, and the query as it is sent.
    path: &'a str,
    query: &'a str,
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

impl Adapter {
    /// Reads the data files that come with this version.
    pub(crate) fn new(provider: Provider, subscription: bool) -> Result<Self, ConfigError> {
        let bad = |what: &dyn std::fmt::Display| ConfigError::Data(format!("{provider}: {what}"));
        let data: DataText = toml::from_str(provider.data()).map_err(|e| bad(&e))?;
        let refused: RefusedText = toml::from_str(REFUSED).map_err(|e| bad(&e))?;
        let shapes = Shapes::new(data.object, data.union, refused).map_err(|e| bad(&e))?;
        let mut routes = Vec::new();
        for route in data.route {
            if let Some(name) = route.body.as_ref().filter(|name| !shapes.has_object(name)) {
                return Err(bad(name));
            }
            let path = match route.path.split_once("{model}") {
                Some((before, after)) => (before.to_owned(), Some(after.to_owned())),
                None => (route.path, None),
            };
            routes.push(Route {
                method: Method::from_bytes(route.method.as_bytes()).map_err(|e| bad(&e))?,
                path,
                query: route.query,
                body: route.body,
                kind: route.kind.call(),
                stream: route.stream,
            });
        }
        fields::check(&data.header).map_err(|e| bad(&e))?;
        Ok(Self {
            provider,
            version: format!("{}/{}", data.version, shapes.refused_version()),
            base: data.base,
            prompt: data.prompt,
            needs: data.needs,
            limits: data.limits,
            routes,
            header: data.header,
            beta: data.beta,
            shapes,
            unlimited: subscription && provider == Provider::OpenAi,
        })
    }

    /// Version of the data file and of the list that holds for every adapter.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn provider(&self) -> Provider {
        self.provider
    }

    /// The largest prompt a model of this provider takes.
    pub(crate) fn context_tokens(&self) -> u64 {
        self.limits.context_tokens
    }

    /// The longest answer that is believed, when this limit was admitted.
    pub(crate) fn most_output(&self, max_output_tokens: u64) -> u64 {
        if self.unlimited { max_output_tokens.max(MODEL_OUTPUT_TOKENS) } else { max_output_tokens }
    }

    /// The route of a request; the path is compared byte by byte, nothing is decoded or normalised.
    pub(crate) fn route<'a>(&'a self, method: &Method, uri: &'a Uri) -> Result<Found<'a>, Refusal> {
        let query = uri.query().unwrap_or_default();
        let path = uri.path().strip_prefix(self.base.as_str()).ok_or(Refusal::Route)?;
        let found = self.routes.iter().find_map(|route| {
            let model = route.model(path)?;
            let listed = route.query.iter().any(|known| known == query);
            (route.method == method && listed).then_some(Found { route, model, path, query })
        });
        found.ok_or(Refusal::Route)
    }

    /// Where a request goes at an upstream. OpenAI's base URLs hold the version; an upstream's own path stands in its place.
    pub(crate) fn target(&self, origin: &Origin, found: &Found<'_>) -> String {
        let versioned = matches!(self.provider, Provider::OpenAi | Provider::OpenAiChat);
        let (prefix, base) = match origin.prefix() {
            "" => ("", self.base.as_str()),
            prefix if versioned => (prefix, ""),
            prefix => (prefix, self.base.as_str()),
        };
        let mark = if found.query.is_empty() { "" } else { "?" };
        format!("{prefix}{base}{}{mark}{}", found.path, found.query)
    }

    /// Parses, rebuilds and prices a body.
    pub(crate) fn prepare(
        &self,
        found: &Found<'_>,
        bytes: &[u8],
        prices: &PriceTable,
    ) -> Result<Prepared, Refusal> {
        let (Some(shape), Some(kind)) = (&found.route.body, found.route.kind) else {
            return Err(Refusal::Route);
        };
        let rebuilt = self.shapes.rebuild(shape, Json::parse(bytes)?)?;
        let mut body = rebuilt.body;
        let missing = |field: &str| Refusal::Missing { field: field.to_owned() };
        let model = found.model.or_else(|| body.get("model").and_then(Json::as_str));
        let model = model.ok_or_else(|| missing("model"))?.to_owned();
        if body.get(&self.needs).is_none() {
            return Err(missing(&self.needs));
        }
        let Some(price) = prices.price(&model) else {
            return Err(Refusal::NoPrice { model: shown(&model) });
        };
        let stream = found.route.stream || body.get("stream") == Some(&Json::Bool(true));
        let mut max_output_tokens = 0;
        if kind == CallKind::Generate {
            let asked = output::asked(self.provider, &body)?;
            let most = self.limits.call_output_tokens;
            max_output_tokens = asked.map_or(most, |asked| asked.min(most));
            output::force(self.provider, &mut body, stream);
            self.limit_output(&mut body, max_output_tokens);
        }
        let estimate =
            estimate::prompt(&body, &self.prompt, self.limits.image_tokens, self.context_tokens());
        // Only Anthropic's clients choose what is written to a cache; elsewhere the provider does.
        let (writes_5m, writes_1h) = match self.provider {
            Provider::Anthropic => estimate::cache_writes(&body),
            _ => (true, true),
        };
        let (body_digest, body_bytes) = digest(&body.to_bytes());
        let call = ModelCall {
            kind,
            provider: self.provider.name(),
            model,
            max_output_tokens,
            estimated_input_tokens: estimate,
            body_digest,
            body_bytes,
            worst: price.rate(estimate).with_cache(writes_5m, writes_1h),
            least_output_tokens: self.limits.least_output_tokens,
            surcharge_percent: match self.provider {
                Provider::Anthropic => prices.us_inference_percent(),
                _ => 0,
            },
        };
        Ok(Prepared { call, price: price.clone(), stream, unknown: rebuilt.unknown, body })
    }

    /// The body to send, with the output (and thinking within it) lowered to what was admitted.
    pub(crate) fn body(&self, prepared: Prepared, max_output_tokens: u64) -> Vec<u8> {
        let mut body = prepared.body;
        if prepared.call.kind == CallKind::Generate {
            self.limit_output(&mut body, max_output_tokens.min(prepared.call.max_output_tokens));
        }
        body.to_bytes()
    }

    fn limit_output(&self, body: &mut Json, tokens: u64) {
        if self.unlimited {
            output::lift(body);
        } else {
            output::limit(self.provider, body, tokens, self.limits.least_thinking_tokens);
        }
    }
}

impl Found<'_> {
    /// True when the gate answers by itself with the models it has prices for.
    pub(crate) fn lists_models(&self) -> bool {
        self.route.kind.is_none()
    }
}

impl Route {
    /// Whether the path is this route's, and the model it names: `None` when it is not.
    #[expect(
        clippy::option_option,
        reason = "not this route, this route without a model, with one"
    )]
    fn model<'a>(&self, path: &'a str) -> Option<Option<&'a str>> {
        let rest = path.strip_prefix(self.path.0.as_str())?;
        let Some(after) = &self.path.1 else {
            return rest.is_empty().then_some(None);
        };
        let model = rest.strip_suffix(after.as_str())?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        let named = !model.is_empty() && model.len() <= MODEL_BYTES && model.bytes().all(plain);
        (named && !model.contains("..")).then_some(Some(model))
    }
}

fn digest(bytes: &[u8]) -> ([u8; 32], u64) {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut out = [0; 32];
    out.copy_from_slice(digest.as_ref());
    (out, u64::try_from(bytes.len()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
