//! The world: everything there is, and the queue that owns the order of it.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    sync::OnceLock,
};

use policy::{AttemptId, Entry, KeyRegistration};
use sha2::{Digest as _, Sha256};
use tlog::{TreeHead, checkpoint::SignedCheckpoint, witness::AddCheckpoint};

use super::{
    clients::Clients,
    clock::SimClock,
    device::Call,
    fixture::{START, Signer, name, policy},
    machine::{Answer, Given, Known, Machine, Outgoing, Shelf},
    memory_disk::{Image, MemoryDisk},
    model::{Outside, Violation},
    random::{Random, seed_salts},
    witnesses::{WITNESSES, Witness, log_key},
};
use crate::{
    Activation, command::Command, govern::Governing, open::create_with, segment::OpenOptions,
};

/// What goes wrong in a run, besides what always does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Processes are killed and power is lost.
    Crashes,
    /// Disks fail, fill up, rot and are slow.
    Disks,
    /// Clocks are set to anything.
    Clocks,
    /// Whole disks are cloned and restored from older copies. Witnesses see it.
    Copies,
}

/// Something that happens at its time.
pub enum Event {
    /// A client thinks of a request.
    Invent,
    /// The network delivers a request.
    Arrive(usize),
    /// The writer takes a turn.
    Turn,
    /// Time passes for a writer with nothing to do.
    Tick,
    /// An answer of the writer arrives.
    Answer(Answer),
    /// An order has waited for witnesses for long enough.
    Unheard(AttemptId),
    /// The device answers.
    Given(Given, Call),
    /// Signatures leave.
    Leave(Outgoing),
    /// A checkpoint is due.
    Checkpoint,
    /// One that was asked for ahead waits no longer.
    CheckpointDue,
    /// A checkpoint arrives at a witness.
    Cosign(usize, Box<(SignedCheckpoint, AddCheckpoint)>),
    /// A witness's cosignature arrives.
    Cosigned(usize, TreeHead),
    /// Something goes wrong.
    Misfortune,
    /// The process is started.
    Start,
}

/// Where and in which life of the process an event happens; others are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    pub machine: usize,
    pub life: Option<u64>,
}

pub struct World {
    pub kind: Kind,
    pub random: Random,
    pub now: u64,
    queue: BTreeMap<(u64, u64), (At, Event)>,
    placed: u64,
    pub machines: Vec<Machine>,
    pub clients: Clients,
    pub witnesses: Vec<Witness>,
    pub outside: Outside,
    /// Older disks, and what they held.
    pub copies: Vec<(Image, Vec<Known>)>,
    pub sequence: u64,
    pub tally: Tally,
    pub trace: Trace,
}

/// What tells one run from another.
#[derive(Default)]
pub struct Trace {
    hash: Sha256,
    line: String,
    /// Whether it is shown as well.
    pub is_shown: bool,
}

impl Trace {
    pub fn tell(&mut self, what: fmt::Arguments<'_>) {
        self.line.clear();
        let _written = self.line.write_fmt(what);
        self.hash.update(&self.line);
        self.hash.update(b"\n");
        if self.is_shown {
            println!("{}", self.line);
        }
    }
}

