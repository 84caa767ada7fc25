//! Values between JSON text and programs. A text that is no JSON is a string, so that any value of state can be read; a
//! string is written as it is, unless it would then be read as JSON.

use rhai::{Array, Dynamic, ImmutableString, Map};
use serde_json::{Number, Value};

/// The depth of a value that a program makes.
const DEPTH_MAX: usize = 64;

/// Reads a text.
pub(super) fn read(text: &str) -> Dynamic {
    match serde_json::from_str(text) {
        Ok(value) => of_json(value),
        Err(_) => text.into(),
    }
}

fn of_json(value: Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(value) => value.into(),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => integer.into(),
            None => number.as_f64().unwrap_or(f64::MAX).into(),
        },
        Value::String(text) => text.into(),
        Value::Array(items) => items.into_iter().map(of_json).collect::<Array>().into(),
        Value::Object(fields) => {
            let fields = fields.into_iter();
            let fields = fields.map(|(name, value)| (name.into(), of_json(value)));
            fields.collect::<Map>().into()
        }
    }
}

/// Writes the new value of a key, so that [`read`] gives it again; `None` for `()`.
///
/// # Errors
/// A value that has no JSON, in words.
pub(super) fn write(value: &Dynamic) -> Result<Option<String>, String> {
    if value.is_unit() {
        return Ok(None);
    }
    if let Some(text) = value.read_lock::<ImmutableString>()
        && serde_json::from_str::<Value>(&text).is_err()
    {
        return Ok(Some(text.to_string()));
    }
    Ok(Some(to_json(value, 0)?.to_string()))
}

/// Converts a value to JSON.
///
/// # Errors
/// A value that has no JSON, in words.
pub(super) fn answer(value: &Dynamic) -> Result<Value, String> {
    to_json(value, 0)
}

fn to_json(value: &Dynamic, depth: usize) -> Result<Value, String> {
    if depth > DEPTH_MAX {
        return Err(format!("a value is nested more than {DEPTH_MAX} times"));
    }
    if value.is_unit() {
        return Ok(Value::Null);
    }
    if let Ok(value) = value.as_bool() {
        return Ok(value.into());
    }
    if let Ok(value) = value.as_int() {
        return Ok(value.into());
    }
    if let Ok(value) = value.as_float() {
        let number = Number::from_f64(value);
        return number
            .map(Value::Number)
            .ok_or_else(|| format!("{value} has no JSON"));
    }
    if let Ok(value) = value.as_char() {
        return Ok(value.to_string().into());
    }
    if let Some(text) = value.read_lock::<ImmutableString>() {
        return Ok(text.as_str().into());
    }
    if let Some(items) = value.read_lock::<Array>() {
        let items = items.iter().map(|item| to_json(item, depth + 1));
        return items.collect::<Result<Vec<_>, _>>().map(Value::Array);
    }
    if let Some(fields) = value.read_lock::<Map>() {
        let fields = fields.iter();
        let fields = fields.map(|(name, value)| Ok((name.to_string(), to_json(value, depth + 1)?)));
        return fields.collect::<Result<_, String>>().map(Value::Object);
    }
    Err(format!("a value of type {} has no JSON", value.type_name()))
}
