//! What is not opened, and why: each by its own name.

use std::{collections::BTreeMap, error::Error, sync::Arc};

use policy::{BundleHash, StateError};
use serde_json::{Value, json};
use strongroom_journal::{
    BundleStore, Bundles, Clock, FoldError, OpenJournalError, create, open,
    segment::{LogId, OpenError, OpenOptions, Record, Salt, Sealed, SegmentLog},
};

use crate::{
    fixture::name,
    machine::{Machine, capped, records},
    memory_disk::MemoryDisk,
    segment::without_room,
};

fn opening(machine: &Machine) -> OpenJournalError {
    machine.open().map(drop).unwrap_err()
}

/// An error with all its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[test]
fn a_folder_without_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::blank();
    let absent = folder.path().join("absent");
    for path in [folder.path(), &absent] {
        let clock: Arc<dyn Clock> = Arc::clone(&machine.clock) as _;
        let error = open(path, &*machine.shelf, clock, "1")
            .map(drop)
            .unwrap_err();
        assert!(matches!(error, OpenJournalError::Missing { .. }));
        assert!(chain(&error).contains("--bootstrap"), "{}", chain(&error));
    }
    let error = create(&absent, name("main"), &*machine.clock).unwrap_err();
    assert!(matches!(error, OpenJournalError::Folder(_)), "{error:?}");
    let error = opening(&machine);
    let source = Sealed::Absent;
    assert!(chain(&error).contains(&source.to_string()), "{error:?}");
}

#[test]
fn a_folder_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::blank();
    let clock = || -> Arc<dyn Clock> { Arc::clone(&machine.clock) as _ };
    create(folder.path(), name("main"), &*machine.clock).unwrap();
    let first = open(folder.path(), &*machine.shelf, clock(), "1").unwrap();
    let before = std::fs::read(folder.path().join("0000000000.seg")).unwrap();
    for error in [
        open(folder.path(), &*machine.shelf, clock(), "1").map(drop),
        create(folder.path(), name("main"), &*machine.clock),
    ] {
        let error = error.unwrap_err();
        assert!(matches!(error, OpenJournalError::InUse(_)), "{error:?}");
        assert!(chain(&error).contains("in use"), "{}", chain(&error));
    }
    let after = std::fs::read(folder.path().join("0000000000.seg")).unwrap();
    assert!(before == after);
    assert_eq!(first.entries, 1);
    drop(first.journal);
    first.writer.join();
    let second = open(folder.path(), &*machine.shelf, clock(), "1").unwrap();
    assert_eq!(second.entries, 2);
}

#[test]
fn a_journal_is_not_created_twice() {
    let machine = Machine::new();
    let before = machine.disk.image();
    let disk = Box::new(machine.disk.clone());
    let error = strongroom_journal::create_on(disk, name("other"), &*machine.clock).unwrap_err();
    assert!(matches!(error, OpenJournalError::Exists), "{error:?}");
    assert!(before == machine.disk.image());
}

#[test]
fn a_first_start_that_was_cut_off() {
    let machine = Machine::blank();
    let disk = Box::new(machine.disk.clone());
    SegmentLog::create(disk, LogId::new([1; 32]), &OpenOptions::default()).unwrap();
    let error = opening(&machine);
    assert!(matches!(error, OpenJournalError::NeverBegun), "{error:?}");
    let disk = Box::new(machine.disk.clone());
    strongroom_journal::create_on(disk, name("main"), &*machine.clock).unwrap();
    assert_eq!(machine.start().journal.state().fleet(), Some(&name("main")));
}

/// A disk whose journal has one more entry, with this body.
fn with_entry(body: &Value) -> Machine {
    let machine = Machine::new();
    machine.start().crash();
    let disk = Box::new(machine.disk.clone());
    let options = OpenOptions::default();
    let (mut log, _) = SegmentLog::open(disk, &options, |_, _| Ok::<(), FoldError>(())).unwrap();
    let body = serde_json::to_vec(body).unwrap();
    let salt = Salt::new([3; 32]);
    log.append(&[Record { salt, body: &body }], &[]).unwrap();
    machine
}

