//! Reading a transaction in whichever form it comes.

use std::io::Read;
use std::path::Path;

use serde_json::Value;
use tx::evm::{Functions, Unsigned};
use tx::{Chain, Refusal, Transaction, utxo};

use super::error::TransactionError;
use super::signed::{EvmFields, Signed, SignedEvm, SignedUtxo};
use crate::files::{self, FileError};

/// A PSBT has at most 1 MiB; in base64 and JSON that is below this.
const INPUT_MAX_BYTES: u64 = 4 << 20;

/// How a PSBT in base64 begins: `psbt` and 0xff.
const PSBT_PREFIX: &str = "cHNidP";

/// A transaction that was read.
#[derive(Debug)]
pub enum Parcel {
    /// An unsigned one of an EVM chain.
    Evm {
        /// Who is to sign it: its bytes do not say.
        from: Option<String>,
        /// The transaction.
        unsigned: Unsigned,
    },
    /// An unsigned one of a Bitcoin-like chain.
    Utxo(utxo::View),
    /// A signed one.
    Signed(Signed),
}

impl Parcel {
    /// Reads a file, or stdin for `-`. Of functions, those that are given may be called.
    ///
    /// # Errors
    /// [`TransactionError::File`], [`TransactionError::Unreadable`], [`TransactionError::ChainUnnamed`],
    /// and [`TransactionError::NotUnderstood`] for what the signer does not sign.
    pub fn read(
        path: &Path,
        chain: Option<Chain>,
        functions: &Functions,
    ) -> Result<Self, TransactionError> {
        let bytes = read_bytes(path).map_err(TransactionError::File)?;
        let reason = "it is not text";
        let text =
            std::str::from_utf8(&bytes).map_err(|_| TransactionError::Unreadable { reason })?;
        Self::of_text(text.trim(), chain, functions)
    }

