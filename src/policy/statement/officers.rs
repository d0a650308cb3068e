//! The officers of a bundle, and whether enough of them signed.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;
use tx::Name;

use super::{Signatures, verify};
use crate::{Governance, Person, Policy};

/// Too few of those have signed whose signatures count: officers, or the signers of a book.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "signed by {} of the {} officers that are needed",
    signed_by.len(),
    needed
)]
pub struct QuorumError {
    /// How many are needed.
    pub needed: u32,
    /// Those whose signatures count.
    pub signed_by: BTreeSet<Name>,
    /// Those whose signatures would count.
    pub officers: BTreeSet<Name>,
}

/// The officers of `policy` who signed the text in this namespace, if they are enough.
///
/// # Errors
/// [`QuorumError`]; always under a policy that needs nobody.
pub fn officers_signed(
    text: &str,
    namespace: &str,
    signatures: &Signatures,
    policy: &Policy,
) -> Result<BTreeSet<Name>, QuorumError> {
    let Governance {
        threshold,
        officers,
        ..
    } = &policy.governance;
    people_signed(
        (text, namespace),
        signatures,
        policy,
        (*threshold, officers),
    )
}

/// Those of these people who signed the text in this namespace, if they are so many.
///
/// # Errors
/// [`QuorumError`]; always where nobody is needed.
pub(crate) fn people_signed(
    (text, namespace): (&str, &str),
    signatures: &Signatures,
    policy: &Policy,
    (needed, names): (u32, &BTreeSet<Name>),
) -> Result<BTreeSet<Name>, QuorumError> {
    let signed_by = verify(text, namespace, signatures, &people(policy, names));
    enough(signed_by, needed, names)
}

/// The officers of `policy` who signed the text in this namespace, if there is one.
///
/// # Errors
/// [`QuorumError`].
pub fn one_officer_signed(
    text: &str,
    namespace: &str,
    signatures: &Signatures,
    policy: &Policy,
) -> Result<BTreeSet<Name>, QuorumError> {
    let officers = &policy.governance.officers;
    let signed_by = verify(text, namespace, signatures, &people(policy, officers));
    enough(signed_by, 1, officers)
}

fn people(policy: &Policy, names: &BTreeSet<Name>) -> BTreeMap<Name, Person> {
    let people = policy.people.iter();
    let people = people.filter(|(name, _)| names.contains(*name));
    people
        .map(|(name, person)| (name.clone(), person.clone()))
        .collect()
}

fn enough(
    signed_by: BTreeSet<Name>,
    needed: u32,
    officers: &BTreeSet<Name>,
) -> Result<BTreeSet<Name>, QuorumError> {
    let enough = usize::try_from(needed).is_ok_and(|needed| signed_by.len() >= needed);
    if enough && needed > 0 {
        return Ok(signed_by);
    }
    Err(QuorumError {
        needed,
        signed_by,
        officers: officers.clone(),
    })
}
