//! From a durable checkpoint to a signed note, by a key on a device.

use std::{path::Path, sync::Arc};

use journal::{
    BundleStore, CheckpointOrder, CheckpointOutcome, CheckpointWhen, Committed, Journal,
    Registered, Reply, SystemClock,
};
use policy::KeyRegistration;
use tlog::{checkpoint::SignedCheckpoint, note::VerifierKey};

use super::{
    device::{TestDevice, on_each_device},
    softhsm::soon,
};
use crate::{Authorized, KeyAlgorithm, KeyId, KeyPool, KeyPurpose, PoolConfig, SignError};

fn log_key() -> KeyId {
    KeyId {
        purpose: KeyPurpose::Checkpoint,
        name: "log-1".parse().unwrap(),
    }
}

fn ask<T: Send + 'static>(send: impl FnOnce(Reply<T>)) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    send(Reply::new(move |answer| drop(sender.send(answer))));
    receiver.recv().unwrap()
}

fn journal(folder: &Path) -> Journal {
    let clock = Arc::new(SystemClock::new().unwrap());
    journal::create(folder, "main".parse().unwrap(), &*clock).unwrap();
    let bundles = BundleStore::of(folder);
    journal::open(folder, &bundles, clock, "1").unwrap().journal
}

fn register(journal: &Journal, public: &str) {
    let key = KeyRegistration {
        name: log_key().name,
        purpose: KeyPurpose::Checkpoint,
        algorithm: KeyAlgorithm::Ed25519,
        public: public.into(),
        device: "1".into(),
        assurance: "software".into(),
    };
    let registered = ask(|reply| journal.register(key, reply)).unwrap();
    assert_eq!(registered, Registered::Known);
}

fn order(journal: &Journal) -> Committed<CheckpointOrder> {
    let outcome = ask(|reply| {
        journal
            .checkpoint(log_key().name, CheckpointWhen::Now, reply)
            .unwrap()
    });
    match outcome.unwrap() {
        CheckpointOutcome::Order(order) => order,
        CheckpointOutcome::Refused(error) => panic!("{error}"),
    }
}

on_each_device!(a_durable_checkpoint_becomes_a_note_that_anybody_can_verify);

async fn a_durable_checkpoint_becomes_a_note_that_anybody_can_verify(device: impl TestDevice) {
    let (pool, _events, _child) = device.pool(PoolConfig::default(), 1, &[]).await;
    let key = pool
        .generate(&log_key(), KeyAlgorithm::Ed25519)
        .await
        .unwrap();
    pool.register(key.key, key.public).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    register(&journal, &key.public.to_string());
    for _ in 0..2 {
        let order = order(&journal);
        let (call, checkpoint) = (order.value().call(), order.value().checkpoint().clone());
        let authorized = Authorized::from_checkpoint(order).unwrap();
        let signatures = soon(pool.sign(authorized)).await.unwrap();
        let [signature] = signatures.as_slice() else {
            panic!("one signature");
        };
        assert_eq!((signature.call(), signature.key()), (call, &log_key()));
        assert!(signature.ecdsa().is_none());
        let keys = journal.log_keys();
        let value = signature.ed25519().unwrap();
        let signed = SignedCheckpoint::sign(checkpoint, &keys[0], &value).unwrap();
        // As somebody reads it who has the note and the key's text alone.
        let pinned: VerifierKey = keys[0].to_string().parse().unwrap();
        let note = signed.to_string();
        let read = SignedCheckpoint::open(note.as_bytes(), journal.origin(), &[pinned]).unwrap();
        assert_eq!(read.head(), signed.head());
    }
}

#[tokio::test]
async fn a_checkpoint_is_signed_by_no_key_that_is_not_pinned() {
    let (pool, _events) = KeyPool::new(PoolConfig::default());
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    register(&journal, &"ab".repeat(32));
    let authorized = Authorized::from_checkpoint(order(&journal)).unwrap();
    let refused = pool.sign(authorized).await.unwrap_err();
    assert_eq!(refused, SignError::KeyUnregistered { key: log_key() });
}
