//! Programs that only start another program, and the command inside.

use crate::program::basename;
use crate::split::{Stars, read_words};

/// What stands behind the first word of a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Peeled {
    /// Not a launcher, or a launcher that starts nothing.
    Whole,
    /// The command it starts.
    Inner(Inner),
    /// A launcher used in a way this does not understand.
    Opaque,
}

/// A command behind a launcher.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Inner {
    pub(crate) argv: Vec<String>,
    /// The command runs as it would alone: no changed environment, directory or name.
    pub(crate) transparent: bool,
    /// More arguments follow that nobody knows yet.
    pub(crate) open_ended: bool,
}

/// How a launcher reads its own words.
struct Syntax {
    name: &'static str,
    /// Letters of options without a value.
    flags: &'static str,
    /// Letters of options with a value, joined or next.
    values: &'static str,
    /// Letters of options whose value, if any, is joined.
    joined: &'static str,
    long_flags: &'static [&'static str],
    long_values: &'static [&'static str],
    /// Words between the options and the command.
    operands: usize,
    /// Options and what they do change how the command runs.
    changes: bool,
    /// Arguments come from elsewhere.
    open_ended: bool,
}

const PLAIN: Syntax = Syntax {
    name: "",
    flags: "",
    values: "",
    joined: "",
    long_flags: &[],
    long_values: &[],
    operands: 0,
    changes: false,
    open_ended: false,
};

const LAUNCHERS: [Syntax; 11] = [
    Syntax { name: "nohup", ..PLAIN },
    Syntax {
        name: "timeout",
        flags: "fpv",
        values: "ks",
        long_flags: &["foreground", "preserve-status", "verbose"],
        long_values: &["kill-after", "signal"],
        operands: 1,
        ..PLAIN
    },
    Syntax {
        name: "nice",
        flags: "0123456789",
        values: "n",
        long_values: &["adjustment"],
        ..PLAIN
    },
    Syntax { name: "setsid", flags: "cfw", long_flags: &["ctty", "fork", "wait"], ..PLAIN },
    Syntax { name: "stdbuf", values: "ioe", long_values: &["error", "input", "output"], ..PLAIN },
    Syntax {
        name: "ionice",
        flags: "t",
        values: "cn",
        long_flags: &["ignore"],
        long_values: &["class", "classdata"],
        ..PLAIN
    },
    Syntax {
        name: "time",
        flags: "apqv",
        values: "fo",
        long_flags: &["append", "portability", "quiet", "verbose"],
        long_values: &["format", "output"],
        changes: true,
        ..PLAIN
    },
    Syntax {
        name: "xargs",
        flags: "0oprtx",
        values: "EILPadns",
        joined: "eil",
        long_flags: &[
            "exit",
            "interactive",
            "no-run-if-empty",
            "null",
            "open-tty",
            "show-limits",
            "verbose",
        ],
        long_values: &[
            "arg-file",
            "delimiter",
            "eof",
            "max-args",
            "max-chars",
            "max-lines",
            "max-procs",
            "process-slot-var",
            "replace",
        ],
        open_ended: true,
        ..PLAIN
    },
    Syntax { name: "busybox", changes: true, ..PLAIN },
    Syntax { name: "toybox", changes: true, ..PLAIN },
    Syntax {
        name: "env",
        flags: "0iv",
        values: "uCSa",
        long_flags: &["debug", "ignore-environment", "list-signal-handling", "null"],
        long_values: &[
            "argv0",
            "block-signal",
            "chdir",
            "default-signal",
            "ignore-signal",
            "split-string",
            "unset",
        ],
        ..PLAIN
    },
];

/// Looks behind a launcher, one deep.
pub(crate) fn peel(argv: &[String], open_ended: bool) -> Peeled {
    let Some((program, args)) = argv.split_first() else { return Peeled::Whole };
    let name = basename(program);
    if name.starts_with("ld-linux") || name.starts_with("ld-musl") {
        // The dynamic linker runs whatever file it is given.
        return Peeled::Opaque;
    }
    let Some(syntax) = LAUNCHERS.iter().find(|syntax| syntax.name == name) else {
        return Peeled::Whole;
    };
    Reader {
        syntax,
        words: args.iter().rev().cloned().collect(),
        transparent: !syntax.changes,
        unknown: false,
    }
    .read(open_ended)
}

