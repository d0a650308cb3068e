//! Weekly hours, and the rules of the time zones that they are by.

use std::collections::BTreeSet;

use proptest::{collection::btree_map, prelude::*};
use strongroom_policy::{
    Clocks, Stretch, Zone,
    bundle::{self, ZoneName, zone_table, zones_named},
};
use tx::Time;

use super::fixture::{POLICY, files, manifest};

const OFFICE: &str = "[[hours]]
name = \"office\"
zone = \"Europe/Zurich\"
open = [\"mon-fri 08:00-18:00\", \"sun 22:30-24:00\"]
";

const ZURICH: &str = "[[zone]]
name = \"Europe/Zurich\"
from = \"2026-01-01T00:00:00Z\"
until = \"2027-01-01T00:00:00Z\"
offset = \"+01:00\"
changes = [
    \"2026-03-29T01:00:00Z +02:00\",
    \"2026-10-25T01:00:00Z +01:00\",
]
";

/// What is said of a bundle with this file.
fn says(text: &str) -> Vec<String> {
    let mut files = files(POLICY);
    files.insert("hours.toml".into(), text.into());
    let found = bundle::parse(&files).err().unwrap_or_default();
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn hours_are_read_with_the_rule_of_their_zone() {
    let mut files = files(POLICY);
    files.insert("hours.toml".into(), OFFICE.into());
    assert_eq!(
        zones_named(&files),
        ["Europe/Zurich".parse().unwrap()].into()
    );
    files.insert("zones.toml".into(), ZURICH.into());
    let manifest = manifest(&files, "main", 1, 0);
    let policy = bundle::parse(&files).unwrap().under(&manifest);
    let office = &policy.hours[&"office".parse().unwrap()];
    let of_day = |day: u32, from: u32, until: u32| Stretch {
        from: day * 1440 + from * 30,
        until: day * 1440 + until * 30,
    };
    let mut open: BTreeSet<Stretch> = (0..5).map(|day| of_day(day, 16, 36)).collect();
    open.insert(of_day(6, 45, 48));
    assert_eq!(office.open, open);
    let Clocks::Zone(zone) = &office.clocks else {
        panic!("{office:?}");
    };
    assert_eq!(zone.offset_minutes, 60);
    assert_eq!(
        zone.changes.values().copied().collect::<Vec<_>>(),
        [120, 60]
    );
    // What was read is written as it was.
    let name: ZoneName = "Europe/Zurich".parse().unwrap();
    assert_eq!(zone_table(&name, zone), ZURICH);
}

#[test]
fn what_is_no_hour_is_named() {
    for (open, says_so) in [
        (
            "[\"mon 08:00-18:00\", \"mon-tue 17:00-19:00\"]",
            "open: \"mon-tue 17:00-19:00\" overlaps",
        ),
        ("\"mon-fri 18:00-08:00\"", "is no part of the week"),
        ("\"mon-fri 08:00-08:00\"", "is no part of the week"),
        ("\"mon-fri 8:00-18:00\"", "is no part of the week"),
        ("\"mon-fri 08:00-24:01\"", "is no part of the week"),
        ("\"mon-fri 08:60-18:00\"", "is no part of the week"),
        ("\"mon-fri\"", "is no part of the week"),
        ("\"Mon 08:00-18:00\"", "is no part of the week"),
        ("\"mon-fry 08:00-18:00\"", "is no part of the week"),
        ("\"mon  08:00-18:00\"", "is no part of the week"),
        ("[]", "an empty list"),
    ] {
        let text = format!("[[hours]]\nname = \"h\"\nzone = \"UTC\"\nopen = {open}\n");
        let found = says(&text);
        assert_eq!(found.len(), 1, "{found:#?}");
        let at = found[0].starts_with("hours.toml:4:");
        assert!(at && found[0].contains(says_so), "{open}: {found:?}");
    }
    // Over the end of the week, and all of it.
    for open in [
        "\"sat-mon 00:00-24:00\"",
        "\"mon-sun 00:00-24:00\"",
        "\"sun 23:00-24:00\"",
    ] {
        let text = format!("[[hours]]\nname = \"h\"\nzone = \"UTC\"\nopen = {open}\n");
        assert_eq!(says(&text), [""; 0], "{open}");
    }
}

#[test]
fn a_zone_needs_its_rule_in_one_spelling() {
    let found = says(OFFICE);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("hours.toml:3:8: hours \"office\": zone: the bundle has no rule"));
    assert!(found[0].contains("strongroom policy zones"), "{found:?}");
    let both = [OFFICE, ZURICH].concat();
    assert_eq!(says(&both), [""; 0]);
    for (part, by, says_so) in [
        ("\"+01:00\"", "\"+1:00\"", "is no offset from UTC"),
        ("\"+01:00\"", "\"-00:00\"", "is no offset from UTC"),
        ("\"+01:00\"", "\"+18:01\"", "is no offset from UTC"),
        ("\"+01:00\"", "\"\u{e9}1:00\"", "is no offset from UTC"),
        (
            "03-29T01:00:00Z +02:00",
            "03-29T01:00:00Z+02:00",
            "is no change of clocks",
        ),
        (
            "03-29T01:00:00Z +02:00",
            "03-29T01:00:00+00:00 +02:00",
            "is no change of clocks",
        ),
        (
            "2026-10-25T01:00:00Z +01:00",
            "2026-03-29T01:00:00Z +01:00",
            "to two offsets at once",
        ),
        ("2026-03-29", "2025-03-29", "not between from and until"),
        ("until = \"2027", "until = \"2025", "ends before it begins"),
        ("changes", "change", "unknown key \"change\""),
    ] {
        let changed = both.replacen(part, by, 1);
        assert_ne!(changed, both);
        let found = says(&changed).join("\n");
        assert!(
            found.starts_with("hours.toml:") && found.contains(says_so),
            "{by}: {found}"
        );
    }
    let twice = says(&[OFFICE, ZURICH, ZURICH].concat()).join("\n");
    assert!(
        twice.contains("there is another rule of Europe/Zurich"),
        "{twice}"
    );
    for name in [
        "../etc/passwd",
        "/etc",
        "Europe//Zurich",
        "Europe/Z.",
        "",
        "UTC",
        "Europe/Z\n",
    ] {
        assert!(name.parse::<ZoneName>().is_err(), "{name:?}");
    }
}

#[test]
fn statements_name_hours_that_there_are() {
    let with = |statement: &str| {
        says(&format!(
            "[[hours]]\nname = \"night\"\nzone = \"UTC\"\nopen = \"mon-sun 22:00-24:00\"\n{statement}"
        ))
    };
    let deny = |condition: &str| with(&format!("[[deny]]\nname = \"d\"\n{condition}\n"));
    assert_eq!(deny("hours = \"night\""), [""; 0]);
    assert_eq!(deny("hours_except = [\"night\"]"), [""; 0]);
    let unknown = deny("hours = \"knight\"");
    assert_eq!(unknown.len(), 1);
    assert!(unknown[0].contains("no hours is called \"knight\"\n  help: did you mean \"night\"?"));
    let limit = with(
        "[[limit]]\nname = \"l\"\nasset = \"eth\"\nhours = \"night\"\nmeasure = \"amount\"\nwindow = \"1h\"\ncap = \"1 eth\"\n",
    );
    assert_eq!(limit, [""; 0]);
}

#[test]
fn people_at_some_hours_attend_nothing_at_others() {
    let bound = |conditions: &str| {
        let unbounded = POLICY.replace(
            "to = \"book:customers\"",
            "to = \"book:customers\"\nhours = \"day\"",
        );
        // Without its limit by amount the allow needs people.
        let unbounded = unbounded.replace(
            "measure = \"amount\"\nwindow = \"24h\"\ncap = \"10 eth\"",
            "measure = \"amount\"\nwindow = \"24h\"\ncap = \"10 eth\"\ngroup = [\"client\"]",
        );
        let mut files = files(&unbounded);
        let whole = "[[limit]]\nname = \"whole\"\neffect = \"payment\"\nasset = \"eth\"\nto_except = \"book:customers\"\nmeasure = \"amount\"\nwindow = \"24h\"\ncap = \"10 eth\"\n";
        let hours = "[[hours]]\nname = \"day\"\nzone = \"UTC\"\nopen = \"mon-sun 08:00-18:00\"\n[[hours]]\nname = \"noon\"\nzone = \"UTC\"\nopen = \"mon-sun 12:00-13:00\"\n";
        let require = format!(
            "[[require]]\nname = \"r\"\neffect = \"payment\"\n{conditions}need = {{ threshold = 1, people = \"ann\" }}\n"
        );
        files.insert("more.toml".into(), [hours, whole, &require].concat().into());
        let found = bundle::parse(&files).err().unwrap_or_default();
        !found
            .iter()
            .any(|one| one.message.contains("leaves without people"))
    };
    assert!(bound(""));
    assert!(bound("hours = \"day\"\n"));
    assert!(bound("hours = [\"day\", \"noon\"]\n"));
    assert!(!bound("hours = \"noon\"\n"));
    assert!(!bound("hours_except = \"noon\"\n"));
}

proptest! {
    #[test]
    fn a_rule_that_is_written_is_read_as_it_was(
        from in 0..1_000_000_u64,
        length in 10_000..1_000_000_u64,
        offset_minutes in -1080..=1080_i32,
        changes in btree_map(1..10_000_u64, -1080..=1080_i32, 0..20),
    ) {
        let seconds = |seconds: u64| Time::from_millis(seconds * 1_000);
        let zone = Zone {
            from: seconds(from),
            until: seconds(from + length),
            offset_minutes,
            changes: changes.into_iter().map(|(at, to)| (seconds(from + at), to)).collect(),
        };
        let name: ZoneName = "Europe/Zurich".parse().unwrap();
        let mut files = files(POLICY);
        files.insert("hours.toml".into(), [OFFICE, &zone_table(&name, &zone)].concat().into());
        let manifest = manifest(&files, "main", 1, 0);
        let policy = bundle::parse(&files).unwrap().under(&manifest);
        let read = &policy.hours[&"office".parse().unwrap()].clocks;
        prop_assert_eq!(read, &Clocks::Zone(zone));
    }
}
