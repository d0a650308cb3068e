//! `strongroom approve` before a signer that shows something else than what is signed, and before a person who types
//! another word.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use strongroom_softhsm_tests::{
    evm::{Draft, ETHER},
    program::{at_terminal, binary},
    proxy::Liar,
    world::{Client, World},
};

use crate::{
    intents::{self, Desk, officer, only_need, register, standing},
    support::{CUSTOMER, STRANGER, sender, transfer},
};

/// A world in which `payouts/large` waits for two of three.
fn waiting(world: &World) -> (Client, api::signing::SignRequest) {
    let mut client = world.walletd();
    let from = sender(&mut client);
    let large = transfer("large", &from, &Draft::transfer(0, CUSTOMER, 6 * ETHER));
    register(&mut client, &large);
    (client, large)
}

/// A part of all texts in an answer is another one; the intent stays what it is.
fn in_texts(part: &'static str, by: &'static str) -> impl Fn(&mut Value) {
    move |answer| {
        for text in ["approve", "reject"] {
            let shown = &mut answer["needs"][0][text];
            let changed = shown.as_str().unwrap().replace(part, by);
            assert_ne!(*shown, changed, "{part}");
            *shown = json!(changed);
        }
    }
}

/// What a signer says that lies about the intent.
type Lie = Box<dyn Fn(&mut Value) + Send>;

