//! The container: PSBT version 0 (BIP-174).

use super::{
    MAP_ENTRIES_MAX,
    bytes::{Reader, put_bytes, put_compact_size},
    field,
    refusal::{Part, Place, Refusal},
    wire::Wire,
};

const MAGIC: [u8; 5] = *b"psbt\xff";

/// A PSBT: its maps in the order in which they stand, so that it encodes to the bytes it was read
/// from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Psbt<'a> {
    pub(super) global: Map<'a>,
    pub(super) inputs: Vec<Map<'a>>,
    pub(super) outputs: Vec<Map<'a>>,
}

/// A map of fields in the order in which they stand.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Map<'a>(pub(super) Vec<Entry<'a>>);

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// The field's number.
    pub(super) field: u64,
    /// What follows the number in the key.
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
}

impl<'a> Psbt<'a> {
    /// Reads a PSBT whose every field is on the allow-list, and its unsigned transaction.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<(Self, Wire<'a>), Refusal> {
        let mut reader = Reader::new(bytes, Part::Psbt);
        if reader.take(MAGIC.len()) != Ok(MAGIC.as_slice()) {
            return Err(Refusal::Magic);
        }
        let global = Map::parse(&mut reader, Place::Global)?;
        let unsigned = global.value(field::GLOBAL_UNSIGNED);
        let wire = Wire::parse(unsigned.ok_or(Refusal::UnsignedMissing)?)?;
        let mut map = |place| Map::parse(&mut reader, place);
        let inputs = (0..wire.inputs.len())
            .map(|input| map(Place::Input(input)))
            .collect::<Result<_, _>>()?;
        let outputs = (0..wire.outputs.len())
            .map(|output| map(Place::Output(output)))
            .collect::<Result<_, _>>()?;
        reader.finish()?;
        let psbt = Self {
            global,
            inputs,
            outputs,
        };
        Ok((psbt, wire))
    }

    /// The PSBT's bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        self.global.put(&mut out);
        for map in self.inputs.iter().chain(&self.outputs) {
            map.put(&mut out);
        }
        out
    }
}

impl<'a> Map<'a> {
    /// The value of the field that has nothing but its number for a key.
    pub(super) fn value(&self, field: u64) -> Option<&'a [u8]> {
        let entry = self.0.iter().find(|entry| entry.field == field)?;
        Some(entry.value)
    }

    fn parse(reader: &mut Reader<'a>, place: Place) -> Result<Self, Refusal> {
        let mut entries: Vec<Entry<'a>> = Vec::new();
        while let Some(entry) = Entry::parse(reader)? {
            let same = |e: &Entry<'_>| (e.field, e.key) == (entry.field, entry.key);
            if entries.iter().any(same) {
                let field = entry.field;
                return Err(Refusal::FieldTwice { place, field });
            }
            if entries.len() == MAP_ENTRIES_MAX {
                return Err(Refusal::MapEntries { place });
            }
            field::check(place, &entry)?;
            entries.push(entry);
        }
        Ok(Self(entries))
    }

    fn put(&self, out: &mut Vec<u8>) {
        for entry in &self.0 {
            let mut key = Vec::new();
            put_compact_size(&mut key, entry.field);
            key.extend_from_slice(entry.key);
            put_bytes(out, &key);
            put_bytes(out, entry.value);
        }
        out.push(0x00);
    }
}

impl<'a> Entry<'a> {
    /// The next field; `None` at the map's end.
    fn parse(reader: &mut Reader<'a>) -> Result<Option<Self>, Refusal> {
        let key = reader.bytes()?;
        if key.is_empty() {
            return Ok(None);
        }
        let mut key_reader = Reader::new(key, Part::Psbt);
        let field = key_reader.compact_size()?;
        let entry = Self {
            field,
            key: key_reader.rest(),
            value: reader.bytes()?,
        };
        Ok(Some(entry))
    }
}
