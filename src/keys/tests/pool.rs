//! Several tokens that hold one key, and tokens that fail again and again.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{sync::mpsc, task::JoinSet};

use super::{
    device::TestDevice,
    hostile::{child, identity, public, raw, signed},
    softhsm::{self, SoftHsm, attach_to, next, sign, soon, spend},
};
use crate::{
    Backend, KeyAlgorithm, KeyId, KeyPool, MemberId, PoolConfig, PoolEvent, SignError,
    TokenIdentity, Told,
    pool::{AttachError, BreakerState, Lost},
    protocol::{Answer, Failure, Frame, Request, Sign, Text},
};

const SECOND: MemberId = MemberId(1);

/// How a child answers signatures.
#[derive(Clone, Copy)]
enum Way {
    Well,
    NotAtAll,
    /// The first so many with a failure of the device.
    FailingFirst(usize),
}

/// A child that counts the signatures that it was asked for.
fn counting(way: Way) -> (std::os::unix::net::UnixStream, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let answer = move |frame: &Frame<Request>, sign: &Sign| {
        let before = count.fetch_add(1, Ordering::SeqCst);
        match way {
            Way::NotAtAll => Vec::new(),
            Way::FailingFirst(failures) if before < failures => vec![Frame {
                correlation: frame.correlation,
                message: Answer::Failed(Failure::Device {
                    function: Text::cut("Sign"),
                    code: Text::cut("FunctionFailed"),
                }),
            }],
            Way::Well | Way::FailingFirst(_) => vec![signed(frame, sign.call, &raw(1, sign.call))],
        }
    };
    (child(identity(), answer), asked)
}

/// A pool of so many tokens, all of which are to have the key of seed 1.
fn pool_of(members: u8, deadline_millis: u64) -> (KeyPool, mpsc::Receiver<Told>, KeyId) {
    let (pool, events) = KeyPool::new(PoolConfig {
        members,
        deadline: std::time::Duration::from_millis(deadline_millis),
        ..PoolConfig::default()
    });
    let key = spend("a");
    pool.register(key.clone(), public(1)).unwrap();
    (pool, events, key)
}

async fn attach(pool: &KeyPool, member: MemberId, way: Way) -> Arc<AtomicUsize> {
    let (socket, asked) = counting(way);
    let hello = softhsm::hello(softhsm::PIN, 2);
    soon(attach_to(pool, member, socket, hello)).await.unwrap();
    asked
}

async fn until_told(events: &mut mpsc::Receiver<Told>, event: PoolEvent) {
    while soon(next(events)).await.as_ref() != Some(&event) {}
}

#[tokio::test]
async fn a_token_that_fails_again_and_again_is_asked_by_probes_alone() {
    let (pool, mut events, key) = pool_of(1, 2000);
    let asked = attach(&pool, MemberId::FIRST, Way::FailingFirst(5)).await;
    for call in 0..5 {
        assert!(pool.healthy());
        let failed = soon(sign(&pool, call, &key)).await.unwrap_err();
        assert!(matches!(failed, SignError::Failed { .. }), "{failed:?}");
    }
    let status = pool.status()[0];
    assert!(status.attached && !status.healthy(), "{status:?}");
    assert!(matches!(status.breaker, BreakerState::Open { .. }));
    assert!(!pool.healthy());
    let refused = soon(sign(&pool, 5, &key)).await.unwrap_err();
    assert_eq!(refused, SignError::NoDevice);
    // Its health is asked for, and no signature.
    until_told(&mut events, PoolEvent::BreakerOpened).await;
    until_told(&mut events, PoolEvent::BreakerClosed).await;
    assert_eq!(asked.load(Ordering::SeqCst), 5);
    assert!(pool.healthy());
    let _ = soon(sign(&pool, 6, &key)).await.unwrap();
    assert_eq!(pool.status()[0].breaker, BreakerState::Closed);
    assert_eq!(pool.counters().events_lost, 0);
}

