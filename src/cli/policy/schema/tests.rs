//! The schema, held against the parser and the bundles that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use boon::{Compiler, SchemaIndex, Schemas};
use policy::bundle;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::kinds::{
    ATTESTATIONS, ATTESTED_NEED, CLASSES, EFFECTS, GROUPS, KINDS, Kind, MEASURES, NEED, Once,
    PASSKEYS, REJECTIONS, VERBS,
};
use super::schema;

/// What is said of a file alone in its bundle.
fn said(text: &str) -> Vec<String> {
    let files = BTreeMap::from([("a.toml".to_owned(), text.as_bytes().to_vec())]);
    let found = bundle::parse(&files).expect_err("no bundle");
    found.iter().map(ToString::to_string).collect()
}

fn head(kind: &Kind) -> String {
    match kind.once {
        Once::Yes => format!("[{}]\n", kind.name),
        Once::No => format!("[[{}]]\n", kind.name),
    }
}

/// A key that is like none.
const STRANGE: &str = "zzzzzzzzzzzz";

/// How many keys the parser asks such a table for, by what it says of one that it does not know.
fn asked(text: &str) -> usize {
    let found = said(text);
    let unknown: Vec<&String> = found
        .iter()
        .filter(|one| one.contains(&format!("unknown key {STRANGE:?}")))
        .collect();
    let [unknown] = unknown.as_slice() else {
        panic!("{text}{found:#?}");
    };
    let (_, hint) = unknown.split_once("help: there ").unwrap();
    match hint.strip_prefix("are ") {
        Some(many) => many.split_once(',').unwrap().0.parse().unwrap(),
        None => hint.strip_prefix("is ").unwrap().split(", ").count(),
    }
}

fn names(kind: &Kind) -> BTreeSet<&'static str> {
    let keys = kind.keys.iter().flat_map(|part| part.iter());
    let names: Vec<&str> = keys.map(|key| key.name).collect();
    let unique: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(unique.len(), names.len(), "{}", kind.name);
    unique
}

/// Holds a table's keys against the parser, each way.
fn assert_keys(kind: &Kind, text: impl Fn(&str) -> String) {
    let names = names(kind);
    assert_eq!(
        asked(&text(&format!("{STRANGE} = 1"))),
        names.len(),
        "{}",
        kind.name
    );
    for name in &names {
        let found = said(&text(&format!("{name} = 1")));
        let unknown = found.iter().any(|one| one.contains("unknown key"));
        assert!(!unknown, "{}: {name}: {found:#?}", kind.name);
    }
    let found = said(&text(""));
    let missing = found.iter().filter_map(|one| {
        let (before, _) = one.split_once(" is missing")?;
        before.rsplit(' ').next()
    });
    let missing: BTreeSet<&str> = missing.filter(|key| names.contains(key)).collect();
    let keys = kind.keys.iter().flat_map(|part| part.iter());
    let required: BTreeSet<&str> = keys
        .filter(|key| key.required)
        .map(|key| key.name)
        .collect();
    let of_table: BTreeSet<&str> = required.intersection(&missing).copied().collect();
    assert_eq!(of_table, required, "{}: {found:#?}", kind.name);
}

#[test]
fn the_keys_of_every_table_are_those_that_the_parser_takes() {
    for kind in KINDS {
        assert_keys(kind, |keys| format!("{}{keys}\n", head(kind)));
    }
    for inner in ["over", "need"] {
        let table = match inner {
            "over" => "limit",
            _ => "require",
        };
        assert_keys(&NEED, |keys| {
            format!("[[{table}]]\nname = \"x\"\n{inner} = {{ {keys} }}\n")
        });
    }
    // By either of its keys the parser knows it from one of people.
    let required = |keys: &str| format!("[[require]]\nname = \"x\"\nneed = {{ {keys} }}\n");
    let strange = required(&format!("attested = \"head\", {STRANGE} = 1"));
    assert_eq!(asked(&strange), names(&ATTESTED_NEED).len());
    for (keys, missing) in [
        ("attested = \"head\"", "within"),
        ("within = \"1m\"", "attested"),
    ] {
        let found = said(&required(keys));
        let missing = format!("{missing} is missing");
        assert!(found.iter().any(|one| one.contains(&missing)), "{found:#?}");
    }
}

#[test]
fn the_tables_are_those_that_the_parser_takes() {
    let found = said("zzzzzzzzzzzz = 1");
    let table = found
        .iter()
        .find(|one| one.contains("has no table"))
        .unwrap();
    let (_, hint) = table.split_once("help: there ").unwrap();
    let (number, _) = hint.strip_prefix("are ").unwrap().split_once(',').unwrap();
    assert_eq!(number.parse(), Ok(KINDS.len()));
    for kind in KINDS {
        let unknown = said(&head(kind));
        assert!(
            !unknown.iter().any(|one| one.contains("has no table")),
            "{}",
            kind.name
        );
    }
    assert!(KINDS.is_sorted_by_key(|kind| kind.name));
}

