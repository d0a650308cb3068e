//! A candidate over a log that the tests write: what it decides otherwise, and how full its limits were.

use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;

use api::journal::{BodyOpening, JournalBody};
use journal::segment::{Leaf, Salt};
use policy::{Entry, Policy, Record, Refused, State, Verdict, evaluate};
use tempfile::TempDir;
use tx::{Interval, Name, Time};

use super::super::cases::decide::{Asked, Requested, made};
use super::super::cases::file::Payment;
use super::super::cases::transaction::Order;
use super::super::check;
use super::super::decided::Expected;
use super::super::fixture::{BUNDLE, bundle_of};
use super::super::offline;
use super::replay;

/// A log in the making, by a signer that is not there.
struct Log {
    folder: TempDir,
    lines: String,
    state: State,
    policy: Arc<Policy>,
}

fn at(minute: u64) -> Interval {
    let time = Time::from_millis(1_767_268_800_000 + minute * 60_000);
    Interval { lo: time, hi: time }
}

impl Log {
    fn new(policy: &Arc<Policy>) -> Self {
        let mut log = Self {
            folder: tempfile::tempdir().unwrap(),
            lines: String::new(),
            state: State::new(),
            policy: Arc::clone(policy),
        };
        let fleet = policy.fleet.clone();
        log.append(at(0), Entry::Genesis { fleet });
        let key: Name = "hot-1".parse().unwrap();
        let public = offline::made_up(key.as_str());
        log.append(
            at(0),
            Entry::KeyRegistered(offline::registration(key, public)),
        );
        log.activate(policy, 0);
        log
    }

    fn activate(&mut self, policy: &Arc<Policy>, minute: u64) {
        let (hash, sequence) = (policy.hash, policy.sequence);
        let signed_by = policy.governance.officers.clone();
        let entry = Entry::PolicyActivated {
            hash,
            sequence,
            signed_by,
        };
        self.append(at(minute), entry);
        self.state.activate(Arc::clone(policy)).unwrap();
    }

    fn append(&mut self, time: Interval, entry: Entry) {
        let record = Record { v: 1, time, entry };
        let number = self.state.entries();
        self.state.apply(number, &record).unwrap();
        let body = serde_json::to_string(&record).unwrap();
        let salt = [7; 32];
        let leaf = Leaf::commit(&Salt::new(salt), body.as_bytes());
        let line = JournalBody {
            entry: number,
            commitment: hex::encode(leaf.commitment().as_bytes()),
            opening: Some(BodyOpening {
                salt: hex::encode(salt),
                body,
                apart: None,
            }),
        };
        writeln!(self.lines, "{}", serde_json::to_string(&line).unwrap()).unwrap();
        fs::write(self.folder.path().join("bodies.ndjson"), &self.lines).unwrap();
    }

    /// Asks for a payment of so many eth, and records what is decided.
    fn pay(&mut self, minute: u64, eth: &str, to: &str) -> Expected {
        let name = |name: &str| -> Name { name.parse().unwrap() };
        let (client, account) = (name("walletd"), name("hot"));
        let pay = [Payment {
            to: to.to_owned(),
            amount: format!("{eth} eth"),
            source: Some(name("payouts")),
            tag: None,
        }];
        let asked = Asked {
            client: &client,
            order: Order {
                pay: &pay,
                ..Order::new(format!("w-{minute}"), &account, at(minute).lo)
            },
        };
        let made = made(&self.policy, &mut self.state, &asked, "a payment").unwrap();
        let Requested {
            request, decoded, ..
        } = made;
        let verdict = evaluate(&self.state, at(minute), &decoded, &request).unwrap();
        match verdict {
            Verdict::Permit(permit) => {
                let attempt = Entry::Attempt(Box::new(permit.into_attempt()));
                self.append(at(minute), attempt);
                Expected::Permit
            }
            Verdict::Refuse(refusal) => {
                let needs = refusal
                    .needs
                    .into_iter()
                    .map(|need| need.statement)
                    .collect();
                let refused = Refused::new(&request, self.policy.hash, refusal.reasons, needs);
                self.append(at(minute), Entry::Refused(Box::new(refused)));
                Expected::Refuse
            }
            Verdict::Pending(needs) => {
                let needs = needs.into_iter().map(|need| need.statement).collect();
                let refused = Refused::new(&request, self.policy.hash, Vec::new(), needs);
                self.append(at(minute), Entry::Refused(Box::new(refused)));
                Expected::Pending
            }
        }
    }
}

const ANN: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const BEN: &str = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";

/// Payments of 4, 5 and 2 eth, of which the third has no room, and one of 3 a day later.
fn log() -> (Log, Arc<Policy>) {
    let policy = bundle_of(BUNDLE);
    let mut log = Log::new(&policy);
    assert_eq!(log.pay(1, "4", ANN), Expected::Permit);
    assert_eq!(log.pay(10, "5", BEN), Expected::Permit);
    assert_eq!(log.pay(20, "2", ANN), Expected::Refuse);
    assert_eq!(log.pay(1_500, "3", ANN), Expected::Permit);
    (log, policy)
}

fn replayed(log: &Log, policy: &Arc<Policy>) -> serde_json::Value {
    let report = replay(policy, log.folder.path()).unwrap();
    let text = report.to_string();
    assert_eq!(text, replay(policy, log.folder.path()).unwrap().to_string());
    serde_json::to_value(&report).unwrap()
}

