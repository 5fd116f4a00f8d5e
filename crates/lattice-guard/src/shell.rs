//! The simple commands in a shell text, as far as reading can tell.
//!
//! LIMIT: this names what a text openly does, for messages and for the operations a request needs. A text can hide
//! anything from any reader (`eval "$(base64 -d …)"`), so nothing rests on it: a command runs inside walls that hold
//! whatever it turns out to be.

use crate::limits::SHELL_COMMANDS_MAX;
use crate::split::is_assignment;

/// What was read from a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) commands: Vec<SimpleCommand>,
    /// Texts given to commands on their input.
    pub(crate) inputs: Vec<String>,
    /// Part of the text could not be read.
    pub(crate) opaque: bool,
}

/// Words that were read, up to the first that only a shell can know.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SimpleCommand {
    pub(crate) argv: Vec<String>,
    /// More words follow.
    pub(crate) open_ended: bool,
}

/// Reads a text. Never fails: what it cannot read it reports as opaque.
pub(crate) fn scan(text: &str) -> Script {
    let mut scanner = Scanner {
        rest: text.chars().collect::<Vec<_>>(),
        at: 0,
        frames: vec![Frame::default()],
        heredocs: Vec::new(),
        script: Script::default(),
    };
    scanner.run();
    scanner.script
}

#[derive(Debug, Default)]
struct Word {
    text: String,
    /// Holds something only a shell can know.
    dynamic: bool,
    quoted: bool,
}

/// A command list being read: the text itself, or one inside `( )`, `$( )` or backquotes.
#[derive(Debug, Default)]
struct Frame {
    close: Option<char>,
    words: Vec<Word>,
    word: Option<Word>,
    /// Inside double quotes.
    double: bool,
    /// What the next word is, if it is not an argument.
    redirect: Option<Redirect>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Redirect {
    File,
    Heredoc { strip_tabs: bool },
}

struct Scanner {
    rest: Vec<char>,
    at: usize,
    frames: Vec<Frame>,
    heredocs: Vec<(String, bool)>,
    script: Script,
}

impl Scanner {
    fn run(&mut self) {
        while let Some(c) = self.next() {
            if self.frame().double { self.in_double_quotes(c) } else { self.plain(c) }
        }
        let unfinished = self.frames.len() > 1 || self.frame().double || !self.heredocs.is_empty();
        self.script.opaque |= unfinished;
        while !self.frames.is_empty() {
            self.end_command();
            if self.frames.len() == 1 {
                break;
            }
            self.frames.pop();
        }
    }

    fn plain(&mut self, c: char) {
        match c {
            ' ' | '\t' => self.end_word(),
            '\n' => {
                self.end_command();
                self.read_heredocs();
            }
            ';' | '&' | '|' => self.end_command(),
            '(' => {
                self.end_command();
                self.open(')');
            }
            ')' | '`' if self.frame().close == Some(c) => self.close(),
            ')' => self.end_command(),
            '`' => self.substitute('`'),
            '<' | '>' => self.redirect(c),
            '#' if self.frame().word.is_none() => {
                while self.peek().is_some_and(|next| next != '\n') {
                    self.next();
                }
            }
            '\'' => self.single_quotes(),
            '"' => {
                self.word().quoted = true;
                self.frame().double = true;
            }
            '\\' => match self.next() {
                Some('\n') => {}
                Some(escaped) => {
                    let word = self.word();
                    word.quoted = true;
                    word.text.push(escaped);
                }
                None => self.script.opaque = true,
            },
            '$' => self.dollar(),
            '*' | '?' | '[' => {
                let word = self.word();
                word.dynamic = true;
                word.text.push(c);
            }
            other if other.is_whitespace() || other.is_control() => self.end_word(),
            other => self.word().text.push(other),
        }
    }

    fn in_double_quotes(&mut self, c: char) {
        match c {
            '"' => self.frame().double = false,
            '`' => self.substitute('`'),
            '$' => self.dollar(),
            '\\' => match self.next() {
                Some('\n') => {}
                Some(escaped @ ('$' | '`' | '"' | '\\')) => self.word().text.push(escaped),
                Some(other) => self.word().text.extend(['\\', other]),
                None => self.script.opaque = true,
            },
            other => self.word().text.push(other),
        }
    }

    fn single_quotes(&mut self) {
        self.word().quoted = true;
        loop {
            match self.next() {
                Some('\'') => return,
                Some(inner) => self.word().text.push(inner),
                None => {
                    self.script.opaque = true;
                    return;
                }
            }
        }
    }

