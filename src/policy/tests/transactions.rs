//! People approve transactions that pay no intent, one by one: what counts, and what counts for nothing.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use strongroom_policy::{
    Allow, Blob, BundleHash, Digest, Entry, FreezeScope, FunctionId, HotState, Need, Policy,
    ProposedTransaction, ReasonCode, Rejection, Request, RequestHash, Require, Selector, State,
    StateError, TransactionDecided, Verdict,
    approval::{Approval, Says, TransactionApproval},
    evaluate, statement, widenings,
};
use tx::{
    AccountClass, Address, Amount, EffectKind, Time, Transaction,
    evm::{CallData, Function, Signature},
};

use crate::{
    approvals::{PEOPLE, asking, begun_with, key, say as say_of_intent, the_intent, try_push},
    fixture::{
        Ask, DAY, ETH, SECOND, Signer, amount, book, effects, name, names, need, own,
        statement as said_by, stranger,
    },
    hostile::runner,
};

const HOUR: u64 = 3_600 * SECOND;
const STAKE: &str = "stake(address owner, uint256 amount, string note)";

pub fn contract() -> Address {
    stranger(ETH, 100)
}

fn function() -> Arc<Function> {
    Arc::new(Function {
        name: name("stake"),
        signature: Signature::parse(STAKE).unwrap(),
    })
}

/// One list or text in RLP, by the first byte of its kind.
fn rlp(kind: u8, bytes: &[u8]) -> Vec<u8> {
    if kind == 0x80 && bytes.len() == 1 && bytes[0] < 0x80 {
        return bytes.to_vec();
    }
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    let zeros = length.iter().take_while(|byte| **byte == 0).count();
    let head = match bytes.len() {
        short @ 0..=55 => vec![kind + u8::try_from(short).unwrap()],
        _ => [&[kind + 55 + (4 - zeros as u8)], &length[zeros..]].concat(),
    };
    [head.as_slice(), bytes].concat()
}

fn number(value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    rlp(0x80, &bytes[zeros..])
}

/// A call of `stake`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    nonce: u64,
    tip: u64,
    gas: u64,
    value: u64,
    owner: u8,
    staked: u64,
    note: String,
}

/// A cheap one of little.
pub fn call(nonce: u64) -> Call {
    Call {
        nonce,
        tip: 1,
        gas: 90_000,
        value: 3,
        owner: 1,
        staked: 5,
        note: "for ever".into(),
    }
}

impl Call {
    pub fn transaction(&self) -> Transaction {
        let texts = [
            ("owner", stranger(ETH, self.owner).to_string()),
            ("amount", self.staked.to_string()),
            ("note", self.note.clone()),
        ];
        let texts: BTreeMap<String, String> = texts.map(|(name, text)| (name.into(), text)).into();
        let data = CallData::of_texts(&function(), &texts).unwrap().encode();
        let to = contract().to_string();
        let to = hex::decode(to.strip_prefix("0x").unwrap()).unwrap();
        let fields = [
            number(1),
            number(self.nonce),
            number(self.tip),
            number(self.tip + 10),
            number(self.gas),
            rlp(0x80, &to),
            number(self.value),
            rlp(0x80, &data),
            rlp(0xc0, &[]),
        ];
        let payload = [&[2], rlp(0xc0, &fields.concat()).as_slice()].concat();
        Transaction::Eip2718 {
            chain: ETH,
            from: own("k1", ETH).to_string(),
            payload: format!("0x{}", hex::encode(payload)),
        }
    }

    /// The request of this id to sign it.
    fn request(&self, id: &str) -> Request {
        Request {
            client: name("walletd"),
            id: id.parse().unwrap(),
            hash: RequestHash([0; 32]),
            lane_epoch: 0,
            intents: Vec::new(),
            replaces: Vec::new(),
            transaction: Blob::of(&serde_json::to_string(&self.transaction()).unwrap()),
            proofs: Vec::new(),
        }
    }

