//! What officers say by the command line, to the real daemon: freezes, and vetoes of bundles and books.

use std::process::Command;

use api::{problem::ProblemKind, signing::SignRequest};
use serde_json::{Value, json};
use strongroom_softhsm_tests::{
    evm::Draft,
    program::{binary, output},
    world::{Client, World, problem},
};

use crate::{
    books,
    intents::Desk,
    proposals::{self, governance, officer, reload},
    support::{CUSTOMER, EVM, STRANGER, sender, transfer},
};

/// Besides the customers' book.
const PAY_PARTNER: &str = r#"
[[allow]]
name = "pay-partner"
effect = "payment"
source = "payouts"
account = "eth-hot"
asset = "eth"
"#;

/// `strongroom policy …` with an officer's client, and the keys of these people; its answer, or its error.
fn says(world: &World, words: &[&str], people: &[&str]) -> Result<Value, Value> {
    let desk = Desk::of(world);
    let (certificate, key) = world.pki.files("auditor");
    let mut command = Command::new(binary("strongroom"));
    command.args(["--json", "policy"]).args(words);
    command.arg("--connect").arg(world.api().to_string());
    command.arg("--ca").arg(world.pki.authority());
    command.arg("--certificate").arg(certificate);
    command.arg("--key").arg(key);
    for person in people {
        command.arg("--officer-key").arg(desk.private(person));
    }
    let output = output(&mut command);
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout).unwrap());
    }
    let said: Value = serde_json::from_slice(&output.stderr).unwrap();
    Err(said["error"].clone())
}

/// The name of why it is refused.
fn refused(world: &World, words: &[&str], people: &[&str]) -> String {
    let error = says(world, words, people).expect_err("a refusal");
    error["type"].as_str().unwrap().to_owned()
}

fn scopes(officer: &mut Client) -> Vec<String> {
    officer.reconnect();
    let freezes = governance(officer).freezes;
    freezes.into_iter().map(|one| one.scope).collect()
}

/// A statement that was printed, signed by hand with `ssh-keygen`.
fn signed_by_hand(world: &World, printed: &Value, person: &str) -> String {
    let text = world.folder().join(format!("statement-of-{person}"));
    std::fs::write(&text, printed["statement"].as_str().unwrap()).unwrap();
    let namespace = printed["namespace"].as_str().unwrap();
    let private = Desk::of(world).private(person);
    let signs = ["-Y", "sign", "-n", namespace, "-f"];
    let mut command = Command::new("ssh-keygen");
    let made = output(command.args(signs).arg(private).arg(&text));
    assert!(made.status.success());
    format!("{}.sig", text.display())
}

#[test]
fn an_officer_freezes_by_hand_and_enough_of_them_lift_it() {
    let world = proposals::world(proposals::LONG);
    let daemon = world.start();
    let (mut client, mut officer) = (world.walletd(), officer(&world));
    let from = sender(&mut client);
    let pay = |nonce| {
        transfer(
            &format!("pay-{nonce}"),
            &from,
            &Draft::transfer(nonce, CUSTOMER, 1),
        )
    };
    client.sign(&pay(0));

    // What is no scope, what is one of nothing here, who is no officer, and what is not frozen.
    assert_eq!(
        refused(&world, &["freeze", "hot accounts"], &["ann"]),
        "usage"
    );
    assert_eq!(
        refused(&world, &["freeze", "own-class warm"], &["ann"]),
        "usage"
    );
    for nothing in [
        "account eth-hott",
        "chain eip155:1",
        "key eth-11",
        "book customer",
        "own-class cold",
    ] {
        let why = says(&world, &["freeze", nothing], &["ann"]).unwrap_err();
        assert_eq!(why["type"], "statement-refused", "{why}");
        assert!(why.to_string().contains("nothing here is in"), "{why}");
    }
    let scope = "account eth-hot";
    assert_eq!(
        refused(&world, &["freeze", scope], &["dan"]),
        "statement-refused"
    );
    assert_eq!(
        refused(&world, &["unfreeze", scope], &["ann", "ben"]),
        "policy-not-frozen"
    );
    assert_eq!(scopes(&mut officer), Vec::<String>::new());
    client.sign(&pay(1));

    let said = says(&world, &["freeze", scope], &["ann"]).unwrap();
    assert!(
        said["statement"]
            .as_str()
            .unwrap()
            .contains("\nscope account eth-hot\n"),
        "{said}"
    );
    assert_eq!(
        refused(&world, &["freeze", scope], &["ben"]),
        "statement-refused"
    );
    assert_eq!(client.refused(&pay(2)).reasons[0].code, "frozen");
    assert_eq!(problem(&client.send(&pay(1))).kind, ProblemKind::Withheld);
    // Another one without a key at this machine.
    let printed = says(&world, &["freeze", "chain litecoin:regtest"], &[]).unwrap();
    assert_eq!(printed["namespace"], "strongroom-freeze-v1");
    let by_hand = signed_by_hand(&world, &printed, "cem");
    let brings = ["freeze", "chain litecoin:regtest", "--signature", &by_hand];
    says(&world, &brings, &[]).unwrap();
    daemon.kill();
    let daemon = world.start();
    client.reconnect();
    assert_eq!(scopes(&mut officer), [scope, "chain litecoin:regtest"]);
    let status = says(&world, &["status"], &[]).unwrap();
    assert_eq!(status["freezes"][0]["scope"], scope);

    lifted_by_enough(&world, (&mut client, &pay(2)), scope);
    assert_eq!(scopes(&mut officer), ["chain litecoin:regtest"]);
    assert!(daemon.stop().success());
}

