//! What the tests share: keys, a registry, transactions made by the `bitcoin` crate, and a naive
//! codec of the container with which a test can write what no library would.

use base64ct::{Base64, Encoding};
use bitcoin::{
    Amount, OutPoint, Psbt, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
    absolute::LockTime, hashes::Hash, secp256k1, transaction::Version,
};
use k256::ecdsa::SigningKey;
use strongroom_tx::{
    AccountClass, Address, Bip340Signature, Chain, ChainRules, Decoded, EcdsaSignature,
    KeySignature, Network, Own, OwnAddress, OwnKey, PublicKey, Refusal, Registry, Scheme,
    SignedTransaction,
};

pub const BITCOIN: Chain = Chain::Bitcoin(Network::Mainnet);
pub const LITECOIN: Chain = Chain::Litecoin(Network::Mainnet);
pub const RULES: ChainRules<'static> = ChainRules {
    locktime_height_max: 850_000,
    functions: strongroom_tx::evm::Functions::NONE,
};

/// The keys of the global map and of an input's.
pub const UNSIGNED: &[u8] = &[0x00];
pub const PREVIOUS: &[u8] = &[0x00];
pub const WITNESS_UTXO: &[u8] = &[0x01];
pub const SIGHASH_TYPE: &[u8] = &[0x03];

/// The maps of the sample: one global, two of inputs, two of outputs.
pub const GLOBAL: usize = 0;
pub const INPUT: usize = 1;
pub const OUTPUT: usize = 3;

/// The keys of account `hot`, and one of account `other`.
pub const HOT: [u8; 5] = [1, 2, 3, 4, 5];
pub const OTHER: u8 = 20;
/// Keys whose addresses are own and have no key here.
pub const HOT_KEYLESS: u8 = 30;
pub const COLD: u8 = 31;
pub const RETIRED: u8 = 32;
/// A key that is not ours.
pub const FOREIGN: u8 = 40;

pub fn secret(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

pub fn public(seed: u8) -> PublicKey {
    let point = secret(seed).verifying_key().to_encoded_point(true);
    PublicKey::from_bytes(point.as_bytes().try_into().unwrap()).unwrap()
}

/// The x-only key of a seed, which pays by P2TR.
pub fn taproot(seed: u8) -> PublicKey {
    let point: [u8; 33] = public(seed).as_bytes().try_into().unwrap();
    PublicKey::from_x_only(*point.last_chunk().unwrap()).unwrap()
}

pub fn address(chain: Chain, seed: u8) -> Address {
    public(seed).address(chain).unwrap()
}

/// The P2WPKH script of a key, by the `bitcoin` crate.
pub fn script(seed: u8) -> ScriptBuf {
    let key = bitcoin::CompressedPublicKey::from_slice(public(seed).as_bytes()).unwrap();
    ScriptBuf::new_p2wpkh(&key.wpubkey_hash())
}

/// The P2TR script whose output key is that of a seed, by the `bitcoin` crate.
pub fn taproot_script(seed: u8) -> ScriptBuf {
    let key = secp256k1::XOnlyPublicKey::from_slice(taproot(seed).as_bytes()).unwrap();
    let key = bitcoin::key::TweakedPublicKey::dangerous_assume_tweaked(key);
    ScriptBuf::new_p2tr_tweaked(key)
}

pub fn registry(chain: Chain) -> Registry {
    registry_with(chain, &[])
}

/// With keys of account `hot` that sign as BIP-340 has it.
pub fn registry_with(chain: Chain, bip340: &[u8]) -> Registry {
    let key = |seed: u8, account: &str, class| OwnKey {
        name: format!("{account}-{seed}").parse().unwrap(),
        public: if bip340.contains(&seed) {
            taproot(seed)
        } else {
            public(seed)
        },
        account: account.parse().unwrap(),
        class,
        chains: vec![chain],
    };
    let elsewhere = |seed: u8, account: &str, class| OwnAddress {
        address: address(chain, seed),
        own: Own {
            account: account.parse().unwrap(),
            class,
        },
    };
    let hot = HOT.iter().chain(bip340);
    let hot = hot.map(|seed| key(*seed, "hot", AccountClass::Hot));
    Registry::new(
        hot.chain([key(OTHER, "other", AccountClass::Deposit)]),
        [
            elsewhere(HOT_KEYLESS, "hot", AccountClass::Hot),
            elsewhere(COLD, "vault", AccountClass::Cold),
            elsewhere(RETIRED, "old", AccountClass::Retired),
        ],
    )
    .unwrap()
}

/// A transaction with these outputs; `salt` tells two of them apart.
pub fn previous(salt: u8, outputs: &[(u64, ScriptBuf)]) -> Transaction {
    let input = TxIn {
        previous_output: OutPoint::new(bitcoin::Txid::from_byte_array([salt; 32]), 0),
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    };
    let output = outputs.iter().map(|(amount, script)| TxOut {
        value: Amount::from_sat(*amount),
        script_pubkey: script.clone(),
    });
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input],
        output: output.collect(),
    }
}

