//! The vectors of BIP-174, and the valid ones of BIP-371.
//!
//! The valid ones are valid for signers of every kind of script. This one signs P2WPKH and the key's path of
//! P2TR only, so it refuses them too, each for the first thing in it that is none of its business.

use base64ct::{Base64, Encoding};
use strongroom_tx::{Chain, Network, utxo};

#[test]
fn every_vector_is_refused_by_its_name() {
    let expected = [
        ("invalid-1", "utxo-magic"),
        ("invalid-2", "utxo-truncated"),
        ("invalid-3", "utxo-unsigned-script"),
        ("invalid-4", "utxo-unsigned-missing"),
        ("invalid-5", "utxo-field-twice"),
        ("valid-1", "utxo-input-script"),
        ("valid-2", "utxo-signed-already"),
        ("valid-3", "utxo-input-script"),
        ("valid-4", "utxo-field-script"),
        ("valid-5", "utxo-signed-already"),
        ("valid-6", "utxo-field-unknown"),
        ("bip371-valid-1", "utxo-field-unknown"),
        ("bip371-valid-2", "utxo-field-unknown"),
        ("bip371-valid-3", "utxo-field-unknown"),
        ("bip371-valid-4", "utxo-field-unknown"),
        ("bip371-valid-5", "utxo-field-unknown"),
        ("bip371-valid-6", "utxo-field-unknown"),
    ];
    let vectors = include_str!("bip174.txt").lines();
    let refused: Vec<(&str, &str)> = vectors
        .map(|line| {
            let (name, hexadecimal) = line.split_once(' ').unwrap();
            let psbt = Base64::encode_string(&hex::decode(hexadecimal).unwrap());
            let view = utxo::view(Chain::Bitcoin(Network::Mainnet), &psbt);
            (name, view.unwrap_err().code())
        })
        .collect();
    assert_eq!(refused, expected);
}
