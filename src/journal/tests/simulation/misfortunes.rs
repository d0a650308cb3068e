//! What goes wrong outside of a turn.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use policy::{
    Digest, FreezeScope,
    statement::{Head, Prune, StatementError},
};
use tx::Time;

use super::{
    clients::sign_text,
    clock::SimClock,
    fixture::{ETH, name},
    machine::{Answer, Machine},
    memory_disk::{Image, MemoryDisk},
    model::Violation,
    turns::chain,
    world::{Event, Kind, World},
};
use crate::{
    Clock as _, Pauses, PruneError, Scrubber, Tree as _,
    command::Command,
    open::{Core, create_with},
    prune::Held,
};

/// Reads a log again, once; whether nothing is wrong with it.
fn scrub(core: &Core) -> bool {
    struct Once;
    impl Pauses for Once {
        fn pause(&self, length: Duration) -> ControlFlow<()> {
            // What is that long is behind the end, or what could not be read.
            match length > Duration::from_mins(1) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        }
    }
    let (log, clock) = (core.reader.clone(), Arc::clone(&core.writer.clock));
    let scrubbed = Arc::clone(&core.writer.scrubbed);
    Scrubber::new(log, clock, Arc::clone(&scrubbed)).run(&Once);
    scrubbed.damage().is_none()
}

impl World {
    pub(super) fn misfortune(&mut self) -> Result<(), Violation> {
        let gap = self.random.between(500, 30_000);
        self.place(gap, self.anyone(0), Event::Misfortune);
        let m = self.random.index(self.machines.len());
        self.machines[m].check_rooms()?;
        match (self.kind, self.random.below(12)) {
            (_, 0) => {
                let lost = self.power_lost(m);
                self.crash(m, Some(lost))?;
            }
            (_, 1) => self.crash(m, None)?,
            (_, 2) => self.stop(m),
            (_, 3) => self.keep_copy(m),
            (_, 4) if self.random.once_in(3) => self.freeze(m),
            (Kind::Copies, 5..=7) => self.copy(m)?,
            (Kind::Copies, 8 | 9) => self.lie(m)?,
            (Kind::Copies, _) => {}
            (Kind::Disks, 5 | 6) => self.fill(m),
            (Kind::Clocks, 5..=10) => self.disturb(m),
            (_, 5) => self.disturb(m),
            (_, 6 | 7) => {
                self.sequence += 1;
                self.activate(m, self.sequence);
            }
            _ => {}
        }
        Ok(())
    }

    fn disturb(&mut self, m: usize) {
        let what = self.machines[m].clock.disturb(&mut self.random);
        self.tally.jumps += 1;
        self.trace.tell(format_args!("clock {what}"));
    }

    fn stop(&mut self, m: usize) {
        let Some(process) = &mut self.machines[m].process else {
            return;
        };
        process.is_stopping = true;
        let reply = process.reply(|_: Result<(), _>| Answer::Other("stopped"));
        let reason = "told to".into();
        self.ask(m, Command::Stop { reason, reply });
    }

    fn freeze(&mut self, m: usize) {
        let Some(process) = &self.machines[m].process else {
            return;
        };
        let scope = match self.random.below(10) {
            0..=3 => FreezeScope::Key(name("k3")),
            4..=6 => FreezeScope::Account(name("hot2")),
            7 | 8 => FreezeScope::Chain(ETH),
            _ => FreezeScope::All,
        };
        let reply = process.reply(|_: Result<(), _>| Answer::Other("frozen"));
        let reason = "a drill".into();
        let freeze = Command::Freeze {
            scope,
            reason,
            reply,
        };
        self.ask(m, freeze);
    }

    /// The disk fills up, or somebody makes room.
    fn fill(&mut self, m: usize) {
        let room = self.random.index(4_000);
        let machine = &mut self.machines[m];
        machine.is_full = !machine.is_full;
        let capacity = machine.is_full.then(|| machine.disk.used_bytes() + room);
        machine.disk.set_capacity(capacity);
        self.trace.tell(format_args!("capacity {capacity:?}"));
    }

