//! Why a bundle could not be read, signed or asked.

use std::io;
use std::path::PathBuf;

use policy::bundle::ManifestError;
use policy::statement::SignaturesError;
use policy::{EvaluateError, StateError};

use crate::audit::error::AuditError;
use crate::failure::{Exit, Explained};
use crate::files::FileError;

/// Why a bundle could not be read, signed or asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A file.
    #[error(transparent)]
    File(FileError),
    /// The folder.
    #[error("cannot read the folder {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The bundle has errors; `policy check` shows them.
    #[error("the bundle has {errors} errors, the first: {first}")]
    Wrong {
        /// How many.
        errors: usize,
        /// The first of them.
        first: String,
    },
    /// There is no manifest, and not all that one is made of was given.
    #[error("the folder has no manifest yet")]
    NoManifest,
    /// The manifest that is there is not that of the files.
    #[error("the manifest is not that of the files in the folder")]
    Manifest(#[source] ManifestError),
    /// The sequence is not above the one that is replaced.
    #[error("sequence {sequence} is not above {answers}, which it replaces")]
    Sequence {
        /// The sequence.
        sequence: u64,
        /// The one that is replaced.
        answers: u64,
    },
    /// `manifest.sig` holds something else than signatures.
    #[error("manifest.sig cannot be read")]
    Signatures(#[source] SignaturesError),
    /// What the verdict hangs on is not known.
    #[error("the request was not evaluated")]
    Evaluate(#[source] EvaluateError),
    /// An input of `explain`.
    #[error("{} is no {expected}", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// What was expected.
        expected: &'static str,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// The transaction would be refused before the policy is asked.
    #[error("the signer would refuse this transaction ({code})")]
    NotUnderstood {
        /// The stable name of the reason.
        code: &'static str,
        /// The reason.
        #[source]
        source: tx::Refusal,
    },
    /// A file of cases is none.
    #[error("{} is no file of cases: {what}", path.display())]
    Cases {
        /// The file.
        path: PathBuf,
        /// Why not.
        what: String,
    },
    /// A folder of an exported log.
    #[error(transparent)]
    Audit(AuditError),
    /// An entry of an exported log.
    #[error("{}: entry {entry}: {what}", folder.display())]
    Journal {
        /// The folder.
        folder: PathBuf,
        /// The entry.
        entry: u64,
        /// What is wrong with it.
        what: String,
    },
    /// A template needs something else than it was given.
    #[error("{what}")]
    Template {
        /// What.
        what: String,
    },
    /// A file of claims is none.
    #[error("{} is no file of claims: {what}", path.display())]
    Claims {
        /// The file.
        path: PathBuf,
        /// Why not.
        what: String,
    },
    /// A claim says nothing that can be decided.
    #[error("this is no claim: {what}")]
    Claim {
        /// Why not.
        what: String,
    },
    /// There is no case at all.
    #[error("the files hold no case")]
    NoCases,
    /// The rule of a time zone cannot be read.
    #[error("the rule of the time zone {name} cannot be read")]
    Zone {
        /// The zone.
        name: String,
        /// Why not.
        #[source]
        source: jiff::Error,
    },
    /// A time zone whose clocks are no whole minutes from UTC.
    #[error("the clocks of {name} are {seconds} seconds ahead of UTC, which is no whole minute")]
    ZoneSeconds {
        /// The zone.
        name: String,
        /// By how much.
        seconds: i32,
    },
    /// No bundle waits, or another one.
    #[error("bundle {bundle} does not wait to govern")]
    NotProposed {
        /// The bundle.
        bundle: policy::BundleHash,
    },
    /// A book's file or statement.
    #[error("{}: {what}", path.display())]
    Book {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// No such content of the book is cooling.
    #[error("no content {sequence} of book {book} is cooling")]
    NotCooling {
        /// The book.
        book: tx::Name,
        /// The content's sequence.
        sequence: u64,
    },
    /// The scope is not frozen.
    #[error("{scope} is not frozen")]
    NotFrozen {
        /// The scope.
        scope: String,
    },
    /// The signer's bundle asks for no heartbeat.
    #[error("the bundle that governs the signer has no [heartbeat]")]
    NoHeartbeat,
    /// The signer has no checkpoint to answer yet.
    #[error("the signer has no checkpoint yet that a heartbeat may answer")]
    NoCheckpoint,
    /// A file holds another statement, or none.
    #[error("the file holds no such statement")]
    Statement(#[source] policy::statement::StatementError),
    /// The signer's fleet is no name.
    #[error("the signer calls its fleet {fleet:?}, which is no name")]
    Fleet {
        /// What it says.
        fleet: String,
    },
    /// The bundle and the keys contradict each other.
    #[error("the bundle cannot govern with these keys")]
    State(#[source] StateError),
}

impl Explained for PolicyError {
    fn kind(&self) -> &'static str {
        match self {
            Self::File(error) => error.kind(),
            Self::Folder { .. } => "policy-folder",
            Self::Wrong { .. } => "policy-wrong",
            Self::NoManifest => "policy-no-manifest",
            Self::Manifest(_) => "policy-manifest",
            Self::Sequence { .. } => "policy-sequence",
            Self::Signatures(_) => "policy-signatures",
            Self::Evaluate(_) => "policy-evaluate",
            Self::Input { .. } => "policy-input",
            Self::NotUnderstood { .. } => "policy-not-understood",
            Self::Cases { .. } | Self::NoCases => "policy-cases",
            Self::Audit(error) => error.kind(),
            Self::Journal { .. } => "policy-journal",
            Self::Template { .. } => "policy-template",
            Self::Claims { .. } | Self::Claim { .. } => "policy-claims",
            Self::Zone { .. } | Self::ZoneSeconds { .. } => "policy-zone",
            Self::NotProposed { .. } => "policy-not-proposed",
            Self::Book { .. } => "policy-book",
            Self::NotCooling { .. } => "policy-not-cooling",
            Self::NotFrozen { .. } => "policy-not-frozen",
            Self::NoHeartbeat => "policy-no-heartbeat",
            Self::NoCheckpoint => "policy-no-checkpoint",
            Self::Statement(_) => "policy-statement",
            Self::Fleet { .. } => "policy-fleet",
            Self::State(_) => "policy-keys",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::File(error) => error.exit(),
            Self::Audit(error) => error.exit(),
            Self::Wrong { .. }
            | Self::NotUnderstood { .. }
            | Self::NotProposed { .. }
            | Self::NotCooling { .. }
            | Self::NoHeartbeat
            | Self::NoCheckpoint
            | Self::NotFrozen { .. } => Exit::Refused,
            _ => Exit::Usage,
        }
    }

    fn next(&self) -> String {
        match self {
            Self::File(error) => return error.next(),
            Self::Audit(error) => return error.next(),
            Self::Journal { .. } => {
                "Run `strongroom audit verify` on the folder, and `strongroom audit export` anew."
            }
            Self::Folder { .. } => "Name the folder in which the bundle's files are.",
            Self::Wrong { .. } => "Run `strongroom policy check` on the folder and mend it.",
            Self::NoManifest => "Give --fleet and --sequence, of which the manifest is made.",
            Self::Manifest(_) => {
                "If the change is meant, give --fleet and --sequence to make a new manifest; earlier \
                 signatures are void then. If not, find out who changed the files."
            }
            Self::Sequence { .. } => "Give a higher --sequence, or the right --replaces.",
            Self::Signatures(_) => "Take everything but armoured SSH signatures out of it.",
            Self::Evaluate(_) => "Run it again; if it happens again, report it as a bug.",
            Self::Input { .. } => "See `strongroom policy explain --help` for what each file holds.",
            Self::NotUnderstood { .. } => {
                "Build the transaction anew, from addresses of keys that are listed."
            }
            Self::Cases { .. } | Self::NoCases => "See \"Cases\" in docs/policy.md.",
            Self::Template { .. } => "See `strongroom policy new --help`.",
            Self::Claims { .. } | Self::Claim { .. } => "See \"Bounds\" in docs/policy.md.",
            Self::Zone { .. } | Self::ZoneSeconds { .. } => {
                "Name a zone that the machine's database has, or another --database of TZif files."
            }
            Self::NotProposed { .. } => {
                "Run `strongroom policy status`: it may govern already, or be vetoed."
            }
            Self::Book { .. } => "Mend it: one address a line, of the chain that is given.",
            Self::NotCooling { .. } => {
                "Run `strongroom policy status`: it may have cooled, or be vetoed."
            }
            Self::NotFrozen { .. } => {
                "Run `strongroom policy status`: what is frozen is un-frozen by the scope that it shows."
            }
            Self::NoHeartbeat => "See \"Heartbeat\" in docs/policy.md.",
            Self::NoCheckpoint => "Try again in a moment; look whether its device answers.",
            Self::Statement(_) => "Give the file that this command printed, as it is.",
            Self::Fleet { .. } => "Look whether it is your signer that answers.",
            Self::State(_) => "Compare the accounts' keys and addresses with the keys given.",
        }
        .to_owned()
    }
}