/// The words of a closed list, by what serde says of another one.
fn words<T: DeserializeOwned + std::fmt::Debug>() -> Vec<String> {
    let unknown = serde_json::from_str::<T>("\"?\"").unwrap_err().to_string();
    let (_, words) = unknown.split_once("expected ").unwrap();
    words
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_words_are_those_that_the_parser_takes() {
    assert_eq!(words::<tx::AccountClass>(), CLASSES);
    assert_eq!(words::<tx::EffectKind>(), EFFECTS);
    assert_eq!(words::<policy::Verb>(), VERBS);
    assert_eq!(words::<policy::Measure>(), MEASURES);
    assert_eq!(words::<policy::AttestationKind>(), ATTESTATIONS);
    assert_eq!(words::<policy::Group>(), GROUPS);
    assert_eq!(words::<policy::Rejection>(), REJECTIONS);
    assert_eq!(words::<policy::Passkeys>(), PASSKEYS);
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_schema_in_the_repository_is_this_one() {
    let path = repository().join("policy/schema.json");
    let text = format!("{:#}\n", schema());
    if std::env::var_os("STRONGROOM_UPDATE").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        text,
        "run with STRONGROOM_UPDATE=1"
    );
}

fn compiled() -> (Schemas, SchemaIndex) {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("schema.json", schema()).unwrap();
    let index = compiler.compile("schema.json", &mut schemas).unwrap();
    (schemas, index)
}

fn json(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Value>(text).unwrap()).unwrap()
}

/// The bundles' files below a folder: cases and claims stand beside them.
fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_named = |end: &&str| path.to_string_lossy().ends_with(end);
        match path.is_dir() {
            true => files(&path, into),
            false if [".test.toml", ".claims.toml"].iter().any(is_named) => {}
            false if path.extension().is_some_and(|end| end == "toml") => into.push(path),
            false => {}
        }
    }
}

#[test]
fn the_bundles_of_the_repository_are_valid() {
    let (schemas, index) = compiled();
    let mut found = Vec::new();
    files(&repository().join("policy"), &mut found);
    files(&repository().join("softhsm-tests/policy"), &mut found);
    assert!(found.len() >= 4, "{found:?}");
    for path in found {
        let text = fs::read_to_string(&path).unwrap();
        // Tests fill in what stands in braces.
        let text = text.replace("{{", "").replace("}}", "");
        let value = json(&text);
        let valid = schemas.validate(&value, index);
        assert!(
            valid.is_ok(),
            "{}: {:#}",
            path.display(),
            valid.unwrap_err()
        );
    }
    let guide = ["policy/README.md", "docs/policy.md"];
    let guide = guide.map(|part| fs::read_to_string(repository().join(part)).unwrap());
    let guide = guide.concat();
    let mut examples = 0;
    for block in guide.split("```toml\n").skip(1) {
        let (example, _) = block.split_once("```").unwrap();
        if ["[[case]]", "[[case.", "[[claim]]"]
            .iter()
            .any(|one| example.contains(one))
        {
            continue;
        }
        let value = json(example);
        let valid = schemas.validate(&value, index);
        assert!(valid.is_ok(), "{example}: {:#}", valid.unwrap_err());
        examples += 1;
    }
    assert!(examples >= 8);
}

#[test]
fn what_the_parser_refuses_by_form_the_schema_does() {
    let (schemas, index) = compiled();
    for wrong in [
        "[[alow]]\nname = \"x\"",
        "[allow]\nname = \"x\"",
        "[[governance]]\nthreshold = 1\nofficers = \"ann\"",
        "[[allow]]\neffect = \"payment\"",
        "[[allow]]\nname = \"X\"",
        "[[allow]]\nname = \"x\"\neffect = \"pay\"",
        "[[allow]]\nname = \"x\"\neffect = []",
        "[[allow]]\nname = \"x\"\neffects = \"payment\"",
        "[[allow]]\nname = \"x\"\namount_max = \"1e3 eth\"",
        "[[allow]]\nname = \"x\"\namount_max = 1",
        "[[allow]]\nname = \"x\"\nfee_rate_max = \"1 eth\"",
        "[[allow]]\nname = \"x\"\nto = \"customers\"",
        "[[require]]\nname = \"x\"\nneed = { threshold = 0, people = \"ann\" }",
        "[[require]]\nname = \"x\"\nneed = { threshold = 1, persons = \"ann\" }",
        "[[limit]]\nname = \"x\"\nmeasure = \"amount\"\nwindow = \"1w\"\ncap = \"1 eth\"",
        "[[client]]\nname = \"x\"\nverbs = \"sign\"",
        "[[book]]\nname = \"x\"\nchain = \"eip155:1\"\nsigners = { people = \"ann\" }",
        "[[book]]\nname = \"x\"\nchain = \"eip155:1\"\nfile = \"books/x.txt\"\naddresses = \"x\"",
    ] {
        let value = toml::from_str::<toml::Value>(wrong).unwrap();
        let value = serde_json::to_value(value).unwrap();
        assert!(schemas.validate(&value, index).is_err(), "{wrong}");
        assert!(!said(wrong).is_empty());
    }
}
