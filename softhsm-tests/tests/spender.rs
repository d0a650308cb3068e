//! A spender is approved for so much of a token on a real EVM node, by keys in SoftHSM, and takes that much.

use alloy_primitives::U256;
use api::signing::{PendingAnswer, SignRequest};
use serde_json::{Value, json};
use strongroom_softhsm_tests::{
    anvil::Anvil,
    ask::{intent, request, units},
    bundle::Bundle,
    evm::{Draft, ETHER, approve_call},
    records,
    world::{Client, World},
};
use tx::{Amount, EffectKind};

use crate::{
    intents::{self, Desk, officer},
    support::{
        CUSTOMER, STRANGER, TOKEN, deploy_token, give_tokens, raw, sender, token_balance, usdx,
    },
    transactions::{register, say},
};

/// Whom the policy names as a spender; anvil signs for it.
const POOL: &str = Anvil::ACCOUNTS[2];
/// 10^6 base units.
const USDX: u128 = 1_000_000;

/// The hot account may let the pool take what leaves, together with what it pays, up to 1000 usdx a day.
const BUNDLE: &str = r#"
[[book]]
name = "pools"
chain = "eip155:31337"
addresses = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"

[[allow]]
name = "pool"
effect = "approval"
account = "eth-hot"
asset = "usdx"
to = "book:pools"

[[limit]]
name = "usdx-out"
effect = ["payment", "approval"]
asset = "usdx"
measure = "amount"
window = "24h"
cap = "1000 usdx"
"#;

/// Two of three officers approve each.
const ASKED: &str = r#"
[[require]]
name = "spenders"
effect = "approval"
need = { threshold = 2, people = ["ann", "ben", "cem"], valid = "1h" }
"#;

fn approving(bundle: &mut Bundle) {
    bundle.append("statements.toml", BUNDLE);
}

fn asked(bundle: &mut Bundle) {
    intents::edit(bundle);
    approving(bundle);
    bundle.append("statements.toml", ASKED);
}

/// A request to approve a spender, which pays nobody's intent.
fn approves(id: &str, from: &str, (nonce, spender, amount): (u64, &str, u128)) -> SignRequest {
    approves_of(id, from, (nonce, TOKEN), approve_call(spender, amount))
}

fn approves_of(id: &str, from: &str, (nonce, to): (u64, &str), data: Vec<u8>) -> SignRequest {
    let draft = Draft {
        gas: 100_000,
        data,
        ..Draft::transfer(nonce, to, 0)
    };
    request(id, draft.from(from), Vec::new())
}

fn pays(id: &str, from: &str, (nonce, amount): (u64, u128)) -> SignRequest {
    let draft = Draft::token_transfer(nonce, TOKEN, CUSTOMER, amount);
    let paid = intent(id, &usdx(), amount, CUSTOMER);
    request(id, draft.from(from), vec![paid])
}

fn word(address: &str) -> String {
    format!("{:0>64}", address[2..].to_lowercase())
}

fn allowance(anvil: &Anvil, owner: &str, spender: &str) -> U256 {
    let call = format!("0xdd62ed3e{}{}", word(owner), word(spender));
    anvil.view(TOKEN, &call)
}

/// What the pool takes from an account; whether the token lets it.
fn takes(anvil: &Anvil, from: &str, amount: u128) -> bool {
    let data = format!("0x23b872dd{}{}{amount:064x}", word(from), word(POOL));
    let call = json!([{ "from": POOL, "to": TOKEN, "data": data, "gas": "0x30000" }]);
    let node = anvil.node();
    if node.try_call("eth_call", call.clone()).is_err() {
        return false;
    }
    let sent: Value = node.call("eth_sendTransaction", call);
    anvil.receipt(&sent)["status"] == "0x1"
}

/// The code of each reason, with the statement that spoke where one did.
fn refused_by(client: &mut Client, request: &SignRequest) -> Vec<String> {
    let refused = client.refused(request);
    let spoke = refused.reasons.into_iter();
    let spoke = spoke.map(|one| one.statement.unwrap_or(one.code));
    spoke.collect()
}

fn mined(anvil: &Anvil, client: &mut Client, request: &SignRequest) {
    let receipt = anvil.send(&raw(&client.sign(request))).unwrap();
    assert_eq!(receipt["status"], "0x1", "{receipt}");
}

/// Every approval in the journal: of whom, of how much, and whether the spender was in the book of pools.
fn approved(world: &World) -> Vec<(String, Amount, bool)> {
    let records = records::read(&world.data());
    let attempts = records::attempts(&records);
    let facts = attempts.iter().flat_map(|(_, attempt)| &attempt.facts);
    let approved = facts.filter(|fact| fact.effect.kind == EffectKind::Approval);
    let told = approved.map(|fact| {
        let to = fact.effect.to.as_ref().unwrap().address.to_string();
        let mut books = fact.classes.books.iter();
        let in_book = books.any(|book| book.as_str() == "pools");
        (to, fact.effect.amount, in_book)
    });
    told.collect()
}

