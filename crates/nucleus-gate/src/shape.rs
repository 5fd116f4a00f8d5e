//! Writes a parsed body again from the shapes of a data file: an allow list of fields, not a filter of bad ones.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use thiserror::Error;

use crate::json::Json;
use crate::refusal::{Refusal, Unlisted};

/// What a value must be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    Number,
    Boolean,
    Any,
    /// This text, number or truth value and no other.
    Literal(Json),
    /// A string that holds its data itself: `data:…`.
    Inline,
    /// The type of inline data that is priced like the prompt it stands in: images, text, PDF.
    MediaType,
    Array(Box<Kind>),
    Either(Vec<Kind>),
    Object(String),
    Union(String),
}

/// The members no adapter passes on, by what they would do; one list for all providers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefusedText {
    version: String,
    source: BTreeSet<String>,
    tool: BTreeSet<String>,
    power: BTreeSet<String>,
}

/// An object as the data file writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ObjectText {
    keep: BTreeMap<String, String>,
    #[serde(default)]
    drop: BTreeSet<String>,
    #[serde(default)]
    refuse: BTreeSet<String>,
    /// Members without which the object would mean something else.
    #[serde(default)]
    require: Vec<String>,
}

/// What becomes of a variant that is not listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Otherwise {
    #[default]
    Refuse,
    Drop,
}

/// A union as the data file writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnionText {
    refuse_as: Unlisted,
    #[serde(default)]
    unlisted: Otherwise,
    default: Option<String>,
    options: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Object {
    keep: BTreeMap<String, Kind>,
    drop: BTreeSet<String>,
    refuse: BTreeSet<String>,
    require: Vec<String>,
}

/// Shapes by name.
#[derive(Debug)]
pub(crate) struct Shapes {
    objects: BTreeMap<String, Object>,
    unions: BTreeMap<String, UnionText>,
    refused: RefusedText,
}

/// A defect of the data file.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum ShapeError {
    #[error("kind `{0}` names no shape")]
    UnknownKind(String),
    #[error("`{0}` is both an object and a union")]
    TwiceNamed(String),
    #[error("field `{0}` is in two lists of one object")]
    TwiceListed(String),
    #[error("field `{0}` is kept although every adapter refuses it")]
    KeptThoughRefused(String),
}

/// Result of rewriting one body.
#[derive(Debug)]
pub(crate) struct Rebuilt {
    /// The body, from listed fields only.
    pub(crate) body: Json,
    /// Fields left out that no list names, `shape.field`.
    pub(crate) unknown: BTreeSet<String>,
}

impl Shapes {
    /// Resolves every name of the data file.
    pub(crate) fn new(
        objects: BTreeMap<String, ObjectText>,
        unions: BTreeMap<String, UnionText>,
        refused: RefusedText,
    ) -> Result<Self, ShapeError> {
        let object_names: BTreeSet<String> = objects.keys().cloned().collect();
        if let Some(name) = unions.keys().find(|name| object_names.contains(*name)) {
            return Err(ShapeError::TwiceNamed(name.clone()));
        }
        for union in unions.values() {
            if let Some(target) = union.options.values().find(|t| !object_names.contains(*t)) {
                return Err(ShapeError::UnknownKind(target.clone()));
            }
            if let Some(tag) = union.default.as_ref().filter(|t| !union.options.contains_key(*t)) {
                return Err(ShapeError::UnknownKind(tag.clone()));
            }
        }
        let kind = |text: &str| parse_kind(text, &object_names, &unions);
        let mut resolved = BTreeMap::new();
        for (name, text) in objects {
            let keep = text
                .keep
                .iter()
                .map(|(field, k)| Ok((field.clone(), kind(k)?)))
                .collect::<Result<BTreeMap<_, _>, ShapeError>>()?;
            let listed = |f: &&String| keep.contains_key(*f) || text.refuse.contains(*f);
            let twice = text.drop.iter().find(listed);
            let twice = twice.or_else(|| text.refuse.iter().find(|f| keep.contains_key(*f)));
            if let Some(field) = twice {
                return Err(ShapeError::TwiceListed(field.clone()));
            }
            let open = |kind: &Kind| !matches!(kind, Kind::Literal(_) | Kind::Inline);
            let listed = |f: &String| refused.why(f).is_some();
            if let Some((field, _)) = keep.iter().find(|(f, kind)| listed(f) && open(kind)) {
                return Err(ShapeError::KeptThoughRefused(field.clone()));
            }
            let ObjectText { drop, refuse, require, .. } = text;
            resolved.insert(name, Object { keep, drop, refuse, require });
        }
        Ok(Self { objects: resolved, unions, refused })
    }