    fn dollar(&mut self) {
        match self.peek() {
            Some('(') => {
                self.next();
                self.substitute(')');
            }
            Some('{') => {
                self.next();
                self.word().dynamic = true;
                while self.peek().is_some_and(|c| c.is_alphanumeric() || c == '_') {
                    self.next();
                }
                if self.peek() == Some('}') {
                    self.next();
                }
            }
            Some(c)
                if c.is_alphanumeric() || matches!(c, '_' | '@' | '*' | '#' | '?' | '!' | '-') =>
            {
                self.word().dynamic = true;
                while self.peek().is_some_and(|c| c.is_alphanumeric() || c == '_') {
                    self.next();
                }
            }
            Some('\'' | '$') => self.word().dynamic = true,
            _ => self.word().text.push('$'),
        }
    }

    /// A command inside a word.
    fn substitute(&mut self, close: char) {
        if close == '`' && self.frames.iter().any(|frame| frame.close == Some('`')) {
            // The closing quote of an outer substitution, met inside double quotes.
            while self.frame().close != Some('`') {
                self.frame().double = false;
                self.close();
            }
            self.close();
            return;
        }
        self.word().dynamic = true;
        self.open(close);
    }

    fn open(&mut self, close: char) {
        self.frames.push(Frame { close: Some(close), ..Frame::default() });
    }

    fn close(&mut self) {
        self.end_command();
        if self.frames.len() > 1 {
            self.frames.pop();
        }
    }

    fn redirect(&mut self, c: char) {
        let descriptor =
            |word: &Word| !word.quoted && word.text.bytes().all(|b| b.is_ascii_digit());
        if self.frame().word.as_ref().is_some_and(descriptor) {
            self.frame().word = None;
        }
        self.end_word();
        let mut redirect = Redirect::File;
        match (c, self.peek()) {
            ('<', Some('<')) => {
                self.next();
                let strip_tabs = self.peek() == Some('-');
                if self.peek() == Some('<') {
                    self.next();
                } else {
                    redirect = Redirect::Heredoc { strip_tabs };
                }
                if strip_tabs {
                    self.next();
                }
            }
            (_, Some('(')) => return,
            (_, Some('>' | '&' | '|')) => {
                self.next();
            }
            _ => {}
        }
        self.frame().redirect = Some(redirect);
    }

