//! scrypt with r = 1 and an N of 2^16 or more. RFC 7914 asks for N < 2^(16 r), and so does the crate
//! `scrypt`; web3.py wrote such files for years all the same, and a test vector of the Web3 Secret
//! Storage has r = 1 and N = 2^18. Only files that are taken over are read with it.

use sha2::Sha256;
use zeroize::Zeroize;

use super::{error::KeystoreError, secret::SECRET_BYTES};

/// Bytes of one block of two halves: 128 r.
const BLOCK_BYTES: usize = 128;

/// Two halves of 16 words each.
#[derive(Clone, Copy, Default, Zeroize)]
struct Block([u32; 16], [u32; 16]);

/// Derives 32 bytes: PBKDF2 to `p` blocks, each mixed, and PBKDF2 over them. `n` is a power of two.
pub(super) fn derive(
    passphrase: &[u8],
    salt: &[u8],
    n: u64,
    p: u32,
    bytes: &mut [u8; SECRET_BYTES],
) -> Result<(), KeystoreError> {
    let none = |_| KeystoreError::Derivation;
    let (n, p) = (
        usize::try_from(n).map_err(none)?,
        usize::try_from(p).map_err(none)?,
    );
    let mut blocks = vec![0; BLOCK_BYTES.saturating_mul(p)];
    pbkdf2::pbkdf2_hmac::<Sha256>(passphrase, salt, 1, &mut blocks);
    let mut seen = Vec::new();
    seen.try_reserve_exact(n)
        .map_err(|_| KeystoreError::Derivation)?;
    for block in blocks.chunks_exact_mut(BLOCK_BYTES) {
        mix(block, n, &mut seen);
    }
    pbkdf2::pbkdf2_hmac::<Sha256>(passphrase, &blocks, 1, bytes);
    blocks.zeroize();
    seen.iter_mut().for_each(Zeroize::zeroize);
    Ok(())
}

/// scryptROMix of RFC 7914, section 5.
fn mix(bytes: &mut [u8], n: usize, seen: &mut Vec<Block>) {
    let mut block = Block::read(bytes);
    seen.clear();
    for _ in 0..n {
        seen.push(block);
        block = block.mixed();
    }
    for _ in 0..n {
        // The last half as a number, modulo a power of two below 2^32.
        let [first, ..] = block.1;
        let place = usize::try_from(first).unwrap_or_default() & n.saturating_sub(1);
        if let Some(other) = seen.get(place) {
            block.add(other);
        }
        block = block.mixed();
    }
    block.write(bytes);
}

impl Block {
    fn read(bytes: &[u8]) -> Self {
        let mut block = Self::default();
        let words = bytes.as_chunks::<4>().0;
        for (word, bytes) in block.words().zip(words) {
            *word = u32::from_le_bytes(*bytes);
        }
        block
    }

    fn write(mut self, bytes: &mut [u8]) {
        let words = bytes.as_chunks_mut::<4>().0;
        for (word, bytes) in self.words().zip(words) {
            *bytes = word.to_le_bytes();
        }
    }

    fn words(&mut self) -> impl Iterator<Item = &mut u32> {
        self.0.iter_mut().chain(&mut self.1)
    }

    /// The exclusive or with another.
    fn add(&mut self, other: &Self) {
        add(&mut self.0, &other.0);
        add(&mut self.1, &other.1);
    }

    /// scryptBlockMix of RFC 7914, section 4, with r = 1.
    fn mixed(&self) -> Self {
        let mut half = self.1;
        add(&mut half, &self.0);
        let first = salsa(half);
        half = first;
        add(&mut half, &self.1);
        Self(first, salsa(half))
    }
}

fn add(to: &mut [u32; 16], other: &[u32; 16]) {
    for (word, other) in to.iter_mut().zip(other) {
        *word ^= other;
    }
}

/// Salsa20/8 of RFC 7914, section 3.
fn salsa(input: [u32; 16]) -> [u32; 16] {
    let mut x = input;
    macro_rules! quarter {
        ($a:literal, $b:literal, $c:literal, $d:literal) => {
            x[$b] ^= x[$a].wrapping_add(x[$d]).rotate_left(7);
            x[$c] ^= x[$b].wrapping_add(x[$a]).rotate_left(9);
            x[$d] ^= x[$c].wrapping_add(x[$b]).rotate_left(13);
            x[$a] ^= x[$d].wrapping_add(x[$c]).rotate_left(18);
        };
    }
    for _ in 0..4 {
        quarter!(0, 4, 8, 12);
        quarter!(5, 9, 13, 1);
        quarter!(10, 14, 2, 6);
        quarter!(15, 3, 7, 11);
        quarter!(0, 1, 2, 3);
        quarter!(5, 6, 7, 4);
        quarter!(10, 11, 8, 9);
        quarter!(15, 12, 13, 14);
    }
    for (word, input) in x.iter_mut().zip(input) {
        *word = word.wrapping_add(input);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the crate `scrypt` takes the parameters, both say the same.
    #[test]
    fn it_is_scrypt() {
        for (log_n, p) in [(1, 1), (4, 1), (10, 3), (15, 2)] {
            let mut own = [0; SECRET_BYTES];
            derive(b"passphrase", b"salt", 1 << log_n, p, &mut own).unwrap();
            let params = scrypt::Params::new(log_n, 1, p, SECRET_BYTES).unwrap();
            let mut other = [0; SECRET_BYTES];
            scrypt::scrypt(b"passphrase", b"salt", &params, &mut other).unwrap();
            assert_eq!(own, other, "{log_n} {p}");
        }
    }
}
