//! What is not a withdrawal that can be paid is refused by a stable name, with the field, and leaves
//! nothing behind.

use serde_json::{Value, json};

use super::house::{COINS, DESTINATION, ETHER, House, LITECOIN, OWN, TOKEN, order};

const TWO_256: &str =
    "115792089237316195423570985008687907853269984665640564039457584007913129639936";

#[tokio::test]
async fn amounts_that_are_none() {
    let house = House::new().await;
    for amount in [
        json!("-1"),
        json!("+1"),
        json!(""),
        json!("0x10"),
        json!("1e3"),
        json!("0.5"),
        json!("100.0"),
        json!("00"),
        json!("0100"),
        json!("1,000"),
        json!("1_000"),
        json!(" 1"),
        json!("١"),
        json!(TWO_256),
        json!("9".repeat(100_000)),
        json!(100),
        json!(100.5),
        json!(1e18),
        json!(-1),
        json!(true),
        json!(["100"]),
        json!({ "wei": "100" }),
    ] {
        for field in ["amount", "max_fee"] {
            let changed = json!({ field: amount });
            house.refuses(changed, "malformed", 400, Some(field)).await;
        }
    }
}

#[tokio::test]
async fn amounts_that_cannot_be_paid() {
    let house = House::new().await;
    for field in ["amount", "max_fee"] {
        let zero = json!({ field: "0" });
        house
            .refuses(zero, "invalid-amount", 422, Some(field))
            .await;
    }
    let most = TWO_256.trim_end_matches('6').to_owned() + "5";
    for amount in ["1001", &most] {
        let above = json!({ "amount": amount });
        house
            .refuses(above, "insufficient-funds", 422, Some("amount"))
            .await;
    }
    // Less than nodes relay.
    let dust = json!({ "asset": LITECOIN, "destination": COINS, "amount": "2939" });
    house
        .refuses(dust, "invalid-amount", 422, Some("amount"))
        .await;
    // More than all the coins that there will ever be, and more than a transaction can say.
    let coins = json!({
        "asset": LITECOIN, "destination": COINS,
        "amount": "18446744073709551616",
    });
    let body = order("w-1", coins).to_string();
    let answer = house.post("exchange", "/v1/withdrawals", &body).await;
    answer.is("invalid-amount", 422);
}

#[tokio::test]
async fn destinations_that_cannot_be_paid() {
    let house = House::new().await;
    let mixed = DESTINATION.replacen('C', "c", 1);
    let upper = DESTINATION.to_uppercase().replacen("0X", "0x", 1);
    for destination in [
        "",
        "0x",
        "ann",
        &mixed,
        &upper,
        DESTINATION.trim_start_matches("0x"),
        DESTINATION.trim_end_matches('8'),
        &format!("{DESTINATION}0"),
        &format!(" {DESTINATION}"),
        &format!("eip155:31337:{DESTINATION}"),
        "0x0000000000000000000000000000000000000000",
        OWN,
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
    ] {
        let changed = json!({ "destination": destination });
        house
            .refuses(changed, "invalid-destination", 422, Some("destination"))
            .await;
    }
    // The token's own contract: what is sent there is lost.
    let asset = format!("eip155:31337/erc20:{TOKEN}");
    let changed = json!({ "asset": asset, "destination": TOKEN });
    house
        .refuses(changed, "invalid-destination", 422, Some("destination"))
        .await;
}

#[tokio::test]
async fn addresses_of_another_network() {
    let house = House::new().await;
    for destination in [
        // Bitcoin's and Litecoin's main and test networks, and Bitcoin's regtest.
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
        "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
        "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9",
        "tltc1qw508d6qejxtdg4y5r3zarvary0c5xw7klfsuq0",
        // One letter of the right network's changed, and in two cases.
        "rltc1qw508d6qejxtdg4y5r3zarvary0c5xw7k693xsq",
        "rltc1QW508d6qejxtdg4y5r3zarvary0c5xw7k693xs3",
        DESTINATION,
    ] {
        let changed = json!({ "asset": LITECOIN, "destination": destination });
        house
            .refuses(changed, "invalid-destination", 422, Some("destination"))
            .await;
    }
}

#[tokio::test]
async fn assets_that_are_not_paid_here() {
    let house = House::new().await;
    for asset in [
        "",
        "ether",
        "eip155:31337",
        "eip155:31337/NATIVE",
        "eip155:031337/native",
        "eip155:31337/erc20:native",
        "eip155:31337/erc721:0x5FbDB2315678afecb367f032d93F642f64180aa3",
        "litecoin:regtest/erc20:0x5FbDB2315678afecb367f032d93F642f64180aa3",
        "dogecoin:mainnet/native",
    ] {
        let changed = json!({ "asset": asset });
        house
            .refuses(changed, "malformed", 400, Some("asset"))
            .await;
    }
    // Another chain of the family, whose addresses look the same.
    let other = json!({ "asset": "eip155:1/native" });
    house
        .refuses(other, "unknown-asset", 422, Some("asset"))
        .await;
    let token = json!({ "asset": format!("eip155:31337/erc20:{TOKEN}") });
    house.refuses(token, "no-limit", 422, Some("asset")).await;
}

