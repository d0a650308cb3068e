//! Names that are taken, and names that look as if they were.

use std::collections::BTreeMap;

use tx::Name;

use super::diagnostic::Place;

/// The names of one kind, with where each stands.
#[derive(Debug, Default)]
pub(super) struct Taken(BTreeMap<String, (Name, Place)>);

/// Why a name cannot be given.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Clash {
    /// It is taken.
    Same(Place),
    /// A reader could take it for one that is.
    Alike(Name, Place),
}

impl Taken {
    /// Takes a name.
    pub fn take(&mut self, name: &Name, at: Place) -> Result<(), Clash> {
        match self.0.get(&folded(name)) {
            None => {
                self.0.insert(folded(name), (name.clone(), at));
                Ok(())
            }
            Some((other, first)) if other == name => Err(Clash::Same(first.clone())),
            Some((other, first)) => Err(Clash::Alike(other.clone(), first.clone())),
        }
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &Name> + Clone {
        self.0.values().map(|(name, _)| name)
    }
}

/// Whether a reader could take one name for the other.
pub(super) fn alike(one: &Name, other: &Name) -> bool {
    folded(one) == folded(other)
}

/// One text for all names that look alike. Whoever reviews a bundle or approves a payment reads names, and
/// the other side of a look-alike is somebody's account.
fn folded(name: &Name) -> String {
    let one_each: String = name.as_str().chars().map(folded_letter).collect();
    one_each.replace("rn", "m").replace("vv", "w")
}

fn folded_letter(letter: char) -> char {
    match letter {
        '0' => 'o',
        '1' | 'i' => 'l',
        '.' | '_' => '-',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn what_looks_alike_is_one_text() {
        for (one, other) in [
            ("vendor-0", "vendor-o"),
            ("hot1", "hotl"),
            ("paid", "pald"),
            ("a.b_c", "a-b-c"),
            ("modern", "modem"),
            ("vvest", "west"),
        ] {
            assert_eq!(folded(&name(one)), folded(&name(other)), "{one}, {other}");
        }
        for (one, other) in [
            ("hot1", "hot2"),
            ("eth-day", "ethday"),
            ("ann", "anna"),
            ("ab", "ba"),
        ] {
            assert_ne!(folded(&name(one)), folded(&name(other)), "{one}, {other}");
        }
    }

    #[test]
    fn a_name_is_taken_once_and_by_nothing_alike() {
        let mut taken = Taken::default();
        let first = Place::file("a.toml");
        assert_eq!(taken.take(&name("hot-1"), first.clone()), Ok(()));
        let same = taken.take(&name("hot-1"), Place::file("b.toml"));
        assert_eq!(same, Err(Clash::Same(first.clone())));
        let alike = taken.take(&name("hot_l"), Place::file("b.toml"));
        assert_eq!(alike, Err(Clash::Alike(name("hot-1"), first)));
        assert_eq!(taken.names().collect::<Vec<_>>(), [&name("hot-1")]);
    }
}
