//! A hostile coordinator: a client with a good certificate that sends anything.

use std::{
    collections::BTreeMap,
    sync::{Arc, Barrier},
    thread,
};

use api::problem::ProblemKind;
use policy::{Entry, FreezeScope};
use rustix::process::Signal;
use strongroom_softhsm_tests::{
    ask::{intent, request, units},
    coins::{self, Previous, foreign_script},
    evm::{Draft, ETHER, GWEI},
    image::Image,
    program::{pause, until, until_within},
    records,
    signerd::{Role, Signerd},
    world::{Client, World, problem},
};

use crate::support::{BITCOIN, CUSTOMER, coin_scripts, eth, payment, sender, transfer};

/// The literal "a replacement is charged the larger of the two" would let each of the fifty out for
/// the price of one.
#[test]
fn a_replacement_star_gets_one_discount_and_no_more() {
    let world = World::new();
    let _daemon = world.start();
    let mut client = world.walletd();
    let scripts = coin_scripts(&mut client);
    let coins: Vec<_> = (0..50)
        .map(|salt| Previous::invented(salt, 300_000_000, &scripts[0]))
        .collect();
    // 2 BTC to a stranger, from fifty coins of 3 BTC; the rest is change.
    let rest = 50 * 300_000_000 - 200_000_000 - 20_000;
    let outputs = [(200_000_000, foreign_script(1)), (rest, scripts[1].clone())];
    let (_, centre) = payment("centre", BITCOIN, &coins, &outputs);
    let centre = client.sign(&centre).attempt;
    let mut signed = 0u64;
    for (index, coin) in coins.iter().enumerate() {
        let outputs = [
            (200_000_000, foreign_script(2)),
            (99_960_000, scripts[1].clone()),
        ];
        let id = format!("ray-{index}");
        let (_, mut ray) = payment(&id, BITCOIN, std::slice::from_ref(coin), &outputs);
        ray.replaces = vec![centre];
        let answer = client.send(&ray);
        match answer.status {
            200 => signed += 1,
            422 => assert_eq!(
                problem(&answer).reasons[0].code,
                "limit",
                "{}",
                answer.text()
            ),
            status => panic!("{status} {}", answer.text()),
        }
    }
    // 100 BTC a day: the star's own set holds 2, so that 49 rays have room beside it, and the one
    // that takes the anchor is in the set.
    assert!(signed <= 50, "{signed}");
    let used = client.used("btc-day");
    assert!(used <= units(100 * 100_000_000), "{used}");
    // Whatever can confirm together: every ray that consumes a coin of its own, or the centre.
    assert!(
        u128::from(signed) * 200_000_000 <= 100 * 100_000_000,
        "{signed}"
    );
    assert_eq!(used, units(u128::from(signed.max(1)) * 200_000_000));
}

#[test]
fn invented_intents_pay_nothing_twice_and_nothing_over_the_limit() {
    let world = World::new();
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let pay = |nonce| Draft::transfer(nonce, CUSTOMER, 3 * ETHER);
    let first = client.sign(&transfer("order-1", &from, &pay(0)));
    // The same intent again, not in conflict with its first attempt: that is a re-issue.
    let mut again = transfer("order-1", &from, &pay(1));
    again.request_id = "order-1-again".into();
    let refused = client.refused(&again);
    let codes: Vec<_> = refused
        .reasons
        .iter()
        .map(|reason| reason.code.as_str())
        .collect();
    assert!(codes.contains(&"uncovered"), "{refused:?}");
    assert!(refused.detail.contains("re-issue"), "{refused:?}");
    // One intent for two payments, two for one.
    let one = intent("order-2", &eth(), 3 * ETHER, CUSTOMER);
    let two = intent("order-3", &eth(), 3 * ETHER, CUSTOMER);
    let both = request("two-for-one", pay(1).from(&from), vec![one.clone(), two]);
    assert_eq!(client.refused(&both).reasons[0].code, "intent-mismatch");
    let twice = request("twice", pay(1).from(&from), vec![one.clone(), one]);
    let refused = client.refused(&twice);
    assert!(
        refused
            .reasons
            .iter()
            .any(|reason| reason.code == "intent-reused"),
        "{refused:?}"
    );
    // A new id for the same payment is another payment, and the limit sees it: 20 ETH a day.
    let mut paid = 1u64;
    for nonce in 1..20 {
        let answer = client.send(&transfer(&format!("invented-{nonce}"), &from, &pay(paid)));
        if answer.status == 200 {
            paid += 1;
        } else {
            assert_eq!(
                problem(&answer).reasons[0].code,
                "limit",
                "{}",
                answer.text()
            );
        }
    }
    assert_eq!(paid, 6);
    assert_eq!(client.used("eth-day"), units(18 * ETHER));
    assert_eq!(first.request_id, "order-1");
}

