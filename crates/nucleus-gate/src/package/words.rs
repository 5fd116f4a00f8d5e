//! The words of a pod's own making that leave: counted, so that names cannot carry much.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::refusal::PackageRefusal;
use crate::limits::PACKAGE_UNKNOWN_COUNT;

/// What is left of them in one task.
pub(super) struct Words {
    left: Semaphore,
    spent: Mutex<usize>,
    /// Addresses that were asked for and are not there: asking again would say nothing, and cost a word.
    absent: Mutex<BTreeSet<String>>,
}

/// Leave to name something. Dropped, it is spent: whoever hangs up before the answer has named it all the same.
#[must_use = "a dropped word is spent"]
pub(super) struct Word<'a> {
    permit: Option<SemaphorePermit<'a>>,
    words: &'a Words,
}

impl Words {
    pub(super) fn new() -> Self {
        let left = Semaphore::new(PACKAGE_UNKNOWN_COUNT);
        Self { left, spent: Mutex::new(0), absent: Mutex::default() }
    }

    /// Leave to ask at an address. Waits while every word that is left is on its way.
    pub(super) async fn take(&self, address: &str) -> Result<Word<'_>, PackageRefusal> {
        if self.absent.lock().unwrap_or_else(PoisonError::into_inner).contains(address) {
            return Err(PackageRefusal::NotFound);
        }
        let permit = self.left.acquire().await.map_err(|_| PackageRefusal::TooManyUnknown)?;
        Ok(Word { permit: Some(permit), words: self })
    }
}

impl Word<'_> {
    /// What was named is there, or nothing was sent.
    pub(super) fn give_back(mut self) {
        drop(self.permit.take());
    }

    /// There is nothing of that name.
    pub(super) fn not_found(self, address: &str) {
        let mut absent = self.words.absent.lock().unwrap_or_else(PoisonError::into_inner);
        absent.insert(address.to_owned());
    }
}

impl Drop for Word<'_> {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        permit.forget();
        let mut spent = self.words.spent.lock().unwrap_or_else(PoisonError::into_inner);
        *spent = spent.saturating_add(1);
        if *spent >= PACKAGE_UNKNOWN_COUNT {
            // Nobody may wait for a word that cannot come.
            self.words.left.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn words_are_spent_unless_they_are_given_back() {
        let words = Words::new();
        for _ in 0..3 * PACKAGE_UNKNOWN_COUNT {
            words.take("there").await.unwrap().give_back();
        }
        for i in 0..PACKAGE_UNKNOWN_COUNT {
            let word = words.take(&format!("secret-{i}")).await.unwrap();
            // Half of them by hanging up before the answer.
            if i % 2 == 0 {
                drop(word);
            } else {
                word.not_found(&format!("secret-{i}"));
            }
        }
        let refusal = |taken: Result<Word<'_>, PackageRefusal>| taken.err().unwrap();
        assert_eq!(refusal(words.take("there").await), PackageRefusal::TooManyUnknown);
        assert_eq!(refusal(words.take("secret-1").await), PackageRefusal::NotFound);
    }

    #[tokio::test]
    async fn no_more_than_what_is_left_is_on_its_way_at_once() {
        let words = Words::new();
        let mut out = Vec::new();
        for _ in 0..PACKAGE_UNKNOWN_COUNT {
            out.push(words.take("a").await.unwrap());
        }
        let waits = tokio::time::timeout(std::time::Duration::from_millis(50), words.take("b"));
        assert!(waits.await.is_err(), "all are on their way");
        out.pop().unwrap().give_back();
        let last = words.take("b").await.unwrap();
        drop(out);
        drop(last);
        assert!(matches!(words.take("c").await, Err(PackageRefusal::TooManyUnknown)));
    }
}
