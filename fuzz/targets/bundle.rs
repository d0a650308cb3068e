//! The bundle's parser: a policy or diagnostics, never a panic; the same again for the same files.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use policy::bundle;

/// What stands between two files of one input.
const NEXT: &[u8] = b"\n=====\n";
const FILES: [&str; 3] = ["one.toml", "two.toml", "books/customers.txt"];
/// A bundle with clients needs an authority for them, of which nothing more is read.
const ROOT: (&str, &str) = ("roots/clients.pem", "-----BEGIN CERTIFICATE-----\n");

fuzz_target!(|bytes: &[u8]| {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    files.insert(ROOT.0.into(), ROOT.1.into());
    let mut rest = bytes;
    for (number, path) in FILES.iter().enumerate() {
        let end = rest.windows(NEXT.len()).position(|part| part == NEXT);
        let end = end.filter(|_| number + 1 < FILES.len());
        let (file, behind) = match end {
            Some(end) => (&rest[..end], &rest[end + NEXT.len()..]),
            None => (rest, &[][..]),
        };
        if number == 0 || !file.is_empty() {
            files.insert((*path).to_owned(), file.to_vec());
        }
        rest = behind;
    }
    let (first, again) = (bundle::parse(&files), bundle::parse(&files));
    match (first, again) {
        (Ok(first), Ok(again)) => {
            let told = |bundle: &bundle::Bundle| format!("{:?}", bundle.policy());
            assert_eq!(told(&first), told(&again));
        }
        (Err(first), Err(again)) => {
            assert!(!first.is_empty(), "refused without a word");
            let told = |all: &[bundle::Diagnostic]| -> Vec<String> {
                all.iter().map(ToString::to_string).collect()
            };
            assert_eq!(told(&first), told(&again));
        }
        _ => panic!("the same files were taken and refused"),
    }
});
