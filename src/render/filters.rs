//! The filters templates may use: the only way a number or a name reaches a page.
//!
//! Input: values of the view model. Output: text fit for the place its filter is named after.
//! Must not: decide on units or escapes; `format` and `escape` do.

use serde::Deserialize;
use tera::{Kwargs, State, Tera, TeraResult, Value};

use super::text::{Place, ViewText};
use super::{escape, format, markdown};

/// Registers every filter; before any template is added, since unknown names fail then.
pub(super) fn register(tera: &mut Tera) {
    tera.register_filter("text", |value: Value, args: Kwargs, _: &State| {
        let indent = args.get::<usize>("indent")?.unwrap_or(0);
        safe(text(&value)?.to_markdown(Place::Block(indent)))
    });
    tera.register_filter("line", |value: Value, _: Kwargs, _: &State| safe(text(&value)?.to_markdown(Place::Line)));
    tera.register_filter("cell", |value: Value, _: Kwargs, _: &State| safe(text(&value)?.to_markdown(Place::Cell)));
    tera.register_filter("strong", |value: Value, _: Kwargs, _: &State| {
        let text = text(&value)?;
        let line = text.to_markdown(Place::Line);
        // Emphasis of the team's own would end ours early.
        safe(if line.is_empty() || text.has_markup() { line } else { format!("**{line}**") })
    });
    tera.register_filter("plain", |value: Value, _: Kwargs, _: &State| Ok::<_, tera::Error>(text(&value)?.to_plain()));
    tera.register_filter("code", |value: Value, args: Kwargs, _: &State| {
        let cell = args.get::<bool>("cell")?.unwrap_or(false);
        safe(escape::code(&string(&value)?, cell))
    });
    tera.register_filter("html", |value: Value, _: Kwargs, _: &State| safe(escape::html(&text(&value)?.to_plain())));
    tera.register_filter("fence", |value: Value, args: Kwargs, _: &State| {
        let language = args.get::<String>("language")?.unwrap_or_default();
        let indent = args.get::<usize>("indent")?.unwrap_or(0);
        safe(escape::fence(&string(&value)?, &language, indent))
    });
    tera.register_filter("anchor", |value: Value, _: Kwargs, _: &State| {
        safe(markdown::anchor(&text(&value)?.to_plain()))
    });
    tera.register_filter("slugify", |value: Value, _: Kwargs, _: &State| {
        safe(markdown::slugify(&text(&value)?.to_plain()))
    });
    tera.register_filter("time", |value: Value, _: Kwargs, _: &State| {
        safe(escape::markdown(&format::rfc3339_to_text(&string(&value)?)))
    });
    number(tera, "duration", format::duration);
    number(tera, "ratio", format::ratio);
    number(tera, "count", format::count);
    number(tera, "rate", format::rate);
}

/// A filter on a number; what is not known is said to be so.
fn number(tera: &mut Tera, name: &'static str, format: fn(f64) -> String) {
    tera.register_filter(name, move |value: Value, _: Kwargs, _: &State| {
        if value.is_none() || value.is_undefined() {
            return safe("unknown");
        }
        // The engine takes no integer beyond 2^53 for a float; the nearest one will do.
        let nearest = || value.is_number().then(|| value.to_string().parse().ok()).flatten();
        let text = value.as_f64().or_else(nearest).map(format).ok_or_else(|| {
            tera::Error::message(format!("the filter `{name}` takes a number, this is of type {}", value.name()))
        })?;
        // `< 0.01 %` must not open a tag where Markdown is MDX.
        safe(escape::markdown(&text))
    });
}

/// Already fit for its place: the engine escapes it no more.
fn safe(text: impl AsRef<str>) -> TeraResult<Value> {
    Ok(Value::safe_string(text.as_ref()))
}

/// A typed text, or a plain string, which is taken for words.
fn text(value: &Value) -> TeraResult<ViewText> {
    if value.is_none() || value.is_undefined() {
        return Ok(ViewText::default());
    }
    if value.as_str().is_some() || value.is_number() {
        return Ok(ViewText::words(&string(value)?));
    }
    ViewText::deserialize(value).map_err(|e| tera::Error::message(format!("this is neither a text nor a string: {e}")))
}

fn string(value: &Value) -> TeraResult<String> {
    match (value.as_str(), value.is_number()) {
        (Some(text), _) => Ok(text.to_owned()),
        (None, true) => Ok(value.to_string()),
        (None, false) => {
            Err(tera::Error::message(format!("a string is expected here, this is of type {}", value.name())))
        }
    }
}
