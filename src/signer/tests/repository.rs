//! Files of the repository, and how a generated one is held equal to its source.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::PoisonError,
};

/// Set to anything, the tests write what they would compare.
const UPDATE: &str = "STRONGROOM_UPDATE";

/// A path from the top of the repository.
pub fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(relative)
}

/// The text of a file.
pub fn read(relative: &str) -> String {
    fs::read_to_string(path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
}

/// Every Rust file below a folder, by its path from the top of the repository.
pub fn rust_files(folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(path(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                folders.push(name);
            } else if name.ends_with(".rs") {
                files.push(name);
            }
        }
    }
    files.sort();
    files
}

/// Holds a whole file equal to `expected`.
pub fn hold(relative: &str, expected: &str) {
    if std::env::var_os(UPDATE).is_some() {
        fs::write(path(relative), expected).unwrap();
    }
    let found = fs::read_to_string(path(relative)).unwrap_or_default();
    compare(relative, &found, expected);
}

/// Holds the part of a file between `<!-- list: name -->` and `<!-- end -->` equal to `expected`.
pub fn hold_list(relative: &str, name: &str, expected: &str) {
    // Lists of one file are held by tests that run beside each other.
    static FILE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _file = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    let begin = format!("<!-- list: {name} -->\n");
    let text = read(relative);
    let (before, rest) = text
        .split_once(&begin)
        .unwrap_or_else(|| panic!("{relative} has no {begin}"));
    let (found, after) = rest.split_once("<!-- end -->").expect("the list ends");
    if std::env::var_os(UPDATE).is_some() {
        fs::write(
            path(relative),
            format!("{before}{begin}{expected}<!-- end -->{after}"),
        )
        .unwrap();
        return;
    }
    compare(&format!("{relative}, list {name:?}"), found, expected);
}

fn compare(what: &str, found: &str, expected: &str) {
    if found == expected {
        return;
    }
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (found, expected) = (lines(found), lines(expected));
    let gone = found
        .difference(&expected)
        .map(|line| format!("- {line}\n"));
    let new = expected
        .difference(&found)
        .map(|line| format!("+ {line}\n"));
    panic!(
        "{what} is not what the code says:\n{}\n\
         Read the difference; if it is meant, run\n  \
         {UPDATE}=1 cargo test -p signerd --test main\n\
         and commit the file.",
        gone.chain(new).collect::<String>()
    );
}
