//! Until `strongroom keys` is there: its work, in a process of its own.

use keys::{
    KeyAlgorithm, KeyId, KeyPurpose, Profile,
    admin::{Credentials, NewToken, Operator, init_token},
    protocol::{Pin, Text},
};
use strongroom_softhsm_tests::token::{LABEL, MODULE, PIN, profile};

#[test]
#[ignore = "a part that another test plays"]
fn play() {
    let Ok(names) = std::env::var("TOKEN_KEYS") else {
        return;
    };
    let essentials = || Profile::read(&profile()).unwrap().essentials().unwrap();
    init_token(&NewToken {
        module: MODULE.into(),
        label: Text::new(LABEL).unwrap(),
        so_pin: Pin::new("97531864").unwrap(),
        user_pin: Pin::new(PIN).unwrap(),
        profile: essentials(),
    })
    .unwrap();
    let operator = Operator::log_in(&Credentials {
        module: MODULE.into(),
        token: keys::TokenSelector {
            label: Text::new(LABEL).unwrap(),
            serial: None,
        },
        pin: Pin::new(PIN).unwrap(),
        profile: essentials(),
    })
    .unwrap();
    for name in names.split(',') {
        let key = KeyId {
            purpose: KeyPurpose::Spend,
            name: name.parse().unwrap(),
        };
        operator.generate(&key, KeyAlgorithm::Secp256k1).unwrap();
    }
    operator.log_out().unwrap();
}