    /// Version of the list that holds for every adapter.
    pub(crate) fn refused_version(&self) -> &str {
        &self.refused.version
    }

    /// True when the data file has an object of that name.
    pub(crate) fn has_object(&self, name: &str) -> bool {
        self.objects.contains_key(name)
    }

    /// Rewrites `body` as the object `name`.
    pub(crate) fn rebuild(&self, name: &str, body: Json) -> Result<Rebuilt, Refusal> {
        let mut walk = Walk { shapes: self, path: Vec::new(), unknown: BTreeSet::new() };
        let body = walk.object(name, body)?;
        Ok(Rebuilt { body, unknown: walk.unknown })
    }
}

fn parse_kind(
    text: &str,
    objects: &BTreeSet<String>,
    unions: &BTreeMap<String, UnionText>,
) -> Result<Kind, ShapeError> {
    if text.contains('|') {
        let parts = text.split('|').map(|part| parse_kind(part.trim(), objects, unions));
        return Ok(Kind::Either(parts.collect::<Result<_, _>>()?));
    }
    if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        return Ok(Kind::Array(Box::new(parse_kind(inner.trim(), objects, unions)?)));
    }
    if let Some(literal) = text.strip_prefix('=') {
        let value = Json::parse(literal.as_bytes()).unwrap_or(Json::String(literal.to_owned()));
        return Ok(Kind::Literal(value));
    }
    Ok(match text {
        "string" => Kind::Text,
        "data_url" => Kind::Inline,
        "media_type" => Kind::MediaType,
        "integer" => Kind::Integer,
        "number" => Kind::Number,
        "boolean" => Kind::Boolean,
        "any" => Kind::Any,
        name if objects.contains(name) => Kind::Object(name.to_owned()),
        name if unions.contains_key(name) => Kind::Union(name.to_owned()),
        other => return Err(ShapeError::UnknownKind(other.to_owned())),
    })
}

impl Kind {
    /// Whether a value of this JSON form can be of the kind, without looking inside.
    fn admits(&self, value: &Json) -> bool {
        match (self, value) {
            (Self::Any, _)
            | (Self::Text | Self::Inline | Self::MediaType, Json::String(_))
            | (Self::Number, Json::Number(_))
            | (Self::Boolean, Json::Bool(_))
            | (Self::Array(_), Json::Array(_))
            | (Self::Object(_) | Self::Union(_), Json::Object(_)) => true,
            (Self::Integer, Json::Number(_)) => value.as_u64().is_some(),
            (Self::Literal(known), _) => known == value,
            (Self::Either(kinds), _) => kinds.iter().any(|kind| kind.admits(value)),
            _ => false,
        }
    }

    fn expected(&self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Literal(_) => "left out: only its default is served here",
            Self::Inline => "a data: URL that holds the content itself",
            Self::MediaType => "an image, text or PDF type",
            Self::Integer => "a non-negative integer",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Any => "any value",
            Self::Array(_) => "an array",
            Self::Either(_) => "one of the forms the API documents",
            Self::Object(_) | Self::Union(_) => "an object",
        }
    }
}

/// Whether a string stands for inline data; a URL that something would have to fetch does not.
fn is_inline(kind: &Kind, text: &str) -> bool {
    let starts = |prefix: &str| {
        text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    match kind {
        Kind::Inline => starts("data:"),
        Kind::MediaType => starts("image/") || starts("text/") || text == "application/pdf",
        _ => true,
    }
}

impl RefusedText {
    /// What a member would do, when no adapter passes it on.
    fn why(&self, field: &str) -> Option<Refused> {
        let lists = [
            (&self.source, Refused::Kind(Unlisted::Source)),
            (&self.tool, Refused::Kind(Unlisted::Tool)),
            (&self.power, Refused::Power),
        ];
        lists.into_iter().find(|(list, _)| list.contains(field)).map(|(_, why)| why)
    }
}

/// Why a member is refused.
#[derive(Debug, Clone, Copy)]
enum Refused {
    Kind(Unlisted),
    Power,
}

struct Walk<'a> {
    shapes: &'a Shapes,
    path: Vec<String>,
    unknown: BTreeSet<String>,
}

