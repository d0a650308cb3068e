//! The stable names that the source gives to refusals, with their documentation.

use std::collections::BTreeMap;

use crate::repository;

/// The sources of a crate without its tests.
pub fn production(folder: &str) -> Vec<String> {
    repository::rust_files(folder)
        .into_iter()
        .filter(|file| !file.contains("/tests/") && !file.ends_with("/tests.rs"))
        .map(|file| {
            let text = repository::read(&file);
            text.split("#[cfg(test)]\nmod tests {")
                .next()
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

/// Code → what it means, of every `code()` in a source: `Self::Variant … => "code"`, with the
/// documentation of the variant.
pub fn codes(source: &str) -> BTreeMap<String, String> {
    let docs = variant_docs(source);
    let mut codes = BTreeMap::new();
    for line in source.lines().map(str::trim) {
        let Some((variant, code)) = line
            .strip_prefix("Self::")
            .and_then(|rest| rest.split_once(" => \""))
        else {
            continue;
        };
        let variant = variant.split([' ', '(', '{']).next().unwrap();
        let code = code.split('"').next().unwrap();
        let doc = docs.get(variant).cloned().unwrap_or_default();
        codes.insert(code.to_owned(), doc);
    }
    codes
}

/// Variant → first paragraph of its documentation.
pub fn variant_docs(source: &str) -> BTreeMap<String, String> {
    let mut docs = BTreeMap::new();
    let mut doc = Vec::new();
    for line in source.lines() {
        // Variants stand four columns in; what stands further is a field or an attribute's rest.
        let Some(line) = line
            .strip_prefix("    ")
            .filter(|line| !line.starts_with(' '))
        else {
            if line.is_empty() || !line.starts_with(' ') {
                doc.clear();
            }
            continue;
        };
        if let Some(text) = line.strip_prefix("///") {
            doc.push(text.trim().to_owned());
        } else if line.starts_with(|first: char| first.is_ascii_uppercase()) {
            let variant = line
                .split(|c: char| !c.is_ascii_alphanumeric())
                .next()
                .unwrap();
            let paragraph: Vec<_> = doc.drain(..).take_while(|line| !line.is_empty()).collect();
            docs.insert(variant.to_owned(), plain(&paragraph.join(" ")));
        } else if !line.starts_with("#[") && !line.starts_with(")]") {
            doc.clear();
        }
    }
    docs
}

/// Markdown without links into the code.
fn plain(doc: &str) -> String {
    doc.replace("[`", "`")
        .replace("`]", "`")
        .replace('|', "\\|")
}

/// The text between two marks of a source.
pub fn between<'s>(source: &'s str, begin: &str, end: &str) -> &'s str {
    let (_, rest) = source
        .split_once(begin)
        .unwrap_or_else(|| panic!("no {begin:?}"));
    rest.split_once(end)
        .unwrap_or_else(|| panic!("no {end:?} after {begin:?}"))
        .0
}

/// The string literals of a source that begin with one of the prefixes.
pub fn literals(source: &str, prefixes: &[&str]) -> Vec<String> {
    source
        .split('"')
        .filter(|text| prefixes.iter().any(|prefix| text.starts_with(prefix)))
        .filter(|text| {
            text.bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        })
        .map(str::to_owned)
        .collect()
}
