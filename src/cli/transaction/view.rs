//! What a transaction does, for people and as JSON.

use std::fmt;

use serde::Serialize;
use tx::evm::{Action, Fees, Unsigned};
use tx::{Address, Chain, utxo};

use super::parcel::Parcel;
use super::signed::{Signed, SignedUtxo};

/// A transaction in readable form.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum View {
    /// Of an EVM chain.
    Evm(Box<EvmView>),
    /// A PSBT.
    Psbt(utxo::View),
    /// A signed one of a Bitcoin-like chain.
    Utxo(SignedUtxoView),
}

/// A transaction of an EVM chain, signed when it has an id.
#[derive(Debug, Serialize)]
pub struct EvmView {
    chain: Chain,
    #[serde(skip_serializing_if = "Option::is_none")]
    txid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(flatten)]
    unsigned: Unsigned,
}

/// A signed transaction of a Bitcoin-like chain. Its bytes do not say what its inputs hold.
#[derive(Debug, Serialize)]
pub struct SignedUtxoView {
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<Chain>,
    txid: String,
    wtxid: String,
    version: i32,
    lock_time: u32,
    inputs: Vec<InputView>,
    outputs: Vec<OutputView>,
    vsize: usize,
}

#[derive(Debug, Serialize)]
struct InputView {
    outpoint: String,
    sequence: u32,
}

#[derive(Debug, Serialize)]
struct OutputView {
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<Address>,
    script: String,
    amount: u64,
}

impl View {
    /// The readable form of what was read.
    pub fn of(parcel: Parcel) -> Self {
        match parcel {
            Parcel::Evm { from, unsigned } => Self::evm(from, None, unsigned),
            Parcel::Utxo(view) => Self::Psbt(view),
            Parcel::Signed(Signed::Evm(signed)) => Self::evm(
                Some(signed.from.to_string()),
                Some(signed.txid),
                signed.unsigned,
            ),
            Parcel::Signed(Signed::Utxo(signed)) => Self::Utxo(SignedUtxoView::of(&signed)),
        }
    }

    fn evm(from: Option<String>, txid: Option<String>, unsigned: Unsigned) -> Self {
        Self::Evm(Box::new(EvmView {
            chain: unsigned.chain(),
            txid,
            from,
            unsigned,
        }))
    }
}

impl SignedUtxoView {
    fn of(signed: &SignedUtxo) -> Self {
        let transaction = &signed.transaction;
        let address = |script: &[u8]| {
            signed
                .chain
                .and_then(|chain| Address::from_script(chain, script))
        };
        let output = |output: &bitcoin::TxOut| OutputView {
            address: address(output.script_pubkey.as_bytes()),
            script: hex::encode(output.script_pubkey.as_bytes()),
            amount: output.value.to_sat(),
        };
        let input = |input: &bitcoin::TxIn| InputView {
            outpoint: input.previous_output.to_string(),
            sequence: input.sequence.0,
        };
        Self {
            chain: signed.chain,
            txid: signed.txid.clone(),
            wtxid: transaction.compute_wtxid().to_string(),
            version: transaction.version.0,
            lock_time: transaction.lock_time.to_consensus_u32(),
            inputs: transaction.input.iter().map(input).collect(),
            outputs: transaction.output.iter().map(output).collect(),
            vsize: transaction.vsize(),
        }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evm(view) => view.fmt(f),
            Self::Psbt(view) => fmt_psbt(view, f),
            Self::Utxo(view) => view.fmt(f),
        }
    }
}

impl fmt::Display for EvmView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.txid.is_some() {
            "signed"
        } else {
            "unsigned"
        };
        writeln!(f, "{state} transaction of {}", self.chain)?;
        if let Some(txid) = &self.txid {
            writeln!(f, "  txid        {txid}")?;
        }
        if let Some(from) = &self.from {
            writeln!(f, "  from        {from}")?;
        }
        match self.unsigned.action() {
            Action::Native { to, value } => {
                writeln!(f, "  to          {to}")?;
                writeln!(f, "  value       {value} wei")?;
            }
            Action::Erc20 { token, to, amount } => {
                writeln!(f, "  token       {token}")?;
                writeln!(f, "  to          {to}")?;
                writeln!(f, "  amount      {amount} base units")?;
            }
            Action::Approve {
                token,
                spender,
                amount,
            } => {
                writeln!(f, "  token       {token}")?;
                writeln!(f, "  spender     {spender}")?;
                writeln!(f, "  may take    {amount} base units")?;
            }
            Action::Call {
                contract,
                value,
                call,
            } => {
                writeln!(f, "  contract    {contract}")?;
                writeln!(f, "  value       {value} wei")?;
                writeln!(f, "  function    {}", call.function().signature.canonical())?;
            }
        }
        let terms = self.unsigned.terms();
        writeln!(f, "  nonce       {}", terms.nonce)?;
        writeln!(f, "  gas limit   {}", terms.gas_limit)?;
        match terms.fees {
            Fees::Eip155 { gas_price } => writeln!(f, "  gas price   {gas_price} wei (legacy)")?,
            Fees::Eip2930 { gas_price } => writeln!(f, "  gas price   {gas_price} wei (EIP-2930)")?,
            Fees::Eip1559 {
                max_fee_per_gas,
                max_priority_fee_per_gas,
            } => {
                writeln!(
                    f,
                    "  max fee     {max_fee_per_gas} wei a gas, {max_priority_fee_per_gas} to the proposer"
                )?;
            }
        }
        writeln!(f, "  fee at most {} wei", self.unsigned.fee_max())
    }
}

fn fmt_psbt(view: &utxo::View, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "unsigned transaction of {}", view.chain)?;
    for input in &view.inputs {
        writeln!(
            f,
            "  spends      {} sat of {} ({})",
            input.amount, input.address, input.outpoint
        )?;
    }
    for output in &view.outputs {
        writeln!(
            f,
            "  pays        {} sat to {}",
            output.amount, output.address
        )?;
    }
    writeln!(
        f,
        "  fee         {} sat for about {} vbytes",
        view.fee, view.vsize
    )?;
    writeln!(f, "  lock time   {}", view.lock_time)
}

impl fmt::Display for SignedUtxoView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.chain {
            Some(chain) => writeln!(f, "signed transaction of {chain}")?,
            None => writeln!(f, "signed transaction; name its --chain to see addresses")?,
        }
        writeln!(f, "  txid        {}", self.txid)?;
        for input in &self.inputs {
            writeln!(f, "  spends      {}", input.outpoint)?;
        }
        for OutputView {
            address,
            script,
            amount,
        } in &self.outputs
        {
            match address {
                Some(address) => writeln!(f, "  pays        {amount} sat to {address}")?,
                None => writeln!(f, "  pays        {amount} sat to script {script}")?,
            }
        }
        writeln!(f, "  size        {} vbytes", self.vsize)?;
        writeln!(f, "  lock time   {}", self.lock_time)
    }
}
