//! Mutated valid transactions: what is accepted re-encodes to its bytes, and `alloy-consensus`
//! reads the same in them.

use std::collections::BTreeMap;

use alloy_primitives::{U256, hex};
use alloy_rlp::{Header, PayloadView};
use strongroom_tx::evm::Unsigned;
use strongroom_tx::{Address, Registry, Transaction, decode};

use super::fixture::{
    COLD, MAINNET, RULES, STRANGER, TOKEN, address, deposit, hot, registry, request,
};
use super::oracle::{self, Plain};

const ROUNDS: usize = 100_000;

#[test]
fn mutated_eip155_transactions() {
    mutate_all("EIP-155", 155, oracle::legacy);
}

#[test]
fn mutated_eip2930_transactions() {
    mutate_all("EIP-2930", 2930, oracle::eip2930);
}

#[test]
fn mutated_eip1559_transactions() {
    mutate_all("EIP-1559", 1559, oracle::eip1559);
}

fn mutate_all(name: &str, seed: u64, encode: fn(Plain) -> Vec<u8>) {
    let registry = registry();
    let known = Known::new();
    let mut random = Random(seed);
    let mut accepted = 0;
    let mut refused = BTreeMap::<&str, usize>::new();
    for _ in 0..ROUNDS {
        let mut bytes = encode(plain(&mut random, &known));
        if random.below(16) == 0 {
            accept(&bytes, registry).unwrap_or_else(|code| panic!("{code}: {bytes:02x?}"));
        }
        for _ in 0..=random.below(2) {
            mutate(&mut bytes, &known, &mut random);
        }
        match accept(&bytes, registry) {
            Ok(()) => accepted += 1,
            Err(code) => *refused.entry(code).or_default() += 1,
        }
    }
    let total: usize = refused.values().sum();
    println!("{name}: {accepted} accepted, {total} refused: {refused:?}");
    assert_eq!(accepted + total, ROUNDS);
    // Neither side is starved: mutations reach what is behind each refusal.
    assert!(accepted > ROUNDS / 20 && total > ROUNDS / 20);
    assert!(refused.len() > 25);
}

/// Decodes; of what is accepted, holds everything against alloy. The refusal's code otherwise.
fn accept(bytes: &[u8], registry: &Registry) -> Result<(), &'static str> {
    let payload = hex::encode_prefixed(bytes);
    let request: Transaction = request("0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f", &payload);
    let decoded = decode(&request, registry, RULES).map_err(|refusal| refusal.code())?;
    let shown = Unsigned::parse(MAINNET, &payload).unwrap();
    assert_eq!(shown.payload(), payload);
    oracle::agrees(bytes, &decoded, registry);
    Ok(())
}

/// SplitMix64: the failures of a seed can be had again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    /// A number of a random width, so that every length of encoding comes up.
    fn number(&mut self, bits: u64) -> u64 {
        (self.next() >> (64 - bits)) >> self.below(bits as usize)
    }
}

/// The addresses of the transactions, as bytes.
struct Known {
    hot: [u8; 20],
    deposit: [u8; 20],
    cold: [u8; 20],
    stranger: [u8; 20],
    token: [u8; 20],
}

impl Known {
    fn new() -> Self {
        let bytes_of = |address: Address| address.as_bytes().try_into().unwrap();
        Self {
            hot: bytes_of(hot()),
            deposit: bytes_of(deposit()),
            cold: bytes_of(address(COLD)),
            stranger: bytes_of(address(STRANGER)),
            token: bytes_of(address(TOKEN)),
        }
    }
}

/// A valid transaction of a random kind.
fn plain(random: &mut Random, known: &Known) -> Plain {
    let tip = u128::from(random.number(48));
    let mut plain = Plain {
        nonce: random.number(63),
        price: tip + u128::from(random.number(60)),
        tip,
        gas_limit: 21_000 + random.number(24),
        to: [known.stranger, known.cold, known.deposit][random.below(3)],
        value: U256::from(1 + random.number(63)) << random.below(64),
        input: Vec::new(),
    };
    match random.below(8) {
        0 => (plain.to, plain.value) = (known.hot, U256::ZERO),
        1..=3 => {}
        _ => {
            plain.input = hex!("a9059cbb000000000000000000000000").to_vec();
            plain.input.extend(plain.to);
            plain.input.extend(plain.value.to_be_bytes::<32>());
            (plain.to, plain.value) = (known.token, U256::ZERO);
        }
    }
    plain
}

