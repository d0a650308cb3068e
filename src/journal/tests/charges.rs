//! The files of charges: what a state closed is read from them and nothing else is.

use std::sync::Arc;

use proptest::prelude::*;
use strongroom_journal::{
    charges::{ChargeFileError, ChargeFiles, OpenCharges},
    segment::LogId,
};
use strongroom_policy::{
    ChargeBlocks as _, ChargeState, ClosedBlock, Group, KeptBlocks, Policy, State,
};
use tlog::CompactTree;

use crate::{
    fixture::{Ask, SECOND, Signer, btc, grouped, limit, policy},
    machine::Machine,
    memory_disk::{Image, MemoryDisk},
};

const LOG: LogId = LogId::new([7; 32]);
/// Two files and a part of a third.
const BLOCKS: u64 = 2 * 8_192 + 100;

/// A signer that paid so often, now and then in place of an earlier payment.
fn paid(times: u32) -> Signer {
    let limits = vec![
        limit("btc", btc(), 1 << 40, 40 * SECOND),
        grouped(
            limit("to", btc(), 1 << 40, 100 * SECOND),
            &[Group::Destination],
        ),
    ];
    let mut signer = Signer::new(Policy { limits, ..policy() });
    let mut last = None;
    for n in 0..times {
        let replaced = last.filter(|_| n % 7 == 6);
        let input = if replaced.is_some() { n - 1 } else { n };
        let fee = if replaced.is_some() { 9_000 } else { 1_000 };
        let ask = Ask::utxo(&format!("r{n}"), [input], fee).pay(&format!("i{n}"), 2, (n % 5) as u8);
        last = Some(signer.charged(&ask.replaces(replaced)));
        signer.pass(SECOND);
    }
    signer
}

fn files(disk: &MemoryDisk) -> ChargeFiles {
    ChargeFiles::create(Arc::new(disk.clone()), LOG).unwrap()
}

fn open(disk: &MemoryDisk, state: &ChargeState) -> Result<OpenCharges, ChargeFileError> {
    ChargeFiles::open(Arc::new(disk.clone()), LOG, state)
}

/// The state from its parts, with the blocks of a disk.
fn restored(disk: &MemoryDisk, state: &State) -> Result<State, String> {
    let charges = state.charge_state();
    let opened = open(disk, &charges).map_err(|error| error.to_string())?;
    let blocks = KeptBlocks {
        summaries: opened.summaries,
        reader: opened.files.reader(),
    };
    let restored = State::restore(state.hot(), state.rows(), charges, blocks);
    let mut restored = restored.map_err(|error| error.to_string())?;
    let policy = Arc::clone(state.policy().unwrap());
    restored
        .activate(policy)
        .map_err(|error| error.to_string())?;
    Ok(restored)
}

#[test]
fn what_was_closed_is_read_again_and_counted_no_second_time() {
    let mut signer = paid(150);
    let whole = signer.state.clone();
    let disk = MemoryDisk::default();
    let mut files = files(&disk);
    files.take(&mut signer.state).unwrap();
    assert_eq!(
        (files.blocks(), signer.state.closed_blocks().count()),
        (4, 0)
    );
    for block in whole.closed_blocks() {
        assert_eq!(files.reader().read(block.number).unwrap(), block.charges);
    }
    assert!(files.reader().read(4).is_err());
    let mut restored = restored(&disk, &whole).unwrap();
    assert_eq!(restored.charge_state(), whole.charge_state());
    for state in [&signer.state, &restored] {
        assert_eq!(state.room(signer.now), whole.room(signer.now));
    }
    // And counted anew from what is read.
    restored
        .activate(Arc::clone(whole.policy().unwrap()))
        .unwrap();
    assert_eq!(restored.room(signer.now), whole.room(signer.now));
}

