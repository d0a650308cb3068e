//! Keys that sign often are prepared, so that what they sign is verified faster.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::multiples::Prepared;

/// After how many signatures a key is prepared, which takes as long as recovering it 60 times.
const OFTEN: u32 = 64;
/// How many keys are known at least, of the latest; twice as many at most, with 52 KiB each: 14 MB.
const MOST: usize = 128;

/// The keys that signed lately. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Familiar(Arc<Mutex<Generations>>);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<[u8; 33], Knowledge>,
    old: HashMap<[u8; 33], Knowledge>,
}

/// What is known of a key.
#[derive(Debug)]
enum Knowledge {
    /// It signed this often.
    Signed(u32),
    Preparing,
    Prepared(Arc<Prepared>),
}

impl Default for Knowledge {
    fn default() -> Self {
        Self::Signed(0)
    }
}

impl Familiar {
    /// What a key was prepared to. A compressed key that has signed often enough is prepared from now
    /// on, on a thread where nobody waits: within a runtime.
    pub(super) fn prepared(&self, key: &[u8; 33]) -> Option<Arc<Prepared>> {
        let mut generations = self.lock();
        let known = generations.knowledge(key);
        match known {
            Knowledge::Prepared(prepared) => return Some(Arc::clone(prepared)),
            Knowledge::Signed(often) if *often >= OFTEN => *known = Knowledge::Preparing,
            Knowledge::Signed(often) => {
                *often = often.saturating_add(1);
                return None;
            }
            Knowledge::Preparing => return None,
        }
        drop(generations);
        let (familiar, key) = (self.clone(), *key);
        // Not waited for: keys are recovered until it is done.
        let _preparing = tokio::task::spawn_blocking(move || familiar.prepare(&key));
        None
    }

    fn prepare(&self, key: &[u8; 33]) {
        if let Some(prepared) = Prepared::of(key) {
            let prepared = Knowledge::Prepared(Arc::new(prepared));
            *self.lock().knowledge(key) = prepared;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn knowledge(&mut self, key: &[u8; 33]) -> &mut Knowledge {
        if !self.young.contains_key(key) {
            if self.young.len() >= MOST {
                self.old = mem::take(&mut self.young);
            }
            let known = self.old.remove(key).unwrap_or_default();
            self.young.insert(*key, known);
        }
        self.young.entry(*key).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_keys_are_known_and_no_more_than_that() {
        let mut known = Generations::default();
        let key = |n: usize| {
            let mut key = [2; 33];
            key[..8].copy_from_slice(&n.to_be_bytes());
            key
        };
        for n in 0..10 * MOST {
            *known.knowledge(&key(n)) = Knowledge::Signed(7);
            assert!(known.young.len() + known.old.len() <= 2 * MOST);
            for back in n.saturating_sub(MOST - 1)..=n {
                let of = |map: &HashMap<[u8; 33], Knowledge>| map.contains_key(&key(back));
                assert!(of(&known.young) || of(&known.old), "{back} of {n}");
            }
        }
        let first = known.knowledge(&key(0));
        assert!(matches!(first, Knowledge::Signed(0)));
    }

    /// A key that goes on signing stays, however many others sign once.
    #[test]
    fn who_signs_often_is_not_forgotten() {
        let mut known = Generations::default();
        for n in 0..100 * MOST {
            let mut other = [3; 33];
            other[..8].copy_from_slice(&n.to_be_bytes());
            known.knowledge(&other);
            if n % (MOST / 2) == 0 {
                let Knowledge::Signed(often) = known.knowledge(&[2; 33]) else {
                    panic!("it was counted only");
                };
                *often += 1;
                assert_eq!(*often as usize, n / (MOST / 2) + 1);
            }
        }
    }

    #[tokio::test]
    async fn a_key_is_prepared_once_it_signed_often() {
        let secret = k256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
        let point = secret.verifying_key().to_encoded_point(true);
        let key: [u8; 33] = point.as_bytes().try_into().unwrap();
        let familiar = Familiar::default();
        for _ in 0..=OFTEN {
            assert!(familiar.prepared(&key).is_none());
        }
        let preparing = matches!(familiar.lock().knowledge(&key), Knowledge::Preparing);
        assert!(preparing || familiar.prepared(&key).is_some());
        while familiar.prepared(&key).is_none() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_is_no_key_is_prepared_to_nothing() {
        let familiar = Familiar::default();
        for _ in 0..2 * OFTEN {
            assert!(familiar.prepared(&[0; 33]).is_none());
        }
        familiar.prepare(&[0; 33]);
        assert!(familiar.prepared(&[0; 33]).is_none());
    }
}
