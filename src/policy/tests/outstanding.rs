//! Limits on what is outstanding: what attesters call final or dead makes room, and nothing else does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use proptest::{collection::vec, prelude::*, sample::Index, test_runner::TestCaseError};
use strongroom_policy::{
    Attempt, AttemptId, AttestationKind, Attestations, BundleHash, ChargeState, ChargesError,
    Entry, Group, Limit, Measure, Policy, ReasonCode, Record, Room, Row, RowKey, SettledRows,
    SignatureRecord, Signed, State, StateError, Statement, UnreadBlock, Verdict, statement::Fate,
};
use tx::{Amount, Time};

use crate::{
    fates::{fate, say, signed, spend, watched},
    finality::try_say,
    fixture::{Ask, DAY, SECOND, Signer, amount, btc, grouped, limit, name, need},
    hostile::{Done, Hostile, Step, by_formula, in_window, runner, runs, weights},
    rules::{signer_key, watching},
    windows::{Kept, again},
};

/// At most so much of what was signed in the last two days is outstanding.
pub fn bounded(cap: u64) -> Policy {
    let mut policy = watched();
    policy.limits = vec![outstanding(limit("risk", btc(), cap, 2 * DAY))];
    policy
}

fn outstanding(mut limit: Statement<Limit>) -> Statement<Limit> {
    limit.says.outstanding = true;
    limit
}

pub fn pay(id: &str, coin: u32, units: u64) -> Ask {
    Ask::utxo(id, [coin], 1_000).pay(id, units, 1)
}

pub fn used(signer: &Signer) -> Amount {
    let room = signer.state.room(signer.now).unwrap();
    let [Room { used, .. }] = room.as_slice() else {
        panic!("{room:?}");
    };
    *used
}

#[test]
fn what_is_final_makes_room_and_an_attester_alone_makes_none() {
    let mut signer = Signer::new(bounded(10));
    let first = signed(&mut signer, &pay("a", 0, 6));
    assert_eq!(used(&signer), amount(6));
    let reason = signer.reasons(&pay("b", 1, 5)).remove(0);
    assert_eq!(reason.code, ReasonCode::Limit);
    let btc = btc();
    assert_eq!(
        reason.detail,
        format!("limit risk has a cap of 10 {btc}, 6 {btc} outstanding, 5 {btc} asked")
    );
    let latest = signer.now.lo.after_millis(2 * DAY);
    assert_eq!(
        reason.remedy,
        format!(
            "there is room for it once attesters say of enough that it is final or dead, and from {latest} at \
             the latest, if nothing else is signed"
        )
    );
    say(&mut signer, "w1", first, Fate::Final);
    assert_eq!(used(&signer), amount(6));
    let bytes = |signer: &Signer| signer.state.charge_state().encode().len();
    let outstanding = bytes(&signer);
    say(&mut signer, "w2", first, Fate::Final);
    assert_eq!(used(&signer), Amount::ZERO);
    // What is settled is not kept.
    assert_eq!(bytes(&signer), outstanding - 8);
    signer.charged(&pay("b", 1, 10));
    assert_eq!(used(&signer), amount(10));
    signer.pass(2 * DAY - 1);
    // It was never signed.
    assert_eq!(used(&signer), Amount::ZERO);
}

#[test]
fn what_is_dead_makes_room_once_all_of_its_set_is() {
    let mut signer = Signer::new(bounded(10));
    let first = signed(&mut signer, &spend("a", 0));
    let replacement = Ask::utxo("b", [0], 9_000).pay("i", 5, 1).replaces([first]);
    let replacement = signed(&mut signer, &replacement);
    assert_eq!(used(&signer), amount(5));
    for who in ["w1", "w2"] {
        say(&mut signer, who, first, Fate::Dead);
    }
    assert_eq!(used(&signer), amount(5));
    for who in ["w1", "w3"] {
        say(&mut signer, who, replacement, Fate::Dead);
    }
    assert_eq!(used(&signer), Amount::ZERO);
    // One says that it is final after all: it may have happened.
    say(&mut signer, "w3", replacement, Fate::Final);
    assert_eq!(used(&signer), amount(5));
    say(&mut signer, "w1", replacement, Fate::Final);
    assert_eq!(used(&signer), Amount::ZERO);
    signer.state = again(&signer.state, &[bounded(10)]);
    assert_eq!(used(&signer), Amount::ZERO);
}

