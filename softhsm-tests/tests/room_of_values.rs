//! The room of limits on values, on what is outstanding, of those that people may carry attempts over, by books and of
//! fees, held against what an auditor computes from exported entries: behind a daemon that was killed, limits that were
//! edited and renamed, a book that was edited, and a wall clock that was moved there and back.

use alloy_primitives::U256;
use api::signing::{SignAnswer, SignRequest};
use policy::{Need, statement::Fate};
use strongroom_softhsm_tests::{
    anvil::Anvil,
    ask::{intent, request},
    bundle::Bundle,
    evm::{Draft, ETHER, GWEI},
    signerd::Signerd,
    world::{Client, World},
};
use tx::Asset;

use crate::{
    audit::{Audited, EXAMINER},
    clock::MovedClock,
    fates,
    intents::{self, bring, register, signed},
    prices,
    room::Audit,
    room_reference::{Bound, HOUR_MILLIS, Measured, Rule},
    support::{BITCOIN, LITECOIN, TOKEN, eth, sender, transfer, usdx},
};

const LIMITS: &str = r#"
[[book]]
name = "vips"
chain = "eip155:31337"
addresses = ["0x70997970C51812dc3A010C7d01b50e0d17dc79C8"]

[[limit]]
name = "value-each"
effect = "payment"
asset = "eth"
measure = "reference"
window = "6h"
cap = "100000 usd"
group = ["client", "account"]

[[limit]]
name = "at-risk"
effect = "payment"
asset = "eth"
measure = "amount"
window = "48h"
cap = "100 eth"
outstanding = true

[[limit]]
name = "open"
effect = "payment"
asset = ["eth", "usdx"]
measure = "count"
window = "24h"
cap = "500"
outstanding = true
group = ["account"]

[[limit]]
name = "alone"
effect = "payment"
asset = "eth"
measure = "amount"
window = "24h"
cap = "0.9 eth"
over = { threshold = 1, people = ["ann"] }

[[limit]]
name = "to-vips"
effect = "payment"
asset = "eth"
to = "book:vips"
measure = "amount"
window = "12h"
cap = "50 eth"

[[limit]]
name = "fees-each"
effect = "fee"
asset = "eth"
measure = "amount"
window = "12h"
cap = "1 eth"
group = ["client"]

[[limit]]
name = "transactions"
effect = "fee"
asset = "eth"
measure = "count"
window = "36h"
cap = "5000"
"#;

fn edit(bundle: &mut Bundle) {
    intents::edit(bundle);
    bundle.append("accounts.toml", EXAMINER);
    bundle.append("statements.toml", LIMITS);
    prices::edit(bundle, "48h");
    bundle.set("watching.toml", &fates::attesters());
}

fn by_client(fact: &crate::room_reference::Fact) -> String {
    format!("client={}", fact.client)
}

fn by_account(fact: &crate::room_reference::Fact) -> String {
    format!("account={}", fact.effect.account)
}

fn value() -> Measured {
    Measured::Value(Rule {
        decimals: 18,
        floor: U256::from(1_000 * ETHER),
        haircut_bp: 1_000,
    })
}

/// The limits of the tests' bundle.
fn plain() -> Vec<Bound> {
    let plain = [
        ("eth-day", "payment", eth()),
        ("usdx-day", "payment", usdx()),
        ("ltc-day", "payment", Asset::native(LITECOIN)),
        ("btc-day", "payment", Asset::native(BITCOIN)),
        ("eth-fees-day", "fee", eth()),
        ("ltc-fees-day", "fee", Asset::native(LITECOIN)),
        ("btc-fees-day", "fee", Asset::native(BITCOIN)),
    ];
    let plain = plain.into_iter();
    plain
        .map(|(name, kind, asset)| Bound::of(name, kind, asset))
        .collect()
}

fn bounds() -> Vec<Bound> {
    let ann = Need::of(1, ["ann".parse().unwrap()].into());
    let mut bounds = plain();
    bounds.extend([
        Bound {
            window_millis: HOUR_MILLIS,
            measured: value(),
            ..Bound::of("eth-value", "payment", eth())
        },
        Bound {
            window_millis: 6 * HOUR_MILLIS,
            measured: value(),
            is_grouped: true,
            group: |fact| vec![by_client(fact), by_account(fact)],
            ..Bound::of("value-each", "payment", eth())
        },
        Bound {
            window_millis: 48 * HOUR_MILLIS,
            outstanding: true,
            ..Bound::of("at-risk", "payment", eth())
        },
        Bound {
            assets: vec![eth(), usdx()],
            measured: Measured::Count,
            outstanding: true,
            is_grouped: true,
            group: |fact| vec![by_account(fact)],
            ..Bound::of("open", "payment", eth())
        },
        Bound {
            over: Some(ann.fingerprint().to_string()),
            ..Bound::of("alone", "payment", eth())
        },
        Bound {
            window_millis: 12 * HOUR_MILLIS,
            to: Some(("vips", vec![Anvil::ACCOUNTS[1]])),
            ..Bound::of("to-vips", "payment", eth())
        },
        Bound {
            window_millis: 12 * HOUR_MILLIS,
            is_grouped: true,
            group: |fact| vec![by_client(fact)],
            ..Bound::of("fees-each", "fee", eth())
        },
        Bound {
            window_millis: 36 * HOUR_MILLIS,
            measured: Measured::Count,
            ..Bound::of("transactions", "fee", eth())
        },
    ]);
    bounds
}

fn pay(client: &mut Client, nonce: u64, wei: u128) -> (SignRequest, SignAnswer) {
    let from = sender(client);
    let to = Anvil::ACCOUNTS[1 + nonce as usize % 3];
    let id = format!("value-{nonce}");
    let asked = transfer(&id, &from, &Draft::transfer(nonce, to, wei));
    let answer = client.sign(&asked);
    (asked, answer)
}

