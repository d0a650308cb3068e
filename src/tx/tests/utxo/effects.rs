//! What a PSBT is understood as.

use bitcoin::{consensus::serialize, hashes::Hash};
use strongroom_tx::{
    AccountClass, Address, Amount, Asset, Chain, ConflictKey,
    EffectKind::{self, Change, Fee, OwnTransfer, Payment},
    FeeTerms, ValidUntil, utxo,
};

use super::support::{
    BITCOIN, COLD, FOREIGN, HOT, LITECOIN, OTHER, address, code, decode, maps, paying, public,
    sample, script, sign, text,
};

fn kinds(psbt: &str) -> Vec<EffectKind> {
    let decoded = decode(BITCOIN, psbt).unwrap();
    decoded.effects().iter().map(|effect| effect.kind).collect()
}

#[test]
fn the_sample_in_full() {
    for chain in [BITCOIN, LITECOIN] {
        let decoded = decode(chain, &text(&sample())).unwrap();
        assert_eq!(decoded.chain(), chain);
        assert_eq!(decoded.account().as_str(), "hot");
        assert_eq!(decoded.valid_until(), ValidUntil::Unbounded);

        let [payment, change, fee] = decoded.effects() else {
            panic!("{:?}", decoded.effects());
        };
        assert_eq!(
            (payment.kind, payment.amount),
            (Payment, Amount::from(900_000u64))
        );
        let to = payment.to.as_ref().unwrap();
        assert_eq!(to.address, address(chain, FOREIGN));
        assert_eq!(to.own, None);

        assert_eq!(
            (change.kind, change.amount),
            (Change, Amount::from(590_000u64))
        );
        let to = change.to.as_ref().unwrap();
        assert_eq!(to.address, address(chain, HOT[2]));
        assert_eq!(to.own.as_ref().unwrap().class, AccountClass::Hot);

        assert_eq!((fee.kind, fee.amount), (Fee, Amount::from(10_000u64)));
        assert_eq!(fee.to, None);
        for effect in decoded.effects() {
            assert_eq!(effect.account.as_str(), "hot");
            assert_eq!(effect.asset, Asset::native(chain));
            assert_eq!(effect.tag, None);
        }
    }
}

#[test]
fn conflict_keys_are_the_outpoints() {
    let psbt = sample();
    let expected = psbt
        .unsigned_tx
        .input
        .iter()
        .map(|input| ConflictKey::Outpoint {
            chain: BITCOIN,
            txid: input.previous_output.txid.to_byte_array(),
            vout: input.previous_output.vout,
        });
    let decoded = decode(BITCOIN, &text(&psbt)).unwrap();
    assert!(decoded.conflict_keys().iter().cloned().eq({
        let mut keys: Vec<_> = expected.collect();
        keys.sort();
        keys
    }));
    let shown = psbt.unsigned_tx.input[0].previous_output.to_string();
    let texts: Vec<_> = decoded
        .conflict_keys()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(
        texts.contains(&format!("outpoint bitcoin:mainnet:{shown}")),
        "{texts:?}"
    );
}

#[test]
fn one_signing_for_each_input_in_order() {
    let decoded = decode(BITCOIN, &text(&sample())).unwrap();
    let keys: Vec<_> = decoded
        .signings()
        .iter()
        .map(|signing| signing.key.as_str())
        .collect();
    assert_eq!(keys, ["hot-1", "hot-2"]);
}

#[test]
fn own_accounts_are_told_from_strangers() {
    let own = paying(&[
        (100_000, script(COLD)),
        (100_000, script(OTHER)),
        (100_000, script(FOREIGN)),
        (100_000, script(HOT[0])),
    ]);
    assert_eq!(
        kinds(&own),
        [OwnTransfer, OwnTransfer, Payment, Change, Fee]
    );
    let decoded = decode(BITCOIN, &own).unwrap();
    let cold = decoded.effects()[0].to.clone().unwrap().own.unwrap();
    assert_eq!(
        (cold.account.as_str(), cold.class),
        ("vault", AccountClass::Cold)
    );
}

#[test]
fn four_change_outputs_and_nothing_else() {
    let consolidation = paying(&[1, 2, 3, 4].map(|seed| (100_000, script(seed))));
    assert_eq!(kinds(&consolidation), [Change, Change, Change, Change, Fee]);
}

#[test]
fn the_stranger_is_found_at_every_position() {
    let outputs = 12;
    for position in 0..outputs {
        let seeds = (0..outputs).map(|index| if index == position { FOREIGN } else { OTHER });
        let outputs: Vec<_> = seeds.map(|seed| (10_000, script(seed))).collect();
        let kinds = kinds(&paying(&outputs));
        assert_eq!(
            kinds.iter().position(|kind| *kind == Payment),
            Some(position)
        );
        assert_eq!(kinds.iter().filter(|kind| **kind == Payment).count(), 1);
    }
}

