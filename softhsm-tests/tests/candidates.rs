//! Candidates over what a real signer was really asked: its exported log, replayed, compared and explained.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use api::signing::SignRequest;
use serde_json::{Value, json};
use strongroom_softhsm_tests::{
    bundle::Bundle,
    evm::{Draft, ETHER},
    program::{binary, output},
    world::{Client, World},
};

use crate::{
    audit::{Audited, EXAMINER, cover},
    books,
    intents::{self, bring, is_pending, only_need, register, signed},
    proposals::{officer, reload},
    support::{CUSTOMER, STRANGER, sender, transfer},
};

/// What a command ended with, and its report.
fn policy(arguments: &[&str]) -> (i32, Value) {
    let mut command = Command::new(binary("strongroom"));
    let output = output(command.args(["--json", "policy"]).args(arguments));
    let said = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|error| panic!("{error}: {said}"));
    (output.status.code().unwrap(), report)
}

/// The same for people.
fn told(arguments: &[&str]) -> String {
    let mut command = Command::new(binary("strongroom"));
    let output = output(command.arg("policy").args(arguments));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A candidate's folder.
fn candidate(world: &World, name: &str, edit: impl FnOnce(&mut Bundle)) -> PathBuf {
    let mut bundle = world.bundle.clone();
    edit(&mut bundle);
    let folder = world.folder().join(name);
    bundle.write(&folder, 2, &["ann", "ben"]);
    folder
}

/// Less a day.
fn cap(eth: &str) -> impl FnOnce(&mut Bundle) {
    let cap = format!("cap = {eth:?}");
    move |bundle| bundle.replace("statements.toml", "cap = \"20 eth\"", &cap)
}

/// `policy explain` of a request behind a log.
fn explain(world: &World, (bundle, log): (&Path, &Path), request: &SignRequest) -> (i32, Value) {
    let (transaction, intents) = (
        world.folder().join("transaction.json"),
        world.folder().join("intents.json"),
    );
    std::fs::write(&transaction, json!(request.transaction).to_string()).unwrap();
    std::fs::write(&intents, json!(request.intents).to_string()).unwrap();
    policy(&[
        "explain",
        text(bundle),
        "--transaction",
        text(&transaction),
        "--intents",
        text(&intents),
        "--client",
        "walletd",
        "--journal",
        text(log),
    ])
}

fn counts(report: &Value) -> [u64; 4] {
    ["decided", "changed", "unseen", "unsure"].map(|count| report[count].as_u64().unwrap())
}

#[test]
fn a_narrower_candidate_refuses_one_payment_of_a_real_log_and_the_running_bundle_none() {
    let (audited, daemon) = Audited::on(World::with(|bundle| {
        intents::edit(bundle);
        bundle.append("accounts.toml", EXAMINER);
    }));
    let world = audited.world();
    let (mut client, mut officer) = (world.walletd(), officer(world));
    let from = sender(&mut client);
    let pay = |id: &str, nonce, to, eth: u128| {
        transfer(id, &from, &Draft::transfer(nonce, to, eth * ETHER))
    };
    client.sign(&pay("small", 0, CUSTOMER, 3));
    client.refused(&pay("stranger", 1, STRANGER, 1));
    let large = pay("large", 1, CUSTOMER, 6);
    assert!(is_pending(&mut client, &large));
    let need = only_need(&register(&mut client, &large)).approve.clone();
    for person in ["ann", "ben"] {
        assert_eq!(bring(&mut officer, &large, &signed(&need, person)), 200);
    }
    client.sign(&large);
    let last = client.sign(&pay("medium", 2, CUSTOMER, 2)).attempt;
    cover(&mut client, last);
    let (log, _) = audited.export("copy");

    let running = world.policy();
    let (code, report) = policy(&["replay", text(&running), "--journal", text(&log)]);
    assert_eq!((code, counts(&report)), (0, [5, 0, 0, 0]), "{report}");
    let peak = report["peaks"].as_array().unwrap().iter();
    let mut peak = peak.filter(|peak| peak["limit"] == "eth-day");
    assert_eq!(peak.next().unwrap()["used"], (11 * ETHER).to_string());

    let lower = candidate(world, "lower", cap("10 eth"));
    let (code, report) = policy(&["replay", text(&lower), "--journal", text(&log)]);
    assert_eq!((code, counts(&report)), (1, [5, 1, 0, 0]), "{report}");
    let change = &report["changes"][0];
    assert_eq!(
        (&change["before"], &change["after"]),
        (&json!("permit"), &json!("refuse"))
    );
    assert_eq!(change["after_by"], json!(["eth-day"]));
    let example = change["example"].as_str().unwrap();
    assert!(example.contains("request medium of walletd"), "{example}");

    // What is made up of two bundles is decided otherwise without any log; the log adds the one payment.
    let without = policy(&["diff", text(&running), text(&lower)]).1;
    let (code, with) = policy(&[
        "diff",
        text(&running),
        text(&lower),
        "--journal",
        text(&log),
    ]);
    assert_eq!(
        (code, &with["narrower"], &with["recorded"]),
        (1, &json!(true), &json!(5))
    );
    let changed = |report: &Value| report["changed"].as_u64().unwrap();
    assert_eq!(changed(&with), changed(&without) + 1, "{with}");

    // What comes next is asked behind that log.
    let next = pay("next", 3, CUSTOMER, 4);
    let tight = candidate(world, "tight", cap("14 eth"));
    let (code, said) = explain(world, (&running, &log), &next);
    assert_eq!((code, &said["verdict"]), (0, &json!("permit")), "{said}");
    let (code, said) = explain(world, (&tight, &log), &next);
    assert_eq!((code, &said["verdict"]), (1, &json!("refuse")), "{said}");
    assert_eq!(said["reasons"][0]["code"], "limit");
    assert_eq!(said["reasons"][0]["statement"], "eth-day");
    assert!(daemon.stop().success());
}

/// What the log says of a book that is loaded apart is what its facts say: of who was paid, until it changes.
#[test]
fn payments_to_a_book_that_is_loaded_apart_are_decided_as_they_were() {
    let (audited, daemon) = Audited::on(World::with(|bundle| {
        books::edit(bundle, "0s");
        bundle.append("accounts.toml", EXAMINER);
    }));
    let world = audited.world();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let pay = |id: &str, nonce, to, eth: u128| {
        transfer(id, &from, &Draft::transfer(nonce, to, eth * ETHER))
    };
    let load = |sequence, addresses: &[&str]| {
        let lines = books::lines(addresses);
        books::offer(
            world,
            &books::update(sequence, &lines),
            &lines,
            &books::SIGNERS,
        );
        reload(&daemon);
    };
    let uncovered = |client: &mut Client, request: &SignRequest| {
        assert_eq!(client.refused(request).reasons[0].code, "uncovered");
    };
    uncovered(&mut client, &pay("early", 0, CUSTOMER, 1));
    load(1, &[CUSTOMER]);
    uncovered(&mut client, &pay("stranger", 0, STRANGER, 1));
    client.sign(&pay("first", 0, CUSTOMER, 1));
    client.sign(&pay("second", 1, CUSTOMER, 1));
    assert!(is_pending(&mut client, &pay("large", 2, CUSTOMER, 6)));
    load(2, &[STRANGER]);
    uncovered(&mut client, &pay("out", 2, CUSTOMER, 1));
    let last = client.sign(&pay("third", 2, STRANGER, 1)).attempt;
    cover(&mut client, last);
    let (log, _) = audited.export("copy");
    assert!(daemon.stop().success());

    replayed(world, &log);
    compared(world, &log);
    let running = world.policy();
    // Behind the log it is known of whom it paid last, and of nobody else.
    let (code, said) = explain(world, (&running, &log), &pay("known", 3, STRANGER, 1));
    assert_eq!((code, &said["verdict"]), (0, &json!("permit")), "{said}");
    assert_eq!(said.get("unsure_of"), None);
    let (code, said) = explain(world, (&running, &log), &pay("unknown", 3, CUSTOMER, 1));
    assert_eq!((code, &said["verdict"]), (1, &json!("refuse")), "{said}");
    assert_eq!(said["unsure_of"], json!(["customers"]));
}

fn replayed(world: &World, log: &Path) {
    // Three were refused, and the log does not say what the book held then.
    let running = world.policy();
    let replay = ["replay", text(&running), "--journal", text(log)];
    let (code, report) = policy(&replay);
    assert_eq!((code, counts(&report)), (0, [4, 0, 0, 3]), "{report}");
    assert_eq!(report["unsure_of"], json!(["customers"]));
    let says =
        "unsure    3 requests: the log does not say what customers held, which is loaded apart";
    let page = told(&replay);
    assert!(page.lines().any(|line| line == says), "{page}");

    let lower = candidate(world, "lower", cap("1.5 eth"));
    let (code, report) = policy(&["replay", text(&lower), "--journal", text(log)]);
    assert_eq!((code, counts(&report)), (1, [4, 3, 0, 3]), "{report}");
    let changes = report["changes"].as_array().unwrap();
    let of = |before: &str| {
        let mut changes = changes.iter();
        changes
            .find(|change| change["before"] == before)
            .unwrap()
            .clone()
    };
    let permitted = of("permit");
    assert_eq!(
        (&permitted["count"], &permitted["after_by"]),
        (&json!(2), &json!(["eth-day"]))
    );
    let example = permitted["example"].as_str().unwrap();
    assert!(example.contains("request second"), "{example}");
    assert_eq!(of("pending")["count"], 1);
    // A deny of the book is about whom it held then, and nobody else.
    let denying = candidate(world, "denying", |bundle| {
        bundle.append(
            "statements.toml",
            "\n[[deny]]\nname = \"closed\"\neffect = \"payment\"\nto = \"book:customers\"\n",
        );
    });
    let (_, report) = policy(&["replay", text(&denying), "--journal", text(log)]);
    assert_eq!(counts(&report), [4, 4, 0, 3], "{report}");
}

fn compared(world: &World, log: &Path) {
    let running = world.policy();
    let lower = candidate(world, "lower", cap("1.5 eth"));
    let diff = ["diff", text(&running), text(&lower), "--journal", text(log)];
    let (_, report) = policy(&diff);
    assert_eq!(report["recorded"], 7);
    assert_eq!(report["unsure_of"], json!(["customers"]));
    assert!(report["incomparable"].as_u64().unwrap() >= 3, "{report}");
    let says = "unsure    the log does not say what customers held, which is loaded apart";
    let page = told(&diff);
    assert!(page.lines().any(|line| line == says), "{page}");
}