/// Lies, and the names of why nothing is signed then.
fn lies() -> [(&'static str, Lie); 9] {
    [
        (
            "approve-differs",
            Box::new(in_texts("units 6 eth", "units 60 eth")),
        ),
        (
            "approve-differs",
            Box::new(in_texts("in-book customers", "in-book friends")),
        ),
        (
            "approve-differs",
            Box::new(in_texts("source payouts", "source payroll")),
        ),
        ("approve-differs", Box::new(in_texts("\nunits 6 eth", ""))),
        // Another amount or place in the intent, under its old hash and text.
        (
            "approve-other-intent",
            Box::new(|answer| answer["intent"]["amount"] = json!((7 * ETHER).to_string())),
        ),
        (
            "approve-other-intent",
            Box::new(|answer| {
                let intent = answer["intent"].to_string();
                let other = intent.replace(CUSTOMER, STRANGER);
                assert_ne!(intent, other);
                answer["intent"] = serde_json::from_str(&other).unwrap();
            }),
        ),
        (
            "approve-other-intent",
            Box::new(|answer| answer["intent"]["id"] = json!("small")),
        ),
        (
            "approve-other-bundle",
            Box::new(|answer| answer["policy"] = json!("00".repeat(32))),
        ),
        (
            "approve-need",
            Box::new(|answer| answer["needs"][0]["fingerprint"] = json!("00".repeat(32))),
        ),
    ]
}

#[test]
fn nothing_is_signed_that_a_signer_shows_otherwise_than_it_is_here() {
    let world = World::with(intents::edit);
    let daemon = world.start();
    let mut officer = officer(&world);
    let (_, large) = waiting(&world);
    let liar = Liar::before(&world.pki, world.client("auditor"));
    let desk = Desk::of(&world).before(liar.address());
    let ann = desk.private("ann");
    let with = [
        "payouts/large",
        "--signing-key",
        ann.to_str().unwrap(),
        "--yes",
    ];
    for (place, (name, lie)) in lies().into_iter().enumerate() {
        liar.answers(move |body| {
            let mut answer: Value = serde_json::from_slice(&body).unwrap();
            lie(&mut answer);
            answer.to_string().into_bytes()
        });
        for verb in ["approve", "reject"] {
            let (done, said) = desk.about(verb, &with);
            assert_eq!(
                (done, &said["type"]),
                (false, &json!(name)),
                "{place}: {said}"
            );
        }
    }
    let asked = liar.asked();
    assert_eq!(asked.len(), 18);
    assert!(
        asked.iter().all(|line| line.starts_with("get ")),
        "{asked:?}"
    );
    assert!(
        only_need(&standing(&mut officer, &large))
            .counted
            .is_empty()
    );
    // Through the same one, once it tells the truth.
    liar.answers(|body| body);
    let (done, said) = desk.about("approve", &with);
    assert!(done, "{said}");
    assert_eq!(only_need(&standing(&mut officer, &large)).counted, ["ann"]);
    assert!(daemon.stop().success());
}

#[test]
fn a_receipt_of_another_statement_is_named_though_the_approval_counts() {
    let world = World::with(intents::edit);
    let daemon = world.start();
    let mut officer = officer(&world);
    let (_, large) = waiting(&world);
    let liar = Liar::before(&world.pki, world.client("auditor"));
    let desk = Desk::of(&world).before(liar.address());
    let mut first: Option<Value> = None;
    liar.answers(move |body| {
        let Ok(mut answer) = serde_json::from_slice::<Value>(&body) else {
            return body;
        };
        // Of the first one ever after.
        if answer["receipt"].is_object() {
            let kept = first.get_or_insert_with(|| answer["receipt"].clone());
            answer["receipt"] = kept.clone();
        }
        answer.to_string().into_bytes()
    });
    let approve = |person: &str| {
        let key = desk.private(person);
        let key = key.to_str().unwrap();
        let with = ["payouts/large", "--signing-key", key, "--yes"];
        desk.about("approve", &with)
    };
    let (done, said) = approve("ann");
    assert!(done, "{said}");
    let (done, said) = approve("ben");
    assert_eq!((done, &said["type"]), (false, &json!("receipt-mismatch")));
    // It was taken all the same: who finds that looks at how it stands.
    let told = said["next"].as_str().unwrap();
    assert!(told.contains("how it stands"), "{said}");
    let standing = standing(&mut officer, &large);
    assert_eq!(only_need(&standing).counted, ["ann", "ben"]);
    assert!(daemon.stop().success());
}

/// `strongroom` at a terminal, at which somebody types a line.
fn at_a_terminal(desk: &Desk<'_>, verb: &str, with: &[&str], typed: &str) -> Output {
    let mut approve = Command::new(binary("strongroom"));
    desk.reaching(approve.arg(verb)).args(with);
    let mut terminal = at_terminal(&approve)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("script, of util-linux");
    let mut input = terminal.stdin.take().unwrap();
    input.write_all(format!("{typed}\n").as_bytes()).unwrap();
    drop(input);
    terminal.wait_with_output().unwrap()
}

#[test]
fn a_person_at_a_terminal_types_the_very_word_or_nothing_is_signed() {
    let world = World::with(intents::edit);
    let daemon = world.start();
    let mut officer = officer(&world);
    let (mut client, large) = waiting(&world);
    let desk = Desk::of(&world);
    let (ann, ben) = (desk.private("ann"), desk.private("ben"));
    let with = |key| ["payouts/large", "--signing-key", key];
    let (ann, ben) = (with(ann.to_str().unwrap()), with(ben.to_str().unwrap()));
    for typed in [
        "",
        "y",
        "yes",
        "Approve",
        "approved",
        "reject",
        "approve reject",
    ] {
        let output = at_a_terminal(&desk, "approve", &ann, typed);
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!output.status.success(), "{typed:?}: {shown}");
        assert!(shown.contains("units 6 eth"), "{shown}");
        assert!(shown.contains("type approve to sign it"), "{shown}");
        assert!(
            shown.contains("error[approve-not-agreed]: nothing was signed"),
            "{shown}"
        );
    }
    let output = at_a_terminal(&desk, "reject", &ann, "approve");
    assert!(!output.status.success());
    let stands = standing(&mut officer, &large);
    assert!(only_need(&stands).counted.is_empty() && stands.closed_by.is_none());
    for who in [&ann, &ben] {
        let output = at_a_terminal(&desk, "approve", who, "approve");
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{shown}");
        assert!(shown.contains("the signer has taken it"), "{shown}");
    }
    client.sign(&large);
    assert!(daemon.stop().success());
}