#[tokio::test]
async fn other_fields_that_are_wrong() {
    let house = House::new().await;
    let long = "x".repeat(129);
    for id in ["", " ", "a b", "a/b", "ä", "a\u{0}", &long] {
        let body = order(id, json!({})).to_string();
        let answer = house.post("exchange", "/v1/withdrawals", &body).await;
        answer.is("malformed", 400);
        assert_eq!(answer.problem().field.as_deref(), Some("id"));
    }
    for account in ["", "Ann", "ann/../bob", "customer/ann", &long] {
        let changed = json!({ "account": account });
        house
            .refuses(changed, "malformed", 400, Some("account"))
            .await;
    }
    for expires in [
        "",
        "tomorrow",
        "2026-11-21",
        "2026-11-21T12:00:00",
        "2026-11-21T12:00:00+00:00",
        "2026-02-30T12:00:00Z",
    ] {
        let changed = json!({ "expires": expires });
        house
            .refuses(changed, "malformed", 400, Some("expires"))
            .await;
    }
    let late = json!({ "expires": "2026-11-20T12:00:00Z" });
    house.refuses(late, "expired", 422, Some("expires")).await;
    let tagged = json!({ "tag": "104" });
    house.refuses(tagged, "invalid-tag", 422, Some("tag")).await;
}

