//! How long to wait before trying again: doubling, with jitter, up to a limit.

use std::time::Duration;

use rand::Rng;

/// The first wait is up to 2 · this.
const BASE_MS: u64 = 25;
/// No wait is longer.
const MAX_MS: u64 = 10_000;

/// A series of waits; [`Backoff::reset`] after a success.
#[derive(Debug, Default)]
pub struct Backoff {
    attempt: u32,
}

impl Backoff {
    /// The next wait: between one and two times the doubled base, so that workers do not come back all at once.
    pub fn next_wait(&mut self) -> Duration {
        let base = (BASE_MS << self.attempt.min(9)).min(MAX_MS / 2);
        self.attempt = self.attempt.saturating_add(1);
        Duration::from_millis(base + rand::rng().random_range(0..=base))
    }

    /// How many waits there were since the last success.
    pub fn attempts(&self) -> u32 {
        self.attempt
    }

    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_bounded() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..64).map(|_| backoff.next_wait()).collect();
        assert!(waits[0] <= Duration::from_millis(2 * BASE_MS));
        assert!(waits[8] > waits[0], "waits grow");
        assert!(waits.iter().all(|wait| *wait <= Duration::from_millis(MAX_MS)), "waits are bounded");
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(2 * BASE_MS));
    }
}
