//! `ARCHITECTURE.md` names files and types that exist.

use std::path::Path;

use crate::repository;

/// Where a path may start: at the top, or in the crate that the sentence is about.
const STARTS: [&str; 4] = ["", "src/", "src/journal/", "src/signer/"];

#[test]
fn names_what_exists() {
    let text = repository::read("ARCHITECTURE.md");
    let mut named = 0;
    for word in text.split('`').skip(1).step_by(2) {
        let (path, names) = word.split_once("::").unwrap_or((word, ""));
        if !path.ends_with(".rs") {
            continue;
        }
        for path in alternatives(path) {
            let found = STARTS
                .iter()
                .map(|start| format!("{start}{path}"))
                .find(|path| Path::new(&repository::path(path)).exists())
                .unwrap_or_else(|| panic!("{word}: there is no {path}"));
            let source = repository::read(&found);
            for name in alternatives(names)
                .iter()
                .flat_map(|names| names.split("::"))
            {
                let name = name.trim_end_matches('!');
                assert!(
                    source.contains(name),
                    "{word}: there is no {name} in {found}"
                );
            }
            named += 1;
        }
    }
    assert!(named > 40, "only {named} files are named");
}

/// `a/{b,c}.rs` are `a/b.rs` and `a/c.rs`.
fn alternatives(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else {
        return vec![path.to_owned()];
    };
    let (inner, after) = rest.split_once('}').expect("the brace ends");
    inner
        .split(',')
        .map(|part| format!("{before}{}{after}", part.trim()))
        .collect()
}
