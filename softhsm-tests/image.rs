//! Data folders of daemons that do not run, as copies that are kept, changed and put back.

use std::{collections::BTreeMap, fs, path::Path};

use journal::{
    disk::FsDisk,
    lock::Owner,
    segment::{OpenOptions, Record, Salt, SegmentLog},
};
use policy::Entry;
use sha2::{Digest, Sha256};

/// The page a segment begins with.
pub const PAGE: usize = 4096;

/// The file that every daemon opens and nobody reads.
const LOCK: &str = "lock";

/// Every file of a data folder, by its path in there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image(BTreeMap<String, Vec<u8>>);

impl Image {
    /// Of what is there.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn of(data: &Path) -> Self {
        let mut image = Self::default();
        image.read(data, "");
        image
    }

    fn read(&mut self, folder: &Path, prefix: &str) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                self.read(&entry.path(), &format!("{name}/"));
            } else if name != LOCK {
                self.0.insert(name, fs::read(entry.path()).expect("a file"));
            }
        }
    }

    /// Puts it in the place of what is there.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn restore(&self, data: &Path) {
        if data.exists() {
            fs::remove_dir_all(data).expect("a data folder");
        }
        fs::create_dir_all(data).expect("a folder");
        for (name, bytes) in &self.0 {
            let path = data.join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, bytes).expect("a file");
        }
    }

    /// What a file holds.
    ///
    /// # Panics
    /// When there is none.
    pub fn file(&mut self, name: &str) -> &mut Vec<u8> {
        self.0
            .get_mut(name)
            .unwrap_or_else(|| panic!("no {name} in the data folder"))
    }

    /// Without the files that are so named.
    #[must_use]
    pub fn without(mut self, is: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|name, _| !is(name));
        self
    }

    /// With another's file of this name, which may stand under another name there.
    #[must_use]
    pub fn with(mut self, name: &str, other: &Self, from: &str) -> Self {
        self.0.insert(name.into(), other.0[from].clone());
        self
    }

    /// With one bit of a file flipped.
    #[must_use]
    pub fn flipped(mut self, name: &str, at: usize) -> Self {
        self.file(name)[at] ^= 1;
        self
    }

    /// Where a text first stands in a file.
    ///
    /// # Panics
    /// When it does not.
    pub fn place(&self, name: &str, text: &[u8]) -> usize {
        let mut places = self.0[name].windows(text.len());
        places.position(|window| window == text).expect("the text")
    }

    /// The last byte of a file that is not zero.
    ///
    /// # Panics
    /// When all are.
    pub fn last_byte(&self, name: &str) -> usize {
        let mut bytes = self.0[name].iter();
        bytes.rposition(|byte| *byte != 0).expect("a byte")
    }

    /// The segments' names, in order.
    pub fn segments(&self) -> Vec<String> {
        let names = self.0.keys();
        names
            .filter(|name| name.ends_with(".seg"))
            .cloned()
            .collect()
    }

    /// With entries appended as the journal itself does it, one a group, in segments of two groups; the
    /// anchor names the last.
    #[must_use]
    pub fn grown(&self, entries: u64, entry: &Entry) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        self.restore(folder.path());
        let disk = FsDisk::new(Owner::acquire(folder.path()).expect("a folder that nobody owns"));
        let options = OpenOptions {
            segment_bytes: 6 * 1024,
            ..OpenOptions::default()
        };
        let mut last: Option<policy::Record> = None;
        let each = |_, body: &[u8]| serde_json::from_slice(body).map(|one| last = Some(one));
        let (mut log, _) = SegmentLog::open(Box::new(disk), &options, each).expect("a journal");
        let record = policy::Record {
            entry: entry.clone(),
            ..last.expect("an entry")
        };
        let body = serde_json::to_vec(&record).expect("JSON");
        for _ in 0..entries {
            let salt = Salt::random().expect("randomness");
            log.append(&[Record { salt, body: &body }], &[])
                .expect("room");
        }
        log.write_anchor().expect("an anchor");
        drop(log);
        Self::of(folder.path())
    }

    /// The journal as it was after its first entries, one a group, with an anchor that names the last of
    /// them and no memory of a later one.
    ///
    /// # Panics
    /// When it has fewer.
    #[must_use]
    pub fn first(&self, entries: u64) -> Self {
        let (whole, begun) = (tempfile::tempdir(), tempfile::tempdir());
        let (whole, begun) = (whole.expect("a folder"), begun.expect("a folder"));
        self.restore(whole.path());
        let disk = |folder: &Path| {
            let owner = Owner::acquire(folder).expect("a folder that nobody owns");
            Box::new(FsDisk::new(owner))
        };
        let options = OpenOptions::default();
        let each = |_, _: &[u8]| Ok::<_, std::fmt::Error>(());
        let (log, opened) =
            SegmentLog::open(disk(whole.path()), &options, each).expect("a journal");
        let mut copy =
            SegmentLog::create(disk(begun.path()), opened.log, &options).expect("a new log");
        for index in 0..entries {
            let stored = log.reader().read(index).expect("an entry");
            let (salt, body) = (stored.salt, stored.body.as_slice());
            copy.append(&[Record { salt, body }], &[]).expect("room");
        }
        copy.write_anchor().expect("an anchor");
        drop((log, copy));
        let mut image = Self::of(begun.path());
        let others = self.0.iter();
        let kept = others.filter(|(name, _)| name.starts_with("bundles/"));
        let kept: Vec<_> = kept
            .map(|(name, file)| (name.clone(), file.clone()))
            .collect();
        image.0.extend(kept);
        image
    }

    /// With one byte of the first group's first body in a segment changed, and its checksum made to
    /// hold again: what somebody does who knows the format.
    #[must_use]
    pub fn forged(mut self, segment: &str) -> Self {
        let bytes = self.file(segment);
        let log: [u8; 32] = bytes[16..48].try_into().expect("a log id");
        let length = u32::from_be_bytes(bytes[PAGE + 24..PAGE + 28].try_into().expect("a length"));
        let group = &mut bytes[PAGE..PAGE + length as usize];
        // Behind the header, the body's length and its salt.
        group[104 + 36 + 1] ^= 1;
        let (checked, sum) = group.split_at_mut(length as usize - 32);
        let new = Sha256::new()
            .chain_update("strongroom-group-v1")
            .chain_update(log)
            .chain_update(checked);
        sum.copy_from_slice(&new.finalize());
        self
    }
}
