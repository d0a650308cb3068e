//! What a note is, and what it is not.

use proptest::prelude::*;
use strongroom_tlog::note::{
    KeyError, KeyName, MAX_NOTE_BYTES, MAX_SIGNATURES, MAX_TEXT_BYTES, Note, NoteError,
    SignatureLine, VerifierKey, VerifyError, sign,
};

use crate::keys::Key;

const TEXT: &str = "one\n\ntwo, è subito sera\n";

fn signed(text: &str, keys: &[&Key]) -> Note {
    let line = |key: &&Key| sign(text, &key.verifier(), &key.sign(text.as_bytes())).unwrap();
    Note::new(text.to_owned(), keys.iter().map(line).collect()).unwrap()
}

fn parse(note: &str) -> Result<Note, NoteError> {
    Note::parse(note.as_bytes())
}

#[test]
fn the_text_ends_at_the_last_blank_line() {
    let key = Key::new("k", 1);
    for text in ["\n", "\n\n", "\n\n\n", "a\n", "a\n\n", "\na\n\n\nb\n", TEXT] {
        let note = parse(&signed(text, &[&key]).to_string()).unwrap();
        assert_eq!(note.text(), text);
        assert_eq!(note.verify(&[key.verifier()]).unwrap().len(), 1);
    }
}

#[test]
fn unknown_signatures_are_kept_and_ignored() {
    let (known, unknown) = (Key::new("a", 1), Key::new("b", 2));
    let note = signed(TEXT, &[&unknown, &known]);
    let read = parse(&note.to_string()).unwrap();
    assert_eq!(read, note);
    assert_eq!(read.signatures().len(), 2);
    let keys = [known.verifier()];
    assert_eq!(read.verify(&keys).unwrap(), [&keys[0]]);
    let strangers = [Key::new("c", 3).verifier()];
    assert_eq!(read.verify(&strangers), Err(VerifyError::NoKnownKey));
    assert_eq!(read.verify(&[]), Err(VerifyError::NoKnownKey));
}

#[test]
fn a_name_or_an_id_alone_is_no_known_key() {
    let (key, other) = (Key::new("a", 1), Key::new("a", 2));
    let same_id = Key::new("b", 1);
    let note = signed(TEXT, &[&key]);
    let others = [other.verifier(), same_id.verifier()];
    assert_eq!(note.verify(&others), Err(VerifyError::NoKnownKey));
}

#[test]
fn one_bad_signature_in_a_known_name_condemns_the_note() {
    let (key, other) = (Key::new("a", 1), Key::new("b", 2));
    let good = signed(TEXT, &[&key, &other]);
    let line = &good.signatures()[0];
    let forged = |bytes: Vec<u8>| SignatureLine::new(line.name().clone(), line.id(), bytes);
    let mut flipped = line.signature().to_vec();
    flipped[40] ^= 1;
    let keys = [key.verifier(), other.verifier()];
    for bytes in [
        flipped,
        vec![0],
        vec![0; 64],
        line.signature()[..63].to_vec(),
    ] {
        let lines = [good.signatures(), &[forged(bytes).unwrap()]].concat();
        let note = Note::new(TEXT.to_owned(), lines).unwrap();
        let refused = note.verify(&keys);
        assert!(matches!(refused, Err(VerifyError::BadSignature { .. })));
        // Who does not know that key sees the other's signature.
        assert_eq!(note.verify(&[other.verifier()]).unwrap().len(), 1);
    }
}

#[test]
fn a_key_that_signed_twice_is_named_once() {
    let key = Key::new("a", 1);
    let note = signed(TEXT, &[&key, &key]);
    let keys = [key.verifier()];
    assert_eq!(note.verify(&keys).unwrap().len(), 1);
}

#[test]
fn a_signer_must_answer_with_its_own_signature() {
    let (key, other) = (Key::new("a", 1), Key::new("b", 2));
    let foreign = other.sign(TEXT.as_bytes());
    assert!(sign(TEXT, &key.verifier(), &foreign).is_err());
    let of_another_text = key.sign(b"other\n");
    assert!(sign(TEXT, &key.verifier(), &of_another_text).is_err());
}

#[test]
fn an_added_signature_replaces_that_keys_earlier_one() {
    let (key, other) = (Key::new("a", 1), Key::new("b", 2));
    let mut note = signed(TEXT, &[&key, &other]);
    let again = sign(TEXT, &key.verifier(), &key.sign(TEXT.as_bytes())).unwrap();
    note.add(again.clone()).unwrap();
    assert_eq!(note.signatures().len(), 2);
    assert_eq!(note.signatures()[1], again);
}

#[test]
fn what_is_no_note_is_refused() {
    let key = Key::new("a", 1);
    let note = signed("text\n", &[&key]).to_string();
    let line = note.lines().last().unwrap();
    let refused = [
        "".to_owned(),
        "text\n".to_owned(),
        "text\n\n".to_owned(),
        "\n\n".to_owned(),
        format!("text\n\n{line}"),
        format!("text\n{line}\n"),
        format!("text\n\n{line}\n\n"),
        format!("text\n\n{line}\nmore\n"),
        format!("te\txt\n\n{line}\n"),
        format!("te\u{0}xt\n\n{line}\n"),
        format!("text\r\n\n{line}\n"),
        format!("text\n\n{line}\r\n"),
        format!("text\n\n{line} \n"),
        format!("text\n\n {line}\n"),
        format!("text\n\n{}\n", line.replace('\u{2014}', "-")),
        format!("text\n\n{}\n", line.replace("a ", "a  ")),
        format!("text\n\n{}\n", line.replace(" a ", " a b ")),
        format!("text\n\n{}\n", line.replace(" a ", " a+b ")),
        format!("text\n\n{}\n", line.replace(" a ", " a\u{a0}b ")),
        format!("text\n\n{}\n", line.replace(" a ", "  ")),
        format!("text\n\n{}\n", line.trim_end_matches('=')),
        "text\n\n\u{2014} a AAAAAA==\n".to_owned(),
        "text\n\n\u{2014} a \n".to_owned(),
        "text\n\n\u{2014} a\n".to_owned(),
    ];
    for note in refused {
        assert!(parse(&note).is_err(), "{note:?}");
    }
    assert!(Note::parse(b"te\xffxt\n\n\xe2\x80\x94 a AAAAAAE=\n").is_err());
    assert!(parse("text\n\n\u{2014} a AAAAAAE=\n").is_ok());
}

