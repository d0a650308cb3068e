//! What was read so far: a policy in the making, and where its parts stand.

use std::collections::{BTreeMap, BTreeSet};

use tx::{Name, evm::Functions};

use super::diagnostic::Place;
use crate::{Attestations, BundleHash, Governance, Policy};

/// A policy in the making.
#[derive(Debug)]
pub(super) struct Draft {
    pub policy: Policy,
    pub places: Places,
    /// Which account each key belongs to.
    pub key_accounts: BTreeMap<Name, Name>,
}

/// Where things stand that have no place of their own in the policy.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub accounts: BTreeMap<Name, Place>,
}

impl Draft {
    pub fn new() -> Self {
        Self {
            policy: silent(),
            places: Places::default(),
            key_accounts: BTreeMap::new(),
        }
    }
}

/// A policy that says nothing, of no manifest yet.
fn silent() -> Policy {
    Policy {
        hash: BundleHash([0; 32]),
        fleet: nameless(),
        sequence: 0,
        governance: Governance {
            threshold: 0,
            officers: BTreeSet::new(),
            delay_millis: 0,
            unfreeze_delay_millis: 0,
        },
        recovery: None,
        heartbeat: None,
        witnesses: None,
        auditors: BTreeSet::new(),
        devices: None,
        approval_page: None,
        people: BTreeMap::new(),
        groups: BTreeMap::new(),
        client_roots: Vec::new(),
        clients: BTreeMap::new(),
        sources: BTreeMap::new(),
        accounts: BTreeMap::new(),
        edges: BTreeSet::new(),
        assets: BTreeMap::new(),
        chains: BTreeMap::new(),
        sequences: BTreeMap::new(),
        functions: Functions::default(),
        books: BTreeMap::new(),
        hours: BTreeMap::new(),
        attestations: Attestations::default(),
        allows: Vec::new(),
        denies: Vec::new(),
        requires: Vec::new(),
        requires_attested: Vec::new(),
        limits: Vec::new(),
        evacuates: Vec::new(),
    }
}

#[expect(
    clippy::expect_used,
    reason = "a constant of the alphabet, read in every test of the bundle"
)]
fn nameless() -> Name {
    "unsigned".parse().expect("a name of the alphabet")
}