#[tokio::test]
async fn json_that_is_no_withdrawal() {
    let house = House::new().await;
    for field in [
        "id",
        "account",
        "asset",
        "amount",
        "destination",
        "max_fee",
        "expires",
    ] {
        let changed = json!({ field: Value::Null });
        house.refuses(changed, "malformed", 400, None).await;
    }
    house
        .refuses(
            json!({ "priority": "high" }),
            "malformed",
            400,
            Some("priority"),
        )
        .await;
    let good = order("w-1", json!({})).to_string();
    let twice = good.replacen('{', r#"{"amount":"1","#, 1);
    let deep = "[".repeat(100_000);
    for body in [
        "",
        "null",
        "[]",
        "{",
        "\"w-1\"",
        good.trim_end_matches('}'),
        &format!("{good}{good}"),
        &format!("{good},"),
        &format!("\u{feff}{good}"),
        &good.replace("\"100\"", "NaN"),
        &good.replace("\"100\"", "\"\\ud800\""),
        &deep,
        &twice,
        &format!("[{good}]"),
    ] {
        let answer = house.post("exchange", "/v1/withdrawals", body).await;
        answer.is("malformed", 400);
    }
    let mut bytes = good.clone().into_bytes();
    bytes[10] = 0xff;
    let headers = [("content-type", "application/json")];
    let post = ("POST", "/v1/withdrawals");
    let answer = house.send("exchange", post, &headers, bytes).await;
    answer.is("malformed", 400);
    assert_eq!(house.accepted().await, 0);
    // The same text, whole, is one.
    let answer = house.post("exchange", "/v1/withdrawals", &good).await;
    answer.json(201);
}

/// Nothing that a client writes is taken for something else: not by the database, not by a terminal
/// that shows the answer, not by the log.
#[tokio::test]
async fn texts_that_would_be_something_else() {
    let house = House::new().await;
    let hostile = [
        "'; DROP TABLE withdrawals; --",
        "\" OR 1=1 --",
        "%00",
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
        "<script>alert(1)</script>",
        "${jndi:ldap://x}",
        "../../etc/passwd",
        "a\r\nx-injected: 1",
        "{{7*7}}",
        "\u{202e}txt.exe",
    ];
    for text in hostile {
        for field in [
            "id",
            "account",
            "asset",
            "amount",
            "destination",
            "max_fee",
            "expires",
        ] {
            let body = order("w-1", json!({ field: text })).to_string();
            let answer = house.post("exchange", "/v1/withdrawals", &body).await;
            assert!(matches!(answer.status, 400 | 422), "{field} {text:?}");
            let problem = answer.problem();
            assert_eq!(problem.field.as_deref(), Some(field), "{text:?}");
            let shown = problem
                .detail
                .bytes()
                .all(|byte| matches!(byte, b' '..=b'~'));
            assert!(shown, "{:?}", problem.detail);
        }
        let mut unknown = order("w-1", json!({}));
        unknown[text] = json!("1");
        let answer = house
            .post("exchange", "/v1/withdrawals", &unknown.to_string())
            .await;
        answer.is("malformed", 400);
        let problem = answer.problem();
        let told = problem.detail + problem.field.as_deref().unwrap_or_default();
        assert!(
            told.bytes().all(|byte| matches!(byte, b' '..=b'~')),
            "{told:?}"
        );
    }
    for path in [
        "/v1/withdrawals/'%3B%20DROP%20TABLE%20withdrawals%3B--",
        "/v1/withdrawals/%00",
        "/v1/withdrawals/..%2f..%2fstatus",
        "/v1/accounts/%27%20OR%201=1",
    ] {
        house.get("exchange", path).await.is("not-found", 404);
    }
    let query = "/v1/withdrawals?account=%27%20OR%201=1";
    house.get("exchange", query).await.is("malformed", 400);
    assert_eq!(house.accepted().await, 0);
    let body = order("w-1", json!({})).to_string();
    house
        .post("exchange", "/v1/withdrawals", &body)
        .await
        .json(201);
}

#[tokio::test]
async fn one_bad_withdrawal_does_not_keep_out_the_others() {
    let house = House::new().await;
    let several = json!({ "withdrawals": [
        order("w-1", json!({})),
        order("w-2", json!({ "amount": "0" })),
        order("w-3", json!({ "amount": 100 })),
        "nonsense",
        order("w-1", json!({})),
        order("w-1", json!({ "amount": "101" })),
        order("w-4", json!({ "asset": LITECOIN })),
        order("w-5", json!({ "amount": "901" })),
        order("w-6", json!({ "amount": "200" })),
    ] });
    let answer = house
        .post("exchange", "/v1/withdrawals", &several.to_string())
        .await;
    let results = answer.json(207)["results"].as_array().unwrap().clone();
    let told: Vec<_> = results
        .iter()
        .map(|result| {
            let (kind, value) = result.as_object().unwrap().iter().next().unwrap();
            let what = match kind.as_str() {
                "problem" => format!("{} {}", value["type"].as_str().unwrap(), value["field"]),
                _ => value["id"].as_str().unwrap().to_owned(),
            };
            format!("{kind} {}", what.replace("urn:strongroom:problem:", ""))
        })
        .collect();
    assert_eq!(
        told,
        [
            "accepted w-1",
            "problem invalid-amount \"withdrawals[1].amount\"",
            "problem malformed \"withdrawals[2].amount\"",
            "problem malformed \"withdrawals[3]\"",
            "known w-1",
            "problem withdrawal-reused \"withdrawals[5].id\"",
            "problem invalid-destination \"withdrawals[6].destination\"",
            "problem insufficient-funds \"withdrawals[7].amount\"",
            "accepted w-6",
        ]
    );
    assert_eq!(house.accepted().await, 2);
}

#[tokio::test]
async fn a_bulk_has_bounds() {
    let house = House::new().await;
    let many = |count: usize| {
        let orders: Vec<_> = (0..count)
            .map(|place| {
                order(
                    &format!("w-{place}"),
                    json!({ "amount": "1", "max_fee": "1" }),
                )
            })
            .collect();
        json!({ "withdrawals": orders }).to_string()
    };
    for body in [
        &many(1001),
        r#"{"withdrawals":[]}"#,
        r#"{"withdrawals":{}}"#,
        r#"{"withdrawals":[],"id":"w-1"}"#,
        r#"{"withdrawals":[],"withdrawals":[]}"#,
    ] {
        let answer = house.post("exchange", "/v1/withdrawals", body).await;
        answer.is("malformed", 400);
    }
    assert_eq!(house.accepted().await, 0);
    let answer = house.post("exchange", "/v1/withdrawals", &many(1000)).await;
    let results = answer.json(207)["results"].as_array().unwrap().clone();
    assert_eq!(results.len(), 1000);
    assert!(results.iter().all(|result| result["accepted"].is_object()));
    assert_eq!(house.accepted().await, 1000);
}

#[tokio::test]
async fn deposits_that_are_none() {
    let house = House::new().await;
    let credit = |changed: Value| {
        let mut credit = json!({
            "id": "c-1", "account": "bob", "asset": ETHER, "amount": "5", "memo": "ticket 7",
        });
        for (key, value) in changed.as_object().unwrap() {
            credit[key] = value.clone();
        }
        credit.to_string()
    };
    for (changed, kind, status) in [
        (json!({ "amount": "0" }), "invalid-amount", 422),
        (json!({ "amount": "-5" }), "malformed", 400),
        (json!({ "asset": "eip155:1/native" }), "unknown-asset", 422),
        (json!({ "memo": "" }), "malformed", 400),
        (json!({ "memo": "a\nb" }), "malformed", 400),
        (json!({ "memo": "x".repeat(257) }), "malformed", 400),
        (json!({ "account": "Bob" }), "malformed", 400),
        (json!({ "source": "teller" }), "malformed", 400),
        (
            json!({ "asset": LITECOIN, "amount": "9223372036854775808" }),
            "invalid-amount",
            422,
        ),
    ] {
        let answer = house.post("teller", "/v1/credits", &credit(changed)).await;
        answer.is(kind, status);
    }
    let path = "/v1/credits";
    house
        .post("teller", path, &credit(json!({})))
        .await
        .json(201);
    house
        .post("teller", path, &credit(json!({})))
        .await
        .json(200);
    let other = credit(json!({ "amount": "6" }));
    house
        .post("teller", path, &other)
        .await
        .is("credit-reused", 409);
    let account = house.get("exchange", "/v1/accounts/bob").await.json(200);
    assert_eq!(account["balances"][0]["available"], "5");
}
