//! CPU time and memory of this process, as `headwater bench` takes them.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

pub(crate) struct Meter {
    started: Instant,
    cpu_seconds: f64,
}

impl Meter {
    pub(crate) fn start() -> Self {
        // Linux forgets the peak of before; where it does not, the figure is that of the whole run, and only too high.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        Self { started: Instant::now(), cpu_seconds: cpu_seconds() }
    }

    /// Seconds, CPU-seconds of all threads, and the most that the process held meanwhile in MB.
    pub(crate) fn stop(&self) -> (f64, f64, f64) {
        (self.started.elapsed().as_secs_f64(), cpu_seconds() - self.cpu_seconds, peak_rss_mb())
    }
}

fn cpu_seconds() -> f64 {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default().as_secs_f64()
}

fn peak_rss_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse::<f64>().ok());
    kibibytes.unwrap_or_default() / 1024.0
}
