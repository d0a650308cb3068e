//! P2TR inputs, along the key's path: before Bitcoin's own script engine, and beside the `bitcoin` crate.

use bitcoin::{
    Psbt, ScriptBuf, TapSighashType, TxOut, XOnlyPublicKey,
    hashes::Hash,
    psbt::PsbtSighashType,
    secp256k1::Secp256k1,
    sighash::{Prevouts, SighashCache},
};
use bitcoinconsensus::Utxo;
use strongroom_tx::{Chain, Decoded, EffectKind, FeeTerms, Refusal, Scheme, SignedTransaction};

use super::support::{
    BITCOIN, FOREIGN, HOT, LITECOIN, RULES, Random, previous, registry_with, schnorr, script, sign,
    signature, spend, taproot, taproot_script, text,
};

/// Keys of account `hot` that sign as BIP-340 has it.
pub const TAPROOT: [u8; 3] = [11, 12, 13];

fn decode(chain: Chain, psbt: &str) -> Result<Decoded, Refusal> {
    let transaction = strongroom_tx::Transaction::Psbt {
        chain,
        psbt: psbt.into(),
    };
    strongroom_tx::decode(&transaction, &registry_with(chain, &TAPROOT), RULES)
}

fn code(psbt: &Psbt) -> &'static str {
    match decode(BITCOIN, &text(psbt)) {
        Ok(_) => "understood",
        Err(refusal) => refusal.code(),
    }
}

/// Spends outputs with these scripts.
fn spending(scripts: &[ScriptBuf]) -> Psbt {
    let transactions = scripts.iter().zip(1..).map(|(script, salt)| {
        let amount = 100_000 + u64::from(salt);
        previous(salt, &[(amount, script.clone())])
    });
    let amount = 60_000 * scripts.len() as u64;
    let outputs = [
        (amount, taproot_script(FOREIGN)),
        (30_000, taproot_script(TAPROOT[0])),
    ];
    spend(transactions.collect(), &outputs)
}

/// So many inputs of keys of both schemes in turn, or of BIP-340 alone.
fn inputs(count: usize, is_mixed: bool) -> Vec<ScriptBuf> {
    (0..count)
        .map(|index| match index % 2 {
            1 if is_mixed => script(HOT[index % HOT.len()]),
            _ => taproot_script(TAPROOT[index % TAPROOT.len()]),
        })
        .collect()
}

fn spent(psbt: &Psbt) -> Vec<TxOut> {
    let inputs = psbt.inputs.iter();
    inputs
        .map(|input| input.non_witness_utxo.as_ref().unwrap().output[0].clone())
        .collect()
}

/// Runs the script engine on every input.
fn verify(psbt: &Psbt, raw: &[u8]) -> Result<(), bitcoinconsensus::Error> {
    let spent = spent(psbt);
    let known: Vec<Utxo> = spent
        .iter()
        .map(|output| Utxo {
            script_pubkey: output.script_pubkey.as_bytes().as_ptr(),
            script_pubkey_len: output.script_pubkey.len().try_into().unwrap(),
            value: output.value.to_sat().try_into().unwrap(),
        })
        .collect();
    spent.iter().enumerate().try_for_each(|(index, output)| {
        let (script, amount) = (output.script_pubkey.as_bytes(), output.value.to_sat());
        bitcoinconsensus::verify(script, amount, raw, Some(&known), index)
    })
}

#[test]
fn bitcoin_verifies_one_to_twenty_inputs_of_both_schemes() {
    for (count, is_mixed) in (1..=20).flat_map(|count| [(count, false), (count, true)]) {
        let psbt = spending(&inputs(count, is_mixed));
        let SignedTransaction { raw, txid } = sign(decode(BITCOIN, &text(&psbt)).unwrap());
        let raw = hex::decode(raw).unwrap();
        verify(&psbt, &raw).unwrap();
        assert_eq!(txid, psbt.unsigned_tx.compute_txid().to_string());
    }
}

#[test]
fn bitcoin_refuses_another_amount_of_another_input() {
    // What BIP-341 has and BIP-143 has not: each signature commits to what every input holds.
    let psbt = spending(&inputs(2, false));
    let raw = hex::decode(sign(decode(BITCOIN, &text(&psbt)).unwrap()).raw).unwrap();
    let mut other = psbt.clone();
    let previous = other.inputs[1].non_witness_utxo.as_mut().unwrap();
    previous.output[0].value += bitcoin::Amount::ONE_SAT;
    assert!(verify(&psbt, &raw).is_ok());
    assert!(verify(&other, &raw).is_err());
}

