//! Why a PSBT is refused.

use std::fmt;

use thiserror::Error;

use super::{CHANGE_OUTPUTS_MAX, INPUTS_MAX, MAP_ENTRIES_MAX, OUTPUTS_MAX, PSBT_BYTES_MAX};
use crate::{Chain, Name};

/// One of the maps of a PSBT; inputs and outputs are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The global map.
    Global,
    /// The map of an input.
    Input(usize),
    /// The map of an output.
    Output(usize),
}

/// One of the byte strings in a PSBT that have a structure of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The container.
    Psbt,
    /// The unsigned transaction.
    Unsigned,
    /// The previous transaction of an input.
    Previous(usize),
}

/// Why a PSBT is refused. Inputs and outputs are counted from 0, amounts are in satoshi.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The chain has no PSBTs.
    #[error("{chain} is no Bitcoin-like chain")]
    Chain {
        /// The chain asked for.
        chain: Chain,
    },
    /// Not base64 with padding (RFC 4648 §4), or not its canonical form.
    #[error("the text is no canonical base64")]
    Base64,
    /// Longer than [`PSBT_BYTES_MAX`].
    #[error("the PSBT is longer than {PSBT_BYTES_MAX} bytes")]
    Size,
    /// The first five bytes are not those of a PSBT.
    #[error("these bytes are no PSBT")]
    Magic,
    /// A version other than 0, or a field of version 2 (BIP-370).
    #[error("the PSBT is not of version 0")]
    Version,
    /// Bytes are missing at the end.
    #[error("{part} is cut short")]
    Truncated {
        /// What is short.
        part: Part,
    },
    /// Bytes follow where nothing may.
    #[error("{part} has bytes after its end")]
    Trailing {
        /// What ends early.
        part: Part,
    },
    /// A length or count is not in its shortest form.
    #[error("{part} has a length that is not written in its shortest form")]
    CompactSize {
        /// Where it stands.
        part: Part,
    },
    /// What was understood is not, byte for byte, what was given.
    #[error("{part} is not encoded the way it is understood")]
    NotCanonical {
        /// What differs.
        part: Part,
    },
    /// A map has more than [`MAP_ENTRIES_MAX`] entries.
    #[error("{place} has more than {MAP_ENTRIES_MAX} entries")]
    MapEntries {
        /// The map.
        place: Place,
    },
    /// Two entries of one map have the same key.
    #[error("{place} has field {field:#04x} twice")]
    FieldTwice {
        /// The map.
        place: Place,
        /// The field's number.
        field: u64,
    },
    /// A field outside the allow-list.
    #[error("{place} has field {field:#04x}, which is not known")]
    FieldUnknown {
        /// The map.
        place: Place,
        /// The field's number.
        field: u64,
    },
    /// A proprietary field.
    #[error("{place} has a proprietary field (0xfc)")]
    FieldProprietary {
        /// The map.
        place: Place,
    },
    /// A field's key or value has not the form that BIP-174 gives it.
    #[error("{place} has a malformed field {field:#04x}")]
    FieldMalformed {
        /// The map.
        place: Place,
        /// The field's number.
        field: u64,
    },
    /// A redeem or witness script, which no P2WPKH input has.
    #[error("{place} has a redeem or witness script (field {field:#04x})")]
    FieldScript {
        /// The map.
        place: Place,
        /// The field's number.
        field: u64,
    },
    /// An input has a signature already.
    #[error("input {input} is signed already (field {field:#04x})")]
    Signed {
        /// The input.
        input: usize,
        /// The field's number.
        field: u64,
    },
    /// No unsigned transaction.
    #[error("the PSBT has no unsigned transaction")]
    UnsignedMissing,
    /// The unsigned transaction has the form with witnesses.
    #[error("the unsigned transaction has the marker of witnesses")]
    UnsignedWitness,
    /// An input of the unsigned transaction has a script.
    #[error("input {input} of the unsigned transaction has a script")]
    UnsignedScript {
        /// The input.
        input: usize,
    },
    /// A transaction version other than 1 and 2.
    #[error("the transaction's version is {version}, not 1 or 2")]
    TransactionVersion {
        /// The version.
        version: u32,
    },
    /// No input, or more than [`INPUTS_MAX`].
    #[error("the transaction has {count} inputs, not 1 to {INPUTS_MAX}")]
    InputCount {
        /// How many.
        count: usize,
    },
    /// No output, or more than [`OUTPUTS_MAX`].
    #[error("the transaction has {count} outputs, not 1 to {OUTPUTS_MAX}")]
    OutputCount {
        /// How many.
        count: usize,
    },
    /// Litecoin's extension blocks.
    #[error("{part} uses MWEB")]
    Mweb {
        /// Where.
        part: Part,
    },
    /// The lock time is a point in time.
    #[error("the lock time {lock_time} is a time, not a height")]
    LockTimeTimestamp {
        /// Seconds since 1970.
        lock_time: u32,
    },
    /// The lock time is a height that the rules do not allow yet.
    #[error("the lock time is height {height}, and {height_max} is the highest allowed")]
    LockTimeFar {
        /// The height.
        height: u32,
        /// The highest allowed.
        height_max: u32,
    },
    /// A sequence other than 0xffffffff, 0xfffffffe and 0xfffffffd; below lie BIP-68's locks.
    #[error("the sequence of input {input} is {sequence:#010x}")]
    Sequence {
        /// The input.
        input: usize,
        /// Its sequence.
        sequence: u32,
    },
    /// The same output is spent twice.
    #[error("input {input} spends what an earlier input spends")]
    InputTwice {
        /// The later input.
        input: usize,
    },
    /// The input of a coinbase transaction.
    #[error("input {input} is a coinbase")]
    InputCoinbase {
        /// The input.
        input: usize,
    },
    /// An input without its previous transaction, without which its amount is a claim.
    #[error("input {input} has no previous transaction (field 0x00)")]
    PreviousMissing {
        /// The input.
        input: usize,
    },
    /// The previous transaction has no inputs or outputs, an unknown flag, or empty witnesses.
    #[error("the previous transaction of input {input} is malformed")]
    PreviousMalformed {
        /// The input.
        input: usize,
    },
    /// The previous transaction is another than the one spent.
    #[error("the previous transaction of input {input} has another id than the input spends")]
    PreviousTxid {
        /// The input.
        input: usize,
    },
    /// The previous transaction has no such output.
    #[error("the previous transaction of input {input} has no output {vout}")]
    PreviousOutput {
        /// The input.
        input: usize,
        /// The output that it would spend.
        vout: u32,
    },
    /// `witness_utxo` says something else than the previous transaction (CVE-2020-14199).
    #[error("the witness output of input {input} is not that of its previous transaction")]
    WitnessUtxo {
        /// The input.
        input: usize,
    },
    /// A signature hash type other than ALL, and other than DEFAULT for P2TR.
    #[error("input {input} asks for signature hash type {sighash_type:#04x}, not {wanted:#04x}")]
    SighashType {
        /// The input.
        input: usize,
        /// What it asks for.
        sighash_type: u32,
        /// The one that commits to everything.
        wanted: u32,
    },
    /// An input that is neither P2WPKH nor P2TR.
    #[error("input {input} is neither P2WPKH nor P2TR")]
    InputScript {
        /// The input.
        input: usize,
    },
    /// A P2TR input where no key signs as BIP-340 has it.
    #[error("input {input} is P2TR, and no key here signs as BIP-340 has it")]
    InputTaproot {
        /// The input.
        input: usize,
    },
    /// An input that is not our own.
    #[error("input {input} is not our own")]
    InputForeign {
        /// The input.
        input: usize,
    },
    /// An input that is our own and is signed for elsewhere.
    #[error("input {input} is of account {account}, which has no key here")]
    InputKeyless {
        /// The input.
        input: usize,
        /// The account.
        account: Name,
    },
    /// Inputs of several accounts.
    #[error("input {input} is of account {account}, the first is of {first}")]
    SeveralAccounts {
        /// The input.
        input: usize,
        /// Its account.
        account: Name,
        /// The account of the first input.
        first: Name,
    },
    /// An amount or a sum of amounts above all coins there will be.
    #[error("an amount or a sum of amounts is above {most}, all there will be")]
    AmountRange {
        /// The number of satoshi there will be.
        most: u64,
    },
    /// More is spent than there is.
    #[error("the outputs are {outputs}, the inputs only {inputs}")]
    Overspent {
        /// The sum of the inputs.
        inputs: u64,
        /// The sum of the outputs.
        outputs: u64,
    },
    /// An output that publishes data (OP_RETURN).
    #[error("output {output} publishes data (OP_RETURN)")]
    OutputData {
        /// The output.
        output: usize,
    },
    /// An output script that has no address.
    #[error("output {output} has a script without an address")]
    OutputScript {
        /// The output.
        output: usize,
    },
    /// An address of another chain; only when a PSBT is made.
    #[error("output {output} pays to an address of {chain}")]
    OutputChain {
        /// The output.
        output: usize,
        /// The address's chain.
        chain: Chain,
    },
    /// An output that costs more to spend than it is worth.
    #[error("output {output} is {amount}, below the dust limit of {least}")]
    OutputDust {
        /// The output.
        output: usize,
        /// Its amount.
        amount: u64,
        /// The least that is not dust.
        least: u64,
    },
    /// An output to an account that is never paid to again.
    #[error("output {output} pays to the retired account {account}")]
    OutputRetired {
        /// The output.
        output: usize,
        /// The account.
        account: Name,
    },
    /// Change to an address of the account that has no key here.
    #[error("output {output} is change to an address of {account} that has no key here")]
    ChangeKeyless {
        /// The output.
        output: usize,
        /// The account.
        account: Name,
    },
    /// More than [`CHANGE_OUTPUTS_MAX`] change outputs.
    #[error("the transaction has {count} change outputs, more than {CHANGE_OUTPUTS_MAX}")]
    ChangeCount {
        /// How many.
        count: usize,
    },
    /// A signature by ECDSA for P2TR, or by BIP-340 for P2WPKH.
    #[error("the signature of input {input} is not of the scheme of its key")]
    SignatureScheme {
        /// The input.
        input: usize,
    },
    /// Not one signature for each input.
    #[error("there are {count} signatures for {inputs} inputs")]
    SignatureCount {
        /// How many inputs there are.
        inputs: usize,
        /// How many signatures.
        count: usize,
    },
}

