//! Links of an HTML page, as far as an index of Python packages needs them.

use std::collections::BTreeMap;

/// One `<a>` with its attributes and its text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Anchor {
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) text: String,
}

/// Every link of a page, in order. What is no link is passed over.
pub(super) fn anchors(page: &str) -> Vec<Anchor> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        rest = rest.get(at..).and_then(|tag| tag.get(1..)).unwrap_or_default();
        let is_anchor = rest.starts_with(['a', 'A'])
            && rest
                .get(1..)
                .is_some_and(|next| next.starts_with(|c: char| c.is_ascii_whitespace()));
        if !is_anchor {
            continue;
        }
        let (attributes, after) = attributes(rest.get(1..).unwrap_or_default());
        let text = after.split('<').next().unwrap_or_default();
        found.push(Anchor { attributes, text: plain(text.trim()) });
        rest = after;
    }
    found
}

/// Attributes up to the end of a tag, and what follows it.
fn attributes(tag: &str) -> (BTreeMap<String, String>, &str) {
    let mut attributes = BTreeMap::new();
    let mut rest = tag;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if rest.is_empty() {
            return (attributes, rest);
        }
        if let Some(after) = rest.strip_prefix('>') {
            return (attributes, after);
        }
        let end = rest.find(|c: char| c.is_ascii_whitespace() || "=>/".contains(c));
        let (name, after) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or_default();
        let after = after.trim_start_matches(|c: char| c.is_ascii_whitespace());
        let (value, after) = match after.strip_prefix('=') {
            Some(value) => value_of(value.trim_start_matches(|c: char| c.is_ascii_whitespace())),
            None => ("", after),
        };
        if name.is_empty() {
            // A stray character: without this the same place would be looked at for ever.
            let mut characters = rest.chars();
            characters.next();
            rest = characters.as_str();
            continue;
        }
        attributes.entry(name.to_ascii_lowercase()).or_insert_with(|| plain(value));
        rest = after;
    }
}

/// A value in either quotes or none, and what follows it.
fn value_of(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(quoted) = text.strip_prefix(quote) {
            return quoted.split_once(quote).unwrap_or((quoted, ""));
        }
    }
    let end = text.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Text without character references.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let reference = after.split_once(';').filter(|(name, _)| name.len() <= 8);
        match reference.and_then(|(name, behind)| Some((character(name)?, behind))) {
            Some((c, behind)) => {
                out.push(c);
                rest = behind;
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn character(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read_with_their_attributes() {
        let page = "<html><A HREF='x?a&amp;b'  data-requires-python=\"&gt;=3.8\" data-yanked>t-1.tar.gz</A><abbr>n</abbr>\n<a href=y/ >u</a>";
        let found = anchors(page);
        assert_eq!(found.len(), 2, "{found:?}");
        let first = &found[0];
        assert_eq!(first.attributes["href"], "x?a&b");
        assert_eq!(first.attributes["data-requires-python"], ">=3.8");
        assert_eq!(first.attributes["data-yanked"], "");
        assert_eq!(first.text, "t-1.tar.gz");
        assert_eq!((found[1].attributes["href"].as_str(), found[1].text.as_str()), ("y/", "u"));
    }

    #[test]
    fn no_page_is_too_strange() {
        for page in [
            "",
            "<",
            "<a",
            "<a ",
            "<a =",
            "<a ==>",
            "<a href",
            "<a href=",
            "<a href=\"",
            "<a href='x",
            "<a / / >",
            "<a \u{e9}=\u{e9}>\u{e9}",
            "<a href=&;&#;&#x;&#99999999;&amp",
            "<a x=1 x=2>&",
        ] {
            let _read = anchors(page);
        }
        let one = anchors("<a x=1 x=2>b</a>");
        assert_eq!(one[0].attributes["x"], "1", "the first one stands, as in browsers");
    }
}
