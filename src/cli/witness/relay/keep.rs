//! One witness that keeps bodies: brings it the chunk after its last one, again and again.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::super::link::Link;
use super::super::{chain, say};
use super::Newest;
use super::cutter::{Cutter, Enough, Sealed, tile_end};
use super::signer::PAUSE;

/// After failures, at the most.
const PAUSE_MOST: Duration = Duration::from_secs(5);
/// Until witnesses have cosigned what the signer has.
const SOON: Duration = Duration::from_millis(200);

/// A witness that keeps bodies, and what is known of it.
pub struct Keep {
    cutter: Arc<Cutter>,
    name: String,
    link: Link,
    /// Below which it keeps the log's.
    path: String,
    /// How long entries wait for those that fill their tile.
    after: Duration,
    newest: watch::Receiver<Newest>,
    /// Behind the last entry that it keeps, once it has said so.
    end: Option<u64>,
    /// Since when there is something behind that.
    since: Option<Instant>,
    trouble: String,
}

impl Keep {
    /// For the witness of this name, behind this link.
    pub fn new(
        cutter: Arc<Cutter>,
        (name, link): (String, Link),
        after: Duration,
        newest: watch::Receiver<Newest>,
    ) -> Self {
        let log = hex::encode(Sha256::digest(cutter.origin().as_str()));
        Self {
            cutter,
            name,
            link,
            path: format!("/bodies/{log}"),
            after,
            newest,
            end: None,
            since: None,
            trouble: String::new(),
        }
    }

    /// For ever, or until nobody follows the signer.
    pub async fn run(mut self) {
        let mut pause = PAUSE;
        loop {
            match self.step().await {
                Ok(()) => {
                    pause = PAUSE;
                    self.trouble.clear();
                    continue;
                }
                Err(Stop::Over) => return,
                Err(Stop::Trouble(why)) => {
                    // Somebody else may have put something meanwhile.
                    self.end = None;
                    if self.trouble != why {
                        say(&format!("{}: bodies: {why}", self.name));
                        self.trouble = why;
                    }
                }
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(PAUSE_MOST);
        }
    }

    /// Brings the next chunk.
    async fn step(&mut self) -> Result<(), Stop> {
        let end = match self.end {
            Some(end) => end,
            None => self.ask().await?,
        };
        self.end = Some(end);
        let chunk = self.next(end).await?;
        let path = format!("{}/{}", self.path, chunk.range);
        let answered = self.link.put(&path, chunk.bytes.clone()).await;
        let answered = answered.map_err(|error| Stop::Trouble(chain(&error)))?;
        if !matches!(answered.status, 200 | 201) {
            return Err(Stop::Trouble(answered.said()));
        }
        self.end = Some(chunk.range.to());
        self.since = None;
        Ok(())
    }

    /// Asks where the next chunk has to begin.
    async fn ask(&mut self) -> Result<u64, Stop> {
        let answered = self.link.get(&format!("{}/end", self.path)).await;
        let answered = answered.map_err(|error| Stop::Trouble(chain(&error)))?;
        let text = std::str::from_utf8(&answered.body).unwrap_or_default();
        match (answered.status, text.trim_end().parse()) {
            (200, Ok(end)) => Ok(end),
            (404, _) => Err(Stop::Trouble("it keeps none of this log".to_owned())),
            _ => Err(Stop::Trouble(answered.said())),
        }
    }

    /// Waits for the chunk that begins there.
    async fn next(&mut self, from: u64) -> Result<Arc<Sealed>, Stop> {
        let longer = |size: u64| {
            move |newest: &Newest| newest.as_ref().is_some_and(|one| one.head().size >= size)
        };
        let first = self.newest.wait_for(longer(from.saturating_add(1))).await;
        drop(first.map_err(|_| Stop::Over)?);
        let since = *self.since.get_or_insert_with(Instant::now);
        let deadline = since.checked_add(self.after).unwrap_or(since);
        loop {
            let whole = self.newest.wait_for(longer(tile_end(from)));
            let waited = timeout_at(deadline, whole).await;
            let is_over = waited.is_ok_and(|whole| whole.is_err());
            if is_over {
                return Err(Stop::Over);
            }
            let enough = match Instant::now() < deadline {
                true => Enough::Whole,
                false => Enough::Some,
            };
            let cut = self.cutter.cut(from, enough).await;
            if let Some(chunk) = cut.map_err(Stop::Trouble)? {
                return Ok(chunk);
            }
            sleep(SOON).await;
        }
    }
}

/// Why there is no next step.
enum Stop {
    /// Nobody follows the signer any more.
    Over,
    /// Something failed, and is tried again.
    Trouble(String),
}
