//! Prices of models: integers, micro-dollars per million tokens, from versioned data and the user's overrides.

use std::collections::BTreeMap;

use serde::Deserialize;
use thiserror::Error;

use crate::provider::Provider;
use crate::usage::Usage;

/// One file per provider; they form one table.
const BUILTIN: [(Option<Provider>, &str); 3] = [
    (Some(Provider::Anthropic), include_str!("../data/prices.toml")),
    (Some(Provider::OpenAi), include_str!("../data/prices-openai.toml")),
    (Some(Provider::Gemini), include_str!("../data/prices-gemini.toml")),
];
/// Tokens a price is for.
const PER_TOKENS: u128 = 1_000_000;
/// Highest price accepted, a million dollars per million tokens: beyond it a slip of the pen is likelier.
const MAX_PRICE: u64 = 1_000_000_000_000;

/// Prices of one kind of request, in micro-dollars per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rate {
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) cache_write_5m: u64,
    pub(crate) cache_write_1h: u64,
    pub(crate) cache_read: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct LongPrompt {
    above_tokens: u64,
    input: u64,
    output: u64,
    cache_write_5m: u64,
    cache_write_1h: u64,
    cache_read: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceText {
    #[serde(default)]
    aliases: Vec<String>,
    input: u64,
    output: u64,
    cache_write_5m: u64,
    cache_write_1h: u64,
    cache_read: u64,
    long_prompt: Option<LongPrompt>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TableText {
    version: Option<String>,
    us_inference_percent: Option<u64>,
    #[serde(default)]
    model: BTreeMap<String, PriceText>,
}

/// Price of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Price {
    base: Rate,
    long: Option<(u64, Rate)>,
    /// Whose model it is; a user's own entries are offered by every provider.
    provider: Option<Provider>,
}

/// Prices by model. A model that is not in the table cannot be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceTable {
    version: String,
    us_inference_percent: u64,
    models: BTreeMap<String, Price>,
}

/// Why a price table is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PriceError {
    /// Not TOML of the table's form; unknown and duplicate keys, negative and fractional prices included.
    #[error("the price table is malformed: {0}")]
    Malformed(Box<toml::de::Error>),
    /// A price beyond any plausible one.
    #[error("model {model}: a price above {MAX_PRICE} micro-dollars per million tokens")]
    TooHigh {
        /// The model.
        model: String,
    },
    /// A percentage above 1,000.
    #[error("us_inference_percent is {found}; at most 1000 is accepted")]
    Percent {
        /// What the table says.
        found: u64,
    },
    /// A name stands for two models.
    #[error("{name} is named twice in the price table")]
    TwiceNamed {
        /// The name.
        name: String,
    },
}

impl PriceTable {
    /// The table that comes with this version.
    ///
    /// # Errors
    /// A defect of the build; a test holds that there is none.
    pub fn builtin() -> Result<Self, PriceError> {
        let mut table =
            Self { version: String::new(), us_inference_percent: 0, models: BTreeMap::new() };
        for (provider, text) in BUILTIN {
            table = table.with(text, provider)?;
        }
        Ok(table)
    }

    /// This table with entries of `text` added or put in the place of its own.
    ///
    /// # Errors
    /// Malformed: not the table's form, implausible, or a name used twice.
    pub fn with_overrides(self, text: &str) -> Result<Self, PriceError> {
        self.with(text, None)
    }

    fn with(mut self, text: &str, provider: Option<Provider>) -> Result<Self, PriceError> {
        let table: TableText =
            toml::from_str(text).map_err(|error| PriceError::Malformed(Box::new(error)))?;
        if let Some(version) = table.version {
            // The newest of the files; a test holds that they are read together.
            self.version = self.version.max(version);
        } else {
            self.version.push_str("+user");
        }
        if let Some(found) = table.us_inference_percent {
            if found > 1000 {
                return Err(PriceError::Percent { found });
            }
            self.us_inference_percent = found;
        }
        let mut named = BTreeMap::new();
        for (name, text) in table.model {
            let price = text.price(&name, provider)?;
            for name in std::iter::once(name).chain(text.aliases) {
                if named.insert(name.clone(), price.clone()).is_some() {
                    return Err(PriceError::TwiceNamed { name });
                }
            }
        }
        self.models.extend(named);
        Ok(self)
    }

