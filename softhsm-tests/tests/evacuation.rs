//! What leaves under a freeze, once its people agree, and that nothing else does: on the real daemon, through kills.

use alloy_primitives::U256;
use api::{problem::ProblemKind, signing::SignRequest};
use policy::Entry;
use strongroom_softhsm_tests::{
    anvil::Anvil,
    ask::request,
    bundle::Bundle,
    coins::{self, Previous, foreign_script},
    evm::{Draft, ETHER, read_signed},
    records,
    signerd::Signerd,
    world::{Client, World, problem},
};

use crate::{
    intents::{self, Desk, bring, officer, only_need, register, signed, standing},
    proposals::{self, governance},
    support::{BITCOIN, CUSTOMER, EVM, coin_scripts, payment, raw, sender, transfer},
    transactions::{self, say},
};

/// Out into the vault, nonces given up, coins gathered: by two of three.
const WAYS_OUT: &str = r#"
[[allow]]
name = "to-the-vault"
effect = "own-transfer"
account = "eth-hot"
asset = "eth"
to = "own-class:cold"

[[evacuate]]
name = "empty"
effect = "own-transfer"
account = "eth-hot"
to = "own-class:cold"
need = { threshold = 2, people = ["ann", "ben", "cem"] }

[[evacuate]]
name = "empty-fees"
effect = "fee"
account = "eth-hot"
need = { threshold = 2, people = ["ann", "ben", "cem"] }

[[evacuate]]
name = "give-up"
effect = "cancellation"
account = "eth-hot"
need = { threshold = 2, people = ["ann", "ben", "cem"] }

[[evacuate]]
name = "gather"
effect = ["change", "fee"]
account = "coin-hot"
chain = "bitcoin:mainnet"
need = { threshold = 2, people = ["ann", "ben", "cem"] }
"#;

/// The vault is cold, and officers see where it is.
fn edit(bundle: &mut Bundle) {
    intents::edit(bundle);
    let vault = |class: &str| format!("name = \"vault\"\nclass = {class:?}");
    bundle.replace("accounts.toml", &vault("hot"), &vault("cold"));
    bundle.replace(
        "accounts.toml",
        "accounts = [\"eth-hot\"]",
        "accounts = [\"eth-hot\", \"vault\"]",
    );
    bundle.append(
        "accounts.toml",
        "\n[[edge]]\nfrom = \"hot\"\nto = \"cold\"\n",
    );
    bundle.append("statements.toml", WAYS_OUT);
}

fn freeze(officer: &mut Client, scope: &str, person: &str) {
    let statement = proposals::freeze(&governance(officer), scope, person);
    assert_eq!(proposals::bring(officer, &statement), 200);
}

/// It is refused for the freeze alone; the statements whose people would let it out.
fn frozen(client: &mut Client, request: &SignRequest) -> Vec<String> {
    let refused = client.refused(request);
    assert!(
        refused.reasons.iter().all(|one| one.code == "frozen"),
        "{refused:?}"
    );
    assert!(!refused.reasons.is_empty());
    refused.needs.into_iter().map(|one| one.statement).collect()
}

fn killed(world: &World, daemon: Signerd, clients: [&mut Client; 2]) -> Signerd {
    daemon.kill();
    let daemon = world.start();
    for client in clients {
        client.reconnect();
    }
    daemon
}

