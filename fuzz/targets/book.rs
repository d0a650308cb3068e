//! Books that are loaded apart: a file is read in one way, and what it is made of is read again as the same book.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policy::book::{self, BookFile};
use tx::{Address, Chain, Network};

const CHAINS: [Chain; 3] = [
    Chain::Evm(1),
    Chain::Bitcoin(Network::Mainnet),
    Chain::Litecoin(Network::Regtest),
];

fuzz_target!(|bytes: &[u8]| {
    for chain in CHAINS {
        let Ok(read) = BookFile::parse(chain, bytes) else {
            continue;
        };
        let text = std::str::from_utf8(bytes).expect("a book is text");
        assert!(text.is_empty() || text.ends_with('\n'));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.is_sorted(), "out of order");
        let mut addresses: Vec<Address> = lines
            .iter()
            .map(|line| Address::parse(chain, line).expect("a line is an address"))
            .collect();
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), lines.len(), "an address twice");
        let hash = book::file_hash(bytes);
        assert!(read.check(hash, lines.len() as u64).is_ok());
        assert!(read.check(hash, lines.len() as u64 + 1).is_err());
    }
});
