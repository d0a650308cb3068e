//! Turns of the writer, and how they end: in order, with the disk failing, or with the machine dead.

use std::{collections::VecDeque, io::ErrorKind, sync::Arc};

use super::{
    clock::SimClock,
    machine::{Answer, Left, Process},
    memory_disk::{Call, Fault, Image, MemoryDisk},
    model::Violation,
    world::{Event, Kind, World},
};
use crate::{SealName, SignOutcome, command::Command, open::Core};

/// What is planned for the disk in one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Nothing,
    /// The power goes at one of its calls.
    Power,
    /// The process is killed at one of its calls.
    Kill,
    Fault(Call),
}

/// What comes while a turn is under way.
struct Late {
    clock: Arc<SimClock>,
    now: u64,
    commands: VecDeque<Came>,
}

enum Came {
    /// Nothing for now.
    Nothing,
    /// A command, so many milliseconds after the one before.
    Command(u64, Command),
}

impl Late {
    fn next(&mut self) -> Option<Command> {
        match self.commands.pop_front()? {
            Came::Nothing => None,
            Came::Command(millis, command) => {
                self.now += millis;
                self.clock.tell(self.now);
                Some(command)
            }
        }
    }

    /// What came when the group took no more.
    fn rest(self) -> impl Iterator<Item = Command> {
        let rest = self.commands.into_iter();
        rest.filter_map(|came| match came {
            Came::Nothing => None,
            Came::Command(_, command) => Some(command),
        })
    }
}

impl World {
    pub(super) fn turn(&mut self, m: usize) -> Result<(), Violation> {
        let plan = self.plan(m);
        let now = self.now;
        self.tally.turns += 1;
        let mut late = self.come_late(m);
        let machine = &mut self.machines[m];
        machine.turned_at = now;
        let process = machine.process.as_mut().unwrap();
        process.has_turn = false;
        process.writer.turn(&mut || late.next());
        for command in late.rest() {
            process.writer.wait(command);
        }
        let answers = std::mem::take(&mut *process.answers.lock().unwrap());
        let ended = process.writer.stopped.get().is_some();
        let more = !process.writer.waiting.is_empty();
        let (stopping, dead) = (process.is_stopping, machine.disk.has_lost_power());
        let failed = matches!(plan, Plan::Fault(_)) && !machine.disk.is_fault_planned();
        let explained = dead || failed || machine.is_full || stopping;
        machine.learn_appended(now, &self.clients)?;
        if ended && !explained {
            let why = self.machines[m]
                .process
                .as_ref()
                .unwrap()
                .writer
                .stopped
                .get();
            return Err(Violation(format!("the journal stopped of itself: {why:?}")));
        }
        self.clock_holds(m)?;
        if dead {
            self.dies(m, plan, answers)?;
            return Ok(());
        }
        self.machines[m].disk.heal();
        let busy = self.latency();
        self.deliver(m, busy, answers);
        if ended {
            self.tally.faults += u64::from(!stopping);
            return self.crash(m, None);
        }
        self.machines[m].process.as_mut().unwrap().busy_until = now + busy;
        if more {
            self.turn_soon(m);
        }
        Ok(())
    }

    /// Lets some of what waits come only while the turn is under way.
    fn come_late(&mut self, m: usize) -> Late {
        let machine = &mut self.machines[m];
        let mut late = Late {
            clock: Arc::clone(&machine.clock),
            now: self.now,
            commands: VecDeque::new(),
        };
        let waiting = &mut machine.process.as_mut().unwrap().writer.waiting;
        if !waiting.is_empty() && self.random.once_in(3) {
            for command in waiting.split_off(self.random.index(waiting.len())) {
                if self.random.once_in(2) {
                    late.commands.push_back(Came::Nothing);
                }
                let after = self.random.below(2);
                late.commands.push_back(Came::Command(after, command));
            }
        }
        late
    }

    fn plan(&mut self, m: usize) -> Plan {
        let often = match self.kind {
            Kind::Disks => 12,
            _ => 40,
        };
        if !self.random.once_in(often) {
            return Plan::Nothing;
        }
        let plan = match self.random.below(6) {
            0 | 1 => Plan::Power,
            2 => Plan::Kill,
            3 => Plan::Fault(Call::Write),
            4 => Plan::Fault(Call::SyncData),
            _ => Plan::Fault([Call::Rename, Call::SyncDir, Call::Create][self.random.index(3)]),
        };
        let after = self.random.index(6);
        let forgets = self.random.once_in(2);
        let disk = &self.machines[m].disk;
        disk.set_forgetful(forgets && plan == Plan::Fault(Call::SyncData));
        match plan {
            Plan::Nothing => {}
            Plan::Power | Plan::Kill => disk.lose_power_after(after),
            Plan::Fault(call) => disk.fail(Fault {
                call,
                after: after / 3,
                kind: ErrorKind::Other,
                // Whole sectors: less than one is never written.
                written_bytes: 512 * self.random.index(4),
            }),
        }
        self.trace
            .tell(format_args!("plans {plan:?} after {after}"));
        plan
    }

