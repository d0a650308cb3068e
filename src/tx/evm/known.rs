//! Functions by which rights are given, or calls are held in calls: known by name, and never signed as a call.

/// A function that is known and cannot be declared. One of them, `approve(address,uint256)`, is signed of tokens
/// that the bundle declares, as an effect of its own; the others never are.
#[derive(Debug, PartialEq, Eq)]
pub struct KnownCall {
    pub(super) selector: [u8; 4],
    /// Its canonical signature, such as `approve(address,uint256)`.
    pub signature: &'static str,
    pub(super) code: &'static str,
}

impl KnownCall {
    /// What becomes of it, behind its signature.
    pub(super) fn fate(&self) -> &'static str {
        match self.selector {
            super::calldata::APPROVE => "is signed of tokens alone that the bundle declares",
            _ => "is never signed",
        }
    }
}

const fn known(selector: u32, code: &'static str, signature: &'static str) -> KnownCall {
    KnownCall {
        selector: selector.to_be_bytes(),
        signature,
        code,
    }
}

#[rustfmt::skip]
pub(super) static KNOWN: &[KnownCall] = &[
    // A spender gets a right over tokens: the whole balance is exposed (EIP-20, EIP-721, EIP-2612).
    known(0x095e_a7b3, "evm-approve", "approve(address,uint256)"),
    known(0xe1f2_1c67, "evm-approve", "approve(address,address,uint256)"),
    known(0x558a_7297, "evm-approve", "setOperator(address,bool)"),
    known(0x959b_8c3f, "evm-approve", "authorizeOperator(address)"),
    known(0x3177_029f, "evm-approve", "approveAndCall(address,uint256)"),
    known(0xcae9_ca51, "evm-approve", "approveAndCall(address,uint256,bytes)"),
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
    known(0x0d58_b1db, "evm-permit2", "transferFrom((address,address,uint160,address)[])"),
    known(0x30f2_8b7a, "evm-permit2", "permitTransferFrom(((address,uint256),uint256,uint256),(address,uint256),address,bytes)"),
    // Someone else than the sender is debited, or a collectible moves.
    known(0x23b8_72dd, "evm-transfer-from", "transferFrom(address,address,uint256)"),
    known(0x4284_2e0e, "evm-transfer-from", "safeTransferFrom(address,address,uint256)"),
    known(0xb88d_4fde, "evm-transfer-from", "safeTransferFrom(address,address,uint256,bytes)"),
    known(0xf242_432a, "evm-transfer-from", "safeTransferFrom(address,address,uint256,uint256,bytes)"),
    known(0x2eb2_c2d6, "evm-transfer-from", "safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)"),
    known(0xd8fb_e994, "evm-transfer-from", "transferFromAndCall(address,address,uint256)"),
    known(0xc1d3_4b89, "evm-transfer-from", "transferFromAndCall(address,address,uint256,bytes)"),
    known(0x62ad_1b83, "evm-transfer-from", "operatorSend(address,address,uint256,bytes,bytes)"),
    known(0x79cc_6790, "evm-transfer-from", "burnFrom(address,uint256)"),
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
    known(0x63fb_0b96, "evm-multicall", "multicall(address[],bytes[])"),
    known(0x174d_ea71, "evm-multicall", "aggregate3Value((address,bool,uint256,bytes)[])"),
    known(0xbce3_8bd7, "evm-multicall", "tryAggregate(bool,(address,bytes)[])"),
    known(0x8d80_ff0a, "evm-multi-send", "multiSend(bytes)"),
    known(0x6a76_1202, "evm-exec-transaction", "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)"),
    known(0x4687_21a7, "evm-exec-transaction", "execTransactionFromModule(address,uint256,bytes,uint8)"),
    known(0x5229_073f, "evm-exec-transaction", "execTransactionFromModuleReturnData(address,uint256,bytes,uint8)"),
    known(0x3f57_9f42, "evm-exec-transaction", "executeTransaction(address,uint256,bytes)"),
    known(0xb61d_27f6, "evm-execute", "execute(address,uint256,bytes)"),
    known(0x34fc_d5be, "evm-execute", "executeBatch((address,uint256,bytes)[])"),
    known(0x47e1_da2a, "evm-execute", "executeBatch(address[],uint256[],bytes[])"),
    known(0xe9ae_5c53, "evm-execute", "execute(bytes32,bytes)"),
    known(0x3f70_7e6b, "evm-execute", "execute((address,uint256,bytes)[])"),
    known(0x5194_5447, "evm-execute", "execute(address,uint256,bytes,uint8)"),
    known(0x2485_6bc3, "evm-execute", "execute(bytes,bytes[])"),
    known(0x3593_564c, "evm-execute", "execute(bytes,bytes[],uint256)"),
    // Who may act for a contract changes, or its code does.
    known(0xf2fd_e38b, "evm-authority", "transferOwnership(address)"),
    known(0x2f2f_f15d, "evm-authority", "grantRole(bytes32,address)"),
    known(0x3659_cfe6, "evm-authority", "upgradeTo(address)"),
    known(0x4f1e_f286, "evm-authority", "upgradeToAndCall(address,bytes)"),
    known(0x79ba_5097, "evm-authority", "acceptOwnership()"),
    known(0x7150_18a6, "evm-authority", "renounceOwnership()"),
    known(0x13af_4035, "evm-authority", "setOwner(address)"),
    known(0xd547_741f, "evm-authority", "revokeRole(bytes32,address)"),
    known(0x3656_8abe, "evm-authority", "renounceRole(bytes32,address)"),
    known(0x8f28_3970, "evm-authority", "changeAdmin(address)"),
    known(0x7a9e_5e4b, "evm-authority", "setAuthority(address)"),
    known(0xd784_d426, "evm-authority", "setImplementation(address)"),
    known(0xfca3_b5aa, "evm-authority", "setMinter(address)"),
    known(0x610b_5925, "evm-authority", "enableModule(address)"),
    known(0x0d58_2f13, "evm-authority", "addOwnerWithThreshold(address,uint256)"),
    known(0xf8dc_5dd9, "evm-authority", "removeOwner(address,address,uint256)"),
    known(0xe318_b52b, "evm-authority", "swapOwner(address,address,address)"),
    known(0x694e_80c3, "evm-authority", "changeThreshold(uint256)"),
    known(0xe19a_9dd9, "evm-authority", "setGuard(address)"),
    known(0xf08a_0323, "evm-authority", "setFallbackHandler(address)"),
];
