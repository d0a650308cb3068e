//! Attesters say what became of attempts and how fresh all is, and what is re-issued and paid by that, on the real
//! daemon.

use std::{os::unix::fs::PermissionsExt, process::Command};

use api::{
    problem::ProblemKind,
    signing::{PendingAnswer, SignAnswer, SignRequest, Statement},
};
use policy::{
    AttemptId, Digest, RequestHash,
    statement::{self, Attestation, Fate, Seen},
};
use ssh_key::{PrivateKey, private::Ed25519Keypair};
use strongroom_softhsm_tests::{
    ask::{intent, request},
    bundle::{Bundle, FLEET},
    evm::Draft,
    program::binary,
    world::{Client, World, problem},
};
use tlog::{checkpoint::SignedCheckpoint, note::VerifierKey};
use tx::Time;

use crate::support::{CUSTOMER, EVM, eth, sender, transfer};

fn key(number: u8) -> PrivateKey {
    Ed25519Keypair::from_seed(&[50 + number; 32]).into()
}

pub fn attesters() -> String {
    let attester = |number: u8| {
        let line = key(number).public_key().to_openssh().unwrap();
        format!(
            "[[attester]]\nname = \"f{number}\"\nkeys = {line:?}\nsays = [\"dead\", \"final\", \"head\", \"reconciled\"]\n"
        )
    };
    (1..=3).map(attester).collect()
}

/// What two of the attesters f1, f2 and f3 call dead is re-issued, what may be alive waits for ann.
fn reissues(bundle: &mut Bundle) {
    let text = format!(
        "{}[[allow]]\nname = \"again\"\neffect = \"reissue\"\nasset = \"eth\"\n\
         [[require]]\nname = \"alive\"\neffect = \"reissue\"\ndead = false\n\
         need = {{ threshold = 1, people = \"ann\" }}\n",
        attesters()
    );
    bundle.set("watching.toml", &text);
}

/// Nothing is paid unless two of them have reconciled the journal within a minute and seen the chain's head.
fn fresh(bundle: &mut Bundle) {
    let require = |what: &str| {
        format!(
            "[[require]]\nname = \"{what}\"\neffect = \"payment\"\nasset = \"eth\"\n\
             need = {{ attested = \"{what}\", within = \"1m\" }}\n"
        )
    };
    let text = format!(
        "{}{}{}",
        attesters(),
        require("reconciled"),
        require("head")
    );
    bundle.set("watching.toml", &text);
}

/// At most ten wei to customers are outstanding, and any number in a day.
fn at_risk(bundle: &mut Bundle) {
    let text = format!(
        "{}[[limit]]\nname = \"at-risk\"\neffect = \"payment\"\nasset = \"eth\"\nmeasure = \"amount\"\n\
         window = \"48h\"\ncap = \"0.00000000000000001 eth\"\noutstanding = true\n",
        attesters()
    );
    bundle.set("watching.toml", &text);
}

fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Time::from_millis(u64::try_from(since.unwrap().as_millis()).unwrap())
}

/// What attester `who` saw, signed by the key of `by`.
fn seen((who, by): (u8, u8), number: u64, at: Time, seen: Seen) -> Statement {
    let attestation = Attestation {
        fleet: FLEET.parse().unwrap(),
        number,
        attester: format!("f{who}").parse().unwrap(),
        at,
        seen,
    };
    let (text, namespace) = (attestation.to_string(), attestation.header().namespace());
    Statement {
        signatures: vec![statement::sign(&text, &namespace, &key(by)).unwrap()],
        statement: text,
    }
}

pub fn say(who: u8, what: &Seen) -> Statement {
    let at = now();
    seen((who, who), at.millis(), at, what.clone())
}

pub fn taken(client: &mut Client, statement: &Statement) -> bool {
    let body = serde_json::to_vec(statement).unwrap();
    let answer = client.post("/v1/statements", &body);
    if answer.status != 200 {
        assert_eq!(problem(&answer).kind, ProblemKind::StatementRefused);
    }
    answer.status == 200
}

/// What became of the attempt of an answer.
pub fn fate(request: &SignRequest, answer: &SignAnswer, fate: Fate) -> Seen {
    Seen::Fate {
        attempt: AttemptId(answer.attempt),
        request: RequestHash(request.fingerprint().unwrap()),
        transaction: answer.transaction.txid.parse().unwrap(),
        fate,
    }
}

/// The statements that a request waits for; nothing where it is signed.
fn waits(client: &mut Client, request: &SignRequest) -> Vec<String> {
    let answer = client.send(request);
    if answer.status == 200 {
        return Vec::new();
    }
    assert_eq!(answer.status, 202, "{:?}", problem(&answer));
    let pending: PendingAnswer = serde_json::from_slice(&answer.body).unwrap();
    pending
        .needs
        .into_iter()
        .map(|need| need.statement)
        .collect()
}

/// How many statements of attesters the journal has, once nothing runs any more.
fn attested(world: &World) -> usize {
    let records = strongroom_softhsm_tests::records::read(&world.data());
    let attested = |record: &&policy::Record| matches!(record.entry, policy::Entry::Attested(_));
    records.iter().filter(attested).count()
}

