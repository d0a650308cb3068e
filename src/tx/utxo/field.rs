//! The fields of a PSBT: which are allowed, and what form they have (BIP-174).
//!
//! Only four fields mean something here: the unsigned transaction, the previous transaction, the
//! witness output and the signature hash type. Public keys with their derivation paths and extended
//! public keys are what wallets add unasked; their form is checked, and what they say is ignored,
//! because anyone can write our fingerprint and path beside a script of their own.

use super::{
    psbt::Entry,
    refusal::{Place, Refusal},
};
use crate::PublicKey;

pub(super) const GLOBAL_UNSIGNED: u64 = 0x00;
const GLOBAL_XPUB: u64 = 0x01;
/// The first and the last of the global fields that only version 2 has (BIP-370).
const GLOBAL_V2_FIRST: u64 = 0x02;
const GLOBAL_V2_LAST: u64 = 0x06;
const GLOBAL_VERSION: u64 = 0xfb;

pub(super) const INPUT_PREVIOUS: u64 = 0x00;
pub(super) const INPUT_WITNESS_UTXO: u64 = 0x01;
const INPUT_PARTIAL_SIGNATURE: u64 = 0x02;
pub(super) const INPUT_SIGHASH_TYPE: u64 = 0x03;
const INPUT_REDEEM_SCRIPT: u64 = 0x04;
const INPUT_WITNESS_SCRIPT: u64 = 0x05;
const INPUT_DERIVATION: u64 = 0x06;
const INPUT_FINAL_SCRIPT: u64 = 0x07;
const INPUT_FINAL_WITNESS: u64 = 0x08;

const OUTPUT_REDEEM_SCRIPT: u64 = 0x00;
const OUTPUT_WITNESS_SCRIPT: u64 = 0x01;
const OUTPUT_DERIVATION: u64 = 0x02;

const PROPRIETARY: u64 = 0xfc;

/// The versions of extended public keys: `xpub` and `tpub`, which Litecoin shares.
const XPUB_VERSIONS: [[u8; 4]; 2] = [[0x04, 0x88, 0xb2, 0x1e], [0x04, 0x35, 0x87, 0xcf]];

/// Checks that a field may stand in a map, and its form.
pub(super) fn check(place: Place, entry: &Entry<'_>) -> Result<(), Refusal> {
    let field = entry.field;
    match place {
        _ if field == PROPRIETARY => Err(Refusal::FieldProprietary { place }),
        Place::Global => check_global(entry),
        Place::Input(input) => check_input(input, entry),
        Place::Output(_) => match field {
            OUTPUT_DERIVATION => well_formed(is_derivation(entry), place, field),
            OUTPUT_REDEEM_SCRIPT | OUTPUT_WITNESS_SCRIPT => {
                Err(Refusal::FieldScript { place, field })
            }
            _ => Err(Refusal::FieldUnknown { place, field }),
        },
    }
}

fn check_global(entry: &Entry<'_>) -> Result<(), Refusal> {
    let (place, field) = (Place::Global, entry.field);
    match field {
        GLOBAL_UNSIGNED => well_formed(entry.key.is_empty(), place, field),
        GLOBAL_XPUB => well_formed(is_xpub(entry).is_some(), place, field),
        GLOBAL_V2_FIRST..=GLOBAL_V2_LAST => Err(Refusal::Version),
        GLOBAL_VERSION => match (entry.key, <[u8; 4]>::try_from(entry.value)) {
            ([], Ok([0, 0, 0, 0])) => Ok(()),
            ([], Ok(_)) => Err(Refusal::Version),
            _ => Err(Refusal::FieldMalformed { place, field }),
        },
        _ => Err(Refusal::FieldUnknown { place, field }),
    }
}

fn check_input(input: usize, entry: &Entry<'_>) -> Result<(), Refusal> {
    let (place, field) = (Place::Input(input), entry.field);
    match field {
        INPUT_PREVIOUS | INPUT_WITNESS_UTXO => well_formed(entry.key.is_empty(), place, field),
        INPUT_PARTIAL_SIGNATURE | INPUT_FINAL_SCRIPT | INPUT_FINAL_WITNESS => {
            Err(Refusal::Signed { input, field })
        }
        INPUT_SIGHASH_TYPE => {
            let is = entry.key.is_empty() && entry.value.len() == 4;
            well_formed(is, place, field)
        }
        INPUT_REDEEM_SCRIPT | INPUT_WITNESS_SCRIPT => Err(Refusal::FieldScript { place, field }),
        INPUT_DERIVATION => well_formed(is_derivation(entry), place, field),
        _ => Err(Refusal::FieldUnknown { place, field }),
    }
}

fn well_formed(is: bool, place: Place, field: u64) -> Result<(), Refusal> {
    if is {
        Ok(())
    } else {
        Err(Refusal::FieldMalformed { place, field })
    }
}

/// A compressed public key; the master key's fingerprint and a path of 32-bit steps.
fn is_derivation(entry: &Entry<'_>) -> bool {
    is_public_key(entry.key) && !entry.value.is_empty() && entry.value.len().is_multiple_of(4)
}

/// An extended public key (BIP-32); a fingerprint and a path as long as the key is deep.
fn is_xpub(entry: &Entry<'_>) -> Option<()> {
    let (version, rest) = entry.key.split_first_chunk::<4>()?;
    let (depth, rest) = rest.split_first()?;
    // The parent's fingerprint, the child's number and the chain code.
    let (_, public_key) = rest.split_first_chunk::<40>()?;
    let path_length = usize::from(*depth).checked_mul(4)?.checked_add(4)?;
    let holds = XPUB_VERSIONS.contains(version)
        && is_public_key(public_key)
        && entry.value.len() == path_length;
    holds.then_some(())
}

fn is_public_key(bytes: &[u8]) -> bool {
    <[u8; 33]>::try_from(bytes).is_ok_and(|bytes| PublicKey::from_bytes(bytes).is_ok())
}
