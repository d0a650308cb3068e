//! What a limit counts apart.

use std::{collections::BTreeSet, sync::Arc};

use tx::{Address, Name};

use crate::{Group, code::Code, select::Subject};

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
        if groups.is_empty() {
            return Self::whole();
        }
        Self(groups.iter().map(part).collect())
    }

    /// The group of a limit that counts nothing apart.
    pub(crate) fn whole() -> Self {
        Self(Arc::default())
    }

    /// That of a client, in a limit that counts clients apart.
    #[cfg(test)]
    pub(super) fn client(name: Name) -> Self {
        Self([Part::Client(name)].into())
    }

    /// The address that it counts apart, if it does.
    pub(super) fn destination(&self) -> Option<&Address> {
        self.0.iter().find_map(|part| match part {
            Part::Destination(to) => to.as_ref(),
            _ => None,
        })
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

impl Code for GroupKey {
    fn write(&self, to: &mut Vec<u8>) {
        self.0.to_vec().write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let parts: Vec<Part> = Code::read(from)?;
        Some(Self(parts.into()))
    }
}

impl Code for Part {
    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Destination(address) => {
                to.push(0);
                address.write(to);
            }
            Self::Client(client) => {
                to.push(1);
                client.write(to);
            }
            Self::Source(source) => {
                to.push(2);
                source.write(to);
            }
            Self::Account(account) => {
                to.push(3);
                account.write(to);
            }
        }
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some(match u8::read(from)? {
            0 => Self::Destination(Code::read(from)?),
            1 => Self::Client(Code::read(from)?),
            2 => Self::Source(Code::read(from)?),
            3 => Self::Account(Code::read(from)?),
            _ => return None,
        })
    }
}
