//! `strongroom policy prove`: what can leave, and claims about it.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::policy::quickstart;

/// The answer to a claim by its name.
fn answer_of<'a>(said: &'a Value, claim: &str) -> &'a Value {
    let mut answers = said["answers"].as_array().unwrap().iter();
    answers.find(|answer| answer["claim"] == claim).unwrap()
}

#[test]
fn what_can_leave_is_proved_and_reached() {
    let place = quickstart();
    let said = place.answer("policy prove bundle --witness");
    let answers = said["answers"].as_array().unwrap();
    let most = |what: &str, hours: u64, people: usize| {
        let mut answers = answers.iter();
        let found = answers.find(|answer| {
            answer["what"] == what
                && answer["within_millis"] == hours * 3_600_000
                && answer["people"].as_array().unwrap().len() == people
        });
        found.unwrap()["most_in_units"].as_str().unwrap().to_owned()
    };
    assert_eq!(most("eth", 1, 0), "10 eth");
    assert_eq!(most("eth", 24, 0), "20 eth");
    assert_eq!(most("eth", 24, 1), "20 eth");
    assert_eq!(most("eth", 30 * 24, 0), "600 eth");
    assert_eq!(most("eth outside book customers", 24, 0), "0 eth");
    assert_eq!(most("usdx", 7 * 24, 0), "350000 usdx");
    assert_eq!(most("ltc", 1, 0), "25 ltc");
    assert_eq!(most("fees on eip155:31337", 24, 0), "2 eth");
    for answer in answers {
        assert_eq!(answer["is_exact"], true, "{answer}");
        assert_eq!(answer["witness"]["left"], answer["most"], "{answer}");
    }
    for never in said["never"].as_array().unwrap() {
        assert_eq!(never["passes_by"], json!([]), "{never}");
    }
}

/// What spenders may take leaves wherever they are, and what limits count with payments is not counted twice.
#[test]
fn what_spenders_may_take_is_in_what_can_leave() {
    let place = quickstart();
    let statements = String::from_utf8(place.read("bundle/statements.toml")).unwrap();
    let more = r#"
[[allow]]
name = "pool"
effect = "approval"
account = "eth-hot"
asset = "usdx"
to = "book:customers"
[[limit]]
name = "usdx-approved"
effect = "approval"
asset = "usdx"
measure = "amount"
window = "24h"
cap = "20000 usdx"
[[limit]]
name = "usdx-out"
effect = ["payment", "approval"]
asset = "usdx"
measure = "amount"
window = "24h"
cap = "60000 usdx"
"#;
    place.write("bundle/statements.toml", &(statements + more));
    let said = place.answer("policy prove bundle --witness");
    let answers = said["answers"].as_array().unwrap();
    let day = |what: &str| {
        let mut answers = answers.iter();
        let found = answers.find(|answer| {
            (&answer["what"], &answer["within_millis"]) == (&json!(what), &json!(86_400_000))
        });
        found.unwrap()
    };
    assert_eq!(day("usdx")["most_in_units"], "60000 usdx");
    assert_eq!(day("usdx")["is_exact"], false);
    assert_eq!(
        day("usdx outside book customers")["most_in_units"],
        "20000 usdx"
    );
    assert_eq!(day("eth")["most_in_units"], "20 eth");
    let mut never = said["never"].as_array().unwrap().iter();
    let approval = never.find(|one| one["kind"] == "approval").unwrap();
    assert_eq!(approval["passes_by"], json!(["pool"]));
}

