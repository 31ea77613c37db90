//! YAML as a tree in which every value knows its line and column, and typed reading of it.
//!
//! serde stops at the first problem; a person wants all of them at once. So the text is parsed once into a tree, unknown
//! keys are collected on the way (with the nearest known key), and each part is read on its own.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{self, DeserializeOwned, IntoDeserializer, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use crate::diag::{Diagnostic, Location};

/// Deeper nesting than any configuration needs; also bounds recursion.
const MAX_DEPTH: usize = 32;

/// What to do about a value of the wrong form, where nothing more can be said.
const VALUE_HELP: &str = "`docs/config.md` shows what stands here; `tracebook init` writes an example";

/// 1-based line and column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) column: u64,
}

impl Place {
    fn of(location: &serde_saphyr::Location) -> Self {
        Self { line: location.line(), column: location.column() }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) place: Place,
    pub(super) value: Value,
    /// Bytes of a scalar in the text, so that `1.10` stays `1.10` where text is wanted.
    bytes: Option<Range<usize>>,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Tree>),
    /// Key, its place, value.
    Map(Vec<(String, Place, Tree)>),
}

impl Value {
    fn noun(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        let span = spanned.defined.span();
        let bytes = span.byte_offset().zip(span.byte_len()).and_then(|(at, len)| {
            let at = usize::try_from(at).ok()?;
            Some(at..at.checked_add(usize::try_from(len).ok()?)?)
        });
        Ok(Self { place: Place::of(&spanned.referenced), value: spanned.value, bytes })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a YAML value")
            }
            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }
            fn visit_none<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }
            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
                Value::deserialize(deserializer)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(Value::Int(value))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(i64::try_from(value).map_or_else(|_| Value::Text(value.to_string()), Value::Int))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                Ok(Value::Float(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(Value::Text(value.to_owned()))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Value::List(items))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(key) = map.next_key::<Spanned<String>>()? {
                    entries.push((key.value, Place::of(&key.referenced), map.next_value()?));
                }
                Ok(Value::Map(entries))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A parsed text, the problems found so far, and the way to read parts of it.
#[derive(Debug)]
pub(super) struct Document<'t> {
    file: &'t str,
    text: &'t str,
    root: Tree,
    problems: RefCell<Vec<Diagnostic>>,
}

