//! The database of a world: a file in memory that begins as a copy of one made once.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
};

use rusqlite::Connection;
use tx::{Amount, Name, Time};
use wallet::{
    ledger::Account,
    limit::DailyLimit,
    store::{Credit, Durability, Options, SqliteStore, Store},
};

use super::{
    super::{family::Family, signer::name},
    BEGINNING,
};

pub(super) async fn open_store(database: &Path) -> Arc<SqliteStore> {
    let options = Options {
        durability: Durability::Process,
        readers: 1,
        ..Options::default()
    };
    let opened = SqliteStore::open_with(database, &options).await;
    Arc::new(opened.unwrap())
}

/// A folder in memory, where there is such a thing.
pub(super) fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    made.unwrap()
}

/// A database in which nothing has happened but deposits, made once.
pub(super) async fn template<F: Family>() -> Vec<u8> {
    static MADE: Mutex<BTreeMap<String, Vec<u8>>> = Mutex::new(BTreeMap::new());
    let chain = F::CHAIN.to_string();
    let found = MADE.lock().unwrap().get(&chain).cloned();
    if let Some(found) = found {
        return found;
    }
    let folder = folder();
    let database = folder.path().join("walletd.sqlite");
    let store = open_store(&database).await;
    set_up::<F>(&*store).await;
    let made = snapshot(&database);
    MADE.lock().unwrap().insert(chain, made.clone());
    made
}

pub(super) fn connect(database: &Path) -> Connection {
    Connection::open(database).unwrap()
}

/// The whole content of a database that may be in use.
pub(super) fn snapshot(database: &Path) -> Vec<u8> {
    let copy = database.with_extension("copy");
    let into = copy.to_str().unwrap();
    connect(database).execute("VACUUM INTO ?1", [into]).unwrap();
    let content = std::fs::read(&copy).unwrap();
    std::fs::remove_file(copy).unwrap();
    content
}

async fn set_up<F: Family>(store: &dyn Store) {
    let now = Time::from_millis(BEGINNING);
    let most = Amount::from(10 * u128::from(F::DEPOSIT));
    let limit = |asset| DailyLimit {
        asset,
        total: most,
        customer: most,
    };
    let limits: Vec<_> = F::assets().into_iter().map(limit).collect();
    store.set_limits(&limits, now).await.unwrap();
    for customer in customers() {
        for (number, asset) in F::assets().into_iter().enumerate() {
            let credit = Credit {
                id: format!("deposit-{customer}-{number}").parse().unwrap(),
                client: name("ops"),
                account: Account::Customer(customer.clone()),
                asset,
                amount: F::DEPOSIT.into(),
                memo: "in the beginning".into(),
            };
            assert!(store.credit(&credit, now).await.unwrap());
        }
    }
    store.ensure_lane(&F::new_lane(0, 0), now).await.unwrap();
}

pub fn customers() -> Vec<Name> {
    ["ann", "bob", "eve"].into_iter().map(name).collect()
}
