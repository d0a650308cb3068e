//! The load generator: many clients in one thread, since it shares the machine with the daemon.
//!
//! Requests are written out before the clock starts, and of an answer only the status and the end
//! are looked at while it runs; all answers are read again afterwards.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::{Builder, Runtime},
    time::sleep_until,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// The requests of one client, in the order of their nonces.
#[derive(Debug)]
pub struct Lane {
    /// Whole HTTP requests.
    pub requests: VecDeque<Vec<u8>>,
}

/// What a run did.
#[derive(Debug, Default)]
pub struct Run {
    /// Microseconds from when a request was due to when its answer was there.
    pub micros: Vec<f64>,
    /// The bodies of the answers.
    pub answers: Vec<Vec<u8>>,
    /// How long it took.
    pub seconds: f64,
}

impl Run {
    /// With another, which was made after it.
    pub fn add(&mut self, other: Self) {
        self.micros.extend(other.micros);
        self.micros.sort_by(f64::total_cmp);
        self.answers.extend(other.answers);
        self.seconds += other.seconds;
    }
}

/// How requests are spaced.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// Each client asks as soon as it was answered.
    Full,
    /// All clients together ask this often a second, whether or not they were answered.
    PerSecond(f64),
}

/// Clients that are connected, each with its requests.
pub struct Load {
    runtime: Runtime,
    clients: Vec<(TlsStream<TcpStream>, Lane)>,
}

impl Load {
    /// Connects a client for each lane.
    ///
    /// # Panics
    /// When there is no connection.
    pub fn connect(server: SocketAddr, config: &Arc<ClientConfig>, lanes: Vec<Lane>) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let clients = runtime.block_on(async {
            let mut clients = Vec::new();
            for lane in lanes {
                clients.push((connect(server, config).await, lane));
            }
            clients
        });
        Self { runtime, clients }
    }

    /// The next request of each lane.
    pub fn next_requests(&self) -> impl Iterator<Item = &[u8]> {
        let lanes = self.clients.iter().map(|(_, lane)| &lane.requests);
        lanes.filter_map(|requests| requests.front().map(Vec::as_slice))
    }

    /// Sends the requests of all lanes for `duration`, or until there are no more.
    ///
    /// # Panics
    /// When an answer is not 200.
    pub fn run(&mut self, pace: Pace, duration: Duration) -> Run {
        let clients = std::mem::take(&mut self.clients);
        let (count, began) = (clients.len(), Instant::now());
        let (run, clients) = self.runtime.block_on(async {
            let mut tasks = Vec::new();
            for (number, (client, lane)) in clients.into_iter().enumerate() {
                let schedule = Schedule {
                    began,
                    duration,
                    pace,
                    number,
                    count,
                };
                tasks.push(tokio::spawn(speak(client, lane, schedule)));
            }
            let (mut run, mut clients) = (Run::default(), Vec::new());
            for task in tasks {
                let (client, lane, micros, answers) = task.await.expect("a client");
                clients.push((client, lane));
                run.micros.extend(micros);
                run.answers.extend(answers);
            }
            run.seconds = began.elapsed().as_secs_f64();
            run.micros.sort_by(f64::total_cmp);
            (run, clients)
        });
        self.clients = clients;
        run
    }
}

async fn connect(server: SocketAddr, config: &Arc<ClientConfig>) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(server).await.expect("the signing API");
    stream.set_nodelay(true).expect("TCP_NODELAY");
    let name = ServerName::IpAddress(server.ip().into());
    TlsConnector::from(Arc::clone(config))
        .connect(name, stream)
        .await
        .expect("a handshake")
}

/// When a client's requests are due.
#[derive(Clone, Copy)]
struct Schedule {
    began: Instant,
    duration: Duration,
    pace: Pace,
    number: usize,
    count: usize,
}

impl Schedule {
    fn due(&self, request: usize) -> Option<Instant> {
        match self.pace {
            Pace::Full => None,
            Pace::PerSecond(rate) => {
                let position = request * self.count + self.number;
                Some(self.began + Duration::from_secs_f64(position as f64 / rate))
            }
        }
    }
}

async fn speak(
    mut client: TlsStream<TcpStream>,
    mut lane: Lane,
    schedule: Schedule,
) -> (TlsStream<TcpStream>, Lane, Vec<f64>, Vec<Vec<u8>>) {
    let (mut micros, mut answers) = (Vec::new(), Vec::new());
    let mut buffer = Vec::new();
    while schedule.began.elapsed() < schedule.duration {
        let due = schedule.due(answers.len());
        // Still waiting for an earlier answer when this was due: the wait counts. What only the
        // timer is late does not.
        let busy_at = due.filter(|due| *due <= Instant::now());
        if let (Some(due), None) = (due, busy_at) {
            sleep_until(due.into()).await;
        }
        let Some(request) = lane.requests.pop_front() else {
            break;
        };
        let from = busy_at.unwrap_or_else(Instant::now);
        client.write_all(&request).await.expect("a request");
        answers.push(answer(&mut client, &mut buffer).await);
        micros.push(from.elapsed().as_secs_f64() * 1e6);
    }
    (client, lane, micros, answers)
}

/// One answer's body; status 200 is asserted.
async fn answer(client: &mut TlsStream<TcpStream>, buffer: &mut Vec<u8>) -> Vec<u8> {
    buffer.clear();
    loop {
        let read = client.read_buf(buffer).await.expect("an answer");
        assert!(read > 0, "the daemon closed the connection");
        let Some(head) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
        let length: usize = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .and_then(|digits| digits.parse().ok())
            .expect("a content length");
        if buffer.len() < head + 4 + length {
            continue;
        }
        let body = buffer[head + 4..].to_vec();
        assert!(
            text.starts_with("http/1.1 200"),
            "{text} {}",
            String::from_utf8_lossy(&body)
        );
        return body;
    }
}
