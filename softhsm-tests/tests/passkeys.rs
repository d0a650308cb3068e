//! People approve by passkeys, on the real daemon.

use api::{
    intents::{ApprovalRequest, PasskeyAssertion},
    signing::SignRequest,
};
use policy::Entry;
use strongroom_softhsm_tests::{
    authenticator::{Authenticator, Made},
    bundle::Bundle,
    evm::{Draft, ETHER},
    records,
    world::World,
};

use crate::{
    intents::{bring, edit, is_pending, officer, only_need, path, register, signed, standing},
    support::{CUSTOMER, sender, transfer},
};

const ORIGIN: &str = "https://approve.strongroom.test:8443";

/// What needs people, with a page and passkeys of ann, who also has a key, and of eva, who has none.
fn with_passkeys(bundle: &mut Bundle) {
    edit(bundle);
    let need = "people = [\"ann\", \"ben\", \"cem\"]";
    let needed = "people = [\"ann\", \"ben\", \"eva\"], passkeys = \"count\"";
    bundle.replace("statements.toml", need, needed);
    bundle.append(
        "accounts.toml",
        &format!(
            "\n[approval_page]\norigin = {ORIGIN:?}\n\n[[person]]\nname = \"eva\"\npasskeys = [{:?}]\n",
            eva().line()
        ),
    );
    let name = "name = \"ann\"\n";
    let passkeys = format!("{name}passkeys = [{:?}]\n", ann().line());
    bundle.replace("people.toml", name, &passkeys);
}

fn ann() -> Authenticator {
    Authenticator::es256(11, ORIGIN)
}

fn eva() -> Authenticator {
    Authenticator::eddsa(12, ORIGIN)
}

fn by_passkey(text: &str, made: Made) -> ApprovalRequest {
    let Made {
        authenticator_data,
        client_data,
        signature,
    } = made;
    ApprovalRequest {
        statement: text.into(),
        signatures: vec![],
        passkey: Some(PasskeyAssertion {
            authenticator_data,
            client_data,
            signature,
        }),
    }
}

#[test]
fn a_passkey_and_a_key_of_two_people_let_the_payment_be_signed() {
    let world = World::with(with_passkeys);
    let daemon = world.start();
    let (mut client, mut officer) = (world.walletd(), officer(&world));
    let from = sender(&mut client);
    let large = transfer("large", &from, &Draft::transfer(0, CUSTOMER, 6 * ETHER));
    let registered = register(&mut client, &large);
    assert_eq!(registered.approval_page.as_deref(), Some(ORIGIN));
    assert_eq!(registered.in_books, ["customers"]);
    let need = only_need(&registered);
    assert_eq!(need.passkeys, "count");
    let text = need.approve.clone();
    let good = by_passkey(&text, eva().asserts(&text));
    assert_eq!(bring(&mut officer, &large, &good), 200);
    assert_eq!(bring(&mut officer, &large, &good), 422, "said already");
    // Whatever ann signs with, she is one.
    let by_key = signed(&text, "ann");
    assert_eq!(bring(&mut officer, &large, &by_key), 200);
    daemon.kill();
    let daemon = world.start();
    client.reconnect();
    officer.reconnect();
    let stands = standing(&mut officer, &large);
    assert_eq!(only_need(&stands).counted, ["ann", "eva"]);
    client.sign(&large);
    assert!(daemon.stop().success());
    let records = records::read(&world.data());
    let said = records.iter().filter_map(|record| match &record.entry {
        Entry::IntentDecided(decided) => Some(decided.passkey.is_some()),
        _ => None,
    });
    assert_eq!(said.collect::<Vec<_>>(), [true, false]);
}

#[test]
fn an_assertion_of_anything_else_counts_for_nothing() {
    let world = World::with(with_passkeys);
    let _daemon = world.start();
    let (mut client, mut officer) = (world.walletd(), officer(&world));
    let from = sender(&mut client);
    let large = transfer("large", &from, &Draft::transfer(0, CUSTOMER, 6 * ETHER));
    let other = transfer("other", &from, &Draft::transfer(0, CUSTOMER, 7 * ETHER));
    let text = only_need(&register(&mut client, &large)).approve.clone();
    register(&mut client, &other);
    let refused = |officer: &mut _, request: &SignRequest, body: &ApprovalRequest, why: &str| {
        assert_eq!(bring(officer, request, body), 422, "{why}");
    };
    let elsewhere = Authenticator {
        origin: "https://walletd.strongroom.test:8443".into(),
        ..eva()
    };
    let of_another = Authenticator {
        rp_id: "strongroom.test".into(),
        ..eva()
    };
    let unverified = Authenticator {
        flags: 0x01,
        ..eva()
    };
    let stranger = Authenticator::eddsa(13, ORIGIN);
    for (device, why) in [
        (&elsewhere, "origin"),
        (&of_another, "relying party"),
        (&unverified, "nobody was verified"),
        (&stranger, "nobody's"),
    ] {
        let body = by_passkey(&text, device.asserts(&text));
        refused(&mut officer, &large, &body, why);
    }
    let good = by_passkey(&text, eva().asserts(&text));
    refused(&mut officer, &other, &good, "of another intent");
    let changed = text.replace("units 6 eth", "units 5 eth");
    let body = by_passkey(&changed, eva().asserts(&changed));
    refused(&mut officer, &large, &body, "a changed text");
    let body = by_passkey(&text, eva().asserts(&changed));
    refused(&mut officer, &large, &body, "the challenge of another text");
    let mut both = good.clone();
    both.signatures = signed(&text, "ann").signatures;
    refused(&mut officer, &large, &both, "two forms");
    let neither = ApprovalRequest {
        passkey: None,
        ..good.clone()
    };
    refused(&mut officer, &large, &neither, "no form");
    // A part that is not known is malformed, and none of it counted.
    let mut body = serde_json::to_value(&good).unwrap();
    body["passkey"]["user_handle"] = "eva".into();
    let bytes = serde_json::to_vec(&body).unwrap();
    let approvals = format!("{}/approvals", path(&large));
    assert_eq!(officer.post(&approvals, &bytes).status, 400);
    let stands = standing(&mut officer, &large);
    assert!(only_need(&stands).decided.is_empty());
    assert!(is_pending(&mut client, &large));
    // And one rejection by a passkey closes the intent.
    let reject = only_need(&stands).reject.clone();
    let body = by_passkey(&reject, ann().asserts(&reject));
    assert_eq!(bring(&mut officer, &large, &body), 200);
    assert!(standing(&mut officer, &large).closed_by.is_some());
    assert_eq!(client.refused(&large).reasons[0].code, "intent-closed");
}
