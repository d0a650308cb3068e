//! Many clients ask for what only one of them can have.

use std::{
    collections::BTreeMap,
    sync::{Arc, Barrier},
    thread,
};

use api::{problem::ProblemKind, signing::SignRequest};
use strongroom_softhsm_tests::{
    ask::{intent, request, units},
    coins::{self, Previous, foreign_script},
    evm::{Draft, ETHER},
    http::Answer,
    records,
    world::{World, problem},
};

use crate::support::{BITCOIN, CUSTOMER, coin_scripts, payment, sender, transfer};

/// Sends all requests at once, each from its own connection.
fn at_once(world: &World, requests: Vec<SignRequest>) -> Vec<Answer> {
    let barrier = Arc::new(Barrier::new(requests.len()));
    let threads: Vec<_> = requests
        .into_iter()
        .map(|request| {
            let (mut client, barrier) = (world.walletd(), Arc::clone(&barrier));
            // The handshake is done before the race begins.
            assert_eq!(client.get("/v1/keys/eth-1").status, 200);
            thread::spawn(move || {
                barrier.wait();
                client.send(&request)
            })
        })
        .collect();
    threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect()
}

/// How often each reason or kind of problem was answered; `signed` for 200.
fn outcomes(answers: &[Answer]) -> BTreeMap<String, usize> {
    let mut outcomes = BTreeMap::new();
    for answer in answers {
        let outcome = match answer.status {
            200 => "signed".to_owned(),
            422 => problem(answer).reasons[0].code.clone(),
            _ => format!("{:?}", problem(answer).kind),
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    outcomes
}

#[test]
fn one_request_sent_by_many_at_once_is_signed_once() {
    let world = World::new();
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let pay = transfer("pay", &from, &Draft::transfer(0, CUSTOMER, ETHER));
    let answers = at_once(&world, vec![pay.clone(); 24]);
    let signed: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 200)
        .collect();
    assert!(!signed.is_empty());
    assert!(signed.iter().all(|answer| answer.body == signed[0].body));
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(problem(answer).kind, ProblemKind::InProgress);
    }
    assert_eq!(client.send(&pay).body, signed[0].body);
    assert_eq!(client.used("eth-day"), units(ETHER));
    assert!(daemon.stop().success());
    assert_eq!(records::attempts(&records::read(&world.data())).len(), 1);
}

#[test]
fn one_nonce_one_coin_and_one_intent_go_to_one_of_many() {
    let world = World::new();
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let same_nonce = (0..24).map(|n| {
        transfer(
            &format!("nonce-{n}"),
            &from,
            &Draft::transfer(0, CUSTOMER, ETHER + n),
        )
    });
    let found = outcomes(&at_once(&world, same_nonce.collect()));
    assert_eq!(
        found,
        BTreeMap::from([("signed".into(), 1), ("undeclared-conflict".into(), 23)])
    );

    let scripts = coin_scripts(&mut client);
    let coin = Previous::invented(1, 1_000_000, &scripts[0]);
    let same_coin = (0..24).map(|n| {
        let outputs = [
            (900_000 + n, foreign_script(1)),
            (98_000 - n, scripts[1].clone()),
        ];
        payment(
            &format!("coin-{n}"),
            BITCOIN,
            std::slice::from_ref(&coin),
            &outputs,
        )
        .1
    });
    let found = outcomes(&at_once(&world, same_coin.collect()));
    assert_eq!(
        found,
        BTreeMap::from([("signed".into(), 1), ("undeclared-conflict".into(), 23)])
    );

    // The same intent from other coins: all but one would be a second payment.
    let native = tx::Asset::native(BITCOIN);
    let script = foreign_script(2);
    let one = intent(
        "one",
        &native,
        500_000,
        &coins::address_of(BITCOIN, &script),
    );
    let same_intent = (0..24).map(|n| {
        let coin = Previous::invented(100 + n, 505_000, &scripts[0]);
        let psbt = coins::psbt(&[coin], &[(500_000, script.clone())]);
        request(
            &format!("intent-{n}"),
            coins::on(BITCOIN, &psbt),
            vec![one.clone()],
        )
    });
    let found = outcomes(&at_once(&world, same_intent.collect()));
    assert_eq!(
        found,
        BTreeMap::from([("signed".into(), 1), ("uncovered".into(), 23)])
    );
    assert!(daemon.stop().success());
    assert_eq!(records::attempts(&records::read(&world.data())).len(), 3);
}

/// A thousand ask in the same moment for what a hundred less a little can have.
#[test]
fn of_a_thousand_at_once_as_many_are_paid_as_the_limit_has_room_for() {
    const COIN: u64 = 100_000_000;
    const CAP: u64 = 100 * COIN;
    let world = World::new();
    world.configure("[bounds]\nconnections = 2000\nin_flight = 900\nrequests_per_second = 100000");
    let daemon = world.start();
    let mut client = world.walletd();
    let scripts = coin_scripts(&mut client);
    let script = foreign_script(1);
    let pay = |n: u64, satoshi: u64| {
        let coin = Previous::invented(n, satoshi + 1_000, &scripts[0]);
        payment(
            &format!("pay-{n}"),
            BITCOIN,
            &[coin],
            &[(satoshi, script.clone())],
        )
        .1
    };
    client.sign(&pay(0, COIN / 2));
    let requests: Vec<_> = (1..=1_000).map(|n| pay(n, COIN)).collect();
    let mut found = outcomes(&at_once(&world, requests.clone()));
    // More are on their way than are let in at once; nothing was done for those.
    let busy = found.remove("Busy").unwrap_or(0);
    assert!(busy < 200, "{busy}");
    let signed = found["signed"];
    assert_eq!(signed + busy + found["limit"], 1_000, "{found:?}");
    let used = client.used("btc-day");
    assert!(used <= units(u128::from(CAP)), "{used} of {CAP}");
    // Nor less than it has room for.
    let signed = u64::try_from(signed).unwrap();
    assert_eq!(
        (signed, used),
        (99, units(u128::from(99 * COIN + COIN / 2)))
    );
    assert!(daemon.stop().success());
    assert_eq!(records::attempts(&records::read(&world.data())).len(), 100);
}

/// A client that is refused as fast as it can ask fills no disk: beyond a rate its refusals are
/// counted, and every one of them is in a count.
#[test]
fn refusals_without_end_are_counted_and_do_not_fill_the_journal() {
    const REFUSED: u64 = 3_000;
    let world = World::new();
    world.configure("[bounds]\nrequests_per_second = 100000");
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    for number in 0..REFUSED {
        let id = format!("over-{number}");
        let refused = client.refused(&transfer(&id, &from, &Draft::transfer(9, CUSTOMER, 1)));
        assert_eq!(refused.kind, ProblemKind::Refused);
    }
    assert!(daemon.stop().success());
    let records = records::read(&world.data());
    let (mut singly, mut counted) = (0, 0);
    for record in &records {
        match &record.entry {
            policy::Entry::Refused(_) => singly += 1,
            policy::Entry::RefusedMany(many) => counted += many.count,
            _ => {}
        }
    }
    assert_eq!(singly + counted, REFUSED);
    assert!(
        (records.len() as u64) < REFUSED / 2,
        "{} entries",
        records.len()
    );
}
