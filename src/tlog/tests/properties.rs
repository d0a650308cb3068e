//! What must hold for every tree, and for no changed proof.

use proptest::prelude::*;
use strongroom_tlog::{
    CompactTree, Hash, MAX_SIZE, MemoryTree, ProofError, ProveError, TreeHead, consistency_proof,
    empty_root, inclusion_proof, leaf_hash, verify_consistency, verify_inclusion,
};

use crate::reference;

/// Past two powers of two, so that every shape of right edge occurs.
const LEAVES: usize = 70;

#[test]
fn every_leaf_at_every_size_is_proved() {
    let (tree, leaves) = grown(LEAVES);
    for size in 1..=LEAVES {
        let head = head(&leaves, size);
        for index in 0..size {
            let proof = inclusion_proof(&tree, index as u64, head.size).unwrap();
            assert_eq!(proof, reference::path(index, &leaves[..size]));
            verify_inclusion(leaves[index], index as u64, &head, &proof).unwrap();
        }
    }
}

#[test]
fn every_size_is_consistent_with_every_later_one() {
    let (tree, leaves) = grown(LEAVES);
    for new in 1..=LEAVES {
        for old in 1..=new {
            let proof = consistency_proof(&tree, old as u64, new as u64).unwrap();
            assert_eq!(proof, reference::consistency(old, &leaves[..new]));
            verify_consistency(&head(&leaves, old), &head(&leaves, new), &proof).unwrap();
        }
    }
}

#[test]
fn everything_is_consistent_with_the_empty_tree_and_nothing_else_of_size_zero() {
    let (tree, leaves) = grown(5);
    let proof = consistency_proof(&tree, 0, 5).unwrap();
    let nothing = TreeHead {
        size: 0,
        root: empty_root(),
    };
    assert_eq!(
        verify_consistency(&nothing, &head(&leaves, 5), &proof),
        Ok(())
    );
    let liar = TreeHead {
        size: 0,
        root: leaf_hash(b""),
    };
    let refused = verify_consistency(&liar, &head(&leaves, 5), &proof);
    assert_eq!(refused, Err(ProofError::WrongOldRoot));
}

#[test]
fn a_fork_of_one_size_has_its_own_name() {
    let (_, leaves) = grown(5);
    let honest = head(&leaves, 5);
    let forged = TreeHead {
        root: leaf_hash(b"fork"),
        ..honest
    };
    let refused = verify_consistency(&honest, &forged, &[]);
    assert_eq!(refused, Err(ProofError::Forked { size: 5 }));
}

#[test]
fn what_is_outside_the_tree_is_refused() {
    let (tree, leaves) = grown(5);
    let outside = ProveError::OutsideTree { index: 5, size: 5 };
    assert_eq!(inclusion_proof(&tree, 5, 5), Err(outside));
    assert!(matches!(
        inclusion_proof(&tree, 0, 6),
        Err(ProveError::Source { .. })
    ));
    let shrunk = ProveError::Shrunk {
        old_size: 5,
        new_size: 4,
    };
    assert_eq!(consistency_proof(&tree, 5, 4), Err(shrunk));
    let refused = verify_consistency(&head(&leaves, 5), &head(&leaves, 4), &[]);
    assert_eq!(
        refused,
        Err(ProofError::Shrunk {
            old_size: 5,
            new_size: 4
        })
    );
    let refused = verify_inclusion(leaves[4], 5, &head(&leaves, 5), &[]);
    assert_eq!(refused, Err(ProofError::OutsideTree { index: 5, size: 5 }));
}

#[test]
fn the_largest_tree_is_proved_and_takes_no_more() {
    let peaks = vec![leaf_hash(b"peak"); 63];
    let mut tree = CompactTree::from_peaks(MAX_SIZE, peaks.clone()).unwrap();
    let before = tree.clone();
    assert!(tree.append(leaf_hash(b"one too many")).is_err());
    assert_eq!(tree, before);
    assert!(CompactTree::from_peaks(MAX_SIZE, peaks[1..].to_vec()).is_err());
    assert!(CompactTree::from_peaks(u64::MAX, vec![leaf_hash(b"peak"); 64]).is_err());
    // The last leaf of that tree is its smallest peak; its siblings are all the others.
    let siblings: Vec<Hash> = peaks[1..].to_vec();
    verify_inclusion(peaks[62], MAX_SIZE - 1, &tree.head(), &siblings).unwrap();
}

