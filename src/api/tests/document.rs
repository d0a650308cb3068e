//! The document by itself, and the error types and bounds that it states.

use serde_json::{Value, json};
use strongroom_api::{
    problem::{Api, ProblemKind},
    signing,
};

use crate::schema::Schemas;

/// The document.
pub fn document() -> Value {
    serde_json::from_str(include_str!("../openapi.json")).expect("openapi.json is JSON")
}

#[test]
fn is_openapi_3_1_and_every_reference_leads_somewhere() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let schemas = Schemas::of(&document);
    let mut references = 0;
    each_object(&document, &mut |object| {
        let Some(path) = object.get("$ref").and_then(Value::as_str) else {
            return;
        };
        references += 1;
        if path.starts_with("#/components/schemas/") {
            schemas.referred(&json!(path));
        } else {
            let pointer = path
                .strip_prefix('#')
                .expect("references stay in the document");
            assert!(document.pointer(pointer).is_some(), "{path} leads nowhere");
        }
    });
    assert!(references > 50);
}

#[test]
fn every_schema_is_used() {
    let document = document();
    let text = document.to_string();
    for name in Schemas::of(&document).names() {
        let reference = format!("\"#/components/schemas/{name}\"");
        assert!(text.contains(&reference), "nothing uses the schema {name}");
    }
}

#[test]
fn every_operation_may_answer_with_a_problem() {
    for (path, methods) in document()["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let default = &operation["responses"]["default"]["$ref"];
            assert_eq!(
                *default, "#/components/responses/Problem",
                "{method} {path}"
            );
        }
    }
}

#[test]
fn problem_types_are_those_of_the_code() {
    let document = document();
    let schemas = Schemas::of(&document);
    let listed = schemas.get("ProblemType")["oneOf"]
        .as_array()
        .unwrap()
        .clone();
    let answered = |kind: &&ProblemKind| kind.apis().contains(&Api::Signing);
    let kinds: Vec<_> = ProblemKind::ALL.iter().filter(answered).collect();
    assert_eq!(listed.len(), kinds.len());
    for (listed, kind) in listed.iter().zip(kinds) {
        assert_eq!(listed["const"], kind.uri());
        assert_eq!(listed["title"], kind.title());
        let description = listed["description"].as_str().unwrap();
        let status = format!("Status {}. ", kind.status());
        assert!(
            description.starts_with(&status),
            "{}: {description}",
            kind.uri()
        );
    }
}

#[test]
fn bounds_are_those_of_the_code() {
    let document = document();
    let schemas = Schemas::of(&document);
    let most =
        |schema: &str, list: &str| schemas.get(schema)["properties"][list]["maxItems"].clone();
    assert_eq!(most("SignRequest", "intents"), signing::INTENTS_MAX);
    assert_eq!(most("SignRequest", "replaces"), signing::REPLACES_MAX);
    assert_eq!(most("SignRequest", "proofs"), signing::PROOFS_MAX);
    assert_eq!(most("SignedIntent", "signatures"), signing::SIGNATURES_MAX);
    assert_eq!(most("Statement", "signatures"), signing::SIGNATURES_MAX);
    assert_eq!(signing::BODY_MAX, 1024 * 1024);
    assert!(
        document["info"]["description"]
            .as_str()
            .unwrap()
            .contains("1 MiB")
    );
}

fn each_object(value: &Value, visit: &mut impl FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            visit(object);
            object.values().for_each(|value| each_object(value, visit));
        }
        Value::Array(items) => items.iter().for_each(|item| each_object(item, visit)),
        _ => {}
    }
}
