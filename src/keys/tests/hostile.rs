//! A key child, or a module behind it, that answers what it should not.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    thread,
};

use k256::ecdsa::{SigningKey, signature::hazmat::PrehashSigner};

use super::softhsm::{self, authorized, digest, next, sign, soon, spend};
use crate::{
    FirmwareVersion, KeyAlgorithm, KeyId, KeyPool, PoolConfig, PoolEvent, PublicKey, SignError,
    SignatureError, TokenIdentity,
    pool::{AttachError, Lost},
    protocol::{
        Answer, Bytes, Frame, Inbox, KeyDescription, Request, Residence, Sign, SignInput, Text,
    },
};

pub(crate) fn identity() -> TokenIdentity {
    TokenIdentity {
        label: Text::cut(softhsm::LABEL),
        manufacturer: Text::cut("SoftHSM project"),
        model: Text::cut("SoftHSM v2"),
        serial: Text::cut("1"),
        firmware: FirmwareVersion { major: 2, minor: 6 },
    }
}

pub(crate) fn secret(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

pub(crate) fn public(seed: u8) -> PublicKey {
    let point = secret(seed).verifying_key().to_encoded_point(true);
    PublicKey::new(KeyAlgorithm::Secp256k1, point.as_bytes()).unwrap()
}

/// r‖s over the digest of a call number.
pub(crate) fn raw(seed: u8, call: u64) -> Vec<u8> {
    let signature: k256::ecdsa::Signature = secret(seed).sign_prehash(&digest(call)).unwrap();
    signature.to_bytes().to_vec()
}

pub(crate) fn signed(frame: &Frame<Request>, call: u64, raw: &[u8]) -> Frame<Answer> {
    Frame {
        correlation: frame.correlation,
        message: Answer::Signed {
            call,
            signature: Bytes::new(raw).unwrap(),
        },
    }
}

/// A child that greets well, has the key of seed 1, and answers signatures by `answer`.
pub(crate) fn child(
    identity: TokenIdentity,
    mut answer: impl FnMut(&Frame<Request>, &Sign) -> Vec<Frame<Answer>> + Send + 'static,
) -> UnixStream {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    thread::spawn(move || {
        let mut inbox = Inbox::default();
        loop {
            while let Some(frame) = inbox.frame::<Request>().unwrap() {
                let message = match &frame.message {
                    Request::Hello(_) => Answer::Ready {
                        identity: identity.clone(),
                        sessions: 2,
                    },
                    Request::Find { key } => Answer::Key(KeyDescription {
                        key: key.clone(),
                        public: public(1),
                        residence: Residence::Token,
                    }),
                    Request::Sign(sign) => {
                        let answers = answer(&frame, sign);
                        write(&mut theirs, &answers);
                        continue;
                    }
                    _ => Answer::Healthy { waiting: 0 },
                };
                let correlation = frame.correlation;
                write(
                    &mut theirs,
                    &[Frame {
                        correlation,
                        message,
                    }],
                );
            }
            match theirs.read(inbox.spare()) {
                Ok(length) if length > 0 => inbox.received(length),
                _ => return,
            }
        }
    });
    ours
}

fn write(socket: &mut UnixStream, answers: &[Frame<Answer>]) {
    let mut bytes = Vec::new();
    for answer in answers {
        answer.append_to(&mut bytes);
    }
    // The pool may have hung up.
    let _ = socket.write_all(&bytes);
}

async fn pool_with(
    answer: impl FnMut(&Frame<Request>, &Sign) -> Vec<Frame<Answer>> + Send + 'static,
) -> (KeyPool, tokio::sync::mpsc::Receiver<crate::Told>, KeyId) {
    let (pool, mut events) = KeyPool::new(PoolConfig::default());
    let key = spend("a");
    pool.register(key.clone(), public(1)).unwrap();
    let socket = child(identity(), answer);
    let hello = softhsm::hello(softhsm::PIN, 2);
    soon(softhsm::attach(&pool, socket, hello)).await.unwrap();
    assert!(matches!(next(&mut events).await, Some(PoolEvent::Ready(_))));
    (pool, events, key)
}

#[tokio::test]
async fn bad_answers_are_never_released() {
    let (pool, mut events, key) = pool_with(|frame, sign| {
        let mut mutated = raw(1, sign.call);
        mutated[40] ^= 1;
        let (call, answer) = match sign.call {
            0 => (0, raw(1, 0)),
            1 => (1, raw(1, 0)),
            2 => (2, raw(2, 2)),
            3 => (3, mutated),
            4 => (4, vec![0; 64]),
            5 => (5, raw(1, 5)[..63].to_vec()),
            6 => (6, vec![]),
            7 => (7, [&raw(1, 7)[..], &[0]].concat()),
            _ => (sign.call + 1, raw(1, sign.call)),
        };
        vec![signed(frame, call, &answer)]
    })
    .await;
    let expected = [
        SignatureError::NotByThisKey,
        SignatureError::NotByThisKey,
        SignatureError::NotByThisKey,
        SignatureError::OutOfRange,
        SignatureError::Length { length: 63 },
        SignatureError::Length { length: 0 },
        SignatureError::Length { length: 65 },
    ];
    for (call, error) in (1u64..).zip(expected) {
        // As long as it signs well between, its breaker does not open.
        let _ = sign(&pool, 0, &key).await.unwrap();
        let key = key.clone();
        assert_eq!(
            sign(&pool, call, &key).await.unwrap_err(),
            SignError::BadSignature { call, key, error }
        );
    }
    assert_eq!(
        sign(&pool, 8, &key).await.unwrap_err(),
        SignError::Misanswered { call: 8 }
    );
    let several = pool.sign(authorized(&[(0, &key), (1, &key)])).await;
    assert!(several.is_err(), "one bad, none released");
    let event = next(&mut events).await.unwrap();
    assert!(matches!(event, PoolEvent::BadSignature { call: 1, .. }));
    assert!(events.try_recv().is_err(), "told once");
    let counters = pool.counters();
    assert_eq!((counters.signatures_bad, counters.answers_wrong), (8, 1));
}

/// Two calls whose answers are exchanged: each would verify, under the other's digest.
#[tokio::test]
async fn exchanged_answers_are_caught() {
    let mut held = None;
    let (pool, _events, key) = pool_with(move |frame, sign| {
        let Some((first, number)) = held.take() else {
            held = Some((frame.clone(), sign.call));
            return Vec::new();
        };
        vec![
            signed(&first, sign.call, &raw(1, sign.call)),
            signed(frame, number, &raw(1, number)),
        ]
    })
    .await;
    let (a, b) = tokio::join!(sign(&pool, 1, &key), sign(&pool, 2, &key));
    assert_eq!(a.unwrap_err(), SignError::Misanswered { call: 1 });
    assert_eq!(b.unwrap_err(), SignError::Misanswered { call: 2 });
}

#[tokio::test]
async fn answers_nobody_asked_for_are_dropped_and_counted() {
    let (pool, _events, key) = pool_with(|frame, sign| {
        let right = signed(frame, sign.call, &raw(1, sign.call));
        let mut stray = right.clone();
        stray.correlation += 1000;
        vec![stray, right.clone(), right]
    })
    .await;
    let _ = sign(&pool, 1, &key).await.unwrap();
    let _ = sign(&pool, 2, &key).await.unwrap();
    let counters = pool.counters();
    assert!(counters.answers_unknown >= 3, "{counters:?}");
    assert_eq!(counters.signatures, 2);
}

#[tokio::test]
async fn a_repeated_r_is_an_alarm() {
    // One nonce for two digests: k = 2, so that r is fixed.
    let (pool, mut events, key) = pool_with(|frame, sign| {
        use k256::{Scalar, ecdsa::hazmat::SignPrimitive, elliptic_curve::ops::Reduce};
        let z = digest(sign.call).into();
        let k = <Scalar as Reduce<k256::U256>>::reduce(k256::U256::from(2u8));
        let secret = secret(1);
        let scalar = secret.as_nonzero_scalar();
        let (signature, _) = scalar.try_sign_prehashed(k, &z).unwrap();
        vec![signed(frame, sign.call, &signature.to_bytes())]
    })
    .await;
    let _ = sign(&pool, 1, &key).await.unwrap();
    let _ = sign(&pool, 1, &key).await.unwrap();
    let alarm = sign(&pool, 2, &key).await.unwrap_err();
    let SignError::BadSignature {
        error: SignatureError::RRepeated(what),
        ..
    } = alarm
    else {
        panic!("{alarm:?}");
    };
    assert_eq!(
        (what.first_digest, what.second_digest),
        (digest(1), digest(2))
    );
    assert!(matches!(
        next(&mut events).await,
        Some(PoolEvent::BadSignature { call: 2, .. })
    ));
}

#[tokio::test]
async fn an_answer_of_another_kind_and_a_broken_greeting_are_refused() {
    let (pool, mut events, key) = pool_with(|frame, _| {
        vec![Frame {
            correlation: frame.correlation,
            message: Answer::Destroyed,
        }]
    })
    .await;
    assert_eq!(
        sign(&pool, 1, &key).await.unwrap_err(),
        SignError::Misanswered { call: 1 }
    );
    assert!(pool.healthy());
    drop(pool);
    let (pool, _) = KeyPool::new(PoolConfig::default());
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(&[0, 0, 0, 0, 1, 0x81]).unwrap();
    let refused = soon(softhsm::attach(
        &pool,
        ours,
        softhsm::hello(softhsm::PIN, 2),
    ))
    .await;
    assert!(matches!(refused, Err(AttachError::Decode(_))));
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    let refused = soon(softhsm::attach(
        &pool,
        ours,
        softhsm::hello(softhsm::PIN, 2),
    ))
    .await;
    assert!(refused.is_err());
    assert!(
        next(&mut events).await.is_none(),
        "the pool and its link are gone"
    );
}

#[tokio::test]
async fn garbage_in_mid_flight_loses_the_child() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut writer = theirs.try_clone().unwrap();
    thread::spawn(move || {
        let mut theirs = theirs;
        let mut inbox = Inbox::default();
        loop {
            while let Some(frame) = inbox.frame::<Request>().unwrap() {
                let message = match frame.message {
                    Request::Hello(_) => Answer::Ready {
                        identity: identity(),
                        sessions: 1,
                    },
                    Request::Find { key } => Answer::Key(KeyDescription {
                        key,
                        public: public(1),
                        residence: Residence::Token,
                    }),
                    _ => {
                        let _ = writer.write_all(&[0xff; 64]);
                        continue;
                    }
                };
                let correlation = frame.correlation;
                write(
                    &mut writer,
                    &[Frame {
                        correlation,
                        message,
                    }],
                );
            }
            match theirs.read(inbox.spare()) {
                Ok(length) if length > 0 => inbox.received(length),
                _ => return,
            }
        }
    });
    let (pool, mut events) = KeyPool::new(PoolConfig::default());
    let key = spend("a");
    pool.register(key.clone(), public(1)).unwrap();
    soon(softhsm::attach(
        &pool,
        ours,
        softhsm::hello(softhsm::PIN, 1),
    ))
    .await
    .unwrap();
    assert!(matches!(next(&mut events).await, Some(PoolEvent::Ready(_))));
    let lost = Lost::Gone;
    assert_eq!(
        soon(sign(&pool, 1, &key)).await.unwrap_err(),
        SignError::OutcomeUnknown { call: 1, lost }
    );
    assert_eq!(soon(next(&mut events)).await, Some(PoolEvent::Gone));
}

