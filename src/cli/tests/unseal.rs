//! `strongroom unseal`: the statement says exactly what the report says.

use serde_json::{Value, json};

use crate::program::Place;

fn report(lost: &Value) -> Value {
    let digest = |digit: &str| digit.repeat(64);
    let time = "2026-11-20T12:00:00Z";
    json!({
        "v": 1, "fleet": "main", "log": digest("1"), "found": "shorter-than-checkpoint",
        "why": "the log has 120 entries, a known head 140", "size": 120, "root": digest("2"),
        "last": { "lo": time, "hi": time }, "bundle": digest("3"), "threshold": 2,
        "officers": ["ann", "ben"], "lost": lost, "nonce": digest("5"),
    })
}

fn lost() -> Value {
    json!([{ "size": 140, "root": "4".repeat(64) }])
}

#[test]
fn a_statement_is_of_its_report_to_the_letter() {
    let place = Place::new();
    place.write("report.json", &report(&lost()).to_string());
    let line =
        "unseal statement report.json --out statement --accept-loss --expires 2026-11-21T12:00:00Z";
    let answer = place.answer(line);
    let digest = |digit: &str| digit.repeat(64);
    let text = format!(
        "strongroom-unseal-v1\nfleet main\nanswers checkpoint {}\nlog {}\n\
         found shorter-than-checkpoint\nsize 120\nbundle {}\nlost 140 {}\nnonce {}\n\
         expires 2026-11-21T12:00:00Z\nresume\n",
        digest("2"),
        digest("1"),
        digest("3"),
        digest("4"),
        digest("5")
    );
    assert_eq!(String::from_utf8(place.read("statement")).unwrap(), text);
    assert_eq!(answer["namespace"], "strongroom-unseal-v1");
    assert_eq!(
        (&answer["lost"], &answer["threshold"]),
        (&json!(1), &json!(2))
    );
    // What officers may have signed already is not replaced.
    place.fails(line, 2, "file-exists");
}

#[test]
fn what_is_lost_is_accepted_by_name_or_nothing_is_composed() {
    let place = Place::new();
    place.write("report.json", &report(&lost()).to_string());
    place.fails(
        "unseal statement report.json --out statement",
        1,
        "unseal-loss",
    );
    place.write("note", "no checkpoint\n");
    let line = "unseal statement report.json --out statement --accept-loss --lost note";
    place.fails(line, 2, "unseal-checkpoint");
    place.write("report.json", "{}");
    place.fails(
        "unseal statement report.json --out statement",
        2,
        "unseal-report",
    );
    assert!(!place.path("statement").exists());
    place.write("report.json", &report(&json!([])).to_string());
    let answer = place.answer("unseal statement report.json --out statement");
    assert_eq!(answer["lost"], 0);
    let root = format!("{}=", "A".repeat(43));
    place.write(
        "note",
        &format!("strongroom/main/0\n9\n{root}\n\n\u{2014} log AAAAAAA=\n"),
    );
    let line = "unseal statement report.json --out another --accept-loss --lost note";
    assert_eq!(place.answer(line)["lost"], 1);
    let text = String::from_utf8(place.read("another")).unwrap();
    assert!(
        text.contains(&format!("\nlost 9 {}\n", "0".repeat(64))),
        "{text}"
    );
}