fn mutate(bytes: &mut Vec<u8>, known: &Known, random: &mut Random) {
    match random.below(8) {
        0 if !bytes.is_empty() => {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        1 if !bytes.is_empty() => {
            let at = random.below(bytes.len());
            bytes[at] = random.byte();
        }
        2 => bytes.insert(random.below(bytes.len() + 1), random.byte()),
        3 if !bytes.is_empty() => {
            bytes.remove(random.below(bytes.len()));
        }
        4 if random.below(4) == 0 => bytes.truncate(random.below(bytes.len() + 1)),
        _ => mutate_fields(bytes, known, random),
    }
}

/// Changes one field and makes the list around it right again.
fn mutate_fields(bytes: &mut Vec<u8>, known: &Known, random: &mut Random) {
    let typed = usize::from(bytes.first().is_some_and(|first| *first < 0x80));
    let Ok(PayloadView::List(items)) = Header::decode_raw(&mut &bytes[typed..]) else {
        return;
    };
    let mut items: Vec<Vec<u8>> = items.into_iter().map(<[u8]>::to_vec).collect();
    if items.is_empty() {
        return;
    }
    let at = random.below(items.len());
    match random.below(12) {
        0 => {
            items.remove(at);
        }
        1 => items.insert(at, items[random.below(items.len())].clone()),
        2 => {
            let other = random.below(items.len());
            items.swap(at, other);
        }
        3 => items.extend([vec![0x01], vec![0x82, 1, 2], vec![0x82, 3, 4]]),
        4 => items[at] = odd_item(random),
        5 => items[at] = string(&random.number(64).to_be_bytes()[random.below(8)..]),
        _ => {
            if let Ok(PayloadView::String(content)) = Header::decode_raw(&mut &*items[at]) {
                items[at] = string(&mutate_content(content.to_vec(), known, random));
            }
        }
    }
    let payload = items.concat();
    bytes.truncate(typed);
    header(true, payload.len()).encode(bytes);
    bytes.extend(payload);
}

/// Changes a field's content: grows, shrinks or replaces it by a byte.
fn mutate_content(mut content: Vec<u8>, known: &Known, random: &mut Random) -> Vec<u8> {
    match random.below(8) {
        0 => content.insert(random.below(content.len() + 1), random.byte()),
        1 if !content.is_empty() => {
            content.remove(random.below(content.len()));
        }
        2 => content.insert(0, 0),
        3 if content.len() == 20 => {
            let known = [known.deposit, known.token, known.stranger, [0; 20]];
            content = known[random.below(known.len())].to_vec();
        }
        3 if content.len() == 68 => {
            content[..4].copy_from_slice(&hex!("095ea7b3"));
        }
        _ if !content.is_empty() => {
            let at = random.below(content.len());
            content[at] = random.byte();
        }
        _ => content.push(random.byte()),
    }
    content
}

/// Items that are not canonical, not strings, or at a boundary.
fn odd_item(random: &mut Random) -> Vec<u8> {
    let items: [&[u8]; 12] = [
        &[0x80],
        &[0x00],
        &[0x7f],
        &[0x81, 0x00],
        &[0x81, 0x7f],
        &[0x81, 0x80],
        &[0x82, 0x00, 0x80],
        &[0xb8, 0x01, 0x01],
        &[0xc0],
        &[0xc1, 0xc0],
        &[0xf8, 0x00],
        &[0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ];
    match random.below(items.len() + 1) {
        12 => string(&[0xff; 33][..32 + random.below(2)]),
        at => items[at].to_vec(),
    }
}

fn string(content: &[u8]) -> Vec<u8> {
    alloy_rlp::encode(content)
}

fn header(list: bool, payload_length: usize) -> Header {
    Header {
        list,
        payload_length,
    }
}