/// Which tokens may be used changes while they are.
#[tokio::test]
async fn a_token_that_is_not_named_is_neither_asked_nor_attached() {
    let (pool, mut events, key) = pool_of(2, 2000);
    let child_of = |serial: &str| {
        let identity = TokenIdentity {
            serial: Text::cut(serial),
            ..identity()
        };
        child(identity, |frame, sign| {
            vec![signed(frame, sign.call, &raw(1, sign.call))]
        })
    };
    let hello = || softhsm::hello(softhsm::PIN, 2);
    let attached = attach_to(&pool, MemberId::FIRST, child_of("1"), hello());
    soon(attached).await.unwrap();
    soon(attach_to(&pool, SECOND, child_of("2"), hello()))
        .await
        .unwrap();
    let named = |serials: &[&str]| -> std::collections::BTreeSet<String> {
        serials.iter().map(|&serial| serial.to_owned()).collect()
    };
    pool.name_tokens(Some(&named(&["1", "2", "3"])));
    assert!(pool.is_healthy(MemberId::FIRST) && pool.is_healthy(SECOND));
    pool.name_tokens(Some(&named(&["2"])));
    assert!(!pool.is_healthy(MemberId::FIRST) && pool.is_healthy(SECOND));
    until_told(&mut events, PoolEvent::Unnamed).await;
    let _ = soon(sign(&pool, 1, &key)).await.unwrap();
    let again = attach_to(&pool, MemberId::FIRST, child_of("1"), hello());
    let refused = soon(again).await.unwrap_err();
    assert!(
        matches!(&refused, AttachError::Unnamed { serial } if serial.as_str() == "1"),
        "{refused:?}"
    );
    pool.name_tokens(Some(&named(&[])));
    assert!(!pool.healthy());
    let refused = soon(sign(&pool, 2, &key)).await.unwrap_err();
    assert_eq!(refused, SignError::NoDevice);
    // Without any named, all may be used; none comes back by itself.
    pool.name_tokens(None);
    assert!(!pool.healthy());
    soon(attach_to(&pool, SECOND, child_of("2"), hello()))
        .await
        .unwrap();
    let _ = soon(sign(&pool, 3, &key)).await.unwrap();
    assert_eq!(pool.status()[0].breaker, BreakerState::Closed);
}

/// What is wrong with one key is no reason to leave the others unsigned.
#[tokio::test]
async fn failures_of_a_key_open_no_breaker() {
    let (pool, _events, key) = pool_of(1, 2000);
    let answer = |frame: &Frame<Request>, _: &Sign| {
        vec![Frame {
            correlation: frame.correlation,
            message: Answer::Failed(Failure::KeyUnknown),
        }]
    };
    let socket = child(identity(), answer);
    let hello = softhsm::hello(softhsm::PIN, 2);
    soon(softhsm::attach(&pool, socket, hello)).await.unwrap();
    for call in 0..20 {
        soon(sign(&pool, call, &key)).await.unwrap_err();
    }
    assert!(pool.healthy());
}

#[tokio::test]
async fn what_a_hung_token_did_not_answer_is_signed_by_another_one() {
    let (pool, mut events, key) = pool_of(2, 300);
    let hung = attach(&pool, MemberId::FIRST, Way::NotAtAll).await;
    let well = attach(&pool, SECOND, Way::Well).await;
    // With nothing under way the first is asked.
    let lost = soon(sign(&pool, 1, &key)).await.unwrap_err();
    let expected = Lost::Hung;
    assert!(
        matches!(lost, SignError::OutcomeUnknown { call: 1, lost } if lost == expected),
        "{lost:?}"
    );
    until_told(&mut events, PoolEvent::Hung).await;
    assert!(pool.healthy(), "the other one is there");
    for call in 2..10 {
        let _ = soon(sign(&pool, call, &key)).await.unwrap();
    }
    let asked = [hung, well].map(|asked| asked.load(Ordering::SeqCst));
    assert_eq!(asked, [1, 8]);
    let healthy: Vec<_> = pool.status().iter().map(|one| one.healthy()).collect();
    assert_eq!(healthy, [false, true]);
}