    pub fn proposed(&self, signer: &Signer, id: &str) -> ProposedTransaction {
        ProposedTransaction {
            client: name("walletd"),
            request: id.parse().unwrap(),
            transaction: self.transaction(),
            expires: signer.now.lo.after_millis(2 * DAY),
        }
    }
}

fn verdict_of(signer: &Signer, call: &Call, request: &Request) -> Verdict {
    let understood = signer.state.understood(&call.transaction()).unwrap();
    evaluate(&signer.state, signer.now, &understood, request).unwrap()
}

fn verdict(signer: &Signer, call: &Call, id: &str) -> Verdict {
    verdict_of(signer, call, &call.request(id))
}

fn is_pending(signer: &Signer, call: &Call, id: &str) -> bool {
    match verdict(signer, call, id) {
        Verdict::Pending(_) => true,
        Verdict::Permit(_) => false,
        Verdict::Refuse(refusal) => panic!("{refusal:?}"),
    }
}

/// Whether it is under the id `s`; another nonce than the next one is refused besides.
fn is_permitted(signer: &Signer, call: &Call) -> bool {
    matches!(verdict(signer, call, "s"), Verdict::Permit(_))
}

/// A call of something else, under the same nonce.
fn other() -> Call {
    Call {
        staked: 6,
        ..call(0)
    }
}

/// Calls of `stake` are allowed and need `need`; payments above 3 do too.
pub fn calling(need: Need) -> Policy {
    let mut policy = asking(need.clone());
    let declared = policy.functions.declare(contract(), function());
    declared.unwrap();
    let stakes = Selector {
        functions: Some([(id_of_stake(), Default::default())].into()),
        ..effects(&[EffectKind::Call])
    };
    policy.allows.push(said_by("stakes", stakes, Allow));
    let calls = effects(&[EffectKind::Call]);
    policy
        .requires
        .push(said_by("calls", calls, Require { need }));
    policy
}

pub fn id_of_stake() -> FunctionId {
    FunctionId {
        contract: contract(),
        signature: function().signature.canonical(),
    }
}

pub fn two() -> Need {
    need(2, &PEOPLE)
}

fn register(signer: &mut Signer, call: &Call, id: &str) -> u64 {
    try_register(signer, call.proposed(signer, id)).unwrap()
}

pub fn try_register(signer: &mut Signer, proposed: ProposedTransaction) -> Result<u64, StateError> {
    let entry = signer.state.registering_transaction(proposed)?;
    let index = signer.state.entries();
    try_push(signer, Entry::TransactionRegistered(Box::new(entry)))?;
    Ok(index)
}

pub fn saying(signer: &Signer, entry: u64, need: &Need, says: Says) -> TransactionApproval {
    let registered = signer.state.registered_transaction(entry).unwrap();
    TransactionApproval {
        says,
        entry,
        transaction: registered.proposed.digest(),
        need: need.fingerprint(),
        rejected_before: registered.rejected,
        expires: signer.now.lo.after_millis(need.valid_millis.min(DAY)),
    }
}

pub fn text(signer: &Signer, approval: &TransactionApproval) -> String {
    let registered = signer.state.registered_transaction(approval.entry).unwrap();
    let proposed = &registered.proposed;
    let understood = signer.state.understood(&proposed.transaction).unwrap();
    let policy = signer.state.policy().unwrap();
    let text = approval.text(policy, (approval.entry, proposed), &understood);
    text.unwrap()
}

fn signature(text: &str, person: &str) -> String {
    statement::sign(text, TransactionApproval::NAMESPACE, &key(person)).unwrap()
}

fn deciding(
    signer: &Signer,
    approval: &TransactionApproval,
    people: &[&str],
) -> Result<TransactionDecided, StateError> {
    let text = text(signer, approval);
    let signatures: String = people.iter().map(|one| signature(&text, one)).collect();
    let entry = approval.entry;
    signer.state.deciding_transaction(entry, &text, &signatures)
}

