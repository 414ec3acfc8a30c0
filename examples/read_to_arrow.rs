//! Writes a stream of a configuration to standard output as Arrow IPC, whatever the format of its files.
//!
//!     cargo run --example read_to_arrow -- config.json users > users.arrows

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use arrow_ipc::writer::StreamWriter;
use tollgate_cost::Ledger;
use tollgate_read::Scan;
use tollgate_record::{ArrowOptions, Converted, arrow_schema, to_arrow};
use tollgate_runtime::clock::Clock;
use tollgate_s3::{Store, StoreOptions};

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, stream] = &arguments[..] else { bail!("usage: read_to_arrow CONFIG STREAM") };
    let job = tollgate_config::parse(&std::fs::read(config).with_context(|| config.clone())?)?;
    let store = Store::connect(&job.connection, Ledger::default(), StoreOptions::default()).await?;
    let scan = Scan::list(&job, stream, &store, Clock::System).await?;
    let schema = Arc::new(arrow_schema(&scan.columns().await?));
    let options = ArrowOptions::new(scan.format());
    let mut output = StreamWriter::try_new(std::io::stdout().lock(), &schema)?;
    for file in scan.files() {
        let mut rows = scan.open(file)?;
        while let Some((batch, _)) = rows.next_batch().await? {
            let Converted { batch, stopped, .. } = to_arrow(&batch, &schema, &options)?;
            if let Some((_, error)) = stopped {
                return Err(error).with_context(|| file.key.to_string());
            }
            output.write(&batch)?;
        }
    }
    output.finish()?;
    Ok(())
}
