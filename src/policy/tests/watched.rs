//! A requirement of what attesters said lately: fresh by `hi`, of the chain, by enough of them, and of nobody else.

use std::collections::BTreeSet;

use strongroom_policy::{
    AttestationKind, AttestedNeed, BundleHash, Checkpoint, Digest, Entry, Policy, StateError,
    UnmetNeed, Verdict,
    statement::{Attestation, Seen},
};
use tx::{Chain, EffectKind};

use crate::{
    finality::try_say,
    fixture::{Ask, BTC, ETH, SECOND, Signer, effects, name, statement},
    prices::priced,
    windows::again,
};

const WITHIN: u64 = 600 * SECOND;

/// Payments wait until two of the three attesters said what is asked for within ten minutes.
fn asking(attested: AttestationKind) -> Policy {
    let mut policy = priced();
    policy.limits.clear();
    for attester in policy.attestations.attesters.values_mut() {
        attester.says = AttestationKind::WITHIN.into();
    }
    policy.attestations.needed = AttestationKind::WITHIN.map(|kind| (kind, 2)).into();
    let need = AttestedNeed {
        attested,
        within_millis: WITHIN,
    };
    let payments = effects(&[EffectKind::Payment]);
    policy.requires_attested = vec![statement("fresh", payments, need)];
    policy
}

fn seen(signer: &Signer, who: &str, seen: Seen) -> Attestation {
    Attestation {
        fleet: name("main"),
        number: signer.state.entries(),
        attester: name(who),
        at: signer.now.lo,
        seen,
    }
}

fn try_seen(signer: &mut Signer, who: &str, what: Seen) -> Result<(), StateError> {
    let statement = seen(signer, who, what);
    try_say(signer, &statement)
}

fn head(chain: Chain, height: u64) -> Seen {
    Seen::Head { chain, height }
}

fn reconciled(size: u64, root: u8) -> Seen {
    let root = Digest([root; 32]);
    Seen::Reconciled { size, root }
}

/// What a payment waits for; nothing where it is permitted.
fn waits(signer: &Signer) -> Vec<UnmetNeed> {
    match signer.evaluate(&Ask::utxo("a", [0], 1_000).pay("i", 5, 1)) {
        Verdict::Permit(_) => Vec::new(),
        Verdict::Pending(needs) => needs,
        Verdict::Refuse(refusal) => panic!("{refusal:?}"),
    }
}

#[test]
fn nothing_is_paid_blind() {
    let mut signer = Signer::new(asking(AttestationKind::Head));
    let needs = waits(&signer);
    assert_eq!(needs.len(), 1);
    assert_eq!(
        (&needs[0].statement, needs[0].threshold),
        (&name("fresh"), 2)
    );
    assert_eq!(needs[0].people, BTreeSet::new());
    assert_eq!(
        needs[0].attested.map(|need| need.attested),
        Some(AttestationKind::Head)
    );
    try_seen(&mut signer, "w1", head(BTC, 7)).unwrap();
    try_seen(&mut signer, "w1", head(BTC, 8)).unwrap();
    // The same one twice, and another chain.
    assert_eq!(waits(&signer).len(), 1);
    try_seen(&mut signer, "w2", head(ETH, 9)).unwrap();
    assert_eq!(waits(&signer).len(), 1);
    try_seen(&mut signer, "w2", head(BTC, 5)).unwrap();
    assert_eq!(waits(&signer), []);
    // What is no payment does not wait.
    let fee = Ask::utxo("c", [1], 1_000);
    assert!(
        Signer::new(asking(AttestationKind::Head))
            .permit(&fee)
            .is_ok()
    );
    // Fresh to the moment, by the latest that it can be, and over a restart.
    signer.now.hi = signer.now.hi.after_millis(WITHIN);
    signer.state = again(&signer.state, &[asking(AttestationKind::Head)]);
    assert_eq!(waits(&signer), []);
    signer.now.hi = signer.now.hi.after_millis(1);
    assert_eq!(waits(&signer).len(), 1);
}

#[test]
fn a_head_never_goes_back_and_is_of_a_chain_of_the_bundle() {
    let mut signer = Signer::new(asking(AttestationKind::Head));
    try_seen(&mut signer, "w1", head(BTC, 7)).unwrap();
    let lower = try_seen(&mut signer, "w1", head(BTC, 6)).unwrap_err();
    assert_eq!(lower, StateError::Lower { last: 7 });
    try_seen(&mut signer, "w1", head(BTC, 7)).unwrap();
    let chain = Chain::Evm(5);
    let strange = try_seen(&mut signer, "w1", head(chain, 7)).unwrap_err();
    assert_eq!(strange, StateError::NoChain { chain });
}

