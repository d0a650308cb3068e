//! What the policy refuses: by a stable reason, with nothing signed and nothing charged.

use api::{
    problem::{Problem, ProblemKind},
    signing::{PendingAnswer, SignRequest},
};
use strongroom_softhsm_tests::{
    ask::{intent, request, units},
    coins::{Previous, foreign_script},
    evm::{Draft, ETHER, GWEI},
    world::{Client, World},
};

use crate::support::{BITCOIN, CUSTOMER, STRANGER, coin_scripts, eth, payment, sender, transfer};

/// Asserts that a request is refused with this reason, and that nothing was charged by it.
fn refused(client: &mut Client, request: &SignRequest, code: &str) -> Problem {
    let before = client.keys().limits;
    let problem = client.refused(request);
    assert_eq!(problem.kind, ProblemKind::Refused, "{problem:?}");
    let codes: Vec<_> = problem
        .reasons
        .iter()
        .map(|reason| reason.code.as_str())
        .collect();
    assert!(codes.contains(&code), "{code} in {problem:?}");
    assert_eq!(client.keys().limits, before);
    let found = client.get(&format!("/v1/requests/{}", request.request_id));
    assert_eq!(found.status, 404, "{}", found.text());
    problem
}

#[test]
fn an_amount_over_the_limit_is_refused_by_the_limit_s_name_and_place() {
    let world = World::with(|bundle| {
        bundle.replace("statements.toml", "cap = \"20 eth\"", "cap = \"3 eth\"")
    });
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&transfer(
        "first",
        &from,
        &Draft::transfer(0, CUSTOMER, 2 * ETHER),
    ));
    let over = transfer("over", &from, &Draft::transfer(1, CUSTOMER, ETHER + 1));
    let problem = refused(&mut client, &over, "limit");
    let reason = &problem.reasons[0];
    assert_eq!(reason.statement.as_deref(), Some("eth-day"));
    let at = reason.at.as_deref().unwrap();
    assert!(at.starts_with("statements.toml:"), "{at}");
    client.sign(&transfer(
        "just",
        &from,
        &Draft::transfer(1, CUSTOMER, ETHER),
    ));
    assert_eq!(client.used("eth-day"), units(3 * ETHER));
}

#[test]
fn what_no_allow_covers_is_refused() {
    let world = World::new();
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let unlisted = transfer("unlisted", &from, &Draft::transfer(0, STRANGER, ETHER));
    refused(&mut client, &unlisted, "uncovered");
    let draft = Draft {
        price: 101 * GWEI,
        ..Draft::transfer(0, CUSTOMER, ETHER)
    };
    refused(
        &mut client,
        &transfer("fee-rate", &from, &draft),
        "uncovered",
    );
    let draft = Draft {
        gas: 500_000,
        price: 50 * GWEI,
        ..Draft::transfer(0, CUSTOMER, ETHER)
    };
    refused(&mut client, &transfer("fee", &from, &draft), "uncovered");
    client.sign(&transfer(
        "good",
        &from,
        &Draft::transfer(0, CUSTOMER, ETHER),
    ));
}

#[test]
fn intents_and_payments_match_one_to_one_or_are_refused() {
    let world = World::new();
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let pay = Draft::transfer(0, CUSTOMER, ETHER);
    let good = intent("intent", &eth(), ETHER, CUSTOMER);
    let with = |id: &str, intents| request(id, pay.from(&from), intents);
    refused(&mut client, &with("none", vec![]), "intent-mismatch");
    let other = intent("other", &eth(), ETHER + 1, CUSTOMER);
    refused(
        &mut client,
        &with("amount", vec![other.clone()]),
        "intent-mismatch",
    );
    let elsewhere = intent("elsewhere", &eth(), ETHER, STRANGER);
    refused(
        &mut client,
        &with("destination", vec![elsewhere]),
        "intent-mismatch",
    );
    refused(
        &mut client,
        &with("two", vec![good.clone(), other]),
        "intent-mismatch",
    );
    let mut foreign = good.clone();
    foreign.id.source = "payroll".parse().unwrap();
    refused(&mut client, &with("source", vec![foreign]), "intent-source");
    let mut expired = good.clone();
    expired.expires = tx::Time::from_millis(1_000_000_000_000);
    refused(
        &mut client,
        &with("expired", vec![expired]),
        "intent-closed",
    );
    let mut cheap = good.clone();
    cheap.max_fee = units(1);
    refused(&mut client, &with("cheap", vec![cheap]), "intent-fee");
    client.sign(&with("good", vec![good]));
    // The same id with another content.
    let again = intent("intent", &eth(), ETHER + 1, CUSTOMER);
    let pay = Draft::transfer(1, CUSTOMER, ETHER + 1);
    let again = request("again", pay.from(&from), vec![again]);
    refused(&mut client, &again, "intent-reused");
}

