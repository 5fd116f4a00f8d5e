//! What a task may spend, taken before it is spent.
//!
//! A budget is a chain of levels, child to root. Reserving takes the worst case from every level or from
//! none; settling books the real amount and gives the rest back. All counters are integers in atomic cells:
//! no lock, and no interleaving in which two callers get the same micro-dollar.

use std::fmt;

use crate::sync::{Arc, AtomicU64, Ordering};

/// An amount of everything a budget counts, and also a limit on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Micro-dollars.
    pub cost_micro_usd: u64,
    /// Uncached input tokens.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self { cost_micro_usd: 0, input_tokens: 0, output_tokens: 0 };

    /// No limit in any dimension.
    pub const UNLIMITED: Self =
        Self { cost_micro_usd: u64::MAX, input_tokens: u64::MAX, output_tokens: u64::MAX };

    /// Only money.
    #[must_use]
    pub const fn micro_usd(cost: u64) -> Self {
        Self { cost_micro_usd: cost, input_tokens: 0, output_tokens: 0 }
    }

    /// Sum, stopping at the largest number.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self {
            cost_micro_usd: self.cost_micro_usd.saturating_add(other.cost_micro_usd),
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
        }
    }

    const fn array(self) -> [u64; 3] {
        [self.cost_micro_usd, self.input_tokens, self.output_tokens]
    }

    const fn from_array([cost_micro_usd, input_tokens, output_tokens]: [u64; 3]) -> Self {
        Self { cost_micro_usd, input_tokens, output_tokens }
    }
}

/// What a budget counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetUnit {
    /// Micro-dollars.
    Cost,
    /// Uncached input tokens.
    InputTokens,
    /// Output tokens.
    OutputTokens,
}

impl BudgetUnit {
    const ALL: [Self; 3] = [Self::Cost, Self::InputTokens, Self::OutputTokens];
}

impl fmt::Display for BudgetUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cost => "cost",
            Self::InputTokens => "input tokens",
            Self::OutputTokens => "output tokens",
        })
    }
}

/// A reservation that did not fit. Concurrent reservations that are rolled back can make one that would fit
/// fail: a refusal may be spurious, a grant never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the budget's {unit} would be exceeded: {wanted} wanted, {left} left")]
pub struct BudgetExceeded {
    /// What ran out.
    pub unit: BudgetUnit,
    /// How much was asked for.
    pub wanted: u64,
    /// How much was left at that moment.
    pub left: u64,
}

/// One counter of one level. `held` is what is booked plus what is reserved.
struct Cell {
    limit: u64,
    held: AtomicU64,
    booked: AtomicU64,
}

impl Cell {
    fn new(limit: u64) -> Self {
        Self { limit, held: AtomicU64::new(0), booked: AtomicU64::new(0) }
    }

    /// Takes `wanted` or tells how much is left.
    fn take(&self, wanted: u64) -> Result<(), u64> {
        // Nothing wanted fits even where an overrun has gone past the limit.
        if wanted == 0 {
            return Ok(());
        }
        let mut held = self.held.load(Ordering::Acquire);
        loop {
            let left = self.limit.saturating_sub(held);
            if wanted > left {
                return Err(left);
            }
            let next = held.saturating_add(wanted);
            match self.held.compare_exchange_weak(held, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(()),
                Err(now) => held = now,
            }
        }
    }

    fn give_back(&self, amount: u64) {
        Self::update(&self.held, |held| held.saturating_sub(amount));
    }

    /// Turns `reserved` into `real`. A real amount above the reservation is booked all the same: it is spent.
    fn book(&self, reserved: u64, real: u64) {
        Self::update(&self.booked, |booked| booked.saturating_add(real));
        if real >= reserved {
            Self::update(&self.held, |held| held.saturating_add(real - reserved));
        } else {
            self.give_back(reserved - real);
        }
    }

    fn update(cell: &AtomicU64, change: impl Fn(u64) -> u64) {
        let mut now = cell.load(Ordering::Acquire);
        while let Err(seen) =
            cell.compare_exchange_weak(now, change(now), Ordering::AcqRel, Ordering::Acquire)
        {
            now = seen;
        }
    }
}

struct Level {
    cells: [Cell; 3],
    parent: Option<Arc<Level>>,
}

impl Level {
    fn new(limits: Amount, parent: Option<Arc<Self>>) -> Self {
        Self { cells: limits.array().map(Cell::new), parent }
    }