/// A PSBT that spends the first output of each transaction.
pub fn spend(previous: Vec<Transaction>, outputs: &[(u64, ScriptBuf)]) -> Psbt {
    let input = previous.iter().map(|transaction| TxIn {
        previous_output: OutPoint::new(transaction.compute_txid(), 0),
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::new(),
    });
    let output = outputs.iter().map(|(amount, script)| TxOut {
        value: Amount::from_sat(*amount),
        script_pubkey: script.clone(),
    });
    let unsigned = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: input.collect(),
        output: output.collect(),
    };
    let mut psbt = Psbt::from_unsigned_tx(unsigned).unwrap();
    for (input, transaction) in psbt.inputs.iter_mut().zip(previous) {
        input.non_witness_utxo = Some(transaction);
    }
    psbt
}

/// Two inputs of two keys, 1,000,000 and 500,000; a payment of 900,000, change of 590,000.
pub fn sample() -> Psbt {
    let transactions = vec![
        previous(1, &[(1_000_000, script(HOT[0])), (7, script(FOREIGN))]),
        previous(2, &[(500_000, script(HOT[1]))]),
    ];
    spend(
        transactions,
        &[(900_000, script(FOREIGN)), (590_000, script(HOT[2]))],
    )
}

pub fn text(psbt: &Psbt) -> String {
    Base64::encode_string(&psbt.serialize())
}

/// The sample, changed in one way.
pub fn edited(edit: impl FnOnce(&mut Psbt)) -> String {
    let mut psbt = sample();
    edit(&mut psbt);
    text(&psbt)
}

pub fn maps() -> Maps {
    Maps::of(&sample())
}

/// One input of 1,000,000 and these outputs.
pub fn paying(outputs: &[(u64, ScriptBuf)]) -> String {
    let transactions = vec![previous(1, &[(1_000_000, script(HOT[0]))])];
    text(&spend(transactions, outputs))
}

/// The sample with a witness output beside the previous transaction of input 0.
pub fn witness_utxo(edit: impl FnOnce(&mut bitcoin::TxOut)) -> String {
    edited(|psbt| {
        let previous = psbt.inputs[0].non_witness_utxo.clone().unwrap();
        let mut output = previous.output[0].clone();
        edit(&mut output);
        psbt.inputs[0].witness_utxo = Some(output);
    })
}

/// Decodes what stands in a request.
pub fn decode(chain: Chain, psbt: &str) -> Result<Decoded, Refusal> {
    let transaction = strongroom_tx::Transaction::Psbt {
        chain,
        psbt: psbt.into(),
    };
    strongroom_tx::decode(&transaction, &registry(chain), RULES)
}

/// The code of a refusal, or `understood`.
pub fn code(chain: Chain, psbt: &str) -> &'static str {
    match decode(chain, psbt) {
        Ok(_) => "understood",
        Err(refusal) => refusal.code(),
    }
}

