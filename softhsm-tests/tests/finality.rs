//! Attesters say what is final, and `max_ahead` counts from there, on the real daemon.

use api::{problem::ProblemKind, signing::Statement};
use policy::statement::{self, Attestation, Seen};
use ssh_key::{PrivateKey, private::Ed25519Keypair};
use strongroom_softhsm_tests::{
    bundle::{Bundle, FLEET},
    evm::Draft,
    world::{Client, World, problem},
};
use tx::{Address, Time};

use crate::support::{CUSTOMER, EVM, sender, transfer};

fn key(number: u8) -> PrivateKey {
    Ed25519Keypair::from_seed(&[40 + number; 32]).into()
}

/// Two nonces ahead of what two of the attesters f1, f2 and f3 say is final.
fn edit(bundle: &mut Bundle) {
    bundle.replace("accounts.toml", "max_ahead = 5000", "max_ahead = 2");
    let mut text = String::new();
    for number in 1..=3 {
        let line = key(number).public_key().to_openssh().unwrap();
        text.push_str(&format!(
            "[[attester]]\nname = \"f{number}\"\nkeys = {line:?}\nsays = \"final\"\n"
        ));
    }
    bundle.set("finality.toml", &text);
}

/// What attester `who` says, signed by the key of `by`.
fn said(number: u64, (who, by): (u8, u8), account: &str, next: u64) -> Statement {
    let attestation = Attestation {
        fleet: FLEET.parse().unwrap(),
        number,
        attester: format!("f{who}").parse().unwrap(),
        at: now(),
        seen: Seen::Final {
            account: Address::parse(EVM, account).unwrap(),
            next,
        },
    };
    let namespace = attestation.header().namespace();
    let text = attestation.to_string();
    Statement {
        signatures: vec![statement::sign(&text, &namespace, &key(by)).unwrap()],
        statement: text,
    }
}

fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Time::from_millis(u64::try_from(since.unwrap().as_millis()).unwrap())
}

fn status(client: &mut Client, statement: &Statement) -> u16 {
    let body = serde_json::to_vec(statement).unwrap();
    let answer = client.post("/v1/statements", &body);
    if answer.status != 200 {
        assert_eq!(problem(&answer).kind, ProblemKind::StatementRefused);
    }
    answer.status
}

/// Whether the nonce is signed; where it is not, it is for its sequence.
fn signs(client: &mut Client, from: &str, nonce: u64, try_: u32) -> bool {
    let draft = Draft::transfer(nonce, CUSTOMER, 1);
    let answer = client.send(&transfer(&format!("pay-{nonce}-{try_}"), from, &draft));
    if answer.status == 200 {
        return true;
    }
    let refused = problem(&answer);
    let codes: Vec<_> = refused
        .reasons
        .iter()
        .map(|one| one.code.as_str())
        .collect();
    assert_eq!(codes, ["sequence"], "{refused:?}");
    false
}

#[test]
fn nonces_go_on_by_what_enough_attesters_say_and_a_restart_keeps_it() {
    let world = World::with(edit);
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    assert!(signs(&mut client, &from, 0, 0) && signs(&mut client, &from, 1, 0));
    assert!(!signs(&mut client, &from, 2, 0));
    // One of three is not enough; neither is somebody else's key, or what was never signed.
    assert_eq!(status(&mut client, &said(1, (1, 1), &from, 1)), 200);
    assert!(!signs(&mut client, &from, 2, 1));
    assert_eq!(status(&mut client, &said(1, (2, 3), &from, 1)), 422);
    assert_eq!(status(&mut client, &said(1, (2, 2), &from, 9)), 422);
    assert!(!signs(&mut client, &from, 2, 2));
    assert_eq!(status(&mut client, &said(1, (2, 2), &from, 1)), 200);
    assert!(signs(&mut client, &from, 2, 3));
    assert!(!signs(&mut client, &from, 3, 0));
    daemon.stop();

    let _daemon = world.start();
    let mut client = world.walletd();
    assert!(!signs(&mut client, &from, 3, 1));
    assert_eq!(status(&mut client, &said(2, (3, 3), &from, 3)), 200);
    assert_eq!(status(&mut client, &said(2, (1, 1), &from, 2)), 200);
    // Two of three say that two are final, and one that three are.
    assert!(signs(&mut client, &from, 3, 2));
    assert!(!signs(&mut client, &from, 4, 0));
}
