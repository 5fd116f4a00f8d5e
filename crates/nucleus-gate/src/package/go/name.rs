//! Names of modules and their versions.

use crate::limits::PACKAGE_NAME_BYTES;

/// The module that ships Go itself.
pub(super) const TOOLCHAIN: &str = "golang.org/toolchain";

/// Hosts whose modules all lie this many names deep. The client asks for every beginning of an import path, and these
/// beginnings are no modules: nobody needs to be asked.
const DEEP: [(&str, usize); 5] = [
    ("bitbucket.org", 3),
    ("github.com", 3),
    ("gitlab.com", 3),
    ("golang.org", 2),
    ("gopkg.in", 2),
];

/// True for the beginning of a path that is no module.
pub(super) fn holds_no_module(module: &str) -> bool {
    let host = module.split('/').next().unwrap_or_default();
    let names = module.split('/').count();
    DEEP.iter().any(|(deep, least)| *deep == host && names < *least)
}

/// The path of a module from its escaped form; `None` for what is none.
pub(in crate::package) fn module(text: &str) -> Option<String> {
    let path = unescaped(text)?;
    let mut elements = path.split('/');
    let host = elements.next()?;
    let is_host = host.contains('.')
        && !host.starts_with('-')
        && host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b));
    let is_element = |element: &str| {
        !element.is_empty()
            && !element.starts_with('.')
            && !element.ends_with('.')
            && element.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    let last = elements.clone().next_back().unwrap_or_default();
    let is_major = last.strip_prefix('v').is_none_or(|major| {
        let number = !major.is_empty() && major.bytes().all(|byte| byte.is_ascii_digit());
        // Versions 0 and 1 have no name of their own.
        !number || !major.starts_with('0') && major != "1"
    });
    (is_host && is_element(host) && elements.all(is_element) && is_major).then_some(path)
}

/// A version in its one form, from its escaped one; `None` for a branch, a commit or half a version.
pub(super) fn version(text: &str) -> Option<String> {
    let version = unescaped(text)?;
    is_version(&version).then_some(version)
}

/// True for a version in its one form.
pub(super) fn is_version(text: &str) -> bool {
    if text.len() > PACKAGE_NAME_BYTES {
        return false;
    }
    let plain = text.strip_suffix("+incompatible").unwrap_or(text);
    let Some(plain) = plain.strip_prefix('v') else { return false };
    let (release, before) = match plain.split_once('-') {
        Some((release, before)) => (release, Some(before)),
        None => (plain, None),
    };
    let is_number = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'))
    };
    let is_word = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        !text.is_empty() && plain && (!digits || is_number(text))
    };
    release.split('.').count() == 3
        && release.split('.').all(is_number)
        && before.is_none_or(|before| before.split('.').all(is_word))
}

/// True for the version of a commit without a name: `v0.0.0-20200101000000-abcdefabcdef` and its relatives.
pub(super) fn is_pseudo(version: &str) -> bool {
    let plain = version.strip_suffix("+incompatible").unwrap_or(version);
    let Some((rest, commit)) = plain.rsplit_once('-') else { return false };
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let Some((base, time)) = rest.len().checked_sub(14).and_then(|at| rest.split_at_checked(at))
    else {
        return false;
    };
    let at_time = base.ends_with("-0.")
        || base.ends_with(".0.")
        || base.strip_suffix(".0.0-").is_some_and(|major| !major.contains('-'));
    is_version(version)
        && commit.len() == 12
        && commit.bytes().all(is_hex)
        && time.bytes().all(|byte| byte.is_ascii_digit())
        && at_time
}

