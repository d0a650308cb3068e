//! The document by itself, and the error types and bounds that it states.

use serde_json::{Value, json};
use strongroom_api::{
    journal,
    problem::{Api, ProblemKind},
    signing, wallet,
};

use crate::{
    examples::{self, Example},
    schema::Schemas,
    wallet_examples,
};

/// A document with the examples of its types.
pub struct Documented {
    /// The API that it is of.
    pub api: Api,
    /// The document.
    pub document: Value,
    /// The examples.
    pub examples: Vec<Example>,
}

/// Both documents.
pub fn all() -> [Documented; 2] {
    [
        Documented {
            api: Api::Signing,
            document: signing_document(),
            examples: examples::all(),
        },
        Documented {
            api: Api::Wallet,
            document: wallet_document(),
            examples: wallet_examples::all(),
        },
    ]
}

/// The signing API's.
pub fn signing_document() -> Value {
    serde_json::from_str(include_str!("../openapi.json")).expect("openapi.json is JSON")
}

/// The coordinator's.
pub fn wallet_document() -> Value {
    serde_json::from_str(include_str!("../wallet.json")).expect("wallet.json is JSON")
}

#[test]
fn is_openapi_3_1_and_every_reference_leads_somewhere() {
    for Documented { document, .. } in all() {
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
}

#[test]
fn every_schema_is_used() {
    for Documented { document, .. } in all() {
        let text = document.to_string();
        for name in Schemas::of(&document).names() {
            let reference = format!("\"#/components/schemas/{name}\"");
            assert!(text.contains(&reference), "nothing uses the schema {name}");
        }
    }
}

#[test]
fn every_operation_may_answer_with_a_problem() {
    for Documented { document, .. } in all() {
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let default = &operation["responses"]["default"]["$ref"];
                assert_eq!(
                    *default, "#/components/responses/Problem",
                    "{method} {path}"
                );
            }
        }
    }
}

#[test]
fn problem_types_are_those_of_the_code() {
    for Documented { api, document, .. } in all() {
        let schemas = Schemas::of(&document);
        let listed = schemas.get("ProblemType")["oneOf"]
            .as_array()
            .unwrap()
            .clone();
        let answered = |kind: &&ProblemKind| kind.apis().contains(&api);
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
}

/// What has one name in both documents is one thing.
#[test]
fn both_documents_say_the_same_of_the_same() {
    let [signing, wallet] = all();
    let (signing, wallet) = (
        Schemas::of(&signing.document),
        Schemas::of(&wallet.document),
    );
    let mut compared = 0;
    let own = ["Problem", "ProblemType"];
    for name in wallet.names().filter(|name| !own.contains(name)) {
        if signing.names().any(|other| other == name) {
            assert_eq!(signing.get(name), wallet.get(name), "{name}");
            compared += 1;
        }
    }
    assert!(compared > 10);
}

#[test]
fn bounds_are_those_of_the_code() {
    let document = signing_document();
    let schemas = Schemas::of(&document);
    let most =
        |schema: &str, list: &str| schemas.get(schema)["properties"][list]["maxItems"].clone();
    assert_eq!(most("SignRequest", "intents"), signing::INTENTS_MAX);
    assert_eq!(most("SignRequest", "replaces"), signing::REPLACES_MAX);
    assert_eq!(most("SignRequest", "proofs"), signing::PROOFS_MAX);
    assert_eq!(most("SignedIntent", "signatures"), signing::SIGNATURES_MAX);
    assert_eq!(most("Statement", "signatures"), signing::SIGNATURES_MAX);
    assert_eq!(
        most("ProofsRequest", "entries"),
        journal::PROOFS_PER_ANSWER_MAX
    );
    let covers = document["paths"]["/v1/journal/checkpoint"]["get"]["parameters"][0].clone();
    let told = covers["description"].as_str().unwrap();
    assert!(told.contains(&format!("{} seconds", journal::COVERS_SECS)));
    assert_eq!(signing::BODY_MAX, 1024 * 1024);
    assert!(
        document["info"]["description"]
            .as_str()
            .unwrap()
            .contains("1 MiB")
    );
}

#[test]
fn the_coordinators_bounds_are_those_of_the_code() {
    let document = wallet_document();
    let schemas = Schemas::of(&document);
    let most =
        |schema: &str, list: &str| schemas.get(schema)["properties"][list]["maxItems"].clone();
    assert_eq!(most("BulkRequest", "withdrawals"), wallet::WITHDRAWALS_MAX);
    assert_eq!(most("BulkAnswer", "results"), wallet::WITHDRAWALS_MAX);
    assert_eq!(most("EventsAnswer", "events"), wallet::PAGE_MAX);
    assert_eq!(wallet::BODY_MAX, 1024 * 1024);
    assert_eq!(wallet::MEMO_MAX, 256);
    let mut limits = 0;
    each_object(&document["paths"], &mut |object| {
        if object.get("name") == Some(&json!("limit")) {
            assert_eq!(object["schema"]["maximum"], wallet::PAGE_MAX);
            let told = object["description"].as_str().unwrap();
            assert!(told.contains(&format!("; {} where", wallet::PAGE)));
            limits += 1;
        }
    });
    assert_eq!(limits, 2);
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