fn say(signer: &mut Signer, entry: u64, need: &Need, says: Says, people: &[&str]) {
    let approval = saying(signer, entry, need, says);
    let decided = deciding(signer, &approval, people).unwrap();
    try_push(signer, Entry::TransactionDecided(Box::new(decided))).unwrap();
}

#[test]
fn people_approve_one_transaction_and_no_other_uses_it() {
    let two = two();
    let mut signer = Signer::new(calling(two.clone()));
    assert!(is_pending(&signer, &call(0), "s"));
    let entry = register(&mut signer, &call(0), "s");
    say(&mut signer, entry, &two, Says::Approve, &["alice"]);
    assert!(is_pending(&signer, &call(0), "s"));
    // She counts once, however often she says so.
    let again = saying(&signer, entry, &two, Says::Approve);
    let again = deciding(&signer, &again, &["alice"]).unwrap();
    let again = try_push(&mut signer, Entry::TransactionDecided(Box::new(again)));
    assert_eq!(again, Err(StateError::SaidAlready));
    say(&mut signer, entry, &two, Says::Approve, &["carol"]);
    // Another bit, client or id is another transaction, and so is one that names an intent.
    let others = [
        Call {
            nonce: 1,
            ..call(0)
        },
        Call { tip: 2, ..call(0) },
        Call {
            gas: 90_001,
            ..call(0)
        },
        Call {
            value: 4,
            ..call(0)
        },
        Call {
            staked: 6,
            ..call(0)
        },
        Call {
            note: "For ever".into(),
            ..call(0)
        },
    ];
    for other in &others {
        assert!(!is_permitted(&signer, other), "{other:?}");
    }
    assert!(is_pending(&signer, &call(0), "s2"));
    let of_another = Request {
        client: name("other"),
        ..call(0).request("s")
    };
    let verdict = verdict_of(&signer, &call(0), &of_another);
    assert!(matches!(verdict, Verdict::Pending(_)));
    let Verdict::Permit(permit) = self::verdict(&signer, &call(0), "s") else {
        panic!("not permitted");
    };
    let attempt = permit.into_attempt();
    assert_eq!(attempt.met[&two.fingerprint()], names(["alice", "carol"]));
    // Taken up again it is still approved; and once there is a signature, it is answered alone.
    signer.push(Entry::Attempt(Box::new(attempt)));
    assert!(!is_pending(&signer, &call(0), "s"));
    let Verdict::Refuse(_) = self::verdict(&signer, &call(0), "s2") else {
        panic!("the same nonce twice without a word about it");
    };
}

#[test]
fn approvals_of_intents_and_of_transactions_do_not_stand_in_for_each_other() {
    let two = two();
    let (mut signer, pay) = begun_with(calling(two.clone()));
    let intent = the_intent(&pay).intent.clone();
    let entry = register(&mut signer, &call(0), "r");
    say(&mut signer, entry, &two, Says::Approve, &["alice", "bob"]);
    assert!(!is_pending(&signer, &call(0), "r"));
    assert!(crate::approvals::is_pending(&signer, &pay));
    say_of_intent(&mut signer, &intent, &two, Says::Approve, &["alice", "bob"]);
    assert!(!crate::approvals::is_pending(&signer, &pay));
    assert!(is_pending(&signer, &other(), "r2"));
    // Nor are the texts each other's.
    let of_transaction = text(&signer, &saying(&signer, entry, &two, Says::Approve));
    assert!(Approval::parse(&of_transaction).is_err());
    let by = signature(&of_transaction, "carol");
    assert!(
        signer
            .state
            .deciding(&intent.id, &of_transaction, &by)
            .is_err()
    );
}

