//! The bounds that a bundle must have, each both ways.

use super::fixture::{POLICY, errors, parse, replaced};

/// The fixture's limit of payments.
const ETH_DAY: &str = r#"[[limit]]
name = "eth-day"
effect = "payment"
asset = "eth"
measure = "amount"
window = "24h"
cap = "10 eth"
"#;

fn with_limit(limit: &str) -> String {
    replaced(POLICY, ETH_DAY, limit)
}

fn assert_clean(text: &str) {
    let found = parse(text).unwrap_or_else(|found| panic!("{text}\n{found:#?}"));
    assert_eq!(found.warnings(), [], "{text}");
}

fn limit(name: &str, conditions: &str) -> String {
    format!("[[limit]]\nname = {name:?}\nwindow = \"24h\"\n{conditions}\n")
}

/// An amount of eth over all accounts, for what is not tested at the time.
fn whole() -> String {
    limit(
        "whole",
        "measure = \"amount\"\nasset = \"eth\"\ncap = \"100 eth\"",
    )
    .replace("24h", "48h")
}

const UNBOUNDED: &str = "policy.toml:51:1: allow \"pay\": nothing bounds the amount of eth payment";
const NOT_WHOLE: &str =
    "policy.toml:51:1: allow \"pay\": no limit bounds eth payment over all accounts";

#[test]
fn an_unattended_allow_needs_a_limit() {
    let found = errors(&with_limit(""));
    assert!(found[0].starts_with(NOT_WHOLE), "{found:#?}");
    assert!(found[1].starts_with(UNBOUNDED), "{found:#?}");
    assert_eq!(found.len(), 2, "{found:#?}");
}

#[test]
fn people_attend_an_allow_only_when_the_require_covers_it() {
    let require = |conditions: &str| {
        let require = format!(
            "[[require]]\nname = \"two\"\n{conditions}\nneed = {{ threshold = 1, people = \"ann\" }}\n"
        );
        with_limit(&require)
    };
    // The limit over all accounts is needed all the same.
    for covering in [
        "effect = \"payment\"",
        "account = \"eth-hot\"",
        "class = \"hot\"",
        "chain = \"eip155:1\"",
    ] {
        let found = errors(&require(covering));
        assert_eq!(found.len(), 1, "{covering}: {found:#?}");
        assert!(found[0].starts_with(NOT_WHOLE), "{found:#?}");
    }
    for narrower in [
        "asset = \"eth\"\namount_over = \"1 eth\"",
        "effect = \"fee\"",
        "client = \"walletd\"",
        "account = \"ltc-hot\"",
        "effect = \"payment\"\nto_except = \"book:customers\"",
    ] {
        let found = errors(&require(narrower));
        assert!(
            found.iter().any(|one| one.starts_with(UNBOUNDED)),
            "{narrower}: {found:#?}"
        );
    }
}

#[test]
fn a_limit_counts_only_when_it_selects_all_that_the_allow_does() {
    let amount = |conditions: &str| {
        format!("measure = \"amount\"\nasset = \"eth\"\ncap = \"10 eth\"\n{conditions}")
    };
    for covering in [
        "",
        "effect = [\"payment\", \"own-transfer\"]",
        "account = [\"eth-hot\", \"ltc-hot\"]",
        "class = [\"hot\", \"cold\"]",
        "chain = \"eip155:1\"",
        "to = \"book:customers\"",
        "group = [\"account\"]",
        "group = [\"source\"]",
        "over = { threshold = 1, people = \"ann\" }",
    ] {
        assert_clean(&with_limit(&(limit("part", &amount(covering)) + &whole())));
    }
    for narrower in [
        "effect = \"own-transfer\"",
        "account = \"ltc-hot\"\nclient = \"walletd\"",
        "class = \"cold\"",
        "client = \"walletd\"",
        "source = \"payouts\"",
        "to = \"own-class:cold\"",
        "to_except = \"address:eip155:1:0x70997970C51812dc3A010C7d01b50e0d17dc79C8\"",
        "amount_max = \"1 eth\"",
        "amount_over = \"0 eth\"",
        "tag = \"x\"",
        "age_min = \"1h\"",
        "age_below = \"1h\"",
        "signed_by = \"ann\"",
        "group = [\"destination\"]",
        "group = [\"client\"]",
        "group = [\"account\", \"destination\"]",
    ] {
        let found = errors(&with_limit(&limit("part", &amount(narrower))));
        assert!(
            found.iter().any(|one| one.starts_with(UNBOUNDED)),
            "{narrower}: {found:#?}"
        );
    }
    // A count bounds no amount.
    let count = limit(
        "part",
        "measure = \"count\"\ncap = \"1\"\neffect = \"payment\"",
    );
    let found = errors(&with_limit(&count));
    assert!(
        found.iter().any(|one| one.starts_with(UNBOUNDED)),
        "{found:#?}"
    );
}