impl<'t> Document<'t> {
    /// Parses YAML. An empty text is an empty mapping.
    ///
    /// # Errors
    /// `config-syntax` with line and column.
    pub(super) fn parse(file: &'t str, text: &'t str) -> Result<Self, Diagnostic> {
        let mut options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
        // Texts are bounded in bytes by whoever read them; a ledger of tens of thousands of runbooks is no attack. What
        // aliases can blow up keeps its limits.
        options.budget = serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: usize::MAX,
            max_events: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
        };
        let root = serde_saphyr::from_str_with_options::<Tree>(text, options).map_err(|error| {
            let mut location = Location::file(file);
            if let Some(at) = error.location() {
                (location.line, location.column) = (Some(at.line()), Some(at.column()));
            }
            let message = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
            let message =
                message.lines().next().and_then(|m| m.split(" at line ").next()).unwrap_or("this is not YAML");
            Diagnostic::error("config-syntax", message.to_owned()).at(location)
        })?;
        Ok(Self { file, text, root, problems: RefCell::default() })
    }

    /// Where a key path such as `objectives[2].target` stands; the nearest enclosing value when it is not written.
    pub(super) fn locate(&self, path: &str) -> Location {
        let mut at = &self.root;
        let mut place = at.place;
        for step in path.split(['.', '[']).filter(|s| !s.is_empty()) {
            let next = match &at.value {
                Value::Map(entries) => entries.iter().find(|(k, ..)| k == step).map(|(_, p, t)| (*p, t)),
                Value::List(items) => step
                    .strip_suffix(']')
                    .and_then(|i| i.parse::<usize>().ok())
                    .and_then(|i| items.get(i))
                    .map(|t| (t.place, t)),
                _ => None,
            };
            let Some((found, tree)) = next else { break };
            (place, at) = (found, tree);
        }
        self.location(place, path)
    }

    fn location(&self, place: Place, path: &str) -> Location {
        Location {
            file: Some(self.file.to_owned()),
            line: (place.line > 0).then_some(place.line),
            column: (place.column > 0).then_some(place.column),
            key: (!path.is_empty()).then(|| path.to_owned()),
        }
    }

    /// Adds a problem; where only a key path is given its place is looked up.
    pub(super) fn report(&self, mut problem: Diagnostic) {
        if problem.help.is_empty() {
            problem.help = VALUE_HELP.to_owned();
        }
        if problem.location.file.is_none() {
            let path = problem.location.key.clone().unwrap_or_default();
            problem.location = self.locate(&path);
        }
        self.problems.borrow_mut().push(problem);
    }

    /// Everything that was wrong, in order of place.
    pub(super) fn into_problems(self) -> Vec<Diagnostic> {
        let mut problems = self.problems.into_inner();
        problems.sort_by(|a, b| (a.location.line, a.location.column, a).cmp(&(b.location.line, b.location.column, b)));
        problems.dedup();
        problems
    }

    /// Reports keys of the root that are not in `known`.
    pub(super) fn only(&self, known: &'static [&'static str]) {
        match &self.root.value {
            Value::Map(entries) => {
                for (key, place, _) in entries.iter().filter(|(k, ..)| !known.contains(&k.as_str())) {
                    self.unknown_key(key, *place, key, known);
                }
            }
            Value::Null => {}
            other => self.report(
                Diagnostic::error("config-value", format!("the file must be a mapping, not {}", other.noun()))
                    .at(self.location(self.root.place, "")),
            ),
        }
    }

    fn unknown_key(&self, key: &str, place: Place, path: &str, known: &[&str]) {
        let help = nearest(key, known)
            .map_or_else(|| format!("known here: {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
        self.report(
            Diagnostic::error("config-unknown-key", format!("`{key}` is not a key tracebook knows here"))
                .at(self.location(place, path))
                .help(help),
        );
    }

    fn child(&self, key: &str) -> Option<&Tree> {
        match &self.root.value {
            Value::Map(entries) => entries.iter().find(|(k, ..)| k == key).map(|(.., tree)| tree),
            _ => None,
        }
    }

    /// The value of a key of the root, `None` when absent or wrong (the problem is then reported).
    pub(super) fn take<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let tree = self.child(key).filter(|t| !matches!(t.value, Value::Null))?;
        self.read(tree, key)
    }

    /// The items of a list under a key of the root, with their positions; wrong ones are reported and left out.
    pub(super) fn list<T: DeserializeOwned>(&self, key: &str) -> Vec<(usize, T)> {
        match self.child(key).map(|t| (&t.value, t)) {
            Some((Value::List(items), _)) => items
                .iter()
                .enumerate()
                .filter_map(|(i, item)| Some((i, self.read(item, &format!("{key}[{i}]"))?)))
                .collect(),
            None | Some((Value::Null, _)) => Vec::new(),
            Some((other, tree)) => {
                self.report(
                    Diagnostic::error("config-value", format!("expected a list, found {}", other.noun()))
                        .at(self.location(tree.place, key)),
                );
                Vec::new()
            }
        }
    }

    fn read<T: DeserializeOwned>(&self, tree: &Tree, path: &str) -> Option<T> {
        T::deserialize(Reader { tree, path: path.to_owned(), document: self })
            .map_err(|e| {
                let (place, path) = e.at.unwrap_or((tree.place, path.to_owned()));
                self.report(Diagnostic::error("config-value", e.message).at(self.location(place, &path)));
            })
            .ok()
    }
}

/// The known key that differs least, if any is close enough to be a slip.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let (distance, best) = known.iter().map(|k| (edit_distance(key, k), *k)).min()?;
    (distance <= (best.len().max(key.len().min(64)) / 3).max(1)).then_some(best)
}

/// Levenshtein distance in characters; long texts are simply far apart.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i.saturating_add(1);
        for (cell, y) in row.iter_mut().skip(1).zip(&b) {
            let replace = diagonal.saturating_add(usize::from(x != y));
            diagonal = *cell;
            left = replace.min(left.saturating_add(1)).min(cell.saturating_add(1));
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i.saturating_add(1);
        }
    }
    row.last().copied().unwrap_or(0)
}

/// An error on its way out of serde.
#[derive(Debug)]
struct Wrong {
    message: String,
    at: Option<(Place, String)>,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), at: None }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { message: format!("the key `{field}` is missing"), at: None }
    }
}

/// Reads one value of the tree.
struct Reader<'d, 't> {
    tree: &'d Tree,
    path: String,
    document: &'d Document<'t>,
}

