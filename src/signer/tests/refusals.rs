//! `docs/policy.md` says of every name under which a bundle or a book is refused what a person does.

use std::collections::BTreeSet;

use crate::repository::read;

/// The names in the code that gives them.
fn given() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in ["src/signer/governance.rs", "src/signer/books.rs"] {
        let text = read(file);
        let parts = text.split('"').skip(1).step_by(2);
        let is_name = |text: &&str| {
            ["bundle-", "book-", "journal-"]
                .iter()
                .any(|prefix| text.starts_with(prefix))
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        };
        names.extend(parts.filter(is_name).map(str::to_owned));
    }
    // Those of statements come with what they are about in front.
    let of_statements = ["form", "fleet", "name", "sequence", "signatures", "quorum"];
    names.extend(of_statements.map(|name| format!("book-{name}")));
    names
}

#[test]
fn every_name_is_explained_once_and_no_other() {
    let text = read("docs/policy.md");
    let (_, table) = text
        .split_once("| name | means | do |\n| --- | --- | --- |\n")
        .expect("the table");
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let mut explained = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 3, "{row}");
        let names = cells[0].split('`').skip(1).step_by(2);
        explained.extend(names.map(str::to_owned));
    }
    let once: BTreeSet<String> = explained.iter().cloned().collect();
    assert_eq!(once.len(), explained.len(), "{explained:?}");
    assert_eq!(once, given());
}
