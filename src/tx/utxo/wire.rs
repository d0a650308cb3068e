//! Transactions as the network writes them.

use bitcoin::hashes::{Hash, HashEngine, sha256d};

use super::{
    INPUTS_MAX, OUTPUTS_MAX,
    bytes::{Reader, put_bytes, put_count},
    outpoint::Outpoint,
    refusal::{Part, Refusal},
};

/// The bit of a transaction's flag with which Litecoin announces MWEB data (LIP-0002, LIP-0003).
const FLAG_MWEB: u8 = 0x08;

/// An unsigned transaction: every field, and nothing that is not in its bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wire<'a> {
    pub(super) version: u32,
    pub(super) inputs: Vec<WireInput>,
    pub(super) outputs: Vec<WireOutput<'a>>,
    pub(super) lock_time: u32,
}

/// What an unsigned transaction says of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WireInput {
    pub(super) outpoint: Outpoint,
    pub(super) sequence: u32,
}

/// An output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WireOutput<'a> {
    pub(super) amount: u64,
    pub(super) script: &'a [u8],
}

impl<'a> Wire<'a> {
    /// Reads an unsigned transaction. [`Wire::encode`] gives the same bytes again.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let mut reader = Reader::new(bytes, Part::Unsigned);
        let version = reader.u32()?;
        if !matches!(version, 1 | 2) {
            return Err(Refusal::TransactionVersion { version });
        }
        refuse_flags(&reader)?;
        let inputs = parse_inputs(&mut reader)?;
        let outputs = parse_outputs(&mut reader)?;
        let lock_time = reader.u32()?;
        reader.finish()?;
        Ok(Self {
            version,
            inputs,
            outputs,
            lock_time,
        })
    }

    /// The unsigned transaction's bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = self.version.to_le_bytes().to_vec();
        self.put_body(&mut out);
        out.extend(self.lock_time.to_le_bytes());
        out
    }

    /// The transaction's bytes with these witnesses (BIP-144), one for each input.
    pub(super) fn encode_with(&self, witnesses: &[Vec<Vec<u8>>]) -> Vec<u8> {
        let mut out = self.version.to_le_bytes().to_vec();
        out.extend([0x00, 0x01]);
        self.put_body(&mut out);
        for items in witnesses {
            put_count(&mut out, items.len());
            for item in items {
                put_bytes(&mut out, item);
            }
        }
        out.extend(self.lock_time.to_le_bytes());
        out
    }

    fn put_body(&self, out: &mut Vec<u8>) {
        put_count(out, self.inputs.len());
        for input in &self.inputs {
            input.outpoint.put(out);
            put_bytes(out, &[]);
            out.extend(input.sequence.to_le_bytes());
        }
        put_count(out, self.outputs.len());
        for output in &self.outputs {
            output.put(out);
        }
    }
}

impl Outpoint {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.txid);
        out.extend(self.vout.to_le_bytes());
    }

    fn parse(reader: &mut Reader<'_>) -> Result<Self, Refusal> {
        let txid = reader.array()?;
        let vout = reader.u32()?;
        Ok(Self { txid, vout })
    }
}

impl<'a> WireOutput<'a> {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.amount.to_le_bytes());
        put_bytes(out, self.script);
    }

    pub(super) fn parse(reader: &mut Reader<'a>) -> Result<Self, Refusal> {
        let amount = reader.u64()?;
        let script = reader.bytes()?;
        Ok(Self { amount, script })
    }
}

/// A zero where the number of inputs stands is the marker of BIP-144, or there are no inputs.
fn refuse_flags(reader: &Reader<'_>) -> Result<(), Refusal> {
    match reader.rest() {
        [0x00, flag, ..] if flag & FLAG_MWEB != 0 => Err(Refusal::Mweb {
            part: reader.part(),
        }),
        [0x00, 0x01, ..] => Err(Refusal::UnsignedWitness),
        _ => Ok(()),
    }
}

fn parse_inputs(reader: &mut Reader<'_>) -> Result<Vec<WireInput>, Refusal> {
    let count = reader.count()?;
    if !(1..=INPUTS_MAX).contains(&count) {
        return Err(Refusal::InputCount { count });
    }
    (0..count)
        .map(|input| {
            let outpoint = Outpoint::parse(reader)?;
            if !reader.bytes()?.is_empty() {
                return Err(Refusal::UnsignedScript { input });
            }
            let sequence = reader.u32()?;
            Ok(WireInput { outpoint, sequence })
        })
        .collect()
}

