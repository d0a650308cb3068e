//! Charges in blocks: what the charges of a block have in common stands in it once.
//!
//! # Format 2 of a block, fixed integers big-endian
//! A `number` has seven bits a byte, the lowest first. A list is its number of items, and each item
//! behind its number of bytes. What has no bytes of its own here is as in rows.
//! ```text
//! version u8 | id of the first charge u64 | its time u64 | [chain] | [shape] | [need 32] | [charge]
//! charge: id − first id number | time − first time number | the latest that it may have been − time number
//!         | 0, or 1 and its set u64, or 2, its set u64 and how many places before it the set's last charge is, number
//!         | needs that carried it over a limit: how many number, each by its place in the list, number
//!         | fee terms: 1, two amounts and a number (EVM), 2 and two numbers (UTXO), else 0 and text (JSON)
//!         | facts: how many number, each: shape by its place in the list, number | amount
//!           | 0, or 1, chain by its place in the list, number, and bytes; 2 or 3 for the same where its value in
//!             the reference currency, an amount, stands behind it; 4 more where it is a call
//!           | 0, or 1 + time − when the destination was first paid number | 0, or 1 and text: the tag
//!           | of a call: text (JSON), with the books that held its arguments
//! shape:  kind text (JSON) | account text | asset text | ?own: account text, class text (JSON)
//!         | client text | ?source text | class of the account text (JSON) | books [text], `?` before one in which it was cooling
//!         | hours that it may have been [text] | hours that it surely was [text]
//!         | keys that signed the intent [text] | people whose they were [text]
//! ```

use std::{collections::BTreeMap, sync::Arc};

use tx::{Address, Chain, FeeTerms, Time};

use super::charge::{Charge, ChargedCall, ChargedFact, Shape};
use crate::{
    AttemptId, Digest,
    code::{Code, read_number, read_slice, read_whole, take, write_number, write_slice, written},
};

const VERSION: u8 = 2;

/// Where it says whether a fact has a destination: that it has a value, too. Facts without one are as they were
/// before there were values.
const VALUED: u8 = 2;

/// As [`VALUED`]: that it is a call.
const CALLED: u8 = 4;

/// The most charges of a block.
pub(super) const CHARGES_MAX: usize = 32;
/// A block is closed when it has so many facts.
pub(super) const FACTS_MAX: usize = 512;

/// Things that charges name by their places.
struct Names<T> {
    places: BTreeMap<T, u64>,
    items: Vec<Vec<u8>>,
}

impl<T: Code + Ord> Names<T> {
    fn new() -> Self {
        Self {
            places: BTreeMap::new(),
            items: Vec::new(),
        }
    }

    fn place(&mut self, item: T) -> u64 {
        if let Some(place) = self.places.get(&item) {
            return *place;
        }
        let place = self.items.len() as u64;
        self.items.push(written(&item));
        self.places.insert(item, place);
        place
    }
}

/// A block while it is put together.
struct Writer {
    first: (AttemptId, Time),
    /// The place of the next charge.
    place: u64,
    chains: Names<Chain>,
    shapes: Names<Arc<Shape>>,
    needs: Names<Digest>,
    charges: Vec<Vec<u8>>,
}

/// The bytes of the charges from `place` on; none of no charges.
pub(super) fn encode(place: u64, charges: &[Arc<Charge>]) -> Vec<u8> {
    let Some(first) = charges.first() else {
        return Vec::new();
    };
    let mut writer = Writer {
        first: (first.id, first.at),
        place,
        chains: Names::new(),
        shapes: Names::new(),
        needs: Names::new(),
        charges: Vec::new(),
    };
    for charge in charges {
        writer.add(charge);
    }
    writer.finish()
}

impl Writer {
    fn add(&mut self, charge: &Charge) {
        let mut to = Vec::new();
        let (first_id, first_at) = self.first;
        write_number(charge.id.0.saturating_sub(first_id.0), &mut to);
        write_number(charge.at.millis_since(first_at), &mut to);
        write_number(charge.hi.millis_since(charge.at), &mut to);
        match (charge.joins(), charge.previous) {
            (false, _) => to.push(0),
            (true, None) => {
                to.push(1);
                charge.set.write(&mut to);
            }
            (true, Some(previous)) => {
                to.push(2);
                charge.set.write(&mut to);
                write_number(self.place.saturating_sub(previous), &mut to);
            }
        }
        write_number(charge.carried.len() as u64, &mut to);
        for need in &charge.carried {
            write_number(self.needs.place(*need), &mut to);
        }
        write_fee_terms(&charge.fee_terms, &mut to);
        write_number(charge.facts.len() as u64, &mut to);
        for fact in &charge.facts {
            self.add_fact(charge.at, fact, &mut to);
        }
        self.charges.push(to);
        self.place = self.place.saturating_add(1);
    }

