//! Rows that are gone over: what is lost, and where reading goes on.

use memchr::memmem;

use super::decoder::{
    AvroDecoder, BLOCK_HEAD_BYTES, Block, Header, MARKER_BYTES, ROWS_WITHOUT_BYTES, Stage, block_head,
};
use super::lost::Lost;
use super::walk::Ends;
use crate::decode::Step;
use tollgate_base::batch::JsonRows;
use tollgate_base::error::{Error, Result};

/// Bytes that are looked through for a marker at a time.
const SEEK_BYTES: usize = 64 << 10;

impl AvroDecoder {
    /// Goes over a row of a block that cannot be written, alone where it is known where it ends, else with all behind it.
    pub(super) fn lose_row(&mut self, header: &Header, block: &mut Block, fault: &str, column: &str) -> Lost {
        let (data, at, done) = (&block.data, block.at, block.done);
        let ends = block.ends.get_or_insert_with(|| Ends::find(&header.schema, data, at, done, block.rows));
        let (end, rows, what) = match ends.of(done) {
            Some(end) => (end, 1, "a row of the Avro file cannot be read"),
            None => (data.len(), block.rows - done, "the rest of an Avro block cannot be read"),
        };
        let reason = format!("{what}: {fault} (column '{column}')");
        let lost = Lost::new(block.offset, self.rows + 1, rows, reason, &data[at..end]);
        (block.at, block.done) = (end, done + rows);
        self.rows += rows;
        lost
    }

    /// What lies behind the last row of a block. Nobody knows whether it was a row.
    pub(super) fn lose_rest(&mut self, block: &Block) -> Option<Lost> {
        let message = "an Avro block has bytes after its last row";
        if !self.collects() {
            self.fault = Some(Error::data(message).with("block_byte", block.offset));
            return None;
        }
        Some(Lost::new(block.offset, self.rows, 1, message, &block.data[block.at..]))
    }

    /// Goes over a block that does not end with the marker. Where a block begins behind it that does, or the file ends there,
    /// nothing else is lost.
    pub(super) fn lose_marker(
        &mut self,
        header: Box<Header>,
        done: u64,
        rows: u64,
        whole: usize,
    ) -> Result<Option<Step>> {
        let fault = Error::data("the Avro file is damaged: a block does not end with the sync marker of the file");
        if !self.collects() {
            return Err(fault.with("block_byte", self.buffer.offset()));
        }
        match self.block_follows(whole, &header.marker)? {
            Some(true) => self.lose_block(header, done, rows, whole, fault),
            follows => {
                self.stage = Stage::Between(header, done);
                if follows.is_none() { Ok(Some(Step::NeedBytes)) } else { self.lose_place(rows, fault) }
            }
        }
    }

    /// Whether a block, or the end of the file, is so many bytes from here. `None`: more must be fed first.
    pub(super) fn block_follows(&mut self, at: usize, marker: &[u8; MARKER_BYTES]) -> Result<Option<bool>> {
        if !self.buffer.fill(&mut self.source, at + BLOCK_HEAD_BYTES)? {
            return Ok(None);
        }
        let Some(behind) = self.buffer.rest().get(at..).filter(|behind| !behind.is_empty()) else {
            return Ok(Some(true));
        };
        let Ok((_, length, head)) = block_head(behind) else { return Ok(Some(false)) };
        let end = at + head + length;
        if !self.buffer.fill(&mut self.source, end + MARKER_BYTES)? {
            return Ok(None);
        }
        Ok(Some(self.buffer.rest().get(end..end + MARKER_BYTES) == Some(marker)))
    }

    /// Goes over a block that begins and ends where it should. `done`: rows of it that another run went over.
    pub(super) fn lose_block(
        &mut self,
        header: Box<Header>,
        done: u64,
        rows: u64,
        whole: usize,
        fault: Error,
    ) -> Result<Option<Step>> {
        if !self.collects() {
            return Err(fault.with("block_byte", self.buffer.offset()));
        }
        let lost = self.lost(rows, fault.message(), whole);
        self.buffer.advance(whole);
        self.stage = Stage::Between(header, 0);
        Ok(self.hand_over(lost, done))
    }

    /// Goes over a block that does not end where it says, and looks for the next one.
    pub(super) fn lose_place(&mut self, rows: u64, fault: Error) -> Result<Option<Step>> {
        if !self.collects() {
            return Err(fault.with("block_byte", self.buffer.offset()));
        }
        let Stage::Between(header, done) = std::mem::replace(&mut self.stage, Stage::Header) else { return Ok(None) };
        let reason = format!("{}; all rows before the next sync marker are lost", fault.message());
        let lost = self.lost(rows, &reason, self.buffer.rest().len());
        self.stage = Stage::Seeking(header, lost, done);
        Ok(None)
    }

    /// A block that begins here. The number of its rows may be as wrong as the rest.
    fn lost(&self, rows: u64, reason: &str, bytes: usize) -> Lost {
        let raw = &self.buffer.rest()[..bytes];
        let rows = if rows > bytes as u64 + ROWS_WITHOUT_BYTES { 1 } else { rows };
        let reason = format!("an Avro block cannot be read: {reason}");
        Lost::new(self.buffer.offset(), self.rows + 1, rows, reason, raw)
    }

    /// Looks for the next marker.
    pub(super) fn seek(&mut self) -> Result<Option<Step>> {
        let Stage::Seeking(header, lost, done) = std::mem::replace(&mut self.stage, Stage::Header) else {
            return Ok(None);
        };
        let rest = self.buffer.rest();
        let found = memmem::find(rest, &header.marker).map(|at| at + MARKER_BYTES);
        if let Some(end) = found.or(self.buffer.ended.then_some(rest.len())) {
            self.buffer.advance(end);
            self.stage = Stage::Between(header, 0);
            return Ok(self.hand_over(lost, done));
        }
        // Its end may be the beginning of a marker.
        self.buffer.advance(rest.len().saturating_sub(MARKER_BYTES - 1));
        self.stage = Stage::Seeking(header, lost, done);
        let filled = self.buffer.fill(&mut self.source, SEEK_BYTES)?;
        Ok((!filled).then_some(Step::NeedBytes))
    }

    /// Hands over a block that is lost, unless another run did, which went over `done` rows of it.
    fn hand_over(&mut self, lost: Lost, done: u64) -> Option<Step> {
        self.rows += lost.rows;
        let before = done + self.skip.min(lost.rows);
        self.skip = self.skip.saturating_sub(lost.rows);
        let place = self.place(lost.offset, lost.rows);
        (before == 0).then(|| self.batch(JsonRows::default(), place, vec![lost]))
    }
}