    /// Officers let the bodies of what was written by now go, as far as a start would not read them.
    pub(super) fn prune(&mut self, m: usize) -> Result<(), Violation> {
        let machine = &self.machines[m];
        let Some(process) = &machine.process else {
            return Ok(());
        };
        let (state, writer) = (process.state(), &process.writer);
        let (Some(fleet), Some(policy)) = (state.fleet(), state.policy()) else {
            return Ok(());
        };
        let head = process.reader.head();
        let lo = writer.time.interval().lo.millis();
        let wall = machine.clock.read().wall_millis;
        let statement = Prune {
            fleet: fleet.clone(),
            log: writer.origin.clone(),
            exported: Head {
                size: head.size,
                root: Digest(*head.root.as_bytes()),
            },
            bundle: policy.hash,
            before: Time::from_millis(lo),
            expires: Time::from_millis(wall + 60_000),
        };
        let signatures = sign_text(&statement.to_string(), &statement.header().namespace());
        let held = Held {
            origin: &writer.origin,
            state: &state,
            tree: &process.reader,
            bodies: &process.reader,
            read_from: writer.read_from,
        };
        let pruned = match held.decide(&*machine.clock, &statement.to_string(), &signatures) {
            Ok(pruned) => pruned,
            // There is nothing as old as that, or the disk has no power.
            Err(PruneError::Statement(StatementError::Nothing(_))) => return Ok(()),
            Err(error) => return Err(Violation(format!("nothing is pruned: {}", chain(&error)))),
        };
        drop(state);
        self.trace
            .tell(format_args!("lets {} bodies go", pruned.before));
        self.tally.pruned += 1;
        let reply = process.reply(|_: Result<_, _>| Answer::Other("pruned"));
        self.ask(m, Command::Prune(Box::new(pruned), reply));
        Ok(())
    }

    /// Somebody keeps a copy of the disk while nothing runs on it.
    fn keep_copy(&mut self, m: usize) {
        let machine = &self.machines[m];
        if m == 0 && machine.process.is_some() {
            self.copies
                .push((machine.disk.image(), machine.known.clone()));
        }
    }

    /// A bit flips. It is found at the opening, or when the log is read again, or it changes nothing.
    pub(super) fn rot(&mut self, m: usize) -> Result<(), Violation> {
        let mut image = self.machines[m].disk.image();
        let mut names: Vec<String> = image.keys().cloned().collect();
        if self.random.once_in(2) {
            names.retain(|name| name.ends_with(".seg"));
        }
        if names.is_empty() {
            return Ok(());
        }
        let name = &names[self.random.index(names.len())];
        let file = image.get_mut(name).unwrap();
        if file.is_empty() {
            return Ok(());
        }
        let place = self.random.index(file.len());
        file[place] ^= 1 << self.random.below(8);
        self.tally.rotten += 1;
        self.trace.tell(format_args!("bit {place} of {name} flips"));
        let Some(core) = self.try_open(m, &image, None)? else {
            return Ok(());
        };
        match self.machines[m].is_as_left(&core) {
            Ok(same) => same?,
            Err(error) => self.trace.tell(format_args!("found: {error}")),
        }
        if !scrub(&core) {
            self.tally.scrubbed += 1;
            self.trace.tell(format_args!("found by reading again"));
            return Ok(());
        }
        // What reading the whole log again passes is whole.
        use crate::Bodies as _;
        let pruned = core.writer.state.read().unwrap().pruned();
        for index in pruned..core.entries {
            if let Err(error) = core.reader.entry(index) {
                let why = chain(&error);
                return Err(Violation(format!("entry {index} passed, unread: {why}")));
            }
        }
        Ok(())
    }

    /// Older segments under what remembers newer ones. They are found.
    pub(super) fn stale(&mut self, m: usize) -> Result<(), Violation> {
        if m != 0 || self.copies.is_empty() {
            return Ok(());
        }
        let copy = self.random.index(self.copies.len());
        let (mut image, known) = self.copies[copy].clone();
        let entries = known.len();
        let now = self.machines[m].disk.image();
        let Some(anchor) = now.get("anchor") else {
            return Ok(());
        };
        let anchored = u64::from_be_bytes(anchor[44..52].try_into().unwrap());
        if anchored <= entries as u64 {
            return Ok(());
        }
        image.insert("anchor".into(), anchor.clone());
        self.trace.tell(format_args!(
            "a copy of {entries} entries under an anchor of {anchored}"
        ));
        self.try_open(m, &image, Some(anchored)).map(drop)
    }

