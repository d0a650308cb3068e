//! The formats, held against other implementations and against every changed byte.
//!
//! The files under `vectors` are by `softhsm-tests/oracle/keystore`: eth-keyfile, argon2-cffi,
//! PyNaCl and pycryptodome.

use std::fs;

use super::*;
use crate::{
    keystore::{container::Container, header::Header, hex::Hex, import, probe, web3},
    protocol::{Bytes, SignInput},
    verify,
};

/// The secret of the Web3 Secret Storage definition's test vectors.
const SECRET: &str = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";
/// The secret of the first test vector of RFC 8032, section 7.1.
const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";

/// <https://ethereum.org/en/developers/docs/data-structures-and-encoding/web3-secret-storage/>,
/// test vectors.
const PBKDF2: &str = r#"{
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": { "iv": "6087dab2f9fdbbfaddc31a909735c1e6" },
        "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
        "kdf": "pbkdf2",
        "kdfparams": {
            "c": 262144, "dklen": 32, "prf": "hmac-sha256",
            "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"
        },
        "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"
    },
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    "version": 3
}"#;
const SCRYPT: &str = r#"{
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": { "iv": "83dbcc02d8ccb40e466191a123791e0e" },
        "ciphertext": "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
        "kdf": "scrypt",
        "kdfparams": {
            "dklen": 32, "n": 262144, "p": 8, "r": 1,
            "salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19"
        },
        "mac": "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097"
    },
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    "version": 3
}"#;

fn imported(text: &str, passphrase: &str) -> Result<String, String> {
    let opened = import::open(text, &pin(passphrase));
    let (_, secret) = opened.map_err(|mismatch| mismatch.of("the file").to_string())?;
    Ok(::hex::encode(secret.expose().unwrap()))
}

#[test]
fn the_definitions_vector_for_pbkdf2_is_read() {
    assert_eq!(imported(PBKDF2, "testpassword").unwrap(), SECRET);
}

#[test]
fn the_definitions_vector_for_scrypt_is_read() {
    assert_eq!(imported(SCRYPT, "testpassword").unwrap(), SECRET);
    let wrong = imported(SCRYPT, "testpassworc").unwrap_err();
    assert!(wrong.contains("passphrase"), "{wrong}");
}

#[test]
fn what_eth_keyfile_wrote_is_read() {
    for name in ["eth-keyfile-scrypt.json", "eth-keyfile-pbkdf2.json"] {
        assert_eq!(imported(&vector(name), PASSPHRASE).unwrap(), SECRET);
    }
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    let text = vector("eth-keyfile-scrypt.json");
    let refused = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        imported(&text.replacen(from, to, 1), PASSPHRASE).unwrap_err()
    };
    let cases = [
        ("\"version\": 3", "\"version\": 4", "web3-secret-storage 4"),
        ("aes-128-ctr", "aes-128-cbc", "aes-128-cbc"),
        (
            "\"kdf\": \"scrypt\"",
            "\"kdf\": \"argon2id\"",
            "neither scrypt nor PBKDF2",
        ),
        ("\"n\": 4096", "\"n\": 4095", "no power of two"),
        ("\"n\": 4096", "\"n\": 2097152", "1 GiB"),
        ("\"n\": 4096", "\"n\": 18446744073709551616", "kdfparams"),
        ("\"r\": 8", "\"r\": 4294967295", "1 GiB"),
        ("\"p\": 1", "\"p\": 4294967295", "too long"),
        ("\"p\": 1", "\"p\": 0", "of 0"),
        ("\"dklen\": 32", "\"dklen\": 64", "32 bytes"),
        ("\"dklen\": 32", "\"dklen\": 32, \"more\": 1", "kdfparams"),
        ("ec2fc4a6", "ec2fc4", "32 bytes"),
        ("008AeEda", "018AeEda", "does not belong"),
        ("4376041a", "4376041b", "does not belong"),
    ];
    for (from, to, why) in cases {
        let said = refused(from, to);
        assert!(said.contains(why), "{to}: {said}");
    }
    let pbkdf2 = vector("eth-keyfile-pbkdf2.json");
    for (from, to, why) in [
        ("hmac-sha256", "hmac-sha1", "HMAC-SHA-256"),
        ("\"c\": 2000", "\"c\": 10", "iterations"),
        ("\"c\": 2000", "\"c\": 4000000000", "iterations"),
    ] {
        let said = imported(&pbkdf2.replacen(from, to, 1), PASSPHRASE).unwrap_err();
        assert!(said.contains(why), "{to}: {said}");
    }
}

/// Written by the other implementation, read here.
#[test]
fn a_keystore_of_another_implementation_signs() {
    let folder = foreign();
    let keystore = open(folder.path()).unwrap();
    for (key, secret) in [(hot(), SECRET), (log(), SEED)] {
        let held = keystore.key(&key).unwrap();
        assert_eq!(::hex::encode(held.secret.expose().unwrap()), secret);
        let input = match held.public.algorithm() {
            KeyAlgorithm::Secp256k1 => SignInput::Digest([7; 32]),
            KeyAlgorithm::Ed25519 => SignInput::Message(Bytes::new(b"message").unwrap()),
            KeyAlgorithm::Bip340 => SignInput::Bip340([7; 32]),
        };
        let signature = held.sign(&input).unwrap();
        verify::check(&held.public, &input, signature.as_bytes()).unwrap();
    }
    let wrong = open_with(folder.path(), "correct horse battery stapl");
    assert_eq!(wrong.unwrap_err(), Failure::PinRejected);
}