proptest! {
    #[test]
    fn a_compact_tree_survives_being_stored(size in 0_usize..300, more in 0_usize..20) {
        let leaves = leaf_hashes(size + more);
        let mut whole = CompactTree::new();
        for leaf in &leaves[..size] {
            whole.append(*leaf).unwrap();
        }
        prop_assert_eq!(whole.root(), reference::root(&leaves[..size]));
        let mut restored = CompactTree::from_peaks(whole.size(), whole.peaks().to_vec()).unwrap();
        prop_assert_eq!(&restored, &whole);
        for leaf in &leaves[size..] {
            restored.append(*leaf).unwrap();
        }
        prop_assert_eq!(restored.root(), reference::root(&leaves));
    }

    #[test]
    fn a_changed_inclusion_proof_proves_nothing(
        size in 2_usize..200, pick: prop::sample::Index, change in change()
    ) {
        let (tree, leaves) = grown(size);
        let index = pick.index(size);
        let head = head(&leaves, size);
        let mut proof = inclusion_proof(&tree, index as u64, head.size).unwrap();
        prop_assume!(change.apply(&mut proof));
        prop_assert!(verify_inclusion(leaves[index], index as u64, &head, &proof).is_err());
    }

    #[test]
    fn an_inclusion_proof_speaks_of_one_leaf_and_one_place(
        size in 2_usize..200, pick: prop::sample::Index, other: prop::sample::Index
    ) {
        let (index, other) = (pick.index(size), other.index(size));
        prop_assume!(index != other);
        let (tree, leaves) = grown(size);
        let head = head(&leaves, size);
        let proof = inclusion_proof(&tree, index as u64, head.size).unwrap();
        prop_assert!(verify_inclusion(leaves[other], index as u64, &head, &proof).is_err());
        prop_assert!(verify_inclusion(leaves[index], other as u64, &head, &proof).is_err());
    }

    #[test]
    fn a_changed_consistency_proof_proves_nothing(
        new in 2_usize..200, pick: prop::sample::Index, change in change()
    ) {
        let (tree, leaves) = grown(new);
        let old = 1 + pick.index(new - 1);
        let mut proof = consistency_proof(&tree, old as u64, new as u64).unwrap();
        prop_assume!(change.apply(&mut proof));
        let (old, new) = (head(&leaves, old), head(&leaves, new));
        prop_assert!(verify_consistency(&old, &new, &proof).is_err());
    }

    #[test]
    fn a_rewritten_leaf_is_never_consistent(new in 2_usize..200, pick: prop::sample::Index) {
        let mut leaves = leaf_hashes(new);
        let old = 1 + pick.index(new - 1);
        let before = head(&leaves, old);
        leaves[pick.index(old)] = leaf_hash(b"rewritten");
        let tree = tree_of(&leaves);
        let proof = consistency_proof(&tree, old as u64, new as u64).unwrap();
        prop_assert!(verify_consistency(&before, &tree.head(), &proof).is_err());
    }
}

/// One way to spoil a proof.
#[derive(Debug, Clone)]
enum Change {
    Flip { at: prop::sample::Index, bit: u8 },
    Drop { at: prop::sample::Index },
    Insert { at: prop::sample::Index },
    Swap { at: prop::sample::Index },
}

impl Change {
    /// False when this proof has nothing to spoil that way.
    fn apply(&self, proof: &mut Vec<Hash>) -> bool {
        let before = proof.clone();
        match self {
            Self::Insert { at } => proof.insert(at.index(before.len() + 1), leaf_hash(b"more")),
            _ if before.is_empty() => return false,
            Self::Flip { at, bit } => {
                let at = at.index(before.len());
                let mut bytes = *proof[at].as_bytes();
                bytes[usize::from(bit / 8)] ^= 1 << (bit % 8);
                proof[at] = Hash::new(bytes);
            }
            Self::Drop { at } => drop(proof.remove(at.index(before.len()))),
            Self::Swap { at } => proof.swap(0, at.index(before.len())),
        }
        *proof != before
    }
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, bit)| Change::Flip { at, bit }),
        at().prop_map(|at| Change::Drop { at }),
        at().prop_map(|at| Change::Insert { at }),
        at().prop_map(|at| Change::Swap { at }),
    ]
}

fn grown(size: usize) -> (MemoryTree, Vec<Hash>) {
    let leaves = leaf_hashes(size);
    (tree_of(&leaves), leaves)
}

fn tree_of(leaves: &[Hash]) -> MemoryTree {
    let mut tree = MemoryTree::new();
    for leaf in leaves {
        tree.append(*leaf).unwrap();
    }
    tree
}

fn leaf_hashes(size: usize) -> Vec<Hash> {
    (0..size as u64)
        .map(|n| leaf_hash(&n.to_be_bytes()))
        .collect()
}

fn head(leaves: &[Hash], size: usize) -> TreeHead {
    TreeHead {
        size: size as u64,
        root: reference::root(&leaves[..size]),
    }
}
