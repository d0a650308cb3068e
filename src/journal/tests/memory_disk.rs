//! A disk in RAM that fails when told to, fills up, and can lose power.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use strongroom_journal::disk::{Disk, DiskFile};

const SECTOR_BYTES: usize = 512;

/// All files of a disk, by name.
pub type Image = BTreeMap<String, Vec<u8>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    List,
    Create,
    Open,
    Rename,
    Remove,
    SyncDir,
    Read,
    Write,
    Truncate,
    SyncData,
}

/// What to do at a call instead of what was asked.
#[derive(Debug, Clone)]
pub struct Fault {
    pub call: Call,
    /// How many such calls still succeed.
    pub after: usize,
    pub kind: io::ErrorKind,
    /// How many bytes a failing write still writes.
    pub written_bytes: usize,
}

impl Fault {
    /// An error of no kind that means anything, after so many calls that succeed.
    pub fn error(call: Call, after: usize) -> Self {
        Self {
            call,
            after,
            kind: io::ErrorKind::Other,
            written_bytes: 0,
        }
    }
}

#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<State>>, Arc<Syncs>);

/// Whether syncs are held up, and how many are.
#[derive(Default)]
struct Syncs {
    held: Mutex<Option<usize>>,
    changed: Condvar,
}

/// As long as this is there, no sync returns.
pub struct HeldSyncs(Arc<Syncs>);

impl HeldSyncs {
    /// Until a sync is held up.
    pub fn wait(&self) {
        let held = self.0.held.lock().unwrap();
        let none = |held: &mut Option<usize>| *held == Some(0);
        drop(self.0.changed.wait_while(held, none).unwrap());
    }
}

impl Drop for HeldSyncs {
    fn drop(&mut self) {
        *self.0.held.lock().unwrap() = None;
        self.0.changed.notify_all();
    }
}

impl Syncs {
    fn pass(&self) {
        let mut held = self.held.lock().unwrap();
        if let Some(waiting) = &mut *held {
            *waiting += 1;
            self.changed.notify_all();
            drop(
                self.changed
                    .wait_while(held, |held| held.is_some())
                    .unwrap(),
            );
        }
    }
}

#[derive(Default)]
struct State {
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    files: Vec<Contents>,
    calls: Vec<Call>,
    fault: Option<Fault>,
    /// Every call from this many on fails: the power is gone.
    power_calls: Option<usize>,
    capacity_bytes: Option<usize>,
    /// Whether a failed sync forgets what it was for.
    forgets: bool,
    /// Whether a sync does nothing and says that it did.
    lies: bool,
}

#[derive(Default, Clone)]
struct Contents {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// What is not durable and a sync leaves alone, as it was not written since a sync failed.
    forgotten: Option<Range<usize>>,
}

impl MemoryDisk {
    pub fn from_image(image: &Image) -> Self {
        let mut state = State::default();
        for (name, bytes) in image {
            state.names.insert(name.clone(), state.files.len());
            state.files.push(Contents {
                now: bytes.clone(),
                durable: bytes.clone(),
                forgotten: None,
            });
        }
        state.durable_names = state.names.clone();
        Self(Arc::new(Mutex::new(state)), Arc::default())
    }

    /// What a process that reads the disk now sees.
    pub fn image(&self) -> Image {
        let state = self.state();
        let contents = |(name, file): (&String, &usize)| {
            let bytes = state.files[*file].now.clone();
            (name.clone(), bytes)
        };
        state.names.iter().map(contents).collect()
    }

    /// What the disk may hold after the power went: of what was not synced, whatever `chance` keeps.
    pub fn after_power_loss(&self, mut chance: impl FnMut() -> u64) -> Image {
        let state = self.state();
        let names = match chance() % 2 {
            0 => &state.names,
            _ => &state.durable_names,
        };
        let mut image = Image::new();
        for (name, file) in names {
            image.insert(name.clone(), state.files[*file].torn(&mut chance));
        }
        image
    }

    /// Changes the contents of open files behind their backs.
    pub fn overwrite(&self, image: &Image) {
        let mut state = self.state();
        for (name, bytes) in image {
            let file = state.names[name];
            state.files[file].now.clone_from(bytes);
        }
    }

    /// Unwrites what is durable of a file from a byte on, and leaves what reading it shows.
    pub fn forget(&self, name: &str, from: usize) {
        let mut state = self.state();
        let file = state.names[name];
        let file = &mut state.files[file];
        file.durable.truncate(from);
        file.forgotten = Some(from..file.now.len());
    }

    pub fn fail(&self, fault: Fault) {
        self.state().fault = Some(fault);
    }

    /// Whether what was to fail has failed.
    pub fn has_failed(&self) -> bool {
        self.state().fault.is_none()
    }

    pub fn lose_power_after(&self, calls: usize) {
        let mut state = self.state();
        state.power_calls = Some(state.calls.len() + calls);
    }

    /// Whether a call has failed for want of power.
    pub fn has_lost_power(&self) -> bool {
        let state = self.state();
        let made = state.calls.len();
        state.power_calls.is_some_and(|calls| made > calls)
    }

    /// No fault is planned any longer.
    pub fn heal(&self) {
        let mut state = self.state();
        state.fault = None;
        state.power_calls = None;
    }

    /// Whether a planned fault has not come about.
    pub fn is_fault_planned(&self) -> bool {
        self.state().fault.is_some()
    }

    /// Whether a failed sync leaves what it was for as Linux may: it can be read, and never gets durable
    /// unless it is written again.
    pub fn set_forgetful(&self, forgets: bool) {
        self.state().forgets = forgets;
    }

    /// Whether syncs say that they made durable what they did not.
    pub fn set_lying(&self, lies: bool) {
        self.state().lies = lies;
    }