#[test]
fn an_amount_condition_is_covered_by_a_wider_one() {
    let allow = replaced(
        POLICY,
        "to = \"book:customers\"",
        "to = \"book:customers\"\namount_max = \"1 eth\"",
    );
    let text = |conditions: &str| {
        let part = limit(
            "part",
            &format!("measure = \"amount\"\nasset = \"eth\"\ncap = \"10 eth\"\n{conditions}"),
        );
        replaced(&allow, ETH_DAY, &part)
    };
    let unbounded = |text: &str| errors(text).iter().any(|one| one.starts_with(UNBOUNDED));
    assert!(!unbounded(&text("amount_max = \"1 eth\"")));
    assert!(!unbounded(&text("amount_max = \"2 eth\"")));
    assert!(unbounded(&text("amount_max = \"0.5 eth\"")));
}

#[test]
fn every_asset_needs_a_limit_over_all_accounts() {
    let amount = |conditions: &str| {
        let whole =
            format!("measure = \"amount\"\nasset = \"eth\"\ncap = \"10 eth\"\n{conditions}");
        with_limit(&limit("part", &whole))
    };
    assert_clean(&amount(""));
    assert_clean(&amount("chain = \"eip155:1\"\neffect = \"payment\""));
    for narrower in [
        "account = \"eth-hot\"",
        "class = \"hot\"",
        "to = \"book:customers\"",
        "group = [\"account\"]",
        "group = [\"source\"]",
    ] {
        let found = errors(&amount(narrower));
        assert_eq!(found.len(), 1, "{narrower}: {found:#?}");
        assert!(found[0].starts_with(NOT_WHOLE), "{found:#?}");
    }
}

#[test]
fn an_outward_allow_names_its_assets() {
    let text = replaced(
        POLICY,
        "account = \"eth-hot\"\nasset = \"eth\"\n",
        "account = \"eth-hot\"\n",
    );
    let found = errors(&text);
    assert!(
        found[0].contains("lets a payment leave in any asset"),
        "{found:#?}"
    );
}

#[test]
fn calls_need_a_count_and_an_amount() {
    let call = "[[allow]]\nname = \"call\"\neffect = \"call\"\nasset = \"eth\"\n\
                [[function]]\nname = \"ping\"\nsignature = \"ping()\"\n\
                contract = \"eip155:1:0x90F79bf6EB2c4f870365E785982E1f101E93b906\"\n";
    let amount = limit(
        "calls",
        "measure = \"amount\"\neffect = \"call\"\nasset = \"eth\"\ncap = \"1 eth\"",
    );
    let count = limit(
        "calls-count",
        "measure = \"count\"\neffect = \"call\"\ncap = \"5\"",
    );
    let says = |extra: &[&str]| errors(&(POLICY.to_owned() + call + &extra.concat()));
    assert!(says(&[&amount])[0].contains("bounds the count of eth call"));
    let found = says(&[&count]);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert_clean(&[POLICY, call, &amount, &count].concat());
}

#[test]
fn authority_is_bounded_by_a_count() {
    let authority = "[[allow]]\nname = \"rights\"\neffect = \"authority\"\nasset = \"eth\"\n";
    let count = limit(
        "rights-count",
        "measure = \"count\"\neffect = \"authority\"\ncap = \"1\"",
    );
    let found = errors(&(POLICY.to_owned() + authority));
    assert!(
        found[0].contains("bounds the count of eth authority"),
        "{found:#?}"
    );
    assert_clean(&[POLICY, authority, &count].concat());
}

#[test]
fn fees_need_a_limit_over_all_accounts() {
    const FEES: &str = "policy.toml:58:1: allow \"fees\": no limit bounds the fees on eip155:1";
    let day = "name = \"fees-day\"\neffect = \"fee\"\nasset = \"eth\"";
    for narrower in [
        "account = \"eth-hot\"",
        "client = \"walletd\"",
        "group = [\"account\"]",
        "fee_rate_max = \"1 gwei\"",
    ] {
        let found = errors(&replaced(POLICY, day, &format!("{day}\n{narrower}")));
        assert_eq!(found.len(), 1, "{narrower}: {found:#?}");
        assert!(found[0].starts_with(FEES), "{found:#?}");
    }
    // A cancellation needs no allow, so that a key on an EVM chain needs the limit.
    let fees = "[[allow]]\nname = \"fees\"\neffect = \"fee\"\nasset = \"eth\"\nfee_rate_max = \"50 gwei\"\n";
    let without = replaced(POLICY, fees, "");
    let found = errors(&replaced(
        &without,
        day,
        &format!("{day}\ngroup = [\"account\"]"),
    ));
    assert!(
        found[0].starts_with(
            "policy.toml:18:1: account \"eth-hot\": no limit bounds the fees on eip155:1"
        ),
        "{found:#?}"
    );
    // An allow that names no chain allows fees on all of them.
    let anywhere = replaced(
        POLICY,
        fees,
        "[[allow]]\nname = \"fees\"\neffect = \"fee\"\n",
    );
    let found = errors(&anywhere);
    assert!(
        found[0].contains("no limit bounds the fees on litecoin:regtest"),
        "{found:#?}"
    );
}

