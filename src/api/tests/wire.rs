//! The schemas against what serde writes and takes.

use std::collections::BTreeSet;

use proptest::{prelude::*, string::string_regex, test_runner::TestRunner};
use serde_json::{Value, json};

use crate::{
    document::{self, Documented, signing_document, wallet_document},
    examples::{self, Example},
    schema::Schemas,
    wallet_examples,
};

/// The keys of a schema's list or map.
fn keys(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(object) => object.keys().cloned().collect(),
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().unwrap().to_owned())
            .collect(),
        other => panic!("{other} has no keys"),
    }
}

fn without(value: &Value, key: &str) -> Value {
    let mut value = value.clone();
    value.as_object_mut().unwrap().remove(key);
    value
}

#[test]
fn every_object_has_an_example() {
    for Documented {
        document, examples, ..
    } in document::all()
    {
        let schemas = Schemas::of(&document);
        let objects = schemas
            .names()
            .filter(|name| schemas.get(name).get("properties").is_some());
        let shown = examples
            .into_iter()
            .map(|example| example.schema)
            .collect::<BTreeSet<_>>();
        assert_eq!(objects.collect::<BTreeSet<_>>(), shown);
    }
}

#[test]
fn examples_fit_their_schemas_and_show_every_property() {
    for Documented {
        document, examples, ..
    } in document::all()
    {
        let schemas = Schemas::of(&document);
        for example in &examples {
            fits(&schemas, example);
        }
    }
}

fn fits(schemas: &Schemas, example: &Example) {
    let Example {
        schema: name,
        whole,
        smallest,
        reads,
    } = example;
    let schema = schemas.get(name);
    for value in [whole, smallest] {
        schemas.check(schema, value, name).unwrap();
        assert!(reads(value), "{name} does not take {value}");
    }
    assert_eq!(keys(&schema["properties"]), keys(whole), "{name}");
    assert_eq!(
        keys(&schema["required"]),
        keys(smallest)
            .intersection(&keys(&schema["required"]))
            .cloned()
            .collect(),
        "{name}: always written"
    );
}

/// What a document requires of a request is what serde requires, and more is taken by neither.
#[test]
fn required_properties_are_those_that_serde_requires() {
    for Documented {
        document, examples, ..
    } in document::all()
    {
        let schemas = Schemas::of(&document);
        for example in &examples {
            requires(&schemas, example);
        }
    }
}

fn requires(schemas: &Schemas, example: &Example) {
    let Example {
        schema: name,
        whole,
        reads,
        ..
    } = example;
    let schema = schemas.get(name);
    for key in keys(whole) {
        let required = keys(&schema["required"]).contains(&key);
        // serde takes a missing Option for null; the document says what is always written.
        let nullable = schemas
            .check(&schema["properties"][&key], &Value::Null, name)
            .is_ok();
        let read = reads(&without(whole, &key));
        assert_eq!(read, !required || nullable, "{name} without {key}");
    }
    let mut more = whole.clone();
    more["unheard_of"] = json!(1);
    assert!(
        schemas.check(schema, &more, name).is_err(),
        "{name} is open in the document"
    );
    assert!(!reads(&more), "{name} takes unknown fields");
}

#[test]
fn every_form_of_a_transaction_has_its_alternative() {
    let document = signing_document();
    let schemas = Schemas::of(&document);
    let schema = schemas.get("Transaction");
    let alternatives = schema["oneOf"].as_array().unwrap();
    let transactions = examples::transactions();
    assert_eq!(alternatives.len(), transactions.len());
    for (alternative, transaction) in alternatives.iter().zip(transactions) {
        let value = serde_json::to_value(transaction).unwrap();
        schemas.check(schema, &value, "Transaction").unwrap();
        assert_eq!(keys(&alternative["properties"]), keys(&value));
        assert_eq!(keys(&alternative["required"]), keys(&value));
        for key in keys(&value) {
            let short = without(&value, &key);
            assert!(
                serde_json::from_value::<tx::Transaction>(short).is_err(),
                "without {key}"
            );
        }
    }
}

#[test]
fn enumerations_are_those_of_the_code() {
    let document = signing_document();
    let schemas = Schemas::of(&document);
    let holds = |schema: &str, values: &[Value]| {
        let listed = schemas.get(schema)["enum"].as_array().expect("a list");
        assert_eq!(listed, values, "{schema}");
    };
    let kinds = tx::EffectKind::ALL.map(|kind| json!(kind));
    holds("EffectKind", &kinds);
    use tx::AccountClass::{Cold, Deposit, Hot, Retired};
    let classes = [Hot, Deposit, Cold, Retired].map(|class| json!(class));
    holds("AccountClass", &classes);
    use strongroom_api::signing::RequestStatus::{Committed, Failed, Signed};
    let statuses = [Committed, Signed, Failed].map(|status| json!(status));
    holds("RequestStatus", &statuses);
}

