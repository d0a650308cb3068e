//! Which keys a run cannot have.

use super::MapKey;

/// Bits for each key: about one key in forty that is not there seems to be.
const BITS_A_KEY: u64 = 8;
/// The most bits: what 32 bits of a key can choose among.
const BITS_MAX: u64 = 1 << 32;

/// A Bloom filter. A key is a hash already, so its eight words choose its bits; whoever picks keys
/// to collide costs a reading and no more.
pub(super) struct Filter {
    bits: u64,
    bytes: Vec<u8>,
}

impl Filter {
    /// A filter for at most so many keys.
    pub(super) fn for_keys(keys: u64) -> Self {
        let bits = keys.saturating_mul(BITS_A_KEY).clamp(64, BITS_MAX);
        let length = usize::try_from(bits.div_ceil(8)).unwrap_or(usize::MAX);
        Self::of(vec![0; length])
    }

    /// The filter of these bytes.
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        let bits = (bytes.len() as u64).saturating_mul(8);
        Self { bits, bytes }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn add(&mut self, key: &MapKey) {
        for bit in bits(self.bits, key) {
            if let Some(byte) = self.bytes.get_mut(byte_of(bit)) {
                *byte |= mask(bit);
            }
        }
    }

    /// Whether the key may have been added; `false` is sure.
    pub(super) fn may_have(&self, key: &MapKey) -> bool {
        let is_set = |bit: u64| {
            let byte = self.bytes.get(byte_of(bit));
            byte.is_none_or(|byte| byte & mask(bit) != 0)
        };
        bits(self.bits, key).all(is_set)
    }
}

/// The bits of a key: each of its words scaled to the filter's length.
fn bits(length: u64, key: &MapKey) -> impl Iterator<Item = u64> {
    let (words, _) = key.as_bytes().as_chunks::<4>();
    words
        .iter()
        .map(move |word| u64::from(u32::from_be_bytes(*word)).saturating_mul(length) >> 32)
}

fn byte_of(bit: u64) -> usize {
    usize::try_from(bit >> 3).unwrap_or(usize::MAX)
}

fn mask(bit: u64) -> u8 {
    1 << (bit & 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> MapKey {
        MapKey::of("test", &number.to_be_bytes())
    }

    #[test]
    fn what_was_added_may_be_there_and_little_else() {
        let mut filter = Filter::for_keys(10_000);
        (0..10_000).for_each(|number| filter.add(&key(number)));
        assert!((0..10_000).all(|number| filter.may_have(&key(number))));
        let wrong = (10_000..20_000).filter(|number| filter.may_have(&key(*number)));
        let wrong = wrong.count();
        assert!(wrong < 500, "{wrong} of 10,000 seem to be there");
    }

    #[test]
    fn without_a_key_it_has_none() {
        let filter = Filter::for_keys(0);
        assert!((0..1_000).all(|number| !filter.may_have(&key(number))));
    }
}