    fn add_fact(&mut self, at: Time, fact: &ChargedFact, to: &mut Vec<u8>) {
        write_number(self.shapes.place(Arc::clone(&fact.shape)), to);
        fact.amount.write(to);
        let valued = if fact.reference.is_some() { VALUED } else { 0 };
        let called = if fact.call.is_some() { CALLED } else { 0 };
        to.push(u8::from(fact.to.is_some()) | valued | called);
        if let Some(address) = &fact.to {
            write_number(self.chains.place(address.chain()), to);
            write_number(address.as_bytes().len() as u64, to);
            to.extend(address.as_bytes());
        }
        if let Some(value) = &fact.reference {
            value.write(to);
        }
        let age = fact.first_paid.map(|first| at.millis_since(first));
        write_number(age.map_or(0, |age| age.saturating_add(1)), to);
        fact.tag.write(to);
        if let Some(call) = &fact.call {
            // What cannot be read again is refused there; text and names can always be written.
            let text = serde_json::to_vec(&**call).unwrap_or_default();
            write_slice(&text, to);
        }
    }

    fn finish(self) -> Vec<u8> {
        let mut block = vec![VERSION];
        self.first.0.write(&mut block);
        self.first.1.write(&mut block);
        for list in [
            self.chains.items,
            self.shapes.items,
            self.needs.items,
            self.charges,
        ] {
            write_number(list.len() as u64, &mut block);
            for item in list {
                write_number(item.len() as u64, &mut block);
                block.extend(item);
            }
        }
        block
    }
}

/// A block that can be read, charge by charge.
pub(super) struct Block<'a> {
    first_id: AttemptId,
    first_at: Time,
    chains: Vec<&'a [u8]>,
    shapes: Vec<&'a [u8]>,
    needs: Vec<&'a [u8]>,
    charges: Vec<&'a [u8]>,
}

impl<'a> Block<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        let from = &mut &*bytes;
        if u8::read(from)? != VERSION {
            return None;
        }
        let block = Self {
            first_id: Code::read(from)?,
            first_at: Code::read(from)?,
            chains: list(from)?,
            shapes: list(from)?,
            needs: list(from)?,
            charges: list(from)?,
        };
        from.is_empty().then_some(block)
    }

    pub(super) fn first(&self) -> (AttemptId, Time) {
        (self.first_id, self.first_at)
    }

    pub(super) fn len(&self) -> usize {
        self.charges.len()
    }

    /// The `n`th charge, when the first stands at `place`.
    pub(super) fn charge(&self, place: u64, n: usize) -> Option<Charge> {
        let shape = |at: usize| read_whole(self.shapes.get(at)?).map(Arc::new);
        self.read(place, n, shape)
    }

    /// All charges, when the first stands at `place`.
    pub(super) fn all(&self, place: u64) -> Option<Vec<Arc<Charge>>> {
        let shapes = self.shapes.iter();
        let shapes: Vec<Arc<Shape>> = shapes
            .map(|bytes| read_whole(bytes).map(Arc::new))
            .collect::<Option<_>>()?;
        let shape = |at: usize| shapes.get(at).map(Arc::clone);
        let charge = |n| self.read(place, n, shape).map(Arc::new);
        (0..self.len()).map(charge).collect()
    }

    fn read(
        &self,
        place: u64,
        n: usize,
        shape: impl Fn(usize) -> Option<Arc<Shape>>,
    ) -> Option<Charge> {
        let mut bytes = *self.charges.get(n)?;
        let from = &mut bytes;
        let id = AttemptId(self.first_id.0.checked_add(read_number(from)?)?);
        let at = self.first_at.after_millis(read_number(from)?);
        let hi = at.after_millis(read_number(from)?);
        let place = place.checked_add(n as u64)?;
        let (set, previous) = match u8::read(from)? {
            0 => (id, None),
            1 => (Code::read(from)?, None),
            2 => {
                let set = Code::read(from)?;
                (set, Some(place.checked_sub(read_number(from)?)?))
            }
            _ => return None,
        };
        let need = |at: usize| self.needs.get(at).and_then(|bytes| read_whole(bytes));
        let carried = many(from, |from| need(index(from)?))?;
        let fee_terms = read_fee_terms(from)?;
        let facts = many(from, |from| self.read_fact(from, at, &shape))?;
        from.is_empty().then_some(Charge {
            id,
            at,
            hi,
            set,
            previous,
            carried,
            fee_terms,
            facts,
        })
    }

    fn read_fact(
        &self,
        from: &mut &[u8],
        at: Time,
        shape: impl Fn(usize) -> Option<Arc<Shape>>,
    ) -> Option<ChargedFact> {
        let shape = shape(index(from)?)?;
        let amount = Code::read(from)?;
        let flags = u8::read(from)?;
        let to = match flags & !(VALUED | CALLED) {
            0 => None,
            1 => Some(self.read_address(from)?),
            _ => return None,
        };
        let reference = match flags & VALUED {
            0 => None,
            _ => Some(Code::read(from)?),
        };
        Some(ChargedFact {
            shape,
            amount,
            reference,
            to,
            first_paid: match read_number(from)? {
                0 => None,
                age => Some(Time::from_millis(
                    at.millis().checked_sub(age.checked_sub(1)?)?,
                )),
            },
            tag: Code::read(from)?,
            call: match flags & CALLED {
                0 => None,
                _ => Some(Arc::new(read_call(from)?)),
            },
        })
    }

    fn read_address(&self, from: &mut &[u8]) -> Option<Address> {
        let chain: Chain = read_whole(self.chains.get(index(from)?)?)?;
        let length = index(from)?;
        let bytes = take(from, length)?;
        match chain {
            Chain::Evm(_) => Address::evm(chain, bytes.try_into().ok()?),
            _ => Address::from_script(chain, bytes),
        }
    }
}