impl Refusal {
    /// The stable name of the reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Chain { .. } => "utxo-chain",
            Self::Base64 => "utxo-base64",
            Self::Size => "utxo-size",
            Self::Magic => "utxo-magic",
            Self::Version => "utxo-psbt-version",
            Self::Truncated { .. } => "utxo-truncated",
            Self::Trailing { .. } => "utxo-trailing-bytes",
            Self::CompactSize { .. } => "utxo-compact-size",
            Self::NotCanonical { .. } => "utxo-not-canonical",
            Self::MapEntries { .. } => "utxo-map-entries",
            Self::FieldTwice { .. } => "utxo-field-twice",
            Self::FieldUnknown { .. } => "utxo-field-unknown",
            Self::FieldProprietary { .. } => "utxo-field-proprietary",
            Self::FieldMalformed { .. } => "utxo-field-malformed",
            Self::FieldScript { .. } => "utxo-field-script",
            Self::Signed { .. } => "utxo-signed-already",
            Self::UnsignedMissing => "utxo-unsigned-missing",
            Self::UnsignedWitness => "utxo-unsigned-witness",
            Self::UnsignedScript { .. } => "utxo-unsigned-script",
            Self::TransactionVersion { .. } => "utxo-transaction-version",
            Self::InputCount { .. } => "utxo-input-count",
            Self::OutputCount { .. } => "utxo-output-count",
            Self::Mweb { .. } => "utxo-mweb",
            Self::LockTimeTimestamp { .. } => "utxo-lock-time-timestamp",
            Self::LockTimeFar { .. } => "utxo-lock-time-far",
            Self::Sequence { .. } => "utxo-sequence",
            Self::InputTwice { .. } => "utxo-input-twice",
            Self::InputCoinbase { .. } => "utxo-input-coinbase",
            Self::PreviousMissing { .. } => "utxo-previous-missing",
            Self::PreviousMalformed { .. } => "utxo-previous-malformed",
            Self::PreviousTxid { .. } => "utxo-previous-txid",
            Self::PreviousOutput { .. } => "utxo-previous-output",
            Self::WitnessUtxo { .. } => "utxo-witness-utxo",
            Self::SighashType { .. } => "utxo-sighash-type",
            Self::InputScript { .. } => "utxo-input-script",
            Self::InputTaproot { .. } => "utxo-input-taproot",
            Self::InputForeign { .. } => "utxo-input-foreign",
            Self::InputKeyless { .. } => "utxo-input-keyless",
            Self::SeveralAccounts { .. } => "utxo-several-accounts",
            Self::AmountRange { .. } => "utxo-amount-range",
            Self::Overspent { .. } => "utxo-overspent",
            Self::OutputData { .. } => "utxo-output-data",
            Self::OutputScript { .. } => "utxo-output-script",
            Self::OutputChain { .. } => "utxo-output-chain",
            Self::OutputDust { .. } => "utxo-output-dust",
            Self::OutputRetired { .. } => "utxo-output-retired",
            Self::ChangeKeyless { .. } => "utxo-change-keyless",
            Self::ChangeCount { .. } => "utxo-change-count",
            Self::SignatureScheme { .. } => "utxo-signature-scheme",
            Self::SignatureCount { .. } => "utxo-signature-count",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.write_str("the PSBT"),
            Self::Input(input) => write!(f, "input {input}"),
            Self::Output(output) => write!(f, "output {output}"),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Psbt => f.write_str("the PSBT"),
            Self::Unsigned => f.write_str("the unsigned transaction"),
            Self::Previous(input) => write!(f, "the previous transaction of input {input}"),
        }
    }
}