/// A further attempt is outstanding with all that its set was, dead or not.
#[test]
fn a_further_attempt_makes_what_was_dead_outstanding_again() {
    let mut signer = Signer::new(bounded(10));
    let first = signed(&mut signer, &pay("a", 0, 8));
    for who in ["w1", "w2"] {
        say(&mut signer, who, first, Fate::Dead);
    }
    let fill = signed(&mut signer, &pay("b", 1, 3));
    // The set would hold 8, whatever is asked.
    let mut more = Ask::utxo("c", [0], 9_000).pay("a", 8, 1).replaces([first]);
    assert_eq!(signer.codes(&more), [ReasonCode::Limit].into());
    say(&mut signer, "w1", fill, Fate::Final);
    say(&mut signer, "w3", fill, Fate::Final);
    more = more.rehashed(0);
    signed(&mut signer, &more);
    assert_eq!(used(&signer), amount(8));
}

#[test]
fn who_leaves_the_bundle_takes_the_word_along() {
    let mut signer = Signer::new(bounded(10));
    let first = signed(&mut signer, &pay("a", 0, 8));
    for who in ["w1", "w2"] {
        say(&mut signer, who, first, Fate::Final);
    }
    let mut other = bounded(10);
    (other.hash, other.sequence) = (BundleHash([2; 32]), 2);
    let attester = other.attestations.attesters.get_mut(&name("w2")).unwrap();
    attester.keys = [signer_key(1)].into();
    signer.activate(other.clone());
    assert_eq!(used(&signer), amount(8));
    say(&mut signer, "w3", first, Fate::Final);
    assert_eq!(used(&signer), Amount::ZERO);
    // Under a name of its own and in another window it counts the same.
    (other.hash, other.sequence) = (BundleHash([3; 32]), 3);
    other.limits[0].name = name("renamed");
    other.limits[0].says.window_millis = DAY;
    let second = signed(&mut signer, &pay("b", 1, 2));
    signer.activate(other.clone());
    assert_eq!(used(&signer), amount(2));
    // And one that is new counts as if it had always been there.
    (other.hash, other.sequence) = (BundleHash([4; 32]), 4);
    let limits = std::mem::take(&mut other.limits);
    signer.activate(other.clone());
    (other.hash, other.sequence) = (BundleHash([5; 32]), 5);
    other.limits = limits;
    signer.activate(other);
    assert_eq!(used(&signer), amount(2));
    for who in ["w1", "w3"] {
        say(&mut signer, who, second, Fate::Final);
    }
    assert_eq!(used(&signer), Amount::ZERO);
}

#[test]
fn people_carry_more_over_it() {
    let mut policy = bounded(10);
    policy.limits[0].says.over = Some(need(1, &["alice"]));
    let mut signer = Signer::new(policy);
    signed(&mut signer, &pay("a", 0, 8));
    match signer.evaluate(&pay("b", 1, 3)) {
        Verdict::Pending(needs) => assert_eq!(needs[0].statement, name("risk")),
        other => panic!("{other:?}"),
    }
    // Where nobody says what is dead or final, it is a limit like any other.
    let mut alone = bounded(10);
    alone.attestations = Attestations::default();
    let mut signer = Signer::new(alone);
    signer.charged(&pay("a", 0, 8));
    signer.pass(2 * DAY - 1);
    assert_eq!(used(&signer), amount(8));
    signer.pass(1);
    assert_eq!(used(&signer), Amount::ZERO);
}

/// What is settled by an attempt that is no longer kept may be outstanding again.
#[test]
fn what_was_final_before_all_windows_is_forgotten_with_them() {
    let mut policy = bounded(10);
    policy.limits[0].says.window_millis = 90 * DAY;
    let mut signer = Signer::new(policy.clone());
    let first = signed(&mut signer, &spend("a", 0));
    signer.pass(30 * DAY);
    let later = Ask::utxo("b", [0], 9_000).pay("i", 5, 1).replaces([first]);
    signed(&mut signer, &later);
    for who in ["w1", "w2"] {
        say(&mut signer, who, first, Fate::Final);
    }
    assert_eq!(used(&signer), Amount::ZERO);
    let mut restarted = signer.clone();
    restarted.state = again(&signer.state, &[policy]);
    for signer in [&mut signer, &mut restarted] {
        signer.pass(60 * DAY - 1);
        assert_eq!(used(signer), Amount::ZERO);
        signer.pass(1);
        assert_eq!(used(signer), amount(5));
        signer.state.advance(signer.now.lo).unwrap();
        assert_eq!(used(signer), amount(5));
        signer.pass(30 * DAY);
        assert_eq!(used(signer), Amount::ZERO);
    }
}