    /// Reads an unsigned transaction in the form in which a request carries it.
    ///
    /// # Errors
    /// As [`Parcel::read`]; a signed transaction, or bytes that do not say who sends them, are
    /// [`TransactionError::Unreadable`].
    pub fn read_unsigned(
        path: &Path,
        chain: Option<Chain>,
        functions: &Functions,
    ) -> Result<(Transaction, Self), TransactionError> {
        let bytes = read_bytes(path).map_err(TransactionError::File)?;
        let unreadable = |reason| TransactionError::Unreadable { reason };
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| unreadable("it is not text"))?
            .trim();
        let transaction = if text.starts_with(PSBT_PREFIX) {
            let chain = chain.ok_or(TransactionError::ChainUnnamed)?;
            Transaction::Psbt {
                chain,
                psbt: text.to_owned(),
            }
        } else {
            let mut json: Value = serde_json::from_str(text).map_err(|_| {
                unreadable("it is neither what `tx build --out` writes nor a PSBT in base64")
            })?;
            if let Some(inner) = json.get_mut("transaction") {
                json = inner.take();
            }
            let reason = "its JSON is no unsigned transaction";
            serde_json::from_value(json).map_err(|_| unreadable(reason))?
        };
        let parcel = Self::unsigned(&transaction, functions)?;
        Ok((transaction, parcel))
    }

    /// Reads a signed transaction from its bytes in hexadecimal.
    ///
    /// # Errors
    /// As [`Parcel::read`].
    pub fn read_signed(
        raw: &str,
        chain: Chain,
        functions: &Functions,
    ) -> Result<Signed, TransactionError> {
        match Self::of_text(raw, Some(chain), functions)? {
            Self::Signed(signed) => Ok(signed),
            Self::Evm { .. } | Self::Utxo(_) => Err(TransactionError::Unsigned),
        }
    }

    /// Understands an unsigned transaction.
    ///
    /// # Errors
    /// [`TransactionError::NotUnderstood`].
    pub fn unsigned(
        transaction: &Transaction,
        functions: &Functions,
    ) -> Result<Self, TransactionError> {
        match transaction {
            Transaction::Eip2718 {
                chain,
                from,
                payload,
            } => {
                let unsigned =
                    Unsigned::parse_with(*chain, payload, functions).map_err(evm_refusal)?;
                Ok(Self::Evm {
                    from: Some(from.clone()),
                    unsigned,
                })
            }
            Transaction::Psbt { chain, psbt } => utxo::view(*chain, psbt)
                .map(Self::Utxo)
                .map_err(utxo_refusal),
            _ => Err(TransactionError::Unreadable {
                reason: "its format is not known",
            }),
        }
    }

    fn of_text(
        text: &str,
        chain: Option<Chain>,
        functions: &Functions,
    ) -> Result<Self, TransactionError> {
        if text.starts_with('{') {
            return Self::of_json(text, chain, functions);
        }
        if text.starts_with(PSBT_PREFIX) {
            let chain = chain.ok_or(TransactionError::ChainUnnamed)?;
            return utxo::view(chain, text)
                .map(Self::Utxo)
                .map_err(utxo_refusal);
        }
        let reason = "it is neither JSON, nor a PSBT in base64, nor hexadecimal";
        let digits = text.strip_prefix("0x").unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(TransactionError::Unreadable { reason });
        }
        let bytes = hex::decode(digits).map_err(|_| TransactionError::Unreadable { reason })?;
        Self::of_bytes(&bytes, chain, functions)
    }

    /// What `tx build`, `sign` and their `--json` forms write.
    fn of_json(
        text: &str,
        chain: Option<Chain>,
        functions: &Functions,
    ) -> Result<Self, TransactionError> {
        let unreadable = |reason| TransactionError::Unreadable { reason };
        let mut json: Value =
            serde_json::from_str(text).map_err(|_| unreadable("it is not JSON"))?;
        if let Some(inner) = json.get_mut("transaction") {
            json = inner.take();
        }
        if let Some(raw) = json.get("raw").and_then(Value::as_str) {
            let raw = hex::decode(raw).map_err(|_| unreadable("its `raw` is not hexadecimal"))?;
            return Self::of_bytes(&raw, chain, functions);
        }
        let reason = "its JSON is neither an unsigned transaction nor a signed one";
        let transaction = serde_json::from_value(json).map_err(|_| unreadable(reason))?;
        Self::unsigned(&transaction, functions)
    }

    fn of_bytes(
        bytes: &[u8],
        chain: Option<Chain>,
        functions: &Functions,
    ) -> Result<Self, TransactionError> {
        // A Bitcoin-like transaction begins with its version, 1 or 2, in four bytes: that is no RLP.
        let Some(fields) = EvmFields::split(bytes) else {
            return SignedUtxo::read(bytes.to_vec(), chain)
                .map(|signed| Self::Signed(Signed::Utxo(signed)));
        };
        if fields.signature().is_some() {
            return SignedEvm::read(bytes, functions)
                .map(|signed| Self::Signed(Signed::Evm(Box::new(signed))));
        }
        let chain = chain
            .or_else(|| fields.chain())
            .ok_or(TransactionError::ChainUnnamed)?;
        let unsigned = Unsigned::parse_with(chain, &hex::encode_prefixed(bytes), functions)
            .map_err(evm_refusal)?;
        Ok(Self::Evm {
            from: None,
            unsigned,
        })
    }
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, FileError> {
    if path != Path::new("-") {
        return files::read(path, INPUT_MAX_BYTES);
    }
    let mut bytes = Vec::new();
    let reading = std::io::stdin()
        .lock()
        .take(INPUT_MAX_BYTES + 1)
        .read_to_end(&mut bytes);
    reading.map_err(|source| FileError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    if bytes.len() as u64 > INPUT_MAX_BYTES {
        return Err(FileError::TooLarge {
            path: path.to_owned(),
            limit: INPUT_MAX_BYTES,
        });
    }
    Ok(bytes)
}

fn evm_refusal(refusal: tx::evm::Refusal) -> TransactionError {
    TransactionError::refused(Refusal::Evm(refusal))
}

fn utxo_refusal(refusal: utxo::Refusal) -> TransactionError {
    TransactionError::refused(Refusal::Utxo(refusal))
}
