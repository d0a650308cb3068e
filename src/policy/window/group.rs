//! What a limit counts apart.

use std::{collections::BTreeSet, sync::Arc};

use tx::{Address, Name};

use crate::{Group, select::Subject};

/// The group of a fact in a limit: for each thing that is counted apart, which one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GroupKey(Arc<[Part]>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Part {
    Destination(Option<Address>),
    Client(Name),
    Source(Option<Name>),
    Account(Name),
}

impl GroupKey {
    pub(crate) fn of(groups: &BTreeSet<Group>, subject: &Subject<'_>) -> Self {
        let part = |group: &Group| match group {
            Group::Destination => Part::Destination(subject.to.cloned()),
            Group::Client => Part::Client(subject.client.clone()),
            Group::Source => Part::Source(subject.source.cloned()),
            Group::Account => Part::Account(subject.account.clone()),
        };
        Self(groups.iter().map(part).collect())
    }

    /// The group of a limit that counts nothing apart.
    pub(crate) fn whole() -> Self {
        Self(Arc::default())
    }

    /// What and which, for people. What is absent is `(none)`, which no name and no address is.
    pub(crate) fn shown(&self) -> Vec<(Group, String)> {
        let none = || "(none)".to_owned();
        self.0
            .iter()
            .map(|part| match part {
                Part::Destination(to) => (
                    Group::Destination,
                    to.as_ref().map_or_else(none, Address::qualified),
                ),
                Part::Client(client) => (Group::Client, client.to_string()),
                Part::Source(source) => (
                    Group::Source,
                    source.as_ref().map_or_else(none, Name::to_string),
                ),
                Part::Account(account) => (Group::Account, account.to_string()),
            })
            .collect()
    }
}
