//! Why a request could not be made, or its answer not be believed.

use std::path::PathBuf;

use api::receipt::ReceiptError;

use crate::failure::{Exit, Explained};
use crate::files::FileError;
use crate::transaction::base_units::BaseUnitsError;
use crate::transaction::error::TransactionError;

/// Why a request could not be made, or its answer not be believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// A file.
    #[error(transparent)]
    File(FileError),
    /// A file is no intent.
    #[error("{} is no intent", path.display())]
    Intent {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// The number of ids is not that of the payments.
    #[error("{} ids were given for {} payments", ids, payments.len())]
    Payments {
        /// How many ids.
        ids: usize,
        /// The payments, in the transaction's order.
        payments: Vec<String>,
    },
    /// The highest fee is no amount.
    #[error("--max-fee is no amount that can be used")]
    MaxFee(#[source] BaseUnitsError),
    /// Nobody said which epoch it is.
    #[error("the signer does not tell this client its epoch")]
    Epoch,
    /// The receipt is not of the request.
    #[error("the signer's receipt is not of this request")]
    Receipt(#[source] ReceiptError),
    /// The signed transaction cannot be read.
    #[error("what the signer calls signed cannot be read")]
    Unreadable(#[source] TransactionError),
    /// The signed transaction is another than the one that was sent.
    #[error("the signer signed another {what} than it was sent")]
    Other {
        /// What differs.
        what: &'static str,
    },
    /// It is signed, and could not be written.
    #[error("attempt {attempt} is signed, and could not be written")]
    Unwritten {
        /// The attempt.
        attempt: u64,
        /// Why not.
        #[source]
        source: FileError,
    },
}

impl Explained for SignError {
    fn kind(&self) -> &'static str {
        match self {
            Self::File(error) => error.kind(),
            Self::Intent { .. } | Self::Payments { .. } | Self::MaxFee(_) | Self::Epoch => {
                "sign-intent"
            }
            Self::Receipt(_) | Self::Unreadable(_) | Self::Other { .. } => "sign-answer",
            Self::Unwritten { .. } => "sign-unwritten",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::File(error) => error.exit(),
            Self::Receipt(_) | Self::Unreadable(_) | Self::Other { .. } => Exit::Refused,
            _ => Exit::Usage,
        }
    }

    fn next(&self) -> String {
        match self {
            Self::File(error) => error.next(),
            Self::Intent { .. } => {
                "An intent is {\"source\", \"id\", \"epoch\", \"asset\", \"amount\", \"destination\", \"max_fee\", \"expires\"}, all of them strings but the epoch, a number.".into()
            }
            Self::Payments { .. } => "Nothing was sent. Give one --id for each payment, in this order, or bring the intents with --intent.".into(),
            Self::MaxFee(_) => "Write base units, as 150000, or a unit of the chain's coin, as 0.001ether.".into(),
            Self::Epoch => "Nothing was sent. Give --epoch; `strongroom status` shows it to whoever may ask for keys.".into(),
            Self::Receipt(_) | Self::Unreadable(_) | Self::Other { .. } => {
                "Do not broadcast anything. This is a defect or not your signer: keep the answer, have the officers freeze, and look at the journal.".into()
            }
            Self::Unwritten { .. } => "Ask again with the same request id and another --out: the answer is the same.".into(),
        }
    }

    fn why(&self) -> Vec<String> {
        if let Self::Payments { payments, .. } = self {
            return payments.clone();
        }
        let mut why = Vec::new();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            why.push(error.to_string());
            cause = error.source();
        }
        why
    }
}