#[test]
fn under_a_freeze_people_empty_a_hot_account_into_a_cold_one_and_nothing_else_leaves() {
    let world = World::with(edit);
    let anvil = Anvil::start(world.folder());
    let daemon = world.start();
    let (mut client, mut officer) = (world.walletd(), officer(&world));
    let from = sender(&mut client);
    let vault = officer.address("vault-1", EVM);
    anvil.fund(&from, U256::from(10 * ETHER));
    let pay = |id: &str, nonce| transfer(id, &from, &Draft::transfer(nonce, CUSTOMER, ETHER));
    let first = client.sign(&pay("first", 0));
    assert_eq!(anvil.send(&raw(&first)).unwrap()["status"], "0x1");
    freeze(&mut officer, "everything", "ann");

    let second = pay("second", 1);
    let out = transfer("out", &from, &Draft::transfer(1, &vault, 5 * ETHER));
    assert_eq!(frozen(&mut client, &out), ["empty", "empty-fees"]);
    frozen(&mut client, &second);
    let need = only_need(&register(&mut client, &out)).clone();
    assert_eq!(need.asked_by, ["evacuate empty", "evacuate empty-fees"]);
    assert_eq!(
        bring(&mut officer, &out, &signed(&need.approve, "dan")),
        422
    );
    assert_eq!(
        bring(&mut officer, &out, &signed(&need.approve, "ann")),
        200
    );
    frozen(&mut client, &out);
    let daemon = killed(&world, daemon, [&mut client, &mut officer]);
    let stands = standing(&mut officer, &out);
    assert_eq!(only_need(&stands).counted, ["ann"]);
    let ben = signed(&only_need(&stands).approve, "ben");
    assert_eq!(bring(&mut officer, &out, &ben), 200);
    // The same two can agree to the fee of a payment, and no evacuate names the payment.
    let fee = only_need(&register(&mut client, &second)).approve.clone();
    for person in ["ann", "ben"] {
        assert_eq!(bring(&mut officer, &second, &signed(&fee, person)), 200);
    }
    assert_eq!(frozen(&mut client, &second), Vec::<String>::new());
    // What they agreed to is this much to this place.
    let more = transfer("out", &from, &Draft::transfer(1, &vault, 6 * ETHER));
    let codes = client.refused(&more).reasons.into_iter();
    assert!(codes.map(|one| one.code).any(|one| one == "intent-reused"));

    let left = client.sign(&out);
    let receipt = anvil.send(&raw(&left)).unwrap();
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    assert_eq!(anvil.balance(&vault), U256::from(5 * ETHER));
    let daemon = killed(&world, daemon, [&mut client, &mut officer]);
    assert_eq!(governance(&mut officer).freezes.len(), 1);
    assert_eq!(raw(&client.sign(&out)), raw(&left), "it is given out again");
    frozen(&mut client, &pay("third", 2));
    // A freeze that comes later holds what was let out before it.
    freeze(&mut officer, "account eth-hot", "cem");
    assert_eq!(problem(&client.send(&out)).kind, ProblemKind::Withheld);
    assert!(daemon.stop().success());
    let records = records::read(&world.data());
    let met = records.iter().rev().find_map(|record| match &record.entry {
        Entry::Attempt(attempt) => Some(attempt.met.clone()),
        _ => None,
    });
    let met: Vec<_> = met.unwrap().into_values().collect();
    assert_eq!(
        met,
        [["ann", "ben"].map(|name| name.parse().unwrap()).into()]
    );
}

#[test]
fn under_a_freeze_people_let_a_nonce_be_given_up_and_coins_be_gathered() {
    let world = World::with(edit);
    let daemon = world.start();
    let (mut client, mut officer) = (world.walletd(), officer(&world));
    let from = sender(&mut client);
    let scripts = coin_scripts(&mut client);
    let stuck = transfer("stuck", &from, &Draft::transfer(0, CUSTOMER, ETHER));
    let attempt = client.sign(&stuck).attempt;
    freeze(&mut officer, "everything", "ben");
    assert_eq!(problem(&client.send(&stuck)).kind, ProblemKind::Withheld);

    let draft = Draft::transfer(0, &from, 0);
    let draft = Draft {
        price: 2 * draft.price,
        tip: 2 * draft.tip,
        ..draft
    };
    let give_up = SignRequest {
        replaces: vec![attempt],
        ..request("give-up", draft.from(&from), Vec::new())
    };
    let coins = [
        Previous::invented(1, 70_000_000, &scripts[0]),
        Previous::invented(2, 50_000_000, &scripts[1]),
    ];
    let psbt = coins::psbt(&coins, &[(119_990_000, scripts[2].clone())]);
    let gather = request("gather", coins::on(BITCOIN, &psbt), Vec::new());
    let strange = [(1_000_000, foreign_script(9))];
    let other = [Previous::invented(3, 1_005_000, &scripts[0])];
    let (_, paying) = payment("paying", BITCOIN, &other, &strange);

    let entries = [
        (&give_up, &["evacuate empty-fees", "evacuate give-up"][..]),
        (&gather, &["evacuate gather"][..]),
    ]
    .map(|(request, asked_by)| {
        frozen(&mut client, request);
        let registered = transactions::register(&mut client, request);
        assert_eq!(registered.needs.len(), 1, "{registered:?}");
        assert_eq!(registered.needs[0].asked_by, asked_by);
        registered.entry
    });
    let desk = Desk::of(&world);
    for entry in entries {
        let (done, said) = say(&desk, "approve", entry, "cem");
        assert!(done, "{said}");
        let (done, said) = say(&desk, "approve", entry, "dan");
        assert!(!done, "{said}");
    }
    frozen(&mut client, &give_up);
    frozen(&mut client, &gather);
    let daemon = killed(&world, daemon, [&mut client, &mut officer]);
    for entry in entries {
        let (done, said) = say(&desk, "approve", entry, "ann");
        assert!(done, "{said}");
    }
    let given_up = raw(&client.sign(&give_up));
    assert_eq!(read_signed(&given_up).0, from);
    let gathered = raw(&client.sign(&gather));
    coins::verify(&psbt, &gathered).unwrap();
    frozen(&mut client, &paying);
    let daemon = killed(&world, daemon, [&mut client, &mut officer]);
    assert_eq!(raw(&client.sign(&give_up)), given_up);
    assert_eq!(raw(&client.sign(&gather)), gathered);
    assert_eq!(problem(&client.send(&stuck)).kind, ProblemKind::Withheld);
    assert!(daemon.stop().success());
}
