//! Why nothing was said of an intent or a transaction.

use std::collections::BTreeSet;

use policy::BundleHash;
use policy::bundle::{LoadError, ManifestError};
use policy::statement::{SignaturesError, StatementError};
use tx::Name;

use crate::failure::{Exit, Explained};
use crate::files::FileError;

/// Why nothing was said of an intent or a transaction. Nothing was sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApproveError {
    /// A file.
    #[error(transparent)]
    File(FileError),
    /// The folder has no manifest.
    #[error("the folder has no manifest")]
    NoManifest,
    /// The manifest is not that of the files.
    #[error("the manifest is not that of the files in the folder")]
    Manifest(#[source] ManifestError),
    /// The bundle is not verified.
    #[error("the bundle is not verified")]
    Bundle(#[source] Box<LoadError>),
    /// The signer runs another bundle.
    #[error("bundle {governs} governs the signer, and the folder holds {found}")]
    OtherBundle {
        /// The one that governs.
        governs: String,
        /// The one in the folder.
        found: BundleHash,
    },
    /// The signer answers about another intent.
    #[error("the signer answers about another intent, or its hash is another one")]
    OtherIntent,
    /// The signer answers about another transaction.
    #[error("the signer answers about another transaction, or its hash is another one")]
    OtherTransaction,
    /// The transaction is not understood here.
    #[error("the transaction is not understood here")]
    Transaction(#[source] Box<tx::Refusal>),
    /// What the signer says of own keys contradicts the bundle.
    #[error("the keys that the signer shows cannot all be ours")]
    Registry(#[source] tx::RegistryError),
    /// No need is meant.
    #[error("no need asks people about this, or none begins so")]
    NoNeed,
    /// Several are.
    #[error("several needs may ask people about this: {}", needs.join("; "))]
    Needs {
        /// They.
        needs: Vec<String>,
    },
    /// The bundle does not have it.
    #[error("the bundle has no such need")]
    UnknownNeed,
    /// The signer shows no text of an approval.
    #[error("what the signer shows is no text to sign")]
    Text(#[source] StatementError),
    /// The signer shows another text.
    #[error(
        "the text is not what follows from what is asked and the bundle here: nothing was signed"
    )]
    Differs,
    /// There is nobody to ask.
    #[error("there is nobody to ask")]
    NobodyToAsk,
    /// The person did not agree.
    #[error("nothing was signed")]
    NotAgreed,
    /// The signature cannot be read.
    #[error("the signature cannot be read")]
    Signature(#[source] SignaturesError),
    /// It is by nobody who may.
    #[error(
        "it is not signed by one of {}",
        people.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
    )]
    Nobody {
        /// Who may.
        people: BTreeSet<Name>,
    },
}

impl Explained for ApproveError {
    fn kind(&self) -> &'static str {
        match self {
            Self::File(error) => error.kind(),
            Self::NoManifest | Self::Manifest(_) | Self::Bundle(_) => "approve-bundle",
            Self::OtherBundle { .. } => "approve-other-bundle",
            Self::OtherIntent => "approve-other-intent",
            Self::OtherTransaction => "approve-other-transaction",
            Self::Transaction(_) | Self::Registry(_) => "approve-not-understood",
            Self::NoNeed | Self::Needs { .. } | Self::UnknownNeed => "approve-need",
            Self::Text(_) | Self::Differs => "approve-differs",
            Self::NobodyToAsk | Self::NotAgreed => "approve-not-agreed",
            Self::Signature(_) => "approve-not-signed",
            Self::Nobody { .. } => "approve-nobody",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::File(error) => error.exit(),
            Self::OtherBundle { .. }
            | Self::OtherIntent
            | Self::OtherTransaction
            | Self::Transaction(_)
            | Self::Registry(_)
            | Self::Differs
            | Self::NotAgreed
            | Self::Nobody { .. } => Exit::Refused,
            _ => Exit::Usage,
        }
    }

    fn next(&self) -> String {
        match self {
            Self::File(error) => return error.next(),
            Self::NoManifest | Self::Manifest(_) => "Name the folder of the bundle that governs.",
            Self::Bundle(_) => {
                "Compare the bundle's fingerprint with somebody who knows it, and give it as --bundle."
            }
            Self::OtherBundle { .. } => {
                "Get the bundle that governs from where you review it, and look at what changed."
            }
            Self::OtherIntent
            | Self::OtherTransaction
            | Self::Transaction(_)
            | Self::Registry(_)
            | Self::UnknownNeed
            | Self::Text(_)
            | Self::Differs => {
                "Ask once more, as somebody may have rejected it meanwhile. If it stays so, sign nothing \
                 and tell whoever runs the signer."
            }
            Self::NoNeed => "Look at its needs: `--need` takes the beginning of a fingerprint.",
            Self::Needs { .. } => "Say with --need which of them is meant.",
            Self::NobodyToAsk => "Run it in a terminal, or give --yes once you have read the text.",
            Self::NotAgreed => "Type the word that is asked for, and nothing else.",
            Self::Signature(_) => "Give the signature as `ssh-keygen -Y sign` wrote it.",
            Self::Nobody { .. } => "Sign with a key that the bundle names for one of them.",
        }
        .to_owned()
    }
}
