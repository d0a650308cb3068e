//! A login that is lost while keys are in use. The child's code runs in a thread of the test's own
//! process, so that the test can take its login away.

use std::{
    os::unix::net::UnixStream,
    thread::{self, JoinHandle},
};

use cryptoki::{context::Pkcs11, session::Session};
use tokio::{runtime::Runtime, sync::mpsc::Receiver};

use super::softhsm::{self, SoftHsm, in_own_process};
use crate::{
    KeyAlgorithm, KeyPool, PoolConfig, PoolEvent, SignError, Told, child, protocol::Failure,
};

#[test]
fn a_lost_login_is_made_again_and_handles_are_found_again() {
    let test = a_lost_login_is_made_again_and_handles_are_found_again;
    in_own_process(test, SoftHsm::with_token, lost_login);
}

fn lost_login() {
    Runtime::new().unwrap().block_on(async {
        let (pool, events, child) = in_this_process().await;
        let key = softhsm::spend("hot");
        let made = pool.generate(&key, KeyAlgorithm::Secp256k1).await.unwrap();
        pool.register(made.key, made.public).unwrap();
        let _ = softhsm::sign(&pool, 1, &key).await.unwrap();
        own_session().logout().unwrap();
        for call in 2..10 {
            let _ = softhsm::sign(&pool, call, &key).await.unwrap();
        }
        assert!(pool.healthy());
        drop((pool, events));
        child.join().unwrap();
    });
}

/// The PIN is another one meanwhile.
pub(crate) fn lost_login_and_pin() {
    Runtime::new().unwrap().block_on(async {
        let (pool, mut events, child) = in_this_process().await;
        let key = softhsm::spend("hot");
        let made = pool.generate(&key, KeyAlgorithm::Secp256k1).await.unwrap();
        pool.register(made.key, made.public).unwrap();
        let session = own_session();
        session
            .set_pin(&softhsm::PIN.into(), &"99999999".into())
            .unwrap();
        session.logout().unwrap();
        // The child's code finalises the module once it ends, and a session is closed before that.
        drop(session);
        let error = softhsm::sign(&pool, 1, &key).await.unwrap_err();
        let failure = Failure::PinRejected;
        assert_eq!(error, SignError::Failed { call: 1, failure });
        let event = softhsm::soon(softhsm::next(&mut events)).await;
        assert_eq!(event, Some(PoolEvent::PinRejected(Failure::PinRejected)));
        assert!(!pool.healthy());
        let error = softhsm::sign(&pool, 2, &key).await.unwrap_err();
        assert_eq!(error, SignError::NoDevice);
        drop((pool, events));
        child.join().unwrap();
    });
}

/// A pool, and the child's code behind it. Its thread is to be joined: a process that ends while a thread is inside
/// the module crashes or waits for it without end.
async fn in_this_process() -> (KeyPool, Receiver<Told>, JoinHandle<()>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let child = thread::spawn(move || {
        let _end = child::serve(theirs, || {});
    });
    let (pool, mut events) = KeyPool::new(PoolConfig::default());
    softhsm::attach(&pool, ours, softhsm::hello(softhsm::PIN, 2))
        .await
        .unwrap();
    assert!(matches!(
        softhsm::next(&mut events).await,
        Some(PoolEvent::Ready(_))
    ));
    (pool, events, child)
}

/// A session beside those of the child's code: PKCS#11 state belongs to the process.
fn own_session() -> Session {
    let module = Pkcs11::new(softhsm::MODULE).unwrap();
    let slots = module.get_slots_with_initialized_token().unwrap();
    module.open_rw_session(slots[0]).unwrap()
}
