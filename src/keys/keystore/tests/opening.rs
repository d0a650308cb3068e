//! What a keystore looks at before it believes a file.

use std::{fs, os::unix::fs::symlink};

use super::*;
use crate::keystore::{KeystoreError, Secret, header};

#[test]
fn a_keystore_is_made_and_opened_and_its_serial_is_its_own() {
    let folder = made();
    let keystore = open(folder.path()).unwrap();
    let listed = keystore.list().unwrap();
    let keys: Vec<_> = listed.iter().map(|key| key.key.clone()).collect();
    assert_eq!(keys, [Some(log()), Some(coins()), Some(hot())]);
    assert!(listed.iter().all(|key| key.usable.is_ok()));
    let identity = super::super::identify(folder.path()).unwrap();
    assert_eq!(identity.serial.as_str().len(), 16);
    let profile = profile().essentials().unwrap();
    let named = |serial: &str| {
        let selector = selector(Some(serial));
        Keystore::open(folder.path(), &selector, &pin(PASSPHRASE), profile.clone())
    };
    assert!(named(identity.serial.as_str()).is_ok());
    assert_eq!(
        named("0000000000000000").unwrap_err(),
        Failure::TokenUnknown
    );
    let wrong = open_with(folder.path(), "another passphrase");
    assert_eq!(wrong.unwrap_err(), Failure::PinRejected);
    // Nothing that exists is touched.
    let again = create(folder.path(), &pin(PASSPHRASE), WEAK).unwrap_err();
    assert!(again.to_string().contains("not empty"), "{again}");
    let twice = keystore.generate(&hot(), KeyAlgorithm::Secp256k1);
    assert_eq!(twice.unwrap_err(), Failure::KeyExists);
}

#[test]
fn owners_modes_and_links_are_looked_at() {
    let folder = made();
    let path = path_of(&folder, &hot());
    for wrong in [0o640, 0o604, 0o620, 0o700, 0o4600] {
        mode(&path, wrong);
        let said = refusal(&folder, &hot());
        assert!(said.contains("0600 or 0400"), "{wrong:o}: {said}");
    }
    mode(&path, 0o400);
    assert!(open(folder.path()).unwrap().key(&hot()).is_ok());
    let away = folder.path().join(".away");
    fs::rename(&path, &away).unwrap();
    symlink(&away, &path).unwrap();
    let said = refusal(&folder, &hot());
    assert!(said.contains("link"), "{said}");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let said = refusal(&folder, &hot());
    assert!(said.contains("something else"), "{said}");
    fs::remove_dir(&path).unwrap();
    fs::write(&path, vec![b' '; 17_000]).unwrap();
    mode(&path, 0o600);
    let said = refusal(&folder, &hot());
    assert!(said.contains("longer than 16384 bytes"), "{said}");

    let said = |failure: Failure| failure.to_string();
    mode(folder.path(), 0o770);
    let refused = said(open(folder.path()).unwrap_err());
    assert!(refused.contains("nobody else may write"), "{refused}");
    mode(folder.path(), 0o700);
    mode(&folder.path().join(header::FILE), 0o644);
    let refused = said(open(folder.path()).unwrap_err());
    assert!(refused.contains("keystore.json has mode 0644"), "{refused}");
    let link = tempfile::tempdir().unwrap();
    let link = link.path().join("link");
    symlink(folder.path(), &link).unwrap();
    let refused = said(open(&link).unwrap_err());
    assert!(refused.contains("link"), "{refused}");
    let empty = tempfile::tempdir().unwrap();
    let refused = said(open(empty.path()).unwrap_err());
    assert!(refused.contains("no keystore.json"), "{refused}");
}

/// Only the superuser can give files away; as another user this holds the rest.
#[test]
fn a_file_of_another_user_is_refused() {
    let folder = made();
    let path = path_of(&folder, &hot());
    if std::os::unix::fs::chown(&path, Some(4242), None).is_err() {
        assert!(!rustix::process::geteuid().is_root());
        return;
    }
    let said = refusal(&folder, &hot());
    assert!(said.contains("belongs to user 4242"), "{said}");
}

#[test]
fn a_file_is_its_keys_and_this_keystores() {
    let folder = made();
    let cold = key(KeyPurpose::Spend, "eth-cold");
    fs::copy(path_of(&folder, &hot()), path_of(&folder, &cold)).unwrap();
    let said = refusal(&folder, &cold);
    assert!(
        said.contains("is the file of strongroom:spend:eth-hot"),
        "{said}"
    );
    let test = key(KeyPurpose::Test, "eth-hot");
    fs::copy(path_of(&folder, &hot()), path_of(&folder, &test)).unwrap();
    let said = refusal(&folder, &test);
    assert!(said.contains("is the file of"), "{said}");
    // The same name, from a keystore with the same passphrase.
    let other = made();
    for key in [hot(), log(), coins()] {
        fs::copy(path_of(&other, &key), path_of(&folder, &key)).unwrap();
        let said = refusal(&folder, &key);
        assert!(said.contains("another keystore"), "{said}");
    }
    // What lies about beside.
    write(folder.path(), "notes.txt", "hello");
    let listed = open(folder.path()).unwrap().list().unwrap();
    assert_eq!(listed.iter().filter(|key| key.usable.is_ok()).count(), 0);
    assert!(listed.iter().any(|key| key.label == "notes.txt"));
}

