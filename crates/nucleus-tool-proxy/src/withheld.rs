//! What is said of withheld paths: to the user at the start, and to the model, so that neither learns of them from a
//! command that fails.

use nucleus_sandbox::workspace::{Mask, MaskReason};
use nucleus_wire::display::escape_short;

/// Paths named; of the others only the number is said.
const NAMED_MAX: usize = 6;
/// Longest name said in full.
const NAME_CHARS_MAX: usize = 80;

/// For the user: which they are, and how to let one be seen.
pub(crate) fn notes(masks: &[Mask]) -> Vec<String> {
    let (scrubbed, hidden): (Vec<&Mask>, Vec<&Mask>) =
        masks.iter().partition(|mask| mask.reason == MaskReason::Credential);
    let mut notes = Vec::new();
    if let Some(names) = names(&hidden) {
        let (what, it) = match hidden.len() {
            1 => ("1 path is".to_owned(), "it"),
            many => (format!("{many} paths are"), "them"),
        };
        let next = hidden.iter().find_map(|mask| example(mask)).unwrap_or_default();
        notes.push(format!(
            "{what} withheld from the agent, and its git passes {it} over: {names}{next}"
        ));
    }
    if let Some(names) = names(&scrubbed) {
        notes.push(format!("shown without the credentials in them: {names}"));
    }
    notes
}

/// For the model.
pub(crate) fn instruction(masks: &[Mask]) -> Option<String> {
    let hidden: Vec<&Mask> =
        masks.iter().filter(|mask| mask.reason != MaskReason::Credential).collect();
    let names = names(&hidden)?;
    Some(format!(
        "Withheld by policy, so that no tool and no command can read them: {names}. Git leaves them as they are: add, \
         commit and stash pass them over. Work without their content."
    ))
}

fn names(masks: &[&Mask]) -> Option<String> {
    let named: Vec<String> = masks
        .iter()
        .take(NAMED_MAX)
        .map(|mask| escape_short(&mask.path.as_path().to_string_lossy(), NAME_CHARS_MAX))
        .collect();
    if named.is_empty() {
        return None;
    }
    let more = match masks.len().saturating_sub(named.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(named.join(", ") + &more)
}

/// How to allow a sensitive path, where its name can be written without quoting.
fn example(mask: &Mask) -> Option<String> {
    let name = mask.path.as_str()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    (mask.reason == MaskReason::Sensitive && name.chars().all(plain)).then(|| {
        format!("; to show one, name it in the policy (permissions.toml): [paths] allowed = [\"**\", \"{name}\"]")
    })
}

#[cfg(test)]
mod tests {
    use nucleus_sandbox::workspace::{Cover, TreePath};

    use super::*;

    fn masks(paths: &[&str]) -> Vec<Mask> {
        let mask = |path: &&str| Mask {
            path: TreePath::parse(path.as_bytes()).unwrap(),
            reason: MaskReason::Sensitive,
            cover: Cover::File,
            linked: false,
        };
        paths.iter().map(mask).collect()
    }

    #[test]
    fn paths_are_named_and_the_next_step_is_said() {
        assert_eq!(notes(&[]), Vec::<String>::new());
        assert_eq!(instruction(&[]), None);
        assert_eq!(
            notes(&masks(&[".env"])),
            [
                "1 path is withheld from the agent, and its git passes it over: .env; to show one, name it in the policy \
              (permissions.toml): [paths] allowed = [\"**\", \".env\"]"
            ]
        );
        assert!(notes(&masks(&[".env", "a/.npmrc"]))[0].starts_with("2 paths are withheld"));
        assert!(instruction(&masks(&[".env", "a/.npmrc"])).unwrap().contains(": .env, a/.npmrc."));
    }

    #[test]
    fn many_and_hostile_names_stay_short_and_harmless() {
        let long = format!("{}/.env", "x".repeat(500));
        let many = masks(&[
            "\u{1b}[2J.env",
            "b/.env",
            "c/.env",
            "d/.env",
            "e/.env",
            &long,
            "g/.env",
            "h/.env",
        ]);
        for text in [notes(&many).remove(0), instruction(&many).unwrap()] {
            assert!(text.contains("and 2 more") && !text.contains('\u{1b}'), "{text}");
            assert!(text.len() < 500, "{text}");
        }
    }

    #[test]
    fn a_configuration_without_its_credentials_is_not_withheld() {
        let mut masks = masks(&[".git/config"]);
        masks[0].reason = MaskReason::Credential;
        assert_eq!(notes(&masks), ["shown without the credentials in them: .git/config"]);
        assert_eq!(instruction(&masks), None);
    }
}
