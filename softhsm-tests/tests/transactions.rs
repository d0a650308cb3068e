//! People approve a call of a contract, which pays no intent, as the one transaction that it is, on the real daemon.

use std::process::Command;

use alloy_primitives::U256;
use api::{
    problem::ProblemKind,
    signing::{PendingAnswer, SignRequest, Statement},
    transactions::{TransactionAnswer, TransactionRequest, TransactionsAnswer},
};
use policy::{
    Entry,
    approval::{Approval, TransactionApproval},
    statement,
};
use serde_json::{Value, json};
use strongroom_softhsm_tests::{
    anvil::Anvil,
    bundle::{Bundle, key},
    evm::{Draft, ETHER},
    program::{binary, output},
    records,
    world::{Client, World, problem},
};
use tx::Time;

use crate::{
    calls::{self, CALLS, calls, deploy, stake, staked},
    intents::{self, Desk, officer},
    support::{CUSTOMER, raw, sender, transfer},
};

/// Calls are declared, and two of three officers approve each; any of them closes it where that is asked for.
fn edit(rejection: &str) -> impl FnOnce(&mut Bundle) {
    let asked = format!(
        "\n[[require]]\nname = \"calls\"\neffect = \"call\"\n\
         need = {{ threshold = 2, people = [\"ann\", \"ben\", \"cem\"], valid = \"1h\", \
         rejection = \"{rejection}\" }}\n"
    );
    move |bundle| {
        intents::edit(bundle);
        bundle.append("statements.toml", &calls::bundle());
        bundle.append("statements.toml", &asked);
    }
}

fn body(client: &mut Client, request: &SignRequest) -> Vec<u8> {
    let time = client.get("/v1/keys");
    assert_eq!(time.status, 200);
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = Time::from_millis(u64::try_from(now.as_millis()).unwrap());
    let body = TransactionRequest {
        request_id: request.request_id.clone(),
        transaction: request.transaction.clone(),
        expires: now.after_millis(24 * 60 * 60 * 1000),
    };
    serde_json::to_vec(&body).unwrap()
}

