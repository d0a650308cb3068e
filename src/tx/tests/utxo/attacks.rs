//! Attacks by name, and what lies just inside the limits.

use base64ct::{Base64, Encoding};
use bitcoin::{Amount, ScriptBuf, TxIn, Witness, consensus::serialize, hashes::Hash};
use strongroom_tx::{
    Chain,
    EffectKind::{Change, Fee, Payment},
    Network, utxo,
};

use super::support::{
    self, BITCOIN, FOREIGN, GLOBAL, HOT, INPUT, LITECOIN, OUTPUT, SIGHASH_TYPE, UNSIGNED, address,
    code, decode, maps, paying, previous, public, sample, script, spend, text, witness_utxo,
};

#[test]
fn a_chain_without_psbts() {
    assert_eq!(code(Chain::Evm(1), &text(&sample())), "utxo-chain");
}

#[test]
fn a_litecoin_peg_in() {
    let program = [0x11; 32];
    for version in [0x58, 0x59] {
        let peg_in = ScriptBuf::from_bytes([&[version, 0x20], program.as_slice()].concat());
        let psbt = paying(&[(900_000, peg_in)]);
        assert_eq!(code(LITECOIN, &psbt), "utxo-mweb");
        assert_eq!(code(BITCOIN, &psbt), "utxo-output-script");
    }
}

#[test]
fn all_coins_of_litecoin_are_more() {
    let coins = |amount| {
        text(&spend(
            vec![previous(1, &[(amount, script(HOT[0]))])],
            &[(1_000_000, script(FOREIGN))],
        ))
    };
    let most = 8_400_000_000_000_000;
    assert_eq!(code(LITECOIN, &coins(most)), "understood");
    assert_eq!(code(LITECOIN, &coins(most + 1)), "utxo-amount-range");
}

#[test]
fn a_draft_for_another_chain() {
    let draft = utxo::Draft {
        chain: BITCOIN,
        lock_time: 0,
        inputs: vec![],
        outputs: vec![utxo::DraftOutput {
            address: address(LITECOIN, FOREIGN),
            amount: 1_000_000,
        }],
    };
    assert_eq!(draft.psbt().unwrap_err().code(), "utxo-output-chain");
}

#[test]
fn too_few_or_too_many_signatures() {
    for count in [0, 1, 3] {
        let decoded = decode(BITCOIN, &text(&sample())).unwrap();
        let signature = support::signature(1, &decoded.signings()[0].digest);
        let refusal = strongroom_tx::assemble(decoded, &vec![signature; count]).unwrap_err();
        assert_eq!(refusal.code(), "utxo-signature-count");
    }
}

#[test]
fn two_unsigned_transactions() {
    // The second is another one: which of them would be shown, and which signed?
    let other = paying(&[(900_000, script(FOREIGN))]);
    let second = Base64::decode_vec(&other).unwrap();
    let psbt = maps().with(GLOBAL, UNSIGNED, &second).text();
    assert_eq!(code(BITCOIN, &psbt), "utxo-field-twice");
}

#[test]
fn an_input_of_another_network() {
    // The registry knows the key on Bitcoin's mainnet only.
    let transaction = strongroom_tx::Transaction::Psbt {
        chain: Chain::Bitcoin(Network::Testnet),
        psbt: text(&sample()),
    };
    let registry = support::registry(BITCOIN);
    let refusal = strongroom_tx::decode(&transaction, &registry, support::RULES);
    assert_eq!(refusal.unwrap_err().code(), "utxo-input-foreign");
}

#[test]
fn a_witness_output_alone_does_not_raise_the_amount() {
    // CVE-2020-14199: the same outputs signed twice, each time with one input's amount made small,
    // yield one transaction whose fee is the sum of what was hidden.
    let first = witness_utxo(|output| output.value = Amount::from_sat(500_000));
    assert_eq!(code(BITCOIN, &first), "utxo-witness-utxo");
    let honest = witness_utxo(|_| ());
    assert_eq!(code(BITCOIN, &honest), "understood");
}

#[test]
fn a_previous_transaction_with_witnesses_has_the_id_without_them() {
    let mut psbt = sample();
    let previous = psbt.inputs[0].non_witness_utxo.as_mut().unwrap();
    previous.input[0].witness = Witness::from_slice(&[vec![1; 71], vec![2; 33], vec![3; 300]]);
    assert_eq!(serialize(previous)[4..6], [0, 1]);
    assert_eq!(code(BITCOIN, &text(&psbt)), "understood");
}