#[test]
fn splitting_under_the_threshold_of_people_ends_at_the_window_limit() {
    let world = World::new();
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let mut answers = Vec::new();
    for part in 0..20u64 {
        let draft = Draft::transfer(part.min(4), CUSTOMER, 5 * ETHER);
        answers.push(
            client
                .send(&transfer(&format!("part-{part}"), &from, &draft))
                .status,
        );
    }
    assert_eq!(answers[..4], [200; 4]);
    assert!(
        answers[4..].iter().all(|status| *status == 422),
        "{answers:?}"
    );
    assert_eq!(client.used("eth-day"), units(20 * ETHER));
}

#[test]
fn nonces_ahead_are_signed_up_to_the_bound_and_no_further() {
    let world = World::with(|bundle| {
        bundle.replace("accounts.toml", "max_ahead = 5000", "max_ahead = 3");
    });
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    for nonce in 0..3 {
        client.sign(&transfer(
            &format!("pay-{nonce}"),
            &from,
            &Draft::transfer(nonce, CUSTOMER, 1),
        ));
    }
    for nonce in [3, 4, u64::MAX - 1] {
        let draft = Draft::transfer(nonce, CUSTOMER, 1);
        let refused = client.refused(&transfer(&format!("far-{nonce}"), &from, &draft));
        assert_eq!(refused.reasons[0].code, "sequence", "{refused:?}");
    }
    // What is signed can still be replaced: the lane stands, it is not lost.
    let bumped = Draft {
        price: 4 * GWEI,
        tip: 2 * GWEI,
        ..Draft::transfer(2, CUSTOMER, 1)
    };
    let mut replacement = transfer("pay-2", &from, &bumped);
    replacement.request_id = "pay-2-bumped".into();
    let signed: api::signing::RequestAnswer = client.get("/v1/requests/pay-2").json();
    replacement.replaces = vec![signed.attempt];
    client.sign(&replacement);
}

/// Leaves one charged request unfinished: the device hangs with it, and there is no other.
fn leave_unfinished(world: &World, daemon: &mut Signerd, id: &str) -> api::signing::SignRequest {
    let mut client = world.walletd();
    let from = sender(&mut client);
    let request = transfer(id, &from, &Draft::transfer(0, CUSTOMER, 2 * ETHER));
    let hung = daemon.child(Role::KeyChild).unwrap();
    pause(hung);
    std::fs::rename(world.token.tokens(), world.folder().join("away")).unwrap();
    let refused = client.refused(&request);
    assert!(
        matches!(
            refused.kind,
            ProblemKind::OutcomeUnknown | ProblemKind::NoDevice
        ),
        "{refused:?}"
    );
    daemon.not_ready("no device");
    assert_eq!(client.used("eth-day"), units(2 * ETHER));
    request
}

#[test]
fn what_was_authorised_while_the_device_was_gone_is_finished_soon_without_a_new_charge() {
    let world = World::new();
    world.configure("call_timeout_ms = 200");
    let mut daemon = world.start();
    let request = leave_unfinished(&world, &mut daemon, "pay");
    std::fs::rename(world.folder().join("away"), world.token.tokens()).unwrap();
    let daemon = daemon.ready();
    let mut client = world.walletd();
    client.sign(&request);
    assert_eq!(client.used("eth-day"), units(2 * ETHER));
    assert!(daemon.stop().success());
    assert_eq!(records::attempts(&records::read(&world.data())).len(), 1);
}

