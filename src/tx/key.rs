//! The public half of a key that spends, and the two ways in which one signs.

use std::{fmt, str::FromStr};

use bitcoin::secp256k1;
use thiserror::Error;

use crate::{Address, Chain, evm, text::serde_by_text, utxo};

/// How a key on secp256k1 signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// ECDSA (SEC 1).
    Ecdsa,
    /// Schnorr signatures (BIP-340).
    Bip340,
}

/// The public half of a key that spends: a point on secp256k1, whose form says how the key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey(Form);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Form {
    /// SEC 1, compressed.
    Compressed([u8; 33]),
    /// The x coordinate of the point with an even y (BIP-340).
    XOnly([u8; 32]),
}

/// The bytes are no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("neither 33 bytes of a compressed point on secp256k1 nor 32 of an x coordinate on it")]
pub struct PublicKeyError;

impl PublicKey {
    /// A key that signs by ECDSA: a compressed point (SEC 1, 33 bytes).
    ///
    /// # Errors
    /// [`PublicKeyError`] when the bytes are no point on the curve.
    pub fn from_bytes(bytes: [u8; 33]) -> Result<Self, PublicKeyError> {
        secp256k1::PublicKey::from_slice(&bytes).map_err(|_| PublicKeyError)?;
        Ok(Self(Form::Compressed(bytes)))
    }

    /// A key that signs as BIP-340 has it: an x coordinate (32 bytes).
    ///
    /// # Errors
    /// [`PublicKeyError`] when no point on the curve has it.
    pub fn from_x_only(bytes: [u8; 32]) -> Result<Self, PublicKeyError> {
        secp256k1::XOnlyPublicKey::from_slice(&bytes).map_err(|_| PublicKeyError)?;
        Ok(Self(Form::XOnly(bytes)))
    }

    pub(crate) fn form(&self) -> &Form {
        &self.0
    }

    /// How the key signs.
    pub fn scheme(&self) -> Scheme {
        match self.0 {
            Form::Compressed(_) => Scheme::Ecdsa,
            Form::XOnly(_) => Scheme::Bip340,
        }
    }

    /// The 33 bytes of a compressed point, or the 32 of an x coordinate.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Compressed(bytes) => bytes,
            Form::XOnly(bytes) => bytes,
        }
    }

    /// The compressed point of a key that signs by ECDSA.
    pub fn compressed(&self) -> Option<&[u8; 33]> {
        match &self.0 {
            Form::Compressed(bytes) => Some(bytes),
            Form::XOnly(_) => None,
        }
    }

    /// Whether one secret, or it and its negative, is behind both keys: that of the one follows from that
    /// of the other, whatever their schemes.
    pub fn shares_secret(&self, other: &Self) -> bool {
        self.x() == other.x()
    }

    fn x(&self) -> &[u8] {
        match &self.0 {
            Form::Compressed([_, x @ ..]) => x,
            Form::XOnly(x) => x,
        }
    }

    /// The address of this key on `chain`. On Bitcoin-like chains it is P2WPKH for ECDSA and P2TR for
    /// BIP-340, the key itself being the output key (ADR 0028); on EVM chains a BIP-340 key has none.
    pub fn address(&self, chain: Chain) -> Option<Address> {
        match chain {
            Chain::Evm(_) => Address::evm(chain, evm::address::of_key(self.compressed()?)?),
            Chain::Bitcoin(_) | Chain::Litecoin(_) => {
                Address::from_script(chain, &utxo::address::key_script(self))
            }
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.as_bytes()))
    }
}

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        // The decoder would also take a prefix; the length is checked first, so that it cannot.
        match text.len() {
            66 => digits(text).and_then(Self::from_bytes),
            64 => digits(text).and_then(Self::from_x_only),
            _ => Err(PublicKeyError),
        }
    }
}

fn digits<const N: usize>(text: &str) -> Result<[u8; N], PublicKeyError> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| PublicKeyError)?;
    Ok(bytes)
}

serde_by_text!(
    PublicKey,
    "66 hexadecimal digits of a compressed public key, or 64 of an x-only one"
);

#[cfg(test)]
mod tests {
    use super::*;

    /// The generator, of an even y.
    const X: &str = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

    #[test]
    fn a_text_says_how_the_key_signs() {
        let ecdsa: PublicKey = format!("02{X}").parse().unwrap();
        let bip340: PublicKey = X.parse().unwrap();
        assert_eq!(ecdsa.scheme(), Scheme::Ecdsa);
        assert_eq!(bip340.scheme(), Scheme::Bip340);
        for key in [ecdsa, bip340] {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
    }

    #[test]
    fn keys_of_one_x_share_a_secret() {
        let keys: Vec<PublicKey> = [X.to_owned(), format!("02{X}"), format!("03{X}")]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let other = "c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5"
            .parse()
            .unwrap();
        for key in &keys {
            assert!(keys.iter().all(|same| key.shares_secret(same)));
            assert!(!key.shares_secret(&other));
        }
    }

    #[test]
    fn what_is_on_no_curve_is_no_key() {
        for text in [
            "",
            "00",
            &format!("05{X}"),
            &format!("04{X}"),
            &format!("0x{X}"),
            &X.replacen("79", "", 1),
            // No y has this x.
            "eefdea4cdb677750a420fee807eacf21eb9898ae79b9768766e4faa04a2d4a34",
            "0000000000000000000000000000000000000000000000000000000000000000",
            // The order of the field, and what is beyond it (BIP-340, test vector 14).
            "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc30",
        ] {
            assert_eq!(text.parse::<PublicKey>(), Err(PublicKeyError), "{text}");
        }
    }

    #[test]
    fn a_bip_340_key_has_addresses_where_there_is_taproot() {
        // BIP-350's test vector of a P2TR address has this output key.
        let key: PublicKey = X.parse().unwrap();
        let address = |chain: &str| key.address(chain.parse().unwrap());
        let bitcoin = address("bitcoin:mainnet").unwrap();
        assert_eq!(
            bitcoin.to_string(),
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"
        );
        assert_eq!(address("eip155:1"), None);
    }
}
