//! Loading: from files that anyone may have written to a policy that may govern.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;
use tx::Name;

use super::{Bundle, Diagnostic, MANIFEST, Manifest, ManifestError, SIGNATURES, parse};
use crate::{
    BundleHash, BundleQuorum, Policy, Recovery, beside_people,
    statement::{self, Signatures, SignaturesError, people_signed},
};

/// By what a bundle is taken to be ours.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// The first bundle of a journal: its hash was compared by a person, and its own officers have
    /// signed it.
    Pinned(BundleHash),
    /// The bundle that the journal names as active: it was verified when it was activated, by
    /// officers that it need no longer name.
    Activated(BundleHash),
    /// A bundle that replaces the running one, signed by the officers that the *running* one names.
    Running(&'a Policy),
}

/// A bundle that may govern. Made by [`load`] alone.
#[derive(Debug)]
#[must_use]
pub struct VerifiedBundle {
    policy: Policy,
    signed_by: BTreeSet<Name>,
    quorum: BundleQuorum,
    warnings: Vec<Diagnostic>,
}

/// Why a bundle is not loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A file that every bundle has is not there.
    #[error("the bundle has no file {file}")]
    NoFile {
        /// The file.
        file: &'static str,
    },
    /// The manifest cannot be read, or is not that of the files.
    #[error("the manifest is not that of these files")]
    Manifest(#[source] ManifestError),
    /// The files are those of the manifest, and wrong.
    #[error("the policy has {} errors", .0.iter().filter(|one| one.severity == super::Severity::Error).count())]
    Policy(Vec<Diagnostic>),
    /// It is not the bundle that was asked for.
    #[error("the bundle's hash is {found}, expected {expected}")]
    Hash {
        /// The hash asked for.
        expected: BundleHash,
        /// The bundle's.
        found: BundleHash,
    },
    /// It is for another fleet.
    #[error("the bundle is for fleet {found}, this is fleet {expected}")]
    Fleet {
        /// The running one.
        expected: Name,
        /// The bundle's.
        found: Name,
    },
    /// It does not replace the running bundle.
    #[error("the bundle replaces sequence {answers}, running is sequence {running}")]
    Answers {
        /// The sequence that runs.
        running: u64,
        /// The sequence that the bundle replaces.
        answers: u64,
    },
    /// Enough of the recovery set have signed, and it may not do that.
    #[error("the recovery set signed it, and it changes {}", .0.iter().copied().collect::<Vec<_>>().join(", "))]
    Recovery(BTreeSet<&'static str>),
    /// `manifest.sig` cannot be read.
    #[error("manifest.sig cannot be read")]
    Signatures(#[source] SignaturesError),
    /// Too few officers have signed.
    #[error(
        "signed by {} of the {} officers that are needed",
        signed_by.len(),
        needed
    )]
    Quorum {
        /// How many are needed.
        needed: u32,
        /// Those whose signatures count.
        signed_by: BTreeSet<Name>,
        /// Those whose signatures would count.
        officers: BTreeSet<Name>,
    },
}

/// Verifies a bundle: the manifest, every file against it, the policy in the files, and that it is
/// ours.
///
/// # Errors
/// [`LoadError`] by the first step that fails.
pub fn load(
    files: &BTreeMap<String, Vec<u8>>,
    trust: Trust<'_>,
) -> Result<VerifiedBundle, LoadError> {
    let text = file(files, MANIFEST)?;
    let manifest = Manifest::verify(text, files).map_err(LoadError::Manifest)?;
    expected(&manifest, trust)?;
    let signatures = match trust {
        Trust::Activated(_) => Signatures::default(),
        Trust::Pinned(_) | Trust::Running(_) => signatures(file(files, SIGNATURES)?)?,
    };
    // Before any file is parsed, where who may sign is known: a parser is a larger door.
    let signed = match trust {
        Trust::Running(running) => Some(replaces(&manifest, &signatures, running)?),
        Trust::Pinned(_) | Trust::Activated(_) => None,
    };
    let bundle: Bundle = parse(files).map_err(LoadError::Policy)?;
    let warnings = bundle.warnings.clone();
    let policy = bundle.under(&manifest);
    let (signed_by, quorum) = match (signed, trust) {
        (Some(signed), _) => signed,
        (None, Trust::Activated(_)) => Default::default(),
        (None, _) => (
            officers(&manifest, &signatures, &policy)?,
            BundleQuorum::Officers,
        ),
    };
    if let (BundleQuorum::Recovery, Trust::Running(running)) = (quorum, trust) {
        let differs = beside_people(running, &policy);
        if !differs.is_empty() {
            return Err(LoadError::Recovery(differs));
        }
    }
    Ok(VerifiedBundle {
        policy,
        signed_by,
        quorum,
        warnings,
    })
}