/// One thing that happens.
#[derive(Clone, Debug)]
enum Event {
    /// Something is asked, and signed at once or not.
    Ask(Step, bool),
    /// An attempt that is not signed is, however late.
    Sign(Index),
    Say(u8, Index, bool),
    Pass(u64),
    /// Another bundle: who attests, and what is limited.
    Edit(u8, u8),
}

fn events() -> impl Strategy<Value = Event> {
    let wait = prop_oneof![
        3 => Just(30 * SECOND),
        3 => Just(60 * SECOND + 1),
        2 => Just(99 * SECOND),
        1 => Just(DAY),
        1 => Just(45 * DAY),
    ];
    prop_oneof![
        6 => (runs(1), prop::bool::weighted(0.7))
            .prop_map(|(mut steps, signs)| Event::Ask(steps.remove(0), signs)),
        1 => any::<Index>().prop_map(Event::Sign),
        6 => (1..=3_u8, any::<Index>(), any::<bool>()).prop_map(|(w, at, d)| Event::Say(w, at, d)),
        1 => wait.prop_map(Event::Pass),
        1 => (0..6_u8, 0..4_u8).prop_map(|(who, what)| Event::Edit(who, what)),
    ]
}

/// A bundle of its own.
fn bundle(sequence: u8, who: u8, what: u8) -> Policy {
    let mut policy = watched();
    policy.requires.clear();
    policy.attestations = watching();
    (policy.hash, policy.sequence) = (BundleHash([sequence; 32]), sequence.into());
    let Attestations {
        attesters, needed, ..
    } = &mut policy.attestations;
    let mut one = |who: &str, change: &dyn Fn(&mut strongroom_policy::Attester)| {
        change(attesters.get_mut(&name(who)).unwrap());
    };
    match who {
        0 => {}
        1 => one("w3", &|one| one.says = [AttestationKind::Final].into()),
        2 => one("w2", &|one| one.keys = [signer_key(1)].into()),
        3 => {
            *needed = [(AttestationKind::Final, 1), (AttestationKind::Dead, 3)].into();
        }
        4 => {
            needed.remove(&AttestationKind::Dead);
        }
        _ => policy.attestations = Attestations::default(),
    }
    let most = 1 << 40;
    let mut count = limit("count", btc(), most, 1_000 * SECOND);
    count.says.measure = Measure::Count;
    let limits = match what {
        0 => vec![limit("risk", btc(), most, 100 * SECOND)],
        1 => vec![
            grouped(count, &[Group::Destination]),
            limit("long", btc(), most, 90 * DAY),
        ],
        2 => Vec::new(),
        _ => vec![grouped(
            limit("short", btc(), most, 61 * SECOND),
            &[Group::Client],
        )],
    };
    policy.limits = limits.into_iter().map(outstanding).collect();
    policy
        .limits
        .push(limit("plain", btc(), most, 100 * SECOND));
    policy
}

/// What happened, kept apart from the signer's own state.
struct World {
    hostile: Hostile,
    policies: Vec<Policy>,
    signed: BTreeSet<AttemptId>,
    said: BTreeMap<(AttemptId, u8), Fate>,
}

impl World {
    fn new() -> Self {
        let policy = bundle(1, 0, 0);
        Self {
            hostile: Hostile::new(&Signer::new(policy.clone())),
            policies: vec![policy],
            signed: BTreeSet::new(),
            said: BTreeMap::new(),
        }
    }

    fn policy(&self) -> &Policy {
        self.policies.last().unwrap()
    }