#[test]
fn a_note_is_bounded() {
    let line: SignatureLine = "\u{2014} a AAAAAAE=".parse().unwrap();
    let many = |number| Note::new("a\n".to_owned(), vec![line.clone(); number]);
    assert!(many(MAX_SIGNATURES).is_ok());
    assert_eq!(many(MAX_SIGNATURES + 1), Err(NoteError::TooManySignatures));
    assert_eq!(many(0), Err(NoteError::Unsigned));
    let written = many(MAX_SIGNATURES).unwrap().to_string() + &format!("{line}\n");
    assert_eq!(parse(&written), Err(NoteError::TooManySignatures));
    let text = |bytes: usize| Note::new("a".repeat(bytes - 1) + "\n", vec![line.clone()]);
    assert!(text(MAX_TEXT_BYTES).is_ok());
    assert_eq!(text(MAX_TEXT_BYTES + 1), Err(NoteError::TooLong));
    let large = "a\n\n".to_owned() + &"x".repeat(MAX_NOTE_BYTES);
    assert_eq!(parse(&large), Err(NoteError::TooLong));
    // Sixteen post-quantum signatures fit (C2SP signed-note wants them to).
    let quantum = SignatureLine::new("pq".parse().unwrap(), line.id(), vec![1; 5_000]).unwrap();
    let many = |number| Note::new("a\n".to_owned(), vec![quantum.clone(); number]);
    assert_eq!(many(50), Err(NoteError::TooLong));
    let note = many(16).unwrap();
    assert_eq!(parse(&note.to_string()), Ok(note));
}

#[test]
fn names_have_no_spaces_and_no_plus() {
    for name in ["a", "example.com/log", "é", "a\u{7f}"] {
        assert!(name.parse::<KeyName>().is_ok(), "{name:?}");
    }
    for name in [
        "",
        " ",
        "a b",
        "a+b",
        "a\nb",
        "a\u{1}",
        "a\u{a0}b",
        "a\u{2003}b",
    ] {
        assert!(name.parse::<KeyName>().is_err(), "{name:?}");
    }
}

#[test]
fn a_verifier_key_has_one_spelling() {
    let key = Key::new("log.example", 1).verifier();
    let text = key.to_string();
    assert_eq!(text.parse(), Ok(key.clone()));
    for wrong in [
        text.replace("log", "loG"),
        text.to_uppercase(),
        text.replace('+', "-"),
        format!("{text}A"),
        format!(" {text}"),
        "log.example+12345678+".to_owned(),
        "log.example+12345678".to_owned(),
        String::new(),
    ] {
        assert!(wrong.parse::<VerifierKey>().is_err(), "{wrong:?}");
    }
    // A witness's key has the other type, and the other way round.
    let witness = Key::new("log.example", 1).witness().to_string();
    let refused = witness.parse::<VerifierKey>();
    assert!(matches!(
        refused,
        Err(KeyError::OtherType {
            found: 4,
            wanted: 1
        })
    ));
}

#[test]
fn keys_of_small_order_are_none() {
    let mut identity = [0; 32];
    identity[0] = 1;
    for key in [[0; 32], identity] {
        let refused = VerifierKey::new("weak".parse().unwrap(), &key);
        assert_eq!(refused, Err(KeyError::NotAKey));
    }
}

proptest! {
    #[test]
    fn a_note_survives_being_written(text in "[^\\x00-\\x1f]{0,40}(\n[^\\x00-\\x1f]{0,9}){0,5}", seeds in prop::collection::vec(1_u8..5, 1..5)) {
        let keys: Vec<Key> = seeds.iter().map(|seed| Key::new("k", *seed)).collect();
        let note = signed(&(text + "\n"), &keys.iter().collect::<Vec<_>>());
        let read = parse(&note.to_string()).unwrap();
        prop_assert_eq!(&read, &note);
        let known: Vec<_> = keys.iter().map(Key::verifier).collect();
        prop_assert!(read.verify(&known).is_ok());
    }

    #[test]
    fn what_is_read_is_written_again(note in "[a\n\u{2014} A=+]{0,60}") {
        if let Ok(read) = parse(&note) {
            prop_assert_eq!(read.to_string(), note);
        }
    }

    #[test]
    fn no_flipped_bit_is_believed(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let key = Key::new("k", 1);
        let mut bytes = signed(TEXT, &[&key]).to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        let believed = Note::parse(&bytes).map(|note| note.verify(&[key.verifier()]).is_ok());
        prop_assert_ne!(believed, Ok(true));
    }

    #[test]
    fn no_prefix_is_a_note(at in any::<prop::sample::Index>()) {
        let key = Key::new("k", 1);
        let bytes = signed(TEXT, &[&key]).to_string().into_bytes();
        prop_assert!(Note::parse(&bytes[..at.index(bytes.len())]).is_err());
    }
}
