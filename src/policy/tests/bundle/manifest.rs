//! Manifests: one text each, and every file in it.

use proptest::prelude::*;
use strongroom_policy::bundle::{MANIFEST, Manifest, ManifestError, SIGNATURES};

use super::fixture::{self, Files, POLICY, files};

fn manifest() -> Manifest {
    fixture::manifest(&files(POLICY), "main", 5, 4)
}

#[test]
fn the_text_is_for_ever() {
    let mut files = Files::new();
    files.insert("b.toml".into(), b"x".to_vec());
    files.insert("books/a.txt".into(), b"".to_vec());
    files.insert(MANIFEST.into(), b"not listed".to_vec());
    files.insert(SIGNATURES.into(), b"not listed".to_vec());
    let manifest = fixture::manifest(&files, "main", 5, 4);
    assert_eq!(
        manifest.to_string(),
        "strongroom-bundle-v1\n\
         fleet main\n\
         answers sequence 4\n\
         language 1\n\
         sequence 5\n\
         file 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 b.toml\n\
         file e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 books/a.txt\n"
    );
}

#[test]
fn the_files_are_those_that_are_listed() {
    let text = manifest().to_string();
    let verify = |files: &Files| Manifest::verify(text.as_bytes(), files);
    assert_eq!(verify(&files(POLICY)), Ok(manifest()));
    let (people, more) = ("people.toml".to_owned(), "more.toml".to_owned());

    let mut changed = files(POLICY);
    changed.get_mut(&people).unwrap().push(b'\n');
    assert_eq!(
        verify(&changed),
        Err(ManifestError::Changed {
            path: people.clone()
        })
    );

    let mut missing = files(POLICY);
    missing.remove(&people);
    assert_eq!(
        verify(&missing),
        Err(ManifestError::Missing {
            path: people.clone()
        })
    );

    let mut extra = files(POLICY);
    extra.insert(more.clone(), Vec::new());
    assert_eq!(
        verify(&extra),
        Err(ManifestError::Extra { path: more.clone() })
    );

    let mut renamed = files(POLICY);
    let bytes = renamed.remove(&people).unwrap();
    renamed.insert(more, bytes);
    assert_eq!(
        verify(&renamed),
        Err(ManifestError::Missing { path: people })
    );
}

#[test]
fn every_other_spelling_is_refused() {
    let text = manifest().to_string();
    let lines: Vec<&str> = text.lines().collect();
    let mut swapped = lines.clone();
    swapped.swap(5, 6);
    let mut twice = lines.clone();
    twice.insert(6, lines[5]);
    for other in [
        text.replace('\n', "\r\n"),
        text.trim_end().to_owned(),
        format!("{text}\n"),
        format!("{text} "),
        format!("\n{text}"),
        format!("\u{feff}{text}"),
        swapped.join("\n") + "\n",
        twice.join("\n") + "\n",
        text.replace("language 1", "language 2"),
        text.replace("language 1", "language 01"),
        text.replace("sequence 5", "sequence 05"),
        text.replace("sequence 5", "sequence 4"),
        text.replace("sequence 5\n", ""),
        text.replace("answers sequence 4", "answers entry 4"),
        text.replace("strongroom-bundle-v1", "strongroom-bundle-v2"),
        text.replace("strongroom-bundle-v1", "strongroom-intent-v1"),
        text.replace("people.toml", "../people.toml"),
        text.replace("people.toml", "manifest"),
        text.replace("people.toml", "peöple.toml"),
        text.replace("file ", "file  "),
        lines[..5].join("\n") + "\n" + &lines[5].to_uppercase() + "\n",
    ] {
        assert!(Manifest::parse(other.as_bytes()).is_err(), "{other}");
    }
}

#[test]
fn errors_name_the_line() {
    let text = manifest().to_string();
    let parse = |text: String| Manifest::parse(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(
        parse(text.replace("sequence 5", "sequence x")),
        "line 5 of the manifest is not `sequence <n>`"
    );
    assert!(parse(text.replace("people.toml", "policy.toml")).starts_with("line 8 "));
    assert!(parse(text.replace("policy.toml", "a.toml")).starts_with("line 8 "));
}

proptest! {
    #[test]
    fn text_round_trips(sequence in 1..=u64::MAX, back in 1..=u64::MAX, fleet in "[a-z0-9._-]{1,64}", paths in prop::collection::btree_set("[a-z0-9][a-z0-9._-]{0,8}\\.toml|books/[a-z]{1,4}\\.txt", 0..6)) {
        let files: Files = paths.into_iter().map(|path| (path.clone(), path.into_bytes())).collect();
        let manifest = fixture::manifest(&files, &fleet, sequence, sequence.saturating_sub(back));
        let text = manifest.to_string();
        prop_assert_eq!(Manifest::verify(text.as_bytes(), &files), Ok(manifest));
    }

    #[test]
    fn one_changed_byte_is_another_manifest_or_none(at: prop::sample::Index, byte: u8) {
        let mut bytes = manifest().to_string().into_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        if let Ok(other) = Manifest::parse(&bytes) {
            prop_assert_ne!(&other, &manifest());
            prop_assert_ne!(other.hash(), manifest().hash());
            prop_assert_eq!(other.to_string().into_bytes(), bytes);
        }
    }

    #[test]
    fn lines_taken_out_or_moved_are_refused(from in 0usize..9, to in 0usize..9) {
        let text = manifest().to_string();
        let mut lines: Vec<&str> = text.lines().collect();
        prop_assume!(from != to);
        let line = lines.remove(from);
        let without = lines.join("\n") + "\n";
        prop_assert!(Manifest::verify(without.as_bytes(), &files(POLICY)).is_err());
        lines.insert(to, line);
        let moved = lines.join("\n") + "\n";
        prop_assert!(Manifest::verify(moved.as_bytes(), &files(POLICY)).is_err());
    }
}