/// What happened, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub steps: u64,
    pub turns: u64,
    pub charged: u64,
    pub released: u64,
    pub crashes: u64,
    pub power_losses: u64,
    pub starts: u64,
    /// Starts that went on from a snapshot.
    pub thawed: u64,
    pub faults: u64,
    pub rotten: u64,
    /// Of those, what only reading the whole log again has found.
    pub scrubbed: u64,
    pub sealed: u64,
    pub copies: u64,
    pub jumps: u64,
    /// Times that officers let bodies go.
    pub pruned: u64,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Ended {
    pub trace: [u8; 32],
    pub tally: Tally,
    pub outcome: Result<(), Violation>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        seed_salts(random.number());
        let kind = [Kind::Crashes, Kind::Disks, Kind::Clocks, Kind::Copies][(seed % 4) as usize];
        let segment_bytes = [8, 16, 64, 1024][random.index(4)] * 1024;
        let options = OpenOptions {
            segment_bytes,
            reserve_bytes: 8 * 1024,
            ..OpenOptions::default()
        };
        let clock = SimClock::new(START);
        let disk = MemoryDisk::default();
        create_with(Box::new(disk.clone()), name("main"), &clock, &options).unwrap();
        let mut world = Self {
            kind,
            random,
            now: START,
            queue: BTreeMap::new(),
            placed: 0,
            machines: vec![Machine::new(disk, clock, options)],
            clients: Clients::new(),
            witnesses: vec![Witness::default(); WITNESSES],
            outside: Outside::default(),
            copies: Vec::new(),
            sequence: 1,
            tally: Tally::default(),
            trace: Trace::default(),
        };
        world.place(0, world.anyone(0), Event::Start);
        world.place(5, world.anyone(0), Event::Invent);
        world.place(500, world.anyone(0), Event::Misfortune);
        world
    }

    /// Runs for so many steps, then loses power and looks at what is there.
    pub fn run(mut self, steps: u64) -> Ended {
        let mut outcome = Ok(());
        while outcome.is_ok() && self.tally.steps < steps {
            outcome = self.step();
        }
        let outcome = outcome.and_then(|()| self.end());
        self.trace.tell(format_args!("{outcome:?}"));
        self.tally.released = self.outside.len() as u64;
        self.tally.thawed = self.machines.iter().map(|m| m.thawed).sum();
        self.tally.charged = self
            .machines
            .iter()
            .map(|m| m.model.charged.len() as u64)
            .sum();
        Ended {
            trace: self.trace.hash.finalize().into(),
            tally: self.tally,
            outcome,
        }
    }

    fn step(&mut self) -> Result<(), Violation> {
        let ((time, _), (at, event)) = self.queue.pop_first().unwrap();
        self.tally.steps += 1;
        self.now = self.now.max(time);
        for machine in &self.machines {
            machine.clock.tell(self.now);
        }
        let machine = &self.machines[at.machine];
        let lost = at
            .life
            .is_some_and(|life| life != machine.life || machine.process.is_none());
        self.trace
            .tell(format_args!("{} {at:?} {event} lost {lost}", self.now));
        if lost {
            return Ok(());
        }
        self.happen(at.machine, event)
    }

    fn happen(&mut self, m: usize, event: Event) -> Result<(), Violation> {
        match event {
            Event::Invent => self.invent(),
            Event::Arrive(request) => self.arrive(m, request),
            Event::Turn => return self.turn(m),
            Event::Tick => {
                self.turn_soon(m);
                // With copies every release asks for one.
                if self.kind != Kind::Copies && self.random.once_in(2) {
                    self.checkpoint(m);
                }
                self.place(5_000, self.this(m), Event::Tick);
            }
            Event::Answer(answer) => return self.answered(m, answer),
            Event::Unheard(attempt) => self.unheard(m, attempt),
            Event::Given(given, call) => return self.given(m, given, call),
            Event::Leave(outgoing) => return self.leave(m, outgoing),
            Event::Checkpoint => self.checkpoint(m),
            Event::CheckpointDue => self.ask(m, Command::CheckpointDue),
            Event::Cosign(witness, sent) => self.cosign(m, witness, *sent),
            Event::Cosigned(witness, head) => return self.cosigned(m, witness, head),
            Event::Misfortune => return self.misfortune(),
            Event::Start => return self.start(m),
        }
        Ok(())
    }

    /// Every machine loses power at last, and holds what it must.
    fn end(&mut self) -> Result<(), Violation> {
        for m in 0..self.machines.len() {
            let lost = self.machines[m]
                .disk
                .after_power_loss(|| self.random.number());
            self.crash(m, Some(lost))?;
            self.machines[m].is_full = false;
            self.open_whole(m)?;
        }
        Ok(())
    }

    pub fn place(&mut self, after_millis: u64, at: At, event: Event) {
        self.placed += 1;
        let when = (self.now + after_millis, self.placed);
        self.queue.insert(when, (at, event));
    }

    /// This life of the process.
    pub fn this(&self, machine: usize) -> At {
        At {
            machine,
            life: Some(self.machines[machine].life),
        }
    }

    /// Whatever runs there then.
    pub fn anyone(&self, machine: usize) -> At {
        At {
            machine,
            life: None,
        }
    }

    pub fn turn_soon(&mut self, m: usize) {
        let gathers = if self.random.once_in(3) { 60 } else { 3 };
        let after = self.random.below(gathers);
        let now = self.now;
        let Some(process) = &mut self.machines[m].process else {
            return;
        };
        if !std::mem::replace(&mut process.has_turn, true) {
            let after = process.busy_until.saturating_sub(now) + after;
            self.place(after, self.this(m), Event::Turn);
        }
    }

    /// Asks the writer.
    pub fn ask(&mut self, m: usize, command: Command) {
        if let Some(process) = &mut self.machines[m].process {
            process.writer.wait(command);
        }
        self.turn_soon(m);
    }

    fn invent(&mut self) {
        let m = self.random.index(self.machines.len());
        let model = &self.machines[m].model;
        let request = self.clients.invent(&mut self.random, model, self.now);
        self.send(m, request);
        let is_down = self
            .machines
            .iter()
            .all(|machine| machine.process.is_none());
        let gap = match self.random.below(24) {
            _ if is_down => self.random.between(1_000, 20_000),
            0 => self.random.between(20_000, 110_000),
            1..=3 => self.random.between(1_000, 8_000),
            4..=9 => 0,
            _ => self.random.below(600),
        };
        self.place(gap, self.anyone(0), Event::Invent);
    }

    /// Over the network: now and then lost, twice, or late.
    pub fn send(&mut self, m: usize, request: usize) {
        let copies = [1, 1, 1, 1, 1, 1, 0, 2][self.random.index(8)];
        for _ in 0..copies {
            let delay = match self.random.below(30) {
                0 => self.random.between(1_000, 90_000),
                _ => self.random.between(1, 40),
            };
            self.place(delay, self.anyone(m), Event::Arrive(request));
        }
    }

    fn arrive(&mut self, m: usize, request: usize) {
        let machine = &self.machines[m];
        let Some(process) = &machine.process else {
            if self.random.once_in(2) {
                let delay = self.random.between(500, 20_000);
                self.place(delay, self.anyone(m), Event::Arrive(request));
            }
            return;
        };
        let basis = process.state().active().unwrap_or_default();
        let reply = process.reply(move |outcome| Answer::Sign { request, outcome });
        let command = self.clients.command(request, basis);
        self.ask(m, Command::Sign(Box::new(command), reply));
    }

    /// Keys and the first bundle, in a journal that has none.
    pub fn govern(&mut self, m: usize) {
        for key in registrations() {
            let process = self.machines[m].process.as_ref().unwrap();
            let reply = process.reply(|_| Answer::Other("registered"));
            self.ask(m, Command::Register(key.clone(), reply));
        }
        self.activate(m, 1);
    }

    pub fn activate(&mut self, m: usize, sequence: u64) {
        let Some(process) = &self.machines[m].process else {
            return;
        };
        let reply = process.reply(|_| Answer::Other("activated"));
        let activation = Activation {
            policy: Shelf::bundle(sequence),
            signed_by: Default::default(),
        };
        self.ask(m, Command::Govern(Governing::Activate(activation, reply)));
    }
}

