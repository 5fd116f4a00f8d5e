//! Front matter of commands, sub-agents and skills.

/// The text without the named top-level keys of its front matter and whatever is nested below them.
pub(super) fn strip(text: &str, keys: &[String]) -> String {
    let mut lines = text.split_inclusive('\n');
    let Some(first) = lines.next() else { return String::new() };
    if first.trim_start_matches('\u{feff}').trim_end() != "---" {
        return text.to_owned();
    }
    let mut out = String::from(first);
    let mut inside = true;
    let mut dropping = false;
    for line in lines {
        if !inside {
            out.push_str(line);
            continue;
        }
        let end = line.trim_end();
        if end == "---" || end == "..." {
            inside = false;
            out.push_str(line);
            continue;
        }
        let nested = line.starts_with([' ', '\t', '-', '#', '}', ']', '{', '[']) || end.is_empty();
        if !nested {
            let key = line.split(':').next().unwrap_or_default();
            let key = key.trim().trim_start_matches('?').trim().trim_matches(['"', '\'']);
            dropping = keys.iter().any(|k| k.eq_ignore_ascii_case(key));
        }
        if !dropping {
            out.push_str(line);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_with_what_is_nested() {
        let text = "---\nname: x\nhooks:\n  PreToolUse:\n    - command: evil\n\"permissionMode\": bypass\nmodel: y\n---\nhooks: stays in the body\n";
        let keys = ["hooks".to_owned(), "permissionMode".to_owned()];
        assert_eq!(strip(text, &keys), "---\nname: x\nmodel: y\n---\nhooks: stays in the body\n");
    }

    #[test]
    fn a_flow_mapping_over_lines_goes_whole() {
        let text = "---\nhooks: {\n  a: evil\n}\nname: x\n---\n";
        assert_eq!(strip(text, &["hooks".to_owned()]), "---\nname: x\n---\n");
    }

    #[test]
    fn text_without_front_matter_is_left_alone() {
        assert_eq!(strip("hooks: x\n", &["hooks".to_owned()]), "hooks: x\n");
    }
}
