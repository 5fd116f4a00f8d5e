//! From a line of text to an argument vector, or to the admission that it needs a shell.

/// A command line, read by shell rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// One program and its arguments. A shell would run exactly this.
    Argv(Vec<String>),
    /// A text only a shell can run. It *is* the command `sh -c <text>` and is judged so.
    Shell(String),
}

impl CommandLine {
    /// The vector that runs.
    #[must_use]
    pub fn into_argv(self) -> Vec<String> {
        match self {
            Self::Argv(argv) => argv,
            Self::Shell(text) => vec!["sh".to_owned(), "-c".to_owned(), text],
        }
    }
}

/// Splits a line by shell rules: blanks, single and double quotes, backslash.
///
/// Whatever else could make a shell do more than start one program with these words makes it [`CommandLine::Shell`]:
/// operators, redirections, substitutions, variables, globs, braces, tildes, comments, assignments in front, line ends,
/// words that only a shell has (`cd`, `if`, `export`), unfinished quotes, and characters that look like blanks and are
/// none. It is a reader that may give up, never one that guesses.
#[must_use]
pub fn split_command(text: &str) -> CommandLine {
    match read_words(text, Stars::NeedShell) {
        Some(words) if words.first().is_none_or(|first| !needs_shell_as_first(&first.text)) => {
            CommandLine::Argv(words.into_iter().map(|word| word.text).collect())
        }
        _ => CommandLine::Shell(text.to_owned()),
    }
}

/// What an unquoted `*` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stars {
    /// A glob, which needs a shell.
    NeedShell,
    /// A letter like any other, for the notation of command rules.
    Letters,
}

/// A word, and whether any of it was quoted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) quoted: bool,
}

/// The words of a text that needs no shell; `None` if it does.
pub(crate) fn read_words(text: &str, stars: Stars) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut current: Option<Word> = None;
    let mut braces = false;
    let mut rest = text.chars();
    if text.contains('\0') {
        return None;
    }
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' => {
                if let Some(word) = current.take() {
                    words.push(finish(word, &mut braces)?);
                }
            }
            '\'' => {
                let word = quoted(&mut current);
                loop {
                    match rest.next()? {
                        '\'' => break,
                        inner => word.text.push(inner),
                    }
                }
            }
            '"' => read_double_quotes(&mut rest, quoted(&mut current))?,
            '\\' => match rest.next()? {
                '\n' => return None,
                escaped => quoted(&mut current).text.push(escaped),
            },
            '*' if stars == Stars::NeedShell => return None,
            special if never_plain(special) => return None,
            special if current.is_none() && matches!(special, '#' | '~' | '=' | '!') => {
                return None;
            }
            '~' if current.as_ref().is_some_and(|word| word.text.ends_with([':', '='])) => {
                return None;
            }
            plain => {
                braces |= matches!(plain, '{' | '}');
                current.get_or_insert_default().text.push(plain);
            }
        }
    }
    if let Some(word) = current {
        words.push(finish(word, &mut braces)?);
    }
    Some(words)
}

fn quoted(current: &mut Option<Word>) -> &mut Word {
    let word = current.get_or_insert_default();
    word.quoted = true;
    word
}

fn read_double_quotes(rest: &mut std::str::Chars<'_>, word: &mut Word) -> Option<()> {
    loop {
        match rest.next()? {
            '"' => return Some(()),
            '$' | '`' => return None,
            '\\' => match rest.next()? {
                '\n' => return None,
                escaped @ ('$' | '`' | '"' | '\\') => word.text.push(escaped),
                other => word.text.extend(['\\', other]),
            },
            inner => word.text.push(inner),
        }
    }
}

/// Refuses words with brace expansion in them; `HEAD@{1}` and `{}` are none.
fn finish(word: Word, braces: &mut bool) -> Option<Word> {
    let expands = *braces && (word.text.contains(',') || word.text.contains(".."));
    *braces = false;
    (!expands).then_some(word)
}

/// Characters that outside quotes always mean more than themselves, or that only look like blanks.
fn never_plain(c: char) -> bool {
    match c {
        '|' | '&' | ';' | '<' | '>' | '(' | ')' | '$' | '`' | '?' | '[' | ']' => true,
        // Soft hyphen, zero-width and bidirectional marks: a reader sees other words than the kernel would.
        '\u{ad}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}' => true,
        _ => c.is_control() || c.is_whitespace(),
    }
}

/// Words that are no programs, or not the same ones: reserved words, builtins, assignments.
fn needs_shell_as_first(word: &str) -> bool {
    const SHELL_WORDS: [&str; 47] = [
        ".", ":", "alias", "bg", "break", "builtin", "case", "cd", "command", "continue", "coproc",
        "declare", "dirs", "do", "elif", "else", "esac", "eval", "exec", "exit", "export", "fg",
        "fi", "for", "function", "hash", "if", "jobs", "local", "popd", "pushd", "read",
        "readonly", "return", "select", "set", "shift", "source", "then", "times", "trap", "type",
        "typeset", "ulimit", "umask", "unset", "wait",
    ];
    const MORE_SHELL_WORDS: [&str; 9] =
        ["{", "}", "done", "let", "shopt", "time", "unalias", "until", "while"];
    SHELL_WORDS.contains(&word) || MORE_SHELL_WORDS.contains(&word) || is_assignment(word)
}

