//! Lists of addresses: in order, none twice, and as near to one another as they can be.

use std::{collections::BTreeSet, fmt, sync::Arc};

use tx::{Address, Chain};

/// Addresses in ascending order, none of them twice. A book has a million: a copy shares them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Addresses(Arc<[Address]>);

impl Addresses {
    /// Whether an address is one of them.
    pub fn contains(&self, address: &Address) -> bool {
        self.0.binary_search(address).is_ok()
    }

    /// All of them, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Address> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The chains they are on.
    pub fn chains(&self) -> BTreeSet<Chain> {
        let (mut chains, mut rest) = (BTreeSet::new(), &*self.0);
        // In order, so that those of one chain stand together.
        while let Some(chain) = rest.first().map(Address::chain) {
            chains.insert(chain);
            let others = rest.partition_point(|address| address.chain() == chain);
            rest = rest.get(others..).unwrap_or_default();
        }
        chains
    }

    /// Those that are not among the others.
    pub fn without<'a>(&'a self, others: &'a Self) -> impl Iterator<Item = &'a Address> {
        let mut others = others.iter().peekable();
        self.iter().filter(move |one| {
            while others.next_if(|other| other < one).is_some() {}
            others.peek() != Some(one)
        })
    }

    /// The addresses as they are given.
    ///
    /// # Errors
    /// One that is there twice.
    pub(crate) fn distinct(mut given: Vec<Address>) -> Result<Self, Address> {
        given.sort_unstable();
        let twice = given.windows(2).find_map(|pair| match pair {
            [one, other] if one == other => Some(one.clone()),
            _ => None,
        });
        match twice {
            Some(twice) => Err(twice),
            None => Ok(Self(given.into())),
        }
    }

    /// The address at a place in the order, from 0.
    pub(crate) fn get(&self, place: usize) -> Option<&Address> {
        self.0.get(place)
    }
}

impl From<Vec<Address>> for Addresses {
    fn from(mut given: Vec<Address>) -> Self {
        given.sort_unstable();
        given.dedup();
        Self(given.into())
    }
}

impl<const N: usize> From<[Address; N]> for Addresses {
    fn from(given: [Address; N]) -> Self {
        Vec::from(given).into()
    }
}

impl FromIterator<Address> for Addresses {
    fn from_iter<I: IntoIterator<Item = Address>>(given: I) -> Self {
        Vec::from_iter(given).into()
    }
}

impl<'a> IntoIterator for &'a Addresses {
    type Item = &'a Address;
    type IntoIter = std::slice::Iter<'a, Address>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tx::Network;

    use super::*;

    fn evm(n: u8) -> Address {
        Address::evm(Chain::Evm(1), [n; 20]).unwrap()
    }

    #[test]
    fn addresses_of_several_lengths_and_chains_are_told_apart() {
        let chain = Chain::Bitcoin(Network::Regtest);
        let of = |script: &[u8]| Address::from_script(chain, script).unwrap();
        let short = of(&[&[0x00, 0x14], [7; 20].as_slice()].concat());
        let long = of(&[&[0x00, 0x20], [7; 32].as_slice()].concat());
        let other = of(&[&[0x00, 0x20], [8; 32].as_slice()].concat());
        let elsewhere = Address::evm(Chain::Evm(2), [7; 20]).unwrap();
        let all = Addresses::from(vec![long.clone(), evm(7), short.clone()]);
        assert!(all.contains(&short) && all.contains(&long) && all.contains(&evm(7)));
        assert!(!all.contains(&other) && !all.contains(&elsewhere));
        assert_eq!(all.chains(), BTreeSet::from([chain, Chain::Evm(1)]));
        assert_eq!(Addresses::default().chains(), BTreeSet::new());
        assert_eq!(
            Addresses::distinct(vec![long.clone(), long.clone()]),
            Err(long)
        );
    }

    #[test]
    fn they_are_the_same_from_an_array_and_gone_through_in_their_order() {
        let from_array = Addresses::from([evm(2), evm(1), evm(2)]);
        assert_eq!(from_array, [evm(1), evm(2)].into_iter().collect());
        assert!((&from_array).into_iter().eq(&[evm(1), evm(2)]));
        let set = BTreeSet::from([evm(1), evm(2)]);
        assert_eq!(format!("{from_array:?}"), format!("{set:?}"));
    }

    proptest! {
        #[test]
        fn they_are_what_a_set_is(
            one in prop::collection::vec(0..12_u8, 0..12),
            other in prop::collection::vec(0..12_u8, 0..12),
        ) {
            let of = |given: &[u8]| given.iter().copied().map(evm).collect::<Addresses>();
            let set = |given: &[u8]| given.iter().copied().map(evm).collect::<BTreeSet<_>>();
            let ((list, others), (one, other)) = ((of(&one), of(&other)), (set(&one), set(&other)));
            prop_assert!(list.iter().eq(&one));
            prop_assert!(list.without(&others).eq(one.difference(&other)));
            prop_assert_eq!(list.len(), one.len());
            prop_assert_eq!(list.is_empty(), one.is_empty());
            for n in 0..12 {
                prop_assert_eq!(list.contains(&evm(n)), one.contains(&evm(n)));
            }
        }
    }
}
