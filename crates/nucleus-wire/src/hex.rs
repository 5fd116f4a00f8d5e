//! Bytes that are no text, written as text.

const DIGITS: [char; 16] =
    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];

/// Two lower-case digits for each byte.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        for half in [byte >> 4, byte & 0xf] {
            text.extend(DIGITS.get(usize::from(half)));
        }
    }
    text
}

/// The bytes of a hex text, of either case; `None` when it is none.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    digits?
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some((high << 4) | low),
            _ => None,
        })
        .collect()
}

/// As [`decode`], for a text of exactly `N` bytes.
#[must_use]
pub fn decode_exact<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_gives_the_bytes_back() {
        assert_eq!(encode(b"a\xff\x0f"), "61ff0f");
        assert_eq!(decode("61ff0f").as_deref(), Some(b"a\xff\x0f".as_slice()));
        assert_eq!(decode("").as_deref(), Some(b"".as_slice()));
        assert_eq!((decode("zz"), decode("6")), (None, None));
        assert_eq!(decode_exact::<2>("00fF"), Some([0, 255]));
        for bad in ["00f", "00", "00fff", "00ffff", "00fg", "+0ff", "é0f"] {
            assert_eq!(decode_exact::<2>(bad), None, "{bad}");
        }
    }
}
