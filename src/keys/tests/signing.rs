//! Signing through the pool, the child and its device.

use std::{
    collections::HashSet,
    io::{Read, Write},
    os::unix::net::UnixStream,
};

use super::{
    device::{TestDevice, on_each_device},
    softhsm::{authorized, digest, next, sign, soon, spend, verify_by_k256},
};
use crate::{
    KeyAlgorithm, KeyId, KeyPool, KeyPurpose, MemberId, PoolConfig, PoolEvent, PublicKey,
    SignError,
    protocol::{
        Answer, Bytes, Failure, Frame, Inbox, KeyDescription, Request, Residence, Sign, SignInput,
    },
    verify,
};

on_each_device! {
    a_thousand_signatures_by_two_keys_from_64_tasks,
    all_inputs_of_a_transaction_or_none,
    a_caller_that_goes_away_leaves_a_late_answer,
    an_answer_that_came_and_was_not_taken_is_late,
    a_checkpoint_key_signs_messages_with_ed25519,
    a_message_longer_than_the_profile_says_is_not_sent,
    a_restarted_child_must_have_the_registered_keys,
}

async fn a_thousand_signatures_by_two_keys_from_64_tasks(device: impl TestDevice) {
    let keys = [spend("a"), spend("b")];
    let (pool, _events, child) = device
        .pool(PoolConfig::default(), 2, &[&keys[0], &keys[1]])
        .await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..64u64 {
        let (pool, keys) = (pool.clone(), keys.clone());
        tasks.spawn(async move {
            let mut made = Vec::new();
            for call in (task..1000).step_by(64) {
                let key = &keys[usize::from(call % 3 == 0)];
                let signature = sign(&pool, call, key).await.unwrap();
                assert_eq!((signature.call(), signature.key()), (call, key));
                let public = pool.registered(key).unwrap();
                verify_by_k256(&public, call, &signature);
                made.push(signature.ecdsa().unwrap());
            }
            made
        });
    }
    let made: HashSet<_> = soon(tasks.join_all()).await.into_iter().flatten().collect();
    assert_eq!(made.len(), 1000);
    let counters = pool.counters();
    assert_eq!(counters.signatures, 1000);
    assert_eq!(counters.signatures_bad, 0);
    assert_eq!((counters.answers_late, counters.answers_unknown), (0, 0));
    drop(pool);
    assert_eq!(child.ended().code(), Some(0));
}

async fn all_inputs_of_a_transaction_or_none(device: impl TestDevice) {
    let (a, b, absent) = (spend("a"), spend("b"), spend("absent"));
    let config = PoolConfig {
        in_flight_per_session: 2,
        queue: 100,
        ..PoolConfig::default()
    };
    let (pool, _events, _child) = device.pool(config, 1, &[&a, &b]).await;
    let calls: Vec<_> = (0..100)
        .map(|n| (n, if n % 2 == 0 { &a } else { &b }))
        .collect();
    let signatures = soon(pool.sign(authorized(&calls))).await.unwrap();
    for (signature, (call, key)) in signatures.iter().zip(&calls) {
        assert_eq!((signature.call(), signature.key()), (*call, *key));
    }
    let refused = pool.sign(authorized(&[(200, &a), (201, &absent)])).await;
    assert_eq!(
        refused.unwrap_err(),
        SignError::KeyUnregistered {
            key: absent.clone()
        }
    );
    assert_eq!(pool.counters().signatures, 100, "nothing was sent");
    let too_many: Vec<_> = (300..401).map(|n| (n, &a)).collect();
    let refused = pool.sign(authorized(&too_many)).await;
    assert_eq!(refused.unwrap_err(), SignError::Busy);
    let refused = pool.sign(authorized(&[])).await;
    assert_eq!(refused.unwrap_err(), SignError::Nothing);
    // Registered, but not on the token: the device says so, and the others are dropped.
    let public = pool.registered(&a).unwrap();
    pool.register(absent.clone(), public).unwrap();
    let refused = pool.sign(authorized(&[(500, &absent), (501, &a)])).await;
    let failure = Failure::KeyUnknown;
    assert_eq!(
        refused.unwrap_err(),
        SignError::Failed { call: 500, failure }
    );
}

