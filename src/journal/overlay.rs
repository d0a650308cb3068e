//! A disk that is looked at and not changed: what is written stands in a temporary folder.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use crate::disk::{Disk, DiskFile, ScratchDisk};

/// Another disk as it was, and what was changed since. Nothing of it lasts.
pub(crate) struct Overlay {
    under: Arc<dyn Disk>,
    over: Arc<ScratchDisk>,
    changed: Mutex<Changed>,
}

#[derive(Default)]
struct Changed {
    /// Files that were opened, by their names; none where one was removed.
    files: BTreeMap<String, Option<Arc<Shown>>>,
    /// How many copies were named.
    copies: u64,
}

/// A file as it is below, or its copy once that was written.
struct Shown {
    below: Option<Box<dyn DiskFile>>,
    /// The name of the copy.
    name: String,
    over: Arc<ScratchDisk>,
    copy: OnceLock<Box<dyn DiskFile>>,
    /// Held while it is copied.
    copying: Mutex<()>,
}

impl Overlay {
    /// # Errors
    /// As the operating system reports them: there is no temporary folder.
    pub(crate) fn new(under: Arc<dyn Disk>) -> io::Result<Self> {
        Ok(Self {
            under,
            over: Arc::new(ScratchDisk::new()?),
            changed: Mutex::default(),
        })
    }

    fn changed(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, changed: &mut Changed, below: Option<Box<dyn DiskFile>>) -> Arc<Shown> {
        changed.copies = changed.copies.saturating_add(1);
        Arc::new(Shown {
            below,
            name: changed.copies.to_string(),
            over: Arc::clone(&self.over),
            copy: OnceLock::new(),
            copying: Mutex::new(()),
        })
    }

    fn find(&self, changed: &mut Changed, name: &str) -> io::Result<Arc<Shown>> {
        match changed.files.get(name) {
            Some(Some(shown)) => Ok(Arc::clone(shown)),
            Some(None) => Err(io::ErrorKind::NotFound.into()),
            None => {
                let below = self.under.open(name)?;
                let shown = self.show(changed, Some(below));
                let known = Some(Arc::clone(&shown));
                changed.files.insert(name.to_owned(), known);
                Ok(shown)
            }
        }
    }
}

impl Disk for Overlay {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = self.under.list()?;
        for (name, shown) in &self.changed().files {
            names.retain(|one| one != name);
            names.extend(shown.as_ref().map(|_| name.clone()));
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut changed = self.changed();
        match self.find(&mut changed, name) {
            Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) => {}
        }
        let shown = self.show(&mut changed, None);
        shown.written()?;
        changed
            .files
            .insert(name.to_owned(), Some(Arc::clone(&shown)));
        Ok(Box::new(shown))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let shown = self.find(&mut self.changed(), name)?;
        Ok(Box::new(shown))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut changed = self.changed();
        let shown = self.find(&mut changed, from)?;
        changed.files.insert(from.to_owned(), None);
        changed.files.insert(to.to_owned(), Some(shown));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut changed = self.changed();
        let _there = self.find(&mut changed, name)?;
        match changed.files.entry(name.to_owned()) {
            Entry::Occupied(mut known) => drop(known.insert(None)),
            Entry::Vacant(unknown) => drop(unknown.insert(None)),
        }
        Ok(())
    }

    /// Nothing here has to last.
    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Shown {
    /// Its copy, made when it is the first time that it is written.
    fn written(&self) -> io::Result<&dyn DiskFile> {
        let _copying = self.copying.lock().unwrap_or_else(PoisonError::into_inner);
        if self.copy.get().is_none() {
            let copy = self.over.create(&self.name)?;
            if let Some(below) = &self.below {
                copy_of(&**below, &*copy)?;
            }
            let _first = self.copy.set(copy);
        }
        match self.copy.get() {
            Some(copy) => Ok(&**copy),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn shown(&self) -> io::Result<&dyn DiskFile> {
        let shown = self.copy.get().or(self.below.as_ref());
        shown
            .map(|file| &**file)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// A piece at a time.
fn copy_of(from: &dyn DiskFile, to: &dyn DiskFile) -> io::Result<()> {
    const PIECE_BYTES: u64 = 1 << 20;
    let size_bytes = from.size_bytes()?;
    let mut offset = 0;
    while offset < size_bytes {
        let piece = size_bytes.saturating_sub(offset).min(PIECE_BYTES);
        let mut bytes = vec![0; usize::try_from(piece).unwrap_or(0)];
        from.read_exact_at(&mut bytes, offset)?;
        to.write_all_at(&bytes, offset)?;
        offset = offset.saturating_add(piece);
    }
    Ok(())
}

impl DiskFile for Arc<Shown> {
    fn size_bytes(&self) -> io::Result<u64> {
        self.shown()?.size_bytes()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.shown()?.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.written()?.write_all_at(bytes, offset)
    }

    fn truncate(&self, size_bytes: u64) -> io::Result<()> {
        self.written()?.truncate(size_bytes)
    }

    /// Nothing here has to last.
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{disk::FsDisk, lock::Owner};

    fn read(disk: &dyn Disk, name: &str) -> String {
        let file = disk.open(name).unwrap();
        let size_bytes = usize::try_from(file.size_bytes().unwrap()).unwrap();
        let mut bytes = vec![0; size_bytes];
        file.read_exact_at(&mut bytes, 0).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn names(disk: &dyn Disk) -> Vec<String> {
        let mut names = disk.list().unwrap();
        names.retain(|name| name != "lock");
        names.sort();
        names
    }

    #[test]
    fn what_is_changed_is_seen_and_what_is_below_stays() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("one"), "first").unwrap();
        fs::write(folder.path().join("two"), "second").unwrap();
        let owner = Owner::acquire(folder.path()).unwrap();
        let below: Arc<dyn Disk> = Arc::new(FsDisk::new(owner));
        let disk = Overlay::new(Arc::clone(&below)).unwrap();
        let before = disk.open("one").unwrap();
        disk.open("one").unwrap().write_all_at(b"F", 0).unwrap();
        assert_eq!(read(&disk, "one"), "First");
        // Whoever has it open sees it too.
        let mut byte = [0];
        before.read_exact_at(&mut byte, 0).unwrap();
        assert_eq!(&byte, b"F");
        before.truncate(2).unwrap();
        assert_eq!(read(&disk, "one"), "Fi");
        let exists = disk.create("two").map(drop).unwrap_err();
        assert_eq!(exists.kind(), io::ErrorKind::AlreadyExists);
        let new = disk.create("three").unwrap();
        new.write_all_at(b"third", 0).unwrap();
        disk.rename("three", "two").unwrap();
        new.write_all_at(b"T", 0).unwrap();
        assert_eq!(read(&disk, "two"), "Third");
        assert_eq!(names(&disk), ["one", "two"]);
        disk.remove("one").unwrap();
        assert_eq!(names(&disk), ["two"]);
        for gone in ["one", "three", "never"] {
            let error = disk.open(gone).map(drop).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            assert!(disk.remove(gone).is_err() && disk.rename(gone, "x").is_err());
        }
        disk.create("one").unwrap();
        assert_eq!(read(&disk, "one"), "");
        assert_eq!(
            (read(&*below, "one"), read(&*below, "two")),
            ("first".into(), "second".into())
        );
        assert_eq!(names(&*below), ["one", "two"]);
    }
}