#[test]
fn the_bundle_that_governed_decides_as_it_did() {
    let (log, policy) = log();
    let report = replayed(&log, &policy);
    let counts = ["entries", "decided", "changed", "unseen", "withheld"];
    let counts = counts.map(|count| report[count].as_u64().unwrap());
    assert_eq!(counts, [7, 4, 0, 0, 0]);
    let peak = &report["peaks"][0];
    assert_eq!(
        (&peak["limit"], &peak["used"]),
        (&"day".into(), &"9000000000000000000".into())
    );
    assert_eq!(peak["at"][1], 4);
}

#[test]
fn a_candidate_is_held_against_what_was_really_signed() {
    let (log, _) = log();
    let change = |cap: &str| {
        let candidate = bundle_of(&BUNDLE.replace("10 eth", cap));
        let report = replayed(&log, &candidate);
        let changes = report["changes"].as_array().unwrap().clone();
        (report, changes)
    };
    let (report, changes) = change("5 eth");
    assert_eq!(report["changed"], 1);
    assert_eq!(changes[0]["before"], "permit");
    assert_eq!(changes[0]["after_by"], serde_json::json!(["day"]));
    let example = changes[0]["example"].as_str().unwrap();
    assert!(
        example.starts_with("entry 4, request w-10 of walletd"),
        "{example}"
    );
    // What was signed beyond its cap counts all the same.
    assert_eq!(report["peaks"][0]["used"], "9000000000000000000");

    for cap in ["11 eth", "20 eth"] {
        let (report, changes) = change(cap);
        assert_eq!(report["changed"], 1);
        let words = (&changes[0]["before"], &changes[0]["after"]);
        assert_eq!(words, (&"refuse".into(), &"permit".into()));
        assert_eq!(changes[0]["before_by"], serde_json::json!(["day"]));
    }

    let denied = "[[deny]]\nname = \"ann\"\nto = \"address:eip155:1:0x70997970C51812dc3A010C7d01b50e0d17dc79C8\"\n";
    let candidate = bundle_of(&[BUNDLE, denied].concat());
    let report = replayed(&log, &candidate);
    assert_eq!(report["changed"], 2);
    assert_eq!(
        report["changes"][0]["count"], 2,
        "changes alike stand together"
    );
}

#[test]
fn a_candidate_starts_with_the_room_that_is_left() {
    let (log, policy) = log();
    let start = |policy: &Arc<Policy>, of: &str| {
        let held = check::held(Arc::clone(policy), log.folder.path()).unwrap();
        let starts = serde_json::to_value(check::starts(policy, &held)).unwrap();
        let starts = starts.as_array().unwrap().clone();
        let mut starts = starts.into_iter().filter(|start| start["limit"] == of);
        starts.next().unwrap()
    };
    let day = start(&policy, "day");
    // What was signed a day before has left it.
    assert_eq!(day["room"], "7000000000000000000", "{day:#}");
    assert_eq!(day["held"][0]["used"], "3000000000000000000");
    // A candidate whose cap is less than what was signed has none, and one with groups what each has left.
    let candidate = bundle_of(&BUNDLE.replace("10 eth", "2 eth"));
    assert_eq!(start(&candidate, "day")["room"], "0");
    let grouped = "[[limit]]\nname = \"to-one\"\neffect = \"payment\"\nasset = \"eth\"\nmeasure = \"amount\"\n\
                   window = \"48h\"\ncap = \"9 eth\"\ngroup = \"destination\"\n";
    let candidate = bundle_of(&[BUNDLE, grouped].concat());
    let to_one = start(&candidate, "to-one");
    assert_eq!(to_one["room"], "9000000000000000000");
    let held = to_one["held"].as_array().unwrap();
    let used = held
        .iter()
        .map(|one| one["used"].as_str().unwrap().parse::<u64>().unwrap());
    assert_eq!(used.clone().sum::<u64>(), 12_000_000_000_000_000_000);
    assert!(used.is_sorted_by(|one, next| one >= next), "{to_one:#}");
    let of_none = serde_json::to_value(check::starts(&policy, &[])).unwrap();
    assert!(of_none[0].get("held").is_none(), "{of_none:#}");
}

#[test]
fn bundles_that_came_and_went_are_none_of_the_candidates() {
    let (mut log, policy) = log();
    let mut narrower = (*bundle_of(&BUNDLE.replace("10 eth", "7 eth"))).clone();
    narrower.sequence = 2;
    narrower.hash = policy::BundleHash([9; 32]);
    let narrower = Arc::new(narrower);
    log.activate(&narrower, 1_501);
    log.policy = narrower;
    assert_eq!(log.pay(1_502, "5", ANN), Expected::Refuse);
    let report = replayed(&log, &policy);
    assert_eq!(report["changed"], 1);
    assert_eq!(report["changes"][0]["after"], "permit");
}

#[test]
fn a_log_that_was_changed_is_no_history() {
    let (log, policy) = log();
    let path = log.folder.path().join("bodies.ndjson");
    let whole = log.lines.clone();
    fs::write(&path, whole.replace("walletd", "walleta")).unwrap();
    assert!(replay(&policy, log.folder.path()).is_err());
    let without: Vec<&str> = whole.split_inclusive('\n').collect();
    fs::write(&path, [&without[..2], &without[3..]].concat().concat()).unwrap();
    assert!(replay(&policy, log.folder.path()).is_err());
    fs::write(&path, &whole[..whole.len() - 3]).unwrap();
    assert!(replay(&policy, log.folder.path()).is_err());
}