async fn a_caller_that_goes_away_leaves_a_late_answer(device: impl TestDevice) {
    let key = spend("a");
    let (pool, _events, _child) = device.pool(PoolConfig::default(), 1, &[&key]).await;
    {
        let abandoned = sign(&pool, 1, &key);
        tokio::pin!(abandoned);
        // Polled once: sent, and then dropped.
        assert!(futures_poll_once(abandoned.as_mut()).await);
    }
    // One session answers in order.
    let _ = sign(&pool, 2, &key).await.unwrap();
    let counters = pool.counters();
    assert_eq!((counters.answers_late, counters.signatures), (1, 1));
}

async fn an_answer_that_came_and_was_not_taken_is_late(device: impl TestDevice) {
    let key = spend("a");
    let (pool, _events, _child) = device.pool(PoolConfig::default(), 1, &[&key]).await;
    {
        let abandoned = sign(&pool, 1, &key);
        tokio::pin!(abandoned);
        // Polled once: it is sent with the next, and one session answers in order.
        assert!(futures_poll_once(abandoned.as_mut()).await);
        let _ = sign(&pool, 2, &key).await.unwrap();
        assert_eq!(pool.counters().answers_late, 0, "it can still be taken");
    }
    let counters = pool.counters();
    assert_eq!((counters.answers_late, counters.signatures), (1, 1));
}

/// Whether the future is still pending after one poll.
async fn futures_poll_once<F: Future + Unpin>(mut future: F) -> bool {
    use std::{pin::Pin, task::Poll};
    std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut future).poll(context).is_pending()))
        .await
}

#[tokio::test]
async fn without_a_child_calls_fail_at_once() {
    let (pool, _events) = KeyPool::new(PoolConfig::default());
    let key = spend("a");
    let secret = k256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
    let point = secret.verifying_key().to_encoded_point(true);
    let public = PublicKey::new(KeyAlgorithm::Secp256k1, point.as_bytes()).unwrap();
    pool.register(key.clone(), public).unwrap();
    assert!(!pool.healthy());
    assert_eq!(sign(&pool, 1, &key).await.unwrap_err(), SignError::NoDevice);
}

/// A key child driven frame by frame: what the pool cannot authorise yet.
struct Wire {
    socket: UnixStream,
    inbox: Inbox,
    next: u64,
}

impl Wire {
    fn ask(&mut self, message: Request) -> Answer {
        self.next += 1;
        let mut bytes = Vec::new();
        let correlation = self.next;
        Frame {
            correlation,
            message,
        }
        .append_to(&mut bytes);
        self.socket.write_all(&bytes).unwrap();
        loop {
            if let Some(frame) = self.inbox.frame::<Answer>().unwrap() {
                assert_eq!(frame.correlation, correlation);
                return frame.message;
            }
            let length = self.socket.read(self.inbox.spare()).unwrap();
            assert!(length > 0, "the child ended");
            self.inbox.received(length);
        }
    }
}

