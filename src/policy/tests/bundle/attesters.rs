//! Attesters and prices in a bundle.

use strongroom_policy::{AttestationKind, AttestedNeed, Measure, Policy};
use tx::Amount;

use super::fixture::{POLICY, errors, files, line, manifest, parse, replaced};

fn attester(name: &str, number: u8) -> String {
    let line = line(number);
    format!("\n[[attester]]\nname = {name:?}\nkeys = {line:?}\nsays = \"price\"\n")
}

const PRICE: &str = r#"
[attested]
currency = "usd"
[[price]]
asset = "eth"
floor = "1500.5 usd"
haircut = "12.5%"
max_age = "15m"
"#;

const LIMIT: &str = r#"
[[limit]]
name = "value"
effect = "payment"
asset = "eth"
measure = "reference"
window = "24h"
cap = "20000.25 usd"
"#;

fn whole() -> String {
    let attesters: String = [("w1", 11), ("w2", 12), ("w3", 13)]
        .map(|(name, number)| attester(name, number))
        .concat();
    format!("{POLICY}{attesters}{PRICE}{LIMIT}")
}

fn policy(text: &str) -> Policy {
    let parsed = parse(text).unwrap_or_else(|found| panic!("{found:#?}"));
    assert_eq!(parsed.warnings(), []);
    parsed.under(&manifest(&files(text), "main", 1, 0))
}

#[test]
fn attesters_prices_and_limits_on_values_are_read() {
    let policy = policy(&whole());
    let attestations = &policy.attestations;
    assert_eq!(attestations.attesters.len(), 3);
    assert_eq!(attestations.needed(AttestationKind::Price), 2);
    let rule = attestations.prices.values().next().unwrap();
    assert_eq!(rule.floor.to_string(), "1500.5");
    assert_eq!((rule.haircut_bp, rule.max_age_millis), (1_250, 900_000));
    assert_eq!(rule.decimals, 18);
    let limit = policy
        .limits
        .iter()
        .find(|one| one.name.as_str() == "value");
    let limit = &limit.unwrap().says;
    assert_eq!(limit.measure, Measure::Reference);
    assert_eq!(limit.cap, Amount::from(2_000_025_000_000_u64));
}

#[test]
fn how_many_are_needed_can_be_said() {
    let said = |number: &str| {
        let table = format!("currency = \"usd\"\nprice = {number}");
        replaced(&whole(), "currency = \"usd\"", &table)
    };
    let needed = |number: &str| {
        let parsed = parse(&said(number)).unwrap();
        parsed.policy().attestations.needed(AttestationKind::Price)
    };
    assert_eq!([needed("1"), needed("3")], [1, 3]);
    for (number, expected) in [
        ("0", "0 attesters say everything"),
        ("4", "is above the number"),
    ] {
        let found = errors(&said(number));
        assert!(found[0].contains(expected), "{found:#?}");
    }
}

fn assert_error(text: &str, expected: &str) {
    let found = errors(text);
    assert!(
        found.iter().any(|one| one.contains(expected)),
        "{expected}: {found:#?}"
    );
}

#[test]
fn what_is_wrong_is_named() {
    let change = |part: &str, by: &str, expected: &str| {
        assert_error(&replaced(&whole(), part, by), expected);
    };
    change("floor = \"1500.5 usd\"", "floor = \"0 usd\"", "above zero");
    change(
        "floor = \"1500.5 usd\"",
        "floor = \"1500 eur\"",
        "is not in usd",
    );
    change("haircut = \"12.5%\"", "haircut = \"12.5\"", "is no haircut");
    change(
        "haircut = \"12.5%\"",
        "haircut = \"1001%\"",
        "is no haircut",
    );
    change("haircut = \"12.5%\"", "haircut = \"-1%\"", "is no haircut");
    change("haircut = \"12.5%\"\n", "", "haircut is missing");
    change(
        "max_age = \"15m\"",
        "max_age = \"15s\"",
        "no length of time",
    );
    change(
        "currency = \"usd\"",
        "currency = \"ltc\"",
        "is the name of an asset",
    );
    change("[attested]\ncurrency = \"usd\"\n", "", "no currency");
    change(
        "cap = \"20000.25 usd\"",
        "cap = \"20 eth\"",
        "is not in usd",
    );
    change(
        "cap = \"20000.25 usd\"",
        "cap = \"0.000000001 usd\"",
        "finer",
    );
    let twice = format!(
        "{}{}",
        whole(),
        PRICE.replace("[attested]\ncurrency = \"usd\"\n", "")
    );
    assert_error(&twice, "is priced twice");
    assert_error(
        &format!("{}{}", whole(), attester("w4", 11)),
        "has a key of \"w1\"",
    );
    assert_error(&format!("{POLICY}{PRICE}"), "nobody attests prices");
    let mut two = files(&whole());
    two.insert(
        "more.toml".into(),
        b"[attested]\ncurrency = \"usd\"\n".to_vec(),
    );
    let found = strongroom_policy::bundle::parse(&two).unwrap_err();
    assert!(
        found[0].to_string().contains("stands already at"),
        "{found:#?}"
    );
}