/// Signs with the keys that the registry named, and assembles.
pub fn sign(decoded: Decoded) -> SignedTransaction {
    let signatures: Vec<KeySignature> = decoded
        .signings()
        .iter()
        .map(|signing| {
            let seed = signing.key.as_str().rsplit_once('-').unwrap().1;
            let seed = seed.parse().unwrap();
            match signing.scheme {
                Scheme::Ecdsa => signature(seed, &signing.digest),
                Scheme::Bip340 => schnorr(seed, &signing.digest),
            }
        })
        .collect();
    strongroom_tx::assemble(decoded, &signatures).unwrap()
}

pub fn signature(seed: u8, digest: &[u8; 32]) -> KeySignature {
    let (signature, recovery_id) = secret(seed).sign_prehash_recoverable(digest).unwrap();
    KeySignature::Ecdsa(EcdsaSignature {
        r: signature.r().to_bytes().into(),
        s: signature.s().to_bytes().into(),
        recovery_id: recovery_id.to_byte(),
    })
}

pub fn schnorr(seed: u8, digest: &[u8; 32]) -> KeySignature {
    let secp = secp256k1::Secp256k1::new();
    let pair = secp256k1::Keypair::from_seckey_slice(&secp, &[seed; 32]).unwrap();
    let message = secp256k1::Message::from_digest(*digest);
    let signature = secp.sign_schnorr_no_aux_rand(&message, &pair).serialize();
    KeySignature::Bip340(Bip340Signature {
        r: *signature.first_chunk().unwrap(),
        s: *signature.last_chunk().unwrap(),
    })
}

/// A PSBT as nothing but maps of keys and values.
#[derive(Clone)]
pub struct Maps(pub Vec<Vec<(Vec<u8>, Vec<u8>)>>);

impl Maps {
    pub fn of(psbt: &Psbt) -> Self {
        let bytes = psbt.serialize();
        let mut rest = &bytes[5..];
        let mut maps = vec![];
        while !rest.is_empty() {
            let mut map = vec![];
            loop {
                let key = take_bytes(&mut rest);
                if key.is_empty() {
                    break;
                }
                map.push((key, take_bytes(&mut rest)));
            }
            maps.push(map);
        }
        Self(maps)
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = b"psbt\xff".to_vec();
        for map in &self.0 {
            for (key, value) in map {
                put_bytes(&mut out, key);
                put_bytes(&mut out, value);
            }
            out.push(0);
        }
        out
    }

    pub fn text(&self) -> String {
        Base64::encode_string(&self.bytes())
    }

    /// The same with one more field, in the map at this place: 0 is the global one.
    pub fn with(mut self, map: usize, key: &[u8], value: &[u8]) -> Self {
        self.0[map].push((key.to_vec(), value.to_vec()));
        self
    }

    /// The same without a field.
    pub fn without(mut self, map: usize, key: &[u8]) -> Self {
        self.0[map].retain(|(other, _)| other != key);
        self
    }

    /// The same with another value of a field.
    pub fn set(self, map: usize, key: &[u8], value: &[u8]) -> Self {
        self.without(map, key).with(map, key, value)
    }

    pub fn value(&self, map: usize, key: &[u8]) -> Vec<u8> {
        let found = self.0[map].iter().find(|(other, _)| other == key);
        found.unwrap().1.clone()
    }
}

fn take_bytes(rest: &mut &[u8]) -> Vec<u8> {
    let mut take = |length: usize| {
        let (taken, after) = rest.split_at(length);
        *rest = after;
        taken.to_vec()
    };
    let length = match take(1)[0] {
        0xfd => usize::from(u16::from_le_bytes(take(2).try_into().unwrap())),
        0xfe => u32::from_le_bytes(take(4).try_into().unwrap()) as usize,
        small => usize::from(small),
    };
    take(length)
}

pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        length @ 0..=0xfc => out.push(length as u8),
        length @ ..=0xffff => {
            out.push(0xfd);
            out.extend((length as u16).to_le_bytes());
        }
        length => {
            out.push(0xfe);
            out.extend((length as u32).to_le_bytes());
        }
    }
    out.extend(bytes);
}

/// A small generator of numbers (SplitMix64): the same seed gives the same run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}
