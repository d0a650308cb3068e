//! `firmware-profiles/schema.json`, held against the parser and the profiles that there are.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use ::keys::profile::{
    Assurance, LowS, NoFirmware, NoLimit, Parameters, PointEncoding, PrehashLength, Presence,
    Quirk, SignMechanism, Verified,
};
use ::keys::{EdwardsParams, Profile, Wrapping};
use boon::{Compiler, SchemaIndex, Schemas};
use serde::de::DeserializeOwned;
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware-profiles")
}

fn schema() -> Value {
    serde_json::from_str(&fs::read_to_string(folder().join("schema.json")).unwrap()).unwrap()
}

fn compiled() -> (Schemas, SchemaIndex) {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("schema.json", schema()).unwrap();
    let index = compiler.compile("schema.json", &mut schemas).unwrap();
    (schemas, index)
}

fn profile(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Value>(text).unwrap()).unwrap()
}

#[test]
fn the_profiles_of_the_repository_are_valid() {
    let (schemas, index) = compiled();
    let mut seen = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "toml") {
            let value = profile(&fs::read_to_string(&path).unwrap());
            let valid = schemas.validate(&value, index);
            assert!(
                valid.is_ok(),
                "{}: {:#}",
                path.display(),
                valid.unwrap_err()
            );
            seen += 1;
        }
    }
    assert!(seen >= 9, "{seen}");
}

#[test]
fn the_parser_and_the_schema_refuse_the_same() {
    let (schemas, index) = compiled();
    let text = fs::read_to_string(folder().join("softhsm-2.6.toml")).unwrap();
    for (from, to) in [
        ("schema = 1", "schema = 2"),
        ("schema = 1", "schema = 1\nstrange = 1"),
        ("firmware_min = \"2.6\"", "firmware_min = \"02.6\""),
        ("value = \"none-known\"", "value = \"none\""),
        ("verified = \"run\"", "verified = \"seen\""),
        ("curve = \"object-identifier\"", "curve = \"name\""),
        ("parameters = \"none\"", "parameters = \"some\""),
        ("[mechanism.secp256k1]", "[mechanism.p256]"),
    ] {
        assert!(text.contains(from), "{from:?} is in the profile");
        let changed = text.replacen(from, to, 1);
        assert!(Profile::parse(&changed).is_err(), "{to}");
        assert!(schemas.validate(&profile(&changed), index).is_err(), "{to}");
    }
}

/// What stands in backquotes after "expected".
fn expected(said: &str) -> BTreeSet<String> {
    let (_, words) = said.split_once("expected ").unwrap();
    words
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The words of a closed list, by what serde says of another one.
fn words<T: DeserializeOwned + Debug>() -> BTreeSet<String> {
    expected(&serde_json::from_str::<T>("\"?\"").unwrap_err().to_string())
}

#[test]
fn the_words_are_those_that_the_parser_takes() {
    let schema = schema();
    for (list, words) in [
        ("verified", words::<Verified>()),
        ("no_firmware", words::<NoFirmware>()),
        ("no_limit", words::<NoLimit>()),
        ("presence", words::<Presence>()),
        ("point_encoding", words::<PointEncoding>()),
        ("prehash_length", words::<PrehashLength>()),
        ("low_s", words::<LowS>()),
        ("wrapping", words::<Wrapping>()),
        ("assurance", words::<Assurance>()),
        ("sign", words::<SignMechanism>()),
        ("curve", words::<EdwardsParams>()),
        ("parameters", words::<Parameters>()),
        ("quirk", words::<Quirk>()),
    ] {
        let listed = schema["$defs"][list]["enum"].as_array().unwrap();
        let listed: BTreeSet<_> = listed
            .iter()
            .map(|word| word.as_str().unwrap().to_owned())
            .collect();
        assert_eq!(listed, words, "{list}");
    }
}

#[test]
fn the_tables_are_those_that_the_parser_takes() {
    let unknown = Profile::parse("strange = 1").unwrap_err();
    let tables: BTreeSet<_> = schema()["properties"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(expected(&unknown.source().unwrap().to_string()), tables);
}
