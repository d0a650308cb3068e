//! What is outstanding is counted anew where a bundle believes others, and comes to the same.

use strongroom_policy::{AttestationKind, BundleHash, Policy, statement::Fate};

use crate::{
    fates::{say, signed},
    fixture::{SECOND, Signer, amount, name},
    outstanding::{bounded, pay, used},
    rules::signer_key,
};

const MINUTE: u64 = 60 * SECOND;

/// The same, but that the third attester has another key.
fn believing_another(policy: &Policy) -> Policy {
    let mut other = policy.clone();
    (other.hash, other.sequence) = (BundleHash([2; 32]), policy.sequence + 1);
    let attester = other.attestations.attesters.get_mut(&name("w3")).unwrap();
    attester.keys = [signer_key(1)].into();
    other
}

#[test]
fn what_is_signed_stays_outstanding_and_what_is_not_lapses() {
    let mut signer = Signer::new(bounded(10));
    signed(&mut signer, &pay("a", 0, 6));
    signer.charged(&pay("b", 1, 3));
    assert_eq!(used(&signer), amount(9));
    // What was not signed by then is not signed any more.
    signer.pass(2 * MINUTE);
    assert_eq!(used(&signer), amount(6));
    signer.activate(believing_another(&bounded(10)));
    assert_eq!(used(&signer), amount(6));
}

#[test]
fn what_is_dead_is_no_longer_outstanding_where_nothing_is_ever_final() {
    let mut policy = bounded(10);
    policy.attestations.needed = [(AttestationKind::Dead, 2)].into();
    let mut signer = Signer::new(policy.clone());
    let first = signed(&mut signer, &pay("a", 0, 6));
    signed(&mut signer, &pay("b", 1, 3));
    for who in ["w1", "w2"] {
        say(&mut signer, who, first, Fate::Dead);
    }
    assert_eq!(used(&signer), amount(3));
    signer.activate(believing_another(&policy));
    assert_eq!(used(&signer), amount(3));
}
