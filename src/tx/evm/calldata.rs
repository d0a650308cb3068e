//! Calldata of what is no declared function: the one transfer that is signed, and what is refused by name.
//!
//! Only ERC-20 `transfer(address,uint256)` in its canonical ABI encoding is understood without a
//! declaration. Every other selector is refused; those by which money has been stolen have a name of their
//! own, so that an operator reads in the journal what was tried, and cannot be declared.

use super::{DeclareError, Refusal, known::KNOWN};
use crate::Amount;

/// `transfer(address,uint256)`, EIP-20.
const TRANSFER: [u8; 4] = [0xa9, 0x05, 0x9c, 0xbb];

/// The arguments of an ERC-20 transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transfer {
    pub(super) to: [u8; 20],
    pub(super) amount: Amount,
}

impl Transfer {
    /// Reads calldata that is not empty.
    ///
    /// # Errors
    /// Everything but a transfer in its canonical encoding: exactly 68 bytes, the upper 12 bytes of
    /// the address zero. Contracts forgive both, so that what is shown could differ from what runs.
    pub(super) fn parse(calldata: &[u8]) -> Result<Self, Refusal> {
        let length = calldata.len();
        let short = Refusal::CalldataShort { length };
        let Some((selector, arguments)) = calldata.split_first_chunk::<4>() else {
            return Err(short);
        };
        if *selector != TRANSFER {
            return Err(refuse_selector(*selector));
        }
        let (padding, arguments) = arguments.split_first_chunk::<12>().ok_or(short.clone())?;
        let (to, arguments) = arguments.split_first_chunk::<20>().ok_or(short.clone())?;
        let (amount, trailing) = arguments.split_first_chunk::<32>().ok_or(short)?;
        if !trailing.is_empty() {
            return Err(Refusal::CalldataTrailing { length });
        }
        if *padding != [0; 12] {
            return Err(Refusal::CalldataDirty);
        }
        Ok(Self {
            to: *to,
            amount: Amount::from_be_bytes(*amount),
        })
    }
}

/// The canonical calldata of a transfer to the 20 bytes of an address.
pub(super) fn encode_transfer(to: &[u8], amount: Amount) -> Vec<u8> {
    let mut calldata = Vec::with_capacity(68);
    calldata.extend_from_slice(&TRANSFER);
    calldata.extend_from_slice(&[0; 12]);
    calldata.extend_from_slice(to);
    calldata.extend_from_slice(&amount.to_be_bytes());
    calldata
}

/// Whether a bundle may declare a function of this selector.
pub(super) fn check_declarable(selector: [u8; 4]) -> Result<(), DeclareError> {
    if selector == TRANSFER {
        return Err(DeclareError::Transfer);
    }
    match KNOWN.iter().find(|call| call.selector == selector) {
        Some(call) => Err(DeclareError::Known {
            signature: call.signature,
            code: call.code,
        }),
        None => Ok(()),
    }
}

fn refuse_selector(selector: [u8; 4]) -> Refusal {
    match KNOWN.iter().find(|call| call.selector == selector) {
        Some(call) => Refusal::CallKnown(call),
        None => Refusal::CalldataUnknown {
            selector: hex::encode(selector),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{super::address::keccak256, *};

    #[test]
    fn selectors_are_the_hashes_of_their_signatures() {
        let selector = |signature: &str| *keccak256(signature.as_bytes()).first_chunk().unwrap();
        assert_eq!(selector("transfer(address,uint256)"), TRANSFER);
        for call in KNOWN {
            assert_eq!(
                selector(call.signature),
                call.selector,
                "{}",
                call.signature
            );
            let refusal = Transfer::parse(&call.selector).unwrap_err();
            assert_eq!(refusal, Refusal::CallKnown(call));
        }
    }

    #[test]
    fn no_selector_is_listed_twice() {
        for (index, call) in KNOWN.iter().enumerate() {
            let others = &KNOWN[index + 1..];
            assert!(others.iter().all(|other| other.selector != call.selector));
        }
    }
}