    fn live(&mut self, event: &Event) {
        match event {
            Event::Ask(step, signs) => {
                let ask = self.hostile.take(step);
                if self.hostile.charge(&ask) && *signs {
                    self.sign(self.hostile.done.last().unwrap().id);
                }
            }
            Event::Sign(at) => {
                let done = self.hostile.done.iter().map(|done| done.id);
                let unsigned: Vec<AttemptId> =
                    done.filter(|id| !self.signed.contains(id)).collect();
                if !unsigned.is_empty() {
                    self.sign(*at.get(&unsigned));
                }
            }
            Event::Say(who, at, is_final) => self.say(*who, at, *is_final),
            Event::Pass(millis) => self.hostile.signer.pass(*millis),
            Event::Edit(who, what) => {
                let sequence = u8::try_from(self.policies.len() + 1).unwrap();
                let policy = bundle(sequence, *who, *what);
                self.hostile.signer.activate(policy.clone());
                self.policies.push(policy);
            }
        }
    }

    fn sign(&mut self, attempt: AttemptId) {
        let signature = SignatureRecord {
            call: 0,
            r: strongroom_policy::Digest([u8::try_from(attempt.0 % 250).unwrap(); 32]),
            s: strongroom_policy::Digest([2; 32]),
            recovery_id: Some(0),
        };
        self.hostile.signer.push(Entry::Signed(Box::new(Signed {
            attempt,
            signatures: vec![signature],
            txid: "t".into(),
            raw: strongroom_policy::Blob::Inline("00".into()),
        })));
        self.signed.insert(attempt);
    }

    /// Says it where that is new, and a bundle asks the attester.
    fn say(&mut self, who: u8, at: &Index, is_final: bool) {
        if self.hostile.done.is_empty() {
            return;
        }
        let done = at.get(&self.hostile.done);
        let what = match is_final {
            true => Fate::Final,
            false => Fate::Dead,
        };
        let (id, hash) = (done.id, done.attempt.request_hash);
        let mut statement = fate(&self.hostile.signer, &format!("w{who}"), id, what);
        if let strongroom_policy::statement::Seen::Fate { request, .. } = &mut statement.seen {
            *request = hash;
        }
        if try_say(&mut self.hostile.signer, &statement).is_ok() {
            assert!(self.signed.contains(&id));
            self.said.insert((id, who), what);
        }
    }

    /// How many attesters of the running bundle say it.
    fn saying(&self, attempt: AttemptId, fate: Fate) -> u32 {
        let kind = match fate {
            Fate::Final => AttestationKind::Final,
            Fate::Dead => AttestationKind::Dead,
        };
        let attesters = &self.policy().attestations.attesters;
        let says = |who: &u8| {
            let attester = attesters.get(&name(&format!("w{who}")));
            attester.is_some_and(|one| {
                one.says.contains(&kind) && one.keys.contains(&signer_key(10 + who))
            })
        };
        let saying = (1..=3_u8).filter(|who| self.said.get(&(attempt, *who)) == Some(&fate));
        u32::try_from(saying.filter(says).count()).unwrap()
    }

    fn is_enough(&self, attempt: AttemptId, fate: Fate) -> bool {
        let kind = match fate {
            Fate::Final => AttestationKind::Final,
            Fate::Dead => AttestationKind::Dead,
        };
        let needed = self.policy().attestations.needed(kind);
        needed > 0 && self.saying(attempt, fate) >= needed
    }

    fn is_dead(&self, done: &Done, lo: Time) -> bool {
        if self.policy().attestations.needed(AttestationKind::Dead) == 0 {
            return false;
        }
        match self.signed.contains(&done.id) {
            true => self.is_enough(done.id, Fate::Dead) && self.saying(done.id, Fate::Final) == 0,
            false => lo.millis() - done.at.millis() > 60 * SECOND,
        }
    }

    /// Whether a set is settled: by the attempts that can be in any window.
    fn is_settled(&self, set: AttemptId, lo: Time) -> bool {
        let of_set = |done: &&Done| {
            done.attempt.set.unwrap_or(done.id) == set && lo.millis() < done.at.millis() + 90 * DAY
        };
        let all: Vec<&Done> = self.hostile.done.iter().filter(of_set).collect();
        all.iter().any(|done| self.is_enough(done.id, Fate::Final))
            || all.iter().all(|done| self.is_dead(done, lo))
    }

