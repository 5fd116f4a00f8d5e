//! Why a text that an agent believes to be in a file is not there.

use std::fmt;

/// What seems to be different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EditHint {
    /// The file ends lines in CRLF, the text in LF.
    CarriageReturns,
    /// The file ends lines in LF, the text in CRLF.
    NoCarriageReturns,
    /// The text begins its lines with the numbers `read` shows.
    LineNumbers,
    /// A place is the same but for white space.
    WhiteSpace {
        /// Line it begins at.
        line: u64,
    },
    /// A place is the same but for upper and lower case.
    Case {
        /// Line it begins at.
        line: u64,
    },
    /// Only the first line of the text is there.
    FirstLine {
        /// Where.
        line: u64,
    },
}

impl fmt::Display for EditHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CarriageReturns => {
                f.write_str("the file ends its lines in CRLF: write \\r\\n in old_string and new_string")
            }
            Self::NoCarriageReturns => {
                f.write_str("the file ends its lines in LF, old_string in CRLF: leave the \\r out")
            }
            Self::LineNumbers => f.write_str(
                "old_string holds the line numbers that read shows: give the text after the tab only",
            ),
            Self::WhiteSpace { line } => write!(
                f,
                "line {line} differs only in white space (indentation, tabs or spaces at line ends): copy it exactly"
            ),
            Self::Case { line } => write!(f, "line {line} differs only in upper and lower case"),
            Self::FirstLine { line } => write!(
                f,
                "its first line is at line {line}, what follows differs: read the file again from there"
            ),
        }
    }
}

/// A hint as the end of a sentence.
pub(super) fn sentence(hint: Option<&EditHint>) -> String {
    hint.map_or_else(
        || "; read it again and copy the text exactly".to_owned(),
        |hint| format!("; {hint}"),
    )
}

/// Places of several matches, for people.
pub(super) fn places(lines: &[u64], count: u64) -> String {
    let mut listed: Vec<String> = lines.iter().map(u64::to_string).collect();
    listed.dedup();
    let named = u64::try_from(lines.len()).unwrap_or(u64::MAX);
    let noun = if listed.len() == 1 { "line" } else { "lines" };
    let more = if count > named { " and more" } else { "" };
    format!("{noun} {}{more}", listed.join(", "))
}

/// Larger files and texts get no hint: looking for one takes the product of their lines.
const FILE_MAX_BYTES: usize = 1024 * 1024;
const OLD_MAX_LINES: usize = 200;

/// Looks for the likeliest difference.
pub(super) fn find(file: &[u8], old: &str) -> Option<EditHint> {
    if file.len() > FILE_MAX_BYTES || old.lines().count() > OLD_MAX_LINES {
        return None;
    }
    let text = String::from_utf8_lossy(file);
    if !old.contains('\r') && text.contains("\r\n") && text.replace("\r\n", "\n").contains(old) {
        return Some(EditHint::CarriageReturns);
    }
    if old.contains("\r\n") && text.contains(&old.replace("\r\n", "\n")) {
        return Some(EditHint::NoCarriageReturns);
    }
    if let Some(bare) = without_numbers(old)
        && text.contains(&bare)
    {
        return Some(EditHint::LineNumbers);
    }
    let squeeze = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(line) = find_lines(&text, old, squeeze) {
        return Some(EditHint::WhiteSpace { line });
    }
    let fold = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    if let Some(line) = find_lines(&text, old, fold) {
        return Some(EditHint::Case { line });
    }
    let first = old.lines().map(str::trim).find(|line| !line.is_empty())?;
    let several = old.trim().lines().count() > 1;
    let at = text.lines().position(|line| line.trim() == first).filter(|_| several)?;
    Some(EditHint::FirstLine { line: u64::try_from(at).unwrap_or(u64::MAX).saturating_add(1) })
}

/// First line of the place whose lines equal those of `old` after `normal`. Only whole lines are compared,
/// except that a text of one line may be a part of one.
fn find_lines(text: &str, old: &str, normal: impl Fn(&str) -> String) -> Option<u64> {
    let wanted: Vec<String> = old.trim_matches(['\n', '\r']).lines().map(&normal).collect();
    let lines: Vec<String> = text.lines().map(&normal).collect();
    let number = |at: usize| u64::try_from(at).unwrap_or(u64::MAX).saturating_add(1);
    match wanted.as_slice() {
        [] => None,
        [one] if one.is_empty() => None,
        [one] => lines.iter().position(|line| line.contains(one.as_str())).map(number),
        many if many.iter().all(String::is_empty) => None,
        many => lines.windows(many.len()).position(|window| window == many).map(number),
    }
}

/// The text without the line numbers `read` puts before each line, if every line has one.
fn without_numbers(old: &str) -> Option<String> {
    let lines: Option<Vec<&str>> = old
        .lines()
        .map(|line| {
            let (number, rest) = line.split_once('\t')?;
            let digits = number.trim_start();
            let numeric = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            numeric.then_some(rest)
        })
        .collect();
    lines.filter(|lines| !lines.is_empty()).map(|lines| lines.join("\n"))
}
