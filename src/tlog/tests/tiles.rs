//! Tiles: their names, their files, which are written, and which are believed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use proptest::prelude::*;
use strongroom_tlog::tile::{
    BundleId, MAX_TILE_LEVEL, NotAuthenticated, Resource, StoredTileError, TILE_WIDTH, Tile,
    TileId, TilePlan, TileReadError, TileReader, bundles_for, decode_bundle, encode_bundle,
    tiles_for,
};
use strongroom_tlog::{
    Hash, MAX_SIZE, MemoryTree, NodeId, NodeSource, ProveError, TreeHead, consistency_nodes,
    consistency_proof, inclusion_nodes, inclusion_proof, leaf_hash, root_at, root_nodes,
    verify_consistency, verify_inclusion,
};

use crate::keys::{grown, head, leaf};

/// Three levels of tiles.
const LARGE: usize = 70_000;

/// Several full tiles.
const SMALL: usize = 1_400;
static TREE: LazyLock<MemoryTree> = LazyLock::new(|| grown(SMALL));

fn file(tree: &MemoryTree, id: TileId) -> Vec<u8> {
    Tile::read(id, tree).unwrap().encode()
}

/// Reads a tree from its files, as somebody else would.
fn reader(
    tree: &MemoryTree,
    head: TreeHead,
) -> impl NodeSource<Error = TileReadError<String>> + '_ {
    TileReader::new(head, |ids: &[TileId]| {
        Ok(ids.iter().map(|id| file(tree, *id)).collect())
    })
}

