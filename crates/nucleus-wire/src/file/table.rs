use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::{FileErrorKind, Source};
use crate::limits::{POLICY_LIST_MAX_ITEMS, POLICY_STRING_MAX_BYTES};
use crate::suggest;

/// A table of a file, with the way to it. Values are taken by key; what is wrong with one is noted in the [`Source`] and
/// the value is then as if it were absent.
#[derive(Debug, Clone)]
pub(crate) struct Table<'t, 'i> {
    values: &'t DeTable<'i>,
    path: String,
    span: Range<usize>,
}

/// A value of a file, with the way to it.
#[derive(Debug, Clone)]
pub(crate) struct Item<'t, 'i> {
    value: &'t Spanned<DeValue<'i>>,
    key: String,
}

impl<'t, 'i> Table<'t, 'i> {
    pub(crate) fn root(values: &'t DeTable<'i>, span: Range<usize>) -> Self {
        Self { values, path: String::new(), span }
    }

    /// Reports every key that is none of `allowed`.
    pub(crate) fn only(&self, allowed: &[&'static str], source: &mut Source<'_>) {
        for key in self.values.keys() {
            if !allowed.contains(&key.get_ref().as_ref()) {
                let kind = FileErrorKind::UnknownKey {
                    allowed: allowed.to_vec(),
                    suggestion: suggest::nearest(key.get_ref(), allowed.iter().copied()),
                };
                source.report(key.span(), self.key_path(key.get_ref()), kind);
            }
        }
    }

    /// Reports a required key that is absent.
    pub(crate) fn missing(&self, key: &str, expected: &'static str, source: &mut Source<'_>) {
        let kind = FileErrorKind::MissingKey { expected: expected.into() };
        source.report(self.span.clone(), self.key_path(key), kind);
    }

    /// Every key with its value, in order of key.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'t str, Item<'t, 'i>)> + '_ {
        self.values.iter().map(|(key, value)| {
            (key.get_ref().as_ref(), Item { value, key: self.key_path(key.get_ref()) })
        })
    }

    pub(crate) fn get(&self, key: &str) -> Option<Item<'t, 'i>> {
        let value = self.values.get(key)?;
        Some(Item { value, key: self.key_path(key) })
    }

    pub(crate) fn table(&self, key: &str, source: &mut Source<'_>) -> Option<Table<'t, 'i>> {
        self.get(key)?.table(source)
    }

    pub(crate) fn text(
        &self,
        key: &str,
        source: &mut Source<'_>,
    ) -> Option<(&'t str, Item<'t, 'i>)> {
        let item = self.get(key)?;
        Some((item.text("text", source)?, item))
    }

    pub(crate) fn flag(&self, key: &str, source: &mut Source<'_>) -> Option<bool> {
        let item = self.get(key)?;
        let flag = item.value.get_ref().as_bool();
        if flag.is_none() {
            source.report_value(&item, "true or false");
        }
        flag
    }

    /// A whole number within limits.
    pub(crate) fn integer(
        &self,
        key: &str,
        limits: std::ops::RangeInclusive<u64>,
        source: &mut Source<'_>,
    ) -> Option<u64> {
        let item = self.get(key)?;
        let number = item.value.get_ref().as_integer().and_then(|integer| {
            let digits: String = integer.as_str().chars().filter(|c| *c != '_').collect();
            u64::from_str_radix(&digits, integer.radix()).ok()
        });
        let within = number.filter(|number| limits.contains(number));
        if within.is_none() {
            let (least, most) = (limits.start(), limits.end());
            source.report_value(&item, format!("a whole number from {least} to {most}"));
        }
        within
    }

    /// A list; absent is `None`, empty is empty.
    pub(crate) fn list(&self, key: &str, source: &mut Source<'_>) -> Option<Vec<Item<'t, 'i>>> {
        self.get(key)?.list(source)
    }

    fn key_path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

impl<'t, 'i> Item<'t, 'i> {
    pub(crate) fn span(&self) -> Range<usize> {
        self.value.span()
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn is_table(&self) -> bool {
        self.value.get_ref().is_table()
    }

    pub(crate) fn table(&self, source: &mut Source<'_>) -> Option<Table<'t, 'i>> {
        let values = self.value.get_ref().as_table();
        if values.is_none() {
            source.report_value(self, "a table");
        }
        Some(Table { values: values?, path: self.key.clone(), span: self.span() })
    }

    /// The text, if it is one and not too long.
    pub(crate) fn text(&self, expected: &'static str, source: &mut Source<'_>) -> Option<&'t str> {
        let text = self.value.get_ref().as_str();
        match text {
            None => source.report_value(self, expected),
            Some(long) if long.len() > POLICY_STRING_MAX_BYTES => {
                source
                    .report_value(self, format!("text of at most {POLICY_STRING_MAX_BYTES} bytes"));
                return None;
            }
            Some(_) => {}
        }
        text
    }

    /// One of some words.
    pub(crate) fn word<T: Copy>(
        &self,
        words: &[(&'static str, T)],
        source: &mut Source<'_>,
    ) -> Option<T> {
        let text = self.value.get_ref().as_str();
        let found = words.iter().find(|(word, _)| Some(*word) == text);
        if found.is_none() {
            let all: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            let near = text.and_then(|t| suggest::nearest(t, words.iter().map(|(word, _)| *word)));
            source.report_word(self, all.join(", "), near);
        }
        found.map(|(_, value)| *value)
    }

    /// A decimal number exactly as written, digits grouped with `_` joined. Floats keep their text, so that money is
    /// never a binary fraction.
    pub(crate) fn decimal(&self) -> Option<String> {
        let written = match self.value.get_ref() {
            DeValue::Float(float) => float.as_str(),
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
            _ => return None,
        };
        Some(written.chars().filter(|c| *c != '_').collect())
    }

    pub(crate) fn list(&self, source: &mut Source<'_>) -> Option<Vec<Item<'t, 'i>>> {
        let Some(items) = self.value.get_ref().as_array() else {
            source.report_value(self, "a list");
            return None;
        };
        if items.len() > POLICY_LIST_MAX_ITEMS {
            let kind =
                FileErrorKind::TooMany { items: items.len(), max_items: POLICY_LIST_MAX_ITEMS };
            source.report(self.span(), self.key.clone(), kind);
            return None;
        }
        Some(numbered(items, &self.key))
    }
}

fn numbered<'t, 'i>(items: &'t DeArray<'i>, key: &str) -> Vec<Item<'t, 'i>> {
    items
        .iter()
        .enumerate()
        .map(|(index, value)| Item { value, key: format!("{key}[{index}]") })
        .collect()
}