fn file<'f>(
    files: &'f BTreeMap<String, Vec<u8>>,
    file: &'static str,
) -> Result<&'f [u8], LoadError> {
    let bytes = files.get(file).map(Vec::as_slice);
    bytes.ok_or(LoadError::NoFile { file })
}

fn signatures(bytes: &[u8]) -> Result<Signatures, LoadError> {
    // What is not ASCII is not armour, and is refused as that.
    Signatures::parse(&String::from_utf8_lossy(bytes)).map_err(LoadError::Signatures)
}

/// Whether this is the bundle that is meant.
fn expected(manifest: &Manifest, trust: Trust<'_>) -> Result<(), LoadError> {
    match trust {
        Trust::Pinned(expected) | Trust::Activated(expected) => {
            let found = manifest.hash();
            if found == expected {
                Ok(())
            } else {
                Err(LoadError::Hash { expected, found })
            }
        }
        Trust::Running(running) if manifest.fleet != running.fleet => Err(LoadError::Fleet {
            expected: running.fleet.clone(),
            found: manifest.fleet.clone(),
        }),
        // Its own sequence is above what it replaces, so that it is above the running one too.
        Trust::Running(running) if manifest.answers != running.sequence => {
            Err(LoadError::Answers {
                running: running.sequence,
                answers: manifest.answers,
            })
        }
        Trust::Running(_) => Ok(()),
    }
}

/// Who of the running policy signed the manifest, if they are enough: officers, or else the recovery set.
fn replaces(
    manifest: &Manifest,
    signatures: &Signatures,
    running: &Policy,
) -> Result<(BTreeSet<Name>, BundleQuorum), LoadError> {
    let missed = match officers(manifest, signatures, running) {
        Ok(signed_by) => return Ok((signed_by, BundleQuorum::Officers)),
        Err(missed) => missed,
    };
    let Some(Recovery {
        threshold, people, ..
    }) = &running.recovery
    else {
        return Err(missed);
    };
    let (text, namespace) = (manifest.to_string(), manifest.header().namespace());
    let needed = (*threshold, people);
    let signed_by = people_signed((&text, &namespace), signatures, running, needed);
    let recovered = signed_by.map(|signed_by| (signed_by, BundleQuorum::Recovery));
    recovered.map_err(|_| missed)
}

/// The officers of `policy` who signed the manifest, if they are enough.
fn officers(
    manifest: &Manifest,
    signatures: &Signatures,
    policy: &Policy,
) -> Result<BTreeSet<Name>, LoadError> {
    let (text, namespace) = (manifest.to_string(), manifest.header().namespace());
    let signed_by = statement::officers_signed(&text, &namespace, signatures, policy);
    signed_by.map_err(|missed| LoadError::Quorum {
        needed: missed.needed,
        signed_by: missed.signed_by,
        officers: missed.officers,
    })
}

impl VerifiedBundle {
    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The policy, by value.
    pub fn into_policy(self) -> Policy {
        self.policy
    }

    /// The people whose signatures counted; none for a bundle taken by its hash alone.
    pub fn signed_by(&self) -> &BTreeSet<Name> {
        &self.signed_by
    }

    /// Whose signatures they are.
    pub fn quorum(&self) -> BundleQuorum {
        self.quorum
    }

    /// What is suspicious in it.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }
}