/// What is warned of a bundle with these tables beside the fixture's.
fn warned(tables: &str) -> Vec<String> {
    let text = [POLICY, "\n", tables].concat();
    let found = parse(&text).unwrap_or_else(|found| panic!("{text}\n{found:#?}"));
    let warnings = found.warnings().iter();
    warnings.map(|one| one.message.clone()).collect()
}

/// A limit on eth payments beside the one of 10 eth a day.
fn beside(window: &str, cap: &str, more: &str) -> String {
    format!(
        "[[limit]]\nname = \"beside\"\neffect = \"payment\"\nasset = \"eth\"\nwindow = {window:?}\ncap = {cap:?}\n{more}\n"
    )
}

const NEVER: &str = "can never bind";
const OVER: &str = "over = { threshold = 1, people = \"ann\" }";

#[test]
fn a_limit_that_another_one_fills_before_is_warned_of() {
    let amount = |more: &str| format!("measure = \"amount\"\n{more}");
    for (window, cap, more) in [
        ("24h", "10 eth", ""),
        ("24h", "11 eth", ""),
        ("1h", "10 eth", ""),
        ("24h", "10 eth", "group = \"destination\""),
        ("24h", "10 eth", "account = \"eth-hot\""),
        ("24h", "10 eth", OVER),
    ] {
        let found = warned(&beside(window, cap, &amount(more)));
        assert_eq!(found.len(), 1, "{window} {cap} {more}: {found:?}");
        assert!(found[0].contains(NEVER), "{found:?}");
    }
    // Of two that say the same, one is warned of.
    let found = warned(&beside("24h", "10 eth", &amount("")));
    assert!(found[0].starts_with("limit \"eth-day\"") || found[0].starts_with("limit \"beside\""));
    for (window, cap, more) in [
        ("24h", "9.9 eth", ""),
        ("25h", "10 eth", ""),
        ("25h", "9 eth", ""),
        ("24h", "9 eth", OVER),
    ] {
        let found = warned(&beside(window, cap, &amount(more)));
        let of_beside = found.iter();
        let of_beside = of_beside.filter(|one| one.starts_with("limit \"beside\""));
        assert_eq!(of_beside.count(), 0, "{window} {cap} {more}: {found:?}");
    }
    // What ann carried over it is not counted in it, and counts in the other.
    let carried = warned(
        &[
            beside("24h", "5 eth", &amount(OVER)),
            beside("24h", "6 eth", &amount("")).replace("beside", "hard"),
        ]
        .concat(),
    );
    assert_eq!(carried.len(), 1, "{carried:?}");
    assert!(carried[0].starts_with("limit \"eth-day\""), "{carried:?}");
}

#[test]
fn a_cap_that_no_effect_reaches_is_warned_of() {
    let count = "[[limit]]\nname = \"few\"\neffect = \"payment\"\nmeasure = \"count\"\nwindow = \"24h\"\ncap = \"4\"\n";
    let small = |cap: &str, most: &str| {
        let amount = format!("measure = \"amount\"\namount_max = {most:?}");
        warned(&[beside("12h", cap, &amount), count.to_owned()].concat())
    };
    let found = small("8 eth", "2 eth");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("lets through 4 effects"), "{found:?}");
    assert_eq!(small("8 eth", "2.000000000000000001 eth"), [""; 0]);
    assert_eq!(small("7.9 eth", "2 eth"), [""; 0]);

    let nothing = |conditions: &str| {
        warned(&format!(
            "[[limit]]\nname = \"beside\"\n{conditions}\nmeasure = \"count\"\nwindow = \"24h\"\ncap = \"4\"\n"
        ))
    };
    for conditions in [
        "effect = \"rent\"",
        "effect = \"own-transfer\"",
        "effect = \"payment\"\naccount = \"ltc-hot\"",
        "effect = \"payment\"\nchain = \"litecoin:regtest\"",
    ] {
        let found = nothing(conditions);
        assert_eq!(found.len(), 1, "{conditions}: {found:?}");
        assert!(found[0].contains("no allow lets through what it counts"));
    }
    // A cancellation and its fee need no allow.
    for conditions in [
        "effect = \"payment\"",
        "effect = \"fee\"\nchain = \"litecoin:regtest\"",
        "effect = \"cancellation\"",
        "account = \"eth-hot\"",
    ] {
        assert_eq!(nothing(conditions), [""; 0], "{conditions}");
    }
}