    /// The use of each limit in each of its groups, by brute force.
    fn room(&self, lo: Time) -> BTreeMap<(String, String), Amount> {
        let mut room = BTreeMap::new();
        for limit in &self.policy().limits {
            let counts = |done: &&Done| {
                let set = done.attempt.set.unwrap_or(done.id);
                !limit.says.outstanding || !self.is_settled(set, lo)
            };
            let done: Vec<Done> = self.hostile.done.iter().filter(counts).cloned().collect();
            if limit.says.group.is_empty() {
                room.insert((limit.name.to_string(), "[]".into()), Amount::ZERO);
            }
            for (group, (attempts, weights)) in in_window(limit, &done, lo) {
                let used = by_formula(&attempts, &weights);
                room.insert((limit.name.to_string(), format!("{group:?}")), used);
            }
        }
        room
    }

    /// The use of each limit once this attempt, of the same moment, is one of its set.
    fn with(&self, attempt: &Attempt, lo: Time) -> BTreeMap<(String, String), Amount> {
        let id = AttemptId(self.hostile.signer.state.entries());
        let own = Done {
            id,
            at: lo,
            attempt: attempt.clone(),
        };
        let own_set = attempt.set.unwrap_or(id);
        let mut room = BTreeMap::new();
        for limit in &self.policy().limits {
            let counts = |done: &&Done| {
                let set = done.attempt.set.unwrap_or(done.id);
                !limit.says.outstanding || set == own_set || !self.is_settled(set, lo)
            };
            let done = self.hostile.done.iter().filter(counts).cloned();
            let done: Vec<Done> = done.chain([own.clone()]).collect();
            let all = in_window(limit, &done, lo);
            for group in weights(limit, &own).into_keys() {
                let (attempts, weights) = &all[&group];
                let used = by_formula(attempts, weights);
                room.insert((limit.name.to_string(), format!("{group:?}")), used);
            }
        }
        room
    }
}

fn shown(rooms: &[Room]) -> BTreeMap<(String, String), Amount> {
    let used = rooms.iter();
    used.map(|room| {
        let which = (room.limit.to_string(), format!("{:?}", room.group));
        (which, room.used)
    })
    .collect()
}

/// As far as it is not nothing: a limit may list groups that it holds nothing of any longer.
fn something(room: BTreeMap<(String, String), Amount>) -> BTreeMap<(String, String), Amount> {
    room.into_iter()
        .filter(|(_, used)| !used.is_zero())
        .collect()
}

fn assert_counted(world: &World) -> Result<(), TestCaseError> {
    let signer = &world.hostile.signer;
    for later in [
        0,
        30 * SECOND,
        60 * SECOND,
        60 * SECOND + 1,
        100 * SECOND,
        50 * DAY,
        91 * DAY,
    ] {
        let mut then = signer.now;
        (then.lo, then.hi) = (then.lo.after_millis(later), then.hi.after_millis(later));
        let room = signer.state.room(then).unwrap();
        prop_assert_eq!(something(shown(&room)), something(world.room(then.lo)));
    }
    Ok(())
}

#[test]
fn the_use_is_what_a_look_at_every_attempt_finds() {
    // Uses that are something, and those that are less than what was signed.
    let (outstanding, settled) = (AtomicU64::new(0), AtomicU64::new(0));
    let cases = (vec(events(), 1..24), runs(1));
    let run = |(events, steps): (Vec<Event>, Vec<Step>)| {
        let mut world = World::new();
        for event in &events {
            world.live(event);
            assert_counted(&world)?;
            let now = world.hostile.signer.now.lo;
            let room = world.room(now);
            for limit in world
                .policy()
                .limits
                .iter()
                .filter(|one| one.says.outstanding)
            {
                let all = in_window(limit, &world.hostile.done, now).into_iter();
                for (group, (attempts, weights)) in all {
                    let signed = by_formula(&attempts, &weights);
                    let which = (limit.name.to_string(), format!("{group:?}"));
                    let used = room.get(&which).copied().unwrap_or_default();
                    outstanding.fetch_add(u64::from(!used.is_zero()), Ordering::Relaxed);
                    settled.fetch_add(u64::from(used < signed), Ordering::Relaxed);
                }
            }
        }
        // And what is decided next.
        let ask = world.hostile.take(&steps[0]);
        if let Ok(permit) = world.hostile.signer.permit(&ask) {
            let now = world.hostile.signer.now.lo;
            let with = world.with(permit.attempt(), now);
            prop_assert_eq!(something(shown(&permit.room())), something(with));
        }
        Ok(())
    };
    runner(300).run(&cases, run).unwrap();
    let (outstanding, settled) = (outstanding.into_inner(), settled.into_inner());
    println!("{outstanding} uses, {settled} of which something was settled");
    assert!(
        outstanding > 300 && settled > 300,
        "{outstanding} {settled}"
    );
}

