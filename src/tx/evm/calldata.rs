//! Calldata of what is no declared function: the two of tokens that are signed, and what is refused by name.
//!
//! Only ERC-20 `transfer(address,uint256)` and, of declared tokens, `approve(address,uint256)` are understood
//! without a declaration of the function, each in its canonical ABI encoding. Every other selector is refused;
//! those by which money has been stolen have a name of their own, so that an operator reads in the journal what
//! was tried, and cannot be declared.

use super::{DeclareError, Refusal, known::KNOWN};
use crate::Amount;

/// `transfer(address,uint256)`, EIP-20.
const TRANSFER: [u8; 4] = [0xa9, 0x05, 0x9c, 0xbb];

/// `approve(address,uint256)`, EIP-20.
pub(super) const APPROVE: [u8; 4] = [0x09, 0x5e, 0xa7, 0xb3];

/// A function of a token, of an address and an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFunction {
    /// `transfer(address,uint256)`: to a recipient.
    Transfer,
    /// `approve(address,uint256)`: sets what a spender may take.
    Approve,
}

/// What is asked of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenCall {
    /// By which function.
    pub function: TokenFunction,
    /// The recipient or the spender.
    pub to: [u8; 20],
    /// In the token's base units.
    pub amount: Amount,
}

impl TokenFunction {
    /// What every contract is taken to have.
    pub const OF_ANY: &'static [Self] = &[Self::Transfer];
    /// What a declared token has.
    pub const OF_DECLARED: &'static [Self] = &[Self::Transfer, Self::Approve];

    fn selector(self) -> [u8; 4] {
        match self {
            Self::Transfer => TRANSFER,
            Self::Approve => APPROVE,
        }
    }
}

impl TokenCall {
    /// Reads calldata that is not empty, of a contract with these functions.
    ///
    /// # Errors
    /// Everything but one of them in its canonical encoding: exactly 68 bytes, the upper 12 bytes of
    /// the address zero. Contracts forgive both, so that what is shown could differ from what runs.
    pub fn parse(calldata: &[u8], functions: &[TokenFunction]) -> Result<Self, Refusal> {
        let length = calldata.len();
        let short = Refusal::CalldataShort { length };
        let Some((selector, arguments)) = calldata.split_first_chunk::<4>() else {
            return Err(short);
        };
        let mut known = functions.iter();
        let Some(function) = known.find(|one| one.selector() == *selector) else {
            return Err(refuse_selector(*selector));
        };
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
            function: *function,
            to: *to,
            amount: Amount::from_be_bytes(*amount),
        })
    }

    /// The canonical calldata.
    pub fn encode(&self) -> Vec<u8> {
        encode_token(self.function, &self.to, self.amount)
    }
}

/// The canonical calldata of a token's function, to the 20 bytes of an address.
pub(super) fn encode_token(function: TokenFunction, to: &[u8], amount: Amount) -> Vec<u8> {
    let mut calldata = Vec::with_capacity(68);
    calldata.extend_from_slice(&function.selector());
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
        assert_eq!(selector("approve(address,uint256)"), APPROVE);
        for call in KNOWN {
            assert_eq!(
                selector(call.signature),
                call.selector,
                "{}",
                call.signature
            );
            let refusal = TokenCall::parse(&call.selector, TokenFunction::OF_ANY).unwrap_err();
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
