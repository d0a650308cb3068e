//! Whose cosignatures count, and how often.

use proptest::prelude::*;
use strongroom_tlog::checkpoint::SignedCheckpoint;
use strongroom_tlog::cosignature::{
    CosignError, CosignatureError, CosignedSizes, Quorum, QuorumError, Timestamp, WitnessKey,
};
use strongroom_tlog::note::{MAX_SIGNATURES, SignatureLine};

use crate::keys::{Key, checkpoint, grown, log, origin, witnesses};

const TIME_SECS: u64 = 1_679_315_147;

fn signed() -> SignedCheckpoint {
    log().checkpoint(checkpoint(grown(7).head()))
}

fn keys(witnesses: &[Key]) -> Vec<WitnessKey> {
    witnesses.iter().map(Key::witness).collect()
}

/// A checkpoint with lines under it that nobody has looked at, as it comes from outside.
fn with(signed: &SignedCheckpoint, lines: &[SignatureLine]) -> SignedCheckpoint {
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let note = signed.to_string() + &lines;
    SignedCheckpoint::open(note.as_bytes(), &origin(), &[log().verifier()]).unwrap()
}

fn changed(line: &SignatureLine, at: usize) -> SignatureLine {
    let mut bytes = line.signature().to_vec();
    bytes[at] ^= 1;
    SignatureLine::new(line.name().clone(), line.id(), bytes).unwrap()
}

#[test]
fn a_witness_is_believed_about_its_own_checkpoint_and_time() {
    let (witness, signed) = (&witnesses(1)[0], signed());
    let line = witness.cosign(signed.checkpoint(), TIME_SECS);
    let cosignature = witness
        .witness()
        .verify(signed.checkpoint(), &line)
        .unwrap();
    assert_eq!(cosignature.time().secs(), TIME_SECS);
    assert_eq!(cosignature.witness().as_str(), witness.name);
    assert_eq!(cosignature.line(), &line);

    let verify = |line: &SignatureLine| witness.witness().verify(signed.checkpoint(), line);
    let of_another = witness.cosign(&checkpoint(grown(8).head()), TIME_SECS);
    assert_eq!(verify(&of_another), Err(CosignatureError::BadSignature));
    let extended = signed.checkpoint().clone().with_extension("x").unwrap();
    let extended = witness.cosign(&extended, TIME_SECS);
    assert_eq!(verify(&extended), Err(CosignatureError::BadSignature));
    // Another time, in the last byte of the timestamp.
    assert_eq!(
        verify(&changed(&line, 7)),
        Err(CosignatureError::BadSignature)
    );
    let stranger = Key::new("witness.example/other", 9).cosign(signed.checkpoint(), TIME_SECS);
    assert_eq!(verify(&stranger), Err(CosignatureError::OtherKey));
}

#[test]
fn a_line_of_another_form_is_no_cosignature() {
    let (witness, signed) = (&witnesses(1)[0], signed());
    let line = witness.cosign(signed.checkpoint(), TIME_SECS);
    let of = |bytes: &[u8]| {
        let line = SignatureLine::new(line.name().clone(), line.id(), bytes.to_vec()).unwrap();
        witness.witness().verify(signed.checkpoint(), &line)
    };
    let bytes = line.signature();
    for wrong in [&bytes[..71], &bytes[..8], &bytes[..7], &bytes[8..], &[1]] {
        assert_eq!(of(wrong), Err(CosignatureError::Malformed));
    }
    assert_eq!(
        of(&[bytes, &[0]].concat()),
        Err(CosignatureError::Malformed)
    );
}

#[test]
fn times_are_between_one_and_the_largest_signed_number() {
    assert!(Timestamp::new(0).is_none());
    assert!(Timestamp::new(1).is_some());
    assert!(Timestamp::new(u64::MAX >> 1).is_some());
    assert!(Timestamp::new(1 << 63).is_none());
    let (witness, signed) = (&witnesses(1)[0], signed());
    for secs in [0, 1 << 63, u64::MAX] {
        let line = witness.cosign(signed.checkpoint(), secs);
        let refused = witness.witness().verify(signed.checkpoint(), &line);
        assert_eq!(refused, Err(CosignatureError::Malformed), "{secs}");
    }
}

