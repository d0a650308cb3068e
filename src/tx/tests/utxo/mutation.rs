//! 100,000 mutated PSBTs: whatever is understood is what the `bitcoin` crate understands too.

use base64ct::{Base64, Encoding};
use bitcoin::{
    Psbt, Sequence, Witness,
    absolute::LockTime,
    consensus::serialize,
    hashes::Hash,
    sighash::{EcdsaSighashType, SighashCache},
};
use strongroom_tx::{ConflictKey, Decoded, EffectKind, utxo};

use super::support::{
    BITCOIN, FOREIGN, GLOBAL, HOT, LITECOIN, Maps, OTHER, RULES, Random, UNSIGNED, previous,
    public, registry, sample, script, spend,
};

const RUNS: usize = 100_000;

/// Good PSBTs of every shape that is accepted.
fn seeds() -> Vec<Maps> {
    let path = [1, 2, 3, 4, 84, 0, 0, 0x80];
    let key = |field: u8, seed: u8| [&[field], public(seed).as_bytes().as_slice()].concat();
    let one = spend(
        vec![previous(9, &[(1_000_000, script(HOT[4]))])],
        &[(999_000, script(OTHER))],
    );
    let mut adorned = sample();
    for input in &mut adorned.inputs {
        let previous = input.non_witness_utxo.as_mut().unwrap();
        previous.input[0].witness = Witness::from_slice(&[[1; 71].as_slice(), &[2; 33]]);
        input.witness_utxo = Some(previous.output[0].clone());
        input.sighash_type = Some(EcdsaSighashType::All.into());
    }
    adorned.unsigned_tx.lock_time = LockTime::from_consensus(800_000);
    adorned.unsigned_tx.input[0].sequence = Sequence::ENABLE_LOCKTIME_NO_RBF;
    let many = spend(
        (1..=4)
            .map(|seed| previous(seed, &[(1_000_000, script(seed))]))
            .collect(),
        &[
            (1_500_000, script(FOREIGN)),
            (600_000, script(OTHER)),
            (1_800_000, script(HOT[0])),
        ],
    );
    vec![
        Maps::of(&sample()),
        Maps::of(&one),
        Maps::of(&adorned),
        Maps::of(&many),
        Maps::of(&adorned)
            .with(1, &key(0x06, 1), &path)
            .with(3, &key(0x02, 2), &path)
            .with(GLOBAL, &[0xfb], &[0; 4]),
    ]
}

/// One of the ways to spoil bytes without knowing what they are.
fn spoil(random: &mut Random, bytes: &mut Vec<u8>) {
    let at = random.below(bytes.len());
    match random.below(6) {
        0 | 1 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        2 if !bytes.is_empty() => bytes[at] = random.next() as u8,
        3 => bytes.insert(at, random.next() as u8),
        4 if !bytes.is_empty() => {
            drop(bytes.drain(at..(at + 1 + random.below(4)).min(bytes.len())))
        }
        _ => bytes.extend((0..=random.below(4)).map(|_| random.next() as u8)),
    }
}

/// One of the ways to change a PSBT that keep its maps readable.
fn rearrange(random: &mut Random, maps: &mut Maps) {
    let map = random.below(maps.0.len());
    let entries = maps.0[map].len();
    let entry = random.below(entries);
    match random.below(8) {
        0 if entries > 0 => drop(maps.0[map].remove(entry)),
        1 if entries > 0 => {
            let again = maps.0[map][entry].clone();
            maps.0[map].push(again);
        }
        2 if entries > 0 => {
            let other = random.below(entries);
            maps.0[map].swap(entry, other);
        }
        3 => {
            let other = random.below(maps.0.len());
            maps.0.swap(map, other);
        }
        4 if entries > 0 => spoil(random, &mut maps.0[map][entry].1),
        5 if entries > 0 => spoil(random, &mut maps.0[map][entry].0),
        6 => {
            let key = vec![random.next() as u8 % 0x20];
            let value = (0..random.below(8)).map(|_| random.next() as u8).collect();
            maps.0[map].push((key, value));
        }
        _ => amend(random, maps),
    }
}

/// Changes a field of the unsigned transaction that may have another value.
fn amend(random: &mut Random, maps: &mut Maps) {
    for (key, value) in maps.0.iter_mut().flatten() {
        if key == UNSIGNED && value.len() > 60 {
            // Lock time, the last output's script and amount; the first input's sequence.
            let ends = [1, 2, 10, 20, 30, 31, 32, 33];
            let at = match random.below(9) {
                8 => 42,
                end => value.len() - 3 - ends[end],
            };
            value[at] ^= 1 << random.below(8);
            return;
        }
    }
}

