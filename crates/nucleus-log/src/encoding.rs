//! Hexadecimal and base64, strict in both directions.

const HEX: &[u8; 16] = b"0123456789abcdef";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn symbol<const N: usize>(table: &'static [u8; N], index: u8) -> u8 {
    table.get(usize::from(index)).copied().unwrap_or(b'?')
}

/// Lowercase hexadecimal of 32 bytes, without branches.
pub(crate) fn hex32(bytes: &[u8; 32]) -> [u8; 64] {
    let mut text = [0_u8; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        if let [high, low] = pair {
            (*high, *low) = (byte >> 4, byte & 15);
        }
    }
    for digit in &mut text {
        let letter = u8::from(*digit > 9).wrapping_mul(b'a' - b'0' - 10);
        *digit = digit.wrapping_add(b'0').wrapping_add(letter);
    }
    text
}

/// True if every byte is a lowercase hexadecimal digit.
pub(crate) fn is_hex(text: &[u8]) -> bool {
    text.iter().fold(true, |all, b| {
        let digit = b.wrapping_sub(b'0') < 10;
        let letter = b.wrapping_sub(b'a') < 6;
        all & (digit | letter)
    })
}

/// Lowercase hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        text.push(char::from(symbol(HEX, byte >> 4)));
        text.push(char::from(symbol(HEX, byte & 15)));
    }
    text
}

fn nibble(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(byte.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    }
}

/// Reads exactly `N` bytes of lowercase hexadecimal.
pub(crate) fn parse_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != N.checked_mul(2)? {
        return None;
    }
    let mut bytes = [0_u8; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = (nibble(*high)? << 4) | nibble(*low)?;
    }
    Some(bytes)
}

/// Standard base64 with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3).saturating_mul(4));
    for chunk in bytes.chunks(3) {
        let (a, b, c) = match chunk {
            [a, b, c] => (*a, Some(*b), Some(*c)),
            [a, b] => (*a, Some(*b), None),
            [a] => (*a, None, None),
            _ => break,
        };
        let (b0, c0) = (b.unwrap_or(0), c.unwrap_or(0));
        text.push(char::from(symbol(BASE64, a >> 2)));
        text.push(char::from(symbol(BASE64, ((a & 3) << 4) | (b0 >> 4))));
        text.push(b.map_or('=', |_| char::from(symbol(BASE64, ((b0 & 15) << 2) | (c0 >> 6)))));
        text.push(c.map_or('=', |_| char::from(symbol(BASE64, c0 & 63))));
    }
    text
}

fn sextet(byte: u8) -> Option<u8> {
    BASE64.iter().position(|s| *s == byte).and_then(|i| u8::try_from(i).ok())
}

/// Reads standard base64; refuses missing padding, stray bits and any other byte.
pub(crate) fn parse_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut groups = text.as_bytes().chunks_exact(4);
    let mut ended = false;
    for group in groups.by_ref() {
        let [a, b, c, d] = group else { return None };
        if ended {
            return None;
        }
        let (a, b) = (sextet(*a)?, sextet(*b)?);
        bytes.push((a << 2) | (b >> 4));
        match (*c, *d) {
            (b'=', b'=') if b & 15 == 0 => ended = true,
            (c, b'=') => {
                let c = sextet(c)?;
                if c & 3 != 0 {
                    return None;
                }
                bytes.push((b << 4) | (c >> 2));
                ended = true;
            }
            (c, d) => {
                let (c, d) = (sextet(c)?, sextet(d)?);
                bytes.push((b << 4) | (c >> 2));
                bytes.push((c << 6) | d);
            }
        }
    }
    groups.remainder().is_empty().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn base64_matches_the_vectors_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
            assert_eq!(parse_base64(text).as_deref(), Some(bytes.as_bytes()));
        }
        for bad in ["Zg", "Zg=", "Zh==", "Zm9=", "Z===", "Zg==Zg==", "Zm9v\n", "-_-_"] {
            assert_eq!(parse_base64(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn base64_and_hex_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..100), digest: [u8; 32]) {
            prop_assert_eq!(parse_base64(&base64(&bytes)), Some(bytes.clone()));
            prop_assert_eq!(parse_hex::<32>(&hex32(&digest)), Some(digest));
            prop_assert_eq!(hex(&digest).into_bytes(), hex32(&digest).to_vec());
            prop_assert_eq!(is_hex(&bytes), bytes.iter().all(|b| b"0123456789abcdef".contains(b)));
            prop_assert!(is_hex(&hex32(&digest)));
        }
    }
}