#[test]
fn who_runs_the_client_approves_nothing_that_it_asks_for() {
    let two = two();
    let run_by = |person: &str| {
        let mut policy = calling(two.clone());
        let client = policy.clients.get_mut(&name("walletd")).unwrap();
        client.people = names([person]);
        policy
    };
    let (mut signer, pay) = begun_with(run_by("bob"));
    let intent = the_intent(&pay).intent.clone();
    let entry = register(&mut signer, &call(0), "s");
    let bob = saying(&signer, entry, &two, Says::Approve);
    let refused = deciding(&signer, &bob, &["bob"]);
    assert!(matches!(refused, Err(StateError::NobodyCounts { .. })));
    for one in ["alice", "carol"] {
        assert!(is_pending(&signer, &call(0), "s"));
        assert!(crate::approvals::is_pending(&signer, &pay));
        // With bob beside, who does not count.
        say(&mut signer, entry, &two, Says::Approve, &[one, "bob"]);
        say_of_intent(&mut signer, &intent, &two, Says::Approve, &[one, "bob"]);
    }
    assert!(!is_pending(&signer, &call(0), "s"));
    assert!(!crate::approvals::is_pending(&signer, &pay));
    // Nor does what somebody said before the bundle says that they run it.
    let mut policy = run_by("carol");
    (policy.hash, policy.sequence) = (BundleHash([2; 32]), 2);
    signer.activate(policy);
    assert!(is_pending(&signer, &call(0), "s"));
    assert!(crate::approvals::is_pending(&signer, &pay));
}

#[test]
fn a_client_that_nobody_is_said_to_run_any_longer_is_wider() {
    let of = |people: &[&str]| {
        let mut policy = calling(two());
        let client = policy.clients.get_mut(&name("walletd")).unwrap();
        client.people = names(people.iter().copied());
        policy
    };
    let is_narrower = |old: &[&str], new: &[&str]| widenings(&of(old), &of(new)).is_empty();
    assert!(is_narrower(&[], &["bob"]));
    assert!(is_narrower(&["bob"], &["alice", "bob"]));
    assert!(!is_narrower(&["bob"], &[]));
    assert!(!is_narrower(&["bob"], &["alice"]));
}

#[test]
fn each_need_has_people_of_its_own() {
    let mut policy = calling(two());
    let other = Need {
        delay_millis: HOUR,
        ..need(1, &["alice"])
    };
    let fees = effects(&[EffectKind::Fee]);
    let require = Require {
        need: other.clone(),
    };
    policy.requires.push(said_by("fees", fees, require));
    let mut signer = Signer::new(policy);
    let entry = register(&mut signer, &call(0), "s");
    say(&mut signer, entry, &other, Says::Approve, &["alice"]);
    say(&mut signer, entry, &two(), Says::Approve, &["alice", "bob"]);
    signer.pass(HOUR);
    assert!(is_pending(&signer, &call(0), "s"), "alice counts once");
    say(&mut signer, entry, &two(), Says::Approve, &["carol"]);
    assert!(!is_pending(&signer, &call(0), "s"));
}

#[test]
fn the_text_says_all_of_it() {
    let mut policy = calling(two());
    policy.books.insert(name("pools"), book([contract()]));
    let mut signer = Signer::new(policy);
    let one = Call {
        note: "a \"b\"\nneed 1".into(),
        ..call(7)
    };
    let entry = register(&mut signer, &one, "s-1");
    let approval = saying(&signer, entry, &two(), Says::Approve);
    let understood = signer.state.understood(&one.transaction()).unwrap();
    let expected = format!(
        "strongroom-transaction-approval-v1\nfleet main\nanswers entry {entry}\ndecision approve\n\
         client walletd\nrequest s-1\ntransaction {}\nchain eip155:1\naccount hot\n\
         consumes nonce {}:7\nsigns k1 {}\nvalid-until unbounded\n\
         gas-limit 90000\nmax-fee-per-gas 11\nmax-priority-fee-per-gas 1\neffects 2\n\
         effect call\nasset eip155:1/native\namount 3\nunits unknown\n\
         to 0x64 6464 6464 6464 6464 6464 6464 6464 6464 6464 64\nin-book pools\nno tag\n\
         function stake stake(address,uint256,string)\n\
         argument owner 0x01 0101 0101 0101 0101 0101 0101 0101 0101 0101 01\nargument amount 5\n\
         argument note \"a \\\"b\\\"\\u{{a}}need 1\"\n\
         effect fee\nasset eip155:1/native\namount 990000\nunits unknown\nto nobody\n\
         known-as nobody\nno tag\ntransaction-expires {}\nneed {}\npeople 2 of alice bob carol dora\n\
         delay-secs 0\nvalid-secs {}\nrejection blocks\nrejected-before 0\nexpires {}\n",
        approval.transaction,
        own("k1", ETH).qualified(),
        hex::encode(understood.signings()[0].digest),
        signer.now.lo.after_millis(2 * DAY),
        two().fingerprint(),
        two().valid_millis / 1_000,
        approval.expires,
    );
    assert_eq!(text(&signer, &approval), expected);
    assert!(expected.is_ascii());
    assert_eq!(TransactionApproval::parse(&expected), Ok(approval));
}

