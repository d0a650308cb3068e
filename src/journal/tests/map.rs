//! The Merkle map of immutable runs.

use std::{collections::BTreeMap, error::Error as _, sync::Arc};

use proptest::prelude::*;
use strongroom_journal::{
    map::{MAX_VALUE_BYTES, Map, MapError, MapHead, MapKey},
    segment::LogId,
};

use crate::memory_disk::{Image, MemoryDisk};

const LOG: LogId = LogId::new([7; 32]);

type Model = BTreeMap<MapKey, Vec<u8>>;
type Batch = Vec<(MapKey, Vec<u8>)>;

fn key(number: u64) -> MapKey {
    MapKey::of("number", &number.to_be_bytes())
}

fn batch(numbers: impl IntoIterator<Item = (u64, Vec<u8>)>) -> Batch {
    let model: Model = numbers
        .into_iter()
        .map(|(number, value)| (key(number), value))
        .collect();
    model.into_iter().collect()
}

/// Values that are long enough for several blocks.
fn batches(count: u64) -> Vec<Batch> {
    let value =
        |number: u64, round: u64| vec![(number ^ round) as u8; 300 + (number % 50) as usize];
    let numbers = |round: u64| (round * 40..round * 40 + 90).map(move |n| (n, value(n, round)));
    (0..count).map(|round| batch(numbers(round))).collect()
}

fn empty(disk: &MemoryDisk) -> Map {
    Map::new(Arc::new(disk.clone()), LOG)
}

fn open(disk: &MemoryDisk, head: &MapHead) -> Result<Map, MapError> {
    Map::open(Arc::new(disk.clone()), LOG, head)
}

fn built(disk: &MemoryDisk, batches: &[Batch]) -> (Map, Model) {
    let (mut map, mut model) = (empty(disk), Model::new());
    for batch in batches {
        map = map.extend(batch).unwrap();
        model.extend(batch.iter().cloned());
    }
    (map, model)
}

fn assert_is(map: &Map, model: &Model) {
    for (key, value) in model {
        assert_eq!(map.get(key).unwrap().as_ref(), Some(value));
    }
    for number in 1_000_000..1_000_200 {
        assert_eq!(map.get(&key(number)).unwrap(), None);
    }
}

#[test]
fn without_batches_there_is_nothing() {
    let map = empty(&MemoryDisk::default());
    assert_eq!(map.get(&key(1)).unwrap(), None);
    assert_eq!(map.head(), MapHead::default());
    assert_eq!(map.head().batches(), 0);
}

#[test]
fn the_newest_value_counts_and_older_maps_stay_as_they_were() {
    let disk = MemoryDisk::default();
    let one = empty(&disk).extend(&batch([(1, b"old".to_vec())])).unwrap();
    let two = one.extend(&batch([(1, b"new".to_vec())])).unwrap();
    assert_eq!(one.get(&key(1)).unwrap().unwrap(), b"old");
    assert_eq!(two.get(&key(1)).unwrap().unwrap(), b"new");
}

#[test]
fn runs_are_the_ones_of_the_number_of_batches() {
    let disk = MemoryDisk::default();
    let all = batches(13);
    for count in 0..=all.len() {
        let (map, model) = built(&disk, &all[..count]);
        let head = map.head();
        assert_eq!(head.runs.len(), count.count_ones() as usize);
        assert_eq!(head.batches(), count as u64);
        assert_is(&map, &model);
        let again = open(&disk, &head).unwrap();
        assert_eq!(again.head(), head);
        assert_is(&again, &model);
    }
}

#[test]
fn the_head_follows_from_the_batches_and_binds_each_of_them() {
    let all = batches(6);
    let head = |batches: &[Batch]| built(&MemoryDisk::default(), batches).0.head();
    assert_eq!(head(&all), head(&all));
    let mut roots = std::collections::BTreeSet::from([head(&all).root()]);
    for changed in 0..all.len() {
        let mut other = all.clone();
        // One that no later batch replaces.
        let lasting = key(changed as u64 * 40 + 5);
        let place = other[changed].binary_search_by_key(&lasting, |(key, _)| *key);
        other[changed][place.unwrap()].1[7] ^= 1;
        assert!(roots.insert(head(&other).root()), "batch {changed}");
    }
    let mut swapped = all;
    swapped.swap(1, 4);
    assert!(roots.insert(head(&swapped).root()));
}

#[test]
fn files_of_merged_runs_are_removed_and_no_others() {
    let disk = MemoryDisk::from_image(&Image::from([("anchor".to_owned(), vec![1])]));
    let (map, model) = built(&disk, &batches(5));
    assert_eq!(disk.image().len(), 6);
    map.remove_others(&Default::default()).unwrap();
    let names: Vec<String> = disk.image().into_keys().collect();
    let ours = [
        "anchor",
        "map.000000000000-000000000004",
        "map.000000000004-000000000005",
    ];
    assert_eq!(names, ours);
    assert_is(&open(&disk, &map.head()).unwrap(), &model);
}