struct Reader<'a> {
    syntax: &'a Syntax,
    /// Words not read yet, the next one last.
    words: Vec<String>,
    transparent: bool,
    /// The words of the command are patterns (`xargs -I`).
    unknown: bool,
}

impl Reader<'_> {
    fn read(mut self, open_ended: bool) -> Peeled {
        let open_ended = open_ended || self.syntax.open_ended;
        while let Some(word) = self.words.pop() {
            let understood = match word.strip_prefix("--") {
                Some("") => break,
                Some(long) => self.long(long),
                None if word == "-" && self.syntax.name == "env" => true,
                None => match word.strip_prefix('-') {
                    Some(letters) if !letters.is_empty() => self.letters(letters),
                    _ => {
                        self.words.push(word);
                        break;
                    }
                },
            };
            if !understood {
                return Peeled::Opaque;
            }
        }
        if self.syntax.name == "env" {
            while self.words.last().is_some_and(|word| word.contains('=')) {
                self.transparent = false;
                self.words.pop();
            }
        }
        let left = self.words.len().saturating_sub(self.syntax.operands);
        self.words.truncate(left);
        self.words.reverse();
        if self.unknown {
            self.words.truncate(1);
        }
        if self.words.is_empty() {
            return if open_ended && !self.syntax.open_ended {
                Peeled::Opaque
            } else {
                Peeled::Whole
            };
        }
        Peeled::Inner(Inner { argv: self.words, transparent: self.transparent, open_ended })
    }

    /// `--name` or `--name=value`; GNU programs take any unambiguous beginning of a name.
    fn long(&mut self, text: &str) -> bool {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let flags = self.syntax.long_flags.iter().filter(|flag| flag.starts_with(name));
        let values = self.syntax.long_values.iter().filter(|option| option.starts_with(name));
        let candidates: Vec<&&str> = flags.clone().chain(values.clone()).collect();
        let exact = candidates.iter().find(|candidate| ***candidate == name);
        let Some(full) = exact.or(if candidates.len() == 1 { candidates.first() } else { None })
        else {
            return false;
        };
        if self.syntax.long_flags.contains(*full) {
            return value.is_none();
        }
        let optional =
            full.ends_with("-signal") || matches!(**full, "eof" | "max-lines" | "replace");
        let letter = match **full {
            "split-string" => 'S',
            "chdir" => 'C',
            "argv0" => 'a',
            "replace" => 'I',
            _ => '\0',
        };
        match value.or_else(|| if optional { Some(String::new()) } else { self.words.pop() }) {
            Some(value) => self.value(letter, &value),
            None => false,
        }
    }

    fn letters(&mut self, letters: &str) -> bool {
        let mut rest = letters.chars();
        while let Some(letter) = rest.next() {
            if self.syntax.flags.contains(letter) {
                continue;
            }
            if self.syntax.joined.contains(letter) {
                return self.value(if letter == 'i' { 'I' } else { '\0' }, rest.as_str());
            }
            // `nice --5` and `nice -n -5` are both lower priority; nothing else starts with a second dash here.
            if !self.syntax.values.contains(letter) {
                return false;
            }
            let joined = rest.as_str();
            if !joined.is_empty() {
                let value = joined.to_owned();
                return self.value(letter, &value);
            }
            return match self.words.pop() {
                Some(value) => self.value(letter, &value),
                None => false,
            };
        }
        true
    }

    /// Takes the value of an option; false if it is not understood.
    fn value(&mut self, letter: char, value: &str) -> bool {
        match (self.syntax.name, letter) {
            ("env", 'S') => {
                self.transparent = false;
                // `env -S` has escapes of its own, but agrees with a shell on what needs neither.
                let Some(words) = read_words(value, Stars::Letters) else { return false };
                if value.contains('\\') {
                    return false;
                }
                self.words.extend(words.into_iter().rev().map(|word| word.text));
                true
            }
            ("env", 'C' | 'a') => {
                self.transparent = false;
                true
            }
            ("xargs", 'I') => {
                self.unknown = true;
                true
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn inner(line: &str) -> Vec<String> {
        match peel(&words(line), false) {
            Peeled::Inner(inner) => inner.argv,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn words(line: &str) -> Vec<String> {
        read_words(line, Stars::Letters).unwrap().into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn launchers_are_looked_through() {
        for line in [
            "env bash -c x",
            "env A=1 B=2 bash -c x",
            "env -i bash -c x",
            "env - bash -c x",
            "env -iu HOME bash -c x",
            "env -uHOME --chdir /tmp bash -c x",
            "env --unset=HOME -- bash -c x",
            "env --uns HOME bash -c x",
            "env -S 'bash -c x'",
            "env -vS 'A=1 bash' -c x",
            "env --split='bash -c' x",
            "/usr/bin/env bash -c x",
            "nohup bash -c x",
            "nohup -- bash -c x",
            "timeout 5 bash -c x",
            "timeout -s KILL -k 1 5s bash -c x",
            "timeout --signal=KILL --foreground 5 bash -c x",
            "nice bash -c x",
            "nice -n 10 bash -c x",
            "nice -10 bash -c x",
            "nice --adjustment=3 bash -c x",
            "setsid -w bash -c x",
            "xargs -0 -n1 bash -c x",
            "xargs -P 4 --max-args=2 bash -c x",
            "busybox bash -c x",
            "stdbuf -oL bash -c x",
            "time -p bash -c x",
        ] {
            assert_eq!(inner(line), ["bash", "-c", "x"], "{line}");
        }
    }

    #[test]
    fn what_changes_the_command_is_not_transparent() {
        let transparent = |line: &str| match peel(&words(line), false) {
            Peeled::Inner(inner) => inner.transparent,
            other => panic!("{line}: {other:?}"),
        };
        assert!(
            transparent("timeout 5 ls") && transparent("env -u HOME ls") && transparent("nice ls")
        );
        assert!(!transparent("env LD_PRELOAD=x ls"));
        assert!(!transparent("env -C /tmp ls"));
        assert!(!transparent("env -S 'ls'"));
        assert!(!transparent("busybox ls"));
    }

    #[test]
    fn arguments_from_elsewhere_leave_the_command_open() {
        let Peeled::Inner(found) = peel(&words("xargs git"), false) else { panic!() };
        assert!(found.open_ended);
        let Peeled::Inner(found) = peel(&words("xargs -I{} git {} x"), false) else { panic!() };
        assert_eq!((found.argv, found.open_ended), (vec!["git".to_owned()], true));
    }

    #[test]
    fn what_is_not_understood_is_opaque() {
        for line in [
            "env --surprise ls",
            "timeout --zzz 5 ls",
            "env -S 'a\\_b'",
            "/lib64/ld-linux-x86-64.so.2 /tmp/x",
            "env --i ls",
        ] {
            assert_eq!(peel(&words(line), false), Peeled::Opaque, "{line}");
        }
    }

    #[test]
    fn other_programs_are_whole() {
        for line in ["ls -l", "cargo test", "env", "xargs", "envsubst x", "timeout 5"] {
            assert_eq!(peel(&words(line), false), Peeled::Whole, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_words_are_read(
            name in "env|timeout|xargs|nice|setsid|busybox|nohup",
            args in prop::collection::vec("-{0,2}[a-zA-Z0-9=]{0,6}|.{0,6}", 0..6),
            open in any::<bool>(),
        ) {
            let argv: Vec<String> = std::iter::once(name).chain(args).collect();
            if let Peeled::Inner(inner) = peel(&argv, open) {
                prop_assert!(!inner.argv.is_empty());
            }
        }
    }
}