#[test]
fn an_unknown_version_is_refused_by_name() {
    let folder = made();
    for (name, from, to, why) in [
        (
            "spend.eth-hot.json",
            "\"version\": 3",
            "\"version\": 4",
            "web3-secret-storage 4",
        ),
        (
            "checkpoint.log.json",
            "\"version\": 1",
            "\"version\": 2",
            "strongroom-key 2",
        ),
        (
            "checkpoint.log.json",
            "strongroom-key",
            "other-key",
            "other-key 1",
        ),
        (
            "checkpoint.log.json",
            "\"ed25519\"",
            "\"secp256k1\"",
            "for secp256k1",
        ),
    ] {
        let path = folder.path().join(name);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let key = file::key_of(name).unwrap();
        let said = refusal(&folder, &key);
        assert!(said.contains(why), "{said}");
        fs::write(&path, text).unwrap();
    }
    let path = folder.path().join(header::FILE);
    let text = fs::read_to_string(&path).unwrap();
    for (from, to, why) in [
        ("\"version\": 1", "\"version\": 2", "strongroom-keystore 2"),
        (
            "\"memory_kib\": 8192",
            "\"memory_kib\": 1048577",
            "more than 1 GiB",
        ),
        (
            "\"memory_kib\": 8192",
            "\"memory_kib\": 8191",
            "less than 8 MiB",
        ),
        ("\"passes\": 1", "\"passes\": 4294967295", "too many"),
        ("\"lanes\": 1", "\"lanes\": 0", "no lane"),
        ("\"n\": 4096", "\"n\": 2048", "below 4096"),
        ("\"p\": 1", "\"p\": 4294967295", "too long"),
        (
            "\"serial\"",
            "\"serial\": \"00\", \"serial\"",
            "known shape",
        ),
        ("\"serial\"", "\"more\": 1, \"serial\"", "known shape"),
    ] {
        assert!(text.contains(from), "{from}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let said = open(folder.path()).unwrap_err().to_string();
        assert!(said.contains(why), "{to}: {said}");
    }
}

#[test]
fn an_imported_key_is_the_same_and_comes_in_once() {
    let folder = made();
    let keystore = open(folder.path()).unwrap();
    let taken = key(KeyPurpose::Spend, "taken-over");
    let text = vector("eth-keyfile-scrypt.json");
    let wrong = keystore.import(&taken, &text, &pin("wrong"));
    assert_eq!(wrong.unwrap_err(), Failure::PinRejected);
    assert!(!path_of(&folder, &taken).exists());
    let made = keystore.import(&taken, &text, &pin(PASSPHRASE)).unwrap();
    let public = "0332d87c5cd4b31d81c5b010af42a2e413af253dc3a91bd3d53c6b2c45291c3de7";
    assert_eq!(made.public.to_string(), public);
    let again = keystore.import(&taken, &text, &pin(PASSPHRASE));
    assert_eq!(again.unwrap_err(), Failure::KeyExists);
    let twin = key(KeyPurpose::Test, "twin");
    let again = keystore.import(&twin, &text, &pin(PASSPHRASE)).unwrap_err();
    assert!(
        again.to_string().contains("strongroom:spend:taken-over"),
        "{again}"
    );
    // Nor does the same secret to sign otherwise.
    let secret = Secret::filled(|bytes| {
        *bytes = *keystore.key(&taken).unwrap().secret.expose()?;
        Ok::<(), KeystoreError>(())
    });
    let again = keystore.add(&twin, KeyAlgorithm::Bip340, secret.unwrap());
    assert!(matches!(again, Err(KeystoreError::SameSecret { .. })));
    // An Ed25519 key of another keystore.
    let log_2 = key(KeyPurpose::Checkpoint, "log-2");
    let text = vector("checkpoint.log.json");
    let made = keystore.import(&log_2, &text, &pin(PASSPHRASE)).unwrap();
    let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    assert_eq!(made.public.to_string(), public);
    let anew = open(folder.path()).unwrap();
    assert_eq!(anew.key(&log_2).unwrap().public, made.public);
}

#[test]
fn a_key_that_is_held_is_not_read_again() {
    let folder = made();
    let keystore = open(folder.path()).unwrap();
    let held = keystore.key(&hot()).unwrap().public;
    fs::write(path_of(&folder, &hot()), "gone").unwrap();
    assert_eq!(keystore.key(&hot()).unwrap().public, held);
    assert!(matches!(
        open(folder.path()).unwrap().key(&hot()),
        Err(KeystoreError::File { .. })
    ));
}

#[test]
fn nothing_is_left_of_a_file_that_could_not_be_written() {
    let folder = made();
    let keystore = open(folder.path()).unwrap();
    let path = path_of(&folder, &key(KeyPurpose::Spend, "second"));
    symlink("/nonexistent", &path).unwrap();
    let second = key(KeyPurpose::Spend, "second");
    let refused = keystore.generate(&second, KeyAlgorithm::Secp256k1);
    assert_eq!(refused.unwrap_err(), Failure::KeyExists);
    let hidden = fs::read_dir(folder.path()).unwrap();
    let hidden = hidden.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with('.')
    });
    assert_eq!(hidden.count(), 0);
}
