//! A rejected PIN is final until a person acts.

use std::io::{Read, Write};

use super::{
    device::TestDevice,
    login,
    softhsm::{self, MODULE, SoftHsm, in_own_process, next, soon},
};
use crate::{
    Backend, KeyPool, PoolConfig, PoolEvent,
    pool::AttachError,
    protocol::{Answer, Failure, Frame, Inbox, Request, Text},
};

const WRONG: &str = "99999999";

/// The token's flags as OpenSC shows them.
fn flags(softhsm: &SoftHsm) -> String {
    let shown = softhsm.tool("pkcs11-tool", &["--module", MODULE, "--list-token-slots"]);
    let text = String::from_utf8(shown.stdout).unwrap();
    let line = text.lines().find(|line| line.contains("token flags"));
    line.unwrap().to_owned()
}

#[tokio::test]
async fn a_wrong_pin_is_reported_and_ends_the_child() {
    let softhsm = SoftHsm::with_token();
    assert!(!flags(&softhsm).contains("user PIN count low"));
    let (pool, mut events) = KeyPool::new(PoolConfig::default());
    let (child, socket) = softhsm.start_child();
    let refused = soon(softhsm::attach(&pool, socket, softhsm::hello(WRONG, 2))).await;
    assert!(matches!(
        refused,
        Err(AttachError::Failed(Failure::PinRejected))
    ));
    assert_eq!(
        next(&mut events).await,
        Some(PoolEvent::PinRejected(Failure::PinRejected))
    );
    assert!(!pool.healthy());
    assert_eq!(child.ended().code(), Some(77));
    assert!(
        flags(&softhsm).contains("user PIN count low"),
        "{}",
        flags(&softhsm)
    );
}

/// Whatever is asked after the rejection, the device sees one login.
#[test]
fn a_rejected_pin_is_not_sent_again() {
    let softhsm = SoftHsm::with_token();
    let (child, mut socket) = softhsm.start_spied_child();
    let mut inbox = Inbox::default();
    let mut ask = |correlation, message| {
        let mut bytes = Vec::new();
        Frame {
            correlation,
            message,
        }
        .append_to(&mut bytes);
        socket.write_all(&bytes).unwrap();
        loop {
            if let Some(frame) = inbox.frame::<Answer>().unwrap() {
                assert_eq!(frame.correlation, correlation);
                return frame.message;
            }
            let length = socket.read(inbox.spare()).unwrap();
            assert!(length > 0, "the child ended");
            inbox.received(length);
        }
    };
    let rejected = Answer::Failed(Failure::PinRejected);
    let hello = || {
        let mut hello = softhsm::hello(WRONG, 2);
        hello.backend = Backend::Module(Text::new(softhsm::SPY).unwrap());
        Request::Hello(hello)
    };
    assert_eq!(ask(1, hello()), rejected);
    let key = softhsm::spend("a");
    assert_eq!(ask(2, Request::Health), rejected);
    assert_eq!(ask(3, Request::Find { key }), rejected);
    assert_eq!(ask(4, hello()), rejected);
    drop(socket);
    assert_eq!(child.ended().code(), Some(77));
    assert_eq!(softhsm.spied("C_Initialize"), 1, "the spy sees calls");
    assert_eq!(softhsm.spied("C_Login"), 1);
}

#[test]
fn a_pin_that_changed_meanwhile_is_final_too() {
    let test = a_pin_that_changed_meanwhile_is_final_too;
    in_own_process(test, SoftHsm::with_token, login::lost_login_and_pin);
}
