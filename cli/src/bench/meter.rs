//! CPU time and memory of this process, as Linux tells it.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

pub(super) struct Meter {
    started: Instant,
    cpu_seconds: f64,
}

pub(super) struct Measured {
    pub(super) seconds: f64,
    pub(super) cpu_seconds: f64,
    /// The most that the process held meanwhile.
    pub(super) peak_rss_mb: f64,
}

impl Meter {
    pub(super) fn start() -> Self {
        // Linux forgets the peak of before; where it does not, the figure is that of the whole run, and only too high.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        Self { started: Instant::now(), cpu_seconds: cpu_seconds() }
    }

    pub(super) fn stop(&self) -> Measured {
        Measured {
            seconds: self.started.elapsed().as_secs_f64(),
            cpu_seconds: cpu_seconds() - self.cpu_seconds,
            peak_rss_mb: peak_rss_mb(),
        }
    }
}

/// What this thread has computed so far, to the nanosecond.
pub(super) fn thread_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// User and system time of all threads.
fn cpu_seconds() -> f64 {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default().as_secs_f64()
}

fn peak_rss_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse::<f64>().ok());
    kibibytes.unwrap_or_default() / 1024.0
}
