//! Seeds: the definitions' vectors, another library, and the container.

use bitcoin::{
    Address, CompressedPublicKey, Network, NetworkKind,
    bip32::{DerivationPath, Fingerprint, Xpriv},
    key::{Secp256k1, XOnlyPublicKey},
};
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::{
    PublicKey,
    keystore::{
        Derivation, KeystoreError, NewSeed, PathError, SEED_BYTES, Secret, derivation,
        hex::Hex,
        pair, probe,
        seed::{self, SeedFile},
    },
};

/// Of the phrase "abandon … about", the first of BIP-39's test vectors, without a passphrase. Whatever is derived
/// from it belongs to everybody.
const ABANDON: &str = "5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70811aaed6f6da5fc1\
                       9a5ac40b389cd370d086206dec8aa6c43daea6690f20ad3d8d48b2d2ce9e38e4";

fn abandon() -> Zeroizing<[u8; SEED_BYTES]> {
    Zeroizing::new(hex::decode(ABANDON).unwrap().try_into().unwrap())
}

fn derived(algorithm: KeyAlgorithm, seed: &[u8], path: &str) -> Secret {
    let derivation = Derivation::new(algorithm, path).unwrap();
    derivation.derive(seed).unwrap()
}

fn add(keystore: &Keystore, name: &str, seed: &NewSeed<'_>) -> Result<Fingerprint, Failure> {
    keystore.add_seed(&name.parse().unwrap(), seed, &pin(PASSPHRASE))
}

/// Takes a text over, whose passphrase is said to be this.
fn taken_over(
    keystore: &Keystore,
    name: &str,
    text: &str,
    passphrase: &str,
) -> Result<Fingerprint, Failure> {
    let passphrase = &pin(passphrase);
    add(keystore, name, &NewSeed::Imported { text, passphrase })
}

fn treasury() -> tx::Name {
    "treasury".parse().unwrap()
}

/// <https://github.com/satoshilabs/slips/blob/master/slip-0010.md>, test vectors 1 and 2 for ed25519.
#[test]
fn ed25519_keys_are_those_of_slip_0010() {
    let first = "000102030405060708090a0b0c0d0e0f";
    let second = "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a2\
                  9f9c999693908d8a8784817e7b7875726f6c696663605d5a5754514e4b484542";
    for (seed, path, secret) in [
        (
            first,
            "m/0'",
            "68e0fe46dfb67e368c75379acec591dad19df3cde26e63b93a8e704f1dade7a3",
        ),
        (
            first,
            "m/0'/1'",
            "b1d0bad404bf35da785a64ca1ac54b2617211d2777696fbffaf208f746ae84f2",
        ),
        (
            first,
            "m/0h/1h/2h/2h/1000000000h",
            "8f94d394a8e8fd6b1bc2f3f49f5c47e385281d5c17e65324b0f62483e37e8793",
        ),
        (
            second,
            "m/0'",
            "1559eb2bbec5790b0c65d8693e4d0875b1747f4970ae8b650486ed7470845635",
        ),
        (
            second,
            "m/0'/2147483647'/1'/2147483646'/2'",
            "551d333177df541ad876a60ea71f00447931c0a9da16f227c11ea080d7391b8d",
        ),
    ] {
        let seed = hex::decode(seed).unwrap();
        let found = derived(KeyAlgorithm::Ed25519, &seed, path);
        assert_eq!(hex::encode(found.expose().unwrap()), secret, "{path}");
    }
}

