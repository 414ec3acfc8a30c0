//! `check`: the answer is CONNECTION_STATUS; the exit code is 0 either way.

use super::Ending;
use super::output::print;
use super::setup::{self, Audience, block_on, log, log_requests};
use crate::cli::ConfigFile;
use tollgate_base::error::Result;
use tollgate_cost::Ledger;
use tollgate_protocol::message::{self, Level};

pub(super) fn run(files: &ConfigFile) -> Ending {
    block_on(async {
        let ledger = Ledger::new();
        let checked = check(files, &ledger).await;
        log_requests(&ledger);
        let failure = checked.err().map(|error| message::failure_text(&error));
        if failure.is_none() {
            log(Level::Info, "Check succeeded");
        }
        print(&message::connection_status(failure.as_deref()));
        Ending::Success
    })
}

async fn check(files: &ConfigFile, ledger: &Ledger) -> Result<()> {
    let mut job = setup::job(&files.config, Audience::Platform)?;
    let store = setup::store(&mut job, ledger, Audience::Platform).await?;
    for note in tollgate_read::check(&job, &store, setup::CLOCK).await? {
        log(Level::Info, note);
    }
    Ok(())
}