/// Rows on a disk.
#[derive(Debug)]
struct Disk(BTreeMap<RowKey, Row>);

impl SettledRows for Disk {
    fn read(&self, key: &RowKey) -> Result<Option<Row>, UnreadBlock> {
        Ok(self.0.get(key).cloned())
    }
}

/// What has nothing in memory but the hot state and the charges, and rows to be read.
fn restarted(state: &State, kept: &Kept, policies: &[Policy]) -> State {
    let bytes = state.charge_state().encode();
    let charges = ChargeState::decode(&bytes).unwrap();
    assert_eq!(charges.encode(), bytes);
    let blocks = kept.of(&charges);
    let mut few = State::settled_at(state.hot(), charges, blocks).unwrap();
    let rows = state.rows().map(|row| (row.key(), row));
    few.read_settled(Arc::new(Disk(rows.collect())));
    govern(&mut few, policies);
    few
}

fn govern(state: &mut State, policies: &[Policy]) {
    let mut policies = policies.iter();
    if let Some(policy) = policies.find(|policy| state.active() == Some(policy.hash)) {
        state.activate(Arc::new(policy.clone())).unwrap();
    }
}

fn apply(state: &mut State, record: &Record, policies: &[Policy]) {
    state.apply(state.entries(), record).unwrap();
    if matches!(record.entry, Entry::PolicyActivated { .. }) {
        govern(state, policies);
    }
}

/// Recalls for the one what the other has.
fn recall(few: &mut State, whole: &State, entry: &Entry) {
    let mut keys: Vec<RowKey> = RowKey::read_by(entry);
    while let Some(key) = keys.pop() {
        let row = whole.row(&key);
        keys.extend(
            row.iter()
                .flat_map(Row::names)
                .filter(|key| !few.knows(key)),
        );
        few.recall(key, row);
    }
}

#[test]
fn a_start_from_any_entry_counts_what_the_fold_of_all_counts() {
    let cases = (vec(events(), 1..24), any::<Index>());
    let run = |(events, cut): (Vec<Event>, Index)| {
        let mut world = World::new();
        events.iter().for_each(|event| world.live(event));
        let records = &world.hostile.signer.records;
        let (early, late) = records.split_at(1 + cut.index(records.len()));
        let (mut whole, kept) = (State::new(), Kept::default());
        for record in early {
            apply(&mut whole, record, &world.policies);
        }
        kept.take(&mut whole);
        let mut few = restarted(&whole, &kept, &world.policies);
        for record in late {
            recall(&mut few, &whole, &record.entry);
            apply(&mut few, record, &world.policies);
            apply(&mut whole, record, &world.policies);
            prop_assert_eq!(few.charge_state().encode(), whole.charge_state().encode());
            prop_assert_eq!(few.room(record.time), whole.room(record.time));
        }
        let now = world.hostile.signer.now;
        prop_assert_eq!(
            shown(&few.room(now).unwrap()),
            shown(&whole.room(now).unwrap())
        );
        prop_assert_eq!(
            something(shown(&whole.room(now).unwrap())),
            something(world.room(now.lo))
        );
        Ok(())
    };
    runner(300).run(&cases, run).unwrap();
}