#[test]
fn what_enough_attesters_call_dead_is_paid_again_and_a_kill_keeps_it() {
    let world = World::with(reissues);
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let first = transfer("pay", &from, &Draft::transfer(0, CUSTOMER, 1));
    let answer = client.sign(&first);
    // The same intent by another nonce: both could be included.
    let draft = Draft::transfer(1, CUSTOMER, 1);
    let intents = || vec![intent("pay", &eth(), 1, CUSTOMER)];
    let again = |try_: u32| request(&format!("again-{try_}"), draft.from(&from), intents());
    assert_eq!(waits(&mut client, &again(0)), ["alive"]);
    let dead = fate(&first, &answer, Fate::Dead);
    // What counts for nothing is not journalled: another one's key, a transaction or a request that was not
    // signed, a number that leaves none.
    let at = now();
    assert!(!taken(&mut client, &seen((2, 3), 1, at, dead.clone())));
    assert!(!taken(
        &mut client,
        &seen((2, 2), u64::MAX, at, dead.clone())
    ));
    let mut other = dead.clone();
    if let Seen::Fate { transaction, .. } = &mut other {
        *transaction = format!("0x{}", "ab".repeat(32)).parse().unwrap();
    }
    assert!(!taken(&mut client, &say(2, &other)));
    let mut other = dead.clone();
    if let Seen::Fate { request, .. } = &mut other {
        *request = RequestHash([7; 32]);
    }
    assert!(!taken(&mut client, &say(2, &other)));
    assert!(taken(&mut client, &say(1, &dead)));
    assert_eq!(waits(&mut client, &again(1)), ["alive"]);
    // The same attester with higher numbers is one, and writes nothing more.
    for _ in 0..5 {
        assert!(taken(&mut client, &say(1, &dead)));
    }
    daemon.kill();
    assert_eq!(attested(&world), 1);

    let daemon = world.start();
    let mut client = world.walletd();
    assert_eq!(waits(&mut client, &again(2)), ["alive"]);
    assert!(taken(&mut client, &say(2, &dead)));
    daemon.kill();
    let daemon = world.start();
    let mut client = world.walletd();
    let paid_again = again(3);
    let second = client.sign(&paid_again);
    // It is charged beside the first, and has to be dead itself before a third.
    let used = client.used("eth-day");
    assert_eq!(used, 2u64.into());
    let third = Draft::transfer(2, CUSTOMER, 1);
    let third = request("third", third.from(&from), intents());
    assert_eq!(waits(&mut client, &third), ["alive"]);
    let dead = fate(&paid_again, &second, Fate::Dead);
    for who in [1, 3] {
        assert!(taken(&mut client, &say(who, &dead)));
    }
    assert_eq!(waits(&mut client, &third), Vec::<String>::new());
    daemon.stop();
    assert_eq!(attested(&world), 4);
}

/// The newest checkpoint, as an attester reads it.
fn head(client: &mut Client) -> (u64, Digest) {
    let key = client.keys().journal.unwrap().log_key.unwrap();
    let key: VerifierKey = key.parse().unwrap();
    let answer = client.get("/v1/journal/checkpoint?covers=0");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let origin = key.name().as_str().parse().unwrap();
    let keys = std::slice::from_ref(&key);
    let signed = SignedCheckpoint::open(answer.text().as_bytes(), &origin, keys).unwrap();
    let head = signed.head();
    (head.size, Digest(*head.root.as_bytes()))
}

#[test]
fn nothing_is_paid_unless_attesters_have_looked_lately() {
    let world = World::with(fresh).with_checkpoints();
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let pay = |n: u64, try_: u32| {
        let id = format!("pay-{n}-{try_}");
        transfer(&id, &from, &Draft::transfer(n, CUSTOMER, 1))
    };
    let both = ["head", "reconciled"];
    let waiting = |client: &mut Client, request: &SignRequest| {
        let mut waiting = waits(client, request);
        waiting.sort();
        waiting
    };
    assert_eq!(waiting(&mut client, &pay(0, 0)), both);
    let seen_head = Seen::Head {
        chain: EVM,
        height: 7,
    };
    for who in [1, 2] {
        assert!(taken(&mut client, &say(who, &seen_head)));
    }
    assert_eq!(waiting(&mut client, &pay(0, 1)), ["reconciled"]);
    let (size, root) = head(&mut client);
    let reconciled = |size, root| Seen::Reconciled { size, root };
    // No root of this log, and more entries than there are.
    let wrong = reconciled(size, Digest([7; 32]));
    assert!(!taken(&mut client, &say(1, &wrong)));
    assert!(!taken(&mut client, &say(1, &reconciled(size - 1, root))));
    assert!(!taken(&mut client, &say(1, &reconciled(1 << 40, root))));
    let right = reconciled(size, root);
    assert!(taken(&mut client, &say(1, &right)));
    // Too long ago: it is kept, and nothing is paid by it.
    let old = now().before_millis(61_000);
    let stale = seen((2, 2), old.millis(), old, right.clone());
    assert!(taken(&mut client, &stale));
    assert_eq!(waiting(&mut client, &pay(0, 2)), ["reconciled"]);
    assert!(taken(&mut client, &say(2, &right)));
    assert_eq!(waiting(&mut client, &pay(0, 3)), Vec::<String>::new());
    daemon.kill();
    let daemon = world.start();
    let mut client = world.walletd();
    assert_eq!(waiting(&mut client, &pay(1, 0)), Vec::<String>::new());
    daemon.stop();
    assert_eq!(attested(&world), 5);
}