fn record(entry: Value) -> Value {
    let time = 1_790_000_000_000_u64;
    let time = serde_json::to_value(tx::Interval {
        lo: tx::Time::from_millis(time),
        hi: tx::Time::from_millis(time),
    });
    json!({"v": 1, "time": time.unwrap(), "entry": entry})
}

fn fold_error(body: &Value) -> FoldError {
    match opening(&with_entry(body)) {
        OpenJournalError::Log(OpenError::Fold { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_entry_that_a_later_version_wrote() {
    let stopped = json!({"stopped": {"reason": "none"}});
    let known = record(stopped.clone());
    with_entry(&known).open().unwrap();
    let mut later = known.clone();
    later["v"] = json!(2);
    let error = fold_error(&later);
    assert!(
        matches!(error, FoldError::State(StateError::Version { found: 2 })),
        "{error:?}"
    );
    let mut wider = known;
    wider["more"] = json!(1);
    let unknown = [
        wider,
        record(json!({"stopped": {"reason": "none", "more": 1}})),
        record(json!({"unfrozen": {"scope": "all"}})),
        record(json!({"frozen": {"scope": {"planet": "x"}, "reason": "none"}})),
        record(json!({"stopped": {}})),
        json!([]),
    ];
    for body in unknown {
        let error = fold_error(&body);
        assert!(matches!(error, FoldError::Form(_)), "{body}: {error:?}");
    }
}

#[test]
fn an_entry_that_does_not_follow() {
    let failed = json!({"failed": {"attempt": 3, "reason": "none"}});
    let error = fold_error(&record(failed));
    let expected = StateError::UnknownAttempt {
        attempt: policy::AttemptId(3),
    };
    assert!(matches!(error, FoldError::State(found) if found == expected));
    let genesis = json!({"genesis": {"fleet": "main"}});
    let error = fold_error(&record(genesis));
    assert!(matches!(error, FoldError::State(StateError::Genesis)));
}

#[test]
fn a_bundle_that_is_gone_or_another() {
    let machine = Machine::new();
    machine.start().crash();
    let before = records(&machine.disk);
    let emptied = Machine {
        shelf: Arc::default(),
        disk: machine.disk.clone(),
        ..machine.twin()
    };
    let error = opening(&emptied);
    let text = chain(&error);
    assert!(
        text.contains("the bundle that governed is not there"),
        "{text}"
    );
    assert!(text.contains(&capped().hash.to_string()), "{text}");
    let mut another = capped();
    another.hash = BundleHash([9; 32]);
    emptied.shelf.put(capped().hash, another);
    let text = chain(&opening(&emptied));
    assert!(text.contains("does not govern"), "{text}");
    assert_eq!(
        records(&machine.disk),
        before,
        "a sealed journal is not written to"
    );
    machine.open().unwrap();
}

#[test]
fn a_kept_bundle_whose_files_were_changed() {
    let data = tempfile::tempdir().unwrap();
    let store = BundleStore::of(data.path());
    let mut files: BTreeMap<String, Vec<u8>> =
        BTreeMap::from([("policy.toml".to_owned(), b"[[chain]]\n".to_vec())]);
    let manifest = policy::bundle::Manifest::of(&files, name("main"), 1, 0);
    files.insert("manifest".into(), manifest.to_string().into());
    let hash = manifest.hash();
    let absent = store.load(hash).unwrap_err();
    assert!(absent.reason.contains("cannot be read"), "{absent}");
    store.keep(hash, &files).unwrap();
    let file = data.path().join(format!("bundles/{hash}/policy.toml"));
    std::fs::write(&file, "[[chain]] \n").unwrap();
    let changed = store.load(hash).unwrap_err();
    assert!(
        changed.reason.contains("not that of these files"),
        "{changed}"
    );
    // Kept again, it is what it was.
    store.keep(hash, &files).unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), files["policy.toml"]);
}

#[test]
fn a_start_that_finds_no_room() {
    let machine = Machine::new();
    let machine = Machine {
        disk: MemoryDisk::from_image(&without_room(machine.disk.image())),
        ..machine
    };
    let used = machine.disk.used_bytes();
    machine.disk.set_capacity(Some(used));
    let error = machine.opening().map(drop).unwrap_err();
    let text = chain(&error);
    assert!(matches!(error, OpenJournalError::Store(_)), "{error:?}");
    assert!(text.contains("disk is full"), "{text}");
}