/// A stock of authorisations is worth nothing: after a minute the policy of the day decides.
#[test]
fn what_was_authorised_while_the_device_was_gone_is_judged_anew_after_a_minute() {
    let world = World::new();
    world.configure("call_timeout_ms = 200\n[bounds]\nrequests_per_second = 10000");
    let mut daemon = world.start();
    let request = leave_unfinished(&world, &mut daemon, "pay");
    let mut narrower = world.bundle.clone();
    narrower.replace("statements.toml", "cap = \"20 eth\"", "cap = \"1 eth\"");
    narrower.write(&world.policy(), 2, &["ann", "ben"]);
    daemon.signal(Signal::HUP);
    let mut client = world.walletd();
    let day = |client: &mut Client| client.limit("eth-day").cap;
    until("the new bundle", || {
        (day(&mut client) == units(ETHER)).then_some(())
    });
    let began = client.keys().time.lo;
    let minute = std::time::Duration::from_secs(90);
    until_within(minute, "a minute of the signer's time", || {
        (client.keys().time.lo.millis_since(began) > 61_000).then_some(())
    });
    std::fs::rename(world.folder().join("away"), world.token.tokens()).unwrap();
    let _daemon = daemon.ready();
    let refused = client.refused(&request);
    assert_eq!(refused.reasons[0].code, "limit", "{refused:?}");
    assert_eq!(refused.reasons[0].statement.as_deref(), Some("eth-day"));
}

/// Nor is it finished behind a freeze, however soon.
#[test]
fn what_was_authorised_while_the_device_was_gone_is_not_finished_after_a_freeze() {
    let world = World::new();
    world.configure("call_timeout_ms = 200");
    let mut daemon = world.start();
    let request = leave_unfinished(&world, &mut daemon, "pay");
    daemon.kill();
    std::fs::rename(world.folder().join("away"), world.token.tokens()).unwrap();
    let freeze = Entry::Frozen {
        scope: FreezeScope::All,
        reason: "a test".into(),
    };
    let frozen = Image::of(&world.data()).grown(1, &freeze);
    frozen.restore(&world.data());
    let daemon = world.start();
    let mut client = world.walletd();
    let refused = client.refused(&request);
    let mut codes = refused.reasons.iter().map(|reason| &*reason.code);
    assert!(codes.any(|code| code == "frozen"), "{refused:?}");
    assert_eq!(
        client.used("eth-day"),
        units(2 * ETHER),
        "the charge stands"
    );
    assert!(daemon.stop().success());
    let records = records::read(&world.data());
    let mut entries = records.iter().map(|record| &record.entry);
    assert!(!entries.any(|entry| matches!(entry, Entry::Signed(_))));
}

/// A thousand at once at limit − ε: a hundred fit, and never one over.
#[test]
fn a_thousand_concurrent_requests_never_exceed_the_limit_by_one() {
    const THREADS: u64 = 20;
    const EACH: u64 = 50;
    let world = World::new();
    world.configure("[bounds]\nrequests_per_second = 100000");
    let daemon = world.start();
    let scripts = coin_scripts(&mut world.walletd());
    // 100 BTC a day: 99 payments of 1 BTC and 1 satoshi fit, a hundredth does not.
    let amount = 100_000_001;
    let barrier = Arc::new(Barrier::new(THREADS as usize));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (mut client, barrier) = (world.walletd(), Arc::clone(&barrier));
            let script = scripts[thread as usize % scripts.len()].clone();
            thread::spawn(move || {
                let requests: Vec<_> = (0..EACH)
                    .map(|index| {
                        let salt = thread * EACH + index;
                        let coin = Previous::invented(salt, amount + 10_000, &script);
                        let outputs = [(amount, foreign_script(1))];
                        payment(&format!("pay-{salt}"), BITCOIN, &[coin], &outputs).1
                    })
                    .collect();
                barrier.wait();
                let mut statuses = BTreeMap::new();
                for request in requests {
                    *statuses.entry(client.send(&request).status).or_insert(0u64) += 1;
                }
                statuses
            })
        })
        .collect();
    let mut statuses = BTreeMap::new();
    for thread in threads {
        for (status, count) in thread.join().unwrap() {
            *statuses.entry(status).or_insert(0) += count;
        }
    }
    assert_eq!(
        statuses,
        BTreeMap::from([(200, 99), (422, THREADS * EACH - 99)])
    );
    assert_eq!(
        world.walletd().used("btc-day"),
        units(99 * u128::from(amount))
    );
    assert!(daemon.stop().success());
    assert_eq!(records::attempts(&records::read(&world.data())).len(), 99);
}