/// As `strongroom attest final`.
fn attest_final(world: &World, who: u8, request: &SignRequest, answer: &SignAnswer) {
    let file = world.folder().join(format!("f{who}"));
    let text = key(who).to_openssh(ssh_key::LineEnding::LF).unwrap();
    std::fs::write(&file, text.as_bytes()).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (certificate, secret) = world.pki.files("walletd");
    let hash = RequestHash(request.fingerprint().unwrap()).to_string();
    let mut command = Command::new(binary("strongroom"));
    command.args(["attest", "final", "--attempt", &answer.attempt.to_string()]);
    command.args(["--request", &hash]);
    command.args(["--transaction", &answer.transaction.txid]);
    command.args(["--attester", &format!("f{who}"), "--signing-key"]);
    command.arg(file).arg("--policy").arg(world.policy());
    command.arg("--connect").arg(world.api().to_string());
    command.arg("--certificate").arg(certificate);
    command.arg("--key").arg(secret);
    command.arg("--ca").arg(world.pki.authority());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn what_is_outstanding_has_a_limit_and_attesters_make_room_in_it() {
    let world = World::with(at_risk);
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let pay = |n: u64, try_: u32, units: u128| {
        let id = format!("pay-{n}-{try_}");
        transfer(&id, &from, &Draft::transfer(n, CUSTOMER, units))
    };
    let refused = |client: &mut Client, request: &SignRequest| {
        let problem = client.refused(request);
        let by = problem.reasons.into_iter();
        let by: Vec<Option<String>> = by.map(|reason| reason.statement).collect();
        assert_eq!(by, [Some("at-risk".to_owned())]);
    };
    let first = pay(0, 0, 6);
    let answer = client.sign(&first);
    assert_eq!(client.used("at-risk"), 6u64.into());
    refused(&mut client, &pay(1, 0, 5));
    // One attester of three makes no room, whatever it says.
    assert!(taken(
        &mut client,
        &say(3, &fate(&first, &answer, Fate::Final))
    ));
    refused(&mut client, &pay(1, 1, 5));
    attest_final(&world, 1, &first, &answer);
    assert_eq!(client.used("at-risk"), 0u64.into());
    let second = pay(1, 2, 9);
    let answer = client.sign(&second);
    daemon.kill();

    let daemon = world.start();
    let mut client = world.walletd();
    assert_eq!(client.used("at-risk"), 9u64.into());
    refused(&mut client, &pay(2, 0, 2));
    assert!(taken(
        &mut client,
        &say(1, &fate(&second, &answer, Fate::Dead))
    ));
    refused(&mut client, &pay(2, 1, 2));
    assert!(taken(
        &mut client,
        &say(2, &fate(&second, &answer, Fate::Dead))
    ));
    assert_eq!(client.used("at-risk"), 0u64.into());
    // One says that it is final after all: it may have happened.
    assert!(taken(
        &mut client,
        &say(1, &fate(&second, &answer, Fate::Final))
    ));
    assert_eq!(client.used("at-risk"), 9u64.into());
    daemon.kill();

    let daemon = world.start();
    let mut client = world.walletd();
    assert_eq!(client.used("at-risk"), 9u64.into());
    assert!(taken(
        &mut client,
        &say(3, &fate(&second, &answer, Fate::Final))
    ));
    client.sign(&pay(2, 2, 10));
    assert_eq!(client.used("at-risk"), 10u64.into());
    // The limit of the day forgets nothing by that.
    assert_eq!(client.used("eth-day"), 25u64.into());
    daemon.stop();
}

/// What an attester floods the log with is bounded by a rate of its own, whoever brings it.
#[test]
fn an_attester_that_says_too_much_is_held() {
    let world = World::with(reissues);
    let daemon = world.start();
    let mut client = world.walletd();
    let at = now().before_millis(1_000_000);
    let mut sent = 0;
    let held = loop {
        assert!(sent < 1_000, "nothing holds it");
        sent += 1;
        let number = at.millis() - 1_000 + sent;
        let seen_head = Seen::Head {
            chain: EVM,
            height: sent,
        };
        let statement = seen((1, 1), number, at, seen_head);
        let body = serde_json::to_vec(&statement).unwrap();
        let answer = client.post("/v1/statements", &body);
        if answer.status != 200 {
            break problem(&answer);
        }
    };
    assert_eq!(held.kind, ProblemKind::TooManyRequests);
    assert!(held.detail.contains("Attester f1"), "{held:?}");
    assert!(sent > 20, "{sent}");
    // Another one is heard.
    let seen_head = Seen::Head {
        chain: EVM,
        height: 1,
    };
    assert!(taken(&mut client, &say(2, &seen_head)));
    daemon.stop();
}