#[test]
fn a_spender_takes_what_was_approved_and_not_one_unit_more() {
    let world = World::with(approving);
    let anvil = Anvil::start(world.folder());
    deploy_token(&anvil);
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    anvil.fund(&from, U256::from(ETHER));
    give_tokens(&anvil, &from, 5_000 * USDX);
    assert!(!takes(&anvil, &from, 1));

    mined(
        &anvil,
        &mut client,
        &approves("pool-1", &from, (0, POOL, 600 * USDX)),
    );
    assert_eq!(allowance(&anvil, &from, POOL), U256::from(600 * USDX));
    assert_eq!(client.used("usdx-out"), units(600 * USDX));
    assert_eq!(client.used("usdx-day"), units(0), "it is no payment");
    let before = token_balance(&anvil, POOL);
    assert!(!takes(&anvil, &from, 600 * USDX + 1));
    assert!(takes(&anvil, &from, 600 * USDX));
    assert!(!takes(&anvil, &from, 1));
    assert_eq!(token_balance(&anvil, POOL) - before, U256::from(600 * USDX));

    // Another spender, and above the limit, by approvals and by payments.
    let other = approves("other", &from, (1, STRANGER, USDX));
    assert_eq!(refused_by(&mut client, &other), ["uncovered"]);
    let more = approves("more", &from, (1, POOL, 400 * USDX + 1));
    assert_eq!(refused_by(&mut client, &more), ["usdx-out"]);
    let endless = [approve_call(POOL, 0)[..36].to_vec(), vec![0xff; 32]].concat();
    let endless = approves_of("endless", &from, (1, TOKEN), endless);
    assert!(!refused_by(&mut client, &endless).is_empty());
    let over = pays("over", &from, (1, 400 * USDX + 1));
    assert_eq!(refused_by(&mut client, &over), ["usdx-out"]);
    let undeclared = approves_of("undeclared", &from, (1, STRANGER), approve_call(POOL, 1));
    let refused = client.refused(&undeclared);
    assert!(refused.detail.starts_with("evm-approve"), "{refused:?}");
    mined(&anvil, &mut client, &pays("paid", &from, (1, 300 * USDX)));

    // It is all there after a kill, and taking the right back gives no room.
    daemon.kill();
    let daemon = world.start();
    client.reconnect();
    assert_eq!(client.used("usdx-out"), units(900 * USDX));
    let more = approves("more-2", &from, (2, POOL, 100 * USDX + 1));
    assert_eq!(refused_by(&mut client, &more), ["usdx-out"]);
    mined(
        &anvil,
        &mut client,
        &approves("pool-2", &from, (2, POOL, 100 * USDX)),
    );
    mined(
        &anvil,
        &mut client,
        &approves("pool-3", &from, (3, POOL, 0)),
    );
    assert_eq!(allowance(&anvil, &from, POOL), U256::ZERO);
    assert!(!takes(&anvil, &from, 1));
    let last = pays("last", &from, (4, 1));
    assert_eq!(refused_by(&mut client, &last), ["usdx-out"]);

    assert!(daemon.stop().success());
    let of = |amount: u128| (POOL.to_owned(), units(amount), true);
    let expected = [of(600 * USDX), of(100 * USDX), of(0)];
    assert_eq!(approved(&world), expected);
}

#[test]
fn people_read_spender_and_amount_before_they_approve_an_approval() {
    let world = World::with(asked);
    let anvil = Anvil::start(world.folder());
    deploy_token(&anvil);
    let _daemon = world.start();
    let (mut client, _officer) = (world.walletd(), officer(&world));
    let from = sender(&mut client);
    anvil.fund(&from, U256::from(ETHER));
    give_tokens(&anvil, &from, 5_000 * USDX);
    let one = approves("pool-1", &from, (0, POOL, 600 * USDX));
    let is_pending = |client: &mut Client, request: &SignRequest| {
        let answer = client.send(request);
        assert_eq!(answer.status, 202, "{}", answer.text());
        let pending: PendingAnswer = answer.json();
        pending.needs[0].statement == "spenders"
    };
    assert!(is_pending(&mut client, &one));
    let registered = register(&mut client, &one);
    assert_eq!(registered.needs[0].asked_by, ["require spenders"]);
    let text = &registered.needs[0].approve;
    for line in [
        "effect approval",
        "amount 600000000",
        "units 600 usdx",
        "spender 0x3C 44Cd DdB6 a900 fa2b 585d d299 e03d 12FA 4293 BC",
        "in-book pools",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} in {text}");
    }
    let desk = Desk::of(&world);
    for person in ["ann", "ben"] {
        assert!(is_pending(&mut client, &one));
        let (done, said) = say(&desk, "approve", registered.entry, person);
        assert!(done, "{said}");
    }
    // Another amount or spender is another transaction.
    let more = approves("pool-1", &from, (0, POOL, 600 * USDX + 1));
    assert!(is_pending(&mut client, &more));
    mined(&anvil, &mut client, &one);
    assert_eq!(allowance(&anvil, &from, POOL), U256::from(600 * USDX));
    assert!(takes(&anvil, &from, 600 * USDX) && !takes(&anvil, &from, 1));
}