#[test]
fn blocks_behind_the_state_are_as_good_as_not_there() {
    let disk = MemoryDisk::default();
    let mut files = files(&disk);
    let mut signer = paid(100);
    let state = signer.state.clone();
    files.take(&mut signer.state).unwrap();
    for n in 100..200 {
        let ask = Ask::utxo(&format!("r{n}"), [n], 1_000).pay(&format!("i{n}"), 1, 1);
        signer.charged(&ask);
    }
    files.take(&mut signer.state).unwrap();
    assert_eq!(files.blocks(), 6);
    let opened = open(&disk, &state.charge_state()).unwrap();
    assert_eq!((opened.files.blocks(), opened.summaries.len()), (3, 3));
    assert!(opened.files.reader().read(3).is_err());
    // Others take their places.
    let mut files = opened.files;
    let block = ClosedBlock {
        number: 3,
        summary: b"another".as_slice().into(),
        charges: b"block".as_slice().into(),
    };
    files.append(&block).unwrap();
    assert_eq!(&*files.reader().read(3).unwrap(), b"block");
    let order = files.append(&block).unwrap_err();
    assert!(matches!(
        order,
        ChargeFileError::Order {
            expected: 4,
            found: 3
        }
    ));
}

/// Every bit that is wrong is found when the files are opened or when the block is read.
#[test]
fn no_flipped_bit_is_believed() {
    let signer = paid(70);
    let disk = MemoryDisk::default();
    files(&disk).take(&mut signer.state.clone()).unwrap();
    let image: Image = disk.image();
    let charges = signer.state.charge_state();
    let found = |image: &Image| -> bool {
        let Ok(opened) = open(&MemoryDisk::from_image(image), &charges) else {
            return true;
        };
        let reader = opened.files.reader();
        signer.state.closed_blocks().any(|block| {
            let read = reader.read(block.number);
            assert!(read.as_ref().is_ok_and(|read| *read == block.charges) || read.is_err());
            read.is_err()
        })
    };
    assert!(!found(&image));
    assert_eq!(image.len(), 2);
    for (name, bytes) in &image {
        for byte in 0..bytes.len() {
            let mut image = image.clone();
            image.get_mut(name).unwrap()[byte] ^= 1 << (byte % 8);
            assert!(found(&image), "byte {byte} of {name}");
        }
        for end in [0, 10, bytes.len() / 2, bytes.len() - 1] {
            let mut image = image.clone();
            image.get_mut(name).unwrap().truncate(end);
            assert!(found(&image), "{end} bytes of {name}");
        }
        let mut image = image.clone();
        image.remove(name);
        assert!(found(&image), "without {name}");
    }
}

#[test]
fn the_files_of_another_log_are_damaged() {
    let mut signer = paid(70);
    let charges = signer.state.charge_state();
    let disk = MemoryDisk::default();
    let other = Arc::new(disk.clone());
    let mut files = ChargeFiles::create(other, LogId::new([8; 32])).unwrap();
    files.take(&mut signer.state).unwrap();
    let refused = open(&disk, &charges).map(drop).unwrap_err();
    assert!(matches!(refused, ChargeFileError::Damaged { .. }));
    // And a new series removes what was there.
    let before = disk.image().len();
    drop(self::files(&disk));
    assert_eq!((before, disk.image().len()), (2, 0));
}

/// What a decision hangs on and cannot be read, is not taken for nothing: the journal stops.
#[test]
fn a_block_that_is_damaged_while_it_is_needed_stops_the_journal() {
    let machine = Machine::new();
    let running = machine.start();
    let pay = |n: u32| {
        // Time passes, so that the first charges of the window are known without the disk.
        machine.clock.pass(1);
        running.order(&Ask::utxo(&format!("r{n}"), [n], 10).pay(&format!("i{n}"), 1, 1))
    };
    let orders: Vec<_> = (0..80).map(pay).collect();
    let of_blocks = |name: &str| name.starts_with("charges.") && !name.ends_with(".rows");
    let mut image = machine.disk.image();
    image.retain(|name, _| of_blocks(name));
    assert_eq!(image.len(), 1);
    for byte in image.values_mut().flatten() {
        *byte ^= 1;
    }
    machine.disk.overwrite(&image);
    // It would replace the first payment, whose charge stands in the first block.
    let first = orders[0].attempt;
    let again = Ask::utxo("again", [0], 1_000).pay("again", 1, 1);
    let stopped = running.sign(&again.replaces([first])).unwrap_err();
    assert!(
        stopped.reason.contains("block 0 of the charges"),
        "{stopped:?}"
    );
    assert!(running.journal.stopped().is_some());
    running.crash();
    // The log is whole, and the blocks are made again from it.
    let running = machine.open().unwrap();
    let again = Ask::utxo("anew", [0], 1_000).pay("anew", 1, 1);
    let _order = running.order(&again.replaces([first]));
}