fn any_call() -> impl Strategy<Value = Call> {
    let numbers = (0..3_u64, 1..3_u64, 90_000..90_003_u64, 0..3_u64);
    (numbers, 1..3_u8, 0..3_u64, "[a \n\"\\\\\u{e9}]{0,3}").prop_map(
        |((nonce, tip, gas, value), owner, staked, note)| Call {
            nonce,
            tip,
            gas,
            value,
            owner,
            staked,
            note,
        },
    )
}

/// Invariant 8: not by its hashes alone, but by what a person reads.
#[test]
fn two_transactions_never_read_the_same() {
    let run = |(one, other): (Call, Call)| {
        let read = |call: &Call| {
            let mut signer = Signer::new(calling(two()));
            let entry = register(&mut signer, call, "s");
            let text = text(&signer, &saying(&signer, entry, &two(), Says::Approve));
            let hashes = ["transaction ", "signs "];
            let lines = text.lines();
            let lines = lines.filter(|line| !hashes.iter().any(|hash| line.starts_with(hash)));
            lines.collect::<Vec<_>>().join("\n")
        };
        prop_assert_eq!(one == other, read(&one) == read(&other));
        Ok(())
    };
    runner(300).run(&(any_call(), any_call()), run).unwrap();
}

/// Invariant 8: one changed byte, another kind, fleet, entry or need, and one person twice count for nothing.
#[test]
fn a_changed_statement_counts_for_nothing() {
    let two = two();
    let mut signer = Signer::new(calling(two.clone()));
    let entry = register(&mut signer, &call(0), "s");
    let next = register(&mut signer, &call(1), "s2");
    let approval = saying(&signer, entry, &two, Says::Approve);
    let text = text(&signer, &approval);
    let good = signature(&text, "alice");
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
        let changed = String::from_utf8(bytes).unwrap();
        let parsed = TransactionApproval::parse(&changed);
        // Also where she signs the changed one, unless it says another time at which her word ends.
        let ends = parsed.is_ok_and(|said| said.expires != approval.expires);
        let signed = [good.clone(), signature(&changed, "alice")];
        for signatures in signed.into_iter().take(if ends { 1 } else { 2 }) {
            let decided = signer
                .state
                .deciding_transaction(entry, &changed, &signatures);
            let refused = decided.and_then(|decided| {
                let entry = Entry::TransactionDecided(Box::new(decided));
                try_push(&mut signer.clone(), entry)
            });
            assert!(refused.is_err(), "{changed}");
        }
    }
    // The word about one transaction, brought for another.
    let replayed = signer.state.deciding_transaction(next, &text, &good);
    let replayed = replayed.map(|decided| {
        let entry = Entry::TransactionDecided(Box::new(decided));
        try_push(&mut signer.clone(), entry)
    });
    assert_eq!(replayed, Ok(Err(StateError::Rendered)));
    for namespace in [Approval::NAMESPACE, "strongroom-veto-v1"] {
        let of_another_kind = statement::sign(&text, namespace, &key("alice")).unwrap();
        let decided = signer
            .state
            .deciding_transaction(entry, &text, &of_another_kind);
        assert!(matches!(decided, Err(StateError::NobodyCounts { .. })));
    }
    let twice = signer
        .state
        .deciding_transaction(entry, &text, &format!("{good}{good}"))
        .unwrap();
    assert_eq!(twice.signed_by.len(), 1);
    forgeries_are_refused(&mut signer, &twice);
    try_push(&mut signer, Entry::TransactionDecided(Box::new(twice))).unwrap();
    assert!(is_pending(&signer, &call(0), "s"));
}