#[tokio::test]
async fn after_a_failure_another_token_is_asked_first() {
    let (pool, _events, key) = pool_of(2, 2000);
    let failing = attach(&pool, MemberId::FIRST, Way::FailingFirst(1)).await;
    let well = attach(&pool, SECOND, Way::Well).await;
    soon(sign(&pool, 1, &key)).await.unwrap_err();
    let _ = soon(sign(&pool, 2, &key)).await.unwrap();
    let asked = [failing, well].map(|asked| asked.load(Ordering::SeqCst));
    assert_eq!(asked, [1, 1]);
}

#[tokio::test]
async fn tokens_share_the_load_and_each_signs_alone_where_it_is_named() {
    let (pool, _events, key) = pool_of(2, 2000);
    let first = attach(&pool, MemberId::FIRST, Way::Well).await;
    let second = attach(&pool, SECOND, Way::Well).await;
    let mut tasks = JoinSet::new();
    for call in 0..64 {
        let (pool, key) = (pool.clone(), key.clone());
        tasks.spawn(async move { sign(&pool, call, &key).await.unwrap() });
    }
    soon(tasks.join_all()).await;
    let count = |asked: &AtomicUsize| asked.load(Ordering::SeqCst);
    let (by_first, by_second) = (count(&first), count(&second));
    assert_eq!(by_first + by_second, 64);
    assert!(by_first > 0 && by_second > 0, "{by_first}, {by_second}");
    let authorized = softhsm::authorized(&[(100, &key), (101, &key)]);
    let _ = soon(pool.sign_on(SECOND, authorized)).await.unwrap();
    assert_eq!((count(&first), count(&second)), (by_first, by_second + 2));
    let signed = pool.status().into_iter().map(|one| one.signatures);
    assert_eq!(signed.sum::<u64>(), 66);
}

/// The key has another public half there, whatever it is called.
#[tokio::test]
async fn a_token_with_another_key_of_the_name_is_refused_and_the_other_one_signs() {
    let (pool, _events, key) = pool_of(2, 2000);
    let asked = attach(&pool, MemberId::FIRST, Way::Well).await;
    let softhsm = SoftHsm::with_token();
    let (other, _, _child) = softhsm.pool(PoolConfig::default(), 1, &[&key]).await;
    other.detach(MemberId::FIRST);
    let (child, socket) = softhsm.start_child();
    let refused = attach_to(&pool, SECOND, socket, softhsm.hello(1));
    let refused = soon(refused).await.unwrap_err();
    assert!(
        matches!(&refused, AttachError::KeyChanged { key: named } if *named == key),
        "{refused:?}"
    );
    assert_eq!(child.ended().code(), Some(0));
    for call in 0..4 {
        let _ = soon(sign(&pool, call, &key)).await.unwrap();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 4);
    let socket = counting(Way::Well).0;
    let none = attach_to(&pool, MemberId(2), socket, softhsm.hello(1));
    assert!(matches!(soon(none).await, Err(AttachError::NoMember)));
}

/// Two are opened at the start, beside the one that only stays open; others when requests wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_opened_when_requests_wait_up_to_their_bound() {
    const SESSIONS: u16 = 6;
    let softhsm = SoftHsm::with_token();
    let (_child, socket) = softhsm.start_spied_child();
    let mut hello = softhsm.hello(SESSIONS);
    hello.backend = Backend::Module(Text::new(softhsm::SPY).unwrap());
    let (pool, _events) = KeyPool::new(PoolConfig::default());
    soon(softhsm::attach(&pool, socket, hello)).await.unwrap();
    let opened = || softhsm.spied("C_OpenSession");
    let until_opened = async |sessions| {
        while opened() < sessions {
            tokio::task::yield_now().await;
        }
    };
    soon(until_opened(3)).await;
    let key = spend("a");
    let made = pool.generate(&key, KeyAlgorithm::Secp256k1).await.unwrap();
    pool.register(made.key, made.public).unwrap();
    // One more, to write to the token.
    assert_eq!(opened(), 4);
    let mut tasks = JoinSet::new();
    for call in 0..256 {
        let (pool, key) = (pool.clone(), key.clone());
        tasks.spawn(async move { sign(&pool, call, &key).await.unwrap() });
    }
    soon(tasks.join_all()).await;
    soon(until_opened(5)).await;
    let further = opened() - 4;
    assert!(further <= usize::from(SESSIONS - 2), "{further}");
}
