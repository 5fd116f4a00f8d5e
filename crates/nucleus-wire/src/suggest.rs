//! "Did you mean": the nearest of the words that are allowed.

/// Longer words than any name here are not compared.
const MAX_CHARS: usize = 64;

/// The allowed word nearest to `found`, if it is near enough to be what was meant.
pub(crate) fn nearest<'a>(
    found: &str,
    allowed: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let found: Vec<char> = found.chars().take(MAX_CHARS).map(simplified).collect();
    allowed
        .into_iter()
        .filter_map(|word| {
            let candidate: Vec<char> = word.chars().map(simplified).collect();
            let distance = distance(&found, &candidate);
            // A third of the word may be wrong, and at least one letter.
            let tolerated = candidate.len().checked_div(3).unwrap_or(0).max(1);
            (distance <= tolerated && distance < candidate.len()).then_some((distance, word))
        })
        .min()
        .map(|(_, word)| word)
}

/// Case and the choice between dash and underscore are no difference.
fn simplified(c: char) -> char {
    if c == '-' { '_' } else { c.to_ascii_lowercase() }
}

/// Edits between two words: insertions, deletions, replacements, and swaps of neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (i, from) in a.iter().enumerate() {
        let mut left = i.saturating_add(1);
        let mut next = vec![left];
        let mut neighbour = None;
        for (j, to) in b.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX);
            let right = j.saturating_add(1);
            let replaced = at(&row, j).saturating_add(usize::from(from != to));
            let removed = at(&row, right).saturating_add(1);
            left = replaced.min(removed).min(left.saturating_add(1));
            if previous == Some(to) && neighbour == Some(from) {
                left = left.min(at(&before, j.saturating_sub(1)).saturating_add(1));
            }
            next.push(left);
            neighbour = Some(to);
        }
        before = std::mem::replace(&mut row, next);
        previous = Some(from);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_not() {
        let words = ["read_files", "run_bash", "git_push", "path"];
        for (found, meant) in [
            ("read_file", Some("read_files")),
            ("Read-Files", Some("read_files")),
            ("runbash", Some("run_bash")),
            ("paht", Some("path")),
            ("pat", Some("path")),
            ("web_fetch", None),
            ("", None),
        ] {
            assert_eq!(nearest(found, words), meant, "{found}");
        }
    }

    #[test]
    fn distances_count_edits() {
        let d = |a: &str, b: &str| {
            distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>())
        };
        assert_eq!(d("kitten", "sitting"), 3);
        assert_eq!(d("", "abc"), 3);
        assert_eq!(d("abc", ""), 3);
        assert_eq!(d("abc", "abc"), 0);
        assert_eq!(d("abcd", "bacd"), 1);
        assert_eq!(d("abcd", "badc"), 2);
    }
}