#[test]
fn the_journal_is_reconciled_by_its_own_roots() {
    let mut signer = Signer::new(asking(AttestationKind::Reconciled));
    assert_eq!(waits(&signer).len(), 1);
    let entries = signer.state.entries();
    let size = entries + 1;
    let beyond = try_seen(&mut signer, "w1", reconciled(size, 1)).unwrap_err();
    assert_eq!(beyond, StateError::NoEntries { size, entries });
    try_seen(&mut signer, "w1", reconciled(entries, 1)).unwrap();
    let other = try_seen(&mut signer, "w2", reconciled(entries, 2)).unwrap_err();
    assert_eq!(other, StateError::OtherRoot { size: entries });
    let less = try_seen(&mut signer, "w1", reconciled(entries - 1, 1)).unwrap_err();
    assert_eq!(less, StateError::Lower { last: entries });
    try_seen(&mut signer, "w2", reconciled(entries - 1, 2)).unwrap();
    assert_eq!(waits(&signer), []);
    signer.state = again(&signer.state, &[asking(AttestationKind::Reconciled)]);
    signer.pass(WITHIN + 1);
    assert_eq!(waits(&signer).len(), 1);
    // The same again, later: it is looked at anew.
    try_seen(&mut signer, "w1", reconciled(entries, 1)).unwrap();
    try_seen(&mut signer, "w2", reconciled(entries, 1)).unwrap();
    assert_eq!(waits(&signer), []);
}

#[test]
fn the_root_of_the_last_checkpoint_is_known() {
    let mut signer = Signer::new(asking(AttestationKind::Reconciled));
    signer.push(Entry::KeyRegistered(crate::checkpoints::log_key()));
    let size = signer.state.entries();
    signer.push(Entry::Checkpoint(Checkpoint {
        size,
        root: Digest([7; 32]),
        key: name("log-1"),
        call: signer.state.next_call(),
    }));
    let other = try_seen(&mut signer, "w1", reconciled(size, 1)).unwrap_err();
    assert_eq!(other, StateError::OtherRoot { size });
    try_seen(&mut signer, "w1", reconciled(size, 7)).unwrap();
}

#[test]
fn a_bundle_that_asks_for_fresher_statements_is_narrower_and_no_other_is() {
    let running = asking(AttestationKind::Head);
    let is_narrower = |edit: &dyn Fn(&mut Policy)| {
        let mut offered = running.clone();
        (offered.sequence, offered.hash) = (2, BundleHash([2; 32]));
        edit(&mut offered);
        strongroom_policy::widenings(&running, &offered).is_empty()
    };
    assert!(is_narrower(&|_| {}));
    assert!(is_narrower(&|one| {
        one.requires_attested[0].says.within_millis -= 1;
    }));
    assert!(!is_narrower(&|one| {
        one.requires_attested[0].says.within_millis += 1;
    }));
    assert!(!is_narrower(&|one| {
        one.requires_attested[0].says.attested = AttestationKind::Reconciled;
    }));
    assert!(!is_narrower(&|one| one.requires_attested.clear()));
    assert!(!is_narrower(&|one| {
        one.requires_attested[0].selector.dead = Some(true);
    }));
    assert!(!is_narrower(&|one| {
        one.attestations.needed.insert(AttestationKind::Head, 1);
    }));
}

/// What else is asked for is not said so soon behind a restart.
#[test]
fn nothing_is_paid_before_attesters_say_the_time() {
    let mut signer = Signer::new(asking(AttestationKind::Time));
    assert_eq!(waits(&signer).len(), 1);
    try_seen(&mut signer, "w1", Seen::Time).unwrap();
    assert_eq!(waits(&signer).len(), 1);
    try_seen(&mut signer, "w2", Seen::Time).unwrap();
    assert_eq!(waits(&signer), []);
    signer.now.hi = signer.now.hi.after_millis(WITHIN + 1);
    signer.state = again(&signer.state, &[asking(AttestationKind::Time)]);
    assert_eq!(waits(&signer).len(), 1);
}
