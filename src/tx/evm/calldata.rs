//! Calldata: the one call that is signed, and the known ones that are refused by name.
//!
//! Only ERC-20 `transfer(address,uint256)` in its canonical ABI encoding is understood. Every other
//! selector is refused; those by which money has been stolen have a name of their own, so that an
//! operator reads in the journal what was tried.

use super::Refusal;
use crate::Amount;

/// `transfer(address,uint256)`, EIP-20.
const TRANSFER: [u8; 4] = [0xa9, 0x05, 0x9c, 0xbb];

/// The arguments of an ERC-20 transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transfer {
    pub(super) to: [u8; 20],
    pub(super) amount: Amount,
}

/// A function that is known and never signed.
#[derive(Debug, PartialEq, Eq)]
pub struct KnownCall {
    selector: [u8; 4],
    /// Its canonical signature, such as `approve(address,uint256)`.
    pub signature: &'static str,
    pub(super) code: &'static str,
}

const fn known(selector: u32, code: &'static str, signature: &'static str) -> KnownCall {
    KnownCall {
        selector: selector.to_be_bytes(),
        signature,
        code,
    }
}

#[rustfmt::skip]
static KNOWN: &[KnownCall] = &[
    // A spender gets a right over tokens: the whole balance is exposed (EIP-20, EIP-721, EIP-2612).
    known(0x095e_a7b3, "evm-approve", "approve(address,uint256)"),
    known(0x3950_9351, "evm-increase-allowance", "increaseAllowance(address,uint256)"),
    known(0xd73d_d623, "evm-increase-allowance", "increaseApproval(address,uint256)"),
    known(0xa457_c2d7, "evm-decrease-allowance", "decreaseAllowance(address,uint256)"),
    known(0xa22c_b465, "evm-set-approval-for-all", "setApprovalForAll(address,bool)"),
    known(0xd505_accf, "evm-permit", "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)"),
    known(0x8fcb_af0c, "evm-permit", "permit(address,address,uint256,uint256,bool,uint8,bytes32,bytes32)"),
    known(0x8751_7c45, "evm-permit2", "approve(address,address,uint160,uint48)"),
    known(0x2b67_b570, "evm-permit2", "permit(address,((address,uint160,uint48,uint48),address,uint256),bytes)"),
    known(0x2a2d_80d1, "evm-permit2", "permit(address,((address,uint160,uint48,uint48)[],address,uint256),bytes)"),
    known(0x36c7_8516, "evm-permit2", "transferFrom(address,address,uint160,address)"),
    // Someone else than the sender is debited, or a collectible moves.
    known(0x23b8_72dd, "evm-transfer-from", "transferFrom(address,address,uint256)"),
    known(0x4284_2e0e, "evm-transfer-from", "safeTransferFrom(address,address,uint256)"),
    known(0xb88d_4fde, "evm-transfer-from", "safeTransferFrom(address,address,uint256,bytes)"),
    known(0xf242_432a, "evm-transfer-from", "safeTransferFrom(address,address,uint256,uint256,bytes)"),
    known(0x2eb2_c2d6, "evm-transfer-from", "safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)"),
    // Someone's signature moves their tokens (EIP-3009).
    known(0xe3ee_160e, "evm-transfer-with-authorization", "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)"),
    known(0xef55_bec6, "evm-transfer-with-authorization", "receiveWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)"),
    // A transfer that also runs the recipient's code (EIP-677, EIP-777, EIP-1363).
    known(0x4000_aea0, "evm-transfer-and-call", "transferAndCall(address,uint256,bytes)"),
    known(0x1296_ee62, "evm-transfer-and-call", "transferAndCall(address,uint256)"),
    known(0x9bd9_bbc6, "evm-transfer-and-call", "send(address,uint256,bytes)"),
    // Calls within a call.
    known(0xac96_50d8, "evm-multicall", "multicall(bytes[])"),
    known(0x5ae4_01dc, "evm-multicall", "multicall(uint256,bytes[])"),
    known(0x1f04_64d1, "evm-multicall", "multicall(bytes32,bytes[])"),
    known(0x252d_ba42, "evm-multicall", "aggregate((address,bytes)[])"),
    known(0x82ad_56cb, "evm-multicall", "aggregate3((address,bool,bytes)[])"),
    known(0x8d80_ff0a, "evm-multi-send", "multiSend(bytes)"),
    known(0x6a76_1202, "evm-exec-transaction", "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)"),
    known(0x4687_21a7, "evm-exec-transaction", "execTransactionFromModule(address,uint256,bytes,uint8)"),
    known(0xb61d_27f6, "evm-execute", "execute(address,uint256,bytes)"),
    known(0x34fc_d5be, "evm-execute", "executeBatch((address,uint256,bytes)[])"),
    known(0x47e1_da2a, "evm-execute", "executeBatch(address[],uint256[],bytes[])"),
    known(0xe9ae_5c53, "evm-execute", "execute(bytes32,bytes)"),
    // Who may act for a contract changes, or its code does.
    known(0xf2fd_e38b, "evm-authority", "transferOwnership(address)"),
    known(0x2f2f_f15d, "evm-authority", "grantRole(bytes32,address)"),
    known(0x3659_cfe6, "evm-authority", "upgradeTo(address)"),
    known(0x4f1e_f286, "evm-authority", "upgradeToAndCall(address,bytes)"),
];

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
