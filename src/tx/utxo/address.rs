//! Bitcoin-like addresses: base58check for P2PKH and P2SH, bech32 for witness version 0 (BIP-173),
//! bech32m for version 1 (BIP-350).

use bitcoin::{
    base58,
    bech32::{
        Hrp,
        primitives::decode::{SegwitHrpstring, SegwitHrpstringError},
        segwit,
    },
};

use super::script::Template;
use crate::{AddressError, Chain, Network, PublicKey};

/// What the addresses of one network look like.
struct Format {
    chain: Chain,
    /// The human-readable part of its witness addresses.
    hrp: &'static str,
    /// The base58 version of P2PKH.
    p2pkh: u8,
    /// The base58 version of P2SH.
    p2sh: u8,
}

/// Testnet and regtest share their base58 versions. Litecoin's first P2SH versions, 5 and 196, are
/// Bitcoin's: such an address is Bitcoin's here, since nobody can tell what its owner meant.
const FORMATS: [Format; 6] = [
    format(Chain::Bitcoin(Network::Mainnet), "bc", 0, 5),
    format(Chain::Bitcoin(Network::Testnet), "tb", 111, 196),
    format(Chain::Bitcoin(Network::Regtest), "bcrt", 111, 196),
    format(Chain::Litecoin(Network::Mainnet), "ltc", 48, 50),
    format(Chain::Litecoin(Network::Testnet), "tltc", 111, 58),
    format(Chain::Litecoin(Network::Regtest), "rltc", 111, 58),
];

/// The human-readable parts of Litecoin's MWEB addresses, which have no output script.
const MWEB_HRPS: [&str; 2] = ["ltcmweb", "tmweb"];

const fn format(chain: Chain, hrp: &'static str, p2pkh: u8, p2sh: u8) -> Format {
    Format {
        chain,
        hrp,
        p2pkh,
        p2sh,
    }
}

impl Format {
    fn of(chain: Chain) -> Option<&'static Self> {
        FORMATS.iter().find(|format| format.chain == chain)
    }

    fn base58(&self, version: u8, hash: [u8; 20]) -> Option<Template> {
        match version {
            v if v == self.p2pkh => Some(Template::P2pkh(hash)),
            v if v == self.p2sh => Some(Template::P2sh(hash)),
            _ => None,
        }
    }
}

/// The output script of an address of `chain`.
pub(crate) fn parse(chain: Chain, text: &str) -> Result<Vec<u8>, AddressError> {
    let format = Format::of(chain).ok_or_else(|| form(chain, text))?;
    let template = match text.rsplit_once('1') {
        Some((hrp, _)) if is_witness_hrp(hrp) => parse_witness(format, hrp, text)?,
        _ => parse_base58(format, text)?,
    };
    Ok(template.script())
}

/// The canonical address of an output script; `None` for a script that has none.
pub(crate) fn text(chain: Chain, script: &[u8]) -> Option<String> {
    let format = Format::of(chain)?;
    match Template::of(script)? {
        Template::P2pkh(hash) => Some(base58_text(format.p2pkh, hash)),
        Template::P2sh(hash) => Some(base58_text(format.p2sh, hash)),
        Template::P2wpkh(hash) => segwit::encode_v0(Hrp::parse(format.hrp).ok()?, &hash).ok(),
        Template::P2wsh(hash) => segwit::encode_v0(Hrp::parse(format.hrp).ok()?, &hash).ok(),
        Template::P2tr(key) => segwit::encode_v1(Hrp::parse(format.hrp).ok()?, &key).ok(),
    }
}

/// The script of payments to a key.
pub(crate) fn key_script(key: &PublicKey) -> Vec<u8> {
    Template::of_key(key).script()
}

fn base58_text(version: u8, hash: [u8; 20]) -> String {
    base58::encode_check(&[&[version], hash.as_slice()].concat())
}

fn is_witness_hrp(hrp: &str) -> bool {
    FORMATS
        .iter()
        .map(|format| format.hrp)
        .chain(MWEB_HRPS)
        .any(|known| known.eq_ignore_ascii_case(hrp))
}

fn parse_witness(format: &Format, hrp: &str, text: &str) -> Result<Template, AddressError> {
    if MWEB_HRPS.iter().any(|mweb| mweb.eq_ignore_ascii_case(hrp)) {
        return Err(AddressError::Kind { text: text.into() });
    }
    // Refuses mixed case, as BIP-173 wants: a single changed case may hide a substitution.
    let witness = SegwitHrpstring::new(text).map_err(|error| match error {
        SegwitHrpstringError::Checksum(_) => AddressError::Checksum { text: text.into() },
        _ => form(format.chain, text),
    })?;
    if !format.hrp.eq_ignore_ascii_case(hrp) {
        return Err(network(format.chain, text));
    }
    let program: Vec<u8> = witness.byte_iter().collect();
    let template = match (witness.witness_version().to_u8(), program.len()) {
        (0, 20) => program.try_into().ok().map(Template::P2wpkh),
        (0, 32) => program.try_into().ok().map(Template::P2wsh),
        (1, 32) => program.try_into().ok().map(Template::P2tr),
        _ => None,
    };
    template.ok_or_else(|| AddressError::Kind { text: text.into() })
}

fn parse_base58(format: &Format, text: &str) -> Result<Template, AddressError> {
    /// The longest base58 text of 25 bytes; decoding takes time quadratic in the length.
    const LENGTH_MAX: usize = 35;

    let form = || form(format.chain, text);
    if text.len() > LENGTH_MAX {
        return Err(form());
    }
    let bytes = base58::decode(text).map_err(|_| form())?;
    let [version, hash @ .., _, _, _, _] = bytes.as_slice() else {
        return Err(form());
    };
    let hash: [u8; 20] = hash.try_into().map_err(|_| form())?;
    base58::decode_check(text).map_err(|_| AddressError::Checksum { text: text.into() })?;
    match format.base58(*version, hash) {
        Some(template) => Ok(template),
        None if FORMATS.iter().any(|f| f.base58(*version, hash).is_some()) => {
            Err(network(format.chain, text))
        }
        None => Err(form()),
    }
}

fn form(chain: Chain, text: &str) -> AddressError {
    AddressError::Form {
        chain,
        text: text.into(),
    }
}

fn network(chain: Chain, text: &str) -> AddressError {
    AddressError::Network {
        chain,
        text: text.into(),
    }
}