/// Addresses of BIP-84's and BIP-86's test vectors, and what wallets of EVM chains show for the same words.
#[test]
fn addresses_are_those_of_other_wallets() {
    let (seed, secp) = (abandon(), Secp256k1::new());
    let secret = derived(KeyAlgorithm::Secp256k1, seed.as_slice(), "m/84'/0'/0'/0/0");
    let public = pair::public(KeyAlgorithm::Secp256k1, &secret).unwrap();
    let public = CompressedPublicKey::from_slice(public.unwrap().as_bytes()).unwrap();
    assert_eq!(
        Address::p2wpkh(&public, Network::Bitcoin).to_string(),
        "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"
    );
    let secret = derived(KeyAlgorithm::Bip340, seed.as_slice(), "m/86'/0'/0'/0/0");
    let public = pair::public(KeyAlgorithm::Bip340, &secret)
        .unwrap()
        .unwrap();
    assert_eq!(
        public.to_string(),
        "a60869f0dbcf1dc659c9cecbaf8050135ea9e8cdc487053f1dc6880949dc684c"
    );
    let internal = "cc8a4bc64d897bddc5fbc2f670f7a8ba0b386779106cf1223c6fc5d7cd6fc115";
    let internal: XOnlyPublicKey = internal.parse().unwrap();
    let address = Address::p2tr(&secp, internal, None, Network::Bitcoin);
    let public = XOnlyPublicKey::from_slice(public.as_bytes()).unwrap();
    assert_eq!(
        address.script_pubkey().as_bytes().get(2..),
        Some(public.serialize().as_slice())
    );
    let secret = derived(KeyAlgorithm::Secp256k1, seed.as_slice(), "m/44'/60'/0'/0/0");
    let address = pair::address(&secret).unwrap().unwrap();
    assert_eq!(
        hex::encode(address),
        "9858effd232b4033e47d90003d41ec34ecaeda94"
    );
    let fingerprint = derivation::fingerprint(seed.as_slice()).unwrap();
    assert_eq!(fingerprint.to_string(), "73c5da0a");
}

proptest! {
    /// BIP-32 by another library, and BIP-86's output keys.
    #[test]
    fn secp256k1_keys_are_those_of_another_library(
        seed in prop::array::uniform32(any::<u8>()),
        steps in prop::collection::vec(any::<u32>(), 1..6),
    ) {
        let path = DerivationPath::from(
            steps.iter().map(|step| (*step).into()).collect::<Vec<_>>(),
        );
        let secp = Secp256k1::new();
        let whole = Xpriv::new_master(NetworkKind::Main, &seed).unwrap();
        prop_assert_eq!(derivation::fingerprint(&seed).unwrap(), whole.fingerprint(&secp));
        let wanted = whole.derive_priv(&secp, &path).unwrap();
        let path = format!("m/{path}");
        let found = derived(KeyAlgorithm::Secp256k1, &seed, &path);
        prop_assert_eq!(found.expose().unwrap(), &wanted.private_key.secret_bytes());
        let found = derived(KeyAlgorithm::Bip340, &seed, &path);
        let found = pair::public(KeyAlgorithm::Bip340, &found).unwrap().unwrap();
        let (internal, _) = wanted.private_key.x_only_public_key(&secp);
        let address = Address::p2tr(&secp, internal, None, Network::Bitcoin);
        let script = address.script_pubkey();
        prop_assert_eq!(script.as_bytes().get(2..), Some(found.as_bytes()));
    }
}

#[test]
fn a_path_is_spelt_and_hardened_as_it_must_be() {
    let refused = |algorithm, path: &str| Derivation::new(algorithm, path).unwrap_err();
    for path in [
        "",
        "44'/60'",
        "/44'",
        "m//1",
        "m/a",
        "m/-1",
        "m/2147483648",
        "m/1''",
        "n/1",
        "mm/1",
    ] {
        let error = refused(KeyAlgorithm::Secp256k1, path);
        assert_eq!(error, PathError::Spelling, "{path:?}");
    }
    for path in ["m", "m/"] {
        let error = refused(KeyAlgorithm::Bip340, path);
        assert_eq!(error, PathError::NoStep, "{path:?}");
    }
    let long = |steps| format!("m{}", "/1'".repeat(steps));
    assert!(Derivation::new(KeyAlgorithm::Ed25519, &long(255)).is_ok());
    assert_eq!(
        refused(KeyAlgorithm::Ed25519, &long(256)),
        PathError::TooLong
    );
    assert_eq!(
        refused(KeyAlgorithm::Ed25519, "m/44'/501'/0'/0"),
        PathError::NotHardened
    );
    let read = Derivation::new(KeyAlgorithm::Secp256k1, "m/44h/60'/0").unwrap();
    assert_eq!(read.to_string(), "m/44'/60'/0");
}