fn say_prices(client: &mut Client, price: &str) {
    for who in [1, 2] {
        prices::say(client, who, price);
    }
}

fn say_fate(client: &mut Client, (asked, answer): &(SignRequest, SignAnswer), fate: Fate) {
    let seen = fates::fate(asked, answer, fate);
    for who in [1, 2] {
        assert!(fates::taken(client, &fates::say(who, &seen)));
    }
}

#[test]
fn the_room_of_values_of_what_is_open_and_of_books_is_what_exported_entries_say() {
    let (audited, daemon) = Audited::on(World::with(edit));
    assert!(daemon.stop().success());
    let world = audited.world();
    world.configure("[bounds]\nrequests_per_second = 100000");
    let clock = MovedClock::of(world);
    let daemon = clock.start();
    let mut audit = Audit {
        audited: &audited,
        client: world.walletd(),
        bounds: bounds(),
        checked: 0,
    };
    audit.agrees("nothing was paid");
    let paid = paid_by_prices(&mut audit);
    carried_over(&mut audit);
    settled(&mut audit, &paid);
    daemon.kill();
    let daemon = clock.start();
    audit.client.reconnect();
    audit.agrees("killed");
    edited(&mut audit, &daemon);
    for (nonce, hours) in [(7, 2), (8, -2)] {
        clock.move_to(hours);
        pay(&mut audit.client, nonce, ETHER / 100);
        let answer = audit.client.keys();
        clock.move_to(0);
        audit.agrees_with(answer, &format!("the clock was moved by {hours} hours"));
        audit.agrees("the clock was moved back");
    }
    daemon.kill();
    let daemon = clock.start();
    audit.client.reconnect();
    audit.agrees("killed again");
    pay(&mut audit.client, 9, ETHER / 100);
    audit.agrees("and paid");
    assert!(daemon.stop().success());
}

/// Payments at one price and another, a token that has none, and a replacement that is dearer by the price alone.
fn paid_by_prices(audit: &mut Audit<'_>) -> Vec<(SignRequest, SignAnswer)> {
    say_prices(&mut audit.client, "2000");
    let mut paid = Vec::new();
    for nonce in 0..3 {
        paid.push(pay(&mut audit.client, nonce, ETHER / 7 + u128::from(nonce)));
    }
    audit.agrees("paid at 2000");
    say_prices(&mut audit.client, "2543.217");
    let from = sender(&mut audit.client);
    let (asked, answer) = paid[2].clone();
    let dearer = Draft {
        price: 3 * GWEI,
        tip: 2 * GWEI,
        ..Draft::transfer(2, Anvil::ACCOUNTS[3], ETHER / 7 + 2)
    };
    let again = SignRequest {
        request_id: "value-2-again".into(),
        transaction: dearer.from(&from),
        replaces: vec![answer.attempt],
        ..asked
    };
    let replaced = audit.client.sign(&again);
    paid.push((again, replaced));
    let to = Anvil::ACCOUNTS[2];
    let token = Draft::token_transfer(3, TOKEN, to, 1_234_567);
    let asked = vec![intent("value-token", &usdx(), 1_234_567, to)];
    let asked = request("value-token", token.from(&from), asked);
    audit.client.sign(&asked);
    // Below the floor.
    say_prices(&mut audit.client, "12.5");
    pay(&mut audit.client, 4, ETHER / 9);
    audit.agrees("a dearer replacement, a token, a price below the floor");
    paid
}

/// Ann agrees to what a limit has no room for; then there is as much as before.
fn carried_over(audit: &mut Audit<'_>) {
    let mut officer = intents::officer(audit.audited.world());
    let from = sender(&mut audit.client);
    let draft = Draft::transfer(5, Anvil::ACCOUNTS[1], ETHER / 2);
    let large = transfer("value-large", &from, &draft);
    assert_eq!(audit.client.send(&large).status, 202);
    let registered = register(&mut audit.client, &large);
    for need in &registered.needs {
        let ann = signed(&need.approve, "ann");
        assert_eq!(bring(&mut officer, &large, &ann), 200);
    }
    audit.client.sign(&large);
    audit.agrees("carried over a limit");
}

/// One is final; of another set first one attempt and then both are dead.
fn settled(audit: &mut Audit<'_>, paid: &[(SignRequest, SignAnswer)]) {
    say_fate(&mut audit.client, &paid[0], Fate::Final);
    audit.agrees("one is final");
    say_fate(&mut audit.client, &paid[2], Fate::Dead);
    audit.agrees("one of two is dead");
    say_fate(&mut audit.client, &paid[3], Fate::Dead);
    audit.agrees("both are dead");
}

/// A window, a name, a cap, and who is in a book.
fn edited(audit: &mut Audit<'_>, daemon: &Signerd) {
    let mut edited = audit.audited.world().bundle.clone();
    let mut replace = |part: &str, by: &str| edited.replace("statements.toml", part, by);
    replace("window = \"6h\"", "window = \"5h\"");
    replace("cap = \"0.9 eth\"", "cap = \"0.8 eth\"");
    replace("name = \"at-risk\"", "name = \"exposed\"");
    replace(Anvil::ACCOUNTS[1], Anvil::ACCOUNTS[2]);
    audit.reload(daemon, &edited, 2);
    audit.bound("value-each").window_millis = 5 * HOUR_MILLIS;
    audit.bound("at-risk").name = "exposed";
    audit.bound("to-vips").to = Some(("vips", vec![Anvil::ACCOUNTS[2]]));
    audit.agrees("edited");
    pay(&mut audit.client, 6, ETHER / 50);
    audit.agrees("paid under the edited one");
}
