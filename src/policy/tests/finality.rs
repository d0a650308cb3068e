//! Attesters say which sequences are final, and `max_ahead` counts from there.

use proptest::{collection::vec, prelude::*};
use strongroom_policy::{
    AttestationKind, BundleHash, Entry, Policy, ReasonCode, Record, StateError,
    statement::{Attestation, Seen},
};

use crate::{
    fixture::{Ask, ETH, Signer, name, own, stranger},
    hostile::runner,
    prices::{attested, attester_seed, priced},
    windows::again,
};

/// Two of the three attesters say what is final; at most 3 sequences of k1 are signed beyond that.
fn watched() -> Policy {
    let mut policy = priced();
    policy.limits.clear();
    for attester in policy.attestations.attesters.values_mut() {
        attester.says = [AttestationKind::Final].into();
    }
    policy.attestations.needed = [(AttestationKind::Final, 2)].into();
    policy.chains.get_mut(&ETH).unwrap().max_ahead = 3;
    policy
}

fn finality(signer: &Signer, who: &str, number: u64, next: u64) -> Attestation {
    Attestation {
        fleet: name("main"),
        number,
        attester: name(who),
        at: signer.now.lo,
        seen: Seen::Final {
            account: own("k1", ETH),
            next,
        },
    }
}

pub fn try_say(signer: &mut Signer, statement: &Attestation) -> Result<(), StateError> {
    let said = attested(statement, attester_seed(statement.attester.as_str()));
    let record = Record {
        v: 1,
        time: signer.now,
        entry: Entry::Attested(Box::new(said)),
    };
    let index = signer.state.entries();
    signer.state.apply(index, &record)?;
    signer.records.push(record);
    Ok(())
}

fn say(signer: &mut Signer, who: &str, next: u64) {
    let statement = finality(signer, who, signer.state.entries(), next);
    try_say(signer, &statement).unwrap();
}

fn send(nonce: u64) -> Ask {
    let id = format!("r{nonce}");
    Ask::evm(&id, nonce, 100).pay(&id, 1, 1)
}

fn is_too_far(signer: &Signer, nonce: u64) -> bool {
    match signer.permit(&send(nonce)) {
        Ok(_) => false,
        Err(_) => {
            assert_eq!(signer.codes(&send(nonce)), [ReasonCode::Sequence].into());
            true
        }
    }
}

#[test]
fn max_ahead_counts_from_what_enough_attesters_say_is_final() {
    let mut signer = Signer::new(watched());
    for nonce in 0..3 {
        signer.charged(&send(nonce));
    }
    assert!(is_too_far(&signer, 3));
    say(&mut signer, "w1", 3);
    say(&mut signer, "w1", 2);
    assert!(is_too_far(&signer, 3), "one attester is not enough");
    assert_eq!(signer.state.attested_final(&own("k1", ETH)), None);
    say(&mut signer, "w3", 1);
    // Both say that much.
    assert_eq!(signer.state.attested_final(&own("k1", ETH)), Some(1));
    signer.charged(&send(3));
    assert!(is_too_far(&signer, 4));
    say(&mut signer, "w2", 2);
    assert_eq!(signer.state.attested_final(&own("k1", ETH)), Some(2));
    // It does not expire, and is there after a restart.
    signer.pass(100 * 24 * 60 * 60 * 1000);
    signer.state = again(&signer.state, &[watched()]);
    signer.charged(&send(4));
    assert!(is_too_far(&signer, 5));
}

#[test]
fn what_was_never_signed_is_not_final() {
    let mut signer = Signer::new(watched());
    signer.charged(&send(0));
    let account = own("k1", ETH);
    let beyond = finality(&signer, "w1", 1, 2);
    let refused = try_say(&mut signer, &beyond).unwrap_err();
    assert_eq!(refused, StateError::NeverSigned { account, next: 1 });
    let first = finality(&signer, "w1", 1, 1);
    try_say(&mut signer, &first).unwrap();
    assert_eq!(
        try_say(&mut signer, &first).unwrap_err(),
        StateError::SaidAlready
    );
    let same_number = finality(&signer, "w1", 1, 0);
    let not_newer = StateError::NotNewer { last: 1 };
    assert_eq!(try_say(&mut signer, &same_number).unwrap_err(), not_newer);
    let mut strange = finality(&signer, "w1", 2, 0);
    let account = stranger(ETH, 9);
    strange.seen = Seen::Final {
        account: account.clone(),
        next: 0,
    };
    assert_eq!(
        try_say(&mut signer, &strange).unwrap_err(),
        StateError::NotOurs { account }
    );
}

#[test]
fn whoever_attests_prices_alone_does_not_say_what_is_final() {
    let mut signer = Signer::new(priced());
    signer.charged(&Ask::utxo("a", [0], 1_000));
    let said = finality(&signer, "w1", 1, 0);
    let attester = name("w1");
    assert_eq!(
        try_say(&mut signer, &said).unwrap_err(),
        StateError::NoAttester { attester }
    );
    // Nor is it counted where it was said before.
    let mut signer = Signer::new(watched());
    signer.charged(&send(0));
    for who in ["w1", "w2"] {
        say(&mut signer, who, 1);
    }
    assert_eq!(signer.state.attested_final(&own("k1", ETH)), Some(1));
    let mut other = priced();
    (other.sequence, other.hash) = (2, BundleHash([2; 32]));
    signer.activate(other);
    assert_eq!(signer.state.attested_final(&own("k1", ETH)), None);
}

/// With two of three honest, whatever the third says: never more than `max_ahead` beyond what the honest ones
/// say, in whatever order they are heard.
#[test]
fn one_that_lies_moves_nothing_beyond_what_an_honest_one_says() {
    let step = prop_oneof![
        3 => Just(None),
        2 => (1..=3_u8, 0..40_u64).prop_map(Some),
    ];
    let run = |steps: Vec<Option<(u8, u64)>>| {
        let mut signer = Signer::new(watched());
        let (mut nonce, mut honest) = (0, 0);
        for step in steps {
            match step {
                None if signer.permit(&send(nonce)).is_ok() => {
                    signer.charged(&send(nonce));
                    nonce += 1;
                }
                None => {}
                // The liar says what it likes, up to what was signed; the others what is so.
                Some((1, lie)) => say(&mut signer, "w1", lie.min(nonce)),
                Some((who, seen)) => {
                    let seen = seen.min(nonce / 2).max(honest);
                    honest = seen;
                    say(&mut signer, &format!("w{who}"), seen);
                }
            }
            prop_assert!(nonce <= honest + 3, "{nonce} beyond {honest}");
        }
        Ok(())
    };
    runner(60).run(&vec(step, 1..40), run).unwrap();
}

proptest! {
    #[test]
    fn the_text_reads_as_it_is_written_and_no_other_does(number: u64, next: u64, at: prop::sample::Index, byte: u8) {
        let signer = Signer::new(watched());
        let statement = finality(&signer, "w1", number, next);
        let text = statement.to_string();
        prop_assert_eq!(Attestation::parse(&text), Ok(statement.clone()));
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        if let Ok(text) = String::from_utf8(bytes)
            && let Ok(read) = Attestation::parse(&text)
        {
            prop_assert_ne!(&read, &statement);
            prop_assert_eq!(read.to_string(), text);
        }
    }
}