fn parse_outputs<'a>(reader: &mut Reader<'a>) -> Result<Vec<WireOutput<'a>>, Refusal> {
    let count = reader.count()?;
    if !(1..=OUTPUTS_MAX).contains(&count) {
        return Err(Refusal::OutputCount { count });
    }
    (0..count).map(|_| WireOutput::parse(reader)).collect()
}

/// A previous transaction, as far as it matters for spending it.
#[derive(Debug)]
pub(super) struct Previous<'a> {
    /// Its id, over the serialisation without witnesses.
    pub(super) txid: [u8; 32],
    outputs: Vec<WireOutput<'a>>,
}

impl<'a> Previous<'a> {
    /// Reads the previous transaction of an input, with or without its witnesses.
    pub(super) fn parse(bytes: &'a [u8], input: usize) -> Result<Self, Refusal> {
        let mut reader = Reader::new(bytes, Part::Previous(input));
        let malformed = Refusal::PreviousMalformed { input };
        let version: [u8; 4] = reader.array()?;
        let has_witnesses = take_marker(&mut reader, &malformed)?;
        let start = reader.rest();
        let inputs = skip_inputs(&mut reader)?;
        let count = reader.count()?;
        let outputs: Vec<_> = (0..count)
            .map(|_| WireOutput::parse(&mut reader))
            .collect::<Result<_, _>>()?;
        let body = reader.read_since(start);
        // As in Core, a transaction whose witnesses are all empty is not written with them.
        if inputs == 0 || count == 0 || (has_witnesses && skip_witnesses(&mut reader, inputs)? == 0)
        {
            return Err(malformed);
        }
        let lock_time: [u8; 4] = reader.array()?;
        reader.finish()?;
        let txid = txid(&[&version, body, &lock_time]);
        Ok(Self { txid, outputs })
    }

    pub(super) fn output(&self, vout: u32) -> Option<WireOutput<'a>> {
        self.outputs.get(usize::try_from(vout).ok()?).copied()
    }
}

/// A transaction without its witness, and what Litecoin's extension blocks add to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stripped {
    /// Its id, over these bytes.
    pub txid: [u8; 32],
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Takes the witness from a transaction as a node shows it; `None` if it is none. Whoever knows the
/// transaction's id compares it: what follows the outputs is not read.
pub fn stripped(raw: &[u8]) -> Option<Stripped> {
    let mut reader = Reader::new(raw, Part::Previous(0));
    let version: [u8; 4] = reader.array().ok()?;
    if let [0x00, flag, ..] = reader.rest()
        && *flag != 0
    {
        reader.take(2).ok()?;
    }
    let start = reader.rest();
    skip_inputs(&mut reader).ok()?;
    for _ in 0..reader.count().ok()? {
        WireOutput::parse(&mut reader).ok()?;
    }
    let body = reader.read_since(start);
    let (_, lock_time) = reader.rest().split_last_chunk::<4>()?;
    Some(Stripped {
        txid: txid(&[&version, body, lock_time]),
        bytes: [&version, body, lock_time].concat(),
    })
}

/// The id of a transaction, by its serialisation without witnesses in pieces.
pub(super) fn txid(pieces: &[&[u8]]) -> [u8; 32] {
    let mut engine = sha256d::Hash::engine();
    for piece in pieces {
        engine.input(piece);
    }
    sha256d::Hash::from_engine(engine).to_byte_array()
}

fn take_marker(reader: &mut Reader<'_>, malformed: &Refusal) -> Result<bool, Refusal> {
    match reader.rest() {
        [0x00, flag, ..] if flag & FLAG_MWEB != 0 => Err(Refusal::Mweb {
            part: reader.part(),
        }),
        [0x00, 0x01, ..] => reader.take(2).map(|_| true),
        [0x00, ..] => Err(malformed.clone()),
        _ => Ok(false),
    }
}

fn skip_inputs(reader: &mut Reader<'_>) -> Result<usize, Refusal> {
    let count = reader.count()?;
    for _ in 0..count {
        Outpoint::parse(reader)?;
        reader.bytes()?;
        reader.u32()?;
    }
    Ok(count)
}

/// The number of witness items of all inputs.
fn skip_witnesses(reader: &mut Reader<'_>, inputs: usize) -> Result<usize, Refusal> {
    let mut items: usize = 0;
    for _ in 0..inputs {
        let count = reader.count()?;
        for _ in 0..count {
            reader.bytes()?;
        }
        items = items.saturating_add(count);
    }
    Ok(items)
}