fn read_call(from: &mut &[u8]) -> Option<ChargedCall> {
    let text = read_slice(from)?;
    let call: ChargedCall = serde_json::from_slice(text).ok()?;
    // In the one spelling.
    (serde_json::to_vec(&call).ok()? == text).then_some(call)
}

fn index(from: &mut &[u8]) -> Option<usize> {
    usize::try_from(read_number(from)?).ok()
}

/// Memory is taken item by item, each of which has bytes.
fn many<T>(from: &mut &[u8], mut item: impl FnMut(&mut &[u8]) -> Option<T>) -> Option<Box<[T]>> {
    let count = read_number(from)?;
    (0..count).map(|_| item(from)).collect()
}

fn list<'a>(from: &mut &'a [u8]) -> Option<Vec<&'a [u8]>> {
    let count = read_number(from)?;
    let item = |_| {
        let length = index(from)?;
        take(from, length)
    };
    (0..count).map(item).collect()
}

fn write_fee_terms(terms: &FeeTerms, to: &mut Vec<u8>) {
    match terms {
        FeeTerms::Evm {
            max_fee_per_gas,
            max_priority_fee_per_gas,
            gas_limit,
        } => {
            to.push(1);
            max_fee_per_gas.write(to);
            max_priority_fee_per_gas.write(to);
            write_number(*gas_limit, to);
        }
        FeeTerms::Utxo { fee, vsize } => {
            to.push(2);
            write_number(*fee, to);
            write_number(*vsize, to);
        }
        other => {
            to.push(0);
            write_slice(&written(other), to);
        }
    }
}

fn read_fee_terms(from: &mut &[u8]) -> Option<FeeTerms> {
    Some(match u8::read(from)? {
        0 => read_whole(read_slice(from)?)?,
        1 => FeeTerms::Evm {
            max_fee_per_gas: Code::read(from)?,
            max_priority_fee_per_gas: Code::read(from)?,
            gas_limit: read_number(from)?,
        },
        2 => FeeTerms::Utxo {
            fee: read_number(from)?,
            vsize: read_number(from)?,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charge(id: u64, set: u64, previous: Option<u64>) -> Arc<Charge> {
        let at = Time::from_millis(1_000 + 10 * id);
        Arc::new(Charge {
            id: AttemptId(id),
            at,
            hi: at.after_millis(5),
            set: AttemptId(set),
            previous,
            carried: Box::default(),
            fee_terms: FeeTerms::Utxo { fee: 3, vsize: 200 },
            facts: Box::default(),
        })
    }

    /// What is on disks is read by the releases to come.
    #[test]
    fn a_block_is_as_its_format_says() {
        let charges = [
            charge(7, 7, None),
            charge(9, 7, Some(4)),
            charge(10, 2, None),
        ];
        let bytes = encode(4, &charges);
        let told = [
            "02 0000000000000007 000000000000042e 00 00 00 03",
            // Of a set of its own.
            "0a 00 00 05 00 00 02 03 c801 00",
            // One place behind the set's last, which is kept.
            "13 02 14 05 02 0000000000000007 01 00 02 03 c801 00",
            // In a set of which none is kept.
            "12 03 1e 05 01 0000000000000002 00 02 03 c801 00",
        ];
        assert_eq!(hex::encode(&bytes), told.concat().replace(' ', ""));
        let read = Block::of(&bytes).unwrap().all(4).unwrap();
        assert_eq!(format!("{read:?}"), format!("{charges:?}"));
    }
}