fn mutant(random: &mut Random, seeds: &[Maps]) -> Vec<u8> {
    let mut maps = seeds[random.below(seeds.len())].clone();
    let by_map = random.below(3) > 0;
    for _ in 0..=random.below(2) {
        if by_map {
            rearrange(random, &mut maps);
        }
    }
    let mut bytes = maps.bytes();
    if !by_map {
        for _ in 0..=random.below(2) {
            spoil(random, &mut bytes);
        }
    }
    bytes
}

/// Holds what was understood against the `bitcoin` crate.
fn check(bytes: &[u8], view: &utxo::View, decoded: &Decoded) {
    let oracle = Psbt::deserialize(bytes).unwrap();
    let transaction = &oracle.unsigned_tx;
    assert_eq!(view.unsigned_bytes(), serialize(transaction));
    check_conflict_keys(&oracle, view, decoded);
    check_effects(&oracle, view, decoded);
    let mut cache = SighashCache::new(transaction);
    assert_eq!(decoded.signings().len(), oracle.inputs.len());
    for (index, (input, signing)) in oracle.inputs.iter().zip(decoded.signings()).enumerate() {
        let outpoint = transaction.input[index].previous_output;
        let previous = input.non_witness_utxo.as_ref().unwrap();
        let spent = &previous.output[outpoint.vout as usize];
        let (script, amount) = (&spent.script_pubkey, spent.value);
        let sighash = cache
            .p2wpkh_signature_hash(index, script, amount, EcdsaSighashType::All)
            .unwrap();
        assert_eq!(signing.digest, sighash.to_byte_array());
        assert_eq!(view.inputs[index].amount, amount.to_sat());
    }
}

fn check_conflict_keys(oracle: &Psbt, view: &utxo::View, decoded: &Decoded) {
    let inputs = &oracle.unsigned_tx.input;
    assert_eq!(decoded.conflict_keys().len(), inputs.len());
    for input in inputs {
        let outpoint = ConflictKey::Outpoint {
            chain: view.chain,
            txid: input.previous_output.txid.to_byte_array(),
            vout: input.previous_output.vout,
        };
        assert!(decoded.conflict_keys().contains(&outpoint));
    }
}

fn check_effects(oracle: &Psbt, view: &utxo::View, decoded: &Decoded) {
    let (fee, outputs) = decoded.effects().split_last().unwrap();
    assert_eq!(fee.kind, EffectKind::Fee);
    assert_eq!(fee.amount.to_u64(), Some(oracle.fee().unwrap().to_sat()));
    assert_eq!(view.fee, oracle.fee().unwrap().to_sat());
    assert_eq!(outputs.len(), oracle.unsigned_tx.output.len());
    for (effect, output) in outputs.iter().zip(&oracle.unsigned_tx.output) {
        let address = &effect.to.as_ref().unwrap().address;
        assert_eq!(address.as_bytes(), output.script_pubkey.as_bytes());
        assert_eq!(effect.amount.to_u64(), Some(output.value.to_sat()));
    }
}

#[test]
fn mutants_are_refused_or_understood_as_by_the_bitcoin_crate() {
    let mut random = Random(0x5eed);
    let seeds = seeds();
    let registries = [(BITCOIN, registry(BITCOIN)), (LITECOIN, registry(LITECOIN))];
    let (mut accepted, mut refused) = (0, std::collections::BTreeMap::<_, usize>::new());
    for run in 0..RUNS {
        let (chain, registry) = &registries[run % 2];
        let bytes = mutant(&mut random, &seeds);
        let psbt = Base64::encode_string(&bytes);
        let transaction = strongroom_tx::Transaction::Psbt {
            chain: *chain,
            psbt: psbt.clone(),
        };
        match strongroom_tx::decode(&transaction, registry, RULES) {
            Ok(decoded) => {
                accepted += 1;
                check(&bytes, &utxo::view(*chain, &psbt).unwrap(), &decoded);
            }
            Err(refusal) => *refused.entry(refusal.code()).or_default() += 1,
        }
    }
    let refusals: usize = refused.values().sum();
    println!("{accepted} accepted, {refusals} refused: {refused:?}");
    assert_eq!(accepted + refusals, RUNS);
    // A mutator that only breaks, or breaks nothing, tests nothing.
    assert!(accepted > RUNS / 20 && refusals > RUNS / 2, "{accepted}");
    assert!(refused.len() > 25, "{refused:?}");
}