/// A path or version as addresses have it: a capital is a mark and its small letter.
pub(in crate::package) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_uppercase() {
            out.push('!');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// The reverse. Its length is that of what leaves.
fn unescaped(text: &str) -> Option<String> {
    // The one escape that clients use.
    let text = text.replace("%21", "!");
    if text.len() > PACKAGE_NAME_BYTES {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            'A'..='Z' => return None,
            '!' => {
                let marked = characters.next().filter(char::is_ascii_lowercase)?;
                out.push(marked.to_ascii_uppercase());
            }
            other => out.push(other),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_are_marked() {
        for text in ["github.com/!azure/azure-sdk-for-go", "github.com/%21azure/azure-sdk-for-go"] {
            assert_eq!(module(text).as_deref(), Some("github.com/Azure/azure-sdk-for-go"));
        }
        assert_eq!(escaped("github.com/Azure/X"), "github.com/!azure/!x");
        assert_eq!(version("v1.0.0-!r!c.1").as_deref(), Some("v1.0.0-RC.1"));
        for bad in ["github.com/Azure/x", "github.com/!!a/x", "github.com/!1/x", "github.com/a!"] {
            assert_eq!(module(bad), None, "{bad}");
        }
    }

    #[test]
    fn modules_have_plain_and_short_paths() {
        for good in [
            "rsc.io/quote",
            "gopkg.in/yaml.v3",
            "github.com/go-chi/chi/v5",
            "gioui.org",
            "example.org/a/~b/c_d",
        ] {
            assert_eq!(module(good).as_deref(), Some(good));
        }
        for bad in [
            "",
            "local",
            "local/x",
            "example.org/",
            "/example.org",
            "example.org//x",
            "example.org/..",
            "example.org/../x",
            "example.org/.git",
            "example.org/x.",
            "example.org/x y",
            "example.org/x%41",
            "example.org/x@y",
            "example.org/x:y",
            "example.org/x+y",
            "-x.org/y",
            ".org/y",
            "example_x.org/y",
            "example.org/é",
            "example.org/x/v1",
            "example.org/x/v0",
            "example.org/x/v02",
        ] {
            assert_eq!(module(bad), None, "{bad}");
        }
        assert_eq!(module(&format!("example.org/{}", "a".repeat(PACKAGE_NAME_BYTES))), None);
        assert!(holds_no_module("github.com") && holds_no_module("github.com/x"));
        assert!(!holds_no_module("github.com/x/y") && !holds_no_module("gioui.org"));
    }

    #[test]
    fn versions_have_one_form() {
        for good in ["v0.0.0", "v1.2.3", "v2.0.0+incompatible", "v1.0.0-rc.1", "v1.0.0-a-b.c"] {
            assert!(is_version(good) && !is_pseudo(good), "{good}");
        }
        for good in [
            "v0.0.0-20200101000000-abcdefabcdef",
            "v1.2.4-0.20200101000000-abcdefabcdef",
            "v1.2.3-pre.0.20200101000000-abcdefabcdef",
            "v2.0.1-0.20200101000000-abcdefabcdef+incompatible",
        ] {
            assert!(is_version(good) && is_pseudo(good), "{good}");
        }
        for bad in [
            "",
            "v",
            "1.0.0",
            "v1",
            "v1.0",
            "v1.0.0.0",
            "v01.0.0",
            "v1.0.0-",
            "v1.0.0-01",
            "v1.0.0-a..b",
            "v1.0.0+meta",
            "v1.0.0-a/b",
            "v1.0.0-a_b",
            "latest",
            "master",
            "abcdefabcdef",
        ] {
            assert!(!is_version(bad), "{bad}");
        }
        assert!(!is_version(&format!("v1.0.0-{}", "a".repeat(PACKAGE_NAME_BYTES))));
        for other in [
            "v0.0.0-20200101000000-abcdefabcde",
            "v0.0.0-20200101000000-secretsecret",
            "v0.0.0-2020010100000-abcdefabcdef",
            "v0.0.0-x20200101000000-abcdefabcdef",
            "v1.2.3-20200101000000-abcdefabcdef",
            "v0.0.0-words.20200101000000-abcdefabcdef",
        ] {
            assert!(!is_pseudo(other), "{other}");
        }
    }
}