/// A block of no charges, which only files take for one.
fn made_up(number: u64) -> ClosedBlock {
    ClosedBlock {
        number,
        summary: number.to_be_bytes().as_slice().into(),
        charges: format!("block {number}").into_bytes().into(),
    }
}

/// What the state would be of that many such blocks, of which those before `base` are not needed.
fn state_of(blocks: u64, base: u64) -> ChargeState {
    let mut tree = CompactTree::new();
    for number in 0..blocks {
        tree.append(made_up(number).leaf()).unwrap();
    }
    let peaks = tree.peaks();
    let empty = State::new().charge_state().encode();
    let mut bytes = vec![1];
    bytes.extend(blocks.to_be_bytes());
    bytes.extend((peaks.len() as u32).to_be_bytes());
    bytes.extend(peaks.iter().flat_map(|peak| *peak.as_bytes()));
    bytes.extend(base.to_be_bytes());
    // Behind the version, no blocks, no peaks and no base.
    bytes.extend(&empty[1 + 8 + 4 + 8..]);
    ChargeState::decode(&bytes).unwrap()
}

#[test]
fn many_files_are_one_series_and_go_when_nobody_needs_them() {
    let disk = MemoryDisk::default();
    let mut files = files(&disk);
    for number in 0..BLOCKS {
        files.append(&made_up(number)).unwrap();
    }
    files.reader().sync().unwrap();
    assert_eq!(disk.image().len(), 6);
    let reads = |files: &ChargeFiles, number: u64| {
        let read = files.reader().read(number).ok()?;
        Some(*read == *made_up(number).charges)
    };
    for base in [0, 1, 8_191, 8_192, 8_193, 2 * 8_192, BLOCKS - 1, BLOCKS] {
        let opened = open(&disk, &state_of(BLOCKS, base)).unwrap();
        assert_eq!(opened.summaries.len() as u64, BLOCKS - base);
        for number in [base, 8_192 * 2 - 1, BLOCKS - 1] {
            if number >= base && number < BLOCKS {
                assert_eq!(reads(&opened.files, number), Some(true));
            }
        }
    }
    // At the end of a file as well.
    let whole = open(&disk, &state_of(2 * 8_192, 8_192)).unwrap();
    assert_eq!(whole.summaries.len(), 8_192);
    files.remove_before(8_191).unwrap();
    assert_eq!((disk.image().len(), reads(&files, 0)), (6, Some(true)));
    files.remove_before(8_192).unwrap();
    assert_eq!((disk.image().len(), reads(&files, 8_191)), (4, None));
    assert_eq!(reads(&files, 8_192), Some(true));
    assert!(open(&disk, &state_of(BLOCKS, 8_192)).is_ok());
    let gone = open(&disk, &state_of(BLOCKS, 8_191)).map(drop);
    assert!(matches!(gone, Err(ChargeFileError::Disk(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// However often blocks are taken, and what is lost with the power: synced blocks are there.
    #[test]
    fn what_was_synced_survives(takes in prop::collection::vec(1_u32..60, 1..6)) {
        let disk = MemoryDisk::default();
        let mut files = files(&disk);
        let mut signer = paid(1);
        let mut synced = signer.state.clone();
        for (round, times) in (0_u32..).zip(takes) {
            for n in 0..times {
                let input = 1_000 * (round + 1) + n;
                let ask = Ask::utxo(&format!("s{input}"), [input], 1_000);
                signer.charged(&ask.pay(&format!("i{input}"), 1, 1));
            }
            files.take(&mut signer.state).unwrap();
            if round % 2 == 0 {
                files.reader().sync().unwrap();
                synced = signer.state.clone();
            }
        }
        let durable = MemoryDisk::from_image(&disk.after_power_loss(|| 1));
        let restored = restored(&durable, &synced).unwrap();
        prop_assert_eq!(restored.charge_state(), synced.charge_state());
        prop_assert_eq!(restored.room(signer.now), synced.room(signer.now));
    }
}
