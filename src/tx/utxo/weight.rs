//! What a transaction that spends P2WPKH outputs weighs (BIP-141) before it is signed. Every signature
//! is taken to be as long as it can be, so that the fee rate is never below what was asked for.

/// A P2WPKH input: outpoint, empty script, sequence; two items, a signature of at most 72 bytes with
/// its hash type, a key.
pub const INPUT_WEIGHT: u64 = 4 * (36 + 1 + 4) + 1 + (1 + 72) + (1 + 33);

/// The length of a P2WPKH script.
pub const P2WPKH_SCRIPT_LENGTH: usize = 22;

/// Version, lock time, and the marker and flag of a witness.
const OVERHEAD_WEIGHT: u64 = 4 * (4 + 4) + 2;

/// What is in a transaction, as far as it weighs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    inputs: u64,
    outputs: u64,
    scripts_length: u64,
}

impl Contents {
    /// With this many P2WPKH inputs more.
    #[must_use]
    pub fn with_inputs(self, inputs: usize) -> Self {
        Self {
            inputs: self.inputs.saturating_add(inputs as u64),
            ..self
        }
    }

    /// With an output more, whose script has this length.
    #[must_use]
    pub fn with_output(self, script_length: usize) -> Self {
        let length = script_length as u64;
        Self {
            outputs: self.outputs.saturating_add(1),
            scripts_length: self
                .scripts_length
                .saturating_add(count_length(length))
                .saturating_add(length),
            ..self
        }
    }

    /// The weight.
    pub fn weight(self) -> u64 {
        let counts = count_length(self.inputs).saturating_add(count_length(self.outputs));
        let outputs = self.outputs.saturating_mul(8);
        let outputs = outputs.saturating_add(self.scripts_length);
        OVERHEAD_WEIGHT
            .saturating_add(counts.saturating_add(outputs).saturating_mul(4))
            .saturating_add(self.inputs.saturating_mul(INPUT_WEIGHT))
    }

    /// The virtual size in vbytes, rounded up.
    pub fn vsize(self) -> u64 {
        self.weight().div_ceil(4)
    }
}

/// The bytes of a compact size.
fn count_length(count: u64) -> u64 {
    match count {
        0..=0xfc => 1,
        0xfd..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sizes() {
        // One input, two outputs: 141 vbytes with a signature of 72 bytes, as every wallet shows it.
        let contents = Contents::default().with_inputs(1).with_output(22);
        assert_eq!(contents.vsize(), 110);
        assert_eq!(contents.with_output(22).vsize(), 141);
    }

    #[test]
    fn counts_grow() {
        let contents = Contents::default().with_output(22);
        let weight = |inputs| contents.with_inputs(inputs).weight();
        assert_eq!(weight(252) - weight(251), INPUT_WEIGHT);
        assert_eq!(weight(253) - weight(252), INPUT_WEIGHT + 8);
    }
}