/// Nor may an entry claim more than its statement says.
fn forgeries_are_refused(signer: &mut Signer, decided: &TransactionDecided) {
    let forged = [
        TransactionDecided {
            transaction: decided.transaction + 1,
            ..decided.clone()
        },
        TransactionDecided {
            says: Says::Reject,
            ..decided.clone()
        },
        TransactionDecided {
            need: Digest([1; 32]),
            ..decided.clone()
        },
        TransactionDecided {
            expires: Time::from_millis(u64::MAX),
            ..decided.clone()
        },
        TransactionDecided {
            closes: true,
            ..decided.clone()
        },
        TransactionDecided {
            signed_by: ["alice", "bob"]
                .map(|who| (name(who), crate::approvals::line(who)))
                .into(),
            ..decided.clone()
        },
    ];
    for forged in forged {
        let entry = Entry::TransactionDecided(Box::new(forged));
        assert!(try_push(signer, entry).is_err());
    }
}

#[test]
fn a_rejection_blocks_and_no_earlier_word_overrules_it() {
    let two = two();
    let mut signer = Signer::new(calling(two.clone()));
    let entry = register(&mut signer, &call(0), "s");
    let early = saying(&signer, entry, &two, Says::Approve);
    let early = deciding(&signer, &early, &["alice"]).unwrap();
    say(&mut signer, entry, &two, Says::Approve, &["alice", "bob"]);
    say(&mut signer, entry, &two, Says::Reject, &["alice"]);
    assert!(is_pending(&signer, &call(0), "s"));
    let again = try_push(&mut signer, Entry::TransactionDecided(Box::new(early)));
    assert!(matches!(again, Err(StateError::Rejected { .. })));
    // By her own new word it goes on.
    say(&mut signer, entry, &two, Says::Approve, &["alice"]);
    assert!(!is_pending(&signer, &call(0), "s"));
}

#[test]
fn what_was_rejected_for_good_is_signed_under_no_id() {
    let last = Need {
        rejection: Rejection::Final,
        ..two()
    };
    let mut signer = Signer::new(calling(last.clone()));
    let entry = register(&mut signer, &call(0), "s");
    let twin = register(&mut signer, &call(0), "twin");
    say(&mut signer, entry, &last, Says::Approve, &["alice", "bob"]);
    say(&mut signer, twin, &last, Says::Approve, &["alice", "bob"]);
    say(&mut signer, entry, &last, Says::Reject, &["carol"]);
    for id in ["s", "twin", "new"] {
        let Verdict::Refuse(refusal) = verdict(&signer, &call(0), id) else {
            panic!("{id} is not refused");
        };
        let mut codes = refusal.reasons.iter().map(|reason| reason.code);
        assert!(codes.any(|code| code == ReasonCode::TransactionClosed));
    }
    let again = call(0).proposed(&signer, "new");
    let again = try_register(&mut signer, again);
    assert!(matches!(again, Err(StateError::TransactionClosed { .. })));
    let decided = deciding(
        &signer,
        &saying(&signer, entry, &last, Says::Approve),
        &["dora"],
    );
    assert!(matches!(decided, Err(StateError::TransactionClosed { .. })));
    // Another transaction is another question.
    let entry = register(&mut signer, &other(), "other");
    say(&mut signer, entry, &last, Says::Approve, &["alice", "bob"]);
    assert!(!is_pending(&signer, &other(), "other"));
}

