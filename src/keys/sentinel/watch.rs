//! The thread that looks, and what it remembers of each key.

use std::{
    collections::{HashMap, VecDeque},
    io,
    ops::ControlFlow,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    Alarm, Finding, SentinelCounters, Sighting,
    biased::{self, Width},
    equation::Equation,
    related,
};
use crate::key::KeyId;

/// How many sightings wait. Further ones are not looked at: no signature waits for the sentinel.
const WAITING: usize = 4096;
/// The latest signatures of a key that are remembered.
const REMEMBERED: usize = Width::Four.signatures();
/// The keys that are remembered, with 16 KB each at most.
const KEYS: usize = 1024;
/// It looks for so long, and then rests so many times longer: an eighth of one processor at most.
const LOOKING: Duration = Duration::from_millis(2);
const REST: u32 = 7;
/// So many times while signatures come one in [`BUSY`] or faster, which want the processor: a thirty-second.
const REST_BUSY: u32 = 31;
const BUSY: Duration = Duration::from_millis(4);
/// Behind everything else that wants a processor, and not starved by it: with a third of another's weight.
const NICE: i32 = 5;

/// The side of the sentinel that signatures pass by.
#[derive(Debug, Default)]
pub(crate) struct Sentinel {
    thread: OnceLock<SyncSender<Sighting>>,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    seen: AtomicU64,
    skipped: AtomicU64,
    searches: AtomicU64,
    alarms: AtomicU64,
}

fn up(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Sentinel {
    /// Starts its thread, once; it ends when the sentinel is dropped. `tell` may take its time.
    pub(crate) fn start(&self, tell: impl Fn(Alarm) + Send + 'static) -> io::Result<()> {
        let (sender, sightings) = sync_channel(WAITING);
        if self.thread.set(sender).is_err() {
            return Ok(());
        }
        let counters = Arc::clone(&self.counters);
        let watching = thread::Builder::new().name("sentinel".into());
        watching.spawn(move || {
            // Where the system does not let it be nice it rests all the same.
            // On Linux a thread has a priority of its own, and no process but this is meant.
            let _nice = rustix::process::setpriority_process(None, NICE);
            let _over = Turns::new(&sightings, &counters, &tell).watch();
        })?;
        Ok(())
    }

    /// Gives it a verified signature to look at, without waiting.
    pub(crate) fn see(&self, sighting: Sighting) {
        let Some(thread) = self.thread.get() else {
            return;
        };
        match thread.try_send(sighting) {
            Ok(()) => up(&self.counters.seen),
            Err(_) => up(&self.counters.skipped),
        }
    }

    pub(crate) fn counters(&self) -> SentinelCounters {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SentinelCounters {
            seen: value(&self.counters.seen),
            skipped: value(&self.counters.skipped),
            searches: value(&self.counters.searches),
            alarms: value(&self.counters.alarms),
        }
    }
}

/// Looking and resting in turn; while it rests it takes what came.
struct Turns<'a> {
    sightings: &'a Receiver<Sighting>,
    counters: &'a Counters,
    tell: &'a dyn Fn(Alarm),
    watches: Watches,
    /// When this turn began.
    since: Instant,
    /// For how long it has looked in all.
    looked: Duration,
    rest: u32,
    is_over: bool,
}

impl<'a> Turns<'a> {
    fn new(
        sightings: &'a Receiver<Sighting>,
        counters: &'a Counters,
        tell: &'a dyn Fn(Alarm),
    ) -> Self {
        Self {
            sightings,
            counters,
            tell,
            watches: Watches::default(),
            since: Instant::now(),
            looked: Duration::ZERO,
            rest: REST,
            is_over: false,
        }
    }

    fn watch(&mut self) -> ControlFlow<()> {
        loop {
            let next = self.next()?;
            self.look(&next)?;
        }
    }

    /// What is to be looked at next, waiting for it. Breaks when nobody gives anything any more.
    fn next(&mut self) -> ControlFlow<(), Look> {
        loop {
            self.take_what_came()?;
            if let Some(look) = self.watches.next() {
                return ControlFlow::Continue(look);
            }
            let Ok(sighting) = self.sightings.recv() else {
                return ControlFlow::Break(());
            };
            self.watches.take(sighting);
        }
    }

