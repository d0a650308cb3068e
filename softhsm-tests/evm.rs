//! EVM transactions, encoded by alloy: what an honest or hostile coordinator would send.

use alloy_consensus::{
    SignableTransaction, TxEip1559, TxEip2930, TxEnvelope, TxLegacy, transaction::SignerRecoverable,
};
use alloy_eips::Decodable2718;
use alloy_primitives::{Address, TxKind, U256};
use tx::{Chain, Transaction};

use crate::anvil::Anvil;

/// 10^9 wei.
pub const GWEI: u128 = 1_000_000_000;
/// 10^18 wei.
pub const ETHER: u128 = 1_000_000_000_000_000_000;

/// The envelope of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// EIP-155.
    Legacy,
    /// EIP-2930.
    Eip2930,
    /// EIP-1559.
    Eip1559,
}

/// A transaction to be signed.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Its envelope.
    pub envelope: Envelope,
    /// The chain's id.
    pub chain_id: u64,
    /// The sender's nonce.
    pub nonce: u64,
    /// The highest price of a gas, in wei.
    pub price: u128,
    /// The tip, in wei; of EIP-1559 alone.
    pub tip: u128,
    /// The most gas.
    pub gas: u64,
    /// To whom.
    pub to: String,
    /// How much, in wei.
    pub value: u128,
    /// The call.
    pub data: Vec<u8>,
}

impl Draft {
    /// A transfer of the native coin on anvil's chain, at 2 gwei.
    pub fn transfer(nonce: u64, to: &str, value: u128) -> Self {
        Self {
            envelope: Envelope::Eip1559,
            chain_id: Anvil::CHAIN_ID,
            nonce,
            price: 2 * GWEI,
            tip: GWEI,
            gas: 21_000,
            to: to.to_owned(),
            value,
            data: Vec::new(),
        }
    }

    /// An ERC-20 `transfer`.
    pub fn token_transfer(nonce: u64, token: &str, to: &str, amount: u128) -> Self {
        let data = token_call(to, amount);
        Self {
            gas: 100_000,
            data,
            ..Self::transfer(nonce, token, 0)
        }
    }

    /// The bytes that are signed.
    ///
    /// # Panics
    /// When `to` is no address.
    pub fn payload(&self) -> Vec<u8> {
        let to = TxKind::Call(self.to.parse::<Address>().expect("an address"));
        let (chain_id, nonce, gas_limit) = (self.chain_id, self.nonce, self.gas);
        let (value, input) = (U256::from(self.value), self.data.clone().into());
        match self.envelope {
            Envelope::Legacy => TxLegacy {
                chain_id: Some(chain_id),
                nonce,
                gas_price: self.price,
                gas_limit,
                to,
                value,
                input,
            }
            .encoded_for_signing(),
            Envelope::Eip2930 => TxEip2930 {
                chain_id,
                nonce,
                gas_price: self.price,
                gas_limit,
                to,
                value,
                input,
                access_list: Default::default(),
            }
            .encoded_for_signing(),
            Envelope::Eip1559 => TxEip1559 {
                chain_id,
                nonce,
                max_fee_per_gas: self.price,
                max_priority_fee_per_gas: self.tip,
                gas_limit,
                to,
                value,
                input,
                access_list: Default::default(),
            }
            .encoded_for_signing(),
        }
    }

    /// It as it stands in a request, on the chain that it says.
    pub fn from(&self, sender: &str) -> Transaction {
        on(Chain::Evm(self.chain_id), sender, &self.payload())
    }
}

/// The calldata of an ERC-20 `transfer`.
///
/// # Panics
/// When `to` is no address.
pub fn token_call(to: &str, amount: u128) -> Vec<u8> {
    let to: Address = to.parse().expect("an address");
    let mut data = vec![0xa9, 0x05, 0x9c, 0xbb];
    data.extend(to.into_word());
    data.extend(U256::from(amount).to_be_bytes::<32>());
    data
}

/// The calldata of an ERC-20 `approve`.
///
/// # Panics
/// When `spender` is no address.
pub fn approve_call(spender: &str, amount: u128) -> Vec<u8> {
    let mut data = token_call(spender, amount);
    data.splice(..4, [0x09, 0x5e, 0xa7, 0xb3]);
    data
}

/// A payload as it stands in a request.
pub fn on(chain: Chain, sender: &str, payload: &[u8]) -> Transaction {
    Transaction::Eip2718 {
        chain,
        from: sender.to_owned(),
        payload: format!("0x{}", hex::encode(payload)),
    }
}

/// A signed transaction as alloy reads it: who signed it, and its nonce.
///
/// # Panics
/// When it is none.
pub fn read_signed(raw: &str) -> (String, TxEnvelope) {
    let bytes = hex::decode(raw).expect("hexadecimal digits");
    let envelope: TxEnvelope = Decodable2718::decode_2718_exact(&bytes).expect("a transaction");
    let signer = envelope
        .recover_signer()
        .expect("a signature")
        .to_checksum(None);
    (signer, envelope)
}