impl Walk<'_> {
    fn place(&self) -> String {
        if self.path.is_empty() { "the body".to_owned() } else { self.path.concat() }
    }

    /// The value rebuilt; `None` when a union leaves it out.
    fn value(&mut self, kind: &Kind, value: Json) -> Result<Option<Json>, Refusal> {
        if !kind.admits(&value) {
            return Err(Refusal::Shape { place: self.place(), expected: kind.expected() });
        }
        match (kind, value) {
            (Kind::Inline | Kind::MediaType, Json::String(text)) if !is_inline(kind, &text) => {
                let tag = crate::escape::shown(&text);
                Err(Refusal::Unlisted { what: Unlisted::Source, tag, place: self.place() })
            }
            (Kind::Array(inner), Json::Array(items)) => {
                let mut out = Vec::with_capacity(items.len());
                for (index, item) in items.into_iter().enumerate() {
                    self.path.push(format!("[{index}]"));
                    out.extend(self.value(inner, item)?);
                    self.path.pop();
                }
                Ok(Some(Json::Array(out)))
            }
            (Kind::Either(kinds), value) => match kinds.iter().find(|kind| kind.admits(&value)) {
                Some(kind) => self.value(kind, value),
                None => Err(Refusal::Shape { place: self.place(), expected: kind.expected() }),
            },
            (Kind::Object(name), value) => self.object(name, value).map(Some),
            (Kind::Union(name), value) => self.union(name, value),
            (_, value) => Ok(Some(value)),
        }
    }

    fn union(&mut self, name: &str, value: Json) -> Result<Option<Json>, Refusal> {
        let Some(union) = self.shapes.unions.get(name) else {
            return Err(Refusal::Shape { place: self.place(), expected: "a known shape" });
        };
        let tag = match value.get("type") {
            None | Some(Json::Null) => union.default.as_deref(),
            Some(Json::String(tag)) => Some(tag.as_str()),
            Some(_) => None,
        };
        let Some(tag) = tag else {
            return Err(Refusal::Shape { place: self.place(), expected: "an object with a type" });
        };
        match union.options.get(tag) {
            Some(target) => self.object(target, value).map(Some),
            None if union.unlisted == Otherwise::Drop => {
                self.unknown.insert(format!("{name}={}", crate::escape::shown(tag)));
                Ok(None)
            }
            None => Err(Refusal::Unlisted {
                what: union.refuse_as,
                tag: crate::escape::shown(tag),
                place: self.place(),
            }),
        }
    }

    fn object(&mut self, name: &str, value: Json) -> Result<Json, Refusal> {
        let (Some(shape), Json::Object(members)) = (self.shapes.objects.get(name), value) else {
            return Err(Refusal::Shape { place: self.place(), expected: "an object" });
        };
        if let Some(field) =
            shape.require.iter().find(|f| !members.iter().any(|(name, _)| name == *f))
        {
            return Err(Refusal::Lacks { place: self.place(), field: field.clone() });
        }
        let mut out = Vec::with_capacity(members.len());
        for (field, value) in members {
            let Some(kind) = self.kept(name, shape, &field, &value)? else { continue };
            if matches!(value, Json::Null) && *kind != Kind::Any {
                continue;
            }
            self.path.push(if self.path.is_empty() { field.clone() } else { format!(".{field}") });
            let rebuilt = self.value(kind, value)?;
            self.path.pop();
            if let Some(rebuilt) = rebuilt {
                out.push((field, rebuilt));
            }
        }
        Ok(Json::Object(out))
    }

    /// The kind of a member that is passed on; a member that is left out has none, and one that is listed as refused is.
    fn kept<'s>(
        &mut self,
        name: &str,
        shape: &'s Object,
        field: &str,
        value: &Json,
    ) -> Result<Option<&'s Kind>, Refusal> {
        let absent = matches!(value, Json::Null);
        let kind = shape.keep.get(field);
        let fits = kind.is_some_and(|kind| kind.admits(value));
        let why = match self.shapes.refused.why(field) {
            _ if shape.refuse.contains(field) => Some(Refused::Power),
            why if !fits => why,
            _ => None,
        };
        // Turned off is as good as absent.
        let off = absent || (*value == Json::Bool(false) && kind.is_none());
        match why {
            Some(_) if off => return Ok(None),
            Some(Refused::Power) => return Err(Refusal::Field { field: field.to_owned() }),
            Some(Refused::Kind(what)) => {
                let place = self.place();
                return Err(Refusal::Unlisted { what, tag: field.to_owned(), place });
            }
            None => {}
        }
        if kind.is_none() && !shape.drop.contains(field) {
            self.unknown.insert(format!("{name}.{}", crate::escape::shown(field)));
        }
        Ok(kind)
    }
}