/// What all is worth that leaves is bounded by limits on values alone, of all assets together.
#[test]
fn what_leaves_is_bounded_by_its_value() {
    let place = quickstart();
    let without = place.answer("policy prove bundle");
    let values = |said: &Value| {
        let answers = said["answers"].as_array().unwrap().iter();
        let of_value = answers.filter(|answer| answer["what"].as_str().unwrap().contains("value"));
        of_value.cloned().collect::<Vec<_>>()
    };
    assert_eq!(values(&without), Vec::<Value>::new());
    place.fails("policy prove bundle --value", 2, "policy-claims");

    let accounts = String::from_utf8(place.read("bundle/accounts.toml")).unwrap();
    let statements = String::from_utf8(place.read("bundle/statements.toml")).unwrap();
    let attested = r#"
[attested]
currency = "usd"
price = 1
[[attester]]
name = "quotes"
keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqI46EOLR1Ngd0gYJqg6bWbiJvIjGh3F9fLRAYbjlWz"]
says = "price"
[[price]]
asset = "eth"
floor = "1500 usd"
haircut = "0%"
max_age = "15m"
[[price]]
asset = "usdx"
floor = "0.9 usd"
haircut = "0%"
max_age = "15m"
"#;
    let limit = r#"
[[limit]]
name = "worth-day"
effect = "payment"
asset = ["eth", "usdx"]
measure = "reference"
window = "24h"
cap = "60000 usd"
"#;
    place.write("bundle/accounts.toml", &(accounts + attested));
    place.write("bundle/statements.toml", &(statements + limit));
    let said = place.answer("policy prove bundle");
    let day = values(&said);
    let day = day
        .iter()
        .find(|answer| answer["within_millis"] == 86_400_000);
    let day = day.unwrap();
    assert_eq!(
        day["what"],
        "the value of all assets (but ltc, without a price)"
    );
    assert_eq!(day["most_in_units"], "60000 usd");
    assert_eq!(day["most"], "6000000000000");
    assert_eq!(
        (&day["is_exact"], &day["reached"]),
        (&json!(false), &Value::Null)
    );
    for (claimed, code) in [("60000 usd", 0), ("59999.99999999 usd", 1)] {
        let claim = format!(
            "[[claim]]\nname = \"worth\"\nvalue = true\nwithin = \"24h\"\nat_most = {claimed:?}\n"
        );
        place.write("claims.toml", &claim);
        let output = place.run("policy prove bundle --claims claims.toml");
        assert_eq!(output.status.code(), Some(code), "{claimed}: {output:?}");
    }
    let text = String::from_utf8(place.run("policy prove bundle").stdout).unwrap();
    let line = "the value of all assets (but ltc, without a price) in 24h without people: at most 60000 usd\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn claims_hold_or_fail() {
    let place = quickstart();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policy/quickstart.claims.toml");
    fs::copy(from, place.path("claims.toml")).unwrap();
    let said = place.answer("policy prove bundle --claims claims.toml --witness");
    assert_eq!(said["failed"], 0, "{said}");
    let strangers = answer_of(&said, "no-ether-to-strangers");
    assert_eq!(
        (&strangers["most"], &strangers["holds"]),
        (&json!("0"), &json!(true))
    );

    // Everyone may be paid now.
    let statements = String::from_utf8(place.read("bundle/statements.toml")).unwrap();
    let wider = statements.replace("to = \"book:customers\"\n", "");
    place.write("bundle/statements.toml", &wider);
    let output = place.run("--json policy prove bundle --claims claims.toml");
    assert_eq!(output.status.code(), Some(1));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["failed"], 1, "{said}");
    assert_eq!(
        answer_of(&said, "no-ether-to-strangers")["most_in_units"],
        "600 eth"
    );

    for (line, kind) in [
        ("policy prove bundle --within 24h", "policy-claims"),
        ("policy prove bundle --asset gold", "policy-claims"),
        (
            "policy prove bundle --asset eth --outside book:nobody",
            "policy-claims",
        ),
        (
            "policy prove bundle --asset eth --client nobody",
            "policy-claims",
        ),
        (
            "policy prove bundle --claims bundle/limits.toml",
            "policy-claims",
        ),
    ] {
        place.fails(line, 2, kind);
    }
}

/// A bundle that lets a change of authority pass is said to, with one that does; no claim holds against it.
#[test]
fn a_change_of_authority_that_passes_is_shown_and_fails_the_claim_that_none_does() {
    const CLAIM: &str = "--json policy prove bundle --never authority";
    let place = quickstart();
    assert_eq!(place.run(CLAIM).status.code(), Some(0));
    let statements = String::from_utf8(place.read("bundle/statements.toml")).unwrap();
    let more = r#"
[[allow]]
name = "grant"
effect = "authority"
account = "eth-hot"
asset = "eth"
[[limit]]
name = "grants"
effect = "authority"
asset = "eth"
measure = "count"
window = "24h"
cap = "1"
"#;
    place.write("bundle/statements.toml", &(statements.clone() + more));
    let said = place.answer("policy prove bundle");
    let mut never = said["never"].as_array().unwrap().iter();
    let authority = never.find(|one| one["kind"] == "authority").unwrap();
    assert_eq!(authority["passes_by"], json!(["grant"]));
    let example = &authority["examples"][0];
    assert_eq!(
        (&example["by"], &example["effect"]["account"]),
        (&json!("grant"), &json!("eth-hot"))
    );
    assert_eq!(example["effect"]["kind"], "authority");
    let output = place.run(CLAIM);
    assert_eq!(output.status.code(), Some(1));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["never"][0]["passes_by"], json!(["grant"]));
    let text = String::from_utf8(place.run("policy prove bundle").stdout).unwrap();
    let line = "an effect of kind authority would pass without people, by grant: ";
    assert!(text.contains(line), "{text}");

    // Behind people, under a deny, or where the limit has no room, none passes.
    let need = "[[require]]\nname = \"asked\"\neffect = \"authority\"\n\
                need = { threshold = 1, people = [\"alice\"] }\n";
    let deny = "[[deny]]\nname = \"none\"\neffect = \"authority\"\n";
    for held in [
        format!("{more}{deny}"),
        more.replace("cap = \"1\"", "cap = \"0\""),
        format!("{more}{need}"),
    ] {
        place.write("bundle/statements.toml", &format!("{statements}{held}"));
        let output = place.run(CLAIM);
        assert_eq!(output.status.code(), Some(0), "{held}: {output:?}");
    }
}