fn registrations() -> &'static [KeyRegistration] {
    static KEYS: OnceLock<Vec<KeyRegistration>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let records = Signer::new(policy()).records.into_iter();
        let keys = records.filter_map(|record| match record.entry {
            Entry::KeyRegistered(key) => Some(key),
            _ => None,
        });
        keys.chain([log_key()]).collect()
    })
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invent => f.write_str("invent"),
            Self::Arrive(request) => write!(f, "arrive {request}"),
            Self::Turn => f.write_str("turn"),
            Self::Tick => f.write_str("tick"),
            Self::Answer(answer) => write!(f, "answer {answer}"),
            Self::Unheard(attempt) => write!(f, "unheard {attempt}"),
            Self::Given(given, call) => write!(
                f,
                "device {} {} {}",
                given.request,
                call.attempt,
                call.signatures.is_some()
            ),
            Self::Leave(outgoing) => write!(f, "leave {outgoing:?}"),
            Self::Checkpoint => f.write_str("checkpoint"),
            Self::CheckpointDue => f.write_str("checkpoint due"),
            Self::Cosign(witness, sent) => write!(f, "witness {witness} {:?}", sent.0.head()),
            Self::Cosigned(witness, head) => write!(f, "cosigned by {witness} {head:?}"),
            Self::Misfortune => f.write_str("misfortune"),
            Self::Start => f.write_str("start"),
        }
    }
}