#[test]
fn digests_are_those_of_the_bitcoin_crate() {
    let mut random = Random(340);
    for _ in 0..300 {
        let mut psbt = spending(&inputs(1 + random.below(8), random.below(2) == 0));
        for input in &mut psbt.unsigned_tx.input {
            input.sequence = bitcoin::Sequence(0xffff_fffd + random.below(3) as u32);
        }
        let height = random.below(850_000) as u32;
        psbt.unsigned_tx.lock_time = bitcoin::absolute::LockTime::from_consensus(height);
        let decoded = decode(BITCOIN, &text(&psbt)).unwrap();
        let spent = spent(&psbt);
        let mut cache = SighashCache::new(&psbt.unsigned_tx);
        for (index, signing) in decoded.signings().iter().enumerate() {
            if signing.scheme == Scheme::Ecdsa {
                continue;
            }
            let prevouts = Prevouts::All(&spent);
            let expected =
                cache.taproot_key_spend_signature_hash(index, &prevouts, TapSighashType::Default);
            assert_eq!(signing.digest, expected.unwrap().to_byte_array());
        }
    }
}

#[test]
fn what_comes_back_to_a_taproot_key_is_change() {
    for chain in [BITCOIN, LITECOIN] {
        let psbt = spending(&inputs(3, true));
        let decoded = decode(chain, &text(&psbt)).unwrap();
        let effects = decoded.effects().iter();
        let effects: Vec<_> = effects
            .map(|effect| (effect.kind, effect.amount.to_u64().unwrap()))
            .collect();
        let fee = 300_006 - 180_000 - 30_000;
        let expected = [
            (EffectKind::Payment, 180_000),
            (EffectKind::Change, 30_000),
            (EffectKind::Fee, fee),
        ];
        assert_eq!(effects, expected);
    }
}

#[test]
fn the_size_is_known_before_it_is_signed() {
    for count in 1..=20 {
        let psbt = spending(&inputs(count, false));
        let decoded = decode(BITCOIN, &text(&psbt)).unwrap();
        let FeeTerms::Utxo { vsize, .. } = decoded.fee_terms() else {
            panic!("no fee of a UTXO chain");
        };
        let raw = hex::decode(sign(decoded).raw).unwrap();
        let signed: bitcoin::Transaction = bitcoin::consensus::deserialize(&raw).unwrap();
        assert_eq!(vsize, signed.vsize() as u64);
    }
}

#[test]
fn the_hash_type_may_be_written_where_it_is_the_one_that_is_used() {
    let asking = |input: usize, hash_type: u32| {
        let mut psbt = spending(&inputs(2, true));
        psbt.inputs[input].sighash_type = Some(PsbtSighashType::from_u32(hash_type));
        code(&psbt)
    };
    // DEFAULT along the key's path, ALL with P2WPKH.
    assert_eq!((asking(0, 0), asking(1, 1)), ("understood", "understood"));
    for (input, hash_type) in [(0, 1), (0, 2), (0, 0x81), (0, 0x100), (1, 0), (1, 2)] {
        assert_eq!(
            asking(input, hash_type),
            "utxo-sighash-type",
            "{hash_type:#x} of input {input}"
        );
    }
}

#[test]
fn a_key_is_the_output_key_itself_and_no_other() {
    // What BIP-86 makes of the key commits to no script; what it makes of another could.
    let secp = Secp256k1::verification_only();
    let key = XOnlyPublicKey::from_slice(taproot(TAPROOT[0]).as_bytes()).unwrap();
    let tweaked = ScriptBuf::new_p2tr(&secp, key, None);
    assert_eq!(code(&spending(&[tweaked])), "utxo-input-foreign");
    // An own ECDSA key does not sign for the output key of its x.
    let of_ecdsa = taproot_script(HOT[0]);
    assert_eq!(code(&spending(&[of_ecdsa])), "utxo-input-foreign");
    assert_eq!(
        code(&spending(&[script(TAPROOT[0])])),
        "utxo-input-foreign",
        "nor the other way round"
    );
}

#[test]
fn a_signature_of_the_other_scheme_makes_no_transaction() {
    let decoded = || decode(BITCOIN, &text(&spending(&inputs(2, true)))).unwrap();
    let digests: Vec<_> = decoded().signings().iter().map(|one| one.digest).collect();
    let [first, second] = [&digests[0], &digests[1]];
    let [key, ecdsa] = [TAPROOT[0], HOT[1]];
    let refused = |signatures: &[_]| {
        let refusal = strongroom_tx::assemble(decoded(), signatures).unwrap_err();
        assert_eq!(refusal.code(), "utxo-signature-scheme");
    };
    refused(&[signature(key, first), signature(ecdsa, second)]);
    refused(&[schnorr(key, first), schnorr(ecdsa, second)]);
    let right = [schnorr(key, first), signature(ecdsa, second)];
    assert!(strongroom_tx::assemble(decoded(), &right).is_ok());
}
