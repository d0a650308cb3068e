//! Calls of any types and values.

use alloy_primitives::U256;
use proptest::prelude::*;
use strongroom_tx::Amount;
use strongroom_tx::evm::{CALLDATA_BYTES_MAX, CallData, Functions, Signature, Type, Value};

use super::super::fixture::{TOKEN, address};
use super::{call, declared, values};

/// SplitMix64: what a seed makes can be made again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn bytes(&mut self, count: u64) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    /// A type with names, as signatures have it.
    fn kind(&mut self, depth: u64) -> String {
        match self.below(if depth == 0 { 7 } else { 10 }) {
            0 => format!("uint{}", 8 * (1 + self.below(32))),
            1 => format!("int{}", 8 * (1 + self.below(32))),
            2 => "address".into(),
            3 => "bool".into(),
            4 => format!("bytes{}", 1 + self.below(32)),
            5 => "bytes".into(),
            6 => "string".into(),
            7 => format!("{}[]", self.kind(depth - 1)),
            8 => format!("{}[{}]", self.kind(depth - 1), 1 + self.below(3)),
            _ => self.parameters(depth - 1, 1),
        }
    }

    fn parameters(&mut self, depth: u64, least: u64) -> String {
        let count = least + self.below(3);
        let each = (0..count).map(|n| format!("{} a{n}", self.kind(depth)));
        let each: Vec<String> = each.collect();
        format!("({})", each.join(", "))
    }

    fn number(&mut self, bits: usize) -> U256 {
        let all = U256::from_be_slice(&self.bytes(32)) >> (256 - bits);
        match self.below(4) {
            0 => U256::ZERO,
            1 => U256::MAX >> (256 - bits),
            2 => all >> (self.below(bits as u64) as usize),
            _ => all,
        }
    }

    fn value(&mut self, of: &Type) -> Value {
        match of {
            Type::Uint(bits) => Value::Uint(amount(self.number(*bits))),
            Type::Int(bits) => {
                let magnitude = self.number(bits - 1);
                // From -2^(bits - 1) on: one more than there is above zero.
                match self.below(2) {
                    0 => Value::Int {
                        is_negative: false,
                        magnitude: amount(magnitude),
                    },
                    _ => Value::Int {
                        is_negative: true,
                        magnitude: amount(magnitude + U256::ONE),
                    },
                }
            }
            Type::Address => Value::Address(self.bytes(20).try_into().unwrap()),
            Type::Bool => Value::Bool(self.below(2) == 1),
            Type::FixedBytes(count) => Value::Bytes(self.bytes(*count as u64)),
            Type::Bytes => {
                let count = self.below(70);
                Value::Bytes(self.bytes(count))
            }
            Type::String => {
                let letters = ['a', '"', '\\', ' ', '\u{e9}', '\n', '\u{1f511}', '}'];
                let count = self.below(40);
                let text = (0..count).map(|_| letters[self.below(8) as usize]);
                Value::String(text.collect())
            }
            Type::List(of) => {
                let count = self.below(4);
                Value::List((0..count).map(|_| self.value(of)).collect())
            }
            Type::Array(of, count) => Value::List((0..*count).map(|_| self.value(of)).collect()),
            Type::Tuple(fields) => {
                Value::Tuple(fields.iter().map(|field| self.value(&field.of)).collect())
            }
            other => panic!("{other:?}"),
        }
    }
}

fn amount(number: U256) -> Amount {
    Amount::from_be_bytes(number.to_be_bytes())
}

/// A declared function of any types, and a call of it by any values that fit.
fn any_call(random: &mut Random) -> Option<(Functions, CallData, Vec<String>)> {
    let signature = format!("f{}", random.parameters(2, 0));
    // Too wide or deep: not what is asked here.
    let parsed = Signature::parse(&signature).ok()?;
    let functions = declared(&signature);
    let function = functions.find(&address(TOKEN), parsed.selector()).unwrap();
    let leaves = parsed.leaves();
    let values: Vec<Value> = leaves.iter().map(|(_, of)| random.value(of)).collect();
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    let named = leaves.iter().zip(&values).map(|((name, _), value)| {
        let plain = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        (name.clone(), plain)
    });
    let call = CallData::of_texts(function, &named.collect()).unwrap();
    (call.encode().len() <= CALLDATA_BYTES_MAX).then_some((functions.clone(), call, texts))
}

proptest! {
    /// What is encoded is decoded to itself, and what it says is said again by its texts.
    #[test]
    fn a_call_is_decoded_to_what_was_encoded(seed in any::<u64>()) {
        let Some((functions, made, texts)) = any_call(&mut Random(seed)) else {
            return Ok(());
        };
        let read = call(&functions, &made.encode());
        let read = read.map_err(|code| TestCaseError::fail(format!("{code}: {made:?}")))?;
        prop_assert_eq!(values(&read), texts);
        let signature = &made.function().signature;
        for ((_, of), argument) in signature.leaves().iter().zip(&read.arguments) {
            let value = Value::parse(of, &argument.value).unwrap();
            prop_assert_eq!(value.to_string(), argument.value.as_str());
        }
    }

    /// No byte of calldata is without meaning: another one is refused, or says something else.
    #[test]
    fn another_byte_is_refused_or_says_something_else(seed in any::<u64>()) {
        let mut random = Random(seed);
        let Some((functions, made, _)) = any_call(&mut random) else {
            return Ok(());
        };
        let good = made.encode();
        let meant = call(&functions, &good).unwrap();
        for _ in 0..64 {
            let mut bytes = good.clone();
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
            if let Ok(other) = call(&functions, &bytes) {
                prop_assert_ne!(&other, &meant, "byte {}", at);
            }
        }
        let shorter = call(&functions, &good[..good.len() - 1]);
        prop_assert!(shorter.is_err());
        for more in [vec![0], vec![0; 32]] {
            let longer = call(&functions, &[good.as_slice(), &more].concat());
            prop_assert!(longer.is_err());
        }
    }

    /// Nothing panics on any bytes, and what is accepted has no other encoding.
    #[test]
    fn any_words_are_refused_or_the_encoding_of_what_they_say(
        seed in any::<u64>(),
        words in prop::collection::vec(0..6_u64, 0..12),
    ) {
        let mut random = Random(seed);
        let Some((functions, made, _)) = any_call(&mut random) else {
            return Ok(());
        };
        let word = |number: u64| {
            let number = match number {
                5 => random.below(1 << 16),
                small => small * 32 + random.below(2),
            };
            U256::from(number).to_be_bytes::<32>()
        };
        let words: Vec<u8> = words.into_iter().map(word).collect::<Vec<_>>().concat();
        let calldata = [made.function().signature.selector().as_slice(), &words].concat();
        if let Ok(read) = call(&functions, &calldata) {
            let leaves = made.function().signature.leaves();
            let texts = leaves.iter().zip(&read.arguments).map(|((name, of), argument)| {
                let plain = match Value::parse(of, &argument.value).unwrap() {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                (name.clone(), plain)
            });
            let again = CallData::of_texts(made.function(), &texts.collect()).unwrap();
            prop_assert_eq!(again.encode(), calldata);
        }
    }
}
