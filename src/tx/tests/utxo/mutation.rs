//! 100,000 mutated PSBTs, half of them on each chain: whatever is understood is what the `bitcoin` crate understands too.

use std::collections::BTreeMap;

use bitcoin::{
    Psbt, Sequence, Witness,
    absolute::LockTime,
    consensus::serialize,
    hashes::Hash,
    sighash::{EcdsaSighashType, Prevouts, SighashCache, TapSighashType},
};
use strongroom_tx::{Chain, ConflictKey, Decoded, EffectKind, utxo};

use super::support::{
    BITCOIN, FOREIGN, GLOBAL, HOT, LITECOIN, Maps, OTHER, RULES, Random, UNSIGNED, previous,
    public, registry_with, sample, script, spend, taproot_script,
};
use super::taproot::TAPROOT;

const RUNS: usize = 50_000;

/// Good PSBTs of every shape that is accepted.
fn seeds() -> Vec<Maps> {
    let path = [1, 2, 3, 4, 84, 0, 0, 0x80];
    let key = |field: u8, seed: u8| [&[field][..], public(seed).as_bytes()].concat();
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
    let coins = [
        taproot_script(TAPROOT[0]),
        script(HOT[0]),
        taproot_script(TAPROOT[1]),
    ];
    let taproot = coins.iter().zip(1..);
    let taproot = taproot.map(|(coin, salt)| previous(salt, &[(1_000_000, coin.clone())]));
    let mut taproot = spend(
        taproot.collect(),
        &[
            (1_500_000, taproot_script(FOREIGN)),
            (1_400_000, taproot_script(TAPROOT[2])),
        ],
    );
    taproot.inputs[0].sighash_type = Some(TapSighashType::Default.into());
    vec![
        Maps::of(&taproot),
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
    let entries = maps.0.iter_mut().flatten();
    let mut unsigned = entries.filter(|(key, value)| key == UNSIGNED && value.len() > 60);
    if let Some((_, bytes)) = unsigned.next() {
        // Counted from the end: the lock time, and the last output's script and amount.
        let from_end = [4, 5, 13, 23, 33, 34, 35];
        let at = match random.below(8) {
            // The first input's sequence.
            7 => 42,
            end => bytes.len() - from_end[end],
        };
        bytes[at] ^= 1 << random.below(8);
    }
}

/// A good PSBT, changed: its maps, or its bytes.
fn mutant(random: &mut Random, seeds: &[Maps]) -> Vec<u8> {
    let seed = &seeds[random.below(seeds.len())];
    let mut maps = seed.clone();
    let changes = 1 + random.below(2);
    if random.below(3) == 0 {
        let mut bytes = maps.bytes();
        (0..changes).for_each(|_| spoil(random, &mut bytes));
        return bytes;
    }
    (0..changes).for_each(|_| rearrange(random, &mut maps));
    if maps.0 == seed.0 {
        amend(random, &mut maps);
    }
    maps.bytes()
}

/// Holds what was understood against the `bitcoin` crate.
fn check(bytes: &[u8], view: &utxo::View, decoded: &Decoded) {
    let oracle = Psbt::deserialize(bytes).unwrap();
    let transaction = &oracle.unsigned_tx;
    assert_eq!(view.unsigned_bytes(), serialize(transaction));
    check_conflict_keys(&oracle, view, decoded);
    check_effects(&oracle, view, decoded);
    let mut cache = SighashCache::new(transaction);
    let spent = oracle.inputs.iter().zip(&transaction.input);
    let all: Vec<_> = spent
        .map(|(input, spends)| {
            let previous = input.non_witness_utxo.as_ref().unwrap();
            previous.output[spends.previous_output.vout as usize].clone()
        })
        .collect();
    assert_eq!(decoded.signings().len(), oracle.inputs.len());
    for (index, (input, signing)) in oracle.inputs.iter().zip(decoded.signings()).enumerate() {
        let outpoint = transaction.input[index].previous_output;
        let previous = input.non_witness_utxo.as_ref().unwrap();
        let spent = &previous.output[outpoint.vout as usize];
        let (script, amount) = (&spent.script_pubkey, spent.value);
        let sighash = if script.is_p2tr() {
            let prevouts = Prevouts::All(&all);
            let hash_type = TapSighashType::Default;
            let hash = cache.taproot_key_spend_signature_hash(index, &prevouts, hash_type);
            hash.unwrap().to_byte_array()
        } else {
            let hash_type = EcdsaSighashType::All;
            let hash = cache.p2wpkh_signature_hash(index, script, amount, hash_type);
            hash.unwrap().to_byte_array()
        };
        assert_eq!(signing.digest, sighash);
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
    run(BITCOIN, 0x5eed);
}

#[test]
fn mutants_on_litecoin_too() {
    run(LITECOIN, 0xfeed);
}

fn run(chain: Chain, seed: u64) {
    let mut random = Random(seed);
    let seeds = seeds();
    let registry = registry_with(chain, &TAPROOT);
    let (mut accepted, mut refused) = (0, BTreeMap::<_, usize>::new());
    for _ in 0..RUNS {
        let bytes = mutant(&mut random, &seeds);
        let psbt = base64(&bytes);
        let transaction = strongroom_tx::Transaction::Psbt {
            chain,
            psbt: psbt.clone(),
        };
        match strongroom_tx::decode(&transaction, &registry, RULES) {
            Ok(decoded) => {
                accepted += 1;
                check(&bytes, &utxo::view(chain, &psbt).unwrap(), &decoded);
            }
            Err(refusal) => *refused.entry(refusal.code()).or_default() += 1,
        }
    }
    let refusals: usize = refused.values().sum();
    println!("{chain}: {accepted} accepted, {refusals} refused: {refused:?}");
    assert_eq!(accepted + refusals, RUNS);
    // A mutator that only breaks, or breaks nothing, tests nothing.
    assert!(accepted > RUNS / 10 && refusals > RUNS / 2, "{accepted}");
    assert!(refused.len() > 25, "{refused:?}");
}

/// Base64 in the plainest way, which unoptimised is four times as fast as `base64ct`.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = Vec::with_capacity(bytes.len() * 4 / 3 + 4);
    for chunk in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let [a, b, c] = three;
        text.push(ALPHABET[usize::from(a >> 2)]);
        text.push(ALPHABET[usize::from((a & 3) << 4 | b >> 4)]);
        text.push(ALPHABET[usize::from((b & 15) << 2 | c >> 6)]);
        text.push(ALPHABET[usize::from(c & 63)]);
    }
    let padding = (3 - bytes.len() % 3) % 3;
    let end = text.len() - padding;
    text[end..].fill(b'=');
    String::from_utf8(text).unwrap()
}
