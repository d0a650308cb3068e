//! What a checkpoint is, and whose word.

use proptest::prelude::*;
use strongroom_tlog::checkpoint::{
    Checkpoint, CheckpointError, MAX_EXTENSION_BYTES, MAX_EXTENSIONS, MAX_ORIGIN_BYTES, OpenError,
    Origin, SignedCheckpoint,
};
use strongroom_tlog::{MAX_SIZE, TreeHead, empty_root, leaf_hash};

use crate::keys::{Key, checkpoint, grown, log, origin};

const ROOT: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

fn parse(text: &str) -> Result<Checkpoint, CheckpointError> {
    text.parse()
}

#[test]
fn the_text_is_three_lines() {
    let empty = TreeHead {
        size: 0,
        root: empty_root(),
    };
    let text = format!("log.example/treasury\n0\n{ROOT}\n");
    assert_eq!(checkpoint(empty).to_string(), text);
    assert_eq!(parse(&text), Ok(checkpoint(empty)));
}

#[test]
fn extension_lines_are_kept() {
    let text = format!("o\n7\n{ROOT}\nfirst\n second è\n");
    let read = parse(&text).unwrap();
    assert_eq!(read.extensions(), ["first", " second è"]);
    assert_eq!(read.to_string(), text);
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    use CheckpointError::{Extension, Lines, Origin, Root, Size};
    let refused = [
        (String::new(), Lines),
        (format!("o\n1\n{ROOT}"), Lines),
        ("o\n".to_owned(), Lines),
        ("o\n1\n".to_owned(), Lines),
        (format!("\n1\n{ROOT}\n"), Origin),
        (format!("o\t\n1\n{ROOT}\n"), Origin),
        (format!("o\n\n{ROOT}\n"), Size),
        (format!("o\n01\n{ROOT}\n"), Size),
        (format!("o\n-1\n{ROOT}\n"), Size),
        (format!("o\n+1\n{ROOT}\n"), Size),
        (format!("o\n1 \n{ROOT}\n"), Size),
        (format!("o\n1\r\n{ROOT}\n"), Size),
        (format!("o\n9223372036854775808\n{ROOT}\n"), Size),
        ("o\n1\n\n".to_owned(), Root),
        ("o\n1\nAA==\n".to_owned(), Root),
        (format!("o\n1\n{}\n", ROOT.trim_end_matches('=')), Root),
        (format!("o\n1\n{ROOT}\n\n"), Extension),
        (format!("o\n1\n{ROOT}\n\nextension\n"), Extension),
        (format!("o\n1\n{ROOT}\n\u{1}\n"), Extension),
    ];
    for (text, error) in refused {
        assert_eq!(parse(&text), Err(error), "{text:?}");
    }
}

#[test]
fn a_checkpoint_is_bounded() {
    assert!("o".repeat(MAX_ORIGIN_BYTES).parse::<Origin>().is_ok());
    assert!("o".repeat(MAX_ORIGIN_BYTES + 1).parse::<Origin>().is_err());
    let head = TreeHead {
        size: MAX_SIZE,
        root: leaf_hash(b""),
    };
    assert!(Checkpoint::new(origin(), head).is_ok());
    let larger = TreeHead {
        size: MAX_SIZE + 1,
        ..head
    };
    assert_eq!(
        Checkpoint::new(origin(), larger),
        Err(CheckpointError::Size)
    );
    let line = "x".repeat(MAX_EXTENSION_BYTES);
    let mut full = Checkpoint::new("o".repeat(MAX_ORIGIN_BYTES).parse().unwrap(), head).unwrap();
    for _ in 0..MAX_EXTENSIONS {
        full = full.with_extension(&line).unwrap();
    }
    assert_eq!(parse(&full.to_string()), Ok(full.clone()));
    // The largest checkpoint can be signed.
    let signed = log().checkpoint(full.clone());
    assert_eq!(signed.checkpoint(), &full);
    assert_eq!(full.with_extension("x"), Err(CheckpointError::Extension));
    let long = checkpoint(head).with_extension(&(line + "x"));
    assert_eq!(long, Err(CheckpointError::Extension));
}

#[test]
fn it_is_the_logs_word_or_nobodys() {
    let signed = log().checkpoint(checkpoint(grown(5).head()));
    let bytes = signed.to_string();
    let open = |origin: &Origin, keys: &[&Key]| {
        let keys: Vec<_> = keys.iter().map(|key| key.verifier()).collect();
        SignedCheckpoint::open(bytes.as_bytes(), origin, &keys)
    };
    let read = open(&origin(), &[&log()]).unwrap();
    assert_eq!(read, signed);
    assert_eq!(read.head(), &grown(5).head());
    assert_eq!(read.signers(), [log().verifier().name().clone()]);
    let other: Origin = "log.example/other".parse().unwrap();
    assert!(matches!(
        open(&other, &[&log()]),
        Err(OpenError::OtherLog { .. })
    ));
    assert!(matches!(
        open(&origin(), &[&Key::new("log.example/treasury", 9)]),
        Err(OpenError::Signature { .. })
    ));
    assert!(matches!(
        open(&origin(), &[]),
        Err(OpenError::Signature { .. })
    ));
}

#[test]
fn a_signed_note_that_is_no_checkpoint_is_none() {
    let key = log();
    let text = "log.example/treasury\nmany\nroots\n";
    let line = strongroom_tlog::note::sign(text, &key.verifier(), &key.sign(text.as_bytes()));
    let note = strongroom_tlog::note::Note::new(text.to_owned(), vec![line.unwrap()]).unwrap();
    let opened = SignedCheckpoint::open(note.to_string().as_bytes(), &origin(), &[key.verifier()]);
    assert!(matches!(opened, Err(OpenError::Checkpoint { .. })));
}

proptest! {
    #[test]
    fn a_checkpoint_survives_being_written(
        origin in "[^\\x00-\\x1f]{1,60}",
        size in 0..=MAX_SIZE,
        root in any::<[u8; 32]>(),
        extensions in prop::collection::vec("[^\\x00-\\x1f]{1,20}", 0..4),
    ) {
        let head = TreeHead { size, root: root.into() };
        let mut checkpoint = Checkpoint::new(origin.parse().unwrap(), head).unwrap();
        for line in &extensions {
            checkpoint = checkpoint.with_extension(line).unwrap();
        }
        prop_assert_eq!(parse(&checkpoint.to_string()), Ok(checkpoint));
    }

    #[test]
    fn what_is_read_is_written_again(text in "[o\n01A=]{0,4}(\n[0-9]{1,3}\n[A-Za-z0-9+/]{43}=\n)?[a\n]{0,4}") {
        if let Ok(read) = parse(&text) {
            prop_assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn no_flipped_bit_is_believed(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let signed = log().checkpoint(checkpoint(grown(3).head()));
        let mut bytes = signed.to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        let keys = [log().verifier()];
        prop_assert!(SignedCheckpoint::open(&bytes, &origin(), &keys).is_err());
    }

    #[test]
    fn no_prefix_is_believed(at in any::<prop::sample::Index>()) {
        let bytes = log().checkpoint(checkpoint(grown(3).head())).to_string().into_bytes();
        let cut = &bytes[..at.index(bytes.len())];
        prop_assert!(SignedCheckpoint::open(cut, &origin(), &[log().verifier()]).is_err());
    }
}