/// An attacker's output at every place among good ones.
#[test]
fn one_output_without_an_intent_is_found_at_every_place() {
    let world = World::new();
    let _daemon = world.start();
    let mut client = world.walletd();
    let scripts = coin_scripts(&mut client);
    let native = tx::Asset::native(BITCOIN);
    let coin = Previous::invented(1, 100_000_000, &scripts[0]);
    for place in 0..=6 {
        let mut outputs: Vec<_> = (1..=5).map(|to| (1_000_000, foreign_script(to))).collect();
        let destination = |script| coins::address_of(BITCOIN, script);
        let intents = (0..).zip(&outputs).map(|(n, (_, to))| {
            intent(
                &format!("{place}-{n}"),
                &native,
                1_000_000,
                &destination(to),
            )
        });
        let intents: Vec<_> = intents.collect();
        outputs.push((93_980_000, scripts[1].clone()));
        outputs.insert(place, (1_000_000, foreign_script(66)));
        let psbt = coins::psbt(std::slice::from_ref(&coin), &outputs);
        let asked = request(
            &format!("place-{place}"),
            coins::on(BITCOIN, &psbt),
            intents,
        );
        let refused = client.refused(&asked);
        assert_eq!(
            refused.reasons[0].code, "intent-mismatch",
            "{place}: {refused:?}"
        );
    }
    assert_eq!(client.used("btc-day"), units(0));
}

/// A PSBT that claims an output to be change, by our key's derivation beside another's script.
#[test]
fn change_is_what_our_keys_own_and_nothing_else() {
    let world = World::new();
    let _daemon = world.start();
    let mut client = world.walletd();
    let scripts = coin_scripts(&mut client);
    let key = client.key("coin-2").public_key;
    let coin = Previous::invented(1, 10_000_000, &scripts[0]);
    let outputs = [
        (1_000_000, foreign_script(1)),
        (8_990_000, foreign_script(2)),
    ];
    let (mut psbt, mut asked) = payment("pay", BITCOIN, std::slice::from_ref(&coin), &outputs);
    let path = "m/84h/0h/0h/1/0".parse().unwrap();
    let claim = (bitcoin::bip32::Fingerprint::default(), path);
    psbt.outputs[1]
        .bip32_derivation
        .insert(key.parse().unwrap(), claim);
    asked.transaction = coins::on(BITCOIN, &psbt);
    let refused = client.refused(&asked);
    assert_eq!(refused.reasons[0].code, "intent-mismatch", "{refused:?}");
    // The same to our own script is change.
    let outputs = [
        (1_000_000, foreign_script(1)),
        (8_990_000, scripts[1].clone()),
    ];
    client.sign(&payment("pay", BITCOIN, &[coin], &outputs).1);
    assert_eq!(client.used("btc-day"), units(1_000_000));
}

/// A hundred and one transactions of nothing, each at the highest fee.
#[test]
fn fees_are_drained_up_to_their_limit_and_no_further() {
    let world = World::new();
    world.configure("[bounds]\nrequests_per_second = 10000");
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let draft = |nonce| Draft {
        price: 100 * GWEI,
        gas: 200_000,
        ..Draft::transfer(nonce, CUSTOMER, 1)
    };
    for nonce in 0..100 {
        client.sign(&transfer(&format!("pay-{nonce}"), &from, &draft(nonce)));
    }
    let refused = client.refused(&transfer("one-more", &from, &draft(100)));
    assert_eq!(refused.reasons[0].code, "limit");
    assert_eq!(
        refused.reasons[0].statement.as_deref(),
        Some("eth-fees-day")
    );
    // A cancellation costs its fee, too.
    let cancel = Draft {
        gas: 21_000,
        ..Draft {
            price: 110 * GWEI,
            ..Draft::transfer(100, &from, 0)
        }
    };
    let refused = client.refused(&request("cancel", cancel.from(&from), vec![]));
    assert!(
        refused.reasons.iter().any(|reason| reason.code == "limit"),
        "{refused:?}"
    );
}
