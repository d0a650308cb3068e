//! `docs/sealed.md` says of every name what a person does.

use journal::SealName;

use crate::repository::read;

#[test]
fn every_name_is_explained_once_and_no_other() {
    let text = read("docs/sealed.md");
    let (table, _) = text
        .split_once("\n## ")
        .expect("a section behind the table");
    let rows = table.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.split(" | ").collect();
        assert_eq!(cells.len(), 3, "{line}");
        Some(cells[0].trim_end_matches('`').to_owned())
    });
    let rows: Vec<String> = rows.collect();
    let names: Vec<&str> = SealName::ALL.iter().map(|name| name.as_str()).collect();
    assert_eq!(rows, names);
}