#[test]
fn a_limit_on_values_names_assets_that_have_a_price() {
    let limit = LIMIT.replace("asset = \"eth\"\n", "");
    assert_error(&replaced(&whole(), LIMIT, &limit), "names no asset");
    let limit = LIMIT.replace("asset = \"eth\"", "asset = [\"eth\", \"ltc\"]");
    assert_error(
        &replaced(&whole(), LIMIT, &limit),
        "values of ltc, which has no price",
    );
}

#[test]
fn a_limit_on_values_has_a_hard_one_on_the_amount_beside_it() {
    let expected = "limit \"value\": no hard limit bounds the amount of eth beside it";
    let day = "name = \"eth-day\"\neffect = \"payment\"\n";
    let over = "over = { threshold = 1, people = \"ann\" }\n";
    let soft = replaced(&whole(), day, &format!("{day}{over}"));
    assert_error(&soft, expected);
    let grouped = replaced(&whole(), day, &format!("{day}group = \"client\"\n"));
    assert_error(&grouped, expected);
    // One that selects less than the limit on values does.
    let fees = LIMIT.replace(
        "effect = \"payment\"",
        "effect = [\"payment\", \"own-transfer\"]",
    );
    assert_error(&replaced(&whole(), LIMIT, &fees), expected);
    // A limit on values alone bounds nothing that must be bounded.
    let alone = replaced(
        &whole(),
        day,
        "name = \"eth-day\"\neffect = \"own-transfer\"\n",
    );
    assert_error(&alone, "nothing bounds the amount of eth payment");
}

/// Three attesters who say what became of attempts, of chains and of the journal.
fn watchers() -> String {
    let says = "says = [\"final\", \"dead\", \"head\", \"reconciled\", \"time\"]";
    let all = [("w1", 11), ("w2", 12), ("w3", 13)];
    let all = all.map(|(name, number)| attester(name, number).replace("says = \"price\"", says));
    all.concat()
}

const FRESH: &str = r#"
[[require]]
name = "fresh"
effect = "payment"
need = { attested = "head", within = "10m" }
"#;

const REISSUE: &str = r#"
[[allow]]
name = "again"
effect = "reissue"
asset = "eth"
dead = true
"#;

#[test]
fn what_attesters_said_lately_can_be_required() {
    let read = policy(&format!("{POLICY}{}{FRESH}{REISSUE}", watchers()));
    assert_eq!(read.attestations.needed(AttestationKind::Dead), 2);
    assert_eq!(read.requires_attested.len(), 1);
    let need = AttestedNeed {
        attested: AttestationKind::Head,
        within_millis: 600_000,
    };
    assert_eq!(read.requires_attested[0].says, need);
    let mut allows = read.allows.iter();
    let again = allows.find(|one| one.name.as_str() == "again").unwrap();
    assert_eq!(again.selector.dead, Some(true));
    let with = |part: &str, by: &str| {
        let text = format!("{POLICY}{}{FRESH}{REISSUE}", watchers());
        errors(&replaced(&text, part, by))
    };
    let has = |found: &[String], expected: &str| {
        assert!(found.iter().any(|one| one.contains(expected)), "{found:#?}");
    };
    has(
        &with("attested = \"head\"", "attested = \"price\""),
        "no requirement can ask for \"price\"",
    );
    has(
        &with("within = \"10m\"", "within = \"10s\""),
        "no length of time",
    );
    has(&with(", within = \"10m\"", ""), "within is missing");
    has(
        &with("within = \"10m\"", "within = \"10m\", people = \"ann\""),
        "unknown key \"people\"",
    );
    has(
        &with("dead = true", "dead = \"true\""),
        "must be true or false",
    );
    has(&errors(&format!("{POLICY}{FRESH}")), "nobody attests that");
    let limit = LIMIT.replace("asset = \"eth\"", "asset = \"eth\"\ndead = true");
    has(
        &errors(&format!("{}{limit}", replaced(&whole(), LIMIT, ""))),
        "counts re-issues whether",
    );
}

