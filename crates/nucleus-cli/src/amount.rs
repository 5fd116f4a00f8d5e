//! Sizes and ages as people read them.

/// Bytes in binary units.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut tenths = bytes.saturating_mul(10) >> 10;
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    for unit in UNITS {
        if tenths < 10_240 {
            return if tenths < 100 {
                format!("{}.{} {unit}", tenths / 10, tenths % 10)
            } else {
                format!("{} {unit}", tenths / 10)
            };
        }
        tenths >>= 10;
    }
    format!("{bytes} B")
}

/// Reads a size: bytes, or a number with a decimal (kB, MB, GB, TB) or binary (KiB, MiB, GiB, TiB) unit.
///
/// # Errors
/// Words for whoever wrote it.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let factor: Option<u64> = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kb" => Some(1_000),
        "kib" => Some(1 << 10),
        "m" | "mb" => Some(1_000_000),
        "mib" => Some(1 << 20),
        "g" | "gb" => Some(1_000_000_000),
        "gib" => Some(1 << 30),
        "t" | "tb" => Some(1_000_000_000_000),
        "tib" => Some(1 << 40),
        _ => None,
    };
    let bytes = number.parse::<u64>().ok().zip(factor).and_then(|(n, by)| n.checked_mul(by));
    bytes.ok_or_else(|| {
        "a size is whole bytes, or a number with kB, MB, GB, KiB, MiB or GiB".to_owned()
    })
}

/// Time since a moment, coarsely.
pub(crate) fn age(then_ms: u64, now_ms: u64) -> String {
    let seconds = now_ms.saturating_sub(then_ms) / 1_000;
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The wall clock, in milliseconds since the epoch.
pub(crate) fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_read_well() {
        for (n, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (10 * 1024, "10 KiB"),
            (1 << 20, "1.0 MiB"),
            (5_000_000_000, "4.6 GiB"),
        ] {
            assert_eq!(bytes(n), text);
        }
        for (text, n) in
            [("0", 0), ("12", 12), ("5GB", 5_000_000_000), ("5 GiB", 5 << 30), ("2kb", 2_000)]
        {
            assert_eq!(parse_bytes(text), Ok(n), "{text}");
        }
        for text in ["", "GB", "1.5GB", "-1", "5 parsecs", "99999999999999999999", "99999999999TiB"]
        {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
        assert_eq!(age(0, 119_000), "119 s");
        assert_eq!(age(0, 120_000), "2 min");
        assert_eq!(age(0, 3 * 86_400_000), "3 days");
        assert_eq!(age(5, 0), "0 s");
    }
}
