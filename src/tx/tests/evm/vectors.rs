//! Foreign vectors, one test each.

use alloy_consensus::transaction::{Recovered, SignerRecoverable};
use alloy_consensus::{SignableTransaction, Transaction as _, TxEip1559, TxEnvelope};
use alloy_eips::Decodable2718;
use alloy_primitives::{U256, address, hex};
use strongroom_tx::assemble;
use strongroom_tx::evm::{Action, Fees};

use super::fixture::{
    STRANGER, TOKEN, address as account_of, decode_from_hot, eip155, eip1559, eip2930, erc20, hot,
    native, payload, secret, sign,
};

/// The example in EIP-155, signature included: RFC 6979 makes it reproducible.
#[test]
fn eip_155_example() {
    let unsigned = "0xec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080";
    assert_eq!(
        hot().to_string(),
        "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F"
    );
    let decoded = decode_from_hot(unsigned).unwrap();
    let digest = decoded.signings()[0].digest;
    assert_eq!(
        hex::encode(digest),
        "daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53"
    );
    let signed = assemble(decoded, &[sign(&secret(0x46), &digest)]).unwrap();
    assert_eq!(
        signed.raw,
        "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
    );
    assert_eq!(
        signed.txid,
        "0x33469b22e9f636356c4160a87eb19df52b7412e8eac32a4a55ffe88ea8350788"
    );
}

/// A mainnet transaction by which an owner was made to give all collectibles away.
#[test]
fn mainnet_set_approval_for_all() {
    let transaction = TxEip1559 {
        chain_id: 1,
        nonce: 0x42,
        gas_limit: 44386,
        to: address!("6069a6c32cf691f5982febae4faf8a6f3ab2f0f6").into(),
        value: U256::ZERO,
        input: hex!("a22cb4650000000000000000000000005eee75727d804a2b13038928d36f8b188945a57a0000000000000000000000000000000000000000000000000000000000000000").into(),
        max_fee_per_gas: 0x4_a817_c800,
        max_priority_fee_per_gas: 0x3b9a_ca00,
        access_list: Default::default(),
    };
    assert_eq!(
        hex::encode(transaction.signature_hash()),
        "0d5688ac3897124635b6cf1bc0e29d6dfebceebdc10a54d74f2ef8b56535b682"
    );
    let payload = hex::encode_prefixed(transaction.encoded_for_signing());
    let refusal = decode_from_hot(&payload).unwrap_err();
    assert_eq!(refusal.code(), "evm-set-approval-for-all");
}

/// What `alloy-consensus` reads in a transaction that was signed here.
fn alloy_reads(fees: Fees, action: Action) -> Recovered<TxEnvelope> {
    let decoded = decode_from_hot(&payload(fees, action)).unwrap();
    let digest = decoded.signings()[0].digest;
    let signed = assemble(decoded, &[sign(&secret(0x46), &digest)]).unwrap();
    let raw = hex::decode(&signed.raw).unwrap();
    let mut rest = raw.as_slice();
    let envelope = TxEnvelope::decode_2718(&mut rest).unwrap();
    assert!(rest.is_empty());
    assert_eq!(envelope.tx_hash().to_string(), signed.txid);
    assert_eq!(envelope.signature_hash(), digest);
    envelope.try_into_recovered().unwrap()
}

#[test]
fn alloy_recovers_the_sender_of_every_type() {
    let stranger = account_of(STRANGER);
    for fees in [eip155(), eip2930(), eip1559()] {
        for value in [1, 0x7f, 0x80, u64::MAX] {
            let read = alloy_reads(fees, native(stranger.clone(), value));
            assert_eq!(read.signer().as_slice(), hot().as_bytes());
            assert_eq!(read.value(), U256::from(value));
            assert_eq!(read.to().unwrap().as_slice(), stranger.as_bytes());
        }
        let read = alloy_reads(fees, erc20(account_of(TOKEN), stranger.clone(), 5));
        assert_eq!(read.signer().as_slice(), hot().as_bytes());
        assert_eq!(read.to().unwrap().as_slice(), account_of(TOKEN).as_bytes());
    }
}

/// About one signature in 128 has an `r` or `s` that begins with a zero byte, which RLP drops.
#[test]
fn alloy_reads_signatures_with_leading_zeros() {
    let mut short = 0;
    for value in 1..=600 {
        let read = alloy_reads(eip1559(), native(account_of(STRANGER), value));
        assert_eq!(read.signer().as_slice(), hot().as_bytes());
        let signature = *read.inner().signature();
        short += usize::from(signature.r().byte_len() < 32 || signature.s().byte_len() < 32);
    }
    assert!(short > 0);
}

#[test]
fn a_signature_of_another_digest_is_another_sender() {
    let decoded = decode_from_hot(&payload(eip1559(), native(account_of(STRANGER), 1))).unwrap();
    let signed = assemble(decoded, &[sign(&secret(0x46), &[1; 32])]).unwrap();
    let raw = hex::decode(&signed.raw).unwrap();
    let envelope = TxEnvelope::decode_2718(&mut raw.as_slice()).unwrap();
    assert_ne!(
        envelope.recover_signer().unwrap().as_slice(),
        hot().as_bytes()
    );
}
