//! Names of packages, versions and files: the only words of a pod that leave, so they are short and plain.

use lattice_guard::Registry;

use crate::limits::{PACKAGE_FILE_BYTES, PACKAGE_NAME_BYTES};

/// The name as its registry's address has it; `None` for what is no name.
pub(super) fn package(registry: Registry, text: &str) -> Option<String> {
    let plain = |name: &str, more: &[u8]| {
        name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
    };
    if text.len() > PACKAGE_NAME_BYTES {
        return None;
    }
    match registry {
        Registry::Cargo if plain(text, b"-_") => Some(text.to_ascii_lowercase()),
        Registry::Npm => {
            let (scope, name) = match text.strip_prefix('@') {
                Some(scoped) => scoped.split_once('/')?,
                None => ("a", text),
            };
            (plain(scope, b"-_.") && plain(name, b"-_.")).then(|| text.to_owned())
        }
        Registry::Pip if plain(text, b"-_.") => Some(normalised(text)),
        Registry::Go => super::go::module(text),
        _ => None,
    }
}

/// A name of the Python Package Index in its one form.
pub(super) fn normalised(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '-' | '_' | '.' if name.ends_with('-') => {}
            '-' | '_' | '.' => name.push('-'),
            other => name.push(other.to_ascii_lowercase()),
        }
    }
    name
}

/// True for what can be a version or the name of a file.
pub(super) fn is_file(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= PACKAGE_FILE_BYTES
        && !text.starts_with('.')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+!-".contains(&byte))
}

/// Where the index of crates has a name.
pub(super) fn cargo_path(name: &str) -> String {
    let part = |from: usize, to: usize| name.get(from..to).unwrap_or_default();
    match name.len() {
        1 => format!("1/{name}"),
        2 => format!("2/{name}"),
        3 => format!("3/{}/{name}", part(0, 1)),
        _ => format!("{}/{}/{name}", part(0, 2), part(2, 4)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_short() {
        let cargo = |text: &str| package(Registry::Cargo, text);
        assert_eq!(cargo("Inflector").as_deref(), Some("inflector"));
        assert_eq!(package(Registry::Pip, "Foo__bar.Baz").as_deref(), Some("foo-bar-baz"));
        assert_eq!(package(Registry::Npm, "@types/node").as_deref(), Some("@types/node"));
        assert_eq!(package(Registry::Npm, "JSONStream").as_deref(), Some("JSONStream"));
        for registry in Registry::ALL {
            for bad in [
                "", ".", "..", "a/b", "a b", "a%41", "-", "_a", "a\n", "é", "@", "@a", "@/b",
                "@a/", "@a/../b", "a?b",
            ] {
                assert_eq!(package(registry, bad), None, "{registry} {bad:?}");
            }
            assert_eq!(package(registry, &"a".repeat(PACKAGE_NAME_BYTES + 1)), None);
        }
        for bad in ["", ".", "..", ".a", "a/b", "a%2e", "a b", "a?"] {
            assert!(!is_file(bad), "{bad:?}");
        }
        assert!(is_file("1.0.0-alpha.1+build.5") && is_file("a_b-1!2.0-py3-none-any.whl"));
    }

    #[test]
    fn crates_are_where_cargo_looks_for_them() {
        for (name, path) in [
            ("a", "1/a"),
            ("ab", "2/ab"),
            ("abc", "3/a/abc"),
            ("abcd", "ab/cd/abcd"),
            ("serde", "se/rd/serde"),
        ] {
            assert_eq!(cargo_path(name), path);
        }
    }
}
