//! Limits, the manual queue, and taking back.

use api::{
    client::{
        ClientError,
        wallet::{Deed, Once},
    },
    problem::ProblemKind,
    signing::{Need, Reason},
    wallet::{NewWithdrawal, PolicyVerdict, QuoteRequest, Stage, Unattended, WaitingReason},
};
use serde_json::json;
use tx::{Amount, Chain};
use wallet::signer::Verdict;

use super::house::{DESTINATION, ETHER, House, asset, name, order};

fn new(id: &str, amount: &str) -> NewWithdrawal {
    serde_json::from_value(order(id, json!({ "amount": amount }))).unwrap()
}

fn kind(error: ClientError) -> ProblemKind {
    match error {
        ClientError::Problem(problem) => problem.kind,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn beyond_a_limit_a_person_decides() {
    let house = House::new().await;
    let (exchange, officer) = (house.asking("exchange"), house.asking("officer"));
    let payouts = Some(name("payouts"));
    let Once::New(small) = exchange.withdraw(&new("w-1", "500")).await.unwrap() else {
        panic!("it is new")
    };
    assert_eq!(small.stage, Stage::Approved);
    let large = exchange
        .withdraw(&new("w-2", "1"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(large.stage, Stage::Manual);
    assert_eq!(large.waiting.unwrap().reason, WaitingReason::Limit);
    assert_eq!(*house.engine.approved.lock().unwrap(), [Chain::Evm(31337)]);
    let id = "w-2".parse().unwrap();
    let own = exchange.decide(Deed::Approve, None, &id).await;
    assert_eq!(kind(own.unwrap_err()), ProblemKind::NotGranted);
    let nobody = officer.decide(Deed::Approve, None, &id).await;
    assert_eq!(kind(nobody.unwrap_err()), ProblemKind::NotFound);
    for _ in 0..2 {
        let approved = officer.decide(Deed::Approve, payouts.as_ref(), &id).await;
        assert_eq!(approved.unwrap().stage, Stage::Approved);
    }
    assert_eq!(
        house.engine.approved.lock().unwrap().last(),
        Some(&Chain::Evm(31337))
    );
    assert!(house.engine.approved.lock().unwrap().len() >= 2);
    let third = exchange
        .withdraw(&new("w-3", "1"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(third.stage, Stage::Manual);
    let id = "w-3".parse().unwrap();
    let rejected = officer.decide(Deed::Reject, payouts.as_ref(), &id).await;
    assert_eq!(rejected.unwrap().stage, Stage::Released);
    let late = officer.decide(Deed::Approve, payouts.as_ref(), &id).await;
    match late.unwrap_err() {
        ClientError::Problem(problem) => {
            assert_eq!(problem.kind, ProblemKind::NotNow);
            assert_eq!(problem.withdrawal.unwrap().stage, Stage::Released);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_taken_back_is_free_again() {
    let house = House::new().await;
    let exchange = house.asking("exchange");
    exchange.withdraw(&new("w-1", "500")).await.unwrap();
    assert_eq!(house.anns(ETHER).await, (500, 500));
    let id = "w-1".parse().unwrap();
    for _ in 0..2 {
        let released = exchange.decide(Deed::Cancel, None, &id).await.unwrap();
        assert_eq!(released.stage, Stage::Released);
    }
    assert_eq!(house.anns(ETHER).await, (1000, 0));
    // The id stays used, and the limit has its room again.
    let same = exchange.withdraw(&new("w-1", "500")).await.unwrap();
    assert!(matches!(same, Once::Same(it) if it.stage == Stage::Released));
    let next = exchange.withdraw(&new("w-2", "500")).await.unwrap();
    assert_eq!(next.into_inner().stage, Stage::Approved);
    let nothing = exchange
        .decide(Deed::Cancel, None, &"w-9".parse().unwrap())
        .await;
    assert_eq!(kind(nothing.unwrap_err()), ProblemKind::NotFound);
}

#[tokio::test]
async fn a_quote_says_what_would_happen_and_consumes_nothing() {
    let house = House::new().await;
    let exchange = house.asking("exchange");
    let quote = |what: &str, amount: u64, account: &str| QuoteRequest {
        account: name(account),
        asset: asset(what),
        amount: Amount::from(amount),
        destination: DESTINATION.into(),
    };
    for _ in 0..2 {
        let answer = exchange.quote(&quote(ETHER, 500, "ann")).await.unwrap();
        assert_eq!(answer.unattended, Unattended::Yes);
        assert_eq!(answer.fee, Some(Amount::from(21_000u64)));
        assert_eq!(answer.max_fee, Some(Amount::from(42_000u64)));
        assert_eq!(answer.available, Amount::from(1000u64));
    }
    let says = |answer: api::wallet::QuoteAnswer| answer.unattended;
    let large = exchange.quote(&quote(ETHER, 501, "ann")).await.unwrap();
    assert_eq!(says(large), Unattended::Manual);
    let poor = exchange.quote(&quote(ETHER, 1, "bob")).await.unwrap();
    assert_eq!(says(poor), Unattended::InsufficientFunds);
    let token = format!("eip155:31337/erc20:{}", super::house::TOKEN);
    let token = exchange.quote(&quote(&token, 1, "ann")).await.unwrap();
    assert_eq!(says(token), Unattended::NoLimit);
    let mut own = quote(ETHER, 1, "ann");
    own.destination = super::house::OWN.into();
    let own = exchange.quote(&own).await.unwrap_err();
    assert_eq!(kind(own), ProblemKind::InvalidDestination);
    let mut coins = quote(super::house::LITECOIN, 2940, "ann");
    coins.destination = super::house::COINS.into();
    let coins = exchange.quote(&coins).await;
    let coins = coins.unwrap();
    assert_eq!(
        (coins.fee, coins.detail.as_deref()),
        (None, Some("no node answers"))
    );
    assert_eq!(house.accepted().await, 0);
}

#[tokio::test]
async fn a_quote_says_what_the_policy_would() {
    let house = House::new().await;
    let exchange = house.asking("exchange");
    let mut asked = QuoteRequest {
        account: name("ann"),
        asset: asset(ETHER),
        amount: Amount::from(500u64),
        destination: DESTINATION.into(),
    };
    let reason = Reason {
        code: "limit".into(),
        statement: None,
        at: None,
        detail: "no room".into(),
        remedy: "ask tomorrow".into(),
    };
    let need = Need {
        statement: "large".into(),
        at: "rules.toml:3".into(),
        threshold: 2,
        people: vec!["ann".into(), "bob".into()],
        attested: None,
    };
    let (reasons, needs) = (vec![reason], vec![need]);
    let refused = Verdict::Refused {
        reasons: reasons.clone(),
        needs: Vec::new(),
    };
    let waits = Verdict::Needs {
        needs: needs.clone(),
    };
    let away = Verdict::Unknown {
        detail: "nobody answers".into(),
    };
    for (verdict, told) in [
        (Verdict::Allowed, PolicyVerdict::Allowed),
        (refused, PolicyVerdict::Refused),
        (waits, PolicyVerdict::Needs),
        (away, PolicyVerdict::Unknown),
    ] {
        *house.engine.verdict.lock().unwrap() = verdict;
        let policy = exchange.quote(&asked).await.unwrap().policy;
        assert_eq!(policy.verdict, told);
        let has = |of: PolicyVerdict| told == of;
        assert_eq!(policy.reasons == reasons, has(PolicyVerdict::Refused));
        assert_eq!(policy.needs == needs, has(PolicyVerdict::Needs));
        assert_eq!(policy.detail.is_some(), has(PolicyVerdict::Unknown));
    }
    let judged = std::mem::take(&mut *house.engine.judged.lock().unwrap());
    assert_eq!(judged[0].max_fee, Amount::from(42_000u64));
    assert_eq!(judged[0].id.source, name("payouts"));
    assert_ne!(judged[0].id, judged[1].id, "no intent is used twice");
    // Where no node tells the fee nobody is asked.
    asked.asset = asset(super::house::LITECOIN);
    asked.amount = Amount::from(2940u64);
    asked.destination = super::house::COINS.into();
    let policy = exchange.quote(&asked).await.unwrap().policy;
    assert_eq!(policy.verdict, PolicyVerdict::Unknown);
    assert!(house.engine.judged.lock().unwrap().is_empty());
}