#[test]
fn what_is_no_batch_is_refused() {
    let map = empty(&MemoryDisk::default());
    let mut turned = batch([(1, vec![1]), (2, vec![2])]);
    turned.reverse();
    let twice = vec![(key(1), vec![1]), (key(1), vec![2])];
    let long = vec![(key(1), vec![0; MAX_VALUE_BYTES + 1])];
    for malformed in [turned, twice, long] {
        let refused = map.extend(&malformed);
        assert!(
            matches!(refused, Err(MapError::Batch { .. })),
            "{refused:?}"
        );
    }
    let longest = map.extend(&[(key(1), vec![9; MAX_VALUE_BYTES])]).unwrap();
    assert_eq!(
        longest.get(&key(1)).unwrap().unwrap().len(),
        MAX_VALUE_BYTES
    );
}

#[test]
fn a_head_that_no_map_has_is_refused() {
    let disk = MemoryDisk::default();
    let head = built(&disk, &batches(7)).0.head();
    assert_eq!(head.runs.len(), 3);
    for without in 0..2 {
        let mut other = head.clone();
        other.runs.remove(without);
        assert!(matches!(open(&disk, &other), Err(MapError::Head)));
    }
    let mut twice = head.clone();
    twice.runs.push(head.runs[2]);
    assert!(matches!(open(&disk, &twice), Err(MapError::Head)));
}

#[test]
fn another_head_does_not_open() {
    let disk = MemoryDisk::default();
    let head = built(&disk, &batches(1)).0.head();
    let mut others = vec![head.clone(); 3];
    others[0].runs[0].rows = built(&MemoryDisk::default(), &batches(2)[1..])
        .0
        .head()
        .runs[0]
        .rows;
    others[1].runs[0].filter = others[0].runs[0].rows;
    others[2].runs[0].entries += 1;
    for other in others {
        let refused = open(&disk, &other);
        assert!(
            matches!(refused, Err(MapError::Damaged { .. })),
            "{refused:?}"
        );
    }
    let foreign = Map::open(Arc::new(disk.clone()), LogId::new([8; 32]), &head);
    assert!(matches!(foreign, Err(MapError::Damaged { .. })));
    disk.overwrite(&Image::new());
    let elsewhere = open(&MemoryDisk::default(), &head).unwrap_err();
    assert!(matches!(elsewhere, MapError::Disk(_)));
    assert!(elsewhere.source().is_some());
}

/// A flipped bit is an error and never an absence, wherever it is.
#[test]
fn no_flipped_bit_makes_an_absence() {
    let disk = MemoryDisk::default();
    let (map, model) = built(&disk, &batches(3)[2..]);
    let head = map.head();
    let image = disk.image();
    let (name, bytes) = image.iter().next().unwrap();
    // A prime step: every part of the file is met, at every offset within its fields.
    for at in (0..bytes.len())
        .step_by(97)
        .chain(bytes.len() - 200..bytes.len())
    {
        let mut damaged = image.clone();
        damaged.get_mut(name).unwrap()[at] ^= 1 << (at % 8);
        let disk = MemoryDisk::from_image(&damaged);
        let Ok(map) = open(&disk, &head) else {
            continue;
        };
        let mut errors = 0;
        for (key, value) in &model {
            match map.get(key) {
                Ok(found) => assert_eq!(found.as_ref(), Some(value), "byte {at}"),
                Err(error) => {
                    assert!(matches!(error, MapError::Damaged { .. }));
                    errors += 1;
                }
            }
        }
        assert!(errors > 0, "byte {at} is of no use");
        assert!(map.extend(&[]).is_err(), "a damaged run is not merged");
    }
}

/// Whenever the power goes while a batch is added, the map before it is still there whole, and what
/// the head after it names is there as soon as adding it returned.
#[test]
fn power_loss_at_any_call_leaves_the_map_before() {
    let all = batches(4);
    let mut lost = 0;
    for calls in 0.. {
        let disk = MemoryDisk::default();
        let (map, mut model) = built(&disk, &all[..3]);
        disk.lose_power_after(calls);
        let extended = map.extend(&all[3]);
        let mut seed = calls as u64;
        let chance = move || {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            seed >> 33
        };
        let after = MemoryDisk::from_image(&disk.after_power_loss(chance));
        assert_is(&open(&after, &map.head()).unwrap(), &model);
        let Ok(extended) = extended else {
            lost += 1;
            continue;
        };
        model.extend(all[3].iter().cloned());
        assert_is(&open(&after, &extended.head()).unwrap(), &model);
        break;
    }
    assert!(lost > 5, "{lost} calls");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn it_is_as_a_map_in_memory(
        all in prop::collection::vec(
            prop::collection::btree_map(0_u64..300, prop::collection::vec(any::<u8>(), 0..200), 0..60),
            0..12,
        ),
    ) {
        let disk = MemoryDisk::default();
        let all: Vec<Batch> = all.into_iter().map(batch).collect();
        let (map, model) = built(&disk, &all);
        map.remove_others(&Default::default()).unwrap();
        let map = open(&disk, &map.head()).unwrap();
        for number in 0..310 {
            prop_assert_eq!(map.get(&key(number)).unwrap(), model.get(&key(number)).cloned());
        }
    }
}
