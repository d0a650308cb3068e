//! A child that dies or hangs while calls are with it.

use std::{fs, os::unix::process::ExitStatusExt, time::Duration};

use rustix::process::Signal;
use tokio::task::JoinSet;

use super::{
    device::{TestDevice, on_each_device},
    softhsm::{SoftHsm, next, sign, soon, spend},
};
use crate::{KeyId, KeyPool, MemberId, PoolConfig, PoolEvent, SignError, pool::Lost};

on_each_device! {
    killed_in_mid_flight_then_replaced,
    hung_in_mid_flight_then_replaced,
    hung_while_idle,
    given_up_in_mid_flight_the_child_ends_without_a_crash,
}

/// Signs without end in several tasks; each ends with the first error, which it answers.
fn load(pool: &KeyPool, key: &KeyId) -> JoinSet<SignError> {
    let mut tasks = JoinSet::new();
    for task in 0..16u64 {
        let (pool, key) = (pool.clone(), key.clone());
        tasks.spawn(async move {
            let mut call = task << 32;
            loop {
                if let Err(error) = sign(&pool, call, &key).await {
                    return error;
                }
                call += 1;
            }
        });
    }
    tasks
}

/// Waits until signatures are being made.
async fn underway(pool: &KeyPool) {
    let start = pool.counters().signatures;
    while pool.counters().signatures < start + 50 {
        tokio::task::yield_now().await;
    }
}

fn is_typed(error: &SignError, expected: Lost) -> bool {
    match error {
        SignError::OutcomeUnknown { lost, .. } => *lost == expected,
        SignError::NoDevice => true,
        _ => false,
    }
}

async fn killed_in_mid_flight_then_replaced(device: impl TestDevice) {
    let key = spend("a");
    let (pool, mut events, mut child) = device.pool(PoolConfig::default(), 2, &[&key]).await;
    for _ in 0..5 {
        let tasks = load(&pool, &key);
        soon(underway(&pool)).await;
        child.kill();
        let errors = soon(tasks.join_all()).await;
        assert!(errors.iter().all(|e| is_typed(e, Lost::Gone)), "{errors:?}");
        assert!(
            errors
                .iter()
                .any(|e| matches!(e, SignError::OutcomeUnknown { .. }))
        );
        assert_eq!(soon(next(&mut events)).await, Some(PoolEvent::Gone));
        assert!(!pool.healthy());
        child = device.attach(&pool, 2).await.unwrap();
        assert!(matches!(next(&mut events).await, Some(PoolEvent::Ready(_))));
        assert!(pool.healthy());
        let _ = sign(&pool, u64::MAX, &key).await.unwrap();
    }
    assert_eq!(pool.counters().signatures_bad, 0);
    assert_eq!(pool.counters().events_lost, 0);
}

async fn hung_in_mid_flight_then_replaced(device: impl TestDevice) {
    let key = spend("a");
    let config = PoolConfig {
        deadline: Duration::from_millis(500),
        ..PoolConfig::default()
    };
    let (pool, mut events, child) = device.pool(config, 2, &[&key]).await;
    let tasks = load(&pool, &key);
    soon(underway(&pool)).await;
    child.signal(Signal::STOP);
    let errors = soon(tasks.join_all()).await;
    assert!(errors.iter().all(|e| is_typed(e, Lost::Hung)), "{errors:?}");
    assert_eq!(soon(next(&mut events)).await, Some(PoolEvent::Hung));
    assert!(!pool.healthy());
    // It wakes up and answers what it had: nobody listens any more.
    child.signal(Signal::CONT);
    let _next = device.attach(&pool, 2).await.unwrap();
    let before = pool.counters();
    let _ = sign(&pool, u64::MAX, &key).await.unwrap();
    let after = pool.counters();
    assert_eq!(after.answers_unknown, before.answers_unknown);
    assert_eq!(after.signatures_bad, 0);
}

/// An idle child is asked now and then; no caller need run into it.
async fn hung_while_idle(device: impl TestDevice) {
    let config = PoolConfig {
        deadline: Duration::from_millis(200),
        keepalive: Duration::from_millis(100),
        ..PoolConfig::default()
    };
    let (pool, mut events, child) = device.pool(config, 1, &[]).await;
    child.signal(Signal::STOP);
    assert_eq!(soon(next(&mut events)).await, Some(PoolEvent::Hung));
    assert!(!pool.healthy());
    child.signal(Signal::CONT);
    assert_eq!(child.ended().code(), Some(0));
}

/// To exit while a thread is inside `C_Sign` crashes SoftHSM: the child waits for its threads.
async fn given_up_in_mid_flight_the_child_ends_without_a_crash(device: impl TestDevice) {
    let key = spend("a");
    let (pool, mut events, mut child) = device.pool(PoolConfig::default(), 2, &[&key]).await;
    for _ in 0..10 {
        let tasks = load(&pool, &key);
        soon(underway(&pool)).await;
        pool.detach(MemberId::FIRST);
        let errors = soon(tasks.join_all()).await;
        assert!(
            errors.iter().all(|e| is_typed(e, Lost::Detached)),
            "{errors:?}"
        );
        let status = child.ended();
        assert_eq!((status.code(), status.signal()), (Some(0), None));
        child = device.attach(&pool, 2).await.unwrap();
        assert!(matches!(next(&mut events).await, Some(PoolEvent::Ready(_))));
    }
}

/// The token's files are taken away under a running child.
#[tokio::test]
async fn a_token_that_vanishes_fails_by_name() {
    let softhsm = SoftHsm::with_token();
    let key = spend("a");
    let (pool, _events, _child) = softhsm.pool(PoolConfig::default(), 1, &[&key]).await;
    let _ = sign(&pool, 1, &key).await.unwrap();
    for entry in fs::read_dir(softhsm.tokens()).unwrap() {
        fs::remove_dir_all(entry.unwrap().path()).unwrap();
    }
    let error = soon(sign(&pool, 2, &key)).await.unwrap_err();
    assert!(
        matches!(error, SignError::Failed { call: 2, .. }),
        "{error:?}"
    );
    assert_eq!(pool.counters().signatures, 1);
}