#[test]
fn an_undeclared_conflict_and_a_gap_are_refused() {
    let world = World::new();
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&transfer(
        "first",
        &from,
        &Draft::transfer(0, CUSTOMER, ETHER),
    ));
    let draft = Draft {
        price: 4 * GWEI,
        tip: 2 * GWEI,
        ..Draft::transfer(0, CUSTOMER, ETHER)
    };
    refused(
        &mut client,
        &transfer("hidden", &from, &draft),
        "undeclared-conflict",
    );
    refused(
        &mut client,
        &transfer("gap", &from, &Draft::transfer(2, CUSTOMER, 1)),
        "sequence",
    );
    let mut epoch = transfer("epoch", &from, &Draft::transfer(1, CUSTOMER, 1));
    epoch.lane_epoch = 7;
    refused(&mut client, &epoch, "lane-epoch");
    client.sign(&transfer("second", &from, &Draft::transfer(1, CUSTOMER, 1)));

    // Coins as well: the outpoint was spent by an attempt that is not declared.
    let scripts = coin_scripts(&mut client);
    let coin = Previous::invented(1, 1_000_000, &scripts[0]);
    let spend = |id, amount| {
        payment(
            id,
            BITCOIN,
            std::slice::from_ref(&coin),
            &[(amount, foreign_script(1))],
        )
        .1
    };
    let first = client.sign(&spend("coin", 990_000));
    refused(
        &mut client,
        &spend("coin-again", 980_000),
        "undeclared-conflict",
    );
    let mut declared = spend("coin-declared", 980_000);
    declared.replaces = vec![first.attempt];
    client.sign(&declared);
    assert_eq!(client.used("btc-day"), units(990_000));
}

#[test]
fn what_waits_for_people_is_answered_with_what_it_waits_for() {
    let world = World::new();
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let large = transfer("large", &from, &Draft::transfer(0, CUSTOMER, 5 * ETHER + 1));
    let answer = client.send(&large);
    assert_eq!(answer.status, 202, "{}", answer.text());
    let pending: PendingAnswer = answer.json();
    assert_eq!(pending.request_id, "large");
    assert_eq!(pending.needs[0].statement, "large-eth");
    assert_eq!(pending.needs[0].threshold, 1);
    assert_eq!(pending.needs[0].people, ["ann", "ben"]);
    assert_eq!(client.used("eth-day"), units(0));
    client.sign(&transfer(
        "small",
        &from,
        &Draft::transfer(0, CUSTOMER, 5 * ETHER),
    ));
}

#[test]
fn evaluate_says_what_sign_would_and_consumes_nothing() {
    let world = World::new();
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let pay = transfer("pay", &from, &Draft::transfer(0, CUSTOMER, ETHER));
    let body = serde_json::to_vec(&pay).unwrap();
    for _ in 0..3 {
        let answer = client.post("/v1/evaluate", &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer: api::signing::EvaluateAnswer = answer.json();
        assert_eq!(answer.effects.len(), 2);
        let day = answer
            .limits
            .iter()
            .find(|room| room.limit == "eth-day")
            .unwrap();
        assert_eq!(day.used, units(ETHER));
    }
    assert_eq!(client.used("eth-day"), units(0));
    let over = transfer("over", &from, &Draft::transfer(0, STRANGER, ETHER));
    let answer = client.post("/v1/evaluate", &serde_json::to_vec(&over).unwrap());
    assert_eq!(answer.status, 422);
    client.sign(&pay);
}
