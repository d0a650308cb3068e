//! Books that are loaded apart from the bundle, where no signer is asked.

use std::fs;
use std::path::Path;

use crate::policy::quickstart;
use crate::program::Place;

/// The quick start's bundle, whose customers are loaded apart.
fn apart() -> Place {
    let place = quickstart();
    let statements = String::from_utf8(place.read("bundle/statements.toml")).unwrap();
    let apart = statements.replace(
        "file = \"books/customers.txt\"",
        "signers = { threshold = 1, people = [\"bob\"] }\ncooling = \"1h\"",
    );
    place.write("bundle/statements.toml", &apart);
    fs::remove_file(place.path("bundle/books/customers.txt")).unwrap();
    place
}

fn repository(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(file);
    fs::read_to_string(path).unwrap()
}

#[test]
fn claims_hold_for_whatever_is_in_a_book() {
    let place = apart();
    place.write("claims.toml", &repository("policy/quickstart.claims.toml"));
    let said = place.answer("policy prove bundle --claims claims.toml");
    assert_eq!(said["failed"], 0, "{said}");
    let mut answers = said["answers"].as_array().unwrap().iter();
    let strangers = answers.find(|one| one["claim"] == "no-ether-to-strangers");
    assert_eq!(strangers.unwrap()["most"], "0");
    let said = place.answer("policy prove bundle --asset eth --within 1h");
    let answer = &said["answers"][0];
    assert_eq!(
        answer["most_in_units"], "10 eth",
        "it leaves to those in it"
    );
    assert_eq!(answer["is_exact"], false, "no sequence is shown");
}

#[test]
fn cases_say_what_is_in_a_book() {
    let place = apart();
    let cases = repository("policy/quickstart.test.toml");
    place.write("cases.toml", &cases);
    assert_eq!(
        place.run("policy test bundle cases.toml").status.code(),
        Some(1)
    );
    let customers = repository("policy/quickstart/books/customers.txt");
    let lines = customers
        .lines()
        .map(|line| line.split('#').next().unwrap().trim());
    let lines: Vec<String> = lines
        .filter(|line| !line.is_empty())
        .map(|line| format!("{line:?}"))
        .collect();
    let books = format!("[books]\ncustomers = [{}]\n", lines.join(", "));
    place.write("cases.toml", &format!("{books}{cases}"));
    let said = place.answer("policy test bundle cases.toml");
    assert_eq!(said["failed"], 0, "{said}");
    place.write("cases.toml", &format!("[books]\nblocked = []\n{cases}"));
    place.fails("policy test bundle cases.toml", 2, "policy-cases");
}

#[test]
fn a_page_and_a_file_are_written_of_it() {
    let place = apart();
    let page = place.run("policy doc bundle");
    let page = String::from_utf8(page.stdout).unwrap();
    assert!(
        page.contains("loaded apart from this bundle, signed by 1 of `bob`"),
        "{page}"
    );
    place.write(
        "list",
        "0x70997970C51812dc3A010C7d01b50e0d17dc79C8 # ann\n\n",
    );
    let sign = "policy book sign customers --out . --from list --chain eip155:31337 --fleet main";
    let made = place.answer(&format!("{sign} --sequence 3 --key bob"));
    assert_eq!(
        (&made["addresses"], &made["signatures"]),
        (&1.into(), &1.into())
    );
    let statement = String::from_utf8(place.read("customers.statement")).unwrap();
    assert!(statement.contains("answers sequence 2\n"), "{statement}");
    // Another signer adds to it; the same one again does not.
    let made = place.answer("policy book sign customers --out . --key alice --key bob");
    assert_eq!(made["signatures"], 2);
    // Of another content the signatures go.
    let made = place.answer(&format!("{sign} --sequence 4"));
    assert_eq!(made["signatures"], 0);
    place.write("list", "nobody\n");
    place.fails(&format!("{sign} --sequence 4"), 2, "policy-book");
}
