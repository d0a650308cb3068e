//! Bitcoin-like addresses.
use crate::{AddressError, Chain, PublicKey};
pub(crate) fn parse(_chain: Chain, _text: &str) -> Result<Vec<u8>, AddressError> {
    todo!()
}
pub(crate) fn text(_chain: Chain, _script: &[u8]) -> Option<String> {
    todo!()
}
pub(crate) fn p2wpkh_script(_key: &PublicKey) -> Vec<u8> {
    todo!()
}