#[test]
fn an_account_of_two_classes_is_two() {
    // The same name with another class is no change: the policy judges it as a transfer.
    use strongroom_tx::{Own, OwnAddress, OwnKey, Registry};
    let key = OwnKey {
        name: "k".parse().unwrap(),
        public: public(HOT[0]),
        account: "hot".parse().unwrap(),
        class: AccountClass::Hot,
        chains: vec![BITCOIN],
    };
    let colder = OwnAddress {
        address: address(BITCOIN, FOREIGN),
        own: Own {
            account: "hot".parse().unwrap(),
            class: AccountClass::Cold,
        },
    };
    let registry = Registry::new([key], [colder]).unwrap();
    let transaction = strongroom_tx::Transaction::Psbt {
        chain: BITCOIN,
        psbt: paying(&[(900_000, script(FOREIGN))]),
    };
    let decoded = strongroom_tx::decode(&transaction, &registry, super::support::RULES).unwrap();
    assert_eq!(decoded.effects()[0].kind, OwnTransfer);
}

#[test]
fn the_virtual_size_is_at_most_a_quarter_vbyte_an_input_too_small() {
    for seed in 0..40u8 {
        let mut psbt = sample();
        psbt.unsigned_tx.lock_time = bitcoin::absolute::LockTime::from_consensus(seed.into());
        let decoded = decode(BITCOIN, &text(&psbt)).unwrap();
        let FeeTerms::Utxo { fee, vsize } = decoded.fee_terms() else {
            panic!("not of this family");
        };
        assert_eq!(fee, 10_000);
        let raw = hex::decode(sign(decoded).raw).unwrap();
        let signed: bitcoin::Transaction = bitcoin::consensus::deserialize(&raw).unwrap();
        let real = signed.vsize() as u64;
        assert!((vsize - 1..=vsize + 1).contains(&real), "{vsize} {real}");
    }
}

#[test]
fn a_draft_becomes_what_it_says() {
    let psbt = sample();
    let draft = draft(BITCOIN);
    let built = draft.psbt().unwrap();
    // The `bitcoin` crate writes a PSBT with the same fields the same way.
    assert_eq!(built, text(&psbt));
    let view = utxo::view(BITCOIN, &built).unwrap();
    assert_eq!(view.unsigned_bytes(), serialize(&psbt.unsigned_tx));
    assert_eq!(view.fee, 10_000);
    assert_eq!(view.inputs[0].address, address(BITCOIN, HOT[0]));
    assert_eq!(view.inputs[1].amount, 500_000);
    assert_eq!(view.outputs[1].address, address(BITCOIN, HOT[2]));
    assert_eq!((view.version, view.lock_time), (2, 0));
}

fn draft(chain: Chain) -> utxo::Draft {
    let psbt = sample();
    let inputs = psbt.unsigned_tx.input.iter().zip(&psbt.inputs);
    let outputs = psbt.unsigned_tx.output.iter();
    utxo::Draft {
        chain,
        lock_time: 0,
        inputs: inputs
            .map(|(input, map)| utxo::DraftInput {
                outpoint: input.previous_output.to_string().parse().unwrap(),
                previous: serialize(map.non_witness_utxo.as_ref().unwrap()),
                sequence: input.sequence.0,
            })
            .collect(),
        outputs: outputs
            .map(|output| utxo::DraftOutput {
                address: Address::from_script(chain, output.script_pubkey.as_bytes()).unwrap(),
                amount: output.value.to_sat(),
            })
            .collect(),
    }
}

#[test]
fn a_draft_that_would_be_refused_is_not_made() {
    let mut draft = draft(LITECOIN);
    assert!(draft.psbt().is_ok());
    draft.outputs[0].amount = 2_939;
    assert_eq!(draft.psbt().unwrap_err().code(), "utxo-output-dust");
    draft.inputs.clear();
    assert_eq!(draft.psbt().unwrap_err().code(), "utxo-input-count");
}

#[test]
fn the_order_of_fields_is_free() {
    let mut shuffled = maps().with(1, &[0x03], &[1, 0, 0, 0]);
    shuffled.0[1].reverse();
    assert_eq!(code(BITCOIN, &shuffled.text()), "understood");
}

#[test]
fn outpoints_have_one_spelling() {
    let shown = "0cb8216ca0cfd14af758893d59818e8f77e4bf11b765a5826920159160e8c616";
    let outpoint: utxo::Outpoint = format!("{shown}:7").parse().unwrap();
    assert_eq!((outpoint.txid[31], outpoint.vout), (0x0c, 7));
    assert_eq!(outpoint.to_string(), format!("{shown}:7"));
    for text in [
        format!("{shown}:07"),
        format!("{shown}:+7"),
        format!("{shown}:4294967296"),
        format!("0x{shown}:7"),
        format!("{}:7", shown.to_uppercase()),
        shown.to_string(),
        String::new(),
    ] {
        assert!(text.parse::<utxo::Outpoint>().is_err(), "{text}");
    }
}