#[test]
fn what_was_said_ends_with_time_with_a_key_and_with_the_need() {
    let two = Need {
        valid_millis: DAY,
        ..two()
    };
    let mut signer = Signer::new(calling(two.clone()));
    let entry = register(&mut signer, &call(0), "s");
    say(&mut signer, entry, &two, Says::Approve, &["alice", "bob"]);
    assert!(!is_pending(&signer, &call(0), "s"));
    let mut later = signer.clone();
    later.pass(DAY + 1);
    assert!(is_pending(&later, &call(0), "s"));
    // A freeze holds it; a bundle without her key takes her word with it; so does one of another need.
    let mut frozen = signer.clone();
    frozen.push(Entry::Frozen {
        scope: "everything".parse::<FreezeScope>().unwrap(),
        reason: "a test".into(),
    });
    let Verdict::Refuse(refusal) = verdict(&frozen, &call(0), "s") else {
        panic!("frozen");
    };
    assert_eq!(refusal.reasons[0].code, ReasonCode::Frozen);
    let edited = |edit: &dyn Fn(&mut Policy)| {
        let mut signer = signer.clone();
        let mut policy = calling(two.clone());
        edit(&mut policy);
        (policy.hash, policy.sequence) = (BundleHash([2; 32]), 2);
        signer.activate(policy);
        is_pending(&signer, &call(0), "s")
    };
    assert!(!edited(&|_| {}));
    assert!(edited(&|policy| {
        let dora = policy.people[&name("dora")].clone();
        policy.people.remove(&name("dora"));
        policy.people.insert(name("alice"), dora);
    }));
    assert!(edited(&|policy| policy.requires[1].says.need.threshold = 1));
}

#[test]
fn what_is_registered_is_bounded() {
    let mut signer = Signer::new(calling(two()));
    let mut proposed = call(0).proposed(&signer, "s");
    let now = signer.now.lo;
    for expires in [now.before_millis(1), now.after_millis(7 * DAY + 1)] {
        proposed.expires = expires;
        let refused = try_register(&mut signer, proposed.clone());
        assert_eq!(refused, Err(StateError::TransactionExpires { expires }));
    }
    // Longer than anybody reads; not understood; nobody is asked.
    let long = Call {
        note: "n".repeat(8_000),
        ..call(0)
    };
    let mut strange = proposed.clone();
    proposed.expires = now.after_millis(1);
    let long = long.proposed(&signer, "long");
    register(&mut signer, &call(0), "first");
    let held: Vec<Result<u64, StateError>> = (0..64)
        .map(|n| {
            let mut one = long.clone();
            one.request = format!("long-{n}").parse().unwrap();
            try_register(&mut signer, one)
        })
        .collect();
    let taken = held.iter().filter(|one| one.is_ok()).count();
    assert!((10..16).contains(&taken), "256 KiB of a client: {taken}");
    assert!(matches!(held[63], Err(StateError::TransactionsFull { .. })));
    strange.expires = now.after_millis(1);
    strange.transaction = Call { gas: 1, ..call(0) }.transaction();
    if let Transaction::Eip2718 { payload, .. } = &mut strange.transaction {
        payload.push_str("00");
    }
    let strange = signer.state.registering_transaction(strange);
    assert!(matches!(strange, Err(StateError::Transaction(_))));
    let mut free = calling(two());
    free.requires.pop();
    let free = Signer::new(free);
    let unasked = call(0).proposed(&free, "s");
    let unasked = free.state.registering_transaction(unasked);
    assert_eq!(unasked, Err(StateError::NobodyAsked));
}