async fn a_checkpoint_key_signs_messages_with_ed25519(device: impl TestDevice) {
    let (_child, socket) = device.start_child();
    let mut wire = Wire {
        socket,
        inbox: Inbox::default(),
        next: 0,
    };
    let hello = device.hello(1);
    assert!(matches!(
        wire.ask(Request::Hello(hello)),
        Answer::Ready { sessions: 1, .. }
    ));
    let key = KeyId {
        purpose: KeyPurpose::Checkpoint,
        name: "log".parse().unwrap(),
    };
    let generate = |residence| Request::Generate {
        key: key.clone(),
        algorithm: KeyAlgorithm::Ed25519,
        residence,
    };
    let Answer::Key(made) = wire.ask(generate(Residence::Token)) else {
        panic!("no key");
    };
    assert_eq!(made.public.algorithm(), KeyAlgorithm::Ed25519);
    let find = Request::Find { key: key.clone() };
    assert_eq!(wire.ask(find), Answer::Key(made.clone()));
    let public = Request::Public { key: key.clone() };
    assert!(
        matches!(wire.ask(public), Answer::Key(KeyDescription { public, .. }) if public == made.public)
    );
    for length in [1, 32, 200, 3072] {
        let input = SignInput::Message(Bytes::new(&vec![7; length]).unwrap());
        let request = Request::Sign(Sign {
            call: 9,
            key: key.clone(),
            input: input.clone(),
        });
        let Answer::Signed { call: 9, signature } = wire.ask(request) else {
            panic!("no signature");
        };
        verify::check(&made.public, &input, signature.as_bytes()).unwrap();
    }
    let mismatch = Request::Sign(Sign {
        call: 10,
        key: key.clone(),
        input: SignInput::Digest(digest(1)),
    });
    assert_eq!(
        wire.ask(mismatch),
        Answer::Failed(Failure::AlgorithmMismatch)
    );
    let unsupported = Answer::Failed(Failure::Unsupported);
    assert_eq!(wire.ask(generate(Residence::Session)), unsupported);
    let under = key.name.clone();
    let wrap = Request::Wrap {
        key: key.clone(),
        under,
    };
    assert_eq!(wire.ask(wrap), unsupported);
    let destroy = Request::Destroy { key: key.clone() };
    assert_eq!(wire.ask(destroy.clone()), Answer::Destroyed);
    assert_eq!(wire.ask(destroy), Answer::Failed(Failure::KeyUnknown));
    assert!(matches!(wire.ask(Request::Health), Answer::Healthy { .. }));
}

async fn a_message_longer_than_the_profile_says_is_not_sent(device: impl TestDevice) {
    let (_child, socket) = device.start_child();
    let mut wire = Wire {
        socket,
        inbox: Inbox::default(),
        next: 0,
    };
    let mut hello = device.hello(1);
    hello.profile.message_bytes_max = Some(200);
    assert!(matches!(
        wire.ask(Request::Hello(hello)),
        Answer::Ready { .. }
    ));
    let key = KeyId {
        purpose: KeyPurpose::Checkpoint,
        name: "log".parse().unwrap(),
    };
    let made = wire.ask(Request::Generate {
        key: key.clone(),
        algorithm: KeyAlgorithm::Ed25519,
        residence: Residence::Token,
    });
    assert!(matches!(made, Answer::Key(_)), "{made:?}");
    let mut sign = |length| {
        wire.ask(Request::Sign(Sign {
            call: 9,
            key: key.clone(),
            input: SignInput::Message(Bytes::new(&vec![7; length]).unwrap()),
        }))
    };
    assert!(matches!(sign(200), Answer::Signed { call: 9, .. }));
    let refused = Answer::Failed(Failure::MessageTooLong { max: 200 });
    assert_eq!(sign(201), refused);
    assert!(matches!(sign(1), Answer::Signed { call: 9, .. }));
}

async fn a_restarted_child_must_have_the_registered_keys<D: TestDevice>(device: D) {
    let key = spend("a");
    let (pool, mut events, child) = device.pool(PoolConfig::default(), 1, &[&key]).await;
    let found = pool.find(MemberId::FIRST, &key).await.unwrap();
    assert_eq!(Some(found.public), pool.registered(&key));
    assert_eq!(pool.public(&key).await.unwrap(), found.public);
    pool.health().await.unwrap();
    child.kill();
    assert_eq!(soon(next(&mut events)).await, Some(PoolEvent::Gone));
    let other = D::new();
    let refused = other.attach(&pool, 1).await.err().unwrap();
    assert!(refused.to_string().contains("strongroom:spend:a"));
    assert!(!pool.healthy());
    let _child = device.attach(&pool, 1).await.unwrap();
    assert!(pool.healthy());
    let _ = sign(&pool, 1, &key).await.unwrap();
}
