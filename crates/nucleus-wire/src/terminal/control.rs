//! Which control sequences (`ESC [ …`) pass, and in which words.

use super::{Modes, Query};

/// Largest number passed on: larger than any terminal, small enough to repeat.
const NUMBER_MAX: u16 = 9_999;
/// Longest repetition of a character.
const REPEAT_MAX: u16 = 1_000;
/// Most numbers in one sequence.
const FIELDS_MAX: usize = 32;

/// What becomes of a sequence.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// These words are shown in its place.
    Pass(String),
    /// It asks.
    Ask(Query),
}

/// Judges a complete sequence.
pub(super) fn judge(
    parameters: &[u8],
    intermediates: &[u8],
    last: u8,
    modes: &mut Modes,
) -> Vec<Verdict> {
    let (prefix, rest) = match parameters.split_first() {
        Some((first @ (b'<' | b'=' | b'>' | b'?'), rest)) => (Some(*first), rest),
        _ => (None, parameters),
    };
    let one = match (prefix, intermediates) {
        (None, b"") if last == b'm' => colours(rest),
        (None, b"") => numbers(rest).and_then(|numbers| plain(&numbers, last, modes)),
        (Some(b'?'), b"") => return private(rest, last, modes),
        (Some(b'?'), b"$") if last == b'p' => known_mode(rest, true),
        (None, b"$") if last == b'p' => known_mode(rest, false),
        (None, b" ") if last == b'q' => cursor_shape(rest, modes),
        (Some(b'>'), b"") => greater(rest, last, modes),
        (Some(b'<'), b"") if last == b'u' => pop_keyboard(rest, modes),
        (Some(b'='), b"") if last == b'u' => set_keyboard(rest, modes),
        _ => None,
    };
    one.into_iter().collect()
}

/// The numbers of a sequence; an absent one is `None`. Sub-parameters have no meaning outside of colours.
fn numbers(text: &[u8]) -> Option<Vec<Option<u16>>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let fields: Option<Vec<_>> = text.split(|byte| *byte == b';').map(number).collect();
    fields.filter(|fields| fields.len() <= FIELDS_MAX)
}

fn number(field: &[u8]) -> Option<Option<u16>> {
    if field.is_empty() {
        return Some(None);
    }
    let value = field.iter().try_fold(0_u16, |value, byte| {
        let digit = char::from(*byte).to_digit(10).and_then(|digit| u16::try_from(digit).ok())?;
        Some(value.saturating_mul(10).saturating_add(digit).min(NUMBER_MAX))
    });
    value.map(Some)
}

fn written(numbers: &[Option<u16>], last: u8) -> Verdict {
    let fields: Vec<String> =
        numbers.iter().map(|n| n.map(|n| n.to_string()).unwrap_or_default()).collect();
    Verdict::Pass(format!("\x1b[{}{}", fields.join(";"), char::from(last)))
}

/// Sequences without a prefix.
fn plain(numbers: &[Option<u16>], last: u8, modes: &mut Modes) -> Option<Verdict> {
    let first = numbers.first().copied().flatten();
    let at_most = |count: usize| (numbers.len() <= count).then(|| written(numbers, last));
    match last {
        // Cursor up, down, right, left, to line or column, tabs, scrolling, inserting and deleting.
        b'@'
        | b'A'..=b'G'
        | b'I'
        | b'L'
        | b'M'
        | b'P'
        | b'S'
        | b'T'
        | b'X'
        | b'Z'
        | b'`'
        | b'a'
        | b'd'
        | b'e' => at_most(1),
        b'H' | b'f' => at_most(2),
        // Erasing, but not what has scrolled away: that is the user's.
        b'J' | b'K' if first.unwrap_or(0) <= 2 => at_most(1),
        b'b' => Some(written(&[Some(first.unwrap_or(1).min(REPEAT_MAX))], last)),
        b'r' => {
            modes.margins(!numbers.is_empty());
            at_most(2)
        }
        // With numbers `s` sets margins at the sides.
        b's' | b'u' => at_most(0),
        b'h' | b'l' if *numbers == [Some(4)] => {
            modes.insert(last == b'h');
            Some(written(numbers, last))
        }
        b'c' if first.unwrap_or(0) == 0 => Some(Verdict::Ask(Query::Attributes)),
        b'n' if first == Some(5) => Some(Verdict::Ask(Query::Status)),
        b'n' if first == Some(6) => Some(Verdict::Ask(Query::Cursor)),
        b't' if first == Some(18) => Some(Verdict::Ask(Query::Size)),
        _ => None,
    }
}

