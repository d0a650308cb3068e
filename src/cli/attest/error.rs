//! Why nothing was attested.

use policy::AttestationKind;
use policy::bundle::QuantityError;
use policy::statement::{SignaturesError, StatementError};
use tx::Name;

use crate::failure::{Exit, Explained};
use crate::files::FileError;

/// Why nothing was attested. Nothing was sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttestError {
    /// A file.
    #[error(transparent)]
    File(FileError),
    /// The bundle has no price of the asset.
    #[error("the bundle has no [[price]] of {:?}", asset.as_str())]
    NotPriced {
        /// The asset.
        asset: Name,
    },
    /// The bundle names no such attester.
    #[error("the bundle names no attester {:?} who says {:?}", attester.as_str(), kind.as_str())]
    NoAttester {
        /// Who.
        attester: Name,
        /// What.
        kind: AttestationKind,
    },
    /// It says neither which nonces nor which attempt.
    #[error("it says neither which nonces nor which attempt")]
    Nothing,
    /// The price.
    #[error("the price is not one of this bundle")]
    Price(#[source] QuantityError),
    /// The text is no statement of an attester.
    #[error("the text is no statement of an attester")]
    Text(#[source] StatementError),
    /// The signature cannot be read.
    #[error("the signature cannot be read")]
    Signature(#[source] SignaturesError),
    /// It is another's key.
    #[error("the key is not one of attester {:?}", attester.as_str())]
    OtherKey {
        /// Who.
        attester: Name,
    },
}

impl Explained for AttestError {
    fn kind(&self) -> &'static str {
        match self {
            Self::File(error) => error.kind(),
            Self::NotPriced { .. } | Self::Price(_) => "attest-price",
            Self::NoAttester { .. } | Self::OtherKey { .. } => "attest-attester",
            Self::Text(_) | Self::Nothing => "attest-statement",
            Self::Signature(_) => "attest-signature",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::File(error) => error.exit(),
            Self::OtherKey { .. } => Exit::Refused,
            _ => Exit::Usage,
        }
    }

    fn next(&self) -> String {
        match self {
            Self::File(error) => return error.next(),
            Self::NotPriced { .. } => "Name an asset that the bundle has a [[price]] for.",
            Self::Nothing => {
                "Give an address and a nonce, or --attempt with --request and --transaction."
            }
            Self::NoAttester { .. } => "Name an [[attester]] of the bundle.",
            Self::Price(_) => {
                "Write it as a number and the bundle's currency, such as \"3050.25 usd\"."
            }
            Self::Text(_) => "Print the text with `strongroom attest price`, and sign just that.",
            Self::Signature(_) => "Give the signature as `ssh-keygen -Y sign` wrote it.",
            Self::OtherKey { .. } => "Sign with a key that the bundle names for the attester.",
        }
        .to_owned()
    }
}