pub fn register(client: &mut Client, request: &SignRequest) -> TransactionAnswer {
    let body = body(client, request);
    let answer = client.post("/v1/transactions", &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn standing(client: &mut Client, entry: u64) -> TransactionAnswer {
    let answer = client.get(&format!("/v1/transactions/{entry}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn waiting(client: &mut Client) -> Vec<u64> {
    let answer = client.get("/v1/transactions");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let listed: TransactionsAnswer = answer.json();
    listed.transactions.iter().map(|one| one.entry).collect()
}

fn signed_in(namespace: &str, text: &str, officer: &str) -> Statement {
    Statement {
        statement: text.into(),
        signatures: vec![statement::sign(text, namespace, &key(officer)).unwrap()],
    }
}

fn signed(text: &str, officer: &str) -> Statement {
    signed_in(TransactionApproval::NAMESPACE, text, officer)
}

/// The status of the answer; another one than 200 says that the statement is refused.
fn bring(client: &mut Client, entry: u64, statement: &Statement) -> u16 {
    let body = serde_json::to_vec(statement).unwrap();
    let answer = client.post(&format!("/v1/transactions/{entry}/approvals"), &body);
    if answer.status != 200 {
        assert_eq!(problem(&answer).kind, ProblemKind::StatementRefused);
    }
    answer.status
}

fn is_pending(client: &mut Client, request: &SignRequest) -> bool {
    let answer = client.send(request);
    if answer.status == 202 {
        let pending: PendingAnswer = answer.json();
        assert_eq!(pending.needs[0].statement, "calls");
    } else {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    answer.status == 202
}

pub fn say(desk: &Desk<'_>, verb: &str, entry: u64, person: &str) -> (bool, Value) {
    let private = desk.private(person);
    let (entry, private) = (entry.to_string(), private.to_str().unwrap().to_owned());
    let with = ["--transaction", &entry, "--signing-key", &private, "--yes"];
    desk.about(verb, &with)
}

#[test]
fn two_people_approve_a_call_and_this_one_alone_is_signed_and_mined() {
    let world = World::with(edit("blocks"));
    let anvil = Anvil::start(world.folder());
    deploy(&anvil);
    let daemon = world.start();
    let (mut client, mut officer) = (world.walletd(), officer(&world));
    let from = sender(&mut client);
    anvil.fund(&from, U256::from(10 * ETHER));
    let one = calls("stake-1", &from, (0, ETHER, stake(CUSTOMER, ETHER)));
    let next = calls("stake-2", &from, (1, ETHER, stake(CUSTOMER, ETHER)));
    assert!(is_pending(&mut client, &one));
    assert_eq!(waiting(&mut officer), Vec::<u64>::new());
    let registered = register(&mut client, &one);
    let entry = registered.entry;
    assert_eq!(register_again(&mut client, &registered), entry);
    assert_eq!(registered.needs.len(), 1);
    assert_eq!(registered.needs[0].asked_by, ["require calls"]);
    let text = &registered.needs[0].approve;
    for line in [
        "function stake stake(bytes,address,uint256)",
        "units 1 eth",
        "account eth-hot",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} in {text}");
    }
    let second = register(&mut client, &next).entry;
    assert_eq!(waiting(&mut officer), [entry, second]);
    // Whoever asks does not bring what people say, and the other way round.
    let ann = signed(text, "ann");
    let bytes = serde_json::to_vec(&ann).unwrap();
    let approvals = format!("/v1/transactions/{entry}/approvals");
    assert_eq!(client.post(&approvals, &bytes).status, 403);
    let asked = body(&mut client, &one);
    assert_eq!(officer.post("/v1/transactions", &asked).status, 403);
    nothing_else_counts(&mut officer, (entry, second), text);
    // People read it in what they have, with the bundle that they review.
    let desk = Desk::of(&world);
    let (done, said) = say(&desk, "approve", entry, "ann");
    assert!(done, "{said}");
    assert_eq!(said["needs"][0]["counted"], json!(["ann"]));
    assert_eq!(bring(&mut officer, entry, &ann), 422, "she said so already");
    assert!(is_pending(&mut client, &one));
    // It is all there after a kill.
    daemon.kill();
    let daemon = world.start();
    client.reconnect();
    officer.reconnect();
    assert_eq!(standing(&mut officer, entry).needs[0].counted, ["ann"]);
    let (done, said) = say(&desk, "approve", entry, "ben");
    assert!(done, "{said}");
    no_other_is_signed(&mut client, &from, (&one, &next));
    daemon.kill();
    let daemon = world.start();
    client.reconnect();
    officer.reconnect();
    let receipt = anvil.send(&raw(&client.sign(&one))).unwrap();
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    assert_eq!(receipt["to"], CALLS.to_lowercase());
    assert_eq!(staked(&anvil, CUSTOMER), U256::from(ETHER));
    // It was signed once: the same again is the same answer, and the other waits on.
    client.sign(&one);
    assert!(is_pending(&mut client, &next));
    assert_eq!(waiting(&mut officer), [second]);
    assert!(daemon.stop().success());
    let records = records::read(&world.data());
    let said = records.iter().filter_map(|record| match &record.entry {
        Entry::TransactionDecided(decided) => {
            Some(decided.signed_by.keys().next().unwrap().to_string())
        }
        _ => None,
    });
    assert_eq!(said.collect::<Vec<_>>(), ["ann", "ben"]);
}

/// By nobody of them, in another namespace, about another transaction, over a changed text.
fn nothing_else_counts(officer: &mut Client, (entry, other): (u64, u64), text: &str) {
    assert_eq!(bring(officer, entry, &signed(text, "dan")), 422);
    let as_of_an_intent = signed_in(Approval::NAMESPACE, text, "ann");
    assert_eq!(bring(officer, entry, &as_of_an_intent), 422);
    assert_eq!(bring(officer, other, &signed(text, "ann")), 422);
    let changed = text.replace("units 1 eth", "units 2 eth");
    assert_eq!(bring(officer, entry, &signed(&changed, "ann")), 422);
}

/// Another nonce, amount or id is another transaction.
fn no_other_is_signed(client: &mut Client, from: &str, (one, next): (&SignRequest, &SignRequest)) {
    let refused = client.refused(next);
    assert_eq!(refused.reasons[0].code, "sequence", "{refused:?}");
    let more = calls("stake-1", from, (0, ETHER, stake(CUSTOMER, ETHER / 2)));
    assert!(is_pending(client, &more));
    let renamed = SignRequest {
        request_id: "stake-3".into(),
        ..one.clone()
    };
    assert!(is_pending(client, &renamed));
}

/// The same again, as the coordinator has it of the answer.
fn register_again(client: &mut Client, registered: &TransactionAnswer) -> u64 {
    let body = TransactionRequest {
        request_id: registered.request_id.clone(),
        transaction: registered.transaction.clone(),
        expires: registered.expires,
    };
    let body = serde_json::to_vec(&body).unwrap();
    let answer = client.post("/v1/transactions", &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json::<TransactionAnswer>().entry
}

/// `strongroom sign`, as the coordinator asks for a request, and its answer.
fn sign(world: &World, request: &SignRequest, more: &[&str]) -> (bool, Value) {
    let file = world.folder().join("unsigned.json");
    let parcel = json!({ "transaction": request.transaction });
    std::fs::write(&file, parcel.to_string()).unwrap();
    let (certificate, key) = world.pki.files("walletd");
    let asked = [
        "--request-id",
        &request.request_id,
        "--lane-epoch",
        &request.lane_epoch.to_string(),
    ];
    let mut command = Command::new(binary("strongroom"));
    command.args(["--json", "sign", "--connect"]);
    command.arg(world.api().to_string());
    command.arg("--ca").arg(world.pki.authority());
    command.arg("--certificate").arg(certificate);
    command.arg("--key").arg(key);
    command.arg("--transaction").arg(file);
    // The bundle declares what is called.
    command.arg("--policy").arg(world.policy());
    let output = output(command.args(asked).args(more));
    let done = output.status.success();
    let said = if done { output.stdout } else { output.stderr };
    (done, serde_json::from_slice(&said).unwrap())
}

#[test]
fn the_command_puts_it_before_people_and_has_it_signed_later() {
    let world = World::with(edit("blocks"));
    let _daemon = world.start();
    world.pki.client("auditor");
    let mut client = world.walletd();
    let from = sender(&mut client);
    let one = calls("stake-1", &from, (0, ETHER, stake(CUSTOMER, ETHER)));
    let (done, waits) = sign(&world, &one, &["--register"]);
    assert!(done, "{waits}");
    let waits = &waits["registered"][0];
    assert_eq!(waits["needs"][0]["asked_by"], json!(["require calls"]));
    let (done, _) = sign(&world, &one, &[]);
    assert!(!done, "nobody approved of it yet");
    let (desk, entry) = (Desk::of(&world), waits["transaction"].as_u64().unwrap());
    for person in ["ann", "ben"] {
        let (done, said) = say(&desk, "approve", entry, person);
        assert!(done, "{said}");
    }
    let (done, signed) = sign(&world, &one, &[]);
    assert!(done, "{signed}");
    let effects = signed["decision"]["effects"].as_array().unwrap();
    assert!(effects.iter().any(|one| one["kind"] == "call"), "{signed}");
    // What pays is put before people as its intent alone.
    let payment = transfer("none", &from, &Draft::transfer(1, CUSTOMER, 1));
    let (done, said) = sign(&world, &payment, &["--register"]);
    let refused = json!("transaction-refused");
    assert_eq!((done, &said["error"]["type"]), (false, &refused));
}

#[test]
fn one_rejection_closes_the_transaction_under_every_id() {
    let world = World::with(edit("final"));
    let daemon = world.start();
    let (mut client, mut officer) = (world.walletd(), officer(&world));
    let from = sender(&mut client);
    let one = calls("stake-1", &from, (0, ETHER, stake(CUSTOMER, ETHER)));
    let entry = register(&mut client, &one).entry;
    let desk = Desk::of(&world);
    for person in ["ann", "ben"] {
        let (done, said) = say(&desk, "approve", entry, person);
        assert!(done, "{said}");
    }
    let (done, said) = say(&desk, "reject", entry, "cem");
    assert!(done, "{said}");
    assert!(standing(&mut officer, entry).closed_by.is_some());
    daemon.kill();
    let _daemon = world.start();
    client.reconnect();
    let renamed = SignRequest {
        request_id: "stake-2".into(),
        ..one.clone()
    };
    for request in [&one, &renamed] {
        let refused = client.refused(request);
        let mut codes = refused.reasons.iter().map(|one| one.code.as_str());
        assert!(
            codes.any(|code| code == "transaction-closed"),
            "{refused:?}"
        );
    }
    let asked = body(&mut client, &renamed);
    let again = client.post("/v1/transactions", &asked);
    assert_eq!(problem(&again).kind, ProblemKind::TransactionRefused);
    // What is not understood, or asks nobody, is not put before people.
    let strange = calls("strange", &from, (0, ETHER, vec![0xde, 0xad, 0xbe, 0xef]));
    let asked = body(&mut client, &strange);
    let answer = client.post("/v1/transactions", &asked);
    assert_eq!(problem(&answer).kind, ProblemKind::TransactionRefused);
}
