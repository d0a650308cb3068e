//! Limits by age, by who signed the intent and by the hour, on the real daemon and across its kills; and money that
//! goes around by own keys.

use api::signing::SignRequest;
use policy::statement;
use ssh_key::{PrivateKey, private::Ed25519Keypair};
use strongroom_softhsm_tests::{
    ask::request,
    bundle::FLEET,
    evm::{Draft, ETHER},
    world::{Client, World},
};

use crate::{
    clock::hours,
    support::{CUSTOMER, EVM, STRANGER, sender, transfer},
};

fn limit(name: &str, cap: &str, condition: &str) -> String {
    format!(
        "\n[[limit]]\nname = {name:?}\neffect = \"payment\"\nasset = \"eth\"\nmeasure = \"amount\"\n\
         window = \"24h\"\ncap = {cap:?}\n{condition}\n"
    )
}

fn pay(from: &str, to: &str, (id, nonce): (&str, u64), wei: u128) -> SignRequest {
    transfer(id, from, &Draft::transfer(nonce, to, wei))
}

/// The names of the limits that refuse it; nothing else does.
fn refused_by(client: &mut Client, request: &SignRequest) -> Vec<String> {
    let refused = client.refused(request);
    assert!(
        refused.reasons.iter().all(|one| one.code == "limit"),
        "{refused:?}"
    );
    let statements = refused.reasons.into_iter().filter_map(|one| one.statement);
    statements.collect()
}

#[test]
fn a_payment_of_nothing_much_ages_no_destination() {
    let world = World::with(|bundle| {
        bundle.append("books/customers.txt", &format!("{STRANGER}\n"));
        bundle.append(
            "statements.toml",
            &limit("young", "1 eth", "age_below = \"7d\""),
        );
    });
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&pay(&from, CUSTOMER, ("ages", 0), 1));
    daemon.kill();
    let _daemon = world.start();
    client.reconnect();
    let large = pay(&from, CUSTOMER, ("large", 1), 2 * ETHER);
    assert_eq!(refused_by(&mut client, &large), ["young"]);
    client.sign(&pay(&from, CUSTOMER, ("small", 1), ETHER / 2));
    // Another young one is as young, and they share what there is.
    let other = pay(&from, STRANGER, ("other", 2), ETHER);
    assert_eq!(refused_by(&mut client, &other), ["young"]);
    client.sign(&pay(&from, STRANGER, ("rest", 2), ETHER / 2 - 1));
}

fn desk(number: u8) -> PrivateKey {
    Ed25519Keypair::from_seed(&[60 + number; 32]).into()
}

/// The intent signed by one of the source's signers.
fn signed(mut request: SignRequest, by: &PrivateKey) -> SignRequest {
    for one in &mut request.intents {
        let text = statement::intent_text(&FLEET.parse().unwrap(), &one.intent);
        one.signatures = vec![statement::sign(&text, "strongroom-intent-v1", by).unwrap()];
    }
    request
}

#[test]
fn a_limit_counts_what_one_signer_signed_and_another_what_is_of_this_hour() {
    let line = |number| desk(number).public_key().to_openssh().unwrap();
    let world = World::with(|bundle| {
        bundle.replace(
            "accounts.toml",
            "name = \"payouts\"\nclients = [\"walletd\"]\n",
            &format!(
                "name = \"payouts\"\nclients = [\"walletd\"]\nsigners = [{:?}, {:?}]\n",
                line(1),
                line(2)
            ),
        );
        bundle.set("hours.toml", &hours());
        bundle.append(
            "statements.toml",
            &limit("first-desk", "1 eth", &format!("signed_by = {:?}", line(1))),
        );
        bundle.append(
            "statements.toml",
            &limit("these-days", "3 eth", "hours = \"today\""),
        );
        bundle.append(
            "statements.toml",
            &limit("other-days", "0.1 eth", "hours = \"later\""),
        );
    });
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let by = |number: u8, id: &str, nonce: u64, wei: u128| {
        signed(pay(&from, CUSTOMER, (id, nonce), wei), &desk(number))
    };
    client.sign(&by(1, "first", 0, ETHER));
    daemon.kill();
    let _daemon = world.start();
    client.reconnect();
    assert_eq!(
        refused_by(&mut client, &by(1, "again", 1, 1)),
        ["first-desk"]
    );
    client.sign(&by(2, "second", 1, 2 * ETHER));
    assert_eq!(
        refused_by(&mut client, &by(2, "third", 2, 1)),
        ["these-days"]
    );
    assert_eq!(
        refused_by(&mut client, &by(1, "both", 2, 1)),
        ["first-desk", "these-days"]
    );
    // Whoever has no key of the source counts for nobody.
    let stranger = client.refused(&by(3, "nobody", 2, 1));
    assert!(
        stranger
            .reasons
            .iter()
            .any(|one| one.code == "intent-unsigned"),
        "{stranger:?}"
    );
}

#[test]
fn what_goes_around_by_own_keys_counts_once_it_leaves_whichever_of_them_it_leaves() {
    let world = World::with(|bundle| {
        bundle.replace(
            "accounts.toml",
            "accounts = [\"eth-hot\", \"coin-hot\"]",
            "accounts = [\"eth-hot\", \"coin-hot\", \"vault\"]",
        );
        bundle.append(
            "accounts.toml",
            "\n[[edge]]\nfrom = \"hot\"\nto = \"hot\"\n",
        );
        bundle.append(
            "statements.toml",
            "\n[[allow]]\nname = \"around\"\neffect = \"own-transfer\"\naccount = [\"eth-hot\", \"vault\"]\n\
             asset = \"eth\"\nto = \"own-class:hot\"\n",
        );
        bundle.replace("statements.toml", "cap = \"20 eth\"", "cap = \"5 eth\"");
    });
    let daemon = world.start();
    let mut client = world.walletd();
    let (hot, vault) = (sender(&mut client), client.address("vault-1", EVM));
    let own = |id: &str, nonce: u64, from: &str, to: &str| {
        request(
            id,
            Draft::transfer(nonce, to, 30 * ETHER).from(from),
            vec![],
        )
    };
    client.sign(&pay(&hot, CUSTOMER, ("out-of-a", 0), 3 * ETHER));
    client.sign(&own("a-to-b", 1, &hot, &vault));
    daemon.kill();
    let daemon = world.start();
    client.reconnect();
    let over = pay(&vault, CUSTOMER, ("out-of-b", 0), 3 * ETHER);
    assert_eq!(refused_by(&mut client, &over), ["eth-day"]);
    client.sign(&pay(&vault, CUSTOMER, ("rest-of-b", 0), 2 * ETHER));
    client.sign(&own("b-to-a", 1, &vault, &hot));
    assert!(daemon.stop().success());
    let _daemon = world.start();
    client.reconnect();
    for (from, nonce, id) in [(&hot, 2, "a-again"), (&vault, 2, "b-again")] {
        let one = pay(from, CUSTOMER, (id, nonce), 1);
        assert_eq!(refused_by(&mut client, &one), ["eth-day"], "{id}");
    }
}