fn tile(path: &str) -> TileId {
    match path.parse() {
        Ok(Resource::Tile(id)) => id,
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn a_path_has_one_spelling() {
    for path in [
        "checkpoint",
        "tile/0/000",
        "tile/0/999.p/255",
        "tile/0/x001/000",
        "tile/7/000.p/127",
        "tile/3/x123/x456/078",
        "tile/0/x036/x028/x797/x018/x963/966",
        "tile/0/x036/x028/x797/x018/x963/967.p/255",
        "tile/entries/x001/x234/067.p/8",
    ] {
        let resource: Resource = path.parse().unwrap();
        assert_eq!(resource.to_string(), path);
    }
    for path in [
        "",
        "/checkpoint",
        "checkpoint/",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/x000/000",
        "tile/0/x001",
        "tile/0/001/000",
        "tile/0/x1/000",
        "tile/0/X001/000",
        "tile/00/000",
        "tile/-1/000",
        "tile/8/000",
        "tile/63/000",
        "tile/data/000",
        "tile/0/000.p/0",
        "tile/0/000.p/00",
        "tile/0/000.p/256",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000.p/1/",
        "tile/0/000.p/1.p/1",
        "tile/0/+01",
        "tile/0/٣٣٣",
        "tile/7/000",
        "tile/7/001.p/1",
        "tile/0/x036/x028/x797/x018/x963/967",
        "tile/0/x036/x028/x797/x018/x963/968.p/1",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile//000",
        "tile/0/../000",
        "tile/8/0/000",
    ] {
        assert!(path.parse::<Resource>().is_err(), "{path:?}");
    }
}

#[test]
fn resources_are_served_as_the_specification_says() {
    assert_eq!(
        Resource::Checkpoint.content_type(),
        "text/plain; charset=utf-8"
    );
    assert!(!Resource::Checkpoint.is_immutable());
    let tile: Resource = "tile/0/000".parse().unwrap();
    assert_eq!(tile.content_type(), "application/octet-stream");
    assert!(tile.is_immutable());
}

#[test]
fn a_tree_has_the_tiles_that_the_specification_counts() {
    // C2SP tlog-tiles, Partial Tiles: a tree of 70,000, and one of 256.
    let mut found: BTreeMap<(u8, u16), usize> = BTreeMap::new();
    for id in tiles_for(0, 70_000) {
        *found.entry((id.level(), id.width())).or_default() += 1;
    }
    let known = [
        ((0, 256), 273),
        ((0, 112), 1),
        ((1, 256), 1),
        ((1, 17), 1),
        ((2, 1), 1),
    ];
    assert_eq!(found, BTreeMap::from(known));
    let paths: Vec<_> = tiles_for(0, 256)
        .map(|id| Resource::Tile(id).to_string())
        .collect();
    assert_eq!(paths, ["tile/0/000", "tile/1/000.p/1"]);
    assert_eq!(bundles_for(0, 256).count(), 1);
}

#[test]
fn a_log_that_does_not_grow_writes_nothing() {
    for size in [0, 1, 255, 256, 257, 65_536, MAX_SIZE] {
        assert_eq!(tiles_for(size, size).next(), None);
        assert_eq!(bundles_for(size, size).next(), None);
    }
    assert_eq!(tiles_for(300, 200).next(), None);
}

#[test]
fn the_largest_tree_has_tiles() {
    let written: Vec<_> = tiles_for(MAX_SIZE - 1, MAX_SIZE).collect();
    assert_eq!(written.len(), 1);
    assert_eq!(written[0].width(), 255);
    let top = TileId::in_tree(MAX_TILE_LEVEL, 0, MAX_SIZE).unwrap();
    assert_eq!(top.width(), 127);
    assert!(top.full().is_err());
    assert!(TileId::in_tree(MAX_TILE_LEVEL + 1, 0, MAX_SIZE).is_none());
    for node in root_nodes(MAX_SIZE) {
        assert!(TileId::holding(node, MAX_SIZE).is_some());
    }
    assert!(
        TileId::holding(
            NodeId {
                level: 255,
                index: 0
            },
            MAX_SIZE
        )
        .is_none()
    );
    assert!(
        TileId::holding(
            NodeId {
                level: 64,
                index: 0
            },
            MAX_SIZE
        )
        .is_none()
    );
    let far = NodeId {
        level: 7,
        index: u64::MAX,
    };
    assert!(TileId::holding(far, u64::MAX).is_none());
    assert!(TileId::in_tree(0, u64::MAX, u64::MAX).is_none());
    assert!(TileId::new(0, 0, 0).is_err());
    assert!(TileId::new(0, 0, 257).is_err());
    assert!(TileId::new(0, u64::MAX, 256).is_err());
}

#[test]
fn tiles_of_every_growth_are_the_tiles_of_the_tree() {
    let tree = grown(1_000);
    let mut served = BTreeSet::new();
    let mut size = 0;
    for step in [1, 1, 3, 250, 1, 1, 200, 55, 1, 300, 187] {
        let next = size + step;
        for id in tiles_for(size, next) {
            assert!(served.insert(id), "{id:?} is written twice");
        }
        size = next;
        // Every node of the tree of that size is in a tile that is served.
        for (level, count) in [(0, size), (8, size >> 8), (3, size >> 3)] {
            for index in 0..count {
                let node = NodeId { level, index };
                let id = TileId::holding(node, size).unwrap();
                assert!(served.contains(&id), "{id:?} is missing at {size}");
                assert_eq!(
                    Tile::read(id, &tree).unwrap().node(node).unwrap(),
                    tree.read_nodes(&[node]).unwrap()[0]
                );
            }
        }
    }
    assert_eq!(size, 1_000);
}

#[test]
fn a_file_is_its_hashes() {
    let tree = grown(600);
    let id = tile("tile/0/002.p/88");
    let tile = Tile::read(id, &tree).unwrap();
    let bytes = tile.encode();
    assert_eq!(bytes.len(), 88 * 32);
    assert_eq!(bytes[..32], *leaf_hash(&leaf(512)).as_bytes());
    assert_eq!(Tile::decode(id, &bytes), Ok(tile));
    for length in [0, 1, 87 * 32, 88 * 32 - 1] {
        assert!(Tile::decode(id, &bytes[..length]).is_err());
    }
    let longer = [bytes.as_slice(), &[0; 32]].concat();
    assert!(Tile::decode(id, &longer).is_err());
}

#[test]
fn a_tile_has_the_nodes_of_its_place_and_no_others() {
    let tree = grown(600);
    let tile = Tile::read(tile("tile/0/001"), &tree).unwrap();
    let known = |level, index| {
        let node = NodeId { level, index };
        (tile.node(node), tree.read_nodes(&[node]).unwrap()[0])
    };
    for (level, index) in [(0, 256), (0, 511), (1, 128), (7, 3), (3, 40)] {
        let (found, there) = known(level, index);
        assert_eq!(found, Some(there), "{level} {index}");
    }
    for (level, index) in [(0, 255), (0, 512), (1, 127), (7, 1), (8, 1), (8, 0)] {
        assert_eq!(known(level, index).0, None, "{level} {index}");
    }
}

#[test]
fn a_tile_is_not_read_from_what_is_not_there() {
    let refused = Tile::read(tile("tile/0/000"), &grown(255));
    assert!(matches!(refused, Err(StoredTileError::Source { .. })));
    struct Liar;
    impl NodeSource for Liar {
        type Error = ();
        fn read_nodes(&self, _: &[NodeId]) -> Result<Vec<Hash>, ()> {
            Ok(vec![leaf_hash(b"")])
        }
    }
    let refused = Tile::read(tile("tile/0/000.p/2"), &Liar);
    assert_eq!(
        refused,
        Err(StoredTileError::Miscounted {
            asked: 2,
            answered: 1
        })
    );
}

#[test]
fn bundles_are_entries_after_their_lengths() {
    let id = BundleId::new(0, 3).unwrap();
    let bytes = encode_bundle(&["", "ab", "c"]).unwrap();
    assert_eq!(bytes, b"\0\0\0\x02ab\0\x01c");
    let entries = decode_bundle(id, &bytes).unwrap();
    assert_eq!(entries, [b"".as_slice(), b"ab", b"c"]);
    for wrong in [
        b"".as_slice(),
        b"\0",
        b"\0\0\0\x02a",
        b"\0\0\0\x02ab\0",
        b"\0\0\0\x02ab",
        b"\0\0\0\x02ab\0\x01c\0",
        b"\0\0\0\x02ab\0\x01c\0\0",
        b"\0\0\0\x02ab\0\x02c",
    ] {
        assert!(decode_bundle(id, wrong).is_err(), "{wrong:?}");
    }
    assert!(encode_bundle::<&[u8]>(&[]).is_err());
    assert!(encode_bundle(&vec![""; 257]).is_err());
    let longest = vec![7; 65_535];
    let bytes = encode_bundle(&[&longest]).unwrap();
    let one = BundleId::new(9, 1).unwrap();
    assert_eq!(decode_bundle(one, &bytes).unwrap(), [longest.as_slice()]);
    assert!(encode_bundle(&[vec![7; 65_536]]).is_err());
    assert!(BundleId::of(tile("tile/1/000")).is_none());
    assert_eq!(BundleId::of(one.tile()), Some(one));
}

#[test]
fn entries_hash_to_their_tile() {
    let tree = grown(300);
    for id in bundles_for(0, 300) {
        let start = id.index() as usize * usize::from(TILE_WIDTH);
        let entries: Vec<_> = (start..start + usize::from(id.width())).map(leaf).collect();
        let bytes = encode_bundle(&entries).unwrap();
        let read = decode_bundle(id, &bytes).unwrap();
        let hashes: Vec<_> = read.iter().map(|entry| leaf_hash(entry)).collect();
        assert_eq!(Tile::read(id.tile(), &tree).unwrap().hashes(), hashes);
    }
}

#[test]
fn proofs_over_a_large_tree_are_those_of_the_tree() {
    let tree = grown(LARGE);
    let size = LARGE as u64;
    let tiles = reader(&tree, tree.head());
    for index in [0, 1, 255, 256, 65_535, 65_536, 69_887, 69_888, size - 1] {
        let proof = inclusion_proof(&tiles, index, size).unwrap();
        assert_eq!(proof, inclusion_proof(&tree, index, size).unwrap());
        let leaf = leaf_hash(&leaf(index as usize));
        verify_inclusion(leaf, index, &tree.head(), &proof).unwrap();
    }
    for old in [
        0,
        1,
        2,
        255,
        256,
        257,
        65_535,
        65_536,
        65_537,
        size - 1,
        size,
    ] {
        let proof = consistency_proof(&tiles, old, size).unwrap();
        assert_eq!(root_at(&tiles, old).unwrap(), head(&tree, old).root);
        verify_consistency(&head(&tree, old), &tree.head(), &proof).unwrap();
    }
}

#[test]
fn few_nodes_are_read_for_a_proof() {
    // A tree of 2^63 - 1 leaves, of which only the asked nodes exist.
    struct Counting(RefCell<Vec<usize>>);
    impl NodeSource for Counting {
        type Error = ();
        fn read_nodes(&self, ids: &[NodeId]) -> Result<Vec<Hash>, ()> {
            self.0.borrow_mut().push(ids.len());
            Ok(vec![leaf_hash(b""); ids.len()])
        }
    }
    let source = Counting(RefCell::default());
    for index in [0, 1, MAX_SIZE / 2, MAX_SIZE - 1] {
        inclusion_proof(&source, index, MAX_SIZE).unwrap();
        consistency_proof(&source, index, MAX_SIZE).unwrap();
        root_at(&source, index).unwrap();
    }
    let reads = source.0.into_inner();
    assert!(reads.len() <= 12, "one question each: {reads:?}");
    assert!(reads.iter().all(|nodes| *nodes <= 126), "{reads:?}");
    assert_eq!(
        inclusion_nodes(1, MAX_SIZE).map(|nodes| nodes.len()),
        Some(124)
    );
    assert_eq!(inclusion_nodes(5, 5), None);
    assert_eq!(consistency_nodes(6, 5), None);
    assert_eq!(
        root_at(&grown(1), MAX_SIZE + 1),
        Err(ProveError::OutsideTree {
            index: MAX_SIZE,
            size: MAX_SIZE + 1
        })
    );
}

#[test]
fn each_tile_is_fetched_once() {
    let tree = grown(LARGE);
    let nodes: Vec<_> = (0..2_000).map(|index| NodeId { level: 0, index }).collect();
    let plan = TilePlan::new(tree.head(), &nodes).unwrap();
    let distinct: BTreeSet<_> = plan.tiles().iter().collect();
    assert_eq!(distinct.len(), plan.tiles().len());
    // Three at the right edge, one of level 1, eight of leaves.
    assert_eq!(plan.tiles().len(), 12);
}

#[test]
fn an_empty_tree_has_no_tiles() {
    let empty = MemoryTree::new().head();
    let plan = TilePlan::new(empty, &[]).unwrap();
    assert!(plan.tiles().is_empty());
    assert!(plan.authenticate::<&[u8]>(&[]).is_ok());
    let other = TreeHead {
        root: leaf_hash(b""),
        ..empty
    };
    let plan = TilePlan::new(other, &[]).unwrap();
    let refused = plan.authenticate::<&[u8]>(&[]);
    assert_eq!(refused, Err(NotAuthenticated::WrongRoot));
}

#[test]
fn what_is_outside_the_tree_is_not_planned_for() {
    let head = grown(300).head();
    for node in [
        NodeId {
            level: 0,
            index: 300,
        },
        NodeId { level: 8, index: 1 },
        NodeId { level: 9, index: 0 },
        NodeId {
            level: 200,
            index: 0,
        },
        NodeId {
            level: 0,
            index: u64::MAX,
        },
    ] {
        assert!(TilePlan::new(head, &[node]).is_err(), "{node:?}");
    }
    let refused = inclusion_proof(&reader(&grown(300), head), 0, 301);
    assert!(matches!(
        refused,
        Err(ProveError::Source {
            source: TileReadError::OutsideTree { .. }
        })
    ));
}

#[test]
fn errors_of_the_fetcher_pass_through() {
    let failing = |_: &[TileId]| Err::<Vec<Vec<u8>>, _>("offline");
    let refused = root_at(&TileReader::new(grown(3).head(), failing), 3);
    assert_eq!(
        refused,
        Err(ProveError::Source {
            source: TileReadError::Fetch { source: "offline" }
        })
    );
}

#[test]
fn wrong_numbers_and_lengths_of_files_are_refused() {
    let tree = grown(300);
    let plan = TilePlan::new(tree.head(), &[]).unwrap();
    let files: Vec<_> = plan.tiles().iter().map(|id| file(&tree, *id)).collect();
    assert!(plan.clone().authenticate(&files).is_ok());
    assert!(matches!(
        plan.clone().authenticate(&files[1..]),
        Err(NotAuthenticated::Miscounted { .. })
    ));
    let mut long = files.clone();
    long[0].push(0);
    assert!(matches!(
        plan.authenticate(&long),
        Err(NotAuthenticated::Length { .. })
    ));
}

#[test]
fn tiles_of_another_tree_are_not_believed() {
    let (tree, size) = (grown(600), 600);
    let mut forged = MemoryTree::new();
    for index in 0..600 {
        let entry = if index == 100 { leaf(101) } else { leaf(index) };
        forged.append(leaf_hash(&entry)).unwrap();
    }
    let node = NodeId {
        level: 0,
        index: 100,
    };
    // All the tiles are forged.
    let plan = TilePlan::new(tree.head(), &[node]).unwrap();
    let files: Vec<_> = plan.tiles().iter().map(|id| file(&forged, *id)).collect();
    let refused = plan.clone().authenticate(&files);
    assert_eq!(refused, Err(NotAuthenticated::WrongRoot));
    // Only the tile that is asked for.
    let files: Vec<_> = plan
        .tiles()
        .iter()
        .map(|id| file(if id.is_full() { &forged } else { &tree }, *id))
        .collect();
    let id = TileId::holding(node, size).unwrap();
    let refused = plan.authenticate(&files);
    assert_eq!(refused, Err(NotAuthenticated::WrongTile { id }));
}

proptest! {
    #[test]
    fn a_path_survives_being_written(level in 0..=MAX_TILE_LEVEL, index in any::<u64>(), width in 1..=TILE_WIDTH) {
        let index = index >> (9 + 8 * u32::from(level)).min(63);
        if let Ok(id) = TileId::new(level, index, width) {
            let resource = Resource::Tile(id);
            prop_assert_eq!(resource.to_string().parse(), Ok(resource));
        }
        let resource = Resource::Entries(BundleId::new(index, width).unwrap());
        prop_assert_eq!(resource.to_string().parse(), Ok(resource));
    }

    #[test]
    fn what_is_read_is_written_again(path in "tile/(entries|[0-9]{1,2})/(x?[0-9]{3}/){0,3}[0-9]{3}(.p/[0-9]{1,3})?") {
        if let Ok(resource) = path.parse::<Resource>() {
            prop_assert_eq!(resource.to_string(), path);
        }
    }

    #[test]
    fn bundles_survive_being_written(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..20)) {
        let id = BundleId::new(0, entries.len() as u16).unwrap();
        let bytes = encode_bundle(&entries).unwrap();
        prop_assert_eq!(decode_bundle(id, &bytes).unwrap(), entries);
    }

    #[test]
    fn no_flipped_bit_of_a_tile_is_believed(
        size in 1..SMALL,
        asked in any::<prop::sample::Index>(),
        tile in any::<prop::sample::Index>(),
        byte in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let node = NodeId { level: 0, index: asked.index(size) as u64 };
        let plan = TilePlan::new(head(&TREE, size as u64), &[node]).unwrap();
        let mut files: Vec<_> = plan.tiles().iter().map(|id| file(&TREE, *id)).collect();
        let tiles = plan.clone().authenticate(&files).unwrap();
        prop_assert_eq!(tiles.read_nodes(&[node]), Ok(vec![leaf_hash(&leaf(node.index as usize))]));
        let flipped = tile.index(files.len());
        let byte = byte.index(files[flipped].len());
        files[flipped][byte] ^= 1_u8 << bit;
        prop_assert!(plan.authenticate(&files).is_err());
    }

    #[test]
    fn every_proof_over_tiles_is_the_trees(size in 1..SMALL, index in any::<prop::sample::Index>(), old in any::<prop::sample::Index>()) {
        let (index, old, size) = (index.index(size) as u64, old.index(size + 1) as u64, size as u64);
        let tiles = reader(&TREE, head(&TREE, size));
        let proof = inclusion_proof(&tiles, index, size).unwrap();
        prop_assert_eq!(proof, inclusion_proof(&*TREE, index, size).unwrap());
        let proof = consistency_proof(&tiles, old, size).unwrap();
        prop_assert_eq!(proof, consistency_proof(&*TREE, old, size).unwrap());
    }
}