#[test]
fn the_coordinators_enumerations_are_those_of_the_code() {
    let document = wallet_document();
    let schemas = Schemas::of(&document);
    let holds = |schema: &str, values: &[Value]| {
        let listed = schemas.get(schema)["enum"].as_array().expect("a list");
        assert_eq!(listed, values, "{schema}");
    };
    use strongroom_api::wallet::{
        AttemptStage::{
            Broadcast, Dead, Failed, Final, Included, Reserved, Signed, Unproven, Void,
        },
        GateState::{Closed, Halted, Open},
        Outcome,
        PolicyVerdict::{Allowed, Needs, Refused, Unknown},
        Purpose::{Cancellation, Payout, Recovered},
        Stage,
        Unattended::{InsufficientFunds, Manual, NoLimit, Yes},
        WaitingReason,
    };
    holds("Stage", &Stage::ALL.map(|stage| json!(stage)));
    holds("WaitingReason", &WaitingReason::ALL.map(|it| json!(it)));
    let attempts = [
        Reserved, Signed, Broadcast, Included, Unproven, Final, Failed, Void, Dead,
    ];
    holds("AttemptStage", &attempts.map(|stage| json!(stage)));
    holds("Outcome", &Outcome::ALL.map(|it| json!(it)));
    holds("GateState", &[Closed, Open, Halted].map(|it| json!(it)));
    let purposes = [Payout, Cancellation, Recovered].map(|it| json!(it));
    holds("Purpose", &purposes);
    let unattended = [Yes, Manual, NoLimit, InsufficientFunds].map(|it| json!(it));
    holds("Unattended", &unattended);
    let verdicts = [Allowed, Needs, Refused, Unknown].map(|it| json!(it));
    holds("PolicyVerdict", &verdicts);
}

#[test]
fn every_result_of_a_bulk_has_its_alternative() {
    let document = wallet_document();
    let schemas = Schemas::of(&document);
    let schema = schemas.get("BulkResult");
    let alternatives = schema["oneOf"].as_array().unwrap();
    let results = wallet_examples::results();
    assert_eq!(alternatives.len(), results.len());
    for (alternative, result) in alternatives.iter().zip(results) {
        let value = serde_json::to_value(&result).unwrap();
        schemas.check(schema, &value, "BulkResult").unwrap();
        assert_eq!(keys(&alternative["properties"]), keys(&value));
        assert_eq!(keys(&alternative["required"]), keys(&value));
        let read: strongroom_api::wallet::BulkResult = serde_json::from_value(value).unwrap();
        assert_eq!(read, result);
    }
}

/// What a pattern describes is taken.
#[test]
fn patterns_describe_what_is_taken() {
    let document = signing_document();
    let schemas = Schemas::of(&document);
    let pattern = |schema: &Value| schema["pattern"].as_str().unwrap().to_owned();
    let property = |schema: &str, name: &str| pattern(&schemas.get(schema)["properties"][name]);
    describes(&pattern(schemas.get("Name")), |text| {
        text.parse::<tx::Name>().is_ok()
    });
    describes(&pattern(schemas.get("Chain")), |text| {
        // The pattern cannot say that a chain id ends at 2^63 - 1.
        text.parse::<tx::Chain>().is_ok() || text.len() == "eip155:".len() + 19
    });
    describes(&pattern(schemas.get("Amount")), |text| {
        // Nor that an amount ends at 2^256.
        text.parse::<tx::Amount>().is_ok() || text.len() == 78
    });
    describes(&property("Intent", "id"), |text| {
        text.parse::<tx::IntentKey>().is_ok()
    });
    let wallet = wallet_document();
    describes(&pattern(Schemas::of(&wallet).get("IntentKey")), |text| {
        text.parse::<tx::IntentKey>().is_ok()
    });
}

/// Makes texts of a pattern; each must be taken.
fn describes(pattern: &str, is_taken: impl Fn(&str) -> bool) {
    let texts = string_regex(pattern.trim_matches(['^', '$'])).unwrap();
    TestRunner::deterministic()
        .run(&texts, |text| {
            prop_assert!(is_taken(&text), "{pattern} describes {text:?}");
            Ok(())
        })
        .unwrap();
}