impl<'d, 't> Reader<'d, 't> {
    fn expected(&self, what: &str) -> Wrong {
        Wrong {
            message: format!("expected {what}, found {}", self.tree.value.noun()),
            at: Some((self.tree.place, self.path.clone())),
        }
    }

    /// A scalar as it is written.
    fn text(&self) -> Result<String, Wrong> {
        let written =
            || self.tree.bytes.clone().and_then(|r| self.document.text.get(r)).map(str::trim).filter(|t| !t.is_empty());
        match &self.tree.value {
            Value::Text(text) => Ok(text.clone()),
            Value::Int(n) => Ok(written().map_or_else(|| n.to_string(), str::to_owned)),
            Value::Float(n) => Ok(written().map_or_else(|| n.to_string(), str::to_owned)),
            Value::Bool(b) => Ok(b.to_string()),
            _ => Err(self.expected("a text")),
        }
    }

    fn placed<T>(tree: &Tree, path: &str, result: Result<T, Wrong>) -> Result<T, Wrong> {
        result.map_err(|mut wrong| {
            wrong.at.get_or_insert_with(|| (tree.place, path.to_owned()));
            wrong
        })
    }

    fn number<T>(&self, what: &str, from: impl FnOnce(i64) -> Option<T>) -> Result<T, Wrong> {
        match self.tree.value {
            Value::Int(n) => from(n).ok_or_else(|| self.expected(what)),
            _ => Err(self.expected(what)),
        }
    }

    fn items<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let items: &[Tree] = match &self.tree.value {
            Value::List(items) => items,
            Value::Null => &[],
            _ => return Err(self.expected("a list")),
        };
        let Self { tree, path, document } = self;
        let readers = items.iter().enumerate().map(|(i, tree)| Reader { tree, path: format!("{path}[{i}]"), document });
        Self::placed(tree, &path, visitor.visit_seq(SeqDeserializer::new(readers)))
    }

    /// A mapping; with `known`, other keys are reported and skipped.
    fn entries<V: Visitor<'d>>(self, known: Option<&'static [&'static str]>, visitor: V) -> Result<V::Value, Wrong> {
        let entries: &[(String, Place, Tree)] = match &self.tree.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => return Err(self.expected("a mapping")),
        };
        let Self { tree, path, document } = self;
        let mut readers = Vec::with_capacity(entries.len());
        for (key, place, value) in entries {
            let path = format!("{path}.{key}");
            match known {
                Some(known) if !known.contains(&key.as_str()) => document.unknown_key(key, *place, &path, known),
                _ => readers.push((key.as_str(), Reader { tree: value, path, document })),
            }
        }
        Self::placed(tree, &path, visitor.visit_map(MapDeserializer::new(readers.into_iter())))
    }
}

impl<'d> IntoDeserializer<'d, Wrong> for Reader<'d, '_> {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $ty:ty),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            let value = self.number("a whole number in range", |n| <$ty>::try_from(n).ok())?;
            visitor.$visit(value)
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'de, '_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.tree.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(b) => visitor.visit_bool(*b),
            Value::Int(n) => visitor.visit_i64(*n),
            Value::Float(n) => visitor.visit_f64(*n),
            Value::Text(text) => visitor.visit_str(text),
            Value::List(_) => self.items(visitor),
            Value::Map(_) => self.entries(None, visitor),
        }
    }

    integers! {
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64,
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.tree.value {
            Value::Bool(b) => visitor.visit_bool(b),
            _ => Err(self.expected("true or false")),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_f64(visitor)
    }

    #[allow(clippy::cast_precision_loss, reason = "configured numbers are small")]
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.tree.value {
            Value::Float(n) if n.is_finite() => visitor.visit_f64(n),
            Value::Int(n) => visitor.visit_f64(n as f64),
            _ => Err(self.expected("a number")),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_string(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_string(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_string(self.text()?)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if matches!(self.tree.value, Value::Null) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.items(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.entries(None, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.entries(Some(fields), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let text = self.text()?;
        if !variants.contains(&text.as_str()) {
            let expected = variants.join(", ");
            return Err(Wrong {
                message: format!("`{text}` is not one of {expected}"),
                at: Some((self.tree.place, self.path.clone())),
            });
        }
        let variant: StrDeserializer<'_, Wrong> = text.as_str().into_deserializer();
        visitor.visit_enum(variant)
    }

    serde::forward_to_deserialize_any! { bytes byte_buf unit unit_struct tuple tuple_struct ignored_any i128 u128 }
}
