//! Money and tokens: integers from the first byte to the last.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const MICROS_PER_USD: u64 = 1_000_000;
const DECIMALS: usize = 6;

/// An amount of money in millionths of a US dollar.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct MicroUsd(u64);

impl MicroUsd {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount that can be written.
    pub const MAX: Self = Self(u64::MAX);

    /// An amount from its millionths.
    #[must_use]
    pub const fn new(micros: u64) -> Self {
        Self(micros)
    }

    /// The amount in millionths.
    #[must_use]
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// Reads decimal text such as `2`, `2.0` or `0.000001`.
    ///
    /// # Errors
    /// Refuses signs, exponents, separators, more than six decimals (they would be lost, and lost money is free money)
    /// and amounts that do not fit.
    pub fn parse(text: &str) -> Result<Self, AmountError> {
        let (whole, fraction) = match text.split_once('.') {
            Some((_, "")) => return Err(AmountError::NotDecimal),
            Some(parts) => parts,
            None => (text, ""),
        };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) {
            return Err(AmountError::NotDecimal);
        }
        if fraction.len() > DECIMALS {
            return Err(AmountError::TooPrecise);
        }
        let whole: u64 = whole.parse().map_err(|_| AmountError::TooLarge)?;
        let fraction: u64 =
            format!("{fraction:0<DECIMALS$}").parse().map_err(|_| AmountError::TooLarge)?;
        whole
            .checked_mul(MICROS_PER_USD)
            .and_then(|micros| micros.checked_add(fraction))
            .map(Self)
            .ok_or(AmountError::TooLarge)
    }

    /// The sum, unless it does not fit.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(micros) => Some(Self(micros)),
            None => None,
        }
    }

    /// The difference, unless it is negative.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(micros) => Some(Self(micros)),
            None => None,
        }
    }

    /// The sum, or the largest amount.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, or nothing.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The amount times `count`, unless it does not fit.
    #[must_use]
    pub const fn checked_mul(self, count: u64) -> Option<Self> {
        match self.0.checked_mul(count) {
            Some(micros) => Some(Self(micros)),
            None => None,
        }
    }
}

impl fmt::Display for MicroUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.checked_div(MICROS_PER_USD).unwrap_or_default();
        let fraction = self.0.checked_rem(MICROS_PER_USD).unwrap_or_default();
        write!(f, "${whole}.{fraction:06}")
    }
}

impl FromStr for MicroUsd {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// A number of model tokens.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Tokens(u64);

impl Tokens {
    /// None.
    pub const ZERO: Self = Self(0);
    /// The largest number that can be written.
    pub const MAX: Self = Self(u64::MAX);

    /// A number of tokens.
    #[must_use]
    pub const fn new(count: u64) -> Self {
        Self(count)
    }

    /// The number.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.0
    }

    /// The sum, unless it does not fit.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(count) => Some(Self(count)),
            None => None,
        }
    }

    /// The difference, unless it is negative.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(count) => Some(Self(count)),
            None => None,
        }
    }

    /// The sum, or the largest number.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, or none.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Why a text is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AmountError {
    /// Not plain decimal digits with at most one point.
    NotDecimal,
    /// More than six decimals.
    TooPrecise,
    /// Does not fit.
    TooLarge,
}

impl fmt::Display for AmountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotDecimal => "not a plain decimal amount such as 2.50",
            Self::TooPrecise => "finer than a millionth of a dollar",
            Self::TooLarge => "larger than any budget",
        })
    }
}

impl std::error::Error for AmountError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimal_text_is_read_exactly() {
        assert_eq!(MicroUsd::parse("2.0"), Ok(MicroUsd::new(2_000_000)));
        assert_eq!(MicroUsd::parse("0.1"), Ok(MicroUsd::new(100_000)));
        assert_eq!(MicroUsd::parse("0.000001"), Ok(MicroUsd::new(1)));
        assert_eq!(MicroUsd::parse("007"), Ok(MicroUsd::new(7_000_000)));
        assert_eq!(MicroUsd::new(2_000_000).to_string(), "$2.000000");
    }

    #[test]
    fn what_floats_accept_is_refused() {
        for text in [
            "", ".", ".5", "2.", "-1", "+1", "1e3", "NaN", "inf", "1_000", "1,5", " 1", "1.-5", "٣",
        ] {
            assert_eq!(MicroUsd::parse(text), Err(AmountError::NotDecimal), "{text:?}");
        }
        assert_eq!(MicroUsd::parse("0.0000001"), Err(AmountError::TooPrecise));
        assert_eq!(MicroUsd::parse("99999999999999999999"), Err(AmountError::TooLarge));
        assert_eq!(MicroUsd::parse("18446744073709.551616"), Err(AmountError::TooLarge));
        assert_eq!(MicroUsd::parse("18446744073709.551615"), Ok(MicroUsd::MAX));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            let _ = MicroUsd::parse(&text);
        }

        #[test]
        fn shown_amounts_read_back(micros in any::<u64>()) {
            let amount = MicroUsd::new(micros);
            let shown = amount.to_string();
            prop_assert_eq!(MicroUsd::parse(shown.trim_start_matches('$')), Ok(amount));
        }

        #[test]
        fn addition_never_wraps(a in any::<u64>(), b in any::<u64>()) {
            let sum = MicroUsd::new(a).checked_add(MicroUsd::new(b));
            prop_assert_eq!(sum.map(MicroUsd::micros), a.checked_add(b));
            if let Some(sum) = sum {
                prop_assert_eq!(sum.checked_sub(MicroUsd::new(b)), Some(MicroUsd::new(a)));
            }
        }
    }
}
