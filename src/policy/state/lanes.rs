//! Lanes: whose attempts one worker owns.

use tx::{Address, Chain, ConflictKey, Decoded, Name};

/// The lane of a transaction: the sending address where the chain has one, else the account on the
/// chain. Both begin with the chain, so that no two lanes have one name.
pub(crate) fn lane_of(decoded: &Decoded) -> String {
    let sender = decoded.conflict_keys().iter().find_map(|key| match key {
        ConflictKey::Nonce { account, .. } => Some(account.qualified()),
        _ => None,
    });
    sender.unwrap_or_else(|| format!("{}:{}", decoded.chain(), decoded.account()))
}

/// The lane of a key's address: what [`lane_of`] gives for its transactions.
pub(crate) fn lane_of_address(account: &Name, address: &Address) -> String {
    match address.chain() {
        Chain::Evm(_) => address.qualified(),
        chain => format!("{chain}:{account}"),
    }
}