    /// Version of the data, with `+user` when a user's entries were added.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn price(&self, model: &str) -> Option<&Price> {
        self.models.get(model)
    }

    /// Names of a provider's models, in order.
    pub(crate) fn models(&self, provider: Provider) -> impl Iterator<Item = &str> {
        let whose = match provider {
            Provider::OpenAiChat => Provider::OpenAi,
            other => other,
        };
        let offered = move |price: &Price| price.provider.is_none_or(|owner| owner == whose);
        self.models.iter().filter(move |(_, p)| offered(p)).map(|(name, _)| name.as_str())
    }

    pub(crate) fn us_inference_percent(&self) -> u64 {
        self.us_inference_percent
    }
}

impl PriceText {
    fn price(&self, model: &str, provider: Option<Provider>) -> Result<Price, PriceError> {
        let base = Rate {
            input: self.input,
            output: self.output,
            cache_write_5m: self.cache_write_5m,
            cache_write_1h: self.cache_write_1h,
            cache_read: self.cache_read,
        };
        let long = self.long_prompt.map(|l| {
            let rate = Rate {
                input: l.input,
                output: l.output,
                cache_write_5m: l.cache_write_5m,
                cache_write_1h: l.cache_write_1h,
                cache_read: l.cache_read,
            };
            (l.above_tokens, rate)
        });
        let highest = base.highest().max(long.map_or(0, |(_, rate)| rate.highest()));
        if highest > MAX_PRICE {
            return Err(PriceError::TooHigh { model: model.to_owned() });
        }
        Ok(Price { base, long, provider })
    }
}

impl Price {
    /// The rate for a prompt of this size.
    pub(crate) fn rate(&self, prompt_tokens: u64) -> Rate {
        match self.long {
            Some((above, rate)) if prompt_tokens > above => rate,
            _ => self.base,
        }
    }
}

impl Rate {
    fn highest(&self) -> u64 {
        self.input
            .max(self.output)
            .max(self.cache_write_5m)
            .max(self.cache_write_1h)
            .max(self.cache_read)
    }

    /// This rate with the input price replaced by the dearest the request can cause.
    pub(crate) fn with_cache(mut self, writes_5m: bool, writes_1h: bool) -> Self {
        if writes_5m {
            self.input = self.input.max(self.cache_write_5m);
        }
        if writes_1h {
            self.input = self.input.max(self.cache_write_1h);
        }
        self.input = self.input.max(self.cache_read);
        self
    }

    /// Cost in micro-dollars, rounded up, with a surcharge.
    pub(crate) fn worst_cost(&self, input: u64, output: u64, percent: u64) -> u64 {
        total(&[(input, self.input), (output, self.output)], percent)
    }

    /// Cost of a usage in micro-dollars, rounded up.
    pub(crate) fn cost(&self, usage: &Usage, percent: u64) -> u64 {
        total(
            &[
                (usage.input_tokens, self.input),
                (usage.output_tokens, self.output),
                (usage.cache_write_5m_tokens, self.cache_write_5m),
                (usage.cache_write_1h_tokens, self.cache_write_1h),
                (usage.cache_read_tokens, self.cache_read),
            ],
            percent,
        )
    }
}

