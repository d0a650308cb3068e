//! Amounts, numbers, rates, windows and names that are none.

use super::{assert_cases, assert_says};
use crate::bundle::fixture::{POLICY, errors, replaced};

#[test]
fn amounts_are_exact_or_refused() {
    const NUMBER: &str = r#"policy.toml:70:7: limit "eth-day": cap: "#;
    let cases = [
        (r#""-10 eth""#, "\"-10\" is no plain decimal number"),
        (r#""+10 eth""#, "\"+10\" is no plain decimal number"),
        (r#""1e1 eth""#, "\"1e1\" is no plain decimal number"),
        (r#""1_0 eth""#, "\"1_0\" is no plain decimal number"),
        (r#""1,0 eth""#, "\"1,0\" is no plain decimal number"),
        (r#""0x10 eth""#, "\"0x10\" is no plain decimal number"),
        (r#""010 eth""#, "\"010\" is no plain decimal number"),
        (r#""1. eth""#, "\"1.\" is no plain decimal number"),
        (r#""\u0661 eth""#, "\"١\" is no plain decimal number"),
        (
            r#""1.0000000000000000001 eth""#,
            "\"1.0000000000000000001\" is finer",
        ),
        (
            r#""115792089237316195423570985008687907853269984665640564039458 eth""#,
            "\"115792089237316195423570985008687907853269984665640564039458\" is 2^256 or more",
        ),
        (r#""10""#, "\"10\" is no number and unit"),
        (r#""10eth""#, "\"10eth\" is no number and unit"),
        (r#""10  eth""#, "a name has only a-z"),
        (r#""10 ETH""#, "a name has only a-z"),
        (r#""10 wei""#, "no asset is called \"wei\""),
        (r#""10 ltc""#, "is in ltc, which is not the one asset"),
        ("10", "must be a text in quotes"),
        ("1_0", "must be a text in quotes"),
        ("1e1", "must be a text in quotes"),
        ("\"\"", "\"\" is no number and unit"),
    ];
    for (cap, says) in cases {
        let text = replaced(POLICY, "cap = \"10 eth\"", &format!("cap = {cap}"));
        assert_says(&errors(&text), &[&format!("{NUMBER}{says}")], cap);
    }
}

#[test]
fn whole_numbers_are_plain() {
    for number in [
        "1_0",
        "0x10",
        "0b1",
        "-1",
        "+8",
        "8.0",
        "1e1",
        "\"8\"",
        "18446744073709551616",
        "true",
        "0",
    ] {
        let text = replaced(POLICY, "max_ahead = 8", &format!("max_ahead = {number}"));
        let says = "policy.toml:3:13: chain: max_ahead: must be ";
        assert_says(&errors(&text), &[says], number);
    }
    assert_cases(&[
        (
            "decimals = 8\n",
            "decimals = 256\n",
            &["policy.toml:16:12: asset \"ltc\": decimals: must be a plain whole number"],
        ),
        (
            "decimals = 8\n",
            "decimals = 18\n",
            &[
                "policy.toml:16:12: asset \"ltc\": decimals: litecoin:regtest/native has 8 decimal places",
            ],
        ),
    ]);
}

#[test]
fn fee_rates_have_a_unit_of_their_chain() {
    const AT: &str = "policy.toml:62:16: allow \"fees\": fee_rate_max: ";
    for (rate, says) in [
        (
            "50 sat/vb",
            "\"sat/vb\" is no unit of a fee rate on eip155:1; write gwei or wei",
        ),
        (
            "50 eth",
            "\"eth\" is no unit of a fee rate on eip155:1; write gwei or wei",
        ),
        ("0.5 wei", "\"0.5\" is finer"),
        ("50", "\"50\" is no number and unit"),
        ("-1 gwei", "\"-1\" is no plain decimal number"),
    ] {
        let text = replaced(POLICY, "50 gwei", rate);
        assert_says(&errors(&text), &[&format!("{AT}{says}")], rate);
    }
    assert_cases(&[
        (
            "effect = \"fee\"\nasset = \"eth\"\nfee_rate",
            "effect = [\"fee\", \"payment\"]\nasset = \"eth\"\nfee_rate",
            &["policy.toml:62:16: allow \"fees\": fee_rate_max: binds fees alone"],
        ),
        (
            "effect = \"fee\"\nasset = \"eth\"\nfee_rate",
            "effect = \"fee\"\nfee_rate",
            &["policy.toml:61:16: allow \"fees\": fee_rate_max: its unit depends on the chain"],
        ),
    ]);
}

#[test]
fn windows_are_bounded() {
    for window in [
        "59s",
        "0m",
        "91d",
        "24",
        "24 h",
        "-1h",
        "1e1h",
        "99999999999999999999h",
    ] {
        let text = replaced(
            POLICY,
            "\"24h\"\ncap = \"10 eth\"",
            &format!("\"{window}\"\ncap = \"10 eth\""),
        );
        let says = format!("policy.toml:69:10: limit \"eth-day\": window: {window:?} is no length");
        assert_says(&errors(&text), &[&says], window);
    }
}

#[test]
fn names_are_of_the_alphabet_and_unique() {
    assert_cases(&[
        (
            "name = \"walletd\"",
            "name = \"Walletd\"",
            &[
                "policy.toml:37:8: client: name: a name has only a-z, 0-9, '.', '_' and '-', not 'W'",
                "policy.toml:44:12: source \"payouts\": clients: no client is called \"walletd\"\n  help: there is none",
            ],
        ),
        (
            "name = \"fees\"\n",
            "name = \"p\u{430}y\"\n",
            &["policy.toml:59:8: allow: name: a name has only a-z"],
        ),
        (
            "name = \"fees\"\n",
            "name = \"\"\n",
            &["policy.toml:59:8: allow: name: a name has 1 to 64 characters"],
        ),
        (
            "name = \"fees\"\n",
            "name = \"pay\"\n",
            &["policy.toml:58:1: allow \"pay\": the name is taken at policy.toml:51:1"],
        ),
        (
            "name = \"fees-day\"",
            "name = \"pay\"",
            &["policy.toml:72:1: limit \"pay\": the name is taken at policy.toml:51:1"],
        ),
        (
            "name = \"fees-day\"",
            "name = \"eth_day\"",
            &[
                "policy.toml:72:1: limit \"eth_day\": the name looks like \"eth-day\" at policy.toml:64:1\n  help: give it one",
            ],
        ),
        (
            "name = \"ltc-hot\"",
            "name = \"eth.h0t\"",
            &[
                "policy.toml:24:1: account \"eth.h0t\": the name looks like \"eth-hot\" at policy.toml:18:1",
                "policy.toml:40:24: client \"walletd\": accounts: no account is called \"ltc-hot\"",
            ],
        ),
        (
            "name = \"ltc\"",
            "name = \"eth\"",
            &["policy.toml:13:1: asset \"eth\": the name is taken at policy.toml:8:1"],
        ),
        (
            "name = \"fees\"\n",
            "",
            &["policy.toml:58:1: allow: name is missing"],
        ),
        (
            "name = \"payouts\"",
            "name = \"none\"",
            &["policy.toml:42:1: source \"none\": \"none\" stands for no source"],
        ),
    ]);
}
