//! What the group's commands answer.

use std::fmt;

use ::keys::admin::{ListedKey, ListedSeed};
use ::keys::protocol::KeyDescription;
use ::keys::{KeyAlgorithm, KeyId, KeyPurpose, PublicKey, TokenIdentity};
use bitcoin::bip32::Fingerprint;
use serde::Serialize;
use tx::{Address, Chain, Name};

use crate::client::plain;

/// A token: the answer of `keys init` and `keys token`.
#[derive(Debug, Serialize)]
pub struct Identity {
    label: String,
    serial: String,
    manufacturer: String,
    model: String,
    firmware: String,
}

impl Identity {
    /// What it says of itself.
    pub fn new(identity: &TokenIdentity) -> Self {
        Self {
            label: plain(identity.label.as_str()),
            serial: plain(identity.serial.as_str()),
            manufacturer: plain(identity.manufacturer.as_str()),
            model: plain(identity.model.as_str()),
            firmware: identity.firmware.to_string(),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            label,
            serial,
            manufacturer,
            model,
            firmware,
        } = self;
        writeln!(f, "token {label}")?;
        writeln!(f, "  serial      {serial}")?;
        writeln!(
            f,
            "  model       {manufacturer}, {model}, firmware {firmware}"
        )
    }
}

/// A key that signerd would use.
#[derive(Debug, Serialize)]
struct Key {
    name: Name,
    purpose: KeyPurpose,
    algorithm: KeyAlgorithm,
    public_key: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<KeyAddress>,
}

#[derive(Debug, Serialize)]
struct KeyAddress {
    chain: Chain,
    // Without the chain, which stands beside it.
    address: Option<String>,
}

impl Key {
    fn new(key: &KeyId, public: &PublicKey, chains: &[Chain]) -> Self {
        let address = |chain: &Chain| KeyAddress {
            chain: *chain,
            address: address(public, *chain).map(|address| address.to_string()),
        };
        Self {
            name: key.name.clone(),
            purpose: key.purpose,
            algorithm: public.algorithm(),
            public_key: public.to_string(),
            addresses: chains.iter().map(address).collect(),
        }
    }
}

/// The key's address, on a chain that has one for its algorithm.
fn address(public: &PublicKey, chain: Chain) -> Option<Address> {
    let public = match public {
        PublicKey::Secp256k1(bytes) => tx::PublicKey::from_bytes(*bytes).ok()?,
        PublicKey::Bip340(bytes) => tx::PublicKey::from_x_only(*bytes).ok()?,
        PublicKey::Ed25519(_) => return None,
    };
    public.address(chain)
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            purpose,
            algorithm,
            public_key,
            addresses,
        } = self;
        writeln!(f, "key {name} ({purpose}, {algorithm})")?;
        writeln!(f, "  public      {public_key}")?;
        for KeyAddress { chain, address } in addresses {
            match address {
                Some(address) => writeln!(f, "  {chain} {address}")?,
                None => writeln!(f, "  {chain} has no address for {algorithm}")?,
            }
        }
        Ok(())
    }
}

/// The answer of `keys generate`.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Generated(Key);

impl Generated {
    /// A key that was made, and its addresses on these chains.
    pub fn new(made: &KeyDescription, chains: &[Chain]) -> Self {
        Self(Key::new(&made.key, &made.public, chains))
    }
}

impl fmt::Display for Generated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The answer of `keys list`. `policy explain --keys` reads its JSON.
#[derive(Debug, Serialize)]
pub struct Listing {
    token: Identity,
    keys: Vec<Key>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    seeds: Vec<Seed>,
    /// Keys that signerd does not use, and seeds that nothing is derived from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<Refused>,
}

/// A seed that keys can be derived from.
#[derive(Debug, Serialize)]
struct Seed {
    name: Name,
    /// What wallets name it by: eight hexadecimal digits (BIP-32).
    fingerprint: String,
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, fingerprint } = self;
        writeln!(f, "seed {name} (fingerprint {fingerprint})")
    }
}

/// The answer of `keys seed`.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct MadeSeed(Seed);

impl MadeSeed {
    /// A seed that was written.
    pub fn new(name: Name, fingerprint: Fingerprint) -> Self {
        let fingerprint = fingerprint.to_string();
        Self(Seed { name, fingerprint })
    }
}

impl fmt::Display for MadeSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Debug, Serialize)]
struct Refused {
    label: String,
    reason: String,
}

impl Listing {
    /// The keys of a token, with their addresses on these chains, and the seeds of a keystore.
    pub fn new(
        identity: &TokenIdentity,
        listed: Vec<ListedKey>,
        listed_seeds: Vec<ListedSeed>,
        chains: &[Chain],
    ) -> Self {
        let (mut keys, mut seeds, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for listed in listed {
            match (&listed.key, &listed.usable) {
                (Some(key), Ok(public)) => keys.push(Key::new(key, public, chains)),
                (key, usable) => {
                    let reason = match (key, usable) {
                        (Some(_), Err(failure)) => failure.to_string(),
                        _ => "its label is not one of Strongroom's".to_owned(),
                    };
                    refused.push(Refused {
                        label: plain(&listed.label),
                        reason,
                    });
                }
            }
        }
        for ListedSeed { name, readable } in listed_seeds {
            match readable {
                Ok(fingerprint) => seeds.push(Seed {
                    name,
                    fingerprint: fingerprint.to_string(),
                }),
                Err(failure) => refused.push(Refused {
                    label: format!("seed {name}"),
                    reason: failure.to_string(),
                }),
            }
        }
        Self {
            token: Identity::new(identity),
            keys,
            seeds,
            refused,
        }
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.token)?;
        for key in &self.keys {
            write!(f, "{key}")?;
        }
        for seed in &self.seeds {
            write!(f, "{seed}")?;
        }
        for Refused { label, reason } in &self.refused {
            writeln!(f, "not used: {label:?}: {reason}")?;
        }
        Ok(())
    }
}