/// Written here with the same random parts: letter for letter what the other implementation wrote,
/// so that it reads what is written here.
#[test]
fn what_is_written_is_what_another_implementation_writes() {
    let folder = foreign();
    let keystore = open(folder.path()).unwrap();
    let (hot_held, log_held) = (keystore.key(&hot()).unwrap(), keystore.key(&log()).unwrap());
    let drawn = web3::Drawn {
        id: hex_of("dd19bde31c07423488f5da5e6d081115"),
        iv: hex_of("a56871c7ca68e390c036ae43ef52c7ca"),
        nonce: hex_of("63238cf592dbee40c4c5f3eaa5f20e2bd20f0e57d6b84315"),
    };
    let web3 = web3::Web3File::new(&hot(), &hot_held.secret, &keystore.opened, drawn).unwrap();
    assert_eq!(probe::text(&web3).unwrap(), vector("spend.eth-hot.json"));
    let nonce = hex_of("a868873485ec817294748b733efb790b53b9e54c524d4a16");
    let algorithm = KeyAlgorithm::Ed25519;
    let container =
        Container::new(&log(), algorithm, &log_held.secret, &keystore.opened, nonce).unwrap();
    assert_eq!(
        probe::text(&container).unwrap(),
        vector("checkpoint.log.json")
    );
    let header = Header::parse(&vector("keystore.json")).unwrap();
    assert_eq!(probe::text(&header).unwrap(), vector("keystore.json"));
}

fn hex_of<const N: usize>(text: &str) -> Hex<N> {
    Hex(::hex::decode(text).unwrap().try_into().unwrap())
}

/// RFC 6979, section A.2.5 has no secp256k1; this is the vector that Bitcoin's libraries share:
/// the secret 1 and the SHA-256 of "Satoshi Nakamoto".
#[test]
fn nonces_are_those_of_rfc_6979() {
    use sha2::{Digest, Sha256};
    let secret = crate::keystore::secret::Secret::filled(|bytes| {
        bytes[31] = 1;
        Ok::<(), crate::keystore::KeystoreError>(())
    })
    .unwrap();
    let digest: [u8; 32] = Sha256::digest(b"Satoshi Nakamoto").into();
    let input = SignInput::Digest(digest);
    let signature = crate::keystore::pair::sign(KeyAlgorithm::Secp256k1, &secret, &input).unwrap();
    assert_eq!(
        ::hex::encode(signature.as_bytes()),
        "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8\
         2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5"
    );
}

/// The first of BIP-340's test vectors: the secret 3, whose point has an even y; and its negative, whose has not.
#[test]
fn a_bip_340_key_is_an_x_coordinate() {
    let public = "f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9";
    let three = "0000000000000000000000000000000000000000000000000000000000000003";
    let negative = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd036413e";
    for text in [three, negative] {
        let secret = crate::keystore::secret::Secret::filled(|bytes| {
            ::hex::decode_to_slice(text, bytes).unwrap();
            Ok::<(), crate::keystore::KeystoreError>(())
        })
        .unwrap();
        let algorithm = KeyAlgorithm::Bip340;
        let made = crate::keystore::pair::public(algorithm, &secret).unwrap();
        let made = made.unwrap();
        assert_eq!(made.to_string(), public);
        let input = SignInput::Bip340([7; 32]);
        let sign = || crate::keystore::pair::sign(algorithm, &secret, &input).unwrap();
        let (one, other) = (sign(), sign());
        assert_ne!(one, other, "auxiliary randomness");
        for signature in [one, other] {
            verify::check(&made, &input, signature.as_bytes()).unwrap();
        }
    }
}

/// Each bit of each byte of each file.
#[test]
fn a_changed_bit_is_refused_wherever_it_is() {
    let folder = made();
    let keystore = open(folder.path()).unwrap();
    for key in [hot(), log(), coins()] {
        let text = fs::read(path_of(&folder, &key)).unwrap();
        let whole = str::from_utf8(&text).unwrap();
        let file = file::KeyFile::parse(whole).unwrap();
        assert!(file.open(&key, &keystore.opened).is_ok());
        for place in 0..text.len() {
            for bit in 0..8 {
                let mut changed = text.clone();
                changed[place] ^= 1 << bit;
                let opened = str::from_utf8(&changed)
                    .ok()
                    .and_then(|text| file::KeyFile::parse(text).ok())
                    .and_then(|file| file.open(&key, &keystore.opened).ok());
                assert!(opened.is_none(), "{key}: bit {bit} of byte {place}");
            }
        }
    }
}

/// The header's own bits: refused, or as good as another passphrase.
#[test]
fn a_changed_bit_of_the_header_opens_nothing() {
    let text = vector("keystore.json").into_bytes();
    assert!(Header::parse(str::from_utf8(&text).unwrap()).is_ok());
    let mut derived = 0;
    for place in 0..text.len() {
        for bit in 0..8 {
            let mut changed = text.clone();
            changed[place] ^= 1 << bit;
            let Ok(header) = str::from_utf8(&changed)
                .map_err(|_| ())
                .and_then(|text| Header::parse(text).map_err(|_| ()))
            else {
                continue;
            };
            // Each costs a derivation: the lowest bit of each byte will do.
            if bit == 0 {
                derived += 1;
                assert!(header.open(&pin(PASSPHRASE)).is_err(), "byte {place}");
            }
        }
    }
    assert!(derived > 100, "{derived}");
}
