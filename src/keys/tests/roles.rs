//! The parts that need a process of their own. They are ignored: the tests run them by name, with
//! an environment that makes sense.

use std::{
    io,
    os::{fd::AsFd, unix::net::UnixStream},
    thread,
};

use cryptoki::{context::Pkcs11, session::Session};
use tokio::runtime::Runtime;

use super::{admin, measure, softhsm};
use crate::{KeyAlgorithm, KeyPool, PoolConfig, PoolEvent, SignError, child, protocol::Failure};

/// As `signerd --role key-child` does: the socket is the standard input.
#[test]
#[ignore = "a part played in a process of its own"]
fn key_child() {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned().unwrap());
    std::process::exit(child::serve(socket) as i32);
}

#[test]
#[ignore = "a part played in a process of its own"]
fn wrong_attributes() {
    crate::token::tests::every_wrong_attribute_is_refused_by_name();
}

#[test]
#[ignore = "a part played in a process of its own"]
fn imported_key() {
    crate::token::tests::an_imported_key_is_refused();
}

#[test]
#[ignore = "a part played in a process of its own"]
fn raw_signatures() {
    crate::token::tests::the_device_signs_as_its_profile_says();
}

#[test]
#[ignore = "a part played in a process of its own"]
fn operator() {
    admin::operator();
}

#[test]
#[ignore = "a part played in a process of its own"]
fn measure_raw() {
    measure::raw();
}

/// The child's code in a thread of this process, so that this process can take its login away.
#[test]
#[ignore = "a part played in a process of its own"]
fn lost_login() {
    Runtime::new().unwrap().block_on(async {
        let (pool, _events) = in_this_process().await;
        let key = softhsm::spend("hot");
        let made = pool.generate(&key, KeyAlgorithm::Secp256k1).await.unwrap();
        pool.register(made.key, made.public).unwrap();
        let _ = softhsm::sign(&pool, 1, &key).await.unwrap();
        own_session().logout().unwrap();
        for call in 2..10 {
            let _ = softhsm::sign(&pool, call, &key).await.unwrap();
        }
        assert!(pool.healthy());
    });
}

/// As [`lost_login`], but the PIN is another one meanwhile.
#[test]
#[ignore = "a part played in a process of its own"]
fn lost_login_and_pin() {
    Runtime::new().unwrap().block_on(async {
        let (pool, mut events) = in_this_process().await;
        let key = softhsm::spend("hot");
        let made = pool.generate(&key, KeyAlgorithm::Secp256k1).await.unwrap();
        pool.register(made.key, made.public).unwrap();
        let session = own_session();
        session
            .set_pin(&softhsm::PIN.into(), &"99999999".into())
            .unwrap();
        session.logout().unwrap();
        let error = softhsm::sign(&pool, 1, &key).await.unwrap_err();
        let failure = Failure::PinRejected;
        assert_eq!(error, SignError::Failed { call: 1, failure });
        let event = softhsm::soon(events.recv()).await;
        assert_eq!(event, Some(PoolEvent::PinRejected(Failure::PinRejected)));
        assert!(!pool.healthy());
        let error = softhsm::sign(&pool, 2, &key).await.unwrap_err();
        assert_eq!(error, SignError::NoDevice);
    });
}

async fn in_this_process() -> (KeyPool, tokio::sync::mpsc::Receiver<PoolEvent>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    thread::spawn(move || child::serve(theirs));
    let (pool, mut events) = KeyPool::new(PoolConfig::default());
    softhsm::attach(&pool, ours, softhsm::hello(softhsm::PIN, 2))
        .await
        .unwrap();
    assert!(matches!(events.recv().await, Some(PoolEvent::Ready(_))));
    (pool, events)
}

/// A session beside those of the child's code: PKCS#11 state belongs to the process.
fn own_session() -> Session {
    let module = Pkcs11::new(softhsm::MODULE).unwrap();
    let slots = module.get_slots_with_initialized_token().unwrap();
    module.open_rw_session(slots[0]).unwrap()
}