/// A start hears what was said after its snapshot before a bundle governs.
#[test]
fn what_is_said_after_a_snapshot_undoes_what_was_settled() {
    let mut signer = Signer::new(bounded(10));
    let first = signed(&mut signer, &pay("a", 0, 8));
    for who in ["w1", "w2"] {
        say(&mut signer, who, first, Fate::Dead);
    }
    assert_eq!(used(&signer), Amount::ZERO);
    let kept = Kept::default();
    kept.take(&mut signer.state);
    let mut few = restarted(&signer.state, &kept, &[]);
    let whole = signer.state.clone();
    say(&mut signer, "w3", first, Fate::Final);
    assert_eq!(used(&signer), amount(8));
    let record = signer.records.last().unwrap();
    recall(&mut few, &whole, &record.entry);
    apply(&mut few, record, &[]);
    govern(&mut few, &[bounded(10)]);
    assert_eq!(few.room(signer.now), signer.state.room(signer.now));
}

/// So many are looked at for when there is room again, and no more.
#[test]
fn of_too_many_nobody_says_when_there_is_room() {
    let mut signer = Signer::new(bounded(2_001));
    for n in 0..1_000 {
        signer.charged(&pay(&format!("i{n}"), n, 2));
    }
    let more = pay("more", 5_000, 2);
    let remedy = |signer: &Signer| signer.reasons(&more).remove(0).remedy;
    assert!(remedy(&signer).contains(" at the latest, "));
    signer.charged(&pay("one", 6_000, 1));
    let says = "there is room for it once attesters say of enough that it is final or dead";
    assert_eq!(remedy(&signer), says);
}

/// Something was signed, which memory has let go of, and the disk cannot be read: the whole, and what there is without it.
fn unread(policy: &Policy, said: Option<Fate>) -> (Signer, AttemptId, State) {
    #[derive(Debug)]
    struct Broken;
    impl SettledRows for Broken {
        fn read(&self, _: &RowKey) -> Result<Option<Row>, UnreadBlock> {
            let reason = "the disk is gone".into();
            Err(UnreadBlock { reason })
        }
    }
    let mut signer = Signer::new(policy.clone());
    let first = signed(&mut signer, &spend("a", 0));
    if let Some(fate) = said {
        say(&mut signer, "w1", first, fate);
        say(&mut signer, "w2", first, fate);
    }
    let kept = Kept::default();
    kept.take(&mut signer.state);
    let mut few = restarted(&signer.state, &kept, std::slice::from_ref(policy));
    few.read_settled(Arc::new(Broken));
    (signer, first, few)
}

/// What comes of a replacement.
fn replaced_unread(policy: &Policy) -> Result<(), StateError> {
    let (mut signer, first, mut few) = unread(policy, None);
    let replacement = Ask::utxo("b", [0], 9_000).pay("i", 5, 1).replaces([first]);
    let whole = signer.state.clone();
    signer.charged(&replacement);
    let record = signer.records.last().unwrap();
    recall(&mut few, &whole, &record.entry);
    few.forget(&RowKey::Fate(first));
    let before = few.hot();
    let applied = few.apply(few.entries(), record);
    assert_eq!(few.hot() == before, applied.is_err());
    applied
}

/// Nothing is applied, and no room is made up.
#[test]
fn what_cannot_be_read_stops_the_fold() {
    let error = replaced_unread(&bounded(10)).unwrap_err();
    assert!(matches!(
        error,
        StateError::Charges(ChargesError::Row { .. })
    ));
}

#[test]
fn where_no_limit_is_on_what_is_outstanding_nothing_is_read_for_one() {
    assert_eq!(
        replaced_unread(&watched()).map_err(|error| error.to_string()),
        Ok(())
    );
}

/// What is settled is not looked at again, where a bundle settles as the one before it.
#[test]
fn a_bundle_that_settles_alike_is_activated_unread() {
    let activated = |attester: Option<&str>| {
        let (mut signer, _, mut few) = unread(&bounded(10), Some(Fate::Final));
        let mut next = bounded(9);
        (next.hash, next.sequence) = (BundleHash([2; 32]), 2);
        if let Some(attester) = attester {
            next.attestations.attesters.remove(&name(attester));
        }
        signer.activate(next.clone());
        let record = signer.records.last().unwrap();
        few.apply(few.entries(), record).unwrap();
        few.activate(Arc::new(next))
    };
    assert_eq!(activated(None).map_err(|error| error.to_string()), Ok(()));
    let error = activated(Some("w3")).unwrap_err();
    assert!(
        matches!(error, StateError::Charges(ChargesError::Row { .. })),
        "{error:?}"
    );
}
