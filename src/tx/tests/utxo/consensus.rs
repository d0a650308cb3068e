//! Assembled transactions before Bitcoin's own script engine, and litecoind's.

use bitcoin::{Psbt, consensus::serialize};
use strongroom_tx::{
    Chain, EcdsaSignature, KeySignature, Network, OwnKey, Registry, SignedTransaction,
};

use super::support::{BITCOIN, FOREIGN, HOT, RULES, decode, previous, script, sign, spend, text};

/// Spends `inputs` outputs of all the hot keys in turn.
fn psbt(inputs: usize) -> Psbt {
    let transactions = (0..inputs).map(|index| {
        let salt = u8::try_from(index + 1).unwrap();
        let amount = 100_000 + index as u64;
        previous(salt, &[(amount, script(HOT[index % HOT.len()]))])
    });
    let amount = 90_000 * inputs as u64;
    spend(transactions.collect(), &[(amount, script(FOREIGN))])
}

/// Runs the script engine on every input.
fn verify(psbt: &Psbt, raw: &[u8]) -> Result<(), bitcoinconsensus::Error> {
    for (index, input) in psbt.inputs.iter().enumerate() {
        let spent = &input.non_witness_utxo.as_ref().unwrap().output[0];
        let script = spent.script_pubkey.as_bytes();
        bitcoinconsensus::verify(script, spent.value.to_sat(), raw, None, index)?;
    }
    Ok(())
}

#[test]
fn bitcoin_verifies_one_to_twenty_inputs_of_several_keys() {
    for inputs in 1..=20 {
        let psbt = psbt(inputs);
        let SignedTransaction { raw, txid } = sign(decode(BITCOIN, &text(&psbt)).unwrap());
        let raw = hex::decode(raw).unwrap();
        verify(&psbt, &raw).unwrap();
        assert_eq!(txid, psbt.unsigned_tx.compute_txid().to_string());
    }
}

#[test]
fn bitcoin_verifies_both_lengths_of_signatures() {
    let lengths: std::collections::BTreeSet<usize> = (0..30u32)
        .map(|height| {
            let mut psbt = psbt(1);
            psbt.unsigned_tx.lock_time = bitcoin::absolute::LockTime::from_consensus(height);
            let raw = hex::decode(sign(decode(BITCOIN, &text(&psbt)).unwrap()).raw).unwrap();
            verify(&psbt, &raw).unwrap();
            let signed: bitcoin::Transaction = bitcoin::consensus::deserialize(&raw).unwrap();
            signed.input[0].witness.nth(0).unwrap().len()
        })
        .collect();
    assert!(
        lengths.contains(&71) && lengths.contains(&72),
        "{lengths:?}"
    );
}

#[test]
fn bitcoin_refuses_a_changed_output_and_swapped_signatures() {
    let psbt = psbt(2);
    let decoded = decode(BITCOIN, &text(&psbt)).unwrap();
    let digests: Vec<_> = decoded.signings().iter().map(|s| s.digest).collect();
    let swapped: Vec<KeySignature> = [(HOT[1], &digests[1]), (HOT[0], &digests[0])]
        .map(|(seed, digest)| super::support::signature(seed, digest))
        .to_vec();
    let raw = strongroom_tx::assemble(decoded, &swapped).unwrap().raw;
    assert!(verify(&psbt, &hex::decode(raw).unwrap()).is_err());

    let raw = sign(decode(BITCOIN, &text(&psbt)).unwrap()).raw;
    let mut signed: bitcoin::Transaction =
        bitcoin::consensus::deserialize(&hex::decode(raw).unwrap()).unwrap();
    signed.output[0].value = bitcoin::Amount::from_sat(90_001);
    assert!(verify(&psbt, &serialize(&signed)).is_err());
}