#[test]
fn a_note_signature_by_the_same_key_is_no_cosignature() {
    let witness = &witnesses(1)[0];
    // The same name and the same bytes of a key; the type is in the id.
    assert_ne!(witness.witness().id(), witness.verifier().id());
    let note = witness.checkpoint(checkpoint(grown(7).head()));
    let refused = witness
        .witness()
        .verify(note.checkpoint(), &note.note().signatures()[0]);
    assert_eq!(refused, Err(CosignatureError::OtherKey));
    // And a cosignature is no signature of the note.
    let cosigned = with(&signed(), &[witness.cosign(signed().checkpoint(), 1)]);
    assert!(cosigned.note().verify(&[witness.verifier()]).is_err());
}

#[test]
fn cosignatures_are_added_only_when_they_verify() {
    let (witness, mut signed) = (&witnesses(1)[0], signed());
    let before = signed.clone();
    let line = witness.cosign(signed.checkpoint(), TIME_SECS);
    let refused = signed.add_cosignature(&witness.witness(), &changed(&line, 20));
    assert!(matches!(refused, Err(CosignError::Cosignature { .. })));
    assert_eq!(signed, before);
    signed.add_cosignature(&witness.witness(), &line).unwrap();
    let later = witness.cosign(signed.checkpoint(), TIME_SECS + 1);
    signed.add_cosignature(&witness.witness(), &later).unwrap();
    assert_eq!(signed.note().signatures().len(), 2);
    assert_eq!(signed.note().signatures()[1], later);
    // What was added is there for who reads the note.
    let read = with(&signed, &[]);
    let quorum = Quorum::majority(vec![witness.witness()]).unwrap();
    let witnessed = quorum.witnessed(read).unwrap();
    assert_eq!(witnessed.cosignatures()[0].time().secs(), TIME_SECS + 1);
    assert_eq!(witnessed.signed().head(), &grown(7).head());
}

#[test]
fn a_full_note_takes_no_more_cosignatures() {
    let mut signed = signed();
    let many: Vec<Key> = (0..100).map(|n| Key::new(&format!("w{n}"), n)).collect();
    for key in &many[..MAX_SIGNATURES - 1] {
        let line = key.cosign(signed.checkpoint(), 1);
        signed.add_cosignature(&key.witness(), &line).unwrap();
    }
    let line = many[99].cosign(signed.checkpoint(), 1);
    let refused = signed.add_cosignature(&many[99].witness(), &line);
    assert!(matches!(refused, Err(CosignError::Note { .. })));
    assert_eq!(signed.note().signatures().len(), MAX_SIGNATURES);
}

#[test]
fn a_majority_is_more_than_half() {
    for (number, needed) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (7, 4)] {
        let quorum = Quorum::majority(keys(&witnesses(number))).unwrap();
        assert_eq!(quorum.needed(), needed);
        assert_eq!(quorum.witnesses().len(), usize::from(number));
    }
    assert!(Quorum::majority(Vec::new()).is_err());
}

#[test]
fn a_quorum_that_means_nothing_is_none() {
    let three = witnesses(3);
    for needed in [0, 4] {
        let refused = Quorum::new(keys(&three), needed);
        assert!(matches!(refused, Err(QuorumError::Needed { .. })));
    }
    // One key under two names would count twice; one name for two keys is a mistake.
    let same_key = Key::new("witness.example/new", 100);
    let same_name = Key::new("witness.example/w0", 77);
    for repeated in [same_key, same_name] {
        let refused = Quorum::new(vec![three[0].witness(), repeated.witness()], 2);
        assert!(matches!(refused, Err(QuorumError::Repeated { .. })));
    }
}

