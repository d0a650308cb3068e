//! EVM addresses.
use crate::{AddressError, Chain, PublicKey};
pub(crate) fn parse(_chain: Chain, _text: &str) -> Result<[u8; 20], AddressError> {
    todo!()
}
pub(crate) fn text(_bytes: &[u8]) -> Option<String> {
    todo!()
}
pub(crate) fn of_key(_key: &PublicKey) -> Option<[u8; 20]> {
    todo!()
}