fn warnings(text: &str) -> Vec<String> {
    let parsed = parse(text).unwrap_or_else(|found| panic!("{found:#?}"));
    parsed.warnings().iter().map(ToString::to_string).collect()
}

#[test]
fn what_looks_wrong_about_attesters_is_warned_of() {
    let one = |text: &str, expected: &str| {
        let found = warnings(text);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].contains(expected), "{found:#?}");
    };
    one(
        &format!("{POLICY}{REISSUE}"),
        "nobody attests that attempts are dead",
    );
    let payment = REISSUE.replace("effect = \"reissue\"", "effect = \"cancellation\"");
    one(
        &format!("{POLICY}{}{payment}", watchers()),
        "only a re-issue is of something dead",
    );
    for kind in ["price", "final", "dead", "head", "reconciled", "time"] {
        let extra = attester("w4", 14);
        let text = match kind {
            "price" => replaced(
                &format!("{}{extra}", whole()),
                "currency = \"usd\"",
                "currency = \"usd\"\nprice = 2",
            ),
            _ => format!(
                "{POLICY}{}[[attester]]\nname = \"w4\"\nkeys = {:?}\nsays = {kind:?}\n[attested]\n{kind} = 2\n",
                watchers(),
                line(14)
            ),
        };
        one(&text, "is no more than half of the 4 attesters");
    }
}

const AT_RISK: &str = r#"
[[limit]]
name = "at-risk"
effect = "payment"
asset = "eth"
measure = "amount"
window = "48h"
cap = "5 eth"
outstanding = true
"#;

fn watcher() -> String {
    replaced(&attester("w1", 11), "\"price\"", "[\"final\", \"dead\"]")
}

#[test]
fn a_limit_on_what_is_outstanding_is_read_and_needs_somebody_who_settles() {
    let whole = format!("{POLICY}{}{AT_RISK}", watcher());
    let asks = policy(&whole)
        .limits
        .into_iter()
        .map(|limit| (limit.name.to_string(), limit.says.outstanding));
    let expected = [("at-risk", true), ("eth-day", false), ("fees-day", false)];
    let mut asks: Vec<(String, bool)> = asks.collect();
    asks.sort();
    assert_eq!(asks, expected.map(|(name, is)| (name.to_owned(), is)));
    let not = replaced(&whole, "outstanding = true", "outstanding = false");
    let parsed = parse(&not).unwrap();
    let mut limits = parsed.policy().limits.iter();
    assert!(limits.all(|one| !one.says.outstanding));
    assert_error(
        &replaced(&whole, "outstanding = true", "outstanding = \"yes\""),
        "true or false",
    );
    let nobody = "nobody attests what is final";
    assert_error(&format!("{POLICY}{AT_RISK}"), nobody);
    let dead = replaced(&whole, "[\"final\", \"dead\"]", "\"dead\"");
    assert_error(&dead, nobody);
}

/// What is settled makes room at once: over a day it bounds nothing.
#[test]
fn a_limit_on_what_is_outstanding_is_none_that_a_bundle_must_have() {
    let whole = format!("{POLICY}{}", watcher());
    let limit = "effect = \"payment\"\nasset = \"eth\"\nmeasure = \"amount\"\n";
    let text = replaced(&whole, limit, &format!("{limit}outstanding = true\n"));
    let found = errors(&text);
    for missing in [
        "nothing bounds the amount of eth payment",
        "no limit bounds eth payment",
    ] {
        let is_said = |one: &String| one.contains(missing) && one.contains("`outstanding`");
        assert!(found.iter().any(is_said), "{found:#?}");
    }
    // It never binds behind one that holds as much of everything; that one binds beside it.
    let warned = |risk: &str| {
        let text = format!("{whole}{}", replaced(AT_RISK, "cap = \"5 eth\"", risk));
        let parsed = parse(&text).unwrap();
        let warnings = parsed.warnings().iter();
        warnings.map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(warned("cap = \"5 eth\""), [""; 0]);
    let longer = replaced(AT_RISK, "48h", "12h");
    let longer = replaced(&longer, "cap = \"5 eth\"", "cap = \"20 eth\"");
    let parsed = parse(&format!("{whole}{longer}")).unwrap();
    let found: Vec<String> = parsed.warnings().iter().map(ToString::to_string).collect();
    assert!(
        found[0].contains("\"at-risk\": can never bind"),
        "{found:#?}"
    );
}
