//! A device whose nonces are biased: its key is frozen as soon as the secret follows from the signatures.

use std::collections::BTreeSet;

use policy::Entry;
use strongroom_softhsm_tests::{
    coins::{self, Previous, foreign_script},
    records,
    signerd::Signerd,
    world::{Client, World},
};

use crate::support::{BITCOIN, coin_scripts, payment, raw};

/// A payment of so many coins of one of the three keys: as many signatures by it.
fn pay(
    client: &mut Client,
    number: u64,
    key: usize,
    coins: usize,
) -> (bitcoin::Psbt, api::signing::SignRequest) {
    let script = coin_scripts(client)[key].clone();
    let previous: Vec<Previous> = (0..coins as u64)
        .map(|coin| Previous::invented(1000 * number + coin, 4_000, &script))
        .collect();
    let amount = 2_500 * coins as u64;
    let id = format!("pay-{number}");
    payment(&id, BITCOIN, &previous, &[(amount, foreign_script(1))])
}

fn is_frozen(client: &mut Client, request: &api::signing::SignRequest) {
    let refused = client.refused(request);
    let mut codes = refused.reasons.iter().map(|reason| &*reason.code);
    assert!(codes.any(|code| code == "frozen"), "{refused:?}");
}

/// Waits until it has searched as often as one full window calls for, and says how many alarms there were.
fn alarms(daemon: &Signerd, searches: u64) -> u64 {
    daemon.metric_is("signerd_sentinel_searches", |made| made >= searches);
    daemon.metric("signerd_sentinel_alarms").unwrap()
}

/// In exactly as many signatures as are stated the key is frozen, refuses what comes, and does so after a
/// restart. Other keys sign on.
#[test]
fn biased_nonces_freeze_their_key_across_restarts() {
    for (number, (fault, coins)) in [("top-16", 20), ("bottom-8", 44), ("top-4", 112)]
        .into_iter()
        .enumerate()
    {
        let world = World::new().with_faults();
        world.know_secrets();
        let daemon = world.start();
        let mut client = world.walletd();
        world.set_fault(fault);
        let (psbt, request) = pay(&mut client, number as u64, 0, coins);
        let answer = client.sign(&request);
        coins::verify(&psbt, &raw(&answer)).unwrap();
        world.set_fault("none");
        daemon.metric_is("signerd_sentinel_alarms", |alarms| alarms == 1);
        daemon.logged("it is frozen");
        // The server has ended a connection that was idle for so long.
        client.reconnect();
        let (_, further) = pay(&mut client, 11, 0, 1);
        is_frozen(&mut client, &further);
        let (psbt, other) = pay(&mut client, 12, 1, 1);
        coins::verify(&psbt, &raw(&client.sign(&other))).unwrap();
        assert!(daemon.stop().success());

        let daemon = world.start();
        client.reconnect();
        is_frozen(&mut client, &further);
        assert!(daemon.stop().success());
        let records = records::read(&world.data());
        let frozen = records.iter().filter_map(|record| match &record.entry {
            Entry::Frozen { scope, reason } => Some((scope.to_string(), reason.as_str())),
            _ => None,
        });
        let frozen: Vec<_> = frozen.collect();
        let [(scope, reason)] = frozen.as_slice() else {
            panic!("{fault}: {frozen:?}");
        };
        assert_eq!(scope, "key coin-1");
        assert!(
            reason.contains("the secret of strongroom:spend:coin-1 follows"),
            "{reason}"
        );
        assert!(reason.contains(&format!("of {coins} nonces")), "{reason}");
    }
}

/// Every call of a self-test is numbered in the journal first, and the keys of others do not take part.
#[test]
fn a_self_test_is_made_at_the_start_by_keys_of_its_own() {
    let world = World::new().with_faults();
    world.configure_self_tests();
    let daemon = world.start();
    daemon.metric_is("signerd_self_test_passed_timestamp_seconds", |passed| {
        passed > 0
    });
    assert_eq!(daemon.metric("signerd_self_test_keys"), Some(2));
    assert_eq!(daemon.metric("signerd_self_test_trouble"), Some(0));
    // Its nonces are looked at.
    assert_eq!(alarms(&daemon, 3), 0);
    assert!(daemon.stop().success());
    let records = records::read(&world.data());
    let calls = records.iter().filter_map(|record| match &record.entry {
        Entry::SelfTest { calls } => Some(calls),
        _ => None,
    });
    let calls: Vec<_> = calls.flatten().collect();
    assert_eq!(calls.len(), 112 + 2);
    assert!(
        calls
            .iter()
            .all(|call| call.key.as_str().starts_with("test-"))
    );
    let digests: BTreeSet<Vec<u8>> = calls.iter().map(|call| call.digest.0.to_vec()).collect();
    let mut signed = world.signed();
    // Ed25519 signs the message itself.
    signed.retain(|signed| signed.len() == 32);
    assert_eq!(signed.len(), 112);
    assert!(signed.iter().all(|digest| digests.contains(digest)));
}

#[test]
fn without_keys_for_it_health_says_that_there_is_no_self_test() {
    let world = World::new();
    let daemon = world.start();
    assert_eq!(daemon.metric("signerd_self_test_keys"), Some(0));
    assert_eq!(daemon.metric("signerd_self_test_trouble"), Some(1));
    assert!(daemon.stop().success());
}

/// A device that fails its self-test, by biased nonces or by one wrong signature, signs nothing for anybody, also
/// after a restart in which it would pass.
#[test]
fn a_device_that_fails_its_self_test_freezes_everything() {
    for fault in ["top-8", "corrupt"] {
        let world = World::new().with_faults();
        world.know_secrets();
        world.configure_self_tests();
        world.set_fault(fault);
        let daemon = world.start();
        daemon.logged("key test-1");
        daemon.logged("it is frozen");
        world.set_fault("none");
        assert!(daemon.stop().success());
        let daemon = world.start();
        let mut client = world.walletd();
        let (_, request) = pay(&mut client, 0, 1, 1);
        is_frozen(&mut client, &request);
        assert_eq!(
            daemon.metric_is("signerd_self_test_trouble", |trouble| trouble == 1),
            1
        );
        assert!(daemon.stop().success());
        let records = records::read(&world.data());
        let mut scopes = records.iter().filter_map(|record| match &record.entry {
            Entry::Frozen { scope, .. } => Some(scope.to_string()),
            _ => None,
        });
        assert!(scopes.any(|scope| scope == "everything"), "{fault}");
    }
}

/// One signature fewer than are stated says nothing; good nonces never do.
#[test]
fn good_nonces_freeze_nothing() {
    let world = World::new().with_faults();
    world.know_secrets();
    let daemon = world.start();
    let mut client = world.walletd();
    let (_, request) = pay(&mut client, 0, 0, 44);
    client.sign(&request);
    assert_eq!(alarms(&daemon, 2), 0);
    world.set_fault("top-16");
    let (_, request) = pay(&mut client, 1, 1, 19);
    client.sign(&request);
    let (_, request) = pay(&mut client, 2, 2, 20);
    client.sign(&request);
    daemon.metric_is("signerd_sentinel_alarms", |alarms| alarms == 1);
    daemon.logged("strongroom:spend:coin-3");
    assert!(!daemon.said().contains("strongroom:spend:coin-2 follows"));
    assert!(daemon.stop().success());
}
