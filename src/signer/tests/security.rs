//! `SECURITY.md` lists every stable name of a refusal, and names tests that exist.

use std::collections::{BTreeMap, BTreeSet};

use api::problem::{Api, ProblemKind};
use policy::ReasonCode;

use crate::{repository, source};

const SECURITY: &str = "SECURITY.md";

/// Every code of `tx::Refusal`, from its source.
fn transaction_codes() -> BTreeMap<String, String> {
    let sources = source::production("src/tx");
    let mut codes = BTreeMap::new();
    for text in &sources {
        codes.extend(
            source::codes(text)
                .into_iter()
                .filter(|(code, _)| is_transaction(code)),
        );
    }
    let mut calls: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in sources.iter().flat_map(|text| text.lines()) {
        // `known(selector, "code", "signature"),`
        let parts: Vec<_> = line.trim().split('"').collect();
        if let [start, code, _, signature, _] = parts.as_slice()
            && start.starts_with("known(0x")
        {
            calls
                .entry((*code).to_owned())
                .or_default()
                .push(format!("`{signature}`"));
        }
    }
    for (code, signatures) in calls {
        codes.insert(code, format!("A call of {}.", signatures.join(", ")));
    }
    let literals: BTreeSet<_> = sources
        .iter()
        .flat_map(|text| source::literals(text, &["evm-", "utxo-"]))
        .collect();
    let found: BTreeSet<_> = codes.keys().cloned().collect();
    assert_eq!(
        found, literals,
        "a code in src/tx that this test does not read"
    );
    codes
}

fn is_transaction(code: &str) -> bool {
    code.starts_with("evm-") || code.starts_with("utxo-")
}

fn table(rows: impl IntoIterator<Item = (String, String)>) -> String {
    let rows = rows.into_iter().map(|(code, means)| {
        assert!(!means.is_empty(), "{code} has no documentation");
        format!("| `{code}` | {means} |\n")
    });
    format!(
        "| code | means |\n| --- | --- |\n{}",
        rows.collect::<String>()
    )
}

#[test]
fn lists_every_refusal_of_a_transaction() {
    let codes = transaction_codes();
    for family in ["evm", "utxo"] {
        let prefix = format!("{family}-");
        let rows: Vec<_> = codes
            .clone()
            .into_iter()
            .filter(|(code, _)| code.starts_with(&prefix))
            .collect();
        assert!(rows.len() > 40, "{rows:?}");
        repository::hold_list(SECURITY, &format!("{family} refusals"), &table(rows));
    }
}

#[test]
fn lists_every_reason_of_the_policy() {
    let text = repository::read("src/policy/verdict.rs");
    let body = source::between(&text, "pub enum ReasonCode {\n", "\n}");
    let docs = source::variant_docs(body);
    let rows: Vec<_> = docs
        .into_iter()
        .map(|(variant, doc)| {
            let code = kebab(&variant);
            let parsed: ReasonCode = serde_json::from_value(code.clone().into()).unwrap();
            assert_eq!(format!("{parsed:?}"), variant);
            (code, doc)
        })
        .collect();
    repository::hold_list(SECURITY, "policy reasons", &table(rows));
}

fn kebab(variant: &str) -> String {
    let mut code = String::new();
    for letter in variant.chars() {
        if letter.is_ascii_uppercase() && !code.is_empty() {
            code.push('-');
        }
        code.push(letter.to_ascii_lowercase());
    }
    code
}

#[test]
fn lists_every_problem_type() {
    let answered = |kind: &&ProblemKind| kind.apis().contains(&Api::Signing);
    let rows = ProblemKind::ALL.iter().filter(answered).map(|kind| {
        let (uri, status, title) = (kind.uri(), kind.status(), kind.title());
        format!("| `{uri}` | {status} | {title} |\n")
    });
    let head = "| type | status | means |\n| --- | --- | --- |\n";
    let expected = format!("{head}{}", rows.collect::<String>());
    repository::hold_list(SECURITY, "problem types", &expected);
}

/// Tests are named as `file` and `function` side by side, in the table's last column.
#[test]
fn names_tests_that_exist() {
    let text = repository::read(SECURITY);
    let table = source::between(
        &text,
        "| threat | control | test |\n| --- | --- | --- |\n",
        "\n\n",
    );
    for row in table.lines() {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").collect();
        let [threat, _, tests] = cells.as_slice() else {
            panic!("three columns: {row}")
        };
        let words: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
        assert!(
            !words.is_empty() || tests.trim() == "later",
            "{threat} has no test"
        );
        let mut file = String::new();
        for word in words {
            if word.contains('/') {
                file = repository::read(word);
            } else {
                // A check of every store has a type.
                let is_there = |open: &str| file.contains(&format!("fn {word}{open}"));
                assert!(
                    is_there("(") || is_there("<"),
                    "{threat}: there is no test {word}"
                );
            }
        }
    }
}