    fn end_word(&mut self) {
        let Some(word) = self.frame().word.take() else { return };
        match self.frame().redirect.take() {
            Some(Redirect::Heredoc { strip_tabs }) => self.heredocs.push((word.text, strip_tabs)),
            Some(Redirect::File) => {}
            None => self.frame().words.push(word),
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        self.frame().redirect = None;
        let words = std::mem::take(&mut self.frame().words);
        let starts_nothing = |word: &Word| {
            !word.dynamic && !word.quoted && is_reserved(&word.text) || is_assignment(&word.text)
        };
        let mut words = words.into_iter().skip_while(starts_nothing).peekable();
        if words.peek().is_none() {
            return;
        }
        if self.script.commands.len() >= SHELL_COMMANDS_MAX {
            self.script.opaque = true;
            return;
        }
        let mut command = SimpleCommand { argv: Vec::new(), open_ended: false };
        for word in words {
            if word.dynamic {
                command.open_ended = true;
                break;
            }
            command.argv.push(word.text);
        }
        if command.argv.is_empty() {
            // The program itself is unknown.
            self.script.opaque = true;
            return;
        }
        self.script.commands.push(command);
    }

    fn read_heredocs(&mut self) {
        for (delimiter, strip_tabs) in std::mem::take(&mut self.heredocs) {
            let mut body = String::new();
            loop {
                if self.peek().is_none() {
                    self.script.opaque = true;
                    break;
                }
                let mut line = String::new();
                while let Some(c) = self.next() {
                    if c == '\n' {
                        break;
                    }
                    line.push(c);
                }
                let shown = if strip_tabs { line.trim_start_matches('\t') } else { &line };
                if shown == delimiter {
                    break;
                }
                body.push_str(shown);
                body.push('\n');
            }
            self.script.inputs.push(body);
        }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at = self.at.saturating_add(1);
        Some(c)
    }

    fn peek(&self) -> Option<char> {
        self.rest.get(self.at).copied()
    }

    fn frame(&mut self) -> &mut Frame {
        if self.frames.is_empty() {
            self.frames.push(Frame::default());
        }
        let last = self.frames.len().saturating_sub(1);
        #[expect(clippy::indexing_slicing, reason = "the line above leaves at least one frame")]
        &mut self.frames[last]
    }

    fn word(&mut self) -> &mut Word {
        self.frame().word.get_or_insert_default()
    }
}

fn is_reserved(word: &str) -> bool {
    matches!(
        word,
        "!" | "{"
            | "}"
            | "if"
            | "then"
            | "else"
            | "elif"
            | "fi"
            | "do"
            | "done"
            | "while"
            | "until"
            | "time"
            | "coproc"
            | "command"
            | "builtin"
            | "exec"
    )
}

/// True if the text holds `name` as a word of its own: `git push` and `/usr/bin/git`, not `.git/hooks` or `digit`.
pub(crate) fn mentions(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, found)| {
        let before = text.get(..at).and_then(|front| front.chars().next_back());
        let after = text.get(at.saturating_add(found.len())..).and_then(|back| back.chars().next());
        let part_of_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        !before.is_some_and(part_of_word) && !after.is_some_and(part_of_word)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn commands(text: &str) -> Vec<String> {
        let script = scan(text);
        script
            .commands
            .into_iter()
            .map(|command| {
                let more = if command.open_ended { " …" } else { "" };
                format!("{}{more}", command.argv.join(" "))
            })
            .collect()
    }

    #[test]
    fn every_simple_command_is_found() {
        assert_eq!(
            commands("cd sub && cargo test 2>&1 | tail -5"),
            ["cd sub", "cargo test", "tail -5"]
        );
        assert_eq!(commands("a;b|c&d||e\nf"), ["a", "b", "c", "d", "e", "f"]);
        assert_eq!(commands("if a; then b; else c; fi"), ["a", "b", "c"]);
        assert_eq!(commands("(a; b) && { c; }"), ["a", "b", "c"]);
        assert_eq!(commands("X=1 Y=2 git push"), ["git push"]);
        assert_eq!(commands("! git push"), ["git push"]);
        assert_eq!(commands("git push>log 2>/dev/null </dev/null &>x"), ["git push"]);
        assert_eq!(commands("git \\\npush"), ["git push"]);
        assert_eq!(commands("g'i't \"pu\"sh"), ["git push"]);
    }

    #[test]
    fn commands_inside_words_are_found() {
        assert_eq!(commands("echo $(git push)"), ["git push", "echo …"]);
        assert_eq!(commands("echo \"a $(git push) b\" c"), ["git push", "echo …"]);
        assert_eq!(commands("echo `git push`"), ["git push", "echo …"]);
        assert_eq!(commands("echo \"`git push`\""), ["git push", "echo …"]);
        assert_eq!(commands("diff <(git push) x"), ["diff", "git push", "x"]);
    }

    #[test]
    fn quoted_words_are_data() {
        assert_eq!(commands("echo 'git push; rm x'"), ["echo git push; rm x"]);
        assert_eq!(commands("echo \"git push; rm x\""), ["echo git push; rm x"]);
        assert_eq!(commands("a # git push"), ["a"]);
    }

    #[test]
    fn heredocs_are_inputs() {
        let script = scan("cat <<'EOF' > f\ngit push\nEOF\nls");
        assert_eq!(script.inputs, ["git push\n"]);
        assert_eq!(script.commands.len(), 2);
        assert!(!script.opaque);
        assert_eq!(commands("cat <<-E | sh\n\tx\n\tE\nls"), ["cat", "sh", "ls"]);
        assert_eq!(commands("cat <<< 'a b' x"), ["cat x"]);
    }

    #[test]
    fn what_only_a_shell_knows_leaves_a_command_open() {
        assert_eq!(commands("git $X"), ["git …"]);
        assert_eq!(commands("git pu$X y"), ["git …"]);
        assert_eq!(commands("git ${X} y"), ["git …"]);
        assert_eq!(commands("ls *.rs"), ["ls …"]);
        assert!(scan("$X push").opaque);
        for text in ["'a", "\"a", "a $(b", "a `b", "a \\", "cat <<E\nx"] {
            assert!(scan(text).opaque, "{text:?}");
        }
        assert!(!scan("git push").opaque);
    }

    #[test]
    fn mentions_are_whole_words() {
        assert!(
            mentions("x;git push", "git")
                && mentions("/usr/bin/git x", "git")
                && mentions("git", "git")
        );
        assert!(!mentions(".git/hooks digit gitk x.git git-lfs", "git"));
    }

    proptest! {
        #[test]
        fn any_text_is_scanned(text in "[a-c \\n;|&()<>$`'\"\\\\{}#=-]{0,48}|(?s).{0,48}") {
            let script = scan(&text);
            prop_assert!(script.commands.iter().all(|command| !command.argv.is_empty()));
        }
    }
}
