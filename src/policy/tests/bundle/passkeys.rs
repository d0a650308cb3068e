//! Passkeys that a bundle names.

use strongroom_policy::Passkeys;

use super::fixture::{POLICY, errors, line, parse, replaced};
use crate::authenticator::Authenticator;

const ORIGIN: &str = "https://approve.example.org";

fn passkey(seed: u8) -> String {
    Authenticator::es256(seed, ORIGIN).line()
}

/// A person with these passkeys, and these keys.
fn person(name: &str, keys: &[String], passkeys: &[String]) -> String {
    let keys = match keys {
        [] => String::new(),
        keys => format!("keys = {keys:?}\n"),
    };
    format!("[[person]]\nname = {name:?}\n{keys}passkeys = {passkeys:?}\n")
}

fn page() -> String {
    format!("[approval_page]\norigin = {ORIGIN:?}\n")
}

/// A bundle with these tables, and a need of one of these people.
fn bundle(tables: &str, people: &str, passkeys: &str) -> String {
    format!(
        "{POLICY}\n{tables}\n[[require]]\nname = \"big\"\nasset = \"eth\"\namount_over = \"1 eth\"\n\
         need = {{ threshold = 1, people = [{people}]{passkeys} }}\n"
    )
}

const COUNT: &str = ", passkeys = \"count\"";

#[test]
fn people_have_keys_passkeys_or_both() {
    let eva = person("eva", &[], &[passkey(1), passkey(2)]);
    let fay = person("fay", &[line(9)], &[passkey(3)]);
    let text = bundle(&format!("{}{eva}{fay}", page()), "\"eva\", \"fay\"", COUNT);
    let parsed = parse(&text).unwrap();
    let policy = parsed.policy();
    let of = |name: &str| &policy.people[&name.parse().unwrap()];
    assert_eq!((of("eva").keys.len(), of("eva").passkeys.len()), (0, 2));
    assert_eq!((of("fay").keys.len(), of("fay").passkeys.len()), (1, 1));
    assert_eq!(policy.approval_page.as_ref().unwrap().origin(), ORIGIN);
    assert_eq!(policy.requires[0].says.need.passkeys, Passkeys::Count);
    // Unless it says so, none counts.
    let parsed = parse(&bundle(&format!("{}{fay}", page()), "\"fay\"", "")).unwrap();
    let need = &parsed.policy().requires[0].says.need;
    assert_eq!(need.passkeys, Passkeys::Refused);
}

#[test]
fn passkeys_that_count_where_nobody_has_one_are_warned_of() {
    let eva = person("eva", &[], &[passkey(1)]);
    let tables = format!("{}{eva}", page());
    let warned = |people: &str| {
        let parsed = parse(&bundle(&tables, people, COUNT)).unwrap();
        let found = parsed.warnings().iter().map(ToString::to_string);
        found.collect::<Vec<_>>()
    };
    assert_eq!(warned("\"ann\", \"eva\""), Vec::<String>::new());
    let found = warned("\"ann\"");
    let expected = "need: passkeys count, and none of its people has one";
    assert!(
        found.len() == 1 && found[0].contains(expected),
        "{found:#?}"
    );
}

#[test]
fn what_could_not_be_used_is_refused_at_its_place() {
    let eva = person("eva", &[], &[passkey(1)]);
    let many: Vec<String> = (1..=17).map(passkey).collect();
    let refused = |tables: &str, people: &str, passkeys: &str, expected: &str| {
        let found = errors(&bundle(tables, people, passkeys));
        let hit = found.iter().any(|one| one.contains(expected));
        assert!(hit, "{expected}: {found:#?}");
    };
    let with_page = format!("{}{eva}", page());
    refused(
        &eva,
        "\"ann\"",
        "",
        "person \"eva\": passkeys: no [approval_page] says where they are used",
    );
    refused(
        "",
        "\"ann\"",
        COUNT,
        "passkeys count, and no [approval_page] says where they are used",
    );
    refused(
        &with_page,
        "\"eva\"",
        "",
        "can never be met: 0 of its people have keys, the others passkeys alone",
    );
    refused(
        &with_page,
        "\"ann\"",
        ", passkeys = \"yes\"",
        "passkeys: unknown variant `yes`, expected `refused` or `count`",
    );
    refused(
        &format!("{}[[person]]\nname = \"eva\"\n", page()),
        "\"ann\"",
        "",
        "person \"eva\": needs keys or passkeys, by which their word is known",
    );
    refused(
        &format!("{}{}", page(), person("eva", &[], &many)),
        "\"ann\"",
        "",
        "passkeys: there can be 16 at the most",
    );
    refused(
        &format!("{}{}", page(), person("eva", &[], &[line(9)])),
        "\"ann\"",
        "",
        "passkeys: is a passkey of an algorithm that is not taken",
    );
    refused(
        &format!("{with_page}{}", person("fay", &[], &[passkey(1)])),
        "\"ann\"",
        "",
        "person \"fay\": has a key of \"eva\"",
    );
    refused(
        &format!("{with_page}{}", page()),
        "\"ann\"",
        "",
        "not TOML: duplicate key",
    );
    refused(
        &replaced(&with_page, ORIGIN, "http://approve.example.org"),
        "\"ann\"",
        "",
        "approval_page: origin: is no origin as a browser writes it",
    );
}

#[test]
fn one_key_is_one_persons_whatever_it_is_used_for() {
    let device = Authenticator::eddsa(1, ORIGIN);
    // The Ed25519 key of the fixture's first person, whose seed is the same.
    let eva = person("eva", &[], &[device.line()]);
    let found = errors(&bundle(&format!("{}{eva}", page()), "\"ann\"", ""));
    let expected = "has a key of ";
    assert!(found.iter().any(|one| one.contains(expected)), "{found:#?}");
}
