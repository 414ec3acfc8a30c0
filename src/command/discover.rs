//! `discover`

use super::Ending;
use super::ending::failed;
use super::output::print;
use super::setup::{self, Audience, block_on, log_requests};
use crate::cli::ConfigFile;
use tollgate_base::error::Result;
use tollgate_cost::Ledger;
use tollgate_protocol::message;

pub(super) fn run(files: &ConfigFile) -> Ending {
    block_on(async {
        let ledger = Ledger::new();
        let discovered = discover(files, &ledger).await;
        log_requests(&ledger);
        match discovered {
            Ok(line) => {
                print(&line);
                Ending::Success
            }
            Err(error) => failed(&error),
        }
    })
}

async fn discover(files: &ConfigFile, ledger: &Ledger) -> Result<String> {
    let mut job = setup::job(&files.config, Audience::Platform)?;
    let store = setup::store(&mut job, ledger, Audience::Platform).await?;
    let discovered = tollgate_read::discover(&job, &store, setup::CLOCK).await?;
    for (level, text) in &discovered.notes {
        setup::log(*level, text);
    }
    Ok(message::catalog(&discovered.streams))
}