    fn look(&mut self, look: &Look) -> ControlFlow<()> {
        let Some(task) = self.watches.begin(look) else {
            return ControlFlow::Continue(());
        };
        let mut others = Duration::ZERO;
        let began = self.looked;
        self.since = Instant::now();
        let finding = task.carry_out(&mut || {
            let is_rested = self.pace()?;
            if is_rested && look.is_long() {
                self.let_pass(began, &mut others)?;
            }
            ControlFlow::Continue(())
        });
        if let Some(alarm) = finding.and_then(|finding| self.watches.alarm(look, finding)) {
            up(&self.counters.alarms);
            (self.tell)(alarm);
        }
        self.end()?;
        if let Look::Search(..) = look {
            up(&self.counters.searches);
        }
        ControlFlow::Continue(())
    }

    /// A long search, begun when so much was looked, takes seconds, and minutes with its rests: others, which
    /// take milliseconds, are let past it as long as they have had no more time in between than itself.
    fn let_pass(&mut self, began: Duration, others: &mut Duration) -> ControlFlow<()> {
        while self.looked.saturating_sub(began) > others.saturating_mul(2)
            && let Some(look) = self.watches.next_short()
        {
            let before = self.looked;
            self.look(&look)?;
            *others = others.saturating_add(self.looked.saturating_sub(before));
        }
        ControlFlow::Continue(())
    }

    /// Whether a turn was over.
    fn pace(&mut self) -> ControlFlow<(), bool> {
        let is_over = self.is_over || self.since.elapsed() >= LOOKING;
        if is_over {
            self.end()?;
        }
        ControlFlow::Continue(is_over)
    }

    /// Ends a turn with its rest. Breaks when the sentinel is gone: nobody waits for what would be found.
    fn end(&mut self) -> ControlFlow<()> {
        if self.is_over {
            return ControlFlow::Break(());
        }
        let looked = self.since.elapsed();
        self.looked = self.looked.saturating_add(looked);
        thread::sleep(looked.saturating_mul(self.rest));
        let came = self.take_what_came();
        self.is_over = came.is_break();
        self.rest = rest_after(came?, self.since.elapsed());
        self.since = Instant::now();
        ControlFlow::Continue(())
    }

    /// How many.
    fn take_what_came(&mut self) -> ControlFlow<(), u32> {
        let mut came = 0_u32;
        loop {
            match self.sightings.try_recv() {
                Ok(sighting) => self.watches.take(sighting),
                Err(TryRecvError::Empty) => return ControlFlow::Continue(came),
                Err(TryRecvError::Disconnected) => return ControlFlow::Break(()),
            }
            came = came.saturating_add(1);
        }
    }
}

/// How many times longer than it looked it rests where so many came in a turn of this length.
fn rest_after(came: u32, turn: Duration) -> u32 {
    match BUSY.saturating_mul(came) > turn {
        true => REST_BUSY,
        false => REST,
    }
}

/// What to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nonces of a key that are known or follow from one another, in what is new.
    New(KeyId),
    /// Biased nonces of a key.
    Search(KeyId, Width),
}

impl Look {
    fn is_long(&self) -> bool {
        matches!(self, Self::Search(_, Width::Four))
    }
}

/// In turn, so that none keeps another from being looked for.
const KINDS: usize = 4;

/// The keys, and what is remembered of each.
#[derive(Debug, Default)]
pub(super) struct Watches {
    keys: HashMap<KeyId, Watch>,
    /// Sightings, and looks.
    time: u64,
    turn: usize,
}

#[derive(Debug)]
struct Watch {
    public: [u8; 33],
    latest: VecDeque<Seen>,
    seen_at: u64,
    looked_at: [u64; KINDS],
    /// New since each kind was looked for.
    new: [usize; KINDS],
    /// After an alarm a key is left alone until so many are new.
    quiet: usize,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    digest: [u8; 32],
    r: [u8; 32],
    equation: Equation,
}

impl Watches {
    /// Remembers a signature. One that was seen before says nothing new: devices that derive nonces from the
    /// digest sign so.
    pub(super) fn take(&mut self, sighting: Sighting) {
        let Some(equation) = Equation::of(&sighting) else {
            return;
        };
        let Sighting {
            key,
            public,
            digest,
            r,
            ..
        } = sighting;
        self.time = self.time.saturating_add(1);
        if !self.keys.contains_key(&key) {
            self.make_room();
        }
        let watch = self.keys.entry(key).or_insert_with(|| Watch::new(public));
        watch.seen_at = self.time;
        if watch.latest.iter().any(|seen| seen.r == r) {
            return;
        }
        if watch.latest.len() >= REMEMBERED {
            watch.latest.pop_front();
        }
        watch.latest.push_back(Seen {
            digest,
            r,
            equation,
        });
        watch.quiet = watch.quiet.saturating_sub(1);
        for new in &mut watch.new {
            *new = new.saturating_add(1);
        }
    }

