//! EVM addresses: the last 20 bytes of a key's Keccak-256, written with an EIP-55 checksum.

use std::cell::Cell;

use sha3::{Digest, Keccak256};

use crate::{AddressError, Chain};

/// Reads `0x` and 40 hexadecimal digits.
///
/// Only an address all in lower case goes without a checksum. EIP-55 would also take one all in
/// upper case; that is refused unless it happens to satisfy the checksum, because no tool writes it
/// and it hides a typing error.
///
/// # Errors
/// [`AddressError::Form`] for any other shape, [`AddressError::Checksum`] where EIP-55 fails.
pub(crate) fn parse(chain: Chain, text: &str) -> Result<[u8; 20], AddressError> {
    let form = || AddressError::Form {
        chain,
        text: text.into(),
    };
    let digits = text.strip_prefix("0x").ok_or_else(form)?;
    // The decoder would also take a second `0x`; the length is checked first, so that it cannot.
    if digits.len() != 40 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(form());
    }
    let mut bytes = [0; 20];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| form())?;
    let lower = !digits.bytes().any(|b| b.is_ascii_uppercase());
    if lower || checksummed(&bytes) == text {
        Ok(bytes)
    } else {
        Err(AddressError::Checksum { text: text.into() })
    }
}

/// The EIP-55 spelling; `None` when these are not 20 bytes.
pub(crate) fn text(bytes: &[u8]) -> Option<String> {
    <[u8; 20]>::try_from(bytes)
        .ok()
        .map(|bytes| checksummed(&bytes))
}

/// The address of a compressed key: the last 20 bytes of the Keccak-256 of `x ‖ y`.
pub(crate) fn of_key(key: &[u8; 33]) -> Option<[u8; 20]> {
    let point = bitcoin::secp256k1::PublicKey::from_slice(key).ok()?;
    let uncompressed = point.serialize_uncompressed();
    let (_tag, xy) = uncompressed.split_first()?;
    keccak256(xy).last_chunk().copied()
}

/// Keccak-256 as Ethereum uses it, with the padding from before SHA-3 was standardised.
pub(super) fn keccak256(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}

/// How many addresses a thread knows the spelling of: 3 KiB.
const KNOWN: usize = 64;

/// An address, and of which of its digits the letters are in upper case.
type Spelled = ([u8; 20], u64);

thread_local! {
    /// The spellings that were asked for last: whoever handles a payment asks a dozen times for those of its
    /// two or three addresses, and each takes a Keccak-256. None is that of no address.
    static SPELLED: [Cell<Option<Spelled>>; KNOWN] = const { [const { Cell::new(None) }; KNOWN] };
}

/// Bit `n` stands for digit `n`.
fn upper_case(bytes: &[u8; 20], digits: &[u8]) -> u64 {
    let [.., last] = *bytes;
    SPELLED.with(|spelled| {
        let place = spelled.get(usize::from(last).checked_rem(KNOWN).unwrap_or(0));
        match place.and_then(Cell::get) {
            Some((known, upper)) if known == *bytes => upper,
            _ => {
                let upper = checksum(digits);
                if let Some(place) = place {
                    place.set(Some((*bytes, upper)));
                }
                upper
            }
        }
    })
}

/// A letter is upper case exactly when its digit in the hash of the lower-case text is 8 or more.
fn checksum(digits: &[u8]) -> u64 {
    let hash = keccak256(digits);
    let nibbles = hash.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    let upper = nibbles.zip(0..u64::BITS).filter(|(nibble, _)| *nibble >= 8);
    upper.fold(0, |upper, (_, digit)| upper | 1 << digit)
}

fn checksummed(bytes: &[u8; 20]) -> String {
    let mut digits = [0; 40];
    // They are as many as there is room for.
    let _written = hex::encode_to_slice(bytes, &mut digits);
    let upper = upper_case(bytes, &digits);
    for (digit, place) in digits.iter_mut().zip(0..u64::BITS) {
        if upper >> place & 1 == 1 {
            digit.make_ascii_uppercase();
        }
    }
    let mut text = String::with_capacity(42);
    text.push_str("0x");
    // Hexadecimal digits are ASCII.
    text.push_str(str::from_utf8(&digits).unwrap_or_default());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: Chain = Chain::Evm(1);

    #[test]
    fn eip_55_vectors() {
        for text in [
            "0x52908400098527886E0F7030069857D2E4169EE7",
            "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
            "0xde709f2102306220921060314715629080e2fb77",
            "0x27b1fdb04752bbc536007a920d24acb045561c26",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        ] {
            let bytes = parse(CHAIN, text).unwrap();
            assert_eq!(super::text(&bytes).as_deref(), Some(text));
            assert_eq!(parse(CHAIN, &text.to_ascii_lowercase()), Ok(bytes));
        }
    }

    /// Two thousand addresses, in two turns: places are taken by others, and found again.
    #[test]
    fn a_known_spelling_is_that_of_the_address() {
        let address = |n: u16| {
            let [high, low] = n.to_be_bytes();
            [low; 20].map(|byte| byte ^ high.wrapping_mul(31))
        };
        for n in (0..1000).chain(0..1000) {
            let bytes = address(n);
            let digits = hex::encode(bytes);
            let hash = hex::encode(keccak256(digits.as_bytes()));
            let mut expected = String::from("0x");
            for (digit, by) in digits.chars().zip(hash.chars()) {
                let upper = by >= '8';
                expected.push(if upper {
                    digit.to_ascii_uppercase()
                } else {
                    digit
                });
            }
            for _ in 0..2 {
                assert_eq!(text(&bytes), Some(expected.clone()));
            }
        }
    }

    #[test]
    fn one_wrong_case_is_a_wrong_checksum() {
        for text in [
            "0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0x5AAEB6053F3E94C9B9A09F33669435E7EF1BEAED",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD",
        ] {
            let checksum = AddressError::Checksum { text: text.into() };
            assert_eq!(parse(CHAIN, text), Err(checksum));
        }
    }

    #[test]
    fn other_shapes_are_refused() {
        for text in [
            "",
            "0x",
            "5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
            "0X5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
            "0x0x5aaeb6053f3e94c9b9a09f33669435e7ef1bea",
            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beae",
            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed0",
            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaeg",
            " 0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed ",
            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaé",
        ] {
            assert!(
                matches!(parse(CHAIN, text), Err(AddressError::Form { .. })),
                "{text:?}"
            );
        }
        assert_eq!(super::text(&[0; 19]), None);
    }

    #[test]
    fn address_of_the_generator_point() {
        let generator = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        let address = generator
            .parse::<crate::PublicKey>()
            .unwrap()
            .address(CHAIN);
        assert_eq!(
            address.unwrap().to_string(),
            "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"
        );
    }
}
