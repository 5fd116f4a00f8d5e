//! Words for a POSIX shell, so that what is printed can be pasted.

/// `text` as one word.
pub(crate) fn quote(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+=:,@%".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_words_come_back_from_a_shell() {
        for word in ["plain", "", "two words", "it's", "$HOME `x` \"y\" \\z", "--a=b", "né\nx"] {
            let script = format!("printf %s {}", quote(word));
            let output = std::process::Command::new("sh").arg("-c").arg(&script).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word, "{script}");
        }
    }
}
