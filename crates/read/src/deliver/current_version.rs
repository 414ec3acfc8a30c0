//! Reads the version of an object that is there, where an inventory told of another one.

use std::sync::Arc;

use crate::deliver::archive_members;
use crate::deliver::context::{FileEnd, ReadGrant, StreamContext, forget, from_inventory};
use crate::deliver::emit::Event;
use crate::deliver::records;
use crate::files::archive;
use tollgate_base::batch::Position;
use tollgate_base::error::{ErrorKind, Result};
use tollgate_base::object::ObjectFacts;
use tollgate_cost::CostReservation;
use tollgate_cursor::Cursor;

/// Reads a file or an archive, if its key fits the partitions. What an inventory told of may not be there any more, which
/// is counted, or be another object by now, which is read instead.
pub(crate) async fn read_current_version(
    shared: Arc<StreamContext>,
    object: ObjectFacts,
    from: Position,
    cursor: Arc<Cursor>,
    assignment: ReadGrant,
) -> Result<FileEnd> {
    if let Some(reason) = shared.keys.get().and_then(|keys| keys.partition_error(&object.key)) {
        return records::reject_file(&shared, object, &from, reason).await;
    }
    let (alone, until) = (assignment.alone, assignment.until);
    let ended = read(&shared, object.clone(), from, &cursor, assignment).await;
    let error = match ended {
        Err(error) if error.kind() == ErrorKind::NotFound && from_inventory(&shared, &object.key) => {
            return Ok(forget(&shared, object.key).await);
        }
        Err(error) if error.kind() == ErrorKind::Changed && from_inventory(&shared, &object.key) => error,
        ended => return ended,
    };
    let now = match Box::pin(shared.store.head(&object.key)).await {
        Ok(now) => now,
        Err(gone) if gone.kind() == ErrorKind::NotFound => return Ok(forget(&shared, object.key).await),
        Err(other) => return Err(other.with("stream", &shared.stream.name)),
    };
    if now.etag == object.etag {
        return Err(error);
    }
    shared.report.add_overwritten();
    shared.outgoing.send(Event::Begin { object: now.clone(), from: Position::default() }).await;
    let assignment = ReadGrant { alone, until, account: CostReservation::default() };
    read(&shared, now, Position::default(), &cursor, assignment).await
}

async fn read(
    shared: &Arc<StreamContext>,
    object: ObjectFacts,
    from: Position,
    cursor: &Arc<Cursor>,
    assignment: ReadGrant,
) -> Result<FileEnd> {
    match archive::is_archive(&shared.stream, &object) {
        true => archive_members::read(Arc::clone(shared), object, from, Arc::clone(cursor), assignment).await,
        false => records::read(Arc::clone(shared), object, from, assignment).await,
    }
}
