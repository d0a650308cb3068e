//! People approve what a coordinator wants to pay, on the real daemon.

use std::{
    fs::Permissions, net::SocketAddr, os::unix::fs::PermissionsExt as _, path::PathBuf,
    process::Command,
};

use api::{
    intents::{IntentAnswer, IntentNeed},
    problem::ProblemKind,
    signing::{PendingAnswer, SignRequest, Statement},
};
use policy::{
    Entry,
    approval::Approval,
    statement::{self, Freeze},
};
use serde::Serialize;
use serde_json::{Value, json};
use ssh_key::LineEnding;
use strongroom_softhsm_tests::{
    address,
    bundle::{Bundle, FLEET, key},
    evm::{Draft, ETHER},
    program::{Running, binary, output, until},
    records,
    world::{Client, World, problem},
};

use crate::support::{CUSTOMER, sender, transfer};

/// Two of three officers for more than 5 eth; any of them closes it; and an own account that is cold.
pub fn edit(bundle: &mut Bundle) {
    let need = "need = { threshold = 1, people = [\"ann\", \"ben\"] }";
    let needed = "need = { threshold = 2, people = [\"ann\", \"ben\", \"cem\"], rejection = \"final\", \
                  valid = \"1h\" }";
    bundle.replace("statements.toml", need, needed);
    let journal = "verbs = [\"sign\", \"evaluate\", \"keys\", \"requests\", \"journal\"]";
    let intents =
        "verbs = [\"sign\", \"evaluate\", \"keys\", \"requests\", \"journal\", \"intents\"]";
    bundle.replace("accounts.toml", journal, intents);
    bundle.replace(
        "accounts.toml",
        "verbs = [\"keys\"]",
        "verbs = [\"keys\", \"approve\", \"govern\"]",
    );
}

pub fn officer(world: &World) -> Client {
    world.pki.client("auditor");
    world.client("auditor")
}

pub fn path(request: &SignRequest) -> String {
    let id = &request.intents[0].intent.id;
    format!("/v1/intents/{}/{}", id.source, id.id)
}