/// True for `NAME=value` and `NAME+=value`.
pub(crate) fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    let name = name.strip_suffix('+').unwrap_or(name);
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn argv(text: &str) -> Vec<String> {
        match split_command(text) {
            CommandLine::Argv(argv) => argv,
            CommandLine::Shell(_) => panic!("needs a shell: {text:?}"),
        }
    }

    fn shell(text: &str) -> bool {
        matches!(split_command(text), CommandLine::Shell(same) if same == text)
    }

    #[test]
    fn plain_commands_split_as_a_shell_splits_them() {
        assert_eq!(argv("cargo test --release"), ["cargo", "test", "--release"]);
        assert_eq!(argv("  git   log\t-1 "), ["git", "log", "-1"]);
        assert_eq!(
            argv(r#"git commit -m "it's \"done\" \\ \x""#),
            ["git", "commit", "-m", r#"it's "done" \ \x"#]
        );
        assert_eq!(argv(r"echo a\ b 'c d'e"), ["echo", "a b", "c de"]);
        assert_eq!(argv("echo '' \"\""), ["echo", "", ""]);
        assert_eq!(argv("grep '$HOME | x > y; *' f"), ["grep", "$HOME | x > y; *", "f"]);
        assert_eq!(
            argv("git show HEAD~1 HEAD^ stash@{0}"),
            ["git", "show", "HEAD~1", "HEAD^", "stash@{0}"]
        );
        assert_eq!(argv("git commit -m 'two\nlines'"), ["git", "commit", "-m", "two\nlines"]);
        assert_eq!(argv("x --a=b c=d e#f"), ["x", "--a=b", "c=d", "e#f"]);
        assert!(argv("").is_empty() && argv("  \t").is_empty());
    }

    #[test]
    fn two_arguments_are_not_one_with_a_blank() {
        assert_ne!(argv("git log 'a b'"), argv("git log a b"));
    }

    #[test]
    fn what_needs_a_shell_is_a_shell_command() {
        for text in [
            "a; b",
            "a && b",
            "a || b",
            "a | b",
            "a & b",
            "a &",
            "a > f",
            "a 2>&1",
            "a < f",
            "a <<EOF",
            "a <(b)",
            "$(a)",
            "`a`",
            "a $B",
            "a ${B}",
            "a \"$B\"",
            "a \"`b`\"",
            "a $'b'",
            "ls *.rs",
            "ls a?",
            "ls [ab]",
            "ls {a,b}",
            "ls {1..3}",
            "ls ~",
            "a --x=~/y",
            "A=1 b",
            "A+=1 b",
            "a # b",
            "#a",
            "a\nb",
            "a\rb",
            "a\\\nb",
            "a 'b",
            "a \"b",
            "a\\",
            "cd sub",
            "if a",
            "export A=1",
            "eval a",
            "exec a",
            ". f",
            "source f",
            "{ a",
            "! a",
            "=a",
            "time a",
            "'cd' sub",
            "a\0b",
            "'a\0b'",
        ] {
            assert!(shell(text), "{text:?}");
        }
    }

    #[test]
    fn characters_that_look_like_blanks_are_not_read_as_letters() {
        for blank in [
            '\u{a0}', '\u{2003}', '\u{3000}', '\u{200b}', '\u{202e}', '\u{feff}', '\u{85}',
            '\u{b}', '\u{1b}',
        ] {
            assert!(shell(&format!("git{blank}push")), "{blank:?}");
            // Inside quotes they are data and the word is whole.
            assert_eq!(argv(&format!("echo 'a{blank}b'")), ["echo", &format!("a{blank}b")]);
        }
    }

    #[test]
    fn a_shell_command_is_sh_dash_c() {
        assert_eq!(split_command("a | b").into_argv(), ["sh", "-c", "a | b"]);
    }

    proptest! {
        #[test]
        fn any_text_is_split_or_given_to_a_shell(text in "(?s).{0,64}") {
            match split_command(&text) {
                CommandLine::Argv(argv) => prop_assert!(argv.iter().all(|arg| !arg.contains('\0'))),
                CommandLine::Shell(same) => prop_assert_eq!(same, text),
            }
        }

        #[test]
        fn quoted_words_come_back_as_they_were(words in prop::collection::vec("[^\0']{0,8}", 0..5)) {
            let line: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
            let first_is_program = words.first().is_none_or(|first| !needs_shell_as_first(first));
            prop_assume!(first_is_program);
            prop_assert_eq!(argv(&line.join(" ")), words);
        }
    }
}