#[test]
fn what_wallets_add_is_ignored() {
    let derivation = |field: u8| [&[field][..], public(FOREIGN).as_bytes()].concat();
    let path = [0xde, 0xad, 0xbe, 0xef, 84, 0, 0, 0x80];
    let mut xpub = vec![0x01, 0x04, 0x88, 0xb2, 0x1e, 1];
    xpub.extend([0; 40]);
    xpub.extend(public(FOREIGN).as_bytes());
    let psbt = maps()
        .with(GLOBAL, &[0xfb], &[0; 4])
        .with(GLOBAL, &xpub, &path)
        .with(INPUT, &derivation(0x06), &path)
        .with(OUTPUT, &derivation(0x02), &path)
        .with(INPUT, SIGHASH_TYPE, &[1, 0, 0, 0]);
    let plain = decode(BITCOIN, &text(&sample())).unwrap();
    let adorned = decode(BITCOIN, &psbt.text()).unwrap();
    assert_eq!(adorned.effects(), plain.effects());
    assert_eq!(adorned.signings(), plain.signings());

    let deeper = [&xpub[..5], &[2], &xpub[6..]].concat();
    let wrong = maps().with(GLOBAL, &deeper, &path).text();
    assert_eq!(code(BITCOIN, &wrong), "utxo-field-malformed");
}

#[test]
fn our_derivation_beside_a_foreign_script_is_a_payment() {
    // Change spoofing: the claim is ours, the script is not.
    let claim = [&[0x02][..], public(HOT[2]).as_bytes()].concat();
    let psbt = maps().with(OUTPUT, &claim, &[0; 4]).text();
    let decoded = decode(BITCOIN, &psbt).unwrap();
    let kinds: Vec<_> = decoded.effects().iter().map(|effect| effect.kind).collect();
    assert_eq!(kinds, [Payment, Change, Fee]);
}

#[test]
fn dust_limits_are_those_of_core() {
    let hashes = ([7; 20], [7; 32]);
    let scripts = [
        ScriptBuf::new_p2pkh(&bitcoin::PubkeyHash::from_byte_array(hashes.0)),
        ScriptBuf::new_p2sh(&bitcoin::ScriptHash::from_byte_array(hashes.0)),
        script(FOREIGN),
        ScriptBuf::new_p2wsh(&bitcoin::WScriptHash::from_byte_array(hashes.1)),
        ScriptBuf::from_bytes([&[0x51, 0x20], hashes.1.as_slice()].concat()),
    ];
    for script in scripts {
        let least = script.minimal_non_dust().to_sat();
        // Litecoin counts with ten times the rate.
        for (chain, least) in [(BITCOIN, least), (LITECOIN, 10 * least)] {
            let at = |amount| code(chain, &paying(&[(amount, script.clone())]));
            assert_eq!(at(least), "understood", "{script}");
            assert_eq!(at(least - 1), "utxo-output-dust", "{script}");
        }
    }
}

#[test]
fn the_largest_transaction_that_is_understood() {
    let mut psbt = sample();
    let transactions: Vec<_> = (0..utxo::INPUTS_MAX)
        .map(|index| {
            let mut transaction = previous(1, &[(1_000_000, script(HOT[0]))]);
            transaction.input[0].previous_output.vout = index as u32;
            transaction
        })
        .collect();
    let outputs = vec![(1_000, script(FOREIGN)); utxo::OUTPUTS_MAX];
    psbt.clone_from(&spend(transactions, &outputs));
    assert_eq!(code(BITCOIN, &text(&psbt)), "understood");
    psbt.unsigned_tx.input.push(TxIn::default());
    psbt.inputs.push(Default::default());
    assert_eq!(code(BITCOIN, &text(&psbt)), "utxo-input-count");
}

#[test]
fn a_claimed_length_costs_no_memory() {
    for length in [[0xfe, 0xff, 0xff, 0xff, 0xff].as_slice(), &[0xff; 9]] {
        let mut bytes = b"psbt\xff\x01\x00".to_vec();
        bytes.extend(length);
        assert_eq!(
            code(BITCOIN, &Base64::encode_string(&bytes)),
            "utxo-truncated"
        );
    }
}
