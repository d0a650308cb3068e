//! A memory of the latest `r`, also of signatures that are in flight: two with one `r` give the private key
//! away. That of all that were kept is the journal's.

use std::mem;

use indexmap::{IndexMap, map::Entry};
use thiserror::Error;

use crate::key::KeyId;

/// `r` of one signature came up with another digest or another key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{first_key} and {second_key} signed two inputs with one r")]
pub struct RRepeated {
    /// The `r`, 32 bytes big-endian.
    pub r: [u8; 32],
    /// The key of the earlier signature.
    pub first_key: KeyId,
    /// The digest of the earlier signature.
    pub first_digest: [u8; 32],
    /// The key of the later signature.
    pub second_key: KeyId,
    /// The digest of the later signature.
    pub second_digest: [u8; 32],
}

/// Remembers the `r` of at least the latest `capacity` signatures, and of at most twice as many.
/// A full generation takes about 40 MB for 2^18, and is filled from its beginning to its end: a table with
/// the whole of each entry in a place of chance would touch a page of its own for every one.
#[derive(Debug)]
pub struct RSeen {
    capacity: usize,
    young: IndexMap<[u8; 32], Use>,
    old: IndexMap<[u8; 32], Use>,
}

#[derive(Debug, PartialEq, Eq)]
struct Use {
    key: KeyId,
    digest: [u8; 32],
}

impl RSeen {
    /// An empty memory. It takes no memory before it is used.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            young: IndexMap::new(),
            old: IndexMap::new(),
        }
    }

    /// Takes note of a verified signature.
    ///
    /// The same key and digest may have the same `r`: deterministic devices (RFC 6979) sign so.
    ///
    /// # Errors
    /// [`RRepeated`] when the `r` was seen with another key or digest. The first use stays.
    pub fn insert(
        &mut self,
        r: [u8; 32],
        key: &KeyId,
        digest: &[u8; 32],
    ) -> Result<(), Box<RRepeated>> {
        let new = Use {
            key: key.clone(),
            digest: *digest,
        };
        if let Some(first) = self.old.get(&r) {
            return compare(r, first, &new);
        }
        // At once: to double it again and again would keep everybody waiting.
        if self.young.capacity() == 0 {
            self.young.reserve(self.capacity);
        }
        match self.young.entry(r) {
            Entry::Occupied(first) => compare(r, first.get(), &new)?,
            Entry::Vacant(place) => {
                place.insert(new);
            }
        }
        if self.young.len() >= self.capacity {
            self.old = mem::take(&mut self.young);
        }
        Ok(())
    }

    /// How many signatures are remembered.
    pub fn len(&self) -> usize {
        self.young.len().saturating_add(self.old.len())
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn compare(r: [u8; 32], first: &Use, second: &Use) -> Result<(), Box<RRepeated>> {
    if first == second {
        return Ok(());
    }
    Err(Box::new(RRepeated {
        r,
        first_key: first.key.clone(),
        first_digest: first.digest,
        second_key: second.key.clone(),
        second_digest: second.digest,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyPurpose;

    fn key(name: &str) -> KeyId {
        KeyId {
            purpose: KeyPurpose::Spend,
            name: name.parse().unwrap(),
        }
    }

    #[test]
    fn alarms_on_another_digest_or_key() {
        let mut seen = RSeen::new(8);
        seen.insert([1; 32], &key("a"), &[5; 32]).unwrap();
        seen.insert([1; 32], &key("a"), &[5; 32]).unwrap();
        seen.insert([2; 32], &key("a"), &[5; 32]).unwrap();
        let alarm = seen.insert([1; 32], &key("a"), &[6; 32]).unwrap_err();
        assert_eq!(
            (alarm.first_digest, alarm.second_digest),
            ([5; 32], [6; 32])
        );
        assert!(seen.insert([1; 32], &key("b"), &[5; 32]).is_err());
        assert_eq!(seen.len(), 2);
    }

    #[test]
    fn remembers_the_latest_and_stays_bounded() {
        let mut seen = RSeen::new(4);
        for i in 0..100u8 {
            seen.insert([i; 32], &key("a"), &[i; 32]).unwrap();
            assert!(seen.len() <= 8);
            for back in i.saturating_sub(3)..=i {
                assert!(seen.insert([back; 32], &key("a"), &[200; 32]).is_err());
            }
        }
    }
}
