//! Host paths taken out of text an agent reads.
//!
//! Messages of the system and of libraries name files of the host. An agent needs none of that: what lies in
//! its workspace becomes `[sandbox]/…`, what lies in the user's home `[home]/…`, any other absolute path
//! `[path]`. Applied to refusals and error texts, never to the content of files or the output of commands.

use std::path::Path;

/// Rewrites host paths. One per task.
#[derive(Debug, Clone)]
pub struct Sanitizer {
    /// Prefix without trailing slash and its replacement, longest prefix first.
    prefixes: Vec<(String, &'static str)>,
}

impl Sanitizer {
    /// For a task in `workspace` of a user whose home is `home`.
    #[must_use]
    pub fn new(workspace: &Path, home: Option<&Path>) -> Self {
        let mut prefixes = Vec::new();
        for (path, name) in [(Some(workspace), "[sandbox]"), (home, "[home]")] {
            let Some(text) = path.and_then(Path::to_str) else { continue };
            let text = text.trim_end_matches('/');
            if text.starts_with('/') {
                prefixes.push((text.to_owned(), name));
            }
        }
        prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Self { prefixes }
    }

    /// The text without host paths.
    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut before = None;
        while let Some(c) = rest.chars().next() {
            if c == '/' && starts_path(before, rest) {
                let (path, after) = rest.split_at(path_len(rest));
                self.push_replacement(&mut out, path);
                before = path.chars().next_back();
                rest = after;
            } else {
                out.push(c);
                before = Some(c);
                rest = rest.split_at(c.len_utf8()).1;
            }
        }
        out
    }

    fn push_replacement(&self, out: &mut String, path: &str) {
        for (prefix, name) in &self.prefixes {
            if let Some(below) = path.strip_prefix(prefix.as_str())
                && (below.is_empty() || below.starts_with('/'))
            {
                // A path that climbs out again is not below the prefix.
                if below.split('/').any(|part| part == "..") {
                    break;
                }
                out.push_str(name);
                out.push_str(below);
                return;
            }
        }
        out.push_str("[path]");
    }
}

/// True when a slash at the head of `rest` begins an absolute path, given the character before it.
fn starts_path(before: Option<char>, rest: &str) -> bool {
    // `a/b`, `[sandbox]/x`, `./x` and `~/x` are relative; the second slash of `https://` is no path either.
    let glued = before
        .is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | ']' | '~' | '/'));
    let scheme = before == Some(':') && rest.starts_with("//");
    !glued && !scheme && rest.chars().nth(1).is_some_and(|next| !ends_path(next))
}

/// Bytes of the path at the head of `text`.
fn path_len(text: &str) -> usize {
    let end = text.char_indices().find(|(_, c)| ends_path(*c)).map_or(text.len(), |(at, _)| at);
    // Punctuation of the sentence is not part of the path.
    text.split_at(end).0.trim_end_matches(['.', ',', ';', '!', '?']).len().max(1)
}

fn ends_path(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '"' | '\'' | '`' | '(' | ')' | '<' | '>' | '|' | ':' | '{' | '}' | '[' | ']')
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Sanitizer;

    fn sanitizer() -> Sanitizer {
        Sanitizer::new(Path::new("/home/user/project"), Some(Path::new("/home/user")))
    }

    #[test]
    fn each_class_of_path_has_its_name() {
        for (text, expected) in [
            ("/home/user/project/src/main.rs", "[sandbox]/src/main.rs"),
            ("/home/user/project", "[sandbox]"),
            ("/home/user/.config/credentials", "[home]/.config/credentials"),
            ("/etc/passwd", "[path]"),
            ("open(\"/etc/passwd\"): denied", "open(\"[path]\"): denied"),
            ("cannot open /etc/passwd.", "cannot open [path]."),
            ("/proc/1/environ:12: x", "[path]:12: x"),
            ("a=/run/x b=/run/y", "a=[path] b=[path]"),
            ("file:///etc/passwd", "file:///etc/passwd"),
        ] {
            assert_eq!(sanitizer().clean(text), expected, "{text}");
        }
    }

    #[test]
    fn neighbours_of_a_prefix_are_other_paths() {
        assert_eq!(sanitizer().clean("/home/user/project-2/x"), "[home]/project-2/x");
        assert_eq!(sanitizer().clean("/home/user2/x"), "[path]");
        assert_eq!(sanitizer().clean("/home/user/project/../../x"), "[path]");
    }

    #[test]
    fn what_is_no_absolute_path_stays() {
        for text in [
            "src/main.rs",
            "and/or",
            "./x/y",
            "../x",
            "https://api.example.com/v1/x",
            "1 / 2",
            "/",
            "[sandbox]/src",
            "~/x",
            "é/ü",
            "exit 1, 3/4 done",
            "",
        ] {
            assert_eq!(sanitizer().clean(text), text);
        }
    }

    #[test]
    fn cleaning_twice_changes_nothing_more() {
        let once = sanitizer().clean("x /home/user/project/a /etc/b\n/home/user/c");
        assert_eq!(sanitizer().clean(&once), once);
    }
}
