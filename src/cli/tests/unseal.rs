//! `strongroom unseal`: the statement says exactly what the report says.

use serde_json::{Value, json};

use crate::program::Place;

fn report(lost: &Value) -> Value {
    let digest = |digit: &str| digit.repeat(64);
    let time = "2026-11-20T12:00:00Z";
    json!({
        "v": 2, "fleet": "main", "log": digest("1"), "found": "shorter-than-checkpoint",
        "why": "the log has 120 entries, a known head 140", "size": 120, "root": digest("2"),
        "last": { "lo": time, "hi": time }, "bundle": digest("3"), "sequence": 7, "threshold": 2,
        "officers": ["ann", "ben"], "lost": lost, "epoch": 1, "lanes": 4, "keys": [
            { "key": "btc-1", "chain": "bitcoin:mainnet", "next": null },
            { "key": "eth-1", "chain": "eip155:1", "next": 40 },
        ], "nonce": digest("5"),
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

const BEGIN: &str = "unseal epoch report.json --out statement --lanes 4 \
    --begins 2026-11-20T13:00:00Z --expires 2026-11-21T12:00:00Z";
const NEXT: &str = "--next eth-1 eip155:1 41";
const DRAIN: &str = "--drain btc-1 bitcoin:mainnet bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";

#[test]
fn an_epoch_says_what_the_report_says_and_something_of_every_key() {
    let place = Place::new();
    place.write("report.json", &report(&lost()).to_string());
    let after = "a".repeat(64);
    let answer = place.answer(&format!("{BEGIN} {NEXT} {DRAIN} --after {after}"));
    let digest = |digit: &str| digit.repeat(64);
    let text = format!(
        "strongroom-epoch-v1\nfleet main\nanswers checkpoint {}\nlog {}\n\
         found shorter-than-checkpoint\nsize 120\nbundle {}\nsequence 7\nafter {after}\n\
         lost 140 {}\nnonce {}\nepoch 2\nbegins 2026-11-20T13:00:00Z\nlanes 4\n\
         next eth-1 eip155:1 41\n\
         drain btc-1 bitcoin:mainnet bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4\n\
         expires 2026-11-21T12:00:00Z\nnew-epoch\n",
        digest("2"),
        digest("1"),
        digest("3"),
        digest("4"),
        digest("5")
    );
    assert_eq!(String::from_utf8(place.read("statement")).unwrap(), text);
    assert_eq!(answer["namespace"], "strongroom-epoch-v1");
    assert_eq!(answer["epoch"], 2);
    // What officers may have signed already is not replaced.
    place.fails(&format!("{BEGIN} {NEXT} {DRAIN}"), 2, "file-exists");
}

#[test]
fn an_epoch_that_leaves_something_unsaid_is_not_composed() {
    let place = Place::new();
    place.write("report.json", &report(&lost()).to_string());
    let error = place.fails(BEGIN, 2, "unseal-unsaid");
    assert_eq!(error["why"].as_array().unwrap().len(), 2, "{error}");
    let lower = "--next eth-1 eip155:1 39";
    for (words, name) in [
        (NEXT.to_owned(), "unseal-unsaid"),
        (DRAIN.to_owned(), "unseal-unsaid"),
        (format!("{lower} {DRAIN}"), "unseal-unsaid"),
        (format!("{NEXT} {lower} {DRAIN}"), "unseal-said"),
        (
            format!("{NEXT} --drain btc-1 bitcoin:mainnet nowhere"),
            "unseal-said",
        ),
        (format!("{NEXT} {DRAIN} --epoch 1"), "unseal-epoch"),
        (format!("{NEXT} {DRAIN} --after 12"), "usage"),
        (format!("{NEXT} {DRAIN} --next eth-1 41"), "usage"),
    ] {
        place.fails(&format!("{BEGIN} {words}"), 2, name);
    }
    assert!(!place.path("statement").exists());
}