#[test]
fn keys_are_derived_and_sign_and_come_in_once() {
    let folder = made();
    let keystore = open(folder.path()).unwrap();
    let fingerprint = add(&keystore, "treasury", &NewSeed::Given(&abandon())).unwrap();
    assert_eq!(fingerprint.to_string(), "73c5da0a");
    let second = key(KeyPurpose::Spend, "second");
    let path = Derivation::new(KeyAlgorithm::Secp256k1, "m/44'/60'/0'/0/1").unwrap();
    let made = keystore
        .derive(&second, &treasury(), &path, &pin(PASSPHRASE))
        .unwrap();
    let twin = key(KeyPurpose::Spend, "twin");
    let again = keystore
        .derive(&twin, &treasury(), &path, &pin(PASSPHRASE))
        .unwrap_err();
    assert!(again.to_string().contains("spend:second"), "{again}");
    for (name, algorithm, path) in [
        ("sol", KeyAlgorithm::Ed25519, "m/44'/501'/0'"),
        ("p2tr", KeyAlgorithm::Bip340, "m/86'/0'/0'/0/0"),
    ] {
        let path = Derivation::new(algorithm, path).unwrap();
        let key = key(KeyPurpose::Spend, name);
        let made = keystore
            .derive(&key, &treasury(), &path, &pin(PASSPHRASE))
            .unwrap();
        assert_eq!(made.public.algorithm(), algorithm);
    }
    // As from the disk.
    let anew = open(folder.path()).unwrap();
    assert_eq!(anew.key(&second).unwrap().public, made.public);
    assert!(matches!(made.public, PublicKey::Secp256k1(_)));
    let seeds = anew.seeds().unwrap();
    assert_eq!(seeds.len(), 1);
    assert_eq!(seeds[0].readable.as_ref().unwrap(), &fingerprint);
    // No key of the keystore is called as a seed's file is.
    assert!(anew.list().unwrap().iter().all(|key| key.usable.is_ok()));
    let nobody = "nobody".parse().unwrap();
    let third = key(KeyPurpose::Spend, "third");
    let none = keystore
        .derive(&third, &nobody, &path, &pin(PASSPHRASE))
        .unwrap_err();
    assert!(none.to_string().contains("seed.nobody.json"), "{none}");
}

#[test]
fn a_seed_is_never_replaced_and_two_are_not_the_same() {
    let folder = made();
    let keystore = open(folder.path()).unwrap();
    let first = add(&keystore, "treasury", &NewSeed::Random).unwrap();
    let again = add(&keystore, "treasury", &NewSeed::Random).unwrap_err();
    assert!(again.to_string().contains("exists already"), "{again}");
    let other = add(&keystore, "other", &NewSeed::Random).unwrap();
    assert_ne!(first, other);
    let listed = keystore.seeds().unwrap();
    let listed: Vec<_> = listed
        .into_iter()
        .map(|seed| (seed.name.to_string(), seed.readable.unwrap()))
        .collect();
    assert_eq!(
        listed,
        [("other".to_owned(), other), ("treasury".to_owned(), first)]
    );
}

