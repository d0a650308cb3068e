//! RFC 6962 §2.1 word for word, over all leaf hashes: slow, recursive, shares no code with the crate.

use strongroom_tlog::{Hash, empty_root, node_hash};

/// MTH(D[n]) over leaf hashes.
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&root(left), &root(right))
        }
    }
}

/// PATH(m, D[n]).
pub fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut proof, sibling) = if index < k {
        (path(index, left), root(right))
    } else {
        (path(index - k, right), root(left))
    };
    proof.push(sibling);
    proof
}

/// PROOF(m, D[n]).
pub fn consistency(old: usize, leaves: &[Hash]) -> Vec<Hash> {
    subproof(old, leaves, Known::Yes)
}

#[derive(Clone, Copy, PartialEq)]
enum Known {
    Yes,
    No,
}

fn subproof(old: usize, leaves: &[Hash], known: Known) -> Vec<Hash> {
    if old == leaves.len() {
        return match known {
            Known::Yes => Vec::new(),
            Known::No => vec![root(leaves)],
        };
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut proof, sibling) = if old <= k {
        (subproof(old, left, known), root(right))
    } else {
        (subproof(old - k, right, Known::No), root(left))
    };
    proof.push(sibling);
    proof
}

/// The largest power of two smaller than `n`.
fn split(n: usize) -> usize {
    1 << (n - 1).ilog2()
}
