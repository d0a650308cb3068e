//! The heartbeat in a bundle.

use strongroom_policy::Heartbeat;

use super::fixture::{POLICY, errors, files, manifest, parse, people, replaced};

fn heartbeat(text: &str) -> Option<Heartbeat> {
    let text = format!("{POLICY}{text}");
    let parsed = parse(&text).unwrap_or_else(|found| panic!("{found:#?}"));
    assert_eq!(parsed.warnings(), []);
    let policy = parsed.under(&manifest(&files(&text), "main", 1, 0));
    policy.heartbeat
}

fn names(people: &[&str]) -> Vec<tx::Name> {
    people.iter().map(|name| name.parse().unwrap()).collect()
}

#[test]
fn it_is_the_officers_and_one_of_them_unless_the_bundle_says_more() {
    assert_eq!(heartbeat(""), None);
    let officers = heartbeat("\n[heartbeat]\nwithin = \"72h\"\n").unwrap();
    assert_eq!(
        (officers.within_millis, officers.threshold),
        (259_200_000, 1)
    );
    assert!(officers.people.iter().eq(&names(&["ann", "ben", "cem"])));
    let group = "\n[[group]]\nname = \"night\"\nmembers = [\"cem\", \"dan\"]\n";
    let said =
        "\n[heartbeat]\nwithin = \"90d\"\npeople = [\"ann\", \"group:night\"]\nthreshold = 2\n";
    let others = heartbeat(&format!("{group}{said}")).unwrap();
    assert_eq!(
        (others.within_millis, others.threshold),
        (90 * 86_400_000, 2)
    );
    assert!(others.people.iter().eq(&names(&["ann", "cem", "dan"])));
}

#[test]
fn what_cannot_be_meant_is_an_error_at_its_line() {
    let line = POLICY.lines().count() + 3;
    for (text, says) in [
        ("within = \"59m\"", "is no length of time from 1h to 90d"),
        ("within = \"91d\"", "is no length of time from 1h to 90d"),
        ("within = \"60s\"", "is no length of time from 1h to 90d"),
        ("within = \"24h\"\nthreshold = 0", "must be at least 1"),
        (
            "within = \"24h\"\nthreshold = 4",
            "is above the number of people, 3",
        ),
        ("within = \"24h\"\npeople = [\"eve\"]", "eve"),
        ("within = \"24h\"\nevery = \"1h\"", "every"),
    ] {
        let found = errors(&format!("{POLICY}\n[heartbeat]\n{text}\n"));
        let at = line + text.lines().count() - 1;
        let place = format!("policy.toml:{at}");
        assert!(
            found
                .iter()
                .any(|one| one.contains(says) && one.contains(&place)),
            "{text}: {found:#?}"
        );
    }
    let found = errors(&format!("{POLICY}\n[heartbeat]\nthreshold = 1\n"));
    assert!(found.iter().any(|one| one.contains("within")), "{found:#?}");
    let twice = "\n[[heartbeat]]\nwithin = \"24h\"\n";
    let found = errors(&format!("{POLICY}{twice}"));
    assert!(found[0].contains("write [heartbeat] once"), "{found:#?}");
}

#[test]
fn passkeys_are_not_heard() {
    let page = "\n[approval_page]\norigin = \"https://approve.example.org\"\n";
    let dora = "\n[[person]]\nname = \"dora\"\npasskeys = [\"es256 Avnr5GQUfMEC2SMk0JnZJ8GlDkLVegihFv_sCimBnYxl\"]\n";
    let asked = "\n[heartbeat]\nwithin = \"24h\"\npeople = [\"dora\"]\n";
    let mut files = files(&format!("{POLICY}{page}{asked}"));
    let with = replaced(&people(), "delay = \"0s\"", "delay = \"0s\"\n") + dora;
    files.insert("people.toml".into(), with.into());
    let found = strongroom_policy::bundle::parse(&files).unwrap_err();
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(
        found
            .iter()
            .any(|one| one.contains("\"dora\" has passkeys alone")),
        "{found:#?}"
    );
}