/// What `walletcreatefundedpsbt` of litecoind 0.21.2 made on regtest: previous transactions, witness
/// outputs and derivations.
const LITECOIND_PSBT: &str = "cHNidP8BAJsCAAAAAhbG6GCRFSBpgqVltxG/5HePjoFZPYlY90rRz6BsIbgMAAAAAAD9////z7HXBzuL+47BL+BO4EOe0UILH9EibyiNmweAqknfopMAAAAAAP3///8CgHTSGgAAAAAXqRRvNtVdSnh4PVKXXXjykFCl1zfxO4cs4PoCAAAAABYAFEp6wTatldTH4S2Dk1yt1KZNYg6kAAAAAAABAHECAAAAAdbuHIWmt1zgUrJ34vUqqje7iSCdVKS6LgdAmrDSeLIkAAAAAAD+////AgDC6wsAAAAAFgAUdgsWoIvE83SAr0zemcHw3rqzJsz81fUFAAAAABYAFMLRq5ekI0K/hxg4N5wXM9ijuA0oAwAAAAEBHwDC6wsAAAAAFgAUdgsWoIvE83SAr0zemcHw3rqzJswiBgMsPFQ2rCA8OsJxpt8VmXlBcoPTHxDyd4K55WK6yYOjohD451vHAAAAgAAAAIAEAACAAAEAcQIAAAAB1u4chaa3XOBSsnfi9SqqN7uJIJ1UpLouB0CasNJ4siQBAAAAAP7///8CAKPhEQAAAAAWABR2Cxagi8TzdICvTN6ZwfDeurMmzPiVQgYBAAAAFgAUn/TVd2gM1Wg6HKQK5onuleNTOlNrAAAAAQEfAKPhEQAAAAAWABR2Cxagi8TzdICvTN6ZwfDeurMmzCIGAyw8VDasIDw6wnGm3xWZeUFyg9MfEPJ3grnlYrrJg6OiEPjnW8cAAACAAAAAgAQAAIAAACICA/eYG2FT7cTnwoZSAA0roKng0FW/nuUEIivvUCigXj5dEPjnW8cAAACAAQAAgAQAAIAA";
/// What `walletprocesspsbt` and `finalizepsbt` made of it.
const LITECOIND_RAW: &str = "0200000000010216c6e8609115206982a565b711bfe4778f8e81593d8958f74ad1cfa06c21b80c0000000000fdffffffcfb1d7073b8bfb8ec12fe04ee0439ed1420b1fd1226f288d9b0780aa49dfa2930000000000fdffffff028074d21a0000000017a9146f36d55d4a78783d52975d78f29050a5d737f13b872ce0fa02000000001600144a7ac136ad95d4c7e12d83935cadd4a64d620ea402473044022003621e7742ba63efe0f967d4f331d59d33a83a20d5354a63e49ee2b667e49b3e02202fe013feb0f97db69b5d9257783907218f296a8e6a0c5c32fe5e4d3f50de943e0121032c3c5436ac203c3ac271a6df159979417283d31f10f27782b9e562bac983a3a20247304402201d5a18dee80038a0971c44b1fdfc0ae9a01e0eade9e3798f5c7e7e653f653f470220554baacf04ad2e8fa39ab2eedde3e47ff73476dad2490ac3161b0e697db21ec60121032c3c5436ac203c3ac271a6df159979417283d31f10f27782b9e562bac983a3a200000000";
/// Its keys, of the inputs and of the change.
const LITECOIND_KEYS: [&str; 2] = [
    "032c3c5436ac203c3ac271a6df159979417283d31f10f27782b9e562bac983a3a2",
    "03f7981b6153edc4e7c28652000d2ba0a9e0d055bf9ee504222bef5028a05e3e5d",
];

#[test]
fn what_litecoind_signs_is_what_we_would_have_signed() {
    use strongroom_tx::{
        AccountClass,
        EffectKind::{Change, Fee, Payment},
    };
    let chain = Chain::Litecoin(Network::Regtest);
    let keys = LITECOIND_KEYS.map(|public| OwnKey {
        name: public[..8].parse().unwrap(),
        public: public.parse().unwrap(),
        account: "hot".parse().unwrap(),
        class: AccountClass::Hot,
        chains: vec![chain],
    });
    let transaction = strongroom_tx::Transaction::Psbt {
        chain,
        psbt: LITECOIND_PSBT.into(),
    };
    let registry = Registry::new(keys, []).unwrap();
    let decoded = strongroom_tx::decode(&transaction, &registry, RULES).unwrap();
    let effects = decoded.effects().iter();
    let effects: Vec<_> = effects
        .map(|e| (e.kind, e.amount.to_u64().unwrap()))
        .collect();
    let expected = [(Payment, 450_000_000), (Change, 49_995_820), (Fee, 4_180)];
    assert_eq!(effects, expected);

    // litecoind's signatures are over our digests, and in its place make its bytes.
    let raw = hex::decode(LITECOIND_RAW).unwrap();
    let theirs: bitcoin::Transaction = bitcoin::consensus::deserialize(&raw).unwrap();
    let secp = bitcoin::secp256k1::Secp256k1::verification_only();
    let key = LITECOIND_KEYS[0].parse().unwrap();
    let signatures: Vec<KeySignature> = decoded
        .signings()
        .iter()
        .zip(&theirs.input)
        .map(|(signing, input)| {
            let der = input.witness.nth(0).unwrap().split_last().unwrap().1;
            let signature = bitcoin::secp256k1::ecdsa::Signature::from_der(der).unwrap();
            let digest = bitcoin::secp256k1::Message::from_digest(signing.digest);
            secp.verify_ecdsa(&digest, &signature, &key).unwrap();
            let compact = signature.serialize_compact();
            KeySignature::Ecdsa(EcdsaSignature {
                r: compact[..32].try_into().unwrap(),
                s: compact[32..].try_into().unwrap(),
                recovery_id: 0,
            })
        })
        .collect();
    let ours = strongroom_tx::assemble(decoded, &signatures).unwrap();
    assert_eq!(ours.raw, LITECOIND_RAW);
    assert_eq!(ours.txid, theirs.compute_txid().to_string());
}