    fn make_room(&mut self) {
        if self.keys.len() < KEYS {
            return;
        }
        let oldest = self.keys.iter().min_by_key(|(_, watch)| watch.seen_at);
        if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
            self.keys.remove(&oldest);
        }
    }

    /// What is to be looked at next: each kind in turn, of the key that waits longest.
    pub(super) fn next(&mut self) -> Option<Look> {
        self.next_but(|_| false)
    }

    /// The same of those that do not take long.
    fn next_short(&mut self) -> Option<Look> {
        self.next_but(Look::is_long)
    }

    fn next_but(&mut self, is_passed: impl Fn(&Look) -> bool) -> Option<Look> {
        for _ in 0..KINDS {
            let kind = self.turn;
            self.turn = kind.wrapping_add(1).checked_rem(KINDS).unwrap_or(0);
            let due = self.keys.iter().filter(|(_, watch)| watch.is_due(kind));
            let longest = due.min_by_key(|(_, watch)| watch.looked_at.get(kind).copied());
            let look = longest.map(|(key, _)| look(kind, key.clone()));
            if let Some(look) = look.filter(|look| !is_passed(look)) {
                return Some(look);
            }
        }
        None
    }

    /// Begins with a look: what is to be searched, which is that key's as it is now.
    pub(super) fn begin(&mut self, look: &Look) -> Option<Task> {
        self.time = self.time.saturating_add(1);
        let (key, kind) = match look {
            Look::New(key) => (key, 0),
            Look::Search(key, width) => {
                let place = Width::ALL.iter().position(|one| one == width);
                (key, place.unwrap_or(0).saturating_add(1))
            }
        };
        let watch = self.keys.get_mut(key)?;
        if let Some(at) = watch.looked_at.get_mut(kind) {
            *at = self.time;
        }
        let new = watch.new.get_mut(kind).map(std::mem::take)?;
        Some(match look {
            Look::New(_) => watch.newest(new),
            Look::Search(_, width) => watch.window(*width),
        })
    }

    /// What a look has found. The key is left alone for a while, in which another look that was under way
    /// raises no second alarm.
    pub(super) fn alarm(&mut self, look: &Look, finding: Finding) -> Option<Alarm> {
        let (Look::New(key) | Look::Search(key, _)) = look;
        let watch = self.keys.get_mut(key).filter(|watch| watch.quiet == 0)?;
        watch.quiet = REMEMBERED;
        Some(Alarm {
            key: key.clone(),
            finding,
        })
    }
}

/// A search in signatures of one key.
#[derive(Debug)]
pub(super) struct Task {
    public: [u8; 33],
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The newest so many, and those before that they may follow from.
    Newest(Vec<Seen>, usize),
    Biased(Vec<Equation>, Width),
}

impl Task {
    /// `pace` is called every fraction of a millisecond, and ends the search where it breaks.
    pub(super) fn carry_out(&self, pace: &mut dyn FnMut() -> ControlFlow<()>) -> Option<Finding> {
        match &self.kind {
            Kind::Newest(seen, new) => self.find_new(seen, *new, pace),
            Kind::Biased(equations, width) => {
                let end = biased::find(equations, *width, &self.public, pace)?;
                Some(Finding::Biased { width: *width, end })
            }
        }
    }

    fn find_new(
        &self,
        seen: &[Seen],
        new: usize,
        pace: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Option<Finding> {
        for seen in seen.iter().rev().take(new) {
            if pace().is_break() {
                return None;
            }
            if related::is_known(&seen.equation, &seen.digest, &seen.r, &self.public) {
                return Some(Finding::Known);
            }
        }
        let equations: Vec<Equation> = seen.iter().map(|seen| seen.equation).collect();
        for four in equations.array_windows().rev().take(new) {
            if pace().is_break() {
                return None;
            }
            if related::are_affine(four, &self.public) {
                return Some(Finding::Affine);
            }
        }
        None
    }
}

fn look(kind: usize, key: KeyId) -> Look {
    let width = kind.checked_sub(1).and_then(|place| Width::ALL.get(place));
    match width {
        Some(width) => Look::Search(key, *width),
        None => Look::New(key),
    }
}

impl Watch {
    fn new(public: [u8; 33]) -> Self {
        Self {
            public,
            latest: VecDeque::new(),
            seen_at: 0,
            looked_at: [0; KINDS],
            new: [0; KINDS],
            quiet: 0,
        }
    }

