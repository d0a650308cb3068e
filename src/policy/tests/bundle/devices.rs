//! Devices that a bundle names by their serial numbers.

use strongroom_policy::{Policy, Widening, widenings};

use super::fixture::{POLICY, errors, files, manifest, parse};

fn with(line: &str) -> String {
    format!("{POLICY}\n[devices]\n{line}\n")
}

fn policy(text: &str) -> Policy {
    let bundle = parse(text).unwrap();
    bundle.under(&manifest(&files(text), "main", 5, 4))
}

#[test]
fn devices_are_named_by_their_serial_numbers_or_not_at_all() {
    assert_eq!(policy(POLICY).devices, None);
    let named = policy(&with("serials = [\"2c9a3f01d0b7e655\", \"A 1\"]"));
    let serials: Vec<String> = named.devices.unwrap().into_iter().collect();
    assert_eq!(serials, ["2c9a3f01d0b7e655", "A 1"]);
}

#[test]
fn what_is_no_serial_number_is_refused() {
    let many: Vec<String> = (0..65).map(|number| number.to_string()).collect();
    for (line, says) in [
        ("serials = []".to_owned(), "an empty list"),
        ("serials = [\"\"]".to_owned(), "is no serial number"),
        ("serials = [\" 1\"]".to_owned(), "is no serial number"),
        (
            "serials = [\"12345678901234567\"]".to_owned(),
            "is no serial number",
        ),
        ("serials = [\"hä\"]".to_owned(), "is no serial number"),
        (
            "serials = [\"1\", \"1\"]".to_owned(),
            "stands in the list twice",
        ),
        (format!("serials = {many:?}"), "there can be 64 at the most"),
        ("serial = [\"1\"]".to_owned(), "did you mean \"serials\"?"),
        (String::new(), "serials is missing"),
    ] {
        let found = errors(&with(&line)).join("\n");
        assert!(found.contains(says), "{line}: {found}");
    }
    let twice = format!("{}[[devices]]\n", with("serials = [\"1\"]"));
    assert!(!errors(&twice).is_empty());
}

#[test]
fn a_device_more_is_wider_and_one_less_is_narrower() {
    let [any, one, two, other] = [
        POLICY.to_owned(),
        with("serials = [\"1\"]"),
        with("serials = [\"1\", \"2\"]"),
        with("serials = [\"2\"]"),
    ]
    .map(|text| policy(&text));
    let is_narrower = |running: &Policy, offered: &Policy| {
        let found = widenings(running, offered);
        let device = Widening::Changed("a device");
        assert!(found.is_empty() || found == [device].into(), "{found:?}");
        found.is_empty()
    };
    assert!(is_narrower(&any, &one) && is_narrower(&two, &one) && is_narrower(&one, &one));
    assert!(!is_narrower(&one, &any) && !is_narrower(&one, &two) && !is_narrower(&one, &other));
}
