//! A device that answers wrongly: normalised or refused, and never emitted unverified.

use api::problem::ProblemKind;
use strongroom_softhsm_tests::{
    ask::units,
    coins::{self, Previous, foreign_script},
    program::until,
    records,
    world::{Client, MAIN, World},
};

use crate::support::{BITCOIN, coin_scripts, payment, raw};

/// Half of the order of secp256k1, as its first byte: what is above is a high s.
const HIGH: u8 = 0x80;

/// The request with this number, its coin, and its PSBT.
fn pay(client: &mut Client, number: u64) -> (bitcoin::Psbt, api::signing::SignRequest) {
    let script = coin_scripts(client)[number as usize % 3].clone();
    let coin = Previous::invented(number, 101_000, &script);
    payment(
        &format!("pay-{number}"),
        BITCOIN,
        &[coin],
        &[(100_000, foreign_script(1))],
    )
}

#[test]
fn a_high_s_is_made_low() {
    let world = World::new().with_faults();
    let _daemon = world.start();
    let mut client = world.walletd();
    world.set_fault("high-s");
    for number in 0..20 {
        let (psbt, request) = pay(&mut client, number);
        let answer = client.sign(&request);
        coins::verify(&psbt, &raw(&answer)).unwrap();
        let bytes = hex::decode(raw(&answer)).unwrap();
        let signed: bitcoin::Transaction = bitcoin::consensus::deserialize(&bytes).unwrap();
        let der = signed.input[0].witness.nth(0).unwrap();
        let signature = bitcoin::ecdsa::Signature::from_slice(der)
            .unwrap()
            .signature;
        assert!(signature.serialize_compact()[32] < HIGH);
    }
}

/// One wrong answer, then right ones: every request ends in one valid signature.
#[test]
fn one_wrong_answer_costs_no_request() {
    let faults = [
        "device-error",
        "session-invalid",
        "logged-out",
        "slow",
        "hang",
        "crash",
        "corrupt",
        "zero-r",
        "zero-s",
        "short",
        "other-digest",
        "wrong-key",
        "late",
    ];
    let world = World::new().with_faults();
    world.configure("call_timeout_ms = 400\n[bounds]\nrequests_per_second = 10000");
    let mut daemon = world.start();
    let mut client = world.walletd();
    for (number, fault) in (0..).zip(faults) {
        world.set_fault(&format!("once {fault}"));
        let (psbt, request) = pay(&mut client, number);
        let answer = until(fault, || {
            let answer = client.send(&request);
            match answer.status {
                200 => Some(answer),
                503 => None,
                _ => panic!("{fault}: {}", answer.text()),
            }
        });
        coins::verify(&psbt, &raw(&answer.json()))
            .unwrap_or_else(|error| panic!("{fault}: {error:?}"));
        assert!(
            !world.faults(MAIN).join("fault").exists(),
            "{fault} did not happen"
        );
        daemon = daemon.ready();
    }
    assert_eq!(
        client.used("btc-day"),
        units(100_000 * faults.len() as u128)
    );
    assert!(daemon.stop().success());
    let records = records::read(&world.data());
    assert_eq!(records::attempts(&records).len(), faults.len());
}

/// Wrong answers without end: nothing is emitted, the charge stands, and the same request is signed
/// once the device is well, for the one charge.
#[test]
fn wrong_answers_are_never_emitted() {
    for fault in [
        "corrupt",
        "zero-r",
        "zero-s",
        "short",
        "other-digest",
        "wrong-key",
    ] {
        let world = World::new().with_faults();
        let daemon = world.start();
        let mut client = world.walletd();
        let (psbt, request) = pay(&mut client, 1);
        world.set_fault(fault);
        let refused = client.refused(&request);
        assert_eq!(
            refused.kind,
            ProblemKind::OutcomeUnknown,
            "{fault}: {refused:?}"
        );
        assert!(
            daemon.metric("signerd_signatures_bad").unwrap() > 0,
            "{fault}"
        );
        world.set_fault("none");
        let answer = until("a signature", || {
            let answer = client.send(&request);
            (answer.status == 200).then(|| answer.json())
        });
        coins::verify(&psbt, &raw(&answer)).unwrap();
        assert_eq!(client.used("btc-day"), units(100_000), "{fault}");
        assert!(daemon.stop().success());
        let records = records::read(&world.data());
        assert_eq!(records::attempts(&records).len(), 1, "{fault}");
    }
}

/// Two signatures with one `r` give the private key away. The second is not emitted, also where the first
/// was made before a restart, and the key signs no more; others do.
#[test]
fn a_repeated_r_is_never_emitted_and_freezes_its_key_across_restarts() {
    let world = World::new().with_faults();
    world.know_secrets();
    let daemon = world.start();
    let mut client = world.walletd();
    world.set_fault("one-k");
    let (psbt, first) = pay(&mut client, 0);
    let answer = client.sign(&first);
    coins::verify(&psbt, &raw(&answer)).unwrap();
    assert!(daemon.stop().success());

    let daemon = world.start();
    client.reconnect();
    // Of the same key.
    let (_, second) = pay(&mut client, 3);
    let refused = client.refused(&second);
    assert_eq!(refused.kind, ProblemKind::OutcomeUnknown, "{refused:?}");
    world.set_fault("none");
    let is_frozen = |client: &mut Client, request| {
        let refused = client.refused(request);
        let mut codes = refused.reasons.iter().map(|reason| &*reason.code);
        assert!(codes.any(|code| code == "frozen"), "{refused:?}");
    };
    is_frozen(&mut client, &second);
    let (_, third) = pay(&mut client, 6);
    is_frozen(&mut client, &third);
    let (psbt, other) = pay(&mut client, 1);
    coins::verify(&psbt, &raw(&client.sign(&other))).unwrap();
    assert!(daemon.stop().success());
    let daemon = world.start();
    client.reconnect();
    is_frozen(&mut client, &third);
    assert!(daemon.stop().success());
    let records = records::read(&world.data());
    let signed = records.iter();
    let signed = signed.filter(|record| matches!(record.entry, policy::Entry::Signed(_)));
    assert_eq!(signed.count(), 2);
    let frozen = records.iter().filter_map(|record| match &record.entry {
        policy::Entry::Frozen { scope, reason } => Some((scope.to_string(), reason.as_str())),
        _ => None,
    });
    let frozen: Vec<_> = frozen.collect();
    assert_eq!(frozen.len(), 1, "{frozen:?}");
    assert!(frozen[0].0.contains("coin-1"), "{frozen:?}");
}
