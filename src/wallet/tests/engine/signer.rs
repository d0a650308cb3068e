//! A signer that answers as it is told to.

use std::sync::{
    Mutex,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use api::signing::{Key, KeyAddress, KeysAnswer, RequestAnswer, RequestsAnswer, SignRequest};
use async_trait::async_trait;
use tokio::sync::Semaphore;
use tx::{AccountClass, Interval, Time};
use wallet::signer::{SignOutcome, Signer};

/// A signer.
pub struct Scripted {
    /// Its keys, or nothing while it is gone.
    pub keys: Mutex<Option<Vec<Key>>>,
    /// Its epoch.
    pub epoch: AtomicU64,
    /// What it authorised.
    pub journal: Mutex<Vec<RequestAnswer>>,
    /// Requests on a page.
    pub page_length: usize,
    /// Pages that were asked for.
    pub pages: AtomicU32,
    /// A call takes one and gives it back.
    pub calls_may_pass: Semaphore,
    /// Calls to sign that were begun.
    pub calls: AtomicU32,
}

impl Scripted {
    /// One with these keys.
    pub fn new(keys: Option<Vec<Key>>) -> Self {
        Self {
            keys: Mutex::new(keys),
            epoch: AtomicU64::new(1),
            journal: Mutex::default(),
            page_length: 100,
            pages: AtomicU32::new(0),
            calls_may_pass: Semaphore::new(1000),
            calls: AtomicU32::new(0),
        }
    }
}

/// A key of an account with one address.
pub fn key(account: &str, chain: &str, address: &str) -> Key {
    Key {
        name: format!("{account}-1").parse().unwrap(),
        account: account.parse().unwrap(),
        class: AccountClass::Hot,
        public_key: format!("02{}", "05".repeat(32)),
        assurance: "software".into(),
        addresses: vec![KeyAddress {
            chain: chain.parse().unwrap(),
            address: address.into(),
            lane_epoch: 4,
            next_sequence: Some(9),
        }],
    }
}

#[async_trait]
impl Signer for Scripted {
    async fn sign(&self, _: &SignRequest) -> SignOutcome {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let _pass = self.calls_may_pass.acquire().await.unwrap();
        SignOutcome::NotNow {
            sealed: false,
            detail: "the test's signer signs nothing".into(),
        }
    }

    async fn keys(&self) -> Result<KeysAnswer, String> {
        let keys = self.keys.lock().unwrap().clone();
        let now = Time::from_millis(1);
        Ok(KeysAnswer {
            keys: keys.ok_or("the signer is gone")?,
            limits: Vec::new(),
            epoch: self.epoch.load(Ordering::SeqCst),
            policy: String::new(),
            time: Interval { lo: now, hi: now },
            journal: None,
            heartbeat: None,
            credited: None,
        })
    }

    async fn request(&self, id: &str) -> Result<Option<RequestAnswer>, String> {
        let journal = self.journal.lock().unwrap();
        Ok(journal.iter().find(|had| had.request_id == id).cloned())
    }

    async fn requests(&self, after: Option<u64>) -> Result<Vec<RequestAnswer>, String> {
        let journal = self.journal.lock().unwrap();
        let later = |had: &&RequestAnswer| after.is_none_or(|after| had.attempt > after);
        Ok(journal.iter().filter(later).cloned().collect())
    }

    async fn page(&self, after: Option<u64>) -> Result<RequestsAnswer, String> {
        self.pages.fetch_add(1, Ordering::SeqCst);
        let mut requests = self.requests(after).await?;
        let is_last = requests.len() <= self.page_length;
        requests.truncate(self.page_length);
        let next = requests.last().map(|last| last.attempt);
        Ok(RequestsAnswer {
            next: next.filter(|_| !is_last),
            requests,
        })
    }
}