/// Colours and styles: numbers, with sub-parameters.
fn colours(text: &[u8]) -> Option<Verdict> {
    let fields: Option<Vec<String>> = text
        .split(|byte| matches!(byte, b';' | b':'))
        .map(|field| number(field).map(|n| n.map(|n| n.to_string()).unwrap_or_default()))
        .collect();
    let marks = text.iter().filter(|byte| matches!(byte, b';' | b':')).map(|b| char::from(*b));
    let mut out = String::from("\x1b[");
    let mut marks = marks.fuse();
    for field in fields? {
        out.push_str(&field);
        out.extend(marks.next());
    }
    out.push('m');
    Some(Verdict::Pass(out))
}

/// The private modes and questions of DEC and its successors. Modes that are not known are left out, others of the
/// same sequence stay.
fn private(text: &[u8], last: u8, modes: &mut Modes) -> Vec<Verdict> {
    if text.is_empty() && last == b'u' {
        return vec![Verdict::Ask(Query::Keyboard)];
    }
    if !matches!(last, b'h' | b'l') {
        return Vec::new();
    }
    let known = numbers(text).unwrap_or_default().into_iter().flatten();
    known
        .filter(|mode| modes.set(*mode, last == b'h'))
        .map(|mode| Verdict::Pass(format!("\x1b[?{mode}{}", char::from(last))))
        .collect()
}

fn known_mode(text: &[u8], private: bool) -> Option<Verdict> {
    let mode = number(text)?.filter(|_| private)?;
    Some(Verdict::Ask(Query::Mode(mode)))
}

fn cursor_shape(text: &[u8], modes: &mut Modes) -> Option<Verdict> {
    let shape = number(text)?.unwrap_or(0);
    (shape <= 6).then(|| {
        modes.cursor_shape(shape);
        Verdict::Pass(format!("\x1b[{shape} q"))
    })
}

/// Keyboard protocols: kitty's push, and xterm's other keys.
fn greater(text: &[u8], last: u8, modes: &mut Modes) -> Option<Verdict> {
    match last {
        b'u' => {
            let flags = number(text)?.unwrap_or(0);
            modes.push_keyboard(flags).then(|| Verdict::Pass(format!("\x1b[>{flags}u")))
        }
        b'm' => match numbers(text)?.as_slice() {
            [Some(4)] => {
                modes.other_keys(0);
                Some(Verdict::Pass("\x1b[>4m".to_owned()))
            }
            [Some(4), level] if level.unwrap_or(0) <= 2 => {
                let level = level.unwrap_or(0);
                modes.other_keys(level);
                Some(Verdict::Pass(format!("\x1b[>4;{level}m")))
            }
            _ => None,
        },
        b'n' if number(text)? == Some(4) => {
            modes.other_keys(0);
            Some(Verdict::Pass("\x1b[>4m".to_owned()))
        }
        b'c' if number(text)?.unwrap_or(0) == 0 => Some(Verdict::Ask(Query::Model)),
        _ => None,
    }
}

fn pop_keyboard(text: &[u8], modes: &mut Modes) -> Option<Verdict> {
    let count = modes.pop_keyboard(number(text)?.unwrap_or(1));
    (count > 0).then(|| Verdict::Pass(format!("\x1b[<{count}u")))
}

/// Replaces the flags on top. Below the program's own are those of the user's shell, which stay.
fn set_keyboard(text: &[u8], modes: &mut Modes) -> Option<Verdict> {
    let numbers = numbers(text)?;
    let flags = numbers.first().copied().flatten().unwrap_or(0);
    let how = numbers.get(1).copied().flatten().unwrap_or(1);
    let set = numbers.len() <= 2 && (1..=3).contains(&how) && modes.set_keyboard(flags, how);
    set.then(|| Verdict::Pass(format!("\x1b[={flags};{how}u")))
}