    /// Holds up every sync from now on.
    pub fn hold_syncs(&self) -> HeldSyncs {
        *self.1.held.lock().unwrap() = Some(0);
        HeldSyncs(Arc::clone(&self.1))
    }

    pub fn set_capacity(&self, bytes: Option<usize>) {
        self.state().capacity_bytes = bytes;
    }

    pub fn used_bytes(&self) -> usize {
        self.state().used_bytes()
    }

    /// The calls since the last time.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.state().calls)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn file(&self, file: usize) -> Box<dyn DiskFile> {
        let disk = self.clone();
        Box::new(MemoryFile { disk, file })
    }
}

impl State {
    fn used_bytes(&self) -> usize {
        let files = self.names.values();
        files.map(|file| self.files[*file].now.len()).sum()
    }

    fn call(&mut self, call: Call) -> io::Result<()> {
        let made = self.calls.len();
        self.calls.push(call);
        if self.power_calls.is_some_and(|calls| made >= calls) {
            return Err(io::Error::other("no power"));
        }
        match &mut self.fault {
            Some(fault) if fault.call == call && fault.after == 0 => {
                let kind = fault.kind;
                if call != Call::Write {
                    self.fault = None;
                }
                Err(kind.into())
            }
            Some(fault) if fault.call == call => {
                fault.after -= 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn lookup(&self, name: &str) -> io::Result<usize> {
        let file = self.names.get(name).copied();
        file.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Contents {
    /// What was written since the last sync can be read and counts as synced.
    fn forget_unsynced(&mut self) {
        let same = |(now, durable): &(&u8, &u8)| now == durable;
        let both = self.now.iter().zip(&self.durable);
        let from = both.take_while(same).count();
        if from < self.now.len() {
            self.durable.truncate(from);
            self.forgotten = Some(from..self.now.len());
        }
    }

    /// Any sectors written since the last sync may be missing, as may the end.
    fn torn(&self, chance: &mut impl FnMut() -> u64) -> Vec<u8> {
        if self.now == self.durable {
            return self.now.clone();
        }
        // That the end was cut off may be lost.
        if self.durable.starts_with(&self.now) && chance().is_multiple_of(2) {
            return self.durable.clone();
        }
        let (short, long) = (self.durable.len().min(self.now.len()), self.now.len());
        let bytes = match chance() % 4 {
            0 => long,
            1 => short,
            _ => short + (chance() % (long - short + 1) as u64) as usize,
        };
        let mut torn = self.now[..bytes].to_vec();
        let lossy = chance().is_multiple_of(2);
        for (sector, kept) in torn.chunks_mut(SECTOR_BYTES).enumerate() {
            if lossy && chance().is_multiple_of(3) {
                for (at, byte) in kept.iter_mut().enumerate() {
                    let at = sector * SECTOR_BYTES + at;
                    *byte = self.durable.get(at).copied().unwrap_or(0);
                }
            }
        }
        torn
    }
}

impl Disk for MemoryDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.call(Call::List)?;
        Ok(state.names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.call(Call::Create)?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = state.files.len();
        state.files.push(Contents::default());
        state.names.insert(name.to_owned(), file);
        drop(state);
        Ok(self.file(file))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.call(Call::Open)?;
        let file = state.lookup(name)?;
        drop(state);
        Ok(self.file(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.call(Call::Rename)?;
        let file = state.lookup(from)?;
        state.names.remove(from);
        state.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.call(Call::Remove)?;
        state.lookup(name)?;
        state.names.remove(name);
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state();
        state.call(Call::SyncDir)?;
        if state.lies {
            return Ok(());
        }
        state.durable_names = state.names.clone();
        Ok(())
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    file: usize,
}

impl DiskFile for MemoryFile {
    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.file].now.len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.call(Call::Read)?;
        let from = offset as usize;
        let bytes = state.files[self.file].now.get(from..from + buffer.len());
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let outcome = state.call(Call::Write);
        let mut fits = bytes.len();
        if outcome.is_err() {
            fits = state.fault.take().map_or(0, |fault| fault.written_bytes);
        }
        let file = state.files[self.file].now.len();
        let others = state.used_bytes().saturating_sub(file);
        let end = offset as usize + bytes.len();
        let room = state.capacity_bytes.map(|all| all.saturating_sub(others));
        let over = room.map_or(0, |room| end.max(file).saturating_sub(room.max(file)));
        fits = fits.min(bytes.len() - over.min(bytes.len()));
        let end = offset as usize + fits;
        let file = &mut state.files[self.file];
        let rewritten = offset as usize..end;
        let covers = |lost: &mut Range<usize>| rewritten.start <= lost.start && lost.end <= end;
        file.forgotten.take_if(covers);
        let now = &mut file.now;
        now.resize(end.max(now.len()), 0);
        now[offset as usize..end].copy_from_slice(&bytes[..fits]);
        outcome?;
        match over {
            0 => Ok(()),
            _ => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn truncate(&self, size_bytes: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.call(Call::Truncate)?;
        let file = &mut state.files[self.file];
        file.now.resize(size_bytes as usize, 0);
        if let Some(lost) = &mut file.forgotten {
            lost.end = lost.end.min(size_bytes as usize);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.1.pass();
        let mut state = self.disk.state();
        if let Err(error) = state.call(Call::SyncData) {
            if state.forgets {
                state.files[self.file].forget_unsynced();
            }
            return Err(error);
        }
        if state.lies {
            return Ok(());
        }
        let file = &mut state.files[self.file];
        file.durable = file.now.clone();
        if let Some(lost) = &file.forgotten {
            file.durable.truncate(lost.start);
        }
        Ok(())
    }
}