pub fn register(client: &mut Client, request: &SignRequest) -> IntentAnswer {
    let body = serde_json::to_vec(&request.intents[0]).unwrap();
    let answer = client.post("/v1/intents", &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut answer: IntentAnswer = answer.json();
    // Of the entry that registers it, and none where it was registered before.
    if let Some(receipt) = answer.receipt.take() {
        assert_eq!(receipt.entry, answer.entry);
        assert!(
            receipt.body.contains("intent-registered"),
            "{}",
            receipt.body
        );
    }
    answer
}

pub fn standing(client: &mut Client, request: &SignRequest) -> IntentAnswer {
    let answer = client.get(&path(request));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

pub fn signed(text: &str, officer: &str) -> Statement {
    let signature = statement::sign(text, Approval::NAMESPACE, &key(officer)).unwrap();
    Statement {
        statement: text.into(),
        signatures: vec![signature],
    }
}

/// The status of the answer; another one than 200 says that the statement is refused.
pub fn bring(client: &mut Client, request: &SignRequest, statement: &impl Serialize) -> u16 {
    let body = serde_json::to_vec(statement).unwrap();
    let answer = client.post(&format!("{}/approvals", path(request)), &body);
    if answer.status != 200 {
        assert_eq!(problem(&answer).kind, ProblemKind::StatementRefused);
        return answer.status;
    }
    let decided: IntentAnswer = answer.json();
    let receipt = decided.receipt.expect("a receipt");
    assert!(receipt.body.contains("intent-decided"), "{}", receipt.body);
    answer.status
}

pub fn only_need(answer: &IntentAnswer) -> &IntentNeed {
    assert_eq!(answer.needs.len(), 1, "{answer:?}");
    &answer.needs[0]
}

pub fn is_pending(client: &mut Client, request: &SignRequest) -> bool {
    let answer = client.send(request);
    if answer.status == 202 {
        let pending: PendingAnswer = answer.json();
        assert_eq!(pending.needs[0].statement, "large-eth");
    } else {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    answer.status == 202
}

#[test]
fn two_people_approve_and_any_attempt_at_the_intent_is_signed() {
    let world = World::with(edit);
    let daemon = world.start();
    let (mut client, mut officer) = (world.walletd(), officer(&world));
    let from = sender(&mut client);
    let draft = Draft::transfer(0, CUSTOMER, 6 * ETHER);
    let large = transfer("large", &from, &draft);
    assert!(is_pending(&mut client, &large));
    assert_eq!(officer.get(&path(&large)).status, 404);
    let registered = register(&mut client, &large);
    let need = only_need(&registered);
    assert_eq!(need.asked_by, ["require large-eth"]);
    assert_eq!((need.threshold, need.valid_secs), (2, 3600));
    assert!(need.approve.contains("\nunits 6 eth\n"), "{}", need.approve);
    assert!(need.approve.contains("\nin-book customers\n"));
    // The same again is the same; under its id there is no other.
    assert_eq!(register(&mut client, &large).entry, registered.entry);
    let other = transfer("large", &from, &Draft::transfer(0, CUSTOMER, 7 * ETHER));
    let body = serde_json::to_vec(&other.intents[0]).unwrap();
    let answer = client.post("/v1/intents", &body);
    assert_eq!(problem(&answer).kind, ProblemKind::IntentRefused);
    // Whoever only brings intents does not bring approvals, nor the other way round.
    let ann = signed(&need.approve, "ann");
    let bytes = serde_json::to_vec(&ann).unwrap();
    let approvals = format!("{}/approvals", path(&large));
    assert_eq!(client.post(&approvals, &bytes).status, 403);
    let body = serde_json::to_vec(&large.intents[0]).unwrap();
    assert_eq!(officer.post("/v1/intents", &body).status, 403);
    // By one who may not, by one who may over a changed text, by one who may.
    assert_eq!(
        bring(&mut officer, &large, &signed(&need.approve, "dan")),
        422
    );
    let changed = need.approve.replace("units 6 eth", "units 5 eth");
    assert_eq!(bring(&mut officer, &large, &signed(&changed, "ann")), 422);
    assert_eq!(bring(&mut officer, &large, &ann), 200);
    assert_eq!(
        bring(&mut officer, &large, &ann),
        422,
        "she said so already"
    );
    assert!(is_pending(&mut client, &large));
    // It is all there after a kill.
    daemon.kill();
    let daemon = world.start();
    client.reconnect();
    officer.reconnect();
    let stands = standing(&mut officer, &large);
    assert_eq!(only_need(&stands).counted, ["ann"]);
    assert_eq!(only_need(&stands).enough_from, None);
    let ben = signed(&only_need(&stands).approve, "ben");
    assert_eq!(bring(&mut officer, &large, &ben), 200);
    let signed_once = client.sign(&large);
    // A replacement of it, at a higher fee, uses what was approved.
    let higher = Draft {
        price: 2 * draft.price,
        tip: 2 * draft.tip,
        ..draft
    };
    let dearer = SignRequest {
        request_id: "large-2".into(),
        transaction: higher.from(&from),
        replaces: vec![signed_once.attempt],
        ..large
    };
    client.sign(&dearer);
    assert!(daemon.stop().success());
    let records = records::read(&world.data());
    let said = records.iter().filter_map(|record| match &record.entry {
        Entry::IntentDecided(decided) => Some(decided.signed_by.keys().next().unwrap().to_string()),
        _ => None,
    });
    assert_eq!(said.collect::<Vec<_>>(), ["ann", "ben"]);
}

#[test]
fn one_rejection_closes_the_intent_for_ever() {
    let world = World::with(edit);
    let daemon = world.start();
    let (mut client, mut officer) = (world.walletd(), officer(&world));
    let from = sender(&mut client);
    let large = transfer("large", &from, &Draft::transfer(0, CUSTOMER, 6 * ETHER));
    let registered = register(&mut client, &large);
    let (approve, reject) = (
        &only_need(&registered).approve,
        &only_need(&registered).reject,
    );
    assert_eq!(bring(&mut officer, &large, &signed(approve, "ann")), 200);
    assert_eq!(bring(&mut officer, &large, &signed(reject, "cem")), 200);
    assert_eq!(bring(&mut officer, &large, &signed(approve, "ben")), 422);
    assert!(standing(&mut officer, &large).closed_by.is_some());
    daemon.kill();
    let _daemon = world.start();
    client.reconnect();
    assert_eq!(client.refused(&large).reasons[0].code, "intent-closed");
    // What was asked for is paid by a new intent, which people decide about anew.
    let again = transfer("large-2", &from, &Draft::transfer(0, CUSTOMER, 6 * ETHER));
    assert!(is_pending(&mut client, &again));
}

#[test]
fn officers_have_a_listener_of_their_own_that_signs_nothing() {
    let world = World::with(edit);
    let own = address::free();
    world.configure(&format!("[officers]\nlisten = \"{own}\"\n"));
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let large = transfer("large", &from, &Draft::transfer(0, CUSTOMER, 6 * ETHER));
    register(&mut client, &large);
    world.pki.client("auditor");
    let mut officer = Client::new(own, world.pki.config("auditor"));
    for person in ["ann", "cem"] {
        let text = only_need(&standing(&mut officer, &large)).approve.clone();
        assert_eq!(bring(&mut officer, &large, &signed(&text, person)), 200);
    }
    for path in ["/v1/keys", "/v1/requests", "/v1/journal/checkpoint"] {
        assert_eq!(officer.get(path).status, 404, "{path}");
    }
    let mut coordinator = Client::new(own, world.pki.config("walletd"));
    let asked = serde_json::to_vec(&large).unwrap();
    assert_eq!(coordinator.post("/v1/sign", &asked).status, 404);
    client.sign(&large);
    // And what one officer says of all of it holds.
    let freeze = Freeze {
        fleet: FLEET.parse().unwrap(),
        unfrozen: 0,
        scope: "everything".parse().unwrap(),
    };
    let text = freeze.to_string();
    let namespace = freeze.header().namespace();
    let statement = Statement {
        signatures: vec![statement::sign(&text, &namespace, &key("ben")).unwrap()],
        statement: text,
    };
    let body = serde_json::to_vec(&statement).unwrap();
    assert_eq!(officer.post("/v1/governance/statements", &body).status, 200);
    let next = transfer("next", &from, &Draft::transfer(1, CUSTOMER, 1));
    assert_eq!(client.refused(&next).reasons[0].code, "frozen");
}

/// A person at a machine of their own, with the bundle that they review.
pub struct Desk<'a> {
    world: &'a World,
    /// `SSH_AUTH_SOCK`.
    agent: PathBuf,
    /// Where the signer is taken to be.
    signer: SocketAddr,
}

impl<'a> Desk<'a> {
    /// One without an agent.
    pub fn of(world: &'a World) -> Self {
        Desk {
            world,
            agent: world.folder().join("none"),
            signer: world.api(),
        }
    }

    /// It, taking whoever listens there for the signer.
    pub fn before(self, signer: SocketAddr) -> Self {
        Desk { signer, ..self }
    }
}

impl Desk<'_> {
    /// Writes a person's private key.
    pub fn private(&self, person: &str) -> PathBuf {
        let key = key(person).to_openssh(LineEnding::LF).unwrap();
        let path = self.world.folder().join(person);
        std::fs::write(&path, &*key).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Writes the public half alone.
    fn public(&self, person: &str) -> PathBuf {
        let key = key(person).public_key().to_openssh().unwrap();
        let path = self.world.folder().join(format!("{person}.pub"));
        std::fs::write(&path, key).unwrap();
        path
    }

    /// `strongroom approve` or `reject`, and its answer.
    fn say(&self, verb: &str, intent: &str, more: &[&str]) -> (bool, Value) {
        self.about(verb, &[&[intent], more].concat())
    }

    /// The command with all that it needs to reach the signer and to decode what that shows.
    pub fn reaching<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let (certificate, key) = self.world.pki.files("auditor");
        command.arg("--connect").arg(self.signer.to_string());
        command.arg("--ca").arg(self.world.pki.authority());
        command.arg("--certificate").arg(certificate);
        command.arg("--key").arg(key);
        command.arg("--policy").arg(self.world.policy());
        command.env("SSH_AUTH_SOCK", &self.agent)
    }

    /// As that, about whatever the arguments say.
    pub fn about(&self, verb: &str, more: &[&str]) -> (bool, Value) {
        let mut command = Command::new(binary("strongroom"));
        command.args(["--json", verb]);
        let output = output(self.reaching(&mut command).args(more));
        let done = output.status.success();
        let said = if done { &output.stdout } else { &output.stderr };
        // Before an error stands what ssh-keygen says.
        let text = String::from_utf8_lossy(said);
        let json: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        (done, if done { json } else { json["error"].clone() })
    }
}

#[test]
fn people_read_what_they_sign_and_sign_with_what_they_have() {
    let world = World::with(edit);
    let _daemon = world.start();
    let mut client = world.walletd();
    world.pki.client("auditor");
    let from = sender(&mut client);
    let large = transfer("large", &from, &Draft::transfer(0, CUSTOMER, 6 * ETHER));
    register(&mut client, &large);
    let agent = world.folder().join("agent");
    let mut ssh_agent = Command::new("ssh-agent");
    let log = world.folder().join("agent.log");
    let _agent = Running::start(ssh_agent.arg("-D").arg("-a").arg(&agent), &log);
    until("an agent", || agent.exists().then_some(()));
    let desk = Desk {
        agent: agent.clone(),
        ..Desk::of(&world)
    };
    let (ann, dan) = (desk.private("ann"), desk.private("dan"));
    let (ann, dan) = (ann.to_str().unwrap(), dan.to_str().unwrap());
    let about = "payouts/large";
    // Nobody is asked without a terminal; who may not is told so before anything is sent.
    let (done, said) = desk.say("approve", about, &["--signing-key", ann]);
    assert_eq!((done, &said["type"]), (false, &json!("approve-not-agreed")));
    let (done, said) = desk.say("approve", about, &["--signing-key", dan, "--yes"]);
    assert_eq!((done, &said["type"]), (false, &json!("approve-nobody")));
    // Another bundle than the one that governs shows other names.
    let mut other = world.bundle.clone();
    other.replace(
        "statements.toml",
        "name = \"customers\"",
        "name = \"friends\"",
    );
    other.replace(
        "statements.toml",
        "to = \"book:customers\"",
        "to = \"book:friends\"",
    );
    other.write(&world.policy(), 1, &["ann", "ben"]);
    let (done, said) = desk.say("approve", about, &["--signing-key", ann, "--yes"]);
    assert_eq!(
        (done, &said["type"]),
        (false, &json!("approve-other-bundle"))
    );
    world.bundle.write(&world.policy(), 1, &["ann", "ben"]);
    // One with a file, one whose key only the agent has.
    let (done, said) = desk.say("approve", about, &["--signing-key", ann, "--yes"]);
    assert!(done, "{said}");
    assert_eq!(said["needs"][0]["counted"], json!(["ann"]));
    let ben = desk.private("ben");
    let added = output(
        Command::new("ssh-add")
            .arg(&ben)
            .env("SSH_AUTH_SOCK", &agent),
    );
    assert!(
        added.status.success(),
        "{}",
        String::from_utf8_lossy(&added.stderr)
    );
    std::fs::remove_file(&ben).unwrap();
    let public = desk.public("ben");
    let with = ["--signing-key", public.to_str().unwrap(), "--yes"];
    let (done, said) = desk.say("approve", about, &with);
    assert!(done, "{said}");
    assert_eq!(said["by"], json!(["ben"]));
    client.sign(&large);
}

#[test]
fn what_was_printed_is_signed_elsewhere_and_brought_as_it_is() {
    let world = World::with(edit);
    let _daemon = world.start();
    let mut client = world.walletd();
    world.pki.client("auditor");
    let from = sender(&mut client);
    let desk = Desk::of(&world);
    let ann = desk.private("ann");
    let ann = ann.to_str().unwrap();
    let next = transfer("next", &from, &Draft::transfer(0, CUSTOMER, 6 * ETHER));
    register(&mut client, &next);
    let (done, said) = desk.say("reject", "payouts/next", &[]);
    assert!(done, "{said}");
    assert_eq!(said["namespace"], "strongroom-approval-v1");
    let text = world.folder().join("text");
    std::fs::write(&text, said["statement"].as_str().unwrap()).unwrap();
    let made = output(
        Command::new("ssh-keygen")
            .args(["-Y", "sign", "-n", "strongroom-approval-v1", "-f", ann])
            .arg(&text),
    );
    assert!(made.status.success());
    let (text, signature) = (text.to_str().unwrap(), format!("{}.sig", text.display()));
    let with = ["--statement", text, "--signature", &signature];
    let (done, said) = desk.say("approve", "payouts/next", &with);
    assert_eq!((done, &said["type"]), (false, &json!("approve-differs")));
    let (done, said) = desk.say("reject", "payouts/next", &with);
    assert!(done, "{said}");
    assert_eq!(client.refused(&next).reasons[0].code, "intent-closed");
}
