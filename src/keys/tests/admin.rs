//! What an operator does by hand.

use super::softhsm::{
    LABEL, MODULE, PIN, SO_PIN, SoftHsm, in_own_process, profile, selector, spend,
};
use crate::{
    Backend, KeyAlgorithm, KeyId, KeyPurpose,
    admin::{Credentials, NewToken, Operator, init_token},
    protocol::{Failure, Pin, Text},
};

#[test]
fn a_token_is_initialised_and_keys_are_made_and_listed() {
    let test = a_token_is_initialised_and_keys_are_made_and_listed;
    let Some(softhsm) = in_own_process(test, SoftHsm::empty, operator) else {
        return;
    };
    let shown = softhsm.pkcs11_tool(&["--list-objects", "--type", "pubkey"]);
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains("strongroom:spend:hot"), "{text}");
}

fn operator() {
    let new = NewToken {
        module: MODULE.into(),
        label: Text::new(LABEL).unwrap(),
        factory_so_pin: None,
        so_pin: Pin::new(SO_PIN).unwrap(),
        user_pin: Pin::new(PIN).unwrap(),
        profile: profile().essentials().unwrap(),
    };
    let identity = init_token(&new).unwrap();
    assert_eq!(identity.label.as_str(), LABEL);
    assert!(!identity.serial.as_str().is_empty());
    assert_eq!(init_token(&new), Err(Failure::TokenAmbiguous));

    let credentials = |pin| Credentials {
        backend: Backend::Module(Text::new(MODULE).unwrap()),
        token: selector(),
        pin: Pin::new(pin).unwrap(),
        profile: profile().essentials().unwrap(),
    };
    let refused = Operator::log_in(&credentials("00000000"));
    assert_eq!(refused.unwrap_err(), Failure::PinRejected);
    let operator = Operator::log_in(&credentials(PIN)).unwrap();
    assert_eq!(operator.identity(), &identity);
    let hot = spend("hot");
    let log = KeyId {
        purpose: KeyPurpose::Checkpoint,
        name: "log".parse().unwrap(),
    };
    let made = operator.generate(&hot, KeyAlgorithm::Secp256k1).unwrap();
    operator.generate(&log, KeyAlgorithm::Ed25519).unwrap();
    let again = operator.generate(&hot, KeyAlgorithm::Secp256k1);
    assert_eq!(again, Err(Failure::KeyExists));
    let listed = operator.list().unwrap();
    let ids: Vec<_> = listed.iter().map(|key| key.key.clone()).collect();
    assert_eq!(ids, [Some(log), Some(hot)]);
    assert_eq!(listed[1].usable, Ok(made.public));
    operator.log_out().unwrap();
}
