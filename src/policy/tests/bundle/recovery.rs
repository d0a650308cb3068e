//! The recovery set in a bundle, and bundles that it signed.

use ssh_key::PrivateKey;
use strongroom_policy::{
    BundleQuorum, Policy,
    bundle::{LoadError, Trust, load},
};

use super::fixture::{
    Files, POLICY, errors, files, key, line, manifest, parse, people, person, signed,
};

/// Three people who are no officers.
fn stand_by() -> String {
    let set = [("rita", 21), ("rob", 22), ("roy", 23)];
    set.map(|(name, number)| person(name, &[&line(number)]))
        .concat()
}

fn table(text: &str) -> String {
    format!(
        "{POLICY}{}\n[heartbeat]\nwithin = \"72h\"\n\n[recovery]\n{text}\n",
        stand_by()
    )
}

const GOOD: &str = "people = [\"rita\", \"rob\", \"roy\"]\nthreshold = 2\ndelay = \"14d\"";

fn running() -> Policy {
    let text = table(GOOD);
    let parsed = parse(&text).unwrap_or_else(|found| panic!("{found:#?}"));
    assert_eq!(parsed.warnings(), []);
    parsed.under(&manifest(&files(&text), "main", 1, 0))
}

#[test]
fn it_is_read() {
    let recovery = running().recovery.unwrap();
    assert_eq!(recovery.threshold, 2);
    assert_eq!(recovery.delay_millis, 14 * 86_400_000);
    let people: Vec<&str> = recovery.people.iter().map(tx::Name::as_str).collect();
    assert_eq!(people, ["rita", "rob", "roy"]);
}

#[test]
fn what_cannot_be_meant_is_an_error() {
    let of = |people: &str, threshold: u32, delay: &str| {
        format!("people = {people}\nthreshold = {threshold}\ndelay = {delay:?}")
    };
    let all = "[\"rita\", \"rob\", \"roy\"]";
    for (text, says) in [
        (of(all, 2, "6d"), "is no length of time from 7d to 90d"),
        (of(all, 2, "91d"), "is no length of time from 7d to 90d"),
        (
            of(all, 1, "14d"),
            "is not more than half, or not at least 2",
        ),
        (
            of("[\"rita\"]", 1, "14d"),
            "is not more than half, or not at least 2",
        ),
        (
            of("[\"rita\", \"rob\", \"roy\", \"dan\"]", 2, "14d"),
            "is not more than half",
        ),
        (of(all, 4, "14d"), "is above the number of people, 3"),
        (of("[\"eve\"]", 2, "14d"), "eve"),
        (
            of("[\"ann\", \"ben\", \"cem\"]", 2, "14d"),
            "has the officers themselves",
        ),
        (
            "people = [\"rita\", \"rob\"]\nthreshold = 2".to_owned(),
            "delay",
        ),
    ] {
        let found = errors(&table(&text));
        assert!(
            found.iter().any(|one| one.contains(says)),
            "{text}: {found:#?}"
        );
    }
}

#[test]
fn what_is_of_little_use_is_warned_of() {
    let warned = |text: &str| {
        let parsed = parse(text).unwrap_or_else(|found| panic!("{found:#?}"));
        parsed
            .warnings()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let shared = table("people = [\"rita\", \"rob\", \"ann\"]\nthreshold = 2\ndelay = \"7d\"");
    let found = warned(&shared);
    assert!(
        found.len() == 1 && found[0].contains("shares ann with the officers"),
        "{found:#?}"
    );
    let alone = format!("{POLICY}{}\n[recovery]\n{GOOD}\n", stand_by());
    let found = warned(&alone);
    assert!(
        found.len() == 1 && found[0].contains("without [heartbeat]"),
        "{found:#?}"
    );
}

/// The next bundle, with these people's lines in its `people.toml`, signed by the keys of these numbers.
fn next(people: &str, more: &str, signers: &[u8]) -> Files {
    let mut next = files(&(table(GOOD) + more));
    next.insert("people.toml".into(), people.as_bytes().to_vec());
    let manifest = manifest(&next, "main", 2, 1);
    let keys: Vec<PrivateKey> = signers.iter().map(|number| key(*number)).collect();
    signed(next, &manifest, &keys.iter().collect::<Vec<_>>())
}

/// Ann and ben have lost their keys.
fn rotated() -> String {
    people()
        .replace(&line(1), &line(11))
        .replace(&line(2), &line(12))
}

#[test]
fn enough_of_the_set_replace_people_and_too_few_do_not() {
    let running = running();
    let by = |signers: &[u8]| load(&next(&rotated(), "", signers), Trust::Running(&running));
    let loaded = by(&[21, 23]).unwrap();
    assert_eq!(loaded.quorum(), BundleQuorum::Recovery);
    let signed_by: Vec<&str> = loaded.signed_by().iter().map(tx::Name::as_str).collect();
    assert_eq!(signed_by, ["rita", "roy"]);
    for signers in [&[21][..], &[21, 21], &[21, 4], &[21, 1], &[11, 12], &[]] {
        assert!(
            matches!(by(signers), Err(LoadError::Quorum { .. })),
            "{signers:?}"
        );
    }
    // Where enough officers have signed as well, it is theirs.
    let theirs = by(&[21, 22, 1, 3]).unwrap();
    assert_eq!(theirs.quorum(), BundleQuorum::Officers);
    let mut without = running.clone();
    without.recovery = None;
    let nobody = load(&next(&rotated(), "", &[21, 22]), Trust::Running(&without));
    assert!(matches!(nobody, Err(LoadError::Quorum { .. })));
}

#[test]
fn what_it_signed_and_changes_more_is_refused_by_name() {
    let running = running();
    let deny = "\n[[deny]]\nname = \"nothing\"\neffect = \"payment\"\n";
    let found = load(&next(&rotated(), deny, &[21, 22]), Trust::Running(&running));
    let Err(LoadError::Recovery(differs)) = found else {
        panic!("{found:?}");
    };
    assert_eq!(differs, ["a deny"].into());
    let delay = rotated().replace("delay = \"0s\"", "delay = \"1h\"");
    let found = load(&next(&delay, "", &[21, 22]), Trust::Running(&running));
    let Err(LoadError::Recovery(differs)) = found else {
        panic!("{found:?}");
    };
    assert_eq!(differs, ["a delay of the governance"].into());
    // The officers may.
    let theirs = load(&next(&rotated(), deny, &[1, 2]), Trust::Running(&running));
    assert_eq!(theirs.unwrap().quorum(), BundleQuorum::Officers);
}
