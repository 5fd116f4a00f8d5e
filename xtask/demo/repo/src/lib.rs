//! Ticket fares.

/// Price of a ride in cents: children below twelve pay half, rounded down.
pub fn fare(base_cents: u32, age: u32) -> u32 {
    if age <= 12 { base_cents / 2 } else { base_cents }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_pays_half() {
        assert_eq!(fare(301, 11), 150);
    }

    #[test]
    fn at_twelve_the_full_fare_is_due() {
        assert_eq!(fare(300, 12), 300);
    }
}