fn lifted_by_enough(world: &World, (client, pay): (&mut Client, &SignRequest), scope: &str) {
    // One is not enough, and one who is no officer is none.
    for few in [&["ann"][..], &["ann", "dan"], &["ann", "ann"]] {
        assert_eq!(
            refused(world, &["unfreeze", scope], few),
            "statement-refused"
        );
    }
    assert_eq!(client.refused(pay).reasons[0].code, "frozen");
    // One at this machine, one elsewhere.
    let printed = says(world, &["unfreeze", scope], &[]).unwrap();
    assert_eq!(printed["namespace"], "strongroom-unfreeze-v1");
    let by_hand = signed_by_hand(world, &printed, "ben");
    says(
        world,
        &["unfreeze", scope, "--signature", &by_hand],
        &["cem"],
    )
    .unwrap();
    client.sign(pay);
}

#[test]
fn what_goes_to_a_frozen_book_is_neither_signed_nor_given_out() {
    let world = World::with(|bundle| {
        let (verbs, more) = ("verbs = [\"keys\"]", "verbs = [\"keys\", \"govern\"]");
        bundle.replace("accounts.toml", verbs, more);
        bundle.append(
            "statements.toml",
            &format!("{PAY_PARTNER}to = \"address:{EVM}:{STRANGER}\"\n"),
        );
    });
    let mut daemon = world.start();
    let (mut client, mut officer) = (world.walletd(), officer(&world));
    let from = sender(&mut client);
    let pay = |id: &str, nonce, to| transfer(id, &from, &Draft::transfer(nonce, to, 1));
    client.sign(&pay("to-book", 0, CUSTOMER));
    client.sign(&pay("to-partner", 1, STRANGER));
    let scope = "book customers";
    says(&world, &["freeze", scope], &["ann"]).unwrap();
    for round in 0..2 {
        assert_eq!(scopes(&mut officer), [scope]);
        let held = client.refused(&pay("more-to-book", 2, CUSTOMER));
        assert_eq!(held.reasons.len(), 1, "{held:?}");
        assert_eq!(held.reasons[0].detail, "book customers is frozen");
        let stored = client.send(&pay("to-book", 0, CUSTOMER));
        assert_eq!(problem(&stored).kind, ProblemKind::Withheld, "{round}");
        client.sign(&pay("to-partner", 1, STRANGER));
        daemon.kill();
        daemon = world.start();
        client.reconnect();
    }
    client.sign(&pay("more-to-partner", 2, STRANGER));
    lifted_by_enough(&world, (&mut client, &pay("lifted", 3, CUSTOMER)), scope);
    let stored = client.send(&pay("to-book", 0, CUSTOMER));
    assert_eq!(problem(&stored).kind, ProblemKind::Withheld);
    assert!(daemon.stop().success());
}

#[test]
fn an_officer_vetoes_a_bundle_by_hand() {
    let world = proposals::world(proposals::LONG);
    let daemon = world.start();
    let mut officer = officer(&world);
    let running = world.walletd().keys().policy;
    assert_eq!(
        refused(&world, &["veto", &running], &["cem"]),
        "policy-not-proposed"
    );
    let bundle = proposals::wider(&world).write(&world.policy(), 2, &["ann", "ben"]);
    reload(&daemon);
    let waits = bundle.to_string();
    // The one that is named and no other; by an officer and nobody else.
    assert_eq!(
        refused(&world, &["veto", &running], &["cem"]),
        "policy-not-proposed"
    );
    assert_eq!(refused(&world, &["veto", "deadbeef"], &["cem"]), "usage");
    assert_eq!(
        refused(&world, &["veto", &waits], &["dan"]),
        "statement-refused"
    );
    let shown = says(&world, &["status"], &[]).unwrap();
    assert_eq!(shown["proposed"]["hash"], json!(waits));
    assert_eq!(shown["proposed"]["signed_by"], json!(["ann", "ben"]));
    let said = says(&world, &["veto", &format!("sha256:{waits}")], &["cem"]).unwrap();
    assert!(
        said["statement"].as_str().unwrap().contains(&waits),
        "{said}"
    );
    assert_eq!(
        refused(&world, &["veto", &waits], &["cem"]),
        "policy-not-proposed"
    );
    daemon.kill();
    let daemon = world.start();
    officer.reconnect();
    assert_eq!(governance(&mut officer).proposed, None);
    assert_eq!(world.walletd().keys().policy, running);
    assert!(daemon.stop().success());
}

#[test]
fn an_officer_vetoes_what_a_book_added_by_hand() {
    let world = books::world(books::LONG);
    let daemon = world.start();
    let (mut client, mut officer) = (world.walletd(), officer(&world));
    let from = sender(&mut client);
    let veto = ["book", "veto", "customers", "1"];
    assert_eq!(refused(&world, &veto, &["cem"]), "policy-not-cooling");
    let added = books::lines(&[CUSTOMER]);
    books::offer(&world, &books::update(1, &added), &added, &books::SIGNERS);
    reload(&daemon);
    // Of another content, of another book, by who signs the book and is no officer.
    for (book, sequence) in [("customers", "2"), ("friends", "1")] {
        let other = ["book", "veto", book, sequence];
        assert_eq!(refused(&world, &other, &["cem"]), "policy-not-cooling");
    }
    assert_eq!(refused(&world, &veto, &["dan"]), "statement-refused");
    assert!(!books::book(&mut officer).cooling[0].vetoed);
    says(&world, &veto, &["cem"]).unwrap();
    assert_eq!(refused(&world, &veto, &["cem"]), "statement-refused");
    daemon.kill();
    let daemon = world.start();
    client.reconnect();
    assert!(books::book(&mut officer).cooling[0].vetoed);
    let pay = transfer("pay", &from, &Draft::transfer(0, CUSTOMER, 1));
    assert_eq!(client.refused(&pay).reasons[0].code, "uncovered");
    assert!(daemon.stop().success());
}