    /// How long the disk takes.
    fn latency(&mut self) -> u64 {
        let slow = if self.kind == Kind::Disks { 12 } else { 100 };
        match self.random.once_in(slow) {
            true => [50, 400, 5_000, 61_000][self.random.index(4)],
            false => self.random.between(1, 4),
        }
    }

    fn deliver(&mut self, m: usize, after: u64, answers: Vec<Answer>) {
        for answer in answers {
            let after = after + self.random.below(2);
            self.place(after, self.this(m), Event::Answer(answer));
        }
    }

    /// The process dies at a call of the disk. What it had answered by then may have reached the device,
    /// which is another process.
    fn dies(&mut self, m: usize, plan: Plan, answers: Vec<Answer>) -> Result<(), Violation> {
        for answer in answers {
            if let Answer::Sign {
                outcome: Ok(SignOutcome::Order { order, .. }),
                ..
            } = answer
                && self.random.once_in(2)
                && let Ok(order) = self.clear(m, order)
            {
                let _lost = self.call_device(m, order)?;
            }
        }
        let lost = match plan {
            Plan::Kill => None,
            _ => Some(self.power_lost(m)),
        };
        self.crash(m, lost)
    }

    pub(super) fn power_lost(&mut self, m: usize) -> Image {
        let disk = self.machines[m].disk.clone();
        disk.after_power_loss(|| self.random.number())
    }

    /// Ends the process; with the power gone, the disk holds this.
    pub(super) fn crash(&mut self, m: usize, lost: Option<Image>) -> Result<(), Violation> {
        self.tally.crashes += 1;
        let power = lost.is_some();
        self.tally.power_losses += u64::from(power);
        let machine = &mut self.machines[m];
        machine.life += 1;
        machine.disk.heal();
        if let Some(process) = machine.process.take() {
            // A writer that stopped has a state beyond what it wrote last.
            let whole = process.writer.stopped.get().is_none();
            machine.left = whole.then(|| Left {
                time: process.writer.time.interval(),
                state: process.writer.state,
                rows: process.writer.rows,
            });
        }
        if let Some(image) = lost {
            machine.disk = MemoryDisk::from_image(&image);
            machine.is_full = false;
            machine.clock.boot(&mut self.random);
            if machine.is_lied_to {
                self.doubt(m)?;
            }
        }
        let after = match self.random.below(16) {
            0 => self.random.between(20_000, 120_000),
            _ => self.random.between(200, 3_000),
        };
        self.trace.tell(format_args!("crash, power lost {power}"));
        self.place(after, self.anyone(m), Event::Start);
        Ok(())
    }

    /// Invariant 7, of what a reading gives.
    fn clock_holds(&self, m: usize) -> Result<(), Violation> {
        use crate::Clock as _;
        let machine = &self.machines[m];
        let Some(process) = &machine.process else {
            return Ok(());
        };
        let now = process.writer.time.interval();
        let wall = machine.clock.read().wall_millis;
        let most = wall.max(now.lo.millis() + 24 * 3_600_000);
        match now.hi.millis() <= most && now.lo <= now.hi && now.hi.millis() >= wall {
            true => Ok(()),
            false => Err(Violation(format!("7 {now:?} by a wall clock at {wall}"))),
        }
    }

    pub(super) fn start(&mut self, m: usize) -> Result<(), Violation> {
        if self.machines[m].process.is_some() {
            return Ok(());
        }
        if self.kind == Kind::Disks && self.random.once_in(4) {
            self.rot(m)?;
        }
        if self.random.once_in(6) {
            self.stale(m)?;
        }
        if self.random.once_in(5) {
            // The power goes at one of the calls of opening.
            let calls = self.random.index(80);
            self.machines[m].disk.lose_power_after(calls);
            let opened = self.machines[m].open(&self.machines[m].disk);
            if self.machines[m].disk.has_lost_power() {
                drop(opened);
                let lost = self.power_lost(m);
                return self.crash(m, Some(lost));
            }
            self.machines[m].disk.heal();
        }
        self.open_whole(m)
    }

    /// Opens what must open.
    pub(super) fn open_whole(&mut self, m: usize) -> Result<(), Violation> {
        self.tally.starts += 1;
        match self.machines[m].open(&self.machines[m].disk) {
            Ok(core) => self.serve(m, core),
            Err(error) if self.machines[m].is_full && error.name() == SealName::DiskFull => {
                self.crash(m, None)
            }
            Err(error) => Err(Violation(format!(
                "a journal does not open: {}",
                chain(&error)
            ))),
        }
    }

    pub(super) fn serve(&mut self, m: usize, core: Core) -> Result<(), Violation> {
        let now = self.now;
        let thawed = core.snapshot.read_from() > 0;
        self.machines[m].serve(core, now, &self.clients)?;
        let process: &Process = self.machines[m].process.as_ref().unwrap();
        let governed = process.state().policy().is_some();
        self.trace.tell(format_args!(
            "serves {} entries",
            self.machines[m].known.len()
        ));
        if !governed {
            self.govern(m);
        }
        if thawed && self.random.once_in(2) {
            self.prune(m)?;
        }
        self.place(5_000, self.this(m), Event::Tick);
        Ok(())
    }
}

pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