    /// A width is looked for as soon as there are enough signatures, and again when half of them are others.
    fn is_due(&self, kind: usize) -> bool {
        let new = self.new.get(kind).copied().unwrap_or(0);
        let width = kind.checked_sub(1).and_then(|place| Width::ALL.get(place));
        let Some(width) = width else {
            return new > 0 && self.quiet == 0;
        };
        let enough = self.latest.len() >= width.signatures();
        let half = width.signatures().div_ceil(2);
        enough && new >= half && self.quiet == 0
    }

    /// These new ones with the three before them.
    fn newest(&self, new: usize) -> Task {
        let taken = new.saturating_add(3).min(self.latest.len());
        let begin = self.latest.len().saturating_sub(taken);
        let seen = self.latest.iter().skip(begin).copied().collect();
        Task {
            public: self.public,
            kind: Kind::Newest(seen, new),
        }
    }

    fn window(&self, width: Width) -> Task {
        let latest = self.latest.iter().rev().take(width.signatures());
        let equations = latest.map(|seen| seen.equation).collect();
        Task {
            public: self.public,
            kind: Kind::Biased(equations, width),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::{
        super::tests::{biased, honest, key},
        *,
    };

    #[test]
    fn turns_are_over_when_the_sentinel_is_gone() {
        let (sender, sightings) = sync_channel(1);
        let counters = Counters::default();
        let mut turns = Turns::new(&sightings, &counters, &|_| ());
        assert!(turns.end().is_continue());
        sender.send(honest(&key("hot-1"), 1).remove(0)).unwrap();
        assert!(turns.end().is_continue());
        drop(sender);
        assert!(turns.end().is_break());
        assert!(turns.pace().is_break(), "and stays so");
        assert!(turns.next().is_break());
        assert_eq!(turns.watches.keys.len(), 1, "what came is taken");
    }

    /// The search in the one key is ended as soon as the alarm of the other is told.
    #[test]
    fn nobody_waits_for_a_long_search() {
        let (sender, sightings) = sync_channel(WAITING);
        let (one, other) = (key("hot-1"), key("hot-2"));
        let (counters, told) = (Counters::default(), RefCell::new(Vec::new()));
        let senders = RefCell::new(Some(sender));
        let tell = |alarm: Alarm| {
            told.borrow_mut().push(alarm.key);
            senders.take();
        };
        let mut turns = Turns::new(&sightings, &counters, &tell);
        for sighting in honest(&one, Width::Four.signatures()) {
            turns.watches.take(sighting);
        }
        for sighting in biased(&other, Width::Sixteen) {
            senders.borrow().as_ref().unwrap().send(sighting).unwrap();
        }
        let search = Look::Search(one, Width::Four);
        assert!(turns.look(&search).is_break());
        assert_eq!(*told.borrow(), [other]);
        assert_eq!(counters.alarms.load(Ordering::Relaxed), 1);
    }

    /// Those that are let past take half of the time between them at the most, but for the last of them.
    #[test]
    fn a_long_search_goes_on_beside_others() {
        let (_sender, sightings) = sync_channel(1);
        let counters = Counters::default();
        let mut turns = Turns::new(&sightings, &counters, &|_| ());
        for number in 0..20 {
            let key = key(&format!("hot-{number}"));
            for sighting in honest(&key, Width::Eight.signatures()) {
                turns.watches.take(sighting);
            }
        }
        let mut others = Duration::ZERO;
        assert!(turns.let_pass(Duration::ZERO, &mut others).is_continue());
        assert_eq!(others, Duration::ZERO, "it has had no time itself");
        turns.looked = Duration::from_millis(10);
        assert!(turns.let_pass(Duration::ZERO, &mut others).is_continue());
        let itself = turns.looked.saturating_sub(others);
        assert!(others >= itself, "{others:?} of {:?}", turns.looked);
        assert!(turns.watches.next_short().is_some(), "some still wait");
    }

    #[test]
    fn it_rests_longer_while_many_sign() {
        let turn = Duration::from_millis(16);
        assert_eq!(rest_after(0, turn), REST);
        assert_eq!(rest_after(4, turn), REST);
        assert_eq!(rest_after(5, turn), REST_BUSY);
        assert_eq!(rest_after(16, turn * 4), REST);
        assert_eq!(rest_after(u32::MAX, Duration::MAX), REST);
    }
}
