//! PSBTs, made by the `bitcoin` crate, and Bitcoin's own word on what was signed.

use base64ct::{Base64, Encoding};
use bitcoin::{
    Amount, CompressedPublicKey, OutPoint, Psbt, ScriptBuf, Sequence, Transaction, TxIn, TxOut,
    Txid, Witness, absolute::LockTime, hashes::Hash, transaction::Version,
};
use bitcoinconsensus::Utxo;
use tx::Chain;

use crate::litecoind::Coin;

/// An output that is spent: its transaction, and which it is.
#[derive(Clone, Debug)]
pub struct Previous {
    /// The transaction.
    pub transaction: Transaction,
    /// Which of its outputs.
    pub vout: u32,
}

impl Previous {
    /// A coin of this amount that nobody has seen; `salt` tells two of them apart.
    pub fn invented(salt: u64, amount_sat: u64, script: &ScriptBuf) -> Self {
        let mut id = [0x5a; 32];
        id[..8].copy_from_slice(&salt.to_be_bytes());
        let previous_output = OutPoint::new(Txid::from_byte_array(id), 0);
        let transaction = transaction(
            vec![previous_output],
            vec![TxOut {
                value: Amount::from_sat(amount_sat),
                script_pubkey: script.clone(),
            }],
        );
        Self {
            transaction,
            vout: 0,
        }
    }

    /// A coin on a chain.
    ///
    /// # Panics
    /// When it is no transaction.
    pub fn of(coin: &Coin) -> Self {
        let bytes = hex::decode(&coin.transaction).expect("hexadecimal digits");
        let transaction = bitcoin::consensus::deserialize(&bytes).expect("a transaction");
        Self {
            transaction,
            vout: coin.vout,
        }
    }

    /// The output.
    pub fn output(&self) -> &TxOut {
        &self.transaction.output[self.vout as usize]
    }

    fn outpoint(&self) -> OutPoint {
        OutPoint::new(self.transaction.compute_txid(), self.vout)
    }
}

/// The P2WPKH script of a compressed public key.
///
/// # Panics
/// When it is none.
pub fn script(public_key: &str) -> ScriptBuf {
    let key: CompressedPublicKey = public_key.parse().expect("a compressed public key");
    ScriptBuf::new_p2wpkh(&key.wpubkey_hash())
}

/// The script of an address.
///
/// # Panics
/// When it is none of the chain.
pub fn script_of(chain: Chain, address: &str) -> ScriptBuf {
    let address = tx::Address::parse(chain, address).expect("an address");
    ScriptBuf::from_bytes(address.as_bytes().to_vec())
}

/// A script whose key nobody has.
pub fn foreign_script(salt: u8) -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&bitcoin::WPubkeyHash::from_byte_array([salt; 20]))
}

/// The address of such a script in the spelling of a chain.
///
/// # Panics
/// When the chain has no such addresses.
pub fn address_of(chain: Chain, script: &ScriptBuf) -> String {
    tx::Address::from_script(chain, script.as_bytes())
        .expect("an address")
        .to_string()
}

/// A PSBT that spends these coins.
///
/// # Panics
/// When there are no inputs.
pub fn psbt(previous: &[Previous], outputs: &[(u64, ScriptBuf)]) -> Psbt {
    let output = |(amount, script): &(u64, ScriptBuf)| TxOut {
        value: Amount::from_sat(*amount),
        script_pubkey: script.clone(),
    };
    let unsigned = transaction(
        previous.iter().map(Previous::outpoint).collect(),
        outputs.iter().map(output).collect(),
    );
    let mut psbt = Psbt::from_unsigned_tx(unsigned).expect("an unsigned transaction");
    for (input, previous) in psbt.inputs.iter_mut().zip(previous) {
        input.non_witness_utxo = Some(previous.transaction.clone());
    }
    psbt
}

fn transaction(inputs: Vec<OutPoint>, output: Vec<TxOut>) -> Transaction {
    let input = |previous_output| TxIn {
        previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::new(),
    };
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: inputs.into_iter().map(input).collect(),
        output,
    }
}

/// A PSBT as it stands in a request.
pub fn on(chain: Chain, psbt: &Psbt) -> tx::Transaction {
    on_bytes(chain, &psbt.serialize())
}

/// What pretends to be a PSBT, as it stands in a request.
pub fn on_bytes(chain: Chain, bytes: &[u8]) -> tx::Transaction {
    tx::Transaction::Psbt {
        chain,
        psbt: Base64::encode_string(bytes),
    }
}

/// Runs Bitcoin's script engine on every input of a signed transaction.
///
/// # Errors
/// The script engine's.
///
/// # Panics
/// When it is no transaction, or not that of the PSBT.
pub fn verify(psbt: &Psbt, raw: &str) -> Result<(), bitcoinconsensus::Error> {
    let raw = hex::decode(raw).expect("hexadecimal digits");
    let signed: Transaction = bitcoin::consensus::deserialize(&raw).expect("a transaction");
    assert_eq!(signed.compute_txid(), psbt.unsigned_tx.compute_txid());
    let inputs = psbt.unsigned_tx.input.iter().zip(&psbt.inputs);
    let spent = inputs.map(|(input, fields)| {
        let previous = fields
            .non_witness_utxo
            .as_ref()
            .expect("the previous transaction");
        assert_eq!(previous.compute_txid(), input.previous_output.txid);
        &previous.output[input.previous_output.vout as usize]
    });
    let spent: Vec<&TxOut> = spent.collect();
    // P2TR signatures commit to all that is spent.
    let known: Vec<Utxo> = spent.iter().map(|output| utxo(output)).collect();
    spent.iter().enumerate().try_for_each(|(index, output)| {
        let (script, amount) = (output.script_pubkey.as_bytes(), output.value.to_sat());
        bitcoinconsensus::verify(script, amount, &raw, Some(&known), index)
    })
}

/// It points into the output.
fn utxo(output: &TxOut) -> Utxo {
    Utxo {
        script_pubkey: output.script_pubkey.as_bytes().as_ptr(),
        script_pubkey_len: output.script_pubkey.len().try_into().expect("a script"),
        value: output.value.to_sat().try_into().expect("an amount"),
    }
}