    /// Opens a disk that is not as it was left, and leaves the real one as it is.
    fn try_open(
        &mut self,
        m: usize,
        image: &Image,
        least: Option<u64>,
    ) -> Result<Option<Core>, Violation> {
        let machine = &mut self.machines[m];
        let disk = MemoryDisk::from_image(image);
        let core = match machine.open(&disk) {
            Ok(core) => core,
            Err(error) => {
                self.tally.sealed += 1;
                self.trace.tell(format_args!("sealed: {}", chain(&error)));
                return Ok(None);
            }
        };
        let held = least.unwrap_or(machine.known.len() as u64);
        if core.entries < held {
            let found = core.entries;
            return Err(Violation(format!(
                "a log of {found} entries opens under {held}"
            )));
        }
        use crate::Bodies as _;
        for (index, (known, _)) in machine.known.iter().enumerate() {
            let read = core.reader.entry(index as u64);
            if read.is_ok_and(|entry| *entry.body != **known) {
                return Err(Violation(format!("entry {index} is another and is served")));
            }
        }
        Ok(Some(core))
    }

    /// The disk is cloned into another machine, or an older copy of it is restored.
    fn copy(&mut self, m: usize) -> Result<(), Violation> {
        self.tally.copies += 1;
        if self.machines.len() == 1 && self.random.once_in(2) {
            return self.clone_machine();
        }
        if m != 0 || self.copies.is_empty() {
            return Ok(());
        }
        let copy = self.random.index(self.copies.len());
        let (image, known) = self.copies[copy].clone();
        self.trace
            .tell(format_args!("restores {} entries", known.len()));
        self.crash(m, Some(image))?;
        let clients = &self.clients;
        self.machines[m].believe(&known, clients)
    }

    /// The disk says of its flushes that they were made; when it has lied for a while, the power goes. What
    /// is there then is sealed, or a shorter journal, of which witnesses know better.
    fn lie(&mut self, m: usize) -> Result<(), Violation> {
        let machine = &mut self.machines[m];
        if machine.process.is_none() {
            return Ok(());
        }
        if !std::mem::replace(&mut machine.is_lied_to, true) {
            machine.disk.set_lying(true);
            machine.was_lied_to = true;
            self.trace.tell(format_args!("the disk of {m} lies"));
            return Ok(());
        }
        let lost = self.power_lost(m);
        self.crash(m, Some(lost))
    }

    /// What a disk that lied has left: believed as far as it goes, or put aside for a copy.
    pub(super) fn doubt(&mut self, m: usize) -> Result<(), Violation> {
        use crate::Bodies as _;
        let machine = &mut self.machines[m];
        machine.is_lied_to = false;
        let disk = MemoryDisk::from_image(&machine.disk.image());
        let held = match machine.open(&disk) {
            Ok(core) => {
                let held = |place: &usize| match core.reader.entry(*place as u64) {
                    Ok(entry) => *entry.body == *machine.known[*place].0,
                    // What officers let go counts as it was known.
                    Err(error) => error.is_pruned(),
                };
                let most = machine.known.len().min(core.entries as usize);
                (0..most).take_while(held).count()
            }
            Err(error) => {
                self.tally.sealed += 1;
                self.trace.tell(format_args!("sealed: {}", chain(&error)));
                let Some((image, known)) = self.copies.last().cloned() else {
                    return self.begin_anew(m);
                };
                machine.disk = MemoryDisk::from_image(&image);
                return machine.believe(&known, &self.clients);
            }
        };
        self.trace.tell(format_args!("lost all but {held} entries"));
        let known = machine.known[..held].to_vec();
        machine.believe(&known, &self.clients)
    }

    /// There is nothing to go on from: a journal is begun anew, of which witnesses cosign nothing, as it does
    /// not continue the one that they know.
    fn begin_anew(&mut self, m: usize) -> Result<(), Violation> {
        let machine = &mut self.machines[m];
        let options = machine.options.clone();
        let disk = MemoryDisk::default();
        // Whoever begins a journal sees to it that the clock is right.
        let clock = SimClock::new(self.now);
        create_with(Box::new(disk.clone()), name("main"), &clock, &options).unwrap();
        machine.disk = disk;
        machine.believe(&[], &self.clients)
    }

    fn clone_machine(&mut self) -> Result<(), Violation> {
        let Self {
            machines,
            clients,
            random,
            now,
            ..
        } = self;
        let old = &machines[0];
        let disk = MemoryDisk::from_image(&old.disk.image());
        let clock = SimClock::new(*now);
        let _skewed = clock.disturb(random);
        let mut clone = Machine::new(disk, clock, old.options.clone());
        clone.turned_at = *now;
        clone.was_lied_to = old.was_lied_to;
        clone.believe(&old.known, clients)?;
        machines.push(clone);
        self.trace.tell(format_args!("a clone"));
        self.place(10, self.anyone(1), Event::Start);
        Ok(())
    }
}
