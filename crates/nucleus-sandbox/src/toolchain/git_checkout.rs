//! Whether a bare clone in cargo's home came from a public address.

use std::fs;
use std::path::Path;

/// Largest file of the clone read.
const FILE_BYTES: u64 = 1024 * 1024;

/// True when every address named in the clone's `FETCH_HEAD` and `config` is https on a known public host without user
/// information. Unknown means private. (A private repository on a public host, fetched through a credential helper,
/// cannot be told from a public one by its address.)
pub(super) fn is_public(db: &Path, hosts: &[String]) -> bool {
    let mut seen = false;
    for name in ["FETCH_HEAD", "config"] {
        let path = db.join(name);
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if !metadata.is_file() || metadata.len() > FILE_BYTES {
            return false;
        }
        let Ok(text) = fs::read_to_string(&path) else { return false };
        for word in text.split_whitespace().filter(|w| is_address(w)) {
            seen = true;
            if !is_public_address(word, hosts) {
                return false;
            }
        }
    }
    seen
}

fn is_address(word: &str) -> bool {
    word.contains("://") || (word.contains('@') && word.contains(':'))
}

fn is_public_address(word: &str, hosts: &[String]) -> bool {
    let Some(rest) = word.strip_prefix("https://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    hosts.iter().any(|host| host == authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_without_user_on_known_hosts() {
        let hosts = ["github.com".to_owned()];
        let dir = tempfile::tempdir().unwrap();
        let verdict = |line: &str| {
            fs::write(dir.path().join("FETCH_HEAD"), line).unwrap();
            is_public(dir.path(), &hosts)
        };
        assert!(verdict("abc\t\t'HEAD' of https://github.com/a/b\n"));
        assert!(!verdict("abc\t\t'HEAD' of https://tok@github.com/a/b\n"));
        assert!(!verdict("abc\t\t'HEAD' of ssh://git@github.com/a/b\n"));
        assert!(!verdict("abc\t\t'HEAD' of git@github.com:a/b\n"));
        assert!(!verdict("abc\t\t'HEAD' of https://github.com.evil.example/a\n"));
        assert!(!verdict("abc\t\t'HEAD' of https://git.corp.example/a\n"));
        assert!(!verdict("nothing\n"), "no address known is private");
    }
}