#[tokio::test]
async fn another_token_is_refused_whatever_the_child_says() {
    let (pool, _events) = KeyPool::new(PoolConfig::default());
    let with = |change: fn(&mut TokenIdentity)| {
        let mut identity = identity();
        change(&mut identity);
        child(identity, |_, _| Vec::new())
    };
    let hello = || softhsm::hello(softhsm::PIN, 2);
    let other = with(|token| token.manufacturer = Text::cut("Other"));
    let refused = soon(softhsm::attach(&pool, other, hello())).await;
    assert!(matches!(refused, Err(AttachError::Identity(_))));
    let old = with(|token| token.firmware.minor = 5);
    let refused = soon(softhsm::attach(&pool, old, hello())).await;
    assert!(matches!(refused, Err(AttachError::Identity(_))));
    let label = with(|token| token.label = Text::cut("other"));
    let refused = soon(softhsm::attach(&pool, label, hello())).await;
    assert!(matches!(refused, Err(AttachError::Token)));
    pool.register(spend("a"), public(2)).unwrap();
    let refused = soon(softhsm::attach(&pool, with(|_| ()), hello())).await;
    assert!(matches!(refused, Err(AttachError::KeyChanged { .. })));
    assert!(pool.register(spend("a"), public(1)).is_err());
}

#[test]
fn an_input_is_a_digest() {
    let key = spend("a");
    let signings = authorized(&[(1, &key)]).into_signings();
    assert!(matches!(signings[0].input, SignInput::Digest(d) if d == digest(1)));
}