#[test]
fn places_of_a_need_are_bounded_and_come_back() {
    let mut signer = Signer::new(calling(two()));
    for n in 0..64 {
        register(&mut signer, &call(n), &format!("s{n}"));
    }
    let more = call(64).proposed(&signer, "s64");
    let full = try_register(&mut signer, more.clone());
    assert!(matches!(full, Err(StateError::TransactionsFull { .. })));
    let mut others = more.clone();
    others.client = name("other");
    try_register(&mut signer, others).unwrap();
    let again = call(0).proposed(&signer, "s0");
    let again = try_register(&mut signer, again);
    assert!(matches!(again, Err(StateError::RegisteredAlready { .. })));
    signer.pass(2 * DAY + 1);
    register(&mut signer, &call(64), "s64");
    assert_eq!(signer.state.registered_transactions().count(), 1);
}

#[test]
fn the_state_of_them_is_the_same_when_it_is_read_again() {
    let two = two();
    let mut signer = Signer::new(calling(two.clone()));
    let before = signer.state.hot().encode().unwrap();
    assert!(
        !String::from_utf8(before)
            .unwrap()
            .contains("\"transactions\"")
    );
    let entry = register(&mut signer, &call(0), "s");
    say(&mut signer, entry, &two, Says::Approve, &["alice", "bob"]);
    let hot = signer.state.hot();
    let bytes = hot.encode().unwrap();
    assert_eq!(HotState::decode(&bytes).unwrap(), hot);
    // As a fold over what was written says as well.
    let mut state = State::new();
    for (index, record) in (0..).zip(&signer.records) {
        let bytes = serde_json::to_vec(record).unwrap();
        let read = serde_json::from_slice(&bytes).unwrap();
        state.apply(index, &read).unwrap();
        if matches!(read.entry, Entry::PolicyActivated { .. }) {
            state.activate(Arc::new(calling(two.clone()))).unwrap();
        }
    }
    assert_eq!(state.hot(), hot);
}

#[test]
fn what_may_ask_is_told_though_it_does_not_ask_now() {
    let mut policy = calling(two());
    let attended = need(1, &["bob"]);
    let mut stakes = crate::fixture::limit("stakes", crate::fixture::eth(), 100, DAY);
    stakes.selector.effects = Some([EffectKind::Call].into());
    stakes.says.over = Some(attended.clone());
    policy.limits = vec![stakes];
    let one = |who: &str| need(1, &[who]);
    let selects = |edit: &dyn Fn(&mut Selector)| {
        let mut selector = effects(&[EffectKind::Call]);
        edit(&mut selector);
        selector
    };
    let young = selects(&|selector| selector.age_below = Some(DAY));
    let large = selects(&|selector| selector.amount_over = Some(amount(3)));
    let cold = selects(&|selector| selector.classes = Some([AccountClass::Cold].into()));
    for (label, selector, who) in [
        ("young", young, "carol"),
        ("large", large, "dora"),
        ("cold", cold, "dora"),
    ] {
        let need = Need {
            delay_millis: HOUR,
            ..one(who)
        };
        policy
            .requires
            .push(said_by(label, selector, Require { need }));
    }
    let signer = Signer::new(policy);
    let proposed = call(0).proposed(&signer, "s");
    let registered = signer.state.registering_transaction(proposed).unwrap();
    let young = Need {
        delay_millis: HOUR,
        ..one("carol")
    };
    let expected = [two(), attended, young].map(|need| need.fingerprint());
    assert_eq!(registered.needs, expected.into());
    assert_eq!(registered.effects[0].amount, Amount::from(3_u64));
}

#[test]
fn a_payment_without_its_intent_is_no_transaction_to_approve_around_it() {
    let two = two();
    let mut signer = Signer::new(calling(two.clone()));
    let ask = Ask::evm("p", 0, 1).payment(5, 1);
    assert!(signer.codes(&ask).contains(&ReasonCode::IntentMismatch));
    let entry = register(&mut signer, &call(0), "p");
    say(&mut signer, entry, &two, Says::Approve, &["alice", "bob"]);
    assert!(signer.codes(&ask).contains(&ReasonCode::IntentMismatch));
}