#[test]
fn a_seed_of_another_keystore_is_taken_over() {
    let folder = made();
    let text = vector("seed.treasury.json");
    let keystore = open(folder.path()).unwrap();
    let wrong = taken_over(&keystore, "treasury", &text, "wrong");
    assert_eq!(wrong.unwrap_err(), Failure::PinRejected);
    let name = seed::file_of(&treasury());
    assert!(!folder.path().join(&name).exists());
    let taken = taken_over(&keystore, "treasury", &text, PASSPHRASE);
    assert_eq!(taken.unwrap().to_string(), "73c5da0a");
    // Under another name.
    let written = fs::read_to_string(folder.path().join(&name)).unwrap();
    write(folder.path(), "seed.renamed.json", &written);
    let seeds = keystore.seeds().unwrap();
    let renamed = seeds.iter().find(|seed| seed.name.as_str() == "renamed");
    let said = renamed.unwrap().readable.as_ref().unwrap_err().to_string();
    assert!(said.contains("is the file of the seed treasury"), "{said}");
    for (from, to, why) in [
        ("strongroom-seed", "strongroom-sod", "strongroom-sod 1"),
        ("\"version\": 1", "\"version\": 2", "strongroom-seed 2"),
        ("\"nonce\"", "\"more\": 1, \"nonce\"", "known shape"),
        ("\"passes\": 2", "\"passes\": 0", "no pass"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        let said = taken_over(&keystore, "another", &changed, PASSPHRASE);
        let said = said.unwrap_err().to_string();
        assert!(said.contains(why), "{said}");
    }
    // A seed is no key, nor a key a seed.
    let taken = key(KeyPurpose::Spend, "taken");
    let said = keystore
        .import(&taken, &text, &pin(PASSPHRASE))
        .unwrap_err();
    assert!(said.to_string().contains("strongroom-seed 1"), "{said}");
    let text = vector("checkpoint.log.json");
    let said = taken_over(&keystore, "key", &text, PASSPHRASE).unwrap_err();
    assert!(said.to_string().contains("strongroom-key 1"), "{said}");
}

/// Written by the other implementation and read here; written here with the same random parts, letter for letter.
#[test]
fn the_container_is_that_of_another_implementation() {
    let text = vector("seed.treasury.json");
    let seed = SeedFile::parse(&text).unwrap().open(&pin(PASSPHRASE));
    let seed = seed.unwrap();
    assert_eq!(seed.expose().unwrap(), &*abandon());
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let argon2id = serde_json::from_value(file["argon2id"].clone()).unwrap();
    let nonce = serde_json::from_value(file["nonce"].clone()).unwrap();
    let written = SeedFile::new(&treasury(), &seed, argon2id, nonce, &pin(PASSPHRASE));
    assert_eq!(probe::text(&written.unwrap()).unwrap(), text);
}

/// What opens the keys is in the key child for as long as it runs, and the passphrase is not.
#[test]
fn what_opens_a_keystore_opens_none_of_its_seeds() {
    let folder = made();
    let keystore = open(folder.path()).unwrap();
    add(&keystore, "treasury", &NewSeed::Random).unwrap();
    let path = folder.path().join(seed::file_of(&treasury()));
    let file = SeedFile::parse(&fs::read_to_string(path).unwrap()).unwrap();
    assert!(file.opens(&keystore.opened.seal).is_err());
    assert!(file.opens(&keystore.opened.web3).is_err());
    assert!(file.open(&pin(PASSPHRASE)).is_ok());
    let other = pin("correct horse battery stapl");
    let refused = keystore.derive(
        &key(KeyPurpose::Spend, "derived"),
        &treasury(),
        &Derivation::new(KeyAlgorithm::Secp256k1, "m/0").unwrap(),
        &other,
    );
    assert!(matches!(refused, Err(Failure::KeyFileRefused { .. })));
}

/// Each bit of each byte; the salt's and the parameters' each cost a derivation.
#[test]
fn a_changed_bit_of_a_seed_is_refused_wherever_it_is() {
    let folder = made();
    let keystore = open(folder.path()).unwrap();
    add(&keystore, "treasury", &NewSeed::Random).unwrap();
    let text = fs::read(folder.path().join(seed::file_of(&treasury()))).unwrap();
    let argon2id = SeedFile::parse(str::from_utf8(&text).unwrap())
        .unwrap()
        .argon2id;
    let derived = argon2id.derive(&pin(PASSPHRASE)).unwrap();
    let opens = |text: &[u8], bit: u32| {
        let text = str::from_utf8(text).ok()?;
        let file = SeedFile::parse(text).ok()?;
        file.check_name(&treasury()).ok()?;
        match file.argon2id == argon2id {
            true => file.opens(&derived).ok().map(drop),
            false if bit == 0 => file.open(&pin(PASSPHRASE)).ok().map(drop),
            false => None,
        }
    };
    assert!(opens(&text, 0).is_some());
    for place in 0..text.len() {
        for bit in 0..8 {
            let mut changed = text.clone();
            changed[place] ^= 1 << bit;
            assert!(opens(&changed, bit).is_none(), "bit {bit} of byte {place}");
        }
    }
}

/// A fingerprint that somebody who knows the passphrase sealed, and that is another seed's.
#[test]
fn a_seed_is_its_fingerprints() {
    let folder = made();
    let keystore = open(folder.path()).unwrap();
    let mut file = SeedFile::new(
        &treasury(),
        &Secret::filled(|bytes| {
            bytes.fill(7);
            Ok::<(), KeystoreError>(())
        })
        .unwrap(),
        keystore.opened.header.argon2id.clone(),
        Hex([7; 24]),
        &pin(PASSPHRASE),
    )
    .unwrap();
    file.claim(&pin(PASSPHRASE), Hex([7; 4])).unwrap();
    let text = probe::text(&file).unwrap();
    let said = taken_over(&keystore, "treasury", &text, PASSPHRASE).unwrap_err();
    assert!(said.to_string().contains("does not belong"), "{said}");
    write(folder.path(), "seed.treasury.json", &text);
    let said = keystore.derive(
        &key(KeyPurpose::Spend, "derived"),
        &treasury(),
        &Derivation::new(KeyAlgorithm::Secp256k1, "m/0").unwrap(),
        &pin(PASSPHRASE),
    );
    let said = said.unwrap_err().to_string();
    assert!(said.contains("does not belong"), "{said}");
}