fn total(parts: &[(u64, u64)], percent: u64) -> u64 {
    let sum = parts.iter().fold(0_u128, |sum, (tokens, price)| {
        sum.saturating_add(u128::from(*tokens).saturating_mul(u128::from(*price)))
    });
    let sum = sum.saturating_mul(u128::from(100 + percent)).div_ceil(100 * PER_TOKENS);
    u64::try_from(sum).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_table_is_sound_and_has_the_models_agents_use() {
        let table = PriceTable::builtin().unwrap();
        for model in ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-4-5-20251001"] {
            assert!(table.price(model).is_some(), "{model}");
        }
        for model in ["gpt-6.1-sol", "gpt-5.5", "gpt-5.1-codex", "gemini-3.8-flash"] {
            assert!(table.price(model).is_some(), "{model}");
        }
        for (model, price) in &table.models {
            let rate = price.base;
            assert!(rate.cache_read < rate.input, "{model}");
            assert!(rate.input <= rate.cache_write_5m, "{model}");
            assert!(rate.cache_write_5m <= rate.cache_write_1h, "{model}");
            assert!(rate.input < rate.output, "{model}");
            if let Some((_, long)) = price.long {
                assert!(rate.input < long.input && rate.output < long.output, "{model}");
            }
            if price.provider == Some(Provider::Anthropic) {
                assert!(rate.input < rate.cache_write_5m, "{model}");
                assert!(rate.cache_write_5m < rate.cache_write_1h, "{model}");
            }
        }
        // A slip in a price shows here: what one million tokens of input and of output cost, for models agents use.
        for (model, input, output, cached) in [
            ("claude-opus-5-5", 4_000_000, 20_000_000, 200_000),
            ("gpt-6.1-sol", 2_000_000, 10_000_000, 100_000),
            ("gpt-5.5", 5_000_000, 30_000_000, 500_000),
            ("gpt-5.1-codex", 1_250_000, 10_000_000, 125_000),
            ("gemini-3.8-flash", 750_000, 3_750_000, 75_000),
            ("gemini-3.1-pro-preview", 2_000_000, 12_000_000, 200_000),
        ] {
            let rate = table.price(model).unwrap().base;
            assert_eq!(
                (rate.input, rate.output, rate.cache_read),
                (input, output, cached),
                "{model}"
            );
        }
        let of = |provider| table.models(provider).collect::<Vec<_>>();
        assert!(of(Provider::OpenAiChat).contains(&"gpt-5.5"));
        assert!(!of(Provider::Gemini).contains(&"gpt-5.5"));
        assert!(table.price("claude-opus-5-5-fast").is_none());
        assert_eq!(table.version(), "2026-11-20");
    }

    #[test]
    fn cost_is_exact_and_rounded_up() {
        let table = PriceTable::builtin().unwrap();
        let usage = Usage {
            input_tokens: 10,
            output_tokens: 3,
            cache_write_5m_tokens: 100,
            cache_write_1h_tokens: 10,
            cache_read_tokens: 1,
            ..Usage::default()
        };
        let rate = table.price("claude-opus-5-5").unwrap().rate(usage.prompt_tokens());
        // 10*4 + 3*20 + 100*5 + 10*8 + 1*0.2 = 680.2 micro-dollars
        assert_eq!(rate.cost(&usage, 0), 681);
        assert_eq!(rate.cost(&usage, 10), 749);
        assert_eq!(rate.worst_cost(u64::MAX, u64::MAX, 1000), u64::MAX);
    }

    #[test]
    fn long_prompts_have_their_own_rate() {
        let table = PriceTable::builtin().unwrap();
        let price = table.price("claude-haiku-5-5").unwrap();
        assert_eq!(price.rate(100_000).input, 100_000);
        assert_eq!(price.rate(100_001).input, 500_000);
    }

    #[test]
    fn overrides_replace_whole_entries_and_bad_ones_are_refused() {
        let entry =
            "[model.m]\ninput=1\noutput=2\ncache_write_5m=3\ncache_write_1h=4\ncache_read=0\n";
        let table = PriceTable::builtin().unwrap().with_overrides(entry).unwrap();
        assert_eq!(table.version(), "2026-11-20+user");
        assert_eq!(table.price("m").unwrap().base.output, 2);
        let refused = |text: &str| PriceTable::builtin().unwrap().with_overrides(text).unwrap_err();
        for bad in [
            "[model.m]\ninput=1",
            &entry.replace("input=1", "input=1.5"),
            &entry.replace("input=1", "input=-1"),
            &format!("{entry}fast=1\n"),
            &format!("{entry}input=1\n"),
        ] {
            assert!(matches!(refused(bad), PriceError::Malformed(_)), "{bad}");
        }
        let high = entry.replace("input=1", "input=1000000000001");
        assert_eq!(refused(&high), PriceError::TooHigh { model: "m".into() });
        let twice = entry.replace("input=1", "aliases=[\"m\"]\ninput=1");
        assert_eq!(refused(&twice), PriceError::TwiceNamed { name: "m".into() });
        assert_eq!(refused("us_inference_percent=1001"), PriceError::Percent { found: 1001 });
    }
}
