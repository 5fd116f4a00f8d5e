//! The settings files of clients: JSON, JSON with comments, or TOML.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;
use serde_json::{Map, Value};

/// Largest settings file read; clients keep histories in some.
const FILE_BYTES: u64 = 64 * 1024 * 1024;
/// Longest value carried over.
const WORD_BYTES: usize = 200;

/// Reads a table of the host's; anything else is an empty one.
pub(super) fn read(path: &Path) -> Map<String, Value> {
    // A FIFO is not waited for.
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let opened = std::fs::File::options().read(true).custom_flags(nonblocking).open(path);
    let Ok(file) = opened else { return Map::new() };
    let mut text = String::new();
    if !file.metadata().is_ok_and(|m| m.is_file())
        || file.take(FILE_BYTES).read_to_string(&mut text).is_err()
    {
        return Map::new();
    }
    let value = if path.extension().is_some_and(|ending| ending == "toml") {
        toml::from_str::<Value>(&text).ok()
    } else {
        serde_json::from_str(&text).or_else(|_| serde_json::from_str(&plain(&text))).ok()
    };
    match value {
        Some(Value::Object(table)) => table,
        _ => Map::new(),
    }
}

/// Names of the objects below a dotted key, in which `{workspace}` is one name.
pub(super) fn names(object: &Map<String, Value>, key: &str, workspace: &str) -> Vec<String> {
    let mut at = object;
    for part in key.split('.') {
        let part = if part == "{workspace}" { workspace } else { part };
        match at.get(part).and_then(Value::as_object) {
            Some(below) => at = below,
            None => return Vec::new(),
        }
    }
    at.keys().cloned().collect()
}

/// The values at these dotted keys that are plain words, such as the name of a model.
pub(super) fn words(object: &Map<String, Value>, keys: &[String]) -> BTreeMap<String, String> {
    let plain = |word: &&str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || " -_.:/@".contains(c);
        !word.is_empty() && word.len() <= WORD_BYTES && word.chars().all(allowed)
    };
    let at = |key: &String| {
        let (first, rest) = key.split_once('.').unwrap_or((key, ""));
        let value = object.get(first)?;
        let value = if rest.is_empty() { value } else { value.get(rest)? };
        value.as_str().filter(plain).map(|word| (key.clone(), word.to_owned()))
    };
    keys.iter().filter_map(at).collect()
}

/// TOML without the named tables and keys, at whatever depth. What is no TOML becomes empty: nothing of it is known to
/// be harmless.
pub(super) fn strip(text: &str, keys: &[String]) -> String {
    let Ok(mut table) = toml::from_str::<toml::Table>(text) else { return String::new() };
    without(&mut table, keys);
    toml::to_string(&table).unwrap_or_default()
}

fn without(table: &mut toml::Table, keys: &[String]) {
    table.retain(|name, _| !keys.iter().any(|key| key.eq_ignore_ascii_case(name)));
    for (_, value) in table.iter_mut() {
        inside(value, keys);
    }
}

fn inside(value: &mut toml::Value, keys: &[String]) {
    match value {
        toml::Value::Table(table) => without(table, keys),
        toml::Value::Array(items) => items.iter_mut().for_each(|item| inside(item, keys)),
        _ => {}
    }
}

/// JSON without the comments and trailing commas that editors allow.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut in_string = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' if in_string => {
                out.push(c);
                out.extend(chars.next());
                continue;
            }
            '"' => in_string = !in_string,
            '/' if !in_string && chars.peek() == Some(&'/') => {
                while chars.next_if(|c| *c != '\n').is_some() {}
                continue;
            }
            '/' if !in_string && chars.peek() == Some(&'*') => {
                let mut last = ' ';
                for c in chars.by_ref().skip(1) {
                    if last == '*' && c == '/' {
                        break;
                    }
                    last = c;
                }
                continue;
            }
            '}' | ']' if !in_string => {
                let kept = out.trim_end();
                if let Some(kept) = kept.strip_suffix(',') {
                    out.truncate(kept.len());
                }
            }
            _ => {}
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_trailing_commas_are_no_obstacle() {
        let text = "{ // one, }\n \"a\": \"// \\\" , }\", /* two * / */ \"b\": [1, 2,],\n}";
        let value: Value = serde_json::from_str(&plain(text)).unwrap();
        assert_eq!(value, serde_json::json!({"a": "// \" , }", "b": [1, 2]}));
    }

    #[test]
    fn only_plain_words_are_carried_over() {
        let object =
            serde_json::json!({"model": {"name": "gemini-3"}, "a": "x\n[mcp]", "b": {"c": 1}});
        let keys = ["model.name", "a", "b", "b.c", "absent"].map(str::to_owned);
        let words = words(object.as_object().unwrap(), &keys);
        assert_eq!(
            words.into_iter().collect::<Vec<_>>(),
            [("model.name".into(), "gemini-3".into())]
        );
    }

    #[test]
    fn tables_go_with_what_is_in_them() {
        let text =
            "name = 'a'\n[mcp_servers.x]\ncommand = 'evil'\n[[step]]\nhooks = ['evil']\ndo = 'b'\n";
        let left = strip(text, &["mcp_servers".to_owned(), "hooks".to_owned()]);
        assert!(left.contains("name") && left.contains("do") && !left.contains("evil"), "{left}");
        assert_eq!(strip("no TOML = = evil", &[]), "");
    }
}
