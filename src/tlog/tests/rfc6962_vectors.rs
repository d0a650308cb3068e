//! The known answers of the Certificate Transparency reference code
//! (`google/certificate-transparency`, `cpp/merkletree/merkle_tree_test.cc`).

use strongroom_tlog::{
    CompactTree, Hash, MemoryTree, TreeHead, consistency_proof, empty_root, inclusion_proof,
    leaf_hash, node_hash, verify_consistency, verify_inclusion,
};

const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];

const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

const NODE_1: &str = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
const NODE_2_3: &str = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
const NODE_4: &str = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
const NODE_4_5: &str = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";
const NODE_4_7: &str = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";
const NODE_6_7: &str = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";

#[test]
fn empty_tree() {
    let known = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(empty_root().to_string(), known);
    assert_eq!(CompactTree::new().root(), empty_root());
}

#[test]
fn hashers() {
    let leaf = leaf_hash(b"L123456").to_string();
    assert_eq!(
        leaf,
        "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    );
    let (left, right) = (leaf_hash(b""), leaf_hash(&[0]));
    assert_eq!(node_hash(&left, &right), hash(ROOTS[1]));
}

#[test]
fn roots() {
    let mut tree = CompactTree::new();
    for (size, (leaf, root)) in LEAVES.iter().zip(ROOTS).enumerate() {
        assert_eq!(
            tree.append(leaf_hash(&hex::decode(leaf).unwrap())),
            Ok(size as u64)
        );
        assert_eq!(tree.root(), hash(root), "size {}", size + 1);
    }
}

#[test]
fn inclusion_1_of_1() {
    included(0, 1, &[]);
}

#[test]
fn inclusion_1_of_8() {
    included(0, 8, &[NODE_1, NODE_2_3, NODE_4_7]);
}

#[test]
fn inclusion_6_of_8() {
    included(5, 8, &[NODE_4, NODE_6_7, ROOTS[3]]);
}

#[test]
fn inclusion_3_of_3() {
    included(2, 3, &[ROOTS[1]]);
}

#[test]
fn inclusion_2_of_5() {
    included(1, 5, &[ROOTS[0], NODE_2_3, NODE_4]);
}

#[test]
fn consistency_1_to_1() {
    consistent(1, 1, &[]);
}

#[test]
fn consistency_1_to_8() {
    consistent(1, 8, &[NODE_1, NODE_2_3, NODE_4_7]);
}

#[test]
fn consistency_6_to_8() {
    consistent(6, 8, &[NODE_4_5, NODE_6_7, ROOTS[3]]);
}

#[test]
fn consistency_2_to_5() {
    consistent(2, 5, &[NODE_2_3, NODE_4]);
}

fn included(index: u64, size: u64, known: &[&str]) {
    let known: Vec<Hash> = known.iter().map(|text| hash(text)).collect();
    assert_eq!(inclusion_proof(&tree(), index, size), Ok(known.clone()));
    let leaf = leaf_hash(&hex::decode(LEAVES[index as usize]).unwrap());
    assert_eq!(verify_inclusion(leaf, index, &head(size), &known), Ok(()));
}

fn consistent(old: u64, new: u64, known: &[&str]) {
    let known: Vec<Hash> = known.iter().map(|text| hash(text)).collect();
    assert_eq!(consistency_proof(&tree(), old, new), Ok(known.clone()));
    assert_eq!(verify_consistency(&head(old), &head(new), &known), Ok(()));
}

fn head(size: u64) -> TreeHead {
    TreeHead {
        size,
        root: hash(ROOTS[size as usize - 1]),
    }
}

fn tree() -> MemoryTree {
    let mut tree = MemoryTree::new();
    for leaf in LEAVES {
        tree.append(leaf_hash(&hex::decode(leaf).unwrap())).unwrap();
    }
    tree
}

fn hash(text: &str) -> Hash {
    let bytes: [u8; 32] = hex::decode(text).unwrap().try_into().unwrap();
    Hash::new(bytes)
}
