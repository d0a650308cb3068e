//! How fast a device signs.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::{Duration, Instant},
};

use super::{
    Subject,
    common::input,
    report::{Notes, Speed},
};

/// With how many sessions at once.
const SESSIONS: [usize; 3] = [1, 2, 8];
/// For how long each.
const FOR: Duration = Duration::from_millis(400);

/// Signs for a while, with each number of sessions. What fails is in the cases; here it counts for nothing.
pub(super) fn measure<S: Subject>(token: &S, key: &S::Key, notes: &mut Notes) {
    let algorithm = S::public(key).algorithm();
    for count in SESSIONS {
        let sessions: Result<Vec<S>, _> = (0..count).map(|_| token.beside()).collect();
        let Ok(sessions) = sessions else {
            continue;
        };
        let (stop, made) = (AtomicBool::new(false), AtomicU32::new(0));
        let began = Instant::now();
        std::thread::scope(|scope| {
            for session in sessions {
                let (stop, made, key) = (&stop, &made, key.clone());
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let number = made.load(Ordering::Relaxed);
                        let signed =
                            input(algorithm, number).and_then(|input| session.sign(&key, &input));
                        if signed.is_err() {
                            return;
                        }
                        made.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            std::thread::sleep(FOR);
            stop.store(true, Ordering::Relaxed);
        });
        notes.speed(Speed {
            algorithm,
            sessions: count,
            per_second: f64::from(made.into_inner()) / began.elapsed().as_secs_f64(),
        });
    }
}
