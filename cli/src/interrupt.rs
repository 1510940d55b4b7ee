//! Ctrl-C and SIGTERM, heard once for the whole process: the first asks for a clean end, a second one insists.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::output::note;

/// A token that is cancelled by the first Ctrl-C or SIGTERM. A second one ends the process at once: that loses nothing, as
/// kill -9 does not either, it only skips the goodbyes.
pub(crate) fn token() -> Result<CancellationToken, Failure> {
    let token = CancellationToken::new();
    let cannot = |error| Failure::because("signals cannot be heard", &error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let heard = token.clone();
    tokio::spawn(async move {
        for count in 0.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if count > 0 {
                note("Stopped at once.");
                std::process::exit(130);
            }
            heard.cancel();
        }
    });
    Ok(token)
}
