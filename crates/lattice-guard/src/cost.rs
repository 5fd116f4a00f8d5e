//! What things cost. Integers, rounded up: what costs anything costs at least a millionth.

use serde::{Deserialize, Serialize};

use crate::amount::{MicroUsd, Tokens};

/// Prices of what is not a model. Data, so that an operator can put others in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostModel {
    /// Per command started.
    pub command_base: MicroUsd,
    /// Per second a command runs.
    pub command_per_s: MicroUsd,
    /// Per KiB of file content read or written.
    pub file_per_kib: MicroUsd,
    /// Per request that leaves the host.
    pub network_per_request: MicroUsd,
    /// Per search result returned.
    pub search_per_result: MicroUsd,
}

impl Default for CostModel {
    /// About what a small rented machine costs: 0.12 dollars for an hour of commands. A budget is spent on models; these
    /// prices only keep the rest from being free, so that no loop is.
    fn default() -> Self {
        Self {
            command_base: MicroUsd::new(10),
            command_per_s: MicroUsd::new(33),
            file_per_kib: MicroUsd::new(1),
            network_per_request: MicroUsd::new(100),
            search_per_result: MicroUsd::new(1),
        }
    }
}

impl CostModel {
    /// A command of so many milliseconds; `None` if it does not fit.
    #[must_use]
    pub fn command(&self, duration_ms: u64) -> Option<MicroUsd> {
        scaled(self.command_per_s, duration_ms, 1_000)?.checked_add(self.command_base)
    }

    /// So many bytes of file content.
    #[must_use]
    pub fn file(&self, bytes: u64) -> Option<MicroUsd> {
        scaled(self.file_per_kib, bytes, 1_024)
    }

    /// So many requests that leave the host.
    #[must_use]
    pub fn network(&self, requests: u64) -> Option<MicroUsd> {
        self.network_per_request.checked_mul(requests)
    }

    /// So many search results.
    #[must_use]
    pub fn search(&self, results: u64) -> Option<MicroUsd> {
        self.search_per_result.checked_mul(results)
    }
}

/// Prices of one model, per million tokens of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPrice {
    /// Input that is not cached.
    pub input_per_mtok: MicroUsd,
    /// Input written to a cache.
    pub cache_write_per_mtok: MicroUsd,
    /// Input read from a cache.
    pub cache_read_per_mtok: MicroUsd,
    /// Output, thinking included.
    pub output_per_mtok: MicroUsd,
}

/// Tokens of one model call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelUsage {
    /// Input that is not cached.
    pub input: Tokens,
    /// Input written to a cache.
    pub cache_write: Tokens,
    /// Input read from a cache.
    pub cache_read: Tokens,
    /// Output, thinking included.
    pub output: Tokens,
}

impl ModelPrice {
    /// What the call costs; `None` if it does not fit.
    #[must_use]
    pub fn cost(&self, usage: &ModelUsage) -> Option<MicroUsd> {
        const MTOK: u64 = 1_000_000;
        let kinds = [
            (self.input_per_mtok, usage.input),
            (self.cache_write_per_mtok, usage.cache_write),
            (self.cache_read_per_mtok, usage.cache_read),
            (self.output_per_mtok, usage.output),
        ];
        kinds.into_iter().try_fold(MicroUsd::ZERO, |sum, (price, tokens)| {
            sum.checked_add(scaled(price, tokens.count(), MTOK)?)
        })
    }
}

/// `price` for each `unit`, for `amount` of them, rounded up.
fn scaled(price: MicroUsd, amount: u64, unit: u64) -> Option<MicroUsd> {
    let product = u128::from(price.micros()).checked_mul(u128::from(amount))?;
    let rounded =
        product.checked_add(u128::from(unit.checked_sub(1)?))?.checked_div(u128::from(unit))?;
    u64::try_from(rounded).ok().map(MicroUsd::new)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_hour_of_commands_does_not_exhaust_a_budget() {
        let prices = CostModel::default();
        let hour: u64 = prices.command(3_600_000).unwrap().micros();
        assert!(hour < 200_000, "{hour}");
        let trivial = prices.command(5).unwrap();
        assert!(trivial.checked_mul(1_000).unwrap() < MicroUsd::new(100_000));
    }

    #[test]
    fn nothing_is_free_by_rounding() {
        let prices = CostModel::default();
        assert_eq!(prices.file(1), Some(MicroUsd::new(1)));
        assert_eq!(prices.file(1_025), Some(MicroUsd::new(2)));
        assert_eq!(prices.file(0), Some(MicroUsd::ZERO));
        let price = ModelPrice {
            input_per_mtok: MicroUsd::new(3_000_000),
            cache_write_per_mtok: MicroUsd::new(3_750_000),
            cache_read_per_mtok: MicroUsd::new(300_000),
            output_per_mtok: MicroUsd::new(15_000_000),
        };
        let one = ModelUsage { cache_read: Tokens::new(1), ..ModelUsage::default() };
        assert_eq!(price.cost(&one), Some(MicroUsd::new(1)));
        let call = ModelUsage {
            input: Tokens::new(1_000),
            output: Tokens::new(500),
            ..ModelUsage::default()
        };
        assert_eq!(price.cost(&call), Some(MicroUsd::new(3_000 + 7_500)));
    }

    proptest! {
        #[test]
        fn more_never_costs_less_and_nothing_wraps(a in any::<u64>(), b in any::<u64>(), price in any::<u64>()) {
            let prices = CostModel {
                command_per_s: MicroUsd::new(price), file_per_kib: MicroUsd::new(price), ..CostModel::default()
            };
            let (less, more) = (a.min(b), a.max(b));
            for cost in [CostModel::command, CostModel::file] {
                if let Some(dear) = cost(&prices, more) {
                    prop_assert!(cost(&prices, less).unwrap() <= dear);
                }
            }
        }
    }
}