    /// This level and everything above it.
    fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |level| level.parent.as_deref())
    }

    fn reserve_here(&self, amount: Amount) -> Result<(), BudgetExceeded> {
        let wanted = amount.array();
        for (taken, ((cell, wanted), unit)) in
            self.cells.iter().zip(wanted).zip(BudgetUnit::ALL).enumerate()
        {
            if let Err(left) = cell.take(wanted) {
                for (cell, wanted) in self.cells.iter().zip(amount.array()).take(taken) {
                    cell.give_back(wanted);
                }
                return Err(BudgetExceeded { unit, wanted, left });
            }
        }
        Ok(())
    }

    fn release_here(&self, amount: Amount) {
        for (cell, amount) in self.cells.iter().zip(amount.array()) {
            cell.give_back(amount);
        }
    }

    fn book_here(&self, reserved: Amount, real: Amount) {
        for ((cell, reserved), real) in self.cells.iter().zip(reserved.array()).zip(real.array()) {
            cell.book(reserved, real);
        }
    }
}

/// A budget shared by every thread of a task. Cheap to clone: clones are the same budget.
#[derive(Clone)]
pub struct AtomicBudget {
    level: Arc<Level>,
}

impl AtomicBudget {
    /// A root budget.
    #[must_use]
    pub fn new(limits: Amount) -> Self {
        Self { level: Arc::new(Level::new(limits, None)) }
    }

    /// A budget inside this one: whatever it spends, this one and its parents spend too.
    #[must_use]
    pub fn child(&self, limits: Amount) -> Self {
        Self { level: Arc::new(Level::new(limits, Some(Arc::clone(&self.level)))) }
    }

    /// Takes `amount` from this level and every level above, or from none.
    ///
    /// # Errors
    /// [`BudgetExceeded`] names what did not fit; nothing is held then.
    pub fn reserve(&self, amount: Amount) -> Result<Reservation, BudgetExceeded> {
        for (taken, level) in self.level.chain().enumerate() {
            if let Err(exceeded) = level.reserve_here(amount) {
                for level in self.level.chain().take(taken) {
                    level.release_here(amount);
                }
                return Err(exceeded);
            }
        }
        Ok(Reservation { level: Arc::clone(&self.level), amount })
    }

    /// What a reservation could take now, at the tightest level of the chain.
    #[must_use]
    pub fn left(&self) -> Amount {
        let mut left = Amount::UNLIMITED.array();
        for level in self.level.chain() {
            for (left, cell) in left.iter_mut().zip(&level.cells) {
                *left = (*left).min(cell.limit.saturating_sub(cell.held.load(Ordering::Acquire)));
            }
        }
        Amount::from_array(left)
    }

    /// What was really spent at this level, children included.
    #[must_use]
    pub fn booked(&self) -> Amount {
        self.read(|cell| cell.booked.load(Ordering::Acquire))
    }

    /// What is reserved at this level and not yet settled.
    #[must_use]
    pub fn reserved(&self) -> Amount {
        // `booked` first: a concurrent booking can then only make the answer smaller, never negative.
        self.read(|cell| {
            let booked = cell.booked.load(Ordering::Acquire);
            cell.held.load(Ordering::Acquire).saturating_sub(booked)
        })
    }

    /// The limits of this level alone.
    #[must_use]
    pub fn limits(&self) -> Amount {
        self.read(|cell| cell.limit)
    }

    fn read(&self, value: impl Fn(&Cell) -> u64) -> Amount {
        let [cost, input, output] = &self.level.cells;
        Amount::from_array([value(cost), value(input), value(output)])
    }
}

impl fmt::Debug for AtomicBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtomicBudget")
            .field("limits", &self.limits())
            .field("booked", &self.booked())
            .field("reserved", &self.reserved())
            .finish()
    }
}

/// An amount held for one effect. Dropping it gives the amount back.
#[must_use = "a dropped reservation releases itself"]
pub struct Reservation {
    level: Arc<Level>,
    amount: Amount,
}

impl Reservation {
    /// What is held.
    #[must_use]
    pub fn amount(&self) -> Amount {
        self.amount
    }

    /// Books what was really spent and gives the rest back. More than was held is booked as well, since it is
    /// spent; later reservations then find less.
    pub fn settle(mut self, real: Amount) {
        for level in self.level.chain() {
            level.book_here(self.amount, real);
        }
        self.amount = Amount::ZERO;
    }

    /// Gives everything back: the effect did not happen.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        for level in self.level.chain() {
            level.release_here(self.amount);
        }
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation").field("amount", &self.amount).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
