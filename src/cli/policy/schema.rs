//! `strongroom policy schema`: the JSON Schema of a bundle's files, for editors.
//!
//! [`KINDS`] describes every table and key once; tests hold it equal to what the parser takes. What a schema
//! cannot say (references, bounds, units) `policy check` says.

mod kinds;

use serde::Serialize;
use serde_json::{Map, Value, json};

use self::kinds::{ATTESTED_NEED, Form, KINDS, Key, Kind, NEED, Once};
use crate::failure::Failure;
use crate::output::Answer;

/// The schema, as it is printed.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Schema(Value);

/// Prints the schema.
///
/// # Errors
/// None that is not a defect.
pub fn run() -> Result<Answer, Failure> {
    Answer::done(&Schema(schema()))
}

impl std::fmt::Display for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

/// The schema of a `*.toml` file of a bundle.
fn schema() -> Value {
    let mut properties = Map::new();
    let mut definitions = Map::new();
    definitions.insert("need".to_owned(), table(&NEED));
    definitions.insert("attested_need".to_owned(), table(&ATTESTED_NEED));
    for kind in KINDS {
        let reference = json!({"$ref": format!("#/$defs/{}", kind.name)});
        let property = match kind.once {
            Once::Yes => reference,
            Once::No => json!({"type": "array", "items": reference}),
        };
        properties.insert(kind.name.to_owned(), property);
        definitions.insert(kind.name.to_owned(), table(kind));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A file of a Strongroom policy bundle",
        "description": "docs/policy.md says what each table means; `strongroom policy check` checks what a schema cannot.",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "$defs": definitions,
    })
}

fn table(kind: &Kind) -> Value {
    let properties = kind.keys.iter().flat_map(|part| part.iter());
    let required = properties.clone().filter(|key| key.required);
    let required: Vec<&str> = required.map(|key| key.name).collect();
    let properties = properties.map(|key| (key.name.to_owned(), property(key)));
    let mut table = json!({
        "description": kind.about,
        "type": "object",
        "properties": properties.collect::<Map<_, _>>(),
        "required": required,
        "additionalProperties": false,
    });
    if let (Some(table), false) = (table.as_object_mut(), kind.either.is_empty()) {
        let either = kind.either.iter().map(|key| json!({"required": [key]}));
        table.insert("oneOf".to_owned(), either.collect());
    }
    table
}

fn property(key: &Key) -> Value {
    let mut property = form(&key.form);
    if let Some(property) = property.as_object_mut() {
        property.insert("description".to_owned(), key.about.into());
    }
    property
}

fn form(form: &Form) -> Value {
    match form {
        Form::Text => json!({"type": "string", "minLength": 1}),
        Form::Pattern(pattern) => json!({"type": "string", "pattern": pattern}),
        Form::Words(words) => json!({"type": "string", "enum": words}),
        Form::Number(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Form::Each(one) => {
            let one = self::form(one);
            let list = json!({"type": "array", "items": one, "minItems": 1, "uniqueItems": true});
            json!({"anyOf": [one, list]})
        }
        Form::Need => json!({"$ref": "#/$defs/need"}),
        Form::Arguments => {
            let texts = self::form(&Form::Each(&Form::Text));
            let within = json!({
                "type": "object",
                "properties": {"max": {"type": "string"}, "over": {"type": "string"}},
                "minProperties": 1,
                "additionalProperties": false,
            });
            json!({
                "type": "object",
                "minProperties": 1,
                "additionalProperties": {"anyOf": [texts, within]},
            })
        }
        Form::Required => json!({
            "anyOf": [{"$ref": "#/$defs/need"}, {"$ref": "#/$defs/attested_need"}]
        }),
        Form::Truth => json!({"type": "boolean"}),
        Form::Quorum => json!({
            "type": "object",
            "properties": {
                "threshold": self::form(&Form::Number(1, kinds::U32_MAX)),
                "people": self::form(&kinds::PEOPLE),
            },
            "required": ["threshold", "people"],
            "additionalProperties": false,
        }),
    }
}

/// The keys that are conditions of statements.
#[cfg(test)]
pub fn conditions() -> impl Iterator<Item = &'static str> {
    kinds::CONDITIONS.iter().map(|key| key.name)
}

#[cfg(test)]
mod tests;