#[test]
fn bad_repeated_and_strange_cosignatures_do_not_count() {
    let (three, signed) = (witnesses(3), signed());
    let quorum = Quorum::majority(keys(&three)).unwrap();
    let of = |key: &Key, secs| key.cosign(signed.checkpoint(), secs);
    let first = of(&three[0], 5);
    let forked = three[1].cosign(&checkpoint(grown(6).head()), 5);
    let stranger = of(&Key::new("witness.example/other", 9), 5);
    let repeated = vec![first.clone(), of(&three[0], 6), of(&three[0], 4)];
    let lines = [
        repeated,
        vec![forked, stranger, changed(&of(&three[2], 5), 60)],
    ]
    .concat();
    let refused = quorum.witnessed(with(&signed, &lines)).unwrap_err();
    assert_eq!(refused.tally.cosignatures().len(), 1);
    assert_eq!(refused.tally.cosignatures()[0].time().secs(), 6);
    let names: Vec<_> = refused
        .tally
        .refused()
        .iter()
        .map(|name| name.as_str())
        .collect();
    assert_eq!(names, ["witness.example/w1", "witness.example/w2"]);
    // A bad line takes nothing from a good one, even of the same witness.
    let lines = [lines, vec![of(&three[2], 9)]].concat();
    let witnessed = quorum.witnessed(with(&signed, &lines)).unwrap();
    let times: Vec<_> = witnessed
        .cosignatures()
        .iter()
        .map(|one| (one.witness().as_str().to_owned(), one.time().secs()))
        .collect();
    let known = [
        ("witness.example/w0".to_owned(), 6),
        ("witness.example/w2".to_owned(), 9),
    ];
    assert_eq!(times, known);
}

#[test]
fn two_forks_cannot_both_have_a_majority_of_honest_witnesses() {
    // Each honest witness signs one of the two; whoever gets which, at most one has three of five.
    let five = witnesses(5);
    let quorum = Quorum::majority(keys(&five)).unwrap();
    let forks = [7, 8].map(|leaves| log().checkpoint(checkpoint(grown(leaves).head())));
    for choice in 0_u32..32 {
        let met = [0, 1].map(|fork| {
            let side: Vec<_> = (0..5)
                .filter(|witness| choice >> witness & 1 == fork)
                .map(|witness| five[witness].cosign(forks[fork as usize].checkpoint(), 1))
                .collect();
            quorum.witnessed(with(&forks[fork as usize], &side)).is_ok()
        });
        assert_ne!(met, [true, true], "{choice:05b}");
    }
}

#[test]
fn enough_witnesses_speak_for_the_longest_beginning_that_each_of_them_cosigned() {
    let four = keys(&witnesses(4));
    let quorum = Quorum::new(four[..3].to_vec(), 2).unwrap();
    let mut sizes = CosignedSizes::default();
    assert_eq!(sizes.size_by(&quorum), 0);
    // One is not enough, and whom nobody named counts for nothing.
    sizes.raise(&four[0], 20);
    sizes.raise(&four[3], 30);
    assert_eq!(sizes.size_by(&quorum), 0);
    sizes.raise(&four[1], 10);
    assert_eq!(sizes.size_by(&quorum), 10);
    // What is known is not taken back, and it is not counted twice.
    sizes.raise(&four[1], 5);
    sizes.raise(&four[0], 40);
    assert_eq!(sizes.size_by(&quorum), 10);
    sizes.raise(&four[2], 15);
    assert_eq!(sizes.size_by(&quorum), 15);
    assert_eq!(
        sizes.size_by(&Quorum::new(four[..3].to_vec(), 3).unwrap()),
        10
    );
    assert_eq!(sizes.size_by(&Quorum::new(four.clone(), 2).unwrap()), 30);
    // Who is forgotten begins anew.
    sizes.keep(&quorum);
    assert_eq!(sizes.size_by(&Quorum::new(four, 2).unwrap()), 15);
}

#[test]
fn a_witness_key_has_one_spelling() {
    let key = witnesses(1)[0].witness();
    assert_eq!(key.to_string().parse(), Ok(key.clone()));
    assert!(
        witnesses(1)[0]
            .verifier()
            .to_string()
            .parse::<WitnessKey>()
            .is_err()
    );
    assert!(
        key.to_string()
            .replace("w0", "w1")
            .parse::<WitnessKey>()
            .is_err()
    );
}

proptest! {
    #[test]
    fn no_flipped_bit_counts(at in 0_usize..72, bit in 0_u8..8) {
        let (witness, signed) = (&witnesses(1)[0], signed());
        let line = witness.cosign(signed.checkpoint(), TIME_SECS);
        let mut bytes = line.signature().to_vec();
        bytes[at] ^= 1_u8 << bit;
        let line = SignatureLine::new(line.name().clone(), line.id(), bytes).unwrap();
        prop_assert!(witness.witness().verify(signed.checkpoint(), &line).is_err());
        let quorum = Quorum::majority(vec![witness.witness()]).unwrap();
        prop_assert!(quorum.witnessed(with(&signed, &[line])).is_err());
    }
}
