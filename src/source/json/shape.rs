//! Reading JSON values that may be anything.
//!
//! A [`Shape`] says what to do with the kinds of value it hopes for; every other kind is skipped and reported as
//! [`Found::Wrong`], so that a surprise in one span is never an error of its document. Values nobody hopes for are skipped
//! without recursion, however deep they nest.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A scalar, or what stands for "something else".
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Scalar<'de> {
    #[default]
    Null,
    Bool(bool),
    Unsigned(u64),
    Negative(i64),
    Float(f64),
    Text(Cow<'de, str>),
    /// A list or an object, skipped.
    Other,
}

/// What a value turned out to be.
#[derive(Debug)]
pub(super) enum Found<T> {
    /// What was hoped for.
    Value(T),
    /// `null`.
    Null,
    /// Something else, skipped.
    Wrong,
}

/// How to read one value.
pub(super) trait Shape<'de>: Sized {
    /// What comes of it.
    type Out;

    /// A scalar; by default only `null` is tolerated.
    fn scalar(self, scalar: Scalar<'de>) -> Found<Self::Out> {
        if scalar == Scalar::Null { Found::Null } else { Found::Wrong }
    }

    /// A list; skipped by default.
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found<Self::Out>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Found::Wrong)
    }

    /// An object; skipped by default.
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Found<Self::Out>, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Found::Wrong)
    }
}

/// Makes a serde seed of a shape.
pub(super) struct Hoping<S>(pub(super) S);

impl<'de, S: Shape<'de>> DeserializeSeed<'de> for Hoping<S> {
    type Value = Found<S::Out>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: Shape<'de>> Visitor<'de> for Hoping<S> {
    type Value = Found<S::Out>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(self.0.scalar(Scalar::Null))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(self.0.scalar(Scalar::Bool(value)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(self.0.scalar(Scalar::Unsigned(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(self.0.scalar(u64::try_from(value).map_or(Scalar::Negative(value), Scalar::Unsigned)))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(self.0.scalar(Scalar::Float(value)))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(self.0.scalar(Scalar::Text(Cow::Borrowed(value))))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(self.0.scalar(Scalar::Text(Cow::Owned(value.to_owned()))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        self.0.list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Self::Value, A::Error> {
        self.0.object(object)
    }
}

struct AnyScalar;

impl<'de> Shape<'de> for AnyScalar {
    type Out = Scalar<'de>;

    fn scalar(self, scalar: Scalar<'de>) -> Found<Scalar<'de>> {
        Found::Value(scalar)
    }
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Hoping(AnyScalar).deserialize(deserializer)? {
            Found::Value(scalar) => scalar,
            Found::Null => Self::Null,
            Found::Wrong => Self::Other,
        })
    }
}

/// The next key of an object, borrowed where it has no escapes.
pub(super) fn next_key<'de, A: MapAccess<'de>>(object: &mut A) -> Result<Option<Cow<'de, str>>, A::Error> {
    struct Key<'de>(Cow<'de, str>);
    impl<'de> Deserialize<'de> for Key<'de> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            // Keys of JSON objects are always strings.
            match Scalar::deserialize(deserializer)? {
                Scalar::Text(text) => Ok(Self(text)),
                _ => Ok(Self(Cow::Borrowed(""))),
            }
        }
    }
    Ok(object.next_key::<Key<'de>>()?.map(|key| key.0))
}
